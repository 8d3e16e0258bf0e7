//! The Modbus driver against devices that are not ours: pymodbus over TCP, and a slave on a pseudo-terminal that behaves as
//! badly as slaves do.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod line;
mod misbehaving;
mod read_only;
mod serial;
mod tcp;
