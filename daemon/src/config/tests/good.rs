//! Files that are in order, and what becomes of them.

use super::{SITE, sharing, site};
use crate::{
    config::{SharingFile, SiteFile, check, load_sharing, load_site, sharing_schema, site_schema, wire},
    upstreams,
};
use quaywatch_drivers::{camera::frigate, json, modbus, mqtt, streamed::Carrier, webhook};
use quaywatch_schemas::{
    FieldClass,
    marking::Tlp,
    observation::ObjectClass,
    policy::{Confirm, Treatment},
    site::{
        Clock, Direction, Grid, Mount, Role, View, ZoneKind,
        rules::{self, Mode, Rule},
    },
};
use std::{fs, path::PathBuf, time::Duration};

/// The style in which the two files are written; a lane with one of everything.
const STYLE_SITE: &str = r#"#:schema site.schema.json
[site]
locode = "NLRTM"
id = "gate-2"                             # the box may be replaced; the site id stays
timezone = "Europe/Amsterdam"
status = "actual"
[zones.lane-3]
name = "Gate 2, lane 3, inbound"
kind = "lane"
direction = "in"
length = "22 m"
media = "https://vms.acme.lan/export?cam={camera}&from={from}&to={to}"
[lines.plc]
modbus_tcp = "10.20.3.11:502"
unit = 1
every = "50 ms"
[lines.scale]
modbus_rtu = "/dev/serial/by-path/platform-rs485-0"
serial = "19200 8N1"
unit = 4
every = "250 ms"
whole_blocks = true
[lines.broker]
mqtt = "mqtts://10.20.3.2:8883"
user = "quaywatch"
password = "credential:broker"
[lines.hooks]
http_listen = "10.20.3.1:8443"
[lines.cabinet]
node_serial = "/dev/serial/by-path/platform-rs485-1"
[nodes.7]
key = "credential:node-7"
[sensors]
loop-a  = { zone = "lane-3", role = "loop.approach", at = "-4 m", line = "plc", discrete = 0 }
loop-b  = { zone = "lane-3", role = "loop.exit", at = "20 m", line = "plc", discrete = 1 }
arm     = { zone = "lane-3", role = "barrier.open", at = "0 m", line = "plc", discrete = 2 }
grant   = { zone = "lane-3", role = "grant", line = "plc", holding = 10, type = "u16" }
scale   = { zone = "lane-3", role = "weight.gross", line = "scale", holding = 0, type = "i32", order = "CDAB", scale_register = 2, unit = "kg", valid_when = { register = 3, bit = 0 }, range = [0, 80000] }
front   = { zone = "lane-3", role = "plate.front", line = "broker", frigate = "gate2_lane3_front", domain = "switch-3" }
rear    = { zone = "lane-3", role = "plate.rear", line = "hooks", platerecognizer = "lane3-rear", token = "credential:rear", domain = "switch-3" }
walker  = { zone = "lane-3", role = "pedestrian", line = "cabinet", node = 7, channel = "pir" }
door    = { zone = "lane-3", role = "cabinet.tamper", line = "cabinet", node = 7, channel = "tamper" }
[rules.tailgating]
zones = ["lane-3"]
mode = "tell"
"#;

const STYLE_SHARING: &str = r#"#:schema sharing.schema.json
[marking]
owner = "acme-terminal"
tlp = "AMBER"
releasable_to = ["port-police", "acme-terminal"]
purpose = "port-facility-security"
[groups.gate-2-watch]
organisations = ["port-police", "acme-terminal"]
[recipients.port-police]
organisation = "port-police"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["*"]
fields = { operational = "show", quasi-identity = "show", identity = "pseudonym", media = "show", method = "show" }
upstream = { mqtt = "mqtts://c2.police.lan:8883", topic = "qw/{site}/{recipient}", confirm = "receipt" }
[recipients.gate-desk]
organisation = "acme-terminal"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["lane-3"]
kinds = ["gate.*", "sensor.*"]
fields = { operational = "show", quasi-identity = "mask" }
upstream = { http = "https://tos.acme.lan/quaywatch", confirm = "transport" }
"#;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../systemd/examples").join(name)
}

