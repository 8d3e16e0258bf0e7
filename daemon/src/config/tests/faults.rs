//! Bad files: each fault is said at its line and column, with what to do, and does not hide another.

use super::{SITE, sharing, site};

/// Sensors in front of the one with the fault.
const MANY: usize = 200;
/// Stands in a test's text where the fault is.
const HERE: char = '▸';

/// A file whose last sensor, or whatever follows it, has a fault at [`HERE`].
fn after_many(last: &str) -> (String, usize, usize) {
    let mut text = SITE.to_owned();
    text.push_str("[sensors]\n");
    for n in 0..MANY {
        text.push_str(&format!(
            "loop-{n} = {{ zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = {n} }}\n"
        ));
    }
    text.push_str(last);
    placed(&text)
}

/// The text without the mark, and the line and column where it was.
pub(super) fn placed(text: &str) -> (String, usize, usize) {
    let at = text.find(HERE).expect("a mark");
    let line = text[..at].matches('\n').count() + 1;
    let column = text[..at].chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    (text.replace(HERE, ""), line, column)
}

/// One fault: where ([`HERE`]), what is said, what is to be done.
pub(super) type Case = (&'static str, &'static str, &'static str);

pub(super) fn each_is_said_at_its_place(
    cases: &[Case],
    said: impl Fn(&str) -> Vec<String>,
    build: impl Fn(&str) -> (String, usize, usize),
) {
    let mut wrong = Vec::new();
    for (fault, what, help) in cases {
        let (text, line, column) = build(fault);
        let problems = said(&text);
        let good = problems.len() == 1 && {
            let (first, rest) = problems[0].split_once('\n').expect("several lines");
            let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            first.contains(&format!(".toml:{line}:{column}: "))
                && first.contains(what)
                && rest.contains("= help:")
                && rest.contains(help)
        };
        if !good {
            let said = problems.join("\n");
            wrong.push(format!("{fault}\nexpected {line}:{column}, {what:?}, {help:?}; said\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

fn of_site(text: &str) -> Vec<String> {
    site(text).err().map(|problems| problems.0).unwrap_or_default()
}

#[test]
fn a_fault_in_the_last_of_many_sensors_is_said_at_its_line_and_column() {
    let cases: &[Case] = &[
        // A value of every type.
        (
            "x = { zone = \"lane-3\", role = \"wind.speed\", line = \"plc\", holding = 1, type = \"u16\", heartbeat = ▸\"60\" }",
            "\"60\" is not a duration",
            "\"60 ms\", \"60 s\"",
        ),
        (
            "x = { zone = \"lane-3\", role = \"wind.speed\", line = \"plc\", holding = 1, type = \"u16\", heartbeat = ▸60 }",
            "60 has no unit",
            "\"60 ms\"",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", at = ▸\"20\", line = \"plc\", discrete = 1 }",
            "\"20\" is not a length",
            "m, cm, mm",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", at = ▸20, line = \"plc\", discrete = 1 }",
            "20 has no unit",
            "\"22 m\"",
        ),
        (
            "x = { zone = \"lane-3\", role = ▸\"loop.exot\", line = \"plc\", discrete = 1 }",
            "no role \"loop.exot\"",
            "did you mean `loop.exit`?",
        ),
        ("x = { zone = \"lane-3\", role = ▸7, line = \"plc\", discrete = 1 }", "7 is not a role", "loop.exit"),
        (
            "x = { zone = \"lane-3\", role = \"grant\", line = \"plc\", holding = 1, type = ▸\"u17\" }",
            "no number type \"u17\"",
            "did you mean `u16`?",
        ),
        (
            "x = { zone = \"lane-3\", role = \"grant\", line = \"plc\", holding = 1, type = \"u32\", order = ▸\"CBAD\" }",
            "no byte order \"CBAD\"",
            "ABCD",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = ▸70000 }",
            "there is no address 70000",
            "0 to 65535",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = ▸-1 }",
            "-1 is not a whole number",
            "0 to 4294967295",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = ▸1.5 }",
            "1.5 is not a whole number",
            "whole number",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = ▸99999999999999999999 }",
            "99999999999999999999",
            "whole number",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", holding = 1, bit = ▸16 }",
            "no bit 16",
            "0 to 15",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1, inverted = ▸\"true\" }",
            "\"true\" is not true or false",
            "without quotes",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", unit = ▸\"tons\" }",
            "no unit \"tons\"",
            "tonnes are \"t\"",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", unit = ▸\"kN\" }",
            "\"kN\" is no unit of mass",
            "\"kg\"",
        ),
        (
            "x = { zone = \"quay-1\", role = \"mooring.load\", line = \"plc\", holding = 1, type = \"i32\", unit = ▸\"t\" }",
            "\"t\" is no unit of force",
            "scale = 9.80665",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", range = ▸[9, 1] }",
            "this is no range",
            "[0, 80000]",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", range = [0, ▸\"9\"], offset = 1 }",
            "\"9\" is not a number",
            "0.5",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", offset = ▸nan }",
            "not a number to work with",
            "finite",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"text\", pattern = ▸'([0-9]+)' }",
            "where the value is",
            "(?<value>",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"text\", pattern = ▸'(?<value>[0-9]+' }",
            "not a regular expression",
            "'single quotes'",
        ),
        (
            "x = { zone = \"lane-3\", role = \"plate.rear\", line = \"hooks\", openalpr = \"c\", token = ▸\"hunter2\" }",
            "a secret does not belong into this file",
            "credential:NAME",
        ),
        (
            "x = { zone = \"lane-3\", role = \"plate.rear\", line = \"hooks\", openalpr = \"c\", token = ▸\"credential:a b\" }",
            "is not a credential",
            "letters, digits",
        ),
        (
            "x = { zone = \"lane-3\", role = \"wind.speed\", line = \"broker\", topic = \"wind\", value = ▸\"data.speed\" }",
            "is not a JSON pointer",
            "\"/data/speed\"",
        ),
        (
            "x = { zone = \"lane-3\", role = \"wind.speed\", line = \"broker\", topic = ▸\"a/#/b\" }",
            "is not an MQTT topic",
            "only at the end",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, rates = { detection = ▸1.5, false_alarm = 0.1 } }",
            "1.5 is not a share",
            "from 0 to 1",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, rates = ▸{ detection = 0.1, false_alarm = 0.5 } }",
            "not those of a sensor",
            "false_alarm < detection",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1, domain = ▸\"Switch 3\" }",
            "\"Switch 3\" is not a name",
            "lower-case",
        ),
        (
            "▸Loop_X = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }",
            "`sensors.Loop_X` cannot be called that",
            "lower-case",
        ),
        (
            "x = { zone = \"lane-3\", role = \"wind.speed\", line = \"broker\", topic = \"w\", kind = ▸\"plate\" }",
            "a message here is no plate",
            "for this role it is measure",
        ),
        // Places, views, clocks.
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, mount = ▸{ x = 5 } }",
            "`mount` has no `y`",
            "along the grid's y axis",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, mount = { x = 5, y = ▸\"5\" } }",
            "\"5\" is not a place on an axis",
            "write 5 without quotes",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, mount = { x = 5, y = 5, facing = ▸90 } }",
            "90 has no unit",
            "\"50 deg\"",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, mount = { x = 5, y = 5, ▸faceing = \"9 deg\" } }",
            "has no key `faceing`",
            "did you mean `facing`?",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, ▸view = { range = \"9 m\", half_angle = \"9 deg\" } }",
            "a sector begins where the sensor stands",
            "add mount",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, mount = { x = 0, y = 0 }, view = { range = \"9 m\", half_angle = ▸\"190 deg\" } }",
            "this is no half angle",
            "180 deg",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, view = [[0, 0], [4, 3], ▸[4, 0], [0, 3]] }",
            "this view crosses or touches itself here: at the edges from corners 1 and 3",
            "in order around it",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, view = ▸\"all\" }",
            "is not a view",
            "half_angle",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, clock = ▸\"ntp\" }",
            "no clock \"ntp\"",
            "synchronised",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, ▸leads = \"in\" }",
            "`leads` is for readers",
            "role = \"reader\"",
        ),
        (
            "▸x = { zone = \"quay-1\", role = \"radar\", line = \"broker\", topic = \"scans\" }",
            "gives distance and bearing, and nothing says from where",
            "positions = \"cartesian\"",
        ),
        (
            "x = { zone = \"quay-1\", role = \"radar\", line = \"broker\", topic = \"scans\", positions = ▸\"cartesien\" }",
            "no kind of positions \"cartesien\"",
            "did you mean `cartesian`?",
        ),
        (
            "x = { zone = \"quay-1\", role = \"radar\", line = \"broker\", topic = \"scans\", positions = \"cartesian\", ▸value = \"/a\" }",
            "`value` does not go with frames",
            "take it out",
        ),
        (
            "x = { zone = \"quay-1\", role = \"wind.speed\", line = \"broker\", topic = \"w\", ▸positions = \"polar\" }",
            "`positions` is for frames",
            "take it out",
        ),
        (
            "x = { zone = \"quay-1\", role = \"radar\", line = \"broker\", topic = \"scans\", positions = \"cartesian\", rates = { detection = 0.9, false_alarm = ▸300 } }",
            "300 is not a share",
            "up to 256",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", line = \"plc\", discrete = 1, rates = ▸{ detection = 0.9, false_alarm = 2 } }",
            "not those of a sensor",
            "false_alarm < detection",
        ),
        (
            "x = { zone = \"quay-1\", ▸role = \"ais\", line = \"broker\", topic = \"ais\" }",
            "vessels are heard over AIS",
            "ais_udp",
        ),
        // References to what is not there.
        (
            "x = { zone = ▸\"lane-4\", role = \"loop.exit\", line = \"plc\", discrete = 1 }",
            "there is no zone `lane-4`",
            "did you mean `lane-3`?",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = ▸\"pcl\", discrete = 1 }",
            "there is no line `pcl`",
            "did you mean `plc`?",
        ),
        (
            "x = { zone = \"lane-3\", role = \"pedestrian\", line = \"cabinet\", node = ▸8, channel = \"pir\" }",
            "there is no node 8",
            "[nodes.8]",
        ),
        (
            "x = { zone = \"lane-3\", role = \"pedestrian\", line = \"cabinet\", node = 7, channel = ▸\"pri\" }",
            "there is no channel \"pri\"",
            "did you mean `pir`?",
        ),
        // Keys that are unknown, missing or do not go together.
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", ▸discreet = 1, discrete = 1 }",
            "`sensors.x` has no key `discreet`",
            "did you mean `discrete`?",
        ),
        (
            "x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1, type = \"i32\", valid_when = { ▸registr = 3, bit = 0 } }",
            "has no key `registr`",
            "did you mean `register`?",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", ▸frigate = \"c\", discrete = 1 }",
            "`frigate` does not go with line `plc`, which is Modbus TCP",
            "an MQTT broker",
        ),
        (
            "x = { zone = \"lane-3\", role = \"plate.front\", line = \"broker\", frigate = \"c\", ▸value = \"/a\" }",
            "`value` does not go with `frigate`",
            "take it out",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1, ▸scale = 2 }",
            "`scale` is for registers",
            "take it out",
        ),
        (
            "x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1, ▸input = 3 }",
            "two addresses",
            "one place",
        ),
        (
            "▸x = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\" }",
            "`sensors.x` has no address",
            "discrete = N",
        ),
        ("▸x = { role = \"loop.exit\", line = \"plc\", discrete = 1 }", "`sensors.x` has no `zone`", "zone = \"NAME\""),
        ("▸x = { zone = \"lane-3\", line = \"plc\", discrete = 1 }", "`sensors.x` has no `role`", "loop.exit"),
        ("▸x = { zone = \"lane-3\", role = \"loop.exit\", discrete = 1 }", "`sensors.x` has no `line`", "[lines]"),
        (
            "▸x = { zone = \"lane-3\", role = \"weight.gross\", line = \"plc\", holding = 1 }",
            "does not say how its number is stored",
            "f64",
        ),
        (
            "▸x = { zone = \"lane-3\", role = \"plate.rear\", line = \"hooks\", openalpr = \"c\" }",
            "has no `token`",
            "credential:NAME",
        ),
        (
            "▸x = { zone = \"lane-3\", role = \"wind.speed\", line = \"broker\" }",
            "does not say what is read",
            "frigate",
        ),
        (
            "x = { zone = \"lane-3\", ▸role = \"weight.gross\", line = \"plc\", discrete = 1 }",
            "gives a contact, and this role needs a measure",
            "mend the role",
        ),
        (
            "x = { zone = \"lane-3\", ▸role = \"weight.gross\", line = \"broker\", frigate = \"c\" }",
            "a Frigate camera cannot have this role",
            "plate.rear",
        ),
        (
            "x = { zone = \"quay-1\", role = \"presence.pir\", at = ▸\"4 m\", line = \"plc\", discrete = 1 }",
            "this zone is no lane",
            "take `at` out",
        ),
        ("▸x = 5", "`sensors.x` is a table, not an integer", "x = { … }"),
        // Text that is no TOML at all.
        (
            "x = { zone = \"lane-3\", line = \"plc\", role = ▸loop.exit }",
            "this is not TOML: a text without quotes",
            "\"quotes\"",
        ),
        (
            "▸loop-7 = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }",
            "duplicate key",
            "once",
        ),
    ];
    each_is_said_at_its_place(cases, of_site, after_many);
}

