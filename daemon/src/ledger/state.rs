//! What is derived from the log, in redb. All tables, on one page:
//!
//! | table | key | value | lifetime |
//! |---|---|---|---|
//! | `meta` | name | `checkpoint`: sealed [`Checkpoint`]; `places`: [`Places`]; `learned`, `in_force`: sealed to last, as the pipeline writes them | replaced |
//! | `situations` | situation id | latest revision, values about persons sealed one by one, the rest sealed to last | the newest [`MOST_SITUATIONS`] |
//! | `surest` | situation id | sealed revision that was surest, where that is not the latest | with its situation |
//! | `situations_by_age` | (log position of the checkpoint it was first kept with, id) | – | with its situation |
//! | `references` | reference, upper case | situation id | with its situation |
//! | `products` | hash of recipient and product id | log position, id of the situation it is a view of | the newest [`MOST_PRODUCTS`] |
//! | `products_by_age` | (log position, hash) | – | with its product |
//! | `told` | recipient, zero, situation id | sealed account of what it was told | until the situation ends for it |
//! | `dispositions` | log position | id of the situation it is evidence of | the newest [`MOST_DISPOSITIONS`] |
//! | `answers` | keyed hash of recipient, product, word and time | sealed answer | the newest [`MOST_ANSWERS`] |
//! | `held` | case, zero, situation id, zero, subject and kind | the case's key, and the value sealed under it | until the case is released; its key goes at its end |
//! | `keys_destroyed` | key id | when, in wall nanoseconds | kept: a few a day at most |
//!
//! A record that has no row in `dispositions` and lies at or before the checkpoint's position was considered and is evidence
//! of nothing. *Sealed* is under every class of the day it was written, so that it goes with the first of these keys;
//! *sealed to last* is under the store's own key (`keys.rs`). Everything but the checkpoint may be ahead of it after a crash: a replay writes the same again.

use super::{keys::Keys, log::LogReader};
use quaywatch_schemas::{
    Position, RecipientId, Situation, Stamped, WallTime, ZoneId,
    control::ReceivedAnswer,
    record::PrivateField,
    sealed::{KeyId, Sealed},
    situation::{IdentityKind, SituationId},
};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const SITUATIONS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("situations");
const BY_AGE: TableDefinition<'_, (u64, &[u8; 16]), ()> = TableDefinition::new("situations_by_age");
const SUREST: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("surest");
const PRODUCTS: TableDefinition<'_, &[u8; 16], (u64, &[u8; 16])> = TableDefinition::new("products");
const PRODUCTS_BY_AGE: TableDefinition<'_, (u64, &[u8; 16]), ()> = TableDefinition::new("products_by_age");
const KEYS_DESTROYED: TableDefinition<'_, u32, i64> = TableDefinition::new("keys_destroyed");
const HELD: TableDefinition<'_, &str, (u32, &[u8])> = TableDefinition::new("held");
const REFERENCES: TableDefinition<'_, &str, &[u8; 16]> = TableDefinition::new("references");
const TOLD: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("told");
const DISPOSITIONS: TableDefinition<'_, u64, &[u8; 16]> = TableDefinition::new("dispositions");
const ANSWERS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("answers");

/// A busy gate concludes some 5,000 passages a day: six weeks of them.
const MOST_SITUATIONS: u64 = 200_000;
const MOST_DISPOSITIONS: u64 = 2_000_000;
const MOST_ANSWERS: u64 = 200_000;
/// Each took two persons' signatures.
const MOST_HELD: u64 = 10_000;
/// Two recipients of every situation, and revisions.
const MOST_PRODUCTS: u64 = 500_000;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the state in {}: {why}", path.display())]
pub struct StateError {
    path: PathBuf,
    why: String,
}

/// How far the log has been applied, and what the engine knew then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last record applied.
    pub position: Position,
    /// The pipeline's and the engine's memory.
    pub engine: Vec<u8>,
    /// How many conclusions were put out until then.
    pub outputs: u64,
}

/// What a reader needs of the site file in force: names of zones, and its time zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// IANA name.
    pub timezone: String,
    /// Names of zones by id.
    pub zones: BTreeMap<ZoneId, String>,
}

