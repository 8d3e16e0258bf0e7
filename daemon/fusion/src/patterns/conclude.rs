//! From a match to what is said of it.

use super::{
    automaton::{FIRST_EXPECT, Hit, Match, Plan, first_of, last_of},
    compile::{Compilation, Where, sensors_of},
};
use crate::{
    evidence::{Draft, weight, weight_of_absence},
    guard::{Facts, StepFacts},
    rules::Here,
    trails::holder_as_subject,
};
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Private, SensorId, WallTime,
    observation::ObjectClass,
    sealed::Handle,
    site::{
        Role,
        patterns::{Key, Says, Source, Span},
    },
    situation::{Alternative, IdentityKind, Missing, Phrase, Subject, SubjectIdentity},
};
use serde::{Deserialize, Serialize};

/// A match, weighed: everything that is needed to say it, and to say it again when it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Weighed {
    pub(super) first: Position,
    pub(super) began: WallTime,
    pub(super) ended: WallTime,
    terms: Vec<Term>,
    missing: Vec<Missing>,
    facts: Vec<Fact>,
    /// Whose credential or what plate it is about, and who read it.
    about: Option<(String, Vec<SensorId>)>,
    /// How often it was matched since it was said.
    pub(super) times: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Term {
    sensor: SensorId,
    positions: Vec<Position>,
    said: String,
    weight: f64,
    absent: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fact {
    words: String,
    at: Option<WallTime>,
}

/// Why a match is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// Something that must not be seen was not, but nobody could have seen it.
    Unknown,
    /// It is not probable enough, or its guard does not hold.
    NotEnough,
    /// Its guard could not be told.
    GuardFailed,
}

/// Weighs a match of one key. Nothing is weighed that the sensors could not have known.
pub(super) fn weigh(
    matched: &Match,
    key: &str,
    pattern: &Compilation,
    place: &Where,
    here: &Here<'_>,
) -> Result<Weighed, Unsaid> {
    let plan = &pattern.plan;
    let first = matched.hits.iter().flat_map(|hit| hit.positions.iter().copied()).min().unwrap_or(here.position);
    let readers: Vec<SensorId> = {
        let mut readers: Vec<SensorId> = matched.hits.iter().map(|hit| hit.sensor.clone()).collect();
        readers.sort();
        readers.dedup();
        readers
    };
    let mut weighed = Weighed {
        first,
        began: matched.began,
        ended: matched.ended,
        terms: Vec::new(),
        missing: Vec::new(),
        facts: Vec::new(),
        about: matches!(plan.pattern.key, Key::Plate | Key::Credential).then(|| (key.into(), readers)),
        times: 1,
    };
    weighed.steps(matched, plan, here);
    weighed.forbidden(matched, plan, place, here)?;
    weighed.expected(matched, plan, place, here);
    let probability = weighed.draft(pattern, here).probability();
    if probability < plan.pattern.emit.min_p {
        return Err(Unsaid::NotEnough);
    }
    match &pattern.guard {
        None => Ok(weighed),
        Some(Ok(guard)) => match guard.holds(&facts(matched, plan, probability, here)) {
            Some(true) => Ok(weighed),
            Some(false) => Err(Unsaid::NotEnough),
            None => Err(Unsaid::GuardFailed),
        },
        Some(Err(_)) => Err(Unsaid::GuardFailed),
    }
}

impl Weighed {
    /// Every step that was seen: one term for each sensor that said it, however often.
    fn steps(&mut self, matched: &Match, plan: &Plan, here: &Here<'_>) {
        for (slot, step) in (0u8..).zip(&plan.pattern.steps).filter(|(_, step)| !step.absent) {
            let hits: Vec<&Hit> = matched.hits.iter().filter(|hit| hit.slot == slot).collect();
            let Some(newest) = hits.last() else { continue };
            let words = step.words.clone().unwrap_or_else(|| in_words(&step.on, step.says));
            let times: u32 = hits.iter().map(|hit| u32::from(hit.times)).sum();
            let mut fact = words.clone();
            if times > 1 {
                let _ = write!(fact, ", {times} times");
            }
            self.facts.push(Fact { words: fact, at: Some(newest.since) });
            let mut sensors: Vec<&SensorId> = hits.iter().map(|hit| &hit.sensor).collect();
            sensors.sort();
            sensors.dedup();
            // A weight that was given is the step's, however many sensors saw it.
            let share = sensors.len().max(1) as f64;
            for sensor in sensors {
                let own: Vec<&&Hit> = hits.iter().filter(|hit| hit.sensor == *sensor).collect();
                let said = own.iter().find_map(|hit| hit.weight);
                let weight = step.weight.map(|weight| weight / share).or(said).unwrap_or_else(|| rates(sensor, here).0);
                let positions = own.iter().flat_map(|hit| hit.positions.iter().copied()).collect();
                self.terms.push(Term { sensor: sensor.clone(), positions, said: words.clone(), weight, absent: false });
            }
        }
    }

