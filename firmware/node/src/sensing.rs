//! From raw inputs to words worth sending: [`Senses`] is all that a node senses, with one file per kind of input. None knows
//! the link or the flash.

pub mod badge;
pub mod contact;
pub mod door;
pub mod load;
pub mod measure;
mod median;
pub mod motion;
pub mod plan;
pub mod range;
pub mod tamper;
pub mod vibration;

use crate::Millis;
use badge::{Badge, Word};
use contact::Contact;
use door::{Door, Release};
use heapless::Vec;
use load::Load;
use measure::Measure;
use motion::Motion;
use plan::{Due, Plan};
use quaywatch_schemas::frame::{
    Channel,
    message::Value,
    settings::{INPUTS, Input, Sensing, Settings},
};
use range::Range;
use tamper::Tamper;
use vibration::Vibration;

/// Something to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct News {
    /// What.
    pub value: Value,
    /// Since when.
    pub at: Millis,
    /// Whether it is kept before everything else and put into flash before it is sent.
    pub alarm: bool,
}

/// A raw input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sensed {
    /// A contact, a detector's output, a switch.
    Digital(bool),
    /// A sensor's value in the channel's unit; of a load cell the converter's steps.
    Analog(f32),
    /// What a badge reader sent.
    Word(Word),
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

impl From<Word> for Sensed {
    fn from(word: Word) -> Self {
        Self::Word(word)
    }
}

/// The node has no such channel, or it is not of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

/// What one input or one moment gave: at most a door and what is said of it, or a lock and the badge it answers.
pub type Heard = Vec<(Channel, News), 4>;

/// All that a node senses; nothing before it is told.
#[derive(Default)]
pub struct Senses {
    /// What matters most first. Their settings are the detectors': RAM is too small to keep them twice.
    inputs: Vec<Wired, INPUTS>,
    plan: Plan,
    contacts: Pool<Contact, 10>,
    measures: Pool<Measure, 9>,
    loads: Pool<Load, 4>,
    badges: Pool<Badge, 2>,
    motion: Pool<Motion, 1>,
    tamper: Pool<Tamper, 1>,
    vibration: Pool<Vibration, 1>,
    range: Pool<Range, 1>,
    door: Pool<Door, 1>,
}

/// A channel, and by what it is sensed.
#[derive(Debug, Clone, Copy)]
struct Wired {
    channel: Channel,
    by: Detector,
}

/// The kinds of [`Sensing`], without what is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detector {
    Contact,
    Motion,
    Tamper,
    Vibration,
    Measure,
    Health,
    Load,
    Range,
    Door,
    Badge,
    Derived,
}

/// The detectors of one kind. There is room for every channel that can be sensed so, which a test shows: RAM is too small to
/// give each channel as much as the largest detector takes.
struct Pool<D, const N: usize>(Vec<(Channel, D), N>);

impl Senses {
    /// Begins to sense, or goes on by other settings. A channel whose input is told as before goes on as if nothing had
    /// happened: a detector stays warm, a state known. A new tamper switch has its latch as told here.
    pub fn tell(&mut self, settings: &Settings, latched: bool, now: Millis) {
        for at in 0..self.inputs.len() {
            let channel = self.inputs[at].channel;
            if !self.told(channel).is_some_and(|input| settings.inputs().contains(&input)) {
                self.forget(channel);
            }
        }
        self.plan = Plan::new(settings, now);
        self.fill(settings, latched, now);
    }

    /// Which inputs are to be read now.
    pub fn due(&mut self, now: Millis) -> Due {
        self.plan.due(now)
    }

    /// When an input is to be read next; `None` if none ever is.
    pub fn next_due(&self) -> Option<Millis> {
        self.plan.next()
    }

