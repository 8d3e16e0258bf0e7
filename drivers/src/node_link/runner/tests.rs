//! Real nodes behind real carriers, and a ledger that takes its time.

use super::*;
use crate::{
    intake::Committed,
    line::LineStatus,
    node_link::{Channel, Node, Trust},
    secret::Secret,
    tap::Taps,
};
use quaywatch_node::{
    Boot, Channel as NodeChannel, Config as NodeConfig, Node as RealNode, NodeKey, ResetCause,
    emulation::EmulatedFlash,
    settings::{Draft, Motion, Sensing},
};
use quaywatch_schemas::{LineId, Observation, Position, SensorId, observation::Authenticity};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::{
    fs::{File, OpenOptions},
    io::Read,
    sync::{Arc, mpsc as std_mpsc},
    thread,
};
use tokio_serial::Parity;
use tokio_util::sync::CancellationToken;

fn config(carrier: Carrier) -> Config {
    let channel = |name: &str| Channel { name: name.into(), sensor: SensorId::new(name).unwrap(), unit: None };
    let trust = Trust::Key(Secret::new("2a".repeat(32)));
    let node = Node { number: 7, trust, channels: vec![channel("pir"), channel("load-1")] };
    let (every, timeout) = (Duration::from_millis(20), Duration::from_millis(100));
    Config { carrier, every, timeout, nodes: vec![node] }
}

fn node() -> RealNode<EmulatedFlash> {
    let pir = Motion { warm_up_ms: 0, hold_ms: 100, ..Motion::default() };
    let draft = Draft::default().with_sensing(NodeChannel::Pir, Sensing::Motion(pir)).with(NodeChannel::Load1);
    let config = NodeConfig::new(7, NodeKey::new([0x2a; 32])).by(&draft.check().unwrap());
    RealNode::boot(config, EmulatedFlash::in_memory(6), Boot { reset: ResetCause::PowerOn, entropy: 1, now: 0 })
}

/// A node on a pair of blocking byte streams, in threads of its own, until the reading one ends. It moves once, and then
/// again after each acknowledgement of everything.
fn station(mut reader: impl Read + Send + 'static, mut writer: impl std::io::Write + Send + 'static) {
    let (bytes_in, bytes) = std_mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            if bytes_in.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        let (mut node, began, mut moving, mut loads) = (node(), Instant::now(), false, 0);
        loop {
            let now = || began.elapsed().as_millis() as u64;
            match bytes.recv_timeout(Duration::from_millis(5)) {
                Ok(bytes) => {
                    if let Some(turn) = node.receive(&bytes, now())
                        && writer.write_all(turn).is_err()
                    {
                        return;
                    }
                }
                Err(std_mpsc::RecvTimeoutError::Timeout) => {}
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if node.waiting() == 0 && loads < 1000 {
                moving = !moving;
                loads += 100;
                node.sense(NodeChannel::Pir, moving, now()).unwrap();
                node.sense(NodeChannel::Load1, loads as f32, now()).unwrap();
            }
            node.tick(now());
        }
    });
}

