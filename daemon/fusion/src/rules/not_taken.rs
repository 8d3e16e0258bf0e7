//! Not taken: somebody was let in, and nobody went.
//!
//! Some access systems say so themselves. Where they do not, a door that does not open and a counter that does not count
//! say it, if they could have spoken all the while. It is how credentials are tried out, and how a door is opened for
//! somebody else; mostly it is somebody who changed their mind.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    doorway::{DISAGREE, Doorway, LAST_WORD, doorway},
    findings::{Finding, Findings},
};
use crate::{
    bounds::EVENTS_PER_DOOR,
    evidence::{Draft, weight_of_absence},
    trails::{Access, Read, TrailEvent, holder_as_subject},
};
use alloc::{collections::VecDeque, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    site::Role,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.not-taken",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.not_taken.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[Stream::Trails],
};

/// Grants at one zone's doorway that nobody was seen to use yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NotTaken {
    /// At the bound the oldest is given up.
    waiting: VecDeque<(GatewayTime, Unused)>,
    /// When the door opened or somebody was counted; at the bound the oldest goes.
    used: VecDeque<WallTime>,
    findings: Findings<Unused>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Unused {
    holder: Handle,
    reader: SensorId,
    at: WallTime,
    received: GatewayTime,
    position: Position,
    within: Duration,
    /// The access system said so.
    told: bool,
    /// Who should have seen somebody pass, and did not.
    unmoved: Vec<(SensorId, Role)>,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Of a hundred people who are let in two do not go.
const PRIOR: f64 = 0.02;
/// The access system's own word.
const TOLD: f64 = 6.0;
const LOOKING: [Role; 2] = [Role::Door, Role::PeopleCount];

impl Rule for NotTaken {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        match seen {
            Seen::Reading(signal) => {
                if matches!(doorway(signal), Some(Doorway::Opened | Doorway::Passed(_))) {
                    if self.used.len() == EVENTS_PER_DOOR {
                        self.used.pop_front();
                    }
                    self.used.push_back(signal.at);
                }
            }
            Seen::Trail(event) => self.take(event, here),
            Seen::Lane(_) | Seen::Track(_) => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        while let Some((_, mut grant)) = self.waiting.pop_front_if(|(due, _)| *due <= here.now) {
            if !self.was_used(&grant) && !stands_open(here) {
                grant.unmoved = unmoved(grant.received, here);
                let first = grant.position;
                let found = (!grant.unmoved.is_empty()).then_some(grant);
                self.findings.judge(first, found, LEAST, here);
            }
        }
        self.findings.fire(here);
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        let waiting = self.waiting.front().map(|(due, _)| *due);
        waiting.into_iter().chain(self.findings.next_due()).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.findings.stop(here);
    }
}

impl NotTaken {
    fn take(&mut self, event: &TrailEvent<'_>, here: &mut Here<'_>) {
        let rule = here.site.rules.not_taken.as_ref();
        let within = rule.map(|rule| rule.settings.clone()).unwrap_or_default().within;
        let read: &Read = event.read();
        let grant = |told| Unused {
            holder: event.holder,
            reader: read.reader.clone(),
            at: read.at,
            received: read.received,
            position: read.position,
            within,
            told,
            unmoved: Vec::new(),
        };
        match read.access {
            Access::NotTaken => {
                self.waiting.retain(|(_, waiting)| waiting.position != read.position);
                self.findings.judge(read.position, Some(grant(true)), LEAST, here);
            }
            Access::Granted if !event.again => {
                if self.waiting.len() == EVENTS_PER_DOOR {
                    self.waiting.pop_front();
                }
                let due = here.now.after(within + LAST_WORD);
                let index = self.waiting.partition_point(|(before, _)| *before <= due);
                self.waiting.insert(index, (due, grant(false)));
            }
            Access::Granted | Access::Denied => {}
        }
    }

    fn was_used(&self, grant: &Unused) -> bool {
        let (from, until) = (grant.at.before(DISAGREE), grant.at.after(grant.within + DISAGREE));
        self.used.iter().any(|used| (from..=until).contains(used))
    }
}

/// A door that stands open need not move to let somebody through.
fn stands_open(here: &Here<'_>) -> bool {
    let mut doors = here.site.sensors_with(here.zone_id, Role::Door);
    doors.any(|(id, _)| here.sensors.get(id).is_some_and(|memory| memory.contact == Some(true)))
}

/// Sensors that would have seen somebody pass at any time since, had anybody.
fn unmoved(since: GatewayTime, here: &Here<'_>) -> Vec<(SensorId, Role)> {
    let of_role = |role| here.could_speak_since(role, since).unwrap_or_default().into_iter().map(move |id| (id, role));
    LOOKING.into_iter().flat_map(of_role).collect()
}

impl Finding for Unused {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("somebody was let in and nobody went"),
            Phrase::words("Whoever it was may have tried the credential, or opened the door for somebody else."),
            PRIOR,
            self.at,
        );
        draft.until = Some(self.at.after(self.within));
        draft.severity = Severity::Minor;
        draft.urgency = Urgency::Expected;
        let said = if self.told { "let in, and not taken" } else { "let in" };
        let weight = if self.told { TOLD } else { 0.0 };
        draft.said(here, &self.reader, &[self.position], Phrase::words(said), weight);
        for (sensor, role) in &self.unmoved {
            let Some(spec) = here.site.sensors.get(sensor) else { continue };
            let said = if *role == Role::Door { "the door did not open" } else { "nobody was counted" };
            let weight = -weight_of_absence(spec.rates.detection, spec.rates.false_alarm);
            draft.absent(here, sensor, Phrase::words(said), weight);
        }
        draft.facts = vec![Phrase::words(format!(
            "A credential was granted at {}, and nobody passed within {:.0} s.",
            here.zone.name,
            self.within.as_secs_f64()
        ))];
        draft.act(
            FieldClass::Public,
            Phrase::words("Look whether the door is shut."),
            Phrase::words("Look whether the door is shut and nobody else used the grant."),
        );
        draft.note_missing(here, &LOOKING);
        draft.subjects.push(holder_as_subject("person.holder", self.holder, vec![self.reader.clone()]));
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("somebody went, and neither door nor counter noticed"),
            probability: not,
        });
        draft
    }
}
