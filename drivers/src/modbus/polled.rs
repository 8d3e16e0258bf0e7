//! What an answer, a refusal or silence does to the reads of one device: pure, takes `now`.
//!
//! * A read the device refuses because of an address in it is split until the refusal is down to the points that are wrong;
//!   the others are read from then on as if nothing had happened. If in the end everything is refused (a PLC in programming
//!   mode refuses all it has), the original reads are tried again.
//! * A read that is not answered may be one this device ignores instead of refusing it, so the device counts as silent only
//!   if two different reads in a row are not answered (or the only one it has). While it is silent its reads are tried in
//!   turn, so that one that is always ignored cannot hide a device that is back.
//! * What fails is tried again after the device's period, then after twice that, and so on.

use super::{
    Device,
    plan::{Plan, Read, plan},
    schedule::LONGEST_WAIT,
};
use std::time::{Duration, Instant};

/// One device's reads.
#[derive(Debug)]
pub struct Polled {
    /// The device.
    pub device: Device,
    plan: Plan,
    slots: Vec<Slot>,
    cursor: usize,
    unanswered: usize,
    silent: bool,
}

/// What to do about a read that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was split: go on with its parts in the same poll.
    Split,
    /// Its points cannot be read.
    Points {
        /// It could be read until now, or never was.
        news: bool,
        /// So is everything else this device has.
        everything: bool,
    },
}

/// Who did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// As far as is known this read only.
    Read,
    /// The device: its poll is over.
    Device,
}

#[derive(Debug, Clone)]
struct Slot {
    read: Read,
    failures: u32,
    not_before: Option<Instant>,
    refused: bool,
}

impl Polled {
    /// Plans the reads.
    pub fn new(device: Device) -> Self {
        let plan = plan(&device.points, &device.blocks);
        let slots = slots(&plan);
        Self { device, plan, slots, cursor: 0, unanswered: 0, silent: false }
    }

    /// The requests that were planned, and what cannot be planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next read of this poll. `None` when the poll is over; the one after that begins a new poll.
    pub fn next(&mut self, now: Instant) -> Option<usize> {
        let may = |slot: &Slot| self.silent || slot.not_before.is_none_or(|from| from <= now);
        let next = self.slots.iter().enumerate().skip(self.cursor).find(|(_, slot)| may(slot)).map(|(index, _)| index);
        self.cursor = next.unwrap_or(0);
        next
    }

    /// Whether anything of the poll that has begun is left; if not, the next call of [`Self::next`] begins a new one.
    pub fn is_over(&mut self, now: Instant) -> bool {
        self.next(now).is_none()
    }

    /// When the next poll has something to read, if it has nothing at `now`.
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        let rests = |slot: &Slot| slot.not_before.filter(|from| *from > now);
        self.slots.iter().map(rests).collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// What a read asks for.
    pub fn read(&self, slot: usize) -> &Read {
        &self.slots[slot].read
    }

    /// Whether the device did not answer when it was asked last.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The device answered.
    pub fn answered(&mut self, slot: usize) {
        (self.unanswered, self.silent, self.cursor) = (0, false, slot + 1);
        let slot = &mut self.slots[slot];
        (slot.failures, slot.not_before, slot.refused) = (0, None, false);
    }

    /// The device answered with an exception.
    pub fn refused(&mut self, slot: usize, code: u8, now: Instant) -> Refused {
        (self.unanswered, self.silent) = (0, false);
        // "No such address", and what some devices say instead.
        if matches!(code, 2 | 3)
            && let Some((low, high)) = self.slots[slot].read.split(&self.device.points)
        {
            self.cursor = slot;
            self.slots.splice(slot..=slot, [Slot::new(low), Slot::new(high)]);
            return Refused::Split;
        }
        self.cursor = slot + 1;
        let every = self.device.every;
        let refused = &mut self.slots[slot];
        let news = !std::mem::replace(&mut refused.refused, true);
        // A busy device says so itself, and means now.
        if !matches!(code, 5 | 6) {
            refused.wait(now, every);
        }
        let everything = self.slots.iter().all(|slot| slot.refused);
        if everything && self.slots.len() > self.plan.reads.len() {
            let longest = self.slots.iter().filter_map(|slot| slot.not_before).max();
            let failures = self.slots.iter().map(|slot| slot.failures).max().unwrap_or(0);
            self.slots = slots(&self.plan);
            for slot in &mut self.slots {
                (slot.failures, slot.not_before, slot.refused) = (failures, longest, true);
            }
            self.cursor = self.slots.len();
        }
        Refused::Points { news, everything }
    }

    /// The device did not answer, and waiting for it took `took`.
    pub fn unanswered(&mut self, slot: usize, now: Instant, took: Duration) -> Unanswered {
        self.unanswered += 1;
        let every = self.device.every;
        self.slots[slot].wait(now, every.max(took));
        if !self.silent && self.unanswered < self.slots.len().min(2) {
            self.cursor = slot + 1;
            return Unanswered::Read;
        }
        self.silent = true;
        self.cursor = (slot + 1) % self.slots.len();
        Unanswered::Device
    }

    /// The connection is gone; when it is back everything is read at once.
    pub fn disconnected(&mut self) {
        (self.cursor, self.unanswered, self.silent) = (0, 0, false);
        for slot in &mut self.slots {
            (slot.failures, slot.not_before) = (0, None);
        }
    }
}

impl Slot {
    fn new(read: Read) -> Self {
        Self { read, failures: 0, not_before: None, refused: false }
    }

    fn wait(&mut self, now: Instant, first: Duration) {
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT.max(first));
        self.failures += 1;
        self.not_before = Some(now + wait);
    }
}

fn slots(plan: &Plan) -> Vec<Slot> {
    plan.reads.iter().cloned().map(Slot::new).collect()
}

#[cfg(test)]
mod tests;
