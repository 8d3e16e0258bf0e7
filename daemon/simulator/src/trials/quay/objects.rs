//! Persons, vehicles and boats: each goes to one point after the other.

use super::{AREA, Preset};
use crate::world::random::Random;
use std::f64::consts::{PI, TAU};

/// Steps in a second.
const STEPS: u32 = 20;
const STEP_S: f64 = 1.0 / STEPS as f64;
/// Share of things that are there from the beginning; others come within the first six tenths of the time.
const THERE: f64 = 0.54;
const COMES_UNTIL: f64 = 0.6;
/// How long a thing exists, as shares of the time.
const EXISTS: (f64, f64) = (0.35, 1.0);
/// Whoever arrives with wheels or on foot stops with this probability, for so long.
const STOPS: f64 = 0.38;
const STOPS_FOR_S: (f64, f64) = (2.0, 9.0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Person,
    Vehicle,
    Boat,
}

/// How a class moves: m/s, m/s², rad/s.
struct Manner {
    speed: f64,
    accelerates: f64,
    brakes: f64,
    turns: f64,
    /// The heading seen at a moment is off the way by so much, in radians: gait, bumps, waves.
    sways: f64,
    /// Where its points are: x from, x to, y from, y to.
    region: [f64; 4],
    stops: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub id: usize,
    pub class: Class,
    /// When it came into being.
    from: f64,
    /// x, y, vx, vy at each step since.
    way: Vec<[f64; 4]>,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Person, Self::Vehicle, Self::Boat];

    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Vehicle => "vehicle",
            Self::Boat => "boat",
        }
    }

    fn manner(self) -> Manner {
        const QUAY: [f64; 4] = [20.0, 380.0, -55.0, -5.0];
        const WATER: [f64; 4] = [20.0, 380.0, 10.0, 190.0];
        let (speed, accelerates, brakes, turns, sways) = match self {
            Self::Person => (1.44, 1.0, 2.0, 1.25, 0.0165),
            Self::Vehicle => (5.4, 1.0, 2.0, 0.5, 0.018),
            Self::Boat => (4.5, 1.0, 1.5, 0.25, 0.018),
        };
        let region = if self == Self::Boat { WATER } else { QUAY };
        Manner { speed, accelerates, brakes, turns, sways, region, stops: self != Self::Boat }
    }
}

impl Object {
    /// x, y, vx, vy if it is there.
    pub fn at(&self, at: f64) -> Option<[f64; 4]> {
        let steps = (at - self.from) / STEP_S;
        if steps < 0.0 {
            return None;
        }
        self.way.get(steps.round() as usize).copied()
    }
}

pub(super) fn run(preset: &Preset, seed: u64) -> Vec<Object> {
    let count = |class| match class {
        Class::Person => preset.persons,
        Class::Vehicle => preset.vehicles,
        Class::Boat => preset.boats,
    };
    let classes = Class::ALL.into_iter().flat_map(|class| std::iter::repeat_n(class, count(class)));
    let object = |(number, class)| draw(preset, number, class, Random::of(seed, "trial object", number as u64));
    (1..).zip(classes).map(object).collect()
}

fn draw(preset: &Preset, id: usize, class: Class, mut random: Random) -> Object {
    let duration = f64::from(preset.duration_s);
    let from = if random.chance(THERE) { 0.0 } else { random.between(0.0, COMES_UNTIL * duration).floor() };
    let until = (from + duration * random.between(EXISTS.0, EXISTS.1)).min(duration);
    let manner = class.manner();
    let mut mover = Mover::draw(&manner, &mut random);
    let steps = ((until - from) / STEP_S) as usize;
    let way = (0..steps)
        .map(|_| {
            let state = mover.state(&manner, &mut random);
            mover.step(&manner, &mut random);
            state
        })
        .collect();
    Object { id, class, from, way }
}

struct Mover {
    x: f64,
    y: f64,
    heading: f64,
    speed: f64,
    goal: [f64; 2],
    /// Seconds left to stand still.
    stands: f64,
}

impl Mover {
    fn draw(manner: &Manner, random: &mut Random) -> Self {
        let [x, y] = point(manner, random);
        let heading = random.between(-PI, PI);
        let speed = manner.speed * random.between(0.5, 1.1);
        Self { x, y, heading, speed, goal: point(manner, random), stands: 0.0 }
    }

    fn state(&self, manner: &Manner, random: &mut Random) -> [f64; 4] {
        let heading = random.normal(self.heading, manner.sways);
        [self.x, self.y, self.speed * libm::cos(heading), self.speed * libm::sin(heading)]
    }

    fn step(&mut self, manner: &Manner, random: &mut Random) {
        let (to_x, to_y) = (self.goal[0] - self.x, self.goal[1] - self.y);
        // A thing that turns in a wide circle would else never get to a point inside it.
        let near = f64::max(2.0, manner.speed / manner.turns * 0.6);
        if libm::hypot(to_x, to_y) < near {
            self.goal = point(manner, random);
            if manner.stops && random.chance(STOPS) {
                self.stands = random.between(STOPS_FOR_S.0, STOPS_FOR_S.1);
            }
            return;
        }
        let wanted = if self.stands > 0.0 {
            self.stands -= STEP_S;
            0.0
        } else {
            let off = (libm::atan2(to_y, to_x) - self.heading + 3.0 * PI) % TAU - PI;
            self.heading += off.clamp(-manner.turns * STEP_S, manner.turns * STEP_S);
            if off.abs() > 0.5 { manner.speed / 2.0 } else { manner.speed }
        };
        let change = (wanted - self.speed).clamp(-manner.brakes * STEP_S, manner.accelerates * STEP_S);
        self.speed = (self.speed + change).max(0.0);
        self.x = (self.x + self.speed * libm::cos(self.heading) * STEP_S).clamp(AREA[0], AREA[1]);
        self.y = (self.y + self.speed * libm::sin(self.heading) * STEP_S).clamp(AREA[2], AREA[3]);
    }
}

fn point(manner: &Manner, random: &mut Random) -> [f64; 2] {
    let [left, right, low, high] = manner.region;
    [random.between(left, right), random.between(low, high)]
}
