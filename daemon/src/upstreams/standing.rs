//! How one upstream is: several things can be wrong at once, one line on the board says all of them.

use crate::health::{Board, Condition};
use quaywatch_schemas::RecipientId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

/// What can be wrong, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The way out.
    Link,
    /// Our own store.
    Store,
    /// The recipient takes nothing.
    Refused,
    /// Nobody is there to take it.
    Nobody,
    /// The recipient does not say that it has what it was sent.
    Receipts,
    /// The way back.
    Answers,
}

/// How one upstream is. Clones say it in the same place.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    board: Board,
    recipient: RecipientId,
    problems: Arc<Mutex<Problems>>,
}

#[derive(Debug, Default)]
struct Problems {
    known: BTreeMap<About, Condition>,
    /// What is merely not known yet.
    starting: BTreeSet<About>,
}

impl Standing {
    pub(super) fn new(board: Board, recipient: RecipientId) -> Self {
        Self { board, recipient, problems: Arc::default() }
    }

    /// Nothing is known of this yet: neither well nor worth a line in the journal.
    pub(super) fn starting(&self, about: About, words: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.known.insert(about, Condition::Degraded(words.into()));
        problems.starting.insert(about);
        self.board.say(self.part(), problems.whole());
    }

    /// This is in order. Logged once, if it was not before.
    pub(super) fn well(&self, about: About) {
        self.note(about, Condition::Well);
    }

    /// This works less well than it should. Logged once, until it is in order again.
    pub(super) fn degraded(&self, about: About, why: impl Into<String>) {
        self.note(about, Condition::Degraded(why.into()));
    }

    /// This does not work, and waiting will not help. Logged once, until it is in order again.
    pub(super) fn failed(&self, about: About, why: impl Into<String>) {
        self.note(about, Condition::Failed(why.into()));
    }

    /// The upstream is no longer there.
    pub(super) fn end(&self) {
        self.board.remove(&self.part());
    }

    fn part(&self) -> String {
        format!("upstream {}", self.recipient)
    }

    fn note(&self, about: About, condition: Condition) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match condition.clone() {
            Condition::Well => problems.known.remove(&about),
            trouble => problems.known.insert(about, trouble),
        };
        if before.as_ref() == Some(&condition) {
            return;
        }
        let before = before.filter(|_| !problems.starting.remove(&about));
        let recipient = &self.recipient;
        match (&before, &condition) {
            (None, Condition::Degraded(why)) => tracing::warn!(%recipient, why, "an upstream has a problem"),
            (None | Some(Condition::Degraded(_)), Condition::Failed(why)) => {
                tracing::error!(%recipient, why, "an upstream does not work");
            }
            (Some(_), Condition::Well) => tracing::info!(%recipient, ?about, "an upstream's problem is over"),
            _ => {}
        }
        self.board.say(self.part(), problems.whole());
    }
}

impl Problems {
    /// All of them in one condition.
    fn whole(&self) -> Condition {
        let words = |condition: &Condition| match condition {
            Condition::Well => String::new(),
            Condition::Degraded(why) | Condition::Failed(why) => why.clone(),
        };
        let all: Vec<String> = self.known.values().map(words).collect();
        if self.known.values().any(|problem| matches!(problem, Condition::Failed(_))) {
            Condition::Failed(all.join("; "))
        } else if all.is_empty() {
            Condition::Well
        } else {
            Condition::Degraded(all.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_problems_are_said_together_and_go_one_by_one() {
        let board = Board::default();
        let standing = Standing::new(board.clone(), RecipientId::new("port-police").unwrap());
        let said = || board.picture().parts.get("upstream port-police").cloned();
        assert_eq!(said(), None);
        standing.well(About::Link);
        assert_eq!(said(), Some(Condition::Well));
        standing.degraded(About::Nobody, "nobody subscribes");
        standing.clone().failed(About::Refused, "it refuses everything");
        assert_eq!(said(), Some(Condition::Failed("it refuses everything; nobody subscribes".into())));
        standing.well(About::Refused);
        assert_eq!(said(), Some(Condition::Degraded("nobody subscribes".into())));
        standing.end();
        assert_eq!(said(), None);
    }
}
