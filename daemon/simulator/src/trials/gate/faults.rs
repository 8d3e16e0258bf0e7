//! What goes wrong with the sensors themselves, once each in a trial.

use super::{Day, LANES, Preset, Truth, What, rounded};
use crate::world::random::Random;

/// How much a drifting scale is off in the end, in kg, and how fast it gets there, in kg/s.
const DRIFT_KG: f64 = 1500.0;
const DRIFT_KG_S: f64 = 1.25;

#[derive(Debug, Clone)]
pub(super) struct Faults {
    /// A plate camera that is there but sees nothing.
    pub plate_blind: Fault,
    /// A scale that shows too much or too little.
    drift: Fault,
    drift_sign: f64,
    /// A code reader that is not even there.
    pub code_dead: Fault,
    /// A plate camera whose clock is set wrong and stays so.
    step: Fault,
    step_s: f64,
    /// A loop that says occupied and then nothing.
    pub stuck: Fault,
}

#[derive(Debug, Clone)]
pub(super) struct Fault {
    kind: &'static str,
    pub source: String,
    pub from: f64,
    pub until: f64,
}

impl Faults {
    pub fn draw(preset: &Preset, seed: u64) -> Self {
        let mut random = Random::of(seed, "trial faults", 0);
        let duration = preset.duration_s;
        // The lengths are those of a trial of two hours or more.
        let scale = (duration / 7200.0).min(1.0);
        let mut fault = |kind, device: &str, part: &str, (first, last): (f64, f64), length: f64| {
            let from = duration * random.between(first, last);
            let source = format!("{device}.{}{part}", random.pick(&LANES));
            Fault { kind, source, from, until: (from + length * scale).min(duration) }
        };
        let plate_blind = fault("sensor_blind", "anpr-a", "", (0.25, 0.30), 1200.0);
        let drift = fault("sensor_drift", "weight", "", (0.31, 0.42), 3600.0);
        let code_dead = fault("sensor_blind", "ocr", "", (0.45, 0.50), 1500.0);
        let step = fault("clock_step", "anpr-b", "", (0.53, 0.69), f64::INFINITY);
        let stuck = fault("sensor_stuck", "loop", ".l1", (0.65, 0.79), 600.0);
        let sign = |random: &mut Random| if random.chance(0.5) { 1.0 } else { -1.0 };
        let (drift_sign, step_sign) = (sign(&mut random), sign(&mut random));
        let step_s = step_sign * random.between(6.5, 9.0);
        Self { plate_blind, drift, drift_sign, code_dead, step, step_s, stuck }
    }

    pub fn tell(&self, day: &mut Day) {
        for fault in [&self.plate_blind, &self.drift, &self.code_dead, &self.step, &self.stuck] {
            day.truth.push(Truth::Anomaly {
                kind: fault.kind,
                subj: fault.source.clone(),
                t: rounded(fault.from, 3),
                t_end: Some(rounded(fault.until, 3)),
                passage: None,
            });
        }
        for (at, on) in [(self.stuck.from, true), (self.stuck.until, false)] {
            day.say(at, self.stuck.source.clone(), What::Loop { pos: "l1", on }, None);
        }
    }

    /// How much a scale is off, in kg.
    pub fn drift_kg(&self, source: &str, at: f64) -> f64 {
        if !self.drift.holds(source, at) {
            return 0.0;
        }
        self.drift_sign * DRIFT_KG.min((at - self.drift.from) * DRIFT_KG_S)
    }

    /// By how much a source's clock has been set wrong, in seconds.
    pub fn step_s(&self, source: &str, at: f64) -> f64 {
        if self.step.source == source && self.step.from <= at { self.step_s } else { 0.0 }
    }

    /// Whether a source can say anything about the world.
    pub fn can_see(&self, source: &str, at: f64) -> bool {
        ![&self.plate_blind, &self.code_dead, &self.stuck].into_iter().any(|fault| fault.holds(source, at))
    }
}

impl Fault {
    pub fn holds(&self, source: &str, at: f64) -> bool {
        self.source == source && (self.from..self.until).contains(&at)
    }
}
