//! Container mismatch: a vehicle carries another container than its booking names.
//!
//! Every code that was read is held against the booked ones with what readers usually confuse, and against what it says by
//! itself; a right check digit (ISO 6346) is right by chance once in eleven, so it is evidence and no proof.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    per_passage::{self, PerPassage, quote_cameras},
};
use crate::{
    evidence::{Draft, logit},
    identity::Known,
    lane::LaneEvent,
    passages::Passage,
};
use alloc::vec;
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Private,
    site::{Role, ZoneKind},
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.container-mismatch",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.container_mismatch.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What was said of passages that are not final.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ContainerMismatch {
    said: PerPassage,
}

/// What is so far from being said is not looked at further.
const WORTH_A_LOOK: f64 = 0.5;
/// Two vehicles in a hundred carry another container than the booked one.
const USUALLY: f64 = 0.02;

impl Rule for ContainerMismatch {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        if !self.said.concerns(passage) {
            return;
        }
        let rule = here.site.rules.container_mismatch.as_ref();
        let least = rule.map(|rule| rule.settings.clone()).unwrap_or_default().least;
        let swapped = known.containers.as_ref().and_then(|containers| containers.swapped);
        let likely = swapped.is_some_and(|swapped| swapped >= WORTH_A_LOOK * least);
        let draft = (likely || self.said.is_open(passage)).then(|| draft(passage, known, here)).flatten();
        let withdrawn = ("A late read is of the booked container.", "The container is the booked one.");
        self.said.say(here, passage, draft, least, withdrawn);
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.said.stop(here);
    }
}

fn draft(passage: &Passage, known: &Known, here: &Here<'_>) -> Option<Draft> {
    let (_, sure) = known.booking.as_ref()?;
    // Of a vehicle that is not booked nothing is swapped.
    let swapped = known.containers.as_ref()?.swapped? * sure;
    let plate = known.plate.as_ref()?;
    if passage.codes.is_empty() {
        return None;
    }
    let mut draft = Draft::new(
        Phrase::words("a vehicle carries another container than the booked one"),
        Phrase::words("The container is not the one that the booking names."),
        USUALLY,
        passage.entered(),
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(900));
    draft.until = passage.left;
    let total = logit(swapped) - logit(USUALLY);
    let plates = if passage.reads.is_empty() { 0.0 } else { total.clamp(0.0, 2.0) };
    for (sensor, position, code) in &passage.codes {
        let said = Phrase::words("container ").value(FieldClass::QuasiIdentity, Private::clear(code.text.clone()));
        draft.said(here, sensor, &[*position], said, (total - plates) / passage.codes.len() as f64);
    }
    quote_cameras(&mut draft, here, passage, plates);
    draft.facts = vec![Phrase::words("The container code that was read is not one that the vehicle's booking names.")];
    let truck = || Phrase::words("Compare the container on truck ").value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()));
    draft.act(
        FieldClass::QuasiIdentity,
        truck().then(" with its papers."),
        truck().then(" with its papers; check the seal."),
    );
    draft.act(
        FieldClass::Public,
        Phrase::words("Compare the container with its papers."),
        Phrase::words("Compare the container with its papers; check the seal."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("the booked container's code was misread"),
        probability: 1.0 - draft.probability(),
    }];
    draft.subjects = vec![per_passage::subject("vehicle", passage, known)];
    draft.media = passage.media.clone();
    draft.note_missing(here, &[Role::Container]);
    Some(draft)
}
