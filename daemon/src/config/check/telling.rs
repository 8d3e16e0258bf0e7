//! Who gets what, and which secrets that and the lines need.

use super::{
    CredentialReport, NotTold, RecipientReport, Told,
    coverage::{patterns, running, works},
    listed, word,
};
use crate::config::{
    SharingFile, SiteFile,
    plan::{Address, Broker, Certificate, FeedWay, Read, TlsFiles, Way},
};
use crate::ledger::wall_now;
use quaywatch_fusion::PATTERN_STOPPED;
use quaywatch_schemas::{FieldClass, ZoneId, site::rules::Mode};
use quaywatch_sharing::{
    signing::{self, Signable},
    who_gets_what,
};
use std::collections::BTreeMap;

/// Every kind of situation that is told, in every zone where its rule can say something.
pub(super) fn told_kinds(site: &SiteFile) -> Vec<(String, ZoneId)> {
    let zones = site.site.zones.keys();
    let kinds = zones.flat_map(|zone| {
        let told = running(&site.site, zone).filter(|(rule, mode)| *mode == Mode::Tell && works(site, rule, zone));
        let rules = told.map(move |(rule, _)| rule.kind.to_owned());
        let told = patterns(&site.site, zone).filter(|(_, pattern)| pattern.mode == Mode::Tell);
        let patterns_told = told.map(|(name, _)| name.kind());
        // Whoever has a pattern wants to know that it was stopped.
        let stopped = patterns(&site.site, zone).next().map(|_| PATTERN_STOPPED.to_owned());
        rules.chain(patterns_told).chain(stopped).map(move |kind| (kind, zone.clone()))
    });
    kinds.collect()
}

pub(super) fn recipients(site: &SiteFile, sharing: &SharingFile) -> Vec<RecipientReport> {
    let cells = who_gets_what(&sharing.policy, &site.site, &told_kinds(site), wall_now());
    sharing
        .policy
        .recipients
        .iter()
        .map(|(id, recipient)| {
            let mut gets: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let mut not: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
            for cell in cells.iter().filter(|cell| cell.recipient == *id) {
                let zones = match &cell.gets {
                    Ok(_) => gets.entry(cell.kind.clone()).or_default(),
                    Err(why) => {
                        let only = cell.tear_line.as_ref().map(|text| format!("; only its tear line: {text}"));
                        let why = format!("{why}{}", only.unwrap_or_default());
                        not.entry((why, cell.kind.clone())).or_default()
                    }
                };
                zones.push(cell.zone.to_string());
            }
            let gets = by_zones(gets.into_iter().map(|(kind, zones)| ((), kind, zones)));
            let not = by_zones(not.into_iter().map(|((why, kind), zones)| (why, kind, zones)));
            let upstream = sharing.plan.upstreams.get(id);
            RecipientReport {
                recipient: id.to_string(),
                organisation: recipient.organisation.to_string(),
                upstream: upstream.map_or_else(String::new, |upstream| way(&upstream.address)),
                confirm: word(&recipient.confirm),
                fields: FieldClass::ALL.iter().map(|class| (word(class), word(&recipient.treatment(*class)))).collect(),
                gets: gets.into_iter().map(|((), kinds, zones)| Told { kinds, zones }).collect(),
                not: not.into_iter().map(|(why, kinds, zones)| NotTold { kinds, zones, why }).collect(),
            }
        })
        .collect()
}

/// Whether the file is signed, as far as it can be said away from the gateway: by those whom the file itself names.
pub(super) fn signed(sharing: &SharingFile) -> String {
    let policy = &sharing.policy;
    if policy.persons.is_empty() {
        return "unsigned: anybody who can write this file decides who is told; with [persons] two of them do".into();
    }
    let (counted, others) =
        signing::signers(&policy.persons, Signable::SharingFile, sharing.text().as_bytes(), &sharing.signatures);
    let counted: Vec<String> = counted.iter().map(ToString::to_string).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
    match counted.len() {
        0 => format!("names persons, and none of them has signed it{others}"),
        1 => format!("signed by {} alone{others}; it needs two", counted[0]),
        _ => {
            format!("signed by {}{others}; a gateway asks those whom the file in force names", listed(&counted, "and"))
        }
    }
}

