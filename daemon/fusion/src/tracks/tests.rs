//! The tracker as a whole: stories with data.

use super::*;
use crate::bounds::TRACKS;
use alloc::{collections::BTreeMap, vec};
use proptest::prelude::*;
use quaywatch_schemas::{
    DomainId, GatewayTime, LineId, NoData, Position, SiteId,
    observation::{DetectedPosition, Detection},
    site::{Clock, Mount, Rates, Role, Rules, Sensor, Status, View, Zone, ZoneKind},
    units::{Finite, Probability},
};
use std::{format, string::String};

/// A quay of 200 by 60 m with water before it, under a radar and a camera that sees its left half.
struct Port {
    tracker: Tracker,
    position: u64,
    told: Vec<(String, TrackChange, u64)>,
}

const START: i64 = 1_700_000_000_000_000_000;

fn finite(value: f64) -> Finite {
    Finite::new(value).unwrap()
}

fn nanoseconds(second: f64) -> i64 {
    START + libm::round(second * 1e9) as i64
}

fn sensor(role: Role, view: Option<View>, detection: f64, false_alarm: f64) -> Sensor {
    Sensor {
        zone: ZoneId::new("quay").unwrap(),
        role,
        at_m: None,
        domain: DomainId::new("pole").unwrap(),
        line: LineId::new("bus").unwrap(),
        silent_after: None,
        unit: None,
        range: None,
        rates: Rates { detection, false_alarm },
        mount: Some(Mount { x: 0.0, y: 0.0, facing_deg: 90.0 }),
        view,
        clock: Clock::Synchronised,
        leads: None,
    }
}

fn zone(kind: ZoneKind, outline: Vec<(f64, f64)>) -> Zone {
    Zone { name: "Here".into(), kind, direction: None, length_m: None, media: None, closed: None, outline }
}

fn rectangle(x0: f64, x1: f64, y0: f64, y1: f64) -> Vec<(f64, f64)> {
    vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
}

fn site() -> Site {
    let everything = View::Polygon(rectangle(-200.0, 200.0, -100.0, 300.0));
    let left = View::Sector { range_m: 150.0, half_angle_deg: 40.0 };
    let mut camera = sensor(Role::PositionCamera, Some(left), 0.85, 0.2);
    camera.mount = Some(Mount { x: -100.0, y: 0.0, facing_deg: 90.0 });
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("port").unwrap(),
        timezone: "UTC".into(),
        status: Status::Test,
        zones: BTreeMap::from([
            (ZoneId::new("quay").unwrap(), zone(ZoneKind::Quay, rectangle(-100.0, 100.0, 0.0, 60.0))),
            (ZoneId::new("stripe").unwrap(), zone(ZoneKind::Fence, rectangle(-100.0, 100.0, 80.0, 82.0))),
        ]),
        sensors: BTreeMap::from([
            (SensorId::new("radar").unwrap(), sensor(Role::Radar, Some(everything), 0.9, 5.0)),
            (SensorId::new("camera").unwrap(), camera),
            (
                SensorId::new("pir").unwrap(),
                sensor(Role::PresencePir, Some(View::Polygon(rectangle(20.0, 40.0, 10.0, 30.0))), 0.8, 0.005),
            ),
            (SensorId::new("ais").unwrap(), sensor(Role::Ais, None, 0.95, 0.001)),
        ]),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: Some(Grid { latitude: 51.95, longitude: 4.05, x_axis_deg: 90.0 }),
        patterns: Default::default(),
    }
}

fn seen(x: f64, y: f64, class: ObjectClass) -> Detection {
    let covariance = [finite(1.0), finite(0.0), finite(1.0)];
    Detection {
        class,
        confidence: None,
        position: Some(DetectedPosition::Cartesian { x: finite(x), y: finite(y), covariance }),
        speed: None,
        zones: Vec::new(),
    }
}

fn echo(x: f64, y: f64) -> Detection {
    seen(x, y, ObjectClass::Other)
}

impl Port {
    fn new() -> Self {
        let mut tracker = Tracker::default();
        tracker.apply(&site(), |_| true);
        Self { tracker, position: 0, told: Vec::new() }
    }

