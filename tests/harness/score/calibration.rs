//! Whether a probability says what it should: of the things said with 0.9, nine in ten are so.

use serde::Serialize;

const BINS: usize = 10;

/// How far stated probabilities are off what happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error over ten bins of equal width: the mean distance between what was stated and what happened in
    /// each bin, weighted with how much is in it.
    pub ece: f64,
    /// Mean square of the difference between what was stated and what happened.
    pub brier: f64,
}

/// Of pairs of what was stated and whether it was so; `None` of none. What is stated must be 0 to 1.
pub fn calibration(stated: &[(f64, bool)]) -> Option<Calibration> {
    if stated.is_empty() {
        return None;
    }
    let count = stated.len() as f64;
    let mut bins = [(0.0, 0.0); BINS];
    for (probability, so) in stated {
        let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += probability;
        bin.1 += f64::from(u8::from(*so));
    }
    // A bin's weight is its share of all, so that the size of the bin cancels out.
    let ece = bins.iter().map(|(stated, so)| (stated - so).abs() / count).sum();
    let brier = stated.iter().map(|(stated, so)| (stated - f64::from(u8::from(*so))).powi(2)).sum::<f64>() / count;
    Some(Calibration { ece, brier })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_nothing_of_nothing() {
        assert_eq!(calibration(&[]), None);
    }

    #[test]
    fn whoever_states_certainty_and_is_wrong_half_the_time_is_off_by_a_half() {
        let stated = [(1.0, true), (1.0, false)];
        assert_eq!(calibration(&stated), Some(Calibration { ece: 0.5, brier: 0.5 }));
    }

    #[test]
    fn errors_within_a_bin_cancel_out_and_between_bins_do_not() {
        // In one bin: stated 0.75 + 0.75, so once: off by 0.25. In two bins: |0.05 - 1| / 2 + |0.95 - 0| / 2.
        let one = calibration(&[(0.75, true), (0.75, false)]).unwrap();
        assert!((one.ece - 0.25).abs() < 1e-12 && (one.brier - 0.3125).abs() < 1e-12, "{one:?}");
        let two = calibration(&[(0.05, true), (0.95, false)]).unwrap();
        assert!((two.ece - 0.95).abs() < 1e-12 && (two.brier - 0.9025).abs() < 1e-12, "{two:?}");
    }
}
