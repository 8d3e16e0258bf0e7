//! When something was, although clocks lie.
//!
//! A source's offset is the largest lead of its clock over ours that was seen lately: delay only ever makes a claim look
//! older, so the largest lead is the one with the least delay (a minimum-delay envelope). What a source claims is moved by
//! that offset, and never lies after its receipt.

use crate::bounds::OFFSETS_PER_SENSOR;
use alloc::collections::VecDeque;
use quaywatch_schemas::{Stamp, WallTime};
use serde::{Deserialize, Serialize};

/// What is known of one source's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SourceClock {
    /// Claimed minus received, in nanoseconds, newest last.
    leads: VecDeque<i64>,
}

impl SourceClock {
    /// When it was, on the wall clock.
    pub(crate) fn correct(&mut self, claimed: Option<WallTime>, stamp: &Stamp) -> WallTime {
        let Some(claimed) = claimed else { return stamp.wall };
        if self.leads.len() == OFFSETS_PER_SENSOR {
            self.leads.pop_front();
        }
        self.leads.push_back(claimed.0.saturating_sub(stamp.wall.0));
        let offset = self.leads.iter().copied().max().unwrap_or(0);
        WallTime(claimed.0.saturating_sub(offset).min(stamp.wall.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_ten_minutes_slow_and_one_a_day_fast_say_the_same_after_a_few_words() {
        for skew in [-600i64, 0, 86_400] {
            let mut clock = SourceClock::default();
            let mut at = WallTime(0);
            for second in 1..=20i64 {
                let delay = if second % 5 == 0 { 0 } else { second % 3 };
                let stamp = Stamp { wall: WallTime((1000 + second) * 1_000_000_000), ..Stamp::default() };
                at = clock.correct(Some(WallTime((1000 + second - delay + skew) * 1_000_000_000)), &stamp);
            }
            assert_eq!(at, WallTime(1020 * 1_000_000_000), "skew {skew}");
        }
    }
}
