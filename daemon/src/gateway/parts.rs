//! Lines, folders, upstreams and listeners: each a task that is stopped and started again when its own settings change, and
//! left alone when they do not.

use super::operations;
use crate::{
    audit::{self, export},
    config::{Answers, Wiring},
    health::{Board, Condition},
    nodes::Nodes,
    references, upstreams,
};
use quaywatch_drivers::{
    ais, frame,
    intake::Intake,
    line::{Line, LineState, LineStatus},
    modbus, mqtt, node_link,
    secret::Secret,
    serial_text,
    tap::Taps,
    webhook,
};
use quaywatch_schemas::{FeedId, LineId, RecipientId};
use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What all parts are given.
pub(super) struct Shared {
    pub(super) intake: Intake,
    pub(super) taps: Taps,
    pub(super) board: Board,
    pub(super) nodes: Nodes,
    pub(super) upstream: upstreams::Parts,
    pub(super) audit: audit::Reader,
}

/// The parts that run.
#[derive(Default)]
pub(super) struct Running(BTreeMap<String, Task>);

struct Task {
    part: Part,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

/// What a part is started with.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Mqtt(LineId, mqtt::Config),
    Modbus(modbus::Connection, Vec<(LineId, modbus::Device)>),
    Webhook(LineId, webhook::Config),
    SerialText(LineId, serial_text::Config),
    Ais(LineId, ais::Config),
    Frames(LineId, frame::Config),
    NodeLink(LineId, node_link::Config),
    Folder(FeedId, PathBuf),
    Upstream(RecipientId, upstreams::Target),
    Audit(export::Target),
    Answers(Answers, BTreeMap<RecipientId, Secret>),
    Operations(SocketAddr),
}

/// How many parts a change touched, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    started: usize,
    stopped: usize,
    kept: usize,
}

/// A part that does not end by itself in this time is ended: what it held was not acknowledged.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl Running {
    /// Stops what is no longer wanted or wanted otherwise, then starts what is missing.
    pub(super) async fn change_to(&mut self, mut wiring: Wiring, shared: &Shared) -> Changes {
        shared.nodes.placed(&wiring.nodes, &wiring.node_links);
        wiring.enrol(|number, place| shared.nodes.keyed(number, place));
        let wanted: BTreeMap<String, Part> = parts_of(wiring).map(|part| (part.name(), part)).collect();
        let stale: Vec<String> = self
            .0
            .iter()
            .filter(|(name, task)| wanted.get(*name) != Some(&task.part))
            .map(|(name, _)| name.clone())
            .collect();
        let mut changes = Changes { stopped: stale.len(), kept: self.0.len() - stale.len(), started: 0 };
        self.stop(stale).await;
        for (name, part) in wanted {
            if let btree_map::Entry::Vacant(place) = self.0.entry(name) {
                place.insert(part.start(shared));
                changes.started += 1;
            }
        }
        changes
    }

    /// Stops everything that makes records.
    pub(super) async fn stop_lines(&mut self) {
        let lines = self.0.iter().filter(|(_, task)| task.part.makes_records()).map(|(name, _)| name.clone()).collect();
        self.stop(lines).await;
    }

    /// Stops the rest.
    pub(super) async fn stop_all(&mut self) {
        let all = self.0.keys().cloned().collect();
        self.stop(all).await;
    }

    async fn stop(&mut self, names: Vec<String>) {
        let tasks: Vec<(String, Task)> = names.into_iter().filter_map(|name| self.0.remove_entry(&name)).collect();
        tasks.iter().for_each(|(_, task)| task.stop.cancel());
        for (name, mut task) in tasks {
            if tokio::time::timeout(STOP_WITHIN, &mut task.handle).await.is_err() {
                tracing::warn!(part = name, "did not stop within {STOP_WITHIN:?} and was ended");
                task.handle.abort();
            }
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parts started, {} stopped, {} left alone", self.started, self.stopped, self.kept)
    }
}

fn parts_of(wiring: Wiring) -> impl Iterator<Item = Part> {
    let tokens: BTreeMap<RecipientId, Secret> = wiring
        .upstreams
        .iter()
        .filter_map(|(recipient, target)| Some((recipient.clone(), target.answer_token.clone()?)))
        .collect();
    let lines = wiring
        .mqtt
        .into_iter()
        .map(|(line, config)| Part::Mqtt(line, config))
        .chain(wiring.modbus.into_iter().map(|(connection, devices)| Part::Modbus(connection, devices)))
        .chain(wiring.webhooks.into_iter().map(|(line, config)| Part::Webhook(line, config)))
        .chain(wiring.serial_text.into_iter().map(|(line, config)| Part::SerialText(line, config)))
        .chain(wiring.ais.into_iter().map(|(line, config)| Part::Ais(line, config)))
        .chain(wiring.frames.into_iter().map(|(line, config)| Part::Frames(line, config)))
        .chain(wiring.node_links.into_iter().map(|(line, config)| Part::NodeLink(line, config)))
        .chain(wiring.folders.into_iter().map(|(feed, folder)| Part::Folder(feed, folder)));
    lines
        .chain(wiring.upstreams.into_iter().map(|(recipient, target)| Part::Upstream(recipient, target)))
        .chain(wiring.audit.map(Part::Audit))
        .chain(wiring.answers.map(|answers| Part::Answers(answers, tokens)))
        .chain(wiring.operations.map(Part::Operations))
}