    /// What must not be seen and was not. If one of those that should have seen it could not, nobody knows.
    fn forbidden(&mut self, matched: &Match, plan: &Plan, place: &Where, here: &Here<'_>) -> Result<(), Unsaid> {
        for step in plan.pattern.steps.iter().filter(|step| step.absent) {
            let words = step.words.clone().unwrap_or_else(|| in_words(&step.on, step.says));
            self.facts.push(Fact { words: format!("Not seen: {words}"), at: None });
            let sensors: Vec<&SensorId> = heard(&step.on, place, here).collect();
            let share = sensors.len().max(1) as f64;
            for sensor in sensors {
                if !could_speak(sensor, matched.began, here) {
                    return Err(Unsaid::Unknown);
                }
                let weight = step.weight.map_or_else(|| -rates(sensor, here).1, |weight| weight / share);
                let said = format!("did not say: {words}");
                self.terms.push(Term { sensor: sensor.clone(), positions: Vec::new(), said, weight, absent: true });
            }
        }
        Ok(())
    }

    /// What is expected: seen, missing, or unknown.
    fn expected(&mut self, matched: &Match, plan: &Plan, place: &Where, here: &Here<'_>) {
        for (slot, expect) in (FIRST_EXPECT..).zip(&plan.pattern.expect) {
            let (from, until) = span(expect.span, matched);
            let sign = if expect.absent { -1.0 } else { 1.0 };
            let words = expect.words.clone().unwrap_or_else(|| in_words(&expect.on, expect.says));
            let seen: Vec<&Hit> =
                matched.soft.iter().filter(|hit| hit.slot == slot && from <= hit.at && hit.at <= until).collect();
            let mut saw: Vec<&SensorId> = seen.iter().map(|hit| &hit.sensor).collect();
            saw.sort();
            saw.dedup();
            if !saw.is_empty() {
                let share = saw.len() as f64;
                self.facts.push(Fact { words: words.clone(), at: seen.first().map(|hit| hit.at) });
                for sensor in saw {
                    let own = seen.iter().filter(|hit| hit.sensor == *sensor);
                    let said = own.clone().find_map(|hit| hit.weight).map(|weight| sign * weight);
                    let weight = expect.seen.map(|weight| weight / share).or(said);
                    self.terms.push(Term {
                        sensor: sensor.clone(),
                        positions: own.flat_map(|hit| hit.positions.iter().copied()).collect(),
                        said: words.clone(),
                        weight: weight.unwrap_or_else(|| sign * rates(sensor, here).0),
                        absent: false,
                    });
                }
                continue;
            }
            let (could, deaf): (Vec<&SensorId>, Vec<&SensorId>) =
                heard(&expect.on, place, here).partition(|sensor| could_speak(sensor, from, here));
            let share = could.len().max(1) as f64;
            let given = expect.missing.filter(|_| deaf.is_empty());
            for sensor in &could {
                // With some of them deaf, the others' silence still says what their own rates say.
                let weight = given.map_or_else(|| sign * rates(sensor, here).1, |weight| weight / share);
                let said = format!("did not say: {words}");
                let sensor = (*sensor).clone();
                self.terms.push(Term { sensor, positions: Vec::new(), said, weight, absent: true });
            }
            let deaf: Vec<SensorId> = deaf.into_iter().cloned().collect();
            self.missing.extend(here.why_deaf(&deaf));
        }
    }

