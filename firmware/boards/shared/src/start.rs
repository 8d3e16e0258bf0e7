//! How a node begins on a board.

use crate::config;
use embedded_storage::nor_flash::NorFlash;
use quaywatch_node::{Boot, Node, Plate, Updates};
use static_cell::StaticCell;

/// Makes the board's one node where it stays, and starts it.
#[inline(never)]
pub fn start<F: NorFlash, U: Updates>(
    place: &'static StaticCell<Node<F, U>>,
    plate: Plate,
    flash: F,
    boot: Boot,
    updates: U,
) -> &'static mut Node<F, U> {
    let node = make(place, plate, flash, updates);
    node.start(boot);
    node
}

/// Apart from its start, so that what it takes of the stack is free again by then.
#[inline(never)]
fn make<F: NorFlash, U: Updates>(
    place: &'static StaticCell<Node<F, U>>,
    plate: Plate,
    flash: F,
    updates: U,
) -> &'static mut Node<F, U> {
    let config = config::factory(plate);
    place.init_with(|| Node::new(config, flash, updates))
}
