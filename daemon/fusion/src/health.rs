//! Whether a sensor could have spoken.
//!
//! An absence is evidence only if the absent sensor was healthy all the while; otherwise it is *unknown*, and the situation
//! says so under `missing`. A sensor is healthy if the last thing it said was not a reason for silence, and if it has a
//! rhythm, if that rhythm is kept. A value that cannot be (out of range, or not of the quantity the role measures) is a
//! reason for silence too.

use crate::{bounds::REPEATS_PER_SENSOR, source_time::SourceClock};
use alloc::collections::VecDeque;
use core::time::Duration;
use quaywatch_schemas::{
    GatewayTime, NoData, Position, Reading, WallTime,
    observation::{Health, Measure, SourceId},
    site::{Role, Sensor},
    units::Quantity,
};
use serde::{Deserialize, Serialize};

/// Two words of one source that are not further apart have no order: its clock is known no better.
const SAME_MOMENT: Duration = Duration::from_millis(250);

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
    /// When it last said anything that was data, and the record.
    pub(crate) heard: Option<(GatewayTime, Position)>,
    /// Since when it is listened to: rhythm counts from here until it is heard.
    pub(crate) expected_from: GatewayTime,
    /// Why it cannot speak.
    pub(crate) trouble: Option<Trouble>,
    /// When it could speak again after it could not.
    well_since: GatewayTime,
    /// Whether it may have changed without saying so: while it could not speak, or the gateway did not listen.
    unsure: bool,
    /// Last state of a contact, and since when it is so.
    pub(crate) contact: Option<bool>,
    contact_at: WallTime,
    /// Last total of a counter.
    count: Option<u64>,
    /// Last usable value of a measure, in base units.
    pub(crate) value: Option<f64>,
    /// Identities of its last messages, cut to 64 bits.
    repeats: VecDeque<u64>,
}

/// Why a sensor cannot speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) why: NoData,
    pub(crate) since: GatewayTime,
    /// The record that said so.
    pub(crate) position: Position,
    /// Whether the sensor said so itself, rather than its line on its behalf.
    pub(crate) own_word: bool,
}

/// What a reading changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    /// A contact closed.
    Rose,
    /// A contact opened.
    Fell,
    /// A counter went up by this much.
    Stepped(u64),
    /// A settled value in the base unit of the role's quantity.
    Measured(f64),
    /// Nothing that is an event.
    None,
}

impl Memory {
    /// A sensor that is listened to from now on.
    pub(crate) fn expected_from(now: GatewayTime) -> Self {
        Self { expected_from: now, ..Self::default() }
    }

    /// Whether this very message was heard before, lately.
    pub(crate) fn is_repeat(&mut self, id: Option<SourceId>) -> bool {
        let Some(SourceId([a, b, c, d, e, f, g, h, ..])) = id else { return false };
        let id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if self.repeats.contains(&id) {
            return true;
        }
        if self.repeats.len() == REPEATS_PER_SENSOR {
            self.repeats.pop_front();
        }
        self.repeats.push_back(id);
        false
    }

    /// Takes a reading in, of a moment; says what it changed.
    pub(crate) fn take(
        &mut self,
        sensor: &Sensor,
        reading: &Reading,
        at: WallTime,
        now: GatewayTime,
        position: Position,
    ) -> Change {
        if let Some((why, own_word)) = trouble(sensor, reading) {
            // An overload let values go; the sensor itself still speaks.
            if matches!(why, NoData::Overload(_)) {
                self.unsure = true;
            } else if self.trouble.is_none_or(|before| before.why != why) {
                self.trouble = Some(Trouble { why, since: now, position, own_word });
            }
            return Change::None;
        }
        if !self.health(sensor, now).is_healthy() {
            self.well_since = now;
            self.unsure = true;
        }
        self.trouble = None;
        self.heard = Some((now, position));
        match reading {
            // Said late: it tells how things were, not how they are.
            Reading::Contact(_) if at.after(SAME_MOMENT) < self.contact_at => Change::None,
            Reading::Contact(on) => {
                self.contact_at = at;
                let unsure = core::mem::take(&mut self.unsure);
                match self.contact.replace(*on) {
                    Some(before) if before == *on => Change::None,
                    // The first word is a state, not an event, unless it is the active one.
                    None if !*on => Change::None,
                    // Nobody saw when an arm opened that is found open, nor what granted it: that is a state too.
                    before if *on && sensor.role == Role::BarrierOpen && (unsure || before.is_none()) => Change::None,
                    _ if *on => Change::Rose,
                    _ => Change::Fell,
                }
            }
            Reading::Count(total) => match self.count.replace(*total) {
                Some(before) if *total > before => Change::Stepped(total - before),
                // A counter that went back began anew: what it shows was counted since.
                Some(before) if *total < before && *total > 0 => Change::Stepped(*total),
                _ => Change::None,
            },
            Reading::Measure(measure) if measure.stable != Some(false) => match usable(sensor, measure) {
                Some(value) => {
                    self.value = Some(value);
                    Change::Measured(value)
                }
                None => Change::None,
            },
            _ => Change::None,
        }
    }

