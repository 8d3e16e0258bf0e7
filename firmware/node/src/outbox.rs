//! Frames that the gateway has not acknowledged: alarms in flash from the moment they are made, routine ones in RAM until
//! there are many or the gateway stays away.

use crate::{
    Millis,
    store::{Moment, Payload, Store},
};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use heapless::Vec;
use quaywatch_schemas::frame::{
    channel::CHANNELS,
    message::{Missing, Stored, Value, samples_of},
};

/// Routine frames in RAM; the next one pushes the oldest into flash.
const IN_RAM: usize = 8;
/// A routine frame older than this goes into flash: the gateway is away, and power may go too.
const INTO_FLASH_AFTER_MS: Millis = 60_000;
/// A frame without an acknowledgement is sent again after this. The gateway's ledger may take a while to sync; a frame
/// that got lost is asked for explicitly long before.
const AGAIN_AFTER_MS: u32 = 3_000;

/// What is to be sent.
pub(crate) struct Outbox<F> {
    store: Store<F>,
    ram: Vec<Fresh, IN_RAM>,
    last_turn: Option<Moment>,
}

struct Fresh {
    counter: u64,
    payload: Payload,
    made: Millis,
    sent: Option<Moment>,
}

impl<F: NorFlash> Outbox<F> {
    /// An outbox whose store was not opened yet.
    #[inline]
    pub(crate) fn new(store: Store<F>) -> Self {
        Self { store, ram: Vec::new(), last_turn: None }
    }

    /// Forgets what is in RAM only: it is of another store.
    pub(crate) fn clear(&mut self) {
        self.ram.clear();
        self.last_turn = None;
    }

    pub(crate) fn store(&self) -> &Store<F> {
        &self.store
    }

    pub(crate) fn store_mut(&mut self) -> &mut Store<F> {
        &mut self.store
    }

    pub(crate) fn release(self) -> F {
        self.store.release()
    }

    /// Makes a frame and keeps it; says its counter. An alarm that flash refuses is kept in RAM.
    pub(crate) fn put(
        &mut self,
        alarm: bool,
        now: Millis,
        make: impl FnOnce(u32, u32, &mut Payload) -> Result<(), NorFlashErrorKind>,
    ) -> Result<u64, NorFlashErrorKind> {
        let (counter, follows) = self.store.take_counter()?;
        let mut fresh = Fresh { counter, payload: Payload::new(), made: now, sent: None };
        make(self.store.boot(), follows, &mut fresh.payload)?;
        if alarm && self.store.keep(counter, true, &fresh.payload, &mut count).is_ok() {
            return Ok(counter);
        }
        if self.ram.is_full() {
            self.spill_oldest();
        }
        let _ = self.ram.push(fresh);
        Ok(counter)
    }

    /// Puts routine frames into flash that have waited long.
    pub(crate) fn tick(&mut self, now: Millis) {
        while self.ram.first().is_some_and(|fresh| now.saturating_sub(fresh.made) > INTO_FLASH_AFTER_MS) {
            self.spill_oldest();
        }
    }

    /// Puts everything into flash: RAM will be lost.
    pub(crate) fn put_all_into_flash(&mut self) {
        while !self.ram.is_empty() {
            self.spill_oldest();
        }
    }

    /// The oldest counter that is kept, or the next one.
    pub(crate) fn oldest(&mut self) -> u64 {
        let flash = self.store.kept().first().map(|kept| kept.counter);
        let ram = self.ram.first().map(|fresh| fresh.counter);
        flash.into_iter().chain(ram).min().unwrap_or(self.store.next())
    }

    /// How many are kept.
    pub(crate) fn len(&mut self) -> usize {
        self.store.kept().len() + self.ram.len()
    }

