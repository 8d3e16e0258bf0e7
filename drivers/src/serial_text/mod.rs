//! Instruments that stream lines of text, such as weighing indicators.
//!
//! A line ends with CR, LF or both and has at most 512 bytes. What was under way when the port was opened is not read: half a
//! line can look like a whole one with another number. Values are reported by exception; an instrument that sends no line of
//! a sensor for that sensor's heartbeat (at least 2 s) is said not to answer, and nothing of an instrument is ever written to.

use crate::{
    by_exception::{ByException, Reporting},
    json::Undecodable,
    line::Line,
    lines::Piece,
    overload::Overload,
    serial,
    streamed::{self, Carrier, DeadLetters, Hears, Streamed},
    tap::{self, Tapped},
};
use quaywatch_schemas::{
    NoData, Observation, Reading, Record, SensorId,
    observation::Measure,
    units::{Finite, Unit},
};
use regex::bytes::Regex;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A port and what is read from its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The port.
    pub port: serial::Port,
    /// What is read. A line that matches no sensor's pattern is a dead letter.
    pub sensors: Vec<Reader>,
}

/// What one sensor reads from a line.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Whose it is.
    pub sensor: SensorId,
    /// Matches a line of this sensor; the named groups `value`, `unit`, `stable` and `sign` say where what is. A sensor's
    /// pattern should match its lines only: one line can be read by several sensors.
    pub pattern: Regex,
    /// The unit of the sensor: a line that names another unit of the same quantity is converted, and one that names none is
    /// taken to be in it.
    pub unit: Unit,
    /// Texts of the group `stable` that mean *settled*.
    pub stable_when: Vec<String>,
    /// Values outside are `no-data(bad value)`.
    pub range: Option<(f64, f64)>,
    /// What is news.
    pub reporting: Reporting,
}

impl PartialEq for Reader {
    /// Patterns are equal if they are written the same.
    fn eq(&self, other: &Self) -> bool {
        let key = |reader: &Self| {
            let Self { sensor, pattern, unit, stable_when, range, reporting } = reader.clone();
            (sensor, pattern.to_string(), unit, stable_when, range, reporting)
        };
        key(self) == key(other)
    }
}

/// Reads one line for one sensor. `None` if it is not a line of this sensor.
pub fn decode(reader: &Reader, line: &[u8]) -> Option<Result<Reading, Undecodable>> {
    let found = reader.pattern.captures(line)?;
    let group = |name: &str| found.name(name).map(|found| String::from_utf8_lossy(found.as_bytes()).trim().to_owned());
    let Some(value) = group("value") else {
        return Some(Err(Undecodable("the pattern matches but its group \"value\" does not".into())));
    };
    let unit = match group("unit").filter(|unit| !unit.is_empty()).map(|unit| unit_of(&unit)) {
        None => reader.unit.clone(),
        Some(Some(unit)) if unit.quantity() == reader.unit.quantity() => unit,
        Some(Some(_)) => return Some(Err(Undecodable("the unit measures something else than the sensor".into()))),
        Some(None) => return Some(Err(Undecodable("the unit is not one that is known".into()))),
    };
    let has_stable = reader.pattern.capture_names().flatten().any(|name| name == "stable");
    let stable = has_stable.then(|| group("stable").is_some_and(|said| reader.stable_when.contains(&said)));
    let negative = group("sign").is_some_and(|sign| sign == "-");
    let value = number(&value).map(|value| if negative { -value.abs() } else { value });
    let value = value.map(|value| match unit == reader.unit {
        true => value,
        false => unit.to_base(value) / reader.unit.to_base(1.0),
    });
    let usable = value.filter(|value| reader.range.is_none_or(|(low, high)| (low..=high).contains(value)));
    Some(Ok(match usable.and_then(|value| Finite::new(value).ok()) {
        Some(value) => Reading::Measure(Measure { value, unit: reader.unit.clone(), stable }),
        // Dashes, `OVER`, `ERR`: it speaks, and has no value.
        None => Reading::NoData(NoData::BadValue),
    }))
}

/// Reads the port until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let streamed = Streamed {
        carrier: Carrier::Serial(config.port.clone()),
        longest: LONGEST_LINE,
        whole_datagrams: false,
        idle: None,
    };
    let mut desk = Desk::new(&line, &config);
    streamed::run(&line, &streamed, &mut desk).await;
}

/// Longer than any indicator's line; ticket printers have 80 columns.
const LONGEST_LINE: usize = 512;
/// An instrument that sends once a second is not silent after one line was lost.
const SHORTEST_SILENCE: Duration = Duration::from_secs(2);

