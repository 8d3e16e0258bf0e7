//! Frigate (<https://docs.frigate.video/integrations/mqtt>): `frigate/events`, `frigate/tracked_object_update`,
//! `frigate/available` and `frigate/<camera>/status/<role>`.
//!
//! An event is a life: `new`, many `update`s, `end`, all with one id. Older versions name the moment of a snapshot
//! `snapshot_time`, newer ones have `snapshot.frame_time`; `sub_label` is null or `[name, score]` and is never read, since it
//! can be a person's name. Plates may come inside an event or later, in `tracked_object_update`, under the same id.

use super::class_of;
use crate::json::{Undecodable, at, expected, parse, score};
use quaywatch_schemas::{
    NoData, Observation, Private, Reading, SensorId, WallTime,
    observation::{Detection, Frame, Health, Media, Phase, Plate, SourceId, SourceTime},
};
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

/// A camera of a Frigate server and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name in Frigate.
    pub name: String,
    /// What its events become.
    pub gives: Gives,
}

/// What a camera's events become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// Plates only, for a sensor that reads plates.
    Plates,
    /// What is in view, for a sensor that watches a place.
    Frames,
}

/// Leaves out updates that say nothing new; one per camera. Frigate sends several a second for everything that moves.
#[derive(Debug, Default)]
pub struct Debounce {
    /// What was last said of each object; at most [`MOST_OBJECTS`].
    said: VecDeque<(String, Gist)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Gist {
    /// Tenths of the score: a change below that changes no conclusion.
    score: i64,
    zones: Vec<String>,
    plate: Option<String>,
    at: WallTime,
}

const MOST_OBJECTS: usize = 256;
/// Even an unchanged object is said this often: it is still there.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// Footage from a little before somebody came into view.
const FOOTAGE_BEFORE: Duration = Duration::from_secs(5);

/// Decodes a message on any of Frigate's topics. `topic` is without the prefix: `events`, `available`, …
pub fn decode(
    camera: &Camera,
    sensor: &SensorId,
    topic: &str,
    payload: &[u8],
    debounce: &mut Debounce,
) -> Result<Vec<Observation>, Undecodable> {
    match topic {
        "events" => event(camera, sensor, &parse(payload)?, debounce),
        "tracked_object_update" => late(camera, sensor, &parse(payload)?),
        "available" => availability(sensor, payload),
        _ if topic.starts_with(&format!("{}/status/", camera.name)) => availability(sensor, payload),
        _ => Ok(Vec::new()),
    }
}

/// Whether a message on a topic concerns a camera, without decoding it: other cameras of the server are not ours to judge.
pub fn concerns(camera: &Camera, topic: &str, payload: &[u8]) -> bool {
    match topic {
        "available" => true,
        "events" | "tracked_object_update" => {
            // A message that cannot be parsed concerns everybody, so that it is kept as a dead letter.
            serde_json::from_slice::<Value>(payload).is_ok_and(|message| {
                let named = message.pointer("/after/camera").or_else(|| message.pointer("/camera"));
                named.is_none_or(|named| named == camera.name.as_str())
            }) || serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_err()
        }
        _ => topic.starts_with(&format!("{}/status/", camera.name)),
    }
}

fn event(
    camera: &Camera,
    sensor: &SensorId,
    message: &Value,
    debounce: &mut Debounce,
) -> Result<Vec<Observation>, Undecodable> {
    let phase = match at(message, "/type")?.as_str() {
        Some("new") => Phase::New,
        Some("update") => Phase::Update,
        Some("end") => Phase::End,
        _ => return Err(expected("/type", "new, update or end")),
    };
    let after = at(message, "/after")?;
    if at(after, "/camera")?.as_str() != Some(camera.name.as_str()) {
        return Ok(Vec::new());
    }
    let id = at(after, "/id")?.as_str().ok_or_else(|| expected("/after/id", "a text"))?.to_owned();
    let label = at(after, "/label")?.as_str().ok_or_else(|| expected("/after/label", "a text"))?;
    let seconds = |pointer: &str| after.pointer(pointer).and_then(Value::as_f64).and_then(WallTime::from_seconds);
    let seen = seconds("/frame_time").ok_or_else(|| expected("/after/frame_time", "a time in seconds"))?;
    if after.pointer("/false_positive").and_then(Value::as_bool) == Some(true) {
        return Ok(Vec::new());
    }
    let plate = plate(after);
    let zones: Vec<String> = after
        .pointer("/current_zones")
        .and_then(Value::as_array)
        .map(|zones| zones.iter().filter_map(|zone| zone.as_str().map(str::to_owned)).take(16).collect())
        .unwrap_or_default();
    let confidence = after.pointer("/score").or_else(|| after.pointer("/top_score")).and_then(score);
    let gist = Gist {
        score: confidence.map_or(0, |score| (score.get() * 10.0) as i64),
        zones: zones.clone(),
        plate: plate.as_ref().and_then(|plate| plate.text.as_clear().map(str::to_owned)),
        at: seen,
    };
    if !debounce.is_news(&id, gist, phase) {
        return Ok(Vec::new());
    }
    let start = seconds("/start_time").unwrap_or(seen);
    let end = seconds("/end_time").unwrap_or(seen);
    let media = Media { camera: camera.name.clone(), from: start.before(FOOTAGE_BEFORE), to: end.max(seen) };
    let say = |reading: Reading, what: &str| Observation {
        source_id: Some(SourceId::of(sensor, &[what.as_bytes(), id.as_bytes(), &seen.0.to_le_bytes(), &[phase as u8]])),
        observed_at: Some(SourceTime { at: seen, uncertainty_ms: 0 }),
        phase,
        object: Some(id.clone()),
        media: Some(media.clone()),
        ..Observation::live(sensor.clone(), reading)
    };
    Ok(match camera.gives {
        Gives::Plates => plate.map(|plate| say(Reading::Plate(plate), "plate")).into_iter().collect(),
        // The end of one object says nothing about the scene: another may still be there.
        Gives::Frames if phase == Phase::End => Vec::new(),
        Gives::Frames => {
            let detection = Detection { class: class_of(label), confidence, position: None, speed: None, zones };
            vec![say(Reading::Frame(Frame { detections: vec![detection] }), "frame")]
        }
    })
}

/// The plate inside an event: a text, or in some versions `[text, score]`.
fn plate(after: &Value) -> Option<Plate> {
    let said = after.pointer("/recognized_license_plate")?;
    let (text, own_score) = match said {
        Value::String(text) => (text.as_str(), None),
        Value::Array(pair) => (pair.first()?.as_str()?, pair.get(1).and_then(score)),
        _ => return None,
    };
    let confidence = own_score.or_else(|| after.pointer("/recognized_license_plate_score").and_then(score));
    (!text.is_empty() && text.len() <= 32).then(|| read(text, confidence))
}

fn late(camera: &Camera, sensor: &SensorId, message: &Value) -> Result<Vec<Observation>, Undecodable> {
    // Descriptions, faces and classifications are not decoded: they may hold names.
    if at(message, "/type")?.as_str() != Some("lpr") {
        return Ok(Vec::new());
    }
    if message.pointer("/camera").is_some_and(|named| named != camera.name.as_str()) || camera.gives != Gives::Plates {
        return Ok(Vec::new());
    }
    let id = at(message, "/id")?.as_str().ok_or_else(|| expected("/id", "a text"))?;
    let text = at(message, "/plate")?.as_str().filter(|text| !text.is_empty() && text.len() <= 32);
    let text = text.ok_or_else(|| expected("/plate", "a text"))?;
    let seen = at(message, "/timestamp")?.as_f64().and_then(WallTime::from_seconds);
    let seen = seen.ok_or_else(|| expected("/timestamp", "a time in seconds"))?;
    let confidence = message.pointer("/score").and_then(score);
    Ok(vec![Observation {
        source_id: Some(SourceId::of(sensor, &[b"late", id.as_bytes(), &seen.0.to_le_bytes()])),
        observed_at: Some(SourceTime { at: seen, uncertainty_ms: 0 }),
        phase: Phase::Update,
        object: Some(id.to_owned()),
        media: Some(Media { camera: camera.name.clone(), from: seen.before(FOOTAGE_BEFORE), to: seen }),
        ..Observation::live(sensor.clone(), Reading::Plate(read(text, confidence)))
    }])
}

fn read(text: &str, confidence: Option<quaywatch_schemas::units::Probability>) -> Plate {
    Plate { text: Private::clear(text.to_uppercase()), confidence, candidates: Vec::new(), region: None }
}

fn availability(sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let reading = match payload {
        b"online" => Reading::Health(Health::Alive),
        b"offline" | b"stopped" | b"disabled" => Reading::NoData(NoData::Disconnected),
        _ => return Err(Undecodable("expected online, offline, stopped or disabled".into())),
    };
    Ok(vec![Observation::live(sensor.clone(), reading)])
}

impl Debounce {
    fn is_news(&mut self, id: &str, gist: Gist, phase: Phase) -> bool {
        let known = self.said.iter().position(|(said, _)| said == id);
        let news = phase != Phase::Update
            || known.is_none_or(|index| {
                let before = &self.said[index].1;
                before.score != gist.score
                    || before.zones != gist.zones
                    || before.plate != gist.plate
                    || gist.at >= before.at.after(SAY_AGAIN)
            });
        if !news {
            return false;
        }
        if let Some(index) = known {
            self.said.remove(index);
        }
        if phase != Phase::End {
            if self.said.len() == MOST_OBJECTS {
                self.said.pop_front();
            }
            self.said.push_back((id.to_owned(), gist));
        }
        true
    }
}
