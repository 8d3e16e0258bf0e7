//! Sensor silent: a sensor stopped saying what it should, or said why it cannot.
//!
//! Silence is an event. It is said per sensor, once, and ends when the sensor speaks again.

use super::{Here, Kind, Look, Rule, Seen};
use crate::evidence::{Draft, Life};
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
};

/// Which of the zone's sensors are silent. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorSilent {
    lives: BTreeMap<SensorId, (Position, Life)>,
}

impl Rule for SensorSilent {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Reading(signal) = seen {
            self.judge(signal.sensor, signal.position, here);
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let due: vec::Vec<SensorId> = here
            .site
            .sensors_of(here.zone_id)
            .filter(|(id, _)| due_at(&here.look(), id).is_some_and(|at| at <= here.now) && !self.is_said(id))
            .map(|(id, _)| id.clone())
            .collect();
        for sensor in due {
            self.judge(&sensor, Position(0), here);
        }
    }

    fn next_due(&self, look: &Look<'_>) -> Option<GatewayTime> {
        let quiet = look.site.sensors_of(look.zone_id).filter(|(id, _)| !self.is_said(id));
        quiet.filter_map(|(id, _)| due_at(look, id)).min()
    }
}

impl SensorSilent {
    fn is_said(&self, sensor: &SensorId) -> bool {
        self.lives.get(sensor).is_some_and(|(_, life)| life.is_open())
    }

    fn judge(&mut self, sensor: &SensorId, position: Position, here: &mut Here<'_>) {
        let Some(memory) = here.sensors.get(sensor) else { return };
        let rhythm_broken = due_at(&here.look(), sensor).is_some_and(|at| at <= here.now);
        let trouble = memory.trouble.map(|(why, since, first)| (why, since, Some(first)));
        let since = memory.heard.unwrap_or(memory.expected_from);
        let found = trouble.or_else(|| rhythm_broken.then_some((NoData::Silent, since, None)));
        match found {
            Some((why, since, first)) => {
                let (opened, life) = self.lives.entry(sensor.clone()).or_default();
                if !life.is_open() {
                    // A silence has no record of its own: it is named by the last thing that was heard before it.
                    *opened = first.unwrap_or(Position(since.0));
                }
                let draft = draft(here, sensor, why, since, first);
                life.say(here, *opened, draft);
            }
            None => {
                if let Some((_, mut life)) = self.lives.remove(sensor) {
                    let since = here.now;
                    let mut draft = draft(here, sensor, NoData::Silent, since, Some(position));
                    draft.headline = Phrase::words("a sensor speaks again");
                    draft.facts = vec![Phrase::words(format!("Sensor {sensor} speaks again."))];
                    draft.until = Some(here.wall(here.now));
                    life.end(here, Phase::Closed, draft);
                }
            }
        }
    }
}

fn due_at(look: &Look<'_>, sensor: &SensorId) -> Option<GatewayTime> {
    let periods = look.site.rules.sensor_silent.as_ref().map_or(2, |rule| rule.settings.periods);
    let memory = look.sensors.get(sensor).filter(|memory| memory.trouble.is_none())?;
    memory.silent_at(look.site.sensors.get(sensor)?, periods)
}

fn draft(here: &Here<'_>, sensor: &SensorId, why: NoData, since: GatewayTime, first: Option<Position>) -> Draft {
    let words = match why {
        NoData::Silent => "has stopped speaking",
        NoData::Disconnected => "cannot be heard: its line is down",
        NoData::Timeout => "does not answer",
        NoData::Exception(_) => "answers with an exception",
        NoData::BadValue => "says that it cannot see, or says what cannot be",
        NoData::Overload(_) => "says more than can be kept",
        NoData::Tampered => "reports tampering",
        NoData::Maintenance => "is out of service",
    };
    let mut draft = Draft::new(
        Phrase::words("a sensor is silent; part of this place is not watched"),
        Phrase::words("What this sensor would have seen is unknown."),
        0.05,
        here.wall(since),
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    let said = Phrase::words(words);
    match first {
        Some(position) => draft.said(here, sensor, &[position], said, 5.0),
        None => draft.absent(here, sensor, said, 5.0),
    }
    draft.facts = vec![
        Phrase::words(format!("Sensor {sensor} {words}"))
            .detail(FieldClass::Method, Phrase::words(" since ").at(here.wall(since)))
            .then("."),
    ];
    draft.act(FieldClass::Public, Phrase::words("Have the sensor looked at; watch the place by other means until then."));
    draft
}