    /// As it is said.
    pub(super) fn draft(&self, pattern: &Compilation, here: &Here<'_>) -> Draft {
        let emit = &pattern.plan.pattern.emit;
        let mut draft = Draft::new(
            Phrase::words(emit.headline.clone()),
            Phrase::words(emit.assessment.clone()),
            emit.prior,
            self.began,
        );
        draft.severity = emit.severity;
        draft.urgency = emit.urgency;
        draft.answer_within = emit.answer_within;
        for term in &self.terms {
            let said = Phrase::words(term.said.clone());
            match term.absent {
                true => draft.absent(here, &term.sensor, said, term.weight),
                false => draft.said(here, &term.sensor, &term.positions, said, term.weight),
            }
        }
        draft.facts = self.facts.iter().map(Fact::phrase).collect();
        if self.times > 1 {
            draft.facts.push(Phrase::words(format!("It happened {} times.", self.times)));
        }
        if let Some(action) = &emit.action {
            let words = || Phrase::words(action.clone());
            draft.act(FieldClass::Public, words(), words());
        }
        if let Some(otherwise) = &emit.otherwise {
            let probability = 1.0 - draft.probability();
            draft.alternatives.push(Alternative { text: Phrase::words(otherwise.clone()), probability });
        }
        draft.missing = self.missing.clone();
        draft.subjects = self.subjects(pattern);
        draft
    }

    /// The same thing again while it is open.
    pub(super) fn again(&mut self, before: &Self) {
        self.first = before.first;
        self.began = before.began.min(self.began);
        self.times = before.times.saturating_add(1);
    }

    fn subjects(&self, pattern: &Compilation) -> Vec<Subject> {
        let Some((key, read_by)) = &self.about else { return Vec::new() };
        match pattern.plan.pattern.key {
            Key::Credential => handle(key).map(|holder| holder_as_subject("person", holder, read_by.clone())),
            _ => Some(Subject {
                role: "vehicle".into(),
                identities: alloc::vec![SubjectIdentity {
                    kind: IdentityKind::Plate,
                    value: Private::clear(key.as_str()),
                    probability: 1.0,
                    alternatives: Vec::new(),
                    read_by: read_by.clone(),
                }],
            }),
        }
        .into_iter()
        .collect()
    }
}

impl Fact {
    fn phrase(&self) -> Phrase {
        let mut words = self.words.clone();
        if let Some(first) = words.get(..1).map(str::to_uppercase) {
            words.replace_range(..1, &first);
        }
        words.truncate(words.trim_end_matches('.').len());
        let words = Phrase::words(words);
        match self.at {
            Some(at) => words.detail(FieldClass::Method, Phrase::words(" at ").at(at)).then("."),
            None => words.then("."),
        }
    }
}

/// What its being seen and its not being seen are worth, by a sensor's rates.
fn rates(sensor: &SensorId, here: &Here<'_>) -> (f64, f64) {
    let Some(rates) = here.site.sensors.get(sensor).map(|spec| spec.rates) else { return (0.0, 0.0) };
    // A scanner's false detections are a mean per scan and may exceed one: nothing is worth less than nothing.
    let false_alarm = rates.false_alarm.min(rates.detection);
    (weight(rates.detection, false_alarm), weight_of_absence(rates.detection, false_alarm))
}

fn heard<'a>(source: &'a Source, place: &'a Where, here: &'a Here<'_>) -> impl Iterator<Item = &'a SensorId> {
    sensors_of(source, here.zone_id, here.site).filter(|id| place.sensors.iter().any(|heard| heard.id == **id))
}

/// Whether a sensor could have said something at any time from a moment on.
pub(super) fn could_speak(sensor: &SensorId, from: WallTime, here: &Here<'_>) -> bool {
    let from = GatewayTime(u64::try_from(from.0.saturating_sub(here.wall_offset)).unwrap_or(0));
    match (here.site.sensors.get(sensor), here.sensors.get(sensor)) {
        (Some(spec), Some(memory)) => memory.could_speak_since(spec, from, here.now),
        _ => false,
    }
}

fn span(span: Span, matched: &Match) -> (WallTime, WallTime) {
    let hits = &matched.hits;
    match span {
        Span::Throughout => (matched.began, matched.ended),
        Span::Between(from, to) => {
            (first_of(hits, from).unwrap_or(matched.began), last_of(hits, to).unwrap_or(matched.ended))
        }
        Span::After(step, within) => {
            let from = last_of(hits, step).unwrap_or(matched.ended);
            (from, from.after(within))
        }
        Span::Before(step, within) => {
            let until = first_of(hits, step).unwrap_or(matched.began);
            (until.before(within), until)
        }
    }
}

