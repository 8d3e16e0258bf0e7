//! Four gate lanes, their vehicles, and the people who pass the turnstile.
//!
//! ```text
//! what a site knows ──► lanes: vehicles, tailgaters ─┐
//!   (bookings, staff)   staff: badges at readers     ├─► messages in true time ──► delivery: clocks, delays, losses,
//!                       faults of sensors            ─┘                              duplicates, outages ──► events
//! ```
//!
//! An event has the gateway's time of arrival and the time of the device's own clock, which is wrong by a second or two and
//! drifts. About one vehicle in eleven and one badge in five does something it should not; the truth says which.

mod delivery;
mod faults;
mod lanes;
mod people;
mod reading;
mod reference;

use super::{File, lines, rounded, whole};
use faults::Faults;
use reference::Reference;
use serde::Serialize;

/// The lanes, in pairs of neighbours.
const LANES: [&str; 4] = ["in1", "in2", "out1", "out2"];

/// How hard a trial is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// How it is called.
    pub name: &'static str,
    /// How long vehicles arrive, in seconds: two shifts.
    pub duration_s: f64,
    /// A device's clock is wrong by up to this, in seconds either way.
    skew_s: f64,
    /// Share of messages that are 2 to 20 s late.
    late: f64,
    /// Share of messages that arrive twice.
    duplicated: f64,
    /// Probability that the first and the second plate camera take one of the up to three pictures they try.
    plate_seen: [f64; 2],
    /// Probability that one character of a clean plate is misread, by camera.
    plate_error: [f64; 2],
    /// Share of plates so dirty that both cameras misread three times as much.
    dirty: f64,
    /// Probability that a container code is read from one side.
    code_seen: f64,
    /// Probability that one character of a container code is misread.
    code_error: f64,
}

impl Preset {
    /// A gate as it is: clocks that nobody set, plates that nobody washed.
    pub const REAL: Self = Self {
        name: "real",
        duration_s: 14_400.0,
        skew_s: 1.5,
        late: 0.02,
        duplicated: 0.02,
        plate_seen: [0.93, 0.78],
        plate_error: [0.020, 0.046],
        dirty: 0.08,
        code_seen: 0.83,
        code_error: 0.0305,
    };
    /// Good cameras and nearly right clocks.
    pub const EASY: Self = Self {
        name: "easy",
        duration_s: 7_200.0,
        skew_s: 0.3,
        late: 0.005,
        duplicated: 0.01,
        plate_seen: [0.98, 0.91],
        plate_error: [0.0075, 0.018],
        dirty: 0.02,
        code_seen: 0.945,
        code_error: 0.013,
    };
    /// Rain, and a network that is not up to it.
    pub const HARD: Self = Self {
        name: "hard",
        duration_s: 14_400.0,
        skew_s: 3.0,
        late: 0.06,
        duplicated: 0.05,
        plate_seen: [0.83, 0.67],
        plate_error: [0.047, 0.082],
        dirty: 0.08,
        code_seen: 0.655,
        code_error: 0.064,
    };

    /// The preset of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::REAL, Self::EASY, Self::HARD].into_iter().find(|preset| preset.name == name)
    }

    /// The same for another time.
    #[must_use]
    pub fn lasting(self, duration_s: f64) -> Self {
        Self { duration_s, ..self }
    }

    /// The same over a network that holds nothing back and says nothing twice.
    #[must_use]
    pub fn prompt(self) -> Self {
        Self { late: 0.0, duplicated: 0.0, ..self }
    }

    fn shift_s(&self) -> f64 {
        self.duration_s / 2.0
    }
}

/// A data set.
#[derive(Debug, Clone)]
pub struct Trial {
    reference: Reference,
    events: Vec<Event>,
    truth: Vec<Truth>,
    labels: Vec<(usize, String)>,
}

/// What arrived at the gateway.
#[derive(Debug, Clone, Serialize)]
struct Event {
    i: usize,
    rx: f64,
    ts: f64,
    src: String,
    mid: String,
    #[serde(flatten)]
    what: What,
}

/// What a device says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum What {
    Loop {
        pos: &'static str,
        on: bool,
    },
    Plate {
        text: String,
        conf: f64,
    },
    Ocr {
        text: String,
        conf: f64,
        side: &'static str,
    },
    Rfid {
        tag: String,
        rssi: f64,
    },
    Weight {
        kg: i64,
        stable: bool,
    },
    Barrier {
        open: bool,
    },
    Badge {
        badge: String,
        reader: String,
    },
    /// A device says that it is there.
    Hb {},
}

/// What was true.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Truth {
    Passage {
        id: String,
        lane: &'static str,
        t: f64,
        plate: String,
        containers: Vec<String>,
        weight: Option<i64>,
        tag: Option<String>,
        anomalies: Vec<&'static str>,
        booked: Option<String>,
    },
    Anomaly {
        kind: &'static str,
        subj: String,
        t: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        t_end: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        passage: Option<String>,
    },
}

impl Truth {
    fn time(&self) -> f64 {
        match self {
            Truth::Passage { t, .. } | Truth::Anomaly { t, .. } => *t,
        }
    }
}

/// A message as a device hands it to the network, in true time.
#[derive(Debug, Clone)]
struct Message {
    at: f64,
    source: String,
    what: What,
    /// The passage it belongs to.
    passage: Option<String>,
}

/// What happened and what was said of it, while it is being made up.
#[derive(Debug, Default)]
struct Day {
    messages: Vec<Message>,
    truth: Vec<Truth>,
}

impl Trial {
    /// The trial of a seed.
    pub fn make(preset: &Preset, seed: u64) -> Self {
        let reference = Reference::draw(preset, seed);
        let faults = Faults::draw(preset, seed);
        let mut day = Day::default();
        faults.tell(&mut day);
        lanes::run(preset, seed, &reference, &faults, &mut day);
        people::run(preset, seed, &reference, &mut day);
        let (events, labels) = delivery::deliver(preset, seed, &faults, day.messages);
        let mut truth = day.truth;
        truth.sort_by(|one, other| one.time().total_cmp(&other.time()));
        Self { reference, events, truth, labels }
    }

    /// As files: `ref.json`, `events.jsonl` in order of arrival, `truth.jsonl`, `labels.jsonl`.
    ///
    /// # Errors
    /// If a value cannot be written as JSON, which none of them is made to be.
    pub fn files(&self) -> Result<Vec<File>, serde_json::Error> {
        Ok(vec![
            whole("ref.json", &self.reference)?,
            lines("events.jsonl", &self.events)?,
            lines("truth.jsonl", &self.truth)?,
            lines("labels.jsonl", &self.labels)?,
        ])
    }
}

impl Day {
    fn say(&mut self, at: f64, source: String, what: What, passage: Option<&str>) {
        self.messages.push(Message { at, source, what, passage: passage.map(str::to_owned) });
    }

    fn anomaly(&mut self, kind: &'static str, subject: &str, at: f64, passage: Option<&str>) {
        self.truth.push(Truth::Anomaly {
            kind,
            subj: subject.to_owned(),
            t: rounded(at, 3),
            t_end: None,
            passage: passage.map(str::to_owned),
        });
    }
}

#[cfg(test)]
mod tests;
