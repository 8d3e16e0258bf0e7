//! The chip.

mod flash;
#[path = "../slots.rs"]
mod slots;
#[path = "../watchdog.rs"]
mod watchdog;

pub use self::flash::{Flash, Images, flash};

use crate::{Wiring, clocks};
use embassy_stm32::{
    Peri, adc,
    adc::Adc,
    bind_interrupts,
    gpio::{Input, Pull},
    pac,
    peripherals::{ADC1, PA0, RNG},
    rng::{self, Rng},
    uid,
};
use quaywatch_board::{
    lamp::{Lamp, Says},
    watch::{Task, WATCHDOG_US, Watch},
};
use quaywatch_node::{
    Channel, Millis, Sensed,
    sensing::plan::Due,
    shell::{Board, Wants},
};

/// What TIM2's clock is divided by, less one, for microseconds.
pub const MICROSECOND_PRESCALER: u16 = (clocks::SLOW_TIMER_HZ / 1_000_000 - 1) as u16;

/// What the chip calls itself.
pub const CHIP: [u8; 12] = *b"stm32f405\0\0\0";

/// Before anything else.
pub fn begin() {}

/// Once there are clocks.
pub fn measure() {}

/// The core is about to sleep.
pub fn sleeps() {}

/// The core woke up.
pub fn woke() {}

/// Once in two seconds.
pub fn report() {}

/// Draws randomness for a store that is new.
pub fn entropy(generator: Peri<'static, RNG>) -> u64 {
    bind_interrupts!(struct Interrupts { RNG => rng::InterruptHandler<RNG>; });
    quaywatch_board::entropy(Rng::new(generator, Interrupts).next_u64(), &uid::uid())
}

/// The independent watchdog.
pub struct Watchdog(());

impl Watchdog {
    /// Lets it run.
    pub fn arm() -> Self {
        const { assert!(watchdog::WAITS_US == WATCHDOG_US, "what the node's windows are made for") };
        watchdog::arm();
        Self(())
    }

    /// Everything is well.
    pub fn feed(&mut self) {
        watchdog::feed();
    }
}

/// The pins.
pub struct Inputs {
    watch: &'static Watch,
    lamp: &'static Lamp,
    detector: Input<'static>,
    guards: [(Channel, Input<'static>); 2],
    contacts: [(Channel, Input<'static>); 4],
    button: Input<'static>,
    converter: Adc<'static, ADC1>,
    supply: Peri<'static, PA0>,
}

/// Full scale of 12 bits is 3.3 V, behind 100 kOhm over 10 kOhm.
const VOLTS_PER_COUNT: f32 = 3.3 / 4095.0 * 11.0;

impl Inputs {
    /// Takes the pins, and begins to watch the supply.
    pub fn new(wiring: Wiring, watch: &'static Watch, lamp: &'static Lamp) -> Self {
        let guards = [
            (Channel::Door, Input::new(wiring.door, Pull::Up)),
            (Channel::Tamper, Input::new(wiring.tamper, Pull::Up)),
        ];
        let contacts = [
            (Channel::Contact1, Input::new(wiring.contacts.0, Pull::Up)),
            (Channel::Contact2, Input::new(wiring.contacts.1, Pull::Up)),
            (Channel::Contact3, Input::new(wiring.contacts.2, Pull::Up)),
            (Channel::Contact4, Input::new(wiring.contacts.3, Pull::Up)),
        ];
        // 2.9 V, the highest there is: it leaves the most time for last words.
        pac::PWR.cr1().modify(|w| {
            w.set_pls(0b111);
            w.set_pvde(true);
        });
        Self {
            watch,
            lamp,
            detector: Input::new(wiring.detector, Pull::Down),
            guards,
            contacts,
            button: Input::new(wiring.presence, Pull::Up),
            converter: Adc::new(wiring.converter),
            supply: wiring.supply,
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
        if due.contains(Channel::Supply) {
            let counts = self.converter.blocking_read(&mut self.supply, adc::SampleTime::CYCLES480);
            sense(Channel::Supply, (f32::from(counts) * VOLTS_PER_COUNT).into());
        }
    }

    fn supply_fails(&mut self) -> bool {
        pac::PWR.csr1().read().pvdo()
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

/// The image has a mistake in it: begin anew. The node says why it booted.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
