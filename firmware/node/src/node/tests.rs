use super::*;
use crate::{
    emulation::EmulatedFlash,
    sensing::badge::Word,
    settings::{Badge, Door, Draft, Hysteresis, Input, Layout, Motion, Sensing, Span, Vibration},
};
use quaywatch_schemas::frame::{
    Direction, Header, NodeKey, SuiteId,
    message::{Card, Command, Stored},
    seal,
};
use std::vec::Vec as List;

const NUMBER: u16 = 7;

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
    Config { number: NUMBER, key: key(), settings: draft.check().unwrap() }
}

/// A gateway that believes everything and remembers it.
struct Gateway {
    session: u64,
    said: u64,
    node: u16,
}

impl Gateway {
    fn new(session: u64) -> Self {
        Self { session, said: 0, node: NUMBER }
    }

    fn say(&mut self, message: FromGateway) -> List<u8> {
        let header = Header { suite: SuiteId::default(), node: self.node, epoch: self.session, counter: self.said };
        self.said += 1;
        seal(&header, &key().link(Direction::GatewayToNode, self.node, self.session), &message).unwrap().to_vec()
    }

    fn poll(&mut self, stored: Option<Stored>) -> List<u8> {
        self.say(FromGateway::Poll(Poll { frames: 4, heard: true, report: false, again: None, stored }))
    }
}

fn read(turn: Option<Turn>) -> List<(Header, FromNode)> {
    let mut deframer = Deframer::default();
    let frames = turn.iter().flatten().filter_map(|byte| deframer.push(*byte));
    let open = |sealed: quaywatch_schemas::frame::Sealed| {
        let header = *sealed.header();
        let opened = sealed.open(&key().link(Direction::NodeToGateway, header.node, header.epoch)).unwrap();
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
    let outbox = node.keeper.as_ref().unwrap();
    Stored { epoch: outbox.store().epoch(), below: outbox.store().next(), from: 0, bits: 0 }
}

/// A node that was challenged, with what it said before acknowledged.
fn started(flash: &EmulatedFlash, gateway: &mut Gateway) -> Node<EmulatedFlash> {
    let mut node = Node::boot(config(), flash.clone(), boot(0));
    node.receive(&gateway.say(FromGateway::Challenge), 1).unwrap();
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
    let mut node = Node::boot(config(), EmulatedFlash::in_memory(4), boot(0));
    let turn = read(node.receive(&gateway.say(FromGateway::Challenge), 17));
    let [(header, FromNode::Hello(hello))] = &turn[..] else { panic!("{turn:?}") };
    assert_eq!((hello.session, hello.boot, hello.now_ms, header.node), (0x5e55, 1, 17, NUMBER));
    assert_eq!(hello.store, StoreState::Open { epoch: 0xe90c, oldest: 0, next: 0 });
    assert_eq!(header.epoch, key().boot_epoch(0xe90c, 1), "what is said once is not under the store's epoch");
}

#[test]
fn a_node_believes_no_poll_before_a_challenge_no_repetition_and_no_stranger() {
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(config(), EmulatedFlash::in_memory(4), boot(0));
    assert_eq!(node.receive(&gateway.poll(None), 1), None);
    let challenge = gateway.say(FromGateway::Challenge);
    assert!(node.receive(&challenge, 2).is_some());
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
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Pir, true, 200).unwrap();
    let first = node.receive(&gateway.poll(None), 250);
    assert_eq!(words(&read(first.clone())), [(Channel::Pir, Value::State(true))]);
    assert_eq!(words(&read(node.receive(&gateway.poll(None), 300))), [], "it may still be on its way to disk");
    let lost = Poll { frames: 4, heard: false, report: false, again: None, stored: None };
    let again = node.receive(&gateway.say(FromGateway::Poll(lost)), 400);
    assert_eq!(words(&read(again.clone())), [(Channel::Pir, Value::State(true))]);
    let data = |turn: Option<Turn>| turn.unwrap().split(|byte| *byte == 0).nth(1).unwrap().to_vec();
    assert_eq!(data(first), data(again), "a counter stands for one message only");
    let stored = all(&node);
    node.sense(Channel::Pir, false, 450).unwrap();
    node.tick(1_000);
    assert_eq!(words(&read(node.receive(&gateway.poll(Some(stored)), 5_000))), [(Channel::Pir, Value::State(false))]);
}

