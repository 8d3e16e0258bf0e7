//! Wrong way: a vehicle drives through a lane against its direction.
//!
//! It comes over the exit loop with nothing on the approach loop before it, and over the approach loop next; nothing then goes
//! on over the exit loop. Each of these happens the right way too: a loop misses a vehicle, the next one arrives, and it turns
//! back. So each counts for as much as it is rarer then, and the loops of one controller never decide it beyond doubt. Plates
//! do: read at the exit first and at the approach after it is one vehicle the wrong way, two plates are two vehicles.
//!
//! It is said as soon as it is likelier than not: with plates at once, without them when whoever stood before the arm should
//! have gone on. Through an arm that stayed down nobody came. A lane that leads both ways has no wrong one. If a loop could
//! not have spoken, nothing is said: which end somebody came in by is unknown then.

use super::{Here, Kind, Look, Rule, Seen, Signal, Stream};
use crate::{
    bounds::{READS_PER_OPENING, VEHICLES_PER_LANE},
    engine::grant_lasts,
    evidence::{Draft, Life, weight},
    health::Change,
    identity,
    lane::{LaneEvent, Patience},
    passages::Passage,
    plates::{self, Read},
};
use alloc::{collections::VecDeque, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Private, SensorId, WallTime,
    observation::Media,
    site::{Direction, Role, ZoneKind},
    situation::{Alternative, IdentityKind, Phase, Phrase, Severity, Subject, SubjectIdentity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.wrong-way",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| {
        let one_way = site.zones.get(zone).is_some_and(|zone| zone.direction != Some(Direction::Both));
        site.rules.wrong_way.as_ref().filter(|rule| one_way && rule.runs_in(zone)).map(|rule| rule.mode)
    },
    hears: |role| role == Role::LoopApproach,
    follows: &[Stream::Lane],
};

/// What is remembered of one lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct WrongWay {
    /// Who came over the exit loop unseen before, oldest first. At the bound the oldest goes.
    unseen: VecDeque<Pulse>,
    /// Who then came over the approach loop, oldest first. At the bound the oldest is decided.
    going: VecDeque<Going>,
    /// When vehicles arrived at the approach loop, the last few.
    arrivals: VecDeque<WallTime>,
    /// Grants that nobody has crossed on yet.
    grants: VecDeque<GatewayTime>,
    /// When a vehicle last crossed the exit loop.
    crossed: Option<WallTime>,
    /// When the arm came down.
    closed: Option<WallTime>,
    /// What cameras read, oldest first. At the bound the oldest goes.
    reads: VecDeque<(Read, Option<Media>)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pulse {
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    sensor: SensorId,
    granted: bool,
    /// Right behind another: loops take two that drive bumper to bumper for one.
    close_behind: bool,
}

/// Somebody who may have gone the wrong way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Going {
    exit: Pulse,
    approach: Pulse,
    /// When it was off the approach loop.
    off: Option<WallTime>,
    /// The arm was down from when it crossed until it came to the approach loop.
    arm_stayed_down: bool,
    /// Probability that another vehicle would have come by then.
    another: f64,
    decided_at: GatewayTime,
    life: Life,
}

/// One passage in two hundred, where nothing but a sign keeps people from it. Nobody has counted them.
const PRIOR: f64 = 0.005;
/// From the exit loop to the approach loop: 22 m at walking pace take 16 s, and it may wait for one that comes towards it.
const THROUGH: Duration = Duration::from_secs(60);
/// It comes over the other loop by then, and its order is seen.
const COMES: f64 = 0.9;
/// A drawbar opens the loop for less: before the arm, vehicles that follow leave more.
const SAME_VEHICLE: Duration = Duration::from_secs(1);
/// How far apart vehicles arrive in a lane of which it is not known yet: thirty an hour.
const USUAL_GAP: f64 = 120.0;
const ARRIVALS: usize = 8;
/// What hardly ever happens in a lane.
const SELDOM: f64 = 0.02;
/// Who crosses so soon behind another may have come over the approach loop with it as one: every other one does.
const CLOSE: Duration = Duration::from_secs(15);
const MERGED: f64 = 0.5;
/// One vehicle in twenty crosses without a grant that was read, and as many with one that was meant for another.
const UNGRANTED: f64 = 0.05;
/// One in twenty turns back before the arm, or goes on unseen.
const TURNS_BACK: f64 = 0.05;
/// Nobody drives through an arm that is down; its switch is wrong once in fifty.
const THROUGH_THE_ARM: f64 = 0.02;
/// Who has passed comes straight back to the other end once in some two hundred passages.
const COMES_BACK: f64 = 0.005;
/// Both cameras read their plate of the same vehicle.
const BOTH_READ: f64 = 0.8;
/// One vehicle is read so differently by two cameras that the reads are not alike.
const MISREAD: f64 = 0.05;
/// A camera reads a vehicle from so long before it is over the loop there until so long after it is off it.
const READ_AROUND: Duration = Duration::from_secs(5);
/// Who came the right way was read before the arm within this.
const CAME_BEFORE: Duration = Duration::from_secs(90);

