//! What people ask of nodes, over lines that lose frames and nodes that lose power.

use super::*;
use quaywatch_schemas::frame::message::{Findings, MANIFEST_BYTES, Refusal, TRIAL_SECONDS};

impl Bench {
    fn order(&mut self, number: u16, request: Request) -> OrderId {
        let now = self.now();
        let taken = self.master.order(number, request, now).unwrap();
        self.act();
        taken
    }

    /// Lets time pass until an order ends; how it ended.
    fn end_of(&mut self, order: OrderId, within_ms: u64) -> Report {
        let until = self.ms + within_ms;
        loop {
            let ended =
                self.reports.iter().find(|(id, report)| *id == order && !matches!(report, Report::Progress { .. }));
            if let Some((_, report)) = ended {
                return *report;
            }
            assert!(self.ms < until, "order {order:?} did not end: {:?}", self.reports);
            self.run(1);
        }
    }

    fn node(&mut self, number: u16) -> &mut RealNode<EmulatedFlash> {
        self.station(number).node.as_mut().unwrap()
    }

    pub(super) fn standing(&self, number: u16) -> Standing {
        self.master.standings().into_iter().find(|standing| standing.node == number).unwrap()
    }
}

#[test]
fn a_node_blinks_tests_itself_and_restarts_when_it_is_told_to() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(500);
    let blink = bench.order(7, Request::Identify { seconds: 5 });
    assert_eq!(bench.end_of(blink, 300), Report::Done);
    let (ms, booted) = (bench.ms, bench.station(7).booted);
    assert!(bench.node(7).blinks(ms - booted) && !bench.node(8).blinks(ms));
    let test = bench.order(7, Request::SelfTest);
    let Report::Tested(Findings { flash: true, without_value, .. }) = bench.end_of(test, 300) else { panic!() };
    assert_eq!(without_value, 1 << NodeChannel::Load1.index(), "nothing was ever weighed");
    bench.sense(7, NodeChannel::Load1, 42.0);
    let restart = bench.order(7, Request::Restart);
    assert_eq!(bench.end_of(restart, 5_000), Report::Done);
    bench.run(1_000);
    assert_eq!((bench.standing(7).boot, bench.standing(7).reset), (Some(2), Some(ResetCause::Software)));
    assert_eq!(bench.loads(7).last(), Some(&42), "what it had not sent was kept");
    let update =
        Request::Update { firmware: Firmware { board: 1, version: 2 }, image: vec![1; MANIFEST_BYTES + 9].into() };
    let update = bench.order(7, update);
    assert_eq!(bench.end_of(update, 500), Report::Refused(Refusal::Unsupported), "this one cannot be updated");
}

#[test]
fn an_order_is_carried_out_once_over_a_line_that_loses_and_doubles_frames() {
    for seed in 1..9 {
        let mut bench = Bench::new(&[7, 8]);
        bench.noise = Noise(seed);
        bench.run(500);
        bench.wear = Wear { drop: 150, twice: 80, hurt: 100 };
        let restarts: Vec<OrderId> = (0..3).map(|_| bench.order(7, Request::Restart)).collect();
        for restart in restarts {
            assert_eq!(bench.end_of(restart, 60_000), Report::Done, "seed {seed}");
        }
        bench.wear = Wear::default();
        bench.run(12_000);
        // The second order may find the boot that the first one led to, so each restarts it once.
        assert_eq!(bench.standing(7).boot, Some(4), "seed {seed}");
        assert!(
            bench.notices.iter().all(|notice| !matches!(notice, Notice::Double(_))),
            "seed {seed}: {:?}",
            bench.notices
        );
    }
}

