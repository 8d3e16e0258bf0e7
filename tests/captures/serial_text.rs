//! Lines of weighing indicators.

use super::{each, observations, text};
use quaywatch_drivers::{
    by_exception::Reporting,
    serial_text::{Reader, decode},
};
use quaywatch_schemas::{Observation, SensorId, units::Unit};
use std::time::Duration;

#[test]
fn indicators_are_read() {
    each("serial_text", |reader, payload| {
        let sensor = SensorId::new("scale").expect("a name");
        let reader = Reader {
            sensor: sensor.clone(),
            pattern: regex::bytes::Regex::new(text(reader, "pattern")).expect("a pattern"),
            unit: Unit::new(text(reader, "unit")).expect("a unit"),
            stable_when: vec![text(reader, "stable_when").to_owned()],
            range: Some((0.0, 80_000.0)),
            reporting: Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) },
        };
        let line = payload.strip_suffix(b"\n").unwrap_or(payload);
        match decode(&reader, line) {
            None => Err("no sensor's line".into()),
            Some(said) => said
                .map(|reading| observations(vec![Observation::live(sensor, reading)]))
                .map_err(|why| why.to_string()),
        }
    });
}
