//! JSON in a format of our own, of which nothing is guessed: a message is taken as it is written down or refused with the
//! place and what was expected there.

use crate::json::{Undecodable, not_json, within};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

/// Reads one message of at most `most` bytes. `fields` are all fields of the format.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8], most: usize, fields: &[&str]) -> Result<T, Undecodable> {
    within(payload, most)?;
    let mut json = serde_json::Deserializer::from_slice(payload);
    let message = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error, fields))?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(message)
}

/// Where and what was expected. serde's own words repeat what was there, which may be a plate or a badge: only the part of
/// them that comes from our own types is kept. `fields` are all fields of the format.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>, fields: &[&str]) -> Undecodable {
    let inner = error.inner();
    if !inner.is_data() {
        return not_json(inner);
    }
    let pointer = pointer(error.path(), fields);
    let words = inner.to_string();
    // serde_json adds its own position at the end.
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    if let Some(field) = words.strip_prefix("missing field ") {
        return Undecodable(format!("at {pointer:?}: the field {field} is missing"));
    }
    if let Some(field) = words.strip_prefix("duplicate field ") {
        return Undecodable(format!("at {pointer:?}: the field {field} is there twice"));
    }
    match words.rfind("expected ") {
        Some(start) if words.starts_with("unknown field") => {
            Undecodable(format!("at {pointer:?}: a field that is not known; {}", &words[start..]))
        }
        Some(start) => Undecodable(format!("at {pointer:?}: {}", &words[start..])),
        None => Undecodable(format!("at {pointer:?}: not as the format has it")),
    }
}

/// The path as a JSON pointer. A field that is not in the format is left out: its name could be anything.
fn pointer(path: &serde_path_to_error::Path, fields: &[&str]) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } if fields.contains(&key.as_str()) => pointer.push_str(&format!("/{key}")),
            _ => break,
        }
    }
    pointer
}
