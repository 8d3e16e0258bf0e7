//! Against pymodbus.

use crate::line::{
    Running, device, discrete, holding, impatient, is_value, kilograms, no_data, of, point, register, tcp, value,
};
use quaywatch_drivers::{
    line::LineState,
    modbus::{Area, BitArea, Fixed, Format, Gives, Measured, Order, Place, RegisterArea, RegisterBit, Scale},
};
use quaywatch_schemas::{NoData, Reading};
use quaywatch_tests::{eventually, modbus::Modbus};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const PATIENCE: Duration = crate::line::PATIENCE;

#[tokio::test]
async fn every_area_is_read_and_means_what_the_site_file_says() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({
        "coil": { "7": true },
        "discrete": { "20": true },
        "holding": { "0": 12345, "1": 0, "2": 2, "3": 1, "30": 0x2000, "31": 0x47F1, "40": 65535 },
        "input": { "5": 0xFFFE, "6": 0x8000 },
    }));
    let settled = RegisterBit { register: 3, bit: 0, set: true };
    let scale = Measured { scale: Scale::Register(2), valid_when: Some(settled), ..kilograms() };
    let input =
        |address| Place::Register { area: RegisterArea::Input, address, format: Format::I16, order: Order::Abcd };
    let broken = Measured { sentinels: vec![0x8000], ..kilograms() };
    let coil = Place::Bit { area: BitArea::Coils, address: 7 };
    let points = vec![
        point("coil", coil, Gives::Contact { inverted: true }),
        discrete("loop", 20),
        point("scale", holding(0, Format::I32, Order::Cdab), Gives::Measure(scale)),
        point("float", holding(30, Format::F32, Order::Cdab), Gives::Measure(kilograms())),
        point("counter", holding(40, Format::U16, Order::Abcd), Gives::Count),
        point("minus", input(5), Gives::Measure(kilograms())),
        point("broken", input(6), Gives::Measure(broken)),
    ];
    let mut line = Running::start(tcp(plc.port), vec![device(1, points)]);
    line.hears("coil", Reading::Contact(false)).await;
    line.hears("loop", Reading::Contact(true)).await;
    line.hears_that("scale", "123.45", is_value(123.45)).await;
    line.hears_that("minus", "-2", is_value(-2.0)).await;
    line.line_is_up(0).await;
    plc.set(json!({ "holding": { "40": 2, "3": 0 }, "input": { "6": 3 } }));
    // What cannot be is never a number, and a counter goes on over its end.
    line.hears("counter", Reading::Count(65_538)).await;
    line.hears_that("broken", "3", is_value(3.0)).await;
    plc.set(json!({ "holding": { "3": 1, "0": 12346 } }));
    line.hears_that("scale", "123.46", is_value(123.46)).await;
    let said = line.stop().await;
    assert_eq!(of("float", &said).map(value).collect::<Vec<_>>(), [123_456.0]);
    assert_eq!(of("broken", &said).next(), Some(&no_data(NoData::BadValue)));
    let scale: Vec<Option<f64>> =
        of("scale", &said).map(|said| (*said != no_data(NoData::BadValue)).then(|| value(said))).collect();
    assert_eq!(scale, [Some(123.45), None, Some(123.46)]);
    let ids: BTreeSet<_> = said.iter().map(|seen| (seen.sensor.clone(), seen.source_id.unwrap())).collect();
    assert_eq!(ids.len(), said.len(), "each observation has its own identity");
}

