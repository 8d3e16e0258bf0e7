//! The world played straight into fusion and sharing, without sockets, clocks and waiting: whether the demo's own site file
//! makes the gateway say what is true and nothing else, over many days. What a device or a driver does on the way is done
//! here in the plainest way; `quaywatch demo` itself is the test of those.

use crate::{
    config::{load_sharing, load_site},
    guards::CEL,
};
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Control, FeedId, GatewayTime, NoData, Observation, Policy, Position, Private, Reading, RecipientId, Record,
    Reference, SensorId, Site, Situation, Stamp, Stamped, WallTime,
    observation::{Detection, Frame, Health, Measure, ObjectClass, Plate},
    reference::{Booking, Fact, References},
    site::rules::Mode,
    situation::{Phase, SituationId},
    units::{Finite, Probability, Unit},
};
use quaywatch_sharing::{Context, Decision, Told, decide};
use quaywatch_simulator::{
    devices::cameras::{camera_name, rear_camera},
    files::{self, Ports},
    score::{Report, Said, Scorer},
    world::{self, Camera, Contact, Happening, PlateRead, ROUND, Round, Shed, World},
};
use std::{collections::BTreeMap, time::Duration};

/// 2026-11-24T02:00:00Z.
const BEGINS: i64 = 1_795_485_600_000_000_000;
/// From the device to the log, and from fusion to the recipient.
const ON_THE_WAY: Duration = Duration::from_millis(100);

struct Rehearsal {
    engine: Engine,
    site: Site,
    policy: Policy,
    scorer: Scorer,
    told: BTreeMap<(RecipientId, SituationId), Told>,
    position: u64,
    grants: BTreeMap<&'static str, u64>,
    /// What contacts and counters said last, to be repeated.
    last: BTreeMap<SensorId, Reading>,
    repeat_at: Duration,
}

/// Nodes repeat themselves this often; controllers' values are repeated less often, which makes no difference here.
const REPEAT: Duration = Duration::from_secs(10);

impl Rehearsal {
    fn new(site: Site, policy: Policy) -> Self {
        Self {
            engine: Engine::new([7; 32]).with_guards(&CEL),
            site,
            policy,
            scorer: Scorer::default(),
            told: BTreeMap::new(),
            position: 0,
            grants: BTreeMap::new(),
            last: BTreeMap::new(),
            repeat_at: REPEAT,
        }
    }

    fn play(&mut self, world: World, rounds: u64) -> Report {
        self.take(
            Duration::ZERO,
            Record::Control(Control::SiteApplied { site: Box::new(self.site.clone()), digest: [0; 32] }),
        );
        let sensors: Vec<SensorId> = self.site.sensors.keys().cloned().collect();
        for sensor in sensors {
            if let Some(reading) = at_rest(sensor.as_str()) {
                self.say(Duration::ZERO, Observation::live(sensor, reading));
            }
        }
        let mut all = Vec::new();
        let mut booked = Vec::new();
        for number in 0..rounds {
            let round = world.round(number);
            let begins = ROUND * u32::try_from(number).unwrap();
            let list = [std::mem::replace(&mut booked, round.bookings.clone()), round.bookings.clone()].concat();
            all.push((begins, Record::Control(bookings(&list, begins))));
            let said = said_in(&world, &round, begins, &mut self.grants);
            all.extend(said.into_iter().map(|(at, said)| (at, Record::Observation(said))));
            for truth in round.truths {
                self.scorer.expect(truth);
            }
        }
        // A detector may be held beyond the end of its round.
        all.sort_by_key(|(at, _)| *at);
        for (at, record) in all {
            match record {
                Record::Observation(said) => self.say(at, said),
                other => self.take(at, other),
            }
        }
        let end = ROUND * u32::try_from(rounds).unwrap();
        self.advance(end);
        self.scorer.report(end)
    }

    fn say(&mut self, at: Duration, said: Observation) {
        while self.repeat_at <= at {
            for (sensor, reading) in self.last.clone() {
                self.take(self.repeat_at, Record::Observation(Observation::live(sensor, reading)));
            }
            self.repeat_at += REPEAT;
        }
        if matches!(said.reading, Reading::Contact(_) | Reading::Count(_)) {
            self.last.insert(said.sensor.clone(), said.reading.clone());
        }
        self.take(at, Record::Observation(said));
    }

    fn take(&mut self, at: Duration, record: Record) {
        self.position += 1;
        let stamped = Stamped { stamp: self.stamp(at + ON_THE_WAY), record };
        let situations = self.engine.observe(&stamped);
        self.tell(situations);
    }

    fn advance(&mut self, at: Duration) {
        let situations = self.engine.advance(&self.stamp(at));
        self.tell(situations);
    }

