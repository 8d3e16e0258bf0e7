//! One node as the gateway knows it: what is proven, what has come, what is on disk.

use super::{
    Notice, Now, Outcome,
    clock::NodeClock,
    decode::{Channels, Newest, observations},
    standing::{Seen, Standing},
};
use quaywatch_schemas::{
    Observation,
    frame::{
        Direction, Header, LinkKey, NodeKey, Opened, Sealed, SuiteId,
        message::{Data, FromGateway, FromNode, Hello, Poll, StoreState, TurnEnd},
        seal,
        window::{Verdict, Window},
    },
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Data frames in one turn: at 19,200 baud four of usual length take a tenth of a second.
const FRAMES: u8 = 4;
/// The longest a frame waits for its predecessor: an alarm behind a lost frame is late by that much at most.
const HOLD: Duration = Duration::from_secs(3);
/// After so many turns without it, its predecessor does not exist any more or the line is very bad.
const ASKED_IN_VAIN: u8 = 4;
/// Predecessors waited for in vain that are remembered: about a turn's worth for each of many turns.
const LACKING: usize = 64;
/// How often one is asked for. A node may have lost it in a power cut: routine frames are kept in RAM.
const ASKS: u8 = 16;
/// Former epochs that are remembered so that a recording of a former boot is not taken for a new one. A node that boots
/// more often within one run of the gateway has other troubles.
const FORMER: usize = 256;

/// One node.
pub(super) struct Peer {
    pub(super) number: u16,
    pub(super) channels: Channels,
    key: NodeKey,
    session: u64,
    session_key: LinkKey,
    said: u64,
    proven: Option<Proven>,
    former: VecDeque<u64>,
    clock: NodeClock,
    newest: Newest,
    /// Whether the end of its last turn was heard.
    heard: bool,
    /// It is to repeat what all its channels say, until it has answered that.
    report: bool,
    report_asked: bool,
    seen: Seen,
}

/// What a node proved in its last hello, and what came since.
struct Proven {
    boot: u32,
    epoch: u64,
    key: LinkKey,
    read: u64,
    store: Option<Store>,
}

/// Its kept frames.
struct Store {
    epoch: u64,
    key: LinkKey,
    window: Window,
    /// Frames whose predecessor has not come, by rising counter.
    holding: VecDeque<Held>,
    /// The predecessor that the last poll asked for, and the one that the first held frame lacks with how many turns were
    /// asked for it, heard to their end, and did not bring it.
    asked: Option<u64>,
    in_vain: (u64, u8),
    /// Predecessors that were waited for in vain, and how often they will still be asked for. At most [`LACKING`]: the
    /// node sends again by itself what is not acknowledged, only later.
    lacking: Vec<(u64, u8)>,
    /// The oldest it keeps and its next counter, as it said last.
    oldest: u64,
    next: u64,
    more: bool,
}

struct Held {
    header: Header,
    payload: Vec<u8>,
    data: Data,
    came: Instant,
}

/// A frame's words, ready for the ledger.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) epoch: u64,
    pub(super) counter: u64,
    pub(super) observations: Vec<Observation>,
    pub(super) payload: Vec<u8>,
    pub(super) last_words: bool,
}

/// What a frame was.
pub(super) enum Came {
    /// The answer to a challenge; what is to be told of it.
    Hello(Option<Notice>),
    /// The end of a turn: which poll it answers, and whether there is more.
    TurnEnd { answers: u64, more: bool },
    /// A refusal.
    Refused,
    /// A data frame that is new.
    Data,
    /// It is proven and not understood; its bytes, and its place if it will be repeated until it is acknowledged.
    NotUnderstood(Vec<u8>, Option<(u64, u64)>),
    /// Nothing to act on.
    Nothing(Outcome),
}

impl Peer {
    pub(super) fn new(number: u16, key: NodeKey, channels: Channels, session: u64) -> Self {
        let session_key = key.link(Direction::GatewayToNode, number, session);
        Self {
            number,
            channels,
            key,
            session,
            session_key,
            said: 0,
            proven: None,
            former: VecDeque::new(),
            clock: NodeClock::default(),
            newest: Newest::new(),
            heard: true,
            report: true,
            report_asked: false,
            seen: Seen::default(),
        }
    }

