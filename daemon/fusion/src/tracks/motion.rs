//! How things move: two models, and how much each is believed.
//!
//! What moves in a port goes straight for most of the time and turns, brakes or starts for a few seconds. One Kalman filter
//! cannot do both well: one that follows a braking truck lets every error of a radar through while it drives straight. So
//! each track has two constant-velocity filters (white-noise acceleration; Bar-Shalom, Li, Kirubarajan, *Estimation with
//! Applications to Tracking and Navigation*, 2001, section 6.2.2), one for *steady* and one for *turning*, that exchange
//! what they know as an interacting multiple model (Blom and Bar-Shalom, IEEE TAC 33(8), 1988). How strongly each moves by
//! itself depends on what the track is taken for.

use super::measure::{CLASSES, Measurement};
use serde::{Deserialize, Serialize};

/// Metres and metres per second: x, y, x', y'.
pub(crate) type State = [f64; 4];

/// Upper triangle of the covariance, row by row: xx, xy, xx', xy', yy, yx', yy', x'x', x'y', y'y'.
pub(crate) type Covariance = [f64; 10];

const XX: usize = 0;
const XY: usize = 1;
const XU: usize = 2;
const XV: usize = 3;
const YY: usize = 4;
const YU: usize = 5;
const YV: usize = 6;
const UU: usize = 7;
const UV: usize = 8;
const VV: usize = 9;

/// One model's view of where a thing is and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gaussian {
    pub(crate) mean: State,
    pub(crate) cov: Covariance,
}

/// Both models' views.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Motion {
    /// Steady, then turning.
    pub(crate) models: [Gaussian; 2],
    /// Probability that it is turning.
    pub(crate) turning: f64,
}

/// How things of one class move by themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Spectral density of the acceleration while steady and while turning, in m²/s³.
    density: [f64; 2],
    /// Mean duration of going steadily and of turning, in seconds.
    lasts: [f64; 2],
}

/// Person, vehicle, vessel, and anything else. A person turns on the spot (1.4 m/s in about a second); a terminal vehicle
/// brakes with 2 m/s² and starts with 1 m/s²; a launch turns within seconds, a ship never does, which the steady model
/// follows. What is not known may be any of them.
const MANNERS: [Manner; CLASSES] = [
    Manner { density: [0.004, 0.25], lasts: [30.0, 4.0] },
    Manner { density: [0.006, 3.0], lasts: [18.0, 7.0] },
    Manner { density: [0.006, 1.5], lasts: [30.0, 7.0] },
    Manner { density: [0.01, 2.0], lasts: [20.0, 5.0] },
];

impl Manner {
    /// The manner of something that is each class with this probability.
    pub(crate) fn of(classes: &[f64; CLASSES]) -> Self {
        let mut all = Self { density: [0.0; 2], lasts: [0.0; 2] };
        for (manner, share) in MANNERS.iter().zip(classes) {
            for model in 0..2 {
                all.density[model] += share * manner.density[model];
                all.lasts[model] += share * manner.lasts[model];
            }
        }
        all
    }
}

impl Gaussian {
    /// Moves it by a time in seconds with an acceleration density in m²/s³.
    pub(crate) fn predict(&mut self, seconds: f64, density: f64) {
        let (t, p) = (seconds, &mut self.cov);
        self.mean[0] += t * self.mean[2];
        self.mean[1] += t * self.mean[3];
        let (q1, q2, q3) = (density * t, density * t * t / 2.0, density * t * t * t / 3.0);
        p[XX] += t * (2.0 * p[XU] + t * p[UU]) + q3;
        p[XY] += t * (p[XV] + p[YU] + t * p[UV]);
        p[YY] += t * (2.0 * p[YV] + t * p[VV]) + q3;
        p[XU] += t * p[UU] + q2;
        p[XV] += t * p[UV];
        p[YU] += t * p[UV];
        p[YV] += t * p[VV] + q2;
        p[UU] += q1;
        p[VV] += q1;
    }

    /// Where it is and how surely: x, y and the covariance [xx, xy, yy].
    pub(crate) fn position(&self) -> ([f64; 2], [f64; 3]) {
        ([self.mean[0], self.mean[1]], [self.cov[XX], self.cov[XY], self.cov[YY]])
    }

    /// How far a measurement is from what was expected, and how surely that is known.
    pub(crate) fn innovation(&self, measured: &Measurement) -> Innovation {
        let s = [self.cov[XX] + measured.cov[0], self.cov[XY] + measured.cov[1], self.cov[YY] + measured.cov[2]];
        let inverse = 1.0 / (s[0] * s[2] - s[1] * s[1]);
        let e = [measured.at[0] - self.mean[0], measured.at[1] - self.mean[1]];
        let squared = (s[2] * e[0] * e[0] - 2.0 * s[1] * e[0] * e[1] + s[0] * e[1] * e[1]) * inverse;
        Innovation { e, s, inverse, squared }
    }

