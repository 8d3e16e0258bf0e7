use super::*;
use crate::{
    Plate,
    emulation::EmulatedFlash,
    sensing::badge::Word,
    settings::{
        Badge, Door, Draft, Hysteresis, Input, Layout, Measure, Motion, Sensing, Settings, Span, Vibration, Wrong,
    },
};
use quaywatch_schemas::frame::{
    Direction, Header, NodeKey, SuiteId,
    console::{Enrol, FromNode as Says, Nameplate, ToNode},
    in_clear,
    message::{
        Answer, BLOCK_BYTES, Card, Done, Firmware, NewKey, Order, Refusal, Stored, TRIAL_SECONDS, Task, Transfer,
    },
    seal,
};
use std::vec::Vec as List;

mod images;

const NUMBER: u16 = 7;
/// Where the store begins: behind the two pages of who the node is.
const STORE: usize = 2 * 4096;

fn key() -> NodeKey {
    NodeKey::new([42; 32])
}

fn boot(now: Millis) -> Boot {
    Boot { reset: ResetCause::PowerOn, entropy: 0xe90c, now }
}

fn config() -> Config {
    let pir = Motion { warm_up_ms: 0, hold_ms: 500, ..Motion::default() };
    configured(
        Draft::default()
            .with_sensing(Channel::Pir, Sensing::Motion(pir))
            .with(Channel::Tamper)
            .with(Channel::Load1)
            .with(Channel::Supply)
            .with(Channel::Health),
    )
}

fn configured(draft: Draft) -> Config {
    Config::new(NUMBER, key()).by(&draft.check().unwrap())
}

/// A gateway that believes everything and remembers it.
struct Gateway {
    session: u64,
    said: u64,
    node: u16,
    key: NodeKey,
    token: u64,
    orders: u32,
}

impl Gateway {
    fn new(session: u64) -> Self {
        Self { session, said: 0, node: NUMBER, key: key(), token: 0, orders: 0 }
    }

    fn say(&mut self, message: FromGateway) -> List<u8> {
        let header = Header { suite: SuiteId::default(), node: self.node, epoch: self.session, counter: self.said };
        self.said += 1;
        let key = self.key.link(Direction::GatewayToNode, self.node, self.session);
        let key = if message == FromGateway::Challenge { key } else { key.after(self.token) };
        seal(&header, &key, &message).unwrap().to_vec()
    }

    fn poll(&mut self, stored: Option<Stored>) -> List<u8> {
        self.say(FromGateway::Poll(Poll { frames: 4, heard: true, report: false, again: None, stored }))
    }

    /// Challenges and remembers the token for orders; what the node says of itself.
    fn meet(&mut self, node: &mut Node<EmulatedFlash, impl Updates>, now: Millis) -> Hello {
        let challenge = self.say(FromGateway::Challenge);
        let turn = read_with(&self.key, node.receive(&challenge, now));
        let [(_, FromNode::Hello(hello))] = &turn[..] else { panic!("{turn:?}") };
        self.token = hello.token;
        hello.clone()
    }

    /// Says an order under a number, which may have been used before.
    fn repeat(
        &mut self,
        node: &mut Node<EmulatedFlash, impl Updates>,
        number: u32,
        task: Task,
        now: Millis,
    ) -> Result<Done, Refusal> {
        let answers = self.said;
        let order = self.say(FromGateway::Order(Order { number, task }));
        let turn = read_with(&self.key, node.receive(&order, now));
        let [(_, FromNode::Answer(answer))] = &turn[..] else { panic!("{turn:?}") };
        assert_eq!(*answer, Answer { answers, number, result: answer.result });
        answer.result
    }

    fn order(
        &mut self,
        node: &mut Node<EmulatedFlash, impl Updates>,
        task: Task,
        now: Millis,
    ) -> Result<Done, Refusal> {
        self.orders += 1;
        self.repeat(node, self.orders, task, now)
    }

    /// Sends settings as far as they are to be finished.
    fn send(&mut self, node: &mut Node<EmulatedFlash>, settings: &[u8], now: Millis) {
        let transfer = settings_of(settings);
        let mut begun = self.order(node, Task::Begin(transfer), now);
        while let Ok(Done::Has(has)) = begun
            && (has as usize) < settings.len()
        {
            let bytes = settings[has as usize..].chunks(BLOCK_BYTES).next().unwrap();
            let bytes = heapless::Vec::from_slice(bytes).unwrap();
            begun = self.order(node, Task::Block { offset: has, bytes }, now);
        }
        assert_eq!(begun, Ok(Done::Has(settings.len() as u32)));
    }
}

fn settings_of(settings: &[u8]) -> Transfer {
    Transfer::Settings { length: settings.len() as u16, digest: *blake3::hash(settings).as_bytes() }
}

fn read(turn: Option<&[u8]>) -> List<(Header, FromNode)> {
    read_with(&key(), turn)
}

