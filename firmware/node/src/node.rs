//! The node: inputs and polls in, turns out.

mod told;

use crate::{
    Config, Locked, Millis, NoUpdates, Sensing, Updates,
    link::{self, Link},
    outbox::Outbox,
    sensing::{
        News,
        contact::Contact,
        measure::Measure,
        motion::Motion,
        tamper::{self, Tamper},
        vibration::{Said, Vibration},
    },
};
use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;
use quaywatch_schemas::frame::{
    Channel, Deframer, Found, WIRE_BYTES,
    channel::CHANNELS,
    message::{
        Data, FromGateway, FromNode, Hello, Missing, Poll, ResetCause, SAMPLES, Sample, SettingsState, StoreState,
        TurnEnd, Value,
    },
};

/// Data frames in one turn, whatever the gateway allows.
const MOST_IN_TURN: usize = 4;
/// While the gateway is away a word waits so long for others to share a frame with. A power cut takes those that wait.
const WORD_WAITS_MS: Millis = 600_000;

/// Bytes for the bus: a delimiter that ends noise, data frames, the end of the turn.
pub type Turn = Vec<u8, { 1 + (MOST_IN_TURN + 1) * WIRE_BYTES }>;

/// How a boot came about.
#[derive(Debug, Clone, Copy)]
pub struct Boot {
    /// Why.
    pub reset: ResetCause,
    /// From the board's random number generator. Used only when flash is new or locked; counters never depend on it.
    pub entropy: u64,
    /// What the clock says now.
    pub now: Millis,
}

/// A raw input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sensed {
    /// A contact, a detector's output, a switch.
    Digital(bool),
    /// A converter's value in the channel's unit.
    Analog(f32),
}

impl From<bool> for Sensed {
    fn from(on: bool) -> Self {
        Self::Digital(on)
    }
}

impl From<f32> for Sensed {
    fn from(value: f32) -> Self {
        Self::Analog(value)
    }
}

/// The node has no such channel, or it is not of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

/// A sensor node.
pub struct Node<F, U = NoUpdates> {
    /// What the firmware brings.
    config: Config,
    settings: SettingsState,
    heartbeat_ms: u32,
    slots: Vec<Slot, CHANNELS>,
    keeper: Keeper<F>,
    /// None before it is enrolled.
    link: Option<Link>,
    deframer: Deframer,
    reset: ResetCause,
    entropy: u64,
    updates: U,
    told: told::Told,
    present: bool,
    /// Words that wait for a frame: at most one frame's.
    pending: Vec<(Channel, Millis, Value), SAMPLES>,
    next_heartbeat: Millis,
    polled: Option<Millis>,
    /// The last frame that said the tamper latch is set, and when.
    tamper_said: Option<(u64, Millis)>,
}

/// Where frames are kept.
#[expect(clippy::large_enum_variant, reason = "a node has no heap to box into")]
enum Keeper<F> {
    Open(Outbox<F>),
    /// Why not, and the flash, for who enrols the node again.
    Locked(Locked, Option<F>),
}

/// One channel.
struct Slot {
    channel: Channel,
    detector: Detector,
}

enum Detector {
    Contact(Contact),
    Motion(Motion),
    Tamper(Tamper),
    Vibration(Vibration),
    Measure(Measure),
    Health,
}

impl<F: NorFlash> Node<F> {
    /// Starts a node whose firmware cannot be replaced over the link.
    pub fn boot(config: Config, flash: F, boot: Boot) -> Self {
        Self::boot_with(config, flash, boot, NoUpdates)
    }
}

impl<F: NorFlash, U: Updates> Node<F, U> {
    /// Starts: reads flash, takes the tamper latch from it, begins to sense. A node whose flash does not read still
    /// answers, and says that it is locked; one that was never enrolled answers only who holds its presence input.
    pub fn boot_with(config: Config, flash: F, boot: Boot, updates: U) -> Self {
        let mut node = Self {
            settings: SettingsState::Factory,
            heartbeat_ms: config.heartbeat_ms,
            slots: Vec::new(),
            keeper: Keeper::Locked(Locked::NotEnrolled, Some(flash)),
            link: None,
            deframer: Deframer::default(),
            reset: boot.reset,
            entropy: boot.entropy,
            updates,
            told: told::Told::default(),
            present: false,
            pending: Vec::new(),
            next_heartbeat: boot.now,
            polled: None,
            tamper_said: None,
            config,
        };
        node.begin(boot.now);
        node
    }

