//! When something was, although clocks lie; and up to when everything has been heard.
//!
//! A source's offset is the largest lead of its clock over ours that was seen lately: delay only ever makes a claim look
//! older, so the largest lead is the one with the least delay (a minimum-delay envelope; Moon, Skelly and Towsley,
//! INFOCOM 1999, fit a line to it, which at quartz drift of some 50 ppm a sliding maximum replaces). What a source claims
//! is moved by that offset and never lies after its receipt.
//!
//! One wild claim moves nothing: a lead that is off by more than two seconds is believed only when three words that came at
//! different times agree with each other and not with the envelope. Then the clock was set, which is a finding.
//!
//! How late a source's words usually come gives its watermark: what happened before it has been heard, as far as one can
//! know. A source that says nothing holds nobody up.

use crate::bounds::OFFSETS_PER_SENSOR;
use alloc::collections::VecDeque;
use core::time::Duration;
use quaywatch_schemas::{Stamp, WallTime, site::Clock};
use serde::{Deserialize, Serialize};

/// What is known of one source's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SourceClock {
    /// The largest leads (claimed minus received, in nanoseconds) of the last words: number of the word and lead, falling.
    /// The first is the envelope.
    envelope: VecDeque<(u32, i64)>,
    words: u32,
    /// Leads that do not agree with the envelope, and when the words came.
    dissent: VecDeque<(i64, i64)>,
    /// Words by how late they came: below 2^i * 16 ms, as counts that are halved together.
    lateness: [u16; LATENESS_CLASSES],
    /// The latest moment that was told of, corrected.
    newest: WallTime,
}

/// A word's time, and whether the clock was found set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: WallTime,
    /// By how many nanoseconds the clock was set, if this word decided it.
    pub(crate) stepped_by: Option<i64>,
}

/// What is told as live is at most this old: a claim beyond it is a wrong clock, not a slow line.
const OLDEST_LIVE: Duration = Duration::from_secs(3600);
/// Words that must agree before a clock is believed to have been set.
const AGREEING: usize = 3;
/// How well they must agree with each other, and how far they must be from the envelope, in nanoseconds.
const AGREE_WITHIN: i64 = 1_000_000_000;
const STEP_AT_LEAST: i64 = 2_000_000_000;
/// And how long they must take to come: what a line kept back during an outage comes at once.
const STEP_TAKES: i64 = 2_000_000_000;
/// Until so many words were heard the envelope is only getting to know the clock, and nothing is a finding.
pub(crate) const WARM_UP: u32 = 8;
/// A clock that its site vouches for is not corrected, unless it is off by more than this: then nobody disciplines it.
const VOUCHED_WITHIN: i64 = 5_000_000_000;
const LATENESS_CLASSES: usize = 12;
/// Counts are halved when they reach this, so that old lateness is forgotten.
const LATENESS_COUNTED: u16 = 1024;
/// Bounds of the lateness that is waited for.
const LEAST_WAIT: Duration = Duration::from_millis(250);
const MOST_WAIT: Duration = Duration::from_secs(3);

impl SourceClock {
    /// When it was, on the wall clock.
    pub(crate) fn hear(&mut self, claimed: Option<WallTime>, trust: Clock, stamp: &Stamp) -> Heard {
        let Some(claimed) = claimed else {
            self.newest = self.newest.max(stamp.wall);
            return Heard { at: stamp.wall, stepped_by: None };
        };
        let lead = claimed.0.saturating_sub(stamp.wall.0);
        self.words = self.words.saturating_add(1);
        let stepped_by = self.learn(lead, stamp.wall.0);
        let envelope = self.envelope.front().map_or(lead, |(_, lead)| *lead);
        let vouched = trust == Clock::Synchronised && (-VOUCHED_WITHIN..=VOUCHED_WITHIN).contains(&envelope);
        let offset = if vouched { 0 } else { envelope };
        let at = claimed.0.saturating_sub(offset).clamp(stamp.wall.before(OLDEST_LIVE).0, stamp.wall.0);
        self.count_lateness(stamp.wall.0.saturating_sub(at));
        self.newest = self.newest.max(WallTime(at));
        Heard { at: WallTime(at), stepped_by }
    }

    /// What happened before this has been heard, as far as one can know at `now`.
    pub(crate) fn settled(&self, now: WallTime) -> WallTime {
        let wait = self.usual_lateness();
        self.newest.before(wait).max(now.before(wait.saturating_mul(2)))
    }

    /// At the latest then a moment is settled, even if nothing more is said.
    pub(crate) fn settles(&self, at: WallTime) -> WallTime {
        at.after(self.usual_lateness().saturating_mul(2))
    }

    /// Widens the envelope, or notes that a word does not fit it.
    fn learn(&mut self, lead: i64, received: i64) -> Option<i64> {
        let Some((_, envelope)) = self.envelope.front().copied() else {
            self.push(lead);
            return None;
        };
        let off = lead.saturating_sub(envelope);
        let early_days = self.words < WARM_UP;
        if off > STEP_AT_LEAST && !early_days || off < -STEP_AT_LEAST {
            if self.dissent.len() == AGREEING {
                self.dissent.pop_front();
            }
            self.dissent.push_back((lead, received));
            return self.believe_dissent(envelope, early_days);
        }
        self.dissent.clear();
        self.push(lead);
        None
    }

