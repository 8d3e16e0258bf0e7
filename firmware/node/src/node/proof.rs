//! What a node promises whatever power does, proven over what it really writes; and how long its flash lasts.

use super::*;
use crate::{
    emulation::{EmulatedFlash, Noise},
    settings::{Draft, Motion, Sensing},
};
use quaywatch_schemas::frame::{Direction, Header, NodeKey, SuiteId, message::Stored, seal, window::Window};
use std::{
    collections::{BTreeMap, BTreeSet},
    println,
    vec::Vec as List,
};

const NUMBER: u16 = 7;

fn key() -> NodeKey {
    NodeKey::new([42; 32])
}

fn config() -> Config {
    config_that_repeats_every(10_000)
}

fn config_that_repeats_every(heartbeat_ms: u32) -> Config {
    let pir = Motion { warm_up_ms: 0, hold_ms: 500, ..Motion::default() };
    let draft = Draft { heartbeat_ms, ..Draft::default() }
        .with_sensing(Channel::Pir, Sensing::Motion(pir))
        .with(Channel::Tamper)
        .with(Channel::Load1)
        .with(Channel::Temperature)
        .with(Channel::Supply)
        .with(Channel::Health);
    Config::new(NUMBER, key()).by(&draft.check().unwrap())
}

/// A gateway that stores what comes, and remembers every frame that was ever on the wire.
#[derive(Default)]
struct Gateway {
    session: u64,
    said: u64,
    token: u64,
    windows: BTreeMap<u64, Window>,
    store: Option<u64>,
    wire: BTreeMap<(u64, u64), List<u8>>,
    stored: List<(u32, u64, Sample)>,
    boots: BTreeSet<u32>,
}

impl Gateway {
    fn say(&mut self, message: FromGateway) -> List<u8> {
        let header = Header { suite: SuiteId::default(), node: NUMBER, epoch: self.session, counter: self.said };
        self.said += 1;
        let key = key().link(Direction::GatewayToNode, NUMBER, self.session);
        let key = if message == FromGateway::Challenge { key } else { key.after(self.token) };
        seal(&header, &key, &message).unwrap().to_vec()
    }

    /// One turn of the bus. Whether the node answered.
    fn turn(&mut self, node: &mut Node<EmulatedFlash>, now: Millis) -> bool {
        let window = self.store.and_then(|epoch| Some((epoch, self.windows.get_mut(&epoch)?)));
        let message = match window {
            Some((epoch, window)) => {
                let stored: Option<Stored> = Some(window.acknowledgement(epoch));
                FromGateway::Poll(Poll { frames: 4, heard: true, report: false, again: None, stored })
            }
            None => FromGateway::Challenge,
        };
        let said = self.say(message);
        let Some(turn) = node.receive(&said, now) else {
            self.store = None;
            return false;
        };
        self.hear(turn);
        true
    }

