use super::*;
use alloc::{vec, vec::Vec};
use quaywatch_schemas::{
    DomainId, LineId, SiteId,
    site::{Rates, Rules, Status},
};

const KEY: [u8; 32] = [7; 32];

fn site() -> Site {
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("gate-2").unwrap(),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: BTreeMap::new(),
        sensors: BTreeMap::new(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: Default::default(),
    }
}

fn reader(leads: Direction) -> Sensor {
    Sensor {
        zone: ZoneId::new("turnstile").unwrap(),
        role: Role::Reader,
        at_m: None,
        domain: DomainId::new("access").unwrap(),
        line: LineId::new("access").unwrap(),
        silent_after: None,
        unit: None,
        range: None,
        rates: Rates { detection: 0.99, false_alarm: 0.001 },
        mount: None,
        view: None,
        clock: Clock::Free,
        leads: Some(leads),
    }
}

/// Badges read at a turnstile: name, which way, second it happened, second it was heard, what was decided.
fn hear(trails: &mut Trails, badge: &str, way: Direction, at: f64, heard: f64, decision: AccessDecision) {
    let sensor = SensorId::new(if way == Direction::In { "in" } else { "out" }).unwrap();
    let nanos = |seconds: f64| (seconds * 1e9) as i64;
    let stamp = Stamp {
        position: Position(nanos(heard) as u64),
        gateway: GatewayTime(nanos(heard) as u64),
        wall: WallTime(nanos(heard)),
        ..Stamp::default()
    };
    let credential = Credential { holder: Identity { handle: None, value: Private::clear(badge) }, decision };
    let heard = Heard {
        sensor: &sensor,
        spec: &reader(way),
        credential: &credential,
        at: WallTime(nanos(at)),
        claimed: Some(WallTime(nanos(at) + 1_234_000_000)),
        live: true,
    };
    trails.take(&heard, &KEY, &site(), &stamp);
}

/// Looks at everything that is due; gives the seconds of the reads that are to be looked at, in order.
fn looked_at(trails: &mut Trails, now: f64) -> Vec<Vec<i64>> {
    let mut all = Vec::new();
    while let Some(released) = trails.release(GatewayTime((now * 1e9) as u64)) {
        let reads = &trails.of(&released.holder).unwrap().reads;
        all.push(released.all().map(|(index, _)| reads[index].at.0 / 1_000_000_000).collect());
    }
    all
}

#[test]
fn reads_are_looked_at_in_the_order_they_happened_once_others_had_time_to_come() {
    let mut trails = Trails::default();
    hear(&mut trails, "b", Direction::Out, 102.0, 102.1, AccessDecision::Granted);
    hear(&mut trails, "a", Direction::In, 101.0, 102.5, AccessDecision::Granted);
    assert_eq!(looked_at(&mut trails, 103.9), Vec::<Vec<i64>>::new());
    assert_eq!(trails.next_due(), Some(GatewayTime(104_000_000_000)));
    assert_eq!(looked_at(&mut trails, 106.0), vec![vec![101], vec![102]]);
    assert_eq!(trails.next_due(), None);
}

#[test]
fn a_late_read_is_put_where_it_belongs_and_what_came_after_it_is_looked_at_again() {
    let mut trails = Trails::default();
    hear(&mut trails, "a", Direction::In, 100.0, 100.1, AccessDecision::Granted);
    hear(&mut trails, "a", Direction::In, 130.0, 130.1, AccessDecision::Granted);
    assert_eq!(looked_at(&mut trails, 140.0), vec![vec![100], vec![130]]);
    hear(&mut trails, "a", Direction::Out, 120.0, 145.0, AccessDecision::Granted);
    assert_eq!(trails.next_due(), Some(GatewayTime(145_000_000_000)), "it is late already");
    assert_eq!(looked_at(&mut trails, 145.0), vec![vec![120, 130]]);
    hear(&mut trails, "a", Direction::Out, 90.0, 191.0, AccessDecision::Granted);
    assert_eq!(looked_at(&mut trails, 191.0), vec![vec![90, 120]], "after a minute what was concluded stays");
}

#[test]
fn the_same_word_said_twice_is_one_read_also_when_the_clock_is_known_better_by_then() {
    let mut trails = Trails::default();
    hear(&mut trails, "a", Direction::In, 100.0, 100.1, AccessDecision::Granted);
    hear(&mut trails, "a", Direction::In, 100.0, 101.0, AccessDecision::Granted);
    assert_eq!(looked_at(&mut trails, 110.0), vec![vec![100], vec![]]);
    let holder = handle_of(&Identity { handle: None, value: Private::clear("a") }, &KEY).unwrap();
    assert_eq!(trails.of(&holder).unwrap().reads.len(), 1);
    assert_eq!(trails.of(&holder).unwrap().visits, 1);
}

#[test]
fn that_nobody_passed_takes_the_grant_back() {
    let mut trails = Trails::default();
    hear(&mut trails, "a", Direction::In, 100.0, 100.1, AccessDecision::Granted);
    hear(&mut trails, "a", Direction::In, 112.0, 112.1, AccessDecision::NotTaken);
    assert_eq!(looked_at(&mut trails, 120.0), vec![vec![100], vec![100]]);
    let holder = handle_of(&Identity { handle: None, value: Private::clear("a") }, &KEY).unwrap();
    assert!(!trails.of(&holder).unwrap().reads[0].went_through());
}

#[test]
fn at_the_bounds_the_oldest_read_and_the_longest_unseen_credential_go() {
    let mut trails = Trails::default();
    for second in 0..20 {
        hear(
            &mut trails,
            "a",
            Direction::In,
            f64::from(second) * 100.0,
            f64::from(second) * 100.0,
            AccessDecision::Granted,
        );
        looked_at(&mut trails, f64::from(second) * 100.0 + 50.0);
    }
    let holder = handle_of(&Identity { handle: None, value: Private::clear("a") }, &KEY).unwrap();
    let trail = trails.of(&holder).unwrap();
    assert_eq!(trail.reads.first().map(|read| read.at.0 / 1_000_000_000), Some(1200));
    assert_eq!((trail.reads.len(), trail.visits), (READS_PER_TRAIL, 20));
    for other in 0..TRAILS {
        let at = 5000.0 + other as f64;
        hear(&mut trails, &alloc::format!("o{other}"), Direction::In, at, at, AccessDecision::Granted);
        looked_at(&mut trails, at + 10.0);
    }
    assert_eq!(trails.trails.len(), TRAILS);
    assert!(trails.of(&holder).is_none());
    assert_eq!(trails.let_go, 1);
}
