//! What an nRF52840 starts with: swaps images as was marked, goes back if the new one did not prove itself, goes on where a
//! power cut stopped it, and starts what is in the active slot. All of it is [`quaywatch_slots::prepare`].
//!
//! **It has never run, neither on a chip nor in an emulator.** It verifies no signature: the running image did that before it
//! marked another.
#![no_std]
#![no_main]

#[path = "../../src/flash_map.rs"]
mod flash_map;
#[path = "../../src/watchdog.rs"]
mod watchdog;

use embassy_nrf::nvmc::Nvmc;
use quaywatch_slots::Memory;

/// 256 KiB of RAM.
const MEMORY: Memory = Memory { flash: 0, ram_bytes: 256 * 1024 };

#[cortex_m_rt::entry]
fn main() -> ! {
    let chip = embassy_nrf::init(Default::default());
    // It may run already, and swapping takes longer than it waits: 26 s by the data sheet.
    let mut watchdog = watchdog::arm(chip.WDT);
    let feed = || {
        if let Some(watchdog) = &mut watchdog {
            watchdog.pet();
        }
    };
    match quaywatch_slots::prepare(Nvmc::new(chip.NVMC), &flash_map::SLOTS, MEMORY, feed) {
        Some(image) => image.start(),
        None => cortex_m::peripheral::SCB::sys_reset(),
    }
}

/// The next start may go better.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
