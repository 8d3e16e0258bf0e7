//! What one point says to the ledger: news only, and no change lost without a word.
//!
//! A poll cannot wait, so the ledger may refuse what a poll brought. A refused reading is kept and offered again until it is
//! taken or the point has moved on; then it is one value let go, and how many were let go is said before the next reading
//! that is taken. At most one reading a point is kept.

use crate::by_exception::{ByException, Reporting};
use quaywatch_schemas::{
    NoData, Observation, Reading, SensorId, WallTime,
    observation::{SourceId, SourceTime},
};
use std::time::{Duration, Instant};

/// Decides for one point.
#[derive(Debug)]
pub struct Reporter {
    said: ByException,
    /// When the value before was read, if the poll before brought one.
    read_at: Option<WallTime>,
    waiting: Option<Waiting>,
    let_go: u64,
}

/// When and by which request something was seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When the answer was here.
    pub now: Instant,
    /// The middle of the request.
    pub at: WallTime,
    /// How far either way the device may have looked at its inputs.
    pub give_or_take: Duration,
    /// The device's so-manieth request since the connection was started.
    pub request: u64,
}

/// A reading that is news and was not taken yet.
#[derive(Debug)]
struct Waiting {
    reading: Reading,
    seen: Instant,
    request: u64,
    observed_at: SourceTime,
}

impl Reporter {
    /// Nothing was said yet.
    pub fn new(reporting: Reporting) -> Self {
        Self { said: ByException::new(reporting), read_at: None, waiting: None, let_go: 0 }
    }

    /// Takes what a request brought; afterwards [`Self::is_waiting`] says whether there is something to hand over.
    pub fn take(&mut self, reading: Reading, seen: &Seen) {
        let before = if matches!(reading, Reading::NoData(_)) {
            self.read_at = None;
            None
        } else {
            self.read_at.replace(seen.at)
        };
        if let Some(waiting) = &self.waiting {
            if !self.said.differ(&waiting.reading, &reading) {
                return;
            }
            // What was only said to show that the point is alive is no loss. After a loss, what waits is news even where it
            // equals what was said before.
            self.let_go += u64::from(self.let_go > 0 || self.said.changes(&waiting.reading));
            self.waiting = None;
        }
        if self.let_go > 0 || self.said.would_be_news(&reading, seen.now) {
            let observed_at = self.observed_at(&reading, before, seen);
            self.waiting = Some(Waiting { reading, seen: seen.now, request: seen.request, observed_at });
        }
    }

    /// Whether there is something to hand over.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What there is to hand over, oldest first: how many values were let go, if any were, and the reading.
    pub fn observations(&self, sensor: &SensorId, run: &[u8; 16]) -> impl Iterator<Item = Observation> {
        let lost = (self.let_go > 0).then_some((LET_GO, Reading::NoData(NoData::Overload(self.let_go))));
        let both = self.waiting.iter().flat_map(move |waiting| {
            let reading = Some((READING, waiting.reading.clone()));
            [lost.clone(), reading].into_iter().flatten().map(move |(kind, reading)| (waiting, kind, reading))
        });
        both.map(|(waiting, kind, reading)| Observation {
            source_id: Some(SourceId::of(sensor, &[b"modbus", run, &waiting.request.to_le_bytes(), kind])),
            observed_at: Some(waiting.observed_at),
            ..Observation::live(sensor.clone(), reading)
        })
    }

    /// The ledger took it.
    pub fn taken(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.said.count_as_said(waiting.reading, waiting.seen);
            self.let_go = 0;
        }
    }

    fn observed_at(&self, reading: &Reading, before: Option<WallTime>, seen: &Seen) -> SourceTime {
        let happened = matches!(reading, Reading::Contact(_) | Reading::Count(_)) && self.said.changes(reading);
        let (at, give_or_take) = match before {
            // A clock that was set back in between says nothing about when it was.
            Some(before) if happened && before < seen.at => {
                let half = Duration::from_nanos((seen.at.0.saturating_sub(before.0) / 2).unsigned_abs());
                (seen.at.before(half), seen.give_or_take + half)
            }
            _ => (seen.at, seen.give_or_take),
        };
        let uncertainty_ms = give_or_take.as_nanos().div_ceil(1_000_000).min(u32::MAX.into()) as u32;
        SourceTime { at, uncertainty_ms }
    }
}

