//! One file per rule, one line here.
//!
//! A rule is a small machine that lives in one zone. It is shown every reading of the zone's sensors and every event of its
//! lane, asks to be woken at times of its own, and says what it concludes through a [`crate::evidence::Life`]. It decides
//! nothing about who is told.

mod conditions;
#[cfg(test)]
mod tests;

use crate::{
    evidence::{Draft, logit, situation},
    health::{Change, Memory, SensorHealth},
    lane::LaneEvent,
    references::Statements,
    tracks::TrackEvent,
};
use alloc::{collections::BTreeMap, vec::Vec};
use quaywatch_schemas::{
    GatewayTime, NoData, Position, Reading, SensorId, Site, Situation, WallTime, ZoneId,
    observation::Media,
    site::{Role, Sensor, Zone, ZoneKind, rules::Mode},
    situation::{Phase, SituationId},
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
    Reading(Signal<'a>),
    /// What happened in the zone's lane.
    Lane(&'a LaneEvent),
    /// What happened to a track in the zone.
    Track(&'a TrackEvent),
}

/// A reading with everything known about it.
pub(crate) struct Signal<'a> {
    pub(crate) sensor: &'a SensorId,
    pub(crate) spec: &'a Sensor,
    pub(crate) reading: &'a Reading,
    pub(crate) change: Change,
    pub(crate) at: WallTime,
    pub(crate) position: Position,
    pub(crate) media: Option<&'a Media>,
}

/// Where and when a rule looks.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) now: GatewayTime,
    pub(crate) site: &'a Site,
    pub(crate) zone_id: &'a ZoneId,
    pub(crate) sensors: &'a BTreeMap<SensorId, Memory>,
}

/// Where and when a rule speaks.
pub(crate) struct Here<'a> {
    pub(crate) now: GatewayTime,
    pub(crate) site: &'a Site,
    pub(crate) zone_id: &'a ZoneId,
    pub(crate) zone: &'a Zone,
    pub(crate) sensors: &'a BTreeMap<SensorId, Memory>,
    pub(crate) statements: &'a Statements,
    pub(crate) rule: &'static Kind,
    pub(crate) mode: Mode,
    pub(crate) key: &'a [u8; 32],
    pub(crate) model: &'a str,
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

    pub(crate) fn look(&self) -> Look<'_> {
        Look { now: self.now, site: self.site, zone_id: self.zone_id, sensors: self.sensors }
    }

    /// How a sensor is now.
    pub(crate) fn health(&self, sensor: &SensorId) -> SensorHealth {
        self.look().health(sensor)
    }

    /// The zone's sensors of a role that could not have spoken, why and since when.
    pub(crate) fn unhealthy(&self, role: Role) -> Vec<(SensorId, NoData, Option<WallTime>)> {
        let all = self.site.sensors_with(self.zone_id, role);
        all.filter_map(|(sensor, _)| match self.health(sensor) {
            SensorHealth::Healthy => None,
            SensorHealth::NeverHeard => Some((sensor.clone(), NoData::Silent, None)),
            SensorHealth::Unhealthy(why, since) => Some((sensor.clone(), why, Some(self.wall(since)))),
        })
        .collect()
    }

    /// The zone's sensors of a role, if there are some and all of them could have spoken at any time from `from` on: only
    /// then does their absence say anything.
    pub(crate) fn could_speak_since(&self, role: Role, from: GatewayTime) -> Option<Vec<SensorId>> {
        let could = |(id, spec): (&SensorId, &Sensor)| {
            let memory = self.sensors.get(id).filter(|memory| memory.could_speak_since(spec, from, self.now));
            memory.map(|_| id.clone())
        };
        let all: Option<Vec<SensorId>> = self.site.sensors_with(self.zone_id, role).map(could).collect();
        all.filter(|all| !all.is_empty())
    }

    pub(crate) fn put_out(&mut self, id: SituationId, revision: u32, phase: Phase, draft: Draft) {
        let situation = situation(self, id, revision, phase, draft);
        self.out.push(situation);
    }
}

impl Look<'_> {
    pub(crate) fn health(&self, sensor: &SensorId) -> SensorHealth {
        match (self.site.sensors.get(sensor), self.sensors.get(sensor)) {
            (Some(spec), Some(memory)) => memory.health(spec, self.now),
            _ => SensorHealth::NeverHeard,
        }
    }
}

/// What each sensor that showed a track is worth for a rule that starts from a prior: together what the tracker believes.
fn track_weight(existence: f64, prior: f64, witnesses: usize) -> f64 {
    (logit(existence.min(MOST_SURE)) - logit(prior)) / witnesses.max(1) as f64
}

/// No tracker is surer than this that something is there.
const MOST_SURE: f64 = 0.999;

/// Whether any rule in a zone looks at tracks: others need not be told.
pub(crate) fn hears_of_tracks(site: &Site, zone: &ZoneId) -> bool {
    let rules = &site.rules;
    rules.dwell.as_ref().is_some_and(|rule| rule.runs_in(zone))
        || rules.small_craft.as_ref().is_some_and(|rule| rule.runs_in(zone))
        || rules.quay_presence.as_ref().is_some_and(|rule| rule.runs_in(zone))
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
    dwell::Dwell,
    small_craft::SmallCraft,
}
