//! What polling 50 Modbus devices with 20 registers each every second costs, beside the least that can poll them.
//!
//! `cargo bench -p quaywatch-tests --bench modbus`
//!
//! Both poll the same pymodbus process, one after the other, each over 50 connections of its own. Prints figures, judges none
//! of them.

use quaywatch_drivers::{
    by_exception::Reporting,
    intake::Intake,
    line::{Line, LineStatus},
    modbus::{self, Blocks, Connection, Device, Format, Gives, Measured, Order, Place, Point, RegisterArea, Scale},
    tap::Taps,
};
use quaywatch_schemas::{LineId, SensorId, units::Unit};
use quaywatch_tests::modbus::Modbus;
use std::{fs, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_modbus::{
    Slave,
    client::{Reader, tcp},
};
use tokio_util::sync::CancellationToken;

const DEVICES: u16 = 50;
const REGISTERS: u16 = 20;
const EVERY: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(3);
const MEASURE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let plc = Modbus::start(&[1]);
    let idle = measured("nothing", async {}).await;
    let mut loops = JoinSet::new();
    for _ in 0..DEVICES {
        loops.spawn(bare(plc.port));
    }
    let bare = measured("bare loop", sleep(SETTLE)).await - idle;
    loops.shutdown().await;

    let (intake, mut records) = Intake::bounded(1024);
    let listening = tokio::spawn(async move {
        let mut observations = 0;
        while let Some(batch) = records.recv().await {
            observations += batch.records.len();
        }
        observations
    });
    let stop = CancellationToken::new();
    for index in 0..DEVICES {
        let id = LineId::new(&format!("plc-{index}")).expect("well formed");
        let status = Arc::new(watch::Sender::new(LineStatus::default()));
        let line = Line { id, intake: intake.clone(), taps: Taps::default(), status, stop: stop.clone() };
        let connection = Connection::Tcp { host: "127.0.0.1".into(), port: plc.port };
        loops.spawn(modbus::run(connection, vec![(line, device(index))]));
    }
    drop(intake);
    let driver = measured("driver", sleep(SETTLE)).await - idle;
    stop.cancel();
    while loops.join_next().await.is_some() {}
    let observations = listening.await.expect("it ends with the lines");
    println!("driver / bare loop: {:.2}; {observations} observations", driver / bare);
}

/// The least that can poll a device: no scheduler, no time-out, no decoding.
async fn bare(port: u16) {
    let mut context = tcp::connect_slave(([127, 0, 0, 1], port).into(), Slave(1)).await.expect("the device listens");
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let registers = context.read_holding_registers(0, REGISTERS).await.expect("it answers").expect("it has them");
        assert_eq!(registers.len(), usize::from(REGISTERS));
    }
}

fn device(index: u16) -> Device {
    let point = |address| Point {
        sensor: SensorId::new(&format!("sensor-{index}-{address}")).expect("well formed"),
        place: Place::Register { area: RegisterArea::Holding, address, format: Format::U16, order: Order::Abcd },
        gives: Gives::Measure(Measured {
            unit: Unit::new("kg").expect("known"),
            scale: Scale::Fixed(0.1),
            offset: 0.0,
            sentinels: vec![0x8000],
            range: Some((0.0, 80_000.0)),
            valid_when: None,
            stable_when: None,
        }),
        reporting: Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) },
    };
    let blocks = Blocks { most_hole: 16, most_registers: 125, most_bits: 2000, whole: false, fixed: Vec::new() };
    let points = (0..REGISTERS).map(point).collect();
    Device { unit: 1, every: EVERY, timeout: Duration::from_millis(500), blocks, points }
}

/// Per cent of one core that this process takes once `settled`.
async fn measured(name: &str, settled: impl Future<Output = ()>) -> f64 {
    settled.await;
    let before = cpu_seconds();
    sleep(MEASURE).await;
    let share = (cpu_seconds() - before) / MEASURE.as_secs_f64() * 100.0;
    println!("{name}: {share:.2} % of a core");
    share
}

/// User and system time of all threads, from the scheduler's own nanoseconds.
fn cpu_seconds() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}
