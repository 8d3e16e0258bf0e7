//! Bytes on the wire: sealing, finding frames in a stream, verifying, and only then parsing.

use super::{CRC_BYTES, FRAME_BYTES, HEADER_BYTES, LinkKey, PAYLOAD_BYTES, SuiteId, TAG_BYTES, VERSION, WIRE_BYTES};
use core::fmt;
use crc::{CRC_16_IBM_SDLC, Crc, NoTable};
use heapless::Vec;
use serde::{Serialize, de::DeserializeOwned};

/// What everybody can read of a frame, and nobody can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The cipher suite.
    pub suite: SuiteId,
    /// Which node sent it, or is meant by it.
    pub node: u16,
    /// What its counter counts in.
    pub epoch: u64,
    /// Never used twice in its epoch for two messages.
    pub counter: u64,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION << 4 | self.suite.bits();
        bytes[1..3].copy_from_slice(&self.node.to_le_bytes());
        bytes[3..11].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[11..].copy_from_slice(&self.counter.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Unreadable> {
        let [first, n0, n1, rest @ ..] = *bytes;
        if first >> 4 != VERSION {
            return Err(Unreadable::Version(first >> 4));
        }
        let suite = SuiteId::from_bits(first & 0x0f).ok_or(Unreadable::Suite(first & 0x0f))?;
        let (mut epoch, mut counter) = ([0; 8], [0; 8]);
        epoch.copy_from_slice(&rest[..8]);
        counter.copy_from_slice(&rest[8..]);
        let node = u16::from_le_bytes([n0, n1]);
        Ok(Self { suite, node, epoch: u64::from_le_bytes(epoch), counter: u64::from_le_bytes(counter) })
    }
}

/// A frame as it goes on the wire, its delimiter included.
pub type Wire = Vec<u8, WIRE_BYTES>;

/// A message that does not fit into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message in a node frame has at most {PAYLOAD_BYTES} bytes")
    }
}

impl core::error::Error for TooLong {}

/// Seals a message. The caller answers for never giving two messages the same key and counter.
pub fn seal(header: &Header, key: &LinkKey, message: &impl Serialize) -> Result<Wire, TooLong> {
    let mut payload = [0; PAYLOAD_BYTES];
    let payload = postcard::to_slice(message, &mut payload).map_err(|_| TooLong)?;
    seal_payload(header, key, payload)
}

/// Seals a message that is postcard already.
pub fn seal_payload(header: &Header, key: &LinkKey, payload: &[u8]) -> Result<Wire, TooLong> {
    if payload.len() > PAYLOAD_BYTES {
        return Err(TooLong);
    }
    let (mut frame, end) = ([0; FRAME_BYTES], HEADER_BYTES + payload.len());
    let head = header.to_bytes();
    frame[..HEADER_BYTES].copy_from_slice(&head);
    frame[HEADER_BYTES..end].copy_from_slice(payload);
    let tag = header.suite.seal(key, header.counter, &head, &mut frame[HEADER_BYTES..end]);
    frame[end..end + TAG_BYTES].copy_from_slice(&tag);
    to_wire(&mut frame, end + TAG_BYTES)
}

/// Puts a message of the [console](super::console) on the wire. Nothing protects it.
pub fn in_clear(message: &impl Serialize) -> Result<Wire, TooLong> {
    let mut frame = [0; FRAME_BYTES];
    frame[0] = FIRST_OF_CLEAR;
    let length = postcard::to_slice(message, &mut frame[1..=PAYLOAD_BYTES]).map_err(|_| TooLong)?.len();
    to_wire(&mut frame, 1 + length)
}

/// Checksum, COBS and delimiter around the first bytes of a frame.
fn to_wire(frame: &mut [u8; FRAME_BYTES], checked: usize) -> Result<Wire, TooLong> {
    let crc = CRC.checksum(&frame[..checked]);
    frame[checked..checked + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    let mut wire = Wire::new();
    // Sized for the largest frame and its delimiter; the latter is the zero that stays behind the encoded bytes.
    wire.resize_default(WIRE_BYTES).map_err(|_| TooLong)?;
    let encoded = cobs::encode(&frame[..checked + CRC_BYTES], &mut wire);
    wire.truncate(encoded + 1);
    wire[encoded] = 0;
    Ok(wire)
}

/// The suite number of what is not sealed.
const CLEAR: u8 = 15;
const FIRST_OF_CLEAR: u8 = VERSION << 4 | CLEAR;

const CRC: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_IBM_SDLC);