    /// A raw input is so now. Contacts and detectors are read often enough for their debounce time; measured values at
    /// least every half minute; an accelerometer at a few hundred hertz.
    pub fn sense(&mut self, channel: Channel, value: impl Into<Sensed>, now: Millis) -> Result<(), Misfit> {
        let at = self.slots.iter().position(|slot| slot.channel == channel).ok_or(Misfit)?;
        let news = match (&mut self.slots[at].detector, value.into()) {
            (Detector::Contact(contact), Sensed::Digital(raw)) => contact.sense(raw, now),
            (Detector::Motion(motion), Sensed::Digital(raw)) => motion.sense(raw, now),
            (Detector::Tamper(tamper), Sensed::Digital(raw)) => tamper.sense(raw, now),
            (Detector::Measure(measure), Sensed::Analog(value)) => measure.sense(value, now),
            (Detector::Vibration(vibration), Sensed::Analog(value)) => {
                let said = vibration.sense(value, now);
                self.vibrated(said, now);
                None
            }
            _ => return Err(Misfit),
        };
        self.take(channel, news, now);
        Ok(())
    }

    /// Time passed. Call it every ten or twenty milliseconds.
    pub fn tick(&mut self, now: Millis) {
        for at in 0..self.slots.len() {
            let news = match &mut self.slots[at].detector {
                Detector::Contact(contact) => contact.tick(now),
                Detector::Motion(motion) => motion.tick(now),
                Detector::Tamper(tamper) => tamper.tick(now),
                Detector::Measure(measure) => measure.tick(now),
                Detector::Vibration(vibration) => {
                    let said = vibration.tick(now);
                    self.vibrated(said, now);
                    None
                }
                Detector::Health => None,
            };
            self.take(self.slots[at].channel, news, now);
        }
        if now >= self.next_heartbeat {
            // While nobody listens an unchanged state is not worth flash; it is said again as soon as somebody does.
            if self.is_listened_to(now) {
                self.report(now);
            }
            self.next_heartbeat = now.saturating_add(u64::from(self.heartbeat_ms));
        }
        if self.pending.first().is_some_and(|(_, at, _)| now.saturating_sub(*at) > WORD_WAITS_MS) {
            self.flush(now, false, false);
        }
        if let Keeper::Open(outbox) = &mut self.keeper {
            outbox.tick(now);
        }
        self.tick_told(now);
    }

    /// Bytes came over the bus or a console. What is to be sent back, if it is this node's turn.
    pub fn receive(&mut self, bytes: &[u8], now: Millis) -> Option<Turn> {
        let mut turn = None;
        for byte in bytes {
            match self.deframer.find(*byte) {
                Some(Ok(Found::Sealed(sealed))) => {
                    if let Some(told) = self.link.as_mut().and_then(|link| link.read(sealed)) {
                        turn = Some(self.answer(told, now));
                    }
                }
                Some(Ok(Found::Clear(clear))) => turn = self.converse(&clear, now).or(turn),
                Some(Err(_)) | None => {}
            }
        }
        turn
    }

    /// The supply is failing: keeps what all channels say in flash, and returns it for the bus, if it is free.
    pub fn last_words(&mut self, now: Millis) -> Option<Turn> {
        self.flush(now, false, false);
        let room = SAMPLES;
        let words: Vec<_, CHANNELS> =
            self.slots.iter().filter_map(|slot| Some((slot.channel, now, self.value(slot)?))).collect();
        let _ = self.pending.extend_from_slice(&words[..words.len().min(room)]);
        let counter = self.flush(now, true, true)?;
        let Keeper::Open(outbox) = &mut self.keeper else { return None };
        let payload = outbox.payload(counter).ok()??;
        let mut turn = Turn::new();
        turn.push(0).ok()?;
        turn.extend_from_slice(&self.link.as_ref()?.repeat(counter, &payload)?).ok()?;
        Some(turn)
    }

    /// Why the node says nothing, if it does: shown by its lamp.
    pub fn locked(&self) -> Option<Locked> {
        match &self.keeper {
            Keeper::Open(_) => None,
            Keeper::Locked(why, _) => Some(*why),
        }
    }

    /// Frames that the gateway has not acknowledged.
    pub fn waiting(&mut self) -> usize {
        match &mut self.keeper {
            Keeper::Open(outbox) => outbox.len(),
            Keeper::Locked(..) => 0,
        }
    }

    /// Whether the tamper latch is set.
    pub fn is_tampered(&self) -> bool {
        self.slots.iter().any(|slot| matches!(&slot.detector, Detector::Tamper(tamper) if tamper.is_latched()))
    }

