//! What people answer, turned into labels and counts, and what comes of them for those who may adopt it.
//!
//! An answer names a product; the store knows the situation that it is a view of, and the revision of it that was surest. All
//! of it is derived from the log: a rebuilt engine learns the same again, except from answers to products of a store that was
//! lost, which are counted.

use super::{InForce, Pipeline};
use crate::ledger::{Kept, State, StateError};
use quaywatch_fusion::{
    learning::{Learner, Proposal},
    model_id,
};
use quaywatch_schemas::{
    Calibration, GatewayTime, Model, Site, Situation, WallTime, control::ReceivedAnswer, situation::Phase,
    situation::SituationId,
};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// What was learned until a moment, and what holds.
#[derive(Debug, Clone)]
pub struct Learned {
    learner: Learner,
    site: Site,
    adopted: Model,
    /// Who put it in force, and when.
    adopted_by: Option<(String, WallTime)>,
    now: GatewayTime,
}

impl Learned {
    /// What is in a store: for those who ask while no gateway runs on it.
    pub fn of(state: &State) -> Result<Option<Self>, StateError> {
        let Some(in_force) = InForce::read(state)? else { return Ok(None) };
        let stored = Stored::read(state)?;
        Ok(in_force.site.map(|site| Self {
            learner: stored.learner,
            site,
            adopted: in_force.adopted,
            adopted_by: in_force.adopted_by,
            now: stored.at,
        }))
    }

    /// What could be put in force; `None` if it would change nothing.
    pub fn proposal(&self) -> Option<Proposal> {
        let proposal = self.learner.propose(&self.site, &self.adopted, self.now);
        proposal.is_news(&self.adopted).then_some(proposal)
    }
}

/// As the store has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) learner: Learner,
    pub(super) at: GatewayTime,
}

impl Stored {
    /// What was learned; nothing for a new store, or one that another version wrote.
    pub(super) fn read(state: &State) -> Result<Self, StateError> {
        let bytes = state.learned()?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default())
    }
}

impl Pipeline {
    /// Takes a situation in that was put out.
    pub(super) fn learn(&mut self, situation: &Situation) {
        if let Some(site) = self.engine.site() {
            self.learner.take(situation, site);
            (self.learned, self.unkept_learning) = (true, true);
        }
    }

    /// Takes an answer in, if there is a verdict in it.
    pub(super) fn learn_verdict(&mut self, answer: &ReceivedAnswer) -> Result<(), StateError> {
        let Some(verdict) = answer.answer.verdict else { return Ok(()) };
        let Some((surest, ended)) = self.judged_by(answer)? else {
            metrics::counter!("quaywatch_verdicts_unmatched_total").increment(1);
            tracing::debug!(recipient = %answer.recipient, "a verdict on something that is not kept any more");
            return Ok(());
        };
        if let Some(site) = self.engine.site() {
            self.learner.verdict(&surest, ended, verdict, site, self.stamp.gateway);
            (self.learned, self.unkept_learning) = (true, true);
            self.measure();
        }
        Ok(())
    }

    /// The surest revision of the situation that an answer is about, and when it closed.
    fn judged_by(&self, answer: &ReceivedAnswer) -> Result<Option<(Situation, Option<GatewayTime>)>, StateError> {
        let product = &answer.answer.product;
        let waiting = self.changes.products.iter().rev();
        let mut waiting = waiting.filter(|(recipient, id, _)| *recipient == answer.recipient && id == product);
        let id = match waiting.next() {
            Some((.., id)) => Some(*id),
            None => self.parts.state.by_product(&answer.recipient, product)?,
        };
        let Some(id) = id else { return Ok(None) };
        let revisions = self.revisions_of(&id)?;
        let ended = revisions.iter().find(|it| it.phase == Phase::Closed).map(|closed| closed.concluded);
        let surest =
            revisions.into_iter().reduce(|surest, it| if it.log_odds >= surest.log_odds { it } else { surest });
        Ok(surest.map(|surest| (surest, ended)))
    }

    /// The revisions that are at hand, in order: those of the store, then those that wait to be kept.
    fn revisions_of(&self, id: &SituationId) -> Result<Vec<Situation>, StateError> {
        let mut revisions = Vec::new();
        if let Kept::Readable { latest, surest } = self.parts.state.kept(id)? {
            revisions.extend(surest.map(|surest| *surest));
            revisions.push(*latest);
        }
        revisions.extend(self.changes.situations.iter().filter(|it| it.id == *id).cloned());
        revisions.sort_by_key(|it| it.revision);
        revisions.dedup_by_key(|it| it.revision);
        Ok(revisions)
    }

