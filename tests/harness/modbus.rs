//! A Modbus TCP device made of pymodbus: an implementation that is not ours.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A running device.
pub struct Modbus {
    /// Where it listens on loopback.
    pub port: u16,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a device was asked.
#[derive(Debug, serde::Deserialize)]
pub struct Asked {
    /// Unit, function code, address and count of each request; for bits the count is of the words they are in.
    pub asked: Vec<(u8, u8, u16, u16)>,
    /// Connections it has now.
    pub connections: i32,
}

impl Modbus {
    /// Starts a device with these unit ids; 200 registers and 256 bits in each area, all zero.
    pub fn start(units: &[u8]) -> Self {
        Self::start_at(0, units)
    }

    /// The same at this port, for a device that comes back; 0 for a free one.
    pub fn start_at(port: u16, units: &[u8]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/modbus_server.py");
        let mut child = Command::new(python())
            .arg(script)
            .arg(port.to_string())
            .args(units.iter().map(u8::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; `tests/run install` installs pymodbus", python()));
        let input = child.stdin.take().expect("asked for");
        let mut output = BufReader::new(child.stdout.take().expect("asked for"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the device says its port");
        let port = line.trim().strip_prefix("port ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the device said {line:?}; `tests/run install` installs pymodbus"));
        Self { port, child, input, output }
    }

    /// Sets values: `{"unit": 1, "discrete": {"0": true}, "holding": {"10": 7}}`, or how a unit behaves from now on:
    /// `{"unit": 1, "behaves": {"missing": [5]}}` (`modbus_server.py` lists what it can do). Returns when it is set.
    pub fn set(&mut self, values: serde_json::Value) {
        assert_eq!(self.told(&values), "set");
    }

    /// What it was asked since this was called last, and how many connections it has.
    pub fn asked(&mut self) -> Asked {
        let answer = self.told(&serde_json::json!({ "asked": true }));
        serde_json::from_str(&answer).expect("the device says what it was asked")
    }

    fn told(&mut self, what: &serde_json::Value) -> String {
        writeln!(self.input, "{what}").expect("the device lives");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the device answers");
        line.trim().to_owned()
    }
}

impl Drop for Modbus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> String {
    std::env::var("QUAYWATCH_PYTHON").unwrap_or_else(|_| {
        let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tests-venv/bin/python");
        if venv.exists() { venv.display().to_string() } else { "python3".into() }
    })
}
