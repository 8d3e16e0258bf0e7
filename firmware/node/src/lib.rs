//! What a sensor node decides.
//!
//! A [`Node`] is fed raw inputs ([`Node::sense`]), time ([`Node::tick`]) and what came over the bus ([`Node::receive`]);
//! it answers with bytes for the bus and keeps in flash what a power cut must not take. It reads no clock, no pin and no
//! register: boards do, and so does the simulator, which runs exactly this code.
//!
//! Near the sensor because it must be: the rhythm of reading ([`sensing::plan`]), debounce ([`sensing::contact`]), motion
//! ([`sensing::motion`]), vibration energy within a band ([`sensing::vibration`]), loads without glitches and temperature
//! ([`sensing::load`]), distances ([`sensing::range`]), doors ([`sensing::door`]), badges ([`sensing::badge`]), limits with
//! hysteresis ([`sensing::measure`]), a tamper latch that survives a power cut ([`sensing::tamper`]), heartbeats, last words
//! when the supply fails, and a [`supervisor`] that decides whether the watchdog may be fed.
//!
//! **A node speaks only when polled**: the gateway is the bus's only master.
#![no_std]

#[cfg(any(test, feature = "emulation"))]
extern crate std;

mod config;
#[cfg(any(test, feature = "emulation"))]
pub mod emulation;
mod identity;
mod link;
mod node;
mod outbox;
pub mod sensing;
#[cfg(any(test, feature = "shell"))]
pub mod shell;
mod store;
pub mod supervisor;
mod updates;

pub use config::{Config, Plate};
pub use node::{Boot, Node, Turn};
pub use quaywatch_schemas::frame::{Channel, NodeKey, message::ResetCause, settings};
pub use sensing::{Misfit, Sensed};
pub use store::Locked;
pub use updates::{NoUpdates, Updates};

/// Milliseconds since boot, from a clock that never goes back.
pub type Millis = u64;
