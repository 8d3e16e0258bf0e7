//! What systems of record state. Stale is unknown: a booking list from yesterday must not accuse anybody.

use crate::bounds::REFERENCES;
use alloc::{collections::BTreeMap, string::String};
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
        feed.as_of = said.as_of;
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

    fn fresh<'a>(&'a self, site: &'a Site, at: WallTime) -> impl Iterator<Item = (&'a Reference, WallTime)> + 'a {
        let feeds = self
            .feeds
            .iter()
            .filter(move |(id, feed)| site.feeds.get(*id).is_some_and(|max_age| at.before(*max_age) <= feed.as_of));
        feeds.flat_map(move |(_, feed)| {
            let holding = feed.statements.values().filter(move |statement| {
                statement.valid_from.is_none_or(|from| from <= at)
                    && statement.valid_until.is_none_or(|until| at <= until)
            });
            holding.map(move |statement| (statement, feed.as_of))
        })
    }
}
