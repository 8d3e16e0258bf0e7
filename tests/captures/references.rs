//! References: bookings, roles, tares, work orders.

use super::{each, text};
use quaywatch_drivers::references;
use quaywatch_schemas::{FeedId, Record};

#[test]
fn references_are_read() {
    each("references", |reader, payload| {
        let feed = FeedId::new(text(reader, "feed")).expect("a name");
        let said = references::decode(&feed, payload);
        said.map(|control| vec![Record::Control(control)]).map_err(|why| why.to_string())
    });
}
