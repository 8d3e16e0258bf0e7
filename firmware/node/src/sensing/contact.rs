//! Contacts: a state counts once it has been the same for the debounce time.

use super::News;
use crate::Millis;
use quaywatch_schemas::frame::{
    message::{Doubt, Missing, Value},
    settings::{Alarm, Contact as Settings},
};

/// A contact that has not come to rest for this long is doubted. People press, doors swing and relays bounce for a second
/// or two; a broken wire in the wind and a detector's failing relay go on.
pub const RESTLESS_MS: Millis = 10_000;

/// One contact.
#[derive(Debug, Clone)]
pub struct Contact {
    settings: Settings,
    state: Option<bool>,
    edge: Option<Edge>,
    doubted: bool,
}

/// The last change of the raw input.
#[derive(Debug, Clone, Copy)]
struct Edge {
    raw: bool,
    at: Millis,
    /// Since when no state has lasted for the debounce time.
    restless_since: Millis,
}

impl Contact {
    /// A contact that was not read yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: None, edge: None, doubted: false }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// The raw input is so now.
    pub fn sense(&mut self, raw: bool, now: Millis) -> Option<News> {
        // What has lasted until now counts before what begins now.
        let news = self.tick(now);
        match &mut self.edge {
            Some(edge) if edge.raw != raw => (edge.raw, edge.at) = (raw, now),
            Some(_) => {}
            None if self.state == Some(raw) => {}
            None => self.edge = Some(Edge { raw, at: now, restless_since: now }),
        }
        news.or_else(|| self.tick(now))
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let Edge { raw, at, restless_since } = self.edge?;
        if now.saturating_sub(at) >= u64::from(self.settings.debounce_ms) {
            self.edge = None;
            let doubted = core::mem::take(&mut self.doubted);
            let changed = self.state.replace(raw) != Some(raw);
            let alarm = raw && changed && self.settings.alarm == Alarm::OnTrue;
            return (changed || doubted).then_some(News { value: Value::State(raw), at, alarm });
        }
        if now.saturating_sub(restless_since) < RESTLESS_MS || self.doubted {
            return None;
        }
        self.doubted = true;
        Some(News { value: NOISY, at: now, alarm: false })
    }

    /// The state that counts, however doubtful it is.
    pub fn state(&self) -> Option<bool> {
        self.state
    }

    /// What it says now.
    pub fn value(&self) -> Option<Value> {
        if self.doubted { Some(NOISY) } else { self.state.map(Value::State) }
    }
}

const NOISY: Value = Value::Missing(Missing::Doubted(Doubt::Noisy));
