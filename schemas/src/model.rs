//! What a site has learned and a person has put in force: rates of sensors by light, and what scores have turned out to mean.
//!
//! A [`Model`] is frozen: it is put together from counts and verdicts, proposed, read by a person and adopted by a control
//! record ([`crate::Control::RatesAdopted`]). Nothing in it changes afterwards; a situation names the one it was concluded
//! with.

use crate::{names::SensorId, site::Rates};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A frozen set of rates and calibrations. Empty means: as the site file says, and scores as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Model {
    /// Rates of sensors. Bounded by the site file.
    pub rates: BTreeMap<SensorId, LearnedRates>,
    /// Calibration of kinds of situation; a kind that is not here is not calibrated.
    pub calibration: BTreeMap<String, Calibration>,
}

/// What a sensor's word has turned out to be worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedRates {
    /// What the site file said when it was learned. Where the file says something else now, somebody has changed the sensor
    /// or knows better, and the file holds.
    pub instead_of: Rates,
    /// By day, if enough was seen.
    pub day: Option<Rates>,
    /// By night, if enough was seen.
    pub night: Option<Rates>,
}

impl LearnedRates {
    /// Those for one kind of light.
    pub fn of(&self, night: bool) -> Option<Rates> {
        if night { self.night } else { self.day }
    }
}

/// What a score means: from log-odds to the probability that people found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Calibration {
    /// The score is taken at its word.
    #[default]
    Identity,
    /// Platt's two parameters: the probability is the logistic of `slope * log_odds + offset`.
    Platt {
        /// Below 1: the scores were too sure.
        slope: f64,
        /// Below 0: the scores were too high.
        offset: f64,
    },
    /// Log-odds and probability, both rising, from isotonic regression: linear between them, level beyond the first and the
    /// last. At most [`MOST_KNOTS`].
    Isotonic {
        /// The points.
        knots: Vec<(f64, f64)>,
    },
}

/// The most points of an isotonic calibration.
pub const MOST_KNOTS: usize = 32;

impl Calibration {
    /// The calibrated probability of a score, always in 0 to 1 and never falling where the score rises. Parameters that
    /// cannot be (not finite, a slope below 0, no knots) are as good as none.
    pub fn probability(&self, log_odds: f64) -> f64 {
        match self {
            Self::Platt { slope, offset } if slope.is_finite() && *slope >= 0.0 && offset.is_finite() => {
                logistic(slope * log_odds + offset)
            }
            Self::Isotonic { knots } => interpolate(knots, log_odds).unwrap_or_else(|| logistic(log_odds)),
            _ => logistic(log_odds),
        }
    }

    /// Its name: `identity`, `platt`, `isotonic`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Platt { .. } => "platt",
            Self::Isotonic { .. } => "isotonic",
        }
    }
}

fn interpolate(knots: &[(f64, f64)], at: f64) -> Option<f64> {
    let after = knots.iter().position(|(x, _)| *x >= at);
    let p = match (after, knots.last()) {
        (_, None) => return None,
        (None, Some((_, last))) => *last,
        (Some(0), _) => knots.first()?.1,
        (Some(index), _) => {
            let (&(x0, p0), &(x1, p1)) = (knots.get(index - 1)?, knots.get(index)?);
            let share = if x1 > x0 { (at - x0) / (x1 - x0) } else { 1.0 };
            p0 + (p1 - p0) * share
        }
    };
    p.is_finite().then_some(p.clamp(0.0, 1.0))
}

/// The probability of log-odds.
pub fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-log_odds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_calibration_never_falls_and_stays_a_probability() {
        let all = [
            Calibration::Identity,
            Calibration::Platt { slope: 0.6, offset: -0.8 },
            Calibration::Isotonic { knots: vec![(-2.0, 0.1), (0.0, 0.1), (1.5, 0.6), (4.0, 0.95)] },
            Calibration::Platt { slope: f64::NAN, offset: 0.0 },
            Calibration::Platt { slope: -1.0, offset: 0.0 },
            Calibration::Isotonic { knots: Vec::new() },
        ];
        for calibration in all {
            let scores = (-200..=200).map(|step| f64::from(step) / 10.0);
            let found: Vec<f64> = scores.map(|log_odds| calibration.probability(log_odds)).collect();
            assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{calibration:?}");
            assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{calibration:?}");
        }
    }

    #[test]
    fn between_knots_it_is_linear_and_beyond_them_level() {
        let isotonic = Calibration::Isotonic { knots: vec![(0.0, 0.2), (2.0, 0.8)] };
        for (log_odds, p) in [(-9.0, 0.2), (0.0, 0.2), (1.0, 0.5), (2.0, 0.8), (9.0, 0.8)] {
            assert!((isotonic.probability(log_odds) - p).abs() < 1e-12, "{log_odds}");
        }
    }
}
