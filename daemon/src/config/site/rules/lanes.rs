//! Vehicles in lanes.

use super::{odds, tables::*, time};
use crate::config::{document::Table, findings::Findings};
use quaywatch_schemas::site::rules;

pub(super) fn passage(table: &mut Table<PassageTable>, findings: &mut Findings) -> Option<rules::Passage> {
    let usual = rules::Passage::default();
    Some(rules::Passage {
        within: time(table.value.within.take(), usual.within, findings),
        settle: time(table.value.settle.take(), usual.settle, findings),
    })
}

pub(super) fn tailgating(table: &mut Table<TailgatingTable>, findings: &mut Findings) -> Option<rules::Tailgating> {
    let usual = rules::Tailgating::default();
    Some(rules::Tailgating {
        grant_lasts: time(table.value.grant_lasts.take(), usual.grant_lasts, findings),
        settle: time(table.value.settle.take(), usual.settle, findings),
    })
}

pub(super) fn barrier_forced(
    table: &mut Table<BarrierForcedTable>,
    findings: &mut Findings,
) -> Option<rules::BarrierForced> {
    let usual = rules::BarrierForced::default();
    Some(rules::BarrierForced { grant_within: time(table.value.grant_within.take(), usual.grant_within, findings) })
}

pub(super) fn weight_mismatch(
    table: &mut Table<WeightMismatchTable>,
    findings: &mut Findings,
) -> Option<rules::WeightMismatch> {
    let usual = rules::WeightMismatch::default();
    let tolerance = findings.take(table.value.tolerance.take());
    if let Some(tolerance) = tolerance.as_ref().filter(|tolerance| tolerance.get_ref().0 < 0.0) {
        findings.add(tolerance.span(), "a tolerance is not negative", "\"1000 kg\" is usual");
    }
    let tolerance_share = findings.value(table.value.tolerance_share.take());
    Some(rules::WeightMismatch {
        tolerance_kg: tolerance.map_or(usual.tolerance_kg, |tolerance| tolerance.into_inner().0),
        tolerance_share: tolerance_share.map_or(usual.tolerance_share, |share| share.0),
    })
}

pub(super) fn unbooked(table: &mut Table<UnbookedTable>, findings: &mut Findings) -> Option<rules::Unbooked> {
    Some(rules::Unbooked { least: odds(table.value.least.take(), rules::Unbooked::default().least, findings) })
}

pub(super) fn tag_mismatch(table: &mut Table<TagMismatchTable>, findings: &mut Findings) -> Option<rules::TagMismatch> {
    Some(rules::TagMismatch { least: odds(table.value.least.take(), rules::TagMismatch::default().least, findings) })
}

pub(super) fn container_mismatch(
    table: &mut Table<ContainerMismatchTable>,
    findings: &mut Findings,
) -> Option<rules::ContainerMismatch> {
    let usual = rules::ContainerMismatch::default();
    Some(rules::ContainerMismatch { least: odds(table.value.least.take(), usual.least, findings) })
}

pub(super) fn wrong_way(table: &mut Table<WrongWayTable>, findings: &mut Findings) -> Option<rules::WrongWay> {
    Some(rules::WrongWay { least: odds(table.value.least.take(), rules::WrongWay::default().least, findings) })
}
