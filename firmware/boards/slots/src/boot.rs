//! What a bootloader does. Swapping and going back is [`quaywatch_update::prepare`], which is tested on the host; here are
//! what feeds the watchdog meanwhile, and the jump.

use crate::{Region, Slots};
use core::cell::RefCell;
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// Where the core sees what.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Where flash begins.
    pub flash: u32,
    /// How many bytes of RAM there are, from 0x2000_0000 on.
    pub ram_bytes: u32,
}

/// A whole image in the active slot.
pub struct Image {
    table: *const u32,
}

/// Swaps, goes back, or does nothing, as was marked; goes on where a power cut stopped it. Calls `feed` before each erase
/// unit and each piece that is written, so that a watchdog can run: swapping takes longer than one waits.
///
/// `None` if flash does not do what it is told, or holds nothing to start. What was done stays done: the next reset may go
/// better.
pub fn prepare<F: NorFlash>(flash: F, slots: &Slots, memory: Memory, feed: impl FnMut()) -> Option<Image> {
    let flash = RefCell::new(Fed { flash, feed });
    let [active, next, state] = [slots.active, slots.next, slots.state].map(|stretch| Region::of(&flash, stretch));
    quaywatch_update::prepare(active, next, state).ok()?;
    Image::at(memory.flash + slots.active.from, memory)
}

impl Image {
    /// Blank flash has no stack in RAM.
    #[expect(unsafe_code, reason = "an image is at an address")]
    fn at(address: u32, memory: Memory) -> Option<Self> {
        const RAM: u32 = 0x2000_0000;
        let table = address as *const u32;
        // SAFETY: the beginning of an erase unit of the chip's own flash: there, aligned, and only read.
        let stack = unsafe { table.read_volatile() };
        (RAM..=RAM + memory.ram_bytes).contains(&stack).then_some(Self { table })
    }

    /// Hands the chip over. No interrupt may be enabled in its controller: the image has other handlers.
    #[expect(unsafe_code, reason = "it hands the chip to another program")]
    pub fn start(self) -> ! {
        // SAFETY: the active slot holds a whole image, with its vector table first.
        unsafe {
            (*cortex_m::peripheral::SCB::PTR).vtor.write(self.table as u32);
            cortex_m::asm::bootload(self.table)
        }
    }
}

/// Flash that feeds a watchdog before everything that takes its time. What hangs is not fed.
struct Fed<F, W> {
    flash: F,
    feed: W,
}

impl<F: ErrorType, W> ErrorType for Fed<F, W> {
    type Error = F::Error;
}

impl<F: ReadNorFlash, W> ReadNorFlash for Fed<F, W> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash, W: FnMut()> NorFlash for Fed<F, W> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        (self.feed)();
        self.flash.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        (self.feed)();
        self.flash.write(offset, bytes)
    }
}
