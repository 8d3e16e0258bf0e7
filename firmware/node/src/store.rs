//! What a power cut must not take: the counter, unacknowledged frames, the tamper latch.
//!
//! Flash is a ring of pages. Each page opens with everything that is not a frame ([`Lasting`]), so that older pages are
//! needed for their frames only. One page ahead of the written one is always blank. To go on to it:
//!
//! 1. write its opening, and copies of the frames that the page *after* it still holds;
//! 2. close the page written so far: this one mark makes the new page the one that counts;
//! 3. erase the page after it, whose frames are all copied.
//!
//! Power may go at any point: before the mark the new page is erased and begun again, after it only the erasure is
//! repeated. What cannot be explained by a power cut (the page that counts does not read) **locks** the store: a counter
//! that might have been used is never used again.
//!
//! # Wear
//!
//! Routine frames stay in RAM while the gateway answers; an alarm costs about 64 bytes of flash. Pages are erased in turn.
//! A test counts the erasures of some days of a busy node and asks that ten years of them are less than flash is rated for.

mod pages;

use core::num::NonZeroU32;
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use heapless::Vec;
pub(crate) use pages::page_bytes;
use pages::{BUFFER, Buffer, FIRST_RECORD, LEAST_PAGES, Opening, Pages, Slot};
use quaywatch_schemas::frame::{PAYLOAD_BYTES, channel::CHANNELS, message::Stored};
use serde::{Deserialize, Serialize};

/// The most frames kept in flash.
///
/// With those in RAM and in the index they are fewer than the gateway's window holds
/// ([`WINDOW`](quaywatch_schemas::frame::window::WINDOW)): all of them can be on their way at a time.
pub(crate) const MOST_KEPT: usize = 224;
/// Room in the index beyond it, for frames that were acknowledged shortly before a power cut and come back.
const INDEX: usize = MOST_KEPT + 24;
/// Counters reserved at a time: one record per so many frames, and at most so many skipped per boot.
const RESERVE: u64 = 1024;
/// Acknowledgements are put into flash once so many frames were; a power cut before only makes frames come twice.
const ACKNOWLEDGED_AT_ONCE: u32 = 16;

pub(crate) type Payload = Vec<u8, PAYLOAD_BYTES>;

/// Why a node says nothing until it is enrolled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// Nobody has told it yet who it is.
    NotEnrolled,
    /// Its flash cannot hold a store: fewer than three pages.
    TooSmall,
    /// What is in flash does not read: which counters were used is not known.
    Unreadable,
    /// Flash does not do what it is told.
    Fails(NorFlashErrorKind),
}

/// What lasts besides frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lasting {
    format: u8,
    epoch: u64,
    reserved: u64,
    boots: u32,
    latched: bool,
    acknowledged_below: u64,
    routine_shed_below: u64,
    alarms_shed_below: u64,
    shed: [u32; CHANNELS],
}

const FORMAT: u8 = 1;

impl Lasting {
    /// Of the first boot under an epoch.
    const fn first(epoch: u64) -> Self {
        Self {
            format: FORMAT,
            epoch,
            reserved: 0,
            boots: 1,
            latched: false,
            acknowledged_below: 0,
            routine_shed_below: 0,
            alarms_shed_below: 0,
            shed: [0; CHANNELS],
        }
    }
}

/// A record in a page.
#[derive(Serialize, Deserialize)]
enum Entry<'a> {
    Reserved(u64),
    Boot(u32),
    Frame { counter: u64, alarm: bool, payload: &'a [u8] },
    Acknowledged { below: u64 },
    Shed { routine_below: u64, alarms_below: u64, counts: [u32; CHANNELS] },
    Latch(bool),
}

/// A frame in flash. Packed, because there are many: in words, so that it costs nothing to read one.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
pub(crate) struct Kept {
    pub(crate) counter: u64,
    pub(crate) alarm: bool,
    /// When it was sent last in this boot.
    pub(crate) sent: Option<Moment>,
    place: u32,
    size: u16,
}

/// A moment of the last 49 days, in the low bits of milliseconds since boot: there are many frames, and RAM is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(NonZeroU32);

impl Moment {
    pub(crate) fn at(now: crate::Millis) -> Self {
        Self(NonZeroU32::new(now as u32).unwrap_or(NonZeroU32::MIN))
    }

    /// Milliseconds from it to now.
    pub(crate) fn until(self, now: crate::Millis) -> u32 {
        Self::at(now).0.get().wrapping_sub(self.0.get())
    }
}

