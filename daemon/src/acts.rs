//! Acts that two persons signed, carried out on a live gateway.
//!
//! Whether an act may be carried out is decided by [`quaywatch_sharing::acts`]; here it is carried out once. Its id is on
//! disk before anything is done, so a gateway that dies in between has used the act up: whoever needs it signs another.
//! The record of it says who, why and of what kind; a value is in the answer alone, in no record, log line or error.

use crate::ledger::{self, Held, Kept, KeysError, State, StateError};
use jiff::{SignedDuration, Timestamp};
use quaywatch_schemas::{
    Control, PersonId, Position, Private, Record, Situation, WallTime,
    control::{OperatorAct, SignedAct},
    record::PrivateField,
    sealed::KeyId,
    situation::{IdentityKind, SituationId, Subject},
};
use quaywatch_sharing::acts::{Act, ActId, Kind, What};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The acts that were carried out.
#[derive(Debug)]
pub struct Used {
    path: PathBuf,
    /// `None` if it cannot be read: then no act is carried out.
    until: Mutex<Option<BTreeMap<ActId, Timestamp>>>,
}

/// Why an act is not carried out although two persons may have it done.
#[derive(Debug, thiserror::Error)]
pub enum CannotAct {
    /// Once is all that was signed.
    #[error("this act was carried out already; write another and have it signed")]
    Used,
    /// The file of ids is damaged.
    #[error("{} cannot be read: which acts were carried out is not known, so none is until it is put back", .0.display())]
    NotKnown(PathBuf),
    /// See [`MOST_USED`].
    #[error("{MOST_USED} acts or held values are more than persons sign; no more until some have ended")]
    TooMany,
    /// Nothing has the reference.
    #[error("no situation on this gateway has the reference {0:?}")]
    UnknownReference(String),
    /// The situation has nothing of the kind.
    #[error("this situation has no {kind} of a subject {subject:?}; `quaywatch explain` lists what it has")]
    NothingThere {
        /// The subject asked for.
        subject: String,
        /// The kind asked for.
        kind: &'static str,
    },
    /// A case or an authority without a name.
    #[error("case and authority are named in 1 to 100 characters")]
    NoName,
    /// There is nothing to release.
    #[error("nothing is held for a case {0:?}")]
    NoCase(String),
    /// Retention was sooner.
    #[error("the value is deleted: its key was destroyed, or the record it stood in is gone")]
    Deleted,
    /// The state.
    #[error("{0}")]
    State(#[from] StateError),
    /// The file of ids.
    #[error("that it is carried out could not be written down, so it is not: {0}")]
    Unwritten(#[from] KeysError),
}

/// Acts that are remembered. Each took two persons' signatures.
const MOST_USED: usize = 10_000;
/// An id is remembered for this long after its act ended, so that a clock that goes back opens nothing again.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Used {
    /// Reads which acts were carried out. With a damaged file the gateway works, and carries out none: what is not known
    /// must not pass for unused.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("acts.used");
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Some(String::new()),
            text => text.ok(),
        };
        let line = |line: &str| {
            let (id, until) = line.split_once(' ')?;
            Some((ActId::try_from(id.to_owned()).ok()?, until.parse().ok()?))
        };
        let until = text.and_then(|text| text.lines().map(line).collect());
        if until.is_none() {
            tracing::error!(path = %path.display(), "which acts were carried out cannot be read; none is until it can");
        }
        Self { path, until: Mutex::new(until) }
    }

    /// Uses an act up; when this returns it is on disk that it is.
    pub fn up(&self, act: &Act, now: Timestamp) -> Result<(), CannotAct> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let used = until.as_ref().ok_or_else(|| CannotAct::NotKnown(self.path.clone()))?;
        if used.contains_key(&act.id) {
            return Err(CannotAct::Used);
        }
        let mut next = used.clone();
        next.retain(|_, until| now.duration_since(*until) < REMEMBERED);
        if next.len() >= MOST_USED {
            return Err(CannotAct::TooMany);
        }
        next.insert(act.id, act.valid_until);
        let lines: String = next.iter().map(|(id, until)| format!("{id} {until}\n")).collect();
        ledger::replace(&self.path, lines.as_bytes())?;
        *until = Some(next);
        Ok(())
    }
}

/// An act that was found to be possible. Nothing has been done or shown yet.
pub struct Prepared {
    what: What,
    /// What will be shown, or kept; it is dropped unseen if the act cannot be recorded.
    value: String,
    situation: SituationId,
    key: KeyId,
    makes_key: bool,
}

/// The most a report on one plate lists.
const MOST_LISTED: usize = 10_000;

