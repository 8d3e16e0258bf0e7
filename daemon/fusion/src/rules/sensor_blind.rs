//! Sensor blind: a reader no longer reports what others prove was there.
//!
//! It answers and does not see: a covered lens, a lamp that is out, an aerial that was turned. Every vehicle that others read
//! and this one does not adds to the log-odds that it is blind, as much as its usual rate of misses says; one that it reads
//! ends it. A reader that is known to be silent or in trouble is not blind: that is said already.

use super::{Here, Kind, Look, Rule, Seen, Stream};
use crate::{
    bounds::MOST_WEIGHT,
    evidence::{Draft, Life, logit},
    identity::Known,
    lane::LaneEvent,
    passages::Passage,
};
use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.blind",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.sensor_blind.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What is known of each reader of the lane: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorBlind {
    readers: BTreeMap<SensorId, Reader>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reader {
    /// Vehicles that it read and did not read, fading.
    read: f64,
    missed: f64,
    /// Log-odds that it is blind.
    blind: f64,
    /// Vehicles in a row that it did not read, the first of them and the last.
    misses: u32,
    first: Option<(Position, WallTime)>,
    last: Position,
    life: Life,
}

/// Before any evidence a reader is blind once in a thousand.
const USUALLY: f64 = 0.001;
/// And of the readers of a port one in fifty is, at any time.
const AT_ANY_TIME: f64 = 0.02;
/// What it adds that others saw the vehicles, at most.
const MOST_OF_OTHERS: f64 = 3.5;
/// A blind reader reports a vehicle all the same: it is not quite blind.
const SEES_ALL_THE_SAME: f64 = 0.02;
/// What a reader did so many vehicles ago counts half.
const REMEMBERS: f64 = 50.0;
/// What the site file says of a reader counts like so many vehicles.
const SITE_FILE: f64 = 20.0;

impl Rule for SensorBlind {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(LaneEvent::Passed(passed)) = seen else { return };
        let (passage, known) = &**passed;
        // Of one that drove past behind another nobody reads much.
        let stopped = passage.granted.is_some() || passage.mass.is_some();
        if !passage.last || passage.exit.is_none() || !stopped {
            return;
        }
        for role in [Role::PlateFront, Role::PlateRear, Role::Container, Role::Tag] {
            if !expected(role, passage, known) {
                continue;
            }
            let readers: Vec<SensorId> = here.sensors_with(role).map(|(id, _)| id.clone()).collect();
            for reader in readers {
                let others = proven_by_others(&reader, passage);
                if others > 0 {
                    self.judge(&reader, passage, here);
                }
            }
        }
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (sensor, mut reader) in core::mem::take(&mut self.readers) {
            let draft = draft(&sensor, &reader, here);
            reader.life.give_up(here, draft);
        }
    }
}

impl SensorBlind {
    fn judge(&mut self, sensor: &SensorId, passage: &Passage, here: &mut Here<'_>) {
        let Some(spec) = here.site.sensors.get(sensor) else { return };
        let detection = spec.rates.detection;
        let reader = self.readers.entry(sensor.clone()).or_insert_with(|| Reader {
            read: SITE_FILE * detection,
            missed: SITE_FILE * (1.0 - detection),
            blind: logit(USUALLY),
            misses: 0,
            first: None,
            last: passage.first,
            life: Life::default(),
        });
        if heard(sensor, passage) {
            if reader.life.is_open() {
                let mut draft = draft(sensor, reader, here);
                draft.until = Some(passage.crossed);
                draft.facts.push(Phrase::words(format!("Sensor {sensor} reads again.")));
                draft.actions.clear();
                reader.life.end(here, Phase::Closed, draft);
            }
            (reader.read, reader.missed) = (fade(reader.read) + 1.0, fade(reader.missed));
            (reader.blind, reader.misses, reader.first) = (logit(USUALLY), 0, None);
            return;
        }
        // Known to be silent, in trouble or new: its absence says nothing.
        if !here.health(sensor).is_healthy() {
            return;
        }
        let misses = reader.missed / (reader.read + reader.missed);
        reader.blind += libm::log((1.0 - SEES_ALL_THE_SAME) / misses.clamp(0.01, 0.9));
        reader.misses += 1;
        reader.last = passage.first;
        reader.first.get_or_insert((passage.first, passage.crossed));
        // A reader that is blind does not teach how often it misses.
        if reader.misses <= 2 {
            (reader.read, reader.missed) = (fade(reader.read), fade(reader.missed) + 1.0);
        }
        let least = here.site.rules.sensor_blind.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least;
        if !reader.life.is_open()
            && reader.blind >= logit(least)
            && let Some((first, _)) = reader.first
        {
            let draft = draft(sensor, reader, here);
            reader.life.say_of(here, &format!("{}/{sensor}", KIND.kind), first, draft);
        }
    }
}

fn fade(count: f64) -> f64 {
    count * (1.0 - 0.7 / REMEMBERS)
}

/// Whether a vehicle has what a reader of this role reads.
fn expected(role: Role, passage: &Passage, known: &Known) -> bool {
    let booking = known.booking.as_ref().filter(|(_, sure)| *sure > 0.8).map(|(booking, _)| booking);
    match role {
        Role::Container => !passage.codes.is_empty() || booking.is_some_and(|booking| !booking.containers.is_empty()),
        Role::Tag => !passage.tags.is_empty() || booking.is_some_and(|booking| booking.tag.is_some()),
        _ => true,
    }
}

/// How many other sensors read the vehicle.
fn proven_by_others(reader: &SensorId, passage: &Passage) -> usize {
    let reads = passage.reads.iter().map(|read| &read.sensor);
    let codes = passage.codes.iter().map(|(sensor, ..)| sensor);
    let others = reads.chain(codes).filter(|sensor| *sensor != reader).count();
    others + usize::from(passage.approach.is_some()) + usize::from(passage.mass.is_some())
}

fn heard(reader: &SensorId, passage: &Passage) -> bool {
    passage.reads.iter().any(|read| read.sensor == *reader)
        || passage.codes.iter().any(|(sensor, ..)| sensor == reader)
        || passage.tags.iter().any(|(sensor, ..)| sensor == reader)
}

fn draft(sensor: &SensorId, reader: &Reader, here: &Here<'_>) -> Draft {
    let since = reader.first.map_or(here.wall(here.now), |(_, since)| since);
    let mut draft = Draft::new(
        Phrase::words("a sensor does not see what passes"),
        Phrase::words("It answers, but its view or its light is gone: what passes is unknown to it."),
        AT_ANY_TIME,
        since,
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    let said = Phrase::words(format!("none of {} vehicles in a row", reader.misses));
    let all = reader.blind - logit(USUALLY);
    draft.absent(here, sensor, said, all);
    // That vehicles passed is others' word.
    for (exit, _) in here.sensors_with(Role::LoopExit).take(1) {
        let said = Phrase::words(format!("{} vehicles", reader.misses));
        draft.said(here, exit, &[reader.last], said, (all - MOST_WEIGHT).clamp(0.0, MOST_OF_OTHERS));
    }
    draft.facts = vec![
        Phrase::words(format!("Sensor {sensor} has not read {} vehicles in a row that others saw", reader.misses))
            .detail(FieldClass::Method, Phrase::words(" since ").at(since))
            .then("."),
    ];
    draft.act(
        FieldClass::Public,
        Phrase::words("Look at the sensor."),
        Phrase::words("Look at the sensor: lens, lamp and aerial; ask who was there last."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("chance: several vehicles in a row that are hard to read"),
        probability: 1.0 - draft.probability(),
    }];
    draft
}
