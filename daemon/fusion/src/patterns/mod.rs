//! What site engineers look for in their own words: the patterns of the site file, compiled to flat automata and run.
//!
//! A record is shown only to the patterns that name its sensor: who hears whom is looked up ([`Compiled`]), never scanned
//! for. What is said waits until what came before it should have been heard, so that a pattern sees things in the order in
//! which they happened, whatever order they came in; two things of the same moment are in the order of their sensors. What
//! comes later still moves nothing any more; it counts only as something that was expected, or must not be seen.
//!
//! A pattern has bounds for everything, and its cost is counted in steps of its automata. One that takes more than
//! [`STEPS_PER_RECORD`] for one record is stopped and that is said; the others go on.

mod automaton;
mod compile;
mod conclude;
mod event;
#[cfg(test)]
mod tests;
mod watermark;

pub(crate) use compile::{Compiled, follow};
pub use compile::{sensors_of, zones_of};

use crate::{
    bounds::{EVENTS_WAITING, KEYS_PER_PATTERN, MOST_WEIGHT, SAID_REMEMBERED, STEPS_PER_RECORD, TRACKS_PER_PATTERN},
    evidence::{Draft, Life, logit},
    health::{Change, Memory},
    rules::Here,
    tracks::TrackEvent,
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::String,
    vec::Vec,
};
use automaton::{Count, Hit, Outcome, Runs};
use compile::{Compilation, Near, Watched, Where};
use conclude::{Unsaid, Weighed, could_speak, weigh};
use event::{Event, FOLLOWED, Followed, GATEWAY, Level, Verdict, What};
use quaywatch_schemas::{
    FieldClass, GatewayTime, PatternId, Position, Reading, SensorId, Site, Situation, Stamp, WallTime, ZoneId,
    observation::ObjectClass,
    site::patterns::Says,
    situation::{Phase, Phrase, Severity, SituationId},
};
use serde::{Deserialize, Serialize};

/// The kind of situation that says that a pattern was stopped.
pub const PATTERN_STOPPED: &str = "pattern.stopped";
/// The version of how that is said.
pub(crate) const STOPPED_VERSION: &str = "1.0";

/// What weighing one match costs, in steps.
const WEIGHING: u32 = 4;

/// Everything that patterns remember.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Patterns {
    /// In the order of [`Compiled::places`].
    places: Vec<Place>,
    /// Who asked to be woken when.
    deadlines: BTreeSet<(GatewayTime, u32)>,
}

/// What one pattern remembers in one zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    /// What waits until what came before it should have been heard: by time, then by sensor.
    waiting: VecDeque<Event>,
    /// Values of sensors, by slot and sensor.
    levels: BTreeMap<(u8, u16), Level>,
    keys: BTreeMap<String, Keyed>,
    /// When keys want to be looked at.
    timers: BTreeSet<(WallTime, String)>,
    /// Up to when everything was looked at.
    heard: WallTime,
    /// What is followed in the zone, and where it was last.
    followed: BTreeMap<u64, (ObjectClass, (f64, f64))>,
    /// For which slots which of them is what they wait for.
    watched: BTreeSet<(u8, u64)>,
    /// Situations that were counted, by slot.
    counted: VecDeque<(u8, SituationId)>,
    count: Count,
    /// Matches nobody could know, guards that could not be told, words that came too late.
    unknown: u32,
    unguarded: u32,
    late: u32,
    stopped: bool,
    /// Says that it was stopped.
    stop: Life,
    why: String,
    asked: Option<GatewayTime>,
}

/// What one key has come to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Keyed {
    runs: Runs,
    life: Life,
    said: Option<Weighed>,
    ends_at: Option<WallTime>,
    due: Option<WallTime>,
    touched: WallTime,
}

/// What a place works with.
struct Work<'a> {
    place: &'a Where,
    pattern: &'a Compilation,
    compiled: &'a Compiled,
}

/// What a pattern came to so far: for those who ask why nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternState {
    /// Which.
    pub pattern: PatternId,
    /// Where.
    pub zone: ZoneId,
    /// Stopped, because it cost too much or its guard cannot be read.
    pub stopped: bool,
    /// Beginnings that were let go at a bound.
    pub dropped: u32,
    /// Matches of which nobody could know whether what must not be seen was not.
    pub unknown: u32,
    /// Matches whose guard could not be told.
    pub unguarded: u32,
    /// Words that came too late to move anything.
    pub late: u32,
}

