//! Files change under a running gateway.

use crate::site::{Port, sharing, site};
use quaywatch_tests::{eventually, gateway::Gateway, subscriber::Subscriber};
use serde_json::Value;
use std::{fs, time::Duration};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_leaves_the_old_one_running_and_a_good_one_takes_effect() {
    let mut port = Port::new();
    port.gateway.start().await;
    let good = fs::read_to_string(port.gateway.path("site.toml")).expect("ours");

    fs::write(port.gateway.path("site.toml"), good.replace("loop.exit", "loop.exot")).expect("ours");
    port.gateway.signal(rustix::process::Signal::HUP);
    eventually(SOON, async || {
        let health = health(&port.gateway)?;
        let why = health["parts"]["files"]["why"].as_str().unwrap_or_default();
        if why.contains("loop.exot") { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    let refused = port.gateway.ask(&["reload"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loop.exot"), "{refused:?}");

    fs::write(port.gateway.path("site.toml"), good.replace("port/wind", "port/gusts")).expect("ours");
    let applied = port.gateway.ask(&["reload"]);
    assert!(applied.status.success(), "{applied:?}");
    assert_eq!(health(&port.gateway).expect("it runs")["parts"]["files"]["state"], "well");

    // The sensor is read from where the new file says, and watching it leaves a trace and shows its value.
    let mut tap = port.gateway.spawn_ask(&["tap", "mast"]);
    let sender = Subscriber::connect(port.broker.port, "nothing").await;
    let mut seen = String::new();
    let mut count = 0;
    eventually(SOON, async || {
        count += 1;
        sender.publish("port/gusts", &format!("{{\"n\":{count},\"speed\":17.25}}")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        seen.push_str(&tap.read_available());
        if seen.contains("17.25") { Ok(()) } else { Err(format!("the tap shows {seen:?}")) }
    })
    .await;
    drop(tap);
    port.gateway.stop();
    let log = quaywatch::ledger::read_log(&port.gateway.path("state")).expect("whole");
    let records: Vec<String> = log.map(|record| format!("{:?}", record.expect("reads").record)).collect();
    let has = |what: &str| records.iter().any(|record| record.contains(what));
    assert!(has("Tapped") && has("Reloaded") && has("SIGHUP"), "{records:#?}");
    assert_eq!(records.iter().filter(|record| record.contains("SiteApplied")).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_on_the_same_store_is_refused_and_says_why() {
    let mut port = Port::new();
    port.gateway.start().await;
    let second = port.gateway.run_again();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another quaywatch already runs"), "{said}");
    assert!(health(&port.gateway).is_ok(), "the first goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_a_bad_file_does_not_start_and_says_where() {
    let gateway = Gateway::new(&site(1, 2).replace("\"50 ms\"", "\"50 furlongs\""), &sharing(1), &[]);
    let said = gateway.run_again();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && text.contains("site.toml") && text.contains("50 furlongs"), "{text}");
}

fn health(gateway: &Gateway) -> Result<Value, String> {
    let output = gateway.ask(&["status", "--json"]);
    serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}
