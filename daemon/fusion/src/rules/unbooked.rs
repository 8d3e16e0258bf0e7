//! Unbooked: a vehicle passed that no booking names.
//!
//! What was read is held against every booking that it could be, with what readers usually confuse; what is left over is the
//! probability that there is none. A vehicle that followed another on its grant is not this rule's business. A stale list, or
//! a plate that nobody read: nothing is said.

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
    kind: "gate.unbooked",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.unbooked.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What was said of passages that are not final.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Unbooked {
    said: PerPassage,
}

/// What is so far from being said is not looked at further.
const WORTH_A_LOOK: f64 = 0.5;
/// About three vehicles in a hundred come without a booking.
const USUALLY: f64 = 0.03;

impl Rule for Unbooked {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        if !self.said.concerns(passage) {
            return;
        }
        let least = here.site.rules.unbooked.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least;
        let likely = known.booked.is_some_and(|booked| 1.0 - booked >= WORTH_A_LOOK * least);
        let draft = (likely || self.said.is_open(passage)).then(|| draft(passage, known, here)).flatten();
        self.said.say(here, passage, draft, least, ("A late read fits a booking.", "The vehicle is booked."));
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
    let unbooked = 1.0 - known.booked?;
    let plate = known.plate.as_ref().filter(|_| !passage.reads.is_empty())?;
    let followed = passage.followed.is_some_and(|followed| followed.same_opening == Some(true));
    if followed && passage.granted.is_none() {
        return None;
    }
    let mut draft = Draft::new(
        Phrase::words("a vehicle without a booking passed"),
        Phrase::words("No booking names the vehicle's plate."),
        USUALLY,
        passage.entered(),
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(900));
    draft.until = passage.left;
    quote_cameras(&mut draft, here, passage, logit(unbooked) - logit(USUALLY));
    draft.facts = vec![Phrase::words("No booking that holds now names its plate.")];
    let truck = || Phrase::words("Ask for the booking of truck ").value(FieldClass::QuasiIdentity, Private::clear(plate.best.clone()));
    draft.act(FieldClass::QuasiIdentity, truck().then("."), truck().then("; hold it until there is one."));
    draft.act(
        FieldClass::Public,
        Phrase::words("Ask for the vehicle's booking."),
        Phrase::words("Ask for the vehicle's booking; hold it until there is one."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("it is a booked vehicle whose plate was misread"),
        probability: 1.0 - draft.probability(),
    }];
    draft.subjects = vec![per_passage::subject("vehicle", passage, known)];
    draft.media = passage.media.clone();
    draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
    Some(draft)
}
