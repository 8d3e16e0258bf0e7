//! Contacts: a state counts once it has been the same for the debounce time.

use super::News;
use crate::Millis;
use quaywatch_schemas::frame::message::Value;

/// How a contact is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// How long a new state must last. Mechanical contacts bounce for up to 20 ms.
    pub debounce_ms: u32,
    /// Which changes are alarms.
    pub alarm: Alarm,
}

/// Which changes of a contact are alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Alarm {
    /// None: it is traffic.
    Never,
    /// When it becomes `true`.
    OnTrue,
}

impl Default for Settings {
    fn default() -> Self {
        Self { debounce_ms: 30, alarm: Alarm::Never }
    }
}

/// One contact.
#[derive(Debug, Clone)]
pub struct Contact {
    settings: Settings,
    state: Option<bool>,
    candidate: Option<(bool, Millis)>,
}

impl Contact {
    /// A contact that was not read yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: None, candidate: None }
    }

    /// The raw input is so now.
    pub fn sense(&mut self, raw: bool, now: Millis) -> Option<News> {
        if self.state == Some(raw) {
            self.candidate = None;
        } else if self.candidate.is_none_or(|(candidate, _)| candidate != raw) {
            self.candidate = Some((raw, now));
        }
        self.tick(now)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let (state, since) = self.candidate?;
        if now.saturating_sub(since) < u64::from(self.settings.debounce_ms) {
            return None;
        }
        self.candidate = None;
        self.state = Some(state);
        let alarm = state && self.settings.alarm == Alarm::OnTrue;
        Some(News { value: Value::State(state), at: since, alarm })
    }

    /// The state that counts.
    pub fn state(&self) -> Option<bool> {
        self.state
    }
}
