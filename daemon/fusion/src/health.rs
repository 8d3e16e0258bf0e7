//! Whether a sensor could have spoken.
//!
//! An absence is evidence only if the absent sensor was healthy at the time; otherwise it is *unknown*, and the situation
//! says so under `missing`. A sensor is healthy if the last thing it said was not a reason for silence, and if it has a
//! rhythm, if that rhythm is kept.

use crate::source_time::SourceClock;
use core::time::Duration;
use quaywatch_schemas::{
    GatewayTime, NoData, Position, Reading,
    observation::Health,
    site::{Role, Sensor},
};
use serde::{Deserialize, Serialize};

/// How a sensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorHealth {
    /// It could speak.
    Healthy,
    /// It cannot, why, and since when.
    Unhealthy(NoData, GatewayTime),
    /// It has never said anything yet.
    NeverHeard,
}

impl SensorHealth {
    /// Whether its absence counts.
    pub fn is_healthy(self) -> bool {
        self == Self::Healthy
    }
}

/// What is remembered of one sensor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) clock: SourceClock,
    /// When it last said anything that was data.
    pub(crate) heard: Option<GatewayTime>,
    /// Since when rhythm counts: the site file's application until it is heard.
    pub(crate) expected_from: GatewayTime,
    /// Why it cannot speak, since when, and the record that said so.
    pub(crate) trouble: Option<(NoData, GatewayTime, Position)>,
    /// Last state of a contact.
    pub(crate) contact: Option<bool>,
    /// Last total of a counter.
    pub(crate) count: Option<u64>,
    /// Last usable value of a measure, in base units.
    pub(crate) value: Option<(f64, GatewayTime)>,
}

/// What a reading changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A contact closed.
    Rose,
    /// A contact opened.
    Fell,
    /// A counter went up by this much.
    Stepped(u64),
    /// Nothing that is an event.
    None,
}

impl Memory {
    /// Takes a reading in; says what it changed.
    pub(crate) fn take(&mut self, sensor: &Sensor, reading: &Reading, now: GatewayTime, position: Position) -> Change {
        let trouble = match reading {
            Reading::NoData(why) => Some(*why),
            Reading::Health(Health::Blind | Health::Faulty) => Some(NoData::BadValue),
            Reading::Health(Health::Tampered) => Some(NoData::Tampered),
            _ => None,
        };
        if let Some(why) = trouble {
            // An overload let values go; the sensor itself still speaks.
            if !matches!(why, NoData::Overload(_)) && self.trouble.is_none_or(|(before, ..)| before != why) {
                self.trouble = Some((why, now, position));
            }
            return Change::None;
        }
        self.trouble = None;
        self.heard = Some(now);
        match reading {
            Reading::Contact(on) => match self.contact.replace(*on) {
                Some(before) if before == *on => Change::None,
                // The first word after a start is a state, not an event, unless it is the active one.
                None if !*on => Change::None,
                _ if *on => Change::Rose,
                _ => Change::Fell,
            },
            Reading::Count(total) => match self.count.replace(*total) {
                Some(before) if *total > before => Change::Stepped(total - before),
                _ => Change::None,
            },
            Reading::Measure(measure) => {
                let value = measure.unit.to_base(measure.value.get());
                let usable = sensor.range.is_none_or(|(low, high)| (low..=high).contains(&measure.value.get()));
                if usable && measure.stable != Some(false) {
                    self.value = Some((value, now));
                }
                Change::None
            }
            _ => Change::None,
        }
    }

    /// How it is now.
    pub(crate) fn health(&self, sensor: &Sensor, now: GatewayTime) -> SensorHealth {
        if let Some((why, since, _)) = self.trouble {
            return SensorHealth::Unhealthy(why, since);
        }
        match (sensor.silent_after, self.heard) {
            (None, _) => SensorHealth::Healthy,
            (Some(_), None) => SensorHealth::NeverHeard,
            (Some(rhythm), Some(heard)) if now.since(heard) > rhythm => {
                SensorHealth::Unhealthy(NoData::Silent, heard.after(rhythm))
            }
            (Some(_), Some(_)) => SensorHealth::Healthy,
        }
    }

    /// When its silence becomes a finding, after so many of its rhythms.
    pub(crate) fn silent_at(&self, sensor: &Sensor, periods: u32) -> Option<GatewayTime> {
        let rhythm: Duration = sensor.silent_after?;
        Some(self.heard.unwrap_or(self.expected_from).after(rhythm.saturating_mul(periods.max(1))))
    }
}

/// Whether a sensor of this role watches a place for people or vehicles: what coverage counts.
pub(crate) fn watches(role: Role) -> bool {
    !matches!(
        role,
        Role::WindSpeed | Role::WindDirection | Role::WaterLevel | Role::Temperature | Role::Heartbeat | Role::Light
    )
}
