//! Against mosquitto.

use crate::desk::{Desk, PATIENCE, contact, endpoint, observation, said, store};
use quaywatch_drivers::{
    camera::frigate,
    intake::REPEAT_HORIZON,
    line::LineState,
    mqtt::{Gives, Session, Subscription},
};
use quaywatch_schemas::{
    NoData, Reading, Record, SensorId,
    observation::{Freshness, Health},
};
use quaywatch_tests::{mosquitto::Mosquitto, subscriber::Subscriber};
use rumqttc::v5::mqttbytes::QoS;
use std::time::Duration;

const OPEN: Reading = Reading::Contact(true);
const SHUT: Reading = Reading::Contact(false);

async fn publish(subscriber: &Subscriber, topic: &str, qos: QoS, retain: bool, payload: impl Into<Vec<u8>>) {
    subscriber.client.publish(topic, qos, retain, payload.into()).await.expect("the client lives");
}

#[tokio::test]
async fn a_message_is_acknowledged_only_after_the_receipt_and_its_repeat_is_known_as_one() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let subscriptions = || vec![contact("door", "door", Session::Alarm)];
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    sender.publish("door", "true").await;
    let withheld = desk.next().await;
    assert_eq!(said(&withheld.records), ("door", &OPEN));
    let first = withheld.delivery.clone().expect("the message has no identity of its own");
    assert!(!first.repeated && first.session == "broker/alarm");
    desk.crash().await;

    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    let again = desk.next().await;
    let second = again.delivery.clone().expect("the same message");
    assert!(second.repeated && (second.digest, &second.session) == (first.digest, &first.session));
    store(again);
    sender.publish("door", "false").await;
    assert_eq!(said(&desk.take().await), ("door", &SHUT));
    desk.close().await;

    // What was acknowledged does not come again; what is said while we are away is kept.
    sender.publish("door", "true").await;
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    let next = desk.next().await;
    assert_eq!(
        (said(&next.records), next.delivery.as_ref().map(|delivery| delivery.repeated)),
        (("door", &OPEN), Some(false))
    );
}

#[tokio::test]
async fn a_stop_waits_for_the_receipts_that_are_out() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let subscriptions = || vec![contact("door", "door", Session::Alarm)];
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    sender.publish("door", "true").await;
    let out = desk.next().await;
    let closing = tokio::spawn(desk.close());
    store(out);
    closing.await.expect("it stops");
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    sender.publish("door", "false").await;
    assert_eq!(said(&desk.take().await), ("door", &SHUT), "the first was acknowledged");
}

#[tokio::test]
async fn an_alarm_passes_a_routine_session_whose_acknowledgements_are_withheld() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let subscriptions = vec![contact("routine", "light", Session::Routine), contact("alarm", "duress", Session::Alarm)];
    let mut desk = Desk::up(endpoint(broker.port), subscriptions).await;
    for _ in 0..REPEAT_HORIZON + 50 {
        sender.publish("routine", "true").await;
    }
    let mut withheld = Vec::new();
    while withheld.len() < REPEAT_HORIZON {
        withheld.push(desk.next().await);
    }
    sender.publish("alarm", "true").await;
    let next = desk.next().await;
    assert_eq!(said(&next.records), ("duress", &OPEN), "and no more than a receive maximum of the others came");
    store(next);
    // Once they are stored the rest comes.
    withheld.into_iter().for_each(|batch| drop(store(batch)));
    for _ in 0..50 {
        assert_eq!(said(&desk.take().await), ("light", &OPEN));
    }
}

#[tokio::test]
async fn a_broker_that_restarts_is_connected_and_subscribed_again() {
    let mut broker = Mosquitto::start();
    let subscriptions = vec![contact("door", "door", Session::Alarm)];
    let mut desk = Desk::up(endpoint(broker.port), subscriptions).await;
    broker.down();
    let why = desk.why_down().await;
    assert!(why.contains("broker") || why.contains("nobody listens"), "{why}");
    // It lasts: the sensor is said not to be heard, once.
    assert_eq!(said(&desk.take().await), ("door", &Reading::NoData(NoData::Disconnected)));
    broker.up();
    desk.is(|state| *state == LineState::Up).await;
    assert_eq!(said(&desk.take().await), ("door", &Reading::Health(Health::Alive)));
    let sender = Subscriber::connect(broker.port, "nothing").await;
    sender.publish("door", "true").await;
    assert_eq!(said(&desk.take().await), ("door", &OPEN));
}

