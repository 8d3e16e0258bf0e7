//! AIS and frames over real sockets: a receiver that sends datagrams, a server that goes away and comes back.

use crate::desk::{PATIENCE, observation, store};
use quaywatch_drivers::{
    ais, frame,
    intake::{Batch, Intake},
    line::{Line, LineState, LineStatus},
    streamed::Carrier,
    tap::Taps,
};
use quaywatch_schemas::{LineId, NoData, Reading, Record, SensorId, observation::Health};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A line whose ledger is the test.
struct Bench {
    ledger: mpsc::Receiver<Batch>,
    status: watch::Receiver<LineStatus>,
    taps: Taps,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    fn ais(carrier: Carrier) -> Self {
        Self::of(64, |line| tokio::spawn(ais::run(line, ais::Config { carrier, sensor: sensor("vhf") })))
    }

    fn frames(carrier: Carrier, bound: usize) -> Self {
        let source = frame::Source { sensor: sensor("radar"), polar: true };
        Self::of(bound, |line| tokio::spawn(frame::run(line, frame::Config { carrier, source })))
    }

    fn of(bound: usize, run: impl FnOnce(Line) -> JoinHandle<()>) -> Self {
        let (intake, ledger) = Intake::bounded(bound);
        let (status, watch) = watch::channel(LineStatus::default());
        let (stop, taps) = (CancellationToken::new(), Taps::default());
        let id = LineId::new("quay").expect("a name");
        let line = Line { id, intake, taps: taps.clone(), status: Arc::new(status), stop: stop.clone() };
        Self { ledger, status: watch, taps, stop, task: run(line) }
    }

    async fn is(&mut self, wanted: impl Fn(&LineState) -> bool) {
        let seen = tokio::time::timeout(PATIENCE, self.status.wait_for(|status| wanted(&status.state))).await;
        seen.expect("the state comes").expect("the line lives");
    }

    async fn take(&mut self) -> Vec<Record> {
        let batch = tokio::time::timeout(PATIENCE, self.ledger.recv()).await;
        store(batch.expect("a batch comes").expect("the line lives"))
    }

    async fn close(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic");
    }
}

fn sensor(name: &str) -> SensorId {
    SensorId::new(name).expect("a name")
}

/// A port that was free a moment ago.
async fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

