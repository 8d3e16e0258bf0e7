//! Append-only segments, shared by the log, the outbox and the audit journal.
//!
//! ```text
//! file   = header(16) frame* zeros            name: <first sequence, 20 digits>.seg
//! header = "QWSG" version(1) zeros(3) first sequence u64
//! frame  = length u32 | CRC-32 u32 | sequence u64 | payload        all little-endian; the CRC covers sequence and payload
//! ```
//!
//! A segment is pre-allocated, so a sync writes data and no file size; a frame of length zero is the end. What does not
//! check out at the end is a torn tail: nobody was told it was stored, so it is cut. What does not check out before a
//! frame that does is damage: it is stepped over and counted.

use crc::{CRC_32_ISO_HDLC, Crc};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const MAGIC: [u8; 4] = *b"QWSG";
const VERSION: u8 = 1;
const HEADER: usize = 16;
const FRAME_HEAD: usize = 16;
/// Larger than any frame we write (a dead letter of 16 KiB, a product of some 20 KiB, a day's bookings of 32 MiB).
const MOST_FRAME: usize = 64 << 20;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A frame that checked out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    /// Where its payload is in the file.
    pub(crate) at: u64,
    pub(crate) payload: Vec<u8>,
}

/// What reading a segment found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) frames: Vec<Frame>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// Bytes behind the last good frame that are not zero and not a frame.
    pub(crate) torn: u64,
    /// Bytes between good frames that are not frames.
    pub(crate) damaged: u64,
}

/// Segments of a folder, oldest first, by the sequence they begin with.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let first = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(first) = first.filter(|_| path.extension().is_some_and(|extension| extension == "seg")) {
            segments.push((first, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Reads a whole segment. A file whose header does not check out counts as damaged whole.
pub(crate) fn scan(path: &Path) -> io::Result<Scan> {
    let bytes = read_once(path)?;
    let mut scan = Scan { end: HEADER as u64, ..Scan::default() };
    if bytes.len() < HEADER || bytes[..4] != MAGIC || bytes[4] != VERSION {
        scan.damaged = used(&bytes) as u64;
        scan.end = bytes.len() as u64;
        return Ok(scan);
    }
    let mut at = HEADER;
    let mut last = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes")).saturating_sub(1);
    let used = used(&bytes);
    // Where bytes that are no frame began, while looking for the next frame behind them.
    let mut gap = None;
    while at < used {
        match frame_at(&bytes, at).filter(|frame| frame.sequence > last) {
            Some(frame) => {
                scan.damaged += gap.take().map_or(0, |from| (at - from) as u64);
                last = frame.sequence;
                at += FRAME_HEAD + frame.payload.len();
                scan.end = at as u64;
                scan.frames.push(frame);
            }
            None => {
                gap.get_or_insert(at);
                at += 1;
            }
        }
    }
    scan.torn = gap.map_or(0, |from| (used - from) as u64);
    Ok(scan)
}

/// Reads a file and lets the kernel forget its pages. Read-ahead leaves them in large folios, and a small append to one of
/// those is written (and counted) as the whole folio: 16 KiB a record instead of 4 on Linux 6.18.
fn read_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    // Only costs flash if it fails.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(bytes)
}

/// Length without the zeros at the end.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn frame_at(bytes: &[u8], at: usize) -> Option<Frame> {
    let head = bytes.get(at..at + FRAME_HEAD)?;
    let word = |from: usize| u32::from_le_bytes(head[from..from + 4].try_into().expect("four bytes"));
    let length = word(0) as usize;
    if length == 0 || length > MOST_FRAME {
        return None;
    }
    let payload = bytes.get(at + FRAME_HEAD..at + FRAME_HEAD + length)?;
    let mut digest = CRC.digest();
    digest.update(&head[8..16]);
    digest.update(payload);
    (digest.finalize() == word(4)).then(|| Frame {
        sequence: u64::from_le_bytes(head[8..16].try_into().expect("eight bytes")),
        at: (at + FRAME_HEAD) as u64,
        payload: payload.to_vec(),
    })
}

/// Frames on their way to disk.
#[derive(Debug, Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    first: Option<u64>,
}

