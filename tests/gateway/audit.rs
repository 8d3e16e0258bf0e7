//! Who did what to the gateway is in its journal and at an outside recipient, whatever happens to the gateway in between.

use crate::site::{Port, sharing};
use quaywatch_tests::{eventually, gateway::Gateway, mosquitto::Mosquitto, subscriber::Subscriber};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(30);

/// A port whose journal goes to the authority's own broker.
async fn port() -> (Port, Mosquitto, Authority) {
    let authority = Mosquitto::start();
    let port = Port::new();
    let told = Authority::listening(&authority).await;
    fs::write(port.gateway.path("sharing.toml"), exported(port.broker.port, authority.port)).expect("ours");
    (port, authority, told)
}

fn exported(broker: u16, authority: u16) -> String {
    let upstream = format!("{{ mqtt = \"mqtt://127.0.0.1:{authority}\", topic = \"authority/{{site}}\" }}");
    format!("{}[audit]\nupstream = {upstream}\n", sharing(broker))
}

/// Somebody outside who keeps everything that comes.
struct Authority {
    subscriber: Subscriber,
    events: Vec<Value>,
}

impl Authority {
    async fn listening(broker: &Mosquitto) -> Self {
        Self { subscriber: Subscriber::connect(broker.port, "authority/gate-2/journal").await, events: Vec::new() }
    }

    /// Our own subscriber is forgotten by a broker that stops.
    async fn subscribe_again(&mut self, broker: &Mosquitto) {
        self.take();
        self.subscriber = Subscriber::connect(broker.port, "authority/gate-2/journal").await;
    }

    fn take(&mut self) {
        let came = self.subscriber.drain().into_iter();
        self.events.extend(came.map(|(_, payload)| serde_json::from_slice::<Value>(&payload).expect("JSON")));
    }

    fn entries(&mut self) -> Vec<Value> {
        self.take();
        let entries = self.events.iter().filter(|event| event["type"] == "org.quaywatch.audit.entry.v1");
        entries.map(|event| event["data"]["entry"].clone()).collect()
    }

    async fn has(&mut self, act: &str, of: &str) -> Value {
        let mut found = Value::Null;
        eventually(SOON, async || {
            let entries = self.entries();
            let is = |entry: &&Value| entry["act"] == act && entry.to_string().contains(of);
            match entries.iter().find(is) {
                Some(entry) => {
                    found = entry.clone();
                    Ok(())
                }
                None => Err(format!("{act} of {of} is not among {entries:#?}")),
            }
        })
        .await;
        found
    }

    /// What came, as the recipient keeps it.
    fn kept(&mut self, gateway: &Gateway) -> std::path::PathBuf {
        self.take();
        let lines: String = self.events.iter().map(|event| format!("{event}\n")).collect();
        let path = gateway.path("export.ndjson");
        fs::write(&path, lines).expect("ours");
        path
    }
}

