//! Passive infrared detectors: they pulse, and for half a minute after power came they say anything.

use super::News;
use crate::Millis;
use quaywatch_schemas::frame::message::{Missing, Value};

/// How a detector is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// How long after boot its output means nothing. Data sheets of the common modules say 30 to 60 s.
    pub warm_up_ms: u32,
    /// How long after its last pulse somebody still counts as moving: pulses of one passer-by become one word.
    pub hold_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { warm_up_ms: 30_000, hold_ms: 5_000 }
    }
}

/// One detector.
#[derive(Debug, Clone)]
pub struct Motion {
    settings: Settings,
    ready_at: Millis,
    raw: bool,
    last_pulse: Millis,
    state: Option<bool>,
}

impl Motion {
    /// A detector that is warming up since `boot`.
    pub fn new(settings: Settings, boot: Millis) -> Self {
        let ready_at = boot.saturating_add(u64::from(settings.warm_up_ms));
        Self { settings, ready_at, raw: false, last_pulse: boot, state: None }
    }

    /// The raw output is so now.
    pub fn sense(&mut self, raw: bool, now: Millis) -> Option<News> {
        self.raw = raw;
        self.tick(now)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        if now < self.ready_at {
            return None;
        }
        if self.raw {
            self.last_pulse = now;
        }
        let held = self.state == Some(true) && now.saturating_sub(self.last_pulse) < u64::from(self.settings.hold_ms);
        let moving = self.raw || held;
        if self.state == Some(moving) {
            return None;
        }
        self.state = Some(moving);
        Some(News { value: Value::State(moving), at: now, alarm: moving })
    }

    /// What it says now: nothing useful while it warms up.
    pub fn value(&self) -> Value {
        self.state.map_or(Value::Missing(Missing::BadValue), Value::State)
    }
}
