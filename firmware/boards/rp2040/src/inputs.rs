//! The pins.

use crate::watchdog;
use embassy_rp::{
    Peri,
    adc::{self, Adc, Blocking},
    gpio::{Input, Pull},
    peripherals::{ADC, PIN_6, PIN_7, PIN_8, PIN_9, PIN_10, PIN_11, PIN_12, PIN_13, PIN_26},
};
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
    Peri<'static, PIN_6>,
    Peri<'static, PIN_7>,
    Peri<'static, PIN_8>,
    Peri<'static, PIN_9>,
    Peri<'static, PIN_10>,
    Peri<'static, PIN_11>,
    Peri<'static, PIN_12>,
    Peri<'static, PIN_13>,
);

/// Full scale of 12 bits is 3.3 V, behind 100 kOhm over 10 kOhm.
const VOLTS_PER_COUNT: f32 = 3.3 / 4095.0 * 11.0;
/// The chip does not warn of a supply that drops; below this a regulator to 5 V goes on for as long as its capacitor lasts.
const FAILING_VOLTS: f32 = 7.0;

/// What the board's pins see.
pub struct Inputs {
    watch: &'static Watch,
    lamp: &'static Lamp,
    detector: Input<'static>,
    guards: [(Channel, Input<'static>); 2],
    contacts: [(Channel, Input<'static>); 4],
    button: Input<'static>,
    converter: Adc<'static, Blocking>,
    supply: adc::Channel<'static>,
    /// A board on a bench, fed by USB, has nothing that could fail.
    had_supply: bool,
}

impl Inputs {
    /// Takes the pins.
    pub fn new(
        pins: Pins,
        supply: (Peri<'static, ADC>, Peri<'static, PIN_26>),
        watch: &'static Watch,
        lamp: &'static Lamp,
    ) -> Self {
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
            converter: Adc::new_blocking(supply.0, adc::Config::default()),
            supply: adc::Channel::new_pin(supply.1, Pull::None),
            had_supply: false,
        }
    }

    fn supply_volts(&mut self) -> Option<f32> {
        let counts = self.converter.blocking_read(&mut self.supply).ok()?;
        Some(f32::from(counts) * VOLTS_PER_COUNT)
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
            // A converter that fails says so.
            sense(Channel::Supply, self.supply_volts().unwrap_or(f32::NAN).into());
        }
    }

    fn supply_fails(&mut self) -> bool {
        let is_low = self.supply_volts().is_some_and(|volts| volts < FAILING_VOLTS);
        self.had_supply |= !is_low;
        is_low && self.had_supply
    }

    fn is_presence_held(&mut self) -> bool {
        self.button.is_low()
    }

    fn went_round(&mut self, _: Millis, wants: Wants) {
        self.watch.report(Task::Node);
        self.lamp.say(Says::of(&wants));
        if wants.restart {
            watchdog::restart();
        }
    }
}
