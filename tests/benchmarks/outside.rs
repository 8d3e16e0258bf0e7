//! The tracker on real data that nobody here has made: `outside-check [FOLDER]...`, each a sequence of the MOTChallenge with
//! `gt.txt` (what was there) and `test.txt` (boxes that a published tracker gave out, with its own identities).
//!
//! TUD-Campus and TUD-Stadtmitte are in the motmetrics package: `pip download --no-deps motmetrics==1.4.0`, then unzip it
//! and give the folders in `motmetrics/data/`.
//!
//! The engine gets the boxes without their identities, as frames of one camera. What it makes of them is scored beside what
//! the published tracker made of the same boxes. Nobody knows the camera's scale: a person is taken to be 1.75 m tall, and
//! things are followed in the plane of the picture.

use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Control, DomainId, GatewayTime, LineId, Observation, Position, Reading, Record, SensorId, Site, SiteId, Stamp,
    Stamped, WallTime, ZoneId,
    observation::{DetectedPosition, Detection, Frame, ObjectClass, SourceTime},
    site::{Clock, Mount, Rates, Role, Rules, Sensor, Status, View, Zone, ZoneKind},
    units::Finite,
};
use quaywatch_tests::{benchmark::KEY, score};
use serde_json::{Value, json};
use std::{collections::BTreeMap, error::Error, fs, path::Path};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Frames a second of both sequences.
const RATE: f64 = 25.0;
const PERSON_M: f64 = 1.75;
/// The scorer takes a track for another thing's when it is 10 m off; half a metre is right between people.
const STRETCHED: f64 = 20.0;
/// How well a box shows where a person is, in metres: a tenth of its height.
const SPREAD_M: f64 = PERSON_M / 10.0;
const START: i64 = 1_700_000_000_000_000_000;

fn main() -> Fallible<()> {
    let folders: Vec<_> = std::env::args_os().skip(1).collect();
    if folders.is_empty() {
        println!("SKIPPED: the check on real data needs the folder of a MOTChallenge sequence, such as TUD-Stadtmitte");
    }
    for folder in folders {
        check(Path::new(&folder))?;
    }
    Ok(())
}

fn check(folder: &Path) -> Fallible<()> {
    let truth = Boxes::read(&folder.join("gt.txt"))?;
    let seen = Boxes::read(&folder.join("test.txt"))?;
    let scale = PERSON_M / truth.middle_height();
    let theirs = score(&truth, &seen.rows(scale), scale)?;
    let ours = score(&truth, &followed(&truth, &seen, scale)?, scale)?;
    println!("{}: {} frames, {} boxes", folder.display(), truth.frames(), seen.0.values().map(Vec::len).sum::<usize>());
    for (who, it) in [("the published tracker", theirs), ("this engine", ours)] {
        println!(
            "  {who:<22} found {:.3}, false a frame {:.2}, identity switches {}, tracks {}, {:.2} m off, GOSPA {:.2} m",
            it.completeness,
            it.false_per_s,
            it.id_switches,
            it.tracks,
            it.rmse / STRETCHED,
            it.gospa / STRETCHED
        );
    }
    Ok(())
}

/// Boxes by frame.
struct Boxes(BTreeMap<u32, Vec<Seen>>);

/// An identity, the middle of a foot line and a height, in pixels.
#[derive(Clone, Copy)]
struct Seen {
    id: u32,
    x: f64,
    y: f64,
    height: f64,
}

/// A second and what is said to be where then, in stretched metres.
type Row = (f64, Vec<(String, f64, f64)>);

impl Boxes {
    fn read(path: &Path) -> Fallible<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut boxes: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
        for (line, number) in text.lines().filter(|line| !line.trim().is_empty()).zip(1..) {
            let wrong = || format!("{}, line {number}: not frame,id,left,top,width,height", path.display());
            let fields: Vec<f64> = line.split(',').map_while(|field| field.trim().parse().ok()).collect();
            let [frame, id, left, top, width, height, ..] = fields[..] else { return Err(wrong().into()) };
            if !fields.iter().all(|field| field.is_finite()) || frame < 1.0 || height <= 0.0 {
                return Err(wrong().into());
            }
            let seen = Seen { id: id as u32, x: left + width / 2.0, y: top + height, height };
            boxes.entry(frame as u32).or_default().push(seen);
        }
        if boxes.is_empty() { Err(format!("{} is empty", path.display()).into()) } else { Ok(Self(boxes)) }
    }

    fn middle_height(&self) -> f64 {
        let mut heights: Vec<f64> = self.0.values().flatten().map(|it| it.height).collect();
        heights.sort_by(f64::total_cmp);
        heights[heights.len() / 2]
    }

    fn frames(&self) -> u32 {
        self.0.keys().next_back().copied().unwrap_or(0)
    }

    fn of(&self, frame: u32) -> &[Seen] {
        self.0.get(&frame).map_or(&[], Vec::as_slice)
    }

    fn rows(&self, scale: f64) -> Vec<Row> {
        let stretched = scale * STRETCHED;
        let row = |frame: u32| {
            self.of(frame).iter().map(|it| (it.id.to_string(), it.x * stretched, it.y * stretched)).collect()
        };
        (1..=self.frames()).map(|frame| (seconds(frame), row(frame))).collect()
    }
}

