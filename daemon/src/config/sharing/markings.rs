//! Markings: of everything, of zones, of sensors.

use super::{
    MarkingTable, Said, ScopedMarkingTable, TearLineTable, need_list,
    recipients::{pattern_exists, read_zones},
    tables::List,
};
use crate::config::{
    document::{Named, Table, did_you_mean},
    findings::Findings,
    values::{Span, sharing::OrganisationOrGroup},
    written::{Word, Written},
};
use quaywatch_schemas::{
    OrganisationId, Purpose, SensorId, Site, ZoneId,
    marking::{Marking, Releasable, Tlp},
    policy::{ScopedMarking, TearLine},
    situation::Severity,
};
use std::{collections::BTreeMap, ops::Range};
use toml::Spanned;

/// Origin: four weeks, what data protection authorities commonly accept for footage without an incident.
const DELETE_AFTER_DAYS: u16 = 28;

pub(super) fn default(table: Table<MarkingTable>, said: &mut Said, findings: &mut Findings) -> Option<Marking> {
    let MarkingTable { owner, tlp, releasable_to, purpose, delete_after } = table.value;
    let written = Handling { owner, tlp, releasable_to, purpose, delete_after };
    written.read((&table.at, &table.path), said, findings)
}

pub(super) fn scoped(
    tables: Named<String, ScopedMarkingTable>,
    site: &Site,
    said: &mut Said,
    findings: &mut Findings,
) -> Vec<ScopedMarking> {
    let mut markings = Vec::new();
    let mut marked: BTreeMap<String, String> = BTreeMap::new();
    for (_, table) in tables.tables {
        let scoped = table.has("sensors") || table.has("zones");
        if !scoped {
            let what = format!("`{}` does not say what it covers", table.path);
            findings.add(
                table.at.clone(),
                what,
                "add sensors = [\"…\"] or zones = [\"…\"]; what holds for all is in [marking]",
            );
        }
        let ScopedMarkingTable { sensors, zones, owner, tlp, releasable_to, purpose, delete_after } = table.value;
        let mut once = |kind: &str, name: &str, at: Range<usize>, findings: &mut Findings| {
            if let Some(other) = marked.insert(format!("{kind} {name}"), table.path.clone()) {
                findings.add(at, format!("{kind} `{name}` is marked by `{other}` already"), "mark it once");
            }
        };
        let sensors: Vec<SensorId> = findings
            .all(sensors)
            .map(Spanned::into_inner)
            .unwrap_or_default()
            .into_iter()
            .map(|sensor| {
                if !site.sensors.contains_key(sensor.get_ref()) {
                    let help = did_you_mean(sensor.get_ref().as_str(), site.sensors.keys().map(SensorId::as_str));
                    findings.add(sensor.span(), format!("the site has no sensor `{}`", sensor.get_ref()), help);
                }
                once("sensor", sensor.get_ref().as_str(), sensor.span(), findings);
                sensor.into_inner()
            })
            .collect();
        let zones: Vec<ZoneId> = findings
            .all(zones)
            .map(Spanned::into_inner)
            .unwrap_or_default()
            .into_iter()
            .map(|zone| {
                zone_exists(&zone, site, findings);
                once("zone", zone.get_ref().as_str(), zone.span(), findings);
                zone.into_inner()
            })
            .collect();
        let written = Handling { owner, tlp, releasable_to, purpose, delete_after };
        if let Some(marking) = written.read((&table.at, &table.path), said, findings) {
            markings.push(ScopedMarking { sensors, zones, marking });
        }
    }
    markings
}

pub(super) fn tear_lines(
    tables: Named<String, TearLineTable>,
    site: &Site,
    said: &mut Said,
    findings: &mut Findings,
) -> Vec<TearLine> {
    let mut lines = Vec::new();
    for (_, table) in tables.tables {
        let owner_at = (&table.at, table.path.as_str());
        let TearLineTable { kinds, zones, text, severity, owner, tlp, releasable_to, purpose, delete_after } =
            table.value;
        let kinds = findings.all(kinds).map(Spanned::into_inner).unwrap_or_default();
        kinds.iter().for_each(|kind| pattern_exists(kind, site, findings));
        let zones = need_list(zones, owner_at, "zones", "zones = [\"lane-3\"], or [\"*\"] for everywhere", findings);
        let zones = read_zones(zones, site, findings);
        let help =
            "text = \"Something needs attention here; keep clear.\", which says nothing that only the evidence says";
        let text = findings.need(text, owner_at, "text", help);
        let severity = findings.value(severity).map_or(Severity::Moderate, |Word(severity)| severity);
        let written = Handling { owner, tlp, releasable_to, purpose, delete_after };
        let marking = written.read(owner_at, said, findings);
        let (Some(text), Some(marking)) = (text, marking) else { continue };
        let kinds = kinds.into_iter().map(Spanned::into_inner).collect();
        lines.push(TearLine { kinds, zones, severity, text: text.into_inner().0, marking });
    }
    lines
}

pub(super) fn zone_exists(zone: &Spanned<ZoneId>, site: &Site, findings: &mut Findings) {
    if !site.zones.contains_key(zone.get_ref()) {
        let help = did_you_mean(zone.get_ref().as_str(), site.zones.keys().map(ZoneId::as_str));
        findings.add(zone.span(), format!("the site has no zone `{}`", zone.get_ref()), help);
    }
}

/// What both kinds of marking say.
struct Handling {
    owner: Option<Written<OrganisationId>>,
    tlp: Option<Written<Word<Tlp>>>,
    releasable_to: List<OrganisationOrGroup>,
    purpose: Option<Written<Purpose>>,
    delete_after: Option<Written<Span>>,
}

impl Handling {
    fn read(self, owned: (&Range<usize>, &str), said: &mut Said, findings: &mut Findings) -> Option<Marking> {
        let owner = findings.need(
            self.owner,
            owned,
            "owner",
            "owner = \"acme-terminal\", the organisation whose information it is",
        );
        let tlp = findings.need(self.tlp, owned, "tlp", "tlp = \"AMBER\" (CLEAR, GREEN, AMBER, AMBER+STRICT, RED)");
        let help = "releasable_to = [\"port-police\"]: who may be given it";
        let releasable_to = need_list(self.releasable_to, owned, "releasable_to", help, findings);
        let purpose =
            findings.need(self.purpose, owned, "purpose", "purpose = \"port-facility-security\": why it may be used");
        let delete_after = findings.take(self.delete_after);
        let delete_after_days = delete_after.map_or(Some(DELETE_AFTER_DAYS), |after| {
            let seconds = after.get_ref().0.as_secs();
            let days = u16::try_from(seconds / 86_400).ok().filter(|days| *days > 0 && seconds.is_multiple_of(86_400));
            if days.is_none() {
                findings.add(after.span(), "recipients delete by day", "write whole days: \"28 d\"");
            }
            days
        });
        if let Some(owner) = &owner {
            said.known.insert(owner.get_ref().clone());
        }
        for to in &releasable_to {
            match &to.get_ref().0 {
                Releasable::Organisation(name) => said.organisations.push(Spanned::new(to.span(), name.clone())),
                Releasable::Group(name) => said.groups.push(Spanned::new(to.span(), name.clone())),
            }
        }
        let Word(tlp) = tlp?.into_inner();
        Some(Marking {
            owner: owner?.into_inner(),
            tlp,
            releasable_to: releasable_to.into_iter().map(|to| to.into_inner().0).collect(),
            purpose: purpose?.into_inner(),
            delete_after_days: delete_after_days?,
        })
    }
}
