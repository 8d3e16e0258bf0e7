//! Weeks of a lane and a quay, and what a person is proposed after them.

use super::*;
use alloc::{collections::BTreeMap, vec};
use quaywatch_schemas::{
    DomainId, LineId, Position, SiteId, WallTime, ZoneId,
    site::{Clock, Rules, Sensor, Status, rules::Mode},
    situation::{Conditions, Severity, Source, Urgency, capped_groups},
    time::ClockQuality,
};

const FILE: Rates = Rates { detection: 0.95, false_alarm: 0.01 };
const DAY: u64 = 86_400_000_000_000;

fn site() -> Site {
    let sensor = |role, domain: &str| Sensor {
        zone: ZoneId::new("z").unwrap(),
        role,
        at_m: None,
        domain: DomainId::new(domain).unwrap(),
        line: LineId::new("plc").unwrap(),
        mount: None,
        view: None,
        clock: Clock::default(),
        leads: None,
        silent_after: None,
        unit: None,
        range: None,
        rates: FILE,
    };
    let sensors = [
        ("loop-a", Role::LoopApproach, "one"),
        ("loop-b", Role::LoopExit, "two"),
        ("rear", Role::PlateRear, "switch"),
        ("pir", Role::PresencePir, "pole"),
        ("dome", Role::PresenceCamera, "switch"),
    ];
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("s").unwrap(),
        timezone: "UTC".into(),
        status: Status::Test,
        zones: BTreeMap::new(),
        sensors: sensors.map(|(id, role, domain)| (id_of(id), sensor(role, domain))).into(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: Default::default(),
    }
}

fn id_of(sensor: &str) -> SensorId {
    SensorId::new(sensor).unwrap()
}

/// A situation that ended at a moment, with what its sensors said: for, against or by their silence.
fn situation(kind: &str, at: u64, prior: f64, said: &[(&str, f64, Side)]) -> Situation {
    let site = site();
    let evidence: Vec<Evidence> = said
        .iter()
        .map(|(sensor, weight, side)| Evidence {
            sensor: id_of(sensor),
            positions: vec![Position(1)],
            said: Phrase::words("something"),
            weight: *weight,
            side: *side,
            domain: site.sensors[&id_of(sensor)].domain.clone(),
        })
        .collect();
    let log_odds = score(prior, &evidence);
    let sources = site.sensors.keys().map(|sensor| Source { sensor: sensor.clone(), state: SourceState::Healthy });
    Situation {
        id: SituationId::of(&[0; 32], "s", kind, &ZoneId::new("z").unwrap(), Position(at)),
        revision: 1,
        phase: Phase::Closed,
        kind: kind.into(),
        zone: ZoneId::new("z").unwrap(),
        from: WallTime(0),
        until: None,
        concluded: GatewayTime(at),
        concluded_wall: WallTime(0),
        clock: ClockQuality::default(),
        prior,
        log_odds,
        probability: Calibration::Identity.probability(log_odds),
        severity: Severity::Minor,
        urgency: Urgency::Past,
        headline: Phrase::default(),
        facts: Vec::new(),
        assessment: Phrase::default(),
        actions: Vec::new(),
        subjects: Vec::new(),
        groups: capped_groups(&evidence),
        evidence,
        missing: Vec::new(),
        sources: sources.collect(),
        conditions: Conditions::default(),
        alternatives: Vec::new(),
        media: Vec::new(),
        status: Status::Test,
        security_level: 1,
        rule: "x@1".into(),
        model: "0000".into(),
        calibration: Calibration::Identity,
        mode: Mode::Tell,
        answer_within: None,
    }
}

/// A vehicle that both loops saw; the camera read it or did not.
fn passage(at: u64, read: bool) -> Situation {
    let loops = [("loop-a", 2.5, Side::For), ("loop-b", 3.5, Side::For)];
    let rear = read.then_some(("rear", 1.0, Side::For));
    situation("gate.passage", at, -2.2, &loops.into_iter().chain(rear).collect::<Vec<_>>())
}

fn of(proposal: &Proposal, sensor: &str, night: bool) -> Option<SensorLearned> {
    proposal.sensors.iter().find(|it| it.sensor == id_of(sensor) && it.night == night).cloned()
}

