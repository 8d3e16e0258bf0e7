//! Credentials, doors and people on foot.

use super::{DAY, HOUR, MINUTE, odds, speed, tables::*, time_of};
use crate::config::{document::Table, findings::Findings};
use quaywatch_schemas::site::rules;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn pass_back(table: &mut Table<PassBackTable>, findings: &mut Findings) -> Option<rules::PassBack> {
    let usual = rules::PassBack::default();
    Some(rules::PassBack {
        within: time_of(table.value.within.take(), usual.within, (MINUTE, 7 * DAY), findings),
        lost_read: odds(table.value.lost_read.take(), usual.lost_read, findings),
    })
}

pub(super) fn impossible_travel(
    table: &mut Table<ImpossibleTravelTable>,
    findings: &mut Findings,
) -> Option<rules::ImpossibleTravel> {
    let usual = rules::ImpossibleTravel::default();
    let walking = speed(table.value.walking.take(), usual.walking, (0.5, 10.0), "nobody walks like that", findings);
    let driving =
        speed(table.value.driving.take(), usual.driving, (1.0, 60.0), "nobody drives like that inside", findings);
    if driving < walking && walking <= 10.0 {
        let key = if table.has("driving") { "driving" } else { "walking" };
        findings.add(table.key(key), "driving would be slower than walking", "2 m/s and 9 m/s are usual");
    }
    Some(rules::ImpossibleTravel { walking, driving })
}

pub(super) fn out_of_hours(table: &mut Table<OutOfHoursTable>, findings: &mut Findings) -> Option<rules::OutOfHours> {
    let usual = rules::OutOfHours::default();
    let grace = time_of(table.value.grace.take(), usual.grace, (Duration::ZERO, 12 * HOUR), findings);
    Some(rules::OutOfHours { grace })
}

pub(super) fn out_of_zone(table: &mut Table<OutOfZoneTable>, findings: &mut Findings) -> Option<rules::OutOfZone> {
    Some(rules::OutOfZone { least: odds(table.value.least.take(), rules::OutOfZone::default().least, findings) })
}

pub(super) fn first_time_zone(
    table: &mut Table<FirstTimeZoneTable>,
    findings: &mut Findings,
) -> Option<rules::FirstTimeZone> {
    let usual = rules::FirstTimeZone::default();
    let history = time_of(table.value.history.take(), usual.history, (DAY, usual.history), findings);
    let least = findings.take(table.value.least_visits.take());
    if let Some(least) = least.as_ref().filter(|least| !(1..=1000).contains(least.get_ref())) {
        findings.add(least.span(), "this is no number of visits", "write 1 to 1000; 20 is usual");
    }
    let least_visits = least.map_or(usual.least_visits, toml::Spanned::into_inner);
    Some(rules::FirstTimeZone { history, least_visits })
}

pub(super) fn denied_then_granted(
    table: &mut Table<DeniedThenGrantedTable>,
    findings: &mut Findings,
) -> Option<rules::DeniedThenGranted> {
    let usual = rules::DeniedThenGranted::default();
    let within = time_of(table.value.within.take(), usual.within, (SECOND, HOUR), findings);
    Some(rules::DeniedThenGranted { within })
}

pub(super) fn not_taken(table: &mut Table<NotTakenTable>, findings: &mut Findings) -> Option<rules::NotTaken> {
    let usual = rules::NotTaken::default();
    Some(rules::NotTaken { within: time_of(table.value.within.take(), usual.within, (SECOND, HOUR), findings) })
}

pub(super) fn door_held(table: &mut Table<DoorHeldTable>, findings: &mut Findings) -> Option<rules::DoorHeld> {
    let usual = rules::DoorHeld::default();
    Some(rules::DoorHeld {
        longest: time_of(table.value.longest.take(), usual.longest, (SECOND, DAY), findings),
        grant_within: time_of(table.value.grant_within.take(), usual.grant_within, (SECOND, 10 * MINUTE), findings),
    })
}

pub(super) fn on_foot(table: &mut Table<OnFootTable>, findings: &mut Findings) -> Option<rules::OnFoot> {
    let usual = rules::OnFoot::default();
    Some(rules::OnFoot { within: time_of(table.value.within.take(), usual.within, (SECOND, 10 * MINUTE), findings) })
}
