//! What a node is told to sense and how: settings that cannot be wrong, because only [`Draft::check`] makes them.
//!
//! Gateway and node check with the same code: the gateway to tell a site engineer before anything is sent, the node because
//! it believes nobody. On the link and in flash they are a format number and a postcard value of at most
//! [`SETTINGS_BYTES`].

mod sensing;

pub use sensing::{
    Alarm, Badge, Contact, Cut, Door, Hysteresis, Layout, Load, Measure, Motion, Parity, Range, Sensing, Span,
    Vibration, WIEGAND_BITS,
};

use super::Channel;
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The most channels that can hang on one node: as many as its RAM holds and its pins serve.
pub const INPUTS: usize = 16;

/// The longest settings there may be. Those of today take three quarters of it at most: a node keeps room in flash for fields to
/// come.
pub const SETTINGS_BYTES: usize = 800;

/// The format of the bytes; a firmware that has another refuses them.
const FORMAT: u8 = 1;

/// What a node senses and how. Every field is in its range, every channel is sensed in a way that fits it, and what one
/// channel needs of another is there. By default nothing hangs on the node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct Settings(Draft);

/// Settings that nobody has checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draft {
    /// How often the node repeats what all its channels say while the gateway listens, 1 s to 1 h. The gateway's
    /// `silent_after` should be three times as long.
    pub heartbeat_ms: u32,
    /// What hangs on it, each channel once, at most [`INPUTS`]; one more has room, to be refused.
    pub inputs: Vec<Input, { INPUTS + 1 }>,
}

/// One channel of a node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Which.
    pub channel: Channel,
    /// How often the board reads it; 0 if it is not read in a rhythm but told when something happens.
    pub every_ms: u32,
    /// How what is read becomes words.
    pub sensing: Sensing,
}

/// What is wrong with settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Whose settings; `None` if it is the node's own.
    pub channel: Option<Channel>,
    /// What.
    pub what: Wrong,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wrong {
    /// The bytes are no settings of this version.
    Unreadable,
    /// More channels than a node can have.
    TooMany,
    /// The channel is there twice.
    Twice,
    /// Such a channel cannot be sensed so.
    Unfit,
    /// A field is not a number within its range, both ends included.
    Outside {
        /// Which.
        field: &'static str,
        /// Its least value.
        least: f64,
        /// Its greatest value.
        most: f64,
    },
    /// Two fields contradict each other.
    Contradicts {
        /// The one, and what it must be to the other.
        rule: &'static str,
    },
    /// It needs something that is not there.
    Needs {
        /// What.
        needs: &'static str,
    },
}

impl Draft {
    const HEARTBEAT_MS: u32 = 10_000;

    /// The same with a channel on it, sensed and read as is usual for such a channel. One that is there is replaced.
    pub fn with(mut self, channel: Channel) -> Self {
        self.add(channel);
        self
    }

    /// Puts a channel on it, as [`Draft::with`] does, in place: on a node a draft is too large to be handed around.
    pub fn add(&mut self, channel: Channel) {
        let sensing = Sensing::usual(channel);
        self.add_input(Input { channel, every_ms: sensing.usual_every_ms(), sensing });
    }

    /// The same with a channel on it that is read as often as is usual for such sensing. One that is there is replaced.
    pub fn with_sensing(self, channel: Channel, sensing: Sensing) -> Self {
        self.with_input(Input { channel, every_ms: sensing.usual_every_ms(), sensing })
    }

    /// The same with a channel on it. One that is there is replaced.
    pub fn with_input(mut self, input: Input) -> Self {
        self.add_input(input);
        self
    }

    fn add_input(&mut self, input: Input) {
        self.inputs.retain(|other| other.channel != input.channel);
        // What has no room would be one too many, and one too many is there.
        let _ = self.inputs.push(input);
    }

    /// Makes settings of it, or says what is wrong first.
    pub fn check(self) -> Result<Settings, Fault> {
        self.find_fault().map(|()| Settings(self))
    }

    fn find_fault(&self) -> Result<(), Fault> {
        let of_node = |what| Fault { channel: None, what };
        within("heartbeat_ms", self.heartbeat_ms, 1_000.0, 3_600_000.0).map_err(of_node)?;
        if self.inputs.len() > INPUTS {
            return Err(of_node(Wrong::TooMany));
        }
        for (at, input) in self.inputs.iter().enumerate() {
            let fault = |what| Fault { channel: Some(input.channel), what };
            if self.inputs[..at].iter().any(|other| other.channel == input.channel) {
                return Err(fault(Wrong::Twice));
            }
            if !input.sensing.fits(input.channel) {
                return Err(fault(Wrong::Unfit));
            }
            input.sensing.check(input.every_ms).map_err(fault)?;
            self.check_needs(input).map_err(fault)?;
        }
        Ok(())
    }

