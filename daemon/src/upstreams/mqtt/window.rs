//! What is under way on one connection: which packet id stands for what. Knows no socket.
//!
//! rumqttc gives packet ids out in turn, 1 to the limit, and says each only after the message went out, in the order they
//! were handed over. So a message is *handed*, then *out* under its id, then *acknowledged*, perhaps not in order. Ids are
//! reused after a round: the window counts from the oldest unacknowledged message, so that no id is ever used twice at
//! once, which rumqttc would answer with a standstill.

use std::{collections::VecDeque, time::Instant};

/// What is under way on one connection.
#[derive(Debug)]
pub(super) struct Window<What> {
    limit: usize,
    handed: VecDeque<What>,
    out: VecDeque<Out<What>>,
}

#[derive(Debug)]
struct Out<What> {
    id: u16,
    at: Instant,
    /// `None` once it is acknowledged.
    what: Option<What>,
}

impl<What> Window<What> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), handed: VecDeque::new(), out: VecDeque::new() }
    }

    /// How many more messages may be handed over.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.handed.len() + self.out.len())
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.handed.is_empty() && self.out.is_empty()
    }

    /// A message was handed over.
    pub(super) fn hand(&mut self, what: What) {
        self.handed.push_back(what);
    }

    /// The next message went out under an id. Returns it, or `None` if nothing was handed over.
    pub(super) fn went_out(&mut self, id: u16, at: Instant) -> Option<&What> {
        let what = self.handed.pop_front()?;
        self.out.push_back(Out { id, at, what: Some(what) });
        self.out.back().and_then(|out| out.what.as_ref())
    }

    /// The message under an id was acknowledged. Returns it and when it went out.
    pub(super) fn acknowledged(&mut self, id: u16) -> Option<(What, Instant)> {
        let out = self.out.iter_mut().find(|out| out.id == id && out.what.is_some())?;
        let done = out.what.take().map(|what| (what, out.at));
        while self.out.front().is_some_and(|out| out.what.is_none()) {
            self.out.pop_front();
        }
        done
    }

    /// The only message that is under way and when it went out; `None` if there is none, several, or it has not gone out.
    pub(super) fn only(&self) -> Option<(&What, Instant)> {
        match (self.handed.len(), self.out.len()) {
            (0, 1) => self.out.front().and_then(|out| Some((out.what.as_ref()?, out.at))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_out_of_order_find_their_message_and_no_id_is_used_twice_at_once() {
        let (mut window, now) = (Window::new(3), Instant::now());
        for (id, what) in [(1, "a"), (2, "b"), (3, "c")] {
            window.hand(what);
            assert_eq!(window.went_out(id, now), Some(&what));
        }
        assert_eq!(window.room(), 0);
        assert_eq!(window.acknowledged(2).map(|(what, _)| what), Some("b"));
        assert_eq!(window.acknowledged(3).map(|(what, _)| what), Some("c"));
        assert_eq!(window.room(), 0, "id 1 comes next and is still in use");
        assert_eq!(window.only().map(|(what, _)| *what), None, "b's and c's places are still held");
        assert_eq!(window.acknowledged(2), None, "an acknowledgement counts once");
        assert_eq!(window.acknowledged(1).map(|(what, _)| what), Some("a"));
        assert_eq!(window.room(), 3);
        assert!(window.is_empty());
    }

    #[test]
    fn what_was_not_handed_over_did_not_go_out() {
        let (mut window, now) = (Window::<&str>::new(2), Instant::now());
        assert_eq!(window.went_out(1, now), None);
        window.hand("a");
        assert_eq!(window.only(), None);
        window.went_out(1, now);
        assert_eq!(window.only().map(|(what, _)| *what), Some("a"));
        window.hand("b");
        assert_eq!(window.only(), None);
    }
}
