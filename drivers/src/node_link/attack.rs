//! Frames in a node's name that are not its own: from when on that is no noise, and how often it is told.

use std::time::{Duration, Instant};

/// What goes on is told again after this, with how many frames there were since.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(3600);
/// A node's own word ends the alarm on its sensor; while frames come it is said again, this often at most.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Of 65,536 frames that noise hurt, a 16-bit checksum takes one for whole. With fewer hurt ones in an hour than this, a
/// wrong seal is noise in one hour of a hundred at most.
const NOISY: u32 = 655;
/// Wrong seals in an hour that are told on a noisier line: one hurt frame a second makes three once in four years.
const MANY: u64 = 3;

/// Frames of one kind in one node's name.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    untold: u64,
    first_untold: Option<Instant>,
    told: Option<Instant>,
    said: Option<Instant>,
}

/// What is to be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// They are to be told, with how many came since they were told last, and said on a sensor.
    Tell(u64),
    /// It goes on: said on a sensor.
    Say,
    Nothing,
}

impl Alarm {
    /// One more came; `enough` in an hour are an alarm.
    pub(super) fn came(&mut self, enough: u64, at: Instant) -> Due {
        self.untold += 1;
        self.first_untold.get_or_insert(at);
        match self.look(enough, at) {
            Some(frames) => Due::Tell(frames),
            None if self.told.is_some_and(|told| at < told + TELL_AGAIN)
                && self.said.is_none_or(|said| at >= said + SAY_AGAIN) =>
            {
                self.said = Some(at);
                Due::Say
            }
            None => Due::Nothing,
        }
    }

    /// How many are to be told now. Too few to be told are forgotten after an hour.
    pub(super) fn look(&mut self, enough: u64, at: Instant) -> Option<u64> {
        let is_over = self.due_at()? <= at;
        if self.untold < enough {
            if is_over {
                (self.untold, self.first_untold) = (0, None);
            }
            return None;
        }
        if self.told.is_some_and(|told| at < told + TELL_AGAIN) {
            return None;
        }
        (self.told, self.said, self.first_untold) = (Some(at), Some(at), None);
        Some(std::mem::take(&mut self.untold))
    }

    /// When it is to be looked at again.
    pub(super) fn due_at(&self) -> Option<Instant> {
        // What came within an hour after it was told is told at the end of that hour.
        let first = self.first_untold?;
        Some(self.told.filter(|told| first < *told + TELL_AGAIN).unwrap_or(first) + TELL_AGAIN)
    }
}

/// Frames that were hurt on the way, in this hour and the one before.
#[derive(Debug)]
pub(super) struct Hurt {
    began: Instant,
    now: u32,
    before: u32,
}

impl Hurt {
    pub(super) fn none(at: Instant) -> Self {
        Self { began: at, now: 0, before: 0 }
    }

    pub(super) fn one(&mut self, at: Instant) {
        self.turn(at);
        self.now = self.now.saturating_add(1);
    }

    /// Wrong seals in an hour that noise does not explain.
    pub(super) fn enough(&mut self, at: Instant) -> u64 {
        self.turn(at);
        if self.now.max(self.before) < NOISY { 1 } else { MANY }
    }

    fn turn(&mut self, at: Instant) {
        let hours = at.saturating_duration_since(self.began).as_secs() / TELL_AGAIN.as_secs();
        if hours > 0 {
            (self.began, self.before, self.now) = (at, if hours == 1 { self.now } else { 0 }, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = TELL_AGAIN;

    #[test]
    fn an_attack_is_told_at_once_and_then_each_hour_with_its_count() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let came: Vec<Due> = (0..200).map(|second| alarm.came(1, at(second))).collect();
        assert_eq!((came[0], came[60], came[120], came[180]), (Due::Tell(1), Due::Say, Due::Say, Due::Say));
        assert_eq!(came.iter().filter(|due| **due == Due::Nothing).count(), 196);
        assert_eq!(
            (alarm.due_at(), alarm.look(1, at(3599)), alarm.look(1, at(3600))),
            (Some(at(3600)), None, Some(199))
        );
        assert_eq!((alarm.due_at(), alarm.look(1, at(9000))), (None, None), "nothing came");
        assert_eq!(alarm.came(1, at(9000)), Due::Tell(1));
    }

    #[test]
    fn a_wrong_seal_on_a_line_that_hurts_much_may_be_noise() {
        let start = Instant::now();
        let (mut hurt, mut alarm) = (Hurt::none(start), Alarm::default());
        (1..NOISY).for_each(|_| hurt.one(start));
        assert_eq!(hurt.enough(start), 1);
        hurt.one(start);
        assert_eq!((hurt.enough(start), hurt.enough(start + HOUR), hurt.enough(start + HOUR * 2)), (3, 3, 1));
        let came: Vec<Due> = (0..3).map(|hour| alarm.came(3, start + HOUR * hour)).collect();
        assert_eq!(came, [Due::Nothing; 3], "one an hour");
        let now = start + HOUR * 5;
        assert_eq!(alarm.look(3, now), None);
        assert_eq!(
            [alarm.came(3, now), alarm.came(3, now), alarm.came(3, now)],
            [Due::Nothing, Due::Nothing, Due::Tell(3)]
        );
        assert_eq!(alarm.due_at(), None);
    }
}
