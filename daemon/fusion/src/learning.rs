//! Rates and calibration, learned and put in force.

use alloc::string::{String, ToString};
use quaywatch_schemas::{Model, Site};

/// Names the rates and calibrations that conclusions are drawn with: those of the site file and those put in force.
pub fn model_id(site: &Site, adopted: &Model) -> String {
    let mut hasher = blake3::Hasher::new();
    for (id, sensor) in &site.sensors {
        hasher.update(id.as_str().as_bytes());
        hasher.update(&sensor.rates.detection.to_le_bytes());
        hasher.update(&sensor.rates.false_alarm.to_le_bytes());
    }
    if *adopted != Model::default() {
        hasher.update(&postcard::to_allocvec(adopted).expect("a model always serialises"));
    }
    hasher.finalize().to_hex().as_str().get(..4).unwrap_or_default().to_string()
}
