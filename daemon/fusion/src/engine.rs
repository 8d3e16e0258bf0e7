//! The main loop: deadlines that were due, then the record.

use crate::{
    health::{Memory, SensorHealth, watches},
    lane::{self, Lane, Patience},
    references::Statements,
    rules::{Here, Look, Machine, Seen, Signal, hears_of_tracks},
    tracks::{TrackCounts, TrackEvent, TrackView, Tracker},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};
use quaywatch_schemas::{
    Control, GatewayTime, Observation, Record, SensorId, Site, Situation, Stamp, Stamped, WallTime, ZoneId,
    observation::Freshness,
    site::{Clock, Role, ZoneKind, rules},
};
use serde::{Deserialize, Serialize};

/// Version of a snapshot's bytes. A snapshot of another version is refused: the engine is then rebuilt from the log.
const SNAPSHOT_VERSION: u8 = 2;

/// The fusion engine.
pub struct Engine {
    key: [u8; 32],
    memory: EngineMemory,
}

/// Everything the engine remembers.
#[derive(Default, Serialize, Deserialize)]
struct EngineMemory {
    site: Option<Site>,
    model: String,
    last: Stamp,
    /// The last record or deadline. Not in a snapshot, so that its bytes depend on the log alone.
    #[serde(skip)]
    now: GatewayTime,
    security_level: u8,
    outputs: u64,
    sensors: BTreeMap<SensorId, Memory>,
    zones: BTreeMap<ZoneId, ZoneMemory>,
    statements: Statements,
    tracker: Tracker,
    /// Who asked to be woken when: time, zone, and which of the zone's machines (the lane is 0).
    deadlines: BTreeSet<(GatewayTime, ZoneId, usize)>,
}

#[derive(Default, Serialize, Deserialize)]
struct ZoneMemory {
    lane: Option<Lane>,
    machines: Vec<Machine>,
    /// What each of them asked for, lane first.
    asked: Vec<Option<GatewayTime>>,
}

/// The next time the engine wants to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: GatewayTime,
    /// Who waits, and where: `gate.tailgating in lane-3`.
    pub name: String,
}

/// A snapshot that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreError {
    /// Made by another version.
    OtherVersion,
    /// Not a snapshot, or a damaged one.
    Damaged,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherVersion => "the snapshot was made by another version of the engine",
            Self::Damaged => "the snapshot is damaged",
        })
    }
}

impl core::error::Error for RestoreError {}

