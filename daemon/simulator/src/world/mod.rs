//! A small port, its people and its weather, as a function of a seed and of time.
//!
//! The world knows what happens and what of it has to be said ([`Truth`]); it knows no gateway. It goes on in rounds of
//! [`ROUND`]: within the first minute of each all seven stories have been told, the rest is ordinary traffic. Nothing in it
//! is sped up: a truck needs as long over the loops as trucks do.

pub(crate) mod identity;
mod lane;
pub(crate) mod random;
mod stories;
mod truth;
mod weather;

pub use identity::{Plate, PlateRead};
pub use truth::{GATE_DESK, PORT_POLICE, Statement, Truth};

use random::Random;
use std::time::Duration;

/// How long a round takes.
pub const ROUND: Duration = Duration::from_secs(90);

/// A port, from a seed.
#[derive(Debug, Clone, Copy)]
pub struct World {
    seed: u64,
}

/// Everything in one round, in world time.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// What happens, in order of time.
    pub happenings: Vec<(Duration, Happening)>,
    /// What of it has to be said.
    pub truths: Vec<Truth>,
    /// What the terminal's booking system knows beforehand.
    pub bookings: Vec<Booking>,
    /// What the wind does to the ship.
    pub squalls: Vec<Squall>,
}

/// Something happens at a place where a device sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A loop is covered or free, an arm leaves or reaches its closed position.
    Contact(Contact, Lane, bool),
    /// The lane's controller lets one vehicle pass.
    Granted(Lane),
    /// The scale of lane 3 shows something else.
    Weight {
        /// As displayed.
        kg: u32,
        /// Whether it stands still.
        settled: bool,
    },
    /// A shed's door opens or closes.
    Door(Shed, bool),
    /// A camera sees something, still sees it, or sees it no more.
    Seen(Seen),
    /// A camera's server has read a plate of something it told of before.
    LatePlate(LatePlate),
    /// A rear camera's reader has read a plate.
    RearPlate {
        /// Where.
        lane: Lane,
        /// When the picture was taken.
        seen: Duration,
        /// What it read.
        read: PlateRead,
    },
    /// A camera gives pictures again, or none any more.
    CameraState {
        /// Which camera.
        camera: Camera,
        /// Whether it gives pictures.
        online: bool,
    },
    /// Something warm moves on the quay, or stopped moving.
    Pir(bool),
    /// Somebody shakes the quay's fence, or let go of it.
    Fence {
        /// Peak acceleration in m/s².
        amplitude: f64,
    },
    /// The gate cabinet is opened or closed.
    Cabinet {
        /// Whether it is open.
        open: bool,
    },
}

/// What a camera sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Which camera.
    pub camera: Camera,
    /// Which object: the same number for as long as it is in view.
    pub object: u64,
    /// Since when it is in view.
    pub begins: Duration,
    /// What the detector calls it.
    pub label: &'static str,
    /// How sure the detector is.
    pub score: f64,
    /// Where in the object's life.
    pub phase: Phase,
    /// What it reads on it.
    pub plate: Option<PlateRead>,
}

/// A plate that was read after its object had been told of.
#[derive(Debug, Clone, PartialEq)]
pub struct LatePlate {
    /// Which camera.
    pub camera: Camera,
    /// As [`Seen::object`].
    pub object: u64,
    /// As [`Seen::begins`].
    pub begins: Duration,
    /// When the picture was taken.
    pub seen: Duration,
    /// What it read.
    pub read: PlateRead,
}

/// Where in its life something in view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It came into view.
    New,
    /// It is still there.
    Update,
    /// It left.
    End,
}

/// Contacts of a gate lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// The loop before the arm.
    Approach,
    /// The loop behind it.
    Exit,
    /// The arm's limit switch: on while it is away from its closed position.
    Arm,
}

/// The gate's lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    One,
    Two,
    Three,
}

/// The sheds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shed {
    One,
    Two,
}

/// The cameras that are read over Frigate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Camera {
    Front(Lane),
    Quay,
    Shed(Shed),
}

/// A booking as the terminal's system has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The vehicle's plate.
    pub plate: String,
    /// What it brings or fetches.
    pub containers: Vec<String>,
    /// What it was declared to weigh with its load.
    pub declared_gross_kg: u32,
    /// Where it is expected.
    pub zone: &'static str,
}

