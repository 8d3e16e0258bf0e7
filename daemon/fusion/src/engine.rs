//! The main loop: deadlines that were due, then the record.

use crate::{
    bounds::{LetGo, PASSAGES_PER_LANE},
    guard::{Guards, NoGuards},
    health::{Memory, SensorHealth, watches},
    identity::{self, Known},
    index::Index,
    lane::{self, Lane, LaneEvent, Patience},
    learning::model_id,
    passages::Passages,
    patterns::{self, Noted, PatternState, Patterns},
    plates::Read,
    references::Statements,
    rules::{Here, Look, Machine, Seen, Sensors, Signal, Speaker, Stream, hears_of_tracks},
    tracks::{TrackCounts, TrackEvent, TrackView, Tracker},
    trails::{self, TrailEvent, Trails},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::String,
    vec::Vec,
};
use core::{fmt, time::Duration};
use quaywatch_schemas::{
    Control, GatewayTime, Model, Observation, Reading, Record, SensorId, Site, Situation, Stamp, Stamped, WallTime,
    ZoneId,
    observation::Freshness,
    site::{
        Role, ZoneKind,
        rules::{self, Mode},
    },
};
use serde::{Deserialize, Serialize};

/// Version of a snapshot's bytes. A snapshot of another version is refused: the engine is then rebuilt from the log.
const SNAPSHOT_VERSION: u8 = 3;

/// The fusion engine.
pub struct Engine {
    key: [u8; 32],
    memory: EngineMemory,
    /// Made from the site in force.
    index: Index,
    /// Which of a zone's machines hear a reading of a role, and which hear the lane; made from the site in force.
    hearing: Vec<Hearing>,
    /// The patterns of the site in force, and what reads their guards.
    compiled: patterns::Compiled,
    guards: &'static dyn Guards,
}

/// Bits of a zone's machines.
#[derive(Default)]
struct Hearing {
    by_role: BTreeMap<Role, u64>,
    lane: u64,
    trails: u64,
    tracks: u64,
}

/// Everything the engine remembers.
#[derive(Default, Serialize, Deserialize)]
struct EngineMemory {
    site: Option<Site>,
    model: String,
    /// Rates and calibration that a person has put in force.
    adopted: Model,
    last: Stamp,
    /// The last record or deadline. Not in a snapshot, so that its bytes depend on the log alone.
    #[serde(skip)]
    now: GatewayTime,
    security_level: u8,
    outputs: u64,
    /// In the order of the site's sensors.
    sensors: Vec<Memory>,
    /// In the order of the site's zones.
    zones: Vec<ZoneMemory>,
    statements: Statements,
    trails: Trails,
    tracker: Tracker,
    patterns: Patterns,
    /// Who asked to be woken when: time, zone, and which of the zone's machines (its lane is 0, its passages are 1).
    deadlines: BTreeSet<(GatewayTime, u32, u16)>,
}

#[derive(Default, Serialize, Deserialize)]
struct ZoneMemory {
    lane: Option<Lane>,
    passages: Option<Passages>,
    /// What was worked out of the last passages, for as long as they and the statements stay the same.
    #[serde(skip)]
    known: VecDeque<Worked>,
    machines: Vec<Machine>,
    /// What each of them asked for, lane and passages first.
    asked: Vec<Option<GatewayTime>>,
}

/// What is known of a passage: its digest, the version of the statements, and what was worked out of them.
type Worked = (u64, u64, Known);