#[test]
fn a_fault_in_what_surrounds_the_sensors_is_said_at_its_line_and_column() {
    let cases: &[Case] = &[
        // Zones.
        ("[zones.▸Lane-9]\nname = \"x\"\nkind = \"lane\"", "cannot be called that", "lower-case"),
        ("[zones.x]\nname = \"x\"\nkind = ▸\"lanes\"", "no kind of zone \"lanes\"", "did you mean `lane`?"),
        ("[zones.▸x]\nkind = \"lane\"", "`zones.x` has no `name`", "as people call it"),
        ("[zones.x]\nname = ▸\"\"\nkind = \"lane\"", "this text is empty", "1 to 1024"),
        ("[zones.x]\nname = \"x\"\nkind = \"quay\"\nclosed = ▸\"9-17\"", "is not closed hours", "21:00-05:30"),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\n▸length = \"5 m\"",
            "is no lane and has no length",
            "kind = \"lane\"",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\n▸direction = \"in\"",
            "is no lane, turnstile or gangway and has no direction",
            "mend `kind`",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"gangway\"\n▸length = \"9 m\"",
            "is no lane and has no length",
            "take `length` out",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\noutline = ▸[[0, 0], [1, 1]]",
            "2 corners make no outline",
            "3 to 256 corners",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\noutline = [[0, 0], ▸[1, 1, 1], [5, 0]]",
            "a corner is two numbers",
            "[12.5, -3]",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\noutline = [[0, 0], ▸[nan, 1], [5, 0]]",
            "NaN m is not in a site's grid",
            "metres",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\noutline = [[0, 0], [9, 0], [9, 9], ▸[0, 0]]",
            "names the same corner twice",
            "joined to the first by itself",
        ),
        (
            "[zones.x]\nname = \"x\"\nkind = \"quay\"\noutline = ▸[[0, 0], [0.01, 0], [0.01, 0.01]]",
            "this outline encloses nothing",
            "in metres",
        ),
        ("[zones.x]\nname = \"x\"\nkind = \"lane\"\nlength = ▸\"900 m\"", "no lane is this long", "500 m"),
        (
            "[zones.x]\nname = \"x\"\nkind = \"lane\"\nmedia = ▸\"https://v/{cam}\"",
            "nothing is filled in for {cam}",
            "{camera}",
        ),
        // Lines.
        ("[lines.▸x]\nevery = \"1 s\"", "does not say what it connects to", "modbus_tcp"),
        ("[lines.x]\nmqtt = \"mqtt://b\"\n▸http_listen = \"0.0.0.0:80\"", "two lines at once", "a name of its own"),
        ("[lines.x]\nmqtt = ▸\"tcp://b\"", "is not a broker", "mqtts://"),
        ("[lines.x]\nmqtt = ▸\"mqtt://me:secret@b\"", "it holds a login", "keys of their own"),
        ("[lines.x]\nmqtt = \"mqtt://b\"\n▸user = \"me\"", "a user and a password", "credential:NAME"),
        ("[lines.x]\nmqtt = \"mqtt://b\"\n▸ca = \"/ca.pem\"", "`ca` needs TLS", "mqtts://"),
        ("[lines.x]\nmqtt = \"mqtts://b\"\nca = ▸\"ca.pem\"", "is not an absolute path", "slash"),
        ("[lines.x]\nmodbus_tcp = ▸\"10.20.3.256\"", "is not a host and port", "10.20.3.11:502"),
        ("[lines.x]\nmodbus_tcp = \"p\"\nevery = ▸\"1 ms\"", "1ms is out of range", "\"10 ms\""),
        ("[lines.x]\nmodbus_tcp = \"p\"\n▸unit = 250", "unit 250 is reserved", "1 to 247"),
        ("[lines.x]\nmodbus_tcp = \"p\"\nunit = ▸300", "300 is not a whole number", "0 to 255"),
        ("[lines.x]\nmodbus_tcp = \"p\"\nbase = ▸2", "2 is out of range", "0 to 1"),
        (
            "[lines.x]\nmodbus_tcp = \"p\"\nblocks = [\"holding 0..5\", ▸\"holding 3..9\"]",
            "overlaps another",
            "in one block",
        ),
        ("[lines.x]\nmodbus_tcp = \"p\"\nblocks = [▸\"holding 5..5\"]", "is not a block", "the one after the last"),
        ("[lines.x]\nmodbus_tcp = \"p\"\n▸serial = \"9600 8N1\"", "`serial` does not go with modbus_tcp", "modbus_rtu"),
        ("[lines.▸x]\nmodbus_rtu = \"/dev/ttyS7\"", "`lines.x` has no `serial`", "19200 8N1"),
        (
            "[lines.x]\nmodbus_rtu = \"/dev/ttyS7\"\nserial = ▸\"9600\"",
            "is not serial settings",
            "a blank and the frame",
        ),
        (
            "[lines.x]\n▸modbus_rtu = \"/dev/ttyS0\"\nserial = \"9600 8N1\"",
            "`lines.bus` uses this port with other settings",
            "same `serial`",
        ),
        (
            "[lines.x]\n▸serial_text = \"/dev/ttyS2\"\nserial = \"9600 8N1\"",
            "`lines.cabinet` uses this port already",
            "one line",
        ),
        ("[lines.x]\nhttp_listen = ▸8443", "8443 is not an address", "\"0.0.0.0:8443\""),
        (
            "[lines.x]\n▸http_listen = \"10.20.3.1:8443\"",
            "`lines.hooks` listens on 10.20.3.1:8443 already",
            "another port",
        ),
        (
            "[lines.x]\n▸http_listen = \"127.0.0.1:9464\"",
            "`operations` listens on 127.0.0.1:9464 already",
            "another port",
        ),
        ("[lines.x]\nhttp_listen = \"0.0.0.0:1\"\n▸certificate = \"/c.pem\"", "belong together", "key = "),
        ("[lines.x]\nnode_connect = ▸\"host\"", "does not say which port", "HOST:PORT"),
        ("[lines.x]\nais_tcp = ▸\"host\"", "does not say which port", "HOST:PORT"),
        ("[lines.x]\nframes_udp = ▸9000", "9000 is not an address", "\"0.0.0.0:9000\""),
        (
            "[lines.x]\nais_serial = \"/dev/ttyS7\"\n▸every = \"1 s\"",
            "`every` does not go with ais_serial",
            "take it out",
        ),
        ("[lines.x]\n▸ais_serial = \"/dev/ttyS2\"", "`lines.cabinet` uses this port already", "one line"),
        (
            "[lines.x]\nais_udp = \"0.0.0.0:10110\"\n[lines.y]\n▸frames_udp = \"0.0.0.0:10110\"",
            "`lines.x` listens on 0.0.0.0:10110 already",
            "another port",
        ),
        // Nodes and references.
        ("[nodes.▸x]\nkey = \"credential:a\"", "cannot be called that", "number on the bus"),
        ("[references.▸x]\nkinds = [\"booking\"]", "does not say how it comes", "folder"),
        (
            "[references.x]\nfolder = \"/f\"\nkinds = [\"booking\", ▸\"bookings\"]",
            "no kind of reference \"bookings\"",
            "`booking`",
        ),
        ("[references.▸x]\nline = \"hooks\"", "has no `token`", "credential:NAME"),
        ("[references.x]\n▸line = \"plc\"", "which brings no references", "a webhook listener or a broker"),
        ("[references.x]\nfolder = \"/f\"\n▸token = \"credential:a\"", "does not go with a folder", "take it out"),
        // Rules.
        ("[rules.▸tail-gating]", "there is no table `rules.tail-gating`", "did you mean `tailgating`?"),
        ("[rules.tailgating]\nmode = ▸\"tel\"", "no mode \"tel\"", "did you mean `tell`?"),
        (
            "[rules.tailgating]\nzones = [▸\"quay-1\"]",
            "makes no sense in `quay-1`, which is a quay",
            "take the zone out",
        ),
        (
            "[rules.tailgating]\nzones = [\"lane-3\", ▸\"lane-9\"]",
            "there is no zone `lane-9`",
            "did you mean `lane-3`?",
        ),
        (
            "[zones.lane-8]\nname = \"Lane 8\"\nkind = \"lane\"\ndirection = \"both\"\n[rules.wrong-way]\nzones = [▸\"lane-8\"]",
            "makes no sense in `lane-8`, which leads both ways",
            "take the zone out",
        ),
        ("[rules.tailgating]\nzones = ▸[]", "names no zone", "leave `zones` out"),
        ("[rules.tailgating]\nzones = ▸\"lane-3\"", "is not a list", "[\"lane-3\"]"),
        ("[rules.tailgating]\n▸grant_last = \"5 s\"", "has no key `grant_last`", "did you mean `grant_lasts`?"),
        ("[rules.tailgating]\nsettle = ▸\"5 d\"", "out of range", "\"5 s\" is usual"),
        ("[rules.quay-presence]\ntell_at = ▸1.0", "nothing is impossible or certain", "0.9 is usual"),
        ("[rules.quay-presence]\n▸prior = 0.95", "without any evidence", "less than `tell_at`"),
        ("[rules.quay-presence]\nwindy = ▸\"14 kn\"", "is not a speed", "[kn_i]"),
        ("[rules.▸mooring-overload]\nmode = \"tell\"", "has no `breaking_load`", "800 kN"),
        ("[rules.mooring-overload]\nbreaking_load = ▸\"80 t\"", "is not a force", "kN, N"),
        ("[rules.weight-mismatch]\ntolerance = ▸\"1 kN\"", "is not a mass", "kg, t, g"),
        ("[rules.unbooked]\nleast = ▸0", "nothing is impossible or certain", "0.5 is usual"),
        ("[rules.dwell]\nlongest = ▸\"45 d\"", "45 d is out of range", "\"30 d\"; \"15 min\" is usual"),
        ("[rules.dwell]\nclasses = [\"person\", ▸\"vessle\"]", "no kind of object \"vessle\"", "`vessel`"),
        ("[rules.dwell]\nclasses = ▸[]", "names no kind of object", "leave `classes` out"),
        ("[rules.small-craft]\nnearer_than = ▸\"10 km\"", "is not a length", "m, cm, mm"),
        ("[rules.small-craft]\nnearer_than = ▸\"9000 m\"", "near a quay", "\"60 m\" is usual"),
        ("[rules.pass-back]\nlost_read = ▸\"0 %\"", "nothing is impossible", "0.008 is usual"),
        ("[rules.pass-back]\n▸lost_reads = 0.1", "has no key `lost_reads`", "did you mean `lost_read`?"),
        ("[rules.impossible-travel]\nwalking = ▸\"20 m/s\"", "nobody walks like that", "2 m/s is usual"),
        ("[rules.impossible-travel]\n▸driving = \"1 m/s\"", "driving would be slower than walking", "9 m/s"),
        ("[rules.out-of-hours]\ngrace = ▸\"1 d\"", "24 h is out of range", "\"12 h\""),
        ("[rules.first-time-zone]\nhistory = ▸\"60 d\"", "60 d is out of range", "\"35 d\""),
        ("[rules.first-time-zone]\nleast_visits = ▸0", "no number of visits", "1 to 1000"),
        ("[rules.denied-then-granted]\nwithin = ▸30", "30 has no unit", "\"30 ms\""),
        ("[rules.sensor-drift]\ndecided_at = ▸0.5", "decided at once or never", "5 is usual"),
        ("[rules.clock-step]\nat_least = ▸\"1 ms\"", "1 ms is out of range", "\"2 s\" is usual"),
        ("[rules.▸sensor-blnd]", "no table `rules.sensor-blnd`", "did you mean `sensor-blind`?"),
        ("[rules.sensor-silent]\nperiods = ▸0", "no number of silent periods", "1 to 100"),
        // The gateway itself.
        ("[store]\nbudget = ▸\"4 Gb\"", "is not a size", "GiB"),
        ("[store]\nbudget = ▸\"4 MiB\"", "holds no day", "16 MiB"),
        ("[store]\nretention = ▸\"5 min\"", "too short a time", "1 h"),
        ("[operations]\nlisten = ▸true", "true is not an address", "127.0.0.1:9464"),
        ("[▸sensor]\nx = 1", "there is no table `sensor`", "did you mean `sensors`?"),
        ("[▸types.loop-lane]\nx = 1", "there is no table `types`", "there are: site, store"),
    ];
    let good = "\n[sensors]\na = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }\n";
    each_is_said_at_its_place(cases, of_site, |fault| placed(&format!("{SITE}{good}{fault}\n")));
}