#[test]
fn an_alarm_that_was_never_sent_comes_after_a_power_cut_with_the_time_of_its_own_boot() {
    let flash = EmulatedFlash::in_memory(4);
    let mut node = Node::boot(config(), flash.clone(), boot(0));
    node.sense(Channel::Pir, true, 40_000).unwrap();
    drop(node);
    let mut gateway = Gateway::new(9);
    let mut node = Node::boot(config(), flash, boot(0));
    let turn = read(node.receive(&gateway.say(FromGateway::Challenge), 5));
    let (_, FromNode::Hello(hello)) = &turn[0] else { panic!("{turn:?}") };
    assert_eq!((hello.boot, hello.store), (2, StoreState::Open { epoch: 0xe90c, oldest: 0, next: 1024 }));
    let turn = read(node.receive(&gateway.poll(None), 10));
    let (header, FromNode::Data(data)) = &turn[0] else { panic!("{turn:?}") };
    assert_eq!((header.counter, data.boot, data.at_ms), (0, 1, 40_000));
    assert!(words(&turn).contains(&(Channel::Pir, Value::State(true))));
}

#[test]
fn everything_is_repeated_at_the_heartbeat_while_somebody_listens() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
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
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
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
    node.receive(&gateway.say(FromGateway::Challenge), 110);
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
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    node.sense(Channel::Supply, 8.1, 200).unwrap();
    let turn = read(node.last_words(300));
    let [(_, FromNode::Data(data))] = &turn[..] else { panic!("{turn:?}") };
    assert!(data.last_words && data.samples[0].channel == Channel::Tamper, "what matters most comes first");
    assert!(data.samples.iter().any(|sample| sample.channel == Channel::Pir));
    drop(node);
    let mut node = Node::boot(config(), flash, Boot { reset: ResetCause::BrownOut, ..boot(0) });
    node.receive(&gateway.say(FromGateway::Challenge), 1);
    let turn = read(node.receive(&gateway.poll(None), 2));
    assert!(turn.iter().any(|(_, message)| matches!(message, FromNode::Data(data) if data.last_words)));
}

#[test]
fn commands_and_transfers_are_refused_politely() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
    let mut node = started(&flash, &mut gateway);
    let turn = read(node.receive(&gateway.say(FromGateway::Challenge), 200));
    let (_, FromNode::Hello(hello)) = &turn[0] else { panic!("{turn:?}") };
    for (token, why) in [(hello.token, Refusal::Unsupported), (hello.token + 1, Refusal::Stale)] {
        let answers = gateway.said;
        let command = gateway.say(FromGateway::Command(Command { token, code: 1, argument: 0 }));
        let turn = read(node.receive(&command, 300));
        assert_eq!(turn[0].1, FromNode::Refused(Refused { answers, why }));
    }
}

#[test]
fn a_locked_node_answers_says_so_and_says_nothing_else() {
    let flash = EmulatedFlash::in_memory(4);
    drop(Node::boot(config(), flash.clone(), boot(0)));
    flash.damage(|bytes| bytes[10] ^= 1);
    let mut gateway = Gateway::new(1);
    let mut node = Node::boot(config(), flash, Boot { entropy: 0xfeed, ..boot(0) });
    assert_eq!(node.locked(), Some(Locked::Unreadable));
    let turn = read(node.receive(&gateway.say(FromGateway::Challenge), 1));
    assert!(matches!(&turn[..], [(_, FromNode::Hello(Hello { store: StoreState::Locked, .. }))]), "{turn:?}");
    node.sense(Channel::Pir, true, 2).unwrap();
    assert_eq!(words(&read(node.receive(&gateway.poll(None), 3))), []);
    assert_eq!(node.waiting(), 0);
}

#[test]
fn what_could_not_be_kept_is_told_as_overload() {
    let (flash, mut gateway) = (EmulatedFlash::in_memory(3), Gateway::new(1));
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
                node.keeper.as_mut().unwrap().acknowledge(&ack);
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
    let mut node = Node::boot(config, EmulatedFlash::in_memory(3), boot(0));
    node.receive(&gateway.say(FromGateway::Challenge), 1);
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
    let mut node = Node::boot(configured(draft), EmulatedFlash::in_memory(3), boot(0));
    node.receive(&gateway.say(FromGateway::Challenge), 1);
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
    let (flash, mut gateway) = (EmulatedFlash::in_memory(4), Gateway::new(1));
    let mut node = Node::boot(config, flash, boot(0));
    node.receive(&gateway.say(FromGateway::Challenge), 1);
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
    let draft =
        Channel::ALL.into_iter().filter(|channel| *channel != Channel::FenceCut).fold(Draft::default(), Draft::with);
    let door = Sensing::Door(Door::default());
    let config = configured(draft.with_sensing(Channel::Door, door));
    let mut node = Node::boot(config, EmulatedFlash::in_memory(3), boot(0));
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
