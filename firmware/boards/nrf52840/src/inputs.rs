//! The pins.

use core::sync::atomic::{AtomicBool, AtomicI16, Ordering};
use embassy_nrf::{
    Peri, bind_interrupts,
    gpio::{Input, Pull},
    pac,
    peripherals::{P0_02, P0_11, P0_12, P0_13, P0_14, P0_15, P0_16, P0_17, P0_20, SAADC},
    saadc::{ChannelConfig, Config, InterruptHandler, Saadc},
};
use embassy_time::Timer;
use quaywatch_board::{
    lamp::{Lamp, Says},
    watch::{Task, Watch},
};
use quaywatch_node::{
    Channel, Millis, Sensed,
    sensing::plan::Due,
    shell::{Board, Wants},
};

/// Detector, door, tamper, four contacts, presence.
type Pins = (
    Peri<'static, P0_11>,
    Peri<'static, P0_12>,
    Peri<'static, P0_13>,
    Peri<'static, P0_14>,
    Peri<'static, P0_15>,
    Peri<'static, P0_16>,
    Peri<'static, P0_17>,
    Peri<'static, P0_20>,
);

/// Full scale of 12 bits is six times 0.6 V, behind 100 kOhm over 10 kOhm.
const VOLTS_PER_COUNT: f32 = 3.6 / 4096.0 * 11.0;

static SUPPLY_COUNTS: AtomicI16 = AtomicI16::new(0);
/// Set with every new value: a converter that stopped must not be believed for ever.
static SUPPLY_IS_NEW: AtomicBool = AtomicBool::new(false);

/// Measures the supply once a second.
#[embassy_executor::task]
pub async fn measure(converter: Peri<'static, SAADC>, pin: Peri<'static, P0_02>) {
    bind_interrupts!(struct Interrupts { SAADC => InterruptHandler; });
    let mut converter = Saadc::new(converter, Interrupts, Config::default(), [ChannelConfig::single_ended(pin)]);
    let mut counts = [0; 1];
    loop {
        converter.sample(&mut counts).await;
        SUPPLY_COUNTS.store(counts[0], Ordering::Relaxed);
        SUPPLY_IS_NEW.store(true, Ordering::Release);
        Timer::after_secs(1).await;
    }
}

/// What the board's pins see.
pub struct Inputs {
    watch: &'static Watch,
    lamp: &'static Lamp,
    detector: Input<'static>,
    guards: [(Channel, Input<'static>); 2],
    contacts: [(Channel, Input<'static>); 4],
    button: Input<'static>,
}

impl Inputs {
    /// Takes the pins, and begins to watch the chip's supply: at 2.8 V, the highest there is.
    pub fn new(pins: Pins, watch: &'static Watch, lamp: &'static Lamp) -> Self {
        pac::POWER.pofcon().write(|w| {
            w.set_threshold(pac::power::vals::Threshold::V28);
            w.set_pof(true);
        });
        Self {
            watch,
            lamp,
            detector: Input::new(pins.0, Pull::Down),
            guards: [(Channel::Door, Input::new(pins.1, Pull::Up)), (Channel::Tamper, Input::new(pins.2, Pull::Up))],
            contacts: [
                (Channel::Contact1, Input::new(pins.3, Pull::Up)),
                (Channel::Contact2, Input::new(pins.4, Pull::Up)),
                (Channel::Contact3, Input::new(pins.5, Pull::Up)),
                (Channel::Contact4, Input::new(pins.6, Pull::Up)),
            ],
            button: Input::new(pins.7, Pull::Up),
        }
    }
}

impl Board for Inputs {
    fn sample(&mut self, due: Due, _: Millis, sense: &mut dyn FnMut(Channel, Sensed)) {
        if due.contains(Channel::Pir) {
            sense(Channel::Pir, self.detector.is_high().into());
        }
        // A door's or a lid's contact is shut while it is.
        for (channel, pin) in self.guards.iter().filter(|(channel, _)| due.contains(*channel)) {
            sense(*channel, pin.is_high().into());
        }
        for (channel, pin) in self.contacts.iter().filter(|(channel, _)| due.contains(*channel)) {
            sense(*channel, pin.is_low().into());
        }
        if SUPPLY_IS_NEW.swap(false, Ordering::Acquire) {
            let counts = SUPPLY_COUNTS.load(Ordering::Relaxed);
            sense(Channel::Supply, (f32::from(counts) * VOLTS_PER_COUNT).into());
        }
    }

    /// The warning is an event that stays until it is cleared; it comes again at the next drop.
    fn supply_fails(&mut self) -> bool {
        let warned = pac::POWER.events_pofwarn().read() != 0;
        pac::POWER.events_pofwarn().write_value(0);
        warned
    }

    fn is_presence_held(&mut self) -> bool {
        self.button.is_low()
    }

    fn went_round(&mut self, _: Millis, wants: Wants) {
        self.watch.report(Task::Node);
        self.lamp.say(Says::of(&wants));
        if wants.restart {
            cortex_m::peripheral::SCB::sys_reset();
        }
    }
}