impl Rule for WrongWay {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        match seen {
            Seen::Reading(signal) => match signal.change {
                Change::Rose => self.arrive(signal, here),
                Change::Fell => self.drive_off(signal, here),
                _ => {}
            },
            Seen::Lane(LaneEvent::Crossed { at, gateway, position, sensor, vehicle, again: false }) => {
                let lasts = grant_lasts(here.site);
                self.grants.retain(|grant| gateway.since(*grant) <= lasts);
                let granted = self.grants.pop_front().is_some();
                let close_behind = self.crossed.replace(*at).is_some_and(|before| *at <= before.after(CLOSE));
                // The lane knows of nobody who waited for this.
                if vehicle == position {
                    push(&mut self.unseen, VEHICLES_PER_LANE, Pulse {
                        at: *at,
                        gateway: *gateway,
                        position: *position,
                        sensor: sensor.clone(),
                        granted,
                        close_behind,
                    });
                }
            }
            Seen::Lane(LaneEvent::Granted { gateway, times, .. }) => {
                for _ in 0..(*times).min(VEHICLES_PER_LANE as u64) {
                    push(&mut self.grants, VEHICLES_PER_LANE, *gateway);
                }
            }
            Seen::Lane(LaneEvent::Closed { at }) => self.closed = Some(*at),
            Seen::Lane(LaneEvent::Plate { read, media, .. }) => {
                push(&mut self.reads, READS_PER_OPENING, (read.clone(), media.clone()));
                self.judge_all(here);
            }
            Seen::Lane(LaneEvent::Passed(passed)) => self.went_on(&passed.0, here),
            Seen::Lane(_) | Seen::Trail(_) | Seen::Track(_) => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        while let Some(index) = self.going.iter().position(|going| going.decided_at <= here.now) {
            self.decide(index, here);
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.going.iter().map(|going| going.decided_at).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for mut going in core::mem::take(&mut self.going) {
            let draft = self.draft(&going, here);
            going.life.give_up(here, draft);
        }
    }
}

impl WrongWay {
    /// Somebody is on the approach loop: who came over the exit loop unseen, or a new vehicle.
    fn arrive(&mut self, signal: &Signal<'_>, here: &mut Here<'_>) {
        let same = |going: &Going| going.off.is_none_or(|off| signal.at <= off.after(SAME_VEHICLE));
        if let Some(last) = self.going.back_mut().filter(|last| same(last)) {
            last.off = None;
            return;
        }
        let another = self.chance_of_another();
        push(&mut self.arrivals, ARRIVALS, signal.at);
        self.unseen.retain(|exit| signal.at <= exit.at.after(THROUGH));
        let Some(exit) = self.unseen.front().filter(|exit| exit.at < signal.at) else { return };
        let knew = here.could_speak_since(Role::LoopApproach, here.gateway(exit.at.before(patience(here).within)));
        let Some(exit) = self.unseen.pop_front().filter(|_| knew.is_some()) else { return };
        if self.going.len() == VEHICLES_PER_LANE {
            self.decide(0, here);
        }
        let approach = Pulse {
            at: signal.at,
            gateway: here.now,
            position: signal.position,
            sensor: signal.sensor.clone(),
            granted: false,
            close_behind: false,
        };
        let arm_stayed_down = self.arm_stayed_down(exit.at, here);
        let decided_at = here.now.after(patience(here).within);
        self.going.push_back(Going {
            exit,
            approach,
            off: None,
            arm_stayed_down,
            another,
            decided_at,
            life: Life::default(),
        });
        self.judge_all(here);
    }

