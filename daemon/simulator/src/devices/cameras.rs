//! Cameras: a Frigate server that publishes over MQTT, and rear cameras whose reader posts a webhook for each plate.
//!
//! Formats: <https://docs.frigate.video/integrations/mqtt> and <https://guides.platerecognizer.com/docs/stream/>, as far as
//! a gateway reads them and a little more, because real messages have more.

use super::{Clock, DeviceError, http, mqtt};
use crate::world::{Camera, Happening, Lane, LatePlate, Phase, PlateRead, Seen, Shed};
use rumqttc::v5::AsyncClient;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The clock of lane 3's rear camera was never set right: it is so many seconds slow.
const SLOW_CLOCK_SECONDS: u64 = 90;
/// Plates that wait to be posted. A gate has one every few seconds.
const POSTS: usize = 64;

/// Running cameras.
#[derive(Debug)]
pub struct Cameras {
    frigate: AsyncClient,
    posts: mpsc::Sender<(Lane, Value)>,
    clock: Clock,
}

/// Where a rear camera's reader posts to, with its token.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// The gateway's listener.
    pub listen: SocketAddr,
    /// What proves the sender, for each lane in order.
    pub tokens: [String; 3],
}

impl Cameras {
    /// Starts all cameras; every one of them gives pictures.
    pub async fn start(
        broker: SocketAddr,
        webhooks: Webhooks,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, DeviceError> {
        let (frigate, _nothing) = mqtt::connect("frigate", broker, &[], stop.clone());
        mqtt::say(&frigate, "frigate/available", true, "online").await;
        for camera in Camera::ALL {
            mqtt::say(&frigate, &status_topic(camera), true, "online").await;
        }
        let (posts, queue) = mpsc::channel(POSTS);
        tokio::spawn(post_all(http::client()?, webhooks, queue, stop));
        Ok(Self { frigate, posts, clock })
    }

    /// Says what happens, as far as cameras see it.
    pub async fn show(&self, happening: &Happening, now: Duration) {
        match happening {
            Happening::Seen(seen) => {
                let payload = frigate_event(seen, now, &self.clock);
                mqtt::say(&self.frigate, "frigate/events", false, payload.to_string()).await;
            }
            Happening::LatePlate(late) => {
                let payload = frigate_late_plate(late, &self.clock);
                mqtt::say(&self.frigate, "frigate/tracked_object_update", false, payload.to_string()).await;
            }
            Happening::CameraState { camera, online } => {
                let state = if *online { "online" } else { "offline" };
                mqtt::say(&self.frigate, &status_topic(*camera), true, state).await;
            }
            Happening::RearPlate { lane, seen, read } => {
                // A reader that cannot keep up drops reads.
                let _ = self.posts.try_send((*lane, plate_recognizer(*lane, *seen, read, &self.clock)));
            }
            _ => {}
        }
    }
}

/// As Frigate's configuration names it.
pub fn camera_name(camera: Camera) -> &'static str {
    match camera {
        Camera::Front(Lane::One) => "lane1_front",
        Camera::Front(Lane::Two) => "lane2_front",
        Camera::Front(Lane::Three) => "lane3_front",
        Camera::Quay => "quay1",
        Camera::Shed(Shed::One) => "shed1",
        Camera::Shed(Shed::Two) => "shed2",
    }
}

/// As the reader's configuration names a lane's rear camera, and the site file its sensor.
pub fn rear_camera(lane: Lane) -> &'static str {
    match lane {
        Lane::One => "lane1-rear",
        Lane::Two => "lane2-rear",
        Lane::Three => "lane3-rear",
    }
}

fn status_topic(camera: Camera) -> String {
    format!("frigate/{}/status/detect", camera_name(camera))
}

