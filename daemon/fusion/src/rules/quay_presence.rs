//! Quay presence: somebody is where nobody may be.
//!
//! The zone has a belief: log-odds that somebody is there. Every sensor's last word counts with the weight its rates give it
//! in the present conditions ([`super::conditions`]: a fence moves by itself in wind, a camera sees less in rain). A contact that stays closed goes on saying it; any other word
//! holds for ten seconds and then loses half of its weight in a half-life. A camera that looked and saw nobody counts against. One sensor alone, whatever
//! it says and however often, stays below what is told, and so does everything on one failure domain.

use super::{Here, Kind, Look, Rule, Seen, Stream, Signal};
use crate::{
    bounds::MOST_WEIGHT,
    evidence::{Draft, Life, logit, weight, weight_of_absence},
    health::Change,
    tracks::{TrackChange, TrackEvent},
};
use alloc::{collections::BTreeMap, format, string::String, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Reading, SensorId, WallTime,
    observation::{Media, ObjectClass},
    site::{Role, ZoneKind, rules},
    situation::{Alternative, Phase, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "quay.presence",
    version: "1.0",
    fits: |kind| {
        matches!(kind, ZoneKind::Quay | ZoneKind::Berth | ZoneKind::Fence | ZoneKind::Yard | ZoneKind::Waterside)
    },
    mode: |site, zone| site.rules.quay_presence.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |role| ROLES.contains(&role),
    follows: &[Stream::Tracks],
};

/// What is believed of one zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct QuayPresence {
    /// Each sensor's last word that is still worth something. One per sensor: bounded by the site file.
    words: BTreeMap<SensorId, Word>,
    media: Option<(SensorId, Media)>,
    since: Option<(WallTime, Position)>,
    look_again: Option<GatewayTime>,
    life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Word {
    weight: f64,
    /// When it was said, or last still so.
    at: GatewayTime,
    position: Position,
    said: String,
    /// How many times in a row it was said.
    times: u32,
}

/// Sensors that can say somebody is there.
const ROLES: [Role; 4] = [Role::PresencePir, Role::PresenceCamera, Role::FenceVibration, Role::Pedestrian];
/// How often an open situation is looked at again while nothing comes: its words lose weight.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// And how often where nothing fades: the hour may come at which the place closes or opens.
const LOOK_SELDOM: Duration = Duration::from_secs(60);
/// An open situation ends below this: well under what opens one, so that it does not flicker.
const OVER_AT: f64 = 0.2;
/// A word worth less than this is forgotten.
const FORGOTTEN: f64 = 0.05;
/// A word holds for so long before it fades: who crosses a quay meets the next sensor within about ten seconds.
const HOLDS: Duration = Duration::from_secs(10);
/// What a camera adds by seeing the same again in its next pictures, up to three of them: a shadow or a gull rarely stays.
const SEEN_AGAIN: f64 = 0.8;
/// The score from which on detectors report by themselves: a usual hit.
const USUAL_SCORE: f64 = 0.7;
/// A sensor that covers only part of a zone is silent about the rest: its silence counts a third.
const SILENCE_COUNTS: f64 = 0.3;

impl Rule for QuayPresence {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let signal = match seen {
            Seen::Reading(signal) => signal,
            Seen::Track(event) => return self.follow(event, here),
            Seen::Lane(_) | Seen::Trail(_) => return,
        };
        if !ROLES.contains(&signal.spec.role) {
            return;
        }
        match word(signal, here) {
            Some((weight, said)) => {
                let times = match self.words.get(signal.sensor) {
                    Some(before) if before.said == said && matches!(signal.reading, Reading::Frame(_)) => before.times + 1,
                    _ => 1,
                };
                let weight = if weight > 0.0 { weight + SEEN_AGAIN * f64::from(times.min(4) - 1) } else { weight };
                if let Some(media) = signal.media.filter(|_| weight > 0.0) {
                    self.media = Some((signal.sensor.clone(), media.clone()));
                }
                let word = Word { weight, at: here.now, position: signal.position, said, times };
                // A camera that sees nobody takes its own earlier word back.
                self.words.insert(signal.sensor.clone(), word);
                if weight > 0.0 && self.since.is_none() {
                    self.since = Some((signal.at, signal.position));
                }
            }
            None if signal.change == Change::Fell => {
                if let Some(word) = self.words.get_mut(signal.sensor) {
                    word.at = here.now;
                }
            }
            None => return,
        }
        self.judge(here);
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.judge(here);
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.look_again
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        if let Some((since, _)) = self.since {
            let draft = self.draft(here, &settings(here), since);
            self.life.give_up(here, draft);
        }
    }
}

