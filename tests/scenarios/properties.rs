//! What must hold whatever the sensors say: nothing panics, the log alone decides, memory has a bound.

use crate::{engine, script, site};
use proptest::prelude::*;
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Calibration, Control, Model, NoData, Observation, Private, Reading, Record, SensorId, Site, Stamped, WallTime,
    model::LearnedRates,
    observation::{
        AccessDecision, Candidate, Container, Cooperative, Credential, DenialReason, Detection, Frame, Freshness,
        Health, Measure, Media, ObjectClass, Phase, Plate, Report, SourceTime, Tag,
    },
    sealed::{Handle, Identity},
    site::{Rates, Sensor},
    units::{Finite, Probability, Unit},
};

const SITES: [&str; 6] = ["gate", "quay", "wet-quay", "simple-lane", "access", "patterns"];
const START: WallTime = WallTime(1_773_454_310_000_000_000);

fn any_site() -> impl Strategy<Value = Site> {
    proptest::sample::select(&SITES[..]).prop_map(|name| site::load(name, &["all".to_owned()]))
}

/// Any reading at all, whether it makes sense for the sensor or not.
fn reading() -> impl Strategy<Value = Reading> {
    let finite = || {
        prop_oneof![
            4 => -1e3..1e5f64,
            1 => proptest::num::f64::NORMAL,
            1 => Just(0.0),
            1 => Just(f64::MAX),
            1 => Just(f64::MIN_POSITIVE),
        ]
        .prop_map(|value| Finite::new(value).unwrap())
    };
    let score = || proptest::option::of((0.0..=1.0f64).prop_map(|score| Probability::new(score).unwrap()));
    let text = || proptest::string::string_regex("[A-Z0-9 é•-]{0,20}").unwrap().prop_map(Private::clear);
    let units = ["kg", "t", "kN", "m/s", "[kn_i]", "m", "Cel", "%", "mm/h", "lx"];
    let unit = proptest::sample::select(units.to_vec()).prop_map(|unit| Unit::new(unit).unwrap());
    let candidates = || {
        proptest::collection::vec((text(), score()).prop_map(|(text, confidence)| Candidate { text, confidence }), 0..9)
    };
    let classes =
        [ObjectClass::Person, ObjectClass::Vehicle, ObjectClass::Vessel, ObjectClass::Animal, ObjectClass::Other];
    let detection = (proptest::sample::select(classes.to_vec()), score()).prop_map(|(class, confidence)| Detection {
        class,
        confidence,
        position: None,
        speed: None,
        zones: Vec::new(),
    });
    let decisions = [
        AccessDecision::Granted,
        AccessDecision::Denied(DenialReason::Other),
        AccessDecision::NotTaken,
        AccessDecision::Duress,
    ];
    let no_data = [
        NoData::Silent,
        NoData::Disconnected,
        NoData::Timeout,
        NoData::Exception(2),
        NoData::BadValue,
        NoData::Overload(u64::MAX),
        NoData::Tampered,
        NoData::Maintenance,
        NoData::Blind,
        NoData::Faulty,
    ];
    let health = [
        Health::Alive,
        Health::Blind,
        Health::Faulty,
        Health::Tampered,
        Health::Node { boots: 3, reset_cause: 1, supply_mv: Some(3300) },
    ];
    prop_oneof![
        8 => any::<bool>().prop_map(Reading::Contact),
        3 => prop_oneof![0..50u64, Just(u64::MAX), any::<u64>()].prop_map(Reading::Count),
        4 => (finite(), unit, proptest::option::of(any::<bool>()))
            .prop_map(|(value, unit, stable)| Reading::Measure(Measure { value, unit, stable })),
        4 => (text(), score(), candidates())
            .prop_map(|(text, confidence, candidates)| Reading::Plate(Plate { text, confidence, candidates, region: None })),
        1 => (text(), score(), candidates())
            .prop_map(|(code, confidence, candidates)| Reading::Container(Container { code, confidence, candidates })),
        1 => text().prop_map(|id| Reading::Tag(Tag { id, rssi_dbm: Some(-40) })),
        2 => (text(), proptest::sample::select(decisions.to_vec())).prop_map(|(value, decision)| {
            let handle = Some(Handle([1; 16]));
            Reading::Credential(Credential { holder: Identity { handle, value }, decision })
        }),
        3 => proptest::collection::vec(detection, 0..4).prop_map(|detections| Reading::Frame(Frame { detections })),
        1 => (finite(), finite()).prop_map(|(latitude, longitude)| {
            Reading::Cooperative(Cooperative::at(244_000_000, latitude, longitude))
        }),
        1 => any::<u32>().prop_map(Reading::People),
        1 => text().prop_map(|text| {
            Reading::Report(Report { category: "person".into(), text, reliability: 'F', credibility: 6 })
        }),
        2 => proptest::sample::select(health.to_vec()).prop_map(Reading::Health),
        3 => proptest::sample::select(no_data.to_vec()).prop_map(Reading::NoData),
    ]
}

