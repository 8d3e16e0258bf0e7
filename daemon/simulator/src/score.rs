//! What was said against what was true.
//!
//! A recipient's first product on a situation is a saying. A saying of the right kind, to the right recipient, at the right
//! place and while it was true meets the truth; one that no truth is behind is wrong, whoever retracts it later; a truth that
//! somebody who should have been told was not told in time is missed. What has not had its time yet is neither.

use crate::world::{Statement, Truth};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Said this much after it was any use, a saying is still of its truth: too late rather than wrong.
const STILL_ABOUT_IT: Duration = Duration::from_secs(60);
/// Situations remembered so that their later products are not taken for new ones. A round has about forty.
const MOST_REFERENCES: usize = 4096;
/// Wrong sayings kept word for word; beyond that they are only counted.
const MOST_WRONG: usize = 50;

/// A recipient's first product on a situation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// To whom.
    pub recipient: String,
    /// The recipient's reference of the situation.
    pub reference: String,
    /// What kind.
    pub kind: String,
    /// Where.
    pub zone: String,
    /// When it arrived.
    pub at: Duration,
}

/// Keeps score while the world goes on.
#[derive(Debug, Default)]
pub struct Scorer {
    /// What has not had its time.
    open: Vec<Expected>,
    rows: BTreeMap<usize, Row>,
    order: Vec<(&'static str, &'static str)>,
    references: VecDeque<(String, String, Option<Met>)>,
    wrong: Vec<Said>,
    wrong_count: usize,
}

#[derive(Debug)]
struct Expected {
    truth: Truth,
    /// When each of its musts was said.
    said: Vec<Option<Duration>>,
}

/// Which must a saying met, so that a retraction can take it back.
#[derive(Debug, Clone, PartialEq)]
struct Met {
    what: &'static str,
    begins: Duration,
    must: Statement,
}

/// What became of one kind of story at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What happened.
    pub what: &'static str,
    /// Where.
    pub zone: &'static str,
    /// Which kinds have to be said, to whom.
    pub must: Vec<Statement>,
    /// How often it happened.
    pub times: usize,
    /// How often everybody who had to know was told in time.
    pub said: usize,
    /// Lateness of everything that was said in time, summed up, and how many that were.
    late_sum: Duration,
    late_count: u32,
    /// The most.
    late_most: Duration,
}

/// The score at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One row for each kind of story and place, in the order they first happened.
    pub rows: Vec<Row>,
    /// What was said wrongly, oldest first; at most fifty.
    pub wrong: Vec<Said>,
    /// How many things were said wrongly.
    pub wrong_count: usize,
    /// Stories that have not had their time yet.
    pub under_way: usize,
}

impl Scorer {
    /// Something happens, or will; it has to be told before anything that is said of it.
    pub fn expect(&mut self, truth: Truth) {
        let key = (truth.what, truth.zone);
        if !self.order.contains(&key) {
            self.order.push(key);
        }
        let said = vec![None; truth.must.len()];
        self.open.push(Expected { truth, said });
    }

    /// A product arrived. Only the first of a recipient's situation counts; a retraction takes it back.
    pub fn hear(&mut self, said: Said, retracted: bool) {
        let known =
            self.references.iter().position(|(to, reference, _)| *to == said.recipient && *reference == said.reference);
        if let Some(known) = known {
            if retracted && let Some(met) = self.references[known].2.take() {
                self.take_back(&met);
            }
            return;
        }
        if retracted {
            return;
        }
        let met = self.meet(&said);
        if self.references.len() == MOST_REFERENCES {
            self.references.pop_front();
        }
        let met = match met {
            Meeting::Must(met) => Some(met),
            Meeting::May => None,
            Meeting::Nothing => {
                self.wrong_count += 1;
                if self.wrong.len() < MOST_WRONG {
                    self.wrong.push(said.clone());
                }
                None
            }
        };
        self.references.push_back((said.recipient, said.reference, met));
    }

    /// Lets go of what can neither be met nor taken back any more, so that a demo may run for weeks.
    pub fn settle(&mut self, now: Duration) {
        let (done, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|expected| expected.truth.by.max(expected.truth.over) + STILL_ABOUT_IT < now);
        self.open = open;
        for expected in done {
            count(&mut self.rows, &self.order, &expected);
        }
    }

    /// The score now. Stories that have not begun are not in it.
    pub fn report(&self, now: Duration) -> Report {
        let mut rows = self.rows.clone();
        let mut under_way = 0;
        for expected in self.open.iter().filter(|expected| expected.truth.begins <= now) {
            if expected.is_decided(now) {
                count(&mut rows, &self.order, expected);
            } else {
                under_way += 1;
            }
        }
        Report {
            rows: rows.into_values().collect(),
            wrong: self.wrong.clone(),
            wrong_count: self.wrong_count,
            under_way,
        }
    }