    fn stamp(&self, at: Duration) -> Stamp {
        let gateway = GatewayTime(BEGINS as u64).after(at);
        Stamp { position: Position(self.position), gateway, wall: WallTime(BEGINS).after(at), ..Stamp::default() }
    }

    fn tell(&mut self, situations: Vec<Situation>) {
        for situation in situations.iter().filter(|situation| situation.mode == Mode::Tell) {
            let recipients: Vec<RecipientId> = self.policy.recipients.keys().cloned().collect();
            for recipient in recipients {
                self.tell_one(&recipient, situation);
            }
        }
    }

    fn tell_one(&mut self, recipient: &RecipientId, situation: &Situation) {
        let key = (recipient.clone(), situation.id);
        let context = Context {
            policy: &self.policy,
            site: &self.site,
            told: self.told.get(&key),
            others_told: &[],
            reference_key: &[9; 32],
            late: false,
            now: situation.concluded_wall,
        };
        let Decision::Release(release) = decide(recipient, situation, &context) else { return };
        let product = &release.product;
        let said = Said {
            recipient: recipient.to_string(),
            reference: product.reference.clone(),
            kind: product.kind.clone(),
            zone: product.zone.id.clone(),
            at: situation.concluded.since(GatewayTime(BEGINS as u64)) + ON_THE_WAY,
        };
        self.scorer.hear(said, product.phase == Phase::Retracted);
        self.told.insert(key, release.told);
    }
}

/// What a sensor says when nothing happens.
fn at_rest(sensor: &str) -> Option<Reading> {
    let (_, what) = sensor.split_once('-')?;
    match what {
        "grant" => Some(Reading::Count(0)),
        "loop-a" | "loop-b" | "arm" | "door" | "pir" | "fence" | "seal" => Some(Reading::Contact(false)),
        "camera" | "front" => Some(Reading::Health(Health::Alive)),
        _ => None,
    }
}

/// What the site's sensors say in a round.
fn said_in(
    world: &World,
    round: &Round,
    begins: Duration,
    grants: &mut BTreeMap<&'static str, u64>,
) -> Vec<(Duration, Observation)> {
    let mut all = Vec::new();
    let mut moved_until = Duration::ZERO;
    for (at, happening) in &round.happenings {
        let said = match happening {
            // A detector's node holds it for five seconds, so that the pulses of one walker are one word.
            Happening::Pir(true) => {
                let rises = *at >= moved_until;
                rises.then(|| ("quay1-pir".into(), Reading::Contact(true)))
            }
            Happening::Pir(false) => {
                moved_until = *at + Duration::from_secs(5);
                let still = round
                    .happenings
                    .iter()
                    .any(|(other, what)| matches!(what, Happening::Pir(true)) && *other > *at && *other < moved_until);
                if !still {
                    all.push((moved_until, observation("quay1-pir", Reading::Contact(false))));
                }
                None
            }
            other => said_of(other, grants),
        };
        // A node looks at a window of vibration before it says something of it.
        let delay =
            if matches!(happening, Happening::Fence { .. }) { Duration::from_millis(500) } else { Duration::ZERO };
        all.extend(said.map(|(sensor, reading): (String, Reading)| (*at + delay, observation(&sensor, reading))));
    }
    for half in 0..(ROUND.as_millis() / 500) as u32 {
        let at = begins + Duration::from_millis(500) * half;
        let loads = world.loads(at, &round.squalls);
        for (sensor, value, unit) in [
            ("berth1-line-1", loads[0], "kN"),
            ("berth1-line-2", loads[1], "kN"),
            ("berth1-wind", world.wind(at, &round.squalls), "m/s"),
        ] {
            all.push((at, observation(sensor, measure(value, unit, None))));
        }
    }
    all
}

