//! What a node is told: who it is, and what hangs on it.

use crate::sensing::{
    contact::{self, Alarm},
    measure, motion, vibration,
};
use core::ops::RangeInclusive;
use heapless::Vec;
use quaywatch_schemas::frame::{
    Channel, NodeKey,
    channel::CHANNELS,
    message::{Firmware, SETTINGS_BYTES},
};
use serde::{Deserialize, Serialize};

/// What a node's firmware brings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who the node is, if whoever starts it knows. What it was enrolled with, or told since, is in flash and counts
    /// instead.
    pub given: Option<(u16, NodeKey)>,
    /// What the node is made of.
    pub plate: Plate,
    /// How often it repeats what all its channels say while the gateway listens. The gateway's `silent_after` should be
    /// three times as long.
    pub heartbeat_ms: u32,
    /// What hangs on it.
    pub channels: Vec<(Channel, Sensing), CHANNELS>,
}

/// What a node is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plate {
    /// What its chip calls itself, padded with zeros.
    pub chip: [u8; 12],
    /// What it runs.
    pub runs: Firmware,
}

/// How a channel's raw input becomes words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Sensing {
    /// A contact.
    Contact(contact::Settings),
    /// A passive infrared detector.
    Motion(motion::Settings),
    /// A tamper switch with its latch.
    Tamper,
    /// An accelerometer on a fence; what it says of *the fence moves* is channel [`Channel::Fence`], if that is there.
    Vibration(vibration::Settings),
    /// A measured value.
    Measure(measure::Settings),
    /// How the node is; nothing is sensed.
    Health,
}

/// The settings do not read, or ask for what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSettings;

/// A heartbeat: every second would fill the bus, every hour would be silence.
const HEARTBEAT_MS: RangeInclusive<u32> = 1_000..=3_600_000;

impl Config {
    /// A node with nothing on it that repeats itself every ten seconds.
    pub fn new(number: u16, key: NodeKey) -> Self {
        Self { given: Some((number, key)), ..Self::blank() }
    }

    /// The same, and not enrolled: it says nothing until somebody has told it who it is.
    pub fn blank() -> Self {
        Self { given: None, plate: Plate::default(), heartbeat_ms: 10_000, channels: Vec::new() }
    }

    /// The same made of that.
    pub fn on(self, plate: Plate) -> Self {
        Self { plate, ..self }
    }

    /// What can be told to another node: everything but who this one is.
    pub fn to_settings(&self) -> Vec<u8, SETTINGS_BYTES> {
        let mut bytes = Vec::new();
        // Sixteen channels with the longest settings are shorter than that.
        let _ = bytes.resize_default(SETTINGS_BYTES);
        let length = postcard::to_slice(&(self.heartbeat_ms, &self.channels), &mut bytes).map_or(0, |used| used.len());
        bytes.truncate(length);
        bytes
    }

    /// The same with settings that it was told.
    pub(crate) fn told(&self, settings: &[u8]) -> Result<Self, BadSettings> {
        match postcard::take_from_bytes::<(u32, Vec<(Channel, Sensing), CHANNELS>)>(settings) {
            Ok(((heartbeat_ms, channels), [])) if HEARTBEAT_MS.contains(&heartbeat_ms) => {
                let mut named: Vec<Channel, CHANNELS> = channels.iter().map(|(channel, _)| *channel).collect();
                named.sort_unstable();
                let twice = named.windows(2).any(|pair| pair[0] == pair[1]);
                if twice { Err(BadSettings) } else { Ok(Self { heartbeat_ms, channels, ..self.clone() }) }
            }
            _ => Err(BadSettings),
        }
    }

    /// The same with a channel on it, sensed as is usual for such a channel.
    pub fn with(self, channel: Channel) -> Self {
        self.with_sensing(channel, usual(channel))
    }

    /// The same with a channel on it. A channel that is there already is replaced.
    pub fn with_sensing(mut self, channel: Channel, sensing: Sensing) -> Self {
        self.channels.retain(|(other, _)| *other != channel);
        // There is room for every channel there is.
        let _ = self.channels.push((channel, sensing));
        self
    }
}

fn usual(channel: Channel) -> Sensing {
    let contact = |alarm| Sensing::Contact(contact::Settings { alarm, ..contact::Settings::default() });
    let measure = |deadband| Sensing::Measure(measure::Settings { deadband, ..measure::Settings::default() });
    match channel {
        Channel::Pir => Sensing::Motion(motion::Settings::default()),
        Channel::Tamper => Sensing::Tamper,
        Channel::Vibration => Sensing::Vibration(vibration::Settings::default()),
        Channel::Fence | Channel::Door => contact(Alarm::OnTrue),
        Channel::Contact1 | Channel::Contact2 | Channel::Contact3 | Channel::Contact4 => contact(Alarm::Never),
        Channel::Load1 | Channel::Load2 | Channel::Load3 | Channel::Load4 => measure(2.0),
        Channel::Temperature => measure(0.5),
        Channel::Supply => measure(0.1),
        Channel::Health => Sensing::Health,
    }
}
