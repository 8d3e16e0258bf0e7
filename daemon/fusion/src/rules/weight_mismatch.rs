//! Weight mismatch: what the scale measured is not what was declared.
//!
//! Compared when a vehicle has passed, with the booking of the plate it most probably has. No booking, a stale list, no
//! settled weight or an uncertain plate: nothing is said, because nothing is known.

use super::{Here, Kind, Look, Rule, Seen, passage};
use crate::{
    evidence::{Draft, Life},
    lane::{LaneEvent, Vehicle},
    plates::{self, Posterior},
};
use alloc::{format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Private,
    site::{Role, ZoneKind},
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.weight-mismatch",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.weight_mismatch.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// Keeps nothing: the lane does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct WeightMismatch {}

impl Rule for WeightMismatch {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Lane(LaneEvent::Passed { vehicle }) = seen
            && let Some(draft) = draft(vehicle, here)
        {
            Life::at_once(here, vehicle.first, draft);
        }
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }
}

/// Below this a plate is too uncertain to hold a booking against its vehicle.
const SURE_ENOUGH: f64 = 0.8;
/// A mismatch is said when it is likelier than not.
const LIKELY: f64 = 0.5;

fn draft(vehicle: &Vehicle, here: &Here<'_>) -> Option<Draft> {
    let settings = here.site.rules.weight_mismatch.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let (measured, scale, weighed_at) = vehicle.mass.as_ref()?;
    let plate = passage::identify(&vehicle.reads, vehicle.entered, here)?;
    if plate.probability < SURE_ENOUGH {
        return None;
    }
    // A vehicle may be booked for two visits: it is held against the one that fits best.
    let declared = here
        .statements
        .bookings(here.site, here.zone_id, vehicle.entered)
        .filter(|(booking, _)| booking.plate.as_clear().is_some_and(|booked| plates::same(booked, &plate.best)))
        .filter_map(|(booking, _)| booking.declared_gross_kg.map(f64::from))
        .min_by(|a, b| libm::fabs(measured - a).total_cmp(&libm::fabs(measured - b)))?;
    let difference = libm::fabs(measured - declared);
    let tolerance = settings.tolerance_kg.max(settings.tolerance_share * declared).max(1.0);
    if difference <= tolerance {
        return None;
    }
    let mut draft = Draft::new(
        Phrase::words("a vehicle's weight does not match its booking"),
        Phrase::words("The load is not what was declared, or the vehicle is not the booked one."),
        0.02,
        vehicle.entered,
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(900));
    draft.until = vehicle.left.map(|(at, _)| at);
    // At the tolerance the scale proves nothing; at three times the tolerance there is little doubt.
    let beyond = 2.5 * (difference / tolerance);
    draft.said(here, scale, &[*weighed_at], Phrase::words(format!("{measured:.0} kg, settled")), beyond);
    for sensor in passage::read_by(&vehicle.reads) {
        let mut reads = vehicle.reads.iter().filter(|read| read.sensor == sensor && plates::alike(&read.text, &plate.best));
        if let Some(read) = reads.next() {
            let said = Phrase::words("plate ").value(FieldClass::QuasiIdentity, Private::clear(read.text.clone()));
            draft.said(here, &sensor, &[read.position], said, 0.5);
        }
    }
    if draft.probability() < LIKELY {
        return None;
    }
    say(vehicle, &plate, *measured, declared, here, &mut draft);
    Some(draft)
}

fn say(vehicle: &Vehicle, plate: &Posterior, measured: f64, declared: f64, here: &Here<'_>, draft: &mut Draft) {
    let more = if measured > declared { "more" } else { "less" };
    let difference = libm::fabs(measured - declared);
    draft.facts = vec![
        Phrase::words(format!("The vehicle weighed {difference:.0} kg {more} than its booking says"))
            .detail(FieldClass::Method, Phrase::words(format!(": {measured:.0} kg measured, {declared:.0} kg declared")))
            .then("."),
    ];
    let truck = || Phrase::words("Hold truck ").value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()));
    draft.act(
        FieldClass::QuasiIdentity,
        truck().then(" for a second weighing."),
        truck().then(" for a second weighing; check seal and papers."),
    );
    draft.act(
        FieldClass::Public,
        Phrase::words("Hold the vehicle for a second weighing."),
        Phrase::words("Hold the vehicle for a second weighing; check seal and papers."),
    );
    draft.subjects = vec![passage::subject("vehicle", vehicle, Some(plate))];
    let not = 1.0 - draft.probability();
    let other_vehicle = (1.0 - plate.probability).min(not);
    draft.alternatives = vec![
        Alternative {
            text: Phrase::words("the scale is off, or a part of the vehicle stood beside it"),
            probability: not - other_vehicle,
        },
        Alternative { text: Phrase::words("it is another vehicle than the plate says"), probability: other_vehicle },
    ];
    draft.media = vehicle.media.clone();
    draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
}
