//! From a line to an observation. Pure: what time it is, it is told.

use super::{
    message::{self, Message, Position},
    sentence::{self, Assembly},
    vessels::Vessels,
};
use crate::json::Undecodable;
use quaywatch_schemas::{
    Observation, Reading, SensorId, WallTime,
    observation::{Cooperative, Health, SourceTime},
    units::{Finite, NotFinite},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// When a line was heard.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// On the clock that only goes forward.
    pub now: Instant,
    /// On the clock people read.
    pub wall: WallTime,
}

/// What one sensor hears, and what it remembers of it.
#[derive(Debug)]
pub struct Receiver {
    sensor: SensorId,
    assembly: Assembly,
    vessels: Vessels,
    said: Option<Instant>,
}

/// A receiver whose messages say nothing of vessels is said to be alive this often.
const ALIVE_EVERY: Duration = Duration::from_secs(60);
/// How far ahead of a clock the second of a report may be; the rest of the minute is behind it.
const MOST_AHEAD: i64 = 15;

impl Receiver {
    /// One that has heard nothing yet.
    pub fn new(sensor: SensorId) -> Self {
        Self { sensor, assembly: Assembly::default(), vessels: Vessels::default(), said: None }
    }

    /// Hears one line. `None` if there is nothing to say of it: another sentence, the first part of a message, a message that
    /// was heard already, a name.
    pub fn hear(
        &mut self,
        line: &[u8],
        from: Option<SocketAddr>,
        at: Moment,
    ) -> Result<Option<Observation>, Undecodable> {
        let Some(sentence) = sentence::parse(line)? else { return Ok(None) };
        let Some(whole) = self.assembly.take(&sentence, from, at.now)? else { return Ok(None) };
        let message = message::decode(&whole.bits)?;
        let base = whole.station_time.and_then(|seconds| seconds.checked_mul(NANOS)).map_or(at.wall, WallTime);
        let said = match message {
            Some(message) => self.vessel(message, &whole.armour, base, at.now)?,
            None => None,
        };
        let due = self.said.is_none_or(|said| at.now.saturating_duration_since(said) >= ALIVE_EVERY);
        let said = match said {
            None if due => Some(Observation::live(self.sensor.clone(), Reading::Health(Health::Alive))),
            said => said,
        };
        if said.is_some() {
            self.said = Some(at.now);
        }
        Ok(said)
    }

    /// Gives up messages whose other parts do not come; says how many.
    pub fn forget(&mut self, now: Instant) -> usize {
        self.assembly.lost(now)
    }

    /// It was said that nothing can be heard: whatever comes next is worth saying.
    pub(super) fn silent(&mut self) {
        self.said = None;
    }

    fn vessel(
        &mut self,
        message: Message,
        armour: &[u8],
        base: WallTime,
        now: Instant,
    ) -> Result<Option<Observation>, Undecodable> {
        let Message { mmsi, position, known } = message;
        let Some(known) = self.vessels.hear(mmsi, known, armour, now) else { return Ok(None) };
        let Some(position) = position else { return Ok(None) };
        let Some((latitude, longitude)) = position.place else { return Ok(None) };
        let Position { speed, course, heading, accuracy, second, .. } = position;
        let number = |number: Option<f64>| number.map(Finite::new).transpose();
        let said = || -> Result<Cooperative, NotFinite> {
            Ok(Cooperative {
                speed: number(speed)?,
                course: number(course)?,
                heading: number(heading)?,
                accuracy_m: number(Some(accuracy))?,
                name: known.name.clone(),
                ship_type: known.ship_type,
                imo: known.imo,
                length_m: number(known.length.map(f64::from))?,
                ..Cooperative::at(mmsi, Finite::new(latitude)?, Finite::new(longitude)?)
            })
        };
        let said = said().map_err(|error| Undecodable(error.to_string()))?;
        Ok(Some(Observation {
            observed_at: second.map(|second| SourceTime { at: nearest(base, second), uncertainty_ms: 1000 }),
            ..Observation::live(self.sensor.clone(), Reading::Cooperative(said))
        }))
    }
}

const NANOS: i64 = 1_000_000_000;

/// The moment near `base` that has this second of the minute.
fn nearest(base: WallTime, second: u8) -> WallTime {
    let seconds = base.0.div_euclid(NANOS);
    let ahead = (i64::from(second) - seconds).rem_euclid(60);
    let ahead = if ahead > MOST_AHEAD { ahead - 60 } else { ahead };
    WallTime(seconds.saturating_add(ahead).saturating_mul(NANOS))
}

#[cfg(test)]
mod tests;
