//! Patterns that a site engineer writes in the site file: what must be seen, in which order and within which time, for
//! something to be said.
//!
//! A [`Pattern`] is made by [`Pattern::new`] or not at all: whoever has one knows that it is bounded in time and size, that
//! each of its steps can be true, and that nothing in it points nowhere. Whether its zones, sensors and kinds exist is the
//! site's matter and is judged where the site is read.
//!
//! What is seen is told by [`Step`]s. In a [`Shape::Seq`] they follow each other; in a [`Shape::Of`] so many of them are
//! seen in any order. A step can be required or forbidden. An [`Expect`] is neither: whether it is seen or missing makes the
//! conclusion more or less probable.

mod judge;
mod says;

pub use says::Says;

use super::{Role, rules::Mode};
use crate::{
    names::{PatternId, SensorId, ZoneId},
    observation::ObjectClass,
    situation::{Severity, Urgency},
};
use alloc::{format, string::String, vec::Vec};
use core::{ops::Deref, time::Duration};
use serde::{Deserialize, Serialize};

/// Steps of one pattern.
pub const MOST_STEPS: usize = 16;
/// Expectations of one pattern.
pub const MOST_EXPECTED: usize = 8;
/// States of one pattern: its steps, each as often as it must be seen.
pub const MOST_STATES: usize = 64;
/// Beginnings that wait for their end, for each key.
pub const MOST_PARTIAL: u16 = 64;
/// The longest a pattern waits. Origin: no shift is longer than 12 h, and a day covers what happens once a day.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The shortest time that is worth telling apart: sensors are polled every 50 ms.
pub const SHORTEST: Duration = Duration::from_millis(50);
/// The most one weight may be, in log-odds; as for all evidence.
pub const MOST_WEIGHT: f64 = 6.0;
/// The longest guard in bytes: ten lines.
pub const LONGEST_GUARD: usize = 1024;
/// The longest sentence in characters.
pub const LONGEST_SENTENCE: usize = 160;

/// A pattern that is in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Pattern(Parts);

/// What a pattern is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Where it is looked for; every zone that has a sensor for each of its steps if empty.
    pub zones: Vec<ZoneId>,
    /// Who hears of it.
    pub mode: Mode,
    /// What tells one thing from another: each has beginnings of its own.
    pub key: Key,
    /// How the steps belong together.
    pub shape: Shape,
    /// What is looked for.
    pub steps: Vec<Step>,
    /// What is expected beside it.
    pub expect: Vec<Expect>,
    /// From the first step to the last.
    pub within: Duration,
    /// What a match uses up.
    pub skip: Skip,
    /// Beginnings kept for each key, 1 to 64; the oldest goes and is counted.
    pub max_partial: u16,
    /// An expression that must hold as well; what it may say is the daemon's matter.
    pub guard: Option<String>,
    /// What is said.
    pub emit: Emit,
}

/// What tells one thing from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// All that happens in the zone belongs together.
    #[default]
    Zone,
    /// Each sensor by itself.
    Sensor,
    /// Each number plate, by its letters.
    Plate,
    /// Each credential.
    Credential,
    /// Each thing that a source gives a name of its own.
    Object,
}

/// How steps belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// One after the other; what else happens between them does not matter.
    Seq,
    /// So many of them, in any order.
    Of {
        /// How many.
        least: u8,
        /// Whether they are counted as failure domains: what fails together is one.
        independent: bool,
    },
}

/// What a match uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Everything of the same key that began before it ended.
    #[default]
    PastLast,
    /// Only what it began with: matches may overlap.
    ToNext,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What others call it.
    pub name: Option<String>,
    /// Who says it.
    pub on: Source,
    /// What is said.
    pub says: Says,
    /// What a system of record must say of it.
    pub compare: Option<Compare>,
    /// How often, at least.
    pub least: u16,
    /// And at most, until the next step or until its time is over; `None` for any number.
    pub most: Option<u16>,
    /// In how much time after the step before; for a first step that is seen several times, from the first to the last.
    pub within: Option<Duration>,
    /// How long it must stay so.
    pub lasts: Option<Duration>,
    /// It must not be seen: until the next step, or for `within` if it is the last.
    pub absent: bool,
    /// What it is worth in log-odds; from the sensor's rates if not given.
    pub weight: Option<f64>,
    /// In words, as a fact: "the arm went up".
    pub words: Option<String>,
}

