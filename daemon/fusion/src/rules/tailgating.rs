//! Tailgating: a vehicle crosses a gate lane on somebody else's grant.
//!
//! Invariant: one grant admits one crossing while the arm is open, and a closed arm ends it, so an old grant never excuses a
//! later vehicle. It is said at the second crossing, before the vehicle is in the yard; a second plate, or the same plate
//! twice, then strengthens or retracts it within the settling time. If the grant signal could not have spoken, nothing is
//! said: without grants every second vehicle would be a tailgater.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    bounds::CROSSINGS_PER_OPENING,
    evidence::{Draft, Life},
    lane::LaneEvent,
    plates::{self, Read},
};
use alloc::{format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Private, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, IdentityKind, Phase, Phrase, Severity, Subject, SubjectIdentity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.tailgating",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.tailgating.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// What is remembered of one lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tailgating {
    /// Grants not used by a crossing yet, oldest first.
    grants: Vec<Grant>,
    arm: Option<Opening>,
    crossings: Vec<Crossing>,
    reads: Vec<Read>,
    suspected: Option<Suspected>,
    life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Grant {
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    sensor: SensorId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opening {
    position: Position,
    sensor: SensorId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Crossing {
    at: WallTime,
    position: Position,
    sensor: SensorId,
    gap_ms: Option<i64>,
    granted: Option<Grant>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Suspected {
    settled: GatewayTime,
}

impl Rule for Tailgating {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(event) = seen else { return };
        match event {
            LaneEvent::Opened { position, sensor, .. } => {
                self.arm = Some(Opening { position: *position, sensor: sensor.clone() });
                if self.suspected.is_none() {
                    self.crossings.clear();
                    self.reads.clear();
                }
            }
            LaneEvent::Closed { .. } => {
                self.arm = None;
                if self.suspected.is_none() {
                    self.crossings.clear();
                    self.reads.clear();
                    self.grants.clear();
                }
            }
            LaneEvent::Granted { at, gateway, position, sensor, times } => {
                let grant = Grant { at: *at, gateway: *gateway, position: *position, sensor: sensor.clone() };
                let room = CROSSINGS_PER_OPENING.saturating_sub(self.grants.len());
                self.grants.extend(core::iter::repeat_n(grant, room.min(usize::try_from(*times).unwrap_or(room))));
            }
            LaneEvent::Plate { read } => {
                plates::add(&mut self.reads, read.clone());
                self.judge(here);
            }
            LaneEvent::Crossed { at, gateway, position, sensor, gap_ms } => {
                let lasts = settings(here).0;
                self.grants.retain(|grant| gateway.since(grant.gateway) <= lasts);
                let granted = if self.grants.is_empty() { None } else { Some(self.grants.remove(0)) };
                if self.crossings.len() == CROSSINGS_PER_OPENING {
                    self.crossings.remove(0);
                }
                self.crossings.push(Crossing {
                    at: *at,
                    position: *position,
                    sensor: sensor.clone(),
                    gap_ms: *gap_ms,
                    granted,
                });
                self.suspect(*gateway, here);
            }
            LaneEvent::Passed { .. } => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.judge(here);
        if self.life.is_open()
            && let Some(draft) = self.draft(here)
        {
            self.life.end(here, Phase::Closed, draft);
        }
        self.suspected = None;
        self.crossings.clear();
        self.reads.clear();
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.suspected.as_ref().map(|suspected| suspected.settled)
    }
}

impl Tailgating {
    /// A crossing that no grant covers, right after one that was covered, while the arm stayed open.
    fn suspect(&mut self, gateway: GatewayTime, here: &mut Here<'_>) {
        let [.., before, last] = self.crossings.as_slice() else { return };
        let covered = last.granted.is_some() || (before.granted.is_none() && !self.life.is_open());
        let open = self.arm.is_some() || here.site.sensors_with(here.zone_id, Role::BarrierOpen).next().is_none();
        if covered || !open || here.all_healthy(Role::Grant).is_none() {
            return;
        }
        self.suspected = Some(Suspected { settled: gateway.after(settings(here).1) });
        self.judge(here);
    }

    fn judge(&mut self, here: &mut Here<'_>) {
        if self.suspected.is_none() {
            return;
        }
        let Some(draft) = self.draft(here) else { return };
        let first = self.crossings.first().map_or(Position(0), |crossing| crossing.position);
        if draft.probability() >= 0.5 {
            self.life.say(here, first, draft);
        } else {
            self.life.end(here, Phase::Retracted, draft);
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let [.., before, last] = self.crossings.as_slice() else { return None };
        let grant = self.crossings.iter().rev().find_map(|crossing| crossing.granted.as_ref())?;
        let apart = (last.at.0 - before.at.0).max(0) as f64 / 1e9;
        // One in fifty crossings behind another turns out to be a tailgater.
        let mut draft = Draft::new(
            Phrase::words("a second truck passed on one grant"),
            Phrase::words("Second vehicle entered without a grant."),
            0.02,
            grant.at.min(before.at),
        );
        draft.severity = Severity::Moderate;
        draft.answer_within = Some(Duration::from_secs(300));
        draft.until = self.arm.is_none().then_some(last.at);
        // A drawbar between truck and trailer opens the loop for well under half a second at walking pace.
        let gap = last.gap_ms.unwrap_or(i64::MAX);
        let weight = if gap < 500 { 1.0 } else { 3.4 };
        draft.said(
            here,
            &last.sensor,
            &[before.position, last.position],
            Phrase::words(format!("2 vehicles, {apart:.1} s apart")),
            weight,
        );
        if let Some(arm) = &self.arm {
            draft.said(here, &arm.sensor, &[arm.position], Phrase::words("open throughout"), 1.1);
        }
        draft.absent(here, &grant.sensor, Phrase::words("one grant for two crossings"), 1.0);
        let (granted, following) = self.plates(here, &mut draft);
        draft.facts = vec![
            Phrase::words("Arm opened once on one grant")
                .detail(FieldClass::Method, Phrase::words(" at ").at(grant.at))
                .then("."),
            Phrase::words("Two vehicles crossed the lane before the arm closed")
                .detail(FieldClass::Method, Phrase::words(format!(", {apart:.1} s apart")))
                .then("."),
        ];
        if let Some(plate) = following.identities.first() {
            let text = Phrase::words("Stop and identify the second vehicle, ")
                .value(FieldClass::QuasiIdentity, plate.value.clone())
                .then(", in the yard; ask the gate desk for its booking.");
            draft.act(FieldClass::QuasiIdentity, text);
        }
        let name = here.zone.name.clone();
        draft.act(FieldClass::Public, Phrase::words(format!("Hold {name} if the arm is still open; do not approach the driver.")));
        draft.subjects = vec![granted, following];
        let not = 1.0 - draft.probability();
        let long = if gap < 500 { 0.8 } else { 0.3 } * not;
        draft.alternatives = vec![
            Alternative { text: Phrase::words("one long combination counted twice"), probability: long },
            Alternative {
                text: Phrase::words("a second grant was lost between controller and gateway"),
                probability: not - long,
            },
        ];
        draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
        Some(draft)
    }

    /// What the cameras say: two plates are two vehicles, the same plate twice is one.
    fn plates(&self, here: &Here<'_>, draft: &mut Draft) -> (Subject, Subject) {
        let rear: Vec<&Read> = self.reads.iter().filter(|read| is_rear(here, &read.sensor)).collect();
        let read = if rear.is_empty() { self.reads.iter().collect() } else { rear };
        let first = read.first().copied();
        let second = read.iter().rev().copied().find(|read| first.is_some_and(|first| !plates::alike(&first.text, &read.text)));
        match (first, second) {
            (Some(first), Some(second)) => {
                let positions = [first.position, second.position];
                draft.said(here, &second.sensor, &positions, Phrase::words("2 different plates"), 1.7);
            }
            (Some(first), None) if read.iter().filter(|read| read.sensor == first.sensor).count() >= 2 => {
                let positions: Vec<Position> = read.iter().map(|read| read.position).collect();
                draft.said(here, &first.sensor, &positions, Phrase::words("the same plate twice"), -4.0);
            }
            _ => {}
        }
        (subject("vehicle.granted", first), subject("vehicle.following", second))
    }
}

fn subject(role: &str, read: Option<&Read>) -> Subject {
    let identities = read.map(|read| SubjectIdentity {
        kind: IdentityKind::Plate,
        value: Private::clear(read.text.clone()),
        probability: read.confidence,
        alternatives: read.others.iter().map(|other| Private::clear(other.clone())).collect(),
        read_by: vec![read.sensor.clone()],
    });
    Subject { role: role.into(), identities: identities.into_iter().collect() }
}

fn is_rear(here: &Here<'_>, sensor: &SensorId) -> bool {
    here.site.sensors.get(sensor).is_some_and(|spec| spec.role == Role::PlateRear)
}

fn settings(here: &Here<'_>) -> (Duration, Duration) {
    let settings = here.site.rules.tailgating.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    (settings.grant_lasts, settings.settle)
}
