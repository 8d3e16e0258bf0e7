//! How entries hang together: canonical JSON, hashes, signatures, times as text.

use quaywatch_schemas::{
    GatewayTime, Position, Stamp, WallTime,
    audit::{Checkpoint, Entered, Entry, SignedCheckpoint},
    policy::PublicKey,
};
use quaywatch_sharing::signing::{self, Signable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt::Write, time::Duration};

/// What the wall clock may move against the gateway's own between two entries before that is an entry of its own. Both clocks
/// are slewed alike, so only a step shows; a second is beyond any pause between the two readings of one stamp.
pub(super) const STEP: Duration = Duration::from_secs(1);

/// Where a journal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last entry; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: String,
    /// Everything up to here in the log has been entered.
    pub position: Position,
}

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(64), position: Position(0) }
    }
}

/// An entry with its hash.
pub(crate) fn enter(entry: Entry) -> Entered {
    let hash = hash_of(&serde_json::to_value(&entry).unwrap_or(Value::Null));
    Entered { entry, hash }
}

/// A checkpoint with the signature of a secret key.
pub(crate) fn sign(checkpoint: Checkpoint, secret: &[u8; 32]) -> SignedCheckpoint {
    let text = canonical(&serde_json::to_value(&checkpoint).unwrap_or(Value::Null));
    let signature = signing::sign(Signable::AuditCheckpoint, text.as_bytes(), secret);
    SignedCheckpoint { checkpoint, key: signing::public_key(secret), signature }
}

pub(super) fn is_signed(checkpoint: &Value, signature: &str, key: &PublicKey) -> bool {
    signing::is_signed(Signable::AuditCheckpoint, canonical(checkpoint).as_bytes(), signature, key)
}

/// Hash of an entry as it stands in the journal or an export, with whatever members it has.
pub(super) fn hash_of(entry: &Value) -> String {
    blake3::hash(canonical(entry).as_bytes()).to_hex().to_string()
}

/// RFC 8785 for what entries hold: objects, text and whole numbers below 2^53.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            text.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write_canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(members) => {
            text.push('[');
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(member, text);
            }
            text.push(']');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

pub(super) fn wall_text(at: WallTime) -> String {
    text_of(i128::from(at.0))
}

pub(super) fn gateway_text(at: GatewayTime) -> String {
    text_of(i128::from(at.0))
}

fn text_of(nanoseconds: i128) -> String {
    let at = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Nanoseconds since 1970 of a time in an entry.
pub(super) fn nanoseconds(text: &str) -> Option<i128> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond())
}

/// How far the wall clock is ahead of the gateway's own.
pub(super) fn ahead(stamp: &Stamp) -> i128 {
    i128::from(stamp.wall.0) - i128::from(stamp.gateway.0)
}

/// A length of time as a person says it.
pub(super) fn said(nanoseconds: i128) -> String {
    let seconds = nanoseconds.unsigned_abs() / 1_000_000_000;
    match seconds {
        0..=119 => format!("{}.{} s", seconds, nanoseconds.unsigned_abs() / 100_000_000 % 10),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