#[test]
fn a_fault_in_the_site_itself_is_said_at_its_line_and_column() {
    let cases: &[Case] = &[
        ("locode = ▸\"Rotterdam\"\nid = \"gate-2\"\ntimezone = \"UTC\"", "is not a UN/LOCODE", "three"),
        ("locode = \"NLRTM\"\nid = ▸\"Gate 2\"\ntimezone = \"UTC\"", "is not a name", "lower-case"),
        ("locode = \"NLRTM\"\nid = \"gate-2\"\ntimezone = ▸\"Europe/Amsterdm\"", "no time zone", "Europe/Amsterdam"),
        ("locode = \"NLRTM\"\nid = \"gate-2\"\ntimezone = \"UTC\"\nstatus = ▸\"real\"", "no status \"real\"", "actual"),
        (
            "locode = \"NLRTM\"\n▸ids = \"gate-2\"\nid = \"gate-2\"\ntimezone = \"UTC\"",
            "`site` has no key `ids`",
            "did you mean `id`?",
        ),
        (
            "locode = \"NLRTM\"\nid = \"gate-2\"\ntimezone = \"UTC\"\ngrid = ▸{ latitude = 51.9 }",
            "`site.grid` has no `longitude`",
            "degrees east",
        ),
        (
            "locode = \"NLRTM\"\nid = \"gate-2\"\ntimezone = \"UTC\"\ngrid = { latitude = ▸519, longitude = 4.1 }",
            "no port is at this latitude",
            "-85 to 85",
        ),
        (
            "locode = \"NLRTM\"\nid = \"gate-2\"\ntimezone = \"UTC\"\ngrid = { latitude = 51.9, longitude = 4.1, x_axis = ▸\"-20 deg\" }",
            "no compass bearing",
            "\"0 deg\" (north)",
        ),
    ];
    let rest = SITE.split("[zones.lane-3]").nth(1).expect("zones");
    let good = "[sensors]\na = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }\n";
    each_is_said_at_its_place(cases, of_site, |fault| placed(&format!("[site]\n{fault}\n[zones.lane-3]{rest}{good}")));
    assert!(of_site("").join("\n").contains("add [site] with locode, id and timezone"));
}

