//! OpenALPR and Rekor Scout (<https://docs.rekor.ai>): `alpr_group` (times in milliseconds), the older `alpr_results` (seconds in
//! old versions, milliseconds in newer), and `heartbeat`, whose stream addresses may hold passwords and are not read.

use super::candidates;
use crate::json::{Undecodable, at, expected, parse, score};
use quaywatch_schemas::{
    NoData, Observation, Private, Reading, SensorId, WallTime,
    observation::{Health, Media, Plate, SourceId, SourceTime},
};
use serde_json::Value;
use std::time::Duration;

/// Decodes a webhook's JSON. Messages of other cameras give nothing.
pub fn decode(camera: &str, sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let message = parse(payload)?;
    match at(&message, "/data_type")?.as_str() {
        Some("heartbeat") => Ok(heartbeat(camera, sensor, &message)),
        Some("alpr_group") if is_of(camera, &message) => {
            let best = message.pointer("/best_plate").unwrap_or(&Value::Null);
            let text = message.pointer("/best_plate_number").or_else(|| best.pointer("/plate"));
            let confidence = message.pointer("/best_confidence").or_else(|| best.pointer("/confidence"));
            let from = time(&message, "/epoch_start")?;
            let to = time(&message, "/epoch_end").unwrap_or(from);
            let id = message.pointer("/best_uuid").and_then(Value::as_str);
            Ok(vec![read(camera, sensor, best, text, confidence, (from, to), id, "/best_plate_number")?])
        }
        Some("alpr_results") if is_of(camera, &message) => {
            let at_time = time(&message, "/epoch_time")?;
            let results = at(&message, "/results")?.as_array().ok_or_else(|| expected("/results", "a list"))?;
            let id = message.pointer("/uuid").and_then(Value::as_str);
            let reads = results.iter().take(16).map(|result| {
                let (text, confidence) = (result.pointer("/plate"), result.pointer("/confidence"));
                read(camera, sensor, result, text, confidence, (at_time, at_time), id, "/results/…/plate")
            });
            reads.collect()
        }
        Some("alpr_group" | "alpr_results") => Ok(Vec::new()),
        _ => Err(expected("/data_type", "alpr_group, alpr_results or heartbeat")),
    }
}

fn is_of(camera: &str, message: &Value) -> bool {
    message.pointer("/camera_id").is_some_and(|id| match id {
        Value::String(id) => id == camera,
        Value::Number(id) => id.to_string() == camera,
        _ => false,
    })
}

#[expect(clippy::too_many_arguments, reason = "the places a read can be in differ between the two messages")]
fn read(
    camera: &str,
    sensor: &SensorId,
    result: &Value,
    text: Option<&Value>,
    confidence: Option<&Value>,
    (from, to): (WallTime, WallTime),
    id: Option<&str>,
    place: &str,
) -> Result<Observation, Undecodable> {
    let text = text.and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 32);
    let text = text.ok_or_else(|| expected(place, "a text"))?;
    let others = result.pointer("/candidates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others = others
        .iter()
        .filter_map(|other| Some((other.pointer("/plate")?.as_str()?, other.pointer("/confidence").and_then(percent))));
    let plate = Plate {
        text: Private::clear(text.to_uppercase()),
        confidence: confidence.and_then(percent),
        candidates: candidates(others, text),
        region: None,
    };
    Ok(Observation {
        source_id: Some(SourceId::of(
            sensor,
            &[id.unwrap_or_default().as_bytes(), &from.0.to_le_bytes(), text.as_bytes()],
        )),
        observed_at: Some(SourceTime { at: from, uncertainty_ms: 0 }),
        media: Some(Media { camera: camera.into(), from: from.before(AROUND), to: to.after(AROUND) }),
        ..Observation::live(sensor.clone(), Reading::Plate(plate))
    })
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
fn percent(value: &Value) -> Option<quaywatch_schemas::units::Probability> {
    value
        .as_f64()
        .filter(|percent| *percent > 1.0)
        .map_or_else(|| score(value), |percent| quaywatch_schemas::units::Probability::new(percent / 100.0).ok())
}

/// A time in milliseconds, or in seconds where the number is too small for milliseconds of this century.
fn time(message: &Value, pointer: &str) -> Result<WallTime, Undecodable> {
    let number = at(message, pointer)?.as_f64().ok_or_else(|| expected(pointer, "a time in milliseconds"))?;
    let seconds = if number > 1e11 { number / 1000.0 } else { number };
    WallTime::from_seconds(seconds).ok_or_else(|| expected(pointer, "a time in milliseconds"))
}

const AROUND: Duration = Duration::from_secs(3);
