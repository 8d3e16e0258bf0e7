extern crate std;

use super::{
    console::{Enrol, ToNode},
    message::{
        Answer, BLOCK_BYTES, Data, Done, Firmware, FromGateway, FromNode, Hello, MANIFEST_BYTES, NewKey, Order, Poll,
        ResetCause, SAMPLES, Sample, SettingsState, StoreState, Stored, Task, Transfer, Value, samples_of,
    },
    window::{Verdict, WINDOW, Window},
    *,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, string::ToString, vec, vec::Vec};

fn key() -> NodeKey {
    NodeKey::new(core::array::from_fn(|i| i as u8))
}

fn header(counter: u64) -> Header {
    Header { suite: SuiteId::ChaCha20Poly1305, node: 7, epoch: 0x1122_3344_5566_7788, counter }
}

fn link() -> LinkKey {
    key().link(Direction::NodeToGateway, 7, 0x1122_3344_5566_7788)
}

fn motion() -> FromNode {
    let samples = [
        Sample { channel: Channel::Pir, age_ms: 3, value: Value::State(true) },
        Sample { channel: Channel::Load1, age_ms: 0, value: Value::Measure(412.5) },
    ];
    FromNode::Data(Data {
        boot: 3,
        follows: 1,
        at_ms: 90_061,
        last_words: false,
        samples: heapless::Vec::from_slice(&samples).unwrap(),
    })
}

fn deframe(bytes: &[u8]) -> Vec<Result<Sealed, Unreadable>> {
    let mut deframer = Deframer::default();
    bytes.iter().filter_map(|byte| deframer.push(*byte)).collect()
}

/// Version 1 of the node link is on nodes in the field. If this test fails, undo your change, not this test.
#[test]
fn frames_of_version_1_keep_their_bytes() {
    let poll = FromGateway::Poll(Poll {
        frames: 4,
        heard: true,
        report: false,
        again: None,
        stored: Some(Stored { epoch: 0x1122_3344_5566_7788, below: 5, from: 7, bits: 0b101 }),
    });
    let transfer = Transfer::Settings { length: 300, digest: [0xd1; 32] };
    let order = FromGateway::Order(Order { number: 5, task: Task::Begin(transfer) });
    let answer = FromNode::Answer(Answer { answers: 12, number: 5, result: Ok(Done::Has(256)) });
    let enrol = ToNode::Enrol(Enrol { number: 7, key: NewKey([0x4b; 32]), settings: Some((300, [0xd1; 32])) });
    let session = Header { epoch: 0xfeed_f00d_0bad_cafe, counter: 1, ..header(0) };
    let gateway = key().link(Direction::GatewayToNode, 7, session.epoch);
    let challenge = Header { counter: 0, ..session };
    let bytes = [
        seal(&header(5), &link(), &motion()),
        seal(&session, &gateway, &poll),
        seal(&challenge, &gateway, &FromGateway::Challenge),
        seal(&session, &gateway, &order),
        seal(&header(6), &link(), &answer),
        in_clear(&enrol),
    ];
    let expected = [DATA_V1, POLL_V1, CHALLENGE_V1, ORDER_V1, ANSWER_V1, ENROL_V1];
    assert_eq!(bytes.map(|frame| hex(&frame.unwrap())), expected);
    assert_eq!(key().boot_epoch(0x1122_3344_5566_7788, 3), BOOT_EPOCH_V1);
}

const DATA_V1: &str = "0311070a88776655443322110501010101010126449bc94501dfc52bfc713917e77f355edbf9ecf972b22a8547efab11dd25a5f14d673f6e0300";
const POLL_V1: &str = "0311070afecaad0b0df0edfe0101010101010125884996a3867e19e5a6f13a0f7c1a04f80763211d3ce44766659a14a33c778cfcd3abf81900";
const CHALLENGE_V1: &str = "03110709fecaad0b0df0edfe010101010101011410cc6c4f42d485431473efe1235beff6868cb500";
const ORDER_V1: &str = "0311070afecaad0b0df0edfe01010101010101398a4894a32a7d40dbee8b2e36215ac42cd1b760a5a0a5240384d4594fbd872668b978e94aefa82cb7f07577d86bb6685099c4c9a2c813e44400";
const ANSWER_V1: &str = "0311070a8877665544332211060101010101011ab52058b8e7aff3d05912a53176a3fa3705dde415fa3d5ee18c00";
const ENROL_V1: &str = "491f02074b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b01ac02d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1cf8c00";
const BOOT_EPOCH_V1: u64 = 3_134_443_616_732_038_892;

