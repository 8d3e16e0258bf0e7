//! Tells a node who it is, over a wire that a person holds. Pure: bytes and time in, bytes and the end out.
//!
//! A node answers only while its presence input is held, so the first question is repeated until it is. See
//! [`quaywatch_schemas::frame::console`] for what is said.

use quaywatch_schemas::frame::{
    Clear, Deframer, Found, NodeKey,
    console::{Enrol, FromNode, Nameplate, ToNode},
    in_clear,
    message::{BLOCK_BYTES, NewKey, Refusal, SETTINGS_BYTES},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What is not answered is said again after this: at 1200 baud question and answer take two seconds.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// An enrolment under way.
pub struct Enrolment {
    number: u16,
    key: NodeKey,
    settings: Option<Arc<[u8]>>,
    deframer: Deframer,
    step: Step,
    again_at: Instant,
    ended: Option<Result<Nameplate, Refusal>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Find,
    Settings(usize),
    Enrol,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Bytes for the wire.
    Send(Vec<u8>),
    /// Nothing until then, or until bytes come.
    Wait(Instant),
    /// The node is enrolled; what it says of itself.
    Enrolled(Nameplate),
    /// The node does not want to be.
    Refused(Refusal),
}

/// The settings are empty or longer than a node takes, or the number is not one of 1 to 65534.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nodes have numbers from 1 to 65534, and settings 1 to {SETTINGS_BYTES} bytes")]
pub struct CannotBe;

impl Enrolment {
    /// Begins. Without settings the node works by those of its firmware.
    pub fn new(number: u16, key: NodeKey, settings: Option<Arc<[u8]>>, now: Instant) -> Result<Self, CannotBe> {
        let fits = settings.as_ref().is_none_or(|settings| (1..=SETTINGS_BYTES).contains(&settings.len()));
        if !(1..=65_534).contains(&number) || !fits {
            return Err(CannotBe);
        }
        let (deframer, step) = (Deframer::default(), Step::Find);
        Ok(Self { number, key, settings, deframer, step, again_at: now, ended: None })
    }

    /// Whether a node was found: somebody holds its presence input.
    pub fn has_found(&self) -> bool {
        self.step != Step::Find
    }

    /// Bytes came.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        for byte in bytes {
            if let Some(Ok(Found::Clear(clear))) = self.deframer.find(*byte) {
                self.heard(&clear, now);
            }
        }
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Instant) -> Next {
        match self.ended {
            Some(Ok(nameplate)) => Next::Enrolled(nameplate),
            Some(Err(why)) => Next::Refused(why),
            None if self.again_at > now => Next::Wait(self.again_at),
            None => {
                self.again_at = now + AGAIN_AFTER;
                let wire = in_clear(&self.question()).expect("a test says the longest of each");
                // A delimiter first ends whatever noise plugging in made.
                Next::Send(std::iter::once(0).chain(wire.iter().copied()).collect())
            }
        }
    }

    fn question(&self) -> ToNode {
        let settings = self.settings.as_deref().unwrap_or_default();
        match self.step {
            Step::Find => ToNode::WhoAreYou,
            Step::Settings(offset) => ToNode::Settings {
                offset: offset as u16,
                bytes: settings[offset..].iter().copied().take(BLOCK_BYTES).collect(),
            },
            Step::Enrol => ToNode::Enrol(Enrol {
                number: self.number,
                key: NewKey(self.key.bytes()),
                settings: self.settings.as_ref().map(|all| (all.len() as u16, *blake3::hash(all).as_bytes())),
            }),
        }
    }

    fn heard(&mut self, clear: &Clear, now: Instant) {
        let Ok(said) = clear.message::<FromNode>() else { return };
        let settings = self.settings.as_ref().map_or(0, |settings| settings.len());
        let next = match (self.step, said) {
            (Step::Find, FromNode::Is(_)) if settings > 0 => Step::Settings(0),
            (Step::Find, FromNode::Is(_)) => Step::Enrol,
            // A repeated answer says the same; one that says less is of a node that somebody began with anew.
            (Step::Settings(_), FromNode::Has(has)) if usize::from(has) >= settings => Step::Enrol,
            (Step::Settings(_), FromNode::Has(has)) => Step::Settings(usize::from(has)),
            (Step::Enrol, FromNode::Is(nameplate)) if nameplate.number == Some(self.number) => {
                return self.ended = Some(Ok(nameplate));
            }
            // What was sent got lost with a restart of the node.
            (Step::Enrol, FromNode::Refused(Refusal::Incomplete)) if settings > 0 => Step::Settings(0),
            (_, FromNode::Refused(why)) => return self.ended = Some(Err(why)),
            _ => return,
        };
        (self.step, self.again_at) = (next, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_node::{
        Boot, Channel, Config, Node, ResetCause,
        emulation::{EmulatedFlash, Noise},
        settings::Draft,
    };

    /// A person, a node and a cable; how it ended, and how many bytes went over it.
    fn enrol(node: &mut Node<EmulatedFlash>, enrolment: &mut Enrolment, loses: u64, seed: u64) -> (Next, usize) {
        let (start, mut ms, mut bytes, mut noise) = (Instant::now(), 0, 0, Noise(seed));
        loop {
            let now = start + Duration::from_millis(ms);
            match enrolment.next(now) {
                Next::Send(wire) => {
                    bytes += wire.len();
                    let answer = if noise.next() % 100 < loses { None } else { node.receive(&wire, ms) };
                    if let Some(turn) = answer.filter(|_| noise.next() % 100 >= loses) {
                        enrolment.received(turn, now);
                    }
                }
                Next::Wait(until) => ms = (until - start).as_millis() as u64,
                end => return (end, bytes),
            }
            // The button is pressed after a while.
            node.set_presence(ms > 10_000);
            assert!(ms < 600_000, "it ends");
        }
    }

    #[test]
    fn a_node_is_enrolled_with_settings_once_its_button_is_held_over_a_cable_that_loses_half() {
        for seed in 0..20 {
            let flash = EmulatedFlash::in_memory(6);
            let boot = || Boot { reset: ResetCause::PowerOn, entropy: 1, now: 0 };
            let mut node = Node::boot(Config::blank(), flash.clone(), boot());
            let draft = Draft::default().with(Channel::Door).with(Channel::Vibration).with(Channel::Tamper);
            let settings: Arc<[u8]> = draft.check().unwrap().to_bytes()[..].into();
            let mut enrolment = Enrolment::new(7, NodeKey::new([1; 32]), Some(settings), Instant::now()).unwrap();
            let (end, _) = enrol(&mut node, &mut enrolment, 50, seed);
            assert!(matches!(end, Next::Enrolled(Nameplate { number: Some(7), .. })), "seed {seed}: {end:?}");
            let mut node = Node::boot(Config::blank(), flash, boot());
            assert_eq!((node.locked(), node.sense(Channel::Door, true, 1)), (None, Ok(())), "seed {seed}");
        }
    }

    #[test]
    fn settings_that_the_node_cannot_work_by_end_it() {
        let boot = Boot { reset: ResetCause::PowerOn, entropy: 1, now: 0 };
        let mut node = Node::boot(Config::blank(), EmulatedFlash::in_memory(6), boot);
        let now = Instant::now();
        let mut enrolment = Enrolment::new(7, NodeKey::new([1; 32]), Some([0xff; 800].into()), now).unwrap();
        let (end, bytes) = enrol(&mut node, &mut enrolment, 0, 0);
        assert_eq!(end, Next::Refused(Refusal::BadSettings));
        assert!(bytes > 800, "the longest settings went over");
        assert!(Enrolment::new(0, NodeKey::new([1; 32]), None, now).is_err());
        assert!(Enrolment::new(7, NodeKey::new([1; 32]), Some([0; 801].into()), now).is_err());
    }
}
