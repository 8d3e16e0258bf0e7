//! What a new file changes, thing by thing.
//!
//! The files are compared as JSON, member by member: a setting that a later version adds is compared without anybody having
//! to think of it here. What people must not overlook has an act of its own: a rule that is off or only observes, a sensor that
//! is gone, another view of a sensor, other closed hours, the audit's own recipient.

use super::acts::{Act, GATEWAY};
use quaywatch_schemas::{Policy, Site};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Things one file may change in the journal. A port has some hundred sensors; beyond this the rest is counted, and the file's
/// digest says which file it was.
const MOST_CHANGES: usize = 1024;
/// Members of one thing that are named; the rest is counted.
const MOST_MEMBERS: usize = 32;

/// What a site file changes.
pub(super) fn of_site(before: Option<&Site>, after: &Site) -> Vec<Act> {
    let Some(before) = before else { return Vec::new() };
    let (before, after) = (object(before), object(after));
    let mut acts = Vec::new();
    for (kind, member) in [("rule", "rules"), ("sensor", "sensors"), ("zone", "zones"), ("pattern", "patterns")] {
        acts.extend(things(kind, GATEWAY, before.get(member), after.get(member)));
    }
    let whole = |file: &Map<String, Value>| {
        let apart = ["rules", "sensors", "zones", "patterns", "utc_offsets"];
        file.iter().filter(|(name, _)| !apart.contains(&name.as_str())).map(owned).collect::<Map<_, _>>()
    };
    acts.extend(changed("site", "", GATEWAY, &whole(&before).into(), &whole(&after).into()));
    bounded(acts, GATEWAY)
}

/// What a sharing file changes.
pub(super) fn of_policy(before: Option<&Policy>, after: &Policy, who: &str) -> Vec<Act> {
    let audit_before = before.and_then(|before| before.audit.as_deref());
    let audit = (before.is_some() && audit_before != after.audit.as_deref()).then(|| {
        let (act, what) = match (audit_before, &after.audit) {
            (Some(_), None) => ("audit.off", "The audit journal is exported to nobody any more."),
            (None, _) => ("audit.on", "The audit journal is exported from here on."),
            _ => ("audit.changed", "The audit journal is exported to somewhere else."),
        };
        let nobody = |to: Option<&str>| to.unwrap_or("nobody").to_owned();
        Act::new(act, who, what).with("before", nobody(audit_before)).with("after", nobody(after.audit.as_deref()))
    });
    let Some(before) = before else { return Vec::new() };
    let (before, after) = (object(before), object(after));
    let mut acts: Vec<Act> = audit.into_iter().collect();
    for (kind, member) in [("recipient", "recipients"), ("person", "persons"), ("group", "groups")] {
        acts.extend(things(kind, who, before.get(member), after.get(member)));
    }
    let whole = |file: &Map<String, Value>| {
        let apart = ["recipients", "persons", "groups", "signed_by", "audit"];
        file.iter().filter(|(name, _)| !apart.contains(&name.as_str())).map(owned).collect::<Map<_, _>>()
    };
    acts.extend(changed("sharing", "", who, &whole(&before).into(), &whole(&after).into()));
    bounded(acts, who)
}

