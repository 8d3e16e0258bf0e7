//! How good an engine was on a data set whose truth is known.
//!
//! [`gate`] scores passages, identities, anomalies and how honest the probabilities are; [`quay`] scores tracks. Both read the
//! formats that the simulator's trials and the benchmarks' results have, and define their figures as the scorers that come
//! with the acceptance data do, so that a figure here is the same figure there.

pub mod assignment;
pub mod calibration;
pub mod gate;
pub mod quay;

use serde::de::DeserializeOwned;
use std::{fmt, fs, path::Path};

/// Why something could not be scored.
#[derive(Debug)]
pub struct Unscorable(String);

impl fmt::Display for Unscorable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unscorable {}

/// The text of a file.
fn text(path: &Path) -> Result<String, Unscorable> {
    fs::read_to_string(path).map_err(|error| Unscorable(format!("cannot read {}: {error}", path.display())))
}

/// One value a line.
fn lines<T: DeserializeOwned>(what: &str, text: &str) -> Result<Vec<T>, Unscorable> {
    let line = |(number, line): (usize, &str)| {
        let unreadable = |error| Unscorable(format!("{what}, line {}: {error}", number + 1));
        serde_json::from_str(line).map_err(unreadable)
    };
    text.lines().enumerate().map(line).collect()
}
