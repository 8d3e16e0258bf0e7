//! Patterns: read, judged as patterns ([`quaywatch_schemas::site::patterns`]), then judged in this site.

mod reach;
mod steps;
mod tables;

pub(in crate::config) use tables::PatternTable;

use super::sensors::known;
use crate::{
    config::{
        document::{Named, Table, did_you_mean},
        findings::Findings,
        written::Word,
    },
    guards::{cannot_tell, steps_asked_for},
};
use quaywatch_fusion::{BadGuard, Facts, StepFacts};
use quaywatch_schemas::{
    PatternId, Site, ZoneId,
    policy::KindPattern,
    site::{
        Pattern,
        patterns::{At, Emit, FAMILY, NearTo, Parts, Shape, Source},
        rules::Mode,
    },
    situation::{Severity, Urgency},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};
use tables::{EmitTable, Guard};
use toml::Spanned;

/// The most patterns of one site.
const MOST_PATTERNS: usize = 1000;
/// Beginnings for each key, if the file does not say. Origin: a lane holds eight vehicles, of which half wait.
const MAX_PARTIAL: u16 = 4;
/// One in fifty, as the tailgating rule has it.
const PRIOR: f64 = 0.02;
const MIN_P: f64 = 0.5;
/// Origin: a lane is empty again a minute after a vehicle.
const ENDS_AFTER: Duration = Duration::from_secs(60);

/// A pattern and where its parts are in the file.
struct Placed {
    pattern: Pattern,
    places: Places,
}

/// Where the parts of a pattern are in the file.
#[derive(Default)]
pub(super) struct Places {
    /// Its name.
    at: Range<usize>,
    keys: BTreeMap<String, Range<usize>>,
    steps: Vec<Part>,
    expect: Vec<Part>,
    emit: Part,
}

/// Where one table inside a pattern is, and each of its keys.
#[derive(Default, Clone)]
pub(super) struct Part {
    at: Range<usize>,
    keys: BTreeMap<&'static str, Range<usize>>,
}

impl Places {
    /// A value of the pattern's own, whose place is remembered rather than its key's.
    fn value<T>(&mut self, key: &str, said: Spanned<T>) -> T {
        self.keys.insert(key.to_owned(), said.span());
        said.into_inner()
    }

    /// Where a key of a part is; the part itself if the key is not written.
    fn of(&self, at: At, key: &str) -> Range<usize> {
        let part = match at {
            At::Pattern => {
                let shape = || ["seq", "of", "all", "any"].iter().find_map(|shape| self.keys.get(*shape));
                let said = self.keys.get(key).or_else(|| matches!(key, "seq" | "of").then(shape).flatten());
                return said.unwrap_or(&self.at).clone();
            }
            At::Step(step) => self.steps.get(step),
            At::Expect(expect) => self.expect.get(expect),
            At::Emit => Some(&self.emit),
        };
        let Some(part) = part else { return self.at.clone() };
        part.keys.get(key).unwrap_or(&part.at).clone()
    }
}

/// Reads the patterns of a site that is otherwise read. `text` is the file they are in.
pub(super) fn read(
    tables: Named<PatternId, PatternTable>,
    site: &Site,
    declared: (&BTreeSet<String>, &BTreeSet<String>),
    text: &str,
    findings: &mut Findings,
) -> BTreeMap<PatternId, Pattern> {
    // What a sensor or rule that cannot be read would have said is not known to be missing.
    let site_is_known = findings.is_empty();
    let names = tables.declared.clone();
    let mut placed: BTreeMap<PatternId, Placed> = BTreeMap::new();
    if tables.tables.len() > MOST_PATTERNS {
        let at = tables.tables.last().map_or(0..0, |(_, table)| table.at.clone());
        findings.add(
            at,
            format!("these are more than {MOST_PATTERNS} patterns"),
            "make a rule of what they have in common",
        );
    }
    for (id, table) in tables.tables {
        if let Some(pattern) = pattern(table, site, declared, text, findings) {
            placed.insert(id, pattern);
        }
    }
    for (id, placed) in placed.iter().filter(|_| site_is_known) {
        let in_site = InSite { id, placed, site, patterns: &names };
        in_site.judge(findings);
    }
    circles(&placed, findings);
    placed.into_iter().map(|(id, placed)| (id, placed.pattern)).collect()
}