/// A log of anything from anybody: sensors by number (of which some exist), gaps from nothing to an hour.
fn log() -> impl Strategy<Value = Vec<Stamped>> {
    let gap = prop_oneof![4 => 0..2_000u64, 3 => 0..20_000u64, 1 => 0..600_000u64];
    let claimed = prop_oneof![
        6 => Just(None),
        2 => (-90_000..90_000i64).prop_map(Some),
        1 => Just(Some(i64::MAX / 1_000_000)),
        1 => Just(Some(i64::MIN / 1_000_000)),
    ];
    let freshness = prop_oneof![8 => Just(Freshness::Live), 1 => Just(Freshness::History)];
    let control = prop_oneof![30 => Just(0u8), 1 => Just(1u8), 1 => Just(2u8), 1 => Just(3u8), 1 => Just(4u8)];
    let said = (gap, any::<prop::sample::Index>(), reading(), claimed, freshness, control, any::<bool>());
    (any_site(), proptest::collection::vec(said, 1..120)).prop_map(|(site, said)| {
        let mut sensors: Vec<SensorId> = site.sensors.keys().cloned().collect();
        sensors.push(SensorId::new("nobody-knows-me").unwrap());
        let mut now = 0u64;
        let first = Record::Control(Control::SiteApplied { site: Box::new(site.clone()), digest: [0; 32] });
        let mut records = vec![Stamped { stamp: script::stamp(0.0, 1, START), record: first }];
        for (gap, index, reading, claimed, freshness, control, with_media) in said {
            now += gap;
            let stamp = script::stamp(now as f64 / 1000.0, records.len() as u64 + 1, START);
            let media = with_media.then(|| Media { camera: "c".into(), from: stamp.wall, to: stamp.wall });
            let at = claimed.map(|millis: i64| WallTime(stamp.wall.0.saturating_add(millis.saturating_mul(1_000_000))));
            let record = match control {
                1 => Record::Control(Control::Started { build: "x".into(), boot: [0; 16] }),
                2 => Record::Control(Control::SecurityLevel { level: 200, by: "x".into() }),
                4 => Record::Control(Control::RatesAdopted { by: "x".into(), model: Box::new(adopted(&site, now)) }),
                // A site file without its last sensor: what was open in that zone ends.
                3 => {
                    let mut less = site.clone();
                    less.sensors.pop_last();
                    Record::Control(Control::SiteApplied { site: Box::new(less), digest: [1; 32] })
                }
                _ => Record::Observation(Observation {
                    freshness,
                    media,
                    phase: Phase::Update,
                    observed_at: at.map(|at| SourceTime { at, uncertainty_ms: 0 }),
                    ..Observation::live(index.get(&sensors).clone(), reading)
                }),
            };
            records.push(Stamped { stamp, record });
        }
        records
    })
}

