//! A quay: what the engine makes of positions.
//!
//! A data set has `scenario.json`, which becomes a site, and `obs.jsonl`, in the order it arrived: a `frame` line and the `n`
//! `pos` lines that follow it become one [`Frame`], a `pir` line becomes a contact that opens again after the detector's hold.
//! Every observation carries the time its sensor claims and is stamped with the time it arrived. Sensors have clocks that are
//! vouched for (`synchronised`), as the data says.
//!
//! At every full second the confirmed tracks are written as `{"t": 1.0, "tracks": [["id", x, y], ..]}`, from what had
//! arrived [`LAG`] after it.

use super::{KEY, Timing};
use quaywatch_fusion::{Engine, TrackCounts, TrackView};
use quaywatch_schemas::{
    Control, DomainId, GatewayTime, LineId, Observation, Position, Reading, Record, SensorId, Site, SiteId, Stamp,
    Stamped, WallTime, ZoneId,
    observation::{DetectedPosition, Detection, Frame, ObjectClass, SourceTime},
    site::{Clock, Mount, Rates, Role, Rules, Sensor, Status, View, Zone, ZoneKind},
    time::{ClockQuality, ClockState},
    units::{Finite, Probability},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// How long after a second its tracks are asked for, in seconds: the radar's scan of that second has come by then, and most
/// cameras' frames.
pub const LAG: f64 = 0.5;
/// When second 0 is, so that nothing is before the Unix epoch.
const START: i64 = 1_700_000_000_000_000_000;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A data set, as the log has it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The site, then the observations in the order they arrived.
    pub records: Vec<Stamped>,
    /// How long it takes, in seconds.
    seconds: f64,
}

/// What became of a data set, and what it cost.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// What was taken in.
    pub observations: u64,
    /// In the frames of these.
    pub detections: u64,
    /// What became of positions.
    pub counts: TrackCounts,
    /// What the engine cost.
    pub timing: Timing,
}

/// Reads a data set, lets the engine work on it and writes where it says things are.
pub fn run(data: &Path, out: &mut impl Write) -> Fallible<Outcome> {
    Recorded::read(data)?.play(out)
}

impl Recorded {
    /// Reads a data set.
    pub fn read(data: &Path) -> Fallible<Self> {
        let scenario: Scenario = serde_json::from_str(&fs::read_to_string(data.join("scenario.json"))?)?;
        let site = Record::Control(Control::SiteApplied { site: Box::new(scenario.site()?), digest: [0; 32] });
        let mut records = vec![Stamped { stamp: stamp(0.0, 1), record: site }];
        records.extend(observations(&scenario, &fs::read_to_string(data.join("obs.jsonl"))?)?);
        Ok(Self { records, seconds: scenario.params.dur })
    }

    /// Lets a new engine work on it and writes where it says things are.
    pub fn play(&self, out: &mut impl Write) -> Fallible<Outcome> {
        let mut engine = Engine::new(KEY);
        let mut inside = Duration::ZERO;
        let mut due = 1.0;
        for record in &self.records {
            while record.stamp.wall.0 > nanoseconds(due + LAG) {
                inside += write_tracks(&engine, due, out)?;
                due += 1.0;
            }
            let started = Instant::now();
            let situations = engine.observe(record);
            inside += started.elapsed();
            drop(situations);
        }
        while due <= self.seconds {
            inside += write_tracks(&engine, due, out)?;
            due += 1.0;
        }
        let observations = self.records.len() as u64 - 1;
        let detections = self.records.iter().map(detections).sum::<usize>() as u64;
        let timing = Timing { events: observations + detections, inside };
        Ok(Outcome { observations, detections, counts: engine.track_counts(), timing })
    }

    /// When it is over.
    pub fn until(&self) -> Stamp {
        self.records.last().map_or_else(Stamp::default, |record| record.stamp)
    }
}

/// Asks for the tracks of a second and writes them; says how long the engine took.
fn write_tracks(engine: &Engine, second: f64, out: &mut impl Write) -> Fallible<Duration> {
    let started = Instant::now();
    let tracks = engine.tracks(WallTime(nanoseconds(second)));
    let took = started.elapsed();
    let row = |track: &TrackView| serde_json::json!([track.id.to_string(), track.x, track.y]);
    let rows: Vec<_> = tracks.iter().map(row).collect();
    writeln!(out, "{}", serde_json::json!({ "t": second, "tracks": rows }))?;
    Ok(took)
}