#[test]
fn a_frame_comes_back_from_its_bytes_whatever_was_on_the_line_before() {
    let wire = seal(&header(5), &link(), &motion()).unwrap();
    let mut bytes = vec![0xff, 0x12, 0, 0];
    bytes.extend_from_slice(&wire);
    bytes.extend_from_slice(&wire);
    let found = deframe(&bytes);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], Err(Unreadable::Noise));
    for sealed in &found[1..] {
        let opened = sealed.clone().unwrap().open(&link()).unwrap();
        assert_eq!((opened.header, opened.message::<FromNode>()), (header(5), Ok(motion())));
    }
}

#[test]
fn the_longest_real_frame_fits_and_a_longer_message_is_refused() {
    let health = Value::Health { boots: u32::MAX, reset: ResetCause::Update, supply_mv: Some(u16::MAX) };
    let lost = Value::Missing(message::Missing::Overload(u32::MAX));
    let sample = |value| Sample { channel: Channel::Health, age_ms: u32::MAX, value };
    let samples = (0..SAMPLES).map(|i| sample(if i == 0 { health } else { lost })).collect();
    let data = FromNode::Data(Data { boot: u32::MAX, follows: u32::MAX, at_ms: u64::MAX, last_words: true, samples });
    let wire = seal(&header(u64::MAX), &link(), &data).unwrap();
    assert!(wire.len() <= WIRE_BYTES);
    let opened = deframe(&wire)[0].clone().unwrap().open(&link()).unwrap();
    let FromNode::Data(Data { samples, .. }) = &data else { panic!("{data:?}") };
    assert_eq!(samples_of(&opened.payload).collect::<Vec<_>>(), samples[..]);
    assert_eq!(samples_of(&opened.payload[..opened.payload.len() - 1]).count(), samples.len() - 1, "cut short");
    assert_eq!(opened.message(), Ok(data));
    assert_eq!(seal_payload(&header(0), &link(), &[1; PAYLOAD_BYTES + 1]), Err(TooLong));
    let full = seal_payload(&header(0), &link(), &[0; PAYLOAD_BYTES]).unwrap();
    assert_eq!(deframe(&full)[0].clone().unwrap().open(&link()).unwrap().payload.len(), PAYLOAD_BYTES);
}

#[test]
fn the_longest_order_answer_and_word_of_the_console_fit_and_come_back() {
    let order = |task| FromGateway::Order(Order { number: u32::MAX, task });
    let full = |byte| core::iter::repeat_n(byte, PAYLOAD_BYTES);
    let digest = [0xff; 32];
    for message in [
        order(Task::Begin(Transfer::Image { manifest: full(0xff).take(MANIFEST_BYTES).collect() })),
        order(Task::Begin(Transfer::Settings { length: u16::MAX, digest })),
        order(Task::Block { offset: u32::MAX, bytes: full(0xff).take(BLOCK_BYTES).collect() }),
        order(Task::Rekey(NewKey([0xff; 32]))),
    ] {
        let wire = seal(&header(1), &link(), &message).unwrap();
        assert_eq!(deframe(&wire)[0].clone().unwrap().open(&link()).unwrap().message(), Ok(message));
    }
    let hello = FromNode::Hello(Hello {
        session: u64::MAX,
        answers: u64::MAX,
        token: u64::MAX,
        boot: u32::MAX,
        now_ms: u64::MAX,
        reset: ResetCause::Update,
        store: StoreState::Open { epoch: u64::MAX, oldest: u64::MAX, next: u64::MAX },
        runs: Firmware { board: u16::MAX, version: u32::MAX },
        settings: SettingsState::OnTrial(u64::MAX),
    });
    let wire = seal(&header(1), &link(), &hello).unwrap();
    assert_eq!(deframe(&wire)[0].clone().unwrap().open(&link()).unwrap().message(), Ok(hello));
    let said = [
        ToNode::WhoAreYou,
        ToNode::Settings { offset: u16::MAX, bytes: full(0xff).take(BLOCK_BYTES).collect() },
        ToNode::Enrol(Enrol { number: 7, key: NewKey([0xff; 32]), settings: Some((u16::MAX, digest)) }),
    ];
    for said in said {
        let wire = in_clear(&said).unwrap();
        let mut deframer = Deframer::default();
        let found = wire.iter().find_map(|byte| deframer.find(*byte));
        let Some(Ok(Found::Clear(clear))) = found else { panic!("{found:?}") };
        assert_eq!(clear.message(), Ok(said));
        assert_eq!(deframe(&wire), [Err(Unreadable::Suite(15))], "the link does not read it");
    }
}

