//! Frigate (<https://docs.frigate.video/integrations/mqtt>): `frigate/events`, `frigate/tracked_object_update`,
//! `frigate/available`, `frigate/<camera>/status/detect` and `frigate/<camera>/all`.
//!
//! An event is a life: `new`, many `update`s, `end`, all with one id. Older versions name the moment of a snapshot
//! `snapshot_time`, newer ones have `snapshot.frame_time`; neither is read, the moment of the detection is `frame_time` in
//! both. `sub_label` is null or `[name, score]` and is never read, since it can be a person's name. Plates come inside an
//! event or later, in `tracked_object_update`, under the same id.
//!
//! **Debouncing** looks at one message only: every event carries what Frigate published before (`before`) and now (`after`).
//! An update is said if its score moved by a tenth, its zones or its plate changed, or a multiple of 5 s lies between the two.
//! Nothing is remembered, so a message that is delivered again gives the same observations again, with the same ids.
//!
//! **Nothing in view** is said by the count of all objects at `<camera>/all`: 0 is a frame without detections. The end of one
//! object says nothing about the scene, another may still be there.
//!
//! **Health**: `available` is kept up by the broker with a last will and so states how things are now, also as a retained
//! message; `status/detect` comes every few seconds. The roles `record` and `audio` say nothing about what is seen.

use super::{class_of, plate_text};
use crate::json::{Undecodable, at, expected, parse, score};
use quaywatch_schemas::{
    NoData, Observation, Private, Reading, SensorId, WallTime,
    observation::{Detection, Frame, Health, Media, Phase, Plate, SourceId, SourceTime},
    units::Probability,
};
use serde_json::Value;
use std::time::Duration;

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

impl Camera {
    /// The topics that concern this camera, without the prefix.
    pub fn topics(&self) -> Vec<String> {
        let camera = &self.name;
        let mut topics = vec!["events".into(), "available".into(), format!("{camera}/status/detect")];
        topics.push(match self.gives {
            Gives::Plates => "tracked_object_update".into(),
            Gives::Frames => format!("{camera}/all"),
        });
        topics
    }
}

/// A message, parsed once for all cameras of the server.
#[derive(Debug)]
pub struct Message<'a> {
    topic: &'a str,
    body: Body<'a>,
}

#[derive(Debug)]
enum Body<'a> {
    Json(Value),
    Text(&'a [u8]),
}

/// Parses a message on any of Frigate's topics. `topic` is without the prefix: `events`, `available`, ….
pub fn read<'a>(topic: &'a str, payload: &'a [u8]) -> Result<Message<'a>, Undecodable> {
    let body = match topic {
        "events" | "tracked_object_update" => Body::Json(parse(payload)?),
        _ => Body::Text(payload),
    };
    Ok(Message { topic, body })
}

impl Message<'_> {
    /// What the message says of one camera. Messages of other cameras give nothing.
    pub fn about(&self, camera: &Camera, sensor: &SensorId) -> Result<Vec<Observation>, Undecodable> {
        match (&self.body, self.topic) {
            (Body::Json(message), "events") => event(camera, sensor, message),
            (Body::Json(message), _) => late(camera, sensor, message),
            (Body::Text(text), "available") => availability(sensor, text),
            (Body::Text(text), topic) => match topic.strip_prefix(camera.name.as_str()) {
                Some("/status/detect") => availability(sensor, text),
                Some("/all") if camera.gives == Gives::Frames => count(sensor, text),
                _ => Ok(Vec::new()),
            },
        }
    }

    /// The message as JSON, if it is.
    pub fn json(&self) -> Option<&Value> {
        match &self.body {
            Body::Json(value) => Some(value),
            Body::Text(_) => None,
        }
    }

    /// Whether it states how things are now even if the broker kept it.
    pub fn is_state(&self) -> bool {
        self.topic == "available" || self.topic.ends_with("/status/detect")
    }
}

