//! What the two files say of connections, with secrets by name only: everything but reading credentials and certificates has
//! been decided.

use super::{
    findings::Source,
    values::{Credential, FilePath, NodeNumber, site::FactKind},
};
use quaywatch_drivers::{frame, modbus, mqtt, node_link, serial, serial_text, streamed, webhook};
use quaywatch_schemas::{FeedId, LineId, RecipientId, SensorId, policy::Confirm};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};
use toml::Spanned;

/// What the site file says of connections.
#[derive(Debug, Clone)]
pub(super) struct SitePlan {
    pub(super) source: Source,
    pub(super) lines: BTreeMap<LineId, Line>,
    pub(super) nodes: BTreeMap<NodeNumber, Option<Spanned<Credential>>>,
    pub(super) feeds: BTreeMap<FeedId, Feed>,
    pub(super) operations: Option<SocketAddr>,
}

/// A line and what is read over it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) way: Way,
    pub(super) reads: BTreeMap<SensorId, Read>,
}

/// What a line is.
#[derive(Debug, Clone)]
pub(super) enum Way {
    Mqtt(Broker),
    Modbus { connection: modbus::Connection, device: modbus::Device, base: u32 },
    Http { listen: SocketAddr, tls: Option<Certificate> },
    SerialText(serial::Port),
    Ais(streamed::Carrier),
    Frames(streamed::Carrier),
    Nodes { carrier: node_link::Carrier, every: Duration, timeout: Duration },
}

/// A broker and who we are there.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<TlsFiles>,
    pub(super) login: Option<(String, Spanned<Credential>)>,
    pub(super) client_id: String,
}

/// How a server is recognised and how we are, as files.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFiles {
    pub(super) authority: Option<Spanned<FilePath>>,
    pub(super) client: Option<Certificate>,
}

/// A certificate's file and its key.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) file: Spanned<FilePath>,
    pub(super) key: Spanned<Credential>,
}

/// How one sensor is read.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Mqtt(mqtt::Subscription),
    Modbus(modbus::Point),
    Hook {
        token: Spanned<Credential>,
        gives: webhook::Gives,
    },
    SerialText(serial_text::Reader),
    /// Every vessel that is heard.
    Ais,
    Frames(frame::Source),
    Node {
        node: NodeNumber,
        channel: node_link::Channel,
    },
}

/// A feed of references.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// What it states; everything if empty.
    pub(super) kinds: Vec<FactKind>,
    pub(super) max_age: Duration,
    pub(super) way: FeedWay,
}

/// How a feed comes.
#[derive(Debug, Clone)]
pub(super) enum FeedWay {
    Folder(PathBuf),
    Hook { line: LineId, token: Spanned<Credential> },
    Topic { line: LineId, topic: String },
}

/// What the sharing file says of connections.
#[derive(Debug, Clone)]
pub(super) struct SharingPlan {
    pub(super) source: Source,
    pub(super) upstreams: BTreeMap<RecipientId, Upstream>,
    pub(super) answers: Option<(SocketAddr, Option<Certificate>)>,
    pub(super) audit: Option<Audit>,
}

/// The way to who gets the audit journal, and what its messages name as their source.
#[derive(Debug, Clone)]
pub(super) struct Audit {
    pub(super) address: Address,
    pub(super) source: String,
}

/// The way to a recipient.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) address: Address,
    pub(super) confirm: Confirm,
    pub(super) answer_token: Option<Spanned<Credential>>,
}

/// Where products go.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Mqtt { broker: Broker, topic: String },
    Http { url: String, bearer: Option<Spanned<Credential>>, tls: TlsFiles },
}

impl Way {
    /// As a site engineer calls it.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Mqtt(_) => "an MQTT broker",
            Self::Modbus { connection: modbus::Connection::Tcp { .. }, .. } => "Modbus TCP",
            Self::Modbus { connection: modbus::Connection::Rtu(_), .. } => "Modbus RTU",
            Self::Http { .. } => "a webhook listener",
            Self::SerialText(_) => "serial text",
            Self::Ais(_) => "an AIS receiver",
            Self::Frames(_) => "a line of frames",
            Self::Nodes { .. } => "a node bus",
        }
    }
}

