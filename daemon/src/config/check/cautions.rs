//! What is likely to disappoint in files that are in order.

use super::{
    Caution, Cautions, RecipientReport, ZoneReport,
    coverage::{is_used, running, watches, zones_of},
    listed, places, span,
    telling::told_kinds,
};
use crate::config::{
    SharingFile, SiteFile,
    plan::{Address, Line, Read, Way},
    values::NodeNumber,
};
use quaywatch_drivers::{
    modbus::{Place, RegisterArea},
    mqtt,
    streamed::Carrier,
};
use quaywatch_fusion::rule_kinds;
use quaywatch_schemas::{FieldClass, SensorId, policy::Treatment, site::Role};
use std::{collections::BTreeMap, time::Duration};

/// A vehicle in a gate lane at the most. Origin: lanes are signed for 10 to 20 km/h.
const LANE_SPEED: f64 = 20.0 / 3.6;
/// Origin: at lane speed a tailgater's gap of half a metre lasts 90 ms.
const SLOWEST_LOOP: Duration = Duration::from_millis(100);

pub(super) fn all(
    site: &SiteFile,
    sharing: Option<&SharingFile>,
    zones: &[ZoneReport],
    recipients: &[RecipientReport],
) -> Vec<Caution> {
    let mut cautions = Cautions(Vec::new());
    coverage(site, zones, &mut cautions);
    places::cautions(site, &mut cautions);
    rules(site, zones, &mut cautions);
    signals(site, &mut cautions);
    lines(site, &mut cautions);
    if let Some(sharing) = sharing {
        telling(site, sharing, recipients, &mut cautions);
    }
    cautions.0
}

/// Places nobody looks at, places one failure blinds, sensors nobody uses.
fn coverage(site: &SiteFile, zones: &[ZoneReport], cautions: &mut Cautions) {
    for (id, zone) in &site.site.zones {
        let watching: Vec<_> = site.site.sensors_of(id).filter(|(_, spec)| watches(spec.role)).collect();
        let domains: std::collections::BTreeSet<_> = watching.iter().map(|(_, spec)| &spec.domain).collect();
        if watching.is_empty() {
            let says = format!("nobody is looking here: no sensor watches {}", zone.name);
            cautions.add(format!("zone {id}"), says, "give it a sensor, or take the zone out of the file");
        } else if let (1, Some(domain)) = (domains.len(), domains.first()) {
            let says = match watching.len() {
                1 => format!("one sensor alone watches {}", zone.name),
                2 => format!("both sensors that watch {} fail together, with {domain}", zone.name),
                count => format!("all {count} sensors that watch {} fail together, with {domain}", zone.name),
            };
            let help = "a second failure domain tells a fault from an attack; if some hang elsewhere than on their \
                        line, say so with `domain`";
            cautions.add(format!("zone {id}"), says, help);
        }
    }
    for zone in zones {
        let unused = zone.sensors.iter().filter(|sensor| sensor.used_by.is_empty());
        let unused: Vec<String> = unused.map(|sensor| format!("{} ({})", sensor.sensor, sensor.role)).collect();
        if !unused.is_empty() {
            let says = format!("no rule that runs here looks at {}", listed(&unused, "or"));
            let help = "what they say is stored and their silence is said, nothing else; add the rule that should look, \
                        or mend `role`";
            cautions.add(format!("zone {}", zone.zone), says, help);
        }
    }
}

/// Rules that are written down and can say nothing: anywhere, or in a zone that they name.
fn rules(site: &SiteFile, zones: &[ZoneReport], cautions: &mut Cautions) {
    for rule in rule_kinds() {
        let Some(named) = zones_of(&site.site.rules, rule.rule) else { continue };
        let mut reports = zones
            .iter()
            .flat_map(|zone| zone.rules.iter().filter(|said| said.rule == rule.rule).map(move |said| (zone, said)));
        if !reports.clone().any(|(_, said)| said.works) {
            let why =
                reports.next().and_then(|(zone, said)| Some(format!("; in {}: {}", zone.zone, said.lacks.first()?)));
            let says = match why {
                Some(why) => format!("can say nothing anywhere{why}"),
                None => "runs nowhere: the site has no zone of a kind it makes sense in".to_owned(),
            };
            cautions.add(format!("rule {}", rule.rule), says, "give it what it lacks, or take the rule out");
            continue;
        }
        for (zone, said) in reports.filter(|(_, said)| said.named && !said.works && !named.is_empty()) {
            let says = format!("can say nothing in {}: {}", zone.zone, said.lacks.join("; "));
            cautions.add(
                format!("rule {}", rule.rule),
                says,
                "give it what it lacks, or take the zone out of its list",
            );
        }
    }
}

