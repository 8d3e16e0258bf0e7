//! Fence vibration: from acceleration to energy within a band, from energy to *the fence moves*, from blows to *it is cut*.
//!
//! Wind is what a fence does most of the time, so a limit alone is either deaf or shouts in every storm. The floor is what
//! the fence did over the last minutes, and movement must stand out of it. A storm that came within seconds is an alarm
//! once; within a minute it is the floor. Who shakes a fence for minutes before climbing raises the floor too, and that
//! shaking is the alarm.

mod band;

use super::{News, measure::Measure};
use crate::Millis;
use band::Band;
use heapless::Vec;
use quaywatch_schemas::frame::{
    message::{Doubt, Missing, Value},
    settings::{self, Cut, Vibration as Settings},
};

/// Time constant of the floor, for which a climb of 10 to 20 s is short and a front of weather is long.
const FLOOR_MS: f32 = 120_000.0;
/// Between two blows the fence is this calm for this long: a cutter closes, the wire rings for a tenth of a second.
const CALM_SHARE: f32 = 0.5;
const CALM_MS: Millis = 200;
/// The most blows that can be asked for.
const BLOWS: usize = 16;
/// Equal samples that a living accelerometer never delivers: its own noise is several of its steps.
const STUCK_AFTER: u32 = 8;

/// One accelerometer on a fence.
#[derive(Debug, Clone)]
pub struct Vibration {
    settings: Settings,
    band: Band,
    window: Window,
    energy: Measure,
    floor: f32,
    moves: Option<bool>,
    blows: Option<Blows>,
}

/// One window. Running mean and sum of squared deviations (B. P. Welford, "Note on a method for calculating corrected sums
/// of squares and products", Technometrics 4, 1962): the mean is gravity and mounting where no high-pass takes it away.
#[derive(Debug, Clone, Default)]
struct Window {
    began: Millis,
    count: u32,
    mean: f32,
    squares: f32,
    last: f32,
    same: u32,
}

#[derive(Debug, Clone)]
struct Blows {
    settings: Cut,
    /// When the last ones came, oldest first.
    came: Vec<Millis, BLOWS>,
    /// The last loud moment of the noise that goes on, and whether it was counted as a blow.
    noise: Option<(Millis, bool)>,
    cut: Option<bool>,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// The energy, if it is news.
    pub energy: Option<News>,
    /// Whether the fence moves, if that changed.
    pub moves: Option<News>,
    /// Whether it is being cut, if that changed.
    pub cut: Option<News>,
}

impl Vibration {
    /// An accelerometer that is sampled every so many milliseconds and was not read yet.
    pub fn new(settings: Settings, every_ms: u32, now: Millis) -> Self {
        let report = settings::Measure {
            deadband: settings.deadband,
            stale_ms: settings.window_ms.saturating_mul(4),
            ..settings::Measure::default()
        };
        Self {
            band: Band::new(settings.low_hz, settings.high_hz, 1_000.0 / every_ms.max(1) as f32),
            window: Window { began: now, ..Window::default() },
            energy: Measure::new(report, now),
            floor: 0.0,
            moves: None,
            blows: settings.cut.map(|settings| Blows { settings, came: Vec::new(), noise: None, cut: None }),
            settings,
        }
    }

    /// How it was told to sense.
    pub(super) fn told(&self) -> Settings {
        self.settings
    }

    /// One sample, in m/s². What is not a number is not a sample.
    pub fn sense(&mut self, acceleration: f32, now: Millis) -> Said {
        let mut said = self.tick(now);
        if !acceleration.is_finite() {
            return said;
        }
        let filtered = self.band.after(acceleration);
        self.window.take(acceleration, filtered);
        if let Some(blows) = &mut self.blows {
            // Without a high-pass what counts is how far a sample is from the window's mean.
            let swing = libm::fabsf(if self.settings.low_hz > 0.0 { filtered } else { filtered - self.window.mean });
            said.cut = blows.after(swing, now).or(said.cut);
        }
        said
    }

