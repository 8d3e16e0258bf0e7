//! Scores that are the sum of their terms, and the life of a situation.
//!
//! A [`Draft`] collects what speaks for and against a conclusion. Each piece has its own weight in log-odds, whatever came
//! before it; pieces that share a failure domain and speak the same way count for at most [`MOST_WEIGHT`] together, as one
//! term ([`quaywatch_schemas::situation::EvidenceGroup`]). So the score is the sum of prior and terms in any order of the
//! pieces, and a piece outside a capped group is worth exactly what it is listed with.

use crate::{bounds::MOST_WEIGHT, health::SensorHealth, kinds::roles_of, rules::Here};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    Calibration, Position, SensorId, Situation, WallTime,
    observation::Media,
    situation::{
        Action, Alternative, Certainty, Evidence, Missing, Phase, Phrase, Severity, Side, SituationId, Source,
        SourceState, Subject, Urgency, capped_groups, score,
    },
};
use serde::{Deserialize, Serialize};

/// A conclusion being drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) from: WallTime,
    pub(crate) until: Option<WallTime>,
    pub(crate) prior: f64,
    evidence: Vec<Evidence>,
    /// What scores of this kind mean; set with the first piece of evidence, when it is known whose draft this is.
    calibration: Calibration,
    pub(crate) severity: Severity,
    pub(crate) urgency: Urgency,
    pub(crate) headline: Phrase,
    pub(crate) facts: Vec<Phrase>,
    pub(crate) assessment: Phrase,
    pub(crate) actions: Vec<Action>,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) alternatives: Vec<Alternative>,
    pub(crate) media: Vec<(SensorId, Media)>,
    pub(crate) answer_within: Option<Duration>,
}

impl Draft {
    /// A conclusion with a probability before evidence.
    pub(crate) fn new(headline: Phrase, assessment: Phrase, prior: f64, from: WallTime) -> Self {
        let prior = logit(prior);
        Self {
            from,
            until: None,
            prior,
            evidence: Vec::new(),
            calibration: Calibration::Identity,
            severity: Severity::Moderate,
            urgency: Urgency::Immediate,
            headline,
            facts: Vec::new(),
            assessment,
            actions: Vec::new(),
            subjects: Vec::new(),
            missing: Vec::new(),
            alternatives: Vec::new(),
            media: Vec::new(),
            answer_within: None,
        }
    }

    /// What a sensor said that speaks for it (positive) or against it (negative).
    pub(crate) fn said(
        &mut self,
        here: &Here<'_>,
        sensor: &SensorId,
        positions: &[Position],
        said: Phrase,
        weight: f64,
    ) {
        let side = if weight >= 0.0 { Side::For } else { Side::Against };
        self.add(here, sensor, positions.to_vec(), said, weight, side);
    }

    /// What a healthy sensor did not say.
    pub(crate) fn absent(&mut self, here: &Here<'_>, sensor: &SensorId, said: Phrase, weight: f64) {
        self.add(here, sensor, Vec::new(), said, weight, Side::Absent);
    }

    fn add(
        &mut self,
        here: &Here<'_>,
        sensor: &SensorId,
        positions: Vec<Position>,
        said: Phrase,
        weight: f64,
        side: Side,
    ) {
        let Some(spec) = here.sensors.spec(sensor) else { return };
        if self.evidence.is_empty() {
            self.calibration = here.calibration();
        }
        self.evidence.push(Evidence {
            sensor: sensor.clone(),
            positions,
            said,
            weight: weight.clamp(-MOST_WEIGHT, MOST_WEIGHT),
            side,
            domain: spec.domain.clone(),
        });
    }

    /// Every sensor of the roles that could not have spoken.
    pub(crate) fn note_missing(&mut self, here: &Here<'_>, roles: &[quaywatch_schemas::site::Role]) {
        for role in roles {
            for (sensor, why, since) in here.unhealthy(*role) {
                self.missing.push(Missing { sensor, why, since });
            }
        }
    }

