//! What nodes and gateway say to each other. The order of variants and fields is the wire format (postcard).

use super::{Channel, NodeKey};
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// What a node says.
#[allow(clippy::large_enum_variant, reason = "a node has no heap to box into")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromNode {
    /// What its sensors said. Kept until acknowledged; under the store epoch.
    Data(Data),
    /// The answer to a challenge. Said once; under the boot epoch.
    Hello(Hello),
    /// The last frame of a turn: the bus is the gateway's again. Said once; under the boot epoch.
    TurnEnd(TurnEnd),
    /// What became of an order. Said once; under the boot epoch.
    Answer(Answer),
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

/// The samples of a [`FromNode::Data`] as it is in a frame, one by one, for who has no room for all; none of anything else. A
/// frame that ends too soon has those before its end.
pub fn samples_of(payload: &[u8]) -> impl Iterator<Item = Sample> + '_ {
    // Which variant, boot, follows, at_ms, last_words, how many.
    type Head = (u32, u32, u32, u64, bool, u32);
    let (left, mut rest) = match postcard::take_from_bytes::<Head>(payload) {
        Ok(((0, .., samples), rest)) => (samples, rest),
        _ => (0, payload),
    };
    (0..left).map_while(move |_| {
        let (sample, behind) = postcard::take_from_bytes(rest).ok()?;
        rest = behind;
        Some(sample)
    })
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
    /// The counter of the challenge it answers: proof that this is no recording of a former boot in the same session.
    pub answers: u64,
    /// What the key of all that follows hangs on: see [`LinkKey::after`](super::LinkKey::after).
    pub token: u64,
    /// The node's boot.
    pub boot: u32,
    /// Milliseconds since that boot when the challenge was read.
    pub now_ms: u64,
    /// Why it started.
    pub reset: ResetCause,
    /// What it keeps.
    pub store: StoreState,
    /// What it runs.
    pub runs: Firmware,
    /// Its settings.
    pub settings: SettingsState,
}

/// What runs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Firmware {
    /// For which board it is: an image for another one is refused.
    pub board: u16,
    /// Its version: a rising number.
    pub version: u32,
}

/// By which settings a node works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingsState {
    /// Those that its firmware brings.
    Factory,
    /// Those it was told and that were confirmed; the first eight bytes of their digest, little-endian.
    Told(u64),
    /// Those it was told and that were not confirmed yet.
    OnTrial(u64),
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

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The counter of the frame that brought it.
    pub answers: u64,
    /// The order's own number.
    pub number: u32,
    /// What became of it.
    pub result: Result<Done, Refusal>,
}

/// How far an order is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// It is done.
    Done,
    /// It takes longer than a turn may: ask again.
    Working,
    /// So many bytes of the transfer are here: the next block begins there.
    Has(u32),
    /// It tested itself.
    Tested(Findings),
}

/// What a self-test found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// A record was written to flash and read back.
    pub flash: bool,
    /// Channels that say nothing or what cannot be: a bit each, by their place in wire order.
    pub without_value: u32,
    /// Frames that wait for an acknowledgement.
    pub waiting: u16,
}

/// Why a node did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This firmware cannot do that.
    Unsupported,
    /// A later order of this session came before.
    Stale,
    /// Its flash does not read or cannot be written.
    Flash,
    /// More bytes than it has room for.
    TooLong,
    /// No transfer has begun; after a restart it begins again.
    NoTransfer,
    /// The transfer is not whole.
    Incomplete,
    /// What came is not what was announced.
    BadDigest,
    /// The image's signature is not of a key that this node trusts.
    BadSignature,
    /// The image is for another board.
    WrongBoard,
    /// The image is older than what must run at least.
    TooOld,
    /// The settings do not read, or ask for what cannot be.
    BadSettings,
    /// No settings are on trial: they were confirmed before, or were taken back.
    NothingOnTrial,
    /// What runs is on trial itself: there is no room for another image before that is over.
    OnTrial,
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGateway {
    /// It is the node's turn; what it sent before is stored as far as said.
    Poll(Poll),
    /// Prove that you are here now, and say where you stand. The session is the header's epoch.
    Challenge,
    /// Do something.
    Order(Order),
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

/// Something a node is to do. It answers each with an [`Answer`] and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Rises within a session. One that comes again, because its answer was lost, is answered again and not done again.
    pub number: u32,
    /// What.
    pub task: Task,
}

/// What a node is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Blink, so that a person finds it.
    Identify {
        /// For how long; 0 ends it.
        seconds: u16,
    },
    /// Test flash and inputs.
    SelfTest,
    /// Start again, shortly after the answer.
    Restart,
    /// Something long follows in blocks. Answered with how much of it is here already, from a transfer that was cut.
    Begin(Transfer),
    /// A piece of it. Answered with how much is here now; a piece from another place changes nothing.
    Block {
        /// Where in it.
        offset: u32,
        /// All but the last have [`BLOCK_BYTES`].
        bytes: Vec<u8, BLOCK_BYTES>,
    },
    /// The transfer is whole. Settings take effect on trial; an image is verified and runs after the next restart.
    Finish,
    /// The settings on trial are to stay. Without it a node takes them back after [`TRIAL_SECONDS`] or with a restart.
    Confirm,
    /// Have this key. The former one is valid until the first frame of the gateway under the new one was read.
    Rekey(NewKey),
    /// Say whether the image that runs stays: done if it does, working while it is on trial.
    ImageTrial,
}

/// How long settings are on trial.
pub const TRIAL_SECONDS: u32 = 120;

/// Something long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfer {
    /// All settings of the node, as its firmware writes them.
    Settings {
        /// How many bytes, at most [`SETTINGS_BYTES`].
        length: u16,
        /// Their BLAKE3.
        digest: [u8; 32],
    },
    /// A firmware image. What comes in blocks is the image alone.
    Image {
        /// What the signer says of it: for which board, which version, how long, its digest.
        manifest: Vec<u8, MANIFEST_BYTES>,
    },
}

/// The longest manifest of an image.
pub const MANIFEST_BYTES: usize = 148;

pub use super::settings::SETTINGS_BYTES;

/// The largest piece of a transfer: it divides every flash's erase unit, so that no piece lies in two.
pub const BLOCK_BYTES: usize = 128;

/// A key on its way into a node; only ever within a sealed frame or on a wire that a person holds.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey(pub [u8; 32]);

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

impl From<NewKey> for NodeKey {
    fn from(key: NewKey) -> Self {
        Self::new(key.0)
    }
}