impl Patterns {
    /// The next time a pattern wants to be woken.
    pub(crate) fn next_due(&self) -> Option<(GatewayTime, u32)> {
        self.deadlines.first().copied()
    }

    /// Whether it can have been made with this site.
    pub(crate) fn fits(&self, compiled: &Compiled) -> bool {
        self.places.len() == compiled.places.len()
    }

    /// Beginnings and keys that were let go at a bound.
    pub(crate) fn let_go(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.count.dropped)).sum()
    }

    pub(crate) fn states<'a>(
        &'a self,
        compiled: &'a Compiled,
        zone_name: impl Fn(u32) -> Option<ZoneId> + 'a,
    ) -> impl Iterator<Item = PatternState> + 'a {
        self.places.iter().zip(&compiled.places).filter_map(move |(memory, place)| {
            Some(PatternState {
                pattern: compiled.patterns.get(place.pattern)?.id.clone(),
                zone: zone_name(place.zone)?,
                stopped: memory.stopped,
                dropped: memory.count.dropped,
                unknown: memory.unknown,
                unguarded: memory.unguarded,
                late: memory.late,
            })
        })
    }

    /// A sensor said something: every pattern that names it takes it and looks at what has been heard. Says which places
    /// have something to do.
    pub(crate) fn note(&mut self, compiled: &Compiled, number: usize, said: Noted<'_>) -> Vec<u32> {
        let Some(places) = compiled.by_sensor.get(number).filter(|places| !places.is_empty()) else {
            return Vec::new();
        };
        let what = What::of(said.change, said.reading, said.key);
        let mut woken = Vec::with_capacity(places.len());
        for (place, local) in places {
            let Some(memory) = self.places.get_mut(*place as usize).filter(|memory| !memory.stopped) else { continue };
            woken.push(*place);
            let Some(what) = &what else { continue };
            let Some((pattern, slots)) = compiled.slots(*place, *local) else { continue };
            if !bits(slots).any(|slot| pattern.plan.says(slot).is_some_and(|says| what.touches(says))) {
                continue;
            }
            memory.wait(Event {
                at: said.at,
                source: *local,
                position: said.stamp.position,
                gateway: said.stamp.gateway,
                object: said.object.map(Into::into),
                what: what.clone(),
            });
        }
        woken
    }

    /// The gateway said something: patterns that ask for such a thing wait for its moment to pass.
    pub(crate) fn note_said(&mut self, compiled: &Compiled, zone: u32, situation: &Situation) -> Vec<u32> {
        let Some(places) = compiled.by_zone.get(zone as usize).filter(|places| !places.is_empty()) else {
            return Vec::new();
        };
        let Some(what) = What::said(situation) else { return Vec::new() };
        let mut woken = Vec::new();
        for place in places {
            let wanted = compiled
                .places
                .get(*place as usize)
                .is_some_and(|place| place.said.iter().any(|(_, kind)| kind.matches(&situation.kind)));
            let Some(memory) = self.places.get_mut(*place as usize).filter(|memory| wanted && !memory.stopped) else {
                continue;
            };
            woken.push(*place);
            memory.wait(Event {
                at: situation.concluded_wall,
                source: GATEWAY,
                position: Position(situation.revision.into()),
                gateway: situation.concluded,
                object: None,
                what: what.clone(),
            });
        }
        woken
    }

    /// Something is followed in a zone: patterns that ask for such things take where it is now.
    pub(crate) fn note_track(&mut self, compiled: &Compiled, zone: u32, event: &TrackEvent, now: &Stamp) -> Vec<u32> {
        let Some(places) = compiled.following.get(zone as usize).filter(|places| !places.is_empty()) else {
            return Vec::new();
        };
        let Some(what) = What::followed(event) else { return Vec::new() };
        let mut woken = Vec::new();
        for place in places {
            let Some(memory) = self.places.get_mut(*place as usize).filter(|memory| !memory.stopped) else { continue };
            woken.push(*place);
            memory.wait(Event {
                // The tracker has already put in order what its sensors said.
                at: now.wall,
                source: FOLLOWED,
                position: Position(event.track.number),
                gateway: now.gateway,
                object: None,
                what: what.clone(),
            });
        }
        woken
    }

    /// Lets a place look at everything that has been heard.
    pub(crate) fn work(&mut self, compiled: &Compiled, place: u32, here: &mut Here<'_>) {
        let Some((memory, work)) = self.at(compiled, place) else { return };
        if memory.stopped {
            return;
        }
        let until = watermark::settled(work.place, here);
        memory.look(until, &work, here);
    }

    /// Notes when a place wants to be woken again.
    pub(crate) fn ask_again(&mut self, compiled: &Compiled, place: u32, sensors: &[Memory], wall_offset: i64) {
        let Some(place_memory) = self.places.get_mut(place as usize) else { return };
        let Some(at) = compiled.places.get(place as usize) else { return };
        let wanted = place_memory.wants().map(|moment| watermark::settles(at, moment, sensors, wall_offset));
        if place_memory.asked == wanted {
            return;
        }
        if let Some(asked) = place_memory.asked.take() {
            self.deadlines.remove(&(asked, place));
        }
        if let Some(wanted) = wanted {
            self.deadlines.insert((wanted, place));
            place_memory.asked = Some(wanted);
        }
    }

    /// Takes a deadline that has come.
    pub(crate) fn pop_due(&mut self) -> Option<(GatewayTime, u32)> {
        let (at, place) = self.deadlines.pop_first()?;
        if let Some(memory) = self.places.get_mut(place as usize) {
            memory.asked = None;
        }
        Some((at, place))
    }

    /// A place is looked at no longer: closes what it said.
    pub(crate) fn give_up(&mut self, compiled: &Compiled, place: u32, here: &mut Here<'_>) {
        let Some((memory, work)) = self.at(compiled, place) else { return };
        for keyed in memory.keys.values_mut() {
            if let Some(said) = keyed.said.take() {
                let draft = said.draft(work.pattern, here);
                keyed.life.give_up(here, draft);
            }
        }
    }

    /// The same for what says that it was stopped.
    pub(crate) fn give_up_stopping(&mut self, compiled: &Compiled, place: u32, here: &mut Here<'_>) {
        let Some((memory, work)) = self.at(compiled, place) else { return };
        if memory.stop.is_open() {
            let draft = memory.stop_draft(&work, here);
            memory.stop.give_up(here, draft);
        }
    }

    /// A site takes effect: places that are as they were keep what they remember. Says which are new.
    pub(crate) fn apply(&mut self, before: (&Site, &Compiled), after: (&Site, &Compiled), now: WallTime) -> Vec<u32> {
        let mut known: BTreeMap<Name<'_>, Place> = BTreeMap::new();
        for (memory, place) in core::mem::take(&mut self.places).into_iter().zip(&before.1.places) {
            if let Some(name) = name(before.1, place, before.0) {
                known.insert(name, memory);
            }
        }
        self.deadlines.clear();
        let mut new = Vec::new();
        for (place, number) in after.1.places.iter().zip(0u32..) {
            let name = name(after.1, place, after.0);
            let kept = name.filter(|_| is_as_it_was(before, after, place)).and_then(|name| known.remove(&name));
            let memory = kept.map(|memory| Place { asked: None, ..memory }).unwrap_or_else(|| {
                new.push(number);
                // What happened before it was looked for does not count.
                Place { heard: now, ..Place::default() }
            });
            self.places.push(memory);
        }
        new
    }

    /// Stops a place whose guard cannot be read.
    pub(crate) fn check_guard(&mut self, compiled: &Compiled, place: u32, here: &mut Here<'_>) {
        let Some((memory, work)) = self.at(compiled, place) else { return };
        if let Some(Err(bad)) = &work.pattern.guard {
            memory.stop_because(format!("its guard cannot be read: {bad}"), None, &work, here);
        }
    }

    fn at<'a>(&'a mut self, compiled: &'a Compiled, place: u32) -> Option<(&'a mut Place, Work<'a>)> {
        let memory = self.places.get_mut(place as usize)?;
        let place = compiled.places.get(place as usize)?;
        Some((memory, Work { place, pattern: compiled.patterns.get(place.pattern)?, compiled }))
    }
}

