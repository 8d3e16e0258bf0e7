//! Sensor drift: what a scale measures moves away from what is declared.
//!
//! A cumulative sum (Page, 1954) of how far each vehicle's mass is from its declared one, in deviations, less half a deviation
//! each time: one wrong load adds little, a scale that is off adds up. Its words stay worth something, because what it is off
//! by is taken away where masses are compared.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    residuals::{Residuals, masses},
};
use crate::{
    evidence::{Draft, Life},
    lane::LaneEvent,
};
use alloc::{collections::VecDeque, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    site::ZoneKind,
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.drift",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.sensor_drift.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// How a lane's scale measures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorDrift {
    residuals: Residuals,
    /// Sums of deviations up and down.
    up: f64,
    down: f64,
    /// The larger of them at its largest since then.
    peak: f64,
    /// The last vehicle was far off what the scale was off by before.
    wild: bool,
    /// Since when the larger of them grows.
    since: Option<WallTime>,
    scale: Option<SensorId>,
    /// What it is off by, in kilograms; once it is said, by how much it was at most.
    off_by: f64,
    /// The weighings it rests on, at most as many as one can read.
    weighings: VecDeque<Position>,
    life: Life,
}

/// A road weighbridge in order is good for one or two divisions of 20 kg, and drivers fill up: a deviation is not less.
const DEVIATION_KG: f64 = 60.0;
/// One vehicle counts for no more deviations than this: a wrong load is no drift.
const MOST: f64 = 2.5;
/// So much of a deviation each time is chance.
const CHANCE: f64 = 0.5;
const WEIGHINGS: usize = 8;
/// So many vehicles in a row within a deviation of their declared mass: a scale that is off by five shows that once in
/// many thousand times.
const RIGHT_AGAIN: usize = 3;
/// A scale that drifts does not jump this far between two vehicles.
const WILD_KG: f64 = 1000.0;

impl Rule for SensorDrift {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        let Some(mass) = passage.mass.as_ref().filter(|_| passage.last) else { return };
        let bias = self.residuals.bias();
        let Some((measured, declared)) = masses(passage, known, bias) else { return };
        let residual = measured - declared;
        self.residuals.note(residual);
        self.scale = Some(mass.sensor.clone());
        // A load that is far off what the scale was off by before is a wrong load, unless the next is off by the same.
        let wild = libm::fabs(residual - bias) > WILD_KG;
        let deviations = (residual / DEVIATION_KG).clamp(-MOST, MOST);
        let deviations = if wild && !core::mem::replace(&mut self.wild, wild) { 0.0 } else { deviations };
        self.wild = wild;
        self.up = (self.up + deviations - CHANCE).clamp(0.0, 4.0 * MOST);
        self.down = (self.down - deviations - CHANCE).clamp(0.0, 4.0 * MOST);
        self.peak = self.peak.max(self.up).max(self.down);
        if self.up == 0.0 && self.down == 0.0 {
            self.since = None;
            self.peak = 0.0;
            self.weighings.clear();
        } else if libm::fabs(deviations) > CHANCE {
            self.since.get_or_insert(passage.crossed);
            if self.weighings.len() == WEIGHINGS {
                self.weighings.pop_front();
            }
            self.weighings.push_back(mass.position);
        }
        let bias = self.residuals.bias();
        if !self.life.is_open() || libm::fabs(bias) > libm::fabs(self.off_by) {
            self.off_by = bias;
        }
        self.judge(here);
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        if let Some(draft) = self.draft(here) {
            self.life.give_up(here, draft);
        }
    }
}

impl SensorDrift {
    fn judge(&mut self, here: &mut Here<'_>) {
        let settings = here.site.rules.sensor_drift.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
        let sum = self.up.max(self.down);
        let Some(mut draft) = self.draft(here) else { return };
        // Somebody saw to it: sums would take a dozen vehicles more to fall.
        let right = self.residuals.last_within(RIGHT_AGAIN, DEVIATION_KG);
        if self.life.is_open() && (right || sum < 0.5 * settings.decided_at) {
            draft.until = Some(here.wall(here.now));
            draft.facts.push(Phrase::words("It measures right again."));
            draft.actions.clear();
            self.life.end(here, Phase::Closed, draft);
            (self.up, self.down, self.peak, self.since) = (0.0, 0.0, 0.0, None);
            self.weighings.clear();
        } else if !self.life.is_open()
            && sum > settings.decided_at
            && let Some(first) = self.weighings.front()
        {
            self.life.say(here, *first, draft);
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let scale = self.scale.as_ref()?;
        let which = if self.up > self.down { "too much" } else { "too little" };
        let mut draft = Draft::new(
            Phrase::words("a scale measures wrong"),
            Phrase::words("The scale is off by the same for several vehicles."),
            0.05,
            self.since.unwrap_or(here.wall(here.now)),
        );
        draft.severity = Severity::Minor;
        draft.urgency = Urgency::Expected;
        draft.answer_within = Some(Duration::from_secs(4 * 3600));
        // At five deviations in sum chance does this once in some thousand vehicles.
        let sum = self.peak;
        let positions: Vec<Position> = self.weighings.iter().copied().collect();
        let said = Phrase::words(format!("{} vehicles in a row {which}", positions.len()));
        draft.said(here, scale, &positions, said, 1.5 * sum);
        draft.facts = vec![
            Phrase::words(format!("Scale {scale} measures {which}"))
                .detail(FieldClass::Method, Phrase::words(format!(", about {:.0} kg", libm::fabs(self.off_by))))
                .then("."),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Have the scale looked at."),
            Phrase::words("Have the scale cleaned and set to zero; do not hold vehicles on its word alone."),
        );
        draft.alternatives = vec![Alternative {
            text: Phrase::words("several vehicles carried other loads than declared"),
            probability: 1.0 - draft.probability(),
        }];
        Some(draft)
    }
}
