//! Products on their way out: frozen bodies, and what became of each number.
//!
//! A number (sequence) is given once, when a product is appended, and later accounted for as confirmed, shed, withdrawn or
//! dead-lettered. Accounts are appended like products; a lost confirmation costs an exact re-send of the same id and bytes,
//! so confirmations ride along with the next sync instead of paying for one.
//!
//! Each segment begins with the high-water marks of all recipients, so that the oldest segment may go as soon as nothing in
//! it waits any more. When one recipient is away for long, what waits for it is copied forward, so that old segments go all
//! the same: the disk holds at most twice what may wait, and one segment.

use super::{
    Options,
    keys::Keys,
    segment::{self, Active, Group},
};
use quaywatch_schemas::{
    CloudEvent, GatewayTime, Product, RecipientId, WallTime, ZoneId, product::NeverSent, situation::SituationId,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Why the outbox cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the outbox in {}: {source}", folder.display())]
pub struct OutboxError {
    folder: PathBuf,
    source: io::Error,
}

/// Which of a recipient's two lanes a product is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// As it happens.
    Live,
    /// After the fact; never overtakes live ones.
    Late,
}

/// What may be let go first when the budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// First.
    Routine,
    /// Last.
    Alarm,
}

/// A product to be numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// For whom.
    pub recipient: RecipientId,
    /// Its number: one more than the recipient's last.
    pub sequence: u64,
    /// Order is promised within it.
    pub zone: ZoneId,
    /// Its lane.
    pub lane: Lane,
    /// Its class.
    pub class: Class,
    /// Ordinal of the conclusion it tells of.
    pub output: u64,
    /// The situation it is a view of.
    pub situation: SituationId,
    /// When it was concluded, on the clock that orders.
    pub concluded: GatewayTime,
    /// The same on the clock people read.
    pub concluded_wall: WallTime,
    /// The frozen CloudEvent.
    pub body: Vec<u8>,
}

/// A product that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// Order is promised within it.
    pub zone: ZoneId,
    /// Its class.
    pub class: Class,
    /// The situation it is a view of.
    pub situation: SituationId,
    /// The frozen CloudEvent.
    pub body: Vec<u8>,
}

/// A product that waits to be confirmed, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub sequence: u64,
    /// Its lane.
    pub lane: Lane,
    /// Order is promised within it.
    pub zone: ZoneId,
}

/// The last number and the last conclusion a recipient's products were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HighWater {
    /// The last number.
    pub sequence: u64,
    /// The last conclusion.
    pub output: u64,
}

/// A recipient's stream in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// The last number given.
    pub last_sequence: u64,
    /// Products not yet confirmed.
    pub backlog: u64,
    /// When the oldest of them was concluded.
    pub oldest_unsent: Option<WallTime>,
    /// Numbers that will never come, latest [`MOST_NEVER`] ranges.
    pub never: Vec<NeverSent>,
}

/// What a segment holds.
#[derive(Serialize, Deserialize)]
enum Item {
    /// First in every segment.
    Marks {
        epoch: u64,
        latest: GatewayTime,
        high_water: Vec<(RecipientId, HighWater)>,
        never: Vec<(RecipientId, Vec<NeverSent>)>,
        reason: String,
        announced: Vec<RecipientId>,
    },
    /// A product.
    Product {
        recipient: RecipientId,
        sequence: u64,
        zone: ZoneId,
        lane: Lane,
        class: Class,
        output: u64,
        situation: SituationId,
        concluded: GatewayTime,
        concluded_wall: WallTime,
        body: Vec<u8>,
    },
    /// Numbers that a recipient has.
    Confirmed { recipient: RecipientId, sequences: Vec<u64> },
    /// Numbers that will never come.
    Never { recipient: RecipientId, sequences: Vec<u64>, why: String },
    /// A recipient knows that numbering began anew.
    Announced { recipient: RecipientId },
}

/// Ranges of lost numbers that are remembered per recipient.
const MOST_NEVER: usize = 64;

/// Products on their way out. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    appended: watch::Sender<u64>,
    receipts: watch::Sender<u64>,
    keys: Arc<Keys>,
    folder: PathBuf,
}

