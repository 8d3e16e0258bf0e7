//! Published messages of version 1, literally. Undo your change, not this test.

use quaywatch_schemas::{
    CloudEvent, Product,
    product::{
        ANSWER_TYPE, Answer, AnswerWord, HEARTBEAT_TYPE, Heartbeat, Receipt, Request, RequestWord, SNAPSHOT_TYPE,
        STARTED_TYPE, Snapshot, StreamStarted, Verdict, product_type,
    },
    situation::{Certainty, Phase, Severity, Urgency},
};
use serde::{Serialize, de::DeserializeOwned};

/// Reads the literal bytes and writes the same.
fn frozen<T: Serialize + DeserializeOwned>(bytes: &str) -> T {
    let value: T = serde_json::from_str(bytes).expect("version 1 is read");
    assert_eq!(serde_json::to_string(&value).expect("JSON"), bytes, "undo your change, not this test");
    value
}

/// Every field of a product.
const FULL: &str = include_str!("product_full_v1.json");
/// A recipient with few rights.
const FEW: &str = include_str!("product_few_v1.json");

#[test]
fn a_product_with_every_field() {
    let event: CloudEvent<Product> = frozen(FULL.trim_end());
    assert_eq!((event.kind.as_str(), event.data.revision), ("org.quaywatch.situation.revised.v1", 2));
}

#[test]
fn a_product_with_few_fields() {
    let event: CloudEvent<Product> = frozen(FEW.trim_end());
    assert_eq!((event.data.probability, event.data.evidence.len(), event.data.until), (None, 0, None));
}

