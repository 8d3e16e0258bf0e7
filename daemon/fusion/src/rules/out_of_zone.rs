//! Out of zone: a credential was used where none of its holder's roles may be.
//!
//! It is a table and near certain, as far as the table is: the older the roster, the less. A stale roster, or one that does
//! not know the holder, says nothing.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
};
use crate::{
    evidence::Draft,
    trails::{Access, Read, holder_as_subject},
};
use alloc::{
    format,
    string::{String, ToString},
    vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.out-of-zone",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.out_of_zone.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// What was found at one zone's readers lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OutOfZone {
    findings: Findings<Outside>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outside {
    holder: Handle,
    role: String,
    reader: SensorId,
    at: WallTime,
    position: Position,
    refused: bool,
    /// How far the roster has aged, 0 to 1.
    age: f64,
}

/// A read that a roster does not allow is as often the roster's fault as anything else, before its age is known.
pub(super) const PRIOR: f64 = 0.5;
/// Of a hundred such reads about two are a roster that is behind: ln(0.98 / 0.02), and a little for the read itself.
const ROSTER: f64 = 4.0;
/// What it loses until it is stale.
const AGEING: f64 = 1.5;

/// What a roster's word is worth at its age.
pub(super) fn worth(age: f64) -> f64 {
    ROSTER - AGEING * age.clamp(0.0, 1.0)
}

/// Whether this rule says a read, so that no other has to.
pub(super) fn is_said(holder: Handle, read: &Read, here: &Here<'_>) -> bool {
    (KIND.mode)(here.site, &read.zone).is_some() && outside(holder, read, here).is_some()
}

impl Rule for OutOfZone {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Trail(event) = seen {
            let least = here.site.rules.out_of_zone.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least;
            let outside = outside(event.holder, event.read(), here);
            self.findings.judge(event.read().position, outside, least, here);
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.findings.fire(here);
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.findings.next_due()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.findings.stop(here);
    }
}

fn outside(holder: Handle, read: &Read, here: &Here<'_>) -> Option<Outside> {
    let duty = here.statements.duty(here.site, &holder, read.at)?;
    if duty.roles.iter().any(|role| role.zones.contains(&read.zone)) {
        return None;
    }
    Some(Outside {
        holder,
        role: duty.roles.first().map(|role| role.role.clone())?,
        reader: read.reader.clone(),
        at: read.at,
        position: read.position,
        refused: read.access == Access::Denied,
        age: duty.age,
    })
}

impl Finding for Outside {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let (headline, think) = match self.refused {
            false => (
                "a credential was used where its holder may not be",
                "Its holder, or whoever has it, went where the holder's role has no business.",
            ),
            true => (
                "a credential was tried where its holder may not be",
                "Its holder, or whoever has it, tried a door that is not for them.",
            ),
        };
        let mut draft = Draft::new(Phrase::words(headline), Phrase::words(think), PRIOR, self.at);
        draft.until = Some(self.at);
        draft.severity = if self.refused { Severity::Minor } else { Severity::Moderate };
        draft.urgency = Urgency::Expected;
        draft.answer_within = Some(Duration::from_secs(600));
        let said = if self.refused { "a credential, refused" } else { "a credential" }.to_string();
        draft.said(here, &self.reader, &[self.position], Phrase::words(said), worth(self.age));
        let refused = if self.refused { " It was refused." } else { "" };
        draft.facts = vec![Phrase::words(format!(
            "By the roster its holder is {} {}, who may not be at {}.{refused}",
            article(&self.role),
            self.role,
            here.zone.name
        ))];
        draft.act(
            FieldClass::Public,
            Phrase::words("Ask what the holder does there."),
            Phrase::words("Ask what the holder does there; if it is in order, have the roster corrected."),
        );
        draft.subjects.push(holder_as_subject("person.holder", self.holder, vec![self.reader.clone()]));
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("the holder has leave that the roster does not show yet"),
            probability: not,
        });
        draft
    }
}

fn article(word: &str) -> &'static str {
    match word.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'E' | 'I' | 'O' | 'U') => "an",
        _ => "a",
    }
}