    /// Kalman update with a mean innovation `e`, of which the share `told` comes from measurements like `one` (the rest says
    /// nothing), and with the spread of the measurements that were averaged (probabilistic data association;
    /// Bar-Shalom and Li, *Multitarget-Multisensor Tracking*, 1995, section 3.4).
    pub(crate) fn update(&mut self, one: &Innovation, e: &[f64; 2], told: f64, spread: &[f64; 3]) {
        let (p, s, inverse) = (&self.cov, &one.s, one.inverse);
        // Gain: P H' S^-1, one row per state.
        let gain = |x: f64, y: f64| [(x * s[2] - y * s[1]) * inverse, (y * s[0] - x * s[1]) * inverse];
        let k = [gain(p[XX], p[XY]), gain(p[XY], p[YY]), gain(p[XU], p[YU]), gain(p[XV], p[YV])];
        for (mean, k) in self.mean.iter_mut().zip(&k) {
            *mean += k[0] * e[0] + k[1] * e[1];
        }
        // K (spread - told S) K'
        let m = [spread[0] - told * s[0], spread[1] - told * s[1], spread[2] - told * s[2]];
        let mut index = 0;
        for row in 0..4 {
            let a = [k[row][0] * m[0] + k[row][1] * m[1], k[row][0] * m[1] + k[row][1] * m[2]];
            for k in &k[row..] {
                self.cov[index] += a[0] * k[0] + a[1] * k[1];
                index += 1;
            }
        }
    }

    /// The Gaussian with the mean and covariance of a mixture of two.
    fn mixed(a: &Self, b: &Self, share_of_a: f64) -> Self {
        let share_of_b = 1.0 - share_of_a;
        let both = share_of_a * share_of_b;
        let (mut mean, mut apart, mut cov) = ([0.0; 4], [0.0; 4], [0.0; 10]);
        for i in 0..4 {
            mean[i] = share_of_a * a.mean[i] + share_of_b * b.mean[i];
            apart[i] = a.mean[i] - b.mean[i];
        }
        let mut index = 0;
        for row in 0..4 {
            for column in row..4 {
                cov[index] = share_of_a * a.cov[index] + share_of_b * b.cov[index] + both * apart[row] * apart[column];
                index += 1;
            }
        }
        Self { mean, cov }
    }
}

/// How far a measurement is from what was expected.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Innovation {
    /// Metres.
    pub(crate) e: [f64; 2],
    /// Its covariance [xx, xy, yy].
    pub(crate) s: [f64; 3],
    /// One over its determinant.
    pub(crate) inverse: f64,
    /// Squared Mahalanobis distance.
    pub(crate) squared: f64,
}

impl Innovation {
    /// Density of the measurement, per m².
    pub(crate) fn likelihood(&self) -> f64 {
        libm::exp(-0.5 * self.squared) * libm::sqrt(self.inverse) * (0.5 * core::f64::consts::FRAC_1_PI)
    }
}

impl Motion {
    /// Something first measured at a place, that moves at an unknown speed.
    pub(crate) fn at(measured: &Measurement, speed_sd: f64) -> Self {
        let speed = speed_sd * speed_sd;
        let [xx, xy, yy] = measured.cov;
        let cov = [xx, xy, 0.0, 0.0, yy, 0.0, 0.0, speed, 0.0, speed];
        let one = Gaussian { mean: [measured.at[0], measured.at[1], 0.0, 0.0], cov };
        Self { models: [one, one], turning: 0.3 }
    }

    /// Moves it by a time in seconds: exchange, then each model's own step.
    pub(crate) fn predict(&mut self, seconds: f64, manner: &Manner) {
        if seconds <= 0.0 {
            return;
        }
        let turns = seconds / (seconds + manner.lasts[0]);
        let steadies = seconds / (seconds + manner.lasts[1]);
        let (steady, turning) = (1.0 - self.turning, self.turning);
        let next = [steady * (1.0 - turns) + turning * steadies, steady * turns + turning * (1.0 - steadies)];
        let [one, other] = self.models;
        self.models[0] = Gaussian::mixed(&one, &other, steady * (1.0 - turns) / next[0]);
        self.models[1] = Gaussian::mixed(&one, &other, steady * turns / next[1]);
        self.turning = next[1];
        self.models[0].predict(seconds, manner.density[0]);
        self.models[1].predict(seconds, manner.density[1]);
    }

    /// Where it is taken to be: the mean over both models.
    pub(crate) fn mean(&self) -> State {
        let (a, b) = (&self.models[0].mean, &self.models[1].mean);
        core::array::from_fn(|i| (1.0 - self.turning) * a[i] + self.turning * b[i])
    }

    /// Mean and covariance over both models.
    pub(crate) fn whole(&self) -> Gaussian {
        Gaussian::mixed(&self.models[0], &self.models[1], 1.0 - self.turning)
    }
}