    /// A raw input is so now.
    pub fn sense(&mut self, channel: Channel, sensed: Sensed, now: Millis) -> Result<Heard, Misfit> {
        let mut heard = Heard::new();
        match (self.by(channel).ok_or(Misfit)?, sensed) {
            (Detector::Contact, Sensed::Digital(raw)) => {
                hear(&mut heard, channel, self.contacts.of(channel)?.sense(raw, now));
            }
            (Detector::Motion, Sensed::Digital(raw)) => {
                hear(&mut heard, channel, self.motion.of(channel)?.sense(raw, now));
            }
            (Detector::Tamper, Sensed::Digital(raw)) => {
                hear(&mut heard, channel, self.tamper.of(channel)?.sense(raw, now));
            }
            (Detector::Door, Sensed::Digital(raw)) => {
                let said = self.door.of(channel)?.sense(raw, now);
                self.hear_door(&mut heard, said);
            }
            (Detector::Measure, Sensed::Analog(value)) => {
                hear(&mut heard, channel, self.measures.of(channel)?.sense(value, now));
            }
            (Detector::Load, Sensed::Analog(steps)) => {
                hear(&mut heard, channel, self.loads.of(channel)?.sense(steps, now));
            }
            (Detector::Vibration, Sensed::Analog(value)) => {
                let said = self.vibration.of(channel)?.sense(value, now);
                self.hear_vibration(&mut heard, said);
            }
            (Detector::Range, Sensed::Analog(metres)) => {
                let said = self.range.of(channel)?.sense(metres, now);
                self.hear_range(&mut heard, said);
            }
            (Detector::Badge, Sensed::Word(word)) => {
                for news in self.badges.of(channel)?.sense(word, now) {
                    hear(&mut heard, channel, news);
                }
            }
            _ => return Err(Misfit),
        }
        self.pass_on(channel, &mut heard);
        Ok(heard)
    }

    /// How many channels are sensed.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Time passed for the channel in this place of [`Senses::channels`].
    pub fn tick(&mut self, at: usize, now: Millis) -> Heard {
        let mut heard = Heard::new();
        let Some(Wired { channel, by }) = self.inputs.get(at).copied() else { return heard };
        match by {
            Detector::Contact => hear(&mut heard, channel, self.contacts.with(channel, |contact| contact.tick(now))),
            Detector::Motion => hear(&mut heard, channel, self.motion.with(channel, |motion| motion.tick(now))),
            Detector::Tamper => hear(&mut heard, channel, self.tamper.with(channel, |tamper| tamper.tick(now))),
            Detector::Measure => hear(&mut heard, channel, self.measures.with(channel, |measure| measure.tick(now))),
            Detector::Load => hear(&mut heard, channel, self.loads.with(channel, |load| load.tick(now))),
            Detector::Badge => hear(&mut heard, channel, self.badges.with(channel, |badge| badge.tick(now))),
            Detector::Door => {
                let said = self.door.of(channel).map(|door| door.tick(now)).unwrap_or_default();
                self.hear_door(&mut heard, said);
            }
            Detector::Vibration => {
                let said = self.vibration.of(channel).map(|vibration| vibration.tick(now)).unwrap_or_default();
                self.hear_vibration(&mut heard, said);
            }
            Detector::Range => {
                let said = self.range.of(channel).map(|range| range.tick(now)).unwrap_or_default();
                self.hear_range(&mut heard, said);
            }
            Detector::Health | Detector::Derived => {}
        }
        self.pass_on(channel, &mut heard);
        heard
    }

