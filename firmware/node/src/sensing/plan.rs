//! When which input is read. A round that came late is made up for by one reading, not by several at once.

use crate::Millis;
use heapless::Vec;
use quaywatch_schemas::frame::{
    Channel,
    channel::CHANNELS,
    settings::{INPUTS, Input, Settings},
};

/// Channels that are to be read now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due(u32);

const _: () = assert!(CHANNELS <= u32::BITS as usize, "a bit per channel");

impl Due {
    /// Whether a channel is among them.
    pub fn contains(&self, channel: Channel) -> bool {
        self.0 >> channel.index() & 1 == 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// The rhythm of all inputs.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    rhythms: Vec<Rhythm, INPUTS>,
}

#[derive(Debug, Clone, Copy)]
struct Rhythm {
    channel: Channel,
    every_ms: u32,
    next: Millis,
}

impl Plan {
    /// Everything is read at once and then in its rhythm. What happens by itself is not read.
    pub fn new(settings: &Settings, now: Millis) -> Self {
        let read = settings.inputs().iter().filter(|input| input.every_ms > 0);
        let rhythm = |input: &Input| Rhythm { channel: input.channel, every_ms: input.every_ms, next: now };
        Self { rhythms: read.map(rhythm).collect() }
    }

    /// What is to be read now. Each is due again one interval after it was due before, so that a rhythm does not drift; what
    /// is late by more than an interval begins anew.
    pub fn due(&mut self, now: Millis) -> Due {
        let mut due = Due::default();
        for rhythm in self.rhythms.iter_mut().filter(|rhythm| rhythm.next <= now) {
            due.0 |= 1 << rhythm.channel.index();
            let every = u64::from(rhythm.every_ms);
            let next = rhythm.next.saturating_add(every);
            rhythm.next = if next > now { next } else { now.saturating_add(every) };
        }
        due
    }

    /// How often a channel is read; 0 if it is not.
    pub(super) fn every_ms(&self, channel: Channel) -> u32 {
        self.rhythms.iter().find(|rhythm| rhythm.channel == channel).map_or(0, |rhythm| rhythm.every_ms)
    }

    /// Nothing is read any more.
    pub(super) fn clear(&mut self) {
        self.rhythms.clear();
    }

    /// When something is due next; `None` if nothing is ever read.
    pub fn next(&self) -> Option<Millis> {
        self.rhythms.iter().map(|rhythm| rhythm.next).min()
    }
}
