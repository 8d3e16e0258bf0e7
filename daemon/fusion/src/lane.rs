//! What happens in a lane, as vehicles rather than as pulses.
//!
//! A vehicle enters when the approach loop closes, crosses when the exit loop closes, and has left when the exit loop opens
//! again. Reads, weights and grants are given to the vehicle they can belong to: the front camera and the scale see the
//! newest vehicle that has not crossed, the rear camera the oldest that has. A lane without an approach loop starts its
//! vehicles at the exit loop. The lane says what happened as [`LaneEvent`]s; rules make of it what they will.

use crate::{
    bounds::VEHICLES_PER_LANE,
    health::Change,
    plates::{self, Read},
};
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{GatewayTime, Position, Reading, SensorId, WallTime, observation::Media, site::Role};
use serde::{Deserialize, Serialize};

/// One vehicle's way through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vehicle {
    pub(crate) first: Position,
    pub(crate) entered: WallTime,
    pub(crate) entered_gateway: GatewayTime,
    pub(crate) crossed: Option<(WallTime, Position)>,
    pub(crate) left: Option<(WallTime, GatewayTime)>,
    pub(crate) reads: Vec<Read>,
    /// Last settled gross mass in kilograms, who measured it, and the record.
    pub(crate) mass: Option<(f64, SensorId, Position)>,
    pub(crate) granted: Option<(SensorId, Position)>,
    pub(crate) loops: Vec<(SensorId, Position)>,
    pub(crate) media: Vec<(SensorId, Media)>,
}

/// What happened in a lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LaneEvent {
    /// The front of a vehicle is over the exit loop.
    Crossed { at: WallTime, gateway: GatewayTime, position: Position, sensor: SensorId, gap_ms: Option<i64> },
    /// The arm left its closed position.
    Opened { at: WallTime, position: Position, sensor: SensorId },
    /// The arm is closed again.
    Closed { at: WallTime },
    /// Passage was granted, so many times.
    Granted { at: WallTime, gateway: GatewayTime, position: Position, sensor: SensorId, times: u64 },
    /// A plate was read.
    Plate { read: Read },
    /// A vehicle has passed and late evidence has had its time.
    Passed { vehicle: Vehicle },
}

/// The vehicles in one lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Lane {
    vehicles: VecDeque<Vehicle>,
    exit_fell: Option<WallTime>,
    /// A grant nobody has used yet: it comes before the vehicle crosses.
    unused_grant: Option<(SensorId, Position)>,
}

/// How long the lane waits; from the passage rule's settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) within: Duration,
    pub(crate) settle: Duration,
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
    pub(crate) media: Option<&'a Media>,
    /// Settled value of a measure in kilograms, if it is usable.
    pub(crate) mass: Option<f64>,
    pub(crate) has_approach: bool,
}

impl Lane {
    /// Takes a signal; gives back what it means.
    pub(crate) fn take(&mut self, signal: &Signal<'_>, events: &mut Vec<LaneEvent>) {
        match (signal.role, signal.change, signal.reading) {
            (Role::LoopApproach, Change::Rose, _) => self.enter(signal),
            (Role::LoopExit, Change::Rose, _) => self.cross(signal, events),
            (Role::LoopExit, Change::Fell, _) => self.leave(signal),
            (Role::BarrierOpen, Change::Rose, _) => events.push(LaneEvent::Opened {
                at: signal.at,
                position: signal.position,
                sensor: signal.sensor.clone(),
            }),
            (Role::BarrierOpen, Change::Fell, _) => events.push(LaneEvent::Closed { at: signal.at }),
            (Role::Grant, change, reading) => self.grant(signal, times_granted(change, reading), events),
            (Role::PlateFront | Role::PlateRear, _, Reading::Plate(plate)) => self.read(signal, plate, events),
            (Role::WeightGross, _, Reading::Measure(_)) => self.weigh(signal),
            _ => {}
        }
    }

    /// When the lane waits for something: the oldest vehicle to settle, or to be given up.
    pub(crate) fn next_due(&self, patience: Patience) -> Option<GatewayTime> {
        self.vehicles.iter().map(|vehicle| due(vehicle, patience)).min()
    }

    /// Lets go of what is due.
    pub(crate) fn fire(&mut self, now: GatewayTime, patience: Patience, events: &mut Vec<LaneEvent>) {
        while let Some(index) = self.vehicles.iter().position(|vehicle| due(vehicle, patience) <= now) {
            let Some(vehicle) = self.vehicles.remove(index) else { break };
            // A vehicle that never crossed turned back, or the loop is stuck: no passage.
            if vehicle.left.is_some() {
                events.push(LaneEvent::Passed { vehicle });
            }
        }
    }

    fn enter(&mut self, signal: &Signal<'_>) {
        if self.vehicles.len() == VEHICLES_PER_LANE {
            self.vehicles.pop_front();
        }
        self.vehicles.push_back(Vehicle {
            first: signal.position,
            entered: signal.at,
            entered_gateway: signal.gateway,
            crossed: None,
            left: None,
            reads: Vec::new(),
            mass: None,
            granted: None,
            loops: alloc::vec![(signal.sensor.clone(), signal.position)],
            media: Vec::new(),
        });
    }