    /// Gives the flash back, as a power cut or a reset does; `None` if it failed.
    pub fn power_off(mut self) -> Option<F> {
        self.take_flash()
    }

    fn answer(&mut self, told: link::Told, now: Millis) -> Turn {
        let mut turn = Turn::new();
        // A turn holds what is put into it here.
        let _ = turn.push(0);
        let link::Told { session, counter, by_next, message } = told;
        let end = match message {
            FromGateway::Challenge => {
                if by_next {
                    self.turn_to_next_key();
                }
                // The session is new or the gateway lost track: whatever was sent may not have come.
                let store = match &mut self.keeper {
                    Keeper::Open(outbox) => {
                        outbox.again_all();
                        StoreState::Open {
                            epoch: outbox.store().epoch(),
                            oldest: outbox.oldest(),
                            next: outbox.store().next(),
                        }
                    }
                    Keeper::Locked(..) => StoreState::Locked,
                };
                FromNode::Hello(Hello {
                    session,
                    answers: counter,
                    token: self.link.as_mut().map_or(0, |link| link.new_token(session)),
                    boot: self.boots(),
                    now_ms: now,
                    reset: self.reset,
                    store,
                    runs: self.config.plate.runs,
                    settings: self.settings,
                })
            }
            FromGateway::Poll(poll) => {
                self.updates.heard();
                self.polled = Some(now);
                self.settle(&poll, now);
                if poll.report {
                    self.report(now);
                }
                self.flush(now, false, false);
                FromNode::TurnEnd(self.send(&poll, counter, now, &mut turn))
            }
            FromGateway::Order(order) => FromNode::Answer(self.obey(session, counter, order, now)),
        };
        if let Some(wire) = self.link.as_mut().and_then(|link| link.say(&end)) {
            let _ = turn.extend_from_slice(&wire);
        }
        turn
    }

    fn boots(&self) -> u32 {
        match &self.keeper {
            Keeper::Open(outbox) => outbox.store().boot(),
            Keeper::Locked(..) => 0,
        }
    }

    /// Takes in what the gateway has and what it lacks.
    fn settle(&mut self, poll: &Poll, now: Millis) {
        let Keeper::Open(outbox) = &mut self.keeper else { return };
        if !poll.heard {
            outbox.again_last_turn();
        }
        if let Some(missing) = poll.again {
            outbox.again(missing);
        }
        let Some(stored) = poll.stored else { return };
        outbox.acknowledge(&stored);
        let known = self.tamper_said.filter(|(counter, at)| {
            stored.epoch == outbox.store().epoch()
                && stored.covers(*counter)
                && now.saturating_sub(*at) <= tamper::FRESH_MS
        });
        if known.is_none() {
            return;
        }
        let opened = self.slots.iter_mut().any(|slot| match &mut slot.detector {
            Detector::Tamper(tamper) => tamper.acknowledged(),
            _ => false,
        });
        if opened {
            // A latch that flash still holds is said once more after the next boot: better twice than never.
            let _ = outbox.store_mut().set_latch(false);
            self.tamper_said = None;
            self.push(Channel::Tamper, now, Value::State(false), now);
        }
    }

    fn send(&mut self, poll: &Poll, answers: u64, now: Millis, turn: &mut Turn) -> TurnEnd {
        let allowed = usize::from(poll.frames).min(MOST_IN_TURN);
        let Keeper::Open(outbox) = &mut self.keeper else {
            return TurnEnd { answers, now_ms: now, oldest: 0, next: 0, more: false };
        };
        for _ in 0..allowed {
            let Some((counter, payload)) = outbox.next(now, allowed) else { break };
            if let Some(wire) = self.link.as_ref().and_then(|link| link.repeat(counter, &payload)) {
                let _ = turn.extend_from_slice(&wire);
            }
        }
        TurnEnd {
            answers,
            now_ms: now,
            oldest: outbox.oldest(),
            next: outbox.store().next(),
            more: outbox.has_more(now),
        }
    }

    fn vibrated(&mut self, said: Said, now: Millis) {
        self.take(Channel::Vibration, said.energy, now);
        if self.slots.iter().any(|slot| slot.channel == Channel::Fence) {
            self.take(Channel::Fence, said.moves, now);
        }
    }

    /// Takes news in: an alarm becomes a frame at once, everything else waits for the next poll.
    fn take(&mut self, channel: Channel, news: Option<News>, now: Millis) {
        let Some(news) = news else { return };
        if channel == Channel::Tamper
            && news.alarm
            && let Keeper::Open(outbox) = &mut self.keeper
        {
            let _ = outbox.store_mut().set_latch(true);
        }
        self.push(channel, news.at, news.value, now);
        if news.alarm {
            self.flush(now, true, false);
        }
    }

