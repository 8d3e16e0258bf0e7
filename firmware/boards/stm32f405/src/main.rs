//! A sensor node on an STM32F405RG: pins, clocks and peripherals of one board, and nothing that a node decides.
//!
//! | pin | what |
//! | --- | --- |
//! | PA9, PA10, PA8 | USART1 transmit, receive, RS-485 driver enable |
//! | PC0 | passive infrared detector: high while something moves (`pir`) |
//! | PC1, PC2 | door contact, tamper switch, to ground while shut: a cut wire reads as open (`door`, `tamper`) |
//! | PC3 to PC6 | contacts to ground, on while shut (`contact-1` to `contact-4`) |
//! | PC13 | presence: a button to ground |
//! | PA0 | supply through a divider of 100 kOhm over 10 kOhm, up to 36 V (`supply`) |
//! | PC12 | lamp |
//!
//! **This image has never run on a chip.** What runs is its `emulated` build, in QEMU, in CI.
#![no_std]
#![no_main]

#[cfg(all(feature = "emulated", feature = "silicon"))]
compile_error!("an image is for the chip or for the emulator: `emulated` needs --no-default-features");
#[cfg(not(any(feature = "emulated", feature = "silicon")))]
compile_error!("say what the image is for: `silicon` or `emulated`");

#[cfg(feature = "emulated")]
#[path = "emulated/mod.rs"]
mod machine;
#[cfg(feature = "silicon")]
#[path = "silicon/mod.rs"]
mod machine;

mod clocks;
mod flash_map;
mod idle;
mod reset;
mod serial;
mod time;

use embassy_stm32::{
    Peri,
    gpio::{Level, Output, Speed},
    peripherals::{ADC1, FLASH, PA0, PC0, PC1, PC2, PC3, PC4, PC5, PC6, PC13, RNG},
};
use machine::{Inputs, Watchdog};
use quaywatch_board::{HalfDuplex, config, lamp::Lamp, start, watch::Watch};
use quaywatch_node::{Boot, Firmware, Node, Plate, ResetCause, shell};
use serial::Line;
use static_cell::StaticCell;

static WATCH: Watch = Watch::new();
static LAMP: Lamp = Lamp::new();
static NODE: StaticCell<Node<machine::Flash, machine::Images>> = StaticCell::new();

/// What the board is. The number is that of signed images for it.
const PLATE: Plate = Plate { chip: machine::CHIP, runs: Firmware { board: 1, version: config::VERSION } };

/// What hangs on the board.
#[cfg_attr(feature = "emulated", expect(dead_code, reason = "QEMU has no pins"))]
pub struct Wiring {
    detector: Peri<'static, PC0>,
    door: Peri<'static, PC1>,
    tamper: Peri<'static, PC2>,
    contacts: (Peri<'static, PC3>, Peri<'static, PC4>, Peri<'static, PC5>, Peri<'static, PC6>),
    presence: Peri<'static, PC13>,
    converter: Peri<'static, ADC1>,
    supply: Peri<'static, PA0>,
}

#[cortex_m_rt::entry]
fn main() -> ! {
    machine::begin();
    let reset = reset::cause();
    // Before anything that could wait for ever.
    let watchdog = Watchdog::arm();
    let chip = clocks::start();
    time::start();
    machine::measure();
    WATCH.begin();
    let wiring = Wiring {
        detector: chip.PC0,
        door: chip.PC1,
        tamper: chip.PC2,
        contacts: (chip.PC3, chip.PC4, chip.PC5, chip.PC6),
        presence: chip.PC13,
        converter: chip.ADC1,
        supply: chip.PA0,
    };
    let inputs = Inputs::new(wiring, &WATCH, &LAMP);
    let line =
        HalfDuplex::new(Line::open(chip.USART1, chip.PA9, chip.PA10), Output::new(chip.PA8, Level::Low, Speed::Low));
    let lamp = Output::new(chip.PC12, Level::Low, Speed::Low);
    idle::run(|spawner| {
        spawner.spawn(feed(watchdog).expect("spawned once"));
        spawner.spawn(show(lamp).expect("spawned once"));
        spawner.spawn(sense(line, inputs, chip.FLASH, chip.RNG, reset).expect("spawned once"));
    })
}

/// The node.
#[embassy_executor::task]
async fn sense(
    mut line: HalfDuplex<Line, Output<'static>>,
    mut inputs: Inputs,
    flash: Peri<'static, FLASH>,
    generator: Peri<'static, RNG>,
    reset: ResetCause,
) {
    let entropy = machine::entropy(generator);
    let boot = Boot { reset, entropy, now: embassy_time::Instant::now().as_millis() };
    let (kept, images) = machine::flash(flash, boot.now);
    let node = start(&NODE, PLATE, kept, boot, images);
    // The line has no end.
    loop {
        let Ok(()) = shell::run(node, &mut line, &mut inputs).await;
    }
}

/// The watchdog.
#[embassy_executor::task]
async fn feed(mut watchdog: Watchdog) {
    WATCH.feed(|| watchdog.feed()).await
}

/// The lamp.
#[embassy_executor::task]
async fn show(mut pin: Output<'static>) {
    LAMP.show(&mut pin, &WATCH, machine::report).await
}
