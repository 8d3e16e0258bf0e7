//! Sensor silent: a sensor stopped saying what it should, or said why it cannot.
//!
//! Silence is an event. It is said per sensor, once, and ends when the sensor speaks again. What a sensor says of itself
//! counts at once; a line that reports a time-out or a value that cannot be has to go on doing so for a while, because single
//! ones are everyday on a serial bus.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    evidence::{Draft, Life},
    health::{Trouble, watches},
};
use alloc::{collections::BTreeMap, format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, NoData, Position, SensorId,
    situation::{Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.silent",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.sensor_silent.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[],
};

/// Which of the zone's sensors are silent. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorSilent {
    silent: BTreeMap<SensorId, Silent>,
    /// Nothing is due before this. What sensors say only puts it off, so it is found anew when it comes, not at each word.
    look_at: Option<GatewayTime>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Silent {
    why: NoData,
    since: GatewayTime,
    /// The record that said so; an end of rhythm has none.
    said_by: Option<Position>,
    life: Life,
}

/// A sensor without a rhythm must be in trouble this long: ten polls of a slow line, or a controller's restart.
const HOLDS: Duration = Duration::from_secs(10);

impl Rule for SensorSilent {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Reading(signal) = seen {
            let due = due_of(&here.look(), signal.number);
            if !self.silent.is_empty() || due.is_some_and(|at| at <= here.now) {
                self.judge(signal.sensor, here);
            }
            let due = due.filter(|_| !self.silent.contains_key(signal.sensor));
            if let Some(due) = due.filter(|due| self.look_at.is_none_or(|at| *due < at)) {
                self.look_at = Some(due);
            }
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let look = here.look();
        let sensors = look.sensors_here().map(|(id, _)| id);
        let due: vec::Vec<SensorId> = sensors
            .filter(|id| !self.silent.contains_key(*id) && due_at(&here.look(), id).is_some_and(|at| at <= here.now))
            .cloned()
            .collect();
        for sensor in due {
            self.judge(&sensor, here);
        }
        self.look_at = self.first_due(&here.look());
    }

    fn next_due(&self, look: &Look<'_>) -> Option<GatewayTime> {
        self.look_at.or_else(|| self.first_due(look))
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (sensor, mut silent) in core::mem::take(&mut self.silent) {
            let draft = draft(here, &sensor, &silent);
            silent.life.give_up(here, draft);
        }
    }
}

impl SensorSilent {
    fn first_due(&self, look: &Look<'_>) -> Option<GatewayTime> {
        let quiet = look.sensors_here().filter(|(id, _)| !self.silent.contains_key(*id));
        quiet.filter_map(|(id, _)| due_at(look, id)).min()
    }

    fn judge(&mut self, sensor: &SensorId, here: &mut Here<'_>) {
        let Some(memory) = here.sensors.get(sensor) else { return };
        if due_at(&here.look(), sensor).is_none_or(|at| at > here.now) {
            if here.health(sensor).is_healthy()
                && let Some(mut silent) = self.silent.remove(sensor)
            {
                let mut draft = draft(here, sensor, &silent);
                draft.headline = Phrase::words("a sensor speaks again");
                draft.facts.push(Phrase::words(format!("Sensor {sensor} speaks again.")));
                draft.assessment = Phrase::words("What it would have seen or measured in between is unknown.");
                draft.until = Some(here.wall(here.now));
                draft.actions.clear();
                silent.life.end(here, Phase::Closed, draft);
            }
            return;
        }
        let heard = memory.heard.map_or(memory.expected_from, |(heard, _)| heard.max(memory.expected_from));
        let (why, since, said_by) = match memory.trouble {
            Some(Trouble { why, since, position, .. }) => (why, since, Some(position)),
            None => (NoData::Silent, heard, None),
        };
        // A silence has no record of its own: it is named by the last one before it was found, and by the sensor.
        let what = format!("{}/{sensor}", KIND.kind);
        let first = here.position;
        let silent = self.silent.entry(sensor.clone()).or_insert(Silent { why, since, said_by, life: Life::default() });
        (silent.why, silent.said_by) = (why, said_by.or(silent.said_by));
        let draft = draft(here, sensor, silent);
        silent.life.say_of(here, &what, first, draft);
    }
}

/// When a sensor's silence becomes a finding.
fn due_at(look: &Look<'_>, sensor: &SensorId) -> Option<GatewayTime> {
    due_of(look, look.sensors.index.sensor(sensor)?)
}

fn due_of(look: &Look<'_>, number: usize) -> Option<GatewayTime> {
    let periods = look.site.rules.sensor_silent.as_ref().map_or(2, |rule| rule.settings.periods);
    let (memory, spec) = (look.sensors.memories.get(number)?, look.sensors.index.spec(number)?);
    match memory.trouble {
        Some(trouble) if trouble.own_word => Some(trouble.since),
        Some(trouble) => {
            let holds = spec.silent_after.map_or(HOLDS, |rhythm| rhythm.saturating_mul(periods.max(1)));
            Some(trouble.since.after(holds.min(HOLDS)))
        }
        None => memory.silent_at(spec, periods),
    }
}

fn draft(here: &Here<'_>, sensor: &SensorId, silent: &Silent) -> Draft {
    let heard = here.sensors.get(sensor).is_some_and(|memory| memory.heard.is_some());
    let (headline, words) = match silent.why {
        NoData::Silent if !heard => ("a sensor has not spoken yet", "has not spoken"),
        NoData::Silent => ("a sensor has stopped speaking", "has stopped speaking"),
        NoData::Disconnected => ("a sensor cannot be heard", "cannot be heard: its line is down"),
        NoData::Timeout => ("a sensor does not answer", "does not answer"),
        NoData::Exception(_) => ("a sensor does not answer", "answers with an exception"),
        NoData::BadValue => ("a sensor cannot be believed", "says what cannot be"),
        NoData::Overload(_) => ("a sensor says too much", "says more than can be kept"),
        NoData::Tampered => ("a sensor reports tampering", "reports tampering"),
        NoData::Maintenance => ("a sensor is out of service", "is out of service"),
        NoData::Blind => ("a sensor cannot see", "says that its view is covered"),
        NoData::Faulty => ("a sensor is broken", "says that it is broken"),
    };
    // That it did not speak is certain; that it could not is nearly so.
    let mut draft = Draft::new(
        Phrase::words(headline),
        Phrase::words("What it would have seen or measured is unknown from then on."),
        0.5,
        here.wall(silent.since),
    );
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    match silent.said_by {
        Some(position) => draft.said(here, sensor, &[position], Phrase::words(words), 5.0),
        None => draft.absent(here, sensor, Phrase::words(words), 5.0),
    }
    draft.facts = vec![
        Phrase::words(format!("Sensor {sensor} {words}"))
            .detail(FieldClass::Method, Phrase::words(" since ").at(here.wall(silent.since)))
            .then("."),
    ];
    let watched_here = here.site.sensors.get(sensor).is_some_and(|spec| watches(spec.role));
    if watched_here && !here.somebody_looks() {
        draft.severity = Severity::Moderate;
        draft.facts.push(Phrase::words("Nobody is looking here now."));
        draft.act(
            FieldClass::Public,
            Phrase::words("Nobody is looking here: send somebody."),
            Phrase::words("Watch the place by other means until the sensor has been looked at."),
        );
    } else {
        draft.severity = Severity::Minor;
        draft.act(
            FieldClass::Public,
            Phrase::words("Have the sensor looked at."),
            Phrase::words(match watched_here {
                true => "Have the sensor looked at; other sensors still watch this place.",
                false => "Have the sensor looked at.",
            }),
        );
    }
    draft
}
