//! Lines: what each connects to and how.

use super::LineTable;
use crate::config::{
    document::{Named, Table},
    findings::Findings,
    plan::{Broker, Certificate, Line, TlsFiles, Way},
    values::{FilePath, HostPort, Listen, SerialSettings, Span},
    written::Written,
};
use quaywatch_drivers::{
    modbus::{self, Blocks, Connection, Device},
    node_link,
    serial::Port,
    streamed::Carrier,
};
use quaywatch_schemas::LineId;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};
use toml::Spanned;

/// Keys that say what a line is.
const WAYS: [&str; 13] = [
    "mqtt",
    "modbus_tcp",
    "modbus_rtu",
    "http_listen",
    "serial_text",
    "ais_udp",
    "ais_tcp",
    "ais_serial",
    "frames_udp",
    "frames_tcp",
    "node_serial",
    "node_connect",
    "node_listen",
];
const MODBUS: &[&str] =
    &["unit", "every", "timeout", "hole_limit", "max_registers", "max_bits", "whole_blocks", "blocks", "base"];
/// Which other keys go with which.
const FITS: [(&str, &[&str]); 13] = [
    ("mqtt", &["user", "password", "ca", "certificate", "key", "client_id"]),
    ("modbus_tcp", MODBUS),
    (
        "modbus_rtu",
        &[
            "serial",
            "unit",
            "every",
            "timeout",
            "hole_limit",
            "max_registers",
            "max_bits",
            "whole_blocks",
            "blocks",
            "base",
        ],
    ),
    ("http_listen", &["certificate", "key"]),
    ("serial_text", &["serial"]),
    ("ais_udp", &[]),
    ("ais_tcp", &[]),
    ("ais_serial", &["serial"]),
    ("frames_udp", &[]),
    ("frames_tcp", &[]),
    ("node_serial", &["serial", "every", "timeout"]),
    ("node_connect", &["every", "timeout"]),
    ("node_listen", &["every", "timeout"]),
];

/// Origin: below this a loop misses nothing at lane speed.
const TCP_EVERY: Duration = Duration::from_millis(50);
/// Origin: a read of ten registers takes about 30 ms at 19200 baud; this leaves room for several devices.
const RTU_EVERY: Duration = Duration::from_millis(250);
/// Origin: PLCs answer within a scan or two (20 to 200 ms); gateways to serial buses take longer.
const MODBUS_TIMEOUT: Duration = Duration::from_secs(1);
/// Origin: at 19200 baud another request costs about as much as 16 registers.
const HOLE: u16 = 16;
const NODES_EVERY: Duration = Duration::from_millis(200);
/// Origin: the longest frame takes 23 ms at 115200 baud, and a node answers within one.
const NODES_TIMEOUT: Duration = Duration::from_millis(100);
/// What AIS receivers use (IEC 61162-2).
const AIS_SERIAL: &str = "38400 8N1";
/// What our firmware is flashed with.
const NODES_SERIAL: &str = "115200 8N1";

/// Reads all lines; a line that cannot be read is `None`, since its name is used all the same.
pub(super) fn read(
    tables: Named<LineId, LineTable>,
    site: &str,
    operations: Option<SocketAddr>,
    findings: &mut Findings,
) -> BTreeMap<LineId, Line> {
    let mut lines = BTreeMap::new();
    let mut taken = Taken { ports: BTreeMap::new(), addresses: BTreeMap::new(), datagrams: BTreeMap::new() };
    if let Some(address) = operations {
        taken.addresses.insert(address, "operations".into());
    }
    for (id, table) in tables.tables {
        let at = way_key(&table).map_or_else(|| table.at.clone(), |key| table.key(key));
        let path = table.path.clone();
        if let Some(way) = way(&id, table, site, findings) {
            taken.check(&path, &at, &way, findings);
            lines.insert(id, Line { way, reads: BTreeMap::new() });
        }
    }
    lines
}

fn way_key(table: &Table<LineTable>) -> Option<&'static str> {
    WAYS.into_iter().find(|way| table.has(way))
}

