//! Dwell: something that is followed by position stays longer in a zone than it should.
//!
//! Said once per thing, when its time is up; ends when it leaves, or is no longer followed. A sensor that goes silent ends it
//! too, but says so: that nobody sees it any more does not mean that it went.

use super::{Here, Kind, Look, Rule, Seen, Stream};
use crate::{
    evidence::{Draft, Life},
    tracks::{Sighting, TrackChange},
};
use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, WallTime,
    observation::ObjectClass,
    site::{Role, rules},
    situation::{Alternative, Phase, Phrase, Severity, Subject, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "zone.dwell",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.dwell.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Tracks],
};

/// What stays too long in one zone, by its track's name. Bounded with the tracks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Dwell {
    stays: BTreeMap<u64, Stay>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stay {
    since: WallTime,
    first: Position,
    what: String,
    role: String,
    existence: f64,
    witnesses: Vec<(quaywatch_schemas::SensorId, Position)>,
    heard: GatewayTime,
    life: Life,
}

/// Probability before evidence that what is followed so long is a thing at all and not an echo of the place.
const PRIOR: f64 = 0.05;
/// Something not heard of for this long is no longer followed, whatever the reason: a track itself lives a minute at most
/// without being seen.
const UNHEARD: Duration = Duration::from_secs(60);

impl Rule for Dwell {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Track(event) = seen else { return };
        let track = &event.track;
        match event.change {
            TrackChange::Entered | TrackChange::Still => self.stays_on(track, here),
            TrackChange::Left => self.end(track.number, here, "It has left."),
            TrackChange::Lost => self.end(track.number, here, "It is no longer seen: it left, or stands behind something."),
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let over = |stay: &Stay| stay.heard.after(UNHEARD) <= here.now;
        let unheard: Vec<u64> = self.stays.iter().filter(|(_, stay)| over(stay)).map(|(number, _)| *number).collect();
        for number in unheard {
            self.end(number, here, "The sensors that followed it say nothing any more: whether it left is unknown.");
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.stays.values().map(|stay| stay.heard.after(UNHEARD)).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (_, mut stay) in core::mem::take(&mut self.stays) {
            let draft = draft(here, &stay);
            stay.life.give_up(here, draft);
        }
    }
}

impl Dwell {
    fn stays_on(&mut self, track: &Sighting, here: &mut Here<'_>) {
        let settings = settings(here);
        let wanted: f64 = match settings.classes.as_slice() {
            [] => 1.0,
            classes => track.classes.iter().filter(|(class, _)| classes.contains(class)).map(|(_, share)| share).sum(),
        };
        let long = track.at >= track.since.after(settings.longest);
        let known = self.stays.contains_key(&track.number);
        let Some((_, position)) = track.witnesses.last() else { return };
        if !known && (!long || wanted < 0.5) {
            return;
        }
        let (what, role) = called(track);
        let stay = self.stays.entry(track.number).or_insert_with(|| Stay {
            since: track.since,
            first: *position,
            what: String::new(),
            role: String::new(),
            existence: track.existence,
            witnesses: Vec::new(),
            heard: here.now,
            life: Life::default(),
        });
        // What it was first taken for stays its name in the situation, unless that was nothing.
        if stay.what.is_empty() || stay.role == "thing" {
            (stay.what, stay.role) = (what.into(), role.into());
        }
        stay.heard = here.now;
        stay.existence = track.existence;
        // Who showed it when it was said is what it rests on; a scan more is no news.
        let more = track.witnesses.iter().any(|(sensor, _)| stay.witnesses.iter().all(|(known, _)| known != sensor));
        if more {
            stay.witnesses.clone_from(&track.witnesses);
        }
        let draft = draft(here, stay);
        let (first, name) = (stay.first, format!("{}/{}", KIND.kind, track.number));
        stay.life.say_of(here, &name, first, draft);
    }

    fn end(&mut self, number: u64, here: &mut Here<'_>, why: &'static str) {
        let Some(mut stay) = self.stays.remove(&number) else { return };
        let mut draft = draft(here, &stay);
        draft.facts.push(Phrase::words(why));
        draft.until = Some(here.wall(stay.heard));
        draft.actions.clear();
        stay.life.end(here, Phase::Closed, draft);
    }
}

fn draft(here: &Here<'_>, stay: &Stay) -> Draft {
    let what = &stay.what;
    let mut draft = Draft::new(
        Phrase::words(format!("{what} stays at {}", here.zone.name)),
        Phrase::words("It is there longer than what is done there takes."),
        PRIOR,
        stay.since,
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    let weight = super::track_weight(stay.existence, PRIOR, stay.witnesses.len());
    for (sensor, position) in &stay.witnesses {
        draft.said(here, sensor, &[*position], Phrase::words(format!("{what}, all that time")), weight);
    }
    let longest = settings(here).longest.as_secs().div_ceil(60);
    draft.facts = vec![
        Phrase::words(format!("{what} has been there"))
            .detail(FieldClass::Method, Phrase::words(" since ").at(stay.since))
            .then(format!(", longer than {longest} min.")),
    ];
    draft.act(FieldClass::Public, Phrase::words("Ask what it waits for."), Phrase::words("Go there and ask what it waits for."));
    draft.subjects = vec![Subject { role: stay.role.clone(), identities: Vec::new() }];
    let not = 1.0 - draft.probability();
    draft.alternatives =
        vec![Alternative { text: Phrase::words("something fixed that the sensors take for a thing"), probability: not }];
    draft.note_missing(here, &[Role::Radar, Role::PositionCamera]);
    draft
}

/// What a track is, in words, and as a subject.
pub(super) fn called(track: &Sighting) -> (&'static str, &'static str) {
    match track.classes[0] {
        (ObjectClass::Person, share) if share > 0.5 => ("Somebody", "person"),
        (ObjectClass::Vehicle, share) if share > 0.5 => ("A vehicle", "vehicle"),
        (ObjectClass::Vessel, share) if share > 0.5 => ("A vessel", "vessel"),
        _ => ("Something", "thing"),
    }
}

fn settings(here: &Here<'_>) -> rules::Dwell {
    here.site.rules.dwell.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default()
}
