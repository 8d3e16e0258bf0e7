//! Fence vibration: from acceleration samples to energy per window, and from energy to *the fence moves*.

use super::{
    Hysteresis, News,
    measure::{self, Measure},
};
use crate::Millis;
use quaywatch_schemas::frame::message::Value;

/// How vibration is judged.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Over how long energy is taken.
    pub window_ms: u32,
    /// When the fence moves, in m/s² root mean square.
    pub moves: Hysteresis,
    /// Energy is said again once it moved this much.
    pub deadband: f32,
}

impl Default for Settings {
    fn default() -> Self {
        // To be tuned on the fence: wind on mesh stays below, a person climbing is far above.
        Self { window_ms: 500, moves: Hysteresis { on: 1.5, off: 0.75 }, deadband: 0.25 }
    }
}

/// One accelerometer on a fence.
#[derive(Debug, Clone)]
pub struct Vibration {
    settings: Settings,
    window: Window,
    energy: Measure,
    moves: Option<bool>,
}

/// Running mean and sum of squared deviations (Welford): the mean is gravity and mounting, and does not count.
#[derive(Debug, Clone, Default)]
struct Window {
    began: Millis,
    count: u32,
    mean: f32,
    squares: f32,
}

/// What a window said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// The energy, if it is news.
    pub energy: Option<News>,
    /// Whether the fence moves, if that changed.
    pub moves: Option<News>,
}

impl Vibration {
    /// An accelerometer that was not read yet.
    pub fn new(settings: Settings, now: Millis) -> Self {
        let stale_ms = settings.window_ms.saturating_mul(4);
        let energy = Measure::new(measure::Settings { deadband: settings.deadband, alarm: None, stale_ms }, now);
        Self { settings, window: Window { began: now, ..Window::default() }, energy, moves: None }
    }

    /// One sample, in m/s². What is not a number is not a sample.
    pub fn sense(&mut self, acceleration: f32, now: Millis) -> Said {
        let said = self.tick(now);
        if acceleration.is_finite() {
            let window = &mut self.window;
            window.count += 1;
            let from_mean = acceleration - window.mean;
            window.mean += from_mean / window.count as f32;
            window.squares += from_mean * (acceleration - window.mean);
        }
        said
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Said {
        if now.saturating_sub(self.window.began) < u64::from(self.settings.window_ms) {
            return Said { energy: self.energy.tick(now), moves: None };
        }
        let window = core::mem::replace(&mut self.window, Window { began: now, ..Window::default() });
        // One sample has no deviation: it says nothing of movement.
        if window.count < 2 {
            return Said { energy: self.energy.tick(now), moves: None };
        }
        let energy = libm::sqrtf(window.squares / window.count as f32);
        let moves = self.settings.moves.after(self.moves == Some(true), energy);
        let changed = self.moves.replace(moves) != Some(moves);
        Said {
            energy: self.energy.sense(energy, now),
            moves: changed.then_some(News { value: Value::State(moves), at: window.began, alarm: moves }),
        }
    }

    /// The latest energy.
    pub fn energy(&self) -> Option<Value> {
        self.energy.value()
    }

    /// Whether the fence moves; unknown while nothing is read.
    pub fn moves(&self) -> Option<Value> {
        match self.energy.value()? {
            lost @ Value::Missing(_) => Some(lost),
            _ => self.moves.map(Value::State),
        }
    }
}