impl Part {
    /// Unique among all parts that can run at once.
    fn name(&self) -> String {
        match self {
            Self::Mqtt(line, _)
            | Self::Webhook(line, _)
            | Self::SerialText(line, _)
            | Self::Ais(line, _)
            | Self::Frames(line, _)
            | Self::NodeLink(line, _) => format!("line {line}"),
            Self::Modbus(modbus::Connection::Tcp { host, port }, _) => format!("modbus {host}:{port}"),
            Self::Modbus(modbus::Connection::Rtu(port), _) => format!("modbus {}", port.path.display()),
            Self::Folder(feed, _) => format!("references {feed}"),
            Self::Upstream(recipient, _) => format!("upstream {recipient}"),
            Self::Audit(_) => "audit export".into(),
            Self::Answers(..) => "answers".into(),
            Self::Operations(_) => "operations".into(),
        }
    }

    /// Answers are records too, but a recipient may still send one while the lines stop.
    fn makes_records(&self) -> bool {
        !matches!(self, Self::Upstream(..) | Self::Audit(_) | Self::Answers(..) | Self::Operations(_))
    }

    fn start(self, shared: &Shared) -> Task {
        let stop = CancellationToken::new();
        let part = self.clone();
        let line = |id: LineId| shared.line(id, &stop);
        let upstream = || shared.upstream.clone();
        let handle = match self {
            Self::Mqtt(id, config) => tokio::spawn(mqtt::run(line(id), config)),
            Self::Modbus(connection, devices) => {
                let devices = devices.into_iter().map(|(id, device)| (line(id), device)).collect();
                tokio::spawn(modbus::run(connection, devices))
            }
            Self::Webhook(id, config) => tokio::spawn(webhook::run(line(id), config)),
            Self::SerialText(id, config) => tokio::spawn(serial_text::run(line(id), config)),
            Self::Ais(id, config) => tokio::spawn(ais::run(line(id), config)),
            Self::Frames(id, config) => tokio::spawn(frame::run(line(id), config)),
            Self::NodeLink(id, config) => {
                let wishes = shared.nodes.bus(&id);
                tokio::spawn(node_link::run(line(id), config, wishes))
            }
            Self::Folder(feed, folder) => {
                let (intake, board) = (shared.intake.clone(), shared.board.clone());
                tokio::spawn(references::watch_folder(feed, folder, intake, board, stop.clone()))
            }
            Self::Upstream(recipient, target) => {
                tokio::spawn(upstreams::run(recipient, target, upstream(), stop.clone()))
            }
            Self::Audit(target) => {
                let (journal, board) = (shared.audit.clone(), shared.board.clone());
                tokio::spawn(export::run(target, journal, board, stop.clone()))
            }
            Self::Answers(answers, tokens) => {
                tokio::spawn(upstreams::listen(answers, tokens, upstream(), stop.clone()))
            }
            Self::Operations(listen) => tokio::spawn(operations::serve(listen, shared.board.clone(), stop.clone())),
        };
        Task { part, stop, handle }
    }
}

impl Shared {
    fn line(&self, id: LineId, stop: &CancellationToken) -> Line {
        let status = Arc::new(watch::Sender::new(LineStatus::default()));
        tokio::spawn(say_status(id.clone(), status.subscribe(), self.board.clone(), stop.clone()));
        Line { id, intake: self.intake.clone(), taps: self.taps.clone(), status, stop: stop.clone() }
    }
}

/// Brings a line's own word to the board, for as long as the line is there.
async fn say_status(id: LineId, mut status: watch::Receiver<LineStatus>, board: Board, stop: CancellationToken) {
    let part = format!("line {id}");
    loop {
        let condition = match &status.borrow_and_update().state {
            LineState::Starting => Condition::Degraded("not connected yet".into()),
            LineState::Up => Condition::Well,
            LineState::Down(why) => Condition::Degraded(why.clone()),
        };
        board.say(&part, condition);
        tokio::select! {
            () = stop.cancelled() => break,
            changed = status.changed() => if changed.is_err() { break },
        }
    }
    board.remove(&part);
}
