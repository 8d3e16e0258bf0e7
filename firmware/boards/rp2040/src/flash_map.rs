//! Where what lies in the flash chip (W25Q16 or one like it, 2 MiB), which the program runs from, too. Sectors are of 4 KiB.
//! While one is erased or written nothing can be read from the chip: interrupts are off, neither inputs nor line are read
//! (data sheet: erasing takes 45 ms, 400 ms at most). An alarm every twenty seconds means such a stall every 20 minutes.
//!
//! | from | bytes | what |
//! | --- | --- | --- |
//! | 0 | 32 KiB | second-stage loader, the bootloader |
//! | 32 KiB | 480 KiB | the running image |
//! | 512 KiB | 484 KiB | the next image, and one sector for swapping |
//! | 996 KiB | 8 KiB | state of an update |
//! | 1920 KiB | 64 KiB | who the node is (2 sectors), outbox (14) |
//!
//! Without `updates` the image follows the second-stage loader, and there is nothing else below 1920 KiB.
//!
//! The chip has no read-out protection: whoever opens the box can read the node's key. Where that matters, take another
//! board, and let the tamper switch say that the box was opened.
#![allow(dead_code, reason = "the bootloader keeps nothing, and an image without updates has no slots")]

use quaywatch_slots::{Slots, Stretch};

/// What there is.
pub const FLASH_BYTES: usize = 2 * 1024 * 1024;
/// Where images are.
pub const SLOTS: Slots = Slots::new(32 * 1024, 480 * 1024, SECTOR);
/// What the node keeps: sixteen sectors.
pub const KEPT: Stretch = Stretch { from: 1920 * 1024, bytes: 16 * SECTOR };

const SECTOR: u32 = 4 * 1024;
const _: () = assert!(SLOTS.state.end() <= KEPT.from, "an image is never where the node keeps something");