/// Wind that leans on the ship for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squall {
    begins: Duration,
    rise: Duration,
    hold: Duration,
    fall: Duration,
    /// What it adds to the first line's load at its height.
    peak_kn: f64,
}

/// What a round's stories are told into.
type Look = Round;

impl World {
    /// The port of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A round; the first is number 0. The same for the same seed and number.
    pub fn round(&self, number: u64) -> Round {
        let random = |purpose| Random::of(self.seed, purpose, number);
        let mut look = Look::default();
        stories::ordinary(Lane::One, &[0, 21, 43, 65], &mut random("lane 1"), &mut look);
        stories::tailgater(Lane::Two, 3, &mut random("tailgater"), &mut look);
        stories::ordinary(Lane::Two, &[37, 62], &mut random("lane 2"), &mut look);
        stories::wrong_weight(Lane::Three, 2, &mut random("weight"), &mut look);
        stories::ordinary(Lane::Three, &[32, 57], &mut random("lane 3"), &mut look);
        stories::tampering(4, &mut random("tampering"), &mut look);
        stories::person_on_the_quay(7, &mut random("person"), &mut look);
        stories::empty_quay(52, &mut random("quay"), &mut look);
        stories::mooring_line(14, &mut random("mooring"), &mut look);
        let (blinded, working) = if number.is_multiple_of(2) { (Shed::One, Shed::Two) } else { (Shed::Two, Shed::One) };
        stories::blinded_shed(blinded, 11, &mut random("blinded"), &mut look);
        stories::working_shed(working, 62, &mut random("working"), &mut look);
        look.starting(ROUND * u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Wind speed at the berth in m/s.
    pub fn wind(&self, at: Duration, squalls: &[Squall]) -> f64 {
        let squall: f64 = squalls.iter().map(|squall| squall.share(at)).sum();
        weather::wind(self.seed, at) + 6.0 * squall
    }

    /// Load of the berth's mooring lines in kN.
    pub fn loads(&self, at: Duration, squalls: &[Squall]) -> [f64; 2] {
        let squall: f64 = squalls.iter().map(|squall| squall.share(at) * squall.peak_kn).sum();
        [weather::resting_load(self.seed, 0, at) + squall, weather::resting_load(self.seed, 1, at) + 0.15 * squall]
    }

    /// Acceleration at the quay's fence in m/s², while it is shaken with an amplitude.
    pub fn fence(&self, at: Duration, amplitude: f64) -> f64 {
        // People shake fences a few times a second.
        let shaken = amplitude * (std::f64::consts::TAU * 4.3 * at.as_secs_f64()).sin();
        weather::fence_at_rest(self.seed, at) + shaken
    }
}

impl Round {
    /// Something happens. Order does not matter here: a round is sorted when it is complete.
    fn add(&mut self, at: Duration, happening: Happening) {
        self.happenings.push((at, happening));
    }

    /// The same round, moved to where it starts, in order.
    fn starting(mut self, start: Duration) -> Self {
        for (at, happening) in &mut self.happenings {
            *at += start;
            happening.shift(start);
        }
        for truth in &mut self.truths {
            for time in [&mut truth.begins, &mut truth.complete, &mut truth.by, &mut truth.over] {
                *time += start;
            }
        }
        for squall in &mut self.squalls {
            squall.begins += start;
        }
        self.happenings.sort_by_key(|(at, _)| *at);
        self.truths.sort_by_key(|truth| truth.begins);
        self
    }
}

impl Happening {
    fn shift(&mut self, by: Duration) {
        match self {
            Self::Seen(Seen { begins: at, .. }) | Self::RearPlate { seen: at, .. } => *at += by,
            Self::LatePlate(late) => {
                late.begins += by;
                late.seen += by;
            }
            _ => {}
        }
    }
}

impl Squall {
    /// How much of it there is: 0 before and after, 1 at its height.
    fn share(&self, at: Duration) -> f64 {
        let Some(since) = at.checked_sub(self.begins) else { return 0.0 };
        let ends = self.rise + self.hold + self.fall;
        let rising = since.as_secs_f64() / self.rise.as_secs_f64();
        let falling = ends.saturating_sub(since).as_secs_f64() / self.fall.as_secs_f64();
        rising.min(falling).clamp(0.0, 1.0)
    }

    /// When it is over.
    pub fn ends(&self) -> Duration {
        self.begins + self.rise + self.hold + self.fall
    }
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// As the site file names it.
    pub fn zone(self) -> &'static str {
        match self {
            Self::One => "lane-1",
            Self::Two => "lane-2",
            Self::Three => "lane-3",
        }
    }
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// As the site file names it.
    pub fn zone(self) -> &'static str {
        match self {
            Self::One => "shed-1",
            Self::Two => "shed-2",
        }
    }
}

