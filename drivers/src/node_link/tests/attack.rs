//! Somebody on the line who has recordings and no key.

use super::*;

fn tampered(bench: &Bench) -> usize {
    let said = bench.said(7, NodeChannel::Tamper);
    said.iter().filter(|reading| **reading == Reading::NoData(NoData::Tampered)).count()
}

/// A frame in node 7's name, sealed by somebody who has not its key.
fn forgery() -> Vec<u8> {
    let header = Header { suite: SuiteId::default(), node: 7, epoch: 99, counter: 0 };
    let wrong = NodeKey::new([0x66; 32]).link(Direction::NodeToGateway, 7, 99);
    seal_payload(&header, &wrong, &[1, 2, 3]).unwrap().to_vec()
}

#[test]
fn a_forged_frame_is_an_alarm_each_minute_told_each_hour_and_noise_is_none() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    for _ in 0..20 {
        bench.master.received(PORT, &forgery(), bench.now());
        bench.master.received(PORT, &[1, 2, 3, 0], bench.now());
        bench.run(100);
    }
    assert_eq!((tampered(&bench), bench.notices.clone()), (1, vec![Notice::Forged { node: 7, frames: 1 }]));
    assert_eq!((bench.counts[&Outcome::Forged], bench.counts[&Outcome::Noise]), (20, 20));
    bench.run(60_000);
    bench.master.received(PORT, &forgery(), bench.now());
    bench.run(10);
    assert_eq!((tampered(&bench), bench.notices.len()), (2, 1));
    let standing = bench.standing(7);
    assert_eq!((standing.forged, standing.attacked), (21, Some(WallTime::from_millis(1_700_000_062_500))));
    bench.run(3_600_000 - 62_000);
    assert_eq!(bench.notices[1..], [Notice::Forged { node: 7, frames: 20 }], "told at the end of the hour");
    let header = Header { suite: SuiteId::default(), node: 9, epoch: 99, counter: 0 };
    let wrong = NodeKey::new([0x66; 32]).link(Direction::NodeToGateway, 9, 99);
    bench.master.received(PORT, &seal_payload(&header, &wrong, &[1]).unwrap(), bench.now());
    bench.run(1);
    assert_eq!(bench.notices.last(), Some(&Notice::Stranger(9)));
}

#[test]
fn on_a_line_that_hurts_many_frames_one_wrong_seal_is_no_alarm_and_three_are() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    for _ in 0..700 {
        bench.master.received(PORT, &[1, 2, 3, 0], bench.now());
    }
    for alarms in [0, 0, 1] {
        bench.master.received(PORT, &forgery(), bench.now());
        bench.run(10);
        assert_eq!(tampered(&bench), alarms);
    }
    assert_eq!(bench.notices, [Notice::Forged { node: 7, frames: 3 }]);
}

#[test]
fn one_recorded_frame_is_an_alarm_whatever_it_is() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    for i in 0..10 {
        bench.sense(7, NodeChannel::Load1, i as f32);
        bench.run(300);
    }
    bench.run(1_000);
    assert_eq!(bench.waiting_at(7), 0, "everything is acknowledged");
    bench.run(200);
    let recording = bench.from_nodes.clone();
    let frames: Vec<&[u8]> = recording.split_inclusive(|byte| *byte == 0).filter(|frame| frame.len() > 1).collect();
    let (mut alarms, mut outcomes) = (0, BTreeMap::<Outcome, usize>::new());
    // But for the last word: a line may double it.
    for frame in &frames[..frames.len() - 1] {
        let mut bench = Bench::new(&[7]);
        bench.run(500);
        for i in 0..10 {
            bench.sense(7, NodeChannel::Load1, i as f32);
            bench.run(300);
        }
        bench.run(1_200);
        bench.counts.clear();
        bench.master.received(PORT, frame, bench.now());
        bench.act();
        for (outcome, count) in &bench.counts {
            *outcomes.entry(*outcome).or_default() += count;
        }
        alarms += bench.notices.iter().filter(|said| **said == Notice::Replayed { node: 7, frames: 1 }).count();
    }
    assert_eq!((alarms, outcomes), (frames.len() - 1, BTreeMap::from([(Outcome::Replayed, alarms)])));
}

#[test]
fn recordings_of_a_former_boot_and_of_a_former_session_are_alarms_and_quarantine_nobody() {
    let mut bench = Bench::new(&[7]);
    bench.run(3_000);
    bench.power(7, true);
    bench.run(3_000);
    bench.restart_gateway(2);
    // More frames than are remembered: the hello that answered the last challenge is among those that are not.
    bench.run(60_000);
    let (recording, known) = (bench.from_nodes.clone(), bench.stored.len());
    let frames: Vec<&[u8]> = recording.split_inclusive(|byte| *byte == 0).collect();
    for frame in frames {
        bench.master.received(PORT, frame, bench.now());
        bench.act();
    }
    let told = [Notice::Replayed { node: 7, frames: 1 }];
    assert_eq!(bench.notices.iter().filter(|notice| !notice.is_good()).copied().collect::<Vec<_>>(), told);
    assert_eq!(bench.stored.len(), known + 1, "the alarm");
    bench.sense(7, NodeChannel::Load1, 77.0);
    bench.run(1_000);
    assert_eq!(bench.loads(7).last(), Some(&77), "and it works on");
}

#[test]
fn a_recorded_challenge_that_a_node_answers_in_its_next_boot_quarantines_nobody() {
    let mut bench = Bench::new(&[7]);
    bench.run(5_000);
    let to_node = bench.from_gateway.clone();
    // Somebody cuts its power and plays what the gateway said at its start; then what the node said to that.
    let from_node = bench.from_nodes.clone();
    bench.power(7, true);
    let ms = bench.ms;
    let station = bench.station(7);
    let (booted, node) = (station.booted, station.node.as_mut().unwrap());
    let frames = to_node.split_inclusive(|byte| *byte == 0);
    let mut said: Vec<Vec<u8>> = Vec::new();
    frames.for_each(|frame| said.extend(node.receive(frame, ms - booted).map(<[u8]>::to_vec)));
    assert!(!said.is_empty(), "it answers the recorded challenge");
    for turn in said {
        bench.master.received(PORT, &turn, bench.now());
        bench.act();
    }
    bench.master.received(PORT, &from_node, bench.now());
    bench.run(5_000);
    assert!(!bench.notices.contains(&Notice::Double(7)), "{:?}", bench.notices);
    bench.sense(7, NodeChannel::Load1, 77.0);
    bench.run(1_000);
    assert_eq!(bench.loads(7).last(), Some(&77));
}

#[test]
fn who_connects_again_and_again_and_talks_does_not_keep_the_nodes_from_being_polled() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(500);
    bench.power(8, false);
    bench.run(5_000);
    bench.polled.clear();
    for port in (1..2_000).map(PortId) {
        bench.master.connected(port, bench.now());
        bench.act();
        for _ in 0..10 {
            bench.master.received(port, &[0x55], bench.now());
            bench.run(1);
        }
    }
    // Of 200 turns in 20 s; node 8 costs a few.
    assert!(bench.polled[&7] >= 180, "{:?}", bench.polled);
    assert!(bench.notices.iter().all(|notice| *notice == Notice::Silent(8)), "{:?}", bench.notices);
}
