//! Keys of the store, in one file outside it, so that destroying a key deletes what it sealed in every copy.
//!
//! Every class of personal field has a key a day; it seals what is stored that day. Values in records and situations are
//! sealed one by one, each under its class. A whole value that may hold anything (checkpoint, accounts, answers, product
//! bodies) is sealed under every class in turn and goes with whichever key goes first. What is no value about a person
//! (the rest of a situation, what is in force, what was learned) is under the store's own key, which stays.
//!
//! The file `keys` is rewritten whole under a fresh wrapping key each time, and what was there before is overwritten and
//! unlinked, wrapping key first. The wrapping key is in `wrapping-N.key` beside it (0600) or, better, comes from systemd's
//! credentials (`wrapping-key`, bound to the TPM where there is one); a credential we cannot change, so there destruction
//! rests on the overwriting of the old file. Root on the box can read everything whose key is still on the box; a pulled
//! disk cannot, if the wrapping key is a credential. Flash may keep overwritten blocks for a while.

use super::days::{Calendar, Day, Steps, day_of};
use quaywatch_schemas::{
    FieldClass, GatewayTime, Record, Situation, WallTime,
    policy::Retention,
    record::PrivateField,
    sealed::{Handle, KeyId, Sealed},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};
use zeroize::{Zeroize, Zeroizing};

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file does not open with the wrapping key.
    #[error("{}: does not open with its wrapping key; put back the wrapping key it was written with, or move the whole state folder aside to begin anew", .0.display())]
    DoesNotOpen(PathBuf),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// All keys of the store.
pub(super) struct Keys {
    folder: PathBuf,
    secret: RwLock<Secret>,
    /// One at a time writes the key file.
    writing: Mutex<()>,
    steps: Mutex<Steps>,
    /// Made when the store was opened, and not yet recorded.
    made: Vec<KeyId>,
}

/// What the key file holds, as JSON: fields have names there, so a version that knows more keys reads an older file.
#[derive(Clone, Serialize, Deserialize)]
struct Secret {
    situation: [u8; 32],
    reference: [u8; 32],
    handle: [u8; 32],
    node: [u8; 32],
    calendar: Calendar,
    /// Ids are given once, also after their keys are gone.
    next: u32,
    /// Of one class the last one seals.
    sealing: Vec<SealingKey>,
    /// Signs the audit journal's checkpoints; a store of an earlier version gets it when it is opened.
    #[serde(default)]
    audit: Option<[u8; 32]>,
}

#[derive(Clone, Serialize, Deserialize)]
struct SealingKey {
    id: KeyId,
    seals: Seals,
    key: [u8; 32],
}

/// What a key seals, and since when it waits to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Seals {
    /// Nothing about persons; stays.
    Store,
    /// One class of one day.
    Class(FieldClass, Day),
    /// All there was until a day, in a store of the first version.
    Everything(Day),
    /// What two persons had kept for a case, until the end of a day.
    Case(Day),
}

/// The classes that have a key a day. The last one is the innermost of a whole value.
const PERSONAL: [FieldClass; 3] = [FieldClass::QuasiIdentity, FieldClass::Identity, FieldClass::Source];
/// Three classes over more than three years. Beyond it no key is made and the newest ones go on sealing.
const MOST_KEYS: usize = 4096;

impl Drop for Secret {
    fn drop(&mut self) {
        for key in [&mut self.situation, &mut self.reference, &mut self.handle, &mut self.node] {
            key.zeroize();
        }
        self.sealing.iter_mut().for_each(|sealing| sealing.key.zeroize());
        self.audit.zeroize();
    }
}

/// Keys that a new day makes and ends.
pub(super) struct Turn {
    pub(super) made: Vec<KeyId>,
    pub(super) destroyed: Vec<KeyId>,
    secret: Secret,
}

