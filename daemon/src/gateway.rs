//! Starts, reloads and stops everything.
//!
//! The order matters. At the start: the files are read, the store is opened, the pipeline picks up where its checkpoint
//! stands, what changed while we were away becomes records, and only then do lines and upstreams start. At the end: lines stop
//! first, then the ledger syncs what waits at its door, the pipeline decides it, and upstreams stop last.

mod admission;
mod operations;
mod parts;

use crate::{
    acts::Used,
    admin,
    commands::Files,
    config::{self, SharingFile, SiteFile, Wiring},
    health::{Board, Condition},
    ledger,
    nodes::{Nodes, Registry},
    pipeline::{self, Pipeline},
    telemetry, upstreams,
};
use admission::Admission;
use arc_swap::ArcSwap;
use parts::{Running, Shared};
use quaywatch_drivers::{intake::Intake, tap::Taps};
use quaywatch_schemas::{Control, LineId, Record, SensorId, control::OperatorAct};
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The two files and the credentials.
    pub files: Files,
    /// The store.
    pub state: PathBuf,
    /// The admin socket.
    pub admin: PathBuf,
}

/// Why a gateway did not start or could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(pub String);

/// Runs until stopped. `ready` is called once everything that was recorded is decided again and all lines are started.
pub async fn run(options: Options, stop: CancellationToken, ready: impl FnOnce()) -> Result<(), GatewayError> {
    // Before anybody can see that it runs: a SIGHUP that nobody waits for ends the process.
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
    let read = Read::all(&options.files).map_err(GatewayError)?;
    // The recorder must be there before the first counter is.
    let _ = telemetry::metrics();
    let board = Board::default();
    let store = ledger::Options {
        log_retention: read.site.log_retention,
        budget_bytes: read.site.budget_bytes,
        ..ledger::Options::default()
    };
    let state_folder = options.state.clone();
    let mut opened = blocking(move || ledger::open(&state_folder, store)).await?.map_err(cannot)?;
    let recovered = opened.recovered.clone();
    tracing::info!(records = recovered.last.0, torn_bytes = recovered.torn_bytes, "the store is open");
    if recovered.state_set_aside {
        tracing::error!("the state could not be read and was set aside; it is being rebuilt from the log");
    }
    let (registry, damaged_registry) = Registry::open(&options.state, opened.node_key).map_err(cannot)?;
    if let Some(aside) = damaged_registry {
        let why = format!("the keys of enrolled nodes could not be read and are set aside as {}", aside.display());
        tracing::error!("{why}; enrol these nodes again");
        board.say("node keys", Condition::Degraded(format!("{why}; enrol these nodes again, then remove that file")));
    }
    let findings = opened.findings();
    let (intake, outbox, state) = (opened.intake.clone(), opened.outbox.clone(), opened.state.clone());
    let journal = opened.journal.take().ok_or_else(|| cannot("the store was opened without its audit journal"))?;
    let audit = journal.reader();
    let (writer, reference_key) = (opened.control.clone(), opened.reference_key);
    let (pipeline, from) = Pipeline::resume(pipeline::Parts {
        outbox: outbox.clone(),
        state: state.clone(),
        journal,
        writer: writer.clone(),
        situation_key: opened.situation_key,
        reference_key,
        board: board.clone(),
    })
    .map_err(cannot)?;
    let used = Arc::new(Used::open(&options.state));
    let (picture, learned, dead_letters) = (pipeline.picture(), pipeline.learned(), pipeline.dead_letters());
    let admission = Admission::new(&options.state, picture.clone(), board.clone());
    let read = read.at_start(&admission, &options.files).map_err(GatewayError)?;
    let records = opened.take_records();
    let ledger = opened.start(from);
    let (pipeline_done, mut pipeline_ended) = oneshot::channel();
    let pipeline = std::thread::Builder::new()
        .name("pipeline".into())
        .spawn(move || {
            let _ = pipeline_done.send(pipeline.run(records));
        })
        .map_err(cannot)?;

    let mut started = vec![Record::Control(Control::Started { build: build(), boot: random()? })];
    started.extend(findings);
    started.extend(read.controls());
    let first = tokio::select! {
        first = intake.store(started) => first.map_err(cannot),
        () = stop.cancelled() => Err(GatewayError("asked to stop before the store could be written".into())),
    };

    let taps = Taps::default();
    let (reload_in, mut reloads) = mpsc::channel::<oneshot::Sender<Result<String, String>>>(4);
    let (rekey, mut rekeyed) = mpsc::channel::<oneshot::Sender<()>>(4);
    let background = CancellationToken::new();
    let nodes = Nodes::new(registry, intake.clone(), board.clone(), rekey, background.clone());
    let sensors = Arc::new(ArcSwap::from_pointee(read.sensors()));
    let known = sensors.clone();
    let admin = admin::Admin {
        intake: intake.clone(),
        taps: taps.clone(),
        state: state.clone(),
        picture: picture.clone(),
        reference_key,
        board: board.clone(),
        learned,
        reload: reload_in,
        nodes: nodes.clone(),
        used,
        sensors: Arc::new(move |sensor: &SensorId| known.load().contains(sensor)),
        dead_letters: Arc::new(move |line: Option<&LineId>| {
            let letters = dead_letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            letters
                .iter()
                .filter(|(of, _)| line.is_none_or(|line| line == of))
                .map(|(_, words)| words.clone())
                .collect()
        }),
    };
    let shared = Shared {
        intake: intake.clone(),
        taps,
        board: board.clone(),
        nodes: nodes.clone(),
        upstream: upstreams::Parts {
            outbox,
            state,
            intake: intake.clone(),
            picture,
            board: board.clone(),
            reference_key,
        },
        audit,
    };
    let admin = tokio::spawn(admin::serve(admin, options.admin, background.clone()));
    let watch = tokio::spawn(watch_ledger(writer, board.clone(), background.clone()));

    let node_watch = tokio::spawn(nodes.watch());

    let mut running = Running::default();
    let outcome = match first {
        Err(why) => Err(why),
        Ok(_) => {
            let mut wiring = read.wiring.clone();
            running.change_to(wiring.clone(), &shared).await;
            board.say("files", Condition::Well);
            admission.took(&read.sharing);
            ready();
            loop {
                let answer = tokio::select! {
                    () = stop.cancelled() => break Ok(()),
                    ended = &mut pipeline_ended => break Err(why_ended(ended, &board)),
                    _ = hangup.recv() => None,
                    Some(answer) = reloads.recv() => Some(answer),
                    Some(done) = rekeyed.recv() => {
                        running.change_to(wiring.clone(), &shared).await;
                        let _ = done.send(());
                        continue;
                    }
                };
                let said = reload(&options.files, &admission, &shared, (&mut running, &mut wiring), &sensors).await;
                match answer {
                    Some(answer) => drop(answer.send(said)),
                    None => record_hangup(&intake, said).await,
                }
            }
        }
    };

    running.stop_lines().await;
    drop(shared);
    if outcome.is_ok()
        && let Err(why) = intake.store(vec![Record::Control(Control::Stopped)]).await
    {
        tracing::error!(%why, "the stop could not be recorded");
    }
    let _ = blocking(move || ledger.stop()).await;
    let _ = blocking(move || pipeline.join()).await;
    let outcome = match (outcome, pipeline_ended.try_recv()) {
        (Ok(()), Ok(Err(why))) => Err(cannot(why)),
        (outcome, _) => outcome,
    };
    running.stop_all().await;
    background.cancel();
    let (_, _) = (watch.await, node_watch.await);
    if let Ok(Err(why)) = admin.await {
        tracing::warn!(%why, "the admin socket could not be served");
    }
    outcome
}

