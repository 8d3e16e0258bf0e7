//! Vehicles through a gate lane, at the speed real ones have.
//!
//! ```text
//!        deck of the scale (lane 3)      arm
//!   ─────[========================]──A──┬──B───────────►   metres from the arm
//!                                  -4 -2 0 3 5
//! ```
//!
//! A vehicle stops with its front over loop A, is read and weighed, gets its grant, waits for the arm, drives on over loop B
//! and is read from behind as its rear leaves. The arm closes when loop B has been free for a while.

use super::{
    Contact, Happening, Lane, Look,
    identity::{Plate, PlateRead},
    random::Random,
};
use std::time::Duration;

/// A vehicle and what it carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vehicle {
    pub(crate) plate: Plate,
    pub(crate) label: &'static str,
    pub(crate) length_m: f64,
    /// What it weighs with its load.
    pub(crate) gross_kg: u32,
}

/// What became of a vehicle, for the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Passed {
    /// Its front came over loop A.
    pub(crate) arrived: Duration,
    /// Its front came over loop B.
    pub(crate) crossed: Duration,
    /// Its rear left loop B.
    pub(crate) left: Duration,
}

/// Lengths and masses, empty and full, of what comes through a terminal's gate.
const KINDS: [(&str, f64, f64, f64); 4] = [
    ("car", 4.6, 1_300.0, 1_900.0),
    ("truck", 6.2, 2_900.0, 3_500.0),
    ("truck", 9.5, 8_000.0, 18_000.0),
    ("truck", 16.5, 14_500.0, 39_500.0),
];

impl Vehicle {
    /// Anything that passes.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let kind = random.below(KINDS.len());
        Self::of_kind(kind, random)
    }

    /// A car: over the loops in a few seconds.
    pub(crate) fn car(random: &mut Random) -> Self {
        Self::of_kind(0, random)
    }

    /// A rigid truck.
    pub(crate) fn truck(random: &mut Random) -> Self {
        Self::of_kind(2, random)
    }

    fn of_kind(kind: usize, random: &mut Random) -> Self {
        let (label, length_m, empty, full) = KINDS[kind];
        let plate = Plate::draw(random);
        // Weighbridge divisions of 20 kg.
        let gross_kg = (random.between(empty, full) / 20.0).round() as u32 * 20;
        Self { plate, label, length_m, gross_kg }
    }
}

/// One vehicle, alone, on its own grant.
pub(crate) fn passage(lane: Lane, at: Duration, vehicle: &Vehicle, random: &mut Random, look: &mut Look) -> Passed {
    let away = stop_and_go(lane, at, vehicle, random, look);
    let passed = drive(lane, at, away, START_M, vehicle, random, look);
    close(lane, passed.left, look);
    passed
}

/// A vehicle on its grant, and one close behind it on none.
pub(crate) fn tailgating(
    lane: Lane,
    at: Duration,
    (first, second): (&Vehicle, &Vehicle),
    random: &mut Random,
    look: &mut Look,
) -> (Passed, Passed) {
    let away = stop_and_go(lane, at, first, random, look);
    let one = drive(lane, at, away, START_M, first, random, look);
    // It waits two metres behind the first and drives off a good second after it.
    let starts = START_M - first.length_m - 2.0;
    let away = away + seconds(random.between(1.0, 1.4));
    let reaches_a = away + after(A.0 - starts);
    contact(lane, Contact::Approach, reaches_a, true, random, look);
    front_read(lane, reaches_a, reaches_a + seconds(0.4), second, random, look);
    let two = drive(lane, reaches_a, away, starts, second, random, look);
    close(lane, two.left, look);
    (one, two)
}

/// Where the loops are: metres from the arm, in driving direction.
const A: (f64, f64) = (-4.0, -2.0);
const B: (f64, f64) = (3.0, 5.0);
/// Where a front stops.
const START_M: f64 = -3.0;
/// A loaded truck gathers speed at this rate, in m/s², up to [`CRUISE`] m/s: walking pace at a barrier.
const GATHER: f64 = 0.8;
const CRUISE: f64 = 3.0;
/// The controller closes the arm when loop B has been free for so long: more than a gap between two axles groups takes.
const ARM_WAITS: Duration = Duration::from_millis(2000);
/// Arms of this length take a second and a half to go up or down.
const ARM_MOVES: Duration = Duration::from_millis(1500);

