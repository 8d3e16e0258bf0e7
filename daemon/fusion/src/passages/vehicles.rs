//! One vehicle's way through the lane, put together from what was heard.
//!
//! Vehicles do not overtake in a lane: exits take approaches in order. A vehicle is read from ahead while it stands on the
//! approach loop, shows its containers as it drives off it, is weighed and shows its credential once the one before has left,
//! and is read from behind when it has crossed. What was heard while two vehicles were in the lane and could be either's is
//! handed on as shared: what it says decides whose it is.

use super::{Ends, GLITCH, Heard, LIGHTEST_KG, NamedPulse, Passages, What, edges::Pulse};
use crate::{
    lane::{LATE_GRANT, Patience},
    plates::Read,
};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::{
    hash::{BuildHasher, Hasher},
    time::Duration,
};
use foldhash::fast::FixedState;
use quaywatch_schemas::{
    Position, SensorId, WallTime,
    observation::{Container, Media, Tag},
    sealed::Handle,
};
use serde::{Deserialize, Serialize};

/// One vehicle's way through.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Passage {
    /// The record of the edge it crossed with: its name within the lane.
    pub(crate) first: Position,
    pub(crate) crossed: WallTime,
    pub(crate) left: Option<WallTime>,
    pub(crate) approach: Option<NamedPulse>,
    /// `None` if it turned out that nothing crossed.
    pub(crate) exit: Option<NamedPulse>,
    /// Whether an approach, an arm and a scale could have been heard.
    pub(crate) ends: Ends,
    pub(crate) reads: Vec<Read>,
    pub(crate) codes: Vec<(SensorId, Position, CodeRead)>,
    pub(crate) tags: Vec<(SensorId, Position, TagRead)>,
    /// The grant it passed on, and whose credential that was.
    pub(crate) granted: Option<(SensorId, Position, Option<Handle>)>,
    pub(crate) mass: Option<Mass>,
    /// The vehicle it followed, if there was one.
    pub(crate) followed: Option<Followed>,
    /// Plates of others that were in the lane lately.
    pub(crate) neighbours: Vec<String>,
    pub(crate) media: Vec<(SensorId, Media)>,
    pub(crate) told: Told,
    /// It was not said before, or not so.
    pub(crate) news: bool,
    /// Late words have had their time.
    pub(crate) last: bool,
    /// Of what conclusions are drawn from.
    pub(crate) digest: u64,
}

/// What was said of a passage before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    Not,
    Said,
}

/// A settled gross mass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mass {
    pub(crate) kg: f64,
    pub(crate) sensor: SensorId,
    pub(crate) position: Position,
}

/// How a vehicle followed the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Followed {
    /// When that one had crossed.
    pub(crate) crossed: WallTime,
    /// Whether the arm was open all the while; `None` if nothing is known of it.
    pub(crate) same_opening: Option<bool>,
}

/// A container code as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CodeRead {
    pub(crate) text: String,
    pub(crate) confidence: f64,
}

/// A tag as it was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TagRead {
    pub(crate) id: String,
    pub(crate) rssi_dbm: Option<i16>,
    /// Another vehicle was in the lane that it could be of.
    pub(crate) shared: bool,
}

impl CodeRead {
    pub(super) fn of(container: &Container) -> Option<Self> {
        let confidence = container.confidence.map_or(0.7, |confidence| confidence.get());
        Some(Self { text: container.code.as_clear()?.into(), confidence })
    }
}

impl TagRead {
    pub(super) fn of(tag: &Tag) -> Option<Self> {
        Some(Self { id: tag.id.as_clear()?.into(), rssi_dbm: tag.rssi_dbm, shared: false })
    }
}

impl Passage {
    /// What was said to be a passage and is none.
    pub(super) fn gone(crossed: WallTime, first: Position) -> Self {
        Self {
            first,
            crossed,
            left: None,
            approach: None,
            exit: None,
            ends: Ends::default(),
            reads: Vec::new(),
            codes: Vec::new(),
            tags: Vec::new(),
            granted: None,
            mass: None,
            followed: None,
            neighbours: Vec::new(),
            media: Vec::new(),
            told: Told::Said,
            news: true,
            last: true,
            digest: 0,
        }
    }

