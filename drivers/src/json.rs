//! JSON by pointer (RFC 6901) to any reading.
//!
//! A [`Mapping`] says where in a message which value is. A message that does not have it is refused with the pointer and
//! what was expected there, and never with what was there.
//!
//! Where the value is the whole message, a bare word is taken too: many small devices publish `ON` or `offline` and not
//! `"ON"`. A measure or count that says it has no value (`null`, `"NaN"`, `"unavailable"`, `"unknown"`) is
//! `no-data(bad value)`: the source speaks, its sensor does not.

use quaywatch_schemas::{
    NoData, Observation, Private, Reading, SensorId, WallTime,
    observation::{
        AccessDecision, Candidate, Container, Credential, DenialReason, Health, Measure, Plate, SourceId, SourceTime,
        Tag,
    },
    sealed::Identity,
    units::{Finite, Probability, Unit},
};
use serde_json::Value;

/// Where in a message which value is.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// What kind of reading it becomes.
    pub reading: Kind,
    /// The value; the whole message if empty.
    pub value: String,
    /// The reader's own score, 0 to 1 or 0 to 100.
    pub confidence: Option<String>,
    /// Whether a measure has settled.
    pub stable: Option<String>,
    /// When it was.
    pub time: Option<(String, TimeFormat)>,
    /// The message's own identity at its source.
    pub id: Option<String>,
    /// Decides for credentials; see [`Mapping::granted_when`].
    pub decision: Option<String>,
    /// Texts that mean *granted*; any other decision is a denial.
    pub granted_when: Vec<String>,
    /// Texts that mean *true* for a contact, beside `true`, `1`, `on`, `open` and `closed` as a boolean would have it.
    pub true_when: Vec<String>,
}

impl Mapping {
    /// A mapping of one value and nothing else.
    pub fn of(reading: Kind, value: impl Into<String>) -> Self {
        Self {
            reading,
            value: value.into(),
            confidence: None,
            stable: None,
            time: None,
            id: None,
            decision: None,
            granted_when: Vec::new(),
            true_when: Vec::new(),
        }
    }
}

/// What a value becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `true`, `false`, `1`, `0`, `"on"`, `"off"` or a text the mapping names.
    Contact,
    /// A whole number that counts up.
    Count,
    /// A number with a unit.
    Measure(Unit),
    /// A plate.
    Plate,
    /// A container code.
    Container,
    /// A radio tag.
    Tag,
    /// A credential and a decision on it.
    Credential,
    /// People in view.
    People,
    /// `"online"` or anything else.
    Health,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 with an offset.
    Rfc3339,
    /// Seconds since the Unix epoch, with or without a fraction.
    UnixSeconds,
    /// Milliseconds since the Unix epoch.
    UnixMillis,
}

/// Why a message could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

/// The largest message that is parsed. Deeper nesting than 128 is refused by the parser itself.
pub const MOST_BYTES: usize = 1 << 20;

/// Parses a message.
pub fn parse(payload: &[u8]) -> Result<Value, Undecodable> {
    within(payload, MOST_BYTES)?;
    serde_json::from_slice(payload).map_err(|e| not_json(&e))
}

/// Refuses a message that is empty or too long.
pub(crate) fn within(payload: &[u8], most: usize) -> Result<(), Undecodable> {
    match payload.len() {
        0 => Err(Undecodable("the message is empty".into())),
        length if length > most => Err(Undecodable(format!("{length} bytes are more than {most}"))),
        _ => Ok(()),
    }
}

/// Where a message stops being JSON. The parser's own words could repeat what is there.
pub(crate) fn not_json(error: &serde_json::Error) -> Undecodable {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Data | serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Io => "cannot be read",
    };
    Undecodable(format!("the message {what} (line {}, column {})", error.line(), error.column()))
}

