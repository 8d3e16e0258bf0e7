//! Sensor conflict: a sensor contradicts the others too often to be believed.
//!
//! What a sensor says is held against what the others make of the same thing without it: a plate camera against the plate that
//! the other cameras and the bookings give a vehicle, the switch of an arm against vehicles that drove through, a vessel's own
//! word on where it is against what scanners see there. Each contradiction adds as much to the log-odds that it is wrong, or is
//! made to be wrong, as it is rarer of one that is right, and the less the others are sure the less; each agreement takes
//! away. So one wrong word is nothing, and a run of them is. What cannot be held against anything, because the others are not
//! well or do not look there, counts for nothing.
//!
//! Who is doubted contradicts others the less, so that of two cameras the one is named that bookings or its own repetition
//! speak against; where nothing decides between them, both are doubted and neither is named.

use super::{Here, Kind, Look, Rule, Seen, Signal, Stream};
use crate::{
    bounds::{CROSSINGS_PER_OPENING, VESSELS_IN_DOUBT},
    evidence::{Draft, Life, logit},
    identity,
    lane::LaneEvent,
    passages::Passage,
    plates,
    tracks::{self, Sighting, TrackChange, geometry::Polygon},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::String,
    vec,
    vec::Vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Private, Reading, SensorId, WallTime,
    observation::Cooperative,
    site::{Role, ZoneKind},
    situation::{Alternative, Phase, Phrase, Severity, Subject, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.conflict",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Lane | ZoneKind::Quay | ZoneKind::Berth | ZoneKind::Waterside),
    mode: |site, zone| site.rules.sensor_conflict.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |role| role == Role::Ais,
    follows: &[Stream::Lane, Stream::Tracks],
};

/// Who is contradicted in one zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorConflict {
    /// Sensors are as many as the site file has; of vessels the one heard longest ago goes.
    doubts: BTreeMap<Who, Doubt>,
    /// The last vehicle, which is not judged yet, and the one that drove ahead of it.
    vehicle: Option<Vehicle>,
    ahead: Option<Vehicle>,
    /// Crossings, and whether the arm's switch said down; oldest first. At the bound the oldest goes.
    crossings: VecDeque<(WallTime, bool)>,
    /// When the arm came down.
    closed: Option<WallTime>,
    /// What scanners see in the zone, by its track's name: bounded with the tracks.
    seen: BTreeMap<u64, ((f64, f64), GatewayTime)>,
}

/// What cameras read of a vehicle.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Vehicle {
    crossed: WallTime,
    own: Vec<OwnRead>,
    reads: Vec<(SensorId, String)>,
}

/// What one camera read of it, and whether that is what the others make of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OwnRead {
    camera: SensorId,
    texts: Vec<String>,
    agrees: bool,
    /// Probability that the others are right.
    sure: f64,
    position: Position,
    by: BTreeSet<SensorId>,
}

/// Whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Who {
    Camera(SensorId),
    Arm(SensorId),
    /// What a vessel says of itself, by its MMSI, and who heard it.
    Vessel(u32, SensorId),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Doubt {
    /// Log-odds that its word is not to be believed.
    wrong: f64,
    /// Since it last had everybody's trust: how often it was contradicted, from when on, in which records, by whom.
    times: u32,
    since: Option<(Position, WallTime)>,
    positions: VecDeque<Position>,
    by: BTreeSet<SensorId>,
    heard: GatewayTime,
    /// When a word of a vessel last counted.
    counted: Option<WallTime>,
    life: Life,
}

