//! Nodes of which somebody made a second one.

use super::*;

/// A second device with everything that node 7 has.
fn copy_of(bench: &Bench, store_epoch_differs: bool) -> Station {
    let original = bench.stations.iter().find(|station| station.number == 7).unwrap();
    let flash = if store_epoch_differs { EmulatedFlash::in_memory(12) } else { original.flash.copy() };
    let boot = Boot { reset: ResetCause::PowerOn, entropy: 0x666, now: 0 };
    let node = RealNode::boot(node_config(7), flash.clone(), boot);
    Station { number: 7, flash, node: Some(node), booted: bench.ms }
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
    let known = bench.stored.len();
    for at in 0..bench.stations.len() {
        let now = bench.ms - bench.stations[at].booted;
        if let Some(node) = bench.stations[at].node.as_mut() {
            node.sense(NodeChannel::Load1, 9_999.0, now).unwrap();
        }
    }
    bench.run(3_000);
    assert_eq!(bench.stored.len(), known, "{story}: nothing counts any more");
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
    }
}
