//! What the engine makes of a log, as two digests: `digest < LOG`, where `write-log` has written the log.
//!
//! The same log must give the same lines on every machine and from every compiler; `tests/aarch64` compares two.

use quaywatch_fusion::Engine;
use quaywatch_schemas::Stamped;
use std::{
    error::Error,
    io::{self, Read},
    time::Duration,
};

/// What is waited for after the last record: by then everything is decided.
const AFTERWARDS: Duration = Duration::from_secs(120);

fn main() -> Result<(), Box<dyn Error>> {
    let mut log = Vec::new();
    io::stdin().lock().read_to_end(&mut log)?;
    let mut engine = Engine::new([7; 32]);
    let mut said = Vec::new();
    let (mut rest, mut last, mut records) = (log.as_slice(), None, 0);
    while !rest.is_empty() {
        let (record, after): (Stamped, _) = postcard::take_from_bytes(rest)?;
        said.append(&mut engine.observe(&record));
        (rest, last, records) = (after, Some(record.stamp), records + 1);
    }
    let mut until = last.ok_or("the log is empty")?;
    until.gateway = until.gateway.after(AFTERWARDS);
    said.append(&mut engine.advance(&until));
    let digest = |bytes: &[u8]| blake3::hash(bytes).to_hex();
    println!("{records} records, {} situations: {}", said.len(), digest(&postcard::to_allocvec(&said)?));
    println!("the engine afterwards: {}", digest(&engine.snapshot()));
    Ok(())
}
