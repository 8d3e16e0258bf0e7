//! Over a real socket: what senders see, and when.

use super::*;
use crate::{
    intake::{Batch, Committed},
    json::Kind,
    line::LineStatus,
};
use quaywatch_schemas::{LineId, Position, Reading};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

struct Desk {
    address: SocketAddr,
    ledger: mpsc::Receiver<Batch>,
    status: watch::Receiver<LineStatus>,
    stop: CancellationToken,
}

const PLATE: &str = r#"{"hook":{"event":"recognition"},"data":{"camera_id":"rear","timestamp":"2026-03-14T02:12:04Z",
    "results":[{"plate":"qw12ab","score":0.9,"candidates":[{"plate":"qw12ab","score":0.9},{"plate":"ow12ab","score":0.4}]}]}}"#;

fn config(listen: SocketAddr) -> Config {
    let id = |name| SensorId::new(name).unwrap();
    let hook = |token: &str, gives| Hook { token: Secret::new(token), gives };
    let json = Gives::Json { sensor: id("door"), mapping: Mapping::of(Kind::Contact, "/open") };
    let hooks = vec![
        hook("rear-token", Gives::PlateRecognizer { sensor: id("rear"), camera: "rear".into() }),
        hook("door-token", json),
        hook("port-token", Gives::References(FeedId::new("bookings").unwrap())),
    ];
    Config { listen, tls: None, hooks }
}

async fn open() -> Desk {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    open_at(config(address)).await
}

async fn open_at(config: Config) -> Desk {
    let (intake, ledger) = Intake::bounded(8);
    let (status, watch) = watch::channel(LineStatus::default());
    let stop = CancellationToken::new();
    let line = Line {
        id: LineId::new("hooks").unwrap(),
        intake,
        taps: Default::default(),
        status: Arc::new(status),
        stop: stop.clone(),
    };
    let address = config.listen;
    tokio::spawn(run(line, config));
    let mut desk = Desk { address, ledger, status: watch, stop };
    desk.status.wait_for(|status| status.state != LineState::Starting).await.unwrap();
    desk
}

impl Desk {
    /// Posts and answers the ledger's part; the status, the answer and what was stored.
    async fn post(&mut self, path: &str, token: Option<&str>, kind: &str, body: &str) -> (u16, String, Vec<Record>) {
        let request = request(path, token, kind, body);
        let answer = send(self.address, request);
        let mut answer = std::pin::pin!(answer);
        let mut stored = Vec::new();
        let answer = loop {
            tokio::select! {
                answer = answer.as_mut() => break answer,
                Some(batch) = self.ledger.recv() => {
                    stored.extend(batch.records);
                    let _ = batch.receipt.unwrap().send(Committed { last: Position(1) });
                }
            }
        };
        (status(&answer), answer, stored)
    }
}