fn read_with(key: &NodeKey, turn: Option<&[u8]>) -> List<(Header, FromNode)> {
    let mut deframer = Deframer::default();
    let frames = turn.into_iter().flatten().filter_map(|byte| deframer.push(*byte));
    let open = |sealed: quaywatch_schemas::frame::Sealed| {
        let header = *sealed.header();
        let opened = sealed.open(&key.link(Direction::NodeToGateway, header.node, header.epoch)).unwrap();
        (header, opened.message().unwrap())
    };
    frames.map(|sealed| open(sealed.unwrap())).collect()
}

fn words(turn: &[(Header, FromNode)]) -> List<(Channel, Value)> {
    let frames =
        turn.iter().filter_map(|(_, message)| if let FromNode::Data(data) = message { Some(data) } else { None });
    frames.flat_map(|data| data.samples.iter().map(|sample| (sample.channel, sample.value))).collect()
}

fn all(node: &Node<EmulatedFlash>) -> Stored {
    let outbox = node.keeper.look().unwrap();
    Stored { epoch: outbox.store().epoch(), below: outbox.store().next(), from: 0, bits: 0 }
}

/// A node that was challenged, with what it said before acknowledged.
fn started(flash: &EmulatedFlash, gateway: &mut Gateway) -> Node<EmulatedFlash> {
    let mut node = Node::boot(config(), flash.clone(), boot(0));
    gateway.meet(&mut node, 1);
    node.sense(Channel::Tamper, false, 2).unwrap();
    node.tick(100);
    node.receive(&gateway.poll(None), 101).unwrap();
    let stored = all(&node);
    node.receive(&gateway.poll(Some(stored)), 102).unwrap();
    assert_eq!(node.waiting(), 0);
    node
}

#[test]
fn a_challenge_is_answered_with_the_session_and_where_the_node_stands() {
    let mut gateway = Gateway::new(0x5e55);
    let mut node = Node::boot(config(), EmulatedFlash::in_memory(6), boot(0));
    let turn = read(node.receive(&gateway.say(FromGateway::Challenge), 17));
    let [(header, FromNode::Hello(hello))] = &turn[..] else { panic!("{turn:?}") };
    assert_eq!((hello.session, hello.boot, hello.now_ms, header.node), (0x5e55, 1, 17, NUMBER));
    assert_eq!(hello.store, StoreState::Open { epoch: 0xe90c, oldest: 0, next: 0 });
    assert_eq!(header.epoch, key().boot_epoch(0xe90c, 1), "what is said once is not under the store's epoch");
}

#[test]
fn a_node_believes_no_poll_before_a_challenge_no_repetition_and_no_stranger() {
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(config(), EmulatedFlash::in_memory(6), boot(0));
    assert_eq!(node.receive(&gateway.poll(None), 1), None);
    let challenge = gateway.say(FromGateway::Challenge);
    let turn = read(node.receive(&challenge, 2));
    let (_, FromNode::Hello(hello)) = &turn[0] else { panic!("{turn:?}") };
    gateway.token = hello.token;
    assert_eq!(node.receive(&challenge, 3), None, "the same frame again");
    let poll = gateway.poll(None);
    assert!(node.receive(&poll, 4).is_some());
    assert_eq!(node.receive(&poll, 5), None);
    let mut hurt = gateway.poll(None);
    hurt[5] ^= 1;
    assert_eq!(node.receive(&hurt, 6), None);
    let mut other = Gateway { node: 8, ..Gateway::new(1) };
    assert_eq!(node.receive(&other.say(FromGateway::Challenge), 7), None, "meant for another node");
    assert!(node.receive(&gateway.poll(None), 8).is_some());
}

#[test]
fn motion_is_sent_at_the_next_poll_again_until_acknowledged_and_as_the_same_bytes() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Pir, true, 200).unwrap();
    let first = node.receive(&gateway.poll(None), 250).map(<[u8]>::to_vec);
    assert_eq!(words(&read(first.as_deref())), [(Channel::Pir, Value::State(true))]);
    assert_eq!(words(&read(node.receive(&gateway.poll(None), 300))), [], "it may still be on its way to disk");
    let lost = Poll { frames: 4, heard: false, report: false, again: None, stored: None };
    let again = node.receive(&gateway.say(FromGateway::Poll(lost)), 400).map(<[u8]>::to_vec);
    assert_eq!(words(&read(again.as_deref())), [(Channel::Pir, Value::State(true))]);
    let data = |turn: Option<List<u8>>| turn.unwrap().split(|byte| *byte == 0).nth(1).unwrap().to_vec();
    assert_eq!(data(first), data(again), "a counter stands for one message only");
    let stored = all(&node);
    node.sense(Channel::Pir, false, 450).unwrap();
    node.tick(1_000);
    assert_eq!(words(&read(node.receive(&gateway.poll(Some(stored)), 5_000))), [(Channel::Pir, Value::State(false))]);
}

#[test]
fn an_alarm_that_was_never_sent_comes_after_a_power_cut_with_the_time_of_its_own_boot() {
    let flash = EmulatedFlash::in_memory(6);
    let mut node = Node::boot(config(), flash.clone(), boot(0));
    node.sense(Channel::Pir, true, 40_000).unwrap();
    drop(node);
    let mut gateway = Gateway::new(9);
    let mut node = Node::boot(config(), flash, boot(0));
    let hello = gateway.meet(&mut node, 5);
    assert_eq!((hello.boot, hello.store), (2, StoreState::Open { epoch: 0xe90c, oldest: 0, next: 1024 }));
    let turn = read(node.receive(&gateway.poll(None), 10));
    let (header, FromNode::Data(data)) = &turn[0] else { panic!("{turn:?}") };
    assert_eq!((header.counter, data.boot, data.at_ms), (0, 1, 40_000));
    assert!(words(&turn).contains(&(Channel::Pir, Value::State(true))));
}