#[tokio::test]
async fn two_lines_share_one_connection_and_points_near_each_other_one_request() {
    let mut plc = Modbus::start(&[1, 2]);
    let devices = vec![
        device(1, vec![register("a", 10), register("b", 12), register("c", 25)]),
        device(2, vec![register("d", 10), register("e", 90)]),
    ];
    let mut line = Running::start(tcp(plc.port), devices);
    line.line_is_up(0).await;
    line.line_is_up(1).await;
    plc.set(json!({ "unit": 2, "holding": { "90": 5 } }));
    line.hears_that("e", "5", is_value(5.0)).await;
    let asked = plc.asked();
    assert_eq!(asked.connections, 1);
    let kinds: BTreeSet<_> = asked.asked.into_iter().collect();
    assert_eq!(kinds, BTreeSet::from([(1, 3, 10, 16), (2, 3, 10, 1), (2, 3, 90, 1)]));
    line.stop().await;
    eventually(PATIENCE, async || match plc.asked().connections {
        0 => Ok(()),
        left => Err(format!("{left} connections are left")),
    })
    .await;
}

#[tokio::test]
async fn only_what_changed_is_said_and_every_change_is() {
    let mut plc = Modbus::start(&[1]);
    let mut line = Running::start(tcp(plc.port), vec![device(1, vec![discrete("loop", 0), discrete("arm", 1)])]);
    line.hears("loop", Reading::Contact(false)).await;
    for occupied in [true, false, true, false] {
        plc.set(json!({ "discrete": { "0": occupied } }));
        line.hears("loop", Reading::Contact(occupied)).await;
    }
    let said = line.stop().await;
    assert_eq!((of("loop", &said).count(), of("arm", &said).count()), (5, 1));
    let polled = said.iter().filter_map(|seen| seen.observed_at).all(|at| at.uncertainty_ms > 0);
    assert!(polled, "a polled contact is only as exact as its poll");
}

#[tokio::test]
async fn a_register_the_device_does_not_have_costs_only_its_own_point() {
    let mut plc = Modbus::start(&[1]);
    // 3 is a hole between points, 8 is a point with a wrong address.
    plc.set(json!({ "behaves": { "missing": [3, 8] }, "holding": { "0": 10, "5": 15, "9": 19, "100": 1 } }));
    let points = ["a", "b", "c", "wrong", "d"].into_iter().zip([0, 2, 5, 8, 9]);
    let mut line = Running::start(tcp(plc.port), vec![device(1, points.map(|(s, at)| register(s, at)).collect())]);
    line.hears("wrong", no_data(NoData::Exception(2))).await;
    line.hears_that("d", "19", is_value(19.0)).await;
    line.line_is_up(0).await;
    plc.set(json!({ "holding": { "0": 110, "5": 115, "9": 119 } }));
    for (sensor, load) in [("a", 110.0), ("c", 115.0), ("d", 119.0)] {
        line.hears_that(sensor, "its load", is_value(load)).await;
    }
    plc.set(json!({ "behaves": {} }));
    line.hears_that("wrong", "0", is_value(0.0)).await;
    let said = line.stop().await;
    assert_eq!(of("wrong", &said).count(), 2, "a refusal is said once");
    for (sensor, values) in
        [("a", [10.0, 110.0].as_slice()), ("b", &[0.0]), ("c", &[15.0, 115.0]), ("d", &[19.0, 119.0])]
    {
        assert_eq!(of(sensor, &said).map(value).collect::<Vec<_>>(), values, "{sensor}");
    }
}

#[tokio::test]
async fn a_device_that_refuses_everything_is_told_in_an_engineers_words() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({ "behaves": { "missing": [30] } }));
    let mut line = Running::start(tcp(plc.port), vec![device(1, vec![register("scale", 30)])]);
    let why = line.line_is_down(0).await;
    assert_eq!(
        why,
        "unit 1, holding 30 (from 0): exception 2: the device has no such address; check `base` and whether its manual \
         counts from 0 or 1"
    );
    line.hears("scale", no_data(NoData::Exception(2))).await;
    plc.set(json!({ "behaves": { "exception": 6 } }));
    line.line(0, "busy", |state| matches!(state, LineState::Down(why) if why.contains("the device is busy"))).await;
    plc.set(json!({ "behaves": {} }));
    line.line_is_up(0).await;
    line.stop().await;
}

