//! The site file and the sharing file that go with the simulated port, and the secrets they name.

use std::fmt::Write;

/// Where the port's devices are and where the gateway is to listen: ports on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The MQTT broker.
    pub broker: u16,
    /// The Modbus TCP endpoint.
    pub plc: u16,
    /// The gate desk's system.
    pub desk: u16,
    /// Where the gateway takes webhooks.
    pub hooks: u16,
    /// Where the gateway takes nodes.
    pub nodes: u16,
    /// Where the gateway takes answers.
    pub answers: u16,
}

impl Ports {
    /// For files that are read rather than run: the usual ports, where there are some.
    pub const USUAL: Self = Self { broker: 1883, plc: 1502, desk: 8081, hooks: 8080, nodes: 7007, answers: 8082 };
}

/// The site file.
pub fn site(ports: Ports) -> String {
    filled(include_str!("site.toml"), ports)
}

/// The sharing file.
pub fn sharing(ports: Ports) -> String {
    filled(include_str!("sharing.toml"), ports)
}

/// The topic the port police's products arrive below.
pub const POLICE_TOPIC: &str = "qw/demo-port/port-police";

/// The port's time zone.
pub const TIMEZONE: &str = "Europe/Amsterdam";

/// The secrets of one demonstration, drawn anew for each.
#[derive(Clone)]
pub struct Secrets {
    /// Keys of nodes 1 and 2.
    pub node_keys: [[u8; 32]; 2],
    /// Tokens of the rear cameras of lanes 1 to 3.
    pub rear_tokens: [String; 3],
    /// Token of the booking system.
    pub bookings_token: String,
    /// What the gateway proves itself with at the gate desk's system.
    pub desk_bearer: String,
    /// What the gate desk's system proves itself with when it answers.
    pub desk_answers: String,
}

impl Secrets {
    /// Draws them.
    pub fn draw() -> Result<Self, getrandom::Error> {
        Ok(Self {
            node_keys: [bytes()?, bytes()?],
            rear_tokens: [token()?, token()?, token()?],
            bookings_token: token()?,
            desk_bearer: token()?,
            desk_answers: token()?,
        })
    }

    /// File names and contents for the credentials folder.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        vec![
            ("node-1", hex(&self.node_keys[0])),
            ("node-2", hex(&self.node_keys[1])),
            ("rear-1", self.rear_tokens[0].clone()),
            ("rear-2", self.rear_tokens[1].clone()),
            ("rear-3", self.rear_tokens[2].clone()),
            ("bookings", self.bookings_token.clone()),
            ("desk", self.desk_bearer.clone()),
            ("desk-answers", self.desk_answers.clone()),
        ]
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

fn filled(file: &str, ports: Ports) -> String {
    let Ports { broker, plc, desk, hooks, nodes, answers } = ports;
    [("broker", broker), ("plc", plc), ("desk", desk), ("hooks", hooks), ("nodes", nodes), ("answers", answers)]
        .iter()
        .fold(file.to_owned(), |file, (name, port)| file.replace(&format!("{{{name}}}"), &port.to_string()))
}

fn bytes() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn token() -> Result<String, getrandom::Error> {
    Ok(hex(&bytes()?[..16]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_for_a_port_is_filled_and_nothing_else_is_touched() {
        let files = [site(Ports::USUAL), sharing(Ports::USUAL)].concat();
        for filled in
            ["127.0.0.1:1883", "127.0.0.1:1502", "127.0.0.1:8080", "127.0.0.1:7007", "127.0.0.1:8081/quaywatch"]
        {
            assert!(files.contains(filled), "{filled}");
        }
        for place in ["{broker}", "{plc}", "{hooks}", "{nodes}", "{desk}", "{answers}"] {
            assert!(!files.contains(place), "{place}");
        }
        assert!(files.contains(&format!("timezone = \"{TIMEZONE}\"")));
        assert!(files.contains("qw/{site}/{recipient}") && files.contains("cam={camera}&from={from}"));
    }

    #[test]
    fn every_secret_the_files_name_is_drawn_and_none_is_printed() {
        let secrets = Secrets::draw().unwrap();
        let files = [site(Ports::USUAL), sharing(Ports::USUAL)].concat();
        let named: std::collections::BTreeSet<&str> = files
            .match_indices("credential:")
            .filter_map(|(at, found)| files[at + found.len()..].split('"').next())
            .collect();
        let drawn: Vec<&str> = secrets.files().iter().map(|(name, _)| *name).collect();
        for name in &named {
            assert!(drawn.contains(name), "{name}");
        }
        assert!(named.len() >= 6);
        assert_eq!(format!("{secrets:?}"), "Secrets");
        assert_eq!(secrets.files()[0].1.len(), 64);
    }
}
