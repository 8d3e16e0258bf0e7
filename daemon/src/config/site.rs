//! The site engineer's file: what is wired to this box and what is looked for.

mod defaults;
pub(super) mod geometry;
mod lines;
mod patterns;
mod places;
mod read_json;
mod read_modbus;
mod read_streamed;
mod references;
mod rules;
mod sensors;
mod tables;

pub(super) use patterns::PatternTable;
pub(super) use rules::RulesDocument;
pub(super) use tables::{
    LineTable, NodeTable, OperationsTable, ReferencesTable, RegisterBitTable, SectorTable, SensorTable, SiteTable,
    StoreTable, ZoneTable,
};

use super::{
    Problems, SiteFile,
    document::{Named, Section, Table},
    findings::{Findings, Source},
    plan::SitePlan,
    values::NodeNumber,
};
use quaywatch_schemas::{
    PatternId, Site,
    site::{Pattern, Status},
};
use std::{collections::BTreeMap, time::Duration};
use toml::Spanned;

/// Origin: a month and a few days, so that what happened on the first is still there when the month is reviewed.
const RETENTION: Duration = Duration::from_secs(35 * 24 * 3600);
/// Origin: two months of 100 observations a minute at about 200 bytes each take 1.7 GiB; half of this is the log's.
const BUDGET: u64 = 4 << 30;
/// Less than this holds no day of a busy gate.
const SMALLEST_BUDGET: u64 = 16 << 20;
/// Origin: the usual port of OpenTelemetry's Prometheus exporter; loopback, because plain HTTP has no login.
const OPERATIONS: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// Makes a site of a file, as of `now`, or says everything that is wrong with it.
pub(super) fn parse(source: Source, now: jiff::Timestamp) -> Result<SiteFile, Problems> {
    let mut findings = Findings::default();
    let mut root = Section::of(&source, &mut findings);
    if !findings.is_empty() {
        // What can be made of text that is not TOML is not what was meant.
        return Err(findings.into_problems(&source));
    }
    let site = root.table::<SiteTable>("site", &mut findings);
    let store = root.table::<StoreTable>("store", &mut findings);
    let operations = root.table::<OperationsTable>("operations", &mut findings);
    let zone_tables = root.named("zones", &mut findings);
    let line_tables: Named<_, LineTable> = root.named("lines", &mut findings);
    let node_tables: Named<NodeNumber, NodeTable> = root.named("nodes", &mut findings);
    let reference_tables = root.named("references", &mut findings);
    let sensor_tables = root.named("sensors", &mut findings);
    let rule_tables = root.section("rules", &mut findings);
    let pattern_tables = root.named("patterns", &mut findings);
    root.finish(&mut findings);

    let has_grid = site.as_ref().is_some_and(|table| table.has("grid"));
    let identity = places::site(site, now, &mut findings);
    let (log_retention, budget_bytes) = kept(store, &mut findings);
    let operations = served(operations, &mut findings);
    let zones_declared = zone_tables.declared.clone();
    let zones = places::zones(zone_tables, &mut findings);
    let lines_declared = line_tables.declared.clone();
    let site_name = identity.as_ref().map_or("site", |identity| identity.id.as_str()).to_owned();
    let lines = lines::read(line_tables, &site_name, operations, &mut findings);
    let nodes_declared = node_tables.declared.clone();
    let nodes = keys(node_tables, &mut findings);
    let around = sensors::Around {
        zones: &zones,
        zones_declared: &zones_declared,
        lines_declared: &lines_declared,
        nodes_declared: &nodes_declared,
        has_grid,
    };
    let sensors_declared = sensor_tables.declared.clone();
    let (sensors, lines) = sensors::read(sensor_tables, &around, lines, &mut findings);
    let feeds = references::read(reference_tables, &lines, &lines_declared, &mut findings);
    let rules = rules::read(rule_tables, &zones, &zones_declared, &mut findings);

    let digest = source.digest();
    let Some(identity) = identity else { return Err(findings.into_problems(&source)) };
    let mut site = Site {
        locode: identity.locode,
        id: identity.id,
        timezone: identity.timezone,
        status: identity.status,
        zones,
        sensors,
        rules,
        feeds: feeds.iter().map(|(id, feed)| (id.clone(), feed.max_age)).collect(),
        utc_offsets: identity.utc_offsets,
        grid: identity.grid,
        patterns: BTreeMap::new(),
    };
    let declared = (&zones_declared, &sensors_declared);
    site.patterns = patterns::read(pattern_tables, &site, declared, source.text(), &mut findings);
    if !findings.is_empty() {
        return Err(findings.into_problems(&source));
    }
    Ok(SiteFile {
        site,
        digest,
        log_retention,
        budget_bytes,
        plan: SitePlan { source, lines, nodes, feeds, operations },
    })
}

/// The patterns of a file whose other tables nobody reads.
pub(super) fn read_patterns(source: &Source, site: &Site) -> Result<BTreeMap<PatternId, Pattern>, Problems> {
    let mut findings = Findings::default();
    let mut root = Section::of(source, &mut findings);
    let tables = root.named("patterns", &mut findings);
    let zones = site.zones.keys().map(|zone| zone.to_string()).collect();
    let sensors = site.sensors.keys().map(|sensor| sensor.to_string()).collect();
    let patterns = patterns::read(tables, site, (&zones, &sensors), source.text(), &mut findings);
    findings.finish(source, patterns)
}

fn kept(store: Option<Table<StoreTable>>, findings: &mut Findings) -> (Duration, u64) {
    let Some(table) = store else { return (RETENTION, BUDGET) };
    let retention = findings.take(table.value.retention).filter(|retention| {
        let enough = retention.get_ref().0 >= Duration::from_secs(3600);
        if !enough {
            findings.add(retention.span(), "records are kept for too short a time", "write at least \"1 h\"");
        }
        enough
    });
    let budget = findings.take(table.value.budget).filter(|budget| {
        let enough = budget.get_ref().0 >= SMALLEST_BUDGET;
        if !enough {
            findings.add(budget.span(), "this budget holds no day of a busy gate", "write at least \"16 MiB\"");
        }
        enough
    });
    (
        retention.map_or(RETENTION, |retention| retention.into_inner().0),
        budget.map_or(BUDGET, |budget| budget.into_inner().0),
    )
}

fn served(operations: Option<Table<OperationsTable>>, findings: &mut Findings) -> Option<std::net::SocketAddr> {
    let listen = operations.and_then(|table| findings.take(table.value.listen));
    listen.map_or(Some(OPERATIONS), |listen| listen.into_inner().0)
}

/// Whose key is handed out by the site; `None` for nodes that are enrolled.
fn keys(
    nodes: Named<NodeNumber, NodeTable>,
    findings: &mut Findings,
) -> BTreeMap<NodeNumber, Option<Spanned<super::values::Credential>>> {
    nodes.tables.into_iter().map(|(number, table)| (number, findings.take(table.value.key))).collect()
}

/// What a site is called and when it is.
struct SiteIdentity {
    locode: String,
    id: quaywatch_schemas::SiteId,
    timezone: String,
    status: Status,
    utc_offsets: Vec<quaywatch_schemas::site::UtcOffset>,
    grid: Option<quaywatch_schemas::site::Grid>,
}
