//! Accepted means on disk.
//!
//! Three stores in one folder, and one rule between them:
//!
//! * the **log** (`log/`): every record, in append-only segments, one append and one `fdatasync` per group. A sender is
//!   acknowledged after that sync and never before (`writer.rs`);
//! * the **outbox** (`outbox/`): the frozen bodies of products and what became of them, in segments of the same kind
//!   (`outbox.rs`);
//! * the **state** (`state.redb`): what can be derived from the log, with the position up to which it was (`state.rs`).
//!
//! Beside them lies the audit journal (`audit/`, see [`crate::audit`]), which the pipeline makes from the log.
//!
//! After a crash the state is opened and the log replayed from its position. A torn tail is cut and counted; damage in the
//! middle is stepped over, counted and said in a record, never a reason not to start.
//!
//! Identities: at intake a person's identity becomes a keyed handle, and every private value is sealed in the copy that
//! goes to disk; the pipeline sees clear values in memory only. Keys are made for every day, and destroyed when what they
//! sealed has been kept for as long as its class may be (`keys.rs`, `days.rs`).
//!
//! **What is not promised:** a disk that lies about `fdatasync`, the loss of the disk, QoS 0 and Modbus values between two
//! polls.

mod clock;
mod days;
mod keys;
mod log;
mod outbox;
pub(crate) mod segment;
mod state;
mod writer;

pub(crate) use clock::wall_now;
pub use keys::KeysError;
pub(crate) use keys::replace;
pub use log::{LogError, LogReader};
pub use outbox::{Accounts, Class, Entry, HighWater, Lane, NewEntry, Outbox, OutboxError, Waiting};
pub use state::{Changes, Checkpoint, Held, Kept, Places, State, StateError};
pub use writer::{Next, WriterControl};

use crate::audit::{Journal, JournalError};
use keys::Keys;
use log::Log;
use quaywatch_drivers::intake::Intake;
use quaywatch_schemas::{Control, GatewayTime, Position, Record, policy::PublicKey, sealed::KeyId};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use writer::Writer;

/// Bounds of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Size of a segment. One segment is read into memory at a time.
    pub segment_bytes: u64,
    /// How long records are kept after everything they led to is accounted for.
    pub log_retention: Duration,
    /// The most log and outbox may take, half each. At the bound the oldest applied log segments go. Products may wait in
    /// half of the outbox's half; beyond it they are shed, routine before alarms, and every shed number is reported.
    pub budget_bytes: u64,
    /// Batches that may wait at the front door; beyond it senders wait, and polled values are counted as overload.
    pub intake_bound: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            log_retention: Duration::from_secs(35 * 24 * 3600),
            budget_bytes: 4 << 30,
            intake_bound: 1024,
        }
    }
}

