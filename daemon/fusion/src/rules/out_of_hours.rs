//! Out of hours: a credential was used outside all of its holder's shifts, with some grace before and after.
//!
//! Like out of zone it is a table, and worth what the roster is worth. Who only leaves, some time after the shift, has
//! worked late: that is not told.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
    out_of_zone::{PRIOR, worth},
    pass_back::spell,
};
use crate::{
    evidence::Draft,
    trails::{Access, Read, TrailEvent, holder_as_subject},
};
use alloc::{format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    site::Direction,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.out-of-hours",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.out_of_hours.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// What was found at one zone's readers lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OutOfHours {
    findings: Findings<OffDuty>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct OffDuty {
    holder: Handle,
    reader: SensorId,
    at: WallTime,
    position: Position,
    refused: bool,
    /// The nearest shift: it ended so many seconds before, or (negative) begins so many after.
    shift_ended: f64,
    /// A way out, by somebody whose shift ended not long ago.
    leaves: bool,
    age: f64,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Who leaves this long after the shift may have worked late.
const LATE: f64 = 4.0 * 3600.0;
/// That people work late is everyday; that they are somewhere without a shift is not.
const LEAVES: f64 = -4.5;

impl Rule for OutOfHours {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Trail(event) = seen {
            let off_duty = off_duty(event, here);
            self.findings.judge(event.read().position, off_duty, LEAST, here);
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

fn off_duty(event: &TrailEvent<'_>, here: &Here<'_>) -> Option<OffDuty> {
    let settings = here.site.rules.out_of_hours.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let read: &Read = event.read();
    let duty = here.statements.duty(here.site, &event.holder, read.at)?;
    // A role without shifts is on duty at any time.
    if duty.roles.iter().any(|role| role.shifts.is_empty()) {
        return None;
    }
    let grace = settings.grace.max(read.slack).as_secs_f64();
    let seconds = |from: WallTime, to: WallTime| to.0.saturating_sub(from.0) as f64 / 1e9;
    let shifts = duty.roles.iter().flat_map(|role| &role.shifts);
    let away = shifts.map(|shift| match read.at < shift.from {
        true => -seconds(read.at, shift.from),
        false => seconds(shift.until, read.at).max(0.0),
    });
    let nearest = away.min_by(|one, other| libm::fabs(*one).total_cmp(&libm::fabs(*other)))?;
    if libm::fabs(nearest) <= grace {
        return None;
    }
    Some(OffDuty {
        holder: event.holder,
        reader: read.reader.clone(),
        at: read.at,
        position: read.position,
        refused: read.access == Access::Denied,
        shift_ended: nearest,
        leaves: read.leads == Some(Direction::Out) && (0.0..LATE).contains(&nearest),
        age: duty.age,
    })
}

impl Finding for OffDuty {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let (headline, think) = match self.refused {
            false => (
                "a credential was used outside its holder's shift",
                "Its holder, or whoever has it, is here at a time the holder has no duty.",
            ),
            true => (
                "a credential was tried outside its holder's shift",
                "Its holder, or whoever has it, tried to come in at a time the holder has no duty.",
            ),
        };
        let mut draft = Draft::new(Phrase::words(headline), Phrase::words(think), PRIOR, self.at);
        draft.until = Some(self.at);
        draft.severity = if self.refused { Severity::Minor } else { Severity::Moderate };
        draft.urgency = Urgency::Expected;
        draft.answer_within = Some(Duration::from_secs(600));
        let weight = worth(self.age) + if self.leaves { LEAVES } else { 0.0 };
        let said = if self.refused { "a credential, refused" } else { "a credential" };
        draft.said(here, &self.reader, &[self.position], Phrase::words(said), weight);
        let away = spell(libm::fabs(self.shift_ended));
        draft.facts = vec![Phrase::words(match self.shift_ended < 0.0 {
            true => format!("By the roster its holder's next shift begins {away} later."),
            false => format!("By the roster its holder's shift ended {away} before."),
        })];
        draft.act(
            FieldClass::Public,
            Phrase::words("Ask why the holder is here now."),
            Phrase::words("Ask why the holder is here now; if it is in order, have the roster corrected."),
        );
        draft.subjects.push(holder_as_subject("person.holder", self.holder, vec![self.reader.clone()]));
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("a swapped shift or overtime that the roster does not show yet"),
            probability: not,
        });
        draft
    }
}
