//! Scores what was made of a quay trial.

use super::{Unscorable, assignment::assign, lines, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A track further from a thing than this, in metres, is not about it.
const CUTOFF_M: f64 = 10.0;

/// How good a tracker was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Generalised optimal sub-pattern assignment (Rahmathullah, García-Fernández and Svensson, 2017), c = 10 m, p = 2, alpha =
    /// 2: mean over the seconds, in metres.
    pub gospa: f64,
    /// Optimal sub-pattern assignment (Schuhmacher, Vo and Vo, 2008), as above.
    pub ospa: f64,
    /// Root of the mean square distance of what was found, in metres.
    pub rmse: f64,
    /// Share of things that had a track, over all seconds.
    pub completeness: f64,
    /// Share of tracks that had no thing.
    pub spurious: f64,
    /// Things without a track, mean of the seconds.
    pub missed_per_s: f64,
    /// Tracks without a thing, mean of the seconds.
    pub false_per_s: f64,
    /// How often a thing was found under another id than before.
    pub id_switches: usize,
    /// How many ids there were.
    pub tracks: usize,
    /// How many of them never were about anything.
    pub false_tracks: usize,
    /// How long it took until a thing was found, mean of those that were, in seconds.
    pub confirm_s: Option<f64>,
    /// How many things were never found.
    pub never_found: usize,
}

#[derive(Debug, Deserialize)]
struct Epoch {
    t: f64,
    objs: Vec<(u64, String, f64, f64, f64, f64)>,
}

#[derive(Debug, Deserialize)]
struct Said {
    t: f64,
    /// An id, a text or a number, and where.
    tracks: Vec<(Value, f64, f64)>,
}

/// Scores tracks, one JSON value a second, against the truth of a data set's directory.
///
/// # Errors
/// If a file cannot be read or a line is not of the format.
pub fn score(data: &Path, tracks: &str) -> Result<Report, Unscorable> {
    let path = data.join("truth.jsonl");
    let truth: Vec<Epoch> = lines(&path.display().to_string(), &text(&path)?)?;
    Ok(compare(&truth, lines("tracks", tracks)?))
}

#[derive(Debug, Default)]
struct Sums {
    gospa: f64,
    ospa: f64,
    squares: f64,
    missed: usize,
    unreal: usize,
    things: usize,
    tracks: usize,
    switches: usize,
    /// The id a thing was last found under.
    last: BTreeMap<u64, String>,
    appeared: BTreeMap<u64, f64>,
    found: BTreeMap<u64, f64>,
    ids: BTreeSet<String>,
    real: BTreeSet<String>,
}

fn compare(truth: &[Epoch], said: Vec<Said>) -> Report {
    let mut said: BTreeMap<i64, Vec<(Value, f64, f64)>> =
        said.into_iter().map(|said| (millis(said.t), said.tracks)).collect();
    let mut sums = Sums::default();
    for epoch in truth {
        let tracks = said.remove(&millis(epoch.t)).unwrap_or_default();
        sums.add(epoch, &tracks);
    }
    sums.report(truth.len())
}

/// Times are the same if they are the same to the millisecond.
fn millis(t: f64) -> i64 {
    (t * 1000.0).round() as i64
}

impl Sums {
    fn add(&mut self, epoch: &Epoch, tracks: &[(Value, f64, f64)]) {
        let ids: Vec<String> = tracks.iter().map(|(id, ..)| id.to_string()).collect();
        self.ids.extend(ids.iter().cloned());
        for (id, ..) in &epoch.objs {
            self.appeared.entry(*id).or_insert(epoch.t);
        }
        let (things, tracked) = (epoch.objs.len(), tracks.len());
        let apart = |thing: usize, track: usize| {
            let ((_, _, x, y, ..), (_, at_x, at_y)) = (&epoch.objs[thing], &tracks[track]);
            (x - at_x).hypot(y - at_y).min(CUTOFF_M)
        };
        let assigned = assign(things, tracked, |thing, track| apart(thing, track).powi(2));
        let (mut squares, mut cut, mut met) = (0.0, 0.0, 0);
        for (thing, track) in assigned.into_iter().enumerate().filter_map(|(thing, track)| Some((thing, track?))) {
            let distance = apart(thing, track);
            cut += distance * distance;
            if distance < CUTOFF_M {
                squares += distance * distance;
                met += 1;
                self.meets(epoch.objs[thing].0, &ids[track], epoch.t);
            }
        }
        let (missed, unreal) = (things - met, tracked - met);
        let penalty = CUTOFF_M * CUTOFF_M;
        self.gospa += (squares + penalty / 2.0 * (missed + unreal) as f64).sqrt();
        self.ospa += match things.max(tracked) {
            0 => 0.0,
            most => ((cut + penalty * things.abs_diff(tracked) as f64) / most as f64).sqrt(),
        };
        self.squares += squares;
        self.missed += missed;
        self.unreal += unreal;
        self.things += things;
        self.tracks += tracked;
    }