/// Decodes a message by a mapping.
pub fn decode(mapping: &Mapping, sensor: &SensorId, payload: &[u8]) -> Result<Observation, Undecodable> {
    let message = message(mapping, payload)?;
    let mut observation = Observation::live(sensor.clone(), reading(mapping, &message)?);
    if let Some((pointer, format)) = &mapping.time {
        let at = time(at(&message, pointer)?, *format).ok_or_else(|| expected(pointer, "a time"))?;
        observation.observed_at = Some(SourceTime { at, uncertainty_ms: 0 });
    }
    if let Some(pointer) = &mapping.id {
        let id = at(&message, pointer)?.to_string();
        observation.source_id = Some(SourceId::of(sensor, &[id.as_bytes()]));
    }
    Ok(observation)
}

/// The message a mapping is applied to.
pub(crate) fn message(mapping: &Mapping, payload: &[u8]) -> Result<Value, Undecodable> {
    let parsed = parse(payload);
    match (parsed, mapping.value.is_empty()) {
        (Err(why), true) => bare_word(payload).map(Value::String).ok_or(why),
        (parsed, _) => parsed,
    }
}

fn bare_word(payload: &[u8]) -> Option<String> {
    let word = std::str::from_utf8(payload).ok()?.trim();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | ':' | '/');
    ((1..=LONGEST_TEXT).contains(&word.len()) && word.chars().all(plain)).then(|| word.to_owned())
}

fn reading(mapping: &Mapping, message: &Value) -> Result<Reading, Undecodable> {
    let pointer = &mapping.value;
    let value = at(message, pointer)?;
    if matches!(mapping.reading, Kind::Count | Kind::Measure(_)) && says_no_value(value) {
        return Ok(Reading::NoData(NoData::BadValue));
    }
    let text = || text(value).ok_or_else(|| expected(pointer, "a text"));
    Ok(match &mapping.reading {
        Kind::Contact => {
            Reading::Contact(truth(value, &mapping.true_when).ok_or_else(|| expected(pointer, "true or false"))?)
        }
        Kind::Count => Reading::Count(whole(value).ok_or_else(|| expected(pointer, "a whole number"))?),
        Kind::People => {
            let count = whole(value).and_then(|count| u32::try_from(count).ok());
            Reading::People(count.ok_or_else(|| expected(pointer, "a whole number"))?)
        }
        Kind::Measure(unit) => {
            let number = number(value).ok_or_else(|| expected(pointer, "a number"))?;
            let stable = mapping
                .stable
                .as_ref()
                .map(|pointer| truth(at(message, pointer)?, &[]).ok_or_else(|| expected(pointer, "true or false")));
            Reading::Measure(Measure { value: number, unit: unit.clone(), stable: stable.transpose()? })
        }
        Kind::Plate => Reading::Plate(Plate {
            text: Private::clear(text()?.to_uppercase()),
            confidence: confidence(mapping, message)?,
            candidates: Vec::<Candidate>::new(),
            region: None,
        }),
        Kind::Container => Reading::Container(Container {
            code: Private::clear(text()?.to_uppercase().replace([' ', '-'], "")),
            confidence: confidence(mapping, message)?,
            candidates: Vec::new(),
        }),
        Kind::Tag => Reading::Tag(Tag { id: Private::clear(text()?), rssi_dbm: None }),
        Kind::Credential => Reading::Credential(Credential {
            holder: Identity { handle: None, value: Private::clear(text()?) },
            decision: decision(mapping, message)?,
        }),
        Kind::Health => match truth(value, &mapping.true_when) {
            Some(true) => Reading::Health(Health::Alive),
            _ if value.as_str() == Some("online") => Reading::Health(Health::Alive),
            _ => Reading::NoData(NoData::Disconnected),
        },
    })
}

