//! The clock tree: 168 MHz from a crystal of 8 MHz. The chip's own oscillator is too far off for a serial line in the cold
//! (data sheet: up to 8 % at -40 °C).

use embassy_stm32::{
    Config, Peripherals,
    rcc::{AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllQDiv, PllSource, Sysclk},
    time::Hertz,
};

/// What the core and its SysTick run at.
pub const CORE_HZ: u32 = 168_000_000;
/// What timers on the slow bus run at: twice the bus.
#[cfg(feature = "silicon")]
pub const SLOW_TIMER_HZ: u32 = 84_000_000;

/// Starts the clocks. A crystal that does not start is the watchdog's business: it runs from an oscillator of its own.
pub fn start() -> Peripherals {
    let mut config = Config::default();
    config.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Oscillator });
    config.rcc.pll_src = PllSource::HSE;
    // 8 MHz / 4 * 168 = 336 MHz: / 2 for the core, / 7 = 48 MHz for the random number generator.
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL168,
        divp: Some(PllPDiv::DIV2),
        divq: Some(PllQDiv::DIV7),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.sys = Sysclk::PLL1_P;
    embassy_stm32::init(config)
}
