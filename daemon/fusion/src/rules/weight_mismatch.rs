//! Weight mismatch: what the scale measured is not what was declared.
//!
//! Compared when a vehicle has passed, with the booking of the plate it most probably has. A scale that is off by the same for
//! several vehicles is off, not they: what the last few differed by is taken away first. No booking, a stale list, no settled
//! weight or an uncertain plate: nothing is said, because nothing is known.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    per_passage::{self, PerPassage, quote_cameras},
    residuals::{Residuals, masses, off},
};
use crate::{evidence::Draft, identity::Known, lane::LaneEvent, passages::Passage};
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
    version: "2.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.weight_mismatch.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// How far the lane's scale is off, and what was said of passages that are not final.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct WeightMismatch {
    residuals: Residuals,
    said: PerPassage,
}

/// A mismatch is said when it is likelier than not.
const LIKELY: f64 = 0.5;

impl Rule for WeightMismatch {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        let bias = self.residuals.bias();
        let draft = draft(passage, known, bias, here);
        let withdrawn = ("A late word explained the difference.", "The weight matches.");
        self.said.say(here, passage, draft, LIKELY, withdrawn);
        if passage.last
            && let Some((measured, declared)) = masses(passage, known, bias)
        {
            self.residuals.note(measured - declared);
        }
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.said.stop(here);
    }
}

fn draft(passage: &Passage, known: &Known, bias: f64, here: &Here<'_>) -> Option<Draft> {
    let settings = here.site.rules.weight_mismatch.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let mass = passage.mass.as_ref()?;
    let (measured, declared) = masses(passage, known, bias)?;
    let difference = off(measured, declared, bias);
    let tolerance = settings.tolerance_kg.max(settings.tolerance_share * declared).max(1.0);
    if difference <= tolerance {
        return None;
    }
    let mut draft = Draft::new(
        Phrase::words("a vehicle's weight does not match its booking"),
        Phrase::words("The load is not what was declared, or the vehicle is not the booked one."),
        0.03,
        passage.entered(),
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(900));
    draft.until = passage.left;
    // What is declared is within the tolerance in 997 of 1000 cases, so a third of it is the deviation of an honest load;
    // a dishonest one can be anything.
    let deviations = 3.0 * difference / tolerance;
    let beyond = 0.5 * deviations * deviations - 2.0;
    draft.said(here, &mass.sensor, &[mass.position], Phrase::words(format!("{measured:.0} kg, settled")), beyond);
    quote_cameras(&mut draft, here, passage, 1.5);
    say(passage, known, measured, declared, here, &mut draft);
    Some(draft)
}

fn say(passage: &Passage, known: &Known, measured: f64, declared: f64, here: &Here<'_>, draft: &mut Draft) {
    let Some(plate) = &known.plate else { return };
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
    draft.subjects = vec![per_passage::subject("vehicle", passage, known)];
    let not = 1.0 - draft.probability();
    let other_vehicle = (1.0 - plate.probability).min(not);
    draft.alternatives = vec![
        Alternative {
            text: Phrase::words("the scale is off, or a part of the vehicle stood beside it"),
            probability: not - other_vehicle,
        },
        Alternative { text: Phrase::words("it is another vehicle than the plate says"), probability: other_vehicle },
    ];
    draft.media = passage.media.clone();
    draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
}