    /// What is sensed, what matters most first: tamper, what is always an alarm, what may be one, the rest as told.
    pub fn channels(&self) -> impl Iterator<Item = Channel> + '_ {
        self.inputs.iter().map(|input| input.channel)
    }

    /// What a channel says now; `None` if it has nothing to say yet, and for what only the node knows.
    pub fn value(&self, channel: Channel) -> Option<Value> {
        match self.by(channel)? {
            Detector::Contact => self.contacts.get(channel)?.value(),
            Detector::Motion => Some(self.motion.get(channel)?.value()),
            Detector::Tamper => self.tamper.get(channel)?.value(),
            Detector::Vibration => self.vibration.get(channel)?.energy(),
            Detector::Measure => self.measures.get(channel)?.value(),
            Detector::Load => self.loads.get(channel)?.value(),
            Detector::Range => self.range.get(channel)?.range(),
            Detector::Door => self.door.get(channel)?.door(),
            Detector::Badge => self.badges.get(channel)?.value(),
            Detector::Health => None,
            Detector::Derived => match channel {
                Channel::Fence => self.vibration.get(Channel::Vibration)?.moves(),
                Channel::FenceCut => self.vibration.get(Channel::Vibration)?.cut(),
                Channel::Presence => self.range.get(Channel::Range)?.near(),
                Channel::DoorForced => self.door.get(Channel::Door)?.forced(),
                Channel::DoorHeld => self.door.get(Channel::Door)?.held(),
                _ => None,
            },
        }
    }

    /// Whether it is the node itself that has a channel's word.
    pub fn is_health(&self, channel: Channel) -> bool {
        self.by(channel) == Some(Detector::Health)
    }

    /// Self-test: the channels that are sensed and say nothing, or that they cannot; a bit each, by their place in wire order.
    /// Of a badge reader it is only known when it is doubted, and the node's own health is not asked.
    pub fn without_value(&self) -> u32 {
        let mute = self.inputs.iter().filter(|input| match (input.by, self.value(input.channel)) {
            (Detector::Health, _) | (Detector::Badge, None) => false,
            (_, value) => matches!(value, None | Some(Value::Missing(_))),
        });
        mute.fold(0, |bits, input| bits | 1 << input.channel.index())
    }

    /// Whether the tamper latch is set.
    pub fn is_tampered(&self) -> bool {
        self.tamper.get(Channel::Tamper).is_some_and(Tamper::is_latched)
    }

    /// A word of the tamper latch is on the gateway's disk: see [`Tamper::acknowledged`].
    pub fn tamper_acknowledged(&mut self) -> bool {
        self.tamper.of(Channel::Tamper).is_ok_and(Tamper::acknowledged)
    }

    fn by(&self, channel: Channel) -> Option<Detector> {
        self.inputs.iter().find(|input| input.channel == channel).map(|input| input.by)
    }

    /// How a channel was told to be sensed.
    fn told(&self, channel: Channel) -> Option<Input> {
        let sensing = match self.by(channel)? {
            Detector::Contact => Sensing::Contact(self.contacts.get(channel)?.told()),
            Detector::Motion => Sensing::Motion(self.motion.get(channel)?.told()),
            Detector::Tamper => Sensing::Tamper,
            Detector::Vibration => Sensing::Vibration(self.vibration.get(channel)?.told()),
            Detector::Measure => Sensing::Measure(self.measures.get(channel)?.told()),
            Detector::Health => Sensing::Health,
            Detector::Load => Sensing::Load(self.loads.get(channel)?.told()),
            Detector::Range => Sensing::Range(self.range.get(channel)?.told()),
            Detector::Door => Sensing::Door(self.door.get(channel)?.told()),
            Detector::Badge => Sensing::Badge(self.badges.get(channel)?.told()),
            Detector::Derived => Sensing::Derived,
        };
        Some(Input { channel, every_ms: self.plan.every_ms(channel), sensing })
    }

    /// Takes all inputs, with new detectors for those that have none.
    fn fill(&mut self, settings: &Settings, latched: bool, now: Millis) {
        // Each rank as told. A sort would be 2 KB of flash, for sixteen inputs at most.
        let ranked = |wanted| settings.inputs().iter().filter(move |input| rank(input.channel) == wanted);
        let wired = |input: &Input| Wired { channel: input.channel, by: Detector::of(&input.sensing) };
        self.inputs = (0..=LAST_RANK).flat_map(ranked).map(wired).collect();
        for Input { channel, every_ms, sensing } in settings.inputs().iter().copied() {
            match sensing {
                Sensing::Contact(told) => self.contacts.fill(channel, || Contact::new(told)),
                Sensing::Motion(told) => self.motion.fill(channel, || Motion::new(told, now)),
                Sensing::Tamper => self.tamper.fill(channel, || Tamper::new(latched)),
                Sensing::Vibration(told) => self.vibration.fill(channel, || Vibration::new(told, every_ms, now)),
                Sensing::Measure(told) => self.measures.fill(channel, || Measure::new(told, now)),
                Sensing::Load(told) => self.loads.fill(channel, || Load::new(told, now)),
                Sensing::Range(told) => self.range.fill(channel, || Range::new(told, now)),
                Sensing::Door(told) => self.door.fill(channel, || Door::new(told)),
                Sensing::Badge(told) => self.badges.fill(channel, || Badge::new(told)),
                Sensing::Health | Sensing::Derived => {}
            }
        }
        // What a detector was told by another channel is told anew: that one may be another now, or gone.
        for channel in [Channel::Grant, Channel::Rex] {
            let released = self.value(channel) == Some(Value::State(true));
            self.pass_on_release(channel, released, now, &mut Heard::new());
        }
        for channel in [Channel::Temperature, Channel::AirTemperature] {
            self.pass_on(channel, &mut Heard::new());
        }
    }

    /// As if nothing had ever been told.
    pub(crate) fn clear(&mut self) {
        for at in 0..self.inputs.len() {
            self.forget(self.inputs[at].channel);
        }
        self.inputs.clear();
        self.plan.clear();
    }

    fn forget(&mut self, channel: Channel) {
        self.contacts.forget(channel);
        self.motion.forget(channel);
        self.tamper.forget(channel);
        self.vibration.forget(channel);
        self.measures.forget(channel);
        self.loads.forget(channel);
        self.range.forget(channel);
        self.door.forget(channel);
        self.badges.forget(channel);
    }

    fn hear_door(&self, heard: &mut Heard, said: door::Said) {
        hear(heard, Channel::Door, said.door);
        self.hear_derived(heard, Channel::DoorForced, said.forced);
        self.hear_derived(heard, Channel::DoorHeld, said.held);
    }

    fn hear_vibration(&self, heard: &mut Heard, said: vibration::Said) {
        self.hear_derived(heard, Channel::FenceCut, said.cut);
        self.hear_derived(heard, Channel::Fence, said.moves);
        hear(heard, Channel::Vibration, said.energy);
    }

    fn hear_range(&self, heard: &mut Heard, said: range::Said) {
        self.hear_derived(heard, Channel::Presence, said.near);
        hear(heard, Channel::Range, said.range);
    }

    /// A channel that a detector says something of besides its own, if that is wanted and not sensed in another way.
    fn hear_derived(&self, heard: &mut Heard, channel: Channel, news: Option<News>) {
        if self.by(channel) == Some(Detector::Derived) {
            hear(heard, channel, news);
        }
    }

    /// Tells other detectors what they need of this channel.
    fn pass_on(&mut self, channel: Channel, heard: &mut Heard) {
        match channel {
            Channel::Grant | Channel::Rex => {
                if let Some(&(_, News { value: Value::State(released), at, .. })) = heard.first() {
                    self.pass_on_release(channel, released, at, heard);
                }
            }
            Channel::Temperature | Channel::AirTemperature => {
                let temperature = match self.value(channel) {
                    Some(Value::Measure(temperature)) => Some(temperature),
                    _ => None,
                };
                for (_, load) in &mut self.loads.0 {
                    load.warm(channel, temperature);
                }
            }
            _ => {}
        }
    }

    fn pass_on_release(&mut self, channel: Channel, released: bool, at: Millis, heard: &mut Heard) {
        let by = if channel == Channel::Grant { Release::Grant } else { Release::Rex };
        if let Ok(door) = self.door.of(Channel::Door) {
            door.release(by, released, at);
        }
        if by == Release::Grant {
            let last = self.badges.0.iter().filter_map(|(_, badge)| badge.asks_since()).max();
            for (channel, badge) in &mut self.badges.0 {
                let answers = last.is_some() && badge.asks_since() == last;
                hear(heard, *channel, badge.release(released, answers));
            }
        }
    }
}

