//! What systems of record state. Stale is unknown: a booking list from yesterday must not accuse anybody.

use crate::bounds::REFERENCES;
use alloc::{collections::BTreeMap, string::String};
use core::time::Duration;
use quaywatch_schemas::{
    FeedId, Reference, Site, WallTime, ZoneId,
    reference::{Booking, Fact, References},
};
use serde::{Deserialize, Serialize};

/// All statements in force.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Statements {
    feeds: BTreeMap<FeedId, Feed>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Feed {
    as_of: WallTime,
    statements: BTreeMap<String, Reference>,
}

impl Statements {
    pub(crate) fn take(&mut self, said: &References) {
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
        }
        for statement in &said.statements {
            let newer = feed.statements.get(&statement.key).is_none_or(|held| held.version <= statement.version);
            let known = feed.statements.contains_key(&statement.key);
            if newer && (known || room > 0) {
                room -= usize::from(!known);
                feed.statements.insert(statement.key.clone(), statement.clone());
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
            let holding = feed.statements.values().filter(move |statement| {
                statement.valid_from.is_none_or(|from| from <= at)
                    && statement.valid_until.is_none_or(|until| at <= until)
            });
            holding.map(move |statement| (statement, feed.as_of))
        })
    }
}

/// A list from the future is as little worth as an old one: its clock is wrong, so its age is unknown.
fn is_fresh(as_of: WallTime, at: WallTime, max_age: Duration) -> bool {
    at.before(max_age) <= as_of && as_of <= at.after(max_age)
}