    /// Of everything that conclusions are drawn from; when it left is not.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        let reads = self.reads.iter().map(|read| read.position);
        let codes = self.codes.iter().map(|(_, position, _)| *position);
        let tags = self.tags.iter().map(|(_, position, _)| *position);
        let others = self.granted.iter().map(|(_, position, _)| *position);
        let mass = self.mass.iter().map(|mass| Position(mass.kg.to_bits()));
        for position in reads.chain(codes).chain(tags).chain(others).chain(mass) {
            hasher.write_u64(position.0);
        }
        hasher.write_i64(self.crossed.0);
        hasher.write_i64(self.approach.as_ref().map_or(0, |approach| approach.on.0));
        hasher.write_u8(match self.followed.map(|followed| followed.same_opening) {
            None => 0,
            Some(None) => 1,
            Some(Some(closed)) => 2 + u8::from(closed),
        });
        hasher.write_usize(self.neighbours.len());
        hasher.finish()
    }

    /// When it came.
    pub(crate) fn entered(&self) -> WallTime {
        self.approach.as_ref().map_or(self.crossed, |approach| approach.on.min(self.crossed))
    }
}

/// A vehicle in the lane: with its exit, or still waiting.
struct Vehicle<'a> {
    approach: Option<&'a Pulse>,
    exit: Option<&'a Pulse>,
}

/// A front camera reads a vehicle from so long before the loop closes.
const READ_BEFORE: Duration = Duration::from_millis(1500);
/// And nearly always within this after it closed.
const READ_SOON: Duration = Duration::from_secs(12);
/// Until so long after it opened.
const READ_AFTER: Duration = Duration::from_secs(3);
/// What is said of those ahead and behind is said this long before or after.
const BESIDE: Duration = Duration::from_secs(90);
/// A source's clock is known to about this much.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// A rear camera reads until so long after the loop was free.
const REAR_UNTIL: Duration = Duration::from_secs(8);