/// Runs a line against a ledger that syncs late, until it has stored ten loads; returns what it stored.
async fn drive(config: Config) -> Vec<Observation> {
    let (intake, mut batches) = Intake::bounded(16);
    let (status, mut how) = watch::channel(LineStatus::default());
    let stop = CancellationToken::new();
    let taps = Taps::default();
    let line = Line {
        id: LineId::new("bus").unwrap(),
        intake,
        taps: taps.clone(),
        status: Arc::new(status),
        stop: stop.clone(),
    };
    let mut tap = taps.watch(&SensorId::new("load-1").unwrap());
    let (wishes, granted) = mpsc::channel(1);
    let running = tokio::spawn(run(line, config, granted));
    how.wait_for(|status| status.state == LineState::Up).await.unwrap();
    let (mut stored, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
    while stored.iter().filter(|said: &&Observation| said.sensor.as_str() == "load-1").count() < 10 {
        let batch = timeout(Duration::from_secs(30), batches.recv()).await.expect("the node says more").unwrap();
        for record in batch.records {
            let Record::Observation(said) = record else { panic!("{record:?}") };
            // As the ledger does: what comes twice is dropped.
            if said.source_id.is_none_or(|id| ids.insert(id))
                && matches!(said.reading, Reading::Contact(_) | Reading::Measure(_))
            {
                stored.push(said);
            }
        }
        // Late: the bus has long gone on.
        sleep(Duration::from_millis(70)).await;
        let _ = batch.receipt.unwrap().send(Committed { last: Position(stored.len() as u64) });
    }
    let (answer, taken) = oneshot::channel();
    let blink = Wish::Order { node: 7, request: Request::Identify { seconds: 1 }, answer };
    wishes.send(blink).await.unwrap();
    let mut told = taken.await.unwrap().unwrap();
    let last = *timeout(Duration::from_secs(30), told.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_eq!(last, Some(Report::Done));
    let tapped = tap.recv().await.unwrap();
    assert!(!tapped.raw.is_empty() && tapped.decoded.ends_with("kN"), "{tapped:?}");
    stop.cancel();
    let end = tokio::spawn(async move {
        while let Some(batch) = batches.recv().await {
            drop(batch)
        }
    });
    timeout(Duration::from_secs(30), running).await.expect("a line that is asked to stop stops").unwrap();
    end.await.unwrap();
    stored
}

fn check(stored: &[Observation]) {
    assert!(stored.iter().all(|said| said.authenticity == Authenticity::NodeAead && said.observed_at.is_some()));
    let mut loads: Vec<i64> = stored
        .iter()
        .filter_map(
            |said| if let Reading::Measure(measure) = &said.reading { Some(measure.value.get() as i64) } else { None },
        )
        .collect();
    loads.dedup();
    assert!(loads.is_sorted() && loads.len() >= 5, "{loads:?}");
    assert!(stored.iter().any(|said| said.reading == Reading::Contact(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_listens_on_tcp_is_read_and_acknowledged() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        station(stream.try_clone().unwrap(), stream);
    });
    check(&drive(config(Carrier::Connect { host: "127.0.0.1".into(), port })).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_connects_over_tcp_is_read_and_acknowledged() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    thread::spawn(move || {
        let stream = loop {
            match std::net::TcpStream::connect(free) {
                Ok(stream) => break stream,
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        station(stream.try_clone().unwrap(), stream);
    });
    check(&drive(config(Carrier::Listen(free))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_a_pseudo_terminal_is_read_and_acknowledged() {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the controller does not read an error before the line opens it.
    let held = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut settings = rustix::termios::tcgetattr(&held).unwrap();
    settings.make_raw();
    rustix::termios::tcsetattr(&held, rustix::termios::OptionalActions::Now, &settings).unwrap();
    let controller = File::from(controller);
    station(controller.try_clone().unwrap(), controller);
    let port = Port { path: path.into(), baud: 115_200, data_bits: 8, parity: Parity::None, stop_bits: 1 };
    check(&drive(config(Carrier::Serial(port))).await);
    drop(held);
}

#[tokio::test]
async fn a_port_that_is_not_there_is_said_in_words_and_its_sensors_are_disconnected() {
    let (intake, mut batches) = Intake::bounded(16);
    let (status, mut how) = watch::channel(LineStatus::default());
    let stop = CancellationToken::new();
    let line = Line {
        id: LineId::new("bus").unwrap(),
        intake,
        taps: Taps::default(),
        status: Arc::new(status),
        stop: stop.clone(),
    };
    let port = Port { path: "/dev/nothing-here".into(), baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 };
    let running = tokio::spawn(run(line, config(Carrier::Serial(port)), mpsc::channel(1).1));
    let down = how.wait_for(|status| matches!(status.state, LineState::Down(_))).await.unwrap().state.clone();
    assert!(matches!(&down, LineState::Down(why) if why.starts_with("/dev/nothing-here cannot be opened")), "{down:?}");
    let batch = batches.recv().await.unwrap();
    assert_eq!(batch.records.len(), 2);
    stop.cancel();
    drop(batch);
    running.await.unwrap();
}
