//! Products and the score, as lines that people read.

use quaywatch_schemas::{
    Product,
    situation::{Phase, Severity},
};
use quaywatch_simulator::score::{Report, Row};
use std::{fmt::Write, time::Duration};

/// Pieces of evidence in a line; the product has them all.
const MOST_WHY: usize = 4;

/// A product in one line: when, for whom, where, what and how sure, why.
pub(super) fn line(now: &str, recipient: &str, product: &Product, coloured: bool) -> String {
    let word = match product.phase {
        Phase::Opened => "new",
        Phase::Closed if product.revision == 1 => "new",
        Phase::Revised => "now",
        Phase::Closed => "over",
        Phase::Retracted => "not so",
    };
    let mut line = format!("{now}  {recipient:<11}  {:<9}  {word:<6}  {}", product.zone.id, what(product));
    // What is over rests on what was said before.
    let why = if word == "new" || word == "now" { why(product) } else { String::new() };
    if !why.is_empty() {
        let _ = write!(line, "  [{why}]");
    }
    let _ = write!(line, "  {}", product.reference);
    if coloured { format!("{}{line}\x1b[0m", colour(product)) } else { line }
}

/// The product's own text, without the place and its end, which have columns, and without what to do, which is for whoever is
/// on duty.
fn what(product: &Product) -> &str {
    let mut text = product.text.as_str();
    let spoken_place = product.zone.name.replace(',', "");
    for before in [&spoken_place, "over", "withdrawn"] {
        text = text.strip_prefix(before).and_then(|text| text.strip_prefix(": ")).unwrap_or(text);
    }
    let how_sure = format!(" {:?}.", product.certainty);
    let when = " local.";
    let end = text.find(&how_sure).map(|at| at + how_sure.len()).or_else(|| text.find(when).map(|at| at + when.len()));
    end.map_or(text, |end| &text[..end])
}

/// What it rests on: whom it is about, the evidence for those who may see it, else the facts, and who was not heard.
fn why(product: &Product) -> String {
    let mut pieces: Vec<String> = product
        .subjects
        .iter()
        .filter_map(|subject| {
            let role = subject.role.rsplit('.').next().unwrap_or_default();
            subject.plate.as_ref().map(|plate| format!("{role} {plate}"))
        })
        .collect();
    if product.evidence.is_empty() {
        pieces.extend(product.facts.iter().map(|fact| fact.trim_end_matches('.').to_owned()));
    } else {
        let shown = product.evidence.iter().take(MOST_WHY);
        pieces.extend(shown.map(|piece| format!("{}: {}", piece.sensor, piece.said)));
        let more = product.evidence.len().saturating_sub(MOST_WHY);
        pieces.extend((more > 0).then(|| format!("{more} more")));
    }
    pieces.extend(product.missing.iter().map(|missing| format!("not heard: {} ({})", missing.sensor, missing.why)));
    pieces.join("; ")
}

/// Dim, yellow, red: by how bad it is, and dim when it is over.
fn colour(product: &Product) -> &'static str {
    match (product.phase, product.severity) {
        (Phase::Closed | Phase::Retracted, _) | (_, Severity::Minor) => "\x1b[2m",
        (_, Severity::Severe | Severity::Extreme) => "\x1b[31m",
        (_, Severity::Moderate) => "\x1b[33m",
    }
}

/// The score: what happened, what was said, how late, what was missed, what was said wrongly.
pub(super) fn table(report: &Report) -> String {
    let what = report.rows.iter().map(|row| row.what.len()).max().unwrap_or(0).max("what happened".len());
    let mut table = format!(
        "\n{:<what$}  {:<9}  {:>5}  {:>4}  {:>6}  {:<19}  what had to be said\n",
        "what happened", "where", "times", "said", "missed", "how late (at most)"
    );
    for row in &report.rows {
        let _ = writeln!(
            table,
            "{:<what$}  {:<9}  {:>5}  {:>4}  {:>6}  {:<19}  {}",
            row.what,
            row.zone,
            row.times,
            row.said,
            row.missed(),
            late(row),
            must(row)
        );
    }
    for wrong in &report.wrong {
        let (at, kind) = (wrong.at.as_secs_f64(), &wrong.kind);
        let _ = writeln!(
            table,
            "said wrongly: {kind} in {} to {} after {at:.1} s, {}: nothing like that was true",
            wrong.zone, wrong.recipient, wrong.reference
        );
    }
    if report.wrong_count > report.wrong.len() {
        let _ = writeln!(table, "said wrongly: {} more", report.wrong_count - report.wrong.len());
    }
    if report.under_way > 0 {
        let _ = writeln!(table, "{} more had just begun: nobody had to know of them yet", report.under_way);
    }
    let (stories, said, missed) = (report.stories(), report.said(), report.missed());
    let _ = writeln!(table, "{stories} stories, {said} said, missed {missed}, wrong {}", report.wrong_count);
    table
}

