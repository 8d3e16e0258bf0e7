//! What a site engineer may set on each rule: one struct per rule, every value with its unit, default and the default's
//! origin. A rule that is not in the site file runs nowhere, except `sensor-silent` and `node-tamper`, which run
//! everywhere in mode `tell` unless the file says otherwise: a gateway that is not told what to look for still says when
//! it can no longer look.

use crate::names::ZoneId;
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
}

/// `[rules.passage]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// A vehicle must have left the lane within this time of entering it. Default 90 s: the slowest truck with a
    /// paper check at the arm.
    pub within: Duration,
    /// How long after the last loop falls a late plate or weight still belongs to the passage. Default 5 s: rear
    /// cameras report up to 4 s after the vehicle.
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

impl Default for Passage {
    fn default() -> Self {
        Self { within: Duration::from_secs(90), settle: Duration::from_secs(5) }
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
