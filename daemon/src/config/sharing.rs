//! The security officer's file: who may know what.

mod markings;
mod persons;
mod recipients;
mod tables;

pub(super) use tables::{
    AnswersTable, AuditTable, FileTable, GroupTable, MarkingTable, PersonTable, RecipientTable, RetentionTable,
    ScopedMarkingTable, TearLineTable,
};

use super::{
    Problems, SharingFile, SiteFile,
    document::{Named, Section, Table, did_you_mean},
    findings::{Findings, Source},
    plan::{Certificate, SharingPlan},
    values::{Credential, FilePath, Span},
    written::Written,
};
use quaywatch_drivers::node_link::Carrier;
use quaywatch_schemas::{
    GroupId, OrganisationId, PersonId, Policy, RecipientId, Site, WallTime,
    policy::{Agreement, Group, Retention},
};
use quaywatch_sharing::signing::Signature;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use toml::Spanned;

/// Makes a policy of a file, for a site, or says everything that is wrong with it.
pub(super) fn parse(source: Source, site: &SiteFile, signatures: Vec<Signature>) -> Result<SharingFile, Problems> {
    let mut findings = Findings::default();
    let mut root = Section::of(&source, &mut findings);
    if !findings.is_empty() {
        // What can be made of text that is not TOML is not what was meant.
        return Err(findings.into_problems(&source));
    }
    let file = root.table::<FileTable>("file", &mut findings);
    let persons: Named<PersonId, PersonTable> = root.named("persons", &mut findings);
    let retention = root.table::<RetentionTable>("retention", &mut findings);
    let default = root.table::<MarkingTable>("marking", &mut findings);
    let scoped: Named<String, ScopedMarkingTable> = root.named("markings", &mut findings);
    let tear_lines: Named<String, TearLineTable> = root.named("tear-lines", &mut findings);
    let groups: Named<GroupId, GroupTable> = root.named("groups", &mut findings);
    let recipients: Named<RecipientId, RecipientTable> = root.named("recipients", &mut findings);
    let answers = root.table::<AnswersTable>("answers", &mut findings);
    let audit = root.table::<AuditTable>("audit", &mut findings);
    root.finish(&mut findings);

    let mut said = Said::default();
    let issue = file.and_then(|table| findings.value(table.value.issue)).unwrap_or_default();
    let retention = retention.map(|table| read_retention(table, &mut findings)).unwrap_or_default();
    let persons = persons::read(persons, &mut findings);
    let groups = read_groups(groups, &site.site, &mut said, &mut findings);
    let default_marking = default.and_then(|table| markings::default(table, &mut said, &mut findings));
    let markings = markings::scoped(scoped, &site.site, &mut said, &mut findings);
    let tear_lines = markings::tear_lines(tear_lines, &site.site, &mut said, &mut findings);
    let answers = answers.and_then(|table| read_answers(table, site, &mut findings));
    if recipients.declared.is_empty() {
        findings.add(0..0, "there is no recipient", "add whom to tell: [recipients.NAME]");
    }
    let (recipients, upstreams) = recipients::read(recipients, site, answers.is_some(), &mut said, &mut findings);
    let audit = audit.and_then(|table| recipients::audit(table, site, &upstreams, &mut findings));
    said.check(&groups, &mut findings);
    let digest = source.digest();
    let policy = Policy {
        default_marking,
        markings,
        groups,
        recipients,
        persons,
        tear_lines,
        issue,
        retention,
        signed_by: Vec::new(),
        audit: audit.as_ref().map(|audit| recipients::described(&audit.address)),
    };
    let plan = SharingPlan { source: source.clone(), upstreams, answers, audit };
    findings.finish(&source, SharingFile { policy, digest, signatures, plan })
}

/// Names the file uses, and where.
#[derive(Default)]
struct Said {
    /// Organisations that own something or are a recipient's.
    known: BTreeSet<OrganisationId>,
    /// Organisations that are only referred to.
    organisations: Vec<Spanned<OrganisationId>>,
    /// Groups that are referred to.
    groups: Vec<Spanned<GroupId>>,
}

impl Said {
    /// A name that nobody bears is a name spelt wrongly, and what it should have got is withheld in silence.
    fn check(&self, groups: &BTreeMap<GroupId, Group>, findings: &mut Findings) {
        for organisation in self.organisations.iter().filter(|name| !self.known.contains(name.get_ref())) {
            let name = organisation.get_ref().as_str();
            let help = match groups.keys().any(|group| group.as_str() == name) {
                true => format!("`{name}` is a group: write \"group:{name}\""),
                false => did_you_mean(name, self.known.iter().map(OrganisationId::as_str)),
            };
            findings.add(
                organisation.span(),
                format!("no recipient is of organisation `{name}`, and it owns nothing"),
                help,
            );
        }
        for group in self.groups.iter().filter(|group| !groups.contains_key(group.get_ref())) {
            let name = group.get_ref().as_str();
            let help = did_you_mean(name, groups.keys().map(GroupId::as_str));
            findings.add(group.span(), format!("there is no group `{name}`"), help);
        }
    }
}

fn read_groups(
    tables: Named<GroupId, GroupTable>,
    site: &Site,
    said: &mut Said,
    findings: &mut Findings,
) -> BTreeMap<GroupId, Group> {
    let mut groups = BTreeMap::new();
    let mut member_of: BTreeMap<OrganisationId, GroupId> = BTreeMap::new();
    for (id, mut table) in tables.tables {
        let agreement = read_agreement(&mut table, site, findings);
        let members = need_list(
            table.value.organisations,
            (&table.at, &table.path),
            "organisations",
            "organisations = [\"port-police\", …]",
            findings,
        );
        for member in &members {
            if let Some(other) = member_of.insert(member.get_ref().clone(), id.clone()).filter(|other| *other != id) {
                let what = format!("`{}` is in group `{other}` already", member.get_ref());
                findings.add(member.span(), what, "an organisation is in one group: its references are that group's");
            }
        }
        let organisations = members.iter().map(|member| member.get_ref().clone()).collect();
        said.organisations.extend(members);
        groups.insert(id, Group { organisations, agreement });
    }
    groups
}