/// The store. Every method that writes leaves it usable if flash fails, and what was acknowledged to the caller in place.
pub(crate) struct Store<F> {
    pages: Pages<F>,
    active: u32,
    sequence: u32,
    end: u32,
    lasting: Lasting,
    next: u64,
    previous: Option<u64>,
    /// Rising counters.
    kept: Vec<Kept, INDEX>,
    acknowledged: u32,
    /// Whether the next page was erased to the end in this boot.
    spare_is_blank: bool,
}

impl<F: NorFlash> Store<F> {
    /// A store of which nothing was read yet, behind the first `skip` pages of flash.
    #[inline]
    pub(crate) fn new(flash: F, skip: u32) -> Self {
        Self {
            pages: Pages::new(flash, skip),
            active: 0,
            sequence: 0,
            end: FIRST_RECORD,
            lasting: Lasting::first(0),
            next: 0,
            previous: None,
            kept: Vec::new(),
            acknowledged: 0,
            spare_is_blank: false,
        }
    }

    /// Opens what is in flash, formats it if it is new, and begins the next boot.
    pub(crate) fn open(&mut self, entropy: u64) -> Result<(), Locked> {
        self.begin(entropy, false)
    }

    /// Erases whatever is there and begins the first boot under a new epoch.
    pub(crate) fn open_anew(&mut self, epoch: u64) -> Result<(), Locked> {
        self.begin(epoch, true)
    }

    /// Which boot this is, counted from 1.
    pub(crate) fn boot(&self) -> u32 {
        self.lasting.boots
    }

    /// Under which epoch its counters are.
    pub(crate) fn epoch(&self) -> u64 {
        self.lasting.epoch
    }

    /// The next counter that will be given out.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Gives out a counter, and how far before it the last one was. It is reserved in flash, so no later boot gives it
    /// out again.
    pub(crate) fn take_counter(&mut self) -> Result<(u64, u32), NorFlashErrorKind> {
        if self.next >= self.lasting.reserved {
            let reserved = self.next.saturating_add(RESERVE);
            // A reservation that may or may not be in flash holds in any case.
            self.append(&Entry::Reserved(reserved))?;
            self.lasting.reserved = reserved;
        }
        let counter = self.next;
        self.next += 1;
        let follows = self.previous.replace(counter).map_or(0, |before| counter - before);
        Ok((counter, u32::try_from(follows).unwrap_or(0)))
    }

    /// Keeps a frame. At the bound the oldest routine frames go, then, for an alarm, the oldest alarms; a routine frame
    /// that finds only alarms is not kept. What went is returned through `gone`, to be counted.
    pub(crate) fn keep(
        &mut self,
        counter: u64,
        alarm: bool,
        payload: &[u8],
        gone: &mut dyn FnMut(&[u8], &mut [u32; CHANNELS]),
    ) -> Result<(), NorFlashErrorKind> {
        let entry = Entry::Frame { counter, alarm, payload };
        let size = self.pages.size_of(payload.len() + FRAME_OVERHEAD);
        if !self.has_room(size, 1, 1) {
            self.shed(size, alarm, gone)?;
            if !self.has_room(size, 1, 1) {
                gone(payload, &mut self.lasting.shed);
                return Ok(());
            }
        }
        let (place, size) = self.append(&entry)?;
        let kept = Kept { counter, alarm, sent: None, place, size: size as u16 };
        let at = self.kept.partition_point(|other| other.counter < counter);
        // There is room: the index is larger than the bound.
        let _ = self.kept.insert(at, kept);
        Ok(())
    }

    /// The frames in flash, oldest first.
    pub(crate) fn kept(&mut self) -> &mut [Kept] {
        &mut self.kept
    }

    /// A frame's message; `None` if it is not kept, or what stands there is something else. That flash did not read this
    /// time does not say that it is lost.
    pub(crate) fn payload(&mut self, counter: u64) -> Result<Option<Payload>, NorFlashErrorKind> {
        let Some(kept) = self.kept.iter().find(|kept| kept.counter == counter) else { return Ok(None) };
        let (page, offset) = self.pages.page_of(kept.place);
        let sequence = self.sequence_of(page);
        Ok(match self.pages.read(page, sequence, offset, &mut { BUFFER })? {
            Slot::Record(body, _) => match postcard::from_bytes(body) {
                Ok(Entry::Frame { counter: found, payload, .. }) if found == counter => Vec::from_slice(payload).ok(),
                _ => None,
            },
            _ => None,
        })
    }

    /// Lets a frame go that does not read any more.
    pub(crate) fn forget(&mut self, counter: u64) {
        self.kept.retain(|kept| kept.counter != counter);
    }

