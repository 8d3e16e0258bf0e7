//! The terminal's booking system, which posts the list of expected vehicles.

use super::{DeviceError, http};
use crate::world::Booking;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

/// As the site file names it.
const FEED: &str = "bookings";

/// A booking system.
#[derive(Debug, Clone)]
pub struct Bookings {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Bookings {
    /// One that posts to the gateway's listener.
    pub fn new(gateway: SocketAddr, token: String) -> Result<Self, DeviceError> {
        Ok(Self { client: http::client()?, url: format!("http://{gateway}/references/{FEED}"), token })
    }

    /// Posts a list that replaces the one before, until it is taken.
    pub async fn state(&self, bookings: &[Booking]) {
        let list = list(bookings, jiff::Timestamp::now());
        for wait in [100, 300, 900, 2700] {
            let sent = self.client.post(&self.url).bearer_auth(&self.token).json(&list).send().await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return,
                Err(why) => tracing::debug!(why = %why.without_url(), "bookings were not taken"),
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        tracing::error!("the gateway takes no bookings");
    }
}

fn list(bookings: &[Booking], now: jiff::Timestamp) -> Value {
    let statements: Vec<Value> = bookings
        .iter()
        .enumerate()
        .map(|(number, booking)| {
            json!({
                "key": format!("B{number:04}"),
                "version": now.as_second(),
                "booking": {
                    "plate": booking.plate,
                    "containers": booking.containers,
                    "declared_gross_kg": booking.declared_gross_kg,
                    "zones": [booking.zone],
                },
            })
        })
        .collect();
    json!({ "feed": FEED, "as_of": now.to_string(), "complete": true, "statements": statements })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_feed_and_says_each_booking_once() {
        let booking = |plate: &str, zone| Booking {
            plate: plate.into(),
            containers: vec!["QWYU1234560".into()],
            declared_gross_kg: 28_400,
            zone,
        };
        let now = jiff::Timestamp::from_second(1_773_454_324).unwrap();
        let list = list(&[booking("12-BRV-4", "lane-1"), booking("7-KLB-09", "lane-3")], now);
        assert_eq!(list["feed"], "bookings");
        assert_eq!(list["as_of"], "2026-03-14T02:12:04Z");
        let statements = list["statements"].as_array().unwrap();
        assert_ne!(statements[0]["key"], statements[1]["key"]);
        assert_eq!(
            statements[1]["booking"],
            json!({ "plate": "7-KLB-09", "containers": ["QWYU1234560"], "declared_gross_kg": 28_400, "zones": ["lane-3"] })
        );
    }
}