/// One reading, as patterns take it.
#[derive(Clone, Copy)]
pub(crate) struct Noted<'a> {
    pub(crate) reading: &'a Reading,
    pub(crate) change: Change,
    pub(crate) at: WallTime,
    pub(crate) stamp: &'a Stamp,
    pub(crate) object: Option<&'a str>,
    /// Makes handles of credentials that have none.
    pub(crate) key: &'a [u8; 32],
}

type Name<'a> = (&'a PatternId, &'a ZoneId);

fn name<'a>(compiled: &'a Compiled, place: &Where, site: &'a Site) -> Option<Name<'a>> {
    let pattern = compiled.patterns.get(place.pattern)?;
    Some((&pattern.id, site.zones.keys().nth(place.zone as usize)?))
}

/// Places that are no longer, or no longer as they were, once a site takes effect.
pub(crate) fn ending(before: (&Site, &Compiled), after: (&Site, &Compiled)) -> Vec<u32> {
    let lives_on = |old: &Where| {
        let old_name = name(before.1, old, before.0);
        let same = |place: &&Where| name(after.1, place, after.0) == old_name;
        after.1.places.iter().find(same).is_some_and(|place| is_as_it_was(before, after, place))
    };
    let ended = before.1.places.iter().zip(0..).filter(|(old, _)| !lives_on(old));
    ended.map(|(_, place)| place).collect()
}

