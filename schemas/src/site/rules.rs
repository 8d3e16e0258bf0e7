//! What a site engineer may set on each rule: one struct per rule, every value with its unit, default and the default's
//! origin. A rule that is not in the site file runs nowhere, except `sensor-silent` and `node-tamper`, which run
//! everywhere in mode `tell` unless the file says otherwise: a gateway that is not told what to look for still says when
//! it can no longer look.

use crate::{names::ZoneId, observation::ObjectClass};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Who hears of a rule's situations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Kept on the gateway; verdicts are counted. Every new rule starts here.
    #[default]
    Observe,
    /// Recipients are told.
    Tell,
}

/// A rule, where it runs and how it is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule<Settings> {
    /// Where; all zones the rule can run in if empty.
    pub zones: Vec<ZoneId>,
    /// Who hears of it.
    pub mode: Mode,
    /// Its own settings.
    pub settings: Settings,
}

impl<Settings: Default> Rule<Settings> {
    /// Everywhere, with defaults.
    pub fn everywhere(mode: Mode) -> Self {
        Self { zones: Vec::new(), mode, settings: Settings::default() }
    }
}

impl<Settings> Rule<Settings> {
    /// Whether the rule runs in `zone`.
    pub fn runs_in(&self, zone: &ZoneId) -> bool {
        self.zones.is_empty() || self.zones.contains(zone)
    }
}

/// All rules of a site. `None` means the rule is not run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// One vehicle through one lane: loops, plates, weight, grant.
    pub passage: Option<Rule<Passage>>,
    /// A vehicle passed on somebody else's grant.
    pub tailgating: Option<Rule<Tailgating>>,
    /// The arm left its closed position without a grant.
    pub barrier_forced: Option<Rule<BarrierForced>>,
    /// Measured and declared mass disagree.
    pub weight_mismatch: Option<Rule<WeightMismatch>>,
    /// Somebody is on a quay, at a berth or at a fence where nobody may be.
    pub quay_presence: Option<Rule<QuayPresence>>,
    /// A mooring line nears its limit.
    pub mooring_overload: Option<Rule<MooringOverload>>,
    /// A sensor stopped saying what it should.
    pub sensor_silent: Option<Rule<SensorSilent>>,
    /// A sensor went blind shortly before somebody entered.
    pub blinded_before_access: Option<Rule<BlindedBeforeAccess>>,
    /// A node or cabinet was opened or handled.
    pub node_tamper: Option<Rule<NodeTamper>>,
    /// A vehicle passed that no booking names.
    pub unbooked: Option<Rule<Unbooked>>,
    /// Tag and plate belong to different vehicles.
    pub tag_mismatch: Option<Rule<TagMismatch>>,
    /// A vehicle carries another container than its booking names.
    pub container_mismatch: Option<Rule<ContainerMismatch>>,
    /// A vehicle passed a lane against its direction.
    pub wrong_way: Option<Rule<WrongWay>>,
    /// Somebody or something stays longer in a zone than it should.
    pub dwell: Option<Rule<Dwell>>,
    /// A vessel is seen that does not say who it is.
    pub small_craft: Option<Rule<SmallCraft>>,
    /// A credential went in twice without coming out, or out twice.
    pub pass_back: Option<Rule<PassBack>>,
    /// A credential was at two readers sooner than anybody gets from one to the other.
    pub impossible_travel: Option<Rule<ImpossibleTravel>>,
    /// A credential was used outside its holder's shift.
    pub out_of_hours: Option<Rule<OutOfHours>>,
    /// A credential was used where its holder's role may not be.
    pub out_of_zone: Option<Rule<OutOfZone>>,
    /// A credential is in a zone it was never in before, at an hour unusual for it.
    pub first_time_zone: Option<Rule<FirstTimeZone>>,
    /// A credential was refused and another opened the same door straight after.
    pub denied_then_granted: Option<Rule<DeniedThenGranted>>,
    /// Passage was granted and nobody passed.
    pub not_taken: Option<Rule<NotTaken>>,
    /// A door stood open, or opened without leave.
    pub door_held: Option<Rule<DoorHeld>>,
    /// More people passed than credentials were read.
    pub on_foot: Option<Rule<OnFoot>>,
    /// A sensor no longer reports what others prove was there.
    pub sensor_blind: Option<Rule<SensorBlind>>,
    /// A sensor no longer changes while others show that it should.
    pub sensor_stuck: Option<Rule<SensorStuck>>,
    /// What a sensor measures moves away from what is declared or what others measure.
    pub sensor_drift: Option<Rule<SensorDrift>>,
    /// A source's clock was set.
    pub clock_step: Option<Rule<ClockStep>>,
    /// A sensor contradicts the others too often to be believed.
    pub sensor_conflict: Option<Rule<SensorConflict>>,
}

/// `[rules.passage]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// A vehicle must have left the lane within this time of entering it. Default 90 s: the slowest truck with a
    /// paper check at the arm.
    pub within: Duration,
    /// How long after the last loop falls a late word still changes what was said of the passage. Default 30 s: rear
    /// cameras report up to 4 s after the vehicle, and a line that was cut for a moment up to half a minute.
    pub settle: Duration,
}