/// Decodes one message for one camera: [`read`], then [`Message::about`].
pub fn decode(
    camera: &Camera,
    sensor: &SensorId,
    topic: &str,
    payload: &[u8],
) -> Result<Vec<Observation>, Undecodable> {
    read(topic, payload)?.about(camera, sensor)
}

/// Even an unchanged object is said this often: it is still there.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// Footage from a little before somebody came into view.
const FOOTAGE_BEFORE: Duration = Duration::from_secs(5);
/// Frigate's ids are 24 characters; anything much longer is not one.
const LONGEST_ID: usize = 64;

fn event(camera: &Camera, sensor: &SensorId, message: &Value) -> Result<Vec<Observation>, Undecodable> {
    let named = at(message, "/after/camera")?.as_str().ok_or_else(|| expected("/after/camera", "a text"))?;
    if named != camera.name {
        return Ok(Vec::new());
    }
    let phase = match at(message, "/type")?.as_str() {
        Some("new") => Phase::New,
        Some("update") => Phase::Update,
        Some("end") => Phase::End,
        _ => return Err(expected("/type", "new, update or end")),
    };
    let after = at(message, "/after")?;
    let id = at(message, "/after/id")?.as_str().filter(|id| (1..=LONGEST_ID).contains(&id.len()));
    let id = id.ok_or_else(|| expected("/after/id", "an id"))?;
    let label = at(message, "/after/label")?.as_str().ok_or_else(|| expected("/after/label", "a text"))?;
    let seen = at(message, "/after/frame_time")?.as_f64().and_then(WallTime::from_seconds);
    let seen = seen.ok_or_else(|| expected("/after/frame_time", "a time in seconds"))?;
    if after.pointer("/false_positive").and_then(Value::as_bool) == Some(true) {
        return Ok(Vec::new());
    }
    if phase == Phase::Update && !is_news(camera.gives, message.pointer("/before"), after, seen) {
        return Ok(Vec::new());
    }
    let time = |pointer: &str| after.pointer(pointer).and_then(Value::as_f64).and_then(WallTime::from_seconds);
    let (start, end) = (time("/start_time").unwrap_or(seen), time("/end_time").unwrap_or(seen));
    let media = Media { camera: camera.name.clone(), from: start.before(FOOTAGE_BEFORE), to: end.max(seen) };
    let say = |reading: Reading, what: &str| Observation {
        source_id: Some(SourceId::of(sensor, &[what.as_bytes(), id.as_bytes(), &seen.0.to_le_bytes(), &[phase as u8]])),
        observed_at: Some(SourceTime { at: seen, uncertainty_ms: 0 }),
        phase,
        object: Some(id.to_owned()),
        media: Some(media),
        ..Observation::live(sensor.clone(), reading)
    };
    Ok(match camera.gives {
        Gives::Plates => plate(after).map(|plate| say(Reading::Plate(plate), "plate")).into_iter().collect(),
        Gives::Frames if phase == Phase::End => Vec::new(),
        Gives::Frames => {
            let detection = Detection {
                class: class_of(label),
                confidence: confidence(after),
                position: None,
                speed: None,
                zones: zones(after),
            };
            vec![say(Reading::Frame(Frame { detections: vec![detection] }), "frame")]
        }
    })
}

/// Whether an update says something that the one before it did not.
fn is_news(gives: Gives, before: Option<&Value>, after: &Value, seen: WallTime) -> bool {
    let Some(before) = before.filter(|before| before.is_object()) else { return true };
    let earlier = before.pointer("/frame_time").and_then(Value::as_f64).and_then(WallTime::from_seconds);
    let Some(earlier) = earlier.filter(|earlier| *earlier < seen) else {
        // Not what was published before: nothing can be told from it.
        return true;
    };
    let tenths = |score: Option<Probability>| score.map(|score| (score.get() * 10.0) as i64);
    match gives {
        Gives::Plates => {
            let gist = |moment: &Value| plate(moment).map(|plate| (plate.text, tenths(plate.confidence)));
            gist(before) != gist(after)
        }
        Gives::Frames => {
            let slot = |at: WallTime| at.0.div_euclid(SAY_AGAIN.as_nanos() as i64);
            tenths(confidence(before)) != tenths(confidence(after))
                || zones(before) != zones(after)
                || slot(earlier) != slot(seen)
        }
    }
}

