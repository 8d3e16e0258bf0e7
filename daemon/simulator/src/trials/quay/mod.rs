//! Five minutes of a quay and the water before it.
//!
//! Persons and vehicles on the quay and boats on the water go from one point to the next, come into being and end. A radar
//! sees everything once a second and things that are not there; two cameras see less, twice a second, and say what it is;
//! motion detectors say that something is in their zone.

mod objects;
mod sensors;

use super::{File, lines, rounded};
use objects::Object;
use serde::Serialize;
use serde_json::{Value, json};

/// Where things are, in metres: x from, x to, y from, y to. The quay is where y is below 0.
const AREA: [f64; 4] = [0.0, 400.0, -60.0, 200.0];

/// How much there is to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// How it is called.
    pub name: &'static str,
    /// How long it takes, in seconds.
    pub duration_s: u32,
    persons: usize,
    vehicles: usize,
    boats: usize,
    /// Mean number of things in a radar scan that are not there.
    clutter: f64,
}

impl Preset {
    /// An ordinary afternoon.
    pub const QUAY: Self = Self { name: "quay", duration_s: 300, persons: 6, vehicles: 4, boats: 5, clutter: 8.0 };
    /// Change of shift, and rain.
    pub const DENSE: Self =
        Self { name: "dense", duration_s: 300, persons: 25, vehicles: 15, boats: 20, clutter: 20.0 };

    /// The preset of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::QUAY, Self::DENSE].into_iter().find(|preset| preset.name == name)
    }
}

/// A data set.
#[derive(Debug, Clone)]
pub struct Trial {
    scenario: Value,
    observations: Vec<Observation>,
    truth: Vec<Epoch>,
}

/// What arrived.
#[derive(Debug, Clone, Serialize)]
struct Observation {
    #[serde(flatten)]
    what: What,
    sensor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<u32>,
    t: f64,
    rx: f64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "k", rename_all = "lowercase")]
enum What {
    /// A sensor looked, and so many positions follow.
    Frame {
        n: usize,
    },
    Pos {
        #[serde(flatten)]
        polar: Option<Polar>,
        x: f64,
        y: f64,
        cov: [f64; 3],
        #[serde(flatten)]
        seen: Option<Seen>,
    },
    Pir {},
}

#[derive(Debug, Clone, Serialize)]
struct Polar {
    r: f64,
    b: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Seen {
    cls: &'static str,
    conf: f64,
}

/// Everything there is at one moment.
#[derive(Debug, Clone, Serialize)]
struct Epoch {
    t: f64,
    objs: Vec<(usize, &'static str, f64, f64, f64, f64)>,
}

impl Trial {
    /// The trial of a seed.
    pub fn make(preset: &Preset, seed: u64) -> Self {
        let objects = objects::run(preset, seed);
        let observations = sensors::watch(preset, seed, &objects);
        let truth = (0..=preset.duration_s).map(|second| epoch(&objects, f64::from(second))).collect();
        Self { scenario: scenario(preset, seed), observations, truth }
    }

    /// As files: `scenario.json`, `obs.jsonl` in order of arrival, `truth.jsonl`.
    ///
    /// # Errors
    /// If a value cannot be written as JSON, which none of them is made to be.
    pub fn files(&self) -> Result<Vec<File>, serde_json::Error> {
        let scenario = serde_json::to_string_pretty(&self.scenario)?;
        Ok(vec![
            File { name: "scenario.json", text: scenario },
            lines("obs.jsonl", &self.observations)?,
            lines("truth.jsonl", &self.truth)?,
        ])
    }
}

fn epoch(objects: &[Object], at: f64) -> Epoch {
    let mut objs = Vec::new();
    for object in objects {
        if let Some(state) = object.at(at) {
            let [x, y, vx, vy] = state.map(|value| rounded(value, 3));
            objs.push((object.id, object.class.name(), x, y, vx, vy));
        }
    }
    Epoch { t: at, objs }
}

fn scenario(preset: &Preset, seed: u64) -> Value {
    let Preset { name, duration_s, persons, vehicles, boats, clutter } = preset;
    json!({
        "seed": seed,
        "preset": name,
        "params": {
            "dur": duration_s, "n_person": persons, "n_vehicle": vehicles, "n_boat": boats, "clutter": clutter, "arrivals": 1.0,
        },
        "area": AREA,
        "radar": sensors::RADAR,
        "cams": sensors::CAMERAS,
        "pirs": sensors::detectors(),
        "confusion": sensors::confusion(),
    })
}

#[cfg(test)]
mod tests;