    /// The gateway started: what this sensor did meanwhile is unknown, and its rhythm counts from now on.
    pub(crate) fn listen_anew(&mut self, now: GatewayTime) {
        self.well_since = now;
        self.expected_from = now;
        self.unsure = true;
    }

    /// How it is now.
    pub(crate) fn health(&self, sensor: &Sensor, now: GatewayTime) -> SensorHealth {
        if let Some(trouble) = self.trouble {
            return SensorHealth::Unhealthy(trouble.why, trouble.since);
        }
        match (sensor.silent_after, self.heard) {
            (None, _) => SensorHealth::Healthy,
            (Some(_), None) => SensorHealth::NeverHeard,
            (Some(rhythm), Some((heard, _))) if now.since(heard) > rhythm => {
                SensorHealth::Unhealthy(NoData::Silent, heard.after(rhythm))
            }
            (Some(_), Some(_)) => SensorHealth::Healthy,
        }
    }

    /// Whether it could have spoken at any time from `from` until now.
    pub(crate) fn could_speak_since(&self, sensor: &Sensor, from: GatewayTime, now: GatewayTime) -> bool {
        self.health(sensor, now).is_healthy() && self.well_since <= from && self.expected_from <= from
    }

    /// When its silence becomes a finding, after so many of its rhythms.
    pub(crate) fn silent_at(&self, sensor: &Sensor, periods: u32) -> Option<GatewayTime> {
        let rhythm: Duration = sensor.silent_after?;
        let heard = self.heard.map_or(GatewayTime(0), |(heard, _)| heard);
        Some(heard.max(self.expected_from).after(rhythm.saturating_mul(periods.max(1))))
    }
}

/// Whether a sensor of this role watches a place for people or vehicles: what coverage counts.
pub(crate) fn watches(role: Role) -> bool {
    !matches!(
        role,
        Role::WindSpeed
            | Role::WindDirection
            | Role::WaterLevel
            | Role::Temperature
            | Role::Heartbeat
            | Role::Light
            | Role::Rain
            | Role::MooringLoad
    )
}

fn trouble(sensor: &Sensor, reading: &Reading) -> Option<(NoData, bool)> {
    match reading {
        Reading::NoData(why) => Some((*why, false)),
        Reading::Health(Health::Blind) => Some((NoData::Blind, true)),
        Reading::Health(Health::Faulty) => Some((NoData::Faulty, true)),
        Reading::Health(Health::Tampered) => Some((NoData::Tampered, true)),
        Reading::Measure(measure) if usable(sensor, measure).is_none() => Some((NoData::BadValue, false)),
        _ => None,
    }
}

/// A value in the base unit of the role's quantity; `None` if it is out of range or another quantity.
fn usable(sensor: &Sensor, measure: &Measure) -> Option<f64> {
    let value = measure.value.get();
    if sensor.range.is_some_and(|(low, high)| !(low..=high).contains(&value)) {
        return None;
    }
    let base = measure.unit.to_base(value);
    match (sensor.role, measure.unit.quantity()) {
        (Role::WeightGross, Quantity::Mass)
        | (Role::MooringLoad, Quantity::Force)
        | (Role::WindSpeed, Quantity::Speed) => Some(base),
        // Hooks are often calibrated in tonnes.
        (Role::MooringLoad, Quantity::Mass) => Some(base * STANDARD_GRAVITY),
        (Role::WeightGross | Role::MooringLoad | Role::WindSpeed, _) => None,
        _ => Some(base),
    }
}