/// `[rules.tailgating]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tailgating {
    /// One grant admits one crossing for this long. Default 60 s: badge to second loop of the slowest truck took 41 s.
    pub grant_lasts: Duration,
    /// How long to wait for late evidence (a second plate) before the conclusion is final. Default 5 s.
    pub settle: Duration,
}

/// `[rules.barrier-forced]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BarrierForced {
    /// A grant this long before or after the opening explains it. Default 10 s before; PLC polls put the edge up to
    /// two polls after the arm.
    pub grant_within: Duration,
}

/// `[rules.weight-mismatch]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightMismatch {
    /// A difference smaller than this many kilograms is never a mismatch. Default 1000 kg: fuel, driver, tare tolerance
    /// (SOLAS VGM practice allows 5 % or 500 to 1000 kg).
    pub tolerance_kg: f64,
    /// A difference smaller than this share of the declared mass is never a mismatch. Default 0.05.
    pub tolerance_share: f64,
}

/// `[rules.quay-presence]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuayPresence {
    /// Probability before any evidence that somebody is there in one look. Default 0.001.
    pub prior: f64,
    /// Say so from this probability on. Default 0.9.
    pub tell_at: f64,
    /// Evidence loses half its weight in this time. Default 30 s: a person crosses a quay in about a minute.
    pub half_life: Duration,
    /// Wind at which a fence's false alarms are ten times those in calm, in m/s. Default 14 m/s (Beaufort 7).
    pub windy: f64,
}

/// `[rules.mooring-overload]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MooringOverload {
    /// Minimum breaking load of the lines in kilonewtons. No default: it is on the line's certificate.
    pub breaking_load_kn: f64,
    /// Say so above this share of the breaking load. Default 0.5: OCIMF MEG4 puts the working load limit of a line at
    /// half its design break force.
    pub warn_share: f64,
    /// And when the trend would reach it within this time. Default 10 min: time to call line handlers.
    pub ahead: Duration,
}

/// `[rules.sensor-silent]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorSilent {
    /// Say so after this many of its own silent periods. Default 2.
    pub periods: u32,
}

/// `[rules.blinded-before-access]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlindedBeforeAccess {
    /// An entry this soon after a sensor of the zone went blind is connected with it. Default 10 min.
    pub within: Duration,
}

/// `[rules.node-tamper]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeTamper {
    /// The same node's tampers within this time are one situation. Default 5 min.
    pub group: Duration,
}

/// `[rules.unbooked]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unbooked {
    /// Say so from this probability on. Default 0.5: likelier than not.
    pub least: f64,
}

/// `[rules.tag-mismatch]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagMismatch {
    /// Say so from this probability on. Default 0.5.
    pub least: f64,
}

/// `[rules.container-mismatch]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerMismatch {
    /// Say so from this probability on. Default 0.5.
    pub least: f64,
}

/// `[rules.wrong-way]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WrongWay {
    /// Say so from this probability on. Default 0.5.
    pub least: f64,
}

/// `[rules.dwell]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dwell {
    /// Longer than this is said. Default 15 min: a driver's paper check takes ten.
    pub longest: Duration,
    /// Of what is seen by position, only these; everything if empty.
    pub classes: Vec<ObjectClass>,
}

/// `[rules.small-craft]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmallCraft {
    /// How long it may be seen without a word of its own. Default 180 s: class B transponders at rest report every three
    /// minutes (ITU-R M.1371-5, table 2).
    pub answer_within: Duration,
    /// Only where it comes this near to a quay or berth of the site, in metres. Default 60 m.
    pub nearer_than_m: f64,
}

/// `[rules.pass-back]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassBack {
    /// An earlier passage counts for this long. Default 12 h: no shift is longer.
    pub within: Duration,
    /// Probability that a passage between was not read. Default 0.008: readers lose 5 to 10 of a thousand.
    pub lost_read: f64,
}

/// `[rules.impossible-travel]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImpossibleTravel {
    /// As fast as people walk, in m/s. Default 2.0: a brisk walk.
    pub walking: f64,
    /// As fast as anybody drives inside, in m/s. Default 9.0: the 30 km/h of most terminals.
    pub driving: f64,
}

/// `[rules.out-of-hours]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutOfHours {
    /// So long before and after a shift is no finding. Default 15 min.
    pub grace: Duration,
}

/// `[rules.out-of-zone]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutOfZone {
    /// Say so from this probability on. Default 0.5.
    pub least: f64,
}

/// `[rules.first-time-zone]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstTimeZone {
    /// How far back is looked. Default 35 days, the longest that handles live.
    pub history: Duration,
    /// Only of credentials seen this often: of a new one everything is new. Default 20.
    pub least_visits: u32,
}

/// `[rules.denied-then-granted]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeniedThenGranted {
    /// How soon after. Default 30 s.
    pub within: Duration,
}

