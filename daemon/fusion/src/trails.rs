//! Trails: one credential's way through the site's readers, in the order it was, not in the order it was heard.
//!
//! Readers deliver late, twice and out of order, and their clocks differ. A read is therefore held until what happened
//! before it should have been heard ([`SETTLE`]), and only then shown to the rules. One that comes later still is put where
//! it belongs, and every read after it is looked at again: what was said of them may be wrong now. A holder is a handle all
//! the way; the credential itself is not kept.

use crate::bounds::{READS_PER_TRAIL, READS_WAITING, TRAILS};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{fmt::Write, time::Duration};
use quaywatch_schemas::{
    GatewayTime, Position, Private, SensorId, Site, Stamp, WallTime, ZoneId,
    observation::{AccessDecision, Credential},
    sealed::{Handle, Identity},
    site::{Clock, Direction, Role, Sensor, ZoneKind},
    situation::{IdentityKind, Subject, SubjectIdentity},
};
use serde::{Deserialize, Serialize};

/// Everything that is known of credentials, site-wide.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Trails {
    trails: BTreeMap<Handle, Trail>,
    /// Reads that are not looked at yet, by when they will be.
    waiting: BTreeMap<(GatewayTime, WallTime, Position), (Handle, Read)>,
    /// Reads heard of each reader with a time of its own: how well its clock is known.
    words: BTreeMap<SensorId, u32>,
    /// Trails and reads that were let go at a bound.
    let_go: u64,
}

/// One credential's reads, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Trail {
    pub(crate) reads: Vec<Read>,
    /// How many reads there ever were.
    pub(crate) visits: u32,
    /// When the first of them was.
    pub(crate) since: WallTime,
    last_seen: GatewayTime,
}

/// One credential at one reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) reader: SensorId,
    pub(crate) zone: ZoneId,
    /// Which way the reader lets people, seen from its zone.
    pub(crate) leads: Option<Direction>,
    /// When, corrected for the reader's clock.
    pub(crate) at: WallTime,
    /// How much earlier it may have been.
    pub(crate) slack: Duration,
    pub(crate) received: GatewayTime,
    pub(crate) position: Position,
    pub(crate) access: Access,
    /// Told as it happened, not kept back by the reader.
    pub(crate) live: bool,
    /// What the reader's own clock said: the same word said twice says the same.
    claimed: Option<WallTime>,
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    /// The holder was let through.
    Granted,
    /// The holder was refused.
    Denied,
    /// The holder was let through, and did not go.
    NotTaken,
}

/// A read that is looked at, in its trail.
#[derive(Clone, Copy)]
pub(crate) struct TrailEvent<'a> {
    pub(crate) holder: Handle,
    pub(crate) trail: &'a Trail,
    /// Which of the trail's reads.
    pub(crate) index: usize,
    /// It was looked at before; what came before it has changed since, or what became of it.
    pub(crate) again: bool,
}

/// A read that was put into its trail, and what is to be looked at for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) holder: Handle,
    new: Option<usize>,
    again: Vec<usize>,
}

/// What is inside a reader: two readers of one area let people into and out of the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Area<'a> {
    /// The site: gates, lanes and turnstiles stand around all of it.
    Site,
    /// What lies behind one zone's own doors: a room, a ship.
    Zone(&'a ZoneId),
}

/// A read is looked at this long after it happened, or when it comes. 98 of 100 words of networked readers come within a
/// second; what comes later is looked at when it comes.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
/// A word that is later than this is not live: what was concluded without it stays.
pub(crate) const LATEST: Duration = Duration::from_secs(60);
/// The same credential at the same reader at the same time is the same read.
const SAME_READ: Duration = Duration::from_millis(50);
/// An access system says that nobody passed within this time of the grant.
const NOT_TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// A credential as it was heard.
pub(crate) struct Heard<'a> {
    pub(crate) sensor: &'a SensorId,
    pub(crate) spec: &'a Sensor,
    pub(crate) credential: &'a Credential,
    pub(crate) at: WallTime,
    pub(crate) claimed: Option<WallTime>,
    pub(crate) live: bool,
}

