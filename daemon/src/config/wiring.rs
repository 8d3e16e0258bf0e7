//! What drivers and upstreams are started with: addresses and secrets, resolved.

use crate::upstreams;
use quaywatch_drivers::{modbus, mqtt, node_link, secret::Secret, serial_text, webhook};
use quaywatch_schemas::{FeedId, LineId, RecipientId};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// Everything the gateway connects to or listens on. Parts compare equal if they need not be restarted at a reload.
#[derive(Debug, Clone, Default)]
pub struct Wiring {
    /// Brokers.
    pub mqtt: BTreeMap<LineId, mqtt::Config>,
    /// Modbus connections, each with the lines that share it.
    pub modbus: Vec<(modbus::Connection, Vec<(LineId, modbus::Device)>)>,
    /// Webhook listeners.
    pub webhooks: BTreeMap<LineId, webhook::Config>,
    /// Instruments that stream text.
    pub serial_text: BTreeMap<LineId, serial_text::Config>,
    /// Node buses.
    pub node_links: BTreeMap<LineId, node_link::Config>,
    /// Folders that references are dropped into.
    pub folders: BTreeMap<FeedId, PathBuf>,
    /// Ways to the recipients.
    pub upstreams: BTreeMap<RecipientId, upstreams::Target>,
    /// Where recipients may post answers, receipts and requests.
    pub answers: Option<Answers>,
    /// Where `/metrics` and `/health` are served; loopback unless the site file says otherwise.
    pub operations: Option<SocketAddr>,
}

/// Where recipients may post answers, receipts and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Address and port.
    pub listen: SocketAddr,
    /// Certificate chain (PEM) and its key (PEM); plain HTTP if `None`.
    pub tls: Option<(Vec<u8>, Secret)>,
}
