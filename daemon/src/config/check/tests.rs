//! What the report says of small sites, each with one thing to say.

use super::*;
use crate::config::{findings::Source, sharing, site};

const SITE: &str = r#"
[site]
locode = "NLRTM"
id = "gate-2"
timezone = "Europe/Amsterdam"
[zones.lane-3]
name = "Lane 3"
kind = "lane"
[zones.quay-1]
name = "Quay 1"
kind = "quay"
closed = "always"
[lines.plc]
modbus_tcp = "10.20.3.11:502"
[lines.slow]
modbus_tcp = "10.20.3.12:502"
every = "250 ms"
[lines.broker]
mqtt = "mqtts://10.20.3.2"
[lines.bus]
node_serial = "/dev/ttyS2"
[nodes.7]
key = "credential:node-7"
"#;

const LANE: &str = r#"[sensors]
loop-a = { zone = "lane-3", role = "loop.approach", line = "plc", discrete = 0 }
loop-b = { zone = "lane-3", role = "loop.exit", line = "plc", discrete = 1 }
arm    = { zone = "lane-3", role = "barrier.open", line = "plc", discrete = 2 }
grant  = { zone = "lane-3", role = "grant", line = "plc", holding = 10 }
rear   = { zone = "lane-3", role = "plate.rear", line = "broker", frigate = "lane3_rear" }
pir    = { zone = "quay-1", role = "presence.pir", line = "bus", node = 7, channel = "pir" }
camera = { zone = "quay-1", role = "presence.camera", line = "broker", frigate = "quay1" }
"#;

const RULES: &str = "[rules.passage]\nmode = \"tell\"\n[rules.tailgating]\nmode = \"tell\"\nzones = [\"lane-3\"]\n\
                     [rules.quay-presence]\nmode = \"tell\"\n";

const SHARING: &str = r#"
[marking]
owner = "acme"
tlp = "AMBER"
releasable_to = ["police", "acme"]
purpose = "security"
[recipients.police]
organisation = "police"
clearance = "AMBER"
purposes = ["security"]
zones = ["*"]
fields = { operational = "show", quasi-identity = "show", method = "show", media = "show" }
upstream = { mqtt = "mqtts://c2", topic = "qw/{site}/{recipient}", user = "gate", password = "credential:police" }
"#;

fn said(site: &str, sharing: &str) -> Report {
    let now = "2026-03-14T02:12:04Z".parse().unwrap();
    let site = site::parse(Source::new("site.toml", site.into()), now).unwrap_or_else(|problems| panic!("{problems}"));
    let sharing = sharing::parse(Source::new("sharing.toml", sharing.into()), &site, Vec::new());
    report(&site, Some(&sharing.unwrap_or_else(|problems| panic!("{problems}"))))
}

fn whole() -> String {
    format!("{SITE}{LANE}{RULES}")
}

fn rule<'a>(report: &'a Report, zone: &str, rule: &str) -> &'a RuleReport {
    let zone = report.zones.iter().find(|said| said.zone == zone).unwrap();
    zone.rules.iter().find(|said| said.rule == rule).unwrap()
}

fn cautions(report: &Report) -> String {
    let all = report.cautions.iter().map(|caution| format!("{}: {} ({})\n", caution.about, caution.says, caution.help));
    all.collect()
}

#[test]
fn each_rule_says_what_it_misses_where_a_sensor_is_not_there() {
    let complete = said(&whole(), SHARING);
    assert!(rule(&complete, "lane-3", "tailgating").lacks.is_empty());
    for (sensor, of, works, says) in [
        ("loop-b", "tailgating", false, "no loop.exit: it sees no vehicle cross"),
        ("grant", "tailgating", false, "no grant: it cannot tell who was let in"),
        ("arm", "tailgating", true, "no barrier.open: it cannot know that the arm stayed open"),
        ("rear", "tailgating", true, "no plate.front or plate.rear: it cannot tell two vehicles from one"),
        ("loop-a", "passage", true, "no loop.approach: a vehicle is known only once"),
        ("rear", "passage", true, "not which"),
    ] {
        let without: String = whole().lines().filter(|line| !line.starts_with(sensor)).collect::<Vec<_>>().join("\n");
        let report = said(&without, SHARING);
        let rule = rule(&report, "lane-3", of);
        assert_eq!(rule.works, works, "{of} without {sensor}");
        assert!(rule.lacks.iter().any(|lack| lack.contains(says)), "{of} without {sensor}: {:?}", rule.lacks);
        assert_eq!(
            cautions(&report).contains("rule tailgating: can say nothing anywhere"),
            of == "tailgating" && !works
        );
    }
}

