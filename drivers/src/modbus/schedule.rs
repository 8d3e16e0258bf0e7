//! Who is asked next on a connection, and who has to wait: pure, takes `now`.
//!
//! One request is on the way at a time. Of the units whose time has come the one is asked whose period ends first, and it is
//! decided again after every request, so a contact read every 50 ms comes between the requests of a long poll.
//!
//! Two kinds of unit could take the others' time, and neither may:
//!
//! * **One that does not answer** costs its time-out. It is asked again after its period, then after twice that, and so on to
//!   [`LONGEST_WAIT`]; from its second failure on, everything that waits for silent units together gets one part in
//!   [`SILENT_SHARE`] of the connection's time as long as anybody answers.
//! * **One that answers slowly** holds the line for longer than somebody else's whole period, or wants more of the line than
//!   is left. It is read less often than it should be: the first kind gets one part in [`SLOW_SHARE`], the second what the
//!   less demanding units leave over, in equal parts.
//!
//! A poll that could not be made because the line was busy is counted as late, and a unit that misses too many is named once.

use std::time::{Duration, Instant};

/// Decides for one connection. Its table has one entry a unit; at most 248 share a line.
#[derive(Debug)]
pub struct Schedule {
    units: Vec<Unit>,
    /// No silent unit is asked before this.
    silent_from: Option<Instant>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask this unit.
    Ask(usize),
    /// Nobody before this.
    Wait(Instant),
    /// Nobody ever: all were taken out.
    Nobody,
}

/// How a poll kept its time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Kept {
    /// How many polls were left out since the one before.
    pub late: u32,
    /// Something an engineer should know, said once until it is over.
    pub cannot_keep: Option<CannotKeep>,
}

/// A unit cannot be read as often as it should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CannotKeep {
    /// What reading everything takes.
    pub took: Duration,
    /// Because it held the others up: it is slow itself.
    pub holds_others_up: bool,
}

/// The longest a silent unit waits, unless its own period is longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// TARGETS allow the others to lose one poll in twenty to a dead unit; this leaves room for what a time-out costs besides
/// itself.
const SILENT_SHARE: u32 = 25;
const SLOW_SHARE: u32 = 10;
/// Of the line's time; the rest is for silent units and for what is not measured.
const USABLE: f64 = 0.95;
/// Answered polls in a row after which a unit that was silent is trusted a little more.
const TRUSTED_AFTER: u32 = 16;
/// A unit is judged over this many polls, made or left out, and named if it missed more than one in twenty.
const JUDGED_OVER: u32 = 100;

#[derive(Debug)]
struct Unit {
    every: Duration,
    due: Instant,
    not_before: Instant,
    silent: bool,
    /// How often its wait was doubled; goes down again slowly, so that a unit that answers now and then stays cheap.
    failures: u32,
    answered: u32,
    /// This poll's requests so far: their sum, and the longest.
    spent: Duration,
    longest: Duration,
    /// The polls before, averaged.
    took: Duration,
    blocks_for: Duration,
    judged: Judged,
    out: bool,
}

#[derive(Debug, Default)]
struct Judged {
    made: u32,
    missed: u32,
    named: bool,
}

impl Schedule {
    /// Units by their periods, all due now.
    pub fn new(periods: impl IntoIterator<Item = Duration>, now: Instant) -> Self {
        let unit = |every: Duration| Unit {
            every: every.max(Duration::from_millis(1)),
            due: now,
            not_before: now,
            silent: false,
            failures: 0,
            answered: 0,
            spent: Duration::ZERO,
            longest: Duration::ZERO,
            took: Duration::ZERO,
            blocks_for: Duration::ZERO,
            judged: Judged::default(),
            out: false,
        };
        Self { units: periods.into_iter().map(unit).collect(), silent_from: None }
    }

    /// What to do at `now`.
    pub fn next(&self, now: Instant) -> Next {
        let held = self.silent_from.filter(|_| self.units.iter().any(|unit| !unit.out && !unit.silent));
        let ready_at = |unit: &Unit| {
            let ready = unit.due.max(unit.not_before);
            if unit.silent { ready.max(held.unwrap_or(ready)) } else { ready }
        };
        let waiting = || self.units.iter().enumerate().filter(|(_, unit)| !unit.out);
        let ready = waiting().filter(|(_, unit)| ready_at(unit) <= now);
        if let Some((index, _)) = ready.min_by_key(|(_, unit)| ready_at(unit) + unit.every) {
            return Next::Ask(index);
        }
        waiting().map(|(_, unit)| ready_at(unit)).min().map_or(Next::Nobody, Next::Wait)
    }

    /// A request to `unit` was answered after `took`, be it with an exception.
    pub fn answered(&mut self, unit: usize, now: Instant, took: Duration) {
        let Some(answering) = self.units.get_mut(unit) else { return };
        answering.spent += took;
        answering.longest = answering.longest.max(took);
        if !std::mem::take(&mut answering.silent) {
            return;
        }
        answering.due = now.min(answering.due.max(answering.not_before));
        answering.not_before = answering.due;
        self.silent_from = None;
        // If it is the only one, the line itself may be back.
        if self.units.iter().enumerate().all(|(index, other)| index == unit || other.silent || other.out) {
            for other in self.units.iter_mut().filter(|other| other.silent) {
                (other.due, other.not_before) = (now, now);
            }
        }
    }

