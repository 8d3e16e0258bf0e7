//! Files that are in order, and what becomes of them.

use super::{SITE, sharing, site};
use crate::config::{load_sharing, load_site, wire};
use std::path::PathBuf;

/// The style in which the two files are written; a lane with one of everything.
const STYLE_SITE: &str = r#"#:schema site.schema.json
[site]
locode = "NLRTM"
id = "gate-2"                             # the box may be replaced; the site id stays
timezone = "Europe/Amsterdam"
status = "actual"
[zones.lane-3]
name = "Gate 2, lane 3, inbound"
kind = "lane"
direction = "in"
length = "22 m"
media = "https://vms.acme.lan/export?cam={camera}&from={from}&to={to}"
[lines.plc]
modbus_tcp = "10.20.3.11:502"
unit = 1
every = "50 ms"
[lines.scale]
modbus_rtu = "/dev/serial/by-path/platform-rs485-0"
serial = "19200 8N1"
unit = 4
every = "250 ms"
whole_blocks = true
[lines.broker]
mqtt = "mqtts://10.20.3.2:8883"
user = "quaywatch"
password = "credential:broker"
[lines.hooks]
http_listen = "10.20.3.1:8443"
[lines.cabinet]
node_serial = "/dev/serial/by-path/platform-rs485-1"
[nodes.7]
key = "credential:node-7"
[sensors]
loop-a  = { zone = "lane-3", role = "loop.approach", at = "-4 m", line = "plc", discrete = 0 }
loop-b  = { zone = "lane-3", role = "loop.exit", at = "20 m", line = "plc", discrete = 1 }
arm     = { zone = "lane-3", role = "barrier.open", at = "0 m", line = "plc", discrete = 2 }
grant   = { zone = "lane-3", role = "grant", line = "plc", holding = 10, type = "u16" }
scale   = { zone = "lane-3", role = "weight.gross", line = "scale", holding = 0, type = "i32", order = "CDAB", scale_register = 2, unit = "kg", valid_when = { register = 3, bit = 0 }, range = [0, 80000] }
front   = { zone = "lane-3", role = "plate.front", line = "broker", frigate = "gate2_lane3_front", domain = "switch-3" }
rear    = { zone = "lane-3", role = "plate.rear", line = "hooks", platerecognizer = "lane3-rear", token = "credential:rear", domain = "switch-3" }
walker  = { zone = "lane-3", role = "pedestrian", line = "cabinet", node = 7, channel = "pir" }
door    = { zone = "lane-3", role = "cabinet.tamper", line = "cabinet", node = 7, channel = "tamper" }
[rules.tailgating]
zones = ["lane-3"]
mode = "tell"
"#;
