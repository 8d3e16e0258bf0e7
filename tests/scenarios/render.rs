//! Situations as a reader checks them: one block each, seconds after the start, what is for holders of a class in `[]`.

use crate::script::Scenario;
use quaywatch_schemas::{
    FieldClass, NoData, Situation,
    situation::{Part, Phrase, Side},
};
use std::fmt::Write;

pub fn situations(situations: &[Situation], scenario: &Scenario) -> String {
    if situations.is_empty() {
        return "nothing is said\n".into();
    }
    let blocks: Vec<String> = situations.iter().map(|situation| block(situation, scenario)).collect();
    blocks.join("\n")
}

fn block(situation: &Situation, scenario: &Scenario) -> String {
    let mut out = String::new();
    let phase = format!("{:?}", situation.phase).to_lowercase();
    writeln!(
        out,
        "{:.1} s {phase} {} in {}: {:?} ({:.2}), {:?}, {:?}; from {:.1} s{}",
        scenario.gateway_seconds(situation.concluded),
        situation.kind,
        situation.zone,
        situation.certainty(),
        situation.probability,
        situation.severity,
        situation.urgency,
        scenario.seconds(situation.from),
        situation.until.map(|until| format!(" until {:.1} s", scenario.seconds(until))).unwrap_or_default(),
    )
    .unwrap();
    let mut line = |what: &str, text: String| writeln!(out, "  {what:<8} {text}").unwrap();
    line("headline", words(&situation.headline, scenario));
    for fact in &situation.facts {
        line("fact", words(fact, scenario));
    }
    line("think", words(&situation.assessment, scenario));
    for piece in &situation.evidence {
        let side = match piece.side {
            Side::For => "for",
            Side::Against => "against",
            Side::Absent => "absent",
        };
        line(side, format!("{:+.2} {}: {}", piece.weight, piece.sensor, words(&piece.said, scenario)));
    }
    for group in &situation.groups {
        let members = group.members.iter().map(|index| situation.evidence[*index as usize].sensor.as_str());
        let members = members.collect::<Vec<_>>().join(", ");
        line("capped", format!("{:+.2} for {:+.2} of {}: {members}", group.after, group.before, group.domain));
    }
    for missing in &situation.missing {
        let since = missing.since.map(|since| format!(" since {:.1} s", scenario.seconds(since))).unwrap_or_default();
        line("missing", format!("{}: {}{since}", missing.sensor, why(missing.why)));
    }
    for other in &situation.alternatives {
        line("or", format!("{:.2} {}", other.probability, words(&other.text, scenario)));
    }
    for subject in &situation.subjects {
        let identities = subject.identities.iter().map(|identity| {
            let others: Vec<&str> = identity.alternatives.iter().filter_map(|other| other.as_clear()).collect();
            let others = if others.is_empty() { String::new() } else { format!(" or {}", others.join(", ")) };
            let by: Vec<&str> = identity.read_by.iter().map(|sensor| sensor.as_str()).collect();
            let value = identity.value.as_clear().unwrap_or("?");
            format!(" {value} ({:.2}, by {}){others}", identity.probability, by.join(" and "))
        });
        line("who", format!("{}{}", subject.role, identities.collect::<String>()));
    }
    for (sensor, media) in &situation.media {
        line("footage", format!("{sensor}: {}", media.camera));
    }
    for action in &situation.actions {
        let needs = if action.needs == FieldClass::Public { String::new() } else { format!("[{:?}] ", action.needs) };
        line("do", format!("{needs}{} / {}", words(&action.brief, scenario), words(&action.text, scenario)));
    }
    out
}

pub fn words(phrase: &Phrase, scenario: &Scenario) -> String {
    parts(&phrase.0, scenario)
}

fn parts(all: &[Part], scenario: &Scenario) -> String {
    all.iter()
        .map(|part| match part {
            Part::Words(words) => words.to_string(),
            Part::Time(at) => format!("{:.1} s", scenario.seconds(*at)),
            Part::Value { value, .. } => value.as_clear().unwrap_or("?").to_owned(),
            Part::Detail { class, parts: inner } => {
                format!("[{}:{}]", format!("{class:?}").to_lowercase(), parts(inner, scenario))
            }
        })
        .collect()
}

fn why(why: NoData) -> String {
    format!("{why:?}").to_lowercase()
}