/// The lane and its passages ask to be woken as the machines do, and come before them.
const LANE: u16 = 0;
const PASSAGES: u16 = 1;
const FIRST_MACHINE: u16 = 2;
/// Machines of one zone: one bit each.
const MOST_MACHINES: usize = 64;

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
        let memory = EngineMemory { security_level: 1, ..EngineMemory::default() };
        Self::with_memory(key, memory)
    }

    fn with_memory(key: [u8; 32], memory: EngineMemory) -> Self {
        let (index, hearing, compiled) = (Index::default(), Vec::new(), patterns::Compiled::default());
        Self { key, memory, index, hearing, compiled, guards: &NoGuards }
    }

    /// The same engine with a language for the guards of patterns. It must be the same for a log, as the key is: without one,
    /// patterns that have a guard do not run.
    pub fn with_guards(mut self, guards: &'static dyn Guards) -> Self {
        self.guards = guards;
        self.look_up_anew();
        self
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
        self.tell_patterns(0, &record.stamp, &mut out);
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
        let read = self.memory.trails.next_due();
        let first = self.memory.deadlines.first();
        if let Some((at, place)) = self.memory.patterns.next_due()
            && first.is_none_or(|(first, ..)| at < *first)
            && read.is_none_or(|read| at < read)
        {
            let (zone, kind, ..) = self.compiled.place(place)?;
            let zone = self.index.zone_name(zone).map_or("", ZoneId::as_str);
            return Some(Deadline { at, name: format!("{kind} in {zone}") });
        }
        if let Some(at) = read.filter(|at| first.is_none_or(|(first, ..)| at <= first)) {
            return Some(Deadline { at, name: "the next read of a credential".into() });
        }
        let (at, zone, who) = first?;
        let machines = self.memory.zones.get(*zone as usize).map(|zone| &zone.machines);
        let machine = machines.and_then(|machines| machines.get(usize::from(who.checked_sub(FIRST_MACHINE)?)));
        let name = machine.map_or(if *who == LANE { "lane" } else { "passages" }, |machine| machine.kind().kind);
        let zone = self.index.zone_name(*zone).map_or("", ZoneId::as_str);
        Some(Deadline { at: *at, name: format!("{name} in {zone}") })
    }

    /// What became of the patterns of the site file: which were stopped, and what they had to let go.
    pub fn patterns(&self) -> Vec<PatternState> {
        let zone_name = |zone| self.index.zone_name(zone).cloned();
        self.memory.patterns.states(&self.compiled, zone_name).collect()
    }

    /// What had to be let go at a bound.
    pub fn let_go(&self) -> LetGo {
        let memory = &self.memory;
        let lanes = memory.zones.iter().filter_map(|zone| zone.passages.as_ref());
        LetGo {
            passages: lanes.map(Passages::let_go).sum(),
            trails: memory.trails.let_go(),
            tracks: memory.tracker.counts().let_go,
            beginnings: memory.patterns.let_go(),
            statements: memory.statements.let_go(),
        }
    }

    /// How many situations were ever put out: the ordinal of the last.
    pub fn outputs(&self) -> u64 {
        self.memory.outputs
    }

    /// The site in force.
    pub fn site(&self) -> Option<&Site> {
        self.memory.site.as_ref()
    }

    /// The rates and calibration that a person has put in force.
    pub fn adopted(&self) -> &Model {
        &self.memory.adopted
    }

    /// How a sensor is, as of the last record or deadline.
    pub fn health(&self, sensor: &SensorId) -> SensorHealth {
        let memory = self.index.sensor(sensor).and_then(|number| self.memory.sensors.get(number));
        match (self.memory.site.as_ref().and_then(|site| site.sensors.get(sensor)), memory) {
            (Some(spec), Some(memory)) => memory.health(spec, self.memory.now.max(self.memory.last.gateway)),
            _ => SensorHealth::NeverHeard,
        }
    }

    /// Zones that have sensors to watch them, of which none is healthy now.
    pub fn coverage(&self) -> Vec<ZoneId> {
        let Some(site) = &self.memory.site else { return Vec::new() };
        let blind = site.zones.keys().filter(|zone| {
            let Some(number) = self.index.zone(zone) else { return false };
            let mut watching = self.index.of_zone(number).filter(|(_, spec)| watches(spec.role)).peekable();
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
                let memory: EngineMemory = postcard::from_bytes(rest).map_err(|_| RestoreError::Damaged)?;
                let mut engine = Self::with_memory(key, memory);
                engine.look_up_anew();
                let sensors = engine.memory.site.as_ref().map_or(0, |site| site.sensors.len());
                if engine.memory.sensors.len() != sensors || !engine.memory.patterns.fits(&engine.compiled) {
                    return Err(RestoreError::Damaged);
                }
                Ok(engine)
            }
            Some(_) => Err(RestoreError::OtherVersion),
            None => Err(RestoreError::Damaged),
        }
    }

    fn take(&mut self, observation: &Observation, stamp: &Stamp, out: &mut Vec<Situation>) {
        let Some(number) = self.index.sensor(&observation.sensor) else { return };
        let memory = &mut self.memory;
        let Some(spec) = self.index.spec(number) else { return };
        let Some(known) = memory.sensors.get_mut(number) else { return };
        // What a source kept back says how things were: it neither heals a sensor nor raises an alarm.
        if known.is_repeat(observation.source_id) {
            return;
        }
        let claimed = observation.observed_at.map(|claimed| claimed.at);
        if observation.freshness == Freshness::History {
            // But somebody who came out while the line was down is not inside any more.
            if let Some(claimed) = claimed {
                self.trace(observation, claimed.min(stamp.wall), stamp);
                self.follow(stamp, out);
            }
            return;
        }
        let heard = known.clock.hear(claimed, spec.clock, stamp);
        let change = known.take(spec, &observation.reading, heard.at, stamp.gateway, stamp.position);
        // What it does not show counts only if it could have shown it at that time.
        let then = GatewayTime(stamp.gateway.0.saturating_sub(stamp.wall.0.saturating_sub(heard.at.0).max(0) as u64));
        let counts = known.could_speak_since(spec, then, stamp.gateway);
        let mut tracked = Vec::new();
        memory.tracker.take(&observation.sensor, &observation.reading, heard.at, stamp, counts, &mut tracked);
        let Some(zone) = self.index.zone_of(number) else { return };
        let role = spec.role;
        let Some((around, zones)) = self.split() else { return };
        let Some(spec) = around.index.spec(number) else { return };
        let signal = Signal {
            sensor: &observation.sensor,
            number,
            spec,
            reading: &observation.reading,
            change,
            at: heard.at,
            identified: observation.source_id.is_some(),
            stepped_by: heard.stepped_by,
            position: stamp.position,
            media: observation.media.as_ref(),
        };
        let mut events = Vec::new();
        if let Some(zone_memory) = zones.get_mut(zone as usize) {
            if let Some(lane) = &mut zone_memory.lane {
                lane.take(&lane_signal(&signal, stamp), &mut events);
                if let (Role::PlateFront | Role::PlateRear, Reading::Plate(plate)) = (role, signal.reading)
                    && let Some(read) = Read::of(plate, &signal)
                {
                    lane.read(read, signal.media, &mut events);
                }
            }
            if let Some(passages) = &mut zone_memory.passages {
                passages.take(&signal, stamp.gateway);
            }
        }
        let mut woken = around.hearing.get(zone as usize).map_or(0, |hearing| hearing.of(role));
        around.let_work(zones, (zone, woken), stamp, out, |machine, here| {
            machine.rule_mut().seen(&Seen::Reading(&signal), here);
        });
        if !events.is_empty() {
            woken |= around.tell_of_lane(zones, zone, &events, stamp, out);
        }
        let noted = Noted {
            reading: &observation.reading,
            change,
            at: heard.at,
            stamp,
            object: observation.object.as_deref(),
            key: &self.key,
        };
        let patterns = self.memory.patterns.note(&self.compiled, number, noted);
        self.ask_again(zone, woken, stamp.gateway);
        if matches!(observation.reading, Reading::Credential(_)) {
            self.trace(observation, heard.at, stamp);
            self.follow(stamp, out);
        }
        self.show_tracks(&tracked, stamp, out);
        self.let_patterns_work(&patterns, stamp, out);
    }

    /// Shows zones what happened to tracks in them.
    fn show_tracks(&mut self, tracked: &[(ZoneId, TrackEvent)], stamp: &Stamp, out: &mut Vec<Situation>) {
        for (zone, event) in tracked {
            let Some(zone) = self.index.zone(zone) else { continue };
            let woken = self.hearing.get(zone as usize).map_or(0, |hearing| hearing.tracks);
            let seen = Seen::Track(event);
            let Some((around, zones)) = self.split() else { return };
            around.let_work(zones, (zone, woken), stamp, out, |machine, here| machine.rule_mut().seen(&seen, here));
            self.ask_again(zone, woken, stamp.gateway);
            let patterns = self.memory.patterns.note_track(&self.compiled, zone, event, stamp);
            self.let_patterns_work(&patterns, stamp, out);
        }
    }

    /// Shows the patterns that ask for it what the gateway has said since `from`.
    fn tell_patterns(&mut self, mut from: usize, stamp: &Stamp, out: &mut Vec<Situation>) {
        if !self.compiled.hears_said() {
            return;
        }
        while let Some(situation) = out.get(from) {
            from += 1;
            let Some(zone) = self.index.zone(&situation.zone) else { continue };
            let places = self.memory.patterns.note_said(&self.compiled, zone, situation);
            self.let_patterns_work(&places, stamp, out);
        }
    }

    /// Lets patterns look at what has been heard, each in its zone.
    fn let_patterns_work(&mut self, places: &[u32], stamp: &Stamp, out: &mut Vec<Situation>) {
        for place in places {
            self.with_pattern(*place, stamp, out, Patterns::work);
            let wall_offset = wall_offset(&self.memory.last);
            self.memory.patterns.ask_again(&self.compiled, *place, &self.memory.sensors, wall_offset);
        }
    }

    fn with_pattern(
        &mut self,
        place: u32,
        stamp: &Stamp,
        out: &mut Vec<Situation>,
        work: impl FnOnce(&mut Patterns, &patterns::Compiled, u32, &mut Here<'_>),
    ) {
        let mut patterns = core::mem::take(&mut self.memory.patterns);
        let compiled = core::mem::take(&mut self.compiled);
        if let Some((zone, kind, version, mode)) = compiled.place(place)
            && let Some((around, _)) = self.split()
            && let Some(mut here) = around.here(zone, Speaker { kind, version }, mode, stamp, out)
        {
            work(&mut patterns, &compiled, place, &mut here);
        }
        self.compiled = compiled;
        self.memory.patterns = patterns;
    }

    /// Adds what a credential reader said to its holder's trail.
    fn trace(&mut self, observation: &Observation, at: WallTime, stamp: &Stamp) {
        let Reading::Credential(credential) = &observation.reading else { return };
        let Some(site) = &self.memory.site else { return };
        let Some(spec) = site.sensors.get(&observation.sensor) else { return };
        let heard = trails::Heard {
            sensor: &observation.sensor,
            spec,
            credential,
            at,
            claimed: observation.observed_at.map(|claimed| claimed.at),
            live: observation.freshness == Freshness::Live,
        };
        self.memory.trails.take(&heard, &self.key, site, stamp);
    }

    /// Shows the reads that are due to the machines of their zones, each with its trail.
    fn follow(&mut self, stamp: &Stamp, out: &mut Vec<Situation>) {
        while let Some(released) = self.memory.trails.release(stamp.gateway) {
            let trails = core::mem::take(&mut self.memory.trails);
            let holder = released.holder;
            for (index, again) in released.all() {
                let Some(trail) = trails.of(&holder) else { break };
                let event = TrailEvent { holder, trail, index, again };
                let Some(zone) = self.index.zone(&event.read().zone) else { continue };
                let woken = self.hearing.get(zone as usize).map_or(0, |hearing| hearing.trails);
                let seen = Seen::Trail(event);
                let Some((around, zones)) = self.split() else { break };
                around.let_work(zones, (zone, woken), stamp, out, |machine, here| machine.rule_mut().seen(&seen, here));
                self.ask_again(zone, woken, stamp.gateway);
            }
            self.memory.trails = trails;
        }
    }

    /// What machines look at while they work, and the zones they are in.
    fn split(&mut self) -> Option<(Around<'_>, &mut [ZoneMemory])> {
        let EngineMemory { site, model, adopted, last, security_level, sensors, zones, statements, .. } =
            &mut self.memory;
        let around = Around {
            key: &self.key,
            site: site.as_ref()?,
            index: &self.index,
            hearing: &self.hearing,
            sensors,
            statements,
            model,
            adopted,
            last,
            security_level: *security_level,
        };
        Some((around, zones))
    }

    fn take_control(&mut self, control: &Control, stamp: &Stamp, out: &mut Vec<Situation>) {
        match control {
            Control::Started { .. } => {
                self.memory.sensors.iter_mut().for_each(|memory| memory.listen_anew(stamp.gateway));
            }
            Control::SiteApplied { site, .. } => self.apply(site, stamp, out),
            Control::References(references) => self.memory.statements.take(references, &self.key),
            Control::RatesAdopted { model, .. } => {
                self.memory.adopted = (**model).clone();
                let site = self.memory.site.as_ref();
                self.memory.model = site.map(|site| model_id(site, &self.memory.adopted)).unwrap_or_default();
            }
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
        let before: Vec<(ZoneId, bool)> = match &self.memory.site {
            Some(before) => before.zones.keys().map(|id| (id.clone(), kept(before, id))).collect(),
            None => Vec::new(),
        };
        for (zone, _) in (0u32..).zip(&before).filter(|(_, (_, kept))| !kept) {
            let Some((around, zones)) = self.split() else { break };
            around.let_work(zones, (zone, u64::MAX), stamp, out, |machine, here| machine.rule_mut().stop(here));
        }
        let ending = self.ending_patterns(site);
        for place in &ending {
            self.with_pattern(*place, stamp, out, Patterns::give_up);
            let stopping = |patterns: &mut Patterns, compiled: &patterns::Compiled, place, here: &mut Here<'_>| {
                let mut here = here.speaking_of(patterns::PATTERN_STOPPED, patterns::STOPPED_VERSION);
                patterns.give_up_stopping(compiled, place, &mut here);
            };
            self.with_pattern(*place, stamp, out, stopping);
        }
        let mut zones: BTreeMap<ZoneId, ZoneMemory> = before
            .into_iter()
            .zip(core::mem::take(&mut self.memory.zones))
            .filter(|((_, kept), _)| *kept)
            .map(|((id, _), memory)| (id, memory))
            .collect();
        let names = self.memory.site.as_ref().into_iter().flat_map(|site| site.sensors.keys().cloned());
        let mut sensors: BTreeMap<SensorId, Memory> = names.zip(core::mem::take(&mut self.memory.sensors)).collect();
        self.memory.deadlines.clear();
        self.memory.model = model_id(site, &self.memory.adopted);
        self.memory.sensors =
            site.sensors.keys().map(|id| sensors.remove(id).unwrap_or_else(|| Memory::expected_from(now))).collect();
        self.memory.zones = site
            .zones
            .iter()
            .map(|(id, zone)| {
                let mut memory = zones.remove(id).unwrap_or_else(|| ZoneMemory {
                    lane: (zone.kind == ZoneKind::Lane).then(Lane::default),
                    passages: (zone.kind == ZoneKind::Lane).then(Passages::default),
                    known: VecDeque::new(),
                    machines: Machine::of_zone(site, id, zone),
                    asked: Vec::new(),
                });
                memory.machines.truncate(MOST_MACHINES);
                memory.asked = alloc::vec![None; memory.machines.len() + usize::from(FIRST_MACHINE)];
                memory
            })
            .collect();
        self.memory.tracker.apply(site, |zone| hears_of_tracks(site, zone));
        let site_before = self.memory.site.replace(site.clone());
        let compiled_before = core::mem::take(&mut self.compiled);
        self.look_up_anew();
        for zone in 0..self.memory.zones.len() as u32 {
            self.ask_again(zone, u64::MAX, now);
        }
        let before = site_before.as_ref().unwrap_or(site);
        let new = self.memory.patterns.apply((before, &compiled_before), (site, &self.compiled), stamp.wall);
        for place in new {
            self.with_pattern(place, stamp, out, Patterns::check_guard);
        }
        let all: Vec<u32> = (0..self.compiled.count()).collect();
        self.let_patterns_work(&all, stamp, out);
    }

    /// Patterns that are not as they were once a site takes effect, by their places now.
    fn ending_patterns(&self, site: &Site) -> Vec<u32> {
        let Some(before) = &self.memory.site else { return Vec::new() };
        let after = patterns::Compiled::of(site, &Index::of(site), self.guards);
        patterns::ending((before, &self.compiled), (site, &after))
    }

    /// Makes what is made from the site in force.
    fn look_up_anew(&mut self) {
        let Some(site) = &self.memory.site else { return };
        self.index = Index::of(site);
        self.hearing = self.memory.zones.iter().map(|zone| Hearing::of_machines(&zone.machines)).collect();
        self.compiled = patterns::Compiled::of(site, &self.index, self.guards);
        self.memory.statements.index_anew();
    }

    /// Fires everything due up to a stamp, each at its own time.
    fn fire_due(&mut self, until: &Stamp, out: &mut Vec<Situation>) {
        loop {
            let machine = self.memory.deadlines.first().map(|(at, ..)| *at);
            let said = out.len();
            if let Some((at, _)) = self.memory.patterns.next_due()
                && machine.is_none_or(|machine| at < machine)
                && self.memory.trails.next_due().is_none_or(|read| at < read)
            {
                if at > until.gateway {
                    break;
                }
                self.memory.now = at;
                let stamp = Stamp { gateway: at, ..self.memory.last };
                if let Some((_, place)) = self.memory.patterns.pop_due() {
                    self.let_patterns_work(&[place], &stamp, out);
                }
                self.tell_patterns(said, &stamp, out);
                continue;
            }
            if let Some(at) = self.memory.trails.next_due().filter(|at| machine.is_none_or(|machine| *at <= machine)) {
                if at > until.gateway {
                    break;
                }
                self.memory.now = at;
                let stamp = Stamp { gateway: at, ..self.memory.last };
                self.follow(&stamp, out);
                self.tell_patterns(said, &stamp, out);
                continue;
            }
            if machine.is_none_or(|machine| machine > until.gateway) {
                break;
            }
            let Some((at, zone, who)) = self.memory.deadlines.pop_first() else { break };
            let Some(zone_memory) = self.memory.zones.get_mut(zone as usize) else { continue };
            if let Some(asked) = zone_memory.asked.get_mut(usize::from(who)) {
                *asked = None;
            }
            let stamp = Stamp { gateway: at, ..self.memory.last };
            self.memory.now = at;
            let woken = match who {
                LANE | PASSAGES => {
                    let events = self.fire_lane(zone, who, at);
                    let Some((around, zones)) = self.split() else { continue };
                    around.tell_of_lane(zones, zone, &events, &stamp, out)
                }
                machine => {
                    let woken = 1u64.checked_shl(u32::from(machine - FIRST_MACHINE)).unwrap_or(0);
                    let Some((around, zones)) = self.split() else { continue };
                    around.let_work(zones, (zone, woken), &stamp, out, |machine, here| machine.rule_mut().fire(here));
                    woken
                }
            };
            self.ask_again(zone, woken, at);
            self.tell_patterns(said, &stamp, out);
        }
    }

    fn fire_lane(&mut self, zone: u32, who: u16, at: GatewayTime) -> Vec<LaneEvent> {
        let patience = self.patience();
        let mut events = Vec::new();
        let memory = &mut self.memory;
        let (Some(site), Some(zone_memory)) = (&memory.site, memory.zones.get_mut(zone as usize)) else {
            return events;
        };
        match (who, &mut zone_memory.lane, &mut zone_memory.passages) {
            (LANE, Some(lane), _) => lane.fire(at, patience),
            (PASSAGES, _, Some(passages)) => {
                let Some(zone_id) = self.index.zone_name(zone) else { return events };
                for passage in passages.fire(at, patience) {
                    let (digest, version) = (passage.digest, memory.statements.version());
                    let same = |worked: &&Worked| (worked.0, worked.1) == (digest, version);
                    let known = match zone_memory.known.iter().find(same).filter(|_| passage.exit.is_some()) {
                        Some((_, _, known)) => known.clone(),
                        None => {
                            let known = identity::judge(&passage, &memory.statements, site, zone_id);
                            if zone_memory.known.len() == PASSAGES_PER_LANE {
                                zone_memory.known.pop_front();
                            }
                            zone_memory.known.push_back((digest, version, known.clone()));
                            known
                        }
                    };
                    events.push(LaneEvent::Passed(alloc::boxed::Box::new((passage, known))));
                }
            }
            _ => {}
        }
        events
    }

    /// Notes when the lane and the woken machines of a zone want to be woken again.
    fn ask_again(&mut self, zone: u32, woken: u64, now: GatewayTime) {
        let patience = self.patience();
        let memory = &mut self.memory;
        let Some(site) = &memory.site else { return };
        let Some(zone_memory) = memory.zones.get_mut(zone as usize) else { return };
        let look = Look { now, site, sensors: Sensors { memories: &memory.sensors, index: &self.index, zone } };
        let ZoneMemory { lane, passages, machines, asked, .. } = zone_memory;
        let mut ask = |who: u16, wanted: Option<GatewayTime>| {
            let Some(asked) = asked.get_mut(usize::from(who)) else { return };
            // What is asked for already stays, also where it is due this very moment and another was served first.
            if *asked == wanted {
                return;
            }
            if let Some(at) = asked.take() {
                memory.deadlines.remove(&(at, zone, who));
            }
            // A machine that asks for the past has been served already; once a second is enough to serve it again.
            if let Some(at) = wanted.map(|at| if at <= now { now.after(Duration::from_secs(1)) } else { at }) {
                memory.deadlines.insert((at, zone, who));
                *asked = Some(at);
            }
        };
        if let Some(lane) = lane {
            ask(LANE, lane.next_due(patience));
        }
        if let Some(passages) = passages {
            ask(PASSAGES, passages.next_due());
        }
        for bit in bits(woken) {
            let Some(machine) = machines.get(usize::from(bit)) else { break };
            ask(FIRST_MACHINE + bit, machine.rule().next_due(&look));
        }
    }

    fn patience(&self) -> Patience {
        let settings =
            self.memory.site.as_ref().and_then(|site| site.rules.passage.as_ref()).map(|rule| &rule.settings);
        settings.map_or_else(Patience::usual, |settings| Patience { within: settings.within, settle: settings.settle })
    }
}