/// Before any evidence a sensor's word is wrong, or made wrong, once in a thousand.
const USUALLY: f64 = 0.001;
/// And of the sensors of a port one in a hundred says what is not so, at any time.
const AT_ANY_TIME: f64 = 0.01;
/// It is never believed to be wrong more surely than this, so that it can win back trust.
const MOST_WRONG: f64 = 0.9995;
/// A sensor whose word is wrong contradicts the others nearly always.
const CONTRADICTS: f64 = 0.95;
/// A camera in order reads something else of a vehicle that others read: dirt, shadow, the one in the next lane.
const CAMERA_ERRS: f64 = 0.08;
/// A camera that is wrong says again what it said of the vehicle before, every other time; one in order hardly ever does.
const REPEATS_ITSELF: f64 = 0.5;
const SAME_PLATE: f64 = 0.01;
/// A vehicle is put together wrongly from what others said, or the switch bounced.
const SWITCH_ERRS: f64 = 0.02;
/// Scanners miss a vessel that lies behind another, or take two for one.
const SCANNER_MISSES: f64 = 0.1;
/// A vessel's word and a scanner's are of one vessel if they are not further apart than this, in metres, and half its length:
/// its antenna may stand at either end.
const NEAR_M: f64 = 40.0;
/// How long a vessel is that has not said so, in metres: most that enter a port are shorter.
const UNSAID_LENGTH_M: f64 = 200.0;
/// A track is as old as this at most when a vessel's word is held against it.
const FRESH: Duration = Duration::from_secs(10);
/// Words of one vessel count this far apart: more often they say the same again.
const EVERY: Duration = Duration::from_secs(10);
/// Who is not heard for so long is somewhere else: class A at anchor reports every three minutes (ITU-R M.1371-5).
const UNHEARD: Duration = Duration::from_secs(600);
/// A switch says down so long after the arm moved, at most.
const ARM_MOVES: Duration = Duration::from_secs(4);
const POSITIONS: usize = 8;

impl Rule for SensorConflict {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        match seen {
            Seen::Reading(signal) => {
                if let Reading::Cooperative(word) = signal.reading {
                    self.vessel(word, signal, here);
                }
            }
            Seen::Lane(LaneEvent::Crossed { at, .. }) => {
                let down = self.arm_is_down(*at, here);
                if self.crossings.len() == CROSSINGS_PER_OPENING {
                    self.crossings.pop_front();
                }
                self.crossings.push_back((*at, down));
            }
            Seen::Lane(LaneEvent::Closed { at }) => self.closed = Some(*at),
            Seen::Lane(LaneEvent::Passed(passed)) if passed.0.last && passed.0.exit.is_some() => {
                self.cameras(&passed.0, here);
                self.arm(&passed.0, here);
            }
            Seen::Track(event) => match event.change {
                TrackChange::Entered | TrackChange::Still => self.follow(&event.track, here),
                TrackChange::Left | TrackChange::Lost => {
                    self.seen.remove(&event.track.number);
                }
            },
            Seen::Lane(_) | Seen::Trail(_) => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let unheard = |who: &Who, doubt: &Doubt| matches!(who, Who::Vessel(..)) && doubt.heard.after(UNHEARD) <= here.now;
        let gone: Vec<Who> =
            self.doubts.iter().filter(|(who, doubt)| unheard(who, doubt)).map(|(who, _)| who.clone()).collect();
        for who in gone {
            self.forget(&who, here, "Nothing is heard of it any more.");
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        let vessels = self.doubts.iter().filter(|(who, _)| matches!(who, Who::Vessel(..)));
        vessels.map(|(_, doubt)| doubt.heard.after(UNHEARD)).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (who, mut doubt) in core::mem::take(&mut self.doubts) {
            let draft = draft(&who, &doubt, here);
            doubt.life.give_up(here, draft);
        }
    }
}

impl Vehicle {
    fn of(passage: &Passage, here: &Here<'_>) -> Self {
        let cameras: BTreeSet<&SensorId> = passage.reads.iter().map(|read| &read.sensor).collect();
        let own = cameras.into_iter().filter_map(|camera| {
            let (own, others): (Vec<_>, Vec<_>) = passage.reads.iter().cloned().partition(|read| read.sensor == *camera);
            let whose = identity::of_reads(&others, passage.entered(), here.statements, here.site, here.zone_id)?;
            let texts: Vec<String> =
                own.iter().flat_map(|read| core::iter::once(&read.text).chain(&read.others)).cloned().collect();
            Some(OwnRead {
                camera: camera.clone(),
                agrees: texts.iter().any(|text| plates::alike(text, &whose.best)),
                texts,
                sure: whose.probability,
                position: own.first()?.position,
                by: others.into_iter().map(|read| read.sensor).collect(),
            })
        });
        Self {
            crossed: passage.crossed,
            own: own.collect(),
            reads: passage.reads.iter().map(|read| (read.sensor.clone(), read.text.clone())).collect(),
        }
    }
}

impl SensorConflict {
    /// Each camera that read a vehicle, against what the others and the bookings make of it; once it is known who drove ahead
    /// of it and behind it, because a read that is one of theirs was only given to the wrong vehicle.
    fn cameras(&mut self, passage: &Passage, here: &mut Here<'_>) {
        let behind = Vehicle::of(passage, here);
        let ahead = self.ahead.take();
        if let Some(vehicle) = self.vehicle.take() {
            let said = |read: &&OwnRead| read.agrees || !is_anothers(read, ahead.iter().chain([&behind]));
            // All of them before any is noted: of two that contradict each other neither comes first.
            let steps: Vec<f64> =
                vehicle.own.iter().filter(said).map(|read| self.camera_step(read, ahead.as_ref())).collect();
            for (read, step) in vehicle.own.iter().filter(said).zip(steps) {
                let (who, by) = (Who::Camera(read.camera.clone()), read.by.clone());
                self.note(who, step, (read.position, vehicle.crossed), by, here);
            }
            self.ahead = Some(vehicle);
        }
        self.vehicle = Some(behind);
    }