impl Trails {
    /// Takes a credential that was heard; it is looked at when it is due.
    pub(crate) fn take(&mut self, heard: &Heard<'_>, key: &[u8; 32], site: &Site, stamp: &Stamp) {
        if !matches!(heard.spec.role, Role::Reader | Role::Grant) {
            return;
        }
        let Some(holder) = handle_of(&heard.credential.holder, key) else { return };
        let slack = self.slack(heard);
        let read = Read {
            reader: heard.sensor.clone(),
            zone: heard.spec.zone.clone(),
            leads: leads(heard.spec, site),
            at: heard.at,
            slack,
            received: stamp.gateway,
            position: stamp.position,
            access: match heard.credential.decision {
                AccessDecision::Granted | AccessDecision::Duress => Access::Granted,
                AccessDecision::Denied(_) => Access::Denied,
                AccessDecision::NotTaken => Access::NotTaken,
            },
            live: heard.live,
            claimed: heard.claimed,
        };
        // The longest waited for is the nearest to being looked at anyway.
        if self.waiting.len() == READS_WAITING
            && let Some((_, (holder, read))) = self.waiting.pop_first()
        {
            self.let_go += 1;
            self.put(holder, read);
        }
        self.waiting.insert((ready_at(&read, stamp), read.at, read.position), (holder, read));
    }

    pub(crate) fn let_go(&self) -> u64 {
        self.let_go
    }

    /// When the next read is looked at.
    pub(crate) fn next_due(&self) -> Option<GatewayTime> {
        self.waiting.keys().next().map(|(due, ..)| *due)
    }

    /// Puts the next read that is due into its trail. Nothing is to be looked at if it was said before.
    pub(crate) fn release(&mut self, now: GatewayTime) -> Option<Released> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let (holder, read) = first.remove();
        let (new, again) = self.put(holder, read);
        Some(Released { holder, new, again })
    }

    pub(crate) fn of(&self, holder: &Handle) -> Option<&Trail> {
        self.trails.get(holder)
    }

    fn put(&mut self, holder: Handle, read: Read) -> (Option<usize>, Vec<usize>) {
        if !self.trails.contains_key(&holder)
            && self.trails.len() == TRAILS
            && let Some(longest_unseen) = self.trails.iter().min_by_key(|(_, trail)| trail.last_seen).map(|(it, _)| *it)
        {
            self.trails.remove(&longest_unseen);
            self.let_go += 1;
        }
        let trail = self.trails.entry(holder).or_default();
        trail.last_seen = trail.last_seen.max(read.received);
        trail.put(read)
    }

    /// How much earlier than its corrected time a read may have been. A reader's offset is that of its promptest word: of few
    /// words all may have been late.
    fn slack(&mut self, heard: &Heard<'_>) -> Duration {
        if heard.claimed.is_none() {
            // Its receipt is all there is; the line may have held it.
            return Duration::from_secs(2);
        }
        if !heard.live {
            return LATEST;
        }
        let words = self.words.entry(heard.sensor.clone()).or_default();
        *words = words.saturating_add(1);
        match (heard.spec.clock, *words) {
            (Clock::Synchronised, _) => Duration::from_millis(100),
            (Clock::Free, ..=1) => Duration::from_secs(30),
            (Clock::Free, 2) => Duration::from_secs(10),
            (Clock::Free, 3..=4) => Duration::from_secs(3),
            (Clock::Free, _) => Duration::from_secs(1),
        }
    }
}

impl Trail {
    /// Puts a read where it belongs. Gives where, and which reads are to be looked at again: those after it, unless they are
    /// so old that what was concluded from them stays.
    fn put(&mut self, read: Read) -> (Option<usize>, Vec<usize>) {
        if read.access == Access::NotTaken
            && let Some(granted) = self.reads.iter().rposition(|before| read.takes_back(before))
        {
            self.reads[granted].access = Access::NotTaken;
            return (None, self.open_from(granted, read.received));
        }
        if self.reads.iter().any(|before| read.repeats(before)) {
            return (None, Vec::new());
        }
        let mut index = self.reads.partition_point(|before| (before.at, before.position) < (read.at, read.position));
        if self.reads.len() == READS_PER_TRAIL {
            if index == 0 {
                return (None, Vec::new());
            }
            self.reads.remove(0);
            index -= 1;
        }
        self.since = if self.visits == 0 { read.at } else { self.since.min(read.at) };
        self.visits = self.visits.saturating_add(1);
        let (live, now) = (read.live, read.received);
        self.reads.insert(index, read);
        // What was kept back is no news; what it says about the reads after it is.
        (live.then_some(index), self.open_from(index + 1, now))
    }

