//! Where what lies in the chip's flash. Sectors are of three sizes, and erasing one stalls the whole chip: it has one bank.
//!
//! | sectors | bytes each | what | stalls while erased (data sheet: typical, most) |
//! | --- | --- | --- | --- |
//! | 0 | 16 KiB | vector table; with `updates` the bootloader | never |
//! | 1, 2 | 16 KiB | who the node is | 0.25 s, 0.5 s, when it is told something |
//! | 3, 4, 5 | 16, 64, 128 KiB | outbox, of which each uses 16 KiB | up to 1 s, 2 s |
//! | 6 | 128 KiB | the running image | 1 s, 2 s |
//! | 7, 8 | 128 KiB | the next image, and one sector for swapping | 1 s, 2 s, once per image |
//! | 9, 10 | 128 KiB | state of an update | 1 s, 2 s, hardly ever |
//! | 11 | 128 KiB | nothing | |
//!
//! With `updates` an image has 128 KiB. A larger one needs two sectors a slot, and then nothing is left over; beyond that the
//! next slot has to go to an external NOR chip.
//!
//! The node's store wants at least five pages of one size. During a stall neither inputs nor line are read: a contact that
//! opens and shuts again meanwhile is missed, once in two hundred alarms or so. A node that must not miss it, that counts
//! pulses, that listens to a fence, or that has to keep more than an outbox of 48 KiB holds, needs an external NOR chip on
//! SPI.

/// A page as the node sees it.
pub const PAGE: u32 = 16 * 1024;
/// The sector of each page, from the beginning of flash: where it begins, and its size.
pub const SECTORS: [(u32, u32); 5] =
    [(0x4000, 16 * 1024), (0x8000, 16 * 1024), (0xc000, 16 * 1024), (0x1_0000, 64 * 1024), (0x2_0000, 128 * 1024)];