#[test]
fn a_consumers_reader_ignores_what_it_does_not_know() {
    let newer = FEW.replacen(r#""revision":"#, r#""brightness":7,"revision":"#, 1);
    assert!(serde_json::from_str::<CloudEvent<Product>>(&newer).is_ok());
}

#[test]
fn heartbeat_start_and_snapshot() {
    let heartbeat: CloudEvent<Heartbeat> = frozen(
        r#"{"specversion":"1.0","type":"org.quaywatch.stream.heartbeat.v1","source":"/quaywatch/NLRTM/gate-2/port-police","id":"3f.heartbeat.1773454343640000000","epoch":"3f","time":"2026-03-14T02:12:23.640Z","datacontenttype":"application/json","data":{"last_sequence":48213,"backlog":1,"oldest_unsent":"2026-03-14T02:12:19.640Z","time_quality":{"gateway":"synchronised","uncertainty_ms":60},"blind_zones":["lane-3"],"seclevel":1,"version":"0.1.0","policy":"0123456789abcdef","never":[{"first":7,"last":9,"why":"shed"}]}}"#,
    );
    assert_eq!(heartbeat.data.last_sequence, 48_213);
    frozen::<CloudEvent<Heartbeat>>(
        r#"{"specversion":"1.0","type":"org.quaywatch.stream.heartbeat.v1","source":"/quaywatch/NLRTM/gate-2/port-police","id":"3f.heartbeat.1","epoch":"3f","time":"1970-01-01T00:00:00.000Z","datacontenttype":"application/json","data":{"last_sequence":0,"backlog":0,"time_quality":{"gateway":"unsynchronised","uncertainty_ms":4294967295},"blind_zones":[],"seclevel":3,"version":"0.1.0","policy":"0000000000000000"}}"#,
    );
    frozen::<CloudEvent<StreamStarted>>(
        r#"{"specversion":"1.0","type":"org.quaywatch.stream.started.v1","source":"/quaywatch/NLRTM/gate-2/port-police","id":"3f.started.2","epoch":"3f","time":"2026-03-14T02:12:23.640Z","datacontenttype":"application/json","data":{"reason":"a new store","version":"0.1.0"}}"#,
    );
    for open in [r#"{"up_to":7,"open":[]}"#, r#"{"up_to":7,"open":[],"left_out":3}"#] {
        frozen::<CloudEvent<Snapshot>>(&format!(
            r#"{{"specversion":"1.0","type":"org.quaywatch.stream.snapshot.v1","source":"/quaywatch/NLRTM/gate-2/port-police","id":"3f.snapshot.3","epoch":"3f","time":"2026-03-14T02:12:23.640Z","datacontenttype":"application/json","data":{open}}}"#
        ));
    }
}

#[test]
fn what_recipients_say() {
    let answer: Answer = frozen(
        r#"{"product":"3f.00000000000000048213","revision":2,"word":"closed","verdict":"harmless","reason":"one haulier","by":"duty-officer","at":"2026-03-14T02:41:30Z"}"#,
    );
    assert_eq!(answer.word, AnswerWord::Closed);
    let short: Answer = serde_json::from_str(
        r#"{"product":"3f.00000000000000048213","revision":2,"word":"seen","by":"duty-officer","at":"2026-03-14T02:41:30Z"}"#,
    )
    .expect("verdict and reason may be left out");
    assert_eq!((short.verdict, short.reason), (None, None));
    let receipt: Receipt = frozen(r#"{"epoch":"3f","up_to":48213}"#);
    assert_eq!(receipt.up_to, 48_213);
    assert_eq!(frozen::<Request>(r#"{"request":"snapshot"}"#).request, RequestWord::Snapshot);
}

#[test]
fn every_word_of_the_contract() {
    fn words<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(words: &[(&str, T)]) {
        for (word, value) in words {
            assert_eq!(serde_json::to_value(value).expect("JSON"), *word, "undo your change, not this test");
            assert_eq!(serde_json::from_value::<T>((*word).into()).expect("a word"), *value);
        }
    }
    let phases = [Phase::Opened, Phase::Revised, Phase::Closed, Phase::Retracted];
    assert_eq!(
        phases.map(product_type),
        [
            "org.quaywatch.situation.opened.v1",
            "org.quaywatch.situation.revised.v1",
            "org.quaywatch.situation.closed.v1",
            "org.quaywatch.situation.retracted.v1"
        ]
    );
    assert_eq!(
        [HEARTBEAT_TYPE, STARTED_TYPE, SNAPSHOT_TYPE, ANSWER_TYPE],
        [
            "org.quaywatch.stream.heartbeat.v1",
            "org.quaywatch.stream.started.v1",
            "org.quaywatch.stream.snapshot.v1",
            "org.quaywatch.answer.v1"
        ]
    );
    words(&[
        ("opened", Phase::Opened),
        ("revised", Phase::Revised),
        ("closed", Phase::Closed),
        ("retracted", Phase::Retracted),
    ]);
    words(&[
        ("seen", AnswerWord::Seen),
        ("acknowledged", AnswerWord::Acknowledged),
        ("actioned", AnswerWord::Actioned),
        ("rejected", AnswerWord::Rejected),
        ("closed", AnswerWord::Closed),
    ]);
    words(&[
        ("true", Verdict::True),
        ("false", Verdict::False),
        ("harmless", Verdict::Harmless),
        ("unknown", Verdict::Unknown),
    ]);
    words(&[
        ("Unlikely", Certainty::Unlikely),
        ("Possible", Certainty::Possible),
        ("Likely", Certainty::Likely),
        ("Observed", Certainty::Observed),
    ]);
    words(&[
        ("Minor", Severity::Minor),
        ("Moderate", Severity::Moderate),
        ("Severe", Severity::Severe),
        ("Extreme", Severity::Extreme),
    ]);
    words(&[
        ("Past", Urgency::Past),
        ("Future", Urgency::Future),
        ("Expected", Urgency::Expected),
        ("Immediate", Urgency::Immediate),
    ]);
    use quaywatch_schemas::{marking::Tlp, site::Status, time::ClockState};
    words(&[
        ("CLEAR", Tlp::Clear),
        ("GREEN", Tlp::Green),
        ("AMBER", Tlp::Amber),
        ("AMBER+STRICT", Tlp::AmberStrict),
        ("RED", Tlp::Red),
    ]);
    words(&[("actual", Status::Actual), ("exercise", Status::Exercise), ("test", Status::Test)]);
    words(&[
        ("synchronised", ClockState::Synchronised),
        ("holdover", ClockState::Holdover),
        ("unsynchronised", ClockState::Unsynchronised),
    ]);
}