    /// The truth a saying is about: of those that still lack it the one that began first, in time before too late; else one
    /// that says it may be said (again).
    fn meet(&mut self, said: &Said) -> Meeting {
        let about = |statement: &Statement| statement.recipient == said.recipient && statement.kind == said.kind;
        let here = |expected: &Expected| expected.truth.zone == said.zone && expected.truth.begins <= said.at;
        let mut lacking: Vec<(bool, Duration, usize, usize)> = Vec::new();
        for (index, expected) in self.open.iter().enumerate().filter(|(_, expected)| here(expected)) {
            let until = expected.truth.by + STILL_ABOUT_IT;
            for (place, must) in expected.truth.must.iter().enumerate() {
                if about(must) && expected.said[place].is_none() && said.at <= until {
                    lacking.push((said.at > expected.truth.by, expected.truth.begins, index, place));
                }
            }
        }
        if let Some((_, begins, index, place)) = lacking.into_iter().min() {
            let expected = &mut self.open[index];
            expected.said[place] = Some(said.at);
            return Meeting::Must(Met { what: expected.truth.what, begins, must: expected.truth.must[place] });
        }
        let may =
            self.open.iter().filter(|expected| here(expected) && said.at <= expected.truth.over.max(expected.truth.by));
        match may.flat_map(|expected| expected.truth.must.iter().chain(&expected.truth.may)).any(about) {
            true => Meeting::May,
            false => Meeting::Nothing,
        }
    }

    fn take_back(&mut self, met: &Met) {
        let expected = self
            .open
            .iter_mut()
            .find(|expected| expected.truth.what == met.what && expected.truth.begins == met.begins);
        let Some(expected) = expected else { return };
        let place = expected.truth.must.iter().position(|must| *must == met.must);
        if let Some(place) = place {
            expected.said[place] = None;
        }
    }
}

enum Meeting {
    Must(Met),
    May,
    Nothing,
}

impl Expected {
    /// Whether nothing can change whether it was said in time, but for a retraction.
    fn is_decided(&self, now: Duration) -> bool {
        now > self.truth.by || self.in_time().all(|in_time| in_time.is_some())
    }

    /// How late each must was said, if it was said in time.
    fn in_time(&self) -> impl Iterator<Item = Option<Duration>> + '_ {
        self.said
            .iter()
            .map(|said| said.filter(|said| *said <= self.truth.by).map(|said| said.saturating_sub(self.truth.complete)))
    }
}

fn count(rows: &mut BTreeMap<usize, Row>, order: &[(&'static str, &'static str)], expected: &Expected) {
    let truth = &expected.truth;
    let Some(place) = order.iter().position(|key| *key == (truth.what, truth.zone)) else { return };
    let row = rows.entry(place).or_insert_with(|| Row {
        what: truth.what,
        zone: truth.zone,
        must: truth.must.clone(),
        times: 0,
        said: 0,
        late_sum: Duration::ZERO,
        late_count: 0,
        late_most: Duration::ZERO,
    });
    row.times += 1;
    row.said += usize::from(expected.in_time().all(|late| late.is_some()));
    for late in expected.in_time().flatten() {
        row.late_sum += late;
        row.late_count += 1;
        row.late_most = row.late_most.max(late);
    }
}

impl Row {
    /// How often somebody who had to know was not told in time.
    pub fn missed(&self) -> usize {
        self.times - self.said
    }

    /// Mean and greatest lateness of what was said in time, from the moment whoever sees everything could have said it.
    pub fn late(&self) -> Option<(Duration, Duration)> {
        (self.late_count > 0).then(|| (self.late_sum / self.late_count, self.late_most))
    }
}

impl Report {
    /// How many stories had their time.
    pub fn stories(&self) -> usize {
        self.rows.iter().map(|row| row.times).sum()
    }

    /// How many of them were said to everybody who had to know, in time.
    pub fn said(&self) -> usize {
        self.rows.iter().map(|row| row.said).sum()
    }

