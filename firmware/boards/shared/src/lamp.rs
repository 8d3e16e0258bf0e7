//! The board's one lamp: why a node is quiet, for who stands before it.

use crate::watch::{Task, Watch};
use core::sync::atomic::{AtomicU8, Ordering};
use embassy_time::{Duration, Timer};
use embedded_hal::digital::OutputPin;
use quaywatch_node::{Locked, shell::Wants};

/// What the lamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Says {
    /// One short flash every two seconds: it runs.
    Runs,
    /// Two flashes: nobody has enrolled it.
    NotEnrolled,
    /// Four flashes: its flash does not read; it says nothing until it is enrolled again.
    Locked,
    /// It flashes all the time: it is the one that is looked for.
    Here,
}

impl Says {
    /// What a node that wants this says.
    pub fn of(wants: &Wants) -> Self {
        match wants.locked {
            _ if wants.blink => Self::Here,
            None => Self::Runs,
            Some(Locked::NotEnrolled) => Self::NotEnrolled,
            Some(_) => Self::Locked,
        }
    }
}

/// What is to be shown.
pub struct Lamp(AtomicU8);

impl Lamp {
    /// A lamp that says that the node runs.
    pub const fn new() -> Self {
        Self(AtomicU8::new(Says::Runs as u8))
    }

    /// From now on it says this.
    pub fn say(&self, says: Says) {
        self.0.store(says as u8, Ordering::Relaxed);
    }

    /// Shows it. `beside` runs once a round, for what a board measures slowly.
    pub async fn show(&self, pin: &mut impl OutputPin, watch: &Watch, mut beside: impl FnMut()) -> ! {
        loop {
            beside();
            watch.report(Task::Lamp);
            let flashes = match self.0.load(Ordering::Relaxed) {
                says if says == Says::NotEnrolled as u8 => 2,
                says if says == Says::Locked as u8 => 4,
                says if says == Says::Here as u8 => MOST_FLASHES,
                _ => 1,
            };
            for _ in 0..flashes {
                // A lamp that does not light is no reason to stop.
                let _ = pin.set_high();
                Timer::after(FLASH).await;
                let _ = pin.set_low();
                Timer::after(FLASH).await;
            }
            Timer::after(ROUND - FLASH * 2 * flashes).await;
        }
    }
}

impl Default for Lamp {
    fn default() -> Self {
        Self::new()
    }
}

const FLASH: Duration = Duration::from_millis(50);
const ROUND: Duration = Duration::from_secs(2);
/// As many as a round holds.
const MOST_FLASHES: u32 = (ROUND.as_ticks() / FLASH.as_ticks() / 2) as u32;
