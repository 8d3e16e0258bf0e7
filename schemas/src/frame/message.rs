//! What nodes and gateway say to each other. The order of variants and fields is the wire format (postcard).

use super::Channel;
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// What a node says.
#[expect(clippy::large_enum_variant, reason = "a node has no heap to box into")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromNode {
    /// What its sensors said. Kept until acknowledged; under the store epoch.
    Data(Data),
    /// The answer to a challenge. Said once; under the boot epoch.
    Hello(Hello),
    /// The last frame of a turn: the bus is the gateway's again. Said once; under the boot epoch.
    TurnEnd(TurnEnd),
    /// Why it did not do what it was told. Said once; under the boot epoch.
    Refused(Refused),
}

/// The most samples in one frame: twelve of the longest that occur fit into the payload.
pub const SAMPLES: usize = 12;

/// What a node's sensors said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Which boot the times are of.
    pub boot: u32,
    /// How much smaller the counter of the frame before it is, so that the gateway can keep the order and knows what it
    /// lacks; 0 if nothing before it is kept.
    pub follows: u32,
    /// When the frame was made, in milliseconds since that boot.
    pub at_ms: u64,
    /// The supply is failing; what is in here is the last that can be said.
    pub last_words: bool,
    /// What was said, oldest first.
    pub samples: Vec<Sample, SAMPLES>,
}

/// One channel's word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Whose.
    pub channel: Channel,
    /// How many milliseconds before the frame was made.
    pub age_ms: u32,
    /// What.
    pub value: Value,
}

/// What a channel says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// On or off.
    State(bool),
    /// In the channel's own unit.
    Measure(f32),
    /// How the node is.
    Health {
        /// Boots since its flash was formatted.
        boots: u32,
        /// Why it started last.
        reset: ResetCause,
        /// Supply in millivolts, if it measures it.
        supply_mv: Option<u16>,
    },
    /// Nothing can be said, and why.
    Missing(Missing),
    /// In the channel's own unit, from a sensor that knows whether it has settled.
    Load {
        /// How much.
        value: f32,
        /// Whether it has settled.
        settled: bool,
    },
    /// A credential was read.
    Credential {
        /// Whose.
        card: Card,
        /// Whether its holder was let in.
        granted: bool,
    },
}

/// A credential's numbers. They lead to a person: `Debug` does not print them, the link seals them, and the gateway makes a
/// handle of them as they come in. Until the gateway has them on disk they may lie in the node's flash, beside the key: a
/// node at a door has its chip's read-out protection set.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Facility (site) code, if the card's format has one.
    pub facility: Option<u32>,
    /// The card's number.
    pub number: u64,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card")
    }
}

/// Why a channel cannot say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// It reads what cannot be, is not read any more or is not ready yet.
    BadValue,
    /// The node could not keep this many of its earlier words.
    Overload(u32),
    /// It is read, but its detector does not believe it.
    Doubted(Doubt),
}

/// Why a detector does not believe its sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doubt {
    /// It is not read.
    NotRead,
    /// It says the same for longer than can be.
    Stuck,
    /// It is at or beyond the end of its range.
    OutOfRange,
    /// It changes more often than can be, or much of what it says is damaged.
    Noisy,
    /// Something is right before it.
    Covered,
    /// The temperature it needs is not known.
    Uncompensated,
}

/// Why a node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ResetCause {
    /// Not known.
    #[default]
    Unknown,
    /// Power came.
    PowerOn,
    /// The supply had dropped.
    BrownOut,
    /// The independent watchdog was not fed.
    Watchdog,
    /// The firmware asked for it.
    Software,
    /// The reset pin.
    Pin,
    /// New firmware.
    Update,
}

impl From<ResetCause> for u8 {
    fn from(cause: ResetCause) -> u8 {
        cause as u8
    }
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The session it answers: proof that this is no recording.
    pub session: u64,
    /// Commands of this session must repeat it.
    pub token: u64,
    /// The node's boot.
    pub boot: u32,
    /// Milliseconds since that boot when the challenge was read.
    pub now_ms: u64,
    /// Why it started.
    pub reset: ResetCause,
    /// What it keeps.
    pub store: StoreState,
}

/// What a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreState {
    /// Its flash reads.
    Open {
        /// Under which epoch its data frames are.
        epoch: u64,
        /// The oldest counter it still keeps; `next` if it keeps none.
        oldest: u64,
        /// The counter of the next frame.
        next: u64,
    },
    /// Its flash does not read, so that it cannot know which counters were used: it says nothing until it is enrolled
    /// again.
    Locked,
}

/// The last frame of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// The counter of the poll it answers.
    pub answers: u64,
    /// Milliseconds since boot when the poll was read.
    pub now_ms: u64,
    /// The oldest counter it still keeps; `next` if it keeps none.
    pub oldest: u64,
    /// The counter of the next frame.
    pub next: u64,
    /// Whether it has more to send than the turn allowed.
    pub more: bool,
}

/// Why a node did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The counter of the frame that told it.
    pub answers: u64,
    /// Why.
    pub why: Refusal,
}

/// Why a node did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This firmware cannot do that.
    Unsupported,
    /// The token is not that of its last hello.
    Stale,
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGateway {
    /// It is the node's turn; what it sent before is stored as far as said.
    Poll(Poll),
    /// Prove that you are here now, and say where you stand. The session is the header's epoch.
    Challenge,
    /// Do something.
    Command(Command),
    /// A piece of something long: firmware, settings.
    Transfer(Transfer),
}

/// It is the node's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// How many data frames it may send.
    pub frames: u8,
    /// Whether the end of its last turn was heard; if not, what it sent then may be lost.
    pub heard: bool,
    /// Whether it is to repeat what all its channels say.
    pub report: bool,
    /// The first frame that is kept at or after this counter has not come, although later ones, or word of them, did.
    pub again: Option<u64>,
    /// What is on the gateway's disk.
    pub stored: Option<Stored>,
}

/// An acknowledgement: what is on the gateway's disk and need not be kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The store epoch the counters are of.
    pub epoch: u64,
    /// Everything below this counter.
    pub below: u64,
    /// And of the 64 counters from this one on
    pub from: u64,
    /// those whose bit is set, the lowest bit first.
    pub bits: u64,
}

impl Stored {
    /// Whether it acknowledges a counter.
    pub fn covers(&self, counter: u64) -> bool {
        let bit = counter.wrapping_sub(self.from);
        counter < self.below || (counter >= self.from && bit < 64 && self.bits >> bit & 1 == 1)
    }
}

/// Something a node is to do. This version's firmware refuses every code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The token of the node's last hello.
    pub token: u64,
    /// What. Codes are given out when the first command is.
    pub code: u16,
    /// With what.
    pub argument: u32,
}

/// A piece of something long. This version's firmware refuses every one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The token of the node's last hello.
    pub token: u64,
    /// Of what.
    pub transfer: u32,
    /// Where in it.
    pub offset: u32,
    /// The piece.
    pub block: Vec<u8, BLOCK_BYTES>,
}

/// The largest piece of a transfer.
pub const BLOCK_BYTES: usize = 160;
