//! A radar, two cameras and six motion detectors.

use super::{AREA, Observation, Polar, Preset, Seen, What, objects::Class, objects::Object, rounded};
use crate::world::random::Random;
use serde::Serialize;
use serde_json::{Value, json};
use std::f64::consts::{FRAC_PI_2, PI, TAU};

#[derive(Debug, Clone, Serialize)]
pub(super) struct Radar {
    id: &'static str,
    x: f64,
    y: f64,
    sig_r: f64,
    sig_b: f64,
    pd: f64,
    period: f64,
    range: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Camera {
    id: &'static str,
    x: f64,
    y: f64,
    dir: f64,
    half: f64,
    range: f64,
    pd: f64,
    period: f64,
    fa: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Detector {
    id: &'static str,
    x0: f64,
    x1: f64,
    y0: f64,
    y1: f64,
    pd: f64,
    hold: f64,
    fa_per_s: f64,
}

pub(super) const RADAR: Radar =
    Radar { id: "radar1", x: 200.0, y: -55.0, sig_r: 1.5, sig_b: 0.6 * PI / 180.0, pd: 0.9, period: 1.0, range: 360.0 };
pub(super) const CAMERAS: [Camera; 2] = [camera("cam1", 80.0), camera("cam2", 310.0)];
/// The second camera's pictures are taken this much later, in seconds.
const SECOND_CAMERA_S: f64 = 0.2;
/// How far off a camera's positions are, in metres, near it and more for each metre of distance.
const CAMERA_SIGMA: (f64, f64) = (0.4, 0.012);
/// Share of the messages of cameras and motion detectors that are late, and by how much, in seconds.
const LATE: f64 = 0.02;
const LATE_S: (f64, f64) = (1.0, 3.5);
const DETECTORS: [&str; 6] = ["pir1", "pir2", "pir3", "pir4", "pir5", "pir6"];

const fn camera(id: &'static str, x: f64) -> Camera {
    let half = 50.0 * PI / 180.0;
    Camera { id, x, y: -58.0, dir: FRAC_PI_2, half, range: 110.0, pd: 0.85, period: 0.5, fa: 0.2 }
}

pub(super) fn detectors() -> [Detector; 6] {
    let mut x0 = 20.0 - 65.0;
    DETECTORS.map(|id| {
        x0 += 65.0;
        Detector { id, x0, x1: x0 + 25.0, y0: -55.0, y1: -30.0, pd: 0.75, hold: 2.0, fa_per_s: 1.0 / 600.0 }
    })
}

/// How often a camera takes a class for a person, a vehicle, a boat.
fn taken_for(class: Class) -> [f64; 3] {
    match class {
        Class::Person => [0.88, 0.08, 0.04],
        Class::Vehicle => [0.06, 0.90, 0.04],
        Class::Boat => [0.04, 0.06, 0.90],
    }
}

pub(super) fn confusion() -> Value {
    let [person, vehicle, boat] = Class::ALL.map(taken_for);
    json!({ "person": person, "vehicle": vehicle, "boat": boat })
}

/// Everything the sensors say, in order of arrival.
pub(super) fn watch(preset: &Preset, seed: u64, objects: &[Object]) -> Vec<Observation> {
    let mut arrivals = Vec::new();
    radar(preset, objects, &mut Random::of(seed, "trial radar", 0), &mut arrivals);
    for (number, camera) in CAMERAS.iter().enumerate() {
        let random = &mut Random::of(seed, "trial camera", number as u64);
        cameras(preset, objects, camera, SECOND_CAMERA_S * number as f64, random, &mut arrivals);
    }
    for (number, detector) in detectors().iter().enumerate() {
        let random = &mut Random::of(seed, "trial detector", number as u64);
        detects(preset, objects, detector, random, &mut arrivals);
    }
    arrivals.sort_by(|one, other| one.rx.total_cmp(&other.rx));
    arrivals
}

fn radar(preset: &Preset, objects: &[Object], random: &mut Random, arrivals: &mut Vec<Observation>) {
    for (number, t) in times(preset, RADAR.period, 0.0) {
        let mut seen = Vec::new();
        for [x, y, ..] in objects.iter().filter_map(|object| object.at(t)) {
            let (range, bearing) = polar(&RADAR, x, y);
            if range <= RADAR.range && random.chance(RADAR.pd) {
                let (range, bearing) = (random.normal(range, RADAR.sig_r), random.normal(bearing, RADAR.sig_b));
                seen.push(echo(range.max(0.1), (bearing + 3.0 * PI) % TAU - PI));
            }
        }
        for _ in 0..random.poisson(preset.clutter) {
            let (range, bearing) = polar(&RADAR, random.between(AREA[0], AREA[1]), random.between(AREA[2], AREA[3]));
            seen.push(echo(range, bearing));
        }
        shuffle(&mut seen, random);
        let rx = t + 0.15 + random.exponential(0.05);
        frame(RADAR.id, number, t, rx, seen, arrivals);
    }
}

fn polar(radar: &Radar, x: f64, y: f64) -> (f64, f64) {
    (libm::hypot(x - radar.x, y - radar.y), libm::atan2(y - radar.y, x - radar.x))
}

/// A position with the covariance that follows from the errors in range and bearing.
fn echo(range: f64, bearing: f64) -> What {
    let (cos, sin) = (libm::cos(bearing), libm::sin(bearing));
    let (along, across) = (RADAR.sig_r * RADAR.sig_r, (range * RADAR.sig_b) * (range * RADAR.sig_b));
    let cov =
        [cos * cos * along + sin * sin * across, cos * sin * (along - across), sin * sin * along + cos * cos * across];
    What::Pos {
        polar: Some(Polar { r: rounded(range, 3), b: rounded(bearing, 5) }),
        x: rounded(RADAR.x + range * cos, 3),
        y: rounded(RADAR.y + range * sin, 3),
        cov: cov.map(|value| rounded(value, 4)),
        seen: None,
    }
}

fn cameras(
    preset: &Preset,
    objects: &[Object],
    camera: &Camera,
    phase: f64,
    random: &mut Random,
    arrivals: &mut Vec<Observation>,
) {
    for (number, t) in times(preset, camera.period, phase) {
        let mut seen = Vec::new();
        for (class, [x, y, ..]) in objects.iter().filter_map(|object| Some((object.class, object.at(t)?))) {
            if camera.sees(x, y) && random.chance(camera.pd) {
                let cls = drawn(taken_for(class), random);
                let conf = random.normal(0.82, 0.1).clamp(0.2, 0.99);
                seen.push(camera.position(x, y, cls, conf, random));
            }
        }
        for _ in 0..random.poisson(camera.fa) {
            // Evenly spread over the sector.
            let range = camera.range * random.between(0.0, 1.0).sqrt();
            let bearing = camera.dir + random.between(-camera.half, camera.half);
            let (x, y) = (camera.x + range * libm::cos(bearing), camera.y + range * libm::sin(bearing));
            let conf = random.normal(0.45, 0.13).clamp(0.2, 0.99);
            let class = *random.pick(&Class::ALL);
            seen.push(camera.position(x, y, class.name(), conf, random));
        }
        shuffle(&mut seen, random);
        let rx = t + 0.25 + random.exponential(0.13) + random.exponential(0.13) + late(random);
        frame(camera.id, number, t, rx, seen, arrivals);
    }
}

impl Camera {
    fn sees(&self, x: f64, y: f64) -> bool {
        let (to_x, to_y) = (x - self.x, y - self.y);
        libm::hypot(to_x, to_y) <= self.range && (libm::atan2(to_y, to_x) - self.dir).abs() <= self.half
    }

    fn position(&self, x: f64, y: f64, cls: &'static str, conf: f64, random: &mut Random) -> What {
        let sigma = CAMERA_SIGMA.0 + CAMERA_SIGMA.1 * libm::hypot(x - self.x, y - self.y);
        let variance = rounded(sigma * sigma, 4);
        What::Pos {
            polar: None,
            x: rounded(random.normal(x, sigma), 3),
            y: rounded(random.normal(y, sigma), 3),
            cov: [variance, 0.0, variance],
            seen: Some(Seen { cls, conf: rounded(conf, 3) }),
        }
    }
}

/// A detector looks in the middle of each second, and after it has seen something not for its hold time.
fn detects(
    preset: &Preset,
    objects: &[Object],
    detector: &Detector,
    random: &mut Random,
    arrivals: &mut Vec<Observation>,
) {
    let mut last = f64::NEG_INFINITY;
    for second in 0..preset.duration_s {
        let t = f64::from(second) + 0.5;
        if t - last < detector.hold {
            continue;
        }
        let inside =
            |[x, y, ..]: [f64; 4]| (detector.x0..=detector.x1).contains(&x) && (detector.y0..=detector.y1).contains(&y);
        let there = objects.iter().filter_map(|object| object.at(t)).filter(|state| inside(*state)).count();
        let seen = (0..there).any(|_| random.chance(detector.pd));
        if seen || random.chance(detector.fa_per_s) {
            last = t;
            let rx = rounded(t + 0.05 + random.exponential(0.12) + late(random), 4);
            arrivals.push(Observation { what: What::Pir {}, sensor: detector.id, frame: None, t, rx });
        }
    }
}

fn times(preset: &Preset, period: f64, phase: f64) -> impl Iterator<Item = (u32, f64)> {
    let end = f64::from(preset.duration_s);
    (0..)
        .map(move |number| (number + 1, rounded(phase + period * f64::from(number), 3)))
        .take_while(move |(_, t)| *t <= end)
}

fn frame(sensor: &'static str, number: u32, t: f64, rx: f64, seen: Vec<What>, arrivals: &mut Vec<Observation>) {
    let rx = rounded(rx, 4);
    let said = std::iter::once(What::Frame { n: seen.len() }).chain(seen);
    arrivals.extend(said.map(|what| Observation { what, sensor, frame: Some(number), t, rx }));
}

fn late(random: &mut Random) -> f64 {
    if random.chance(LATE) { random.between(LATE_S.0, LATE_S.1) } else { 0.0 }
}

fn drawn(probabilities: [f64; 3], random: &mut Random) -> &'static str {
    let mut share = random.between(0.0, 1.0);
    let found = Class::ALL.into_iter().zip(probabilities).find(|(_, probability)| {
        share -= probability;
        share < 0.0
    });
    found.map_or(Class::Boat, |(class, _)| class).name()
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}
