//! The journal on disk: frames of JSON lines in append-only segments, one frame for each record of the log that says something.

use super::{
    acts::{Act, Before, GATEWAY},
    chain::{self, Head, STEP},
};
use crate::ledger::segment::{self, Active, Group};
use quaywatch_schemas::{
    Control, GatewayTime, Policy, Position, Record, Site, Stamp, Stamped, WallTime,
    audit::{Checkpoint, Entered, Entry},
    policy::PublicKey,
};
use quaywatch_sharing::signing;
use serde::Serialize;
use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// One segment is read into memory at a time.
const SEGMENT_BYTES: u64 = 1 << 20;
/// 64 MiB: some 100,000 entries, years of what people do at one gateway.
const MOST_SEGMENTS: usize = 64;
/// Entries and who made them are kept for this long, in whole segments.
const KEEP_FOR: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// Entries before a checkpoint is due whatever the time.
const UNSIGNED: u32 = 64;

/// Why the journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the audit journal in {}: {source}", folder.display())]
pub struct JournalError {
    folder: PathBuf,
    source: io::Error,
}

/// The journal, open for entering.
pub struct Journal {
    folder: PathBuf,
    secret: Zeroizing<[u8; 32]>,
    segment_bytes: u64,
    active: Active,
    /// First frames of the older segments, oldest first.
    closed: VecDeque<u64>,
    /// Number of the last frame.
    frame: u64,
    forming: Group,
    head: Head,
    last: Option<Last>,
    unsigned: u32,
    /// What opening found; entered with the next record.
    findings: Vec<Act>,
    /// The last frame on disk.
    written: watch::Sender<u64>,
    /// Everything up to here is on disk.
    through: watch::Sender<Position>,
}

/// The last entry.
#[derive(Debug, Clone, Copy)]
struct Last {
    gateway: GatewayTime,
    wall: WallTime,
    stopped: bool,
}

impl Journal {
    /// Opens or makes the journal in a folder.
    pub fn open(folder: &Path, secret: [u8; 32]) -> Result<Self, JournalError> {
        Self::with(folder, secret, SEGMENT_BYTES)
    }

    pub(super) fn with(folder: &Path, secret: [u8; 32], segment_bytes: u64) -> Result<Self, JournalError> {
        Self::opened(folder, secret, segment_bytes).map_err(|source| JournalError { folder: folder.to_owned(), source })
    }

    fn opened(folder: &Path, secret: [u8; 32], segment_bytes: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut segments = segment::list(folder)?;
        let (mut frame, mut found, mut findings) = (0, Found::default(), Vec::new());
        let newest = segments.last().cloned();
        let closed = segments.iter().rev().skip(1).rev().map(|(first, _)| *first).collect();
        let mut active = None;
        // Back to the last entry: a segment may hold nothing, or a checkpoint only.
        while let Some((first, path)) = segments.pop() {
            let scan = segment::scan(&path)?;
            let is_newest = newest.as_ref().is_some_and(|(newest, _)| *newest == first);
            let damaged = scan.damaged + if is_newest { 0 } else { scan.torn };
            if damaged > 0 {
                let act = Act::new("journal.damaged", GATEWAY, "A part of this journal could not be read.");
                findings.push(act.with("bytes", damaged).with("segment", first));
            }
            let last = scan.frames.last().map(|frame| frame.sequence);
            frame = frame.max(last.unwrap_or(if damaged > 0 { first } else { first - 1 }));
            if is_newest {
                active = Some(Active::resume(folder, first, segment_bytes, &scan)?);
            }
            if found.look_back(&scan.frames) {
                break;
            }
        }
        let active = match active {
            Some(active) => active,
            None => Active::create(folder, 1, segment_bytes)?,
        };
        let (written, through) = (watch::Sender::new(frame), watch::Sender::new(found.head.position));
        Ok(Self {
            folder: folder.to_owned(),
            secret: Zeroizing::new(secret),
            segment_bytes,
            active,
            closed,
            frame,
            forming: Group::default(),
            head: found.head,
            last: found.last,
            unsigned: found.unsigned,
            findings,
            written,
            through,
        })
    }

    /// Where it stands.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What its checkpoints are verified with.
    pub fn public_key(&self) -> PublicKey {
        signing::public_key(&self.secret)
    }