impl Way {
    /// What it is and where, in a line.
    pub(super) fn described(&self) -> String {
        let port = |port: &serial::Port| {
            let parity = match port.parity {
                serial::Parity::None => 'N',
                serial::Parity::Even => 'E',
                serial::Parity::Odd => 'O',
            };
            format!("{} at {} {}{parity}{}", port.path.display(), port.baud, port.data_bits, port.stop_bits)
        };
        let carrier = |carrier: &streamed::Carrier| match carrier {
            streamed::Carrier::Udp(listen) => format!("sent to udp://{listen}"),
            streamed::Carrier::Tcp { host, port } => format!("from tcp://{host}:{port}"),
            streamed::Carrier::Serial(at) => format!("from {}", port(at)),
        };
        match self {
            Self::Mqtt(broker) => {
                let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
                format!("{scheme}://{}:{}", broker.host, broker.port)
            }
            Self::Modbus { connection: modbus::Connection::Tcp { host, port }, device, .. } => {
                format!("Modbus TCP {host}:{port} unit {}", device.unit)
            }
            Self::Modbus { connection: modbus::Connection::Rtu(at), device, .. } => {
                format!("Modbus RTU {} unit {}", port(at), device.unit)
            }
            Self::Http { listen, tls } => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                format!("listens on {scheme}://{listen}")
            }
            Self::SerialText(at) => format!("text from {}", port(at)),
            Self::Ais(from) => format!("AIS {}", carrier(from)),
            Self::Frames(from) => format!("frames {}", carrier(from)),
            Self::Nodes { carrier, .. } => match carrier {
                node_link::Carrier::Serial(at) => format!("nodes on {}", port(at)),
                node_link::Carrier::Connect { host, port } => format!("nodes at {host}:{port}"),
                node_link::Carrier::Listen(listen) => format!("nodes that connect to {listen}"),
            },
        }
    }
}

impl Line {
    /// Where a sensor's value comes from, in the file's own words and counting.
    pub(super) fn place_of(&self, sensor: &SensorId, read: &Read) -> String {
        match read {
            Read::Mqtt(mqtt::Subscription { topic, gives, .. }) => match gives {
                mqtt::Gives::Json { mapping, .. } if mapping.value.is_empty() => format!("topic {topic}"),
                mqtt::Gives::Json { mapping, .. } => format!("topic {topic}, {}", mapping.value),
                mqtt::Gives::Frigate { camera, .. } => format!("Frigate camera {}", camera.name),
                mqtt::Gives::Frames(_) => format!("topic {topic}, frames"),
                mqtt::Gives::References(feed) => format!("topic {topic}, references {feed}"),
            },
            Read::Modbus(point) => self.address(&point.place),
            Read::Hook { gives, .. } => match gives {
                webhook::Gives::PlateRecognizer { camera, .. } => {
                    format!("Plate Recognizer camera {camera}, /hooks/{sensor}")
                }
                webhook::Gives::OpenAlpr { camera, .. } => format!("OpenALPR camera {camera}, /hooks/{sensor}"),
                webhook::Gives::Frames(_) => format!("frames at /hooks/{sensor}"),
                _ => format!("JSON at /hooks/{sensor}"),
            },
            Read::SerialText(reader) => format!("lines like {}", reader.pattern),
            Read::Ais => "every vessel heard".into(),
            Read::Frames(source) => match source.polar {
                true => "every frame".into(),
                false => "every frame, in the site's grid".into(),
            },
            Read::Node { node, channel } => format!("node {} channel {}", node.0, channel.name),
        }
    }

    fn address(&self, place: &modbus::Place) -> String {
        use modbus::{BitArea, Format, RegisterArea};
        let base = if let Way::Modbus { base, .. } = &self.way { *base } else { 0 };
        match place {
            modbus::Place::Bit { area, address } => {
                let area = if *area == BitArea::Coils { "coil" } else { "discrete" };
                format!("{area} {}", u32::from(*address) + base)
            }
            modbus::Place::Register { area, address, format, .. } => {
                let area = if *area == RegisterArea::Holding { "holding" } else { "input" };
                let address = u32::from(*address) + base;
                match format {
                    Format::Bit(bit) => format!("{area} {address} bit {bit}"),
                    format => format!("{area} {address} {}", format!("{format:?}").to_lowercase()),
                }
            }
        }
    }
}