    /// What to do, in few words and in full: first for those who may read identities, then for everybody.
    pub(crate) fn act(&mut self, needs: quaywatch_schemas::FieldClass, brief: Phrase, text: Phrase) {
        self.actions.push(Action { needs, brief, text });
    }

    /// It turned out not to be so: what showed it, and what is made of it now. Nothing is left to do.
    pub(crate) fn withdraw(&mut self, fact: &'static str, assessment: &'static str) {
        self.facts.push(Phrase::words(fact));
        self.assessment = Phrase::words(assessment);
        self.actions.clear();
    }

    /// Calibrated.
    pub(crate) fn probability(&self) -> f64 {
        self.calibration.probability(self.log_odds())
    }

    fn log_odds(&self) -> f64 {
        score(self.prior, &self.evidence)
    }
}

/// The life of one rule's situation in one zone: opened once, revised when it matters, ended once.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Life {
    open: Option<Open>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    id: SituationId,
    revision: u32,
    log_odds: f64,
    probability: f64,
    shape: Shape,
}

/// What a reader would notice beside the probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shape {
    evidence: usize,
    identities: usize,
    missing: usize,
    severity: Severity,
    urgency: Urgency,
}

/// A change of probability worth a revision.
const WORTH_REVISING: f64 = 0.1;
/// The word for how sure changes only with this much in log-odds: at its edge it does not flicker.
const WORTH_ANOTHER_WORD: f64 = 0.4;

impl Life {
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it was said more surely than this, on as much: then it only fades, and that is no news.
    pub(crate) fn was_surer(&self, draft: &Draft) -> bool {
        let rests_on: usize = draft.evidence.iter().map(|piece| 1 + piece.positions.len()).sum();
        self.open.as_ref().is_some_and(|open| open.log_odds >= draft.log_odds() && open.shape.evidence >= rests_on)
    }

    /// Says it: opens, or revises if probability, certainty, or what it rests on has changed. `first` is the position of
    /// the first evidence that no other situation of this rule in this zone began with.
    pub(crate) fn say(&mut self, here: &mut Here<'_>, first: Position, draft: Draft) {
        let rule = here.rule.kind;
        self.say_of(here, rule, first, draft);
    }

    /// The same for a rule of which several situations may begin with one record: `what` tells them apart.
    pub(crate) fn say_of(&mut self, here: &mut Here<'_>, what: &str, first: Position, draft: Draft) {
        let shape = Shape {
            evidence: draft.evidence.iter().map(|piece| 1 + piece.positions.len()).sum(),
            identities: draft.subjects.iter().map(|subject| subject.identities.len()).sum(),
            missing: draft.missing.len(),
            severity: draft.severity,
            urgency: draft.urgency,
        };
        let (log_odds, probability) = (draft.log_odds(), draft.probability());
        match &mut self.open {
            None => {
                let id = SituationId::of(here.key, here.site.id.as_str(), what, here.zone_id, first);
                self.open = Some(Open { id, revision: 1, log_odds, probability, shape });
                here.put_out(id, 1, Phase::Opened, draft);
            }
            Some(open) => {
                let same_word = Certainty::of(open.probability) == Certainty::of(probability)
                    || libm::fabs(open.log_odds - log_odds) < WORTH_ANOTHER_WORD;
                let same_number = libm::fabs(open.probability - probability) < WORTH_REVISING;
                if same_word && same_number && open.shape == shape {
                    return;
                }
                open.revision += 1;
                open.log_odds = log_odds;
                open.probability = probability;
                open.shape = shape;
                let (id, revision) = (open.id, open.revision);
                here.put_out(id, revision, Phase::Revised, draft);
            }
        }
    }

    /// Ends it, if it was open.
    pub(crate) fn end(&mut self, here: &mut Here<'_>, phase: Phase, draft: Draft) {
        if let Some(open) = self.open.take() {
            here.put_out(open.id, open.revision + 1, phase, draft);
        }
    }

