//! Rules: where each runs, whom it tells, how it is set.

mod areas;
mod lanes;
mod people;
mod sensing;
mod tables;

use super::tables::List;
use crate::config::{
    check::span,
    document::{Section, Table},
    findings::Findings,
    values::{MetresPerSecond, Share, Span},
    written::{Word, Written},
};
use quaywatch_schemas::{
    ZoneId,
    site::{
        Zone,
        rules::{Mode, Rule, Rules},
    },
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tables::*;
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
    unbooked: Option<UnbookedTable>,
    tag_mismatch: Option<TagMismatchTable>,
    container_mismatch: Option<ContainerMismatchTable>,
    wrong_way: Option<WrongWayTable>,
    dwell: Option<DwellTable>,
    small_craft: Option<SmallCraftTable>,
    pass_back: Option<PassBackTable>,
    impossible_travel: Option<ImpossibleTravelTable>,
    out_of_hours: Option<OutOfHoursTable>,
    out_of_zone: Option<OutOfZoneTable>,
    first_time_zone: Option<FirstTimeZoneTable>,
    denied_then_granted: Option<DeniedThenGrantedTable>,
    not_taken: Option<NotTakenTable>,
    door_held: Option<DoorHeldTable>,
    on_foot: Option<OnFootTable>,
    sensor_blind: Option<SensorBlindTable>,
    sensor_stuck: Option<SensorStuckTable>,
    sensor_drift: Option<SensorDriftTable>,
    clock_step: Option<ClockStepTable>,
    sensor_conflict: Option<SensorConflictTable>,
}

