//! Cameras: one folder per vendor or standard.

use super::{each, observations, text};
use quaywatch_drivers::camera::{frigate, openalpr, platerecognizer};
use quaywatch_schemas::SensorId;

fn sensor() -> SensorId {
    SensorId::new("camera").expect("a name")
}

#[test]
fn frigate_is_read() {
    each("camera/frigate", |reader, payload| {
        let gives = match text(reader, "gives") {
            "plates" => frigate::Gives::Plates,
            "frames" => frigate::Gives::Frames,
            other => panic!("a camera does not give {other}"),
        };
        let camera = frigate::Camera { name: text(reader, "camera").into(), gives };
        let said = frigate::decode(&camera, &sensor(), text(reader, "topic"), payload);
        said.map(observations).map_err(|why| why.to_string())
    });
}

#[test]
fn openalpr_and_rekor_are_read() {
    each("camera/openalpr", |reader, payload| {
        let said = openalpr::decode(text(reader, "camera"), &sensor(), payload);
        said.map(observations).map_err(|why| why.to_string())
    });
}

#[test]
fn plate_recognizer_is_read() {
    each("camera/platerecognizer", |reader, payload| {
        let said = platerecognizer::decode(text(reader, "camera"), &sensor(), payload);
        said.map(observations).map_err(|why| why.to_string())
    });
}
