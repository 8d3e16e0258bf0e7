//! What happens in a lane, as vehicles rather than as pulses.
//!
//! A vehicle enters when the approach loop closes, crosses when the exit loop closes, and has left when the exit loop opens
//! again. A pulse that follows so closely on the last one that a drawbar or a bouncing contact would do the same is not
//! another vehicle here; rules that care are told. Reads are given to the vehicle they can belong to.
//! A lane without an approach loop starts its vehicles at the exit loop. The lane says what happened as [`LaneEvent`]s, at
//! once and in the order of arrival, for rules that cannot wait; what each vehicle *was* is put together in
//! [`crate::passages`], in the order of when it happened.

use crate::{
    bounds::VEHICLES_PER_LANE,
    health::Change,
    identity::Known,
    passages::Passage,
    plates::{self, Read},
};
use alloc::{
    boxed::Box,
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    GatewayTime, Position, Reading, SensorId, WallTime,
    observation::Media,
    site::{Role, rules},
};
use serde::{Deserialize, Serialize};

/// One vehicle's way through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vehicle {
    /// The record it began with: its name within the lane.
    pub(crate) first: Position,
    pub(crate) entered: WallTime,
    /// When it was last seen to wait before the arm.
    waited: GatewayTime,
    crossed: Option<(WallTime, GatewayTime)>,
    pub(crate) left: Option<(WallTime, GatewayTime)>,
    pub(crate) reads: Vec<Read>,
}

/// What happened in a lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LaneEvent {
    /// The front of a vehicle is over the exit loop. `again`: so soon after the last that it may be the same vehicle.
    Crossed { at: WallTime, gateway: GatewayTime, position: Position, sensor: SensorId, vehicle: Position, again: bool },
    /// The arm left its closed position.
    Opened { at: WallTime, position: Position, sensor: SensorId },
    /// The arm is closed again.
    Closed { at: WallTime },
    /// Passage was granted, so many times.
    Granted { at: WallTime, gateway: GatewayTime, position: Position, sensor: SensorId, times: u64 },
    /// A plate was read; of a vehicle that is in the lane, if it can be one's.
    Plate { read: Read, vehicle: Option<Position>, media: Option<Media> },
    /// A vehicle has passed, and what is known of it: said as soon as it is sure, again when late words change it.
    Passed(Box<(Passage, Known)>),
}

/// The vehicles in one lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Lane {
    vehicles: VecDeque<Vehicle>,
    approach: Loops,
    exit: Loops,
}

/// All loops at one end of the lane, as one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Loops {
    occupied: BTreeSet<SensorId>,
    fell: Option<WallTime>,
}

/// How long the lane waits; from the passage rule's settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) within: Duration,
    pub(crate) settle: Duration,
}

impl Patience {
    pub(crate) fn usual() -> Self {
        let usual = rules::Passage::default();
        Self { within: usual.within, settle: usual.settle }
    }
}

/// One reading as the lane needs it.
pub(crate) struct Signal<'a> {
    pub(crate) sensor: &'a SensorId,
    pub(crate) role: Role,
    pub(crate) reading: &'a Reading,
    pub(crate) change: Change,
    pub(crate) at: WallTime,
    pub(crate) gateway: GatewayTime,
    pub(crate) position: Position,
}

/// A drawbar between truck and trailer opens a loop for well under half a second at walking pace; a bouncing contact for
/// less. A second vehicle this close can only be told by its plate.
const SAME_VEHICLE_MS: i64 = 500;
/// Before the arm vehicles stop: one that follows leaves more than this between two pulses of the approach loop.
const SAME_ARRIVAL_MS: i64 = 1000;
/// A controller's registers are polled one block after the other: a grant may be read this long after the loop that the
/// vehicle reached on it.
pub(crate) const LATE_GRANT: Duration = Duration::from_secs(2);
/// A source's clock is known to about this much: a camera cannot have read a vehicle longer before it came.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// A vehicle that stands on the approach loop is waited for so much longer.
const STANDING: u32 = 10;

