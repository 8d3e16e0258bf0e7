//! What may be sent next: two lanes, zone by zone, by number only.
//!
//! Order is promised per lane and zone, so what waits is kept per route (a lane in a zone) and a route is held as a whole
//! when its first product cannot be sent now. Routes take turns, so that a backlog in one zone delays no other zone, and the
//! late lane gets a turn only when no live product can be sent.
//!
//! A route is **proven** once something was taken over it since it last failed. Only a proven route has more than one
//! product under way: when nobody takes the first, the ones behind it have not been sent past it.
//!
//! It holds eight bytes for each product that waits: as bounded as the outbox itself, which holds more.

use crate::ledger::{Lane, Waiting};
use quaywatch_drivers::line::Backoff;
use quaywatch_schemas::ZoneId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// A lane in a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) lane: Lane,
    pub(super) zone: ZoneId,
}

/// How much may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// On one proven route.
    pub(super) on_a_route: usize,
    /// In the late lane altogether: what is under way delays a live product that comes now.
    pub(super) late: usize,
}

/// All routes of one recipient.
#[derive(Debug, Default)]
pub(super) struct Queue {
    routes: BTreeMap<Route, Turn>,
    /// The number up to which the outbox has been looked at.
    seen: u64,
    /// Nothing is sent before.
    held: Option<Instant>,
    backoff: Backoff,
    last_live: Option<Route>,
    last_late: Option<Route>,
    late_under_way: usize,
}

#[derive(Debug, Default)]
struct Turn {
    waiting: VecDeque<u64>,
    under_way: BTreeSet<u64>,
    held: Option<Instant>,
    proven: bool,
    backoff: Backoff,
}

impl Queue {
    /// The number after which the outbox is to be looked at.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes up what waits in the outbox. What is here already is left as it is.
    pub(super) fn add(&mut self, waiting: Vec<Waiting>) {
        for Waiting { sequence, lane, zone } in waiting {
            self.seen = self.seen.max(sequence);
            self.routes.entry(Route { lane, zone }).or_default().put(sequence);
        }
    }

    /// The next product that may be sent, now under way. `None` if there is none or no room for it.
    pub(super) fn next(&mut self, now: Instant, room: Room) -> Option<(Route, u64)> {
        if self.held.is_some_and(|until| until > now) {
            return None;
        }
        let late = || if self.late_under_way < room.late { self.pick(Lane::Late, now, room) } else { None };
        let route = self.pick(Lane::Live, now, room).or_else(late)?;
        let turn = self.routes.get_mut(&route)?;
        let sequence = turn.waiting.pop_front()?;
        turn.under_way.insert(sequence);
        match route.lane {
            Lane::Live => self.last_live = Some(route.clone()),
            Lane::Late => {
                self.late_under_way += 1;
                self.last_late = Some(route.clone());
            }
        }
        Some((route, sequence))
    }

    /// The route of a lane whose turn it is: the first ready one after the last that was served, else the first.
    fn pick(&self, lane: Lane, now: Instant, room: Room) -> Option<Route> {
        let last = match lane {
            Lane::Live => self.last_live.as_ref(),
            Lane::Late => self.last_late.as_ref(),
        };
        let mut first = None;
        for (route, turn) in self.routes.iter().filter(|(route, _)| route.lane == lane) {
            if !turn.is_ready(now, room) {
                continue;
            }
            if last.is_none_or(|last| route > last) {
                return Some(route.clone());
            }
            first.get_or_insert(route);
        }
        first.cloned()
    }

    /// It was taken over its route.
    pub(super) fn taken(&mut self, route: &Route, sequence: u64) {
        self.backoff.worked();
        if let Some(turn) = self.settle(route, sequence) {
            turn.proven = true;
            turn.backoff.worked();
        }
    }

    /// It will not be sent any more, and that says nothing about its route.
    pub(super) fn gone(&mut self, route: &Route, sequence: u64) {
        self.settle(route, sequence);
    }

    /// It was not sent after all: it waits at its old place.
    pub(super) fn put_back(&mut self, route: &Route, sequence: u64) {
        if let Some(turn) = self.settle(route, sequence) {
            turn.put(sequence);
        }
    }

    /// It could not be sent over its route now: it waits at its old place, and the route is held for a while.
    pub(super) fn put_off(&mut self, route: &Route, sequence: u64, now: Instant) {
        if let Some(turn) = self.settle(route, sequence) {
            turn.put(sequence);
            // Those that were under way together fail together.
            if turn.held.is_none_or(|until| until <= now) {
                turn.held = Some(now + turn.backoff.next_wait());
            }
            turn.proven = false;
        }
    }

    /// Nothing can be sent to the recipient now: it waits at its old place, and everything is held, for `at_least` if the
    /// recipient said how long.
    pub(super) fn put_off_all(&mut self, route: &Route, sequence: u64, now: Instant, at_least: Option<Duration>) {
        if let Some(turn) = self.settle(route, sequence) {
            turn.put(sequence);
        }
        self.hold_all(now, at_least);
    }

    /// Holds everything and lets every route prove itself again.
    pub(super) fn hold_all(&mut self, now: Instant, at_least: Option<Duration>) {
        self.routes.values_mut().for_each(|turn| turn.proven = false);
        // Several products that were under way together fail together: one failure, one wait.
        let until = match self.held.filter(|until| *until > now) {
            Some(until) => until,
            None => now + self.backoff.next_wait(),
        };
        self.held = Some(at_least.map_or(until, |at_least| until.max(now + at_least)));
    }

    /// Forgets everything; the outbox is to be looked at from its beginning.
    pub(super) fn start_over(&mut self) {
        self.routes.clear();
        self.seen = 0;
        self.held = None;
        self.late_under_way = 0;
    }

