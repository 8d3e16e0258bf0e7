//! The automata by themselves, the whole through the engine's ordinary interface, and any sequence of inputs.

use super::automaton::{Count, Hit, Outcome, Plan, Runs};
use super::event::Verdict;
use crate::{BadGuard, Engine, Facts, Guard, Guards, bounds::STEPS_PER_RECORD};
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;
use proptest::prelude::*;
use quaywatch_schemas::{
    Control, DomainId, GatewayTime, LineId, Observation, PatternId, Position, Reading, Record, SensorId, Site, SiteId,
    Situation, Stamp, Stamped, WallTime, ZoneId,
    observation::SourceTime,
    site::{
        Clock, Pattern, Rates, Role, Rules, Sensor, Status, Zone, ZoneKind,
        patterns::{Emit, Expect, Key, Parts, Says, Shape, Skip, Source, Span, Step},
        rules::Mode,
    },
    situation::{Phase, Severity, Side, Urgency},
};

const NEVER: [i64; 0] = [];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: i64) -> WallTime {
    WallTime(second * 1_000_000_000)
}

fn step(sensor: &str) -> Step {
    Step {
        name: None,
        on: Source::Sensor(SensorId::new(sensor).unwrap()),
        says: Says::On,
        compare: None,
        least: 1,
        most: None,
        within: None,
        lasts: None,
        absent: false,
        weight: Some(1.0),
        words: None,
    }
}

fn absent(sensor: &str) -> Step {
    Step { absent: true, weight: None, ..step(sensor) }
}

fn parts(steps: Vec<Step>) -> Parts {
    Parts {
        zones: vec![ZoneId::new("yard").unwrap()],
        mode: Mode::Tell,
        key: Key::Zone,
        shape: Shape::Seq,
        steps,
        expect: vec![],
        within: seconds(60),
        skip: Skip::PastLast,
        max_partial: 4,
        guard: None,
        emit: Emit {
            headline: "something was seen".into(),
            assessment: "It is what was looked for.".into(),
            action: None,
            otherwise: None,
            prior: 0.5,
            min_p: 0.6,
            severity: Severity::Moderate,
            urgency: Urgency::Immediate,
            ends_after: seconds(30),
            answer_within: None,
        },
    }
}

fn plan(parts: Parts) -> Plan {
    Plan::of(&Pattern::new(parts).unwrap())
}

/// Feeds events (second, slot) and says when matches ended; times pass until the end.
fn run(plan: &Plan, events: &[(i64, u8)]) -> (Vec<i64>, Count) {
    let (mut runs, mut count, mut out) = (Runs::default(), Count::default(), Vec::new());
    let can = |_: &SensorId, _: WallTime| true;
    for (position, (second, slot)) in (1..).zip(events) {
        out.extend(runs.pass(plan, at(*second), &can, &mut count));
        let hit = Hit {
            slot: *slot,
            at: at(*second),
            since: at(*second),
            times: 1,
            sensor: SensorId::new(&format!("s{slot}")).unwrap(),
            thing: None,
            domain: u16::from(*slot),
            positions: vec![Position(position)],
            value: None,
            weight: None,
        };
        out.extend(runs.take(plan, vec![(hit, Verdict::On(1))], &mut count));
    }
    out.extend(runs.pass(plan, at(1_000_000), &can, &mut count));
    assert!(runs.is_empty(), "whatever began has ended: {runs:?}");
    let matched = out.iter().filter_map(|outcome| match outcome {
        Outcome::Matched(matched) => Some(matched.ended.0 / 1_000_000_000),
        Outcome::Over(_) => None,
    });
    (matched.collect(), count)
}

#[test]
fn steps_follow_each_other_within_their_times_and_the_end_of_a_time_is_still_within() {
    let within = |step: Step, time| Step { within: Some(seconds(time)), ..step };
    let plan = plan(parts(vec![step("s0"), within(step("s1"), 10)]));
    assert_eq!(run(&plan, &[(0, 0), (10, 1)]).0, [10]);
    assert_eq!(run(&plan, &[(0, 0), (11, 1)]).0, NEVER);
    assert_eq!(run(&plan, &[(0, 1), (5, 0)]).0, NEVER, "the wrong way round");
    assert_eq!(run(&plan, &[(0, 0), (9, 0), (15, 1)]).0, [15], "a later beginning counts too");
    assert_eq!(run(&plan, &[(0, 0), (1, 0), (2, 1), (3, 1)]).0, [2], "one match uses up all that began before its end");
}