/// What the machines of a zone look at while they work.
struct Around<'a> {
    key: &'a [u8; 32],
    site: &'a Site,
    index: &'a Index,
    hearing: &'a [Hearing],
    sensors: &'a [Memory],
    statements: &'a Statements,
    model: &'a str,
    adopted: &'a Model,
    last: &'a Stamp,
    security_level: u8,
}

impl Around<'_> {
    /// Shows the machines of a zone what happened in its lane. Says which they are.
    fn tell_of_lane(
        &self,
        zones: &mut [ZoneMemory],
        zone: u32,
        events: &[LaneEvent],
        stamp: &Stamp,
        out: &mut Vec<Situation>,
    ) -> u64 {
        let hear = self.hearing.get(zone as usize).map_or(0, |hearing| hearing.lane);
        for event in events {
            self.let_work(zones, (zone, hear), stamp, out, |machine, here| {
                machine.rule_mut().seen(&Seen::Lane(event), here)
            });
        }
        hear
    }

    /// Lets machines of a zone work: those whose bits are set.
    fn let_work(
        &self,
        zones: &mut [ZoneMemory],
        (zone, woken): (u32, u64),
        stamp: &Stamp,
        out: &mut Vec<Situation>,
        mut work: impl FnMut(&mut Machine, &mut Here<'_>),
    ) {
        if woken == 0 {
            return;
        }
        let (Some(zone_id), Some(zone_memory)) = (self.index.zone_name(zone), zones.get_mut(zone as usize)) else {
            return;
        };
        for bit in bits(woken) {
            let Some(machine) = zone_memory.machines.get_mut(usize::from(bit)) else { break };
            let kind = machine.kind();
            let Some(mode) = (kind.mode)(self.site, zone_id) else { continue };
            let speaker = Speaker { kind: kind.kind, version: kind.version };
            let Some(mut here) = self.here(zone, speaker, mode, stamp, out) else { continue };
            work(machine, &mut here);
        }
    }

    /// Where and when somebody speaks.
    fn here<'b>(
        &'b self,
        zone: u32,
        rule: Speaker<'b>,
        mode: Mode,
        stamp: &Stamp,
        out: &'b mut Vec<Situation>,
    ) -> Option<Here<'b>> {
        let (zone_id, place) = self.index.place(zone)?;
        Some(Here {
            now: stamp.gateway,
            site: self.site,
            zone_id,
            zone: place,
            sensors: Sensors { memories: self.sensors, index: self.index, zone },
            statements: self.statements,
            rule,
            mode,
            key: self.key,
            model: self.model,
            adopted: self.adopted,
            position: self.last.position,
            clock: self.last.quality,
            wall_offset: wall_offset(self.last),
            security_level: self.security_level,
            out,
        })
    }
}

