//! Rules: where each runs, whom it tells, how it is set.

use super::tables::{
    BarrierForcedTable, BlindedBeforeAccessTable, List, MooringOverloadTable, NodeTamperTable, PassageTable,
    QuayPresenceTable, SensorSilentTable, TailgatingTable, WeightMismatchTable,
};
use crate::config::{
    document::{Section, Table},
    findings::Findings,
    values::{Share, Span},
    written::{Word, Written},
};
use quaywatch_schemas::{
    ZoneId,
    site::{
        Zone,
        rules::{self, Mode, Rule, Rules},
    },
};
use schemars::JsonSchema;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use toml::Spanned;

/// All rules, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::config) struct RulesDocument {
    passage: Option<PassageTable>,
    tailgating: Option<TailgatingTable>,
    barrier_forced: Option<BarrierForcedTable>,
    weight_mismatch: Option<WeightMismatchTable>,
    quay_presence: Option<QuayPresenceTable>,
    mooring_overload: Option<MooringOverloadTable>,
    sensor_silent: Option<SensorSilentTable>,
    blinded_before_access: Option<BlindedBeforeAccessTable>,
    node_tamper: Option<NodeTamperTable>,
}

/// What rules refer to.
struct Around<'a> {
    zones: &'a BTreeMap<ZoneId, Zone>,
    declared: &'a BTreeSet<String>,
}

pub(super) fn read(
    mut section: Section<'_>,
    zones: &BTreeMap<ZoneId, Zone>,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> Rules {
    let around = Around { zones, declared };
    let passage = section.table::<PassageTable>("passage", findings).map(|mut table| {
        let usual = rules::Passage::default();
        let within = time(table.value.within.take(), usual.within, findings);
        let settle = time(table.value.settle.take(), usual.settle, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, rules::Passage { within, settle }, findings)
    });
    let tailgating = section.table::<TailgatingTable>("tailgating", findings).map(|mut table| {
        let usual = rules::Tailgating::default();
        let grant_lasts = time(table.value.grant_lasts.take(), usual.grant_lasts, findings);
        let settle = time(table.value.settle.take(), usual.settle, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, rules::Tailgating { grant_lasts, settle }, findings)
    });
    let barrier_forced = section.table::<BarrierForcedTable>("barrier-forced", findings).map(|mut table| {
        let usual = rules::BarrierForced::default();
        let grant_within = time(table.value.grant_within.take(), usual.grant_within, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, rules::BarrierForced { grant_within }, findings)
    });
    let weight_mismatch = section.table::<WeightMismatchTable>("weight-mismatch", findings).map(|mut table| {
        let usual = rules::WeightMismatch::default();
        let tolerance = findings.take(table.value.tolerance.take());
        if let Some(tolerance) = tolerance.as_ref().filter(|tolerance| tolerance.get_ref().0 < 0.0) {
            findings.add(tolerance.span(), "a tolerance is not negative", "\"1000 kg\" is usual");
        }
        let tolerance_share = findings.value(table.value.tolerance_share.take());
        let settings = rules::WeightMismatch {
            tolerance_kg: tolerance.map_or(usual.tolerance_kg, |tolerance| tolerance.into_inner().0),
            tolerance_share: tolerance_share.map_or(usual.tolerance_share, |share| share.0),
        };
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, settings, findings)
    });
    let quay_presence = section.table::<QuayPresenceTable>("quay-presence", findings).map(|mut table| {
        let settings = presence(&mut table, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, settings, findings)
    });
    let mooring_overload = section.table::<MooringOverloadTable>("mooring-overload", findings).and_then(|mut table| {
        let settings = mooring(&mut table, findings)?;
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        Some(around.rule(&table, (zones, mode), Mode::Observe, settings, findings))
    });
    let sensor_silent = section.table::<SensorSilentTable>("sensor-silent", findings).map(|mut table| {
        let periods = findings.take(table.value.periods.take());
        if let Some(periods) = periods.as_ref().filter(|periods| !(1..=100).contains(periods.get_ref())) {
            findings.add(periods.span(), "this is no number of silent periods", "write 1 to 100; 2 is usual");
        }
        let periods = periods.map_or(rules::SensorSilent::default().periods, Spanned::into_inner);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Tell, rules::SensorSilent { periods }, findings)
    });
    let blinded = section.table::<BlindedBeforeAccessTable>("blinded-before-access", findings).map(|mut table| {
        let within = time(table.value.within.take(), rules::BlindedBeforeAccess::default().within, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Observe, rules::BlindedBeforeAccess { within }, findings)
    });
    let node_tamper = section.table::<NodeTamperTable>("node-tamper", findings).map(|mut table| {
        let group = time(table.value.group.take(), rules::NodeTamper::default().group, findings);
        let (zones, mode) = (table.value.zones.take(), table.value.mode.take());
        around.rule(&table, (zones, mode), Mode::Tell, rules::NodeTamper { group }, findings)
    });
    section.finish(findings);
    Rules {
        passage,
        tailgating,
        barrier_forced,
        weight_mismatch,
        quay_presence,
        mooring_overload,
        // A gateway that is not told what to look for still says when it can no longer look.
        sensor_silent: sensor_silent.or_else(|| Some(Rule::everywhere(Mode::Tell))),
        blinded_before_access: blinded,
        node_tamper: node_tamper.or_else(|| Some(Rule::everywhere(Mode::Tell))),
        ..Rules::default()
    }
}

