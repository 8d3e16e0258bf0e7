//! What a signed image is.
//!
//! ```text
//! offset  bytes
//!      0      4  "QWFW"
//!      4      2  format: 1
//!      6      2  board
//!      8      4  version
//!     12      4  length of the image in bytes
//!     16      4  key: the first bytes of the public key
//!     20     64  SHA-512 of the image
//!     84     64  Ed25519 signature (RFC 8032) over the 84 bytes before it
//!    148         the image
//! ```
//!
//! All integers are little-endian. The signature covers the image through its digest; so it is checked before a byte of the
//! image is taken.

use core::{fmt, num::NonZeroU32, str::FromStr};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha512};

/// What a manifest begins with; it also keeps its signature from being one over something else.
pub const MAGIC: [u8; 4] = *b"QWFW";
/// The only format there is.
pub const FORMAT: u16 = 1;
/// Bytes of a manifest.
pub const MANIFEST_BYTES: usize = SIGNED_BYTES + 64;

const SIGNED_BYTES: usize = 84;

/// A SHA-512 digest.
pub type Digest = [u8; 64];
/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// A firmware version. Only its order counts; a number that was released is never given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

/// A board that firmware is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// STM32F405.
    Stm32f405 = 1,
    /// Raspberry Pi RP2040.
    Rp2040 = 2,
    /// Nordic nRF52840.
    Nrf52840 = 3,
}

impl Board {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stm32f405, Self::Rp2040, Self::Nrf52840];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stm32f405 => "stm32f405",
            Self::Rp2040 => "rp2040",
            Self::Nrf52840 => "nrf52840",
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// No board has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("not a board: stm32f405, rp2040 or nrf52840")
    }
}

impl core::error::Error for Unknown {}

impl FromStr for Board {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|board| board.name() == name).ok_or(Unknown)
    }
}

/// The first bytes of a public key: which of several a signature is to be checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    /// Of a key.
    pub fn of(key: &PublicKey) -> Self {
        let [a, b, c, d, ..] = *key;
        Self([a, b, c, d])
    }
}

/// What an image says of itself. Well-formed; whether it is true is for [`Manifest::verify`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    board: Board,
    version: Version,
    length: NonZeroU32,
    key: KeyId,
    digest: Digest,
    signature: [u8; 64],
}

/// A manifest whose signature is that of a key the node trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Genuine(Manifest);

/// Why bytes are not a manifest, or not a signed image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// They begin with something else.
    Magic,
    /// A later format, or none.
    Format(u16),
    /// A board nobody knows.
    Board(u16),
    /// An image without a byte.
    Empty,
    /// Too few bytes, or bytes behind the end.
    Length,
    /// The image is not the one that was signed.
    Digest,
}

impl fmt::Display for Malformed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => to.write_str("not a signed image: it does not begin with QWFW"),
            Self::Format(format) => write!(to, "a signed image of format {format}, of which only {FORMAT} is known"),
            Self::Board(board) => write!(to, "an image for board number {board}, which is not known"),
            Self::Empty => to.write_str("an image without a byte"),
            Self::Length => to.write_str("a signed image that is cut off, or has bytes behind its end"),
            Self::Digest => to.write_str("the image is not the one that was signed"),
        }
    }
}

impl core::error::Error for Malformed {}

/// Why a manifest is not genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// It names a key that is not trusted.
    UnknownKey(KeyId),
    /// The signature is not that of the key it names over this manifest.
    BadSignature,
}

impl Manifest {
    /// What `key` says of an image; `None` for one without a byte or of more than 4 GiB.
    #[cfg(feature = "pack")]
    fn signed(board: Board, version: Version, image: &[u8], key: &ed25519_dalek::SigningKey) -> Option<Self> {
        use ed25519_dalek::Signer;
        let length = NonZeroU32::new(u32::try_from(image.len()).ok()?)?;
        let digest = Sha512::digest(image).into();
        let public = key.verifying_key().to_bytes();
        let mut manifest = Self { board, version, length, key: KeyId::of(&public), digest, signature: [0; 64] };
        manifest.signature = key.sign(&manifest.to_bytes()[..SIGNED_BYTES]).to_bytes();
        Some(manifest)
    }

