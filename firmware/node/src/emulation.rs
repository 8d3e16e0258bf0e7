//! Emulated NOR flash, in memory or in a host file: for the simulator and for tests, and named so.
//!
//! It enforces what real flash cannot do otherwise: a unit is written once between two erasures, erasing takes whole
//! pages, everything is aligned. Power can be cut in the middle of any write or erasure.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec,
    vec::Vec,
};

/// Bytes written at a time.
const UNIT: usize = 4;
/// Bytes erased at a time.
const PAGE: usize = 4096;

/// An emulated flash chip with pages of 4 KiB that is written four bytes at a time, as an nRF52840's is. A clone is the
/// same chip: who keeps one can cut its power and boot a node from it again.
#[derive(Debug, Clone)]
pub struct EmulatedFlash(Arc<Mutex<Chip>>);

#[derive(Debug)]
struct Chip {
    bytes: Vec<u8>,
    written: Vec<bool>,
    file: Option<File>,
    cut: Option<Cut>,
    operations: u64,
    /// Of each page.
    erasures: Vec<u64>,
    powered: bool,
}

/// When power goes, and how what was under way looks afterwards.
#[derive(Debug, Clone, Copy)]
struct Cut {
    after: u64,
    seed: u64,
}

impl EmulatedFlash {
    /// Blank flash that is gone with the process.
    pub fn in_memory(pages: usize) -> Self {
        Self::of(vec![0xff; pages * PAGE], None)
    }

