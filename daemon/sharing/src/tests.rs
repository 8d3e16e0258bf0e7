//! One tailgating and several recipients: what each sees, and what nobody can find in a product that was withheld from it.

mod leaks;

use super::*;
use proptest::prelude::*;
use quaywatch_schemas::{
    Calibration, DomainId, FieldClass, GatewayTime, GroupId, Position, Private, Purpose, SiteId, WallTime, ZoneId,
    observation::{Media, NoData},
    policy::{Agreement, Confirm, Group, KindPattern, ScopedMarking, TearLine, Treatment},
    site::{Rates, Role, Rules, Sensor, Status, Zone, ZoneKind, rules::Mode},
    situation::*,
    time::{ClockQuality, ClockState},
};
use std::collections::BTreeMap;

const KEY: [u8; 32] = [3; 32];
/// 2026-03-14T02:12:04.120Z
const FROM: WallTime = WallTime(1_773_454_324_120_000_000);

pub(crate) fn site() -> Site {
    let sensor = |role, domain: &str| Sensor {
        zone: ZoneId::new("lane-3").unwrap(),
        role,
        at_m: None,
        domain: DomainId::new(domain).unwrap(),
        line: quaywatch_schemas::LineId::new("plc").unwrap(),
        mount: None,
        view: None,
        clock: quaywatch_schemas::site::Clock::default(),
        leads: None,
        silent_after: None,
        unit: None,
        range: None,
        rates: Rates { detection: 0.95, false_alarm: 0.01 },
    };
    let zone = Zone {
        name: "Gate 2, lane 3, inbound".into(),
        kind: ZoneKind::Lane,
        direction: None,
        length_m: Some(22.0),
        media: Some("https://vms.acme.lan/export?cam={camera}&from={from}&to={to}".into()),
        closed: None,
        outline: Vec::new(),
    };
    let sensors = [
        ("loop-b", Role::LoopExit, "plc"),
        ("arm", Role::BarrierOpen, "plc"),
        ("rear", Role::PlateRear, "switch-3"),
        ("front", Role::PlateFront, "switch-3"),
    ];
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("gate-2").unwrap(),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: [(ZoneId::new("lane-3").unwrap(), zone)].into(),
        sensors: sensors.map(|(id, role, domain)| (SensorId::new(id).unwrap(), sensor(role, domain))).into(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: Default::default(),
    }
}

fn marking() -> Marking {
    Marking {
        owner: OrganisationId::new("acme-terminal").unwrap(),
        tlp: Tlp::Amber,
        releasable_to: ["port-police", "acme-terminal"]
            .map(|id| Releasable::Organisation(OrganisationId::new(id).unwrap()))
            .to_vec(),
        purpose: Purpose::new("port-facility-security").unwrap(),
        delete_after_days: 28,
    }
}

fn recipient(organisation: &str, fields: &[(FieldClass, Treatment)]) -> Recipient {
    Recipient {
        organisation: OrganisationId::new(organisation).unwrap(),
        clearance: Tlp::Amber,
        purposes: vec![Purpose::new("port-facility-security").unwrap()],
        zones: None,
        kinds: Vec::new(),
        fields: fields.iter().copied().collect(),
        confirm: Confirm::Transport,
    }
}

pub(crate) fn policy() -> Policy {
    use FieldClass::*;
    let police = recipient(
        "port-police",
        &[
            (Operational, Treatment::Show),
            (QuasiIdentity, Treatment::Show),
            (Identity, Treatment::Pseudonym),
            (Media, Treatment::Show),
            (Method, Treatment::Show),
        ],
    );
    let desk = Recipient {
        zones: Some(vec![ZoneId::new("lane-3").unwrap()]),
        kinds: vec![KindPattern("gate.*".into()), KindPattern("sensor.*".into())],
        ..recipient("acme-terminal", &[(Operational, Treatment::Show), (QuasiIdentity, Treatment::Mask)])
    };
    let members = ["port-police", "acme-terminal"].map(|id| OrganisationId::new(id).unwrap()).to_vec();
    Policy {
        default_marking: Some(marking()),
        markings: Vec::new(),
        groups: [(GroupId::new("gate-2-watch").unwrap(), Group { organisations: members, agreement: None })].into(),
        recipients: [("port-police", police), ("gate-desk", desk)]
            .map(|(id, recipient)| (RecipientId::new(id).unwrap(), recipient))
            .into(),
        ..Policy::default()
    }
}

