//! OpenALPR and Rekor Scout (<https://docs.rekor.ai>): `alpr_group` (times in milliseconds), the older `alpr_results` (seconds in
//! old versions, milliseconds in newer), and `heartbeat`, whose stream addresses may hold passwords and are not read.

use super::{MOST_READS, candidates, plate_text};
use crate::json::{Undecodable, at, expected, parse};
use quaywatch_schemas::{
    NoData, Observation, Private, Reading, SensorId, WallTime,
    observation::{Health, Media, Plate, SourceId, SourceTime},
    units::Probability,
};
use serde_json::Value;
use std::time::Duration;

/// Decodes a webhook's JSON. Messages of other cameras give nothing; a result that cannot be read is left out if another of
/// the same message can.
pub fn decode(camera: &str, sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let message = parse(payload)?;
    match at(&message, "/data_type")?.as_str() {
        Some("heartbeat") => Ok(heartbeat(camera, sensor, &message)),
        Some("alpr_group" | "alpr_results") if !is_of(camera, &message) => {
            at(&message, "/camera_id").map(|_| Vec::new())
        }
        Some("alpr_group") => group(camera, sensor, &message).map(|read| vec![read]),
        Some("alpr_results") => results(camera, sensor, &message),
        _ => Err(expected("/data_type", "alpr_group, alpr_results or heartbeat")),
    }
}

fn group(camera: &str, sensor: &SensorId, message: &Value) -> Result<Observation, Undecodable> {
    let best = message.pointer("/best_plate").unwrap_or(&Value::Null);
    let text = message.pointer("/best_plate_number").or_else(|| best.pointer("/plate"));
    let text = text.and_then(plate_text).ok_or_else(|| expected("/best_plate_number", "a plate"))?;
    let confidence = message.pointer("/best_confidence").or_else(|| best.pointer("/confidence"));
    let from = time(message, "/epoch_start")?;
    let to = time(message, "/epoch_end").unwrap_or(from).max(from);
    let id = message.pointer("/best_uuid").and_then(Value::as_str).unwrap_or_default();
    let plate = plate(best, text, confidence);
    Ok(observation(
        camera,
        sensor,
        plate,
        SourceId::of(sensor, &[id.as_bytes(), &from.0.to_le_bytes(), text.as_bytes()]),
        (from, to),
    ))
}

fn results(camera: &str, sensor: &SensorId, message: &Value) -> Result<Vec<Observation>, Undecodable> {
    let at_time = time(message, "/epoch_time")?;
    let results = at(message, "/results")?.as_array().ok_or_else(|| expected("/results", "a list"))?;
    let id = message.pointer("/uuid").and_then(Value::as_str).unwrap_or_default();
    let mut observations = Vec::new();
    let mut refused = None;
    for (index, result) in results.iter().take(MOST_READS).enumerate() {
        let Some(text) = result.pointer("/plate").and_then(plate_text) else {
            refused = Some(expected(&format!("/results/{index}/plate"), "a plate"));
            continue;
        };
        let source_id = SourceId::of(sensor, &[id.as_bytes(), &at_time.0.to_le_bytes(), text.as_bytes()]);
        let plate = plate(result, text, result.pointer("/confidence"));
        observations.push(observation(camera, sensor, plate, source_id, (at_time, at_time)));
    }
    match refused {
        Some(why) if observations.is_empty() => Err(why),
        _ => Ok(observations),
    }
}

fn is_of(camera: &str, message: &Value) -> bool {
    message.pointer("/camera_id").is_some_and(|id| match id {
        Value::String(id) => id == camera,
        Value::Number(id) => id.to_string() == camera,
        _ => false,
    })
}

fn plate(result: &Value, text: &str, confidence: Option<&Value>) -> Plate {
    let others = result.pointer("/candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others = others.iter().filter_map(|other| {
        Some((plate_text(other.pointer("/plate")?)?, other.pointer("/confidence").and_then(percent)))
    });
    Plate {
        text: Private::clear(text.to_uppercase()),
        confidence: confidence.and_then(percent),
        candidates: candidates(others, text),
        region: None,
    }
}

fn observation(
    camera: &str,
    sensor: &SensorId,
    plate: Plate,
    source_id: SourceId,
    (from, to): (WallTime, WallTime),
) -> Observation {
    Observation {
        source_id: Some(source_id),
        observed_at: Some(SourceTime { at: from, uncertainty_ms: 0 }),
        media: Some(Media { camera: camera.into(), from: from.before(AROUND), to: to.after(AROUND) }),
        ..Observation::live(sensor.clone(), Reading::Plate(plate))
    }
}

fn heartbeat(camera: &str, sensor: &SensorId, message: &Value) -> Vec<Observation> {
    let streams = message.pointer("/video_streams").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ours = streams.iter().filter(|stream| is_of(camera, stream));
    ours.map(|stream| {
        let streaming = stream.pointer("/is_streaming").and_then(Value::as_bool) != Some(false);
        let reading = if streaming { Reading::Health(Health::Alive) } else { Reading::NoData(NoData::Disconnected) };
        Observation::live(sensor.clone(), reading)
    })
    .collect()
}

/// Scores are in percent throughout.
fn percent(value: &Value) -> Option<Probability> {
    Probability::new(value.as_f64()? / 100.0).ok()
}

/// A time in milliseconds, or in seconds where the number is too small for milliseconds of this century.
fn time(message: &Value, pointer: &str) -> Result<WallTime, Undecodable> {
    let number = at(message, pointer)?.as_f64().ok_or_else(|| expected(pointer, "a time in milliseconds"))?;
    let seconds = if number > 1e11 { number / 1000.0 } else { number };
    WallTime::from_seconds(seconds).ok_or_else(|| expected(pointer, "a time in milliseconds"))
}

/// A little before and after what the camera itself says.
const AROUND: Duration = Duration::from_secs(3);