impl Keys {
    /// Reads the key file, or makes one for a new store.
    pub(super) fn open(folder: &Path, now: WallTime) -> Result<Self, KeysError> {
        let today = day_of(now);
        let (mut secret, generation) = match folder.join("keys").exists() {
            true => Secret::read(folder, today)?,
            false => (Secret::fresh(today)?, 0),
        };
        // A new store, and one of the first version, gets its keys of the day before anything is sealed.
        let made = match generation {
            0 => secret.make(today)?,
            _ => Vec::new(),
        };
        let signs = secret.audit.is_some();
        if !signs {
            secret.audit = Some(random()?);
        }
        match generation {
            1.. if signs => remove_all_wrapping_but(folder, generation),
            _ => secret.write(folder)?,
        }
        Ok(Self {
            folder: folder.to_owned(),
            secret: RwLock::new(secret),
            writing: Mutex::default(),
            steps: Mutex::default(),
            made,
        })
    }

    /// Reads the key file of an existing store.
    pub(super) fn read(folder: &Path) -> Result<Self, KeysError> {
        // A gateway may be rewriting it at this moment: then the wrapping key is another one the next time.
        let (secret, _) = Secret::read(folder, 0).or_else(|_| Secret::read(folder, 0))?;
        Ok(Self {
            folder: folder.to_owned(),
            secret: RwLock::new(secret),
            writing: Mutex::default(),
            steps: Mutex::default(),
            made: Vec::new(),
        })
    }

    /// Keys made when the store was opened, for the record.
    pub(super) fn made(&self) -> &[KeyId] {
        &self.made
    }

    pub(super) fn situation(&self) -> [u8; 32] {
        self.secret().situation
    }

    pub(super) fn reference(&self) -> [u8; 32] {
        self.secret().reference
    }

    /// Seals the file of the nodes' keys.
    pub(super) fn node(&self) -> [u8; 32] {
        self.secret().node
    }

    /// Signs the audit journal's checkpoints; `None` before a gateway of this version has opened the store.
    pub(super) fn audit(&self) -> Option<[u8; 32]> {
        self.secret().audit
    }

    /// What another look at the clock leads to; `None` if nothing. Nothing is destroyed without a retention.
    pub(super) fn turn(
        &self,
        (gateway, wall): (GatewayTime, WallTime),
        retention: Option<&Retention>,
    ) -> Result<Option<Turn>, KeysError> {
        let stepped = self.steps.lock().unwrap_or_else(PoisonError::into_inner).forward(gateway, wall);
        let secret = self.secret();
        let calendar = secret.calendar.looked(day_of(wall), stepped);
        let due = retention.map(|retention| secret.due(&calendar, retention)).unwrap_or_default();
        if calendar == secret.calendar && due.is_empty() {
            return Ok(None);
        }
        let mut secret = secret.clone();
        secret.calendar = calendar;
        let today = calendar.today();
        secret.date_back_to(today);
        let made = match secret.newest_day() {
            // What was sealed a moment before a step is not a month old because the clock says so.
            newest if newest < today && stepped => {
                secret.date_newest(today);
                Vec::new()
            }
            newest if newest < today => secret.make(today)?,
            _ => Vec::new(),
        };
        secret.sealing.retain(|sealing| !due.contains(&sealing.id));
        Ok(Some(Turn { made, destroyed: due, secret }))
    }

