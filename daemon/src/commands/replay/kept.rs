//! What a gateway has kept of what it concluded, and whether a replay makes the same bytes of it.

use super::{Failure, bytes};
use crate::{
    admin::client::{self, AdminError},
    commands::small_runtime,
    ledger::{self, State, StateError},
};
use hyper::Method;
use quaywatch_schemas::{GatewayTime, Situation, situation::SituationId};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter, Write},
    path::Path,
};

/// The latest revisions that a gateway has kept.
#[derive(Debug, Default)]
pub struct Conclusions {
    /// Revision and BLAKE3 of its bytes before sealing, by situation.
    latest: BTreeMap<SituationId, (u32, String)>,
    /// When the last of them was concluded.
    pub last: GatewayTime,
}

/// What is kept, as text for the admin socket: a line per situation with id, revision, hash and time of conclusion.
pub fn list(state: &State) -> Result<String, StateError> {
    let mut text = String::new();
    state.visit_situations(|situation| {
        let hash = hash(&situation);
        let _ = writeln!(text, "{} {} {hash} {}", situation.id, situation.revision, situation.concluded.0);
    })?;
    Ok(text)
}

/// What is kept: from the gateway if it runs, else from its store.
pub(super) fn of(socket: &Path, folder: &Path) -> Result<Conclusions, Failure> {
    let asked =
        small_runtime()?.block_on(async { client::ask(socket, Method::GET, "/conclusions").await?.text().await });
    let text = match asked {
        Err(AdminError::NotRunning { .. }) => list(&ledger::read_state(folder)?)?,
        asked => asked?,
    };
    let mut conclusions = Conclusions::default();
    for line in text.lines() {
        let (id, revision, hash, concluded) =
            parse(line).ok_or_else(|| Failure("the gateway's list of conclusions is not one".into()))?;
        conclusions.last = conclusions.last.max(concluded);
        conclusions.latest.insert(id, (revision, hash));
    }
    Ok(conclusions)
}

fn parse(line: &str) -> Option<(SituationId, u32, String, GatewayTime)> {
    let mut words = line.split(' ');
    let digits: String = words.next()?.chars().filter(|letter| *letter != '-').collect();
    let id = SituationId(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes());
    Some((id, words.next()?.parse().ok()?, words.next()?.to_owned(), GatewayTime(words.next()?.parse().ok()?)))
}

/// What a replay made: a hash of every revision. Some 60 bytes each.
#[derive(Debug, Default)]
pub(super) struct Made(BTreeMap<(SituationId, u32), (String, String)>);

/// How what was made compares with what was kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    same: usize,
    /// Kept and never made: the log does not go back so far, or they are the difference.
    not_made: usize,
    other: Vec<String>,
}

/// So many differences are named; the rest is counted.
const NAMED: usize = 10;

impl Made {
    pub(super) fn note(&mut self, situation: &Situation) {
        let what = format!("{} in {}, revision {}", situation.kind, situation.zone, situation.revision);
        self.0.insert((situation.id, situation.revision), (hash(situation), what));
    }

    pub(super) fn compare(&self, kept: &Conclusions) -> Compared {
        let mut compared = Compared::default();
        for (id, (revision, hash)) in &kept.latest {
            match self.0.get(&(*id, *revision)) {
                None => compared.not_made += 1,
                Some((made, _)) if made == hash => compared.same += 1,
                Some((_, what)) => compared.other.push(format!("{what}, {id}")),
            }
        }
        compared
    }
}

impl Compared {
    pub(super) fn differ(&self) -> usize {
        self.not_made + self.other.len()
    }
}

impl Display for Compared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = self.same + self.differ();
        if self.differ() == 0 {
            return write!(f, "compared with the {all} situations the gateway has kept: the same, byte for byte");
        }
        write!(f, "compared with the {all} situations the gateway has kept: {} the same", self.same)?;
        write!(f, ", {} other bytes, {} not made by this log", self.other.len(), self.not_made)?;
        self.other.iter().take(NAMED).try_for_each(|what| write!(f, "\n  other: {what}"))
    }
}

fn hash(situation: &Situation) -> String {
    blake3::hash(&bytes(situation)).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::fictional;

    #[test]
    fn a_situation_that_comes_out_otherwise_is_named_and_one_that_does_not_come_out_is_counted() {
        let situation = fictional::tailgating();
        let line = format!("{} {} {} {}", situation.id, situation.revision, hash(&situation), situation.concluded.0);
        let (id, revision, text, concluded) = parse(&line).unwrap();
        assert_eq!((id, concluded), (situation.id, situation.concluded));
        let kept = |hash: &str| Conclusions { latest: [(id, (revision, hash.to_owned()))].into(), last: concluded };
        let mut made = Made::default();
        assert_eq!(made.compare(&kept(&text)).not_made, 1);
        made.note(&situation);
        assert_eq!(made.compare(&kept(&text)), Compared { same: 1, ..Compared::default() });
        let other = made.compare(&kept("another"));
        assert_eq!(other.differ(), 1);
        assert!(other.to_string().contains("other: gate.tailgating in lane-3, revision 2"), "{other}");
        assert!(parse("no list").is_none());
    }
}
