//! What the ledger's log holds: observations, dead letters, and everything else that changes a decision.

use crate::{
    control::Control,
    names::{LineId, SensorId},
    observation::{Observation, Reading},
    sealed::{Identity, Private, PrivateBytes},
    time::{ClockQuality, GatewayTime, WallTime},
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// The version of [`Stamped`]'s bytes. A reader refuses what it does not know.
pub const RECORD_VERSION: u8 = 2;

/// One record, before the ledger stamped it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A sensor said something.
    Observation(Observation),
    /// Something arrived that could not be understood.
    DeadLetter(DeadLetter),
    /// Something else that changes a decision.
    Control(Control),
}

/// A place in the log: 1 for the first record ever, then without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// What the ledger's writer adds to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Place in the log.
    pub position: Position,
    /// When it was received, on the clock that orders.
    pub gateway: GatewayTime,
    /// When it was received, on the clock people read.
    pub wall: WallTime,
    /// How far that clock could be trusted.
    pub quality: ClockQuality,
}

/// A record in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Where and when.
    pub stamp: Stamp,
    /// What.
    pub record: Record,
}

/// Something that arrived and could not be understood. Kept, so that an engineer can see why; bounded, so that it cannot
/// push out what was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it came in.
    pub line: LineId,
    /// Whose it would have been, if that is known.
    pub sensor: Option<SensorId>,
    /// Why it was not understood: where, what; never a value out of the payload.
    pub reason: String,
    /// What came, cut to [`DEAD_LETTER_BYTES`].
    pub raw: PrivateBytes,
    /// How long it was before the cut.
    pub length: u64,
}

/// The most a dead letter keeps of a payload. A Frigate event is 2 to 10 KiB; more than this tells an engineer no more.
pub const DEAD_LETTER_BYTES: usize = 16 * 1024;

impl DeadLetter {
    /// A dead letter of `raw`, cut to the bound.
    pub fn new(line: LineId, sensor: Option<SensorId>, reason: impl Into<String>, raw: &[u8]) -> Self {
        Self {
            line,
            sensor,
            reason: reason.into(),
            raw: PrivateBytes::Clear(raw[..raw.len().min(DEAD_LETTER_BYTES)].to_vec()),
            length: raw.len() as u64,
        }
    }
}

/// A place in a record that holds something private.
pub enum PrivateField<'a> {
    /// A person: becomes a handle at intake.
    Identity(&'a mut Identity),
    /// A plate, code or tag.
    QuasiIdentity(&'a mut Private),
    /// Somebody's own words.
    Source(&'a mut Private),
    /// Bytes that may hold anything.
    Bytes(&'a mut PrivateBytes),
}

impl Record {
    /// Calls `visit` for every private place in the record. Sealing, opening and handle-making all go through here, so
    /// that a new private field is either visited by all of them or by none, and the ledger's test finds the latter.
    pub fn visit_private(&mut self, visit: &mut dyn FnMut(PrivateField<'_>)) {
        match self {
            Self::Observation(observation) => visit_reading(&mut observation.reading, visit),
            Self::DeadLetter(letter) => visit(PrivateField::Bytes(&mut letter.raw)),
            Self::Control(control) => control.visit_private(visit),
        }
    }
}

fn visit_reading(reading: &mut Reading, visit: &mut dyn FnMut(PrivateField<'_>)) {
    let (text, candidates) = match reading {
        Reading::Plate(plate) => (&mut plate.text, Some(&mut plate.candidates)),
        Reading::Container(container) => (&mut container.code, Some(&mut container.candidates)),
        Reading::Tag(tag) => (&mut tag.id, None),
        Reading::Credential(credential) => return visit(PrivateField::Identity(&mut credential.holder)),
        Reading::Report(report) => return visit(PrivateField::Source(&mut report.text)),
        _ => return,
    };
    visit(PrivateField::QuasiIdentity(text));
    for candidate in candidates.into_iter().flatten() {
        visit(PrivateField::QuasiIdentity(&mut candidate.text));
    }
}

impl Stamped {
    /// The record's bytes in the log: version, then postcard.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![RECORD_VERSION];
        bytes.extend(postcard::to_allocvec(self).expect("a record always serialises"));
        bytes
    }

    /// Reads a record's bytes. `None` for an unknown version or anything that is not exactly one record.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != RECORD_VERSION {
            return None;
        }
        let (record, rest) = postcard::take_from_bytes(rest).ok()?;
        rest.is_empty().then_some(record)
    }
}