#[test]
fn a_place_that_one_sensor_or_one_failure_domain_watches_never_gets_sure_enough() {
    let one = said(&whole().replace("camera = {", "camera = { domain = \"bus\","), SHARING);
    let presence = rule(&one, "quay-1", "quay-presence");
    assert!(!presence.works && presence.lacks[0].contains("all are in domain bus"), "{:?}", presence.lacks);
    let open = said(&whole().replace("closed = \"always\"\n", ""), SHARING);
    let presence = rule(&open, "quay-1", "quay-presence");
    assert!(!presence.works && presence.lacks[0].contains("no closed hours"), "{:?}", presence.lacks);
    let two = said(&whole(), SHARING);
    let presence = rule(&two, "quay-1", "quay-presence");
    assert!(presence.works && presence.lacks.iter().any(|lack| lack.contains("work orders")), "{:?}", presence.lacks);
    let feed = "[references.orders]\nkinds = [\"work-order\"]\nfolder = \"/orders\"\n";
    let told = said(&format!("{}{feed}", whole()), SHARING);
    assert!(!rule(&told, "quay-1", "quay-presence").lacks.iter().any(|lack| lack.contains("work orders")));
}

#[test]
fn what_fails_together_is_said_with_the_rules_it_takes_along() {
    let report = said(&whole(), SHARING);
    let lane = &report.zones[0];
    let plc = lane.domains.iter().find(|domain| domain.domain == "plc").unwrap();
    assert_eq!(plc.sensors, ["arm", "grant", "loop-a", "loop-b"]);
    assert_eq!(plc.stops, ["passage", "tailgating"]);
    let broker = lane.domains.iter().find(|domain| domain.domain == "broker").unwrap();
    assert!(broker.stops.is_empty(), "without its plates tailgating still works");
    let watched = said(&format!("{}[rules.blinded-before-access]\n", whole()), SHARING);
    let stops = |name: &str| {
        let domains = &watched.zones[1].domains;
        domains.iter().find(|domain| domain.domain == name).unwrap().stops.clone()
    };
    assert_eq!(stops("broker"), ["quay-presence"], "a camera that fails is what the other rule waits for");
    assert_eq!(stops("bus"), ["quay-presence", "blinded-before-access"]);
}

#[test]
fn a_tidy_site_has_nothing_to_caution_about() {
    assert_eq!(
        cautions(&said(
            &whole().replace("[lines.slow]\nmodbus_tcp = \"10.20.3.12:502\"\nevery = \"250 ms\"\n", ""),
            SHARING
        )),
        ""
    );
}

