//! A million frames of somebody who has recordings and no key: at the gateway and at a node, none is accepted.

use super::*;
use quaywatch_schemas::frame::{CRC_BYTES, FRAME_BYTES, HEADER_BYTES, TAG_BYTES};

/// Forgeries of all kinds; `tests/run --heavy` makes all of them, CI a tenth.
const CAMPAIGN: u64 = 1_000_000;

/// What somebody can make of recordings. The checksum is no secret: it is always right.
struct Forger {
    noise: Noise,
    recorded: Vec<Vec<u8>>,
}

impl Forger {
    fn new(recording: &[u8], seed: u64) -> Self {
        let frames = recording.split(|byte| *byte == 0).filter(|frame| !frame.is_empty());
        let decode = |frame: &[u8]| {
            let mut bytes = frame.to_vec();
            let length = cobs::decode_in_place(&mut bytes).unwrap();
            bytes[..length - CRC_BYTES].to_vec()
        };
        Self { noise: Noise(seed), recorded: frames.map(decode).collect() }
    }

    fn pick(&mut self) -> Vec<u8> {
        let at = self.below(self.recorded.len());
        self.recorded[at].clone()
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.noise.next() % bound.max(1) as u64) as usize
    }

    /// The next frame, and whether it is a recording as it was.
    fn next(&mut self) -> (Vec<u8>, bool) {
        let (mut frame, other) = (self.pick(), self.pick());
        let original = frame.clone();
        match self.noise.next() % 7 {
            // One bit.
            0 => {
                let bit = self.below(frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            // Some bytes.
            1 => {
                for _ in 0..=self.below(8) {
                    let at = self.below(frame.len());
                    frame[at] = self.noise.next() as u8;
                }
            }
            // The header of one and the message of another.
            2 => {
                frame.truncate(HEADER_BYTES);
                frame.extend_from_slice(&other[HEADER_BYTES..]);
            }
            // The tag of another.
            3 => {
                let (end, tag) = (frame.len() - TAG_BYTES, other.len() - TAG_BYTES);
                frame[end..].copy_from_slice(&other[tag..]);
            }
            // Another counter, as it would be next.
            4 => {
                let ahead = 1 + self.noise.next() % 64;
                let (from, to) = (HEADER_BYTES - 8, HEADER_BYTES);
                let counter = u64::from_le_bytes(frame[from..to].try_into().unwrap());
                frame[from..to].copy_from_slice(&(counter.wrapping_add(ahead)).to_le_bytes());
            }
            // Shorter or longer.
            5 => {
                let length = HEADER_BYTES + TAG_BYTES + self.below(FRAME_BYTES - HEADER_BYTES - TAG_BYTES - CRC_BYTES);
                let noise = &mut self.noise;
                frame.resize_with(length, || noise.next() as u8);
            }
            _ => {}
        }
        let replayed = frame == original || self.recorded.contains(&frame);
        (frame, replayed)
    }
}

fn to_wire(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    let mut wire = vec![0; FRAME_BYTES + 2];
    let length = cobs::encode(&frame, &mut wire);
    wire.truncate(length + 1);
    wire[length] = 0;
    wire
}

/// A bus that has worked for a while, was restarted, and works on.
fn worked() -> Bench {
    let mut bench = Bench::new(&[7, 8]);
    for session in 2..4 {
        for i in 0..40 {
            bench.sense(7, NodeChannel::Load1, i as f32);
            bench.sense(7, NodeChannel::Pir, i % 2 == 0);
            bench.run(60);
        }
        bench.order_blink();
        bench.run(3_000);
        bench.power(7, true);
        bench.restart_gateway(session);
        bench.run(1_000);
    }
    bench
}

impl Bench {
    fn order_blink(&mut self) {
        let now = self.now();
        self.master.order(7, Request::Identify { seconds: 1 }, now).unwrap();
        self.act();
    }
}

fn campaign() -> u64 {
    let heavy = std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes");
    if heavy { CAMPAIGN } else { CAMPAIGN / 10 }
}

#[test]
fn a_gateway_accepts_none_of_them() {
    let mut bench = worked();
    // The nodes keep quiet, and the gateway waits for them.
    for station in &mut bench.stations {
        station.node = None;
    }
    let mut forger = Forger::new(&bench.from_nodes, 0x5eed);
    assert!(forger.recorded.len() > 100);
    let (known, mut replayed, mut notices) = (bench.stored.len(), 0u64, 0);
    bench.counts.clear();
    for _ in 0..campaign() / 2 {
        let (frame, was_recorded) = forger.next();
        replayed += u64::from(was_recorded);
        bench.master.received(PORT, &to_wire(&frame), bench.now());
        while let Some(output) = bench.master.next_output() {
            match output {
                Output::Count(outcome) => *bench.counts.entry(outcome).or_default() += 1,
                Output::Store { records, .. } => {
                    let alarm = |record: &Record| matches!(record, Record::Observation(said) if matches!(said.reading, Reading::NoData(_)));
                    assert!(records.iter().all(alarm), "{records:?}");
                }
                Output::Tell(Notice::Forged { .. } | Notice::Replayed { .. } | Notice::Stranger(_)) => notices += 1,
                Output::Tell(notice) => panic!("{notice:?}"),
                _ => {}
            }
        }
    }
    let counts = &bench.counts;
    for outcome in [Outcome::Accepted, Outcome::Control, Outcome::NotUnderstood, Outcome::Double, Outcome::Full] {
        assert_eq!(counts.get(&outcome), None, "{counts:?}");
    }
    let total: usize = counts.values().sum();
    assert_eq!(total as u64, campaign() / 2, "each frame has one outcome: {counts:?}");
    assert!(counts[&Outcome::Forged] as u64 > campaign() / 8 && replayed > campaign() / 20, "{counts:?}");
    assert!(notices >= 2 && bench.stored.len() == known);
    println!("gateway: 0 of {total} accepted, {replayed} of them replayed; {counts:?}");
}

#[test]
fn a_node_obeys_none_of_them() {
    let mut bench = worked();
    let mut forger = Forger::new(&bench.from_gateway, 0xf00d);
    assert!(forger.recorded.len() > 100);
    // A challenge is all that is said under a session's own key.
    let is_challenge = |frame: &[u8]| {
        let mut deframer = Deframer::default();
        let sealed = to_wire(frame).into_iter().find_map(|byte| deframer.push(byte)).unwrap().unwrap();
        let session = key(7).link(Direction::GatewayToNode, 7, sealed.header().epoch);
        sealed.open(&session).is_ok()
    };
    let challenges: Vec<Vec<u8>> = forger.recorded.iter().filter(|frame| is_challenge(frame)).cloned().collect();
    assert!(challenges.len() < 40 && challenges.len() > 2, "{}", challenges.len());
    // The gateway keeps quiet. The node has just been challenged, so its session is the newest there is.
    let (ms, station) = (bench.ms, bench.stations.iter_mut().find(|station| station.number == 7).unwrap());
    let (booted, node) = (station.booted, station.node.as_mut().unwrap());
    let (mut answered, mut refused, operations) = (0u64, 0u64, station.flash.operations());
    for _ in 0..campaign() / 2 {
        let (frame, was_recorded) = forger.next();
        match node.receive(&to_wire(&frame), ms - booted) {
            Some(_) => {
                // A recorded challenge of a former session is answered, with a hello that no gateway takes: see the frame's
                // documentation. It is the only thing that is, and changes nothing.
                let is_challenge = challenges.contains(&frame);
                assert!(was_recorded && is_challenge, "a forged frame was believed: {frame:02x?}");
                answered += 1;
            }
            None => refused += 1,
        }
        assert!(!node.blinks(ms - booted) && !node.wants_restart(ms - booted + 10_000), "an order was carried out");
    }
    let total = answered + refused;
    assert_eq!(total, campaign() / 2);
    assert_eq!(station.flash.operations(), operations, "nothing was written");
    println!("node: 0 of {total} obeyed; {answered} recorded challenges were answered, which changes nothing");
}
