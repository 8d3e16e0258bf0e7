//! Whether a pattern is in order: bounded in time and size, each step possible, nothing pointing nowhere.

use super::{
    At, Compare, Expect, Key, LONGEST, LONGEST_GUARD, LONGEST_SENTENCE, MOST_EXPECTED, MOST_PARTIAL, MOST_STATES,
    MOST_STEPS, MOST_WEIGHT, Parts, Refused, SHORTEST, Says, Shape, Source, Span, Step,
};
use crate::site::Role;
use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

pub(super) fn all(parts: &Parts) -> Vec<Refused> {
    let mut judge = Judge(Vec::new());
    judge.size(parts);
    judge.times(parts);
    for (place, step) in parts.steps.iter().enumerate() {
        let at = At::Step(place);
        judge.source(at, &step.on, step.says, parts.key);
        judge.step(at, step, parts);
    }
    match parts.shape {
        Shape::Seq => judge.seq(&parts.steps),
        Shape::Of { least, independent } => judge.of(&parts.steps, least, independent),
    }
    for (place, expect) in parts.expect.iter().enumerate() {
        judge.source(At::Expect(place), &expect.on, expect.says, parts.key);
        judge.expect(place, expect, &parts.steps);
    }
    judge.emit(parts);
    judge.0
}

struct Judge(Vec<Refused>);

/// Metres that are still near anything.
const FARTHEST: f64 = 1000.0;
/// Words that are never said of anybody.
const ACCUSING: [&str; 2] = ["suspect", "intruder"];

impl Judge {
    fn refuse(&mut self, at: At, key: &'static str, what: impl Into<String>, help: impl Into<String>) {
        self.0.push(Refused { at, key, what: what.into(), help: help.into() });
    }

    fn size(&mut self, parts: &Parts) {
        let steps = parts.steps.len();
        if steps > MOST_STEPS {
            self.refuse(
                At::Pattern,
                "seq",
                format!("{steps} steps are too many"),
                "write 16 at most; make two patterns of it",
            );
        }
        if parts.expect.len() > MOST_EXPECTED {
            self.refuse(At::Pattern, "expect", "these are too many expectations", "write 8 at most");
        }
        let states: usize = parts.steps.iter().map(|step| usize::from(step.most.unwrap_or(0).max(step.least))).sum();
        if states > MOST_STATES {
            let what = format!("this pattern has {states} states: its steps, each as often as it is counted");
            self.refuse(At::Pattern, "seq", what, "64 are the most; count less");
        }
        if !(1..=MOST_PARTIAL).contains(&parts.max_partial) {
            self.refuse(At::Pattern, "max_partial", "this is no number of beginnings", "write 1 to 64; 4 is usual");
        }
        if parts.guard.as_ref().is_some_and(|guard| guard.len() > LONGEST_GUARD || guard.trim().is_empty()) {
            self.refuse(At::Pattern, "guard", "this is no guard", "write an expression of 1 to 1024 bytes");
        }
    }

    fn times(&mut self, parts: &Parts) {
        self.duration(At::Pattern, "within", Some(parts.within));
        self.duration(At::Emit, "ends_after", Some(parts.emit.ends_after));
        self.duration(At::Emit, "answer_within", parts.emit.answer_within);
        for (place, step) in parts.steps.iter().enumerate() {
            self.duration(At::Step(place), "within", step.within);
            self.duration(At::Step(place), "lasts", step.lasts);
            if step.within.is_some_and(|within| within > parts.within) {
                let what = "this step may take longer than the whole pattern";
                self.refuse(At::Step(place), "within", what, "make it shorter, or the pattern's `within` longer");
            }
            if step.lasts.is_some_and(|lasts| lasts > parts.within) && parts.steps.len() > 1 {
                let what = "this must last longer than the whole pattern may take";
                self.refuse(At::Step(place), "lasts", what, "make it shorter, or the pattern's `within` longer");
            }
        }
        for (place, expect) in parts.expect.iter().enumerate() {
            if let Span::After(_, within) | Span::Before(_, within) = expect.span {
                self.duration(At::Expect(place), "within", Some(within));
            }
        }
    }

