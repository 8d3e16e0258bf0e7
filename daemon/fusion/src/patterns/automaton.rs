//! The flat automaton of one pattern for one key.
//!
//! It is shown what happened in the order in which it happened, and is told up to when everything has been heard. A
//! beginning ([`Partial`]) waits in the state of one required step; what must not be seen kills it; its times end it. There
//! are no branches: one event moves each beginning at most once, so that a pattern costs at most its beginnings for each
//! record.
//!
//! An event at the very end of a time is still within it: times are looked at only when something later happened, or when
//! their moment has been heard.

use super::event::Verdict;
use crate::bounds::{HITS_OF_ANY, SOFT_PER_KEY};
use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    Position, SensorId, WallTime,
    site::{
        Pattern,
        patterns::{Says, Shape, Skip, Span, Step},
    },
};
use serde::{Deserialize, Serialize};

/// A pattern, with what is looked up in it again and again.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) pattern: Pattern,
    /// The steps that must be seen, in order.
    required: Vec<u8>,
    /// Forbidden steps by the required step they follow, and those after the last with their time.
    between: Vec<(usize, u8)>,
    trailing: Vec<(u8, Duration)>,
    /// How long after the last step it is decided; `None` if at once.
    decides_after: Option<Duration>,
    /// How far back what is expected or forbidden is remembered.
    horizon: Duration,
}

/// The slots of expectations come after those of steps.
pub(super) const FIRST_EXPECT: u8 = 16;

/// One word that a step waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Hit {
    pub(super) slot: u8,
    pub(super) at: WallTime,
    /// When it began, if it had to last; else when it was.
    pub(super) since: WallTime,
    pub(super) times: u16,
    pub(super) sensor: SensorId,
    /// Which thing it is, if the gateway follows it: several sensors may show one thing.
    pub(super) thing: Option<u64>,
    /// What it fails together with, by its place in the site's list.
    pub(super) domain: u16,
    pub(super) positions: Vec<Position>,
    pub(super) value: Option<f64>,
    /// What it is worth by itself: what the gateway says has a weight of its own.
    pub(super) weight: Option<f64>,
}

/// All steps were seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Match {
    pub(super) hits: Vec<Hit>,
    pub(super) began: WallTime,
    /// The last step, or the end of the time in which something was not seen.
    pub(super) ended: WallTime,
    /// What was expected or forbidden, and seen.
    pub(super) soft: Vec<Hit>,
}

/// What one key has come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Runs {
    partials: Vec<Partial>,
    /// States that must last.
    holds: Vec<Hold>,
    /// What was seen of steps in any order.
    any: Vec<Hit>,
    /// What was seen of expected and forbidden things.
    soft: Vec<Hit>,
    /// Matches that wait for the end of what is expected of them.
    waiting: Vec<(WallTime, Match)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Partial {
    /// Which of the required steps it collects.
    state: u8,
    /// How often that one was seen.
    count: u16,
    hits: Vec<Hit>,
}

/// A state that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hold {
    hit: Hit,
    /// It has lasted.
    done: bool,
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The pattern is matched.
    Matched(Match),
    /// What it was matched by is over.
    Over(WallTime),
}

/// Costs and losses, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    /// Automaton steps.
    pub(super) steps: u32,
    /// Beginnings that were let go at a bound.
    pub(super) dropped: u32,
}

/// Asks whether a sensor could have spoken since a moment.
pub(super) type CouldSpeak<'a> = &'a dyn Fn(&SensorId, WallTime) -> bool;