pub(super) fn read(
    section: Section<'_>,
    zones: &BTreeMap<ZoneId, Zone>,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> Rules {
    let mut desk = Desk { section, zones, declared, findings };
    let rules = Rules {
        passage: desk.rule("passage", Mode::Observe, lanes::passage),
        tailgating: desk.rule("tailgating", Mode::Observe, lanes::tailgating),
        barrier_forced: desk.rule("barrier-forced", Mode::Observe, lanes::barrier_forced),
        weight_mismatch: desk.rule("weight-mismatch", Mode::Observe, lanes::weight_mismatch),
        quay_presence: desk.rule("quay-presence", Mode::Observe, areas::quay_presence),
        mooring_overload: desk.rule("mooring-overload", Mode::Observe, areas::mooring_overload),
        // A gateway that is not told what to look for still says when it can no longer look.
        sensor_silent: desk
            .rule("sensor-silent", Mode::Tell, sensing::sensor_silent)
            .or_else(|| Some(Rule::everywhere(Mode::Tell))),
        blinded_before_access: desk.rule("blinded-before-access", Mode::Observe, sensing::blinded_before_access),
        node_tamper: desk
            .rule("node-tamper", Mode::Tell, sensing::node_tamper)
            .or_else(|| Some(Rule::everywhere(Mode::Tell))),
        unbooked: desk.rule("unbooked", Mode::Observe, lanes::unbooked),
        tag_mismatch: desk.rule("tag-mismatch", Mode::Observe, lanes::tag_mismatch),
        container_mismatch: desk.rule("container-mismatch", Mode::Observe, lanes::container_mismatch),
        wrong_way: desk.rule("wrong-way", Mode::Observe, lanes::wrong_way),
        dwell: desk.rule("dwell", Mode::Observe, areas::dwell),
        small_craft: desk.rule("small-craft", Mode::Observe, areas::small_craft),
        pass_back: desk.rule("pass-back", Mode::Observe, people::pass_back),
        impossible_travel: desk.rule("impossible-travel", Mode::Observe, people::impossible_travel),
        out_of_hours: desk.rule("out-of-hours", Mode::Observe, people::out_of_hours),
        out_of_zone: desk.rule("out-of-zone", Mode::Observe, people::out_of_zone),
        first_time_zone: desk.rule("first-time-zone", Mode::Observe, people::first_time_zone),
        denied_then_granted: desk.rule("denied-then-granted", Mode::Observe, people::denied_then_granted),
        not_taken: desk.rule("not-taken", Mode::Observe, people::not_taken),
        door_held: desk.rule("door-held", Mode::Observe, people::door_held),
        on_foot: desk.rule("on-foot", Mode::Observe, people::on_foot),
        sensor_blind: desk.rule("sensor-blind", Mode::Observe, sensing::sensor_blind),
        sensor_stuck: desk.rule("sensor-stuck", Mode::Observe, sensing::sensor_stuck),
        sensor_drift: desk.rule("sensor-drift", Mode::Observe, sensing::sensor_drift),
        clock_step: desk.rule("clock-step", Mode::Observe, sensing::clock_step),
        sensor_conflict: desk.rule("sensor-conflict", Mode::Observe, sensing::sensor_conflict),
    };
    desk.section.finish(desk.findings);
    rules
}

/// The section, and what rules refer to.
struct Desk<'a, 'i> {
    section: Section<'i>,
    zones: &'a BTreeMap<ZoneId, Zone>,
    declared: &'a BTreeSet<String>,
    findings: &'a mut Findings,
}

impl Desk<'_, '_> {
    /// One rule, if the file has its table and its settings can be read.
    fn rule<T: DeserializeOwned + Common, Settings>(
        &mut self,
        name: &'static str,
        usual: Mode,
        settings: impl FnOnce(&mut Table<T>, &mut Findings) -> Option<Settings>,
    ) -> Option<Rule<Settings>> {
        let mut table = self.section.table::<T>(name, self.findings)?;
        let settings = settings(&mut table, self.findings);
        let (zones, mode) = table.value.where_and_whom();
        let mode = self.findings.value(mode).map_or(usual, |Word(mode)| mode);
        let zones = self.zones(name, zones);
        Some(Rule { zones, mode, settings: settings? })
    }

    fn zones(&mut self, name: &str, zones: List<ZoneId>) -> Vec<ZoneId> {
        let said = self.findings.all(zones);
        if let Some(said) = said.as_ref().filter(|said| said.get_ref().is_empty()) {
            let help = "leave `zones` out for every zone the rule makes sense in; take the table out to run it nowhere";
            self.findings.add(said.span(), "this names no zone", help);
        }
        let rule = quaywatch_fusion::rule_kinds().iter().find(|rule| rule.rule == name);
        let mut zones = Vec::new();
        for zone in said.map(Spanned::into_inner).unwrap_or_default() {
            let at = zone.span();
            let Some(zone) = super::sensors::known(zone, "zone", self.declared, self.findings) else { continue };
            if let Some(why) = rule.zip(self.zones.get(&zone)).and_then(|(rule, place)| rule.unfit(place)) {
                self.findings.add(
                    at,
                    format!("{name} makes no sense in `{zone}`, which {why}"),
                    "take the zone out of this list",
                );
            }
            zones.push(zone);
        }
        zones
    }
}

/// A duration that most rules can work with: a tenth of a second to a day.
fn time(written: Option<Written<Span>>, usual: Duration, findings: &mut Findings) -> Duration {
    time_of(written, usual, (Duration::from_millis(100), DAY), findings)
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn time_of(
    written: Option<Written<Span>>,
    usual: Duration,
    (least, most): (Duration, Duration),
    findings: &mut Findings,
) -> Duration {
    let Some(said) = findings.take(written) else { return usual };
    let Span(duration) = *said.get_ref();
    if !(least..=most).contains(&duration) {
        findings.add(
            said.span(),
            format!("{} is out of range here", span(duration)),
            format!("write \"{}\" to \"{}\"; \"{}\" is usual", span(least), span(most), span(usual)),
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

fn speed(
    written: Option<Written<MetresPerSecond>>,
    usual: f64,
    (least, most): (f64, f64),
    what: &str,
    findings: &mut Findings,
) -> f64 {
    let said = findings.take(written);
    if let Some(said) = said.as_ref().filter(|said| !(least..=most).contains(&said.get_ref().0)) {
        findings.add(said.span(), what, format!("write {least} m/s to {most} m/s; {usual} m/s is usual"));
    }
    said.map_or(usual, |said| said.into_inner().0)
}
