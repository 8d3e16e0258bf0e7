//! A gate: what the engine makes of recorded days at four lanes.
//!
//! A data set has `ref.json` (what a site knows: lanes, bookings, staff, readers) and `events.jsonl` (in the order of arrival,
//! with the sources' own skewed times). What comes of it is one JSON object a line: passages and anomalies, each with the time
//! of its first version and the content of its last.

use super::{KEY, Timing};
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Control, DomainId, FeedId, FieldClass, GatewayTime, LineId, Observation, Position, Private, Reading, Record,
    Reference, SensorId, Site, Situation, Stamp, Stamped, WallTime,
    observation::{AccessDecision, Container, Credential, Health, Measure, Plate, SourceId, SourceTime, Tag},
    reference::{Booking, Fact, References, Role as StaffRole, Shift},
    sealed::{Handle, Identity},
    site::{Clock, Direction, Mount, Rates, Role, Rules, Sensor, Status, UtcOffset, Zone, ZoneKind, rules},
    situation::{IdentityKind, Part, Phase, Phrase, SituationId},
    units::{Finite, Probability, Unit},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// Badges by what the engine calls their holders.
type Badges = BTreeMap<String, String>;

/// A data set, as the log has it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The site, what systems of record say, and the observations in the order they arrived.
    pub records: Vec<Stamped>,
    badges: Badges,
}

#[derive(Deserialize)]
struct Ref {
    lanes: Vec<String>,
    bookings: Vec<BookingRow>,
    readers: BTreeMap<String, ReaderRow>,
    roles: BTreeMap<String, Vec<String>>,
    staff: BTreeMap<String, StaffRow>,
    walk_mps: f64,
    drive_mps: f64,
}

#[derive(Deserialize)]
struct BookingRow {
    plate: String,
    containers: Vec<String>,
    tag: Option<String>,
    badge: Option<String>,
    declared: u32,
}

#[derive(Deserialize)]
struct ReaderRow {
    x: f64,
    y: f64,
    zone: String,
    dir: String,
}

#[derive(Deserialize)]
struct StaffRow {
    role: String,
    shift: (f64, f64),
}

#[derive(Deserialize)]
struct Event {
    rx: f64,
    ts: f64,
    src: String,
    kind: String,
    mid: String,
    text: Option<String>,
    conf: Option<f64>,
    tag: Option<String>,
    rssi: Option<f64>,
    kg: Option<f64>,
    stable: Option<bool>,
    open: Option<bool>,
    on: Option<bool>,
    badge: Option<String>,
}

/// The benchmark's second zero: 14 November 2026, noon UTC. Any day will do.
const START: i64 = 1_794_657_600_000_000_000;
/// When the records are over, time goes on for so long: passages become final, and nobody is silent yet.
const AFTERWARDS: Duration = Duration::from_secs(45);

/// Reads a data set, lets the engine work on it and writes what it concluded.
pub fn run(data: &Path, results: &mut impl Write) -> Result<Timing, Box<dyn Error>> {
    let recorded = Recorded::read(data)?;
    let (said, timing) = recorded.play();
    recorded.write(&said, results)?;
    Ok(timing)
}

impl Recorded {
    /// Reads a data set.
    pub fn read(data: &Path) -> Result<Self, Box<dyn Error>> {
        let known: Ref = serde_json::from_str(&fs::read_to_string(data.join("ref.json"))?)?;
        let mut records = vec![
            stamped(1, 0.0, Record::Control(Control::SiteApplied { site: Box::new(site(&known)), digest: [0; 32] })),
            stamped(2, 0.0, Record::Control(Control::References(bookings(&known)))),
            stamped(3, 0.0, Record::Control(Control::References(roster(&known)))),
        ];
        let mut badges: Badges = BTreeMap::new();
        for line in fs::read_to_string(data.join("events.jsonl"))?.lines() {
            let event: Event = serde_json::from_str(line)?;
            if let Some(badge) = &event.badge {
                badges.insert(hex(Handle::of(badge, &KEY)), badge.clone());
            }
            let position = records.len() as u64 + 1;
            records.push(stamped(position, event.rx, Record::Observation(observation(&event)?)));
        }
        Ok(Self { records, badges })
    }

    /// Lets a new engine work on it.
    pub fn play(&self) -> (Vec<Situation>, Timing) {
        let mut engine = Engine::new(KEY);
        let mut said = Vec::new();
        let begun = Instant::now();
        for record in &self.records {
            said.append(&mut engine.observe(record));
        }
        said.append(&mut engine.advance(&self.until()));
        let inside = begun.elapsed();
        (said, Timing { events: self.records.len() as u64, inside })
    }