impl Plan {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let required: Vec<u8> = pattern.required().map(|(place, _)| place as u8).collect();
        let (mut between, mut trailing) = (Vec::new(), Vec::new());
        for (place, step) in pattern.steps.iter().enumerate().filter(|(_, step)| step.absent) {
            let before = required.iter().filter(|required| usize::from(**required) < place).count();
            match step.within {
                Some(within) if before == required.len() && pattern.shape == Shape::Seq => {
                    trailing.push((place as u8, within));
                }
                _ => between.push((before, place as u8)),
            }
        }
        let last = required.last().and_then(|last| pattern.steps.get(usize::from(*last)));
        let counted = last.filter(|last| last.most.is_some_and(|most| most > last.least)).and_then(|last| last.within);
        let decides_after = trailing.iter().map(|(_, within)| *within).chain(counted).max();
        let spans = pattern.expect.iter().map(|expect| match expect.span {
            Span::After(_, within) | Span::Before(_, within) => within,
            Span::Throughout | Span::Between(..) => Duration::ZERO,
        });
        let longest_span = spans.max().unwrap_or_default();
        let decided = decides_after.unwrap_or_default();
        let horizon = pattern.within + longest_span + decided;
        Self { required, between, trailing, decides_after, horizon, pattern: pattern.clone() }
    }

    fn step(&self, state: usize) -> Option<&Step> {
        self.pattern.steps.get(usize::from(*self.required.get(state)?))
    }

    fn within(&self, step: &Step) -> Duration {
        step.within.unwrap_or(self.pattern.within)
    }

    /// Whether what a slot waits for lasts, and the situation with it.
    pub(super) fn holds(&self, slot: u8) -> bool {
        let Some(step) = self.pattern.steps.get(usize::from(slot)) else { return false };
        let level = matches!(step.says, Says::Above { .. } | Says::Below { .. } | Says::Inside | Says::Near(_));
        !step.absent && (step.lasts.is_some() || level)
    }

    /// Whether the situation lasts as long as the state its last step waited for.
    pub(super) fn ends_by_state(&self) -> bool {
        self.pattern.shape == Shape::Seq && self.required.last().is_some_and(|last| self.holds(*last))
    }

    /// Whether the slot is one whose being seen does not move a beginning: expected or forbidden.
    fn is_soft(&self, slot: u8) -> bool {
        slot >= FIRST_EXPECT || self.pattern.steps.get(usize::from(slot)).is_some_and(|step| step.absent)
    }

    /// When an expectation of a match has had its time.
    fn expected_until(&self, hits: &[Hit], ended: WallTime) -> WallTime {
        let ends = self.pattern.expect.iter().filter_map(|expect| match expect.span {
            Span::After(step, within) => Some(last_of(hits, step)?.after(within)),
            _ => None,
        });
        ends.fold(ended, WallTime::max)
    }
}

impl Runs {
    /// Takes an event: the slots it is something to, each with what it is. Everything before it has been passed.
    pub(super) fn take(&mut self, plan: &Plan, hits: Vec<(Hit, Verdict)>, count: &mut Count) -> Vec<Outcome> {
        let mut out = Vec::new();
        let mut moving: Vec<Hit> = Vec::new();
        for (hit, verdict) in hits {
            count.steps += 1;
            match verdict {
                Verdict::On(_) if plan.is_soft(hit.slot) => self.remember(plan, hit, count),
                Verdict::On(_) if plan.holds(hit.slot) => self.begin_to_hold(plan, hit, &mut moving),
                Verdict::On(_) => moving.push(hit),
                Verdict::Off => self.release(plan, &hit, &mut out),
                Verdict::Neither => {}
            }
        }
        self.forbid(plan, count);
        self.go_on(plan, moving, count, &mut out);
        out
    }

