//! The tables of the site file as they are written. Every key is optional here: which ones belong together is said where
//! they are read, with a place.

use crate::config::{
    values::site::{
        FactKind, FixedBlock, ListenOrOff, NumberType, ReadingKind, SessionName, StableWhen, TimeNotation, WordOrder,
    },
    values::{
        Bytes, Credential, FilePath, HostPort, JsonPointer, Kilograms, Listen, Locode, Metres, MetresPerSecond,
        MqttUrl, Newtons, Number, Pattern, SerialSettings, Share, Span, SpanOrNever, Text, TopicFilter, Zone,
    },
    written::{Inner, Word, Written},
};
use quaywatch_schemas::{
    DomainId, LineId, SiteId, ZoneId,
    site::{Closed, Direction, Role, Status, ZoneKind, rules::Mode},
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
    /// Lanes: which way traffic goes.
    pub(super) direction: Option<Written<Word<Direction>>>,
    /// Lanes: from the arm to the end of the last loop.
    pub(super) length: Option<Written<Metres>>,
    /// Where footage may be asked for; {camera}, {from} and {to} (Unix seconds) are filled in.
    pub(super) media: Option<Written<Text>>,
    /// When nobody may be here, in local time: "always" or "21:00-05:30". Left out: never closed.
    pub(super) closed: Option<Written<Closed>>,
}

/// A connection. Exactly one of `mqtt`, `modbus_tcp`, `modbus_rtu`, `http_listen`, `serial_text`, `node_serial`,
/// `node_connect` and `node_listen` says what it is.
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
    /// Its key, as credential:NAME; the file holds 64 hexadecimal digits.
    #[schemars(required)]
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

/// What a sensor's word is worth: probabilities per look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RatesTable {
    /// Probability that it reports what is there.
    pub(super) detection: Option<Written<Share>>,
    /// Probability that it reports what is not there.
    pub(super) false_alarm: Option<Written<Share>>,
}

impl Inner for RatesTable {
    const EXPECTED: &'static str = "a table such as { detection = 0.9, false_alarm = 0.01 }";
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

macro_rules! rule_tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(in crate::config) struct $name {
            /// Where it runs. Default: in every zone it makes sense in.
            pub(super) zones: List<ZoneId>,
            /// "observe" keeps what it says on the gateway, "tell" tells the recipients. Default: observe.
            pub(super) mode: Option<Written<Word<Mode>>>,
            $($(#[$field_doc])* pub(super) $field: Option<Written<$type>>,)*
        }
    )*};
}

rule_tables! {
    /// One vehicle through one lane.
    PassageTable {
        /// A vehicle must have left the lane within this time of entering it. Default: 90 s.
        within: Span,
        /// How long a late plate or weight still belongs to it. Default: 5 s.
        settle: Span,
    }
    /// A vehicle passed on somebody else's grant.
    TailgatingTable {
        /// One grant admits one crossing for this long. Default: 60 s.
        grant_lasts: Span,
        /// How long to wait for late evidence. Default: 5 s.
        settle: Span,
    }
    /// The arm left its closed position without a grant.
    BarrierForcedTable {
        /// A grant this long before or after the opening explains it. Default: 10 s.
        grant_within: Span,
    }
    /// Measured and declared mass disagree.
    WeightMismatchTable {
        /// A smaller difference is never a mismatch. Default: 1000 kg.
        tolerance: Kilograms,
        /// A smaller share of the declared mass is never a mismatch. Default: 0.05.
        tolerance_share: Share,
    }
    /// Somebody is where nobody may be.
    QuayPresenceTable {
        /// Probability before any evidence. Default: 0.001.
        prior: Share,
        /// Say so from this probability on. Default: 0.9.
        tell_at: Share,
        /// Evidence loses half its weight in this time. Default: 30 s.
        half_life: Span,
        /// Wind at which a fence's false alarms are ten times those in calm. Default: 14 m/s.
        windy: MetresPerSecond,
    }
    /// A mooring line nears its limit.
    MooringOverloadTable {
        /// Minimum breaking load of the lines; it is on the line's certificate.
        breaking_load: Newtons,
        /// Say so above this share of it. Default: 0.5.
        warn_share: Share,
        /// And when the trend would reach it within this time. Default: 10 min.
        ahead: Span,
    }
    /// A sensor stopped saying what it should. Runs in mode tell unless said otherwise.
    SensorSilentTable {
        /// After this many of its own silent periods. Default: 2.
        periods: u32,
    }
    /// A sensor went blind shortly before somebody entered.
    BlindedBeforeAccessTable {
        /// An entry this soon after is connected with it. Default: 10 min.
        within: Span,
    }
    /// A node or cabinet was opened or handled. Runs in mode tell unless said otherwise.
    NodeTamperTable {
        /// Tampers of the same node within this time are one situation. Default: 5 min.
        group: Span,
    }
}
