//! JSON Schemas of the two files, for editors: the same tables that are read.

use super::{
    sharing::{
        AnswersTable, AuditTable, FileTable, GroupTable, MarkingTable, PersonTable, RecipientTable, RetentionTable,
        ScopedMarkingTable, TearLineTable,
    },
    site::{
        LineTable, NodeTable, OperationsTable, PatternTable, ReferencesTable, RulesDocument, SensorTable, SiteTable,
        StoreTable, ZoneTable,
    },
};
use schemars::{JsonSchema, generate::SchemaSettings};
use std::collections::BTreeMap;

/// The site engineer's file: what is wired to this box and what is looked for.
#[derive(JsonSchema)]
#[schemars(title = "Quaywatch site file", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct SiteDocument {
    site: SiteTable,
    store: Option<StoreTable>,
    operations: Option<OperationsTable>,
    /// Places, by name.
    zones: BTreeMap<String, ZoneTable>,
    /// Connections, by name.
    lines: Option<BTreeMap<String, LineTable>>,
    /// Sensor nodes, by number.
    nodes: Option<BTreeMap<String, NodeTable>>,
    /// Feeds of references, by name.
    references: Option<BTreeMap<String, ReferencesTable>>,
    /// What senses, by name.
    sensors: BTreeMap<String, SensorTable>,
    /// What is looked for. A rule that is not here runs nowhere, except sensor-silent and node-tamper.
    rules: Option<RulesDocument>,
    /// What is looked for beside the rules, in the site engineer's own words, by name. What a pattern says is of kind site.NAME.
    patterns: Option<BTreeMap<String, PatternTable>>,
}

/// The security officer's file: who may know what.
#[derive(JsonSchema)]
#[schemars(title = "Quaywatch sharing file", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct SharingDocument {
    file: Option<FileTable>,
    retention: Option<RetentionTable>,
    /// Who may sign; with any here, every change of this file needs the signatures of two of them beside it (FILE.sig).
    persons: Option<BTreeMap<String, PersonTable>>,
    /// The marking of every sensor that no other marking names; without it nobody is told of those.
    marking: Option<MarkingTable>,
    /// Markings of named sensors or zones.
    markings: Option<BTreeMap<String, ScopedMarkingTable>>,
    /// Sentences approved beforehand, by name; the first that fits is told.
    #[serde(rename = "tear-lines")]
    tear_lines: Option<BTreeMap<String, TearLineTable>>,
    /// Sharing groups, by name.
    groups: Option<BTreeMap<String, GroupTable>>,
    /// Who is told, by name.
    recipients: BTreeMap<String, RecipientTable>,
    answers: Option<AnswersTable>,
    audit: Option<AuditTable>,
}

/// The JSON Schema of the site file.
pub fn site_schema() -> serde_json::Value {
    schema_of::<SiteDocument>()
}

/// The JSON Schema of the sharing file.
pub fn sharing_schema() -> serde_json::Value {
    schema_of::<SharingDocument>()
}

fn schema_of<T: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}
