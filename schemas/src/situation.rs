//! What the gateway concludes. A situation opens, is revised, closes or is retracted; it never leaves the gateway: what
//! leaves is one product per recipient, built from it by sharing.

use crate::{
    model::Calibration,
    names::{DomainId, SensorId, ZoneId},
    observation::{Media, NoData},
    record::Position,
    sealed::{FieldClass, Private},
    site::{Status, rules::Mode},
    time::{ClockQuality, GatewayTime, WallTime},
};
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{borrow::Borrow, fmt, time::Duration};
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
    /// Log-odds with it: `prior`, the weight of every piece of evidence in no capped group, and every group as it is after
    /// its cap ([`score`]).
    pub log_odds: f64,
    /// Calibrated probability: what `calibration` makes of `log_odds`.
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
    /// Evidence that fails together and was cut to what one failure domain may prove.
    pub groups: Vec<EvidenceGroup>,
    /// What should have spoken and did not.
    pub missing: Vec<Missing>,
    /// How the sensors were that it looked at, in name order: those that spoke and those that could have.
    pub sources: Vec<Source>,
    /// Weather and light when it was concluded: what a sensor's word is worth depends on them.
    pub conditions: Conditions,
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
    /// The calibration of its kind in that set.
    pub calibration: Calibration,
    /// Whether recipients are told.
    pub mode: Mode,
    /// How long a recipient has to answer; `None` if no answer is asked for.
    pub answer_within: Option<Duration>,
}

impl Situation {
    /// Calls `visit` for every value that a class of field stands beside. Sealing and opening both go through here.
    pub fn visit_private(&mut self, visit: &mut dyn FnMut(FieldClass, &mut Private)) {
        let actions = self.actions.iter_mut().flat_map(|action| [&mut action.brief, &mut action.text]);
        let phrases = [&mut self.headline, &mut self.assessment].into_iter().chain(&mut self.facts).chain(actions);
        let phrases = phrases.chain(self.evidence.iter_mut().map(|piece| &mut piece.said));
        let phrases = phrases.chain(self.alternatives.iter_mut().map(|alternative| &mut alternative.text));
        phrases.for_each(|phrase| visit_parts(&mut phrase.0, visit));
        for identity in self.subjects.iter_mut().flat_map(|subject| &mut subject.identities) {
            let class = identity.kind.class();
            visit(class, &mut identity.value);
            identity.alternatives.iter_mut().for_each(|value| visit(class, value));
        }
    }

    /// CAP words for how sure.
    pub fn certainty(&self) -> Certainty {
        Certainty::of(self.probability)
    }
}

fn visit_parts(parts: &mut [Part], visit: &mut dyn FnMut(FieldClass, &mut Private)) {
    for part in parts {
        match part {
            Part::Words(_) | Part::Time(_) => {}
            Part::Value { class, value } => visit(*class, value),
            Part::Detail { parts, .. } => visit_parts(parts, visit),
        }
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
    Words(Cow<'static, str>),
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
    pub fn words(text: impl Into<Cow<'static, str>>) -> Self {
        Self(alloc::vec![Part::Words(text.into())])
    }

    /// This phrase and more words.
    pub fn then(mut self, text: impl Into<Cow<'static, str>>) -> Self {
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
    /// Its own log-odds, for (positive) or against (negative), whatever else was said; at most [`MOST_WEIGHT`] either way.
    pub weight: f64,
    /// How it speaks.
    pub side: Side,
    /// What the sensor fails together with.
    pub domain: DomainId,
}

/// Weight of one piece of evidence, and of everything that shares a failure domain, in log-odds: a factor of about 400.
/// Whatever fails together must not be able to prove anything alone.
pub const MOST_WEIGHT: f64 = 6.0;

/// Pieces of evidence of one failure domain that speak the same way and together would prove more than a domain may: they
/// count as one term.
///
/// What speaks for and what speaks against is capped apart. Otherwise taking a piece away that held the others back would
/// raise a cap, and the piece would not have counted for what it is listed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceGroup {
    /// What its members fail together with.
    pub domain: DomainId,
    /// Its members, by their place in [`Situation::evidence`].
    pub members: Vec<u32>,
    /// The sum of their weights.
    pub before: f64,
    /// What they count for: [`MOST_WEIGHT`], or minus that.
    pub after: f64,
}

/// The score of evidence: `prior`, plus the weight of every piece in no capped group, plus every capped group once. Taking a
/// piece away that is in no capped group changes it by that piece's weight, whatever the others are.
pub fn score<E: Borrow<Evidence>>(prior: f64, evidence: &[E]) -> f64 {
    let pieces = || evidence.iter().map(Borrow::borrow);
    let terms = pieces().enumerate().filter_map(|(index, piece)| {
        let before = sum_of_group(evidence, piece);
        let first = || pieces().position(|other| together(other, piece)) == Some(index);
        match before.abs() > MOST_WEIGHT {
            false => Some(piece.weight),
            true => first().then(|| before.clamp(-MOST_WEIGHT, MOST_WEIGHT)),
        }
    });
    terms.fold(prior, |sum, term| sum + term)
}

/// The groups of evidence that hit the cap, in the order of their first members.
pub fn capped_groups<E: Borrow<Evidence>>(evidence: &[E]) -> Vec<EvidenceGroup> {
    let mut groups: Vec<EvidenceGroup> = Vec::new();
    for (piece, index) in evidence.iter().map(Borrow::borrow).zip(0..) {
        let before = sum_of_group(evidence, piece);
        if before.abs() <= MOST_WEIGHT {
            continue;
        }
        let same = |group: &&mut EvidenceGroup| group.domain == piece.domain && (group.before < 0.0) == (before < 0.0);
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(index),
            None => groups.push(EvidenceGroup {
                domain: piece.domain.clone(),
                members: alloc::vec![index],
                before,
                after: before.clamp(-MOST_WEIGHT, MOST_WEIGHT),
            }),
        }
    }
    groups
}

fn sum_of_group<E: Borrow<Evidence>>(evidence: &[E], of: &Evidence) -> f64 {
    evidence.iter().map(Borrow::borrow).filter(|other| together(other, of)).map(|other| other.weight).sum()
}

/// Whether two pieces are capped together: one domain, one direction.
fn together(one: &Evidence, other: &Evidence) -> bool {
    one.domain == other.domain && (one.weight < 0.0) == (other.weight < 0.0)
}

/// A sensor that a situation looked at, and how it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The sensor.
    pub sensor: SensorId,
    /// How it was when the situation was concluded.
    pub state: SourceState,
}

