//! What boards have in common and no chip decides.
//!
//! A board's `main` gives the node its [`config`], a stretch of flash, a serial line and its inputs, and lets the node's
//! own shell run. Beside it run the tasks here: the [`watch`] that feeds the
//! independent watchdog only while every task reports, and the [`lamp`] that says why a node is quiet.
//!
//! **This crate knows no chip: pins, clocks and registers are the boards'.**
//!
//! # The stack is bounded
//!
//! Each board's `memory.x` puts the stack at the bottom of RAM and everything static above it. A stack that outgrows its
//! stated size runs out of RAM into nothing, which is a fault and a reset on all three chips, and never into a variable. How deep it has been is [`stack::deepest`].
#![no_std]

pub mod config;
mod half_duplex;
pub mod lamp;
pub mod stack;
mod start;
pub mod watch;

pub use half_duplex::{DrainTransmitter, HalfDuplex};
pub use start::start;

/// Mixes a board's unique id into what its random number generator gave: two boards whose generators fail in the same way
/// still draw different epochs.
pub fn entropy(random: u64, unique_id: &[u8]) -> u64 {
    // FNV-1a, 64 bits.
    unique_id.iter().fold(random ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
