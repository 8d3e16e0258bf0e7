//! The tables of the site file as they are written. Every key is optional here: which ones belong together is said where
//! they are read, with a place.

use crate::config::{
    values::site::{
        FactKind, FixedBlock, ListenOrOff, NumberType, Positions, ReadingKind, SessionName, StableWhen, TimeNotation,
        WordOrder,
    },
    values::{
        Angle, Bytes, Coordinate, Credential, FalseAlarms, FilePath, HostPort, JsonPointer, Listen, Locode, Metres,
        MqttUrl, Number, Pattern, Point, Seen, SerialSettings, Share, Span, SpanOrNever, Text, TopicFilter, Zone,
    },
    written::{Inner, Word, Written},
};
use quaywatch_schemas::{
    DomainId, LineId, SiteId, ZoneId,
    site::{Clock, Closed, Direction, Role, Status, ZoneKind},
    units::Unit,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) type List<T> = Option<Written<Vec<Written<T>>>>;

/// What this gateway stands for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SiteTable {
    /// UN/LOCODE of the port, five characters.
    #[schemars(required)]
    pub(super) locode: Option<Written<Locode>>,
    /// The site's own name; it stays when the box is replaced.
    #[schemars(required)]
    pub(super) id: Option<Written<SiteId>>,
    /// For closed hours and for sentences people read.
    #[schemars(required)]
    pub(super) timezone: Option<Written<Zone>>,
    /// Goes into every product. Default: actual.
    pub(super) status: Option<Written<Word<Status>>>,
    /// Where the site's grid of metres lies on the Earth. AIS needs it.
    pub(super) grid: Option<Written<GridTable>>,
}

/// How much is kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct StoreTable {
    /// How long records are kept. Default: 35 d.
    pub(super) retention: Option<Written<Span>>,
    /// The most the log and the outbox may take together. Default: 4 GiB.
    pub(super) budget: Option<Written<Bytes>>,
}

/// How the gateway itself is watched.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OperationsTable {
    /// Where `/metrics` and `/health` are served, or "off". Default: 127.0.0.1:9464.
    pub(super) listen: Option<Written<ListenOrOff>>,
}

/// A place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ZoneTable {
    /// As people call it.
    #[schemars(required)]
    pub(super) name: Option<Written<Text>>,
    /// What kind of place.
    #[schemars(required)]
    pub(super) kind: Option<Written<Word<ZoneKind>>>,
    /// Lanes, turnstiles and gangways: which way traffic goes.
    pub(super) direction: Option<Written<Word<Direction>>>,
    /// Lanes: from the arm to the end of the last loop.
    pub(super) length: Option<Written<Metres>>,
    /// Where footage may be asked for; {camera}, {from} and {to} (Unix seconds) are filled in.
    pub(super) media: Option<Written<Text>>,
    /// When nobody may be here, in local time: "always" or "21:00-05:30". Left out: never closed.
    pub(super) closed: Option<Written<Closed>>,
    /// Corners in the site's grid in metres, in order around the zone: [[0, 0], [40, 0], [40, 25]]. At least three.
    pub(super) outline: List<Point>,
}

