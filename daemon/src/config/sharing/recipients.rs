//! Recipients: who they are, what they may have, how they are reached.

use super::{
    RecipientTable, Said, certificate,
    markings::zone_exists,
    need_list,
    tables::{AuditTable, FieldsTable, UpstreamTable},
};
use crate::config::{
    SiteFile,
    document::{Named, Table, did_you_mean},
    findings::Findings,
    plan::{Address, Audit, Broker, TlsFiles, Upstream},
    values::Text,
    written::Word,
};
use quaywatch_schemas::{
    FieldClass, PatternId, RecipientId, Site, ZoneId,
    policy::{Confirm, KindPattern, Recipient, Treatment},
    site::patterns::FAMILY,
};
use std::{collections::BTreeMap, ops::Range};
use toml::Spanned;

type Read = (BTreeMap<RecipientId, Recipient>, BTreeMap<RecipientId, Upstream>);

pub(super) fn read(
    tables: Named<RecipientId, RecipientTable>,
    site: &SiteFile,
    takes_answers: bool,
    said: &mut Said,
    findings: &mut Findings,
) -> Read {
    let (mut recipients, mut upstreams) = (BTreeMap::new(), BTreeMap::new());
    let mut ways: BTreeMap<String, RecipientId> = BTreeMap::new();
    for (id, table) in tables.tables {
        let upstream_at = table.key("upstream");
        let Some((recipient, upstream)) = recipient(&id, table, site, takes_answers, said, findings) else { continue };
        // Two recipients on one topic would read each other's products.
        if let Some(other) = ways.insert(way(&upstream.address), id.clone()) {
            findings.add(
                upstream_at,
                format!("recipient `{other}` is reached in this very place"),
                "give each its own topic or address: \"qw/{site}/{recipient}\"",
            );
        }
        recipients.insert(id.clone(), recipient);
        upstreams.insert(id, upstream);
    }
    (recipients, upstreams)
}

/// Who outside gets the audit journal.
pub(super) fn audit(
    mut table: Table<AuditTable>,
    site: &SiteFile,
    upstreams: &BTreeMap<RecipientId, Upstream>,
    findings: &mut Findings,
) -> Option<Audit> {
    let owner = (&table.at, table.path.as_str());
    let help = "upstream = { mqtt = \"mqtts://HOST\", topic = \"qw/{site}/audit\" } or { http = \"https://…\" }";
    let upstream = findings.need(table.value.upstream.take(), owner, "upstream", help)?;
    let at = upstream.span();
    if upstream.get_ref().confirm.is_some() {
        let help = "take it out: an entry counts as told when the transport took it";
        findings.add(at.clone(), "`confirm` does not go with the audit journal", help);
    }
    let id = RecipientId::new("audit").ok()?;
    let (address, _) = read_upstream(&id, upstream, &site.site, findings)?;
    if let Some((other, _)) = upstreams.iter().find(|(_, upstream)| way(&upstream.address) == way(&address)) {
        let help = "give each its own topic or address: \"qw/{site}/audit\"";
        findings.add(at, format!("recipient `{other}` is reached in this very place"), help);
    }
    Some(Audit { address, source: format!("/quaywatch/{}/{}/audit", site.site.locode, site.site.id) })
}