    /// How many were not.
    pub fn missed(&self) -> usize {
        self.stories() - self.said()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{GATE_DESK, PORT_POLICE};

    const TAILGATING: &str = "gate.tailgating";

    fn truth(begins: u64) -> Truth {
        Truth {
            what: "a second truck on one grant",
            zone: "lane-2",
            begins: Duration::from_secs(begins),
            complete: Duration::from_secs(begins + 1),
            by: Duration::from_secs(begins + 8),
            over: Duration::from_secs(begins + 10),
            must: vec![
                Statement { recipient: PORT_POLICE, kind: TAILGATING },
                Statement { recipient: GATE_DESK, kind: TAILGATING },
            ],
            may: vec![Statement { recipient: PORT_POLICE, kind: "sensor.silent" }],
        }
    }

    fn said(recipient: &str, reference: &str, kind: &str, at: u64) -> Said {
        Said {
            recipient: recipient.into(),
            reference: reference.into(),
            kind: kind.into(),
            zone: "lane-2".into(),
            at: Duration::from_secs(at),
        }
    }

    fn numbers(scorer: &Scorer, now: u64) -> (usize, usize, usize, usize) {
        let report = scorer.report(Duration::from_secs(now));
        (report.stories(), report.said(), report.missed(), report.wrong_count)
    }

    #[test]
    fn a_story_is_said_once_everybody_who_must_know_was_told() {
        let mut scorer = Scorer::default();
        scorer.expect(truth(10));
        scorer.hear(said(PORT_POLICE, "QW-1", TAILGATING, 12), false);
        assert_eq!(numbers(&scorer, 13), (0, 0, 0, 0), "the gate desk may still be told");
        scorer.hear(said(GATE_DESK, "QW-2", TAILGATING, 14), false);
        scorer.hear(said(GATE_DESK, "QW-2", TAILGATING, 15), false);
        assert_eq!(numbers(&scorer, 16), (1, 1, 0, 0));
        let late = scorer.report(Duration::from_secs(16)).rows[0].late();
        assert_eq!(late, Some((Duration::from_secs(2), Duration::from_secs(3))));
    }

    #[test]
    fn who_is_not_told_in_time_makes_it_missed_and_too_late_is_not_wrong() {
        let mut scorer = Scorer::default();
        scorer.expect(truth(10));
        scorer.hear(said(PORT_POLICE, "QW-1", TAILGATING, 12), false);
        assert_eq!(numbers(&scorer, 19), (1, 0, 1, 0));
        scorer.hear(said(GATE_DESK, "QW-2", TAILGATING, 30), false);
        assert_eq!(numbers(&scorer, 31), (1, 0, 1, 0));
    }

    #[test]
    fn what_nothing_true_is_behind_is_wrong() {
        let mut scorer = Scorer::default();
        scorer.expect(truth(10));
        let elsewhere = Said { zone: "lane-1".into(), ..said(PORT_POLICE, "QW-1", TAILGATING, 12) };
        for (wrong, so_far) in [
            (said(PORT_POLICE, "QW-3", TAILGATING, 9), 1),
            (elsewhere, 2),
            (said(PORT_POLICE, "QW-4", "gate.passage", 12), 3),
            (said(GATE_DESK, "QW-5", "sensor.silent", 12), 4),
            (said(PORT_POLICE, "QW-6", TAILGATING, 90), 5),
        ] {
            scorer.hear(wrong, false);
            assert_eq!(scorer.report(Duration::from_secs(91)).wrong_count, so_far);
        }
        scorer.hear(said(PORT_POLICE, "QW-7", "sensor.silent", 12), false);
        assert_eq!(scorer.report(Duration::from_secs(91)).wrong_count, 5, "this one may be said");
    }

    #[test]
    fn a_retraction_takes_a_saying_back_and_does_not_unsay_a_wrong_one() {
        let mut scorer = Scorer::default();
        scorer.expect(truth(10));
        for (recipient, reference) in [(PORT_POLICE, "QW-1"), (GATE_DESK, "QW-2")] {
            scorer.hear(said(recipient, reference, TAILGATING, 12), false);
        }
        scorer.hear(said(PORT_POLICE, "QW-9", "gate.passage", 12), false);
        assert_eq!(numbers(&scorer, 13), (1, 1, 0, 1));
        scorer.hear(said(PORT_POLICE, "QW-1", TAILGATING, 14), true);
        scorer.hear(said(PORT_POLICE, "QW-9", "gate.passage", 14), true);
        assert_eq!(numbers(&scorer, 20), (1, 0, 1, 1));
    }

    #[test]
    fn two_of_the_same_need_two_sayings_and_a_third_is_one_of_them_again() {
        let mut scorer = Scorer::default();
        scorer.expect(truth(10));
        scorer.expect(truth(12));
        scorer.hear(said(PORT_POLICE, "QW-1", TAILGATING, 13), false);
        scorer.hear(said(GATE_DESK, "QW-2", TAILGATING, 13), false);
        assert_eq!(numbers(&scorer, 14), (1, 1, 0, 0));
        scorer.hear(said(PORT_POLICE, "QW-3", TAILGATING, 15), false);
        scorer.hear(said(GATE_DESK, "QW-4", TAILGATING, 15), false);
        scorer.hear(said(PORT_POLICE, "QW-5", TAILGATING, 16), false);
        assert_eq!(numbers(&scorer, 20), (2, 2, 0, 0));
    }

    #[test]
    fn settling_changes_no_number_and_forgets_what_is_past() {
        let mut scorer = Scorer::default();
        for begins in [10, 20, 1000] {
            scorer.expect(truth(begins));
        }
        for (recipient, reference) in [(PORT_POLICE, "QW-1"), (GATE_DESK, "QW-2")] {
            scorer.hear(said(recipient, reference, TAILGATING, 12), false);
        }
        let before = scorer.report(Duration::from_secs(200));
        scorer.settle(Duration::from_secs(200));
        assert_eq!(scorer.report(Duration::from_secs(200)), before);
        assert_eq!((before.stories(), before.said(), before.under_way), (2, 1, 0));
        assert_eq!(scorer.open.len(), 1);
    }
}