#[test]
fn a_line_of_vessels_or_frames_has_one_sensor_of_the_right_role_and_a_grid() {
    let lines = "[lines.vhf]\nais_udp = \"0.0.0.0:10110\"\n[lines.scans]\nframes_tcp = \"10.20.3.9:7000\"\n[sensors]\n";
    let hear = "hear = { zone = \"quay-1\", role = \"ais\", line = \"vhf\" }\n";
    let grid = "grid = { latitude = 51.95, longitude = 4.05 }\n[zones.lane-3]";
    let with_grid = SITE.replace("[zones.lane-3]", grid);
    let scans = "see = { zone = \"quay-1\", role = \"radar\", line = \"scans\", positions = \"cartesian\" }\n";
    for (file, what, help) in [
        (format!("{SITE}{lines}{}", hear.replace("role", "▸role")), "the site has no grid there", "add grid ="),
        (
            format!("{with_grid}{lines}{hear}{}", hear.replace("hear", "next").replace("line", "▸line")),
            "line `vhf` is read by `hear` already",
            "a line of its own",
        ),
        (
            format!("{with_grid}{lines}{scans}{}", scans.replace("see", "too").replace("line", "▸line")),
            "line `scans` is read by `see` already",
            "a line of its own",
        ),
        (
            format!("{with_grid}{lines}{}", hear.replace("role = \"ais\"", "▸role = \"wind.speed\"")),
            "an AIS receiver gives a vessel, and this role needs a measure",
            "mend the role",
        ),
        (
            format!("{with_grid}{lines}{}", scans.replace("role = \"radar\"", "▸role = \"ais\"")),
            "a line of frames gives a frame, and this role needs a vessel",
            "mend the role",
        ),
        (
            format!("{with_grid}{lines}{}", hear.replace(" }", ", ▸topic = \"t\" }")),
            "`topic` does not go with line `vhf`, which is an AIS receiver",
            "an MQTT broker",
        ),
    ] {
        each_is_said_at_its_place(&[(file.leak(), what, help)], of_site, placed);
    }
}

