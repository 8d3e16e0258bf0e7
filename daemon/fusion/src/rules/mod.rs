//! One file per rule, one line here.
//!
//! A rule is a small machine that lives in one zone. It is shown every reading of the zone's sensors and every event of its
//! lane, asks to be woken at times of its own, and says what it concludes through a [`crate::evidence::Life`]. It decides
//! nothing about who is told.

mod conditions;
mod doorway;
mod findings;
mod frozen;
mod per_passage;
mod residuals;
#[cfg(test)]
mod tests;

use crate::{
    evidence::{Draft, logit, situation},
    health::{Change, Memory, SensorHealth},
    index::Index,
    lane::LaneEvent,
    patterns,
    references::Statements,
    tracks::TrackEvent,
    trails::TrailEvent,
};
use alloc::vec::Vec;
use quaywatch_schemas::{
    GatewayTime, Model, NoData, Position, Reading, SensorId, Site, Situation, WallTime, ZoneId,
    observation::Media,
    site::{Role, Sensor, Zone, ZoneKind, rules::Mode},
    situation::{Missing, Phase, SituationId},
    time::ClockQuality,
};
use serde::{Deserialize, Serialize};

/// What a rule is called, where it can run, and whether the site runs it there.
pub(crate) struct Kind {
    /// As situations have it.
    pub(crate) kind: &'static str,
    /// Changes when the same evidence could give another conclusion.
    pub(crate) version: &'static str,
    /// Whether it makes sense in a zone of this kind.
    pub(crate) fits: fn(ZoneKind) -> bool,
    /// The mode it runs in, in a zone, if it runs there.
    pub(crate) mode: fn(&Site, &ZoneId) -> Option<Mode>,
    /// Sensors of which roles it is shown the readings of.
    pub(crate) hears: fn(Role) -> bool,
    /// What else it is shown.
    pub(crate) follows: &'static [Stream],
}

/// What a rule may be shown beside readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// What happens in the zone's lane.
    Lane,
    /// Credentials at the zone's readers.
    Trails,
    /// What moves in the zone.
    Tracks,
}

/// The machine of one rule in one zone.
pub(crate) trait Rule {
    /// A sensor of the zone said something, or the lane did.
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>);
    /// A time it asked for has come.
    fn fire(&mut self, here: &mut Here<'_>);
    /// The next time it asks for.
    fn next_due(&self, here: &Look<'_>) -> Option<GatewayTime>;
    /// It is no longer run here: closes what it said. Rules that say nothing that stays open have nothing to do.
    fn stop(&mut self, _: &mut Here<'_>) {}
}

/// What a rule is shown.
pub(crate) enum Seen<'a> {
    /// A reading of one of the zone's sensors.
    Reading(&'a Signal<'a>),
    /// What happened in the zone's lane.
    Lane(&'a LaneEvent),
    /// A credential at one of the zone's readers, in its trail: once when it is looked at, and again whenever a word that
    /// came late changes what was before it.
    Trail(TrailEvent<'a>),
    /// What happened to a track in the zone.
    Track(&'a TrackEvent),
}

/// A reading with everything known about it.
pub(crate) struct Signal<'a> {
    pub(crate) sensor: &'a SensorId,
    /// Its place among the site's sensors.
    pub(crate) number: usize,
    pub(crate) spec: &'a Sensor,
    pub(crate) reading: &'a Reading,
    pub(crate) change: Change,
    pub(crate) at: WallTime,
    /// Whether its source gave it an identity: a state that is only repeated has none.
    pub(crate) identified: bool,
    /// By how many nanoseconds its clock was found set.
    pub(crate) stepped_by: Option<i64>,
    pub(crate) position: Position,
    pub(crate) media: Option<&'a Media>,
}

/// What is remembered of the site's sensors, and who is where.
#[derive(Clone, Copy)]
pub(crate) struct Sensors<'a> {
    pub(crate) memories: &'a [Memory],
    pub(crate) index: &'a Index,
    pub(crate) zone: u32,
}

impl<'a> Sensors<'a> {
    pub(crate) fn get(&self, sensor: &SensorId) -> Option<&'a Memory> {
        self.index.sensor(sensor).and_then(|number| self.memories.get(number))
    }

    pub(crate) fn spec(&self, sensor: &SensorId) -> Option<&'a Sensor> {
        self.index.sensor(sensor).and_then(|number| self.index.spec(number))
    }
}

/// Where and when a rule looks.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) now: GatewayTime,
    pub(crate) site: &'a Site,
    pub(crate) sensors: Sensors<'a>,
}

