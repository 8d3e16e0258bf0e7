//! What passed through a lane, in the time in which it happened.
//!
//! [`crate::lane`] follows the pulses as they arrive, for rules that must speak at once. This is the other look at the same
//! lane: everything heard is kept in the order of when it was, and from it each passage is put together when it is asked
//! for. So it does not matter in which order things arrived, and a read that comes twenty seconds late changes the passage it
//! belongs to: it is put together anew, and said again.
//!
//! A passage begins with a pulse of the exit loop (in a turnstile: of its contact). It is said as soon as that pulse is too
//! long for a glitch, because by then the rest of it has been heard; it is final when late words have had their time.

mod edges;
mod vehicles;

pub(crate) use vehicles::{CodeRead, Passage, TagRead, Told};

use crate::{
    bounds::{HEARD_PER_LANE, PASSAGES_PER_LANE, WEIGHTS_PER_LANE},
    health::Change,
    lane::Patience,
    plates::Read,
    rules::Signal,
};
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use edges::{Edges, NamedPulse};
use quaywatch_schemas::{
    GatewayTime, Position, Reading, SensorId, WallTime,
    observation::{AccessDecision, Credential, Media},
    sealed::Handle,
    site::Role,
};
use serde::{Deserialize, Serialize};

/// The passages of one lane, and what was heard of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Passages {
    approach: Edges,
    exit: Edges,
    arm: Edges,
    /// In the order of when it was; at the bound the oldest goes.
    heard: VecDeque<Heard>,
    /// In the order of when it was; at the bound the oldest goes.
    weights: VecDeque<Weight>,
    /// By the pulse they crossed the exit loop with, oldest first; at the bound the oldest is final.
    open: VecDeque<Open>,
    /// Pulses up to here are final.
    final_until: WallTime,
    /// How long vehicles take through the lane.
    transit: vehicles::Transit,
    /// Whether passages begin at all, and who is weighed: which ends of the lane have ever been heard.
    ends: Ends,
    /// Passages that were final before late words had had their time, because too many others crossed.
    let_go: u64,
}

/// What kinds of sensor have ever been heard here: without an approach loop a passage is not missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(crate) approach: bool,
    pub(crate) arm: bool,
    pub(crate) scale: bool,
}

/// Something that tells who a vehicle is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) at: WallTime,
    pub(crate) sensor: SensorId,
    pub(crate) position: Position,
    pub(crate) what: What,
    pub(crate) media: Option<Media>,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum What {
    Plate(Read),
    Code(CodeRead),
    Tag(TagRead),
    /// A grant, and whose credential it was, if that was said.
    Grant(Option<Handle>),
}

/// One settled reading of the scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Weight {
    pub(crate) at: WallTime,
    pub(crate) kg: f64,
    pub(crate) position: Position,
    /// Place of the scale among the zone's scales.
    pub(crate) sensor: SensorId,
}

/// A passage that is not final.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    /// When its exit pulse began: what it is known by.
    crossed: WallTime,
    /// The record of that edge: its name.
    first: Position,
    /// When it is looked at next.
    due: Option<GatewayTime>,
    /// When it is final at the latest.
    last_due: GatewayTime,
    told: Told,
    /// Whether it has left.
    left: bool,
    /// What was said rests on this: put together anew and the same, it is not said again.
    digest: u64,
}

/// A pulse that is still there after this is no glitch: at 30 km/h the shortest car covers a 2 m loop for 0.7 s.
const GLITCH: Duration = Duration::from_millis(300);
/// Looked at this long after the exit loop closed: a glitch is over by then, and its end has arrived.
const LOOK_AFTER: Duration = Duration::from_millis(600);
/// A glitch may turn out to be a vehicle whose first edge was late: until late words have had their time.
const GLITCHES_FORGOTTEN: Duration = Duration::from_secs(30);
/// What is said later than this after a vehicle has crossed is not about it: the slowest truck is off the loop by then.
const REAR_AFTER: Duration = Duration::from_secs(10);
/// Everything but its rear is said of a vehicle before it crosses, as exactly as clocks are known.
const BEFORE_EXIT: Duration = Duration::from_secs(3);
/// Late words come in bunches: they are taken together.
const GATHER: Duration = Duration::from_millis(200);
/// The lightest vehicle on a scale.
pub(crate) const LIGHTEST_KG: f64 = 500.0;