    /// How it is; `silent` is whether it left the last polls unanswered.
    pub(super) fn standing(&self, silent: bool) -> Standing {
        let store = self.proven.as_ref().and_then(|proven| proven.store.as_ref());
        self.seen.standing(self.number, silent, store.map(|store| store.next.saturating_sub(store.oldest)))
    }

    /// Whether it answered a challenge.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.is_some()
    }

    /// A challenge, and its counter.
    pub(super) fn challenge(&mut self) -> (u64, Vec<u8>) {
        self.say(&FromGateway::Challenge)
    }

    /// A poll with everything that can be acknowledged, and its counter. Without room for data it is asked for none.
    pub(super) fn poll(&mut self, room: bool) -> (u64, Vec<u8>) {
        let store = self.proven.as_mut().and_then(|proven| proven.store.as_mut());
        let (mut again, mut stored) = (None, None);
        if let Some(store) = store {
            again = store.missing();
            store.asked = again.filter(|_| room);
            // A node that keeps nothing needs no acknowledgement.
            stored = (store.oldest < store.next).then(|| store.window.acknowledgement(store.epoch));
        }
        let poll =
            Poll { frames: if room { FRAMES } else { 0 }, heard: self.heard, report: self.report, again, stored };
        self.heard = false;
        self.report_asked = self.report;
        self.say(&FromGateway::Poll(poll))
    }

    /// It did not answer.
    pub(super) fn missed(&mut self, challenge: bool) {
        // After a lost challenge there is nothing that could have been sent in vain.
        self.heard |= challenge;
    }

    /// It is back, or it may have lost words: it is to repeat itself.
    pub(super) fn ask_for_report(&mut self) {
        self.report = true;
    }

    /// Verifies a frame and takes it in. `turn` is when the poll it may answer was sent and when its first byte came.
    pub(super) fn take(&mut self, sealed: Sealed, turn: Option<(Instant, Instant)>, now: Now, room: bool) -> Came {
        let header = *sealed.header();
        let store_epoch = self.proven.as_ref().and_then(|proven| proven.store.as_ref()).map(|store| store.epoch);
        let key = match &self.proven {
            Some(proven) if proven.epoch == header.epoch => proven.key.clone(),
            Some(Proven { store: Some(store), .. }) if store.epoch == header.epoch => store.key.clone(),
            _ => self.key.link(Direction::NodeToGateway, self.number, header.epoch),
        };
        let Ok(opened) = sealed.open(&key) else {
            self.seen.forged += 1;
            return Came::Nothing(Outcome::Forged);
        };
        let kept = store_epoch == Some(header.epoch);
        match opened.message() {
            Ok(FromNode::Data(data)) if kept => self.take_data(opened, data, now, room),
            Ok(FromNode::Hello(hello)) if !kept => self.take_hello(&header, key, &hello, turn, now),
            Ok(FromNode::TurnEnd(end)) if self.is_current(&header) => {
                self.seen.heard(now.wall);
                self.take_turn_end(&end, turn)
            }
            Ok(FromNode::Refused(_)) if self.is_current(&header) => Came::Refused,
            Ok(_) => Came::Nothing(Outcome::Stale),
            Err(_) if kept => self.take_unknown(opened, room),
            Err(_) if self.is_current(&header) => Came::NotUnderstood(opened.payload.to_vec(), None),
            Err(_) => Came::Nothing(Outcome::Stale),
        }
    }

    /// Frames that can go to the ledger now, in order: one whose predecessor has not come waits for it, until the node was
    /// asked for it a few times and did not have it, or cannot be asked for [`HOLD`].
    pub(super) fn release(&mut self, now: Now) -> Vec<Said> {
        let mut said = Vec::new();
        let Some(Proven { store: Some(store), .. }) = &mut self.proven else { return said };
        while let Some(held) = store.holding.front() {
            let before = held.header.counter.checked_sub(u64::from(held.data.follows));
            let in_order = held.data.follows == 0 || before.is_none_or(|before| store.window.has(before));
            let asked_enough = before == Some(store.in_vain.0) && store.in_vain.1 >= ASKED_IN_VAIN;
            if !in_order && !asked_enough && now.at.saturating_duration_since(held.came) < HOLD {
                break;
            }
            let Some(held) = store.holding.pop_front() else { break };
            if let Some(before) = before.filter(|_| !in_order && store.lacking.len() < LACKING) {
                store.lacking.push((before, ASKS));
            }
            said.push(Said {
                epoch: held.header.epoch,
                counter: held.header.counter,
                observations: observations(
                    &held.header,
                    &held.data,
                    &self.channels,
                    &self.clock,
                    &mut self.newest,
                    now,
                ),
                payload: held.payload,
                last_words: held.data.last_words,
            });
        }
        said
    }

    /// When the frame that waits longest is released at the latest.
    pub(super) fn release_at(&self) -> Option<Instant> {
        let store = self.proven.as_ref()?.store.as_ref()?;
        store.holding.front().map(|held| held.came + HOLD)
    }

    /// What became of a frame: on disk, or refused by the ledger.
    pub(super) fn settled(&mut self, epoch: u64, counter: u64, on_disk: bool) {
        let Some(Proven { store: Some(store), .. }) = &mut self.proven else { return };
        match (store.epoch == epoch, on_disk) {
            (true, true) => store.window.stored(counter),
            (true, false) => store.window.refused(counter),
            // Of a store that was replaced meanwhile.
            (false, _) => {}
        }
    }

    fn take_data(&mut self, opened: Opened, data: Data, now: Now, room: bool) -> Came {
        let Some(Proven { store: Some(store), .. }) = &mut self.proven else { return Came::Nothing(Outcome::Stale) };
        let counter = opened.header.counter;
        if !room && !store.window.has(counter) {
            return Came::Nothing(Outcome::Full);
        }
        match store.window.take(counter) {
            Verdict::Repeat => return Came::Nothing(Outcome::Repeat),
            Verdict::Full => return Came::Nothing(Outcome::Full),
            Verdict::New => {}
        }
        self.seen.heard(now.wall);
        self.seen.data(&data);
        let held = Held { header: opened.header, payload: opened.payload.to_vec(), data, came: now.at };
        let at = store.holding.partition_point(|other| other.header.counter < counter);
        store.holding.insert(at, held);
        Came::Data
    }

    fn take_unknown(&mut self, opened: Opened, room: bool) -> Came {
        let Some(Proven { store: Some(store), .. }) = &mut self.proven else { return Came::Nothing(Outcome::Stale) };
        let Header { epoch, counter, .. } = opened.header;
        if !room && !store.window.has(counter) {
            return Came::Nothing(Outcome::Full);
        }
        match store.window.take(counter) {
            Verdict::New => Came::NotUnderstood(opened.payload.to_vec(), Some((epoch, counter))),
            Verdict::Repeat => Came::Nothing(Outcome::Repeat),
            Verdict::Full => Came::Nothing(Outcome::Full),
        }
    }

    fn take_hello(
        &mut self,
        header: &Header,
        key: LinkKey,
        hello: &Hello,
        turn: Option<(Instant, Instant)>,
        now: Now,
    ) -> Came {
        let known = self.proven.as_ref().filter(|proven| proven.epoch == header.epoch);
        let is_repeat =
            known.is_some_and(|proven| header.counter <= proven.read) || self.former.contains(&header.epoch);
        if hello.session != self.session || is_repeat {
            return Came::Nothing(Outcome::Stale);
        }
        self.seen.heard(now.wall);
        self.seen.hello(hello);
        if let Some((sent, heard)) = turn {
            self.clock.observe(hello.boot, hello.now_ms, sent, heard);
        }
        let before = self.proven.take();
        if let Some(former) = before.as_ref().map(|proven| proven.epoch).filter(|epoch| *epoch != header.epoch) {
            if self.former.len() == FORMER {
                self.former.pop_front();
            }
            self.former.push_back(former);
            self.report = true;
        }
        let mut notice = None;
        let had_store = before.as_ref().and_then(|proven| proven.store.as_ref()).map(|store| store.epoch);
        let was_proven = before.is_some();
        let store = match hello.store {
            StoreState::Open { epoch, oldest, next } => {
                let same = before.and_then(|proven| proven.store).filter(|store| store.epoch == epoch);
                if same.is_none() && had_store.is_some() {
                    notice = Some(Notice::NewStore(self.number));
                }
                let mut store = same.unwrap_or_else(|| Store {
                    epoch,
                    key: self.key.link(Direction::NodeToGateway, self.number, epoch),
                    window: Window::from(oldest),
                    holding: VecDeque::new(),
                    asked: None,
                    in_vain: (0, 0),
                    lacking: Vec::new(),
                    oldest,
                    next,
                    more: false,
                });
                store.stands_at(oldest, next, false);
                Some(store)
            }
            StoreState::Locked => {
                if !was_proven || had_store.is_some() {
                    notice = Some(Notice::Locked(self.number));
                }
                None
            }
        };
        self.proven = Some(Proven { boot: hello.boot, epoch: header.epoch, key, read: header.counter, store });
        Came::Hello(notice)
    }

    fn take_turn_end(&mut self, end: &TurnEnd, turn: Option<(Instant, Instant)>) -> Came {
        let Some(proven) = &mut self.proven else { return Came::Nothing(Outcome::Stale) };
        if let Some((sent, heard)) = turn.filter(|_| end.answers.checked_add(1) == Some(self.said)) {
            self.clock.observe(proven.boot, end.now_ms, sent, heard);
        }
        if let Some(store) = &mut proven.store {
            store.stands_at(end.oldest, end.next, end.more);
        }
        if end.answers.checked_add(1) == Some(self.said) {
            self.heard = true;
            self.report &= !self.report_asked;
            if let Some(store) = &mut proven.store {
                store.turn_ended();
            }
        }
        Came::TurnEnd { answers: end.answers, more: end.more }
    }

    /// Whether a frame is of the boot that was proven, and newer than what was read of it.
    fn is_current(&mut self, header: &Header) -> bool {
        match &mut self.proven {
            Some(proven) if proven.epoch == header.epoch && header.counter > proven.read => {
                proven.read = header.counter;
                true
            }
            _ => false,
        }
    }

    fn say(&mut self, message: &FromGateway) -> (u64, Vec<u8>) {
        let counter = self.said;
        self.said += 1;
        let header = Header { suite: SuiteId::default(), node: self.number, epoch: self.session, counter };
        let wire = seal(&header, &self.session_key, message).expect("polls and challenges are shorter than a frame");
        // A delimiter first: whatever noise the line made since the last turn ends there.
        (counter, std::iter::once(0).chain(wire.iter().copied()).collect())
    }
}

