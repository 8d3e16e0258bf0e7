//! Where new firmware goes.

#[cfg(feature = "updates")]
mod slots {
    use crate::{Chip, flash_map::SLOTS};
    use core::cell::RefCell;
    use quaywatch_board::config;
    use quaywatch_node::Millis;
    use quaywatch_slots::Region;
    use quaywatch_update::{Board, Node, Update, Version};

    /// Where images go. None if the bootloader's state does not read: then none are taken, and the node works.
    pub type Images = Option<Update<Region<'static, Chip>, Region<'static, Chip>>>;

    /// Opens the next slot.
    pub fn open(flash: &'static RefCell<Chip>, now: Millis) -> Images {
        let node = Node { board: Board::Rp2040, runs: Version(config::VERSION), keys: config::update_keys() };
        Update::open(Region::of(flash, SLOTS.next), Region::of(flash, SLOTS.state), node, now).ok()
    }
}

#[cfg(not(feature = "updates"))]
mod slots {
    use crate::Chip;
    use core::cell::RefCell;
    use quaywatch_node::{Millis, NoUpdates};

    /// Without a bootloader there is nowhere to put an image.
    pub type Images = NoUpdates;

    /// There is nothing to open.
    pub fn open(_: &'static RefCell<Chip>, _: Millis) -> Images {
        NoUpdates
    }
}

pub use slots::{Images, open};