type WhereAndWhom = (List<ZoneId>, Option<Written<Word<Mode>>>);

impl Around<'_> {
    fn rule<T, Settings>(
        &self,
        table: &Table<T>,
        (zones, mode): WhereAndWhom,
        usual: Mode,
        settings: Settings,
        findings: &mut Findings,
    ) -> Rule<Settings> {
        let mode = findings.value(mode).map_or(usual, |Word(mode)| mode);
        let said = findings.all(zones);
        if let Some(said) = said.as_ref().filter(|said| said.get_ref().is_empty()) {
            let help = "leave `zones` out for every zone the rule makes sense in; take the table out to run it nowhere";
            findings.add(said.span(), "this names no zone", help);
        }
        let name = table.path.rsplit('.').next().unwrap_or_default().to_owned();
        let rule = quaywatch_fusion::rule_kinds().iter().find(|rule| rule.rule == name);
        let mut zones = Vec::new();
        for zone in said.map(Spanned::into_inner).unwrap_or_default() {
            let at = zone.span();
            let Some(zone) = super::sensors::known(zone, "zone", self.declared, findings) else { continue };
            if let (Some(rule), Some(place)) = (rule, self.zones.get(&zone))
                && !rule.fits(place.kind)
            {
                let kind = format!("{:?}", place.kind).to_lowercase();
                findings.add(
                    at,
                    format!("{name} makes no sense in `{zone}`, which is a {kind}"),
                    "take the zone out of this list",
                );
            }
            zones.push(zone);
        }
        Rule { zones, mode, settings }
    }
}

fn time(written: Option<Written<Span>>, usual: Duration, findings: &mut Findings) -> Duration {
    let Some(said) = findings.take(written) else { return usual };
    let Span(duration) = *said.get_ref();
    if !(Duration::from_millis(100)..=Duration::from_secs(24 * 3600)).contains(&duration) {
        findings.add(
            said.span(),
            format!("{duration:?} is out of range here"),
            format!("write \"100 ms\" to \"24 h\"; {usual:?} is usual"),
        );
    }
    duration
}

/// A probability that is neither impossible nor certain.
fn odds(written: Option<Written<Share>>, usual: f64, findings: &mut Findings) -> f64 {
    let Some(said) = findings.take(written) else { return usual };
    let Share(share) = *said.get_ref();
    if !(0.0 < share && share < 1.0) {
        findings.add(
            said.span(),
            "nothing is impossible or certain",
            format!("write more than 0 and less than 1; {usual} is usual"),
        );
    }
    share
}

fn presence(table: &mut Table<QuayPresenceTable>, findings: &mut Findings) -> rules::QuayPresence {
    let usual = rules::QuayPresence::default();
    let prior = odds(table.value.prior.take(), usual.prior, findings);
    let tell_at = odds(table.value.tell_at.take(), usual.tell_at, findings);
    if prior >= tell_at {
        let help = "the prior is what is believed before any evidence: less than `tell_at`";
        findings.add(table.key("prior"), "somebody would be said to be there without any evidence", help);
    }
    let half_life = time(table.value.half_life.take(), usual.half_life, findings);
    let windy = findings.take(table.value.windy.take());
    if let Some(windy) = windy.as_ref().filter(|windy| !(1.0..=60.0).contains(&windy.get_ref().0)) {
        findings.add(windy.span(), "no wind is like that", "write 1 m/s to 60 m/s; 14 m/s is usual");
    }
    rules::QuayPresence { prior, tell_at, half_life, windy: windy.map_or(usual.windy, |windy| windy.into_inner().0) }
}

/// The usual share and time, as their docs in [`rules::MooringOverload`] have them; the load itself has no usual value.
const WARN_SHARE: f64 = 0.5;
const AHEAD: Duration = Duration::from_secs(600);

fn mooring(table: &mut Table<MooringOverloadTable>, findings: &mut Findings) -> Option<rules::MooringOverload> {
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