fn decision(mapping: &Mapping, message: &Value) -> Result<AccessDecision, Undecodable> {
    let Some(pointer) = &mapping.decision else { return Ok(AccessDecision::Granted) };
    let said = at(message, pointer)?;
    let granted = match text(said) {
        Some(said) => mapping.granted_when.iter().any(|word| word.eq_ignore_ascii_case(&said)),
        None => said.as_bool().ok_or_else(|| expected(pointer, "a text, true or false"))?,
    };
    Ok(if granted { AccessDecision::Granted } else { AccessDecision::Denied(DenialReason::Other) })
}

fn confidence(mapping: &Mapping, message: &Value) -> Result<Option<Probability>, Undecodable> {
    let Some(pointer) = &mapping.confidence else { return Ok(None) };
    let said = at(message, pointer)?;
    score(said).map(Some).ok_or_else(|| expected(pointer, "a score from 0 to 1 or from 0 to 100"))
}

/// A reader's score, as a share or in percent; a null is no score.
pub(crate) fn score(value: &Value) -> Option<Probability> {
    let score = value.as_f64()?;
    Probability::new(if score > 1.0 { score / 100.0 } else { score }).ok()
}

/// The value at a pointer.
pub(crate) fn at<'a>(message: &'a Value, pointer: &str) -> Result<&'a Value, Undecodable> {
    message.pointer(pointer).ok_or_else(|| Undecodable(format!("there is nothing at {pointer:?}")))
}

/// A refusal that names the place and what was expected.
pub(crate) fn expected(pointer: &str, what: &str) -> Undecodable {
    Undecodable(format!("at {pointer:?}: expected {what}"))
}

/// A time as written.
pub(crate) fn time(value: &Value, format: TimeFormat) -> Option<WallTime> {
    match format {
        TimeFormat::Rfc3339 => rfc3339(value.as_str()?),
        TimeFormat::UnixSeconds => WallTime::from_seconds(value.as_f64()?),
        TimeFormat::UnixMillis => WallTime::from_seconds(value.as_f64()? / 1000.0),
    }
}

/// An RFC 3339 time; one without an offset is taken as UTC, which is what cameras mean that forget it.
pub(crate) fn rfc3339(text: &str) -> Option<WallTime> {
    let with_offset = text.parse::<jiff::Timestamp>().ok();
    let at = with_offset.or_else(|| {
        let civil = text.replacen(' ', "T", 1).parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    i64::try_from(at.as_nanosecond()).ok().map(WallTime)
}

/// The longest plate, code, tag or badge that is taken.
const LONGEST_TEXT: usize = 256;

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= LONGEST_TEXT => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<Finite> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    Finite::new(number).ok()
}

/// A whole number, also where a source writes all its numbers with a fraction or as texts.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        // 2^53: above it a fraction could have been lost.
        Value::Number(number) => number.as_u64().or_else(|| {
            number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(n))
                .map(|n| n as u64)
        }),
        _ => None,
    }
}

