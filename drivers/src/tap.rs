//! Watching a sensor live: what came and what was made of it, with identities masked in both.
//!
//! **Masking is by what is allowed, not by what is forbidden**: vendors name their fields as they like, so a text is shown
//! only if it is one that cannot name anybody (a time, a number, a word for a state, or the value of a field known to be
//! harmless); of the rest not even the length is shown.

use quaywatch_schemas::{
    NoData, Observation, Reading, Record, SensorId,
    observation::{AccessDecision, Candidate, Freshness, Health, Phase},
    units::Probability,
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast;

/// One signal as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    /// The signal as text, identity fields masked; for one that could not be decoded its length only.
    pub raw: String,
    /// What was made of it, identity fields masked, or why nothing was.
    pub decoded: String,
}

/// Who is watching which sensor. Costs one lock and a look-up per signal, and no formatting, while nobody watches.
#[derive(Debug, Clone, Default)]
pub struct Taps(Arc<Mutex<BTreeMap<SensorId, broadcast::Sender<Tapped>>>>);

impl Taps {
    /// Starts watching. A watcher that falls more than 64 signals behind misses the oldest.
    pub fn watch(&self, sensor: &SensorId) -> broadcast::Receiver<Tapped> {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taps.entry(sensor.clone()).or_insert_with(|| broadcast::channel(64).0).subscribe()
    }

    /// Shows a signal to whoever watches `sensor`; `show` runs only if somebody does.
    pub fn show(&self, sensor: &SensorId, show: impl FnOnce() -> Tapped) {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tap) = taps.get(sensor) else { return };
        if tap.receiver_count() == 0 {
            taps.remove(sensor);
        } else {
            let _ = tap.send(show());
        }
    }
}

impl Tapped {
    /// A signal that could not be decoded: nothing of it is shown.
    pub fn undecodable(length: usize, reason: &str) -> Self {
        Self { raw: format!("{length} bytes"), decoded: format!("not decoded: {reason}") }
    }
}

/// What was made of a signal, in one line, identity fields masked. `nothing` if it was left out.
pub fn decoded_all<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    let said: Vec<String> = records
        .into_iter()
        .map(|record| match record {
            Record::Observation(observation) => decoded(observation),
            Record::DeadLetter(letter) => format!("not decoded: {}", letter.reason),
            Record::Control(_) => "a control record".into(),
        })
        .collect();
    if said.is_empty() { "nothing: it says nothing new".into() } else { said.join("; ") }
}

/// An observation in one line, identity fields masked.
pub fn decoded(observation: &Observation) -> String {
    let mut line = reading(&observation.reading);
    match observation.phase {
        Phase::New => {}
        Phase::Update => line.push_str(", update"),
        Phase::End => line.push_str(", end"),
    }
    if observation.freshness == Freshness::History {
        line.push_str(", history");
    }
    if let Some(time) = observation.observed_at {
        let at = jiff::Timestamp::from_nanosecond(i128::from(time.at.0));
        let at = at.map_or_else(|_| "?".into(), |at| format!("{at:.3}"));
        let _ = write!(line, ", said to be at {at}");
        if time.uncertainty_ms > 0 {
            let _ = write!(line, " ± {} ms", time.uncertainty_ms);
        }
    }
    line
}

/// A JSON message in one line, with everything masked that could name somebody. `identifying` masks numbers too, for
/// sensors whose values are plates, codes, tags or badges: a badge can be a number.
pub fn masked(message: &Value, identifying: bool) -> String {
    let mut copy = message.clone();
    mask(&mut copy, identifying, false);
    copy.to_string()
}

/// A bare text: shown if it is a number or a word for a state.
pub fn masked_text(text: &str, identifying: bool) -> String {
    masked(&Value::String(text.to_owned()), identifying)
}

