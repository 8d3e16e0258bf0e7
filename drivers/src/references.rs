//! References as JSON, by file drop, HTTP or MQTT: bookings, roles, tares, work orders.

use crate::json::Undecodable;
use quaywatch_schemas::{Control, FeedId};

/// Decodes one feed's message into the control record it becomes.
pub fn decode(feed: &FeedId, payload: &[u8]) -> Result<Control, Undecodable> {
    let _ = (feed, payload);
    todo!()
}