/// Which bits are set, lowest first.
fn bits(mut woken: u64) -> impl Iterator<Item = u16> {
    core::iter::from_fn(move || {
        let bit = woken.trailing_zeros() as u16;
        woken &= woken.checked_sub(1)?;
        Some(bit)
    })
}

/// Wall minus gateway time, in nanoseconds.
fn wall_offset(last: &Stamp) -> i64 {
    last.wall.0.saturating_sub(last.gateway.0 as i64)
}

impl Hearing {
    fn of_machines(machines: &[Machine]) -> Self {
        let mut hearing = Self::default();
        for (bit, machine) in machines.iter().enumerate().take(MOST_MACHINES) {
            let kind = machine.kind();
            for stream in kind.follows {
                let bits = match stream {
                    Stream::Lane => &mut hearing.lane,
                    Stream::Trails => &mut hearing.trails,
                    Stream::Tracks => &mut hearing.tracks,
                };
                *bits |= 1 << bit;
            }
            for role in Role::ALL.into_iter().filter(|role| (kind.hears)(*role)) {
                *hearing.by_role.entry(role).or_default() |= 1 << bit;
            }
        }
        hearing
    }

    fn of(&self, role: Role) -> u64 {
        self.by_role.get(&role).copied().unwrap_or(0)
    }
}

fn lane_signal<'a>(signal: &Signal<'a>, stamp: &Stamp) -> lane::Signal<'a> {
    lane::Signal {
        sensor: signal.sensor,
        role: signal.spec.role,
        reading: signal.reading,
        change: signal.change,
        at: signal.at,
        gateway: stamp.gateway,
        position: stamp.position,
    }
}

/// How long one grant can be used; the tailgating rule's setting, also where that rule is not run.
pub(crate) fn grant_lasts(site: &Site) -> Duration {
    let settings = site.rules.tailgating.as_ref().map(|rule| rule.settings.grant_lasts);
    settings.unwrap_or_else(|| rules::Tailgating::default().grant_lasts)
}