    fn open_from(&self, first: usize, now: GatewayTime) -> Vec<usize> {
        let later = self.reads.iter().enumerate().skip(first);
        later.filter(|(_, read)| now.since(read.received) < LATEST).map(|(index, _)| index).collect()
    }
}

impl Read {
    /// Which area it leads into or out of.
    pub(crate) fn area<'a>(&'a self, site: &Site) -> Area<'a> {
        area(&self.zone, site)
    }

    /// Whether its holder went through, as far as is known.
    pub(crate) fn went_through(&self) -> bool {
        self.access == Access::Granted
    }

    fn repeats(&self, before: &Self) -> bool {
        let apart = match (self.claimed, before.claimed) {
            // The estimate of the clock's offset may have changed in between.
            (Some(one), Some(other)) => one.0.abs_diff(other.0),
            _ => self.at.0.abs_diff(before.at.0),
        };
        self.reader == before.reader && Duration::from_nanos(apart) <= SAME_READ
    }

    fn takes_back(&self, before: &Self) -> bool {
        let after = Duration::from_nanos(u64::try_from(self.at.0.saturating_sub(before.at.0)).unwrap_or(0));
        self.reader == before.reader
            && before.access != Access::Denied
            && before.at <= self.at.after(SAME_READ)
            && after <= NOT_TAKEN_WITHIN
    }
}

impl Released {
    /// Which of the trail's reads are to be looked at, in order, and whether again.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.new.iter().map(|index| (*index, false)).chain(self.again.iter().map(|index| (*index, true)))
    }
}

impl<'a> TrailEvent<'a> {
    /// The read that is looked at.
    pub(crate) fn read(&self) -> &'a Read {
        &self.trail.reads[self.index]
    }

    /// Those before it, oldest first.
    pub(crate) fn before(&self) -> &'a [Read] {
        &self.trail.reads[..self.index]
    }
}

/// The area around which a zone's readers stand.
pub(crate) fn area<'a>(zone: &'a ZoneId, site: &Site) -> Area<'a> {
    match site.zones.get(zone).map(|zone| zone.kind) {
        Some(ZoneKind::Lane | ZoneKind::Gate | ZoneKind::Turnstile) => Area::Site,
        _ => Area::Zone(zone),
    }
}

/// Which way a reader lets people. A lane's kiosk leads the way of its lane.
pub(crate) fn leads(spec: &Sensor, site: &Site) -> Option<Direction> {
    let of_zone = || site.zones.get(&spec.zone).and_then(|zone| zone.direction);
    spec.leads.or_else(|| of_zone().filter(|_| spec.role == Role::Grant))
}

/// The stand-in for a person. The ledger makes it at intake; a log without handles gets one here, with the engine's key.
pub(crate) fn handle_of(identity: &Identity, key: &[u8; 32]) -> Option<Handle> {
    identity.handle.or_else(|| identity.value.as_clear().map(|clear| Handle::of(clear, key)))
}

/// A credential's holder as the subject of a situation. What recipients see of the handle is their own pseudonym.
pub(crate) fn holder_as_subject(role: &str, holder: Handle, read_by: Vec<SensorId>) -> Subject {
    let mut name = String::with_capacity(2 * holder.0.len());
    for byte in holder.0 {
        // Writing to a string never fails.
        let _ = write!(name, "{byte:02x}");
    }
    let identity = SubjectIdentity {
        kind: IdentityKind::Handle,
        value: Private::clear(name),
        probability: 1.0,
        alternatives: Vec::new(),
        read_by,
    };
    Subject { role: role.into(), identities: alloc::vec![identity] }
}

/// When a read is looked at: once others from before it should have come; one that is late itself, at once.
fn ready_at(read: &Read, stamp: &Stamp) -> GatewayTime {
    let left = read.at.after(SETTLE).0.saturating_sub(stamp.wall.0);
    stamp.gateway.after(Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