    /// It is off the approach loop: from now on it would be on its way through, if it came the right way.
    fn drive_off(&mut self, signal: &Signal<'_>, here: &mut Here<'_>) {
        let decided_at = here.now.after(patience(here).within);
        for going in self.going.iter_mut().filter(|going| going.off.is_none() && going.approach.sensor == *signal.sensor) {
            going.off = Some(signal.at);
            going.decided_at = decided_at;
        }
    }

    /// A vehicle has passed the right way: if it is the one that came to the approach loop, it had not come from behind.
    fn went_on(&mut self, passage: &Passage, here: &mut Here<'_>) {
        let Some(came) = passage.approach.as_ref().map(|approach| approach.on) else { return };
        let is_it = |going: &Going| going.approach.at == came;
        let Some(index) = self.going.iter().position(is_it) else { return };
        let read_both_ways = self.going.get(index).is_some_and(|going| self.plates(going).same.is_some());
        if read_both_ways {
            return;
        }
        if let Some(mut going) = self.going.remove(index) {
            let mut draft = self.draft(&going, here);
            draft.withdraw("The vehicle before the arm went on through the lane.", "Two vehicles passed the right way.");
            going.life.end(here, Phase::Retracted, draft);
        }
    }

    fn judge_all(&mut self, here: &mut Here<'_>) {
        for index in 0..self.going.len() {
            let Some(going) = self.going.get(index) else { break };
            // Without a plate that was read both ways it may still go on.
            if !going.life.is_open() && self.plates(going).same.is_none() {
                continue;
            }
            let draft = self.draft(going, here);
            if let Some(going) = self.going.get_mut(index).filter(|it| it.life.is_open() || draft.probability() >= least(here)) {
                going.life.say(here, going.exit.position, draft);
            }
        }
    }

    /// It has had its time to go on.
    fn decide(&mut self, index: usize, here: &mut Here<'_>) {
        let Some(mut going) = self.going.remove(index) else { return };
        let stands_there = going.off.is_none()
            && here.sensors.get(&going.approach.sensor).is_some_and(|memory| memory.contact == Some(true));
        if stands_there && going.decided_at <= here.now {
            going.decided_at = here.now.after(patience(here).within);
            self.going.insert(index, going);
            return;
        }
        let mut draft = self.draft(&going, here);
        let first = going.exit.position;
        if !going.life.is_open() && draft.probability() >= least(here) {
            going.life.say(here, first, draft.clone());
        }
        draft.actions.clear();
        going.life.end(here, Phase::Closed, draft);
    }

    fn draft(&self, going: &Going, here: &Here<'_>) -> Draft {
        let (exit, approach) = (&going.exit, &going.approach);
        let mut draft = Draft::new(
            Phrase::words("a vehicle drove through the lane the wrong way"),
            Phrase::words("It came in at the lane's end and left before its arm."),
            PRIOR,
            exit.at,
        );
        draft.severity = Severity::Severe;
        draft.urgency = Urgency::Immediate;
        draft.answer_within = Some(Duration::from_secs(300));
        draft.until = going.off;
        let apart = approach.at.0.saturating_sub(exit.at.0) as f64 / 1e9;
        draft.said(here, &exit.sensor, &[exit.position], Phrase::words("occupied first"), 0.0);
        let missed = here.site.sensors.get(&approach.sensor).map_or(0.0, |spec| 1.0 - spec.rates.detection);
        let missed = if exit.close_behind { MERGED } else { missed.max(SELDOM) };
        draft.absent(here, &approach.sensor, Phrase::words("nothing before that"), weight(1.0 - SELDOM, missed));
        let said = Phrase::words(format!("occupied {apart:.1} s later"));
        draft.said(here, &approach.sensor, &[approach.position], said, weight(COMES, going.another));
        self.say_grant(going, here, &mut draft);
        for (arm, _) in here.sensors_with(Role::BarrierOpen).take(1).filter(|_| going.arm_stayed_down) {
            draft.absent(here, arm, Phrase::words("down all the while"), weight(THROUGH_THE_ARM, 1.0));
        }
        let in_time = going.decided_at <= here.now && going.off.is_some();
        if in_time && here.could_speak_since(Role::LoopExit, approach.gateway).is_some() {
            let said = Phrase::words("nothing went on over it");
            draft.absent(here, &exit.sensor, said, weight(1.0 - SELDOM, TURNS_BACK));
        }
        self.say_plates(going, here, &mut draft);
        draft.facts = vec![
            Phrase::words("A vehicle was at the end of the lane, and")
                .detail(FieldClass::Method, Phrase::words(format!(" {apart:.1} s")))
                .then(" later before its arm; none had come in before the arm."),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Stop the lane."),
            Phrase::words("Stop the lane; look where the vehicle went and who let it in."),
        );
        let not = 1.0 - draft.probability();
        draft.alternatives = vec![
            Alternative {
                text: Phrase::words("one passed that the first loop missed, and another turned back"),
                probability: 0.8 * not,
            },
            Alternative { text: Phrase::words("one backed off the exit loop"), probability: 0.2 * not },
        ];
        draft.note_missing(here, &[Role::Grant, Role::PlateFront, Role::PlateRear, Role::BarrierOpen]);
        draft
    }