    /// Looks at the outbox again after a number. What is here already is left as it is.
    pub(super) fn look_again_after(&mut self, sequence: u64) {
        self.seen = self.seen.min(sequence);
    }

    /// When the next hold ends that something waits behind; `None` if nothing is held.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = || self.routes.values().filter(|turn| !turn.waiting.is_empty());
        match self.held.filter(|until| *until > now) {
            Some(until) => waiting().next().map(|_| until),
            None => waiting().filter_map(|turn| turn.held.filter(|until| *until > now)).min(),
        }
    }

    /// How many products are under way.
    pub(super) fn under_way(&self) -> usize {
        self.routes.values().map(|turn| turn.under_way.len()).sum()
    }

    fn settle(&mut self, route: &Route, sequence: u64) -> Option<&mut Turn> {
        let turn = self.routes.get_mut(route)?;
        if turn.under_way.remove(&sequence) && route.lane == Lane::Late {
            self.late_under_way -= 1;
        }
        Some(turn)
    }
}

impl Turn {
    fn is_ready(&self, now: Instant, room: Room) -> bool {
        let most = if self.proven { room.on_a_route } else { 1 };
        !self.waiting.is_empty() && self.under_way.len() < most && self.held.is_none_or(|until| until <= now)
    }

    /// Puts a number at its place.
    fn put(&mut self, sequence: u64) {
        if self.under_way.contains(&sequence) {
            return;
        }
        match self.waiting.binary_search(&sequence) {
            Ok(_) => {}
            Err(place) => self.waiting.insert(place, sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Room = Room { on_a_route: 8, late: 2 };

    fn waiting(lane: Lane, zone: &str, sequences: impl IntoIterator<Item = u64>) -> Vec<Waiting> {
        let zone = ZoneId::new(zone).unwrap();
        sequences.into_iter().map(|sequence| Waiting { sequence, lane, zone: zone.clone() }).collect()
    }

    /// Sends what may be sent without anything being taken.
    fn sent(queue: &mut Queue, now: Instant, room: Room) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(now, room)).map(|(_, sequence)| sequence).collect()
    }

    fn take_next(queue: &mut Queue, now: Instant) -> u64 {
        let (route, sequence) = queue.next(now, WIDE).expect("something can be sent");
        queue.taken(&route, sequence);
        sequence
    }

    #[test]
    fn a_backlog_in_one_zone_delays_no_other_zone() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Live, "lane-1", 1..=1000));
        for expected in 1..=3 {
            assert_eq!(take_next(&mut queue, now), expected);
        }
        queue.add(waiting(Lane::Live, "lane-2", [1001]));
        let next = [take_next(&mut queue, now), take_next(&mut queue, now)];
        assert!(next.contains(&1001), "{next:?}");
    }

    #[test]
    fn late_products_go_when_nothing_live_can_and_never_fill_the_way() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Late, "lane-1", 1..=9));
        queue.add(waiting(Lane::Late, "lane-2", 10..=19));
        queue.add(waiting(Lane::Late, "lane-3", 20..=29));
        queue.add(waiting(Lane::Live, "lane-1", [30]));
        assert_eq!(sent(&mut queue, now, WIDE), [30, 1, 10], "two late ones at most");
    }

    #[test]
    fn nothing_is_sent_past_a_product_that_nobody_took() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Live, "lane-1", 1..=5));
        queue.add(waiting(Lane::Live, "lane-2", [6]));
        let (route, first) = queue.next(now, WIDE).unwrap();
        assert_eq!(sent(&mut queue, now, WIDE), [6], "an unproven route has one product under way");
        queue.put_off(&route, first, now);
        assert_eq!(queue.next(now, WIDE), None);
        let due = queue.due(now).expect("it is tried again");
        assert!(due > now);
        let (route, again) = queue.next(due, WIDE).unwrap();
        assert_eq!(again, first);
        queue.taken(&route, again);
        assert_eq!(sent(&mut queue, due, WIDE), [2, 3, 4, 5], "proven: all at once, in order");
    }

    #[test]
    fn waits_grow_until_something_is_taken() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Live, "lane-1", [1]));
        let mut waits = Vec::new();
        for _ in 0..9 {
            let (route, sequence) = queue.next(now, WIDE).unwrap();
            queue.put_off(&route, sequence, now);
            let due = queue.due(now).unwrap();
            waits.push(due - now);
            now = due;
        }
        assert!(waits[8] > waits[0] * 20, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)), "{waits:?}");
    }

    #[test]
    fn a_recipient_that_says_when_is_not_asked_before() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Live, "lane-1", [1]));
        queue.add(waiting(Lane::Live, "lane-2", [2]));
        let (first, second) = (queue.next(now, WIDE).unwrap(), queue.next(now, WIDE).unwrap());
        queue.put_off_all(&first.0, first.1, now, Some(Duration::from_secs(120)));
        queue.put_off_all(&second.0, second.1, now, None);
        assert_eq!(queue.due(now), Some(now + Duration::from_secs(120)), "one outage, one wait");
        assert_eq!(queue.next(now + Duration::from_secs(119), WIDE), None);
        assert_eq!(sent(&mut queue, now + Duration::from_secs(120), WIDE).len(), 2);
    }

    #[test]
    fn what_is_looked_at_again_is_not_sent_twice_at_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(waiting(Lane::Live, "lane-1", 1..=4));
        assert_eq!(take_next(&mut queue, now), 1);
        let _ = queue.next(now, WIDE).unwrap();
        queue.look_again_after(0);
        assert_eq!(queue.seen(), 0);
        queue.add(waiting(Lane::Live, "lane-1", 1..=5));
        assert_eq!(sent(&mut queue, now, WIDE), [1, 3, 4, 5], "1 again, 2 is under way");
    }
}
