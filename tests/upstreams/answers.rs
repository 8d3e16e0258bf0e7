//! What recipients say back, over MQTT and over HTTP.

use crate::{
    mqtt::{TOPIC, target},
    stand::{Running, SOON, Stand, police},
    stream::{is_of, store_tailgating},
};
use quaywatch::{config::Answers, ledger::Lane, upstreams};
use quaywatch_drivers::secret::Secret;
use quaywatch_schemas::{Control, Record, policy::Confirm, product::AnswerWord};
use quaywatch_tests::{eventually, free_port, mosquitto::Mosquitto, subscriber::Subscriber};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr};
use tokio_util::sync::CancellationToken;

const WORDS: [&str; 5] = ["seen", "acknowledged", "actioned", "rejected", "closed"];

fn answer(stand: &Stand, sequence: u64, word: &str) -> Value {
    let mut answer = json!({
        "product": format!("{}.{sequence:020}", stand.outbox.epoch_hex()), "revision": 1, "word": word,
        "by": "duty-officer", "at": "2026-03-14T02:13:02Z"
    });
    if word == "closed" {
        answer["verdict"] = "harmless".into();
    }
    answer
}

/// Words that are in the log.
fn answered(records: &[Record]) -> Vec<AnswerWord> {
    let answers = records.iter().filter_map(|record| match record {
        Record::Control(Control::Answer(answer)) if answer.recipient == police() => Some(answer.answer.word),
        _ => None,
    });
    answers.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_five_words_over_mqtt_become_records_and_what_is_wrong_becomes_a_dead_letter() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let consumer = Subscriber::connect(broker.port, &format!("{TOPIC}/#")).await;
    stand.append(Lane::Live, &["lane-1"], 2, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    stand.says(None).await;
    let topic = format!("{TOPIC}/answers");
    for word in WORDS {
        consumer.publish(&topic, &answer(&stand, 1, word).to_string()).await;
    }
    consumer.publish(&topic, r#"{"word":"SECRET"}"#).await;
    stand
        .recorded(
            |record| matches!(record, Record::DeadLetter(letter) if letter.reason == "answer: product is missing"),
        )
        .await;
    let records = stand.records.lock().unwrap().clone();
    assert_eq!(
        answered(&records),
        [AnswerWord::Seen, AnswerWord::Acknowledged, AnswerWord::Actioned, AnswerWord::Rejected, AnswerWord::Closed]
    );
    let letter = records.iter().find_map(|record| match record {
        Record::DeadLetter(letter) => Some(letter.clone()),
        _ => None,
    });
    assert_eq!(letter.expect("there is one").line.as_str(), "upstream-port-police");
    assert!(!format!("{records:?}").contains("SECRET"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_given_while_the_gateway_is_away_is_there_when_it_is_back() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let consumer = Subscriber::connect(broker.port, &format!("{TOPIC}/#")).await;
    stand.append(Lane::Live, &["lane-1"], 1, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    stand.says(None).await;
    running.stop().await;
    consumer.publish(&format!("{TOPIC}/answers"), &answer(&stand, 1, "acknowledged").to_string()).await;
    let running = stand.run(target(broker.port, Confirm::Transport));
    stand.recorded(|record| matches!(record, Record::Control(Control::Answer(_)))).await;
    running.stop().await;
}

struct Listener {
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
}

async fn listen(stand: &Stand, tls: Option<(Vec<u8>, Secret)>, client: reqwest::Client) -> Listener {
    let listen: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let (stop, scheme) = (CancellationToken::new(), if tls.is_some() { "https" } else { "http" });
    let tokens = BTreeMap::from([(police(), Secret::new("open sesame"))]);
    tokio::spawn(upstreams::listen(Answers { listen, tls }, tokens, stand.parts(), stop.clone()));
    let listener = Listener { base: format!("{scheme}://localhost:{}", listen.port()), client, stop };
    eventually(SOON, async || {
        let asked = listener.client.get(format!("{}/snapshot/nobody", listener.base)).send().await;
        asked.map(drop).map_err(|why| format!("{why:?}"))
    })
    .await;
    listener
}

fn plain() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().expect("a client")
}

impl Listener {
    async fn post(&self, path: &str, token: &str, body: impl Into<String>) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(token).body(body.into());
        let response = request.send().await.expect("it answers");
        (response.status(), response.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(token).send().await.expect("it answers")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_five_words_over_http_are_on_disk_when_they_are_taken() {
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 2, 10);
    let listener = listen(&stand, None, plain()).await;
    for word in WORDS {
        let (status, _) =
            listener.post("/answers/port-police", "open sesame", answer(&stand, 1, word).to_string()).await;
        assert_eq!(status, StatusCode::OK);
    }
    eventually(SOON, async || {
        let answered = answered(&stand.records.lock().unwrap());
        if answered.len() == 5 { Ok(()) } else { Err(format!("{answered:?}")) }
    })
    .await;
    let taken = stand.state.sizes().unwrap();
    assert_eq!(taken.0, 0, "the pipeline keeps answers, not the listener");
    listener.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_over_http_is_told_why_and_strangers_are_told_nothing() {
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 2, 10);
    let listener = listen(&stand, None, plain()).await;
    let good = answer(&stand, 1, "seen");
    let with = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad[field] = value;
        bad.to_string()
    };
    for (body, why) in [
        (with("word", "SECRET".into()), "word is none of seen, acknowledged, actioned, rejected, closed"),
        (with("at", "2126-03-14T02:13:02Z".into()), "at is in the future"),
        (with("reason", "x".repeat(501).into()), "reason is longer than 500 characters"),
        (with("product", "0.00000000000000000001".into()), "the product is of another epoch"),
        (answer(&stand, 3, "seen").to_string(), "the product was never given to this recipient"),
        ("SECRET".into(), "not JSON: line 1, column 1"),
    ] {
        let (status, problem) = listener.post("/answers/port-police", "open sesame", body).await;
        assert_eq!((status, &problem["detail"]), (StatusCode::UNPROCESSABLE_ENTITY, &why.into()));
    }
    for (path, token) in [
        ("/answers/port-police", "open barley"),
        ("/answers/port-police", ""),
        ("/answers/gate-desk", "open sesame"),
        ("/answers/Nobody!", "open sesame"),
        ("/receipts/port-police", "open barley"),
    ] {
        let (status, problem) = listener.post(path, token, good.to_string()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(problem["detail"], "no recipient of this name with this token");
    }
    assert_eq!(listener.get("/snapshot/port-police", "open barley").await.status(), StatusCode::UNAUTHORIZED);
    let (status, _) = listener.post("/answers/port-police", "open sesame", "x".repeat(20_000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(stand.records.lock().unwrap().is_empty(), "nothing of it is in the log");
    listener.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_and_snapshots_over_http() {
    let stand = Stand::new();
    store_tailgating(&stand);
    stand.append(Lane::Live, &["lane-1"], 10, 10);
    let listener = listen(&stand, None, plain()).await;
    let receipt = |epoch: &str, up_to: u64| json!({ "epoch": epoch, "up_to": up_to }).to_string();
    let epoch = stand.outbox.epoch_hex();
    let path = "/receipts/port-police";
    assert_eq!(listener.post(path, "open sesame", receipt(&epoch, 7)).await.0, StatusCode::OK);
    assert_eq!(stand.backlog(), 3);
    for wrong in [receipt("0", 10), receipt(&epoch, 11)] {
        assert_eq!(listener.post(path, "open sesame", wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(stand.backlog(), 3);
    let response = listener.get("/snapshot/port-police", "open sesame").await;
    assert_eq!(response.headers()["content-type"], "application/cloudevents+json");
    let snapshot: Value = response.json().await.expect("JSON");
    is_of("snapshot-event", &snapshot);
    assert_eq!((&snapshot["data"]["up_to"], snapshot["data"]["open"].as_array().map(Vec::len)), (&10.into(), Some(1)));
    listener.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_over_tls() {
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 1, 10);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (made.cert.pem().into_bytes(), Secret::new(made.signing_key.serialize_pem()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(&chain).expect("PEM");
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let listener = listen(&stand, Some((chain, key)), client).await;
    let (status, _) = listener.post("/answers/port-police", "open sesame", answer(&stand, 1, "seen").to_string()).await;
    assert_eq!(status, StatusCode::OK);
    listener.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_said_and_tried_again() {
    let stand = Stand::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let stop = CancellationToken::new();
    let task =
        tokio::spawn(upstreams::listen(Answers { listen, tls: None }, BTreeMap::new(), stand.parts(), stop.clone()));
    let said = |words: &'static str| {
        let board = stand.board.clone();
        eventually(SOON, async move || {
            let said = format!("{:?}", board.picture().parts.get("answers"));
            if said.contains(words) { Ok(()) } else { Err(said) }
        })
    };
    said("is in use by another program").await;
    drop(taken);
    said("Well").await;
    stop.cancel();
    task.await.unwrap();
}

// Used by nothing else, kept beside what it proves: an upstream and the listener share one store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_over_http_counts_for_a_stream_over_mqtt() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut consumer = Subscriber::connect(broker.port, &format!("{TOPIC}/live/#")).await;
    stand.append(Lane::Live, &["lane-1"], 1, 10);
    let running: Running = stand.run(target(broker.port, Confirm::Receipt));
    let _ = consumer.next(SOON).await;
    let listener = listen(&stand, None, plain()).await;
    let receipt = json!({ "epoch": stand.outbox.epoch_hex(), "up_to": 1 }).to_string();
    assert_eq!(listener.post("/receipts/port-police", "open sesame", receipt).await.0, StatusCode::OK);
    stand.backlog_is(0).await;
    running.stop().await;
    listener.stop.cancel();
}