#[test]
fn the_style_of_the_two_files_is_read_into_exact_types() {
    let file = site(STYLE_SITE).unwrap_or_else(|problems| panic!("{problems}"));
    let site = &file.site;
    assert_eq!((site.locode.as_str(), site.id.as_str(), site.sensors.len()), ("NLRTM", "gate-2", 9));
    let lane = &site.zones["lane-3"];
    assert_eq!((lane.kind, lane.direction, lane.length_m), (ZoneKind::Lane, Some(Direction::In), Some(22.0)));
    let exit = &site.sensors["loop-b"];
    assert_eq!((exit.role, exit.at_m, exit.domain.as_str()), (Role::LoopExit, Some(20.0), "plc"));
    assert_eq!(site.sensors["front"].domain.as_str(), "switch-3");
    assert_eq!(site.sensors["front"].silent_after, None);
    assert_eq!(exit.silent_after, Some(Duration::from_secs(150)));
    let rules = &site.rules;
    let tailgating = rules.tailgating.as_ref().unwrap();
    assert_eq!((tailgating.mode, tailgating.zones.len()), (Mode::Tell, 1));
    assert!(rules.passage.is_none(), "a rule that is not in the file is not run");
    // Except the two that say when the gateway can no longer look.
    assert_eq!(rules.sensor_silent.as_ref().unwrap().mode, Mode::Tell);
    assert_eq!(rules.node_tamper.as_ref().unwrap().mode, Mode::Tell);
    assert_eq!(file.log_retention, Duration::from_secs(35 * 86_400));

    let sharing = sharing(STYLE_SHARING, &file).unwrap_or_else(|problems| panic!("{problems}"));
    let policy = &sharing.policy;
    assert_eq!(policy.default_marking.as_ref().unwrap().tlp, Tlp::Amber);
    let (police, desk) = (&policy.recipients["port-police"], &policy.recipients["gate-desk"]);
    assert_eq!((police.zones.as_ref(), police.confirm), (None, Confirm::Receipt));
    assert_eq!(police.treatment(FieldClass::Identity), Treatment::Pseudonym);
    assert_eq!((desk.zones.as_ref().unwrap().len(), desk.confirm), (1, Confirm::Transport));
    assert_eq!(desk.treatment(FieldClass::Method), Treatment::Drop, "a class that is not named is dropped");
}

#[test]
fn what_is_wired_is_what_was_written() {
    let (site, sharing) = style();
    let folder = secrets(&["broker", "rear"]);
    fs::write(folder.path().join("credentials_node-7"), format!("{}\n", "0f".repeat(32))).unwrap();
    let wiring = wire(&site, &sharing, folder.path()).unwrap_or_else(|problems| panic!("{problems}"));

    let (connection, devices) = &wiring.modbus[0];
    assert_eq!(*connection, modbus::Connection::Tcp { host: "10.20.3.11".into(), port: 502 });
    let (_, plc) = &devices[0];
    assert_eq!((plc.unit, plc.every, plc.points.len()), (1, Duration::from_millis(50), 4));
    let grant = plc.points.iter().find(|point| point.sensor.as_str() == "grant").unwrap();
    assert_eq!(grant.gives, modbus::Gives::Count, "a grant in a register is a counter");
    let (modbus::Connection::Rtu(port), devices) = &wiring.modbus[1] else { panic!("RTU comes second") };
    assert_eq!((port.baud, port.data_bits, port.stop_bits), (19_200, 8, 1));
    let scale = &devices[0].1;
    assert!(scale.blocks.whole);
    let modbus::Gives::Measure(measured) = &scale.points[0].gives else { panic!("a weight is a measure") };
    assert_eq!((measured.scale, measured.range), (modbus::Scale::Register(2), Some((0.0, 80_000.0))));
    assert_eq!(measured.valid_when, Some(modbus::RegisterBit { register: 3, bit: 0, set: true }));
    let modbus::Place::Register { format, order, .. } = scale.points[0].place else { panic!("in registers") };
    assert_eq!((format, order), (modbus::Format::I32, modbus::Order::Cdab));
    assert_eq!(scale.points[0].reporting.deadband, 20.0);

    let broker = &wiring.mqtt["broker"];
    assert!(broker.broker.tls.is_some());
    let (user, password) = broker.broker.login.as_ref().unwrap();
    assert!(user == "quaywatch" && password.is("secret of broker"));
    assert_eq!(broker.broker.client_id, "quaywatch-gate-2-broker");
    assert_eq!((broker.subscriptions[0].topic.as_str(), broker.subscriptions[0].at_least_once), ("frigate", true));
    assert!(wiring.webhooks["hooks"].hooks[0].token.is("secret of rear"));
    let node = &wiring.nodes[&7];
    assert_eq!((node.line.as_str(), node.channels.len()), ("cabinet", 2));
    assert_eq!(node.key.as_ref().unwrap().as_key(), Some([0x0f; 32]));
    let upstreams::Address::Mqtt { topic, .. } = &wiring.upstreams["port-police"].address else { panic!("over MQTT") };
    assert_eq!(topic, "qw/gate-2/port-police");
    assert_eq!(wiring.operations, Some("127.0.0.1:9464".parse().unwrap()));
}

