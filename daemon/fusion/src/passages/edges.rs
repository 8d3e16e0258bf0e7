//! Edges of contacts in the order of when they were, and the pulses they make.

use crate::{bounds::EDGES_PER_LOOP, rules::Signal};
use alloc::{borrow::Cow, collections::VecDeque, vec::Vec};
use core::{cell::OnceCell, time::Duration};
use quaywatch_schemas::{Position, SensorId, WallTime};
use serde::{Deserialize, Serialize};

/// The edges of all contacts at one place, as one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Edges {
    /// Oldest first; at the bound the oldest goes.
    edges: VecDeque<Edge>,
    /// The contacts, by number. As many as the site file has here.
    sensors: Vec<SensorId>,
    /// What the edges make, found when it is first asked for: it is asked for more often than it changes.
    #[serde(skip)]
    made: OnceCell<Made>,
}

/// What edges make.
#[derive(Debug, Clone)]
enum Made {
    /// Pulses.
    Pulses(Vec<Pulse>),
    /// Pulses that hang on who came to another place.
    OneEach,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Edge {
    at: WallTime,
    on: bool,
    sensor: u8,
    position: Position,
}

/// From closing to opening.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pulse {
    pub(super) on: WallTime,
    pub(super) off: Option<WallTime>,
    sensor: u8,
    /// The records of the edges.
    pub(super) first: Position,
    last: Option<Position>,
}

/// A pulse with the name of its sensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedPulse {
    pub(crate) on: WallTime,
    pub(crate) off: Option<WallTime>,
    pub(crate) sensor: SensorId,
    pub(crate) positions: Vec<Position>,
}

/// A drawbar between truck and trailer opens a loop for well under half a second at walking pace; a bouncing contact for
/// less. A second vehicle this close can only be told by its plate.
const SAME_NANOS: i64 = 500_000_000;
/// Longer than this nobody waits on a loop for the one ahead to be done.
const LONGEST_WAIT: Duration = Duration::from_secs(150);
/// A vehicle that is on a loop for less has not stopped there: 4.5 m of car and 2 m of loop at 12 km/h.
const THROUGH_NANOS: i64 = 2_000_000_000;

impl Edges {
    /// Notes that a contact was so at a moment. Says whether that can change a pulse: a contact that is polled says the same
    /// many times, and a repeat with an identity of its own matters only if an edge before it comes late, or if the detector
    /// counts vehicles.
    pub(super) fn take(&mut self, signal: &Signal<'_>, on: bool) -> bool {
        let (at, sensor, position) = (signal.at, signal.sensor, signal.position);
        let place = self.edges.iter().rposition(|edge| edge.at <= at).map_or(0, |place| place + 1);
        let last = place == self.edges.len();
        let known = self.sensors.iter().position(|known| known == sensor);
        let number = known.unwrap_or_else(|| {
            self.sensors.push(sensor.clone());
            self.sensors.len() - 1
        });
        let Ok(sensor) = u8::try_from(number) else { return false };
        let before = self.edges.iter().take(place).rev().find(|edge| edge.sensor == sensor).map(|edge| edge.on);
        // What is polled or repeated without an identity is no word of its own.
        if place == self.edges.len() && before == Some(on) && !signal.identified {
            return false;
        }
        self.edges.insert(place, Edge { at, on, sensor, position });
        self.made.take();
        if self.edges.len() > EDGES_PER_LOOP {
            self.forget();
        }
        !last || before != Some(on)
    }

    /// Forgets the oldest edges up to where nothing was there, so that none is left without the other of its pulse.
    fn forget(&mut self) {
        let mut there = 0i32;
        let ends = self.edges.iter().position(|edge| {
            there += if edge.on { 1 } else { -1 };
            !edge.on && there <= 0
        });
        let count = ends.filter(|end| *end < EDGES_PER_LOOP / 2).map_or(1, |end| end + 1);
        self.edges.drain(..count);
    }

