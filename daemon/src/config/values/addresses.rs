//! Where things are: hosts, brokers, ports, files, topics; and the names of secrets.

use super::texts;
use crate::config::written::{Fault, Value, not};
use quaywatch_drivers::serial::{Parity, Port};
use schemars::{Schema, SchemaGenerator};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// An address of this box and a port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Listen(pub(in crate::config) SocketAddr);

/// Another machine and, if it was written, its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct HostPort {
    pub(in crate::config) host: String,
    pub(in crate::config) port: Option<u16>,
}

/// An MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct MqttUrl {
    pub(in crate::config) host: String,
    pub(in crate::config) port: u16,
    pub(in crate::config) tls: bool,
}

/// An HTTP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct HttpUrl {
    pub(in crate::config) url: String,
    pub(in crate::config) tls: bool,
}

/// `"19200 8N1"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct SerialSettings {
    baud: u32,
    data_bits: u8,
    parity: Parity,
    stop_bits: u8,
}

/// The name of a secret; the secret itself is in a file of that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Credential(pub(in crate::config) String);

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct FilePath(pub(in crate::config) PathBuf);

/// An MQTT topic filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct TopicFilter(pub(in crate::config) String);

impl Value for Listen {
    const EXPECTED: &'static str = "an address and port of this box such as \"10.20.3.1:8443\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let help = "write the IP address the others reach this box at and a port: \"10.20.3.1:8443\"; \
                    \"0.0.0.0:8443\" is every address";
        let address: SocketAddr = text.parse().map_err(|_| not::<Self>(text, help))?;
        if address.port() == 0 {
            return Err(not::<Self>(text, "name the port, 1 to 65535: whoever sends must know it"));
        }
        Ok(Self(address))
    }

    fn integer(port: i64) -> Result<Self, Fault> {
        Err(Fault::new(
            format!("{port} is not {}", Self::EXPECTED),
            format!("write the address too: \"0.0.0.0:{port}\""),
        ))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^.+:[0-9]+$")
    }
}

impl Value for HostPort {
    const EXPECTED: &'static str = "a host and port such as \"10.20.3.11:502\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text.contains("://") {
            return Err(not::<Self>(text, "leave out what is before ://"));
        }
        let (host, port) = host_and_port(text).ok_or_else(|| not::<Self>(text, format!("write {}", Self::EXPECTED)))?;
        Ok(Self { host, port })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[^/ ]+$")
    }
}

impl Value for MqttUrl {
    const EXPECTED: &'static str = "a broker such as \"mqtts://10.20.3.2:8883\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtts", rest)) => (true, rest),
            Some(("mqtt", rest)) => (false, rest),
            _ => {
                return Err(not::<Self>(
                    text,
                    "it starts with mqtts:// (TLS) or mqtt:// (plain, for a network of its own)",
                ));
            }
        };
        no_login::<Self>(rest)?;
        let found = host_and_port(rest.trim_end_matches('/'));
        let (host, port) = found
            .ok_or_else(|| not::<Self>(text, format!("write {}; topics have keys of their own", Self::EXPECTED)))?;
        Ok(Self { host, port: port.unwrap_or(if tls { 8883 } else { 1883 }), tls })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^mqtts?://[^@/]+/?$")
    }
}

impl Value for HttpUrl {
    const EXPECTED: &'static str = "an address such as \"https://tos.example/quaywatch\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(not::<Self>(text, "it starts with https:// (or http://, for a network of its own)")),
        };
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        no_login::<Self>(authority)?;
        let printable = path.chars().all(|letter| letter.is_ascii_graphic());
        if host_and_port(authority).is_none() || !printable || path.contains('#') {
            return Err(not::<Self>(text, format!("write {}", Self::EXPECTED)));
        }
        Ok(Self { url: text.into(), tls })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^https?://[^@ ]+$")
    }
}

impl Value for SerialSettings {
    const EXPECTED: &'static str = "serial settings such as \"19200 8N1\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let fault = |help: &str| not::<Self>(text, help);
        let (baud, frame) =
            text.trim().split_once(' ').ok_or_else(|| fault("write the speed, a blank and the frame"))?;
        let baud = baud.parse().ok().filter(|baud| (300..=4_000_000).contains(baud));
        let baud = baud.ok_or_else(|| fault("the speed is in bits per second, 300 to 4000000"))?;
        let frame: Vec<char> = frame.trim().to_ascii_uppercase().chars().collect();
        let [data @ '5'..='8', parity @ ('N' | 'E' | 'O'), stop @ ('1' | '2')] = frame[..] else {
            return Err(fault("the frame is data bits 5 to 8, parity N, E or O, stop bits 1 or 2: 8N1, 8E1, 7E2"));
        };
        let parity = match parity {
            'E' => Parity::Even,
            'O' => Parity::Odd,
            _ => Parity::None,
        };
        Ok(Self { baud, data_bits: data as u8 - b'0', parity, stop_bits: stop as u8 - b'0' })
    }

    fn integer(baud: i64) -> Result<Self, Fault> {
        Err(Fault::new(format!("{baud} is not {}", Self::EXPECTED), format!("write the frame too: \"{baud} 8N1\"")))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[0-9]+ +[5-8][NEOneo][12]$")
    }
}

