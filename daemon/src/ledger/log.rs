//! The log: where records are, and what opening it finds.
//!
//! A frame's payload is `flags(1) [session u64, digest 16] record`: the delivery a batch came with stands before its first
//! record, so that a repeat can be told from a thing said twice also after a restart.

use super::{
    Options,
    keys::Keys,
    segment::{self, Active, Group},
};
use quaywatch_drivers::intake::DELIVERIES_REMEMBERED;
use quaywatch_schemas::{GatewayTime, Position, Record, SensorId, Stamped, WallTime, observation::SourceId};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the log in {}: {source}", folder.display())]
pub struct LogError {
    folder: PathBuf,
    pub(super) source: io::Error,
}

/// A delivery as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) session: u64,
    pub(super) digest: [u8; 16],
}

/// What opening found.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) last: Position,
    pub(super) last_gateway: GatewayTime,
    pub(super) torn_bytes: u64,
    pub(super) damaged_bytes: u64,
}

/// The log, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    active: Active,
    /// Every older segment: its first position and the wall time of its last record.
    closed: VecDeque<(u64, WallTime)>,
    last_wall: WallTime,
    found: Found,
    pub(super) repeats: Repeats,
    segment_bytes: u64,
}

impl Log {
    pub(super) fn open(folder: &Path, options: &Options) -> Result<Self, LogError> {
        let error = |source| LogError { folder: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(error)?;
        let segments = segment::list(folder).map_err(error)?;
        let mut found = Found::default();
        let mut repeats = Repeats::default();
        let mut closed = VecDeque::new();
        let mut last_wall = WallTime::default();
        let mut active = None;
        let count = segments.len();
        for (index, (first, path)) in segments.into_iter().enumerate() {
            let newest = index + 1 == count;
            // Only the newest two segments hold what the repeat horizons need; of older ones nothing is read here.
            if index + 2 < count {
                closed.push_back((first, modified(&path).map_err(error)?));
                continue;
            }
            let scan = segment::scan(&path).map_err(error)?;
            found.damaged_bytes += scan.damaged + if newest { 0 } else { scan.torn };
            found.torn_bytes += if newest { scan.torn } else { 0 };
            for frame in &scan.frames {
                let Some((mark, record)) = decode(&frame.payload) else { continue };
                found.last = Position(frame.sequence);
                found.last_gateway = record.stamp.gateway;
                last_wall = record.stamp.wall;
                repeats.remember(mark, &record.record);
            }
            if newest {
                active = Some(Active::resume(folder, first, options.segment_bytes, &scan).map_err(error)?);
            } else {
                closed.push_back((first, last_wall));
            }
        }
        let active = match active {
            Some(active) => active,
            None => Active::create(folder, 1, options.segment_bytes).map_err(error)?,
        };
        // A newest segment without one good frame still says by its name where the log stands.
        found.last = found.last.max(Position(active.first - 1));
        if found.torn_bytes > 0 {
            tracing::warn!(bytes = found.torn_bytes, "cut a torn tail off the log; nobody was told it was stored");
        }
        if found.damaged_bytes > 0 {
            tracing::error!(bytes = found.damaged_bytes, "the log is damaged; stepped over what does not check out");
        }
        let folder = folder.to_owned();
        Ok(Self { folder, active, closed, last_wall, found, repeats, segment_bytes: options.segment_bytes })
    }

    pub(super) fn found(&self) -> Found {
        self.found.clone()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends and syncs: when this returns, the group is on disk.
    pub(super) fn commit(&mut self, first: Position, group: &Group, wall: WallTime) -> io::Result<()> {
        if !self.active.has_room(group) {
            let next = Active::create(&self.folder, first.0, self.segment_bytes)?;
            let full = std::mem::replace(&mut self.active, next);
            self.closed.push_back((full.first, self.last_wall));
        }
        self.active.append(group)?;
        self.active.sync().map_err(|e| io::Error::other(SyncFailed(e)))?;
        self.last_wall = wall;
        Ok(())
    }

    /// Removes segments of which every record has been applied, if they are older than `keep_from` or more than `budget`
    /// bytes of log are held.
    pub(super) fn trim(&mut self, applied: Position, keep_from: WallTime, budget: u64) -> io::Result<()> {
        while let Some(&(first, newest)) = self.closed.front() {
            let next_first = self.closed.get(1).map_or(self.active.first, |(first, _)| *first);
            let held = (self.closed.len() as u64 + 1) * self.segment_bytes;
            if next_first > applied.0 + 1 || (newest >= keep_from && held <= budget) {
                break;
            }
            fs::remove_file(segment::path_of(&self.folder, first))?;
            self.closed.pop_front();
        }
        Ok(())
    }
}

/// A sync that failed: what the kernel still holds is unknown, so nothing may be acknowledged ever after.
#[derive(Debug, thiserror::Error)]
#[error("fdatasync failed: {0}")]
pub(super) struct SyncFailed(io::Error);

fn modified(path: &Path) -> io::Result<WallTime> {
    let since = fs::metadata(path)?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(WallTime(since.as_nanos().min(i64::MAX as u128) as i64))
}

pub(super) fn encode(mark: Option<Mark>, record: &Stamped) -> Vec<u8> {
    let mut payload = vec![u8::from(mark.is_some())];
    if let Some(mark) = mark {
        payload.extend_from_slice(&mark.session.to_le_bytes());
        payload.extend_from_slice(&mark.digest);
    }
    payload.extend(record.to_bytes());
    payload
}

fn decode(payload: &[u8]) -> Option<(Option<Mark>, Stamped)> {
    let (flags, rest) = payload.split_first()?;
    let (mark, rest) = match flags {
        0 => (None, rest),
        1 => {
            let (mark, rest) = rest.split_at_checked(24)?;
            let session = u64::from_le_bytes(mark[..8].try_into().ok()?);
            (Some(Mark { session, digest: mark[8..].try_into().ok()? }), rest)
        }
        _ => return None,
    };
    Some((mark, Stamped::from_bytes(rest)?))
}

/// What was accepted lately, to tell a repeat.
///
/// Horizons: the last [`DELIVERIES_REMEMBERED`] deliveries of a session, the last [`IDS_PER_SENSOR`] source ids of a sensor, and
/// after a restart no more than what the newest two segments hold of either.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    deliveries: BTreeMap<u64, VecDeque<[u8; 16]>>,
    ids: BTreeMap<SensorId, (VecDeque<SourceId>, BTreeSet<SourceId>)>,
}

/// A camera that sends 10 updates a second is remembered for almost seven minutes.
const IDS_PER_SENSOR: usize = 4096;

impl Repeats {
    pub(super) fn delivered_before(&self, mark: &Mark) -> bool {
        self.deliveries.get(&mark.session).is_some_and(|seen| seen.contains(&mark.digest))
    }

