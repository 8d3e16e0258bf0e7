//! Mooring overload: a line nears what it may carry.
//!
//! Two ways to be near: a load above the share of the breaking load that the site set, or a trend that would get there within
//! the time it takes to call line handlers. A ship surges on her lines with periods of half a minute to two minutes, and a
//! gust makes a trend too: so the trend is a straight line through the means of equal parts of that same time, it must stand
//! out from the scatter about it, and it counts for less than a load.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    bounds::LOADS_PER_SENSOR,
    evidence::{Draft, Life},
    health::Change,
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    format, vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    site::{Role, ZoneKind, rules},
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "mooring.overload",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Berth | ZoneKind::Quay),
    mode: |site, zone| site.rules.mooring_overload.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |role| role == Role::MooringLoad,
    follows: &[],
};

/// What is remembered of one berth's lines. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MooringOverload {
    lines: BTreeMap<SensorId, Line>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Line {
    /// Mean loads of equal parts of the time looked ahead, newest last.
    means: VecDeque<Mean>,
    last: Option<(WallTime, Position, f64)>,
    since: Option<(WallTime, Position)>,
    life: Life,
}

/// The mean of some loads in newtons.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Mean {
    began: GatewayTime,
    sum: f64,
    count: u32,
}

/// A line that fell this share of its breaking load below the warning is no longer near it.
const RELEASED: f64 = 0.05;
/// Means that make a trend: a quarter of the time looked ahead.
const LEAST_MEANS: usize = LOADS_PER_SENSOR / 4;
/// How many times its standard error a slope must be. Loads of a surging ship hang together, so more than statistics asks.
const STANDS_OUT: f64 = 6.0;
/// A trend is believed from this share of the warning load on: below it a slack line is being tightened.
const TAUT: f64 = 0.5;

impl Rule for MooringOverload {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        let (Role::MooringLoad, Change::Measured(load)) = (signal.spec.role, signal.change) else { return };
        let Some(settings) = here.site.rules.mooring_overload.as_ref().map(|rule| rule.settings.clone()) else { return };
        let line = self.lines.entry(signal.sensor.clone()).or_default();
        line.last = Some((signal.at, signal.position, load));
        line.take(here.now, load, settings.ahead);
        line.judge(signal.sensor, &settings, here);
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        let Some(settings) = here.site.rules.mooring_overload.as_ref().map(|rule| rule.settings.clone()) else { return };
        for (sensor, mut line) in core::mem::take(&mut self.lines) {
            if let (Some((_, position, load)), Some((since, _))) = (line.last, line.since) {
                let near = Near { sensor: &sensor, settings: &settings, load, reached_in: None, since, position };
                let draft = near.draft(here);
                line.life.give_up(here, draft);
            }
        }
    }
}

impl Line {
    fn take(&mut self, now: GatewayTime, load: f64, ahead: Duration) {
        let part = ahead / LOADS_PER_SENSOR as u32;
        self.means.retain(|mean| now.since(mean.began) <= ahead);
        match self.means.back_mut().filter(|mean| now.since(mean.began) < part) {
            Some(mean) => {
                mean.sum += load;
                mean.count = mean.count.saturating_add(1);
            }
            None => {
                if self.means.len() == LOADS_PER_SENSOR {
                    self.means.pop_front();
                }
                self.means.push_back(Mean { began: now, sum: load, count: 1 });
            }
        }
    }

    fn judge(&mut self, sensor: &SensorId, settings: &rules::MooringOverload, here: &mut Here<'_>) {
        let Some((at, position, load)) = self.last else { return };
        let breaking = settings.breaking_load_kn * 1000.0;
        let (share, warned) = (load / breaking, settings.warn_share * breaking);
        let reached_in = self.slope().filter(|_| load >= TAUT * warned).map(|slope| (warned - load) / slope);
        let soon = reached_in.is_some_and(|seconds| seconds <= settings.ahead.as_secs_f64());
        let trend = reached_in.filter(|_| share < settings.warn_share && soon);
        let near = |reached_in, since| Near { sensor, settings, load, reached_in, since, position };
        if share < settings.warn_share - RELEASED && !soon {
            if self.life.is_open() {
                let mut draft = near(None, self.since.map_or(at, |since| since.0)).draft(here);
                draft.until = Some(at);
                draft.actions.clear();
                self.life.end(here, Phase::Closed, draft);
            }
            self.since = None;
        } else if share >= settings.warn_share || soon || self.life.is_open() {
            let (since, first) = *self.since.get_or_insert((at, position));
            let draft = near(trend, since).draft(here);
            self.life.say(here, first, draft);
        }
    }

