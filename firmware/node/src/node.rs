//! The node: inputs and polls in, turns out.

mod told;

use crate::{
    Config, Locked, Millis, NoUpdates, Plate, Updates,
    identity::{self, Settings},
    link::{self, Link},
    outbox::Outbox,
    sensing::{Heard, Misfit, Sensed, Senses, plan::Due, tamper},
    store::{Payload, Store},
};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use heapless::Vec;
use quaywatch_schemas::frame::{
    Channel, Deframer, Found, NodeKey, PAYLOAD_BYTES, WIRE_BYTES,
    message::{
        Data, FromGateway, FromNode, Hello, Missing, Poll, ResetCause, SAMPLES, Sample, SettingsState, StoreState,
        TurnEnd, Value,
    },
};

/// Data frames in one turn, whatever the gateway allows.
const MOST_IN_TURN: usize = 4;
/// While the gateway is away a word waits so long for others to share a frame with. A power cut takes those that wait.
const WORD_WAITS_MS: Millis = 600_000;

/// A delimiter that ends noise, data frames, the end of the turn.
const TURN_BYTES: usize = 1 + (MOST_IN_TURN + 1) * WIRE_BYTES;

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

/// A sensor node.
///
/// It is large: 12 KB of tables, each bounded. All that it works with is here once, and nothing of that is handed around by
/// value, so that the stack of a small chip is enough. A board makes it where it stays ([`Node::new`]) and starts it there.
pub struct Node<F, U = NoUpdates> {
    /// Who it is, if whoever started it knew.
    given: Option<(u16, NodeKey)>,
    plate: Plate,
    /// Settings that the firmware brings.
    factory: Settings,
    settings: SettingsState,
    heartbeat_ms: u32,
    senses: Senses,
    keeper: Keeper<F>,
    /// None before it is enrolled.
    link: Option<Link>,
    deframer: Deframer,
    /// What it says when it is its turn.
    turn: Vec<u8, TURN_BYTES>,
    reset: ResetCause,
    entropy: u64,
    updates: U,
    told: told::Told,
    /// Settings on their way; after they came, those on trial.
    staged: Settings,
    present: bool,
    /// Words that wait for a frame: at most one frame's.
    pending: Vec<(Channel, Millis, Value), SAMPLES>,
    next_heartbeat: Millis,
    polled: Option<Millis>,
    /// The last frame that said the tamper latch is set, and when.
    tamper_said: Option<(u64, Millis)>,
}

/// Where frames are kept.
struct Keeper<F> {
    outbox: Outbox<F>,
    /// Why nothing is.
    locked: Option<Locked>,
}

impl<F: NorFlash> Node<F> {
    /// Starts a node whose firmware cannot be replaced over the link.
    pub fn boot(config: Config, flash: F, boot: Boot) -> Self {
        Self::boot_with(config, flash, boot, NoUpdates)
    }
}

impl<F: NorFlash, U: Updates> Node<F, U> {
    /// Makes a node and starts it, for who has a stack to carry it on.
    pub fn boot_with(config: Config, flash: F, boot: Boot, updates: U) -> Self {
        let mut node = Self::new(config, flash, updates);
        node.start(boot);
        node
    }

    /// A node that has not started: it senses nothing and says nothing.
    // Inlined where its place is known, a node is made in that place; what is not written, the tables, is not copied either.
    #[inline(always)]
    pub fn new(config: Config, flash: F, updates: U) -> Self {
        Self {
            given: config.given,
            plate: config.plate,
            factory: config.settings,
            settings: SettingsState::Factory,
            heartbeat_ms: 0,
            senses: Senses::default(),
            keeper: Keeper {
                outbox: Outbox::new(Store::new(flash, identity::PAGES)),
                locked: Some(Locked::NotEnrolled),
            },
            link: None,
            deframer: Deframer::new(),
            turn: Vec::new(),
            reset: ResetCause::Unknown,
            entropy: 0,
            updates,
            told: told::Told::default(),
            staged: Settings::new(),
            present: false,
            pending: Vec::new(),
            next_heartbeat: 0,
            polled: None,
            tamper_said: None,
        }
    }

