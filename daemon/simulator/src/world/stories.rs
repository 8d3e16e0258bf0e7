//! The stories, each in its own lane, berth or shed, as they happen within one round.

use super::{
    Camera, Contact, Happening, Lane, Look, Phase, ROUND, Seen, Shed,
    lane::{self, Passed, Vehicle},
    random::Random,
    truth::{Truth, desk, police},
};
use std::time::Duration;

/// Ordinary vehicles in a lane, arriving at about these times. Those with a booking are as heavy as it says.
pub(super) fn ordinary(lane: Lane, arrivals: &[u64], random: &mut Random, look: &mut Look) {
    for (index, arrival) in arrivals.iter().enumerate() {
        let at = jittered(*arrival, 1.5, random);
        // A car first: whoever starts the demo wants to see something.
        let vehicle = if index == 0 && lane == Lane::One { Vehicle::car(random) } else { Vehicle::draw(random) };
        if !random.chance(0.05) {
            let off = random.between(-300.0, 300.0) as i64;
            look.book(&vehicle, vehicle.gross_kg.saturating_add_signed(off as i32), lane, random);
        }
        let passed = lane::passage(lane, at, &vehicle, random, look);
        look.truths.push(passage_of("an ordinary passage", lane, passed));
    }
}

/// A second truck follows the first on its grant.
pub(super) fn tailgater(lane: Lane, arrival: u64, random: &mut Random, look: &mut Look) {
    let at = jittered(arrival, 0.8, random);
    let (first, second) = (Vehicle::truck(random), Vehicle::truck(random));
    look.book(&first, first.gross_kg, lane, random);
    let (one, two) = lane::tailgating(lane, at, (&first, &second), random, look);
    look.truths.push(passage_of("an ordinary passage", lane, one));
    look.truths.push(Truth {
        what: "a second truck on one grant",
        zone: lane.zone(),
        begins: two.crossed,
        complete: two.crossed,
        by: two.crossed + seconds(8),
        over: two.left + seconds(10),
        must: vec![police("gate.tailgating"), desk("gate.tailgating")],
        may: Vec::new(),
    });
    look.truths.push(passage_of("a passage without a grant", lane, two));
}

/// A truck weighs several tonnes more or less than its booking says.
pub(super) fn wrong_weight(lane: Lane, arrival: u64, random: &mut Random, look: &mut Look) {
    let at = jittered(arrival, 0.8, random);
    let mut truck = Vehicle::truck(random);
    // Of a truck whose plate is in doubt nobody can say which booking it does not match.
    truck.plate.clean = true;
    truck.gross_kg = (random.between(13_000.0, 17_000.0) / 20.0) as u32 * 20;
    let off = random.between(4_000.0, 6_000.0) as i32;
    let declared = truck.gross_kg.saturating_add_signed(if random.chance(0.5) { off } else { -off });
    look.book(&truck, declared, lane, random);
    let passed = lane::passage(lane, at, &truck, random, look);
    look.truths.push(passage_of("a passage on the scale", lane, passed));
    look.truths.push(Truth {
        what: "a weight that does not match its booking",
        zone: lane.zone(),
        begins: passed.arrived,
        complete: passed.left,
        by: passed.left + seconds(10),
        over: passed.left + seconds(10),
        must: vec![police("gate.weight-mismatch"), desk("gate.weight-mismatch")],
        may: Vec::new(),
    });
}

/// Somebody climbs the fence of the closed quay, crosses it and leaves.
pub(super) fn person_on_the_quay(at: u64, random: &mut Random, look: &mut Look) {
    let begins = jittered(at, 1.0, random);
    look.fence(begins, begins + millis(1800), random.between(2.5, 4.0));
    // It walks from the fence into the detector's beams, stops, and walks on.
    let mut step = begins + millis(2600);
    for walks in [2600, 3100, 2300] {
        look.add(step, Happening::Pir(true));
        look.add(step + millis(walks), Happening::Pir(false));
        step += millis(walks) + seconds_f(random.between(1.2, 2.0));
    }
    let in_view = begins + millis(3300);
    look.person(Camera::Quay, in_view, in_view + seconds(13), random);
    let leaves = in_view + seconds(14);
    look.fence(leaves, leaves + millis(1500), random.between(2.0, 3.0));
    look.truths.push(Truth {
        what: "a person on the quay at night",
        zone: "quay-1",
        begins,
        complete: in_view,
        by: in_view + seconds(10),
        over: leaves + seconds(4),
        must: vec![police("quay.presence")],
        may: Vec::new(),
    });
}

/// What wind, gulls and a ship's dog make of a quay where nobody is: one thing at a time, and each alone.
pub(super) fn empty_quay(from: u64, random: &mut Random, look: &mut Look) {
    let mut at = jittered(from, 3.0, random);
    let until = ROUND - seconds(2);
    while at < until {
        match random.below(3) {
            0 => {
                look.add(at, Happening::Pir(true));
                look.add(at + millis(700), Happening::Pir(false));
            }
            1 => look.fence(at, at + millis(900), random.between(1.4, 2.2)),
            _ => {
                let object = random.next();
                for (after, phase) in [(0, Phase::New), (900, Phase::Update), (1800, Phase::End)] {
                    let score = random.between(0.6, 0.8);
                    let seen =
                        Seen { camera: Camera::Quay, object, begins: at, label: "dog", score, phase, plate: None };
                    look.add(at + millis(after), Happening::Seen(seen));
                }
            }
        }
        at += seconds_f(random.between(11.0, 19.0));
    }
}