fn way(id: &LineId, mut table: Table<LineTable>, site: &str, findings: &mut Findings) -> Option<Way> {
    let said: Vec<&str> = WAYS.into_iter().filter(|way| table.has(way)).collect();
    let Some(kind) = said.first().copied() else {
        let what = format!("`{}` does not say what it connects to", table.path);
        findings.add(table.at.clone(), what, format!("add one of {}", WAYS.join(", ")));
        return None;
    };
    for other in &said[1..] {
        let what = format!("`{}` is two lines at once: {kind} and {other}", table.path);
        findings.add(table.key(other), what, "give each connection a name of its own under [lines]");
    }
    let fits = FITS.iter().find(|(way, _)| *way == kind).map_or(&[][..], |(_, keys)| keys);
    for key in table.keys.keys().filter(|key| !WAYS.contains(&key.as_str()) && !fits.contains(&key.as_str())) {
        let goes_with: Vec<&str> =
            FITS.iter().filter(|(_, keys)| keys.contains(&key.as_str())).map(|(way, _)| *way).collect();
        let what = format!("`{key}` does not go with {kind}");
        findings.add(table.key(key), what, format!("it goes with {}; take it out", goes_with.join(", ")));
    }
    match kind {
        "mqtt" => broker(id, &mut table, site, findings).map(Way::Mqtt),
        "modbus_tcp" | "modbus_rtu" => modbus(&mut table, kind, findings),
        "http_listen" => {
            let listen = findings.take(table.value.http_listen.take());
            let tls = certificate(&mut table, findings);
            Some(Way::Http { listen: listen?.into_inner().0, tls })
        }
        "serial_text" => {
            let path = findings.take(table.value.serial_text.take());
            port(path, &mut table, None, findings).map(Way::SerialText)
        }
        "ais_udp" => findings.take(table.value.ais_udp.take()).map(|at| Way::Ais(Carrier::Udp(at.into_inner().0))),
        "ais_tcp" => server(table.value.ais_tcp.take(), findings).map(Way::Ais),
        "ais_serial" => {
            let path = findings.take(table.value.ais_serial.take());
            port(path, &mut table, Some(AIS_SERIAL), findings).map(|port| Way::Ais(Carrier::Serial(port)))
        }
        "frames_udp" => {
            findings.take(table.value.frames_udp.take()).map(|at| Way::Frames(Carrier::Udp(at.into_inner().0)))
        }
        "frames_tcp" => server(table.value.frames_tcp.take(), findings).map(Way::Frames),
        _ => nodes(&mut table, kind, findings),
    }
}

fn broker(id: &LineId, table: &mut Table<LineTable>, site: &str, findings: &mut Findings) -> Option<Broker> {
    let url = findings.take(table.value.mqtt.take());
    let user = findings.value(table.value.user.take());
    let password = findings.take(table.value.password.take());
    let client_id = findings.value(table.value.client_id.take());
    let authority = findings.take(table.value.ca.take());
    let client = certificate(table, findings);
    let url = url?.into_inner();
    if table.has("user") != table.has("password") {
        let (here, other) =
            if table.has("user") { ("user", "password = \"credential:NAME\"") } else { ("password", "user") };
        findings.add(table.key(here), "a login is a user and a password", format!("add {other}"));
    }
    if !url.tls {
        for key in ["ca", "certificate", "key"].into_iter().filter(|key| table.has(key)) {
            findings.add(table.key(key), format!("`{key}` needs TLS"), "write mqtts:// instead of mqtt://");
        }
    }
    Some(Broker {
        host: url.host,
        port: url.port,
        tls: url.tls.then_some(TlsFiles { authority, client }),
        login: user.map(|user| user.0).zip(password),
        client_id: client_id.map_or_else(|| format!("quaywatch-{site}-{id}"), |id| id.0),
    })
}

fn certificate(table: &mut Table<LineTable>, findings: &mut Findings) -> Option<Certificate> {
    let file = findings.take(table.value.certificate.take());
    let key = findings.take(table.value.key.take());
    if table.has("certificate") != table.has("key") {
        let (here, other) = if table.has("key") {
            ("key", "certificate = \"/path.pem\"")
        } else {
            ("certificate", "key = \"credential:NAME\"")
        };
        findings.add(table.key(here), "a certificate and its key belong together", format!("add {other}"));
    }
    Some(Certificate { file: file?, key: key? })
}

