//! Data sets with ground truth, as a function of a preset and a seed: what many devices said, and what was true.
//!
//! [`gate`] is four gate lanes for some hours, [`quay`] five minutes of a quay, seen by a radar, two cameras and six motion
//! detectors. Both write the formats that the benchmarks read, so that a fusion engine can be measured on days nobody tuned
//! it to.
//!
//! **Every number is one of the generator's own assumptions.** A good score says that an engine is right about a world like
//! this one; it does not say that a port is like it.

pub mod gate;
pub mod quay;

use serde::Serialize;

/// A file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Without directories.
    pub name: &'static str,
    /// Its content.
    pub text: String,
}

/// One JSON value a line.
fn lines<T: Serialize>(name: &'static str, rows: impl IntoIterator<Item = T>) -> Result<File, serde_json::Error> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(&row)?);
        text.push('\n');
    }
    Ok(File { name, text })
}

/// One JSON value.
fn whole(name: &'static str, value: &impl Serialize) -> Result<File, serde_json::Error> {
    Ok(File { name, text: serde_json::to_string(value)? })
}

/// To a number of decimals, as devices report.
fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
