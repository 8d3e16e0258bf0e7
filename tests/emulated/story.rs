//! One story: a node that is enrolled, believed, attacked, cut off, and loses its power.

use crate::{
    node::{EmulatedNode, Input, MOST_STACK},
    quay::{NUMBER, Quay, SOON},
};
use quaywatch_node::{Channel, NodeKey};
use quaywatch_schemas::{
    Observation, Reading,
    frame::{
        Direction, Header, SuiteId,
        message::{Data, FromNode, Sample, Value},
        seal,
    },
    observation::{Freshness, Health},
};
use quaywatch_tests::eventually;
use std::time::Duration;

/// A node's word is history once it is older than ten seconds.
const LONG_AGO: Duration = Duration::from_secs(12);
/// Longer than a contact bounces.
const A_MOMENT: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/firmware builds the emulated image and runs this"]
async fn an_emulated_node_is_believed_attacked_cut_off_and_unplugged_and_every_word_of_it_is_stored_once() {
    let mut quay = Quay::new().await;
    let mut node = EmulatedNode::new(&[]);
    quay.gateway.start().await;
    node.power_on(&quay.wire);
    node.is_enrolled(&quay).await;
    eventually(SOON, async || match quay.stored("node").as_slice() {
        [.., last] if matches!(last.reading, Reading::Health(Health::Node { boots: 1, .. })) => Ok(()),
        other => Err(format!("{other:?}; it said {:?}", node.said())),
    })
    .await;

    its_word_and_a_cameras_make_a_situation(&mut quay, &mut node).await;
    recordings_and_forgeries_are_refused(&mut quay).await;
    a_killed_gateway_loses_nothing(&mut quay, &mut node).await;
    what_a_cut_line_kept_back_comes_in_order_as_history(&quay, &mut node).await;
    a_power_cut_loses_no_alarm(&quay, &mut node).await;
    last_words_are_heard(&quay, &mut node).await;

    let heard = quay.has_everything_once().await;
    let meter = node.meter().await;
    println!("{} data frames on the wire, the stack was {} bytes deep", heard.data.len(), meter.stack);
    assert!(meter.stack <= MOST_STACK, "the stack was {} bytes deep", meter.stack);
    quay.gateway.stop();
    let errors: Vec<_> = quay.gateway.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors, Vec::<String>::new());
}

async fn its_word_and_a_cameras_make_a_situation(quay: &mut Quay, node: &mut EmulatedNode) {
    node.set(Input::Contact1, true);
    quay.camera_sees_somebody().await;
    let product = quay.police.product("quay.presence", SOON).await;
    let text = product.to_string();
    assert!(text.contains("quay-detector") && text.contains("quay-camera"), "both count: {text}");
    node.set(Input::Contact1, false);
}

async fn recordings_and_forgeries_are_refused(quay: &mut Quay) {
    let recorded = quay.has_everything_once().await.data;
    for (_, bytes) in recorded.values() {
        quay.wire.inject(bytes);
    }
    // The node keeps none of them any more, so it did not send them.
    let wanted = recorded.len() as u64;
    eventually(SOON, async || match quay.frames("replayed").await? {
        replayed if replayed == wanted => Ok(()),
        replayed => Err(format!("{replayed} replayed frames, wanted {wanted}")),
    })
    .await;
    let product = quay.police.product("node.tamper", SOON).await;
    assert!(product.to_string().contains("seal"), "{product}");
    assert_eq!(told(quay, "recorded and played again"), 1, "told once, with its count an hour later");
    // The node's own next word ends that, so that the forgery is an alarm of its own.
    while quay.police.product("node.tamper", SOON).await["data"]["phase"] != "closed" {}

    let (&(epoch, counter), _) = recorded.last_key_value().expect("it said something");
    let open = Sample { channel: Channel::Door, age_ms: 0, value: Value::State(true) };
    let mut data = Data { boot: 1, follows: 1, at_ms: 1, last_words: false, samples: Default::default() };
    data.samples.push(open).expect("there is room for one");
    let header = Header { suite: SuiteId::default(), node: NUMBER, epoch, counter: counter + 1 };
    let another = NodeKey::new([0xa5; 32]).link(Direction::NodeToGateway, NUMBER, epoch);
    let forged = seal(&header, &another, &FromNode::Data(data)).expect("it fits");
    quay.wire.inject(&forged);
    let product = quay.police.product("node.tamper", SOON).await;
    assert_eq!(product["data"]["phase"], "opened", "{product}");
    assert_eq!(told(quay, "with a wrong seal"), 1);
    assert_eq!(quay.frames("forged").await, Ok(1));
    let door = quay.stored("shed-door");
    assert!(door.iter().all(|said| said.reading != Reading::Contact(true)), "nobody opened the door: {door:?}");
    quay.has_everything_once().await;
}

