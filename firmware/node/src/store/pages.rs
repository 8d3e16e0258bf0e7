//! Pages of NOR flash: an opening, records one after another, and a mark that closes.
//!
//! ```text
//! | opening (fixed size) | record | record | ...  blank ... | closing mark |
//! record = length 2 | CRC-32 4 | body | 0xFF up to the next write unit
//! ```
//!
//! A word of flash is written once between two erasures (flash with error correction tolerates nothing else). The CRC
//! covers the page's sequence number and the record's place, so that what an interrupted erasure left behind is never
//! taken for a record. A write that power cut short reads as [`Slot::Bad`].

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

/// The largest body: a page's opening. A frame's message with counter and class is shorter.
pub(super) const MOST_BODY: usize = 300;
/// Pages beyond are not used.
pub(super) const MOST_PAGES: u32 = 64;
/// One that is written, one that is blank, one that still holds: with fewer a page could not be erased safely.
pub(super) const LEAST_PAGES: u32 = 3;

const HEAD: usize = 6;
/// A record with the largest body in the widest write units.
const MOST_RECORD: usize = (HEAD + MOST_BODY).next_multiple_of(WIDEST);
/// The widest write unit that is known: STM32H7 writes 32 bytes at a time.
const WIDEST: usize = 32;
/// Pages are put together from erase units up to this size: a page must hold a good number of records.
const SMALLEST_PAGE: usize = 2048;

/// Where a record is read into. The caller has it, once for all that it reads: the stack is small.
pub(super) type Buffer = [u8; MOST_RECORD];
pub(super) const BUFFER: Buffer = [0; MOST_RECORD];

/// What stands at a place in a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot<'b> {
    /// A record's body, and where the next one begins.
    Record(&'b [u8], u32),
    /// Nothing was written from here on.
    Blank,
    /// Something that is no record.
    Bad,
}

/// How a page begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening<'b> {
    /// Nothing was ever written.
    Blank,
    /// In order, with its sequence number and what was put into the opening.
    Opened(u32, &'b [u8]),
    /// The opening is unreadable and nothing follows it: power was cut while it was written.
    Torn,
    /// The opening is unreadable and something follows.
    Damaged,
}

pub(super) struct Pages<F> {
    flash: F,
    /// Where the first page begins.
    base: u32,
    page: u32,
    count: u32,
    unit: u32,
}

/// The size of a page: a multiple of what is erased at a time.
pub(crate) fn page_bytes<F: NorFlash>() -> u32 {
    (F::ERASE_SIZE * SMALLEST_PAGE.div_ceil(F::ERASE_SIZE.max(1)).max(1)) as u32
}

impl<F: NorFlash> Pages<F> {
    /// Divides flash behind its first `skip` pages into pages.
    pub(super) fn new(flash: F, skip: u32) -> Self {
        let (unit, page) = (F::WRITE_SIZE.max(F::READ_SIZE), page_bytes::<F>());
        let pages = u32::try_from(flash.capacity()).unwrap_or(u32::MAX) / page;
        let count = pages.saturating_sub(skip).min(MOST_PAGES);
        Self { flash, base: skip * page, page, count, unit: unit as u32 }
    }

    /// Whether flash is large enough, and its write unit not too wide. Otherwise nothing else may be asked.
    pub(super) fn fit(&self) -> bool {
        let unit = self.unit as usize;
        let fits = unit <= WIDEST && WIDEST.is_multiple_of(unit) && (self.page as usize).is_multiple_of(WIDEST);
        self.count >= LEAST_PAGES && fits
    }

    /// All of the chip's part that is the node's, the skipped pages too.
    pub(super) fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes for records in a page.
    pub(super) fn room(&self) -> u32 {
        self.limit() - FIRST_RECORD
    }

    /// Where records end.
    pub(super) fn limit(&self) -> u32 {
        self.page - WIDEST as u32
    }

    /// What a record with such a body takes.
    pub(super) fn size_of(&self, body: usize) -> u32 {
        ((HEAD + body) as u32).next_multiple_of(self.unit)
    }