impl Lane {
    /// Takes a signal; gives back what it means.
    pub(crate) fn take(&mut self, signal: &Signal<'_>, events: &mut Vec<LaneEvent>) {
        match (signal.role, signal.change, signal.reading) {
            (Role::LoopApproach, Change::Rose, _) => self.arrive(signal),
            (Role::LoopApproach, Change::Fell, _) => self.pull_up(signal),
            (Role::LoopExit, Change::Rose, _) => self.cross(signal, events),
            (Role::LoopExit, Change::Fell, _) => self.leave(signal),
            (Role::BarrierOpen, Change::Rose, _) => events.push(LaneEvent::Opened {
                at: signal.at,
                position: signal.position,
                sensor: signal.sensor.clone(),
            }),
            (Role::BarrierOpen, Change::Fell, _) => events.push(LaneEvent::Closed { at: signal.at }),
            (Role::Grant, change, reading) => {
                let times = times_granted(change, reading);
                if times > 0 {
                    let (at, gateway, position) = (signal.at, signal.gateway, signal.position);
                    events.push(LaneEvent::Granted { at, gateway, position, sensor: signal.sensor.clone(), times });
                }
            }
            _ => {}
        }
    }

    /// When the lane waits for something: the oldest vehicle to settle, or to be given up.
    pub(crate) fn next_due(&self, patience: Patience) -> Option<GatewayTime> {
        self.vehicles.iter().map(|vehicle| self.due(vehicle, patience)).min()
    }

    /// Lets go of what is due.
    pub(crate) fn fire(&mut self, now: GatewayTime, patience: Patience) {
        while let Some(index) = self.vehicles.iter().position(|vehicle| self.due(vehicle, patience) <= now) {
            self.vehicles.remove(index);
        }
    }

    fn due(&self, vehicle: &Vehicle, patience: Patience) -> GatewayTime {
        let newest_waiting = self.vehicles.iter().rev().find(|vehicle| vehicle.crossed.is_none());
        let stands =
            !self.approach.occupied.is_empty() && newest_waiting.is_some_and(|newest| newest.first == vehicle.first);
        match (vehicle.left, vehicle.crossed) {
            (Some((_, left)), _) => left.after(patience.settle),
            (None, Some((_, crossed))) => crossed.after(patience.within),
            (None, None) if stands => vehicle.waited.after(patience.within.saturating_mul(STANDING)),
            (None, None) => vehicle.waited.after(patience.within),
        }
    }

    fn arrive(&mut self, signal: &Signal<'_>) {
        let Some(gap) = self.approach.rise(signal) else { return };
        let same = gap.is_some_and(|gap| gap < SAME_ARRIVAL_MS) && self.vehicles.iter().any(|it| it.left.is_none());
        if !same {
            self.enter(signal);
        }
    }

    fn pull_up(&mut self, signal: &Signal<'_>) {
        self.approach.fall(signal);
        if let Some(vehicle) = self.vehicles.iter_mut().rev().find(|vehicle| vehicle.crossed.is_none()) {
            vehicle.waited = signal.gateway;
        }
    }

    fn enter(&mut self, signal: &Signal<'_>) {
        if self.vehicles.len() == VEHICLES_PER_LANE {
            self.vehicles.pop_front();
        }
        self.vehicles.push_back(Vehicle {
            first: signal.position,
            entered: signal.at,
            waited: signal.gateway,
            crossed: None,
            left: None,
            reads: Vec::new(),
        });
    }

    fn cross(&mut self, signal: &Signal<'_>, events: &mut Vec<LaneEvent>) {
        let Some(gap) = self.exit.rise(signal) else { return };
        let last = self.vehicles.iter_mut().rev().find(|vehicle| vehicle.crossed.is_some());
        let (vehicle, again) = match last.filter(|_| gap.is_some_and(|gap| gap < SAME_VEHICLE_MS)) {
            Some(same) => {
                same.left = None;
                (same.first, true)
            }
            None => (self.cross_anew(signal), false),
        };
        events.push(LaneEvent::Crossed {
            at: signal.at,
            gateway: signal.gateway,
            position: signal.position,
            sensor: signal.sensor.clone(),
            vehicle,
            again,
        });
    }

    fn cross_anew(&mut self, signal: &Signal<'_>) -> Position {
        if !self.vehicles.iter().any(|vehicle| vehicle.crossed.is_none()) {
            // Unseen by the approach loop, or there is none.
            self.enter(signal);
        }
        let Some(vehicle) = self.vehicles.iter_mut().find(|vehicle| vehicle.crossed.is_none()) else {
            return signal.position;
        };
        vehicle.crossed = Some((signal.at, signal.gateway));
        vehicle.first
    }