/// Warnings in the gateway's journal with these words.
fn told(quay: &Quay, words: &str) -> usize {
    quay.gateway.log().lines().filter(|line| line.contains("WARN") && line.contains(words)).count()
}

async fn a_killed_gateway_loses_nothing(quay: &mut Quay, node: &mut EmulatedNode) {
    for _ in 0..2 {
        node.set(Input::Door, true);
        quay.gateway.kill();
        node.goes_on_for(A_MOMENT).await;
        node.set(Input::Door, false);
        quay.gateway.spawn();
        quay.gateway.ready().await;
        node.goes_on_for(A_MOMENT).await;
    }
    quay.has_everything_once().await;
    assert_eq!(changes(&quay.stored("shed-door")), [false, true, false, true, false]);
}

async fn what_a_cut_line_kept_back_comes_in_order_as_history(quay: &Quay, node: &mut EmulatedNode) {
    let known = quay.stored("shed-door").len();
    quay.wire.cut(true);
    for _ in 0..3 {
        for open in [true, false] {
            node.set(Input::Door, open);
            node.goes_on_for(A_MOMENT).await;
        }
    }
    node.goes_on_for(LONG_AGO).await;
    assert_eq!(quay.stored("shed-door").len(), known, "the line was cut");
    quay.wire.cut(false);
    quay.has_everything_once().await;
    let door = quay.stored("shed-door").split_off(known);
    let history: Vec<_> = door.iter().filter(|said| said.freshness == Freshness::History).cloned().collect();
    // What was said just before the cut may be among it.
    assert!(changes(&history).ends_with(&[true, false, true, false, true, false]), "{door:?}");
    assert!(history.is_sorted_by_key(|said| said.observed_at.map(|observed| observed.at)), "{history:?}");
}

async fn a_power_cut_loses_no_alarm(quay: &Quay, node: &mut EmulatedNode) {
    let known = quay.stored("shed-door").len();
    quay.wire.cut(true);
    let flash = node.flash();
    node.set(Input::Door, true);
    // An alarm is in flash before anybody could have heard it.
    eventually(SOON, async || if node.flash() == flash { Err("flash is as it was".into()) } else { Ok(()) }).await;
    node.cut_power();
    node.set(Input::Door, false);
    node.power_on(&quay.wire);
    node.goes_on_for(LONG_AGO).await;
    quay.wire.cut(false);
    quay.has_everything_once().await;
    let door = quay.stored("shed-door").split_off(known);
    assert!(changes(&door).ends_with(&[true, false]), "what was before the power cut, and what is: {door:?}");
    let opened: Vec<_> = door.iter().filter(|said| said.reading == Reading::Contact(true)).collect();
    assert!(matches!(opened.as_slice(), [once] if once.freshness == Freshness::History), "{door:?}");
    let health = quay.stored("node");
    let last = health.last().map(|said| &said.reading);
    assert!(matches!(last, Some(Reading::Health(Health::Node { boots: 2, reset_cause: 1, .. }))), "{last:?}");
}

async fn last_words_are_heard(quay: &Quay, node: &mut EmulatedNode) {
    node.set(Input::SupplyFails, true);
    eventually(SOON, async || match quay.stored("node").last() {
        Some(last) if last.reading == Reading::Health(Health::Faulty) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// A contact's words without its repetitions.
fn changes(said: &[Observation]) -> Vec<bool> {
    let mut changes: Vec<bool> = said
        .iter()
        .filter_map(|said| match said.reading {
            Reading::Contact(on) => Some(on),
            _ => None,
        })
        .collect();
    changes.dedup();
    changes
}