fn said_of(happening: &Happening, grants: &mut BTreeMap<&'static str, u64>) -> Option<(String, Reading)> {
    let lane_name = |lane: &world::Lane| lane.zone().replace('-', "");
    Some(match happening {
        Happening::Contact(contact, lane, on) => {
            let what = match contact {
                Contact::Approach => "loop-a",
                Contact::Exit => "loop-b",
                Contact::Arm => "arm",
            };
            (format!("{}-{what}", lane_name(lane)), Reading::Contact(*on))
        }
        Happening::Granted(lane) => {
            let count = grants.entry(lane.zone()).or_default();
            *count += 1;
            (format!("{}-grant", lane_name(lane)), Reading::Count(*count))
        }
        Happening::Weight { kg, settled } => ("lane3-scale".into(), measure(f64::from(*kg), "kg", Some(*settled))),
        Happening::Door(shed, open) => (format!("{}-door", shed_name(*shed)), Reading::Contact(*open)),
        Happening::Seen(seen) => match (seen.camera, &seen.plate) {
            (Camera::Front(_), Some(read)) => (sensor_of(seen.camera), plate(read)),
            (Camera::Front(_), None) => return None,
            _ if seen.phase == world::Phase::End => return None,
            _ => {
                let class = match seen.label {
                    "person" => ObjectClass::Person,
                    "dog" => ObjectClass::Animal,
                    _ => ObjectClass::Vehicle,
                };
                let confidence = Probability::new(seen.score).ok();
                let detection = Detection { class, confidence, position: None, speed: None, zones: Vec::new() };
                (sensor_of(seen.camera), Reading::Frame(Frame { detections: vec![detection] }))
            }
        },
        Happening::LatePlate(late) => (sensor_of(late.camera), plate(&late.read)),
        Happening::RearPlate { lane, read, .. } => (rear_camera(*lane).into(), plate(read)),
        Happening::CameraState { camera, online: true } => (sensor_of(*camera), Reading::Health(Health::Alive)),
        Happening::CameraState { camera, online: false } => (sensor_of(*camera), Reading::NoData(NoData::Disconnected)),
        // Root mean square of a sine against the firmware's limit of 1.5 m/s².
        Happening::Fence { amplitude } => ("quay1-fence".into(), Reading::Contact(amplitude / 2f64.sqrt() >= 1.5)),
        Happening::Cabinet { open } => ("cabinet1-door".into(), Reading::Contact(*open)),
        Happening::Pir(_) => return None,
    })
}

fn sensor_of(camera: Camera) -> String {
    match camera {
        Camera::Front(_) => camera_name(camera).replace('_', "-"),
        _ => format!("{}-camera", camera_name(camera)),
    }
}

fn shed_name(shed: Shed) -> String {
    shed.zone().replace('-', "")
}

fn observation(sensor: &str, reading: Reading) -> Observation {
    Observation::live(SensorId::new(sensor).unwrap(), reading)
}

fn measure(value: f64, unit: &str, stable: Option<bool>) -> Reading {
    Reading::Measure(Measure { value: Finite::new(value).unwrap(), unit: Unit::new(unit).unwrap(), stable })
}

fn plate(read: &PlateRead) -> Reading {
    Reading::Plate(Plate {
        text: Private::clear(read.text.clone()),
        confidence: Probability::new(read.score).ok(),
        candidates: Vec::new(),
        region: Some(read.region.into()),
    })
}

fn bookings(list: &[world::Booking], at: Duration) -> Control {
    let statements = list.iter().enumerate().map(|(number, booking)| Reference {
        key: format!("B{number}"),
        valid_from: None,
        valid_until: None,
        version: 0,
        fact: Fact::Booking(Booking {
            plate: Private::clear(booking.plate.clone()),
            containers: booking.containers.iter().cloned().map(Private::clear).collect(),
            declared_gross_kg: Some(booking.declared_gross_kg),
            zones: vec![quaywatch_schemas::ZoneId::new(booking.zone).unwrap()],
            tag: None,
            driver: None,
        }),
    });
    Control::References(References {
        feed: FeedId::new("bookings").unwrap(),
        as_of: WallTime(BEGINS).after(at),
        complete: true,
        statements: statements.collect(),
    })
}

/// The demo's own files, read as `quaywatch run` reads them.
fn own_files() -> (Site, Policy) {
    let folder = super::folder::Folder::new().unwrap();
    folder.write("site.toml", &files::site(Ports::USUAL)).unwrap();
    folder.write("sharing.toml", &files::sharing(Ports::USUAL)).unwrap();
    let site = load_site(&folder.path("site.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let sharing = load_sharing(&folder.path("sharing.toml"), &site).unwrap_or_else(|problems| panic!("{problems}"));
    (site.site, sharing.policy)
}

#[test]
fn on_every_day_everything_is_said_in_time_and_nothing_else() {
    let (site, policy) = own_files();
    let mut wrong = Vec::new();
    for seed in 0..30 {
        let report = Rehearsal::new(site.clone(), policy.clone()).play(World::new(seed), 4);
        assert!(report.stories() >= 4 * 10, "seed {seed}: {}", report.stories());
        if report.missed() > 0 || report.wrong_count > 0 {
            wrong.push(format!("seed {seed}{}", super::show::table(&report)));
        }
    }
    assert!(wrong.is_empty(), "{} of 30 days:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_port_whose_bookings_are_not_stated_says_nothing_of_weights() {
    let (mut site, policy) = own_files();
    site.feeds.clear();
    let report = Rehearsal::new(site, policy).play(World::new(1), 1);
    let weight = report.rows.iter().find(|row| row.what.contains("weight")).unwrap();
    assert_eq!((weight.missed(), report.missed(), report.wrong_count), (1, 1, 0), "{report:?}");
}