fn capture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scan(number: u32) -> String {
    format!(r#"{{"format":"quaywatch.frame.v1","time":"2026-03-14T02:12:04Z","frame":{number},"detections":[]}}"#)
}

#[tokio::test]
async fn vessels_are_heard_over_udp_and_what_is_no_sentence_is_kept_as_a_dead_letter() {
    let at = free_udp().await;
    let mut bench = Bench::ais(Carrier::Udp(at));
    bench.is(|state| *state == LineState::Up).await;
    let mut watcher = bench.taps.watch(&sensor("vhf"));
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // Two sentences of one message in two datagrams and its position in a third, without a line end.
    let sentences = capture("ais/name-in-two-sentences-the-second-first.nmea");
    for sentence in sentences.split(|byte| *byte == b'\n').filter(|sentence| !sentence.is_empty()) {
        receiver.send_to(sentence, at).await.unwrap();
    }
    assert_eq!(observation(&bench.take().await).reading, Reading::Health(Health::Alive));
    let said = bench.take().await;
    let Reading::Cooperative(vessel) = &observation(&said).reading else { panic!("{said:?}") };
    assert_eq!((vessel.mmsi, vessel.name.as_deref()), (244_123_456, Some("QW ANNA")));
    assert!(observation(&said).observed_at.is_some());
    let seen = watcher.recv().await.unwrap();
    assert!(seen.raw.starts_with("!AIVDM, ") && seen.raw.len() < 20, "who it is stays inside: {}", seen.raw);

    receiver.send_to(b"what is this", at).await.unwrap();
    let said = bench.take().await;
    let [Record::DeadLetter(letter)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((letter.sensor.as_ref(), letter.length), (Some(&sensor("vhf")), 12));
    bench.close().await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_connected_to_again_and_its_sensor_said_to_be_disconnected_in_between() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let mut bench = Bench::ais(Carrier::Tcp { host: "127.0.0.1".into(), port: at.port() });
    let (mut stream, _) = server.accept().await.unwrap();
    bench.is(|state| *state == LineState::Up).await;
    let position = capture("ais/class-a-under-way.nmea");
    // A sentence may come in pieces.
    stream.write_all(&position[..20]).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(&position[20..]).await.unwrap();
    assert!(matches!(observation(&bench.take().await).reading, Reading::Cooperative(_)));

    drop((stream, server));
    bench.is(|state| matches!(state, LineState::Down(_))).await;
    assert_eq!(observation(&bench.take().await).reading, Reading::NoData(NoData::Disconnected));

    let server = TcpListener::bind(at).await.unwrap();
    let (mut stream, _) = server.accept().await.unwrap();
    bench.is(|state| *state == LineState::Up).await;
    // The first word, even if it says nothing of a vessel, shows that it can be heard again.
    stream.write_all(&capture("ais/stations-and-aids.nmea")).await.unwrap();
    assert_eq!(observation(&bench.take().await).reading, Reading::Health(Health::Alive));
    bench.close().await;
}

#[tokio::test]
async fn frames_come_over_udp_and_tcp_and_one_that_is_too_long_costs_only_itself() {
    let at = free_udp().await;
    let mut bench = Bench::frames(Carrier::Udp(at), 64);
    bench.is(|state| *state == LineState::Up).await;
    let radar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // However it is laid out, a datagram is a frame.
    radar.send_to(scan(1).replace(',', ",\n ").as_bytes(), at).await.unwrap();
    radar.send_to(format!("{}\r\n", scan(2)).as_bytes(), at).await.unwrap();
    let (first, second) = (bench.take().await, bench.take().await);
    assert!(matches!(&observation(&first).reading, Reading::Frame(frame) if frame.detections.is_empty()));
    assert_ne!(observation(&first).source_id, observation(&second).source_id);
    bench.close().await;

    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut bench = Bench::frames(Carrier::Tcp { host: "127.0.0.1".into(), port }, 64);
    let (mut stream, _) = server.accept().await.unwrap();
    stream.write_all(&vec![b'x'; 300_000]).await.unwrap();
    stream.write_all(format!("\n{}\r\n", scan(3)).as_bytes()).await.unwrap();
    let said = bench.take().await;
    let [Record::DeadLetter(letter)] = &said[..] else { panic!("{said:?}") };
    assert!(letter.reason.contains("300000 bytes are more than"), "{}", letter.reason);
    assert!(matches!(observation(&bench.take().await).reading, Reading::Frame(_)));
    bench.close().await;
}

#[tokio::test]
async fn what_the_ledger_has_no_room_for_is_counted_and_said() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut bench = Bench::frames(Carrier::Tcp { host: "127.0.0.1".into(), port }, 1);
    let (mut stream, _): (TcpStream, _) = server.accept().await.unwrap();
    let mut watcher = bench.taps.watch(&sensor("radar"));
    for number in 0..10 {
        stream.write_all(format!("{}\n", scan(number)).as_bytes()).await.unwrap();
    }
    // All ten were read, and there was room for one.
    for _ in 0..10 {
        tokio::time::timeout(PATIENCE, watcher.recv()).await.expect("a frame is read").unwrap();
    }
    let (mut stored, mut let_go) = (0, 0);
    while stored + let_go < 10 {
        match observation(&bench.take().await).reading {
            Reading::Frame(_) => stored += 1,
            Reading::NoData(NoData::Overload(count)) => let_go += count,
            ref other => panic!("{other:?}"),
        }
    }
    assert!(stored + let_go == 10 && let_go >= 8, "{stored} stored, {let_go} let go");
    bench.close().await;
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_said_and_taken_when_it_is_free() {
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = other.local_addr().unwrap();
    let mut bench = Bench::ais(Carrier::Udp(at));
    bench.is(|state| matches!(state, LineState::Down(why) if why.contains("in use by another program"))).await;
    drop(other);
    bench.is(|state| *state == LineState::Up).await;
    bench.close().await;
}
