//! Wind, and what it does to ships and fences. Functions of time: asked twice for the same moment they say the same.

use super::random::Random;
use std::{f64::consts::TAU, time::Duration};

/// Wind speed at the berth in m/s: a fresh breeze that swells over minutes, with gusts of some seconds.
pub(super) fn wind(seed: u64, at: Duration) -> f64 {
    let t = at.as_secs_f64();
    let swell = 9.0 + 1.5 * (TAU * t / 240.0 + phase(seed, "swell")).sin();
    let gusts = 1.2 * (TAU * t / 17.0 + phase(seed, "gusts")).sin() + 0.6 * (TAU * t / 5.3).sin();
    swell + gusts
}

/// Load of a mooring line that nothing happens to, in kN: pretension, and the ship's slow movement.
pub(super) fn resting_load(seed: u64, line: u64, at: Duration) -> f64 {
    let t = at.as_secs_f64();
    let mut random = Random::of(seed, "mooring", line);
    let (pretension, turn) = (random.between(95.0, 125.0), random.between(0.0, TAU));
    let noise = Random::of(seed, "load cell", line << 40 | (t * 4.0) as u64).between(-1.0, 1.0);
    pretension + 4.0 * (TAU * t / 13.0 + turn).sin() + noise
}

/// Acceleration of the fence in m/s² at a moment, without anybody at it: the wind shakes it a little, and its mean is what
/// gravity leaves in the sensor's axis.
pub(super) fn fence_at_rest(seed: u64, at: Duration) -> f64 {
    let shake = Random::of(seed, "fence", at.as_millis() as u64).between(-1.0, 1.0);
    0.12 + 0.01 * wind(seed, at) * shake
}

fn phase(seed: u64, what: &str) -> f64 {
    Random::of(seed, what, 0).between(0.0, TAU)
}