impl Engine {
    /// An engine that knows nothing yet. `key` names situations; it must stay the same for a log.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, memory: EngineMemory { security_level: 1, ..EngineMemory::default() } }
    }

    /// Takes the next record. What is due by its stamp fires first and concludes at its due time.
    pub fn observe(&mut self, record: &Stamped) -> Vec<Situation> {
        let mut out = Vec::new();
        self.fire_due(&record.stamp, &mut out);
        self.memory.last = record.stamp;
        self.memory.now = record.stamp.gateway;
        match &record.record {
            Record::Observation(observation) => self.take(observation, &record.stamp, &mut out),
            Record::Control(control) => self.take_control(control, &record.stamp, &mut out),
            Record::DeadLetter(_) => {}
        }
        self.memory.outputs += out.len() as u64;
        out
    }

    /// Time passed and nothing came.
    pub fn advance(&mut self, now: &Stamp) -> Vec<Situation> {
        let mut out = Vec::new();
        self.fire_due(now, &mut out);
        self.memory.outputs += out.len() as u64;
        out
    }

    /// When to call [`Engine::advance`] next, at the latest.
    pub fn next_deadline(&self) -> Option<Deadline> {
        let (at, zone, who) = self.memory.deadlines.first()?;
        let machines = self.memory.zones.get(zone).map(|zone| &zone.machines);
        let machine = machines.and_then(|machines| machines.get(who.checked_sub(1)?));
        let name = machine.map_or("lane", |machine| machine.kind().kind);
        Some(Deadline { at: *at, name: format!("{name} in {zone}") })
    }

    /// How many situations were ever put out: the ordinal of the last.
    pub fn outputs(&self) -> u64 {
        self.memory.outputs
    }

    /// The site in force.
    pub fn site(&self) -> Option<&Site> {
        self.memory.site.as_ref()
    }

    /// How a sensor is, as of the last record or deadline.
    pub fn health(&self, sensor: &SensorId) -> SensorHealth {
        match (self.memory.site.as_ref().and_then(|site| site.sensors.get(sensor)), self.memory.sensors.get(sensor)) {
            (Some(spec), Some(memory)) => memory.health(spec, self.memory.now.max(self.memory.last.gateway)),
            _ => SensorHealth::NeverHeard,
        }
    }

    /// Zones that have sensors to watch them, of which none is healthy now.
    pub fn coverage(&self) -> Vec<ZoneId> {
        let Some(site) = &self.memory.site else { return Vec::new() };
        let blind = site.zones.keys().filter(|zone| {
            let mut watching = site.sensors_of(zone).filter(|(_, sensor)| watches(sensor.role)).peekable();
            watching.peek().is_some() && !watching.any(|(sensor, _)| self.health(sensor).is_healthy())
        });
        blind.cloned().collect()
    }

    /// What moves on the site and is likely there, where it is at a time near the last record's.
    pub fn tracks(&self, at: WallTime) -> Vec<TrackView> {
        self.memory.tracker.views(at)
    }

    /// What became of the positions taken in.
    pub fn track_counts(&self) -> TrackCounts {
        self.memory.tracker.counts()
    }

    /// Everything the engine remembers.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![SNAPSHOT_VERSION];
        bytes.extend(postcard::to_allocvec(&self.memory).expect("the engine's memory always serialises"));
        bytes
    }

    /// An engine that goes on from a snapshot.
    pub fn restore(key: [u8; 32], bytes: &[u8]) -> Result<Self, RestoreError> {
        match bytes.split_first() {
            Some((&SNAPSHOT_VERSION, rest)) => {
                let memory = postcard::from_bytes(rest).map_err(|_| RestoreError::Damaged)?;
                Ok(Self { key, memory })
            }
            Some(_) => Err(RestoreError::OtherVersion),
            None => Err(RestoreError::Damaged),
        }
    }

    fn take(&mut self, observation: &Observation, stamp: &Stamp, out: &mut Vec<Situation>) {
        let memory = &mut self.memory;
        let Some(site) = &memory.site else { return };
        let Some(spec) = site.sensors.get(&observation.sensor) else { return };
        let known = memory.sensors.entry(observation.sensor.clone()).or_default();
        // What a source kept back says how things were: it neither heals a sensor nor raises an alarm.
        if observation.freshness == Freshness::History {
            return;
        }
        let at = match (spec.clock, observation.observed_at) {
            (Clock::Synchronised, Some(claimed)) => claimed.at.min(stamp.wall),
            (_, claimed) => known.clock.correct(claimed.map(|claimed| claimed.at), stamp),
        };
        let change = known.take(spec, &observation.reading, stamp.gateway, stamp.position);
        // What it does not show counts only if it could have shown it at that time.
        let then = GatewayTime(stamp.gateway.0.saturating_sub(stamp.wall.0.saturating_sub(at.0).max(0) as u64));
        let counts = known.could_speak_since(spec, then, stamp.gateway);
        let mut tracked = Vec::new();
        memory.tracker.take(&observation.sensor, &observation.reading, at, stamp, counts, &mut tracked);
        let signal = Signal {
            sensor: &observation.sensor,
            spec,
            reading: &observation.reading,
            change,
            at,
            position: stamp.position,
            media: observation.media.as_ref(),
        };
        let mut events = Vec::new();
        let zone_id = spec.zone.clone();
        let has_approach = site.sensors_with(&zone_id, Role::LoopApproach).next().is_some();
        if let Some(lane) = memory.zones.get_mut(&zone_id).and_then(|zone| zone.lane.as_mut()) {
            let signal = lane::Signal {
                sensor: signal.sensor,
                role: spec.role,
                reading: signal.reading,
                change,
                at,
                gateway: stamp.gateway,
                position: stamp.position,
                media: signal.media,
                has_approach,
                grant_lasts: grant_lasts(site),
            };
            lane.take(&signal, &mut events);
        }
        let seen = core::iter::once(Seen::Reading(signal)).chain(events.iter().map(Seen::Lane));
        for seen in seen {
            let machines = memory.zones.get_mut(&zone_id).map_or(&mut [][..], |zone| &mut zone.machines);
            let around = Around {
                key: &self.key,
                site,
                sensors: &memory.sensors,
                statements: &memory.statements,
                model: &memory.model,
                last: &memory.last,
                security_level: memory.security_level,
            };
            around.let_work(machines, &zone_id, stamp, out, |machine, here| machine.rule_mut().seen(&seen, here));
        }
        self.ask_again(&zone_id, stamp.gateway);
        self.show_tracks(&tracked, stamp, out);
    }

    /// Shows zones what happened to tracks in them.
    fn show_tracks(&mut self, tracked: &[(ZoneId, TrackEvent)], stamp: &Stamp, out: &mut Vec<Situation>) {
        for (zone, event) in tracked {
            let seen = Seen::Track(event);
            self.let_work(zone, stamp, None, out, |machine, here| machine.rule_mut().seen(&seen, here));
            self.ask_again(zone, stamp.gateway);
        }
    }

    fn take_control(&mut self, control: &Control, stamp: &Stamp, out: &mut Vec<Situation>) {
        match control {
            Control::Started { .. } => {
                self.memory.sensors.values_mut().for_each(|memory| memory.listen_anew(stamp.gateway));
            }
            Control::SiteApplied { site, .. } => self.apply(site, stamp, out),
            Control::References(references) => self.memory.statements.take(references),
            Control::SecurityLevel { level, .. } => self.memory.security_level = (*level).clamp(1, 3),
            _ => {}
        }
    }

    /// A site takes effect. What is known of sensors stays; zones whose rules, sensors and settings are unchanged keep
    /// their memory. The others begin anew, and what was open in them is closed: nobody would ever hear of it again.
    fn apply(&mut self, site: &Site, stamp: &Stamp, out: &mut Vec<Situation>) {
        let now = stamp.gateway;
        let kept = |before: &Site, id: &ZoneId| {
            before.rules == site.rules
                && before.zones.get(id) == site.zones.get(id)
                && before.sensors_of(id).eq(site.sensors_of(id))
        };
        let ended: Vec<ZoneId> = match &self.memory.site {
            Some(before) => self.memory.zones.keys().filter(|id| !kept(before, id)).cloned().collect(),
            None => Vec::new(),
        };
        for id in &ended {
            self.let_work(id, stamp, None, out, |machine, here| machine.rule_mut().stop(here));
            self.memory.zones.remove(id);
        }
        self.memory.deadlines.clear();
        self.memory.model = model(site);
        self.memory.sensors.retain(|sensor, _| site.sensors.contains_key(sensor));
        for sensor in site.sensors.keys() {
            self.memory.sensors.entry(sensor.clone()).or_insert_with(|| Memory::expected_from(now));
        }
        self.memory.tracker.apply(site, |zone| hears_of_tracks(site, zone));
        self.memory.site = Some(site.clone());
        for (id, zone) in &site.zones {
            let memory = self.memory.zones.entry(id.clone()).or_insert_with(|| ZoneMemory {
                lane: (zone.kind == ZoneKind::Lane).then(Lane::default),
                machines: Machine::of_zone(site, id, zone),
                asked: Vec::new(),
            });
            memory.asked = alloc::vec![None; memory.machines.len() + 1];
        }
        for id in site.zones.keys() {
            self.ask_again(id, now);
        }
    }

    /// Fires everything due up to a stamp, each at its own time.
    fn fire_due(&mut self, until: &Stamp, out: &mut Vec<Situation>) {
        while self.memory.deadlines.first().is_some_and(|(at, ..)| *at <= until.gateway) {
            let Some((at, zone_id, who)) = self.memory.deadlines.pop_first() else { break };
            if let Some(asked) = self.memory.zones.get_mut(&zone_id).and_then(|zone| zone.asked.get_mut(who)) {
                *asked = None;
            }
            let stamp = Stamp { gateway: at, ..self.memory.last };
            self.memory.now = at;
            if who == 0 {
                let patience = self.patience();
                let mut events = Vec::new();
                if let Some(lane) = self.memory.zones.get_mut(&zone_id).and_then(|zone| zone.lane.as_mut()) {
                    lane.fire(at, patience, &mut events);
                }
                for event in &events {
                    let seen = Seen::Lane(event);
                    self.let_work(&zone_id, &stamp, None, out, |machine, here| machine.rule_mut().seen(&seen, here));
                }
            } else {
                self.let_work(&zone_id, &stamp, Some(who - 1), out, |machine, here| machine.rule_mut().fire(here));
            }
            self.ask_again(&zone_id, at);
        }
    }

    /// Lets one or all machines of a zone work.
    fn let_work(
        &mut self,
        zone_id: &ZoneId,
        stamp: &Stamp,
        only: Option<usize>,
        out: &mut Vec<Situation>,
        work: impl FnMut(&mut Machine, &mut Here<'_>),
    ) {
        let memory = &mut self.memory;
        let Some(site) = &memory.site else { return };
        let Some(zone) = memory.zones.get_mut(zone_id) else { return };
        let machines = match only {
            Some(index) => zone.machines.get_mut(index..=index).unwrap_or_default(),
            None => &mut zone.machines,
        };
        let around = Around {
            key: &self.key,
            site,
            sensors: &memory.sensors,
            statements: &memory.statements,
            model: &memory.model,
            last: &memory.last,
            security_level: memory.security_level,
        };
        around.let_work(machines, zone_id, stamp, out, work);
    }

    /// Notes when the lane and the machines of a zone want to be woken.
    fn ask_again(&mut self, zone_id: &ZoneId, now: GatewayTime) {
        let patience = self.patience();
        let memory = &mut self.memory;
        let Some(site) = &memory.site else { return };
        let Some(zone) = memory.zones.get_mut(zone_id) else { return };
        let look = Look { now, site, zone_id, sensors: &memory.sensors };
        let lane = zone.lane.as_ref().and_then(|lane| lane.next_due(patience));
        let wanted = core::iter::once(lane).chain(zone.machines.iter().map(|machine| machine.rule().next_due(&look)));
        for (who, wanted) in wanted.enumerate() {
            let Some(asked) = zone.asked.get_mut(who) else { continue };
            // What is asked for already stays, also where it is due this very moment and another was served first.
            if *asked == wanted {
                continue;
            }
            if let Some(at) = asked.take() {
                memory.deadlines.remove(&(at, zone_id.clone(), who));
            }
            // A machine that asks for the past has been served already; once a second is enough to serve it again.
            if let Some(at) = wanted.map(|at| if at <= now { now.after(Duration::from_secs(1)) } else { at }) {
                memory.deadlines.insert((at, zone_id.clone(), who));
                *asked = Some(at);
            }
        }
    }

    fn patience(&self) -> Patience {
        let settings =
            self.memory.site.as_ref().and_then(|site| site.rules.passage.as_ref()).map(|rule| &rule.settings);
        let default = rules::Passage::default();
        let settings = settings.unwrap_or(&default);
        Patience { within: settings.within, settle: settings.settle }
    }
}

