//! Flash in a host file, with the chip's rules enforced: a word is written once between two erasures, erasing takes whole
//! pages.

use super::semihosting::{self, HostFile};
use crate::flash_map::{PAGE, SECTORS};
use embassy_stm32::{Peri, peripherals::FLASH};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use quaywatch_node::{Millis, NoUpdates};

/// Bytes of a word.
const WORD: usize = 4;
/// Bytes that go to the host at a time.
const PIECE: usize = 256;

/// What the node keeps: `flash`, made blank if it does not exist.
pub fn flash(_: Peri<'static, FLASH>, _: Millis) -> (Flash, Images) {
    (kept(), NoUpdates)
}

/// There is no bootloader, and so nowhere to put an image.
pub type Images = NoUpdates;

fn kept() -> Flash {
    let bytes = SECTORS.len() * PAGE as usize;
    if let Some(mut file) = HostFile::open(c"flash") {
        if file.length() != bytes {
            semihosting::fail("the file flash is no flash of this chip\n");
        }
        return Flash { file, bytes };
    }
    let Some(file) = HostFile::create(c"flash") else { semihosting::fail("the file flash cannot be made\n") };
    let mut flash = Flash { file, bytes };
    if flash.fill(0, bytes as u32).is_err() {
        semihosting::fail("the file flash cannot be made blank\n");
    }
    flash
}

/// A host file that behaves as pages of the chip, each in a sector of its own.
pub struct Flash {
    file: HostFile,
    bytes: usize,
}

impl Flash {
    fn fill(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let all = (from..to).step_by(PIECE).all(|at| self.file.write(at, &[0xff; PIECE]));
        if all { Ok(()) } else { Err(NorFlashErrorKind::Other) }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        if self.file.read(offset, bytes) { Ok(()) } else { Err(NorFlashErrorKind::Other) }
    }

    fn capacity(&self) -> usize {
        self.bytes
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.fill(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (at, piece) in (offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            let mut there = [0; PIECE];
            self.read(at, &mut there[..piece.len()])?;
            let is_blank = there[..piece.len()].iter().all(|byte| *byte == 0xff);
            if !is_blank || !self.file.write(at, piece) {
                return Err(NorFlashErrorKind::Other);
            }
        }
        Ok(())
    }
}
