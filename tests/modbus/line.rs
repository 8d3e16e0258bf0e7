//! A connection as the gateway runs it, with a test in the ledger's place.

use quaywatch_drivers::{
    by_exception::Reporting,
    intake::{Batch, Intake},
    line::{Line, LineState, LineStatus},
    modbus::{
        self, BitArea, Blocks, Connection, Device, Format, Gives, Measured, Order, Place, Point, RegisterArea, Scale,
    },
    tap::Taps,
};
use quaywatch_schemas::{LineId, NoData, Observation, Reading, Record, SensorId, units::Unit};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine, short enough for a person.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running connection.
pub struct Running {
    pub taps: Taps,
    records: mpsc::Receiver<Batch>,
    heard: Vec<Observation>,
    /// Up to where what a sensor said has been waited for.
    asked_for: BTreeMap<String, usize>,
    lines: Vec<watch::Receiver<LineStatus>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(connection: Connection, devices: Vec<Device>) -> Self {
        Self::with_room_for(1024, connection, devices)
    }

    /// With a ledger that takes so many batches before somebody listens.
    pub fn with_room_for(batches: usize, connection: Connection, devices: Vec<Device>) -> Self {
        let (intake, records) = Intake::bounded(batches);
        let (taps, stop) = (Taps::default(), CancellationToken::new());
        let mut lines = Vec::new();
        let devices = devices.into_iter().enumerate().map(|(index, device)| {
            let status = Arc::new(watch::Sender::new(LineStatus::default()));
            lines.push(status.subscribe());
            let id = LineId::new(&format!("line-{index}")).unwrap();
            (Line { id, intake: intake.clone(), taps: taps.clone(), status, stop: stop.clone() }, device)
        });
        let devices = devices.collect();
        let task = tokio::spawn(modbus::run(connection, devices));
        Self { taps, records, heard: Vec::new(), asked_for: BTreeMap::new(), lines, stop, task }
    }

    /// Waits until `sensor` says `reading`, after what it was waited for before; others do not matter.
    pub async fn hears(&mut self, sensor: &str, reading: Reading) -> Observation {
        self.hears_that(sensor, &format!("{reading:?}"), |heard| *heard == reading).await
    }

    /// Waits until `sensor` says something like `what`.
    pub async fn hears_that(&mut self, sensor: &str, what: &str, is_it: impl Fn(&Reading) -> bool) -> Observation {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let from = self.asked_for.get(sensor).copied().unwrap_or(0);
            let mut new = self.heard.iter().enumerate().skip(from);
            if let Some((at, found)) = new.find(|(_, seen)| seen.sensor.as_str() == sensor && is_it(&seen.reading)) {
                self.asked_for.insert(sensor.to_owned(), at + 1);
                return found.clone();
            }
            match timeout_at(deadline, self.records.recv()).await {
                Ok(batch) => self.keep(batch.expect("the connection runs")),
                Err(_) => panic!("{sensor} did not say {what}; heard {:#?}", self.said()),
            }
        }
    }

    /// Waits until a line is in such a state.
    pub async fn line(&self, line: usize, what: &str, is_it: impl Fn(&LineState) -> bool) -> LineState {
        let mut status = self.lines[line].clone();
        match timeout(PATIENCE, status.wait_for(|status| is_it(&status.state))).await {
            Ok(status) => status.expect("the connection runs").state.clone(),
            Err(_) => panic!("the line is not {what} but {:?}", self.lines[line].borrow().state),
        }
    }

    pub async fn line_is_up(&self, line: usize) {
        self.line(line, "up", |state| *state == LineState::Up).await;
    }

    /// Waits until a line is down, and says why it is.
    pub async fn line_is_down(&self, line: usize) -> String {
        match self.line(line, "down", |state| matches!(state, LineState::Down(_))).await {
            LineState::Down(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Stops it and returns all it said.
    pub async fn stop(mut self) -> Vec<Observation> {
        self.stop.cancel();
        timeout(PATIENCE, &mut self.task).await.expect("it stops when asked to").expect("it does not panic");
        while let Ok(batch) = self.records.try_recv() {
            self.keep(batch);
        }
        self.heard
    }

    fn keep(&mut self, batch: Batch) {
        self.heard.extend(batch.records.into_iter().map(|record| match record {
            Record::Observation(observation) => observation,
            other => panic!("a poll brings observations, not {other:?}"),
        }));
    }

    fn said(&self) -> Vec<(String, &Reading)> {
        self.heard.iter().map(|seen| (seen.sensor.to_string(), &seen.reading)).collect()
    }
}

pub fn tcp(port: u16) -> Connection {
    Connection::Tcp { host: "127.0.0.1".into(), port }
}

/// A device that may take its time: a loaded machine is not a dead one.
pub fn device(unit: u8, points: Vec<Point>) -> Device {
    let blocks = Blocks { most_hole: 16, most_registers: 125, most_bits: 2000, whole: false, fixed: Vec::new() };
    Device { unit, every: Duration::from_millis(50), timeout: Duration::from_secs(2), blocks, points }
}

/// A device that has to be quick, for what happens when it is not.
pub fn impatient(unit: u8, points: Vec<Point>) -> Device {
    Device { timeout: Duration::from_millis(200), ..device(unit, points) }
}

pub fn point(sensor: &str, place: Place, gives: Gives) -> Point {
    let reporting = Reporting { deadband: 0.0, heartbeat: Duration::from_secs(3600) };
    Point { sensor: SensorId::new(sensor).unwrap(), place, gives, reporting }
}

pub fn discrete(sensor: &str, address: u16) -> Point {
    let place = Place::Bit { area: BitArea::DiscreteInputs, address };
    point(sensor, place, Gives::Contact { inverted: false })
}

pub fn holding(address: u16, format: Format, order: Order) -> Place {
    Place::Register { area: RegisterArea::Holding, address, format, order }
}

/// A plain unsigned holding register in kilograms.
pub fn register(sensor: &str, address: u16) -> Point {
    point(sensor, holding(address, Format::U16, Order::Abcd), Gives::Measure(kilograms()))
}

pub fn kilograms() -> Measured {
    Measured {
        unit: Unit::new("kg").unwrap(),
        scale: Scale::Fixed(1.0),
        offset: 0.0,
        sentinels: Vec::new(),
        range: None,
        valid_when: None,
        stable_when: None,
    }
}

/// The value of a measure; anything else is a failed test.
pub fn value(reading: &Reading) -> f64 {
    match reading {
        Reading::Measure(measure) => measure.value.get(),
        other => panic!("{other:?} is not a measure"),
    }
}

pub fn is_value(wanted: f64) -> impl Fn(&Reading) -> bool {
    move |reading| matches!(reading, Reading::Measure(measure) if measure.value.get() == wanted)
}

pub fn no_data(why: NoData) -> Reading {
    Reading::NoData(why)
}

/// What one sensor said, in order.
pub fn of<'a>(sensor: &'a str, said: &'a [Observation]) -> impl Iterator<Item = &'a Reading> {
    said.iter().filter(move |seen| seen.sensor.as_str() == sensor).map(|seen| &seen.reading)
}