#[test]
fn secrets_that_are_missing_empty_or_no_keys_are_said_where_they_are_named() {
    let (site, sharing) = style();
    let folder = secrets(&["rear"]);
    fs::write(folder.path().join("rear"), "\n").unwrap();
    fs::write(folder.path().join("node-7"), "not a key").unwrap();
    let problems = wire(&site, &sharing, folder.path()).unwrap_err().0;
    for (problem, place, says) in [
        (&problems[0], "password = \"credential:broker\"", "there is no credential `broker`"),
        (&problems[1], "key = \"credential:node-7\"", "`node-7` is no node key"),
        (&problems[2], "token = \"credential:rear\"", "`rear` is empty"),
    ] {
        assert!(problem.contains(place) && problem.contains(says), "{problem}");
    }
    assert!(problems.len() == 3 && !problems.join("").contains("not a key"), "{problems:?}");
    assert!(problems[0].contains("site.toml:26:12:"), "{}", problems[0]);
}

#[test]
fn certificates_are_read_and_what_is_none_is_refused() {
    let folder = secrets(&["key"]);
    let file = folder.path().join("ca.pem");
    let text = |extra: &str| {
        let sensor = "[sensors]\na = { zone = \"lane-3\", role = \"wind.speed\", line = \"tls\", topic = \"w\" }\n";
        format!("{SITE}[lines.tls]\nmqtt = \"mqtts://b\"\nca = \"{}\"\n{extra}{sensor}", file.display())
    };
    let wired = |text: &str| {
        let site = site(text).unwrap_or_else(|problems| panic!("{problems}"));
        let sharing =
            sharing(&STYLE_SHARING.replace("qw/", "q/"), &site).unwrap_or_else(|problems| panic!("{problems}"));
        wire(&site, &sharing, folder.path())
    };
    let missing = wired(&text("")).unwrap_err().to_string();
    assert!(missing.contains("ca.pem cannot be read"), "{missing}");
    fs::write(&file, "no certificate").unwrap();
    let none = wired(&text("")).unwrap_err().to_string();
    assert!(none.contains("holds no certificate") && none.contains("BEGIN CERTIFICATE"), "{none}");
    // What is between the lines is not looked at here: the TLS library does that when it connects.
    fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let wiring = wired(&text("")).unwrap();
    assert!(wiring.mqtt["tls"].broker.tls.as_ref().is_some_and(|tls| tls.authority.is_some()));
    let client = format!("certificate = \"{}\"\nkey = \"credential:key\"\n", file.display());
    let no_key = wired(&text(&client)).unwrap_err().to_string();
    assert!(no_key.contains("credential `key` is no private key") && !no_key.contains("secret of key"), "{no_key}");
}