impl QuayPresence {
    /// Somebody who is followed by position in the zone: the sensors that show them each say so.
    fn follow(&mut self, event: &TrackEvent, here: &mut Here<'_>) {
        let track = &event.track;
        let (class, share) = track.classes[0];
        let said = match class {
            ObjectClass::Person => "a person, followed",
            ObjectClass::Vehicle => "a vehicle, followed",
            _ => return,
        };
        match event.change {
            TrackChange::Entered | TrackChange::Still if share > 0.5 => {
                let weight = logit(track.existence).min(MOST_WEIGHT);
                for (sensor, position) in &track.witnesses {
                    // A sensor that says more in its own role goes on saying that.
                    let own = self.words.get(sensor).is_some_and(|word| word.weight > weight);
                    if !own && here.site.sensors.get(sensor).is_some_and(|spec| !ROLES.contains(&spec.role)) {
                        let word = Word { weight, at: here.now, position: *position, said: said.into(), times: 1 };
                        self.words.insert(sensor.clone(), word);
                    }
                }
                if let (None, Some((_, position))) = (&self.since, track.witnesses.first()) {
                    self.since = Some((track.since, *position));
                }
            }
            TrackChange::Left => {
                for (sensor, _) in &track.witnesses {
                    if self.words.get(sensor).is_some_and(|word| word.said == said) {
                        self.words.remove(sensor);
                    }
                }
            }
            _ => return,
        }
        self.judge(here);
    }

    fn judge(&mut self, here: &mut Here<'_>) {
        let settings = settings(here);
        for (sensor, word) in &mut self.words {
            if still_says(sensor, here) {
                word.at = here.now;
            }
        }
        self.words.retain(|_, word| libm::fabs(faded(word, here.now, settings.half_life)) > FORGOTTEN);
        let any = self.words.values().any(|word| word.weight > 0.0);
        let fades = self.life.is_open() && !self.words.keys().any(|sensor| still_says(sensor, here));
        let again = if fades { LOOK_AGAIN } else { LOOK_SELDOM };
        self.look_again = (any || self.life.is_open()).then(|| here.now.after(again));
        if !any && !self.life.is_open() {
            self.since = None;
            return;
        }
        let Some((mut since, first)) = self.since else { return };
        let closed = here.nobody_may_be_here(here.wall(here.now));
        // Somebody who came while it was open and stays is there without leave from the moment it closes.
        if closed && !self.life.is_open() && !here.is_closed(since) {
            since = here.wall(here.now);
            self.since = Some((since, first));
        }
        let mut draft = self.draft(here, &settings, since);
        let probability = draft.probability();
        let contradicted = self.words.values().any(|word| word.weight < 0.0 && word.at == here.now);
        if self.life.is_open() && (probability < OVER_AT || !closed) {
            draft.until = Some(here.wall(here.now));
            if !closed {
                draft.facts.push(Phrase::words("People may be here now."));
            }
            self.life.end(here, Phase::Closed, draft);
            self.since = None;
            self.words.clear();
            self.look_again = None;
        } else if (self.life.is_open() && (contradicted || !self.life.was_surer(&draft)))
            || (!self.life.is_open() && probability >= settings.tell_at && closed)
        {
            self.life.say(here, first, draft);
        }
    }

