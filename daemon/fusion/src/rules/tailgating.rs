//! Tailgating: a vehicle crosses a gate lane on somebody else's grant.
//!
//! Invariant: one grant admits one crossing while the arm is open, and a closed arm ends it, so an old grant never excuses a
//! later vehicle. It is said at the second crossing, before the vehicle is in the yard; plates then strengthen it or take it
//! back. It ends when the arm is down and late evidence has had its time.
//!
//! A pulse of the exit loop that follows so closely that a drawbar would do the same uses no grant up and is said only if
//! cameras saw two vehicles: trailers have plates of their own at the rear in many countries, but none at the front.
//!
//! What the whole passage of the follower shows afterwards is added: whether it came over the approach loop by itself, and
//! whether it stopped to be weighed. It also finds those that arrived too late or too disordered to be seen at once, and takes
//! back what a glitch of the loop made.
//!
//! If the grant signal could not have spoken, nothing is said: without grants every second vehicle would be a tailgater.

use super::{
    Here, Kind, Look, Rule, Seen, Stream, passage,
    per_passage::{self, PerPassage},
};
use crate::{
    bounds::{CROSSINGS_PER_OPENING, READS_PER_OPENING},
    engine::grant_lasts,
    evidence::{Draft, Life},
    identity::Known,
    lane::{LATE_GRANT, LaneEvent},
    passages::Passage,
    plates::{self, Read},
};
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Private, SensorId, WallTime,
    observation::Media,
    site::{Role, ZoneKind},
    situation::{Alternative, IdentityKind, Phase, Phrase, Severity, Subject, SubjectIdentity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.tailgating",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.tailgating.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What is remembered of one lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tailgating {
    /// Grants not used by a crossing yet, oldest first.
    grants: Vec<Grant>,
    opened: Option<Opening>,
    closed: Option<GatewayTime>,
    crossings: Vec<Crossing>,
    /// Plates read, of which vehicle, and the footage.
    reads: Vec<(Position, Read, Option<Media>)>,
    /// When late evidence has had its time; while it is set a follower is looked at.
    settled: Option<GatewayTime>,
    life: Life,
    /// The follower's passage as a whole, by the record it crossed with.
    whole: Option<Whole>,
    /// Followers that were only found when their passage was put together.
    late: PerPassage,
    /// Crossings that the open situation, or the last one, was about.
    said: Vec<Position>,
}

