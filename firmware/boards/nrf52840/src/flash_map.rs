//! Where what lies in the chip's flash. Pages are of 4 KiB. Erasing one halts the core for 85 ms, writing a word for 41 us
//! (data sheet): neither inputs nor line are read meanwhile, less than a contact's bounce and one poll.
//!
//! | from | bytes | what |
//! | --- | --- | --- |
//! | 0 | 32 KiB | the bootloader |
//! | 32 KiB | 416 KiB | the running image |
//! | 448 KiB | 420 KiB | the next image, and one page for swapping |
//! | 868 KiB | 8 KiB | state of an update |
//! | 928 KiB | 64 KiB | who the node is (2 pages), outbox (14) |
//!
//! Without `updates` the image is from 0 on, and nothing else below 928 KiB.
#![allow(dead_code, reason = "the bootloader keeps nothing, and an image without updates has no slots")]

use quaywatch_slots::{Slots, Stretch};

/// Where images are.
pub const SLOTS: Slots = Slots::new(32 * 1024, 416 * 1024, PAGE);
/// What the node keeps: sixteen pages.
pub const KEPT: Stretch = Stretch { from: 928 * 1024, bytes: 16 * PAGE };

const PAGE: u32 = 4 * 1024;
const _: () = assert!(SLOTS.state.end() <= KEPT.from, "an image is never where the node keeps something");
