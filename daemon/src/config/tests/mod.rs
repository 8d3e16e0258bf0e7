//! Whole files: good ones and what they become, bad ones and where it says so.

mod faults;
mod good;
mod patterns;

use super::{Problems, SharingFile, SiteFile, findings::Source, sharing, site};

/// What is in front of every site here: two zones, one line of each kind, two nodes.
const SITE: &str = r#"
[site]
locode = "NLRTM"
id = "gate-2"
timezone = "Europe/Amsterdam"
[zones.lane-3]
name = "Gate 2, lane 3, inbound"
kind = "lane"
[zones.quay-1]
name = "Quay 1"
kind = "quay"
closed = "always"
[lines.plc]
modbus_tcp = "10.20.3.11:502"
[lines.bus]
modbus_rtu = "/dev/ttyS0"
serial = "19200 8N1"
unit = 4
[lines.broker]
mqtt = "mqtt://10.20.3.2"
[lines.hooks]
http_listen = "10.20.3.1:8443"
[lines.text]
serial_text = "/dev/ttyS1"
serial = "9600 7E1"
[lines.cabinet]
node_serial = "/dev/ttyS2"
[nodes.7]
key = "credential:node-7"
"#;

fn site(text: &str) -> Result<SiteFile, Problems> {
    let now = "2026-03-14T02:12:04Z".parse().expect("a time");
    site::parse(Source::new("site.toml", text.into()), now)
}

fn sharing(text: &str, site: &SiteFile) -> Result<SharingFile, Problems> {
    sharing::parse(Source::new("sharing.toml", text.into()), site, Vec::new())
}