    /// For whoever exports it.
    pub fn reader(&self) -> Reader {
        let (written, through) = (self.written.subscribe(), self.through.subscribe());
        Reader { folder: self.folder.clone(), written, through, key: self.public_key() }
    }

    /// A new journal in a store that had none: what was before is not entered.
    pub fn begin_after(&mut self, position: Position) {
        if self.head.number == 0 {
            self.head.position = self.head.position.max(position);
        }
    }

    /// Compares with what another place knows of it. A journal that ends earlier was cut: its numbers are used up, and that is
    /// entered.
    pub fn expect(&mut self, known: &Head) {
        let same = self.head.number > known.number || self.head.hash == known.hash;
        if same && self.head.number >= known.number {
            return;
        }
        tracing::error!(ends_at = self.head.number, known = known.number, "the audit journal was cut or replaced");
        let what = format!(
            "This journal ended with entry {}, and the gateway had entered {}: what was between is gone.",
            self.head.number, known.number
        );
        let act = Act::new("journal.cut", GATEWAY, what).with("ended_at", self.head.number);
        self.findings.push(act.with("known", known.number).with("hash", &known.hash));
        let position = self.head.position.max(known.position);
        self.head = Head { position, ..known.clone() };
    }

    /// Takes a record of the log: what it says is entered once, however often it comes.
    pub fn take(&mut self, record: &Stamped, site: Option<&Site>, policy: Option<&Policy>, security_level: u8) {
        let stamp = &record.stamp;
        if stamp.position <= self.head.position {
            return;
        }
        let control = match &record.record {
            Record::Control(control) => Some(control),
            _ => None,
        };
        let mut acts: Vec<Act> = Vec::new();
        if control.is_some() {
            acts.append(&mut self.findings);
        }
        acts.extend(self.clock_set(stamp, matches!(control, Some(Control::Started { .. }))));
        if let Some(control) = control {
            let (stopped, wall) = self.last.map_or((false, WallTime::default()), |last| (last.stopped, last.wall));
            acts.extend(Act::of(control, &Before { site, policy, security_level, stopped, wall }));
        }
        self.enter(stamp, acts);
        if let Some(last) = self.last.as_mut().filter(|_| control.is_some()) {
            last.stopped = matches!(control, Some(Control::Stopped));
        }
    }

    /// What the wall clock did since the last entry. Within a run both clocks go alike; over a restart only a step back shows.
    fn clock_set(&self, stamp: &Stamp, started: bool) -> Option<Act> {
        let last = self.last?;
        let before = Stamp { gateway: last.gateway, wall: last.wall, ..Stamp::default() };
        let step = match started {
            true => (i128::from(stamp.wall.0) - i128::from(last.wall.0)).min(0),
            false => chain::ahead(stamp) - chain::ahead(&before),
        };
        let large = if started { step < 0 } else { step.unsigned_abs() > STEP.as_nanos() };
        large.then(|| {
            let (way, by) = (if step < 0 { "back" } else { "forward" }, chain::said(step));
            let act = Act::new("clock.set", GATEWAY, format!("The gateway's clock was set {way} by {by}."));
            act.with("nanoseconds", step).with("from", chain::wall_text(last.wall))
        })
    }

    /// Adds entries; they are one frame, so that a crash leaves all of them or none.
    fn enter(&mut self, stamp: &Stamp, acts: Vec<Act>) {
        if acts.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        for act in acts {
            let entered = chain::enter(Entry {
                number: self.head.number + 1,
                previous: self.head.hash.clone(),
                position: stamp.position.0,
                time: chain::wall_text(stamp.wall),
                gateway_time: chain::gateway_text(stamp.gateway),
                clock: stamp.quality,
                who: act.who,
                what: act.what,
                act: act.act,
                details: act.details,
            });
            self.head.number += 1;
            self.head.hash.clone_from(&entered.hash);
            lines.push(line_of(&entered));
            self.unsigned += 1;
        }
        self.head.position = stamp.position;
        self.last = Some(Last { gateway: stamp.gateway, wall: stamp.wall, stopped: false });
        self.add(&lines.join("\n"));
    }

    fn add(&mut self, lines: &str) {
        self.frame += 1;
        self.forming.add(self.frame, lines.as_bytes());
    }