    fn say_grant(&self, going: &Going, here: &Here<'_>, draft: &mut Draft) {
        let from = here.gateway(going.exit.at.before(grant_lasts(here.site)));
        let Some(grants) = here.could_speak_since(Role::Grant, from) else { return };
        // Who drives close behind another without a grant goes the right way more often than not.
        let ungranted = if going.exit.close_behind { MERGED } else { UNGRANTED };
        let share = weight(1.0 - UNGRANTED, ungranted) / grants.len() as f64;
        for grant in &grants {
            if going.exit.granted {
                draft.said(here, grant, &[], Phrase::words("somebody was let in then"), -share);
            } else {
                draft.absent(here, grant, Phrase::words("nobody was let in then"), share);
            }
        }
    }

    fn say_plates(&self, going: &Going, here: &Here<'_>, draft: &mut Draft) {
        let plates = self.plates(going);
        let plate = |read: &Read| Phrase::words("plate ").value(FieldClass::QuasiIdentity, Private::clear(read.text.clone()));
        if let Some(before) = plates.came_the_right_way {
            let said = plate(before).then(", before it was on the exit loop");
            draft.said(here, &before.sensor, &[before.position], said, weight(COMES_BACK, BOTH_READ));
        }
        match (plates.same, plates.exit.last(), plates.approach.last()) {
            (Some((first, then)), ..) => {
                let share = 0.5 * weight(BOTH_READ, COMES_BACK);
                draft.said(here, &first.sensor, &[first.position], plate(first).then(" first"), share);
                draft.said(here, &then.sensor, &[then.position], plate(then).then(" after it"), share);
                let both = [first.clone(), then.clone()];
                let whose = identity::of_reads(&both, going.exit.at, here.statements, here.site, here.zone_id);
                let identities = whose.map(|plate| SubjectIdentity {
                    kind: IdentityKind::Plate,
                    value: Private::clear(plate.best),
                    probability: plate.probability,
                    alternatives: plate.others.into_iter().map(|(other, _)| Private::clear(other)).collect(),
                    read_by: vec![first.sensor.clone(), then.sensor.clone()],
                });
                draft.subjects = vec![Subject { role: "vehicle".into(), identities: identities.into_iter().collect() }];
                let footage = self.reads.iter().filter(|(read, _)| *read == *first || *read == *then);
                draft.media = footage.filter_map(|(read, media)| Some((read.sensor.clone(), media.clone()?))).collect();
            }
            (None, Some(first), Some(then)) => {
                let share = 0.5 * weight(MISREAD, 1.0 - MISREAD);
                draft.said(here, &first.sensor, &[first.position], plate(first), share);
                draft.said(here, &then.sensor, &[then.position], plate(then).then(", another"), share);
            }
            _ => {}
        }
        if draft.subjects.is_empty() {
            draft.subjects = vec![Subject { role: "vehicle".into(), identities: Vec::new() }];
        }
    }

