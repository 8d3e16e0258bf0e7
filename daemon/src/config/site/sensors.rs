//! Sensors: where each is, what it is there, and how its line reads it.

use super::{
    SensorTable,
    defaults::{self, Usual},
    geometry, read_json, read_modbus, read_streamed,
};
use crate::config::{
    document::{Named, Table, did_you_mean},
    findings::Findings,
    plan::{Line, Read, Way},
    values::{NodeNumber, Number, site::ReadingKind},
    written::{Word, Written},
};
use quaywatch_drivers::{by_exception::Reporting, node_link};
use quaywatch_schemas::{
    DomainId, LineId, SensorId, ZoneId,
    frame::channel::{Channel, Kind},
    site::{Clock, Direction, Mount, Rates, Role, Sensor, View, Zone, ZoneKind},
    units::Unit,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use toml::Spanned;

/// What sensors refer to.
pub(super) struct Around<'a> {
    pub(super) zones: &'a BTreeMap<ZoneId, Zone>,
    pub(super) zones_declared: &'a BTreeSet<String>,
    pub(super) lines_declared: &'a BTreeSet<String>,
    pub(super) nodes_declared: &'a BTreeSet<String>,
    /// Whether the site file says where its grid is on the Earth.
    pub(super) has_grid: bool,
}

/// What is known of a sensor before it is known how it is read.
pub(super) struct Reading<'a> {
    pub(super) id: &'a SensorId,
    pub(super) role: Role,
    pub(super) usual: Usual,
    pub(super) range: Option<(f64, f64)>,
}

impl Reading<'_> {
    /// Whether its role lives on where things are.
    pub(super) fn gives_positions(&self) -> bool {
        matches!(self.role, Role::Radar | Role::PositionCamera)
    }
}

/// How a sensor is read, and what that means for its silence and its unit.
pub(super) struct Wired {
    pub(super) read: Read,
    pub(super) unit: Option<Unit>,
    /// Silent after this, if the file does not say.
    pub(super) silent_after: Option<Duration>,
}

const EVERYWHERE: &[&str] =
    &["zone", "role", "line", "at", "domain", "silent_after", "range", "rates", "mount", "view", "clock", "leads"];
const MODBUS: &[&str] = &[
    "discrete",
    "coil",
    "holding",
    "input",
    "type",
    "bit",
    "order",
    "scale",
    "scale_register",
    "offset",
    "unit",
    "sentinels",
    "valid_when",
    "stable_when",
    "inverted",
    "deadband",
    "heartbeat",
    "kind",
];
const MQTT: &[&str] = &[
    "topic",
    "qos",
    "session",
    "frigate",
    "frigate_prefix",
    "value",
    "time",
    "time_format",
    "id",
    "confidence",
    "stable",
    "decision",
    "granted_when",
    "true_when",
    "unit",
    "positions",
    "kind",
];
const HTTP: &[&str] = &[
    "token",
    "platerecognizer",
    "openalpr",
    "value",
    "time",
    "time_format",
    "id",
    "confidence",
    "stable",
    "decision",
    "granted_when",
    "true_when",
    "unit",
    "positions",
    "kind",
];
const SERIAL_TEXT: &[&str] = &["pattern", "unit", "stable_when", "deadband", "heartbeat"];
const AIS: &[&str] = &["kind"];
const FRAMES: &[&str] = &["positions", "kind"];
const NODE: &[&str] = &["node", "channel", "unit"];
/// Which keys go with which line, in a site engineer's words.
const FITS: [(&str, &[&str]); 7] = [
    ("an MQTT broker", MQTT),
    ("a Modbus device", MODBUS),
    ("a webhook listener", HTTP),
    ("serial text", SERIAL_TEXT),
    ("an AIS receiver", AIS),
    ("a line of frames", FRAMES),
    ("a node bus", NODE),
];

/// Reads all sensors and hangs each on its line.
pub(super) fn read(
    tables: Named<SensorId, SensorTable>,
    around: &Around<'_>,
    mut lines: BTreeMap<LineId, Line>,
    findings: &mut Findings,
) -> (BTreeMap<SensorId, Sensor>, BTreeMap<LineId, Line>) {
    if tables.declared.is_empty() {
        findings.add(
            0..0,
            "there is no sensor",
            "add [sensors] and a line for each: NAME = { zone = …, role = …, line = …, … }",
        );
    }
    let mut sensors = BTreeMap::new();
    let mut buses: BTreeMap<NodeNumber, LineId> = BTreeMap::new();
    let mut whole: BTreeMap<LineId, SensorId> = BTreeMap::new();
    for (id, mut table) in tables.tables {
        let Some((line, sensor, read)) = sensor(&id, &mut table, around, &lines, findings) else { continue };
        if let Read::Node { node, .. } = &read
            && let Some(other) = buses.insert(*node, line.clone()).filter(|other| *other != line)
        {
            let what = format!("node {} hangs on line `{other}` already", node.0);
            findings.add(table.key("node"), what, "a node is on one bus: mend `line` or `node`");
        }
        if matches!(read, Read::Ais | Read::Frames(_))
            && let Some(other) = whole.insert(line.clone(), id.clone())
        {
            let what = format!("line `{line}` is read by `{other}` already");
            findings.add(
                table.key("line"),
                what,
                "everything on such a line is one sensor's: give this one a line of its own",
            );
        }
        if let Some(line) = lines.get_mut(&line) {
            line.reads.insert(id.clone(), read);
        }
        sensors.insert(id, sensor);
    }
    (sensors, lines)
}

