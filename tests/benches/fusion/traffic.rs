//! Traffic without end: vehicles in lanes, things on quays, devices that say that they are there.

use crate::site::{container, plate, sensor, tag};
use quaywatch_schemas::{
    Control, GatewayTime, Observation, Position, Private, Reading, Record, SensorId, Site, Stamp, Stamped, WallTime,
    observation::{
        Container, DetectedPosition, Detection, Frame, Health, Measure, ObjectClass, Plate, SourceId, SourceTime, Tag,
    },
    time::{ClockQuality, ClockState},
    units::{Finite, Probability, Unit},
};

const START_S: f64 = 1_700_000_000.0;
/// A lane lets a vehicle pass so often, in seconds.
const CYCLE_S: f64 = 40.0;

/// What an observation is counted under.
pub type Kind = &'static str;

/// A log that grows as it is asked to.
pub struct Log {
    position: u64,
    /// Seconds since the start.
    pub now: f64,
}

impl Log {
    pub fn new() -> Self {
        Self { position: 0, now: 0.0 }
    }

    pub fn wall(&self) -> WallTime {
        WallTime::from_seconds(START_S + self.now).expect("this century")
    }

    pub fn control(&mut self, control: Control) -> Stamped {
        self.record(Record::Control(control))
    }

    pub fn site(&mut self, site: Site) -> Stamped {
        self.control(Control::SiteApplied { site: Box::new(site), digest: [0; 32] })
    }

    /// What a sensor with a name for its messages and a clock of its own says.
    pub fn says(&mut self, sensor: SensorId, reading: Reading) -> Stamped {
        let mut observation = Observation::live(sensor, reading);
        let number = self.position.to_le_bytes();
        observation.source_id = Some(SourceId::of(&observation.sensor, &[number.as_slice()]));
        observation.observed_at = Some(SourceTime { at: self.wall(), uncertainty_ms: 0 });
        self.record(Record::Observation(observation))
    }

    pub fn stamp(&self) -> Stamp {
        Stamp {
            position: Position(self.position),
            gateway: GatewayTime(((START_S + self.now) * 1e6) as u64 * 1000),
            wall: self.wall(),
            quality: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
        }
    }

    fn record(&mut self, record: Record) -> Stamped {
        self.position += 1;
        Stamped { stamp: self.stamp(), record }
    }
}

/// Vehicles through some lanes, in order of time: in each lane one every 40 s, with everything a lane has.
pub fn vehicles(log: &mut Log, lanes: usize, cycles: usize, known: usize) -> Vec<(Kind, Stamped)> {
    let mut said: Vec<(f64, Kind, SensorId, Reading)> = Vec::new();
    for cycle in 0..cycles {
        for number in 0..lanes {
            let begins = log.now + CYCLE_S * cycle as f64 + number as f64 * 0.37;
            let vehicle = (cycle * lanes + number) % known.max(1);
            vehicle_passes(number, vehicle, begins, &mut said);
        }
    }
    said.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut records = Vec::with_capacity(said.len());
    let until = log.now + CYCLE_S * cycles as f64;
    for (at, kind, sensor, reading) in said {
        log.now = at;
        records.push((kind, log.says(sensor, reading)));
    }
    log.now = until.max(log.now);
    records
}