impl Group {
    /// Adds a frame; returns where its payload is within the group.
    pub(crate) fn add(&mut self, sequence: u64, payload: &[u8]) -> u64 {
        let sequence_bytes = sequence.to_le_bytes();
        let mut digest = CRC.digest();
        digest.update(&sequence_bytes);
        digest.update(payload);
        let length = u32::try_from(payload.len()).expect("a frame is far below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&digest.finalize().to_le_bytes());
        self.bytes.extend_from_slice(&sequence_bytes);
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(payload);
        self.first.get_or_insert(sequence);
        at
    }

    /// Sequence of its first frame; `None` if it has none.
    pub(crate) fn first(&self) -> Option<u64> {
        self.first
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) first: u64,
    file: File,
    end: u64,
    size: u64,
}

impl Active {
    /// Creates a segment and makes its name durable.
    pub(crate) fn create(folder: &Path, first: u64, size: u64) -> io::Result<Self> {
        let path = path_of(folder, first);
        let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
        // A file system without fallocate grows the file as it is written.
        let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size);
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC);
        header[4] = VERSION;
        header[8..].copy_from_slice(&first.to_le_bytes());
        let made = file.write_all_at(&header, 0).and_then(|()| file.sync_all()).and_then(|()| sync_folder(folder));
        if let Err(e) = made {
            let _ = fs::remove_file(&path);
            return Err(e);
        }
        Ok(Self { first, file, end: HEADER as u64, size })
    }

    /// Goes on with a segment that was scanned; what is behind its last frame is cut.
    pub(crate) fn resume(folder: &Path, first: u64, size: u64, scan: &Scan) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path_of(folder, first))?;
        if scan.torn > 0 {
            file.set_len(scan.end)?;
            file.sync_all()?;
        }
        Ok(Self { first, file, end: scan.end, size })
    }

    /// Whether a group still belongs into this segment.
    pub(crate) fn has_room(&self, group: &Group) -> bool {
        self.end == HEADER as u64 || self.end + group.len() as u64 <= self.size
    }

    /// Writes a group; returns where it begins. Without a sync nobody may be told. After a failure the file is cut back,
    /// so that no part of a group that was never acknowledged can be read later.
    pub(crate) fn append(&mut self, group: &Group) -> io::Result<u64> {
        let at = self.end;
        if let Err(e) = self.file.write_all_at(&group.bytes, at) {
            self.file.set_len(at)?;
            return Err(e);
        }
        self.end += group.len() as u64;
        Ok(at)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

pub(crate) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.seg"))
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> Vec<u8> {
        let mut active = Active::create(folder, 1, 4096).unwrap();
        for sequence in 1..=5u64 {
            let mut group = Group::default();
            group.add(sequence, format!("payload {sequence}").as_bytes());
            active.append(&group).unwrap();
        }
        active.sync().unwrap();
        fs::read(path_of(folder, 1)).unwrap()
    }

    #[test]
    fn a_cut_at_every_byte_keeps_every_whole_frame_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let whole = written(folder.path());
        let frame = FRAME_HEAD + "payload 1".len();
        for cut in HEADER..HEADER + 5 * frame {
            let path = folder.path().join("cut.seg");
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            fs::write(&path, &bytes).unwrap();
            let scan = scan(&path).unwrap();
            assert_eq!(scan.frames.len(), (cut - HEADER) / frame, "cut at {cut}");
            assert_eq!(scan.damaged, 0, "cut at {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_costs_only_the_frame_it_hits() {
        let folder = tempfile::tempdir().unwrap();
        let whole = written(folder.path());
        let frame = FRAME_HEAD + "payload 1".len();
        for at in HEADER..HEADER + 4 * frame {
            let path = folder.path().join("flip.seg");
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let scan = scan(&path).unwrap();
            let hit = (at - HEADER) / frame + 1;
            let left: Vec<u64> = scan.frames.iter().map(|frame| frame.sequence).collect();
            assert_eq!(left, (1..=5).filter(|sequence| *sequence != hit as u64).collect::<Vec<_>>(), "flip at {at}");
            assert_eq!(scan.damaged, frame as u64);
        }
    }

    #[test]
    fn a_resumed_segment_goes_on_behind_the_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = written(folder.path());
        let torn_at = HEADER + 4 * (FRAME_HEAD + 9) + 20;
        bytes.truncate(torn_at);
        fs::write(path_of(folder.path(), 1), &bytes).unwrap();
        let found = scan(&path_of(folder.path(), 1)).unwrap();
        assert_eq!((found.frames.len(), found.torn > 0), (4, true));
        let mut active = Active::resume(folder.path(), 1, 4096, &found).unwrap();
        let mut group = Group::default();
        group.add(5, b"again");
        active.append(&group).unwrap();
        active.sync().unwrap();
        let found = scan(&path_of(folder.path(), 1)).unwrap();
        assert_eq!((found.frames.len(), found.torn, found.damaged), (5, 0, 0));
        assert_eq!(found.frames[4].payload, b"again");
    }
}