fn tailgating(granted: &str, following: &str) -> Situation {
    let evidence = |sensor: &str, said: Phrase, weight, domain: &str| Evidence {
        sensor: SensorId::new(sensor).unwrap(),
        positions: vec![Position(7)],
        said,
        weight,
        side: Side::For,
        domain: DomainId::new(domain).unwrap(),
    };
    let plate = |role: &str, text: &str, alternatives: Vec<Private>| Subject {
        role: role.into(),
        identities: vec![SubjectIdentity {
            kind: IdentityKind::Plate,
            value: Private::clear(text),
            probability: 0.88,
            alternatives,
            read_by: vec![SensorId::new("rear").unwrap()],
        }],
    };
    let evidence = vec![
        evidence("loop-b", Phrase::words("2 vehicles, 3.2 s apart"), 3.4, "plc"),
        evidence("arm", Phrase::words("open throughout"), 1.1, "plc"),
        evidence("rear", Phrase::words("2 different plates"), 1.7, "switch-3"),
    ];
    let log_odds = score(-3.89, &evidence);
    Situation {
        id: SituationId::of(&KEY, "gate-2", "gate.tailgating", &ZoneId::new("lane-3").unwrap(), Position(7)),
        revision: 2,
        phase: Phase::Revised,
        kind: "gate.tailgating".into(),
        zone: ZoneId::new("lane-3").unwrap(),
        from: FROM,
        until: None,
        concluded: GatewayTime(FROM.0 as u64),
        concluded_wall: WallTime(FROM.0 + 15_520_000_000),
        clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
        prior: -3.89,
        log_odds,
        probability: Calibration::Identity.probability(log_odds),
        groups: Vec::new(),
        sources: Vec::new(),
        conditions: Conditions::default(),
        calibration: Calibration::Identity,
        severity: Severity::Moderate,
        urgency: Urgency::Immediate,
        headline: Phrase::words("a second truck passed on one grant"),
        facts: vec![
            Phrase::words("Arm opened once on one grant")
                .detail(FieldClass::Method, Phrase::words(" at ").at(FROM))
                .then("."),
        ],
        assessment: Phrase::words("Second vehicle entered without a grant."),
        actions: vec![
            Action {
                needs: FieldClass::QuasiIdentity,
                brief: Phrase::words("Check truck ")
                    .value(FieldClass::QuasiIdentity, Private::clear(following))
                    .then(" in yard."),
                text: Phrase::words("Stop and identify truck ")
                    .value(FieldClass::QuasiIdentity, Private::clear(following))
                    .then(" in the yard; ask the gate desk for the booking."),
            },
            Action {
                needs: FieldClass::Public,
                brief: Phrase::words("Hold lane 3; do not approach the driver."),
                text: Phrase::words("Hold lane 3 if the arm did not close."),
            },
        ],
        subjects: vec![
            plate("vehicle.granted", granted, vec![]),
            plate("vehicle.following", following, vec![Private::clear("7-KL8-09")]),
        ],
        evidence,
        missing: vec![Missing { sensor: SensorId::new("front").unwrap(), why: NoData::Silent, since: Some(FROM) }],
        alternatives: vec![Alternative {
            text: Phrase::words("one long combination counted twice"),
            probability: 0.07,
        }],
        media: vec![(
            SensorId::new("rear").unwrap(),
            Media { camera: "rear".into(), from: FROM, to: WallTime(FROM.0 + 30_000_000_000) },
        )],
        status: Status::Actual,
        security_level: 1,
        rule: "gate.tailgating@1.0".into(),
        model: "9b1e".into(),
        mode: Mode::Tell,
        answer_within: Some(core::time::Duration::from_secs(300)),
    }
}

