//! Passive infrared detectors: they pulse, and for half a minute after power came they say anything.

use super::News;
use crate::Millis;
use heapless::Vec;
use quaywatch_schemas::frame::{
    message::{Missing, Value},
    settings::Motion as Settings,
};

/// The most pulses that can be asked for.
const PULSES: usize = 16;

/// One detector.
#[derive(Debug, Clone)]
pub struct Motion {
    settings: Settings,
    ready_at: Millis,
    raw: bool,
    /// When the last pulses began, oldest first.
    pulses: Vec<Millis, PULSES>,
    last_pulse: Millis,
    state: Option<bool>,
}

impl Motion {
    /// A detector that is warming up since `boot`.
    pub fn new(settings: Settings, boot: Millis) -> Self {
        let ready_at = boot.saturating_add(u64::from(settings.warm_up_ms));
        Self { settings, ready_at, raw: false, pulses: Vec::new(), last_pulse: boot, state: None }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// The raw output is so now.
    pub fn sense(&mut self, raw: bool, now: Millis) -> Option<News> {
        let begins = raw && !self.raw;
        self.raw = raw;
        if begins && now >= self.ready_at {
            if self.pulses.is_full() {
                self.pulses.remove(0);
            }
            let _ = self.pulses.push(now);
        }
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
        let moving = match self.state {
            Some(true) => self.raw || now.saturating_sub(self.last_pulse) < u64::from(self.settings.hold_ms),
            // A pulse that began while the detector warmed up and still lasts is a movement where one is enough.
            _ if self.settings.pulses <= 1 => self.raw,
            _ => {
                let within = u64::from(self.settings.within_ms);
                let recent = self.pulses.iter().filter(|began| now.saturating_sub(**began) <= within).count();
                recent >= usize::from(self.settings.pulses)
            }
        };
        if self.state == Some(moving) {
            return None;
        }
        if !moving {
            // Pulses of a movement that is over do not begin the next one.
            self.pulses.clear();
        }
        self.state = Some(moving);
        Some(News { value: Value::State(moving), at: now, alarm: moving })
    }

    /// What it says now: nothing useful while it warms up.
    pub fn value(&self) -> Value {
        self.state.map_or(Value::Missing(Missing::BadValue), Value::State)
    }
}