    /// Starts: reads flash, takes the tamper latch from it, begins to sense. A node whose flash does not read still
    /// answers, and says that it is locked; one that was never enrolled answers only who holds its presence input.
    pub fn start(&mut self, boot: Boot) {
        (self.reset, self.entropy, self.next_heartbeat) = (boot.reset, boot.entropy, boot.now);
        self.begin(boot.now);
        if self.updates.is_on_trial() {
            self.reset = ResetCause::Update;
            // One that does not find what the former image kept is not to stay.
            let passed = self.test().flash;
            self.updates.tested(passed);
        }
    }

    /// Which inputs are to be read now. Each is handed to [`Node::sense`]; what happens by itself, a badge or an edge that a
    /// board catches, is handed on as it happens.
    pub fn due(&mut self, now: Millis) -> Due {
        self.senses.due(now)
    }

    /// When an input is to be read next; `None` if none ever is.
    pub fn next_due(&self) -> Option<Millis> {
        self.senses.next_due()
    }

    /// A raw input is so now.
    pub fn sense(&mut self, channel: Channel, value: impl Into<Sensed>, now: Millis) -> Result<(), Misfit> {
        let heard = self.senses.sense(channel, value.into(), now)?;
        self.take(heard, now);
        Ok(())
    }

    /// Time passed. Call it every ten or twenty milliseconds.
    pub fn tick(&mut self, now: Millis) {
        for at in 0..self.senses.len() {
            let heard = self.senses.tick(at, now);
            self.take(heard, now);
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
        if let Some(outbox) = self.keeper.open() {
            outbox.tick(now);
        }
        self.tick_told(now);
    }

    /// Bytes came over the bus or a console. What is to be sent back, if it is this node's turn.
    pub fn receive(&mut self, bytes: &[u8], now: Millis) -> Option<&[u8]> {
        let mut answers = false;
        for byte in bytes {
            match self.deframer.find(*byte) {
                Some(Ok(Found::Sealed(sealed))) => {
                    if let Some(told) = self.link.as_mut().and_then(|link| link.read(&sealed)) {
                        self.answer(&told, now);
                        answers = true;
                    }
                }
                Some(Ok(Found::Clear(clear))) => answers |= self.converse(&clear, now),
                Some(Err(_)) | None => {}
            }
        }
        answers.then_some(&self.turn)
    }

    /// The supply is failing: keeps what all channels say in flash, and returns it for the bus, if it is free.
    #[inline(never)]
    pub fn last_words(&mut self, now: Millis) -> Option<&[u8]> {
        self.flush(now, false, false);
        // One frame must do. What does not fit is what matters least.
        for at in 0..self.senses.len() {
            if let Some((channel, value)) = self.word(at)
                && has_room(&self.pending, &value)
            {
                let _ = self.pending.push((channel, now, value));
            }
        }
        let counter = self.flush(now, true, true)?;
        let payload = self.keeper.open()?.payload(counter).ok()??;
        let wire = self.link.as_ref()?.repeat(counter, &payload)?;
        self.begin_turn();
        self.turn.extend_from_slice(&wire).ok()?;
        Some(&self.turn)
    }

    /// Why the node says nothing, if it does: shown by its lamp.
    pub fn locked(&self) -> Option<Locked> {
        self.keeper.locked
    }

    /// Frames that the gateway has not acknowledged.
    pub fn waiting(&mut self) -> usize {
        self.keeper.open().map_or(0, Outbox::len)
    }

    /// Whether the tamper latch is set.
    pub fn is_tampered(&self) -> bool {
        self.senses.is_tampered()
    }

    /// Gives the flash back, as a power cut or a reset does.
    pub fn power_off(self) -> F {
        self.keeper.outbox.release()
    }

    /// The turn begins with a delimiter; it holds what is put into it here and behind.
    fn begin_turn(&mut self) {
        self.turn.clear();
        let _ = self.turn.push(0);
    }

    fn answer(&mut self, told: &link::Told, now: Millis) {
        self.begin_turn();
        match &told.message {
            FromGateway::Challenge => {
                if told.by_next {
                    self.turn_to_next_key();
                }
                let hello = self.introduce(told.session, told.counter, now);
                self.say(|| FromNode::Hello(hello));
            }
            FromGateway::Poll(poll) => {
                let end = self.take_turn(poll, told.counter, now);
                self.say(|| FromNode::TurnEnd(end));
            }
            FromGateway::Order(order) => {
                let answer = self.obey(told.session, told.counter, order, now);
                self.say(|| FromNode::Answer(answer));
            }
        }
    }

    /// Says it once. It is made here because a message takes as much of the stack as the largest one, which must not lie
    /// below all that a turn does.
    #[inline(never)]
    fn say(&mut self, message: impl FnOnce() -> FromNode) {
        if let Some(wire) = self.link.as_mut().and_then(|link| link.say(&message())) {
            let _ = self.turn.extend_from_slice(&wire);
        }
    }

    fn introduce(&mut self, session: u64, answers: u64, now: Millis) -> Hello {
        // The session is new or the gateway lost track: whatever was sent may not have come.
        let store = match self.keeper.open() {
            Some(outbox) => {
                outbox.again_all();
                StoreState::Open { epoch: outbox.store().epoch(), oldest: outbox.oldest(), next: outbox.store().next() }
            }
            None => StoreState::Locked,
        };
        Hello {
            session,
            answers,
            token: self.link.as_mut().map_or(0, |link| link.new_token(session)),
            boot: self.boots(),
            now_ms: now,
            reset: self.reset,
            store,
            runs: self.plate.runs,
            settings: self.settings,
        }
    }

    #[inline(never)]
    fn take_turn(&mut self, poll: &Poll, answers: u64, now: Millis) -> TurnEnd {
        self.updates.heard();
        self.polled = Some(now);
        self.settle(poll, now);
        if poll.report {
            self.report(now);
        }
        self.flush(now, false, false);
        self.send(poll, answers, now)
    }

    fn boots(&self) -> u32 {
        self.keeper.look().map_or(0, |outbox| outbox.store().boot())
    }

    /// Takes in what the gateway has and what it lacks.
    fn settle(&mut self, poll: &Poll, now: Millis) {
        let Some(outbox) = self.keeper.open() else { return };
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
        if self.senses.tamper_acknowledged() {
            // A latch that flash still holds is said once more after the next boot: better twice than never.
            let _ = outbox.store_mut().set_latch(false);
            self.tamper_said = None;
            self.push(Channel::Tamper, now, Value::State(false), now);
        }
    }

    #[inline(never)]
    fn send(&mut self, poll: &Poll, answers: u64, now: Millis) -> TurnEnd {
        let allowed = usize::from(poll.frames).min(MOST_IN_TURN);
        let Some(outbox) = self.keeper.open() else {
            return TurnEnd { answers, now_ms: now, oldest: 0, next: 0, more: false };
        };
        for _ in 0..allowed {
            let Some((counter, payload)) = outbox.next(now, allowed) else { break };
            if let Some(wire) = self.link.as_ref().and_then(|link| link.repeat(counter, &payload)) {
                let _ = self.turn.extend_from_slice(&wire);
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

    /// Takes news in: an alarm becomes a frame at once, everything else waits for the next poll.
    fn take(&mut self, heard: Heard, now: Millis) {
        let alarm = heard.iter().any(|(_, news)| news.alarm);
        for (channel, news) in heard {
            if channel == Channel::Tamper
                && news.alarm
                && let Some(outbox) = self.keeper.open()
            {
                let _ = outbox.store_mut().set_latch(true);
            }
            self.push(channel, news.at, news.value, now);
        }
        if alarm {
            self.flush(now, true, false);
        }
    }

    /// Says what every channel says now.
    fn report(&mut self, now: Millis) {
        for at in 0..self.senses.len() {
            if let Some((channel, value)) = self.word(at) {
                self.push(channel, now, value, now);
            }
        }
        self.flush(now, false, false);
    }

    /// What the channel in this place says now.
    fn word(&self, at: usize) -> Option<(Channel, Value)> {
        let channel = self.senses.channels().nth(at)?;
        let value = if self.senses.is_health(channel) { Some(self.health()) } else { self.senses.value(channel) };
        value.map(|value| (channel, value))
    }

    fn health(&self) -> Value {
        let supply_mv = match self.senses.value(Channel::Supply) {
            Some(Value::Measure(volts)) => Some(libm::roundf(volts * 1000.0).clamp(0.0, 65_535.0) as u16),
            _ => None,
        };
        Value::Health { boots: self.boots(), reset: self.reset, supply_mv }
    }

    fn push(&mut self, channel: Channel, at: Millis, value: Value, now: Millis) {
        if !has_room(&self.pending, &value) {
            self.flush(now, false, false);
        }
        let _ = self.pending.push((channel, at, value));
    }

    /// Makes a frame of what waits; says its counter. What could not be kept earlier is told of with it.
    #[inline(never)]
    fn flush(&mut self, now: Millis, alarm: bool, last_words: bool) -> Option<u64> {
        let Some(outbox) = self.keeper.open() else {
            self.pending.clear();
            return None;
        };
        for channel in Channel::ALL {
            let lost = outbox.store_mut().shed_counts()[channel.index()];
            let word = Value::Missing(Missing::Overload(lost));
            if lost > 0 && !alarm && has_room(&self.pending, &word) {
                outbox.store_mut().shed_counts()[channel.index()] = 0;
                let _ = self.pending.push((channel, now, word));
            }
        }
        if self.pending.is_empty() {
            return None;
        }
        let pending = &self.pending;
        let put = outbox
            .put(alarm, now, |boot, follows, payload| write_frame(pending, (boot, follows, now, last_words), payload));
        let said = |word: &(Channel, Millis, Value)| (word.0, word.2) == (Channel::Tamper, Value::State(true));
        let tampered = self.pending.iter().any(said);
        self.pending.clear();
        match put {
            Ok(counter) => {
                if tampered {
                    self.tamper_said = Some((counter, now));
                }
                Some(counter)
            }
            Err(why) => {
                // No counter can be reserved: nothing may be sealed any more.
                self.keeper.locked = Some(Locked::Fails(why));
                None
            }
        }
    }

    fn is_listened_to(&self, now: Millis) -> bool {
        let within = u64::from(self.heartbeat_ms).saturating_mul(3);
        self.polled.is_some_and(|polled| now.saturating_sub(polled) < within)
    }
}

impl<F: NorFlash> Keeper<F> {
    /// The outbox, if frames may be kept in it.
    fn open(&mut self) -> Option<&mut Outbox<F>> {
        self.locked.is_none().then_some(&mut self.outbox)
    }

    /// The same, to look only.
    fn look(&self) -> Option<&Outbox<F>> {
        self.locked.is_none().then_some(&self.outbox)
    }

    fn flash(&mut self) -> &mut F {
        self.outbox.store_mut().flash()
    }
}

/// Writes a frame's message with these words: of which boot, how far behind the frame before, when, and whether they are the
/// last.
#[inline(never)]
fn write_frame(
    words: &[(Channel, Millis, Value)],
    (boot, follows, at_ms, last_words): (u32, u32, Millis, bool),
    payload: &mut Payload,
) -> Result<(), NorFlashErrorKind> {
    let samples = words.iter().map(|(channel, at, value)| {
        let age_ms = u32::try_from(at_ms.saturating_sub(*at)).unwrap_or(u32::MAX);
        Sample { channel: *channel, age_ms, value: *value }
    });
    let message = FromNode::Data(Data { boot, follows, at_ms, last_words, samples: samples.collect() });
    payload.resize_default(PAYLOAD_BYTES).map_err(|_| NorFlashErrorKind::OutOfBounds)?;
    let length = postcard::to_slice(&message, payload).map_err(|_| NorFlashErrorKind::OutOfBounds)?.len();
    payload.truncate(length);
    Ok(())
}

/// What a frame of samples has besides them, at most: kind, boot, follows, time, last words, how many.
const DATA_BYTES: usize = 1 + 5 + 5 + 10 + 1 + 1;

/// Whether another word fits into the frame that these wait for.
fn has_room(pending: &Vec<(Channel, Millis, Value), SAMPLES>, value: &Value) -> bool {
    // Channel and age, at most, and the value. One that has no size has no room.
    let bytes = |value| 1 + 5 + postcard::experimental::serialized_size(value).unwrap_or(PAYLOAD_BYTES);
    let waiting: usize = pending.iter().map(|(_, _, value)| bytes(value)).sum();
    !pending.is_full() && waiting + bytes(value) <= PAYLOAD_BYTES - DATA_BYTES
}

#[cfg(test)]
mod proof;
#[cfg(test)]
mod tests;
