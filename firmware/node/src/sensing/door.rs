//! A door: open, forced open, held open.

use super::{News, contact::Contact};
use crate::Millis;
use quaywatch_schemas::frame::{
    message::Value,
    settings::{self, Door as Settings},
};

/// A door's contact, with what a lock and a button say of it.
#[derive(Debug, Clone)]
pub struct Door {
    settings: Settings,
    contact: Contact,
    /// By the lock, by the button.
    released: [Released; 2],
    opened: Option<Millis>,
    forced: Option<bool>,
    held: Option<bool>,
}

/// What lets a door be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The controller's lock.
    Grant,
    /// A request to exit.
    Rex,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Released {
    Never,
    /// Since then, and it lasts.
    Since(Millis),
    /// From, until: both ends included.
    Between(Millis, Millis),
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// It was opened or closed.
    pub door: Option<News>,
    /// Whether it was forced, if that changed.
    pub forced: Option<News>,
    /// Whether it is held open, if that changed.
    pub held: Option<News>,
}

impl Door {
    /// A door that was not read yet.
    pub fn new(settings: Settings) -> Self {
        let contact = settings::Contact { debounce_ms: settings.debounce_ms, alarm: settings.alarm };
        Self {
            settings,
            contact: Contact::new(contact),
            released: [Released::Never; 2],
            opened: None,
            forced: None,
            held: None,
        }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// The contact is so now: `true` is open.
    pub fn sense(&mut self, open: bool, now: Millis) -> Said {
        let news = self.contact.sense(open, now);
        self.take(news, now)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Said {
        let news = self.contact.tick(now);
        self.take(news, now)
    }

    /// A lock was released, or somebody inside asked to leave; or that ended.
    pub fn release(&mut self, by: Release, lasts: bool, at: Millis) {
        let released = &mut self.released[by as usize];
        *released = match (lasts, *released) {
            (true, Released::Since(from)) => Released::Since(from),
            (true, _) => Released::Since(at),
            (false, Released::Since(from)) => Released::Between(from, at.max(from)),
            (false, ended) => ended,
        };
    }

    /// Whether it is open.
    pub fn door(&self) -> Option<Value> {
        self.contact.value()
    }

    /// Whether it stands open without a release.
    pub fn forced(&self) -> Option<Value> {
        self.forced.map(Value::State)
    }

    /// Whether it has stood open for too long.
    pub fn held(&self) -> Option<Value> {
        self.held.map(Value::State)
    }

    fn take(&mut self, news: Option<News>, now: Millis) -> Said {
        let mut said = Said { door: news, ..Said::default() };
        if let Some(News { value: Value::State(open), at, .. }) = news {
            let was_closed = self.forced.is_some() && self.opened.is_none();
            match (open, self.opened) {
                (true, None) => self.opened = Some(at),
                (true, Some(_)) => {}
                (false, _) => self.opened = None,
            }
            // How a door that is open at the start was opened, nobody saw.
            let forced = open && (self.forced == Some(true) || (was_closed && !self.may_be_opened(at)));
            if self.forced.replace(forced) != Some(forced) {
                said.forced = Some(News { value: Value::State(forced), at, alarm: forced });
            }
        }
        if self.forced.is_none() {
            return said;
        }
        let until = self.opened.map(|opened| opened.saturating_add(u64::from(self.settings.held_ms)));
        let held = until.is_some_and(|until| now >= until);
        if self.held.replace(held) != Some(held) {
            said.held = Some(News { value: Value::State(held), at: until.unwrap_or(now), alarm: held });
        }
        said
    }

    fn may_be_opened(&self, at: Millis) -> bool {
        self.released.iter().any(|released| match *released {
            Released::Never => false,
            Released::Since(from) => at >= from,
            Released::Between(from, until) => {
                at >= from && at <= until.max(from.saturating_add(u64::from(self.settings.released_ms)))
            }
        })
    }
}
