//! Measured values: said when they moved, when they cross an alarm limit, and when they are lost.

use super::News;
use crate::Millis;
use quaywatch_schemas::frame::{
    message::{Doubt, Missing, Value},
    settings::Measure as Settings,
};

/// One measured value.
#[derive(Debug, Clone)]
pub struct Measure {
    settings: Settings,
    said: Option<Word>,
    latest: Option<Word>,
    read_at: Millis,
    beyond: bool,
}

/// What a measured value can say: a third of what any channel can.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Measure(f32),
    Load { value: f32, settled: bool },
    Missing(Missing),
}

impl Measure {
    /// A value that was not read yet.
    pub fn new(settings: Settings, now: Millis) -> Self {
        Self { settings, said: None, latest: None, read_at: now, beyond: false }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// It was read. NaN and infinity are what a broken converter delivers.
    pub fn sense(&mut self, value: f32, now: Millis) -> Option<News> {
        self.take(value, Word::Measure(value), now)
    }

    /// It was read, by a sensor that knows whether it has settled. That is worth a word of its own.
    pub fn sense_load(&mut self, value: f32, settled: bool, now: Millis) -> Option<News> {
        self.take(value, Word::Load { value, settled }, now)
    }

    /// It was read, and says nothing because of this.
    pub fn doubt(&mut self, doubt: Doubt, now: Millis) -> Option<News> {
        self.read_at = now;
        self.lose(Missing::Doubted(doubt), now)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let stale = now.saturating_sub(self.read_at) > u64::from(self.settings.stale_ms);
        if stale { self.lose(Missing::Doubted(Doubt::NotRead), now) } else { None }
    }

    /// The latest value.
    pub fn value(&self) -> Option<Value> {
        self.latest.map(Value::from)
    }

    fn take(&mut self, value: f32, word: Word, now: Millis) -> Option<News> {
        self.read_at = now;
        if !value.is_finite() {
            return self.lose(Missing::BadValue, now);
        }
        if !(self.settings.lowest..=self.settings.highest).contains(&value) {
            return self.lose(Missing::Doubted(Doubt::OutOfRange), now);
        }
        let was_beyond = self.beyond;
        self.beyond = self.settings.alarm.is_some_and(|limit| limit.after(was_beyond, value));
        self.latest = Some(word);
        let is_news = match (self.said, word) {
            (Some(Word::Measure(said)), Word::Measure(_)) => self.moved(said, value),
            (Some(Word::Load { value: said, settled: had_settled }), Word::Load { settled, .. }) => {
                had_settled != settled || self.moved(said, value)
            }
            _ => true,
        };
        if !is_news && self.beyond == was_beyond {
            return None;
        }
        self.said = self.latest;
        Some(News { value: word.into(), at: now, alarm: self.beyond && !was_beyond })
    }

    fn moved(&self, said: f32, value: f32) -> bool {
        let by = libm::fabsf(value - said);
        by > 0.0 && by >= self.settings.deadband
    }

    /// An alarm ends with the value: whether it still holds is not known, and the next value says it again.
    fn lose(&mut self, missing: Missing, now: Millis) -> Option<News> {
        let lost = Word::Missing(missing);
        self.beyond = false;
        self.latest = Some(lost);
        (self.said.replace(lost) != Some(lost)).then_some(News { value: lost.into(), at: now, alarm: false })
    }
}

impl From<Word> for Value {
    fn from(word: Word) -> Self {
        match word {
            Word::Measure(value) => Self::Measure(value),
            Word::Load { value, settled } => Self::Load { value, settled },
            Word::Missing(missing) => Self::Missing(missing),
        }
    }
}