impl Passages {
    pub(crate) fn let_go(&self) -> u64 {
        self.let_go
    }

    /// Takes what a sensor of the lane said.
    pub(crate) fn take(&mut self, signal: &Signal<'_>, gateway: GatewayTime) {
        let heard = |what| Heard {
            at: signal.at,
            sensor: signal.sensor.clone(),
            position: signal.position,
            what,
            media: signal.media.cloned(),
        };
        match (signal.spec.role, signal.reading) {
            (Role::LoopApproach, Reading::Contact(on)) => {
                self.ends.approach = true;
                if self.approach.take(signal, *on) {
                    self.changed(signal.at, BEFORE_EXIT, gateway);
                }
            }
            (Role::LoopExit, Reading::Contact(on)) if self.exit.take(signal, *on) => {
                self.crossed(signal.at, gateway);
            }
            (Role::BarrierOpen, Reading::Contact(on)) => {
                self.ends.arm = true;
                self.arm.take(signal, *on);
            }
            (Role::PlateFront | Role::PlateRear, Reading::Plate(plate)) => {
                // A plate whose key is gone says nothing.
                if let Some(read) = Read::of(plate, signal) {
                    self.hear(heard(What::Plate(read)), gateway);
                }
            }
            (Role::Container, Reading::Container(container)) => {
                if let Some(read) = CodeRead::of(container) {
                    self.hear(heard(What::Code(read)), gateway);
                }
            }
            (Role::Tag, Reading::Tag(tag)) => {
                if let Some(read) = TagRead::of(tag) {
                    self.hear(heard(What::Tag(read)), gateway);
                }
            }
            (Role::Grant, Reading::Credential(Credential { holder, decision })) => {
                if matches!(decision, AccessDecision::Granted | AccessDecision::Duress) {
                    self.hear(heard(What::Grant(holder.handle)), gateway);
                }
            }
            (Role::Grant, _)
                if matches!(signal.change, crate::health::Change::Rose | crate::health::Change::Stepped(_)) =>
            {
                self.hear(heard(What::Grant(None)), gateway);
            }
            (Role::WeightGross, _) => {
                self.ends.scale = true;
                if let Change::Measured(kg) = signal.change {
                    self.weigh(kg, signal, gateway);
                }
            }
            _ => {}
        }
    }

    /// When a passage is due to be looked at.
    pub(crate) fn next_due(&self) -> Option<GatewayTime> {
        self.open.iter().map(|open| open.due.map_or(open.last_due, |due| due.min(open.last_due))).min()
    }

    /// Puts together what is due: passages that are said, said again because they changed, or final.
    pub(crate) fn fire(&mut self, now: GatewayTime, patience: Patience) -> Vec<Passage> {
        let mut said = Vec::new();
        let mut index = 0;
        while let Some(open) = self.open.get_mut(index) {
            let last = open.last_due <= now;
            if !last && open.due.is_none_or(|due| due > now) {
                index += 1;
                continue;
            }
            open.due = None;
            let (crossed, first, told) = (open.crossed, open.first, open.told);
            let passage = vehicles::put_together(self, crossed, first, patience);
            match (passage, self.open.get_mut(index)) {
                (Some(mut passage), Some(open)) => {
                    // It is waited for until it has left, then for late words.
                    match passage.left {
                        Some(_) if !open.left && !last => open.last_due = now.after(patience.settle),
                        None if told == Told::Not => open.last_due = now.after(patience.within),
                        _ => {}
                    }
                    open.left |= passage.left.is_some();
                    let digest = passage.digest();
                    passage.news = told == Told::Not || digest != open.digest;
                    (open.told, open.digest) = (Told::Said, digest);
                    if passage.news || last {
                        passage.told = told;
                        passage.last = last;
                        passage.digest = digest;
                        said.push(passage);
                    }
                }
                // Said, and then it turned out to be a glitch: the end of the pulse came late.
                // Or it was one from the start, and rules that could not wait have to know.
                (None, _) => said.push(Passage::gone(crossed, first)),
                _ => {}
            }
            if last {
                if let Some(passage) = said.last().filter(|passage| passage.crossed == crossed) {
                    self.transit.note(passage);
                }
                self.final_until = self.final_until.max(crossed);
                self.open.remove(index);
            } else {
                index += 1;
            }
        }
        said
    }

