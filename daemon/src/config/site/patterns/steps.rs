//! Steps and expectations, from how they are written to what they mean.

use super::{
    Part, PatternTable, Places,
    tables::{ExpectTable, StepTable},
};
use crate::config::{
    document::{Table, did_you_mean},
    findings::Findings,
    site::sensors::known,
    values::{
        Metres, Number, Share, Span as Time, Text,
        site::{Amount, ClassWord, SaysWord, Times, TrackWord},
    },
    written::{Word, Written},
};
use quaywatch_schemas::{
    SensorId, Site, ZoneId,
    site::{
        Role,
        patterns::{Compare, Expect, NearTo, Says, Shape, Source, Span, Step},
    },
    units::Quantity,
};
use std::{collections::BTreeSet, ops::Range, time::Duration};
use toml::Spanned;

/// What steps refer to.
pub(super) struct Around<'a> {
    pub(super) zones: &'a BTreeSet<String>,
    pub(super) sensors: &'a BTreeSet<String>,
    pub(super) site: &'a Site,
}

/// A step as it is written: it may be one that is only expected.
pub(super) struct Read {
    step: Step,
    expected: bool,
    part: Part,
}

/// A step that may be missing, and where it is.
pub(super) type Expected = (Expect, Part);

/// How the steps belong together, and the steps.
pub(super) fn shape(
    table: &mut Table<PatternTable>,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<(Shape, Vec<Read>)> {
    let written = &mut table.value;
    let (seq, all, any, of) = (written.seq.take(), written.all.take(), written.any.take(), written.of.take());
    let (least, independent) = (written.least.take(), written.independent.take());
    let given: Vec<&str> =
        ["seq", "all", "any", "of"].into_iter().filter(|shape| table.keys.contains_key(*shape)).collect();
    let (which, steps) = match (seq, all, any, of) {
        (Some(steps), None, None, None) => ("seq", steps),
        (None, Some(steps), None, None) => ("all", steps),
        (None, None, Some(steps), None) => ("any", steps),
        (None, None, None, Some(steps)) => ("of", steps),
        (None, None, None, None) => {
            let what = format!("`{}` does not say what to look for", table.path);
            findings.add(table.at.clone(), what, "add seq = [ … ]; or all, any, or of with least");
            return None;
        }
        _ => {
            let at = given.get(1).map_or(table.at.clone(), |second| table.key(second));
            findings.add(
                at,
                format!("`{}` and another way for steps to belong together", given[0]),
                "write one of them",
            );
            return None;
        }
    };
    if which != "of" {
        for (key, said) in [("least", least.is_some()), ("independent", independent.is_some())] {
            if said {
                findings.add(table.key(key), format!("`{key}` goes with `of`"), "write of = [ … ] instead");
            }
        }
    }
    let steps = findings.take(Some(steps))?;
    let steps_at = steps.span();
    let steps: Vec<Option<Read>> =
        steps.into_inner().into_iter().map(|written| step(findings.take(Some(written))?, around, findings)).collect();
    let steps: Vec<Read> = steps.into_iter().collect::<Option<_>>()?;
    let many = u8::try_from(steps.iter().filter(|read| !read.step.absent && !read.expected).count()).unwrap_or(u8::MAX);
    let shape = match which {
        "seq" => Shape::Seq,
        "all" => Shape::Of { least: many.max(1), independent: false },
        "any" => Shape::Of { least: 1, independent: false },
        _ => {
            let independent = findings.value(independent).unwrap_or(false);
            let least = findings.take(least).map(Spanned::into_inner).or_else(|| {
                findings.add(steps_at, "this does not say how many of them", "add least = 2");
                None
            })?;
            Shape::Of { least, independent }
        }
    };
    Some((shape, steps))
}

/// Takes out the steps that are only expected: each is looked for between the steps around it.
pub(super) fn without_expected(
    read: Vec<Read>,
    places: &mut Places,
    findings: &mut Findings,
) -> Option<(Vec<Step>, Vec<Expected>)> {
    let (mut steps, mut waiting, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    let mut last: Option<u8> = None;
    let mut bounded = true;
    let as_expect = |step: Step, span| Expect {
        on: step.on,
        says: step.says,
        absent: false,
        span,
        seen: step.weight,
        missing: None,
        words: step.words,
    };
    for Read { step, expected: is_expected, part } in read {
        let place = steps.len() as u8;
        match (is_expected, step.absent) {
            (true, _) => {
                for (key, said) in [
                    ("absent", step.absent),
                    ("count", step.least > 1 || step.most.is_some()),
                    ("lasts", step.lasts.is_some()),
                    ("booked", step.compare.is_some()),
                    ("as", step.name.is_some()),
                ] {
                    if said {
                        let at = part.keys.get(key).unwrap_or(&part.at).clone();
                        let help = "take it out, or make the step one that must be seen";
                        findings.add(at, "a step that may be missing is simply seen or missing", help);
                        bounded = false;
                    }
                }
                waiting.push((step, last, part));
            }
            (false, absent) => {
                if !absent {
                    for (step, before, part) in waiting.drain(..) {
                        let within: Option<Duration> = step.within;
                        let span = match (before, within) {
                            (Some(before), _) => Span::Between(before, place),
                            (None, Some(within)) => Span::Before(place, within),
                            (None, None) => {
                                let what = "this is looked for in no bounded time: nothing comes before it";
                                findings.add(
                                    part.at.clone(),
                                    what,
                                    "write within = \"30 s\": how long before the next step",
                                );
                                bounded = false;
                                continue;
                            }
                        };
                        expected.push((as_expect(step, span), part));
                    }
                    last = Some(place);
                }
                steps.push(step);
                places.steps.push(part);
            }
        }
    }
    for (step, before, part) in waiting {
        match (before, step.within) {
            (Some(before), Some(within)) => expected.push((as_expect(step, Span::After(before, within)), part)),
            _ => {
                let what = "this is looked for in no bounded time: nothing comes after it";
                findings.add(part.at.clone(), what, "write within = \"30 s\": how long after the step before");
                bounded = false;
            }
        }
    }
    bounded.then_some((steps, expected))
}

pub(super) fn expectations(
    table: &mut Table<PatternTable>,
    around: &Around<'_>,
    steps: &[Step],
    places: &mut Places,
    findings: &mut Findings,
) -> Option<Vec<Expect>> {
    let Some(written) = findings.take(table.value.expect.take()) else { return Some(Vec::new()) };
    let all: Vec<Option<Expect>> = written
        .into_inner()
        .into_iter()
        .map(|written| {
            let (expect, part) = expectation(findings.take(Some(written))?, around, steps, findings)?;
            places.expect.push(part);
            Some(expect)
        })
        .collect();
    all.into_iter().collect()
}

/// How long a sequence takes at most by its steps' own times.
pub(super) fn own_times(shape: Shape, steps: &[Step]) -> Option<Duration> {
    if shape != Shape::Seq {
        return None;
    }
    let required = || steps.iter().filter(|step| !step.absent);
    let first = required().next()?;
    // A first step that is seen once takes no time.
    let begins = if first.least > 1 { first.within? } else { first.within.unwrap_or(Duration::ZERO) };
    let lasts: Duration = required().filter_map(|step| step.lasts).sum();
    let after: Option<Duration> = required().skip(1).map(|step| step.within).sum();
    Some((begins + lasts + after?).max(quaywatch_schemas::site::patterns::SHORTEST))
}

fn step(written: Spanned<StepTable>, around: &Around<'_>, findings: &mut Findings) -> Option<Read> {
    let mut part = Part { at: written.span(), ..Part::default() };
    let table = written.into_inner();
    let who = Who {
        role: table.role,
        zone: table.zone,
        sensor: table.sensor,
        situation: table.situation,
        track: table.track,
        near_zone: table.near_zone,
        near_track: table.near_track,
    };
    let (on, role) = who.source(around, &mut part, findings)?;
    let absent = part.take("absent", table.absent, findings).unwrap_or(false);
    let wanted = Wanted {
        is: table.is,
        class: table.class,
        people: table.people,
        above: table.above,
        below: table.below,
        clear: table.clear,
        rises: table.rises,
        falls: table.falls,
        during: table.during,
        min_p: table.min_p,
        nearer: table.nearer,
    };
    let says = wanted.says(role, &on, around, &mut part, findings)?;
    let booked = part.take("booked", table.booked, findings).map(Compare::Booked);
    let on_duty = part.take("on_duty", table.on_duty, findings).map(Compare::OnDuty);
    let times = part.take("count", table.count, findings).unwrap_or(Times { least: 1, most: None });
    let name = part.take("as", table.r#as, findings).map(|Text(name)| name);
    if let Some(bad) = name.as_ref().filter(|name| !is_a_name(name)) {
        let what = format!("{bad:?} cannot be the name of a step");
        findings.add(part.of("as"), what, "write letters, digits and _, a letter first");
    }
    let step = Step {
        name,
        on,
        says,
        compare: booked.or(on_duty),
        least: times.least,
        most: times.most,
        within: part.take("within", table.within, findings).map(|Time(time)| time),
        lasts: part.take("lasts", table.lasts, findings).map(|Time(time)| time),
        absent,
        weight: part.take("weight", table.weight, findings).map(|Number(number)| number),
        words: part.take("says", table.says, findings).map(|Text(text)| text),
    };
    let expected = part.take("expect", table.expect, findings).unwrap_or(false);
    Some(Read { step, expected, part })
}

fn expectation(
    written: Spanned<ExpectTable>,
    around: &Around<'_>,
    steps: &[Step],
    findings: &mut Findings,
) -> Option<(Expect, Part)> {
    let mut part = Part { at: written.span(), ..Part::default() };
    let table = written.into_inner();
    let who = Who {
        role: table.role,
        zone: table.zone,
        sensor: table.sensor,
        situation: table.situation,
        track: table.track,
        near_zone: table.near_zone,
        near_track: table.near_track,
    };
    let (on, role) = who.source(around, &mut part, findings)?;
    let wanted = Wanted {
        is: table.is,
        class: table.class,
        people: table.people,
        above: table.above,
        below: table.below,
        clear: table.clear,
        rises: None,
        falls: None,
        during: None,
        min_p: table.min_p,
        nearer: table.nearer,
    };
    let says = wanted.says(role, &on, around, &mut part, findings)?;
    let absent = part.take("absent", table.absent, findings).unwrap_or(false);
    let within = part.take("within", table.within, findings).map(|Time(time)| time);
    let between = findings.all(table.between);
    let (after, before) = (findings.take(table.after), findings.take(table.before));
    let named = |name: Spanned<Text>, findings: &mut Findings| named(&name, steps, findings);
    let needs_within = |part: &Part, findings: &mut Findings| {
        if within.is_none() {
            findings.add(part.at.clone(), "this is looked for in no bounded time", "write within = \"30 s\"");
        }
        within
    };
    let span = match (between, after, before) {
        (None, None, None) => {
            if within.is_some() {
                findings.add(
                    part.of("within"),
                    "this time begins nowhere",
                    "write after = \"STEP\" or before = \"STEP\"",
                );
            }
            Span::Throughout
        }
        (Some(between), None, None) => {
            part.keys.insert("between", between.span());
            let at = between.span();
            let mut both = between.into_inner().into_iter();
            let (Some(from), Some(to), None) = (both.next(), both.next(), both.next()) else {
                findings.add(at, "this is not two steps", "write between = [\"first\", \"second\"]");
                return None;
            };
            Span::Between(named(from, findings)?, named(to, findings)?)
        }
        (None, Some(after), None) => {
            part.keys.insert("after", after.span());
            Span::After(named(after, findings)?, needs_within(&part, findings)?)
        }
        (None, None, Some(before)) => {
            part.keys.insert("before", before.span());
            Span::Before(named(before, findings)?, needs_within(&part, findings)?)
        }
        _ => {
            findings.add(
                part.at.clone(),
                "this is looked for at several times",
                "write one of between, after and before",
            );
            return None;
        }
    };
    let expect = Expect {
        on,
        says,
        absent,
        span,
        seen: part.take("seen", table.seen, findings).map(|Number(number)| number),
        missing: part.take("missing", table.missing, findings).map(|Number(number)| number),
        words: part.take("says", table.says, findings).map(|Text(text)| text),
    };
    Some((expect, part))
}

/// The place of a step that must be seen, by its name.
fn named(name: &Spanned<Text>, steps: &[Step], findings: &mut Findings) -> Option<u8> {
    let wanted = &name.get_ref().0;
    let found = steps.iter().position(|step| step.name.as_ref() == Some(wanted));
    if found.is_none() {
        let names = steps.iter().filter_map(|step| step.name.as_deref());
        findings.add(name.span(), format!("no step is called `{wanted}`"), did_you_mean(wanted, names));
    }
    found.and_then(|place| u8::try_from(place).ok())
}

fn is_a_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Who says it, in all the ways to be written.
struct Who {
    role: Option<Written<Word<Role>>>,
    zone: Option<Written<ZoneId>>,
    sensor: Option<Written<SensorId>>,
    situation: Option<Written<Text>>,
    track: Option<Written<Word<TrackWord>>>,
    near_zone: Option<Written<ZoneId>>,
    near_track: Option<Written<Word<TrackWord>>>,
}

impl Who {
    /// The source, and what it is in its zone, if that is one thing.
    fn source(self, around: &Around<'_>, part: &mut Part, findings: &mut Findings) -> Option<(Source, Option<Role>)> {
        let given = [self.role.is_some(), self.sensor.is_some(), self.situation.is_some(), self.track.is_some()];
        let given = given.into_iter().filter(|given| *given).count();
        let role = part.spanned("role", self.role, findings);
        let sensor = part.spanned("sensor", self.sensor, findings);
        let situation = part.spanned("situation", self.situation, findings);
        let track = part.spanned("track", self.track, findings);
        let zone = part.spanned("zone", self.zone, findings);
        let near_zone = part.spanned("near_zone", self.near_zone, findings);
        let near_track = part.spanned("near_track", self.near_track, findings);
        if given != 1 {
            let what = if given == 0 { "this does not say who says it" } else { "this says twice who says it" };
            findings.add(part.at.clone(), what, "write one of role, sensor, situation and track");
            return None;
        }
        if zone.is_some() && role.is_none() {
            findings.add(part.of("zone"), "only a role is looked for in a zone", "take `zone` out");
        }
        for (key, said) in [("near_zone", near_zone.is_some()), ("near_track", near_track.is_some())] {
            if said && track.is_none() {
                findings.add(part.of(key), "only what is followed is near anything", "write track = \"any\"");
            }
        }
        if let Some(role) = role {
            let Word(role) = role.into_inner();
            let zone = match zone {
                Some(zone) => Some(known(zone, "zone", around.zones, findings)?),
                None => None,
            };
            return Some((Source::Role { role, zone }, Some(role)));
        }
        if let Some(sensor) = sensor {
            let sensor = known(sensor, "sensor", around.sensors, findings)?;
            let role = around.site.sensors.get(&sensor).map(|spec| spec.role);
            return Some((Source::Sensor(sensor), role));
        }
        if let Some(track) = track {
            let class = track.into_inner().0.class();
            let near = match (near_zone, near_track) {
                (None, None) => None,
                (Some(zone), None) => Some(NearTo::Zone(known(zone, "zone", around.zones, findings)?)),
                (None, Some(other)) => Some(NearTo::Track(other.into_inner().0.class())),
                (Some(_), Some(other)) => {
                    findings.add(other.span(), "this is near two things at once", "make two steps of it");
                    return None;
                }
            };
            return Some((Source::Track { class, near }, None));
        }
        situation.map(|kind| (Source::Situation(kind.into_inner().0), None))
    }
}

/// What is asked for, in all its ways to be written.
struct Wanted {
    is: Option<Written<Word<SaysWord>>>,
    class: Option<Written<Word<ClassWord>>>,
    people: Option<Written<u32>>,
    above: Option<Written<Amount>>,
    below: Option<Written<Amount>>,
    clear: Option<Written<Amount>>,
    rises: Option<Written<Amount>>,
    falls: Option<Written<Amount>>,
    during: Option<Written<Time>>,
    min_p: Option<Written<Share>>,
    nearer: Option<Written<Metres>>,
}

impl Wanted {
    fn says(
        self,
        role: Option<Role>,
        on: &Source,
        around: &Around<'_>,
        part: &mut Part,
        findings: &mut Findings,
    ) -> Option<Says> {
        let written = [self.is.is_some(), self.people.is_some(), self.above.is_some(), self.below.is_some()];
        let written = written.contains(&true) || self.rises.is_some() || self.falls.is_some();
        let is = part.spanned("is", self.is, findings).map(|said| said.into_inner().0);
        let class = part.spanned("class", self.class, findings).map(|class| class.into_inner().0);
        let people = part.take("people", self.people, findings);
        let (above, below) = (part.spanned("above", self.above, findings), part.spanned("below", self.below, findings));
        let clear = part.spanned("clear", self.clear, findings);
        let (rises, falls) = (part.spanned("rises", self.rises, findings), part.spanned("falls", self.falls, findings));
        let during = part.take("during", self.during, findings).map(|Time(time)| time);
        let min_p = part.take("min_p", self.min_p, findings).map(|Share(share)| share);
        let nearer = part.take("nearer", self.nearer, findings).map(|Metres(metres)| metres);
        let ways = [is.is_some(), people.is_some(), above.is_some(), below.is_some(), rises.is_some(), falls.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            let help = "write one of is, people, above, below, rises and falls";
            findings.add(part.at.clone(), "this is said in several ways", help);
            return None;
        }
        if clear.is_some() && above.is_none() && below.is_none() {
            findings.add(part.of("clear"), "`clear` goes with `above` or `below`", "take it out");
        }
        if during.is_some() && rises.is_none() && falls.is_none() {
            findings.add(part.of("during"), "`during` goes with `rises` or `falls`", "take it out");
        }
        if class.is_some() && is != Some(SaysWord::Seen) {
            findings.add(part.of("class"), "`class` goes with is = \"seen\"", "add is = \"seen\"");
        }
        let amount = |amount: Spanned<Amount>, findings: &mut Findings| fits(amount, role, on, around, findings);
        if let Source::Situation(_) = on {
            // What is judged further on is whether anything else was written.
            return Some(match is {
                Some(is) => is.says(class.map(Into::into)),
                None => Says::Said { least: min_p.unwrap_or(super::MIN_P) },
            });
        }
        if let Source::Track { .. } = on {
            return Some(match (is, nearer) {
                (Some(is), _) => is.says(class.map(Into::into)),
                (None, Some(metres)) => Says::Near(metres),
                (None, None) => Says::Inside,
            });
        }
        if nearer.is_some() {
            findings.add(part.of("nearer"), "only what is followed is near anything", "write track = \"any\"");
        }
        if min_p.is_some() {
            findings.add(part.of("min_p"), "only a `situation` has a probability", "take `min_p` out");
        }
        if let Some(limit) = above {
            let limit = amount(limit, findings)?;
            let clear = clear.map_or(Some(limit), |clear| amount(clear, findings))?;
            return Some(Says::Above { limit, clear });
        }
        if let Some(limit) = below {
            let limit = amount(limit, findings)?;
            let clear = clear.map_or(Some(limit), |clear| amount(clear, findings))?;
            return Some(Says::Below { limit, clear });
        }
        if rises.is_some() || falls.is_some() {
            let Some(during) = during else {
                findings.add(part.at.clone(), "this trend is measured over no time", "add during = \"60 s\"");
                return None;
            };
            return match (rises, falls) {
                (Some(by), _) => Some(Says::Rises { by: amount(by, findings)?, during }),
                (_, Some(by)) => Some(Says::Falls { by: amount(by, findings)?, during }),
                _ => None,
            };
        }
        if let Some(people) = people {
            return Some(Says::People(people));
        }
        match is {
            Some(is) => Some(is.says(class.map(Into::into))),
            // What was written and means nothing is said already.
            None if written => None,
            None => {
                let usual = role.and_then(usual);
                if usual.is_none() {
                    let help = "write is = \"…\"; for a value above, below, rises or falls";
                    findings.add(part.at.clone(), "this does not say what is said", help);
                }
                usual
            }
        }
    }
}

/// What a sensor of a role says when something is there.
fn usual(role: Role) -> Option<Says> {
    let first = match role {
        Role::Grant | Role::Reader => Says::Granted,
        Role::PlateFront | Role::PlateRear | Role::Container | Role::Tag => Says::Read,
        Role::PresenceCamera | Role::PositionCamera | Role::Radar => Says::Seen(None),
        Role::PeopleCount => Says::Stepped,
        _ => Says::On,
    };
    first.fits(role).then_some(first)
}

/// An amount in base units, if it is of what the sensor measures.
fn fits(
    amount: Spanned<Amount>,
    role: Option<Role>,
    on: &Source,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<f64> {
    let Amount { value, quantity } = *amount.get_ref();
    let by_role = role.and_then(|role| match role {
        Role::WeightGross => Some(Quantity::Mass),
        Role::MooringLoad => Some(Quantity::Force),
        Role::WindSpeed => Some(Quantity::Speed),
        _ => None,
    });
    let unit_of = |id: &SensorId| around.site.sensors.get(id)?.unit.as_ref().map(|unit| unit.quantity());
    let measured = by_role.or_else(|| match on {
        Source::Sensor(id) => unit_of(id),
        Source::Role { role, .. } => {
            let mut same = around.site.sensors.iter().filter(|(_, spec)| spec.role == *role);
            same.find_map(|(id, _)| unit_of(id))
        }
        Source::Situation(_) | Source::Track { .. } => None,
    });
    if let Some(measured) = measured.filter(|measured| *measured != quantity) {
        let (is, wanted) = (format!("{quantity:?}").to_lowercase(), format!("{measured:?}").to_lowercase());
        findings.add(amount.span(), format!("this is a {is}, and a {wanted} is measured"), "write a value in its unit");
        return None;
    }
    Some(value)
}

impl Part {
    /// A value with its place, which is remembered.
    fn spanned<T>(
        &mut self,
        key: &'static str,
        written: Option<Written<T>>,
        findings: &mut Findings,
    ) -> Option<Spanned<T>> {
        let value = findings.take(written)?;
        self.keys.insert(key, value.span());
        Some(value)
    }

    fn take<T>(&mut self, key: &'static str, written: Option<Written<T>>, findings: &mut Findings) -> Option<T> {
        self.spanned(key, written, findings).map(Spanned::into_inner)
    }

    fn of(&self, key: &str) -> Range<usize> {
        self.keys.get(key).unwrap_or(&self.at).clone()
    }
}
