//! What devices said, and what drivers make of it.
//!
//! A capture is two files: `NAME.<anything>` holds the bytes as they came, `NAME.expected.json` holds under `reader` how they
//! are read and under `records` what comes of it, or under `reason` why nothing does. Plates, codes and badges in them are
//! fictional, and shown: that a decoder reads the right ones is what is tested. An identity given by the source is shown as
//! `"given"`.
//!
//! To add one, write the payload and an expected file with `reader` only, run with `QUAYWATCH_BLESS=1`, and read what was
//! written before you commit it. To add a driver, write one function here that calls [`each`].

mod ais;
mod camera;
mod frame;
mod json;
mod references;
mod serial_text;

use quaywatch_schemas::{Observation, Record};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Reads every capture of a folder and compares. Every folder holds payloads that are read and payloads that are refused.
fn each(folder: &str, read: impl Fn(&Value, &[u8]) -> Result<Vec<Record>, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder);
    let bless = std::env::var_os("QUAYWATCH_BLESS").is_some();
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for (payload, expected) in captures(&folder) {
        let bytes = fs::read(&payload).expect("a capture can be read");
        let text = fs::read_to_string(&expected).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        let before: Map<String, Value> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        let reader = before.get("reader").unwrap_or_else(|| panic!("{} has no reader", expected.display()));
        let mut after = Map::from_iter([("reader".to_owned(), reader.clone())]);
        match read(reader, &bytes) {
            Ok(records) => {
                good += 1;
                after.insert("records".into(), records.iter().map(shown).collect());
            }
            Err(reason) => {
                bad += 1;
                assert!(!reason.contains("SECRET"), "{}: the reason shows the payload: {reason}", payload.display());
                after.insert("reason".into(), reason.into());
            }
        }
        if before == after {
            continue;
        }
        if bless {
            fs::write(&expected, format!("{:#}\n", Value::Object(after))).expect("the folder is writable");
        } else {
            wrong.push(format!("{}:\n{:#}", payload.display(), Value::Object(after)));
        }
    }
    assert!(wrong.is_empty(), "read otherwise than expected; this is what comes now:\n{}", wrong.join("\n"));
    assert!(good > 0 && bad > 0, "{}: {good} good payloads and {bad} bad ones", folder.display());
}

fn captures(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut payloads: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    payloads.sort();
    payloads.into_iter().map(|payload| (payload.clone(), payload.with_extension("expected.json"))).collect()
}

fn shown(record: &Record) -> Value {
    let mut shown = serde_json::to_value(record).expect("a record is JSON");
    if let Some(id) = shown.pointer_mut("/Observation/source_id").filter(|id| !id.is_null()) {
        *id = json!("given");
    }
    shown
}

fn observations(said: Vec<Observation>) -> Vec<Record> {
    said.into_iter().map(Record::Observation).collect()
}

/// A text of a reader.
fn text<'a>(reader: &'a Value, name: &str) -> &'a str {
    reader[name].as_str().unwrap_or_else(|| panic!("the reader has no {name}"))
}