    fn duration(&mut self, at: At, key: &'static str, said: Option<Duration>) {
        if said.is_some_and(|said| !(SHORTEST..=LONGEST).contains(&said)) {
            self.refuse(at, key, "this time is out of range here", "write \"50 ms\" to \"24 h\"");
        }
    }

    /// Whether the source can ever say it, and tells what the pattern is keyed by.
    fn source(&mut self, at: At, on: &Source, says: Says, key: Key) {
        let never = "this can never be true";
        match (on, says) {
            (Source::Situation(_), Says::Said { least }) => {
                if !(0.0..1.0).contains(&least) {
                    self.refuse(at, "min_p", "this is no probability to wait for", "write 0 to 0.99");
                }
                if key != Key::Zone {
                    self.refuse(at, "situation", "a situation has no such key", "write key = \"zone\"");
                }
            }
            (Source::Situation(_), _) => {
                self.refuse(
                    at,
                    "is",
                    never,
                    "a situation is said or it is not: leave `is` out, write min_p if you like",
                );
            }
            (Source::Track { near, .. }, Says::Inside | Says::Near(_)) => {
                match says {
                    Says::Near(metres) if !(metres > 0.0 && metres <= FARTHEST) => {
                        self.refuse(at, "nearer", "nothing is near at this distance", "write \"1 m\" to \"1000 m\"");
                    }
                    Says::Inside if near.is_some() => {
                        self.refuse(at, "nearer", "this does not say how near", "add nearer = \"10 m\"");
                    }
                    Says::Near(_) if near.is_none() => {
                        let help = "add near_zone = \"quay-1\" or near_track = \"person\"";
                        self.refuse(at, "nearer", "this does not say near to what", help);
                    }
                    _ => {}
                }
                if !matches!(key, Key::Zone | Key::Object) {
                    self.refuse(at, "track", "what is followed has no such key", "write key = \"zone\" or \"object\"");
                }
            }
            (Source::Track { .. }, _) => {
                self.refuse(at, "is", never, "what is followed is in the zone, or near something: leave `is` out");
            }
            (_, Says::Inside | Says::Near(_)) => self.refuse(at, "nearer", never, "only a `track` has a place"),
            (_, Says::Said { .. }) => self.refuse(at, "min_p", never, "only a `situation` has a probability"),
            (Source::Role { role, .. }, says) if !says.fits(*role) => {
                self.refuse(at, "is", never, "a sensor of this role never says that");
            }
            _ => {}
        }
        match says {
            Says::Above { limit, clear } | Says::Below { limit, clear } if !limit.is_finite() || !clear.is_finite() => {
                self.refuse(at, "above", "this is no number", "write a number with its unit");
            }
            Says::Above { limit, clear } if clear > limit => {
                self.refuse(at, "clear", "this never ends once it began", "`clear` is not above the limit");
            }
            Says::Below { limit, clear } if clear < limit => {
                self.refuse(at, "clear", "this never ends once it began", "`clear` is not below the limit");
            }
            Says::Rises { by, during } | Says::Falls { by, during } => {
                if !(by.is_finite() && by > 0.0) {
                    self.refuse(at, "rises", "a rise is more than nothing", "write by how much, with its unit");
                }
                self.duration(at, "during", Some(during));
            }
            _ => {}
        }
        let reads_plates =
            !matches!(on, Source::Role { role, .. } if !matches!(role, Role::PlateFront | Role::PlateRear));
        match key {
            Key::Plate if !(says == Says::Read && reads_plates) => {
                self.refuse(
                    at,
                    "is",
                    "this does not tell which plate it was",
                    "leave `key` out, or look at plates only",
                );
            }
            Key::Credential if !says.tells_credential() => {
                let help = "leave `key` out, or look at credentials only";
                self.refuse(at, "is", "this does not tell whose credential it was", help);
            }
            Key::Object if !matches!(says, Says::Seen(_) | Says::Read | Says::Inside | Says::Near(_)) => {
                let help = "leave `key` out, or look at what is seen or read only";
                self.refuse(at, "is", "this does not tell which thing it was", help);
            }
            _ => {}
        }
    }

