//! An engine that cannot go on from its snapshot, because another version made it, is made again from the log.
//!
//! The log reaches back as far as any rule looks. Its beginning is long gone on a gateway that has run for a while, and with
//! it the records that put the site file and the rates in force; what was in force is kept beside the checkpoint and stands
//! in for them.
//!
//! A situation is named after the record it began with, so the new engine opens the same ones and goes on with them. What
//! recipients were told of and the new engine ended, or knows nothing of, is ended for them too: nobody would hear of it
//! again.

use super::{Cause, InForce, Pipeline, PipelineError, cannot};
use quaywatch_schemas::{
    Control, Position, RecipientId, Record, Situation, Stamp, Stamped,
    situation::{Phase, Phrase, SituationId},
};
use std::collections::BTreeMap;

/// A rebuild under way: nothing that comes of records up to `until` is told or kept, for it was before.
pub(super) struct Rebuild {
    pub(super) until: Position,
    /// What the log's first record came upon.
    in_force: Option<InForce>,
    /// What has become of the situations that somebody was told of.
    latest: BTreeMap<SituationId, Situation>,
}

impl Rebuild {
    pub(super) fn until(until: Position, in_force: Option<InForce>) -> Self {
        Self { until, in_force, latest: BTreeMap::new() }
    }
}

impl Pipeline {
    /// Before a record or a tick is taken: what a rebuild has to do then.
    pub(super) fn go_on_rebuilding(&mut self, stamp: &Stamp, record: bool) -> Result<(), PipelineError> {
        let Some(rebuild) = &mut self.rebuild else { return Ok(()) };
        let over = stamp.position > rebuild.until || !record && stamp.position == rebuild.until;
        // A log that has its first record has all that was ever put in force.
        if let Some(in_force) = rebuild.in_force.take().filter(|_| stamp.position > Position(1)) {
            self.put_in_force(in_force, stamp);
        }
        if over { self.adopt() } else { Ok(()) }
    }

    /// Takes in what the rebuilt engine says of a time that was told of before.
    pub(super) fn note_rebuilt(&mut self, situation: Situation) {
        let was_told = self.told.keys().any(|(_, id)| *id == situation.id);
        if let Some(rebuild) = self.rebuild.as_mut().filter(|_| was_told) {
            rebuild.latest.insert(situation.id, situation);
        }
    }

    fn put_in_force(&mut self, in_force: InForce, stamp: &Stamp) {
        let InForce { site, site_digest: digest, adopted, security_level: level, .. } = in_force;
        let by = String::new;
        let site = site.map(|site| Control::SiteApplied { site: Box::new(site), digest });
        let adopted = Control::RatesAdopted { by: by(), model: Box::new(adopted) };
        for control in site.into_iter().chain([adopted, Control::SecurityLevel { level, by: by() }]) {
            self.engine.observe(&Stamped { stamp: *stamp, record: Record::Control(control) });
        }
    }

    fn adopt(&mut self) -> Result<(), PipelineError> {
        let Some(rebuild) = self.rebuild.take() else { return Ok(()) };
        let mut told: BTreeMap<SituationId, Vec<RecipientId>> = BTreeMap::new();
        for (recipient, id) in self.told.keys() {
            told.entry(*id).or_default().push(recipient.clone());
        }
        for (id, recipients) in &told {
            let now = match rebuild.latest.get(id) {
                Some(now) => Some(now.clone()),
                None => self.let_go(id)?,
            };
            for recipient in recipients {
                match &now {
                    Some(now) => self.tell_one(recipient, now, Cause::Rebuild, None),
                    None => {
                        self.told.remove(&(recipient.clone(), *id));
                        self.changes.forget_told.push((recipient.clone(), *id));
                    }
                }
            }
            self.changes.situations.extend(now);
        }
        tracing::info!(situations = told.len(), "the engine is rebuilt; what is open goes on");
        self.put_out()?;
        // A replay must not come here again: it would say the same twice.
        self.keep()
    }

    /// The last revision of a situation that nobody follows any more; `None` if it was deleted.
    fn let_go(&self, id: &SituationId) -> Result<Option<Situation>, PipelineError> {
        let Some(mut situation) = self.parts.state.situation(id).map_err(cannot)? else { return Ok(None) };
        situation.revision += 1;
        situation.phase = Phase::Closed;
        situation.until = Some(self.stamp.wall.max(situation.from));
        (situation.concluded, situation.concluded_wall) = (self.stamp.gateway, self.stamp.wall);
        situation.clock = self.stamp.quality;
        situation
            .facts
            .push(Phrase::words("The gateway was updated and follows it no longer: whether it is over is unknown."));
        situation.actions.clear();
        situation.answer_within = None;
        Ok(Some(situation))
    }
}
