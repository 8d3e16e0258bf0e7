//! The published documents: JSON Schemas, an AsyncAPI document and an example of every message, all generated from the
//! types and constants the gateway itself uses.
//!
//! `quaywatch schema --all schemas/published` writes the committed copies; a test compares them. Messages are in JSON Schema
//! draft 7, because that is what AsyncAPI tools read; `frame` is what radars, lidars and camera trackers send us; the schemas of the site and sharing files are the configuration's own.
//! Major versions are in the CloudEvents types, minor versions in [`MINOR`]: it goes up when a field is added.

mod asyncapi;
mod examples;
pub mod fictional;

use crate::{audit::export, config, upstreams::mqtt};
use quaywatch_schemas::{
    CloudEvent, Product,
    audit::{CHECKPOINT_TYPE, ENTRY_TYPE, Entered, SignedCheckpoint},
    product::{
        Answer, HEARTBEAT_TYPE, Heartbeat, Receipt, Request, SNAPSHOT_TYPE, STARTED_TYPE, Snapshot, StreamStarted,
        product_type,
    },
    scan::Scan,
    situation::Phase,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};
use std::{fs, io, path::Path};

/// Minor version of all published schemas.
pub const MINOR: &str = "1.0";

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// As `quaywatch schema NAME` takes it.
    pub name: String,
    /// Where `--all` writes it.
    pub file: String,
    /// What it says.
    pub content: Value,
    /// As it is written: JSON, two spaces, a line end at the end.
    pub text: String,
}

/// All names, as `quaywatch schema` lists them.
pub fn names() -> Vec<String> {
    documents().into_iter().map(|document| document.name).collect()
}

/// One document by name.
pub fn document(name: &str) -> Option<String> {
    documents().into_iter().find(|document| document.name == name).map(|document| document.text)
}

/// Writes all of them into a folder.
pub fn write_all(folder: &Path) -> io::Result<()> {
    for document in documents() {
        let path = folder.join(&document.file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, document.text)?;
    }
    Ok(())
}

/// All of them.
pub fn documents() -> Vec<Document> {
    let mut documents = messages();
    documents.push(Document::new("asyncapi", "asyncapi.json", asyncapi::document(&documents)));
    let (name, frame) = schema::<Scan>("frame", Way::In);
    documents.push(Document::schema(name, frame));
    documents.push(Document::schema("site", config::site_schema()));
    documents.push(Document::schema("sharing", config::sharing_schema()));
    documents.extend(examples::all().into_iter().map(|example| Document {
        name: format!("examples/{}", example.name),
        file: format!("examples/{}.json", example.name),
        content: example.message,
        text: example.text,
    }));
    documents
}

impl Document {
    fn new(name: &str, file: &str, content: Value) -> Self {
        let text = format!("{content:#}\n");
        Self { name: name.into(), file: file.into(), content, text }
    }

    fn schema(name: &str, content: Value) -> Self {
        Self::new(name, &format!("{name}.schema.json"), content)
    }
}

/// Schemas of all messages.
fn messages() -> Vec<Document> {
    let product_types = [Phase::Opened, Phase::Revised, Phase::Closed, Phase::Retracted].map(product_type);
    let schemas: Vec<(&str, Value)> = vec![
        schema::<Product>("product", Way::Out),
        schema::<Heartbeat>("heartbeat", Way::Out),
        schema::<StreamStarted>("started", Way::Out),
        schema::<Snapshot>("snapshot", Way::Out),
        event::<Product>("product-event", &product_types, true),
        event::<Heartbeat>("heartbeat-event", &[HEARTBEAT_TYPE], false),
        event::<StreamStarted>("started-event", &[STARTED_TYPE], false),
        event::<Snapshot>("snapshot-event", &[SNAPSHOT_TYPE], false),
        event::<Entered>("audit-entry-event", &[ENTRY_TYPE], false),
        event::<SignedCheckpoint>("audit-checkpoint-event", &[CHECKPOINT_TYPE], false),
        schema::<Answer>("answer", Way::In),
        schema::<Receipt>("receipt", Way::In),
        schema::<Request>("request", Way::In),
    ];
    schemas.into_iter().map(|(name, content)| Document::schema(name, content)).collect()
}

/// Whether we write it or read it: what we always write is required of what we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

fn schema<T: JsonSchema>(name: &'static str, way: Way) -> (&'static str, Value) {
    let settings = SchemaSettings::draft07();
    let settings = match way {
        Way::Out => settings.for_serialize(),
        Way::In => settings.for_deserialize(),
    };
    let mut content = settings.into_generator().into_root_schema_for::<T>().to_value();
    content["x-version"] = MINOR.into();
    (name, content)
}

/// The envelope of a message with the types it can have.
fn event<Data: JsonSchema>(name: &'static str, types: &[&str], numbered: bool) -> (&'static str, Value) {
    let (_, mut content) = schema::<CloudEvent<Data>>(name, Way::Out);
    content["title"] = name.into();
    content["properties"]["type"]["enum"] = json!(types);
    let id = if numbered { r"^[0-9a-f]{1,16}\.[0-9]{20}$" } else { r"^[0-9a-f]{1,16}\.[a-z]+\.[0-9]+$" };
    content["properties"]["id"]["pattern"] = id.into();
    if numbered && let Some(required) = content["required"].as_array_mut() {
        required.extend(["sequence", "subject", "partitionkey", "correlationid", "tlp", "seclevel"].map(Value::from));
    }
    (name, content)
}

/// The last part of every MQTT topic, and what is sent there.
const TOPICS: [(&str, &str); 7] = [
    (mqtt::LIVE, "Products as it happens, in order within a zone"),
    (mqtt::LATE, "Products after the fact, in order within a zone; they never overtake live ones"),
    (mqtt::STREAM, "Heartbeat, start of an epoch, snapshot"),
    (export::JOURNAL, "The audit journal in order; only to the upstream of [audit]"),
    (mqtt::ANSWERS, "The recipient's answers"),
    (mqtt::RECEIPTS, "The recipient's cumulative receipts"),
    (mqtt::REQUESTS, "The recipient's requests"),
];

#[cfg(test)]
mod tests;
