//! MQTT 5 against mosquitto.

use crate::stand::{Consumer, SOON, Stand, police};
use quaywatch::{
    ledger::Lane,
    upstreams::{Address, Target},
};
use quaywatch_drivers::mqtt::link::Endpoint;
use quaywatch_schemas::{policy::Confirm, product::NeverSent};
use quaywatch_tests::{eventually, mosquitto::Mosquitto, subscriber::Subscriber};
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use std::time::Duration;

pub const TOPIC: &str = "qw/gate-2/port-police";
pub const PRODUCTS: &str = "qw/gate-2/port-police/+/+";

pub fn target(port: u16, confirm: Confirm) -> Target {
    let endpoint = Endpoint {
        host: "127.0.0.1".into(),
        port,
        tls: None,
        login: None,
        client_id: "quaywatch-gate-2-port-police".into(),
    };
    Target { address: Address::Mqtt { endpoint, topic: TOPIC.into() }, confirm, answer_token: None }
}

/// Takes products until the consumer has `count` different ones.
pub async fn receive(subscriber: &mut Subscriber, consumer: &mut Consumer, count: usize) {
    eventually(SOON * 2, async || {
        for (topic, body) in subscriber.drain() {
            let lane = topic.trim_start_matches(TOPIC).split('/').nth(1).expect("a lane").to_owned();
            consumer.take(&lane, body);
        }
        let have = consumer.bodies.len();
        if have >= count { Ok(()) } else { Err(format!("{have} of {count} products came")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_arrive_in_order_per_zone_and_are_confirmed_by_the_broker() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    stand.append(Lane::Live, &["lane-1", "lane-2", "lane-3"], 300, 200);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 300).await;
    stand.backlog_is(0).await;
    stand.append(Lane::Live, &["lane-1", "lane-2"], 50, 200);
    receive(&mut subscriber, &mut consumer, 350).await;
    stand.backlog_is(0).await;
    stand.says(Some("nobody subscribes to qw/gate-2/port-police/stream")).await;
    running.stop().await;
    assert_eq!(consumer.repeats, 0, "one connection, no repeats");
    assert!(!stand.board.picture().parts.contains_key("upstream port-police"), "it is gone from the board");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_says_what_it_is_in_its_mqtt_properties_and_is_not_retained() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut options = MqttOptions::new("reader", "127.0.0.1", broker.port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 16);
    client.subscribe(PRODUCTS, QoS::AtLeastOnce).await.unwrap();
    let running = stand.run(target(broker.port, Confirm::Transport));
    stand.append(Lane::Live, &["lane-1"], 1, 10);
    let publish = tokio::time::timeout(SOON, async {
        loop {
            if let Ok(Event::Incoming(Packet::Publish(publish))) = events.poll().await {
                return publish;
            }
        }
    })
    .await
    .expect("a product comes");
    let properties = publish.properties.expect("it has properties");
    assert_eq!(properties.content_type.as_deref(), Some("application/cloudevents+json"));
    assert_eq!(properties.payload_format_indicator, Some(1));
    assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, false));
    assert_eq!(publish.topic, "qw/gate-2/port-police/live/lane-1");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_subscribes_to_is_kept_said_and_sent_in_order_when_somebody_does() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let running = stand.run(target(broker.port, Confirm::Transport));
    stand.append(Lane::Live, &["lane-1"], 20, 10);
    stand.says(Some("nobody subscribes to qw/gate-2/port-police/live/lane-1")).await;
    assert_eq!(stand.backlog(), 20, "a PUBACK without a subscriber confirms nothing");
    let mut subscriber = Subscriber::connect(broker.port, &format!("{TOPIC}/#")).await;
    let mut consumer = Consumer::default();
    eventually(SOON, async || {
        for (topic, body) in subscriber.drain() {
            if topic.contains("/live/") {
                consumer.take("live", body);
            }
        }
        if consumer.bodies.len() == 20 { Ok(()) } else { Err(format!("{}", consumer.bodies.len())) }
    })
    .await;
    stand.backlog_is(0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_nobody_subscribes_to_holds_no_other_zone() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, "qw/gate-2/port-police/live/lane-2").await;
    stand.append(Lane::Live, &["lane-1", "lane-2"], 100, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 50).await;
    stand.backlog_is(50).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_we_may_not_publish_to_is_named_and_holds_no_other() {
    let acl = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        acl.path(),
        "topic readwrite qw/gate-2/port-police/#\ntopic deny qw/gate-2/port-police/live/lane-1\n",
    )
    .unwrap();
    let broker = Mosquitto::with(&format!("allow_anonymous true\nacl_file {}\n", acl.path().display()));
    let stand = Stand::new();
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    stand.append(Lane::Live, &["lane-1", "lane-2"], 10, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    receive(&mut subscriber, &mut Consumer::default(), 5).await;
    stand.says(Some("the broker does not let us publish to qw/gate-2/port-police/live/lane-1")).await;
    stand.backlog_is(5).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_products_do_not_hold_a_live_one() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    stand.append(Lane::Late, &["lane-1", "lane-2"], 8000, 100);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 1).await;
    let live = stand.append(Lane::Live, &["lane-1"], 1, 100);
    let mut arrived = Vec::new();
    eventually(SOON * 2, async || {
        for (topic, body) in subscriber.drain() {
            let lane = if topic.contains("/live/") { "live" } else { "late" };
            arrived.push(consumer.take(lane, body));
        }
        if consumer.bodies.len() == 8001 { Ok(()) } else { Err(format!("{}", consumer.bodies.len())) }
    })
    .await;
    let place = arrived.iter().position(|sequence| *sequence == live).expect("it arrived");
    assert!(place < arrived.len() - 1, "the live product was number {place} of {}", arrived.len());
    running.stop().await;
}

/// The broker says at the start how large a packet may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_larger_than_the_broker_takes_is_set_aside_and_its_zone_goes_on() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 3000\n");
    poison(broker).await;
}