/// Everything of one kind that is new, gone or changed.
fn things(kind: &str, who: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Act> {
    let empty = Map::new();
    let members = |side: Option<&Value>| side.and_then(Value::as_object).cloned().unwrap_or_else(|| empty.clone());
    let (before, after) = (members(before), members(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let there = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
    let change = |name: &String| match (there(before.get(name)), there(after.get(name))) {
        (None, None) => None,
        (None, Some(thing)) => Some(detailed(added(kind, name, who, &thing), "", &Value::Null, &thing)),
        (Some(thing), None) => Some(detailed(removed(kind, name, who), "", &thing, &Value::Null)),
        (Some(before), Some(after)) => changed(kind, name, who, &before, &after),
    };
    names.into_iter().filter_map(change).collect()
}

fn added(kind: &str, name: &str, who: &str, thing: &Value) -> Act {
    match (kind, mode(thing)) {
        ("rule" | "pattern", Some(mode)) => {
            Act::new(&format!("{kind}.on"), who, format!("The {kind} {} is looked for, mode {mode}.", spoken(name)))
        }
        _ => Act::new(&format!("{kind}.added"), who, format!("The {kind} {name} is new.")),
    }
    .with(kind, name)
}

fn removed(kind: &str, name: &str, who: &str) -> Act {
    match kind {
        "rule" | "pattern" => {
            Act::new(&format!("{kind}.off"), who, format!("The {kind} {} is switched off.", spoken(name)))
        }
        _ => Act::new(&format!("{kind}.removed"), who, format!("The {kind} {name} is gone.")),
    }
    .with(kind, name)
}

fn changed(kind: &str, name: &str, who: &str, before: &Value, after: &Value) -> Option<Act> {
    if before == after {
        return None;
    }
    let differs = |member: &str| before.get(member) != after.get(member);
    let act = match kind {
        "rule" | "pattern" if differs("mode") => {
            let said = |side| mode(side).unwrap_or("unknown").to_owned();
            let words = format!("The {kind} {} goes from {} to {}.", spoken(name), said(before), said(after));
            Act::new(&format!("{kind}.mode"), who, words)
        }
        "rule" | "pattern" => {
            Act::new(&format!("{kind}.changed"), who, format!("The {kind} {} is set otherwise.", spoken(name)))
        }
        "sensor" if differs("view") || differs("mount") => {
            Act::new("sensor.view", who, format!("The sensor {name} sees another part of the site."))
        }
        "zone" if differs("closed") => {
            Act::new("zone.closed", who, format!("The zone {name} is closed at other hours."))
        }
        "site" | "sharing" => Act::new(&format!("{kind}.changed"), who, format!("The {kind} itself is set otherwise.")),
        _ => Act::new(&format!("{kind}.changed"), who, format!("The {kind} {name} is set otherwise.")),
    };
    let act = if name.is_empty() { act } else { act.with(kind, name) };
    Some(detailed(act, "", before, after))
}

/// Adds what each differing member was and is.
fn detailed(act: Act, path: &str, before: &Value, after: &Value) -> Act {
    let mut differences = Vec::new();
    collect(path, before, after, &mut differences);
    let more = differences.len().saturating_sub(MOST_MEMBERS);
    let act = differences.into_iter().take(MOST_MEMBERS).fold(act, |act, (path, before, after)| {
        let said = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let act = if before.is_null() { act } else { act.with(&format!("{path}.before"), said(&before)) };
        if after.is_null() { act } else { act.with(&format!("{path}.after"), said(&after)) }
    });
    if more > 0 { act.with("more", format!("{more} more members differ")) } else { act }
}

fn collect(path: &str, before: &Value, after: &Value, into: &mut Vec<(String, Value, Value)>) {
    if before == after {
        return;
    }
    let empty = Map::new();
    let members = |value: &Value| match value {
        Value::Object(members) => Some(members.clone()),
        Value::Null => Some(empty.clone()),
        _ => None,
    };
    let both_plain = before.is_null() && !after.is_object() || after.is_null() && !before.is_object();
    match (members(before), members(after)) {
        (Some(before), Some(after)) if !both_plain => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let of = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
                collect(&path, &of(&before), &of(&after), into);
            }
        }
        _ => into.push((if path.is_empty() { "value".into() } else { path.into() }, before.clone(), after.clone())),
    }
}

/// What switches something off comes first, so that the bound cuts it last.
fn bounded(mut acts: Vec<Act>, who: &str) -> Vec<Act> {
    let weight = |act: &Act| match act.act.as_str() {
        "audit.off" | "audit.changed" => 0,
        "rule.off" | "pattern.off" | "rule.mode" | "pattern.mode" | "sensor.removed" => 1,
        "sensor.view" | "zone.closed" | "zone.removed" | "recipient.removed" | "person.removed" => 2,
        _ => 3,
    };
    acts.sort_by_key(weight);
    let more = acts.len().saturating_sub(MOST_CHANGES);
    acts.truncate(MOST_CHANGES);
    if more > 0 {
        let what = format!("{more} more changes are in the file of that digest.");
        acts.push(Act::new("changes.more", who, what).with("count", more));
    }
    acts
}

fn mode(thing: &Value) -> Option<&str> {
    thing.get("mode")?.as_str()
}

/// A rule as the site file names it.
fn spoken(name: &str) -> String {
    name.replace('_', "-")
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn object(file: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(file) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
