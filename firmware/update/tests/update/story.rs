//! The whole of an update, with power cut wherever it can be: what starts is always the former image or the new one, whole;
//! and sooner or later it is the new one.

use crate::chip::{Chip, Noise, Part};
use proptest::prelude::*;
use quaywatch_update::{
    BLOCK_BYTES, Board, Finish, MANIFEST_BYTES, Next, Node, Refusal, Started, State, TRIAL_MS, Update, Version, pack,
    prepare, public_key,
};
use std::{cell::RefCell, rc::Rc};

const SECRET: [u8; 32] = [3; 32];
const OLD: Version = Version(4);
const NEW: Version = Version(7);

/// A node with slots of `N` and `N + 1` erase units and two for the state, on which the former image runs.
struct Device<const UNIT: usize, const ERASE: usize, const N: usize> {
    chip: Rc<RefCell<Chip>>,
    old: Vec<u8>,
    new: Vec<u8>,
    manifest: [u8; MANIFEST_BYTES],
}

/// Whether the new image passes, by the number of its trial; the last one counts for all that follow.
type Trials = &'static [Trial];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Passes,
    FailsItsTest,
    HearsNobody,
    Hangs,
}

impl<const UNIT: usize, const ERASE: usize, const N: usize> Device<UNIT, ERASE, N> {
    fn new() -> Self {
        let chip = Chip::blank((2 * N + 3) * ERASE);
        let mut noise = Noise(99);
        let old = noise.bytes(N * ERASE);
        let mut new = noise.bytes(N * ERASE - 91);
        // Blank stretches, as real images have them: flash does not tell them from what was not received.
        let middle = new.len() / 2;
        new[middle..middle + 2 * BLOCK_BYTES].fill(0xff);
        let end = new.len();
        new[end - BLOCK_BYTES / 2..].fill(0xff);
        let manifest = pack(&SECRET, Board::Nrf52840, NEW, &new).unwrap().to_bytes();
        let device = Self { chip, old, new, manifest };
        device.active().damage(|content| content.copy_from_slice(&device.old));
        device
    }

    fn active(&self) -> Part<UNIT, ERASE> {
        Part::of(&self.chip, 0, N * ERASE)
    }

    fn next(&self) -> Part<UNIT, ERASE> {
        Part::of(&self.chip, N * ERASE, (N + 1) * ERASE)
    }

    fn state(&self) -> Part<UNIT, ERASE> {
        Part::of(&self.chip, (2 * N + 1) * ERASE, 2 * ERASE)
    }

    /// Which image would start. Panics if it is a mix.
    fn runs(&self) -> Version {
        let active = self.active().content();
        if active == self.old {
            OLD
        } else if active[..self.new.len()] == self.new {
            NEW
        } else {
            panic!("neither image is whole");
        }
    }

    /// Lives through updates until the new image is confirmed. After each power cut the next of `cuts` (operations until
    /// then, seed) is armed. Returns how many boots it took.
    fn live(&self, trials: Trials, cuts: &[(u64, u64)]) -> usize {
        let mut cuts = cuts.iter();
        let mut arm = |chip: &mut Chip| {
            chip.power_on();
            if let Some((after, seed)) = cuts.next() {
                chip.cut_after(*after, *seed);
            }
        };
        arm(&mut self.chip.borrow_mut());
        let (mut had, mut tried, mut confirmed) = (0, 0, false);
        for boot in 1..200 {
            let was_cut = !self.chip.borrow().is_powered();
            if was_cut {
                arm(&mut self.chip.borrow_mut());
            }
            if self.boot(trials, &mut had, &mut tried, &mut confirmed).is_some() {
                return boot;
            }
        }
        panic!("the update never ends");
    }

    /// One boot; `Some` once the new image is known to be confirmed, `None` after a reset or a power cut.
    fn boot(&self, trials: Trials, had: &mut u32, tried: &mut usize, confirmed: &mut bool) -> Option<()> {
        let started = self.unless_cut(prepare(self.active(), self.next(), self.state()))?;
        let runs = self.runs();
        let node = Node { board: Board::Nrf52840, runs, keys: [None, Some(public_key(&SECRET))] };
        let mut update = self.unless_cut(Update::open(self.next(), self.state(), node, 1000))?;
        match update.state() {
            State::OnTrial(version) => assert_eq!((version, runs, started), (NEW, NEW, Started::OnTrial)),
            State::Marked(_) => panic!("marked, and the bootloader did not swap"),
            State::Reverted(version) => assert_eq!((version, runs), (NEW, OLD)),
            // Nothing but a confirmation makes the new image stay.
            State::Settled => *confirmed |= runs == NEW,
        }
        if *confirmed {
            assert_eq!((runs, update.state(), update.floor()), (NEW, State::Settled, NEW));
            return Some(());
        }
        assert_eq!(update.floor(), if runs == OLD { OLD } else { Version(0) }, "not confirmed, and the floor is up");
        if runs == NEW {
            let trial = trials[(*tried).min(trials.len() - 1)];
            *tried += 1;
            self.trial(&mut update, trial, confirmed);
            return None;
        }
        let mut has = self.unless_cut(update.begin(&self.manifest))?;
        // At worst the erase unit begins anew, and the block before it is asked for again.
        let least = (had.saturating_sub(1) / ERASE as u32 * ERASE as u32).saturating_sub(BLOCK_BYTES as u32);
        assert!((least..=self.new.len() as u32).contains(&has), "had {had}, has {has}");
        while (has as usize) < self.new.len() {
            *had = (*had).max(has);
            let block = &self.new[has as usize..self.new.len().min(has as usize + BLOCK_BYTES)];
            has = self.unless_cut(update.block(has, block))?;
            if let Some(before) = has.checked_sub(BLOCK_BYTES as u32) {
                // The line repeats itself.
                assert_eq!(update.block(before, &self.new[..BLOCK_BYTES]), Ok(has));
            }
        }
        *had = has;
        while self.unless_cut(update.finish())? == Finish::Working {}
        assert_eq!((update.state(), update.finish()), (State::Marked(NEW), Ok(Finish::Marked)));
        None
    }