/// Whether pattern, zone and sensors of a place are what they were.
fn is_as_it_was(before: (&Site, &Compiled), after: (&Site, &Compiled), place: &Where) -> bool {
    let Some(name) = name(after.1, place, after.0) else { return false };
    let same = |old: &&Where| self::name(before.1, old, before.0) == Some(name);
    let Some(old) = before.1.places.iter().find(same) else { return false };
    let sensors = |place: &Where| place.sensors.iter().map(|heard| heard.id.clone()).collect::<Vec<SensorId>>();
    let (old_sensors, sensors) = (sensors(old), sensors(place));
    before.0.patterns.get(name.0) == after.0.patterns.get(name.0)
        && before.0.zones.get(name.1) == after.0.zones.get(name.1)
        && old_sensors == sensors
        && sensors.iter().all(|id| before.0.sensors.get(id) == after.0.sensors.get(id))
}

impl Compiled {
    fn slots(&self, place: u32, local: u16) -> Option<(&Compilation, u32)> {
        let place = self.places.get(place as usize)?;
        Some((self.patterns.get(place.pattern)?, place.sensors.get(usize::from(local))?.slots))
    }

    /// The zone and the pattern of a place, with its kind, its version and its mode.
    pub(crate) fn place(&self, place: u32) -> Option<(u32, &str, &str, quaywatch_schemas::site::rules::Mode)> {
        let place = self.places.get(place as usize)?;
        let pattern = self.patterns.get(place.pattern)?;
        Some((place.zone, &pattern.kind, &pattern.version, pattern.plan.pattern.mode))
    }

    pub(crate) fn count(&self) -> u32 {
        self.places.len() as u32
    }

    /// Whether any pattern asks for what the gateway says itself.
    pub(crate) fn hears_said(&self) -> bool {
        self.by_zone.iter().any(|places| !places.is_empty())
    }
}

impl Place {
    fn wait(&mut self, mut event: Event) {
        // A contact's words of the same moment are in the order in which they came, as its memory took them: an end that
        // went before its beginning would leave a state on for ever.
        if event.what.is_edge() {
            let edges = self.waiting.iter().filter(|known| known.source == event.source && known.what.is_edge());
            event.at = edges.map(|known| known.at).fold(event.at, Ord::max);
        }
        let order = |event: &Event| (event.at, event.source, event.position);
        let place = self.waiting.partition_point(|known| order(known) <= order(&event));
        self.waiting.insert(place, event);
    }

    /// The next moment that must have been heard for something to happen.
    fn wants(&self) -> Option<WallTime> {
        if self.stopped {
            return None;
        }
        let event = self.waiting.front().map(|event| event.at);
        let timer = self.timers.first().map(|(at, _)| *at);
        event.into_iter().chain(timer).min()
    }

