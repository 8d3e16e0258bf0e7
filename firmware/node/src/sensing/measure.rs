//! Measured values: said when they moved, when they cross an alarm limit, and when they are lost.

use super::{Hysteresis, News};
use crate::Millis;
use quaywatch_schemas::frame::message::{Missing, Value};

/// How a value is reported.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// It is said again once it moved this much.
    pub deadband: f32,
    /// Where it becomes an alarm, which is kept before routine data.
    pub alarm: Option<Hysteresis>,
    /// Not read for this long, it is missing.
    pub stale_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadband: 0.0, alarm: None, stale_ms: 30_000 }
    }
}

/// One measured value.
#[derive(Debug, Clone)]
pub struct Measure {
    settings: Settings,
    said: Option<Value>,
    latest: Option<Value>,
    read_at: Millis,
    high: bool,
}

impl Measure {
    /// A value that was not read yet.
    pub fn new(settings: Settings, now: Millis) -> Self {
        Self { settings, said: None, latest: None, read_at: now, high: false }
    }

    /// It was read. NaN and infinity are what a broken converter delivers.
    pub fn sense(&mut self, value: f32, now: Millis) -> Option<News> {
        self.read_at = now;
        if !value.is_finite() {
            return self.lose(now);
        }
        let was_high = self.high;
        self.high = self.settings.alarm.is_some_and(|limit| limit.after(was_high, value));
        self.latest = Some(Value::Measure(value));
        let moved = match self.said {
            Some(Value::Measure(said)) => {
                let by = libm::fabsf(value - said);
                by > 0.0 && by >= self.settings.deadband
            }
            _ => true,
        };
        if !moved && self.high == was_high {
            return None;
        }
        self.said = self.latest;
        Some(News { value: Value::Measure(value), at: now, alarm: self.high && !was_high })
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let stale = now.saturating_sub(self.read_at) > u64::from(self.settings.stale_ms);
        if stale { self.lose(now) } else { None }
    }

    /// The latest value.
    pub fn value(&self) -> Option<Value> {
        self.latest
    }

    fn lose(&mut self, now: Millis) -> Option<News> {
        let lost = Value::Missing(Missing::BadValue);
        self.latest = Some(lost);
        (self.said.replace(lost) != Some(lost)).then_some(News { value: lost, at: now, alarm: false })
    }
}