/// The broker does not say; it refuses with a reason that is not in MQTT 5's list for PUBACK, and rumqttc ends the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_the_broker_refuses_each_time_is_set_aside_and_its_zone_goes_on() {
    let broker = Mosquitto::with("allow_anonymous true\nmessage_size_limit 3000\n");
    poison(broker).await;
}

async fn poison(broker: Mosquitto) {
    let stand = Stand::new();
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    stand.append(Lane::Live, &["lane-1"], 3, 10);
    let poison = stand.append(Lane::Live, &["lane-1"], 1, 4000);
    stand.append(Lane::Live, &["lane-1"], 3, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 6).await;
    stand.backlog_is(0).await;
    assert!(!consumer.bodies.contains_key(&poison));
    let never = stand.outbox.accounts(&police()).never;
    assert_eq!(never, [NeverSent { first: poison, last: poison, why: "refused".into() }]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_in_force_does_not_allow_is_held_and_goes_when_it_does() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    let zones = |zones: Option<&[&str]>| {
        stand.picture.send_modify(|picture| {
            let mut policy = (**picture.policy.as_ref().expect("there is one")).clone();
            let police = policy.recipients.get_mut(&police()).expect("it is named");
            police.zones =
                zones.map(|zones| zones.iter().map(|zone| (*zone).to_owned().try_into().expect("a name")).collect());
            picture.policy = Some(std::sync::Arc::new(policy));
        });
    };
    zones(Some(&["lane-2"]));
    stand.append(Lane::Live, &["lane-1", "lane-2"], 10, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 5).await;
    stand.backlog_is(5).await;
    assert!(stand.outbox.accounts(&police()).never.is_empty(), "held, not withdrawn: that is the pipeline's to do");
    zones(None);
    receive(&mut subscriber, &mut consumer, 10).await;
    running.stop().await;
}
