//! From raw inputs to words worth sending. One file per kind of input; none knows the link or the flash.

pub mod contact;
pub mod measure;
pub mod motion;
pub mod tamper;
pub mod vibration;

use crate::Millis;
use quaywatch_schemas::frame::message::Value;

/// Something to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct News {
    /// What.
    pub value: Value,
    /// Since when.
    pub at: Millis,
    /// Whether it is kept before everything else and put into flash before it is sent.
    pub alarm: bool,
}

/// A limit that does not flicker: on above `on`, off below `off`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Hysteresis {
    /// At or above it is on.
    pub on: f32,
    /// Below it is off.
    pub off: f32,
}

impl Hysteresis {
    /// The state after a value, given the one before.
    pub fn after(&self, was_on: bool, value: f32) -> bool {
        if was_on { value >= self.off } else { value >= self.on }
    }
}

#[cfg(test)]
mod tests;
