//! What systems of record state. Stale is unknown: a booking list from yesterday must not accuse anybody.
//!
//! Bookings are found by what points to them: a plate that is at most two letters off, a tag, a driver's credential, a
//! container. A plate of two errors has at least one of its three parts right (pigeonhole), so looking the parts up finds
//! every candidate without reading the list.

use crate::{bounds::REFERENCES, plates::Letters, trails::handle_of};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quaywatch_schemas::{
    FeedId, Reference, Site, WallTime, ZoneId,
    reference::{Booking, Fact, References, Role},
    sealed::Handle,
};
use serde::{Deserialize, Serialize};

/// All statements in force.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Statements {
    feeds: BTreeMap<FeedId, Feed>,
    /// Goes up whenever a feed says something.
    version: u64,
    /// Made from the feeds.
    #[serde(skip)]
    index: BookingIndex,
    /// Where each holder's roles are stated: by feed and key.
    holders: BTreeMap<Handle, BTreeSet<(FeedId, String)>>,
    /// Statements there was no room for.
    let_go: u64,
}

/// What systems of record say of one credential's holder at one moment.
pub(crate) struct Duty<'a> {
    /// All roles that hold, never none.
    pub(crate) roles: Vec<&'a Role>,
    /// How far the statements have aged: 0 as they are made, 1 when they become stale.
    pub(crate) age: f64,
}

/// Where bookings are, by what points to them. Numbers are places in `keys`.
#[derive(Debug, Clone, Default)]
struct BookingIndex {
    keys: Vec<(FeedId, String)>,
    /// Their plates, by number.
    plates: Vec<Letters>,
    /// Only ever asked for one key, and the numbers of an entry are in order: no order of entries decides anything.
    by_part: HashMap<Part, Vec<u32>, FixedState>,
    by_tag: BTreeMap<String, Vec<u32>>,
    by_driver: BTreeMap<Handle, Vec<u32>>,
    by_container: BTreeMap<Letters, Vec<u32>>,
    count: BTreeMap<FeedId, usize>,
}

/// A third of a plate: how long the plate is, which third, and its letters, a byte each.
type Part = u64;

/// The bookings that hold at a moment in a zone.
pub(crate) struct List<'a> {
    statements: &'a Statements,
    site: &'a Site,
    zone: &'a ZoneId,
    at: WallTime,
    size: usize,
}

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Booked<'a> {
    pub(crate) number: usize,
    pub(crate) booking: &'a Booking,
    /// Its plate's letters; none if the plate is sealed.
    pub(crate) letters: &'a Letters,
}

/// Errors a read may have and still point to a booking.
const MOST_EDITS: usize = 2;
/// The nearest so many bookings compete for a read.
const CANDIDATES: usize = 16;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Feed {
    as_of: WallTime,
    statements: BTreeMap<String, Reference>,
}

impl Statements {
    /// Takes what a feed states. `key` makes the handles of holders that have none.
    pub(crate) fn take(&mut self, said: &References, key: &[u8; 32]) {
        let held: usize = self.feeds.values().map(|feed| feed.statements.len()).sum();
        let feed = self.feeds.entry(said.feed.clone()).or_default();
        // A whole list that was overtaken by a newer one says nothing any more.
        if said.complete && said.as_of < feed.as_of {
            return;
        }
        feed.as_of = feed.as_of.max(said.as_of);
        let mut room = REFERENCES.saturating_sub(held);
        if said.complete {
            room += feed.statements.len();
            feed.statements.clear();
            self.holders.retain(|_, stated| {
                stated.retain(|(feed, _)| *feed != said.feed);
                !stated.is_empty()
            });
        }
        for statement in &said.statements {
            let newer = feed.statements.get(&statement.key).is_none_or(|held| held.version <= statement.version);
            let known = feed.statements.contains_key(&statement.key);
            if newer && (known || room > 0) {
                room -= usize::from(!known);
                let stated_in = (said.feed.clone(), statement.key.clone());
                let before = feed.statements.insert(statement.key.clone(), statement.clone());
                if let Some(holder) = before.as_ref().and_then(|before| holder(before, key)) {
                    self.holders.entry(holder).or_default().remove(&stated_in);
                }
                if let Some(holder) = holder(statement, key) {
                    self.holders.entry(holder).or_default().insert(stated_in);
                }
            } else if newer {
                self.let_go += 1;
            }
        }
        self.version += 1;
        self.index_anew();
    }