#[tokio::test]
async fn a_device_that_wants_whole_blocks_gets_nothing_else() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({ "behaves": { "whole": [[0, 10], [10, 6]] }, "holding": { "3": 33, "12": 44 } }));
    let fixed = |start, count| Fixed { area: Area::Registers(RegisterArea::Holding), start, count };
    let mut scale = device(1, vec![register("a", 3), register("b", 5), register("c", 12)]);
    scale.blocks.fixed = vec![fixed(0, 10), fixed(10, 6)];
    let mut line = Running::start(tcp(plc.port), vec![scale]);
    line.hears_that("a", "33", is_value(33.0)).await;
    line.hears_that("c", "44", is_value(44.0)).await;
    let kinds: BTreeSet<_> = plc.asked().asked.into_iter().collect();
    assert_eq!(kinds, BTreeSet::from([(1, 3, 0, 10), (1, 3, 10, 6)]));
    line.stop().await;
}

#[tokio::test]
async fn a_dead_unit_is_said_once_and_its_neighbour_goes_on_until_it_is_back() {
    let mut plc = Modbus::start(&[1, 2]);
    plc.set(json!({ "unit": 2, "behaves": { "mute": true } }));
    let devices =
        vec![device(1, vec![register("alive", 0)]), impatient(2, vec![register("dead", 0), register("too", 150)])];
    let mut line = Running::start(tcp(plc.port), devices);
    line.hears("dead", no_data(NoData::Timeout)).await;
    line.hears("too", no_data(NoData::Timeout)).await;
    assert_eq!(line.line_is_down(1).await, "no answer from unit 2 within 200 ms");
    for load in 1..20 {
        plc.set(json!({ "unit": 1, "holding": { "0": load } }));
        line.hears_that("alive", "its load", is_value(load.into())).await;
    }
    line.line_is_up(0).await;
    plc.set(json!({ "unit": 2, "behaves": {}, "holding": { "0": 7 } }));
    line.hears_that("dead", "7", is_value(7.0)).await;
    line.line_is_up(1).await;
    let said = line.stop().await;
    for sensor in ["dead", "too"] {
        assert_eq!(of(sensor, &said).filter(|said| matches!(said, Reading::NoData(_))).count(), 1, "{sensor}");
    }
    let alive: Vec<_> = of("alive", &said).collect();
    assert!(alive.iter().all(|said| matches!(said, Reading::Measure(_))), "{alive:?}");
}

