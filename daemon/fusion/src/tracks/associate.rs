//! Which track each measurement may be of.
//!
//! Each track comes with what it weighs that it was not seen and, for every measurement in its gate, what it weighs that it
//! was this one. The marginal probabilities over all joint assignments (each measurement of one track at most, each track
//! with one measurement at most) come from loopy belief propagation (Williams and Lau, IEEE TAES 50(4), 2014): its cost is
//! linear in the pairs, it always converges, and it is exact where no two tracks share two measurements. Tracks that share
//! none need no iteration.

use alloc::vec::Vec;

/// What is weighed for one scan. Kept between scans, so that nothing is allocated in the common case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Association {
    /// For each track where its pairs begin; one more at the end.
    first: Vec<usize>,
    /// What it weighs that a track was not seen.
    missed: Vec<f64>,
    pairs: Vec<Pair>,
    /// For each measurement the sum of what all tracks tell it, and how many do.
    told: Vec<f64>,
    takers: Vec<u32>,
}

/// A track and a measurement in its gate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) measurement: usize,
    /// What it weighs before, and the probability after [`Association::solve`].
    pub(crate) weight: f64,
    to_measurement: f64,
    to_track: f64,
}

/// Most iterations: differences are below a thousandth after this many unless a crowd is hopeless anyway.
const ITERATIONS: usize = 24;
const SETTLED: f64 = 1e-3;

impl Association {
    /// Forgets everything; `measurements` is how many there are.
    pub(crate) fn begin(&mut self, measurements: usize) {
        self.first.clear();
        self.missed.clear();
        self.pairs.clear();
        self.told.clear();
        self.told.resize(measurements, 0.0);
        self.takers.clear();
        self.takers.resize(measurements, 0);
    }

    /// The next track: what it weighs that it was not seen.
    pub(crate) fn track(&mut self, missed: f64) {
        self.first.push(self.pairs.len());
        self.missed.push(missed);
    }

    /// The last track may have been this measurement.
    pub(crate) fn pair(&mut self, measurement: usize, weight: f64) {
        self.takers[measurement] += 1;
        self.pairs.push(Pair { measurement, weight, to_measurement: 0.0, to_track: 1.0 });
    }

    /// Turns weights into probabilities.
    pub(crate) fn solve(&mut self) {
        self.first.push(self.pairs.len());
        if self.takers.iter().any(|takers| *takers > 1) {
            self.propagate();
        }
        self.told.iter_mut().for_each(|told| *told = 0.0);
        for track in 0..self.missed.len() {
            let pairs = &mut self.pairs[self.first[track]..self.first[track + 1]];
            let all: f64 = self.missed[track] + pairs.iter().map(|pair| pair.weight * pair.to_track).sum::<f64>();
            for pair in pairs {
                pair.weight *= pair.to_track / all;
                self.told[pair.measurement] += pair.weight;
            }
            self.missed[track] /= all;
        }
    }

    fn propagate(&mut self) {
        for _ in 0..ITERATIONS {
            self.told.iter_mut().for_each(|told| *told = 0.0);
            for track in 0..self.missed.len() {
                let pairs = &mut self.pairs[self.first[track]..self.first[track + 1]];
                let all: f64 = self.missed[track] + pairs.iter().map(|pair| pair.weight * pair.to_track).sum::<f64>();
                for pair in pairs {
                    pair.to_measurement = pair.weight / (all - pair.weight * pair.to_track).max(1e-300);
                    self.told[pair.measurement] += pair.to_measurement;
                }
            }
            let mut moved = 0.0f64;
            for pair in self.pairs.iter_mut().filter(|pair| self.takers[pair.measurement] > 1) {
                let new = 1.0 / (1.0 + (self.told[pair.measurement] - pair.to_measurement).max(0.0));
                moved = moved.max(libm::fabs(new - pair.to_track));
                pair.to_track = new;
            }
            if moved < SETTLED {
                break;
            }
        }
    }

    /// Probability that a track was not seen, and its measurements with theirs. After [`Association::solve`].
    pub(crate) fn of(&self, track: usize) -> (f64, &[Pair]) {
        (self.missed[track], &self.pairs[self.first[track]..self.first[track + 1]])
    }

    /// Probability that a measurement was of some track. After [`Association::solve`].
    pub(crate) fn taken(&self, measurement: usize) -> f64 {
        self.told[measurement]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_goes_to_the_track_that_has_no_other() {
        // Track 0 may be measurement 0 or 1, track 1 only measurement 0.
        let mut association = Association::default();
        association.begin(2);
        association.track(0.1);
        association.pair(0, 10.0);
        association.pair(1, 10.0);
        association.track(0.1);
        association.pair(0, 10.0);
        association.solve();
        // By enumeration: (m, m) .01, (0, m) 1, (1, m) 1, (m, 0) 1, (1, 0) 100; all 103.01.
        let (missed, pairs) = association.of(0);
        assert!((pairs[1].weight - 101.0 / 103.01).abs() < 0.01, "{}", pairs[1].weight);
        assert!((missed - 1.01 / 103.01).abs() < 0.01, "{missed}");
        assert!((association.of(1).1[0].weight - 101.0 / 103.01).abs() < 0.01);
        assert!(association.taken(0) <= 1.0 + 1e-9);
    }

    #[test]
    fn a_track_alone_is_weighed_exactly() {
        let mut association = Association::default();
        association.begin(2);
        association.track(0.5);
        association.pair(0, 1.0);
        association.pair(1, 2.5);
        association.solve();
        let (missed, pairs) = association.of(0);
        assert_eq!([missed, pairs[0].weight, pairs[1].weight], [0.125, 0.25, 0.625]);
    }
}