/// A sharing file with one good recipient and markings, and then the fault.
const SHARING: &str = r#"
[marking]
owner = "acme"
tlp = "AMBER"
releasable_to = ["police", "group:watch"]
purpose = "security"
[groups.watch]
organisations = ["police", "acme"]
[recipients.police]
organisation = "police"
clearance = "AMBER"
purposes = ["security"]
zones = ["*"]
upstream = { mqtt = "mqtts://c2", topic = "qw/{site}/{recipient}" }
"#;

#[test]
fn a_fault_in_the_sharing_file_is_said_at_its_line_and_column() {
    let recipient = |rest: &str| {
        format!("[recipients.x]\norganisation = \"acme\"\nclearance = \"RED\"\npurposes = [\"security\"]\n{rest}")
    };
    let marking = |rest: &str| format!("[markings.x]\nowner = \"acme\"\ntlp = \"RED\"\npurpose = \"security\"\n{rest}");
    let good = "zones = [\"lane-3\"]\nupstream = { http = \"https://tos\" }";
    let to = "releasable_to = [\"police\"]";
    let cases: Vec<(String, &str, &str)> = vec![
        (
            recipient("zones = [▸\"lane-4\"]\nupstream = { http = \"https://tos\" }"),
            "no zone `lane-4`",
            "did you mean `lane-3`?",
        ),
        (
            recipient("zones = [\"*\", ▸\"lane-3\"]\nupstream = { http = \"https://tos\" }"),
            "every zone already",
            "alone",
        ),
        (recipient("zones = ▸[]\nupstream = { http = \"https://tos\" }"), "this list is empty", "[\"*\"]"),
        (recipient("zones = [\"*\"]").replace("s.x", "s.▸x"), "has no `upstream`", "https://"),
        (recipient("zones = [\"*\"]\nupstream = ▸{ confirm = \"receipt\" }"), "does not say where to", "http"),
        (recipient("zones = [\"*\"]\nupstream = ▸{ mqtt = \"mqtt://b\" }"), "has no `topic`", "{recipient}"),
        (
            recipient("zones = [\"*\"]\nupstream = { mqtt = \"mqtt://b\", topic = ▸\"qw/{who}\" }"),
            "not known here",
            "{recipient}",
        ),
        (recipient("zones = [\"*\"]\nupstream = { mqtt = \"mqtt://b\", topic = ▸\"qw/#\" }"), "wildcard", "one topic"),
        (recipient("zones = [\"*\"]\nupstream = { http = ▸\"tos.lan\" }"), "is not an address", "https://"),
        (
            recipient("zones = [\"*\"]\nupstream = { http = \"https://tos\", token = ▸\"hunter2\" }"),
            "a secret does not belong",
            "credential:NAME",
        ),
        (
            recipient("zones = [\"*\"]\nupstream = { http = \"https://tos\", ▸tokn = \"credential:a\" }"),
            "has no key `tokn`",
            "did you mean `token`?",
        ),
        (
            recipient("zones = [\"*\"]\nupstream = { http = \"https://tos\", confirm = ▸\"maybe\" }"),
            "no confirmation \"maybe\"",
            "receipt",
        ),
        (
            recipient("zones = [\"*\"]\nupstream = ▸{ http = \"https://tos\", confirm = \"receipt\" }"),
            "no way to send receipts",
            "[answers]",
        ),
        (
            recipient("zones = [\"*\"]\n▸upstream = { mqtt = \"mqtt://c2:8883\", topic = \"qw/gate-2/police\" }"),
            "`police` is reached in this very place",
            "its own topic",
        ),
        (recipient(&format!("{good}\n▸answer_token = \"credential:a\"")), "nothing listens for answers", "[answers]"),
        (
            recipient(&format!("{good}\nkinds = [\"gate.*\", ▸\"gate.tailgate\"]")),
            "no situation is of kind",
            "gate.tailgating",
        ),
        (
            recipient(&format!("{good}\nfields = {{ operational = ▸\"mask\" }}")),
            "only values can be masked",
            "\"drop\"",
        ),
        (recipient(&format!("{good}\nfields = {{ public = ▸\"drop\" }}")), "always shown", "take it out"),
        (
            recipient(&format!("{good}\nfields = {{ media = ▸\"shown\" }}")),
            "no treatment \"shown\"",
            "did you mean `show`?",
        ),
        (
            recipient(&format!("{good}\nfields = {{ ▸quasi_identity = \"show\" }}")),
            "has no key `quasi_identity`",
            "did you mean `quasi-identity`?",
        ),
        (recipient(good).replace("\"RED\"", "▸\"red\""), "no TLP marking \"red\"", "did you mean `RED`?"),
        (recipient(good).replace("[\"security\"]", "▸\"security\""), "is not a list", "[\"security\"]"),
        (marking(&format!("{to}\nsensors = [▸\"b\"]")), "the site has no sensor `b`", "there are: a"),
        (marking(&format!("{to}\nzones = [\"lane-3\", ▸\"lane-3\"]")), "is marked by `markings.x` already", "once"),
        (marking(to).replace("s.x", "s.▸x"), "does not say what it covers", "sensors = "),
        (
            marking("zones = [\"lane-3\"]\nreleasable_to = [▸\"polise\"]"),
            "no recipient is of organisation `polise`",
            "did you mean `police`?",
        ),
        (
            marking("zones = [\"lane-3\"]\nreleasable_to = [▸\"watch\"]"),
            "no recipient is of organisation `watch`",
            "\"group:watch\"",
        ),
        (
            marking("zones = [\"lane-3\"]\nreleasable_to = [▸\"group:wotch\"]"),
            "no group `wotch`",
            "did you mean `watch`?",
        ),
        (marking(&format!("{to}\nzones = [\"lane-3\"]\ndelete_after = ▸\"36 h\"")), "delete by day", "28 d"),
        ("[groups.y]\norganisations = [▸\"police\"]".into(), "is in group `watch` already", "one group"),
        (
            "[answers]\nlisten = ▸\"10.20.3.1:8443\"".into(),
            "line `hooks` of the site file listens here already",
            "another port",
        ),
        ("[▸answers]".into(), "has no `listen`", "of this box"),
        ("[▸audit]".into(), "has no `upstream`", "qw/{site}/audit"),
        (
            "[audit]\nupstream = ▸{ mqtt = \"mqtts://c2\", topic = \"qw/{site}/police\" }".into(),
            "recipient `police` is reached in this very place",
            "its own topic",
        ),
        (
            "[audit]\nupstream = ▸{ http = \"https://c2\", confirm = \"receipt\" }".into(),
            "`confirm` does not go with the audit journal",
            "take it out",
        ),
        ("[▸recipient.y]".into(), "there is no table `recipient`", "did you mean `recipients`?"),
    ];
    let cases: Vec<Case> = cases.into_iter().map(|(fault, what, help)| (&*fault.leak(), what, help)).collect();
    let sensors = "[sensors]\na = { zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }\n";
    let site = site(&format!("{SITE}{sensors}")).expect("in order");
    let said = |text: &str| sharing(text, &site).err().map(|problems| problems.0).unwrap_or_default();
    each_is_said_at_its_place(&cases, said, |fault| placed(&format!("{SHARING}{fault}\n")));
}