    /// Puts the keys of a turn in force: from here on what was sealed with a destroyed one is deleted.
    pub(super) fn carry_out(&self, turn: Turn) -> Result<(), KeysError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secret = turn.secret;
        // Cases that were opened or closed while the turn was recorded.
        secret.sealing.retain(|sealing| !matches!(sealing.seals, Seals::Case(_)));
        let now = self.secret();
        let cases = now.sealing.iter().filter(|sealing| matches!(sealing.seals, Seals::Case(_)));
        secret.sealing.extend(cases.filter(|sealing| !turn.destroyed.contains(&sealing.id)).cloned());
        drop(now);
        self.replace_with(secret)
    }

    /// Makes a case's key, under an id that was chosen for it and recorded.
    pub(super) fn open_case(&self, id: KeyId, until: WallTime) -> Result<(), KeysError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secret = self.secret().clone();
        secret.sealing.push(SealingKey { id, seals: Seals::Case(day_of(until)), key: random()? });
        self.replace_with(secret)
    }

    /// Destroys a case's key: what was held for it is deleted, if its own day's key is gone too.
    pub(super) fn close_case(&self, id: KeyId) -> Result<(), KeysError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secret = self.secret().clone();
        secret.sealing.retain(|sealing| sealing.id != id || !matches!(sealing.seals, Seals::Case(_)));
        self.replace_with(secret)
    }

    /// Seals bytes under a case's key; `None` if it is gone.
    pub(super) fn seal_for_case(&self, clear: &[u8], class: FieldClass, id: KeyId) -> Option<Sealed> {
        let secret = self.secret();
        let case = secret.sealing.iter().find(|sealing| sealing.id == id)?;
        Some(Sealed::seal(clear, class, id, &case.key, nonce()))
    }

    /// Seals bytes with the newest key of a class.
    pub(super) fn seal(&self, clear: &[u8], class: FieldClass) -> Sealed {
        let secret = self.secret();
        let SealingKey { id, key, .. } = secret.newest(class).expect("an open store has a key of every personal class");
        Sealed::seal(clear, class, *id, key, nonce())
    }

    /// Opens a sealed value; `None` once its key is gone.
    pub(super) fn open_sealed(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        let secret = self.secret();
        sealed.open(&secret.sealing.iter().find(|key| key.id == sealed.key)?.key).ok()
    }

    /// A whole value that may hold anything, sealed under every class: it goes with the first key that goes.
    pub(super) fn seal_blob(&self, clear: &[u8]) -> Vec<u8> {
        let [outer @ .., innermost] = PERSONAL;
        let sealed =
            outer.iter().rev().fold(self.seal(clear, innermost), |inner, class| self.seal(&bytes_of(&inner), *class));
        bytes_of(&sealed)
    }

    /// A whole value that holds nothing about a person, or only what is sealed already.
    pub(super) fn seal_lasting(&self, clear: &[u8]) -> Vec<u8> {
        let secret = self.secret();
        let own = secret.sealing.iter().find(|sealing| sealing.seals == Seals::Store);
        let SealingKey { id, key, .. } = own.expect("an open store has its own key");
        bytes_of(&Sealed::seal(clear, FieldClass::Operational, *id, key, nonce()))
    }

    /// Opens either.
    pub(super) fn open_blob(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let sealed: Sealed = postcard::from_bytes(bytes).ok()?;
        let clear = self.open_sealed(&sealed)?;
        let alone = match self.seals(sealed.key)? {
            Seals::Store | Seals::Everything(_) | Seals::Case(_) => true,
            Seals::Class(class, _) => PERSONAL.last() == Some(&class),
        };
        if alone { Some(clear) } else { self.open_blob(&clear) }
    }

    /// Whether a whole value cannot be opened because a key of it is gone.
    pub(super) fn is_deleted(&self, bytes: &[u8]) -> bool {
        postcard::from_bytes::<Sealed>(bytes).is_ok_and(|sealed| match self.open_sealed(&sealed) {
            None => self.seals(sealed.key).is_none(),
            Some(inner) => self.is_deleted(&inner),
        })
    }

    /// Gives every person in a record their handle: what fusion sees instead of an identity.
    pub(super) fn make_handles(&self, record: &mut Record) {
        let key = Zeroizing::new(self.secret().handle);
        record.visit_private(&mut |field| {
            if let PrivateField::Identity(identity) = field
                && let Some(value) = identity.value.as_clear()
            {
                identity.handle = Some(Handle::of(value, &key));
            }
        });
    }

    /// Seals every private value of a record: the form that goes to disk. Handles stay off it: badge numbers are few, and
    /// whoever has the handle's key could try them all.
    pub(super) fn seal_record(&self, record: &mut Record) {
        record.visit_private(&mut |field| match field {
            PrivateField::Identity(identity) => {
                identity.handle = None;
                identity.value.seal_with(|clear| self.seal(clear, FieldClass::Identity));
            }
            PrivateField::QuasiIdentity(value) => value.seal_with(|clear| self.seal(clear, FieldClass::QuasiIdentity)),
            PrivateField::Source(value) => value.seal_with(|clear| self.seal(clear, FieldClass::Source)),
            PrivateField::Bytes(bytes) => bytes.seal_with(|clear| self.seal(clear, FieldClass::Identity)),
        });
    }

    /// Opens what can still be opened.
    pub(super) fn open_record(&self, record: &mut Record) {
        record.visit_private(&mut |field| match field {
            PrivateField::Identity(identity) => identity.value.open_with(|sealed| self.open_sealed(sealed)),
            PrivateField::QuasiIdentity(value) | PrivateField::Source(value) => {
                value.open_with(|sealed| self.open_sealed(sealed));
            }
            PrivateField::Bytes(bytes) => bytes.open_with(|sealed| self.open_sealed(sealed)),
        });
        self.make_handles(record);
    }

    /// Seals every value about a person in a situation, each under its class.
    pub(super) fn seal_situation(&self, situation: &mut Situation) {
        situation.visit_private(&mut |class, value| {
            if PERSONAL.contains(&class) {
                value.seal_with(|clear| self.seal(clear, class));
            }
        });
    }

    /// Opens what can still be opened.
    pub(super) fn open_situation(&self, situation: &mut Situation) {
        situation.visit_private(&mut |_, value| value.open_with(|sealed| self.open_sealed(sealed)));
    }

    /// Every key there is.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<[u8; 32]> {
        let secret = self.secret();
        let sealing = secret.sealing.iter().map(|sealing| sealing.key);
        [secret.situation, secret.reference, secret.handle, secret.node].into_iter().chain(sealing).collect()
    }

    fn seals(&self, id: KeyId) -> Option<Seals> {
        self.secret().sealing.iter().find(|sealing| sealing.id == id).map(|sealing| sealing.seals)
    }

    fn secret(&self) -> RwLockReadGuard<'_, Secret> {
        self.secret.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_with(&self, secret: Secret) -> Result<(), KeysError> {
        secret.write(&self.folder)?;
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
        Ok(())
    }
}