    /// The next frame to send: alarms first once more is due than a turn can carry, in order otherwise.
    pub(crate) fn next(&mut self, now: Millis, in_turn: usize) -> Option<(u64, Payload)> {
        loop {
            let (mut oldest, mut oldest_alarm, mut due) = (None::<u64>, None::<u64>, 0);
            for kept in self.store.kept().iter().filter(|kept| is_due(kept.sent, now)) {
                due += 1;
                oldest = oldest.or(Some(kept.counter));
                oldest_alarm = oldest_alarm.or(kept.alarm.then_some(kept.counter));
            }
            for fresh in self.ram.iter().filter(|fresh| is_due(fresh.sent, now)) {
                due += 1;
                oldest = Some(oldest.map_or(fresh.counter, |other| other.min(fresh.counter)));
            }
            let counter = if due > in_turn { oldest_alarm.or(oldest) } else { oldest }?;
            self.last_turn = Some(Moment::at(now));
            if let Some(fresh) = self.ram.iter_mut().find(|fresh| fresh.counter == counter) {
                fresh.sent = Some(Moment::at(now));
            }
            if let Some(kept) = self.store.kept().iter_mut().find(|kept| kept.counter == counter) {
                kept.sent = Some(Moment::at(now));
            }
            match self.payload(counter) {
                Ok(Some(payload)) => return Some((counter, payload)),
                // Flash lost it.
                Ok(None) => self.store.forget(counter),
                // Flash does not read now.
                Err(_) => return None,
            }
        }
    }

    /// A kept frame's message.
    pub(crate) fn payload(&mut self, counter: u64) -> Result<Option<Payload>, NorFlashErrorKind> {
        let fresh = self.ram.iter().find(|fresh| fresh.counter == counter);
        match fresh {
            Some(fresh) => Ok(Some(fresh.payload.clone())),
            None => self.store.payload(counter),
        }
    }

    /// Whether something is due.
    pub(crate) fn has_more(&mut self, now: Millis) -> bool {
        self.store.kept().iter().any(|kept| is_due(kept.sent, now))
            || self.ram.iter().any(|fresh| is_due(fresh.sent, now))
    }

    /// Lets go what is on the gateway's disk.
    pub(crate) fn acknowledge(&mut self, stored: &Stored) {
        if stored.epoch == self.store.epoch() {
            self.ram.retain(|fresh| !stored.covers(fresh.counter));
            // If flash fails here, frames come twice after a power cut; the ledger knows them.
            let _ = self.store.acknowledge(stored);
        }
    }

    /// Everything is to be sent again.
    pub(crate) fn again_all(&mut self) {
        self.unsend(|_, _| true);
    }

    /// The first frame at or after `counter` is to be sent again.
    pub(crate) fn again(&mut self, counter: u64) {
        let flash = self.store.kept().iter().map(|kept| kept.counter).find(|kept| *kept >= counter);
        let ram = self.ram.iter().map(|fresh| fresh.counter).find(|fresh| *fresh >= counter);
        if let Some(first) = flash.into_iter().chain(ram).min() {
            self.unsend(|found, _| found == first);
        }
    }

    /// Everything that was sent in the last turn is to be sent again.
    pub(crate) fn again_last_turn(&mut self) {
        let last = self.last_turn;
        self.unsend(|_, sent| sent.is_some() && sent == last);
    }

    fn unsend(&mut self, which: impl Fn(u64, Option<Moment>) -> bool) {
        for kept in self.store.kept().iter_mut().filter(|kept| which(kept.counter, kept.sent)) {
            kept.sent = None;
        }
        for fresh in self.ram.iter_mut().filter(|fresh| which(fresh.counter, fresh.sent)) {
            fresh.sent = None;
        }
    }

    #[inline(never)]
    fn spill_oldest(&mut self) {
        if self.ram.is_empty() {
            return;
        }
        let fresh = self.ram.remove(0);
        if self.store.keep(fresh.counter, false, &fresh.payload, &mut count).is_err() {
            count(&fresh.payload, self.store.shed_counts());
        } else if let Some(kept) = self.store.kept().iter_mut().find(|kept| kept.counter == fresh.counter) {
            kept.sent = fresh.sent;
        }
    }
}

fn is_due(sent: Option<Moment>, now: Millis) -> bool {
    sent.is_none_or(|at| at.until(now) >= AGAIN_AFTER_MS)
}

/// Counts the words of a frame that is let go; a word that told of such a loss counts as what it told.
#[inline(never)]
fn count(payload: &[u8], counts: &mut [u32; CHANNELS]) {
    for sample in samples_of(payload) {
        let lost = if let Value::Missing(Missing::Overload(lost)) = sample.value { lost } else { 1 };
        let count = &mut counts[sample.channel.index()];
        *count = count.saturating_add(lost);
    }
}
