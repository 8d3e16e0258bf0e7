//! Rules that look at tracks, through the engine: an alarm, a quiet case and a silent sensor each.

use crate::Engine;
use alloc::{boxed::Box, collections::BTreeMap, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    Control, DomainId, GatewayTime, LineId, NoData, Observation, Position, Reading, Record, SensorId, Site, SiteId,
    Situation, Stamp, Stamped, WallTime, ZoneId,
    observation::{Cooperative, DetectedPosition, Detection, Frame, ObjectClass, SourceTime},
    site::{
        Clock, Closed, Grid, Rates, Role, Rules, Sensor, Status, View, Zone, ZoneKind,
        rules::{self, Mode, Rule},
    },
    situation::{Phase, Side},
    units::Finite,
};

struct Watch {
    engine: Engine,
    position: u64,
    said: Vec<Situation>,
}

const START: i64 = 1_700_000_000_000_000_000;

fn sensor(zone: &str, role: Role, domain: &str, silent_after: Option<u64>) -> Sensor {
    Sensor {
        zone: ZoneId::new(zone).unwrap(),
        role,
        at_m: None,
        domain: DomainId::new(domain).unwrap(),
        line: LineId::new(domain).unwrap(),
        silent_after: silent_after.map(Duration::from_secs),
        unit: None,
        range: None,
        rates: Rates { detection: 0.9, false_alarm: if role == Role::Radar { 2.0 } else { 0.01 } },
        mount: None,
        view: Some(View::Polygon(rectangle(-200.0, 200.0, -200.0, 200.0))),
        clock: Clock::Synchronised,
        leads: None,
    }
}

fn rectangle(x0: f64, x1: f64, y0: f64, y1: f64) -> Vec<(f64, f64)> {
    vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
}

fn zone(kind: ZoneKind, outline: Vec<(f64, f64)>) -> Zone {
    let closed = (kind == ZoneKind::Quay).then_some(Closed::Always);
    Zone { name: "Quay 1".into(), kind, direction: None, length_m: None, media: None, closed, outline }
}

impl Watch {
    /// A quay with water before it, under a radar, a camera, a presence sensor and an AIS receiver.
    fn with(rules: Rules) -> Self {
        let site = Site {
            locode: "NLRTM".into(),
            id: SiteId::new("port").unwrap(),
            timezone: "UTC".into(),
            status: Status::Actual,
            zones: BTreeMap::from([
                (ZoneId::new("quay").unwrap(), zone(ZoneKind::Quay, rectangle(-100.0, 100.0, 0.0, 40.0))),
                (ZoneId::new("basin").unwrap(), zone(ZoneKind::Waterside, rectangle(-150.0, 150.0, -150.0, 0.0))),
            ]),
            sensors: BTreeMap::from([
                (SensorId::new("radar").unwrap(), sensor("quay", Role::Radar, "mast", Some(10))),
                (SensorId::new("camera").unwrap(), sensor("quay", Role::PositionCamera, "pole", None)),
                (SensorId::new("pir").unwrap(), sensor("quay", Role::PresencePir, "node", None)),
                (SensorId::new("ais").unwrap(), sensor("basin", Role::Ais, "receiver", Some(30))),
            ]),
            rules,
            feeds: BTreeMap::new(),
            utc_offsets: Vec::new(),
            grid: Some(Grid { latitude: 51.95, longitude: 4.05, x_axis_deg: 90.0 }),
            patterns: Default::default(),
        };
        let mut watch = Self { engine: Engine::new([7; 32]), position: 0, said: Vec::new() };
        watch.record(0.0, Record::Control(Control::SiteApplied { site: Box::new(site), digest: [0; 32] }));
        watch
    }

    fn record(&mut self, second: f64, record: Record) {
        self.position += 1;
        let at = START + libm::round(second * 1e9) as i64;
        let stamp = Stamp {
            position: Position(self.position),
            gateway: GatewayTime(at as u64),
            wall: WallTime(at),
            ..Stamp::default()
        };
        self.said.extend(self.engine.observe(&Stamped { stamp, record }));
    }