/// Who speaks: a rule, or a pattern of the site file.
#[derive(Clone, Copy)]
pub(crate) struct Speaker<'a> {
    /// As situations have it.
    pub(crate) kind: &'a str,
    /// Changes when the same evidence could give another conclusion.
    pub(crate) version: &'a str,
}

/// Where and when a rule speaks.
pub(crate) struct Here<'a> {
    pub(crate) now: GatewayTime,
    pub(crate) site: &'a Site,
    pub(crate) zone_id: &'a ZoneId,
    pub(crate) zone: &'a Zone,
    pub(crate) sensors: Sensors<'a>,
    pub(crate) statements: &'a Statements,
    pub(crate) rule: Speaker<'a>,
    pub(crate) mode: Mode,
    pub(crate) key: &'a [u8; 32],
    pub(crate) model: &'a str,
    /// Rates and calibration that a person has put in force.
    pub(crate) adopted: &'a Model,
    /// The record that is looked at, or the last one before a deadline.
    pub(crate) position: Position,
    pub(crate) clock: ClockQuality,
    /// Wall minus gateway time, in nanoseconds.
    pub(crate) wall_offset: i64,
    pub(crate) security_level: u8,
    pub(crate) out: &'a mut Vec<Situation>,
}

impl Here<'_> {
    /// A gateway time on the wall clock.
    pub(crate) fn wall(&self, at: GatewayTime) -> WallTime {
        WallTime((at.0 as i64).saturating_add(self.wall_offset))
    }

    /// A moment of the wall clock on the gateway's own, as far as one is known from the other now.
    pub(crate) fn gateway(&self, at: WallTime) -> GatewayTime {
        GatewayTime(u64::try_from(at.0.saturating_sub(self.wall_offset)).unwrap_or(0))
    }

    /// The same for somebody else who speaks here, and who is always told of.
    pub(crate) fn speaking_of<'b>(&'b mut self, kind: &'b str, version: &'b str) -> Here<'b> {
        Here { rule: Speaker { kind, version }, mode: Mode::Tell, out: &mut *self.out, ..*self }
    }

    pub(crate) fn look(&self) -> Look<'_> {
        Look { now: self.now, site: self.site, sensors: self.sensors }
    }

    /// How a sensor is now.
    pub(crate) fn health(&self, sensor: &SensorId) -> SensorHealth {
        self.look().health(sensor)
    }

    /// The zone's sensors of a role that could not have spoken, why and since when.
    pub(crate) fn unhealthy(&self, role: Role) -> Vec<(SensorId, NoData, Option<WallTime>)> {
        let all = self.sensors_with(role);
        all.filter_map(|(sensor, _)| match self.health(sensor) {
            SensorHealth::Healthy => None,
            SensorHealth::NeverHeard => Some((sensor.clone(), NoData::Silent, None)),
            SensorHealth::Unhealthy(why, since) => Some((sensor.clone(), why, Some(self.wall(since)))),
        })
        .collect()
    }

    /// Why sensors could not speak, for those that said why.
    pub(crate) fn why_deaf(&self, sensors: &[SensorId]) -> Vec<Missing> {
        let why = sensors.iter().map(|sensor| match self.health(sensor) {
            SensorHealth::Unhealthy(why, since) => (sensor, why, Some(self.wall(since))),
            // It can speak again, but could not all the while.
            _ => (sensor, NoData::Silent, None),
        });
        why.map(|(sensor, why, since)| Missing { sensor: sensor.clone(), why, since }).collect()
    }

    /// The zone's sensors of a role, if there are some and all of them could have spoken at any time from `from` on: only
    /// then does their absence say anything.
    pub(crate) fn could_speak_since(&self, role: Role, from: GatewayTime) -> Option<Vec<SensorId>> {
        let could = |(id, spec): (&SensorId, &Sensor)| {
            let memory = self.sensors.get(id).filter(|memory| memory.could_speak_since(spec, from, self.now));
            memory.map(|_| id.clone())
        };
        let all: Option<Vec<SensorId>> = self.sensors_with(role).map(could).collect();
        all.filter(|all| !all.is_empty())
    }

    /// The zone's sensors of a role, in name order.
    pub(crate) fn sensors_with(&self, role: Role) -> impl Iterator<Item = (&SensorId, &Sensor)> {
        self.look().sensors_with(role)
    }

    pub(crate) fn put_out(&mut self, id: SituationId, revision: u32, phase: Phase, draft: Draft) {
        let situation = situation(self, id, revision, phase, draft);
        self.out.push(situation);
    }
}