    pub(super) fn said_before(&self, record: &Record) -> bool {
        let Record::Observation(observation) = record else { return false };
        let (Some(id), Some((_, seen))) = (observation.source_id, self.ids.get(&observation.sensor)) else {
            return false;
        };
        seen.contains(&id)
    }

    pub(super) fn remember(&mut self, mark: Option<Mark>, record: &Record) {
        if let Some(mark) = mark {
            let seen = self.deliveries.entry(mark.session).or_default();
            if seen.len() == DELIVERIES_REMEMBERED {
                seen.pop_front();
            }
            seen.push_back(mark.digest);
        }
        if let Record::Observation(observation) = record
            && let Some(id) = observation.source_id
        {
            let (order, seen) = self.ids.entry(observation.sensor.clone()).or_default();
            if seen.insert(id) {
                order.push_back(id);
            }
            if order.len() > IDS_PER_SENSOR
                && let Some(oldest) = order.pop_front()
            {
                seen.remove(&oldest);
            }
        }
    }
}

/// Reads records in order, one segment in memory at a time, with private values opened as far as their keys exist.
pub struct LogReader {
    folder: PathBuf,
    segments: VecDeque<(u64, PathBuf)>,
    frames: std::vec::IntoIter<segment::Frame>,
    from: u64,
    keys: Arc<Keys>,
}

impl LogReader {
    pub(super) fn open(folder: &Path, keys: Arc<Keys>) -> Result<Self, LogError> {
        Self::from(folder, Position(0), keys)
    }

    pub(super) fn from(folder: &Path, from: Position, keys: Arc<Keys>) -> Result<Self, LogError> {
        let segments = segment::list(folder).map_err(|source| LogError { folder: folder.to_owned(), source })?;
        let mut segments = VecDeque::from(segments);
        while segments.get(1).is_some_and(|(first, _)| *first <= from.0) {
            segments.pop_front();
        }
        Ok(Self { folder: folder.to_owned(), segments, frames: Vec::new().into_iter(), from: from.0, keys })
    }

    /// The key that the situations of this store are named with.
    pub fn situation_key(&self) -> [u8; 32] {
        self.keys.situation()
    }
}

impl Iterator for LogReader {
    type Item = Result<Stamped, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for frame in self.frames.by_ref() {
                if frame.sequence < self.from {
                    continue;
                }
                if let Some((_, mut record)) = decode(&frame.payload) {
                    self.keys.open_record(&mut record.record);
                    return Some(Ok(record));
                }
            }
            let (_, path) = self.segments.pop_front()?;
            match segment::scan(&path) {
                Ok(scan) => self.frames = scan.frames.into_iter(),
                Err(source) => return Some(Err(LogError { folder: self.folder.clone(), source })),
            }
        }
    }
}
