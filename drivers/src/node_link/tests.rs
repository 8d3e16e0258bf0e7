//! The master and real nodes on a bus of bytes, in simulated time.

use super::*;
use quaywatch_node::{
    Boot, Channel as NodeChannel, Config as NodeConfig, Node as RealNode, NodeKey, ResetCause,
    emulation::{EmulatedFlash, Noise},
    settings::{Draft, Measure, Motion, Sensing, Settings},
};
use quaywatch_schemas::{
    LineId, NoData, Observation, Reading, Record, WallTime,
    frame::{
        Deframer, Direction, Header, SuiteId,
        message::{Firmware, FromNode, SettingsState},
        seal, seal_payload,
    },
    observation::{Freshness, Health, SourceId},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

mod attack;
mod double;
mod forgery;
mod orders;
mod outage;

const PORT: PortId = PortId(0);

fn hex_key(node: u16) -> String {
    format!("{node:02x}").repeat(32)
}

fn key(node: u16) -> NodeKey {
    NodeKey::new([node as u8; 32])
}

fn sensor(node: u16, channel: NodeChannel) -> SensorId {
    SensorId::new(&format!("n{node}-{channel}")).unwrap()
}

const CHANNELS: [NodeChannel; 4] = [NodeChannel::Pir, NodeChannel::Tamper, NodeChannel::Load1, NodeChannel::Health];

fn config(nodes: &[u16]) -> Config {
    let node = |number: u16| Node {
        number,
        trust: Trust::Key(Secret::new(hex_key(number))),
        channels: CHANNELS
            .map(|channel| Channel { name: channel.name().into(), sensor: sensor(number, channel), unit: None })
            .into(),
    };
    Config {
        carrier: Carrier::Connect { host: "node.example".into(), port: 1 },
        every: Duration::from_millis(100),
        timeout: Duration::from_millis(50),
        nodes: nodes.iter().map(|number| node(*number)).collect(),
    }
}

fn node_config(number: u16) -> NodeConfig {
    let pir = Motion { warm_up_ms: 0, hold_ms: 200, ..Motion::default() };
    // Every value is a word.
    let load = Measure { stale_ms: 14_400_000, ..Measure::default() };
    let draft = Draft { heartbeat_ms: 2_000, ..Draft::default() }
        .with_sensing(NodeChannel::Pir, Sensing::Motion(pir))
        .with(NodeChannel::Tamper)
        .with_sensing(NodeChannel::Load1, Sensing::Measure(load))
        .with(NodeChannel::Health);
    NodeConfig::new(number, key(number)).by(&draft.check().unwrap())
}

/// As much as can hang on one node, sensed as is usual.
fn everything() -> Settings {
    use NodeChannel::{
        Badge1, Badge2, Door, Fence, Grant, Health, Load1, Load2, Load3, Load4, Pir, Presence, Range, Supply, Tamper,
        Vibration,
    };
    let all = [Pir, Tamper, Vibration, Fence, Range, Presence, Door, Badge1, Badge2, Grant, Load1, Load2, Load3, Load4];
    let all = all.into_iter().chain([Supply, Health]).fold(Draft::default(), Draft::with);
    all.check().unwrap()
}

/// What a line does to bytes, in per mille of frames.
#[derive(Clone, Copy, Default)]
struct Wear {
    drop: u64,
    twice: u64,
    hurt: u64,
}

/// A node that can lose power.
struct Station {
    number: u16,
    flash: EmulatedFlash,
    node: Option<RealNode<EmulatedFlash>>,
    booted: u64,
    /// The connection that it is behind.
    port: PortId,
}

/// How the ledger behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Syncs after so many milliseconds.
    Late(u64),
    Stuck,
    Refuses,
}

/// Bus, nodes, master and ledger; one step is a millisecond.
struct Bench {
    start: Instant,
    ms: u64,
    config: Config,
    master: Master,
    stations: Vec<Station>,
    wear: Wear,
    noise: Noise,
    mood: Mood,
    waiting: VecDeque<(u64, Ticket, Vec<Record>)>,
    /// What is on disk, in order, repeats dropped as the ledger drops them.
    stored: Vec<Observation>,
    /// Where in it each start of the gateway is.
    starts: Vec<usize>,
    letters: usize,
    ids: BTreeSet<SourceId>,
    repeats: usize,
    from_nodes: Vec<u8>,
    from_gateway: Vec<u8>,
    reports: Vec<(OrderId, Report)>,
    counts: BTreeMap<Outcome, usize>,
    notices: Vec<Notice>,
    polled: BTreeMap<u16, usize>,
}