    /// Looks at everything before a moment, in the order in which it happened.
    fn look(&mut self, until: WallTime, work: &Work<'_>, here: &mut Here<'_>) {
        loop {
            let crowded = self.waiting.len() > EVENTS_WAITING;
            let event = self.waiting.front().map(|event| event.at).filter(|at| *at < until || crowded);
            let before = event.unwrap_or(until);
            if let Some((at, _)) = self.timers.first().filter(|(at, _)| *at < before) {
                let at = *at;
                let Some((_, key)) = self.timers.pop_first() else { break };
                self.pass(&key, at, work, here);
            } else if event.is_some() {
                let Some(event) = self.waiting.pop_front() else { break };
                let before = self.count.steps;
                self.take(&event, work, here);
                let cost = self.count.steps.saturating_sub(before);
                if cost > STEPS_PER_RECORD {
                    let why = format!("it took {cost} steps for one record; {STEPS_PER_RECORD} are the most");
                    self.stop_because(why, Some(&event), work, here);
                    return;
                }
                // Counted for each record anew.
                self.count.steps = 0;
            } else {
                break;
            }
        }
        self.heard = self.heard.max(until);
    }

    fn take(&mut self, event: &Event, work: &Work<'_>, here: &mut Here<'_>) {
        let plan = &work.pattern.plan;
        let Some(key) = event.what.key(plan.pattern.key, event.source, event.object.as_deref()) else { return };
        let late = event.at < self.heard;
        let hits = match &event.what {
            What::Track(followed) => self.judge_track(followed, event.at, work, here),
            _ => self.judge(event, work, here, late),
        };
        if hits.is_empty() {
            return;
        }
        self.late += u32::from(late);
        self.make_room(&key, work, here);
        let keyed = self.keys.entry(key.clone()).or_default();
        keyed.touched = event.at;
        let outcomes = keyed.runs.take(plan, hits, &mut self.count);
        self.conclude(&key, outcomes, work, here);
        self.time(&key, work);
    }

    /// What an event is to each of the slots that hear its source.
    fn judge(&mut self, event: &Event, work: &Work<'_>, here: &Here<'_>, late: bool) -> Vec<(Hit, Verdict)> {
        let plan = &work.pattern.plan;
        let mut hits = Vec::new();
        let (slots, sensor, positions, domain, weight) = match &event.what {
            What::Said(said) => {
                let slots = work.place.said.iter().filter(|(_, kind)| kind.matches(&said.kind));
                let slots: u32 = slots.fold(0, |bits, (slot, _)| bits | 1 << slot);
                let number = here.sensors.index.sensor(&said.witness);
                let domain = number.and_then(|number| work.compiled.domains.get(number)).copied().unwrap_or(0);
                (slots, said.witness.clone(), said.positions.clone(), domain, Some(said.weight))
            }
            _ => {
                let Some(heard) = work.place.sensors.get(usize::from(event.source)) else { return hits };
                (heard.slots, heard.id.clone(), alloc::vec![event.position], heard.domain, None)
            }
        };
        let role = here.site.sensors.get(&sensor).map(|spec| spec.role);
        for slot in bits(slots) {
            let Some(says) = plan.says(slot).filter(|says| event.what.touches(*says)) else { continue };
            let level = self.levels.entry((slot, event.source)).or_default();
            let mut verdict = event.what.judge(says, role, event.at, level);
            let step = plan.pattern.steps.get(usize::from(slot));
            let compare = step.and_then(|step| step.compare);
            if let Verdict::On(_) = verdict {
                let says_so = compare.is_none_or(|it| event.what.compares(it, event.at, here) == Some(true));
                // What comes too late moves nothing: the order it belongs to is over.
                let counts = says_so && (!late || step.is_none_or(|step| step.absent));
                let said_before = matches!(&event.what, What::Said(said) if !self.is_new(slot, said.id));
                if !counts || said_before {
                    verdict = Verdict::Neither;
                }
            }
            if verdict == Verdict::Neither {
                continue;
            }
            let times = if let Verdict::On(times) = verdict { times } else { 0 };
            let hit = Hit {
                slot,
                at: event.at,
                since: event.at,
                times,
                sensor: sensor.clone(),
                thing: None,
                domain,
                positions: positions.clone(),
                value: event.what.value(),
                weight: weight.map(|weight| weight.clamp(-MOST_WEIGHT, MOST_WEIGHT)),
            };
            hits.push((hit, verdict));
        }
        hits
    }