    /// Up to when time goes on once the records are over.
    pub fn until(&self) -> Stamp {
        let last = self.records.last().map_or_else(Stamp::default, |record| record.stamp);
        Stamp { gateway: last.gateway.after(AFTERWARDS), ..last }
    }

    /// Writes what was concluded.
    pub fn write(&self, said: &[Situation], results: &mut impl Write) -> Result<(), Box<dyn Error>> {
        write(said, &self.badges, results)
    }
}

fn stamped(position: u64, rx: f64, record: Record) -> Stamped {
    let wall = moment(rx);
    let stamp = Stamp { position: Position(position), gateway: GatewayTime(wall.0 as u64), wall, ..Stamp::default() };
    Stamped { stamp, record }
}

fn moment(seconds: f64) -> WallTime {
    WallTime(START + (seconds * 1e9) as i64)
}

fn seconds(at: WallTime) -> f64 {
    (at.0 - START) as f64 / 1e9
}

fn sensor_name(source: &str) -> String {
    source.replace('.', "-")
}

fn observation(event: &Event) -> Result<Observation, Box<dyn Error>> {
    let sensor = SensorId::new(&sensor_name(&event.src))?;
    let confidence = event.conf.map(Probability::new).transpose()?;
    let reading = match event.kind.as_str() {
        "hb" => Reading::Health(Health::Alive),
        "loop" => Reading::Contact(event.on.unwrap_or_default()),
        "barrier" => Reading::Contact(event.open.unwrap_or_default()),
        "plate" => Reading::Plate(Plate {
            text: Private::clear(event.text.clone().unwrap_or_default()),
            confidence,
            candidates: Vec::new(),
            region: None,
        }),
        "ocr" => Reading::Container(Container {
            code: Private::clear(event.text.clone().unwrap_or_default()),
            confidence,
            candidates: Vec::new(),
        }),
        "rfid" => Reading::Tag(Tag {
            id: Private::clear(event.tag.clone().unwrap_or_default()),
            rssi_dbm: event.rssi.map(|dbm| dbm.round() as i16),
        }),
        "weight" => Reading::Measure(Measure {
            value: Finite::new(event.kg.unwrap_or_default())?,
            unit: Unit::new("kg")?,
            stable: event.stable,
        }),
        "badge" => Reading::Credential(Credential {
            holder: identity(event.badge.as_deref().unwrap_or_default()),
            decision: AccessDecision::Granted,
        }),
        "tamper" => Reading::Health(if event.on == Some(true) { Health::Tampered } else { Health::Alive }),
        other => return Err(format!("an event of kind {other}").into()),
    };
    Ok(Observation {
        source_id: Some(SourceId::of(&sensor, &[event.mid.as_bytes()])),
        observed_at: Some(SourceTime { at: moment(event.ts), uncertainty_ms: 0 }),
        ..Observation::live(sensor, reading)
    })
}

/// As the ledger makes it at intake.
fn identity(badge: &str) -> Identity {
    Identity { handle: Some(Handle::of(badge, &KEY)), value: Private::clear(badge) }
}

fn site(known: &Ref) -> Site {
    let mut zones = BTreeMap::new();
    let mut sensors = BTreeMap::new();
    for lane in &known.lanes {
        let direction = if lane.starts_with("in") { Direction::In } else { Direction::Out };
        zones.insert(name(lane), zone(lane, ZoneKind::Lane, Some(direction)));
        let equipment = [
            (format!("loop-{lane}-l1"), Role::LoopApproach, (0.98, 0.001)),
            (format!("loop-{lane}-l2"), Role::LoopExit, (0.99, 0.001)),
            (format!("barrier-{lane}"), Role::BarrierOpen, (0.98, 0.001)),
            (format!("anpr-a-{lane}"), Role::PlateFront, (0.92, 0.01)),
            (format!("anpr-b-{lane}"), Role::PlateFront, (0.88, 0.01)),
            (format!("ocr-{lane}"), Role::Container, (0.9, 0.01)),
            (format!("rfid-{lane}"), Role::Tag, (0.85, 0.02)),
            (format!("weight-{lane}"), Role::WeightGross, (0.97, 0.001)),
            (format!("badge-kiosk-{lane}"), Role::Grant, (0.92, 0.01)),
        ];
        for (id, role, rates) in equipment {
            let alive = matches!(role, Role::PlateFront | Role::Container | Role::Tag);
            let silent_after = alive.then_some(Duration::from_secs(300));
            sensors.insert(name(&id), sensor(&id, lane, role, rates, silent_after));
        }
    }
    for (reader, place) in &known.readers {
        let kind = if place.zone == "site" { ZoneKind::Turnstile } else { ZoneKind::Room };
        zones.entry(name(&place.zone)).or_insert_with(|| zone(&place.zone, kind, None));
        let id = format!("badge-{reader}");
        let reader = Sensor {
            mount: Some(Mount { x: place.x, y: place.y, facing_deg: 0.0 }),
            leads: Some(if place.dir == "out" { Direction::Out } else { Direction::In }),
            ..sensor(&id, &place.zone, Role::Reader, (0.99, 0.001), None)
        };
        sensors.insert(name(&id), reader);
    }
    Site {
        locode: "NLRTM".into(),
        id: name("benchmark"),
        timezone: "UTC".into(),
        status: Status::Test,
        zones,
        sensors,
        rules: rules(known),
        feeds: ["bookings", "roster"].map(|feed| (name::<FeedId>(feed), Duration::from_secs(86_400))).into(),
        utc_offsets: vec![UtcOffset { from: WallTime(0), seconds: 0 }],
        grid: None,
        patterns: Default::default(),
    }
}

