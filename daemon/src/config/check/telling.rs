//! Who gets what, and which secrets that and the lines need.

use super::{CredentialReport, NotTold, RecipientReport, Told, coverage::running, word};
use crate::config::{
    SharingFile, SiteFile,
    plan::{Address, Broker, Certificate, FeedWay, Read, TlsFiles, Way},
};
use quaywatch_schemas::{FieldClass, ZoneId, site::rules::Mode};
use quaywatch_sharing::who_gets_what;
use std::collections::BTreeMap;

/// Every kind of situation that is told, in every zone it can occur in.
pub(super) fn told_kinds(site: &SiteFile) -> Vec<(String, ZoneId)> {
    let zones = site.site.zones.keys();
    let kinds = zones.flat_map(|zone| {
        let told = running(&site.site, zone).filter(|(_, mode)| *mode == Mode::Tell);
        told.map(move |(rule, _)| (rule.kind.to_owned(), zone.clone()))
    });
    kinds.collect()
}

pub(super) fn recipients(site: &SiteFile, sharing: &SharingFile) -> Vec<RecipientReport> {
    let cells = who_gets_what(&sharing.policy, &site.site, &told_kinds(site));
    sharing
        .policy
        .recipients
        .iter()
        .map(|(id, recipient)| {
            let mut gets: Vec<Told> = Vec::new();
            let mut not: Vec<NotTold> = Vec::new();
            for cell in cells.iter().filter(|cell| cell.recipient == *id) {
                let zone = cell.zone.to_string();
                match &cell.gets {
                    Ok(_) => match gets.iter_mut().find(|told| told.kind == cell.kind) {
                        Some(told) => told.zones.push(zone),
                        None => gets.push(Told { kind: cell.kind.clone(), zones: vec![zone] }),
                    },
                    Err(why) => {
                        let why = why.to_string();
                        match not.iter_mut().find(|not| not.kind == cell.kind && not.why == why) {
                            Some(not) => not.zones.push(zone),
                            None => not.push(NotTold { kind: cell.kind.clone(), zones: vec![zone], why }),
                        }
                    }
                }
            }
            let upstream = sharing.plan.upstreams.get(id);
            RecipientReport {
                recipient: id.to_string(),
                organisation: recipient.organisation.to_string(),
                upstream: upstream.map_or_else(String::new, |upstream| way(&upstream.address)),
                confirm: word(&recipient.confirm),
                fields: FieldClass::ALL.iter().map(|class| (word(class), word(&recipient.treatment(*class)))).collect(),
                gets,
                not,
            }
        })
        .collect()
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
    for (number, key) in &site.plan.nodes {
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
            match &upstream.address {
                Address::Mqtt { broker, .. } => needed.broker(broker, &owner),
                Address::Http { bearer, tls, .. } => {
                    if let Some(bearer) = bearer {
                        needed.add(&bearer.get_ref().0, &owner);
                    }
                    needed.tls(tls, &owner);
                }
            }
            if let Some(token) = &upstream.answer_token {
                needed.add(&token.get_ref().0, &owner);
            }
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
