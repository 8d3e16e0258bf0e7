//! What a node is told: who it is, and what hangs on it.

use heapless::Vec;
use quaywatch_schemas::frame::{
    NodeKey,
    message::Firmware,
    settings::{SETTINGS_BYTES, Settings},
};

/// What a node's firmware brings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who the node is, if whoever starts it knows. What it was enrolled with, or told since, is in flash and counts
    /// instead.
    pub given: Option<(u16, NodeKey)>,
    /// What the node is made of.
    pub plate: Plate,
    /// What it senses and how until it is told otherwise; as bytes, because they take half the RAM so.
    /// Without any nothing hangs on it.
    pub(crate) settings: Vec<u8, SETTINGS_BYTES>,
}

/// What a node is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plate {
    /// What its chip calls itself, padded with zeros.
    pub chip: [u8; 12],
    /// What it runs.
    pub runs: Firmware,
}

impl Config {
    /// A node with nothing on it that repeats itself every ten seconds.
    pub fn new(number: u16, key: NodeKey) -> Self {
        Self { given: Some((number, key)), ..Self::blank() }
    }

    /// The same, and not enrolled: it says nothing until somebody has told it who it is.
    pub fn blank() -> Self {
        Self { given: None, plate: Plate::default(), settings: Vec::new() }
    }

    /// The same made of that.
    pub fn on(mut self, plate: Plate) -> Self {
        self.plate = plate;
        self
    }

    /// The same with these settings.
    pub fn by(mut self, settings: &Settings) -> Self {
        self.settings = settings.to_bytes();
        self
    }
}
