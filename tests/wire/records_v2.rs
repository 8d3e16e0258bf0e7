//! Records of version 2 as they lie in the log: a version byte, then postcard, whose fields and variants are known by their
//! order alone. Undo your change, not this test.

use quaywatch_schemas::{
    Control, DeadLetter, FieldClass, NoData, Observation, Policy, Position, Private, Reading, Record, Reference, Stamp,
    Stamped, WallTime,
    control::{OperatorAct, ReceivedAnswer, SignedAct},
    marking::{Marking, Releasable, Tlp},
    model::{Calibration, LearnedRates, Model},
    names::BadName,
    observation::{
        AccessDecision, Authenticity, Candidate, Container, Cooperative, Credential, DenialReason, DetectedPosition,
        Detection, Frame, Freshness, Health, Measure, Media, ObjectClass, Phase, Plate, Report, SourceId, SourceTime,
        Tag,
    },
    policy::{Confirm, Group, KindPattern, Recipient, ScopedMarking, Treatment},
    product::{Answer, AnswerWord, Verdict},
    record::DEAD_LETTER_BYTES,
    reference::{Booking, Fact, References, Role},
    sealed::{Handle, Identity, KeyId, PrivateBytes, Sealed},
    site::{Closed, Direction, Rates, Rules, Sensor, Site, Status, UtcOffset, Zone, ZoneKind},
    situation::IdentityKind,
    time::{ClockQuality, ClockState, GatewayTime},
    units::{Finite, Probability, Unit},
};
use std::time::Duration;

fn name<T: TryFrom<String, Error = BadName>>(text: &str) -> T {
    T::try_from(text.to_owned()).expect("a name")
}

fn stamped(record: Record) -> Stamped {
    let stamp = Stamp {
        position: Position(300),
        gateway: GatewayTime(1_773_454_324_120_000_001),
        wall: WallTime(1_773_454_324_120_000_000),
        quality: ClockQuality { gateway: ClockState::Holdover, uncertainty_ms: 100 },
    };
    Stamped { stamp, record }
}

fn reading(reading: Reading) -> Record {
    Record::Observation(Observation::live(name("s"), reading))
}

fn finite(value: f64) -> Finite {
    Finite::new(value).expect("finite")
}

fn probability(value: f64) -> Option<Probability> {
    Some(Probability::new(value).expect("from 0 to 1"))
}

fn sealed(class: FieldClass) -> Sealed {
    Sealed { class, key: KeyId(2), nonce: [9; 12], ciphertext: vec![1, 2, 3] }
}

fn sealed_text(class: FieldClass) -> Private {
    let mut private = Private::clear("x");
    private.seal_with(|_| sealed(class));
    private
}

fn identity() -> Identity {
    Identity { handle: Some(Handle([5; 16])), value: sealed_text(FieldClass::Identity) }
}