/// m/s², exact by definition (3rd CGPM, 1901).
const STANDARD_GRAVITY: f64 = 9.80665;

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_schemas::{
        DomainId, LineId, ZoneId,
        site::Rates,
        units::{Finite, Unit},
    };

    fn sensor(role: Role, silent_after: Option<u64>) -> Sensor {
        Sensor {
            zone: ZoneId::new("lane-3").unwrap(),
            role,
            at_m: None,
            domain: DomainId::new("plc").unwrap(),
            line: LineId::new("plc").unwrap(),
            mount: None,
            view: None,
            clock: quaywatch_schemas::site::Clock::default(),
            leads: None,
            silent_after: silent_after.map(Duration::from_secs),
            unit: None,
            range: Some((0.0, 80_000.0)),
            rates: Rates { detection: 0.95, false_alarm: 0.01 },
        }
    }

    fn at(second: u64) -> GatewayTime {
        GatewayTime(second * 1_000_000_000)
    }

    fn wall(second: u64) -> WallTime {
        WallTime(second as i64 * 1_000_000_000)
    }

    fn measure(value: f64, unit: &str) -> Reading {
        Reading::Measure(Measure { value: Finite::new(value).unwrap(), unit: Unit::new(unit).unwrap(), stable: None })
    }

    #[test]
    fn a_value_that_cannot_be_is_a_reason_for_silence_until_one_that_can() {
        let scale = sensor(Role::WeightGross, None);
        let mut memory = Memory::default();
        assert_eq!(memory.take(&scale, &measure(32.0, "t"), wall(1), at(1), Position(1)), Change::Measured(32_000.0));
        for (value, unit) in [(99_999.0, "kg"), (320.0, "kN")] {
            assert_eq!(memory.take(&scale, &measure(value, unit), wall(2), at(2), Position(2)), Change::None);
            assert_eq!(
                memory.health(&scale, at(2)),
                SensorHealth::Unhealthy(NoData::BadValue, at(2)),
                "{value} {unit}"
            );
        }
        assert_eq!(memory.value, Some(32_000.0));
        memory.take(&scale, &measure(0.0, "kg"), wall(3), at(3), Position(3));
        assert!(memory.health(&scale, at(3)).is_healthy());
        assert!(!memory.could_speak_since(&scale, at(2), at(4)), "it could not speak at 2 s");
        assert!(memory.could_speak_since(&scale, at(3), at(4)));
    }

    #[test]
    fn a_counter_that_began_anew_has_counted_what_it_shows() {
        let grant = sensor(Role::Grant, None);
        let mut memory = Memory::default();
        let mut said =
            |total, second| memory.take(&grant, &Reading::Count(total), wall(second), at(second), Position(second));
        assert_eq!(said(500, 1), Change::None, "the first word is a state");
        assert_eq!(said(502, 2), Change::Stepped(2));
        assert_eq!(said(1, 3), Change::Stepped(1), "the controller restarted and granted once");
        assert_eq!(said(0, 4), Change::None);
    }

    #[test]
    fn an_arm_found_open_after_an_outage_has_not_just_opened() {
        let (arm, tamper) = (sensor(Role::BarrierOpen, Some(2)), sensor(Role::CabinetTamper, Some(2)));
        let (mut one, mut other) = (Memory::default(), Memory::default());
        for (second, on, opened) in
            [(1, true, false), (2, false, false), (3, true, true), (4, false, false), (60, true, false)]
        {
            let change = one.take(&arm, &Reading::Contact(on), wall(second), at(second), Position(second));
            assert_eq!(change == Change::Rose, opened, "at {second} s");
        }
        assert_eq!(
            other.take(&tamper, &Reading::Contact(true), wall(1), at(1), Position(1)),
            Change::Rose,
            "a tamper always counts"
        );
    }
}
