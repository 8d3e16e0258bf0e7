//! One thing that moves, and what one measurement more changes about it.
//!
//! Association weighs places; the two models of a track each weigh them again for themselves (`motion.rs`), and what a thing
//! is taken for follows from what detectors call it.

use super::{
    associate::Pair,
    geometry::Point,
    history::Entry,
    measure::{CLASSES, Measurement},
    motion::{Gaussian, Innovation, Manner, Motion},
    scene::Desk,
};
use crate::bounds::SENSORS_PER_TRACK;
use serde::{Deserialize, Serialize};

/// A moving thing with uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The measurement it began with: its name, the same whenever the history is gone through again.
    pub(crate) born: Born,
    /// Nanoseconds of gateway time its motion is of.
    pub(crate) at: i64,
    pub(crate) motion: Motion,
    /// Mean of the motion and the larger standard deviations of place and speed.
    pub(crate) mean: [f64; 4],
    pub(crate) sd: f64,
    pub(super) speed_sd: f64,
    /// Probability that it is there.
    pub(crate) existence: f64,
    /// Whether it was ever sure enough to be shown.
    pub(crate) confirmed: bool,
    pub(crate) classes: [f64; CLASSES],
    /// The scan that last showed it.
    pub(crate) seen: i64,
    pub(crate) hits: u32,
    /// Its name where it is shown. Follows from where it began, and is looked up again where it is zero.
    #[serde(skip)]
    pub(crate) number: u64,
    /// The newest record of each sensor that showed it, oldest first; [`Witness::NONE`] where there were fewer.
    pub(crate) witnesses: [Witness; SENSORS_PER_TRACK],
    /// The vessel's name and when it last spoke.
    pub(crate) vessel: Option<(u32, i64)>,
}

/// The measurement a track began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Born {
    pub(crate) at: i64,
    pub(crate) sensor: u16,
    pub(crate) index: u16,
}

/// A record that showed a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    /// The sensor's place among the watchers.
    pub(crate) sensor: u16,
    pub(crate) record: u64,
}

impl Witness {
    /// No record. Never a sensor: there are not so many.
    pub(crate) const NONE: Self = Self { sensor: u16::MAX, record: 0 };
}

/// A measurement that no track explains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Seed {
    pub(super) born: Born,
    pub(super) measured: Measurement,
    /// Odds that it is something real.
    pub(super) odds: f64,
    pub(super) record: u64,
}

/// Things leave, or are no longer told from what stands around, once in this many seconds: minutes are usual on a quay.
const STAYS: f64 = 200.0;
/// Standard deviation of the speed of something just found, in m/s along each axis, and how often: mostly people, trucks and
/// harbour craft; now and then a car or a boat at 40 knots.
pub(super) const SPEEDS: [(f64, f64); 2] = [(3.0, 0.9), (10.0, 0.1)];
/// How strongly something just found may turn, as the density of its acceleration in m²/s³.
const FOUND_TURNING: f64 = 0.5;
/// Gate, as squared Mahalanobis distance: 1 in 3,000 measurements of a thing falls outside.
pub(super) const GATE: f64 = 16.0;
/// The same between a seed and a second measurement, of which there are many.
pub(super) const SEED_GATE: f64 = 9.0;
/// A track is confirmed from this probability on, after two measurements at least.
const CONFIRMED: f64 = 0.8;
/// Below this it is forgotten: four misses of a radar that sees nine of ten.
const FORGOTTEN: f64 = 0.002;
pub(super) const FORGOTTEN_TENTATIVE: f64 = 0.05;
/// A place known no better than this, in metres, is no place.
const LOST_SD: f64 = 25.0;

impl Seed {
    /// How likely a thing that made the seed makes this measurement so many seconds later, per m², and the speed that explains
    /// it best, as a standard deviation. `None` if no speed does.
    pub(super) fn leads_to(&self, measured: &Measurement, seconds: f64) -> Option<(f64, f64)> {
        let (mut all, mut best) = (0.0, (0.0, None));
        for (speed, share) in SPEEDS {
            let mut one = Motion::at(&self.measured, speed).models[0];
            one.predict(seconds, FOUND_TURNING);
            let innovation = one.innovation(measured);
            if innovation.squared <= SEED_GATE {
                let likelihood = share * innovation.likelihood();
                all += likelihood;
                if likelihood > best.0 {
                    best = (likelihood, Some(speed));
                }
            }
        }
        best.1.map(|speed| (all, speed))
    }
}

