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
}
