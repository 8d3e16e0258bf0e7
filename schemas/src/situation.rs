//! What the gateway concludes. A situation opens, is revised, closes or is retracted; it never leaves the gateway: what
//! leaves is one product per recipient, built from it by sharing.

use crate::{
    names::{DomainId, SensorId, ZoneId},
    observation::{Media, NoData},
    record::Position,
    sealed::{FieldClass, Private},
    site::{Status, rules::Mode},
    time::{ClockQuality, GatewayTime, WallTime},
};
use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};
use serde::{Deserialize, Serialize};

/// What the gateway concludes, with everything its explanation needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    /// UUIDv8 from keyed BLAKE3 over site, rule, zone and the log position of the first accepted evidence.
    pub id: SituationId,
    /// 1 when it opens, then one more each time it changes.
    pub revision: u32,
    /// Where in its life it is.
    pub phase: Phase,
    /// What kind of thing, dotted: `gate.tailgating`.
    pub kind: String,
    /// Where.
    pub zone: ZoneId,
    /// Since when, corrected for the sources' clocks.
    pub from: WallTime,
    /// Until when, once that is known.
    pub until: Option<WallTime>,
    /// When this was concluded, on the clock that orders: the stamp of the record or the due time of the deadline that
    /// led to it.
    pub concluded: GatewayTime,
    /// The same moment on the clock people read.
    pub concluded_wall: WallTime,
    /// How far that clock could be trusted.
    pub clock: ClockQuality,
    /// Log-odds before evidence.
    pub prior: f64,
    /// Log-odds with it: `prior` and all the evidence's weights, in order.
    pub log_odds: f64,
    /// Calibrated probability.
    pub probability: f64,
    /// How bad.
    pub severity: Severity,
    /// How soon something must be done.
    pub urgency: Urgency,
    /// One sentence for a radio, without place and time: "a second truck passed on one grant".
    pub headline: Phrase,
    /// What was seen.
    pub facts: Vec<Phrase>,
    /// What is made of it, apart from the facts.
    pub assessment: Phrase,
    /// What to do, most informed first: a recipient gets the first it may read.
    pub actions: Vec<Action>,
    /// Who or what it is about.
    pub subjects: Vec<Subject>,
    /// What spoke for it and against it.
    pub evidence: Vec<Evidence>,
    /// What should have spoken and did not.
    pub missing: Vec<Missing>,
    /// What else it could be, likeliest first.
    pub alternatives: Vec<Alternative>,
    /// Footage that may show it.
    pub media: Vec<(SensorId, Media)>,
    /// Whether it is meant.
    pub status: Status,
    /// ISPS level it was concluded under, 1 to 3.
    pub security_level: u8,
    /// Rule and version: `gate.tailgating@1.0`.
    pub rule: String,
    /// Names the frozen set of rates and calibration it was concluded with.
    pub model: String,
    /// Whether recipients are told.
    pub mode: Mode,
    /// How long a recipient has to answer; `None` if no answer is asked for.
    pub answer_within: Option<Duration>,
}

impl Situation {
    /// CAP words for how sure.
    pub fn certainty(&self) -> Certainty {
        Certainty::of(self.probability)
    }
}

/// Identity of a situation; never derived from an identity of a person or from a time that may be revised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SituationId(pub [u8; 16]);

impl SituationId {
    /// The id of the situation that `rule` opens in `zone` on the evidence at `first`.
    pub fn of(key: &[u8; 32], site: &str, rule: &str, zone: &ZoneId, first: Position) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        for part in [site.as_bytes(), rule.as_bytes(), zone.as_str().as_bytes(), &first.0.to_le_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id[6] = id[6] & 0x0f | 0x80; // version 8, RFC 9562 section 5.8
        id[8] = id[8] & 0x3f | 0x80; // variant
        Self(id)
    }
}

impl fmt::Display for SituationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Where in its life a situation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Said for the first time.
    Opened,
    /// Said again, with more or other evidence.
    Revised,
    /// Over.
    Closed,
    /// Was wrong.
    Retracted,
}

/// How sure, in CAP 1.2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Certainty {
    /// Not expected to be so (p about 0).
    Unlikely,
    /// p up to about one half.
    Possible,
    /// More likely than not.
    Likely,
    /// p at least 0.99: determined to be so.
    Observed,
}