#[test]
fn no_new_key_is_ever_printed() {
    let shown = std::format!("{:?}", FromGateway::Order(Order { number: 2, task: Task::Rekey(NewKey([0x5a; 32])) }));
    assert!(shown.contains("NewKey") && !shown.contains("90") && !shown.contains("5a"), "{shown}");
}

#[test]
fn direction_node_and_epoch_each_have_their_own_key() {
    let wire = seal(&header(5), &link(), &motion()).unwrap();
    let sealed = deframe(&wire)[0].clone().unwrap();
    for other in [
        key().link(Direction::GatewayToNode, 7, header(5).epoch),
        key().link(Direction::NodeToGateway, 8, header(5).epoch),
        key().link(Direction::NodeToGateway, 7, header(5).epoch + 1),
        NodeKey::new([9; 32]).link(Direction::NodeToGateway, 7, header(5).epoch),
    ] {
        assert_eq!(sealed.clone().open(&other), Err(Forged));
    }
    assert!(sealed.open(&link()).is_ok());
}

#[test]
fn bytes_behind_a_message_are_not_ignored() {
    let mut payload = [0; PAYLOAD_BYTES];
    let used = postcard::to_slice(&motion(), &mut payload).unwrap().len();
    let wire = seal_payload(&header(5), &link(), &payload[..used + 1]).unwrap();
    assert_eq!(deframe(&wire)[0].clone().unwrap().open(&link()).unwrap().message::<FromNode>(), Err(NotAMessage));
}

#[test]
fn names_of_channels_parse_back_and_an_unknown_one_names_them_all() {
    for channel in Channel::ALL {
        assert_eq!(Channel::parse(channel.name()), Ok(channel));
        assert_eq!(Channel::ALL[channel.index()], channel);
    }
    let why = Channel::parse("radar").unwrap_err().to_string();
    assert!(why.contains("pir, tamper, fence") && why.ends_with("fence-cut"), "{why}");
}

#[test]
fn a_window_takes_each_counter_once_and_acknowledges_in_any_order() {
    let mut window = Window::from(100);
    assert_eq!(window.take(99), Verdict::Repeat, "below the window: acknowledged before");
    for counter in [100, 102, 101, 300] {
        assert_eq!(window.take(counter), Verdict::New);
        assert_eq!(window.take(counter), Verdict::Repeat);
    }
    assert_eq!(window.acknowledgement(1), Stored { epoch: 1, below: 100, from: 100, bits: 0 }, "nothing is on disk");
    window.stored(102);
    let ack = window.acknowledgement(1);
    assert!(ack.covers(102) && !ack.covers(100) && !ack.covers(101) && ack.covers(99));
    window.stored(300);
    let acks = [window.acknowledgement(1), window.acknowledgement(1)];
    assert!(
        acks.iter().any(|ack| ack.covers(102)) && acks.iter().any(|ack| ack.covers(300)),
        "both stretches are said"
    );
    window.stored(100);
    window.refused(101);
    assert_eq!(window.take(101), Verdict::New, "what was not stored may come again");
    window.stored(101);
    assert_eq!(window.acknowledgement(1).below, 103);
    window.advance(301);
    assert_eq!((window.acknowledgement(1).below, window.take(200)), (301, Verdict::Repeat));
}