impl Bench {
    fn new(nodes: &[u16]) -> Self {
        let (start, config) = (Instant::now(), config(nodes));
        let now = Now { at: start, wall: WallTime::from_millis(1_700_000_000_000) };
        let mut bench = Self {
            start,
            ms: 0,
            master: Master::new(LineId::new("bus").unwrap(), &config, 1, now).unwrap(),
            config,
            stations: Vec::new(),
            wear: Wear::default(),
            noise: Noise(1),
            mood: Mood::Late(3),
            waiting: VecDeque::new(),
            stored: Vec::new(),
            starts: vec![0],
            letters: 0,
            ids: BTreeSet::new(),
            repeats: 0,
            from_nodes: Vec::new(),
            from_gateway: Vec::new(),
            reports: Vec::new(),
            counts: BTreeMap::new(),
            notices: Vec::new(),
            polled: BTreeMap::new(),
        };
        for number in nodes {
            let flash = EmulatedFlash::in_memory(12);
            bench.stations.push(Station { number: *number, flash, node: None, booted: 0, port: PORT });
            bench.power(*number, true);
        }
        bench.master.connected(PORT, bench.now());
        bench
    }

    fn now(&self) -> Now {
        let wall = WallTime::from_millis(1_700_000_000_000 + self.ms as i64);
        Now { at: self.start + Duration::from_millis(self.ms), wall }
    }

    fn station(&mut self, number: u16) -> &mut Station {
        self.stations.iter_mut().find(|station| station.number == number).unwrap()
    }

    fn power(&mut self, number: u16, on: bool) {
        self.reset(number, on.then_some(ResetCause::PowerOn));
    }

    /// Takes a node's power, and starts it again if there is a cause to.
    fn reset(&mut self, number: u16, starts: Option<ResetCause>) {
        let ms = self.ms;
        let station = self.station(number);
        (station.node, station.booted) = (None, ms);
        if let Some(reset) = starts {
            let boot = Boot { reset, entropy: 0xe90c_0000 + u64::from(number), now: 0 };
            let mut node = RealNode::boot(node_config(number), station.flash.clone(), boot);
            node.sense(NodeChannel::Tamper, false, 0).unwrap();
            station.node = Some(node);
        }
    }

    fn restart_gateway(&mut self, session: u64) {
        // What was on its way to the disk may or may not have come there.
        let lost = self.noise.next().is_multiple_of(2);
        for (_, _, records) in std::mem::take(&mut self.waiting) {
            if !lost {
                self.write(records);
            }
        }
        self.starts.push(self.stored.len());
        self.master = Master::new(LineId::new("bus").unwrap(), &self.config, session, self.now()).unwrap();
        self.master.connected(PORT, self.now());
    }