fn said(gateway: &Gateway, words: &[&str]) -> (bool, String) {
    let output = gateway.ask(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn verified(gateway: &Gateway, export: &Path) -> (bool, String) {
    said(gateway, &["audit", "verify", "--export", &export.display().to_string()])
}

#[track_caller]
fn is_whole(gateway: &Gateway, export: &Path) {
    let (well, text) = verified(gateway, export);
    assert!(well, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_does_is_in_the_journal_and_outside_and_cannot_be_taken_back() {
    let (mut port, authority, mut outside) = port().await;
    port.gateway.start().await;
    outside.has("gateway.started", "quaywatch").await;

    // A rule switched off, a sensor taken away, within one file.
    let path = port.gateway.path("site.toml");
    let good = fs::read_to_string(&path).expect("ours");
    let less = good.replace("[rules.tailgating]\nzones = [\"lane-3\"]\nmode = \"tell\"\n", "");
    let less = less.lines().filter(|line| !line.starts_with("rear ")).collect::<Vec<_>>().join("\n");
    fs::write(&path, less).expect("ours");
    assert!(said(&port.gateway, &["reload"]).0);
    outside.has("rule.off", "tailgating").await;
    outside.has("sensor.removed", "rear").await;
    let reloaded = outside.has("files.reloaded", "applied").await;
    assert!(reloaded["who"].as_str().expect("text").starts_with("uid "), "{reloaded}");

    let tap = port.gateway.spawn_ask(&["tap", "mast"]);
    outside.has("sensor.tapped", "mast").await;
    drop(tap);
    let _ = said(&port.gateway, &["explain", "QW-G2-ABCDEF"]);
    outside.has("situation.explained", "QW-G2-ABCDEF").await;
    let _ = said(&port.gateway, &["dead-letters"]);
    outside.has("dead-letters.read", "all").await;

    // The export itself switched off: whoever had it until now hears of it.
    fs::write(port.gateway.path("sharing.toml"), sharing(port.broker.port)).expect("ours");
    assert!(said(&port.gateway, &["reload"]).0);
    let off = outside.has("audit.off", "nobody").await;
    let until_off = off["number"].as_u64().expect("a number");
    let _ = said(&port.gateway, &["explain", "QW-G2-GHJKMN"]);
    // Switched on again it goes on where it was.
    fs::write(port.gateway.path("sharing.toml"), exported(port.broker.port, authority.port)).expect("ours");
    assert!(said(&port.gateway, &["reload"]).0);
    let meanwhile = outside.has("situation.explained", "QW-G2-GHJKMN").await;
    assert!(meanwhile["number"].as_u64().expect("a number") > until_off);

    port.gateway.stop();
    outside.has("gateway.stopped", "").await;
    eventually(SOON, async || match outside.events.last() {
        Some(last) if last["type"] == "org.quaywatch.audit.checkpoint.v1" => Ok(()),
        last => {
            let last = format!("{last:?}");
            outside.take();
            Err(last)
        }
    })
    .await;
    let numbers: Vec<u64> = outside.entries().iter().filter_map(|entry| entry["number"].as_u64()).collect();
    let mut once = numbers.clone();
    once.dedup();
    assert_eq!(once, (1..=once.len() as u64).collect::<Vec<_>>(), "in order, without gaps: {numbers:?}");
    let export = outside.kept(&port.gateway);
    is_whole(&port.gateway, &export);

    // Away from the gateway the export and the key are enough.
    let (_, key) = said(&port.gateway, &["audit", "key"]);
    let alone = ["audit", "verify", "--export", &export.display().to_string(), "--key", key.trim()].map(str::to_owned);
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    let mut command = std::process::Command::new(quaywatch_tests::gateway::binary());
    let output = command.args(&alone).arg("--state").arg(nowhere.path()).output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");

    forged(&port.gateway, &export);
}

/// What somebody with the disk in hand does to the journal is found.
fn forged(gateway: &Gateway, export: &Path) {
    let segment = gateway.path("state/audit/00000000000000000001.seg");
    let bytes = fs::read(&segment).expect("the journal");
    let text = String::from_utf8_lossy(&bytes);
    let at = text.find("rule.off").expect("the rule's entry");
    let mut changed = bytes.clone();
    changed[at..at + 8].copy_from_slice(b"rule.new");
    fs::write(&segment, &changed).expect("ours");
    let (well, text) = verified(gateway, export);
    assert!(!well && text.contains("WRONG"), "{text}");

    // The last frames cut off as if they had never been.
    let mut cut = bytes.clone();
    let at = bytes.windows(15).rposition(|window| window == b"gateway.stopped").expect("the stop");
    cut[at - 200..].fill(0);
    fs::write(&segment, &cut).expect("ours");
    let (well, text) = verified(gateway, export);
    assert!(!well && text.contains("its end was cut off") && text.contains("was exported"), "{text}");
    fs::write(&segment, &bytes).expect("ours");
    is_whole(gateway, export);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_and_a_link_that_is_down_neither_lose_nor_double_an_entry() {
    let (mut port, mut authority, mut outside) = port().await;
    port.gateway.start().await;
    outside.has("gateway.started", "quaywatch").await;
    const KILLS: usize = 4;
    for round in 0..KILLS {
        if round == 1 {
            authority.down();
        }
        for act in 0..5 {
            let _ = said(&port.gateway, &["explain", &format!("QW-G2-R{round}A{act}")]);
        }
        // Wherever the pipeline is.
        port.gateway.kill();
        port.gateway.start().await;
    }
    authority.up();
    outside.subscribe_again(&authority).await;
    for round in 0..KILLS {
        for act in 0..5 {
            outside.has("situation.explained", &format!("QW-G2-R{round}A{act}")).await;
        }
    }
    port.gateway.stop();
    outside.has("gateway.stopped", "").await;

    let listed = said(&port.gateway, &["audit", "list", "--json"]).1;
    let entries = listed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut acts: BTreeMap<String, usize> = BTreeMap::new();
    for line in entries.filter(|line| line["entry"].is_object()) {
        let entry = &line["entry"];
        let name = format!("{} {}", entry["act"], entry["details"]["reference"]);
        *acts.entry(name).or_default() += 1;
    }
    for round in 0..KILLS {
        for act in 0..5 {
            let name = format!("\"situation.explained\" \"QW-G2-R{round}A{act}\"");
            assert_eq!(acts.get(&name), Some(&1), "{name}: {acts:#?}");
        }
    }
    assert_eq!(acts.get("\"gateway.started\" null"), Some(&(KILLS + 1)), "{acts:#?}");
    let cut_off = listed.lines().filter(|line| line.contains("nobody had stopped it")).count();
    assert_eq!(cut_off, KILLS, "{listed}");
    let export = outside.kept(&port.gateway);
    is_whole(&port.gateway, &export);
}
