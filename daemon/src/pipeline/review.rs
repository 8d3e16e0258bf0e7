//! What may be told has changed: what waits in queues is decided again.
//!
//! Nothing that an old policy or a running agreement allowed leaves when it is allowed no more. A frozen product is sent as it
//! is or not at all, so it is withdrawn, and made anew if something may still be told.

use super::{Cause, MOST_AT_ONCE, Pipeline, PipelineError, cannot};
use crate::ledger::Lane;
use quaywatch_schemas::{Policy, RecipientId, Stamp, WallTime, policy::Recipient, site::rules::Mode};

impl Pipeline {
    /// A new policy is in force: nothing that an old one allowed leaves under it unless the new one allows the same.
    pub(super) fn review_queue(&mut self, old: &Policy) -> Result<(), PipelineError> {
        self.put_out()?;
        let shared_changed = old.default_marking != self.in_force.policy.default_marking
            || old.markings != self.in_force.policy.markings
            || old.groups != self.in_force.policy.groups
            || old.tear_lines != self.in_force.policy.tear_lines;
        for (recipient, before) in &old.recipients {
            let now = self.in_force.policy.recipients.get(recipient);
            if now.is_some_and(|now| same_view(before, now)) && !shared_changed {
                continue;
            }
            self.withdraw_queue(recipient)?;
        }
        // A replay must not meet this record again: it would withdraw what has just been built.
        self.keep()
    }

    /// An agreement began or ended: what its group's members were to get is decided again.
    pub(super) fn review_agreements(&mut self, now: Stamp) -> Result<(), PipelineError> {
        if self.next_change().is_none_or(|at| now.wall < at) {
            return Ok(());
        }
        self.stamp = now;
        let before = std::mem::replace(&mut self.in_force.agreements_as_of, now.wall);
        self.unkept_in_force = true;
        if self.rebuild.is_some() {
            return Ok(());
        }
        self.put_out()?;
        let policy = &self.in_force.policy;
        let turned = policy.groups.iter().filter(|(_, group)| group.holds(before) != group.holds(now.wall));
        let members: Vec<_> = turned
            .inspect(
                |(id, group)| tracing::info!(group = %id, holds = group.holds(now.wall), "an agreement began or ended"),
            )
            .flat_map(|(_, group)| &group.organisations)
            .collect();
        let concerned = policy.recipients.iter().filter(|(_, recipient)| members.contains(&&recipient.organisation));
        let concerned: Vec<RecipientId> = concerned.map(|(id, _)| id.clone()).collect();
        for recipient in &concerned {
            self.withdraw_queue(recipient)?;
        }
        self.keep()
    }

    /// When an agreement begins or ends that has not been looked at since.
    pub(super) fn next_change(&self) -> Option<WallTime> {
        self.in_force.policy.next_change(self.in_force.agreements_as_of)
    }

    fn withdraw_queue(&mut self, recipient: &RecipientId) -> Result<(), PipelineError> {
        let mut affected = Vec::new();
        for lane in [Lane::Live, Lane::Late] {
            let mut after = 0;
            loop {
                let entries = self.parts.outbox.pending(recipient, lane, after, MOST_AT_ONCE).map_err(cannot)?;
                let Some(last) = entries.last() else { break };
                after = last.sequence;
                for entry in entries {
                    self.parts.outbox.withdraw(recipient, entry.sequence, "policy changed").map_err(cannot)?;
                    if !affected.contains(&entry.situation) {
                        affected.push(entry.situation);
                    }
                }
            }
        }
        for id in affected {
            let latest = self.changes.situations.iter().rev().find(|situation| situation.id == id).cloned();
            let latest = match latest {
                Some(latest) => Some(latest),
                None => self.parts.state.situation(&id).map_err(cannot)?,
            };
            self.told.remove(&(recipient.clone(), id));
            self.changes.forget_told.push((recipient.clone(), id));
            if let Some(situation) = latest.filter(|situation| situation.mode == Mode::Tell) {
                self.tell_one(recipient, &situation, Cause::Policy, None);
            }
        }
        self.put_out()
    }
}

/// Whether two settings of a recipient lead to the same products. How they are confirmed does not matter.
fn same_view(before: &Recipient, now: &Recipient) -> bool {
    Recipient { confirm: now.confirm, ..before.clone() } == *now
}
