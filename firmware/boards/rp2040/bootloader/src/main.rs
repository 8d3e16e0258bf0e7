//! What an RP2040 starts with, after the second-stage loader that is linked before it: swaps images as was marked, goes back if
//! the new one did not prove itself, goes on where a power cut stopped it, and starts what is in the active slot. All of it is
//! [`quaywatch_slots::prepare`].
//!
//! **It has never run, neither on a chip nor in an emulator.** It verifies no signature: the running image did that before it
//! marked another.
#![no_std]
#![no_main]

#[path = "../../src/flash_map.rs"]
mod flash_map;
#[path = "../../src/watchdog.rs"]
mod watchdog;

use embassy_rp::{
    flash::{Blocking, Flash},
    interrupt::{self, InterruptExt},
    peripherals::FLASH,
    watchdog::Watchdog,
};
use quaywatch_slots::Memory;

/// Flash as it is read, and 264 KiB of RAM.
const MEMORY: Memory = Memory { flash: 0x1000_0000, ram_bytes: 264 * 1024 };

#[cortex_m_rt::entry]
fn main() -> ! {
    let chip = embassy_rp::init(Default::default());
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    // Swapping takes longer than it waits: 14 s by the data sheet, 100 s at most.
    watchdog::arm(&mut watchdog);
    let flash = Flash::<'_, FLASH, Blocking, { flash_map::FLASH_BYTES }>::new_blocking(chip.FLASH);
    match quaywatch_slots::prepare(flash, &flash_map::SLOTS, MEMORY, || watchdog::feed(&mut watchdog)) {
        Some(image) => {
            // embassy-rp enables this one, and the image has other handlers.
            interrupt::IO_IRQ_BANK0.disable();
            image.start()
        }
        None => watchdog::restart(),
    }
}

/// The next start may go better.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    watchdog::restart()
}