fn observations() -> Vec<(&'static str, Record)> {
    let everything = Observation {
        sensor: name("front"),
        source_id: Some(SourceId([1; 16])),
        observed_at: Some(SourceTime { at: WallTime(-1), uncertainty_ms: 50 }),
        freshness: Freshness::History,
        phase: Phase::End,
        object: Some("o-1".into()),
        authenticity: Authenticity::NodeAead,
        media: Some(Media { camera: "rear".into(), from: WallTime(1), to: WallTime(2) }),
        reading: Reading::Contact(true),
    };
    let frame = Frame {
        detections: vec![
            Detection {
                class: ObjectClass::Vessel,
                confidence: probability(0.5),
                position: Some(DetectedPosition::Cartesian {
                    x: finite(1.0),
                    y: finite(-2.0),
                    covariance: [finite(0.5), finite(0.0), finite(0.25)],
                }),
                speed: Some(finite(3.0)),
                zones: vec!["quay".into()],
            },
            Detection {
                class: ObjectClass::Other,
                confidence: None,
                position: Some(DetectedPosition::Polar {
                    range: finite(10.0),
                    bearing: finite(0.5),
                    range_sd: finite(1.0),
                    bearing_sd: finite(0.125),
                }),
                speed: None,
                zones: Vec::new(),
            },
        ],
    };
    let denials = [
        DenialReason::CredentialNotEnabled,
        DenialReason::CredentialNotActive,
        DenialReason::CredentialExpired,
        DenialReason::InvalidPin,
        DenialReason::NotPermittedAtThisTime,
        DenialReason::Unauthorized,
        DenialReason::Other,
    ];
    let credential = |decision| reading(Reading::Credential(Credential { holder: identity(), decision }));
    let mut all = vec![
        ("observation with everything", Record::Observation(everything)),
        ("contact", reading(Reading::Contact(false))),
        ("count", reading(Reading::Count(300))),
        (
            "measure",
            reading(Reading::Measure(Measure {
                value: finite(23_480.5),
                unit: Unit::new("kg").expect("a unit"),
                stable: Some(true),
            })),
        ),
        (
            "plate",
            reading(Reading::Plate(Plate {
                text: sealed_text(FieldClass::QuasiIdentity),
                confidence: probability(0.875),
                candidates: vec![Candidate { text: Private::clear("7-KL8-09"), confidence: None }],
                region: Some("nl".into()),
            })),
        ),
        (
            "container",
            reading(Reading::Container(Container {
                code: Private::clear("CSQU3054383"),
                confidence: None,
                candidates: Vec::new(),
            })),
        ),
        ("tag", reading(Reading::Tag(Tag { id: Private::clear("e2"), rssi_dbm: Some(-61) }))),
        ("credential granted", credential(AccessDecision::Granted)),
        ("credential not taken", credential(AccessDecision::NotTaken)),
        ("credential under duress", credential(AccessDecision::Duress)),
        ("frame", reading(Reading::Frame(frame))),
        (
            "cooperative",
            reading(Reading::Cooperative(Cooperative {
                speed: Some(finite(2.5)),
                heading: Some(finite(271.0)),
                accuracy_m: Some(finite(10.0)),
                name: Some("QW ANNA".into()),
                ship_type: Some(52),
                imo: Some(9_074_729),
                length_m: Some(finite(32.0)),
                ..Cooperative::at(244_123_456, finite(51.9), finite(4.1))
            })),
        ),
        ("people", reading(Reading::People(3))),
        (
            "report",
            reading(Reading::Report(Report {
                category: "small-craft".into(),
                text: sealed_text(FieldClass::Source),
                reliability: 'B',
                credibility: 2,
            })),
        ),
        ("health alive", reading(Reading::Health(Health::Alive))),
        ("health blind", reading(Reading::Health(Health::Blind))),
        ("health faulty", reading(Reading::Health(Health::Faulty))),
        ("health tampered", reading(Reading::Health(Health::Tampered))),
        (
            "health of a node",
            reading(Reading::Health(Health::Node { boots: 7, reset_cause: 3, supply_mv: Some(11_900) })),
        ),
    ];
    let names = ["denied 0", "denied 1", "denied 2", "denied 3", "denied 4", "denied 5", "denied 6"];
    all.extend(names.into_iter().zip(denials.map(|reason| credential(AccessDecision::Denied(reason)))));
    let absences = [
        ("no data: silent", NoData::Silent),
        ("no data: disconnected", NoData::Disconnected),
        ("no data: timeout", NoData::Timeout),
        ("no data: exception", NoData::Exception(2)),
        ("no data: bad value", NoData::BadValue),
        ("no data: overload", NoData::Overload(300)),
        ("no data: tampered", NoData::Tampered),
        ("no data: maintenance", NoData::Maintenance),
        ("no data: blind", NoData::Blind),
        ("no data: faulty", NoData::Faulty),
    ];
    all.extend(absences.map(|(name, why)| (name, reading(Reading::NoData(why)))));
    all
}