/// The passage that crossed at a moment; `None` if nothing did.
pub(super) fn put_together(lane: &Passages, crossed: WallTime, first: Position, patience: Patience) -> Option<Passage> {
    let whole = |pulses: &[Pulse]| {
        let mut whole = Vec::with_capacity(pulses.len());
        whole.extend(pulses.iter().filter(|pulse| !is_glitch(pulse)).copied());
        whole
    };
    let exits = whole(&lane.exit.pulses());
    let approaches = whole(&lane.approach.pulses_before(&exits, || lane.transit.soon()));
    let looked_for = exits.iter().position(|exit| exit.on <= crossed && exit.off.is_none_or(|off| crossed <= off))?;
    let first_exit = exits.len().saturating_sub(EXITS).min(looked_for.saturating_sub(EXITS_BEFORE));
    let exits = exits.get(first_exit..).unwrap_or_default();
    let exits = exits.get(..EXITS).unwrap_or(exits);
    let vehicles = vehicles(exits, first_exit == 0, &approaches, &lane.transit, patience);
    let me = vehicles.iter().position(|vehicle| {
        vehicle.exit.is_some_and(|exit| exit.on <= crossed && exit.off.is_none_or(|off| crossed <= off))
    })?;
    let vehicle = vehicles.get(me)?;
    let exit = vehicle.exit?;
    let before = me.checked_sub(1).and_then(|before| vehicles.get(before)).and_then(|before| before.exit);
    let came = vehicle.approach.map_or(exit.on.before(patience.within), |approach| approach.on);
    let mut passage = Passage {
        first,
        crossed: exit.on,
        left: exit.off,
        approach: vehicle.approach.and_then(|pulse| lane.approach.named(pulse)),
        exit: lane.exit.named(exit),
        ends: lane.ends,
        reads: Vec::new(),
        codes: Vec::new(),
        tags: Vec::new(),
        granted: None,
        mass: None,
        followed: before.map(|before| Followed {
            crossed: before.on,
            same_opening: lane.ends.arm.then(|| lane.arm.closed_between(before.on, exit.on)),
        }),
        neighbours: Vec::new(),
        media: Vec::new(),
        told: Told::Not,
        news: true,
        last: false,
        digest: 0,
    };
    // Nothing that was said before it came or long after it had left is about it or about those beside it.
    let (first, last) = (came.before(BESIDE), exit.off.unwrap_or(exit.on).after(BESIDE));
    let begin = lane.heard.partition_point(|heard| heard.at < first);
    for heard in lane.heard.iter().skip(begin).take_while(|heard| heard.at <= last) {
        let whose = whose(heard, &vehicles);
        match (&heard.what, whose) {
            (What::Plate(read), Some(index)) if index == me => {
                crate::plates::add(&mut passage.reads, read.clone());
                if let Some(media) = heard.media.as_ref().filter(|_| passage.media.len() < 4) {
                    passage.media.push((heard.sensor.clone(), media.clone()));
                }
            }
            (What::Plate(read), Some(_)) if !passage.neighbours.contains(&read.text) => {
                passage.neighbours.push(read.text.clone());
            }
            (What::Code(code), Some(index)) if index == me => {
                passage.codes.push((heard.sensor.clone(), heard.position, code.clone()));
            }
            (What::Tag(tag), _) if is_in_lane(vehicle, heard.at) => {
                let others = vehicles.iter().enumerate().filter(|(index, _)| *index != me);
                let shared = others.into_iter().any(|(_, other)| is_in_lane(other, heard.at));
                passage.tags.push((heard.sensor.clone(), heard.position, TagRead { shared, ..tag.clone() }));
            }
            _ => {}
        }
    }
    passage.granted = granted(lane, &vehicles, me);
    // The one ahead has left the scale when it has left the lane.
    let alone = before.map_or(came, |before| before.off.unwrap_or(before.on.after(CLOCK_SLACK)));
    passage.mass = mass(lane, vehicle, alone, exit);
    Some(passage)
}

fn is_glitch(pulse: &Pulse) -> bool {
    pulse.off.is_some_and(|off| off < pulse.on.after(GLITCH))
}

/// How long vehicles of this lane took from driving off the approach loop to the exit loop, in seconds; the last few.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Transit {
    last: VecDeque<f64>,
    /// The usual time, once it is known.
    usual: Option<f64>,
}

impl Transit {
    pub(super) fn note(&mut self, passage: &Passage) {
        let off = passage.approach.as_ref().and_then(|approach| approach.off);
        if let Some(off) = off {
            if self.last.len() == TRANSITS {
                self.last.pop_front();
            }
            self.last.push_back(seconds_between(off, passage.crossed).max(0.0));
            let mut sorted: Vec<f64> = self.last.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            self.usual = sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= TRANSITS / 3);
        }
    }

    /// Sooner than a vehicle that had stopped on the approach loop reaches the exit loop.
    fn soon(&self) -> Duration {
        let usual = self.usual.unwrap_or(UNKNOWN_TRANSIT);
        Duration::from_secs_f64((0.4 * usual).clamp(0.0, 60.0))
    }

    /// How unlikely it is, in log-likelihood, that a vehicle took that long.
    fn cost(usual: Option<f64>, took: f64, patience: Patience) -> f64 {
        let long = patience.within.as_secs_f64();
        match usual {
            _ if took > long || took < -LONGEST_OVERLAP => 2.0 * MISSED,
            // A truck that is longer than the lane is on both loops at once; that is a little rarer than one that is not.
            None if took < 0.0 => 0.6,
            None => {
                if took < QUEUED {
                    0.5
                } else {
                    1.5
                }
            }
            // Where vehicles stop between the loops, one that is still on the approach has not crossed.
            Some(usual) if usual > STOPS && took < 0.0 => 1.5 * MISSED,
            // Followers do not stop, and some have their papers checked for long.
            Some(usual) if usual > STOPS => {
                let off = libm::log(took.max(0.1) / usual) / SPREAD;
                (0.5 * off * off).min(1.5)
            }
            Some(usual) => (libm::fabs(took - usual) / 5.0).min(1.5),
        }
    }
}