/// A situation as it is kept, or why it cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// It can be read.
    Readable {
        /// The latest revision.
        latest: Box<Situation>,
        /// The revision that was surest, where that is not the latest: a belief fades, a closing rests on less.
        surest: Option<Box<Situation>>,
    },
    /// The key it was sealed with is gone.
    Deleted(KeyId),
    /// Nothing is kept of it.
    Unknown,
}

/// One value that is kept for a case.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// The case.
    pub case: &'a str,
    /// Of which situation.
    pub situation: SituationId,
    /// Whose.
    pub subject: &'a str,
    /// Which.
    pub kind: IdentityKind,
    /// Until the end of this moment's day, UTC.
    pub until: WallTime,
}

impl Held<'_> {
    fn row(&self) -> String {
        format!("{}\0{}\0{}\0{:?}", self.case, self.situation, self.subject, self.kind)
    }
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// How far the log has been applied.
    pub checkpoint: Option<Checkpoint>,
    /// Latest revisions.
    pub situations: Vec<Situation>,
    /// What references stand for.
    pub references: Vec<(String, SituationId)>,
    /// What recipients were told, as the pipeline writes it.
    pub told: Vec<((RecipientId, SituationId), Vec<u8>)>,
    /// What no longer needs an account.
    pub forget_told: Vec<(RecipientId, SituationId)>,
    /// Records that became evidence.
    pub evidence: Vec<(Position, SituationId)>,
    /// What recipients answered.
    pub answers: Vec<ReceivedAnswer>,
    /// Products that were given a number: whose, its id, and the situation it is a view of.
    pub products: Vec<(RecipientId, String, SituationId)>,
    /// What was learned, as the pipeline writes it.
    pub learned: Option<Vec<u8>>,
    /// What is in force, as the pipeline writes it, if that has changed.
    pub in_force: Option<Vec<u8>>,
    /// Names of the site file in force, if a new one took effect.
    pub places: Option<Places>,
    /// Sealing keys that were destroyed, and when.
    pub keys_destroyed: Vec<(KeyId, WallTime)>,
}

impl Changes {
    /// Notes which records a situation rests on.
    pub fn evidence_of(&mut self, situation: &Situation) {
        let positions = situation.evidence.iter().flat_map(|evidence| &evidence.positions);
        self.evidence.extend(positions.map(|position| (*position, situation.id)));
    }
}

/// The state. Cheap to clone; reads do not wait for writes.
#[derive(Clone)]
pub struct State {
    path: PathBuf,
    database: Arc<Database>,
    keys: Arc<Keys>,
}

impl State {
    /// Opens the state. One that cannot be opened is set aside as `….bad`: it can be derived again. Says whether it was.
    pub(super) fn open(path: &Path, keys: Arc<Keys>) -> Result<(Self, bool), StateError> {
        let failed = |why: String| StateError { path: path.to_owned(), why };
        let (database, set_aside) = match Database::create(path) {
            Ok(database) => (database, false),
            Err(why @ (redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::UpgradeRequired(_))) => {
                return Err(failed(why.to_string()));
            }
            Err(why) => {
                tracing::error!(path = %path.display(), %why, "the state cannot be opened; setting it aside and deriving it again");
                std::fs::rename(path, path.with_extension("redb.bad")).map_err(|e| failed(e.to_string()))?;
                (Database::create(path).map_err(|e| failed(e.to_string()))?, true)
            }
        };
        let state = Self { path: path.to_owned(), database: Arc::new(database), keys };
        state.write(|transaction| {
            transaction.open_table(META)?;
            transaction.open_table(SITUATIONS)?;
            transaction.open_table(BY_AGE)?;
            transaction.open_table(REFERENCES)?;
            transaction.open_table(TOLD)?;
            transaction.open_table(DISPOSITIONS)?;
            transaction.open_table(ANSWERS)?;
            transaction.open_table(SUREST)?;
            transaction.open_table(PRODUCTS)?;
            transaction.open_table(PRODUCTS_BY_AGE)?;
            transaction.open_table(KEYS_DESTROYED)?;
            transaction.open_table(HELD)?;
            Ok(())
        })?;
        Ok((state, set_aside))
    }