    fn meets(&mut self, thing: u64, id: &str, t: f64) {
        self.real.insert(id.to_owned());
        self.found.entry(thing).or_insert(t);
        let before = self.last.insert(thing, id.to_owned());
        self.switches += usize::from(before.is_some_and(|before| before != id));
    }

    fn report(&self, epochs: usize) -> Report {
        let seconds = epochs.max(1) as f64;
        let matched = self.things - self.missed;
        let took: f64 = self.found.iter().map(|(thing, t)| t - self.appeared[thing]).sum();
        Report {
            gospa: self.gospa / seconds,
            ospa: self.ospa / seconds,
            rmse: (self.squares / matched.max(1) as f64).sqrt(),
            completeness: matched as f64 / self.things.max(1) as f64,
            spurious: self.unreal as f64 / self.tracks.max(1) as f64,
            missed_per_s: self.missed as f64 / seconds,
            false_per_s: self.unreal as f64 / seconds,
            id_switches: self.switches,
            tracks: self.ids.len(),
            false_tracks: self.ids.difference(&self.real).count(),
            confirm_s: (!self.found.is_empty()).then(|| took / self.found.len() as f64),
            never_found: self.appeared.len() - self.found.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(truth: &str, said: &str) -> Report {
        compare(&lines::<Epoch>("truth", truth).unwrap(), lines("tracks", said).unwrap())
    }

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} is not {other}");
    }

    #[test]
    fn a_track_three_metres_off_and_one_that_is_nothing() {
        let truth = r#"{"t":1.0,"objs":[[1,"person",0.0,0.0,1.0,0.0]]}"#;
        let said = r#"{"t":1.0,"tracks":[["a",3.0,0.0],["b",50.0,0.0]]}"#;
        let report = report(truth, said);
        near(report.gospa, (9.0f64 + 50.0).sqrt());
        near(report.ospa, ((9.0f64 + 100.0) / 2.0).sqrt());
        near(report.rmse, 3.0);
        assert_eq!((report.completeness, report.spurious, report.false_per_s), (1.0, 0.5, 1.0));
        assert_eq!((report.tracks, report.false_tracks, report.id_switches, report.never_found), (2, 1, 0, 0));
    }

    #[test]
    fn what_is_ten_metres_off_is_a_miss_and_a_false_track() {
        let truth = r#"{"t":1.0,"objs":[[1,"person",0.0,0.0,1.0,0.0]]}"#;
        let report = report(truth, r#"{"t":1.0,"tracks":[["a",10.0,0.0]]}"#);
        near(report.gospa, 10.0);
        near(report.ospa, 10.0);
        assert_eq!(
            (report.completeness, report.missed_per_s, report.confirm_s, report.never_found),
            (0.0, 1.0, None, 1)
        );
    }

    #[test]
    fn two_things_that_swap_their_ids_are_two_switches_and_a_gap_forgets_none() {
        let truth = r#"{"t":0.0,"objs":[[1,"boat",0.0,0.0,0,0],[2,"boat",30.0,0.0,0,0]]}
{"t":1.0,"objs":[[1,"boat",0.0,0.0,0,0],[2,"boat",30.0,0.0,0,0]]}
{"t":2.0,"objs":[[1,"boat",0.0,0.0,0,0],[2,"boat",30.0,0.0,0,0]]}
{"t":3.0,"objs":[]}"#;
        let said = r#"{"t":1.0,"tracks":[["a",0.0,0.0],["b",30.0,0.0]]}
{"t":2.0,"tracks":[["b",0.0,0.0],["a",30.0,0.0]]}
{"t":3.0,"tracks":[]}
{"t":7.0,"tracks":[["never asked for",0.0,0.0]]}"#;
        let report = report(truth, said);
        assert_eq!((report.id_switches, report.tracks, report.false_tracks), (2, 2, 0));
        near(report.completeness, 4.0 / 6.0);
        near(report.missed_per_s, 0.5);
        near(report.gospa, 100f64.sqrt() / 4.0);
        near(report.ospa, 2.5);
        assert_eq!(report.confirm_s, Some(1.0));
    }

    #[test]
    fn ids_may_be_numbers_and_a_number_is_no_text() {
        let truth = r#"{"t":0.0,"objs":[[1,"boat",0.0,0.0,0,0]]}
{"t":1.0,"objs":[[1,"boat",0.0,0.0,0,0]]}"#;
        let said = r#"{"t":0.0,"tracks":[[7,0.0,0.0]]}
{"t":1.0,"tracks":[["7",0.0,0.0]]}"#;
        assert_eq!(report(truth, said).id_switches, 1);
    }
}