fn vehicle_passes(number: usize, vehicle: usize, begins: f64, said: &mut Vec<(f64, Kind, SensorId, Reading)>) {
    let mut say = |after: f64, kind, part: &str, reading| {
        said.push((begins + after, kind, sensor("lane", number, part), reading))
    };
    say(0.0, "contact", "approach", Reading::Contact(true));
    for (after, part) in [(0.4, "front"), (0.9, "front"), (1.4, "front"), (2.2, "rear"), (3.1, "rear")] {
        say(after, "plate", part, plate_read(vehicle));
    }
    for after in [3.0, 3.6, 4.1] {
        say(after, "container", "portal", code_read(vehicle));
    }
    for after in [4.0, 9.0] {
        say(after, "tag", "antenna", tag_read(vehicle));
    }
    say(6.0, "contact", "approach", Reading::Contact(false));
    for second in 0..12 {
        let stable = second >= 3;
        let kilograms = if stable { 20_000.0 } else { 9_000.0 + 1000.0 * f64::from(second) };
        say(7.5 + f64::from(second), "measure", "scale", weight(kilograms, stable));
    }
    say(19.0, "contact", "grant", Reading::Contact(true));
    say(19.2, "contact", "grant", Reading::Contact(false));
    say(20.0, "contact", "arm", Reading::Contact(true));
    say(23.0, "contact", "exit", Reading::Contact(true));
    say(26.0, "contact", "exit", Reading::Contact(false));
    say(28.0, "contact", "arm", Reading::Contact(false));
    for (after, part) in [(30.0, "front"), (30.1, "rear"), (30.2, "portal"), (30.3, "antenna")] {
        say(after, "health", part, Reading::Health(Health::Alive));
    }
}

/// Scans of a quay's radar, one a second, of things that go along it: as many as wanted, always as far from one another.
pub fn scans(log: &mut Log, things: usize, seconds: usize) -> Vec<(Kind, Stamped)> {
    let mut records = Vec::with_capacity(seconds);
    let begins = log.now;
    for second in 0..seconds {
        log.now = begins + second as f64;
        let columns = (things as f64).sqrt().ceil().max(1.0) as usize;
        let detections = (0..things).map(|thing| {
            let (column, row) = (thing % columns, thing / columns);
            let x = 20.0 + 25.0 * column as f64 + 1.4 * second as f64 % 10.0;
            Detection {
                class: ObjectClass::Person,
                confidence: None,
                position: Some(DetectedPosition::Cartesian {
                    x: finite(x),
                    y: finite(-50.0 + 25.0 * row as f64),
                    covariance: [finite(1.0), finite(0.0), finite(1.0)],
                }),
                speed: None,
                zones: Vec::new(),
            }
        });
        let frame = Reading::Frame(Frame { detections: detections.collect() });
        records.push(("frame", log.says(sensor("quay", 0, "radar"), frame)));
    }
    records
}

/// A kind of observation again and again, that changes nothing: what most of a day is.
pub fn quiet(log: &mut Log, lanes: usize, count: usize) -> Vec<(Kind, Stamped)> {
    (0..count)
        .map(|number| {
            log.now += 0.01;
            let of = number % lanes;
            let record = match number % 3 {
                0 => log.says(sensor("lane", of, "scale"), weight(0.0, true)),
                1 => log.says(sensor("lane", of, "front"), Reading::Health(Health::Alive)),
                _ => log.says(sensor("lane", of, "arm"), Reading::Contact(false)),
            };
            ("quiet", record)
        })
        .collect()
}

fn plate_read(vehicle: usize) -> Reading {
    let text = Private::clear(plate(vehicle));
    Reading::Plate(Plate { text, confidence: probability(0.93), candidates: Vec::new(), region: None })
}

fn code_read(vehicle: usize) -> Reading {
    let code = Private::clear(container(vehicle));
    Reading::Container(Container { code, confidence: probability(0.9), candidates: Vec::new() })
}

fn tag_read(vehicle: usize) -> Reading {
    Reading::Tag(Tag { id: Private::clear(tag(vehicle)), rssi_dbm: Some(-52) })
}

fn weight(kilograms: f64, stable: bool) -> Reading {
    let unit = Unit::new("kg").expect("a unit");
    Reading::Measure(Measure { value: finite(kilograms), unit, stable: Some(stable) })
}

fn probability(value: f64) -> Option<Probability> {
    Some(Probability::new(value).expect("finite"))
}

fn finite(value: f64) -> Finite {
    Finite::new(value).expect("finite")
}