fn late(row: &Row) -> String {
    row.late().map_or_else(|| "-".into(), |(mean, most)| format!("{} ({})", seconds(mean), seconds(most)))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Kinds, each with everybody it had to be said to.
fn must(row: &Row) -> String {
    let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
    for must in &row.must {
        match kinds.iter_mut().find(|(kind, _)| *kind == must.kind) {
            Some((_, recipients)) => recipients.push(must.recipient),
            None => kinds.push((must.kind, vec![must.recipient])),
        }
    }
    let said: Vec<String> =
        kinds.iter().map(|(kind, recipients)| format!("{kind} to {}", recipients.join(", "))).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_simulator::{
        score::{Said, Scorer},
        world::{GATE_DESK, PORT_POLICE, Statement, Truth},
    };
    use serde_json::json;

    fn product(more: serde_json::Value) -> Product {
        let mut product = json!({
            "ref": "QW-DP-7K4M", "revision": 1, "phase": "opened", "status": "exercise", "late": false,
            "kind": "gate.tailgating", "severity": "Moderate", "urgency": "Immediate", "certainty": "Likely",
            "zone": { "id": "lane-2", "name": "Gate 1, lane 2, inbound" },
            "from": "2026-03-14T02:12:04.120Z", "until": null,
            "time_quality": { "gateway": "synchronised", "uncertainty_ms": 60 },
            "text": "Gate 1 lane 2 inbound: a second truck passed on one grant at 03:12 local. Likely. Hold the lane.",
            "facts": ["Arm opened once on one grant.", "Two vehicles crossed the lane before the arm closed."],
            "handling": { "owner": "terminal", "purpose": "port-facility-security", "delete_by": "2026-04-11" },
        });
        for (key, value) in more.as_object().unwrap() {
            product[key] = value.clone();
        }
        serde_json::from_value(product).unwrap()
    }

    #[test]
    fn a_line_says_what_where_how_sure_and_why_as_far_as_its_reader_may_know() {
        let desk = product(json!({ "subjects": [
            { "role": "vehicle.granted", "plate": "12-••••-4" },
            { "role": "vehicle.following" },
        ]}));
        assert_eq!(
            line("12:04:31", GATE_DESK, &desk, false),
            "12:04:31  gate-desk    lane-2     new     a second truck passed on one grant at 03:12 local. Likely.  \
             [granted 12-••••-4; Arm opened once on one grant; Two vehicles crossed the lane before the arm closed]  \
             QW-DP-7K4M"
        );
        let police = product(json!({
            "phase": "revised", "revision": 2,
            "evidence": [
                { "ref": "e1", "sensor": "lane2-loop-b", "said": "2 vehicles, 3.2 s apart", "weight": 3.4, "domain": "gate" },
                { "ref": "e2", "sensor": "lane2-arm", "said": "open throughout", "weight": 1.1, "domain": "gate" },
            ],
            "missing": [{ "sensor": "lane2-front", "why": "silent since 01:58 UTC" }],
        }));
        assert_eq!(
            line("12:04:31", PORT_POLICE, &police, false),
            "12:04:31  port-police  lane-2     now     a second truck passed on one grant at 03:12 local. Likely.  \
             [lane2-loop-b: 2 vehicles, 3.2 s apart; lane2-arm: open throughout; not heard: lane2-front (silent since \
             01:58 UTC)]  QW-DP-7K4M"
        );
        let coloured = line("12:04:31", GATE_DESK, &desk, true);
        assert!(coloured.starts_with("\x1b[33m") && coloured.ends_with("\x1b[0m"));
    }

    #[test]
    fn what_is_over_is_said_without_its_reasons_and_without_what_to_do() {
        let over = product(json!({
            "phase": "closed", "revision": 3,
            "text": "Gate 1 lane 2 inbound: over: a second truck passed on one grant at 03:12 local. Hold the lane.",
        }));
        assert_eq!(
            line("12:04:39", GATE_DESK, &over, false),
            "12:04:39  gate-desk    lane-2     over    a second truck passed on one grant at 03:12 local.  QW-DP-7K4M"
        );
        let withdrawn = product(json!({
            "phase": "retracted", "revision": 2,
            "text": "Gate 1 lane 2 inbound: withdrawn: a second truck passed on one grant at 03:12 local. Nothing needs to be \
                     done.",
        }));
        assert_eq!(
            line("12:04:39", GATE_DESK, &withdrawn, false),
            "12:04:39  gate-desk    lane-2     not so  a second truck passed on one grant at 03:12 local.  QW-DP-7K4M"
        );
        let at_once = product(json!({ "phase": "closed" }));
        assert!(line("12:04:39", GATE_DESK, &at_once, false).contains("  new     a second truck"));
        let unusual = product(json!({ "text": "Something else entirely" }));
        assert!(line("12:04:39", GATE_DESK, &unusual, false).contains("  new     Something else entirely  ["));
    }

    #[test]
    fn the_table_ends_in_the_line_that_scripts_look_for() {
        let mut scorer = Scorer::default();
        let kind = "gate.tailgating";
        let seconds = Duration::from_secs;
        scorer.expect(Truth {
            what: "a second truck on one grant",
            zone: "lane-2",
            begins: seconds(10),
            complete: seconds(10),
            by: seconds(18),
            over: seconds(20),
            must: [PORT_POLICE, GATE_DESK].map(|recipient| Statement { recipient, kind }).to_vec(),
            may: Vec::new(),
        });
        let mut hear = |recipient: &str, kind: &str, at: u64| {
            let said = Said {
                recipient: recipient.into(),
                reference: format!("QW-{at}"),
                kind: kind.into(),
                zone: "lane-2".into(),
                at: seconds(at),
            };
            scorer.hear(said, false);
        };
        hear(PORT_POLICE, kind, 11);
        hear(GATE_DESK, kind, 12);
        hear(GATE_DESK, "gate.barrier-forced", 13);
        let table = table(&scorer.report(seconds(30)));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[2],
            "a second truck on one grant  lane-2         1     1       0  1.5 s (2.0 s)        \
             gate.tailgating to port-police, gate-desk"
        );
        assert_eq!(
            lines[3],
            "said wrongly: gate.barrier-forced in lane-2 to gate-desk after 13.0 s, QW-13: nothing like that was true"
        );
        assert_eq!(lines.last(), Some(&"1 stories, 1 said, missed 0, wrong 1"));
    }
}
