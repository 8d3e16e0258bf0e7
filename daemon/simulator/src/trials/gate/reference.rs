//! What a site knows beforehand: bookings, staff and where its readers are.

use super::{LANES, Preset};
use crate::world::{identity::check_digit, random::Random};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// On foot, in m/s.
const WALK_MPS: f64 = 2.0;
/// In a vehicle on the terminal, in m/s: nobody is faster.
const DRIVE_MPS: f64 = 9.0;
const STAFF: usize = 200;
/// One booking per so many seconds, and a few; more than will come.
const SECONDS_PER_BOOKING: f64 = 24.0;
const MORE_BOOKINGS: usize = 20;
/// `A` is a letter, `9` a digit.
const PLATES: [(f64, &str); 3] = [(0.52, "AA99AAA"), (0.30, "9AAA999"), (0.18, "AA9999A")];
const OWNERS: [&str; 10] = ["MSCU", "MAEU", "CMAU", "HLXU", "OOLU", "EITU", "TCLU", "TGHU", "CSQU", "SUDU"];

#[derive(Debug, Clone, Serialize)]
pub(super) struct Reference {
    lanes: [&'static str; 4],
    pub bookings: Vec<Booking>,
    readers: BTreeMap<&'static str, Reader>,
    roles: BTreeMap<&'static str, &'static [&'static str]>,
    pub staff: BTreeMap<String, Person>,
    walk_mps: f64,
    drive_mps: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Booking {
    pub plate: String,
    pub containers: Vec<String>,
    pub tag: Option<String>,
    /// The driver's.
    pub badge: String,
    /// Gross, in kg.
    pub declared: i64,
    /// Of the vehicle, in kg.
    tare: i64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Reader {
    x: i32,
    y: i32,
    zone: &'static str,
    dir: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Person {
    pub role: &'static str,
    /// From and until, in seconds.
    pub shift: [f64; 2],
}

/// Readers other than those at the turnstile are named like the zone they lead to.
const READERS: [(&str, Reader); 6] = [
    ("pin", Reader { x: 0, y: 0, zone: "site", dir: "in" }),
    ("pout", Reader { x: 8, y: 0, zone: "site", dir: "out" }),
    ("quay", Reader { x: 900, y: 300, zone: "quay", dir: "in" }),
    ("yard", Reader { x: 500, y: -200, zone: "yard", dir: "in" }),
    ("office", Reader { x: 60, y: 90, zone: "office", dir: "in" }),
    ("plant", Reader { x: 1300, y: 250, zone: "plant", dir: "in" }),
];
const ROLES: [(&str, &[&str]); 3] = [
    ("docker", &["site", "quay", "yard"]),
    ("clerk", &["site", "office"]),
    ("tech", &["site", "quay", "yard", "plant"]),
];

impl Reference {
    pub fn draw(preset: &Preset, seed: u64) -> Self {
        let mut random = Random::of(seed, "trial bookings", 0);
        let count = (preset.duration_s / SECONDS_PER_BOOKING) as usize + MORE_BOOKINGS;
        let mut plates = BTreeSet::new();
        let mut bookings = Vec::with_capacity(count);
        while bookings.len() < count {
            let plate = plate(&mut random);
            if plates.insert(plate.clone()) {
                bookings.push(Booking::draw(plate, bookings.len(), &mut random));
            }
        }
        let mut random = Random::of(seed, "trial staff", 0);
        let person = |number| (format!("S{number:04}"), Person::draw(preset, &mut random));
        Self {
            lanes: LANES,
            bookings,
            readers: BTreeMap::from(READERS),
            roles: BTreeMap::from(ROLES),
            staff: (0..STAFF).map(person).collect(),
            walk_mps: WALK_MPS,
            drive_mps: DRIVE_MPS,
        }
    }

    pub fn has_plate(&self, plate: &str) -> bool {
        self.bookings.iter().any(|booking| booking.plate == plate)
    }
}

impl Booking {
    fn draw(plate: String, number: usize, random: &mut Random) -> Self {
        let containers = match random.between(0.0, 1.0) {
            share if share < 0.18 => 0,
            share if share < 0.82 => 1,
            _ => 2,
        };
        let tare = 20 * random.between(675.0, 850.0) as i64;
        let tens = |random: &mut Random, low, high| 10 * random.between(low, high) as i64;
        let load = match containers {
            0 => 0,
            1 => tens(random, 400.0, 2600.0),
            _ => tens(random, 400.0, 1400.0) + tens(random, 400.0, 1400.0),
        };
        Self {
            plate,
            containers: (0..containers).map(|_| container(random)).collect(),
            tag: random.chance(0.86).then(|| format!("E280{:012X}", random.next() >> 16)),
            badge: format!("D{number:05}"),
            declared: tare + load,
            tare,
        }
    }
}

impl Person {
    fn draw(preset: &Preset, random: &mut Random) -> Self {
        let (role, _) = *random.pick(&ROLES);
        let begins = if random.chance(0.5) { 0.0 } else { preset.shift_s() };
        Self { role, shift: [begins, begins + preset.shift_s()] }
    }

    /// Readers inside the site whose zones the role may enter.
    pub fn allowed(&self) -> &'static [&'static str] {
        ROLES.iter().find(|(role, _)| *role == self.role).map_or(&[], |(_, zones)| &zones[1..])
    }

    /// The others.
    pub fn forbidden(&self) -> Vec<&'static str> {
        let inside = READERS.iter().map(|(name, _)| *name).filter(|name| !["pin", "pout"].contains(name));
        inside.filter(|name| !self.allowed().contains(name)).collect()
    }
}

pub(super) fn plate(random: &mut Random) -> String {
    let mut share = random.between(0.0, 1.0);
    let format = PLATES.iter().find(|(of, _)| {
        share -= of;
        share < 0.0
    });
    let (_, format) = format.unwrap_or(&PLATES[0]);
    format.chars().map(|sign| if sign == 'A' { random.letter() } else { random.digit() }).collect()
}

/// A container code by ISO 6346. The numbers are drawn; that one of them is a real container's cannot be ruled out.
pub(super) fn container(random: &mut Random) -> String {
    let mut code = (*random.pick(&OWNERS)).to_owned();
    code.extend((0..6).map(|_| random.digit()));
    let digit = check_digit(&code);
    format!("{code}{digit}")
}