    /// Newtons per second by least squares over the means kept; `None` if there are too few, or if it does not rise clearly.
    fn slope(&self) -> Option<f64> {
        if self.means.len() < LEAST_MEANS {
            return None;
        }
        // A load that has passed its peak is not rising, whatever it did before.
        let of = |mean: &Mean| mean.sum / f64::from(mean.count);
        let newest = of(self.means.back()?);
        if self.means.iter().any(|mean| of(mean) > newest) {
            return None;
        }
        let begin = self.means.front()?.began;
        let points = || self.means.iter().map(|mean| (mean.began.since(begin).as_secs_f64(), of(mean)));
        let count = self.means.len() as f64;
        let mean_time = points().map(|(time, _)| time).sum::<f64>() / count;
        let mean_load = points().map(|(_, load)| load).sum::<f64>() / count;
        let (mut over, mut under) = (0.0, 0.0);
        for (time, load) in points() {
            over += (time - mean_time) * (load - mean_load);
            under += (time - mean_time) * (time - mean_time);
        }
        let slope = if under > 0.0 { over / under } else { return None };
        let off = |(time, load): (f64, f64)| load - mean_load - slope * (time - mean_time);
        let scatter = points().map(|point| off(point) * off(point)).sum::<f64>() / (count - 2.0);
        let error = libm::sqrt(scatter / under);
        (slope > 0.0 && slope > STANDS_OUT * error).then_some(slope)
    }
}

/// A line near its limit.
struct Near<'a> {
    sensor: &'a SensorId,
    settings: &'a rules::MooringOverload,
    load: f64,
    /// Seconds until the trend reaches the warning load, where that is what is said.
    reached_in: Option<f64>,
    since: WallTime,
    position: Position,
}

impl Near<'_> {
    fn draft(&self, here: &Here<'_>) -> Draft {
        let breaking = self.settings.breaking_load_kn;
        let share = self.load / 1000.0 / breaking;
        let percent = 100.0 * share;
        let minutes = self.reached_in.map(|seconds| libm::ceil(seconds / 60.0).max(1.0));
        let headline = match minutes {
            None => format!("a mooring line carries {percent:.0} % of its breaking load"),
            Some(minutes) => format!("the load on a mooring line rises; it may reach its limit in {minutes:.0} min"),
        };
        let mut draft = Draft::new(
            Phrase::words(headline),
            Phrase::words("The line may part if the load keeps up."),
            0.02,
            self.since,
        );
        let near = share >= self.settings.warn_share;
        draft.severity = if near { Severity::Severe } else { Severity::Moderate };
        draft.urgency = if near { Urgency::Immediate } else { Urgency::Expected };
        draft.answer_within = Some(Duration::from_secs(300));
        let said = Phrase::words(format!("{percent:.0} % of the breaking load"));
        match minutes {
            // At the warning share the load alone makes it likely; five percent more leave little doubt.
            None => {
                let weight = 5.0 + (share - self.settings.warn_share) / 0.05;
                draft.said(here, self.sensor, &[self.position], said, weight);
            }
            Some(minutes) => {
                let said = said.then(format!(", at the limit in {minutes:.0} min if it goes on"));
                draft.said(here, self.sensor, &[self.position], said, 4.5);
            }
        }
        let of = format!(", {:.0} kN of {breaking:.0} kN", self.load / 1000.0);
        draft.facts = vec![
            Phrase::words(format!("A line at {} carries {percent:.0} % of its breaking load", here.zone.name))
                .detail(FieldClass::Method, Phrase::words(of))
                .then("."),
        ];
        if let Some((speed, wind)) = here.wind() {
            // Wind force grows with the square of its speed: strong wind makes a high load likelier to be real.
            let weight = if speed >= 10.0 { 0.8 } else { -0.3 };
            draft.said(here, wind, &[], Phrase::words(format!("wind {speed:.0} m/s")), weight);
            draft.facts.push(Phrase::words(format!("Wind {speed:.0} m/s.")));
        }
        let clear = "Keep people clear of the line's snap-back zone";
        draft.act(
            FieldClass::Public,
            Phrase::words(format!("{clear}.")),
            Phrase::words(format!("{clear}; call line handlers and the ship.")),
        );
        draft.alternatives = vec![Alternative {
            text: Phrase::words("the load cell drifts or the hook is jammed"),
            probability: 1.0 - draft.probability(),
        }];
        draft.note_missing(here, &[Role::MooringLoad, Role::WindSpeed]);
        draft
    }
}
