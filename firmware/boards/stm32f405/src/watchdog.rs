//! The independent watchdog: it has an oscillator of its own and cannot be stopped once it runs. The bootloader lets it run,
//! so that an image that does nothing is taken back; what it starts lets it run for whoever came without a bootloader.

use embassy_stm32::pac::{
    IWDG,
    iwdg::vals::{Key, Pr},
};

/// What it waits for at least, in microseconds, if its oscillator has the 32 kHz of its name; 17 to 47 kHz by the data sheet.
pub const WAITS_US: u32 = 8_000_000;

/// Lets it run.
pub fn arm() {
    // 32 kHz, nominally, by 256.
    let reload = WAITS_US / 8_000;
    IWDG.kr().write(|w| w.set_key(Key::START));
    IWDG.kr().write(|w| w.set_key(Key::ENABLE));
    IWDG.pr().write(|w| w.set_pr(Pr::DIVIDE_BY256));
    IWDG.rlr().write(|w| w.set_rl(reload as u16));
}

/// Everything is well.
#[allow(dead_code, reason = "the bootloader does not feed it")]
pub fn feed() {
    IWDG.kr().write(|w| w.set_key(Key::RESET));
}
