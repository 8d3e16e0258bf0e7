//! One value is revealed by two persons of different departments, once, and everybody can see that it was.

use crate::{
    signing::{person, sign_file},
    site::{Port, sharing},
    views::{lines_are_up, tailgate, with_two_plates},
};
use quaywatch_tests::{
    eventually,
    gateway::{Gateway, binary},
    subscriber::Subscriber,
};
use std::{fs, process::Command, time::Duration};

const SOON: Duration = Duration::from_secs(30);
const REASON: &str = "case 2026-118, second truck on one grant";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_value_is_revealed_by_two_persons_of_different_departments_once() {
    let mut port = Port::new();
    let officers = [
        person(&port.gateway, "ada", "port-security", "pfso"),
        person(&port.gateway, "ann", "port-security", "shift-supervisor"),
        person(&port.gateway, "ben", "legal", "data-protection-officer"),
    ]
    .concat();
    let text = format!("{}\n[file]\nissue = 1\n{officers}", sharing(port.broker.port));
    fs::write(port.gateway.path("sharing.toml"), text).expect("ours");
    sign_file(&port.gateway, "sharing.toml", &["ada", "ben"]);
    let mut police = Subscriber::connect(port.broker.port, "qw/gate-2/port-police/#").await;
    let camera = Subscriber::connect(port.broker.port, "nothing").await;
    port.gateway.start().await;
    lines_are_up(&port).await;
    tailgate(&mut port, &camera).await;
    let product = with_two_plates(&mut police).await;
    let reference = product["data"]["ref"].as_str().expect("a product has a reference").to_owned();
    let told = product["data"]["subjects"].as_array().expect("subjects").iter();
    let mut told = told.filter_map(|subject| Some((subject["role"].as_str()?, subject["plate"].as_str()?)));
    let (subject, plate) = told.next_back().map(|(role, plate)| (role.to_owned(), plate.to_owned())).expect("a plate");
    eventually(SOON, async || said(&port.gateway, &["explain", &reference])).await;

    // Not with one person, not with two colleagues, not changed after it was signed, not of what is not there.
    written(&port.gateway, "one.json", &reference, &subject);
    sign_file(&port.gateway, "one.json", &["ada"]);
    let alone = act(&port.gateway, "one.json").unwrap_err();
    assert!(alone.contains("two persons of different departments, and ada signed"), "{alone}");
    sign_file(&port.gateway, "one.json", &["ann"]);
    assert!(act(&port.gateway, "one.json").is_err(), "two colleagues");
    written(&port.gateway, "other.json", &reference, "vehicle.nobody");
    sign_file(&port.gateway, "other.json", &["ada", "ben"]);
    let nothing = act(&port.gateway, "other.json").unwrap_err();
    assert!(nothing.contains("no plate of a subject \"vehicle.nobody\""), "{nothing}");
    let file = port.gateway.path("other.json");
    fs::write(&file, fs::read_to_string(&file).expect("ours").replace("vehicle.nobody", &subject)).expect("ours");
    assert!(act(&port.gateway, "other.json").unwrap_err().contains("signature is not on this text"));

    // With two of different departments: once.
    sign_file(&port.gateway, "one.json", &["ben"]);
    assert_eq!(act(&port.gateway, "one.json").as_deref(), Ok(format!("{plate}\n").as_str()));
    assert!(act(&port.gateway, "one.json").unwrap_err().contains("carried out already"));
    port.gateway.stop();
    port.gateway.start().await;
    assert!(act(&port.gateway, "one.json").unwrap_err().contains("carried out already"), "after a restart");

    // Held for a case and released again; and all that is held on the plate.
    let carried_out = |file: &str, words: &[&str]| {
        paper(&port.gateway, file, words);
        sign_file(&port.gateway, file, &["ann", "ben"]);
        act(&port.gateway, file)
    };
    let hold = ["--case", "2026-118", "--authority", "court", "--until", &in_a_year()];
    let hold = [&["hold", &reference, &subject, "plate"][..], &hold].concat();
    let held = carried_out("hold.json", &hold).expect("two persons");
    assert!(held.starts_with("held for case 2026-118 until the end of "), "{held}");
    let released = carried_out("release.json", &["release", "2026-118"]).expect("two persons");
    assert_eq!(released, "released case 2026-118: 1 values\n");
    let again = carried_out("again.json", &["release", "2026-118"]).unwrap_err();
    assert!(again.contains("nothing is held for a case \"2026-118\""), "{again}");
    let subject_report = carried_out("subject.json", &["report", "subject", "--plate", &plate]).expect("two persons");
    assert!(subject_report.contains(": read by ") && subject_report.contains(" in lane-3"), "{subject_report}");
    let nobody = carried_out("nobody.json", &["report", "subject", "--plate", "00-NO-00"]).expect("two persons");
    assert_eq!(nobody, "0 entries in log and state\n");

    // Who, why and of what kind is in the log; what it was is not.
    let accesses = said(&port.gateway, &["report", "access"]).expect("a log");
    let of_reveal: Vec<&str> = accesses.lines().filter(|line| line.contains("revealed the plate")).collect();
    assert_eq!(of_reveal.len(), 1, "{accesses}");
    for words in ["ada and ann and ben (carried out by uid ", &reference, &subject, REASON] {
        assert!(of_reveal[0].contains(words), "{words:?} in {accesses}");
    }
    assert!(!accesses.contains(&plate), "{accesses}");
    for words in
        ["held the plate of ", "released what was held for case 2026-118", "listed all that is held on one plate"]
    {
        assert!(accesses.contains(words), "{words:?} in {accesses}");
    }
    assert!(accesses.contains(&format!("read the explanation of {reference}")), "{accesses}");
}

#[tokio::test]
async fn the_record_of_processing_names_streams_purposes_and_recipients() {
    let port = Port::new();
    let files = |file: &str| port.gateway.path(file).display().to_string();
    let report = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["report", "processing", "--site", &files("site.toml"), "--sharing", &files("sharing.toml")]);
        let said = command.args(more).output().expect("the binary runs");
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).expect("text")
    };
    let text = report(&[]);
    for words in ["number plates of vehicles, kept 28 days", "purpose ", "    to port-police of ", "destroyed"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).expect("JSON");
    assert_eq!(json["retention"]["identity"], 35);
    let streams = json["streams"].as_array().expect("streams");
    assert!(streams.iter().any(|stream| stream["class"] == "quasi-identity" && stream["kept_days"] == 28), "{json}");
    assert!(streams.iter().all(|stream| stream["sensor"] != "loop-b"), "a loop says of nobody who it was");
}

fn written(gateway: &Gateway, file: &str, reference: &str, subject: &str) {
    paper(gateway, file, &["reveal", reference, subject, "plate"]);
}

fn in_a_year() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(365 * 24)).strftime("%Y-%m-%d").to_string()
}

fn paper(gateway: &Gateway, file: &str, words: &[&str]) {
    let mut command = Command::new(binary());
    command.args(words).args(["--at", "gate-2", "--reason", REASON]);
    let made = command.arg("--out").arg(gateway.path(file)).output().expect("the binary runs");
    assert!(made.status.success(), "{made:?}");
}

fn act(gateway: &Gateway, file: &str) -> Result<String, String> {
    said(gateway, &["act", &gateway.path(file).display().to_string()])
}

fn said(gateway: &Gateway, arguments: &[&str]) -> Result<String, String> {
    let said = gateway.ask(arguments);
    match said.status.success() {
        true => Ok(String::from_utf8_lossy(&said.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
    }
}
