//! Distances by ultrasound or time of flight: how far the next thing is, whether it is near, whether the sensor is covered.

use super::{News, measure::Measure, median::Median};
use crate::Millis;
use quaywatch_schemas::frame::{
    message::{Doubt, Missing, Value},
    settings::{self, Alarm, Range as Settings},
};

/// One sensor.
#[derive(Debug, Clone)]
pub struct Range {
    settings: Settings,
    median: Median,
    report: Measure,
    near: Option<bool>,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// The distance, if it is news.
    pub range: Option<News>,
    /// Whether something is near, if that changed.
    pub near: Option<News>,
}

impl Range {
    /// A sensor that was not read yet.
    pub fn new(settings: Settings, now: Millis) -> Self {
        let report = settings::Measure {
            deadband: settings.deadband,
            stale_ms: settings.stale_ms,
            ..settings::Measure::default()
        };
        Self { median: Median::of(settings.median), report: Measure::new(report, now), near: None, settings }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// The next thing is so far, in m; infinitely far if no echo came. NaN is a reading that failed, and no reading.
    pub fn sense(&mut self, metres: f32, now: Millis) -> Said {
        if metres.is_nan() {
            return self.tick(now);
        }
        let Some(metres) = self.median.after(metres) else { return Said::default() };
        if metres < self.settings.lowest_m {
            self.near = None;
            return lost(self.report.doubt(Doubt::Covered, now));
        }
        let metres = metres.min(self.settings.highest_m);
        let near = self.settings.near.after(self.near == Some(true), metres);
        let changed = self.near.replace(near) != Some(near);
        let alarm = near && self.settings.alarm == Alarm::OnTrue;
        Said {
            range: self.report.sense(metres, now),
            near: changed.then_some(News { value: Value::State(near), at: now, alarm }),
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Said {
        let news = self.report.tick(now);
        if matches!(self.report.value(), Some(Value::Missing(Missing::Doubted(Doubt::NotRead)))) {
            self.near = None;
            self.median.clear();
        }
        lost(news)
    }

    /// The latest distance.
    pub fn range(&self) -> Option<Value> {
        self.report.value()
    }

    /// Whether something is near; unknown while the distance is.
    pub fn near(&self) -> Option<Value> {
        match self.report.value()? {
            lost @ Value::Missing(_) => Some(lost),
            _ => self.near.map(Value::State),
        }
    }
}

/// What is lost is lost for both.
fn lost(news: Option<News>) -> Said {
    Said { range: news, near: news }
}
