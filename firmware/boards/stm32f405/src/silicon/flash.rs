//! The chip's flash as the node sees it: pages of one size, each at the beginning of a sector of its own.

use super::slots::{self, Shared};
use crate::flash_map::{PAGE, SECTORS};
use embassy_stm32::{Peri, flash::WRITE_SIZE, peripherals::FLASH};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use quaywatch_node::Millis;
use static_cell::StaticCell;

#[cfg(feature = "updates")]
mod images {
    use super::super::slots::{NEXT, STATE, Shared, Slot};
    use quaywatch_board::config;
    use quaywatch_node::Millis;
    use quaywatch_update::{Board, Node, Update, Version};

    /// Where images go. None if the bootloader's state does not read: then none are taken, and the node works.
    pub type Images = Option<Update<Slot<'static>, Slot<'static>>>;

    pub(super) fn open(shared: &'static Shared, now: Millis) -> Images {
        let node = Node { board: Board::Stm32f405, runs: Version(config::VERSION), keys: config::update_keys() };
        Update::open(Slot::of(shared, NEXT), Slot::of(shared, STATE), node, now).ok()
    }
}

#[cfg(not(feature = "updates"))]
mod images {
    use super::super::slots::Shared;
    use quaywatch_node::{Millis, NoUpdates};

    /// Without a bootloader there is nowhere to put an image.
    pub type Images = NoUpdates;

    pub(super) fn open(_: &'static Shared, _: Millis) -> Images {
        NoUpdates
    }
}

pub use images::Images;

/// Where the node keeps what a power cut must not take.
pub struct Flash(&'static Shared);

static SHARED: StaticCell<Shared> = StaticCell::new();

/// What the node keeps, and where images go.
pub fn flash(flash: Peri<'static, FLASH>, now: Millis) -> (Flash, Images) {
    let shared = SHARED.init_with(|| slots::share(flash));
    (Flash(shared), images::open(shared, now))
}

/// Calls `each` with the place and the part of every page that is touched.
fn pages(
    offset: u32,
    length: usize,
    mut each: impl FnMut(u32, core::ops::Range<usize>) -> Result<(), embassy_stm32::flash::Error>,
) -> Result<(), NorFlashErrorKind> {
    let mut done = 0;
    while done < length {
        let at = offset + done as u32;
        let (from, _) = SECTORS.get((at / PAGE) as usize).ok_or(NorFlashErrorKind::OutOfBounds)?;
        let part = length - done;
        let part = part.min((PAGE - at % PAGE) as usize);
        each(from + at % PAGE, done..done + part).map_err(|why| why.kind())?;
        done += part;
    }
    Ok(())
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        pages(offset, bytes.len(), |place, part| self.0.borrow_mut().blocking_read(place, &mut bytes[part]))
    }

    fn capacity(&self) -> usize {
        SECTORS.len() * PAGE as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for page in from / PAGE..to / PAGE {
            let (from, bytes) = SECTORS.get(page as usize).ok_or(NorFlashErrorKind::OutOfBounds)?;
            self.0.borrow_mut().blocking_erase(*from, from + bytes).map_err(|why| why.kind())?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        pages(offset, bytes.len(), |place, part| self.0.borrow_mut().blocking_write(place, &bytes[part]))
    }
}