struct Inner {
    active: Active,
    /// Whether the active segment holds nothing but its marks.
    just_rolled: bool,
    /// Older segments and how many products in each still wait.
    closed: VecDeque<u64>,
    waiting: BTreeMap<u64, u64>,
    next: u64,
    epoch: u64,
    /// Why the epoch began.
    reason: String,
    /// Who knows of the epoch.
    announced: BTreeSet<RecipientId>,
    latest: GatewayTime,
    high_water: BTreeMap<RecipientId, HighWater>,
    never: BTreeMap<RecipientId, Vec<NeverSent>>,
    pending: BTreeMap<RecipientId, BTreeMap<u64, Slot>>,
    zones: Zones,
    pending_bytes: u64,
    segment_bytes: u64,
    budget: u64,
}

/// Where a waiting product is.
#[derive(Debug, Clone, Copy)]
struct Slot {
    lane: Lane,
    class: Class,
    zone: u32,
    segment: u64,
    at: u64,
    length: u32,
    concluded_wall: WallTime,
}

/// The zones that products were ever about, each once: a slot holds a number instead of a name. As bounded as the site
/// files of the store's lifetime.
#[derive(Debug, Default)]
struct Zones {
    names: Vec<ZoneId>,
    numbers: BTreeMap<ZoneId, u32>,
}

impl Zones {
    fn number(&mut self, zone: &ZoneId) -> u32 {
        if let Some(number) = self.numbers.get(zone) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("a site has fewer zones than that");
        self.names.push(zone.clone());
        self.numbers.insert(zone.clone(), number);
        number
    }
}

impl Outbox {
    /// Opens the outbox; says whether it is new (and its epoch with it), which `if_new` gives the reason of.
    pub(super) fn open(
        folder: &Path,
        options: &Options,
        keys: Arc<Keys>,
        if_new: &str,
    ) -> Result<(Self, bool), OutboxError> {
        Self::open_io(folder, options, keys, if_new).map_err(|source| OutboxError { folder: folder.to_owned(), source })
    }