#[test]
fn what_will_disappoint_is_said_before_it_does() {
    let add = |sensor: &str| whole().replace("[rules.passage]", &format!("{sensor}\n[rules.passage]"));
    for (site, sharing, says) in [
        (
            whole().replace("line = \"plc\", discrete = 1", "line = \"slow\", discrete = 1"),
            SHARING.to_owned(),
            "sensor loop-b: is read every 250 ms: a vehicle or a gap that takes less may never be seen. At 20 km/h that is 1.4 m",
        ),
        (
            whole().replace("line = \"plc\", discrete = 2", "line = \"slow\", discrete = 2"),
            SHARING.into(),
            "sensor arm: is read every 250 ms: an arm that moves",
        ),
        (
            add("x = { zone = \"quay-1\", role = \"wind.speed\", line = \"broker\", topic = \"w\", qos = 0 }"),
            SHARING.into(),
            "sensor x: with qos = 0",
        ),
        (
            add("x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }"),
            SHARING.into(),
            "sensor x: is read from the same place as loop-b: discrete 1",
        ),
        (
            add("x = { zone = \"lane-3\", role = \"grant\", line = \"plc\", holding = 40011 }"),
            SHARING.into(),
            "a manual's notation for register 10",
        ),
        (
            add("x = { zone = \"lane-3\", role = \"tag\", line = \"broker\", topic = \"t\" }"),
            SHARING.into(),
            "no rule that runs here looks at x (tag)",
        ),
        (
            add(
                "x = { zone = \"quay-1\", role = \"fence.vibration\", line = \"bus\", node = 7, channel = \"vibration\" }",
            ),
            SHARING.into(),
            "no rule that runs here looks at x (fence.vibration)",
        ),
        (whole(), SHARING.into(), "line slow: nothing is read over it"),
        (format!("{}[nodes.8]\nkey = \"credential:a\"\n", whole()), SHARING.into(), "node 8: no sensor is on it"),
        (
            format!("{}[zones.x]\nname = \"Yard X\"\nkind = \"yard\"\n", whole()),
            SHARING.into(),
            "zone x: nobody is looking here: no sensor watches Yard X",
        ),
        (whole().replace("pir    =", "# pir ="), SHARING.into(), "zone quay-1: one sensor alone watches Quay 1"),
        (
            whole().replace("frigate = \"quay1\"", "frigate = \"quay1\", domain = \"bus\""),
            SHARING.into(),
            "zone quay-1: both sensors that watch Quay 1 fail together, with bus",
        ),
        (
            format!("{}[rules.mooring-overload]\nbreaking_load = \"800 kN\"\n", whole()),
            SHARING.into(),
            "rule mooring-overload: can say nothing anywhere; in quay-1: no mooring.load",
        ),
        (
            format!("{}[rules.weight-mismatch]\n", whole()),
            SHARING.into(),
            "rule weight-mismatch: can say nothing anywhere; in lane-3: no weight.gross",
        ),
        (whole().replace("mqtts://10.20.3.2", "mqtt://10.20.3.2"), SHARING.into(), "line broker: goes without TLS"),
        (whole(), SHARING.replace("mqtts://c2", "mqtt://c2"), "recipient police: is told without TLS"),
        (
            whole(),
            SHARING.replace("zones = [\"*\"]", "zones = [\"quay-1\"]"),
            "gate.tailgating in lane-3: nobody is told of it (nobody would know. police: zone not among its zones)",
        ),
        (
            whole(),
            SHARING.replace("AMBER\"\nreleasable", "RED\"\nreleasable"),
            "recipient police: can get nothing: marked above its clearance",
        ),
        (
            whole(),
            SHARING.replace("purposes = [\"security\"]", "purposes = [\"customs\"]"),
            "recipient police: can get nothing: none of its purposes",
        ),
        (
            whole(),
            SHARING.replace("[\"police\", \"acme\"]", "[\"acme\"]"),
            "recipient police: can get nothing: not releasable to its organisation",
        ),
        (
            whole(),
            SHARING.replace("quasi-identity = \"show\"", "quasi-identity = \"mask\""),
            "recipient police: is shown pictures, and plates can be read in them",
        ),
        (
            whole(),
            SHARING.replace("method = \"show\", ", ""),
            "recipient police: is shown pictures: they give away where cameras are",
        ),
    ] {
        let all = cautions(&said(&site, &sharing));
        assert!(all.contains(says), "{says:?} in\n{all}");
    }
}