    /// Everything of `unit` was asked for: the poll is over.
    pub fn finished(&mut self, unit: usize, now: Instant) -> Kept {
        let shortest = self.shortest_of_others(unit);
        let Some(polled) = self.units.get_mut(unit) else { return Kept::default() };
        let averaged = |before: Duration, last: Duration| if before.is_zero() { last } else { (before * 3 + last) / 4 };
        polled.took = averaged(polled.took, std::mem::take(&mut polled.spent));
        polled.blocks_for = averaged(polled.blocks_for, std::mem::take(&mut polled.longest));
        polled.answered += 1;
        if polled.answered >= TRUSTED_AFTER {
            (polled.answered, polled.failures) = (0, polled.failures.saturating_sub(1));
        }
        let (every, took, due) = (polled.every, polled.took, polled.due);
        let holds_others_up = shortest.is_some_and(|shortest| polled.blocks_for > shortest);
        let slow = if holds_others_up { took * SLOW_SHARE } else { Duration::ZERO };
        let crowded = match self.fair_share() {
            // Its own share of a line that has too little time for all.
            Some(share) if took.as_secs_f64() > every.as_secs_f64() * share => took.div_f64(share),
            _ => Duration::ZERO,
        };
        let earliest = due + every.max(slow).max(crowded);
        // The newest period that has begun is served at once; the ones before it are lost.
        let periods = periods(earliest.max(now).saturating_duration_since(due), every);
        let periods = if due + every * periods < earliest { periods + 1 } else { periods }.max(1);
        let late = periods - 1;
        let Some(polled) = self.units.get_mut(unit) else { return Kept::default() };
        polled.due = due + every * periods;
        polled.not_before = polled.due;
        Kept { late, cannot_keep: polled.judged.take(late).then_some(CannotKeep { took, holds_others_up }) }
    }

    /// `unit` did not answer, which took `took`: its poll is over, and it has to wait.
    pub fn silent(&mut self, unit: usize, now: Instant, took: Duration) {
        let others_answer =
            self.units.iter().enumerate().any(|(index, other)| index != unit && !other.out && !other.silent);
        let Some(failed) = self.units.get_mut(unit) else { return };
        let first = failed.every.max(took);
        let wait = first.saturating_mul(1 << failed.failures.min(16)).min(LONGEST_WAIT.max(first));
        failed.failures = (failed.failures + 1).min(8);
        failed.answered = 0;
        failed.silent = true;
        (failed.spent, failed.longest) = (Duration::ZERO, Duration::ZERO);
        (failed.due, failed.not_before) = (now + wait, now + wait);
        if others_answer && failed.failures > 1 {
            self.silent_from = Some(now + took * (SILENT_SHARE - 1));
        }
    }

    /// `unit` has nothing to be asked for before `at`; that is not late.
    pub fn postpone(&mut self, unit: usize, at: Instant) {
        if let Some(unit) = self.units.get_mut(unit) {
            (unit.spent, unit.longest) = (Duration::ZERO, Duration::ZERO);
            unit.due = unit.due.max(at);
            unit.not_before = unit.due;
        }
    }

    /// There is no connection before `at`; everybody is due then, and nothing that was missed until then is late.
    pub fn postpone_all(&mut self, at: Instant) {
        for unit in &mut self.units {
            (unit.spent, unit.longest) = (Duration::ZERO, Duration::ZERO);
            (unit.due, unit.not_before, unit.silent) = (at, at, false);
        }
        self.silent_from = None;
    }

    /// Nobody wants to know of `unit` any more.
    pub fn take_out(&mut self, unit: usize) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.out = true;
        }
    }

    fn shortest_of_others(&self, unit: usize) -> Option<Duration> {
        let others =
            self.units.iter().enumerate().filter(|(index, other)| *index != unit && !other.out && !other.silent);
        others.map(|(_, other)| other.every).min()
    }

    /// The largest share of the line's time that everybody who wants that much can have. `None` if there is enough for all.
    fn fair_share(&self) -> Option<f64> {
        let demand = |unit: &Unit| unit.took.as_secs_f64() / unit.every.as_secs_f64();
        let asking = || self.units.iter().filter(|unit| !unit.out && !unit.silent);
        if asking().map(demand).sum::<f64>() <= USABLE {
            return None;
        }
        let mut demands: Vec<f64> = asking().map(demand).collect();
        demands.sort_unstable_by(f64::total_cmp);
        let mut left = USABLE;
        for (served, demand) in demands.iter().enumerate() {
            let share = left / (demands.len() - served) as f64;
            if *demand > share {
                return Some(share);
            }
            left -= demand;
        }
        None
    }
}

impl Judged {
    /// Takes one poll and the `late` ones before it; says whether the unit has to be named now.
    fn take(&mut self, late: u32) -> bool {
        self.made += 1;
        self.missed = self.missed.saturating_add(late);
        if self.made.saturating_add(self.missed) < JUDGED_OVER {
            return false;
        }
        let bad = self.missed > (self.made.saturating_add(self.missed)) / 20;
        let names = bad && !self.named;
        *self = Self { named: bad, ..Self::default() };
        names
    }
}

/// How many whole periods fit.
fn periods(time: Duration, every: Duration) -> u32 {
    (time.as_nanos() / every.as_nanos().max(1)).min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests;
