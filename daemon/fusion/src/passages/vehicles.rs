//! One vehicle's way through the lane, put together from what was heard.
//!
//! Vehicles do not overtake in a lane: exits take approaches in order. A vehicle is read from ahead while it stands on the
//! approach loop, shows its containers as it drives off it, is weighed and shows its credential once the one before has left,
//! and is read from behind when it has crossed. What was heard while two vehicles were in the lane and could be either's is
//! handed on as shared: what it says decides whose it is.

use super::{Ends, GLITCH, Heard, LIGHTEST_KG, Passages, Pulse, What};
use crate::{
    lane::{LATE_GRANT, Patience},
    plates::Read,
};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
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
    pub(crate) approach: Option<Pulse>,
    /// `None` if it turned out that nothing crossed.
    pub(crate) exit: Option<Pulse>,
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
    /// Plates of those that were in the lane with it.
    pub(crate) neighbours: Vec<String>,
    pub(crate) media: Vec<(SensorId, Media)>,
    pub(crate) told: Told,
    /// Late words have had their time.
    pub(crate) last: bool,
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
            last: true,
        }
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
/// Until so long after it opened.
const READ_AFTER: Duration = Duration::from_secs(3);
/// A source's clock is known to about this much.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// A vehicle that drives off the approach loop so long before the one ahead crosses is the one ahead.
const AHEAD: Duration = Duration::from_secs(8);
/// A rear camera reads until so long after the loop was free.
const REAR_UNTIL: Duration = Duration::from_secs(8);

/// The passage that crossed at a moment; `None` if nothing did.
pub(super) fn put_together(lane: &Passages, crossed: WallTime, first: Position, patience: Patience) -> Option<Passage> {
    let (mut exits, mut approaches) = (lane.exit.pulses(), lane.approach.pulses());
    exits.retain(|pulse| !is_glitch(pulse));
    approaches.retain(|pulse| !is_glitch(pulse));
    let vehicles = vehicles(&exits, &approaches, patience);
    let me = vehicles.iter().position(|vehicle| {
        vehicle.exit.is_some_and(|exit| exit.on <= crossed && exit.off.is_none_or(|off| crossed <= off))
    })?;
    let vehicle = vehicles.get(me)?;
    let exit = vehicle.exit?;
    let before = me.checked_sub(1).and_then(|before| vehicles.get(before)).and_then(|before| before.exit);
    let mut passage = Passage {
        first,
        crossed: exit.on,
        left: exit.off,
        approach: vehicle.approach.cloned(),
        exit: Some(exit.clone()),
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
        last: false,
    };
    let since = before.map_or(exit.on.before(patience.within), |before| before.on);
    for heard in &lane.heard {
        let whose = whose(heard, &vehicles);
        match (&heard.what, whose) {
            (What::Plate(read), Some(index)) if index == me => {
                crate::plates::add(&mut passage.reads, read.clone());
                if let Some(media) = heard.media.as_ref().filter(|_| passage.media.len() < 4) {
                    passage.media.push((heard.sensor.clone(), media.clone()));
                }
            }
            (What::Plate(read), Some(index)) if index.abs_diff(me) == 1 => passage.neighbours.push(read.text.clone()),
            (What::Code(code), Some(index)) if index == me => {
                passage.codes.push((heard.sensor.clone(), heard.position, code.clone()));
            }
            (What::Tag(tag), _) if is_in_lane(vehicle, heard.at) => {
                let others = vehicles.iter().enumerate().filter(|(index, _)| *index != me);
                let shared = others.into_iter().any(|(_, other)| is_in_lane(other, heard.at));
                passage.tags.push((heard.sensor.clone(), heard.position, TagRead { shared, ..tag.clone() }));
            }
            (What::Grant(holder), _) if since < heard.at && heard.at <= exit.on.after(LATE_GRANT) => {
                // One that comes late is for this vehicle only if it had none.
                if heard.at <= exit.on || passage.granted.is_none() {
                    passage.granted = Some((heard.sensor.clone(), heard.position, *holder));
                }
            }
            _ => {}
        }
    }
    passage.neighbours.truncate(8);
    passage.mass = mass(lane, vehicle, since, exit);
    Some(passage)
}

fn is_glitch(pulse: &Pulse) -> bool {
    pulse.off.is_some_and(|off| off < pulse.on.after(GLITCH))
}

/// Gives each exit the approach it came from, in order, and adds those that still wait.
fn vehicles<'a>(exits: &'a [Pulse], approaches: &'a [Pulse], patience: Patience) -> Vec<Vehicle<'a>> {
    let mut vehicles: Vec<Vehicle<'a>> = Vec::with_capacity(exits.len() + 2);
    let mut next = 0;
    let mut ahead: Option<WallTime> = None;
    for exit in exits {
        let mut taken = None;
        for (index, approach) in approaches.iter().enumerate().skip(next) {
            if approach.on >= exit.on {
                break;
            }
            let off = approach.off.unwrap_or(exit.on);
            let too_old = off.after(patience.within) < exit.on || ahead.is_some_and(|ahead| off.after(AHEAD) < ahead);
            next = index + 1;
            if !too_old {
                taken = Some(approach);
                break;
            }
        }
        vehicles.push(Vehicle { approach: taken, exit: Some(exit) });
        ahead = Some(exit.on);
    }
    vehicles.extend(approaches.iter().skip(next).map(|approach| Vehicle { approach: Some(approach), exit: None }));
    vehicles
}

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
            let on_loop = |approach: &Pulse| {
                approach.on.before(READ_BEFORE) <= at && approach.off.is_none_or(|off| at <= off.after(READ_AFTER))
            };
            let seen = vehicles.iter().rposition(|vehicle| vehicle.approach.is_some_and(on_loop));
            seen.or_else(|| next_to_cross(at, vehicles))
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

/// The middle of what the scale settled at while this vehicle alone stood on it.
fn mass(lane: &Passages, vehicle: &Vehicle<'_>, since: WallTime, exit: &Pulse) -> Option<Mass> {
    let drove_on = vehicle.approach.and_then(|approach| approach.off).map(|off| off.before(CLOCK_SLACK));
    let from = drove_on.map_or(since.after(CLOCK_SLACK), |on| on.max(since.after(CLOCK_SLACK)));
    let on_scale = |at: WallTime| from <= at && at <= exit.on.after(CLOCK_SLACK / 4);
    let mut settled: Vec<_> =
        lane.weights.iter().filter(|weight| weight.kg >= LIGHTEST_KG && on_scale(weight.at)).collect();
    settled.sort_by(|a, b| a.kg.total_cmp(&b.kg));
    let middle = settled.get(settled.len() / 2)?;
    Some(Mass { kg: middle.kg, sensor: middle.sensor.clone(), position: middle.position })
}
