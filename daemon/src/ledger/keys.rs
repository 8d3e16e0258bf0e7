//! Keys of the store, in one file outside it, so that destroying a key deletes what it sealed in every copy.
//!
//! The file `keys` is rewritten whole under a fresh wrapping key, which is in `wrapping.key` beside it (0600) or, better,
//! comes from systemd's credentials (`wrapping-key`, bound to the TPM where there is one). Root on the box can read
//! everything whose key is still on the box; a pulled disk cannot, if the wrapping key is a credential.

use quaywatch_schemas::{
    FieldClass, Record,
    record::PrivateField,
    sealed::{Handle, KeyId, Sealed},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroize;

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
    secret: Secret,
}

#[derive(Serialize, Deserialize)]
struct Secret {
    situation: [u8; 32],
    reference: [u8; 32],
    handle: [u8; 32],
    node: [u8; 32],
    /// Sealing keys by id; the last one seals.
    sealing: Vec<(KeyId, [u8; 32])>,
    /// Signs the audit journal's checkpoints; a store of an earlier version gets it when it is opened.
    audit: Option<[u8; 32]>,
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.situation.zeroize();
        self.reference.zeroize();
        self.handle.zeroize();
        self.node.zeroize();
        self.sealing.iter_mut().for_each(|(_, key)| key.zeroize());
        self.audit.zeroize();
    }
}

impl Keys {
    /// Reads the key file, or makes one for a new store.
    pub(super) fn open(folder: &Path) -> Result<Self, KeysError> {
        if folder.join("keys").exists() {
            let mut keys = Self::read(folder)?;
            if keys.secret.audit.is_none() {
                keys.secret.audit = Some(random()?);
                keys.write(folder)?;
            }
            return Ok(keys);
        }
        let keys = Self {
            secret: Secret {
                situation: random()?,
                reference: random()?,
                handle: random()?,
                node: random()?,
                sealing: vec![(KeyId(1), random()?)],
                audit: Some(random()?),
            },
        };
        keys.write(folder)?;
        Ok(keys)
    }

    /// Reads the key file of an existing store.
    pub(super) fn read(folder: &Path) -> Result<Self, KeysError> {
        let path = folder.join("keys");
        let bytes = fs::read(&path).map_err(|source| KeysError::Io { path: path.clone(), source })?;
        let opened = postcard::from_bytes::<Sealed>(&bytes)
            .ok()
            .zip(wrapping_key(folder)?)
            .and_then(|(sealed, wrapping)| sealed.open(&wrapping).ok())
            .and_then(|mut clear| {
                // The form before ended without the last field: a zero is `None`.
                clear.push(0);
                let secret = postcard::from_bytes(&clear).ok();
                clear.zeroize();
                secret
            });
        opened.map(|secret| Self { secret }).ok_or(KeysError::DoesNotOpen(path))
    }

    pub(super) fn situation(&self) -> [u8; 32] {
        self.secret.situation
    }

    pub(super) fn reference(&self) -> [u8; 32] {
        self.secret.reference
    }

    /// Seals the file of the nodes' keys.
    pub(super) fn node(&self) -> [u8; 32] {
        self.secret.node
    }

    /// Signs the audit journal's checkpoints; `None` before a gateway of this version has opened the store.
    pub(super) fn audit(&self) -> Option<[u8; 32]> {
        self.secret.audit
    }

    /// Seals bytes with the newest key.
    pub(super) fn seal(&self, clear: &[u8], class: FieldClass) -> Sealed {
        let (id, key) = self.secret.sealing.last().expect("a store is made with a key");
        // A store without randomness must not write: the same nonce twice would open both values.
        let nonce = random().expect("the operating system gave random bytes when the keys were made");
        Sealed::seal(clear, class, *id, key, nonce)
    }

    /// Opens a sealed value; `None` once its key is gone.
    pub(super) fn open_sealed(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        let (_, key) = self.secret.sealing.iter().find(|(id, _)| *id == sealed.key)?;
        sealed.open(key).ok()
    }

    /// A whole value that may hold anything, sealed.
    pub(super) fn seal_blob(&self, clear: &[u8]) -> Vec<u8> {
        postcard::to_stdvec(&self.seal(clear, FieldClass::Identity)).expect("an envelope always serialises")
    }

    /// The other way.
    pub(super) fn open_blob(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_sealed(&postcard::from_bytes(sealed).ok()?)
    }

    /// Gives every person in a record their handle: what fusion sees instead of an identity.
    pub(super) fn make_handles(&self, record: &mut Record) {
        record.visit_private(&mut |field| {
            if let PrivateField::Identity(identity) = field
                && let Some(value) = identity.value.as_clear()
            {
                identity.handle = Some(Handle::of(value, &self.secret.handle));
            }
        });
    }

    /// Seals every private value of a record: the form that goes to disk.
    pub(super) fn seal_record(&self, record: &mut Record) {
        record.visit_private(&mut |field| match field {
            PrivateField::Identity(identity) => {
                identity.value.seal_with(|clear| self.seal(clear, FieldClass::Identity))
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
    }

    fn write(&self, folder: &Path) -> Result<(), KeysError> {
        let wrapping = match wrapping_key(folder)? {
            Some(given) => given,
            None => {
                let fresh: [u8; 32] = random()?;
                replace(&folder.join("wrapping.key"), &fresh)?;
                fresh
            }
        };
        let mut clear = postcard::to_stdvec(&self.secret).expect("keys always serialise");
        let sealed = Sealed::seal(&clear, FieldClass::Identity, KeyId(0), &wrapping, random()?);
        clear.zeroize();
        replace(&folder.join("keys"), &postcard::to_stdvec(&sealed).expect("an envelope always serialises"))
    }
}

/// 32 bytes from the credential, or from the file beside the keys, if either is there.
fn wrapping_key(folder: &Path) -> Result<Option<[u8; 32]>, KeysError> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|path| Path::new(&path).join("wrapping-key"));
    for path in credential.into_iter().chain([folder.join("wrapping.key")]) {
        match fs::read(&path) {
            Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
                Ok(key) => return Ok(Some(key)),
                Err(_) => return Err(KeysError::DoesNotOpen(path)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(KeysError::Io { path, source }),
        }
    }
    Ok(None)
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

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
