//! Sentences of AIS receivers. A capture is what one receiver sent within a second; what is refused is its last line.

use super::{each, observations, text};
use quaywatch_drivers::ais::{Moment, Receiver};
use quaywatch_schemas::{SensorId, WallTime};
use std::time::Instant;

#[test]
fn vessels_are_heard() {
    each("ais", |reader, payload| {
        let wall: jiff::Timestamp = text(reader, "wall").parse().expect("a time");
        let wall = WallTime(i64::try_from(wall.as_nanosecond()).expect("this century"));
        let at = Moment { now: Instant::now(), wall };
        let mut receiver = Receiver::new(SensorId::new("vhf").expect("a name"));
        let mut said = Vec::new();
        for line in payload.split(|byte| *byte == b'\n') {
            said.extend(receiver.hear(line, None, at).map_err(|why| why.to_string())?);
        }
        Ok(observations(said))
    });
}
