//! What is measured on the simulator's own trials, so that a change that makes the engine worse is seen the day it is made.
//!
//! The seeds are the simulator's; nothing is tuned on them. The yardstick is checked first: whoever says the truth gets full
//! marks, whoever says nothing gets none.
#![allow(clippy::unwrap_used, reason = "a test may")]

use quaywatch_simulator::trials::{File, gate, quay};
use quaywatch_tests::score;
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Fifty minutes with a peak in it; what a debug build gets through in seconds.
const GATE_S: f64 = 3000.0;

#[test]
fn who_says_the_truth_about_a_gate_gets_full_marks() {
    let data = gate_trial(7001);
    let report = score::gate::score(data.path(), &lines(truth(data.path()).iter().map(as_said))).unwrap();
    assert!(report.passages.n > 60, "{report:?}");
    assert_eq!((report.passages.f1, report.plate_acc, report.container_acc), (1.0, 1.0, 1.0));
    assert_eq!((report.anomaly_macro_f1, report.anomaly_micro.f1), (1.0, 1.0));
    for calibration in [report.plate, report.container, report.passage, report.anomaly] {
        assert_eq!(calibration.map(|calibration| calibration.ece), Some(0.0));
    }
    assert_eq!(report.latency_s, Some([0.0; 3]));
}

#[test]
fn who_says_nothing_about_a_gate_gets_none() {
    let data = gate_trial(7001);
    let report = score::gate::score(data.path(), "").unwrap();
    assert_eq!(
        (report.passages.f1, report.plate_acc, report.container_acc, report.anomaly_macro_f1),
        (0.0, 0.0, 0.0, 0.0)
    );
    assert_eq!((report.plate, report.latency_s), (None, None));
}

#[test]
fn who_says_the_truth_about_a_quay_gets_full_marks_and_who_says_nothing_misses_all() {
    let data = quay_trial(7001);
    let tracks = truth(data.path()).into_iter().map(|epoch| {
        let objects = epoch["objs"].as_array().unwrap().iter();
        let tracks: Vec<Value> = objects.map(|object| json!([object[0].to_string(), object[2], object[3]])).collect();
        json!({ "t": epoch["t"], "tracks": tracks })
    });
    let report = score::quay::score(data.path(), &lines(tracks)).unwrap();
    assert_eq!((report.gospa, report.completeness, report.false_per_s, report.id_switches), (0.0, 1.0, 0.0, 0));
    assert_eq!(report.tracks, 15);
    let nothing = score::quay::score(data.path(), "").unwrap();
    assert_eq!((nothing.completeness, nothing.never_found), (0.0, 15));
    assert!(nothing.gospa > 10.0, "{nothing:?}");
}

fn gate_trial(seed: u64) -> TempDir {
    written(gate::Trial::make(&gate::Preset::REAL.lasting(GATE_S), seed).files().unwrap())
}

fn quay_trial(seed: u64) -> TempDir {
    written(quay::Trial::make(&quay::Preset::QUAY, seed).files().unwrap())
}

fn written(files: Vec<File>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for File { name, text } in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn truth(data: &Path) -> Vec<Value> {
    let text = fs::read_to_string(data.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The truth, said the moment it is so and with certainty.
fn as_said(truth: &Value) -> Value {
    let mut said = truth.clone();
    said["emit"] = truth["t"].clone();
    said["p"] = json!(1.0);
    said
}

fn lines(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter().map(|row| format!("{row}\n")).collect()
}
