//! Nodes of which somebody made a second one.

use super::*;

/// A second device with everything that node 7 has.
fn copy_of(bench: &Bench, store_epoch_differs: bool) -> Station {
    let original = bench.stations.iter().find(|station| station.number == 7).unwrap();
    let flash = if store_epoch_differs { EmulatedFlash::in_memory(12) } else { original.flash.copy() };
    let boot = Boot { reset: ResetCause::PowerOn, entropy: 0x666, now: 0 };
    let node = RealNode::boot(node_config(7), flash.clone(), boot);
    Station { number: 7, flash, node: Some(node), booted: bench.ms, port: PORT }
}

/// Runs until the node is in quarantine; how long that took.
fn found_after(bench: &mut Bench, within_ms: u64) -> Option<u64> {
    let began = bench.ms;
    while bench.ms - began < within_ms {
        bench.run(1);
        if bench.notices.contains(&Notice::Double(7)) {
            return Some(bench.ms - began);
        }
    }
    None
}

fn check_quarantine(bench: &mut Bench, story: &str) {
    bench.run(200);
    let stored = |bench: &Bench| bench.stored.iter().filter(|said| said.sensor.as_str().starts_with("n7")).count();
    let known = stored(bench);
    for at in 0..bench.stations.len() {
        let now = bench.ms - bench.stations[at].booted;
        if let Some(node) = bench.stations[at].node.as_mut() {
            node.sense(NodeChannel::Load1, 9_999.0, now).unwrap();
        }
    }
    bench.run(3_000);
    assert_eq!(stored(bench), known, "{story}: nothing counts any more");
    for channel in CHANNELS {
        assert_eq!(bench.said(7, channel).last(), Some(&Reading::NoData(NoData::Tampered)), "{story}");
    }
    assert_eq!(bench.notices.iter().filter(|notice| **notice == Notice::Double(7)).count(), 1, "{story}");
    let standing = &bench.master.standings()[0];
    assert_eq!(standing.distrust, Some(Distrust::Quarantined), "{story}");
}

#[test]
fn a_copy_beside_its_original_is_found_and_neither_counts() {
    for same_wire in [true, false] {
        let mut bench = Bench::new(&[7]);
        bench.run(2_000);
        bench.sense(7, NodeChannel::Load1, 5.0);
        bench.run(500);
        let copy = copy_of(&bench, false);
        bench.stations.push(copy);
        if !same_wire {
            // Nothing but a challenge makes the newcomer speak.
            bench.restart_gateway(2);
        }
        let found = found_after(&mut bench, 60_000);
        // On one wire the newcomer knows no session and keeps quiet until the next challenge.
        if same_wire && found.is_none() {
            bench.restart_gateway(2);
            assert!(found_after(&mut bench, 10_000).is_some());
        }
        check_quarantine(&mut bench, "a copy");
    }
}

#[test]
fn a_copy_that_takes_over_and_an_original_that_comes_back_are_found() {
    let mut bench = Bench::new(&[7]);
    bench.run(2_000);
    let copy = copy_of(&bench, false);
    // The copy answers while the original has no power, works, and then the original is back.
    let original = std::mem::replace(&mut bench.stations, vec![copy]);
    for i in 0..30 {
        bench.sense(7, NodeChannel::Load1, i as f32);
        bench.run(100);
    }
    assert!(!bench.notices.contains(&Notice::Double(7)), "one device after another can be one node");
    bench.stations = original;
    bench.power(7, true);
    assert!(found_after(&mut bench, 30_000).is_some(), "{:?}", bench.notices);
    check_quarantine(&mut bench, "the original came back");
}

#[test]
fn a_second_device_with_the_key_alone_is_found_when_both_have_spoken() {
    let mut bench = Bench::new(&[7]);
    bench.run(2_000);
    let second = copy_of(&bench, true);
    let original = std::mem::replace(&mut bench.stations, vec![second]);
    bench.run(15_000);
    assert!(bench.notices.contains(&Notice::NewStore(7)) && !bench.notices.contains(&Notice::Double(7)));
    bench.stations = original;
    assert!(found_after(&mut bench, 30_000).is_some(), "{:?}", bench.notices);
    check_quarantine(&mut bench, "the original is still there");
}