    fn plates(&self, going: &Going) -> Plates<'_> {
        let (exit, approach) = (going.exit.at, going.approach.at);
        let within = |read: &Read, from: WallTime, until: WallTime| from <= read.at && read.at <= until;
        let reads = || self.reads.iter().map(|(read, _)| read);
        let off = going.off.unwrap_or(approach).after(READ_AROUND);
        let at_exit = |read: &&Read| read.rear && within(read, exit.before(READ_AROUND), exit.after(READ_AROUND));
        let at_approach = |read: &&Read| !read.rear && within(read, approach.before(READ_AROUND), off) && read.at > exit;
        let (at_exit, at_approach): (Vec<&Read>, Vec<&Read>) =
            (reads().filter(at_exit).collect(), reads().filter(at_approach).collect());
        let pairs = at_exit.iter().flat_map(|first| at_approach.iter().map(move |then| (*first, *then)));
        let same = pairs.into_iter().find(|(first, then)| first.at < then.at && plates::alike(&first.text, &then.text));
        let came = |read: &&Read| {
            !read.rear
                && within(read, exit.before(CAME_BEFORE), exit)
                && at_exit.iter().any(|rear| plates::alike(&rear.text, &read.text))
        };
        let came_the_right_way = reads().find(came);
        Plates { exit: at_exit, approach: at_approach, same, came_the_right_way }
    }

    /// Probability that a vehicle arrives within the time it takes to drive through.
    fn chance_of_another(&self) -> f64 {
        let span = self.arrivals.front().zip(self.arrivals.back()).map(|(first, last)| last.0.saturating_sub(first.0));
        let gap = match span {
            Some(span) if self.arrivals.len() >= ARRIVALS / 2 => span as f64 / 1e9 / (self.arrivals.len() - 1) as f64,
            _ => USUAL_GAP,
        };
        1.0 - libm::exp(-THROUGH.as_secs_f64() / gap.max(1.0))
    }

    /// Whether the arm was down from a moment until now, as far as its switch could say.
    fn arm_stayed_down(&self, from: WallTime, here: &Here<'_>) -> bool {
        let Some(arms) = here.could_speak_since(Role::BarrierOpen, here.gateway(from)) else { return false };
        let down = |arm: &SensorId| here.sensors.get(arm).is_some_and(|memory| memory.contact == Some(false));
        arms.iter().all(down) && self.closed.is_none_or(|closed| closed < from)
    }
}

/// What cameras read of somebody who may have gone the wrong way.
struct Plates<'a> {
    exit: Vec<&'a Read>,
    approach: Vec<&'a Read>,
    /// One plate, at the exit first and at the approach after it.
    same: Option<(&'a Read, &'a Read)>,
    /// The plate at the exit was read before the arm before that.
    came_the_right_way: Option<&'a Read>,
}

fn push<T>(queue: &mut VecDeque<T>, most: usize, one: T) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(one);
}

fn patience(here: &Here<'_>) -> Patience {
    let settings = here.site.rules.passage.as_ref().map(|rule| &rule.settings);
    settings.map_or_else(Patience::usual, |settings| Patience { within: settings.within, settle: settings.settle })
}

fn least(here: &Here<'_>) -> f64 {
    here.site.rules.wrong_way.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_vehicle_is_the_likelier_the_busier_the_lane_is() {
        let arriving_every = |seconds: i64| {
            let arrivals = (0..6).map(|number| WallTime(number * seconds * 1_000_000_000)).collect();
            WrongWay { arrivals, ..WrongWay::default() }.chance_of_another()
        };
        let unknown = WrongWay::default().chance_of_another();
        assert!((unknown - 0.393).abs() < 0.001, "one in two minutes: 1 - exp(-60/120) = {unknown}");
        assert!(arriving_every(20) > 0.9 && arriving_every(600) < 0.1);
        let all_at_once = arriving_every(0);
        assert!((0.0..=1.0).contains(&all_at_once), "{all_at_once}");
    }

    #[test]
    fn queues_keep_the_newest() {
        let mut queue = VecDeque::new();
        (0..5).for_each(|number| push(&mut queue, 3, number));
        assert_eq!(queue, [2, 3, 4]);
    }
}