    fn leave(&mut self, signal: &Signal<'_>) {
        if !self.exit.fall(signal) {
            return;
        }
        // One that crossed earlier and was not seen to leave cannot still be there.
        for vehicle in self.vehicles.iter_mut().filter(|vehicle| vehicle.crossed.is_some() && vehicle.left.is_none()) {
            vehicle.left = Some((signal.at, signal.gateway));
        }
    }

    /// Gives a read to the vehicle it can be of.
    pub(crate) fn read(&mut self, read: Read, media: Option<&Media>, events: &mut Vec<LaneEvent>) {
        let vehicle = if read.rear { self.seen_from_behind(&read) } else { self.seen_from_ahead(&read) };
        let vehicle = vehicle.and_then(|index| self.vehicles.get_mut(index));
        let first = vehicle.as_ref().map(|vehicle| vehicle.first);
        if let Some(vehicle) = vehicle {
            plates::add(&mut vehicle.reads, read.clone());
        }
        events.push(LaneEvent::Plate { read, vehicle: first, media: media.cloned() });
    }

    /// Whose front a camera read: one it was read of before, else the newest that had come by then and still waits, else
    /// the newest that had come.
    fn seen_from_ahead(&self, read: &Read) -> Option<usize> {
        let had_come = |vehicle: &Vehicle| vehicle.entered <= read.at.after(CLOCK_SLACK);
        let waits = |vehicle: &Vehicle| had_come(vehicle) && vehicle.crossed.is_none();
        let known = self.vehicles.iter().rposition(|vehicle| had_come(vehicle) && is_read_of(vehicle, read));
        known.or_else(|| self.vehicles.iter().rposition(waits)).or_else(|| self.vehicles.iter().rposition(had_come))
    }

    /// Whose rear a camera read: of those that had crossed by then one it was read of before, else the oldest that nobody
    /// has read from behind (cameras report up to four seconds late), else the newest.
    fn seen_from_behind(&self, read: &Read) -> Option<usize> {
        let had_crossed =
            |vehicle: &Vehicle| vehicle.crossed.is_some_and(|(crossed, _)| crossed <= read.at.after(CLOCK_SLACK));
        let like = |vehicle: &Vehicle| match () {
            () if is_read_of(vehicle, read) => 3,
            () if vehicle.reads.is_empty() => 2,
            () if vehicle.reads.iter().all(|known| !known.rear) => 1,
            () => 0,
        };
        let crossed = || self.vehicles.iter().enumerate().filter(|(_, vehicle)| had_crossed(vehicle));
        let best = crossed().map(|(_, vehicle)| like(vehicle)).max();
        match best {
            Some(0) => crossed().next_back().map(|(index, _)| index),
            Some(best) => crossed().find(|(_, vehicle)| like(vehicle) == best).map(|(index, _)| index),
            None => self.vehicles.iter().position(|vehicle| is_read_of(vehicle, read)),
        }
    }
}

impl Loops {
    /// A loop closed. `None` if another was closed already; else how long ago the last opened, in milliseconds.
    fn rise(&mut self, signal: &Signal<'_>) -> Option<Option<i64>> {
        let free = self.occupied.is_empty();
        self.occupied.insert(signal.sensor.clone());
        free.then(|| self.fell.map(|fell| signal.at.0.saturating_sub(fell.0) / 1_000_000))
    }

    /// A loop opened. Says whether all are open now.
    fn fall(&mut self, signal: &Signal<'_>) -> bool {
        self.occupied.remove(signal.sensor);
        let free = self.occupied.is_empty();
        if free {
            self.fell = Some(signal.at);
        }
        free
    }
}

fn is_read_of(vehicle: &Vehicle, read: &Read) -> bool {
    vehicle.reads.iter().any(|known| plates::alike(&known.text, &read.text))
}

fn times_granted(change: Change, reading: &Reading) -> u64 {
    use quaywatch_schemas::observation::AccessDecision;
    match (change, reading) {
        (Change::Rose, _) => 1,
        (Change::Stepped(times), _) => times,
        (_, Reading::Credential(credential)) => {
            u64::from(matches!(credential.decision, AccessDecision::Granted | AccessDecision::Duress))
        }
        _ => 0,
    }
}
