//! Vehicles in the lanes: they queue at the approach loop, stop on the scale, are let through and leave over the exit loop.

use super::{Day, LANES, Preset, Truth, What, faults::Faults, reading, reference, rounded};
use crate::world::random::Random;
use reference::{Booking, Reference};

/// Traffic has a peak in the first third of every so many seconds.
const PEAK_EVERY_S: f64 = 7200.0;
/// Mean time between vehicles of a lane, in the peak and out of it.
const PEAK_GAP_S: f64 = 62.0;
const QUIET_GAP_S: f64 = 190.0;
/// Two vehicles in a queue reach the loop at least this far apart.
const HEADWAY_S: f64 = 9.0;
/// A scale shows its value once a second, and the first four do not stand still.
const UNSETTLED: u32 = 4;
const SCALE_STEP_KG: f64 = 20.0;
const SCALE_NOISE_KG: f64 = 18.0;
/// Something else than a vehicle closes an exit loop for a moment, once in so many seconds a lane.
const BLIP_EVERY_S: f64 = 13_000.0;
const BLIP_S: f64 = 0.12;

/// Shares of vehicles with which something is wrong. A vehicle has one of these at most; those that need a tag or a
/// container are drawn among vehicles that have one.
const TAILGATED: f64 = 0.021;
const UNBOOKED: f64 = 0.012;
const OTHER_TAG: f64 = 0.021;
const OTHER_CONTAINER: f64 = 0.0155;
const OTHER_WEIGHT: f64 = 0.024;

/// Reads by the neighbour lane's devices.
const STRAY_PLATE: f64 = 0.022;
const STRAY_TAG: f64 = 0.048;
const TAG_SEEN: f64 = 0.85;
/// The driver's badge is not read, though the barrier opens.
const BADGE_LOST: f64 = 0.055;

pub(super) fn run(preset: &Preset, seed: u64, reference: &Reference, faults: &Faults, day: &mut Day) {
    let mut unused: Vec<&Booking> = reference.bookings.iter().collect();
    let mut passages = 0;
    for (number, lane) in LANES.into_iter().enumerate() {
        let stream = |purpose| Random::of(seed, purpose, number as u64);
        let mut lane = Lane {
            name: lane,
            neighbour: LANES[number ^ 1],
            random: stream("trial lane"),
            faults,
            preset,
            day: &mut *day,
            passages: &mut passages,
        };
        lane.blips(&mut stream("trial blips"));
        lane.vehicles(reference, &mut unused, &mut stream("trial traffic"));
    }
}

struct Lane<'a> {
    name: &'static str,
    neighbour: &'static str,
    random: Random,
    faults: &'a Faults,
    preset: &'a Preset,
    day: &'a mut Day,
    /// How many there have been in all lanes.
    passages: &'a mut usize,
}

/// A vehicle as it is, which is not always as it is booked.
struct Vehicle {
    id: String,
    plate: String,
    dirty: bool,
    containers: Vec<String>,
    tag: Option<String>,
    badge: Option<String>,
    weight: Option<i64>,
    booked: Option<String>,
    wrong: Option<&'static str>,
}