#[test]
fn everything_is_repeated_at_the_heartbeat_while_somebody_listens() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Load1, 120.0, 200).unwrap();
    node.sense(Channel::Supply, 12.04, 200).unwrap();
    node.receive(&gateway.poll(None), 300);
    node.tick(10_000);
    let said = words(&read(node.receive(&gateway.poll(None), 10_001)));
    let health = Value::Health { boots: 1, reset: ResetCause::PowerOn, supply_mv: Some(12_040) };
    for word in [
        (Channel::Pir, Value::State(false)),
        (Channel::Tamper, Value::State(false)),
        (Channel::Load1, Value::Measure(120.0)),
        (Channel::Health, health),
    ] {
        assert!(said.contains(&word), "{word:?} in {said:?}");
    }
    let waiting = node.waiting();
    for now in (20_000..600_000).step_by(10_000) {
        node.sense(Channel::Load1, 120.0, now).unwrap();
        node.sense(Channel::Supply, 12.04, now).unwrap();
        node.tick(now);
    }
    assert!(node.waiting() <= waiting + 4, "nobody listens: unchanged states are not piled up");
}

#[test]
fn a_tamper_latch_outlives_power_cuts_and_ends_once_known_and_closed() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Tamper, true, 200).unwrap();
    node.tick(300);
    node.sense(Channel::Tamper, false, 400).unwrap();
    node.tick(500);
    assert!(node.is_tampered());
    drop(node);
    let mut node = Node::boot(config(), flash, boot(0));
    assert!(node.is_tampered(), "from flash");
    node.sense(Channel::Tamper, false, 10).unwrap();
    node.tick(100);
    gateway.meet(&mut node, 110);
    assert!(words(&read(node.receive(&gateway.poll(None), 120))).contains(&(Channel::Tamper, Value::State(true))));
    // The word of the former boot is acknowledged, but whoever reads it may take it for history.
    let stored = all(&node);
    node.receive(&gateway.poll(Some(stored)), 130);
    assert!(node.is_tampered());
    let report = Poll { frames: 4, heard: true, report: true, again: None, stored: None };
    let said = words(&read(node.receive(&gateway.say(FromGateway::Poll(report)), 140)));
    assert!(said.contains(&(Channel::Tamper, Value::State(true))), "said afresh");
    let stored = all(&node);
    let said = words(&read(node.receive(&gateway.poll(Some(stored)), 150)));
    assert_eq!((said, node.is_tampered()), (List::from([(Channel::Tamper, Value::State(false))]), false));
}

#[test]
fn last_words_are_flagged_sent_at_once_and_kept() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Supply, 8.1, 200).unwrap();
    let turn = read(node.last_words(300));
    let [(_, FromNode::Data(data))] = &turn[..] else { panic!("{turn:?}") };
    assert!(data.last_words && data.samples[0].channel == Channel::Tamper, "what matters most comes first");
    assert!(data.samples.iter().any(|sample| sample.channel == Channel::Pir));
    drop(node);
    let mut node = Node::boot(config(), flash, Boot { reset: ResetCause::BrownOut, ..boot(0) });
    gateway.meet(&mut node, 1);
    let turn = read(node.receive(&gateway.poll(None), 2));
    assert!(turn.iter().any(|(_, message)| matches!(message, FromNode::Data(data) if data.last_words)));
}

#[test]
fn a_locked_node_answers_says_so_and_says_nothing_else() {
    let flash = EmulatedFlash::in_memory(6);
    drop(Node::boot(config(), flash.clone(), boot(0)));
    flash.damage(|bytes| bytes[STORE + 10] ^= 1);
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(config(), flash, Boot { entropy: 0xfeed, ..boot(0) });
    assert_eq!(node.locked(), Some(Locked::Unreadable));
    assert_eq!(gateway.meet(&mut node, 1).store, StoreState::Locked);
    node.sense(Channel::Pir, true, 2).unwrap();
    assert_eq!(words(&read(node.receive(&gateway.poll(None), 3))), []);
    assert_eq!(node.waiting(), 0);
}

#[test]
fn what_could_not_be_kept_is_told_as_overload() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(5), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    for i in 0..6_000u64 {
        node.sense(Channel::Load1, (i % 2) as f32 * 100.0, 200 + i * 10).unwrap();
    }
    let (mut lost, mut came) = (0, 0);
    for i in 0..400u64 {
        let stored = all(&node);
        let stored = if i > 0 && node.waiting() == 0 { break } else { Stored { below: 0, ..stored } };
        let turn = read(node.receive(&gateway.poll(Some(stored)), 70_000 + i));
        for (header, message) in &turn {
            if let FromNode::Data(data) = message {
                for sample in data.samples.iter().filter(|sample| sample.channel == Channel::Load1) {
                    match sample.value {
                        Value::Missing(Missing::Overload(more)) => lost += more,
                        Value::Measure(_) => came += 1,
                        _ => {}
                    }
                }
                let ack = Stored { epoch: stored.epoch, below: 0, from: header.counter, bits: 1 };
                let outbox = node.keeper.open().unwrap();
                outbox.acknowledge(&ack);
            }
        }
    }
    assert!(lost > 0 && came > 0);
    assert_eq!(lost + came, 6_000, "every word came or is counted");
}

