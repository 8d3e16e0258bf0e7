//! The watchdog. A reset by software does not stop it, and nothing sets one that runs: the bootloader and the image that it
//! starts both let it run, with the same settings.

use embassy_nrf::{
    Peri,
    peripherals::WDT,
    wdt::{Config, SleepConfig, Watchdog, WatchdogHandle},
};

/// What it waits for, in microseconds.
pub const WAITS_US: u32 = 8_000_000;

/// Lets it run. `None` if it does already and was set otherwise, by whoever was here before: it cannot be fed, and bites.
pub fn arm(watchdog: Peri<'static, WDT>) -> Option<WatchdogHandle> {
    let mut config = Config::default();
    // It counts the low-frequency clock, also while the core sleeps.
    config.timeout_ticks = (WAITS_US as u64 * 32_768 / 1_000_000) as u32;
    config.action_during_sleep = SleepConfig::Run;
    let (_, [handle]) = Watchdog::try_new::<_, 1>(watchdog, config).ok()?;
    Some(handle)
}
