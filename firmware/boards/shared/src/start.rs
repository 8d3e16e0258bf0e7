//! How a node begins on a board.

use crate::config;
use embedded_storage::nor_flash::NorFlash;
use quaywatch_node::{Boot, NoUpdates, Node, Plate};
use static_cell::StaticCell;

/// Makes the board's one node where it stays, and starts it.
#[inline(never)]
pub fn start<F: NorFlash>(
    place: &'static StaticCell<Node<F>>,
    plate: Plate,
    flash: F,
    boot: Boot,
) -> &'static mut Node<F> {
    let node = make(place, plate, flash);
    node.start(boot);
    node
}

/// Apart from its start, so that what it takes of the stack is free again by then.
#[inline(never)]
fn make<F: NorFlash>(place: &'static StaticCell<Node<F>>, plate: Plate, flash: F) -> &'static mut Node<F> {
    let config = config::factory(plate);
    place.init_with(|| Node::new(config, flash, NoUpdates))
}