    /// An edge of the exit loop: pulses that are not known begin passages, and known ones are looked at again.
    fn crossed(&mut self, at: WallTime, gateway: GatewayTime) {
        for pulse in self.exit.pulses().iter() {
            let within = |open: &Open| pulse.on <= open.crossed && pulse.off.is_none_or(|off| open.crossed <= off);
            let known = self.open.iter().any(within);
            if known || pulse.on <= self.final_until {
                continue;
            }
            let open = Open {
                crossed: pulse.on,
                first: pulse.first,
                due: Some(gateway.after(LOOK_AFTER)),
                last_due: gateway.after(GLITCHES_FORGOTTEN),
                told: Told::Not,
                left: false,
                digest: 0,
            };
            let place = self.open.partition_point(|open| open.crossed < pulse.on);
            self.open.insert(place, open);
        }
        self.hurry(gateway);
        let due = gateway.after(GATHER);
        for open in &mut self.open {
            let concerns = !open.left || at <= open.crossed.after(REAR_AFTER);
            if open.told == Told::Said && concerns && open.due.is_none() {
                open.due = Some(due);
            }
        }
    }

    /// Where more vehicles cross than are waited for, the oldest are final now; a flood that leaves no time even for that
    /// loses them.
    fn hurry(&mut self, gateway: GatewayTime) {
        let surplus = self.open.len().saturating_sub(PASSAGES_PER_LANE);
        for open in self.open.iter_mut().take(surplus).filter(|open| open.last_due > gateway) {
            open.last_due = gateway;
            self.let_go += 1;
        }
        while self.open.len() > 2 * PASSAGES_PER_LANE {
            self.open.pop_front();
        }
    }

    fn hear(&mut self, heard: Heard, gateway: GatewayTime) {
        let at = heard.at;
        let about = match &heard.what {
            What::Plate(read) if read.rear => REAR_AFTER,
            _ => BEFORE_EXIT,
        };
        let place = self.heard.iter().rposition(|before| before.at <= at).map_or(0, |place| place + 1);
        self.heard.insert(place, heard);
        if self.heard.len() > HEARD_PER_LANE {
            self.heard.pop_front();
        }
        self.changed(at, about, gateway);
    }

    fn weigh(&mut self, kg: f64, signal: &Signal<'_>, gateway: GatewayTime) {
        let at = signal.at;
        let weight = Weight { at, kg, position: signal.position, sensor: signal.sensor.clone() };
        let place = self.weights.iter().rposition(|before| before.at <= at).map_or(0, |place| place + 1);
        let in_order = place == self.weights.len();
        self.weights.insert(place, weight);
        if self.weights.len() > WEIGHTS_PER_LANE {
            self.weights.pop_front();
        }
        if !in_order {
            self.changed(at, BEFORE_EXIT, gateway);
        }
    }

    /// Something was heard of a moment: passages that were said and may rest on it are put together anew.
    fn changed(&mut self, at: WallTime, about: Duration, gateway: GatewayTime) {
        for open in &mut self.open {
            let concerns = at <= open.crossed.after(about);
            if open.told == Told::Said && concerns && open.due.is_none() {
                open.due = Some(gateway.after(GATHER));
            }
        }
    }
}
