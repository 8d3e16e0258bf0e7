//! The AsyncAPI 3.0 document: which messages go where, and what may be said back.

use super::{Document, MINOR, TOPICS, examples};
use crate::{
    audit::export,
    upstreams::{ANSWERS_PATH, CLOUD_EVENTS, HEARTBEAT_EVERY, RECEIPTS_PATH, SNAPSHOT_PATH, http, mqtt},
};
use serde_json::{Map, Value, json};

/// A message, the schema of its payload, and what it is for.
const MESSAGES: [(&str, &str, &str); 9] = [
    ("product", "product-event", "One recipient's full view of a situation; a later revision replaces an earlier one"),
    ("heartbeat", "heartbeat-event", "How the stream is; never numbered"),
    ("started", "started-event", "Numbering began anew: a new epoch"),
    ("snapshot", "snapshot-event", "Everything that is open for this recipient, on request"),
    ("audit-entry", "audit-entry-event", "One thing somebody did to the gateway, chained to the one before"),
    ("audit-checkpoint", "audit-checkpoint-event", "How far the audit journal has come, signed by the gateway"),
    ("answer", "answer", "What the recipient says to a product"),
    ("receipt", "receipt", "Everything up to a number is safely the recipient's"),
    ("request", "request", "Asks for a snapshot"),
];

/// Which messages go over which topic. `true`: from the gateway.
const OVER: [(&str, bool, &[&str]); 7] = [
    (mqtt::LIVE, true, &["product"]),
    (mqtt::LATE, true, &["product"]),
    (mqtt::STREAM, true, &["heartbeat", "started", "snapshot"]),
    (export::JOURNAL, true, &["audit-entry", "audit-checkpoint"]),
    (mqtt::ANSWERS, false, &["answer"]),
    (mqtt::RECEIPTS, false, &["receipt"]),
    (mqtt::REQUESTS, false, &["request"]),
];

/// What is posted to an HTTP endpoint; entries and checkpoints only to that of `[audit]`.
const POSTED: [&str; 5] = ["product", "heartbeat", "started", "audit-entry", "audit-checkpoint"];

/// What a recipient posts to the gateway, or asks it for.
const ASKED: [(&str, &str, &str, &str); 3] = [
    ("postAnswer", "POST", ANSWERS_PATH, "answer"),
    ("postReceipt", "POST", RECEIPTS_PATH, "receipt"),
    ("getSnapshot", "GET", SNAPSHOT_PATH, "snapshot"),
];

