//! Sensor blinded before access: a sensor that would have seen it went blind, and then somebody came.
//!
//! Either alone is everyday. A camera that is covered, unplugged or silent, and an entry into the same zone shortly after, is
//! how insiders work who know the blind spots. Cameras that fail together (one switch, one power feed) count as one, and
//! where people may be at this hour an entry says little. Announced maintenance does not count.

use super::{Here, Kind, Look, Rule, Seen, Signal};
use crate::{
    evidence::{Draft, Life},
    health::{Change, SensorHealth},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format, vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    DomainId, FieldClass, GatewayTime, NoData, Position, Reading, SensorId, WallTime,
    observation::{Health, ObjectClass},
    site::Role,
    situation::{Alternative, Phase, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.blinded-before-access",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.blinded_before_access.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[],
};

/// Who is blind in one zone. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct BlindedBeforeAccess {
    /// Sensors that say, or of which is said, that they cannot see.
    blind: BTreeMap<SensorId, Blind>,
    /// Those that the open situation rests on.
    counted: BTreeMap<SensorId, Blind>,
    life: Life,
    over_at: Option<GatewayTime>,
    /// The first entry of the open situation names it; the strongest one is its evidence.
    entry: Option<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Blind {
    at: GatewayTime,
    wall: WallTime,
    /// The record that said so; an end of rhythm has none.
    position: Option<Position>,
    covered: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    first: Position,
    sensor: SensorId,
    position: Position,
    at: WallTime,
    weight: f64,
}

const SEEING: [Role; 3] = [Role::PresenceCamera, Role::PlateFront, Role::PlateRear];
/// After an entry, this long without another and it is over.
const OVER_AFTER: Duration = Duration::from_secs(120);

impl Rule for BlindedBeforeAccess {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        if SEEING.contains(&signal.spec.role) {
            self.note(signal, here);
        }
        if let Some(weight) = entry(signal, here)
            && !self.blind.contains_key(signal.sensor)
        {
            self.enter(signal, weight, here);
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        if let Some(mut draft) = self.draft(here) {
            draft.until = Some(here.wall(here.now));
            self.life.end(here, Phase::Closed, draft);
        }
        self.over_at = None;
        self.entry = None;
        self.counted.clear();
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.over_at
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        if let Some(draft) = self.draft(here) {
            self.life.give_up(here, draft);
        }
    }
}

impl BlindedBeforeAccess {
    fn note(&mut self, signal: &Signal<'_>, here: &Here<'_>) {
        let covered = match signal.reading {
            Reading::Health(Health::Blind | Health::Tampered) | Reading::NoData(NoData::Blind | NoData::Tampered) => true,
            Reading::NoData(NoData::Maintenance | NoData::Overload(_)) => return,
            Reading::NoData(_) | Reading::Health(Health::Faulty) => false,
            // Any picture, plate or sign of life: it sees again.
            _ => {
                self.blind.remove(signal.sensor);
                return;
            }
        };
        let blind = Blind { at: here.now, wall: signal.at, position: Some(signal.position), covered };
        let known = self.blind.entry(signal.sensor.clone()).or_insert_with(|| blind.clone());
        if covered && !known.covered {
            *known = blind;
        }
    }

    fn enter(&mut self, signal: &Signal<'_>, weight: f64, here: &mut Here<'_>) {
        let rule = here.site.rules.blinded_before_access.as_ref();
        let within = rule.map(|rule| rule.settings.clone()).unwrap_or_default().within;
        let mut lately = self.blind.clone();
        for role in SEEING {
            for (sensor, _) in here.sensors_with(role) {
                if let SensorHealth::Unhealthy(NoData::Silent, since) = here.health(sensor) {
                    let silent = Blind { at: since, wall: here.wall(since), position: None, covered: false };
                    lately.entry(sensor.clone()).or_insert(silent);
                }
            }
        }
        lately.retain(|sensor, blind| sensor != signal.sensor && here.now.since(blind.at) <= within);
        self.counted.extend(lately);
        if self.counted.is_empty() {
            return;
        }
        let first = self.entry.as_ref().map_or(signal.position, |entry| entry.first);
        if self.entry.as_ref().is_none_or(|entry| entry.weight < weight) {
            let (sensor, position, at) = (signal.sensor.clone(), signal.position, signal.at);
            self.entry = Some(Entry { first, sensor, position, at, weight });
        }
        self.over_at = Some(here.now.after(OVER_AFTER));
        if let Some(draft) = self.draft(here).filter(|draft| self.life.is_open() || draft.probability() >= 0.5) {
            self.life.say(here, first, draft);
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let entry = self.entry.as_ref()?;
        let from = self.counted.values().map(|blind| blind.wall).min()?;
        // Where people may be now, somebody comes in soon after any camera fault.
        let everyday = here.zone.closed.is_some() && !here.nobody_may_be_here(entry.at);
        let mut draft = Draft::new(
            Phrase::words("somebody came in after a camera here went blind"),
            Phrase::words("The camera may have been blinded on purpose."),
            if everyday { 0.005 } else { 0.05 },
            from,
        );
        draft.severity = Severity::Severe;
        draft.answer_within = Some(Duration::from_secs(180));
        let mut failed: BTreeSet<&DomainId> = BTreeSet::new();
        for (sensor, blind) in &self.counted {
            let Some(spec) = here.site.sensors.get(sensor) else { continue };
            let together = !blind.covered && !failed.insert(&spec.domain);
            let (said, weight) = match (blind.covered, together) {
                (true, _) => ("its view is covered", 2.5),
                (false, false) => ("cannot be heard", 1.5),
                (false, true) => ("cannot be heard, as others on the same feed", 0.0),
            };
            match blind.position {
                Some(position) => draft.said(here, sensor, &[position], Phrase::words(said), weight),
                None => draft.absent(here, sensor, Phrase::words(said), weight),
            }
        }
        let said = here.site.sensors.get(&entry.sensor).map_or("somebody entered", |spec| in_words(spec.role));
        draft.said(here, &entry.sensor, &[entry.position], Phrase::words(said), entry.weight);
        let after = entry.at.0.saturating_sub(from.0).max(0) / 1_000_000_000;
        let place = here.zone.name.clone();
        let lost = match self.counted.values().any(|blind| blind.covered) {
            true => format!("A camera at {place} lost its view"),
            false => format!("A camera at {place} could not be heard any more"),
        };
        draft.facts = vec![
            Phrase::words(lost).detail(FieldClass::Method, Phrase::words(" at ").at(from)).then("."),
            Phrase::words(format!("Somebody entered {after} s later.")),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Look at the place and at the camera."),
            Phrase::words("Look at the place and at the camera; keep its last footage."),
        );
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![Alternative {
            text: Phrase::words("dirt, fog or a fault, and an ordinary entry"),
            probability: not,
        }];
        draft.note_missing(here, &SEEING);
        Some(draft)
    }
}

/// What a signal is worth as a sign that somebody came in, if it is one.
fn entry(signal: &Signal<'_>, here: &Here<'_>) -> Option<f64> {
    let came = match signal.reading {
        Reading::Contact(_) => signal.change == Change::Rose,
        Reading::Frame(frame) => frame.detections.iter().any(|seen| seen.class == ObjectClass::Person),
        Reading::People(count) => *count > 0,
        _ => false,
    };
    let weight = match signal.spec.role {
        Role::Pedestrian | Role::PresenceCamera | Role::Door => 2.0,
        Role::PresencePir => 1.5,
        // A fence moves by itself in wind.
        Role::FenceVibration => if here.wind().is_some_and(|(wind, _)| wind >= BREEZE) { 0.2 } else { 1.0 },
        _ => return None,
    };
    came.then_some(weight)
}

/// Beaufort 5, m/s: what moves small trees moves a fence.
const BREEZE: f64 = 8.0;

fn in_words(role: Role) -> &'static str {
    match role {
        Role::PresenceCamera => "a person",
        Role::Door => "a door was opened",
        Role::FenceVibration => "the fence moved",
        _ => "movement",
    }
}
