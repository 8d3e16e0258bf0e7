//! The most of everything. At a bound the oldest goes, and what is counted there says so.

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
/// Weight of one piece of evidence, and of everything that shares a failure domain, in log-odds: a factor of about 400.
/// Whatever fails together must not be able to prove anything alone.
pub const MOST_WEIGHT: f64 = 6.0;
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
