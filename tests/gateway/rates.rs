//! A camera that reads nothing is found out by the loops; a person puts what was found in force; the log says when.

use crate::{
    explain::said,
    site::{Port, drive_through},
    views::lines_are_up,
};
use quaywatch_tests::{eventually, subscriber::Subscriber};
use serde_json::json;
use std::time::Duration;

/// A passage is counted once late words about it can no longer come: half a minute after its end.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_are_proposed_from_passages_and_verdicts_and_hold_once_a_person_has_adopted_them() {
    let mut port = Port::new();
    let mut police = Subscriber::connect(port.broker.port, "qw/gate-2/port-police/#").await;
    port.gateway.start().await;
    lines_are_up(&port).await;
    let nothing = eventually(SOON, async || said(&port.gateway, &["rates"])).await;
    for words in [
        "the rates of the site file; nothing has been adopted",
        "no verdict has come yet",
        "nothing has been counted yet",
    ] {
        assert!(nothing.contains(words), "{words:?} in\n{nothing}");
    }
    let refused = said(&port.gateway, &["rates", "adopt", "beef"]).expect_err("nothing is proposed");
    assert!(refused.contains("nothing is proposed that would change anything"), "{refused}");

    // Eleven trucks without a plate read, and a verdict on the first of them.
    for truck in 1..=11 {
        drive_through(&mut port, truck).await;
    }
    let first = police.product("gate.passage", SOON).await;
    let model = first["data"]["model"].as_str().expect("the police see method").to_owned();
    let answer = json!({
        "product": first["id"], "revision": 1, "word": "closed", "verdict": "true", "by": "duty-officer", "at": first["time"]
    });
    police.publish("qw/gate-2/port-police/answers", &answer.to_string()).await;
    let proposed = eventually(SOON, async || {
        let text = said(&port.gateway, &["rates"])?;
        let counted = text.contains("  rear, by ") && text.contains("proposed: 0.6");
        let answered = text.contains("gate.passage: 1 verdicts, 1 of them so; Brier 0.0");
        if counted && answered { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(proposed.contains("29 more verdicts are needed"), "{proposed}");
    let line = proposed.lines().find(|line| line.starts_with("proposed: ")).expect("something is");
    let id = line["proposed: ".len()..].split(';').next().expect("its name").to_owned();
    let other = said(&port.gateway, &["rates", "adopt", "beef"]).expect_err("that is not what is proposed");
    assert!(other.contains(&format!("what is proposed now is {id}")), "{other}");
    let adopted = said(&port.gateway, &["rates", "adopt", &id]).expect("it is the one that was read");
    assert!(adopted.starts_with(&format!("{id} is in force from record ")), "{adopted}");

    // The next passage is concluded with them, says so, and the log comes out the same.
    drive_through(&mut port, 12).await;
    let reference = loop {
        let next = police.product("gate.passage", SOON).await;
        if next["data"]["model"] == id.as_str() {
            break next["data"]["ref"].as_str().expect("a product has a reference").to_owned();
        }
        assert_eq!(next["data"]["model"], model.as_str(), "only what was adopted changes the model");
    };
    eventually(SOON, async || {
        let text = said(&port.gateway, &["explain", &reference])?;
        if text.contains(&format!("with rates and calibration {id}")) { Ok(()) } else { Err(text) }
    })
    .await;
    port.gateway.stop();
    let down = said(&port.gateway, &["rates"]).expect("the store has it");
    assert!(down.contains(&format!("in force: {id}, adopted by uid ")), "{down}");
    let replayed = said(&port.gateway, &["replay", "--quiet"]).expect("the same");
    assert!(replayed.contains("the same, byte for byte"), "{replayed}");
    let entered = said(&port.gateway, &["audit", "list"]).expect("a journal");
    assert!(entered.lines().any(|line| line.contains(" uid ") && line.contains(" rates.adopted: ")), "{entered}");
    let live = said(&port.gateway, &["rates", "adopt", &id]).expect_err("nobody runs");
    assert!(live.contains("no gateway answers"), "{live}");
}