/// Comes in, is read, weighed and granted; gives back when it drives on.
fn stop_and_go(lane: Lane, at: Duration, vehicle: &Vehicle, random: &mut Random, look: &mut Look) -> Duration {
    contact(lane, Contact::Approach, at, true, random, look);
    front_read(lane, at, at + seconds(random.between(0.9, 1.5)), vehicle, random, look);
    if lane == Lane::Three {
        weigh(at + seconds(0.6), vehicle.gross_kg, random, look);
    }
    let granted = at + seconds(random.between(3.0, 3.8));
    look.add(granted, Happening::Granted(lane));
    contact(lane, Contact::Arm, granted + Duration::from_millis(300), true, random, look);
    granted + Duration::from_millis(300) + ARM_MOVES
}

/// Drives from where its front stood; it is over loop A already.
fn drive(
    lane: Lane,
    arrived: Duration,
    away: Duration,
    from_m: f64,
    vehicle: &Vehicle,
    random: &mut Random,
    look: &mut Look,
) -> Passed {
    let when = |front_m: f64| away + after(front_m - from_m);
    contact(lane, Contact::Approach, when(A.1 + vehicle.length_m), false, random, look);
    let crossed = contact(lane, Contact::Exit, when(B.0), true, random, look);
    let left = contact(lane, Contact::Exit, when(B.1 + vehicle.length_m), false, random, look);
    if lane == Lane::Three {
        // Off the deck, which ends before the arm.
        look.add(when(vehicle.length_m * 0.2), Happening::Weight { kg: vehicle.gross_kg / 3, settled: false });
        look.add(when(vehicle.length_m + 1.0), Happening::Weight { kg: 0, settled: true });
    }
    // The reader needs a moment and so does its webhook.
    let seen = when(B.0 + 1.0 + vehicle.length_m);
    let read = vehicle.plate.read(random);
    look.add(seen + seconds(random.between(0.1, 0.4)), Happening::RearPlate { lane, seen, read });
    Passed { arrived, crossed, left }
}

fn close(lane: Lane, left: Duration, look: &mut Look) {
    look.add(left + ARM_WAITS + ARM_MOVES, Happening::Contact(Contact::Arm, lane, false));
}

/// The front camera: an object in view, its plate once it is near enough, gone again.
fn front_read(lane: Lane, at: Duration, read_at: Duration, vehicle: &Vehicle, random: &mut Random, look: &mut Look) {
    let (camera, label, object) = (super::Camera::Front(lane), vehicle.label, random.next());
    let begins = at.saturating_sub(Duration::from_millis(700));
    let mut see = |at, phase, plate: Option<PlateRead>, random: &mut Random| {
        let score = random.between(0.72, 0.93);
        look.add(at, Happening::Seen(super::Seen { camera, object, begins, label, score, phase, plate }));
    };
    see(begins, super::Phase::New, None, random);
    let read = vehicle.plate.read(random);
    // Newer Frigate servers finish some reads after the event has been told.
    if lane == Lane::Two {
        see(read_at, super::Phase::Update, None, random);
        see(read_at + Duration::from_millis(700), super::Phase::End, None, random);
        let late = super::LatePlate { camera, object, begins, seen: read_at, read };
        look.add(read_at + Duration::from_millis(300), Happening::LatePlate(late));
    } else {
        see(read_at, super::Phase::Update, Some(read.clone()), random);
        see(read_at + Duration::from_millis(1500), super::Phase::End, Some(read), random);
    }
}

