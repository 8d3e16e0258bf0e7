//! Numbers that look random and are the same for the same seed, on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014), written out because a library may change its stream between versions and
//! `--seed 7` must mean the same world next year. Every story draws from a stream of its own, named by what it is for, so
//! that a story more or less leaves the others as they were.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a purpose within a seed.
    pub(crate) fn of(seed: u64, purpose: &str, number: u64) -> Self {
        let mut state = Self(seed);
        for byte in purpose.bytes() {
            state.0 = state.next() ^ u64::from(byte);
        }
        state.0 = state.next() ^ number;
        Self(state.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with a probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// A whole number below `count`, which must not be 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Around a mean, with a standard deviation (Box and Muller, 1958).
    pub(crate) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.above_zero()));
        mean + deviation * radius * libm::cos(std::f64::consts::TAU * self.between(0.0, 1.0))
    }

    /// A waiting time with a mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.above_zero())
    }

    /// How often something happens that happens `mean` times on average; meant for means below a hundred.
    pub(crate) fn poisson(&mut self, mean: f64) -> usize {
        let (mut count, mut waited) = (0, self.exponential(1.0));
        while waited < mean {
            count += 1;
            waited += self.exponential(1.0);
        }
        count
    }

    /// Uniform in (0, 1], so that it has a logarithm.
    fn above_zero(&mut self) -> f64 {
        1.0 - self.between(0.0, 1.0)
    }

    /// A letter of those that plates use: no I, O and Q, which are confused with digits.
    pub(crate) fn letter(&mut self) -> char {
        char::from(*self.pick(b"ABCDEFGHJKLMNPRSTUVWXYZ"))
    }

    pub(crate) fn digit(&mut self) -> char {
        char::from(*self.pick(b"0123456789"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_seed_its_purpose_and_its_number() {
        let first = |seed, purpose, number| Random::of(seed, purpose, number).next();
        assert_eq!(first(1, "wind", 0), first(1, "wind", 0));
        assert_ne!(first(1, "wind", 0), first(2, "wind", 0));
        assert_ne!(first(1, "wind", 0), first(1, "lane", 0));
        assert_ne!(first(1, "wind", 0), first(1, "wind", 1));
    }

    #[test]
    fn is_spread_evenly() {
        let mut random = Random::of(7, "test", 0);
        let mean = (0..10_000).map(|_| random.between(2.0, 4.0)).sum::<f64>() / 10_000.0;
        assert!((2.9..3.1).contains(&mean), "{mean}");
        assert!((0..1000).filter(|_| random.chance(0.1)).count().abs_diff(100) < 50);
    }

    #[test]
    fn has_the_moments_it_is_asked_for() {
        let mut random = Random::of(7, "moments", 0);
        let moments = |draw: &mut dyn FnMut() -> f64| {
            let drawn: Vec<f64> = (0..20_000).map(|_| draw()).collect();
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let variance = drawn.iter().map(|one| (one - mean) * (one - mean)).sum::<f64>() / drawn.len() as f64;
            (mean, variance.sqrt())
        };
        let near = |(mean, deviation): (f64, f64), of: (f64, f64)| {
            assert!((mean - of.0).abs() < 0.1 && (deviation - of.1).abs() < 0.1, "{mean} {deviation}");
        };
        near(moments(&mut || random.normal(5.0, 2.0)), (5.0, 2.0));
        near(moments(&mut || random.exponential(2.0)), (2.0, 2.0));
        near(moments(&mut || random.poisson(9.0) as f64), (9.0, 3.0));
    }
}
