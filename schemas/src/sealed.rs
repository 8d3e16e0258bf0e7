//! Values about people, and how they rest on disk.
//!
//! A [`Private`] value is clear in memory between decoding and deciding, and sealed in every durable copy: the ledger
//! seals on the way to disk and opens on the way back. The envelope names its class and key, so that destroying one key
//! deletes exactly one class of one period. A person's identity additionally becomes a [`Handle`] at intake, which is all
//! that fusion ever sees of a person.

use alloc::{string::String, vec::Vec};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInOut};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What kind of thing a value tells, for deciding who may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FieldClass {
    /// Anybody who may have the product at all.
    Public,
    /// What happened and what to do: facts, assessment, missing sensors.
    Operational,
    /// Plates and container codes: things that lead to a person.
    QuasiIdentity,
    /// Badges and names.
    Identity,
    /// Who reported.
    Source,
    /// How it is known: probabilities, weights, sensor names and positions, thresholds.
    Method,
    /// Links to pictures and video.
    Media,
}

impl FieldClass {
    /// All classes, in the order they are listed to people.
    pub const ALL: [Self; 7] =
        [Self::Public, Self::Operational, Self::QuasiIdentity, Self::Identity, Self::Source, Self::Method, Self::Media];
}

/// Names one sealing key. Keys live outside the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u32);

/// A sealed value: ChaCha20-Poly1305 (RFC 8439) with class and key id as associated data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The class the value was sealed under.
    pub class: FieldClass,
    /// The key it was sealed with.
    pub key: KeyId,
    /// Random, never used twice with one key.
    pub nonce: [u8; 12],
    /// Ciphertext and 16-byte tag.
    pub ciphertext: Vec<u8>,
}

/// The key is wrong, was destroyed, or the bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CannotOpen;

impl fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sealed value does not open with this key")
    }
}

impl core::error::Error for CannotOpen {}

impl Sealed {
    /// Seals `clear`. The caller must never pass the same nonce twice with the same key.
    pub fn seal(clear: &[u8], class: FieldClass, key: KeyId, secret: &[u8; 32], nonce: [u8; 12]) -> Self {
        let mut ciphertext = clear.to_vec();
        ChaCha20Poly1305::new(&(*secret).into())
            .encrypt_in_place(&nonce.into(), &associated(class, key), &mut ciphertext)
            .expect("a value in memory is far below the cipher's 256 GiB bound");
        Self { class, key, nonce, ciphertext }
    }

    /// Opens the value again.
    pub fn open(&self, secret: &[u8; 32]) -> Result<Vec<u8>, CannotOpen> {
        let mut clear = self.ciphertext.clone();
        ChaCha20Poly1305::new(&(*secret).into())
            .decrypt_in_place(&self.nonce.into(), &associated(self.class, self.key), &mut clear)
            .map_err(|_| CannotOpen)?;
        Ok(clear)
    }
}

fn associated(class: FieldClass, key: KeyId) -> [u8; 5] {
    let key = key.0.to_le_bytes();
    [class as u8, key[0], key[1], key[2], key[3]]
}

/// A text about a person or leading to one. `Debug` never prints it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Private {
    /// In memory only.
    Clear(String),
    /// At rest, or its key is gone.
    Sealed(SealedText),
}

/// A sealed text, kept opaque so that [`Private`] can be ordered and compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SealedText(Vec<u8>);

impl Private {
    /// A clear value.
    pub fn clear(text: impl Into<String>) -> Self {
        Self::Clear(text.into())
    }

    /// The text, if it is clear.
    pub fn as_clear(&self) -> Option<&str> {
        match self {
            Self::Clear(text) => Some(text),
            Self::Sealed(_) => None,
        }
    }

