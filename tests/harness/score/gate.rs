//! Scores what was made of a gate trial.

use super::{
    Unscorable,
    calibration::{Calibration, calibration},
    lines, text,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A passage is found if one is reported within this of it in the same lane, in seconds.
const PASSAGE_S: f64 = 4.0;
/// An anomaly is found if one is reported within this of it about the same subject, in seconds; of sensors and clocks within
/// more, and anywhere within the time it lasts.
const ANOMALY_S: f64 = 15.0;
const SENSOR_S: f64 = 300.0;
/// What is reported with less than this is not counted as reported, but its probability is judged.
const REPORTED: f64 = 0.5;

/// How good an engine was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Vehicles that were noticed.
    pub passages: Found,
    /// Share of all true passages that were found with the right plate.
    pub plate_acc: f64,
    /// Of the probabilities of plates of found passages.
    pub plate: Option<Calibration>,
    /// Share of all true passages with containers that were found with exactly the right ones.
    pub container_acc: f64,
    /// Of the probabilities of containers.
    pub container: Option<Calibration>,
    /// Of the probabilities of passages.
    pub passage: Option<Calibration>,
    /// From the moment a vehicle left to the moment that was said: half, 95 and 99 of a hundred were said within this, in
    /// seconds.
    pub latency_s: Option<[f64; 3]>,
    /// By kind.
    pub anomalies: BTreeMap<String, Found>,
    /// All kinds together.
    pub anomaly_micro: Found,
    /// Mean of the kinds' F1.
    pub anomaly_macro_f1: f64,
    /// Of the probabilities of anomalies.
    pub anomaly: Option<Calibration>,
}