#[test]
fn a_shaken_fence_is_one_alarm_and_its_energy_goes_along() {
    let vibration = Vibration {
        window_ms: 100,
        low_hz: 0.0,
        high_hz: 500.0,
        moves: Hysteresis { on: 1.0, off: 0.5 },
        deadband: 0.1,
        ..Vibration::default()
    };
    let input = Input { channel: Channel::Vibration, every_ms: 1, sensing: Sensing::Vibration(vibration) };
    let config = configured(Draft::default().with_input(input).with(Channel::Fence));
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(config, EmulatedFlash::in_memory(5), boot(0));
    gateway.meet(&mut node, 1);
    for now in 2..250u64 {
        let swing = if now > 100 { 2.0 } else { 0.01 };
        node.sense(Channel::Vibration, 9.81 + if now % 2 == 0 { swing } else { -swing }, now).unwrap();
    }
    assert_eq!(node.sense(Channel::Vibration, true, 250), Err(Misfit), "not that kind of channel");
    assert_eq!(node.sense(Channel::Door, true, 250), Err(Misfit), "no such channel");
    let said = words(&read(node.receive(&gateway.poll(None), 260)));
    let fence: List<_> =
        said.iter().filter(|(channel, _)| *channel == Channel::Fence).map(|(_, value)| *value).collect();
    assert_eq!(fence, [Value::State(false), Value::State(true)]);
    let strong = |value: &Value| matches!(value, Value::Measure(energy) if *energy > 1.9);
    assert!(said.iter().any(|(channel, value)| *channel == Channel::Vibration && strong(value)), "{said:?}");
}

/// A card of the most used format: an even and an odd parity bit around 8 and 16 bits.
fn h10301(facility: u64, number: u64) -> Word {
    let data = facility << 16 | number;
    let even = (data >> 12).count_ones() as u64 % 2;
    let odd = 1 - (data & 0xfff).count_ones() as u64 % 2;
    Word::new(even << 25 | data << 1 | odd, 26)
}

#[test]
fn a_door_with_a_reader_tells_who_was_let_in_who_was_not_and_that_it_was_forced() {
    // Nothing is said twice.
    let draft = Draft { heartbeat_ms: 60_000, ..Draft::default() }
        .with(Channel::Badge1)
        .with(Channel::Grant)
        .with(Channel::Rex)
        .with_sensing(Channel::Door, Sensing::Door(Door::default()))
        .with(Channel::DoorForced)
        .with(Channel::DoorHeld);
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(configured(draft), EmulatedFlash::in_memory(5), boot(0));
    gateway.meet(&mut node, 1);
    let mut inputs = [(Channel::Grant, false), (Channel::Rex, false), (Channel::Door, false)];
    let (mut said, mut stored) = (List::new(), None);
    for now in (0..20_000).step_by(10) {
        match now {
            1_000 => node.sense(Channel::Badge1, h10301(17, 40_021), now).unwrap(),
            1_400 | 3_000 => inputs[0].1 = now == 1_400,
            2_000 | 2_800 => inputs[2].1 = now == 2_000,
            8_000 => node.sense(Channel::Badge1, h10301(17, 9), now).unwrap(),
            15_000 | 16_000 => inputs[2].1 = now == 15_000,
            _ => {}
        }
        for (channel, on) in inputs {
            node.sense(channel, on, now).unwrap();
        }
        node.tick(now);
        if now % 500 == 0 {
            said.extend(words(&read(node.receive(&gateway.poll(stored), now))));
            stored = Some(all(&node));
        }
    }
    let card = |number, granted| Value::Credential { card: Card { facility: Some(17), number }, granted };
    let of = |channel| said.iter().filter(|(of, _)| *of == channel).map(|(_, value)| *value).collect::<List<_>>();
    assert_eq!(of(Channel::Badge1), [card(40_021, true), card(9, false)]);
    assert_eq!(of(Channel::Door), [false, true, false, true, false].map(Value::State));
    assert_eq!(of(Channel::DoorForced), [false, true, false].map(Value::State));
    assert_eq!(of(Channel::DoorHeld), [Value::State(false)]);
}

