//! The engine on a data set: what was recorded becomes a site, references and observations as the daemon's drivers would make
//! them, goes through the engine's ordinary interface in the order of arrival, and what the engine concluded is written in
//! the format that the scorers read.
//!
//! [`gate`] and [`quay`] are two kinds of data set; `gate-benchmark` and `quay-benchmark` are their commands, and the floors
//! hold the same figures on the simulator's own seeds.

pub mod gate;
pub mod quay;

use quaywatch_fusion::Engine;
use quaywatch_schemas::{Situation, Stamp, Stamped};
use std::time::Duration;

/// Keys situations and handles.
pub const KEY: [u8; 32] = [7; 32];

/// What the engine cost.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Observations and other records; for a quay also detections.
    pub events: u64,
    /// In the engine's own calls.
    pub inside: Duration,
}

impl Timing {
    /// Nanoseconds for each event.
    pub fn nanoseconds(&self) -> f64 {
        self.inside.as_nanos() as f64 / self.events.max(1) as f64
    }
}

/// What is said of a log, and the engine it leaves.
pub fn played(records: &[Stamped], until: &Stamp) -> (Vec<Situation>, Engine) {
    let mut engine = Engine::new(KEY);
    let mut said: Vec<Situation> = records.iter().flat_map(|record| engine.observe(record)).collect();
    said.append(&mut engine.advance(until));
    (said, engine)
}

/// The same if the engine is put away and restored after every so many records; a restored engine must be the
/// one that was put away.
pub fn restored(records: &[Stamped], until: &Stamp, every: usize) -> (Vec<Situation>, Engine) {
    let mut engine = Engine::new(KEY);
    let mut said = Vec::new();
    for (record, count) in records.iter().zip(1..) {
        said.append(&mut engine.observe(record));
        if count % every == 0 {
            let snapshot = engine.snapshot();
            engine = Engine::restore(KEY, &snapshot).expect("its own snapshot");
            assert!(engine.snapshot() == snapshot, "a restored engine is the same engine");
        }
    }
    said.append(&mut engine.advance(until));
    (said, engine)
}

/// The same if the engine is told the time again and again, at times nobody asked for.
pub fn told_the_time(records: &[Stamped], until: &Stamp, every: Duration) -> (Vec<Situation>, Engine) {
    let mut engine = Engine::new(KEY);
    let mut said = Vec::new();
    let mut last: Option<Stamp> = None;
    for record in records {
        if let Some(last) = last {
            let mut now = last.gateway.after(every);
            while now < record.stamp.gateway {
                said.append(&mut engine.advance(&Stamp { gateway: now, ..last }));
                now = now.after(every);
            }
        }
        said.append(&mut engine.observe(record));
        last = Some(record.stamp);
    }
    said.append(&mut engine.advance(until));
    (said, engine)
}