/// What was found of what there was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Found {
    /// How many there were.
    pub n: usize,
    /// Share of the reported that were so.
    #[serde(rename = "p")]
    pub precision: f64,
    /// Share of those there were that were reported.
    #[serde(rename = "r")]
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Truth {
    Passage {
        lane: String,
        t: f64,
        plate: String,
        containers: Vec<String>,
    },
    Anomaly {
        kind: String,
        subj: String,
        t: f64,
        #[serde(default)]
        t_end: Option<f64>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    Passage(SaidPassage),
    Anomaly(SaidAnomaly),
}

#[derive(Debug, Deserialize)]
struct SaidPassage {
    emit: f64,
    lane: String,
    t: f64,
    #[serde(default = "certain")]
    p: f64,
    #[serde(default)]
    plate: Option<String>,
    /// `null` if it says nothing of how sure it is.
    #[serde(default = "surely")]
    plate_p: Option<f64>,
    #[serde(default)]
    containers: Option<Vec<String>>,
    #[serde(default = "certain")]
    cont_p: f64,
}

#[derive(Debug, Deserialize)]
struct SaidAnomaly {
    kind: String,
    subj: String,
    t: f64,
    #[serde(default = "certain")]
    p: f64,
}

fn certain() -> f64 {
    1.0
}

fn surely() -> Option<f64> {
    Some(1.0)
}

/// Scores results, one JSON value a line, against the truth of a data set's directory.
///
/// # Errors
/// If a file cannot be read or a line is not of the format.
pub fn score(data: &Path, results: &str) -> Result<Report, Unscorable> {
    let path = data.join("truth.jsonl");
    compare(lines(&path.display().to_string(), &text(&path)?)?, lines("results", results)?)
}

fn compare(truth: Vec<Truth>, said: Vec<Said>) -> Result<Report, Unscorable> {
    let (mut passages, mut anomalies) = (Vec::new(), Vec::new());
    for said in said {
        match said {
            Said::Passage(passage) => passages.push(passage),
            Said::Anomaly(anomaly) => anomalies.push(anomaly),
        }
    }
    let mut probabilities = passages.iter().flat_map(|said| [said.p, said.cont_p].into_iter().chain(said.plate_p));
    let mut of_anomalies = anomalies.iter().map(|said| said.p);
    if let Some(wrong) =
        probabilities.find(|p| !(0.0..=1.0).contains(p)).or(of_anomalies.find(|p| !(0.0..=1.0).contains(p)))
    {
        return Err(Unscorable(format!("results: {wrong} is no probability, 0 to 1 are")));
    }
    passages.retain(|said| said.p >= REPORTED);
    let mut report = judge_passages(&truth, &passages);
    judge_anomalies(&truth, &anomalies, &mut report);
    Ok(report)
}

fn judge_passages(truth: &[Truth], said: &[SaidPassage]) -> Report {
    let was: Vec<(&str, f64, &str, &Vec<String>)> = truth
        .iter()
        .filter_map(|truth| match truth {
            Truth::Passage { lane, t, plate, containers } => Some((lane.as_str(), *t, plate.as_str(), containers)),
            Truth::Anomaly { .. } => None,
        })
        .collect();
    let happened: Vec<Moment> = was.iter().map(|(lane, t, ..)| Moment { of: lane, t: *t, until: None }).collect();
    let reported: Vec<Moment> = said.iter().map(|said| Moment { of: &said.lane, t: said.t, until: None }).collect();
    let met = meet(&happened, &reported, PASSAGE_S);

    let plates: Vec<(Option<f64>, bool)> =
        met.iter().map(|(i, j)| (said[*j].plate_p, said[*j].plate.as_deref() == Some(was[*i].2))).collect();
    let right = |(i, j): &(usize, usize)| {
        let mut read = said[*j].containers.clone().unwrap_or_default();
        let mut there = was[*i].3.clone();
        read.sort();
        there.sort();
        (said[*j].cont_p, read == there)
    };
    let containers: Vec<(f64, bool)> = met.iter().filter(|(i, _)| !was[*i].3.is_empty()).map(right).collect();
    let loaded = was.iter().filter(|(.., containers)| !containers.is_empty()).count();
    let hit: BTreeSet<usize> = met.iter().map(|(_, j)| *j).collect();
    let noticed: Vec<(f64, bool)> = said.iter().enumerate().map(|(j, said)| (said.p, hit.contains(&j))).collect();
    let late: Vec<f64> = met.iter().map(|(i, j)| said[*j].emit - was[*i].1).collect();
    let stated: Vec<(f64, bool)> = plates.iter().filter_map(|(p, right)| Some(((*p)?, *right))).collect();
    Report {
        passages: found(met.len(), said.len(), was.len()),
        plate_acc: share(plates.iter().filter(|(_, right)| *right).count(), was.len()),
        plate: calibration(&stated),
        container_acc: share(containers.iter().filter(|(_, right)| *right).count(), loaded),
        container: calibration(&containers),
        passage: calibration(&noticed),
        latency_s: quantiles(late),
        anomalies: BTreeMap::new(),
        anomaly_micro: found(0, 0, 0),
        anomaly_macro_f1: 0.0,
        anomaly: None,
    }
}

fn judge_anomalies(truth: &[Truth], said: &[SaidAnomaly], report: &mut Report) {
    let mut was: BTreeMap<&str, Vec<Moment>> = BTreeMap::new();
    for truth in truth {
        if let Truth::Anomaly { kind, subj, t, t_end } = truth {
            was.entry(kind).or_default().push(Moment { of: subj, t: *t, until: *t_end });
        }
    }
    let mut stated = Vec::new();
    let (mut hits, mut reports, mut there) = (0, 0, 0);
    for (kind, was) in &was {
        let within = if kind.starts_with("sensor") || kind.starts_with("clock") { SENSOR_S } else { ANOMALY_S };
        let all: Vec<&SaidAnomaly> = said.iter().filter(|said| said.kind == **kind).collect();
        let hit: BTreeSet<usize> = meet(was, &moments(&all), within).into_iter().map(|(_, j)| j).collect();
        stated.extend(all.iter().enumerate().map(|(j, said)| (said.p, hit.contains(&j))));
        let counted: Vec<&SaidAnomaly> = all.into_iter().filter(|said| said.p >= REPORTED).collect();
        let met = meet(was, &moments(&counted), within).len();
        report.anomalies.insert((*kind).to_owned(), found(met, counted.len(), was.len()));
        hits += met;
        reports += counted.len();
        there += was.len();
    }
    report.anomaly_micro = found(hits, reports, there);
    let sum: f64 = report.anomalies.values().map(|found| found.f1).sum();
    report.anomaly_macro_f1 = sum / report.anomalies.len().max(1) as f64;
    report.anomaly = calibration(&stated);
}

fn moments<'a>(said: &[&'a SaidAnomaly]) -> Vec<Moment<'a>> {
    said.iter().map(|said| Moment { of: &said.subj, t: said.t, until: None }).collect()
}

