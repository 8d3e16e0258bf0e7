//! First time in a zone: a credential is where, at this hour of the day, it never was before.
//!
//! Per holder, zone and hour the visits are a Poisson process whose rate is learned (a Gamma prior of half a visit); how
//! surprising a visit is is how improbable one was on such a day. It only ranks: new work, a swapped shift and a first day
//! look the same, so it is never more than possible.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
};
use crate::{
    bounds::HABITS_PER_ZONE,
    evidence::Draft,
    trails::{TrailEvent, holder_as_subject},
};
use alloc::{collections::BTreeMap, format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.first-time-zone",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.first_time_zone.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// Who was in one zone at which hours.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FirstTimeZone {
    /// At the bound the longest unseen goes.
    habits: BTreeMap<Handle, Habit>,
    findings: Findings<New>,
}

/// One holder's visits by hour of the local day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Habit {
    hours: [u16; 24],
    last: WallTime,
    /// When the counts were last halved, so that what is older than the history weighs ever less.
    halved: WallTime,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct New {
    holder: Handle,
    reader: SensorId,
    at: WallTime,
    position: Position,
    /// Days the holder has been known for, as far as is looked back.
    days: f64,
    visits: u32,
    hour: usize,
}

/// A surprise is put out from this probability on, and can never reach one half: logit(0.02) + 3.0 is -0.9.
const LEAST: f64 = 0.1;
const PRIOR: f64 = 0.02;
const MOST_SURPRISE: f64 = 3.0;
/// Visits that a Gamma prior expects where none were seen (Jeffreys).
const EXPECTED: f64 = 0.5;
const DAY: f64 = 86_400.0;

impl Rule for FirstTimeZone {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Trail(event) = seen else { return };
        if !event.again && event.read().went_through() {
            let new = self.visit(event, here);
            self.findings.judge(event.read().position, new, LEAST, here);
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

impl FirstTimeZone {
    /// Counts a visit; gives it if there was none like it.
    fn visit(&mut self, event: &TrailEvent<'_>, here: &Here<'_>) -> Option<New> {
        let settings = here.site.rules.first_time_zone.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
        let read = event.read();
        if !self.habits.contains_key(&event.holder)
            && self.habits.len() == HABITS_PER_ZONE
            && let Some(longest_unseen) = self.habits.iter().min_by_key(|(_, habit)| habit.last).map(|(it, _)| *it)
        {
            self.habits.remove(&longest_unseen);
        }
        let new_here = Habit { halved: read.at, ..Habit::default() };
        let habit = self.habits.entry(event.holder).or_insert(new_here);
        habit.forget(read.at, settings.history);
        let hour = usize::from(here.local_minute(read.at) / 60) % 24;
        // Who comes at five to eight also comes at five past.
        let around = [hour + 23, hour, hour + 1].map(|hour| habit.hours[hour % 24]);
        habit.hours[hour] = habit.hours[hour].saturating_add(1);
        habit.last = habit.last.max(read.at);
        let known_for = read.at.0.saturating_sub(event.trail.since.0).max(0) as f64 / 1e9;
        let visits = event.trail.visits;
        (around == [0; 3] && visits > settings.least_visits).then(|| New {
            holder: event.holder,
            reader: read.reader.clone(),
            at: read.at,
            position: read.position,
            days: known_for.min(settings.history.as_secs_f64()) / DAY,
            visits,
            hour,
        })
    }
}

impl Habit {
    fn forget(&mut self, now: WallTime, history: Duration) {
        while history > Duration::ZERO && self.halved.after(history) <= now {
            self.halved = self.halved.after(history);
            self.hours.iter_mut().for_each(|visits| *visits /= 2);
            // After a long absence nothing is left to halve.
            if self.hours == [0; 24] {
                self.halved = now;
            }
        }
    }
}

impl Finding for New {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("a credential is here at an hour it never was before"),
            Phrase::words("It may be nothing: new work or a swapped shift. It matters beside other findings."),
            PRIOR,
            self.at,
        );
        draft.until = Some(self.at);
        draft.severity = Severity::Minor;
        draft.urgency = Urgency::Past;
        // The predictive probability of a visit on such a day, from a Gamma-Poisson rate with no visit so far.
        let visit = 1.0 - libm::pow((self.days + 1.0) / (self.days + 2.0), EXPECTED);
        let surprise = (-libm::log(visit.max(1e-9))).min(MOST_SURPRISE);
        let said = format!("the first visit between {:02}:00 and {:02}:00", self.hour, (self.hour + 1) % 24);
        draft.said(here, &self.reader, &[self.position], Phrase::words(said), surprise);
        draft.facts = vec![Phrase::words(format!(
            "In {} reads over {:.0} days the credential was never at {} around this hour.",
            self.visits - 1,
            self.days,
            here.zone.name
        ))];
        draft.subjects.push(holder_as_subject("person.holder", self.holder, vec![self.reader.clone()]));
        draft.act(
            FieldClass::Public,
            Phrase::words("Nothing to do by itself."),
            Phrase::words("Nothing to do by itself; keep it in mind if something else is said of the same holder."),
        );
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative { text: Phrase::words("new work or a swapped shift"), probability: not });
        draft
    }
}
