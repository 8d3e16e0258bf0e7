//! A stretch of a flash chip that looks like a chip of its own.

use crate::Stretch;
use core::cell::RefCell;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Whole erase units of a chip that others use, too. Nothing outside can be reached through it.
pub struct Region<'f, F> {
    flash: &'f RefCell<F>,
    stretch: Stretch,
}

impl<'f, F: ReadNorFlash> Region<'f, F> {
    /// That stretch of `flash`; what the chip does not have is cut off.
    pub fn of(flash: &'f RefCell<F>, stretch: Stretch) -> Self {
        let there = (flash.borrow().capacity() as u32).saturating_sub(stretch.from);
        Self { flash, stretch: Stretch { bytes: stretch.bytes.min(there), ..stretch } }
    }

    fn place(&self, offset: u32, length: u32) -> Result<u32, NorFlashErrorKind> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.stretch.bytes);
        if fits { Ok(self.stretch.from + offset) } else { Err(NorFlashErrorKind::OutOfBounds) }
    }
}

impl<F: ReadNorFlash> ErrorType for Region<'_, F> {
    type Error = NorFlashErrorKind;
}

impl<F: ReadNorFlash> ReadNorFlash for Region<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.place(offset, bytes.len() as u32)?;
        self.flash.borrow_mut().read(place, bytes).map_err(|why| why.kind())
    }

    fn capacity(&self) -> usize {
        self.stretch.bytes as usize
    }
}

impl<F: NorFlash> NorFlash for Region<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)?;
        let place = self.place(from, length)?;
        self.flash.borrow_mut().erase(place, place + length).map_err(|why| why.kind())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.place(offset, bytes.len() as u32)?;
        self.flash.borrow_mut().write(place, bytes).map_err(|why| why.kind())
    }
}
