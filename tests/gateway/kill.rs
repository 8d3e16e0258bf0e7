//! The power fails at any moment: nothing that was acknowledged is lost, and no number is given twice to different bytes.

use crate::site::Port;
use quaywatch_schemas::{Reading, Record};
use quaywatch_tests::{eventually, subscriber::Subscriber};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const MESSAGES: u64 = 3000;
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_and_nothing_is_stored_twice() {
    let mut port = Port::new();
    port.gateway.start().await;
    let sender = Subscriber::connect(port.broker.port, "nothing").await;
    // The broker holds the gateway's session from here on: what it took, it owes the gateway.
    eventually(Duration::from_secs(20), async || {
        let output = port.gateway.ask(&["status", "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let health: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        if health["parts"]["line broker"]["state"] == "well" { Ok(()) } else { Err(text) }
    })
    .await;

    let per_round = MESSAGES / (KILLS as u64 + 1);
    let mut sent = 0;
    for round in 0..=KILLS {
        let until = if round == KILLS { MESSAGES } else { sent + per_round };
        while sent < until {
            sent += 1;
            sender.publish("port/wind", &format!("{{\"n\":{sent},\"speed\":{}.5}}", sent % 30)).await;
        }
        if round < KILLS {
            port.gateway.kill();
            port.gateway.spawn();
        }
    }
    port.gateway.ready().await;

    let state = port.gateway.path("state");
    eventually(Duration::from_secs(60), async || {
        let heard = heard(&state)?;
        if heard.len() as u64 == MESSAGES {
            Ok(())
        } else {
            Err(format!("{} of {MESSAGES} are in the log", heard.len()))
        }
    })
    .await;
    port.gateway.stop();
    let mut counts = BTreeMap::<u64, u32>::new();
    let log = quaywatch::ledger::read_log(&state).expect("the store is whole");
    let mut positions = BTreeSet::new();
    for record in log {
        let record = record.expect("every record reads");
        assert!(positions.insert(record.stamp.position), "position {:?} twice", record.stamp.position);
        if let Record::Observation(observation) = &record.record
            && observation.sensor.as_str() == "mast"
            && matches!(observation.reading, Reading::Measure(_))
        {
            let id = observation.source_id.expect("the messages carry an identity");
            *counts.entry(u64::from_le_bytes(id.0[..8].try_into().expect("16 bytes"))).or_default() += 1;
        }
    }
    let twice = counts.values().filter(|count| **count > 1).count();
    assert_eq!(
        (counts.len() as u64, twice),
        (MESSAGES, 0),
        "distinct messages in the log, and how many more than once"
    );
}

/// Source ids of the wind readings that are in the log.
fn heard(state: &std::path::Path) -> Result<BTreeSet<[u8; 16]>, String> {
    let log = quaywatch::ledger::read_log(state).map_err(|e| e.to_string())?;
    Ok(log
        .filter_map(Result::ok)
        .filter_map(|record| match record.record {
            Record::Observation(observation) if observation.sensor.as_str() == "mast" => {
                observation.source_id.map(|id| id.0)
            }
            _ => None,
        })
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_survive_kill_9_and_an_outage_with_no_gap_and_no_number_with_two_bodies() {
    let mut port = Port::new();
    let mut desk = Subscriber::connect(port.broker.port, "qw/gate-2/gate-desk/live/#").await;
    let mut late = Subscriber::connect(port.broker.port, "qw/gate-2/gate-desk/late/#").await;
    port.gateway.start().await;
    // Each passage of a vehicle becomes at least one product; the gateway is killed in the middle of them.
    for round in 0..6u16 {
        crate::site::drive_through(&mut port, round + 1).await;
        if round % 2 == 0 {
            port.gateway.kill();
            port.gateway.spawn();
            port.gateway.ready().await;
        }
    }
    let mut bodies = BTreeMap::<u64, Vec<u8>>::new();
    let mut epochs = BTreeSet::new();
    eventually(Duration::from_secs(60), async || {
        for (topic, body) in desk.drain().into_iter().chain(late.drain()) {
            let event: serde_json::Value = serde_json::from_slice(&body).map_err(|e| format!("{topic}: {e}"))?;
            epochs.insert(event["epoch"].to_string());
            let sequence = event["sequence"].as_str().and_then(|text| text.parse().ok()).ok_or("no sequence")?;
            if let Some(before) = bodies.insert(sequence, body.clone()) {
                assert_eq!(before, body, "number {sequence} has two bodies");
            }
        }
        let last = bodies.keys().next_back().copied().unwrap_or(0);
        let gaps: Vec<u64> = (1..=last).filter(|sequence| !bodies.contains_key(sequence)).collect();
        if last >= 4 && gaps.is_empty() { Ok(()) } else { Err(format!("last {last}, gaps {gaps:?}")) }
    })
    .await;
    assert_eq!(epochs.len(), 1, "a restart without loss keeps the epoch");
}
