//! What the gateway must remember of its nodes and no log can tell it: their keys, and what is still to be done to them.
//!
//! One file, `nodes`, in the state folder, sealed with a key of the key file beside it and replaced whole at every change,
//! so that after a power cut either the old or the new one is there. Inside it is JSON, whose fields have names: a file
//! that an older version wrote is still read. Everything else about a node is in the log, or it says so itself.

use crate::ledger::{KeysError, replace};
use quaywatch_drivers::secret::Secret;
use quaywatch_schemas::{
    FieldClass, WallTime,
    sealed::{KeyId, Sealed},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use zeroize::{Zeroize, Zeroizing};

/// Nodes that are remembered: the site file's and, of those taken out of it, what was revoked. A bus has some tens.
const MOST_NODES: usize = 1024;

/// What is remembered of all nodes.
pub struct Registry {
    path: PathBuf,
    seal: Zeroizing<[u8; 32]>,
    nodes: Mutex<BTreeMap<u16, Entry>>,
}

/// What is remembered of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Its key, if it was enrolled here.
    pub key: Option<Key>,
    /// The key that is to take its place as soon as the node has used it.
    pub next_key: Option<Key>,
    /// When it was enrolled here, and what it said of itself then.
    pub enrolled: Option<Enrolment>,
    /// When its key was destroyed, and which.
    pub revoked: Option<Revoked>,
    /// Why nothing in its name counts.
    pub quarantine: Option<Quarantine>,
    /// The image it is to run.
    pub update: Option<Update>,
}

/// When a node was enrolled, and what it said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// When.
    pub at: WallTime,
    /// Who did it.
    pub by: String,
    /// What its chip calls itself, in hexadecimal digits.
    pub chip: String,
    /// For which board its firmware was, and the firmware's version.
    pub firmware: (u16, u32),
}

/// When a node's key was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// When.
    pub at: WallTime,
    /// Who did it.
    pub by: String,
    /// Which keys do not count any more although the site may still hand them out. Hashes of random keys: they tell
    /// nothing of them.
    pub keys: Vec<String>,
}

/// A firmware image that a node is to run. It lies in the folder `node-images`, under its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its version.
    pub version: u32,
    /// BLAKE3 of the whole file, in hexadecimal digits.
    pub digest: String,
    /// When it was ordered.
    pub at: WallTime,
    /// Who did it.
    pub by: String,
}

/// Why nothing in a node's name counts, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: WallTime,
    /// Why.
    pub why: String,
}

/// A node's key: 64 hexadecimal digits. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Secret);

