//! The band that counts: two second-order Butterworth sections, high-pass and low-pass.
//!
//! Coefficients by R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients" (W3C note
//! *Audio EQ Cookbook*, 2021), with Q = 1/√2: 3 dB down at the corner, 12 dB per octave beyond. Transposed direct form II,
//! which rounds least in `f32`.

use core::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI};

/// Lets through what swings within the band.
#[derive(Debug, Clone)]
pub(super) struct Band {
    high_pass: Option<Biquad>,
    low_pass: Option<Biquad>,
    /// Where it began. Only what differs from it is filtered: gravity neither rings nor costs digits.
    rest: Option<f32>,
}

#[derive(Debug, Clone)]
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    z: [f32; 2],
}

impl Band {
    /// From `low_hz` to `high_hz` at `rate_hz`. No high-pass at 0, no low-pass close to half the rate, where nothing is left
    /// to take away.
    pub(super) fn new(low_hz: f32, high_hz: f32, rate_hz: f32) -> Self {
        let turn = |corner: f32| 2.0 * PI * f64::from(corner) / f64::from(rate_hz);
        Self {
            high_pass: (low_hz > 0.0).then(|| Biquad::high_pass(turn(low_hz))),
            low_pass: (high_hz < 0.48 * rate_hz).then(|| Biquad::low_pass(turn(high_hz))),
            rest: None,
        }
    }

    /// The next sample, filtered.
    pub(super) fn after(&mut self, sample: f32) -> f32 {
        let swing = sample - *self.rest.get_or_insert(sample);
        let sections = [&mut self.high_pass, &mut self.low_pass];
        sections.into_iter().flatten().fold(swing, |swing, section| section.after(swing))
    }

    /// Forgets what was before a pause.
    pub(super) fn restart(&mut self) {
        self.rest = None;
        for section in [&mut self.high_pass, &mut self.low_pass].into_iter().flatten() {
            section.z = [0.0; 2];
        }
    }
}

impl Biquad {
    fn high_pass(turn: f64) -> Self {
        // 1 + cos, and 1 - cos below: by the half angle, without taking nearly equal numbers from each other.
        let half = cos(turn / 2.0);
        Self::with(turn, 2.0 * half * half, -1.0)
    }

    fn low_pass(turn: f64) -> Self {
        let half = sin(turn / 2.0);
        Self::with(turn, 2.0 * half * half, 1.0)
    }

    fn with(turn: f64, gain: f64, sign: f64) -> Self {
        let (half_sin, half_cos) = (sin(turn / 2.0), cos(turn / 2.0));
        let alpha = 2.0 * half_sin * half_cos * FRAC_1_SQRT_2;
        let a0 = 1.0 + alpha;
        let outer = (gain / 2.0 / a0) as f32;
        let inner = (sign * gain / a0) as f32;
        let a = [(-2.0 * (1.0 - 2.0 * half_sin * half_sin) / a0) as f32, ((1.0 - alpha) / a0) as f32];
        Self { b: [outer, inner, outer], a, z: [0.0; 2] }
    }

    fn after(&mut self, input: f32) -> f32 {
        let output = self.b[0] * input + self.z[0];
        self.z[0] = self.b[1] * input - self.a[0] * output + self.z[1];
        self.z[1] = self.b[2] * input - self.a[1] * output;
        output
    }
}

/// Of an angle of 0 to a quarter of a turn, by the Taylor series: its tenth term is below 1e-12 there. libm's takes any
/// angle, and 5 KB of flash for that.
fn sin(angle: f64) -> f64 {
    let (mut term, mut sum) = (angle, angle);
    for n in 1..10 {
        term *= -angle * angle / f64::from(2 * n * (2 * n + 1));
        sum += term;
    }
    sum
}

fn cos(angle: f64) -> f64 {
    sin(FRAC_PI_2 - angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_of_all_angles_that_occur_are_what_libm_says() {
        for step in 0..=1_000 {
            let angle = FRAC_PI_2 * f64::from(step) / 1_000.0;
            assert!((sin(angle) - libm::sin(angle)).abs() < 1e-12 && (cos(angle) - libm::cos(angle)).abs() < 1e-12);
        }
    }

    /// What is left of a swing of 1 on top of gravity, once the filter has forgotten its beginning.
    fn gain(band: &Band, hz: f32, rate_hz: f32) -> f32 {
        let mut band = band.clone();
        let samples = (rate_hz * 20.0) as u32;
        let swing = |n: u32| libm::sin(2.0 * PI * f64::from(hz) * f64::from(n) / f64::from(rate_hz)) as f32;
        let filtered = (0..samples).map(|n| (n, band.after(9.81 + swing(n))));
        let squares: f32 = filtered.filter(|(n, _)| *n >= samples / 2).map(|(_, value)| value * value).sum();
        libm::sqrtf(squares / (samples / 2) as f32 * 2.0)
    }

    #[test]
    fn what_is_within_the_band_passes_its_corners_are_3_db_down_and_an_octave_beyond_12() {
        let band = Band::new(2.0, 40.0, 200.0);
        for (hz, least, most) in [
            (9.0, 0.98, 1.02),
            (2.0, 0.69, 0.73),
            (40.0, 0.69, 0.73),
            (1.0, 0.2, 0.27),
            // The bilinear transform brings the upper end down further.
            (80.0, 0.03, 0.08),
            (0.2, 0.0, 0.02),
        ] {
            let gain = gain(&band, hz, 200.0);
            assert!((least..=most).contains(&gain), "{hz} Hz: {gain}");
        }
    }

    #[test]
    fn gravity_leaves_no_trace_from_the_first_sample_on_and_after_a_pause() {
        let mut band = Band::new(2.0, 40.0, 200.0);
        assert!((0..1_000).all(|_| band.after(-9.81) == 0.0));
        band.after(9.81);
        band.restart();
        assert!((0..1_000).all(|_| band.after(9.81) == 0.0), "it was turned over meanwhile");
    }

    proptest::proptest! {
        #[test]
        fn no_filter_that_can_be_asked_for_grows_beyond_what_comes_in(
            every_ms in 1u32..=20,
            low in 0.0f32..1.0,
            high in 0.0f32..=1.0,
            samples in proptest::collection::vec(-157.0f32..157.0, 1..2_000),
        ) {
            let rate = 1_000.0 / every_ms as f32;
            // As settings have them: at least a thousandth of the rate, or no high-pass.
            let high_hz = (high * rate / 2.0).max(rate / 1_000.0);
            let low_hz = if low < 0.1 { 0.0 } else { (low * high_hz).max(rate / 1_000.0) };
            let mut band = Band::new(low_hz, high_hz, rate);
            for sample in samples {
                let filtered = band.after(sample);
                // A swing is at most from one end of the range to the other. What a section makes of it is bounded by the sum
                // over its impulse response: below 3 for a high-pass, below 1.3 for a low-pass.
                proptest::prop_assert!(filtered.abs() < 314.0 * 4.0, "{}", filtered);
            }
        }
    }
}
