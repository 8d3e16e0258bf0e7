//! Passage: one vehicle went through one lane, which it was, and on what grant.
//!
//! Said once, when the vehicle has left and late reads have had their time. It is the quiet case that every other gate rule
//! is measured against, so its severity is minor and no answer is asked for.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    evidence::{Draft, Life},
    lane::{LaneEvent, Vehicle},
    plates::{self, Posterior, Read},
};
use alloc::{format, vec, vec::Vec};
use quaywatch_schemas::{
    FieldClass, GatewayTime, Private, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, IdentityKind, Phrase, Severity, Subject, SubjectIdentity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.passage",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.passage.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// Keeps nothing: the lane does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Passage {}

impl Rule for Passage {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Lane(LaneEvent::Passed { vehicle }) = seen {
            let draft = draft(vehicle, here);
            Life::at_once(here, vehicle.first, draft);
        }
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }
}

fn draft(vehicle: &Vehicle, here: &mut Here<'_>) -> Draft {
    let plate = identify(&vehicle.reads, vehicle.entered, here);
    // Two loops and a grant on one controller together reach what a failure domain may prove.
    let mut draft = Draft::new(
        Phrase::words("a vehicle passed"),
        Phrase::words(assessment(vehicle, here)),
        0.1,
        vehicle.entered,
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Past;
    draft.until = vehicle.left.map(|(at, _)| at);
    for (sensor, position) in &vehicle.loops {
        draft.said(here, sensor, &[*position], Phrase::words("a vehicle"), 2.5);
    }
    if let Some((sensor, position)) = &vehicle.granted {
        draft.said(here, sensor, &[*position], Phrase::words("passage granted"), 1.0);
    }
    let granted = if vehicle.granted.is_some() { " on a grant" } else { "" };
    draft.facts.push(
        Phrase::words(format!("A vehicle passed{granted}"))
            .detail(FieldClass::Method, Phrase::words(" from ").at(vehicle.entered))
            .then("."),
    );
    if let Some((mass, sensor, position)) = &vehicle.mass {
        draft.said(here, sensor, &[*position], Phrase::words(format!("{mass:.0} kg")), 1.5);
        draft.facts.push(Phrase::words(format!("It weighed {mass:.0} kg.")));
    }
    if let Some(plate) = &plate {
        say_plate(vehicle, plate, here, &mut draft);
    }
    draft.note_missing(here, &[Role::LoopApproach, Role::PlateFront, Role::PlateRear, Role::WeightGross, Role::Grant]);
    draft.subjects.push(subject("vehicle", vehicle, plate.as_ref()));
    draft.media = vehicle.media.clone();
    draft
}

fn assessment(vehicle: &Vehicle, here: &Here<'_>) -> &'static str {
    let grants = here.site.sensors_with(here.zone_id, Role::Grant).next().is_some();
    match vehicle.granted {
        Some(_) => "A vehicle passed on a grant.",
        None if !grants => "A vehicle passed.",
        None if here.unhealthy(Role::Grant).is_empty() => "A vehicle passed; no grant for it was seen.",
        None => "A vehicle passed; whether it had a grant is unknown.",
    }
}

fn say_plate(vehicle: &Vehicle, plate: &Posterior, here: &Here<'_>, draft: &mut Draft) {
    for sensor in read_by(&vehicle.reads) {
        let reads = || vehicle.reads.iter().filter(|read| read.sensor == sensor);
        let positions: Vec<_> = reads().map(|read| read.position).collect();
        // Each camera is quoted with its own read: who may have this one only must not learn what another read.
        let Some(best) = reads().reduce(|best, read| if read.confidence > best.confidence { read } else { best }) else {
            continue;
        };
        let said = Phrase::words("plate ").value(FieldClass::QuasiIdentity, Private::clear(best.text.clone()));
        draft.said(here, &sensor, &positions, said, 1.0);
    }
    for (other, probability) in &plate.others {
        let text = Phrase::words("the plate is ").value(FieldClass::QuasiIdentity, Private::clear(other.clone()));
        draft.alternatives.push(Alternative { text, probability: *probability });
    }
}

/// Which plate reads are of, with the bookings that held here at a moment.
pub(super) fn identify(reads: &[Read], at: WallTime, here: &Here<'_>) -> Option<Posterior> {
    let bookings = here.statements.bookings(here.site, here.zone_id, at);
    plates::posterior(reads, bookings.filter_map(|(booking, _)| booking.plate.as_clear()))
}

/// Who read, in name order.
pub(super) fn read_by(reads: &[Read]) -> Vec<SensorId> {
    let mut read_by: Vec<_> = reads.iter().map(|read| read.sensor.clone()).collect();
    read_by.sort();
    read_by.dedup();
    read_by
}

/// A vehicle as a subject.
pub(super) fn subject(role: &str, vehicle: &Vehicle, plate: Option<&Posterior>) -> Subject {
    let identities = plate.map(|plate| SubjectIdentity {
        kind: IdentityKind::Plate,
        value: Private::clear(plate.best.clone()),
        probability: plate.probability,
        alternatives: plate.others.iter().map(|(other, _)| Private::clear(other.clone())).collect(),
        read_by: read_by(&vehicle.reads),
    });
    Subject { role: role.into(), identities: identities.map_or_else(Vec::new, |identity| vec![identity]) }
}
