//! From a node's milliseconds since boot to wall time.
//!
//! A poll is sent at one of our times and the first byte of its answer comes at another; between the two the node read its
//! clock. The middle is taken, half of the distance is the uncertainty. Of all such exchanges the tightest counts, until
//! the drift of a crystal has made it worse than a newer one.
//!
//! A boot that nobody heard, because the node restarted more than once while it could not be reached, lay between the last
//! that was heard of an earlier one and the start of a later one. Its words are put in the middle of what is left.

use super::Now;
use quaywatch_schemas::{WallTime, observation::SourceTime};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Boots of a node that are remembered: frames of a former boot come after a power cut.
const BOOTS: usize = 4;
/// Crystals of microcontroller boards are good for 50 parts per million; twice that covers temperature.
const DRIFT: u32 = 10_000;

/// What is known of one node's clock.
#[derive(Debug, Default)]
pub(super) struct NodeClock {
    boots: VecDeque<Heard>,
}

/// A boot of the node.
#[derive(Debug, Clone, Copy)]
struct Heard {
    boot: u32,
    tightest: Exchange,
    last: Instant,
}

/// At `at`, give or take `either_way`, the node's clock said `node_ms`.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    node_ms: u64,
    at: Instant,
    either_way: Duration,
}

impl NodeClock {
    /// A node of this boot read `node_ms` after we had sent and before we heard.
    pub(super) fn observe(&mut self, boot: u32, node_ms: u64, sent: Instant, heard: Instant) {
        let either_way = heard.saturating_duration_since(sent) / 2;
        let new = Exchange { node_ms, at: sent + either_way, either_way };
        match self.boots.iter_mut().find(|heard| heard.boot == boot) {
            Some(Heard { tightest: old, last, .. }) => {
                if either_way <= old.either_way + new.at.saturating_duration_since(old.at) / DRIFT {
                    *old = new;
                }
                *last = sent;
            }
            None => {
                if self.boots.len() == BOOTS {
                    self.boots.pop_front();
                }
                self.boots.push_back(Heard { boot, tightest: new, last: sent });
            }
        }
    }

    /// When that was, and how long ago in nanoseconds, negative if by our reckoning it is to come. How long ago is not
    /// known of a boot that nobody heard; of one that lay outside all that was heard nothing is.
    pub(super) fn map(&self, boot: u32, ms: u64, now: Now) -> Option<(Option<i64>, SourceTime)> {
        let since = |at: Instant| nanos(now.at.saturating_duration_since(at));
        let Some(heard) = self.boots.iter().find(|heard| heard.boot == boot) else {
            return self.between(boot, ms, now);
        };
        let exchange = heard.tightest;
        let distance_ms = i128::from(ms) - i128::from(exchange.node_ms);
        let distance = i64::try_from(distance_ms.saturating_mul(1_000_000)).ok()?;
        let age = since(exchange.at).saturating_sub(distance);
        let drift = Duration::from_nanos(distance.unsigned_abs()) / DRIFT;
        let either_way = exchange.either_way + drift;
        Some((Some(age), SourceTime { at: ago(age, now), uncertainty_ms: in_ms(either_way) }))
    }

    fn between(&self, boot: u32, ms: u64, now: Now) -> Option<(Option<i64>, SourceTime)> {
        let earlier = self.boots.iter().filter(|heard| heard.boot < boot).max_by_key(|heard| heard.boot)?;
        let later = self.boots.iter().filter(|heard| heard.boot > boot).min_by_key(|heard| heard.boot)?;
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let since = |at: Instant| nanos(now.at.saturating_duration_since(at));
        // It started after the one was heard last, and was over when the other started.
        let most = since(earlier.last).saturating_sub(millis(ms));
        let least = since(later.tightest.at).saturating_add(millis(later.tightest.node_ms));
        let most = most.max(least);
        let middle = least + (most - least) / 2;
        let either_way = Duration::from_nanos((most - middle).unsigned_abs()) + later.tightest.either_way;
        Some((None, SourceTime { at: ago(middle, now), uncertainty_ms: in_ms(either_way) }))
    }
}

fn ago(age: i64, now: Now) -> WallTime {
    WallTime(now.wall.0.saturating_sub(age))
}

/// One more for the node's rounding.
fn in_ms(either_way: Duration) -> u32 {
    u32::try_from(either_way.as_millis().saturating_add(1)).unwrap_or(u32::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_exchange_counts_until_drift_has_made_it_worse() {
        let (start, mut clock) = (Instant::now(), NodeClock::default());
        let ms = |ms| start + Duration::from_millis(ms);
        let now = |at| Now { at: ms(at), wall: WallTime::from_millis(1_000_000 + at as i64) };
        clock.observe(1, 5_000, ms(100), ms(110));
        clock.observe(1, 6_000, ms(1000), ms(1400));
        let (age, at) = clock.map(1, 5_500, now(2_000)).unwrap();
        assert_eq!((age, at.at, at.uncertainty_ms), (Some(1_395_000_000), WallTime::from_millis(1_000_605), 6));
        // 5 ms and 100 ppm for 100 s is 15 ms.
        clock.observe(1, 104_950, ms(100_040), ms(100_070));
        assert_eq!(
            clock.map(1, 104_950, now(100_100)).unwrap().1.uncertainty_ms,
            15,
            "another 15 ms are no better yet"
        );
        clock.observe(1, 204_950, ms(200_040), ms(200_060));
        assert_eq!(
            clock.map(1, 204_950, now(200_100)).unwrap(),
            (Some(50_000_000), SourceTime { at: WallTime::from_millis(1_200_050), uncertainty_ms: 11 })
        );
        assert_eq!(clock.map(2, 0, now(0)), None, "a boot after all that was heard");
        // Boot 4 began at 203 s; boot 2 between 200.04 s, when boot 1 was heard last, and then.
        clock.observe(4, 1_000, ms(204_000), ms(204_000));
        let (age, at) = clock.map(2, 960, now(205_000)).unwrap();
        assert_eq!((age, at), (None, SourceTime { at: WallTime::from_millis(1_202_000), uncertainty_ms: 1_001 }));
    }
}