#[test]
fn a_camera_that_misses_every_second_vehicle_is_found_out_by_the_loops_and_the_loops_not_by_each_other() {
    let mut learner = Learner::default();
    for number in 0..60 {
        learner.take(&passage(number * 60_000_000_000, number % 2 == 0), &site());
    }
    let now = GatewayTime(3_600_000_000_000);
    let proposal = learner.propose(&site(), &Model::default(), now);
    let rear = of(&proposal, "rear", false).unwrap();
    assert!((rear.seen.0 - 30.0).abs() < 0.2 && (rear.seen.1 - 60.0).abs() < 0.4, "{rear:?}");
    let rates = rear.proposed.unwrap();
    assert!((rates.detection - (0.95 * 20.0 + 30.0) / 80.0).abs() < 0.01, "{rates:?}");
    assert_eq!(rates.false_alarm, FILE.false_alarm, "nothing is known of false alarms");
    // Without one loop a vehicle is not certain (-2.2 + 3.5 + 1.0): a loop is held against nothing.
    assert_eq!(of(&proposal, "loop-a", false), None);
    assert!(of(&proposal, "rear", true).is_none(), "all of it was by day");
    assert_eq!(proposal.model.rates[&id_of("rear")].of(false), Some(rates));
    assert_eq!(proposal.model.rates[&id_of("rear")].of(true), None);
    assert!(proposal.is_news(&Model::default()) && proposal.id != model_id(&site(), &Model::default()));
}

#[test]
fn what_was_counted_fades_by_half_in_a_week() {
    let mut learner = Learner::default();
    (0..40).for_each(|number| learner.take(&passage(number, false), &site()));
    let after = |days| {
        let proposal = learner.propose(&site(), &Model::default(), GatewayTime(days * DAY));
        of(&proposal, "rear", false).map_or(0.0, |rear| rear.seen.1)
    };
    for (days, left) in [(0, 40.0), (7, 20.0), (14, 10.0)] {
        assert!((after(days) - left).abs() < 0.01, "{days} days: {}", after(days));
    }
    assert_eq!(learner.propose(&site(), &Model::default(), GatewayTime(21 * DAY)).model, Model::default());
}

#[test]
fn a_sensor_that_is_alone_never_proves_itself_and_being_rare_disproves_nothing() {
    let mut learner = Learner::default();
    for number in 0..50 {
        // One detector says it again and again; the other is silent, and counts a little for that.
        let said = [("pir", 5.2, Side::For), ("dome", -0.6, Side::Absent)];
        learner.take(&situation("quay.presence", number, -6.9, &said), &site());
    }
    let proposal = learner.propose(&site(), &Model::default(), GatewayTime(50));
    assert_eq!(of(&proposal, "dome", false), None, "without the camera it is neither sure nor against the odds");
    let pir = of(&proposal, "pir", false).unwrap();
    assert!(pir.seen.1 < 0.5 && pir.wrong.1 > 49.0, "the camera looked and saw nobody: {pir:?}");
}

#[test]
fn a_verdict_decides_for_every_sensor_and_takes_back_what_was_counted_without_it() {
    let said = [("pir", 5.2, Side::For), ("dome", 5.1, Side::For)];
    let site = site();
    let mut learner = Learner::default();
    let surest = situation("quay.presence", 5, -3.0, &said);
    let mut opened = surest.clone();
    opened.phase = Phase::Opened;
    // It fades before it ends; the surest revision is what counts.
    let mut over = situation("quay.presence", 5, -3.0, &[("pir", 0.4, Side::For)]);
    (over.id, over.revision, over.concluded) = (surest.id, 2, GatewayTime(6));
    learner.take(&opened, &site);
    learner.take(&over, &site);
    let counted = |learner: &Learner| {
        let proposal = learner.propose(&site, &Model::default(), GatewayTime(10));
        ["pir", "dome"].map(|sensor| of(&proposal, sensor, false).map(|it| (it.seen.0.round(), it.wrong.0.round())))
    };
    assert_eq!(counted(&learner), [None, None], "one alone leaves it at 90 %");
    learner.verdict(&surest, Some(GatewayTime(6)), Verdict::False, &site, GatewayTime(7));
    assert_eq!(counted(&learner), [Some((0.0, 1.0)), Some((0.0, 1.0))]);
    learner.verdict(&surest, Some(GatewayTime(6)), Verdict::Unknown, &site, GatewayTime(8));
    assert_eq!(counted(&learner), [Some((0.0, 1.0)), Some((0.0, 1.0))], "nobody can tell: nothing changes");
    learner.verdict(&surest, Some(GatewayTime(6)), Verdict::Harmless, &site, GatewayTime(9));
    assert_eq!(counted(&learner), [Some((1.0, 0.0)), Some((1.0, 0.0))], "it was so, and harmless");
    assert_eq!(learner.quality().map(|(kind, count, ..)| (kind, count)).collect::<Vec<_>>(), [("quay.presence", 1)]);

    // A passage that decided without its camera, and a verdict that says otherwise.
    let vehicle = passage(20, true);
    learner.take(&vehicle, &site);
    learner.verdict(&vehicle, Some(vehicle.concluded), Verdict::False, &site, GatewayTime(21));
    let proposal = learner.propose(&site, &Model::default(), GatewayTime(21));
    let rear = of(&proposal, "rear", false).unwrap();
    assert_eq!((rear.seen.0.round(), rear.wrong.0.round()), (0.0, 1.0), "{rear:?}");
}

