//! What the running firmware does: it takes an image, marks it, and stays or goes after the swap.

use crate::{
    BLOCK_BYTES, Board, Digest, Genuine, Malformed, Manifest, PublicKey, Unsigned, Version,
    boot::Fault,
    record::{Boot, ImageId, Lasting, Records},
};
use core::fmt;
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use sha2::{Digest as _, Sha512};

/// Milliseconds that a new image has to confirm itself. A gateway asks a silent node again every few seconds; five minutes
/// also cover one that restarts meanwhile.
pub const TRIAL_MS: u64 = 300_000;

/// Which node this is.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// What images must be for.
    pub board: Board,
    /// What runs.
    pub runs: Version,
    /// Whose signatures it takes; the second is for the time in which a new key is brought out.
    pub keys: [Option<PublicKey>; 2],
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// What runs, stays.
    Settled,
    /// That version is verified and runs after the next reset.
    Marked(Version),
    /// That version runs; the next reset brings the former one back, unless it confirms itself before.
    OnTrial(Version),
    /// That version did not confirm itself; the former one runs.
    Reverted(Version),
}

/// How far the digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Ask again.
    Working,
    /// The image is what was signed, and runs after the next reset.
    Marked,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Stay,
    /// Reset: the image on trial did not confirm itself.
    Restart,
}

/// Why an image, or a part of it, is not taken. Nothing is marked then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No manifest.
    Malformed(Malformed),
    /// Not signed by a key that this node trusts.
    Unsigned(Unsigned),
    /// For another board.
    WrongBoard(Board),
    /// Below the floor, which is this.
    TooOld(Version),
    /// More bytes than a slot has, which is this.
    TooLong(u32),
    /// What runs is on trial: the slot holds what it may have to go back to.
    OnTrial,
    /// No image was announced in this boot.
    NoTransfer,
    /// A block that is not as long as the one at its place.
    BlockLength,
    /// Blocks are missing.
    Incomplete,
    /// What is in flash is not what was signed. The transfer begins anew.
    Digest,
    /// Flash does not do what it is told.
    Flash(NorFlashErrorKind),
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => why.fmt(to),
            Self::Unsigned(Unsigned::UnknownKey(_)) => to.write_str("signed by a key that this node does not trust"),
            Self::Unsigned(Unsigned::BadSignature) => to.write_str("the signature does not match"),
            Self::WrongBoard(board) => write!(to, "an image for a {board}"),
            Self::TooOld(floor) => write!(to, "older than version {floor}, which is the oldest that may run"),
            Self::TooLong(room) => write!(to, "longer than the {room} bytes there is room for"),
            Self::OnTrial => to.write_str("what runs is on trial itself"),
            Self::NoTransfer => to.write_str("no image was announced"),
            Self::BlockLength => to.write_str("a block that is not as long as the one at its place"),
            Self::Incomplete => to.write_str("blocks are missing"),
            Self::Digest => to.write_str("what is in flash is not what was signed"),
            Self::Flash(why) => write!(to, "flash: {why}"),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<NorFlashErrorKind> for Refusal {
    fn from(why: NorFlashErrorKind) -> Self {
        Self::Flash(why)
    }
}

/// A node's update: what it receives, and whether what runs is on trial. Times are milliseconds of the node's clock.
pub struct Update<D, S> {
    next: D,
    records: Records<S>,
    node: Node,
    receiving: Option<Receiving>,
    trial: Option<Trial>,
}

struct Receiving {
    manifest: Genuine,
    /// So many bytes are in flash, and were seen there.
    has: u32,
    digest: Sha512,
    digested: u32,
}

struct Trial {
    began: u64,
    tested: bool,
    failed: bool,
    heard: bool,
}

/// Bytes digested per call: some ten milliseconds on the slowest chip.
const DIGESTED_AT_ONCE: u32 = 8192;

impl<D: NorFlash, S: NorFlash> Update<D, S> {
    /// What the running image begins with. `next` is the slot that images are received into, `state` where the
    /// record lives: both are the bootloader's.
    ///
    /// # Errors
    /// [`Fault::Layout`] for a slot without room or a state of less than two erase units, [`Fault::Flash`] if the state
    /// does not read.
    pub fn open(next: D, state: S, node: Node, now: u64) -> Result<Self, Fault> {
        const {
            assert!(BLOCK_BYTES.is_multiple_of(D::WRITE_SIZE) && BLOCK_BYTES.is_multiple_of(D::READ_SIZE));
            assert!(D::ERASE_SIZE.is_multiple_of(BLOCK_BYTES));
        }
        let units = next.capacity() / D::ERASE_SIZE;
        let fits = (2..=usize::from(u16::MAX)).contains(&units);
        let records = Records::open(state)?.filter(|_| fits).ok_or(Fault::Layout)?;
        let lasting = records.get();
        // What was marked and does not call itself what its manifest says is not to stay.
        let failed = lasting.candidate != node.runs;
        let trial = matches!(lasting.boot, Boot::Swap(steps) if steps > 0);
        let trial = trial.then_some(Trial { began: now, tested: false, failed, heard: false });
        Ok(Self { next, records, node, receiving: None, trial })
    }

