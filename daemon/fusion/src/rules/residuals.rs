//! How far a scale is off, from what it measured and what was declared.

use crate::{bounds::RESIDUALS_PER_SCALE, identity::Known, passages::Passage, plates};
use alloc::{collections::VecDeque, vec::Vec};
use serde::{Deserialize, Serialize};

/// The last differences between measured and declared mass, in kilograms, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Residuals {
    last: VecDeque<f64>,
}

/// Below this a plate is too uncertain to hold a booking against its vehicle.
pub(super) const SURE_ENOUGH: f64 = 0.8;
/// So many vehicles must agree before a scale is believed to be off.
const ENOUGH: usize = 3;
/// To within so much: a scale that drifts does so by a few divisions between two vehicles.
const AGREE_KG: f64 = 700.0;
/// A scale that is off by more is broken, not off.
const MOST_BIAS_KG: f64 = 3000.0;

impl Residuals {
    pub(super) fn note(&mut self, residual: f64) {
        if self.last.len() == RESIDUALS_PER_SCALE {
            self.last.pop_front();
        }
        self.last.push_back(residual);
    }

    /// Whether the last so many were all right to within so much.
    pub(super) fn last_within(&self, vehicles: usize, kg: f64) -> bool {
        let last = self.last.iter().rev().take(vehicles);
        self.last.len() >= vehicles && last.into_iter().all(|residual| libm::fabs(*residual) < kg)
    }

    /// How far the scale is off: the middle of the last few, which one wrong load does not move.
    pub(super) fn bias(&self) -> f64 {
        if self.last.len() < ENOUGH {
            return 0.0;
        }
        let mut sorted: Vec<f64> = self.last.iter().rev().take(5).copied().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        // Loads that are wrong are each wrong by their own amount.
        let agree = sorted.iter().filter(|residual| libm::fabs(**residual - middle) < AGREE_KG).count();
        if agree < ENOUGH || libm::fabs(middle) > MOST_BIAS_KG { 0.0 } else { middle }
    }
}

/// Measured and declared mass of a vehicle whose booking is known well enough: of two bookings the one that fits best.
pub(super) fn masses(passage: &Passage, known: &Known, bias: f64) -> Option<(f64, f64)> {
    let measured = passage.mass.as_ref()?.kg;
    let booking = known.booking.as_ref().and_then(|(booking, _)| booking.plate.as_clear())?;
    let sure = known
        .plate
        .as_ref()
        .is_some_and(|plate| plate.probability >= SURE_ENOUGH && plates::same(&plate.best, booking));
    let off = |declared: &f64| off(measured, *declared, bias);
    let declared = known.declared_kg.iter().copied().min_by(|a, b| off(a).total_cmp(&off(b)))?;
    sure.then_some((measured, declared))
}

/// How far the measured mass is from the declared one, on a scale that is off as lately; or is right again, because somebody
/// saw to it.
pub(super) fn off(measured: f64, declared: f64, bias: f64) -> f64 {
    let as_it_is = libm::fabs(measured - declared);
    if as_it_is < EXACT_KG { as_it_is } else { libm::fabs(measured - bias - declared) }
}

/// Nobody's load is wrong by what a scale happens to be off by, to within a few of its divisions.
const EXACT_KG: f64 = 200.0;
