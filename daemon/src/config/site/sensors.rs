//! Sensors: where each is, what it is there, and how its line reads it.

use super::{
    SensorTable,
    defaults::{self, Usual},
    read_json, read_modbus,
};
use crate::config::{
    document::{Named, Table, did_you_mean},
    findings::Findings,
    plan::{Line, Read, Way},
    values::{
        NodeNumber, Number,
        site::{ReadingKind, StableWhen},
    },
    written::{Word, Written},
};
use quaywatch_drivers::{by_exception::Reporting, node_link, serial_text};
use quaywatch_schemas::{
    DomainId, LineId, SensorId, ZoneId,
    frame::channel::{Channel, Kind},
    site::{Rates, Role, Sensor, Zone, ZoneKind},
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
}

/// What is known of a sensor before it is known how it is read.
pub(super) struct Reading<'a> {
    pub(super) id: &'a SensorId,
    pub(super) role: Role,
    pub(super) usual: Usual,
    pub(super) range: Option<(f64, f64)>,
}

/// How a sensor is read, and what that means for its silence and its unit.
pub(super) struct Wired {
    pub(super) read: Read,
    pub(super) unit: Option<Unit>,
    /// Silent after this, if the file does not say.
    pub(super) silent_after: Option<Duration>,
}

const EVERYWHERE: &[&str] = &["zone", "role", "line", "at", "domain", "silent_after", "range", "rates"];
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
    "kind",
];
const SERIAL_TEXT: &[&str] = &["pattern", "unit", "stable_when", "deadband", "heartbeat"];
const NODE: &[&str] = &["node", "channel", "unit"];
/// Which keys go with which line, in a site engineer's words.
const FITS: [(&str, &[&str]); 5] = [
    ("an MQTT broker", MQTT),
    ("a Modbus device", MODBUS),
    ("a webhook listener", HTTP),
    ("serial text", SERIAL_TEXT),
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
    for (id, mut table) in tables.tables {
        let Some((line, sensor, read)) = sensor(&id, &mut table, around, &lines, findings) else { continue };
        if let Read::Node { node, .. } = &read
            && let Some(other) = buses.insert(*node, line.clone()).filter(|other| *other != line)
        {
            let what = format!("node {} hangs on line `{other}` already", node.0);
            findings.add(table.key("node"), what, "a node is on one bus: mend `line` or `node`");
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
    let rates = rates(table, findings);
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
    let usual = Usual::of(role);
    let (usual_rates, way) = (usual.rates, &lines.get(&line)?.way);
    misfits(table, &line, way, findings);
    let reading = Reading { id, role, usual, range };
    let wired = match way {
        Way::Modbus { device, base, .. } => read_modbus::point(table, &reading, *base, device, findings),
        Way::Mqtt(_) => read_json::subscription(table, &reading, findings),
        Way::Http { .. } => read_json::hook(table, &reading, findings),
        Way::SerialText(_) => serial_text(table, &reading, findings),
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
        mount: None,
        view: None,
        clock: quaywatch_schemas::site::Clock::default(),
        leads: None,
        silent_after: silent_after.map_or(wired.silent_after, |silent| silent.into_inner().0),
        unit: wired.unit,
        range,
        rates: rates.unwrap_or(usual_rates),
    };
    Some((line, sensor, wired.read))
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

fn rates(table: &mut Table<SensorTable>, findings: &mut Findings) -> Option<Rates> {
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
    // A sensor that never errs would prove everything alone; one that knows nothing proves nothing.
    if !(detection < 1.0 && false_alarm > 0.0 && false_alarm < detection) {
        findings.add(at, "these rates are not those of a sensor", "0 < false_alarm < detection < 1");
        return None;
    }
    Some(Rates { detection, false_alarm })
}

fn serial_text(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Wired> {
    let help = "pattern = '…(?<value>[0-9.]+)…': a regular expression that matches a line of this device";
    let (at, path) = (table.at.clone(), table.path.clone());
    let pattern = findings.need(table.value.pattern.take(), (&at, &path), "pattern", help);
    kind_of(table, reading, &[ReadingKind::Measure], "a line of text", findings)?;
    let unit = unit_of(table, reading, findings)?;
    let reporting = reporting(table, reading.usual.deadband_in(&unit), Duration::from_secs(1), findings);
    let stable_when = match findings.take(table.value.stable_when.take()).map(Spanned::into_inner) {
        Some(StableWhen::Texts(texts)) => {
            texts.into_iter().filter_map(|text| findings.value(Some(text))).map(|text| text.0).collect()
        }
        Some(StableWhen::Bit(_)) => {
            let what = "a line of text has no registers";
            findings.add(
                table.key("stable_when"),
                what,
                "write the texts of the group `stable` that mean settled: [\"ST\"]",
            );
            Vec::new()
        }
        None => Vec::new(),
    };
    let pattern = pattern?;
    let has_group = pattern.get_ref().0.capture_names().flatten().any(|group| group == "stable");
    if has_group == stable_when.is_empty() {
        let (at, what, help) = if has_group {
            (
                pattern.span(),
                "this pattern finds `stable`, but nothing says what it means",
                "add stable_when = [\"ST\"]",
            )
        } else {
            (table.key("stable_when"), "the pattern has no group `stable`", "add (?<stable>…) to the pattern")
        };
        findings.add(at, what, help);
    }
    Some(Wired {
        read: Read::SerialText(serial_text::Reader {
            sensor: reading.id.clone(),
            pattern: pattern.into_inner().0,
            unit: unit.clone(),
            stable_when,
            range: reading.range,
            reporting,
        }),
        unit: Some(unit),
        silent_after: Some(defaults::silent_after(reporting.heartbeat)),
    })
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
        findings.add(number.span(), what, format!("add [nodes.{}] with its key", number.get_ref()));
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