#[test]
fn who_gets_what_is_listed_and_a_rule_that_only_observes_tells_nobody() {
    let report = said(&whole().replace("[rules.passage]\nmode = \"tell\"", "[rules.passage]"), SHARING);
    let police = &report.recipients[0];
    let kinds: Vec<&str> = police.gets.iter().flat_map(|told| told.kinds.iter().map(String::as_str)).collect();
    assert!(kinds.contains(&"gate.tailgating") && kinds.contains(&"sensor.silent"), "{kinds:?}");
    assert!(!kinds.contains(&"gate.passage"), "it only observes");
    assert!(!rule(&report, "lane-3", "passage").told);
    let text = report.to_string();
    for words in [
        "NLRTM gate-2: 2 zones, 7 sensors; Europe/Amsterdam, actual",
        "plc     Modbus TCP 10.20.3.11:502 unit 1, 4 sensors",
        "grant   grant          plc     holding 10 u16 every 50 ms; silent after 150 s",
        "+ passage (gate.passage) observes only: nobody is told",
        "x if plc fails (arm, grant, loop-a, loop-b): passage and tailgating can say nothing here",
        "over mqtts://c2:8883 topic qw/gate-2/police, confirmed by receipt",
        "dropped: identity, source",
        "node-7  for nodes.7",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

/// A basin with a radar that looks up (north) into it from its southern edge.
const BASIN: &str = r#"
[site]
locode = "NLRTM"
id = "quay-1"
timezone = "Europe/Amsterdam"
grid = { latitude = 51.95, longitude = 4.05 }
[zones.basin]
name = "Basin"
kind = "waterside"
outline = [[0, 0], [100, 0], [100, 100], [0, 100]]
[zones.door]
name = "Door"
kind = "turnstile"
direction = "in"
[lines.scans]
frames_tcp = "10.20.3.9:9000"
[lines.vhf]
ais_tcp = "10.20.3.9:10110"
[lines.broker]
mqtt = "mqtts://10.20.3.2"
[sensors]
radar = { zone = "basin", role = "radar", line = "scans", mount = { x = 50, y = 0, facing = "90 deg" }, view = { range = "300 m", half_angle = "90 deg" }, clock = "synchronised" }
vhf   = { zone = "basin", role = "ais", line = "vhf" }
badge = { zone = "door", role = "reader", line = "broker", topic = "b", mount = { x = 9, y = 200 } }
[rules.pass-back]
[rules.impossible-travel]
"#;

fn of_basin(site: &str) -> Report {
    let now = "2026-03-14T02:12:04Z".parse().unwrap();
    let site = site::parse(Source::new("site.toml", site.into()), now).unwrap_or_else(|problems| panic!("{problems}"));
    report(&site, None)
}

#[test]
fn how_much_of_a_place_is_in_view_is_computed_from_outlines_mounts_and_views() {
    let share = |from: &str, to: &str| {
        assert!(BASIN.contains(from), "{from}");
        let report = of_basin(&BASIN.replace(from, to));
        let basin = report.zones.into_iter().find(|zone| zone.zone == "basin").unwrap();
        basin.in_view.map(|view| (view.area_m2, view.share, view.sensors.len()))
    };
    // It is looked at in 1600 spots: a line may have a hundredth of them on its wrong side.
    let is = |seen: Option<(f64, f64, usize)>, expected: f64, sensors: usize| {
        seen.is_some_and(|(area, share, seeing)| {
            area == 10_000.0 && (share - expected).abs() < 0.015 && seeing == sensors
        })
    };
    assert!(is(share("", ""), 1.0, 1));
    // 45 degrees to each side from the middle of an edge: all but two triangles of 50 m by 50 m.
    assert!(is(share("\"90 deg\" }, clock", "\"45 deg\" }, clock"), 0.75, 1));
    // A half circle of 50 m.
    assert!(is(share("\"300 m\"", "\"50 m\""), std::f64::consts::PI / 8.0, 1));
    assert!(is(share("facing = \"90 deg\"", "facing = \"-90 deg\""), 0.0, 0));
    let (sector, west) =
        ("view = { range = \"300 m\", half_angle = \"90 deg\" }", "view = [[0, 0], [50, 0], [50, 100], [0, 100]]");
    assert!(is(share(sector, west), 0.5, 1));
    assert_eq!(share("outline = [[0, 0], [100, 0], [100, 100], [0, 100]]\n", ""), None);
    let text = of_basin(BASIN).to_string();
    for words in [
        "basin: Basin (waterside)\n  10000 m², 100 % of it in view of radar\n",
        "scans  every frame; silent after 10 s; its clock is taken",
        "vhf    every vessel heard; silent after 10 min",
        "topic b; leads in",
        "frames from tcp://10.20.3.9:9000, 1 sensor",
        "AIS from tcp://10.20.3.9:10110, 1 sensor",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
}

#[test]
fn places_that_do_not_fit_together_are_cautioned_about() {
    let quiet = cautions(&of_basin(BASIN));
    for (from, to, says) in [
        ("facing = \"90 deg\"", "facing = \"-90 deg\"", "sensor radar: sees nothing of Basin, the zone it is in"),
        ("\"300 m\"", "\"50 m\"", "zone basin: 60 % of it is in no scanner's view"),
        (
            "outline = [[0, 0], [100, 0], [100, 100], [0, 100]]\n",
            "",
            "zone basin: has no outline: nothing radar sees is ever known to be in it",
        ),
        ("direction = \"in\"\n", "", "sensor badge: does not say which way it lets people"),
        (", mount = { x = 9, y = 200 }", "", "sensor badge: stands nowhere"),
        ("ais_tcp = \"10.20.3.9:10110\"", "ais_udp = \"0.0.0.0:10110\"", "line vhf: takes what it is sent by anybody"),
    ] {
        assert!(BASIN.contains(from) && !quiet.contains(says), "{says:?} in\n{quiet}");
        let all = cautions(&of_basin(&BASIN.replace(from, to)));
        assert!(all.contains(says), "{says:?} in\n{all}");
    }
    // Who only hears those who speak does not watch.
    let deaf = BASIN.lines().filter(|line| !line.starts_with("radar")).collect::<Vec<_>>().join("\n");
    assert!(cautions(&of_basin(&deaf)).contains("zone basin: nobody is looking here"));
}

#[test]
fn a_pattern_is_listed_like_a_rule_with_who_is_told_of_it() {
    let pattern = "[patterns.follower]\nmode = \"tell\"\nwithin = \"30 s\"\nseq = [{ role = \"loop.exit\" }, \
                   { role = \"loop.exit\" }]\nemit = { headline = \"one follows\", assessment = \"Look.\", prior = 0.1 }\n";
    let site = format!("{}{pattern}", whole());
    let report = said(&site, &SHARING.replace("zones = [\"*\"]", "zones = [\"*\"]\nkinds = [\"site.*\", \"gate.*\"]"));
    let told = rule(&report, "lane-3", "pattern follower");
    assert!(told.told && told.works && told.kind == "site.follower");
    let police = &report.recipients[0];
    let gets: Vec<&str> = police.gets.iter().flat_map(|told| told.kinds.iter().map(String::as_str)).collect();
    assert!(gets.contains(&"site.follower"), "{gets:?}");
    let lane = report.zones.iter().find(|zone| zone.zone == "lane-3").unwrap();
    let looped = lane.sensors.iter().find(|sensor| sensor.sensor == "loop-b").unwrap();
    assert!(looped.used_by.contains(&"pattern follower".to_owned()), "{:?}", looped.used_by);
    assert!(report.to_string().contains("+ pattern follower (site.follower) tells"), "{report}");
    // Whoever is not told that a pattern was stopped is said not to be.
    assert!(cautions(&report).contains("pattern.stopped in lane-3: nobody is told of it"), "{}", cautions(&report));

    let now = "2026-03-14T02:12:04Z".parse().unwrap();
    let site = site::parse(Source::new("site.toml", site), now).unwrap();
    let unknown = SHARING.replace("zones = [\"*\"]", "zones = [\"*\"]\nkinds = [\"site.folower\"]");
    let problems = sharing::parse(Source::new("sharing.toml", unknown), &site, Vec::new()).err().unwrap();
    assert!(problems.0[0].contains("no pattern of the site file says \"site.folower\""), "{problems}");
    assert!(problems.0[0].contains("did you mean `site.follower`?"), "{problems}");
}

#[test]
fn credentials_are_looked_for_only_where_their_folder_is() {
    let mut report = said(&whole(), SHARING);
    let names: Vec<&str> = report.credentials.iter().map(|credential| credential.credential.as_str()).collect();
    assert_eq!(names, ["node-7", "police"]);
    report.look_for_credentials(Path::new("/nowhere"));
    assert!(report.credentials.iter().all(|credential| credential.found.is_none()));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("credentials_node-7"), "x").unwrap();
    report.look_for_credentials(folder.path());
    assert_eq!(
        report.credentials.iter().map(|credential| credential.found).collect::<Vec<_>>(),
        [Some(true), Some(false)]
    );
    assert!(report.to_string().contains("police  MISSING for recipients.police"));
}

#[test]
fn durations_are_printed_as_they_are_written() {
    let millis = std::time::Duration::from_millis;
    for (duration, text) in
        [(50, "50 ms"), (12_500, "12.5 s"), (150_000, "150 s"), (1_800_000, "30 min"), (86_400_000, "24 h")]
    {
        assert_eq!(span(millis(duration)), text);
    }
}