fn read_agreement(table: &mut Table<GroupTable>, site: &Site, findings: &mut Findings) -> Option<Agreement> {
    let at = |key: &str| table.key(key);
    let (from_at, until_at) = (at("from"), at("until"));
    let has_days = table.has("from") || table.has("until");
    let written = &mut table.value;
    let (reference, from, until) = (written.agreement.take(), written.from.take(), written.until.take());
    let has_reference = reference.is_some();
    let (reference, from, until) = (findings.value(reference), findings.value(from), findings.value(until));
    if has_days && !has_reference {
        let at = if from.is_some() { from_at } else { until_at };
        findings.add(at, "these are the days of an agreement that is not named", "add agreement = \"MoU 2026-14\"");
        return None;
    }
    if let (Some(first), Some(last)) = (from, until)
        && first.0 > last.0
    {
        findings.add(until_at, "this agreement ends before it begins", "swap `from` and `until`, or mend one of them");
    }
    let zone = jiff::tz::TimeZone::get(&site.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let begin = |day: jiff::civil::Date| {
        let begin = day.to_zoned(zone.clone()).ok()?.timestamp();
        Some(WallTime(i64::try_from(begin.as_nanosecond()).ok()?))
    };
    Some(Agreement {
        reference: reference?.0,
        from: from.and_then(|day| begin(day.0)),
        // Its last day is a whole one.
        until: until.and_then(|day| begin(day.0.tomorrow().ok()?)),
    })
}

fn read_answers(
    table: Table<AnswersTable>,
    site: &SiteFile,
    findings: &mut Findings,
) -> Option<(SocketAddr, Option<Certificate>)> {
    let owner = (&table.at, table.path.as_str());
    let has = (table.has("certificate"), table.has("key"));
    let listen =
        findings.need(table.value.listen, owner, "listen", "listen = \"10.20.3.1:8444\", an address of this box");
    let tls = certificate(table.value.certificate, table.value.key, has, &table.at, findings);
    let listen = listen?;
    if let Some(other) = listener(site, *listen.get_ref()) {
        findings.add(listen.span(), format!("{other} of the site file listens here already"), "choose another port");
    }
    Some((listen.into_inner().0, tls))
}

fn read_retention(table: Table<RetentionTable>, findings: &mut Findings) -> Retention {
    let mut days = |span, default| findings.take(span).and_then(|span| whole_days(span, findings)).unwrap_or(default);
    let standard = Retention::default();
    Retention {
        quasi_identity: days(table.value.quasi_identity, standard.quasi_identity),
        identity: days(table.value.identity, standard.identity),
        source: days(table.value.source, standard.source),
    }
}

/// Keys are of whole days.
fn whole_days(span: Spanned<Span>, findings: &mut Findings) -> Option<u16> {
    const DAY: u64 = 86_400;
    let seconds = span.get_ref().0.as_secs();
    let whole = u16::try_from(seconds / DAY).ok().filter(|_| seconds.is_multiple_of(DAY));
    let days = whole.filter(|days| (1..=Retention::MOST_DAYS).contains(days));
    if days.is_none() {
        let what = format!("values about persons are kept for 1 to {} whole days", Retention::MOST_DAYS);
        findings.add(span.span(), what, "write whole days: \"28 d\"");
    }
    days
}

/// Who in the site file listens on an address.
fn listener(site: &SiteFile, address: crate::config::values::Listen) -> Option<String> {
    use crate::config::plan::Way;
    if site.plan.operations == Some(address.0) {
        return Some("`operations`".into());
    }
    let line = site.plan.lines.iter().find(|(_, line)| match &line.way {
        Way::Http { listen, .. } | Way::Nodes { carrier: Carrier::Listen(listen), .. } => *listen == address.0,
        _ => false,
    });
    line.map(|(id, _)| format!("line `{id}`"))
}

/// A certificate and its key, which belong together.
fn certificate(
    file: Option<Written<FilePath>>,
    key: Option<Written<Credential>>,
    has: (bool, bool),
    at: &std::ops::Range<usize>,
    findings: &mut Findings,
) -> Option<Certificate> {
    let (file, key) = (findings.take(file), findings.take(key));
    match has {
        (true, false) => {
            findings.add(at.clone(), "a certificate and its key belong together", "add key = \"credential:NAME\"")
        }
        (false, true) => {
            findings.add(at.clone(), "a certificate and its key belong together", "add certificate = \"/path.pem\"")
        }
        _ => {}
    }
    Some(Certificate { file: file?, key: key? })
}

/// A list that must be there and not be empty.
fn need_list<T>(
    written: tables::List<T>,
    owner: (&std::ops::Range<usize>, &str),
    key: &str,
    help: &str,
    findings: &mut Findings,
) -> Vec<Spanned<T>> {
    if written.is_none() {
        findings.add(owner.0.clone(), format!("`{}` has no `{key}`", owner.1), format!("add {help}"));
    }
    let Some(list) = findings.take(written) else { return Vec::new() };
    let at = list.span();
    let list = list.into_inner();
    if list.is_empty() {
        findings.add(at, "this list is empty", format!("write {help}"));
    }
    list.into_iter().filter_map(|value| findings.take(Some(value))).collect()
}