#[tokio::test]
async fn a_read_the_device_ignores_does_not_silence_its_other_points() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({ "behaves": { "ignores": [150] } }));
    let points = vec![register("read", 0), register("ignored", 150)];
    let mut line = Running::start(tcp(plc.port), vec![impatient(1, points)]);
    line.hears("ignored", no_data(NoData::Timeout)).await;
    for load in 1..5 {
        plc.set(json!({ "holding": { "0": load } }));
        line.hears_that("read", "its load", is_value(load.into())).await;
    }
    line.line_is_up(0).await;
    let said = line.stop().await;
    assert!(of("read", &said).all(|said| matches!(said, Reading::Measure(_))));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_never_taken_for_another_registers() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({ "holding": { "0": 1000, "50": 1050, "100": 1100, "150": 1150 } }));
    let points = [0, 50, 100, 150].map(|at| register(&format!("r{at}"), at)).into();
    let mut line = Running::start(tcp(plc.port), vec![impatient(1, points)]);
    line.hears_that("r150", "1150", is_value(1150.0)).await;
    for _ in 0..3 {
        plc.set(json!({ "behaves": { "delay": 0.3 } }));
        line.hears("r0", no_data(NoData::Timeout)).await;
        plc.set(json!({ "behaves": {} }));
        line.hears_that("r0", "1000", is_value(1000.0)).await;
    }
    let said = line.stop().await;
    for at in [0_u16, 50, 100, 150] {
        let sensor = format!("r{at}");
        let good = |said: &Reading| matches!(said, Reading::NoData(_)) || value(said) == f64::from(1000 + at);
        assert!(of(&sensor, &said).all(good), "{sensor}: {:?}", of(&sensor, &said).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_device_that_goes_away_is_said_once_and_read_again_when_it_is_back() {
    let mut plc = Modbus::start(&[1]);
    let port = plc.port;
    let mut line = Running::start(tcp(port), vec![device(1, vec![register("scale", 0), discrete("loop", 0)])]);
    line.hears("loop", Reading::Contact(false)).await;
    line.line_is_up(0).await;
    drop(plc);
    line.hears("loop", no_data(NoData::Disconnected)).await;
    let why = line.line_is_down(0).await;
    assert!(why.starts_with(&format!("connection refused by 127.0.0.1:{port}")), "{why}");
    plc = Modbus::start_at(port, &[1]);
    plc.set(json!({ "discrete": { "0": true } }));
    line.hears("loop", Reading::Contact(true)).await;
    line.line_is_up(0).await;
    let said = line.stop().await;
    assert_eq!(of("scale", &said).filter(|said| matches!(said, Reading::NoData(_))).count(), 1);
}

#[tokio::test]
async fn changes_a_full_ledger_did_not_take_are_counted_and_the_newest_state_is_said() {
    let mut plc = Modbus::start(&[1]);
    let devices = vec![device(1, vec![discrete("loop", 0)]), device(1, vec![discrete("arm", 1)])];
    let mut line = Running::with_room_for(1, tcp(plc.port), devices);
    let polled = async |plc: &mut Modbus| {
        plc.asked();
        let mut seen = 0;
        eventually(PATIENCE, async || {
            seen += plc.asked().asked.len();
            if seen > 6 { Ok(()) } else { Err(format!("{seen} polls")) }
        })
        .await;
    };
    let mut watching = line.taps.watch(&quaywatch_schemas::SensorId::new("loop").unwrap());
    // The first batch fills the ledger; what the contact does then is seen and cannot be handed over.
    polled(&mut plc).await;
    for occupied in [true, false, true] {
        plc.set(json!({ "discrete": { "0": occupied } }));
        polled(&mut plc).await;
    }
    line.hears("loop", Reading::Contact(true)).await;
    line.hears("arm", Reading::Contact(false)).await;
    let said = line.stop().await;
    let lost: u64 =
        of("loop", &said).map(|said| if let Reading::NoData(NoData::Overload(n)) = said { *n } else { 0 }).sum();
    let contacts: Vec<_> = of("loop", &said).filter(|said| matches!(said, Reading::Contact(_))).collect();
    // Four states; either line may have had the place in the ledger.
    assert_eq!(lost + contacts.len() as u64, 4, "{:?}", of("loop", &said).collect::<Vec<_>>());
    assert_eq!(contacts.last(), Some(&&Reading::Contact(true)));
    assert!(lost >= 2);
    assert!(watching.try_recv().is_ok());
}

#[tokio::test]
async fn who_watches_a_sensor_sees_the_registers_and_what_became_of_them() {
    let mut plc = Modbus::start(&[1]);
    plc.set(json!({ "holding": { "0": 0x3039, "1": 0, "2": 2 } }));
    let scale = Measured { scale: Scale::Register(2), ..kilograms() };
    let points = vec![point("scale", holding(0, Format::I32, Order::Cdab), Gives::Measure(scale))];
    let line = Running::start(tcp(plc.port), vec![device(1, points)]);
    line.line_is_up(0).await;
    let mut tap = line.taps.watch(&quaywatch_schemas::SensorId::new("scale").unwrap());
    let seen = tokio::time::timeout(PATIENCE, tap.recv()).await.expect("it is polled").unwrap();
    assert_eq!((seen.raw.as_str(), seen.decoded.as_str()), ("holding 0: 3039 0000 0002", "123.45 kg"));
    line.stop().await;
}