#[test]
fn matches_may_overlap_if_they_are_asked_to() {
    let overlapping = Parts { skip: Skip::ToNext, ..parts(vec![step("s0"), step("s1")]) };
    assert_eq!(run(&plan(overlapping), &[(0, 0), (1, 0), (2, 1)]).0, [2, 2]);
}

#[test]
fn at_the_bound_the_oldest_beginning_goes_and_is_counted() {
    let plan = plan(Parts { skip: Skip::ToNext, ..parts(vec![step("s0"), step("s1")]) });
    let begins: Vec<(i64, u8)> = (0..10).map(|second| (second, 0)).chain([(20, 1)]).collect();
    let (matched, count) = run(&plan, &begins);
    assert_eq!((matched.len(), count.dropped), (4, 6));
}

#[test]
fn what_must_not_be_seen_ends_a_beginning_between_its_steps_and_not_elsewhere() {
    let between = plan(parts(vec![step("s0"), absent("s1"), step("s2")]));
    assert_eq!(run(&between, &[(0, 0), (5, 2)]).0, [5]);
    assert_eq!(run(&between, &[(0, 0), (3, 1), (5, 2)]).0, NEVER);
    assert_eq!(run(&between, &[(0, 1), (1, 0), (5, 2), (6, 1)]).0, [5]);
    let after = plan(parts(vec![step("s0"), Step { within: Some(seconds(15)), ..absent("s1") }]));
    assert_eq!(run(&after, &[(0, 0)]).0, [15], "decided when its time is over");
    assert_eq!(run(&after, &[(0, 0), (15, 1)]).0, NEVER, "at the very end is still seen");
    assert_eq!(run(&after, &[(0, 0), (16, 1)]).0, [15]);
}

#[test]
fn counts_slide_over_their_window_and_a_most_is_a_most() {
    let counted = |least, most, within| Step { least, most, within: Some(seconds(within)), ..step("s0") };
    let three = plan(parts(vec![counted(3, None, 10)]));
    assert_eq!(run(&three, &[(0, 0), (4, 0), (8, 0)]).0, [8]);
    assert_eq!(run(&three, &[(0, 0), (8, 0), (12, 0), (16, 0)]).0, [16], "the first is too long ago");
    let two_or_three = plan(parts(vec![counted(2, Some(3), 10)]));
    assert_eq!(run(&two_or_three, &[(0, 0), (1, 0)]).0, [11], "more may come until its time is over");
    assert_eq!(run(&two_or_three, &[(0, 0), (1, 0), (2, 0), (3, 0)]).0, NEVER, "four are too many");
    let then = plan(parts(vec![step("s1"), counted(2, None, 10)]));
    assert_eq!(run(&then, &[(0, 0), (5, 1), (9, 1)]).0, [9]);
    assert_eq!(run(&then, &[(0, 0), (5, 1), (11, 1)]).0, NEVER, "twice, but not in time");
}

#[test]
fn n_of_m_counts_what_does_not_fail_together() {
    let of = |least, independent| {
        let shape = Shape::Of { least, independent };
        plan(Parts { shape, within: seconds(10), ..parts(vec![step("s0"), step("s1"), step("s2")]) })
    };
    assert_eq!(run(&of(2, false), &[(0, 2), (4, 0)]).0, [4]);
    assert_eq!(run(&of(2, false), &[(0, 2), (4, 2)]).0, NEVER, "the same twice is one");
    assert_eq!(run(&of(2, true), &[(0, 2), (11, 0)]).0, NEVER, "too far apart");
    assert_eq!(run(&of(3, true), &[(0, 2), (4, 0), (8, 1)]).0, [8]);
}

/// A guard that takes a threshold on the time between the steps: enough of a language for these tests.
struct Longer;

impl Guards for Longer {
    fn compile(&self, text: &str) -> Result<Box<dyn Guard>, BadGuard> {
        let parsed: Result<f64, _> = text.parse();
        parsed.map(|seconds| Box::new(Than(seconds)) as Box<dyn Guard>).map_err(|why| BadGuard {
            line: 1,
            column: 1,
            what: format!("{why}"),
            help: String::new(),
        })
    }
}

struct Than(f64);

impl Guard for Than {
    fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        Some(facts.seconds > self.0)
    }

    fn cost(&self) -> u32 {
        40
    }
}