    /// What a camera's read of a vehicle adds. Who is doubted contradicts nobody surely.
    fn camera_step(&self, read: &OwnRead, ahead: Option<&Vehicle>) -> f64 {
        let said_before = |before: &OwnRead| before.camera == read.camera && before.texts == read.texts;
        let repeats = !read.agrees && ahead.is_some_and(|ahead| ahead.own.iter().any(said_before));
        let step = evidence(read.agrees, CAMERA_ERRS, read.sure * self.trust(&read.by));
        step + if repeats { libm::log(REPEATS_ITSELF / SAME_PLATE) } else { 0.0 }
    }

    /// Probability that none of these cameras is wrong.
    fn trust(&self, cameras: &BTreeSet<SensorId>) -> f64 {
        let doubts = cameras.iter().filter_map(|camera| self.doubts.get(&Who::Camera(camera.clone())));
        doubts.map(|doubt| 1.0 / (1.0 + libm::exp(doubt.wrong))).product()
    }

    /// The switch of the arm, against a vehicle that others saw drive through.
    fn arm(&mut self, passage: &Passage, here: &mut Here<'_>) {
        let Some((_, down)) = self.crossings.iter().find(|(at, _)| *at == passage.crossed).copied() else { return };
        let Some(exit) = passage.exit.as_ref() else { return };
        let read_by = passage.reads.iter().map(|read| &read.sensor);
        let mut by: BTreeSet<SensorId> = read_by.chain(passage.approach.iter().map(|it| &it.sensor)).cloned().collect();
        // A pulse of the exit loop alone proves no vehicle.
        if by.is_empty() {
            return;
        }
        by.insert(exit.sensor.clone());
        let arms = here.could_speak_since(Role::BarrierOpen, here.gateway(passage.entered()));
        if let Some([arm]) = arms.as_deref() {
            let step = evidence(!down, SWITCH_ERRS, 1.0);
            self.note(Who::Arm(arm.clone()), step, (passage.first, passage.crossed), by, here);
        }
    }

    /// Whether the arm's switch says down, and has said so for longer than an arm takes to move.
    fn arm_is_down(&self, at: WallTime, here: &Here<'_>) -> bool {
        let mut arms = here.sensors_with(Role::BarrierOpen);
        let says_down = |(arm, _)| here.sensors.get(arm).is_some_and(|memory| memory.contact == Some(false));
        arms.next().is_some_and(says_down) && self.closed.is_none_or(|closed| closed.after(ARM_MOVES) < at)
    }