    /// Lets go what the gateway has on disk.
    pub(crate) fn acknowledge(&mut self, stored: &Stored) -> Result<(), NorFlashErrorKind> {
        let before = self.kept.len();
        self.kept.retain(|kept| !stored.covers(kept.counter));
        self.acknowledged += (before - self.kept.len()) as u32;
        self.lasting.acknowledged_below = self.lasting.acknowledged_below.max(stored.below);
        if self.acknowledged >= ACKNOWLEDGED_AT_ONCE {
            self.acknowledged = 0;
            self.append(&Entry::Acknowledged { below: self.lasting.acknowledged_below })?;
        }
        Ok(())
    }

    /// The tamper latch.
    pub(crate) fn latched(&self) -> bool {
        self.lasting.latched
    }

    /// Sets or opens the tamper latch.
    pub(crate) fn set_latch(&mut self, latched: bool) -> Result<(), NorFlashErrorKind> {
        if self.lasting.latched != latched {
            self.append(&Entry::Latch(latched))?;
            self.lasting.latched = latched;
        }
        Ok(())
    }

    /// Writes a record that says nothing new, and reads it back.
    pub(crate) fn test(&mut self) -> Result<(), NorFlashErrorKind> {
        self.append(&Entry::Latch(self.lasting.latched)).map(|_| ())
    }

    /// How many words of each channel were let go and not told of yet.
    pub(crate) fn shed_counts(&mut self) -> &mut [u32; CHANNELS] {
        &mut self.lasting.shed
    }

    /// All of the node's flash, for what is not the store's.
    pub(crate) fn flash(&mut self) -> &mut F {
        self.pages.flash()
    }

    /// Gives the flash back, for who wants to boot again.
    pub(crate) fn release(self) -> F {
        self.pages.release()
    }

    fn begin(&mut self, epoch: u64, anew: bool) -> Result<(), Locked> {
        (self.active, self.sequence, self.end) = (0, 0, FIRST_RECORD);
        (self.next, self.previous, self.acknowledged) = (0, None, 0);
        self.lasting = Lasting::first(epoch);
        self.kept.clear();
        self.spare_is_blank = false;
        if !self.pages.fit() {
            return Err(Locked::TooSmall);
        }
        match if anew { None } else { newest(&mut self.pages)? } {
            Some((page, sequence)) => {
                (self.active, self.sequence) = (page, sequence);
                self.load()?;
            }
            None => self.format().map_err(Locked::Fails)?,
        }
        // Also if it reads blank: after an erasure that power cut short, that is no proof.
        self.pages.erase(self.after(self.active, 1)).map_err(Locked::Fails)?;
        self.spare_is_blank = true;
        self.append(&Entry::Boot(self.lasting.boots)).map(|_| ()).map_err(Locked::Fails)
    }

    fn format(&mut self) -> Result<(), NorFlashErrorKind> {
        for page in 0..self.pages.count() {
            self.pages.erase(page)?;
        }
        self.open_page(0, 0)
    }

    /// Reads the pages from the oldest that counts to the newest. The page after the newest is not read: whatever it
    /// held was copied before the newest began to count.
    fn load(&mut self) -> Result<(), Locked> {
        let (newest, sequence) = (self.active, self.sequence);
        let count = self.pages.count();
        let (mut torn, mut buffer) = (false, BUFFER);
        for step in 2..=count {
            let page = self.after(newest, step);
            let opening = self.pages.opening(page, &mut buffer).map_err(Locked::Fails)?;
            let Opening::Opened(found, opening) = opening else { continue };
            if sequence.checked_sub(count - step) != Some(found) {
                continue;
            }
            match postcard::from_bytes::<Lasting>(opening) {
                Ok(lasting) if lasting.format == FORMAT => self.lasting = lasting,
                _ if page == newest => return Err(Locked::Unreadable),
                _ => continue,
            }
            self.drop_gone();
            torn = self.load_records(page, found, &mut buffer)?;
        }
        // A record that was cut short may have been a reservation or a boot: step over what it may have said.
        self.next = self.lasting.reserved.saturating_add(if torn { RESERVE } else { 0 });
        self.lasting.boots = self.lasting.boots.saturating_add(if torn { 2 } else { 1 });
        self.lasting.reserved = self.next;
        self.previous = self.kept.last().map(|kept| kept.counter);
        Ok(())
    }