    fn sense(&mut self, number: u16, channel: NodeChannel, value: impl Into<quaywatch_node::Sensed>) {
        let ms = self.ms;
        let station = self.station(number);
        let now = ms - station.booted;
        station.node.as_mut().unwrap().sense(channel, value, now).unwrap();
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.ms += 1;
            for station in &mut self.stations {
                let now = self.ms - station.booted;
                if let Some(node) = &mut station.node {
                    node.tick(now);
                }
            }
            let wants = |station: &Station| {
                station.node.as_ref().is_some_and(|node| node.wants_restart(self.ms - station.booted))
            };
            for number in
                self.stations.iter().filter(|station| wants(station)).map(|station| station.number).collect::<Vec<_>>()
            {
                self.reset(number, Some(ResetCause::Software));
            }
            self.master.tick(self.now());
            self.act();
            while self.waiting.front().is_some_and(|(due, ..)| *due <= self.ms) && self.mood != Mood::Stuck {
                let (_, ticket, records) = self.waiting.pop_front().unwrap();
                if self.mood == Mood::Refuses {
                    self.master.refused(ticket, self.now());
                } else {
                    self.write(records);
                    self.master.stored(ticket);
                }
            }
        }
    }

    /// Does what the master wants, which may give it more to want.
    fn act(&mut self) {
        while let Some(output) = self.master.next_output() {
            match output {
                Output::Send(bytes) => {
                    self.from_gateway.extend_from_slice(&bytes);
                    for bytes in self.through(bytes) {
                        for at in 0..self.stations.len() {
                            self.hear(at, &bytes);
                        }
                    }
                }
                Output::Store { records, ticket: Some(ticket), .. } => {
                    let delay = if let Mood::Late(delay) = self.mood { delay } else { 0 };
                    self.waiting.push_back((self.ms + delay, ticket, records));
                }
                Output::Store { records, ticket: None, .. } => self.write(records),
                Output::Count(outcome) => *self.counts.entry(outcome).or_default() += 1,
                Output::Tell(notice) => self.notices.push(notice),
                Output::Report { order, report, .. } => self.reports.push((order, report)),
                Output::Close(_) => {}
            }
        }
    }

    fn hear(&mut self, at: usize, bytes: &[u8]) {
        let station = &mut self.stations[at];
        let now = self.ms - station.booted;
        let Some(turn) = station.node.as_mut().and_then(|node| node.receive(bytes, now)) else { return };
        let turn = turn.to_vec();
        *self.polled.entry(station.number).or_default() += 1;
        self.from_nodes.extend_from_slice(&turn);
        // On a pair of wires everybody hears everybody, the speaker too.
        for other in &mut self.stations {
            let now = self.ms - other.booted;
            let heard = other.node.as_mut().and_then(|node| node.receive(&turn, now));
            assert_eq!(heard, None, "node {} answers a node", other.number);
        }
        // Frame by frame, as loss comes.
        for frame in turn.split_inclusive(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>() {
            for bytes in self.through(frame) {
                self.master.received(self.stations[at].port, &bytes, self.now());
            }
        }
    }

    fn through(&mut self, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut happens = |per_mille: u64| self.noise.next() % 1000 < per_mille;
        let (drop, twice, hurt) = (happens(self.wear.drop), happens(self.wear.twice), happens(self.wear.hurt));
        if hurt {
            let at = self.noise.next() as usize % bytes.len();
            bytes[at] ^= 1 << (self.noise.next() % 8);
        }
        match (drop, twice) {
            (true, _) => Vec::new(),
            (_, true) => vec![bytes.clone(), bytes],
            _ => vec![bytes],
        }
    }

    /// The ledger: it drops an observation whose identity it knows.
    fn write(&mut self, records: Vec<Record>) {
        for record in records {
            match record {
                Record::Observation(observation) => match observation.source_id {
                    Some(id) if !self.ids.insert(id) => self.repeats += 1,
                    _ => self.stored.push(observation),
                },
                Record::DeadLetter(_) => self.letters += 1,
                Record::Control(_) => unreachable!("a node says nothing of the kind"),
            }
        }
    }

    fn said(&self, number: u16, channel: NodeChannel) -> Vec<Reading> {
        let sensor = sensor(number, channel);
        self.stored.iter().filter(|said| said.sensor == sensor).map(|said| said.reading.clone()).collect()
    }

    fn loads(&self, number: u16) -> Vec<i64> {
        let sensor = sensor(number, NodeChannel::Load1);
        self.stored.iter().filter(|said| said.sensor == sensor).filter_map(load).collect()
    }

    fn waiting_at(&mut self, number: u16) -> usize {
        self.station(number).node.as_mut().unwrap().waiting()
    }
}

fn load(said: &Observation) -> Option<i64> {
    if let Reading::Measure(load) = &said.reading { Some(load.value.get() as i64) } else { None }
}

#[test]
fn a_word_goes_from_the_sensor_to_the_disk_and_is_acknowledged_only_then() {
    let mut bench = Bench::new(&[7]);
    bench.mood = Mood::Stuck;
    bench.run(300);
    bench.sense(7, NodeChannel::Pir, true);
    bench.run(1_000);
    assert_eq!((bench.said(7, NodeChannel::Pir), bench.waiting_at(7) > 0), (vec![], true), "nothing is on disk");
    bench.mood = Mood::Late(0);
    bench.run(500);
    assert_eq!(bench.said(7, NodeChannel::Pir).last(), Some(&Reading::Contact(true)));
    let words = bench.stored.iter().filter(|said| said.sensor == sensor(7, NodeChannel::Pir));
    let on = words.clone().find(|said| said.reading == Reading::Contact(true)).unwrap();
    let at = on.observed_at.unwrap();
    assert_eq!((at.at, on.freshness), (WallTime::from_millis(1_700_000_000_300), Freshness::Live));
    bench.run(300);
    assert!(bench.waiting_at(7) <= 1, "acknowledged; at most a fresh heartbeat waits");
}

