//! What a board runs: images in two slots, the bootloader's own code between them, and a few programs that go wrong.

use super::KIND;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use quaywatch_node::{
    Millis, Updates,
    emulation::{EmulatedFlash, Noise},
};
use quaywatch_schemas::frame::message::{Done, Refusal};
use quaywatch_update::{Node, PublicKey, Started, Update, Version, prepare};
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of an image once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It works.
    Works,
    /// It does nothing at all, until the watchdog bites.
    Hangs,
    /// It works, and does not take in that the gateway speaks to it. Its clock is fast: the trial ends after three seconds.
    Deaf,
}

/// An image of so many bytes.
pub fn image(version: u32, way: Way, bytes: usize) -> Vec<u8> {
    let mut image = [&version.to_le_bytes()[..], &[way as u8]].concat();
    let mut noise = Noise(u64::from(version));
    image.resize_with(bytes, || noise.next() as u8);
    image
}

/// Slots, and the bootloader's state. A clone is the same flash.
#[derive(Clone)]
pub(super) struct Images {
    active: EmulatedFlash,
    next: EmulatedFlash,
    state: EmulatedFlash,
    count: Arc<Mutex<(usize, usize)>>,
}

/// Pages of the slot that images run from.
const PAGES: usize = 8;

impl Images {
    pub(super) fn new(version: u32) -> Self {
        let flash = EmulatedFlash::in_memory;
        let mut active = flash(PAGES);
        active.write(0, &image(version, Way::Works, 4096)).expect("blank");
        Self { active, next: flash(PAGES + 1), state: flash(2), count: Arc::default() }
    }

    pub(super) fn copy(&self) -> Self {
        let Self { active, next, state, .. } = self;
        Self { active: active.copy(), next: next.copy(), state: state.copy(), count: Arc::default() }
    }

    pub(super) fn received(&self) -> (usize, usize) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reset does: the bootloader swaps or goes back, and what is there then starts. Its version, and what it does
    /// with images.
    pub(super) fn start(&self, trusts: Option<PublicKey>, now: Millis) -> (u32, Received) {
        let (active, next, state) = (self.active.clone(), self.next.clone(), self.state.clone());
        prepare(active, next.clone(), state.clone()).expect("there is power");
        let mut head = [0; 8];
        self.active.clone().read(0, &mut head).expect("there is power");
        let [a, b, c, d, way, ..] = head;
        if way == Way::Hangs as u8 {
            assert_eq!(prepare(self.active.clone(), next, state), Ok(Started::Reverted), "the watchdog bit");
            return self.start(trusts, now);
        }
        let version = u32::from_le_bytes([a, b, c, d]);
        let is_deaf = way == Way::Deaf as u8;
        let node = Node { board: KIND, runs: Version(version), keys: [trusts, None] };
        let update = Update::open(next, state, node, speed(is_deaf) * now).expect("the slots fit");
        (version, Received { update, is_deaf, count: Arc::clone(&self.count) })
    }
}

/// What takes images in, and counts.
pub(super) struct Received {
    update: Update<EmulatedFlash, EmulatedFlash>,
    is_deaf: bool,
    count: Arc<Mutex<(usize, usize)>>,
}

impl Updates for Received {
    fn begin(&mut self, manifest: &[u8]) -> Result<Done, Refusal> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
        Updates::begin(&mut self.update, manifest)
    }

    fn block(&mut self, offset: u32, bytes: &[u8]) -> Result<Done, Refusal> {
        let done = Updates::block(&mut self.update, offset, bytes);
        let is_new = matches!(done, Ok(Done::Has(has)) if has > offset);
        self.count.lock().unwrap_or_else(PoisonError::into_inner).0 += usize::from(is_new);
        done
    }

    fn finish(&mut self) -> Result<Done, Refusal> {
        Updates::finish(&mut self.update)
    }

    fn heard(&mut self) {
        if !self.is_deaf {
            Updates::heard(&mut self.update);
        }
    }

    fn is_on_trial(&self) -> bool {
        self.update.is_on_trial()
    }

    fn tested(&mut self, passed: bool) {
        Updates::tested(&mut self.update, passed);
    }

    fn turn(&mut self, now: Millis) -> bool {
        Updates::turn(&mut self.update, speed(self.is_deaf) * now)
    }
}

fn speed(is_deaf: bool) -> u64 {
    if is_deaf { 100 } else { 1 }
}
