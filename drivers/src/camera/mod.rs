//! What cameras say: one file per vendor or standard, each a pure function from a message to observations.
//!
//! Faces and names are dropped here, before anything is stored: no rule needs them.

pub mod frigate;
pub mod openalpr;
pub mod platerecognizer;

use quaywatch_schemas::{
    Private,
    observation::{Candidate, ObjectClass},
    units::Probability,
};
use serde_json::Value;

/// Candidates kept of one read.
const MOST_CANDIDATES: usize = 8;
/// Plates looked at in one message; a camera sees a few vehicles at once.
const MOST_READS: usize = 16;
/// The longest plates in use have about a dozen characters; more than this is not a plate.
const LONGEST_PLATE: usize = 32;

/// What detectors call things, in our terms. COCO names, which most detectors are trained on, and common shorthands.
fn class_of(label: &str) -> ObjectClass {
    match label.to_ascii_lowercase().as_str() {
        "person" | "pedestrian" | "human" => ObjectClass::Person,
        "car" | "truck" | "bus" | "school_bus" | "van" | "motorcycle" | "bicycle" | "train" | "vehicle"
        | "forklift" => ObjectClass::Vehicle,
        "boat" | "ship" | "vessel" => ObjectClass::Vessel,
        "dog" | "cat" | "bird" | "horse" | "deer" | "fox" | "animal" | "rodent" => ObjectClass::Animal,
        _ => ObjectClass::Other,
    }
}

/// A text that can be a plate.
fn plate_text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| (1..=LONGEST_PLATE).contains(&text.len()))
}

fn candidates<'a>(all: impl Iterator<Item = (&'a str, Option<Probability>)>, best: &str) -> Vec<Candidate> {
    let others = all.filter(|(text, _)| !text.eq_ignore_ascii_case(best)).take(MOST_CANDIDATES);
    others.map(|(text, confidence)| Candidate { text: Private::clear(text.to_uppercase()), confidence }).collect()
}