#[test]
fn a_full_window_refuses_instead_of_forgetting() {
    let mut window = Window::from(0);
    for counter in 0..WINDOW as u64 {
        assert_eq!(window.take(counter * 2 + 1), Verdict::New);
    }
    assert_eq!(window.take(0), Verdict::Full);
    assert_eq!(window.take(1), Verdict::Repeat);
}

proptest! {
    #[test]
    fn any_damage_is_noise_or_forgery_and_never_a_message(
        counter in any::<u64>(),
        payload in prop::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..6),
        fix_crc in any::<bool>(),
    ) {
        let wire = seal_payload(&header(counter), &link(), &payload).unwrap();
        let mut bytes = wire.to_vec();
        if fix_crc {
            // Damage under a right checksum is what an attacker sends.
            let mut frame = bytes.clone();
            let length = cobs::decode_in_place(&mut frame).unwrap();
            frame.truncate(length);
            let checked = frame.len() - CRC_BYTES;
            for (at, by) in &damage {
                frame[at.index(checked)] ^= by;
            }
            let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&frame[..checked]);
            frame[checked..].copy_from_slice(&crc.to_le_bytes());
            bytes = vec![0; WIRE_BYTES];
            let length = cobs::encode(&frame, &mut bytes);
            bytes.truncate(length + 1);
            bytes[length] = 0;
        } else {
            for (at, by) in &damage {
                let at = at.index(bytes.len());
                bytes[at] ^= by;
            }
        }
        if bytes == wire[..] {
            return Ok(()); // the damage undid itself
        }
        bytes.push(0);
        for sealed in deframe(&bytes).into_iter().flatten() {
            // A key for whatever the header claims: an attacker may choose it.
            let claimed = *sealed.header();
            let key = key().link(Direction::NodeToGateway, claimed.node, claimed.epoch);
            prop_assert_eq!(sealed.open(&key), Err(Forged));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for sealed in deframe(&bytes).into_iter().flatten() {
            prop_assert_eq!(sealed.open(&link()), Err(Forged));
        }
    }

    #[test]
    fn any_authentic_bytes_are_a_message_or_not_and_never_a_panic(payload in prop::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES)) {
        let wire = seal_payload(&header(1), &link(), &payload).unwrap();
        let opened = deframe(&wire)[0].clone().unwrap().open(&link()).unwrap();
        let _ = (opened.message::<FromNode>(), opened.message::<FromGateway>());
    }

    #[test]
    fn a_window_never_takes_a_counter_twice_and_acknowledges_only_what_is_stored(
        steps in prop::collection::vec((0u8..4, 0u64..80), 1..400),
    ) {
        let (mut window, mut oldest) = (Window::from(0), 0);
        let (mut taken, mut stored) = (BTreeSet::new(), BTreeSet::new());
        for (step, counter) in steps {
            match step {
                0 => {
                    let new = window.take(counter) == Verdict::New;
                    prop_assert_eq!(new, counter >= oldest && taken.insert(counter));
                }
                1 if taken.contains(&counter) => {
                    window.stored(counter);
                    stored.insert(counter);
                }
                2 if !stored.contains(&counter) => {
                    window.refused(counter);
                    taken.remove(&counter);
                }
                3 if counter < 8 => {
                    oldest = oldest.max(counter);
                    window.advance(counter);
                }
                _ => {}
            }
            let ack = window.acknowledgement(0);
            for counter in (0..100).filter(|counter| ack.covers(*counter)) {
                prop_assert!(stored.contains(&counter) || counter < oldest, "{counter} was acknowledged");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> std::string::String {
    bytes.iter().map(|byte| std::format!("{byte:02x}")).collect()
}