#[tokio::test]
async fn what_the_broker_kept_is_history_and_frigates_availability_is_how_things_are() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "door").await;
    publish(&sender, "door", QoS::AtLeastOnce, true, "true").await;
    publish(&sender, "frigate/available", QoS::AtLeastOnce, true, "offline").await;
    // The sender's own connection keeps its order: what it published before is kept by now.
    let mut marker = Subscriber::connect(broker.port, "marker").await;
    sender.publish("marker", "1").await;
    marker.next(PATIENCE).await;
    let camera = frigate::Camera { name: "quay_west".into(), gives: frigate::Gives::Frames };
    let gives = Gives::Frigate { sensor: SensorId::new("west").expect("a name"), camera };
    let camera = Subscription { topic: "frigate".into(), session: Session::Alarm, at_least_once: true, gives };
    let mut desk = Desk::up(endpoint(broker.port), vec![contact("door", "door", Session::Alarm), camera]).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let records = desk.take().await;
        let one = observation(&records);
        seen.push((one.sensor.to_string(), one.freshness, one.reading.clone()));
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let offline = Reading::NoData(NoData::Disconnected);
    assert_eq!(seen, [("door".into(), Freshness::History, OPEN), ("west".into(), Freshness::Live, offline)]);
    sender.publish("door", "false").await;
    assert_eq!(observation(&desk.take().await).freshness, Freshness::Live);
}

#[tokio::test]
async fn what_a_full_ledger_cannot_take_of_qos_0_is_counted_and_said() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let mut subscription = contact("door", "door", Session::Alarm);
    subscription.at_least_once = false;
    let mut desk = Desk::open(endpoint(broker.port), vec![subscription, contact("end", "end", Session::Routine)], 1);
    desk.is(|state| *state == LineState::Up).await;
    for _ in 0..50 {
        publish(&sender, "door", QoS::AtMostOnce, false, "true").await;
    }
    let (mut came, mut lost) = (0, 0);
    while came + lost < 50 {
        match said(&desk.take().await) {
            ("door", Reading::NoData(NoData::Overload(count))) => lost += count,
            ("door", Reading::Contact(true)) => came += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came + lost, 50);
}

#[tokio::test]
async fn a_packet_that_is_too_large_is_left_out_and_the_line_stays_up() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let mut desk = Desk::up(endpoint(broker.port), vec![contact("door", "door", Session::Alarm)]).await;
    let since = desk.status.borrow().since;
    publish(&sender, "door", QoS::AtLeastOnce, false, vec![b' '; 2 << 20]).await;
    sender.publish("door", "true").await;
    assert_eq!(said(&desk.take().await), ("door", &OPEN));
    assert_eq!(desk.status.borrow().since, since, "it never went down");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_a_dead_letter_and_does_not_come_again() {
    let broker = Mosquitto::start();
    let sender = Subscriber::connect(broker.port, "nothing").await;
    let subscriptions = || vec![contact("door/+", "any", Session::Alarm), contact("door/3", "three", Session::Alarm)];
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    sender.publish("door/4", "SECRET").await;
    let records = desk.take().await;
    let [Record::DeadLetter(letter)] = &records[..] else { panic!("{records:?}") };
    assert_eq!((letter.line.as_str(), letter.length, letter.reason.contains("SECRET")), ("broker", 6, false));
    sender.publish("door/3", "true").await;
    assert_eq!(desk.take().await.len(), 2, "one copy, for both of its sensors");
    desk.close().await;
    let mut desk = Desk::up(endpoint(broker.port), subscriptions()).await;
    sender.publish("door/4", "false").await;
    assert_eq!(said(&desk.take().await), ("any", &SHUT));
}

#[tokio::test]
async fn a_line_without_a_broker_says_so_and_stops_when_asked() {
    let port = quaywatch_tests::free_port();
    let desk = Desk::open(endpoint(port), vec![contact("door", "door", Session::Alarm)], 8);
    assert_eq!(desk.why_down().await, format!("nobody listens at 127.0.0.1:{port}"));
    tokio::time::timeout(Duration::from_secs(10), desk.close()).await.expect("it stops at once");
}