fn seconds(frame: u32) -> f64 {
    f64::from(frame) / RATE
}

/// What the engine says is where, at the time of each frame, once it has seen it.
fn followed(truth: &Boxes, seen: &Boxes, scale: f64) -> Fallible<Vec<Row>> {
    let mut engine = Engine::new(KEY);
    let site = Control::SiteApplied { site: Box::new(site(truth, scale)?), digest: [0; 32] };
    engine.observe(&Stamped { stamp: stamp(0), record: Record::Control(site) });
    let mut rows = Vec::new();
    for frame in 1..=truth.frames() {
        let detections = seen.of(frame).iter().map(|it| detection(it, scale)).collect::<Fallible<_>>()?;
        let mut observation = Observation::live(SensorId::new("camera")?, Reading::Frame(Frame { detections }));
        observation.observed_at = Some(SourceTime { at: stamp(frame).wall, uncertainty_ms: 1 });
        engine.observe(&Stamped { stamp: stamp(frame), record: Record::Observation(observation) });
        let tracks = engine.tracks(stamp(frame).wall);
        let tracks = tracks.iter().map(|it| (it.id.to_string(), it.x * STRETCHED, it.y * STRETCHED)).collect();
        rows.push((seconds(frame), tracks));
    }
    Ok(rows)
}

fn detection(seen: &Seen, scale: f64) -> Fallible<Detection> {
    let covariance = [Finite::new(SPREAD_M * SPREAD_M)?, Finite::new(0.0)?, Finite::new(SPREAD_M * SPREAD_M)?];
    let position =
        DetectedPosition::Cartesian { x: Finite::new(seen.x * scale)?, y: Finite::new(seen.y * scale)?, covariance };
    Ok(Detection {
        class: ObjectClass::Person,
        confidence: None,
        position: Some(position),
        speed: None,
        zones: Vec::new(),
    })
}

/// One camera that sees the whole picture.
fn site(truth: &Boxes, scale: f64) -> Fallible<Site> {
    let far = |of: fn(&Seen) -> f64| truth.0.values().flatten().map(of).fold(0.0, f64::max) * scale + 1.0;
    let (wide, high) = (far(|it| it.x), far(|it| it.y));
    let outline = vec![(0.0, 0.0), (wide, 0.0), (wide, high), (0.0, high)];
    let zone = Zone {
        name: "Picture".into(),
        kind: ZoneKind::Quay,
        direction: None,
        length_m: None,
        media: None,
        closed: None,
        outline: outline.clone(),
    };
    let camera = Sensor {
        zone: ZoneId::new("picture")?,
        role: Role::PositionCamera,
        at_m: None,
        domain: DomainId::new("camera")?,
        line: LineId::new("camera")?,
        silent_after: None,
        unit: None,
        range: None,
        // What the published tracker's boxes come to by the yardstick below, rounded.
        rates: Rates { detection: 0.65, false_alarm: 0.05 },
        mount: Some(Mount { x: wide / 2.0, y: high, facing_deg: 90.0 }),
        view: Some(View::Polygon(outline)),
        clock: Clock::Synchronised,
        leads: None,
    };
    Ok(Site {
        locode: "DEDAR".into(),
        id: SiteId::new("outside")?,
        timezone: "UTC".into(),
        status: Status::Test,
        zones: [(ZoneId::new("picture")?, zone)].into(),
        sensors: [(SensorId::new("camera")?, camera)].into(),
        rules: Rules::default(),
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: BTreeMap::new(),
    })
}

fn stamp(frame: u32) -> Stamp {
    let at = START + (seconds(frame) * 1e9) as i64;
    Stamp {
        position: Position(u64::from(frame) + 1),
        gateway: GatewayTime(at as u64),
        wall: WallTime(at),
        ..Stamp::default()
    }
}

/// By the quay's yardstick, in stretched metres and per frame where it says per second.
fn score(truth: &Boxes, said: &[Row], scale: f64) -> Fallible<score::quay::Report> {
    let folder = tempfile::tempdir()?;
    let objects = |row: &Row| -> Vec<Value> {
        row.1.iter().map(|(id, x, y)| json!([id.parse::<u64>().unwrap_or(0), "person", x, y, 0.0, 0.0])).collect()
    };
    let epochs = truth.rows(scale);
    let lines: Vec<String> = epochs.iter().map(|row| json!({ "t": row.0, "objs": objects(row) }).to_string()).collect();
    fs::write(folder.path().join("truth.jsonl"), lines.join("\n"))?;
    let said: Vec<String> = said.iter().map(|(t, tracks)| json!({ "t": t, "tracks": tracks }).to_string()).collect();
    Ok(score::quay::score(folder.path(), &said.join("\n"))?)
}
