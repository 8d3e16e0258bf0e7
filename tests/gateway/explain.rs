//! Why it was said, whether it would be said again, and what another site file would have said: from a recorded log.

use crate::{
    site::Port,
    views::{lines_are_up, tailgate, with_two_plates},
};
use quaywatch_tests::{eventually, gateway::Gateway, subscriber::Subscriber};
use std::{fs, time::Duration};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_tailgating_is_explained_replayed_and_tried_with_another_site_file() {
    let mut port = Port::new();
    let mut police = Subscriber::connect(port.broker.port, "qw/gate-2/port-police/#").await;
    let camera = Subscriber::connect(port.broker.port, "nothing").await;
    port.gateway.start().await;
    lines_are_up(&port).await;
    tailgate(&mut port, &camera).await;
    let product = with_two_plates(&mut police).await;
    let reference = product["data"]["ref"].as_str().expect("a product has a reference").to_owned();

    // While it runs: the explanation through the admin socket, and the same bytes from the log as were kept.
    let live = eventually(SOON, async || {
        let text = said(&port.gateway, &["explain", &reference])?;
        if text.contains("It is over") { Ok(text) } else { Err(text) }
    })
    .await;
    for words in [
        "Gate 2, lane 3, inbound (lane-3)\nA second truck passed on one grant.\n",
        "local (",
        "  for it\n",
        "loop-b: 2 vehicles, ",
        "  together: ",
        "What else it could be\n",
        "  well: ",
        "gate.tailgating@",
    ] {
        assert!(live.contains(words), "{words:?} in\n{live}");
    }
    assert!(!live.contains("KLB") && !live.contains("BRV"), "{live}");
    eventually(SOON, async || same_bytes(&port.gateway)).await;

    // Why somebody sees what they see, without what they do not see.
    let for_desk = said(&port.gateway, &["explain", &reference, "--for", "gate-desk"]).expect("it is there");
    assert!(for_desk.contains("It is told of this.") && for_desk.contains("quasi-identity masked"), "{for_desk}");
    assert!(for_desk.contains("method         left out") && !for_desk.contains("loop-b"), "{for_desk}");
    let for_nobody = said(&port.gateway, &["explain", &reference, "--for", "harbour-master"]).expect("it is said");
    assert!(for_nobody.contains("no such recipient") && !for_nobody.contains("gate."), "{for_nobody}");

    // And after it has stopped, from the store.
    port.gateway.stop();
    assert_eq!(said(&port.gateway, &["explain", &reference]).as_deref(), Ok(live.as_str()));
    assert!(said(&port.gateway, &["explain", "QW-XX-000000"]).is_err());
    assert_eq!(same_bytes(&port.gateway), Ok(()));

    // The same file changes nothing; a file that only observes, and knows the camera by another name, does.
    let stored = log_bytes(&port.gateway);
    let site = fs::read_to_string(port.gateway.path("site.toml")).expect("ours");
    let path = port.gateway.path("site.toml").display().to_string();
    let same = said(&port.gateway, &["replay", "--site", &path]).expect("it is in order");
    assert!(same.contains("\nno difference\n"), "{same}");
    let (head, rule) = site.split_once("[rules.tailgating]").expect("ours");
    let head = head.replace("rear   =", "tail   =");
    let other = port.gateway.path("other.toml");
    fs::write(&other, format!("{head}[rules.tailgating]{}", rule.replace("\"tell\"", "\"observe\""))).expect("ours");
    let other = other.display().to_string();
    let changed = said(&port.gateway, &["replay", "--site", &other]).expect("it is in order");
    for words in [
        "sensors of the file that the log never heard: mast, tail\n",
        "sensors of the log that the file does not name: rear (",
        " gate.tailgating in lane-3, Likely ",
        "is observed only",
        "\nkind             recorded  with it  gone  new  changed\n",
    ] {
        assert!(changed.contains(words), "{words:?} in\n{changed}");
    }
    let counts = changed.lines().find(|line| line.starts_with("gate.tailgating ")).expect("counted");
    assert_eq!(counts.split_whitespace().collect::<Vec<_>>(), ["gate.tailgating", "1", "1", "0", "0", "1"]);
    let before =
        said(&port.gateway, &["replay", "--site", &other, "--until", "2020-01-01"]).expect("nothing is so old");
    assert!(before.contains("the log holds nothing in this time"), "{before}");

    // A file that is not in order is refused with its place; nothing of all this has touched the store.
    fs::write(&other, site.replace("loop.exit", "loop.exot")).expect("ours");
    let refused = said(&port.gateway, &["replay", "--site", &other]).expect_err("no such role");
    assert!(refused.contains("other.toml") && refused.contains("loop.exot"), "{refused}");
    assert!(stored == log_bytes(&port.gateway), "a replay writes nothing");
}

fn same_bytes(gateway: &Gateway) -> Result<(), String> {
    let text = said(gateway, &["replay", "--quiet"])?;
    if text.contains("situations the gateway has kept: the same, byte for byte") { Ok(()) } else { Err(text) }
}

/// What a command prints, or what it complains of.
pub fn said(gateway: &Gateway, words: &[&str]) -> Result<String, String> {
    let output = gateway.ask(words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }
}

fn log_bytes(gateway: &Gateway) -> Vec<u8> {
    let folder = gateway.path("state").join("log");
    let mut files: Vec<_> = fs::read_dir(folder).expect("a log").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.iter().flat_map(|file| fs::read(file).expect("readable")).collect()
}