#[derive(Deserialize)]
struct Scenario {
    params: Params,
    area: [f64; 4],
    radar: Radar,
    cams: Vec<Camera>,
    pirs: Vec<Pir>,
}

#[derive(Deserialize)]
struct Params {
    /// Seconds.
    dur: f64,
    /// False detections per radar scan.
    clutter: f64,
}

#[derive(Deserialize)]
struct Radar {
    id: String,
    x: f64,
    y: f64,
    sig_r: f64,
    sig_b: f64,
    pd: f64,
}

#[derive(Deserialize)]
struct Camera {
    id: String,
    x: f64,
    y: f64,
    /// Radians counter-clockwise from x, and to each side.
    dir: f64,
    half: f64,
    range: f64,
    pd: f64,
    fa: f64,
}

#[derive(Deserialize)]
struct Pir {
    id: String,
    x0: f64,
    x1: f64,
    y0: f64,
    y1: f64,
    pd: f64,
    hold: f64,
    fa_per_s: f64,
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
enum Line {
    Frame { sensor: String, t: f64, rx: f64, n: usize },
    Pos(Pos),
    Pir { sensor: String, t: f64, rx: f64 },
}

#[derive(Deserialize)]
struct Pos {
    x: f64,
    y: f64,
    cov: [f64; 3],
    r: Option<f64>,
    b: Option<f64>,
    cls: Option<String>,
    conf: Option<f64>,
}

impl Scenario {
    fn site(&self) -> Fallible<Site> {
        let [x0, x1, y0, y1] = self.area;
        let area = rectangle(x0, x1, y0, y1);
        let quay = ZoneId::new("quay")?;
        let zone = Zone {
            name: "Quay".into(),
            kind: ZoneKind::Quay,
            direction: None,
            length_m: None,
            media: None,
            closed: None,
            outline: area.clone(),
        };
        let mut sensors = BTreeMap::new();
        let sensor = |role, rates, mount, view| -> Fallible<Sensor> {
            Ok(Sensor {
                zone: ZoneId::new("quay")?,
                role,
                at_m: None,
                domain: DomainId::new("quay")?,
                line: LineId::new("quay")?,
                silent_after: None,
                unit: None,
                range: None,
                rates,
                mount,
                view: Some(view),
                clock: Clock::Synchronised,
                leads: None,
            })
        };
        let radar = &self.radar;
        let rates = Rates { detection: radar.pd, false_alarm: self.params.clutter };
        let mount = Mount { x: radar.x, y: radar.y, facing_deg: 90.0 };
        sensors.insert(SensorId::new(&radar.id)?, sensor(Role::Radar, rates, Some(mount), View::Polygon(area))?);
        for camera in &self.cams {
            let rates = Rates { detection: camera.pd, false_alarm: camera.fa };
            let mount = Mount { x: camera.x, y: camera.y, facing_deg: camera.dir.to_degrees() };
            let view = View::Sector { range_m: camera.range, half_angle_deg: camera.half.to_degrees() };
            sensors.insert(SensorId::new(&camera.id)?, sensor(Role::PositionCamera, rates, Some(mount), view)?);
        }
        for pir in &self.pirs {
            let rates = Rates { detection: pir.pd, false_alarm: pir.fa_per_s * pir.hold };
            let view = View::Polygon(rectangle(pir.x0, pir.x1, pir.y0, pir.y1));
            sensors.insert(SensorId::new(&pir.id)?, sensor(Role::PresencePir, rates, None, view)?);
        }
        Ok(Site {
            locode: "NLRTM".into(),
            id: SiteId::new("quay-benchmark")?,
            timezone: "UTC".into(),
            status: Status::Test,
            zones: BTreeMap::from([(quay, zone)]),
            sensors,
            rules: Rules::default(),
            feeds: BTreeMap::new(),
            utc_offsets: Vec::new(),
            grid: None,
            patterns: Default::default(),
        })
    }
}

fn rectangle(x0: f64, x1: f64, y0: f64, y1: f64) -> Vec<(f64, f64)> {
    vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
}

/// The observations, in the order they arrive.
fn observations(scenario: &Scenario, lines: &str) -> Fallible<Vec<Stamped>> {
    let mut observations = Vec::new();
    let mut lines = lines.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let at_line = |error: serde_json::Error| format!("obs.jsonl line {}: {error}", number + 1);
        match serde_json::from_str(line).map_err(at_line)? {
            Line::Frame { sensor, t, rx, n } => {
                let mut detections = Vec::with_capacity(n);
                for _ in 0..n {
                    let (number, line) = lines.next().ok_or("obs.jsonl ends within a frame")?;
                    match serde_json::from_str(line)
                        .map_err(|error| format!("obs.jsonl line {}: {error}", number + 1))?
                    {
                        Line::Pos(pos) => detections.push(detection(&pos, &scenario.radar)?),
                        _ => return Err(format!("obs.jsonl line {}: a detection was expected", number + 1).into()),
                    }
                }
                observations.push((rx, observation(&sensor, t, Reading::Frame(Frame { detections }))?));
            }
            Line::Pir { sensor, t, rx } => {
                let hold = scenario.pirs.iter().find(|pir| pir.id == sensor).map_or(2.0, |pir| pir.hold);
                observations.push((rx, observation(&sensor, t, Reading::Contact(true))?));
                // A hair before it could close again.
                let open = t + hold - 0.001;
                observations.push((rx + hold - 0.001, observation(&sensor, open, Reading::Contact(false))?));
            }
            Line::Pos(_) => return Err(format!("obs.jsonl line {}: a detection without a frame", number + 1).into()),
        }
    }
    observations.sort_by(|a, b| a.0.total_cmp(&b.0));
    let stamped = observations.into_iter().zip(2..).map(|((arrived, observation), position)| Stamped {
        stamp: stamp(arrived, position),
        record: Record::Observation(observation),
    });
    Ok(stamped.collect())
}

