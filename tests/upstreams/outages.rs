//! Brokers that go, links that break, gateways that start again.

use crate::{
    mqtt::{PRODUCTS, TOPIC, receive, target},
    stand::{Consumer, SOON, Stand},
};
use quaywatch::ledger::Lane;
use quaywatch_schemas::policy::Confirm;
use quaywatch_tests::{eventually, mosquitto::Mosquitto, subscriber::Subscriber};

const ZONES: [&str; 4] = ["lane-1", "lane-2", "lane-3", "lane-4"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_in_the_middle_loses_nothing_and_turns_nothing_around() {
    let (mut broker, stand) = (Mosquitto::start(), Stand::new());
    let running = stand.run(target(broker.port, Confirm::Transport));
    let mut consumer = Consumer::default();
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    for round in 1..=3 {
        stand.append(Lane::Live, &ZONES, 2000, 300);
        receive(&mut subscriber, &mut consumer, 2000 * (round - 1) + 300).await;
        broker.down();
        stand.append(Lane::Live, &ZONES, 500, 300);
        stand.says(Some("nobody listens")).await;
        // The consumer's last words before the broker went; the rest comes over a new subscription.
        for (topic, body) in subscriber.drain() {
            consumer.take(topic.trim_start_matches(TOPIC).split('/').nth(1).expect("a lane"), body);
        }
        broker.up();
        subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
        stand.backlog_is(0).await;
        // What was confirmed without having been seen was in the broker's hands when it went down with its subscriber.
        for (topic, body) in subscriber.drain() {
            consumer.take(topic.trim_start_matches(TOPIC).split('/').nth(1).expect("a lane"), body);
        }
        if consumer.bodies.len() >= 2500 * round {
            continue;
        }
        let missing = 2500 * round - consumer.bodies.len();
        assert!(missing < 2000, "{missing} are missing");
        break;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_receipts_nothing_counts_until_the_consumer_says_so() {
    let (mut broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    stand.append(Lane::Live, &ZONES, 100, 50);
    let running = stand.run(target(broker.port, Confirm::Receipt));
    let mut consumer = Consumer::default();
    receive(&mut subscriber, &mut consumer, 100).await;
    assert_eq!(stand.backlog(), 100, "the broker has it all, the consumer has said nothing");
    let receipt = |epoch: &str, up_to: u64| format!(r#"{{"epoch":"{epoch}","up_to":{up_to}}}"#);
    let epoch = stand.outbox.epoch_hex();
    let topic = format!("{TOPIC}/receipts");
    for wrong in [receipt("0", 100), receipt(&epoch, 101), "everything".into()] {
        subscriber.publish(&topic, &wrong).await;
    }
    subscriber.publish(&topic, &receipt(&epoch, 60)).await;
    stand.backlog_is(40).await;
    assert_eq!(consumer.repeats, 0, "what was sent is not sent again on the same connection");

    // After a reconnect everything unconfirmed comes again, with the same ids and bytes.
    broker.down();
    broker.up();
    subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    eventually(SOON, async || {
        for (_, body) in subscriber.drain() {
            consumer.take("live", body);
        }
        if consumer.repeats >= 40 { Ok(()) } else { Err(format!("{} repeats", consumer.repeats)) }
    })
    .await;
    assert_eq!(consumer.bodies.len(), 100);
    subscriber.publish(&topic, &receipt(&epoch, 100)).await;
    stand.backlog_is(0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_stopped_and_started_goes_on_where_it_was() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, PRODUCTS).await;
    let mut consumer = Consumer::default();
    let mut sent = 0;
    for _ in 0..5 {
        stand.append(Lane::Live, &ZONES, 400, 50);
        sent += 400;
        let running = stand.run(target(broker.port, Confirm::Transport));
        receive(&mut subscriber, &mut consumer, sent - 300).await;
        running.stop().await;
    }
    let running = stand.run(target(broker.port, Confirm::Transport));
    receive(&mut subscriber, &mut consumer, sent).await;
    stand.backlog_is(0).await;
    running.stop().await;
}