/// Finds what an act asks for.
pub fn prepare(what: What, state: &State) -> Result<Prepared, CannotAct> {
    let nothing = SituationId([0; 16]);
    let plain = |value, what| Ok(Prepared { what, value, situation: nothing, key: KeyId(0), makes_key: false });
    match &what {
        What::Reveal { reference, subject, kind } => {
            let (_, value) = find(state, reference, subject, *kind)?;
            plain(value, what)
        }
        What::Hold { reference, subject, kind, case, authority, .. } => {
            if [case, authority].iter().any(|word| !is_a_name(word)) {
                return Err(CannotAct::NoName);
            }
            if !state.may_hold()? {
                return Err(CannotAct::TooMany);
            }
            let (situation, value) = find(state, reference, subject, *kind)?;
            let (key, makes_key) = match state.case(case)? {
                Some(key) => (key, false),
                None => (case_key()?, true),
            };
            Ok(Prepared { what, value, situation, key, makes_key })
        }
        What::Release { case } => match state.case(case)? {
            Some(key) => Ok(Prepared { what, value: String::new(), situation: nothing, key, makes_key: false }),
            None => Err(CannotAct::NoCase(case.clone())),
        },
        What::ReportSubject { plate } => {
            let report = on_plate(state, plate.trim())?;
            plain(report, what)
        }
    }
}

impl Prepared {
    /// What the log says of it.
    pub fn records(&self, id: ActId, signed_by: Vec<PersonId>, reason: String, by: String) -> Vec<Record> {
        let act = match &self.what {
            What::Reveal { reference, subject, kind } => SignedAct::Revealed {
                reference: reference.clone(),
                subject: subject.clone(),
                kind: IdentityKind::from(*kind),
            },
            What::Hold { reference, subject, kind, case, authority, until } => SignedAct::Held {
                reference: reference.clone(),
                subject: subject.clone(),
                kind: IdentityKind::from(*kind),
                case: case.clone(),
                authority: authority.clone(),
                until: end_of(*until),
            },
            What::Release { case } => SignedAct::Released { case: case.clone() },
            What::ReportSubject { .. } => SignedAct::SubjectReported,
        };
        let act = Control::OperatorAct { by, act: OperatorAct::Signed { id: id.0, signed_by, reason, act } };
        let key = match &self.what {
            What::Hold { .. } if self.makes_key => Some(Control::KeyMade { key: self.key.0 }),
            What::Release { .. } => Some(Control::KeyDestroyed { key: self.key.0 }),
            _ => None,
        };
        std::iter::once(act).chain(key).map(Record::Control).collect()
    }

    /// Does it, and says what came of it.
    pub fn finish(self, state: &State) -> Result<String, CannotAct> {
        match &self.what {
            What::Reveal { .. } | What::ReportSubject { .. } => Ok(self.value),
            What::Hold { subject, kind, case, until, .. } => {
                let (kind, subject) = (IdentityKind::from(*kind), &subject.replace(", ", "."));
                let held = Held { case, situation: self.situation, subject, kind, until: end_of(*until) };
                state.hold(&held, self.key, &self.value)?;
                Ok(format!("held for case {case} until the end of {until}, UTC"))
            }
            What::Release { case } => Ok(format!("released case {case}: {} values", state.release(case)?)),
        }
    }
}

/// A value of a situation: from the situation, or from what is held of it.
fn find(state: &State, reference: &str, subject: &str, kind: Kind) -> Result<(SituationId, String), CannotAct> {
    let reference = reference.trim().to_ascii_uppercase();
    let unknown = || CannotAct::UnknownReference(reference.clone());
    let id = state.by_reference(&reference)?.ok_or_else(unknown)?;
    let (latest, surest) = match state.kept(&id)? {
        Kept::Readable { latest, surest } => (latest, surest),
        Kept::Deleted(_) => return Err(CannotAct::Deleted),
        Kept::Unknown => return Err(unknown()),
    };
    let revisions = [Some(latest), surest];
    let found = revisions
        .iter()
        .flatten()
        .find_map(|situation| identity(situation, subject, kind).map(|(about, value)| (situation, about, value)));
    let Some((situation, about, value)) = found else {
        return Err(CannotAct::NothingThere { subject: subject.to_owned(), kind: word(kind) });
    };
    let positions = || situation.evidence.iter().flat_map(|piece| piece.positions.clone()).collect::<Vec<Position>>();
    let kept = match (value.as_clear(), kind) {
        (Some(handle), Kind::Badge) => state.holder(handle, &positions())?,
        (clear, _) => clear.map(str::to_owned),
    };
    let value = match kept {
        Some(value) => Some(value),
        None => state.held(&id, &about.role, IdentityKind::from(kind))?,
    };
    value.map(|value| (id, value)).ok_or(CannotAct::Deleted)
}

