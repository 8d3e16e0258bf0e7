//! Nothing in the gateway can write to a device.

use std::{fs, path::Path};

/// Every place in these folders where tokio-modbus is used, with the text of the file.
fn users(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The simulator is a device, and is not in the packaged gateway.
        if path.is_dir() && !path.ends_with("simulator") {
            users(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("tokio_modbus::") {
                found.push((path.display().to_string(), text));
            }
        }
    }
}

#[test]
fn one_file_talks_modbus_and_it_can_only_ask() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["drivers/src", "daemon", "schemas/src", "firmware"] {
        users(&root.join(folder), &mut found);
    }
    let [(path, text)] = found.as_slice() else {
        panic!("tokio-modbus is used in {:?}", found.iter().map(|(path, _)| path).collect::<Vec<_>>());
    };
    assert!(path.ends_with("drivers/src/modbus/link.rs"), "{path}");
    let mut requests: Vec<&str> = text
        .match_indices("Request::")
        .map(|(at, _)| text[at..].split(|c: char| !c.is_alphanumeric() && c != ':').next().unwrap_or_default())
        .collect();
    requests.sort_unstable();
    requests.dedup();
    let reads = ["ReadCoils", "ReadDiscreteInputs", "ReadHoldingRegisters", "ReadInputRegisters"];
    assert_eq!(requests, reads.map(|read| format!("Request::{read}")));
    for forbidden in ["Write", "write_single", "write_multiple", "read_write", "masked", "prelude", "Custom"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}
