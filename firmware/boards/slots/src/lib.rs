//! The flash of a chip whose erase units are all of one size, in stretches: for a bootloader and for the image that it starts.
//!
//! A board's `flash_map.rs` says where its [`Slots`] are and what its node keeps. Each of the two programs takes the chip's
//! flash once and opens the [`Region`]s of it that it needs. What a bootloader does with them is `prepare`, with the feature
//! `boot`; what an image does is `quaywatch-update`'s.
//!
//! **This crate knows no chip: flash drivers, watchdogs and addresses are the boards'.**
#![no_std]

#[cfg(feature = "boot")]
mod boot;
mod region;

#[cfg(feature = "boot")]
pub use boot::{Image, Memory, prepare};
pub use region::Region;

/// Whole erase units, in bytes from the beginning of flash.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Where it begins.
    pub from: u32,
    /// How many there are.
    pub bytes: u32,
}

/// Where images are, and how far an update is.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// What runs.
    pub active: Stretch,
    /// What is to run, and one erase unit to swap through.
    pub next: Stretch,
    /// The record of an update: in one erase unit while the other is erased.
    pub state: Stretch,
}

impl Slots {
    /// One behind the other, as `quaywatch-update` wants them: an active slot of `bytes`
    /// at `from`, a next one that is one erase unit larger, and two for the state.
    pub const fn new(from: u32, bytes: u32, erase_unit: u32) -> Self {
        assert!(from.is_multiple_of(erase_unit) && bytes.is_multiple_of(erase_unit), "slots are whole erase units");
        let active = Stretch { from, bytes };
        let next = Stretch { from: active.end(), bytes: bytes + erase_unit };
        let state = Stretch { from: next.end(), bytes: 2 * erase_unit };
        Self { active, next, state }
    }
}

impl Stretch {
    /// Where the one behind it begins.
    pub const fn end(self) -> u32 {
        self.from + self.bytes
    }
}