    fn says(&mut self, sensor: &str, second: f64, reading: Reading) {
        let mut observation = Observation::live(SensorId::new(sensor).unwrap(), reading);
        let at = WallTime(START + libm::round((second - 0.1) * 1e9) as i64);
        observation.observed_at = Some(SourceTime { at, uncertainty_ms: 1 });
        self.record(second, Record::Observation(observation));
    }

    fn sees(&mut self, sensor: &str, second: f64, places: &[(f64, f64)], class: ObjectClass) {
        let finite = |value| Finite::new(value).unwrap();
        let detections = places.iter().map(|(x, y)| Detection {
            class,
            confidence: None,
            position: Some(DetectedPosition::Cartesian {
                x: finite(*x),
                y: finite(*y),
                covariance: [finite(1.0), finite(0.0), finite(1.0)],
            }),
            speed: None,
            zones: Vec::new(),
        });
        self.says(sensor, second, Reading::Frame(Frame { detections: detections.collect() }));
    }

    /// The AIS receiver hears a vessel far away: it is well.
    fn hears(&mut self, second: f64, mmsi: u32, north: f64) {
        let finite = |value| Finite::new(value).unwrap();
        let word = Cooperative::at(mmsi, finite(51.95 + north / 111_266.0), finite(4.05));
        self.says("ais", second, Reading::Cooperative(word));
    }

    fn told(&self, kind: &str) -> Vec<(Phase, f64)> {
        let of = self.said.iter().filter(|situation| situation.kind == kind);
        of.map(|situation| (situation.phase, situation.probability)).collect()
    }
}

fn dwelling(seconds: u64, classes: &[ObjectClass]) -> Rules {
    let settings = rules::Dwell { longest: Duration::from_secs(seconds), classes: classes.to_vec() };
    Rules { dwell: Some(Rule { zones: Vec::new(), mode: Mode::Tell, settings }), ..Rules::default() }
}

#[test]
fn who_stays_longer_than_allowed_is_said_once_and_ends_when_it_leaves() {
    let mut watch = Watch::with(dwelling(60, &[]));
    for second in 0..90 {
        watch.sees("radar", f64::from(second) + 0.5, &[(20.0, 20.0)], ObjectClass::Other);
        watch.sees("camera", f64::from(second) + 0.8, &[(20.0, 20.0)], ObjectClass::Vehicle);
    }
    let told = watch.told("zone.dwell");
    assert_eq!(told.iter().filter(|(phase, _)| *phase == Phase::Opened).count(), 1, "{told:?}");
    assert!(told[0].1 > 0.9, "{told:?}");
    let opened = watch.said.iter().find(|situation| situation.kind == "zone.dwell").unwrap();
    assert_eq!(opened.evidence.len(), 2);
    let sum = opened.prior + opened.evidence.iter().map(|piece| piece.weight).sum::<f64>();
    assert!((sum - opened.log_odds).abs() < 1e-9);
    assert_eq!(opened.subjects[0].role, "vehicle");
    for second in 90..110 {
        watch.sees(
            "radar",
            f64::from(second) + 0.5,
            &[(20.0, 20.0 + 3.0 * f64::from(second - 90))],
            ObjectClass::Other,
        );
    }
    assert_eq!(watch.told("zone.dwell").last().unwrap().0, Phase::Closed);
}

#[test]
fn who_passes_through_or_is_not_of_the_classes_asked_for_is_no_dwelling() {
    let mut watch = Watch::with(dwelling(60, &[ObjectClass::Vehicle]));
    for second in 0..90 {
        let t = f64::from(second);
        watch.sees("radar", t + 0.5, &[(20.0, 20.0), (-90.0 + 3.0 * t, 30.0)], ObjectClass::Other);
        watch.sees("camera", t + 0.8, &[(20.0, 20.0)], ObjectClass::Person);
    }
    assert_eq!(watch.engine.tracks(WallTime(START + 89_000_000_000)).len(), 2);
    assert_eq!(watch.told("zone.dwell"), []);
}

