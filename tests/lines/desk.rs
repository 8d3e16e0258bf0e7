//! An MQTT line whose ledger is the test.

use quaywatch_drivers::{
    intake::{Batch, Committed, Intake},
    json::{Kind, Mapping},
    line::{Line, LineState, LineStatus},
    mqtt::{self, Config, Gives, Session, Subscription, link::Endpoint},
    tap::Taps,
};
use quaywatch_schemas::{LineId, Observation, Position, Reading, Record, SensorId};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Desk {
    pub ledger: mpsc::Receiver<Batch>,
    pub status: watch::Receiver<LineStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Desk {
    /// Starts a line whose ledger holds `bound` batches.
    pub fn open(broker: Endpoint, subscriptions: Vec<Subscription>, bound: usize) -> Self {
        let (intake, ledger) = Intake::bounded(bound);
        let (status, watch) = watch::channel(LineStatus::default());
        let stop = CancellationToken::new();
        let line = Line {
            id: LineId::new("broker").expect("a name"),
            intake,
            taps: Taps::default(),
            status: Arc::new(status),
            stop: stop.clone(),
        };
        let task = tokio::spawn(mqtt::run(line, Config { broker, subscriptions }));
        Self { ledger, status: watch, stop, task }
    }

    /// Starts a line and waits until it is up.
    pub async fn up(broker: Endpoint, subscriptions: Vec<Subscription>) -> Self {
        let desk = Self::open(broker, subscriptions, 4096);
        desk.is(|state| *state == LineState::Up).await;
        desk
    }

    /// Waits for a state.
    pub async fn is(&self, wanted: impl Fn(&LineState) -> bool) -> LineState {
        let mut status = self.status.clone();
        let seen = tokio::time::timeout(PATIENCE, status.wait_for(|status| wanted(&status.state))).await;
        match seen {
            Ok(status) => status.expect("the line lives").state.clone(),
            Err(_) => panic!("the line stays {:?}", self.status.borrow().state),
        }
    }

    /// Waits until the line is down, and says why.
    pub async fn why_down(&self) -> String {
        match self.is(|state| matches!(state, LineState::Down(_))).await {
            LineState::Down(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// The next batch; its receipt is still to be given.
    pub async fn next(&mut self) -> Batch {
        let batch = tokio::time::timeout(PATIENCE, self.ledger.recv()).await;
        batch.expect("a batch comes").expect("the line lives")
    }

    /// The next batch, stored.
    pub async fn take(&mut self) -> Vec<Record> {
        let batch = self.next().await;
        store(batch)
    }

    /// Stops the line as the daemon does.
    pub async fn close(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic");
    }

    /// The gateway loses power: nothing is said to the broker.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Gives a batch its receipt.
pub fn store(batch: Batch) -> Vec<Record> {
    if let Some(receipt) = batch.receipt {
        let _ = receipt.send(Committed { last: Position(1) });
    }
    batch.records
}

/// A broker on loopback, and a client id of this test's own.
pub fn endpoint(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port, tls: None, login: None, client_id: "gate-2".into() }
}

/// A contact that a topic's messages are.
pub fn contact(topic: &str, sensor: &str, session: Session) -> Subscription {
    let mapping = Mapping::of(Kind::Contact, "");
    let gives = Gives::Json { sensor: SensorId::new(sensor).expect("a name"), mapping };
    Subscription { topic: topic.into(), session, at_least_once: true, gives }
}

/// What a batch of one observation says, and of whom.
pub fn said(records: &[Record]) -> (&str, &Reading) {
    let observation = observation(records);
    (observation.sensor.as_str(), &observation.reading)
}

pub fn observation(records: &[Record]) -> &Observation {
    match records {
        [Record::Observation(observation)] => observation,
        other => panic!("not one observation: {other:?}"),
    }
}