fn decided(recipient: &str, situation: &Situation, policy: &Policy, told: Option<&Told>) -> Decision {
    let site = site();
    let others = [RecipientId::new("gate-desk").unwrap()];
    let context =
        Context { policy, site: &site, told, others_told: &others, reference_key: &KEY, late: false, now: FROM };
    decide(&RecipientId::new(recipient).unwrap(), situation, &context)
}

fn released(recipient: &str, situation: &Situation, policy: &Policy) -> Release {
    match decided(recipient, situation, policy, None) {
        Decision::Release(release) => *release,
        other => panic!("{recipient}: {other:?}"),
    }
}

fn json(release: &Release) -> String {
    serde_json::to_string(&release.product).unwrap()
}

/// Two loops and the arm of one controller say more than a controller may prove; the police may not have the arm, so its
/// part of the group is nobody's business, and what is left of the group is not capped any more.
#[test]
fn a_group_is_capped_again_for_what_a_recipient_may_have() {
    let mut situation = tailgating("12-BRV-4", "7-KLB-09");
    situation.evidence[1].weight = 3.5;
    situation.groups = capped_groups(&situation.evidence);
    situation.log_odds = score(situation.prior, &situation.evidence);
    situation.probability = situation.calibration.probability(situation.log_odds);
    let product = released("port-police", &situation, &policy()).product;
    let group = &product.capped[0];
    assert_eq!((group.domain.as_str(), group.before, group.after), ("plc", 6.9, 6.0));
    assert_eq!(group.members, ["e1", "e2"]);
    let outside = product.evidence.iter().filter(|piece| !group.members.contains(&piece.reference));
    let sum = product.prior.unwrap() + group.after + outside.map(|piece| piece.weight).sum::<f64>();
    assert!((Calibration::Identity.probability(sum) - product.probability.unwrap()).abs() < 0.001);

    let mut secret = policy();
    let marking = Marking { tlp: Tlp::Red, ..marking() };
    let sensors = vec![SensorId::new("arm").unwrap()];
    secret.markings = vec![ScopedMarking { sensors, zones: Vec::new(), marking }];
    let product = released("port-police", &situation, &secret).product;
    assert_eq!((product.capped.len(), product.evidence.len()), (0, 2));
    let sum = product.prior.unwrap() + product.evidence.iter().map(|piece| piece.weight).sum::<f64>();
    assert!((Calibration::Identity.probability(sum) - product.probability.unwrap()).abs() < 0.001);
}

