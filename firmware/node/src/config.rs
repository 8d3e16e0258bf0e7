//! What a node is told once: who it is, and what hangs on it.

use crate::sensing::{
    contact::{self, Alarm},
    measure, motion, vibration,
};
use heapless::Vec;
use quaywatch_schemas::frame::{Channel, NodeKey, channel::CHANNELS};

/// A node's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its number on the bus, 1 to 65534.
    pub number: u16,
    /// Its key.
    pub key: NodeKey,
    /// How often it repeats what all its channels say while the gateway listens. The gateway's `silent_after` should be
    /// three times as long.
    pub heartbeat_ms: u32,
    /// What hangs on it.
    pub channels: Vec<(Channel, Sensing), CHANNELS>,
}

/// How a channel's raw input becomes words.
#[derive(Debug, Clone, Copy, PartialEq)]
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

impl Config {
    /// A node with nothing on it that repeats itself every ten seconds.
    pub fn new(number: u16, key: NodeKey) -> Self {
        Self { number, key, heartbeat_ms: 10_000, channels: Vec::new() }
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
