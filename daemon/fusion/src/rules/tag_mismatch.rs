//! Tag mismatch: the tag on a vehicle belongs to another one.
//!
//! A tag that is not the booked one hangs on this vehicle, or on one in another lane whose tag was heard over here: how
//! strongly it was heard tells them apart, and whether a vehicle that it fits was in this lane too.

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
    kind: "gate.tag-mismatch",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.tag_mismatch.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What was said of passages that are not final.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TagMismatch {
    said: PerPassage,
}

/// Two tags in a hundred hang on another vehicle than they are registered for.
const USUALLY: f64 = 0.02;

impl Rule for TagMismatch {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        if !self.said.concerns(passage) {
            return;
        }
        let least = here.site.rules.tag_mismatch.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least;
        let draft = draft(passage, known, here);
        let withdrawn = ("A late word says whose tag it is.", "The tag is another vehicle's in the lane.");
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
    let foreign = known.foreign_tag.as_ref()?;
    let plate = known.plate.as_ref()?;
    let mut draft = Draft::new(
        Phrase::words("a vehicle carries another vehicle's tag"),
        Phrase::words("Tag and plate belong to different vehicles."),
        USUALLY,
        passage.entered(),
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(900));
    draft.until = passage.left;
    // What the posterior says in all is the tag's; the plate's part of it is what the cameras add.
    let total = logit(foreign.probability) - logit(USUALLY);
    let plates = if passage.reads.is_empty() { 0.0 } else { total.clamp(0.0, 2.0) };
    let whose = if foreign.of_another { "tag of another vehicle" } else { "a tag that is not the booked one" };
    draft.said(here, &foreign.sensor, &[foreign.position], Phrase::words(whose), total - plates);
    quote_cameras(&mut draft, here, passage, plates);
    draft.facts = vec![Phrase::words("The tag that was heard is not the one that the vehicle's booking names.")];
    let truck = || Phrase::words("Check tag and papers of truck ").value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()));
    draft.act(FieldClass::QuasiIdentity, truck().then("."), truck().then(" against its plates, front and rear."));
    draft.act(
        FieldClass::Public,
        Phrase::words("Check the vehicle's tag and papers."),
        Phrase::words("Check the vehicle's tag and papers against its plates, front and rear."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("the tag hangs on a vehicle in another lane"),
        probability: 1.0 - draft.probability(),
    }];
    draft.subjects = vec![per_passage::subject("vehicle", passage, known)];
    draft.media = passage.media.clone();
    draft.note_missing(here, &[Role::Tag, Role::PlateFront, Role::PlateRear]);
    Some(draft)
}