/// A stand-in is one organisation's, for one purpose, in one month; within them it is the same for the same value.
#[test]
fn stand_ins_are_not_joined_over_organisations_purposes_or_months() {
    let shown = |organisation: &str, purpose: &str, from: &str, plate: &str| {
        let mut policy = policy();
        let purpose = Purpose::new(purpose).unwrap();
        policy.default_marking = Some(Marking { purpose: purpose.clone(), ..marking() });
        let fields = [(FieldClass::QuasiIdentity, Treatment::Pseudonym)];
        let desk = Recipient { purposes: vec![purpose], ..recipient(organisation, &fields) };
        policy.recipients.insert(RecipientId::new("desk").unwrap(), desk);
        let from = WallTime(i64::try_from(from.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap());
        let situation = Situation { from, ..tailgating("12-BRV-4", plate) };
        released("desk", &situation, &policy).product.subjects[1].plate.clone().unwrap()
    };
    let one = shown("port-police", "port-facility-security", "2026-03-14T02:12:04Z", "7-KLB-09");
    assert!(one.starts_with("p-") && !one.contains("KLB"), "{one}");
    assert_eq!(shown("port-police", "port-facility-security", "2026-03-31T23:59:59Z", "7-KLB-09"), one);
    for (organisation, purpose, from, plate) in [
        ("acme-terminal", "port-facility-security", "2026-03-14T02:12:04Z", "7-KLB-09"),
        ("port-police", "customs", "2026-03-14T02:12:04Z", "7-KLB-09"),
        ("port-police", "port-facility-security", "2026-04-01T00:00:00Z", "7-KLB-09"),
        ("port-police", "port-facility-security", "2026-03-14T02:12:04Z", "7-KLB-08"),
    ] {
        assert_ne!(shown(organisation, purpose, from, plate), one, "{organisation} {purpose} {from} {plate}");
    }
}

/// What a recipient of a part is told is what such scores have turned out to mean, too.
#[test]
fn a_part_is_calibrated_as_the_whole_is() {
    let mut situation = tailgating("12-BRV-4", "7-KLB-09");
    situation.calibration = Calibration::Platt { slope: 1.0, offset: 1.0 };
    situation.probability = situation.calibration.probability(situation.log_odds);
    let mut secret = policy();
    let marking = Marking { tlp: Tlp::Red, ..marking() };
    secret.markings = vec![ScopedMarking { sensors: vec![SensorId::new("arm").unwrap()], zones: Vec::new(), marking }];
    let product = released("port-police", &situation, &secret).product;
    let raw = situation.log_odds - situation.evidence[1].weight;
    assert!((Calibration::Identity.probability(raw + 1.0) - product.probability.unwrap()).abs() < 0.001);
}

#[test]
fn the_police_see_plates_evidence_and_footage() {
    let release = released("port-police", &tailgating("12-BRV-4", "7-KLB-09"), &policy());
    let product = &release.product;
    assert_eq!(
        product.text,
        "Gate 2 lane 3 inbound: a second truck passed on one grant at 03:12 local. Likely. Check truck 7-KLB-09 in yard."
    );
    assert_eq!(product.facts, ["Arm opened once on one grant at 02:12:04.1 UTC."]);
    assert_eq!(product.subjects[1].plate.as_deref(), Some("7-KLB-09"));
    assert_eq!(product.subjects[1].plate_alternatives, ["7-KL8-09"]);
    assert_eq!(product.evidence.iter().map(|piece| piece.reference.as_str()).collect::<Vec<_>>(), ["e1", "e2", "e3"]);
    let sum = product.prior.unwrap() + product.evidence.iter().map(|piece| piece.weight).sum::<f64>();
    assert!((1.0 / (1.0 + (-sum).exp()) - product.probability.unwrap()).abs() < 0.005, "the terms are the score");
    assert_eq!(product.capped, []);
    assert_eq!(product.media[0].href, "https://vms.acme.lan/export?cam=rear&from=1773454324&to=1773454354");
    assert_eq!(product.told, ["gate-desk"]);
    assert_eq!(product.handling.releasable_to, ["port-police"]);
    assert_eq!(
        product.action.as_deref(),
        Some("Stop and identify truck 7-KLB-09 in the yard; ask the gate desk for the booking.")
    );
    assert_eq!(product.handling.delete_by, "2026-04-11");
    assert_eq!(product.answer_by.as_deref(), Some("2026-03-14T02:17:19.640Z"));
    assert_eq!(release.tlp, Tlp::Amber);
}

#[test]
fn the_gate_desk_sees_what_to_do_and_masked_plates_and_no_method() {
    let release = released("gate-desk", &tailgating("12-BRV-4", "7-KLB-09"), &policy());
    let product = &release.product;
    assert_eq!(
        product.text,
        "Gate 2 lane 3 inbound: a second truck passed on one grant at 03:12 local. Likely. \
         Hold lane 3; do not approach the driver."
    );
    assert_eq!(product.facts, ["Arm opened once on one grant."]);
    assert_eq!(product.subjects[0].plate.as_deref(), Some("12-••••-4"));
    assert_eq!(product.subjects[1].plate.as_deref(), Some("7-••••-09"));
    assert_eq!(product.missing[0].why, "silent since 02:12 UTC");
    for field in ["probability", "grading", "evidence", "prior", "alternatives", "media", "rule", "model", "told"] {
        assert!(serde_json::to_value(product).unwrap().get(field).is_none(), "{field}");
    }
}

#[test]
fn members_of_a_group_share_the_reference_and_others_do_not() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let mut policy = policy();
    let reference = |policy: &Policy, to: &str| released(to, &situation, policy).product.reference;
    assert_eq!(reference(&policy, "port-police"), reference(&policy, "gate-desk"));
    assert!(reference(&policy, "gate-desk").starts_with("QW-G2-"));
    policy.groups.clear();
    assert_ne!(reference(&policy, "port-police"), reference(&policy, "gate-desk"));
}