    /// Everything before `until` has been heard: ends what is over. `at` most, up to the first outcome's moment.
    pub(super) fn pass(
        &mut self,
        plan: &Plan,
        until: WallTime,
        could_speak: CouldSpeak<'_>,
        count: &mut Count,
    ) -> Vec<Outcome> {
        let mut out = Vec::new();
        while let Some(due) = self.next_due(plan).filter(|due| *due < until) {
            count.steps += 1;
            let lasted: Vec<usize> = self.lasting(plan).filter(|(at, _)| *at == due).map(|(_, hold)| hold).collect();
            let mut moving = Vec::new();
            let mut deaf = BTreeSet::new();
            for index in lasted {
                let Some(hold) = self.holds.get_mut(index) else { continue };
                if could_speak(&hold.hit.sensor, hold.hit.at) {
                    hold.done = true;
                    moving.push(Hit { at: due, ..hold.hit.clone() });
                } else {
                    // Nobody knows whether it is so still.
                    deaf.insert(index);
                }
            }
            let mut index = 0;
            self.holds.retain(|_| (!deaf.contains(&index), index += 1).0);
            self.go_on(plan, moving, count, &mut out);
            self.forbid(plan, count);
            self.decide(plan, due, count, &mut out);
            self.partials.retain_mut(|partial| plan.expires(partial) > due || partial.slides_on(plan, due));
            let ready = self.waiting.iter().position(|(at, _)| *at <= due);
            if let Some(ready) = ready {
                let (_, matched) = self.waiting.remove(ready);
                out.push(Outcome::Matched(self.with_soft(matched)));
            }
            self.soft.retain(|hit| hit.at.after(plan.horizon) > due);
            self.any.retain(|hit| hit.at.after(plan.pattern.within) > due);
        }
        out
    }

    /// When something ends by itself.
    pub(super) fn next_due(&self, plan: &Plan) -> Option<WallTime> {
        let partials =
            self.partials.iter().map(|partial| plan.decided(partial).unwrap_or_else(|| plan.expires(partial)));
        let holds = self.lasting(plan).map(|(at, _)| at);
        let waiting = self.waiting.iter().map(|(at, _)| *at);
        let soft = self.soft.iter().map(|hit| hit.at.after(plan.horizon));
        let any = self.any.iter().map(|hit| hit.at.after(plan.pattern.within));
        partials.chain(holds).chain(waiting).chain(soft).chain(any).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partials.is_empty()
            && self.holds.is_empty()
            && self.any.is_empty()
            && self.soft.is_empty()
            && self.waiting.is_empty()
    }

