//! When something was, although clocks lie.
//!
//! A source's offset is the largest lead of its clock over ours that was seen lately: delay only ever makes a claim look
//! older, so the largest lead is the one with the least delay (a minimum-delay envelope). What a source claims is moved by
//! that offset, and never lies after its receipt. A clock that was set back looks like a delay that does not end: three
//! words in a row that agree with each other and not with the envelope begin a new one.

use crate::bounds::OFFSETS_PER_SENSOR;
use alloc::collections::VecDeque;
use core::time::Duration;
use quaywatch_schemas::{Stamp, WallTime};
use serde::{Deserialize, Serialize};

/// What is known of one source's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SourceClock {
    /// Claimed minus received, in nanoseconds, newest last.
    leads: VecDeque<i64>,
}

/// What is told as live is at most this old: a claim beyond it is a wrong clock, not a slow line.
const OLDEST_LIVE: Duration = Duration::from_secs(3600);
/// Words that must agree before a clock is believed to have been set back.
const AGREEING: usize = 3;
/// How well they must agree with each other, and how far they must be from the envelope, in nanoseconds.
const AGREE_WITHIN: i64 = 1_000_000_000;
const STEP_AT_LEAST: i64 = 2_000_000_000;

impl SourceClock {
    /// When it was, on the wall clock.
    pub(crate) fn correct(&mut self, claimed: Option<WallTime>, stamp: &Stamp) -> WallTime {
        let Some(claimed) = claimed else { return stamp.wall };
        if self.leads.len() == OFFSETS_PER_SENSOR {
            self.leads.pop_front();
        }
        self.leads.push_back(claimed.0.saturating_sub(stamp.wall.0));
        self.forget_before_a_step();
        let offset = self.leads.iter().copied().max().unwrap_or(0);
        WallTime(claimed.0.saturating_sub(offset).clamp(stamp.wall.before(OLDEST_LIVE).0, stamp.wall.0))
    }

    fn forget_before_a_step(&mut self) {
        let Some(older) = self.leads.len().checked_sub(AGREEING).filter(|older| *older > 0) else { return };
        let newest = || self.leads.iter().skip(older).copied();
        let (low, high) = newest().fold((i64::MAX, i64::MIN), |(low, high), lead| (low.min(lead), high.max(lead)));
        let envelope = self.leads.iter().take(older).copied().max().unwrap_or(high);
        if high.saturating_sub(low) <= AGREE_WITHIN && envelope.saturating_sub(high) > STEP_AT_LEAST {
            self.leads.drain(..older);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(second: i64) -> Stamp {
        Stamp { wall: WallTime(second * 1_000_000_000), ..Stamp::default() }
    }

    #[test]
    fn a_camera_ten_minutes_slow_and_one_a_day_fast_say_the_same_after_a_few_words() {
        for skew in [-600i64, 0, 86_400] {
            let mut clock = SourceClock::default();
            let mut at = WallTime(0);
            for second in 1..=20i64 {
                let delay = if second % 5 == 0 { 0 } else { second % 3 };
                at = clock
                    .correct(Some(WallTime((1000 + second - delay + skew) * 1_000_000_000)), &stamp(1000 + second));
            }
            assert_eq!(at, WallTime(1020 * 1_000_000_000), "skew {skew}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed_after_three_words_and_one_late_word_is_not() {
        let mut clock = SourceClock::default();
        for second in 1..=10 {
            clock.correct(Some(WallTime((second + 3600) * 1_000_000_000)), &stamp(second));
        }
        let late = clock.correct(Some(WallTime((3605) * 1_000_000_000)), &stamp(11));
        assert_eq!(late, WallTime(5 * 1_000_000_000), "six seconds late, not set back");
        let at = (12..=14).map(|second| clock.correct(Some(WallTime(second * 1_000_000_000)), &stamp(second))).last();
        assert_eq!(at, Some(WallTime(14 * 1_000_000_000)));
    }
}
