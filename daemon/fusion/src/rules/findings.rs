//! Situations that each begin with one read of a credential.
//!
//! A read is judged when it is looked at, and again whenever a later word changes what came before it: what was said is
//! then revised or withdrawn. Once no more such words can come, it is closed.

use super::Here;
use crate::{
    bounds::FINDINGS_PER_RULE,
    evidence::{Draft, Life},
    trails::LATEST,
};
use alloc::collections::VecDeque;
use quaywatch_schemas::{GatewayTime, Position, situation::Phase};
use serde::{Deserialize, Serialize};

/// What a rule found in one read, with all that is needed to say it again.
pub(super) trait Finding {
    /// The record it begins with.
    fn first(&self) -> Position;
    fn draft(&self, here: &Here<'_>) -> Draft;
}

/// The open findings of one rule in one zone. At the bound the oldest is closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Findings<F> {
    open: VecDeque<Open<F>>,
    /// The newest read whose finding was closed: nothing is said again of one before it.
    closed: Position,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open<F> {
    finding: F,
    life: Life,
    closes_at: GatewayTime,
}

impl<F> Default for Findings<F> {
    fn default() -> Self {
        Self { open: VecDeque::new(), closed: Position(0) }
    }
}

impl<F: Finding> Findings<F> {
    /// What a read comes to: says it from the probability `least` on, revises it, or withdraws it if it no longer holds.
    pub(super) fn judge(&mut self, first: Position, finding: Option<F>, least: f64, here: &mut Here<'_>) {
        let said = self.open.iter().position(|open| open.finding.first() == first);
        let draft = finding.as_ref().map(|finding| finding.draft(here)).filter(|draft| draft.probability() >= least);
        match (said, finding.zip(draft)) {
            (Some(index), Some((finding, draft))) => {
                let open = &mut self.open[index];
                open.finding = finding;
                open.life.say(here, first, draft);
            }
            (Some(index), None) => self.withdraw(index, here),
            (None, Some((finding, draft))) if first > self.closed => {
                if self.open.len() == FINDINGS_PER_RULE {
                    self.close(here);
                }
                let mut open = Open { finding, life: Life::default(), closes_at: here.now.after(LATEST) };
                open.life.say(here, first, draft);
                self.open.push_back(open);
            }
            (None, _) => {}
        }
    }

    /// Withdraws what a late word explains.
    pub(super) fn withdraw_if(&mut self, here: &mut Here<'_>, explained: impl Fn(&F) -> bool) {
        while let Some(index) = self.open.iter().position(|open| explained(&open.finding)) {
            self.withdraw(index, here);
        }
    }

    /// Closes what no word can change any more.
    pub(super) fn fire(&mut self, here: &mut Here<'_>) {
        while self.open.front().is_some_and(|open| open.closes_at <= here.now) {
            self.close(here);
        }
    }

    pub(super) fn next_due(&self) -> Option<GatewayTime> {
        self.open.front().map(|open| open.closes_at)
    }

    pub(super) fn stop(&mut self, here: &mut Here<'_>) {
        for mut open in self.open.drain(..) {
            let draft = open.finding.draft(here);
            open.life.give_up(here, draft);
        }
    }

    fn withdraw(&mut self, index: usize, here: &mut Here<'_>) {
        if let Some(mut open) = self.open.remove(index) {
            let mut draft = open.finding.draft(here);
            draft.withdraw("A word that came late explains it.", "It was not so.");
            open.life.end(here, Phase::Retracted, draft);
        }
    }

    fn close(&mut self, here: &mut Here<'_>) {
        if let Some(mut open) = self.open.pop_front() {
            self.closed = self.closed.max(open.finding.first());
            let draft = open.finding.draft(here);
            open.life.end(here, Phase::Closed, draft);
        }
    }
}
