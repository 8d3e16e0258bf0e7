//! What a board's firmware brings until somebody configures the node.

use quaywatch_node::{Channel, Config, Plate, settings::Draft};

/// The firmware's version: a rising number, as signed images carry it.
pub const VERSION: u32 = 1;

/// Everything that every board has a pin for, sensed as is usual.
#[inline(never)]
pub fn factory(plate: Plate) -> Config {
    let mut draft = Draft::default();
    CHANNELS.into_iter().for_each(|channel| draft.add(channel));
    let Ok(settings) = draft.check() else { panic!("what is usual is in its range") };
    Config::blank().on(plate).by(&settings)
}

const CHANNELS: [Channel; 9] = [
    Channel::Pir,
    Channel::Door,
    Channel::Tamper,
    Channel::Contact1,
    Channel::Contact2,
    Channel::Contact3,
    Channel::Contact4,
    Channel::Supply,
    Channel::Health,
];
