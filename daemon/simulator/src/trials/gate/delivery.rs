//! From what devices say to what arrives: their clocks, the network, and what it loses, holds back and says twice.

use super::{Event, Message, Preset, What, faults::Faults, rounded};
use crate::world::random::Random;
use std::collections::BTreeMap;

/// Every camera, code reader and tag reader says that it is there, so often.
const HEARTBEAT_S: f64 = 10.0;
/// Devices' quartzes are off by up to this, in seconds per second.
const DRIFT: f64 = 2e-5;
/// The controller of loops, barriers and scales asks a time server.
const CONTROLLER_SKEW_S: f64 = 0.006;
/// How late a late message is, in seconds.
const LATE_S: (f64, f64) = (2.0, 20.0);
/// Mean time between the first and the second arrival of what arrives twice, in seconds.
const AGAIN_S: f64 = 1.5;
/// Outages of one device's line in two hours, and how long they last: what it says then arrives at the end, all at once.
const OUTAGES_PER_2_H: f64 = 4.0;
const OUTAGE_S: (f64, f64) = (20.0, 90.0);

pub(super) fn deliver(
    preset: &Preset,
    seed: u64,
    faults: &Faults,
    mut messages: Vec<Message>,
) -> (Vec<Event>, Vec<(usize, String)>) {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let devices = devices();
    messages.extend(heartbeats(preset, faults, &devices));
    let outages = Outages::draw(preset, seed, &devices);
    let mut clocks = Clocks { seed, skew_s: preset.skew_s, known: BTreeMap::new() };
    let mut random = Random::of(seed, "trial network", 0);
    let mut arrivals = Vec::with_capacity(messages.len());
    for message in messages {
        let number = numbers.entry(message.source.clone()).or_default();
        *number += 1;
        let event = Event {
            i: 0,
            rx: 0.0,
            ts: rounded(clocks.at(&message.source, message.at) + faults.step_s(&message.source, message.at), 4),
            mid: format!("{}-{number}", message.source),
            src: message.source,
            what: message.what,
        };
        let heartbeat = matches!(event.what, What::Hb {});
        let mut first = message.at + latency(&event.what, &mut random);
        if !heartbeat && random.chance(preset.late) {
            first += random.between(LATE_S.0, LATE_S.1);
        }
        if let Some(end) = outages.end(&event.src, message.at).filter(|_| !heartbeat) {
            first = end + random.between(0.0, 0.5);
        }
        if !heartbeat && random.chance(preset.duplicated) {
            let again = first + random.exponential(AGAIN_S);
            arrivals.push((again, event.clone(), message.passage.clone()));
        }
        arrivals.push((first, event, message.passage));
    }
    arrivals.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let mut labels = Vec::new();
    let events = arrivals.into_iter().enumerate().map(|(i, (rx, event, passage))| {
        labels.extend(passage.map(|passage| (i, passage)));
        Event { i, rx: rounded(rx, 4), ..event }
    });
    (events.collect(), labels)
}

/// What says that it is there.
fn devices() -> Vec<String> {
    let kinds = ["anpr-a", "anpr-b", "ocr", "rfid"];
    kinds.into_iter().flat_map(|kind| super::LANES.map(|lane| format!("{kind}.{lane}"))).collect()
}

fn heartbeats(preset: &Preset, faults: &Faults, devices: &[String]) -> Vec<Message> {
    let times = (0..).map(|number| HEARTBEAT_S * (0.5 + f64::from(number))).take_while(|at| *at < preset.duration_s);
    let mut messages = Vec::new();
    for at in times {
        for source in devices.iter().filter(|source| !faults.code_dead.holds(source, at)) {
            messages.push(Message { at, source: source.clone(), what: What::Hb {}, passage: None });
        }
    }
    messages
}

/// How long a message takes, in seconds: what the device needs to make up its mind, then the network.
fn latency(what: &What, random: &mut Random) -> f64 {
    let (least, mean_of_more) = match what {
        What::Loop { .. } | What::Barrier { .. } => (0.04, 0.028),
        What::Weight { .. } => (0.08, 0.044),
        What::Plate { .. } => (0.35, 0.15),
        What::Ocr { .. } => (0.80, 0.37),
        What::Rfid { .. } => (0.10, 0.06),
        What::Badge { .. } => (0.15, 0.07),
        What::Hb {} => return random.between(0.05, 0.15),
    };
    least + random.exponential(mean_of_more)
}

struct Clocks {
    seed: u64,
    skew_s: f64,
    known: BTreeMap<String, (f64, f64)>,
}

impl Clocks {
    /// What a source's clock shows.
    fn at(&mut self, source: &str, at: f64) -> f64 {
        let controlled = ["loop.", "barrier.", "weight."].iter().any(|kind| source.starts_with(kind));
        let (clock, skew) = if controlled { ("controller", CONTROLLER_SKEW_S) } else { (source, self.skew_s) };
        let (offset, drift) = *self.known.entry(clock.to_owned()).or_insert_with(|| {
            let mut random = Random::of(self.seed, &format!("trial clock {clock}"), 0);
            (random.between(-skew, skew), random.between(-DRIFT, DRIFT))
        });
        at * (1.0 + drift) + offset
    }
}

struct Outages(Vec<(String, f64, f64)>);

impl Outages {
    fn draw(preset: &Preset, seed: u64, devices: &[String]) -> Self {
        let mut random = Random::of(seed, "trial outages", 0);
        let count = random.poisson(OUTAGES_PER_2_H * preset.duration_s / 7200.0);
        let outage = |_| {
            let from = random.between(0.0, preset.duration_s);
            (random.pick(devices).clone(), from, from + random.between(OUTAGE_S.0, OUTAGE_S.1))
        };
        Self((0..count).map(outage).collect())
    }

    fn end(&self, source: &str, at: f64) -> Option<f64> {
        let holds = |(of, from, until): &&(String, f64, f64)| of == source && (*from..*until).contains(&at);
        self.0.iter().find(holds).map(|(.., until)| *until)
    }
}
