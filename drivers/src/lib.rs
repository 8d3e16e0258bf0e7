//! Every signal Quaywatch can read.
//!
//! A driver is two halves. The pure half ([`decode`-style functions in each module](self)) turns bytes into
//! [`Record`](quaywatch_schemas::Record)s and can be fed from a capture file. The other half is a *line*: it connects,
//! times out, reconnects with back-off and hands what was decoded to the ledger as a [`intake::Batch`], and it tells the
//! source "taken" only when the ledger's receipt says the batch is on disk.
//!
//! **A driver knows no zone, no rule and no recipient, and it has no way to write to a device.**
//!
//! | Line | Module | Its sender is acknowledged by |
//! |---|---|---|
//! | MQTT 5 broker | [`mqtt`] | PUBACK after the sync |
//! | Modbus TCP and RTU | [`modbus`] | nothing to acknowledge: polled |
//! | Webhook | [`webhook`] | HTTP 2xx after the sync |
//! | Serial text | [`serial_text`] | nothing to acknowledge: streamed |
//! | AIS receiver | [`ais`] | nothing to acknowledge: streamed |
//! | Radar, lidar, camera tracker | [`frame`] | over MQTT or webhook as there; streamed lines are not acknowledged |
//! | Node link | [`node_link`] | cumulative acknowledgement after the sync |
//!
//! Camera formats ([`camera`]) arrive over MQTT or webhook: one file per vendor or standard.

pub mod ais;
pub mod by_exception;
pub mod camera;
pub mod frame;
pub mod intake;
pub mod json;
pub mod line;
mod lines;
pub mod listen;
pub mod modbus;
pub mod mqtt;
pub mod node_link;
mod overload;
pub mod references;
pub mod secret;
pub mod serial;
pub mod serial_text;
pub mod streamed;
mod strict;
pub mod tap;
pub mod tls;
pub mod webhook;
