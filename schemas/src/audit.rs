//! What the audit journal holds and an outside recipient of it gets.
//!
//! An entry's hash is BLAKE3 of the entry as canonical JSON (RFC 8785: members sorted, no white space), and the next entry
//! names it: nobody can change, take out or put in one entry without changing all after it. A checkpoint signs the hash of the
//! last entry with the gateway's Ed25519 key (RFC 8032), over `quaywatch signature v1: audit checkpoint`, a zero byte and the
//! checkpoint as canonical JSON.
//!
//! Nothing private is in an entry: no plate, no badge, no name of a person but of one that the sharing file names.

use crate::{policy::PublicKey, time::ClockQuality};
use alloc::{collections::BTreeMap, string::String};
use serde::{Deserialize, Serialize};

/// CloudEvents type of an entry.
pub const ENTRY_TYPE: &str = "org.quaywatch.audit.entry.v1";
/// CloudEvents type of a checkpoint.
pub const CHECKPOINT_TYPE: &str = "org.quaywatch.audit.checkpoint.v1";

/// One thing that somebody did, or that happened to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// 1 for the first ever, then without gaps.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1)))]
    pub number: u64,
    /// Hash of the entry before it, 64 hexadecimal digits; zeros for the first.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{64}$")))]
    pub previous: String,
    /// The record of the gateway's log that it was made of.
    pub position: u64,
    /// When, on the clock people read: RFC 3339 with nanoseconds.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub time: String,
    /// When, on the gateway's clock that never goes back.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub gateway_time: String,
    /// How far the clock people read could be trusted.
    pub clock: ClockQuality,
    /// Who: a user of the admin socket, persons who signed, a recipient, or `gateway`.
    pub who: String,
    /// What, in words.
    pub what: String,
    /// What, for programs: `rule.off`, `sensor.removed`, `gateway.started`, …
    pub act: String,
    /// What belongs to the act, by name; values are cut to 256 characters.
    pub details: BTreeMap<String, String>,
}

/// An entry and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Entered {
    /// The entry.
    pub entry: Entry,
    /// BLAKE3 of its canonical JSON, 64 hexadecimal digits.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{64}$")))]
    pub hash: String,
}

/// How far the journal has come, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Checkpoint {
    /// Number of the last entry.
    pub number: u64,
    /// Its hash.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{64}$")))]
    pub hash: String,
    /// When it was signed, on the clock people read.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub time: String,
    /// When it was signed, on the gateway's clock that never goes back.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub gateway_time: String,
}

/// A checkpoint and the gateway's signature on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The key it was signed with. Whoever verifies knows it from elsewhere: `quaywatch audit key`.
    #[cfg_attr(feature = "json-schema", schemars(with = "String", extend("pattern" = "^[0-9a-f]{64}$")))]
    pub key: PublicKey,
    /// The signature, 128 hexadecimal digits.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{128}$")))]
    pub signature: String,
}