/// `[rules.not-taken]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotTaken {
    /// How long a granted passage may take. Default 15 s: twice what a door stays unlocked.
    pub within: Duration,
}

/// `[rules.door-held]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoorHeld {
    /// A door may stand open this long. Default 30 s.
    pub longest: Duration,
    /// A grant this long before explains that it opened. Default 10 s.
    pub grant_within: Duration,
}

/// `[rules.on-foot]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnFoot {
    /// A read and a passage this close belong together. Default 10 s.
    pub within: Duration,
}

/// `[rules.sensor-blind]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorBlind {
    /// Say so from this probability on. Default 0.99: seven misses in a row of a reader that sees nine of ten, since the
    /// first of them also say that it misses more than was thought.
    pub least: f64,
}

/// `[rules.sensor-stuck]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorStuck {
    /// Say so from this probability on. Default 0.99.
    pub least: f64,
}

/// `[rules.sensor-drift]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorDrift {
    /// Sum of deviations at which it is decided (CUSUM), in standard deviations. Default 5: about one false finding in a
    /// thousand vehicles.
    pub decided_at: f64,
}

/// `[rules.clock-step]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockStep {
    /// A step smaller than this is no finding. Default 2 s.
    pub at_least: Duration,
}

/// `[rules.sensor-conflict]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorConflict {
    /// Say so from this probability on. Default 0.99.
    pub least: f64,
}

impl Default for Passage {
    fn default() -> Self {
        Self { within: Duration::from_secs(90), settle: Duration::from_secs(30) }
    }
}

impl Default for Tailgating {
    fn default() -> Self {
        Self { grant_lasts: Duration::from_secs(60), settle: Duration::from_secs(5) }
    }
}

impl Default for BarrierForced {
    fn default() -> Self {
        Self { grant_within: Duration::from_secs(10) }
    }
}

impl Default for WeightMismatch {
    fn default() -> Self {
        Self { tolerance_kg: 1000.0, tolerance_share: 0.05 }
    }
}

impl Default for QuayPresence {
    fn default() -> Self {
        Self { prior: 0.001, tell_at: 0.9, half_life: Duration::from_secs(30), windy: 14.0 }
    }
}

impl Default for SensorSilent {
    fn default() -> Self {
        Self { periods: 2 }
    }
}

impl Default for BlindedBeforeAccess {
    fn default() -> Self {
        Self { within: Duration::from_secs(600) }
    }
}

impl Default for NodeTamper {
    fn default() -> Self {
        Self { group: Duration::from_secs(300) }
    }
}

impl Default for Unbooked {
    fn default() -> Self {
        Self { least: 0.5 }
    }
}

impl Default for TagMismatch {
    fn default() -> Self {
        Self { least: 0.5 }
    }
}

impl Default for ContainerMismatch {
    fn default() -> Self {
        Self { least: 0.5 }
    }
}

impl Default for WrongWay {
    fn default() -> Self {
        Self { least: 0.5 }
    }
}

impl Default for Dwell {
    fn default() -> Self {
        Self { longest: Duration::from_secs(900), classes: Vec::new() }
    }
}

impl Default for SmallCraft {
    fn default() -> Self {
        Self { answer_within: Duration::from_secs(180), nearer_than_m: 60.0 }
    }
}

impl Default for PassBack {
    fn default() -> Self {
        Self { within: Duration::from_secs(12 * 3600), lost_read: 0.008 }
    }
}

impl Default for ImpossibleTravel {
    fn default() -> Self {
        Self { walking: 2.0, driving: 9.0 }
    }
}

impl Default for OutOfHours {
    fn default() -> Self {
        Self { grace: Duration::from_secs(900) }
    }
}

impl Default for OutOfZone {
    fn default() -> Self {
        Self { least: 0.5 }
    }
}

impl Default for FirstTimeZone {
    fn default() -> Self {
        Self { history: Duration::from_secs(35 * 86_400), least_visits: 20 }
    }
}

impl Default for DeniedThenGranted {
    fn default() -> Self {
        Self { within: Duration::from_secs(30) }
    }
}

impl Default for NotTaken {
    fn default() -> Self {
        Self { within: Duration::from_secs(15) }
    }
}

impl Default for DoorHeld {
    fn default() -> Self {
        Self { longest: Duration::from_secs(30), grant_within: Duration::from_secs(10) }
    }
}

impl Default for OnFoot {
    fn default() -> Self {
        Self { within: Duration::from_secs(10) }
    }
}

impl Default for SensorBlind {
    fn default() -> Self {
        Self { least: 0.99 }
    }
}

impl Default for SensorStuck {
    fn default() -> Self {
        Self { least: 0.99 }
    }
}

impl Default for SensorDrift {
    fn default() -> Self {
        Self { decided_at: 5.0 }
    }
}

impl Default for ClockStep {
    fn default() -> Self {
        Self { at_least: Duration::from_secs(2) }
    }
}

impl Default for SensorConflict {
    fn default() -> Self {
        Self { least: 0.99 }
    }
}
