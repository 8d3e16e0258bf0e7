//! Products on their way out: frozen bodies, and what became of each number.
//!
//! A number (sequence) is given once, when a product is appended, and later accounted for as confirmed, shed, withdrawn or
//! dead-lettered. Accounts are appended like products; a lost confirmation costs an exact re-send of the same id and bytes,
//! so confirmations ride along with the next sync instead of paying for one.
//!
//! Each segment begins with the high-water marks of all recipients, so that the oldest segment may go as soon as nothing in
//! it waits any more. When one recipient is away for long, what waits for it is copied forward, so that old segments go all
//! the same: the disk holds at most twice what may wait, and one segment.

mod reading;
mod writing;

use super::{
    Options,
    keys::Keys,
    segment::{self, Active},
};
use quaywatch_schemas::{
    CloudEvent, GatewayTime, Product, RecipientId, WallTime, ZoneId, product::NeverSent, situation::SituationId,
};
use reading::Found;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use writing::Inner;

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
    /// Numbers that will never come, the latest 64 ranges.
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

/// Why a number never comes: what it named is damaged, or a key of it was destroyed by retention.
const LOST: &str = "lost";
const DELETED: &str = "deleted";

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
        let mut found = Found::starting_at(1);
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
                Ok(entry) => entries.push(entry),
                Err(why) => self.gone(recipient, sequence, why)?,
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
                Ok(entry) => entries.push(entry),
                Err(why) => self.gone(recipient, sequence, why)?,
            }
        }
        Ok(entries)
    }

    /// A product's bytes or a key of it are gone for good: its number is accounted for.
    fn gone(&self, recipient: &RecipientId, sequence: u64, why: &'static str) -> Result<(), OutboxError> {
        if why == DELETED {
            tracing::warn!(%recipient, sequence, "a product waited for longer than what it says may be kept; it is reported as deleted");
        } else {
            tracing::error!(%recipient, sequence, "a product cannot be read any more; it is reported as lost");
        }
        self.settle(recipient, vec![sequence], Some(why)).map(|_| ())
    }

    /// A product that waits, or why it never will be sent.
    fn read(&self, sequence: u64, slot: Slot) -> io::Result<Result<Entry, &'static str>> {
        let item = match self.item(slot) {
            Err(e) if e.kind() != io::ErrorKind::InvalidData => return Err(e),
            item => item.ok(),
        };
        let Some(Item::Product { zone, class, situation, body, .. }) = item else { return Ok(Err(LOST)) };
        let keys = &self.0.keys;
        let opened = keys.open_blob(&body).ok_or(if keys.is_deleted(&body) { DELETED } else { LOST });
        Ok(opened.map(|body| Entry { sequence, zone, class, situation, body }))
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

/// A frozen CloudEvent under another number; `None` if it is none.
fn renumber(body: &[u8], epoch: u64, sequence: u64) -> Option<Vec<u8>> {
    let mut event: CloudEvent<Product> = serde_json::from_slice(body).ok()?;
    event.epoch = format!("{epoch:x}");
    event.id = format!("{epoch:x}.{sequence:020}");
    event.sequence = Some(format!("{sequence:020}"));
    serde_json::to_vec(&event).ok()
}