    /// Goes up whenever a feed says something: what was concluded of an older one may not hold.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn let_go(&self) -> u64 {
        self.let_go
    }

    /// Makes the index anew: after a feed said something, and after a snapshot.
    pub(crate) fn index_anew(&mut self) {
        let mut index = BookingIndex::default();
        for (id, feed) in &self.feeds {
            for (key, statement) in &feed.statements {
                if let Fact::Booking(booking) = &statement.fact {
                    index.add(id, key, booking);
                }
            }
        }
        self.index = index;
    }

    /// The bookings that hold at a moment in a zone, from feeds that are not stale.
    pub(crate) fn booked<'a>(&'a self, site: &'a Site, zone: &'a ZoneId, at: WallTime) -> List<'a> {
        let fresh = self.index.count.iter().filter(|(id, _)| self.is_fresh_feed(id, site, at));
        let size = fresh.map(|(_, count)| count).sum();
        List { statements: self, site, zone, at, size }
    }

    /// Whose tag it is, whatever the list says of when and where.
    pub(crate) fn owner_of_tag(&self, tag: &str) -> Option<&Booking> {
        let number = self.index.by_tag.get(tag)?.first()?;
        self.booking(*number as usize).map(|(booking, _, _)| booking)
    }

    fn booking(&self, number: usize) -> Option<(&Booking, &FeedId, &Reference)> {
        let (id, key) = self.index.keys.get(number)?;
        let statement = self.feeds.get(id)?.statements.get(key)?;
        match &statement.fact {
            Fact::Booking(booking) => Some((booking, id, statement)),
            _ => None,
        }
    }

    fn is_fresh_feed(&self, id: &FeedId, site: &Site, at: WallTime) -> bool {
        let feed = self.feeds.get(id);
        feed.is_some_and(|feed| site.feeds.get(id).is_some_and(|max_age| is_fresh(feed.as_of, at, *max_age)))
    }

    /// What a holder may do at a moment, from feeds that are not stale; `None` if none of them says anything.
    pub(crate) fn duty<'a>(&'a self, site: &Site, holder: &Handle, at: WallTime) -> Option<Duty<'a>> {
        let mut duty = Duty { roles: Vec::new(), age: 0.0 };
        for (feed_id, key) in self.holders.get(holder)? {
            let (Some(feed), Some(max_age)) = (self.feeds.get(feed_id), site.feeds.get(feed_id)) else { continue };
            let stated =
                feed.statements.get(key).filter(|stated| holds(stated, at) && is_fresh(feed.as_of, at, *max_age));
            if let Some(Fact::Role(role)) = stated.map(|stated| &stated.fact) {
                duty.roles.push(role);
                let age = at.0.saturating_sub(feed.as_of.0).max(0) as f64 / max_age.as_nanos().max(1) as f64;
                duty.age = duty.age.max(age);
            }
        }
        (!duty.roles.is_empty()).then_some(duty)
    }

    /// Whether a feed that is not stale says that work is allowed in a zone.
    pub(crate) fn allow_work(&self, site: &Site, zone: &ZoneId, at: WallTime) -> bool {
        self.fresh(site, at)
            .any(|(reference, _)| matches!(&reference.fact, Fact::WorkOrder { zone: allowed } if allowed == zone))
    }

    fn fresh<'a>(&'a self, site: &'a Site, at: WallTime) -> impl Iterator<Item = (&'a Reference, WallTime)> + 'a {
        let feeds = self.feeds.iter().filter(move |(id, _)| self.is_fresh_feed(id, site, at));
        feeds.flat_map(move |(_, feed)| {
            let holding = feed.statements.values().filter(move |statement| holds(statement, at));
            holding.map(move |statement| (statement, feed.as_of))
        })
    }
}

impl BookingIndex {
    fn add(&mut self, feed: &FeedId, key: &str, booking: &Booking) {
        let number = self.keys.len() as u32;
        self.keys.push((feed.clone(), key.into()));
        self.plates.push(Letters::of(booking.plate.as_clear().unwrap_or_default()));
        *self.count.entry(feed.clone()).or_default() += 1;
        if let Some(plate) = booking.plate.as_clear() {
            let letters = Letters::of(plate);
            for third in 0..3 {
                if let Some(part) = part(letters.as_bytes().len(), third, letters.as_bytes(), 0) {
                    self.by_part.entry(part).or_default().push(number);
                }
            }
        }
        if let Some(tag) = booking.tag.as_ref().and_then(|tag| tag.as_clear()) {
            self.by_tag.entry(tag.into()).or_default().push(number);
        }
        if let Some(driver) = booking.driver.as_ref().and_then(|driver| driver.handle) {
            self.by_driver.entry(driver).or_default().push(number);
        }
        for code in booking.containers.iter().filter_map(|code| code.as_clear()) {
            self.by_container.entry(Letters::of(code)).or_default().push(number);
        }
    }
}