impl Camera {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Front(Lane::One),
        Self::Front(Lane::Two),
        Self::Front(Lane::Three),
        Self::Quay,
        Self::Shed(Shed::One),
        Self::Shed(Shed::Two),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_the_world_and_its_truth() {
        let (a, b, other) = (World::new(1), World::new(1), World::new(2));
        for number in [0, 1, 7] {
            assert_eq!(a.round(number).happenings, b.round(number).happenings);
            assert_eq!(a.round(number).truths, b.round(number).truths);
        }
        assert_ne!(a.round(0).happenings, other.round(0).happenings);
        assert_ne!(a.round(0).happenings.len(), 0);
    }

    #[test]
    fn all_seven_stories_are_told_within_a_minute_and_the_first_within_a_quarter() {
        for seed in 0..50 {
            let round = World::new(seed).round(3);
            let start = ROUND * 3;
            let by = |what: &str| {
                let told = round.truths.iter().find(|truth| truth.what.contains(what));
                told.unwrap_or_else(|| panic!("{what}")).by - start
            };
            let stories = ["passage", "second truck", "weight", "person", "mooring", "blind", "node"];
            for story in stories {
                assert!(by(story) < Duration::from_secs(60), "seed {seed}: {story} by {:?}", by(story));
            }
            assert!(by("node") < Duration::from_secs(15) && by("passage") < Duration::from_secs(30));
        }
    }

    #[test]
    fn vehicles_of_a_lane_never_overlap() {
        for seed in 0..100 {
            let round = World::new(seed).round(seed);
            for lane in Lane::ALL {
                let mut over = 0;
                let mut closed = Duration::ZERO;
                for (at, happening) in &round.happenings {
                    match happening {
                        Happening::Contact(Contact::Exit, of, on) if *of == lane => {
                            over += if *on { 1 } else { -1 };
                            assert!((0..=1).contains(&over), "seed {seed} {lane:?}");
                        }
                        Happening::Contact(Contact::Arm, of, false) if *of == lane => closed = *at,
                        // The one before has had its time: its arm is down and late reads are in.
                        Happening::Granted(of) if *of == lane && !closed.is_zero() => {
                            assert!(*at > closed + Duration::from_secs(1), "seed {seed} {lane:?} at {at:?}");
                        }
                        _ => {}
                    }
                }
                assert_eq!(over, 0);
            }
            let last = round.happenings.last().map(|(at, _)| *at - ROUND * u32::try_from(seed).unwrap());
            assert!(last.unwrap() < ROUND, "seed {seed}: a round ends before the next begins, {last:?}");
        }
    }

    #[test]
    fn a_squall_takes_the_first_line_over_half_of_500_kn_in_time_and_nothing_else_does() {
        for seed in 0..100 {
            let world = World::new(seed);
            let round = world.round(0);
            let truth = round.truths.iter().find(|truth| truth.zone == "berth-1").unwrap();
            let ends = round.squalls[0].ends();
            let mut reached = None;
            for tenth in 0..900 {
                let at = Duration::from_millis(tenth * 100);
                let [first, second] = world.loads(at, &round.squalls);
                assert!(second < 170.0);
                let near = first >= 250.0;
                if near {
                    assert!(at > truth.begins && at < ends, "seed {seed} at {at:?}");
                    reached = reached.or(Some(at));
                }
            }
            let reached = reached.unwrap_or_else(|| panic!("seed {seed} never comes near"));
            assert!(reached < truth.by - Duration::from_secs(5), "seed {seed}: {reached:?} {truth:?}");
            assert!((2.0..25.0).contains(&world.wind(reached, &round.squalls)));
        }
    }

    #[test]
    fn a_shed_that_was_blinded_is_at_work_in_the_next_round() {
        let blinded = |number| {
            let round = World::new(1).round(number);
            round.truths.iter().find(|truth| truth.zone.starts_with("shed")).unwrap().zone
        };
        assert_eq!([blinded(0), blinded(1), blinded(2)], ["shed-1", "shed-2", "shed-1"]);
    }
}