#[test]
fn one_node_is_never_taken_for_two_whatever_power_and_line_do_to_it() {
    let heavy = std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes");
    for seed in 0..if heavy { 200 } else { 12 } {
        let mut bench = Bench::new(&[7]);
        bench.noise = Noise(seed);
        bench.wear = Wear { drop: 150, twice: 100, hurt: 100 };
        let mut session = 1;
        for i in 0..200 {
            if bench.station(7).node.is_some() {
                bench.sense(7, NodeChannel::Load1, i as f32);
                bench.sense(7, NodeChannel::Pir, i % 3 == 0);
            }
            let pause = bench.noise.next() % 300;
            bench.run(pause);
            match bench.noise.next() % 12 {
                0 => bench.power(7, false),
                1..=3 => bench.power(7, true),
                4 => {
                    session += 1;
                    bench.restart_gateway(session);
                }
                _ => {}
            }
        }
        assert!(!bench.notices.contains(&Notice::Double(7)), "seed {seed}: {:?}", bench.notices);
        assert!(!bench.counts.contains_key(&Outcome::Replayed), "seed {seed}: {:?}", bench.counts);
    }
}

const OTHER: PortId = PortId(1);

impl Bench {
    /// Somebody connects.
    fn connect(&mut self, station: Station) {
        let port = station.port;
        self.stations.push(station);
        self.master.connected(port, self.now());
        self.act();
    }
}

#[test]
fn a_copy_on_a_connection_of_its_own_is_found_at_once_while_its_original_works_on() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(20_000);
    bench.sense(7, NodeChannel::Load1, 5.0);
    bench.run(500);
    let copy = Station { port: OTHER, ..copy_of(&bench, false) };
    bench.connect(copy);
    let found = found_after(&mut bench, 5_000);
    // Two challenges of a node at every 100 ms.
    assert!(found.is_some_and(|after| after < 500), "{found:?}: {:?}", bench.notices);
    bench.run(200);
    bench.counts.clear();
    bench.sense(8, NodeChannel::Load1, 6.0);
    bench.run(1_000);
    assert_eq!(bench.loads(8), [6], "the others work on");
    check_quarantine(&mut bench, "a copy on its own connection");
}

#[test]
fn a_copy_in_the_very_boot_of_its_original_is_found_whichever_said_more() {
    for copy_polled_every in [20, 700] {
        // Made while the original had no power, so that both count the same boots.
        let mut bench = Bench::new(&[7]);
        let mut elsewhere = Bench::new(&[7]);
        elsewhere.config.every = Duration::from_millis(copy_polled_every);
        elsewhere.restart_gateway(2);
        for bench in [&mut bench, &mut elsewhere] {
            bench.run(12_000);
        }
        let copy = Station { port: OTHER, ..elsewhere.stations.remove(0) };
        bench.connect(copy);
        let found = found_after(&mut bench, 5_000);
        assert!(found.is_some_and(|after| after < 500), "polled every {copy_polled_every} ms: {found:?}");
    }
}

#[test]
fn a_node_that_connects_anew_beside_its_half_open_connection_is_one_node() {
    for seed in 0..20 {
        let mut bench = Bench::new(&[7]);
        bench.noise = Noise(seed);
        bench.run(1_000);
        for port in (1..30).map(PortId) {
            bench.sense(7, NodeChannel::Load1, port.0 as f32);
            let before = bench.from_nodes.len();
            let pause = 100 + bench.noise.next() % 3_000;
            bench.run(pause);
            let left = bench.stations[0].port;
            let late = bench.from_nodes[before..].to_vec();
            if bench.noise.next().is_multiple_of(3) {
                bench.power(7, true);
            }
            bench.stations[0].port = port;
            bench.master.connected(port, bench.now());
            bench.act();
            bench.run(400);
            if bench.noise.next().is_multiple_of(2) {
                // What the network held back comes over the connection that the node has left.
                bench.master.received(left, &late, bench.now());
            }
            if bench.noise.next().is_multiple_of(2) {
                bench.master.disconnected(left, bench.now());
            }
        }
        bench.run(12_000);
        let told: Vec<&Notice> = bench.notices.iter().filter(|notice| !notice.is_good()).collect();
        assert!(told.is_empty(), "seed {seed}: {told:?}");
        assert_eq!(bench.loads(7).last(), Some(&29), "seed {seed}");
        assert_eq!(bench.standing(7).distrust, None);
    }
}
