//! What each part says of itself: shown by `/health`, `quaywatch status` and the systemd watchdog.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "why", rename_all = "lowercase")]
pub enum Condition {
    /// Nothing to say.
    Well,
    /// It works less well than it should, and why.
    Degraded(String),
    /// It does not work, and why.
    Failed(String),
}

/// Where all parts say how they are. At most one entry per part; parts are named by the site and sharing files, so the
/// board is as bounded as they are.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    parts: BTreeMap<String, Condition>,
    sharing: String,
}

/// A picture of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The worst of all parts: `well`, `degraded` or `failed`.
    pub status: String,
    /// The gateway's version.
    pub version: String,
    /// Who signed the sharing file in force: `signed by ada and ben`, or `unsigned`. Empty before one is.
    #[serde(default)]
    pub sharing: String,
    /// Every part.
    pub parts: BTreeMap<String, Condition>,
}

impl Board {
    /// A part says how it is.
    pub fn say(&self, part: impl Into<String>, condition: Condition) {
        self.said().parts.insert(part.into(), condition);
    }

    /// A part is no longer there.
    pub fn remove(&self, part: &str) {
        self.said().parts.remove(part);
    }

    /// Who signed the sharing file in force.
    pub fn signed(&self, words: impl Into<String>) {
        self.said().sharing = words.into();
    }

    /// All parts now.
    pub fn picture(&self) -> Health {
        let (parts, sharing) = {
            let said = self.said();
            (said.parts.clone(), said.sharing.clone())
        };
        let status = if parts.values().any(|part| matches!(part, Condition::Failed(_))) {
            "failed"
        } else if parts.values().any(|part| matches!(part, Condition::Degraded(_))) {
            "degraded"
        } else {
            "well"
        };
        Health { status: status.into(), version: env!("CARGO_PKG_VERSION").into(), sharing, parts }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_is_the_whole() {
        let board = Board::default();
        board.say("ledger", Condition::Well);
        assert_eq!(board.picture().status, "well");
        board.say("line broker", Condition::Degraded("connection refused".into()));
        assert_eq!(board.picture().status, "degraded");
        board.say("ledger", Condition::Failed("disk".into()));
        assert_eq!(board.picture().status, "failed");
        board.remove("ledger");
        assert_eq!(board.picture().status, "degraded");
    }
}
