//! The port's MQTT broker: rumqttd, MQTT 5, on loopback, in threads of its own.
//!
//! It is a broker for a demonstration: it has no access control, forgets its sessions when it ends, and ends with the process.
//! Gateways reach it over TCP like any other broker.

use super::{DeviceError, FreePort};
use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

const WHAT: &str = "the broker";
/// How long the listener's thread may take to come up on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(10);
/// Another program may take the port between our letting go of it and the broker's taking it.
const ATTEMPTS: usize = 3;

/// Starts a broker on a free loopback port; gives back where it listens.
pub async fn start() -> Result<SocketAddr, DeviceError> {
    tokio::task::spawn_blocking(start_blocking).await.map_err(|why| DeviceError::new(WHAT, why))?
}

fn start_blocking() -> Result<SocketAddr, DeviceError> {
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let listen = FreePort::find().map_err(|why| DeviceError::new(WHAT, why))?.release();
        match try_start(listen) {
            Ok(()) => return Ok(listen),
            Err(reason) => why = reason,
        }
    }
    Err(DeviceError::new(WHAT, why))
}

fn try_start(listen: SocketAddr) -> Result<(), String> {
    let mut broker = rumqttd::Broker::new(config(listen));
    // `start` returns when the listener could not be opened, and otherwise never.
    let serve = move || broker.start().map_err(|why| why.to_string());
    let serving = thread::Builder::new().name("broker".into()).spawn(serve).map_err(|why| why.to_string())?;
    let deadline = Instant::now() + UP_WITHIN;
    loop {
        if serving.is_finished() {
            return Err(format!("{listen} is taken"));
        }
        if TcpStream::connect_timeout(&listen, Duration::from_secs(1)).is_ok() && !serving.is_finished() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it does not listen on {listen} after {UP_WITHIN:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn config(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        // A product with all its evidence is about 4 KB.
        max_payload_size: 256 * 1024,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        // Without this a message that nobody has subscribed to ends its sender's connection.
        dynamic_filters: true,
    };
    let server = ServerSettings { name: "demo".into(), listen, tls: None, next_connection_delay_ms: 1, connections };
    Config {
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            // Two megabytes a topic are minutes of traffic; a demo holds nothing for anybody who is away for longer.
            max_segment_size: 1024 * 1024,
            max_segment_count: 2,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("demo".into(), server)])),
        ..Config::default()
    }
}