/// A set of rates and calibrations for everything, another one every time.
fn adopted(site: &Site, seed: u64) -> Model {
    let share = (seed % 97) as f64 / 97.0;
    let rates = Some(Rates { detection: 0.5 + share / 2.0, false_alarm: 0.001 + share / 10.0 });
    let learned = |spec: &Sensor| LearnedRates { instead_of: spec.rates, day: rates, night: rates };
    let calibrations = [
        Calibration::Platt { slope: 0.1 + 2.0 * share, offset: share - 0.5 },
        Calibration::Isotonic { knots: vec![(-3.0, 0.0), (0.0, share), (3.0, 1.0)] },
        Calibration::Identity,
    ];
    let kinds = quaywatch_fusion::rule_kinds().iter().map(|rule| rule.kind.to_owned());
    Model {
        rates: site.sensors.iter().map(|(id, spec)| (id.clone(), learned(spec))).collect(),
        calibration: kinds.zip(calibrations.into_iter().cycle()).collect(),
    }
}

/// Enough for every run; `PROPTEST_CASES=5000` for a night.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|wish| wish.parse().ok()).unwrap_or(48);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes, from whomever: no panic, terms that add up, and the same bytes however it is fed.
    #[test]
    fn any_log_gives_the_same_bytes_however_it_is_fed(records in log(), every in 1..40usize) {
        let last = records.last().unwrap().stamp;
        let end = quaywatch_schemas::Stamp { gateway: last.gateway.after(core::time::Duration::from_secs(1000)), ..last };
        let mut one = engine::new_engine();
        let mut out = Vec::new();
        for record in &records {
            let said = one.observe(record);
            prop_assert!(said.iter().all(|situation| situation.concluded <= record.stamp.gateway));
            out.extend(said);
        }
        out.extend(one.advance(&end));
        out.iter().for_each(engine::check);
        prop_assert!(out.windows(2).all(|pair| pair[0].concluded <= pair[1].concluded), "in the order of their times");
        let expected = engine::bytes(&out);
        prop_assert!(engine::bytes(&engine::woken_at_deadlines(&records, &end)) == expected, "woken at deadlines");
        prop_assert!(engine::bytes(&engine::restored(&records, &end, every)) == expected, "restored at every {}", every);
    }

    /// A situation opens once, is revised in order, ends once; no id is used twice.
    #[test]
    fn every_situation_has_one_life(records in log()) {
        use quaywatch_schemas::situation::Phase;
        let mut one = engine::new_engine();
        let mut lives = std::collections::BTreeMap::new();
        for situation in records.iter().flat_map(|record| one.observe(record)) {
            let before = lives.insert(situation.id, (situation.revision, situation.phase));
            match (before, situation.phase) {
                (None, Phase::Opened | Phase::Closed) => prop_assert_eq!(situation.revision, 1),
                (Some((revision, Phase::Opened | Phase::Revised)), Phase::Revised | Phase::Closed | Phase::Retracted) => {
                    prop_assert_eq!(situation.revision, revision + 1);
                }
                (before, now) => prop_assert!(false, "{} {:?} after {:?}", situation.kind, now, before),
            }
        }
    }

    /// What a source kept back says nothing and changes nothing.
    #[test]
    fn history_never_alarms(records in log()) {
        let mut one = engine::new_engine();
        for mut record in records {
            if let Record::Observation(observation) = &mut record.record {
                observation.freshness = Freshness::History;
            }
            for situation in one.observe(&record) {
                prop_assert_eq!(situation.kind.as_str(), "sensor.silent");
            }
        }
    }
}

/// Feeds a flood and looks at how much the engine remembers and says.
fn flood(site_name: &str, count: u64, says: impl Fn(u64) -> (&'static str, Reading)) -> (usize, u64) {
    let mut one = engine::new_engine();
    let site = Box::new(site::load(site_name, &["all".to_owned()]));
    let first = Record::Control(Control::SiteApplied { site, digest: [0; 32] });
    one.observe(&Stamped { stamp: script::stamp(0.0, 1, START), record: first });
    let empty = one.snapshot().len();
    for number in 0..count {
        let (sensor, reading) = says(number);
        let record = Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), reading));
        let stamp = script::stamp(number as f64 * 0.01, number + 2, START);
        one.observe(&Stamped { stamp, record }).iter().for_each(engine::check);
    }
    (one.snapshot().len() - empty, one.outputs())
}

