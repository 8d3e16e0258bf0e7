//! How a scenario is written.
//!
//! ```text
//! # What happens, in a sentence or two.
//! site gate
//! start 2026-03-14T02:11:50Z
//! rules all                      if not only the rule of the folder
//!
//! 0       arm     off            seconds after the start, sensor, what it says
//! 0..60/5 front   alive          every 5 s from 0 until 60
//! 0..60/2 hook    100..300 kN    a value that rises evenly
//! 14.1    grant   count 18
//! 22.5    rear    plate 7-KLB-09 0.88 also 7-KL8-09    claimed 3    what the source says was 3 s ago
//! 30      front   plate X-1 0.9   history                           kept back by the source
//! 31      bookings booked 12-BRV-4 32000      feed, fact; `as-of 7200`: the list is two hours old
//! 31      bookings booked 12-BRV-4 32000 tag T4 carrying MSCU1234566    what the vehicle has with it
//! 31      radar   sees vessel 40..10 -30      a scan: class, metres along the site's axes; more things follow; `sees nothing`
//! 31      ais     hears 244000002 40 -30      a vessel's own word: its MMSI and where it says it is, in the same metres
//! 32      roster  holds A7 docker quay,yard shift 0 28800     badge, role, its zones, shifts in seconds after the start
//! 40      started                the gateway starts again
//! 90      end                    nothing more comes; time passes until then
//!
//! expect
//! ```
//!
//! Words: `on`, `off`, `count N`, `V UNIT [unstable|stable]`, `plate TEXT SCORE [also TEXT SCORE]`, `container CODE SCORE`,
//! `tag ID DBM`, `person SCORE`, `animal SCORE`, `nobody`, `people N`, `granted BADGE`, `denied BADGE`, `not-taken BADGE`, `duress BADGE`, `blind`, `faulty`, `tampered`, `alive`,
//! `no-data WHY`, `media CAMERA` (15 s before until 15 s after).

use crate::site;
use quaywatch_schemas::{
    Control, FeedId, GatewayTime, NoData, Observation, Position, Private, Reading, Record, SensorId, Stamp, Stamped,
    WallTime, ZoneId,
    observation::{
        AccessDecision, Candidate, Container, Cooperative, Credential, DenialReason, DetectedPosition, Detection,
        Frame, Freshness, Health, Measure, Media, ObjectClass, Plate, SourceTime, Tag,
    },
    reference::{self, Booking, Fact, Reference, References, Shift},
    sealed::Identity,
    time::{ClockQuality, ClockState},
    units::{Finite, Probability, Unit},
};
use std::str::FromStr;

/// A scenario, ready to be played.
pub struct Scenario {
    pub records: Vec<Stamped>,
    pub start: WallTime,
    /// Until when time passes, after the last record.
    pub end: Stamp,
    pub expected: String,
}

/// Gateway time at the start of every scenario.
const GATEWAY_START: u64 = 1_000_000_000_000;