    /// How much is held: what a bound is checked against.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let partials: usize = self.partials.iter().map(|partial| 1 + partial.hits.len()).sum();
        let waiting: usize = self.waiting.iter().map(|(_, matched)| matched.hits.len()).sum();
        partials + waiting + self.holds.len() + self.any.len() + self.soft.len()
    }

    fn remember(&mut self, plan: &Plan, hit: Hit, count: &mut Count) {
        self.soft.retain(|known| known.at.after(plan.horizon) >= hit.at);
        if self.soft.len() == SOFT_PER_KEY {
            self.soft.remove(0);
            count.dropped += 1;
        }
        self.soft.push(hit);
    }

    fn begin_to_hold(&mut self, plan: &Plan, hit: Hit, moving: &mut Vec<Hit>) {
        if self.holds.iter().any(|hold| same_thing(&hold.hit, &hit)) {
            return;
        }
        let at_once = plan.pattern.steps.get(usize::from(hit.slot)).is_some_and(|step| step.lasts.is_none());
        if at_once {
            moving.push(hit.clone());
        }
        self.holds.push(Hold { hit, done: at_once });
    }

    /// A state is over.
    fn release(&mut self, plan: &Plan, hit: &Hit, out: &mut Vec<Outcome>) {
        let ends = |hold: &Hold| same_thing(&hold.hit, hit);
        let was_done = self.holds.iter().any(|hold| ends(hold) && hold.done);
        self.holds.retain(|hold| !ends(hold));
        let still = self.holds.iter().any(|hold| hold.hit.slot == hit.slot && hold.done);
        if was_done && !still && plan.ends_by_state() && plan.required.last() == Some(&hit.slot) {
            out.push(Outcome::Over(hit.at));
        }
    }

    /// Whether a state that a match rests on goes on.
    pub(super) fn goes_on(&self, plan: &Plan) -> bool {
        plan.ends_by_state() && self.holds.iter().any(|hold| hold.done && plan.required.last() == Some(&hold.hit.slot))
    }

    /// States that have not lasted yet, and when they will have.
    fn lasting<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (WallTime, usize)> + 'a {
        let open = self.holds.iter().enumerate().filter(|(_, hold)| !hold.done);
        open.filter_map(|(index, hold)| {
            let lasts = plan.pattern.steps.get(usize::from(hold.hit.slot))?.lasts?;
            Some((hold.hit.at.after(lasts), index))
        })
    }

    /// What must not be seen ends the beginnings that it comes between.
    fn forbid(&mut self, plan: &Plan, count: &mut Count) {
        if plan.pattern.shape != Shape::Seq || plan.between.is_empty() && plan.trailing.is_empty() {
            return;
        }
        let soft = &self.soft;
        self.partials.retain(|partial| {
            count.steps += 1;
            let state = usize::from(partial.state);
            let Some(last) = plan.collected(partial).and_then(|()| partial.hits.last()) else { return true };
            let after = |slot: u8| soft.iter().any(|hit| hit.slot == slot && hit.at >= last.at && !beside(hit, last));
            let between = plan.between.iter().any(|(before, slot)| *before == state + 1 && after(*slot));
            let trailing = state + 1 == plan.required.len() && plan.trailing.iter().any(|(slot, _)| after(*slot));
            !(between || trailing)
        });
    }

    fn go_on(&mut self, plan: &Plan, moving: Vec<Hit>, count: &mut Count, out: &mut Vec<Outcome>) {
        if moving.is_empty() {
            return;
        }
        let done = match plan.pattern.shape {
            Shape::Seq => self.seq(plan, &moving, count),
            Shape::Of { least, independent } => self.of(plan, &moving, usize::from(least), independent, count),
        };
        for matched in done {
            self.hand_over(plan, matched, count, out);
        }
    }

    /// Moves every beginning by an event, and begins anew with it.
    fn seq(&mut self, plan: &Plan, moving: &[Hit], count: &mut Count) -> Vec<Match> {
        let is = |state: usize| {
            let slot = plan.required.get(state)?;
            moving.iter().find(|hit| hit.slot == *slot)
        };
        let mut absorbed = false;
        let mut kept = Vec::with_capacity(self.partials.len());
        for mut partial in core::mem::take(&mut self.partials) {
            count.steps += 1;
            let state = usize::from(partial.state);
            let Some(step) = plan.step(state) else { continue };
            let (least, most) = (step.least, step.most);
            if partial.count >= least
                && let Some((next, hit)) = plan.step(state + 1).zip(is(state + 1))
                && partial.hits.last().is_some_and(|last| hit.at <= last.at.after(plan.within(next)))
            {
                partial.state += 1;
                partial.count = hit.times;
                partial.hits.push(hit.clone());
                kept.push(partial);
                continue;
            }
            let Some(hit) = is(state) else {
                kept.push(partial);
                continue;
            };
            let counted = partial.count.saturating_add(hit.times);
            match most {
                // More than may be.
                Some(most) if counted > most && partial.count >= least => continue,
                _ if partial.count < least || most.is_some_and(|most| most > least && counted <= most) => {
                    partial.count = counted;
                    partial.hits.push(hit.clone());
                    if state == 0 {
                        absorbed = true;
                        partial.slide(plan.within(step), hit.at, least);
                    }
                    kept.push(partial);
                }
                _ => kept.push(partial),
            }
        }
        self.partials = kept;
        if let Some(hit) = is(0).filter(|_| !absorbed) {
            self.partials.push(Partial { state: 0, count: hit.times, hits: alloc::vec![hit.clone()] });
            if self.partials.len() > usize::from(plan.pattern.max_partial) {
                self.partials.remove(0);
                count.dropped += 1;
            }
        }
        self.complete(plan, |partial| plan.decides_after.is_none() && plan.is_last(partial), None)
    }

    /// Ends beginnings that waited for the end of an absence or a count.
    fn decide(&mut self, plan: &Plan, due: WallTime, count: &mut Count, out: &mut Vec<Outcome>) {
        if plan.decides_after.is_none() {
            return;
        }
        let done = self.complete(plan, |partial| plan.decided(partial).is_some_and(|at| at <= due), Some(due));
        for matched in done {
            self.hand_over(plan, matched, count, out);
        }
    }

    /// Takes the beginnings out that are complete, and what their match uses up.
    fn complete(&mut self, plan: &Plan, is_done: impl Fn(&Partial) -> bool, ended: Option<WallTime>) -> Vec<Match> {
        let mut done = Vec::new();
        while let Some(index) = self.partials.iter().position(&is_done) {
            let partial = self.partials.remove(index);
            let (Some(first), Some(last)) = (partial.hits.first(), partial.hits.last()) else { continue };
            let (began, last) = (first.since, last.at);
            done.push(Match { began, ended: ended.unwrap_or(last), hits: partial.hits, soft: Vec::new() });
            if plan.pattern.skip == Skip::PastLast {
                self.partials.retain(|other| other.hits.first().is_some_and(|first| first.at > last));
            }
        }
        done
    }

    /// So many steps in any order.
    fn of(&mut self, plan: &Plan, moving: &[Hit], least: usize, independent: bool, count: &mut Count) -> Vec<Match> {
        let Some(now) = moving.first().map(|hit| hit.at) else { return Vec::new() };
        self.any.retain(|hit| hit.at.after(plan.pattern.within) >= now);
        for hit in moving {
            let most = plan.pattern.steps.get(usize::from(hit.slot)).map_or(1, |step| usize::from(step.least));
            let same = |known: &Hit| known.slot == hit.slot && known.sensor == hit.sensor;
            if self.any.iter().filter(|known| same(known)).count() >= most
                && let Some(oldest) = self.any.iter().position(same)
            {
                self.any.remove(oldest);
            }
            if self.any.len() == HITS_OF_ANY {
                self.any.remove(0);
                count.dropped += 1;
            }
            self.any.push(hit.clone());
        }
        count.steps += self.any.len() as u32;
        let seen = |slot: u8| {
            let times: u32 = self.any.iter().filter(|hit| hit.slot == slot).map(|hit| u32::from(hit.times)).sum();
            plan.pattern.steps.get(usize::from(slot)).is_some_and(|step| times >= u32::from(step.least))
        };
        let satisfied: BTreeSet<u8> = plan.required.iter().copied().filter(|slot| seen(*slot)).collect();
        let counting = self.any.iter().filter(|hit| satisfied.contains(&hit.slot));
        let reached = match independent {
            true => counting.clone().map(|hit| hit.domain).collect::<BTreeSet<_>>().len(),
            false => satisfied.len(),
        };
        let began = counting.clone().map(|hit| hit.since).min();
        let (Some(began), true) = (began, reached >= least) else { return Vec::new() };
        let forbidden = |hit: &Hit| plan.between.iter().any(|(_, slot)| *slot == hit.slot);
        if self.soft.iter().any(|hit| forbidden(hit) && hit.at.after(plan.pattern.within) >= now) {
            return Vec::new();
        }
        let hits: Vec<Hit> = counting.cloned().collect();
        match plan.pattern.skip {
            Skip::PastLast => self.any.clear(),
            Skip::ToNext => {
                self.any.remove(0);
            }
        }
        alloc::vec![Match { hits, began, ended: now, soft: Vec::new() }]
    }

    /// A match is said once what is expected of it has had its time.
    fn hand_over(&mut self, plan: &Plan, matched: Match, count: &mut Count, out: &mut Vec<Outcome>) {
        let until = plan.expected_until(&matched.hits, matched.ended);
        if until == matched.ended {
            out.push(Outcome::Matched(self.with_soft(matched)));
            return;
        }
        if self.waiting.len() == usize::from(plan.pattern.max_partial) {
            self.waiting.remove(0);
            count.dropped += 1;
        }
        self.waiting.push((until, matched));
    }

    fn with_soft(&self, mut matched: Match) -> Match {
        matched.soft = self.soft.clone();
        matched
    }
}

