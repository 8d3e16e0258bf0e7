//! Which of a node's kept frames have come, and which of those are on disk.

use super::message::Stored;
use heapless::Vec;

/// The most frames of one node that can have come without everything before them being on disk. A node keeps fewer; at
/// the bound a new frame is refused, not acknowledged, and so comes again.
pub const WINDOW: usize = 256;

/// The gateway's view of one store epoch of one node. No counter is taken twice.
#[derive(Debug, Clone)]
pub struct Window {
    base: u64,
    /// Rising counters, none below `base`.
    come: Vec<Come, WINDOW>,
    said_up_to: u64,
}

#[derive(Debug, Clone, Copy)]
struct Come {
    counter: u64,
    stored: bool,
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and now counts as come.
    New,
    /// It has come before, or was acknowledged before the window began: a repeat or a replay.
    Repeat,
    /// It is new, but there is no room to remember it.
    Full,
}

impl Window {
    /// A window above what a node says it does not keep any more.
    pub fn from(oldest: u64) -> Self {
        Self { base: oldest, come: Vec::new(), said_up_to: 0 }
    }

    /// Takes a frame's counter, once.
    pub fn take(&mut self, counter: u64) -> Verdict {
        if counter < self.base {
            return Verdict::Repeat;
        }
        match self.find(counter) {
            Ok(_) => Verdict::Repeat,
            Err(at) => match self.come.insert(at, Come { counter, stored: false }) {
                Ok(()) => Verdict::New,
                Err(_) => Verdict::Full,
            },
        }
    }

    /// Whether a counter has come or need not come any more.
    pub fn has(&self, counter: u64) -> bool {
        counter < self.base || self.find(counter).is_ok()
    }

    /// One more than the highest counter that has come.
    pub fn top(&self) -> u64 {
        self.come.last().map_or(self.base, |come| come.counter.saturating_add(1))
    }

    /// The frame is on disk.
    pub fn stored(&mut self, counter: u64) {
        if let Ok(at) = self.find(counter) {
            self.come[at].stored = true;
        }
        self.settle();
    }

    /// The frame could not be stored: it may come again.
    pub fn refused(&mut self, counter: u64) {
        if let Ok(at) = self.find(counter) {
            self.come.remove(at);
        }
    }

    /// The node says that it keeps nothing below `oldest`.
    pub fn advance(&mut self, oldest: u64) {
        self.base = self.base.max(oldest);
        let base = self.base;
        self.come.retain(|come| come.counter >= base);
        self.settle();
    }

    /// What can be acknowledged now. Of frames that are stored beyond a gap a different stretch is said each time.
    pub fn acknowledgement(&mut self, epoch: u64) -> Stored {
        let mut stored = self.come.iter().filter(|come| come.stored).map(|come| come.counter);
        let from =
            stored.clone().find(|counter| *counter >= self.said_up_to).or_else(|| stored.next()).unwrap_or(self.base);
        let mut bits = 0;
        for come in self.come.iter().filter(|come| come.stored && come.counter >= from) {
            let bit = come.counter - from;
            if bit < 64 {
                bits |= 1 << bit;
            }
        }
        self.said_up_to = from.saturating_add(64);
        Stored { epoch, below: self.base, from, bits }
    }

    fn settle(&mut self) {
        let mut done = 0;
        while let Some(come) = self.come.get(done).filter(|come| come.stored && come.counter == self.base) {
            self.base = come.counter.saturating_add(1);
            done += 1;
        }
        self.come.drain(..done);
    }

    fn find(&self, counter: u64) -> Result<usize, usize> {
        self.come.binary_search_by_key(&counter, |come| come.counter)
    }
}
