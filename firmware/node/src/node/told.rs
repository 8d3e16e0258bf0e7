//! What people tell a node: orders over the link, and enrolment by somebody who stands before it.

use super::{Keeper, Node, Turn};
use crate::{
    Locked, Millis, Updates,
    identity::{self, Identity},
    link::Link,
    outbox::Outbox,
    sensing::Senses,
    settings,
    store::Store,
};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use heapless::Vec;
use quaywatch_schemas::frame::{
    Clear, NodeKey,
    console::{self, Enrol, Nameplate, ToNode},
    in_clear,
    message::{
        Answer, Done, Findings, NewKey, Order, Refusal, SETTINGS_BYTES, SettingsState, TRIAL_SECONDS, Task, Transfer,
    },
};

/// An answer is on the wire before the node starts again: at 1200 baud it takes half a second.
const RESTART_AFTER_MS: Millis = 1_000;
/// Numbers that a node can have: 0 and 65535 are nobody's.
const NUMBERS: core::ops::RangeInclusive<u16> = 1..=65_534;

type Settings = Vec<u8, SETTINGS_BYTES>;

/// What was told and is not done yet.
#[derive(Default)]
pub(super) struct Told {
    /// The last order of a session, and what was answered.
    last: Option<(u64, u32, Result<Done, Refusal>)>,
    receiving: Receiving,
    /// Settings on their way; after they came, those on trial.
    staged: Settings,
    /// Until when settings are on trial.
    trial: Option<Millis>,
    blink_until: Millis,
    restart_at: Option<Millis>,
}

/// What comes in blocks.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Receiving {
    #[default]
    Nothing,
    Settings {
        length: u16,
        digest: [u8; 32],
    },
    Image,
}

impl<F: NorFlash, U: Updates> Node<F, U> {
    /// Whether somebody holds the presence input, or a wired console is plugged in: only then the node listens to what
    /// anybody can say, and can be enrolled.
    pub fn set_presence(&mut self, held: bool) {
        self.present = held;
    }

    /// Whether the lamp is to blink, so that a person finds the node.
    pub fn blinks(&self, now: Millis) -> bool {
        now < self.told.blink_until
    }

    /// Whether the board is to reset the chip now. All that was acknowledged to anybody is in flash.
    pub fn wants_restart(&self, now: Millis) -> bool {
        self.told.restart_at.is_some_and(|at| at <= now)
    }

    /// Becomes who flash says it is, or whom it was given to be.
    pub(super) fn begin(&mut self, now: Millis) {
        let Some(mut flash) = self.take_flash() else { return };
        let found = match identity::read(&mut flash) {
            Ok(found) => found,
            Err(why) => return self.keeper = Keeper::Locked(Locked::Fails(why), Some(flash)),
        };
        let given = self.config.given.as_ref().map(|(number, key)| Identity {
            number: *number,
            key: NewKey(key.bytes()),
            next: None,
            has_store: true,
            settings: Settings::new(),
        });
        let Some(mut identity) = found.or(given) else {
            self.link = None;
            return self.keeper = Keeper::Locked(Locked::NotEnrolled, Some(flash));
        };
        let (key, next) = (NodeKey::from(identity.key), identity.next.map(NodeKey::from));
        self.keeper = match open(flash, &mut identity, &key, self.entropy) {
            Ok(store) => Keeper::Open(Outbox::new(store)),
            Err((why, flash)) => Keeper::Locked(why, Some(flash)),
        };
        let (epoch, boot) = match &self.keeper {
            Keeper::Open(outbox) => (outbox.store().epoch(), outbox.store().boot()),
            // Nothing is known of earlier boots: only randomness keeps this one apart from them.
            Keeper::Locked(..) => (self.entropy, 0),
        };
        self.link = Some(Link::new(identity.number, key, next, epoch, boot));
        self.work_by(&identity.settings, now);
    }

    /// Whatever is due by now.
    pub(super) fn tick_told(&mut self, now: Millis) {
        if self.told.trial.is_some_and(|until| until <= now) {
            self.take_back(now);
        }
        if self.updates.turn(now) && self.told.restart_at.is_none() {
            self.restart(now, 0);
        }
    }

