//! What people tell a node: orders over the link, and enrolment by somebody who stands before it.

use super::Node;
use crate::{
    Locked, Millis, Updates,
    identity::{self, Identity},
    link::Link,
    settings,
};
use embedded_storage::nor_flash::NorFlash;
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

/// What was told and is not done yet.
#[derive(Default)]
pub(super) struct Told {
    /// The last order of a session, and what was answered.
    last: Option<(u64, u32, Result<Done, Refusal>)>,
    receiving: Receiving,
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
        if self.become_itself() {
            self.work_as_told(now);
        }
    }

    /// Whether it knows who it is.
    #[inline(never)]
    fn become_itself(&mut self) -> bool {
        self.link = None;
        let found = match identity::read(self.keeper.flash()) {
            Ok(found) => found,
            Err(why) => {
                self.keeper.locked = Some(Locked::Fails(why));
                return false;
            }
        };
        let Some(identity) = found.or_else(|| self.given()) else {
            self.keeper.locked = Some(Locked::NotEnrolled);
            return false;
        };
        let (key, next) = (NodeKey::from(identity.key), identity.next.map(NodeKey::from));
        self.open(&identity, &key);
        let (epoch, boot) = match self.keeper.open() {
            Some(outbox) => (outbox.store().epoch(), outbox.store().boot()),
            // Nothing is known of earlier boots: only randomness keeps this one apart from them.
            None => (self.entropy, 0),
        };
        self.link = Some(Link::new(identity.number, key, next, epoch, boot));
        true
    }

    /// Opens the store of an identity; one that is another's is erased first.
    #[inline(never)]
    fn open(&mut self, identity: &Identity, key: &NodeKey) {
        let (entropy, keeper) = (self.entropy, &mut self.keeper);
        keeper.outbox.clear();
        let store = keeper.outbox.store_mut();
        let opened = if identity.has_store {
            store.open(entropy)
        } else {
            // A boot that formats twice must not begin the same epoch twice: it hangs on the key too.
            store.open_anew(key.boot_epoch(entropy, u32::MAX)).and_then(|()| {
                // If that fails the next boot would erase what is kept from here on.
                let has = |identity: &mut Identity| identity.has_store = true;
                identity::change(store.flash(), identity.clone(), has).map_err(Locked::Fails)
            })
        };
        keeper.locked = opened.err();
    }

    /// Who it is if flash does not say.
    fn given(&self) -> Option<Identity> {
        let (number, key) = self.given.as_ref()?;
        Some(Identity { number: *number, key: NewKey(key.bytes()), next: None, has_store: true })
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
    pub(super) fn obey(&mut self, session: u64, answers: u64, order: &Order, now: Millis) -> Answer {
        let Order { number, task } = order;
        let number = *number;
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

    /// Answers who stands before the node; whether it did.
    #[inline(never)]
    pub(super) fn converse(&mut self, clear: &Clear, now: Millis) -> bool {
        if !self.present {
            return false;
        }
        let Ok(said) = clear.message() else { return false };
        let said = self.reply(said, now);
        let Ok(wire) = in_clear(&said) else { return false };
        self.begin_turn();
        let _ = self.turn.extend_from_slice(&wire);
        true
    }

    fn reply(&mut self, said: ToNode, now: Millis) -> console::FromNode {
        match said {
            ToNode::WhoAreYou => console::FromNode::Is(self.nameplate()),
            ToNode::Settings { offset, bytes } => {
                self.end_transfer(now);
                if offset == 0 {
                    self.staged.clear();
                }
                if usize::from(offset) == self.staged.len() {
                    // What does not fit is not here, and the digest will not be right.
                    let _ = self.staged.extend_from_slice(&bytes);
                }
                console::FromNode::Has(self.staged.len() as u16)
            }
            ToNode::Enrol(enrol) => match self.enrol(&enrol, now) {
                Ok(()) => console::FromNode::Is(self.nameplate()),
                Err(why) => console::FromNode::Refused(why),
            },
        }
    }

    fn nameplate(&self) -> Nameplate {
        let number = self.link.as_ref().map(Link::number);
        Nameplate { chip: self.plate.chip, runs: self.plate.runs, number }
    }

    #[inline(never)]
    fn enrol(&mut self, enrol: &Enrol, now: Millis) -> Result<(), Refusal> {
        if !NUMBERS.contains(&enrol.number) {
            return Err(Refusal::BadSettings);
        }
        let so = |known: Identity, settings: &[u8]| is_enrolled_so(&known, settings, enrol);
        let known = identity::read_with(self.keeper.flash(), so);
        if self.keeper.locked.is_none() && known == Ok(Some(true)) {
            return Ok(());
        }
        self.end_transfer(now);
        match enrol.settings {
            None => self.staged.clear(),
            Some((length, _)) if self.staged.len() != usize::from(length) => return Err(Refusal::Incomplete),
            Some((_, digest)) if *blake3::hash(&self.staged).as_bytes() != digest => return Err(Refusal::BadDigest),
            Some(_) => is_settings(&self.staged)?,
        }
        let key = NodeKey::from(enrol.key);
        let is_it = |link: &Link| link.number() == enrol.number && *link.keys().0 == key;
        let same = self.keeper.locked.is_none() && self.link.as_ref().is_some_and(is_it);
        // Frames of whom it was before are nobody's now.
        let identity = Identity { number: enrol.number, key: enrol.key, next: None, has_store: same };
        identity::write(self.keeper.flash(), &identity, &self.staged).map_err(|_| Refusal::Flash)?;
        if same {
            self.work_as_told(now);
        } else {
            self.forget_everything();
            self.begin(now);
        }
        if self.keeper.locked.is_none() { Ok(()) } else { Err(Refusal::Flash) }
    }

    #[inline(never)]
    fn carry_out(&mut self, task: &Task, now: Millis) -> Result<Done, Refusal> {
        match task {
            Task::Identify { seconds } => {
                self.told.blink_until = now.saturating_add(u64::from(*seconds) * 1000);
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
                    let here = self.staged.len();
                    if *offset as usize == here && here + bytes.len() <= usize::from(length) {
                        self.staged.extend_from_slice(bytes).map_err(|_| Refusal::TooLong)?;
                    }
                    Ok(Done::Has(self.staged.len() as u32))
                }
                Receiving::Image => self.updates.block(*offset, bytes),
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
                self.keep_staged()?;
                (self.told.trial, self.told.receiving) = (None, Receiving::Nothing);
                self.settings = SettingsState::Told(digest_of(&self.staged));
                Ok(Done::Done)
            }
            Task::Rekey(key) => {
                let (current, next) = self.link.as_ref().map(Link::keys).ok_or(Refusal::Flash)?;
                let new = NodeKey::from(*key);
                if *current != new && next != Some(&new) {
                    self.change_identity(|identity| identity.next = Some(*key))?;
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
        if let Some(outbox) = self.keeper.open() {
            outbox.put_all_into_flash();
        }
        self.told.restart_at = Some(now.saturating_add(after));
    }

    fn receive_anew(&mut self, transfer: &Transfer, now: Millis) -> Result<Done, Refusal> {
        match transfer {
            Transfer::Settings { length, .. } if !(1..=SETTINGS_BYTES).contains(&usize::from(*length)) => {
                Err(Refusal::TooLong)
            }
            Transfer::Settings { length, digest } => {
                let wanted = Receiving::Settings { length: *length, digest: *digest };
                if self.told.receiving != wanted || self.told.trial.is_some() {
                    self.end_transfer(now);
                    self.staged.clear();
                    self.told.receiving = wanted;
                }
                Ok(Done::Has(self.staged.len() as u32))
            }
            Transfer::Image { manifest } => {
                self.end_transfer(now);
                let begun = self.updates.begin(manifest)?;
                self.told.receiving = Receiving::Image;
                Ok(begun)
            }
        }
    }

    fn try_settings(&mut self, length: u16, digest: [u8; 32], now: Millis) -> Result<Done, Refusal> {
        if self.staged.len() != usize::from(length) {
            return Err(Refusal::Incomplete);
        }
        if self.told.trial.is_some() {
            return Ok(Done::Done);
        }
        let is_right = *blake3::hash(&self.staged).as_bytes() == digest;
        if let Err(why) = if is_right { is_settings(&self.staged) } else { Err(Refusal::BadDigest) } {
            self.end_transfer(now);
            return Err(why);
        }
        self.settings = SettingsState::OnTrial(digest_of(&self.staged));
        self.told.trial = Some(now.saturating_add(u64::from(TRIAL_SECONDS) * 1000));
        self.sense_by(now, |node, settings| {
            let _ = settings.read(&node.staged);
        });
        Ok(Done::Done)
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
        self.work_as_told(now);
    }

    /// Works by settings from flash; if there are none, or such that this firmware does not read, by the firmware's own.
    fn work_as_told(&mut self, now: Millis) {
        self.sense_by(now, |node, settings| {
            let read = |_, told: &[u8]| settings.read(told).is_ok().then(|| digest_of(told));
            node.settings = match identity::read_with(node.keeper.flash(), read) {
                Ok(Some(Some(digest))) => SettingsState::Told(digest),
                _ => {
                    // They were settings when they became bytes; if there are none, nothing is sensed.
                    let _ = settings.read(&node.factory);
                    SettingsState::Factory
                }
            };
        });
    }

    #[inline(never)]
    fn sense_by(&mut self, now: Millis, read: impl FnOnce(&mut Self, &mut settings::Settings)) {
        // What was sensed by the former ones goes first.
        self.flush(now, false, false);
        let mut settings = settings::Settings::default();
        read(self, &mut settings);
        let latched = self.is_tampered() || self.keeper.open().is_some_and(|outbox| outbox.store().latched());
        self.senses.tell(&settings, latched, now);
        self.heartbeat_ms = settings.heartbeat_ms();
        self.next_heartbeat = now.saturating_add(u64::from(self.heartbeat_ms));
    }

    pub(super) fn test(&mut self) -> Findings {
        let flash = self.keeper.open().is_some_and(|outbox| outbox.store_mut().test().is_ok());
        let waiting = u16::try_from(self.waiting()).unwrap_or(u16::MAX);
        Findings { flash, without_value: self.senses.without_value(), waiting }
    }

    fn change_identity(&mut self, change: impl FnOnce(&mut Identity)) -> Result<(), Refusal> {
        let given = self.linked_as()?;
        identity::change(self.keeper.flash(), given, change).map_err(|_| Refusal::Flash)
    }

    /// The settings on trial become those that it was told.
    fn keep_staged(&mut self) -> Result<(), Refusal> {
        let given = self.linked_as()?;
        let flash = self.keeper.flash();
        let identity = identity::read(flash).map_err(|_| Refusal::Flash)?.unwrap_or(given);
        identity::write(flash, &identity, &self.staged).map_err(|_| Refusal::Flash)
    }

    /// Who it speaks as.
    fn linked_as(&self) -> Result<Identity, Refusal> {
        let link = self.link.as_ref().ok_or(Refusal::Flash)?;
        Ok(Identity { number: link.number(), key: NewKey(link.keys().0.bytes()), next: None, has_store: true })
    }

    /// Whom it was before is another node.
    fn forget_everything(&mut self) {
        self.senses.clear();
        self.pending.clear();
        self.staged.clear();
        (self.polled, self.tamper_said, self.told) = (None, None, Told::default());
    }
}

/// Whether an enrolment was done before, and only its answer was lost.
fn is_enrolled_so(known: &Identity, settings: &[u8], enrol: &Enrol) -> bool {
    let by = match enrol.settings {
        None => settings.is_empty(),
        Some((_, digest)) => *blake3::hash(settings).as_bytes() == digest,
    };
    (known.number, known.key, known.next, known.has_store) == (enrol.number, enrol.key, None, true) && by
}

/// Whether bytes are settings that this firmware can work by.
#[inline(never)]
fn is_settings(bytes: &[u8]) -> Result<(), Refusal> {
    settings::Settings::default().read(bytes).map_err(|_| Refusal::BadSettings)
}

/// The first eight bytes of the settings' digest, as a hello says them.
fn digest_of(settings: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(settings).as_bytes()[..8]);
    u64::from_le_bytes(first)
}
