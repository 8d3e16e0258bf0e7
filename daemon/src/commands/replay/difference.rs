//! What two runs over one log say differently.

use super::shown;
use quaywatch_schemas::{
    Situation, WallTime, ZoneId,
    site::rules::Mode,
    situation::{Certainty, Phase, Severity, SituationId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// What one engine made of a log: one entry per situation, not per revision.
#[derive(Debug, Default)]
pub(super) struct Run(BTreeMap<SituationId, Life>);

/// A situation from its opening to its end.
#[derive(Debug, Clone, PartialEq)]
struct Life {
    kind: String,
    zone: ZoneId,
    /// When it was first said.
    first: WallTime,
    from: WallTime,
    until: Option<WallTime>,
    /// When anything was last said of it.
    last: WallTime,
    /// The probability when it was surest.
    surest: f64,
    severity: Severity,
    told: bool,
    taken_back: bool,
}

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Difference {
    rows: Vec<(WallTime, String)>,
    counts: BTreeMap<String, Counts>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    recorded: usize,
    instead: usize,
    gone: usize,
    new: usize,
    changed: usize,
}

impl Run {
    pub(super) fn take(&mut self, situations: Vec<Situation>) {
        for situation in situations {
            let life = self.0.entry(situation.id).or_insert_with(|| Life {
                kind: situation.kind.clone(),
                zone: situation.zone.clone(),
                first: situation.concluded_wall,
                from: situation.from,
                until: None,
                last: situation.concluded_wall,
                surest: 0.0,
                severity: situation.severity,
                told: situation.mode == Mode::Tell,
                taken_back: false,
            });
            life.from = situation.from;
            life.until = situation.until;
            life.last = situation.concluded_wall;
            life.surest = life.surest.max(situation.probability);
            life.severity = life.severity.max(situation.severity);
            life.taken_back = situation.phase == Phase::Retracted;
        }
    }

    /// Situations are the same if they have the same id; else if they are in one zone at one time, first those of one kind.
    pub(super) fn compared_with(&self, instead: &Self, shown: &dyn Fn(WallTime) -> bool) -> Difference {
        let mut left: BTreeSet<&SituationId> = self.0.keys().collect();
        let mut right: BTreeSet<&SituationId> = instead.0.keys().collect();
        let mut pairs: Vec<(&Life, &Life)> = Vec::new();
        for (id, life) in &self.0 {
            if let Some(other) = instead.0.get(id) {
                pairs.push((life, other));
                left.remove(id);
                right.remove(id);
            }
        }
        for same_kind in [true, false] {
            for id in left.clone() {
                let Some(life) = self.0.get(id) else { continue };
                let mut candidates = right.iter().filter_map(|id| Some((*id, instead.0.get(*id)?)));
                let other = candidates.find(|(_, other)| life.meets(other) && (life.kind == other.kind) == same_kind);
                if let Some((other_id, other)) = other {
                    pairs.push((life, other));
                    left.remove(id);
                    right.remove(other_id);
                }
            }
        }
        let mut difference = Difference::default();
        for (life, other) in pairs.into_iter().filter(|(life, other)| shown(life.first) || shown(other.first)) {
            difference.pair(life, other);
        }
        for life in left.into_iter().filter_map(|id| self.0.get(id)).filter(|life| shown(life.first)) {
            difference
                .count(&life.kind, |counts| (counts.recorded, counts.gone) = (counts.recorded + 1, counts.gone + 1));
            difference.rows.push((life.first, format!("- {}", life.describe())));
        }
        for life in right.into_iter().filter_map(|id| instead.0.get(id)).filter(|life| shown(life.first)) {
            difference.count(&life.kind, |counts| (counts.instead, counts.new) = (counts.instead + 1, counts.new + 1));
            difference.rows.push((life.first, format!("+ {}", life.describe())));
        }
        difference.rows.sort();
        difference
    }
}

impl Difference {
    fn pair(&mut self, life: &Life, other: &Life) {
        let changes = life.changes(other);
        self.count(&life.kind, |counts| counts.recorded += 1);
        self.count(&other.kind, |counts| counts.instead += 1);
        if !changes.is_empty() {
            self.count(&life.kind, |counts| counts.changed += 1);
            self.rows.push((life.first, format!("~ {}: {}", life.describe(), changes.join("; "))));
        }
    }

    fn count(&mut self, kind: &str, change: impl FnOnce(&mut Counts)) {
        change(self.counts.entry(kind.to_owned()).or_default());
    }

    /// What differs, one line each, by the time it was first said.
    pub(super) fn rows(&self) -> String {
        if self.rows.is_empty() {
            return "no difference\n".into();
        }
        self.rows.iter().map(|(_, row)| format!("{row}\n")).collect()
    }

    /// How many there are of each kind.
    pub(super) fn counts(&self) -> String {
        let wide = self.counts.keys().map(String::len).max().unwrap_or(0).max("kind".len());
        let mut text = format!("\n{:<wide$}  recorded  with it  gone  new  changed\n", "kind");
        for (kind, counts) in &self.counts {
            let Counts { recorded, instead, gone, new, changed } = counts;
            let _ = writeln!(text, "{kind:<wide$}  {recorded:>8}  {instead:>7}  {gone:>4}  {new:>3}  {changed:>7}");
        }
        text
    }
}

impl Life {
    fn meets(&self, other: &Self) -> bool {
        let end = |life: &Self| life.until.map_or(life.last, |until| until.max(life.last));
        self.zone == other.zone && self.from <= end(other) && other.from <= end(self)
    }

    fn describe(&self) -> String {
        let taken_back = if self.taken_back { ", taken back" } else { "" };
        let told = if self.told { "told" } else { "observed only" };
        format!(
            "{}  {} in {}, {:?} {:.1} %, {told}{taken_back}",
            shown(self.first, "%Y-%m-%d %H:%M:%S%.1f"),
            self.kind,
            self.zone,
            Certainty::of(self.surest),
            100.0 * self.surest,
        )
    }

    /// What a reader would see change, in words.
    fn changes(&self, other: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.kind != other.kind {
            changes.push(format!("is {} instead", other.kind));
        }
        let percent = |life: &Self| format!("{:.1} %", 100.0 * life.surest);
        if percent(self) != percent(other) {
            let words = match (Certainty::of(self.surest), Certainty::of(other.surest)) {
                (before, now) if before == now => String::new(),
                (before, now) => format!(", {before:?} -> {now:?}"),
            };
            changes.push(format!("{} -> {}{words}", percent(self), percent(other)));
        }
        let mut moved = |what: &str, before: WallTime, now: WallTime| {
            let seconds = now.0.saturating_sub(before.0) as f64 / 1e9;
            if seconds.abs() >= 0.05 {
                let way = if seconds > 0.0 { "later" } else { "earlier" };
                changes.push(format!("{what} {:.1} s {way}", seconds.abs()));
            }
        };
        moved("first said", self.first, other.first);
        moved("since", self.from, other.from);
        match (self.until, other.until) {
            (Some(before), Some(now)) => moved("over", before, now),
            (None, Some(_)) => changes.push("ends".into()),
            (Some(_), None) => changes.push("does not end".into()),
            (None, None) => {}
        }
        if self.severity != other.severity {
            changes.push(format!("{:?} -> {:?}", self.severity, other.severity));
        }
        match (self.taken_back, other.taken_back) {
            (false, true) => changes.push("is taken back".into()),
            (true, false) => changes.push("is not taken back".into()),
            _ => {}
        }
        match (self.told, other.told) {
            (false, true) => changes.push("is told".into()),
            (true, false) => changes.push("is observed only".into()),
            _ => {}
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::fictional;
    use quaywatch_schemas::Position;
    use std::time::Duration;

    fn said(position: u64, change: impl FnOnce(&mut Situation)) -> Situation {
        let mut situation = fictional::tailgating();
        situation.id = SituationId::of(&[0; 32], "gate-2", "x", &situation.zone, Position(position));
        change(&mut situation);
        situation
    }

    fn run(situations: Vec<Situation>) -> Run {
        let mut run = Run::default();
        run.take(situations);
        run
    }

    #[test]
    fn the_same_conclusions_are_no_difference() {
        let one = run(vec![said(1, |_| {}), said(2, |it| it.zone = ZoneId::new("lane-4").unwrap())]);
        let difference = one.compared_with(&one, &|_| true);
        assert_eq!(difference.rows(), "no difference\n");
        assert_eq!(difference.counts["gate.tailgating"], Counts { recorded: 2, instead: 2, ..Counts::default() });
    }

    #[test]
    fn what_goes_comes_and_changes_is_said_with_its_time_kind_and_probability() {
        let elsewhere = |zone: &str| ZoneId::new(zone).unwrap();
        let hour = Duration::from_secs(3600);
        let recorded = run(vec![
            said(1, |_| {}),
            said(2, |it| it.zone = elsewhere("lane-4")),
            said(3, |it| it.zone = elsewhere("lane-5")),
            said(4, |it| (it.zone, it.from) = (elsewhere("lane-6"), it.from.before(hour))),
        ]);
        let instead = run(vec![
            said(1, |it| {
                it.probability = 0.4;
                it.concluded_wall = it.concluded_wall.after(Duration::from_secs(3));
                it.phase = Phase::Retracted;
            }),
            // Begins with another record and is the same event.
            said(20, |it| (it.zone, it.mode) = (elsewhere("lane-4"), Mode::Observe)),
            said(30, |it| (it.zone, it.kind) = (elsewhere("lane-5"), "gate.passage".into())),
            said(40, |it| it.zone = elsewhere("lane-7")),
        ]);
        let difference = recorded.compared_with(&instead, &|_| true);
        let rows = difference.rows();
        for row in [
            "~ 2026-03-14 02:12:19.6  gate.tailgating in lane-3, Likely 91.0 %, told: 91.0 % -> 40.0 %, Likely -> Possible; first said 3.0 s later; is taken back\n",
            "lane-4, Likely 91.0 %, told: is observed only\n",
            "lane-5, Likely 91.0 %, told: is gate.passage instead\n",
            "- 2026-03-14 02:12:19.6  gate.tailgating in lane-6, Likely 91.0 %, told\n",
            "+ 2026-03-14 02:12:19.6  gate.tailgating in lane-7, Likely 91.0 %, told\n",
        ] {
            assert!(rows.contains(row), "{row:?} in\n{rows}");
        }
        assert_eq!(rows.lines().count(), 5);
        let counts = Counts { recorded: 4, instead: 3, gone: 1, new: 1, changed: 3 };
        assert_eq!(difference.counts["gate.tailgating"], counts);
        assert!(
            difference.counts().contains("gate.tailgating         4        3     1    1        3\n"),
            "{}",
            difference.counts()
        );
    }

    #[test]
    fn what_was_said_outside_the_time_asked_for_is_not_compared() {
        let one = run(vec![said(1, |_| {})]);
        let difference = one.compared_with(&Run::default(), &|_| false);
        assert_eq!((difference.rows().as_str(), difference.counts.len()), ("no difference\n", 0));
    }
}
