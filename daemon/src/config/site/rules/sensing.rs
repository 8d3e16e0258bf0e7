//! Sensors that no longer see, or are made not to.

use super::{DAY, odds, tables::*, time, time_of};
use crate::config::{document::Table, findings::Findings};
use quaywatch_schemas::site::rules;
use std::time::Duration;
use toml::Spanned;

pub(super) fn sensor_silent(
    table: &mut Table<SensorSilentTable>,
    findings: &mut Findings,
) -> Option<rules::SensorSilent> {
    let periods = findings.take(table.value.periods.take());
    if let Some(periods) = periods.as_ref().filter(|periods| !(1..=100).contains(periods.get_ref())) {
        findings.add(periods.span(), "this is no number of silent periods", "write 1 to 100; 2 is usual");
    }
    let periods = periods.map_or(rules::SensorSilent::default().periods, Spanned::into_inner);
    Some(rules::SensorSilent { periods })
}

pub(super) fn blinded_before_access(
    table: &mut Table<BlindedBeforeAccessTable>,
    findings: &mut Findings,
) -> Option<rules::BlindedBeforeAccess> {
    let usual = rules::BlindedBeforeAccess::default();
    Some(rules::BlindedBeforeAccess { within: time(table.value.within.take(), usual.within, findings) })
}

pub(super) fn node_tamper(table: &mut Table<NodeTamperTable>, findings: &mut Findings) -> Option<rules::NodeTamper> {
    Some(rules::NodeTamper { group: time(table.value.group.take(), rules::NodeTamper::default().group, findings) })
}

pub(super) fn sensor_blind(table: &mut Table<SensorBlindTable>, findings: &mut Findings) -> Option<rules::SensorBlind> {
    Some(rules::SensorBlind { least: odds(table.value.least.take(), rules::SensorBlind::default().least, findings) })
}

pub(super) fn sensor_stuck(table: &mut Table<SensorStuckTable>, findings: &mut Findings) -> Option<rules::SensorStuck> {
    Some(rules::SensorStuck { least: odds(table.value.least.take(), rules::SensorStuck::default().least, findings) })
}

pub(super) fn sensor_drift(table: &mut Table<SensorDriftTable>, findings: &mut Findings) -> Option<rules::SensorDrift> {
    let decided_at = findings.take(table.value.decided_at.take());
    if let Some(sum) = decided_at.as_ref().filter(|sum| !(1.0..=100.0).contains(&sum.get_ref().0)) {
        let help = "write 1 to 100 standard deviations; 5 is usual";
        findings.add(sum.span(), "this would be decided at once or never", help);
    }
    let usual = rules::SensorDrift::default().decided_at;
    Some(rules::SensorDrift { decided_at: decided_at.map_or(usual, |sum| sum.into_inner().0) })
}

pub(super) fn clock_step(table: &mut Table<ClockStepTable>, findings: &mut Findings) -> Option<rules::ClockStep> {
    let bounds = (Duration::from_millis(100), DAY);
    let at_least = time_of(table.value.at_least.take(), rules::ClockStep::default().at_least, bounds, findings);
    Some(rules::ClockStep { at_least })
}

pub(super) fn sensor_conflict(
    table: &mut Table<SensorConflictTable>,
    findings: &mut Findings,
) -> Option<rules::SensorConflict> {
    let usual = rules::SensorConflict::default();
    Some(rules::SensorConflict { least: odds(table.value.least.take(), usual.least, findings) })
}