    /// Signs how far it has come, if anything was entered since the last time.
    pub fn checkpoint(&mut self, stamp: &Stamp) {
        // A replay goes through times that were signed for already.
        if self.unsigned == 0 || self.last.is_some_and(|last| stamp.gateway < last.gateway) {
            return;
        }
        if let Some(act) = self.clock_set(stamp, false) {
            self.enter(stamp, vec![act]);
        }
        self.unsigned = 0;
        let checkpoint = Checkpoint {
            number: self.head.number,
            hash: self.head.hash.clone(),
            time: chain::wall_text(stamp.wall),
            gateway_time: chain::gateway_text(stamp.gateway),
        };
        let line = line_of(&chain::sign(checkpoint, &self.secret));
        self.add(&line);
    }

    /// Puts on disk what was entered. When this returns, everything up to the stamp's record is there.
    pub fn sync(&mut self, stamp: &Stamp) -> Result<(), JournalError> {
        self.write(stamp).map_err(|source| JournalError { folder: self.folder.clone(), source })?;
        self.written.send_if_modified(|frame| std::mem::replace(frame, self.frame) != self.frame);
        self.through.send_if_modified(|through| std::mem::replace(through, stamp.position) != stamp.position);
        Ok(())
    }

    fn write(&mut self, stamp: &Stamp) -> io::Result<()> {
        if self.unsigned >= UNSIGNED {
            self.checkpoint(stamp);
        }
        let Some(first) = self.forming.first() else { return Ok(()) };
        let mut outlived = None;
        if !self.active.has_room(&self.forming) {
            let next = Active::create(&self.folder, first, self.segment_bytes)?;
            let full = std::mem::replace(&mut self.active, next);
            self.closed.push_back(full.first);
            // The last word of a run is that it was stopped; the next segment may let go as well.
            let stopped = self.last.is_some_and(|last| last.stopped);
            outlived = if stopped { None } else { self.let_go(stamp)? };
        }
        self.active.append(&std::mem::take(&mut self.forming))?;
        self.active.sync()?;
        // Only once the entry that says so is on disk.
        if let Some(first) = outlived {
            fs::remove_file(segment::path_of(&self.folder, first))?;
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Enters that the oldest segment goes, if it must; returns which.
    fn let_go(&mut self, stamp: &Stamp) -> io::Result<Option<u64>> {
        let Some(&oldest) = self.closed.front() else { return Ok(None) };
        let scan = segment::scan(&segment::path_of(&self.folder, oldest))?;
        let mut found = Found::default();
        found.look_back(&scan.frames);
        let keep_from = stamp.wall.before(KEEP_FOR);
        let old = found.last.is_some_and(|last| last.wall < keep_from);
        if !old && self.closed.len() < MOST_SEGMENTS {
            return Ok(None);
        }
        let what = format!("This journal let go of its oldest entries, up to {}.", found.head.number);
        let act = Act::new("journal.trimmed", GATEWAY, what).with("through", found.head.number);
        self.enter(stamp, vec![act.with("hash", &found.head.hash).with("because", if old { "age" } else { "size" })]);
        Ok(Some(oldest))
    }
}

/// Where a journal stands, by its frames.
#[derive(Debug, Default)]
struct Found {
    head: Head,
    last: Option<Last>,
    unsigned: u32,
}

impl Found {
    /// Looks for the last entry from the end on; whether it was found. Entries behind the last checkpoint are unsigned.
    fn look_back(&mut self, frames: &[segment::Frame]) -> bool {
        for frame in frames.iter().rev() {
            let text = String::from_utf8_lossy(&frame.payload);
            let last = text.lines().rev().find_map(|line| serde_json::from_str::<Entered>(line).ok());
            let Some(Entered { entry, hash }) = last else { continue };
            self.head = Head { number: entry.number, hash, position: Position(entry.position) };
            let wall = chain::nanoseconds(&entry.time).and_then(|at| i64::try_from(at).ok());
            let gateway = chain::nanoseconds(&entry.gateway_time).and_then(|at| u64::try_from(at).ok());
            self.last = wall.zip(gateway).map(|(wall, gateway)| Last {
                gateway: GatewayTime(gateway),
                wall: WallTime(wall),
                stopped: entry.act == "gateway.stopped",
            });
            // An entry behind the last checkpoint has none; one too many signs the same number again and harms nothing.
            self.unsigned = u32::from(frames.last().is_some_and(|newest| newest.sequence == frame.sequence));
            return true;
        }
        false
    }
}

fn line_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("entries and checkpoints have no map with keys other than text")
}

/// A line of the journal: an entry or a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands, for a person.
    pub place: String,
    /// Its JSON.
    pub text: String,
}

