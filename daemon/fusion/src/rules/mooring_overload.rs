//! Mooring overload: a line nears what it may carry.
//!
//! Two ways to be near: a load above the share of the breaking load that the site set, or a trend that would get there within
//! the time it takes to call line handlers. The trend is a straight line through the last loads; it counts for less than a
//! load, because a gust makes a trend too.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    bounds::LOADS_PER_SENSOR,
    evidence::{Draft, Life},
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    format, vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Reading, SensorId, WallTime,
    site::{Role, ZoneKind, rules},
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "mooring.overload",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Berth | ZoneKind::Quay),
    mode: |site, zone| site.rules.mooring_overload.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// What is remembered of one berth's lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MooringOverload {
    lines: BTreeMap<SensorId, Line>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Line {
    /// When, how much in newtons; newest last.
    loads: VecDeque<(GatewayTime, f64)>,
    last: Option<(WallTime, Position)>,
    since: Option<(WallTime, Position)>,
    life: Life,
}

impl Rule for MooringOverload {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        if signal.spec.role != Role::MooringLoad || !matches!(signal.reading, Reading::Measure(_)) {
            return;
        }
        let value = here.sensors.get(signal.sensor).and_then(|memory| memory.value);
        let Some((load, _)) = value.filter(|(_, at)| *at == here.now) else { return };
        let Some(settings) = here.site.rules.mooring_overload.as_ref().map(|rule| rule.settings.clone()) else { return };
        let line = self.lines.entry(signal.sensor.clone()).or_default();
        if line.loads.len() == LOADS_PER_SENSOR {
            line.loads.pop_front();
        }
        line.loads.push_back((here.now, load));
        line.last = Some((signal.at, signal.position));
        line.judge(signal.sensor, &settings, here);
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }
}

/// A line that fell this share of its breaking load below the warning is no longer near it.
const RELEASED: f64 = 0.05;

impl Line {
    fn judge(&mut self, sensor: &SensorId, settings: &rules::MooringOverload, here: &mut Here<'_>) {
        let (Some((now, load)), Some(last)) = (self.loads.back().copied(), self.last) else { return };
        let breaking = settings.breaking_load_kn * 1000.0;
        let share = load / breaking;
        let warned = settings.warn_share * breaking;
        let reached_in = self.slope().filter(|slope| *slope > 0.0).map(|slope| (warned - load) / slope);
        let soon = reached_in.is_some_and(|seconds| seconds <= settings.ahead.as_secs_f64());
        if share < settings.warn_share - RELEASED && !soon {
            if self.life.is_open() {
                let since = self.since.map_or(last.0, |since| since.0);
                let mut draft = draft(here, sensor, settings, share, None, since, last.1);
                draft.until = Some(here.wall(now));
                self.life.end(here, Phase::Closed, draft);
            }
            self.since = None;
            return;
        }
        if share < settings.warn_share && !soon && !self.life.is_open() {
            return;
        }
        let (since, first) = *self.since.get_or_insert(last);
        let trend = reached_in.filter(|_| share < settings.warn_share && soon);
        let draft = draft(here, sensor, settings, share, trend, since, last.1);
        self.life.say(here, first, draft);
    }

    /// Newtons per second, by least squares over the loads kept; `None` with fewer than eight.
    fn slope(&self) -> Option<f64> {
        if self.loads.len() < 8 {
            return None;
        }
        let (begin, _) = *self.loads.front()?;
        let count = self.loads.len() as f64;
        let seconds = |at: GatewayTime| at.since(begin).as_secs_f64();
        let mean_time = self.loads.iter().map(|(at, _)| seconds(*at)).sum::<f64>() / count;
        let mean_load = self.loads.iter().map(|(_, load)| load).sum::<f64>() / count;
        let (mut over, mut under) = (0.0, 0.0);
        for (at, load) in &self.loads {
            let away = seconds(*at) - mean_time;
            over += away * (load - mean_load);
            under += away * away;
        }
        (under > 0.0).then(|| over / under)
    }
}

fn draft(
    here: &Here<'_>,
    sensor: &SensorId,
    settings: &rules::MooringOverload,
    share: f64,
    reached_in: Option<f64>,
    since: WallTime,
    position: Position,
) -> Draft {
    let percent = 100.0 * share;
    let headline = match reached_in {
        None => format!("a mooring line carries {percent:.0} % of its breaking load"),
        Some(_) => format!("the load on a mooring line rises towards its limit ({percent:.0} %)"),
    };
    let mut draft =
        Draft::new(Phrase::words(headline), Phrase::words("The line may part if the load keeps up."), 0.02, since);
    draft.severity = if share >= settings.warn_share { Severity::Severe } else { Severity::Moderate };
    draft.urgency = if share >= settings.warn_share { Urgency::Immediate } else { Urgency::Expected };
    draft.answer_within = Some(Duration::from_secs(300));
    // At the warning share the load alone makes it likely; five percent more leave little doubt.
    let weight = 5.0 + (share - settings.warn_share) / 0.05;
    let said = Phrase::words(format!("{percent:.0} % of the breaking load"));
    match reached_in {
        None => draft.said(here, sensor, &[position], said, weight),
        Some(seconds) => {
            let minutes = seconds / 60.0;
            let said = said.then(format!(", at the limit in {minutes:.0} min if it goes on"));
            draft.said(here, sensor, &[position], said, 4.5);
        }
    }
    let load = share * settings.breaking_load_kn;
    draft.facts = vec![
        Phrase::words(format!("A line at {} carries {percent:.0} % of its breaking load", here.zone.name))
            .detail(FieldClass::Method, Phrase::words(format!(", {load:.0} kN of {:.0} kN", settings.breaking_load_kn)))
            .then("."),
    ];
    for (wind, spec) in here.site.sensors.iter().filter(|(_, spec)| spec.role == Role::WindSpeed) {
        let value = here.sensors.get(wind).and_then(|memory| memory.value).filter(|_| here.health(wind).is_healthy());
        if let Some((speed, _)) = value {
            // Wind force grows with the square of its speed: strong wind makes a high load likelier to be real.
            let weight = if speed >= 10.0 { 0.8 } else { -0.3 };
            draft.said(here, wind, &[], Phrase::words(format!("wind {speed:.0} m/s")), weight);
            let zone = here.site.zones.get(&spec.zone).map_or("", |zone| zone.name.as_str());
            draft.facts.push(Phrase::words(format!("Wind {speed:.0} m/s at {zone}.")));
            break;
        }
    }
    draft.act(FieldClass::Public, Phrase::words("Keep people clear of the line's snap-back zone; call line handlers and the ship."));
    draft.alternatives = vec![Alternative {
        text: Phrase::words("the load cell drifts or the hook is jammed"),
        probability: 1.0 - draft.probability(),
    }];
    draft.note_missing(here, &[Role::MooringLoad, Role::WindSpeed]);
    draft
}
