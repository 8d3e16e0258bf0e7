//! The central systems of two recipients: the port police's, which takes products over MQTT and says by receipt what it safely
//! has, and the gate desk's, which takes them by HTTP. Both know the published contract and nothing else.

use super::{Clock, DeviceError, mqtt};
use crate::world::{GATE_DESK, PORT_POLICE};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use quaywatch_schemas::{
    CloudEvent, Product,
    product::{Answer, AnswerWord, Heartbeat, Receipt, Verdict},
    situation::Phase,
};
use rumqttc::v5::{AsyncClient, mqttbytes::v5::Publish};
use std::{
    collections::{BTreeSet, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

const WHAT: &str = "the central system";
/// Products that wait to be looked at; when it is full the systems stop taking more, as real ones do.
const QUEUE: usize = 256;
/// Ids remembered to drop repeats by: more than any upstream has under way at once.
const MOST_IDS: usize = 4096;
/// An officer on duty needs a moment to press a key.
const ANSWERS_AFTER: Duration = Duration::from_millis(1500);

/// A product that arrived for the first time.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// For whom.
    pub recipient: &'static str,
    /// When, in world time.
    pub at: Duration,
    /// What.
    pub event: CloudEvent<Product>,
    /// The bytes as they came.
    pub raw: Bytes,
}

/// Where the gate desk's system takes products.
pub const DESK_PATH: &str = "/quaywatch";

/// What the gate desk's system needs.
#[derive(Debug)]
pub struct Desk {
    /// Its listener, already bound.
    pub listener: TcpListener,
    /// What a sender must prove itself with.
    pub bearer: String,
    /// Where it posts answers, and what it proves itself with there.
    pub answers: Option<(String, String)>,
}

impl Desk {
    /// Binds a free loopback port.
    pub async fn bind(bearer: String) -> Result<(Self, SocketAddr), DeviceError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|why| DeviceError::new(WHAT, why))?;
        let address = listener.local_addr().map_err(|why| DeviceError::new(WHAT, why))?;
        Ok((Self { listener, bearer, answers: None }, address))
    }
}

/// Starts both systems; products of both arrive on the receiver.
pub async fn start(
    broker: SocketAddr,
    police_topic: &str,
    desk: Desk,
    clock: Clock,
    stop: CancellationToken,
) -> Result<mpsc::Receiver<Arrived>, DeviceError> {
    let (arrived, arrivals) = mpsc::channel(QUEUE);
    let filters = ["live/+", "late/+", "stream"].map(|below| format!("{police_topic}/{below}"));
    let (client, messages) = mqtt::connect("port-police-central", broker, &filters, stop.clone());
    let police = Police {
        client,
        topic: police_topic.to_owned(),
        held: Held::default(),
        clock,
        arrived: arrived.clone(),
        stop: stop.clone(),
    };
    tokio::spawn(police.run(messages));
    let client = super::http::client()?;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Seen::default()));
    let at_desk =
        AtDesk { bearer: desk.bearer, answers: desk.answers, client, seen, clock, arrived, stop: stop.clone() };
    let app =
        Router::new().route(DESK_PATH, post(take_at_desk)).layer(DefaultBodyLimit::max(256 * 1024)).with_state(at_desk);
    tokio::spawn(async move {
        let serving = axum::serve(desk.listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(why) = serving.await {
            tracing::error!(%why, "the gate desk's system has stopped");
        }
    });
    Ok(arrivals)
}

struct Police {
    client: AsyncClient,
    topic: String,
    held: Held,
    clock: Clock,
    arrived: mpsc::Sender<Arrived>,
    stop: CancellationToken,
}