    /// What it is to each slot where something that is followed is now.
    fn judge_track(
        &mut self,
        followed: &Followed,
        at: WallTime,
        work: &Work<'_>,
        here: &Here<'_>,
    ) -> Vec<(Hit, Verdict)> {
        match followed.inside {
            true if self.followed.len() < TRACKS_PER_PATTERN || self.followed.contains_key(&followed.number) => {
                self.followed.insert(followed.number, (followed.class, followed.place));
            }
            true => return Vec::new(),
            false => {
                self.followed.remove(&followed.number);
            }
        }
        let number = here.sensors.index.sensor(&followed.witness);
        let domain = number.and_then(|number| work.compiled.domains.get(number)).copied().unwrap_or(0);
        let mut hits = Vec::new();
        for watched in &work.place.tracks {
            let known = self.watched.contains(&(watched.slot, followed.number));
            let is = followed.inside
                && watched.class.is_none_or(|class| class == followed.class)
                && self.is_near(followed, watched, known, work);
            let verdict = match (known, is) {
                (false, true) => {
                    self.watched.insert((watched.slot, followed.number));
                    Verdict::On(1)
                }
                (true, false) => {
                    self.watched.remove(&(watched.slot, followed.number));
                    Verdict::Off
                }
                _ => continue,
            };
            let hit = Hit {
                slot: watched.slot,
                at,
                since: at,
                times: u16::from(is),
                sensor: followed.witness.clone(),
                thing: Some(followed.number),
                domain,
                positions: alloc::vec![followed.position],
                value: None,
                weight: Some(logit(followed.existence).clamp(-MOST_WEIGHT, MOST_WEIGHT)),
            };
            hits.push((hit, verdict));
        }
        hits
    }

    /// Whether it is as near as a slot asks for; what was near stays so until it is a metre farther.
    fn is_near(&self, followed: &Followed, watched: &Watched, known: bool, work: &Work<'_>) -> bool {
        let Some(Says::Near(metres)) = work.pattern.plan.says(watched.slot) else { return true };
        let metres = if known { metres + 1.0 } else { metres };
        let (x, y) = followed.place;
        match &watched.near {
            None => true,
            Some(Near::Zone(outline)) => outline.distance(followed.place) < metres,
            Some(Near::Track(class)) => self.followed.iter().any(|(number, (other, place))| {
                let (dx, dy) = (place.0 - x, place.1 - y);
                *number != followed.number
                    && class.is_none_or(|class| class == *other)
                    && dx * dx + dy * dy < metres * metres
            }),
        }
    }

    /// Whether a situation was not counted for a slot before.
    fn is_new(&mut self, slot: u8, id: SituationId) -> bool {
        if self.counted.contains(&(slot, id)) {
            return false;
        }
        if self.counted.len() == SAID_REMEMBERED {
            self.counted.pop_front();
        }
        self.counted.push_back((slot, id));
        true
    }

    /// A key's time has come.
    fn pass(&mut self, key: &str, at: WallTime, work: &Work<'_>, here: &mut Here<'_>) {
        let Some(keyed) = self.keys.get_mut(key) else { return };
        keyed.due = None;
        let until = WallTime(at.0.saturating_add(1));
        let could = |sensor: &SensorId, from: WallTime| could_speak(sensor, from, here);
        let outcomes = keyed.runs.pass(&work.pattern.plan, until, &could, &mut self.count);
        self.conclude(key, outcomes, work, here);
        if let Some(keyed) = self.keys.get_mut(key)
            && keyed.ends_at.is_some_and(|ends| ends <= at)
        {
            keyed.end(keyed.ends_at.unwrap_or(at), work, here);
        }
        self.time(key, work);
    }

    fn conclude(&mut self, key: &str, outcomes: Vec<Outcome>, work: &Work<'_>, here: &mut Here<'_>) {
        let plan = &work.pattern.plan;
        let Some(keyed) = self.keys.get_mut(key) else { return };
        for outcome in outcomes {
            match outcome {
                Outcome::Matched(matched) => {
                    let guard = work.pattern.guard.as_ref().and_then(|guard| guard.as_ref().ok());
                    self.count.steps += WEIGHING + guard.map_or(0, |guard| guard.cost());
                    match weigh(&matched, key, work.pattern, work.place, here) {
                        Ok(mut weighed) => {
                            if let Some(before) = keyed.said.as_ref().filter(|_| keyed.life.is_open()) {
                                weighed.again(before);
                            }
                            let draft = weighed.draft(work.pattern, here);
                            keyed.life.say(here, weighed.first, draft);
                            let lasts = keyed.runs.goes_on(plan);
                            let ends_at = weighed.ended.after(plan.pattern.emit.ends_after);
                            keyed.ends_at = (!lasts).then_some(ends_at);
                            keyed.said = Some(weighed);
                        }
                        Err(Unsaid::Unknown) => self.unknown += 1,
                        Err(Unsaid::GuardFailed) => self.unguarded += 1,
                        Err(Unsaid::NotEnough) => {}
                    }
                }
                Outcome::Over(at) => keyed.end(at, work, here),
            }
        }
    }