fn reading(reading: &Reading) -> String {
    match reading {
        Reading::Contact(on) => format!("contact {}", if *on { "on" } else { "off" }),
        Reading::Count(total) => format!("count {total}"),
        Reading::Measure(measure) => {
            let settled = match measure.stable {
                Some(true) => ", stable",
                Some(false) => ", not stable",
                None => "",
            };
            format!("{} {}{settled}", measure.value.get(), measure.unit.as_str())
        }
        Reading::Plate(plate) => format!("plate {MASK}{}{}", score(plate.confidence), others(&plate.candidates)),
        Reading::Container(container) => {
            format!("container {MASK}{}{}", score(container.confidence), others(&container.candidates))
        }
        Reading::Tag(tag) => {
            format!("tag {MASK}{}", tag.rssi_dbm.map(|dbm| format!(", {dbm} dBm")).unwrap_or_default())
        }
        Reading::Credential(credential) => {
            let decision = match credential.decision {
                AccessDecision::Granted => "granted",
                AccessDecision::Denied(_) => "denied",
                AccessDecision::NotTaken => "granted but not taken",
                AccessDecision::Duress => "duress",
            };
            format!("credential {MASK}, {decision}")
        }
        Reading::Frame(frame) if frame.detections.is_empty() => "nothing in view".into(),
        Reading::Frame(frame) => {
            let seen: Vec<String> = frame
                .detections
                .iter()
                .map(|seen| {
                    let zones =
                        if seen.zones.is_empty() { String::new() } else { format!(" in {}", seen.zones.join(", ")) };
                    format!("{:?}{}{zones}", seen.class, score(seen.confidence)).to_lowercase()
                })
                .collect();
            format!("in view: {}", seen.join(", "))
        }
        Reading::Cooperative(_) => format!("vessel {MASK}"),
        Reading::People(count) => format!("{count} people"),
        Reading::Report(report) => format!("report {MASK}, graded {}{}", report.reliability, report.credibility),
        Reading::Health(health) => match health {
            Health::Alive => "alive".into(),
            Health::Blind => "blind".into(),
            Health::Faulty => "faulty".into(),
            Health::Tampered => "tampered".into(),
            Health::Node { boots, reset_cause, supply_mv } => {
                let supply = supply_mv.map(|mv| format!(", supply {mv} mV")).unwrap_or_default();
                format!("node: {boots} boots, last reset cause {reset_cause}{supply}")
            }
        },
        Reading::NoData(why) => match why {
            NoData::Silent => "no data: silent".into(),
            NoData::Disconnected => "no data: disconnected".into(),
            NoData::Timeout => "no data: no answer in time".into(),
            NoData::Exception(code) => format!("no data: exception {code}"),
            NoData::BadValue => "no data: a value that cannot be".into(),
            NoData::Overload(count) => format!("no data: {count} let go in an overload"),
            NoData::Tampered => "no data: tampered".into(),
            NoData::Blind => "no data: blind".into(),
            NoData::Faulty => "no data: faulty".into(),
            NoData::Maintenance => "no data: maintenance".into(),
        },
    }
}

fn score(confidence: Option<Probability>) -> String {
    confidence.map(|score| format!(" {:.2}", score.get())).unwrap_or_default()
}

fn others(candidates: &[Candidate]) -> String {
    if candidates.is_empty() { String::new() } else { format!(", {} other readings", candidates.len()) }
}

const MASK: &str = "***";

/// Masks in place. `hidden`: everything below names somebody.
fn mask(value: &mut Value, identifying: bool, hidden: bool) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) if !(hidden || identifying) => {}
        Value::Number(_) => *value = Value::String(MASK.into()),
        Value::String(text) => {
            if hidden || !is_harmless(text, identifying) {
                *value = Value::String(MASK.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, identifying, hidden)),
        Value::Object(fields) => {
            let all = std::mem::take(fields);
            *fields = mask_fields(all, identifying, hidden);
        }
    }
}

