//! How a sensor is read from messages: over a broker or posted to us; JSON by pointer, or a camera's own format.

use super::{
    SensorTable, defaults,
    read_streamed::scanner,
    sensors::{Reading, Wired, kind_of, only_with, unit_of},
};
use crate::config::{document::Table, findings::Findings, plan::Read, values::site::ReadingKind, written::Word};
use quaywatch_drivers::{
    camera::frigate,
    frame,
    json::{Kind, Mapping, TimeFormat},
    mqtt, webhook,
};
use quaywatch_schemas::{site::Role, units::Unit};
use toml::Spanned;

/// Keys that say how JSON is read.
const JSON: &[&str] = &[
    "value",
    "time",
    "time_format",
    "id",
    "confidence",
    "stable",
    "decision",
    "granted_when",
    "true_when",
    "unit",
    "positions",
    "kind",
];
/// Keys that say where in a message what is: frames have a format of their own.
const POINTERS: &[&str] =
    &["value", "time", "time_format", "id", "confidence", "stable", "decision", "granted_when", "true_when", "unit"];
/// What a message can be.
const GIVES: &[ReadingKind] = &[
    ReadingKind::Contact,
    ReadingKind::Count,
    ReadingKind::Measure,
    ReadingKind::Plate,
    ReadingKind::Container,
    ReadingKind::Tag,
    ReadingKind::Credential,
    ReadingKind::People,
    ReadingKind::Health,
    ReadingKind::Frame,
];
/// What Frigate calls its topics unless it was told otherwise.
const FRIGATE_PREFIX: &str = "frigate";

pub(super) fn subscription(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    findings: &mut Findings,
) -> Option<Wired> {
    let topic = findings.take(table.value.topic.take());
    let frigate = findings.take(table.value.frigate.take());
    let prefix = findings.take(table.value.frigate_prefix.take());
    let session = findings.value(table.value.session.take()).map_or(reading.usual.session, |Word(name)| name.into());
    let at_least_once = match findings.take(table.value.qos.take()) {
        None => true,
        Some(qos) => {
            if *qos.get_ref() > 1 {
                let help =
                    "write 1, the default: messages are acknowledged once they are stored; or 0 for \"at most once\"";
                findings.add(qos.span(), format!("quality of service {} is not supported", qos.get_ref()), help);
            }
            *qos.get_ref() != 0
        }
    };
    let with = |topic: String, gives| mqtt::Subscription { topic, session, at_least_once, gives };
    if table.has("frigate") {
        only_with(
            table,
            &["topic"],
            "does not go with `frigate`",
            "Frigate's topics are known; another prefix is `frigate_prefix`",
            findings,
        );
        only_with(table, JSON, "does not go with `frigate`", "Frigate's messages are known: take it out", findings);
        let gives = camera_gives(table, reading, findings)?;
        let prefix = prefix.map_or_else(|| Some(FRIGATE_PREFIX.to_owned()), |prefix| plain_prefix(prefix, findings));
        let camera = frigate::Camera { name: frigate?.into_inner().0, gives };
        let gives = mqtt::Gives::Frigate { sensor: reading.id.clone(), camera };
        return Some(Wired { read: Read::Mqtt(with(prefix?, gives)), unit: None, silent_after: None });
    }
    only_with(table, &["frigate_prefix"], "goes with `frigate`", "take it out, or add frigate = \"CAMERA\"", findings);
    if !table.has("topic") {
        let what = format!("`{}` does not say what is read", table.path);
        findings.add(table.at.clone(), what, "add topic = \"…\" for JSON, or frigate = \"CAMERA\"");
    }
    let (says, unit, silent_after) = message(table, reading, findings)?;
    let sensor = reading.id.clone();
    let gives = match says {
        Says::Mapped(mapping) => mqtt::Gives::Json { sensor, mapping },
        Says::Frames(source) => mqtt::Gives::Frames(source),
    };
    Some(Wired { read: Read::Mqtt(with(topic?.into_inner().0, gives)), unit, silent_after })
}