/// An open store, not yet writing.
pub struct Opened {
    /// The front door for drivers and everything else that makes records.
    pub intake: Intake,
    /// What the one consumer of the log reads.
    pub records: mpsc::Receiver<Next>,
    /// Products on their way out.
    pub outbox: Outbox,
    /// What is derived.
    pub state: State,
    /// Who did what.
    pub journal: Option<Journal>,
    /// Steers the writer.
    pub control: WriterControl,
    /// What opening found.
    pub recovered: Recovered,
    /// Keys the ids of situations.
    pub situation_key: [u8; 32],
    /// Keys the references recipients see.
    pub reference_key: [u8; 32],
    /// Seals the file of the nodes' keys.
    pub node_key: [u8; 32],
    keys_made: Vec<KeyId>,
    writer: Writer,
    _lock: File,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Position of the last record in the log.
    pub last: Position,
    /// Records that had been applied and are not in the log any more.
    pub lost_records: u64,
    /// Bytes of a torn tail that were cut: never acknowledged.
    pub torn_bytes: u64,
    /// Bytes of damage that were stepped over: acknowledged once, gone now.
    pub damaged_bytes: u64,
    /// Whether the state could not be opened and was set aside.
    pub state_set_aside: bool,
    /// Whether a new stream epoch began, and why.
    pub new_epoch: Option<String>,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another gateway has it.
    #[error("another quaywatch already runs on {}; one store has one gateway", .0.display())]
    InUse(PathBuf),
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The keys.
    #[error("{0}")]
    Keys(#[from] keys::KeysError),
    /// The log.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The outbox.
    #[error("{0}")]
    Outbox(#[from] OutboxError),
    /// The state.
    #[error("{0}")]
    State(#[from] StateError),
    /// The audit journal.
    #[error("{0}")]
    Journal(#[from] JournalError),
}

/// Opens or creates the store in `folder`. Nothing is written to the log before [`Opened::start`].
pub fn open(folder: &Path, options: Options) -> Result<Opened, OpenError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error(folder))?;
    let lock = lock(folder)?;
    keep_ballast(folder).map_err(io_error(folder))?;
    let keys = Arc::new(Keys::open(folder, clock::wall_now())?);
    let log = Log::open(&folder.join("log"), &options)?;
    let (state, state_set_aside) = State::open(&folder.join("state.redb"), keys.clone())?;
    let found = log.found();
    // What has been applied was in the log: a log that ends before it has lost its end, and its positions are used up.
    let applied = state.checkpoint()?.map_or(Position(0), |checkpoint| checkpoint.position);
    // So was what has been entered.
    let secret = keys.audit().ok_or_else(|| KeysError::DoesNotOpen(folder.join("keys")))?;
    let journal = Journal::open(&folder.join("audit"), secret)?;
    let applied = applied.max(journal.head().position);
    let lost_records = applied.0.saturating_sub(found.last.0);
    if lost_records > 0 {
        tracing::error!(lost_records, "the log ends before what was already applied; its end is lost");
    }
    let damaged = state_set_aside || found.damaged_bytes > 0 || lost_records > 0;
    let if_new = if found.last.0 == 0 && lost_records == 0 { "a new store" } else { "the outbox was lost" };
    let (outbox, outbox_new) = Outbox::open(&folder.join("outbox"), &options, keys.clone(), if_new)?;
    let new_epoch = match (outbox_new, damaged) {
        (true, _) => Some(if_new.to_owned()),
        (false, true) => Some("a part of the store was lost".to_owned()),
        (false, false) => None,
    };
    if let Some(reason) = &new_epoch
        && !outbox_new
    {
        outbox.begin_epoch(reason)?;
    }
    let recovered = Recovered {
        last: found.last.max(applied),
        lost_records,
        torn_bytes: found.torn_bytes,
        damaged_bytes: found.damaged_bytes,
        state_set_aside,
        new_epoch,
    };
    let (intake, batches) = Intake::bounded(options.intake_bound);
    let (records_in, records) = mpsc::channel(64);
    let clock = clock::Clock::starting_after(GatewayTime(found.last_gateway.0.max(outbox.latest_concluded().0)));
    let (situation_key, reference_key, node_key) = (keys.situation(), keys.reference(), keys.node());
    let keys_made = keys.made().to_vec();
    let (writer, control) = Writer::new(log, recovered.last, outbox.clone(), keys, clock, batches, records_in, options);
    Ok(Opened {
        intake,
        records,
        outbox,
        state,
        journal: Some(journal),
        control,
        recovered,
        situation_key,
        reference_key,
        node_key,
        keys_made,
        writer,
        _lock: lock,
    })
}

impl Opened {
    /// Starts the writer: it replays the log from `from`, then takes what comes. Returns the rest of what was opened.
    pub fn start(self, from: Position) -> Started {
        let thread = self.writer.spawn(from);
        Started { control: self.control, thread, _lock: self._lock }
    }

    /// Takes the end of the log that the one consumer reads.
    pub fn take_records(&mut self) -> mpsc::Receiver<Next> {
        std::mem::replace(&mut self.records, mpsc::channel(1).1)
    }

    /// Records that say what opening found; the first that go into the log.
    pub fn findings(&self) -> Vec<Record> {
        let mut findings = Vec::new();
        let mut damage = |reason: String, bytes| findings.push(Record::Control(Control::LogDamage { reason, bytes }));
        if self.recovered.damaged_bytes > 0 {
            damage("frames in the log do not check out".into(), self.recovered.damaged_bytes);
        }
        if self.recovered.lost_records > 0 {
            damage(format!("the last {} records that were applied are gone", self.recovered.lost_records), 0);
        }
        if let Some(reason) = &self.recovered.new_epoch {
            findings.push(Record::Control(Control::EpochBegan { epoch: self.outbox.epoch(), reason: reason.clone() }));
        }
        findings.extend(self.keys_made.iter().map(|key| Record::Control(Control::KeyMade { key: key.0 })));
        findings
    }
}

/// A writing store.
pub struct Started {
    control: WriterControl,
    thread: std::thread::JoinHandle<()>,
    _lock: File,
}

impl Started {
    /// Takes what already waits at the front door, syncs it and ends the writer. Blocks.
    pub fn stop(self) {
        self.control.stop();
        if self.thread.join().is_err() {
            tracing::error!("the ledger's writer ended in a panic");
        }
    }
}

/// Opens the state of a store that no gateway runs on.
pub fn read_state(folder: &Path) -> Result<State, OpenError> {
    let _lock = lock(folder)?;
    let keys = Arc::new(Keys::read(folder)?);
    Ok(State::open(&folder.join("state.redb"), keys)?.0)
}

/// Reads a store's log from its first record, also while a gateway runs on it.
pub fn read_log(folder: &Path) -> Result<LogReader, OpenError> {
    let keys = Arc::new(Keys::read(folder)?);
    Ok(LogReader::open(&folder.join("log"), keys)?)
}

/// What a store's audit checkpoints are verified with; `None` before a gateway of this version has opened it.
pub fn audit_key(folder: &Path) -> Result<Option<PublicKey>, OpenError> {
    Ok(Keys::read(folder)?.audit().map(|secret| quaywatch_sharing::signing::public_key(&secret)))
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| OpenError::Io { path, source })?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| OpenError::InUse(folder.to_owned()))?;
    Ok(file)
}

/// Space set aside for the day the disk is full: redb needs some to delete anything. See `drop_ballast`.
const BALLAST_BYTES: u64 = 6 << 20;

fn keep_ballast(folder: &Path) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("ballast"))?;
    if file.metadata()?.len() >= BALLAST_BYTES {
        return Ok(());
    }
    // On a disk that is full already there is nothing to set aside; the store must start all the same.
    let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES);
    Ok(())
}

/// Gives the ballast's space back when a write found no space left.
fn drop_ballast(folder: &Path) {
    if fs::remove_file(folder.join("ballast")).is_ok() {
        tracing::error!(folder = %folder.display(), "the disk is full; the ballast was given up so that the store can recover");
    }
}

#[cfg(test)]
mod tests;