/// Something at a time, of something.
struct Moment<'a> {
    of: &'a str,
    t: f64,
    until: Option<f64>,
}

/// Pairs of what happened and what was said about the same, each at most once, nearest in time first.
fn meet(happened: &[Moment], said: &[Moment], within: f64) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (i, was) in happened.iter().enumerate() {
        for (j, said) in said.iter().enumerate().filter(|(_, said)| said.of == was.of) {
            let apart = (said.t - was.t).abs();
            let during = was.until.is_some_and(|until| (was.t..=until).contains(&said.t));
            if apart <= within || during {
                pairs.push((apart, i, j));
            }
        }
    }
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then((one.1, one.2).cmp(&(other.1, other.2))));
    let (mut met, mut spoken_for) = (BTreeMap::new(), BTreeSet::new());
    let mut order = Vec::new();
    for (_, i, j) in pairs {
        if !met.contains_key(&i) && spoken_for.insert(j) {
            met.insert(i, j);
            order.push((i, j));
        }
    }
    order
}

fn found(hits: usize, reported: usize, there: usize) -> Found {
    let (precision, recall) = (share(hits, reported), share(hits, there));
    Found { n: there, precision, recall, f1: 2.0 * precision * recall / (precision + recall).max(1e-9) }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn quantiles(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some([0.5, 0.95, 0.99].map(|share| values[((share * values.len() as f64) as usize).min(last)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(truth: &str, said: &str) -> Report {
        compare(lines("truth", truth).unwrap(), lines("results", said).unwrap()).unwrap()
    }

    const TWO: &str = r#"{"type":"passage","id":"P1","lane":"in1","t":100.0,"plate":"AB12CDE","containers":["MSCU1234565"],"weight":1,"tag":null,"anomalies":[],"booked":null}
{"type":"passage","id":"P2","lane":"in1","t":105.0,"plate":"7KLM123","containers":[],"weight":1,"tag":null,"anomalies":[],"booked":null}"#;

    #[test]
    fn the_nearest_in_time_meet_first_and_each_only_once() {
        // 102.6 is nearer to 105, so that 100 has to do with 101.
        let said = r#"{"type":"passage","emit":103.0,"lane":"in1","t":102.6,"p":0.9,"plate":"7KLM123","plate_p":0.8}
{"type":"passage","emit":104.0,"lane":"in1","t":103.9,"p":0.8,"plate":"7KLM123","plate_p":0.6}
{"type":"passage","emit":102.0,"lane":"in1","t":101.0,"p":1.0,"plate":"AB12CDE","plate_p":1.0,"containers":["MSCU1234565"],"cont_p":0.9}
{"type":"passage","emit":102.0,"lane":"out1","t":100.0,"p":0.7,"plate":"AB12CDE"}
{"type":"passage","emit":102.0,"lane":"in1","t":100.0,"p":0.4,"plate":"AB12CDE"}"#;
        let report = report(TWO, said);
        assert_eq!((report.passages.n, report.passages.precision, report.passages.recall), (2, 0.5, 1.0));
        assert!((report.passages.f1 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((report.plate_acc, report.container_acc), (1.0, 1.0));
        // Plates met: 0.6 and 1.0, both right.
        let plate = report.plate.unwrap();
        assert!((plate.ece - 0.2).abs() < 1e-12 && (plate.brier - 0.08).abs() < 1e-12, "{plate:?}");
        assert!((report.container.unwrap().ece - 0.1).abs() < 1e-12);
        // Passages: 0.9 not met, 0.8 met, 1.0 met (with 0.9 in one bin), 0.7 not met.
        assert!((report.passage.unwrap().ece - (0.9 + 0.2 + 0.7) / 4.0).abs() < 1e-9, "{:?}", report.passage);
        assert_eq!(report.latency_s, Some([2.0, 2.0, 2.0]));
    }

    #[test]
    fn a_wrong_plate_and_a_container_too_many_do_not_count() {
        let said = r#"{"type":"passage","emit":100.5,"lane":"in1","t":100.0,"plate":"AB12CDF","plate_p":null,"containers":["MSCU1234565","CSQU3054383"]}"#;
        let report = report(TWO, said);
        assert_eq!((report.plate_acc, report.container_acc, report.plate), (0.0, 0.0, None));
        assert_eq!(report.passages.recall, 0.5);
        assert_eq!(report.container, Some(Calibration { ece: 1.0, brier: 1.0 }));
    }

    #[test]
    fn a_sensor_fault_may_be_said_late_and_anything_else_may_not() {
        let truth = r#"{"type":"anomaly","kind":"tailgate","subj":"in1","t":50.0,"passage":"P9"}
{"type":"anomaly","kind":"sensor_blind","subj":"ocr.in1","t":1000.0,"t_end":2000.0}
{"type":"anomaly","kind":"clock_step","subj":"anpr-b.in1","t":1000.0}"#;
        let said = r#"{"type":"anomaly","emit":1,"kind":"tailgate","subj":"in1","t":66.0,"p":0.8}
{"type":"anomaly","emit":1,"kind":"tailgate","subj":"in1","t":64.0,"p":0.3}
{"type":"anomaly","emit":1,"kind":"sensor_blind","subj":"ocr.in1","t":1900.0,"p":0.9}
{"type":"anomaly","emit":1,"kind":"clock_step","subj":"anpr-b.in1","t":1301.0}
{"type":"anomaly","emit":1,"kind":"unbooked","subj":"in1","t":64.0}"#;
        let report = report(truth, said);
        let f1 = |kind: &str| report.anomalies[kind].f1;
        assert_eq!((f1("tailgate"), f1("sensor_blind"), f1("clock_step")), (0.0, 1.0, 0.0));
        assert!((report.anomaly_macro_f1 - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((report.anomaly_micro.precision, report.anomaly_micro.recall), (1.0 / 3.0, 1.0 / 3.0));
        // The 0.3 met, the 0.8 and the 1.0 did not, the 0.9 did; a kind that does not occur is not judged.
        let ece = (0.7 + 0.8 + 0.1) / 4.0 - 0.1 / 4.0 + (1.9f64 - 1.0).abs() / 4.0;
        assert!((report.anomaly.unwrap().ece - ece).abs() < 1e-9, "{:?} {ece}", report.anomaly);
    }

    #[test]
    fn what_is_no_result_is_refused_with_its_line() {
        let wrong = lines::<Said>("results", "{\"type\":\"passage\"}").unwrap_err();
        assert!(wrong.to_string().starts_with("results, line 1: missing field"), "{wrong}");
        let said = lines("results", r#"{"type":"anomaly","kind":"tailgate","subj":"in1","t":1,"p":1.5}"#).unwrap();
        assert_eq!(compare(Vec::new(), said).unwrap_err().to_string(), "results: 1.5 is no probability, 0 to 1 are");
    }
}