/// What is remembered between lines.
struct Desk<'a> {
    line: &'a Line,
    config: &'a Config,
    sensors: Vec<Sensor>,
    overload: Overload,
    letters: DeadLetters,
}

struct Sensor {
    news: ByException,
    heard: Instant,
}

impl Hears for Desk<'_> {
    fn hear(&mut self, piece: Piece, _: Option<SocketAddr>, now: Instant) {
        self.take(piece, now);
    }

    fn look(&mut self, reachable: bool, now: Instant) {
        self.look_for_silence(if reachable { NoData::Timeout } else { NoData::Disconnected }, now);
    }
}

impl<'a> Desk<'a> {
    fn new(line: &'a Line, config: &'a Config) -> Self {
        let now = Instant::now();
        let sensors = config.sensors.iter();
        let sensors = sensors.map(|reader| Sensor { news: ByException::new(reader.reporting), heard: now }).collect();
        Self { line, config, sensors, overload: Overload::default(), letters: DeadLetters::default() }
    }

    fn take(&mut self, piece: Piece, now: Instant) {
        let line = match piece {
            Piece::Line(line) => line,
            Piece::TooLong(length) => return self.refuse(None, &format!("a line of {length} bytes"), &[], now),
        };
        let mut read_by_somebody = false;
        let config = self.config;
        for (index, reader) in config.sensors.iter().enumerate() {
            let Some(result) = decode(reader, &line) else { continue };
            read_by_somebody = true;
            self.line.taps.show(&reader.sensor, || match &result {
                Ok(reading) => Tapped {
                    raw: shown(reader, &line),
                    decoded: tap::decoded(&Observation::live(reader.sensor.clone(), reading.clone())),
                },
                Err(Undecodable(why)) => Tapped::undecodable(line.len(), why),
            });
            match result {
                Ok(reading) => self.say(index, reading, now),
                Err(Undecodable(why)) => self.refuse(Some(&reader.sensor), &why, &line, now),
            }
        }
        if !read_by_somebody {
            self.refuse(None, "the line matches no sensor's pattern", &line, now);
        }
    }

    fn say(&mut self, index: usize, reading: Reading, now: Instant) {
        let sensor = &mut self.sensors[index];
        sensor.heard = now;
        if sensor.news.is_news(&reading, now) {
            let said = Observation::live(self.config.sensors[index].sensor.clone(), reading);
            self.overload.offer(&self.line.intake, vec![Record::Observation(said)]);
        }
    }

    fn look_for_silence(&mut self, why: NoData, now: Instant) {
        for (reader, sensor) in self.config.sensors.iter().zip(&mut self.sensors) {
            let silent =
                now.saturating_duration_since(sensor.heard) >= reader.reporting.heartbeat.max(SHORTEST_SILENCE);
            if silent && sensor.news.is_news(&Reading::NoData(why), now) {
                let said = Observation::live(reader.sensor.clone(), Reading::NoData(why));
                self.overload.offer(&self.line.intake, vec![Record::Observation(said)]);
            }
        }
        self.overload.say(&self.line.intake);
    }

    fn refuse(&mut self, sensor: Option<&SensorId>, why: &str, raw: &[u8], now: Instant) {
        self.letters.refuse(self.line, &self.overload, sensor, why, raw, now);
    }
}

/// A unit as indicators write it: `KG` and `Kg` are kilograms, `T` is a tonne.
fn unit_of(text: &str) -> Option<Unit> {
    let usual = match text.to_ascii_lowercase().as_str() {
        "kg" => "kg",
        "t" | "to" | "ton" | "tonne" => "t",
        "g" => "g",
        "kn" => "kN",
        _ => text,
    };
    Unit::new(usual).ok()
}

/// A number as indicators write it: blanks inside, a comma for a point.
fn number(text: &str) -> Option<f64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = if text.contains('.') { text } else { text.replace(',', ".") };
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    if is_plain { text.parse().ok() } else { None }
}

/// A line as a watcher sees it: what the pattern's groups found; of the rest only its punctuation, since indicators print
/// truck numbers too.
fn shown(reader: &Reader, line: &[u8]) -> String {
    let found = reader.pattern.captures(line);
    let is_shown = |place: usize| {
        let groups = ["value", "unit", "stable", "sign"];
        let mut groups = groups.iter().filter_map(|name| found.as_ref()?.name(name));
        groups.any(|group| group.range().contains(&place))
    };
    let shown = line.iter().enumerate().map(|(place, byte)| match byte {
        byte if byte.is_ascii_control() => '.',
        byte if !byte.is_ascii() => '*',
        byte if byte.is_ascii_alphanumeric() && !is_shown(place) => '*',
        byte => char::from(*byte),
    });
    shown.collect()
}

#[cfg(test)]
mod tests;