#[test]
fn lines_to_one_device_share_its_connection_and_addresses_count_from_the_base() {
    let text = format!(
        "{SITE}[lines.plc-two]\nmodbus_tcp = \"10.20.3.11\"\nunit = 2\nbase = 1\n[sensors]\n\
         a = {{ zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }}\n\
         b = {{ zone = \"lane-3\", role = \"loop.exit\", line = \"plc-two\", discrete = 1 }}\n"
    );
    let site = site(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let sharing = sharing(STYLE_SHARING, &site).unwrap_or_else(|problems| panic!("{problems}"));
    let wiring = wire(&site, &sharing, &PathBuf::from("/nowhere")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(wiring.modbus.len(), 1, "one connection for both");
    let addresses: Vec<_> = wiring.modbus[0].1.iter().map(|(_, device)| device.points[0].place.clone()).collect();
    let bit = |address| modbus::Place::Bit { area: modbus::BitArea::DiscreteInputs, address };
    assert_eq!(addresses, [bit(1), bit(0)]);
    assert!(wiring.mqtt.is_empty(), "a line that nothing is read over is not opened");
}

#[test]
fn every_way_to_read_a_sensor_comes_out_as_the_drivers_have_it() {
    let sensors = r#"[sensors]
badge = { zone = "lane-3", role = "grant", line = "broker", topic = "doors/3", value = "/card", decision = "/result", granted_when = ["OK"], time = "/t", time_format = "unix-millis", id = "/seq" }
mast  = { zone = "quay-1", role = "wind.speed", line = "broker", topic = "wind/#", value = "/kn", unit = "[kn_i]", qos = 0, session = "alarm" }
crowd = { zone = "quay-1", role = "presence.camera", line = "hooks", value = "/count", token = "credential:a" }
alpr  = { zone = "lane-3", role = "plate.front", line = "hooks", openalpr = "7", token = "credential:a" }
box   = { zone = "quay-1", role = "presence.camera", line = "broker", frigate = "cam", frigate_prefix = "nvr/frigate" }
show  = { zone = "lane-3", role = "weight.gross", line = "text", pattern = '(?<stable>ST|US),(?<value>[0-9.]+)', stable_when = ["ST"], unit = "t" }
flag  = { zone = "lane-3", role = "door", line = "bus", input = 9, bit = 3, inverted = true }
load  = { zone = "quay-1", role = "fence.vibration", line = "cabinet", node = 7, channel = "vibration" }
quiet = { zone = "lane-3", role = "temperature", line = "bus", holding = 5, type = "i16", scale = 0.1, silent_after = "never" }
[references.bookings]
line = "hooks"
token = "credential:a"
[references.rosters]
line = "broker"
topic = "rosters"
"#;
    let site = site(&format!("{SITE}{sensors}")).unwrap_or_else(|problems| panic!("{problems}"));
    let sharing = sharing(STYLE_SHARING, &site).unwrap_or_else(|problems| panic!("{problems}"));
    let folder = secrets(&["a"]);
    fs::write(folder.path().join("node-7"), "ab".repeat(32)).unwrap();
    let wiring = wire(&site, &sharing, folder.path()).unwrap_or_else(|problems| panic!("{problems}"));

    let topics: Vec<_> = wiring.mqtt["broker"].subscriptions.iter().collect();
    let by_topic = |topic: &str| *topics.iter().find(|subscription| subscription.topic == topic).unwrap();
    let mqtt::Gives::Json { mapping, .. } = &by_topic("doors/3").gives else { panic!("JSON") };
    assert_eq!(mapping.reading, json::Kind::Credential, "with a decision, a grant is a credential's");
    assert_eq!(mapping.time, Some(("/t".into(), json::TimeFormat::UnixMillis)));
    assert_eq!(by_topic("doors/3").session, mqtt::Session::Alarm);
    let wind = by_topic("wind/#");
    assert_eq!((wind.at_least_once, wind.session), (false, mqtt::Session::Alarm));
    let mqtt::Gives::Frigate { camera, .. } = &by_topic("nvr/frigate").gives else { panic!("Frigate") };
    assert_eq!(camera.gives, frigate::Gives::Frames);
    assert!(matches!(by_topic("rosters").gives, mqtt::Gives::References(_)));
    assert_eq!(by_topic("rosters").session, mqtt::Session::Routine);

    let hooks = &wiring.webhooks["hooks"].hooks;
    assert!(matches!(&hooks[0].gives, webhook::Gives::OpenAlpr { camera, .. } if camera == "7"));
    assert!(matches!(&hooks[1].gives, webhook::Gives::Json { mapping, .. } if mapping.reading == json::Kind::People));
    assert!(matches!(&hooks[2].gives, webhook::Gives::References(_)));
    let reader = &wiring.serial_text["text"].sensors[0];
    assert_eq!((reader.unit.as_str(), reader.reporting.deadband), ("t", 0.02), "the deadband is the same 20 kg");
    let points = &wiring.modbus.iter().find(|(_, devices)| devices[0].0.as_str() == "bus").unwrap().1[0].1.points;
    assert_eq!(points[0].gives, modbus::Gives::Contact { inverted: true });
    assert!(matches!(points[0].place, modbus::Place::Register { format: modbus::Format::Bit(3), .. }));
    assert_eq!(site.site.sensors["quiet"].silent_after, None);
    assert_eq!(site.site.sensors["load"].unit.as_ref().unwrap().as_str(), "m/s2", "the firmware's own unit");
}

/// A quay with everything that has a place.
const PLACES: &str = r#"
[site]
locode = "NLRTM"
id = "quay-1"
timezone = "Europe/Amsterdam"
grid = { latitude = 51.95, longitude = 4.05, x_axis = "30 deg" }
[zones.apron]
name = "Apron"
kind = "quay"
closed = "always"
outline = [[0, 0], [200, 0], ["200 m", 25.5], [0, 25]]
[zones.basin]
name = "Basin"
kind = "waterside"
outline = [[0, -60], [200, -60], [200, 0], [0, 0]]
[zones.door]
name = "Crew turnstile"
kind = "turnstile"
direction = "in"
[zones.plank]
name = "Gangway"
kind = "gangway"
[lines.vhf]
ais_serial = "/dev/ttyS4"
[lines.feed]
ais_tcp = "Ais.lan:10110"
[lines.scans]
frames_udp = "10.20.3.1:9000"
[lines.lidar]
frames_tcp = "10.20.3.9:9000"
[lines.broker]
mqtt = "mqtts://10.20.3.2"
[lines.hooks]
http_listen = "10.20.3.1:8443"
[sensors]
radar  = { zone = "basin", role = "radar", line = "scans", mount = { x = 100, y = "-2 m", facing = "-90 deg" }, view = { range = "110 m", half_angle = "50 deg" }, clock = "synchronised" }
lidar  = { zone = "apron", role = "radar", line = "lidar", positions = "cartesian", rates = { detection = 0.95, false_alarm = 2.5 } }
eye    = { zone = "apron", role = "position.camera", line = "broker", topic = "eye/frames", mount = { x = 5, y = 5 }, view = [[0, 0], [40, 0], [40, 25]] }
tower  = { zone = "apron", role = "presence.camera", line = "hooks", token = "credential:a", kind = "frame", silent_after = "never" }
vhf    = { zone = "basin", role = "ais", line = "vhf" }
feed   = { zone = "basin", role = "ais", line = "feed" }
badge  = { zone = "door", role = "reader", line = "broker", topic = "door/badge", mount = { x = 7, y = 30 } }
crew   = { zone = "plank", role = "reader", line = "broker", topic = "plank/badge", leads = "both" }
people = { zone = "plank", role = "people.count", line = "broker", topic = "plank/count" }
[rules.dwell]
zones = ["apron"]
longest = "20 min"
classes = ["person", "vessel"]
[rules.small-craft]
nearer_than = "35 m"
[rules.pass-back]
mode = "tell"
[rules.impossible-travel]
driving = "30 km/h"
[rules.first-time-zone]
history = "28 d"
"#;

#[test]
fn what_has_a_place_is_where_the_file_says() {
    let file = site(PLACES).unwrap_or_else(|problems| panic!("{problems}"));
    let site = &file.site;
    assert_eq!(site.grid, Some(Grid { latitude: 51.95, longitude: 4.05, x_axis_deg: 30.0 }));
    assert_eq!(site.zones["apron"].outline, [(0.0, 0.0), (200.0, 0.0), (200.0, 25.5), (0.0, 25.0)]);
    assert!(site.zones["door"].outline.is_empty());
    assert_eq!((site.zones["door"].kind, site.zones["door"].direction), (ZoneKind::Turnstile, Some(Direction::In)));
    let radar = &site.sensors["radar"];
    assert_eq!(radar.mount, Some(Mount { x: 100.0, y: -2.0, facing_deg: -90.0 }));
    assert_eq!(radar.view, Some(View::Sector { range_m: 110.0, half_angle_deg: 50.0 }));
    assert_eq!((radar.clock, radar.silent_after), (Clock::Synchronised, Some(Duration::from_secs(10))));
    assert_eq!(site.sensors["lidar"].rates.false_alarm, 2.5, "false detections a scan");
    assert_eq!((site.sensors["lidar"].mount, site.sensors["lidar"].clock), (None, Clock::Free));
    assert_eq!(site.sensors["eye"].view, Some(View::Polygon(vec![(0.0, 0.0), (40.0, 0.0), (40.0, 25.0)])));
    assert_eq!(site.sensors["tower"].silent_after, None);
    assert_eq!(site.sensors["vhf"].silent_after, Some(Duration::from_secs(600)));
    // A reader leads where its turnstile leads, unless it says otherwise.
    assert_eq!(site.sensors["badge"].leads, Some(Direction::In));
    assert_eq!((site.sensors["crew"].leads, site.sensors["people"].leads), (Some(Direction::Both), None));

    let sharing = sharing(&STYLE_SHARING.replace("lane-3", "apron"), &file).unwrap_or_else(|p| panic!("{p}"));
    let wiring = wire(&file, &sharing, secrets(&["a"]).path()).unwrap_or_else(|problems| panic!("{problems}"));
    let Carrier::Serial(port) = &wiring.ais["vhf"].carrier else { panic!("a serial port") };
    assert_eq!((port.baud, port.data_bits, port.stop_bits), (38_400, 8, 1));
    assert_eq!(wiring.ais["feed"].carrier, Carrier::Tcp { host: "ais.lan".into(), port: 10_110 });
    assert_eq!(wiring.ais["feed"].sensor.as_str(), "feed");
    assert_eq!(wiring.frames["scans"].carrier, Carrier::Udp("10.20.3.1:9000".parse().unwrap()));
    assert!(wiring.frames["scans"].source.polar && !wiring.frames["lidar"].source.polar);
    let frames = |subscription: &&mqtt::Subscription| matches!(subscription.gives, mqtt::Gives::Frames(_));
    assert_eq!(wiring.mqtt["broker"].subscriptions.iter().filter(frames).count(), 1);
    assert!(matches!(&wiring.webhooks["hooks"].hooks[0].gives, webhook::Gives::Frames(source) if source.polar));
}

#[test]
fn every_rule_has_a_table_with_the_settings_and_defaults_of_its_kind() {
    let rules = site(PLACES).unwrap_or_else(|problems| panic!("{problems}")).site.rules;
    let dwell = rules.dwell.unwrap();
    assert_eq!((dwell.mode, dwell.zones.len()), (Mode::Observe, 1));
    assert_eq!(dwell.settings.longest, Duration::from_secs(1200));
    assert_eq!(dwell.settings.classes, [ObjectClass::Person, ObjectClass::Vessel]);
    let small = rules.small_craft.unwrap().settings;
    assert_eq!((small.nearer_than_m, small.answer_within), (35.0, Duration::from_secs(180)));
    assert_eq!(rules.pass_back, Some(Rule::everywhere(Mode::Tell)));
    let travel = rules.impossible_travel.unwrap().settings;
    assert!((travel.driving - 30.0 / 3.6).abs() < 1e-9 && travel.walking == 2.0);
    assert_eq!(rules.first_time_zone.unwrap().settings.history, Duration::from_secs(28 * 86_400));
    assert!(rules.unbooked.is_none() && rules.sensor_conflict.is_none());

    // An empty table is the rule with its defaults, and `check` finds it by its name.
    let schema = site_schema();
    let tables = schema.pointer("/$defs/RulesDocument/properties").and_then(|tables| tables.as_object()).unwrap();
    let names: Vec<&str> = tables.keys().map(String::as_str).filter(|name| *name != "mooring-overload").collect();
    let settings = serde_json::to_value(rules::Rules::default()).unwrap();
    assert_eq!(tables.len(), settings.as_object().unwrap().len(), "a table for each rule of the engine");
    let all: String = names.iter().map(|name| format!("[rules.{name}]\n")).collect();
    let before = PLACES.split("[rules.dwell]").next().unwrap();
    let file = site(&format!("{before}{all}")).unwrap_or_else(|problems| panic!("{problems}"));
    let written = serde_json::to_value(&file.site.rules).unwrap();
    for name in names {
        let said = &written[name.replace('-', "_")];
        assert!(said["zones"].as_array().is_some_and(Vec::is_empty), "{name}: {said}");
    }
}

#[test]
fn places_validate_against_the_published_schema_and_slips_do_not() {
    let validator = jsonschema::validator_for(&site_schema()).unwrap();
    let value = |text: &str| toml::from_str::<serde_json::Value>(text).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value(PLACES)).map(|error| format!("{} {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for (from, to) in [
        ("latitude = 51.95, ", ""),
        ("[0, 25]]", "[0]]"),
        ("[40, 25]]", "[40]]"),
        ("half_angle", "halfangle"),
        ("\"synchronised\"", "\"ntp\""),
        ("leads = \"both\"", "leads = \"up\""),
        ("\"vessel\"]", "\"vessle\"]"),
        ("nearer_than = \"35 m\"", "nearer_than = 35"),
        ("kind = \"gangway\"", "kind = \"gang\""),
    ] {
        assert!(PLACES.contains(from), "{from}");
        assert!(!validator.is_valid(&value(&PLACES.replace(from, to))), "{from} -> {to}");
    }
}

#[test]
fn the_shipped_examples_are_in_order_and_work() {
    for name in ["truck-gate", "berth"] {
        let folder = example(name);
        let site = load_site(&folder.join("site.toml")).unwrap_or_else(|problems| panic!("{problems}"));
        let sharing = load_sharing(&folder.join("sharing.toml"), &site).unwrap_or_else(|problems| panic!("{problems}"));
        let report = check::report(&site, Some(&sharing));
        for zone in &report.zones {
            for rule in zone.rules.iter().filter(|rule| rule.named) {
                assert!(rule.works, "{name}: {} in {}: {:?}", rule.rule, zone.zone, rule.lacks);
            }
        }
        assert!(report.recipients.iter().all(|recipient| !recipient.gets.is_empty()), "{name}");
        // One caution each, and on purpose: the comment beside it says why.
        assert_eq!(report.cautions.len(), 1, "{name}: {:#?}", report.cautions);
    }
}

#[test]
fn the_shipped_examples_validate_against_the_published_schemas() {
    let schemas = [("site.toml", site_schema()), ("sharing.toml", sharing_schema())];
    for (file, schema) in schemas {
        let validator = jsonschema::validator_for(&schema).unwrap();
        for name in ["truck-gate", "berth"] {
            let text = fs::read_to_string(example(name).join(file)).unwrap();
            let value: serde_json::Value = toml::from_str(&text).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{} {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{name} {file}: {errors:#?}");
        }
    }
    let validator = jsonschema::validator_for(&site_schema()).unwrap();
    let style: serde_json::Value = toml::from_str(STYLE_SITE).unwrap();
    assert!(validator.is_valid(&style));
    for (from, to) in [
        ("discrete = 0", "discreet = 0"),
        ("\"50 ms\"", "\"50\""),
        ("\"loop.exit\"", "\"loop.exot\""),
        ("\"credential:rear\"", "\"hunter2\""),
        ("locode = \"NLRTM\"", "status = \"test\""),
    ] {
        let bad: serde_json::Value =
            toml::from_str(&STYLE_SITE.replace(from, to).replace("status = \"actual\"\n", "")).unwrap();
        assert!(!validator.is_valid(&bad), "{from} -> {to}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_with_its_name() {
    let folder = secrets(&[]);
    let missing = load_site(&folder.path().join("site.toml")).unwrap_err().to_string();
    assert!(missing.contains("site.toml: cannot be read"), "{missing}");
    fs::write(folder.path().join("site.toml"), b"[site]\nid = \"\xff\"\n").unwrap();
    let latin = load_site(&folder.path().join("site.toml")).unwrap_err().to_string();
    assert!(latin.contains("line 2 is not UTF-8"), "{latin}");
    fs::write(folder.path().join("site.toml"), vec![b' '; (4 << 20) + 1]).unwrap();
    let large = load_site(&folder.path().join("site.toml")).unwrap_err().to_string();
    assert!(large.contains("is this the right file?"), "{large}");
}

fn style() -> (SiteFile, SharingFile) {
    let site = site(STYLE_SITE).unwrap_or_else(|problems| panic!("{problems}"));
    let sharing = sharing(STYLE_SHARING, &site).unwrap_or_else(|problems| panic!("{problems}"));
    (site, sharing)
}

/// A credentials folder in which each file holds `secret of NAME`.
fn secrets(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(folder.path().join(name), format!("secret of {name}\n")).unwrap();
    }
    folder
}

#[test]
fn the_audit_journals_recipient_is_in_the_policy_without_its_secrets() {
    let (site, sharing) = style();
    let said = |upstream: &str| {
        let text = format!("{STYLE_SHARING}\n[audit]\nupstream = {upstream}\n");
        super::sharing(&text, &site).unwrap_or_else(|problems| panic!("{problems}")).policy.audit
    };
    let http = said("{ http = \"https://authority.example/in?token=7h3-53cr37\", token = \"credential:audit\" }");
    assert_eq!(http.as_deref(), Some("https://authority.example/in"));
    let mqtt = said("{ mqtt = \"mqtts://authority.example\", topic = \"qw/{site}/{recipient}\" }");
    let topic = format!("mqtts://authority.example:8883 qw/{}/audit", site.site.id);
    assert_eq!(mqtt, Some(topic));
    assert_eq!(sharing.policy.audit, None);
}