/// What the whole passage of a follower shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Whole {
    first: Position,
    /// It came over the approach loop by itself.
    approach: Option<(SensorId, Vec<Position>)>,
    /// Scales that it did not stop on, though they could have said so.
    unweighed: Vec<SensorId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Grant {
    at: WallTime,
    gateway: GatewayTime,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opening {
    gateway: GatewayTime,
    position: Position,
    sensor: SensorId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Crossing {
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    sensor: SensorId,
    vehicle: Position,
    /// So close behind the one before that it may be the same vehicle.
    again: bool,
    arm: Arm,
    granted: Option<Grant>,
}

/// How the arm was when a vehicle crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Arm {
    Open,
    Closed,
    Unknown,
}

/// An arm takes two to four seconds to fall: a grant this young when it is down is meant to open it again.
const FALLING: Duration = Duration::from_secs(4);
/// An arm that is open again this soon has not moved; its switch bounced.
const BOUNCE: Duration = Duration::from_secs(1);

impl Rule for Tailgating {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(event) = seen else { return };
        match event {
            LaneEvent::Opened { position, sensor, .. } => self.open(*position, sensor, here),
            LaneEvent::Closed { .. } => {
                self.closed = Some(here.now);
                let settle = settle(here);
                if let (Some(settled), Some(last)) = (&mut self.settled, self.crossings.last()) {
                    *settled = last.gateway.after(settle).max(here.now);
                }
            }
            LaneEvent::Granted { at, gateway, times, .. } => {
                self.grant(&Grant { at: *at, gateway: *gateway }, *times);
                self.judge(here);
            }
            LaneEvent::Plate { read, vehicle: Some(vehicle), media } => {
                if self.reads.len() == READS_PER_OPENING {
                    self.reads.remove(0);
                }
                self.reads.push((*vehicle, read.clone(), media.clone()));
                self.judge(here);
            }
            LaneEvent::Crossed { at, gateway, position, sensor, vehicle, again } => {
                let crossing = Crossing {
                    at: *at,
                    gateway: *gateway,
                    position: *position,
                    sensor: sensor.clone(),
                    vehicle: *vehicle,
                    again: *again,
                    arm: arm(here),
                    granted: None,
                };
                self.cross(crossing, here);
            }
            LaneEvent::Passed(passed) => self.whole_passage(&passed.0, &passed.1, here),
            LaneEvent::Plate { .. } => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.judge(here);
        let waits_for_the_arm = self.crossings.last().map(|last| last.gateway.after(grant_lasts(here.site)));
        if self.life.is_open()
            && arm(here) == Arm::Open
            && let Some(until) = waits_for_the_arm.filter(|until| *until > here.now)
        {
            self.settled = Some(until);
            return;
        }
        if let Some(mut draft) = self.draft(here) {
            draft.until = self.crossings.last().map(|last| last.at);
            self.life.end(here, Phase::Closed, draft);
        }
        self.settled = None;
        // What is behind the arm now is another opening's business.
        let began = self.opened.as_ref().filter(|_| arm(here) == Arm::Open).map(|opening| opening.gateway);
        self.crossings.retain(|crossing| began.is_some_and(|began| crossing.gateway >= began && crossing.granted.is_some()));
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.settled
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        if let Some(draft) = self.draft(here) {
            self.life.give_up(here, draft);
        }
        self.late.stop(here);
    }
}

impl Tailgating {
    /// A passage is known as a whole: it strengthens what was said of it, takes it back, or shows what was not seen at once.
    fn whole_passage(&mut self, passage: &Passage, known: &Known, here: &mut Here<'_>) {
        let on_foreign_grant = passage.granted.is_none()
            && passage.followed.is_some_and(|followed| followed.same_opening == Some(true) && soon(followed.crossed, passage.crossed));
        let about_it = self
            .followers(here)
            .is_some_and(|(_, followers)| followers.iter().any(|it| it.position == passage.first));
        let ahead = self.crossings.iter().take_while(|crossing| crossing.position != passage.first).last();
        if let Some(ahead) = ahead.filter(|_| about_it).map(|ahead| ahead.at) {
            // What it seemed to follow was no vehicle.
            let glitch_ahead =
                passage.followed.is_none_or(|followed| followed.crossed.0.abs_diff(ahead.0) > SAME_CROSSING_NANOS);
            if passage.exit.is_none() || glitch_ahead {
                self.take_back(here);
                return;
            }
            self.whole = on_foreign_grant.then(|| whole(passage, here));
            self.judge(here);
            return;
        }
        let said_at_once = self.said.contains(&passage.first);
        // A grant is given at most so long before it is used.
        let given = passage.followed.map(|followed| followed.crossed.before(grant_lasts(here.site)));
        let could = given.is_some_and(|given| here.could_speak_since(Role::Grant, here.gateway(given)).is_some());
        let draft = (on_foreign_grant && could && !said_at_once).then(|| self.late_draft(passage, known, here));
        let withdrawn = ("A grant for it was read late.", "Every vehicle had a grant of its own.");
        self.late.say(here, passage, draft, 0.5, withdrawn);
    }

    fn take_back(&mut self, here: &mut Here<'_>) {
        if let Some(mut draft) = self.draft(here) {
            draft.withdraw("The loop's first pulse was too short for a vehicle.", "One vehicle passed.");
            self.life.end(here, Phase::Retracted, draft);
        }
        self.settled = None;
        self.whole = None;
        self.crossings.clear();
    }

    /// The conclusion from a passage alone: it followed through the same opening without a grant of its own.
    fn late_draft(&self, passage: &Passage, known: &Known, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("a second truck passed on one grant"),
            Phrase::words("Second vehicle entered without a grant."),
            0.02,
            passage.entered(),
        );
        draft.severity = Severity::Moderate;
        draft.answer_within = Some(Duration::from_secs(300));
        draft.until = Some(passage.crossed);
        if let Some(exit) = &passage.exit {
            let apart = passage.followed.map_or(0, |followed| passage.crossed.0 - followed.crossed.0) as f64 / 1e9;
            let said = Phrase::words(format!("2 vehicles, {apart:.1} s apart"));
            draft.said(here, &exit.sensor, &exit.positions, said, 3.4);
        }
        for (sensor, _) in here.sensors_with(Role::BarrierOpen) {
            draft.absent(here, sensor, Phrase::words("not closed between them"), 1.1);
        }
        say_whole(&whole(passage, here), here, &mut draft);
        draft.facts = vec![Phrase::words("Two vehicles crossed the lane before the arm closed; the second had no grant.")];
        let following = per_passage::subject("vehicle.following", passage, known);
        act(&following, 1, &mut draft);
        draft.subjects = vec![following];
        draft.media = passage.media.clone();
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![
            Alternative { text: Phrase::words("one long combination counted twice"), probability: 0.5 * not },
            Alternative {
                text: Phrase::words("second grant lost between controller and gateway"),
                probability: 0.5 * not,
            },
        ];
        draft.note_missing(here, &[Role::PlateFront, Role::PlateRear, Role::BarrierOpen]);
        draft
    }

    fn open(&mut self, position: Position, sensor: &SensorId, here: &Here<'_>) {
        let closed = self.closed.take();
        if closed.is_some_and(|closed| here.now.since(closed) < BOUNCE) {
            return;
        }
        if let Some(closed) = closed {
            self.grants.retain(|grant| closed.since(grant.gateway) <= FALLING);
        }
        self.opened = Some(Opening { gateway: here.now, position, sensor: sensor.clone() });
        if self.settled.is_none() {
            self.crossings.clear();
            self.reads.clear();
        }
    }

    fn grant(&mut self, grant: &Grant, times: u64) {
        let mut left = usize::try_from(times).unwrap_or(usize::MAX);
        let just_crossed = self.crossings.iter_mut().rev().find(|crossing| !crossing.again);
        if let Some(crossing) = just_crossed.filter(|crossing| crossing.granted.is_none())
            && grant.gateway.since(crossing.gateway) <= LATE_GRANT
            && left > 0
        {
            crossing.granted = Some(grant.clone());
            left -= 1;
        }
        let room = CROSSINGS_PER_OPENING.saturating_sub(self.grants.len());
        self.grants.extend(core::iter::repeat_n(grant.clone(), room.min(left)));
    }

    fn cross(&mut self, mut crossing: Crossing, here: &mut Here<'_>) {
        let lasts = grant_lasts(here.site);
        self.grants.retain(|grant| crossing.gateway.since(grant.gateway) <= lasts);
        if self.settled.is_none() {
            self.crossings.retain(|before| crossing.gateway.since(before.gateway) <= lasts);
            let known: Vec<Position> = self.crossings.iter().map(|before| before.vehicle).collect();
            self.reads.retain(|(vehicle, ..)| *vehicle == crossing.vehicle || known.contains(vehicle));
        }
        if !crossing.again && !self.grants.is_empty() {
            crossing.granted = Some(self.grants.remove(0));
        }
        if self.crossings.len() == CROSSINGS_PER_OPENING {
            // The first granted one stays: it is what the others followed.
            self.crossings.remove(1);
        }
        let gateway = crossing.gateway;
        self.crossings.push(crossing);
        if self.followers(here).is_some_and(|(_, followers)| followers.last().is_some_and(|it| it.gateway == gateway)) {
            self.settled = Some(gateway.after(settle(here)));
        }
        self.judge(here);
    }

    /// Those that crossed behind a granted vehicle without a grant of their own, and the one they followed.
    fn followers(&self, here: &Here<'_>) -> Option<(&Crossing, Vec<&Crossing>)> {
        let lasts = grant_lasts(here.site);
        let uncovered = |crossing: &Crossing| {
            crossing.granted.is_none()
                && crossing.arm != Arm::Closed
                && (!crossing.again || self.grants.is_empty())
        };
        let first = self.crossings.iter().position(|crossing| crossing.granted.is_some())?;
        let behind = self.crossings.iter().skip(first + 1);
        let followers: Vec<&Crossing> = behind
            .filter(|crossing| {
                let leader = self.leader_of(crossing);
                uncovered(crossing)
                    && leader.is_some_and(|leader| crossing.gateway.since(leader.gateway) <= lasts)
            })
            .collect();
        let leader = self.leader_of(followers.first()?)?;
        let granted = leader.granted.as_ref()?;
        if !self.life.is_open() {
            here.could_speak_since(Role::Grant, granted.gateway)?;
        }
        Some((leader, followers))
    }

    /// The first grant of this opening, or the first crossing.
    fn began(&self) -> Option<WallTime> {
        let first = self.crossings.first()?;
        Some(first.granted.as_ref().map_or(first.at, |grant| grant.at.min(first.at)))
    }

    fn leader_of(&self, follower: &Crossing) -> Option<&Crossing> {
        let before = self.crossings.iter().take_while(|crossing| crossing.position < follower.position);
        before.filter(|crossing| crossing.granted.is_some()).last()
    }

    fn judge(&mut self, here: &mut Here<'_>) {
        if self.settled.is_none() {
            return;
        }
        let first = self.followers(here).and_then(|(_, followers)| followers.first().map(|it| it.position));
        match (first, self.draft(here)) {
            (Some(first), Some(draft)) if draft.probability() >= 0.5 => {
                self.said = self.followers(here).map_or_else(Vec::new, |(_, followers)| {
                    followers.iter().map(|it| it.position).collect()
                });
                self.life.say(here, first, draft);
            }
            (_, Some(mut draft)) => {
                draft.withdraw("The same plate was read again at the rear.", "It was one long vehicle.");
                self.life.end(here, Phase::Retracted, draft);
            }
            (None, None) if self.life.is_open() => {
                let mut draft = Draft::new(
                    Phrase::words("a second truck passed on one grant"),
                    Phrase::default(),
                    0.02,
                    self.began().unwrap_or(here.wall(here.now)),
                );
                for sensor in here.could_speak_since(Role::Grant, here.now).unwrap_or_default() {
                    draft.said(here, &sensor, &[], Phrase::words("a second grant, read late"), -4.0);
                }
                draft.withdraw(
                    "A grant for the second vehicle was read after it had crossed.",
                    "Every vehicle had a grant of its own.",
                );
                self.life.end(here, Phase::Retracted, draft);
                self.settled = None;
            }
            _ => {}
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let (leader, followers) = self.followers(here)?;
        let (first, last) = (*followers.first()?, *followers.last()?);
        let grant = leader.granted.as_ref()?;
        let close = followers.iter().all(|follower| follower.again);
        let apart = first.at.0.saturating_sub(leader.at.0).max(0) as f64 / 1e9;
        let vehicles = followers.len() + 1;
        let (headline, assessment) = match followers.len() {
            1 => ("a second truck passed on one grant".to_owned(), "Second vehicle entered without a grant.".to_owned()),
            more => (format!("{} more trucks passed on one grant", number(more)), format!("{} vehicles entered without a grant.", capital(&number(more)))),
        };
        // One in fifty crossings behind another turns out to be a tailgater.
        let mut draft = Draft::new(Phrase::words(headline), Phrase::words(assessment), 0.02, grant.at.min(leader.at));
        draft.severity = Severity::Moderate;
        draft.answer_within = Some(Duration::from_secs(300));
        let positions: Vec<Position> =
            core::iter::once(leader).chain(followers.iter().copied()).map(|crossing| crossing.position).collect();
        let (said, weight) = match close {
            true => ("2 pulses close together".to_owned(), 1.5),
            // Every further vehicle makes a long combination less likely.
            false => (format!("{vehicles} vehicles, {apart:.1} s apart"), 3.4 + (vehicles - 2) as f64),
        };
        draft.said(here, &last.sensor, &positions, Phrase::words(said), weight);
        if let Some(opening) = self.opened.as_ref().filter(|_| last.arm == Arm::Open) {
            draft.said(here, &opening.sensor, &[opening.position], Phrase::words("open throughout"), 1.1);
        }
        if let Some(whole) = self.whole.as_ref().filter(|whole| followers.iter().any(|it| it.position == whole.first)) {
            say_whole(whole, here, &mut draft);
        }
        let (granted, following) = self.plates(leader, &followers, close, here, &mut draft);
        self.say_facts(leader, vehicles, apart, &mut draft);
        act(&following, followers.len(), &mut draft);
        draft.subjects = vec![granted, following];
        draft.media = self.footage(leader, &followers);
        let not = 1.0 - draft.probability();
        // Long combinations outnumber grants that get lost by more than three to one; close pulses are nearly always one.
        let long = if close { 0.95 } else { 0.78 } * not;
        draft.alternatives = vec![
            Alternative { text: Phrase::words("one long combination counted twice"), probability: long },
            Alternative {
                text: Phrase::words("second grant lost between controller and gateway"),
                probability: not - long,
            },
        ];
        draft.note_missing(here, &[Role::PlateFront, Role::PlateRear, Role::BarrierOpen]);
        Some(draft)
    }

    fn say_facts(&self, leader: &Crossing, vehicles: usize, apart: f64, draft: &mut Draft) {
        let Some(grant) = leader.granted.as_ref() else { return };
        let began = self.opened.as_ref().map(|opening| opening.gateway);
        let grants = self.crossings.iter().filter(|it| it.granted.is_some() && began.is_none_or(|began| it.gateway >= began));
        let opened = match (leader.arm, grants.count()) {
            (Arm::Unknown, _) => "One passage was granted".into(),
            (_, 0 | 1) => "Arm opened once on one grant".into(),
            (_, more) => format!("Arm was open for {} vehicles, one grant each; the last was granted", number(more)),
        };
        let crossed = if leader.arm == Arm::Unknown { "crossed the lane on it" } else { "crossed the lane before the arm closed" };
        let which = if vehicles > 2 { "the first two " } else { "" };
        draft.facts = vec![
            Phrase::words(opened).detail(FieldClass::Method, Phrase::words(" at ").at(grant.at)).then("."),
            Phrase::words(format!("{} vehicles {crossed}", capital(&number(vehicles))))
                .detail(FieldClass::Method, Phrase::words(format!(", {which}{apart:.1} s apart")))
                .then("."),
        ];
    }

    /// What the cameras say: two plates are two vehicles; the first one's plate read again behind the second is one.
    fn plates(
        &self,
        leader: &Crossing,
        followers: &[&Crossing],
        close: bool,
        here: &Here<'_>,
        draft: &mut Draft,
    ) -> (Subject, Subject) {
        let mut granted = self.reads_of(leader.vehicle);
        let mut following: Vec<&Read> =
            followers.iter().filter(|it| it.vehicle != leader.vehicle).flat_map(|it| self.reads_of(it.vehicle)).collect();
        if close {
            // One vehicle or two that the lane took for one: the plates part them.
            let of_first = granted.first().copied();
            let (first, second) = granted.into_iter().partition(|read| of_first.is_some_and(|of| plates::alike(&of.text, &read.text)));
            (granted, following) = (first, second);
        }
        for rear in [true, false] {
            let one = granted.iter().rfind(|read| read.rear == rear);
            let other = following.iter().find(|read| read.rear == rear);
            if let (Some(one), Some(other)) = (one, other) {
                let weight = if close && rear { TRAILER_PLATE } else { 1.7 };
                draft.said(here, &other.sensor, &[one.position, other.position], Phrase::words("2 different plates"), weight);
            }
        }
        let behind = followers.first().map_or(leader.at, |follower| follower.at);
        let again = granted.iter().find(|read| {
            let before = |known: &&Read| known.at < behind && plates::alike(&known.text, &read.text);
            read.rear && read.at >= behind && granted.iter().any(before)
        });
        if let Some(read) = again.filter(|_| !following.iter().any(|read| read.rear)) {
            draft.said(here, &read.sensor, &[read.position], Phrase::words("the first one's plate again"), SAME_PLATE);
        }
        (subject("vehicle.granted", &granted, leader.at, here), subject("vehicle.following", &following, leader.at, here))
    }

    fn reads_of(&self, vehicle: Position) -> Vec<&Read> {
        self.reads.iter().filter(|(of, ..)| *of == vehicle).map(|(_, read, _)| read).collect()
    }

    /// One piece per camera, the latest: it has the vehicle that followed.
    fn footage(&self, leader: &Crossing, followers: &[&Crossing]) -> Vec<(SensorId, Media)> {
        let concerned = |vehicle| vehicle == leader.vehicle || followers.iter().any(|it| it.vehicle == vehicle);
        let mut footage: Vec<(SensorId, Media)> = Vec::new();
        for (vehicle, read, media) in self.reads.iter().rev() {
            if let Some(media) = media.as_ref().filter(|_| concerned(*vehicle))
                && !footage.iter().any(|(sensor, _)| *sensor == read.sensor)
            {
                footage.push((read.sensor.clone(), media.clone()));
            }
        }
        footage
    }
}

fn whole(passage: &Passage, here: &Here<'_>) -> Whole {
    let approach = passage.approach.as_ref().map(|pulse| (pulse.sensor.clone(), pulse.positions.clone()));
    let scales = here.sensors_with(Role::WeightGross).filter(|(id, _)| here.health(id).is_healthy());
    let unweighed = match passage.mass {
        None if passage.ends.scale => scales.map(|(id, _)| id.clone()).collect(),
        _ => Vec::new(),
    };
    Whole { first: passage.first, approach, unweighed }
}

/// One long vehicle is over the approach loop once, and a vehicle that is let in stops on the scale; one in five loops or
/// scales says otherwise.
fn say_whole(whole: &Whole, here: &Here<'_>, draft: &mut Draft) {
    if let Some((sensor, positions)) = &whole.approach {
        draft.said(here, sensor, positions, Phrase::words("it came by itself"), 1.6);
    }
    for scale in &whole.unweighed {
        draft.absent(here, scale, Phrase::words("did not stop to be weighed"), 1.6);
    }
}

/// The same edge, on a clock whose offset has been found better since.
const SAME_CROSSING_NANOS: u64 = 500_000_000;

/// Followers come close behind.
fn soon(leader: WallTime, follower: WallTime) -> bool {
    follower <= leader.after(Duration::from_secs(20))
}

/// Truck and trailer have different plates at the rear in much of Europe: behind close pulses they say little.
const TRAILER_PLATE: f64 = 0.9;
/// A camera reports the first vehicle's plate so late that it seems the second's in about one of ten: ln(0.1 / 0.9) and a
/// little for bunched repeats.
const SAME_PLATE: f64 = -2.5;

fn act(following: &Subject, followers: usize, draft: &mut Draft) {
    let (which, stop) = match followers {
        1 => ("the second truck".to_owned(), "vehicle 2".to_owned()),
        more => (format!("{} trucks that followed", number(more)), format!("vehicles 2 to {}", more + 1)),
    };
    let brief = match following.identities.first() {
        Some(plate) => {
            Phrase::words("Check truck ").value(FieldClass::QuasiIdentity, plate.value.clone()).then(" in yard.")
        }
        None => Phrase::words(format!("Look for {which} in the yard.")),
    };
    let stop = format!("Stop and identify {stop} in the yard; ask the gate desk for the booking.");
    draft.act(FieldClass::QuasiIdentity, brief, Phrase::words(stop));
    draft.act(
        FieldClass::Public,
        Phrase::words("Hold the lane; do not approach the driver."),
        Phrase::words(
            "Hold the lane if the arm did not close; have the booking at hand for whoever asks by this reference.",
        ),
    );
}

fn subject(role: &str, reads: &[&Read], at: WallTime, here: &Here<'_>) -> Subject {
    let reads: Vec<Read> = reads.iter().map(|read| (*read).clone()).collect();
    let identities = passage::identify(&reads, at, here).map(|plate| SubjectIdentity {
        kind: IdentityKind::Plate,
        value: Private::clear(plate.best.clone()),
        probability: plate.probability,
        alternatives: plate.others.iter().map(|(other, _)| Private::clear(other.clone())).collect(),
        read_by: passage::read_by(&reads),
    });
    Subject { role: role.into(), identities: identities.into_iter().collect() }
}

fn arm(here: &Here<'_>) -> Arm {
    let mut arms = here.sensors_with(Role::BarrierOpen).map(|(id, _)| id);
    let Some(sensor) = arms.next() else { return Arm::Unknown };
    let state = here.sensors.get(sensor).filter(|_| here.health(sensor).is_healthy()).and_then(|memory| memory.contact);
    match state {
        Some(true) => Arm::Open,
        Some(false) => Arm::Closed,
        None => Arm::Unknown,
    }
}

fn settle(here: &Here<'_>) -> Duration {
    here.site.rules.tailgating.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().settle
}

fn number(count: usize) -> String {
    let words = ["no", "one", "two", "three", "four", "five", "six"];
    words.get(count).map_or_else(|| format!("{count}"), |word| (*word).into())
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