fn modbus(table: &mut Table<LineTable>, kind: &str, findings: &mut Findings) -> Option<Way> {
    let tcp = findings.take(table.value.modbus_tcp.take());
    let rtu = findings.take(table.value.modbus_rtu.take());
    let connection = match kind {
        "modbus_tcp" => tcp.map(|tcp| {
            let tcp = tcp.into_inner();
            Connection::Tcp { host: tcp.host.to_lowercase(), port: tcp.port.unwrap_or(502) }
        }),
        _ => port(rtu, table, None, findings).map(Connection::Rtu),
    };
    let usual = if kind == "modbus_tcp" { TCP_EVERY } else { RTU_EVERY };
    let every = within(table.value.every.take(), usual, (10, 3_600_000), findings);
    let timeout = within(table.value.timeout.take(), MODBUS_TIMEOUT, (10, 60_000), findings);
    let unit = in_range(findings.take(table.value.unit.take()), 1, 0..=255, findings);
    if (248..=254).contains(&unit) {
        findings.add(
            table.key("unit"),
            format!("unit {unit} is reserved"),
            "units are 1 to 247; 0 or 255 where the device itself is meant",
        );
    }
    let base = u32::from(in_range(findings.take(table.value.base.take()), 0, 0..=1, findings));
    let most_hole = in_range(findings.take(table.value.hole_limit.take()), HOLE, 0..=2000, findings);
    let most_registers = in_range(findings.take(table.value.max_registers.take()), 125, 4..=125, findings);
    let most_bits = in_range(findings.take(table.value.max_bits.take()), 2000, 1..=2000, findings);
    let whole = findings.value(table.value.whole_blocks.take()).unwrap_or(false);
    let mut fixed: Vec<modbus::Fixed> = Vec::new();
    for block in findings.all(table.value.blocks.take()).map(Spanned::into_inner).unwrap_or_default() {
        let Some(block_at) = block.get_ref().fixed(base) else {
            findings.add(
                block.span(),
                "this block is not where addresses are",
                format!("addresses start at {base} here (`base`)"),
            );
            continue;
        };
        let range = |block: &modbus::Fixed| u32::from(block.start)..u32::from(block.start) + u32::from(block.count);
        let overlaps = |other: &modbus::Fixed| {
            other.area == block_at.area
                && range(other).start < range(&block_at).end
                && range(&block_at).start < range(other).end
        };
        if fixed.iter().any(overlaps) {
            findings.add(block.span(), "this block overlaps another", "a register is in one block or in none");
        }
        fixed.push(block_at);
    }
    let blocks = Blocks { most_hole, most_registers, most_bits, whole, fixed };
    Some(Way::Modbus {
        connection: connection?,
        device: Device { unit, every, timeout, blocks, points: Vec::new() },
        base,
    })
}

fn nodes(table: &mut Table<LineTable>, kind: &str, findings: &mut Findings) -> Option<Way> {
    let serial = findings.take(table.value.node_serial.take());
    let connect = findings.take(table.value.node_connect.take());
    let listen: Option<Spanned<Listen>> = findings.take(table.value.node_listen.take());
    let carrier = match kind {
        "node_serial" => port(serial, table, Some(NODES_SERIAL), findings).map(node_link::Carrier::Serial),
        "node_connect" => connect.and_then(|connect| match connect.get_ref().port {
            Some(port) => Some(node_link::Carrier::Connect { host: connect.get_ref().host.clone(), port }),
            None => {
                findings.add(connect.span(), "this does not say which port", "write \"HOST:PORT\"");
                None
            }
        }),
        _ => listen.map(|listen| node_link::Carrier::Listen(listen.into_inner().0)),
    };
    let every = within(table.value.every.take(), NODES_EVERY, (20, 60_000), findings);
    let timeout = within(table.value.timeout.take(), NODES_TIMEOUT, (10, 10_000), findings);
    Some(Way::Nodes { carrier: carrier?, every, timeout })
}