    fn step(&mut self, at: At, step: &Step, parts: &Parts) {
        if step.least == 0 || step.most.is_some_and(|most| most < step.least) {
            self.refuse(at, "count", "this can never be counted", "write \"3\", \"2..5\" or \"3..\"");
        }
        if step.lasts.is_some() && !step.says.is_state() {
            self.refuse(at, "lasts", "this is over as soon as it is said", "take `lasts` out, or look at a state");
        }
        if step.lasts.is_some() && (step.absent || step.least > 1 || step.most.is_some()) {
            self.refuse(at, "lasts", "what lasts is neither counted nor absent", "make two steps of it");
        }
        if step.absent && (step.least > 1 || step.most.is_some()) {
            let help = "write `count = \"0..2\"` as a step with count = \"3\" that is absent: that is not possible; count from 1";
            self.refuse(at, "count", "what is absent is not counted", help);
        }
        match step.compare {
            Some(Compare::Booked(_)) if step.says != Says::Read => {
                self.refuse(at, "booked", "only plates are booked", "take `booked` out, or look at plates");
            }
            Some(Compare::OnDuty(_)) if !step.says.tells_credential() => {
                self.refuse(
                    at,
                    "on_duty",
                    "only credentials are on a roster",
                    "take `on_duty` out, or look at credentials",
                );
            }
            _ => {}
        }
        self.weight(at, "weight", step.weight);
        self.sentence(at, "says", step.words.as_deref());
        let named = |name: &String| parts.steps.iter().filter(|other| other.name.as_ref() == Some(name)).count();
        if step.name.as_ref().is_some_and(|name| named(name) > 1) {
            self.refuse(at, "as", "two steps have this name", "give each its own");
        }
    }

    fn seq(&mut self, steps: &[Step]) {
        let last = steps.iter().rposition(|step| !step.absent);
        let Some(last) = last else {
            let what = "nothing must be seen, so it never begins";
            return self.refuse(At::Pattern, "seq", what, "begin with a step that is seen");
        };
        for (place, step) in steps.iter().enumerate() {
            let at = At::Step(place);
            if step.absent && place < last && !steps.iter().take(place).any(|before| !before.absent) {
                let what = "there is nothing before this absence, so it lies between nothing";
                self.refuse(
                    at,
                    "absent",
                    what,
                    "put the step it follows before it; or write it under `expect` with before = …",
                );
            }
            if step.absent && place > last && step.within.is_none() {
                let what = "this absence is never decided: it has no end";
                self.refuse(at, "within", what, "write how long it must not be seen: within = \"15 s\"");
            }
            let next = steps.iter().skip(place + 1).find(|next| !next.absent);
            if step.absent && next.is_some_and(|next| overlaps(step, next)) {
                let what = "the step after this absence is what must not be seen: this can never be true";
                self.refuse(at, "absent", what, "take one of them out");
            }
            if !step.absent && place == last && step.most.is_some_and(|most| most > step.least) && step.within.is_none()
            {
                let what = "this count is never decided: more may come for ever";
                self.refuse(at, "within", what, "write in how much time it is counted: within = \"10 min\"");
            }
        }
    }

    fn of(&mut self, steps: &[Step], least: u8, independent: bool) {
        let required = steps.iter().filter(|step| !step.absent).count();
        if required == 0 {
            return self.refuse(
                At::Pattern,
                "of",
                "nothing must be seen, so it never begins",
                "add a step that is seen",
            );
        }
        if least == 0 || (!independent && usize::from(least) > required) {
            let what = format!("{least} of {required} can never be true");
            self.refuse(At::Pattern, "least", what, format!("write 1 to {required}"));
        }
        if independent && least < 2 {
            let help = "write least = 2, or take `independent` out";
            self.refuse(At::Pattern, "least", "one is always independent", help);
        }
        for (place, step) in steps.iter().enumerate() {
            if step.within.is_some() {
                let help = "write `within` once, for the whole pattern";
                self.refuse(At::Step(place), "within", "these steps have no order to measure a time in", help);
            }
            if step.most.is_some_and(|most| most > step.least) {
                let what = "a most is counted in a `seq` only";
                self.refuse(At::Step(place), "count", what, "write \"3..\", or make it a seq");
            }
        }
    }

