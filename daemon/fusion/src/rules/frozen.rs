//! A measure that repeats itself to the last digit while others show that it should change.
//!
//! A live gauge is noisy: one that says the same again and again, exactly, sends an old value. But in calm water loads stand
//! still, and a coarse scale repeats itself; so a repeat counts only while a gauge beside it moves, and for as much as this
//! gauge seldom did so before. A scale has no gauge beside it: that vehicle after vehicle weighs the same is enough. Zero is
//! no repeat: a slack line has no load, and calm air no speed.

use super::{Here, Signal};
use crate::{
    bounds::MOST_WEIGHT,
    evidence::{Draft, Life, logit},
    health::Change,
    passages::Passage,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format, vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, Position, SensorId, WallTime,
    site::Role,
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

/// Gauges that have others of their kind beside them.
pub(super) const GAUGES: [Role; 2] = [Role::MooringLoad, Role::WindSpeed];

/// What is known of each gauge and scale of a zone: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Frozen {
    gauges: BTreeMap<SensorId, Gauge>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Gauge {
    role: Role,
    value: f64,
    /// The first word that said so.
    since: WallTime,
    position: Position,
    /// How often it said so again, while these moved.
    repeats: u32,
    by: BTreeSet<SensorId>,
    /// Log-odds that it is frozen.
    frozen: f64,
    /// Who has moved since its last word.
    moved: BTreeSet<SensorId>,
    /// How often it repeated itself and changed while others moved, fading.
    repeated: f64,
    changed: f64,
    life: Life,
}

/// A gauge freezes once in a few thousand hours: before any evidence.
const USUALLY: f64 = 0.001;
/// And of the gauges of a port one in a hundred has, at any time.
const AT_ANY_TIME: f64 = 0.01;
/// What it adds that others moved, at most.
const MOST_OF_OTHERS: f64 = 3.5;
/// Until it is known better a gauge repeats itself in every other word; that counts like so many words.
const REPEATS: (f64, f64) = (0.5, 10.0);
/// Two vehicles weigh the same to the last division once in fifty: a fleet's empty trucks.
const SAME_MASS: f64 = 0.02;
/// Beside it another has moved if it changed by this share.
const MOVES: f64 = 0.01;
/// What a gauge did so many words ago counts half.
const REMEMBERS: f64 = 500.0;
/// A gauge that is frozen does not teach how often it repeats itself: no more than so many words of a run do.
const TEACHES: u32 = 12;

impl Frozen {
    /// A gauge said something.
    pub(super) fn hear(&mut self, signal: &Signal<'_>, least: f64, here: &mut Here<'_>) {
        let Change::Measured(value) = signal.change else { return };
        let role = signal.spec.role;
        let word = (signal.at, signal.position);
        let Some(gauge) = self.gauge(signal.sensor, role, value, word) else { return };
        if gauge.value != value {
            let moved = libm::fabs(value - gauge.value) >= MOVES * libm::fabs(gauge.value);
            self.changes(signal.sensor, value, word, here);
            let beside =
                self.gauges.iter_mut().filter(|(id, gauge)| moved && *id != signal.sensor && gauge.role == role);
            beside.for_each(|(_, gauge)| {
                gauge.moved.insert(signal.sensor.clone());
            });
            return;
        }
        let by = core::mem::take(&mut gauge.moved);
        if value == 0.0 || by.is_empty() {
            return;
        }
        let usual = (gauge.repeated + REPEATS.0 * REPEATS.1) / (gauge.repeated + gauge.changed + REPEATS.1);
        if gauge.repeats < TEACHES {
            (gauge.repeated, gauge.changed) = (fade(gauge.repeated) + 1.0, fade(gauge.changed));
        }
        self.repeat(signal.sensor, usual, by, least, here);
    }

    /// A vehicle was weighed.
    pub(super) fn weigh(&mut self, passage: &Passage, least: f64, here: &mut Here<'_>) {
        let (Some(mass), Some(exit)) = (&passage.mass, &passage.exit) else { return };
        let word = (passage.crossed, mass.position);
        let Some(gauge) = self.gauge(&mass.sensor, Role::WeightGross, mass.kg, word) else { return };
        if gauge.value == mass.kg {
            let by = BTreeSet::from([exit.sensor.clone()]);
            self.repeat(&mass.sensor, SAME_MASS, by, least, here);
        } else {
            self.changes(&mass.sensor, mass.kg, word, here);
        }
    }

    pub(super) fn stop(&mut self, here: &mut Here<'_>) {
        for (sensor, mut gauge) in core::mem::take(&mut self.gauges) {
            let draft = draft(&sensor, &gauge, here);
            gauge.life.give_up(here, draft);
        }
    }

    /// A gauge that has spoken before; one that has not is noted.
    fn gauge(&mut self, sensor: &SensorId, role: Role, value: f64, word: (WallTime, Position)) -> Option<&mut Gauge> {
        if !self.gauges.contains_key(sensor) {
            self.gauges.insert(
                sensor.clone(),
                Gauge {
                    role,
                    value,
                    since: word.0,
                    position: word.1,
                    repeats: 0,
                    by: BTreeSet::new(),
                    frozen: logit(USUALLY),
                    moved: BTreeSet::new(),
                    repeated: 0.0,
                    changed: 0.0,
                    life: Life::default(),
                },
            );
            return None;
        }
        self.gauges.get_mut(sensor)
    }

    fn repeat(&mut self, sensor: &SensorId, usual: f64, by: BTreeSet<SensorId>, least: f64, here: &mut Here<'_>) {
        let Some(gauge) = self.gauges.get_mut(sensor) else { return };
        gauge.repeats += 1;
        gauge.by.extend(by);
        gauge.frozen -= libm::log(usual.clamp(0.01, 0.99));
        if !gauge.life.is_open() && gauge.frozen >= logit(least) {
            let draft = draft(sensor, gauge, here);
            let first = gauge.position;
            gauge.life.say_of(here, &format!("{}/{sensor}/same", here.rule.kind), first, draft);
        }
    }

    fn changes(&mut self, sensor: &SensorId, value: f64, (at, position): (WallTime, Position), here: &mut Here<'_>) {
        let Some(gauge) = self.gauges.get_mut(sensor) else { return };
        if gauge.life.is_open() {
            let mut draft = draft(sensor, gauge, here);
            draft.until = Some(at);
            draft.facts.push(Phrase::words(format!("Sensor {sensor} changes again.")));
            draft.actions.clear();
            gauge.life.end(here, Phase::Closed, draft);
        }
        (gauge.repeated, gauge.changed) = (fade(gauge.repeated), fade(gauge.changed) + 1.0);
        (gauge.value, gauge.since, gauge.position) = (value, at, position);
        (gauge.repeats, gauge.frozen) = (0, logit(USUALLY));
        gauge.by.clear();
        gauge.moved.clear();
    }
}

fn fade(count: f64) -> f64 {
    count * (1.0 - 0.7 / REMEMBERS)
}

fn draft(sensor: &SensorId, gauge: &Gauge, here: &Here<'_>) -> Draft {
    let mut draft = Draft::new(
        Phrase::words("a sensor says the same again and again"),
        Phrase::words("It has frozen: what it says is old."),
        AT_ANY_TIME,
        gauge.since,
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    let all = gauge.frozen - logit(USUALLY);
    let said = Phrase::words(format!("the same to the last digit, {} times", gauge.repeats + 1));
    draft.said(here, sensor, &[gauge.position], said, all);
    let share = (all - MOST_WEIGHT).clamp(0.0, MOST_OF_OTHERS) / gauge.by.len().max(1) as f64;
    let (moved, why) = match gauge.role {
        Role::WeightGross => (format!("{} vehicles", gauge.repeats + 1), "of one vehicle after another"),
        _ => ("moved meanwhile".into(), "while others beside it moved"),
    };
    for other in &gauge.by {
        draft.said(here, other, &[], Phrase::words(moved.clone()), share);
    }
    draft.facts = vec![
        Phrase::words(format!("Sensor {sensor} has said the same to the last digit {why}"))
            .detail(FieldClass::Method, Phrase::words(" since ").at(gauge.since))
            .then("."),
    ];
    draft.act(
        FieldClass::Public,
        Phrase::words("Look at the sensor."),
        Phrase::words("Look at the sensor and what reads it out; do not go by its word until then."),
    );
    let other = match gauge.role {
        Role::WeightGross => "vehicles that weigh the same",
        _ => "nothing moved where it measures",
    };
    draft.alternatives = vec![Alternative { text: Phrase::words(other), probability: 1.0 - draft.probability() }];
    draft
}