fn others() -> Vec<(&'static str, Record)> {
    let letter = DeadLetter {
        line: name("broker"),
        sensor: Some(name("front")),
        reason: "not JSON: line 1, column 1".into(),
        raw: PrivateBytes::Sealed(sealed(FieldClass::Identity)),
        length: 20_000,
    };
    let control = |name, control| (name, Record::Control(control));
    let act = |name, act| control(name, Control::OperatorAct { by: "uid 0".into(), act });
    let signed = |of, done| {
        let (signed_by, reason) = (vec![name("ada"), name("ben")], "case 2026-118".into());
        act(of, OperatorAct::Signed { id: [9; 16], signed_by, reason, act: done })
    };
    vec![
        ("dead letter", Record::DeadLetter(letter)),
        ("dead letter in memory", Record::DeadLetter(DeadLetter::new(name("plc"), None, "too short", &[1, 2]))),
        control("started", Control::Started { build: "quaywatch 0.1.0".into(), boot: [4; 16] }),
        control("site applied", Control::SiteApplied { site: Box::new(site()), digest: [6; 32] }),
        control("policy applied", Control::PolicyApplied { policy: Box::new(policy()), digest: [7; 32] }),
        control("references", Control::References(references())),
        control("security level", Control::SecurityLevel { level: 2, by: "authority".into() }),
        control("answer", Control::Answer(answer(AnswerWord::Closed, Some(Verdict::Harmless)))),
        control("answer seen", Control::Answer(answer(AnswerWord::Seen, None))),
        control("answer acknowledged", Control::Answer(answer(AnswerWord::Acknowledged, None))),
        control("answer actioned", Control::Answer(answer(AnswerWord::Actioned, None))),
        control("answer rejected", Control::Answer(answer(AnswerWord::Rejected, Some(Verdict::False)))),
        act("tapped", OperatorAct::Tapped { sensor: name("front") }),
        act("reloaded", OperatorAct::Reloaded { outcome: "applied".into() }),
        act("explained", OperatorAct::Explained { reference: "QW-G2-7K4M".into() }),
        act("dead letters read", OperatorAct::ReadDeadLetters { line: None }),
        signed(
            "value revealed",
            SignedAct::Revealed {
                reference: "QW-G2-7K4MX2".into(),
                subject: "vehicle.following".into(),
                kind: IdentityKind::Plate,
            },
        ),
        signed(
            "value held",
            SignedAct::Held {
                reference: "QW-G2-7K4MX2".into(),
                subject: "person".into(),
                kind: IdentityKind::Handle,
                case: "2026-118".into(),
                authority: "court".into(),
                until: WallTime(64),
            },
        ),
        signed("case released", SignedAct::Released { case: "2026-118".into() }),
        signed("subject reported", SignedAct::SubjectReported),
        control("key made", Control::KeyMade { key: 1 }),
        control("key destroyed", Control::KeyDestroyed { key: 1 }),
        control("epoch began", Control::EpochBegan { epoch: 0x3f, reason: "a new store".into() }),
        control("log damage", Control::LogDamage { reason: "frames do not check out".into(), bytes: 512 }),
        control("rates adopted", Control::RatesAdopted { by: "uid 0".into(), model: Box::new(model()) }),
    ]
}

fn model() -> Model {
    let rates = |detection| Some(Rates { detection, false_alarm: 0.01 });
    let learned = LearnedRates {
        instead_of: Rates { detection: 0.95, false_alarm: 0.01 },
        day: rates(0.875),
        night: rates(0.75),
    };
    let calibration = [
        ("gate.passage".into(), Calibration::Identity),
        ("gate.tailgating".into(), Calibration::Platt { slope: 0.5, offset: -0.25 }),
        ("quay.presence".into(), Calibration::Isotonic { knots: vec![(-1.0, 0.25), (2.0, 0.75)] }),
    ];
    Model { rates: [(name("front"), learned)].into(), calibration: calibration.into() }
}

fn site() -> Site {
    let zone = Zone {
        name: "Lane 3".into(),
        kind: ZoneKind::Lane,
        direction: Some(Direction::In),
        length_m: Some(22.0),
        media: None,
        closed: Some(Closed::Daily { from: 1320, until: 300 }),
        outline: Vec::new(),
    };
    let sensor = Sensor {
        zone: name("lane-3"),
        role: quaywatch_schemas::site::Role::LoopExit,
        at_m: Some(20.0),
        domain: name("plc"),
        line: name("plc"),
        mount: None,
        view: None,
        clock: quaywatch_schemas::site::Clock::default(),
        leads: None,
        silent_after: Some(Duration::from_millis(1500)),
        unit: None,
        range: Some((0.0, 1.0)),
        rates: Rates { detection: 0.98, false_alarm: 0.01 },
    };
    Site {
        locode: "NLRTM".into(),
        id: name("gate-2"),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Exercise,
        zones: [(name("lane-3"), zone)].into(),
        sensors: [(name("loop-b"), sensor)].into(),
        rules: Rules::default(),
        feeds: [(name("bookings"), Duration::from_secs(3600))].into(),
        utc_offsets: vec![UtcOffset { from: WallTime(0), seconds: 3600 }],
        grid: None,
        patterns: Default::default(),
    }
}