/// All of a journal.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    /// In order.
    pub lines: Vec<Line>,
    /// What cannot be read, in words.
    pub unreadable: Vec<String>,
}

/// Reads a whole journal, also while a gateway writes it.
pub fn read_all(folder: &Path) -> Result<Whole, JournalError> {
    let error = |source| JournalError { folder: folder.to_owned(), source };
    let mut whole = Whole::default();
    let segments = segment::list(folder).map_err(error)?;
    let count = segments.len();
    for (index, (first, path)) in segments.into_iter().enumerate() {
        let scan = segment::scan(&path).map_err(error)?;
        let name = format!("{first:020}.seg");
        // What is torn at the end of the newest segment may be being written now.
        let bytes = scan.damaged + if index + 1 < count { scan.torn } else { 0 };
        if bytes > 0 {
            whole.unreadable.push(format!("{bytes} bytes of {name} are no part of a journal"));
        }
        for frame in scan.frames {
            let place = format!("{name}, frame {}", frame.sequence);
            let text = String::from_utf8_lossy(&frame.payload);
            whole.lines.extend(text.lines().map(|line| Line { place: place.clone(), text: line.into() }));
        }
    }
    Ok(whole)
}

/// What an export reads: only what is on disk.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
    written: watch::Receiver<u64>,
    through: watch::Receiver<Position>,
    key: PublicKey,
}

/// A place in the journal: frames up to here are done, and so many lines of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    pub(super) frame: u64,
    pub(super) lines: usize,
}

impl Reader {
    /// The journal's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn key(&self) -> PublicKey {
        self.key
    }

    /// Waits until there is more; `false` once the journal is closed.
    pub(super) async fn changed(&mut self) -> bool {
        self.written.changed().await.is_ok()
    }

    /// Whether a place is one it has come to.
    pub(super) fn has(&self, cursor: Cursor) -> bool {
        cursor.frame <= *self.written.borrow()
    }

    /// Whether everything that is on disk lies before a place.
    pub(super) fn is_at_end(&self, cursor: Cursor) -> bool {
        cursor.frame >= *self.written.borrow()
    }

    /// Waits until everything up to a record of the log is entered and on disk.
    pub async fn entered(&mut self, position: Position) {
        // A journal that is closed enters nothing more: whoever waits has waited long enough.
        let _ = self.through.wait_for(|through| *through >= position).await;
    }

    /// The lines after a place, each with the place after it; of one segment at most.
    pub(super) fn after(&self, cursor: Cursor) -> io::Result<Vec<(Cursor, String)>> {
        let until = *self.written.borrow();
        let segments = segment::list(&self.folder)?;
        let mut lines = Vec::new();
        for (index, (_, path)) in segments.iter().enumerate() {
            if segments.get(index + 1).is_some_and(|(next, _)| *next <= cursor.frame + 1) {
                continue;
            }
            let scan = match segment::scan(path) {
                Ok(scan) => scan,
                // It was let go of a moment ago; an entry says so.
                Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
                Err(why) => return Err(why),
            };
            for frame in scan.frames.iter().filter(|frame| frame.sequence > cursor.frame && frame.sequence <= until) {
                let text = String::from_utf8_lossy(&frame.payload);
                let count = text.lines().count();
                let done = if frame.sequence == cursor.frame + 1 { cursor.lines } else { 0 };
                for (line, text) in text.lines().enumerate().skip(done) {
                    let after = match line + 1 == count {
                        true => Cursor { frame: frame.sequence, lines: 0 },
                        false => Cursor { frame: frame.sequence - 1, lines: line + 1 },
                    };
                    lines.push((after, text.to_owned()));
                }
            }
            if !lines.is_empty() {
                break;
            }
        }
        Ok(lines)
    }
}
