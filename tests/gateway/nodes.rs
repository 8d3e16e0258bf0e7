//! Sensor nodes through the admin socket: the real daemon, and nodes that run the firmware's decisions with flash in memory.

mod board;
mod updates;

use board::Board;
use quaywatch::ledger::read_log;
use quaywatch_node::Channel;
use quaywatch_schemas::{Control, Observation, Reading, Record, control::NodeAct};
use quaywatch_tests::{eventually, free_port, gateway::Gateway, mosquitto::Mosquitto, subscriber::Subscriber};
use std::{fs, io::Write, net::TcpStream, path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(30);
const NUMBER: u16 = 7;

fn site(nodes: u16) -> String {
    format!(
        r#"
[site]
locode = "NLRTM"
id = "quay-1"
timezone = "Europe/Amsterdam"
status = "test"
[operations]
listen = "off"
[zones.shed-1]
name = "Shed 1"
kind = "room"
closed = "always"
[lines.bus]
node_listen = "127.0.0.1:{nodes}"
every = "50 ms"
[nodes.{NUMBER}]
[sensors]
shed-door = {{ zone = "shed-1", role = "door", line = "bus", node = {NUMBER}, channel = "door" }}
seal      = {{ zone = "shed-1", role = "node.tamper", line = "bus", node = {NUMBER}, channel = "tamper" }}
health    = {{ zone = "shed-1", role = "heartbeat", line = "bus", node = {NUMBER}, channel = "health" }}
"#
    )
}

/// Nobody is there to be told.
const SHARING: &str = r#"
[marking]
owner = "terminal"
tlp = "AMBER"
releasable_to = ["port-police", "terminal"]
purpose = "port-facility-security"
[recipients.port-police]
organisation = "port-police"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["*"]
fields = { operational = "show" }
upstream = { mqtt = "mqtt://127.0.0.1:9", topic = "qw/{site}/{recipient}", confirm = "transport" }
"#;

/// A gateway that waits for nodes, and where they connect to.
async fn quay() -> (Gateway, u16) {
    let nodes = free_port();
    let mut gateway = Gateway::new(&site(nodes), SHARING, &[]);
    gateway.start().await;
    (gateway, nodes)
}

/// Runs `quaywatch node`; what it said if it succeeded, what it complained of if not.
fn node(gateway: &Gateway, words: &[&str]) -> Result<String, String> {
    let output = gateway.ask(&[&["node"], words].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[track_caller]
fn refuses(gateway: &Gateway, words: &[&str], because: &str) {
    let why = node(gateway, words).expect_err("refused");
    assert!(why.contains(because), "node {words:?}: {why}");
}

async fn is(gateway: &Gateway, state: &str) {
    let state = format!("node {NUMBER}: {state}\n");
    eventually(SOON, async || match node(gateway, &["show", "7"]) {
        Ok(page) if page.starts_with(&state) => Ok(()),
        other => Err(format!("wanted {state:?}: {other:?}")),
    })
    .await;
}

fn enrol(gateway: &Gateway, board: &Board) -> String {
    let console = board.console();
    node(gateway, &["enrol", "7", "--port", &console.display().to_string()]).expect("enrolled")
}

/// What was done to nodes, as the log tells it.
fn acts(gateway: &Gateway) -> Vec<NodeAct> {
    let log = read_log(&gateway.path("state")).expect("a log");
    let acts = log.filter_map(Result::ok).filter_map(|record| match record.record {
        Record::Control(Control::Node { act, node: NUMBER, .. }) => Some(*act),
        _ => None,
    });
    acts.collect()
}

fn door(gateway: &Gateway) -> Vec<Observation> {
    let log = read_log(&gateway.path("state")).expect("a log");
    let said = log.filter_map(Result::ok).filter_map(|record| match record.record {
        Record::Observation(said) if said.sensor.as_str() == "shed-door" => Some(said),
        _ => None,
    });
    said.collect()
}

async fn door_is_heard(gateway: &Gateway, board: &Board, open: bool) {
    board.set_door(open);
    eventually(SOON, async || match door(gateway).last().map(|said| said.reading.clone()) {
        Some(Reading::Contact(said)) if said == open => Ok(()),
        other => Err(format!("the door is open: {open}; the log says {other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_node_is_enrolled_found_configured_given_a_new_key_doubled_and_revoked() {
    let (mut gateway, port) = quay().await;
    is(&gateway, "not enrolled").await;
    refuses(&gateway, &["rotate", "7"], "has no key: quaywatch node enrol 7");
    refuses(&gateway, &["enrol", "8", "--port", "/dev/null"], "the site file in force names no node 8");
    refuses(&gateway, &["enrol", "7", "--port", "/dev/no-such-port"], "/dev/no-such-port");

    let board = Board::new(port, None);
    let said = enrol(&gateway, &board);
    assert!(said.contains("hold its button") && said.contains("node 7 is enrolled: chip quay node"), "{said}");
    is(&gateway, "well").await;
    eventually(SOON, async || match node(&gateway, &["list"]) {
        Ok(listed) if listed.contains("power-on") && listed.contains("3.30 V") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    door_is_heard(&gateway, &board, true).await;

    let said = node(&gateway, &["identify", "7", "--for", "30"]).expect("done");
    assert!(said.ends_with("node 7 blinks for 30 s\n") && board.blinks(), "{said}");

    settings(&gateway, &board);
    update_is_refused(&gateway);

    let said = node(&gateway, &["rotate", "7"]).expect("done");
    assert!(said.contains("has used its new key; the old one is gone"), "{said}");
    gateway.kill();
    gateway.start().await;
    is(&gateway, "well").await;
    door_is_heard(&gateway, &board, false).await;

    a_double_is_quarantined_until_somebody_has_looked(&mut gateway, &board, port).await;

    assert!(node(&gateway, &["revoke", "7"]).expect("done").contains("has no key any more"));
    is(&gateway, "revoked").await;
    refuses(&gateway, &["identify", "7"], "was revoked: quaywatch node enrol 7");
    board.set_door(true);
    enrol(&gateway, &board);
    is(&gateway, "well").await;
    door_is_heard(&gateway, &board, true).await;

    let names: Vec<String> = acts(&gateway).iter().map(name).collect();
    let told = ["enrolled", "identified", "configured", "configured", "update-ordered", "update-ended"];
    let then = ["rotation-began", "rotated", "quarantined", "cleared", "revoked", "enrolled"];
    assert_eq!(names, [told, then].concat());
    eventually(SOON, async || {
        let entered = String::from_utf8_lossy(&gateway.ask(&["audit", "list"]).stdout).into_owned();
        match names.iter().find(|name| !entered.contains(&format!(" node.{name}: Node {NUMBER} "))) {
            Some(name) => Err(format!("{name} is not in the journal: {entered}")),
            None => Ok(()),
        }
    })
    .await;
    assert!(!gateway.log().contains("panicked"));
}

fn settings(gateway: &Gateway, board: &Board) {
    assert!(!board.has(Channel::Contact1));
    let file = gateway.path("settings.toml");
    fs::write(&file, "heartbeat_ms = 5\n").expect("writable");
    let path = file.display().to_string();
    refuses(gateway, &["configure", "7", &path], "`heartbeat_ms` must be 1000 to 3600000");
    fs::write(&file, "heartbeat_ms = 5000\nblink = true\n").expect("writable");
    refuses(gateway, &["configure", "7", &path], "blink");
    fs::write(&file, SETTINGS).expect("writable");
    let said = node(gateway, &["configure", "7", &path, "--check"]).expect("done");
    assert!(said.starts_with("4 channels"), "{said}");
    assert!(!board.has(Channel::Contact1), "it was only checked");
    let said = node(gateway, &["configure", "7", &path]).expect("done");
    assert!(said.ends_with("node 7 works by these settings\n"), "{said}");
    assert!(board.has(Channel::Contact1));
    let page = node(gateway, &["show", "7"]).expect("done");
    let [NodeAct::Configured { .. }, NodeAct::Configured { digest, outcome }] = &acts(gateway)[2..] else { panic!() };
    assert!(outcome == "done" && page.contains(&format!("configured, {}", &digest[..16])), "{page}");
}

const SETTINGS: &str = r#"
heartbeat_ms = 2000
[[inputs]]
channel = "door"
every_ms = 10
sensing = { contact = { debounce_ms = 30, alarm = "on-true" } }
[[inputs]]
channel = "contact-1"
every_ms = 10
sensing = { contact = { debounce_ms = 30, alarm = "never" } }
[[inputs]]
channel = "tamper"
every_ms = 10
sensing = "tamper"
[[inputs]]
channel = "health"
every_ms = 0
sensing = "health"
"#;

fn update_is_refused(gateway: &Gateway) {
    let file = gateway.path("image.bin");
    fs::write(&file, "no image").expect("writable");
    let path = file.display().to_string();
    refuses(gateway, &["update", "7", &path], "the image: ");
    let image = b"what the quay node runs from spring on";
    let pack = |board| {
        let manifest = quaywatch_update::pack(&[7; 32], board, quaywatch_update::Version(12), image).expect("an image");
        fs::write(&file, [&manifest.to_bytes()[..], image].concat()).expect("writable");
    };
    pack(quaywatch_update::Board::Rp2040);
    refuses(gateway, &["update", "7", &path], "the image is for rp2040");
    pack(board::KIND);
    refuses(gateway, &["update", "7", &path], "node 7 refused: the image is not signed with a key that it trusts");
    assert!(!node(gateway, &["show", "7"]).expect("done").contains("under way"), "it has come to its end");
    assert_eq!(
        fs::read_dir(gateway.path("state").join("node-images")).expect("readable").count(),
        0,
        "nobody needs the image"
    );
}

async fn a_double_is_quarantined_until_somebody_has_looked(gateway: &mut Gateway, board: &Board, port: u16) {
    board.plug(false);
    let double = board.copy(port);
    eventually(SOON, async || match node(gateway, &["show", "7"]) {
        Ok(page) if page.starts_with("node 7: well") && page.contains("boots        2;") => Ok(()),
        other => Err(format!("the copy is taken for the node: {other:?}")),
    })
    .await;
    drop(double);
    board.plug(true);
    is(gateway, "QUARANTINED").await;
    gateway.kill();
    gateway.start().await;
    is(gateway, "QUARANTINED").await;
    refuses(gateway, &["identify", "7"], "look at it, then quaywatch node clear 7");
    eventually(SOON, async || {
        let health = String::from_utf8_lossy(&gateway.ask(&["status"]).stdout).into_owned();
        if health.contains("two devices speak with its key") { Ok(()) } else { Err(health) }
    })
    .await;
    assert!(node(gateway, &["clear", "7"]).expect("done").contains("counts again"));
    is(gateway, "well").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn recordings_are_an_alarm_at_the_police_and_a_copy_beside_its_original_ends_in_quarantine() {
    let (broker, port) = (Mosquitto::start(), free_port());
    let mut police = Subscriber::connect(broker.port, "qw/quay-1/port-police/#").await;
    let sharing = SHARING.replace("127.0.0.1:9", &format!("127.0.0.1:{}", broker.port));
    let mut gateway = Gateway::new(&site(port), &sharing, &[]);
    gateway.start().await;
    let board = Board::new(port, None);
    enrol(&gateway, &board);
    for open in [true, false, true, false] {
        door_is_heard(&gateway, &board, open).await;
    }
    let known = door(&gateway).len();

    // Somebody on the network plays what they recorded.
    let mut attacker = TcpStream::connect(("127.0.0.1", port)).expect("anybody can connect");
    attacker.write_all(&board.wire().recording).expect("taken");
    let product = police.product("node.tamper", SOON).await;
    assert!(product.to_string().contains("a sensor node or cabinet was opened or handled"), "{product}");
    eventually(SOON, async || {
        let health = String::from_utf8_lossy(&gateway.ask(&["status"]).stdout).into_owned();
        if health.contains("somebody else speaks in its name: 0 forged") { Ok(()) } else { Err(health) }
    })
    .await;
    let log = gateway.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("recorded and played again")).collect();
    assert!(matches!(told.as_slice(), [once] if once.contains("WARN") && once.contains("of node 7")), "{told:?}");
    is(&gateway, "well").await;
    let said = door(&gateway).split_off(known);
    assert!(said.iter().all(|said| said.reading == Reading::Contact(false)), "the door did not open: {said:?}");

    // Another device with everything that is in the node's flash connects; the node itself goes on.
    let double = board.copy(port);
    is(&gateway, "QUARANTINED").await;
    drop((attacker, double));
    let known = door(&gateway).len();
    board.set_door(true);
    assert!(node(&gateway, &["clear", "7"]).expect("done").contains("counts again"));
    door_is_heard(&gateway, &board, true).await;
    assert!(door(&gateway).len() > known);
    is(&gateway, "well").await;
    assert!(!gateway.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_old_copy_of_the_whole_state_folder_repeats_no_nonce() {
    let (mut gateway, port) = quay().await;
    let board = Board::new(port, None);
    enrol(&gateway, &board);
    door_is_heard(&gateway, &board, true).await;
    gateway.stop();
    let (state, copy) = (gateway.path("state"), gateway.path("week-old"));
    copy_folder(&state, &copy);
    for open in [false, true] {
        gateway.start().await;
        door_is_heard(&gateway, &board, open).await;
        node(&gateway, &["identify", "7", "--for", "1"]).expect("done");
        gateway.kill();
    }
    let before = board.wire();
    fs::remove_dir_all(&state).expect("writable");
    copy_folder(&copy, &state);
    gateway.start().await;
    door_is_heard(&gateway, &board, false).await;
    node(&gateway, &["identify", "7", "--for", "1"]).expect("done");
    is(&gateway, "well").await;

    let wire = board.wire();
    assert!(wire.from_gateway.len() > before.from_gateway.len() + 10, "it went on talking");
    assert!(wire.from_node.len() > before.from_node.len() + 1);
    assert_eq!(wire.sessions.len(), 4, "a session for each start of the gateway");
    assert_eq!(wire.repeated, 0, "nonces that were used for two messages");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("readable").map(|entry| entry.expect("readable")) {
        let to = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("writable");
        }
    }
}

/// An act's name in the log.
fn name(act: &NodeAct) -> String {
    match serde_json::to_value(act).expect("JSON") {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(named) => named.keys().next().expect("a name").clone(),
        other => panic!("{other}"),
    }
}