/// The two files and what they lead to.
struct Read {
    site: SiteFile,
    sharing: SharingFile,
    wiring: Wiring,
}

impl Read {
    fn all(files: &Files) -> Result<Self, String> {
        let problems = |problems: config::Problems| problems.to_string();
        let site = config::load_site(&files.site).map_err(problems)?;
        let sharing = config::load_sharing(&files.sharing, &site).map_err(problems)?;
        let wiring = config::wire(&site, &sharing, &files.credentials).map_err(problems)?;
        Ok(Self { site, sharing, wiring })
    }

    /// With a sharing file that may take effect: this one, or the last one that was taken.
    fn at_start(self, admission: &Admission, files: &Files) -> Result<Self, String> {
        let sharing = admission.at_start(self.sharing, &self.site)?;
        let wiring = config::wire(&self.site, &sharing, &files.credentials).map_err(|problems| problems.to_string())?;
        Ok(Self { site: self.site, sharing, wiring })
    }

    /// If its sharing file may take effect.
    fn admitted(self, admission: &Admission) -> Result<Self, String> {
        let name = self.sharing.name().to_owned();
        let sharing = admission.admit(self.sharing, &self.site).map_err(|why| format!("{name}: {why}"))?;
        Ok(Self { sharing, ..self })
    }

