//! Where images are, and the bootloader's state: for the bootloader and for what it starts. All are whole sectors of 128 KiB,
//! because both slots must be of equal ones.
#![allow(dead_code, reason = "the bootloader jumps, the image receives, and one without updates only shares")]

use core::cell::RefCell;
use embassy_stm32::{
    Peri,
    flash::{Blocking, Flash, WRITE_SIZE},
    peripherals::FLASH,
};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// The chip's flash, which several stretches of it share.
pub type Shared = RefCell<Flash<'static, Blocking>>;

/// A stretch of sectors of 128 KiB.
#[derive(Clone, Copy)]
pub struct Stretch {
    /// Where it begins, from the beginning of flash.
    pub from: u32,
    sectors: u32,
}

const SECTOR: u32 = 128 * 1024;

/// Sector 6: what runs.
pub const ACTIVE: Stretch = Stretch { from: 0x4_0000, sectors: 1 };
/// Sectors 7 and 8: what is to run, and one to swap through.
pub const NEXT: Stretch = Stretch { from: 0x6_0000, sectors: 2 };
/// Sectors 9 and 10: how far an update is.
pub const STATE: Stretch = Stretch { from: 0xa_0000, sectors: 2 };
/// Where the core sees flash.
pub const FLASH_BASE: u32 = 0x0800_0000;

/// Takes the flash controller.
pub fn share(flash: Peri<'static, FLASH>) -> Shared {
    RefCell::new(Flash::new_blocking(flash))
}

/// A stretch as a flash chip of its own. Nothing outside can be reached through it.
pub struct Slot<'f> {
    flash: &'f Shared,
    stretch: Stretch,
}

impl<'f> Slot<'f> {
    /// The stretch of that chip.
    pub fn of(flash: &'f Shared, stretch: Stretch) -> Self {
        Self { flash, stretch }
    }
}

impl ErrorType for Slot<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Slot<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        self.flash.borrow_mut().blocking_read(self.stretch.from + offset, bytes).map_err(|why| why.kind())
    }

    fn capacity(&self) -> usize {
        (self.stretch.sectors * SECTOR) as usize
    }
}

impl NorFlash for Slot<'_> {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let base = self.stretch.from;
        self.flash.borrow_mut().blocking_erase(base + from, base + to).map_err(|why| why.kind())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.flash.borrow_mut().blocking_write(self.stretch.from + offset, bytes).map_err(|why| why.kind())
    }
}
