//! Quay presence: somebody is where nobody may be.
//!
//! The zone has a belief: log-odds that somebody is there. Every sensor's last word counts with the weight its rates give it
//! in the present conditions (a fence moves by itself in wind), loses half of it in a half-life, and a camera that looked
//! and saw nobody counts against. One sensor alone, whatever it says and however often, stays below what is told.

use super::{Here, Kind, Look, Rule, Seen, Signal};
use crate::{
    evidence::{Draft, Life, weight, weight_of_absence},
    health::Change,
};
use alloc::{collections::BTreeMap, format, string::String, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Reading, SensorId, WallTime,
    observation::{Media, ObjectClass},
    site::{Closed, Role, ZoneKind, rules},
    situation::{Alternative, Phase, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "quay.presence",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Quay | ZoneKind::Berth | ZoneKind::Fence | ZoneKind::Yard | ZoneKind::Waterside),
    mode: |site, zone| site.rules.quay_presence.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// What is believed of one zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct QuayPresence {
    /// Each sensor's last word that is still worth something. One per sensor: bounded by the site file.
    words: BTreeMap<SensorId, Word>,
    media: Option<(SensorId, Media)>,
    since: Option<(WallTime, Position)>,
    life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Word {
    weight: f64,
    at: GatewayTime,
    position: Position,
    said: String,
}

/// Sensors that can say somebody is there.
const ROLES: [Role; 4] = [Role::PresencePir, Role::PresenceCamera, Role::FenceVibration, Role::Pedestrian];
/// How often an open situation is looked at again while nothing comes: its words lose weight.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// An open situation ends below this: well under what opens one, so that it does not flicker.
const OVER_AT: f64 = 0.2;

impl Rule for QuayPresence {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        let Some((weight, said)) = word(signal, here) else { return };
        if let Some(media) = signal.media.filter(|_| weight > 0.0) {
            self.media = Some((signal.sensor.clone(), media.clone()));
        }
        let word = Word { weight, at: here.now, position: signal.position, said };
        // A camera that sees nobody takes its own earlier word back.
        self.words.insert(signal.sensor.clone(), word);
        if weight > 0.0 && self.since.is_none() {
            self.since = Some((signal.at, signal.position));
        }
        self.judge(here);
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.judge(here);
    }

    fn next_due(&self, look: &Look<'_>) -> Option<GatewayTime> {
        self.life.is_open().then(|| look.now.after(LOOK_AGAIN))
    }
}

impl QuayPresence {
    fn judge(&mut self, here: &mut Here<'_>) {
        let settings = settings(here);
        let half_life = settings.half_life;
        self.words.retain(|_, word| libm::fabs(faded(word, here.now, half_life)) > 0.05);
        if !self.words.values().any(|word| word.weight > 0.0) && !self.life.is_open() {
            self.since = None;
            return;
        }
        let Some((since, first)) = self.since else { return };
        let mut draft = self.draft(here, &settings, since);
        let probability = draft.probability();
        if self.life.is_open() && (probability < OVER_AT || !nobody_may_be_here(here, here.wall(here.now))) {
            draft.until = Some(here.wall(here.now));
            self.life.end(here, Phase::Closed, draft);
            self.since = None;
            self.words.clear();
        } else if self.life.is_open() || (probability >= settings.tell_at && nobody_may_be_here(here, since)) {
            self.life.say(here, first, draft);
        }
    }