/// Where vehicles take longer than this they stop between the loops, in seconds: 22 m at walking pace take no more.
const STOPS: f64 = 8.0;
/// Who takes longer has waited for something, in seconds.
const QUEUED: f64 = 45.0;
/// Deviation of the logarithm of the time between the loops: half of the vehicles take between two thirds and one and a half
/// times the usual.
const SPREAD: f64 = 0.6;
const TRANSITS: usize = 15;
/// Weighing, a credential and the arm take about this long together, until a lane has shown how long, in seconds.
const UNKNOWN_TRANSIT: f64 = 20.0;
/// A long combination at walking pace needs this long over one loop, in seconds.
const LONGEST_OVERLAP: f64 = 20.0;
/// ln of how seldom a loop misses a vehicle, or a vehicle turns back between the loops: once in some fifty.
const MISSED: f64 = 4.0;
/// Exits that are held against the approaches at once: more vehicles than fit in a lane.
const EXITS: usize = 8;
/// Of these, before the one that is looked at, where that is not one of the last.
const EXITS_BEFORE: usize = 3;

fn seconds_between(from: WallTime, until: WallTime) -> f64 {
    until.0.saturating_sub(from.0) as f64 / 1e9
}

/// Gives each exit the approach it came from, and adds those that still wait: the alignment of both sequences that costs
/// least (Needleman and Wunsch, 1970), because either loop may have missed a vehicle and one may have turned back. `all` says
/// that no exit is known before these.
fn vehicles<'a>(
    exits: &'a [Pulse],
    all: bool,
    approaches: &'a [Pulse],
    transit: &Transit,
    patience: Patience,
) -> Vec<Vehicle<'a>> {
    let oldest = exits.first().map_or(WallTime(i64::MIN), |exit| exit.on.before(patience.within));
    let first = approaches.iter().position(|approach| approach.off.is_none_or(|off| off >= oldest));
    let approaches = approaches.get(first.unwrap_or(approaches.len())..).unwrap_or_default();
    let usual = transit.usual;
    let (rows, columns) = (exits.len() + 1, approaches.len() + 1);
    let at = |row: usize, column: usize| row * columns + column;
    let mut costs = alloc::vec![0.0f64; rows * columns];
    let mut came = alloc::vec![Step::Start; rows * columns];
    for row in 0..rows {
        for column in 0..columns {
            if (row, column) == (0, 0) {
                continue;
            }
            let mut best = (f64::INFINITY, Step::Start);
            let mut offer = |cost: f64, step: Step| {
                if cost < best.0 {
                    best = (cost, step);
                }
            };
            let exit = row.checked_sub(1).and_then(|row| exits.get(row));
            let approach = column.checked_sub(1).and_then(|column| approaches.get(column));
            if let (Some(exit), Some(approach)) = (exit, approach)
                && approach.on < exit.on
            {
                let took = seconds_between(approach.off.unwrap_or(exit.on.after(STILL_THERE)), exit.on);
                offer(costs[at(row - 1, column - 1)] + Transit::cost(usual, took, patience), Step::Both);
            }
            if exit.is_some() {
                offer(costs[at(row - 1, column)] + MISSED, Step::Exit);
            }
            if approach.is_some() {
                // What came before the first exit that is looked at was an earlier exit's, if there was one; what comes after
                // the last still waits.
                let cost = match row {
                    0 if all => MISSED,
                    0 => 0.1,
                    row if row + 1 == rows => 0.0,
                    _ => MISSED,
                };
                offer(costs[at(row, column - 1)] + cost, Step::Approach);
            }
            costs[at(row, column)] = best.0;
            came[at(row, column)] = best.1;
        }
    }
    let mut vehicles: Vec<Vehicle<'a>> = Vec::with_capacity(rows + columns);
    let (mut row, mut column) = (exits.len(), approaches.len());
    loop {
        let (exit, approach) = match came[at(row, column)] {
            Step::Start => break,
            Step::Both => {
                (row, column) = (row - 1, column - 1);
                (exits.get(row), approaches.get(column))
            }
            Step::Exit => {
                row -= 1;
                (exits.get(row), None)
            }
            Step::Approach => {
                column -= 1;
                // It turned back, or its exit was not seen, unless it still waits.
                if row < exits.len() {
                    continue;
                }
                (None, approaches.get(column))
            }
        };
        vehicles.push(Vehicle { approach, exit });
    }
    vehicles.reverse();
    vehicles
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Both,
    Exit,
    Approach,
}