fn sensor(
    id: &SensorId,
    table: &mut Table<SensorTable>,
    around: &Around<'_>,
    lines: &BTreeMap<LineId, Line>,
    findings: &mut Findings,
) -> Option<(LineId, Sensor, Read)> {
    let (at, path) = (table.at.clone(), table.path.clone());
    let owner = (&at, path.as_str());
    let zone = findings.need(table.value.zone.take(), owner, "zone", "zone = \"NAME\", a name under [zones]");
    let role = findings.need(
        table.value.role.take(),
        owner,
        "role",
        "role = \"loop.exit\" or another: what it is in its zone",
    );
    let line = findings.need(table.value.line.take(), owner, "line", "line = \"NAME\", a name under [lines]");
    let zone = zone.and_then(|zone| known(zone, "zone", around.zones_declared, findings));
    let line = line.and_then(|line| known(line, "line", around.lines_declared, findings));
    let metres = findings.take(table.value.at.take());
    let domain = findings.value(table.value.domain.take());
    let silent_after = findings.take(table.value.silent_after.take());
    let range = range(table.value.range.take(), findings);
    let placed = Placed::read(table, findings);
    let zone_kind = zone.as_ref().and_then(|zone| around.zones.get(zone)).map(|zone| zone.kind);
    if let Some(metres) = metres.as_ref().filter(|_| zone_kind.is_some_and(|kind| kind != ZoneKind::Lane)) {
        findings.add(metres.span(), "`at` is a place along a lane, and this zone is no lane", "take `at` out");
    }
    if let Some(silent) = &silent_after
        && silent.get_ref().0.is_some_and(|silent| silent < Duration::from_secs(1))
    {
        findings.add(silent.span(), "a second of silence is no finding", "write at least \"1 s\", or \"never\"");
    }
    let (Some(zone), Some(role), Some(line)) = (zone, role, line) else { return None };
    let Word(role) = role.into_inner();
    let rates = rates(table, role, findings);
    let leads = leads(table, role, around.zones.get(&zone), findings);
    let usual = Usual::of(role);
    let (usual_rates, way) = (usual.rates, &lines.get(&line)?.way);
    misfits(table, &line, way, findings);
    let reading = Reading { id, role, usual, range };
    let wired = match way {
        Way::Modbus { device, base, .. } => read_modbus::point(table, &reading, *base, device, findings),
        Way::Mqtt(_) => read_json::subscription(table, &reading, findings),
        Way::Http { .. } => read_json::hook(table, &reading, findings),
        Way::SerialText(_) => read_streamed::text(table, &reading, findings),
        Way::Ais(_) => read_streamed::ais(table, &reading, around, findings),
        Way::Frames(_) => read_streamed::frames(table, &reading, findings),
        Way::Nodes { .. } => node(table, &reading, around, findings),
    }?;
    let sensor = Sensor {
        zone,
        role,
        at_m: metres.map(|metres| metres.into_inner().0),
        domain: match domain {
            Some(domain) => domain,
            None => DomainId::new(line.as_str()).ok()?,
        },
        line: line.clone(),
        mount: placed.mount,
        view: placed.view,
        clock: placed.clock,
        leads,
        silent_after: silent_after.map_or(wired.silent_after, |silent| silent.into_inner().0),
        unit: wired.unit,
        range,
        rates: rates.unwrap_or(usual_rates),
    };
    Some((line, sensor, wired.read))
}

/// Where a sensor stands, what it sees from there, and what its clock is worth.
struct Placed {
    mount: Option<Mount>,
    view: Option<View>,
    clock: Clock,
}

impl Placed {
    fn read(table: &mut Table<SensorTable>, findings: &mut Findings) -> Self {
        let (has_mount, view) = (table.has("mount"), table.value.view.take());
        Self {
            mount: geometry::mount(table.value.mount.take(), findings),
            view: geometry::view(view, table, has_mount, findings),
            clock: findings.value(table.value.clock.take()).map_or(Clock::Free, |Word(clock)| clock),
        }
    }
}

