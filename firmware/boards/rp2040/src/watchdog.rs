//! The watchdog: the bootloader lets it run, so that an image that does nothing is taken back; what it starts lets it run for
//! whoever came without a bootloader.

use embassy_rp::{pac, watchdog::Watchdog};
use embassy_time::Duration;

/// What it waits for, in microseconds. It counts to 8.3 s at most.
pub const WAITS_US: u32 = 8_000_000;

/// Lets it run.
pub fn arm(watchdog: &mut Watchdog) {
    watchdog.start(Duration::from_micros(WAITS_US.into()));
}

/// Everything is well.
pub fn feed(watchdog: &mut Watchdog) {
    watchdog.feed(Duration::from_micros(WAITS_US.into()));
}

/// Begins anew, by the watchdog, so that the next boot knows.
pub fn restart() -> ! {
    pac::WATCHDOG.ctrl().write(|w| w.set_trigger(true));
    loop {
        cortex_m::asm::nop();
    }
}