    fn cross(&mut self, signal: &Signal<'_>, events: &mut Vec<LaneEvent>) {
        if !self.vehicles.iter().any(|vehicle| vehicle.crossed.is_none()) {
            // Unseen by the approach loop, or there is none.
            self.enter(signal);
        }
        let grant = self.unused_grant.take();
        if let Some(vehicle) = self.vehicles.iter_mut().find(|vehicle| vehicle.crossed.is_none()) {
            vehicle.crossed = Some((signal.at, signal.position));
            vehicle.granted = vehicle.granted.take().or(grant);
            if !vehicle.loops.iter().any(|(_, position)| *position == signal.position) {
                vehicle.loops.push((signal.sensor.clone(), signal.position));
            }
        }
        let gap_ms = self.exit_fell.map(|fell| (signal.at.0 - fell.0) / 1_000_000);
        events.push(LaneEvent::Crossed {
            at: signal.at,
            gateway: signal.gateway,
            position: signal.position,
            sensor: signal.sensor.clone(),
            gap_ms,
        });
    }

    fn leave(&mut self, signal: &Signal<'_>) {
        self.exit_fell = Some(signal.at);
        let leaving = self.vehicles.iter_mut().find(|vehicle| vehicle.crossed.is_some() && vehicle.left.is_none());
        if let Some(vehicle) = leaving {
            vehicle.left = Some((signal.at, signal.gateway));
        }
    }

    fn grant(&mut self, signal: &Signal<'_>, times: u64, events: &mut Vec<LaneEvent>) {
        if times == 0 {
            return;
        }
        let source = (signal.sensor.clone(), signal.position);
        match self.vehicles.iter_mut().find(|vehicle| vehicle.crossed.is_none() && vehicle.granted.is_none()) {
            Some(vehicle) => vehicle.granted = Some(source),
            None => self.unused_grant = Some(source),
        }
        events.push(LaneEvent::Granted {
            at: signal.at,
            gateway: signal.gateway,
            position: signal.position,
            sensor: signal.sensor.clone(),
            times,
        });
    }

    fn read(
        &mut self,
        signal: &Signal<'_>,
        plate: &quaywatch_schemas::observation::Plate,
        events: &mut Vec<LaneEvent>,
    ) {
        // A plate whose key is gone says nothing.
        let Some(text) = plate.text.as_clear() else { return };
        let read = Read {
            text: text.into(),
            others: plate.candidates.iter().filter_map(|other| other.text.as_clear().map(Into::into)).take(8).collect(),
            confidence: plate.confidence.map_or(0.7, |confidence| confidence.get()),
            sensor: signal.sensor.clone(),
            position: signal.position,
        };
        let vehicle = match signal.role {
            Role::PlateFront => {
                let ahead = self.vehicles.iter().rposition(|vehicle| vehicle.crossed.is_none());
                ahead.or_else(|| self.vehicles.len().checked_sub(1))
            }
            // The rear is seen once the vehicle has crossed: the newest that has, unless that one's rear was another plate
            // already read, in which case it is a later vehicle's.
            _ => {
                let crossed = self.vehicles.iter().rposition(|vehicle| vehicle.crossed.is_some());
                crossed.or_else(|| self.vehicles.len().checked_sub(1))
            }
        };
        if let Some(vehicle) = vehicle.and_then(|index| self.vehicles.get_mut(index)) {
            plates::add(&mut vehicle.reads, read.clone());
            if let Some(media) = signal.media.filter(|_| vehicle.media.len() < 4) {
                vehicle.media.push((signal.sensor.clone(), media.clone()));
            }
        }
        events.push(LaneEvent::Plate { read });
    }

    fn weigh(&mut self, signal: &Signal<'_>) {
        let Some(mass) = signal.mass else { return };
        // An empty scale says nothing about a vehicle.
        if mass < LIGHTEST_VEHICLE_KG {
            return;
        }
        let on_scale = self.vehicles.iter_mut().rfind(|vehicle| vehicle.left.is_none());
        if let Some(vehicle) = on_scale {
            vehicle.mass = Some((mass, signal.sensor.clone(), signal.position));
        } else if !signal.has_approach {
            // A lane whose only sign of a vehicle before the exit loop is its scale.
            self.enter(signal);
            if let Some(vehicle) = self.vehicles.back_mut() {
                vehicle.mass = Some((mass, signal.sensor.clone(), signal.position));
                vehicle.loops.clear();
            }
        }
    }
}

/// A small car is 900 kg; less is a person on the plate or drift.
const LIGHTEST_VEHICLE_KG: f64 = 500.0;

fn due(vehicle: &Vehicle, patience: Patience) -> GatewayTime {
    match vehicle.left {
        Some((_, left)) => left.after(patience.settle),
        None => vehicle.entered_gateway.after(patience.within),
    }
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