impl Police {
    async fn run(mut self, mut messages: mpsc::Receiver<Publish>) {
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = self.stop.cancelled() => None,
            };
            let Some(message) = message else { return };
            let at = self.clock.now();
            let on_stream = message.topic.ends_with(b"/stream");
            if on_stream {
                if let Ok(beat) = serde_json::from_slice::<CloudEvent<Heartbeat>>(&message.payload) {
                    self.held.heartbeat(&beat);
                    self.confirm().await;
                }
                continue;
            }
            match serde_json::from_slice::<CloudEvent<Product>>(&message.payload) {
                Ok(event) => self.take(event, message.payload, at).await,
                Err(why) => tracing::error!(%why, "a product is not what the contract says"),
            }
        }
    }

    async fn take(&mut self, event: CloudEvent<Product>, raw: Bytes, at: Duration) {
        let number = event.sequence.as_deref().and_then(|number| number.parse().ok());
        let is_new = number.is_some_and(|number| self.held.take(&event.epoch, number));
        if is_new {
            let answer = answer_to(&event, "duty officer", &self.clock);
            let arrived = Arrived { recipient: PORT_POLICE, at, event, raw };
            if self.arrived.send(arrived).await.is_err() {
                return;
            }
            if let Some(answer) = answer {
                let (client, topic, stop) = (self.client.clone(), format!("{}/answers", self.topic), self.stop.clone());
                tokio::spawn(async move {
                    if pause(&stop).await {
                        mqtt::say(&client, &topic, false, serde_json::to_string(&answer).unwrap_or_default()).await;
                    }
                });
            }
        }
        // Also for one we have: the sender sends again what it holds to be not confirmed.
        self.confirm().await;
    }

    async fn confirm(&self) {
        if let Some(receipt) = self.held.receipt() {
            let receipt = serde_json::to_string(&receipt).unwrap_or_default();
            mqtt::say(&self.client, &format!("{}/receipts", self.topic), false, receipt).await;
        }
    }
}

/// Which numbers of a stream are safely here.
#[derive(Debug, Default)]
struct Held {
    epoch: String,
    /// Everything up to here.
    up_to: u64,
    /// And of what comes after it these. Bounded by what a sender has under way.
    beyond: BTreeSet<u64>,
}

impl Held {
    /// Takes a number; whether it was not here before.
    fn take(&mut self, epoch: &str, number: u64) -> bool {
        self.begin(epoch);
        let is_new = number > self.up_to && self.beyond.insert(number);
        self.advance();
        is_new
    }

    /// Numbers that will never come need not be waited for.
    fn heartbeat(&mut self, beat: &CloudEvent<Heartbeat>) {
        self.begin(&beat.epoch);
        for range in &beat.data.never {
            // What the sender names is at most what it has given out.
            let last = range.last.min(beat.data.last_sequence);
            if range.first <= self.up_to + 1 {
                self.up_to = self.up_to.max(last);
            } else {
                self.beyond.extend(range.first..=last.min(range.first + MOST_IDS as u64));
            }
        }
        self.advance();
    }

    fn receipt(&self) -> Option<Receipt> {
        (self.up_to > 0).then(|| Receipt { epoch: self.epoch.clone(), up_to: self.up_to })
    }

    fn begin(&mut self, epoch: &str) {
        if self.epoch != epoch {
            *self = Self { epoch: epoch.to_owned(), ..Self::default() };
        }
    }

