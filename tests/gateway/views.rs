//! One tailgating, two views; and what comes back.

use crate::site::{Port, now, plate_event};
use quaywatch_tests::{eventually, subscriber::Subscriber};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(30);

/// Two trucks on one grant, at the speed of trucks: the times are the story, not a wait for something to be done.
pub async fn tailgate(port: &mut Port, camera: &Subscriber) {
    let step = |ms| sleep(Duration::from_millis(ms));
    port.contact(0, true);
    step(400).await;
    port.grant(1);
    step(200).await;
    port.contact(2, true);
    step(800).await;
    port.contact(0, false);
    port.contact(1, true);
    step(900).await;
    port.contact(1, false);
    camera.publish("frigate/events", &plate_event("a", "12-BRV-4", now())).await;
    port.contact(0, true);
    step(700).await;
    port.contact(0, false);
    step(300).await;
    port.contact(1, true);
    step(900).await;
    port.contact(1, false);
    camera.publish("frigate/events", &plate_event("b", "7-KLB-09", now())).await;
    step(500).await;
    port.contact(2, false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tailgating_reaches_two_recipients_with_two_views_and_their_answers_come_back() {
    let mut port = Port::new();
    let mut police = Subscriber::connect(port.broker.port, "qw/gate-2/port-police/#").await;
    let mut desk = Subscriber::connect(port.broker.port, "qw/gate-2/gate-desk/#").await;
    let camera = Subscriber::connect(port.broker.port, "nothing").await;
    port.gateway.start().await;
    lines_are_up(&port).await;
    tailgate(&mut port, &camera).await;

    let full = with_two_plates(&mut police).await;
    let less = with_two_plates(&mut desk).await;
    let full_text = full.to_string();
    assert!(full_text.contains("7-KLB-09") && full_text.contains("12-BRV-4"), "{full:#}");
    assert!(full["data"]["probability"].as_f64().is_some_and(|p| p > 0.5), "{full:#}");
    assert!(full["data"]["evidence"].as_array().is_some_and(|evidence| !evidence.is_empty()), "{full:#}");
    // The group shares a reference; nothing that is withheld from the desk occurs anywhere in what it gets.
    assert_eq!(full["data"]["ref"], less["data"]["ref"]);
    let less_text = less.to_string();
    for withheld in ["7-KLB-09", "12-BRV-4", "probability", "weight", "\"evidence\"", "lane3_rear"] {
        assert!(!less_text.contains(withheld), "{withheld} in {less:#}");
    }
    assert_eq!(full["source"], "/quaywatch/NLRTM/gate-2/port-police");
    assert_eq!(less["source"], "/quaywatch/NLRTM/gate-2/gate-desk");

    let answer = json!({
        "product": full["id"], "revision": full["data"]["revision"], "word": "acknowledged", "by": "duty-officer",
        "at": full["time"]
    });
    police.publish("qw/gate-2/port-police/answers", &answer.to_string()).await;
    eventually(SOON, async || {
        let log = quaywatch::ledger::read_log(&port.gateway.path("state")).map_err(|e| e.to_string())?;
        let answered = log.filter_map(Result::ok).any(|record| format!("{:?}", record.record).contains("Acknowledged"));
        if answered { Ok(()) } else { Err("no answer in the log".into()) }
    })
    .await;

    // The explanation of what people were told, by the reference they were told, with identities masked.
    let reference = full["data"]["ref"].as_str().expect("a product has a reference");
    eventually(SOON, async || {
        let output = port.gateway.ask(&["explain", reference]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("gate.tailgating") && text.contains("log-odds") && !text.contains("7-KLB-09") {
            Ok(())
        } else {
            Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        }
    })
    .await;

    // The same log gives the same bytes.
    port.gateway.stop();
    let replay = || String::from_utf8(port.gateway.ask(&["replay"]).stdout).expect("text");
    let first = replay();
    assert!(first.contains("gate.tailgating") && first.contains("digest"), "{first}");
    assert_eq!(first, replay());
}

pub async fn lines_are_up(port: &Port) {
    eventually(SOON, async || {
        let output = port.gateway.ask(&["status", "--json"]);
        let health: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
        let up = ["line plc", "line broker"].iter().all(|line| health["parts"][line]["state"] == "well");
        if up { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

/// The first tailgating product that names both trucks.
pub async fn with_two_plates(recipient: &mut Subscriber) -> Value {
    loop {
        let product = recipient.product("gate.tailgating", SOON).await;
        let subjects = product["data"]["subjects"]
            .as_array()
            .map_or(0, |subjects| subjects.iter().filter(|subject| subject.get("plate").is_some()).count());
        if subjects >= 2 {
            return product;
        }
    }
}