    fn says(&mut self, sensor: &str, at: f64, received: f64, counts: bool, reading: &Reading) {
        self.position += 1;
        let wall = WallTime(nanoseconds(received));
        let stamp =
            Stamp { position: Position(self.position), gateway: GatewayTime(wall.0 as u64), wall, ..Stamp::default() };
        let mut events = Vec::new();
        let sensor = SensorId::new(sensor).unwrap();
        self.tracker.take(&sensor, reading, WallTime(nanoseconds(at)), &stamp, counts, &mut events);
        self.told.extend(events.into_iter().map(|(zone, event)| (format!("{zone}"), event.change, event.track.number)));
    }

    fn scan(&mut self, sensor: &str, at: f64, detections: Vec<Detection>) {
        self.says(sensor, at, at + 0.2, true, &Reading::Frame(Frame { detections }));
    }

    fn tracks(&self, at: f64) -> Vec<TrackView> {
        self.tracker.views(WallTime(nanoseconds(at)))
    }

    fn existence(&self) -> f64 {
        self.tracker.history.now.tracks[0].existence
    }

    /// Somebody stands at a place and the radar sees him for five seconds.
    fn with_somebody_at(x: f64, y: f64) -> Self {
        let mut port = Self::new();
        for second in 0..5 {
            port.scan("radar", f64::from(second), vec![echo(x, y)]);
        }
        assert_eq!(port.tracks(4.0).len(), 1);
        port
    }
}

#[test]
fn an_empty_scan_counts_against_what_it_should_have_shown_and_nothing_else() {
    let mut port = Port::with_somebody_at(50.0, 20.0);
    let before = port.existence();
    port.scan("camera", 4.2, vec![]);
    assert!(before - port.existence() < 0.01, "the camera looks the other way");
    port.says("radar", 5.0, 5.2, false, &Reading::Frame(Frame { detections: vec![] }));
    assert!(before - port.existence() < 0.02, "a radar that is not well says nothing by not seeing");
    port.scan("radar", 6.0, vec![]);
    let once = port.existence();
    assert!(once < before - 0.01);
    for second in 7..9 {
        port.scan("radar", f64::from(second), vec![]);
    }
    assert!(port.existence() < 0.5, "three misses in a row: {}", port.existence());
    assert!(port.tracks(9.0).is_empty());
}

#[test]
fn a_late_scan_gives_what_it_would_have_given_in_time() {
    let walk = |second: f64| vec![echo(-80.0 + 1.4 * second, 20.0), echo(60.0, 100.0 - 4.0 * second)];
    let mut scans: Vec<(f64, &str)> = (0..12).map(|second| (f64::from(second), "radar")).collect();
    scans.extend((0..24).map(|half| (f64::from(half) * 0.5 + 0.2, "camera")));
    scans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let run = |order: &[(f64, &str)]| {
        let mut port = Port::new();
        for (at, sensor) in order {
            let mut detections = walk(*at);
            if *sensor == "camera" {
                detections.truncate(1);
            }
            port.says(sensor, *at, 20.0, true, &Reading::Frame(Frame { detections }));
        }
        port
    };
    let in_order = run(&scans);
    let mut shuffled = scans.clone();
    shuffled.swap(8, 20);
    shuffled.swap(25, 30);
    shuffled.swap(33, 34);
    let late = run(&shuffled);
    assert!(late.tracker.counts().late > 0);
    assert_eq!(late.tracker.counts().too_late, 0);
    let places =
        |port: &Port| -> Vec<_> { port.tracks(12.0).iter().map(|track| (track.x, track.y, track.vx)).collect() };
    assert_eq!(places(&in_order).len(), 2);
    assert_eq!(places(&in_order), places(&late));
}

#[test]
fn what_comes_too_late_or_twice_is_counted_and_changes_nothing() {
    let mut port = Port::with_somebody_at(50.0, 20.0);
    let before = port.tracks(4.0);
    port.scan("radar", 4.0, vec![echo(50.0, 20.0)]);
    assert_eq!(port.tracks(4.0), before);
    for second in 5..20 {
        port.scan("radar", f64::from(second), vec![echo(50.0, 20.0)]);
    }
    port.says("radar", 2.5, 20.2, true, &Reading::Frame(Frame { detections: vec![] }));
    let counts = port.tracker.counts();
    assert_eq!((counts.repeated, counts.too_late, counts.late), (1, 1, 0));
}