    /// Time passed.
    pub fn tick(&mut self, now: Millis) -> Said {
        let mut said = Said { cut: self.blows.as_mut().and_then(|blows| blows.tick(now)), ..Said::default() };
        let passed = now.saturating_sub(self.window.began);
        if passed < u64::from(self.settings.window_ms) {
            said.energy = self.energy.tick(now);
            return said;
        }
        let window = core::mem::replace(&mut self.window, Window { began: now, ..Window::default() });
        // One sample has no deviation: it says nothing of movement.
        if window.count < 2 {
            if window.count == 0 {
                self.band.restart();
            }
            said.energy = self.energy.tick(now);
            return said;
        }
        if window.is_stuck() {
            said.energy = self.energy.doubt(Doubt::Stuck, now);
            return said;
        }
        let energy = libm::sqrtf(window.squares / window.count as f32);
        let moves = self.judge(energy, passed);
        let changed = self.moves.replace(moves) != Some(moves);
        said.energy = self.energy.sense(energy, now);
        said.moves = changed.then_some(News { value: Value::State(moves), at: window.began, alarm: moves });
        said
    }

    /// The latest energy.
    pub fn energy(&self) -> Option<Value> {
        self.energy.value()
    }

    /// Whether the fence moves; unknown while nothing is read.
    pub fn moves(&self) -> Option<Value> {
        self.unless_lost(self.moves)
    }

    /// Whether it is being cut; unknown while nothing is read.
    pub fn cut(&self) -> Option<Value> {
        let blows = self.blows.as_ref()?;
        self.unless_lost(blows.cut)
    }

    /// The energy stands out of the floor or it does not; the floor follows, in alarm too, so that every alarm ends.
    fn judge(&mut self, energy: f32, passed: Millis) -> bool {
        let limit = self.settings.moves;
        // The whole hysteresis goes up with the wind.
        let wind = (self.settings.over_wind * self.floor / limit.on).max(1.0);
        let moves = limit.after(self.moves == Some(true), energy / wind);
        let follows = (passed as f32 / FLOOR_MS).min(1.0);
        self.floor += (energy - self.floor) * follows;
        moves
    }

    fn unless_lost(&self, state: Option<bool>) -> Option<Value> {
        match self.energy.value()? {
            lost @ Value::Missing(Missing::BadValue | Missing::Doubted(_)) => Some(lost),
            _ => state.map(Value::State),
        }
    }
}

impl Window {
    fn take(&mut self, raw: f32, filtered: f32) {
        self.same = if self.count == 0 || raw == self.last { self.same + 1 } else { 1 };
        self.last = raw;
        self.count += 1;
        let from_mean = filtered - self.mean;
        self.mean += from_mean / self.count as f32;
        self.squares += from_mean * (filtered - self.mean);
    }

    fn is_stuck(&self) -> bool {
        self.count >= STUCK_AFTER && self.same == self.count
    }
}

impl Blows {
    fn after(&mut self, swing: f32, now: Millis) -> Option<News> {
        if swing >= self.settings.blow * CALM_SHARE {
            let goes_on = self.noise.filter(|(loud, _)| now.saturating_sub(*loud) < CALM_MS);
            let counted = goes_on.is_some_and(|(_, counted)| counted);
            let is_blow = swing >= self.settings.blow && !counted;
            self.noise = Some((now, counted || is_blow));
            if is_blow {
                if self.came.is_full() {
                    self.came.remove(0);
                }
                let _ = self.came.push(now);
            }
        }
        self.tick(now)
    }

    fn tick(&mut self, now: Millis) -> Option<News> {
        let within = u64::from(self.settings.within_ms);
        let recent = self.came.iter().filter(|came| now.saturating_sub(**came) <= within).count();
        let cut = if self.cut == Some(true) { recent > 0 } else { recent >= usize::from(self.settings.blows) };
        let changed = self.cut.replace(cut) != Some(cut);
        changed.then_some(News { value: Value::State(cut), at: now, alarm: cut })
    }
}