    fn follow(&mut self, track: &Sighting, here: &Here<'_>) {
        if here.sensors_with(Role::Ais).next().is_none() {
            return;
        }
        let scanner = |sensor: &SensorId| {
            let role = here.site.sensors.get(sensor).map(|spec| spec.role);
            matches!(role, Some(Role::Radar | Role::PositionCamera))
        };
        if track.witnesses.iter().any(|(sensor, _)| scanner(sensor)) {
            self.seen.insert(track.number, (track.place, here.now));
        }
    }

    /// What a vessel says of where it is, against what scanners see there.
    fn vessel(&mut self, word: &Cooperative, signal: &Signal<'_>, here: &mut Here<'_>) {
        self.seen.retain(|_, (_, at)| here.now.since(*at) <= FRESH);
        let Some(grid) = &here.site.grid else { return };
        let place = tracks::place(grid, word.latitude.get(), word.longitude.get());
        let outline = Polygon::new(&here.zone.outline);
        let who = Who::Vessel(word.mmsi, signal.sensor.clone());
        // Far outside it is another zone's business, and at the edge it may be just outside.
        if !outline.is_some_and(|outline| outline.contains(place)) {
            self.forget(&who, here, "It says that it has left.");
            return;
        }
        if let Some(doubt) = self.doubts.get_mut(&who) {
            doubt.heard = here.now;
            if doubt.counted.is_some_and(|counted| signal.at < counted.after(EVERY)) {
                return;
            }
        }
        let since = here.gateway(signal.at.before(FRESH));
        let well = |id: &SensorId| {
            let spec = here.site.sensors.get(id);
            spec.zip(here.sensors.get(id)).is_some_and(|(spec, memory)| memory.could_speak_since(spec, since, here.now))
        };
        let by: BTreeSet<SensorId> =
            tracks::scanners_that_see(here.site, place).into_iter().filter(|id| well(id)).collect();
        if by.is_empty() {
            return;
        }
        let near = NEAR_M + 0.5 * word.length_m.map_or(UNSAID_LENGTH_M, |length| length.get());
        let agrees = self.seen.values().any(|((x, y), _)| libm::hypot(x - place.0, y - place.1) <= near);
        self.make_room(&who, here);
        // Scanners need some time to be sure of what has just come: the first word only begins it.
        if self.doubts.get(&who).is_some_and(|doubt| doubt.counted.is_some()) {
            let step = evidence(agrees, SCANNER_MISSES, 1.0);
            self.note(who.clone(), step, (signal.position, signal.at), by, here);
        }
        if let Some(doubt) = self.doubts.get_mut(&who) {
            doubt.counted = Some(signal.at);
        }
    }

    /// Begins to listen to a vessel; at the bound the one heard longest ago goes.
    fn make_room(&mut self, who: &Who, here: &mut Here<'_>) {
        if self.doubts.contains_key(who) {
            return;
        }
        if self.doubts.keys().filter(|who| matches!(who, Who::Vessel(..))).count() >= VESSELS_IN_DOUBT {
            let vessels = self.doubts.iter().filter(|(who, _)| matches!(who, Who::Vessel(..)));
            let longest = vessels.min_by_key(|(_, doubt)| doubt.heard).map(|(who, _)| who.clone());
            longest.into_iter().for_each(|who| self.forget(&who, here, "It is no longer listened to."));
        }
        self.doubts.insert(who.clone(), Doubt { wrong: logit(USUALLY), heard: here.now, ..Doubt::default() });
    }