#[test]
fn over_a_line_that_drops_doubles_and_hurts_frames_every_word_arrives_once_and_in_order() {
    let heavy = std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes");
    for seed in 4..if heavy { 64 } else { 9 } {
        let mut bench = Bench::new(&[7, 8]);
        bench.noise = Noise(seed);
        bench.wear = Wear { drop: 120, twice: 60, hurt: 120 };
        bench.mood = Mood::Late(seed * 7);
        let (mut said, mut session) = (BTreeMap::from([(7, Vec::new()), (8, Vec::new())]), 1);
        for i in 0..400i64 {
            for number in [7, 8] {
                bench.sense(number, NodeChannel::Load1, i as f32);
                said.get_mut(&number).unwrap().push(i);
            }
            let pause = bench.noise.next() % 60;
            bench.run(pause);
            if bench.noise.next().is_multiple_of(100) {
                session += 1;
                bench.restart_gateway(session);
            }
        }
        bench.wear = Wear::default();
        bench.run(15_000);
        for number in [7, 8] {
            // Heartbeats and reports repeat the last value; each is a word of its own.
            let mut came = bench.loads(number);
            came.dedup();
            let mut once = came.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once, said[&number], "seed {seed}: node {number} lost words");
            let ends = bench.starts.iter().skip(1).copied().chain([bench.stored.len()]);
            for (start, end) in bench.starts.iter().zip(ends) {
                let run = &bench.stored[*start..end];
                let own = run.iter().filter(|word| word.sensor == sensor(number, NodeChannel::Load1));
                let live = own.filter(|word| word.freshness == Freshness::Live).filter_map(load);
                assert!(live.is_sorted(), "seed {seed}: what is said to be happening now goes back in time");
            }
        }
        let ids: Vec<_> = bench.stored.iter().filter_map(|word| word.source_id).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
        for attack in [Outcome::Forged, Outcome::Replayed] {
            assert!(!bench.counts.contains_key(&attack), "seed {seed}: noise is no attack: {:?}", bench.counts);
        }
        assert!(bench.counts[&Outcome::Noise] > 10 && bench.counts.contains_key(&Outcome::Repeat));
    }
}

#[test]
fn a_recording_brings_nothing_in_neither_in_the_same_run_nor_after_a_restart() {
    let words = |bench: &Bench| bench.stored.iter().filter(|said| !matches!(said.reading, Reading::NoData(_))).count();
    let mut bench = Bench::new(&[7]);
    for i in 0..50 {
        bench.sense(7, NodeChannel::Load1, i as f32);
        bench.sense(7, NodeChannel::Pir, i % 2 == 0);
        bench.run(100);
    }
    bench.run(1_000);
    let (recording, known) = (bench.from_nodes.clone(), words(&bench));
    assert!(recording.len() > 2_000);
    let replay = |bench: &mut Bench, story: &str| {
        bench.counts.clear();
        bench.master.received(PORT, &recording, bench.now());
        bench.act();
        bench.run(50);
        let accepted = bench.counts.get(&Outcome::Accepted).copied().unwrap_or(0);
        let forged = bench.counts.get(&Outcome::Forged).copied().unwrap_or(0);
        assert_eq!((accepted, forged, words(bench)), (0, 0, known), "{story}: {:?}", bench.counts);
    };
    bench.stations[0].node = None; // the node itself keeps quiet
    replay(&mut bench, "in the same run");
    bench.restart_gateway(2);
    replay(&mut bench, "after a restart, before the node proved itself");
    bench.power(7, true);
    bench.run(250);
    bench.stations[0].node = None;
    bench.run(10);
    bench.waiting.clear();
    let known = words(&bench);
    bench.counts.clear();
    bench.master.received(PORT, &recording, bench.now());
    bench.act();
    assert_eq!((bench.counts.get(&Outcome::Accepted), words(&bench)), (None, known), "after it did");
}

#[test]
fn alarms_survive_power_cuts_of_the_node_and_restarts_of_the_gateway_at_the_same_time() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    bench.mood = Mood::Stuck;
    for session in 2..6 {
        // Long enough for the report that a gateway asks for after its start.
        bench.run(500);
        bench.sense(7, NodeChannel::Pir, true);
        bench.run(30);
        bench.power(7, false);
        bench.run(700);
        bench.power(7, true);
        bench.restart_gateway(session);
    }
    bench.mood = Mood::Late(1);
    bench.run(3_000);
    let alarms = bench.said(7, NodeChannel::Pir).iter().filter(|reading| **reading == Reading::Contact(true)).count();
    assert_eq!(alarms, 4, "each motion arrives once");
}