impl Detector {
    fn of(sensing: &Sensing) -> Self {
        match sensing {
            Sensing::Contact(_) => Self::Contact,
            Sensing::Motion(_) => Self::Motion,
            Sensing::Tamper => Self::Tamper,
            Sensing::Vibration(_) => Self::Vibration,
            Sensing::Measure(_) => Self::Measure,
            Sensing::Health => Self::Health,
            Sensing::Load(_) => Self::Load,
            Sensing::Range(_) => Self::Range,
            Sensing::Door(_) => Self::Door,
            Sensing::Badge(_) => Self::Badge,
            Sensing::Derived => Self::Derived,
        }
    }
}

impl<D, const N: usize> Default for Pool<D, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<D, const N: usize> Pool<D, N> {
    fn get(&self, channel: Channel) -> Option<&D> {
        self.0.iter().find(|(of, _)| *of == channel).map(|(_, detector)| detector)
    }

    fn of(&mut self, channel: Channel) -> Result<&mut D, Misfit> {
        self.0.iter_mut().find(|(of, _)| *of == channel).map(|(_, detector)| detector).ok_or(Misfit)
    }

    fn with(&mut self, channel: Channel, what: impl FnOnce(&mut D) -> Option<News>) -> Option<News> {
        self.of(channel).ok().and_then(what)
    }

    fn fill(&mut self, channel: Channel, make: impl FnOnce() -> D) {
        if self.get(channel).is_none() {
            let _ = self.0.push((channel, make()));
        }
    }

    fn forget(&mut self, channel: Channel) {
        self.0.retain(|(of, _)| *of != channel);
    }
}

fn hear(heard: &mut Heard, channel: Channel, news: Option<News>) {
    if let Some(news) = news {
        // No input says more than a `Heard` holds; a test lets all of them speak.
        let _ = heard.push((channel, news));
    }
}

/// What matters most has the lowest: when the supply fails, one frame must do.
fn rank(channel: Channel) -> u8 {
    match channel {
        Channel::Tamper => 0,
        Channel::FenceCut | Channel::DoorForced | Channel::Fence => 1,
        Channel::Pir | Channel::DoorHeld | Channel::Door | Channel::Presence => 2,
        Channel::Health | Channel::Supply => 3,
        _ => LAST_RANK,
    }
}

const LAST_RANK: u8 = 4;

#[cfg(test)]
mod tests;
