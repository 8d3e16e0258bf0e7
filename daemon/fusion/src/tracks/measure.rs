//! What a sensor measured, as a place in the site's grid.
//!
//! Polar measurements are converted with the covariance that range and bearing errors have there, unbiased to second order
//! (Longbin, Xiaoquan, Yiyu, Kang, Bar-Shalom, IEEE TAES 34(3), 1998): after that a radar and a camera are the same kind of
//! witness.

use super::geometry::Point;
use quaywatch_schemas::{
    observation::{Cooperative, DetectedPosition, Detection, ObjectClass},
    site::{Grid, Mount},
};
use serde::{Deserialize, Serialize};

/// Person, vehicle, vessel, anything else.
pub(crate) const CLASSES: usize = 4;

/// One measured place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// Metres in the site's grid.
    pub(crate) at: [f64; 2],
    /// m²: [xx, xy, yy].
    pub(crate) cov: [f64; 3],
    /// What it is taken for, if the sensor says.
    pub(crate) class: Option<u8>,
    /// How much likelier the sensor's own score is for something real than for nothing.
    pub(crate) score: f64,
}

/// A detector is right about the class so often; 0.9 is what current detectors reach on their own test sets at the
/// distances of a quay. The rest is shared evenly.
const RIGHT_CLASS: f64 = 0.88;
const WRONG_CLASS: f64 = (1.0 - RIGHT_CLASS) / (CLASSES as f64 - 1.0);
/// No sensor of ours is better than this, in m²: 0.1 m.
const LEAST_VARIANCE: f64 = 0.01;
/// The score from which on detectors report by themselves, in odds.
const USUAL_ODDS: f64 = 0.7 / 0.3;
/// A score is no probability: it may say this much against or for being real, no more.
const SCORE_COUNTS: (f64, f64) = (0.1, 3.0);
/// WGS 84.
const EQUATORIAL_RADIUS: f64 = 6_378_137.0;
const ECCENTRICITY_SQUARED: f64 = 6.694_379_990_14e-3;
/// How exact a vessel's own word is, in metres: ITU-R M.1371 calls 10 m accurate, and the antenna is not the middle.
const COOPERATIVE_SD: f64 = 10.0;

impl Measurement {
    /// A detection as a place. `None` if it has none, or one that cannot be: a polar one from a sensor nobody has placed, a
    /// negative range, an error that is none.
    pub(crate) fn of(detection: &Detection, mount: Option<&Mount>) -> Option<Self> {
        let (at, [xx, xy, yy]) = match detection.position.as_ref()? {
            DetectedPosition::Cartesian { x, y, covariance } => {
                ([x.get(), y.get()], [covariance[0].get(), covariance[1].get(), covariance[2].get()])
            }
            DetectedPosition::Polar { range, bearing, range_sd, bearing_sd } => {
                from_polar(range.get(), bearing.get(), range_sd.get(), bearing_sd.get(), mount?)?
            }
        };
        let (xx, yy) = (xx + LEAST_VARIANCE, yy + LEAST_VARIANCE);
        // Written so that what is not a number fails too.
        let can_be =
            xx > 0.0 && yy > 0.0 && xx * yy - xy * xy > 0.0 && xx + yy < 1e8 && at[0].abs() + at[1].abs() < 1e7;
        let odds = detection.confidence.map_or(1.0, |score| {
            let score = score.get().clamp(0.01, 0.99);
            (score / (1.0 - score) / USUAL_ODDS).clamp(SCORE_COUNTS.0, SCORE_COUNTS.1)
        });
        can_be.then_some(Self { at, cov: [xx, xy, yy], class: class_index(detection.class), score: odds })
    }

    /// A vessel's own word.
    pub(crate) fn of_cooperative(word: &Cooperative, grid: &Grid) -> Self {
        let (x, y) = place(grid, word.latitude.get(), word.longitude.get());
        let variance = COOPERATIVE_SD * COOPERATIVE_SD;
        Self { at: [x, y], cov: [variance, 0.0, variance], class: class_index(ObjectClass::Vessel), score: 1.0 }
    }

    /// How likely what the sensor takes it for is, for something of each class, compared with nothing real being there.
    pub(crate) fn class_likelihood(&self) -> [f64; CLASSES] {
        match self.class {
            // A detector that is wrong about something being there calls it anything.
            Some(class) => {
                let mut each = [WRONG_CLASS * CLASSES as f64; CLASSES];
                each[usize::from(class) % CLASSES] = RIGHT_CLASS * CLASSES as f64;
                each
            }
            None => [1.0; CLASSES],
        }
    }
}

/// Where a class stands in a track's posterior; `None` for a sensor that does not tell classes.
fn class_index(class: ObjectClass) -> Option<u8> {
    match class {
        ObjectClass::Person => Some(0),
        ObjectClass::Vehicle => Some(1),
        ObjectClass::Vessel => Some(2),
        ObjectClass::Animal => Some(3),
        ObjectClass::Other => None,
    }
}

fn from_polar(range: f64, bearing: f64, range_sd: f64, bearing_sd: f64, mount: &Mount) -> Option<([f64; 2], [f64; 3])> {
    if range < 0.0 || range_sd < 0.0 || !(0.0..1.0).contains(&bearing_sd) {
        return None;
    }
    let angle = mount.facing_deg.to_radians() - bearing;
    let (sin, cos) = libm::sincos(angle);
    // A bearing that errs both ways shortens the mean by exp(-sd²/2).
    let along = range * libm::exp(bearing_sd * bearing_sd / 2.0);
    let (a, b) = (range_sd * range_sd, range * range * bearing_sd * bearing_sd);
    let cov = [a * cos * cos + b * sin * sin, (a - b) * sin * cos, a * sin * sin + b * cos * cos];
    Some(([mount.x + along * cos, mount.y + along * sin], cov))
}

/// Degrees to metres in the grid, on the plane that touches the ellipsoid at its origin.
pub(crate) fn place(grid: &Grid, latitude: f64, longitude: f64) -> Point {
    let (sin, cos) = libm::sincos(grid.latitude.to_radians());
    let curve = 1.0 - ECCENTRICITY_SQUARED * sin * sin;
    let east_radius = EQUATORIAL_RADIUS / libm::sqrt(curve);
    let north_radius = east_radius * (1.0 - ECCENTRICITY_SQUARED) / curve;
    // The short way round, also over the date line.
    let turn = longitude - grid.longitude;
    let turn = turn - 360.0 * libm::round(turn / 360.0);
    let (east, north) = (turn.to_radians() * east_radius * cos, (latitude - grid.latitude).to_radians() * north_radius);
    // The x axis points along its compass bearing, the y axis a quarter turn to the left.
    let (sin, cos) = libm::sincos(grid.x_axis_deg.to_radians());
    (east * sin + north * cos, north * sin - east * cos)
}
