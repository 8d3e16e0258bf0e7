//! Plate Recognizer Stream (<https://guides.platerecognizer.com/docs/stream/>): one webhook per recognition, JSON, or a form
//! with the JSON in its field `json`. Plates come in lower case.

use super::candidates;
use crate::json::{Undecodable, at, expected, parse, rfc3339, score};
use quaywatch_schemas::{
    Observation, Private, Reading, SensorId,
    observation::{Media, Plate, SourceId, SourceTime},
};
use serde_json::Value;
use std::time::Duration;

/// Decodes a webhook's JSON. Messages of other cameras give nothing.
pub fn decode(camera: &str, sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let message = parse(payload)?;
    let data = at(&message, "/data")?;
    if at(data, "/camera_id")?.as_str() != Some(camera) {
        return Ok(Vec::new());
    }
    let time = at(data, "/timestamp")?.as_str().and_then(rfc3339);
    let time = time.ok_or_else(|| expected("/data/timestamp", "an RFC 3339 time"))?;
    let results = at(data, "/results")?.as_array().ok_or_else(|| expected("/data/results", "a list"))?;
    let mut observations = Vec::new();
    for (index, result) in results.iter().take(16).enumerate() {
        let text = result.pointer("/plate").and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 32);
        let text = text.ok_or_else(|| expected(&format!("/data/results/{index}/plate"), "a text"))?;
        let others = result.pointer("/candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others = others
            .iter()
            .filter_map(|other| Some((other.pointer("/plate")?.as_str()?, other.pointer("/score").and_then(score))));
        let plate = Plate {
            text: Private::clear(text.to_uppercase()),
            confidence: result.pointer("/score").and_then(score),
            candidates: candidates(others, text),
            region: result.pointer("/region/code").and_then(Value::as_str).map(str::to_owned),
        };
        let media = Media { camera: camera.into(), from: time.before(AROUND), to: time.after(AROUND) };
        observations.push(Observation {
            source_id: Some(SourceId::of(sensor, &[&time.0.to_le_bytes(), &[index as u8], text.as_bytes()])),
            observed_at: Some(SourceTime { at: time, uncertainty_ms: 0 }),
            media: Some(media),
            ..Observation::live(sensor.clone(), Reading::Plate(plate))
        });
    }
    Ok(observations)
}

const AROUND: Duration = Duration::from_secs(5);