impl Track {
    /// A seed and a second measurement of the same thing.
    pub(super) fn new(seed: &Seed, measured: &Measurement, entry: &Entry, existence: f64) -> Self {
        let seconds = seconds(entry.at - seed.born.at);
        let speed = seed.leads_to(measured, seconds).map_or(SPEEDS[0].0, |(_, speed)| speed);
        let mut motion = Motion::at(&seed.measured, speed);
        for model in &mut motion.models {
            model.predict(seconds, FOUND_TURNING);
            let innovation = model.innovation(measured);
            model.update(&innovation, &innovation.e, 1.0, &[0.0; 3]);
        }
        let mut track = Self {
            born: seed.born,
            at: entry.at,
            motion,
            mean: [0.0; 4],
            sd: 0.0,
            speed_sd: 0.0,
            existence,
            confirmed: false,
            classes: [1.0 / CLASSES as f64; CLASSES],
            seen: entry.at,
            hits: 1,
            number: 0,
            witnesses: [Witness::NONE; SENSORS_PER_TRACK],
            vessel: None,
        };
        track.witness(Witness { sensor: seed.born.sensor, record: seed.record });
        track.classify(&seed.measured.class_likelihood(), 1.0);
        track.classify(&measured.class_likelihood(), 1.0);
        track.note(entry);
        track.settle();
        track
    }

    /// Whether it is still worth following.
    pub(super) fn is_believed(&self) -> bool {
        let least = if self.confirmed { FORGOTTEN } else { FORGOTTEN_TENTATIVE };
        self.existence >= least && self.sd <= LOST_SD
    }

    /// Where it is at another time, going on as it does.
    pub(crate) fn place(&self, at: i64) -> Point {
        let seconds = seconds(at - self.at);
        (self.mean[0] + seconds * self.mean[2], self.mean[1] + seconds * self.mean[3])
    }

    pub(super) fn predict(&mut self, at: i64) {
        let seconds = seconds(at - self.at);
        if seconds > 0.0 {
            self.motion.predict(seconds, &Manner::of(&self.classes));
            self.existence *= 1.0 / (1.0 + seconds / STAYS);
            self.at = at;
        }
    }

    /// Weighs the measurements in its gate; they are sorted along x.
    pub(super) fn gate(&self, measured: &[Measurement], per_density: f64, desk: &mut Desk) {
        let turning = self.motion.turning;
        let [steadily, turned] = &self.motion.models;
        let (a, b) = (steadily.mean[0].min(turned.mean[0]), steadily.mean[0].max(turned.mean[0]));
        let (c, d) = (steadily.mean[1].min(turned.mean[1]), steadily.mean[1].max(turned.mean[1]));
        // Room for a measurement as bad as 5 m; beyond that the exact test decides.
        let reach = libm::sqrt(GATE * (turned.cov[0].max(turned.cov[4]) + 25.0));
        let first = measured.partition_point(|one| one.at[0] < a - reach);
        for (index, one) in measured.iter().enumerate().skip(first) {
            if one.at[0] > b + reach {
                break;
            }
            if one.at[1] < c - reach || one.at[1] > d + reach {
                continue;
            }
            let innovations = [self.motion.models[0].innovation(one), self.motion.models[1].innovation(one)];
            if innovations[0].squared > GATE && innovations[1].squared > GATE {
                continue;
            }
            let each = innovations.map(|innovation| (innovation, innovation.likelihood()));
            let likelihood = (1.0 - turning) * each[0].1 + turning * each[1].1;
            let class: f64 = match one.class {
                Some(_) => one.class_likelihood().iter().zip(&self.classes).map(|(a, b)| a * b).sum(),
                None => 1.0,
            };
            let weight = self.existence * per_density * likelihood * class * one.score;
            if weight > 1e-6 {
                desk.association.pair(index, weight);
                desk.likelihoods.push(each);
                desk.shadowed[index] |= self.confirmed;
            }
        }
    }