/// One that stands on the approach loop still will leave it at some time after now.
const STILL_THERE: Duration = Duration::from_secs(2);

/// Whose plate or code was read, as far as the time says.
fn whose(heard: &Heard, vehicles: &[Vehicle<'_>]) -> Option<usize> {
    let at = heard.at;
    match &heard.what {
        What::Plate(read) if read.rear => vehicles.iter().rposition(|vehicle| {
            vehicle.exit.is_some_and(|exit| {
                exit.on <= at.after(CLOCK_SLACK) && exit.off.is_none_or(|off| at <= off.after(REAR_UNTIL))
            })
        }),
        What::Plate(_) => {
            let on_loop = |vehicle: &Vehicle<'_>| {
                let Some(approach) = vehicle.approach else { return false };
                // A loop that does not open again is stuck: whoever crossed is off it.
                let off = approach.off.or(vehicle.exit.map(|exit| exit.on));
                approach.on.before(READ_BEFORE) <= at && off.is_none_or(|off| at <= off.after(READ_AFTER))
            };
            // Of those that stand there the one that came last is in view.
            let came = |vehicle: &Vehicle<'_>| vehicle.approach.map(|approach| approach.on);
            let seen = vehicles.iter().enumerate().filter(|(_, vehicle)| on_loop(vehicle));
            let seen = seen.max_by_key(|(_, vehicle)| came(vehicle));
            let just_came = seen.filter(|(_, vehicle)| came(vehicle).is_some_and(|came| at <= came.after(READ_SOON)));
            let index = |found: Option<(usize, &Vehicle<'_>)>| found.map(|(index, _)| index);
            // Where the loop is stuck or lost, whoever crosses next without having been on it.
            index(just_came).or_else(|| next_to_cross(at, vehicles)).or(index(seen))
        }
        What::Code(_) => {
            // Read as it drives off the approach loop, or past a portal right behind it.
            let distance = |vehicle: &Vehicle<'_>| {
                let approach = vehicle.approach?;
                let off = approach.off.or(vehicle.exit.map(|exit| exit.on))?;
                let could = approach.on <= at && vehicle.exit.is_none_or(|exit| at <= exit.on.after(READ_AFTER));
                could.then(|| off.0.abs_diff(at.0))
            };
            let nearest = vehicles.iter().enumerate().filter_map(|(index, vehicle)| Some((distance(vehicle)?, index)));
            nearest.min().map(|(_, index)| index).or_else(|| next_to_cross(at, vehicles))
        }
        What::Tag(_) | What::Grant(_) => None,
    }
}