/// Posts one after the other, each until it was taken: 2xx comes when the gateway has it on disk.
async fn post_all(
    client: reqwest::Client,
    webhooks: Webhooks,
    mut queue: mpsc::Receiver<(Lane, Value)>,
    stop: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            next = queue.recv() => next,
            () = stop.cancelled() => None,
        };
        let Some((lane, payload)) = next else { return };
        let token = match lane {
            Lane::One => &webhooks.tokens[0],
            Lane::Two => &webhooks.tokens[1],
            Lane::Three => &webhooks.tokens[2],
        };
        // This vendor's readers cannot set headers.
        let url = format!("http://{}/hooks/{}?token={token}", webhooks.listen, rear_camera(lane));
        for wait in [100, 300, 900, 2700] {
            match client.post(&url).json(&payload).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(why) => tracing::debug!(why = %why.without_url(), "a plate was not taken"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

fn frigate_event(seen: &Seen, now: Duration, clock: &Clock) -> Value {
    let kind = match seen.phase {
        Phase::New => "new",
        Phase::Update => "update",
        Phase::End => "end",
    };
    let start = clock.unix_seconds(seen.begins);
    let frame = clock.unix_seconds(now);
    let id = object_id(seen.object, start);
    let (ended, active) = (seen.phase == Phase::End, seen.phase != Phase::End);
    let object = |score: f64, plate: Option<&PlateRead>| {
        json!({
            "id": id,
            "camera": camera_name(seen.camera),
            "frame_time": frame,
            "snapshot": { "frame_time": frame, "box": [412, 168, 690, 433], "area": 73670, "region": [320, 80, 800, 560],
                          "score": score, "attributes": [] },
            "label": seen.label,
            "sub_label": null,
            "top_score": seen.score,
            "false_positive": false,
            "start_time": start,
            "end_time": ended.then_some(frame),
            "score": score,
            "box": [412, 168, 690, 433],
            "area": 73670,
            "ratio": 1.05,
            "region": [320, 80, 800, 560],
            "active": active,
            "stationary": false,
            "motionless_count": 0,
            "position_changes": 1,
            "current_zones": [],
            "entered_zones": [],
            "has_clip": true,
            "has_snapshot": true,
            "attributes": {},
            "current_attributes": [],
            "recognized_license_plate": plate.map(|plate| &plate.text),
            "recognized_license_plate_score": plate.map(|plate| plate.score),
        })
    };
    let mut before = object(seen.score - 0.02, None);
    before["end_time"] = Value::Null;
    json!({ "type": kind, "before": before, "after": object(seen.score, seen.plate.as_ref()) })
}

fn frigate_late_plate(late: &LatePlate, clock: &Clock) -> Value {
    json!({
        "type": "lpr",
        "id": object_id(late.object, clock.unix_seconds(late.begins)),
        "camera": camera_name(late.camera),
        "name": null,
        "plate": late.read.text,
        "score": late.read.score,
        "timestamp": clock.unix_seconds(late.seen),
    })
}

/// Frigate's form: when it came into view, and six letters.
fn object_id(object: u64, start: f64) -> String {
    let letters: String = (0..6).map(|place| char::from(b'a' + (object >> (place * 5) & 31) as u8 % 26)).collect();
    format!("{start:.6}-{letters}")
}

fn plate_recognizer(lane: Lane, seen: Duration, read: &PlateRead, clock: &Clock) -> Value {
    let slow = if lane == Lane::Three { Duration::from_secs(SLOW_CLOCK_SECONDS) } else { Duration::ZERO };
    let timestamp = clock.rfc3339(seen, slow);
    let candidate = |text: &str, score: f64| json!({ "plate": text.to_lowercase(), "score": rounded(score) });
    let others = read.others.iter().map(|(text, score)| candidate(text, *score));
    let candidates: Vec<Value> = std::iter::once(candidate(&read.text, read.score)).chain(others).collect();
    json!({
        "hook": { "event": "recognition", "id": rear_camera(lane), "target": "gateway", "filename": "" },
        "data": {
            "camera_id": rear_camera(lane),
            "filename": "",
            "timestamp": timestamp,
            "timestamp_local": timestamp,
            "results": [{
                "box": { "xmin": 143, "ymin": 481, "xmax": 282, "ymax": 575 },
                "plate": read.text.to_lowercase(),
                "region": { "code": read.region, "score": 0.8 },
                "score": rounded(read.score),
                "dscore": 0.9,
                "candidates": candidates,
                "vehicle": { "score": 0.8, "type": "Big Truck", "box": { "xmin": 67, "ymin": 113, "xmax": 908, "ymax": 653 } },
            }],
        },
    })
}

/// Readers give three digits.
fn rounded(score: f64) -> f64 {
    (score * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{ROUND, World};
    use axum::{Router, extract::Query, routing::post};
    use std::{collections::HashMap, sync::Arc, sync::Mutex};

    #[test]
    fn an_object_keeps_its_id_through_its_life_and_no_two_have_the_same() {
        let clock = Clock::start();
        let mut lives: HashMap<(Camera, u64), Vec<(String, String)>> = HashMap::new();
        for (at, happening) in World::new(4).round(0).happenings {
            match happening {
                Happening::Seen(seen) => {
                    let event = frigate_event(&seen, at, &clock);
                    let text = |pointer: &str| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
                    lives.entry((seen.camera, seen.object)).or_default().push((text("/after/id"), text("/type")));
                }
                Happening::LatePlate(late) => {
                    let id = frigate_late_plate(&late, &clock)["id"].as_str().unwrap().to_owned();
                    assert_eq!(
                        lives[&(late.camera, late.object)][0].0,
                        id,
                        "a late plate is of an object that was told"
                    );
                }
                _ => {}
            }
        }
        let mut ids: Vec<&String> = Vec::new();
        for life in lives.values() {
            assert!(life.iter().all(|(id, _)| *id == life[0].0));
            assert_eq!((life[0].1.as_str(), life[life.len() - 1].1.as_str()), ("new", "end"));
            ids.push(&life[0].0);
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), count > 10), (count, true));
    }

    #[test]
    fn the_slow_camera_says_when_it_believes_it_was() {
        let clock = Clock::start();
        let read = PlateRead { text: "82BSZ6".into(), score: 0.9, others: vec![("B2BSZ6".into(), 0.6)], region: "nl" };
        let at = ROUND;
        let when = |lane| plate_recognizer(lane, at, &read, &clock)["data"]["timestamp"].as_str().unwrap().to_owned();
        assert_eq!(when(Lane::One), clock.rfc3339(at, Duration::ZERO));
        assert_eq!(when(Lane::Three), clock.rfc3339(at - Duration::from_secs(90), Duration::ZERO));
        assert_ne!(when(Lane::One), when(Lane::Three));
        let message = plate_recognizer(Lane::Two, at, &read, &clock);
        assert_eq!(message["data"]["results"][0]["plate"], "82bsz6");
        assert_eq!(message["data"]["results"][0]["candidates"][1]["plate"], "b2bsz6");
    }

    #[tokio::test]
    async fn a_plate_is_posted_until_it_is_taken() {
        type Taken = Arc<Mutex<Vec<(String, String)>>>;
        let taken = Taken::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let seen = Arc::clone(&taken);
        let route = post(move |Query(query): Query<HashMap<String, String>>, body: String| async move {
            let mut seen = seen.lock().unwrap();
            seen.push((query["token"].clone(), body));
            if seen.len() == 1 {
                axum::http::StatusCode::SERVICE_UNAVAILABLE
            } else {
                axum::http::StatusCode::NO_CONTENT
            }
        });
        let app = Router::new().route("/hooks/lane2-rear", route);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let stop = CancellationToken::new();
        let (posts, queue) = mpsc::channel(4);
        let webhooks = Webhooks { listen, tokens: ["a", "b", "c"].map(String::from) };
        let posting = tokio::spawn(post_all(http::client().unwrap(), webhooks, queue, stop));
        posts.send((Lane::Two, json!({ "n": 1 }))).await.unwrap();
        posts.send((Lane::Two, json!({ "n": 2 }))).await.unwrap();
        drop(posts);
        posting.await.unwrap();
        let taken = taken.lock().unwrap().clone();
        let bodies: Vec<&str> = taken.iter().map(|(_, body)| body.as_str()).collect();
        assert_eq!(bodies, [r#"{"n":1}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
        assert!(taken.iter().all(|(token, _)| token == "b"));
    }
}
