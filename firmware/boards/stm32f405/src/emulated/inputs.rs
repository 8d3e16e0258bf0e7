//! Inputs in a host file: `inputs`, a digit each, which a test writes in place.
//!
//! ```text
//! pir door tamper contact-1 contact-2 contact-3 contact-4 supply-fails presence
//! ```

use super::semihosting::{self, HostFile};
use crate::Wiring;
use quaywatch_board::{
    lamp::{Lamp, Says},
    watch::{Task, Watch},
};
use quaywatch_node::{
    Channel, Millis, Sensed,
    sensing::plan::Due,
    shell::{Board, Wants},
};

const CHANNELS: [Channel; 7] = [
    Channel::Pir,
    Channel::Door,
    Channel::Tamper,
    Channel::Contact1,
    Channel::Contact2,
    Channel::Contact3,
    Channel::Contact4,
];
const SUPPLY_VOLTS: f32 = 24.0;

/// The pins.
pub struct Inputs {
    watch: &'static Watch,
    lamp: &'static Lamp,
    file: HostFile,
    read: [u8; CHANNELS.len() + 2],
}

impl Inputs {
    /// Opens the file.
    pub fn new(_: Wiring, watch: &'static Watch, lamp: &'static Lamp) -> Self {
        let Some(file) = HostFile::open_to_read(c"inputs") else { semihosting::fail("there is no file inputs\n") };
        Self { watch, lamp, file, read: [b'0'; _] }
    }
}

impl Board for Inputs {
    fn sample(&mut self, due: Due, _: Millis, sense: &mut dyn FnMut(Channel, Sensed)) {
        if !self.file.read(0, &mut self.read) {
            semihosting::fail("the file inputs is too short\n");
        }
        for (channel, digit) in CHANNELS.iter().zip(self.read).filter(|(channel, _)| due.contains(**channel)) {
            sense(*channel, (digit == b'1').into());
        }
        if due.contains(Channel::Supply) {
            sense(Channel::Supply, SUPPLY_VOLTS.into());
        }
    }

    fn supply_fails(&mut self) -> bool {
        self.read[CHANNELS.len()] == b'1'
    }

    fn is_presence_held(&mut self) -> bool {
        self.read[CHANNELS.len() + 1] == b'1'
    }

    fn went_round(&mut self, _: Millis, wants: Wants) {
        self.watch.report(Task::Node);
        self.lamp.say(Says::of(&wants));
        if wants.restart {
            cortex_m::peripheral::SCB::sys_reset();
        }
    }
}
