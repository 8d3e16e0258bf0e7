//! The emulator: QEMU's `netduinoplus2`, for tests and for nothing else.
//!
//! - Flash is a host file by semihosting ([`flash`]), with the chip's rules enforced; killing QEMU is a power cut.
//! - Inputs are a host file too ([`inputs`]).
//! - The watchdog is not armed: QEMU has none.
//! - Registers that QEMU does not have are played from memory ([`registers`]); finding them there, the image stops.
//! - There is no bootloader.
//!
//! The files are in the folder that QEMU was started in.

mod flash;
mod inputs;
mod meter;
mod registers;
mod semihosting;

pub use self::{
    flash::{Flash, Images, flash},
    inputs::Inputs,
    meter::{measure, report, sleeps, woke},
};

use embassy_stm32::{Peri, peripherals::RNG};
use semihosting::HostFile;

/// QEMU's timers count from 1 GHz, whatever the clock tree says.
pub const MICROSECOND_PRESCALER: u16 = 999;

/// What the chip calls itself.
pub const CHIP: [u8; 12] = *b"EMULATED 405";

/// Before anything else.
pub fn begin() {
    // What the build check looks for: an image with these words in it is for the emulator.
    semihosting::say("QUAYWATCH EMULATED IMAGE: flash and inputs are host files, the watchdog is not armed\n");
    if !registers::play() {
        semihosting::fail("this is an emulated image, and this is a chip\n");
    }
}

/// Draws randomness for a store that is new.
pub fn entropy(_: Peri<'static, RNG>) -> u64 {
    let mut random = [0; 8];
    if !HostFile::open_to_read(c"/dev/urandom").is_some_and(|mut file| file.read(0, &mut random)) {
        semihosting::fail("the host gives no random numbers\n");
    }
    u64::from_le_bytes(random)
}

/// No watchdog.
pub struct Watchdog(());

impl Watchdog {
    /// Does nothing.
    pub fn arm() -> Self {
        Self(())
    }

    /// Does nothing.
    pub fn feed(&mut self) {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    semihosting::say("panicked at ");
    if let Some(place) = info.location() {
        let mut line = [0; 10];
        semihosting::say(place.file());
        semihosting::say(":");
        semihosting::say(meter::decimal(u64::from(place.line()), &mut line));
    }
    semihosting::fail("\n")
}