fn mask_fields(all: Map<String, Value>, identifying: bool, hidden: bool) -> Map<String, Value> {
    let mut shown = Map::new();
    for (index, (key, mut value)) in all.into_iter().enumerate() {
        let names_somebody =
            NAMING.iter().any(|word| says(&key, word) || (word.len() > 4 && key.to_ascii_lowercase().contains(word)));
        let harmless = !hidden && !names_somebody && HARMLESS.contains(&key.as_str());
        match &mut value {
            // A harmless field's own value, not what a vendor may put below it.
            Value::String(text) if harmless && text.len() <= 64 => {}
            Value::Number(_)
                if harmless || (!hidden && !names_somebody && MEASURING.iter().any(|word| says(&key, word))) => {}
            Value::Array(items)
                if harmless
                    && items
                        .iter()
                        .all(|item| item.is_number() || item.as_str().is_some_and(|text| text.len() <= 64)) => {}
            value => mask(value, identifying, hidden || names_somebody),
        }
        // A map's keys can be identities too: `{"AB-12-CD": 0.93}`.
        let is_name_of_field = !hidden && key.len() <= 48 && key.bytes().filter(u8::is_ascii_digit).count() < 2;
        shown.insert(if is_name_of_field { key } else { format!("{MASK}{index}") }, value);
    }
    shown
}

/// Whether a field's name contains a word: `license_plate`, `licensePlate` and `LicensePlate` contain `plate`, and
/// `voltage` does not contain `tag`.
fn says(key: &str, word: &str) -> bool {
    let bytes = key.as_bytes();
    let lower = key.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find(word) {
        let (start, end) = (from + found, from + found + word.len());
        let begins = start == 0
            || !bytes[start - 1].is_ascii_alphabetic()
            || (bytes[start].is_ascii_uppercase() && bytes[start - 1].is_ascii_lowercase());
        // What follows does not matter: `plates`, `tagged`, `badgeNumber`.
        if begins {
            return true;
        }
        from = end;
    }
    false
}

/// A text that cannot name anybody. Numbers can, where they are badges.
fn is_harmless(text: &str, identifying: bool) -> bool {
    let text = text.trim();
    let is_time = text.len() >= 10 && text.parse::<jiff::Timestamp>().is_ok();
    let is_number = text.len() <= 12 && text.parse::<f64>().is_ok();
    let is_state = STATES.iter().any(|state| text.eq_ignore_ascii_case(state));
    is_time || is_state || (is_number && !identifying)
}

/// Words in the names of fields whose values name somebody or something that leads to somebody, or hold a secret.
const NAMING: &[&str] = &[
    "plate",
    "license",
    "licence",
    "registration",
    "vrm",
    "vin",
    "tag",
    "epc",
    "rfid",
    "uid",
    "badge",
    "card",
    "credential",
    "holder",
    "name",
    "label_name",
    "sub_label",
    "candidate",
    "container",
    "code",
    "driver",
    "employee",
    "person_id",
    "user",
    "owner",
    "company",
    "password",
    "secret",
    "token",
    "key",
    "pin",
    "phone",
    "email",
    "address",
    "url",
    "uri",
    "href",
    "link",
    "face",
    "text",
    "description",
    "mmsi",
    "imo",
    "imei",
    "iccid",
    "serial",
    "uuid",
];

/// Fields of which the value says what kind of thing it is, and nothing about which.
const HARMLESS: &[&str] = &[
    "type",
    "event",
    "data_type",
    "label",
    "class",
    "camera",
    "camera_id",
    "state",
    "status",
    "severity",
    "unit",
    "phase",
    "zones",
    "current_zones",
    "entered_zones",
    "region",
    "direction",
    "travel_direction",
    "version",
    "frame_time",
    "start_time",
    "end_time",
    "snapshot_time",
    "timestamp",
    "epoch_start",
    "epoch_end",
    "epoch_time",
    "box",
    "area",
    "score",
    "top_score",
    "confidence",
    "ratio",
];

/// Words in the names of fields whose numbers measure something.
const MEASURING: &[&str] =
    &["score", "confidence", "time", "epoch", "speed", "rssi", "width", "height", "ratio", "area", "count", "angle"];