impl Scenario {
    pub fn parse(text: &str, folder: &str) -> Result<Self, String> {
        let (script, expected) = text.split_once("\nexpect\n").unwrap_or((text, ""));
        let mut site_name = None;
        let mut start = WallTime(1_773_454_310_000_000_000);
        let mut rules = vec![folder.to_owned()];
        let mut said: Vec<(f64, Record)> = Vec::new();
        let mut end = None;
        for (line, number) in script.lines().zip(1..) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let failed = |why: String| format!("line {number}: {why}");
            match words.as_slice() {
                [] => {}
                [comment, ..] if comment.starts_with('#') => {}
                ["site", name] => site_name = Some(*name),
                ["start", at] => start = instant(at)?,
                ["rules", names @ ..] => rules = names.iter().map(|name| (*name).to_owned()).collect(),
                [at, "end"] => end = Some(number_of(at).map_err(failed)?),
                [at, rest @ ..] => {
                    let (times, share) = times(at).map_err(failed)?;
                    for (index, time) in times.iter().enumerate() {
                        let share = share * index as f64;
                        said.push((*time, record(rest, *time, share, start).map_err(failed)?));
                    }
                }
            }
        }
        said.sort_by(|a, b| a.0.total_cmp(&b.0));
        let site = site::load(site_name.ok_or("no site")?, &rules);
        let first = [
            (0.0, Record::Control(Control::Started { build: "scenario".into(), boot: [0; 16] })),
            (0.0, Record::Control(Control::SiteApplied { site: Box::new(site), digest: [0; 32] })),
        ];
        let records: Vec<Stamped> = first
            .into_iter()
            .chain(said)
            .zip(1..)
            .map(|((time, record), position)| Stamped { stamp: stamp(time, position, start), record })
            .collect();
        let last = records.last().map_or(Position(0), |record| record.stamp.position);
        let end = stamp(end.ok_or("no end")?, last.0, start);
        Ok(Self { records, start, end, expected: expected.to_owned() })
    }

    /// Seconds after the start.
    pub fn seconds(&self, at: WallTime) -> f64 {
        (at.0 - self.start.0) as f64 / 1e9
    }

    pub fn gateway_seconds(&self, at: GatewayTime) -> f64 {
        (at.0 as f64 - GATEWAY_START as f64) / 1e9
    }
}

pub fn stamp(seconds: f64, position: u64, start: WallTime) -> Stamp {
    let nanos = (seconds * 1e6).round() as i64 * 1000;
    Stamp {
        position: Position(position),
        gateway: GatewayTime(GATEWAY_START + nanos as u64),
        wall: WallTime(start.0 + nanos),
        quality: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
    }
}

pub fn instant(text: &str) -> Result<WallTime, String> {
    let at = jiff::Timestamp::from_str(text).map_err(|e| format!("{text}: {e}"))?;
    Ok(WallTime(at.as_nanosecond() as i64))
}