#[test]
fn a_polar_measurement_is_the_cartesian_one_it_stands_for() {
    // Clockwise from an axis that points along y: 30 degrees is to the right of it.
    let mount = Mount { x: 10.0, y: 20.0, facing_deg: 90.0 };
    let angle = 30f64.to_radians();
    let polar = Detection {
        position: Some(DetectedPosition::Polar {
            range: finite(100.0),
            bearing: finite(angle),
            range_sd: finite(1.0),
            bearing_sd: finite(0.01),
        }),
        ..echo(0.0, 0.0)
    };
    let measured = Measurement::of(&polar, Some(&mount)).unwrap();
    let (x, y) = (10.0 + 100.0 * libm::sin(angle), 20.0 + 100.0 * libm::cos(angle));
    assert!((measured.at[0] - x).abs() < 0.02 && (measured.at[1] - y).abs() < 0.02, "{:?}", measured.at);
    // Both errors are a metre there: whatever the angle, the covariance is that of a circle.
    assert!((measured.cov[0] - 1.01).abs() < 1e-9 && measured.cov[1].abs() < 1e-9, "{:?}", measured.cov);
    assert_eq!(Measurement::of(&polar, None), None, "nobody knows where the radar stands");
    let broken = Detection {
        position: Some(DetectedPosition::Cartesian {
            x: finite(1.0),
            y: finite(1.0),
            covariance: [finite(1.0), finite(9.0), finite(1.0)],
        }),
        ..echo(0.0, 0.0)
    };
    assert_eq!(Measurement::of(&broken, None), None, "that is no covariance");
}

#[test]
fn two_that_cross_keep_their_names() {
    let mut port = Port::new();
    for second in 0..40 {
        let t = f64::from(second);
        let detections = vec![echo(-40.0 + 2.0 * t, 10.0 + t), echo(-40.0 + 2.0 * t, 50.0 - t)];
        port.scan("radar", t, detections);
    }
    let tracks = port.tracks(39.0);
    assert_eq!(tracks.len(), 2);
    let (first, second) = (&tracks[0], &tracks[1]);
    assert_eq!((first.id, second.id), (1, 2), "no name was given twice, none anew");
    // They met at second 20; who came from below is above now.
    let rises = |track: &TrackView| track.vy > 0.0 && track.y > 40.0;
    assert!(rises(first) != rises(second));
}

#[test]
fn a_vehicle_that_brakes_stands_and_starts_again_is_one_track() {
    let mut port = Port::new();
    let (mut x, mut speed) = (-90.0, 5.0f64);
    for second in 0..40 {
        speed = match second {
            10..15 => (speed - 2.0).max(0.0),
            20.. => (speed + 1.0).min(5.0),
            _ => speed,
        };
        x += speed;
        port.scan("radar", f64::from(second), vec![seen(x, 30.0, ObjectClass::Vehicle)]);
        if second > 3 {
            let tracks = port.tracks(f64::from(second));
            assert_eq!(tracks.len(), 1, "at {second} s");
            assert_eq!(tracks[0].id, 1);
            assert!((tracks[0].x - x).abs() < 3.0, "at {second} s: {} for {x}", tracks[0].x);
        }
    }
    assert_eq!(port.tracks(39.0)[0].classes[0].0, ObjectClass::Vehicle);
}

#[test]
fn who_is_lost_for_a_moment_is_found_under_the_same_name() {
    let mut port = Port::with_somebody_at(50.0, 20.0);
    let id = port.tracks(4.0)[0].id;
    for second in 5..11 {
        port.scan("radar", f64::from(second), vec![]);
    }
    assert!(port.tracker.history.now.tracks.is_empty(), "nobody believes in him any more");
    for second in 11..14 {
        port.scan("radar", f64::from(second), vec![echo(52.0, 21.0)]);
    }
    assert_eq!(port.tracks(13.0)[0].id, id);
    for second in 14..40 {
        port.scan("radar", f64::from(second), vec![]);
    }
    for second in 40..44 {
        port.scan("radar", f64::from(second), vec![echo(52.0, 21.0)]);
    }
    assert!(port.tracks(43.0)[0].id > id, "half a minute later it may be anybody");
}