/// A connection. Exactly one of `mqtt`, `modbus_tcp`, `modbus_rtu`, `http_listen`, `serial_text`, `ais_udp`, `ais_tcp`,
/// `ais_serial`, `frames_udp`, `frames_tcp`, `node_serial`, `node_connect` and `node_listen` says what it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct LineTable {
    /// An MQTT 5 broker.
    pub(super) mqtt: Option<Written<MqttUrl>>,
    /// A Modbus TCP device or gateway.
    pub(super) modbus_tcp: Option<Written<HostPort>>,
    /// A serial port with Modbus RTU devices.
    pub(super) modbus_rtu: Option<Written<FilePath>>,
    /// An address of this box that webhooks are posted to.
    pub(super) http_listen: Option<Written<Listen>>,
    /// A serial port whose device streams lines of text.
    pub(super) serial_text: Option<Written<FilePath>>,
    /// An address of this box that an AIS receiver sends NMEA sentences to, over UDP.
    pub(super) ais_udp: Option<Written<Listen>>,
    /// An AIS receiver or server that streams NMEA sentences over TCP.
    pub(super) ais_tcp: Option<Written<HostPort>>,
    /// A serial port with an AIS receiver. Usually "38400 8N1".
    pub(super) ais_serial: Option<Written<FilePath>>,
    /// An address of this box that a radar, lidar or camera tracker sends quaywatch.frame.v1 to, over UDP.
    pub(super) frames_udp: Option<Written<Listen>>,
    /// A radar, lidar or camera tracker that streams quaywatch.frame.v1 over TCP, a frame a line.
    pub(super) frames_tcp: Option<Written<HostPort>>,
    /// A serial port with sensor nodes.
    pub(super) node_serial: Option<Written<FilePath>>,
    /// A terminal server or node to connect to.
    pub(super) node_connect: Option<Written<HostPort>>,
    /// An address of this box that nodes connect to.
    pub(super) node_listen: Option<Written<Listen>>,
    /// MQTT: user name.
    pub(super) user: Option<Written<Text>>,
    /// MQTT: password, as credential:NAME.
    pub(super) password: Option<Written<Credential>>,
    /// MQTT with TLS: certificates (PEM) of who may vouch for the broker. Default: the public authorities.
    pub(super) ca: Option<Written<FilePath>>,
    /// MQTT with TLS, http_listen: our own certificate chain (PEM).
    pub(super) certificate: Option<Written<FilePath>>,
    /// The certificate's key (PEM), as credential:NAME.
    pub(super) key: Option<Written<Credential>>,
    /// MQTT: prefix of our client ids. Default: quaywatch-SITE-LINE.
    pub(super) client_id: Option<Written<Text>>,
    /// Serial ports: speed, data bits, parity, stop bits.
    pub(super) serial: Option<Written<SerialSettings>>,
    /// Modbus: unit identifier. Default: 1.
    pub(super) unit: Option<Written<u8>>,
    /// Modbus and nodes: how often everything is read.
    pub(super) every: Option<Written<Span>>,
    /// Modbus and nodes: how long an answer may take.
    pub(super) timeout: Option<Written<Span>>,
    /// Modbus: registers or bits nobody asked for that one read may span. Default: 16.
    pub(super) hole_limit: Option<Written<u16>>,
    /// Modbus: most registers in one read. Default: 125, the protocol's limit.
    pub(super) max_registers: Option<Written<u16>>,
    /// Modbus: most bits in one read. Default: 2000, the protocol's limit.
    pub(super) max_bits: Option<Written<u16>>,
    /// Modbus: the device refuses reads of a part of a block. Default: false.
    pub(super) whole_blocks: Option<Written<bool>>,
    /// Modbus: the blocks the device insists on, such as "holding 0..10" (0 to 9).
    pub(super) blocks: List<FixedBlock>,
    /// Modbus: whether the manual's addresses start at 0 or 1. Default: 0.
    pub(super) base: Option<Written<u8>>,
}

/// A sensor node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct NodeTable {
    /// Its key, as credential:NAME, for sites that hand out keys themselves; the file holds 64 hexadecimal digits. Default:
    /// the key that `quaywatch node enrol` made.
    pub(super) key: Option<Written<Credential>>,
}

/// A feed of references: bookings, roles, tares, work orders. It comes as files in a `folder`, or over a `line`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ReferencesTable {
    /// What the feed states. Default: everything.
    pub(super) kinds: List<Word<FactKind>>,
    /// How old it may be before it counts as unknown. Default: 24 h.
    pub(super) max_age: Option<Written<Span>>,
    /// A folder that JSON files are dropped into.
    pub(super) folder: Option<Written<FilePath>>,
    /// A webhook listener (with `token`) or a broker (with `topic`).
    pub(super) line: Option<Written<LineId>>,
    /// What proves the sender at a webhook listener, as credential:NAME.
    pub(super) token: Option<Written<Credential>>,
    /// The topic at a broker.
    pub(super) topic: Option<Written<TopicFilter>>,
}

