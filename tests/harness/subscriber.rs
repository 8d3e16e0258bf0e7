//! A consumer of products over MQTT 5 that is not ours: it knows the published contract only.

use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle};

/// A connected consumer.
pub struct Subscriber {
    /// Publishes what a test sends.
    pub client: AsyncClient,
    messages: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Connects and returns once the broker confirmed the subscription.
    pub async fn connect(port: u16, topic: &str) -> Self {
        let mut options = MqttOptions::new(format!("test-{}", crate::free_port()), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30));
        options.set_max_packet_size(Some(1 << 20));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, mut events) = AsyncClient::new(options, 1024);
        let (sender, messages) = mpsc::unbounded_channel();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        client.subscribe(topic, QoS::AtLeastOnce).await.expect("the client lives");
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                        if sender.send((topic, publish.payload.to_vec())).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        subscribed.await.expect("the broker confirms the subscription");
        Self { client, messages, task }
    }

    /// The next message, or a panic after `within`.
    pub async fn next(&mut self, within: Duration) -> (String, Value) {
        let (topic, payload) = tokio::time::timeout(within, self.messages.recv())
            .await
            .unwrap_or_else(|_| panic!("nothing came within {within:?}"))
            .expect("the client lives");
        (topic, serde_json::from_slice(&payload).expect("products are JSON"))
    }

    /// The next product of a kind; other messages are passed over.
    pub async fn product(&mut self, kind: &str, within: Duration) -> Value {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let (_, event) = self.next(left).await;
            if event["data"]["kind"] == kind {
                return event;
            }
        }
    }

    /// Everything that came so far, with its raw bytes.
    pub fn drain(&mut self) -> Vec<(String, Vec<u8>)> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }

    /// Publishes and returns once the broker was handed the message.
    pub async fn publish(&self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.to_owned()).await.expect("the client lives");
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}