impl SerialSettings {
    pub(in crate::config) fn port(self, path: PathBuf) -> Port {
        let Self { baud, data_bits, parity, stop_bits } = self;
        Port { path, baud, data_bits, parity, stop_bits }
    }
}

impl Value for Credential {
    const EXPECTED: &'static str = "a credential such as \"credential:broker\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let Some(name) = text.strip_prefix("credential:") else {
            // The text may be the secret itself: it is never repeated.
            return Err(Fault::new(
                "a secret does not belong into this file",
                "write \"credential:NAME\" and put the secret into the file NAME of the credentials folder\n\
                 (/etc/quaywatch/credentials, mode 0600); if this file was shared, change the secret",
            ));
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(letters) {
            return Err(not::<Self>(text, "NAME has 1 to 64 letters, digits, hyphens, dots and underscores"));
        }
        Ok(Self(name.into()))
    }

    fn integer(_: i64) -> Result<Self, Fault> {
        Self::text("")
    }

    fn float(_: f64) -> Result<Self, Fault> {
        Self::text("")
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^credential:[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
    }
}

impl Value for FilePath {
    const EXPECTED: &'static str = "an absolute path such as \"/etc/quaywatch/ca.pem\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if !text.starts_with('/') || text.contains('\0') {
            return Err(not::<Self>(text, "start it with a slash: the gateway has no folder of its own to start from"));
        }
        Ok(Self(text.into()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^/")
    }
}

impl Value for TopicFilter {
    const EXPECTED: &'static str = "an MQTT topic such as \"port/berth-1/wind\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > 1024 || text.contains(['\0', '\n']) || text.starts_with('$') {
            return Err(not::<Self>(text, "a topic has 1 to 1024 letters and does not start with $"));
        }
        let levels: Vec<&str> = text.split('/').collect();
        let last = levels.len() - 1;
        let good = levels.iter().enumerate().all(|(index, level)| match *level {
            "#" => index == last,
            "+" => true,
            level => !level.contains(['#', '+']),
        });
        if !good {
            return Err(not::<Self>(
                text,
                "`+` stands for one whole level, `#` for all that follow and only at the end",
            ));
        }
        Ok(Self(text.into()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[^$].*$")
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // What looks like an IPv4 address must be one: 10.20.3.256 is no name.
    let digits = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let name = !host.is_empty() && host.len() <= 253 && host.bytes().all(letters) && !digits;
    (name || host.parse::<IpAddr>().is_ok()).then(|| (host.to_owned(), port))
}

/// A password inside an address would be printed with it.
fn no_login<T: Value>(authority: &str) -> Result<(), Fault> {
    if authority.contains('@') {
        return Err(Fault::new(
            format!("this is not {}: it holds a login", T::EXPECTED),
            "leave out what is before @; user and password have keys of their own",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_real_addresses() {
        for (text, host, port) in [
            ("10.20.3.11:502", "10.20.3.11", Some(502)),
            ("plc-3.lan", "plc-3.lan", None),
            ("[fe80::1]:502", "fe80::1", Some(502)),
            ("[::1]", "::1", None),
        ] {
            assert_eq!(HostPort::text(text), Ok(HostPort { host: host.into(), port }), "{text}");
        }
        for bad in ["", ":502", "10.20.3.256:502", "host:0", "host:99999", "a b", "tcp://a:1", "fe80::1", "[x]:1", "h:"]
        {
            assert!(HostPort::text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn brokers_have_their_usual_ports_and_no_login_inside() {
        assert_eq!(MqttUrl::text("mqtts://b"), Ok(MqttUrl { host: "b".into(), port: 8883, tls: true }));
        assert_eq!(MqttUrl::text("mqtt://b:1884/"), Ok(MqttUrl { host: "b".into(), port: 1884, tls: false }));
        let fault = MqttUrl::text("mqtts://me:hunter2@b").unwrap_err();
        assert!(!fault.what.contains("hunter2") && fault.help.contains("user and password"), "{fault:?}");
        assert!(MqttUrl::text("tcp://b").is_err() && MqttUrl::text("mqtt://b/topic").is_err());
        assert!(HttpUrl::text("https://tos.lan/x?y=1").is_ok() && HttpUrl::text("https://a b").is_err());
        assert!(HttpUrl::text("https://u:p@tos.lan/").is_err() && HttpUrl::text("tos.lan").is_err());
    }

    #[test]
    fn a_literal_secret_is_refused_and_never_repeated() {
        let fault = Credential::text("hunter2").unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"));
        assert!(Credential::text("credential:../shadow").is_err() && Credential::text("credential:").is_err());
        assert_eq!(Credential::text("credential:node-7"), Ok(Credential("node-7".into())));
    }

    #[test]
    fn serial_settings_and_topics_are_exact() {
        assert!(SerialSettings::text("19200 8N1").is_ok() && SerialSettings::text("9600 7e2").is_ok());
        for bad in ["19200", "19200 8N3", "8N1", "0 8N1", "19200 9N1", "19200 8N1 x"] {
            assert!(SerialSettings::text(bad).is_err(), "{bad}");
        }
        assert!(TopicFilter::text("a/+/b/#").is_ok());
        for bad in ["", "a#", "a/#/b", "a+/b", "$SYS/x"] {
            assert!(TopicFilter::text(bad).is_err(), "{bad}");
        }
        assert!(Listen::text("0.0.0.0:0").is_err() && Listen::text("localhost:80").is_err());
    }
}