#[test]
fn without_every_condition_nothing_is_released() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let refuse = |change: &dyn Fn(&mut Policy), reason: Withheld| {
        let mut policy = policy();
        change(&mut policy);
        assert_eq!(decided("gate-desk", &situation, &policy, None), Decision::Withhold(reason));
    };
    fn desk(policy: &mut Policy) -> &mut Recipient {
        policy.recipients.get_mut("gate-desk").unwrap()
    }
    refuse(&|policy| policy.recipients.clear(), Withheld::UnknownRecipient);
    refuse(&|policy| policy.default_marking = None, Withheld::NoMarking);
    refuse(&|policy| desk(policy).clearance = Tlp::Green, Withheld::AboveClearance);
    refuse(&|policy| desk(policy).purposes.clear(), Withheld::OtherPurpose);
    refuse(&|policy| desk(policy).zones = Some(vec![]), Withheld::OtherZones);
    refuse(&|policy| desk(policy).kinds = vec![KindPattern("quay.*".into())], Withheld::OtherKinds);
    refuse(&|policy| policy.default_marking.as_mut().unwrap().releasable_to.clear(), Withheld::NotReleasable);
}

#[test]
fn a_recipient_without_the_camera_gets_a_view_without_the_camera() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let mut policy = policy();
    let only_owner = Marking {
        releasable_to: vec![Releasable::Organisation(OrganisationId::new("acme-terminal").unwrap())],
        ..marking()
    };
    policy.markings.push(quaywatch_schemas::policy::ScopedMarking {
        sensors: vec![SensorId::new("rear").unwrap()],
        zones: vec![],
        marking: only_owner,
    });
    let release = released("port-police", &situation, &policy);
    let text = json(&release);
    for hidden in ["7-KLB-09", "12-BRV-4", "rear", "2 different plates"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let expected = 1.0 / (1.0 + f64::exp(-(-3.89 + 3.4 + 1.1)));
    assert!((release.product.probability.unwrap() - expected).abs() < 0.001);
}

#[test]
fn the_same_again_is_not_said_again_and_an_ending_only_to_those_told() {
    let mut situation = tailgating("12-BRV-4", "7-KLB-09");
    let told = released("gate-desk", &situation, &policy()).told;
    situation.revision += 1;
    assert_eq!(decided("gate-desk", &situation, &policy(), Some(&told)), Decision::Unchanged);
    situation.phase = Phase::Retracted;
    assert!(matches!(decided("gate-desk", &situation, &policy(), Some(&told)), Decision::Release(_)));
    assert_eq!(decided("gate-desk", &situation, &policy(), None), Decision::Withhold(Withheld::NeverTold));
}