impl Secret {
    fn fresh(today: Day) -> Result<Self, KeysError> {
        let store = SealingKey { id: KeyId(1), seals: Seals::Store, key: random()? };
        Ok(Self {
            situation: random()?,
            reference: random()?,
            handle: random()?,
            node: random()?,
            calendar: Calendar::beginning(today),
            next: 2,
            sealing: vec![store],
            audit: None,
        })
    }

    /// Makes a key of every personal class for a day. Returns their ids.
    fn make(&mut self, day: Day) -> Result<Vec<KeyId>, KeysError> {
        if self.sealing.len() + PERSONAL.len() > MOST_KEYS {
            tracing::error!(
                keys = self.sealing.len(),
                "too many keys: the newest go on sealing until old ones are destroyed"
            );
            return Ok(Vec::new());
        }
        PERSONAL
            .into_iter()
            .map(|class| {
                let id = KeyId(self.next);
                self.next += 1;
                self.sealing.push(SealingKey { id, seals: Seals::Class(class, day), key: random()? });
                Ok(id)
            })
            .collect()
    }

    fn newest(&self, class: FieldClass) -> Option<&SealingKey> {
        self.sealing.iter().rfind(|sealing| matches!(sealing.seals, Seals::Class(of, _) if of == class))
    }

    fn newest_day(&self) -> Day {
        let day = |class: &FieldClass| match self.newest(*class)?.seals {
            Seals::Class(_, day) => Some(day),
            Seals::Store | Seals::Everything(_) | Seals::Case(_) => None,
        };
        PERSONAL.iter().filter_map(day).min().unwrap_or(Day::MIN)
    }

    /// Keys of days that have not come yet, made while the clock was wrong, are of this day.
    fn date_back_to(&mut self, today: Day) {
        for sealing in &mut self.sealing {
            if let Seals::Class(_, day) = &mut sealing.seals {
                *day = today.min(*day);
            }
        }
    }