/// A squall leans on the ship, and one line takes most of it.
pub(super) fn mooring_line(at: u64, random: &mut Random, look: &mut Look) {
    let begins = jittered(at, 1.0, random);
    let (rise, hold, fall) = (seconds(12), seconds(10), seconds(9));
    let peak_kn = random.between(165.0, 190.0);
    look.squalls.push(super::Squall { begins, rise, hold, fall, peak_kn });
    // Half of its breaking load, which is where lines are given up, whatever its pretension.
    let near = begins + rise.mul_f64(0.85);
    look.truths.push(Truth {
        what: "a mooring line near its limit",
        zone: "berth-1",
        begins,
        complete: near,
        by: near + seconds(10),
        over: begins + rise + hold + fall,
        must: vec![police("mooring.overload")],
        may: Vec::new(),
    });
}

/// The shed's camera stops looking; a while later the door opens.
pub(super) fn blinded_shed(shed: Shed, at: u64, random: &mut Random, look: &mut Look) {
    let blind = jittered(at, 1.0, random);
    let enters = blind + seconds_f(random.between(8.0, 12.0));
    look.add(blind, Happening::CameraState { camera: Camera::Shed(shed), online: false });
    look.door(shed, enters, enters + millis(2500));
    look.door(shed, enters + seconds(14), enters + seconds(16));
    look.add(enters + seconds(22), Happening::CameraState { camera: Camera::Shed(shed), online: true });
    look.truths.push(Truth {
        what: "a camera went blind, then somebody came in",
        zone: shed.zone(),
        begins: blind,
        complete: enters,
        by: enters + seconds(8),
        over: enters + seconds(20),
        must: vec![police("sensor.blinded-before-access")],
        may: vec![police("sensor.silent")],
    });
}

/// A shed at work: a forklift in view of its camera, a door that opens. Nothing to say.
pub(super) fn working_shed(shed: Shed, at: u64, random: &mut Random, look: &mut Look) {
    let begins = jittered(at, 2.0, random);
    let (camera, object) = (Camera::Shed(shed), random.next());
    for (after, phase) in [(0, Phase::New), (1000, Phase::Update), (2500, Phase::End)] {
        let score = random.between(0.7, 0.9);
        let seen = Seen { camera, object, begins, label: "forklift", score, phase, plate: None };
        look.add(begins + millis(after), Happening::Seen(seen));
    }
    look.door(shed, begins + seconds(6), begins + seconds(9));
}

/// Somebody opens a gate cabinet with a node in it.
pub(super) fn tampering(at: u64, random: &mut Random, look: &mut Look) {
    let opens = jittered(at, 0.8, random);
    look.add(opens, Happening::Cabinet { open: true });
    look.add(opens + seconds(6), Happening::Cabinet { open: false });
    look.truths.push(Truth {
        what: "a node tampered with",
        zone: "cabinet-1",
        begins: opens,
        complete: opens,
        by: opens + seconds(8),
        over: opens + seconds(12),
        must: vec![police("node.tamper")],
        may: vec![police("sensor.silent")],
    });
}

fn passage_of(what: &'static str, lane: Lane, passed: Passed) -> Truth {
    Truth {
        what,
        zone: lane.zone(),
        begins: passed.crossed,
        complete: passed.crossed,
        by: passed.left + seconds(10),
        over: passed.left + seconds(10),
        must: vec![desk("gate.passage")],
        may: Vec::new(),
    }
}

impl Look {
    fn fence(&mut self, from: Duration, until: Duration, amplitude: f64) {
        self.add(from, Happening::Fence { amplitude });
        self.add(until, Happening::Fence { amplitude: 0.0 });
    }

    fn door(&mut self, shed: Shed, opens: Duration, closes: Duration) {
        self.add(opens, Happening::Door(shed, true));
        self.add(closes, Happening::Door(shed, false));
    }

    /// A person in view: said at once, then every second, surer as more of it is seen.
    fn person(&mut self, camera: Camera, begins: Duration, ends: Duration, random: &mut Random) {
        let object = random.next();
        let mut at = begins;
        let mut score = random.between(0.66, 0.74);
        let mut phase = Phase::New;
        while at < ends {
            self.add(at, Happening::Seen(Seen { camera, object, begins, label: "person", score, phase, plate: None }));
            phase = Phase::Update;
            score = (score + random.between(-0.01, 0.05)).min(0.93);
            at += seconds(1);
        }
        let phase = Phase::End;
        self.add(ends, Happening::Seen(Seen { camera, object, begins, label: "person", score, phase, plate: None }));
    }

    fn book(&mut self, vehicle: &Vehicle, declared_gross_kg: u32, lane: Lane, random: &mut Random) {
        let containers = if vehicle.length_m > 15.0 { vec![super::identity::container(random)] } else { Vec::new() };
        self.bookings.push(super::Booking {
            plate: vehicle.plate.written.clone(),
            containers,
            declared_gross_kg,
            zone: lane.zone(),
        });
    }
}

impl Contact {
    /// Whether a lane has one of these.
    pub const ALL: [Self; 3] = [Self::Approach, Self::Exit, Self::Arm];
}

fn jittered(at: u64, by: f64, random: &mut Random) -> Duration {
    seconds(at) + seconds_f(random.between(0.0, by))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seconds_f(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
