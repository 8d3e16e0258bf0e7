//! What an STM32F405RG starts with: swaps images as was marked, goes back if the new one did not prove itself, goes on where a
//! power cut stopped it, and starts what is in the active slot. All of it is [`quaywatch_update::prepare`], which is tested on
//! the host; here are flash, watchdog and the jump.
//!
//! **It has never run on a chip, and the emulated board has no bootloader.** It verifies no signature: the running image did
//! that before it marked another.
#![no_std]
#![no_main]

#[path = "../../src/slots.rs"]
mod slots;
#[path = "../../src/watchdog.rs"]
mod watchdog;

use slots::{ACTIVE, NEXT, STATE, Slot};

#[cortex_m_rt::entry]
fn main() -> ! {
    // It runs from the chip's own oscillator: nothing here is in a hurry.
    let chip = embassy_stm32::init(Default::default());
    let flash = slots::share(chip.FLASH);
    let prepared = quaywatch_update::prepare(Slot::of(&flash, ACTIVE), Slot::of(&flash, NEXT), Slot::of(&flash, STATE));
    match prepared {
        Ok(_) if holds_image() => {
            // Not before: swapping erases six sectors, which takes longer than it waits.
            watchdog::arm();
            start()
        }
        // Flash may do next time what it did not do now, and whatever was done stays done.
        _ => cortex_m::peripheral::SCB::sys_reset(),
    }
}

/// Where the vector table of the active slot is.
const TABLE: *const u32 = (slots::FLASH_BASE + ACTIVE.from) as *const u32;

/// Whether there is something to start: blank flash has no stack in RAM.
#[expect(unsafe_code, reason = "an image is at an address")]
fn holds_image() -> bool {
    // SAFETY: within the chip's flash, aligned, and only read.
    let stack = unsafe { TABLE.read_volatile() };
    (0x2000_0000..=0x2001_c000).contains(&stack)
}

#[expect(unsafe_code, reason = "it hands the chip to another program")]
fn start() -> ! {
    // SAFETY: the active slot holds a whole image, with its vector table first; no interrupt was enabled here.
    unsafe {
        (*cortex_m::peripheral::SCB::PTR).vtor.write(TABLE as u32);
        cortex_m::asm::bootload(TABLE)
    }
}

/// The next start may go better.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