    fn draft(&self, here: &Here<'_>, settings: &rules::QuayPresence, since: WallTime) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("somebody is on the closed quay"),
            Phrase::words("A person is where nobody may be now."),
            settings.prior,
            since,
        );
        draft.severity = Severity::Severe;
        draft.answer_within = Some(Duration::from_secs(180));
        for (sensor, word) in &self.words {
            let weight = faded(word, here.now, settings.half_life);
            draft.said(here, sensor, &[word.position], Phrase::words(word.said.clone()), weight);
        }
        for role in ROLES {
            for (sensor, spec) in here.site.sensors_with(here.zone_id, role) {
                let silent = here.health(sensor).is_healthy() && !self.words.contains_key(sensor);
                // A camera says what it does not see in its frames; of others silence is the only word.
                if silent && role != Role::PresenceCamera {
                    let weight = weight_of_absence(spec.rates.detection, spec.rates.false_alarm) * SILENCE_COUNTS;
                    draft.absent(here, sensor, Phrase::words("nothing"), weight);
                }
            }
        }
        let wind = wind(here);
        let zone = here.zone.name.clone();
        let mut fact = Phrase::words(format!("Movement at {zone} while it is closed"));
        fact = fact.detail(FieldClass::Method, Phrase::words(" since ").at(since));
        draft.facts = vec![fact.then(".")];
        if let Some(wind) = wind {
            draft.facts.push(Phrase::words(format!("Wind {wind:.0} m/s.")));
        }
        draft.act(FieldClass::Public, Phrase::words("Send the nearest patrol to look; keep to the landside until two are there."));
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![
            Alternative { text: Phrase::words("an animal, or moving lines and tarpaulins"), probability: 0.7 * not },
            Alternative { text: Phrase::words("ship's crew or line handlers without a work order"), probability: 0.3 * not },
        ];
        draft.media = self.media.iter().cloned().collect();
        draft.note_missing(here, &ROLES);
        draft
    }
}

/// A sensor that covers only part of a zone is silent about the rest: its silence counts a third.
const SILENCE_COUNTS: f64 = 0.3;

/// What a signal is worth, and in which words.
fn word(signal: &Signal<'_>, here: &Here<'_>) -> Option<(f64, String)> {
    if !ROLES.contains(&signal.spec.role) {
        return None;
    }
    let rates = signal.spec.rates;
    match (signal.reading, signal.change) {
        (Reading::Contact(_), Change::Rose) => {
            let false_alarm = match signal.spec.role {
                Role::FenceVibration => in_wind(rates.false_alarm, here),
                _ => rates.false_alarm,
            };
            let said = if signal.spec.role == Role::FenceVibration { "the fence moves" } else { "movement" };
            Some((weight(rates.detection, false_alarm), said.into()))
        }
        (Reading::Frame(frame), _) => {
            let person = frame.detections.iter().filter(|seen| seen.class == ObjectClass::Person);
            let best = person.map(|seen| seen.confidence.map_or(0.7, |confidence| confidence.get())).reduce(f64::max);
            match best {
                // A detector's score is no probability: a hesitant detection is a weaker one, no more.
                Some(score) => Some((weight(rates.detection, rates.false_alarm) * score.clamp(0.3, 1.0), "a person".into())),
                None if frame.detections.is_empty() => {
                    Some((weight_of_absence(rates.detection, rates.false_alarm), "nobody in view".into()))
                }
                None => None,
            }
        }
        (Reading::People(count), _) if *count > 0 => {
            Some((weight(rates.detection, rates.false_alarm), format!("{count} people")))
        }
        _ => None,
    }
}

/// A fence's false alarms grow tenfold from calm to the wind the site calls windy.
fn in_wind(calm: f64, here: &Here<'_>) -> f64 {
    let share = wind(here).map_or(0.0, |wind| (wind / settings(here).windy.max(1.0)).clamp(0.0, 2.0));
    (calm * libm::pow(10.0, share)).min(0.9)
}

/// The wind at the site: of this zone if it is measured here, else of any.
fn wind(here: &Here<'_>) -> Option<f64> {
    let here_first = here.site.sensors_with(here.zone_id, Role::WindSpeed).map(|(id, _)| id);
    let anywhere = here.site.sensors.iter().filter(|(_, spec)| spec.role == Role::WindSpeed).map(|(id, _)| id);
    let mut healthy = here_first.chain(anywhere).filter(|id| here.health(id).is_healthy());
    healthy.find_map(|id| here.sensors.get(id)?.value).map(|(value, _)| value)
}

fn nobody_may_be_here(here: &Here<'_>, at: WallTime) -> bool {
    match here.zone.closed {
        None => false,
        Some(Closed::Always) => true,
        Some(Closed::Daily { from, until }) => {
            let minute = here.local_minute(at);
            if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
        }
    }
}

fn faded(word: &Word, now: GatewayTime, half_life: Duration) -> f64 {
    let halves = now.since(word.at).as_secs_f64() / half_life.as_secs_f64().max(0.001);
    word.weight * libm::pow(0.5, halves)
}

fn settings(here: &Here<'_>) -> rules::QuayPresence {
    here.site.rules.quay_presence.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default()
}