/// Who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Sensors of a role, in the pattern's zone or in another.
    Role {
        /// What they are there.
        role: Role,
        /// Where, if not in the pattern's own zone.
        zone: Option<ZoneId>,
    },
    /// One sensor.
    Sensor(SensorId),
    /// What the gateway said of the zone: a kind, or a family of kinds with a `*` at its end.
    Situation(String),
    /// What is followed in the zone by its position.
    Track {
        /// Only of this class; of any if not given.
        class: Option<ObjectClass>,
        /// What it is near to; then [`Says::Near`] says how near.
        near: Option<NearTo>,
    },
}

/// What something is near to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NearTo {
    /// The outline of a zone, from outside or inside.
    Zone(ZoneId),
    /// Something else that is followed in the same zone: of a class, or anything.
    Track(Option<ObjectClass>),
}

/// What a system of record must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// A booking names the plate (or none does). A stale list says neither.
    Booked(bool),
    /// The roster has the holder here at this time (or knows the holder and has not). A stale roster says neither.
    OnDuty(bool),
}

/// Something that is expected beside the steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Who says it.
    pub on: Source,
    /// What is said.
    pub says: Says,
    /// It is expected not to be seen.
    pub absent: bool,
    /// When it is looked for.
    pub span: Span,
    /// What it is worth in log-odds if it is seen; from the sensor's rates if not given.
    pub seen: Option<f64>,
    /// What it is worth in log-odds if it is not; from the sensor's rates if not given.
    pub missing: Option<f64>,
    /// In words.
    pub words: Option<String>,
}

/// When something is looked for. Steps are given by their place among the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// From the first step to the last.
    Throughout,
    /// From one step to another.
    Between(u8, u8),
    /// For some time after a step.
    After(u8, Duration),
    /// For some time before a step.
    Before(u8, Duration),
}

/// What is said of a match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Emit {
    /// One sentence for a radio, without place and time: "a second truck passed on one grant".
    pub headline: String,
    /// What is made of it.
    pub assessment: String,
    /// What to do.
    pub action: Option<String>,
    /// What else it could be.
    pub otherwise: Option<String>,
    /// Probability before any evidence.
    pub prior: f64,
    /// Say so from this probability on.
    pub min_p: f64,
    /// How bad.
    pub severity: Severity,
    /// How soon something must be done.
    pub urgency: Urgency,
    /// So long after the last match it is over, where nothing says that it still is so.
    pub ends_after: Duration,
    /// How long a recipient has to answer.
    pub answer_within: Option<Duration>,
}

/// Why a pattern is refused: where, what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which part of it.
    pub at: At,
    /// The key in the site file.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The pattern itself.
    Pattern,
    /// One of its steps, by place.
    Step(usize),
    /// One of its expectations, by place.
    Expect(usize),
    /// What it says.
    Emit,
}

impl Pattern {
    /// Judges the parts: a pattern, or everything that is wrong with them.
    pub fn new(parts: Parts) -> Result<Self, Vec<Refused>> {
        let refused = judge::all(&parts);
        if refused.is_empty() { Ok(Self(parts)) } else { Err(refused) }
    }

    /// The steps that must be seen, by their places.
    pub fn required(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(|(_, step)| !step.absent)
    }

    /// What it listens to: its steps and what it expects.
    pub fn sources(&self) -> impl Iterator<Item = (&Source, Says)> {
        let steps = self.steps.iter().map(|step| (&step.on, step.says));
        steps.chain(self.expect.iter().map(|expect| (&expect.on, expect.says)))
    }
}

impl Deref for Pattern {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl TryFrom<Parts> for Pattern {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        Self::new(parts).map_err(|refused| {
            let first = refused.first().map_or("", |refused| refused.what.as_str());
            format!("a pattern that is not in order: {first}")
        })
    }
}

impl From<Pattern> for Parts {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl PatternId {
    /// The kind of situation a pattern of this name says: kinds of patterns have a family of their own, so that none can be
    /// taken for a rule's.
    pub fn kind(&self) -> String {
        format!("{FAMILY}{}", self.as_str())
    }
}

/// How the kinds of all patterns begin.
pub const FAMILY: &str = "site.";
