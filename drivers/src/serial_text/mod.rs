//! Instruments that stream lines of text, such as weighing indicators.

use crate::{by_exception::Reporting, line::Line, serial};
use quaywatch_schemas::{SensorId, units::Unit};
use regex::bytes::Regex;

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
    /// Matches a line of this sensor; the named groups `value`, `unit`, `stable` and `sign` say where what is.
    pub pattern: Regex,
    /// The unit where the line names none.
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

/// Reads the port until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let _ = (line, config);
    todo!()
}