    fn open_io(folder: &Path, options: &Options, keys: Arc<Keys>, if_new: &str) -> io::Result<(Self, bool)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let segments = segment::list(folder)?;
        let fresh = segments.is_empty();
        let mut found = Found { next: 1, ..Found::default() };
        let mut active = None;
        let mut closed = VecDeque::new();
        let count = segments.len();
        for (index, (first, path)) in segments.into_iter().enumerate() {
            let scan = segment::scan(&path)?;
            found.next = found.next.max(first);
            found.begin_segment(&scan);
            for frame in &scan.frames {
                found.next = frame.sequence + 1;
                if let Ok(item) = postcard::from_bytes(&frame.payload) {
                    found.take(item, first, frame.at, frame.payload.len());
                }
            }
            if index + 1 == count {
                active = Some(Active::resume(folder, first, options.segment_bytes, &scan)?);
            } else {
                closed.push_back(first);
            }
        }
        let active = match active {
            Some(active) => active,
            None => Active::create(folder, 1, options.segment_bytes)?,
        };
        let mut waiting = BTreeMap::new();
        let slots = || found.pending.values().flat_map(BTreeMap::values);
        slots().for_each(|slot| *waiting.entry(slot.segment).or_default() += 1);
        let pending_bytes = slots().map(|slot| u64::from(slot.length)).sum();
        let inner = Inner {
            active,
            just_rolled: false,
            closed,
            waiting,
            next: found.next,
            epoch: found.epoch,
            reason: found.reason,
            announced: found.announced,
            latest: found.latest,
            high_water: found.high_water,
            never: found.never,
            pending: found.pending,
            zones: found.zones,
            pending_bytes,
            segment_bytes: options.segment_bytes,
            budget: options.budget_bytes / 4,
        };
        let outbox = Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            appended: watch::Sender::new(0),
            receipts: watch::Sender::new(0),
            keys,
            folder: folder.to_owned(),
        }));
        let lost = fresh || found.epoch == 0;
        if lost {
            outbox.begin_epoch_io(if_new)?;
        }
        Ok((outbox, lost))
    }

    /// Begins a new stream epoch: numbering starts over.
    pub(super) fn begin_epoch(&self, reason: &str) -> Result<(), OutboxError> {
        tracing::warn!(reason, "a new stream epoch begins");
        self.named(self.begin_epoch_io(reason))
    }

    /// What waits is carried over under new numbers: it was promised, and its old numbers mean nothing any more.
    fn begin_epoch_io(&self, reason: &str) -> io::Result<()> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        let epoch = u64::from_le_bytes(bytes).max(1);
        let mut inner = self.lock();
        let waiting: Vec<Slot> = inner.pending.values().flat_map(BTreeMap::values).copied().collect();
        inner.epoch = epoch;
        inner.reason = reason.to_owned();
        inner.announced.clear();
        inner.high_water.values_mut().for_each(|water| water.sequence = 0);
        inner.never.clear();
        inner.pending.clear();
        inner.waiting.clear();
        inner.pending_bytes = 0;
        let mut items = vec![inner.marks()];
        let mut numbers: BTreeMap<RecipientId, u64> = BTreeMap::new();
        for slot in waiting {
            let Ok(Item::Product {
                recipient,
                zone,
                lane,
                class,
                output,
                situation,
                concluded,
                concluded_wall,
                body,
                ..
            }) = self.item(slot)
            else {
                tracing::error!("a product that waited cannot be read; it is lost with its epoch");
                continue;
            };
            let number = numbers.get(&recipient).map_or(1, |last| last + 1);
            let renumbered = self.0.keys.open_blob(&body).and_then(|body| renumber(&body, epoch, number));
            let Some(body) = renumbered else {
                tracing::error!(%recipient, "a product that waited cannot be read; it is lost with its epoch");
                continue;
            };
            numbers.insert(recipient.clone(), number);
            let body = self.0.keys.seal_blob(&body);
            items.push(Item::Product {
                recipient,
                sequence: number,
                zone,
                lane,
                class,
                output,
                situation,
                concluded,
                concluded_wall,
                body,
            });
        }
        let places = inner.write(&self.0.folder, &items, true)?;
        for (item, (segment, at, length)) in items.iter().zip(places) {
            inner.note_product(item, segment, at, length);
        }
        Ok(())
    }

    /// Names the numbering.
    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// As it stands in CloudEvents ids.
    pub fn epoch_hex(&self) -> String {
        format!("{:x}", self.epoch())
    }

    /// Why numbering began anew, if the recipient has not been told yet.
    pub fn to_announce(&self, recipient: &RecipientId) -> Option<String> {
        let inner = self.lock();
        (!inner.announced.contains(recipient)).then(|| inner.reason.clone())
    }

    /// A recipient knows that numbering began anew. Rides along with the next sync: if it is lost, it is said again.
    pub fn announced(&self, recipient: &RecipientId) -> Result<(), OutboxError> {
        let mut inner = self.lock();
        if !inner.announced.insert(recipient.clone()) {
            return Ok(());
        }
        let item = Item::Announced { recipient: recipient.clone() };
        let written = inner.write(&self.0.folder, &[item], false).map(|_| ());
        self.named(written)
    }

    /// When the last conclusion that made a product was drawn, on the clock that orders.
    pub fn latest_concluded(&self) -> GatewayTime {
        self.lock().latest
    }

    /// The last conclusion that made a product for anybody.
    pub fn last_output(&self) -> u64 {
        self.lock().high_water.values().map(|water| water.output).max().unwrap_or(0)
    }

    /// When the oldest product that still waits for anybody was concluded.
    pub(super) fn oldest_waiting(&self) -> Option<WallTime> {
        let inner = self.lock();
        let oldest = inner.pending.values().filter_map(|pending| pending.values().next());
        oldest.map(|slot| slot.concluded_wall).min()
    }

    /// A recipient's last number and conclusion.
    pub fn high_water(&self, recipient: &RecipientId) -> HighWater {
        self.lock().high_water.get(recipient).copied().unwrap_or_default()
    }

    /// Appends products; when this returns they are on disk. Blocks for the sync.
    pub fn append(&self, entries: Vec<NewEntry>) -> Result<(), OutboxError> {
        self.named(self.append_io(entries))
    }

    fn append_io(&self, entries: Vec<NewEntry>) -> io::Result<()> {
        let mut inner = self.lock();
        let items: Vec<Item> = entries
            .into_iter()
            .map(|entry| Item::Product {
                recipient: entry.recipient,
                sequence: entry.sequence,
                zone: entry.zone,
                lane: entry.lane,
                class: entry.class,
                output: entry.output,
                situation: entry.situation,
                concluded: entry.concluded,
                concluded_wall: entry.concluded_wall,
                body: self.0.keys.seal_blob(&entry.body),
            })
            .collect();
        let places = inner.write(&self.0.folder, &items, true)?;
        for (item, (segment, at, length)) in items.into_iter().zip(places) {
            inner.note_product(&item, segment, at, length);
            metrics::counter!("quaywatch_products_total").increment(1);
        }
        inner.keep_budget(&self.0.folder)?;
        drop(inner);
        self.0.appended.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Products of a lane that wait, after a number, in order of their numbers.
    pub fn pending(
        &self,
        recipient: &RecipientId,
        lane: Lane,
        after: u64,
        max: usize,
    ) -> Result<Vec<Entry>, OutboxError> {
        let slots: Vec<(u64, Slot)> = {
            let inner = self.lock();
            let Some(pending) = inner.pending.get(recipient) else { return Ok(Vec::new()) };
            let of_lane = pending.range(after + 1..).filter(|(_, slot)| slot.lane == lane);
            of_lane.take(max).map(|(sequence, slot)| (*sequence, *slot)).collect()
        };
        let mut entries = Vec::with_capacity(slots.len());
        for (sequence, slot) in slots {
            match self.named(self.read(sequence, slot))? {
                Some(entry) => entries.push(entry),
                None => self.lost(recipient, sequence)?,
            }
        }
        Ok(entries)
    }

    /// What waits after a number, in order of the numbers, at most `max`; reads no body.
    pub fn waiting(&self, recipient: &RecipientId, after: u64, max: usize) -> Vec<Waiting> {
        let inner = self.lock();
        let Some(pending) = inner.pending.get(recipient) else { return Vec::new() };
        let waiting = pending.range(after.saturating_add(1)..).take(max);
        waiting
            .map(|(sequence, slot)| Waiting {
                sequence: *sequence,
                lane: slot.lane,
                zone: inner.zones.names[slot.zone as usize].clone(),
            })
            .collect()
    }

    /// Products by their numbers, in the order asked for; those that no longer wait are left out.
    pub fn entries(&self, recipient: &RecipientId, sequences: &[u64]) -> Result<Vec<Entry>, OutboxError> {
        let slots: Vec<(u64, Slot)> = {
            let inner = self.lock();
            let Some(pending) = inner.pending.get(recipient) else { return Ok(Vec::new()) };
            sequences.iter().filter_map(|sequence| Some((*sequence, *pending.get(sequence)?))).collect()
        };
        let mut entries = Vec::with_capacity(slots.len());
        for (sequence, slot) in slots {
            match self.named(self.read(sequence, slot))? {
                Some(entry) => entries.push(entry),
                None => self.lost(recipient, sequence)?,
            }
        }
        Ok(entries)
    }

    /// A product's bytes or key are gone for good: its number is accounted for.
    fn lost(&self, recipient: &RecipientId, sequence: u64) -> Result<(), OutboxError> {
        tracing::error!(%recipient, sequence, "a product cannot be read any more; it is reported as lost");
        self.settle(recipient, vec![sequence], Some("lost")).map(|_| ())
    }

    /// A product that waits; `None` if its bytes or its key are gone for good.
    fn read(&self, sequence: u64, slot: Slot) -> io::Result<Option<Entry>> {
        let item = match self.item(slot) {
            Err(e) if e.kind() != io::ErrorKind::InvalidData => return Err(e),
            item => item.ok(),
        };
        let Some(Item::Product { zone, class, situation, body, .. }) = item else { return Ok(None) };
        let body = self.0.keys.open_blob(&body);
        Ok(body.map(|body| Entry { sequence, zone, class, situation, body }))
    }

    fn item(&self, slot: Slot) -> io::Result<Item> {
        let mut payload = vec![0; slot.length as usize];
        File::open(segment::path_of(&self.0.folder, slot.segment))?.read_exact_at(&mut payload, slot.at)?;
        postcard::from_bytes(&payload).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// A recipient has these. Returns how many of them still waited.
    pub fn confirm(&self, recipient: &RecipientId, sequences: &[u64]) -> Result<usize, OutboxError> {
        self.settle(recipient, sequences.to_vec(), None)
    }

    /// A recipient has everything up to a number. Returns how many products still waited.
    pub fn confirm_up_to(&self, recipient: &RecipientId, up_to: u64) -> Result<usize, OutboxError> {
        let sequences = {
            let inner = self.lock();
            let pending = inner.pending.get(recipient);
            pending.map(|pending| pending.range(..=up_to).map(|(sequence, _)| *sequence).collect()).unwrap_or_default()
        };
        let settled = self.settle(recipient, sequences, None)?;
        if settled > 0 {
            self.0.receipts.send_modify(|count| *count += 1);
        }
        Ok(settled)
    }

    /// A product must not leave any more.
    pub fn withdraw(&self, recipient: &RecipientId, sequence: u64, why: &str) -> Result<(), OutboxError> {
        tracing::info!(%recipient, sequence, why, "a queued product is withdrawn");
        self.settle(recipient, vec![sequence], Some("withdrawn")).map(|_| ())
    }

    /// A recipient refuses a product for good.
    pub fn dead_letter(&self, recipient: &RecipientId, sequence: u64, why: &str) -> Result<(), OutboxError> {
        tracing::error!(%recipient, sequence, why, "a recipient refuses a product; it is set aside and the rest goes on");
        self.settle(recipient, vec![sequence], Some("refused")).map(|_| ())
    }

    fn settle(&self, recipient: &RecipientId, sequences: Vec<u64>, never: Option<&str>) -> Result<usize, OutboxError> {
        let mut inner = self.lock();
        let known = inner.pending.get(recipient);
        let mut sequences = sequences;
        sequences.retain(|sequence| known.is_some_and(|known| known.contains_key(sequence)));
        sequences.sort_unstable();
        sequences.dedup();
        let count = sequences.len();
        if count == 0 {
            return Ok(0);
        }
        let settled = inner.settle(&self.0.folder, recipient, sequences, never);
        self.named(settled.map(|()| count))
    }

    /// A recipient's stream in numbers.
    pub fn accounts(&self, recipient: &RecipientId) -> Accounts {
        let inner = self.lock();
        let pending = inner.pending.get(recipient);
        Accounts {
            last_sequence: inner.high_water.get(recipient).map_or(0, |water| water.sequence),
            backlog: pending.map_or(0, |pending| pending.len() as u64),
            oldest_unsent: pending.and_then(|pending| pending.values().next()).map(|slot| slot.concluded_wall),
            never: inner.never.get(recipient).cloned().unwrap_or_default(),
        }
    }

    /// Changes whenever products were appended.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.appended.subscribe()
    }

    /// Changes whenever a recipient's receipt settled something.
    pub fn receipts(&self) -> watch::Receiver<u64> {
        self.0.receipts.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named<T>(&self, result: io::Result<T>) -> Result<T, OutboxError> {
        result.map_err(|source| OutboxError { folder: self.0.folder.clone(), source })
    }
}

impl Inner {
    fn marks(&self) -> Item {
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
    fn write(&mut self, folder: &Path, items: &[Item], sync: bool) -> io::Result<Vec<(u64, u64, u32)>> {
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
    fn roll(&mut self, folder: &Path) -> io::Result<()> {
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
    fn copy_forward(&mut self, folder: &Path, first: u64) -> io::Result<bool> {
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

    fn note_product(&mut self, item: &Item, segment: u64, at: u64, length: u32) {
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

    fn settle(
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
    fn keep_budget(&mut self, folder: &Path) -> io::Result<()> {
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

/// A frozen CloudEvent under another number; `None` if it is none.
fn renumber(body: &[u8], epoch: u64, sequence: u64) -> Option<Vec<u8>> {
    let mut event: CloudEvent<Product> = serde_json::from_slice(body).ok()?;
    event.epoch = format!("{epoch:x}");
    event.id = format!("{epoch:x}.{sequence:020}");
    event.sequence = Some(format!("{sequence:020}"));
    serde_json::to_vec(&event).ok()
}

/// Adds numbers to the ranges that will never come; joins neighbours.
fn note_never(ranges: &mut Vec<NeverSent>, sequences: &[u64], why: &str) {
    for &sequence in sequences {
        match ranges.last_mut() {
            Some(last) if last.why == why && last.last + 1 == sequence => last.last = sequence,
            _ => ranges.push(NeverSent { first: sequence, last: sequence, why: why.to_owned() }),
        }
    }
    let excess = ranges.len().saturating_sub(MOST_NEVER);
    ranges.drain(..excess);
}

/// What reading the segments at the start comes to.
#[derive(Default)]
struct Found {
    next: u64,
    epoch: u64,
    reason: String,
    announced: BTreeSet<RecipientId>,
    /// Whether the high-water marks are known to be those of the last frame read.
    trusted: bool,
    latest: GatewayTime,
    high_water: BTreeMap<RecipientId, HighWater>,
    never: BTreeMap<RecipientId, Vec<NeverSent>>,
    pending: BTreeMap<RecipientId, BTreeMap<u64, Slot>>,
    zones: Zones,
}

impl Found {
    /// A segment whose marks are damaged leaves open what was before it.
    fn begin_segment(&mut self, scan: &segment::Scan) {
        let first = scan.frames.first().and_then(|frame| postcard::from_bytes(&frame.payload).ok());
        self.trusted = matches!(first, Some(Item::Marks { .. }));
    }

    fn take(&mut self, item: Item, segment: u64, at: u64, length: usize) {
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