/// Finds frames in a stream of bytes. Holds at most one frame; what is longer cannot be one, and is skipped to the next
/// delimiter.
#[derive(Debug, Clone, Default)]
pub struct Deframer {
    buffer: Vec<u8, WIRE_BYTES>,
    overlong: bool,
}

/// What was found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A frame of the link.
    Sealed(Sealed),
    /// A message of the [console](super::console), which anybody could have sent.
    Clear(Clear),
}

impl Deframer {
    /// At the beginning of a stream.
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), overlong: false }
    }

    /// Takes one byte and finds frames of the link. Empty frames are nothing: a sender may put a delimiter before a frame to
    /// end noise.
    pub fn push(&mut self, byte: u8) -> Option<Result<Sealed, Unreadable>> {
        self.find(byte).map(|found| match found? {
            Found::Sealed(sealed) => Ok(sealed),
            Found::Clear(_) => Err(Unreadable::Suite(CLEAR)),
        })
    }

    /// Takes one byte and finds frames and what is said in the clear.
    pub fn find(&mut self, byte: u8) -> Option<Result<Found, Unreadable>> {
        if byte != 0 {
            self.overlong |= self.buffer.push(byte).is_err();
            return None;
        }
        let found = match (core::mem::take(&mut self.overlong), self.buffer.is_empty()) {
            (true, _) => Some(Err(Unreadable::Noise)),
            (false, true) => None,
            (false, false) => Some(Found::from_cobs(&mut self.buffer)),
        };
        self.buffer.clear();
        found
    }
}

/// Why bytes between two delimiters are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Hurt on the way: bad COBS, bad length or bad checksum.
    Noise,
    /// A whole frame of a version we do not know.
    Version(u8),
    /// A whole frame of a suite we do not know.
    Suite(u8),
}

/// A whole frame that has not been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    header: Header,
    body: Vec<u8, { PAYLOAD_BYTES + TAG_BYTES }>,
}

impl Found {
    fn from_cobs(bytes: &mut [u8]) -> Result<Self, Unreadable> {
        let length = cobs::decode_in_place(bytes).map_err(|_| Unreadable::Noise)?;
        let frame = &bytes[..length];
        let (checked, crc) = frame.split_last_chunk::<CRC_BYTES>().ok_or(Unreadable::Noise)?;
        if CRC.checksum(checked) != u16::from_le_bytes(*crc) {
            return Err(Unreadable::Noise);
        }
        if let Some((&FIRST_OF_CLEAR, message)) = checked.split_first() {
            return Vec::from_slice(message).map(|message| Self::Clear(Clear(message))).map_err(|_| Unreadable::Noise);
        }
        let (header, body) = checked.split_first_chunk::<HEADER_BYTES>().ok_or(Unreadable::Noise)?;
        let header = Header::from_bytes(header)?;
        let body = Vec::from_slice(body).map_err(|_| Unreadable::Noise)?;
        if body.len() < TAG_BYTES {
            return Err(Unreadable::Noise);
        }
        Ok(Self::Sealed(Sealed { header, body }))
    }
}

impl Sealed {
    /// What it says of itself; true only if [`Sealed::open`] succeeds.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Verifies it and decrypts its message.
    pub fn open(&self, key: &LinkKey) -> Result<Opened, Forged> {
        let (sealed, tag) = self.body.split_last_chunk::<TAG_BYTES>().ok_or(Forged)?;
        let mut payload = Vec::from_slice(sealed).map_err(|_| Forged)?;
        if !self.header.suite.open(key, self.header.counter, &self.header.to_bytes(), &mut payload, *tag) {
            return Err(Forged);
        }
        Ok(Opened { header: self.header, payload })
    }
}

/// The frame was not made by who has this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forged;

/// A message of the [console](super::console).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clear(Vec<u8, PAYLOAD_BYTES>);

impl Clear {
    /// The message.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, NotAMessage> {
        whole(&self.0)
    }
}

/// A frame whose sender is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who, and which.
    pub header: Header,
    /// The message's bytes.
    pub payload: Vec<u8, PAYLOAD_BYTES>,
}

impl Opened {
    /// The message.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, NotAMessage> {
        whole(&self.payload)
    }
}

fn whole<M: DeserializeOwned>(payload: &[u8]) -> Result<M, NotAMessage> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(NotAMessage),
    }
}

/// A sender said something this version does not understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMessage;