    fn date_newest(&mut self, today: Day) {
        let newest: Vec<KeyId> = PERSONAL.iter().filter_map(|class| Some(self.newest(*class)?.id)).collect();
        for sealing in self.sealing.iter_mut().filter(|sealing| newest.contains(&sealing.id)) {
            if let Seals::Class(_, day) = &mut sealing.seals {
                *day = today;
            }
        }
    }

    /// What has been kept for longer than its class is. The key that seals is never due.
    fn due(&self, calendar: &Calendar, retention: &Retention) -> Vec<KeyId> {
        let longest = PERSONAL.iter().map(|class| retention.days(*class)).max().unwrap_or_default();
        let due = |sealing: &&SealingKey| match sealing.seals {
            Seals::Store => false,
            Seals::Case(until) => calendar.settled > until,
            Seals::Everything(until) => calendar.settled - until > Day::from(longest),
            Seals::Class(class, day) => {
                let seals_now = self.newest(class).is_some_and(|newest| newest.id == sealing.id);
                !seals_now && calendar.settled - day > Day::from(retention.days(class))
            }
        };
        self.sealing.iter().filter(due).map(|sealing| sealing.id).collect()
    }

    /// The keys, and under which wrapping key they are: its number, which is also the envelope's key.
    fn read(folder: &Path, today: Day) -> Result<(Self, u32), KeysError> {
        let path = folder.join("keys");
        let bytes = fs::read(&path).map_err(|source| KeysError::Io { path: path.clone(), source })?;
        let Ok(sealed) = postcard::from_bytes::<Sealed>(&bytes) else { return Err(KeysError::DoesNotOpen(path)) };
        let generation = sealed.key.0;
        let clear = wrapping_keys(folder, generation)?
            .into_iter()
            .find_map(|wrapping| sealed.open(&wrapping).ok())
            .map(Zeroizing::new);
        let secret = clear.and_then(|clear| match generation {
            0 => postcard::from_bytes::<FirstVersion>(&clear).ok().and_then(|first| first.into_secret(today)),
            _ => serde_json::from_slice(&clear).ok(),
        });
        secret.map(|secret| (secret, generation)).ok_or(KeysError::DoesNotOpen(path))
    }

    /// Writes the file whole under a fresh wrapping key. A power cut leaves the old or the new one, each with its own.
    fn write(&self, folder: &Path) -> Result<(), KeysError> {
        let path = folder.join("keys");
        let before = fs::read(&path).ok().and_then(|bytes| postcard::from_bytes::<Sealed>(&bytes).ok());
        let generation = before.map_or(0, |sealed| sealed.key.0).wrapping_add(1).max(1);
        let wrapping = match credential()? {
            Some(given) => given,
            None => {
                let fresh = Zeroizing::new(random()?);
                replace(&wrapping_path(folder, generation), &*fresh)?;
                fresh
            }
        };
        let clear = Zeroizing::new(serde_json::to_vec(self).expect("keys always serialise"));
        let sealed = Sealed::seal(&clear, FieldClass::Identity, KeyId(generation), &wrapping, random()?);
        let old = fs::OpenOptions::new().write(true).open(&path).ok();
        replace(&path, &bytes_of(&sealed))?;
        remove_all_wrapping_but(folder, generation);
        if let Some(why) = old.and_then(|mut file| overwrite(&mut file).err()) {
            tracing::warn!(%why, "the old key file could not be overwritten; it is unlinked");
        }
        Ok(())
    }
}

/// What the key file held at first, as postcard: one key that sealed everything.
#[derive(Deserialize)]
struct FirstVersion {
    situation: [u8; 32],
    reference: [u8; 32],
    handle: [u8; 32],
    node: [u8; 32],
    sealing: Vec<(KeyId, [u8; 32])>,
}

