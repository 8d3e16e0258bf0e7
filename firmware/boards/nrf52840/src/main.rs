//! A sensor node on an nRF52840.
//!
//! | pin | what |
//! | --- | --- |
//! | P0.06, P0.08, P0.07 | UARTE0 transmit, receive, RS-485 driver enable |
//! | P0.11 | passive infrared detector: high while something moves (`pir`) |
//! | P0.12, P0.13 | door contact, tamper switch, to ground while shut: a cut wire reads as open (`door`, `tamper`) |
//! | P0.14 to P0.17 | contacts to ground, on while shut (`contact-1` to `contact-4`) |
//! | P0.20 | presence: a button to ground |
//! | P0.02 | supply through a divider of 100 kOhm over 10 kOhm, up to 36 V (`supply`) |
//! | P1.09 | lamp |
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
use embassy_nrf::{
    Peri,
    gpio::{Level, Output, OutputDrive},
    nvmc::Nvmc,
    pac,
    peripherals::{NVMC, RNG},
    rng::Rng,
    wdt::WatchdogHandle,
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

type Chip = Nvmc<'static>;

static WATCH: Watch = Watch::new();
static LAMP: Lamp = Lamp::new();
static SHARED: StaticCell<RefCell<Chip>> = StaticCell::new();
static NODE: StaticCell<Node<Region<'static, Chip>, Images>> = StaticCell::new();

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let reset = cause();
    let chip = embassy_nrf::init(Default::default());
    const { assert!(watchdog::WAITS_US == WATCHDOG_US, "what the node's windows are made for") };
    if let Some(watchdog) = watchdog::arm(chip.WDT) {
        spawner.spawn(feed(watchdog).expect("spawned once"));
    }
    WATCH.begin();
    spawner.spawn(show(Output::new(chip.P1_09, Level::Low, OutputDrive::Standard)).expect("spawned once"));
    spawner.spawn(inputs::measure(chip.SAADC, chip.P0_02).expect("spawned once"));
    let port =
        Line::open(chip.UARTE0, (chip.P0_06, chip.P0_08), (chip.TIMER1, chip.PPI_CH0, chip.PPI_CH1, chip.PPI_GROUP0));
    let mut line = HalfDuplex::new(port, Output::new(chip.P0_07, Level::Low, OutputDrive::Standard));
    let mut inputs = Inputs::new(
        (chip.P0_11, chip.P0_12, chip.P0_13, chip.P0_14, chip.P0_15, chip.P0_16, chip.P0_17, chip.P0_20),
        &WATCH,
        &LAMP,
    );
    sense(&mut line, &mut inputs, chip.NVMC, chip.RNG, reset).await;
}

/// The node.
async fn sense(
    line: &mut HalfDuplex<Line, Output<'static>>,
    inputs: &mut Inputs,
    flash: Peri<'static, NVMC>,
    generator: Peri<'static, RNG>,
    reset: ResetCause,
) {
    let unique = [0, 1].map(|half| pac::FICR.deviceid(half).read());
    let random = Rng::new_blocking(generator).blocking_next_u64();
    let entropy = unique.iter().fold(random, |all, half| quaywatch_board::entropy(all, &half.to_le_bytes()));
    let flash = SHARED.init_with(|| RefCell::new(Nvmc::new(flash)));
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
    Plate { chip: *b"nrf52840\0\0\0\0", runs: Firmware { board: 3, version: config::VERSION } }
}

/// Reads the chip's flags and clears them for the next time. None is set after power came, or came back after a drop.
fn cause() -> ResetCause {
    let flags = pac::POWER.resetreas().read();
    // Written ones clear.
    pac::POWER.resetreas().write_value(flags);
    if flags.dog() {
        ResetCause::Watchdog
    } else if flags.sreq() {
        ResetCause::Software
    } else if flags.resetpin() {
        ResetCause::Pin
    } else if flags.0 == 0 {
        ResetCause::PowerOn
    } else {
        ResetCause::Unknown
    }
}

/// The watchdog.
#[embassy_executor::task]
async fn feed(mut watchdog: WatchdogHandle) {
    WATCH.feed(|| watchdog.pet()).await
}

/// The lamp.
#[embassy_executor::task]
async fn show(mut pin: Output<'static>) {
    LAMP.show(&mut pin, &WATCH, || {}).await
}

/// The image has a mistake in it: begin anew. The node says why it booted.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
