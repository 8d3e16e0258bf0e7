//! One fictional site, its sharing policy and a tailgating there: what the published examples are made of.

use quaywatch_schemas::{
    Calibration, DomainId, FieldClass, GatewayTime, GroupId, NoData, OrganisationId, Policy, Position, Private,
    Purpose, RecipientId, SensorId, Site, SiteId, Situation, WallTime, ZoneId,
    marking::{Marking, Releasable, Tlp},
    names::BadName,
    observation::Media,
    policy::{Confirm, Group, KindPattern, Recipient, Treatment},
    site::{Direction, Rates, Role, Rules, Sensor, Status, Zone, ZoneKind, rules::Mode},
    situation::{
        Action, Alternative, Conditions, Evidence, IdentityKind, Missing, Phase, Phrase, Severity, Side, SituationId,
        Source, SourceState, Subject, SubjectIdentity, Urgency, score,
    },
    time::{ClockQuality, ClockState},
};
use std::{collections::BTreeMap, time::Duration};

/// Keys the references and pseudonyms in the examples. Not a secret: no gateway has it.
pub const REFERENCE_KEY: [u8; 32] = [3; 32];

/// 2026-03-14T02:12:04.120Z
const FROM: WallTime = WallTime(1_773_454_324_120_000_000);

/// An inbound lane of a truck gate.
pub fn site() -> Site {
    let zone = Zone {
        name: "Gate 2, lane 3, inbound".into(),
        kind: ZoneKind::Lane,
        direction: Some(Direction::In),
        length_m: Some(22.0),
        media: Some("https://vms.acme.example/export?cam={camera}&from={from}&to={to}".into()),
        closed: None,
        outline: Vec::new(),
    };
    let sensor = |role, line: &str, domain: &str| Sensor {
        zone: name("lane-3"),
        role,
        at_m: None,
        domain: name(domain),
        line: name(line),
        mount: None,
        view: None,
        clock: quaywatch_schemas::site::Clock::default(),
        leads: None,
        silent_after: None,
        unit: None,
        range: None,
        rates: Rates { detection: 0.98, false_alarm: 0.01 },
    };
    let sensors: [(SensorId, Sensor); 4] = [
        (name("loop-b"), sensor(Role::LoopExit, "plc", "plc")),
        (name("arm"), sensor(Role::BarrierOpen, "plc", "plc")),
        (name("rear"), sensor(Role::PlateRear, "broker", "switch-3")),
        (name("front"), sensor(Role::PlateFront, "broker", "switch-3")),
    ];
    Site {
        locode: "NLRTM".into(),
        id: name::<SiteId>("gate-2"),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: [(name("lane-3"), zone)].into(),
        sensors: sensors.into(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: Default::default(),
    }
}

/// The port police see plates, footage and method; the gate desk sees what to do, with plates masked.
pub fn policy() -> Policy {
    use FieldClass::{Identity, Media, Method, Operational, QuasiIdentity};
    let [police, terminal]: [OrganisationId; 2] = ["port-police", "acme-terminal"].map(name);
    let purpose: Purpose = name("port-facility-security");
    let marking = Marking {
        owner: terminal.clone(),
        tlp: Tlp::Amber,
        releasable_to: vec![Releasable::Organisation(police.clone()), Releasable::Organisation(terminal.clone())],
        purpose: purpose.clone(),
        delete_after_days: 28,
    };
    let recipient = |organisation: &OrganisationId, confirm, fields: &[(FieldClass, Treatment)]| Recipient {
        organisation: organisation.clone(),
        clearance: Tlp::Amber,
        purposes: vec![purpose.clone()],
        zones: None,
        kinds: Vec::new(),
        fields: fields.iter().copied().collect(),
        confirm,
    };
    let all = [
        (Operational, Treatment::Show),
        (QuasiIdentity, Treatment::Show),
        (Identity, Treatment::Pseudonym),
        (Media, Treatment::Show),
        (Method, Treatment::Show),
    ];
    let few = [(Operational, Treatment::Show), (QuasiIdentity, Treatment::Mask)];
    let desk = Recipient {
        zones: Some(vec![name("lane-3")]),
        kinds: vec![KindPattern("gate.*".into()), KindPattern("sensor.*".into())],
        ..recipient(&terminal, Confirm::Transport, &few)
    };
    let recipients: [(RecipientId, Recipient); 2] =
        [(name("port-police"), recipient(&police, Confirm::Receipt, &all)), (name("gate-desk"), desk)];
    Policy {
        default_marking: Some(marking),
        markings: Vec::new(),
        groups: [(name::<GroupId>("gate-2-watch"), Group { organisations: vec![police, terminal], agreement: None })]
            .into(),
        recipients: recipients.into(),
        ..Policy::default()
    }
}

/// Two trucks on one grant.
pub fn tailgating() -> Situation {
    let zone: ZoneId = name("lane-3");
    let evidence = vec![
        evidence("loop-b", 101, "2 vehicles, 3.2 s apart", 3.4, "plc"),
        evidence("arm", 97, "open throughout", 1.1, "plc"),
        evidence("rear", 104, "2 different plates", 1.7, "switch-3"),
    ];
    let prior = -3.89;
    let log_odds = score(prior, &evidence);
    Situation {
        id: SituationId::of(&REFERENCE_KEY, "gate-2", "gate.tailgating", &zone, Position(97)),
        revision: 2,
        phase: Phase::Revised,
        kind: "gate.tailgating".into(),
        zone,
        from: FROM,
        until: None,
        concluded: GatewayTime(FROM.0.unsigned_abs()),
        concluded_wall: FROM.after(Duration::from_millis(15_520)),
        clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
        prior,
        log_odds,
        probability: 1.0 / (1.0 + (-log_odds).exp()),
        severity: Severity::Moderate,
        urgency: Urgency::Immediate,
        headline: Phrase::words("a second truck passed on one grant"),
        facts: vec![
            Phrase::words("Arm opened once on one grant")
                .detail(FieldClass::Method, Phrase::words(" at ").at(FROM))
                .then("."),
            Phrase::words("Two vehicles crossed the exit loop")
                .detail(FieldClass::Method, Phrase::words(", 3.2 s apart"))
                .then("; the arm did not close between them."),
        ],
        assessment: Phrase::words("Second vehicle entered without a grant."),
        actions: vec![
            Action {
                needs: FieldClass::QuasiIdentity,
                brief: Phrase::words("Check truck ")
                    .value(FieldClass::QuasiIdentity, Private::clear("7-KLB-09"))
                    .then(" in yard."),
                text: Phrase::words("Check truck ")
                    .value(FieldClass::QuasiIdentity, Private::clear("7-KLB-09"))
                    .then(" in the yard; ask the gate desk for its booking."),
            },
            Action {
                needs: FieldClass::Public,
                brief: Phrase::words("Hold lane 3; do not approach the driver."),
                text: Phrase::words("Hold lane 3 if the arm did not close; do not approach the driver."),
            },
        ],
        subjects: vec![
            plate("vehicle.granted", "12-BRV-4", 0.97, &[]),
            plate("vehicle.following", "7-KLB-09", 0.88, &["7-KL8-09"]),
        ],
        evidence,
        groups: Vec::new(),
        sources: ["arm", "loop-b", "rear"]
            .map(|sensor| Source { sensor: name(sensor), state: SourceState::Healthy })
            .into(),
        conditions: Conditions { night: true, ..Conditions::default() },
        missing: vec![Missing {
            sensor: name("front"),
            why: NoData::Silent,
            since: Some(FROM.before(Duration::from_secs(846))),
        }],
        alternatives: vec![
            Alternative { text: Phrase::words("one long combination counted twice"), probability: 0.07 },
            Alternative { text: Phrase::words("a second grant lost between PLC and gateway"), probability: 0.02 },
        ],
        media: vec![(
            name("rear"),
            Media {
                camera: "rear".into(),
                from: FROM.before(Duration::from_secs(5)),
                to: FROM.after(Duration::from_secs(25)),
            },
        )],
        status: Status::Actual,
        security_level: 1,
        rule: "gate.tailgating@1.0".into(),
        model: "9b1e".into(),
        calibration: Calibration::Identity,
        mode: Mode::Tell,
        answer_within: Some(Duration::from_secs(300)),
    }
}

fn evidence(sensor: &str, position: u64, said: &'static str, weight: f64, domain: &str) -> Evidence {
    Evidence {
        sensor: name(sensor),
        positions: vec![Position(position)],
        said: Phrase::words(said),
        weight,
        side: Side::For,
        domain: name::<DomainId>(domain),
    }
}

fn plate(role: &str, text: &str, probability: f64, others: &[&str]) -> Subject {
    Subject {
        role: role.into(),
        identities: vec![SubjectIdentity {
            kind: IdentityKind::Plate,
            value: Private::clear(text),
            probability,
            alternatives: others.iter().map(|other| Private::clear(*other)).collect(),
            read_by: vec![name("rear")],
        }],
    }
}

fn name<T: TryFrom<String, Error = BadName>>(text: &str) -> T {
    T::try_from(text.to_owned()).expect("names in this file are well formed")
}
