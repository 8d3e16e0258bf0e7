//! Modbus RTU over a pseudo-terminal, with slaves that are dead, late and noisy.

use crate::line::{Running, device, impatient, is_value, no_data, of, register, value};
use quaywatch_drivers::{modbus::Connection, serial};
use quaywatch_schemas::{NoData, Reading};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};
use tokio_serial::Parity;

/// The slaves on a bus.
struct Bus {
    path: PathBuf,
    slaves: Arc<Mutex<BTreeMap<u8, Slave>>>,
}

/// One slave. It has every register; each holds the unit's number times a thousand plus the address, until it is set.
#[derive(Clone, Default)]
struct Slave {
    set: BTreeMap<u16, u16>,
    /// It works on a question for so long and does not listen meanwhile.
    works_for: Duration,
    /// It says this before each answer.
    noise: Vec<u8>,
    /// Each answer has a flipped bit.
    corrupts: bool,
}

impl Bus {
    /// A bus with these slaves. It is gone when the process is.
    fn with(units: &[u8]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let slaves: BTreeMap<u8, Slave> = units.iter().map(|unit| (*unit, Slave::default())).collect();
        let slaves = Arc::new(Mutex::new(slaves));
        let shared = Arc::clone(&slaves);
        thread::spawn(move || listen(File::from(master), &shared));
        Self { path, slaves }
    }

    fn slave(&self, unit: u8, change: impl FnOnce(&mut Slave)) {
        change(lock(&self.slaves).get_mut(&unit).unwrap());
    }

    fn connection(&self) -> Connection {
        Connection::Rtu(serial::Port {
            path: self.path.clone(),
            baud: 115_200,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
        })
    }
}

fn lock(slaves: &Mutex<BTreeMap<u8, Slave>>) -> MutexGuard<'_, BTreeMap<u8, Slave>> {
    slaves.lock().unwrap()
}

fn listen(mut master: File, slaves: &Mutex<BTreeMap<u8, Slave>>) {
    let mut heard = Vec::new();
    let mut byte = [0];
    loop {
        // Nobody has the other end open: not now, or not any more.
        if master.read_exact(&mut byte).is_err() {
            thread::sleep(Duration::from_millis(2));
            heard.clear();
            continue;
        }
        heard.push(byte[0]);
        // Questions that read are eight bytes. Whatever is not one is skipped byte by byte, as slaves do after noise.
        if heard.len() < 8 {
            continue;
        }
        let question: Vec<u8> = heard.drain(..8).collect();
        assert_eq!(crc(&question[..6]).to_le_bytes(), question[6..8], "the gateway asked nonsense");
        assert!(matches!(question[1], 3 | 4), "the gateway asked for function {}", question[1]);
        let Some(slave) = lock(slaves).get(&question[0]).cloned() else { continue };
        thread::sleep(slave.works_for);
        let word = |at: usize| u16::from_be_bytes([question[at], question[at + 1]]);
        let mut answer = vec![question[0], question[1], (word(4) * 2) as u8];
        for address in word(2)..word(2) + word(4) {
            let usual = u16::from(question[0]) * 1000 + address;
            answer.extend(slave.set.get(&address).copied().unwrap_or(usual).to_be_bytes());
        }
        answer.extend(crc(&answer).to_le_bytes());
        if slave.corrupts {
            answer[3] ^= 0x10;
        }
        let _ = master.write_all(&slave.noise).and_then(|()| master.write_all(&answer));
    }
}

/// CRC-16/MODBUS (Modbus over Serial Line 1.02, 6.2.2).
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

#[test]
fn the_checksum_is_the_standards() {
    assert_eq!(crc(b"123456789"), 0x4B37);
}