fn rules(known: &Ref) -> Rules {
    fn told<Settings: Default>() -> Option<rules::Rule<Settings>> {
        Some(rules::Rule::everywhere(rules::Mode::Tell))
    }
    let travel = rules::ImpossibleTravel { walking: known.walk_mps, driving: known.drive_mps };
    Rules {
        passage: told(),
        tailgating: told(),
        weight_mismatch: told(),
        unbooked: told(),
        tag_mismatch: told(),
        container_mismatch: told(),
        pass_back: told(),
        impossible_travel: Some(rules::Rule { settings: travel, ..rules::Rule::everywhere(rules::Mode::Tell) }),
        out_of_zone: told(),
        out_of_hours: told(),
        sensor_silent: told(),
        sensor_blind: told(),
        sensor_stuck: told(),
        sensor_drift: told(),
        clock_step: told(),
        ..Rules::default()
    }
}

fn name<Name: TryFrom<String, Error = quaywatch_schemas::names::BadName>>(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap_or_else(|bad| panic!("{text}: {bad}"))
}

fn zone(name: &str, kind: ZoneKind, direction: Option<Direction>) -> Zone {
    Zone { name: name.into(), kind, direction, length_m: None, media: None, closed: None, outline: Vec::new() }
}

fn sensor(id: &str, zone: &str, role: Role, rates: (f64, f64), silent_after: Option<Duration>) -> Sensor {
    Sensor {
        zone: name(zone),
        role,
        at_m: None,
        // Each hangs on its own cable, and nothing says what fails together.
        domain: name::<DomainId>(id),
        line: name::<LineId>(id),
        silent_after,
        unit: (role == Role::WeightGross).then(|| Unit::new("kg").expect("kg is a unit")),
        range: None,
        rates: Rates { detection: rates.0, false_alarm: rates.1 },
        mount: None,
        view: None,
        clock: Clock::Free,
        leads: None,
    }
}

fn hex(handle: Handle) -> String {
    handle.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bookings(known: &Ref) -> References {
    let statements = known.bookings.iter().enumerate().map(|(number, row)| {
        let fact = Fact::Booking(Booking {
            plate: Private::clear(row.plate.clone()),
            containers: row.containers.iter().cloned().map(Private::clear).collect(),
            declared_gross_kg: Some(row.declared),
            zones: Vec::new(),
            tag: row.tag.clone().map(Private::clear),
            driver: row.badge.as_deref().map(identity),
        });
        reference(format!("b{number}"), fact)
    });
    References { feed: name("bookings"), as_of: moment(0.0), complete: true, statements: statements.collect() }
}

fn roster(known: &Ref) -> References {
    let statements = known.staff.iter().map(|(badge, row)| {
        let zones = known.roles.get(&row.role).into_iter().flatten().map(|zone| name(zone)).collect();
        let shift = Shift { from: moment(row.shift.0), until: moment(row.shift.1) };
        let fact =
            Fact::Role(StaffRole { holder: identity(badge), role: row.role.clone(), zones, shifts: vec![shift] });
        reference(format!("s{badge}"), fact)
    });
    References { feed: name("roster"), as_of: moment(0.0), complete: true, statements: statements.collect() }
}

fn reference(key: String, fact: Fact) -> Reference {
    Reference { key, valid_from: None, valid_until: None, version: 1, fact }
}

/// A situation by its versions: when it was first said, and what it said last.
struct Said<'a> {
    first: WallTime,
    last: &'a Situation,
}