#[test]
fn one_fault_does_not_hide_another_and_they_come_in_the_files_order() {
    let (text, ..) = after_many(
        "▸x = { zone = \"lane-4\", role = \"loop.exot\", line = \"plc\", discreet = 1, silent_after = 5 }\n[rules.tailgating]\nmode = \"tel\"\n",
    );
    let problems = of_site(&text);
    let said = ["no zone `lane-4`", "no role \"loop.exot\"", "no key `discreet`", "5 has no unit", "no mode \"tel\""];
    assert_eq!(problems.len(), said.len(), "{}", problems.join("\n"));
    for (problem, said) in problems.iter().zip(said) {
        assert!(problem.contains(said), "{said}: {problem}");
    }
}

#[test]
fn a_name_whose_own_table_is_wrong_is_not_said_to_be_missing() {
    let text =
        SITE.replace("modbus_tcp = \"10.20.3.11:502\"", "modbus_tcp = 5").replace("kind = \"lane\"", "kind = \"lain\"");
    let problems = of_site(&format!(
        "{text}[sensors]\na = {{ zone = \"lane-3\", role = \"loop.exit\", line = \"plc\", discrete = 1 }}\n"
    ));
    assert_eq!(problems.len(), 2, "{}", problems.join("\n"));
}

#[test]
fn a_literal_secret_is_printed_nowhere_whatever_else_is_wrong_with_its_line() {
    for line in [
        "x = { zone = \"lane-4\", role = \"plate.rear\", line = \"hooks\", openalpr = \"c\", token = \"hunter2\" }",
        "x = { zone = \"lane-3\", role = \"plate.rear\", line = \"hooks\", token = \"hunter2\", openalpr = }",
        "x = { zone = \"lane-3\", token = \"hunter2",
        "[nodes.9]\nkey = 'hunter2'",
        "[nodes.9]\nkey = [\"hunter2\"]",
        "[lines.b]\nmqtt = \"mqtts://me:hunter2@b\"",
        "[lines.b]\npassword = \"\"\"hunter2\"\"\"\nmqtt = \"mqtts://b\"",
    ] {
        let (text, ..) = after_many(&format!("▸{line}\n"));
        let problems = of_site(&text);
        assert!(!problems.is_empty() && !problems.join("\n").contains("hunter2"), "{}", problems.join("\n"));
    }
}