#[test]
fn verdicts_propose_a_calibration_from_the_thirtieth_on_and_the_file_holds_where_it_was_changed() {
    let site = site();
    let mut learner = Learner::default();
    let mut adopted = Model::default();
    let said = [("pir", 4.0, Side::For), ("dome", 5.0, Side::For)];
    for number in 0..30u64 {
        let situation = situation("gate.tailgating", number, -7.0, &said);
        let verdict = if number % 3 == 0 { Verdict::True } else { Verdict::False };
        assert!(!learner.propose(&site, &adopted, GatewayTime(number)).is_news(&adopted));
        learner.verdict(&situation, Some(situation.concluded), verdict, &site, GatewayTime(number));
    }
    let proposal = learner.propose(&site, &adopted, GatewayTime(30));
    let kind = &proposal.kinds[0];
    assert_eq!((kind.labels, kind.proposed.as_ref().map(Calibration::name)), ((30, 10), Some("platt")));
    assert!(kind.said.1 > 0.5 && kind.with_it.1 < 0.1 && kind.with_it.0 < kind.said.0, "{kind:?}");
    assert!((proposal.model.calibration["gate.tailgating"].probability(2.0) - 1.0 / 3.0).abs() < 0.05);
    assert!(proposal.sensors.is_empty(), "tailgating says nothing about how good a sensor is");
    adopted = proposal.model;
    assert!(!learner.propose(&site, &adopted, GatewayTime(31)).is_news(&adopted), "what holds is not proposed again");

    (0..40).for_each(|number| learner.take(&passage(number, false), &site));
    adopted = learner.propose(&site, &adopted, GatewayTime(40)).model;
    assert!(adopted.rates[&id_of("rear")].day.is_some());
    let mut cleaned = site.clone();
    cleaned.sensors.get_mut(&id_of("rear")).unwrap().rates.detection = 0.99;
    let after = Learner::default().propose(&cleaned, &adopted, GatewayTime(41));
    assert!(!after.model.rates.contains_key(&id_of("rear")));
}

#[test]
fn everything_learned_is_bounded_and_survives_a_restart() {
    let site = site();
    let mut learner = Learner::default();
    for number in 0..2000u64 {
        let mut open = situation("quay.presence", number, -3.0, &[("pir", 5.2, Side::For)]);
        open.phase = Phase::Opened;
        learner.take(&open, &site);
        learner.verdict(&passage(number, true), None, Verdict::True, &site, GatewayTime(number));
    }
    assert_eq!((learner.open.len(), learner.labels["gate.passage"].len()), (OPEN_CLAIMS, LABELS_PER_KIND));
    let bytes = postcard::to_allocvec(&learner).unwrap();
    assert!(bytes.len() < 64 << 10, "{} bytes", bytes.len());
    assert_eq!(postcard::from_bytes::<Learner>(&bytes).unwrap(), learner);
    let mut fewer = site.clone();
    fewer.sensors.remove(&id_of("rear"));
    learner.take(&passage(3000, false), &fewer);
    assert!(!learner.counts.contains_key(&id_of("rear")));
}