#[test]
fn a_burst_of_badges_is_split_over_frames_that_hold_it() {
    let layout = Layout {
        bits: 64,
        facility: Span { from: 0, bits: 32 },
        number: Span { from: 0, bits: 64 },
        even: None,
        odd: None,
    };
    let badge = Sensing::Badge(Badge { layout, ..Badge::default() });
    let config = configured(Draft::default().with_sensing(Channel::Badge1, badge).with(Channel::Grant));
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = Node::boot(config, flash, boot(0));
    gateway.meet(&mut node, 1);
    // Sixty people in a second, with the largest numbers there are.
    for person in 0..=60u64 {
        node.sense(Channel::Badge1, Word::new(u64::MAX - person, 64), 100 + person * 16).unwrap();
    }
    let mut came = 0;
    for i in 0..20 {
        let turn = read(node.receive(&gateway.poll(None), 2_000 + i));
        came +=
            words(&turn).iter().filter(|(_, value)| matches!(value, Value::Credential { granted: false, .. })).count();
    }
    assert_eq!((came, node.locked()), (60, None));
}

#[test]
fn when_the_supply_fails_one_frame_holds_what_matters_most() {
    let minor =
        [Channel::Contact1, Channel::Contact2, Channel::Contact3, Channel::Contact4, Channel::Rex, Channel::Load1];
    let major =
        [Channel::Supply, Channel::Health, Channel::DoorHeld, Channel::DoorForced, Channel::Pir, Channel::Tamper];
    let draft = minor.into_iter().chain(major).fold(Draft::default(), Draft::with);
    let draft = draft.with(Channel::Temperature).with(Channel::Humidity).with(Channel::Pressure);
    let config = configured(draft.with_sensing(Channel::Door, Sensing::Door(Door::default())));
    let mut node = Node::boot(config, EmulatedFlash::in_memory(5), boot(0));
    for channel in Channel::ALL {
        for sensed in [Sensed::Digital(false), Sensed::Analog(20.0)] {
            let _ = node.sense(channel, sensed, 10);
        }
    }
    node.tick(100);
    let turn = read(node.last_words(200));
    let [(_, FromNode::Data(data))] = &turn[..] else { panic!("{turn:?}") };
    let said: List<_> = data.samples.iter().map(|sample| sample.channel).collect();
    let first = [Channel::Tamper, Channel::DoorForced, Channel::Pir, Channel::Door, Channel::DoorHeld];
    assert!(first.iter().all(|channel| said.contains(channel)), "{said:?}");
    assert!(said.contains(&Channel::Supply) && said.contains(&Channel::Health), "{said:?}");
}

#[test]
fn an_order_is_done_once_however_often_it_comes_and_only_in_the_boot_it_is_for() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    let identify = Task::Identify { seconds: 10 };
    gateway.meet(&mut node, 300);
    assert_eq!(gateway.order(&mut node, identify.clone(), 1_000), Ok(Done::Done));
    assert!(node.blinks(10_999) && !node.blinks(11_000));
    let number = gateway.orders;
    assert_eq!(gateway.repeat(&mut node, number, identify.clone(), 9_000), Ok(Done::Done));
    assert!(!node.blinks(11_000), "it was not done again");
    assert_eq!(gateway.repeat(&mut node, number - 1, identify.clone(), 9_000), Err(Refusal::Stale), "an older one");
    assert_eq!(gateway.order(&mut node, Task::Restart, 9_500), Ok(Done::Done));
    assert!(!node.wants_restart(9_600) && node.wants_restart(10_500), "the answer comes first");
    let mut node = Node::boot(config(), flash, boot(0));
    gateway.meet(&mut node, 5);
    let image = Task::Begin(Transfer::Image { manifest: heapless::Vec::new() });
    assert_eq!(gateway.order(&mut node, image, 10), Err(Refusal::Unsupported));
    let found = gateway.order(&mut node, Task::SelfTest, 10).unwrap();
    let Done::Tested(findings) = found else { panic!("{found:?}") };
    let silent = [Channel::Pir, Channel::Tamper, Channel::Load1, Channel::Supply].map(|channel| 1 << channel.index());
    assert!(findings.flash);
    assert_eq!(findings.without_value, silent.iter().sum::<u32>(), "nothing was read yet");
}

#[test]
fn a_restart_that_was_ordered_loses_no_word() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    gateway.meet(&mut node, 150);
    node.sense(Channel::Load1, 77.0, 200).unwrap();
    gateway.order(&mut node, Task::Restart, 300).unwrap();
    let mut node = Node::boot(config(), flash, Boot { reset: ResetCause::Software, ..boot(0) });
    gateway.meet(&mut node, 5);
    assert!(words(&read(node.receive(&gateway.poll(None), 10))).contains(&(Channel::Load1, Value::Measure(77.0))));
}