    /// Carries out an order and says what became of it.
    pub(super) fn obey(&mut self, session: u64, answers: u64, order: Order, now: Millis) -> Answer {
        let Order { number, task } = order;
        let result = match self.told.last {
            Some((of, last, result)) if of == session && last == number && result != Ok(Done::Working) => result,
            Some((of, last, _)) if of == session && number < last => Err(Refusal::Stale),
            _ => {
                let result = self.carry_out(task, now);
                self.told.last = Some((session, number, result));
                result
            }
        };
        Answer { answers, number, result }
    }

    /// The gateway used the key that it gave: from here on only that one counts.
    pub(super) fn turn_to_next_key(&mut self) {
        let Some(link) = &mut self.link else { return };
        link.turn_to_next();
        let key = NewKey(link.keys().0.bytes());
        // If flash fails both keys are read after the next boot, and the gateway uses this one.
        let _ = self.change_identity(|identity| (identity.key, identity.next) = (key, None));
    }

    /// Answers who stands before the node.
    pub(super) fn converse(&mut self, clear: &Clear, now: Millis) -> Option<Turn> {
        if !self.present {
            return None;
        }
        let said = match clear.message().ok()? {
            ToNode::WhoAreYou => console::FromNode::Is(self.nameplate()),
            ToNode::Settings { offset, bytes } => {
                self.end_transfer(now);
                if offset == 0 {
                    self.told.staged.clear();
                }
                if usize::from(offset) == self.told.staged.len() {
                    // What does not fit is not here, and the digest will not be right.
                    let _ = self.told.staged.extend_from_slice(&bytes);
                }
                console::FromNode::Has(self.told.staged.len() as u16)
            }
            ToNode::Enrol(enrol) => match self.enrol(&enrol, now) {
                Ok(()) => console::FromNode::Is(self.nameplate()),
                Err(why) => console::FromNode::Refused(why),
            },
        };
        let mut turn = Turn::new();
        turn.push(0).ok()?;
        turn.extend_from_slice(&in_clear(&said).ok()?).ok()?;
        Some(turn)
    }

    fn nameplate(&self) -> Nameplate {
        let number = self.link.as_ref().map(Link::number);
        Nameplate { chip: self.config.plate.chip, runs: self.config.plate.runs, number }
    }

    fn enrol(&mut self, enrol: &Enrol, now: Millis) -> Result<(), Refusal> {
        if !NUMBERS.contains(&enrol.number) {
            return Err(Refusal::BadSettings);
        }
        let known = self.flash().and_then(|flash| identity::read(flash).ok().flatten());
        if matches!(self.keeper, Keeper::Open(_)) && known.is_some_and(|known| is_enrolled_so(&known, enrol)) {
            return Ok(());
        }
        self.end_transfer(now);
        let settings = match enrol.settings {
            None => Settings::new(),
            Some((length, digest)) => {
                if self.told.staged.len() != usize::from(length) {
                    return Err(Refusal::Incomplete);
                }
                if *blake3::hash(&self.told.staged).as_bytes() != digest {
                    return Err(Refusal::BadDigest);
                }
                settings::Settings::from_bytes(&self.told.staged).map_err(|_| Refusal::BadSettings)?;
                self.told.staged.clone()
            }
        };
        let key = NodeKey::from(enrol.key);
        let is_it = |link: &Link| link.number() == enrol.number && *link.keys().0 == key;
        let same = matches!(self.keeper, Keeper::Open(_)) && self.link.as_ref().is_some_and(is_it);
        // Frames of whom it was before are nobody's now.
        let identity = Identity { number: enrol.number, key: enrol.key, next: None, has_store: same, settings };
        let flash = self.flash().ok_or(Refusal::Flash)?;
        identity::write(flash, &identity).map_err(|_| Refusal::Flash)?;
        if same {
            self.work_by(&identity.settings, now);
        } else {
            self.forget_everything();
            self.begin(now);
        }
        match self.keeper {
            Keeper::Open(_) => Ok(()),
            Keeper::Locked(..) => Err(Refusal::Flash),
        }
    }

