//! Node frames: framing, authentication, messages, windows. Pure and without a heap; keys and randomness are passed in.
//!
//! ```text
//! COBS( version+suite 1 | node 2 | epoch 8 | counter 8 | sealed postcard message <= 200 | tag 16 | CRC-16 2 ) 0x00
//!       '------------- header: associated data -----'
//! ```
//!
//! All integers are little-endian. The CRC (CRC-16/IBM-SDLC) covers everything before it: a frame whose CRC is wrong was
//! hurt on the way and is *noise*; one whose CRC is right and whose tag is wrong was made by somebody without the key. A
//! message is parsed only after its tag was verified.
//!
//! # Keys and counters
//!
//! Every node has one 32-byte key. Of it a key is derived per direction, node and **epoch** (BLAKE3 `derive_key`), and
//! under one such key a counter is never used for two different messages. There are three kinds of epochs:
//!
//! - A node's *store* epoch, random, drawn when its flash is formatted. [`Data`](message::Data) frames are under it. Its
//!   counter is reserved ahead in flash, so a power cut never repeats one; a frame that is sent again is the same bytes.
//! - A node's *boot* epoch, derived from the store epoch and the number of the boot. What is said once and never kept
//!   ([`Hello`](message::Hello), [`TurnEnd`](message::TurnEnd)) is under it, so that the counters of kept frames stay dense
//!   and a bitmap can acknowledge them.
//! - The gateway's *session*, random, drawn at every start of the gateway. Everything the gateway sends is under it, so no
//!   stored gateway counter can repeat.
//!
//! # Freshness
//!
//! After its start a gateway accepts nothing of a node until the node answered a challenge with an authenticated
//! [`Hello`](message::Hello) that echoes the gateway's random session and states its store epoch, its oldest unacknowledged
//! counter and its next one. That seeds the [`Window`](window::Window): whatever is below was acknowledged before, so a
//! recording of it is refused. This is used instead of windows rebuilt from the log, which would need every frame to leave
//! a record (one whose channels nobody maps leaves none) and would trust the end of a log that was restored from a backup.
//! A frame inside the window that had been stored already is dropped by the ledger, through its observations' identity
//! (node, epoch, counter, index).
//!
//! In the other direction a node takes a new session only from a challenge, answers it with a token that it never used
//! before, and insists on rising counters. All but challenges is sealed with a key that hangs on that token
//! ([`LinkKey::after`]): a recording of polls or orders is worth nothing, not even to a node that restarted. A recorded
//! challenge is answered, with a hello that no gateway takes; the session before goes on until the new one was used.
//!
//! # A new key
//!
//! [`Rekey`](message::Task::Rekey) brings a node a new key, sealed under the one it has. From there on the node reads frames
//! under either; the first one under the new key, a challenge, makes it keep only that one, in flash, before it answers.
//! Counters and store epoch go on: under another key no nonce repeats. Who has the former key and a recording of the
//! rotation has the new key too: a key that somebody else may know is replaced by enrolling the node again, at the node.

pub mod channel;
pub mod console;
pub mod crypt;
pub mod message;
pub mod settings;
pub mod window;
mod wire;

pub use self::{
    channel::Channel,
    crypt::{Direction, LinkKey, NodeKey, SuiteId},
    wire::{
        Clear, Deframer, Forged, Found, Header, NotAMessage, Opened, Sealed, TooLong, Unreadable, Wire, in_clear, seal,
        seal_payload,
    },
};

/// The version of the frame and of everything in it.
pub const VERSION: u8 = 1;

/// The largest message in a frame.
pub const PAYLOAD_BYTES: usize = 200;
/// Version and suite, node, epoch, counter.
pub const HEADER_BYTES: usize = 1 + 2 + 8 + 8;
/// The authentication tag.
pub const TAG_BYTES: usize = 16;
/// The checksum.
pub const CRC_BYTES: usize = 2;
/// The largest frame before COBS.
pub const FRAME_BYTES: usize = HEADER_BYTES + PAYLOAD_BYTES + TAG_BYTES + CRC_BYTES;
/// The largest frame on the wire: COBS adds one byte up to 254, and the delimiter follows.
pub const WIRE_BYTES: usize = FRAME_BYTES + 2;

const _: () = assert!(FRAME_BYTES <= 254, "COBS would add a second byte");

#[cfg(test)]
mod tests;