/// One sensor: its zone, what it is there, where it hangs, how to read it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SensorTable {
    /// Where it is.
    #[schemars(required)]
    pub(super) zone: Option<Written<ZoneId>>,
    /// What it is there.
    #[schemars(required)]
    pub(super) role: Option<Written<Word<Role>>>,
    /// The line it is read over.
    #[schemars(required)]
    pub(super) line: Option<Written<LineId>>,
    /// Lanes: metres from the arm, negative before it.
    pub(super) at: Option<Written<Metres>>,
    /// What it fails together with: a switch, a pole, a PLC. Default: its line.
    pub(super) domain: Option<Written<DomainId>>,
    /// How long it may say nothing before that is a finding, or "never".
    pub(super) silent_after: Option<Written<SpanOrNever>>,
    /// Values outside are not evidence: [low, high] in the sensor's unit.
    pub(super) range: List<Number>,
    /// How often it says what is there, and what is not.
    pub(super) rates: Option<Written<RatesTable>>,
    /// Where it stands and which way it looks, in the site's grid.
    pub(super) mount: Option<Written<MountTable>>,
    /// What it can see. Default: its zone's outline.
    pub(super) view: Option<Written<Seen>>,
    /// "synchronised" if its clock follows the time source of this box, else "free", the default.
    pub(super) clock: Option<Written<Word<Clock>>>,
    /// Readers: which way they let people. Default: the direction of the zone.
    pub(super) leads: Option<Written<Word<Direction>>>,
    /// Radar, lidar, camera trackers: "cartesian" if they give places in the site's grid and never distance and bearing.
    pub(super) positions: Option<Written<Word<Positions>>>,
    /// Unit of a measure (UCUM).
    pub(super) unit: Option<Written<Unit>>,
    /// What kind of reading it gives. Default: what its role usually gives.
    pub(super) kind: Option<Written<Word<ReadingKind>>>,
    /// A measure is said again once it moved by this much, in the sensor's unit.
    pub(super) deadband: Option<Written<Number>>,
    /// Even an unchanged value is said this often. Default: 60 s.
    pub(super) heartbeat: Option<Written<Span>>,

    /// Modbus: address of a discrete input.
    pub(super) discrete: Option<Written<u32>>,
    /// Modbus: address of a coil.
    pub(super) coil: Option<Written<u32>>,
    /// Modbus: address of a holding register.
    pub(super) holding: Option<Written<u32>>,
    /// Modbus: address of an input register.
    pub(super) input: Option<Written<u32>>,
    /// Modbus registers: how the number is stored.
    pub(super) r#type: Option<Written<Word<NumberType>>>,
    /// Modbus registers: one bit of the register, 0 is the least significant.
    pub(super) bit: Option<Written<u8>>,
    /// Modbus registers: order of bytes and words. Default: ABCD.
    pub(super) order: Option<Written<Word<WordOrder>>>,
    /// Modbus registers: multiplier.
    pub(super) scale: Option<Written<Number>>,
    /// Modbus registers: a register that holds the number of decimals.
    pub(super) scale_register: Option<Written<u32>>,
    /// Modbus registers: added after scaling, in the sensor's unit.
    pub(super) offset: Option<Written<Number>>,
    /// Modbus registers: raw values that mean "no value".
    pub(super) sentinels: List<i64>,
    /// Modbus registers: the value counts only while this bit is set (or clear).
    pub(super) valid_when: Option<Written<RegisterBitTable>>,
    /// When the measure has settled: a register's bit (Modbus), or texts of the group `stable` (serial text).
    pub(super) stable_when: Option<Written<StableWhen>>,
    /// Modbus: the contact is closed when nothing is there.
    pub(super) inverted: Option<Written<bool>>,

    /// MQTT: the topic.
    pub(super) topic: Option<Written<TopicFilter>>,
    /// MQTT: 0 or 1. Default: 1.
    pub(super) qos: Option<Written<u8>>,
    /// MQTT: whether an alarm can hang on it. Default: by role.
    pub(super) session: Option<Written<Word<SessionName>>>,
    /// MQTT: a camera of a Frigate server, by its name there.
    pub(super) frigate: Option<Written<Text>>,
    /// MQTT: the Frigate server's topic prefix. Default: frigate.
    pub(super) frigate_prefix: Option<Written<TopicFilter>>,
    /// Webhooks: what proves the sender, as credential:NAME.
    pub(super) token: Option<Written<Credential>>,
    /// Webhooks: a camera of Plate Recognizer, by its name there.
    pub(super) platerecognizer: Option<Written<Text>>,
    /// Webhooks: a camera of OpenALPR or Rekor Scout, by its name there.
    pub(super) openalpr: Option<Written<Text>>,

    /// JSON: where the value is; the whole message if left out.
    pub(super) value: Option<Written<JsonPointer>>,
    /// JSON: where the time is.
    pub(super) time: Option<Written<JsonPointer>>,
    /// JSON: how the time is written. Default: rfc3339.
    pub(super) time_format: Option<Written<Word<TimeNotation>>>,
    /// JSON: where the message's own identity is.
    pub(super) id: Option<Written<JsonPointer>>,
    /// JSON: where the reader's score is.
    pub(super) confidence: Option<Written<JsonPointer>>,
    /// JSON: where it says that a measure has settled.
    pub(super) stable: Option<Written<JsonPointer>>,
    /// JSON, credentials: where the decision is.
    pub(super) decision: Option<Written<JsonPointer>>,
    /// JSON, credentials: texts that mean "granted".
    pub(super) granted_when: List<Text>,
    /// JSON, contacts: texts that mean "true".
    pub(super) true_when: List<Text>,

    /// Serial text: matches a line; the groups `value`, `unit`, `stable` and `sign` say where what is.
    pub(super) pattern: Option<Written<Pattern>>,

    /// Nodes: the node's number.
    pub(super) node: Option<Written<u16>>,
    /// Nodes: the channel's name in the firmware.
    pub(super) channel: Option<Written<Text>>,
}

