//! The one thread that writes the log, and the only one that stamps time.
//!
//! It commits at once when it is idle; what arrives during a running sync is the next group. Senders get their receipt
//! after the sync; the pipeline gets the records after that, in the log's order, and a tick when a deadline it asked for is
//! due and nothing else told it the time.

use super::{
    Options,
    clock::Clock,
    drop_ballast,
    keys::Keys,
    log::{self, Log, LogReader, Mark, SyncFailed},
    outbox::Outbox,
    segment::Group,
};
use quaywatch_drivers::intake::{Batch, Committed};
use quaywatch_schemas::{
    Control, GatewayTime, Position, Record, Stamp, Stamped, WallTime, policy::Retention, time::ClockQuality,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// What the one consumer of the log is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Records that are on disk.
    Records(Vec<Stamped>),
    /// Time passed; the position is that of the last record.
    Tick(Stamp),
}

/// Steers the writer.
#[derive(Debug, Clone)]
pub struct WriterControl {
    wake: Arc<watch::Sender<Option<GatewayTime>>>,
    stop: Arc<watch::Sender<bool>>,
    failed: watch::Receiver<Option<String>>,
    applied: Arc<AtomicU64>,
    beat: Arc<AtomicU64>,
    clock: Arc<Clock>,
}

impl WriterControl {
    /// Asks for a tick once this time has come; `None` asks for none.
    pub fn wake_at(&self, due: Option<GatewayTime>) {
        self.wake.send_if_modified(|wake| std::mem::replace(wake, due) != due);
    }

    /// Says up to which position the state has applied the log: older segments may go.
    pub fn applied(&self, position: Position) {
        self.applied.store(position.0, Ordering::Relaxed);
    }

