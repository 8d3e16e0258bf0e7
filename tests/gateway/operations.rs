//! What an operator sees from outside: health, metrics, dead letters.

use crate::site::{Port, sharing, site};
use quaywatch_tests::{
    eventually, free_port, gateway::Gateway, get, modbus::Modbus, mosquitto::Mosquitto, subscriber::Subscriber,
};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_health_are_served_and_name_no_vehicle() {
    let (broker, plc, port) = (Mosquitto::start(), Modbus::start(&[1]), free_port());
    let site = site(broker.port, plc.port).replace("listen = \"off\"", &format!("listen = \"127.0.0.1:{port}\""));
    let mut gateway = Gateway::new(&site, &sharing(broker.port), &[]);
    gateway.start().await;
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let mut count = 0;
    let metrics = eventually(SOON, async || {
        count += 1;
        sender.publish("port/wind", &format!("{{\"n\":{count},\"speed\":4}}")).await;
        sender
            .publish("frigate/events", &crate::site::plate_event(&format!("e{count}"), "9-TST-01", crate::site::now()))
            .await;
        let text = get(port, "/metrics").await?;
        let stored = text.lines().find_map(|line| line.strip_prefix("quaywatch_log_observations_total "));
        match stored.and_then(|number| number.parse::<u64>().ok()) {
            Some(stored) if stored >= 5 => Ok(text),
            _ => Err(text),
        }
    })
    .await;
    for name in
        ["quaywatch_log_bytes_written_total", "quaywatch_process_write_bytes_total", "quaywatch_log_sync_seconds"]
    {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    assert!(!metrics.contains("9-TST-01"));
    let health = get(port, "/health").await.expect("served");
    assert!(health.contains("\"line plc\"") && health.contains("\"ledger\""), "{health}");
    assert!(!gateway.log().contains("9-TST-01"), "plates do not belong into the journal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_kept_with_its_reason_and_harms_nothing_else() {
    let mut port = Port::new();
    port.gateway.start().await;
    let sender = Subscriber::connect(port.broker.port, "nothing").await;
    let listed = eventually(SOON, async || {
        sender.publish("port/wind", "{\"speed\":\"HIDDEN\",\"n\":1}").await;
        let listed = String::from_utf8_lossy(&port.gateway.ask(&["dead-letters"]).stdout).into_owned();
        if listed.contains("expected a number") { Ok(listed) } else { Err(listed) }
    })
    .await;
    assert!(listed.contains("line broker") && !listed.contains("HIDDEN"), "{listed}");
}