impl FirstVersion {
    fn into_secret(self, today: Day) -> Option<Secret> {
        let next = self.sealing.iter().map(|(id, _)| id.0).max()?.checked_add(1)?;
        let everything = self.sealing.into_iter();
        let everything = everything.map(|(id, key)| SealingKey { id, seals: Seals::Everything(today), key });
        let store = SealingKey { id: KeyId(next), seals: Seals::Store, key: random().ok()? };
        Some(Secret {
            situation: self.situation,
            reference: self.reference,
            handle: self.handle,
            node: self.node,
            calendar: Calendar::beginning(today),
            next: next + 1,
            sealing: everything.chain([store]).collect(),
            audit: None,
        })
    }
}

/// What may open a key file: the credential, and the file beside it.
fn wrapping_keys(folder: &Path, generation: u32) -> Result<Vec<Zeroizing<[u8; 32]>>, KeysError> {
    let beside = read_key(&wrapping_path(folder, generation))?;
    Ok(credential()?.into_iter().chain(beside).collect())
}

fn credential() -> Result<Option<Zeroizing<[u8; 32]>>, KeysError> {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map_or(Ok(None), |folder| read_key(&Path::new(&folder).join("wrapping-key")))
}

fn wrapping_path(folder: &Path, generation: u32) -> PathBuf {
    match generation {
        0 => folder.join("wrapping.key"),
        _ => folder.join(format!("wrapping-{generation}.key")),
    }
}

fn read_key(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, KeysError> {
    match fs::read(path).map(Zeroizing::new) {
        Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(key) => Ok(Some(Zeroizing::new(key))),
            Err(_) => Err(KeysError::DoesNotOpen(path.to_owned())),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeysError::Io { path: path.to_owned(), source }),
    }
}

/// Also those that a power cut left behind.
fn remove_all_wrapping_but(folder: &Path, generation: u32) {
    let kept = wrapping_path(folder, generation);
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let wrapping = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("wrapping") && (name.ends_with(".key") || name.ends_with(".new"))
    };
    for path in files.filter(wrapping).filter(|path| *path != kept) {
        let gone = fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| {
            overwrite(&mut file)?;
            fs::remove_file(&path)
        });
        if let Err(why) = gone {
            tracing::error!(path = %path.display(), %why, "an old wrapping key could not be removed; remove it by hand");
        }
    }
}

/// Writes zeros over all of a file. On flash the old block may live on until it is erased.
fn overwrite(file: &mut fs::File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

/// Replaces a file so that either the old or the new one is there after a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    let write = || {
        let fresh = path.with_extension("new");
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    write().map_err(|source| KeysError::Io { path: path.to_owned(), source })
}

fn bytes_of(sealed: &Sealed) -> Vec<u8> {
    postcard::to_stdvec(sealed).expect("an envelope always serialises")
}

