//! What the bootloader does before it starts an image. Swapping and going back is embassy-boot's; what it asks its state
//! flash is answered from the record.

use crate::record::{Boot, Lasting, Records};
use embassy_boot::{AlignedBuffer, BootError, BootLoader, BootLoaderConfig};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// What is in the active slot now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// What was there.
    AsBefore,
    /// A new image, for this boot only.
    OnTrial,
    /// The former image again: the new one did not confirm itself.
    Reverted,
}

/// Why nothing is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The slots are not of one erase unit's multiple, or the next one is not one unit larger; or the state has less than
    /// two. A mistake in the flash map.
    Layout,
    /// Flash does not do what it is told. Trying again goes on where it stopped.
    Flash(NorFlashErrorKind),
}

impl core::fmt::Display for Fault {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Layout => to.write_str("the slots do not fit each other"),
            Self::Flash(why) => write!(to, "flash: {why}"),
        }
    }
}

impl core::error::Error for Fault {}

impl From<NorFlashErrorKind> for Fault {
    fn from(why: NorFlashErrorKind) -> Self {
        Self::Flash(why)
    }
}

/// Swaps, goes back, or does nothing, as was marked; goes on where a power cut stopped it. The active slot can be started
/// if it returns `Ok`, and only then.
///
/// Arm the watchdog before starting an image: one that hangs is reverted by the reset.
pub fn prepare<A: NorFlash, D: NorFlash, S: NorFlash>(active: A, next: D, state: S) -> Result<Started, Fault> {
    const {
        assert!(A::ERASE_SIZE == D::ERASE_SIZE && A::ERASE_SIZE.is_multiple_of(COPIED));
        assert!(COPIED.is_multiple_of(A::WRITE_SIZE) && COPIED.is_multiple_of(D::WRITE_SIZE));
    }
    let units = active.capacity() / A::ERASE_SIZE;
    let fits = units > 0
        && active.capacity().is_multiple_of(A::ERASE_SIZE)
        && next.capacity() == active.capacity() + A::ERASE_SIZE
        && units <= MOST_UNITS;
    let mut records = Records::open(state)?.filter(|_| fits).ok_or(Fault::Layout)?;
    let before = records.get().boot;
    let state = StateFlash { records: &mut records, units, is_erased: false };
    let mut loader = BootLoader::new(BootLoaderConfig { active, dfu: next, state });
    loader.prepare_boot(AlignedBuffer([0; COPIED]).as_mut()).map_err(|why| match why {
        BootError::Flash(why) => Fault::Flash(why),
        BootError::BadMagic => Fault::Flash(NorFlashErrorKind::Other),
    })?;
    Ok(match (before, records.get().boot) {
        (_, Boot::Swap(_)) => Started::OnTrial,
        (Boot::Swap(_), _) => Started::Reverted,
        _ => Started::AsBefore,
    })
}

/// Bytes copied at a time.
const COPIED: usize = 256;
/// Erase units of the active slot whose steps can be counted.
const MOST_UNITS: usize = (u16::MAX / 4) as usize;

/// The magic bytes of embassy-boot's state; everything else is "boot".
const SWAP: u8 = 0xf0;
const REVERT: u8 = 0xc0;
const ERASED: u8 = 0xff;

/// What embassy-boot takes for its state flash: words of one byte. The first is the magic, the second says that progress
/// does not count, and from the third on each is a step of swapping (two per erase unit) and of going back (as many).
///
/// Flash that is erased while power goes can read as anything in between: "swapped" as "swap", and what comes of that is a
/// mix of two images. Here a write is one record, and erasing and writing the magic that follows are one together.
struct StateFlash<'r, S> {
    records: &'r mut Records<S>,
    units: usize,
    is_erased: bool,
}

const FIRST_STEP: usize = 2;

impl<S> ErrorType for StateFlash<'_, S> {
    type Error = NorFlashErrorKind;
}

impl<S: NorFlash> ReadNorFlash for StateFlash<'_, S> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let (magic, steps) = match self.records.get().boot {
            _ if self.is_erased => (ERASED, 0),
            Boot::Plain => (ERASED, 0),
            Boot::Swap(steps) => (SWAP, usize::from(steps)),
            Boot::Reverted => (REVERT, 0),
        };
        for (word, byte) in (offset as usize..).zip(bytes) {
            *byte = match word.checked_sub(FIRST_STEP) {
                None if word == 0 => magic,
                Some(step) if step < steps => !ERASED,
                _ => ERASED,
            };
        }
        Ok(())
    }

    /// embassy-boot looks at one word less than there are.
    fn capacity(&self) -> usize {
        FIRST_STEP + 4 * self.units + 1
    }
}

impl<S: NorFlash> NorFlash for StateFlash<'_, S> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
        self.is_erased = true;
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let lasting = self.records.get();
        let boot = match (offset as usize, bytes, lasting.boot) {
            // Its way of making the erasure that follows safe. Ours is.
            (1, _, _) => return Ok(()),
            (0, [REVERT], _) => Boot::Reverted,
            (word, [_], Boot::Swap(steps)) if word == FIRST_STEP + usize::from(steps) => Boot::Swap(steps + 1),
            _ => return Err(NorFlashErrorKind::Other),
        };
        self.records.put(Lasting { boot, ..lasting })?;
        self.is_erased = false;
        Ok(())
    }
}
