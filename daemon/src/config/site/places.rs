//! The site itself and its zones.

use super::{SiteIdentity, SiteTable, ZoneTable, geometry};
use crate::config::{
    document::{Named, Table},
    findings::Findings,
    written::Word,
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use quaywatch_schemas::{
    WallTime, ZoneId,
    site::{UtcOffset, Zone, ZoneKind},
};
use std::collections::BTreeMap;

/// How far ahead local time is known: fusion has no time zone database.
const AHEAD_HOURS: i64 = 10 * 366 * 24;
/// Records may be this old when they are replayed.
const BEHIND_HOURS: i64 = 366 * 24;

pub(super) fn site(table: Option<Table<SiteTable>>, now: Timestamp, findings: &mut Findings) -> Option<SiteIdentity> {
    let Some(table) = table else {
        findings.add(0..0, "there is no table `site`", "add [site] with locode, id and timezone");
        return None;
    };
    let owner = (&table.at, table.path.as_str());
    let SiteTable { locode, id, timezone, status, grid } = table.value;
    let locode = findings.need(locode, owner, "locode", "locode = \"NLRTM\", the port's UN/LOCODE");
    let id = findings.need(id, owner, "id", "id = \"gate-2\": the site's name, which stays when the box is replaced");
    let timezone = findings.need(timezone, owner, "timezone", "timezone = \"Europe/Amsterdam\"");
    let status = findings.value(status).map(|Word(status)| status).unwrap_or_default();
    let grid = geometry::grid(grid, findings);
    let zone = timezone?.into_inner();
    Some(SiteIdentity {
        locode: locode?.into_inner().0,
        id: id?.into_inner(),
        status,
        utc_offsets: utc_offsets(&zone.0, now),
        timezone: zone.1,
        grid,
    })
}

/// Local time's offsets from a year before `now` until ten years after it; the first holds for everything earlier.
fn utc_offsets(zone: &TimeZone, now: Timestamp) -> Vec<UtcOffset> {
    let begin = now.saturating_sub(BEHIND_HOURS.hours()).unwrap_or(Timestamp::MIN);
    let end = now.saturating_add(AHEAD_HOURS.hours()).unwrap_or(Timestamp::MAX);
    let first = UtcOffset { from: WallTime(i64::MIN), seconds: zone.to_offset(begin).seconds() };
    let later = zone.following(begin).take_while(|change| change.timestamp() <= end).map(|change| UtcOffset {
        from: WallTime(i64::try_from(change.timestamp().as_nanosecond()).unwrap_or(i64::MAX)),
        seconds: change.offset().seconds(),
    });
    std::iter::once(first).chain(later).collect()
}

pub(super) fn zones(tables: Named<ZoneId, ZoneTable>, findings: &mut Findings) -> BTreeMap<ZoneId, Zone> {
    if tables.declared.is_empty() {
        findings.add(0..0, "there is no zone", "add a place: [zones.lane-3] with name and kind");
    }
    let mut zones = BTreeMap::new();
    for (id, table) in tables.tables {
        if let Some(zone) = zone(table, findings) {
            zones.insert(id, zone);
        }
    }
    zones
}

fn zone(mut table: Table<ZoneTable>, findings: &mut Findings) -> Option<Zone> {
    let name = table.value.name.take();
    let kind = table.value.kind.take();
    let owner = (&table.at, table.path.as_str());
    let name = findings.need(name, owner, "name", "name = \"Gate 2, lane 3, inbound\", as people call it");
    let kind = findings.need(
        kind,
        owner,
        "kind",
        "kind = \"lane\" (or gate, turnstile, gangway, quay, berth, waterside, fence, yard, room)",
    );
    let direction = findings.value(table.value.direction.take()).map(|Word(direction)| direction);
    let length = findings.take(table.value.length.take());
    let media = findings.take(table.value.media.take());
    let closed = findings.value(table.value.closed.take());
    let outline = geometry::outline(table.value.outline.take(), findings);
    if let Some(length) = length.as_ref().filter(|length| !(1.0..=500.0).contains(&length.get_ref().0)) {
        findings.add(
            length.span(),
            "no lane is this long",
            "the length is from the arm to the end of the last loop, 1 m to 500 m",
        );
    }
    if let Some(media) = &media {
        footage(media, findings);
    }
    let Word(kind) = kind?.into_inner();
    let led = matches!(kind, ZoneKind::Lane | ZoneKind::Turnstile | ZoneKind::Gangway);
    if !led && table.has("direction") {
        let what = format!("`{}` is no lane, turnstile or gangway and has no direction", table.path);
        findings.add(table.key("direction"), what, "take `direction` out, or mend `kind`");
    }
    if kind != ZoneKind::Lane && table.has("length") {
        let what = format!("`{}` is no lane and has no length", table.path);
        findings.add(table.key("length"), what, "take `length` out, or write kind = \"lane\"");
    }
    Some(Zone {
        name: name?.into_inner().0,
        kind,
        direction,
        length_m: length.map(|length| length.into_inner().0),
        media: media.map(|media| media.into_inner().0),
        closed,
        outline,
    })
}

fn footage(media: &toml::Spanned<crate::config::values::Text>, findings: &mut Findings) {
    let text = &media.get_ref().0;
    if !(text.starts_with("https://") || text.starts_with("http://")) {
        findings.add(media.span(), "this is no link to footage", "it starts with https://");
    }
    for hole in text.split('{').skip(1) {
        let name = hole.split('}').next().unwrap_or_default();
        if !["camera", "from", "to"].contains(&name) || !hole.contains('}') {
            let what = format!("nothing is filled in for {{{name}}}");
            findings.add(media.span(), what, "there are {camera}, {from} and {to} (Unix seconds)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_hours_follow_summer_time_for_ten_years() {
        let now: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        let offsets = utc_offsets(&TimeZone::get("Europe/Amsterdam").unwrap(), now);
        let at = |text: &str| {
            let at = WallTime(i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap());
            offsets.iter().rev().find(|offset| offset.from <= at).unwrap().seconds
        };
        assert_eq!(at("2026-07-01T00:00:00Z"), 7200);
        assert_eq!(at("2026-10-25T00:59:59Z"), 7200);
        assert_eq!(at("2026-10-25T01:00:00Z"), 3600);
        assert_eq!(at("2035-07-01T00:00:00Z"), 7200);
        assert!(offsets.is_sorted_by_key(|offset| offset.from));
        assert_eq!(utc_offsets(&TimeZone::UTC, now).len(), 1);
    }
}