/// The part of a text that would be a third of a plate of some length, if so many letters were added or lost before it.
fn part(length: usize, third: usize, text: &[u8], shift: isize) -> Option<Part> {
    let (from, until) = (length * third / 3, length * (third + 1) / 3);
    let (from, until) = (from.checked_add_signed(shift)?, until.checked_add_signed(shift)?);
    let text = text.get(from..until).filter(|part| !part.is_empty())?;
    let mut part = [length as u8, third as u8, 0, 0, 0, 0, 0, 0];
    part.get_mut(2..2 + text.len())?.copy_from_slice(text);
    Some(u64::from_le_bytes(part))
}

impl<'a> List<'a> {
    /// How many there are, about: those of other zones and hours are counted too.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Those whose plate is at most two letters off, nearest first.
    pub(crate) fn near(&self, read: &Letters) -> Vec<Booked<'a>> {
        let index = &self.statements.index;
        let text = read.as_bytes();
        let mut numbers: Vec<u32> = Vec::new();
        for length in text.len().saturating_sub(MOST_EDITS)..=text.len() + MOST_EDITS {
            let longer = text.len().cast_signed() - length.cast_signed();
            // A part that is so many letters off has at least as many letters added or lost before it, and after it as
            // many as bring the whole to its length.
            let could = |shift: &isize| shift.unsigned_abs() + (longer - shift).unsigned_abs() <= MOST_EDITS;
            for third in 0..3 {
                for shift in (-(MOST_EDITS as isize)..=MOST_EDITS as isize).filter(could) {
                    let found = part(length, third, text, shift).and_then(|part| index.by_part.get(&part));
                    numbers.extend(found.into_iter().flatten());
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        // How far off a plate is costs less to know than whether its booking holds.
        let mut near: Vec<(usize, Booked<'a>)> = numbers
            .into_iter()
            .filter_map(|number| {
                let edits = index.plates.get(number as usize)?.edits(read);
                (edits <= MOST_EDITS).then_some((edits, self.holding(number)?))
            })
            .collect();
        near.sort_by_key(|(edits, booked)| (*edits, booked.number));
        near.into_iter().take(CANDIDATES).map(|(_, booked)| booked).collect()
    }

    /// Those that name a tag.
    pub(crate) fn with_tag(&self, tag: &str) -> impl Iterator<Item = Booked<'a>> {
        self.all(self.statements.index.by_tag.get(tag))
    }

    /// Those whose driver will show a credential.
    pub(crate) fn with_driver(&self, driver: Handle) -> impl Iterator<Item = Booked<'a>> {
        self.all(self.statements.index.by_driver.get(&driver))
    }

    /// Those that name a container.
    pub(crate) fn with_container(&self, code: &Letters) -> impl Iterator<Item = Booked<'a>> {
        self.all(self.statements.index.by_container.get(code))
    }

    fn all(&self, numbers: Option<&'a Vec<u32>>) -> impl Iterator<Item = Booked<'a>> {
        numbers.into_iter().flatten().filter_map(|number| self.holding(*number)).take(CANDIDATES)
    }

    fn holding(&self, number: u32) -> Option<Booked<'a>> {
        let statements = self.statements;
        let (booking, feed, statement) = statements.booking(number as usize)?;
        let here = booking.zones.is_empty() || booking.zones.contains(self.zone);
        let fresh = statements.is_fresh_feed(feed, self.site, self.at);
        let letters = statements.index.plates.get(number as usize)?;
        (here && fresh && holds(statement, self.at)).then_some(Booked { number: number as usize, booking, letters })
    }
}

fn holds(statement: &Reference, at: WallTime) -> bool {
    statement.valid_from.is_none_or(|from| from <= at) && statement.valid_until.is_none_or(|until| at <= until)
}