fn write(said: &[Situation], badges: &Badges, results: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut order: Vec<SituationId> = Vec::new();
    let mut situations: BTreeMap<SituationId, Said<'_>> = BTreeMap::new();
    for situation in said {
        match situations.get_mut(&situation.id) {
            Some(known) => known.last = situation,
            None => {
                order.push(situation.id);
                let concluded = WallTime(situation.concluded.0 as i64);
                situations.insert(situation.id, Said { first: concluded, last: situation });
            }
        }
    }
    for id in order {
        let said = &situations[&id];
        if said.last.phase != Phase::Retracted
            && let Some(row) = row(said, badges)
        {
            writeln!(results, "{row}")?;
        }
    }
    Ok(())
}

fn row(said: &Said<'_>, badges: &Badges) -> Option<Value> {
    let situation = said.last;
    let emit = seconds(said.first);
    if situation.kind == "gate.passage" {
        let identities = || situation.subjects.iter().flat_map(|subject| &subject.identities);
        let plate = identities().find(|identity| identity.kind == IdentityKind::Plate);
        let containers = || identities().filter(|identity| identity.kind == IdentityKind::Container);
        let codes: Vec<&str> = containers().filter_map(|identity| identity.value.as_clear()).collect();
        return Some(json!({
            "type": "passage",
            "emit": emit,
            "lane": situation.zone.as_str(),
            "t": situation.facts.iter().find_map(crossed).map(seconds),
            "p": situation.probability,
            "plate": plate.and_then(|plate| plate.value.as_clear()),
            "plate_p": plate.map_or(0.0, |plate| plate.probability),
            "containers": codes,
            "cont_p": containers().next().map_or(situation.probability, |identity| identity.probability),
        }));
    }
    let (kind, subject) = match situation.kind.as_str() {
        "gate.tailgating" => ("tailgate", situation.zone.to_string()),
        "gate.weight-mismatch" => ("weight_mismatch", situation.zone.to_string()),
        "gate.container-mismatch" => ("container_mismatch", situation.zone.to_string()),
        "gate.tag-mismatch" => ("tag_plate_mismatch", situation.zone.to_string()),
        "gate.unbooked" => ("unbooked", situation.zone.to_string()),
        "access.pass-back" => ("passback", badge(situation, badges)?),
        "access.impossible-travel" => ("impossible_travel", badge(situation, badges)?),
        "access.out-of-zone" => ("out_of_zone", badge(situation, badges)?),
        "access.out-of-hours" => ("out_of_hours", badge(situation, badges)?),
        // A camera that does not answer sees as little as one that is covered.
        "sensor.silent" | "sensor.blind" => ("sensor_blind", source(situation)?),
        "sensor.stuck" => ("sensor_stuck", source(situation)?),
        "sensor.drift" => ("sensor_drift", source(situation)?),
        "clock.step" => ("clock_step", source(situation)?),
        _ => return None,
    };
    let gate = situation.kind.starts_with("gate.");
    // It is said at the exit, a moment after the vehicle crossed it.
    let at = if gate { situation.until.map_or(emit, seconds) } else { seconds(situation.from) };
    Some(json!({
        "type": "anomaly",
        "emit": emit,
        "kind": kind,
        "t": at,
        "subj": subject,
        "p": situation.probability,
    }))
}

/// When a passage crossed the exit loop, out of its facts.
fn crossed(fact: &Phrase) -> Option<WallTime> {
    let [Part::Words(words), Part::Detail { class: FieldClass::Method, parts }, ..] = fact.0.as_slice() else {
        return None;
    };
    let time = parts.iter().find_map(|part| match part {
        Part::Time(at) => Some(*at),
        _ => None,
    });
    time.filter(|_| words == "It crossed the lane")
}

fn badge(situation: &Situation, badges: &Badges) -> Option<String> {
    let mut identities = situation.subjects.iter().flat_map(|subject| &subject.identities);
    let handle = identities.find(|identity| identity.kind == IdentityKind::Handle)?;
    badges.get(handle.value.as_clear()?).cloned()
}

/// The data set's name of the sensor that a situation is about.
fn source(situation: &Situation) -> Option<String> {
    let sensor = situation.evidence.first()?.sensor.as_str();
    let (device, place) = sensor.split_once('-')?;
    let place = place
        .strip_prefix("a-")
        .map(|lane| format!("-a.{lane}"))
        .or_else(|| place.strip_prefix("b-").map(|lane| format!("-b.{lane}")));
    Some(match place {
        Some(place) => format!("{device}{place}"),
        None => sensor.replace('-', "."),
    })
}