    fn believe_dissent(&mut self, envelope: i64, early_days: bool) -> Option<i64> {
        let leads = || self.dissent.iter().map(|(lead, _)| *lead);
        let (low, high) = (leads().min()?, leads().max()?);
        let took = self.dissent.back()?.1.saturating_sub(self.dissent.front()?.1);
        let agree = self.dissent.len() == AGREEING && high.saturating_sub(low) <= AGREE_WITHIN && took >= STEP_TAKES;
        if !agree {
            return None;
        }
        self.dissent.clear();
        self.envelope.clear();
        self.push(high);
        (!early_days).then_some(high.saturating_sub(envelope))
    }

    fn push(&mut self, lead: i64) {
        while self.envelope.back().is_some_and(|(_, last)| *last <= lead) {
            self.envelope.pop_back();
        }
        self.envelope.push_back((self.words, lead));
        let oldest = self.words.saturating_sub(OFFSETS_PER_SENSOR as u32);
        while self.envelope.front().is_some_and(|(word, _)| *word < oldest) {
            self.envelope.pop_front();
        }
    }

    fn count_lateness(&mut self, late: i64) {
        let sixteenths = u64::try_from(late).unwrap_or(0) / 16_000_000;
        let class = (u64::BITS - sixteenths.leading_zeros()) as usize;
        let count = &mut self.lateness[class.min(LATENESS_CLASSES - 1)];
        *count += 1;
        if *count >= LATENESS_COUNTED {
            self.lateness.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// 199 of 200 words come within this, as far as it is worth waiting.
    fn usual_lateness(&self) -> Duration {
        let all: u32 = self.lateness.iter().map(|count| u32::from(*count)).sum();
        let mut left = all / 200;
        let class = self.lateness.iter().rposition(|count| {
            let beyond = u32::from(*count) > left;
            left = left.saturating_sub(u32::from(*count));
            beyond
        });
        let within = Duration::from_millis(16 << class.unwrap_or(0));
        within.clamp(LEAST_WAIT, MOST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn stamp(second: i64) -> Stamp {
        Stamp { wall: WallTime(second * SECOND), ..Stamp::default() }
    }

    fn hear(clock: &mut SourceClock, claimed: i64, received: i64) -> Heard {
        clock.hear(Some(WallTime(claimed * SECOND)), Clock::Free, &stamp(received))
    }

    #[test]
    fn a_camera_ten_minutes_slow_and_one_a_day_fast_say_the_same_after_a_few_words() {
        for skew in [-600i64, 0, 86_400] {
            let mut clock = SourceClock::default();
            let mut heard = None;
            for second in 1..=20i64 {
                let delay = if second % 5 == 0 { 0 } else { second % 2 };
                heard = Some(hear(&mut clock, 1000 + second - delay + skew, 1000 + second));
            }
            assert_eq!(heard, Some(Heard { at: WallTime(1020 * SECOND), stepped_by: None }), "skew {skew}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_found_after_three_words_either_way_and_one_wild_word_is_not_believed() {
        for step in [-3600i64, 3600] {
            let mut clock = SourceClock::default();
            for second in 1..=20 {
                hear(&mut clock, second, second);
            }
            assert_eq!(hear(&mut clock, 15 + 7200, 21).stepped_by, None);
            assert_eq!(hear(&mut clock, 22, 22), Heard { at: WallTime(22 * SECOND), stepped_by: None }, "no drag");
            let found: [_; 3] = core::array::from_fn(|word| {
                let second = 30 + 10 * word as i64;
                hear(&mut clock, second + step, second)
            });
            assert_eq!(found.map(|heard| heard.stepped_by), [None, None, Some(step * SECOND)]);
            assert_eq!(hear(&mut clock, 60 + step, 60).at, WallTime(60 * SECOND));
        }
    }

    #[test]
    fn what_a_line_kept_back_and_sends_at_once_is_late_and_no_step() {
        let mut clock = SourceClock::default();
        for second in 1..=20 {
            hear(&mut clock, second, second);
        }
        let late: [_; 4] = core::array::from_fn(|word| hear(&mut clock, 30 + word as i64 / 4, 60));
        assert_eq!(late, [Heard { at: WallTime(30 * SECOND), stepped_by: None }; 4]);
    }

    #[test]
    fn a_silent_source_holds_nobody_up_and_a_slow_one_is_waited_for() {
        let mut prompt = SourceClock::default();
        let mut slow = SourceClock::default();
        for second in 1..=100 {
            hear(&mut prompt, second, second);
            let late = if second % 3 == 0 { 1 } else { 0 };
            hear(&mut slow, second - late, second);
        }
        let now = WallTime(100 * SECOND);
        assert_eq!(prompt.settled(now), now.before(LEAST_WAIT));
        assert_eq!(slow.settled(now), now.before(Duration::from_millis(1024)));
        assert_eq!(prompt.settled(WallTime(500 * SECOND)), WallTime(500 * SECOND).before(LEAST_WAIT * 2));
    }

    #[test]
    fn a_vouched_clock_is_taken_at_its_word_unless_it_cannot_be() {
        let mut clock = SourceClock::default();
        let claim = |clock: &mut SourceClock, claimed: i64, received: i64| {
            let stamp = Stamp { wall: WallTime(received), ..Stamp::default() };
            clock.hear(Some(WallTime(claimed)), Clock::Synchronised, &stamp).at.0
        };
        for second in 1..=20 {
            assert_eq!(claim(&mut clock, second * SECOND - SECOND / 5, second * SECOND), second * SECOND - SECOND / 5);
        }
        let mut wrong = SourceClock::default();
        assert_eq!(claim(&mut wrong, 900 * SECOND, 1000 * SECOND), 1000 * SECOND, "100 s slow: nobody disciplines it");
    }
}