/// A server that streams to us.
fn server(written: Option<Written<HostPort>>, findings: &mut Findings) -> Option<Carrier> {
    let said = findings.take(written)?;
    match said.get_ref().port {
        Some(port) => Some(Carrier::Tcp { host: said.get_ref().host.to_lowercase(), port }),
        None => {
            findings.add(said.span(), "this does not say which port", "write \"HOST:PORT\"");
            None
        }
    }
}

fn port(
    path: Option<Spanned<FilePath>>,
    table: &mut Table<LineTable>,
    usual: Option<&str>,
    findings: &mut Findings,
) -> Option<Port> {
    use crate::config::written::Value as _;
    let written = table.value.serial.take();
    let settings = match usual.and_then(|usual| SerialSettings::text(usual).ok()).filter(|_| written.is_none()) {
        Some(usual) => Some(usual),
        None => {
            let help = "serial = \"19200 8N1\": speed, data bits, parity, stop bits as the device is set";
            let settings = findings.need(written, (&table.at, &table.path), "serial", help);
            settings.map(Spanned::into_inner)
        }
    };
    Some(settings?.port(path?.into_inner().0))
}

/// A duration from so many to so many milliseconds.
fn within(
    written: Option<Written<Span>>,
    usual: Duration,
    (least, most): (u64, u64),
    findings: &mut Findings,
) -> Duration {
    let Some(said) = findings.take(written) else { return usual };
    let Span(duration) = *said.get_ref();
    if duration < Duration::from_millis(least) || duration > Duration::from_millis(most) {
        let what = format!("{duration:?} is out of range here");
        findings.add(said.span(), what, format!("write \"{least} ms\" to \"{} s\"", most / 1000));
    }
    duration
}

fn in_range<T: PartialOrd + Copy + std::fmt::Display>(
    said: Option<Spanned<T>>,
    usual: T,
    range: std::ops::RangeInclusive<T>,
    findings: &mut Findings,
) -> T {
    let Some(said) = said else { return usual };
    let value = *said.get_ref();
    if !range.contains(&value) {
        let what = format!("{value} is out of range here");
        findings.add(said.span(), what, format!("write {} to {}", range.start(), range.end()));
    }
    value
}

/// Serial ports and addresses that somebody has already.
struct Taken {
    ports: BTreeMap<PathBuf, (String, bool, Port)>,
    addresses: BTreeMap<SocketAddr, String>,
    datagrams: BTreeMap<SocketAddr, String>,
}

impl Taken {
    fn check(&mut self, path: &str, at: &std::ops::Range<usize>, way: &Way, findings: &mut Findings) {
        let (port, is_rtu) = match way {
            Way::Modbus { connection: Connection::Rtu(port), .. } => (Some(port), true),
            Way::SerialText(port)
            | Way::Ais(Carrier::Serial(port))
            | Way::Nodes { carrier: node_link::Carrier::Serial(port), .. } => (Some(port), false),
            _ => (None, false),
        };
        if let Some(port) = port {
            match self.ports.get(&port.path) {
                // Several Modbus devices on one bus are several lines on one port.
                Some((_, true, other)) if is_rtu && other == port => {}
                Some((other, true, _)) if is_rtu => {
                    let what = format!("`{other}` uses this port with other settings");
                    findings.add(at.clone(), what, "all devices on one bus have the same `serial`");
                }
                Some((other, ..)) => {
                    let what = format!("`{other}` uses this port already");
                    findings.add(
                        at.clone(),
                        what,
                        "a serial port belongs to one line; only Modbus devices share a bus",
                    );
                }
                None => {
                    self.ports.insert(port.path.clone(), (path.into(), is_rtu, port.clone()));
                }
            }
        }
        // TCP and UDP have ports of their own.
        let address = match way {
            Way::Http { listen, .. } | Way::Nodes { carrier: node_link::Carrier::Listen(listen), .. } => {
                Some((listen, &mut self.addresses))
            }
            Way::Ais(Carrier::Udp(listen)) | Way::Frames(Carrier::Udp(listen)) => Some((listen, &mut self.datagrams)),
            _ => None,
        };
        if let Some((address, taken)) = address {
            match taken.get(address) {
                Some(other) => {
                    let what = format!("`{other}` listens on {address} already");
                    findings.add(at.clone(), what, "choose another port");
                }
                None => {
                    taken.insert(*address, path.into());
                }
            }
        }
    }
}
