//! Keys and cipher suites.

use super::TAG_BYTES;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, Tag, aead::AeadInOut};
use core::fmt;

/// A node's own key, as it was enrolled with.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey([u8; 32]);

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What a node says.
    NodeToGateway,
    /// What the gateway says.
    GatewayToNode,
}

/// The key of one direction, node and epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey([u8; 32]);

impl NodeKey {
    /// Takes a key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Its bytes, for who keeps them.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The key that frames of this direction, node and epoch are sealed with.
    pub fn link(&self, direction: Direction, node: u16, epoch: u64) -> LinkKey {
        let context = match direction {
            Direction::NodeToGateway => "quaywatch node link v1: node to gateway",
            Direction::GatewayToNode => "quaywatch node link v1: gateway to node",
        };
        LinkKey(derive::<42>(context, &[&self.0, &node.to_le_bytes(), &epoch.to_le_bytes()]))
    }

    /// The epoch of what a node says once and never keeps, for one of its boots.
    pub fn boot_epoch(&self, store_epoch: u64, boot: u32) -> u64 {
        let material = [&self.0[..], &store_epoch.to_le_bytes(), &boot.to_le_bytes()];
        let mut epoch = [0; 8];
        epoch.copy_from_slice(&derive::<44>("quaywatch node link v1: boot epoch", &material)[..8]);
        u64::from_le_bytes(epoch)
    }
}

impl LinkKey {
    /// The key of what follows a hello with this token: whoever recorded what followed another one has nothing.
    pub fn after(&self, token: u64) -> Self {
        Self(derive::<40>("quaywatch node link v1: after a hello", &[&self.0, &token.to_le_bytes()]))
    }
}

/// Derives from the parts, one after another, `N` bytes in all. A BLAKE3 hasher that takes them one by one has room for a tree
/// of 2^64 bytes, 2 KB: a quarter of a node's stack.
fn derive<const N: usize>(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut material = [0; N];
    let mut end = 0;
    for part in parts {
        material[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    debug_assert_eq!(end, N);
    blake3::derive_key(context, &material)
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey")
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

/// An authenticated cipher with a 32-byte key, a 12-byte nonce and a 16-byte tag.
pub trait Suite {
    /// Its number in the header's low four bits.
    const ID: u8;

    /// Encrypts in place and authenticates header and payload.
    fn seal(key: &LinkKey, nonce: [u8; 12], header: &[u8], payload: &mut [u8]) -> [u8; TAG_BYTES];

    /// Verifies and, only if that succeeded, decrypts in place.
    fn open(key: &LinkKey, nonce: [u8; 12], header: &[u8], payload: &mut [u8], tag: [u8; TAG_BYTES]) -> bool;
}

/// ChaCha20-Poly1305 (RFC 8439): fast in software, which is what small microcontrollers have.
#[derive(Debug)]
pub struct ChaCha;

impl Suite for ChaCha {
    const ID: u8 = 1;

    fn seal(key: &LinkKey, nonce: [u8; 12], header: &[u8], payload: &mut [u8]) -> [u8; TAG_BYTES] {
        ChaCha20Poly1305::new(&Key::from(key.0))
            .encrypt_inout_detached(&Nonce::from(nonce), header, payload.into())
            .expect("a frame is far shorter than what one nonce can encrypt")
            .into()
    }

    fn open(key: &LinkKey, nonce: [u8; 12], header: &[u8], payload: &mut [u8], tag: [u8; TAG_BYTES]) -> bool {
        ChaCha20Poly1305::new(&Key::from(key.0))
            .decrypt_inout_detached(&Nonce::from(nonce), header, payload.into(), &Tag::from(tag))
            .is_ok()
    }
}

/// The suites this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuiteId {
    /// [`ChaCha`].
    #[default]
    ChaCha20Poly1305,
}

impl SuiteId {
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        (bits == ChaCha::ID).then_some(Self::ChaCha20Poly1305)
    }

    pub(super) fn bits(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => ChaCha::ID,
        }
    }

    pub(super) fn seal(self, key: &LinkKey, counter: u64, header: &[u8], payload: &mut [u8]) -> [u8; TAG_BYTES] {
        match self {
            Self::ChaCha20Poly1305 => ChaCha::seal(key, nonce(counter), header, payload),
        }
    }

    pub(super) fn open(
        self,
        key: &LinkKey,
        counter: u64,
        header: &[u8],
        payload: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> bool {
        match self {
            Self::ChaCha20Poly1305 => ChaCha::open(key, nonce(counter), header, payload, tag),
        }
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}
