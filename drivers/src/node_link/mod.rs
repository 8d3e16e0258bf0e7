//! Our own sensor nodes, over RS-485, serial or TCP.

use crate::{line::Line, secret::Secret, serial};
use quaywatch_schemas::{SensorId, units::Unit};
use std::{net::SocketAddr, time::Duration};

/// A bus and its nodes. The gateway is the bus's only master.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What carries the frames.
    pub carrier: Carrier,
    /// How often each node is polled.
    pub every: Duration,
    /// How long a node may take to answer.
    pub timeout: Duration,
    /// The nodes on it.
    pub nodes: Vec<Node>,
}

/// What carries frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// A serial port or pseudo-terminal.
    Serial(serial::Port),
    /// A terminal server or a node with Ethernet that we connect to.
    Connect {
        /// Name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Nodes that connect to us.
    Listen(SocketAddr),
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number on the bus, 1 to 65534.
    pub number: u16,
    /// Its key: 64 hexadecimal digits.
    pub key: Secret,
    /// What its channels are.
    pub channels: Vec<Channel>,
}

/// One channel of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the firmware: see [`quaywatch_schemas::frame`].
    pub name: String,
    /// Whose it is.
    pub sensor: SensorId,
    /// The unit, for channels that measure; the firmware's own if `None`.
    pub unit: Option<Unit>,
}

/// Why a channel name cannot be used: the firmware has no such channel.
pub fn knows_channel(name: &str) -> bool {
    let _ = name;
    todo!()
}

/// Polls the bus until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let _ = (line, config);
    todo!()
}
