//! Weight mismatch: what the scale measured is not what was declared.
//!
//! Compared when a vehicle has passed, with the booking of the plate it most probably has. No booking, a stale list, no
//! settled weight or an uncertain plate: nothing is said, because nothing is known.

use super::{Here, Kind, Look, Rule, Seen, passage};
use crate::{
    evidence::{Draft, Life},
    lane::{LaneEvent, Vehicle},
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

fn draft(vehicle: &Vehicle, here: &Here<'_>) -> Option<Draft> {
    let settings = here.site.rules.weight_mismatch.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let (measured, scale, weighed_at) = vehicle.mass.as_ref()?;
    let plate = passage::identify(vehicle, here).filter(|plate| plate.probability >= SURE_ENOUGH)?;
    let mut bookings = here.statements.bookings(here.site, here.zone_id, vehicle.entered);
    let declared = bookings.find_map(|(booking, _)| {
        booking.declared_gross_kg.filter(|_| booking.plate.as_clear() == Some(plate.best.as_str()))
    })?;
    let declared = f64::from(declared);
    let difference = (measured - declared).abs();
    let tolerance = settings.tolerance_kg.max(settings.tolerance_share * declared);
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
    for read in vehicle.reads.iter().take(2) {
        let said = Phrase::words("plate ").value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()));
        draft.said(here, &read.sensor, &[read.position], said, 0.5);
    }
    let more = if *measured > declared { "more" } else { "less" };
    draft.facts = vec![
        Phrase::words(format!("The vehicle weighed {difference:.0} kg {more} than its booking says"))
            .detail(FieldClass::Method, Phrase::words(format!(": {measured:.0} kg measured, {declared:.0} kg declared")))
            .then("."),
    ];
    draft.act(
        FieldClass::QuasiIdentity,
        Phrase::words("Hold ")
            .value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()))
            .then(" for a second weighing and check seal and papers."),
    );
    draft.act(FieldClass::Public, Phrase::words("Hold the vehicle for a second weighing and check seal and papers."));
    draft.subjects = vec![passage::subject("vehicle", vehicle, Some(&plate))];
    draft.alternatives = vec![
        Alternative { text: Phrase::words("it is another vehicle than the plate says"), probability: 1.0 - plate.probability },
    ];
    draft.media = vehicle.media.clone();
    draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
    Some(draft)
}