    /// Reads one page's records; says whether its last one was cut short.
    fn load_records(&mut self, page: u32, sequence: u32, buffer: &mut Buffer) -> Result<bool, Locked> {
        let mut offset = FIRST_RECORD;
        loop {
            match self.pages.read(page, sequence, offset, buffer).map_err(Locked::Fails)? {
                Slot::Record(body, next) => {
                    self.take_in(body, self.pages.place(page, offset), next - offset);
                    offset = next;
                }
                Slot::Blank => {
                    self.end = offset;
                    return Ok(false);
                }
                Slot::Bad => {
                    let tail = self.pages.is_tail(page, offset).map_err(Locked::Fails)?;
                    if page == self.active && !tail {
                        return Err(Locked::Unreadable);
                    }
                    self.end = self.pages.limit();
                    return Ok(true);
                }
            }
        }
    }

    fn take_in(&mut self, body: &[u8], place: u32, size: u32) {
        match postcard::from_bytes(body) {
            Ok(Entry::Reserved(reserved)) => self.lasting.reserved = reserved,
            Ok(Entry::Boot(boots)) => self.lasting.boots = boots,
            Ok(Entry::Latch(latched)) => self.lasting.latched = latched,
            Ok(Entry::Acknowledged { below }) => {
                self.lasting.acknowledged_below = below;
                self.drop_gone();
            }
            Ok(Entry::Shed { routine_below, alarms_below, counts }) => {
                self.lasting.routine_shed_below = routine_below;
                self.lasting.alarms_shed_below = alarms_below;
                self.lasting.shed = counts;
                self.drop_gone();
            }
            Ok(Entry::Frame { counter, alarm, .. }) => {
                let kept = Kept { counter, alarm, sent: None, place, size: size as u16 };
                match self.kept.binary_search_by_key(&counter, |other| other.counter) {
                    Ok(at) => self.kept[at] = kept,
                    Err(mut at) => {
                        if self.kept.is_full() {
                            // Acknowledged ones that came back; the oldest is the likeliest to be one.
                            let routine = self.kept.iter().position(|other| !other.alarm).unwrap_or(0);
                            self.kept.remove(routine);
                            at -= usize::from(routine < at);
                        }
                        let _ = self.kept.insert(at, kept);
                    }
                }
            }
            // A later version's record: what it means for this one is nothing.
            Err(_) => {}
        }
    }

    fn drop_gone(&mut self) {
        let lasting = &self.lasting;
        self.kept.retain(|kept| {
            let shed_below = if kept.alarm { lasting.alarms_shed_below } else { lasting.routine_shed_below };
            kept.counter >= lasting.acknowledged_below && kept.counter >= shed_below
        });
    }

    /// Whether a record of `size` fits while frames take at most `part` in `of` of what they may.
    fn has_room(&self, size: u32, part: u32, of: u32) -> bool {
        // Half of what the pages hold, one page being blank: then copying always finds more dead records than live ones.
        let most = (self.pages.count() - (LEAST_PAGES - 1)) * self.pages.room() / 2;
        let live: u32 = self.kept.iter().map(|kept| u32::from(kept.size)).sum();
        (live + size) * of <= most * part && (self.kept.len() as u32 + 1) * of <= MOST_KEPT as u32 * part
    }

    /// Makes room, an eighth more than needed so that it is not asked for again at once.
    #[inline(never)]
    fn shed(
        &mut self,
        size: u32,
        for_alarm: bool,
        gone: &mut dyn FnMut(&[u8], &mut [u32; CHANNELS]),
    ) -> Result<(), NorFlashErrorKind> {
        let mut any = false;
        while !self.has_room(size, 7, 8) {
            let routine = self.kept.iter().find(|kept| !kept.alarm).copied();
            let Some(victim) = routine.or_else(|| self.kept.first().copied().filter(|_| for_alarm)) else { break };
            if let Some(payload) = self.payload(victim.counter)? {
                gone(&payload, &mut self.lasting.shed);
            }
            let below = victim.counter + 1;
            match victim.alarm {
                true => self.lasting.alarms_shed_below = self.lasting.alarms_shed_below.max(below),
                false => self.lasting.routine_shed_below = self.lasting.routine_shed_below.max(below),
            }
            self.forget(victim.counter);
            any = true;
        }
        if any {
            let lasting = &self.lasting;
            let entry = Entry::Shed {
                routine_below: lasting.routine_shed_below,
                alarms_below: lasting.alarms_shed_below,
                counts: lasting.shed,
            };
            self.append(&entry)?;
        }
        Ok(())
    }

