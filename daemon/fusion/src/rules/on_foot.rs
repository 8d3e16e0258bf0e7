//! On foot: more people passed a turnstile, gangway or door than credentials were read.
//!
//! A turnstile is a lane for people: who passes has been let in a moment before. Each person that is counted is matched with
//! a grant, earliest first; one that is left over came in on somebody else's. Where people may leave unread the counter
//! counts them too, and nothing can be said. A reader that could not read makes it unknown.

use super::{
    Here, Kind, Look, Rule, Seen, Stream, Signal,
    doorway::{DISAGREE, Doorway, LAST_WORD, LOST_READ, doorway},
    findings::{Finding, Findings},
};
use crate::{
    bounds::EVENTS_PER_DOOR,
    evidence::{Draft, weight},
    trails::{TrailEvent, holder_as_subject},
};
use alloc::{collections::VecDeque, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    site::{Role, ZoneKind},
    situation::{Alternative, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.on-foot",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Turnstile | ZoneKind::Gangway | ZoneKind::Gate | ZoneKind::Room),
    mode: |site, zone| site.rules.on_foot.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[Stream::Trails],
};

/// Who was let in and who passed, in one zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OnFoot {
    /// Grants that nobody has used yet, earliest first; at the bound the oldest goes.
    grants: VecDeque<Grant>,
    /// People counted that are not judged yet, earliest first; at the bound the oldest is given up.
    passages: VecDeque<(GatewayTime, Passage)>,
    findings: Findings<Passage>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Grant {
    holder: Handle,
    reader: SensorId,
    at: WallTime,
    position: Position,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Passage {
    sensor: SensorId,
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    people: u32,
    /// The last to be let in: on whose grant the others probably came.
    on: Option<Grant>,
    /// How many had leave.
    let_in: u32,
    /// Readers that could have read the others.
    unread: Vec<SensorId>,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Of a hundred people who pass one has not been let in.
const PRIOR: f64 = 0.01;

impl Rule for OnFoot {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        match seen {
            Seen::Reading(signal) => {
                if let Some(Doorway::Passed(people)) = doorway(signal) {
                    self.pass(signal, people, here);
                }
            }
            Seen::Trail(event) => self.grant(event),
            Seen::Lane(_) | Seen::Track(_) => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        while let Some((_, mut passage)) = self.passages.pop_front_if(|(due, _)| *due <= here.now) {
            let within = within(here);
            self.grants.retain(|grant| grant.at.after(within + LAST_WORD) >= passage.at);
            while passage.let_in < passage.people
                && let Some(index) = self.grants.iter().position(|grant| lets_in(grant, &passage, within))
            {
                passage.on = self.grants.remove(index);
                passage.let_in += 1;
            }
            if passage.let_in < passage.people && !here.one_may_leave_unread() {
                passage.unread = here.readers_could_speak(passage.gateway, within).unwrap_or_default();
                let first = passage.position;
                let found = (!passage.unread.is_empty()).then_some(passage);
                self.findings.judge(first, found, LEAST, here);
            }
        }
        self.findings.fire(here);
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        let passage = self.passages.front().map(|(due, _)| *due);
        passage.into_iter().chain(self.findings.next_due()).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.findings.stop(here);
    }
}

impl OnFoot {
    fn pass(&mut self, signal: &Signal<'_>, people: u32, here: &Here<'_>) {
        if self.passages.len() == EVENTS_PER_DOOR {
            self.passages.pop_front();
        }
        let passage = Passage {
            sensor: signal.sensor.clone(),
            at: signal.at,
            gateway: here.now,
            position: signal.position,
            people,
            on: None,
            let_in: 0,
            unread: Vec::new(),
        };
        self.passages.push_back((here.now.after(LAST_WORD), passage));
    }

    fn grant(&mut self, event: &TrailEvent<'_>) {
        let read = event.read();
        if !read.went_through() {
            self.grants.retain(|grant| grant.position != read.position);
            return;
        }
        if event.again {
            return;
        }
        if self.grants.len() == EVENTS_PER_DOOR {
            self.grants.pop_front();
        }
        let grant = Grant {
            holder: event.holder,
            reader: read.reader.clone(),
            at: read.at,
            position: read.position,
        };
        let index = self.grants.partition_point(|before| before.at <= grant.at);
        self.grants.insert(index, grant);
    }
}

fn within(here: &Here<'_>) -> Duration {
    here.site.rules.on_foot.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().within
}

fn lets_in(grant: &Grant, passage: &Passage, within: Duration) -> bool {
    (passage.at.before(within)..=passage.at.after(DISAGREE)).contains(&grant.at)
}

impl Finding for Passage {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let more = self.people - self.let_in;
        let headline = match more {
            1 => "somebody passed without a credential of their own".into(),
            more => format!("{more} people passed without a credential of their own"),
        };
        let mut draft = Draft::new(
            Phrase::words(headline),
            Phrase::words("They probably went through close behind somebody who was let in."),
            PRIOR,
            self.at,
        );
        draft.until = Some(self.at);
        draft.severity = Severity::Moderate;
        draft.answer_within = Some(Duration::from_secs(300));
        if let Some(spec) = here.site.sensors.get(&self.sensor) {
            let counted = weight(spec.rates.detection, spec.rates.false_alarm);
            let said = if self.people == 1 { "1 person".into() } else { format!("{} people", self.people) };
            draft.said(here, &self.sensor, &[self.position], Phrase::words(said), counted);
        }
        if let Some(grant) = &self.on {
            draft.said(here, &grant.reader, &[grant.position], Phrase::words("let one in"), 0.0);
        }
        let share = -libm::log(LOST_READ) / self.unread.len().max(1) as f64;
        for reader in &self.unread {
            draft.absent(here, reader, Phrase::words("no other credential"), share);
        }
        let passed = count(self.people, "person", "people");
        let place = &here.zone.name;
        draft.facts = vec![Phrase::words(match self.let_in {
            0 => format!("{passed} passed {place} without being let in."),
            let_in => format!("{passed} passed {place}, and {let_in} of them had been let in."),
        })];
        draft.act(
            FieldClass::Public,
            Phrase::words("Look who came in last."),
            Phrase::words("Look at the footage who came in last, and ask for their credential."),
        );
        draft.note_missing(here, &[Role::PeopleCount, Role::Door]);
        if let Some(grant) = &self.on {
            draft.subjects.push(holder_as_subject("person.granted", grant.holder, vec![grant.reader.clone()]));
        }
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("a credential was not read, or somebody was counted twice"),
            probability: not,
        });
        draft
    }
}

fn count(number: u32, one: &str, more: &str) -> alloc::string::String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}
