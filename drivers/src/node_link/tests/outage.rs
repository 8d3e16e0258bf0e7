//! Links that are away for long.

use super::*;

#[test]
fn a_day_without_a_gateway_loses_nothing_within_the_budget_and_has_the_time_of_its_making() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let mut bench = Bench::new(&[7]);
    bench.sense(7, NodeChannel::Load1, -1.0);
    bench.run(2_000);
    bench.master.disconnected(PORT, bench.now());
    let (start, mut said) = (bench.ms, Vec::new());
    // The budget of 12 pages of 4 KiB: a routine word every two minutes and an alarm every half hour.
    let (mut minute, mut noise) = (0i64, Noise(5));
    while bench.ms - start < DAY_MS {
        minute += 2;
        bench.sense(7, NodeChannel::Load1, minute as f32);
        said.push((minute, bench.ms));
        if minute % 30 == 0 {
            bench.sense(7, NodeChannel::Pir, true);
        }
        // Nothing happens on the line; the node's clock goes on.
        let mut left = 120_000;
        while left > 0 {
            let step = left.min(1_000 + noise.next() % 4_000);
            bench.ms += step;
            left -= step;
            let (ms, station) = (bench.ms, bench.station(7));
            let now = ms - station.booted;
            let node = station.node.as_mut().unwrap();
            node.sense(NodeChannel::Pir, false, now).unwrap();
            node.tick(now);
        }
    }
    bench.master.connected(PORT, bench.now());
    bench.run(60_000);
    assert_eq!(bench.waiting_at(7).min(2), bench.waiting_at(7), "all is acknowledged");
    let sensor = sensor(7, NodeChannel::Load1);
    let came: Vec<&Observation> =
        bench.stored.iter().filter(|word| word.sensor == sensor && load(word).is_some()).collect();
    for (value, ms) in &said {
        let word =
            came.iter().find(|word| load(word) == Some(*value)).unwrap_or_else(|| panic!("minute {value} is lost"));
        let at = word.observed_at.expect("the boot goes on, so its clock is known");
        let off = (at.at.0 / 1_000_000 - 1_700_000_000_000 - *ms as i64).unsigned_abs();
        assert!(off <= u64::from(at.uncertainty_ms), "minute {value}: off by {off} ms, said {} ms", at.uncertainty_ms);
        // A crystal of 100 ppm over a day is 8.6 s.
        assert!(at.uncertainty_ms < 9_000);
    }
    assert!(!bench.stored.iter().any(|word| matches!(word.reading, Reading::NoData(NoData::Overload(_)))));
    let motions = bench.said(7, NodeChannel::Pir).iter().filter(|word| **word == Reading::Contact(true)).count();
    assert_eq!(motions, 48);
}

#[test]
fn words_of_a_boot_that_nobody_heard_get_the_time_between_what_was_heard_before_and_after() {
    let mut bench = Bench::new(&[7]);
    bench.run(2_000);
    bench.master.disconnected(PORT, bench.now());
    bench.run(1_000);
    bench.power(7, true);
    bench.run(5_000);
    bench.sense(7, NodeChannel::Pir, true);
    let happened = bench.now().wall;
    bench.run(3_000);
    bench.power(7, true);
    bench.run(1_000);
    bench.master.connected(PORT, bench.now());
    bench.run(2_000);
    let pir = sensor(7, NodeChannel::Pir);
    let alarm = bench.stored.iter().find(|word| word.sensor == pir && word.reading == Reading::Contact(true)).unwrap();
    let at = alarm.observed_at.expect("it was between two moments that are known");
    let off = (at.at.0 - happened.0).unsigned_abs() / 1_000_000;
    assert!(off <= u64::from(at.uncertainty_ms) && at.uncertainty_ms < 3_000, "{at:?}, off by {off} ms");
    assert_eq!(alarm.freshness, Freshness::History);
}

fn on_a_pair_of_wires(nodes: &[u16]) -> Bench {
    let mut bench = Bench::new(nodes);
    let path = "/dev/null".into();
    let port = serial::Port { path, baud: 9_600, data_bits: 8, parity: tokio_serial::Parity::None, stop_bits: 1 };
    bench.config.carrier = Carrier::Serial(port);
    bench.restart_gateway(2);
    bench
}

#[test]
fn on_a_pair_of_wires_nobody_is_spoken_over() {
    let mut bench = on_a_pair_of_wires(&[7, 8, 9]);
    bench.run(500);
    // At 9600 baud 3.5 characters are 4 ms.
    let before = bench.from_gateway.len();
    for _ in 0..30 {
        bench.master.received(PORT, &[0x55], bench.now());
        bench.run(1);
    }
    bench.run(2);
    assert_eq!(bench.from_gateway.len(), before, "the master waits until the line is quiet");
    bench.polled.clear();
    bench.run(500);
    assert!(bench.polled.values().all(|polled| *polled >= 4) && bench.polled.len() == 3, "{:?}", bench.polled);
}

#[test]
fn noise_without_an_end_slows_the_bus_down_and_does_not_stop_it() {
    let mut bench = on_a_pair_of_wires(&[7, 8]);
    bench.run(500);
    bench.polled.clear();
    for i in 0..20_000u64 {
        bench.master.received(PORT, &[0x55, i as u8], bench.now());
        bench.act();
        bench.run(1);
    }
    assert!(bench.polled[&7] >= 10 && bench.polled[&8] >= 10, "{:?}", bench.polled);
}
