//! The most of everything. At a bound the oldest goes, and what is counted there says so.

pub use quaywatch_schemas::situation::MOST_WEIGHT;

/// What an engine had to let go at its bounds since its log began. Each is something that a larger box or a smaller site
/// file would have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LetGo {
    /// Passages that were final before late words about them had had their time ([`PASSAGES_PER_LANE`]).
    pub passages: u64,
    /// Trails of credentials, and reads that were looked at early ([`TRAILS`], [`READS_WAITING`]).
    pub trails: u64,
    /// Tracks ([`TRACKS`]).
    pub tracks: u64,
    /// Beginnings of patterns, and keys they kept apart ([`KEYS_PER_PATTERN`] and what the site file allows).
    pub beginnings: u64,
    /// Statements of feeds there was no room for ([`REFERENCES`]).
    pub statements: u64,
}

impl LetGo {
    /// Each by its name.
    pub fn each(&self) -> [(&'static str, u64); 5] {
        [
            ("passages", self.passages),
            ("trails", self.trails),
            ("tracks", self.tracks),
            ("beginnings of patterns", self.beginnings),
            ("statements of feeds", self.statements),
        ]
    }
}

/// Vehicles a lane holds at once: a 60 m lane and 4 m cars make fifteen; more than eight means a loop is stuck.
pub const VEHICLES_PER_LANE: usize = 8;
/// Plate reads kept of one vehicle: a camera at 10 reads/s over the two seconds a plate is well in view.
pub const READS_PER_VEHICLE: usize = 24;
/// Reads kept of all vehicles of one opening of an arm.
pub const READS_PER_OPENING: usize = 2 * READS_PER_VEHICLE;
/// Readings of the source's clock that the offset is estimated from.
pub const OFFSETS_PER_SENSOR: usize = 64;
/// Crossings, and grants nobody has used yet, remembered while an arm is open.
pub const CROSSINGS_PER_OPENING: usize = 16;
/// Statements of all feeds together.
pub const REFERENCES: usize = 20_000;
/// Mean loads a trend is fitted to, per mooring line.
pub const LOADS_PER_SENSOR: usize = 32;
/// Differences between measured and declared mass remembered per lane.
pub const RESIDUALS_PER_SCALE: usize = 31;
/// Credentials whose trail is remembered: a large terminal has some thousands of badges in use. The longest unseen goes.
pub const TRAILS: usize = 4096;
/// Reads kept of one credential: a shift has four to eight. The oldest goes.
pub const READS_PER_TRAIL: usize = 8;
/// Reads that wait to be looked at: 100 readers at a shift change. At the bound the oldest waits no longer.
pub const READS_WAITING: usize = 1024;
/// Situations of one rule in one zone that rest on single reads and may still be withdrawn. At the bound the oldest is closed.
pub const FINDINGS_PER_RULE: usize = 64;
/// Credentials whose usual hours in one zone are remembered. The longest unseen goes.
pub const HABITS_PER_ZONE: usize = 1024;
/// Grants, passages and refusals at one door that wait to be matched. The oldest goes.
pub const EVENTS_PER_DOOR: usize = 32;
/// Identities of messages remembered per sensor, to know a repeat: a line repeats what it just sent. The ledger remembers far
/// more; this is for what it let through.
pub const REPEATS_PER_SENSOR: usize = 24;
/// Passages of one lane that late evidence can still change: a turnstile lets one person through in a little more than a
/// second, and late words are waited for half a minute. At the bound the oldest is final early.
pub const PASSAGES_PER_LANE: usize = 24;
/// Edges of one end of a lane: as many passages, and loops that bounce.
pub const EDGES_PER_LOOP: usize = 64;
/// Reads, tags, codes and credentials of one lane that are not older than its oldest passage.
pub const HEARD_PER_LANE: usize = 192;
/// Readings of a scale: two minutes at two a second.
pub const WEIGHTS_PER_LANE: usize = 256;
/// Moving things known at once, of all sensors that give positions. At the bound the least believed goes, unconfirmed ones
/// first.
pub const TRACKS: usize = 1_024;
/// Measurements no track explains, kept for the next scan to be matched with: twice the tracks. At the bound new ones are
/// let go: they come again with the next scan.
pub const SEEDS: usize = 2 * TRACKS;
/// Sensors whose last record of a track is kept: what is said of it rests on these.
pub const SENSORS_PER_TRACK: usize = 4;
/// Words of the last seconds that a late one is put between: ten sensors at ten scans a second for five seconds. Beyond it
/// the span for late words shortens.
pub const WORDS: usize = 512;
/// Copies of the scene from which late words are worked in. Beyond it the oldest goes, and more is gone through again.
pub const SCENES: usize = 64;
/// Tracks that have a name, those included that were lost a moment ago and may be found again. At the bound the one lost
/// longest ago goes.
pub const NAMED_TRACKS: usize = 2 * TRACKS;
/// Vessels whose own word is held against scanners in one zone. The one heard longest ago goes.
pub const VESSELS_IN_DOUBT: usize = 64;
/// What waits for one pattern in one zone until what came before it should have been heard: three seconds at 80 words a
/// second. At the bound the oldest waits no longer.
pub const EVENTS_WAITING: usize = 256;
/// Plates, credentials, sensors or things that one pattern keeps apart in one zone. The one heard of longest ago goes.
pub const KEYS_PER_PATTERN: usize = 256;
/// What was seen of the steps of a pattern that has no order, for each key. The oldest goes.
pub const HITS_OF_ANY: usize = 64;
/// What was seen of expected and forbidden things, for each key of a pattern. The oldest goes.
pub const SOFT_PER_KEY: usize = 64;
/// Things that one pattern follows in one zone. Beyond it those that came first are followed.
pub const TRACKS_PER_PATTERN: usize = 64;
/// Situations that one pattern remembers to have counted. The oldest goes.
pub const SAID_REMEMBERED: usize = 64;
/// Steps that one pattern's automata may take for one record. Origin: a step takes some 20 ns, and 1,000 patterns that all
/// hear one sensor must not hold up a gateway for longer than the 50 ms between two polls of a loop.
pub const STEPS_PER_RECORD: u32 = 256;
