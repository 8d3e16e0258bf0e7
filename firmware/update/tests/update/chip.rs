//! A chip's flash in memory, with the rules of the real thing: a unit is written once between two erasures, erasing takes
//! whole erase units, everything is aligned. Power can be cut in any write or erasure.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use std::{cell::RefCell, rc::Rc};

/// A stretch of the chip that is written `UNIT` and erased `ERASE` bytes at a time. A clone is the same stretch.
#[derive(Clone)]
pub struct Part<const UNIT: usize, const ERASE: usize> {
    chip: Rc<RefCell<Chip>>,
    from: usize,
    bytes: usize,
}

pub struct Chip {
    bytes: Vec<u8>,
    /// Of each byte: whether its unit was touched since it was erased.
    written: Vec<bool>,
    /// After so many operations, and how what is under way then looks afterwards.
    cut: Option<(u64, u64)>,
    operations: u64,
    powered: bool,
}

impl Chip {
    pub fn blank(bytes: usize) -> Rc<RefCell<Self>> {
        let chip =
            Self { bytes: vec![0xff; bytes], written: vec![false; bytes], cut: None, operations: 0, powered: true };
        Rc::new(RefCell::new(chip))
    }

    /// Cuts power in the operation after so many more; `seed` decides how it looks then.
    pub fn cut_after(&mut self, operations: u64, seed: u64) {
        self.cut = Some((self.operations + operations, seed));
    }

    pub fn power_on(&mut self) {
        self.powered = true;
    }

    pub fn is_powered(&self) -> bool {
        self.powered
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Counts an operation; its noise if it is the one that power is cut in.
    fn begin(&mut self) -> Result<Option<Noise>, NorFlashErrorKind> {
        if !self.powered {
            return Err(NorFlashErrorKind::Other);
        }
        self.operations += 1;
        let cut = self.cut.filter(|(after, _)| self.operations > *after);
        if cut.is_some() {
            (self.powered, self.cut) = (false, None);
        }
        Ok(cut.map(|(_, seed)| Noise(seed)))
    }
}

impl<const UNIT: usize, const ERASE: usize> Part<UNIT, ERASE> {
    pub fn of(chip: &Rc<RefCell<Chip>>, from: usize, bytes: usize) -> Self {
        Self { chip: chip.clone(), from, bytes }
    }

    pub fn content(&self) -> Vec<u8> {
        self.chip.borrow().bytes[self.from..self.from + self.bytes].to_vec()
    }

    /// Changes the content as no program can.
    pub fn damage(&self, damage: impl FnOnce(&mut [u8])) {
        damage(&mut self.chip.borrow_mut().bytes[self.from..self.from + self.bytes]);
    }
}

impl<const UNIT: usize, const ERASE: usize> ErrorType for Part<UNIT, ERASE> {
    type Error = NorFlashErrorKind;
}

impl<const UNIT: usize, const ERASE: usize> ReadNorFlash for Part<UNIT, ERASE> {
    const READ_SIZE: usize = UNIT;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let chip = self.chip.borrow();
        let from = self.from + offset as usize;
        bytes.copy_from_slice(&chip.bytes[from..from + bytes.len()]);
        if chip.powered { Ok(()) } else { Err(NorFlashErrorKind::Other) }
    }

    fn capacity(&self) -> usize {
        self.bytes
    }
}

impl<const UNIT: usize, const ERASE: usize> NorFlash for Part<UNIT, ERASE> {
    const WRITE_SIZE: usize = UNIT;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for at in (from..to).step_by(ERASE) {
            let at = self.from + at as usize;
            let mut chip = self.chip.borrow_mut();
            match chip.begin()? {
                None => {
                    chip.bytes[at..at + ERASE].fill(0xff);
                    chip.written[at..at + ERASE].fill(false);
                }
                // Cells reach "erased" one by one; none did if power went before.
                Some(mut noise) => {
                    if noise.next().is_multiple_of(4) {
                        return Err(NorFlashErrorKind::Other);
                    }
                    let share = noise.next() % 9;
                    for byte in &mut chip.bytes[at..at + ERASE] {
                        match noise.next() % 8 {
                            chance if chance < share => *byte = 0xff,
                            _ => *byte |= (noise.next() % (1 + share * 32)) as u8,
                        }
                    }
                    chip.written[at..at + ERASE].fill(true);
                    return Err(NorFlashErrorKind::Other);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut chip = self.chip.borrow_mut();
        let from = self.from + offset as usize;
        assert!(!chip.written[from..from + bytes.len()].contains(&true), "a second write at {from:#x} without erasing");
        let cut = chip.begin()?;
        let whole = match cut {
            Some(mut noise) => noise.next() as usize % (bytes.len() / UNIT + 1) * UNIT,
            None => bytes.len(),
        };
        chip.bytes[from..from + whole].copy_from_slice(&bytes[..whole]);
        chip.written[from..from + whole].fill(true);
        let Some(mut noise) = cut else { return Ok(()) };
        if whole < bytes.len() && !noise.next().is_multiple_of(4) {
            // The unit under way is anything between blank and done.
            for (byte, wanted) in chip.bytes[from + whole..].iter_mut().zip(&bytes[whole..whole + UNIT]) {
                *byte = wanted | noise.next() as u8;
            }
            let touched = chip.bytes[from + whole..from + whole + UNIT].iter().any(|byte| *byte != 0xff);
            chip.written[from + whole..from + whole + UNIT].fill(touched);
        }
        Err(NorFlashErrorKind::Other)
    }
}

/// SplitMix64: reproducible noise.
#[derive(Debug, Clone, Copy)]
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