fn pattern(
    mut table: Table<PatternTable>,
    site: &Site,
    (zones_declared, sensors_declared): (&BTreeSet<String>, &BTreeSet<String>),
    text: &str,
    findings: &mut Findings,
) -> Option<Placed> {
    let mut places = Places { at: table.at.clone(), keys: table.keys.clone(), ..Places::default() };
    let written = &mut table.value;
    let mode = findings.value(written.mode.take()).map_or(Mode::Observe, |Word(mode)| mode);
    let key = findings.value(written.key.take()).map(|Word(key)| key).unwrap_or_default();
    let skip = findings.value(written.skip.take()).map(|Word(skip)| skip).unwrap_or_default();
    let max_partial = findings.take(written.max_partial.take());
    let max_partial = max_partial.map_or(MAX_PARTIAL, |said| places.value("max_partial", said));
    let zones = zones(written.zones.take(), zones_declared, findings);
    let emit = emit(&mut table, &mut places, findings);
    let around = steps::Around { zones: zones_declared, sensors: sensors_declared, site };
    let (shape, steps) = steps::shape(&mut table, &around, findings)?;
    let (steps, from_steps) = steps::without_expected(steps, &mut places, findings)?;
    let mut expect = steps::expectations(&mut table, &around, &steps, &mut places, findings)?;
    for (expected, part) in from_steps {
        expect.push(expected);
        places.expect.push(part);
    }
    let within = match findings.take(table.value.within.take()) {
        Some(within) => places.value("within", within).0,
        None => steps::own_times(shape, &steps).or_else(|| {
            let what = format!("`{}` is not bounded in time", table.path);
            findings.add(table.at.clone(), what, "write within = \"60 s\": from the first step to the last");
            None
        })?,
    };
    let guard = findings.take(table.value.guard.take());
    let emit = emit?;
    let parts = Parts {
        zones: zones?,
        mode,
        key,
        shape,
        steps,
        expect,
        within,
        skip,
        max_partial,
        guard: guard.as_ref().map(|guard| guard.get_ref().0.clone()),
        emit,
    };
    match Pattern::new(parts) {
        Ok(pattern) => {
            if let Some(guard) = &guard {
                judge_guard(guard, &pattern, text, findings);
            }
            Some(Placed { pattern, places })
        }
        Err(refused) => {
            for refused in refused {
                findings.add(places.of(refused.at, refused.key), refused.what, refused.help);
            }
            None
        }
    }
}

fn zones(
    said: super::tables::List<ZoneId>,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> Option<Vec<ZoneId>> {
    if said.is_none() {
        return Some(Vec::new());
    }
    let said = findings.all(said)?;
    if said.get_ref().is_empty() {
        let help = "leave `zones` out for every zone that has its sensors; take the table out to look for it nowhere";
        findings.add(said.span(), "this names no zone", help);
    }
    said.into_inner().into_iter().map(|zone| known(zone, "zone", declared, findings)).collect()
}

fn emit(table: &mut Table<PatternTable>, places: &mut Places, findings: &mut Findings) -> Option<Emit> {
    let help = "emit = { headline = \"…\", assessment = \"…\" }: what is said";
    let owner = (&table.at, table.path.as_str());
    let written = findings.need(table.value.emit.take(), owner, "emit", help)?;
    let (at, written) = (written.span(), written.into_inner());
    let EmitTable {
        headline,
        assessment,
        action,
        otherwise,
        prior,
        min_p,
        severity,
        urgency,
        ends_after,
        answer_within,
    } = written;
    let owner = (&at, "emit");
    let headline = findings.need(headline, owner, "headline", "headline = \"a second truck passed on one grant\"");
    let assessment = findings.need(assessment, owner, "assessment", "assessment = \"It had no grant of its own.\"");
    let mut part = Part { at: at.clone(), ..Part::default() };
    let mut take_text = |key, text| {
        let text = findings.take(text)?;
        part.keys.insert(key, text.span());
        Some(text.into_inner())
    };
    let (action, otherwise) = (take_text("action", action), take_text("otherwise", otherwise));
    let (headline, assessment) = (headline?, assessment?);
    part.keys.insert("headline", headline.span());
    part.keys.insert("assessment", assessment.span());
    let mut share = |key, said| {
        let said: Spanned<crate::config::values::Share> = findings.take(said)?;
        part.keys.insert(key, said.span());
        Some(said.into_inner().0)
    };
    let (prior, min_p) = (share("prior", prior), share("min_p", min_p));
    let mut time = |key, said| {
        let said: Spanned<crate::config::values::Span> = findings.take(said)?;
        part.keys.insert(key, said.span());
        Some(said.into_inner().0)
    };
    let (ends_after, answer_within) = (time("ends_after", ends_after), time("answer_within", answer_within));
    places.emit = part;
    Some(Emit {
        headline: headline.into_inner().0,
        assessment: assessment.into_inner().0,
        action: action.map(|text: crate::config::values::Text| text.0),
        otherwise: otherwise.map(|text| text.0),
        prior: prior.unwrap_or(PRIOR),
        min_p: min_p.unwrap_or(MIN_P),
        severity: findings.value(severity).map_or(Severity::Moderate, |Word(severity)| severity),
        urgency: findings.value(urgency).map_or(Urgency::Immediate, |Word(urgency)| urgency),
        ends_after: ends_after.unwrap_or(ENDS_AFTER),
        answer_within,
    })
}

/// Whether a guard is one, asks for steps there are, and can be told of a match.
fn judge_guard(guard: &Spanned<Guard>, pattern: &Pattern, file: &str, findings: &mut Findings) {
    let text = &guard.get_ref().0;
    let at = |line: usize, column: usize| inside(file, guard.span(), text, line, column);
    let bad = |bad: BadGuard, findings: &mut Findings| findings.add(at(bad.line, bad.column), bad.what, bad.help);
    let asked = match steps_asked_for(text) {
        Ok(asked) => asked,
        Err(why) => return bad(why, findings),
    };
    let names = || pattern.required().filter_map(|(_, step)| step.name.as_deref());
    let mut all_known = true;
    for (name, line, column) in asked {
        if !names().any(|known| known == name) {
            all_known = false;
            let what = format!("no step that is seen is called `{name}`");
            findings.add(at(line, column), what, did_you_mean(&name, names()));
        }
    }
    if let Err(why) = quaywatch_fusion::Guards::compile(&crate::guards::CEL, text) {
        return bad(why, findings);
    }
    let step = |name| StepFacts { name, count: 1, seconds: 1.5, value: Some(1.5) };
    let facts = Facts {
        zone: "zone",
        p: 0.75,
        seconds: 1.5,
        minute: 1,
        closed: false,
        level: 1,
        steps: names().map(step).collect(),
    };
    if let Some(why) = cannot_tell(text, &facts).filter(|_| all_known) {
        let help = "whole numbers and others do not mix in sums: write 1.0 with seconds, p and value";
        findings.add(guard.span(), format!("this guard cannot be told of a match: {why}"), help);
    }
}

/// The place in the file of a line and column inside a text that is written there between quotes.
fn inside(file: &str, span: Range<usize>, text: &str, line: usize, column: usize) -> Range<usize> {
    let written = file.get(span.clone()).unwrap_or_default();
    // Where the text has escapes it is not in the file as it is; then its beginning is all that can be pointed at.
    let Some(begin) = written.find(text) else { return span };
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within: usize = text[before..].chars().take(column - 1).map(char::len_utf8).sum();
    let at = span.start + begin + before + within;
    at..at + 1
}

/// One pattern in its site.
struct InSite<'a> {
    id: &'a PatternId,
    placed: &'a Placed,
    site: &'a Site,
    /// Names of all patterns of the file.
    patterns: &'a BTreeSet<String>,
}

