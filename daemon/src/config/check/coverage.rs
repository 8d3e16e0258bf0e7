//! What covers each place, and what each rule would miss there.

use super::{DomainReport, LineReport, RuleReport, SensorReport, ViewReport, ZoneReport, listed, places, span, word};
use crate::config::{
    SiteFile,
    plan::{FeedWay, Read, Way},
    values::site::FactKind,
};
use quaywatch_fusion::{RoleUse, RuleKind, bounds::MOST_WEIGHT, rule_kinds, sensors_of, zones_of as zones_of_pattern};
use quaywatch_schemas::{
    DomainId, PatternId, SensorId, Site, ZoneId,
    site::{
        Clock, Closed, Pattern, Role, Sensor,
        rules::{Mode, Rule, Rules},
    },
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn zones(file: &SiteFile) -> Vec<ZoneReport> {
    let site = &file.site;
    site.zones
        .iter()
        .map(|(id, zone)| ZoneReport {
            zone: id.to_string(),
            name: zone.name.clone(),
            kind: word(&zone.kind),
            closed: zone.closed.map(hours),
            in_view: places::in_view(site, id).map(|view| ViewReport {
                area_m2: view.area_m2,
                share: view.share,
                sensors: view.sensors.iter().map(ToString::to_string).collect(),
            }),
            sensors: site.sensors_of(id).map(|(sensor, spec)| sensor_report(file, sensor, spec)).collect(),
            rules: running(site, id)
                .map(|(rule, mode)| rule_report(file, rule, mode, id))
                .chain(patterns(site, id).map(|(name, pattern)| pattern_report(name, pattern, id)))
                .collect(),
            domains: domains(file, id),
        })
        .collect()
}

pub(super) fn lines(file: &SiteFile) -> Vec<LineReport> {
    let lines = file.plan.lines.iter();
    lines
        .map(|(id, line)| LineReport { line: id.to_string(), is: line.way.described(), sensors: line.reads.len() })
        .collect()
}

/// The rules that run in a zone, and how.
pub(super) fn running<'a>(site: &'a Site, zone: &'a ZoneId) -> impl Iterator<Item = (&'static RuleKind, Mode)> + 'a {
    rule_kinds().iter().filter_map(move |rule| Some((rule, rule.mode(site, zone)?)))
}

/// The patterns that are looked for in a zone.
pub(super) fn patterns<'a>(
    site: &'a Site,
    zone: &'a ZoneId,
) -> impl Iterator<Item = (&'a PatternId, &'a Pattern)> + 'a {
    site.patterns.iter().filter(move |(_, pattern)| zones_of_pattern(pattern, site).contains(&zone))
}

/// A pattern that is in order can be said wherever it runs: that is judged when the file is read.
fn pattern_report(name: &PatternId, pattern: &Pattern, zone: &ZoneId) -> RuleReport {
    RuleReport {
        rule: format!("pattern {name}"),
        kind: name.kind(),
        told: pattern.mode == Mode::Tell,
        named: pattern.zones.contains(zone),
        works: true,
        lacks: Vec::new(),
    }
}

/// Whether a sensor of this role watches a place, and does not only measure its conditions.
pub(super) fn watches(role: Role) -> bool {
    !matches!(
        role,
        Role::WindSpeed
            | Role::WindDirection
            | Role::WaterLevel
            | Role::Temperature
            | Role::Heartbeat
            | Role::Light
            // It hears those who speak: whoever is silent is not seen.
            | Role::Ais
            | Role::Rain
    )
}

/// The zones a rule is written down for: none means every one it makes sense in. `None` if it is not run.
pub(super) fn zones_of<'a>(rules: &'a Rules, name: &str) -> Option<&'a [ZoneId]> {
    fn of<Settings>(rule: &Option<Rule<Settings>>) -> Option<&[ZoneId]> {
        rule.as_ref().map(|rule| rule.zones.as_slice())
    }
    match name {
        "passage" => of(&rules.passage),
        "tailgating" => of(&rules.tailgating),
        "barrier-forced" => of(&rules.barrier_forced),
        "weight-mismatch" => of(&rules.weight_mismatch),
        "quay-presence" => of(&rules.quay_presence),
        "mooring-overload" => of(&rules.mooring_overload),
        "sensor-silent" => of(&rules.sensor_silent),
        "blinded-before-access" => of(&rules.blinded_before_access),
        "node-tamper" => of(&rules.node_tamper),
        "unbooked" => of(&rules.unbooked),
        "tag-mismatch" => of(&rules.tag_mismatch),
        "container-mismatch" => of(&rules.container_mismatch),
        "wrong-way" => of(&rules.wrong_way),
        "dwell" => of(&rules.dwell),
        "small-craft" => of(&rules.small_craft),
        "pass-back" => of(&rules.pass_back),
        "impossible-travel" => of(&rules.impossible_travel),
        "out-of-hours" => of(&rules.out_of_hours),
        "out-of-zone" => of(&rules.out_of_zone),
        "first-time-zone" => of(&rules.first_time_zone),
        "denied-then-granted" => of(&rules.denied_then_granted),
        "not-taken" => of(&rules.not_taken),
        "door-held" => of(&rules.door_held),
        "on-foot" => of(&rules.on_foot),
        "sensor-blind" => of(&rules.sensor_blind),
        "sensor-stuck" => of(&rules.sensor_stuck),
        "sensor-drift" => of(&rules.sensor_drift),
        "clock-step" => of(&rules.clock_step),
        "sensor-conflict" => of(&rules.sensor_conflict),
        _ => None,
    }
}