    /// Reads one input after the other: a value at once takes its size several times.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        const UNREADABLE: Fault = Fault { channel: None, what: Wrong::Unreadable };
        let [FORMAT, body @ ..] = bytes else { return Err(UNREADABLE) };
        let (heartbeat_ms, body) = postcard::take_from_bytes(body).map_err(|_| UNREADABLE)?;
        let (inputs, mut body) = postcard::take_from_bytes::<u32>(body).map_err(|_| UNREADABLE)?;
        self.heartbeat_ms = heartbeat_ms;
        self.inputs.clear();
        for _ in 0..inputs {
            let (input, rest) = postcard::take_from_bytes(body).map_err(|_| UNREADABLE)?;
            self.inputs.push(input).map_err(|_| UNREADABLE)?;
            body = rest;
        }
        if body.is_empty() { Ok(()) } else { Err(UNREADABLE) }
    }

    /// What a channel needs of the others.
    fn check_needs(&self, input: &Input) -> Result<(), Wrong> {
        let sensed = |channel| self.inputs.iter().find(|other| other.channel == channel).map(|other| other.sensing);
        let need = |is_there: bool, needs| if is_there { Ok(()) } else { Err(Wrong::Needs { needs }) };
        let watches_door = || matches!(sensed(Channel::Door), Some(Sensing::Door(_)));
        let rests_sooner = |channel, than: u32| match sensed(channel) {
            Some(Sensing::Contact(contact)) => contact.debounce_ms <= than,
            _ => true,
        };
        match (input.channel, input.sensing) {
            (Channel::Fence, Sensing::Derived) => need(sensed(Channel::Vibration).is_some(), "channel vibration"),
            (Channel::FenceCut, _) => {
                let cuts =
                    matches!(sensed(Channel::Vibration), Some(Sensing::Vibration(Vibration { cut: Some(_), .. })));
                need(cuts, "channel vibration with `cut`")
            }
            (Channel::Presence, Sensing::Derived) => need(sensed(Channel::Range).is_some(), "channel range"),
            (Channel::DoorHeld, _) => need(watches_door(), "channel door, sensed as door"),
            (Channel::DoorForced, _) => {
                need(watches_door(), "channel door, sensed as door")?;
                let released = sensed(Channel::Rex).or(sensed(Channel::Grant));
                need(released.is_some(), "channel rex or grant: without one every opening would be forced")
            }
            // Or a door that is opened with the button in the hand would be forced until the button has come to rest.
            (_, Sensing::Door(door)) => {
                match [Channel::Rex, Channel::Grant].map(|by| rests_sooner(by, door.debounce_ms)) {
                    [true, true] => Ok(()),
                    _ => Err(Wrong::Contradicts { rule: "`debounce_ms` must not be below that of rex and grant" }),
                }
            }
            (_, Sensing::Badge(_)) => {
                need(sensed(Channel::Grant).is_some(), "channel grant: a reader alone does not say who was let in")
            }
            (_, Sensing::Load(Load { temperature: Some(by), .. })) => {
                let is_one = matches!(by, Channel::Temperature | Channel::AirTemperature);
                need(
                    is_one && sensed(by).is_some(),
                    "the channel that `temperature` names: temperature or air-temperature",
                )
            }
            _ => Ok(()),
        }
    }
}

impl Default for Draft {
    fn default() -> Self {
        Self { heartbeat_ms: Self::HEARTBEAT_MS, inputs: Vec::new() }
    }
}

impl Settings {
    /// Reads and checks.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut settings = Self::default();
        settings.read(bytes).map(|()| settings)
    }

    /// Reads and checks, in place of what is here: on a node, settings are too large to be handed around. What does not read
    /// or is wrong leaves nothing here.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let read = self.0.read(bytes).and_then(|()| self.0.find_fault());
        if read.is_err() {
            self.0.inputs.clear();
            self.0.heartbeat_ms = Draft::HEARTBEAT_MS;
        }
        read
    }

    /// As the link and flash have it.
    pub fn to_bytes(&self) -> Vec<u8, SETTINGS_BYTES> {
        let mut bytes = Vec::new();
        bytes.resize_default(SETTINGS_BYTES).expect("that is its capacity");
        bytes[0] = FORMAT;
        // A test shows that the longest settings fit.
        let length = postcard::to_slice(&self.0, &mut bytes[1..]).expect("settings are never longer").len();
        bytes.truncate(1 + length);
        bytes
    }

    /// How often everything is repeated.
    pub fn heartbeat_ms(&self) -> u32 {
        self.0.heartbeat_ms
    }

    /// What hangs on the node.
    pub fn inputs(&self) -> &[Input] {
        &self.0.inputs
    }
}

impl TryFrom<Draft> for Settings {
    type Error = Fault;
    fn try_from(draft: Draft) -> Result<Self, Fault> {
        draft.check()
    }
}

impl From<Settings> for Draft {
    fn from(settings: Settings) -> Draft {
        settings.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channel) = self.channel {
            write!(f, "channel {channel}: ")?;
        }
        match self.what {
            Wrong::Unreadable => f.write_str("no settings of this version"),
            Wrong::TooMany => write!(f, "a node has at most {INPUTS} channels"),
            Wrong::Twice => f.write_str("is there twice"),
            Wrong::Unfit => f.write_str("cannot be sensed so"),
            Wrong::Outside { field, least, most } => write!(f, "`{field}` must be {least} to {most}"),
            Wrong::Contradicts { rule } => f.write_str(rule),
            Wrong::Needs { needs } => write!(f, "needs {needs}"),
        }
    }
}

impl core::error::Error for Fault {}

/// Refuses what is not within a range; NaN is in none.
fn within(field: &'static str, value: impl Into<f64>, least: f64, most: f64) -> Result<(), Wrong> {
    if (least..=most).contains(&value.into()) { Ok(()) } else { Err(Wrong::Outside { field, least, most }) }
}

#[cfg(test)]
mod tests;