    fn expect(&mut self, place: usize, expect: &Expect, steps: &[Step]) {
        let at = At::Expect(place);
        self.weight(at, "seen", expect.seen);
        self.weight(at, "missing", expect.missing);
        self.sentence(at, "says", expect.words.as_deref());
        let points = |step: u8| steps.get(usize::from(step)).is_some_and(|step| !step.absent);
        let (in_order, key) = match expect.span {
            Span::Throughout => (true, "between"),
            Span::Between(from, to) => (from < to && points(from) && points(to), "between"),
            Span::After(step, _) => (points(step), "after"),
            Span::Before(step, _) => (points(step), "before"),
        };
        if !in_order {
            let help = "name steps that are seen, the earlier one first";
            self.refuse(at, key, "there is nothing between these", help);
        }
        if matches!(expect.says, Says::Rises { .. } | Says::Falls { .. }) {
            self.refuse(at, "rises", "a trend is a step, not an expectation", "make it a step");
        }
    }

    fn emit(&mut self, parts: &Parts) {
        let emit = &parts.emit;
        for (key, share) in [("prior", emit.prior), ("min_p", emit.min_p)] {
            if !(share > 0.0 && share < 1.0) {
                self.refuse(At::Emit, key, "nothing is impossible or certain", "write more than 0 and less than 1");
            }
        }
        if emit.prior >= emit.min_p {
            let help = "the prior is what is believed before any evidence: less than `min_p`";
            self.refuse(At::Emit, "prior", "it would be said without any evidence", help);
        }
        self.sentence(At::Emit, "headline", Some(&emit.headline));
        self.sentence(At::Emit, "assessment", Some(&emit.assessment));
        self.sentence(At::Emit, "action", emit.action.as_deref());
        self.sentence(At::Emit, "otherwise", emit.otherwise.as_deref());
    }

    fn weight(&mut self, at: At, key: &'static str, weight: Option<f64>) {
        if weight.is_some_and(|weight| !(-MOST_WEIGHT..=MOST_WEIGHT).contains(&weight)) {
            let help = "write log-odds from -6 to 6: 0.7 doubles the odds, 3 makes them twenty times what they were";
            self.refuse(at, key, "this is no weight", help);
        }
    }

    fn sentence(&mut self, at: At, key: &'static str, text: Option<&str>) {
        let Some(text) = text else { return };
        let letters = text.chars().count();
        if letters == 0 || letters > LONGEST_SENTENCE || text.chars().any(char::is_control) {
            self.refuse(at, key, "this is no sentence", "write 1 to 160 characters on one line");
        }
        let lower = text.to_lowercase();
        if let Some(word) = ACCUSING.into_iter().find(|word| lower.contains(word)) {
            let what = format!("this says {word:?} of somebody");
            self.refuse(at, key, what, "say what was seen; the gateway accuses nobody");
        }
    }
}

/// Whether the same word can be what must not and what must be seen.
fn overlaps(absent: &Step, next: &Step) -> bool {
    absent.on == next.on && absent.says == next.says && absent.compare == next.compare
}

#[cfg(test)]
mod tests {
    use super::super::{Emit, Pattern, Skip};
    use super::*;
    use crate::{
        site::rules::Mode,
        situation::{Severity, Urgency},
    };
    use alloc::vec;

    fn step(role: Role, says: Says) -> Step {
        Step {
            name: None,
            on: Source::Role { role, zone: None },
            says,
            compare: None,
            least: 1,
            most: None,
            within: None,
            lasts: None,
            absent: false,
            weight: None,
            words: None,
        }
    }

