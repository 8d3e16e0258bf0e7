//! The STM32F405's **emulated** image in QEMU, its serial port being the real daemon's line.
//!
//! What is emulated, and named so everywhere: the chip, its flash (a host file with the chip's rules enforced, by
//! semihosting), its inputs (another), the supply (killing QEMU is a power cut). What is not: the node's code, frames and
//! keys, the daemon, its store, the broker.
//!
//! `tests/firmware` builds the image and runs this; a plain `cargo nextest run` lists it as skipped.

mod figures;
mod node;
mod quay;
mod story;
mod wire;