    /// Takes in what it was associated with. `unseen` is the probability that it is there and was not seen.
    pub(super) fn update(
        &mut self,
        unseen: f64,
        pairs: &[Pair],
        likelihoods: &[[(Innovation, f64); 2]],
        measured: &[Measurement],
        entry: &Entry,
    ) {
        let told: f64 = pairs.iter().map(|pair| pair.weight).sum();
        self.existence = (unseen + told).min(0.999_999);
        if told > 1e-4 {
            let turning = self.motion.turning;
            let mut shares = [0.0; 2];
            for (model, share) in shares.iter_mut().enumerate() {
                let mut seen = 0.0;
                let (mut mean, mut square) = ([0.0; 2], [0.0; 3]);
                let (mut most, mut best) = (0.0, None);
                for (pair, each) in pairs.iter().zip(likelihoods) {
                    let all = (1.0 - turning) * each[0].1 + turning * each[1].1;
                    let (innovation, likelihood) = &each[model];
                    let weight = pair.weight * likelihood / all;
                    let [x, y] = innovation.e;
                    seen += weight;
                    mean = [mean[0] + weight * x, mean[1] + weight * y];
                    square = [square[0] + weight * x * x, square[1] + weight * x * y, square[2] + weight * y * y];
                    if weight > most {
                        (most, best) = (weight, Some(innovation));
                    }
                }
                let all = unseen + seen;
                *share = all;
                if let Some(best) = best.filter(|_| seen > 1e-9) {
                    let e = [mean[0] / all, mean[1] / all];
                    let spread =
                        [square[0] / all - e[0] * e[0], square[1] / all - e[0] * e[1], square[2] / all - e[1] * e[1]];
                    self.motion.models[model].update(best, &e, seen / all, &spread);
                }
            }
            let (steady, turned) = ((1.0 - turning) * shares[0], turning * shares[1]);
            self.motion.turning = (turned / (steady + turned)).clamp(0.001, 0.999);
            let whole = 1.0 / self.existence;
            if pairs.iter().any(|pair| measured[pair.measurement].class.is_some()) {
                let mut likelihood = [unseen * whole; CLASSES];
                for pair in pairs {
                    let each = measured[pair.measurement].class_likelihood();
                    let all: f64 = each.iter().zip(&self.classes).map(|(a, b)| a * b).sum();
                    likelihood.iter_mut().zip(&each).for_each(|(sum, one)| *sum += pair.weight * whole * one / all);
                }
                self.classify(&likelihood, 1.0);
            }
            if told > 0.5 {
                self.note(entry);
            }
        }
        if self.hits >= 2 && self.existence >= CONFIRMED {
            self.confirmed = true;
        }
        self.settle();
    }

    /// Bayes over classes. None is ever ruled out: a detector may be wrong about one thing again and again.
    pub(super) fn classify(&mut self, likelihood: &[f64; CLASSES], strength: f64) {
        let mut all = 0.0;
        for (class, likelihood) in self.classes.iter_mut().zip(likelihood) {
            *class *= 1.0 + strength * (likelihood - 1.0);
            all += *class;
        }
        let mut kept = 0.0;
        for class in &mut self.classes {
            *class = (*class / all).max(0.002);
            kept += *class;
        }
        self.classes.iter_mut().for_each(|class| *class /= kept);
    }

    pub(super) fn note(&mut self, entry: &Entry) {
        self.hits = self.hits.saturating_add(1);
        self.seen = entry.at;
        self.witness(Witness { sensor: entry.sensor, record: entry.record });
    }

    /// The newest record takes the place of the same sensor's last, or of the oldest.
    fn witness(&mut self, witness: Witness) {
        let same = |one: &Witness| *one == Witness::NONE || one.sensor == witness.sensor;
        let place = self.witnesses.iter().rposition(same).unwrap_or(0);
        self.witnesses[place..].rotate_left(1);
        self.witnesses[SENSORS_PER_TRACK - 1] = witness;
    }

    /// Works out what others look at.
    pub(super) fn settle(&mut self) {
        self.mean = self.motion.mean();
        let turning = self.motion.turning;
        let [a, b] = &self.motion.models;
        let larger = |i: usize, j: usize| {
            let of = |model: &Gaussian| model.cov[i].max(model.cov[j]);
            libm::sqrt((1.0 - turning) * of(a) + turning * of(b))
        };
        self.sd = larger(0, 4);
        self.speed_sd = larger(7, 9);
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 * 1e-9
}