/// Which way a reader lets people: as written, or the only way its zone leads.
fn leads(
    table: &mut Table<SensorTable>,
    role: Role,
    zone: Option<&Zone>,
    findings: &mut Findings,
) -> Option<Direction> {
    let said = findings.value(table.value.leads.take()).map(|Word(direction)| direction);
    if role != Role::Reader {
        only_with(
            table,
            &["leads"],
            "is for readers, and this is none",
            "take `leads` out, or write role = \"reader\"",
            findings,
        );
        return None;
    }
    said.or_else(|| zone?.direction)
}

/// A name, if something is called so.
pub(super) fn known<N: std::borrow::Borrow<str>>(
    name: Spanned<N>,
    what: &str,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> Option<N> {
    let at = name.span();
    let name = name.into_inner();
    if declared.contains(name.borrow()) {
        return Some(name);
    }
    let help = did_you_mean(name.borrow(), declared.iter().map(String::as_str));
    findings.add(at, format!("there is no {what} `{}`", name.borrow()), help);
    None
}

/// Keys that do not go with the sensor's line.
fn misfits(table: &Table<SensorTable>, line: &LineId, way: &Way, findings: &mut Findings) {
    let fits = match way {
        Way::Mqtt(_) => MQTT,
        Way::Modbus { .. } => MODBUS,
        Way::Http { .. } => HTTP,
        Way::SerialText(_) => SERIAL_TEXT,
        Way::Ais(_) => AIS,
        Way::Frames(_) => FRAMES,
        Way::Nodes { .. } => NODE,
    };
    for key in table.keys.keys().filter(|key| !EVERYWHERE.contains(&key.as_str()) && !fits.contains(&key.as_str())) {
        let what = format!("`{key}` does not go with line `{line}`, which is {}", way.noun());
        let places: Vec<&str> =
            FITS.iter().filter(|(_, keys)| keys.contains(&key.as_str())).map(|(noun, _)| *noun).collect();
        findings.add(
            table.key(key),
            what,
            format!("it goes with {}; take it out or change the line", places.join(", ")),
        );
    }
}

/// Keys that do not go with another key of the same sensor.
pub(super) fn only_with(table: &Table<SensorTable>, keys: &[&str], why: &str, help: &str, findings: &mut Findings) {
    for key in keys.iter().filter(|key| table.has(key)) {
        findings.add(table.key(key), format!("`{key}` {why}"), help);
    }
}

/// Which kind of reading it is: one that the role's rules understand and its source can give. `possible` is in the order
/// the source would choose.
pub(super) fn kind_of(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    possible: &[ReadingKind],
    source: &str,
    findings: &mut Findings,
) -> Option<ReadingKind> {
    let said = findings.take(table.value.kind.take());
    if said.is_none() && table.has("kind") {
        return None;
    }
    let words = |kinds: &[ReadingKind]| kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" or ");
    let both: Vec<ReadingKind> = possible.iter().copied().filter(|kind| reading.usual.kinds.contains(kind)).collect();
    match said {
        Some(said) if both.contains(&said.get_ref().0) => Some(said.into_inner().0),
        Some(said) => {
            let what = format!("{source} here is no {}", said.get_ref().0.word());
            let help = if both.is_empty() { words(reading.usual.kinds) } else { words(&both) };
            findings.add(said.span(), what, format!("for this role it is {help}"));
            None
        }
        None => match both.first() {
            Some(kind) => Some(*kind),
            None => {
                let what = format!(
                    "{source} gives a {}, and this role needs a {}",
                    words(possible),
                    words(reading.usual.kinds)
                );
                findings.add(table.key("role"), what, "mend the role, or where the value is read");
                None
            }
        },
    }
}

