//! Where what lies in the flash chip (W25Q16 or one like it, 2 MiB), which the program runs from, too. Sectors are of 4 KiB.
//! While one is erased or written nothing can be read from the chip: interrupts are off, neither inputs nor line are read
//! (data sheet: erasing takes 45 ms, 400 ms at most). An alarm every twenty seconds means such a stall every 20 minutes.
//!
//! | from | bytes | what |
//! | --- | --- | --- |
//! | 0 | 512 KiB | second-stage loader, the running image |
//! | 512 KiB | 516 KiB | the next image, and one sector for swapping, once there is a bootloader |
//! | 1028 KiB | 8 KiB | state of an update |
//! | 1920 KiB | 64 KiB | who the node is (2 sectors), outbox (14) |
//!
//! The chip has no read-out protection: whoever opens the box can read the node's key. Where that matters, take another
//! board, and let the tamper switch say that the box was opened.

use quaywatch_slots::Stretch;

/// What there is.
pub const FLASH_BYTES: usize = 2 * 1024 * 1024;
/// What the node keeps: sixteen sectors.
pub const KEPT: Stretch = Stretch { from: 1920 * 1024, bytes: 64 * 1024 };
