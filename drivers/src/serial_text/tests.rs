//! Decoding by pattern, and the runner over a pseudo-terminal.

use super::*;
use crate::{
    intake::{Batch, Intake},
    line::{LineState, LineStatus},
};
use quaywatch_schemas::LineId;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, watch};
use tokio_serial::Parity;
use tokio_util::sync::CancellationToken;

fn reader(pattern: &str) -> Reader {
    Reader {
        sensor: SensorId::new("scale").unwrap(),
        pattern: Regex::new(pattern).unwrap(),
        unit: Unit::new("kg").unwrap(),
        stable_when: vec!["ST".into()],
        range: Some((-100.0, 80_000.0)),
        reporting: Reporting { deadband: 20.0, heartbeat: Duration::from_secs(2) },
    }
}

/// The common continuous format: status, gross or net, sign, value, unit.
const USUAL: &str = r"^(?<stable>ST|US|OL),GS,(?<sign>[+-])?\s*(?<value>[-0-9., ]+|O\.L)\s*(?<unit>[A-Za-z]*)";

fn kilograms(value: f64, stable: bool) -> Option<Result<Reading, Undecodable>> {
    let unit = Unit::new("kg").unwrap();
    Some(Ok(Reading::Measure(Measure { value: Finite::new(value).unwrap(), unit, stable: Some(stable) })))
}

#[test]
fn a_line_becomes_a_measure_in_the_sensors_own_unit() {
    let reader = reader(USUAL);
    for (line, expected) in [
        ("ST,GS,+  12345 kg", kilograms(12_345.0, true)),
        ("US,GS,+  12345 KG", kilograms(12_345.0, false)),
        ("ST,GS,-     20 kg", kilograms(-20.0, true)),
        ("ST,GS,+ 12.345 t", kilograms(12_345.0, true)),
        ("ST,GS,+ 12,345 t", kilograms(12_345.0, true)),
        ("ST,GS,  12 345", kilograms(12_345.0, true)),
        ("OL,GS,+ O.L", Some(Ok(Reading::NoData(NoData::BadValue)))),
        ("ST,GS,+ ------", Some(Ok(Reading::NoData(NoData::BadValue)))),
        ("ST,GS,+ 999999 kg", Some(Ok(Reading::NoData(NoData::BadValue)))),
        ("ST,NT,+  12345 kg", None),
    ] {
        assert_eq!(decode(&reader, line.as_bytes()), expected, "{line}");
    }
    for line in ["ST,GS,+ 12345 lb", "ST,GS,+ 12345 m"] {
        assert!(matches!(decode(&reader, line.as_bytes()), Some(Err(_))), "{line}");
    }
}

#[test]
fn a_watcher_sees_the_weight_and_not_the_truck() {
    let reader = reader(r"(?<value>\d+) (?<unit>kg)");
    assert_eq!(shown(&reader, b"QW-12-AB\t 12345 kg \xff"), "**-**-**. 12345 kg *");
}

/// The instrument's side of a port, and what the gateway made of it.
struct Bench {
    instrument: File,
    ledger: mpsc::Receiver<Batch>,
    status: watch::Receiver<LineStatus>,
    path: PathBuf,
    stop: CancellationToken,
}

fn pseudo_terminal() -> (File, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), PathBuf::from(name))
}

/// `link` is what the site file names; it can lead to another port later, as a cable that is plugged in again does.
fn bench(link: &std::path::Path) -> Bench {
    let (instrument, path) = pseudo_terminal();
    std::os::unix::fs::symlink(&path, link).unwrap();
    let (intake, ledger) = Intake::bounded(64);
    let (status, watch) = watch::channel(LineStatus::default());
    let stop = CancellationToken::new();
    let line = Line {
        id: LineId::new("indicator").unwrap(),
        intake,
        taps: Default::default(),
        status: Arc::new(status),
        stop: stop.clone(),
    };
    let port = serial::Port { path: link.to_owned(), baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 };
    tokio::spawn(run(line, Config { port, sensors: vec![reader(USUAL)] }));
    Bench { instrument, ledger, status: watch, path, stop }
}