/// A store without randomness must not write: the same nonce twice would open both values.
fn nonce() -> [u8; 12] {
    random().expect("the operating system gave random bytes when the keys were made")
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * 1_000_000_000;
    /// 2026-03-14, noon.
    const NOON: i64 = 1_773_489_600 * 1_000_000_000;

    /// Both clocks, days after noon; the wall clock may be set off by some.
    fn at(days: i64, set_off: i64) -> (GatewayTime, WallTime) {
        (GatewayTime((NOON + days * DAY).unsigned_abs()), WallTime(NOON + (days + set_off) * DAY))
    }

    fn turn(keys: &Keys, days: i64, set_off: i64) -> usize {
        let Some(turn) = keys.turn(at(days, set_off), Some(&Retention::default())).unwrap() else { return 0 };
        let destroyed = turn.destroyed.len();
        keys.carry_out(turn).unwrap();
        destroyed
    }

    #[test]
    fn the_file_is_written_anew_under_a_fresh_wrapping_key_and_what_was_there_is_overwritten() {
        let [folder, beside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let keys = Keys::open(folder.path(), at(0, 0).1).unwrap();
        let old = ["keys", "wrapping-1.key"].map(|name| {
            let link = beside.path().join(name);
            fs::hard_link(folder.path().join(name), &link).unwrap();
            link
        });
        let wrapped_before = fs::read(folder.path().join("wrapping-1.key")).unwrap();
        turn(&keys, 1, 0);
        for path in old {
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() >= 32 && bytes.iter().all(|byte| *byte == 0), "{}", path.display());
        }
        assert!(!folder.path().join("wrapping-1.key").exists());
        assert_ne!(fs::read(folder.path().join("wrapping-2.key")).unwrap(), wrapped_before);
        let sealed = keys.seal_blob(b"12-BRV-4");
        assert_eq!(Keys::read(folder.path()).unwrap().open_blob(&sealed).as_deref(), Some(&b"12-BRV-4"[..]));
    }

    #[test]
    fn a_power_cut_between_the_two_files_leaves_the_old_keys_or_the_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path(), at(0, 0).1).unwrap();
        let sealed = keys.seal_blob(b"12-BRV-4");
        // The fresh wrapping key is there, the file is still the old one.
        fs::write(wrapping_path(folder.path(), 2), [9; 32]).unwrap();
        let again = Keys::open(folder.path(), at(0, 0).1).unwrap();
        assert_eq!(again.open_blob(&sealed).as_deref(), Some(&b"12-BRV-4"[..]));
        assert!(!wrapping_path(folder.path(), 2).exists(), "and is not left lying about");
    }

    #[test]
    fn a_clock_that_is_set_forward_and_back_deletes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path(), at(0, 0).1).unwrap();
        let first = keys.seal_blob(b"12-BRV-4");
        assert_eq!((turn(&keys, 0, 0), turn(&keys, 1, 0)), (0, 0));
        assert_eq!(turn(&keys, 1, 400), 0, "set forward by more than a year");
        let meanwhile = keys.seal_blob(b"7-KLB-09");
        assert_eq!(turn(&keys, 1, 0), 0, "and set right");
        for day in 2..=28 {
            assert_eq!(turn(&keys, day, 0), 0, "day {day}");
        }
        assert_eq!(keys.open_blob(&first).as_deref(), Some(&b"12-BRV-4"[..]), "held for all of its time");
        assert_eq!(turn(&keys, 29, 0), 1, "the plates of the first day");
        assert_eq!((keys.open_blob(&first), keys.is_deleted(&first)), (None, true));
        assert!(keys.open_blob(&meanwhile).is_some());
        assert_eq!(turn(&keys, 30, 0), 1, "the plates of the second day");
        assert_eq!(keys.open_blob(&meanwhile), None, "sealed while the clock was wrong, and no longer kept for it");
    }

    #[test]
    fn a_store_of_the_first_version_opens_and_its_one_key_goes_after_the_longest_retention() {
        let folder = tempfile::tempdir().unwrap();
        let first = ([1_u8; 32], [2_u8; 32], [3_u8; 32], [4_u8; 32], vec![(KeyId(1), [5_u8; 32])]);
        let clear = postcard::to_stdvec(&first).unwrap();
        let wrapped = Sealed::seal(&clear, FieldClass::Identity, KeyId(0), &[6; 32], [0; 12]);
        fs::write(folder.path().join("keys"), bytes_of(&wrapped)).unwrap();
        fs::write(folder.path().join("wrapping.key"), [6; 32]).unwrap();
        let old = bytes_of(&Sealed::seal(b"12-BRV-4", FieldClass::Identity, KeyId(1), &[5; 32], [7; 12]));
        let keys = Keys::open(folder.path(), at(0, 0).1).unwrap();
        assert_eq!((keys.situation(), keys.made().len()), ([1; 32], PERSONAL.len()));
        assert_eq!(keys.open_blob(&old).as_deref(), Some(&b"12-BRV-4"[..]));
        let new = keys.seal_blob(b"7-KLB-09");
        assert_eq!(keys.open_blob(&new).as_deref(), Some(&b"7-KLB-09"[..]));
        assert!(!folder.path().join("wrapping.key").exists());
        for day in 0..=35 {
            turn(&keys, day, 0);
        }
        assert!(keys.open_blob(&old).is_some());
        turn(&keys, 36, 0);
        assert_eq!((keys.open_blob(&old), keys.is_deleted(&old)), (None, true));
    }
}