    fn controls(&self) -> [Record; 2] {
        [
            Record::Control(Control::SiteApplied { site: Box::new(self.site.site.clone()), digest: self.site.digest }),
            Record::Control(Control::PolicyApplied {
                policy: Box::new(self.sharing.policy.clone()),
                digest: self.sharing.digest,
            }),
        ]
    }

    fn sensors(&self) -> BTreeSet<SensorId> {
        self.site.site.sensors.keys().cloned().collect()
    }
}

/// The pipeline enters within milliseconds; one that is far behind does not hold up a reload: the entry waits for the next
/// recipient then.
const ENTERED_WITHIN: Duration = Duration::from_secs(5);

/// Reads the files again. Bad files leave everything as it is and are named in health until good ones are read.
async fn reload(
    files: &Files,
    admission: &Admission,
    shared: &Shared,
    (running, wiring): (&mut Running, &mut Wiring),
    sensors: &ArcSwap<BTreeSet<SensorId>>,
) -> Result<String, String> {
    let for_reading = files.clone();
    let read = blocking(move || Read::all(&for_reading)).await.map_err(|why| why.to_string()).and_then(|read| read);
    let read = match read.and_then(|read| read.admitted(admission)) {
        Ok(read) => read,
        Err(why) => {
            tracing::error!(why, "the files were not applied; the gateway goes on with the ones it has");
            shared.board.say("files", Condition::Degraded(format!("not applied: {why}")));
            return Err(why);
        }
    };
    // First the record, then the lines: what a new line says must find its sensor in force.
    let stored = shared.intake.store(read.controls().into()).await.map_err(|why| why.to_string())?;
    // And before the export can be switched off, what was changed is in the journal for whoever gets it now.
    let _ = tokio::time::timeout(ENTERED_WITHIN, shared.audit.clone().entered(stored.last)).await;
    sensors.store(Arc::new(read.sensors()));
    admission.took(&read.sharing);
    *wiring = read.wiring;
    let changes = running.change_to(wiring.clone(), shared).await;
    shared.board.say("files", Condition::Well);
    let said = format!("applied {} and {}: {changes}", files.site.display(), files.sharing.display());
    tracing::info!("{said}");
    Ok(said)
}

async fn record_hangup(intake: &Intake, said: Result<String, String>) {
    let outcome = match said {
        Ok(said) | Err(said) => said,
    };
    let act = Control::OperatorAct { by: "SIGHUP".into(), act: OperatorAct::Reloaded { outcome } };
    if let Err(why) = intake.store(vec![Record::Control(act)]).await {
        tracing::error!(%why, "the reload could not be recorded");
    }
}

/// Says how the ledger is, and feeds systemd's watchdog for as long as the ledger's writer goes round.
async fn watch_ledger(writer: ledger::WriterControl, board: Board, stop: CancellationToken) {
    let mut failed = writer.failed();
    let mut beats = u64::MAX;
    let every = sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |limit| limit / 3);
    loop {
        let condition = failed.borrow_and_update().clone().map_or(Condition::Well, Condition::Failed);
        board.say("ledger", condition);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = failed.changed() => if changed.is_err() { return wait_for(stop).await },
            () = tokio::time::sleep(every) => {
                let now = writer.beats();
                if std::mem::replace(&mut beats, now) != now {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
            }
        }
    }
}

async fn wait_for(stop: CancellationToken) {
    stop.cancelled().await;
}

fn why_ended(
    ended: Result<Result<(), pipeline::PipelineError>, oneshot::error::RecvError>,
    board: &Board,
) -> GatewayError {
    match ended {
        Ok(Err(why)) => cannot(why),
        _ => match board.picture().parts.remove("ledger") {
            Some(Condition::Failed(why)) => GatewayError(format!("the ledger cannot store any more: {why}")),
            _ => GatewayError("the ledger's writer or the pipeline ended unasked".into()),
        },
    }
}

fn build() -> String {
    concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into()
}

fn random() -> Result<[u8; 16], GatewayError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|why| GatewayError(format!("no randomness from the system: {why}")))?;
    Ok(bytes)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, GatewayError> {
    tokio::task::spawn_blocking(work).await.map_err(cannot)
}

fn cannot(error: impl std::fmt::Display) -> GatewayError {
    GatewayError(error.to_string())
}
