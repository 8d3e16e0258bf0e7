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
//! People tell it things through the gateway: to blink, to test itself, to restart, to work by other settings, to have
//! another key, to run another image ([`Updates`]). Each is authenticated, done once and answered; settings that cut it off
//! are taken back by itself. Who it is it learns only from somebody who stands before it and holds its presence input.
//!
//! # Flash
//!
//! Two pages say who it is, the others are a ring for what is not acknowledged. A page is 4 KiB or what is erased at a
//! time, if that is more; there must be five, and twelve hold a day without a gateway: a word every two minutes and an
//! alarm every half hour. While the gateway is away words wait up to ten minutes in RAM for others to share a frame with,
//! and a frame one minute more: a power cut then takes these. What alarms say is in flash before anything else is done.
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
pub use node::{Boot, Node};
pub use quaywatch_schemas::frame::{
    Channel, NodeKey,
    message::{Firmware, ResetCause},
    settings,
};
pub use sensing::{Misfit, Sensed};
pub use store::Locked;
pub use updates::{NoUpdates, Updates};

/// Milliseconds since boot, from a clock that never goes back.
pub type Millis = u64;
