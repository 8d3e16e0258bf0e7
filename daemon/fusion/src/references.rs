//! What systems of record state. Stale is unknown: a booking list from yesterday must not accuse anybody.

use crate::bounds::REFERENCES;
use crate::trails::handle_of;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;
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
    /// Where each holder's roles are stated: by feed and key.
    holders: BTreeMap<Handle, BTreeSet<(FeedId, String)>>,
}

/// What systems of record say of one credential's holder at one moment.
pub(crate) struct Duty<'a> {
    /// All roles that hold, never none.
    pub(crate) roles: Vec<&'a Role>,
    /// How far the statements have aged: 0 as they are made, 1 when they become stale.
    pub(crate) age: f64,
}

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
            }
        }
    }

    /// Bookings that hold at a moment in a zone, from feeds that are not stale.
    pub(crate) fn bookings<'a>(
        &'a self,
        site: &'a Site,
        zone: &'a ZoneId,
        at: WallTime,
    ) -> impl Iterator<Item = (&'a Booking, WallTime)> + 'a {
        self.fresh(site, at).filter_map(move |(reference, as_of)| match &reference.fact {
            Fact::Booking(booking) if booking.zones.is_empty() || booking.zones.contains(zone) => {
                Some((booking, as_of))
            }
            _ => None,
        })
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
        let feeds = self
            .feeds
            .iter()
            .filter(move |(id, feed)| site.feeds.get(*id).is_some_and(|max_age| is_fresh(feed.as_of, at, *max_age)));
        feeds.flat_map(move |(_, feed)| {
            let holding = feed.statements.values().filter(move |statement| holds(statement, at));
            holding.map(move |statement| (statement, feed.as_of))
        })
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