fn confidence(moment: &Value) -> Option<Probability> {
    moment.pointer("/score").and_then(score).or_else(|| moment.pointer("/top_score").and_then(score))
}

fn zones(moment: &Value) -> Vec<String> {
    let zones = moment.pointer("/current_zones").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    zones.iter().filter_map(|zone| zone.as_str().map(str::to_owned)).take(16).collect()
}

/// The plate inside an event: a text, or in some versions `[text, score]`.
fn plate(moment: &Value) -> Option<Plate> {
    let said = moment.pointer("/recognized_license_plate")?;
    let (text, own_score) = match said {
        Value::String(_) => (said, None),
        Value::Array(pair) => (pair.first()?, pair.get(1).and_then(score)),
        _ => return None,
    };
    let confidence = own_score.or_else(|| moment.pointer("/recognized_license_plate_score").and_then(score));
    plate_text(text).map(|text| bare(text, confidence))
}

fn late(camera: &Camera, sensor: &SensorId, message: &Value) -> Result<Vec<Observation>, Undecodable> {
    // Descriptions, faces and classifications are not decoded: they may hold names.
    if at(message, "/type")?.as_str() != Some("lpr") || camera.gives != Gives::Plates {
        return Ok(Vec::new());
    }
    if at(message, "/camera")?.as_str().ok_or_else(|| expected("/camera", "a text"))? != camera.name {
        return Ok(Vec::new());
    }
    let id = at(message, "/id")?.as_str().filter(|id| (1..=LONGEST_ID).contains(&id.len()));
    let id = id.ok_or_else(|| expected("/id", "an id"))?;
    let text = plate_text(at(message, "/plate")?).ok_or_else(|| expected("/plate", "a plate"))?;
    let seen = at(message, "/timestamp")?.as_f64().and_then(WallTime::from_seconds);
    let seen = seen.ok_or_else(|| expected("/timestamp", "a time in seconds"))?;
    let confidence = message.pointer("/score").and_then(score);
    Ok(vec![Observation {
        source_id: Some(SourceId::of(sensor, &[b"late", id.as_bytes(), &seen.0.to_le_bytes()])),
        observed_at: Some(SourceTime { at: seen, uncertainty_ms: 0 }),
        phase: Phase::Update,
        object: Some(id.to_owned()),
        media: Some(Media { camera: camera.name.clone(), from: seen.before(FOOTAGE_BEFORE), to: seen }),
        ..Observation::live(sensor.clone(), Reading::Plate(bare(text, confidence)))
    }])
}

fn bare(text: &str, confidence: Option<Probability>) -> Plate {
    Plate { text: Private::clear(text.to_uppercase()), confidence, candidates: Vec::new(), region: None }
}

fn availability(sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let reading = match payload.trim_ascii() {
        b"online" => Reading::Health(Health::Alive),
        b"offline" | b"stopped" | b"disabled" => Reading::NoData(NoData::Disconnected),
        _ => return Err(Undecodable("expected online, offline, stopped or disabled".into())),
    };
    Ok(vec![Observation::live(sensor.clone(), reading)])
}