    /// How things stand.
    pub fn state(&self) -> State {
        let lasting = self.records.get();
        match lasting.boot {
            Boot::Plain => State::Settled,
            Boot::Swap(0) => State::Marked(lasting.candidate),
            Boot::Swap(_) => State::OnTrial(lasting.candidate),
            Boot::Reverted => State::Reverted(lasting.candidate),
        }
    }

    /// The oldest version that is taken: the highest that was ever confirmed, or what runs and is not on trial.
    pub fn floor(&self) -> Version {
        let floor = self.records.get().floor;
        if self.trial.is_some() { floor } else { floor.max(self.node.runs) }
    }

    /// An image is to come. Returns how many bytes of it are here already: the next block begins there. One that was
    /// marked and has not run is forgotten for another.
    ///
    /// # Errors
    /// Every [`Refusal`] that concerns a manifest; [`Refusal::OnTrial`], [`Refusal::Flash`]. A transfer that went on before
    /// is then as it was.
    pub fn begin(&mut self, manifest: &[u8]) -> Result<u32, Refusal> {
        if self.trial.is_some() {
            return Err(Refusal::OnTrial);
        }
        let manifest = self.acceptable(manifest)?;
        let lasting = self.records.get();
        let image = image_of(manifest.digest());
        let is_same = lasting.image == image && lasting.candidate == manifest.version();
        let has = if is_same && lasting.boot == Boot::Swap(0) {
            manifest.length()
        } else if is_same {
            self.found(manifest.length())?
        } else {
            let candidate = manifest.version();
            self.receiving = None;
            self.records.put(Lasting { boot: Boot::Plain, candidate, image, erased: 0, ..lasting })?;
            0
        };
        self.receiving = Some(Receiving { manifest, has, digest: Sha512::new(), digested: 0 });
        Ok(has)
    }

    /// A piece of the image: [`BLOCK_BYTES`], or what is left. Returns where the next one begins. One from another place
    /// changes nothing; one that finds a power cut's traces in flash may have to go back to the beginning of an erase unit.
    ///
    /// # Errors
    /// [`Refusal::NoTransfer`], [`Refusal::BlockLength`], [`Refusal::Flash`]: nothing is taken.
    pub fn block(&mut self, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        let receiving = self.receiving.as_ref().ok_or(Refusal::NoTransfer)?;
        let (has, length) = (receiving.has, receiving.manifest.length());
        if offset != has || has == length {
            return Ok(has);
        }
        if bytes.len() != (length - has).min(BLOCK_BYTES as u32) as usize {
            return Err(Refusal::BlockLength);
        }
        let mut block = BLANK;
        block[..bytes.len()].copy_from_slice(bytes);
        let unit = has / D::ERASE_SIZE as u32;
        let was_erased = u32::from(self.records.get().erased) > unit;
        let there = self.read(has)?;
        let has = if was_erased && there == block {
            has + bytes.len() as u32
        } else if was_erased && there != BLANK {
            // What power left of a block, and a word is written once between two erasures.
            self.erase(unit)?;
            unit * D::ERASE_SIZE as u32
        } else {
            if !was_erased {
                self.erase(unit)?;
            }
            // What is blank stays untouched: a power cut behind it must leave traces that can be read.
            let blank = block.iter().take_while(|byte| **byte == 0xff).count() / D::WRITE_SIZE * D::WRITE_SIZE;
            let written = bytes.len().next_multiple_of(D::WRITE_SIZE);
            if blank < written {
                self.next.write(has + blank as u32, &block[blank..written]).map_err(|why| why.kind())?;
            }
            if self.read(has)? != block {
                return Err(Refusal::Flash(NorFlashErrorKind::Other));
            }
            has + bytes.len() as u32
        };
        if let Some(receiving) = &mut self.receiving {
            receiving.has = has;
        }
        Ok(has)
    }