    /// Flash whose content is a host file, made blank if it does not exist.
    pub fn in_file(path: &Path, pages: usize) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        bytes.resize(pages * PAGE, 0xff);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        Ok(Self::of(bytes, Some(file)))
    }

    /// Cuts power in the middle of the write or erasure that comes after `operations` more of them, or just before it;
    /// `seed` decides how it looks then. From there on nothing works until [`EmulatedFlash::power_on`].
    pub fn cut_power_after(&self, operations: u64, seed: u64) {
        let mut chip = self.chip();
        chip.cut = Some(Cut { after: chip.operations.saturating_add(operations), seed });
    }

    /// Power is back.
    pub fn power_on(&self) {
        let mut chip = self.chip();
        (chip.cut, chip.powered) = (None, true);
    }

    /// Whether power is there.
    pub fn is_powered(&self) -> bool {
        self.chip().powered
    }

    /// Writes and erasures so far.
    pub fn operations(&self) -> u64 {
        self.chip().operations
    }

    /// How often each page was erased, cut erasures too.
    pub fn erasures(&self) -> Vec<u64> {
        self.chip().erasures.clone()
    }

    /// Another chip with the same content.
    pub fn copy(&self) -> Self {
        Self::of(self.chip().bytes.clone(), None)
    }

    /// Changes the content as no program can: for tests of damage.
    pub fn damage(&self, damage: impl FnOnce(&mut [u8])) {
        damage(&mut self.chip().bytes);
    }

    fn of(bytes: Vec<u8>, file: Option<File>) -> Self {
        let written = bytes.chunks(UNIT).map(|unit| unit.iter().any(|byte| *byte != 0xff)).collect();
        let erasures = vec![0; bytes.len() / PAGE];
        Self(Arc::new(Mutex::new(Chip { bytes, written, file, cut: None, operations: 0, erasures, powered: true })))
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ErrorType for EmulatedFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for EmulatedFlash {
    const READ_SIZE: usize = UNIT;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let chip = self.chip();
        if !chip.powered {
            return Err(NorFlashErrorKind::Other);
        }
        bytes.copy_from_slice(&chip.bytes[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip().bytes.len()
    }
}

impl NorFlash for EmulatedFlash {
    const WRITE_SIZE: usize = UNIT;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.chip().erase(from as usize, to as usize)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.chip().write(offset as usize, bytes)
    }
}

impl Chip {
    fn erase(&mut self, from: usize, to: usize) -> Result<(), NorFlashErrorKind> {
        let cut = self.begin()?;
        self.erasures[from / PAGE..to / PAGE].iter_mut().for_each(|erasures| *erasures += 1);
        match cut {
            None => {
                self.bytes[from..to].fill(0xff);
                self.written[from / UNIT..to / UNIT].fill(false);
            }
            Some(seed) => {
                // Cells reach "erased" one by one.
                let mut noise = Noise(seed);
                if before_it(&mut noise) {
                    return Err(NorFlashErrorKind::Other);
                }
                let share = noise.next() % 9;
                for byte in &mut self.bytes[from..to] {
                    match noise.next() % 8 {
                        chance if chance < share => *byte = 0xff,
                        _ => *byte |= (noise.next() % (1 + share * 32)) as u8,
                    }
                }
                self.written[from / UNIT..to / UNIT].fill(true);
            }
        }
        self.end(from, to, cut)
    }

    fn write(&mut self, from: usize, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let units = from / UNIT..(from + bytes.len()) / UNIT;
        if self.written[units.clone()].contains(&true) {
            return Err(NorFlashErrorKind::Other);
        }
        let cut = self.begin()?;
        let mut noise = Noise(cut.unwrap_or_default());
        if cut.is_some() && before_it(&mut noise) {
            return Err(NorFlashErrorKind::Other);
        }
        let whole = if cut.is_some() { noise.next() as usize % units.len() } else { units.len() };
        let done = from + whole * UNIT;
        self.bytes[from..done].copy_from_slice(&bytes[..whole * UNIT]);
        self.written[units.start..units.start + whole].fill(true);
        if cut.is_some() {
            // The unit under way is anything between blank and done.
            for (byte, wanted) in self.bytes[done..done + UNIT].iter_mut().zip(&bytes[whole * UNIT..]) {
                *byte = wanted | noise.next() as u8;
            }
            self.written[units.start + whole] = self.bytes[done..done + UNIT].iter().any(|byte| *byte != 0xff);
        }
        self.end(from, from + bytes.len(), cut)
    }

    /// Counts an operation; the seed if it is the one power is cut in.
    fn begin(&mut self) -> Result<Option<u64>, NorFlashErrorKind> {
        if !self.powered {
            return Err(NorFlashErrorKind::Other);
        }
        self.operations += 1;
        let cut = self.cut.filter(|cut| self.operations > cut.after);
        self.powered = cut.is_none();
        Ok(cut.map(|cut| cut.seed))
    }

    fn end(&mut self, from: usize, to: usize, cut: Option<u64>) -> Result<(), NorFlashErrorKind> {
        if let Some(file) = &mut self.file {
            let written = file.seek(SeekFrom::Start(from as u64)).and_then(|_| file.write_all(&self.bytes[from..to]));
            written.map_err(|_| NorFlashErrorKind::Other)?;
        }
        if cut.is_some() { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }
}

/// Whether power went before anything of the operation was done.
fn before_it(noise: &mut Noise) -> bool {
    noise.next().is_multiple_of(3)
}

/// SplitMix64: reproducible noise.
#[derive(Debug, Clone, Copy)]
pub struct Noise(pub u64);

impl Noise {
    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and an Option would be noise of another kind")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_real_flash_refuses_is_refused() {
        let mut flash = EmulatedFlash::in_memory(3);
        assert_eq!(flash.write(2, &[0; 4]), Err(NorFlashErrorKind::NotAligned));
        assert_eq!(flash.write(0, &[0; 3]), Err(NorFlashErrorKind::NotAligned));
        assert_eq!(flash.write(3 * 4096, &[0; 4]), Err(NorFlashErrorKind::OutOfBounds));
        assert_eq!(flash.erase(0, 100), Err(NorFlashErrorKind::NotAligned));
        assert_eq!(flash.write(8, &[0xf0; 4]), Ok(()));
        assert_eq!(flash.write(8, &[0x00; 4]), Err(NorFlashErrorKind::Other), "a second write without erasing");
        assert_eq!(flash.erase(0, 4096), Ok(()));
        assert_eq!(flash.write(8, &[0x00; 4]), Ok(()));
    }

    #[test]
    fn a_cut_leaves_the_bytes_before_it_whole_and_those_behind_it_untouched() {
        for seed in 0..50 {
            let mut flash = EmulatedFlash::in_memory(3);
            flash.cut_power_after(1, seed);
            assert_eq!(flash.write(0, &[0x11; 8]), Ok(()));
            assert_eq!(flash.write(8, &[0x22; 16]), Err(NorFlashErrorKind::Other));
            let mut bytes = [0; 28];
            assert_eq!(flash.read(0, &mut bytes), Err(NorFlashErrorKind::Other), "there is no power");
            flash.power_on();
            flash.read(0, &mut bytes).unwrap();
            let whole = 8 + bytes[8..24].iter().take_while(|byte| **byte == 0x22).count() / 4 * 4;
            assert_eq!(bytes[..8], [0x11; 8]);
            assert!(bytes[(whole + 4).min(24)..].iter().all(|byte| *byte == 0xff), "seed {seed}: {bytes:x?}");
        }
    }
}
