//! The tamper latch: once opened, opened, until the gateway has that on disk and the switch is closed again.

use super::{News, contact::Contact};
use crate::Millis;
use quaywatch_schemas::frame::{
    message::Value,
    settings::{Alarm, Contact as Settings},
};

/// How fresh a word must be when it is acknowledged for the latch to open. An older one may have been taken for history,
/// which alarms nobody; the next heartbeat says it again.
pub const FRESH_MS: Millis = 5_000;

/// A tamper switch with its latch. Who owns it keeps the latch in flash.
#[derive(Debug, Clone)]
pub struct Tamper {
    contact: Contact,
    latched: bool,
}

impl Tamper {
    /// A switch that was not read yet, and the latch as flash has it.
    pub fn new(latched: bool) -> Self {
        Self { contact: Contact::new(Settings { alarm: Alarm::OnTrue, ..Settings::default() }), latched }
    }

    /// The switch is so now: `true` is open.
    pub fn sense(&mut self, open: bool, now: Millis) -> Option<News> {
        let news = self.contact.sense(open, now);
        self.latch(news)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let news = self.contact.tick(now);
        self.latch(news)
    }

    /// Whether it was opened and that is not known yet.
    pub fn is_latched(&self) -> bool {
        self.latched
    }

    /// A word of it is on the gateway's disk and was fresh when it came there. Gives the latch up if the switch is closed;
    /// says whether it did.
    pub fn acknowledged(&mut self) -> bool {
        let opens = self.latched && self.contact.state() == Some(false);
        self.latched &= !opens;
        opens
    }

    /// What it says now.
    pub fn value(&self) -> Option<Value> {
        if self.latched { Some(Value::State(true)) } else { self.contact.value() }
    }

    /// A switch that closes or cannot make up its mind says nothing by itself: the latch holds.
    fn latch(&mut self, news: Option<News>) -> Option<News> {
        let news = news?;
        match news.value {
            Value::State(true) => self.latched = true,
            _ if self.latched => return None,
            _ => {}
        }
        Some(news)
    }
}