fn count(sensor: &SensorId, payload: &[u8]) -> Result<Vec<Observation>, Undecodable> {
    let count = std::str::from_utf8(payload).ok().and_then(|text| text.trim().parse::<u32>().ok());
    match count {
        Some(0) => Ok(vec![Observation::live(sensor.clone(), Reading::Frame(Frame { detections: Vec::new() }))]),
        // What they are comes as events.
        Some(_) => Ok(Vec::new()),
        None => Err(Undecodable("expected a count of objects".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn camera(gives: Gives) -> Camera {
        Camera { name: "quay_west".into(), gives }
    }

    fn moment(seconds: f64, score: f64, zones: &[&str]) -> Value {
        json!({"id": "1773454324.5-mxklsc", "camera": "quay_west", "frame_time": seconds, "label": "person",
               "score": score, "false_positive": false, "start_time": 1_773_454_324.5, "current_zones": zones})
    }

    fn says(gives: Gives, kind: &str, before: &Value, after: &Value) -> Vec<Observation> {
        let sensor = SensorId::new("west").unwrap();
        let message = json!({"type": kind, "before": before, "after": after}).to_string();
        decode(&camera(gives), &sensor, "events", message.as_bytes()).unwrap()
    }

    #[test]
    fn an_update_is_said_when_it_is_news_and_the_same_again_when_it_is_delivered_again() {
        let first = moment(1_773_454_326.0, 0.84, &["quay"]);
        for (after, said) in [
            (moment(1_773_454_326.4, 0.86, &["quay"]), 0),
            (moment(1_773_454_326.4, 0.91, &["quay"]), 1),
            (moment(1_773_454_326.4, 0.84, &["quay", "ladder"]), 1),
            (moment(1_773_454_331.2, 0.84, &["quay"]), 1),
        ] {
            let once = says(Gives::Frames, "update", &first, &after);
            assert_eq!(once.len(), said, "{after}");
            assert_eq!(once, says(Gives::Frames, "update", &first, &after));
        }
        assert_eq!(says(Gives::Frames, "update", &Value::Null, &first).len(), 1, "nothing to compare with");
    }

    #[test]
    fn an_object_that_never_changes_is_said_again_every_five_seconds() {
        let frames: Vec<Value> =
            (0..100).map(|n| moment(1_773_454_324.5 + f64::from(n) * 0.2, 0.8, &["quay"])).collect();
        let said: usize = frames.windows(2).map(|pair| says(Gives::Frames, "update", &pair[0], &pair[1]).len()).sum();
        assert_eq!(said, 4, "20 s");
    }

    #[test]
    fn an_end_says_nothing_about_the_scene_and_a_count_of_nought_does() {
        let last = moment(1_773_454_330.0, 0.8, &[]);
        assert!(says(Gives::Frames, "end", &last, &last).is_empty());
        let sensor = SensorId::new("west").unwrap();
        let empty = decode(&camera(Gives::Frames), &sensor, "quay_west/all", b"0").unwrap();
        assert_eq!(empty[0].reading, Reading::Frame(Frame { detections: Vec::new() }));
        assert!(decode(&camera(Gives::Frames), &sensor, "quay_west/all", b"2").unwrap().is_empty());
        assert!(decode(&camera(Gives::Frames), &sensor, "quay_west/all", b"many").is_err());
    }

    #[test]
    fn a_plate_is_said_once_when_it_is_read_and_once_more_at_the_end() {
        let mut before = moment(1_773_454_326.0, 0.84, &[]);
        let mut after = moment(1_773_454_332.0, 0.84, &[]);
        assert!(says(Gives::Plates, "update", &before, &after).is_empty(), "no plate");
        after["recognized_license_plate"] = json!("qw-12-ab");
        after["recognized_license_plate_score"] = json!(0.93);
        assert_eq!(says(Gives::Plates, "update", &before, &after).len(), 1);
        before["recognized_license_plate"] = json!("qw-12-ab");
        before["recognized_license_plate_score"] = json!(0.93);
        assert!(says(Gives::Plates, "update", &before, &after).is_empty(), "said already");
        assert_eq!(says(Gives::Plates, "end", &before, &after).len(), 1);
    }

    #[test]
    fn the_camera_is_online_whatever_its_recorder_says() {
        let sensor = SensorId::new("west").unwrap();
        let decode = |topic: &str, payload: &[u8]| decode(&camera(Gives::Frames), &sensor, topic, payload);
        assert!(decode("quay_west/status/record", b"offline").unwrap().is_empty());
        assert!(decode("quay_west2/status/detect", b"offline").unwrap().is_empty(), "another camera");
        let said = decode("quay_west/status/detect", b"offline").unwrap();
        assert_eq!(said[0].reading, Reading::NoData(NoData::Disconnected));
        assert!(decode("available", b"perhaps").is_err());
    }
}