#[test]
fn what_the_ledger_refuses_is_not_acknowledged_and_comes_again() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    bench.mood = Mood::Refuses;
    bench.sense(7, NodeChannel::Load1, 5.0);
    bench.run(5_000);
    assert_eq!((bench.loads(7), bench.waiting_at(7) > 0), (vec![], true));
    bench.mood = Mood::Late(1);
    bench.run(3_000);
    let mut loads = bench.loads(7);
    loads.dedup();
    assert_eq!((loads, bench.repeats), (vec![5], 0));
}

#[test]
fn a_dead_node_costs_the_others_little_and_is_said_once() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(500);
    bench.power(7, false);
    bench.polled.clear();
    bench.run(20_000);
    let silence =
        bench.said(7, NodeChannel::Pir).iter().filter(|reading| **reading == Reading::NoData(NoData::Timeout)).count();
    assert_eq!(silence, 1);
    assert!(bench.polled[&8] >= 190, "polled {} times of 200", bench.polled[&8]);
    assert_eq!(bench.notices, [Notice::Silent(7)]);
    assert!(!bench.master.nobody_answers());
    bench.power(7, true);
    bench.run(11_000);
    assert_eq!(bench.notices, [Notice::Silent(7), Notice::Back(7)]);
    assert_eq!(
        bench.said(7, NodeChannel::Pir).last(),
        Some(&Reading::Contact(false)),
        "it said at once how things are"
    );
}

#[test]
fn a_ledger_that_hangs_does_not_hold_the_bus() {
    let mut bench = Bench::new(&[7, 8]);
    bench.run(300);
    bench.mood = Mood::Stuck;
    bench.polled.clear();
    for i in 0..100 {
        bench.sense(7, NodeChannel::Load1, i as f32);
        bench.run(100);
    }
    assert!(bench.polled[&7] >= 95 && bench.polled[&8] >= 95, "{:?}", bench.polled);
    assert!(bench.polled[&7] < 400, "and it is not asked again and again for what there is no room for");
    bench.mood = Mood::Late(1);
    bench.run(5_000);
    let mut loads = bench.loads(7);
    loads.dedup();
    assert_eq!(loads, (0..100).collect::<Vec<i64>>());
}

#[test]
fn a_lost_frame_is_asked_for_at_once_and_the_later_one_waits_for_it() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    // The next two turns: one is lost, the other comes.
    bench.sense(7, NodeChannel::Load1, 1.0);
    bench.wear = Wear { drop: 1000, ..Wear::default() };
    let began = bench.ms;
    bench.run(100);
    bench.wear = Wear::default();
    bench.sense(7, NodeChannel::Load1, 2.0);
    while bench.loads(7).len() < 2 && bench.ms < began + 2_000 {
        bench.run(1);
    }
    assert_eq!(bench.loads(7), [1, 2]);
    assert!(bench.ms - began < 600, "took {} ms", bench.ms - began);
}

#[test]
fn a_tamper_is_health_and_ends_when_it_is_known_and_closed() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    bench.sense(7, NodeChannel::Tamper, true);
    bench.run(200);
    bench.sense(7, NodeChannel::Tamper, false);
    bench.run(5_000);
    let mut said = bench.said(7, NodeChannel::Tamper);
    said.dedup();
    let tampered = Reading::Health(Health::Tampered);
    assert_eq!(said, [Reading::Contact(false), tampered, Reading::Contact(false)]);
}

#[test]
fn a_locked_node_and_one_with_a_new_store_are_told_of() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    // Formatted anew, with another epoch.
    let boot = Boot { reset: ResetCause::Update, entropy: 5, now: 0 };
    bench.station(7).flash = EmulatedFlash::in_memory(12);
    let (flash, ms) = (bench.station(7).flash.clone(), bench.ms);
    bench.station(7).node = Some(RealNode::boot(node_config(7), flash, boot));
    bench.station(7).booted = ms;
    bench.run(1_000);
    assert_eq!(bench.notices, [Notice::NewStore(7)]);
    bench.station(7).node = None;
    // Behind the two pages of who the node is.
    bench.station(7).flash.damage(|bytes| bytes[2 * 4096 + 10] ^= 1);
    bench.power(7, true);
    bench.run(1_000);
    assert!(bench.notices.contains(&Notice::Locked(7)), "{:?}", bench.notices);
    assert_eq!(bench.said(7, NodeChannel::Pir).last(), Some(&Reading::Health(Health::Faulty)));
    assert!(!bench.master.nobody_answers(), "it answers");
}

