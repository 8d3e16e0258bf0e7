//! One node as the gateway knows it: what is proven, what has come, what is on disk.

use super::{
    Distrust, Notice, Now, Outcome, Trust,
    clock::NodeClock,
    decode::{Channels, Newest, observations},
    double::Witness,
    orders::{Moved, NotTaken, OrderId, Orders, Report, Request},
    standing::{Seen, Standing},
};
use crate::secret::Secret;
use quaywatch_schemas::{
    Observation, WallTime,
    frame::{
        Direction, Header, LinkKey, NodeKey, Opened, Sealed, SuiteId,
        message::{Answer, Data, Done, FromGateway, FromNode, Hello, Order, Poll, ResetCause, StoreState, TurnEnd},
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
/// The longest that an answer to a challenge is under way: at 1200 baud both take a second. Of several that come within
/// it all count against one another. One that comes later proves nothing: who can cut a node's power may let it answer a
/// recorded challenge in its next boot.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// A former boot that seems to speak makes a challenge at most this often: it may be a recording.
const DOUBT_AGAIN: Duration = Duration::from_secs(10);

/// One node.
pub(super) struct Peer {
    pub(super) number: u16,
    pub(super) channels: Channels,
    keys: Result<Keys, Distrust>,
    session: u64,
    said: u64,
    /// The last challenge, and how many there were since it was proven last.
    challenged: Option<Challenged>,
    challenges: u32,
    /// It is to be challenged although it is proven.
    to_be_challenged: bool,
    doubted: Option<Instant>,
    proven: Option<Proven>,
    orders: Orders,
    witness: Witness,
    /// Whether it turned to the key that it was given.
    rotated: bool,
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

/// A challenge that was made.
#[derive(Clone, Copy)]
struct Challenged {
    counter: u64,
    at: Instant,
    /// Epoch and counter of the hello that answered it first.
    answered: Option<(u64, u64)>,
}

/// The keys that a node may have.
struct Keys {
    usual: Own,
    /// One that it is given, or was given and has not used yet.
    next: Option<Own>,
}

/// One of its keys, and of that the one that challenges of this session are under.
#[derive(Clone)]
struct Own {
    node: NodeKey,
    session: LinkKey,
}

/// What a node proved in its last hello, and what came since.
struct Proven {
    boot: u32,
    /// All that is said after its hello is under this.
    after: LinkKey,
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
    Hello {
        notice: Option<Notice>,
        /// It started again without having been told to: words that were not in flash are gone.
        restarted: bool,
        reports: Vec<(OrderId, Report)>,
    },
    /// The end of a turn: which poll it answers, and whether there is more.
    TurnEnd { answers: u64, more: bool },
    /// What became of an order: which poll's turn it ends.
    Answer { answers: u64, reports: Vec<(OrderId, Report)> },
    /// Two devices speak with its key.
    Double,
    /// A data frame that is new.
    Data,
    /// It is proven and not understood; its bytes, and its place if it will be repeated until it is acknowledged.
    NotUnderstood(Vec<u8>, Option<(u64, u64)>),
    /// Nothing to act on.
    Nothing(Outcome),
}

impl Peer {
    /// A node as it is trusted at the start; `None` if a key is no key.
    pub(super) fn new(number: u16, trust: &Trust, channels: Channels, session: u64) -> Option<Self> {
        let own = |key: &Secret| Some(Own::new(NodeKey::new(key.as_key()?), number, session));
        let keys = match trust {
            Trust::Key(key) => Ok(Keys { usual: own(key)?, next: None }),
            Trust::Rotating { key, next } => Ok(Keys { usual: own(key)?, next: Some(own(next)?) }),
            Trust::Not(why) => Err(*why),
        };
        Some(Self {
            number,
            channels,
            keys,
            session,
            said: 0,
            challenged: None,
            challenges: 0,
            to_be_challenged: false,
            doubted: None,
            proven: None,
            orders: Orders::default(),
            witness: Witness::default(),
            rotated: false,
            former: VecDeque::new(),
            clock: NodeClock::default(),
            newest: Newest::new(),
            heard: true,
            report: true,
            report_asked: false,
            seen: Seen::default(),
        })
    }

    /// Why nothing in its name counts, if it does not.
    pub(super) fn distrust(&self) -> Option<Distrust> {
        self.keys.as_ref().err().copied()
    }

    /// Nothing in its name counts from here on. What was ordered of it is over.
    pub(super) fn quarantine(&mut self) -> Vec<OrderId> {
        self.keys = Err(Distrust::Quarantined);
        self.proven = None;
        self.orders.withdraw().collect()
    }

    /// Takes an order.
    pub(super) fn order(&mut self, id: OrderId, request: Request, now: Instant) -> Result<(), NotTaken> {
        let Ok(keys) = &mut self.keys else { return Err(NotTaken::NotTrusted) };
        let next = match &request {
            Request::Rotate(_) if self.orders.rotates() => return Err(NotTaken::Rotating),
            Request::Rotate(key) => match &keys.next {
                Some(next) if next.node != *key => return Err(NotTaken::Rotating),
                _ => Some(Own::new(key.clone(), self.number, self.session)),
            },
            _ => None,
        };
        self.orders.take(Some(id), request, self.seen.runs(), now)?;
        // It says whether the last key that was given is used.
        self.rotated &= next.is_none();
        keys.next = next.or(keys.next.take());
        Ok(())
    }

    /// When its first order is given up unless it gets on.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.orders.gives_up_at()
    }

    /// An order that got no further for too long.
    pub(super) fn give_up(&mut self, now: Instant) -> Option<Option<OrderId>> {
        self.orders.give_up(now)
    }

    /// How it is; `silent` is whether it left the last polls unanswered.
    pub(super) fn standing(&self, silent: bool) -> Standing {
        let store = self.proven.as_ref().and_then(|proven| proven.store.as_ref());
        let waiting = store.map(|store| store.next.saturating_sub(store.oldest));
        Standing {
            distrust: self.distrust(),
            rotated: self.rotated,
            orders: self.orders.len(),
            ..self.seen.standing(self.number, silent, waiting)
        }
    }

    /// Whether it is to be challenged before anything else.
    pub(super) fn needs_challenge(&self) -> bool {
        self.proven.is_none() || self.to_be_challenged
    }

    /// Somebody connected: it is to prove itself once more, and whoever else has its key with it.
    pub(super) fn challenge_again(&mut self) {
        self.to_be_challenged = true;
    }

    /// A recording of it was played.
    pub(super) fn seen_replayed(&mut self) {
        self.seen.replayed += 1;
    }

    /// An alarm about what others say in its name.
    pub(super) fn seen_attacked(&mut self, at: WallTime) {
        self.seen.attacked = Some(at);
    }

    /// A challenge, and its counter. While the node may have either of two keys they take turns.
    pub(super) fn challenge(&mut self, now: Instant) -> (u64, Vec<u8>) {
        let next_first = self.orders.has_key();
        let by_next = self.challenges % 2 == u32::from(!next_first);
        self.challenged = Some(Challenged { counter: self.said, at: now, answered: None });
        self.challenges = self.challenges.wrapping_add(1);
        self.say(&FromGateway::Challenge, by_next)
    }

    /// An order that is due, and its counter.
    pub(super) fn say_order(&mut self, now: Instant) -> Option<(u64, Vec<u8>)> {
        self.proven.as_ref()?;
        let (number, task) = self.orders.next(now)?;
        Some(self.say(&FromGateway::Order(Order { number, task }), false))
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
        self.say(&FromGateway::Poll(poll), false)
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
        let Some((opened, key, by_next)) = self.open(sealed) else {
            self.seen.forged += 1;
            return Came::Nothing(Outcome::Forged);
        };
        let Ok(is_new) = self.witness.frame(header.epoch, header.counter, &opened.payload) else { return Came::Double };
        let kept = store_epoch == Some(header.epoch);
        match opened.message() {
            Ok(FromNode::Data(data)) if kept => self.take_data(opened, data, now, room),
            Ok(FromNode::Hello(hello)) if !kept && self.is_asked_for(&hello) => {
                let Some(is_second) = self.answers(&header, now.at) else {
                    return Came::Nothing(self.is_over(&header));
                };
                let known = self.proven.as_ref().filter(|proven| proven.epoch == header.epoch);
                let is_behind = known.is_some_and(|proven| header.counter <= proven.read);
                match (is_behind, is_new) {
                    (true, false) => Came::Nothing(self.is_over(&header)),
                    // What only now answers a challenge that was only now asked said its last word long ago.
                    (true, true) => Came::Double,
                    _ if self.former.contains(&header.epoch) => Came::Double,
                    _ => {
                        let came = self.take_hello(&header, key, by_next, &hello, turn, now);
                        // If both live, one of them answers the next challenge with a word that was over.
                        self.to_be_challenged |= is_second;
                        came
                    }
                }
            }
            // Too late for its challenge.
            Ok(FromNode::Hello(hello)) if !kept && hello.session == self.session && !self.is_of_now(&header) => {
                Came::Nothing(Outcome::Stale)
            }
            Ok(FromNode::TurnEnd(end)) if self.is_current(&header) => {
                self.seen.heard(now.wall);
                self.take_turn_end(&end, turn, now)
            }
            Ok(FromNode::Answer(answer)) if self.is_current(&header) => {
                Came::Answer { answers: answer.answers, reports: self.take_answer(&answer, now) }
            }
            // A boot that is over and answers what was said just now is another device, or somebody's recording of a former
            // session. Only a challenge tells one from the other.
            Ok(FromNode::TurnEnd(TurnEnd { answers, .. }) | FromNode::Answer(Answer { answers, .. }))
                if self.former.contains(&header.epoch)
                    && answers.checked_add(1) == Some(self.said)
                    && self.doubted.is_none_or(|at| now.at >= at + DOUBT_AGAIN) =>
            {
                (self.to_be_challenged, self.doubted) = (true, Some(now.at));
                Came::Nothing(Outcome::Stale)
            }
            Ok(_) => Came::Nothing(self.is_over(&header)),
            Err(_) if kept => self.take_unknown(opened, room),
            Err(_) if self.is_current(&header) => Came::NotUnderstood(opened.payload.to_vec(), None),
            Err(_) => Came::Nothing(self.is_over(&header)),
        }
    }

    /// Verifies a frame: with the key that its epoch is known under, else with those that the node may have.
    fn open(&self, sealed: Sealed) -> Option<(Opened, LinkKey, bool)> {
        let (keys, header) = (self.keys.as_ref().ok()?, *sealed.header());
        let known = match &self.proven {
            Some(proven) if proven.epoch == header.epoch => Some(&proven.key),
            Some(Proven { store: Some(store), .. }) if store.epoch == header.epoch => Some(&store.key),
            _ => None,
        };
        let link = |own: &Own| own.node.link(Direction::NodeToGateway, self.number, header.epoch);
        let usual = known.cloned().unwrap_or_else(|| link(&keys.usual));
        if let Ok(opened) = sealed.clone().open(&usual) {
            return Some((opened, usual, false));
        }
        let next = link(keys.next.as_ref()?);
        sealed.open(&next).ok().map(|opened| (opened, next, true))
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
            Verdict::Repeat => return Came::Nothing(store.repeated(counter)),
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
            Verdict::Repeat => Came::Nothing(store.repeated(counter)),
            Verdict::Full => Came::Nothing(Outcome::Full),
        }
    }

    fn take_hello(
        &mut self,
        header: &Header,
        key: LinkKey,
        by_next: bool,
        hello: &Hello,
        turn: Option<(Instant, Instant)>,
        now: Now,
    ) -> Came {
        if let StoreState::Open { epoch, next, .. } = hello.store
            && self.witness.stands(epoch, hello.boot, next).is_err()
        {
            return Came::Double;
        }
        self.seen.heard(now.wall);
        self.seen.hello(hello);
        let had_store = self.proven.as_ref().and_then(|proven| proven.store.as_ref()).map(|store| store.epoch);
        let is_new_store =
            matches!(hello.store, StoreState::Open { epoch, .. } if had_store.is_some_and(|had| had != epoch));
        if is_new_store {
            // Boots are counted from 1 again.
            self.clock = NodeClock::default();
        }
        if let Some((sent, heard)) = turn {
            self.clock.observe(hello.boot, hello.now_ms, sent, heard);
        }
        self.to_be_challenged = false;
        let mut moved = Vec::new();
        if by_next
            && let Ok(keys) = &mut self.keys
            && let Some(next) = keys.next.take()
        {
            // The former key is worth nothing from here on.
            keys.usual = next;
            self.rotated = true;
            moved.push(self.orders.rotated());
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
        let is_new_boot = is_new_store || before.as_ref().is_some_and(|proven| proven.boot != hello.boot);
        let was_proven = before.is_some();
        let store = match hello.store {
            StoreState::Open { epoch, oldest, next } => {
                let same = before.and_then(|proven| proven.store).filter(|store| store.epoch == epoch);
                if is_new_store {
                    notice = Some(Notice::NewStore(self.number));
                }
                let key = match &self.keys {
                    Ok(keys) => keys.usual.node.link(Direction::NodeToGateway, self.number, epoch),
                    Err(_) => return Came::Nothing(Outcome::Stale),
                };
                let mut store = match same {
                    Some(same) => Store { key, ..same },
                    None => Store {
                        epoch,
                        key,
                        window: Window::from(oldest),
                        holding: VecDeque::new(),
                        asked: None,
                        in_vain: (0, 0),
                        lacking: Vec::new(),
                        oldest,
                        next,
                        more: false,
                    },
                };
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
        let Ok(Keys { usual, .. }) = &self.keys else { return Came::Nothing(Outcome::Stale) };
        let (boot, after) = (hello.boot, usual.session.after(hello.token));
        self.proven = Some(Proven { boot, after, epoch: header.epoch, key, read: header.counter, store });
        self.challenges = 0;
        moved.push(self.orders.proven(is_new_boot, hello.runs, now.at));
        let reports = moved.into_iter().filter_map(|moved| self.moved(moved)).collect();
        self.give_key(now.at);
        let restarted = is_new_boot && !matches!(hello.reset, ResetCause::Software | ResetCause::Update);
        Came::Hello { notice, restarted, reports }
    }

    /// While it has a key to be given, and nothing is under way that gives it, that is begun: after a restart of the
    /// gateway, or after it was given up.
    fn give_key(&mut self, now: Instant) {
        if let Ok(Keys { next: Some(next), .. }) = &self.keys
            && !self.orders.rotates()
        {
            // At the bound it waits for the next hello.
            let _ = self.orders.take(None, Request::Rotate(next.node.clone()), None, now);
        }
    }

    fn take_answer(&mut self, answer: &Answer, now: Now) -> Vec<(OrderId, Report)> {
        self.seen.heard(now.wall);
        if let (Some(settings), Ok(Done::Done)) = (self.orders.confirms(answer.number), answer.result) {
            self.seen.works_by(settings);
        }
        let moved = self.orders.answered(answer.number, answer.result, now.at);
        self.moved(moved).into_iter().collect()
    }

    /// Does what an order's step asks for; what is to be told of it.
    fn moved(&mut self, moved: Moved) -> Option<(OrderId, Report)> {
        match moved {
            Moved::On => None,
            Moved::Tell(id, report) => id.map(|id| (id, report)),
            Moved::HasKey | Moved::Challenge => {
                (self.to_be_challenged, self.challenges) = (true, 0);
                None
            }
        }
    }

    fn take_turn_end(&mut self, end: &TurnEnd, turn: Option<(Instant, Instant)>, now: Now) -> Came {
        let Some(proven) = &mut self.proven else { return Came::Nothing(Outcome::Stale) };
        if let Some((sent, heard)) = turn.filter(|_| end.answers.checked_add(1) == Some(self.said)) {
            self.clock.observe(proven.boot, end.now_ms, sent, heard);
        }
        if let Some(store) = &mut proven.store {
            store.stands_at(end.oldest, end.next, end.more);
        }
        if end.answers.checked_add(1) == Some(self.said) {
            if proven.store.is_some() && self.witness.turn_ended(end.next).is_err() {
                return Came::Double;
            }
            self.orders.reached(now.at);
            self.heard = true;
            self.report &= !self.report_asked;
            if let Some(store) = &mut proven.store {
                store.turn_ended();
            }
        }
        Came::TurnEnd { answers: end.answers, more: end.more }
    }

    /// Whether a hello answers the challenge that was asked last: then it is no recording.
    fn is_asked_for(&self, hello: &Hello) -> bool {
        hello.session == self.session && self.challenged.is_some_and(|made| made.counter == hello.answers)
    }

    /// A hello answers the last challenge: whether another one did before. `None` if that very one did, or it is too late
    /// to say anything against another.
    fn answers(&mut self, header: &Header, now: Instant) -> Option<bool> {
        let (made, place) = (self.challenged.as_mut()?, (header.epoch, header.counter));
        match made.answered {
            None => {
                made.answered = Some(place);
                Some(false)
            }
            Some(first) => (first != place && now <= made.at + ANSWERS_WITHIN).then_some(true),
        }
    }

    /// What a proven frame is that is not to be acted upon. One that comes twice in a row was doubled by the line. What
    /// the node said before its last word, or in another boot or store than the one that it proved, it does not say now.
    fn is_over(&self, header: &Header) -> Outcome {
        match &self.proven {
            Some(proven) if proven.epoch == header.epoch && header.counter < proven.read => Outcome::Replayed,
            Some(_) if !self.is_of_now(header) => Outcome::Replayed,
            _ => Outcome::Stale,
        }
    }

    /// Whether a frame is of the boot or the store that is proven.
    fn is_of_now(&self, header: &Header) -> bool {
        self.proven.as_ref().is_some_and(|proven| {
            proven.epoch == header.epoch || proven.store.as_ref().is_some_and(|store| store.epoch == header.epoch)
        })
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

    /// Seals a message. The session's counter rises whatever the key.
    fn say(&mut self, message: &FromGateway, by_next: bool) -> (u64, Vec<u8>) {
        let counter = self.said;
        self.said += 1;
        let Ok(keys) = &self.keys else { return (counter, Vec::new()) };
        let own = keys.next.as_ref().filter(|_| by_next).unwrap_or(&keys.usual);
        let key = match (message, &self.proven) {
            (FromGateway::Poll(_) | FromGateway::Order(_), Some(proven)) => &proven.after,
            _ => &own.session,
        };
        let header = Header { suite: SuiteId::default(), node: self.number, epoch: self.session, counter };
        let wire = seal(&header, key, message).expect("a test seals the longest of each kind");
        // A delimiter first: whatever noise the line made since the last turn ends there.
        (counter, std::iter::once(0).chain(wire.iter().copied()).collect())
    }
}

impl Own {
    fn new(node: NodeKey, number: u16, session: u64) -> Self {
        let session = node.link(Direction::GatewayToNode, number, session);
        Self { node, session }
    }
}

impl Store {
    fn stands_at(&mut self, oldest: u64, next: u64, more: bool) {
        (self.oldest, self.next, self.more) = (oldest, next, more);
        self.window.advance(oldest);
    }

    /// A frame that has come before: the node may send it again as long as it keeps it.
    fn repeated(&self, counter: u64) -> Outcome {
        if counter < self.oldest { Outcome::Replayed } else { Outcome::Repeat }
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