    fn advance(&mut self) {
        let up_to = self.up_to;
        self.beyond.retain(|number| *number > up_to);
        while self.beyond.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}

#[derive(Clone)]
struct AtDesk {
    bearer: String,
    answers: Option<(String, String)>,
    client: reqwest::Client,
    seen: std::sync::Arc<std::sync::Mutex<Seen>>,
    clock: Clock,
    arrived: mpsc::Sender<Arrived>,
    stop: CancellationToken,
}

/// Ids that were taken, oldest first.
#[derive(Debug, Default)]
struct Seen(VecDeque<String>);

impl Seen {
    fn is_new(&mut self, id: &str) -> bool {
        if self.0.iter().rev().any(|seen| seen == id) {
            return false;
        }
        if self.0.len() == MOST_IDS {
            self.0.pop_front();
        }
        self.0.push_back(id.to_owned());
        true
    }
}

async fn take_at_desk(State(desk): State<AtDesk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = desk.clock.now();
    let proof = headers.get(header::AUTHORIZATION).and_then(|proof| proof.to_str().ok());
    if proof.and_then(|proof| proof.strip_prefix("Bearer ")) != Some(desk.bearer.as_str()) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<CloudEvent<Product>>(&body) else {
        // Heartbeats and other messages of the stream: the desk's system takes them and has no use for them.
        return match serde_json::from_slice::<CloudEvent<serde_json::Value>>(&body) {
            Ok(_) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::BAD_REQUEST,
        };
    };
    let is_new = {
        let mut seen = desk.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.is_new(&event.id)
    };
    if is_new {
        if let (Some(answer), Some(to)) = (answer_to(&event, "gate desk", &desk.clock), desk.answers.clone()) {
            tokio::spawn(post_answer(desk.client.clone(), to, answer, desk.stop.clone()));
        }
        if desk.arrived.send(Arrived { recipient: GATE_DESK, at, event, raw: body }).await.is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    StatusCode::NO_CONTENT
}

async fn post_answer(client: reqwest::Client, (url, token): (String, String), answer: Answer, stop: CancellationToken) {
    if !pause(&stop).await {
        return;
    }
    let sent = client.post(url).bearer_auth(token).json(&answer).send().await;
    if let Err(why) = sent.and_then(reqwest::Response::error_for_status) {
        tracing::warn!(why = %why.without_url(), "an answer was not taken");
    }
}

/// What somebody on duty answers: that it is being seen to, and at its end what it was.
fn answer_to(event: &CloudEvent<Product>, by: &str, clock: &Clock) -> Option<Answer> {
    event.data.answer_by.as_ref()?;
    let (word, verdict) = match event.data.phase {
        Phase::Opened => (AnswerWord::Acknowledged, None),
        Phase::Closed => (AnswerWord::Closed, Some(Verdict::True)),
        Phase::Retracted => (AnswerWord::Closed, Some(Verdict::False)),
        Phase::Revised => return None,
    };
    Some(Answer {
        product: event.id.clone(),
        revision: event.data.revision,
        word,
        verdict,
        reason: None,
        by: by.into(),
        at: clock.rfc3339(clock.now(), Duration::ZERO),
    })
}

/// Waits as long as people need; false if there is nobody to answer to any more.
async fn pause(stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(ANSWERS_AFTER) => true,
        () = stop.cancelled() => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::broker;
    use quaywatch_schemas::product::NeverSent;
    use serde_json::{Value, json};

    fn product(number: u64, phase: &str) -> Value {
        json!({
            "specversion": "1.0", "type": format!("org.quaywatch.situation.{phase}.v1"),
            "source": "/quaywatch/NLRTM/demo-port/port-police",
            "id": format!("3f.{number:020}"), "sequence": format!("{number:020}"), "epoch": "3f",
            "time": "2026-03-14T02:12:19.640Z", "subject": "lane-2", "datacontenttype": "application/json",
            "data": {
                "ref": "QW-DP-7K4M", "revision": 1, "phase": phase, "status": "exercise", "late": false,
                "kind": "gate.tailgating", "severity": "Moderate", "urgency": "Immediate", "certainty": "Likely",
                "zone": { "id": "lane-2", "name": "Gate 1, lane 2, inbound" },
                "from": "2026-03-14T02:12:04.120Z", "until": null,
                "time_quality": { "gateway": "synchronised", "uncertainty_ms": 60 },
                "text": "Gate 1, lane 2, inbound: a second truck passed on one grant at 03:12 local. Likely.",
                "handling": { "owner": "terminal", "purpose": "port-facility-security", "delete_by": "2026-04-11" },
                "answer_by": "2026-03-14T02:17:19Z",
            },
        })
    }

    fn beat(last_sequence: u64, never: Vec<NeverSent>) -> CloudEvent<Heartbeat> {
        let event = json!({
            "specversion": "1.0", "type": "org.quaywatch.stream.heartbeat.v1", "source": "/quaywatch/NLRTM/d/p",
            "id": "3f.heartbeat.1", "epoch": "3f", "time": "2026-03-14T02:12:19.640Z",
            "datacontenttype": "application/json",
            "data": { "last_sequence": last_sequence, "backlog": 0, "blind_zones": [], "seclevel": 1, "version": "0",
                      "time_quality": { "gateway": "synchronised", "uncertainty_ms": 60 }, "policy": "0",
                      "never": never },
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_receipt_is_for_what_has_no_gap_below_it() {
        let mut held = Held::default();
        assert_eq!(held.receipt(), None);
        assert!(held.take("3f", 2));
        assert_eq!(held.receipt(), None, "number 1 may still come on the other lane");
        assert!(held.take("3f", 1) && !held.take("3f", 2) && !held.take("3f", 1));
        assert_eq!(held.receipt().unwrap().up_to, 2);
        assert!(held.take("3f", 6));
        held.heartbeat(&beat(6, vec![NeverSent { first: 3, last: 5, why: "shed".into() }]));
        assert_eq!(held.receipt().unwrap().up_to, 6);
        assert!(held.take("40", 1), "a new epoch counts from the start");
        assert_eq!(held.receipt().unwrap(), Receipt { epoch: "40".into(), up_to: 1 });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_police_take_products_once_and_confirm_and_answer_them_over_a_real_broker() {
        let stop = CancellationToken::new();
        let broker = broker::start().await.unwrap();
        let (desk, _) = Desk::bind("desk".into()).await.unwrap();
        let mut arrivals = start(broker, "qw/demo/port-police", desk, Clock::start(), stop.clone()).await.unwrap();
        let back = ["qw/demo/port-police/receipts".into(), "qw/demo/port-police/answers".into()];
        let (gateway, mut messages) = mqtt::connect("gateway", broker, &back, stop.clone());
        // Sent again until it arrives, as a gateway does: neither side knows when the other has subscribed.
        let sender = gateway.clone();
        let sending = tokio::spawn(async move {
            loop {
                for number in [1, 2, 2] {
                    let topic = "qw/demo/port-police/live/lane-2";
                    mqtt::say(&sender, topic, false, product(number, "opened").to_string()).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let first = arrivals.recv().await.unwrap();
        let second = arrivals.recv().await.unwrap();
        assert_eq!((first.recipient, first.event.data.kind.as_str()), (PORT_POLICE, "gate.tailgating"));
        let mut numbers = [first, second].map(|arrived| arrived.event.sequence.unwrap());
        numbers.sort();
        assert_eq!(numbers, ["00000000000000000001", "00000000000000000002"]);
        let (mut receipt, mut answer) = (None, None);
        while receipt.is_none() || answer.is_none() {
            let message = messages.recv().await.unwrap();
            if message.topic.ends_with(b"/receipts") {
                receipt = serde_json::from_slice::<Receipt>(&message.payload).ok().filter(|receipt| receipt.up_to == 2);
            } else {
                answer = serde_json::from_slice::<Answer>(&message.payload).ok();
            }
        }
        assert_eq!(answer.unwrap().word, AnswerWord::Acknowledged);
        sending.abort();
        assert!(arrivals.try_recv().is_err(), "what came again is no new product");
        stop.cancel();
    }

    #[tokio::test]
    async fn the_desk_takes_a_product_once_and_only_from_whom_it_knows() {
        let stop = CancellationToken::new();
        let (desk, address) = Desk::bind("desk".into()).await.unwrap();
        // Nobody listens there: the police's system keeps trying and is not asked.
        let nowhere = super::super::FreePort::find().unwrap().release();
        let mut arrivals = start(nowhere, "qw/demo/port-police", desk, Clock::start(), stop.clone()).await.unwrap();
        let client = super::super::http::client().unwrap();
        let url = format!("http://{address}{DESK_PATH}");
        let post = |token: &'static str, body: String| {
            let request = client.post(&url).bearer_auth(token).body(body);
            async move { request.send().await.unwrap().status().as_u16() }
        };
        assert_eq!(post("guess", product(1, "opened").to_string()).await, 401);
        assert_eq!(post("desk", "{".into()).await, 400);
        for _ in 0..3 {
            assert_eq!(post("desk", product(1, "opened").to_string()).await, 204);
        }
        assert_eq!(post("desk", product(2, "closed").to_string()).await, 204);
        let (first, second) = (arrivals.recv().await.unwrap(), arrivals.recv().await.unwrap());
        assert_eq!((first.recipient, first.event.data.phase), (GATE_DESK, Phase::Opened));
        assert_eq!(second.event.data.phase, Phase::Closed);
        assert_eq!(first.raw, product(1, "opened").to_string().as_bytes());
        assert!(arrivals.try_recv().is_err());
        stop.cancel();
    }
}
