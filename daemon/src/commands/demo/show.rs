//! Products and the score, as lines that people read.

use quaywatch_schemas::{
    Product,
    situation::{Phase, Severity},
};
use quaywatch_simulator::score::{Report, Row};
use std::{fmt::Write, time::Duration};

/// Pieces of evidence in a line; a product has more room.
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
    let why = why(product);
    if !why.is_empty() {
        let _ = write!(line, "  [{why}]");
    }
    let _ = write!(line, "  {}", product.reference);
    if coloured { format!("{}{line}\x1b[0m", colour(product)) } else { line }
}

/// The product's own text, without the place, which has a column, and without what to do, which is for whoever is on duty.
fn what(product: &Product) -> &str {
    let place = format!("{}: ", product.zone.name);
    let text = product.text.strip_prefix(&place).unwrap_or(&product.text);
    match text.find(&format!(" {:?}.", product.certainty)) {
        Some(at) => &text[..at + format!(" {:?}.", product.certainty).len()],
        None => text,
    }
}

/// What it rests on: the evidence, for those who may see it, else the facts.
fn why(product: &Product) -> String {
    let mut pieces: Vec<String> =
        product.evidence.iter().map(|piece| format!("{}: {}", piece.sensor, piece.said)).collect();
    if pieces.is_empty() {
        pieces = product.facts.iter().map(|fact| fact.trim_end_matches('.').to_owned()).collect();
    }
    let more = pieces.len().saturating_sub(MOST_WHY);
    pieces.truncate(MOST_WHY);
    if more > 0 {
        pieces.push(format!("{more} more"));
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
            "text": "Gate 1, lane 2, inbound: a second truck passed on one grant at 03:12 local. Likely. Hold the lane.",
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
        assert_eq!(
            line("12:04:31", GATE_DESK, &product(json!({})), false),
            "12:04:31  gate-desk    lane-2     new     a second truck passed on one grant at 03:12 local. Likely.  \
             [Arm opened once on one grant; Two vehicles crossed the lane before the arm closed]  QW-DP-7K4M"
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
        let coloured = line("12:04:31", GATE_DESK, &product(json!({})), true);
        assert!(coloured.starts_with("\x1b[33m") && coloured.ends_with("\x1b[0m"));
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