impl Bench {
    async fn next(&mut self) -> Record {
        let batch = tokio::time::timeout(Duration::from_secs(20), self.ledger.recv()).await;
        batch.expect("something is said").expect("the line lives").records.remove(0)
    }

    async fn next_reading(&mut self) -> Reading {
        match self.next().await {
            Record::Observation(said) => said.reading,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_instrument_is_read_its_silence_is_said_and_its_port_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("port");
    let mut bench = bench(&link);
    bench.status.wait_for(|status| status.state == LineState::Up).await.unwrap();
    let stream = {
        let mut instrument = bench.instrument.try_clone().unwrap();
        let line = Arc::new(Mutex::new(Some("ST,GS,+  12345 kg\r\n")));
        let said = line.clone();
        let thread = std::thread::spawn(move || {
            // Not in the loop's own condition: the lock would be held while it sleeps, and the test could wait for it.
            let present = || *said.lock().unwrap();
            while let Some(line) = present() {
                let _ = instrument.write_all(line.as_bytes());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        (line, thread)
    };
    assert_eq!(Some(Ok(bench.next_reading().await)), kilograms(12_345.0, true));
    *stream.0.lock().unwrap() = Some("ST,GS,+  12350 kg\r\nST,GS,+  15000 kg\r\n");
    // 12,350 is within the deadband.
    assert_eq!(Some(Ok(bench.next_reading().await)), kilograms(15_000.0, true));
    *stream.0.lock().unwrap() = Some("SECRET\r\n");
    let letter = loop {
        match bench.next().await {
            Record::DeadLetter(letter) => break letter,
            Record::Observation(said) => assert!(matches!(said.reading, Reading::Measure(_)), "{said:?}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(letter.reason, "the line matches no sensor's pattern");
    // Lines of nobody are no sign of life of the sensor.
    assert_eq!(bench.next_reading().await, Reading::NoData(NoData::Timeout));
    assert_eq!(bench.status.borrow().state, LineState::Up);
    *stream.0.lock().unwrap() = None;
    stream.1.join().unwrap();

    // The cable is pulled, and plugged in elsewhere.
    let (other, other_path) = pseudo_terminal();
    std::fs::remove_file(&link).unwrap();
    let old = std::mem::replace(&mut bench.instrument, other);
    drop(old);
    bench.status.wait_for(|status| matches!(status.state, LineState::Down(_))).await.unwrap();
    assert_ne!(bench.path, other_path);
    while bench.next_reading().await != Reading::NoData(NoData::Disconnected) {}
    std::os::unix::fs::symlink(&other_path, &link).unwrap();
    bench.status.wait_for(|status| status.state == LineState::Up).await.unwrap();
    let mut instrument = bench.instrument.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..100 {
            let _ = instrument.write_all(b"ST,GS,+  20000 kg\r\n");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    loop {
        let reading = bench.next_reading().await;
        if Some(Ok(reading)) == kilograms(20_000.0, true) {
            break;
        }
    }
    bench.stop.cancel();
    writer.join().unwrap();
}

#[tokio::test]
async fn a_port_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (intake, _ledger) = Intake::bounded(8);
    let (status, mut watch) = watch::channel(LineStatus::default());
    let line = Line {
        id: LineId::new("indicator").unwrap(),
        intake,
        taps: Default::default(),
        status: Arc::new(status),
        stop: CancellationToken::new(),
    };
    let path = folder.path().join("nothing");
    let port = serial::Port { path: path.clone(), baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 };
    tokio::spawn(run(line, Config { port, sensors: vec![reader(USUAL)] }));
    let down = watch.wait_for(|status| matches!(status.state, LineState::Down(_))).await.unwrap().clone();
    assert_eq!(down.state, LineState::Down(format!("there is no port {}", path.display())));
}