/// Who outside gets the audit journal.
pub(super) fn audited(sharing: &SharingFile) -> String {
    match &sharing.policy.audit {
        Some(to) => format!("the audit journal goes to {to}"),
        None => "the audit journal stays on this box, where root can rewrite it; [audit] sends it outside".into(),
    }
}

/// Kinds that hold in the same zones for the same reason, together.
fn by_zones<Why: PartialEq>(
    all: impl Iterator<Item = (Why, String, Vec<String>)>,
) -> Vec<(Why, Vec<String>, Vec<String>)> {
    let mut grouped: Vec<(Why, Vec<String>, Vec<String>)> = Vec::new();
    for (why, kind, zones) in all {
        match grouped.iter_mut().find(|(other, _, other_zones)| *other == why && *other_zones == zones) {
            Some((_, kinds, _)) => kinds.push(kind),
            None => grouped.push((why, vec![kind], zones)),
        }
    }
    grouped
}

fn way(address: &Address) -> String {
    match address {
        Address::Mqtt { broker, topic } => {
            let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
            format!("{scheme}://{}:{} topic {topic}", broker.host, broker.port)
        }
        Address::Http { url, .. } => url.clone(),
    }
}

/// Secrets by name and what needs them.
pub(super) fn credentials(site: &SiteFile, sharing: Option<&SharingFile>) -> Vec<CredentialReport> {
    let mut needed = Needed::default();
    for (id, line) in &site.plan.lines {
        let owner = format!("lines.{id}");
        match &line.way {
            Way::Mqtt(broker) => needed.broker(broker, &owner),
            Way::Http { tls, .. } => needed.certificate(tls.as_ref(), &owner),
            _ => {}
        }
        for (sensor, read) in &line.reads {
            if let Read::Hook { token, .. } = read {
                needed.add(&token.get_ref().0, &format!("sensors.{sensor}"));
            }
        }
    }
    for (number, key) in site.plan.nodes.iter().filter_map(|(number, key)| Some((number, key.as_ref()?))) {
        needed.add(&key.get_ref().0, &format!("nodes.{}", number.0));
    }
    for (id, feed) in &site.plan.feeds {
        if let FeedWay::Hook { token, .. } = &feed.way {
            needed.add(&token.get_ref().0, &format!("references.{id}"));
        }
    }
    if let Some(sharing) = sharing {
        for (id, upstream) in &sharing.plan.upstreams {
            let owner = format!("recipients.{id}");
            needed.address(&upstream.address, &owner);
            if let Some(token) = &upstream.answer_token {
                needed.add(&token.get_ref().0, &owner);
            }
        }
        if let Some(audit) = &sharing.plan.audit {
            needed.address(&audit.address, "audit");
        }
        if let Some((_, tls)) = &sharing.plan.answers {
            needed.certificate(tls.as_ref(), "answers");
        }
    }
    let all = needed.0.into_iter();
    all.map(|(credential, used_by)| CredentialReport { credential, used_by, found: None }).collect()
}

#[derive(Default)]
struct Needed(BTreeMap<String, Vec<String>>);

impl Needed {
    fn address(&mut self, address: &Address, owner: &str) {
        match address {
            Address::Mqtt { broker, .. } => self.broker(broker, owner),
            Address::Http { bearer, tls, .. } => {
                if let Some(bearer) = bearer {
                    self.add(&bearer.get_ref().0, owner);
                }
                self.tls(tls, owner);
            }
        }
    }

    fn add(&mut self, name: &str, owner: &str) {
        let owners = self.0.entry(name.to_owned()).or_default();
        if !owners.iter().any(|known| known == owner) {
            owners.push(owner.to_owned());
        }
    }

    fn broker(&mut self, broker: &Broker, owner: &str) {
        if let Some((_, password)) = &broker.login {
            self.add(&password.get_ref().0, owner);
        }
        if let Some(tls) = &broker.tls {
            self.tls(tls, owner);
        }
    }

    fn tls(&mut self, files: &TlsFiles, owner: &str) {
        self.certificate(files.client.as_ref(), owner);
    }

    fn certificate(&mut self, certificate: Option<&Certificate>, owner: &str) {
        if let Some(certificate) = certificate {
            self.add(&certificate.key.get_ref().0, owner);
        }
    }
}