#[test]
fn a_vessels_own_word_names_the_echo_it_fits() {
    let mut port = Port::new();
    // 100 m east and 200 m north of the origin: 1.4556 mdeg of longitude, 1.7976 mdeg of latitude there.
    let word = |north: f64| {
        Reading::Cooperative(Cooperative {
            speed: Some(finite(3.0)),
            course: Some(finite(90.0)),
            ..Cooperative::at(244_123_456, finite(51.95 + north), finite(4.05 + 0.001_455_6))
        })
    };
    for second in 0..4 {
        port.scan("radar", f64::from(second), vec![echo(98.0, 203.0), echo(-100.0, 200.0)]);
    }
    port.says("ais", 3.5, 3.6, true, &word(0.001_797_6));
    let tracks = port.tracks(4.0);
    assert_eq!(tracks.iter().map(|track| track.mmsi).collect::<Vec<_>>(), [None, Some(244_123_456)].map(|one| one));
    let named = tracks.iter().find(|track| track.mmsi.is_some()).unwrap();
    assert!((named.x - 98.0).abs() < 3.0 && (named.y - 203.0).abs() < 3.0);
    assert_eq!(named.classes[0].0, ObjectClass::Vessel);
    // Where no radar reaches, its word alone makes a track.
    let mut alone = Port::new();
    alone.says("ais", 1.0, 1.1, true, &word(0.02));
    let tracks = alone.tracks(1.0);
    assert_eq!(tracks.len(), 1);
    assert!((tracks[0].y - 2225.0).abs() < 5.0 && (tracks[0].vx - 3.0).abs() < 1e-6, "{tracks:?}");
    let mut elsewhere = Port::new();
    elsewhere.says("ais", 1.0, 1.1, true, &word(1.0));
    assert!(elsewhere.tracks(1.0).is_empty(), "111 km away");
    assert_eq!(elsewhere.tracker.counts().unplaced, 1);
}

#[test]
fn a_presence_sensor_that_trips_speaks_for_a_track_in_its_view_and_its_silence_against() {
    let (mut hit, mut silent, mut mute) =
        (Port::with_somebody_at(30.0, 20.0), Port::with_somebody_at(30.0, 20.0), Port::with_somebody_at(30.0, 20.0));
    for port in [&mut hit, &mut silent, &mut mute] {
        port.scan("radar", 5.0, vec![]);
    }
    let before = hit.existence();
    hit.says("pir", 5.2, 5.3, true, &Reading::Contact(true));
    assert!(hit.existence() > before);
    silent.says("pir", 5.2, 5.3, true, &Reading::Contact(false));
    mute.says("pir", 5.2, 5.3, true, &Reading::NoData(NoData::Disconnected));
    for port in [&mut silent, &mut mute] {
        port.says("radar", 8.0, 8.2, false, &Reading::Frame(Frame { detections: vec![] }));
    }
    assert!(silent.existence() < mute.existence() - 0.001);
}

#[test]
fn zones_hear_who_came_in_who_stays_and_who_left_even_between_two_looks() {
    let mut port = Port::new();
    // Straight up at 12 m/s through the quay, and through a stripe of 2 m behind it.
    for second in 0..20 {
        port.scan("radar", f64::from(second), vec![echo(0.0, -60.0 + 12.0 * f64::from(second))]);
    }
    let of = |zone: &str| -> Vec<TrackChange> {
        port.told.iter().filter(|(told, ..)| told == zone).map(|(_, change, _)| *change).collect()
    };
    let quay = of("quay");
    assert_eq!((quay.first(), quay.last()), (Some(&TrackChange::Entered), Some(&TrackChange::Left)));
    assert!(quay.iter().filter(|change| **change == TrackChange::Still).count() >= 3);
    assert_eq!(of("stripe"), [TrackChange::Entered, TrackChange::Left]);
    for second in 20..45 {
        port.scan("radar", f64::from(second), vec![]);
    }
    assert!(port.tracker.history.now.tracks.is_empty());
}

#[test]
fn what_leaves_every_view_is_soon_no_longer_believed() {
    let mut port = Port::new();
    for second in 0..10 {
        port.scan("radar", f64::from(second), vec![echo(150.0 + 5.0 * f64::from(second), 250.0)]);
    }
    assert_eq!(port.tracks(9.0).len(), 1);
    for second in 10..22 {
        port.scan("radar", f64::from(second), vec![]);
    }
    assert!(port.tracks(22.0).is_empty());
}