    /// The rule or the place is no longer looked at: closes what was open.
    pub(crate) fn give_up(&mut self, here: &mut Here<'_>, mut draft: Draft) {
        draft.facts.push(Phrase::words("It is no longer looked for here: the site file was changed."));
        draft.until = draft.until.or(Some(here.wall(here.now)));
        self.end(here, Phase::Closed, draft);
    }

    /// Says something that is over when it is said.
    pub(crate) fn at_once(here: &mut Here<'_>, first: Position, draft: Draft) {
        let id = SituationId::of(here.key, here.site.id.as_str(), here.rule.kind, here.zone_id, first);
        here.put_out(id, 1, Phase::Closed, draft);
    }
}

/// Turns a draft into a situation.
pub(crate) fn situation(here: &Here<'_>, id: SituationId, revision: u32, phase: Phase, draft: Draft) -> Situation {
    let mut rule = String::from(here.rule.kind);
    rule.push('@');
    rule.push_str(here.rule.version);
    let (log_odds, probability) = (draft.log_odds(), draft.probability());
    let (groups, sources) = (capped_groups(&draft.evidence), sources(here, &draft));
    Situation {
        id,
        revision,
        phase,
        kind: here.rule.kind.into(),
        zone: here.zone_id.clone(),
        from: draft.from,
        // Two sources' clocks may disagree about which came first.
        until: draft.until.map(|until| until.max(draft.from)),
        concluded: here.now,
        concluded_wall: here.wall(here.now),
        clock: here.clock,
        prior: draft.prior,
        log_odds,
        probability,
        severity: draft.severity,
        urgency: draft.urgency,
        headline: draft.headline,
        facts: draft.facts,
        assessment: draft.assessment,
        actions: draft.actions,
        subjects: draft.subjects,
        evidence: draft.evidence,
        groups,
        missing: draft.missing,
        sources,
        conditions: here.conditions(),
        alternatives: draft.alternatives,
        media: draft.media,
        status: here.site.status,
        security_level: here.security_level,
        rule,
        model: here.model.into(),
        calibration: draft.calibration,
        mode: here.mode,
        answer_within: draft.answer_within,
    }
}

/// How the sensors are that a draft rests on, and those that its rule looks at here, in name order.
fn sources(here: &Here<'_>, draft: &Draft) -> Vec<Source> {
    let roles = roles_of(here.rule.kind);
    let looked_at = here.site.sensors_of(here.zone_id).filter(|(_, spec)| roles.contains(&spec.role)).map(|(id, _)| id);
    let spoke = draft.evidence.iter().map(|piece| &piece.sensor);
    let missed = draft.missing.iter().map(|missing| &missing.sensor);
    let mut all: Vec<&SensorId> = looked_at.chain(spoke).chain(missed).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
        .map(|sensor| {
            let state = match here.health(sensor) {
                SensorHealth::Healthy => SourceState::Healthy,
                SensorHealth::NeverHeard => SourceState::NeverHeard,
                SensorHealth::Unhealthy(why, since) => SourceState::Unhealthy { why, since: here.wall(since) },
            };
            Source { sensor: sensor.clone(), state }
        })
        .collect()
}

pub(crate) fn logit(probability: f64) -> f64 {
    let p = probability.clamp(1e-9, 1.0 - 1e-9);
    libm::log(p / (1.0 - p))
}

/// The weight of a word that is said with probability `detection` if it is so and `false_alarm` if it is not.
pub(crate) fn weight(detection: f64, false_alarm: f64) -> f64 {
    libm::log(detection.clamp(1e-6, 1.0) / false_alarm.clamp(1e-6, 1.0))
}

/// The weight of the same word's absence.
pub(crate) fn weight_of_absence(detection: f64, false_alarm: f64) -> f64 {
    libm::log((1.0 - detection).clamp(1e-6, 1.0) / (1.0 - false_alarm).clamp(1e-6, 1.0))
}