#[test]
fn settings_are_on_trial_until_they_are_confirmed_and_are_taken_back_otherwise() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    let wanted = Draft::default().with(Channel::Door).with(Channel::Health).check().unwrap().to_bytes();
    assert_eq!(gateway.meet(&mut node, 200).settings, SettingsState::Factory);
    gateway.send(&mut node, &wanted, 300);
    assert_eq!(node.sense(Channel::Door, true, 310), Err(Misfit), "nothing before the end");
    assert_eq!(gateway.order(&mut node, Task::Finish, 400), Ok(Done::Done));
    assert_eq!(node.sense(Channel::Door, true, 410), Ok(()));
    let on_trial = gateway.meet(&mut node, 420).settings;
    assert!(matches!(on_trial, SettingsState::OnTrial(_)));
    node.tick(400 + u64::from(TRIAL_SECONDS) * 1000);
    assert_eq!(
        (node.sense(Channel::Door, true, 200_000), node.sense(Channel::Load1, 1.0, 200_000)),
        (Err(Misfit), Ok(()))
    );
    assert_eq!(gateway.order(&mut node, Task::Confirm, 200_010), Err(Refusal::NothingOnTrial));
    gateway.send(&mut node, &wanted, 200_020);
    gateway.order(&mut node, Task::Finish, 200_030).unwrap();
    assert_eq!(gateway.order(&mut node, Task::Confirm, 200_040), Ok(Done::Done));
    let mut node = Node::boot(config(), flash, boot(0));
    assert_eq!(node.sense(Channel::Door, true, 10), Ok(()), "from flash");
    let told = gateway.meet(&mut node, 20).settings;
    assert!(matches!((told, on_trial), (SettingsState::Told(a), SettingsState::OnTrial(b)) if a == b));
}

#[test]
fn a_transfer_goes_on_where_it_stands_and_nothing_wrong_takes_effect() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    gateway.meet(&mut node, 200);
    let block = |offset, bytes: &[u8]| Task::Block { offset, bytes: heapless::Vec::from_slice(bytes).unwrap() };
    assert_eq!(gateway.order(&mut node, block(0, &[1]), 200), Err(Refusal::NoTransfer));
    let limit = Measure { alarm: Some(Hysteresis { on: 9.0, off: 8.0 }), ..Measure::default() };
    let loads = [Channel::Load1, Channel::Load2, Channel::Load3, Channel::Load4];
    let all = loads.into_iter().fold(Draft::default(), |all, load| all.with_sensing(load, Sensing::Measure(limit)));
    let all = all.with(Channel::Pir).with(Channel::Vibration).with(Channel::Badge1).with(Channel::Grant);
    let all = all.check().unwrap().to_bytes();
    assert!(all.len() > BLOCK_BYTES);
    assert_eq!(gateway.order(&mut node, Task::Begin(settings_of(&all)), 210), Ok(Done::Has(0)));
    assert_eq!(gateway.order(&mut node, block(0, &all[..BLOCK_BYTES]), 220), Ok(Done::Has(BLOCK_BYTES as u32)));
    assert_eq!(
        gateway.order(&mut node, block(0, &all[..BLOCK_BYTES]), 230),
        Ok(Done::Has(BLOCK_BYTES as u32)),
        "twice"
    );
    assert_eq!(gateway.order(&mut node, block(500, &[1]), 230), Ok(Done::Has(BLOCK_BYTES as u32)), "from elsewhere");
    assert_eq!(gateway.order(&mut node, Task::Finish, 240), Err(Refusal::Incomplete));
    gateway.meet(&mut node, 250);
    gateway.send(&mut node, &all, 260);
    let mut other = all.clone();
    other[3] ^= 1;
    let announced = settings_of(&all);
    assert_eq!(gateway.order(&mut node, Task::Begin(settings_of(&other)), 270), Ok(Done::Has(0)), "another one");
    gateway.order(&mut node, Task::Begin(announced), 280).unwrap();
    for (at, bytes) in other.chunks(BLOCK_BYTES).enumerate() {
        gateway.order(&mut node, block((at * BLOCK_BYTES) as u32, bytes), 290).unwrap();
    }
    assert_eq!(gateway.order(&mut node, Task::Finish, 300), Err(Refusal::BadDigest));
    let tamper = [Channel::Tamper.index() as u8, 10, 2];
    let twice = [&[1, 0x90, 0x4e, 2][..], &tamper, &tamper].concat();
    assert_eq!(Settings::from_bytes(&twice).map_err(|fault| fault.what), Err(Wrong::Twice));
    gateway.send(&mut node, &twice, 310);
    assert_eq!(gateway.order(&mut node, Task::Finish, 320), Err(Refusal::BadSettings));
    let long = Transfer::Settings { length: 801, digest: [0; 32] };
    assert_eq!(gateway.order(&mut node, Task::Begin(long), 330), Err(Refusal::TooLong));
    assert_eq!(gateway.meet(&mut node, 340).settings, SettingsState::Factory);
}

#[test]
fn a_new_key_counts_beside_the_old_one_until_it_was_used_and_alone_from_then_on() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    gateway.meet(&mut node, 200);
    assert_eq!(gateway.order(&mut node, Task::Rekey(NewKey([9; 32])), 210), Ok(Done::Done));
    assert_eq!(gateway.order(&mut node, Task::Rekey(NewKey([9; 32])), 220), Ok(Done::Done), "said again");
    node.sense(Channel::Pir, true, 230).unwrap();
    let before = read(node.receive(&gateway.poll(None), 240));
    let mut node = Node::boot(config(), flash.clone(), boot(0));
    gateway.meet(&mut node, 10);
    // A poll under the new key is nothing before it was used for a challenge.
    let new = NodeKey::new([9; 32]);
    let mut renewed = Gateway { key: new.clone(), said: gateway.said, ..Gateway::new(1) };
    assert_eq!(node.receive(&renewed.poll(None), 20), None);
    renewed.meet(&mut node, 30);
    assert_eq!(node.receive(&gateway.say(FromGateway::Challenge), 40), None, "the former key is worth nothing");
    let after = read_with(&new, node.receive(&renewed.poll(None), 50));
    assert_eq!((after[0].0.epoch, after[0].0.counter), (before[0].0.epoch, before[0].0.counter));
    assert_eq!(after[0].1, before[0].1, "the kept frame, under the new key");
    drop(node);
    let mut node = Node::boot(config(), flash, boot(0));
    gateway.said += 100;
    assert_eq!(node.receive(&gateway.say(FromGateway::Challenge), 10), None, "nor after a restart");
    renewed.meet(&mut node, 20);
}