#[test]
fn at_the_bound_the_least_believed_goes_and_is_counted() {
    let mut port = Port::new();
    let somebody = Port::with_somebody_at(50.0, 20.0);
    let one = somebody.tracker.history.now.tracks[0];
    let many = (0..TRACKS + 10).map(|index| {
        let mut track = one;
        track.born.index = index as u16;
        // Far outside every view, so that nothing else changes them.
        track.motion.models.iter_mut().for_each(|model| model.mean[0] = 10_000.0 + 30.0 * index as f64);
        track.mean[0] = 10_000.0 + 30.0 * index as f64;
        track.existence = 0.5 + 0.4 * index as f64 / TRACKS as f64;
        track
    });
    port.tracker.history.now.tracks = many.collect();
    port.scan("radar", 5.0, vec![]);
    let left = &port.tracker.history.now.tracks;
    assert_eq!(left.len(), TRACKS);
    assert!(left.iter().all(|track| track.born.index >= 10), "the ten least believed went");
    assert_eq!(port.tracker.counts().let_go, 10);
}

#[test]
fn a_snapshot_goes_on_as_if_there_had_been_none() {
    let walk = |port: &mut Port, seconds: core::ops::Range<u32>| {
        for second in seconds {
            let t = f64::from(second);
            port.scan("radar", t, vec![echo(-80.0 + 1.4 * t, 20.0), echo(30.0, 90.0 - t)]);
            port.says("camera", t - 0.8, t + 0.3, true, &Reading::Frame(Frame { detections: vec![] }));
        }
    };
    let mut whole = Port::new();
    walk(&mut whole, 0..30);
    let mut half = Port::new();
    walk(&mut half, 0..15);
    let bytes = postcard::to_allocvec(&half.tracker).unwrap();
    half.tracker = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(postcard::to_allocvec(&half.tracker).unwrap(), bytes);
    walk(&mut half, 15..30);
    assert_eq!(half.tracks(30.0), whole.tracks(30.0));
    assert_eq!(postcard::to_allocvec(&half.tracker).unwrap(), postcard::to_allocvec(&whole.tracker).unwrap());
}

#[test]
fn a_site_with_other_sensors_keeps_who_is_there() {
    let mut port = Port::with_somebody_at(50.0, 20.0);
    let mut other = site();
    other.sensors.remove(&SensorId::new("camera").unwrap());
    port.tracker.apply(&other, |_| true);
    port.scan("radar", 5.0, vec![echo(50.0, 20.0)]);
    assert_eq!(port.tracks(5.0)[0].id, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_sensors_say_nothing_becomes_infinite_or_without_bound(
        words in prop::collection::vec(
            (0..4usize, -2.0..8.0f64, prop::collection::vec((-1e6..1e6f64, -300.0..300.0f64, 0.0..1e5f64, -1e3..1e3f64), 0..6)),
            1..60,
        )
    ) {
        let mut port = Port::new();
        for (index, (sensor, back, detections)) in words.iter().enumerate() {
            let received = index as f64 * 0.4;
            let name = ["radar", "camera", "pir", "ais"][*sensor];
            let each = |(x, y, variance, across): &(f64, f64, f64, f64)| Detection {
                class: ObjectClass::Person,
                confidence: Probability::new(0.99).ok(),
                position: Some(DetectedPosition::Cartesian {
                    x: finite(*x),
                    y: finite(*y),
                    covariance: [finite(*variance), finite(*across), finite(*variance)],
                }),
                speed: None,
                zones: Vec::new(),
            };
            let reading = match *sensor {
                2 => Reading::Contact(detections.len() % 2 == 0),
                3 => Reading::Cooperative(Cooperative {
                    speed: Some(finite(*back)),
                    ..Cooperative::at(detections.len() as u32, finite(51.95), finite(4.05))
                }),
                _ => Reading::Frame(Frame { detections: detections.iter().map(each).collect() }),
            };
            port.says(name, received - back, received, true, &reading);
            for track in port.tracks(received) {
                let all = [track.x, track.y, track.vx, track.vy, track.covariance[0], track.covariance[2], track.existence];
                prop_assert!(all.iter().all(|value| value.is_finite()), "{track:?}");
                prop_assert!((0.0..=1.0).contains(&track.existence));
                prop_assert!(track.covariance[0] > 0.0 && track.covariance[2] > 0.0);
                prop_assert!((track.classes.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-6);
            }
        }
        let snapshot = postcard::to_allocvec(&port.tracker).unwrap();
        prop_assert!(snapshot.len() < 200_000);
    }
}