#[tokio::test]
async fn units_on_a_bus_are_read_in_turn() {
    let bus = Bus::with(&[1, 2]);
    let devices = vec![device(1, vec![register("a", 5), register("b", 9)]), device(2, vec![register("c", 5)])];
    let mut line = Running::start(bus.connection(), devices);
    line.hears_that("a", "1005", is_value(1005.0)).await;
    line.hears_that("c", "2005", is_value(2005.0)).await;
    for load in [17, 18] {
        bus.slave(1, |slave| slave.set.extend([(9, load)]));
        line.hears_that("b", "its load", is_value(load.into())).await;
    }
    line.line_is_up(0).await;
    line.line_is_up(1).await;
    assert_eq!(of("b", &line.stop().await).map(value).collect::<Vec<_>>(), [1009.0, 17.0, 18.0]);
}

#[tokio::test]
async fn a_dead_unit_on_the_bus_is_named_and_the_others_go_on() {
    let bus = Bus::with(&[1]);
    let devices = vec![device(1, vec![register("alive", 0)]), impatient(9, vec![register("dead", 0)])];
    let mut line = Running::start(bus.connection(), devices);
    line.hears("dead", no_data(NoData::Timeout)).await;
    assert_eq!(line.line_is_down(1).await, "no answer from unit 9 within 200 ms");
    for load in 1..20 {
        bus.slave(1, |slave| slave.set.extend([(0, load)]));
        line.hears_that("alive", "its load", is_value(load.into())).await;
    }
    lock(&bus.slaves).insert(9, Slave::default());
    line.hears_that("dead", "9000", is_value(9000.0)).await;
    line.line_is_up(1).await;
    let said = line.stop().await;
    assert_eq!(of("dead", &said).count(), 2);
    assert!(of("alive", &said).all(|said| matches!(said, Reading::Measure(_))), "{said:#?}");
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_questions() {
    let bus = Bus::with(&[1, 2]);
    // Same length, far enough apart to be separate questions: an RTU answer does not say which of them it answers.
    let points = |unit| [0, 50, 100].map(|at| register(&format!("u{unit}r{at}"), at)).into();
    let mut line = Running::start(bus.connection(), vec![impatient(1, points(1)), impatient(2, points(2))]);
    line.hears_that("u2r100", "2100", is_value(2100.0)).await;
    for late in [220, 390, 650] {
        bus.slave(1, |slave| slave.works_for = Duration::from_millis(late));
        line.hears("u1r0", no_data(NoData::Timeout)).await;
        bus.slave(1, |slave| slave.works_for = Duration::ZERO);
        line.hears_that("u1r0", "1000", is_value(1000.0)).await;
    }
    let said = line.stop().await;
    for unit in [1_u16, 2] {
        for at in [0, 50, 100] {
            let sensor = format!("u{unit}r{at}");
            let good =
                |said: &Reading| matches!(said, Reading::NoData(_)) || value(said) == f64::from(unit * 1000 + at);
            assert!(of(&sensor, &said).all(good), "{sensor}: {:?}", of(&sensor, &said).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn noise_before_an_answer_and_flipped_bits_never_become_a_value() {
    let bus = Bus::with(&[1]);
    let mut line = Running::start(bus.connection(), vec![impatient(1, vec![register("scale", 7)])]);
    line.hears_that("scale", "1007", is_value(1007.0)).await;
    bus.slave(1, |slave| slave.corrupts = true);
    line.hears("scale", no_data(NoData::Timeout)).await;
    bus.slave(1, |slave| (slave.corrupts, slave.noise) = (false, vec![0x00, 0xFF, 0x55]));
    line.hears_that("scale", "1007", is_value(1007.0)).await;
    let said = line.stop().await;
    assert!(of("scale", &said).all(|said| matches!(said, Reading::NoData(_)) || value(said) == 1007.0));
}

#[tokio::test]
async fn a_port_that_is_not_there_is_named() {
    let mut bus = Bus::with(&[1]);
    bus.path = "/dev/serial/by-path/no-such-adapter".into();
    let mut line = Running::start(bus.connection(), vec![impatient(1, vec![register("scale", 0)])]);
    line.hears("scale", no_data(NoData::Disconnected)).await;
    let why = line.line_is_down(0).await;
    assert_eq!(why, "there is no /dev/serial/by-path/no-such-adapter; is the adapter plugged in?");
    line.stop().await;
}
