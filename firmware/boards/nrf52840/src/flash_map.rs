//! Where what lies in the chip's flash. Pages are of 4 KiB. Erasing one halts the core for 85 ms, writing a word for 41 us
//! (data sheet): neither inputs nor line are read meanwhile, less than a contact's bounce and one poll.
//!
//! | from | bytes | what |
//! | --- | --- | --- |
//! | 0 | 448 KiB | the running image; the bootloader and it, once there is one |
//! | 448 KiB | 452 KiB | the next image, and one page for swapping |
//! | 900 KiB | 8 KiB | state of an update |
//! | 928 KiB | 64 KiB | who the node is (2 pages), outbox (14) |

/// Where what the node keeps begins.
pub const KEPT: u32 = 928 * 1024;
/// Sixteen pages.
pub const KEPT_BYTES: u32 = 64 * 1024;
