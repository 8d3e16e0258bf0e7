//! Badge readers: from a Wiegand word to a card, from a card to *granted* or *not*.
//!
//! A reader says whose badge it saw; the door's controller decides, and what it decides is seen at the lock. A badge is
//! granted if the lock is released after it was read, within the time a controller takes, or was released already. Of two
//! readers at one door the one that read last is answered: a controller takes a fraction of a second.
//!
//! Parity finds damage and proves nothing: whoever can reach the two wires can say any number.

use super::News;
use crate::Millis;
use core::fmt;
use quaywatch_schemas::frame::{
    message::{Card, Doubt, Missing, Value},
    settings::{Badge as Settings, Layout, Parity, Span, WIEGAND_BITS},
};

/// After so many damaged words without a good one between them a reader is doubted: a card that is pulled away too early
/// spoils one or two.
const DAMAGED: u8 = 3;

/// The bits that a reader sent, the first one highest. They are a card's: `Debug` says how many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    bits: u64,
    length: u8,
}

/// One reader.
#[derive(Debug, Clone)]
pub struct Badge {
    settings: Settings,
    released: bool,
    /// What was read last and when, for reads that are repeated.
    last: Option<(Card, Millis)>,
    /// What was read and not answered yet.
    asks: Option<(Card, Millis)>,
    damaged: u8,
}

impl Word {
    /// So many bits, the last one lowest. More than 64 are kept as 65: no card is that long.
    pub fn new(bits: u64, length: u8) -> Self {
        Self { bits, length: length.min(WIEGAND_BITS + 1) }
    }

    /// The card, if the word has the layout's length and its parities are right.
    pub fn card(&self, layout: &Layout) -> Option<Card> {
        let whole = self.length == layout.bits
            && layout.even.is_none_or(|parity| self.ones(parity).is_multiple_of(2))
            && layout.odd.is_none_or(|parity| self.ones(parity) % 2 == 1);
        whole.then(|| Card {
            facility: (layout.facility.bits > 0).then(|| self.number(layout.facility) as u32),
            number: self.number(layout.number),
        })
    }

    /// The ones under a parity bit and in it.
    fn ones(&self, parity: Parity) -> u32 {
        self.number(parity.over).count_ones() + self.number(Span { from: parity.at, bits: 1 }).count_ones()
    }

    /// Settings have no span beyond their layout, and the word is as long as that.
    fn number(&self, span: Span) -> u64 {
        let behind = u32::from(self.length).saturating_sub(u32::from(span.from) + u32::from(span.bits));
        let mask = if span.bits >= 64 { u64::MAX } else { (1u64 << span.bits) - 1 };
        self.bits.checked_shr(behind).unwrap_or(0) & mask
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({} bits)", self.length)
    }
}

impl Badge {
    /// A reader that has read nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, released: false, last: None, asks: None, damaged: 0 }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// A word came. What became of a badge before it is said first.
    pub fn sense(&mut self, word: Word, now: Millis) -> [Option<News>; 2] {
        let Some(card) = word.card(&self.settings.layout) else {
            self.damaged = self.damaged.saturating_add(1);
            return [(self.damaged == DAMAGED).then_some(News { value: NOISY, at: now, alarm: false }), None];
        };
        self.damaged = 0;
        let again = u64::from(self.settings.again_ms);
        let repeats = self.last.is_some_and(|(last, at)| last == card && now.saturating_sub(at) < again);
        self.last = Some((card, now));
        if repeats {
            return [None; 2];
        }
        // Who reads another badge before the answer came has had none.
        let former = self.asks.take().map(|asked| self.answer(asked, false));
        if self.released {
            return [former, Some(self.answer((card, now), true))];
        }
        self.asks = Some((card, now));
        [former, None]
    }

    /// Whether the lock is released, from now on; and whether that is the answer to what was read here.
    pub fn release(&mut self, released: bool, answers: bool) -> Option<News> {
        let begins = released && !self.released;
        self.released = released;
        let answered = if begins && answers { self.asks.take() } else { None };
        answered.map(|asked| self.answer(asked, true))
    }

    /// Since when it waits for an answer, if it does.
    pub fn asks_since(&self) -> Option<Millis> {
        self.asks.map(|(_, since)| since)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        let (_, since) = self.asks?;
        if now.saturating_sub(since) < u64::from(self.settings.answer_ms) {
            return None;
        }
        self.asks.take().map(|asked| self.answer(asked, false))
    }

    /// What it says of itself: nothing, or that it is doubted. A badge is said once.
    pub fn value(&self) -> Option<Value> {
        (self.damaged >= DAMAGED).then_some(NOISY)
    }

    fn answer(&self, (card, at): (Card, Millis), granted: bool) -> News {
        News { value: Value::Credential { card, granted }, at, alarm: false }
    }
}

const NOISY: Value = Value::Missing(Missing::Doubted(Doubt::Noisy));
