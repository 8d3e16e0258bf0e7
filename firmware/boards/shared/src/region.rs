//! A stretch of a flash chip that looks like a chip of its own.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Whole erase units of a chip, from one offset on. Nothing outside can be reached through it.
pub struct Region<F> {
    flash: F,
    from: u32,
    bytes: u32,
}

impl<F: ReadNorFlash> Region<F> {
    /// `bytes` of `flash` from `from` on; what the chip does not have is cut off.
    pub fn new(flash: F, from: u32, bytes: u32) -> Self {
        let bytes = bytes.min((flash.capacity() as u32).saturating_sub(from));
        Self { flash, from, bytes }
    }

    fn place(&self, offset: u32, length: u32) -> Result<u32, NorFlashErrorKind> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.bytes);
        if fits { Ok(self.from + offset) } else { Err(NorFlashErrorKind::OutOfBounds) }
    }
}

impl<F: ReadNorFlash> ErrorType for Region<F> {
    type Error = NorFlashErrorKind;
}

impl<F: ReadNorFlash> ReadNorFlash for Region<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.place(offset, bytes.len() as u32)?;
        self.flash.read(place, bytes).map_err(|why| why.kind())
    }

    fn capacity(&self) -> usize {
        self.bytes as usize
    }
}

impl<F: NorFlash> NorFlash for Region<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)?;
        let place = self.place(from, length)?;
        self.flash.erase(place, place + length).map_err(|why| why.kind())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.place(offset, bytes.len() as u32)?;
        self.flash.write(place, bytes).map_err(|why| why.kind())
    }
}
