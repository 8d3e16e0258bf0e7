//! The messages of a stream that are not products.

use crate::{
    mqtt::{TOPIC, target},
    stand::{SOON, Stand, police},
};
use quaywatch::{
    ledger::{Changes, Checkpoint, Lane},
    published::{self, fictional},
};
use quaywatch_schemas::{Position, RecipientId, policy::Confirm};
use quaywatch_sharing::{Context, Decision, decide};
use quaywatch_tests::{mosquitto::Mosquitto, subscriber::Subscriber};
use serde_json::Value;

/// Checks a message against its published schema.
pub fn is_of(schema: &str, message: &Value) {
    let schema: Value = serde_json::from_str(&published::document(schema).expect("it is published")).expect("JSON");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let wrong: Vec<String> = validator.iter_errors(message).map(|wrong| wrong.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?} in {message:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_begins_with_its_epoch_said_once_and_a_heartbeat() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    let mut subscriber = Subscriber::connect(broker.port, &format!("{TOPIC}/stream")).await;
    stand.picture.send_modify(|picture| {
        picture.blind_zones = vec!["lane-3".to_owned().try_into().expect("a name")];
    });
    let running = stand.run(target(broker.port, Confirm::Transport));
    let (_, started) = subscriber.next(SOON).await;
    is_of("started-event", &started);
    assert_eq!(started["data"]["reason"], "a new store");
    assert_eq!(started["epoch"], stand.outbox.epoch_hex());
    let (_, heartbeat) = subscriber.next(SOON).await;
    is_of("heartbeat-event", &heartbeat);
    assert_eq!(heartbeat["source"], "/quaywatch/NLRTM/gate-2/port-police");
    assert_eq!(heartbeat["data"]["blind_zones"], serde_json::json!(["lane-3"]));
    quaywatch_tests::eventually(SOON, async || match stand.outbox.to_announce(&police()) {
        None => Ok(()),
        Some(reason) => Err(reason),
    })
    .await;
    running.stop().await;
    stand.append(Lane::Live, &["lane-1"], 3, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let (_, heartbeat) = subscriber.next(SOON).await;
    assert_eq!(heartbeat["type"], "org.quaywatch.stream.heartbeat.v1", "the epoch is not said again");
    assert_eq!(heartbeat["data"]["last_sequence"], 3);
    running.stop().await;
}

/// What the pipeline would have stored about the fictional tailgating.
pub fn store_tailgating(stand: &Stand) {
    let (site, policy, situation) = (fictional::site(), fictional::policy(), fictional::tailgating());
    let desk = RecipientId::new("gate-desk").expect("a name");
    let context = Context {
        policy: &policy,
        site: &site,
        told: None,
        others_told: &[],
        reference_key: &fictional::REFERENCE_KEY,
        late: false,
        now: situation.concluded_wall,
    };
    let mut told = Vec::new();
    for recipient in [police(), desk] {
        let Decision::Release(release) = decide(&recipient, &situation, &context) else { panic!("it is released") };
        let bytes = serde_json::to_value(&release.told).expect("JSON");
        let mut account: quaywatch_sharing::Told = serde_json::from_value(bytes).expect("JSON");
        account.revision = 4;
        told.push(((recipient, situation.id), postcard(&account)));
    }
    let changes = Changes {
        checkpoint: Some(Checkpoint { position: Position(1), engine: Vec::new(), outputs: 1000 }),
        situations: vec![situation],
        told,
        ..Changes::default()
    };
    stand.state.apply(changes).expect("a disk");
}

fn postcard(told: &quaywatch_sharing::Told) -> Vec<u8> {
    postcard::to_stdvec(told).expect("it serialises")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_comes_when_it_is_asked_for() {
    let (broker, stand) = (Mosquitto::start(), Stand::new());
    store_tailgating(&stand);
    let mut subscriber = Subscriber::connect(broker.port, &format!("{TOPIC}/stream")).await;
    stand.append(Lane::Live, &["lane-1"], 5, 10);
    let running = stand.run(target(broker.port, Confirm::Transport));
    let (_, started) = subscriber.next(SOON).await;
    assert_eq!(started["type"], "org.quaywatch.stream.started.v1");
    stand.says(Some("nobody subscribes")).await;
    subscriber.publish(&format!("{TOPIC}/requests"), r#"{"request":"everything"}"#).await;
    subscriber.publish(&format!("{TOPIC}/requests"), r#"{"request":"snapshot"}"#).await;
    let snapshot = loop {
        let (_, message) = subscriber.next(SOON).await;
        if message["type"] == "org.quaywatch.stream.snapshot.v1" {
            break message;
        }
    };
    is_of("snapshot-event", &snapshot);
    assert_eq!(snapshot["data"]["up_to"], 5);
    let open = snapshot["data"]["open"].as_array().expect("a list");
    assert_eq!(open.len(), 1, "the gate desk's own account is not the police's");
    assert_eq!((&open[0]["revision"], &open[0]["subjects"][1]["plate"]), (&4.into(), &"7-KLB-09".into()));
    assert_eq!(open[0]["told"], serde_json::json!(["gate-desk"]));
    running.stop().await;
}