fn plate(number: u64) -> Reading {
    let text = Private::clear(format!("{:02}-{:03}-{}", number % 90, number % 997, number % 7));
    Reading::Plate(Plate { text, confidence: None, candidates: Vec::new(), region: None })
}

#[test]
fn floods_meet_bounds() {
    let (bytes, _) = flood("gate", 10_000, |number| match number % 100 {
        0 => ("loop-a", Reading::Contact(number % 200 == 0)),
        50 => ("loop-b", Reading::Contact(number % 200 == 50)),
        _ => ("rear", plate(number)),
    });
    assert!(bytes < 64 << 10, "{bytes} bytes after ten thousand plates");
    let (bytes, said) = flood("gate", 3_000, |number| ("grant", Reading::Count(number * 1000)));
    assert!(bytes < 8 << 10, "{bytes} bytes after millions of grants");
    assert_eq!(said, 0);
    let (bytes, said) = flood("gate", 10_000, |number| match number % 10 {
        0 => ("arm", Reading::Contact(true)),
        1 => ("grant", Reading::Count(number / 2000)),
        even if even % 2 == 0 => ("loop-b", Reading::Contact(true)),
        _ => ("loop-b", Reading::Contact(false)),
    });
    assert!(bytes < 32 << 10, "{bytes} bytes after five thousand pulses of a loop");
    assert!(said < 200, "{said} situations of a loop that flickers for a hundred seconds");
    let (bytes, said) = flood("quay", 10_000, |number| match number % 4 {
        0 => ("fence", Reading::Contact(number % 8 == 0)),
        1 => ("pir", Reading::Contact(number % 8 == 1)),
        2 => ("dome", Reading::Frame(Frame { detections: Vec::new() })),
        _ => ("seal", Reading::Contact(number % 8 == 3)),
    });
    assert!(bytes < 16 << 10, "{bytes} bytes after a night of movement in a hundred seconds");
    assert!(said < 500, "{said} situations");
}

#[test]
fn a_snapshot_of_another_version_or_a_damaged_one_is_refused() {
    let one = engine::new_engine();
    let snapshot = one.snapshot();
    let mut other = snapshot.clone();
    other[0] += 1;
    assert_eq!(Engine::restore(engine::KEY, &other).err(), Some(quaywatch_fusion::RestoreError::OtherVersion));
    for cut in [0, 1, snapshot.len() / 2] {
        assert!(Engine::restore(engine::KEY, &snapshot[..cut]).is_err(), "cut at {cut}");
    }
}