#[test]
fn when_the_sensors_go_silent_a_dwelling_ends_without_a_word_on_where_it_went() {
    let mut watch = Watch::with(dwelling(30, &[]));
    for second in 0..40 {
        watch.sees("radar", f64::from(second) + 0.5, &[(20.0, 20.0)], ObjectClass::Other);
    }
    assert_eq!(watch.told("zone.dwell").len(), 1);
    watch.says("radar", 41.0, Reading::NoData(NoData::Disconnected));
    watch.says("radar", 200.0, Reading::NoData(NoData::Disconnected));
    let last = watch.said.iter().rfind(|situation| situation.kind == "zone.dwell").unwrap();
    assert_eq!(last.phase, Phase::Closed);
    assert!(last.missing.iter().any(|missing| missing.sensor.as_str() == "radar"), "{:?}", last.missing);
    let facts = alloc::format!("{:?}", last.facts);
    assert!(facts.contains("unknown"), "{facts}");
}

fn craft() -> Rules {
    let settings = rules::SmallCraft { answer_within: Duration::from_secs(60), nearer_than_m: 60.0 };
    Rules { small_craft: Some(Rule { zones: Vec::new(), mode: Mode::Tell, settings }), ..Rules::default() }
}

/// A craft 30 m off the quay for three minutes; what the receiver hears meanwhile is up to the story.
fn off_the_quay(watch: &mut Watch, mut meanwhile: impl FnMut(&mut Watch, f64)) {
    for second in 0..180 {
        let t = f64::from(second);
        watch.sees("radar", t + 0.5, &[(0.2 * t, -30.0)], ObjectClass::Other);
        if second % 10 == 5 {
            meanwhile(watch, t + 0.6);
        }
    }
}

#[test]
fn a_craft_near_the_quay_that_says_nothing_is_said() {
    let mut watch = Watch::with(craft());
    off_the_quay(&mut watch, |watch, t| watch.hears(t, 244_000_001, -5000.0));
    let told = watch.told("waterside.small-craft");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1 > 0.9, "{told:?}");
    let evidence = &watch.said.last().unwrap().evidence;
    assert!(evidence.iter().any(|piece| piece.side == Side::Absent && piece.weight > 0.0), "{evidence:?}");
}

#[test]
fn a_craft_that_says_who_it_is_is_none_of_the_rules_and_one_that_says_it_late_is_retracted() {
    let mut watch = Watch::with(craft());
    off_the_quay(&mut watch, |watch, t| watch.hears(t, 244_000_002, -30.0));
    assert_eq!(watch.told("waterside.small-craft"), []);
    let mut late = Watch::with(craft());
    off_the_quay(&mut late, |watch, t| {
        let north = if t > 120.0 { -30.0 } else { -5000.0 };
        watch.hears(t, if t > 120.0 { 244_000_002 } else { 244_000_001 }, north);
    });
    let phases: Vec<Phase> = late.told("waterside.small-craft").iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Opened, Phase::Retracted]);
}

#[test]
fn while_the_receiver_is_silent_nobody_can_know_who_does_not_say_who_it_is() {
    let mut watch = Watch::with(craft());
    off_the_quay(&mut watch, |_, _| {});
    assert_eq!(watch.told("waterside.small-craft"), [], "it was never heard");
    let mut gone = Watch::with(craft());
    off_the_quay(&mut gone, |watch, t| {
        if t < 30.0 {
            watch.hears(t, 244_000_001, -5000.0);
        }
    });
    assert_eq!(gone.told("waterside.small-craft"), [], "it was lost while it was waited for");
}

#[test]
fn a_person_followed_on_a_closed_quay_is_proof_with_a_second_witness_and_not_alone() {
    let rules = || Rules { quay_presence: Some(Rule::everywhere(Mode::Tell)), ..Rules::default() };
    let mut alone = Watch::with(rules());
    let mut both = Watch::with(rules());
    for second in 0..20 {
        let t = f64::from(second);
        for watch in [&mut alone, &mut both] {
            watch.sees("camera", t + 0.5, &[(1.4 * t, 20.0)], ObjectClass::Person);
        }
        if second == 10 {
            both.says("pir", t + 0.7, Reading::Contact(true));
        }
    }
    assert_eq!(alone.told("quay.presence"), []);
    let told = both.told("quay.presence");
    assert_eq!(told[0].0, Phase::Opened, "{told:?}");
    let evidence = &both.said[0].evidence;
    assert!(evidence.iter().any(|piece| piece.sensor.as_str() == "camera" && !piece.positions.is_empty()));
}
