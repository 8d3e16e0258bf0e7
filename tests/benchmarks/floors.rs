//! What is measured on the simulator's own trials, so that a change that makes the engine worse is seen the day it is made.
//!
//! The seeds are the simulator's; nothing is tuned on them, and a floor lies a little below what came when it was set. The
//! yardstick is checked first: whoever says the truth gets full marks, whoever says nothing gets none.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod clocks;

use quaywatch_schemas::{Situation, Stamp, Stamped};
use quaywatch_simulator::trials::{File, gate, quay};
use quaywatch_tests::{benchmark, score};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

/// Fifty minutes with a peak in it: enough for the yardstick.
const GATE_S: f64 = 3000.0;

#[test]
fn a_gate_is_read_as_well_as_ever() {
    for seed in [7001, 7002] {
        let report = gate_report(&gate::Preset::REAL, seed);
        assert!(report.passages.f1 >= 0.995, "{seed}: {report:#?}");
        assert!(report.plate_acc >= 0.985 && report.container_acc >= 0.985, "{seed}: {report:#?}");
        assert!(report.anomaly_macro_f1 >= 0.97 && report.anomaly_micro.f1 >= 0.97, "{seed}: {report:#?}");
        assert!(report.plate.unwrap().ece <= 0.02, "{seed}: {report:#?}");
        assert!(report.container.unwrap().ece <= 0.02, "{seed}: {report:#?}");
        assert!(report.anomaly.unwrap().ece <= 0.05, "{seed}: {report:#?}");
    }
}

#[test]
fn a_quay_is_followed_as_well_as_ever() {
    for seed in [7001, 7002, 7003] {
        let report = quay_report(&quay::Preset::QUAY, seed);
        assert!(report.gospa <= 5.2 && report.completeness >= 0.98, "{seed}: {report:#?}");
        assert!(report.false_per_s <= 0.15 && report.id_switches <= 18, "{seed}: {report:#?}");
    }
}

#[test]
fn a_gate_gives_the_same_bytes_however_its_log_is_fed() {
    let data = gate_trial(7004);
    let recorded = benchmark::gate::Recorded::read(data.path()).unwrap();
    assert!(!same_bytes(&recorded.records, &recorded.until()).is_empty());
}

#[test]
fn a_quay_gives_the_same_bytes_however_its_log_is_fed() {
    let data = quay_trial(7004);
    let recorded = benchmark::quay::Recorded::read(data.path()).unwrap();
    same_bytes(&recorded.records, &recorded.until());
    let tracks: [Vec<u8>; 2] = std::array::from_fn(|_| {
        let mut tracks = Vec::new();
        recorded.play(&mut tracks).unwrap();
        tracks
    });
    assert!(tracks[0] == tracks[1], "tracks differ");
}

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

fn gate_report(preset: &gate::Preset, seed: u64) -> score::gate::Report {
    let data = written(gate::Trial::make(preset, seed).files().unwrap());
    let mut said = Vec::new();
    benchmark::gate::run(data.path(), &mut said).unwrap();
    score::gate::score(data.path(), std::str::from_utf8(&said).unwrap()).unwrap()
}

fn quay_report(preset: &quay::Preset, seed: u64) -> score::quay::Report {
    let data = written(quay::Trial::make(preset, seed).files().unwrap());
    let mut tracks = Vec::new();
    benchmark::quay::run(data.path(), &mut tracks).unwrap();
    score::quay::score(data.path(), std::str::from_utf8(&tracks).unwrap()).unwrap()
}

/// Feeds a log twice, with a restart after every thousandth record, and with the time told at odd moments: the same is said,
/// and the engine is the same one afterwards.
fn same_bytes(records: &[Stamped], until: &Stamp) -> Vec<Situation> {
    let bytes = |said: &[Situation]| serde_json::to_vec(said).unwrap();
    let (expected, engine) = benchmark::played(records, until);
    let engine = engine.snapshot();
    for (how, (said, left)) in [
        ("again", benchmark::played(records, until)),
        ("restored at every 1,000th record", benchmark::restored(records, until, 1000)),
        ("told the time every 0.7 s", benchmark::told_the_time(records, until, Duration::from_millis(700))),
    ] {
        assert!(bytes(&said) == bytes(&expected), "{how}: not the same bytes");
        assert!(left.snapshot() == engine, "{how}: not the same engine");
    }
    expected
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