impl Certainty {
    /// CAP 1.2 puts *Likely* above 0.5 and *Possible* at or below; *Observed* and *Unlikely* are ours at 0.99 and 0.05.
    pub fn of(probability: f64) -> Self {
        match probability {
            p if p >= 0.99 => Self::Observed,
            p if p > 0.5 => Self::Likely,
            p if p > 0.05 => Self::Possible,
            _ => Self::Unlikely,
        }
    }
}

/// How bad, in CAP 1.2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Severity {
    Minor,
    Moderate,
    Severe,
    Extreme,
}

/// How soon something must be done, in CAP 1.2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Urgency {
    Past,
    Future,
    Expected,
    Immediate,
}

/// Words with holes: what goes into a hole is decided per recipient by its class, so that a withheld value cannot hide in
/// a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phrase(pub Vec<Part>);

/// A part of a [`Phrase`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Words without any value in them. Their class is the phrase's place (a fact is operational).
    Words(String),
    /// A moment, rendered in UTC.
    Time(WallTime),
    /// A value of a class: shown, masked, replaced by the recipient's pseudonym, or replaced by `…`.
    Value {
        /// Its class.
        class: FieldClass,
        /// The value.
        value: Private,
    },
    /// Parts that are left out as a whole unless the class is shown.
    Detail {
        /// Their class.
        class: FieldClass,
        /// The parts.
        parts: Vec<Part>,
    },
}

impl Phrase {
    /// A phrase of plain words.
    pub fn words(text: impl Into<String>) -> Self {
        Self(alloc::vec![Part::Words(text.into())])
    }

    /// This phrase and more words.
    pub fn then(mut self, text: impl Into<String>) -> Self {
        self.0.push(Part::Words(text.into()));
        self
    }

    /// This phrase and a value of a class.
    pub fn value(mut self, class: FieldClass, value: Private) -> Self {
        self.0.push(Part::Value { class, value });
        self
    }

    /// This phrase and a moment.
    pub fn at(mut self, time: WallTime) -> Self {
        self.0.push(Part::Time(time));
        self
    }

    /// This phrase and a phrase that is only for those who may see `class`.
    pub fn detail(mut self, class: FieldClass, detail: Phrase) -> Self {
        self.0.push(Part::Detail { class, parts: detail.0 });
        self
    }
}

/// What to do, for those who may see a class of field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// A recipient for whom this class is shown gets this action.
    pub needs: FieldClass,
    /// The same in few words, for the one text that is read over a radio.
    pub brief: Phrase,
    /// What to do.
    pub text: Phrase,
}

/// Who or what a situation is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is in the situation: `vehicle.granted`, `vehicle.following`, `person`, `line`.
    pub role: String,
    /// Its identity, if one was read, by what it is: `plate`, `container`, `tag`, `handle`.
    pub identities: Vec<SubjectIdentity>,
}

/// One identity of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectIdentity {
    /// What kind of identity.
    pub kind: IdentityKind,
    /// The likeliest value.
    pub value: Private,
    /// Probability that it is this one.
    pub probability: f64,
    /// Other values, likeliest first.
    pub alternatives: Vec<Private>,
    /// Which sensors read it: the product of a recipient who may not have those sensors must not have the value.
    pub read_by: Vec<SensorId>,
}

/// What kind of identity a subject has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IdentityKind {
    Plate,
    Container,
    Tag,
    Handle,
}

impl IdentityKind {
    /// The class such an identity is of.
    pub fn class(self) -> FieldClass {
        match self {
            Self::Plate | Self::Container | Self::Tag => FieldClass::QuasiIdentity,
            Self::Handle => FieldClass::Identity,
        }
    }
}

/// One thing that spoke for or against a situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The sensor.
    pub sensor: SensorId,
    /// The records it rests on; empty for an absence.
    pub positions: Vec<Position>,
    /// What the sensor said, in words.
    pub said: Phrase,
    /// Log-odds it added (for) or took (against).
    pub weight: f64,
    /// How it speaks.
    pub side: Side,
    /// What the sensor fails together with.
    pub domain: DomainId,
}

/// How evidence speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// For the situation.
    For,
    /// Against it.
    Against,
    /// By being absent although the sensor was healthy.
    Absent,
}

/// A sensor that should have spoken and could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The sensor.
    pub sensor: SensorId,
    /// Why.
    pub why: NoData,
    /// Since when, if that is known.
    pub since: Option<WallTime>,
}

/// What else it could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// In words.
    pub text: Phrase,
    /// How probable.
    pub probability: f64,
}