fn facts<'a>(matched: &Match, plan: &'a Plan, p: f64, here: &Here<'a>) -> Facts<'a> {
    let seconds = |from: WallTime, until: WallTime| until.0.saturating_sub(from.0) as f64 / 1e9;
    let named = (0u8..).zip(&plan.pattern.steps).filter_map(|(slot, step)| Some((slot, step.name.as_deref()?)));
    let steps = named.map(|(slot, name)| {
        let hits = matched.hits.iter().filter(|hit| hit.slot == slot);
        StepFacts {
            name,
            count: hits.clone().map(|hit| u32::from(hit.times)).sum(),
            seconds: last_of(&matched.hits, slot).map_or(0.0, |last| seconds(matched.began, last)),
            value: hits.filter_map(|hit| hit.value).next_back(),
        }
    });
    Facts {
        zone: here.zone_id.as_str(),
        p,
        seconds: seconds(matched.began, matched.ended),
        minute: here.local_minute(matched.began),
        closed: here.is_closed(matched.began),
        level: here.security_level,
        steps: steps.collect(),
    }
}

fn handle(hex: &str) -> Option<Handle> {
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(Handle(bytes))
}

/// A step in words, if its author gave none.
fn in_words(source: &Source, says: Says) -> String {
    let who = match source {
        Source::Role { role, .. } => thing(*role).into(),
        Source::Sensor(sensor) => String::from(sensor.as_str()),
        Source::Situation(kind) => return format!("the gateway said {kind}"),
        Source::Track { class, .. } => String::from(match class {
            Some(ObjectClass::Person) => "somebody",
            Some(ObjectClass::Vehicle) => "a vehicle",
            Some(ObjectClass::Vessel) => "a vessel",
            Some(ObjectClass::Animal) => "an animal",
            Some(ObjectClass::Other) | None => "something",
        }),
    };
    let what = match says {
        Says::On => "came on",
        Says::Off => "went off",
        Says::Stepped => "counted on",
        Says::Read => "was read",
        Says::Granted => "granted",
        Says::Denied => "refused",
        Says::NotTaken => "granted, and nobody passed",
        Says::Duress => "granted under duress",
        Says::Seen(_) => "saw something",
        Says::Nobody => "saw nothing",
        Says::People(_) => "counted people",
        Says::Above { .. } => "rose above its limit",
        Says::Below { .. } => "fell below its limit",
        Says::Rises { .. } => "rose quickly",
        Says::Falls { .. } => "fell quickly",
        Says::Blind => "lost its view",
        Says::Faulty => "failed",
        Says::Tampered => "was handled",
        Says::Inside => "is here",
        Says::Near(_) => "is near",
        Says::Said { .. } => "was said",
    };
    format!("{who} {what}")
}

fn thing(role: Role) -> &'static str {
    match role {
        Role::LoopApproach => "the loop before the arm",
        Role::LoopExit => "the loop beyond the arm",
        Role::BarrierOpen => "the arm's switch",
        Role::Grant => "the access system",
        Role::PlateFront => "a front plate",
        Role::PlateRear => "a rear plate",
        Role::Container => "a container code",
        Role::Tag => "a tag",
        Role::WeightGross => "the scale",
        Role::Pedestrian => "the detector for people on foot",
        Role::PresencePir => "the movement detector",
        Role::PresenceCamera | Role::PositionCamera => "the camera",
        Role::FenceVibration => "the fence detector",
        Role::Door => "the door contact",
        Role::CabinetTamper | Role::NodeTamper => "the tamper contact",
        Role::MooringLoad => "the mooring load",
        Role::WindSpeed => "the wind speed",
        Role::Rain => "the rain",
        Role::WindDirection => "the wind direction",
        Role::WaterLevel => "the water level",
        Role::Light => "the light",
        Role::Temperature => "the temperature",
        Role::Heartbeat => "the heartbeat",
        Role::Reader => "the reader",
        Role::Radar => "the radar",
        Role::Ais => "the AIS receiver",
        Role::PeopleCount => "the people counter",
    }
}