/// Sends a request; a refused body may be answered with a reset after the answer.
async fn send(address: SocketAddr, request: String) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reads, mut writes) = stream.split();
    let mut answer = Vec::new();
    let _ = tokio::join!(writes.write_all(request.as_bytes()), reads.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(path: &str, token: Option<&str>, kind: &str, body: &str) -> String {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{token}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn plates(records: &[Record]) -> Vec<&str> {
    let plate = |record| match record {
        &Record::Observation(Observation { reading: Reading::Plate(ref plate), .. }) => plate.text.as_clear(),
        _ => None,
    };
    records.iter().filter_map(plate).collect()
}

#[tokio::test]
async fn a_sender_is_answered_only_after_the_sync() {
    let mut desk = open().await;
    let mut stream = TcpStream::connect(desk.address).await.unwrap();
    stream.write_all(request("/hooks/rear", Some("rear-token"), "application/json", PLATE).as_bytes()).await.unwrap();
    let batch = desk.ledger.recv().await.unwrap();
    assert_eq!(plates(&batch.records), ["QW12AB"]);
    let mut one = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut one)).await;
    assert!(early.is_err(), "answered before the sync");
    batch.receipt.unwrap().send(Committed { last: Position(1) }).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn a_sender_that_cannot_be_stored_is_asked_to_come_again() {
    let mut desk = open().await;
    let request = request("/hooks/rear", Some("rear-token"), "application/json", PLATE);
    let mut stream = TcpStream::connect(desk.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(desk.ledger.recv().await.unwrap().receipt);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 503);
    assert!(answer.to_lowercase().contains("retry-after: 10"), "{answer}");
}

#[tokio::test]
async fn only_the_right_token_of_the_right_path_is_admitted() {
    let mut desk = open().await;
    for (path, token, expected) in [
        ("/hooks/rear", Some("rear-token"), 200),
        ("/hooks/rear/", Some("rear-token"), 200),
        ("/hooks/rear?token=rear-token", None, 200),
        ("/hooks/rear?token=rear%2Dtoken", None, 200),
        ("/hooks/rear", None, 401),
        ("/hooks/rear", Some(""), 401),
        ("/hooks/rear", Some("door-token"), 401),
        ("/hooks/rear?token=door-token", None, 401),
        ("/hooks/front", Some("rear-token"), 404),
        ("/", None, 404),
        ("/references/rear", Some("rear-token"), 404),
    ] {
        let (status, answer, stored) = desk.post(path, token, "application/json", PLATE).await;
        assert_eq!((status, stored.len()), (expected, usize::from(expected == 200)), "{path} {token:?} {answer}");
        assert!(!answer.contains("token"), "{answer}");
    }
    let get = send(desk.address, "GET /hooks/rear?token=rear-token HTTP/1.0\r\n\r\n".into()).await;
    assert_eq!(status(&get), 405);
}

#[tokio::test]
async fn plates_are_found_in_every_kind_of_body_and_pictures_are_left_out() {
    let mut desk = open().await;
    let picture = "\u{1}".repeat(3 << 20);
    let form = format!(
        "--xX\r\nContent-Disposition: form-data; name=\"upload\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n{picture}\r\n\
         --xX\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{PLATE}\r\n--xX--\r\n"
    );
    let encoded: String = form_urlencoded::Serializer::new(String::new()).append_pair("json", PLATE).finish();
    for (kind, body) in [
        ("application/json", PLATE),
        ("text/plain", PLATE),
        ("application/x-www-form-urlencoded", PLATE),
        ("application/x-www-form-urlencoded", &encoded),
        ("Multipart/Form-Data; boundary=xX", &form),
    ] {
        let (status, answer, stored) = desk.post("/hooks/rear", Some("rear-token"), kind, body).await;
        assert_eq!((status, plates(&stored)), (200, vec!["QW12AB"]), "{kind} {answer}");
        assert!(matches!(&stored[0], Record::Observation(said) if said.authenticity == Authenticity::Password));
    }
}

#[tokio::test]
async fn what_is_not_understood_is_kept_and_its_sender_is_told_why_without_being_made_to_repeat_it() {
    let mut desk = open().await;
    let other_form = "--xX\r\nContent-Disposition: form-data; name=\"upload\"\r\n\r\nSECRET\r\n--xX--\r\n";
    for (path, token, kind, body, expected) in [
        ("/hooks/rear", "rear-token", "application/json", "SECRET", 202),
        ("/hooks/rear", "rear-token", "multipart/form-data; boundary=xX", other_form, 202),
        ("/hooks/door", "door-token", "application/json", "{\"open\":\"SECRET\"}", 202),
        ("/references/bookings", "port-token", "application/json", "{\"feed\":\"SECRET\"}", 422),
    ] {
        let (status, answer, stored) = desk.post(path, Some(token), kind, body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains("kept as a dead letter: ") && !answer.contains("SECRET"), "{answer}");
        assert!(matches!(&stored[..], [Record::DeadLetter(letter)] if !letter.reason.contains("SECRET")), "{stored:?}");
    }
    let (status, _, stored) =
        desk.post("/hooks/rear", Some("rear-token"), "application/json", &PLATE.replace("\"rear\"", "\"other\"")).await;
    assert_eq!((status, stored.len()), (200, 0), "another camera's read is not ours");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let mut desk = open().await;
    let long = "x".repeat(json::MOST_BYTES + 1);
    let (status, _, stored) = desk.post("/hooks/rear", Some("rear-token"), "application/json", &long).await;
    assert_eq!(status, 413);
    assert!(matches!(&stored[..], [Record::DeadLetter(letter)] if letter.reason.starts_with("more than")));
    // References may be longer.
    let padded = format!(
        "{{\"feed\":\"bookings\",\"as_of\":\"2026-03-14T02:00:00Z\",\"statements\":[]}}{}",
        " ".repeat(2 << 20)
    );
    let (status, answer, stored) =
        desk.post("/references/bookings", Some("port-token"), "application/json", &padded).await;
    assert_eq!((status, stored.len()), (200, 1), "{answer}");
}

#[tokio::test]
async fn a_taken_port_is_said_and_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut desk = open_at(config(taken.local_addr().unwrap())).await;
    let state = desk.status.borrow().state.clone();
    assert!(matches!(&state, LineState::Down(why) if why.contains("in use by another program")), "{state:?}");
    drop(taken);
    desk.status.wait_for(|status| status.state == LineState::Up).await.unwrap();
    assert_eq!(desk.post("/hooks/rear", Some("rear-token"), "", PLATE).await.0, 200);
}

#[tokio::test]
async fn a_stop_closes_the_port_and_idle_connections() {
    let desk = open().await;
    let mut idle = TcpStream::connect(desk.address).await.unwrap();
    desk.stop.cancel();
    let mut nothing = Vec::new();
    // A connection that was not accepted yet is reset, an accepted one is closed.
    if let Err(why) = idle.read_to_end(&mut nothing).await {
        assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(nothing.is_empty());
    while TcpStream::connect(desk.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