    /// Listens; `power` may have gone while the node spoke, so that it may have said less.
    fn hear(&mut self, turn: &[u8]) {
        let mut deframer = Deframer::default();
        for found in turn.iter().filter_map(|byte| deframer.find(*byte)) {
            let Ok(Found::Sealed(sealed)) = found else { panic!("{found:?}") };
            let header = *sealed.header();
            let opened = sealed.open(&key().link(Direction::NodeToGateway, NUMBER, header.epoch)).unwrap();
            let before = self.wire.insert((header.epoch, header.counter), opened.payload.to_vec());
            assert!(before.is_none_or(|before| before == opened.payload[..]), "one nonce, two messages: {header:?}");
            match opened.message().unwrap() {
                FromNode::Hello(Hello { store: StoreState::Open { epoch, oldest, .. }, boot, token, .. }) => {
                    self.token = token;
                    self.boots.insert(boot);
                    self.store = Some(epoch);
                    self.windows.entry(epoch).or_insert_with(|| Window::from(oldest)).advance(oldest);
                }
                FromNode::Data(data) => {
                    let Some(window) = self.windows.get_mut(&header.epoch) else { continue };
                    if window.take(header.counter) == quaywatch_schemas::frame::window::Verdict::New {
                        window.stored(header.counter);
                        let words = data.samples.iter();
                        self.stored.extend(words.map(|word| (data.boot, data.at_ms - u64::from(word.age_ms), *word)));
                    }
                }
                FromNode::TurnEnd(end) => {
                    let window = self.store.and_then(|epoch| self.windows.get_mut(&epoch));
                    if let Some(window) = window {
                        window.advance(end.oldest);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What is true of the world, for comparison.
#[derive(Default)]
struct World {
    /// Movements that the node had time to put into flash: boot and time.
    movements: BTreeSet<(u32, u64)>,
    /// Values of the load, each said once, with the boot that said it.
    loads: BTreeMap<u32, u32>,
    /// Boots that power cut short.
    cut: BTreeSet<u32>,
    next_load: u32,
}

/// An hour at a quay edge: movements, a load that changes, a seal that is opened, a gateway that is away now and then.
fn work(
    node: &mut Node<EmulatedFlash>,
    flash: &EmulatedFlash,
    gateway: &mut Gateway,
    world: &mut World,
    noise: &mut Noise,
    steps: u32,
) {
    let boot = node.boots();
    let (mut now, mut away_until) = (0, 0);
    for _ in 0..steps {
        now += 200 + noise.next() % 9_000;
        match noise.next() % 10 {
            0..=2 => {
                let was = node.senses.value(Channel::Pir) == Some(Value::State(true));
                node.sense(Channel::Pir, true, now).unwrap();
                if !was && flash.is_powered() {
                    world.movements.insert((boot, now));
                }
            }
            3..=5 => {
                world.next_load += 10;
                node.sense(Channel::Load1, world.next_load as f32, now).unwrap();
                world.loads.insert(world.next_load, boot);
            }
            6 => {
                let open = noise.next().is_multiple_of(4);
                node.sense(Channel::Tamper, open, now).unwrap();
                node.tick(now + 100);
            }
            7 if noise.next().is_multiple_of(4) => away_until = now + noise.next() % 400_000,
            _ => {}
        }
        node.sense(Channel::Pir, false, now + 20).unwrap();
        node.tick(now + 50);
        if now >= away_until && flash.is_powered() {
            gateway.turn(node, now + 60);
        }
        if !flash.is_powered() {
            world.cut.insert(boot);
            return;
        }
    }
}

fn start(flash: &EmulatedFlash, noise: &mut Noise) -> Node<EmulatedFlash> {
    // A board's random numbers are no promise: here they are nearly always the same.
    let entropy = noise.next() % 2;
    Node::boot(config(), flash.clone(), Boot { reset: ResetCause::PowerOn, entropy, now: 0 })
}

/// Lets a gateway that is there for good take everything, and compares.
fn settle(flash: &EmulatedFlash, gateway: &mut Gateway, world: &World, noise: &mut Noise, story: &str) {
    let mut node = start(flash, noise);
    assert_eq!(node.locked(), None, "{story}");
    gateway.store = None;
    let boot = node.boots();
    for i in 0..200 {
        gateway.turn(&mut node, 100 + i * 4_000);
    }
    let moved: BTreeSet<(u32, u64)> = gateway
        .stored
        .iter()
        .filter(|(_, _, word)| word.channel == Channel::Pir && word.value == Value::State(true))
        .map(|(boot, at, _)| (*boot, *at))
        .collect();
    let lost: List<_> = world.movements.difference(&moved).collect();
    assert!(lost.is_empty(), "{story}: {lost:?} were kept and are lost");
    let came: BTreeSet<u32> = gateway
        .stored
        .iter()
        .filter_map(|(_, _, word)| match (word.channel, word.value) {
            (Channel::Load1, Value::Measure(load)) => Some(load as u32),
            _ => None,
        })
        .collect();
    for (load, of) in world.loads.iter().filter(|(load, _)| !came.contains(load)) {
        // A gap is known as one: power was cut, and whoever reads the log sees another boot.
        assert!(world.cut.contains(of) && boot > *of, "{story}: load {load} of boot {of} is lost without a reason");
    }
    assert!(gateway.boots.contains(&boot), "{story}");
}

#[test]
fn power_cuts_at_every_flash_operation_lose_nothing_kept_repeat_no_nonce_and_leave_no_silent_gap() {
    const STEPS: u32 = 1_200;
    let reference = {
        let flash = EmulatedFlash::in_memory(6);
        let mut noise = Noise(11);
        let mut node = start(&flash, &mut noise);
        let (mut gateway, mut world) = (Gateway::default(), World::default());
        work(&mut node, &flash, &mut gateway, &mut world, &mut noise, STEPS);
        assert!(
            flash.erasures()[2..].iter().all(|erasures| *erasures > 1),
            "all pages are in use: {:?}",
            flash.erasures()
        );
        flash.operations()
    };
    // Every tenth; `tests/run --heavy` takes every one.
    let step = if std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes") { 1 } else { 10 };
    let mut cuts = 0;
    for cut in (0..reference).step_by(step) {
        let story = std::format!("cut at operation {cut} of {reference}");
        let (flash, mut noise) = (EmulatedFlash::in_memory(6), Noise(11));
        let (mut gateway, mut world) = (Gateway::default(), World::default());
        flash.cut_power_after(cut, cut);
        let mut node = start(&flash, &mut noise);
        work(&mut node, &flash, &mut gateway, &mut world, &mut noise, STEPS);
        assert!(!flash.is_powered(), "{story}");
        // The next boot is cut too, early.
        flash.power_on();
        flash.cut_power_after(noise.next() % 12, !cut);
        let mut node = start(&flash, &mut noise);
        gateway.store = None;
        work(&mut node, &flash, &mut gateway, &mut world, &mut noise, 20);
        // It is reset in any case.
        world.cut.insert(node.boots());
        drop(node);
        flash.power_on();
        settle(&flash, &mut gateway, &world, &mut noise, &story);
        cuts += 1;
    }
    println!("{cuts} cuts at {reference} flash operations");
}

#[test]
fn no_nonce_comes_twice_over_random_boots_and_cuts_of_one_node_and_one_gateway() {
    let heavy = std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes");
    for seed in 0..if heavy { 100 } else { 5 } {
        // Large enough for what a gateway that is away for some lives leaves there: nothing is shed.
        let (flash, mut noise) = (EmulatedFlash::in_memory(10), Noise(seed));
        let (mut gateway, mut world) = (Gateway::default(), World::default());
        for life in 0..60u64 {
            flash.power_on();
            if !noise.next().is_multiple_of(5) {
                flash.cut_power_after(noise.next() % 120, noise.next());
            }
            // The gateway starts anew now and then, in a session of its own.
            if noise.next().is_multiple_of(7) {
                (gateway.session, gateway.said) = (life + 1, 0);
            }
            gateway.store = None;
            let mut node = start(&flash, &mut noise);
            work(&mut node, &flash, &mut gateway, &mut world, &mut noise, 40);
            // Resets without a power cut lose RAM as well.
            world.cut.insert(node.boots());
        }
        flash.power_on();
        settle(&flash, &mut gateway, &world, &mut noise, &std::format!("seed {seed}"));
    }
}

/// Data sheets: RP2040 boards' NOR 100,000, STM32F405 and nRF52840 10,000.
const RATED_ERASURES: f64 = 10_000.0;

#[test]
fn flash_outlasts_ten_years_of_what_a_busy_node_writes() {
    const DAYS: u64 = 4;
    let flash = EmulatedFlash::in_memory(12);
    let (mut gateway, mut noise) = (Gateway::default(), Noise(3));
    for _ in 0..DAYS {
        // A restart a day; and an hour a day the gateway is away.
        let config = config_that_repeats_every(60_000);
        let mut node = Node::boot(config, flash.clone(), Boot { reset: ResetCause::PowerOn, entropy: 1, now: 0 });
        gateway.store = None;
        let away = (noise.next() % 22) * 3_600_000;
        for second in 1..86_400u64 {
            let now = second * 1000;
            // 400 movements, a load that moves every two minutes, a temperature that moves every ten.
            node.sense(Channel::Pir, noise.next() % 86_400 < 400, now).unwrap();
            if second % 120 == 0 {
                node.sense(Channel::Load1, (noise.next() % 300) as f32, now).unwrap();
            }
            if second % 600 == 0 {
                node.sense(Channel::Temperature, (noise.next() % 40) as f32, now).unwrap();
            }
            node.tick(now);
            // A poll that finds nothing writes nothing: only some of them are made.
            let has_news = node.waiting() > 0 || second % 30 == 0;
            if has_news && !(away..away + 3_600_000).contains(&now) {
                gateway.turn(&mut node, now);
            }
        }
    }
    let erasures = flash.erasures();
    let worst = *erasures.iter().max().unwrap();
    let in_ten_years = worst as f64 / DAYS as f64 * 3_652.5;
    println!("{DAYS} days: erasures {erasures:?}; in ten years {in_ten_years:.0} of {RATED_ERASURES}");
    assert!(worst > 1, "the ring went round");
    assert!(in_ten_years < RATED_ERASURES, "{in_ten_years} erasures of one page");
}
