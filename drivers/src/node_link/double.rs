//! Whether two devices speak with one key.
//!
//! A copied node can answer every challenge, so no single frame betrays it. What betrays it is that there are two: one
//! counter with two messages, a former boot that answers now, a store that was left and is back, a counter or boot number
//! that falls. None of these happens to one node, whatever its supply and its line do to it.

use std::collections::VecDeque;

/// Frames that are remembered: several turns of a busy node.
const FRAMES: usize = 256;
/// Former stores that are remembered: a node is formatted a few times in its life.
const STORES: usize = 16;

/// What was proven of a key, as far as two devices would contradict it.
#[derive(Debug, Default)]
pub(super) struct Witness {
    frames: VecDeque<(u64, u64, u64)>,
    /// Left before the one that counts.
    former: VecDeque<u64>,
    store: Option<Store>,
}

/// The store that the node has.
#[derive(Debug, Clone, Copy)]
struct Store {
    epoch: u64,
    boot: u32,
    next: u64,
}

/// What one node cannot have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction;

impl Witness {
    /// A proven frame; whether it is new, as far as is remembered. The same counter always stands for the same message.
    pub(super) fn frame(&mut self, epoch: u64, counter: u64, payload: &[u8]) -> Result<bool, Contradiction> {
        let mut print = [0; 8];
        print.copy_from_slice(&blake3::hash(payload).as_bytes()[..8]);
        let print = u64::from_le_bytes(print);
        let known = self.frames.iter().rev().find(|(e, c, _)| (*e, *c) == (epoch, counter));
        match known {
            Some((.., before)) => (*before == print).then_some(false).ok_or(Contradiction),
            None => {
                if self.frames.len() == FRAMES {
                    self.frames.pop_front();
                }
                self.frames.push_back((epoch, counter, print));
                Ok(true)
            }
        }
    }

    /// The answer to a challenge that was just asked: the node has this store, in this boot, with this counter next.
    pub(super) fn stands(&mut self, epoch: u64, boot: u32, next: u64) -> Result<(), Contradiction> {
        match &mut self.store {
            Some(store) if store.epoch == epoch => {
                let falls = boot < store.boot || next < store.next;
                (store.boot, store.next) = (store.boot.max(boot), store.next.max(next));
                (!falls).then_some(()).ok_or(Contradiction)
            }
            store => {
                let is_back = self.former.contains(&epoch);
                if let Some(left) = store.replace(Store { epoch, boot, next }) {
                    if self.former.len() == STORES {
                        self.former.pop_front();
                    }
                    self.former.push_back(left.epoch);
                }
                (!is_back).then_some(()).ok_or(Contradiction)
            }
        }
    }

    /// The end of a turn that was just asked for, of the boot that is proven.
    pub(super) fn turn_ended(&mut self, next: u64) -> Result<(), Contradiction> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let falls = next < store.next;
        store.next = store.next.max(next);
        (!falls).then_some(()).ok_or(Contradiction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_reboots_and_one_new_store_are_one_node() {
        let mut witness = Witness::default();
        assert_eq!(witness.stands(1, 1, 0), Ok(()));
        assert_eq!((witness.frame(1, 5, b"door"), witness.frame(1, 5, b"door")), (Ok(true), Ok(false)));
        assert_eq!((witness.turn_ended(6), witness.turn_ended(6)), (Ok(()), Ok(())));
        assert_eq!(witness.stands(1, 2, 1024), Ok(()), "restarted");
        assert_eq!(witness.stands(2, 1, 0), Ok(()), "formatted");
        assert_eq!(witness.turn_ended(3), Ok(()));
    }

    #[test]
    fn what_two_devices_say_contradicts_itself() {
        let mut witness = Witness::default();
        witness.stands(1, 5, 100).unwrap();
        witness.frame(1, 99, b"door").unwrap();
        assert_eq!(witness.frame(1, 99, b"load"), Err(Contradiction), "one counter, two messages");
        assert_eq!(witness.stands(1, 4, 100), Err(Contradiction), "an earlier boot");
        assert_eq!(witness.stands(1, 6, 90), Err(Contradiction), "a counter that falls");
        assert_eq!(witness.turn_ended(99), Err(Contradiction));
        witness.stands(2, 1, 0).unwrap();
        assert_eq!(witness.stands(1, 7, 2000), Err(Contradiction), "a store that was left");
    }
}
