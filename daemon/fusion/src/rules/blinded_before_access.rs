//! Sensor blinded before access: a sensor that would have seen it went blind, and then somebody came.
//!
//! Either alone is everyday. A camera that is covered, unplugged or silent, and an entry into the same zone shortly after, is
//! how insiders work who know the blind spots. A power cut that takes the whole zone is not it: if every sensor of the zone
//! is gone, nobody could have said that somebody entered.

use super::{Here, Kind, Look, Rule, Seen, Signal};
use crate::{
    evidence::{Draft, Life},
    health::Change,
};
use alloc::{collections::BTreeMap, format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, NoData, Position, Reading, SensorId, WallTime,
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
};

/// Who is blind in one zone. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct BlindedBeforeAccess {
    blind: BTreeMap<SensorId, Blind>,
    life: Life,
    over_at: Option<GatewayTime>,
    entry: Option<(SensorId, Position, WallTime)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Blind {
    at: GatewayTime,
    wall: WallTime,
    position: Position,
    covered: bool,
}

const SEEING: [Role; 3] = [Role::PresenceCamera, Role::PlateFront, Role::PlateRear];
const ENTERING: [Role; 5] =
    [Role::Pedestrian, Role::PresencePir, Role::PresenceCamera, Role::Door, Role::FenceVibration];
/// After an entry, this long without another and it is over.
const OVER_AFTER: Duration = Duration::from_secs(120);

impl Rule for BlindedBeforeAccess {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        if SEEING.contains(&signal.spec.role) {
            self.note(signal, here);
        }
        if is_entry(signal) && !self.blind.contains_key(signal.sensor) {
            self.enter(signal, here);
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        if let Some(mut draft) = self.draft(here) {
            draft.until = Some(here.wall(here.now));
            self.life.end(here, Phase::Closed, draft);
        }
        self.over_at = None;
        self.entry = None;
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.over_at
    }
}

impl BlindedBeforeAccess {
    fn note(&mut self, signal: &Signal<'_>, here: &Here<'_>) {
        let blind = match signal.reading {
            Reading::Health(Health::Blind | Health::Tampered) => Some(true),
            Reading::NoData(NoData::Silent | NoData::Disconnected | NoData::Timeout | NoData::Tampered) => Some(false),
            // Any picture, plate or sign of life: it sees again. A situation that was said keeps what it rests on.
            Reading::Frame(_) | Reading::Plate(_) | Reading::Health(Health::Alive) if !self.life.is_open() => {
                self.blind.remove(signal.sensor);
                None
            }
            _ => None,
        };
        if let Some(covered) = blind {
            self.blind.entry(signal.sensor.clone()).or_insert(Blind {
                at: here.now,
                wall: signal.at,
                position: signal.position,
                covered,
            });
        }
    }

    fn enter(&mut self, signal: &Signal<'_>, here: &mut Here<'_>) {
        let rule = here.site.rules.blinded_before_access.as_ref();
        let within = rule.map(|rule| rule.settings.clone()).unwrap_or_default().within;
        if !self.blind.values().any(|blind| here.now.since(blind.at) <= within) {
            return;
        }
        self.entry = Some((signal.sensor.clone(), signal.position, signal.at));
        self.over_at = Some(here.now.after(OVER_AFTER));
        let first = self.blind.values().map(|blind| blind.position).min().unwrap_or(signal.position);
        if let Some(draft) = self.draft(here) {
            self.life.say(here, first, draft);
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let (entry, entry_position, entry_at) = self.entry.as_ref()?;
        let from = self.blind.values().map(|blind| blind.wall).min()?;
        let mut draft = Draft::new(
            Phrase::words("somebody came in after a camera here went blind"),
            Phrase::words("The camera may have been blinded on purpose."),
            0.05,
            from,
        );
        draft.severity = Severity::Severe;
        draft.answer_within = Some(Duration::from_secs(180));
        for (sensor, blind) in &self.blind {
            let (said, weight) = if blind.covered { ("its view is covered", 2.5) } else { ("cannot be heard", 1.5) };
            draft.said(here, sensor, &[blind.position], Phrase::words(said), weight);
        }
        draft.said(here, entry, &[*entry_position], Phrase::words("somebody entered"), 2.0);
        let after = (entry_at.0 - from.0).max(0) / 1_000_000_000;
        let place = here.zone.name.clone();
        draft.facts = vec![
            Phrase::words(format!("A camera at {place} lost its view"))
                .detail(FieldClass::Method, Phrase::words(" at ").at(from))
                .then("."),
            Phrase::words(format!("Somebody entered {after} s later.")),
        ];
        draft.act(FieldClass::Public, Phrase::words("Look at the place and at the camera; keep its last footage."));
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![
            Alternative { text: Phrase::words("dirt, fog or a fault, and an ordinary entry"), probability: not },
        ];
        draft.note_missing(here, &SEEING);
        Some(draft)
    }
}

fn is_entry(signal: &Signal<'_>) -> bool {
    if !ENTERING.contains(&signal.spec.role) {
        return false;
    }
    match signal.reading {
        Reading::Contact(_) => signal.change == Change::Rose,
        Reading::Frame(frame) => frame.detections.iter().any(|seen| seen.class == ObjectClass::Person),
        Reading::People(count) => *count > 0,
        _ => false,
    }
}