    /// A word agreed with the others or contradicted them.
    fn note(
        &mut self,
        who: Who,
        step: f64,
        (position, at): (Position, WallTime),
        by: BTreeSet<SensorId>,
        here: &mut Here<'_>,
    ) {
        let usual = logit(USUALLY);
        let doubt = self.doubts.entry(who.clone()).or_insert_with(|| Doubt { wrong: usual, ..Doubt::default() });
        doubt.heard = here.now;
        doubt.wrong = (doubt.wrong + step).clamp(usual, logit(MOST_WRONG));
        if step > 0.0 {
            doubt.times += 1;
            doubt.since.get_or_insert((position, at));
            doubt.by.extend(by);
            if doubt.positions.len() == POSITIONS {
                doubt.positions.pop_front();
            }
            doubt.positions.push_back(position);
        }
        let least = here.site.rules.sensor_conflict.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least;
        match doubt.since {
            // Right more often than not again.
            Some(_) if doubt.life.is_open() && doubt.wrong < 0.0 => {
                let mut draft = draft(&who, doubt, here);
                draft.until = Some(at);
                draft.facts.push(Phrase::words("It agrees with the others again."));
                draft.actions.clear();
                doubt.life.end(here, Phase::Closed, draft);
                *doubt = Doubt { wrong: usual, heard: here.now, counted: doubt.counted, ..Doubt::default() };
            }
            Some((first, _)) if !doubt.life.is_open() && doubt.wrong >= logit(least) => {
                let draft = draft(&who, doubt, here);
                doubt.life.say_of(here, &name(&who), first, draft);
            }
            Some(_) if doubt.wrong <= usual => {
                (doubt.times, doubt.since) = (0, None);
                doubt.positions.clear();
                doubt.by.clear();
            }
            _ => {}
        }
    }

    fn forget(&mut self, who: &Who, here: &mut Here<'_>, why: &'static str) {
        let Some(mut doubt) = self.doubts.remove(who) else { return };
        let mut draft = draft(who, &doubt, here);
        draft.until = Some(here.wall(doubt.heard));
        draft.facts.push(Phrase::words(why));
        draft.actions.clear();
        doubt.life.end(here, Phase::Closed, draft);
    }
}

/// Whether what a camera read of a vehicle is what others read of the one ahead of it or behind it.
fn is_anothers<'a>(read: &OwnRead, mut beside: impl Iterator<Item = &'a Vehicle>) -> bool {
    let theirs = |(sensor, text): &(SensorId, String)| {
        *sensor != read.camera && read.texts.iter().any(|own| plates::alike(own, text))
    };
    beside.any(|vehicle| vehicle.reads.iter().any(theirs))
}

/// What a word adds to the log-odds that its sensor is wrong: it agrees with what the others make of the same thing, of which
/// they are so sure, or not. A sensor in order errs so often.
fn evidence(agrees: bool, errs: f64, sure: f64) -> f64 {
    let sure = sure.clamp(0.0, 1.0);
    // Where the others are wrong, one that is right contradicts them too.
    let contradicts = sure * errs + (1.0 - sure) * CONTRADICTS;
    if agrees { libm::log((1.0 - CONTRADICTS) / (1.0 - contradicts)) } else { libm::log(CONTRADICTS / contradicts) }
}

fn name(who: &Who) -> String {
    match who {
        Who::Camera(sensor) | Who::Arm(sensor) => format!("{}/{sensor}", KIND.kind),
        Who::Vessel(mmsi, sensor) => format!("{}/{sensor}/{mmsi}", KIND.kind),
    }
}

