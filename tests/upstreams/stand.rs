//! A store with products on their way out, and nothing else of the gateway.

use quaywatch::{
    health::{Board, Condition},
    ledger::{self, Class, Lane, NewEntry, Next, Outbox, State},
    pipeline::Picture,
    published::fictional,
    upstreams::{self, Parts, Target},
};
use quaywatch_drivers::intake::Intake;
use quaywatch_schemas::{
    GatewayTime, Position, RecipientId, Record, WallTime, ZoneId,
    situation::SituationId,
    time::{ClockQuality, ClockState},
};
use quaywatch_tests::eventually;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const SOON: Duration = Duration::from_secs(20);

/// A store and what upstreams are given.
pub struct Stand {
    pub outbox: Outbox,
    pub state: State,
    pub board: Board,
    pub picture: watch::Sender<Picture>,
    /// What went into the log.
    pub records: Arc<Mutex<Vec<Record>>>,
    intake: Intake,
    ledger: Option<ledger::Started>,
    _folder: TempDir,
}

/// A running upstream.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("an upstream ends without a panic");
    }
}

pub fn police() -> RecipientId {
    RecipientId::new("port-police").expect("a name")
}

impl Stand {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut opened = ledger::open(folder.path(), ledger::Options::default()).expect("a new store");
        let (outbox, state, intake) = (opened.outbox.clone(), opened.state.clone(), opened.intake.clone());
        let mut incoming = opened.take_records();
        let records = Arc::new(Mutex::new(Vec::new()));
        let seen = records.clone();
        std::thread::spawn(move || {
            while let Some(next) = incoming.blocking_recv() {
                if let Next::Records(stamped) = next {
                    seen.lock().expect("nobody panics").extend(stamped.into_iter().map(|stamped| stamped.record));
                }
            }
        });
        let picture = Picture {
            site: Some(Arc::new(fictional::site())),
            policy: Some(Arc::new(fictional::policy())),
            security_level: 1,
            clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 100 },
            ..Picture::default()
        };
        Self {
            outbox,
            state,
            board: Board::default(),
            picture: watch::Sender::new(picture),
            records,
            intake,
            ledger: Some(opened.start(Position(1))),
            _folder: folder,
        }
    }

    pub fn parts(&self) -> Parts {
        Parts {
            outbox: self.outbox.clone(),
            state: self.state.clone(),
            intake: self.intake.clone(),
            picture: self.picture.subscribe(),
            board: self.board.clone(),
            reference_key: fictional::REFERENCE_KEY,
        }
    }

    pub fn run(&self, target: Target) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::spawn(upstreams::run(police(), target, self.parts(), stop.clone()));
        Running { stop, task }
    }

    /// Appends products of zones in turn; returns the last number.
    pub fn append(&self, lane: Lane, zones: &[&str], count: u64, size: usize) -> u64 {
        let recipient = police();
        let first = self.outbox.high_water(&recipient).sequence + 1;
        let entries = (first..first + count).map(|sequence| {
            let zone = zones[(sequence % zones.len() as u64) as usize];
            NewEntry {
                recipient: recipient.clone(),
                sequence,
                zone: ZoneId::new(zone).expect("a name"),
                lane,
                class: Class::Alarm,
                output: sequence,
                situation: SituationId([7; 16]),
                concluded: GatewayTime(sequence),
                concluded_wall: WallTime(sequence as i64),
                body: body(&self.outbox.epoch_hex(), sequence, zone, size),
            }
        });
        self.outbox.append(entries.collect()).expect("a disk");
        first + count - 1
    }

    pub fn backlog(&self) -> u64 {
        self.outbox.accounts(&police()).backlog
    }

    pub async fn backlog_is(&self, wanted: u64) {
        eventually(SOON, async || {
            let backlog = self.backlog();
            if backlog == wanted { Ok(()) } else { Err(format!("backlog {backlog}, {:?}", self.board.picture().parts)) }
        })
        .await;
    }

    /// Waits until the upstream says of itself what contains `words`; `None` waits until it is well.
    pub async fn says(&self, words: Option<&str>) {
        eventually(SOON, async || {
            let said = self.board.picture().parts.remove("upstream port-police");
            match (&said, words) {
                (Some(Condition::Well), None) => Ok(()),
                (Some(Condition::Degraded(why) | Condition::Failed(why)), Some(words)) if why.contains(words) => Ok(()),
                _ => Err(format!("{said:?} instead of {words:?}")),
            }
        })
        .await;
    }

    /// Waits until a record is in the log.
    pub async fn recorded(&self, wanted: impl Fn(&Record) -> bool) {
        eventually(SOON, async || {
            let records = self.records.lock().expect("nobody panics");
            if records.iter().any(&wanted) { Ok(()) } else { Err(format!("{records:?}")) }
        })
        .await;
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.stop();
        }
    }
}

fn body(epoch: &str, sequence: u64, zone: &str, size: usize) -> Vec<u8> {
    let padding = "x".repeat(size);
    json!({ "id": format!("{epoch}.{sequence:020}"), "sequence": format!("{sequence:020}"), "subject": zone, "data": padding })
        .to_string()
        .into_bytes()
}

/// What a consumer has, as the contract tells it to keep it: repeats dropped by id, order looked at per lane and zone.
#[derive(Default)]
pub struct Consumer {
    pub bodies: BTreeMap<u64, Vec<u8>>,
    last: BTreeMap<String, u64>,
    pub repeats: u64,
}

impl Consumer {
    /// Takes a product; panics if the contract is broken.
    pub fn take(&mut self, lane: &str, body: Vec<u8>) -> u64 {
        let event: Value = serde_json::from_slice(&body).expect("a product is JSON");
        let sequence: u64 = event["sequence"].as_str().and_then(|text| text.parse().ok()).expect("a number");
        if let Some(before) = self.bodies.get(&sequence) {
            assert_eq!(*before, body, "number {sequence} has two bodies");
            self.repeats += 1;
            return sequence;
        }
        let route = format!("{lane}/{}", event["subject"]);
        let last = self.last.insert(route.clone(), sequence).unwrap_or(0);
        assert!(last < sequence, "{route}: {sequence} came after {last}");
        self.bodies.insert(sequence, body);
        sequence
    }
}