    /// Notes when a key wants to be looked at, or forgets it if there is nothing left.
    fn time(&mut self, key: &str, work: &Work<'_>) {
        let Some(keyed) = self.keys.get_mut(key) else { return };
        let wanted = keyed.runs.next_due(&work.pattern.plan).into_iter().chain(keyed.ends_at).min();
        if let Some(before) = keyed.due.filter(|before| Some(*before) != wanted) {
            self.timers.remove(&(before, key.into()));
        }
        keyed.due = wanted;
        match wanted {
            Some(at) => {
                self.timers.insert((at, key.into()));
            }
            None if keyed.runs.is_empty() && !keyed.life.is_open() => {
                self.keys.remove(key);
            }
            None => {}
        }
    }

    /// At the bound the key that was heard of longest ago goes; what was said of it is closed.
    fn make_room(&mut self, key: &str, work: &Work<'_>, here: &mut Here<'_>) {
        if self.keys.len() < KEYS_PER_PATTERN || self.keys.contains_key(key) {
            return;
        }
        let oldest = self.keys.iter().min_by_key(|(key, keyed)| (keyed.touched, *key)).map(|(key, _)| key.clone());
        let Some((key, mut keyed)) = oldest.and_then(|key| self.keys.remove_entry(&key)) else { return };
        self.count.dropped += 1;
        if let Some(due) = keyed.due {
            self.timers.remove(&(due, key));
        }
        let at = here.wall(here.now);
        keyed.end(at, work, here);
    }

    fn stop_because(&mut self, why: String, event: Option<&Event>, work: &Work<'_>, here: &mut Here<'_>) {
        for keyed in self.keys.values_mut() {
            if let Some(said) = keyed.said.take() {
                let draft = said.draft(work.pattern, here);
                keyed.life.give_up(here, draft);
            }
        }
        let stop = core::mem::take(&mut self.stop);
        *self = Self { stopped: true, why, stop, count: self.count, asked: self.asked, ..Self::default() };
        let first = event.map_or(here.position, |event| event.position);
        let draft = self.stop_draft(work, here);
        let mut here = here.speaking_of(PATTERN_STOPPED, STOPPED_VERSION);
        // Each pattern by its name: several may be stopped by one record.
        self.stop.say_of(&mut here, work.pattern.kind.as_str(), first, draft);
    }

    fn stop_draft(&self, work: &Work<'_>, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("something is no longer looked for here"),
            Phrase::words("A pattern of the site file was stopped; the others go on."),
            0.5,
            here.wall(here.now),
        );
        draft.severity = Severity::Moderate;
        let why = Phrase::words(format!("The pattern {} was stopped: {}.", work.pattern.id, self.why));
        draft.facts.push(why);
        draft.act(
            FieldClass::Public,
            Phrase::words("Mend the pattern in the site file."),
            Phrase::words("Mend the pattern in the site file: look for less, or for it in fewer places."),
        );
        if let Some(heard) = work.place.sensors.first() {
            draft.said(here, &heard.id, &[], Phrase::words("heard by the pattern that was stopped"), MOST_WEIGHT);
        }
        draft
    }
}

impl Keyed {
    fn end(&mut self, at: WallTime, work: &Work<'_>, here: &mut Here<'_>) {
        self.ends_at = None;
        let Some(said) = self.said.take() else { return };
        let mut draft = said.draft(work.pattern, here);
        draft.until = Some(at.max(said.ended));
        self.life.end(here, Phase::Closed, draft);
    }
}

fn bits(slots: u32) -> impl Iterator<Item = u8> {
    (0..32).filter(move |slot| slots & (1 << slot) != 0)
}
