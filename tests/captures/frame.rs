//! Frames of radars, lidars and camera trackers.

use super::{each, observations};
use quaywatch_drivers::frame::{Source, decode};
use quaywatch_schemas::SensorId;

#[test]
fn frames_are_read() {
    each("frame", |reader, payload| {
        let polar = reader["polar"].as_bool().expect("the reader says whether it has a mount");
        let source = Source { sensor: SensorId::new("radar").expect("a name"), polar };
        decode(&source, payload).map(|said| observations(vec![said])).map_err(|why| why.to_string())
    });
}