#[test]
fn settings_come_over_a_bad_line_and_stay() {
    for seed in 1..4 {
        let mut bench = Bench::new(&[7]);
        bench.noise = Noise(seed);
        bench.run(500);
        bench.wear = Wear { drop: 150, twice: 80, hurt: 100 };
        let wanted = everything().to_bytes();
        let configure = bench.order(7, Request::Configure(wanted.to_vec().into()));
        assert_eq!(bench.end_of(configure, 120_000), Report::Done, "seed {seed}");
        bench.wear = Wear::default();
        let told = blake3::hash(&wanted).as_bytes()[..8].try_into().map(u64::from_le_bytes).unwrap();
        assert_eq!(bench.standing(7).settings, Some(SettingsState::Told(told)), "seed {seed}");
        bench.sense(7, NodeChannel::Door, true);
        bench.run(u64::from(TRIAL_SECONDS) * 1000 + 10);
        bench.sense(7, NodeChannel::Door, false);
        bench.power(7, true);
        bench.sense(7, NodeChannel::Door, false);
        bench.run(1_000);
        assert!(matches!(bench.standing(7).settings, Some(SettingsState::Told(_))), "seed {seed}");
        let sizes: Vec<u32> = bench
            .reports
            .iter()
            .filter_map(|(_, report)| if let Report::Progress { has, .. } = report { Some(*has) } else { None })
            .collect();
        assert!(sizes.is_sorted() && sizes.last() == Some(&(wanted.len() as u32)), "seed {seed}: {sizes:?}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_and_the_node_goes_on() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    let nonsense = bench.order(7, Request::Configure([0xff; 40].into()));
    assert_eq!(bench.end_of(nonsense, 5_000), Report::Refused(Refusal::BadSettings));
    bench.sense(7, NodeChannel::Load1, 3.0);
    bench.run(500);
    assert_eq!(bench.loads(7), [3]);
}

#[test]
fn what_cannot_be_done_is_not_taken_and_what_does_not_get_on_is_given_up() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    let now = bench.now();
    let mut taken = |node, request| bench.master.order(node, request, now).map(|_| ());
    assert_eq!(taken(9, Request::SelfTest), Err(NotTaken::NoSuchNode));
    assert_eq!(taken(7, Request::Configure([].into())), Err(NotTaken::Size));
    assert_eq!(taken(7, Request::Configure([0; 801].into())), Err(NotTaken::Size));
    assert_eq!(taken(7, Request::Rotate(NodeKey::new([1; 32]))), Ok(()));
    assert_eq!(taken(7, Request::Rotate(NodeKey::new([2; 32]))), Err(NotTaken::Rotating));
    bench.run(1_000);
    bench.power(7, false);
    bench.run(1_000);
    let orders: Vec<OrderId> = (0..8).map(|_| bench.order(7, Request::SelfTest)).collect();
    let now = bench.now();
    assert_eq!(bench.master.order(7, Request::SelfTest, now), Err(NotTaken::Full));
    bench.run(61_000);
    for order in orders {
        assert_eq!(bench.end_of(order, 0), Report::TimedOut);
    }
    assert_eq!(bench.standing(7).orders, 0);
}

/// The keys that the gateway would have on disk.
fn trust(bench: &mut Bench, trust: Trust) {
    bench.config.nodes[0].trust = trust;
}

fn hex(key: u8) -> Secret {
    Secret::new(format!("{key:02x}").repeat(32))
}

#[test]
fn a_key_is_rotated_through_losses_power_cuts_and_restarts_of_the_gateway_and_no_word_is_lost() {
    let heavy = std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes");
    for seed in 1..if heavy { 100 } else { 9 } {
        let mut bench = Bench::new(&[7, 8]);
        bench.noise = Noise(seed);
        bench.run(500);
        bench.wear = Wear { drop: 150, twice: 60, hurt: 100 };
        let rotating = Trust::Rotating { key: hex(7), next: hex(0x99) };
        // Written down before the node hears of it.
        trust(&mut bench, rotating);
        bench.order(7, Request::Rotate(NodeKey::new([0x99; 32])));
        let (mut said, mut session, mut rotated) = (Vec::new(), 1, false);
        for i in 0..120i64 {
            bench.sense(7, NodeChannel::Load1, i as f32);
            bench.sense(7, NodeChannel::Pir, i % 2 == 0);
            said.push(i);
            let pause = 20 + bench.noise.next() % 80;
            bench.run(pause);
            rotated |= bench.standing(7).rotated;
            match bench.noise.next() % 40 {
                0 => {
                    session += 1;
                    bench.restart_gateway(session);
                }
                1 => {
                    // What was routine is in RAM; it is let go to the gateway first.
                    bench.wear = Wear::default();
                    while bench.loads(7).last() != Some(&i) {
                        bench.run(100);
                    }
                    bench.wear = Wear { drop: 150, twice: 60, hurt: 100 };
                    bench.power(7, true);
                }
                _ => {}
            }
        }
        bench.wear = Wear::default();
        bench.run(20_000);
        assert!(rotated || bench.standing(7).rotated, "seed {seed}");
        let mut came = bench.loads(7);
        came.sort_unstable();
        came.dedup();
        assert_eq!(came, said, "seed {seed}: words were lost");
        assert!(!bench.counts.contains_key(&Outcome::Forged), "seed {seed}: {:?}", bench.counts);
        assert!(!bench.notices.contains(&Notice::Double(7)), "seed {seed}");
        // From here on the former key is worth nothing, and the new one alone is enough.
        trust(&mut bench, Trust::Key(hex(0x99)));
        bench.restart_gateway(1_000);
        bench.sense(7, NodeChannel::Load1, 500.0);
        bench.run(2_000);
        assert_eq!(bench.loads(7).last(), Some(&500), "seed {seed}");
        trust(&mut bench, Trust::Key(hex(7)));
        bench.restart_gateway(1_001);
        bench.run(2_000);
        assert_eq!(bench.standing(7).answers, Answers::No, "seed {seed}");
    }
}

#[test]
fn a_week_old_copy_of_what_the_gateway_keeps_repeats_no_nonce() {
    let mut bench = Bench::new(&[7]);
    bench.noise = Noise(3);
    bench.wear = Wear { drop: 100, twice: 0, hurt: 0 };
    let work = |bench: &mut Bench, from: i64| {
        for i in from..from + 60 {
            bench.sense(7, NodeChannel::Load1, i as f32);
            bench.run(70);
            if i % 20 == 0 {
                bench.power(7, true);
                bench.order(7, Request::Identify { seconds: 1 });
            }
        }
    };
    work(&mut bench, 0);
    let backup = bench.config.clone();
    // A week passes, in which the gateway is restarted and the key is rotated.
    trust(&mut bench, Trust::Rotating { key: hex(7), next: hex(0x99) });
    bench.restart_gateway(2);
    work(&mut bench, 100);
    bench.run(3_000);
    assert!(bench.standing(7).rotated);
    trust(&mut bench, Trust::Key(hex(0x99)));
    bench.restart_gateway(3);
    work(&mut bench, 200);
    // The backup is put back: the node does not know it any more, and is given its key again at the node.
    bench.config = backup;
    bench.restart_gateway(4);
    bench.run(2_000);
    bench.config.nodes[0].trust = Trust::Key(hex(0x99));
    bench.restart_gateway(5);
    work(&mut bench, 300);
    bench.run(3_000);
    let deframe = |bytes: &[u8]| {
        let mut deframer = Deframer::default();
        bytes.iter().filter_map(|byte| deframer.push(*byte)).map(Result::unwrap).collect::<Vec<_>>()
    };
    let (from_nodes, from_gateway) = (deframe(&bench.from_nodes), deframe(&bench.from_gateway));
    assert!(from_nodes.len() + from_gateway.len() > 500);
    // What the gateway says never has a session's counter twice, under whatever key.
    let mut sealed = BTreeMap::new();
    for frame in from_gateway {
        let nonce = (frame.header().epoch, frame.header().counter);
        assert!(sealed.insert(nonce, ()).is_none(), "{nonce:?} stands for two messages");
    }
    // A node repeats what it keeps, as the same message; after a new key under that one too.
    let keys = [key(7), NodeKey::new([0x99; 32])];
    let mut sealed = BTreeMap::new();
    for frame in from_nodes {
        let header = *frame.header();
        let open = |key: &NodeKey| {
            let link = key.link(Direction::NodeToGateway, 7, header.epoch);
            frame.clone().open(&link).ok()
        };
        let opened = keys.iter().find_map(open).expect("it is under one of the keys");
        let nonce = (header.epoch, header.counter);
        let before = sealed.insert(nonce, opened.payload.to_vec());
        assert!(before.is_none_or(|before| before == opened.payload[..]), "{nonce:?} stands for two messages");
    }
}

#[test]
fn who_speaks_in_the_name_of_a_revoked_node_is_an_alarm_and_nothing_else() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(500);
    let recording = bench.from_nodes.clone();
    trust(&mut bench, Trust::Not(Distrust::Revoked));
    bench.restart_gateway(2);
    bench.polled.clear();
    bench.act();
    bench.sense(7, NodeChannel::Load1, 3.0);
    bench.run(1_000);
    assert_eq!((bench.polled.get(&7), bench.loads(7)), (None, vec![]), "it is not even asked");
    let known = bench.notices.len();
    bench.master.received(PORT, &recording, bench.now());
    bench.run(100);
    let of_others = Notice::Replayed { node: 8, frames: 1 };
    assert_eq!(bench.notices[known..], [Notice::Revoked { node: 7, frames: 1 }, of_others]);
    assert!(bench.counts[&Outcome::Distrusted] > 1);
    assert_eq!(bench.said(7, NodeChannel::Tamper).last(), Some(&Reading::NoData(NoData::Tampered)));
    let now = bench.now();
    assert_eq!(bench.master.order(7, Request::SelfTest, now), Err(NotTaken::NotTrusted));
    assert_eq!(bench.standing(7).distrust, Some(Distrust::Revoked));
}
