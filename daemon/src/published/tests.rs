//! What is committed is what is generated, every example is of its schema, and every reference leads somewhere.

use super::*;
use jsonschema::Validator;
use std::{collections::BTreeSet, path::PathBuf};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/published")
}

fn validator(documents: &[Document], name: &str) -> Validator {
    let document = documents.iter().find(|document| document.name == name).expect("a schema of that name");
    jsonschema::options().should_validate_formats(true).build(&document.content).expect("a schema")
}

#[test]
fn what_is_committed_is_what_is_generated() {
    let mut expected = BTreeSet::new();
    for document in documents() {
        let path = committed().join(&document.file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == document.text,
            "{} is stale: run `cargo run -- schema --all schemas/published` and look at the difference",
            path.display()
        );
        expected.insert(path);
    }
    for folder in [committed(), committed().join("examples")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.is_dir() || expected.contains(&path), "nothing generates {}", path.display());
        }
    }
}

#[test]
fn every_example_is_of_its_schema_and_every_schema_has_an_example() {
    let documents = documents();
    let mut shown = BTreeSet::new();
    for example in examples::all() {
        let wrong: Vec<String> = validator(&documents, example.schema)
            .iter_errors(&example.message)
            .map(|wrong| format!("{} at {}", wrong, wrong.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", example.name);
        shown.insert(example.schema);
    }
    let messages = documents.iter().map(|document| document.name.as_str());
    let messages =
        messages.filter(|name| name.ends_with("-event") || ["answer", "receipt", "request", "frame"].contains(name));
    assert_eq!(messages.collect::<BTreeSet<_>>(), shown);
}

#[test]
fn a_schema_refuses_what_is_not_of_it() {
    let documents = documents();
    let example = |name: &str| examples::all().into_iter().find(|example| example.name == name).unwrap().message;
    let refused = |schema: &str, message: &Value| !validator(&documents, schema).is_valid(message);
    let good = example("tailgating-gate-desk");
    let mut new_field = good.clone();
    new_field["data"]["brightness"] = json!(7);
    assert!(!refused("product-event", &new_field), "consumers ignore what they do not know");
    for (path, value) in [
        ("/specversion", json!("0.3")),
        ("/type", json!(HEARTBEAT_TYPE)),
        ("/id", json!("3f.1977")),
        ("/time", json!("yesterday")),
        ("/tlp", json!("PINK")),
        ("/data/phase", json!("over")),
        ("/data/severity", Value::Null),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value;
        assert!(refused("product-event", &bad), "{path}");
    }
    let answer = example("answer-closed");
    for (field, value) in
        [("word", json!("maybe")), ("verdict", json!(true)), ("reason", json!("x".repeat(501))), ("by", json!(""))]
    {
        let mut bad = answer.clone();
        bad[field] = value;
        assert!(refused("answer", &bad), "{field}");
    }
    let frame = example("frame");
    for (path, value) in [
        ("/format", json!("quaywatch.frame.v2")),
        ("/time", json!("yesterday")),
        ("/frame", json!(-1)),
        ("/detections", Value::Null),
        ("/detections/0/class", json!("submarine")),
        ("/detections/0/confidence", json!(1.5)),
        ("/detections/0/polar/range_sd_m", json!(0)),
        ("/detections/0/cartesian", json!({"x_m": 1, "y_m": 1, "sd_m": 1})),
        ("/detections/1/cartesian/covariance_m2", json!([1, 0, 1])),
        ("/detections/1/cartesian", json!({"x_m": 1, "y_m": 1, "sd_m": 1, "sd": 1})),
    ] {
        let mut bad = frame.clone();
        match bad.pointer_mut(path) {
            Some(place) => *place = value,
            None => {
                let (parent, field) = path.rsplit_once('/').unwrap();
                bad.pointer_mut(parent).unwrap()[field] = value;
            }
        }
        assert!(refused("frame", &bad), "{path}");
    }
}

#[test]
fn two_recipients_of_one_tailgating_get_two_products_and_the_same_reference() {
    let example = |name: &str| examples::all().into_iter().find(|example| example.name == name).unwrap().message;
    let (police, desk) = (example("tailgating-port-police"), example("tailgating-gate-desk"));
    assert_eq!(police["type"], "org.quaywatch.situation.revised.v1");
    assert_eq!(
        (&police["data"]["ref"], &police["data"]["revision"]),
        (&desk["data"]["ref"], &desk["data"]["revision"])
    );
    assert_eq!(police["data"]["subjects"][1]["plate"], "7-KLB-09");
    assert_eq!(desk["data"]["subjects"][1]["plate"], "7-••••-09");
    for field in ["probability", "evidence", "prior", "media", "rule", "model", "told", "grading", "alternatives"] {
        assert!(police["data"].get(field).is_some(), "the police see {field}");
        assert!(desk["data"].get(field).is_none(), "the desk sees no {field}");
    }
    assert!(!desk.to_string().contains("KLB"));
}

#[test]
fn every_reference_in_the_asyncapi_document_leads_somewhere() {
    let documents = documents();
    let api = &documents.iter().find(|document| document.name == "asyncapi").unwrap().content;
    let mut references = Vec::new();
    collect(api, &mut references);
    assert!(references.len() > 30);
    for reference in references {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(api.pointer(pointer).is_some(), "{reference}"),
            None => assert!(documents.iter().any(|document| document.file == reference), "{reference}"),
        }
    }
    for (name, channel) in api["channels"].as_object().unwrap() {
        let used = api["operations"].as_object().unwrap().values();
        let to = format!("#/channels/{name}");
        assert!(
            used.filter(|operation| operation["channel"]["$ref"] == to.as_str()).count() == 1,
            "{name} is used once"
        );
        for parameter in channel["parameters"].as_object().unwrap().keys() {
            assert!(channel["address"].as_str().unwrap().contains(&format!("{{{parameter}}}")), "{name}: {parameter}");
        }
    }
    for (topic, _) in TOPICS {
        assert!(api["channels"][topic]["address"].as_str().unwrap().contains(topic));
    }
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn a_document_is_found_by_its_name_and_all_are_written() {
    assert!(names().iter().any(|name| name == "product-event"));
    assert!(document("product-event").unwrap().contains("\"type\""));
    assert_eq!(document("nothing"), None);
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path()).unwrap();
    assert!(folder.path().join("examples/heartbeat.json").exists());
}