fn holder(statement: &Reference, key: &[u8; 32]) -> Option<Handle> {
    match &statement.fact {
        Fact::Role(role) => handle_of(&role.holder, key),
        _ => None,
    }
}

/// A list from the future is as little worth as an old one: its clock is wrong, so its age is unknown.
fn is_fresh(as_of: WallTime, at: WallTime, max_age: Duration) -> bool {
    at.before(max_age) <= as_of && as_of <= at.after(max_age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use quaywatch_schemas::{
        Private, SiteId,
        sealed::Identity,
        site::{Rules, Status},
    };

    const KEY: [u8; 32] = [7; 32];
    const HOUR: i64 = 3_600_000_000_000;

    fn site() -> Site {
        Site {
            locode: "NLRTM".into(),
            id: SiteId::new("gate-2").unwrap(),
            timezone: "Europe/Amsterdam".into(),
            status: Status::Actual,
            zones: BTreeMap::new(),
            sensors: BTreeMap::new(),
            rules: Rules::default(),
            feeds: [(roster(), Duration::from_secs(24 * 3600))].into(),
            utc_offsets: Vec::new(),
            grid: None,
            patterns: Default::default(),
        }
    }

    fn roster() -> FeedId {
        FeedId::new("roster").unwrap()
    }

    fn badge(name: &str) -> Identity {
        Identity { handle: None, value: Private::clear(name) }
    }

    fn said(complete: bool, roles: &[(&str, &str, &str)]) -> References {
        let statements = roles.iter().map(|(key, holder, role)| {
            let role = Role { holder: badge(holder), role: (*role).into(), zones: vec![], shifts: vec![] };
            Reference { key: (*key).into(), valid_from: None, valid_until: None, version: 1, fact: Fact::Role(role) }
        });
        References { feed: roster(), as_of: WallTime(0), complete, statements: statements.collect() }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_what_is_known_is_still_brought_up_to_date() {
        let keys: Vec<_> = (0..REFERENCES + 3).map(|number| alloc::format!("{number:05}")).collect();
        let list: Vec<_> = keys.iter().map(|key| (key.as_str(), key.as_str(), "driver")).collect();
        let mut statements = Statements::default();
        statements.take(&said(false, &list), &KEY);
        assert_eq!(statements.let_go(), 3);
        statements.take(&said(false, &[("00000", "00000", "guard")]), &KEY);
        assert_eq!(statements.let_go(), 3);
        assert_eq!(roles(&statements, "00000", HOUR), Some(vec!["guard".into()]));
        assert_eq!(roles(&statements, "20001", HOUR), None);
    }

    fn roles(statements: &Statements, holder: &str, at: i64) -> Option<Vec<String>> {
        let holder = handle_of(&badge(holder), &KEY).unwrap();
        let duty = statements.duty(&site(), &holder, WallTime(at))?;
        Some(duty.roles.iter().map(|role| role.role.clone()).collect())
    }

    #[test]
    fn a_holder_has_the_roles_that_are_stated_now_and_none_of_those_that_were_replaced() {
        let mut statements = Statements::default();
        statements.take(&said(true, &[("1", "a", "docker"), ("2", "a", "fireman"), ("3", "b", "clerk")]), &KEY);
        assert_eq!(roles(&statements, "a", 0), Some(vec!["docker".into(), "fireman".into()]));
        statements.take(&said(false, &[("2", "b", "fireman")]), &KEY);
        assert_eq!(roles(&statements, "a", 0), Some(vec!["docker".into()]));
        assert_eq!(roles(&statements, "b", 0), Some(vec!["fireman".into(), "clerk".into()]));
        statements.take(&said(true, &[("9", "c", "clerk")]), &KEY);
        assert_eq!((roles(&statements, "a", 0), roles(&statements, "b", 0)), (None, None));
        assert_eq!(roles(&statements, "c", 0), Some(vec!["clerk".into()]));
    }

    #[test]
    fn a_stale_roster_says_nothing_and_an_old_one_says_how_old_it_is() {
        let mut statements = Statements::default();
        statements.take(&said(true, &[("1", "a", "docker")]), &KEY);
        let holder = handle_of(&badge("a"), &KEY).unwrap();
        assert_eq!(statements.duty(&site(), &holder, WallTime(6 * HOUR)).map(|duty| duty.age), Some(0.25));
        assert!(statements.duty(&site(), &holder, WallTime(25 * HOUR)).is_none());
    }
}