    /// Writes a record; says where it stands and what it takes.
    fn append(&mut self, entry: &Entry<'_>) -> Result<(u32, u32), NorFlashErrorKind> {
        let mut bytes = [0; pages::MOST_BODY];
        let body = postcard::to_slice(entry, &mut bytes).map_err(|_| NorFlashErrorKind::OutOfBounds)?;
        let size = self.pages.size_of(body.len());
        for _ in 0..=self.pages.count() {
            if self.end + size <= self.pages.limit() {
                let at = self.end;
                // Whatever a failed write left behind is not written over.
                self.end = self.pages.limit();
                self.end = self.pages.write(self.active, self.sequence, at, body)?;
                return Ok((self.pages.place(self.active, at), size));
            }
            self.advance()?;
        }
        Err(NorFlashErrorKind::OutOfBounds)
    }

    /// Goes on to the next page.
    #[inline(never)]
    fn advance(&mut self) -> Result<(), NorFlashErrorKind> {
        let (next, old) = (self.after(self.active, 1), self.after(self.active, 2));
        let sequence = self.sequence + 1;
        if !core::mem::take(&mut self.spare_is_blank) {
            self.pages.erase(next)?;
        }
        self.open_page(next, sequence)?;
        let (mut end, old_sequence, mut buffer) = (FIRST_RECORD, self.sequence_of(old), BUFFER);
        // Until the new page counts, the old places do.
        for kept in &mut self.kept {
            let (page, offset) = self.pages.page_of(kept.place);
            if page != old {
                continue;
            }
            match self.pages.read(page, old_sequence, offset, &mut buffer)? {
                Slot::Record(body, _) => end = self.pages.write(next, sequence, end, body)?,
                // It is lost whatever is done.
                _ => kept.size = 0,
            }
        }
        self.pages.close(self.active)?;
        self.kept.retain(|kept| kept.size > 0);
        let (pages, mut place) = (&self.pages, self.pages.place(next, FIRST_RECORD));
        for kept in self.kept.iter_mut().filter(|kept| pages.page_of(kept.place).0 == old) {
            kept.place = place;
            place += u32::from(kept.size);
        }
        (self.active, self.sequence, self.end) = (next, sequence, end);
        self.pages.erase(old)?;
        self.spare_is_blank = true;
        Ok(())
    }

    fn open_page(&mut self, page: u32, sequence: u32) -> Result<(), NorFlashErrorKind> {
        let mut bytes = [0; pages::MOST_BODY];
        let content = postcard::to_slice(&self.lasting, &mut bytes[4..]).map_err(|_| NorFlashErrorKind::OutOfBounds)?;
        let end = 4 + content.len();
        self.pages.open(page, sequence, &mut bytes[..end])
    }

    fn after(&self, page: u32, steps: u32) -> u32 {
        (page + steps) % self.pages.count()
    }

    /// The sequence number of a page that is older than the active one, or is it.
    fn sequence_of(&self, page: u32) -> u32 {
        let behind = (self.active + self.pages.count() - page) % self.pages.count();
        self.sequence.wrapping_sub(behind)
    }
}

/// What a frame's record has besides its message, at most: kind, counter, class, length.
const FRAME_OVERHEAD: usize = 1 + 10 + 1 + 2;

/// The page that counts and its sequence number; `None` if flash is new.
fn newest<F: NorFlash>(pages: &mut Pages<F>) -> Result<Option<(u32, u32)>, Locked> {
    let (mut newest, mut unexplained, mut buffer) = (None::<(u32, u32)>, false, BUFFER);
    for page in 0..pages.count() {
        match pages.opening(page, &mut buffer).map_err(Locked::Fails)? {
            Opening::Opened(sequence, _) if newest.is_none_or(|(_, best)| sequence > best) => {
                newest = Some((page, sequence));
            }
            Opening::Damaged => unexplained = true,
            _ => {}
        }
    }
    let Some((page, sequence)) = newest else {
        return if unexplained { Err(Locked::Unreadable) } else { Ok(None) };
    };
    // The page before it says whether it counts already.
    let before = (page + pages.count() - 1) % pages.count();
    let (mut page, mut sequence) = (page, sequence);
    if let Opening::Opened(found, _) = pages.opening(before, &mut buffer).map_err(Locked::Fails)?
        && Some(found) == sequence.checked_sub(1)
        && !pages.is_closed(before).map_err(Locked::Fails)?
    {
        (page, sequence) = (before, found);
    }
    // Closed means that a newer one counts, and that does not read.
    if pages.is_closed(page).map_err(Locked::Fails)? { Err(Locked::Unreadable) } else { Ok(Some((page, sequence))) }
}

#[cfg(test)]
mod tests;
