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

impl Modbus {
    /// Starts a device with these unit ids; 200 registers and 256 bits in each area, all zero.
    pub fn start(units: &[u8]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/modbus_server.py");
        let mut child = Command::new(python())
            .arg(script)
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

    /// Sets values: `{"unit": 1, "discrete": {"0": true}, "holding": {"10": 7}}`. Returns when they are set.
    pub fn set(&mut self, values: serde_json::Value) {
        writeln!(self.input, "{values}").expect("the device lives");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the device answers");
        assert_eq!(line.trim(), "set");
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