const READING: &[u8] = b"reading";
const LET_GO: &[u8] = b"let go";

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: [u8; 16] = [7; 16];

    struct Point {
        reporter: Reporter,
        sensor: SensorId,
        started: Instant,
        request: u64,
    }

    impl Point {
        fn new() -> Self {
            let reporting = Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) };
            let sensor = SensorId::new("loop-a").unwrap();
            Self { reporter: Reporter::new(reporting), sensor, started: Instant::now(), request: 0 }
        }

        /// The point is read after so many milliseconds; what it then has to say.
        fn reads(&mut self, reading: Reading, after_ms: u64) -> Vec<Observation> {
            self.request += 1;
            let now = self.started + Duration::from_millis(after_ms);
            let at = WallTime::from_millis(1_000_000 + after_ms as i64);
            let seen = Seen { now, at, give_or_take: Duration::from_micros(1500), request: self.request };
            self.reporter.take(reading, &seen);
            self.says()
        }

        fn says(&self) -> Vec<Observation> {
            self.reporter.observations(&self.sensor, &RUN).collect()
        }
    }

    fn readings(observations: &[Observation]) -> Vec<Reading> {
        observations.iter().map(|observation| observation.reading.clone()).collect()
    }

    #[test]
    fn a_change_the_ledger_refused_is_offered_again_with_the_time_it_was_seen() {
        let mut point = Point::new();
        point.reads(Reading::Contact(false), 0);
        point.reporter.taken();
        let refused = point.reads(Reading::Contact(true), 50);
        let again = point.reads(Reading::Contact(true), 100);
        assert_eq!(readings(&refused), [Reading::Contact(true)]);
        assert_eq!(again, refused);
        point.reporter.taken();
        assert!(point.reads(Reading::Contact(true), 150).is_empty());
    }

    #[test]
    fn a_pulse_that_was_over_before_the_ledger_took_it_is_said_as_one_value_let_go() {
        let mut point = Point::new();
        point.reads(Reading::Contact(false), 0);
        point.reporter.taken();
        point.reads(Reading::Contact(true), 50);
        let said = point.reads(Reading::Contact(false), 100);
        assert_eq!(readings(&said), [Reading::NoData(NoData::Overload(1)), Reading::Contact(false)]);
        assert_ne!(said[0].source_id, said[1].source_id);
        point.reporter.taken();
        assert!(point.reads(Reading::Contact(false), 150).is_empty());
    }

    #[test]
    fn every_state_between_what_was_said_and_what_is_said_next_counts_as_let_go() {
        let mut point = Point::new();
        point.reads(Reading::Contact(false), 0);
        point.reporter.taken();
        for (n, closed) in [true, false, true, false].into_iter().enumerate() {
            point.reads(Reading::Contact(closed), 50 * n as u64);
        }
        let said = readings(&point.reads(Reading::Contact(true), 300));
        assert_eq!(said, [Reading::NoData(NoData::Overload(4)), Reading::Contact(true)]);
    }

    #[test]
    fn a_heartbeat_the_ledger_refused_is_not_a_value_let_go() {
        let mut point = Point::new();
        point.reads(Reading::Contact(false), 0);
        point.reporter.taken();
        assert_eq!(point.reads(Reading::Contact(false), 60_000).len(), 1);
        assert_eq!(readings(&point.reads(Reading::Contact(true), 60_050)), [Reading::Contact(true)]);
    }

    #[test]
    fn a_contact_changed_somewhere_between_two_polls_and_a_heartbeat_is_as_exact_as_its_request() {
        let mut point = Point::new();
        let first = point.reads(Reading::Contact(false), 0);
        assert_eq!(first[0].observed_at, Some(SourceTime { at: WallTime::from_millis(1_000_000), uncertainty_ms: 2 }));
        point.reporter.taken();
        let changed = point.reads(Reading::Contact(true), 50);
        assert_eq!(
            changed[0].observed_at,
            Some(SourceTime { at: WallTime::from_millis(1_000_025), uncertainty_ms: 27 })
        );
        point.reporter.taken();
        let beat = point.reads(Reading::Contact(true), 60_100);
        assert_eq!(beat[0].observed_at, Some(SourceTime { at: WallTime::from_millis(1_060_100), uncertainty_ms: 2 }));
    }

    #[test]
    fn after_an_outage_nothing_is_claimed_about_when_a_contact_changed() {
        let mut point = Point::new();
        for (reading, after) in [(Reading::Contact(false), 0), (Reading::NoData(NoData::Timeout), 500)] {
            point.reads(reading, after);
            point.reporter.taken();
        }
        let back = point.reads(Reading::Contact(true), 30_000);
        assert_eq!(back[0].observed_at, Some(SourceTime { at: WallTime::from_millis(1_030_000), uncertainty_ms: 2 }));
    }

    #[test]
    fn every_request_has_its_own_identity_and_so_has_every_run() {
        let mut point = Point::new();
        let first = point.reads(Reading::Contact(false), 0);
        point.reporter.taken();
        let second = point.reads(Reading::Contact(true), 50);
        let other_run: Vec<_> = point.reporter.observations(&point.sensor, &[8; 16]).collect();
        assert_ne!(first[0].source_id, second[0].source_id);
        assert_ne!(second[0].source_id, other_run[0].source_id);
    }
}