fn number_of(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

/// One time, or many with the share of the way that each step makes.
fn times(word: &str) -> Result<(Vec<f64>, f64), String> {
    let Some((from, rest)) = word.split_once("..") else { return Ok((vec![number_of(word)?], 0.0)) };
    let (until, every) = rest.split_once('/').ok_or("from..until/every")?;
    let (from, until, every) = (number_of(from)?, number_of(until)?, number_of(every)?);
    let steps = ((until - from) / every + 1e-9).floor() as usize;
    Ok(((0..=steps).map(|step| from + step as f64 * every).collect(), 1.0 / steps.max(1) as f64))
}

fn record(words: &[&str], now: f64, share: f64, start: WallTime) -> Result<Record, String> {
    let at = |seconds: f64| WallTime(start.0 + (seconds * 1e9) as i64);
    match words {
        ["started"] => return Ok(Record::Control(Control::Started { build: "scenario".into(), boot: [1; 16] })),
        ["site", name, rules @ ..] => {
            let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
            let site = Box::new(site::load(name, &rules));
            return Ok(Record::Control(Control::SiteApplied { site, digest: [1; 32] }));
        }
        [feed, "booked", plate, kilograms, rest @ ..] => {
            let mut booking = Booking {
                plate: Private::clear(*plate),
                containers: Vec::new(),
                declared_gross_kg: Some(number_of(kilograms)? as u32),
                zones: Vec::new(),
                tag: None,
                driver: None,
            };
            let mut rest = rest;
            loop {
                match rest {
                    ["tag", tag, more @ ..] => (booking.tag, rest) = (Some(Private::clear(*tag)), more),
                    ["carrying", code, more @ ..] => {
                        booking.containers.push(Private::clear(*code));
                        rest = more;
                    }
                    _ => break,
                }
            }
            return references(feed, plate, Fact::Booking(booking), rest, now, start);
        }
        [feed, "holds", badge, role, zones, rest @ ..] => {
            let zones = zones.split(',').map(ZoneId::new).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
            let (mut shifts, mut rest) = (Vec::new(), rest);
            while let ["shift", from, until, more @ ..] = rest {
                shifts.push(Shift { from: at(number_of(from)?), until: at(number_of(until)?) });
                rest = more;
            }
            let holder = Identity { handle: None, value: Private::clear(*badge) };
            let role = reference::Role { holder, role: (*role).into(), zones, shifts };
            return references(feed, badge, Fact::Role(role), rest, now, start);
        }
        [feed, "work-in", zone, rest @ ..] => {
            let zone = ZoneId::new(zone).map_err(|e| e.to_string())?;
            return references(feed, zone.clone().as_str(), Fact::WorkOrder { zone }, rest, now, start);
        }
        _ => {}
    }
    let (sensor, mut rest) = words.split_first().ok_or("who says what?")?;
    let sensor = SensorId::new(sensor).map_err(|e| format!("{sensor}: {e}"))?;
    let mut observation = Observation::live(sensor, Reading::Contact(false));
    loop {
        match rest {
            [before @ .., "history"] => {
                observation.freshness = Freshness::History;
                rest = before;
            }
            [before @ .., "claimed", ago] => {
                observation.observed_at = Some(SourceTime { at: at(now - number_of(ago)?), uncertainty_ms: 0 });
                rest = before;
            }
            [before @ .., "media", camera] => {
                let (from, to) = (at(now - 15.0), at(now + 15.0));
                observation.media = Some(Media { camera: (*camera).into(), from, to });
                rest = before;
            }
            _ => break,
        }
    }
    observation.reading = reading(rest, share)?;
    Ok(Record::Observation(observation))
}

fn references(feed: &str, key: &str, fact: Fact, rest: &[&str], now: f64, start: WallTime) -> Result<Record, String> {
    let age = match rest {
        [] => 0.0,
        ["as-of", age] => number_of(age)?,
        other => return Err(format!("{other:?}: as-of SECONDS")),
    };
    let as_of = WallTime(start.0 + ((now - age) * 1e9) as i64);
    let statement = Reference { key: key.into(), valid_from: None, valid_until: None, version: 1, fact };
    let feed = FeedId::new(feed).map_err(|e| e.to_string())?;
    Ok(Record::Control(Control::References(References { feed, as_of, complete: false, statements: vec![statement] })))
}

fn reading(words: &[&str], share: f64) -> Result<Reading, String> {
    let score =
        |word: &str| -> Result<_, String> { Ok(Some(Probability::new(number_of(word)?).map_err(|e| e.to_string())?)) };
    let private = |word: &str| Private::clear(word);
    let credential = |badge: &str, decision| {
        Reading::Credential(Credential { holder: Identity { handle: None, value: Private::clear(badge) }, decision })
    };
    let seen = |class, confidence| {
        let detection = Detection { class, confidence, position: None, speed: None, zones: Vec::new() };
        Reading::Frame(Frame { detections: vec![detection] })
    };
    Ok(match words {
        ["on"] => Reading::Contact(true),
        ["off"] => Reading::Contact(false),
        ["count", total] => Reading::Count(number_of(total)? as u64),
        ["plate", text, confidence] => Reading::Plate(Plate {
            text: private(text),
            confidence: score(confidence)?,
            candidates: vec![],
            region: None,
        }),
        ["plate", text, confidence, "also", other, less] => Reading::Plate(Plate {
            text: private(text),
            confidence: score(confidence)?,
            candidates: vec![Candidate { text: private(other), confidence: score(less)? }],
            region: None,
        }),
        ["container", code, confidence] => {
            Reading::Container(Container { code: private(code), confidence: score(confidence)?, candidates: vec![] })
        }
        ["tag", id, strength] => Reading::Tag(Tag { id: private(id), rssi_dbm: Some(number_of(strength)? as i16) }),
        ["sees", "nothing"] => Reading::Frame(Frame { detections: Vec::new() }),
        ["sees", things @ ..] => Reading::Frame(Frame {
            detections: things.chunks(3).map(|thing| placed(thing, share)).collect::<Result<_, _>>()?,
        }),
        ["hears", mmsi, x, y] => {
            let mmsi = mmsi.parse().map_err(|_| format!("{mmsi} is no MMSI"))?;
            let (east, north) = (between(x, share)?, between(y, share)?);
            let metres = |degrees: f64, metres: f64, per_degree: f64| {
                Finite::new(degrees + metres / per_degree).map_err(|e| e.to_string())
            };
            Reading::Cooperative(Cooperative::at(
                mmsi,
                metres(site::GRID.latitude, north, METRES_PER_DEGREE.0)?,
                metres(site::GRID.longitude, east, METRES_PER_DEGREE.1)?,
            ))
        }
        ["person", confidence] => seen(ObjectClass::Person, score(confidence)?),
        ["animal", confidence] => seen(ObjectClass::Animal, score(confidence)?),
        ["nobody"] => Reading::Frame(Frame { detections: Vec::new() }),
        ["people", count] => Reading::People(number_of(count)? as u32),
        ["granted", badge] => credential(badge, AccessDecision::Granted),
        ["denied", badge] => credential(badge, AccessDecision::Denied(DenialReason::Unauthorized)),
        ["not-taken", badge] => credential(badge, AccessDecision::NotTaken),
        ["duress", badge] => credential(badge, AccessDecision::Duress),
        ["blind"] => Reading::Health(Health::Blind),
        ["faulty"] => Reading::Health(Health::Faulty),
        ["tampered"] => Reading::Health(Health::Tampered),
        ["alive"] => Reading::Health(Health::Alive),
        ["no-data", why] => Reading::NoData(match *why {
            "silent" => NoData::Silent,
            "disconnected" => NoData::Disconnected,
            "timeout" => NoData::Timeout,
            "exception" => NoData::Exception(4),
            "bad-value" => NoData::BadValue,
            "overload" => NoData::Overload(100),
            "tampered" => NoData::Tampered,
            "maintenance" => NoData::Maintenance,
            other => return Err(format!("no-data {other}?")),
        }),
        [value, unit] => measure(value, unit, None, share)?,
        [value, unit, "stable"] => measure(value, unit, Some(true), share)?,
        [value, unit, "unstable"] => measure(value, unit, Some(false), share)?,
        other => return Err(format!("{}: not a word of scenarios", other.join(" "))),
    })
}

fn measure(value: &str, unit: &str, stable: Option<bool>, share: f64) -> Result<Reading, String> {
    let value = Finite::new(between(value, share)?).map_err(|e| e.to_string())?;
    let unit = Unit::new(unit).map_err(|e| format!("{unit}: {e}"))?;
    Ok(Reading::Measure(Measure { value, unit, stable }))
}

/// A value, or one that rises evenly.
fn between(word: &str, share: f64) -> Result<f64, String> {
    let Some((from, until)) = word.split_once("..") else { return number_of(word) };
    let (from, until) = (number_of(from)?, number_of(until)?);
    Ok(from + (until - from) * share)
}

/// Something in a scan, with where it is to a metre.
fn placed(thing: &[&str], share: f64) -> Result<Detection, String> {
    let [class, x, y] = thing else { return Err(format!("{thing:?}: sees CLASS X Y")) };
    let class = match *class {
        "person" => ObjectClass::Person,
        "vehicle" => ObjectClass::Vehicle,
        "vessel" => ObjectClass::Vessel,
        "something" => ObjectClass::Other,
        other => return Err(format!("{other} is nothing that can be seen")),
    };
    let finite = |value| Finite::new(value).map_err(|e| e.to_string());
    let covariance = [finite(1.0)?, finite(0.0)?, finite(1.0)?];
    let position =
        DetectedPosition::Cartesian { x: finite(between(x, share)?)?, y: finite(between(y, share)?)?, covariance };
    Ok(Detection { class, confidence: None, position: Some(position), speed: None, zones: Vec::new() })
}

/// North and east of the sites' grid at 51.95 degrees north, on the WGS 84 ellipsoid.
const METRES_PER_DEGREE: (f64, f64) = (111_266.0, 68_754.5);