/// By night, and only while the site file says what they were learned instead of.
#[test]
fn adopted_rates_and_calibration_hold_from_their_place_in_the_log() {
    let site = site::load("quay", &["quay-presence".to_owned()]);
    let (pir, dome) = (SensorId::new("pir").unwrap(), SensorId::new("dome").unwrap());
    let file = site.sensors[&pir].rates;
    let night = Rates { detection: 0.9, false_alarm: 0.003 };
    let by_day = Rates { detection: 0.5, false_alarm: 0.4 };
    let learned = |instead_of| LearnedRates { instead_of, day: Some(by_day), night: Some(night) };
    let of_another_file = learned(Rates { detection: 0.8, ..file });
    let calibration = Calibration::Platt { slope: 0.5, offset: 1.5 };
    let model = Model {
        rates: [(pir.clone(), learned(file)), (dome.clone(), of_another_file)].into(),
        calibration: [("quay.presence".to_owned(), calibration.clone())].into(),
    };
    let person =
        Detection { class: ObjectClass::Person, confidence: None, position: None, speed: None, zones: Vec::new() };
    let says = |sensor: &SensorId, reading| Record::Observation(Observation::live(sensor.clone(), reading));
    let play = |adopts: bool| {
        let mut records = vec![Record::Control(Control::SiteApplied { site: Box::new(site.clone()), digest: [0; 32] })];
        let adopted = Control::RatesAdopted { by: "uid 0".into(), model: Box::new(model.clone()) };
        records.extend(adopts.then_some(Record::Control(adopted)));
        records.push(says(&pir, Reading::Contact(false)));
        records.push(says(&pir, Reading::Contact(true)));
        records.push(says(&dome, Reading::Frame(Frame { detections: vec![person.clone()] })));
        let records = records
            .into_iter()
            .zip(1..)
            .map(|(record, position)| Stamped { stamp: script::stamp(position as f64, position, START), record });
        let records: Vec<Stamped> = records.collect();
        let mut one = engine::new_engine();
        let said: Vec<_> = records.iter().flat_map(|record| one.observe(record)).collect();
        said.iter().for_each(engine::check);
        let end = records.last().unwrap().stamp;
        assert!(engine::bytes(&engine::restored(&records, &end, 1)) == engine::bytes(&said), "also over a restart");
        said.into_iter().next().unwrap()
    };
    let (before, after) = (play(false), play(true));
    let weight = |situation: &quaywatch_schemas::Situation, of: &SensorId| {
        situation.evidence.iter().find(|piece| piece.sensor == *of).unwrap().weight
    };
    assert!(before.conditions.night && before.calibration == Calibration::Identity);
    assert!((weight(&before, &pir) - (file.detection / file.false_alarm).ln()).abs() < 1e-9);
    assert!((weight(&after, &pir) - (night.detection / night.false_alarm).ln()).abs() < 1e-9);
    assert!((weight(&after, &dome) - weight(&before, &dome)).abs() < 1e-9, "the file was changed since");
    assert!((after.probability - calibration.probability(after.log_odds)).abs() < 1e-12);
    assert_ne!(before.model, after.model);
}

#[test]
fn a_deadline_concludes_at_its_due_time_whenever_it_is_told() {
    let mut one = engine::new_engine();
    let site = Box::new(site::load("gate", &["barrier-forced".to_owned()]));
    let says =
        |sensor: &str, on| Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), Reading::Contact(on)));
    let records =
        [Record::Control(Control::SiteApplied { site, digest: [0; 32] }), says("arm", false), says("arm", true)];
    for (record, position) in records.into_iter().zip(1..) {
        let stamp = script::stamp(position as f64, position, START);
        assert!(one.observe(&Stamped { stamp, record }).is_empty());
    }
    let deadline = one.next_deadline().unwrap();
    assert_eq!(deadline.name, "gate.barrier-forced in lane-3");
    let said = one.advance(&script::stamp(5000.0, 3, START));
    assert_eq!(said[0].concluded, deadline.at);
    assert_eq!(said[0].concluded, script::stamp(13.0, 3, START).gateway);
    assert_eq!(said[0].concluded_wall, script::stamp(13.0, 3, START).wall);
}

/// Two deadlines of one zone at the same nanosecond: each is served once, and time goes on.
#[test]
fn deadlines_of_one_moment_are_all_served() {
    let mut one = engine::new_engine();
    let site = Box::new(site::load("quay", &["sensor-silent".to_owned(), "node-tamper".to_owned()]));
    let says = |sensor: &str, reading| Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), reading));
    // The camera falls silent 120 s, the tampering is over 300 s after its last word: both at 301 s.
    let records = [
        (0.0, Record::Control(Control::SiteApplied { site, digest: [0; 32] })),
        (1.0, says("seal", Reading::Contact(true))),
        (2.0, says("seal", Reading::Contact(false))),
        (181.0, says("dome", Reading::Health(Health::Alive))),
    ];
    let mut kinds = Vec::new();
    for ((time, record), position) in records.into_iter().zip(1..) {
        kinds.extend(one.observe(&Stamped { stamp: script::stamp(time, position, START), record }));
    }
    kinds.extend(one.advance(&script::stamp(1000.0, 4, START)));
    let at = script::stamp(301.0, 4, START).gateway;
    let together: Vec<&str> =
        kinds.iter().filter(|it| it.concluded == at).map(|situation| situation.kind.as_str()).collect();
    assert_eq!(together, ["sensor.silent", "node.tamper"]);
}
