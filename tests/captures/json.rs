//! JSON by pointer.

use super::{each, observations, text};
use quaywatch_drivers::json::{self, Kind, Mapping, TimeFormat};
use quaywatch_schemas::{SensorId, units::Unit};
use serde_json::Value;

#[test]
fn json_is_read_by_pointer() {
    each("json", |reader, payload| {
        let sensor = SensorId::new("device").expect("a name");
        let said = json::decode(&mapping(reader), &sensor, payload);
        said.map(|said| observations(vec![said])).map_err(|why| why.to_string())
    });
}

fn mapping(reader: &Value) -> Mapping {
    let optional = |name: &str| reader[name].as_str().map(str::to_owned);
    let words = |name: &str| {
        let words = reader[name].as_array().map_or(&[][..], Vec::as_slice);
        words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let kind = match text(reader, "reading") {
        "contact" => Kind::Contact,
        "count" => Kind::Count,
        "plate" => Kind::Plate,
        "container" => Kind::Container,
        "tag" => Kind::Tag,
        "credential" => Kind::Credential,
        "people" => Kind::People,
        "health" => Kind::Health,
        unit => Kind::Measure(Unit::new(unit).unwrap_or_else(|_| panic!("{unit} is neither a kind nor a unit"))),
    };
    let format = match reader["time_format"].as_str() {
        Some("unix seconds") => TimeFormat::UnixSeconds,
        Some("unix millis") => TimeFormat::UnixMillis,
        _ => TimeFormat::Rfc3339,
    };
    Mapping {
        confidence: optional("confidence"),
        stable: optional("stable"),
        time: optional("time").map(|pointer| (pointer, format)),
        id: optional("id"),
        decision: optional("decision"),
        granted_when: words("granted_when"),
        true_when: words("true_when"),
        ..Mapping::of(kind, text(reader, "value"))
    }
}