    fn draft(&self, here: &Here<'_>, settings: &rules::QuayPresence, since: WallTime) -> Draft {
        let mut draft = Draft::new(
            Phrase::words(format!("somebody is {} while it is closed", place(here))),
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
            for (sensor, spec) in here.sensors_with(role) {
                let silent = here.health(sensor).is_healthy() && !self.words.contains_key(sensor);
                // A camera says what it does not see in its frames; of others silence is the only word.
                if silent && role != Role::PresenceCamera {
                    let rates = here.rates_now(sensor, spec);
                    let weight = weight_of_absence(rates.detection, rates.false_alarm) * SILENCE_COUNTS;
                    draft.absent(here, sensor, Phrase::words("nothing"), weight);
                }
            }
        }
        draft.facts = vec![
            Phrase::words(format!("Movement at {} while it is closed", here.zone.name))
                .detail(FieldClass::Method, Phrase::words(" since ").at(since))
                .then("."),
        ];
        if let Some((wind, _)) = here.wind() {
            draft.facts.push(Phrase::words(format!("Wind {wind:.0} m/s.")));
        }
        if let Some((rain, _)) = here.rain().filter(|(rain, _)| *rain >= 0.5) {
            draft.facts.push(Phrase::words(format!("Rain {rain:.0} mm/h.")));
        }
        let send = "Send the nearest patrol to look";
        draft.act(
            FieldClass::Public,
            Phrase::words(format!("{send}.")),
            Phrase::words(format!("{send}; stay on the landside until two are there.")),
        );
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![
            Alternative { text: Phrase::words("an animal, or moving lines and tarpaulins"), probability: 0.7 * not },
            Alternative { text: Phrase::words("crew or line handlers without a work order"), probability: 0.3 * not },
        ];
        draft.media = self.media.iter().cloned().collect();
        draft.note_missing(here, &ROLES);
        draft
    }
}

/// What a signal is worth, and in which words.
fn word(signal: &Signal<'_>, here: &Here<'_>) -> Option<(f64, String)> {
    let rates = here.rates_now(signal.sensor, signal.spec);
    match (signal.reading, signal.change) {
        (Reading::Contact(_), Change::Rose) => {
            let said = if signal.spec.role == Role::FenceVibration { "the fence moves" } else { "movement" };
            Some((weight(rates.detection, rates.false_alarm).max(0.0), said.into()))
        }
        (Reading::Frame(frame), _) => {
            let person = frame.detections.iter().filter(|seen| seen.class == ObjectClass::Person);
            let best = person.map(|seen| seen.confidence.map_or(0.7, |confidence| confidence.get())).reduce(f64::max);
            match best {
                // A detector's score is no probability: a hesitant detection is a weaker one, no more.
                Some(score) => {
                    let usual = (score / USUAL_SCORE).clamp(0.3, 1.0);
                    Some((weight(rates.detection, rates.false_alarm) * usual, "a person".into()))
                }
                None if frame.detections.is_empty() => {
                    Some((weight_of_absence(rates.detection, rates.false_alarm), "nobody in view".into()))
                }
                None => None,
            }
        }
        (Reading::People(0), _) => {
            Some((weight_of_absence(rates.detection, rates.false_alarm), "nobody in view".into()))
        }
        (Reading::People(count), _) => {
            let said = if *count == 1 { "1 person".into() } else { format!("{count} people") };
            Some((weight(rates.detection, rates.false_alarm), said))
        }
        _ => None,
    }
}

/// Whether a sensor's contact is closed still.
fn still_says(sensor: &SensorId, here: &Here<'_>) -> bool {
    let closed = here.sensors.get(sensor).is_some_and(|memory| memory.contact == Some(true));
    closed && here.health(sensor).is_healthy()
}

fn place(here: &Here<'_>) -> &'static str {
    match here.zone.kind {
        ZoneKind::Quay => "on the quay",
        ZoneKind::Berth => "at the berth",
        ZoneKind::Fence => "at the fence",
        ZoneKind::Yard => "in the yard",
        _ => "here",
    }
}

fn faded(word: &Word, now: GatewayTime, half_life: Duration) -> f64 {
    let halves = now.since(word.at).saturating_sub(HOLDS).as_secs_f64() / half_life.as_secs_f64().max(0.001);
    word.weight * libm::pow(0.5, halves)
}

fn settings(here: &Here<'_>) -> rules::QuayPresence {
    here.site.rules.quay_presence.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default()
}
