//! Reading segments at the start: what waits, which numbers were given, and which of them damage has taken.

use super::{HighWater, Item, Slot, Zones, writing::note_never};
use crate::ledger::segment;
use quaywatch_schemas::{GatewayTime, RecipientId, product::NeverSent};
use std::collections::{BTreeMap, BTreeSet};

/// What reading the segments at the start comes to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) next: u64,
    pub(super) epoch: u64,
    pub(super) reason: String,
    pub(super) announced: BTreeSet<RecipientId>,
    /// Whether the high-water marks are known to be those of the last frame read.
    trusted: bool,
    pub(super) latest: GatewayTime,
    pub(super) high_water: BTreeMap<RecipientId, HighWater>,
    pub(super) never: BTreeMap<RecipientId, Vec<NeverSent>>,
    pub(super) pending: BTreeMap<RecipientId, BTreeMap<u64, Slot>>,
    pub(super) zones: Zones,
}

impl Found {
    /// Nothing read yet; the first frame would have this sequence.
    pub(super) fn starting_at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// A segment whose marks are damaged leaves open what was before it.
    pub(super) fn begin_segment(&mut self, scan: &segment::Scan) {
        let first = scan.frames.first().and_then(|frame| postcard::from_bytes(&frame.payload).ok());
        self.trusted = matches!(first, Some(Item::Marks { .. }));
    }

    pub(super) fn take(&mut self, item: Item, segment: u64, at: u64, length: usize) {
        match item {
            Item::Marks { epoch, latest, high_water, never, reason, announced } => {
                if epoch != self.epoch {
                    self.pending.clear();
                }
                self.epoch = epoch;
                self.latest = self.latest.max(latest);
                self.high_water = high_water.into_iter().collect();
                self.never = never.into_iter().collect();
                self.reason = reason;
                self.announced = announced.into_iter().collect();
            }
            Item::Product { recipient, sequence, zone, lane, class, output, concluded, concluded_wall, .. } => {
                self.latest = self.latest.max(concluded);
                let water = self.high_water.entry(recipient.clone()).or_default();
                // Numbers are given without gaps: what lies between was in a frame that does not check out any more.
                if self.trusted && sequence > water.sequence + 1 {
                    let lost: Vec<u64> = (water.sequence + 1..sequence).collect();
                    tracing::error!(%recipient, count = lost.len(), "products are lost to damage; they are reported");
                    note_never(self.never.entry(recipient.clone()).or_default(), &lost, "lost");
                }
                *water = HighWater { sequence: water.sequence.max(sequence), output: water.output.max(output) };
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                let zone = self.zones.number(&zone);
                let slot = Slot { lane, class, zone, segment, at, length, concluded_wall };
                self.pending.entry(recipient).or_default().insert(sequence, slot);
            }
            Item::Confirmed { recipient, sequences } => self.settled(&recipient, &sequences),
            Item::Never { recipient, sequences, why } => {
                self.settled(&recipient, &sequences);
                note_never(self.never.entry(recipient).or_default(), &sequences, &why);
            }
            Item::Announced { recipient } => {
                self.announced.insert(recipient);
            }
        }
    }

    fn settled(&mut self, recipient: &RecipientId, sequences: &[u64]) {
        if let Some(pending) = self.pending.get_mut(recipient) {
            sequences.iter().for_each(|sequence| {
                pending.remove(sequence);
            });
        }
    }
}