    fn carry_out(&mut self, task: Task, now: Millis) -> Result<Done, Refusal> {
        match task {
            Task::Identify { seconds } => {
                self.told.blink_until = now.saturating_add(u64::from(seconds) * 1000);
                Ok(Done::Done)
            }
            Task::SelfTest => Ok(Done::Tested(self.test())),
            Task::Restart => {
                self.restart(now, RESTART_AFTER_MS);
                Ok(Done::Done)
            }
            Task::Begin(transfer) => self.receive_anew(transfer, now),
            Task::Block { offset, bytes } => match self.told.receiving {
                Receiving::Nothing => Err(Refusal::NoTransfer),
                Receiving::Settings { length, .. } => {
                    let here = self.told.staged.len();
                    if offset as usize == here && here + bytes.len() <= usize::from(length) {
                        self.told.staged.extend_from_slice(&bytes).map_err(|_| Refusal::TooLong)?;
                    }
                    Ok(Done::Has(self.told.staged.len() as u32))
                }
                Receiving::Image => self.updates.block(offset, &bytes),
            },
            Task::Finish => match self.told.receiving {
                Receiving::Nothing => Err(Refusal::NoTransfer),
                Receiving::Settings { length, digest } => self.try_settings(length, digest, now),
                Receiving::Image => self.updates.finish(),
            },
            Task::Confirm => {
                if self.told.trial.is_none() {
                    return Err(Refusal::NothingOnTrial);
                }
                let settings = self.told.staged.clone();
                self.change_identity(|identity| identity.settings = settings)?;
                (self.told.trial, self.told.receiving) = (None, Receiving::Nothing);
                self.settings = SettingsState::Told(digest_of(&self.told.staged));
                Ok(Done::Done)
            }
            Task::Rekey(key) => {
                let (current, next) = self.link.as_ref().map(Link::keys).ok_or(Refusal::Flash)?;
                let new = NodeKey::from(key);
                if *current != new && next != Some(&new) {
                    self.change_identity(|identity| identity.next = Some(key))?;
                    if let Some(link) = &mut self.link {
                        link.also(new);
                    }
                }
                Ok(Done::Done)
            }
            Task::ImageTrial if self.updates.is_on_trial() => Ok(Done::Working),
            Task::ImageTrial => Ok(Done::Done),
        }
    }

    /// A restart loses no word.
    fn restart(&mut self, now: Millis, after: Millis) {
        self.flush(now, false, false);
        if let Keeper::Open(outbox) = &mut self.keeper {
            outbox.put_all_into_flash();
        }
        self.told.restart_at = Some(now.saturating_add(after));
    }

    fn receive_anew(&mut self, transfer: Transfer, now: Millis) -> Result<Done, Refusal> {
        match transfer {
            Transfer::Settings { length, .. } if !(1..=SETTINGS_BYTES).contains(&usize::from(length)) => {
                Err(Refusal::TooLong)
            }
            Transfer::Settings { length, digest } => {
                let wanted = Receiving::Settings { length, digest };
                if self.told.receiving != wanted || self.told.trial.is_some() {
                    self.end_transfer(now);
                    self.told.staged.clear();
                    self.told.receiving = wanted;
                }
                Ok(Done::Has(self.told.staged.len() as u32))
            }
            Transfer::Image { manifest } => {
                self.end_transfer(now);
                let begun = self.updates.begin(&manifest)?;
                self.told.receiving = Receiving::Image;
                Ok(begun)
            }
        }
    }

    fn try_settings(&mut self, length: u16, digest: [u8; 32], now: Millis) -> Result<Done, Refusal> {
        if self.told.staged.len() != usize::from(length) {
            return Err(Refusal::Incomplete);
        }
        if self.told.trial.is_some() {
            return Ok(Done::Done);
        }
        let is_right = *blake3::hash(&self.told.staged).as_bytes() == digest;
        let told = if is_right {
            settings::Settings::from_bytes(&self.told.staged).map_err(|_| Refusal::BadSettings)
        } else {
            Err(Refusal::BadDigest)
        };
        match told {
            Ok(told) => {
                self.settings = SettingsState::OnTrial(digest_of(&self.told.staged));
                self.told.trial = Some(now.saturating_add(u64::from(TRIAL_SECONDS) * 1000));
                self.sense_by(&told, now);
                Ok(Done::Done)
            }
            Err(why) => {
                self.end_transfer(now);
                Err(why)
            }
        }
    }

    /// Nothing is received any more, and settings on trial are taken back.
    fn end_transfer(&mut self, now: Millis) {
        self.told.receiving = Receiving::Nothing;
        if self.told.trial.is_some() {
            self.take_back(now);
        }
    }

