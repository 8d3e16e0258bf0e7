//! Report by exception: of a value that is read again and again, only what is news becomes an observation.

use quaywatch_schemas::{NoData, Reading};
use std::time::{Duration, Instant};

/// What counts as news.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reporting {
    /// A measure is said again once it moved by at least this much, in its own unit; any change if zero. Everything that is
    /// not a measure is said at every change.
    pub deadband: f64,
    /// Even an unchanged value is said this often, so that silence means something.
    pub heartbeat: Duration,
}

/// Decides for one sensor.
#[derive(Debug)]
pub struct ByException {
    reporting: Reporting,
    said: Option<(Reading, Instant)>,
}

impl ByException {
    /// Nothing was said yet: the first reading is news.
    pub fn new(reporting: Reporting) -> Self {
        Self { reporting, said: None }
    }

    /// Whether `reading` is news at `now`; if so it counts as said.
    pub fn is_news(&mut self, reading: &Reading, now: Instant) -> bool {
        let news = self.would_be_news(reading, now);
        if news {
            self.count_as_said(reading.clone(), now);
        }
        news
    }

    /// Whether `reading` is news at `now`. For those who can only count it as said once somebody took it.
    pub fn would_be_news(&self, reading: &Reading, now: Instant) -> bool {
        let beats = |at: Instant| now.saturating_duration_since(at) >= self.reporting.heartbeat;
        self.changes(reading) || self.said.as_ref().is_some_and(|(_, at)| beats(*at))
    }

    /// Whether `reading` is news for what it says and not only because it is time to say something.
    pub fn changes(&self, reading: &Reading) -> bool {
        self.said.as_ref().is_none_or(|(said, _)| self.differ(said, reading))
    }

    /// Whether the second of two readings would be news right after the first.
    pub fn differ(&self, said: &Reading, now: &Reading) -> bool {
        differs(said, now, self.reporting.deadband)
    }

    /// From `now` on this is what was said last.
    pub fn count_as_said(&mut self, reading: Reading, now: Instant) {
        self.said = Some((reading, now));
    }

    /// What was said last.
    pub fn said(&self) -> Option<&Reading> {
        self.said.as_ref().map(|(reading, _)| reading)
    }
}

fn differs(said: &Reading, now: &Reading, deadband: f64) -> bool {
    match (said, now) {
        (Reading::Measure(said), Reading::Measure(now)) => {
            let moved = (said.value.get() - now.value.get()).abs();
            said.stable != now.stable || said.unit != now.unit || (moved > 0.0 && moved >= deadband)
        }
        // That it cannot be reached is one thing to say, however it shows from one attempt to the next.
        (Reading::NoData(said), Reading::NoData(now)) if unreachable(*said) && unreachable(*now) => false,
        _ => said != now,
    }
}

fn unreachable(why: NoData) -> bool {
    matches!(why, NoData::Disconnected | NoData::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_schemas::{
        observation::Measure,
        units::{Finite, Unit},
    };

    fn tonnes(value: f64) -> Reading {
        let unit = Unit::new("t").unwrap();
        Reading::Measure(Measure { value: Finite::new(value).unwrap(), unit, stable: Some(true) })
    }

    #[test]
    fn a_drift_inside_the_deadband_is_not_news_until_it_has_added_up() {
        let mut sensor = ByException::new(Reporting { deadband: 0.5, heartbeat: Duration::from_secs(60) });
        let now = Instant::now();
        let news: Vec<bool> = [10.0, 10.2, 10.4, 10.5, 10.5].map(|value| sensor.is_news(&tonnes(value), now)).into();
        assert_eq!(news, [true, false, false, true, false]);
    }

    #[test]
    fn an_unchanged_value_is_said_again_at_the_heartbeat_and_a_lost_one_at_once() {
        let mut sensor = ByException::new(Reporting { deadband: 0.5, heartbeat: Duration::from_secs(60) });
        let now = Instant::now();
        assert!(sensor.is_news(&tonnes(10.0), now));
        assert!(!sensor.is_news(&tonnes(10.0), now + Duration::from_secs(59)));
        assert!(sensor.is_news(&tonnes(10.0), now + Duration::from_secs(60)));
        assert!(sensor.is_news(&Reading::NoData(NoData::Timeout), now + Duration::from_secs(61)));
        assert!(sensor.is_news(&tonnes(10.0), now + Duration::from_secs(62)));
    }

    #[test]
    fn a_change_that_nobody_took_is_still_news() {
        let mut sensor = ByException::new(Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) });
        let now = Instant::now();
        assert!(sensor.is_news(&Reading::Contact(false), now));
        assert!(sensor.would_be_news(&Reading::Contact(true), now));
        assert!(sensor.would_be_news(&Reading::Contact(true), now));
        sensor.count_as_said(Reading::Contact(true), now);
        assert!(!sensor.would_be_news(&Reading::Contact(true), now));
        let later = now + Duration::from_secs(60);
        assert!(sensor.would_be_news(&Reading::Contact(true), later) && !sensor.changes(&Reading::Contact(true)));
    }

    #[test]
    fn a_device_that_cannot_be_reached_is_said_once_however_it_shows() {
        let mut sensor = ByException::new(Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) });
        let now = Instant::now();
        let seen = [NoData::Timeout, NoData::Disconnected, NoData::Timeout, NoData::Exception(2), NoData::Exception(4)];
        assert_eq!(seen.map(|why| sensor.is_news(&Reading::NoData(why), now)), [true, false, false, true, true]);
    }
}
