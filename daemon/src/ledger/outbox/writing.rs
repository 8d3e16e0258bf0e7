//! Writing segments: groups of items, a new segment when one is full, and what goes when the budget is used up.

use super::{Class, HighWater, Item, MOST_NEVER, Slot, Zones};
use crate::ledger::segment::{self, Active, Group};
use quaywatch_schemas::{GatewayTime, RecipientId, product::NeverSent};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// Everything the outbox knows of its segments, under one lock.
pub(super) struct Inner {
    pub(super) active: Active,
    /// Whether the active segment holds nothing but its marks.
    pub(super) just_rolled: bool,
    /// Older segments and how many products in each still wait.
    pub(super) closed: VecDeque<u64>,
    pub(super) waiting: BTreeMap<u64, u64>,
    pub(super) next: u64,
    pub(super) epoch: u64,
    /// Why the epoch began.
    pub(super) reason: String,
    /// Who knows of the epoch.
    pub(super) announced: BTreeSet<RecipientId>,
    pub(super) latest: GatewayTime,
    pub(super) high_water: BTreeMap<RecipientId, HighWater>,
    pub(super) never: BTreeMap<RecipientId, Vec<NeverSent>>,
    pub(super) pending: BTreeMap<RecipientId, BTreeMap<u64, Slot>>,
    pub(super) zones: Zones,
    pub(super) pending_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) budget: u64,
}

impl Inner {
    pub(super) fn marks(&self) -> Item {
        Item::Marks {
            epoch: self.epoch,
            latest: self.latest,
            high_water: self.high_water.iter().map(|(recipient, water)| (recipient.clone(), *water)).collect(),
            never: self.never.iter().map(|(recipient, never)| (recipient.clone(), never.clone())).collect(),
            reason: self.reason.clone(),
            announced: self.announced.iter().cloned().collect(),
        }
    }