    /// Reads a manifest; bytes behind it are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((bytes, _)) = bytes.split_first_chunk::<MANIFEST_BYTES>() else {
            return Err(if bytes.starts_with(&MAGIC) { Malformed::Length } else { Malformed::Magic });
        };
        if bytes[..4] != MAGIC {
            return Err(Malformed::Magic);
        }
        let format = u16::from_le_bytes(part(bytes, 4));
        if format != FORMAT {
            return Err(Malformed::Format(format));
        }
        let board = u16::from_le_bytes(part(bytes, 6));
        let known = Board::ALL.into_iter().find(|known| *known as u16 == board);
        Ok(Self {
            board: known.ok_or(Malformed::Board(board))?,
            version: Version(u32::from_le_bytes(part(bytes, 8))),
            length: NonZeroU32::new(u32::from_le_bytes(part(bytes, 12))).ok_or(Malformed::Empty)?,
            key: KeyId(part(bytes, 16)),
            digest: part(bytes, 20),
            signature: part(bytes, SIGNED_BYTES),
        })
    }

    /// As it is sent, stored and signed.
    pub fn to_bytes(&self) -> [u8; MANIFEST_BYTES] {
        let mut bytes = [0; MANIFEST_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[6..8].copy_from_slice(&(self.board as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.version.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.get().to_le_bytes());
        bytes[16..20].copy_from_slice(&self.key.0);
        bytes[20..SIGNED_BYTES].copy_from_slice(&self.digest);
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// Checks its signature against the keys that are trusted.
    pub fn verify<'k>(self, trusted: impl IntoIterator<Item = &'k PublicKey>) -> Result<Genuine, Unsigned> {
        let bytes = self.to_bytes();
        let signature = Signature::from_bytes(&self.signature);
        // Strict: no key or signature of small order, and one signature has one encoding.
        let is_of = |key| {
            VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(&bytes[..SIGNED_BYTES], &signature).is_ok())
        };
        let mut why = Unsigned::UnknownKey(self.key);
        for key in trusted.into_iter().filter(|key| KeyId::of(key) == self.key) {
            if is_of(key) {
                return Ok(Genuine(self));
            }
            why = Unsigned::BadSignature;
        }
        Err(why)
    }

    /// For which board the image is.
    pub fn board(&self) -> Board {
        self.board
    }

    /// The image's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes of the image; never 0.
    pub fn length(&self) -> u32 {
        self.length.get()
    }

    /// Which key signed it.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// SHA-512 of the image.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {} of {} bytes", self.board, self.version, self.length)
    }
}

impl core::ops::Deref for Genuine {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.0
    }
}

/// Splits a signed image into its manifest and the image, if that is whole. Says nothing of the signature.
pub fn split(file: &[u8]) -> Result<(Manifest, &[u8]), Malformed> {
    let manifest = Manifest::parse(file)?;
    let image = file.get(MANIFEST_BYTES..).unwrap_or_default();
    if u32::try_from(image.len()) != Ok(manifest.length()) {
        return Err(Malformed::Length);
    }
    if Digest::from(Sha512::digest(image)) != manifest.digest {
        return Err(Malformed::Digest);
    }
    Ok((manifest, image))
}

/// The manifest of an image, signed by the key of this secret (RFC 8032). In a signed image it stands before the image;
/// [`split`] reads one. `None` for an image without a byte or of more than 4 GiB.
///
/// The secret is wiped where it was copied to; wiping the caller's is the caller's.
#[cfg(feature = "pack")]
pub fn pack(secret: &[u8; 32], board: Board, version: Version, image: &[u8]) -> Option<Manifest> {
    Manifest::signed(board, version, image, &ed25519_dalek::SigningKey::from_bytes(secret))
}