#[test]
fn power_cuts_at_every_flash_operation_of_a_rotation_leave_a_key_that_the_gateway_has() {
    for (cut, seed) in (0..8).flat_map(|cut| (0..12).map(move |seed| (cut, seed))) {
        let (flash, mut gateway) = (EmulatedFlash::in_memory(6), Gateway::new(1));
        let mut node = started(&flash, &mut gateway);
        gateway.meet(&mut node, 200);
        flash.cut_power_after(cut, seed);
        let rekeyed = gateway.order(&mut node, Task::Rekey(NewKey([9; 32])), 210) == Ok(Done::Done);
        let mut renewed = Gateway { key: NodeKey::new([9; 32]), said: gateway.said, ..Gateway::new(1) };
        let turned = rekeyed && node.receive(&renewed.say(FromGateway::Challenge), 220).is_some();
        flash.power_on();
        let mut node = Node::boot(config(), flash, boot(0));
        let (old, new) = (
            node.receive(&gateway.say(FromGateway::Challenge), 10).is_some(),
            node.receive(&renewed.say(FromGateway::Challenge), 20).is_some(),
        );
        // Before the answer the gateway has both; after it, it goes on until the new one was used.
        assert!(if rekeyed { new } else { old || new }, "cut {cut}, seed {seed}: {rekeyed} {turned} {old} {new}");
    }
}

fn console(node: &mut Node<EmulatedFlash>, said: &ToNode, now: Millis) -> Option<Says> {
    let turn = node.receive(&in_clear(said).unwrap(), now)?;
    let mut deframer = Deframer::default();
    let Some(Ok(Found::Clear(clear))) = turn.iter().find_map(|byte| deframer.find(*byte)) else { panic!("{turn:?}") };
    Some(clear.message().unwrap())
}

#[test]
fn a_blank_node_is_enrolled_by_who_stands_before_it_and_by_nobody_else() {
    let plate = Plate { chip: *b"chip-no-0001", runs: Firmware { board: 3, version: 17 } };
    let flash = EmulatedFlash::in_memory(6);
    let mut node = Node::boot(Config::blank().on(plate), flash.clone(), boot(0));
    assert_eq!(node.locked(), Some(Locked::NotEnrolled));
    let mut gateway = Gateway::new(1);
    assert_eq!(node.receive(&gateway.say(FromGateway::Challenge), 5), None);
    assert_eq!(console(&mut node, &ToNode::WhoAreYou, 10), None, "nobody is there");
    node.set_presence(true);
    let nameplate = Nameplate { chip: plate.chip, runs: plate.runs, number: None };
    assert_eq!(console(&mut node, &ToNode::WhoAreYou, 20), Some(Says::Is(nameplate)));
    let settings = config().settings;
    for (at, bytes) in settings.chunks(BLOCK_BYTES).enumerate() {
        let offset = (at * BLOCK_BYTES) as u16;
        let bytes = heapless::Vec::from_slice(bytes).unwrap();
        let has = console(&mut node, &ToNode::Settings { offset, bytes: bytes.clone() }, 30);
        assert_eq!(has, Some(Says::Has(offset + bytes.len() as u16)));
    }
    let digest = *blake3::hash(&settings).as_bytes();
    let enrol = Enrol { number: NUMBER, key: NewKey([42; 32]), settings: Some((settings.len() as u16, digest)) };
    let wrong = Enrol { settings: Some((settings.len() as u16, [0; 32])), ..enrol };
    assert_eq!(console(&mut node, &ToNode::Enrol(wrong), 40), Some(Says::Refused(Refusal::BadDigest)));
    assert_eq!(
        console(&mut node, &ToNode::Enrol(Enrol { number: 0, ..enrol }), 40),
        Some(Says::Refused(Refusal::BadSettings))
    );
    let is = Some(Says::Is(Nameplate { number: Some(NUMBER), ..nameplate }));
    assert_eq!(console(&mut node, &ToNode::Enrol(enrol), 50), is);
    let operations = flash.operations();
    assert_eq!((console(&mut node, &ToNode::Enrol(enrol), 60), flash.operations()), (is, operations), "said again");
    node.set_presence(false);
    assert_eq!(console(&mut node, &ToNode::Enrol(Enrol { number: 8, ..enrol }), 70), None);
    let hello = gateway.meet(&mut node, 80);
    assert_eq!((hello.boot, hello.runs), (1, plate.runs));
    node.sense(Channel::Pir, true, 90).unwrap();
    let mut node = Node::boot(Config::blank().on(plate), flash.clone(), boot(0));
    gateway.meet(&mut node, 10);
    assert!(words(&read(node.receive(&gateway.poll(None), 20))).contains(&(Channel::Pir, Value::State(true))));
    // Enrolled again as another node, it keeps nothing of the former one.
    node.set_presence(true);
    node.sense(Channel::Tamper, true, 25).unwrap();
    node.tick(200);
    let other = Enrol { number: 8, key: NewKey([8; 32]), settings: None };
    assert!(matches!(console(&mut node, &ToNode::Enrol(other), 300), Some(Says::Is(_))));
    let mut second = Gateway { node: 8, key: NodeKey::new([8; 32]), ..Gateway::new(1) };
    let hello = second.meet(&mut node, 310);
    let StoreState::Open { epoch, oldest, next } = hello.store else { panic!("{hello:?}") };
    assert_eq!((oldest, next, node.waiting(), node.is_tampered()), (0, 0, 0, false));
    assert_ne!(epoch, 0xe90c);
}

