//! Our own sensor nodes, over RS-485, serial or TCP.
//!
//! The gateway is the bus's only master: it polls one node after the other, and a node speaks only when it is polled. The
//! format is [`quaywatch_schemas::frame`]; who says what when:
//!
//! ```text
//! gateway  challenge ──►            poll ──►                          poll + acknowledgement ──►
//! node               ◄── hello           ◄── data, data, turn end                            ◄── turn end
//! ```
//!
//! - Nothing of a node is believed before it answered the challenge of *this* start of the gateway.
//! - The bus never waits for the ledger: an acknowledgement rides on a later poll, cumulative with a bitmap, and says only
//!   what is on disk. What the ledger refused is not acknowledged, and comes again.
//! - Frames of a node are handed to the ledger in their order; one that lacks its predecessor waits for it a moment. A
//!   word that comes after a later one is history. Which words were overtaken is not known after a restart of the gateway;
//!   what its first poll makes every node repeat sets that right.
//! - A node that does not answer is asked less and less often, down to every ten seconds: it costs the others one timeout
//!   each time. Its sensors say `no-data(timeout)` once.
//! - A damaged frame is noise and counted. A whole frame with a wrong tag is a forgery or a wrong key; one with a right tag
//!   that the node cannot have said now is a recording. Both are `no-data(tampered)` on the node's tamper channel (its
//!   health channel, or all of them, if it has none), again each minute while they come, and a warning once an hour with
//!   how many there were. On a line that hurts many frames a wrong tag may be noise: there three in an hour are an alarm.
//! - Each new connection may be another device with a node's key: all nodes are challenged, at most every ten seconds.
//!   A node that connects anew goes on counting where it was, or says that it restarted, and its former connection is
//!   dumb. Two devices both answer.
//! - People's [orders](Request) go between polls, one at a time to each node; each is done once and its end is
//!   [told](Report). Settings that cut a node off are taken back by it.
//! - A new key is given under the old one, and both count until the node was heard under the new one; see
//!   [`quaywatch_schemas::frame`] for what that is worth.
//! - Two devices with one key contradict each other sooner or later. Then nothing in that node's name counts any more:
//!   `no-data(tampered)` on all its sensors, until a person has looked.
//!
//! The pure half is [`Master`]: bytes, receipts and time in, bytes and records out.

mod attack;
mod clock;
mod decode;
mod double;
pub mod enrol;
mod master;
mod orders;
mod peer;
mod runner;
mod standing;

pub use self::{
    master::{Master, Notice, Now, Outcome, Output, PortId, Ticket},
    orders::{NotTaken, OrderId, Report, Request},
    runner::{Wish, run},
    standing::{Answers, Standing},
};

use crate::{secret::Secret, serial};
use quaywatch_schemas::{SensorId, frame, units::Unit};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, time::Duration};

/// A bus and its nodes. The gateway is the bus's only master.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What carries the frames.
    pub carrier: Carrier,
    /// How often each node is polled.
    pub every: Duration,
    /// How long a node may take to answer, and how long it may pause within an answer.
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
    /// Which key it has.
    pub trust: Trust,
    /// What its channels are.
    pub channels: Vec<Channel>,
}

/// Whether what comes in a node's name counts. Keys are 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It has this key.
    Key(Secret),
    /// It is being given another key, and may have turned to it already.
    Rotating {
        /// The one that it had before.
        key: Secret,
        /// The one that it is given.
        next: Secret,
    },
    /// Nothing counts. Its sensors are without data, and it is not polled.
    Not(Distrust),
}

/// Why nothing in a node's name counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distrust {
    /// Its key was destroyed.
    Revoked,
    /// Two devices spoke with its key.
    Quarantined,
}

/// One channel of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the firmware: see [`quaywatch_schemas::frame::Channel`].
    pub name: String,
    /// Whose it is.
    pub sensor: SensorId,
    /// The unit wanted, for channels that measure; the firmware's own if `None`. One of the same quantity is converted
    /// to; one of another says that the node was calibrated for that.
    pub unit: Option<Unit>,
}

/// Whether the firmware has a channel of that name.
pub fn knows_channel(name: &str) -> bool {
    frame::Channel::parse(name).is_ok()
}

#[cfg(test)]
mod tests;
