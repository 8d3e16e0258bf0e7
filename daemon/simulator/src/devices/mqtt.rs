//! An MQTT 5 client as cameras' servers and central systems have one.

use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Packet, Publish},
    },
};
use std::{net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages on their way out of or into a client; when a queue is full its sender waits.
const QUEUE: usize = 256;
/// How long to wait before the next attempt to connect.
const AGAIN: Duration = Duration::from_millis(300);

/// Connects, stays connected until stopped, and hands over what arrives on the filters.
pub fn connect(
    name: &str,
    broker: SocketAddr,
    filters: &[String],
    stop: CancellationToken,
) -> (AsyncClient, mpsc::Receiver<Publish>) {
    let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(20));
    options.set_max_packet_size(Some(1 << 20));
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let (client, mut events) = AsyncClient::new(options, QUEUE);
    let (arrived, arrivals) = mpsc::channel(QUEUE);
    let filters = filters.to_vec();
    let subscriber = client.clone();
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.poll() => event,
                () = stop.cancelled() => return,
            };
            match event {
                // A session is new at every connection.
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    for filter in &filters {
                        if subscriber.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                            return;
                        }
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    // Nobody reads any more: then there is nothing to be connected for, unless something is to be said.
                    let _ = arrived.send(publish).await;
                }
                Ok(_) => {}
                Err(why) => {
                    tracing::debug!(%why, "a simulated client is not connected");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    });
    (client, arrivals)
}

/// Says something and waits until it is on its way.
pub async fn say(client: &AsyncClient, topic: &str, retain: bool, payload: impl Into<String>) {
    // Fails only when the client was stopped, and then nobody needs it any more.
    let _ = client.publish(topic, QoS::AtLeastOnce, retain, payload.into()).await;
}