/// Where the site's grid of metres lies on the Earth.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct GridTable {
    /// Degrees north of the grid's origin, WGS 84.
    #[schemars(required)]
    pub(super) latitude: Option<Written<Number>>,
    /// Degrees east of the grid's origin, WGS 84.
    #[schemars(required)]
    pub(super) longitude: Option<Written<Number>>,
    /// Compass bearing of the x axis; y is a quarter turn to the left of it. Default: 90 deg, so x is east and y north.
    pub(super) x_axis: Option<Written<Angle>>,
}

impl Inner for GridTable {
    const EXPECTED: &'static str = "a grid such as { latitude = 51.95, longitude = 4.05, x_axis = \"90 deg\" }";
}

/// Where a sensor stands and which way it looks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct MountTable {
    /// Metres along the grid's x axis.
    #[schemars(required)]
    pub(super) x: Option<Written<Coordinate>>,
    /// Metres along the grid's y axis.
    #[schemars(required)]
    pub(super) y: Option<Written<Coordinate>>,
    /// Where its own axis points, counter-clockwise from the grid's x axis. Default: 0 deg.
    pub(super) facing: Option<Written<Angle>>,
}

impl Inner for MountTable {
    const EXPECTED: &'static str = "a mount such as { x = 12, y = -3, facing = \"90 deg\" }";
}

/// A sector around a sensor's axis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SectorTable {
    /// How far it sees.
    #[schemars(required)]
    pub(super) range: Option<Written<Metres>>,
    /// How far to each side of its axis; "180 deg" sees all around.
    #[schemars(required)]
    pub(super) half_angle: Option<Written<Angle>>,
}

impl Inner for SectorTable {
    const EXPECTED: &'static str = "a sector such as { range = \"110 m\", half_angle = \"50 deg\" }";
}

/// What a sensor's word is worth: per look, or per scan for one that gives positions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RatesTable {
    /// Probability that it reports what is there.
    pub(super) detection: Option<Written<Share>>,
    /// Probability that it reports what is not there; for one that gives positions, how many false detections a scan has.
    pub(super) false_alarm: Option<Written<FalseAlarms>>,
}

impl Inner for RatesTable {
    const EXPECTED: &'static str = "rates such as { detection = 0.9, false_alarm = 0.01 }";
}

/// A bit of a register.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RegisterBitTable {
    /// The register's address.
    #[schemars(required)]
    pub(super) register: Option<Written<u32>>,
    /// 0 is the least significant.
    #[schemars(required)]
    pub(super) bit: Option<Written<u8>>,
    /// Whether it counts when set (true, the default) or when clear.
    pub(super) set: Option<Written<bool>>,
}

impl Inner for RegisterBitTable {
    const EXPECTED: &'static str = "a register's bit such as { register = 3, bit = 0 }";
}
