//! Badges that are read late, twice and out of order: what is concluded in the end is what prompt reads would have shown.

use crate::{
    script::{self, stamp},
    site,
};
use proptest::prelude::*;
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Control, Observation, Private, Reading, Record, SensorId, Situation, Stamped, WallTime,
    observation::{AccessDecision, Credential, SourceTime},
    reference::{Fact, Reference, References, Role, Shift},
    sealed::Identity,
    situation::Phase,
};
use std::collections::{BTreeMap, BTreeSet};

const READERS: [&str; 5] = ["in", "out", "quay-reader", "yard-reader", "office-reader"];
const RULES: [&str; 4] = ["pass-back", "impossible-travel", "out-of-zone", "out-of-hours"];
const START: WallTime = WallTime(1_773_471_600_000_000_000);
/// Before it every reader has said enough for its clock to be known.
const KNOWN: u64 = 60_000;

/// One read: whose, where, when, how late it is told, and how much later again. Times in milliseconds.
#[derive(Debug, Clone)]
struct Read {
    badge: usize,
    reader: usize,
    at: u64,
    late: u64,
    again: Option<u64>,
}

fn reads() -> impl Strategy<Value = Vec<Read>> {
    let gap = prop_oneof![3 => 100..20_000u64, 3 => 5_000..120_000u64, 1 => 100_000..2_000_000u64];
    let late = prop_oneof![6 => 0..300u64, 1 => 0..30_000u64];
    let again = prop_oneof![8 => Just(None), 1 => (0..20_000u64).prop_map(Some)];
    let read = (0..3usize, 0..READERS.len(), gap, late, again);
    proptest::collection::vec(read, 1..24).prop_map(|reads| {
        let mut now = KNOWN;
        let timed = reads.into_iter().map(|(badge, reader, gap, late, again)| {
            now += gap;
            Read { badge, reader, at: now, late, again }
        });
        timed.collect()
    })
}

/// The log of these reads: in the order they are told, or as if all were told at once.
fn log(reads: &[Read], prompt: bool) -> Vec<Stamped> {
    let rules: Vec<String> = RULES.iter().map(|rule| (*rule).to_owned()).collect();
    let site = site::load("access", &rules);
    let mut said: Vec<(u64, Record)> = Vec::new();
    for (reader, word) in (0..READERS.len()).flat_map(|reader| (0..10u64).map(move |word| (reader, word))) {
        let at = 1_000 + word * 5_000 + reader as u64;
        said.push((at, read_by(reader, &format!("warm-{reader}-{word}"), at)));
    }
    for (read, number) in reads.iter().zip(1..) {
        // Somebody else is read promptly in between: three words that are equally late are a clock that was set.
        let between = read.at - 50;
        said.push((between, read_by(read.reader, &format!("between-{number}"), between)));
        let record = read_by(read.reader, &format!("b{}", read.badge), read.at);
        let told = read.at + if prompt { 0 } else { read.late };
        said.push((told, record.clone()));
        said.extend(read.again.filter(|_| !prompt).map(|later| (told + later, record)));
    }
    said.sort_by_key(|(told, _)| *told);
    let first = [
        (0, Record::Control(Control::SiteApplied { site: Box::new(site), digest: [0; 32] })),
        (0, Record::Control(Control::References(roster()))),
    ];
    let all = first.into_iter().chain(said).zip(1..);
    all.map(|((told, record), position)| Stamped { stamp: stamp(told as f64 / 1000.0, position, START), record })
        .collect()
}

fn read_by(reader: usize, badge: &str, at: u64) -> Record {
    let credential = Credential { holder: identity(badge), decision: AccessDecision::Granted };
    let mut observation = Observation::live(SensorId::new(READERS[reader]).unwrap(), Reading::Credential(credential));
    // Each reader's clock is off by some seconds.
    let claimed = START.0 + at as i64 * 1_000_000 + (reader as i64 - 2) * 1_700_000_000;
    observation.observed_at = Some(SourceTime { at: WallTime(claimed), uncertainty_ms: 0 });
    Record::Observation(observation)
}

fn identity(badge: &str) -> Identity {
    Identity { handle: None, value: Private::clear(badge) }
}

/// The first badge may be anywhere, the second not in the yard, the third only in the first half hour.
fn roster() -> References {
    let zones = |names: &[&str]| names.iter().map(|name| quaywatch_schemas::ZoneId::new(name).unwrap()).collect();
    let all = ["turnstile", "quay", "yard", "office"];
    let roles = [
        ("b0", zones(&all), vec![]),
        ("b1", zones(&["turnstile", "quay", "office"]), vec![]),
        ("b2", zones(&all), vec![Shift { from: START, until: WallTime(START.0 + 1_800_000_000_000) }]),
    ];
    let statements = roles.into_iter().map(|(badge, zones, shifts)| {
        let role = Role { holder: identity(badge), role: "docker".into(), zones, shifts };
        Reference { key: badge.into(), valid_from: None, valid_until: None, version: 1, fact: Fact::Role(role) }
    });
    let feed = quaywatch_schemas::FeedId::new("roster").unwrap();
    References { feed, as_of: START, complete: true, statements: statements.collect() }
}

/// What stands in the end: kind, zone, when, about whom, and which sensors speak.
fn concluded(records: &[Stamped]) -> BTreeSet<(String, String, i64, String, Vec<String>)> {
    let mut engine = Engine::new([7; 32]);
    let mut last: BTreeMap<_, Situation> = BTreeMap::new();
    let end = script::stamp(1e6, records.len() as u64, START);
    let mut said: Vec<Situation> = records.iter().flat_map(|record| engine.observe(record)).collect();
    said.extend(engine.advance(&end));
    for situation in said {
        last.insert(situation.id, situation);
    }
    let standing = last.into_values().filter(|situation| situation.phase != Phase::Retracted);
    let told = standing.map(|situation| {
        let subject = situation.subjects[0].identities[0].value.as_clear().unwrap().to_owned();
        let sensors = situation.evidence.iter().map(|piece| piece.sensor.to_string()).collect();
        (situation.kind, situation.zone.to_string(), situation.from.0 / 1_000_000, subject, sensors)
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn late_and_repeated_badges_come_to_the_same_in_the_end(reads in reads()) {
        prop_assert_eq!(concluded(&log(&reads, false)), concluded(&log(&reads, true)));
    }
}