/// Without an approach that fits: the vehicle that crossed next.
fn next_to_cross(at: WallTime, vehicles: &[Vehicle<'_>]) -> Option<usize> {
    let index =
        vehicles.iter().position(|vehicle| vehicle.exit.is_some_and(|exit| at <= exit.on.after(CLOCK_SLACK)))?;
    vehicles.get(index).filter(|vehicle| vehicle.approach.is_none()).map(|_| index)
}

fn is_in_lane(vehicle: &Vehicle<'_>, at: WallTime) -> bool {
    let came = vehicle.approach.map(|approach| approach.on.before(CLOCK_SLACK));
    let left = vehicle.exit.map(|exit| exit.on.after(CLOCK_SLACK));
    let stood = Duration::from_secs(60);
    came.or(left.map(|left| left.before(stood))).is_some_and(|came| came <= at) && left.is_none_or(|left| at <= left)
}

/// The grant a vehicle passed on: the last that was given while it was next, else the oldest that nobody used before it, else
/// one that was read just after it had crossed.
fn granted(lane: &Passages, vehicles: &[Vehicle<'_>], me: usize) -> Option<(SensorId, Position, Option<Handle>)> {
    let mut grants: Vec<(&Heard, Option<Handle>)> = Vec::new();
    for heard in &lane.heard {
        let What::Grant(holder) = heard.what else { continue };
        // Who shows a credential twice is let in once.
        let again = holder.is_some()
            && grants.iter().any(|(before, of)| *of == holder && heard.at <= before.at.after(GRANT_LASTS));
        if !again {
            grants.push((heard, holder));
        }
    }
    let mut used: Vec<bool> = grants.iter().map(|_| false).collect();
    let mut ahead = WallTime(i64::MIN);
    for (index, vehicle) in vehicles.iter().enumerate().take(me + 1) {
        let Some(exit) = vehicle.exit else { continue };
        let free = |index: &usize| !used.get(*index).copied().unwrap_or(true);
        let at = |index: usize| grants.get(index).map_or(WallTime(i64::MAX), |(heard, _)| heard.at);
        let lasts = exit.on.before(GRANT_LASTS);
        let own = (0..grants.len()).rev().filter(free).find(|index| ahead < at(*index) && at(*index) <= exit.on);
        let left = || (0..grants.len()).filter(free).find(|index| lasts <= at(*index) && at(*index) <= exit.on);
        let late = || {
            let late = exit.on.after(LATE_GRANT);
            (0..grants.len()).filter(free).find(|index| exit.on < at(*index) && at(*index) <= late)
        };
        let grant = own.or_else(left).or_else(late);
        if let Some(used) = grant.and_then(|grant| used.get_mut(grant)) {
            *used = true;
        }
        if index == me {
            let (heard, holder) = grants.get(grant?)?;
            return Some((heard.sensor.clone(), heard.position, *holder));
        }
        ahead = exit.on;
    }
    None
}

/// A grant nobody uses lapses: badge to second loop of the slowest truck took 41 s.
const GRANT_LASTS: Duration = Duration::from_secs(60);

/// The middle of what the scale settled at while this vehicle alone stood on it.
fn mass(lane: &Passages, vehicle: &Vehicle<'_>, alone: WallTime, exit: &Pulse) -> Option<Mass> {
    let settled_from = |from: WallTime| -> Vec<_> {
        let on_scale = |at: WallTime| from <= at && at <= exit.on.after(CLOCK_SLACK / 4);
        let begin = lane.weights.partition_point(|weight| weight.at < from);
        let there = lane.weights.iter().skip(begin).take_while(|weight| on_scale(weight.at));
        there.filter(|weight| weight.kg >= LIGHTEST_KG).collect()
    };
    // Behind the approach loop, or, where the scale lies under it, on it.
    let drove_on = vehicle.approach.and_then(|approach| approach.off).map(|off| off.before(CLOCK_SLACK));
    let mut settled = settled_from(drove_on.map_or(alone, |on| on.max(alone)));
    if settled.is_empty() {
        settled = settled_from(vehicle.approach.map_or(alone, |approach| approach.on.max(alone)));
    }
    settled.sort_by(|a, b| a.kg.total_cmp(&b.kg));
    let middle = settled.get(settled.len() / 2)?;
    Some(Mass { kg: middle.kg, sensor: middle.sensor.clone(), position: middle.position })
}
