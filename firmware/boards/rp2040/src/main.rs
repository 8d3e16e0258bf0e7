//! A sensor node on an RP2040, such as a Raspberry Pi Pico.
//!
//! | pin | what |
//! | --- | --- |
//! | GPIO 0, 1, 2 | UART0 transmit, receive, RS-485 driver enable |
//! | GPIO 6 | passive infrared detector: high while something moves (`pir`) |
//! | GPIO 7, 8 | door contact, tamper switch, to ground while shut: a cut wire reads as open (`door`, `tamper`) |
//! | GPIO 9 to 12 | contacts to ground, on while shut (`contact-1` to `contact-4`) |
//! | GPIO 13 | presence: a button to ground |
//! | GPIO 26 | supply through a divider of 100 kOhm over 10 kOhm, up to 36 V (`supply`) |
//! | GPIO 25 | lamp |
//!
//! **This image has never run, neither on a chip nor in an emulator: it is built, and its size is known.**
#![no_std]
#![no_main]

mod flash_map;
mod images;
mod inputs;
mod line;
mod watchdog;

use core::cell::RefCell;
use embassy_executor::Spawner;
use embassy_rp::{
    Peri,
    clocks::RoscRng,
    flash::{Blocking, Flash},
    gpio::{Level, Output},
    pac,
    peripherals::FLASH,
    watchdog::{ResetReason, Watchdog},
};
use embassy_time::Instant;
use images::Images;
use inputs::Inputs;
use line::Line;
use quaywatch_board::{
    HalfDuplex, config,
    lamp::Lamp,
    start,
    watch::{WATCHDOG_US, Watch},
};
use quaywatch_node::{Boot, Firmware, Node, Plate, ResetCause, shell};
use quaywatch_slots::Region;
use static_cell::StaticCell;

type Chip = Flash<'static, FLASH, Blocking, { flash_map::FLASH_BYTES }>;

static WATCH: Watch = Watch::new();
static LAMP: Lamp = Lamp::new();
static SHARED: StaticCell<RefCell<Chip>> = StaticCell::new();
static NODE: StaticCell<Node<Region<'static, Chip>, Images>> = StaticCell::new();

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let chip = embassy_rp::init(Default::default());
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let reset = cause(&watchdog);
    const { assert!(watchdog::WAITS_US == WATCHDOG_US, "what the node's windows are made for") };
    watchdog::arm(&mut watchdog);
    WATCH.begin();
    spawner.spawn(feed(watchdog).expect("spawned once"));
    spawner.spawn(show(Output::new(chip.PIN_25, Level::Low)).expect("spawned once"));
    let mut line = HalfDuplex::new(Line::open(chip.UART0, chip.PIN_0, chip.PIN_1), Output::new(chip.PIN_2, Level::Low));
    let mut inputs = Inputs::new(
        (chip.PIN_6, chip.PIN_7, chip.PIN_8, chip.PIN_9, chip.PIN_10, chip.PIN_11, chip.PIN_12, chip.PIN_13),
        (chip.ADC, chip.PIN_26),
        &WATCH,
        &LAMP,
    );
    sense(&mut line, &mut inputs, chip.FLASH, reset).await;
}

/// The node.
async fn sense(
    line: &mut HalfDuplex<Line, Output<'static>>,
    inputs: &mut Inputs,
    flash: Peri<'static, FLASH>,
    reset: ResetCause,
) {
    let mut flash = Chip::new_blocking(flash);
    let mut unique = [0; 8];
    // Without it entropy is what the oscillator gives.
    let _ = flash.blocking_unique_id(&mut unique);
    let entropy = quaywatch_board::entropy(RoscRng.next_u64(), &unique);
    let flash = SHARED.init_with(|| RefCell::new(flash));
    let kept = Region::of(flash, flash_map::KEPT);
    let boot = Boot { reset, entropy, now: Instant::now().as_millis() };
    let images = images::open(flash, boot.now);
    let node = start(&NODE, plate(), kept, boot, images);
    // A serial port does not break; what it says of noise ends nothing.
    loop {
        let _ = shell::run(node, line, inputs).await;
    }
}

/// What the board is. The number is that of signed images for it.
fn plate() -> Plate {
    Plate { chip: *b"rp2040\0\0\0\0\0\0", runs: Firmware { board: 2, version: config::VERSION } }
}

/// The chip cannot tell a supply that dropped from one that came.
fn cause(watchdog: &Watchdog) -> ResetCause {
    let flags = pac::VREG_AND_CHIP_RESET.chip_reset().read();
    match watchdog.reset_reason() {
        Some(ResetReason::TimedOut) => ResetCause::Watchdog,
        Some(ResetReason::Forced) => ResetCause::Software,
        None if flags.had_por() => ResetCause::PowerOn,
        None if flags.had_run() => ResetCause::Pin,
        None => ResetCause::Unknown,
    }
}

/// The watchdog.
#[embassy_executor::task]
async fn feed(mut watchdog: Watchdog) {
    WATCH.feed(|| watchdog::feed(&mut watchdog)).await
}

/// The lamp.
#[embassy_executor::task]
async fn show(mut pin: Output<'static>) {
    LAMP.show(&mut pin, &WATCH, || {}).await
}

/// The image has a mistake in it: begin anew. The node says why it booted.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    watchdog::restart()
}