impl<'a> Look<'a> {
    /// The zone's sensors of a role, in name order.
    pub(crate) fn sensors_with(&self, role: Role) -> impl Iterator<Item = (&'a SensorId, &'a Sensor)> + use<'a> {
        self.sensors.index.with(self.sensors.zone, role)
    }

    /// All sensors of the zone.
    pub(crate) fn sensors_here(&self) -> impl Iterator<Item = (&'a SensorId, &'a Sensor)> + use<'a> {
        self.sensors.index.of_zone(self.sensors.zone)
    }

    pub(crate) fn health(&self, sensor: &SensorId) -> SensorHealth {
        let known = self.sensors.index.sensor(sensor);
        let known =
            known.and_then(|number| Some((self.sensors.index.spec(number)?, self.sensors.memories.get(number)?)));
        known.map_or(SensorHealth::NeverHeard, |(spec, memory)| memory.health(spec, self.now))
    }
}

/// What each sensor that showed a track is worth for a rule that starts from a prior: together what the tracker believes.
fn track_weight(existence: f64, prior: f64, witnesses: usize) -> f64 {
    (logit(existence.min(MOST_SURE)) - logit(prior)) / witnesses.max(1) as f64
}

/// No tracker is surer than this that something is there.
const MOST_SURE: f64 = 0.999;

/// Whether any rule or pattern in a zone looks at tracks: others need not be told.
pub(crate) fn hears_of_tracks(site: &Site, zone: &ZoneId) -> bool {
    let rules = &site.rules;
    rules.dwell.as_ref().is_some_and(|rule| rule.runs_in(zone))
        || rules.small_craft.as_ref().is_some_and(|rule| rule.runs_in(zone))
        || rules.quay_presence.as_ref().is_some_and(|rule| rule.runs_in(zone))
        || rules.sensor_conflict.as_ref().is_some_and(|rule| rule.runs_in(zone))
            && site.sensors_with(zone, Role::Ais).next().is_some()
        || patterns::follow(site, zone)
}

macro_rules! rules {
    ($($module:ident :: $machine:ident),* $(,)?) => {
        $(mod $module;)*

        /// Any rule's machine.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) enum Machine {
            $($machine($module::$machine)),*
        }

        impl Machine {
            /// The machines that run in a zone of a site.
            pub(crate) fn of_zone(site: &Site, zone_id: &ZoneId, zone: &Zone) -> Vec<Self> {
                let mut machines = Vec::new();
                $(if ($module::KIND.fits)(zone.kind) && ($module::KIND.mode)(site, zone_id).is_some() {
                    machines.push(Self::$machine($module::$machine::default()));
                })*
                machines
            }

            /// The kinds of all rules.
            pub(crate) const KINDS: &'static [&'static Kind] = &[$(&$module::KIND),*];

            pub(crate) fn kind(&self) -> &'static Kind {
                match self { $(Self::$machine(_) => &$module::KIND),* }
            }

            pub(crate) fn rule(&self) -> &dyn Rule {
                match self { $(Self::$machine(machine) => machine),* }
            }

            pub(crate) fn rule_mut(&mut self) -> &mut dyn Rule {
                match self { $(Self::$machine(machine) => machine),* }
            }
        }
    };
}

rules! {
    passage::Passage,
    tailgating::Tailgating,
    barrier_forced::BarrierForced,
    weight_mismatch::WeightMismatch,
    quay_presence::QuayPresence,
    mooring_overload::MooringOverload,
    sensor_silent::SensorSilent,
    blinded_before_access::BlindedBeforeAccess,
    node_tamper::NodeTamper,
    unbooked::Unbooked,
    tag_mismatch::TagMismatch,
    container_mismatch::ContainerMismatch,
    sensor_blind::SensorBlind,
    sensor_stuck::SensorStuck,
    sensor_drift::SensorDrift,
    clock_step::ClockStep,
    pass_back::PassBack,
    impossible_travel::ImpossibleTravel,
    out_of_zone::OutOfZone,
    out_of_hours::OutOfHours,
    first_time_zone::FirstTimeZone,
    denied_then_granted::DeniedThenGranted,
    not_taken::NotTaken,
    door_held::DoorHeld,
    on_foot::OnFoot,
    dwell::Dwell,
    small_craft::SmallCraft,
    wrong_way::WrongWay,
    sensor_conflict::SensorConflict,
}
