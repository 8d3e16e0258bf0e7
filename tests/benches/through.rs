//! Through the whole daemon: real broker, the gateway as a process, every message stored before it is acknowledged.
//!
//! `cargo build --release && QUAYWATCH_BIN=target/release/quaywatch cargo bench -p quaywatch-tests --bench through`
//!
//! Prints figures, judges none of them: machines are noisy, so compare two runs on the same machine only.

use quaywatch_tests::{eventually, free_port, gateway::Gateway, get, mosquitto::Mosquitto, subscriber::Subscriber};
use std::{
    fs,
    time::{Duration, Instant},
};

const SATURATION: u64 = 100_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_inflight_messages 256\nset_tcp_nodelay true\n");
    let port = free_port();
    let mut gateway = Gateway::new(&site(broker.port, port), &sharing(broker.port), &[]);

    let began = Instant::now();
    gateway.spawn();
    eventually(Duration::from_secs(20), async || get(port, "/health").await).await;
    let up = began.elapsed();
    eventually(Duration::from_secs(20), async || {
        let health = get(port, "/health").await?;
        if health.contains(r#""line broker":{"state":"well"}"#) { Ok(()) } else { Err(health) }
    })
    .await;
    println!("start: health answers after {:.0} ms, broker session up after {:.0} ms", ms(up), ms(began.elapsed()));

    let sender = Subscriber::connect(broker.port, "nothing").await;
    let mut sent = 0u64;
    let before = Process::of(gateway.pid());
    let began = Instant::now();
    for _ in 0..SATURATION {
        sent += 1;
        sender.publish("port/load", &message(sent)).await;
    }
    stored(port, sent).await;
    report("as fast as it goes", SATURATION, began.elapsed(), before, Process::of(gateway.pid()));

    for (name, per_burst, bursts, every) in [
        ("10/s, evenly", 1, 100u64, Duration::from_millis(100)),
        ("100/s, evenly", 1, 1000, Duration::from_millis(10)),
        ("500/s, 10 bursts of 50", 50, 100, Duration::from_millis(100)),
        ("1000/s, evenly", 1, 10_000, Duration::from_millis(1)),
    ] {
        let before = Process::of(gateway.pid());
        let began = Instant::now();
        let mut ticks = tokio::time::interval(every);
        for _ in 0..bursts {
            ticks.tick().await;
            for _ in 0..per_burst {
                sent += 1;
                sender.publish("port/load", &message(sent)).await;
            }
        }
        stored(port, sent).await;
        report(name, per_burst * bursts, began.elapsed(), before, Process::of(gateway.pid()));
    }

    let before = Process::of(gateway.pid());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = Process::of(gateway.pid());
    println!(
        "idle for 10 s: {:.2} % of a core, {:.1} wake-ups/s, resident {} KiB",
        (after.cpu - before.cpu) * 10.0,
        after.switches.saturating_sub(before.switches) as f64 / 10.0,
        after.resident_kib
    );
    gateway.stop();
}

/// One measure a message, about 90 bytes: a mooring hook's load cell.
fn message(n: u64) -> String {
    format!(r#"{{"n":{n},"bollard":7,"hook":"b","load":{}.{},"unit":"kN","valid":true}}"#, 100 + n % 300, n % 10)
}

fn site(broker: u16, operations: u16) -> String {
    format!(
        r#"
[site]
locode = "NLRTM"
id = "bench"
timezone = "Europe/Amsterdam"
status = "test"
[operations]
listen = "127.0.0.1:{operations}"
[zones.berth-1]
name = "Berth 1"
kind = "berth"
[lines.broker]
mqtt = "mqtt://127.0.0.1:{broker}"
[sensors]
hook = {{ zone = "berth-1", role = "mooring.load", line = "broker", topic = "port/load", value = "/load", id = "/n", unit = "kN" }}
[rules.mooring-overload]
mode = "tell"
breaking_load = "800 kN"
"#
    )
}

fn sharing(broker: u16) -> String {
    format!(
        r#"
[marking]
owner = "acme-terminal"
tlp = "GREEN"
releasable_to = ["acme-terminal"]
purpose = "mooring-safety"
[recipients.berth-desk]
organisation = "acme-terminal"
clearance = "AMBER"
purposes = ["mooring-safety"]
zones = ["*"]
fields = {{ operational = "show" }}
upstream = {{ mqtt = "mqtt://127.0.0.1:{broker}", topic = "qw/{{site}}/{{recipient}}", confirm = "transport" }}
"#
    )
}

async fn stored(port: u16, count: u64) {
    eventually(Duration::from_secs(300), async || {
        let text = get(port, "/metrics").await?;
        let stored = text.lines().find_map(|line| line.strip_prefix("quaywatch_log_observations_total "));
        let stored = stored.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        if stored >= count { Ok(()) } else { Err(format!("{stored} of {count} are stored")) }
    })
    .await;
}

fn report(name: &str, count: u64, took: Duration, before: Process, after: Process) {
    println!(
        "{name}: {count} stored in {:.2} s = {:.0}/s; {:.2} CPU-s per 100k; {:.0} bytes written per observation; \
         resident {} KiB",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        (after.cpu - before.cpu) * 100_000.0 / count as f64,
        (after.written - before.written) as f64 / count as f64,
        after.resident_kib
    );
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy)]
struct Process {
    cpu: f64,
    written: u64,
    resident_kib: u64,
    switches: u64,
}

impl Process {
    fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let number = |text: &str, label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
            line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        let stat = read("stat");
        // Fields after the command's name; user and system time are the 12th and 13th of them, in 10 ms ticks.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        let status = read("status");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let switches = threads
            .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
            .map(|text| number(&text, "voluntary_ctxt_switches:"))
            .sum();
        Self {
            cpu: (ticks(11) + ticks(12)) / 100.0,
            written: number(&read("io"), "write_bytes:"),
            resident_kib: number(&status, "VmRSS:"),
            switches,
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