    /// All blocks are here: digests what flash holds, a part per call, and marks the image.
    ///
    /// # Errors
    /// [`Refusal::NoTransfer`], [`Refusal::Incomplete`], [`Refusal::Flash`]; [`Refusal::Digest`], after which
    /// the transfer begins anew.
    pub fn finish(&mut self) -> Result<Finish, Refusal> {
        let lasting = self.records.get();
        let receiving = self.receiving.as_mut().ok_or(Refusal::NoTransfer)?;
        let length = receiving.manifest.length();
        if receiving.has < length {
            return Err(Refusal::Incomplete);
        }
        if lasting.boot == Boot::Swap(0) {
            return Ok(Finish::Marked);
        }
        let upto = length.min(receiving.digested + DIGESTED_AT_ONCE);
        while receiving.digested < upto {
            let mut block = BLANK;
            self.next.read(receiving.digested, &mut block).map_err(|why| why.kind())?;
            let bytes = (length - receiving.digested).min(BLOCK_BYTES as u32);
            receiving.digest.update(&block[..bytes as usize]);
            receiving.digested += bytes;
        }
        if upto < length {
            return Ok(Finish::Working);
        }
        let digest = Digest::from(receiving.digest.finalize_reset());
        receiving.digested = 0;
        if digest != *receiving.manifest.digest() {
            self.receiving = None;
            self.records.put(Lasting { image: ImageId::NONE, erased: 0, ..lasting })?;
            return Err(Refusal::Digest);
        }
        self.records.put(Lasting { boot: Boot::Swap(0), ..lasting })?;
        Ok(Finish::Marked)
    }

    /// The node tested itself. A new image that fails goes.
    pub fn tested(&mut self, passed: bool) {
        if let Some(trial) = &mut self.trial {
            trial.tested |= passed;
            trial.failed |= !passed;
        }
    }

    /// The gateway proved itself in this boot: a new image can be reached.
    pub fn heard(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.heard = true;
        }
    }

    /// To be called every second or so. Confirms a new image that was tested and heard its gateway; from then on it stays
    /// and nothing older is taken. Says when one has to go.
    pub fn turn(&mut self, now: u64) -> Next {
        let Some(trial) = &self.trial else { return Next::Stay };
        if trial.failed {
            return Next::Restart;
        }
        if trial.tested && trial.heard {
            let lasting = self.records.get();
            let floor = lasting.floor.max(lasting.candidate);
            let confirmed =
                Lasting { boot: Boot::Plain, floor, image: ImageId::NONE, erased: 0, candidate: lasting.candidate };
            // If flash fails it is tried again until the trial is over.
            if self.records.put(confirmed).is_ok() {
                self.trial = None;
                return Next::Stay;
            }
        }
        if now.saturating_sub(trial.began) >= TRIAL_MS { Next::Restart } else { Next::Stay }
    }

    fn acceptable(&self, manifest: &[u8]) -> Result<Genuine, Refusal> {
        let manifest = Manifest::parse(manifest).map_err(Refusal::Malformed)?;
        let manifest = manifest.verify(self.node.keys.iter().flatten()).map_err(Refusal::Unsigned)?;
        if manifest.board() != self.node.board {
            return Err(Refusal::WrongBoard(manifest.board()));
        }
        if manifest.version() < self.floor() {
            return Err(Refusal::TooOld(self.floor()));
        }
        // The slot has one erase unit more than the one that images run from.
        let room = (self.next.capacity() - D::ERASE_SIZE) as u32;
        if manifest.length() > room {
            return Err(Refusal::TooLong(room));
        }
        Ok(manifest)
    }

    /// How much of an image of which some is in the slot can be relied on. Blocks are written one after another; so of
    /// those in the unit erased last only the very last may be cut short. It is asked for again and compared.
    fn found(&mut self, length: u32) -> Result<u32, NorFlashErrorKind> {
        let Some(unit) = self.records.get().erased.checked_sub(1) else { return Ok(0) };
        let from = u32::from(unit) * D::ERASE_SIZE as u32;
        let mut at = (from + D::ERASE_SIZE as u32).min(length.next_multiple_of(BLOCK_BYTES as u32));
        while at > from {
            at -= BLOCK_BYTES as u32;
            if self.read(at)? != BLANK {
                break;
            }
        }
        Ok(at.min(length))
    }

    /// While it is under way, and until it is done, the record does not count the unit as erased.
    fn erase(&mut self, unit: u32) -> Result<(), NorFlashErrorKind> {
        let lasting = self.records.get();
        let erased = lasting.erased.min(unit as u16);
        self.records.put(Lasting { erased, ..lasting })?;
        let from = unit * D::ERASE_SIZE as u32;
        self.next.erase(from, from + D::ERASE_SIZE as u32).map_err(|why| why.kind())?;
        self.records.put(Lasting { erased: unit as u16 + 1, ..lasting })
    }

    fn read(&mut self, offset: u32) -> Result<[u8; BLOCK_BYTES], NorFlashErrorKind> {
        let mut block = BLANK;
        self.next.read(offset, &mut block).map_err(|why| why.kind())?;
        Ok(block)
    }
}

const BLANK: [u8; BLOCK_BYTES] = [0xff; BLOCK_BYTES];

fn image_of(digest: &Digest) -> ImageId {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    ImageId([a, b, c, d, e, f, g, h])
}
