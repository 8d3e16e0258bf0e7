//! Who is told is changed by two persons who sign, and by nobody else.

use crate::site::{Port, sharing};
use quaywatch_tests::gateway::{Gateway, binary};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

/// Makes a person's key; what the sharing file says of them.
pub(crate) fn person(gateway: &Gateway, name: &str, department: &str, role: &str) -> String {
    let key = gateway.path(&format!("{name}.key"));
    let made = Command::new(binary()).args(["sign", "--new-key"]).arg(&key).output().expect("the binary runs");
    assert!(made.status.success(), "{made:?}");
    let public = String::from_utf8(made.stdout).expect("digits");
    let public = public.trim();
    format!("[persons.{name}]\ndepartment = \"{department}\"\nroles = [\"{role}\"]\nkey = \"{public}\"\n")
}

/// Signs the sharing file as it is now.
fn sign(gateway: &Gateway, names: &[&str]) {
    sign_file(gateway, "sharing.toml", names);
}

/// Signs a file as it is now.
pub(crate) fn sign_file(gateway: &Gateway, file: &str, names: &[&str]) {
    for name in names {
        let key = gateway.path(&format!("{name}.key"));
        let mut command = Command::new(binary());
        command.arg("sign").arg(gateway.path(file)).args(["--as", name, "--key"]).arg(key);
        let signed = command.output().expect("the binary runs");
        assert!(signed.status.success(), "{signed:?}");
    }
}

/// Puts a file in the place of the sharing file, without any signature.
fn put(gateway: &Gateway, text: &str) {
    fs::write(gateway.path("sharing.toml"), text).expect("ours");
    let _ = fs::remove_file(signatures(gateway));
}

fn signatures(gateway: &Gateway) -> PathBuf {
    quaywatch::config::signatures_of(&gateway.path("sharing.toml"))
}

/// What a reload comes to.
fn reload(gateway: &Gateway) -> Result<(), String> {
    let said = gateway.ask(&["reload"]);
    if said.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said.stderr).into_owned()) }
}

fn health(gateway: &Gateway) -> Value {
    serde_json::from_slice(&gateway.ask(&["status", "--json"]).stdout).expect("the gateway says how it is")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_is_changed_by_two_who_sign_and_by_nobody_else() {
    let mut port = Port::new();
    port.gateway.start().await;
    assert_eq!(health(&port.gateway)["sharing"], "unsigned");
    let base = sharing(port.broker.port);
    let officers = [
        person(&port.gateway, "ada", "port-security", "pfso"),
        person(&port.gateway, "ben", "legal", "data-protection-officer"),
        person(&port.gateway, "cleo", "terminal", "shift-supervisor"),
    ]
    .concat();
    let issue = |issue: u32, text: &str| format!("{text}\n[file]\nissue = {issue}\n{officers}");

    // The first file with persons in it is signed by two of them; one is not enough.
    put(&port.gateway, &issue(1, &base));
    sign(&port.gateway, &["ada"]);
    let alone = reload(&port.gateway).unwrap_err();
    assert!(alone.contains("only ada signed") && alone.contains("quaywatch sign"), "{alone}");
    sign(&port.gateway, &["ben"]);
    assert_eq!(reload(&port.gateway), Ok(()));
    assert_eq!(health(&port.gateway)["sharing"], "signed by ada and ben");

    // From now on: no file without signatures, none that was changed after it was signed, none signed by persons it names
    // itself, no old one.
    let first = issue(1, &base);
    let first_signed = fs::read(signatures(&port.gateway)).expect("there");
    let wider = base.replace("zones = [\"lane-3\"]", "zones = [\"*\"]");
    put(&port.gateway, &wider);
    let unsigned = reload(&port.gateway).unwrap_err();
    assert!(unsigned.contains("in force is signed and this one is not"), "{unsigned}");
    put(&port.gateway, &issue(2, &base));
    sign(&port.gateway, &["ada", "cleo"]);
    let signed = fs::read(signatures(&port.gateway)).expect("there");
    put(&port.gateway, &issue(2, &wider));
    fs::write(signatures(&port.gateway), &signed).expect("ours");
    let changed = reload(&port.gateway).unwrap_err();
    assert!(changed.contains("ada's signature is not on this text"), "{changed}");
    let strangers =
        [person(&port.gateway, "mal", "port-security", "pfso"), person(&port.gateway, "moe", "legal", "pfso")];
    put(&port.gateway, &format!("{wider}\n[file]\nissue = 3\n{}", strangers.concat()));
    sign(&port.gateway, &["mal", "moe"]);
    let coup = reload(&port.gateway).unwrap_err();
    assert!(coup.contains("mal is nobody who may sign"), "{coup}");
    assert_eq!(health(&port.gateway)["sharing"], "signed by ada and ben", "what was in force still is");

    put(&port.gateway, &issue(2, &wider));
    sign(&port.gateway, &["cleo", "ada"]);
    assert_eq!(reload(&port.gateway), Ok(()));
    put(&port.gateway, &first);
    fs::write(signatures(&port.gateway), &first_signed).expect("ours");
    let old = reload(&port.gateway).unwrap_err();
    assert!(old.contains("its issue is 1, and 2 is in force"), "{old}");

    // Swapped while the gateway is down: it starts with the file that was taken last, and says so.
    port.gateway.stop();
    put(&port.gateway, &format!("{base}\n[file]\nissue = 9\n{}", strangers.concat()));
    sign(&port.gateway, &["mal", "moe"]);
    port.gateway.start().await;
    let now = health(&port.gateway);
    assert_eq!(now["sharing"], "signed by ada and cleo");
    let why = now["parts"]["sharing file"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("is not taken") && why.contains("mal is nobody who may sign"), "{now}");
    port.gateway.stop();
    let log = quaywatch::ledger::read_log(&port.gateway.path("state")).expect("whole");
    let applied = log.filter_map(|record| match record.expect("reads").record {
        quaywatch_schemas::Record::Control(quaywatch_schemas::Control::PolicyApplied { policy, .. }) => Some(policy),
        _ => None,
    });
    let signers: Vec<usize> = applied.map(|policy| policy.signed_by.len()).collect();
    assert_eq!(signers, [0, 2, 2, 2], "unsigned, issue 1, issue 2, and issue 2 again");
}