    /// How far the log has been applied; `None` for a new store, or one whose checkpoint cannot be opened.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.read(|transaction| {
            let sealed = transaction.open_table(META)?.get("checkpoint")?.map(|value| value.value().to_vec());
            Ok(sealed.and_then(|sealed| self.opened(&sealed)))
        })
    }

    /// A situation's latest revision.
    pub fn situation(&self, id: &SituationId) -> Result<Option<Situation>, StateError> {
        self.read(|transaction| {
            let sealed = transaction.open_table(SITUATIONS)?.get(&id.0)?.map(|value| value.value().to_vec());
            Ok(sealed.and_then(|sealed| self.opened_situation(&sealed)))
        })
    }

    /// The revision of a situation that was surest: what people were told, and what a verdict on it judges.
    pub fn surest(&self, id: &SituationId) -> Result<Option<Situation>, StateError> {
        match self.kept(id)? {
            Kept::Readable { latest, surest } => Ok(Some(*surest.unwrap_or(latest))),
            Kept::Deleted(_) | Kept::Unknown => Ok(None),
        }
    }

    /// All that is kept of a situation.
    pub fn kept(&self, id: &SituationId) -> Result<Kept, StateError> {
        self.read(|transaction| {
            let sealed = transaction.open_table(SITUATIONS)?.get(&id.0)?.map(|value| value.value().to_vec());
            let Some(sealed) = sealed else { return Ok(Kept::Unknown) };
            let Some(latest) = self.opened_situation(&sealed) else {
                return Ok(postcard::from_bytes::<Sealed>(&sealed).map_or(Kept::Unknown, |it| Kept::Deleted(it.key)));
            };
            let surest = transaction.open_table(SUREST)?.get(&id.0)?;
            let surest = surest.and_then(|value| self.opened_situation(value.value())).map(Box::new);
            Ok(Kept::Readable { latest: Box::new(latest), surest })
        })
    }

    /// The situation that a recipient's product is a view of.
    pub fn by_product(&self, recipient: &RecipientId, product: &str) -> Result<Option<SituationId>, StateError> {
        self.read(|transaction| {
            let products = transaction.open_table(PRODUCTS)?;
            let row = products.get(&product_key(recipient, product))?;
            Ok(row.map(|row| SituationId(*row.value().1)))
        })
    }

    /// Names of the site file in force.
    pub fn places(&self) -> Result<Places, StateError> {
        self.read(|transaction| {
            let stored = transaction.open_table(META)?.get("places")?.map(|value| value.value().to_vec());
            Ok(stored.and_then(|stored| postcard::from_bytes(&stored).ok()).unwrap_or_default())
        })
    }

    /// What was learned, as the pipeline wrote it.
    pub fn learned(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.sealed_meta("learned")
    }

    /// What is in force, as the pipeline wrote it.
    pub fn in_force(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.sealed_meta("in_force")
    }

    /// The key that the situations of this store are named with.
    pub fn situation_key(&self) -> [u8; 32] {
        self.keys.situation()
    }

    /// The badge or name that a handle stands for, in the records that a situation rests on; `None` once the key or the
    /// record is gone.
    pub fn holder(&self, handle: &str, positions: &[Position]) -> Result<Option<String>, StateError> {
        let log = self.path.with_file_name("log");
        for position in positions {
            let reader = LogReader::from(&log, *position, self.keys.clone()).map_err(|e| self.failed(&e))?;
            let record = reader.take(1).next().transpose().map_err(|e| self.failed(&e))?;
            let Some(mut record) = record.filter(|record| record.stamp.position == *position) else { continue };
            let mut found = None;
            record.record.visit_private(&mut |field| {
                if let PrivateField::Identity(identity) = field
                    && identity.handle.is_some_and(|of| of.to_string() == handle)
                {
                    found = identity.value.as_clear().map(str::to_owned);
                }
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Keeps a value for a case: under the case's key, which is made if this is its first value. Blocks.
    pub fn hold(&self, held: &Held<'_>, key: KeyId, value: &str) -> Result<(), StateError> {
        if self.case(held.case)?.is_none() {
            self.keys.open_case(key, held.until).map_err(|e| self.failed(&e))?;
        }
        let sealed = self.keys.seal_for_case(value.as_bytes(), held.kind.class(), key);
        let sealed = sealed.ok_or_else(|| self.failed(&"the key of the case is gone"))?;
        let bytes = postcard::to_stdvec(&sealed).expect("an envelope always serialises");
        self.write(|transaction| {
            transaction.open_table(HELD)?.insert(held.row().as_str(), (key.0, bytes.as_slice()))?;
            Ok(())
        })
    }

    /// The key of a case, if anything is held for it, and whether there is room for more.
    pub fn case(&self, case: &str) -> Result<Option<KeyId>, StateError> {
        self.read(|transaction| {
            let table = transaction.open_table(HELD)?;
            let first = table.range(format!("{case}\0").as_str()..format!("{case}\u{1}").as_str())?.next();
            Ok(first.transpose()?.map(|(_, value)| KeyId(value.value().0)))
        })
    }

    /// Whether another value may be held.
    pub fn may_hold(&self) -> Result<bool, StateError> {
        self.read(|transaction| Ok(transaction.open_table(HELD)?.len()? < MOST_HELD))
    }

    /// Deletes what is held for a case: its key first. Says how many values it were. Blocks.
    pub fn release(&self, case: &str) -> Result<u64, StateError> {
        if let Some(key) = self.case(case)? {
            self.keys.close_case(key).map_err(|e| self.failed(&e))?;
        }
        let mut gone = 0;
        self.write(|transaction| {
            let (from, to) = (format!("{case}\0"), format!("{case}\u{1}"));
            transaction.open_table(HELD)?.retain_in(from.as_str()..to.as_str(), |_, _| {
                gone += 1;
                false
            })?;
            Ok(())
        })?;
        Ok(gone)
    }

    /// A value that is held for any case.
    pub fn held(&self, id: &SituationId, subject: &str, kind: IdentityKind) -> Result<Option<String>, StateError> {
        let ends = format!("\0{id}\0{subject}\0{kind:?}");
        self.read(|transaction| {
            for row in transaction.open_table(HELD)?.iter()? {
                let (row, value) = row?;
                if row.value().ends_with(&ends)
                    && let Ok(sealed) = postcard::from_bytes(value.value().1)
                    && let Some(clear) = self.keys.open_sealed(&sealed)
                {
                    return Ok(String::from_utf8(clear).ok());
                }
            }
            Ok(None)
        })
    }

    /// Calls `visit` with every record of the log that can be read, as far as its keys exist.
    pub fn visit_log(&self, mut visit: impl FnMut(Stamped)) -> Result<(), StateError> {
        let reader =
            LogReader::open(&self.path.with_file_name("log"), self.keys.clone()).map_err(|e| self.failed(&e))?;
        for record in reader {
            visit(record.map_err(|e| self.failed(&e))?);
        }
        Ok(())
    }

    /// When a sealing key was destroyed: what it sealed is deleted since then.
    pub fn destroyed(&self, key: KeyId) -> Result<Option<WallTime>, StateError> {
        self.read(|transaction| {
            Ok(transaction.open_table(KEYS_DESTROYED)?.get(key.0)?.map(|value| WallTime(value.value())))
        })
    }

    /// Calls `visit` with every situation that is kept and can be read, in the order of their ids: latest revisions.
    pub fn visit_situations(&self, mut visit: impl FnMut(Situation)) -> Result<(), StateError> {
        self.read(|transaction| {
            for row in transaction.open_table(SITUATIONS)?.iter()? {
                if let Some(situation) = self.opened_situation(row?.1.value()) {
                    visit(situation);
                }
            }
            Ok(())
        })
    }

    /// What a reference stands for.
    pub fn by_reference(&self, reference: &str) -> Result<Option<SituationId>, StateError> {
        self.read(|transaction| {
            Ok(transaction.open_table(REFERENCES)?.get(reference)?.map(|value| SituationId(*value.value())))
        })
    }

    /// What every recipient was told of what is still open for it.
    #[expect(clippy::type_complexity, reason = "a row of the table: its key and its value")]
    pub fn told(&self) -> Result<Vec<((RecipientId, SituationId), Vec<u8>)>, StateError> {
        self.read(|transaction| {
            let mut rows = Vec::new();
            for row in transaction.open_table(TOLD)?.iter()? {
                let (key, value) = row?;
                if let Some(key) = told_of(key.value())
                    && let Some(bytes) = self.keys.open_blob(value.value())
                {
                    rows.push((key, bytes));
                }
            }
            Ok(rows)
        })
    }

    /// How many answers are held, and how many situations.
    pub fn sizes(&self) -> Result<(u64, u64), StateError> {
        self.read(|transaction| {
            Ok((transaction.open_table(ANSWERS)?.len()?, transaction.open_table(SITUATIONS)?.len()?))
        })
    }

    /// Writes changes in one transaction.
    pub fn apply(&self, changes: Changes) -> Result<(), StateError> {
        self.write(|transaction| {
            let age = changes.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.position.0);
            if let Some(checkpoint) = &changes.checkpoint {
                transaction.open_table(META)?.insert("checkpoint", self.sealed(checkpoint).as_slice())?;
            }
            for (name, bytes) in [("learned", &changes.learned), ("in_force", &changes.in_force)] {
                if let Some(bytes) = bytes {
                    transaction.open_table(META)?.insert(name, self.keys.seal_lasting(bytes).as_slice())?;
                }
            }
            if let Some(places) = &changes.places {
                let bytes = postcard::to_stdvec(places).expect("names always serialise");
                transaction.open_table(META)?.insert("places", bytes.as_slice())?;
            }
            let mut destroyed = transaction.open_table(KEYS_DESTROYED)?;
            for (key, at) in &changes.keys_destroyed {
                destroyed.insert(key.0, at.0)?;
            }
            {
                let mut situations = transaction.open_table(SITUATIONS)?;
                let mut surest = transaction.open_table(SUREST)?;
                let mut by_age = transaction.open_table(BY_AGE)?;
                for situation in &changes.situations {
                    let id = &situation.id.0;
                    let before = situations
                        .insert(id, self.sealed_situation(situation).as_slice())?
                        .map(|value| value.value().to_vec());
                    match before {
                        None => drop(by_age.insert((age, id), ())?),
                        Some(before) => self.keep_surest(&mut surest, &before, situation)?,
                    }
                }
                let mut references = transaction.open_table(REFERENCES)?;
                for (reference, id) in &changes.references {
                    references.insert(reference.as_str(), &id.0)?;
                }
                let mut gone = Vec::new();
                while situations.len()? > MOST_SITUATIONS {
                    let Some(oldest) = by_age.pop_first()?.map(|(key, _)| *key.value().1) else { break };
                    situations.remove(&oldest)?;
                    surest.remove(&oldest)?;
                    gone.push(oldest);
                }
                if !gone.is_empty() {
                    references.retain(|_, id| !gone.contains(id))?;
                }
            }
            let mut products = transaction.open_table(PRODUCTS)?;
            let mut products_by_age = transaction.open_table(PRODUCTS_BY_AGE)?;
            for (recipient, product, id) in &changes.products {
                let key = product_key(recipient, product);
                if products.insert(&key, (age, &id.0))?.is_none() {
                    products_by_age.insert((age, &key), ())?;
                }
            }
            while products.len()? > MOST_PRODUCTS {
                let Some(oldest) = products_by_age.pop_first()?.map(|(key, _)| *key.value().1) else { break };
                products.remove(&oldest)?;
            }
            let mut told = transaction.open_table(TOLD)?;
            for (key, bytes) in &changes.told {
                told.insert(told_key(key).as_slice(), self.keys.seal_blob(bytes).as_slice())?;
            }
            for key in &changes.forget_told {
                told.remove(told_key(key).as_slice())?;
            }
            let mut dispositions = transaction.open_table(DISPOSITIONS)?;
            for (position, id) in &changes.evidence {
                dispositions.insert(position.0, &id.0)?;
            }
            while dispositions.len()? > MOST_DISPOSITIONS {
                dispositions.pop_first()?;
            }
            let mut answers = transaction.open_table(ANSWERS)?;
            for answer in &changes.answers {
                answers.insert(&answer_key(answer), self.sealed(answer).as_slice())?;
            }
            while answers.len()? > MOST_ANSWERS {
                answers.pop_first()?;
            }
            Ok(())
        })
    }

    /// The revision before, if it was surer than the new one and than any other.
    fn keep_surest(
        &self,
        surest: &mut redb::Table<'_, &[u8; 16], &[u8]>,
        before: &[u8],
        now: &Situation,
    ) -> Result<(), redb::Error> {
        let Some(earlier) = self.opened_situation(before) else { return Ok(()) };
        let kept = surest.get(&now.id.0)?.and_then(|value| self.opened_situation(value.value()));
        let most = kept.as_ref().map_or(now.log_odds, |kept| kept.log_odds.max(now.log_odds));
        if earlier.log_odds > most && earlier.revision < now.revision {
            // As it was sealed: its values are no younger for having been surest.
            surest.insert(&now.id.0, before)?;
        } else if kept.is_some_and(|kept| now.log_odds >= kept.log_odds) {
            surest.remove(&now.id.0)?;
        }
        Ok(())
    }

    fn sealed_meta(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.read(|transaction| {
            let sealed = transaction.open_table(META)?.get(name)?.map(|value| value.value().to_vec());
            Ok(sealed.and_then(|sealed| self.keys.open_blob(&sealed)))
        })
    }

    fn read<T>(&self, read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StateError> {
        let transaction = self.database.begin_read().map_err(|e| self.failed(&e))?;
        read(&transaction).map_err(|e| self.failed(&e))
    }

    /// Writes with quick repair: a second sync a commit, so that a start after a crash need not walk the whole file.
    fn write(&self, write: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StateError> {
        let mut transaction = self.database.begin_write().map_err(|e| self.failed(&e))?;
        transaction.set_quick_repair(true);
        write(&transaction).map_err(|e| self.failed(&e))?;
        transaction.commit().map_err(|e| self.failed(&e))
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> StateError {
        StateError { path: self.path.clone(), why: why.to_string() }
    }

    fn sealed(&self, value: &impl Serialize) -> Vec<u8> {
        self.keys.seal_blob(&postcard::to_stdvec(value).expect("a stored value always serialises"))
    }

    fn sealed_situation(&self, situation: &Situation) -> Vec<u8> {
        let mut situation = situation.clone();
        self.keys.seal_situation(&mut situation);
        self.keys.seal_lasting(&postcard::to_stdvec(&situation).expect("a situation always serialises"))
    }

    fn opened_situation(&self, sealed: &[u8]) -> Option<Situation> {
        let mut situation: Situation = self.opened(sealed)?;
        self.keys.open_situation(&mut situation);
        Some(situation)
    }

    fn opened<T: serde::de::DeserializeOwned>(&self, sealed: &[u8]) -> Option<T> {
        postcard::from_bytes(&self.keys.open_blob(sealed)?).ok()
    }
}

fn told_key((recipient, id): &(RecipientId, SituationId)) -> Vec<u8> {
    let mut key = recipient.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&id.0);
    key
}

fn told_of(key: &[u8]) -> Option<(RecipientId, SituationId)> {
    let (recipient, id) = key.split_at_checked(key.len().checked_sub(17)?)?;
    let recipient = RecipientId::new(std::str::from_utf8(recipient).ok()?).ok()?;
    Some((recipient, SituationId(id[1..].try_into().ok()?)))
}

fn product_key(recipient: &RecipientId, product: &str) -> [u8; 16] {
    hash("quaywatch product identity v1", &[recipient.as_str(), product])
}

/// The same answer twice is one answer.
fn answer_key(answer: &ReceivedAnswer) -> [u8; 16] {
    let word = format!("{:?}", answer.answer.word);
    let parts = [answer.recipient.as_str(), &answer.answer.product, &word, &answer.answer.at];
    hash("quaywatch answer identity v1", &parts)
}

fn hash(purpose: &str, parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(purpose);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}