/// The unit of a measure: as written if it measures what the role needs, else the usual one.
pub(super) fn unit_of(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Unit> {
    let Some(said) = findings.take(table.value.unit.take()) else {
        return Unit::new(reading.usual.unit).ok();
    };
    if let Some(quantity) = reading.usual.quantity.filter(|quantity| said.get_ref().quantity() != *quantity) {
        let what = format!("{:?} is no unit of {}", said.get_ref().as_str(), format!("{quantity:?}").to_lowercase());
        let help = match reading.role {
            Role::MooringLoad => {
                "loads are forces; for a load in tonnes write unit = \"kN\" and scale = 9.80665".into()
            }
            _ => format!("this role is usually measured in \"{}\"", reading.usual.unit),
        };
        findings.add(said.span(), what, help);
    }
    Some(said.into_inner())
}

/// What is news, for values that are read or streamed again and again.
pub(super) fn reporting(
    table: &mut Table<SensorTable>,
    usual: f64,
    least_heartbeat: Duration,
    findings: &mut Findings,
) -> Reporting {
    let deadband = findings.take(table.value.deadband.take());
    if let Some(deadband) = deadband.as_ref().filter(|deadband| deadband.get_ref().0 < 0.0) {
        findings.add(deadband.span(), "a deadband is not negative", "write 0 for every change");
    }
    let heartbeat = findings.take(table.value.heartbeat.take());
    if let Some(heartbeat) = heartbeat.as_ref().filter(|heartbeat| heartbeat.get_ref().0 < least_heartbeat) {
        let what = format!("the value is only read every {least_heartbeat:?}");
        findings.add(heartbeat.span(), what, "a heartbeat is at least as long as that; \"60 s\" is usual");
    }
    Reporting {
        deadband: deadband.map_or(usual, |deadband| deadband.into_inner().0),
        heartbeat: heartbeat.map_or(defaults::HEARTBEAT.max(least_heartbeat), |heartbeat| heartbeat.into_inner().0),
    }
}

fn range(written: Option<Written<Vec<Written<Number>>>>, findings: &mut Findings) -> Option<(f64, f64)> {
    let said = findings.all(written)?;
    match said.get_ref().as_slice() {
        [low, high] if low.get_ref().0 < high.get_ref().0 => Some((low.get_ref().0, high.get_ref().0)),
        _ => {
            findings.add(said.span(), "this is no range", "write the lowest and the highest value: [0, 80000]");
            None
        }
    }
}

fn rates(table: &mut Table<SensorTable>, role: Role, findings: &mut Findings) -> Option<Rates> {
    let said = findings.take(table.value.rates.take())?;
    let at = said.span();
    let said = said.into_inner();
    let owner = (&at, "rates");
    let detection =
        findings.need(said.detection, owner, "detection", "detection = 0.9: how often it says what is there");
    let false_alarm = findings.need(
        said.false_alarm,
        owner,
        "false_alarm",
        "false_alarm = 0.01: how often it says what is not there",
    );
    let (detection, false_alarm) = (detection?.into_inner().0, false_alarm?.into_inner().0);
    // A sensor that never errs would prove everything alone; one that knows nothing proves nothing. One that gives
    // positions may have many false detections in a scan: each is somewhere else.
    let scans = matches!(role, Role::Radar | Role::PositionCamera);
    let errs = 0.0 < detection && detection < 1.0 && false_alarm > 0.0;
    if !errs || (!scans && false_alarm >= detection) {
        let help = match scans {
            true => "0 < detection < 1, and false_alarm is above 0: the mean number of false detections a scan",
            false => "0 < false_alarm < detection < 1",
        };
        findings.add(at, "these rates are not those of a sensor", help);
        return None;
    }
    Some(Rates { detection, false_alarm })
}

fn node(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<Wired> {
    let (at, path) = (table.at.clone(), table.path.clone());
    let number = findings.need(table.value.node.take(), (&at, &path), "node", "node = 7, the node's number on the bus");
    let channel = findings.need(
        table.value.channel.take(),
        (&at, &path),
        "channel",
        "channel = \"pir\": its name in the firmware",
    );
    if let Some(number) =
        number.as_ref().filter(|number| !around.nodes_declared.contains(&number.get_ref().to_string()))
    {
        let what = format!("there is no node {}", number.get_ref());
        findings.add(number.span(), what, format!("add [nodes.{}]", number.get_ref()));
    }
    let channel = channel.and_then(|channel| match Channel::parse(&channel.get_ref().0) {
        Ok(known) => Some(known),
        Err(why) => {
            let near = did_you_mean(&channel.get_ref().0, Channel::ALL.iter().map(|channel| channel.name()));
            findings.add(
                channel.span(),
                format!("there is no channel {:?}", channel.get_ref().0),
                format!("{near}\n{why}"),
            );
            None
        }
    });
    let (number, channel) = (NodeNumber(*number?.get_ref()), channel?);
    let (possible, firmware_unit) = match channel.kind() {
        Kind::State => (ReadingKind::Contact, None),
        Kind::Measure(unit) => (ReadingKind::Measure, Unit::new(unit).ok()),
        Kind::Health => (ReadingKind::Health, None),
        Kind::Credential => (ReadingKind::Credential, None),
    };
    let kind = kind_of(table, reading, &[possible], &format!("channel {channel}"), findings)?;
    let written = table.has("unit");
    if written && kind != ReadingKind::Measure {
        only_with(table, &["unit"], "is for measures, and this channel is none", "take it out", findings);
    }
    let unit = if written { unit_of(table, reading, findings) } else { firmware_unit };
    let unit = unit.filter(|_| kind == ReadingKind::Measure);
    Some(Wired {
        read: Read::Node {
            node: number,
            channel: node_link::Channel {
                name: channel.name().into(),
                sensor: reading.id.clone(),
                unit: unit.clone().filter(|_| written),
            },
        },
        unit,
        // The bus is polled: a node that does not answer is said to be silent by its line, for all its channels at once.
        silent_after: None,
    })
}