    /// What others may know of what was learned.
    pub(super) fn show_learned(&mut self) {
        let Some(site) = self.engine.site().filter(|_| self.learned) else { return };
        self.learned_out.send_replace(Some(std::sync::Arc::new(Learned {
            learner: self.learner.clone(),
            site: site.clone(),
            adopted: self.engine.adopted().clone(),
            adopted_by: self.in_force.adopted_by.clone(),
            now: self.stamp.gateway,
        })));
        self.learned = false;
    }

    /// How good the scores were, by the verdicts on them.
    pub(super) fn measure(&self) {
        for (kind, verdicts, brier, error) in self.learner.quality() {
            metrics::gauge!("quaywatch_verdicts", "kind" => kind.to_owned()).set(verdicts as f64);
            metrics::gauge!("quaywatch_brier_score", "kind" => kind.to_owned()).set(brier);
            metrics::gauge!("quaywatch_calibration_error", "kind" => kind.to_owned()).set(error);
        }
    }

    pub(super) fn stored_learning(&self) -> Vec<u8> {
        let stored = Stored { learner: self.learner.clone(), at: self.stamp.gateway };
        postcard::to_stdvec(&stored).expect("what was learned always serialises")
    }
}

impl Display for Learned {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let proposal = self.learner.propose(&self.site, &self.adopted, self.now);
        let in_force = model_id(&self.site, &self.adopted);
        match &self.adopted_by {
            Some((by, at)) => writeln!(f, "in force: {in_force}, adopted by {by} at {}", super::rfc3339(*at))?,
            None => writeln!(f, "in force: {in_force}, the rates of the site file; nothing has been adopted")?,
        }
        match proposal.is_news(&self.adopted) {
            true => writeln!(f, "proposed: {0}; `quaywatch rates adopt {0}` puts it in force", proposal.id)?,
            false => writeln!(f, "proposed: nothing that would change anything")?,
        }
        kinds(f, &proposal)?;
        sensors(f, &proposal)
    }
}

fn kinds(f: &mut Formatter<'_>, proposal: &Proposal) -> fmt::Result {
    writeln!(
        f,
        "\nwhat scores mean, by the verdicts on them (Brier score: 0 is perfect; error: how far promises are off)"
    )?;
    if proposal.kinds.is_empty() {
        return writeln!(f, "  no verdict has come yet");
    }
    for kind in &proposal.kinds {
        let (count, so) = kind.labels;
        let (brier, error) = kind.said;
        writeln!(f, "  {}: {count} verdicts, {so} of them so; Brier {brier:.3}, error {error:.3}", kind.kind)?;
        write!(f, "    in force: {}", calibration(&kind.in_force))?;
        match &kind.proposed {
            Some(proposed) => {
                let (brier, error) = kind.with_it;
                let proposed = calibration(proposed);
                writeln!(
                    f,
                    "; proposed: {proposed}, with which Brier {brier:.3}, error {error:.3} on the same verdicts"
                )?;
            }
            None if count < quaywatch_fusion::calibration::PLATT_FROM => {
                let needed = quaywatch_fusion::calibration::PLATT_FROM - count;
                writeln!(f, "; {needed} more verdicts are needed to propose anything")?;
            }
            None => writeln!(f, "; it fits")?,
        }
    }
    Ok(())
}

fn sensors(f: &mut Formatter<'_>, proposal: &Proposal) -> fmt::Result {
    writeln!(f, "\nwhat sensors are worth, by what was decided without them (half of a count fades in a week)")?;
    if proposal.sensors.is_empty() {
        return writeln!(f, "  nothing has been counted yet");
    }
    for learned in &proposal.sensors {
        let light = if learned.night { "night" } else { "day" };
        let ((seen, there), (wrong, not_there)) = (learned.seen, learned.wrong);
        writeln!(
            f,
            "  {}, by {light}: reported {seen:.0} of {there:.0} that were there, {wrong:.0} of {not_there:.0} that were not",
            learned.sensor
        )?;
        let rates = |rates: quaywatch_schemas::site::Rates| format!("{} / {}", rates.detection, rates.false_alarm);
        let now = rates(learned.in_force);
        match learned.proposed {
            Some(proposed) => writeln!(f, "    detection / false alarm {now}; proposed: {}", rates(proposed))?,
            None => writeln!(f, "    detection / false alarm {now}; too little was counted, or it fits")?,
        }
    }
    Ok(())
}

fn calibration(calibration: &Calibration) -> String {
    match calibration {
        Calibration::Identity => "scores are taken at their word".into(),
        Calibration::Platt { slope, offset } => format!("Platt, slope {slope}, offset {offset}"),
        Calibration::Isotonic { knots } => format!("a curve of {} points", knots.len()),
    }
}