impl InSite<'_> {
    fn judge(&self, findings: &mut Findings) {
        let before = findings.count();
        for (at, source) in self.sources() {
            match source {
                Source::Situation(kind) => self.kind(at, kind, findings),
                Source::Role { .. } => {}
                Source::Track { near, .. } => {
                    let Some(NearTo::Zone(zone)) = near else { continue };
                    if self.site.zones.get(zone).is_some_and(|zone| zone.outline.len() < 3) {
                        let help = format!("write outline = [[0, 0], …] in [zones.{zone}], in metres");
                        findings.add(
                            self.placed.places.of(at, "near_zone"),
                            format!("nobody knows where `{zone}` is"),
                            help,
                        );
                    }
                }
                Source::Sensor(id) => self.sensor(at, id, findings),
            }
        }
        if findings.count() > before {
            return;
        }
        let Placed { pattern, places } = self.placed;
        let zones = quaywatch_fusion::zones_of(pattern, self.site);
        if zones.is_empty() {
            let what = format!("no zone has a sensor for each step of `{}`", self.id);
            let help = "it is looked for where all of its steps can be seen: name roles that one zone has, or sensors";
            return findings.add(places.of(At::Pattern, "seq"), what, help);
        }
        for zone in &zones {
            for (at, source) in self.sources().filter(|(_, source)| !matches!(source, Source::Situation(_))) {
                if let Source::Track { .. } = source {
                    if self.site.zones.get(*zone).is_none_or(|zone| zone.outline.len() < 3) {
                        let what = format!("nothing is followed in `{zone}`: nobody knows where it is");
                        let help = format!("write outline = [[0, 0], …] in [zones.{zone}], in metres");
                        return findings.add(places.of(at, "track"), what, help);
                    }
                    continue;
                }
                if quaywatch_fusion::sensors_of(source, zone, self.site).next().is_none() && !self.may_be_missing(at) {
                    let what = format!("this can never be known in `{zone}`: no sensor there would say it");
                    let help =
                        "name a sensor, or `zone = …` where one is; or list the zones the pattern is for in `zones`";
                    return findings.add(places.of(at, "role"), what, help);
                }
            }
        }
        // Where a pattern runs by itself, it is enough that it can be said in one place.
        let never: Vec<String> = zones.iter().filter_map(|zone| reach::never_said(pattern, zone, self.site)).collect();
        let enough = if pattern.zones.is_empty() { never.len() < zones.len() } else { never.is_empty() };
        if let Some(why) = never.into_iter().next().filter(|_| !enough) {
            findings.add(places.of(At::Emit, "min_p"), why, "lower `min_p`, raise `prior`, or look for more");
        }
    }

    fn sources(&self) -> impl Iterator<Item = (At, &Source)> {
        let pattern = &self.placed.pattern;
        let steps = pattern.steps.iter().enumerate().map(|(place, step)| (At::Step(place), &step.on));
        steps.chain(pattern.expect.iter().enumerate().map(|(place, expect)| (At::Expect(place), &expect.on)))
    }

    /// One of several that would do, or what a zone without it is simply not surer for.
    fn may_be_missing(&self, at: At) -> bool {
        let pattern = &self.placed.pattern;
        match (at, pattern.shape) {
            (At::Step(step), Shape::Of { least, independent }) => {
                let absent = pattern.steps.get(step).is_some_and(|step| step.absent);
                !absent && (independent || usize::from(least) < pattern.required().count())
            }
            (At::Expect(_), _) => pattern.zones.is_empty(),
            _ => false,
        }
    }

    fn sensor(&self, at: At, id: &quaywatch_schemas::SensorId, findings: &mut Findings) {
        let Some(spec) = self.site.sensors.get(id) else { return };
        let pattern = &self.placed.pattern;
        let says = match at {
            At::Step(step) => pattern.steps.get(step).map(|step| step.says),
            At::Expect(expect) => pattern.expect.get(expect).map(|expect| expect.says),
            At::Pattern | At::Emit => None,
        };
        if says.is_some_and(|says| !says.fits(spec.role)) {
            let role = super::super::check::word(&spec.role);
            let what = format!("this can never be true: `{id}` is a {role}, which never says that");
            findings.add(self.placed.places.of(at, "is"), what, "look at what it says, or at another sensor");
        }
    }

    /// A kind that somebody says in this site.
    fn kind(&self, at: At, kind: &str, findings: &mut Findings) {
        let place = self.placed.places.of(at, "situation");
        let meant = KindPattern(kind.to_owned());
        let own = self.patterns.iter().map(|name| format!("{FAMILY}{name}"));
        let runs = |rule: &&quaywatch_fusion::RuleKind| {
            self.site.zones.keys().any(|zone| rule.mode(self.site, zone).is_some())
        };
        let rules = || quaywatch_fusion::rule_kinds().iter();
        if own.clone().any(|kind| meant.matches(&kind)) || rules().filter(runs).any(|rule| meant.matches(rule.kind)) {
            return;
        }
        if let Some(rule) = rules().find(|rule| meant.matches(rule.kind)) {
            let what = format!("this is never said: the rule `{}` is not run in this site", rule.rule);
            return findings.add(place, what, format!("add [rules.{}]", rule.rule));
        }
        let kinds: Vec<String> = rules().map(|rule| rule.kind.to_owned()).chain(own).collect();
        let near = did_you_mean(kind, kinds.iter().map(String::as_str));
        findings.add(place, format!("no situation is of kind {kind:?}"), near);
    }
}