pub(super) fn hook(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Wired> {
    let help = "token = \"credential:NAME\": it proves the sender, as Authorization: Bearer TOKEN or ?token=TOKEN";
    let (at, path) = (table.at.clone(), table.path.clone());
    let token = findings.need(table.value.token.take(), (&at, &path), "token", help);
    let platerecognizer = findings.take(table.value.platerecognizer.take());
    let openalpr = findings.take(table.value.openalpr.take());
    let sensor = reading.id.clone();
    let vendor = ["platerecognizer", "openalpr"].into_iter().find(|vendor| table.has(vendor));
    let (gives, unit, silent_after) = match vendor {
        Some(vendor) => {
            if vendor == "platerecognizer" {
                only_with(
                    table,
                    &["openalpr"],
                    "does not go with `platerecognizer`",
                    "a camera speaks one format",
                    findings,
                );
            }
            only_with(
                table,
                JSON,
                &format!("does not go with `{vendor}`"),
                "its messages are known: take it out",
                findings,
            );
            kind_of(table, reading, &[ReadingKind::Plate], "a plate reader", findings)?;
            let gives = match vendor {
                "platerecognizer" => {
                    webhook::Gives::PlateRecognizer { sensor, camera: platerecognizer?.into_inner().0 }
                }
                _ => webhook::Gives::OpenAlpr { sensor, camera: openalpr?.into_inner().0 },
            };
            (gives, None, None)
        }
        None => {
            let (says, unit, silent_after) = message(table, reading, findings)?;
            let gives = match says {
                Says::Mapped(mapping) => webhook::Gives::Json { sensor, mapping },
                Says::Frames(source) => webhook::Gives::Frames(source),
            };
            (gives, unit, silent_after)
        }
    };
    Some(Wired { read: Read::Hook { token: token?, gives }, unit, silent_after })
}

/// What a message is read as.
enum Says {
    Mapped(Mapping),
    Frames(frame::Source),
}

type Message = (Says, Option<Unit>, Option<std::time::Duration>);

fn message(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Message> {
    let possible: Vec<ReadingKind> = match table.has("decision") {
        true => vec![ReadingKind::Credential],
        false => reading.usual.kinds.iter().copied().filter(|kind| GIVES.contains(kind)).collect(),
    };
    if possible.is_empty() {
        let help = "give it a line of its own: ais_udp, ais_tcp or ais_serial";
        findings.add(table.key("role"), "vessels are heard over AIS, not in messages", help);
        return None;
    }
    let kind = kind_of(table, reading, &possible, "a message", findings)?;
    if kind == ReadingKind::Frame {
        let why = "does not go with frames";
        only_with(table, POINTERS, why, "quaywatch.frame.v1 says where what is: take it out", findings);
        let source = scanner(table, reading, findings)?;
        return Some((Says::Frames(source), None, Some(defaults::SCAN_SILENT_AFTER)));
    }
    only_with(table, &["positions"], &format!("is for frames, and this is a {}", kind.word()), "take it out", findings);
    let (mapping, unit, silent_after) = mapping(table, reading, kind, findings)?;
    Some((Says::Mapped(mapping), unit, silent_after))
}

type Mapped = (Mapping, Option<Unit>, Option<std::time::Duration>);

fn mapping(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    kind: ReadingKind,
    findings: &mut Findings,
) -> Option<Mapped> {
    let value = findings.value(table.value.value.take());
    let time = findings.value(table.value.time.take());
    let time_format = findings.value(table.value.time_format.take()).map(|Word(format)| TimeFormat::from(format));
    let id = findings.value(table.value.id.take());
    let confidence = findings.value(table.value.confidence.take());
    let stable = findings.value(table.value.stable.take());
    let decision = findings.value(table.value.decision.take());
    let words = |said: Option<Spanned<Vec<Spanned<crate::config::values::Text>>>>| {
        said.map(|said| said.into_inner().into_iter().map(|text| text.into_inner().0).collect()).unwrap_or_default()
    };
    let granted_when: Vec<String> = words(findings.all(table.value.granted_when.take()));
    let true_when: Vec<String> = words(findings.all(table.value.true_when.take()));
    for (keys, kinds, noun) in [
        (&["confidence"][..], &[ReadingKind::Plate, ReadingKind::Container][..], "plates and container codes"),
        (&["stable", "unit"], &[ReadingKind::Measure], "measures"),
        (&["decision", "granted_when"], &[ReadingKind::Credential], "credentials"),
        (&["true_when"], &[ReadingKind::Contact, ReadingKind::Health], "contacts"),
    ] {
        if !kinds.contains(&kind) {
            only_with(table, keys, &format!("is for {noun}, and this is a {}", kind.word()), "take it out", findings);
        }
    }
    only_with_both(table, "time_format", "time", findings);
    only_with_both(table, "granted_when", "decision", findings);
    let unit = if kind == ReadingKind::Measure { Some(unit_of(table, reading, findings)?) } else { None };
    let becomes = match (kind, &unit) {
        (ReadingKind::Measure, Some(unit)) => Kind::Measure(unit.clone()),
        (ReadingKind::Contact, _) => Kind::Contact,
        (ReadingKind::Count, _) => Kind::Count,
        (ReadingKind::Plate, _) => Kind::Plate,
        (ReadingKind::Container, _) => Kind::Container,
        (ReadingKind::Tag, _) => Kind::Tag,
        (ReadingKind::Credential, _) => Kind::Credential,
        (ReadingKind::People, _) => Kind::People,
        (ReadingKind::Health | ReadingKind::Frame | ReadingKind::Vessel, _) | (ReadingKind::Measure, None) => {
            Kind::Health
        }
    };
    let mapping = Mapping {
        confidence: confidence.map(|pointer| pointer.0),
        stable: stable.map(|pointer| pointer.0),
        time: time.map(|pointer| (pointer.0, time_format.unwrap_or(TimeFormat::Rfc3339))),
        id: id.map(|pointer| pointer.0),
        decision: decision.map(|pointer| pointer.0),
        granted_when,
        true_when,
        ..Mapping::of(becomes, value.map_or_else(String::new, |pointer| pointer.0))
    };
    // Events come when something happens; measures come in a rhythm.
    let silent_after = (kind == ReadingKind::Measure).then_some(defaults::SENT_MEASURE_SILENT_AFTER);
    Some((mapping, unit, silent_after))
}

fn only_with_both(table: &Table<SensorTable>, key: &'static str, other: &str, findings: &mut Findings) {
    if !table.has(other) {
        only_with(table, &[key], &format!("goes with `{other}`"), &format!("add `{other}` or take this out"), findings);
    }
}

/// What a Frigate camera's events become in a role.
fn camera_gives(table: &Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<frigate::Gives> {
    match reading.role {
        Role::PlateFront | Role::PlateRear => Some(frigate::Gives::Plates),
        Role::PresenceCamera | Role::Pedestrian => Some(frigate::Gives::Frames),
        _ => {
            let help = "a Frigate camera is plate.front, plate.rear, presence.camera or pedestrian";
            findings.add(table.key("role"), "a Frigate camera cannot have this role", help);
            None
        }
    }
}

fn plain_prefix(prefix: Spanned<crate::config::values::TopicFilter>, findings: &mut Findings) -> Option<String> {
    let at = prefix.span();
    let text = prefix.into_inner().0;
    if text.contains(['+', '#']) || text.ends_with('/') {
        findings.add(at, "this is no prefix", "write it as in Frigate's mqtt.topic_prefix, without wildcards");
        return None;
    }
    Some(text)
}