/// Where something goes, without secrets: a query may hold a token.
pub(super) fn described(address: &Address) -> String {
    match address {
        Address::Mqtt { broker, topic } => {
            let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
            format!("{scheme}://{}:{} {topic}", broker.host, broker.port)
        }
        Address::Http { url, .. } => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

/// A kind of the patterns' own family is said by a pattern of the site.
pub(super) fn pattern_exists(kind: &Spanned<KindPattern>, site: &Site, findings: &mut Findings) {
    let meant = kind.get_ref();
    let kinds: Vec<String> = site.patterns.keys().map(PatternId::kind).collect();
    if meant.0.starts_with(FAMILY) && !kinds.iter().any(|kind| meant.matches(kind)) {
        let what = format!("no pattern of the site file says {:?}", meant.0);
        findings.add(kind.span(), what, did_you_mean(&meant.0, kinds.iter().map(String::as_str)));
    }
}

fn way(address: &Address) -> String {
    match address {
        Address::Mqtt { broker, topic } => format!("{}:{}/{topic}", broker.host, broker.port),
        Address::Http { url, .. } => url.clone(),
    }
}

fn recipient(
    id: &RecipientId,
    mut table: Table<RecipientTable>,
    site: &SiteFile,
    takes_answers: bool,
    said: &mut Said,
    findings: &mut Findings,
) -> Option<(Recipient, Upstream)> {
    let written = &mut table.value;
    let (organisation, clearance, purposes) =
        (written.organisation.take(), written.clearance.take(), written.purposes.take());
    let (zones, kinds, fields) = (written.zones.take(), written.kinds.take(), written.fields.take());
    let (upstream, answer_token) = (written.upstream.take(), written.answer_token.take());
    let owner = (&table.at, table.path.as_str());
    let organisation =
        findings.need(organisation, owner, "organisation", "organisation = \"port-police\": who they are");
    if let Some(organisation) = &organisation {
        said.known.insert(organisation.get_ref().clone());
    }
    let clearance =
        findings.need(clearance, owner, "clearance", "clearance = \"AMBER\": the most restricted they may have");
    let purposes = need_list(
        purposes,
        owner,
        "purposes",
        "purposes = [\"port-facility-security\"]: what they may use it for",
        findings,
    );
    let zones = need_list(zones, owner, "zones", "zones = [\"lane-3\"], or [\"*\"] for everywhere", findings);
    let zones = read_zones(zones, &site.site, findings);
    let kinds = findings.all(kinds).map(Spanned::into_inner).unwrap_or_default();
    kinds.iter().for_each(|kind| pattern_exists(kind, &site.site, findings));
    let fields = findings.take(fields).map(|fields| read_fields(fields.into_inner(), findings)).unwrap_or_default();
    let help = "upstream = { mqtt = \"mqtts://HOST\", topic = \"qw/{site}/{recipient}\" } or { http = \"https://…\" }";
    let upstream = findings.need(upstream, owner, "upstream", help);
    let answer_token = findings.take(answer_token);
    if answer_token.is_some() && !takes_answers {
        findings.add(
            table.key("answer_token"),
            "nothing listens for answers",
            "add [answers] with listen = \"ADDRESS:PORT\"",
        );
    }
    let upstream = upstream?;
    let upstream_at = upstream.span();
    let (address, confirm) = read_upstream(id, upstream, &site.site, findings)?;
    if confirm == Confirm::Receipt && matches!(address, Address::Http { .. }) && answer_token.is_none() {
        let help = "add [answers] and answer_token = \"credential:NAME\" so that it can send receipts, or write \
                    confirm = \"transport\"";
        findings.add(upstream_at.clone(), "this recipient has no way to send receipts", help);
    }
    let Word(clearance) = clearance?.into_inner();
    let recipient = Recipient {
        organisation: organisation?.into_inner(),
        clearance,
        purposes: purposes.into_iter().map(Spanned::into_inner).collect(),
        zones,
        kinds: kinds.into_iter().map(Spanned::into_inner).collect(),
        fields,
        confirm,
    };
    Some((recipient, Upstream { address, confirm, answer_token }))
}

pub(super) fn read_zones(
    said: Vec<Spanned<crate::config::values::sharing::ZoneOrAll>>,
    site: &Site,
    findings: &mut Findings,
) -> Option<Vec<ZoneId>> {
    let everywhere = said.iter().any(|zone| zone.get_ref().0.is_none());
    let mut zones = Vec::new();
    for zone in &said {
        let Some(named) = &zone.get_ref().0 else { continue };
        if everywhere {
            findings.add(zone.span(), "\"*\" is every zone already", "write [\"*\"] alone, or the zones without it");
        }
        zone_exists(&Spanned::new(zone.span(), named.clone()), site, findings);
        zones.push(named.clone());
    }
    (!everywhere).then_some(zones)
}

fn read_fields(table: FieldsTable, findings: &mut Findings) -> BTreeMap<FieldClass, Treatment> {
    let said = [
        (FieldClass::Public, table.public),
        (FieldClass::Operational, table.operational),
        (FieldClass::QuasiIdentity, table.quasi_identity),
        (FieldClass::Identity, table.identity),
        (FieldClass::Source, table.source),
        (FieldClass::Method, table.method),
        (FieldClass::Media, table.media),
    ];
    let mut fields = BTreeMap::new();
    for (class, treatment) in said {
        let Some(said) = findings.take(treatment) else { continue };
        let Word(treatment) = *said.get_ref();
        let values = matches!(class, FieldClass::QuasiIdentity | FieldClass::Identity | FieldClass::Source);
        if class == FieldClass::Public {
            if treatment != Treatment::Show {
                let help =
                    "take it out; who may not have even that gets no product: see `zones`, `kinds` and the markings";
                findings.add(said.span(), "what is public is always shown", help);
            }
            continue;
        }
        if !values && matches!(treatment, Treatment::Mask | Treatment::Pseudonym) {
            let help = "write \"show\" or \"drop\"; values with names in them are quasi-identity, identity and source";
            findings.add(
                said.span(),
                "only values can be masked or replaced, and this class is sentences and links",
                help,
            );
        }
        fields.insert(class, treatment);
    }
    fields
}

fn read_upstream(
    id: &RecipientId,
    upstream: Spanned<UpstreamTable>,
    site: &Site,
    findings: &mut Findings,
) -> Option<(Address, Confirm)> {
    let at = upstream.span();
    let table = upstream.into_inner();
    let confirm = findings.value(table.confirm).map(|Word(confirm)| confirm);
    let has_certificate = (table.certificate.is_some(), table.key.is_some());
    let (has_mqtt, has_http) = (table.mqtt.is_some(), table.http.is_some());
    let misfit = |key: &str, is_there: bool, with: &str, findings: &mut Findings| {
        if is_there {
            findings.add(at.clone(), format!("`{key}` does not go with {with}"), "take it out");
        }
    };
    let files = (table.ca.is_some(), table.certificate.is_some() || table.key.is_some());
    match (has_mqtt, has_http) {
        (true, false) => {
            misfit("token", table.token.is_some(), "mqtt", findings);
            let (has_user, has_password, has_topic) =
                (table.user.is_some(), table.password.is_some(), table.topic.is_some());
            let (url, topic) = (findings.take(table.mqtt), findings.take(table.topic));
            let (user, password) = (findings.value(table.user), findings.take(table.password));
            let authority = findings.take(table.ca);
            let client = certificate(table.certificate, table.key, has_certificate, &at, findings);
            if has_user != has_password {
                findings.add(
                    at.clone(),
                    "a login is a user and a password",
                    "add the other: user = \"…\", password = \"credential:NAME\"",
                );
            }
            if !has_topic {
                findings.add(at.clone(), "this upstream has no `topic`", "add topic = \"qw/{site}/{recipient}\"");
            }
            let topic = topic.and_then(|topic| filled_in(topic, id, site, findings));
            let url = url?;
            needs_tls(url.get_ref().tls, files, "mqtts", &url.span(), findings);
            let url = url.into_inner();
            let broker = Broker {
                host: url.host,
                port: url.port,
                tls: url.tls.then_some(TlsFiles { authority, client }),
                login: user.map(|user| user.0).zip(password),
                client_id: format!("quaywatch-{}-{id}", site.id),
            };
            Some((Address::Mqtt { broker, topic: topic? }, confirm.unwrap_or(Confirm::Receipt)))
        }
        (false, true) => {
            misfit("topic", table.topic.is_some(), "http", findings);
            misfit("user", table.user.is_some(), "http", findings);
            misfit("password", table.password.is_some(), "http", findings);
            let (url, bearer) = (findings.take(table.http), findings.take(table.token));
            let authority = findings.take(table.ca);
            let client = certificate(table.certificate, table.key, has_certificate, &at, findings);
            let url = url?;
            needs_tls(url.get_ref().tls, files, "https", &url.span(), findings);
            let address = Address::Http { url: url.into_inner().url, bearer, tls: TlsFiles { authority, client } };
            Some((address, confirm.unwrap_or(Confirm::Transport)))
        }
        (both, _) => {
            let what = if both { "this is two upstreams at once" } else { "this does not say where to" };
            let help = "an upstream is { mqtt = \"mqtts://HOST\", topic = \"…\" } or { http = \"https://…\" }; for two \
                        ways write two recipients";
            findings.add(at, what, help);
            None
        }
    }
}

fn needs_tls(tls: bool, (ca, client): (bool, bool), scheme: &str, at: &Range<usize>, findings: &mut Findings) {
    if !tls && (ca || client) {
        findings.add(at.clone(), "certificates need TLS", format!("write {scheme}://"));
    }
}

/// A topic to publish to, with its holes filled in.
fn filled_in(topic: Spanned<Text>, id: &RecipientId, site: &Site, findings: &mut Findings) -> Option<String> {
    let at = topic.span();
    let written = topic.into_inner().0;
    let filled = written
        .replace("{site}", site.id.as_str())
        .replace("{recipient}", id.as_str())
        .replace("{locode}", &site.locode);
    let fault = if filled.contains(['{', '}']) {
        Some(("something in { } is not known here", "there are {site}, {recipient} and {locode}"))
    } else if filled.contains(['+', '#']) {
        Some(("products cannot go to a wildcard", "write one topic, without + and #"))
    } else if filled.starts_with(['$', '/']) || filled.ends_with('/') {
        Some(("this is no topic to publish to", "begin and end it with a name: \"qw/{site}/{recipient}\""))
    } else {
        None
    };
    if let Some((what, help)) = fault {
        findings.add(at, what, help);
        return None;
    }
    Some(filled)
}