    /// Why nothing can be stored, for as long as that is so.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// How often the writer went round: a writer that hangs in a sync stands still.
    pub fn beats(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// Both clocks now.
    pub fn now(&self) -> (GatewayTime, WallTime, ClockQuality) {
        (self.clock.now(), self.clock.wall(), self.clock.quality())
    }

    /// Lets time pass on both clocks.
    #[cfg(test)]
    pub(super) fn let_pass(&self, time: Duration) {
        self.clock.passed.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// The writer before it has a thread.
pub(super) struct Writer {
    log: Log,
    outbox: Outbox,
    written: Written,
    keys: Arc<Keys>,
    clock: Arc<Clock>,
    batches: mpsc::Receiver<Batch>,
    records: mpsc::Sender<Next>,
    wake: watch::Receiver<Option<GatewayTime>>,
    stop: watch::Receiver<bool>,
    failed: watch::Sender<Option<String>>,
    applied: Arc<AtomicU64>,
    beat: Arc<AtomicU64>,
    options: Options,
    last: Position,
    served: Option<GatewayTime>,
    /// How long values about persons are kept, once this run knows it.
    retention: Option<Retention>,
    /// Nothing is destroyed before the state has been written past here: it is sealed with newer keys then.
    kept_after: Option<Position>,
    /// When to look at the calendar again.
    look_at: GatewayTime,
}

/// Batches that become one group.
const MOST_BATCHES: usize = 512;
/// A beat even when nothing happens, so that the watchdog can tell idle from stuck. Two wake-ups a minute.
const IDLE_BEAT: Duration = Duration::from_secs(10);
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Days turn on the beat: a look costs two readings of a clock.
const LOOK_AT_CALENDAR: Duration = IDLE_BEAT;

impl Writer {
    #[expect(clippy::too_many_arguments, reason = "the parts of one store, put together in one place")]
    pub(super) fn new(
        log: Log,
        last: Position,
        outbox: Outbox,
        keys: Arc<Keys>,
        clock: Clock,
        batches: mpsc::Receiver<Batch>,
        records: mpsc::Sender<Next>,
        options: Options,
    ) -> (Self, WriterControl) {
        let (wake_in, wake) = watch::channel(None);
        let (stop_in, stop) = watch::channel(false);
        let (failed_in, failed) = watch::channel(None);
        let clock = Arc::new(clock);
        let (applied, beat) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let control = WriterControl {
            wake: Arc::new(wake_in),
            stop: Arc::new(stop_in),
            failed,
            applied: applied.clone(),
            beat: beat.clone(),
            clock: clock.clone(),
        };
        let writer = Self {
            log,
            outbox,
            written: Written::default(),
            keys,
            clock,
            batches,
            records,
            wake,
            stop,
            failed: failed_in,
            applied,
            beat,
            options,
            last,
            served: None,
            retention: None,
            kept_after: None,
            look_at: GatewayTime(0),
        };
        (writer, control)
    }

    pub(super) fn spawn(self, from: Position) -> JoinHandle<()> {
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime.expect("a runtime without IO needs nothing from the system").block_on(self.run(from));
            })
            .expect("a process can start its first threads")
    }

    async fn run(mut self, from: Position) {
        if self.replay(from).await.is_err() {
            return;
        }
        loop {
            self.beat.fetch_add(1, Ordering::Relaxed);
            if self.turn_day().await.is_err() {
                return;
            }
            let woken = self.next().await;
            let went_on = match woken {
                Woken::Batch(batch) => self.take(batch).await,
                Woken::Due => self.tick().await,
                Woken::Nothing => Ok(()),
                Woken::Stop => {
                    self.batches.close();
                    while let Ok(batch) = self.batches.try_recv() {
                        if self.take(batch).await.is_err() {
                            break;
                        }
                    }
                    return;
                }
            };
            if went_on.is_err() {
                return;
            }
        }
    }

    /// Everything that can wake the writer.
    async fn next(&mut self) -> Woken {
        let asked = *self.wake.borrow_and_update();
        let due = asked.filter(|_| asked != self.served).map(|at| self.clock.instant_of(at));
        let beat = Instant::now() + IDLE_BEAT;
        tokio::select! {
            biased;
            stopped = self.stop.wait_for(|stop| *stop) => { let _ = stopped; Woken::Stop }
            batch = self.batches.recv() => batch.map_or(Woken::Stop, Woken::Batch),
            () = tokio::time::sleep_until(due.unwrap_or(beat).into()) => if due.is_some() { Woken::Due } else { Woken::Nothing },
            _ = self.wake.changed() => Woken::Nothing,
        }
    }

    /// Makes and destroys keys when a day has turned. Each is recorded before it is done; a power cut between the two
    /// leads to the same again, under the same or the next number.
    async fn turn_day(&mut self) -> Result<(), Ended> {
        let now = self.clock.now();
        if now < self.look_at {
            return Ok(());
        }
        self.look_at = now.after(LOOK_AT_CALENDAR);
        let applied = Position(self.applied.load(Ordering::Relaxed));
        let may_destroy = self.kept_after.is_some_and(|after| applied >= after);
        let retention = self.retention.filter(|_| may_destroy);
        let turn = match self.keys.turn((now, self.clock.wall()), retention.as_ref()) {
            Ok(Some(turn)) => turn,
            Ok(None) => return Ok(()),
            Err(why) => {
                tracing::error!(%why, "the keys of a new day cannot be made; those of the day before go on sealing");
                return Ok(());
            }
        };
        let made = turn.made.iter().map(|key| Control::KeyMade { key: key.0 });
        let destroyed = turn.destroyed.iter().map(|key| Control::KeyDestroyed { key: key.0 });
        let records: Vec<Record> = made.chain(destroyed).map(Record::Control).collect();
        let makes = !turn.made.is_empty();
        if !turn.destroyed.is_empty() {
            tracing::info!(keys = turn.destroyed.len(), "retention has ended for some days; destroying their keys");
        }
        if !records.is_empty() {
            self.take(Batch { records, delivery: None, receipt: None }).await?;
        }
        if let Err(why) = self.keys.carry_out(turn) {
            tracing::error!(%why, "the key file could not be rewritten; what is due is not destroyed yet");
        } else if makes {
            self.kept_after = Some(self.last);
        }
        Ok(())
    }

    /// Sends what the state has not applied yet.
    async fn replay(&mut self, from: Position) -> Result<(), Ended> {
        let reader = match LogReader::from(self.log.folder(), from, self.keys.clone()) {
            Ok(reader) => reader,
            Err(why) => return self.give_up(why.to_string()),
        };
        let mut chunk = Vec::new();
        for record in reader {
            match record {
                Ok(record) => chunk.push(record),
                Err(why) => return self.give_up(why.to_string()),
            }
            if chunk.len() == MOST_BATCHES {
                self.send(Next::Records(std::mem::take(&mut chunk))).await?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { self.send(Next::Records(chunk)).await }
    }

    async fn take(&mut self, first: Batch) -> Result<(), Ended> {
        let mut group = Forming::default();
        self.add(&mut group, first);
        while group.batches < MOST_BATCHES {
            let Ok(batch) = self.batches.try_recv() else { break };
            self.add(&mut group, batch);
        }
        if !group.frames.is_empty() {
            self.commit(&group).await?;
        }
        for (receipt, last) in group.receipts {
            let _ = receipt.send(Committed { last });
        }
        if group.records.is_empty() { Ok(()) } else { self.send(Next::Records(group.records)).await }
    }

    /// Stamps a batch and adds it to the group, unless it is a repeat.
    fn add(&mut self, group: &mut Forming, batch: Batch) {
        group.batches += 1;
        let mut mark = batch.delivery.as_ref().map(|delivery| Mark {
            session: u64::from_le_bytes(
                blake3::hash(delivery.session.as_bytes()).as_bytes()[..8].try_into().expect("a hash has 32 bytes"),
            ),
            digest: delivery.digest,
        });
        let repeated = batch.delivery.is_some_and(|delivery| delivery.repeated)
            && mark.is_some_and(|mark| self.log.repeats.delivered_before(&mark));
        for mut record in batch.records {
            if repeated || self.log.repeats.said_before(&record) {
                metrics::counter!("quaywatch_repeats_total").increment(1);
                continue;
            }
            self.last.0 += 1;
            let stamp = Stamp {
                position: self.last,
                gateway: self.clock.now(),
                wall: self.clock.wall(),
                quality: self.clock.quality(),
            };
            if let Record::Control(Control::PolicyApplied { policy, .. }) = &record {
                self.retention = Some(policy.retention);
                self.kept_after = Some(self.last).max(self.kept_after);
            }
            let mark = mark.take();
            self.log.repeats.remember(mark, &record);
            self.keys.make_handles(&mut record);
            let mut at_rest = Stamped { stamp, record: record.clone() };
            self.keys.seal_record(&mut at_rest.record);
            group.first.get_or_insert(stamp.position);
            group.wall = stamp.wall;
            group.frames.add(stamp.position.0, &log::encode(mark, &at_rest));
            group.observations += u64::from(matches!(record, Record::Observation(_)));
            group.records.push(Stamped { stamp, record });
        }
        if let Some(receipt) = batch.receipt {
            group.receipts.push((receipt, self.last));
        }
    }

    /// Puts a group on disk. A full disk is waited for, with nobody acknowledged meanwhile; a failed sync is the end.
    async fn commit(&mut self, group: &Forming) -> Result<(), Ended> {
        let first = group.first.expect("a group with frames has a first record");
        loop {
            let began = Instant::now();
            match self.log.commit(first, &group.frames, group.wall) {
                Ok(()) => {
                    self.failed.send_if_modified(|failed| failed.take().is_some());
                    self.count(group, began.elapsed());
                    self.trim(group.wall);
                    return Ok(());
                }
                Err(why) if is_full(&why) => {
                    if let Some(folder) = self.log.folder().parent() {
                        drop_ballast(folder);
                    }
                    self.failed.send_replace(Some(format!("the disk is full: {why}; senders are not acknowledged")));
                    self.trim(group.wall);
                    let stopped = tokio::time::timeout(TRY_AGAIN, self.stop.wait_for(|stop| *stop)).await;
                    if stopped.is_ok() {
                        return Err(Ended);
                    }
                }
                Err(why) => return self.give_up(why.to_string()),
            }
        }
    }

    fn count(&mut self, group: &Forming, sync: Duration) {
        metrics::counter!("quaywatch_log_bytes_written_total").increment(group.frames.len() as u64);
        metrics::counter!("quaywatch_log_records_total").increment(group.records.len() as u64);
        metrics::counter!("quaywatch_log_observations_total").increment(group.observations);
        metrics::counter!("quaywatch_log_syncs_total").increment(1);
        metrics::histogram!("quaywatch_log_sync_seconds").record(sync.as_secs_f64());
        self.written.count(group.observations);
    }

    fn trim(&mut self, now: WallTime) {
        let applied = Position(self.applied.load(Ordering::Relaxed));
        // Kept, too, for as long as anything it led to waits for its recipient.
        let retained = now.before(self.options.log_retention);
        let keep_from = self.outbox.oldest_waiting().map_or(retained, |oldest| oldest.min(retained));
        if let Err(why) = self.log.trim(applied, keep_from, self.options.budget_bytes / 2) {
            tracing::warn!(%why, "an old log segment could not be removed");
        }
    }

    async fn tick(&mut self) -> Result<(), Ended> {
        let stamp = Stamp {
            position: self.last,
            gateway: self.clock.now(),
            wall: self.clock.wall(),
            quality: self.clock.quality(),
        };
        // The pipeline fires everything due up to the tick and then asks anew; until it does, this request is served.
        self.served = *self.wake.borrow();
        self.send(Next::Tick(stamp)).await
    }

    async fn send(&self, next: Next) -> Result<(), Ended> {
        self.records.send(next).await.map_err(|_| Ended)
    }

    fn give_up(&self, why: String) -> Result<(), Ended> {
        tracing::error!(why, "the ledger cannot store any more; nothing is acknowledged from here on");
        self.failed.send_replace(Some(why));
        Err(Ended)
    }
}

/// The writer's thread is to end.
#[derive(Debug)]
struct Ended;

enum Woken {
    Batch(Batch),
    Due,
    Nothing,
    Stop,
}

/// A group while it forms.
#[derive(Default)]
struct Forming {
    batches: usize,
    frames: Group,
    first: Option<Position>,
    wall: WallTime,
    observations: u64,
    records: Vec<Stamped>,
    receipts: Vec<(oneshot::Sender<Committed>, Position)>,
}

/// What storing an observation costs the disk: everything the process wrote (log, outbox, state) by the number stored, as
/// the kernel counts it. Looked up seldom: it is a file in `/proc`.
#[derive(Debug, Default)]
struct Written {
    observations: u64,
    looked: Option<(Instant, u64)>,
}

const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Written {
    fn count(&mut self, observations: u64) {
        self.observations += observations;
        match self.looked {
            None => self.looked = bytes_written().map(|bytes| (Instant::now(), bytes)),
            Some((when, began)) if when.elapsed() >= LOOK_AGAIN && self.observations > 0 => {
                if let Some(bytes) = bytes_written() {
                    let each = bytes.saturating_sub(began) as f64 / self.observations as f64;
                    metrics::gauge!("quaywatch_bytes_written_per_observation").set(each);
                }
                self.looked = Some((Instant::now(), began));
            }
            Some(_) => {}
        }
    }
}

/// Bytes this process caused to be written to storage, by `/proc/self/io` (proc(5)); `None` where that is not to be had.
fn bytes_written() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?;
    line.trim().parse().ok()
}

fn is_full(error: &io::Error) -> bool {
    let sync_failed = error.get_ref().is_some_and(|inner| inner.is::<SyncFailed>());
    !sync_failed && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