    /// The key that a sealed text was sealed with.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Clear(_) => None,
            Self::Sealed(SealedText(bytes)) => postcard::from_bytes::<Sealed>(bytes).ok().map(|sealed| sealed.key),
        }
    }

    /// Replaces a clear text by its sealed form; a sealed one stays as it is.
    pub fn seal_with(&mut self, seal: impl FnOnce(&[u8]) -> Sealed) {
        if let Self::Clear(text) = self {
            let envelope = postcard::to_allocvec(&seal(text.as_bytes())).expect("an envelope always serialises");
            *self = Self::Sealed(SealedText(envelope));
        }
    }

    /// Replaces a sealed text by its clear form, if `open` still can.
    pub fn open_with(&mut self, open: impl FnOnce(&Sealed) -> Option<Vec<u8>>) {
        let Self::Sealed(SealedText(bytes)) = self else { return };
        let clear = postcard::from_bytes::<Sealed>(bytes).ok().and_then(|sealed| open(&sealed));
        if let Some(text) = clear.and_then(|clear| String::from_utf8(clear).ok()) {
            *self = Self::Clear(text);
        }
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Private(clear)",
            Self::Sealed(_) => "Private(sealed)",
        })
    }
}

/// A keyed stand-in for one person's identity, valid inside this site only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub [u8; 16]);

impl Handle {
    /// Keyed BLAKE3 of the identity, cut to 128 bits. Badge and name spaces are small: an unkeyed hash would be a
    /// dictionary, not a stand-in.
    pub fn of(identity: &str, key: &[u8; 32]) -> Self {
        let mut handle = [0; 16];
        handle.copy_from_slice(&blake3::keyed_hash(key, identity.as_bytes()).as_bytes()[..16]);
        Self(handle)
    }
}

/// As situations carry it: 32 hexadecimal digits.
impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A person as a credential names them: the handle fusion works with, and the identity itself, sealed at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Set by the ledger at intake.
    pub handle: Option<Handle>,
    /// Badge number or credential token.
    pub value: Private,
}

/// Raw bytes that may hold anything, so they are treated as identities. `Debug` prints their length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrivateBytes {
    /// In memory only.
    Clear(Vec<u8>),
    /// At rest.
    Sealed(Sealed),
}

impl PrivateBytes {
    /// Replaces clear bytes by their sealed form.
    pub fn seal_with(&mut self, seal: impl FnOnce(&[u8]) -> Sealed) {
        if let Self::Clear(bytes) = self {
            *self = Self::Sealed(seal(bytes));
        }
    }

    /// Replaces sealed bytes by their clear form, if `open` still can.
    pub fn open_with(&mut self, open: impl FnOnce(&Sealed) -> Option<Vec<u8>>) {
        if let Self::Sealed(sealed) = self
            && let Some(clear) = open(sealed)
        {
            *self = Self::Clear(clear);
        }
    }
}

impl fmt::Debug for PrivateBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(bytes) => write!(f, "PrivateBytes({} bytes)", bytes.len()),
            Self::Sealed(sealed) => write!(f, "PrivateBytes(sealed, {} bytes)", sealed.ciphertext.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const SECRET: [u8; 32] = [7; 32];

    #[test]
    fn a_sealed_text_opens_with_its_key_only_and_never_prints() {
        let mut plate = Private::clear("7-KLB-09");
        plate.seal_with(|clear| Sealed::seal(clear, FieldClass::QuasiIdentity, KeyId(1), &SECRET, [1; 12]));
        assert_eq!(plate.as_clear(), None);
        let mut wrong = plate.clone();
        wrong.open_with(|sealed| sealed.open(&[8; 32]).ok());
        assert_eq!(wrong, plate);
        plate.open_with(|sealed| sealed.open(&SECRET).ok());
        assert_eq!(plate.as_clear(), Some("7-KLB-09"));
        assert!(!format!("{plate:?}").contains("KLB"));
    }

    #[test]
    fn a_value_cannot_be_moved_to_another_class() {
        let mut sealed = Sealed::seal(b"x", FieldClass::Identity, KeyId(1), &SECRET, [1; 12]);
        sealed.class = FieldClass::Public;
        assert_eq!(sealed.open(&SECRET), Err(CannotOpen));
    }
}