const STATES: &[&str] = &[
    "on",
    "off",
    "true",
    "false",
    "open",
    "closed",
    "active",
    "inactive",
    "online",
    "offline",
    "stopped",
    "disabled",
    "yes",
    "no",
    "granted",
    "denied",
    "new",
    "update",
    "end",
    "stable",
    "unstable",
    "unknown",
    "unavailable",
    "nan",
    "ok",
    "",
];

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_schemas::{
        Private, WallTime,
        observation::{Credential, Plate, SourceTime},
        sealed::Identity,
    };
    use serde_json::json;

    #[test]
    fn whatever_a_vendor_calls_a_plate_a_badge_or_a_name_is_masked_and_the_rest_can_be_read() {
        let message = json!({
            "type": "update", "camera": "gate2", "score": 0.84, "speed_kmh": 12.5,
            "plate": "SECRET1", "recognized_license_plate": ["SECRET1", 0.9], "best_plate_number": "SECRET1",
            "licensePlate": "SECRET1", "LicensePlateInfo": {"PlateNumber": "SECRET1", "Likelihood": 0.9},
            "candidates": [{"plate": "SECRET1", "score": 0.5}], "sub_label": ["SECRET1", 0.7],
            "results": [{"plate": "SECRET1"}], "CredentialHolderName": "SECRET1", "badgeNo": 77_001_234,
            "note": "SECRET1", "kennzeichen": "SECRET1", "SECRET12": 1, "plates": {"SECRET1": 0.9},
            "video_streams": [{"url": "rtsp://user:SECRET1@10.0.0.1/"}], "label": "truck",
            "timestamp": "2026-03-14T02:12:04Z", "voltage": 24.1, "stage": 3, "discount": "SECRET1",
        });
        let shown = masked(&message, false);
        assert!(!shown.contains("SECRET") && !shown.contains("77001234") && !shown.contains("rtsp"), "{shown}");
        for readable in ["\"update\"", "gate2", "0.84", "12.5", "truck", "2026-03-14T02:12:04Z", "24.1", "\"stage\":3"]
        {
            assert!(shown.contains(readable), "{readable} in {shown}");
        }
    }

    #[test]
    fn of_a_sensor_that_reads_identities_numbers_are_masked_too() {
        let message = json!({"value": 77_001_234, "n": "77001234", "score": 0.9, "time": 1_773_454_324});
        assert_eq!(masked(&message, true), r#"{"n":"***","score":0.9,"time":1773454324,"value":"***"}"#);
        assert!(masked(&message, false).contains("77001234"));
        assert_eq!(masked_text("77001234", true), "\"***\"");
        assert_eq!(masked_text("ON", false), "\"ON\"");
    }

    #[test]
    fn an_observation_is_one_line_without_identities() {
        let plate = Plate {
            text: Private::clear("SECRET1"),
            confidence: Probability::new(0.93).ok(),
            candidates: vec![Candidate { text: Private::clear("SECRET2"), confidence: None }],
            region: None,
        };
        let observation = Observation {
            observed_at: Some(SourceTime { at: WallTime(1_773_454_324_000_000_000), uncertainty_ms: 50 }),
            phase: Phase::End,
            ..Observation::live(SensorId::new("front").unwrap(), Reading::Plate(plate))
        };
        let line = decoded(&observation);
        assert_eq!(line, "plate *** 0.93, 1 other readings, end, said to be at 2026-03-14T02:12:04.000Z ± 50 ms");
        let holder = Identity { handle: None, value: Private::clear("SECRET3") };
        let credential = Credential { holder, decision: AccessDecision::Granted };
        assert_eq!(reading(&Reading::Credential(credential)), "credential ***, granted");
    }

    #[test]
    fn nothing_is_formatted_while_nobody_watches() {
        let taps = Taps::default();
        let sensor = SensorId::new("front").unwrap();
        taps.show(&sensor, || unreachable!("nobody watches"));
        let mut watcher = taps.watch(&sensor);
        taps.show(&sensor, || Tapped::undecodable(5, "the message is not JSON (line 1, column 1)"));
        assert_eq!(watcher.try_recv().unwrap().raw, "5 bytes");
        drop(watcher);
        taps.show(&sensor, || unreachable!("nobody watches any more"));
    }
}
