//! The daemon that is real, with everything it needs but the board.

use crate::wire::{Heard, Wire};
use quaywatch_node::Channel;
use quaywatch_schemas::{
    Observation, Record, SensorId,
    observation::{Authenticity, SourceId},
};
use quaywatch_tests::{eventually, free_port, gateway::Gateway, get, mosquitto::Mosquitto, subscriber::Subscriber};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where QEMU and a loaded host are slow.
pub const SOON: Duration = Duration::from_secs(60);
/// The node's number.
pub const NUMBER: u16 = 7;

/// The node's channels and whose they are.
pub const CHANNELS: [(Channel, &str); 4] = [
    (Channel::Contact1, "quay-detector"),
    (Channel::Door, "shed-door"),
    (Channel::Tamper, "seal"),
    (Channel::Health, "node"),
];

fn site(broker: u16, metrics: u16, bus: &str) -> String {
    format!(
        r#"
[site]
locode = "NLRTM"
id = "quay-1"
timezone = "Europe/Amsterdam"
status = "test"
[operations]
listen = "127.0.0.1:{metrics}"
[zones.quay-1]
name = "Quay 1"
kind = "quay"
closed = "always"
[zones.shed-1]
name = "Shed 1"
kind = "room"
[lines.bus]
node_serial = "{bus}"
every = "100 ms"
[nodes.{NUMBER}]
[lines.broker]
mqtt = "mqtt://127.0.0.1:{broker}"
[sensors]
quay-detector = {{ zone = "quay-1", role = "presence.pir", line = "bus", node = {NUMBER}, channel = "contact-1", domain = "node-{NUMBER}" }}
quay-camera   = {{ zone = "quay-1", role = "presence.camera", line = "broker", frigate = "quay1" }}
shed-door     = {{ zone = "shed-1", role = "door", line = "bus", node = {NUMBER}, channel = "door" }}
seal          = {{ zone = "quay-1", role = "node.tamper", line = "bus", node = {NUMBER}, channel = "tamper" }}
node          = {{ zone = "quay-1", role = "heartbeat", line = "bus", node = {NUMBER}, channel = "health" }}
[rules.quay-presence]
zones = ["quay-1"]
mode = "tell"
[rules.node-tamper]
mode = "tell"
group = "5 s"
"#
    )
}

fn sharing(broker: u16) -> String {
    format!(
        r#"
[marking]
owner = "terminal"
tlp = "AMBER"
releasable_to = ["port-police", "terminal"]
purpose = "port-facility-security"
[recipients.port-police]
organisation = "port-police"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["*"]
fields = {{ operational = "show", quasi-identity = "show", identity = "pseudonym", media = "show", method = "show" }}
upstream = {{ mqtt = "mqtt://127.0.0.1:{broker}", topic = "qw/{{site}}/{{recipient}}", confirm = "transport" }}
"#
    )
}

/// Everything but the board.
pub struct Quay {
    _broker: Mosquitto,
    pub police: Subscriber,
    metrics: u16,
    pub wire: Wire,
    pub gateway: Gateway,
}

impl Quay {
    /// A gateway that is laid out and not started, and its wire.
    pub async fn new() -> Self {
        let (broker, metrics, wire) = (Mosquitto::start(), free_port(), Wire::to(NUMBER));
        let police = Subscriber::connect(broker.port, "qw/quay-1/port-police/#").await;
        let site = site(broker.port, metrics, &wire.path.display().to_string());
        let gateway = Gateway::new(&site, &sharing(broker.port), &[]);
        Self { _broker: broker, police, metrics, wire, gateway }
    }

    /// What the log holds of the node's own words about one of its sensors, in its order.
    pub fn stored(&self, sensor: &str) -> Vec<Observation> {
        let mut all = self.log().unwrap_or_default();
        all.retain(|said| said.sensor.as_str() == sensor && said.authenticity == Authenticity::NodeAead);
        all
    }

    fn log(&self) -> Result<Vec<Observation>, String> {
        let log = quaywatch::ledger::read_log(&self.gateway.path("state")).map_err(|e| e.to_string())?;
        let observations = log.filter_map(Result::ok).filter_map(|record| match record.record {
            Record::Observation(observation) => Some(observation),
            _ => None,
        });
        Ok(observations.collect())
    }

    /// Frames of the node that met this fate, as the daemon counts them since its start.
    pub async fn frames(&self, outcome: &str) -> Result<u64, String> {
        let text = get(self.metrics, "/metrics").await?;
        let line = text.lines().find(|line| {
            line.starts_with("quaywatch_node_frames_total") && line.contains(&format!("outcome=\"{outcome}\""))
        });
        Ok(line.and_then(|line| line.rsplit(' ').next()).and_then(|number| number.parse().ok()).unwrap_or(0))
    }

    /// Waits until the node says that it keeps nothing any more, and everything it ever said is in the log exactly once.
    pub async fn has_everything_once(&self) -> Heard {
        self.wire.forget_turns();
        eventually(SOON, async || {
            let heard = self.wire.heard();
            if heard.turn_end.is_none_or(|end| end.oldest != end.next) {
                return Err(format!("the node keeps something: {:?}", heard.turn_end));
            }
            let (expected, mut found) = (identities(&heard), BTreeMap::<SourceId, u32>::new());
            for observation in self.log()? {
                if observation.authenticity == Authenticity::NodeAead {
                    *found.entry(observation.source_id.ok_or("a node's word without identity")?).or_default() += 1;
                }
            }
            assert!(found.values().all(|count| *count == 1), "something is stored twice");
            let found: BTreeSet<_> = found.into_keys().collect();
            assert!(found.is_subset(&expected), "something is stored that the node did not say");
            let missing = expected.difference(&found).count();
            if missing == 0 { Ok(heard) } else { Err(format!("{missing} of {} words are missing", expected.len())) }
        })
        .await
    }

    /// A person on the quay, as Frigate sees one.
    pub async fn camera_sees_somebody(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let object = json!({
            "id": "1790000000.1-aaaaaa", "camera": "quay1", "frame_time": now, "label": "person", "sub_label": null,
            "top_score": 0.9, "false_positive": false, "start_time": now, "end_time": null, "score": 0.9,
            "box": [412, 168, 690, 433], "area": 73670, "current_zones": [], "entered_zones": [], "active": true,
            "stationary": false
        });
        let event = json!({ "type": "new", "before": object, "after": object });
        self.police.publish("frigate/events", &event.to_string()).await;
    }
}

/// What the log must hold of what was heard on the wire. Frames follow one another without a gap, but for counters that a
/// boot skips.
fn identities(heard: &Heard) -> BTreeSet<SourceId> {
    let mut identities = BTreeSet::new();
    for ((epoch, counter), (data, _)) in &heard.data {
        let before = counter - u64::from(data.follows);
        assert!(heard.data.contains_key(&(*epoch, before)), "frame {counter} follows {before}, which nobody heard");
        let mut add = |channel: Channel, index: usize| {
            if let Some((_, sensor)) = CHANNELS.iter().find(|(other, _)| *other == channel) {
                let sensor = SensorId::new(sensor).expect("a name");
                let (node, epoch, counter) = (NUMBER.to_le_bytes(), epoch.to_le_bytes(), counter.to_le_bytes());
                let index = (index as u32).to_le_bytes();
                identities.insert(SourceId::of(&sensor, &[&node, &epoch, &counter, &index]));
            }
        };
        for (index, sample) in data.samples.iter().enumerate() {
            add(sample.channel, index);
        }
        if data.last_words {
            add(Channel::Health, data.samples.len());
        }
    }
    identities
}