pub(super) fn document(schemas: &[Document]) -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quaywatch: what a recipient gets and what it may say back",
            "version": format!("{MINOR}.0"),
            "license": { "name": "Apache-2.0" },
            "description": description(),
        },
        "defaultContentType": CLOUD_EVENTS,
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": messages(),
            "schemas": schemas.iter().map(|schema| (schema.name.clone(), reference(&schema.file))).collect::<Map<_, _>>(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn description() -> String {
    let (heartbeat, in_a_row) = (HEARTBEAT_EVERY.as_secs(), http::IN_A_ROW);
    format!(
        "Every message is a CloudEvent 1.0 in structured JSON mode; answers, receipts and requests may be plain JSON. \
         Delivery is at least once: drop repeats by `source` and `id`. Order is kept per lane (live, late) and zone; a \
         later revision of a `ref` replaces an earlier one. Numbers (`sequence`) are given to products of this recipient \
         only, without gaps; a number that will never come is named in the heartbeat's `never`, so any other gap means \
         that something is still on its way. A heartbeat comes every {heartbeat} s. A new `epoch` begins numbering anew. \
         With confirm = \"receipt\" a product is kept and, after a reconnection, sent again until the recipient's receipt \
         covers it; with confirm = \"transport\" a PUBACK that names a subscriber, or a 2xx answer, is enough. Over HTTP, \
         400, 413, 422 and other 4xx answers refuse a product for good, unless {in_a_row} in a row are refused; 401, 403, \
         404, 408, 429 and 5xx keep it. Consumers ignore fields they do not know; a name is never reused with another \
         meaning. Answers are idempotent by `product`, `word` and `at`."
    )
}

fn channels() -> Value {
    let mut channels = Map::new();
    for (name, _, messages) in OVER {
        let zoned = matches!(name, mqtt::LIVE | mqtt::LATE);
        let what = TOPICS.iter().find(|(topic, _)| *topic == name).map_or("", |(_, what)| what);
        let mut parameters = json!({ "topic": { "description": "The recipient's topic in the sharing file" } });
        if zoned {
            parameters["zone"] = json!({ "description": "The zone's id in the site file" });
        }
        channels.insert(
            name.into(),
            json!({
                "address": if zoned { format!("{{topic}}/{name}/{{zone}}") } else { format!("{{topic}}/{name}") },
                "description": what,
                "parameters": parameters,
                "messages": of_components(messages),
                "bindings": { "mqtt": {} },
            }),
        );
    }
    channels.insert(
        "endpoint".into(),
        json!({
            "address": "{url}",
            "description": "The recipient's HTTP endpoint in the sharing file; each message is posted",
            "parameters": { "url": { "description": "An http or https address" } },
            "messages": of_components(&POSTED),
        }),
    );
    for (name, _, path, message) in ASKED {
        channels.insert(
            name.into(),
            json!({
                "address": path,
                "description": "On the gateway's answers listener",
                "parameters": { "recipient": { "description": "The recipient's id in the sharing file" } },
                "messages": of_components(&[message]),
            }),
        );
    }
    channels.into()
}

fn operations() -> Value {
    let mut operations = Map::new();
    for (name, from_us, messages) in OVER {
        let action = if from_us { "send" } else { "receive" };
        let mut operation = operation(action, name, messages);
        operation["bindings"] = json!({ "mqtt": { "qos": 1, "retain": false } });
        operations.insert(format!("{action}-{name}"), operation);
    }
    let mut post = operation("send", "endpoint", &POSTED);
    post["bindings"] = json!({ "http": { "method": "POST" } });
    operations.insert("post-to-endpoint".into(), post);
    for (name, method, _, message) in ASKED {
        let action = if method == "GET" { "send" } else { "receive" };
        let mut operation = operation(action, name, &[message]);
        operation["bindings"] = json!({ "http": { "method": method } });
        operation["security"] = json!([{ "$ref": "#/components/securitySchemes/token" }]);
        operations.insert(name.into(), operation);
    }
    operations.into()
}

fn operation(action: &str, channel: &str, messages: &[&str]) -> Value {
    let messages: Vec<Value> =
        messages.iter().map(|message| reference(&format!("#/channels/{channel}/messages/{message}"))).collect();
    json!({ "action": action, "channel": reference(&format!("#/channels/{channel}")), "messages": messages })
}

fn messages() -> Value {
    let all = examples::all();
    let mut messages = Map::new();
    for (name, schema, summary) in MESSAGES {
        let examples: Vec<Value> = all
            .iter()
            .filter(|example| example.schema == schema)
            .map(|example| json!({ "name": example.name, "payload": example.message }))
            .collect();
        let content_type = if schema.ends_with("-event") { CLOUD_EVENTS } else { "application/json" };
        messages.insert(
            name.into(),
            json!({
                "name": name,
                "summary": summary,
                "contentType": content_type,
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-07",
                    "schema": reference(&format!("{schema}.schema.json")),
                },
                "examples": examples,
            }),
        );
    }
    messages.into()
}

fn of_components(messages: &[&str]) -> Value {
    let named = messages.iter();
    named
        .map(|message| ((*message).to_owned(), reference(&format!("#/components/messages/{message}"))))
        .collect::<Map<_, _>>()
        .into()
}

fn reference(to: &str) -> Value {
    json!({ "$ref": to })
}