const SENSORS: [&str; 4] = ["s0", "s1", "s2", "s3"];

fn site(patterns: Vec<(&str, Parts)>) -> Site {
    let zone = ZoneId::new("yard").unwrap();
    let sensors = SENSORS.iter().enumerate().map(|(number, name)| {
        let sensor = Sensor {
            zone: zone.clone(),
            role: Role::Door,
            at_m: None,
            // The first two fail together.
            domain: DomainId::new(&format!("d{}", number.max(1))).unwrap(),
            line: LineId::new("line").unwrap(),
            silent_after: None,
            unit: None,
            range: None,
            rates: Rates { detection: 0.9, false_alarm: 0.05 },
            mount: None,
            view: None,
            clock: Clock::Free,
            leads: None,
        };
        (SensorId::new(name).unwrap(), sensor)
    });
    let place = Zone {
        name: "Yard".into(),
        kind: ZoneKind::Yard,
        direction: None,
        length_m: None,
        media: None,
        closed: None,
        outline: vec![],
    };
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("gate-2").unwrap(),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: [(zone.clone(), place)].into(),
        sensors: sensors.collect(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: vec![],
        grid: None,
        patterns: patterns
            .into_iter()
            .map(|(name, parts)| (PatternId::new(name).unwrap(), Pattern::new(parts).unwrap()))
            .collect(),
    }
}

fn stamp(millis: i64, position: u64) -> Stamp {
    let nanos = 1_000_000_000_000 + millis * 1_000_000;
    Stamp {
        position: Position(position),
        gateway: GatewayTime(nanos as u64),
        wall: WallTime(nanos),
        ..Stamp::default()
    }
}

/// Feeds records (milliseconds, sensor, on, how late the word is) to an engine, and lets time pass until nothing can happen.
fn feed(engine: &mut Engine, records: &[(i64, usize, bool, i64)]) -> Vec<Situation> {
    let mut said = Vec::new();
    for (position, (millis, sensor, on, late)) in (10..).zip(records) {
        let sensor = SensorId::new(SENSORS[*sensor]).unwrap();
        let mut observation = Observation::live(sensor, Reading::Contact(*on));
        let claimed = stamp(millis - late, 0).wall;
        observation.observed_at = Some(SourceTime { at: claimed, uncertainty_ms: 0 });
        said.extend(
            engine.observe(&Stamped { stamp: stamp(*millis, position), record: Record::Observation(observation) }),
        );
    }
    said.extend(engine.advance(&stamp(100_000_000, 10_000)));
    said
}

fn engine(site: Site) -> Engine {
    let mut engine = Engine::new([7; 32]).with_guards(&Longer);
    let record = Record::Control(Control::SiteApplied { site: Box::new(site), digest: [0; 32] });
    assert!(engine.observe(&Stamped { stamp: stamp(0, 1), record }).iter().all(|it| it.kind == super::PATTERN_STOPPED));
    // Everybody is known to be at rest, and their clocks to be right.
    for round in 0..10 {
        for sensor in SENSORS {
            let mut observation = Observation::live(SensorId::new(sensor).unwrap(), Reading::Contact(false));
            let stamp = stamp(round * 100, 2);
            observation.observed_at = Some(SourceTime { at: stamp.wall, uncertainty_ms: 0 });
            engine.observe(&Stamped { stamp, record: Record::Observation(observation) });
        }
    }
    engine
}

