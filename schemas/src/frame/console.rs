//! What is said to a node in the clear, by a person who stands before it: on its wired console or line, while its presence
//! input is held.
//!
//! ```text
//! COBS( version+15 1 | postcard message <= 200 | CRC-16 2 ) 0x00
//! ```
//!
//! A node without presence reads nothing of this and answers nothing: on a bus with several nodes only the one whose
//! button is held does. The new key goes over the wire in the clear, so enrol over a cable that nobody else can listen to.

use super::message::{BLOCK_BYTES, Firmware, NewKey, Refusal};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// What are you?
    WhoAreYou,
    /// A piece of the settings it is to be enrolled with; the first one begins them anew.
    Settings {
        /// Where in them.
        offset: u16,
        /// The piece.
        bytes: Vec<u8, BLOCK_BYTES>,
    },
    /// Be this node, and forget whatever you were.
    Enrol(Enrol),
}

/// Who a node is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// Its number on the bus, 1 to 65534.
    pub number: u16,
    /// Its key.
    pub key: NewKey,
    /// Length and BLAKE3 of the settings that were sent before; its firmware's own if none were.
    pub settings: Option<(u16, [u8; 32])>,
}

/// What a node says to a person. A console repeats its question until it hears an answer; a repeated [`ToNode::Enrol`] with
/// the same key changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNode {
    /// What it is, after a question and after it was enrolled.
    Is(Nameplate),
    /// So many bytes of settings are here.
    Has(u16),
    /// Why it was not enrolled.
    Refused(Refusal),
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nameplate {
    /// What its chip calls itself, padded with zeros.
    pub chip: [u8; 12],
    /// What it runs.
    pub runs: Firmware,
    /// The number it is enrolled with.
    pub number: Option<u16>,
}