impl Partial {
    /// A first step that is counted loses what is too long ago, and goes on with the rest.
    fn slides_on(&mut self, plan: &Plan, due: WallTime) -> bool {
        let Some(step) = plan.step(0).filter(|step| self.state == 0 && self.count < step.least) else { return false };
        let within = plan.within(step);
        self.hits.retain(|hit| hit.at.after(within) > due);
        self.count = self.hits.iter().fold(0, |sum, hit| sum.saturating_add(hit.times));
        !self.hits.is_empty()
    }

    /// What came so long before the newest that it does not count with it is let go.
    fn slide(&mut self, within: Duration, now: WallTime, least: u16) {
        if least > 1 {
            self.hits.retain(|hit| hit.at.after(within) >= now);
            self.count = self.hits.iter().fold(0, |sum, hit| sum.saturating_add(hit.times));
        }
    }
}

impl Plan {
    /// Whether a beginning has seen its step often enough.
    fn collected(&self, partial: &Partial) -> Option<()> {
        let step = self.step(usize::from(partial.state))?;
        (partial.count >= step.least && step.most.is_none_or(|most| partial.count <= most)).then_some(())
    }

    fn is_last(&self, partial: &Partial) -> bool {
        usize::from(partial.state) + 1 == self.required.len() && self.collected(partial).is_some()
    }