    pub(super) fn opening<'b>(&mut self, page: u32, buffer: &'b mut Buffer) -> Result<Opening<'b>, NorFlashErrorKind> {
        // The opening's own sequence number is in its body's first four bytes, and its checksum is over sequence 0.
        match self.read(page, 0, 0, buffer)? {
            Slot::Record(body, _) => Ok(match body.split_first_chunk::<4>() {
                Some((sequence, rest)) => Opening::Opened(u32::from_le_bytes(*sequence), rest),
                None => Opening::Damaged,
            }),
            slot => {
                let blank_after = self.is_blank(page, FIRST_RECORD, self.page)?;
                Ok(match (slot, blank_after) {
                    (Slot::Blank, true) => Opening::Blank,
                    (_, true) => Opening::Torn,
                    (_, false) => Opening::Damaged,
                })
            }
        }
    }

    /// Writes a page's opening: its sequence number, and what the caller put behind the first four bytes of `body`. The page
    /// must be blank.
    pub(super) fn open(&mut self, page: u32, sequence: u32, body: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let fits = self.size_of(body.len()) <= FIRST_RECORD;
        let place = body.first_chunk_mut().filter(|_| fits).ok_or(NorFlashErrorKind::OutOfBounds)?;
        *place = sequence.to_le_bytes();
        self.write(page, 0, 0, body).map(|_| ())
    }

    /// Reads what stands at `offset` of a page.
    pub(super) fn read<'b>(
        &mut self,
        page: u32,
        sequence: u32,
        offset: u32,
        buffer: &'b mut Buffer,
    ) -> Result<Slot<'b>, NorFlashErrorKind> {
        let length = (self.limit().saturating_sub(offset) as usize).min(MOST_RECORD);
        if length < HEAD {
            return Ok(Slot::Blank);
        }
        let bytes = &mut buffer[..length];
        self.flash.read(self.place(page, offset), bytes).map_err(|e| e.kind())?;
        if bytes.iter().all(|byte| *byte == 0xff) {
            return Ok(Slot::Blank);
        }
        let length = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        let crc = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        match bytes.get(HEAD..HEAD + length) {
            Some(body) if length <= MOST_BODY && checksum(sequence, offset, body) == crc => {
                Ok(Slot::Record(body, offset + self.size_of(length)))
            }
            _ => Ok(Slot::Bad),
        }
    }

    /// Writes a record, reads it back, and says where the next one begins.
    pub(super) fn write(
        &mut self,
        page: u32,
        sequence: u32,
        offset: u32,
        body: &[u8],
    ) -> Result<u32, NorFlashErrorKind> {
        let mut bytes = [0xff; MOST_RECORD];
        let size = self.size_of(body.len()) as usize;
        if body.len() > MOST_BODY || offset + size as u32 > self.limit() {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        bytes[..2].copy_from_slice(&(body.len() as u16).to_le_bytes());
        bytes[2..HEAD].copy_from_slice(&checksum(sequence, offset, body).to_le_bytes());
        bytes[HEAD..HEAD + body.len()].copy_from_slice(body);
        self.flash.write(self.place(page, offset), &bytes[..size]).map_err(|e| e.kind())?;
        match self.read(page, sequence, offset, &mut bytes)? {
            Slot::Record(back, next) if back == body => Ok(next),
            _ => Err(NorFlashErrorKind::Other),
        }
    }

    /// Closes a page. Whatever a cut write left there counts as closed.
    pub(super) fn close(&mut self, page: u32) -> Result<(), NorFlashErrorKind> {
        self.flash.write(self.place(page, self.page - WIDEST as u32), &[0; WIDEST]).map_err(|e| e.kind())
    }

    pub(super) fn is_closed(&mut self, page: u32) -> Result<bool, NorFlashErrorKind> {
        self.is_blank(page, self.limit(), self.page).map(|blank| !blank)
    }

    /// Whether nothing is written between two offsets, multiples of the widest unit.
    pub(super) fn is_blank(&mut self, page: u32, from: u32, to: u32) -> Result<bool, NorFlashErrorKind> {
        let mut bytes = [0; WIDEST];
        for offset in (from.next_multiple_of(WIDEST as u32)..to).step_by(WIDEST) {
            self.flash.read(self.place(page, offset), &mut bytes).map_err(|e| e.kind())?;
            if bytes != [0xff; WIDEST] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn erase(&mut self, page: u32) -> Result<(), NorFlashErrorKind> {
        self.flash.erase(self.place(page, 0), self.place(page + 1, 0)).map_err(|e| e.kind())
    }

    /// Whether a bad record at `offset` can be a write that power cut short: nothing was written behind it.
    pub(super) fn is_tail(&mut self, page: u32, offset: u32) -> Result<bool, NorFlashErrorKind> {
        self.is_blank(page, (offset + MOST_RECORD as u32).min(self.limit()), self.limit())
    }

    /// A place in all of flash, and back.
    pub(super) fn place(&self, page: u32, offset: u32) -> u32 {
        self.base + page * self.page + offset
    }

    pub(super) fn page_of(&self, place: u32) -> (u32, u32) {
        ((place - self.base) / self.page, (place - self.base) % self.page)
    }

    pub(super) fn release(self) -> F {
        self.flash
    }
}

/// Where the first record stands: behind the largest opening.
pub(super) const FIRST_RECORD: u32 = 320;

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

fn checksum(sequence: u32, offset: u32, body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&sequence.to_le_bytes());
    digest.update(&offset.to_le_bytes());
    digest.update(body);
    digest.finalize()
}