/// How a sensor was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// It could speak: its silence counts.
    Healthy,
    /// It has never said anything.
    NeverHeard,
    /// It could not speak.
    Unhealthy {
        /// Why.
        why: NoData,
        /// Since when.
        since: WallTime,
    },
}

/// Weather and light.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Whether it is dark outside.
    pub night: bool,
    /// Wind in m/s, if somebody measures it.
    pub wind: Option<f64>,
    /// Rain in mm/h, if somebody measures it.
    pub rain: Option<f64>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn evidence() -> impl Strategy<Value = Vec<Evidence>> {
        let piece = (0..4usize, -600..=600i32).prop_map(|(domain, hundredths)| Evidence {
            sensor: SensorId::new("s").unwrap(),
            positions: Vec::new(),
            said: Phrase::default(),
            weight: f64::from(hundredths) / 100.0,
            side: Side::For,
            domain: DomainId::new(["plc", "switch", "pole", "feed"][domain]).unwrap(),
        });
        proptest::collection::vec(piece, 0..12)
    }

    proptest! {
        /// In whatever order the pieces came: the same score, the same groups.
        #[test]
        fn the_order_of_the_pieces_does_not_matter(mut pieces in evidence(), prior in -7.0..7.0f64) {
            let (before, groups) = (score(prior, &pieces), capped_groups(&pieces).len());
            pieces.reverse();
            prop_assert!((score(prior, &pieces) - before).abs() < 1e-9);
            prop_assert_eq!(capped_groups(&pieces).len(), groups);
        }

        /// Removing a piece outside a capped group changes the score by exactly its weight, and caps nothing else.
        #[test]
        fn a_piece_outside_a_capped_group_is_worth_its_weight(pieces in evidence(), prior in -7.0..7.0f64) {
            let groups = capped_groups(&pieces);
            for (piece, index) in pieces.iter().zip(0u32..) {
                if groups.iter().any(|group| group.members.contains(&index)) {
                    continue;
                }
                let mut others = pieces.clone();
                others.remove(index as usize);
                prop_assert!((score(prior, &pieces) - score(prior, &others) - piece.weight).abs() < 1e-9);
                prop_assert_eq!(capped_groups(&others).len(), groups.len());
            }
        }

        /// Nothing that fails together moves the score by more than a domain may, either way.
        #[test]
        fn no_domain_proves_more_than_it_may(pieces in evidence(), prior in -7.0..7.0f64) {
            for domain in ["plc", "switch", "pole", "feed"] {
                let of = |piece: &&Evidence| piece.domain.as_str() == domain;
                let own: Vec<&Evidence> = pieces.iter().filter(of).collect();
                prop_assert!((score(prior, &own) - prior).abs() <= MOST_WEIGHT + 1e-9);
            }
            let groups = capped_groups(&pieces);
            let outside = pieces.iter().zip(0u32..).filter(|(_, index)| !groups.iter().any(|group| group.members.contains(index)));
            let sum = outside.map(|(piece, _)| piece.weight).sum::<f64>() + groups.iter().map(|group| group.after).sum::<f64>();
            prop_assert!((prior + sum - score(prior, &pieces)).abs() < 1e-9, "the terms are the score");
        }
    }
}