#[test]
fn a_power_cut_at_any_operation_of_an_enrolment_leaves_a_node_that_can_be_enrolled_again() {
    for cut in 0..40 {
        let flash = EmulatedFlash::in_memory(6);
        let mut node = Node::boot(config(), flash.clone(), boot(0));
        node.sense(Channel::Pir, true, 10).unwrap();
        node.set_presence(true);
        flash.cut_power_after(cut, cut);
        let enrol = ToNode::Enrol(Enrol { number: 8, key: NewKey([8; 32]), settings: None });
        let said = console(&mut node, &enrol, 20);
        let survived = flash.is_powered();
        flash.power_on();
        let mut node = Node::boot(config(), flash.clone(), boot(0));
        let number = node.link.as_ref().map(Link::number);
        assert!(number == Some(8) || number == Some(NUMBER) && !matches!(said, Some(Says::Is(_))), "cut {cut}");
        assert_eq!(node.locked(), None, "cut {cut}");
        if number == Some(8) {
            assert_eq!(node.waiting(), 0, "cut {cut}: what the former node said is nobody's");
        } else {
            assert_eq!(node.waiting(), 1, "cut {cut}: nothing is lost before");
            node.set_presence(true);
            assert!(matches!(console(&mut node, &enrol, 20), Some(Says::Is(_))));
        }
        if survived {
            assert!(cut > 4, "an enrolment takes a few operations");
            return;
        }
    }
    panic!("an enrolment ends");
}

#[test]
fn a_locked_node_is_enrolled_again() {
    let flash = EmulatedFlash::in_memory(6);
    drop(Node::boot(config(), flash.clone(), boot(0)));
    flash.damage(|bytes| bytes[STORE + 10] ^= 1);
    let mut node = Node::boot(config(), flash, Boot { entropy: 0xfeed, ..boot(0) });
    assert_eq!(node.locked(), Some(Locked::Unreadable));
    node.set_presence(true);
    let enrol = ToNode::Enrol(Enrol { number: NUMBER, key: NewKey([5; 32]), settings: None });
    assert!(matches!(console(&mut node, &enrol, 20), Some(Says::Is(_))));
    assert_eq!(node.locked(), None);
}

#[test]
fn a_recording_of_a_former_session_moves_nothing_and_does_not_disturb_the_one_there_is() {
    let (flash, mut former) = (EmulatedFlash::in_memory(6), Gateway::new(1));
    let mut node = started(&flash, &mut former);
    let challenge = former.say(FromGateway::Challenge);
    let turn = read(node.receive(&challenge, 200));
    let (_, FromNode::Hello(hello)) = &turn[0] else { panic!("{turn:?}") };
    former.token = hello.token;
    let stored = all(&node);
    let report = Poll { frames: 4, heard: true, report: true, again: None, stored: Some(stored) };
    let recorded = [
        former.say(FromGateway::Poll(report)),
        former.say(FromGateway::Order(Order { number: 900, task: Task::Identify { seconds: 9 } })),
        former.say(FromGateway::Order(Order { number: 901, task: Task::Restart })),
    ];
    // The gateway starts anew; later so does the node, which then knows of no session.
    let mut gateway = Gateway::new(2);
    gateway.meet(&mut node, 300);
    assert!(node.receive(&gateway.poll(None), 310).is_some());
    for boots in 0..2 {
        node.sense(Channel::Pir, true, 320).unwrap();
        let (waiting, operations) = (node.waiting(), flash.operations());
        assert!(node.receive(&challenge, 330).is_some(), "with a hello that no gateway takes");
        for frame in &recorded {
            assert_eq!(node.receive(frame, 340), None);
        }
        assert_eq!((node.waiting(), flash.operations()), (waiting, operations));
        assert!(!node.blinks(341) && !node.wants_restart(9_999));
        assert!(node.receive(&gateway.poll(None), 350).is_some(), "the gateway goes on as if nothing had happened");
        if boots == 0 {
            node = Node::boot(config(), flash.clone(), boot(0));
            gateway.meet(&mut node, 5);
            assert!(node.receive(&gateway.poll(None), 6).is_some());
        }
    }
}
