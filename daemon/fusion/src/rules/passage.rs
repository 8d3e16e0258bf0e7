//! Passage: one vehicle went through one lane, which it was, and on what grant.
//!
//! Said as soon as it is sure that something passed: by then nearly everything is heard. Late words revise it, and it closes
//! when they have had their time. It is the quiet case that every other gate rule is measured against, so its severity is
//! minor and no answer is asked for.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    per_passage::{self, PerPassage, quote_cameras},
};
use crate::{
    evidence::Draft,
    identity::{self, Known, Posterior},
    lane::LaneEvent,
    passages::Passage as Passed,
    plates::Read,
};
use alloc::{format, vec::Vec};
use quaywatch_schemas::{
    FieldClass, GatewayTime, Private, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.passage",
    version: "2.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.passage.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What was said of passages that are not final.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Passage {
    said: PerPassage,
}

/// Less sure than this that anything passed, and it is not said.
const LEAST: f64 = 0.5;

impl Rule for Passage {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        let draft = passage.exit.is_some().then(|| draft(passage, known, here));
        let withdrawn = ("The loop's pulse was too short for a vehicle.", "Nothing passed.");
        self.said.say(here, passage, draft, LEAST, withdrawn);
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.said.stop(here);
    }
}

fn draft(passage: &Passed, known: &Known, here: &Here<'_>) -> Draft {
    // Two loops and a grant on one controller together reach what a failure domain may prove.
    let mut draft = Draft::new(
        Phrase::words("a vehicle passed"),
        Phrase::words(assessment(passage, here)),
        0.1,
        passage.entered(),
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Past;
    draft.until = passage.left;
    for pulse in passage.approach.iter().chain(&passage.exit) {
        draft.said(here, &pulse.sensor, &pulse.positions, Phrase::words("a vehicle"), 2.5);
    }
    if let Some((sensor, position, _)) = &passage.granted {
        draft.said(here, sensor, &[*position], Phrase::words("passage granted"), 1.0);
    }
    let granted = if passage.granted.is_some() { " on a grant" } else { "" };
    draft.facts.push(
        Phrase::words(format!("A vehicle passed{granted}"))
            .detail(FieldClass::Method, Phrase::words(" from ").at(passage.entered()))
            .then("."),
    );
    draft.facts.push(
        Phrase::words("It crossed the lane")
            .detail(FieldClass::Method, Phrase::words(" at ").at(passage.crossed))
            .then("."),
    );
    if let Some(mass) = &passage.mass {
        let kg = libm::rint(mass.kg) as i64;
        draft.said(here, &mass.sensor, &[mass.position], Phrase::words(format!("{kg} kg")), 1.5);
        draft.facts.push(Phrase::words(format!("It weighed {kg} kg.")));
    }
    let mut cameras: Vec<&SensorId> = passage.reads.iter().map(|read| &read.sensor).collect();
    cameras.sort();
    cameras.dedup();
    quote_cameras(&mut draft, here, passage, cameras.len() as f64);
    for (sensor, position, code) in &passage.codes {
        let said = Phrase::words("container ").value(FieldClass::QuasiIdentity, Private::clear(code.text.clone()));
        draft.said(here, sensor, &[*position], said, 1.0 / passage.codes.len() as f64);
    }
    for (sensor, position, tag) in &passage.tags {
        let said = Phrase::words("tag ").value(FieldClass::QuasiIdentity, Private::clear(tag.id.clone()));
        draft.said(here, sensor, &[*position], said, 0.5 / passage.tags.len() as f64);
    }
    for (other, probability) in known.plate.iter().flat_map(|plate| &plate.others) {
        let text = Phrase::words("the plate is ").value(FieldClass::QuasiIdentity, Private::clear(other.clone()));
        draft.alternatives.push(Alternative { text, probability: *probability });
    }
    draft.note_missing(
        here,
        &[
            Role::LoopApproach,
            Role::PlateFront,
            Role::PlateRear,
            Role::Container,
            Role::Tag,
            Role::WeightGross,
            Role::Grant,
        ],
    );
    draft.subjects.push(per_passage::subject("vehicle", passage, known));
    draft.media = passage.media.clone();
    draft
}

fn assessment(passage: &Passed, here: &Here<'_>) -> &'static str {
    let grants = here.sensors_with(Role::Grant).next().is_some();
    match passage.granted {
        Some(_) => "A vehicle passed on a grant.",
        None if !grants => "A vehicle passed.",
        None if here.unhealthy(Role::Grant).is_empty() => "A vehicle passed; no grant for it was seen.",
        None => "A vehicle passed; whether it had a grant is unknown.",
    }
}

/// Which plate reads are of, with the bookings that held here at a moment.
pub(super) fn identify(reads: &[Read], at: WallTime, here: &Here<'_>) -> Option<Posterior> {
    identity::of_reads(reads, at, here.statements, here.site, here.zone_id)
}

/// Who read, in name order.
pub(super) fn read_by(reads: &[Read]) -> Vec<SensorId> {
    let mut read_by: Vec<_> = reads.iter().map(|read| read.sensor.clone()).collect();
    read_by.sort();
    read_by.dedup();
    read_by
}