/// Patterns that wait for what they themselves say, over each other: they would go on saying it for ever.
fn circles(placed: &BTreeMap<PatternId, Placed>, findings: &mut Findings) {
    let asks = |id: &PatternId| -> Vec<(&PatternId, Range<usize>)> {
        let Some(Placed { pattern, places }) = placed.get(id) else { return Vec::new() };
        let steps = pattern.steps.iter().enumerate().map(|(place, step)| (At::Step(place), &step.on));
        let expect = pattern.expect.iter().enumerate().map(|(place, expect)| (At::Expect(place), &expect.on));
        let kinds = steps.chain(expect).filter_map(|(at, source)| match source {
            Source::Situation(kind) => Some((KindPattern(kind.clone()), places.of(at, "situation"))),
            _ => None,
        });
        kinds
            .flat_map(|(kind, at)| {
                let meant = placed.keys().filter(move |other| kind.matches(&other.kind()));
                meant.map(move |other| (other, at.clone()))
            })
            .collect()
    };
    for id in placed.keys() {
        let mut seen: BTreeSet<&PatternId> = BTreeSet::new();
        let mut next: Vec<(&PatternId, Range<usize>)> = asks(id);
        while let Some((other, first)) = next.pop() {
            if other == id {
                let what = format!("`{id}` waits for what it says itself");
                findings.add(first, what, "a pattern may wait for rules and for patterns that do not wait for it");
                break;
            }
            if seen.insert(other) {
                // What is pointed at is where this pattern begins the circle.
                next.extend(asks(other).into_iter().map(|(further, _)| (further, first.clone())));
            }
        }
    }
}
