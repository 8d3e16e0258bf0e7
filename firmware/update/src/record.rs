//! What lasts of an update besides the images: one record that is only ever replaced as a whole.
//!
//! ```text
//! sequence 4 | format 1 | boot 1 | steps 2 | floor 4 | candidate 4 | image 8 | erased 2 | 0 0 | CRC-32 4
//! ```
//!
//! Records follow each other in a ring of erase units, two at least; the one with the highest sequence number that reads
//! counts. A unit is erased only when the one before it is full, so the record that counts is never in it. A record that
//! power cut short does not read, and the next is written behind it.

use crate::Version;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

/// What lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasting {
    /// What the bootloader is to do.
    pub(crate) boot: Boot,
    /// Images below are not taken.
    pub(crate) floor: Version,
    /// The version of the image that is received, marked, on trial or was reverted.
    pub(crate) candidate: Version,
    /// Which image is in the slot, as far as it is.
    pub(crate) image: ImageId,
    /// How many erase units of the slot were erased for it, from the first on, and hold nothing else since.
    pub(crate) erased: u16,
}

/// What the bootloader is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Start what is there.
    Plain,
    /// Swap, and go back at the boot after that one: so many steps of both are done.
    Swap(u16),
    /// Start what is there: it went back to that.
    Reverted,
}

/// The first bytes of an image's digest, all zero for none. Which image it is was signed, so nobody but the signer can
/// make two that share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageId(pub(crate) [u8; 8]);

/// Where the record lives.
pub(crate) struct Records<S> {
    flash: S,
    lasting: Lasting,
    sequence: u32,
    unit: u32,
    /// The next free place in it.
    place: u32,
    /// The last one put may or may not count.
    is_unsure: bool,
}

const BYTES: usize = 32;
const FORMAT: u8 = 1;
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl ImageId {
    pub(crate) const NONE: Self = Self([0; 8]);
}

impl Lasting {
    const NEW: Self =
        Self { boot: Boot::Plain, floor: Version(0), candidate: Version(0), image: ImageId::NONE, erased: 0 };
}

impl<S: NorFlash> Records<S> {
    /// Reads the record that counts; flash in which none reads is new. `None` if flash is too small for two erase units.
    pub(crate) fn open(flash: S) -> Result<Option<Self>, NorFlashErrorKind> {
        const {
            assert!(BYTES.is_multiple_of(S::WRITE_SIZE) && BYTES.is_multiple_of(S::READ_SIZE));
            assert!(S::ERASE_SIZE.is_multiple_of(BYTES));
        }
        // Behind the last place of the last unit: the first record begins with erasing the first unit.
        let units = (flash.capacity() / S::ERASE_SIZE) as u32;
        let Some(last) = units.checked_sub(1).filter(|last| *last > 0) else { return Ok(None) };
        let mut records =
            Self { flash, lasting: Lasting::NEW, sequence: 0, unit: last, place: Self::PLACES, is_unsure: false };
        let mut found = false;
        for unit in 0..units {
            let mut free = 0;
            let mut holds = false;
            for place in 0..Self::PLACES {
                let bytes = records.read(unit, place)?;
                if bytes == [0xff; BYTES] {
                    continue;
                }
                free = place + 1;
                if let Some((sequence, lasting)) = parse(&bytes)
                    && (!found || sequence > records.sequence)
                {
                    (records.sequence, records.lasting) = (sequence, lasting);
                    (found, holds) = (true, true);
                }
            }
            if holds {
                (records.unit, records.place) = (unit, free);
            }
        }
        Ok(Some(records))
    }

    /// The record that counts.
    pub(crate) fn get(&self) -> Lasting {
        self.lasting
    }

    /// Replaces the record. After an error either may count, until the next one is put.
    pub(crate) fn put(&mut self, lasting: Lasting) -> Result<(), NorFlashErrorKind> {
        if lasting == self.lasting && !self.is_unsure {
            return Ok(());
        }
        if self.place == Self::PLACES {
            let next = (self.unit + 1) % (self.flash.capacity() / S::ERASE_SIZE) as u32;
            let from = next * S::ERASE_SIZE as u32;
            self.flash.erase(from, from + S::ERASE_SIZE as u32).map_err(|why| why.kind())?;
            (self.unit, self.place) = (next, 0);
        }
        // At one record a second it lasts for 136 years; flash does not.
        self.sequence = self.sequence.saturating_add(1);
        let (unit, place) = (self.unit, self.place);
        self.place += 1;
        self.is_unsure = true;
        let bytes = to_bytes(self.sequence, &lasting);
        self.flash.write(Self::offset(unit, place), &bytes).map_err(|why| why.kind())?;
        if self.read(unit, place)? != bytes {
            return Err(NorFlashErrorKind::Other);
        }
        (self.lasting, self.is_unsure) = (lasting, false);
        Ok(())
    }

    const PLACES: u32 = (S::ERASE_SIZE / BYTES) as u32;

    fn offset(unit: u32, place: u32) -> u32 {
        unit * S::ERASE_SIZE as u32 + place * BYTES as u32
    }

    fn read(&mut self, unit: u32, place: u32) -> Result<[u8; BYTES], NorFlashErrorKind> {
        let mut bytes = [0; BYTES];
        self.flash.read(Self::offset(unit, place), &mut bytes).map_err(|why| why.kind())?;
        Ok(bytes)
    }
}

fn parse(bytes: &[u8; BYTES]) -> Option<(u32, Lasting)> {
    if u32::from_le_bytes(part(bytes, 28)) != CRC.checksum(&bytes[..28]) || bytes[4] != FORMAT {
        return None;
    }
    let boot = match bytes[5] {
        0 => Boot::Plain,
        1 => Boot::Swap(u16::from_le_bytes(part(bytes, 6))),
        2 => Boot::Reverted,
        _ => return None,
    };
    let lasting = Lasting {
        boot,
        floor: Version(u32::from_le_bytes(part(bytes, 8))),
        candidate: Version(u32::from_le_bytes(part(bytes, 12))),
        image: ImageId(part(bytes, 16)),
        erased: u16::from_le_bytes(part(bytes, 24)),
    };
    Some((u32::from_le_bytes(part(bytes, 0)), lasting))
}

fn to_bytes(sequence: u32, lasting: &Lasting) -> [u8; BYTES] {
    let (boot, steps) = match lasting.boot {
        Boot::Plain => (0, 0),
        Boot::Swap(steps) => (1, steps),
        Boot::Reverted => (2, 0),
    };
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&sequence.to_le_bytes());
    (bytes[4], bytes[5]) = (FORMAT, boot);
    bytes[6..8].copy_from_slice(&steps.to_le_bytes());
    bytes[8..12].copy_from_slice(&lasting.floor.0.to_le_bytes());
    bytes[12..16].copy_from_slice(&lasting.candidate.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&lasting.image.0);
    bytes[24..26].copy_from_slice(&lasting.erased.to_le_bytes());
    let crc = CRC.checksum(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// `N` bytes from an offset of the table above.
fn part<const N: usize>(bytes: &[u8; BYTES], from: usize) -> [u8; N] {
    core::array::from_fn(|at| bytes[from + at])
}
