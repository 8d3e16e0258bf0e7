//! Who and what is on a quay, at a berth, in a yard, on the water.

use super::{DAY, HOUR, odds, speed, tables::*, time, time_of};
use crate::config::{document::Table, findings::Findings, written::Word};
use quaywatch_schemas::site::rules;
use std::time::Duration;
use toml::Spanned;

pub(super) fn quay_presence(
    table: &mut Table<QuayPresenceTable>,
    findings: &mut Findings,
) -> Option<rules::QuayPresence> {
    let usual = rules::QuayPresence::default();
    let prior = odds(table.value.prior.take(), usual.prior, findings);
    let tell_at = odds(table.value.tell_at.take(), usual.tell_at, findings);
    if prior >= tell_at {
        let help = "the prior is what is believed before any evidence: less than `tell_at`";
        findings.add(table.key("prior"), "somebody would be said to be there without any evidence", help);
    }
    let half_life = time(table.value.half_life.take(), usual.half_life, findings);
    let windy = speed(table.value.windy.take(), usual.windy, (1.0, 60.0), "no wind is like that", findings);
    Some(rules::QuayPresence { prior, tell_at, half_life, windy })
}

/// The usual share and time, as their docs in [`rules::MooringOverload`] have them; the load itself has no usual value.
const WARN_SHARE: f64 = 0.5;
const AHEAD: Duration = Duration::from_secs(600);

pub(super) fn mooring_overload(
    table: &mut Table<MooringOverloadTable>,
    findings: &mut Findings,
) -> Option<rules::MooringOverload> {
    let help = "breaking_load = \"800 kN\": the minimum breaking load on the lines' certificate";
    let written = table.value.breaking_load.take();
    let load = findings.need(written, (&table.at, &table.path), "breaking_load", help);
    let warn_share = odds(table.value.warn_share.take(), WARN_SHARE, findings);
    let ahead = time(table.value.ahead.take(), AHEAD, findings);
    let load = load?;
    let breaking_load_kn = load.get_ref().0 / 1000.0;
    if !(1.0..=10_000.0).contains(&breaking_load_kn) {
        findings.add(load.span(), "no mooring line breaks at this load", "write 1 kN to 10000 kN");
    }
    Some(rules::MooringOverload { breaking_load_kn, warn_share, ahead })
}

pub(super) fn dwell(table: &mut Table<DwellTable>, findings: &mut Findings) -> Option<rules::Dwell> {
    let usual = rules::Dwell::default();
    // What stands in a yard for a month is stored there.
    let longest = time_of(table.value.longest.take(), usual.longest, (Duration::from_secs(10), 30 * DAY), findings);
    let classes = findings.all(table.value.classes.take());
    if let Some(classes) = classes.as_ref().filter(|classes| classes.get_ref().is_empty()) {
        findings.add(classes.span(), "this names no kind of object", "leave `classes` out for everything");
    }
    let classes = classes.map(Spanned::into_inner).unwrap_or_default();
    let classes = classes.into_iter().map(|class| {
        let Word(class) = class.into_inner();
        class.into()
    });
    Some(rules::Dwell { longest, classes: classes.collect() })
}

pub(super) fn small_craft(table: &mut Table<SmallCraftTable>, findings: &mut Findings) -> Option<rules::SmallCraft> {
    let usual = rules::SmallCraft::default();
    let bounds = (Duration::from_secs(10), HOUR);
    let answer_within = time_of(table.value.answer_within.take(), usual.answer_within, bounds, findings);
    let nearer_than = findings.take(table.value.nearer_than.take());
    if let Some(near) = nearer_than.as_ref().filter(|near| !(1.0..=5000.0).contains(&near.get_ref().0)) {
        findings.add(near.span(), "no craft is near a quay like that", "write 1 m to 5000 m; \"60 m\" is usual");
    }
    let nearer_than_m = nearer_than.map_or(usual.nearer_than_m, |near| near.into_inner().0);
    Some(rules::SmallCraft { answer_within, nearer_than_m })
}
