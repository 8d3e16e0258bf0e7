//! The sites of the scenarios: small TOML files in `sites/`, in our own terms, without lines and addresses.

use quaywatch_schemas::{
    DomainId, FeedId, LineId, PatternId, SensorId, Site, SiteId, ZoneId,
    site::{
        Clock, Closed, Direction, Grid, Mount, Rates, Role, Rules, Sensor, Status, UtcOffset, View, Zone, ZoneKind,
        rules::{
            BarrierForced, BlindedBeforeAccess, Mode, MooringOverload, NodeTamper, Passage, QuayPresence, Rule,
            SensorSilent, Tailgating, WeightMismatch,
        },
    },
    time::WallTime,
    units::Unit,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    zones: BTreeMap<ZoneId, ZoneFile>,
    sensors: BTreeMap<SensorId, SensorFile>,
    #[serde(default)]
    breaking_load_kn: f64,
    /// As in a site file; read as the daemon reads them.
    #[serde(default)]
    patterns: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneFile {
    name: String,
    kind: ZoneKind,
    /// Minutes of the local day, or nothing; `[0, 0]` is always.
    closed: Option<(u16, u16)>,
    media: Option<String>,
    direction: Option<Direction>,
    #[serde(default)]
    outline: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SensorFile {
    zone: ZoneId,
    role: Role,
    domain: DomainId,
    silent_after_s: Option<u64>,
    unit: Option<Unit>,
    range: Option<(f64, f64)>,
    #[serde(default = "usual")]
    rates: (f64, f64),
    mount: Option<Mount>,
    view: Option<View>,
    #[serde(default)]
    clock: Clock,
    leads: Option<Direction>,
}

/// The metres of all sites: x points east, y north.
pub const GRID: Grid = Grid { latitude: 51.95, longitude: 4.05, x_axis_deg: 90.0 };

fn usual() -> (f64, f64) {
    (0.95, 0.01)
}

/// A site by the name of its file, with the rules that are named (all if it is `all`), in mode `tell`, and the patterns that are
/// named with `pattern-` before them.
pub fn load(name: &str, rules: &[String]) -> Site {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/sites").join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    let file: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    let has_patterns = !file.patterns.is_empty();
    let zones = file.zones.into_iter().map(|(id, zone)| {
        let closed = zone.closed.map(|hours| match hours {
            (0, 0) => Closed::Always,
            (from, until) => Closed::Daily { from, until },
        });
        let zone = Zone {
            name: zone.name,
            kind: zone.kind,
            direction: zone.direction,
            length_m: None,
            media: zone.media,
            closed,
            outline: zone.outline,
        };
        (id, zone)
    });
    let sensors = file.sensors.into_iter().map(|(id, sensor)| {
        let sensor = Sensor {
            zone: sensor.zone,
            role: sensor.role,
            at_m: None,
            line: LineId::new(sensor.domain.as_str()).unwrap(),
            domain: sensor.domain,
            mount: sensor.mount,
            view: sensor.view,
            clock: sensor.clock,
            leads: sensor.leads,
            silent_after: sensor.silent_after_s.map(Duration::from_secs),
            unit: sensor.unit,
            range: sensor.range,
            rates: Rates { detection: sensor.rates.0, false_alarm: sensor.rates.1 },
        };
        (id, sensor)
    });
    let breaking_load_kn = file.breaking_load_kn;
    let mut site = Site {
        locode: "NLRTM".into(),
        id: SiteId::new("gate-2").unwrap(),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: zones.collect(),
        sensors: sensors.collect(),
        rules: chosen(rules, breaking_load_kn),
        feeds: [
            (FeedId::new("bookings").unwrap(), Duration::from_secs(3600)),
            (FeedId::new("works").unwrap(), Duration::from_secs(3600)),
            (FeedId::new("roster").unwrap(), Duration::from_secs(24 * 3600)),
        ]
        .into(),
        utc_offsets: vec![UtcOffset { from: WallTime(0), seconds: 3600 }],
        grid: Some(GRID),
        patterns: BTreeMap::new(),
    };
    if has_patterns {
        site.patterns = quaywatch::config::read_patterns(name, &text, &site).unwrap_or_else(|why| panic!("{why}"));
        let wanted = |pattern: &PatternId| {
            rules.iter().any(|rule| rule == "all" || rule.strip_prefix("pattern-") == Some(pattern.as_str()))
        };
        site.patterns.retain(|pattern, _| wanted(pattern));
    }
    site
}

fn chosen(names: &[String], breaking_load_kn: f64) -> Rules {
    let runs = |rule: &str| names.iter().any(|name| name == rule || name == "all");
    let mooring = MooringOverload { breaking_load_kn, warn_share: 0.5, ahead: Duration::from_secs(600) };
    Rules {
        passage: runs("passage").then(|| Rule::<Passage>::everywhere(Mode::Tell)),
        tailgating: runs("tailgating").then(|| Rule::<Tailgating>::everywhere(Mode::Tell)),
        barrier_forced: runs("barrier-forced").then(|| Rule::<BarrierForced>::everywhere(Mode::Tell)),
        weight_mismatch: runs("weight-mismatch").then(|| Rule::<WeightMismatch>::everywhere(Mode::Tell)),
        quay_presence: runs("quay-presence").then(|| Rule::<QuayPresence>::everywhere(Mode::Tell)),
        mooring_overload: runs("mooring-overload").then(|| Rule {
            zones: Vec::new(),
            mode: Mode::Tell,
            settings: mooring.clone(),
        }),
        sensor_silent: runs("sensor-silent").then(|| Rule::<SensorSilent>::everywhere(Mode::Tell)),
        blinded_before_access: runs("blinded-before-access")
            .then(|| Rule::<BlindedBeforeAccess>::everywhere(Mode::Tell)),
        node_tamper: runs("node-tamper").then(|| Rule::<NodeTamper>::everywhere(Mode::Tell)),
        unbooked: everywhere("unbooked", &runs),
        tag_mismatch: everywhere("tag-mismatch", &runs),
        container_mismatch: everywhere("container-mismatch", &runs),
        wrong_way: everywhere("wrong-way", &runs),
        dwell: everywhere("dwell", &runs),
        small_craft: everywhere("small-craft", &runs),
        pass_back: everywhere("pass-back", &runs),
        impossible_travel: everywhere("impossible-travel", &runs),
        out_of_hours: everywhere("out-of-hours", &runs),
        out_of_zone: everywhere("out-of-zone", &runs),
        first_time_zone: everywhere("first-time-zone", &runs),
        denied_then_granted: everywhere("denied-then-granted", &runs),
        not_taken: everywhere("not-taken", &runs),
        door_held: everywhere("door-held", &runs),
        on_foot: everywhere("on-foot", &runs),
        sensor_blind: everywhere("sensor-blind", &runs),
        sensor_stuck: everywhere("sensor-stuck", &runs),
        sensor_drift: everywhere("sensor-drift", &runs),
        clock_step: everywhere("clock-step", &runs),
        sensor_conflict: everywhere("sensor-conflict", &runs),
    }
}

fn everywhere<Settings: Default>(rule: &str, runs: &impl Fn(&str) -> bool) -> Option<Rule<Settings>> {
    runs(rule).then(|| Rule::everywhere(Mode::Tell))
}