impl Key {
    /// A fresh one.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self::of(&bytes))
    }

    /// The digits of a key.
    pub fn of(bytes: &[u8; 32]) -> Self {
        let mut digits = String::with_capacity(64);
        for byte in bytes {
            for half in [byte >> 4, byte & 15] {
                digits.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        Self(Secret::new(digits))
    }

    /// As drivers take it.
    pub fn secret(&self) -> Secret {
        self.0.clone()
    }

    /// By what a key is known once it is destroyed.
    pub fn hash_of(secret: &Secret) -> String {
        blake3::derive_key("quaywatch revoked node key v1", secret.expose().to_ascii_lowercase().as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::new(String::deserialize(deserializer)?);
        let whole = secret.as_key().is_some();
        whole.then_some(Self(secret)).ok_or_else(|| serde::de::Error::custom("a key is 64 hexadecimal digits"))
    }
}

/// Why the registry did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file.
    #[error("{0}")]
    File(#[from] KeysError),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// Its bound.
    #[error("{MOST_NODES} nodes are remembered, and there is room for no more")]
    Full,
}

impl Registry {
    /// Reads the file in `folder`, if there is one. One that does not open is set aside and named in the second value: the
    /// gateway goes on, and nodes that were enrolled here must be enrolled again.
    pub fn open(folder: &Path, seal: [u8; 32]) -> Result<(Self, Option<PathBuf>), RegistryError> {
        let path = folder.join("nodes");
        let mut registry = Self { path, seal: Zeroizing::new(seal), nodes: Mutex::default() };
        let bytes = match fs::read(&registry.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((registry, None)),
            Err(source) => return Err(KeysError::Io { path: registry.path, source }.into()),
        };
        match registry.unseal(&bytes) {
            Some(nodes) => {
                registry.nodes = Mutex::new(nodes);
                Ok((registry, None))
            }
            None => {
                let aside = registry.path.with_extension("damaged");
                let moved = fs::rename(&registry.path, &aside);
                moved.map_err(|source| KeysError::Io { path: aside.clone(), source })?;
                Ok((registry, Some(aside)))
            }
        }
    }

    /// The state folder.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// What is remembered of a node.
    pub fn entry(&self, node: u16) -> Entry {
        self.lock().get(&node).cloned().unwrap_or_default()
    }

    /// All that is remembered.
    pub fn all(&self) -> BTreeMap<u16, Entry> {
        self.lock().clone()
    }

    /// Changes what is remembered of a node; it is on disk when this returns. Blocks for the sync.
    pub fn change(&self, node: u16, change: impl FnOnce(&mut Entry)) -> Result<Entry, RegistryError> {
        let mut nodes = self.lock();
        if nodes.len() >= MOST_NODES && !nodes.contains_key(&node) {
            return Err(RegistryError::Full);
        }
        let mut after = nodes.clone();
        let entry = after.entry(node).or_default();
        change(entry);
        let entry = entry.clone();
        if entry == Entry::default() {
            after.remove(&node);
        }
        if *nodes != after {
            replace(&self.path, &self.sealed(&after)?)?;
            *nodes = after;
        }
        Ok(entry)
    }

    fn sealed(&self, nodes: &BTreeMap<u16, Entry>) -> Result<Vec<u8>, RegistryError> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce)?;
        let mut clear = serde_json::to_vec(nodes).expect("numbers and texts always serialise");
        let sealed = Sealed::seal(&clear, FieldClass::Identity, KeyId(0), &self.seal, nonce);
        clear.zeroize();
        Ok(postcard::to_stdvec(&sealed).expect("an envelope always serialises"))
    }

    fn unseal(&self, bytes: &[u8]) -> Option<BTreeMap<u16, Entry>> {
        let mut clear = postcard::from_bytes::<Sealed>(bytes).ok()?.open(&self.seal).ok()?;
        let nodes = serde_json::from_slice(&clear).ok();
        clear.zeroize();
        nodes
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Entry>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: [u8; 32] = [5; 32];

    #[test]
    fn what_was_changed_is_there_after_a_restart_and_no_key_is_in_the_file_or_printed() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::random().unwrap();
        let (registry, _) = Registry::open(folder.path(), SEAL).unwrap();
        registry.change(7, |entry| entry.key = Some(key.clone())).unwrap();
        drop(registry);
        let (registry, aside) = Registry::open(folder.path(), SEAL).unwrap();
        assert_eq!((registry.entry(7).key, aside), (Some(key.clone()), None));
        let digits = key.secret().expose().to_owned();
        let file = fs::read(folder.path().join("nodes")).unwrap();
        assert!(!String::from_utf8_lossy(&file).contains(&digits));
        assert!(!format!("{:?}", registry.entry(7)).contains(&digits));
        registry.change(7, |entry| entry.key = None).unwrap();
        assert_eq!(registry.all(), BTreeMap::new(), "nothing is left of a node nothing is known of");
    }

    #[test]
    fn a_file_that_does_not_open_is_set_aside_and_the_gateway_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, _) = Registry::open(folder.path(), SEAL).unwrap();
        registry.change(7, |entry| entry.key = Key::random().ok()).unwrap();
        let (registry, aside) = Registry::open(folder.path(), [6; 32]).unwrap();
        assert_eq!((registry.all(), aside), (BTreeMap::new(), Some(folder.path().join("nodes.damaged"))));
    }

    #[test]
    fn a_setting_that_is_not_known_yet_has_its_default() {
        let entry: Entry = serde_json::from_str(r#"{"quarantine":{"since":5,"why":"x"}}"#).unwrap();
        let quarantine = Some(Quarantine { since: WallTime(5), why: "x".into() });
        assert_eq!(entry, Entry { quarantine, ..Entry::default() });
        assert!(serde_json::from_str::<Entry>(r#"{"key":"12"}"#).is_err(), "half a key is none");
    }
}