impl Store {
    fn stands_at(&mut self, oldest: u64, next: u64, more: bool) {
        (self.oldest, self.next, self.more) = (oldest, next, more);
        self.window.advance(oldest);
    }

    /// The first counter that has not come although something after it has, or the node said that it is there.
    fn missing(&mut self) -> Option<u64> {
        let Self { lacking, window, .. } = self;
        lacking.retain(|(counter, asks)| *asks > 0 && !window.has(*counter));
        if let Some((lowest, asks)) = lacking.iter_mut().min() {
            *asks -= 1;
            return Some(*lowest);
        }
        let waits_for = self.waits_for();
        if waits_for.is_some() {
            return waits_for;
        }
        let from = self.window.top().max(self.oldest);
        (!self.more && from < self.next).then_some(from)
    }

    /// A turn was heard to its end: what it was asked for and did not bring, it may not have.
    fn turn_ended(&mut self) {
        let Some(waits_for) = self.waits_for() else { return };
        if self.in_vain.0 != waits_for {
            self.in_vain = (waits_for, 0);
        }
        if self.asked.take() == Some(waits_for) && !self.window.has(waits_for) {
            self.in_vain.1 = self.in_vain.1.saturating_add(1);
        }
    }

    /// The predecessor of the first frame that is held.
    fn waits_for(&self) -> Option<u64> {
        self.holding.front().and_then(|held| held.header.counter.checked_sub(u64::from(held.data.follows)))
    }
}