#[test]
fn a_line_that_goes_down_is_said_once_per_sensor_and_ends_with_what_the_nodes_say() {
    let mut bench = Bench::new(&[7]);
    bench.run(500);
    bench.master.disconnected(PORT, bench.now());
    bench.master.unreachable(bench.now());
    bench.run(3_000);
    let lost = |bench: &Bench| {
        bench.stored.iter().filter(|word| word.reading == Reading::NoData(NoData::Disconnected)).count()
    };
    assert_eq!(lost(&bench), CHANNELS.len());
    bench.master.connected(PORT, bench.now());
    bench.run(1_000);
    assert_eq!(lost(&bench), CHANNELS.len());
    assert_eq!(bench.said(7, NodeChannel::Pir).last(), Some(&Reading::Contact(false)));
}

#[test]
fn a_message_of_newer_firmware_is_a_dead_letter_and_is_acknowledged() {
    // A node by hand: it proves itself and then says what this version does not know.
    let mut bench = Bench::new(&[7]);
    bench.stations.clear();
    let (boot_epoch, store_epoch) = (11, 22);
    let frame = |epoch, counter| Header { suite: SuiteId::default(), node: 7, epoch, counter };
    let link = |epoch| key(7).link(Direction::NodeToGateway, 7, epoch);
    let hello = FromNode::Hello(quaywatch_schemas::frame::message::Hello {
        session: 1,
        answers: 0,
        token: 0,
        boot: 1,
        now_ms: 5,
        reset: ResetCause::PowerOn,
        store: quaywatch_schemas::frame::message::StoreState::Open { epoch: store_epoch, oldest: 3, next: 4 },
        runs: Firmware::default(),
        settings: SettingsState::Factory,
    });
    let unknown = seal_payload(&frame(store_epoch, 3), &link(store_epoch), &[0x7f, 1, 2]).unwrap();
    bench.master.received(PORT, &unknown, bench.now());
    bench.act();
    assert_eq!((bench.letters, bench.counts.get(&Outcome::Stale)), (0, Some(&1)), "nothing before the hello");
    bench.master.received(PORT, &seal(&frame(boot_epoch, 0), &link(boot_epoch), &hello).unwrap(), bench.now());
    bench.act();
    bench.master.received(PORT, &unknown, bench.now());
    let (mut acknowledged, mut deframer) = (false, Deframer::default());
    for _ in 0..300 {
        bench.ms += 1;
        bench.master.tick(bench.now());
        while let Some(output) = bench.master.next_output() {
            match output {
                Output::Store { records, ticket: Some(ticket), .. } => {
                    bench.write(records);
                    bench.master.stored(ticket);
                }
                Output::Send(bytes) => {
                    for sealed in bytes.iter().filter_map(|byte| deframer.push(*byte)) {
                        // The hello's token was 0.
                        let polls = key(7).link(Direction::GatewayToNode, 7, 1).after(0);
                        let Ok(opened) = sealed.unwrap().open(&polls) else { continue };
                        if let Ok(quaywatch_schemas::frame::message::FromGateway::Poll(poll)) = opened.message() {
                            acknowledged |= poll.stored.is_some_and(|stored| stored.covers(3));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    assert_eq!((bench.letters, acknowledged), (1, true));
    bench.master.received(PORT, &unknown, bench.now());
    bench.act();
    assert_eq!(bench.letters, 1, "and once is enough");
}

#[test]
fn an_echo_of_our_own_polls_is_not_a_forgery() {
    let mut bench = Bench::new(&[7]);
    bench.stations.clear();
    bench.ms += 1;
    bench.master.tick(bench.now());
    let sent = std::iter::from_fn(|| bench.master.next_output())
        .find_map(|output| if let Output::Send(bytes) = output { Some(bytes) } else { None })
        .unwrap();
    bench.master.received(PORT, &sent, bench.now());
    bench.act();
    assert_eq!((bench.counts.get(&Outcome::Echo), bench.notices.len()), (Some(&1), 0));
}

#[test]
fn a_key_that_is_no_key_is_named_by_its_node() {
    let mut config = config(&[7, 8]);
    config.nodes[1].trust = Trust::Key(Secret::new("none"));
    let now = Now { at: Instant::now(), wall: WallTime(0) };
    assert_eq!(Master::new(LineId::new("bus").unwrap(), &config, 1, now).err(), Some(8));
    assert!(knows_channel("fence") && !knows_channel("radar"));
}