fn observation(sensor: &str, claimed: f64, reading: Reading) -> Fallible<Observation> {
    let mut observation = Observation::live(SensorId::new(sensor)?, reading);
    observation.observed_at = Some(SourceTime { at: WallTime(nanoseconds(claimed)), uncertainty_ms: 1 });
    Ok(observation)
}

fn detection(pos: &Pos, radar: &Radar) -> Fallible<Detection> {
    let position = match (pos.r, pos.b) {
        // The data's bearings go counter-clockwise from x, a radar's clockwise from its axis, which here is y.
        (Some(range), Some(bearing)) => DetectedPosition::Polar {
            range: Finite::new(range)?,
            bearing: Finite::new(std::f64::consts::FRAC_PI_2 - bearing)?,
            range_sd: Finite::new(radar.sig_r)?,
            bearing_sd: Finite::new(radar.sig_b)?,
        },
        _ => {
            let [xx, xy, yy] = pos.cov;
            let covariance = [Finite::new(xx)?, Finite::new(xy)?, Finite::new(yy)?];
            DetectedPosition::Cartesian { x: Finite::new(pos.x)?, y: Finite::new(pos.y)?, covariance }
        }
    };
    let class = match pos.cls.as_deref() {
        Some("person") => ObjectClass::Person,
        Some("vehicle") => ObjectClass::Vehicle,
        Some("boat") => ObjectClass::Vessel,
        _ => ObjectClass::Other,
    };
    let confidence = pos.conf.map(Probability::new).transpose()?;
    Ok(Detection { class, confidence, position: Some(position), speed: None, zones: Vec::new() })
}

fn detections(record: &Stamped) -> usize {
    match &record.record {
        Record::Observation(Observation { reading: Reading::Frame(frame), .. }) => frame.detections.len(),
        _ => 0,
    }
}

fn stamp(arrived: f64, position: u64) -> Stamp {
    let at = nanoseconds(arrived);
    Stamp {
        position: Position(position),
        gateway: GatewayTime(at as u64),
        wall: WallTime(at),
        quality: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 1 },
    }
}

fn nanoseconds(second: f64) -> i64 {
    START + (second * 1e9).round() as i64
}