/// What is held on a plate: every record that has it, also as one reading among several, and every situation about it.
fn on_plate(state: &State, plate: &str) -> Result<String, CannotAct> {
    let mut lines = Vec::new();
    let mut count = 0_usize;
    let mut add = |line: String| {
        count += 1;
        if lines.len() < MOST_LISTED {
            lines.push(line);
        }
    };
    state.visit_log(|mut record| {
        let mut has = false;
        record.record.visit_private(&mut |field| {
            has |= matches!(field, PrivateField::QuasiIdentity(value) if value.as_clear() == Some(plate));
        });
        let source = match &record.record {
            Record::Observation(observation) => format!("read by {}", observation.sensor),
            Record::Control(Control::References(references)) => format!("stated by feed {}", references.feed),
            _ => return,
        };
        if has {
            add(format!("{}  record {}: {source}", moment(record.stamp.wall), record.stamp.position.0));
        }
    })?;
    state.visit_situations(|mut situation| {
        let mut has = false;
        situation.visit_private(&mut |_, value| has |= value.as_clear() == Some(plate));
        if has {
            let (from, kind, zone) = (moment(situation.from), &situation.kind, &situation.zone);
            add(format!("{from}  situation {}: {kind} in {zone}", situation.id));
        }
    })?;
    let more = if count > lines.len() { format!("\nand {} more", count - lines.len()) } else { String::new() };
    let lines = lines.join("\n");
    Ok(format!("{count} entries in log and state{}{lines}{more}", if count > 0 { "\n" } else { "" }))
}

/// What a case or an authority may be called: it is a key of a table and stands in records.
fn is_a_name(word: &str) -> bool {
    (1..=100).contains(&word.len()) && !word.chars().any(char::is_control)
}

/// Keys of cases are drawn from the upper half of the numbers; those of days are counted from below.
fn case_key() -> Result<KeyId, CannotAct> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|why| CannotAct::Unwritten(why.into()))?;
    Ok(KeyId(u32::from_le_bytes(bytes) | 1 << 31))
}

/// The last moment of a day, UTC.
fn end_of(day: jiff::civil::Date) -> WallTime {
    let end = day.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |end| end.timestamp().as_nanosecond());
    WallTime(i64::try_from(end).unwrap_or(i64::MAX))
}

fn moment(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| "?".into(), |at| format!("{at:.0}"))
}

fn identity<'a>(situation: &'a Situation, subject: &str, kind: Kind) -> Option<(&'a Subject, &'a Private)> {
    // As the engine names it, or as explanations print it.
    let called = |about: &&Subject| about.role == subject || about.role.replace('.', ", ") == subject;
    let of_role = situation.subjects.iter().filter(called);
    let mut identities = of_role.flat_map(|about| about.identities.iter().map(move |identity| (about, identity)));
    let found = identities.find(|(_, identity)| identity.kind == IdentityKind::from(kind));
    found.map(|(about, identity)| (about, &identity.value))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Plate => "plate",
        Kind::Container => "container",
        Kind::Tag => "tag",
        Kind::Badge => "badge",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(id: u8) -> Act {
        let at = |text: &str| text.parse().unwrap();
        Act {
            site: quaywatch_schemas::SiteId::new("gate-2").unwrap(),
            id: ActId([id; 16]),
            made: at("2026-03-14T02:20:00Z"),
            valid_until: at("2026-03-14T04:20:00Z"),
            reason: "case 2026-118".into(),
            what: What::Reveal {
                reference: "QW-G2-QPE9YC".into(),
                subject: "vehicle.following".into(),
                kind: Kind::Plate,
            },
        }
    }

    #[test]
    fn an_act_is_used_up_once_also_after_a_restart_and_with_a_clock_that_went_back() {
        let folder = tempfile::tempdir().unwrap();
        let (now, later): (Timestamp, Timestamp) =
            ("2026-03-14T02:30:00Z".parse().unwrap(), "2026-03-16T02:30:00Z".parse().unwrap());
        let used = Used::open(folder.path());
        used.up(&act(1), now).unwrap();
        assert!(matches!(used.up(&act(1), now), Err(CannotAct::Used)));
        used.up(&act(2), later).unwrap();
        let used = Used::open(folder.path());
        assert!(matches!(used.up(&act(1), now), Err(CannotAct::Used)));
        fs::write(folder.path().join("acts.used"), "not an id").unwrap();
        let damaged = Used::open(folder.path());
        assert!(matches!(damaged.up(&act(3), now), Err(CannotAct::NotKnown(_))));
    }
}