/// The indicator: values that swing as the vehicle rolls on and brakes, then a settled one, off by a division at most.
fn weigh(at: Duration, gross_kg: u32, random: &mut Random, look: &mut Look) {
    for step in 1..=6u32 {
        let share = f64::from(step) / 6.0;
        let kg = (f64::from(gross_kg) * share * random.between(0.9, 1.1) / 20.0) as u32 * 20;
        look.add(at + Duration::from_millis(150) * step, Happening::Weight { kg, settled: false });
    }
    let off = [0, 20, 20, 40][random.below(4)];
    look.add(
        at + Duration::from_millis(1300),
        Happening::Weight { kg: (gross_kg + off).saturating_sub(20), settled: true },
    );
}

/// A loop or limit switch: its controller needs some tens of milliseconds, not always the same.
fn contact(lane: Lane, contact: Contact, at: Duration, on: bool, random: &mut Random, look: &mut Look) -> Duration {
    let at = at + seconds(random.between(0.01, 0.06));
    look.add(at, Happening::Contact(contact, lane, on));
    at
}

/// How long a vehicle that stood takes for a distance.
fn after(metres: f64) -> Duration {
    let gathered = CRUISE * CRUISE / (2.0 * GATHER);
    seconds(if metres <= gathered {
        (2.0 * metres / GATHER).sqrt()
    } else {
        CRUISE / GATHER + (metres - gathered) / CRUISE
    })
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(look: &Look, wanted: Contact) -> Vec<(Duration, bool)> {
        let mut edges: Vec<_> = look
            .happenings
            .iter()
            .filter_map(|(at, what)| match what {
                Happening::Contact(contact, _, on) if *contact == wanted => Some((*at, *on)),
                _ => None,
            })
            .collect();
        edges.sort_by_key(|(at, _)| *at);
        edges
    }

    #[test]
    fn a_vehicle_is_over_both_loops_for_as_long_as_it_is_long_and_the_arm_follows() {
        for number in 0..200 {
            let mut random = Random::of(5, "lane", number);
            let (vehicle, mut look) = (Vehicle::draw(&mut random), Look::default());
            let passed = passage(Lane::One, Duration::from_secs(10), &vehicle, &mut random, &mut look);
            let (a, b, arm) =
                (edges(&look, Contact::Approach), edges(&look, Contact::Exit), edges(&look, Contact::Arm));
            for edges in [&a, &b, &arm] {
                assert_eq!(edges.iter().map(|(_, on)| *on).collect::<Vec<_>>(), [true, false]);
            }
            assert!(arm[0].0 < b[0].0 && b[1].0 < arm[1].0, "the arm is open while it crosses");
            assert_eq!((b[0].0, b[1].0), (passed.crossed, passed.left));
            let over = (passed.left - passed.crossed).as_secs_f64();
            assert!(over * CRUISE > vehicle.length_m, "{over} s for {} m", vehicle.length_m);
            assert!(passed.left < Duration::from_secs(10 + 20));
        }
    }

    #[test]
    fn a_tailgater_leaves_a_gap_that_every_poll_sees_and_no_arm_can_use() {
        for number in 0..200 {
            let mut random = Random::of(5, "tailgater", number);
            let (one, two) = (Vehicle::truck(&mut random), Vehicle::draw(&mut random));
            let mut look = Look::default();
            let (first, second) = tailgating(Lane::Two, Duration::ZERO, (&one, &two), &mut random, &mut look);
            let gap = second.crossed.saturating_sub(first.left);
            assert!(gap > Duration::from_millis(600) && gap < ARM_WAITS, "{gap:?}");
            let approach = edges(&look, Contact::Approach);
            assert_eq!(approach.iter().map(|(_, on)| *on).collect::<Vec<_>>(), [true, false, true, false]);
            assert!(approach[2].0 - approach[1].0 > Duration::from_millis(150), "{approach:?}");
            assert_eq!(edges(&look, Contact::Arm).len(), 2);
            let grants = look.happenings.iter().filter(|(_, what)| matches!(what, Happening::Granted(_))).count();
            assert_eq!(grants, 1);
            let first_rear =
                look.happenings.iter().find(|(_, what)| matches!(what, Happening::RearPlate { .. })).unwrap().0;
            assert!(first_rear < second.crossed, "the first is read before the second crosses");
        }
    }
}