    /// Says what every channel says now.
    fn report(&mut self, now: Millis) {
        for at in 0..self.slots.len() {
            if let Some(value) = self.value(&self.slots[at]) {
                self.push(self.slots[at].channel, now, value, now);
            }
        }
        self.flush(now, false, false);
    }

    fn value(&self, slot: &Slot) -> Option<Value> {
        match &slot.detector {
            Detector::Contact(contact) if slot.channel == Channel::Fence => {
                let vibration = self.slots.iter().find_map(|other| match &other.detector {
                    Detector::Vibration(vibration) => Some(vibration.moves()),
                    _ => None,
                });
                vibration.unwrap_or_else(|| contact.state().map(Value::State))
            }
            Detector::Contact(contact) => contact.state().map(Value::State),
            Detector::Motion(motion) => Some(motion.value()),
            Detector::Tamper(tamper) => tamper.value(),
            Detector::Vibration(vibration) => vibration.energy(),
            Detector::Measure(measure) => measure.value(),
            Detector::Health => {
                let boots = self.boots();
                let supply = self.slots.iter().find(|other| other.channel == Channel::Supply);
                let supply_mv = supply.and_then(|supply| match self.value(supply) {
                    Some(Value::Measure(volts)) => Some(libm::roundf(volts * 1000.0).clamp(0.0, 65_535.0) as u16),
                    _ => None,
                });
                Some(Value::Health { boots, reset: self.reset, supply_mv })
            }
        }
    }

    fn push(&mut self, channel: Channel, at: Millis, value: Value, now: Millis) {
        if self.pending.is_full() {
            self.flush(now, false, false);
        }
        let _ = self.pending.push((channel, at, value));
    }

    /// Makes a frame of what waits; says its counter. What could not be kept earlier is told of with it.
    fn flush(&mut self, now: Millis, alarm: bool, last_words: bool) -> Option<u64> {
        let Keeper::Open(outbox) = &mut self.keeper else {
            self.pending.clear();
            return None;
        };
        for channel in Channel::ALL {
            let lost = outbox.store_mut().shed_counts()[channel.index()];
            if lost > 0 && !alarm && !self.pending.is_full() {
                outbox.store_mut().shed_counts()[channel.index()] = 0;
                let _ = self.pending.push((channel, now, Value::Missing(Missing::Overload(lost))));
            }
        }
        if self.pending.is_empty() {
            return None;
        }
        let pending = core::mem::take(&mut self.pending);
        let samples = pending.iter().map(|(channel, at, value)| {
            let age_ms = u32::try_from(now.saturating_sub(*at)).unwrap_or(u32::MAX);
            Sample { channel: *channel, age_ms, value: *value }
        });
        let samples = samples.collect();
        let put = outbox.put(alarm, now, |boot, follows| Data { boot, follows, at_ms: now, last_words, samples });
        match put {
            Ok(counter) => {
                let tampered = pending
                    .iter()
                    .any(|(channel, _, value)| *channel == Channel::Tamper && *value == Value::State(true));
                if tampered {
                    self.tamper_said = Some((counter, now));
                }
                Some(counter)
            }
            Err(why) => {
                // No counter can be reserved: nothing may be sealed any more.
                let flash = self.take_flash();
                self.keeper = Keeper::Locked(Locked::Fails(why), flash);
                None
            }
        }
    }

    fn is_listened_to(&self, now: Millis) -> bool {
        let within = u64::from(self.heartbeat_ms).saturating_mul(3);
        self.polled.is_some_and(|polled| now.saturating_sub(polled) < within)
    }
}

/// The channels of a node, as its settings say.
fn slots(config: &Config, latched: bool, now: Millis) -> Vec<Slot, CHANNELS> {
    let slot = |(channel, sensing): &(Channel, Sensing)| Slot {
        channel: *channel,
        detector: match *sensing {
            Sensing::Contact(settings) => Detector::Contact(Contact::new(settings)),
            Sensing::Motion(settings) => Detector::Motion(Motion::new(settings, now)),
            Sensing::Tamper => Detector::Tamper(Tamper::new(latched)),
            Sensing::Vibration(settings) => Detector::Vibration(Vibration::new(settings, now)),
            Sensing::Measure(settings) => Detector::Measure(Measure::new(settings, now)),
            Sensing::Health => Detector::Health,
        },
    };
    config.channels.iter().map(slot).collect()
}

#[cfg(test)]
mod proof;
#[cfg(test)]
mod tests;