    fn take_back(&mut self, now: Millis) {
        (self.told.trial, self.told.receiving) = (None, Receiving::Nothing);
        let kept = self.flash().and_then(|flash| identity::read(flash).ok().flatten());
        self.work_by(&kept.map(|identity| identity.settings).unwrap_or_default(), now);
    }

    /// Works by settings from flash; empty ones, or such that this firmware does not read, are the firmware's own.
    fn work_by(&mut self, settings: &Settings, now: Millis) {
        let told = if settings.is_empty() { None } else { settings::Settings::from_bytes(settings).ok() };
        self.settings = if told.is_some() { SettingsState::Told(digest_of(settings)) } else { SettingsState::Factory };
        let told = told.unwrap_or_else(|| self.config.settings.clone());
        self.sense_by(&told, now);
    }

    fn sense_by(&mut self, settings: &settings::Settings, now: Millis) {
        self.flush(now, false, false);
        let latched = self.is_tampered() || matches!(&self.keeper, Keeper::Open(outbox) if outbox.store().latched());
        self.senses.tell(settings, latched, now);
        self.heartbeat_ms = settings.heartbeat_ms();
        self.next_heartbeat = now.saturating_add(u64::from(self.heartbeat_ms));
    }

    pub(super) fn test(&mut self) -> Findings {
        let flash = match &mut self.keeper {
            Keeper::Open(outbox) => outbox.store_mut().test().is_ok(),
            Keeper::Locked(..) => false,
        };
        let waiting = u16::try_from(self.waiting()).unwrap_or(u16::MAX);
        Findings { flash, without_value: self.senses.without_value(), waiting }
    }

    fn change_identity(&mut self, change: impl FnOnce(&mut Identity)) -> Result<(), Refusal> {
        let (number, key) = match &self.link {
            Some(link) => (link.number(), NewKey(link.keys().0.bytes())),
            None => return Err(Refusal::Flash),
        };
        let flash = self.flash().ok_or(Refusal::Flash)?;
        let write = |flash: &mut F| {
            let given = Identity { number, key, next: None, has_store: true, settings: Settings::new() };
            let mut identity = identity::read(flash)?.unwrap_or(given);
            change(&mut identity);
            identity::write(flash, &identity)
        };
        write(flash).map_err(|_: NorFlashErrorKind| Refusal::Flash)
    }

    fn flash(&mut self) -> Option<&mut F> {
        match &mut self.keeper {
            Keeper::Open(outbox) => Some(outbox.store_mut().flash()),
            Keeper::Locked(_, flash) => flash.as_mut(),
        }
    }

    pub(super) fn take_flash(&mut self) -> Option<F> {
        match core::mem::replace(&mut self.keeper, Keeper::Locked(Locked::NotEnrolled, None)) {
            Keeper::Open(outbox) => Some(outbox.release()),
            Keeper::Locked(_, flash) => flash,
        }
    }

    /// Whom it was before is another node.
    fn forget_everything(&mut self) {
        (self.senses, self.pending) = (Senses::default(), Vec::new());
        (self.polled, self.tamper_said, self.told) = (None, None, Told::default());
    }
}

/// Whether an enrolment was done before, and only its answer was lost.
fn is_enrolled_so(known: &Identity, enrol: &Enrol) -> bool {
    let settings = match enrol.settings {
        None => known.settings.is_empty(),
        Some((_, digest)) => *blake3::hash(&known.settings).as_bytes() == digest,
    };
    (known.number, known.key, known.next, known.has_store) == (enrol.number, enrol.key, None, true) && settings
}

/// Opens the store of an identity; one that is another's is erased first.
fn open<F: NorFlash>(flash: F, identity: &mut Identity, key: &NodeKey, entropy: u64) -> Result<Store<F>, (Locked, F)> {
    if identity.has_store {
        return Store::open(flash, identity::PAGES, entropy);
    }
    // A boot that formats twice must not begin the same epoch twice: it hangs on the key too.
    let mut store = Store::anew(flash, identity::PAGES, key.boot_epoch(entropy, u32::MAX))?;
    identity.has_store = true;
    match identity::write(store.flash(), identity) {
        Ok(()) => Ok(store),
        // The next boot would erase what is kept from here on.
        Err(why) => Err((Locked::Fails(why), store.release())),
    }
}

/// The first eight bytes of the settings' digest, as a hello says them.
fn digest_of(settings: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(settings).as_bytes()[..8]);
    u64::from_le_bytes(first)
}
