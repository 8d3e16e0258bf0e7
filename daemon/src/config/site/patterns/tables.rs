//! The tables of patterns as they are written.

use crate::config::{
    site::tables::List,
    values::{
        Metres, Number, Share, Span, Text,
        site::{Amount, ClassWord, SaysWord, Times, TrackWord},
    },
    written::{Inner, Word, Written},
};
use quaywatch_schemas::{
    SensorId, ZoneId,
    site::{
        Role,
        patterns::{Key, Skip},
        rules::Mode,
    },
    situation::{Severity, Urgency},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to look for beside the rules. Exactly one of `seq`, `all`, `any` and `of` says how the steps belong together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PatternTable {
    /// Where it is looked for. Default: every zone that has a sensor for each step.
    pub(super) zones: List<ZoneId>,
    /// "observe" keeps what it says on the gateway, "tell" tells the recipients. Default: observe.
    pub(super) mode: Option<Written<Word<Mode>>>,
    /// What tells one thing from another: zone, sensor, plate, credential or object. Default: zone.
    pub(super) key: Option<Written<Word<Key>>>,
    /// Steps that follow each other; what else happens between them does not matter.
    pub(super) seq: List<StepTable>,
    /// Steps that are all seen, in any order.
    pub(super) all: List<StepTable>,
    /// Steps of which one is seen.
    pub(super) any: List<StepTable>,
    /// Steps of which `least` are seen, in any order.
    pub(super) of: List<StepTable>,
    /// How many of `of`.
    pub(super) least: Option<Written<u8>>,
    /// `of`: count failure domains, not steps: what fails together is one. Default: false.
    pub(super) independent: Option<Written<bool>>,
    /// What is expected beside the steps: whether it is seen or missing changes how probable it is.
    pub(super) expect: List<ExpectTable>,
    /// From the first step to the last. Can be left out of a seq whose steps each have their own.
    pub(super) within: Option<Written<Span>>,
    /// What a match uses up: "past_last" all that began before it ended, "to_next" only its own first step. Default: past_last.
    pub(super) skip: Option<Written<Word<Skip>>>,
    /// Beginnings kept for each key; the oldest goes. Default: 4.
    pub(super) max_partial: Option<Written<u16>>,
    /// A CEL expression that must hold as well, such as 'seconds < 10 && closed'.
    pub(super) guard: Option<Written<Guard>>,
    /// What is said.
    #[schemars(required)]
    pub(super) emit: Option<Written<EmitTable>>,
}

/// One step. Exactly one of `role`, `sensor`, `situation` and `track` says who says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct StepTable {
    /// Sensors of a role.
    pub(super) role: Option<Written<Word<Role>>>,
    /// In another zone than the pattern's.
    pub(super) zone: Option<Written<ZoneId>>,
    /// One sensor.
    pub(super) sensor: Option<Written<SensorId>>,
    /// What the gateway said of the zone: a kind such as "gate.passage", or "gate.*".
    pub(super) situation: Option<Written<Text>>,
    /// What is followed in the zone by its position: a class such as "person", or "any".
    pub(super) track: Option<Written<Word<TrackWord>>>,
    /// `track`: near a zone's outline.
    pub(super) near_zone: Option<Written<ZoneId>>,
    /// `track`: near something else that is followed: a class, or "any".
    pub(super) near_track: Option<Written<Word<TrackWord>>>,
    /// `near_zone` and `near_track`: how near.
    pub(super) nearer: Option<Written<Metres>>,
    /// What is said. Default: what a sensor of this role says when something is there.
    pub(super) is: Option<Written<Word<SaysWord>>>,
    /// `is = "seen"`: only of this class.
    pub(super) class: Option<Written<Word<ClassWord>>>,
    /// So many people at least.
    pub(super) people: Option<Written<u32>>,
    /// A value above this.
    pub(super) above: Option<Written<Amount>>,
    /// A value below this.
    pub(super) below: Option<Written<Amount>>,
    /// `above` and `below`: until the value is here. Default: the limit itself.
    pub(super) clear: Option<Written<Amount>>,
    /// A value that rises by this much `during` some time.
    pub(super) rises: Option<Written<Amount>>,
    /// A value that falls by this much `during` some time.
    pub(super) falls: Option<Written<Amount>>,
    /// `rises` and `falls`: in how much time.
    pub(super) during: Option<Written<Span>>,
    /// `situation`: only with this probability. Default: 0.5.
    pub(super) min_p: Option<Written<Share>>,
    /// Plates: whether a booking names it.
    pub(super) booked: Option<Written<bool>>,
    /// Credentials: whether the roster has the holder here now.
    pub(super) on_duty: Option<Written<bool>>,
    /// How often: "3" or "3.." at least, "2..5" at least and at most. Default: once or more.
    pub(super) count: Option<Written<Times>>,
    /// In how much time after the step before; of a first step with a count, from the first to the last.
    pub(super) within: Option<Written<Span>>,
    /// How long it must stay so.
    pub(super) lasts: Option<Written<Span>>,
    /// It must not be seen until the next step; as the last step, for `within`.
    pub(super) absent: Option<Written<bool>>,
    /// It may be missing: then it is less probable.
    pub(super) expect: Option<Written<bool>>,
    /// What others call it.
    pub(super) r#as: Option<Written<Text>>,
    /// What it is worth in log-odds. Default: by the sensor's rates.
    pub(super) weight: Option<Written<Number>>,
    /// In words, as a fact: "the arm went up".
    pub(super) says: Option<Written<Text>>,
}