fn hours(closed: Closed) -> String {
    match closed {
        Closed::Always => "always".into(),
        Closed::Daily { from, until } => {
            format!("{:02}:{:02} to {:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
        }
    }
}

fn sensor_report(file: &SiteFile, id: &SensorId, spec: &Sensor) -> SensorReport {
    let line = file.plan.lines.get(&spec.line);
    let read = line.and_then(|line| Some((line, line.reads.get(id)?)));
    SensorReport {
        sensor: id.to_string(),
        role: word(&spec.role),
        line: spec.line.to_string(),
        read: read.map_or_else(String::new, |(line, read)| {
            let place = line.place_of(id, read);
            match (&line.way, read) {
                (Way::Modbus { device, .. }, _) => format!("{place} every {}", span(device.every)),
                (_, Read::Mqtt(subscription)) if !subscription.at_least_once => format!("{place} (at most once)"),
                _ => place,
            }
        }),
        domain: spec.domain.to_string(),
        silent_after: spec.silent_after.map(span),
        synchronised: spec.clock == Clock::Synchronised,
        leads: spec.leads.map(|leads| word(&leads)),
        used_by: used_by(&file.site, id, spec),
    }
}

/// The rules that look at a sensor. `sensor-silent` looks at all of them and is not counted.
fn used_by(site: &Site, id: &SensorId, spec: &Sensor) -> Vec<String> {
    let hears = |pattern: &Pattern| {
        let zones = zones_of_pattern(pattern, site);
        let mut sources = pattern.sources();
        sources.any(|(source, _)| zones.iter().any(|zone| sensors_of(source, zone, site).any(|sensor| sensor == id)))
    };
    let patterns = site.patterns.iter().filter(|(_, pattern)| hears(pattern));
    let patterns = patterns.map(|(name, _)| format!("pattern {name}"));
    if is_unread_fence(spec) {
        return patterns.collect();
    }
    let here = |rule: &RuleKind| rule.mode(site, &spec.zone).is_some();
    let somewhere = |rule: &RuleKind| site.zones.keys().any(|zone| rule.mode(site, zone).is_some());
    let looks = |rule: &RuleKind| {
        rule.uses
            .iter()
            .any(|used| used.roles.contains(&spec.role) && if used.anywhere { somewhere(rule) } else { here(rule) })
    };
    rule_kinds().iter().filter(|rule| looks(rule)).map(|rule| rule.rule.to_owned()).chain(patterns).collect()
}

fn rule_report(file: &SiteFile, rule: &RuleKind, mode: Mode, zone: &ZoneId) -> RuleReport {
    let (works, lacks) = lacks(file, rule, zone, None);
    let (rule_name, kind) = (rule.rule.to_owned(), rule.kind.to_owned());
    let named = zones_of(&file.site.rules, rule.rule).is_some_and(|zones| zones.contains(zone));
    RuleReport { rule: rule_name, kind, told: mode == Mode::Tell, named, works, lacks }
}

/// Whether a rule can say anything in a zone.
pub(super) fn works(file: &SiteFile, rule: &RuleKind, zone: &ZoneId) -> bool {
    lacks(file, rule, zone, None).0
}

/// Whether a rule can say anything in a zone, and what it lacks, if everything in `down` is.
fn lacks(file: &SiteFile, rule: &RuleKind, zone: &ZoneId, down: Option<&DomainId>) -> (bool, Vec<String>) {
    let site = &file.site;
    // A camera that fails is what that rule waits for.
    let awaited = |spec: &Sensor| {
        rule.rule == "blinded-before-access"
            && matches!(spec.role, Role::PresenceCamera | Role::PlateFront | Role::PlateRear)
    };
    let up = |spec: &&Sensor| down != Some(&spec.domain) || awaited(spec);
    let mut lacks: Vec<(bool, String)> = Vec::new();
    let mut said: Vec<&[Role]> = Vec::new();
    for used in rule.uses {
        let there = site.sensors.values().filter(up).filter(|spec| {
            used.roles.contains(&spec.role) && (used.anywhere || spec.zone == *zone) && !is_unread_fence(spec)
        });
        let count = there.count();
        if count >= used.least || said.contains(&used.roles) {
            continue;
        }
        said.push(used.roles);
        lacks.push((used.essential, format!("{}: {}", missing(used, count), used.without)));
    }
    let works = |lacks: &[(bool, String)]| lacks.iter().all(|(essential, _)| !essential);
    match rule.rule {
        "quay-presence" if works(&lacks) => {
            if site.zones.get(zone).is_some_and(|zone| zone.closed.is_none()) {
                let why = "the zone has no closed hours: nobody is ever where nobody may be";
                lacks.push((true, why.into()));
            } else if let Some(why) = never_sure(site, zone, down) {
                lacks.push((true, why));
            } else if !brings(file, FactKind::WorkOrder) {
                let why = "no [references.…] brings work orders: whoever works here in closed hours is said to be here";
                lacks.push((false, why.into()));
            }
        }
        "weight-mismatch" if !brings(file, FactKind::Booking) => {
            lacks.push((true, "no [references.…] brings bookings: there is nothing to compare a weight with".into()));
        }
        // Where no node is, there is nothing to tamper with.
        "node-tamper" if !has_node(file, zone) => lacks.clear(),
        _ => {}
    }
    let works = works(&lacks);
    // What it would also lack does not matter to a rule that says nothing.
    let lacks = lacks.into_iter().filter(|(essential, _)| works || *essential).map(|(_, lack)| lack);
    (works, lacks.collect())
}

/// A fence's vibration as a measure is kept, but no rule reads it: they want its alarm contact.
fn is_unread_fence(spec: &Sensor) -> bool {
    spec.role == Role::FenceVibration && spec.unit.is_some()
}

fn has_node(file: &SiteFile, zone: &ZoneId) -> bool {
    file.site
        .sensors_of(zone)
        .any(|(_, spec)| file.plan.lines.get(&spec.line).is_some_and(|line| matches!(line.way, Way::Nodes { .. })))
}

fn missing(used: &RoleUse, count: usize) -> String {
    let roles: Vec<String> = used.roles.iter().map(word).collect();
    let place = if used.anywhere { " at the whole site" } else { "" };
    match count {
        0 => format!("no {}{place}", listed(&roles, "or")),
        1 => format!("only one of {}{place}", listed(&roles, "and")),
        more => format!("only {more} of {}{place}", listed(&roles, "and")),
    }
}

fn brings(file: &SiteFile, kind: FactKind) -> bool {
    file.plan.feeds.values().any(|feed| feed.kinds.is_empty() || feed.kinds.contains(&kind))
}

/// The rule's own sum, if every presence sensor of the zone spoke at once: what one domain may prove is capped.
fn never_sure(site: &Site, zone: &ZoneId, down: Option<&DomainId>) -> Option<String> {
    let settings = &site.rules.quay_presence.as_ref()?.settings;
    let logit = |share: f64| (share / (1.0 - share)).ln();
    let mut domains: BTreeMap<&DomainId, f64> = BTreeMap::new();
    let presence = [Role::PresencePir, Role::PresenceCamera, Role::FenceVibration, Role::Pedestrian];
    for (_, spec) in
        site.sensors_of(zone).filter(|(_, spec)| presence.contains(&spec.role) && down != Some(&spec.domain))
    {
        // A camera that goes on seeing somebody grows surer, up to what one domain may prove.
        let weight = match spec.role {
            Role::PresenceCamera => MOST_WEIGHT,
            _ => (spec.rates.detection / spec.rates.false_alarm).ln(),
        };
        *domains.entry(&spec.domain).or_default() += weight;
    }
    let most: f64 = domains.values().map(|weight| weight.min(MOST_WEIGHT)).sum();
    let reaches = logit(settings.prior) + most;
    if reaches >= logit(settings.tell_at) {
        return None;
    }
    let probability = 100.0 / (1.0 + (-reaches).exp());
    let names: Vec<String> = domains.keys().map(|domain| domain.to_string()).collect();
    Some(format!(
        "if every presence sensor here spoke at once it would be {probability:.0} % sure, and it tells from {:.0} % on \
         ({}): add a sensor in another failure domain",
        100.0 * settings.tell_at,
        match names.as_slice() {
            [one] => format!("all are in domain {one}"),
            many => format!("domains {}", listed(many, "and")),
        }
    ))
}

fn domains(file: &SiteFile, zone: &ZoneId) -> Vec<DomainReport> {
    let site = &file.site;
    let names: BTreeSet<&DomainId> = site.sensors_of(zone).map(|(_, spec)| &spec.domain).collect();
    names
        .into_iter()
        .map(|domain| {
            let stops = running(site, zone)
                .filter(|(rule, _)| lacks(file, rule, zone, None).0 && !lacks(file, rule, zone, Some(domain)).0);
            let inside = site.sensors_of(zone).filter(|(_, spec)| spec.domain == *domain);
            DomainReport {
                domain: domain.to_string(),
                stops: stops.map(|(rule, _)| rule.rule.to_owned()).collect(),
                sensors: inside.map(|(id, _)| id.to_string()).collect(),
            }
        })
        .collect()
}

/// Whether anything is read over a line: sensors or references.
pub(super) fn is_used(file: &SiteFile, line: &quaywatch_schemas::LineId) -> bool {
    let read = file.plan.lines.get(line).is_some_and(|line| !line.reads.is_empty());
    let brings = file.plan.feeds.values().any(|feed| match &feed.way {
        FeedWay::Hook { line: over, .. } | FeedWay::Topic { line: over, .. } => over == line,
        FeedWay::Folder(_) => false,
    });
    read || brings
}