    fn trial(&self, update: &mut Update<Part<UNIT, ERASE>, Part<UNIT, ERASE>>, trial: Trial, confirmed: &mut bool) {
        assert_eq!(update.begin(&self.manifest), Err(Refusal::OnTrial), "the slot holds what it may go back to");
        assert_eq!(update.turn(1000 + TRIAL_MS - 1), Next::Stay);
        match trial {
            Trial::Hangs => {}
            Trial::FailsItsTest => {
                update.heard();
                update.tested(false);
                update.tested(true);
                assert_eq!(update.turn(2000), Next::Restart);
            }
            Trial::HearsNobody => {
                update.tested(true);
                assert_eq!(update.turn(1000 + TRIAL_MS - 1), Next::Stay);
                assert_eq!(update.turn(1000 + TRIAL_MS), Next::Restart);
            }
            Trial::Passes => {
                update.heard();
                assert_eq!((update.turn(2000), update.state()), (Next::Stay, State::OnTrial(NEW)));
                update.tested(true);
                assert_eq!(update.turn(3000), Next::Stay);
                if self.chip.borrow().is_powered() {
                    assert_eq!((update.state(), update.floor()), (State::Settled, NEW));
                    *confirmed = true;
                }
            }
        }
    }

    /// What works while there is power.
    fn unless_cut<T, E: std::fmt::Debug>(&self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(why) => {
                assert!(!self.chip.borrow().is_powered(), "{why:?}, and power is there");
                None
            }
        }
    }
}

/// The former image comes back twice before the new one stays.
const THIRD_PASSES: Trials = &[Trial::FailsItsTest, Trial::HearsNobody, Trial::Passes];
const HANGS_FIRST: Trials = &[Trial::Hangs, Trial::Passes];

/// Cuts power once, in each operation of the whole story, in several ways.
fn cut_everywhere<const UNIT: usize, const ERASE: usize, const N: usize>(trials: Trials, ways: u64) {
    let whole = Device::<UNIT, ERASE, N>::new();
    assert_eq!(whole.live(trials, &[]), 2 * trials.len() + 1, "receive, trial, receive, trial, ..., confirmed");
    let operations = whole.chip.borrow().operations();
    for operation in 0..operations {
        for seed in 0..ways {
            eprintln!("power goes in operation {operation} of {operations}, seed {seed}");
            Device::<UNIT, ERASE, N>::new().live(trials, &[(operation, seed)]);
        }
    }
}

#[test]
fn power_cut_in_every_operation_with_small_pages() {
    cut_everywhere::<4, 1024, 3>(THIRD_PASSES, 8);
}

#[test]
fn power_cut_in_every_operation_with_one_large_sector_as_on_an_stm32f405() {
    cut_everywhere::<4, 4096, 1>(THIRD_PASSES, 8);
}

#[test]
fn power_cut_in_every_operation_with_single_bytes_as_on_an_rp2040() {
    cut_everywhere::<1, 512, 4>(HANGS_FIRST, 8);
}

#[test]
fn power_cut_in_every_operation_with_wide_units() {
    cut_everywhere::<32, 512, 5>(HANGS_FIRST, 8);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Power that goes again and again, also while the traces of the cut before are cleared away.
    #[test]
    fn power_cut_many_times(cuts in prop::collection::vec((0u64..120, any::<u64>()), 1..30)) {
        Device::<4, 1024, 3>::new().live(THIRD_PASSES, &cuts);
        Device::<4, 4096, 1>::new().live(HANGS_FIRST, &cuts);
    }

    /// Power that hardly lasts: a few operations at a time.
    #[test]
    fn power_cut_soon_after_each_start(cuts in prop::collection::vec((0u64..6, any::<u64>()), 1..80)) {
        Device::<4, 512, 4>::new().live(HANGS_FIRST, &cuts);
    }
}