    /// Pulses, oldest first.
    pub(super) fn pulses(&self) -> Cow<'_, [Pulse]> {
        self.pulses_before(&[], || Duration::ZERO)
    }

    /// Pulses, oldest first, of a loop whose vehicles come to another place after it; `soon` is sooner than one gets there
    /// that had stopped.
    pub(super) fn pulses_before(&self, there: &[Pulse], soon: impl FnOnce() -> Duration) -> Cow<'_, [Pulse]> {
        let made = self.made.get_or_init(|| match self.counts_vehicles() {
            true => Made::OneEach,
            false => Made::Pulses(self.while_any_is_closed()),
        });
        match made {
            Made::Pulses(pulses) => Cow::Borrowed(pulses),
            Made::OneEach => Cow::Owned(self.one_each(there, soon())),
        }
    }

    /// Whether a detector says closed for each vehicle that comes and open for each that goes, also while others stand on it:
    /// it has said open more often in a row than it said so while nothing was there.
    fn counts_vehicles(&self) -> bool {
        let Some(first) = self.edges.front() else { return false };
        let (mut there, mut queued, mut idle) = (0u32, 0u32, 0u32);
        for edge in self.edges.iter().skip_while(|edge| !edge.on) {
            if edge.sensor != first.sensor {
                return false;
            }
            match (edge.on, there) {
                (true, _) => there += 1,
                (false, 0) => idle += 1,
                (false, _) => {
                    there -= 1;
                    queued += u32::from(there > 0);
                }
            }
        }
        queued > idle
    }

    /// Of a detector that counts vehicles: who came first goes first, unless one drives through past those that wait: it was
    /// on the loop for a moment and is at the other place soon.
    fn one_each(&self, there: &[Pulse], soon: Duration) -> Vec<Pulse> {
        let mut pulses: Vec<Pulse> = Vec::with_capacity(self.edges.len() / 2 + 1);
        let mut waiting: VecDeque<usize> = VecDeque::new();
        for edge in &self.edges {
            if edge.on {
                waiting.push_back(pulses.len());
                pulses.push(Pulse::begun(edge));
                continue;
            }
            // Nobody stands there for so long: that was a loop that was stuck, or a vehicle that it forgot.
            while let Some(oldest) = waiting.front().and_then(|oldest| pulses.get(*oldest))
                && oldest.on.after(LONGEST_WAIT) < edge.at
            {
                waiting.pop_front();
            }
            let newest = waiting.back().and_then(|newest| pulses.get(*newest));
            let through = newest.is_some_and(|newest| edge.at.0 - newest.on.0 < THROUGH_NANOS)
                && there.iter().any(|pulse| edge.at < pulse.on && pulse.on < edge.at.after(soon));
            let gone = if through { waiting.pop_back() } else { waiting.pop_front() };
            if let Some(pulse) = gone.and_then(|gone| pulses.get_mut(gone)) {
                pulse.off = Some(edge.at);
                pulse.last = Some(edge.position);
            }
        }
        // In the order in which they went.
        pulses.sort_by_key(|pulse| (pulse.off.unwrap_or(WallTime(i64::MAX)), pulse.on));
        pulses
    }

    /// From when any of the contacts is closed until all are open again. Pulses that follow each other so closely that they
    /// are one vehicle's are one pulse.
    fn while_any_is_closed(&self) -> Vec<Pulse> {
        let mut pulses: Vec<Pulse> = Vec::with_capacity(self.edges.len() / 2 + 1);
        let mut closed: Vec<u8> = Vec::with_capacity(self.sensors.len());
        for edge in &self.edges {
            let known = closed.iter().position(|sensor| *sensor == edge.sensor);
            match (edge.on, known) {
                (true, None) => {
                    let free = closed.is_empty();
                    closed.push(edge.sensor);
                    if !free {
                        continue;
                    }
                    match pulses.last_mut().filter(|last| last.off.is_some_and(|off| edge.at.0 - off.0 < SAME_NANOS)) {
                        Some(same) => same.off = None,
                        None => pulses.push(Pulse::begun(edge)),
                    }
                }
                (false, Some(known)) => {
                    closed.remove(known);
                    if let Some(last) = pulses.last_mut().filter(|_| closed.is_empty()) {
                        last.off = Some(edge.at);
                        last.last = Some(edge.position);
                    }
                }
                _ => {}
            }
        }
        pulses
    }

    pub(super) fn named(&self, pulse: &Pulse) -> Option<NamedPulse> {
        let sensor = self.sensors.get(usize::from(pulse.sensor))?.clone();
        let positions = core::iter::once(pulse.first).chain(pulse.last).collect();
        Some(NamedPulse { on: pulse.on, off: pulse.off, sensor, positions })
    }

    /// Whether the place was closed all the time between two moments.
    pub(super) fn closed_between(&self, from: WallTime, until: WallTime) -> bool {
        let before = self.edges.iter().rev().find(|edge| edge.at <= from);
        let opened = self.edges.iter().any(|edge| !edge.on && from < edge.at && edge.at < until);
        before.is_some_and(|edge| edge.on) && !opened
    }
}

impl Pulse {
    fn begun(edge: &Edge) -> Self {
        Self { on: edge.at, off: None, sensor: edge.sensor, first: edge.position, last: None }
    }
}