impl Lane<'_> {
    fn blips(&mut self, random: &mut Random) {
        let mut at = random.exponential(BLIP_EVERY_S);
        while at < self.preset.duration_s {
            self.closes("l2", at, at + BLIP_S, None);
            at += random.exponential(BLIP_EVERY_S);
        }
    }

    fn vehicles(&mut self, reference: &Reference, unused: &mut Vec<&Booking>, random: &mut Random) {
        self.day.say(0.5, format!("barrier.{}", self.name), What::Barrier { open: false }, None);
        let (mut arrival, mut reached, mut free) = (0.0, f64::NEG_INFINITY, 0.0);
        loop {
            arrival += random.exponential(gap(arrival));
            if arrival >= self.preset.duration_s || unused.is_empty() {
                return;
            }
            let booking = unused.swap_remove(self.random.below(unused.len()));
            let vehicle = self.vehicle(booking, reference);
            reached = f64::max(arrival, reached + HEADWAY_S);
            free = self.passes(&vehicle, reached, free, reference);
        }
    }

    fn vehicle(&mut self, booking: &Booking, reference: &Reference) -> Vehicle {
        let id = self.next_id();
        let random = &mut self.random;
        let mut vehicle = Vehicle {
            id,
            plate: booking.plate.clone(),
            dirty: random.chance(self.preset.dirty),
            containers: booking.containers.clone(),
            tag: booking.tag.clone(),
            badge: Some(booking.badge.clone()),
            weight: Some(booking.declared),
            booked: Some(booking.plate.clone()),
            wrong: None,
        };
        if random.chance(UNBOOKED) {
            vehicle.wrong = Some("unbooked");
            vehicle.plate = unbooked(reference, random);
            vehicle.containers = booking.containers.iter().map(|_| reference::container(random)).collect();
            vehicle.tag = None;
        } else if booking.tag.is_some() && random.chance(OTHER_TAG) {
            let others: Vec<&String> = reference
                .bookings
                .iter()
                .filter_map(|other| other.tag.as_ref())
                .filter(|tag| Some(*tag) != booking.tag.as_ref())
                .collect();
            if !others.is_empty() {
                vehicle.wrong = Some("tag_plate_mismatch");
                vehicle.tag = Some((*random.pick(&others)).clone());
            }
        } else if !booking.containers.is_empty() && random.chance(OTHER_CONTAINER) {
            vehicle.wrong = Some("container_mismatch");
            let which = random.below(vehicle.containers.len());
            vehicle.containers[which] = reference::container(random);
        } else if random.chance(OTHER_WEIGHT) {
            vehicle.wrong = Some("weight_mismatch");
            let by = 20 * random.between(115.0, 325.0) as i64;
            vehicle.weight = Some(booking.declared + if random.chance(0.5) { by } else { -by });
        }
        vehicle
    }

    /// A vehicle goes through, perhaps with another one behind it that nobody let in. Returns when the exit is free.
    fn passes(&mut self, vehicle: &Vehicle, reached: f64, free: f64, reference: &Reference) -> f64 {
        let moves = f64::max(reached + self.random.between(4.0, 7.0), free);
        let left = moves + self.random.between(0.6, 1.6);
        let weighed = left + self.random.between(0.8, 2.0);
        let opened = weighed + self.random.between(7.5, 29.5);
        let exit = opened + self.random.between(2.5, 6.0);
        let out = exit + self.random.between(2.5, 5.0);

        self.plates(vehicle, reached);
        self.closes("l1", reached, left, Some(&vehicle.id));
        self.containers(vehicle, moves);
        self.weights(vehicle, weighed, exit);
        self.tags(vehicle, reached, exit);
        if let Some(badge) = vehicle.badge.clone().filter(|_| !self.random.chance(BADGE_LOST)) {
            let at = self.random.between(weighed + 1.5, opened - 0.5);
            let reader = format!("kiosk-{}", self.name);
            self.day.say(at, format!("badge.{reader}"), What::Badge { badge, reader }, Some(&vehicle.id));
        }
        self.barrier(opened, true, &vehicle.id);
        self.closes("l2", exit, out, Some(&vehicle.id));
        self.was(vehicle, exit);

        let out = if self.random.chance(TAILGATED) { self.tailgates(opened, out, reference) } else { out };
        let closed = out + self.random.between(1.5, 2.5);
        self.barrier(closed, false, &vehicle.id);
        out
    }

    /// A small vehicle slips through behind another one. Returns when it is out.
    fn tailgates(&mut self, opened: f64, leader_out: f64, reference: &Reference) -> f64 {
        let random = &mut self.random;
        let reached = opened + random.between(0.2, 2.0);
        let left = reached + random.between(1.05, 2.0);
        let exit = leader_out + random.between(0.8, 2.5);
        let out = exit + random.between(0.8, 1.8);
        let plate = unbooked(reference, random);
        let dirty = random.chance(self.preset.dirty);
        let vehicle = Vehicle {
            id: self.next_id(),
            plate,
            dirty,
            containers: Vec::new(),
            tag: None,
            badge: None,
            weight: None,
            booked: None,
            wrong: Some("tailgate"),
        };
        for (camera, seen) in [(0, 0.62), (1, 0.43)] {
            if self.random.chance(seen) {
                let at = reached + self.random.between(0.0, 2.0);
                self.plate(&vehicle, camera, self.name, at);
            }
        }
        self.closes("l1", reached, left, Some(&vehicle.id));
        self.closes("l2", exit, out, Some(&vehicle.id));
        self.was(&vehicle, exit);
        out
    }

    fn next_id(&mut self) -> String {
        *self.passages += 1;
        format!("P{:05}", *self.passages)
    }

    fn was(&mut self, vehicle: &Vehicle, exit: f64) {
        self.day.truth.push(Truth::Passage {
            id: vehicle.id.clone(),
            lane: self.name,
            t: rounded(exit, 3),
            plate: vehicle.plate.clone(),
            containers: vehicle.containers.clone(),
            weight: vehicle.weight,
            tag: vehicle.tag.clone(),
            anomalies: vehicle.wrong.into_iter().collect(),
            booked: vehicle.booked.clone(),
        });
        if let Some(kind) = vehicle.wrong {
            self.day.anomaly(kind, self.name, exit, Some(&vehicle.id));
        }
    }

    fn closes(&mut self, pos: &'static str, from: f64, until: f64, passage: Option<&str>) {
        let source = format!("loop.{}.{pos}", self.name);
        for (at, on) in [(from, true), (until, false)] {
            if self.faults.can_see(&source, at) {
                self.day.say(at, source.clone(), What::Loop { pos, on }, passage);
            }
        }
    }

    fn barrier(&mut self, at: f64, open: bool, passage: &str) {
        self.day.say(at, format!("barrier.{}", self.name), What::Barrier { open }, Some(passage));
    }

    /// The first camera looks at the stop line, the second one at the queue behind it.
    fn plates(&mut self, vehicle: &Vehicle, reached: f64) {
        for (camera, (from, until)) in [(0, (-0.3, 2.5)), (1, (0.5, 6.0))] {
            for _ in 0..=self.random.below(3) {
                let at = reached + self.random.between(from, until);
                if self.random.chance(self.preset.plate_seen[camera]) {
                    self.plate(vehicle, camera, self.name, at);
                }
            }
        }
        if self.random.chance(STRAY_PLATE) {
            let at = reached + self.random.between(0.0, 4.0);
            self.plate(vehicle, 1, self.neighbour, at);
        }
    }

    fn plate(&mut self, vehicle: &Vehicle, camera: usize, lane: &str, at: f64) {
        let source = format!("anpr-{}.{lane}", ["a", "b"][camera]);
        let error = self.preset.plate_error[camera];
        let (text, conf) = reading::read(&vehicle.plate, error, vehicle.dirty, &mut self.random);
        if self.faults.can_see(&source, at) {
            self.day.say(at, source, What::Plate { text, conf }, Some(&vehicle.id));
        }
    }

    /// The portal reads a code from up to three sides while the vehicle drives onto the scale.
    fn containers(&mut self, vehicle: &Vehicle, moves: f64) {
        let source = format!("ocr.{}", self.name);
        for code in &vehicle.containers {
            for side in ["left", "right", "top"] {
                let at = moves + self.random.between(-2.0, 1.5);
                let seen = self.random.chance(self.preset.code_seen);
                let (text, conf) = reading::read(code, self.preset.code_error, false, &mut self.random);
                if seen && self.faults.can_see(&source, at) {
                    self.day.say(at, source.clone(), What::Ocr { text, conf, side }, Some(&vehicle.id));
                }
            }
        }
    }

    fn weights(&mut self, vehicle: &Vehicle, from: f64, until: f64) {
        let Some(weight) = vehicle.weight else { return };
        let source = format!("weight.{}", self.name);
        for number in 0.. {
            let at = from + f64::from(number);
            if at >= until {
                return;
            }
            let stable = number >= UNSETTLED;
            let shown = weight as f64 + self.faults.drift_kg(&source, at);
            let shown = match stable {
                true => self.random.normal(shown, SCALE_NOISE_KG),
                false => shown * self.random.between(0.3, 1.05) + self.random.normal(0.0, 250.0),
            };
            let kg = ((shown / SCALE_STEP_KG).round() * SCALE_STEP_KG) as i64;
            self.day.say(at, source.clone(), What::Weight { kg, stable }, Some(&vehicle.id));
        }
    }

    fn tags(&mut self, vehicle: &Vehicle, reached: f64, exit: f64) {
        let Some(tag) = &vehicle.tag else { return };
        let mut tell = |lane: &str, strength: f64, random: &mut Random| {
            let at = random.between(reached + 2.0, exit - 3.0);
            let rssi = rounded(random.normal(strength, 4.0), 1);
            self.day.say(at, format!("rfid.{lane}"), What::Rfid { tag: tag.clone(), rssi }, Some(&vehicle.id));
        };
        for _ in 0..=self.random.below(4) {
            if self.random.chance(TAG_SEEN) {
                tell(self.name, -52.0, &mut self.random);
            }
        }
        if self.random.chance(STRAY_TAG) {
            tell(self.neighbour, -66.0, &mut self.random);
        }
    }
}

fn gap(at: f64) -> f64 {
    if at % PEAK_EVERY_S < PEAK_EVERY_S / 3.0 { PEAK_GAP_S } else { QUIET_GAP_S }
}

fn unbooked(reference: &Reference, random: &mut Random) -> String {
    loop {
        let plate = reference::plate(random);
        if !reference.has_plate(&plate) {
            return plate;
        }
    }
}