/// Something that is expected beside the steps. Exactly one of `role`, `sensor`, `situation` and `track` says who says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ExpectTable {
    /// Sensors of a role.
    pub(super) role: Option<Written<Word<Role>>>,
    /// In another zone than the pattern's.
    pub(super) zone: Option<Written<ZoneId>>,
    /// One sensor.
    pub(super) sensor: Option<Written<SensorId>>,
    /// What the gateway said of the zone.
    pub(super) situation: Option<Written<Text>>,
    /// What is followed in the zone by its position: a class such as "person", or "any".
    pub(super) track: Option<Written<Word<TrackWord>>>,
    /// `track`: near a zone's outline.
    pub(super) near_zone: Option<Written<ZoneId>>,
    /// `track`: near something else that is followed: a class, or "any".
    pub(super) near_track: Option<Written<Word<TrackWord>>>,
    /// `near_zone` and `near_track`: how near.
    pub(super) nearer: Option<Written<Metres>>,
    /// What is said. Default: what a sensor of this role says when something is there.
    pub(super) is: Option<Written<Word<SaysWord>>>,
    /// `is = "seen"`: only of this class.
    pub(super) class: Option<Written<Word<ClassWord>>>,
    /// So many people at least.
    pub(super) people: Option<Written<u32>>,
    /// A value above this.
    pub(super) above: Option<Written<Amount>>,
    /// A value below this.
    pub(super) below: Option<Written<Amount>>,
    /// `above` and `below`: until the value is here.
    pub(super) clear: Option<Written<Amount>>,
    /// `situation`: only with this probability. Default: 0.5.
    pub(super) min_p: Option<Written<Share>>,
    /// It is expected not to be seen: that it is missing speaks for the conclusion.
    pub(super) absent: Option<Written<bool>>,
    /// From one step to another, by their names. Default: from the first to the last.
    pub(super) between: List<Text>,
    /// After a step, `within` some time.
    pub(super) after: Option<Written<Text>>,
    /// Before a step, `within` some time.
    pub(super) before: Option<Written<Text>>,
    /// `after` and `before`: in how much time.
    pub(super) within: Option<Written<Span>>,
    /// What it is worth in log-odds if it is seen. Default: by the sensor's rates.
    pub(super) seen: Option<Written<Number>>,
    /// What it is worth in log-odds if it is missing. Default: by the sensor's rates.
    pub(super) missing: Option<Written<Number>>,
    /// In words, as a fact.
    pub(super) says: Option<Written<Text>>,
}

/// What is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct EmitTable {
    /// One sentence for a radio, without place and time: "a second truck passed on one grant".
    #[schemars(required)]
    pub(super) headline: Option<Written<Text>>,
    /// What is made of it.
    #[schemars(required)]
    pub(super) assessment: Option<Written<Text>>,
    /// What to do.
    pub(super) action: Option<Written<Text>>,
    /// What else it could be.
    pub(super) otherwise: Option<Written<Text>>,
    /// Probability before any evidence. Default: 0.02.
    pub(super) prior: Option<Written<Share>>,
    /// Say so from this probability on. Default: 0.5.
    pub(super) min_p: Option<Written<Share>>,
    /// How bad, in CAP's words. Default: Moderate.
    pub(super) severity: Option<Written<Word<Severity>>>,
    /// How soon something must be done, in CAP's words. Default: Immediate.
    pub(super) urgency: Option<Written<Word<Urgency>>>,
    /// So long after the last match it is over, where nothing says that it still is so. Default: 60 s.
    pub(super) ends_after: Option<Written<Span>>,
    /// How long a recipient has to answer. Default: no answer is asked for.
    pub(super) answer_within: Option<Written<Span>>,
}

/// The text of a guard, over several lines if its author likes.
#[derive(Debug)]
pub(in crate::config) struct Guard(pub(super) String);

impl Inner for StepTable {
    const EXPECTED: &'static str = "a step such as { role = \"loop.exit\", within = \"14 s\" }";
}

impl Inner for ExpectTable {
    const EXPECTED: &'static str = "an expectation such as { role = \"grant\", absent = true }";
}

impl Inner for EmitTable {
    const EXPECTED: &'static str = "a table such as { headline = \"…\", assessment = \"…\" }";
}

impl crate::config::written::Value for Guard {
    const EXPECTED: &'static str = "an expression such as 'seconds < 10 && closed'";

    fn text(text: &str) -> Result<Self, crate::config::written::Fault> {
        Ok(Self(text.into()))
    }

    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": Self::EXPECTED, "type": "string", "minLength": 1, "maxLength": 1024 })
    }
}