/// Signals that will be missed, and addresses that are probably wrong.
fn signals(site: &SiteFile, cautions: &mut Cautions) {
    for (line_id, line) in &site.plan.lines {
        let mut places: BTreeMap<String, &SensorId> = BTreeMap::new();
        for (id, read) in &line.reads {
            let Some(spec) = site.site.sensors.get(id) else { continue };
            if let Way::Modbus { device, .. } = &line.way
                && device.every > SLOWEST_LOOP
                && is_quick(spec.role)
            {
                slow(id, device.every, spec.role, cautions);
            }
            match read {
                Read::Mqtt(subscription) if !subscription.at_least_once => {
                    let says = "with qos = 0 the broker keeps nothing for us: what it says while the line is down or the \
                                gateway restarts is lost";
                    cautions.add(format!("sensor {id}"), says, "leave `qos` out; 1 is the default");
                }
                Read::Modbus(point) => manual_notation(id, &point.place, line, cautions),
                _ => {}
            }
            let place = line.place_of(id, read);
            if let Some(other) = places.insert(place.clone(), id)
                && !is_camera(read)
            {
                let says = format!("is read from the same place as {other}: {place} of line {line_id}");
                cautions.add(format!("sensor {id}"), says, "mend one of them if this was copied and not changed");
            }
        }
    }
}

/// A camera that reads plates and watches a place is two sensors.
fn is_camera(read: &Read) -> bool {
    matches!(read, Read::Mqtt(subscription) if matches!(subscription.gives, mqtt::Gives::Frigate { .. }))
}

/// Contacts of a lane that are over in a moment.
fn is_quick(role: Role) -> bool {
    matches!(role, Role::LoopApproach | Role::LoopExit | Role::BarrierOpen)
}

fn slow(id: &SensorId, every: Duration, role: Role, cautions: &mut Cautions) {
    let metres = every.as_secs_f64() * LANE_SPEED;
    let says = match role {
        Role::LoopApproach | Role::LoopExit => format!(
            "is read every {}: a vehicle or a gap that takes less may never be seen. At 20 km/h that is {metres:.1} m, so a \
             tailgater closer than that counts as one vehicle with the one before",
            span(every)
        ),
        _ => format!("is read every {}: an arm that moves and is back in less may never be seen", span(every)),
    };
    cautions.add(
        format!("sensor {id}"),
        says,
        "write every = \"50 ms\" on its line, or put loops on a line of their own",
    );
}

/// `40011` is how manuals write holding register 10.
fn manual_notation(id: &SensorId, place: &Place, line: &Line, cautions: &mut Cautions) {
    let Place::Register { area, address, .. } = place else { return };
    let base = if let Way::Modbus { base, .. } = &line.way { *base } else { 0 };
    let written = u32::from(*address) + base;
    let (key, first) = match area {
        RegisterArea::Holding => ("holding", 40_001),
        RegisterArea::Input => ("input", 30_001),
    };
    if (first..first + 9_999).contains(&written) {
        let (zero, one) = (written - first, written - first + 1);
        let says = format!("{key} = {written} looks like a manual's notation for register {zero} (counted from 0)");
        cautions.add(
            format!("sensor {id}"),
            says,
            format!("write {key} = {zero}, or {key} = {one} where the line has base = 1"),
        );
    }
}