    /// When a beginning whose steps were all seen is decided.
    fn decided(&self, partial: &Partial) -> Option<WallTime> {
        let after = self.decides_after.filter(|_| self.is_last(partial))?;
        Some(partial.hits.last()?.at.after(after))
    }

    /// When a beginning ends for want of what it waits for.
    fn expires(&self, partial: &Partial) -> WallTime {
        let (Some(first), Some(last)) = (partial.hits.first(), partial.hits.last()) else { return WallTime(i64::MIN) };
        if let Some(decided) = self.decided(partial) {
            // It waits for nothing more but the end of its time.
            return WallTime(decided.0.saturating_add(1));
        }
        let whole = first.at.after(self.pattern.within);
        let state = usize::from(partial.state);
        match self.collected(partial).and_then(|()| self.step(state + 1)) {
            Some(next) => whole.min(last.at.after(self.within(next))),
            None => {
                let within = self.step(state).map_or(self.pattern.within, |step| self.within(step));
                let before = state.checked_sub(1).and_then(|before| self.required.get(before));
                let since = before.and_then(|before| last_of(&partial.hits, *before)).unwrap_or(first.at);
                whole.min(since.after(within))
            }
        }
    }
}

/// Whether two hits are of one state of one thing.
fn same_thing(one: &Hit, other: &Hit) -> bool {
    let same = if one.thing.is_some() { one.thing == other.thing } else { one.sensor == other.sensor };
    one.slot == other.slot && same
}

/// Whether two hits are of one event.
fn beside(one: &Hit, other: &Hit) -> bool {
    one.at == other.at && one.sensor == other.sensor && one.positions == other.positions
}

/// When a step was seen last.
pub(super) fn last_of(hits: &[Hit], step: u8) -> Option<WallTime> {
    hits.iter().filter(|hit| hit.slot == step).map(|hit| hit.at).max()
}

/// When a step was seen first.
pub(super) fn first_of(hits: &[Hit], step: u8) -> Option<WallTime> {
    hits.iter().filter(|hit| hit.slot == step).map(|hit| hit.at).min()
}