    fn parts(steps: Vec<Step>) -> Parts {
        Parts {
            zones: vec![],
            mode: Mode::Observe,
            key: Key::Zone,
            shape: Shape::Seq,
            steps,
            expect: vec![],
            within: Duration::from_secs(60),
            skip: Skip::PastLast,
            max_partial: 4,
            guard: None,
            emit: Emit {
                headline: "a truck followed".into(),
                assessment: "It had no grant.".into(),
                action: None,
                otherwise: None,
                prior: 0.02,
                min_p: 0.5,
                severity: Severity::Moderate,
                urgency: Urgency::Immediate,
                ends_after: Duration::from_secs(60),
                answer_within: None,
            },
        }
    }

    /// What is wrong, where, after a change to a pattern that is in order.
    fn refused(change: impl FnOnce(&mut Parts)) -> Vec<(At, &'static str)> {
        let mut parts = parts(vec![step(Role::BarrierOpen, Says::On), step(Role::LoopExit, Says::On)]);
        change(&mut parts);
        Pattern::new(parts).err().into_iter().flatten().map(|refused| (refused.at, refused.key)).collect()
    }

    #[test]
    fn what_cannot_end_cannot_begin_or_cannot_be_true_is_refused_where_it_is() {
        let absent = |within| Step { absent: true, within, ..step(Role::Grant, Says::Granted) };
        let second = Duration::from_secs(1);
        assert_eq!(refused(|_| {}), []);
        assert_eq!(refused(|parts| parts.steps.push(absent(None))), [(At::Step(2), "within")]);
        assert_eq!(refused(|parts| parts.steps.push(absent(Some(second)))), []);
        assert_eq!(refused(|parts| parts.steps.insert(0, absent(None))), [(At::Step(0), "absent")]);
        assert_eq!(refused(|parts| parts.steps.insert(1, absent(None))), []);
        assert_eq!(refused(|parts| parts.steps.clear()), [(At::Pattern, "seq")]);
        assert_eq!(refused(|parts| parts.steps[1].says = Says::Read), [(At::Step(1), "is")]);
        assert_eq!(refused(|parts| parts.steps[1].least = 63), [], "64 states are enough for anybody");
        assert_eq!(refused(|parts| parts.steps[1].least = 64), [(At::Pattern, "seq")]);
        assert_eq!(refused(|parts| parts.within = Duration::from_secs(90_000)), [(At::Pattern, "within")]);
        assert_eq!(refused(|parts| parts.key = Key::Plate), [(At::Step(0), "is"), (At::Step(1), "is")]);
        assert_eq!(refused(|parts| parts.emit.prior = 0.6), [(At::Emit, "prior")]);
        assert_eq!(refused(|parts| parts.emit.headline = "an Intruder came".into()), [(At::Emit, "headline")]);
        assert_eq!(refused(|parts| parts.steps[0].weight = Some(f64::NAN)), [(At::Step(0), "weight")]);
        assert_eq!(refused(|parts| parts.shape = Shape::Of { least: 3, independent: false }), [(At::Pattern, "least")]);
        let above = Says::Above { limit: 1.0, clear: 2.0 };
        assert_eq!(refused(|parts| parts.steps[1] = step(Role::WindSpeed, above)), [(At::Step(1), "clear")]);
        let same = Step { absent: true, ..step(Role::LoopExit, Says::On) };
        assert_eq!(refused(|parts| parts.steps.insert(1, same)), [(At::Step(1), "absent")]);
    }

    #[test]
    fn a_pattern_that_is_not_in_order_is_not_read_from_a_log_either() {
        let good = Pattern::new(parts(vec![step(Role::LoopExit, Says::On)])).unwrap();
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Pattern>(&text).unwrap(), good);
        let bad = text.replace("\"max_partial\":4", "\"max_partial\":400");
        assert_ne!(bad, text);
        assert!(serde_json::from_str::<Pattern>(&bad).is_err());
    }
}
