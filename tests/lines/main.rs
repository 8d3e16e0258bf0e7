//! Lines against the real other end: Debian's mosquitto, and a broker of ours that misbehaves on purpose.
//!
//! The ledger is the test itself: it sees every batch and decides when its receipt is given.

mod desk;
mod misbehaving;
mod mqtt;
mod secured;
mod streamed;
