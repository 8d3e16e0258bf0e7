//! What is known of vessels between their reports.

use super::message::Known;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Vessels by MMSI.
#[derive(Debug, Default)]
pub(super) struct Vessels(BTreeMap<u32, Vessel>);

#[derive(Debug)]
struct Vessel {
    known: Known,
    last: [u8; 16],
    heard: Instant,
}

/// Rotterdam, Singapore and Shanghai have a few thousand within reach. At the bound the one heard longest ago goes.
const MOST: usize = 4096;
/// A vessel at full speed reports every 2 s and names another second each time: the same within this was heard twice.
const REPEAT: Duration = Duration::from_secs(5);

impl Vessels {
    /// Takes in what a vessel said of itself; `None` if it is a message that was heard already.
    pub(super) fn hear(&mut self, mmsi: u32, said: Known, armour: &[u8], now: Instant) -> Option<&Known> {
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(armour).as_bytes()[..16]);
        if !self.0.contains_key(&mmsi) && self.0.len() == MOST {
            let oldest = self.0.iter().min_by_key(|(_, vessel)| vessel.heard).map(|(mmsi, _)| *mmsi);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        let is_new = !self.0.contains_key(&mmsi);
        let vessel = self.0.entry(mmsi).or_insert_with(|| Vessel { known: Known::default(), last: digest, heard: now });
        if !is_new && vessel.last == digest && now.saturating_duration_since(vessel.heard) < REPEAT {
            return None;
        }
        (vessel.last, vessel.heard) = (digest, now);
        let Known { name, ship_type, imo, length } = said;
        let known = &mut vessel.known;
        known.name = name.or_else(|| known.name.take());
        known.ship_type = ship_type.or(known.ship_type);
        known.imo = imo.or(known.imo);
        known.length = length.or(known.length);
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Known {
        Known { name: Some(name.into()), ..Known::default() }
    }

    #[test]
    fn at_the_bound_the_vessel_heard_longest_ago_is_forgotten() {
        let start = Instant::now();
        let mut vessels = Vessels::default();
        for mmsi in 0..MOST as u32 {
            vessels.hear(mmsi, named("QW"), b"static", start + Duration::from_secs(u64::from(mmsi)));
        }
        let later = start + Duration::from_secs(10_000);
        // The first spoke again; the second is the oldest now.
        vessels.hear(0, Known::default(), b"position", later);
        vessels.hear(MOST as u32, Known::default(), b"position", later);
        assert_eq!(vessels.0.len(), MOST);
        assert_eq!(vessels.hear(0, Known::default(), b"next", later), Some(&named("QW")));
        assert!(!vessels.0.contains_key(&1));
    }

    #[test]
    fn a_message_heard_by_two_receivers_is_one_and_the_same_again_later_is_another() {
        let start = Instant::now();
        let mut vessels = Vessels::default();
        let mut hear = |armour: &[u8], millis| {
            vessels.hear(244_123_456, Known::default(), armour, start + Duration::from_millis(millis)).is_some()
        };
        assert!(hear(b"a", 0));
        assert!(!hear(b"a", 300));
        assert!(hear(b"b", 2000));
        assert!(hear(b"a", 2100));
        assert!(hear(b"a", 182_100), "moored, three minutes later");
    }
}