fn draft(who: &Who, doubt: &Doubt, here: &Here<'_>) -> Draft {
    let (Who::Camera(sensor) | Who::Arm(sensor) | Who::Vessel(_, sensor)) = who;
    let since = doubt.since.map_or(here.wall(doubt.heard), |(_, since)| since);
    let times = doubt.times;
    let (headline, think) = match who {
        Who::Vessel(..) => (
            "a vessel is not where it says it is",
            "Its transponder is wrong or somebody sends in its name: what it says of itself is not to be believed.",
        ),
        _ => (
            "a sensor contradicts the others",
            "Its words are wrong, or somebody makes them so: what rests on it alone is not to be believed.",
        ),
    };
    let mut draft = Draft::new(Phrase::words(headline), Phrase::words(think), AT_ANY_TIME, since);
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    let (said, others, fact) = match who {
        Who::Camera(_) => (
            format!("another plate, for {times} vehicles"),
            format!("of {times} vehicles"),
            Phrase::words(format!("Sensor {sensor} has read other plates than the others of {times} vehicles")),
        ),
        Who::Arm(_) => (
            format!("down, for {times} vehicles"),
            format!("{times} vehicles"),
            Phrase::words(format!("Sensor {sensor} has said that the arm was down while {times} vehicles drove through")),
        ),
        Who::Vessel(mmsi, _) => (
            format!("a vessel there, {times} times"),
            format!("nothing there, {times} times"),
            Phrase::words("Vessel ")
                .value(FieldClass::QuasiIdentity, Private::clear(format!("{mmsi}")))
                .then(format!(" has said {times} times that it is where nothing is seen")),
        ),
    };
    let half = 0.5 * (doubt.wrong - logit(USUALLY));
    let positions: Vec<Position> = doubt.positions.iter().copied().collect();
    draft.said(here, sensor, &positions, Phrase::words(said), half);
    for other in &doubt.by {
        let share = half / doubt.by.len() as f64;
        match who {
            Who::Vessel(..) => draft.absent(here, other, Phrase::words(others.clone()), share),
            _ => draft.said(here, other, &[], Phrase::words(others.clone()), share),
        }
    }
    draft.facts =
        vec![fact.detail(FieldClass::Method, Phrase::words(" since ").at(since)).then(".")];
    let (brief, text) = match who {
        Who::Vessel(..) => ("Look for the vessel.", "Look for the vessel; call it by radio; ask vessel traffic services."),
        _ => ("Look at the sensor.", "Look at the sensor and its line; ask who worked on it; go by the others until then."),
    };
    draft.act(FieldClass::Public, Phrase::words(brief), Phrase::words(text));
    if matches!(who, Who::Vessel(..)) {
        draft.subjects = vec![Subject { role: "vessel".into(), identities: Vec::new() }];
    }
    draft.alternatives = vec![Alternative {
        text: Phrase::words("it is right, and the others are wrong"),
        probability: 1.0 - draft.probability(),
    }];
    draft.note_missing(here, &[Role::PlateFront, Role::PlateRear, Role::BarrierOpen, Role::Ais]);
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_counts_for_less_the_less_sure_the_others_are() {
        let [sure, half, lost] = [1.0, 0.5, 0.0].map(|sure| evidence(false, CAMERA_ERRS, sure));
        assert!(sure > half && half > lost);
        assert!((sure - libm::log(0.95 / 0.08)).abs() < 1e-12, "ln(0.95/0.08): {sure}");
        assert!(lost.abs() < 1e-12, "who knows nothing contradicts nobody: {lost}");
    }

    #[test]
    fn an_agreement_takes_away_more_than_a_contradiction_adds() {
        for errs in [CAMERA_ERRS, SWITCH_ERRS, SCANNER_MISSES] {
            let (agreed, contradicted) = (evidence(true, errs, 1.0), evidence(false, errs, 1.0));
            assert!(agreed < 0.0 && contradicted > 0.0, "{errs}: {agreed} and {contradicted}");
            // One that is right as often as sensors in order are is never doubted for long.
            assert!((1.0 - errs) * agreed + errs * contradicted < 0.0, "{errs}");
        }
    }

    #[test]
    fn one_wrong_word_is_nothing_and_a_run_of_them_is_said() {
        let words = |errs: f64| (logit(0.99) - logit(USUALLY)) / evidence(false, errs, 1.0);
        assert!(words(CAMERA_ERRS) > 4.0 && words(CAMERA_ERRS) < 5.0, "five vehicles: {}", words(CAMERA_ERRS));
        assert!(words(SWITCH_ERRS) > 2.0 && words(SWITCH_ERRS) < 3.0, "three: {}", words(SWITCH_ERRS));
        assert!(words(SCANNER_MISSES) > 5.0 && words(SCANNER_MISSES) < 6.0, "six: {}", words(SCANNER_MISSES));
    }
}