/// What the machines of a zone look at while they work.
struct Around<'a> {
    key: &'a [u8; 32],
    site: &'a Site,
    sensors: &'a BTreeMap<SensorId, Memory>,
    statements: &'a Statements,
    model: &'a str,
    last: &'a Stamp,
    security_level: u8,
}

impl Around<'_> {
    fn let_work(
        &self,
        machines: &mut [Machine],
        zone_id: &ZoneId,
        stamp: &Stamp,
        out: &mut Vec<Situation>,
        mut work: impl FnMut(&mut Machine, &mut Here<'_>),
    ) {
        let Some(zone) = self.site.zones.get(zone_id) else { return };
        for machine in machines {
            let kind = machine.kind();
            let Some(mode) = (kind.mode)(self.site, zone_id) else { continue };
            let mut here = Here {
                now: stamp.gateway,
                site: self.site,
                zone_id,
                zone,
                sensors: self.sensors,
                statements: self.statements,
                rule: kind,
                mode,
                key: self.key,
                model: self.model,
                position: self.last.position,
                clock: self.last.quality,
                wall_offset: self.last.wall.0.saturating_sub(self.last.gateway.0 as i64),
                security_level: self.security_level,
                out,
            };
            work(machine, &mut here);
        }
    }
}

/// How long one grant can be used; the tailgating rule's setting, also where that rule is not run.
pub(crate) fn grant_lasts(site: &Site) -> Duration {
    let settings = site.rules.tailgating.as_ref().map(|rule| rule.settings.grant_lasts);
    settings.unwrap_or_else(|| rules::Tailgating::default().grant_lasts)
}

/// Names the set of rates a conclusion was drawn with.
fn model(site: &Site) -> String {
    let mut hasher = blake3::Hasher::new();
    for (id, sensor) in &site.sensors {
        hasher.update(id.as_str().as_bytes());
        hasher.update(&sensor.rates.detection.to_le_bytes());
        hasher.update(&sensor.rates.false_alarm.to_le_bytes());
    }
    hasher.finalize().to_hex().as_str().get(..4).unwrap_or_default().to_string()
}