fn says_no_value(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            let text = text.trim();
            ["nan", "unavailable", "unknown", "none", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

fn truth(value: &Value, true_when: &[String]) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_f64()? {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        },
        Value::String(text) if !true_when.is_empty() => Some(true_when.iter().any(|word| word == text)),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" | "open" | "active" | "online" | "yes" => Some(true),
            "false" | "off" | "0" | "closed" | "inactive" | "offline" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor() -> SensorId {
        SensorId::new("wind").unwrap()
    }

    #[test]
    fn a_number_deep_inside_becomes_a_measure_with_its_time_and_identity() {
        let mapping = Mapping {
            time: Some(("/at".into(), TimeFormat::Rfc3339)),
            id: Some("/seq".into()),
            ..Mapping::of(Kind::Measure(Unit::new("m/s").unwrap()), "/wind/0/speed")
        };
        let payload = br#"{"at":"2026-03-14T02:12:04Z","seq":7,"wind":[{"speed":12.5}]}"#;
        let decoded = decode(&mapping, &sensor(), payload).unwrap();
        assert!(matches!(&decoded.reading, Reading::Measure(measure) if measure.value.get() == 12.5));
        assert_eq!(decoded.observed_at.unwrap().at, WallTime(1_773_454_324_000_000_000));
        assert_eq!(decoded.source_id, decode(&mapping, &sensor(), payload).unwrap().source_id);
    }

    #[test]
    fn a_refusal_says_where_and_what_was_expected_and_never_what_was_there() {
        let mapping = Mapping::of(Kind::Measure(Unit::new("m/s").unwrap()), "/speed");
        for (payload, says) in [
            (&b"{\"speed\":\"SECRET\"}"[..], "at \"/speed\": expected a number"),
            (b"{\"other\":\"SECRET\"}", "there is nothing at \"/speed\""),
            (b"{\"speed\":1e999}", "is not JSON"),
            (b"{\"speed\":", "ends too early"),
            (b"", "is empty"),
            (b"\xff\xfe", "is not JSON"),
        ] {
            let why = decode(&mapping, &sensor(), payload).unwrap_err().to_string();
            assert!(why.contains(says) && !why.contains("SECRET"), "{why}");
        }
        let deep = "[".repeat(100_000);
        assert!(decode(&mapping, &sensor(), deep.as_bytes()).is_err());
    }

    #[test]
    fn contacts_come_in_many_words_and_unknown_ones_are_refused() {
        let mapping = Mapping::of(Kind::Contact, "");
        for (payload, on) in [("true", true), ("0", false), ("\"ON\"", true), ("\"closed\"", false)] {
            let decoded = decode(&mapping, &sensor(), payload.as_bytes()).unwrap();
            assert_eq!(decoded.reading, Reading::Contact(on), "{payload}");
        }
        for payload in ["\"perhaps\"", "2", "perhaps", "\u{0}\u{1}"] {
            assert!(decode(&mapping, &sensor(), payload.as_bytes()).is_err(), "{payload}");
        }
    }

    #[test]
    fn a_bare_word_is_taken_where_the_whole_message_is_the_value_and_nowhere_else() {
        let whole = Mapping::of(Kind::Contact, "");
        assert_eq!(decode(&whole, &sensor(), b" ON\n").unwrap().reading, Reading::Contact(true));
        let health = Mapping::of(Kind::Health, "");
        assert_eq!(decode(&health, &sensor(), b"offline").unwrap().reading, Reading::NoData(NoData::Disconnected));
        assert!(decode(&Mapping::of(Kind::Contact, "/state"), &sensor(), b"ON").is_err());
        assert!(decode(&whole, &sensor(), &[b'a'; 300]).is_err());
    }

    #[test]
    fn a_source_that_says_it_has_no_value_is_no_data_and_not_a_dead_letter() {
        let mapping = Mapping::of(Kind::Measure(Unit::new("m/s").unwrap()), "/speed");
        for payload in ["{\"speed\":null}", "{\"speed\":\"NaN\"}", "{\"speed\":\"unavailable\"}"] {
            let decoded = decode(&mapping, &sensor(), payload.as_bytes()).unwrap();
            assert_eq!(decoded.reading, Reading::NoData(NoData::BadValue), "{payload}");
        }
        assert!(decode(&mapping, &sensor(), b"{\"speed\":\"inf\"}").is_err());
    }

    #[test]
    fn a_count_may_be_written_with_a_fraction_or_as_a_text_and_never_below_nought() {
        let mapping = Mapping::of(Kind::Count, "/n");
        for payload in ["{\"n\":7}", "{\"n\":7.0}", "{\"n\":\"7\"}"] {
            assert_eq!(
                decode(&mapping, &sensor(), payload.as_bytes()).unwrap().reading,
                Reading::Count(7),
                "{payload}"
            );
        }
        for payload in ["{\"n\":7.5}", "{\"n\":-1}", "{\"n\":1e300}", "{\"n\":true}"] {
            assert!(decode(&mapping, &sensor(), payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