#[test]
fn what_is_over_or_withdrawn_says_so_and_asks_for_nothing_that_is_past() {
    let mut situation = tailgating("12-BRV-4", "7-KLB-09");
    let told = released("gate-desk", &situation, &policy()).told;
    let text = |situation: &Situation| match decided("gate-desk", situation, &policy(), Some(&told)) {
        Decision::Release(release) => (release.product.text, release.product.action),
        other => panic!("{other:?}"),
    };
    situation.phase = Phase::Closed;
    let (over, _) = text(&situation);
    assert!(over.starts_with("Gate 2 lane 3 inbound: over: a second truck passed"), "{over}");
    situation.phase = Phase::Retracted;
    let (withdrawn, action) = text(&situation);
    assert_eq!(
        withdrawn,
        "Gate 2 lane 3 inbound: withdrawn: a second truck passed on one grant at 03:12 local. Nothing needs to be done."
    );
    assert_eq!(action, None);
}

#[test]
fn information_for_different_purposes_never_meets_in_one_product() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let mut policy = policy();
    let customs = Purpose::new("customs-control").unwrap();
    policy.recipients.get_mut("port-police").unwrap().purposes.push(customs.clone());
    policy.markings.push(quaywatch_schemas::policy::ScopedMarking {
        sensors: vec![SensorId::new("rear").unwrap()],
        zones: vec![],
        marking: Marking { purpose: customs, ..marking() },
    });
    let release = released("port-police", &situation, &policy);
    assert_eq!(release.product.handling.purpose, "port-facility-security");
    let sensors: Vec<&str> = release.product.evidence.iter().map(|piece| piece.sensor.as_str()).collect();
    assert_eq!(sensors, ["loop-b", "arm"]);
    assert!(!json(&release).contains("KLB"), "read by a camera that is for another purpose");
    assert!(release.product.media.is_empty());
}

#[test]
fn a_sensor_that_is_only_named_raises_the_marking_too() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let mut policy = policy();
    policy.default_marking.as_mut().unwrap().tlp = Tlp::Green;
    policy.markings.push(quaywatch_schemas::policy::ScopedMarking {
        sensors: vec![SensorId::new("front").unwrap()],
        zones: vec![],
        marking: Marking { delete_after_days: 3, ..marking() },
    });
    let release = released("port-police", &situation, &policy);
    assert_eq!((release.tlp, release.product.handling.delete_by.as_str()), (Tlp::Amber, "2026-03-17"));
}

#[test]
fn a_sensor_the_site_does_not_know_has_no_default_marking() {
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let mut gone = site();
    gone.sensors.clear();
    let policy = policy();
    let context = Context {
        policy: &policy,
        site: &gone,
        told: None,
        others_told: &[],
        reference_key: &KEY,
        late: false,
        now: FROM,
    };
    let decision = decide(&RecipientId::new("port-police").unwrap(), &situation, &context);
    assert_eq!(decision, Decision::Withhold(Withheld::NoMarking));
}

#[test]
fn a_passage_that_what_is_left_does_not_bear_is_not_told_although_it_is_over_at_once() {
    let mut situation = tailgating("12-BRV-4", "7-KLB-09");
    (situation.phase, situation.revision) = (Phase::Closed, 1);
    let mut policy = policy();
    policy.markings.push(quaywatch_schemas::policy::ScopedMarking {
        sensors: vec![SensorId::new("loop-b").unwrap()],
        zones: vec![],
        marking: Marking { releasable_to: vec![], ..marking() },
    });
    assert_eq!(decided("port-police", &situation, &policy, None), Decision::Withhold(Withheld::TooLittleLeft));
}

#[test]
fn a_mask_keeps_the_ends_and_not_the_length() {
    for (value, masked) in [
        ("12-BRV-4", "12-••••-4"),
        ("7-KLB-09", "7-••••-09"),
        ("HH-AB-1234", "HH-••••-34"),
        ("AB12CDE", "A••••E"),
        ("12-34", "1••••4"),
        ("K1", "••••"),
        ("", "••••"),
    ] {
        assert_eq!(mask(value), masked);
    }
}

