//! Load cells: from a converter's steps to a force, without glitches, without the sun on the cell, settled or not.

use super::{News, measure::Measure, median::Median};
use crate::Millis;
use quaywatch_schemas::frame::{
    Channel,
    message::{Doubt, Value},
    settings::Load as Settings,
};

/// One load cell behind a converter.
#[derive(Debug, Clone)]
pub struct Load {
    settings: Settings,
    temperature: Option<f32>,
    median: Median,
    smooth: Option<Smooth>,
    calm: Option<Calm>,
    report: Measure,
}

/// A low-pass of first order, and when it was fed last.
#[derive(Debug, Clone, Copy)]
struct Smooth {
    value: f32,
    at: Millis,
}

/// Since when the value has stayed between two ends.
#[derive(Debug, Clone, Copy)]
struct Calm {
    lowest: f32,
    highest: f32,
    since: Millis,
}

impl Load {
    /// A cell that was not read yet.
    pub fn new(settings: Settings, now: Millis) -> Self {
        Self {
            temperature: None,
            median: Median::of(settings.median),
            smooth: None,
            calm: None,
            report: Measure::new(settings.report, now),
            settings,
        }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// The converter delivered so many steps. What is not a number is no reading.
    pub fn sense(&mut self, steps: f32, now: Millis) -> Option<News> {
        if !steps.is_finite() {
            return self.tick(now);
        }
        let steps = self.median.after(steps)?;
        let Some(degrees) = self.degrees_off() else {
            (self.smooth, self.calm) = (None, None);
            return self.report.doubt(Doubt::Uncompensated, now);
        };
        let force = self.smooth(self.force(steps, degrees), now);
        let settled = self.settle(force, now);
        self.report.sense_load(force, settled, now)
    }

    /// What a channel says of its temperature; `None` if that is not known any more. It takes what its settings name.
    pub fn warm(&mut self, channel: Channel, temperature: Option<f32>) {
        if self.settings.temperature == Some(channel) {
            self.temperature = temperature;
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let news = self.report.tick(now);
        if matches!(self.report.value(), Some(Value::Missing(_))) {
            // What comes after a pause is not smoothed with what was before.
            self.median.clear();
            (self.smooth, self.calm) = (None, None);
        }
        news
    }

    /// The latest value.
    pub fn value(&self) -> Option<Value> {
        self.report.value()
    }

    /// How many degrees the cell is off its reference; `None` if that ought to be known and is not.
    fn degrees_off(&self) -> Option<f32> {
        match self.settings.temperature {
            Some(_) => self.temperature.map(|temperature| temperature - self.settings.reference_cel),
            None => Some(0.0),
        }
    }

    fn force(&self, steps: f32, degrees: f32) -> f32 {
        let zero = self.settings.zero + self.settings.zero_per_cel * degrees;
        (steps - zero) * self.settings.span / (1.0 + self.settings.span_per_cel * degrees)
    }

    fn smooth(&mut self, force: f32, now: Millis) -> f32 {
        let value = match self.smooth {
            Some(Smooth { value, at }) if self.settings.smooth_ms > 0 => {
                let passed = now.saturating_sub(at) as f32;
                // Of the exact exponential's, this share is right to a tenth up to a fifth of the time constant, and never
                // overshoots.
                value + (force - value) * (passed / (passed + self.settings.smooth_ms as f32))
            }
            _ => force,
        };
        self.smooth = Some(Smooth { value, at: now });
        value
    }

    fn settle(&mut self, force: f32, now: Millis) -> bool {
        let started = Calm { lowest: force, highest: force, since: now };
        let calm = self.calm.map_or(started, |calm| Calm {
            lowest: calm.lowest.min(force),
            highest: calm.highest.max(force),
            since: calm.since,
        });
        let calm = if calm.highest - calm.lowest <= self.settings.settled_band { calm } else { started };
        self.calm = Some(calm);
        now.saturating_sub(calm.since) >= u64::from(self.settings.settled_ms)
    }
}