#[test]
fn a_guard_is_asked_and_a_pattern_whose_guard_cannot_be_read_is_stopped_and_said() {
    let guarded = |guard: &str| Parts { guard: Some(guard.into()), ..parts(vec![step("s0"), step("s1")]) };
    let records = [(2000, 0, true, 0), (5000, 1, true, 0)];
    let opened = |said: &[Situation]| said.iter().filter(|it| it.phase == Phase::Opened).count();
    assert_eq!(opened(&feed(&mut engine(site(vec![("a", guarded("2.5"))])), &records)), 1);
    assert_eq!(opened(&feed(&mut engine(site(vec![("a", guarded("3.5"))])), &records)), 0);

    let both = site(vec![("bad", guarded("longer than that")), ("good", guarded("1"))]);
    let mut engine = Engine::new([7; 32]).with_guards(&Longer);
    let record = Record::Control(Control::SiteApplied { site: Box::new(both), digest: [0; 32] });
    let said = engine.observe(&Stamped { stamp: stamp(0, 1), record });
    assert_eq!(said.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>(), ["pattern.stopped"]);
    assert_eq!(said[0].mode, Mode::Tell);
    let rest = [(500, 0, false, 0), (500, 1, false, 0)];
    let said = feed(&mut engine, &[&rest[..], &records[..]].concat());
    assert!(said.iter().any(|it| it.kind == "site.good") && said.iter().all(|it| it.kind != "site.bad"));
    let states = engine.patterns();
    assert_eq!(states.iter().map(|state| state.stopped).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_pattern_that_costs_too_much_is_stopped_and_the_others_go_on() {
    let costly = Parts {
        skip: Skip::ToNext,
        max_partial: 64,
        guard: Some("0.0".into()),
        within: seconds(3600),
        ..parts(vec![step("s0"), step("s1")])
    };
    let cheap = parts(vec![step("s1")]);
    let mut engine = engine(site(vec![("cheap", cheap), ("costly", costly)]));
    // Thirty beginnings, each of which the last word completes, and each match is looked at by the guard.
    let mut records: Vec<(i64, usize, bool, i64)> =
        (0..60).map(|half| (2000 + half * 1000, 0, half % 2 == 0, 0)).collect();
    records.push((70_000, 1, true, 0));
    records.push((71_000, 1, false, 0));
    records.push((200_000, 1, true, 0));
    let said = feed(&mut engine, &records);
    let kinds = |kind: &str| said.iter().filter(|it| it.kind == kind && it.phase == Phase::Opened).count();
    assert_eq!((kinds("site.cheap"), kinds("pattern.stopped")), (2, 1), "{said:?}");
    let stopped = said.iter().find(|it| it.kind == "pattern.stopped").unwrap();
    assert!(
        format!("{:?}", stopped.facts).contains(&format!("{STEPS_PER_RECORD} are the most")),
        "{:?}",
        stopped.facts
    );
    // What it had said is closed: nobody would hear of it again.
    let costly: Vec<Phase> = said.iter().filter(|it| it.kind == "site.costly").map(|it| it.phase).collect();
    assert!(costly.is_empty() || costly.last() == Some(&Phase::Closed), "{costly:?}");
}

#[test]
fn a_site_that_is_applied_again_keeps_what_a_pattern_remembers_and_one_that_changed_it_does_not() {
    let pattern = || parts(vec![step("s0"), step("s1")]);
    for (changed, expected) in [(false, 1), (true, 0)] {
        let mut engine = engine(site(vec![("a", pattern())]));
        let mut said = feed_until(&mut engine, &[(2000, 0, true, 0)], 4000);
        let mut again = site(vec![("a", pattern()), ("b", pattern())]);
        if changed {
            again.sensors.get_mut("s0").unwrap().rates.detection = 0.5;
        }
        again.patterns.remove("b");
        let record = Record::Control(Control::SiteApplied { site: Box::new(again), digest: [1; 32] });
        said.extend(engine.observe(&Stamped { stamp: stamp(4500, 500), record }));
        said.extend(feed(&mut engine, &[(5000, 1, true, 0)]));
        assert_eq!(said.iter().filter(|it| it.phase == Phase::Opened).count(), expected, "changed: {changed}");
    }
}

fn feed_until(engine: &mut Engine, records: &[(i64, usize, bool, i64)], until: i64) -> Vec<Situation> {
    let mut said = Vec::new();
    for (position, (millis, sensor, on, _)) in (10..).zip(records) {
        let observation = Observation::live(SensorId::new(SENSORS[*sensor]).unwrap(), Reading::Contact(*on));
        said.extend(
            engine.observe(&Stamped { stamp: stamp(*millis, position), record: Record::Observation(observation) }),
        );
    }
    said.extend(engine.advance(&stamp(until, 400)));
    said
}

#[test]
fn a_record_is_shown_only_to_the_patterns_that_name_its_sensor() {
    let mut patterns: Vec<(String, Parts)> =
        (0..1000).map(|number| (format!("p{number}"), parts(vec![step("s1"), step("s2")]))).collect();
    patterns.push(("named".into(), parts(vec![step("s0"), step("s3")])));
    let site = site(patterns.iter().map(|(name, parts)| (name.as_str(), parts.clone())).collect());
    let index = crate::index::Index::of(&site);
    let compiled = super::Compiled::of(&site, &index, &Longer);
    let heard: Vec<usize> = compiled.by_sensor.iter().map(Vec::len).collect();
    assert_eq!(heard, [1, 1000, 1000, 1]);
}

/// Several patterns of every shape over the four sensors.
fn every_shape() -> Vec<(&'static str, Parts)> {
    let lasts = |sensor| Step { lasts: Some(seconds(3)), ..step(sensor) };
    let trailing = |sensor| Step { within: Some(seconds(5)), ..absent(sensor) };
    let counted = |least, most| Step { least, most, within: Some(seconds(8)), ..step("s0") };
    let expect = |span| Expect {
        on: Source::Sensor(SensorId::new("s3").unwrap()),
        says: Says::On,
        absent: false,
        span,
        seen: Some(0.5),
        missing: None,
        words: None,
    };
    let of = |least, independent| Shape::Of { least, independent };
    vec![
        ("absent-between", parts(vec![step("s0"), absent("s2"), step("s1")])),
        ("absent-after", parts(vec![step("s0"), trailing("s1")])),
        ("counted", parts(vec![counted(2, Some(3)), step("s1")])),
        ("counted-last", parts(vec![step("s1"), counted(2, Some(4))])),
        ("lasts", parts(vec![lasts("s0")])),
        ("lasts-then", parts(vec![lasts("s0"), step("s1")])),
        ("to-next", Parts { skip: Skip::ToNext, ..parts(vec![step("s0"), step("s0"), step("s1")]) }),
        (
            "keyed",
            Parts {
                key: Key::Sensor,
                ..parts(vec![Step { on: Source::Role { role: Role::Door, zone: None }, ..counted(3, None) }])
            },
        ),
        ("of", Parts { shape: of(2, false), within: seconds(6), ..parts(vec![step("s0"), step("s1"), absent("s3")]) }),
        (
            "independent",
            Parts { shape: of(2, true), within: seconds(6), ..parts(vec![step("s0"), step("s1"), step("s2")]) },
        ),
        (
            "expected",
            Parts {
                expect: vec![
                    expect(Span::Throughout),
                    expect(Span::After(0, seconds(4))),
                    expect(Span::Before(1, seconds(4))),
                ],
                ..parts(vec![step("s0"), step("s1")])
            },
        ),
    ]
}

fn everything_adds_up(said: &[Situation]) {
    for situation in said {
        let sum = situation.evidence.iter().fold(situation.prior, |sum, piece| sum + piece.weight);
        assert!((sum - situation.log_odds).abs() < 1e-9, "{}", situation.kind);
        assert!(situation.probability.is_finite(), "{}", situation.kind);
        assert!(!situation.facts.is_empty() && !situation.evidence.is_empty(), "{}", situation.kind);
        assert!(situation.evidence.iter().all(|piece| (piece.side == Side::Absent) == piece.positions.is_empty()));
    }
    // What was opened is closed once, and nothing is said of it after.
    let mut open: BTreeMap<_, Phase> = BTreeMap::new();
    for situation in said {
        let before = open.insert(situation.id, situation.phase);
        assert_eq!(before.is_none(), situation.revision == 1, "{}", situation.kind);
        assert_ne!(before, Some(Phase::Closed), "{}", situation.kind);
    }
    assert!(open.values().all(|phase| *phase == Phase::Closed), "{open:?}");
}

/// What was concluded, without what hangs on the order of the log.
fn meant(said: &[Situation]) -> Vec<String> {
    let mut meant: Vec<String> = said
        .iter()
        .map(|it| {
            let evidence: Vec<_> = it.evidence.iter().map(|piece| (&piece.sensor, piece.side, piece.weight)).collect();
            format!("{} {:?} {:?} {:?} {:.6} {evidence:?}", it.kind, it.phase, it.from, it.until, it.log_odds)
        })
        .collect();
    meant.sort();
    meant
}

/// Everybody at rest in the end: a state that never ends is never over.
fn and_then_rest(mut records: Vec<(i64, usize, bool, i64)>) -> Vec<(i64, usize, bool, i64)> {
    let last = records.last().map_or(0, |(millis, ..)| *millis);
    records.extend((0..SENSORS.len()).map(|sensor| (last + 20_000, sensor, false, 0)));
    records
}

#[test]
fn a_contact_that_goes_off_in_the_moment_in_which_it_came_on_is_off() {
    // The second word says that it is a millisecond older than the first: a clock is not known so well.
    let records = and_then_rest(vec![(2000, 0, true, 310), (2409, 0, false, 720)]);
    let said = feed(&mut engine(site(every_shape())), &records);
    assert!(!said.is_empty());
    everything_adds_up(&said);
}

/// A radar over a yard of 100 m, and a truck that stands in it.
fn watched(patterns: Vec<(&str, Parts)>) -> Site {
    use quaywatch_schemas::site::{Mount, View};
    let mut site = site(patterns);
    let yard = site.zones.values_mut().next().unwrap();
    yard.outline = vec![(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)];
    let mut radar = site.sensors["s3"].clone();
    radar.role = Role::Radar;
    radar.rates = Rates { detection: 0.95, false_alarm: 0.01 };
    radar.mount = Some(Mount { x: 50.0, y: -10.0, facing_deg: 90.0 });
    radar.view = Some(View::Polygon(vec![(-200.0, -20.0), (300.0, -20.0), (300.0, 300.0), (-200.0, 300.0)]));
    site.sensors.insert(SensorId::new("radar").unwrap(), radar);
    site
}

/// Somebody walks along y = 50 m at 1.5 m/s, past a truck at 60, 52.
fn walk(engine: &mut Engine, from: f64, scans: u32) -> Vec<Situation> {
    use quaywatch_schemas::{
        observation::{DetectedPosition, Detection, Frame, ObjectClass},
        units::{Finite, Probability},
    };
    let finite = |value| Finite::new(value).unwrap();
    let seen = |class, x, y| Detection {
        class,
        confidence: Some(Probability::new(0.9).unwrap()),
        position: Some(DetectedPosition::Cartesian {
            x: finite(x),
            y: finite(y),
            covariance: [finite(0.3), finite(0.0), finite(0.3)],
        }),
        speed: None,
        zones: vec![],
    };
    let mut said = Vec::new();
    for scan in 0..scans {
        let detections =
            vec![seen(ObjectClass::Person, from + 1.5 * f64::from(scan), 50.0), seen(ObjectClass::Vehicle, 60.0, 52.0)];
        let reading = Reading::Frame(Frame { detections });
        let observation = Observation::live(SensorId::new("radar").unwrap(), reading);
        let stamp = stamp(2000 + i64::from(scan) * 1000, 10 + u64::from(scan));
        said.extend(engine.observe(&Stamped { stamp, record: Record::Observation(observation) }));
    }
    said.extend(engine.advance(&stamp(200_000, 1000)));
    said
}

#[test]
fn what_is_followed_is_in_a_zone_for_a_time_and_near_something() {
    use quaywatch_schemas::{observation::ObjectClass, site::patterns::NearTo};
    let track = |near, says, lasts| Step {
        on: Source::Track { class: Some(ObjectClass::Person), near },
        says,
        lasts,
        weight: None,
        ..step("s0")
    };
    let inside =
        Parts { key: Key::Object, within: seconds(60), ..parts(vec![track(None, Says::Inside, Some(seconds(20)))]) };
    let near = || parts(vec![track(Some(NearTo::Track(Some(ObjectClass::Vehicle))), Says::Near(8.0), None)]);
    let yard = ZoneId::new("yard").unwrap();
    let edge = parts(vec![track(Some(NearTo::Zone(yard)), Says::Near(1.0), None)]);
    let mut engine = engine(watched(vec![("edge", edge), ("inside", inside), ("near", near())]));
    let said = walk(&mut engine, 10.0, 90);
    let of = |kind: &str| said.iter().filter(|it| it.kind == kind).collect::<Vec<_>>();
    let seconds_of = |at: WallTime| (at.0 - stamp(2000, 0).wall.0) as f64 / 1e9;
    let stays = of("site.inside");
    assert_eq!(stays.iter().map(|it| it.phase).collect::<Vec<_>>(), [Phase::Opened, Phase::Closed], "{stays:?}");
    assert!(stays[0].evidence.iter().all(|piece| piece.sensor.as_str() == "radar"));
    // In at 10 m from the start, out at 100 m after a minute.
    assert!((seconds_of(stays[1].until.unwrap()) - 60.0).abs() < 5.0, "{:?}", stays[1].until);
    // Nearer than 8 m to the truck from 52 to 68 m: 28 to 39 s.
    let passes = of("site.near");
    assert_eq!(passes.iter().map(|it| it.phase).collect::<Vec<_>>(), [Phase::Opened, Phase::Closed], "{passes:?}");
    assert!((seconds_of(passes[0].from) - 28.5).abs() < 3.0, "{}", seconds_of(passes[0].from));
    assert!((seconds_of(passes[1].until.unwrap()) - 39.0).abs() < 4.0, "{:?}", passes[1].until);
    assert!(!of("site.edge").is_empty(), "what is inside is no metre away");
    everything_adds_up(&said);
    assert!(of("site.inside").len() + of("site.near").len() < 5);

    // Nobody comes near the truck who walks elsewhere.
    let mut engine = self::engine(watched(vec![("near", near())]));
    assert!(walk(&mut engine, 90.0, 30).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes: no panic, everything bounded, every sum right, the same from a snapshot, and all that was opened is
    /// closed in the end.
    #[test]
    fn any_sequence_is_bounded_adds_up_and_ends(
        records in proptest::collection::vec((0i64..4000, 0usize..4, any::<bool>(), 0i64..1500), 1..120)
    ) {
        let mut now = 2000;
        let records: Vec<_> = records.into_iter().map(|(gap, sensor, on, late)| {
            now += gap;
            (now, sensor, on, late)
        }).collect();
        let records = and_then_rest(records);
        let mut one = engine(site(every_shape()));
        let empty = one.snapshot().len();
        let mut said = Vec::new();
        for (position, (millis, sensor, on, late)) in (10..).zip(&records) {
            let mut observation = Observation::live(SensorId::new(SENSORS[*sensor]).unwrap(), Reading::Contact(*on));
            observation.observed_at = Some(SourceTime { at: stamp(millis - late, 0).wall, uncertainty_ms: 0 });
            said.extend(one.observe(&Stamped { stamp: stamp(*millis, position), record: Record::Observation(observation) }));
            prop_assert!(one.snapshot().len() < empty + (64 << 10), "a bound does not hold");
        }
        let snapshot = one.snapshot();
        let mut other = Engine::restore([7; 32], &snapshot).unwrap().with_guards(&Longer);
        prop_assert_eq!(&other.snapshot(), &snapshot);
        let end = stamp(100_000_000, 10_000);
        let rest = one.advance(&end);
        prop_assert_eq!(&rest, &other.advance(&end));
        said.extend(rest);
        everything_adds_up(&said);
    }

    /// Independent sensors that speak at the same moment may be heard in any order.
    #[test]
    fn the_order_of_simultaneous_words_does_not_matter(
        moments in proptest::collection::vec(proptest::collection::btree_map(0usize..4, any::<bool>(), 1..4), 1..30),
        gaps in proptest::collection::vec(100i64..4000, 30),
    ) {
        let mut now = 2000;
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for (words, gap) in moments.iter().zip(&gaps) {
            now += gap;
            one.extend(words.iter().map(|(sensor, on)| (now, *sensor, *on, 0)));
            other.extend(words.iter().rev().map(|(sensor, on)| (now, *sensor, *on, 0)));
        }
        let (one, other) = (and_then_rest(one), and_then_rest(other));
        let said = feed(&mut engine(site(every_shape())), &one);
        prop_assert_eq!(meant(&said), meant(&feed(&mut engine(site(every_shape())), &other)));
        everything_adds_up(&said);
    }

    /// The automaton alone, with whatever slots: it holds no more than its bounds, and is empty in the end.
    #[test]
    fn an_automaton_holds_no_more_than_its_bounds(events in proptest::collection::vec((0i64..5, 0u8..3), 1..400)) {
        let mut now = 0;
        let events: Vec<(i64, u8)> = events.into_iter().map(|(gap, slot)| { now += gap; (now, slot) }).collect();
        for (name, parts) in every_shape() {
            let plan = plan(parts);
            let (mut runs, mut count) = (Runs::default(), Count::default());
            let can = |_: &SensorId, _: WallTime| true;
            for (second, slot) in &events {
                runs.pass(&plan, at(*second), &can, &mut count);
                let hit = Hit {
                    slot: *slot, at: at(*second), since: at(*second), times: 1,
                    sensor: SensorId::new(&format!("s{slot}")).unwrap(), thing: None, domain: u16::from(*slot),
                    positions: vec![Position(1)], value: None, weight: None,
                };
                let before = count.steps;
                runs.take(&plan, vec![(hit, Verdict::On(1))], &mut count);
                prop_assert!(count.steps - before <= STEPS_PER_RECORD, "{}: {} steps", name, count.steps - before);
                prop_assert!(runs.held() < 512, "{}: {} held", name, runs.held());
            }
        }
    }
}