/// Letters that no place, reference or word of a product has three of in a row.
fn plates() -> impl Strategy<Value = (String, String)> {
    ("[0-9]{2}-[QXZ]{3}-[0-9]", "[0-9]-[QXZ]{3}-[0-9]{2}")
}

proptest! {
    /// The classic leak is a side field: the whole serialised product is searched, envelope included.
    #[test]
    fn a_value_that_is_not_shown_occurs_nowhere((granted, following) in plates(), treatment in 0..2usize) {
        let mut policy = policy();
        let desk = policy.recipients.get_mut("gate-desk").unwrap();
        desk.fields.insert(FieldClass::QuasiIdentity, [Treatment::Mask, Treatment::Drop][treatment]);
        desk.fields.insert(FieldClass::Method, Treatment::Show);
        let situation = tailgating(&granted, &following);
        let release = released("gate-desk", &situation, &policy);
        let recipient = RecipientId::new("gate-desk").unwrap();
        let event = envelope(&release, ("NLRTM", &site().id, &recipient), "3f", 1);
        let text = serde_json::to_string(&event).unwrap();
        for hidden in [granted.as_str(), &following, "7-KL8-09", &granted[3..6], &following[2..5]] {
            prop_assert!(!text.contains(hidden), "{} in {}", hidden, text);
        }
    }

    /// Change what is hidden, and not one byte changes.
    #[test]
    fn what_is_dropped_does_not_influence_a_byte(a in plates(), b in plates()) {
        let mut policy = policy();
        policy.recipients.get_mut("gate-desk").unwrap().fields.remove(&FieldClass::QuasiIdentity);
        let view = |(granted, following): &(String, String)| {
            let mut release = released("gate-desk", &tailgating(granted, following), &policy);
            release.told.shown = [0; 16];
            json(&release)
        };
        prop_assert_eq!(view(&a), view(&b));
    }

    /// Taking a right away never adds a field.
    #[test]
    fn fewer_rights_never_show_more(drop in proptest::sample::subsequence(FieldClass::ALL.to_vec(), 0..7)) {
        let situation = tailgating("12-BRV-4", "7-KLB-09");
        let full = serde_json::to_value(released("port-police", &situation, &policy()).product).unwrap();
        let mut policy = policy();
        let police = policy.recipients.get_mut("port-police").unwrap();
        drop.iter().for_each(|class| { police.fields.remove(class); });
        let less = serde_json::to_value(released("port-police", &situation, &policy).product).unwrap();
        for (field, _) in less.as_object().unwrap() {
            prop_assert!(full.get(field).is_some(), "{}", field);
        }
    }
}

/// What customs, who may have nothing of it, is told.
fn with_a_tear_line() -> Policy {
    let mut policy = policy();
    let customs = Recipient {
        purposes: vec![Purpose::new("customs-control").unwrap()],
        ..recipient("customs", &[(FieldClass::Operational, Treatment::Show), (FieldClass::Method, Treatment::Show)])
    };
    policy.recipients.insert(RecipientId::new("customs").unwrap(), customs);
    policy.tear_lines = vec![TearLine {
        kinds: vec![KindPattern("gate.*".into())],
        zones: None,
        severity: Severity::Minor,
        text: "The gate is being looked at; expect to wait.".into(),
        marking: Marking {
            tlp: Tlp::Green,
            releasable_to: vec![Releasable::Organisation(OrganisationId::new("customs").unwrap())],
            purpose: Purpose::new("customs-control").unwrap(),
            ..marking()
        },
    }];
    policy
}