fn policy() -> Policy {
    let marking = Marking {
        owner: name("acme"),
        tlp: Tlp::AmberStrict,
        releasable_to: vec![Releasable::Organisation(name("police")), Releasable::Group(name("watch"))],
        purpose: name("security"),
        delete_after_days: 28,
    };
    let recipient = Recipient {
        organisation: name("police"),
        clearance: Tlp::Red,
        purposes: vec![name("security")],
        zones: Some(vec![name("lane-3")]),
        kinds: vec![KindPattern("gate.*".into())],
        fields: [
            (FieldClass::Operational, Treatment::Show),
            (FieldClass::QuasiIdentity, Treatment::Mask),
            (FieldClass::Identity, Treatment::Pseudonym),
            (FieldClass::Media, Treatment::Drop),
        ]
        .into(),
        confirm: Confirm::Receipt,
    };
    let scoped = ScopedMarking { sensors: vec![name("rear")], zones: vec![name("yard")], marking: marking.clone() };
    Policy {
        default_marking: Some(marking),
        markings: vec![scoped],
        groups: [(name("watch"), Group { organisations: vec![name("police")], agreement: None })].into(),
        recipients: [(name("desk"), recipient)].into(),
        ..Policy::default()
    }
}

fn references() -> References {
    let facts = [
        Fact::Booking(Booking {
            plate: sealed_text(FieldClass::QuasiIdentity),
            containers: vec![Private::clear("CSQU3054383")],
            declared_gross_kg: Some(23_480),
            zones: vec![name("lane-3")],
            tag: Some(Private::clear("E2801160")),
            driver: Some(identity()),
        }),
        Fact::Role(Role { holder: identity(), role: "driver".into(), zones: Vec::new(), shifts: Vec::new() }),
        Fact::Tare { plate: Private::clear("12-BRV-4"), tare_kg: 14_200 },
        Fact::WorkOrder { zone: name("yard") },
    ];
    let statements = facts.into_iter().map(|fact| Reference {
        key: "k".into(),
        valid_from: Some(WallTime(5)),
        valid_until: None,
        version: 2,
        fact,
    });
    References { feed: name("bookings"), as_of: WallTime(9), complete: true, statements: statements.collect() }
}

fn answer(word: AnswerWord, verdict: Option<Verdict>) -> ReceivedAnswer {
    let answer = Answer {
        product: "3f.00000000000000001977".into(),
        revision: 2,
        word,
        verdict,
        reason: None,
        by: "desk".into(),
        at: "2026-03-14T02:13:02Z".into(),
    };
    ReceivedAnswer { recipient: name("desk"), answer, received: WallTime(11) }
}

#[test]
fn every_kind_of_record_has_the_bytes_it_had() {
    let records: Vec<_> = observations().into_iter().chain(others()).collect();
    let frozen: Vec<(&str, &str)> = FROZEN.lines().filter_map(|line| line.split_once(" = ")).collect();
    let fresh: String = records.iter().map(|(name, record)| format!("{name} = {}\n", hex(record))).collect();
    assert_eq!(frozen.len(), records.len(), "{fresh}");
    for ((name, record), (frozen_name, bytes)) in records.into_iter().zip(frozen) {
        assert_eq!(name, frozen_name);
        // Files lie there with the names of their settings: a new setting changes what is written, never what is read.
        if !matches!(record, Record::Control(Control::SiteApplied { .. } | Control::PolicyApplied { .. })) {
            assert_eq!(hex(&record), bytes, "{name}: undo your change, not this test");
        }
        assert_eq!(Stamped::from_bytes(&unhex(bytes)), Some(stamped(record)), "{name}");
    }
}

#[test]
fn a_reader_takes_its_own_version_and_whole_records_only() {
    let bytes = stamped(reading(Reading::People(3))).to_bytes();
    assert_eq!(bytes[0], 2);
    let mut other = bytes.clone();
    other[0] = 3;
    assert_eq!(Stamped::from_bytes(&other), None);
    assert_eq!(Stamped::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Stamped::from_bytes(&[&bytes[..], &[0]].concat()), None);
    assert_eq!(Stamped::from_bytes(&[]), None);
    assert_eq!(DEAD_LETTER_BYTES, 16_384);
}

fn hex(record: &Record) -> String {
    stamped(record.clone()).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// Name = version and record, hexadecimal.
const FROZEN: &str = include_str!("records_v2.txt");
