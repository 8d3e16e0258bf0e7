//! One truck lane and who may know of it.

use quaywatch_tests::{gateway::Gateway, modbus::Modbus, mosquitto::Mosquitto};
use serde_json::json;

/// A lane with a PLC, a rear camera over MQTT and a wind sensor that only says numbers.
pub fn site(broker: u16, plc: u16) -> String {
    format!(
        r#"
[site]
locode = "NLRTM"
id = "gate-2"
timezone = "Europe/Amsterdam"
status = "test"
[operations]
listen = "off"
[zones.lane-3]
name = "Gate 2, lane 3, inbound"
kind = "lane"
direction = "in"
length = "22 m"
[lines.plc]
modbus_tcp = "127.0.0.1:{plc}"
unit = 1
every = "50 ms"
[lines.broker]
mqtt = "mqtt://127.0.0.1:{broker}"
[sensors]
loop-a = {{ zone = "lane-3", role = "loop.approach", at = "-4 m", line = "plc", discrete = 0 }}
loop-b = {{ zone = "lane-3", role = "loop.exit", at = "20 m", line = "plc", discrete = 1 }}
arm    = {{ zone = "lane-3", role = "barrier.open", at = "0 m", line = "plc", discrete = 2 }}
grant  = {{ zone = "lane-3", role = "grant", line = "plc", holding = 10, type = "u16" }}
rear   = {{ zone = "lane-3", role = "plate.rear", line = "broker", frigate = "lane3_rear", domain = "switch-3" }}
mast   = {{ zone = "lane-3", role = "wind.speed", line = "broker", topic = "port/wind", value = "/speed", id = "/n", unit = "m/s" }}
[rules.passage]
mode = "tell"
[rules.tailgating]
zones = ["lane-3"]
mode = "tell"
"#
    )
}

/// The port police see everything and send receipts; the gate desk sees operations and masked plates.
pub fn sharing(broker: u16) -> String {
    format!(
        r#"
[marking]
owner = "acme-terminal"
tlp = "AMBER"
releasable_to = ["port-police", "acme-terminal"]
purpose = "port-facility-security"
[groups.gate-2-watch]
organisations = ["port-police", "acme-terminal"]
[recipients.port-police]
organisation = "port-police"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["*"]
fields = {{ operational = "show", quasi-identity = "show", identity = "pseudonym", media = "show", method = "show" }}
upstream = {{ mqtt = "mqtt://127.0.0.1:{broker}", topic = "qw/{{site}}/{{recipient}}", confirm = "receipt" }}
[recipients.gate-desk]
organisation = "acme-terminal"
clearance = "AMBER"
purposes = ["port-facility-security"]
zones = ["lane-3"]
kinds = ["gate.*", "sensor.*"]
fields = {{ operational = "show", quasi-identity = "mask" }}
upstream = {{ mqtt = "mqtt://127.0.0.1:{broker}", topic = "qw/{{site}}/{{recipient}}", confirm = "transport" }}
"#
    )
}

/// A port with everything running but the gateway.
pub struct Port {
    pub broker: Mosquitto,
    pub plc: Modbus,
    pub gateway: Gateway,
}

impl Port {
    pub fn new() -> Self {
        let broker = Mosquitto::start();
        let plc = Modbus::start(&[1]);
        let gateway = Gateway::new(&site(broker.port, plc.port), &sharing(broker.port), &[]);
        Self { broker, plc, gateway }
    }

    /// Sets one of the lane's contacts: 0 first loop, 1 second loop, 2 arm.
    pub fn contact(&mut self, address: u16, closed: bool) {
        self.plc.set(json!({ "unit": 1, "discrete": { address.to_string(): closed } }));
    }

    /// Counts one more grant.
    pub fn grant(&mut self, total: u16) {
        self.plc.set(json!({ "unit": 1, "holding": { "10": total } }));
    }
}

/// A Frigate event with a plate, as Frigate 0.16 sends it; the plate is fictional.
pub fn plate_event(id: &str, plate: &str, at: f64) -> String {
    let state = json!({
        "id": id, "camera": "lane3_rear", "frame_time": at, "label": "truck", "sub_label": null, "top_score": 0.9,
        "false_positive": false, "start_time": at, "end_time": null, "score": 0.88, "box": [10, 10, 200, 200],
        "area": 36100, "current_zones": ["lane_3"], "entered_zones": ["lane_3"], "active": true, "stationary": false,
        "recognized_license_plate": plate, "recognized_license_plate_score": 0.91
    });
    json!({ "type": "new", "before": state, "after": state }).to_string()
}

/// Unix seconds now.
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// One truck through the lane, with its grant, at a brisk walking pace.
pub async fn drive_through(port: &mut Port, total_grants: u16) {
    let step = |ms| tokio::time::sleep(std::time::Duration::from_millis(ms));
    port.contact(0, true);
    step(200).await;
    port.grant(total_grants);
    step(150).await;
    port.contact(2, true);
    step(400).await;
    port.contact(0, false);
    port.contact(1, true);
    step(400).await;
    port.contact(1, false);
    step(200).await;
    port.contact(2, false);
    step(200).await;
}