#[test]
fn who_may_have_nothing_is_told_its_tear_line_once_and_when_it_is_over() {
    let policy = with_a_tear_line();
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let release = released("customs", &situation, &policy);
    assert_eq!(
        release.product.text,
        "Gate 2 lane 3 inbound: at 03:12 local: The gate is being looked at; expect to wait."
    );
    let text = serde_json::to_string(&release.product).unwrap();
    for hidden in ["12-BRV", "7-KLB", "grant", "loop-b", "Likely", "Observed", "probability", "12:04.1"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert_eq!((release.tlp, release.product.severity), (Tlp::Green, Severity::Minor));

    let more = Situation { revision: 3, probability: 0.999, ..situation.clone() };
    assert_eq!(decided("customs", &more, &policy, Some(&release.told)), Decision::Unchanged);
    let over = Situation { revision: 4, phase: Phase::Closed, ..situation.clone() };
    let Decision::Release(over) = decided("customs", &over, &policy, Some(&release.told)) else { panic!("it is told") };
    assert_eq!((over.product.phase, over.product.revision, over.product.supersedes), (Phase::Closed, 2, Some(1)));

    // It is for who may have nothing, not for who did not ask.
    let mut elsewhere = policy.clone();
    elsewhere.recipients.get_mut("customs").unwrap().zones = Some(vec![]);
    assert_eq!(decided("customs", &situation, &elsewhere, None), Decision::Withhold(Withheld::OtherZones));
    let mut unapproved = policy;
    unapproved.tear_lines[0].marking.tlp = Tlp::Red;
    assert_eq!(decided("customs", &situation, &unapproved, None), Decision::Withhold(Withheld::NotReleasable));
}

#[test]
fn nothing_of_the_evidence_changes_a_byte_of_a_tear_line() {
    let policy = with_a_tear_line();
    let (one, other) = (tailgating("12-BRV-4", "7-KLB-09"), tailgating("3-XTX-11", "9-ABC-2"));
    let mut other = Situation { probability: 0.6, log_odds: 0.4, severity: Severity::Extreme, ..other };
    other.evidence.pop();
    other.until = Some(WallTime(FROM.0 + 1));
    assert_eq!(released("customs", &one, &policy), released("customs", &other, &policy));
}

#[test]
fn the_owner_is_told_who_was_not_told_and_why() {
    let policy = with_a_tear_line();
    let situation = tailgating("12-BRV-4", "7-KLB-09");
    let told = |recipient: &str| released(recipient, &situation, &policy).product.not_told;
    let [customs] = told("gate-desk").try_into().unwrap();
    assert_eq!(customs.recipient, "customs");
    assert_eq!(customs.why, "not releasable to its organisation; its tear line only");
    assert_eq!(told("port-police"), [], "it owns nothing of it");
}

#[test]
fn an_agreement_is_asked_each_time_and_what_it_released_ends_with_it() {
    let mut policy = policy();
    let group = GroupId::new("gate-2-watch").unwrap();
    policy.default_marking.as_mut().unwrap().releasable_to = vec![Releasable::Group(group.clone())];
    let (from, until) = (WallTime(FROM.0), WallTime(FROM.0 + 10));
    let agreement = Agreement { reference: "MoU 2026-14".into(), from: Some(from), until: Some(until) };
    policy.groups.get_mut(&group).unwrap().agreement = Some(agreement);
    let (site, desk) = (site(), RecipientId::new("gate-desk").unwrap());
    let at = |now: i64| {
        let context = Context {
            policy: &policy,
            site: &site,
            told: None,
            others_told: &[],
            reference_key: &KEY,
            late: false,
            now: WallTime(now),
        };
        match decide(&desk, &tailgating("12-BRV-4", "7-KLB-09"), &context) {
            Decision::Withhold(why) => Some(why),
            _ => None,
        }
    };
    assert_eq!([at(from.0 - 1), at(until.0)], [Some(Withheld::NoAgreement); 2]);
    assert_eq!([at(from.0), at(until.0 - 1)], [None; 2]);
    let changes = [from.0 - 1, from.0, until.0].map(|after| policy.next_change(WallTime(after)));
    assert_eq!(changes, [Some(from), Some(until), None]);
}
