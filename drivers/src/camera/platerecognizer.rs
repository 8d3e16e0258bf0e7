//! Plate Recognizer Stream (<https://guides.platerecognizer.com/docs/stream/>): one webhook per recognition, JSON, or a form
//! with the JSON in its field `json`. Plates come in lower case. A result may be a vehicle without a plate.

use super::{MOST_READS, candidates, plate_text};
use crate::json::{Undecodable, at, expected, parse, rfc3339, score};
use quaywatch_schemas::{
    Observation, Private, Reading, SensorId, WallTime,
    observation::{Media, Plate, SourceId, SourceTime},
};
use serde_json::Value;
use std::time::Duration;

/// Decodes a webhook's JSON. Messages of other cameras give nothing; a result that cannot be read is left out if another of
/// the same message can.
pub fn decode(camera: &str, sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let message = parse(payload)?;
    let named = at(&message, "/data/camera_id")?.as_str().ok_or_else(|| expected("/data/camera_id", "a text"))?;
    if named != camera {
        return Ok(Vec::new());
    }
    let time = at(&message, "/data/timestamp")?.as_str().and_then(rfc3339);
    let time = time.ok_or_else(|| expected("/data/timestamp", "an RFC 3339 time"))?;
    let results = at(&message, "/data/results")?.as_array().ok_or_else(|| expected("/data/results", "a list"))?;
    let mut observations = Vec::new();
    let mut refused = None;
    for (index, result) in results.iter().take(MOST_READS).enumerate() {
        match result.pointer("/plate") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(said) => match plate_text(said) {
                Some(text) => observations.push(read(camera, sensor, result, text, time)),
                None => refused = Some(expected(&format!("/data/results/{index}/plate"), "a plate")),
            },
        }
    }
    match refused {
        Some(why) if observations.is_empty() => Err(why),
        _ => Ok(observations),
    }
}

fn read(camera: &str, sensor: &SensorId, result: &Value, text: &str, time: WallTime) -> Observation {
    let others = result.pointer("/candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others = others
        .iter()
        .filter_map(|other| Some((plate_text(other.pointer("/plate")?)?, other.pointer("/score").and_then(score))));
    let region = result.pointer("/region/code").and_then(Value::as_str).filter(|code| code.len() <= 16);
    let plate = Plate {
        text: Private::clear(text.to_uppercase()),
        confidence: result.pointer("/score").and_then(score),
        candidates: candidates(others, text),
        region: region.map(str::to_owned),
    };
    Observation {
        source_id: Some(SourceId::of(sensor, &[&time.0.to_le_bytes(), text.as_bytes()])),
        observed_at: Some(SourceTime { at: time, uncertainty_ms: 0 }),
        media: Some(Media { camera: camera.into(), from: time.before(AROUND), to: time.after(AROUND) }),
        ..Observation::live(sensor.clone(), Reading::Plate(plate))
    }
}

/// A truck passes a camera in about this time.
const AROUND: Duration = Duration::from_secs(5);
