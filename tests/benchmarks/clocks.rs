//! Clocks that lie and lines that are slow: what stands in the end is what true clocks and prompt lines would have shown.

use quaywatch_schemas::{
    Control, GatewayTime, Observation, Position, Reading, Record, SensorId, Situation, Stamp, Stamped,
    observation::SourceId,
    site::{
        Clock,
        rules::{Dwell, Mode, Rule},
    },
    situation::{Phase, SituationId},
};
use quaywatch_simulator::trials::{gate, quay};
use quaywatch_tests::benchmark;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Fifty minutes with a peak in it.
const LASTS_S: f64 = 3000.0;
/// A ninth of the sources is fast, another slow.
const AT_A_TIME: usize = 9;
const SECOND: i64 = 1_000_000_000;
const DAY_FAST: i64 = 86_400 * SECOND;
const MINUTES_SLOW: i64 = -600 * SECOND;

/// Every source of the gate is a day fast once and ten minutes slow once, some at a time.
#[test]
fn a_source_a_day_fast_and_one_ten_minutes_slow_change_nothing_at_a_gate() {
    let data = super::written(gate::Trial::make(&gate::Preset::REAL.lasting(LASTS_S), 7005).files().unwrap());
    let records = benchmark::gate::Recorded::read(data.path()).unwrap().records;
    let expected = standing(&records);
    assert!(expected.len() > 100, "{}", expected.len());
    let sources: Vec<SensorId> = sources(&records).into_iter().collect();
    for turn in 0..AT_A_TIME {
        let of_turn = |turn: usize| sources.iter().skip(turn % AT_A_TIME).step_by(AT_A_TIME);
        let fast = of_turn(turn).map(|sensor| (sensor, DAY_FAST));
        let skews: Vec<(&SensorId, i64)> = fast.chain(of_turn(turn + 4).map(|sensor| (sensor, MINUTES_SLOW))).collect();
        same(&expected, &standing(&skewed(&records, &skews)), &format!("{skews:?}"));
    }
}

/// What moves is where it is, and the same is said of it.
#[test]
fn a_radar_a_day_fast_and_a_camera_ten_minutes_slow_change_nothing_on_a_quay() {
    let data = super::written(quay::Trial::make(&quay::Preset::QUAY, 7005).files().unwrap());
    let mut recorded = benchmark::quay::Recorded::read(data.path()).unwrap();
    for record in &mut recorded.records {
        if let Record::Control(Control::SiteApplied { site, .. }) = &mut record.record {
            // Nobody vouches for any clock.
            site.sensors.values_mut().for_each(|sensor| sensor.clock = Clock::Free);
            let mut dwell = Rule::<Dwell>::everywhere(Mode::Tell);
            dwell.settings.longest = Duration::from_secs(30);
            site.rules.dwell = Some(dwell);
        }
    }
    let tracks = |recorded: &benchmark::quay::Recorded| {
        let mut tracks = Vec::new();
        recorded.play(&mut tracks).unwrap();
        tracks
    };
    let expected = (standing(&recorded.records), tracks(&recorded));
    assert!(expected.0.len() >= 5, "{:?}", expected.0);
    let sources: Vec<SensorId> = sources(&recorded.records).into_iter().collect();
    for (number, fast) in sources.iter().enumerate() {
        let slow = &sources[(number + 1) % sources.len()];
        let mut skewed_too = recorded.clone();
        skewed_too.records = skewed(&recorded.records, &[(fast, DAY_FAST), (slow, MINUTES_SLOW)]);
        same(&expected.0, &standing(&skewed_too.records), &format!("{fast} fast, {slow} slow"));
        assert!(tracks(&skewed_too) == expected.1, "{fast} fast, {slow} slow: other tracks");
    }
}

/// Words that are 2 to 20 s late and words that come twice, two of a hundred each.
#[test]
fn late_and_repeated_words_come_to_the_same_in_the_end() {
    for seed in [7005, 7006] {
        let preset = gate::Preset::REAL.prompt().lasting(LASTS_S);
        let data = super::written(gate::Trial::make(&preset, seed).files().unwrap());
        let records = benchmark::gate::Recorded::read(data.path()).unwrap().records;
        let late = late_and_repeated(&records);
        assert!(late.len() > records.len() + 50, "{} of {}", late.len(), records.len());
        same(&standing(&records), &standing(&late), &format!("seed {seed}, late and repeated"));
    }
}

/// What a situation is, whatever its number in the log: kind, zone, whom it is about, and what each sensor said of it.
type Essence = (String, String, Vec<String>, BTreeSet<(String, Vec<Said>)>);