/// The public key that belongs to a secret: what nodes are told to trust.
#[cfg(feature = "pack")]
pub fn public_key(secret: &[u8; 32]) -> PublicKey {
    ed25519_dalek::SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// `N` bytes from an offset that is inside for every field of the table above.
fn part<const N: usize>(bytes: &[u8; MANIFEST_BYTES], from: usize) -> [u8; N] {
    core::array::from_fn(|at| bytes[from + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const IMAGE: &[u8] = b"what the quay node runs from spring on";

    fn manifest() -> Manifest {
        pack(&SECRET, Board::Rp2040, Version(12), IMAGE).unwrap()
    }

    #[test]
    fn an_image_is_signed_read_back_and_genuine() {
        let file = [&manifest().to_bytes()[..], IMAGE].concat();
        let (read, image) = split(&file).unwrap();
        assert_eq!((read, image), (manifest(), IMAGE));
        assert_eq!((read.board(), read.version(), read.length()), (Board::Rp2040, Version(12), IMAGE.len() as u32));
        let other = public_key(&[8; 32]);
        let genuine = read.verify([&other, &public_key(&SECRET)]).unwrap();
        assert_eq!(*genuine, manifest());
        assert_eq!(read.verify([&other]), Err(Unsigned::UnknownKey(KeyId::of(&public_key(&SECRET)))));
        assert_eq!(read.verify([]), Err(Unsigned::UnknownKey(KeyId::of(&public_key(&SECRET)))));
    }

    #[test]
    fn a_manifest_with_any_bit_flipped_is_not_genuine() {
        let trusted = public_key(&SECRET);
        let whole = manifest().to_bytes();
        for bit in 0..MANIFEST_BYTES * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verified = Manifest::parse(&bytes).map(|manifest| manifest.verify([&trusted]));
            assert!(!matches!(verified, Ok(Ok(_))), "bit {bit}");
        }
    }

    #[test]
    fn a_key_that_only_begins_like_a_trusted_one_does_not_sign_for_it() {
        let mut manifest = manifest();
        let trusted = public_key(&[8; 32]);
        manifest.key = KeyId::of(&trusted);
        assert_eq!(manifest.verify([&trusted]), Err(Unsigned::BadSignature));
    }

    /// RFC 8032, section 7.1, test 3: what signs here is Ed25519 as everybody knows it.
    #[test]
    fn the_key_pair_is_that_of_the_rfc() {
        let secret = [
            0xc5, 0xaa, 0x8d, 0xf4, 0x3f, 0x9f, 0x83, 0x7b, 0xed, 0xb7, 0x44, 0x2f, 0x31, 0xdc, 0xb7, 0xb1, 0x66, 0xd3,
            0x85, 0x35, 0x07, 0x6f, 0x09, 0x4b, 0x85, 0xce, 0x3a, 0x2e, 0x0b, 0x44, 0x58, 0xf7,
        ];
        let public = [
            0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58, 0x08, 0x16,
            0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25,
        ];
        assert_eq!(public_key(&secret), public);
    }

    #[test]
    fn what_is_not_a_signed_image_is_told_apart() {
        let file = [&manifest().to_bytes()[..], IMAGE].concat();
        let with = |at: usize, byte: u8| {
            let mut file = file.clone();
            file[at] = byte;
            split(&file).map(|_| ())
        };
        assert_eq!(split(b"\x7fELF"), Err(Malformed::Magic));
        assert_eq!(split(&file[..100]), Err(Malformed::Length));
        assert_eq!(split(&file[..file.len() - 1]), Err(Malformed::Length));
        assert_eq!(split(&[&file[..], b"!"].concat()), Err(Malformed::Length));
        assert_eq!(with(0, b'q'), Err(Malformed::Magic));
        assert_eq!(with(4, 2), Err(Malformed::Format(2)));
        assert_eq!(with(6, 9), Err(Malformed::Board(9)));
        assert_eq!(with(12, 0), Err(Malformed::Empty));
        assert_eq!(with(MANIFEST_BYTES + 3, 0), Err(Malformed::Digest));
        assert!(pack(&SECRET, Board::Rp2040, Version(1), b"").is_none());
    }
}