    /// Writes items as one group; returns segment, place and length of each.
    pub(super) fn write(&mut self, folder: &Path, items: &[Item], sync: bool) -> io::Result<Vec<(u64, u64, u32)>> {
        let mut group = Group::default();
        let mut next = self.next;
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            let payload = postcard::to_stdvec(item).map_err(io::Error::other)?;
            places.push((group.add(next, &payload), u32::try_from(payload.len()).map_err(io::Error::other)?));
            next += 1;
        }
        if !self.active.has_room(&group) && !self.just_rolled {
            self.roll(folder)?;
            return self.write(folder, items, sync);
        }
        // A group larger than a segment makes a larger segment.
        let begins = self.active.append(&group)?;
        metrics::counter!("quaywatch_outbox_bytes_written_total").increment(group.len() as u64);
        if sync {
            self.active.sync()?;
        }
        self.just_rolled = false;
        self.next = next;
        Ok(places.into_iter().map(|(at, length)| (self.active.first, begins + at, length)).collect())
    }

    /// Begins a new segment with the marks of all recipients, and removes old ones in which nothing waits.
    pub(super) fn roll(&mut self, folder: &Path) -> io::Result<()> {
        self.active.sync()?;
        let mut marks = Group::default();
        marks.add(self.next, &postcard::to_stdvec(&self.marks()).map_err(io::Error::other)?);
        let mut next = Active::create(folder, self.next, self.segment_bytes)?;
        // A segment without its marks must not be gone on with: after the older ones are gone, numbers would begin anew.
        if let Err(e) = next.append(&marks).and_then(|_| next.sync()) {
            let _ = fs::remove_file(segment::path_of(folder, self.next));
            return Err(e);
        }
        let full = std::mem::replace(&mut self.active, next);
        self.closed.push_back(full.first);
        self.next += 1;
        self.just_rolled = true;
        loop {
            while let Some(first) = self.closed.front().copied().filter(|first| !self.waiting.contains_key(first)) {
                fs::remove_file(segment::path_of(folder, first))?;
                self.closed.pop_front();
            }
            let held = (self.closed.len() as u64 + 1) * self.segment_bytes;
            let Some(first) = self.closed.front().copied().filter(|_| held > 2 * self.budget) else { return Ok(()) };
            if !self.copy_forward(folder, first)? {
                return Ok(());
            }
        }
    }

    /// Copies what waits in an old segment to the active one, if that is less than half of it. Says whether it did.
    pub(super) fn copy_forward(&mut self, folder: &Path, first: u64) -> io::Result<bool> {
        let waiting: Vec<(RecipientId, u64, Slot)> = self
            .pending
            .iter()
            .flat_map(|(recipient, pending)| {
                pending.iter().map(|(sequence, slot)| (recipient.clone(), *sequence, *slot))
            })
            .filter(|(.., slot)| slot.segment == first)
            .collect();
        let bytes: u64 = waiting.iter().map(|(.., slot)| u64::from(slot.length)).sum();
        if 2 * bytes > self.segment_bytes {
            return Ok(false);
        }
        let file = File::open(segment::path_of(folder, first))?;
        let (mut group, mut places) = (Group::default(), Vec::with_capacity(waiting.len()));
        for (.., slot) in &waiting {
            let mut payload = vec![0; slot.length as usize];
            file.read_exact_at(&mut payload, slot.at)?;
            places.push(group.add(self.next, &payload));
            self.next += 1;
        }
        let begins = self.active.append(&group)?;
        self.active.sync()?;
        for ((recipient, sequence, slot), at) in waiting.into_iter().zip(places) {
            let moved = Slot { segment: self.active.first, at: begins + at, ..slot };
            self.pending.entry(recipient).or_default().insert(sequence, moved);
            *self.waiting.entry(moved.segment).or_default() += 1;
        }
        self.waiting.remove(&first);
        Ok(true)
    }

    pub(super) fn note_product(&mut self, item: &Item, segment: u64, at: u64, length: u32) {
        let Item::Product { recipient, sequence, zone, lane, class, output, concluded, concluded_wall, .. } = item
        else {
            return;
        };
        let zone = self.zones.number(zone);
        let slot = Slot { lane: *lane, class: *class, zone, segment, at, length, concluded_wall: *concluded_wall };
        let water = self.high_water.entry(recipient.clone()).or_default();
        *water = HighWater { sequence: water.sequence.max(*sequence), output: water.output.max(*output) };
        self.latest = self.latest.max(*concluded);
        self.pending.entry(recipient.clone()).or_default().insert(*sequence, slot);
        *self.waiting.entry(segment).or_default() += 1;
        self.pending_bytes += u64::from(length);
    }

    pub(super) fn settle(
        &mut self,
        folder: &Path,
        recipient: &RecipientId,
        sequences: Vec<u64>,
        never: Option<&str>,
    ) -> io::Result<()> {
        for sequence in &sequences {
            let slot = self.pending.get_mut(recipient).and_then(|pending| pending.remove(sequence));
            let Some(slot) = slot else { continue };
            self.pending_bytes -= u64::from(slot.length);
            if let Some(waiting) = self.waiting.get_mut(&slot.segment) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.waiting.remove(&slot.segment);
                }
            }
        }
        let item = match never {
            None => Item::Confirmed { recipient: recipient.clone(), sequences },
            Some(why) => {
                note_never(self.never.entry(recipient.clone()).or_default(), &sequences, why);
                Item::Never { recipient: recipient.clone(), sequences, why: why.to_owned() }
            }
        };
        self.write(folder, &[item], never.is_some()).map(|_| ())
    }

    /// Lets products go until what waits fits into the budget: the oldest routine ones first, alarms last.
    pub(super) fn keep_budget(&mut self, folder: &Path) -> io::Result<()> {
        for class in [Class::Routine, Class::Alarm] {
            while self.pending_bytes > self.budget {
                let oldest = self
                    .pending
                    .iter()
                    .filter_map(|(recipient, pending)| {
                        let oldest = pending.iter().find(|(_, slot)| slot.class == class)?;
                        Some((oldest.1.concluded_wall, recipient.clone(), *oldest.0))
                    })
                    .min();
                let Some((_, recipient, sequence)) = oldest else { break };
                metrics::counter!("quaywatch_products_shed_total").increment(1);
                self.settle(folder, &recipient, vec![sequence], Some("shed"))?;
            }
        }
        Ok(())
    }
}

/// Adds numbers to the ranges that will never come; joins neighbours.
pub(super) fn note_never(ranges: &mut Vec<NeverSent>, sequences: &[u64], why: &str) {
    for &sequence in sequences {
        match ranges.last_mut() {
            Some(last) if last.why == why && last.last + 1 == sequence => last.last = sequence,
            _ => ranges.push(NeverSent { first: sequence, last: sequence, why: why.to_owned() }),
        }
    }
    let excess = ranges.len().saturating_sub(MOST_NEVER);
    ranges.drain(..excess);
}