/// A word, by its source's own number or, where the source does not count, by its place in a log that keeps its order.
type Said = Result<SourceId, Position>;

/// What stands when everything has been heard, and how often.
fn standing(records: &[Stamped]) -> BTreeMap<Essence, usize> {
    let said: BTreeMap<Position, Said> = records.iter().map(|record| (record.stamp.position, word(record))).collect();
    let last = records.last().unwrap().stamp;
    let (concluded, _) =
        benchmark::played(records, &Stamp { gateway: last.gateway.after(Duration::from_secs(120)), ..last });
    let mut latest: BTreeMap<SituationId, Situation> = BTreeMap::new();
    for situation in concluded {
        latest.insert(situation.id, situation);
    }
    let mut standing = BTreeMap::new();
    for situation in latest.into_values().filter(|situation| situation.phase != Phase::Retracted) {
        *standing.entry(essence(&situation, &said)).or_default() += 1;
    }
    standing
}

fn word(record: &Stamped) -> Said {
    let source_id = match &record.record {
        Record::Observation(observation) => observation.source_id,
        _ => None,
    };
    source_id.ok_or(record.stamp.position)
}

fn essence(situation: &Situation, said: &BTreeMap<Position, Said>) -> Essence {
    let identities = situation.subjects.iter().flat_map(|subject| &subject.identities);
    let subjects = identities.map(|identity| format!("{:?} {:?}", identity.kind, identity.value.as_clear())).collect();
    let evidence = situation.evidence.iter().map(|piece| {
        let words = piece.positions.iter().filter_map(|position| said.get(position).copied());
        (piece.sensor.to_string(), words.collect())
    });
    (situation.kind.clone(), situation.zone.to_string(), subjects, evidence.collect())
}

fn same(expected: &BTreeMap<Essence, usize>, came: &BTreeMap<Essence, usize>, how: &str) {
    let missing: Vec<_> = expected.iter().filter(|(essence, count)| came.get(*essence) != Some(*count)).collect();
    let new: Vec<_> = came.iter().filter(|(essence, count)| expected.get(*essence) != Some(*count)).collect();
    let words = |list: &[(&Essence, &usize)]| {
        let line = |((kind, zone, subjects, evidence), count): &(&Essence, &usize)| {
            let evidence: Vec<String> =
                evidence.iter().map(|(sensor, said)| format!("{sensor} {}", said.len())).collect();
            format!("  {count} x {kind} in {zone}: {subjects:?} of {evidence:?}\n")
        };
        list.iter().take(12).map(line).collect::<String>()
    };
    assert!(
        missing.is_empty() && new.is_empty(),
        "{how}: of {}, {} are not there\n{}and {} are instead\n{}",
        expected.len(),
        missing.len(),
        words(&missing),
        new.len(),
        words(&new)
    );
}

fn sources(records: &[Stamped]) -> BTreeSet<SensorId> {
    let of = |record: &Stamped| match &record.record {
        Record::Observation(observation) => Some(observation.sensor.clone()),
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

fn skewed(records: &[Stamped], by: &[(&SensorId, i64)]) -> Vec<Stamped> {
    let mut records = records.to_vec();
    for record in &mut records {
        let Record::Observation(Observation { sensor, observed_at: Some(claimed), .. }) = &mut record.record else {
            continue;
        };
        for (_, skew) in by.iter().filter(|(skewed, _)| *skewed == sensor) {
            claimed.at.0 += skew;
        }
    }
    records
}

fn late_and_repeated(records: &[Stamped]) -> Vec<Stamped> {
    let mut arrivals: Vec<(GatewayTime, &Stamped)> = Vec::new();
    for (record, number) in records.iter().zip(0u64..) {
        let told = record.stamp.gateway;
        let spoken = matches!(&record.record, Record::Observation(it) if !matches!(it.reading, Reading::Health(_)));
        let after = |millis| told.after(Duration::from_millis(millis));
        match number % 100 {
            17 | 67 if spoken => arrivals.push((after(2_000 + number * 7_919 % 18_000), record)),
            41 | 91 if spoken => arrivals.extend([(told, record), (after(number * 6_007 % 4_000), record)]),
            _ => arrivals.push((told, record)),
        }
    }
    arrivals.sort_by_key(|(told, _)| *told);
    let restamped = arrivals.into_iter().zip(1..).map(|((told, record), position)| {
        let mut record = record.clone();
        record.stamp.wall.0 += told.0 as i64 - record.stamp.gateway.0 as i64;
        (record.stamp.gateway, record.stamp.position) = (told, Position(position));
        record
    });
    restamped.collect()
}