/// Lines, nodes and listeners.
fn lines(site: &SiteFile, cautions: &mut Cautions) {
    for (id, line) in &site.plan.lines {
        if !is_used(site, id) {
            cautions.add(
                format!("line {id}"),
                "nothing is read over it, so it is not opened",
                "give it a sensor, or take it out",
            );
        }
        if let Way::Http { listen, tls: None } = &line.way
            && !listen.ip().is_loopback()
        {
            let says = "takes webhooks without TLS: tokens and plates pass in the clear";
            cautions.add(
                format!("line {id}"),
                says,
                "add `certificate` and `key` where the cameras can do https, else keep them on a network of their own",
            );
        }
        if let Way::Ais(Carrier::Udp(listen)) | Way::Frames(Carrier::Udp(listen)) = &line.way
            && !listen.ip().is_loopback()
        {
            let says = "takes what it is sent by anybody who reaches this address: UDP proves nobody";
            let help = "keep it on a network of its own, or let only its source through (a firewall rule)";
            cautions.add(format!("line {id}"), says, help);
        }
        if let Way::Mqtt(broker) = &line.way
            && broker.tls.is_none()
            && !is_loopback(&broker.host)
        {
            let says = "goes without TLS: whoever is on that network can read plates and speak for any sensor";
            cautions.add(
                format!("line {id}"),
                says,
                "write mqtts:// where the broker can, else keep it on a network of its own",
            );
        }
    }
    let used = |number: NodeNumber| {
        let reads = site.plan.lines.values().flat_map(|line| line.reads.values());
        reads.into_iter().any(|read| matches!(read, Read::Node { node, .. } if *node == number))
    };
    for number in site.plan.nodes.keys().copied().filter(|number| !used(*number)) {
        cautions.add(
            format!("node {}", number.0),
            "no sensor is on it, so it is not polled",
            "give it a sensor, or take it out",
        );
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who gets nothing, what nobody gets, and one class of field that gives away another.
fn telling(site: &SiteFile, sharing: &SharingFile, recipients: &[RecipientReport], cautions: &mut Cautions) {
    for report in recipients.iter().filter(|report| report.gets.is_empty()) {
        let mut reasons: Vec<String> = report.not.iter().map(|not| not.why.clone()).collect();
        reasons.sort();
        reasons.dedup();
        let says = match reasons.is_empty() {
            true => "can get nothing: no rule of the site tells anybody anything".to_owned(),
            false => format!("can get nothing: {}", listed(&reasons, "and")),
        };
        cautions.add(
            format!("recipient {}", report.recipient),
            says,
            "mend its zones, kinds, clearance or purposes, or the markings",
        );
    }
    for (kind, zone) in told_kinds(site) {
        let name = zone.to_string();
        let told = |report: &&RecipientReport| {
            report.gets.iter().any(|told| told.kinds.contains(&kind) && told.zones.contains(&name))
        };
        if recipients.iter().any(|report| told(&report)) {
            continue;
        }
        let why: Vec<String> = recipients
            .iter()
            .flat_map(|report| {
                let not = report.not.iter().find(|not| not.kinds.contains(&kind) && not.zones.contains(&name));
                not.map(|not| format!("{}: {}", report.recipient, not.why))
            })
            .collect();
        let help = format!("nobody would know. {}", why.join("; "));
        cautions.add(format!("{kind} in {zone}"), "nobody is told of it", help);
    }
    for (id, recipient) in &sharing.policy.recipients {
        let treatment = |class| recipient.treatment(class);
        let shows = |class| treatment(class) == Treatment::Show;
        if shows(FieldClass::Media) && !shows(FieldClass::QuasiIdentity) && sees_plates(site, id, recipients) {
            let says = "is shown pictures, and plates can be read in them, although its quasi-identity is not shown";
            cautions.add(format!("recipient {id}"), says, "drop media too, or show quasi-identity");
        }
        if shows(FieldClass::Media) && !shows(FieldClass::Method) {
            let says = "is shown pictures: they give away where cameras are, although its method is dropped";
            cautions.add(format!("recipient {id}"), says, "drop media too, or show method");
        }
    }
    for (id, upstream) in &sharing.plan.upstreams {
        let plain = match &upstream.address {
            Address::Mqtt { broker, .. } => broker.tls.is_none() && !is_loopback(&broker.host),
            Address::Http { url, .. } => {
                let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
                host.is_some_and(|host| !is_loopback(host))
            }
        };
        if plain {
            let says = "is told without TLS: whoever is on the way can read it";
            cautions.add(format!("recipient {id}"), says, "write mqtts:// or https://");
        }
    }
}

/// Whether a recipient is told of anything in a zone whose cameras read plates.
fn sees_plates(site: &SiteFile, id: &quaywatch_schemas::RecipientId, recipients: &[RecipientReport]) -> bool {
    let zones = recipients.iter().filter(|report| report.recipient == id.as_str()).flat_map(|report| &report.gets);
    let zones: Vec<&String> = zones.flat_map(|told| &told.zones).collect();
    site.site.sensors.values().any(|spec| {
        matches!(spec.role, Role::PlateFront | Role::PlateRear | Role::Container)
            && zones.iter().any(|zone| *zone == spec.zone.as_str())
            && running(&site.site, &spec.zone).next().is_some()
    })
}
