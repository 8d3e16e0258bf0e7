//! The bus's master: whose turn it is. Bytes, receipts and time in, bytes and records out; no clock, no socket.

use super::{
    Config,
    decode::{Channels, alarm_sensors},
    peer::{Came, Peer, Said},
    standing::Standing,
};
use quaywatch_schemas::{
    DeadLetter, LineId, NoData, Observation, Reading, Record, SensorId, WallTime,
    frame::{Channel, Deframer, NodeKey, Sealed, Unreadable},
    observation::Health,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};

/// Polls in a row without an answer after which a node counts as silent.
const SILENT_AFTER: u32 = 3;
/// Polls in a row without an answer after which it is challenged instead: it may have restarted and know no session.
const CHALLENGE_AFTER: u32 = 2;
/// The longest pause between two attempts at a silent node.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Frames that can be on their way to the ledger. At the bound nodes are polled without being asked for data; they keep it.
const MOST_ON_THEIR_WAY: usize = 64;
/// How long no data is asked for after the ledger refused some.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// An answer that has begun may go on for so many times the timeout: noise must not hold the bus.
const LONGEST_TURN: u32 = 10;
/// Forgeries against one node are told at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Connections at a time. At the bound the one goes that has said nothing proven for the longest time.
const MOST_PORTS: usize = 64;

/// The time on both clocks, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For what lasts.
    pub at: Instant,
    /// For what people read.
    pub wall: WallTime,
}

/// One connection of the carrier: frames are found in each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortId(pub u64);

/// Stands for records whose receipt is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What the master wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Bytes for every connection.
    Send(Vec<u8>),
    /// A connection is to be closed.
    Close(PortId),
    /// Records for the ledger, in this order.
    Store {
        /// The records of one frame, or of one event of the link.
        records: Vec<Record>,
        /// To be given back with the ledger's answer; events of the link have none.
        ticket: Option<Ticket>,
        /// The frame's message, for who watches live.
        raw: Vec<u8>,
    },
    /// A frame to count.
    Count(Outcome),
    /// Something to log.
    Tell(Notice),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// New data.
    Accepted,
    /// A hello, the end of a turn, a refusal.
    Control,
    /// It has come before.
    Repeat,
    /// It was hurt on the way.
    Noise,
    /// Whole, with a wrong tag.
    Forged,
    /// Of a node that is not in the site file.
    UnknownNode,
    /// Of another session or boot, or from before the challenge was answered.
    Stale,
    /// Proven, and not understood.
    NotUnderstood,
    /// There was no room; the node keeps it.
    Full,
    /// Our own, come back.
    Echo,
    /// Of a version or suite we do not know.
    Unsupported,
}

impl Outcome {
    /// The metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Control => "control",
            Self::Repeat => "repeat",
            Self::Noise => "noise",
            Self::Forged => "forged",
            Self::UnknownNode => "unknown-node",
            Self::Stale => "stale",
            Self::NotUnderstood => "not-understood",
            Self::Full => "full",
            Self::Echo => "echo",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Something to log; all are warnings but [`Notice::Back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A node answers.
    Back(u16),
    /// A node does not answer any more.
    Silent(u16),
    /// A whole frame of this node has a wrong tag.
    Forged(u16),
    /// The node's flash does not read.
    Locked(u16),
    /// The node's flash was formatted, or another device has its key.
    NewStore(u16),
    /// The node's supply is failing.
    LastWords(u16),
    /// A node that is not in the site file sends whole frames.
    Stranger(u16),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(node) => write!(f, "node {node} answers"),
            Self::Silent(node) => write!(f, "node {node} does not answer; check its supply, its wiring and its number"),
            Self::Forged(node) => {
                write!(f, "a frame of node {node} is forged, or its key is not the one in the site file")
            }
            Self::Locked(node) => {
                write!(f, "the flash of node {node} does not read; it says nothing until it is enrolled again")
            }
            Self::NewStore(node) => {
                write!(f, "the flash of node {node} was formatted, or another device has its key; what it kept is gone")
            }
            Self::LastWords(node) => write!(f, "the supply of node {node} is failing"),
            Self::Stranger(node) => write!(f, "node {node} sends frames and is not in the site file"),
        }
    }
}

/// The bus's only master.
pub struct Master {
    line: LineId,
    session: u64,
    every: Duration,
    timeout: Duration,
    peers: Vec<Scheduled>,
    turn: Option<Turn>,
    ports: BTreeMap<PortId, Port>,
    on_their_way: BTreeMap<Ticket, (usize, u64, u64)>,
    tickets: u64,
    no_data_until: Option<Instant>,
    stranger_told: Option<Instant>,
    outputs: VecDeque<Output>,
}

/// A node and when it is its turn.
struct Scheduled {
    peer: Peer,
    due: Instant,
    misses: u32,
    /// Why its sensors are said to be without data.
    lost: Option<NoData>,
    forged_told: Option<Instant>,
}

/// Whose answer is awaited.
struct Turn {
    node: usize,
    counter: u64,
    challenge: bool,
    began: Instant,
    first_byte: Option<Instant>,
    deadline: Instant,
    /// Whether it brought anything new: a node is asked again at once only then.
    brought: bool,
}

struct Port {
    deframer: Deframer,
    opened: Instant,
    proven: Option<Instant>,
}

impl Master {
    /// A master in its own session; `session` is random and never used again. Refuses a node whose key is no key, by
    /// number.
    pub fn new(line: LineId, config: &Config, session: u64, now: Now) -> Result<Self, u16> {
        let peers = config.nodes.iter().map(|node| {
            let key = NodeKey::new(node.key.as_key().ok_or(node.number)?);
            let channels: Channels = node
                .channels
                .iter()
                .filter_map(|own| Some((Channel::parse(&own.name).ok()?, (own.sensor.clone(), own.unit.clone()))))
                .collect();
            let peer = Peer::new(node.number, key, channels, session);
            Ok::<_, u16>(Scheduled { peer, due: now.at, misses: 0, lost: None, forged_told: None })
        });
        Ok(Self {
            line,
            session,
            every: config.every,
            timeout: config.timeout,
            peers: peers.collect::<Result<_, _>>()?,
            turn: None,
            ports: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            tickets: 0,
            no_data_until: None,
            stranger_told: None,
            outputs: VecDeque::new(),
        })
    }

    /// What is to be done next. To be asked until there is nothing, after every other call.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Master::tick`] is to be called at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        let turn = match (&self.turn, self.ports.is_empty()) {
            (Some(turn), _) => Some(turn.deadline),
            (None, false) => self.peers.iter().map(|node| node.due).min(),
            (None, true) => None,
        };
        let held = self.peers.iter().filter_map(|node| node.peer.release_at());
        held.chain(turn).min()
    }

    /// Whether no node answers, although there is a connection.
    pub fn nobody_answers(&self) -> bool {
        !self.ports.is_empty() && !self.peers.is_empty() && self.peers.iter().all(|node| node.misses >= SILENT_AFTER)
    }

    /// How each node is.
    pub fn standings(&self) -> Vec<Standing> {
        let connected = !self.ports.is_empty();
        self.peers.iter().map(|node| node.peer.standing(!connected || node.misses >= SILENT_AFTER)).collect()
    }

    /// A connection is there.
    pub fn connected(&mut self, port: PortId, now: Now) {
        if self.ports.len() == MOST_PORTS {
            let idle = self.ports.iter().min_by_key(|(_, port)| (port.proven, port.opened)).map(|(id, _)| *id);
            if let Some(idle) = idle {
                self.ports.remove(&idle);
                self.outputs.push_back(Output::Close(idle));
            }
        }
        if self.ports.is_empty() {
            for node in &mut self.peers {
                node.due = now.at;
            }
        }
        self.ports.insert(port, Port { deframer: Deframer::default(), opened: now.at, proven: None });
        self.tick(now);
    }

    /// A connection is gone. With the last one all nodes are.
    pub fn disconnected(&mut self, port: PortId, now: Now) {
        if self.ports.remove(&port).is_some() && self.ports.is_empty() {
            self.unreachable(now);
        }
    }

    /// There is no connection and could not be made.
    pub fn unreachable(&mut self, now: Now) {
        if let Some(turn) = self.turn.take() {
            self.peers[turn.node].peer.missed(turn.challenge);
        }
        for node in 0..self.peers.len() {
            self.lose(node, NoData::Disconnected);
        }
        self.tick(now);
    }

    /// Bytes came over a connection.
    pub fn received(&mut self, port: PortId, bytes: &[u8], now: Now) {
        if let Some(turn) = &mut self.turn {
            turn.first_byte.get_or_insert(now.at);
            turn.deadline = (now.at + self.timeout).min(turn.began + self.timeout * LONGEST_TURN);
        }
        for byte in bytes {
            let Some(found) = self.ports.get_mut(&port).and_then(|port| port.deframer.push(*byte)) else { continue };
            match found {
                Ok(sealed) => self.take(port, sealed, now),
                Err(Unreadable::Noise) => self.count(Outcome::Noise),
                Err(Unreadable::Version(_) | Unreadable::Suite(_)) => self.count(Outcome::Unsupported),
            }
        }
        self.tick(now);
    }

    /// Records are on disk: their frame will be acknowledged.
    pub fn stored(&mut self, ticket: Ticket) {
        if let Some((node, epoch, counter)) = self.on_their_way.remove(&ticket) {
            self.peers[node].peer.settled(epoch, counter, true);
        }
    }

    /// The ledger did not store records: their frame is not acknowledged and may come again.
    pub fn refused(&mut self, ticket: Ticket, now: Now) {
        if let Some((node, epoch, counter)) = self.on_their_way.remove(&ticket) {
            self.peers[node].peer.settled(epoch, counter, false);
            self.no_data_until = Some(now.at + PAUSE_AFTER_REFUSAL);
        }
    }

    /// Time passed: ends a turn that nobody answers, passes on what has waited long enough, begins the next turn.
    pub fn tick(&mut self, now: Now) {
        if self.turn.as_ref().is_some_and(|turn| turn.deadline <= now.at) {
            self.missed(now);
        }
        for node in 0..self.peers.len() {
            self.release(node, now);
        }
        if self.turn.is_none() && !self.ports.is_empty() {
            let due = (0..self.peers.len()).filter(|node| self.peers[*node].due <= now.at);
            if let Some(node) = due.min_by_key(|node| self.peers[*node].due) {
                self.begin(node, now);
            }
        }
    }

    fn begin(&mut self, node: usize, now: Now) {
        let room = self.has_room(now);
        let scheduled = &mut self.peers[node];
        let challenge = !scheduled.peer.is_proven() || scheduled.misses >= CHALLENGE_AFTER;
        let (counter, bytes) = if challenge { scheduled.peer.challenge() } else { scheduled.peer.poll(room) };
        scheduled.due = now.at + self.every;
        let deadline = now.at + self.timeout;
        self.turn =
            Some(Turn { node, counter, challenge, began: now.at, first_byte: None, deadline, brought: challenge });
        self.outputs.push_back(Output::Send(bytes));
    }

    fn missed(&mut self, now: Now) {
        let Some(turn) = self.turn.take() else { return };
        let scheduled = &mut self.peers[turn.node];
        scheduled.peer.missed(turn.challenge);
        scheduled.misses = scheduled.misses.saturating_add(1);
        if scheduled.misses >= SILENT_AFTER {
            // Each attempt costs the others one timeout: they become rare.
            let doubled = self.every.saturating_mul(1 << (scheduled.misses - SILENT_AFTER).min(16));
            scheduled.due = now.at + doubled.min(LONGEST_PAUSE).max(self.every);
            if scheduled.misses == SILENT_AFTER {
                self.outputs.push_back(Output::Tell(Notice::Silent(scheduled.peer.number)));
            }
            self.lose(turn.node, NoData::Timeout);
        }
    }

    /// A whole frame came.
    fn take(&mut self, port: PortId, sealed: Sealed, now: Now) {
        let header = *sealed.header();
        if header.epoch == self.session {
            return self.count(Outcome::Echo);
        }
        let Some(node) = self.peers.iter().position(|scheduled| scheduled.peer.number == header.node) else {
            if told_long_ago(&mut self.stranger_told, now) {
                self.outputs.push_back(Output::Tell(Notice::Stranger(header.node)));
            }
            return self.count(Outcome::UnknownNode);
        };
        let own_turn = self.turn.as_ref().filter(|turn| turn.node == node);
        let exchange = own_turn.and_then(|turn| Some((turn.began, turn.first_byte?)));
        let room = self.has_room(now);
        let came = self.peers[node].peer.take(sealed, exchange, now, room);
        if !matches!(came, Came::Nothing(_))
            && let Some(port) = self.ports.get_mut(&port)
        {
            port.proven = Some(now.at);
        }
        match came {
            Came::Data => {
                self.count(Outcome::Accepted);
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.node == node) {
                    turn.brought = true;
                }
                self.release(node, now);
            }
            Came::Hello(notice) => {
                self.count(Outcome::Control);
                if let Some(notice) = notice {
                    self.outputs.push_back(Output::Tell(notice));
                    if let Notice::Locked(_) = notice {
                        self.say_of_all(node, &Reading::Health(Health::Faulty));
                    }
                }
                self.answered(node, None, true, now);
            }
            Came::TurnEnd { answers, more } => {
                self.count(Outcome::Control);
                self.answered(node, Some(answers), more, now);
            }
            Came::Refused => self.count(Outcome::Control),
            Came::NotUnderstood(payload, place) => self.keep_letter(node, &payload, place),
            Came::Nothing(outcome) => {
                if outcome == Outcome::Forged {
                    self.forged(node, now);
                }
                self.count(outcome);
            }
        }
    }

    /// A node ended its turn, or answered a challenge. With more to say it is next as soon as the others had their turn.
    fn answered(&mut self, node: usize, answers: Option<u64>, more: bool, now: Now) {
        let room = self.has_room(now);
        let scheduled = &mut self.peers[node];
        let ends = |turn: &Turn| turn.node == node && answers.map_or(turn.challenge, |counter| counter == turn.counter);
        let ended = self.turn.take_if(|turn| ends(turn));
        // Without room for more it is asked at its usual pace.
        if more && room && ended.is_some_and(|turn| turn.brought) {
            scheduled.due = now.at;
        }
        scheduled.misses = 0;
        if scheduled.lost.take().is_some() {
            scheduled.peer.ask_for_report();
            self.outputs.push_back(Output::Tell(Notice::Back(scheduled.peer.number)));
        }
    }

    fn release(&mut self, node: usize, now: Now) {
        for said in self.peers[node].peer.release(now) {
            if said.last_words {
                self.outputs.push_back(Output::Tell(Notice::LastWords(self.peers[node].peer.number)));
            }
            self.hand_over(node, said);
        }
    }

    fn hand_over(&mut self, node: usize, said: Said) {
        if said.observations.is_empty() {
            // Nobody mapped its channels: there is nothing to wait for.
            return self.peers[node].peer.settled(said.epoch, said.counter, true);
        }
        let records = said.observations.into_iter().map(Record::Observation).collect();
        let ticket = Some(self.new_ticket(node, said.epoch, said.counter));
        self.outputs.push_back(Output::Store { records, ticket, raw: said.payload });
    }

    fn keep_letter(&mut self, node: usize, payload: &[u8], place: Option<(u64, u64)>) {
        self.count(Outcome::NotUnderstood);
        let reason = format!(
            "node {}: a message of {} bytes is not one this version knows; is its firmware newer?",
            self.peers[node].peer.number,
            payload.len()
        );
        let records = vec![Record::DeadLetter(DeadLetter::new(self.line.clone(), None, reason, payload))];
        let ticket = place.map(|(epoch, counter)| self.new_ticket(node, epoch, counter));
        self.outputs.push_back(Output::Store { records, ticket, raw: Vec::new() });
    }

    fn forged(&mut self, node: usize, now: Now) {
        let scheduled = &mut self.peers[node];
        if !told_long_ago(&mut scheduled.forged_told, now) {
            return;
        }
        let sensors: Vec<SensorId> = alarm_sensors(&scheduled.peer.channels).into_iter().cloned().collect();
        self.outputs.push_back(Output::Tell(Notice::Forged(scheduled.peer.number)));
        self.say(sensors, &Reading::NoData(NoData::Tampered));
    }

    /// A node's sensors are without data; said once.
    fn lose(&mut self, node: usize, why: NoData) {
        if self.peers[node].lost.replace(why).is_none() {
            self.say_of_all(node, &Reading::NoData(why));
        }
    }

    fn say_of_all(&mut self, node: usize, reading: &Reading) {
        let sensors = self.peers[node].peer.channels.values().map(|(sensor, _)| sensor.clone()).collect();
        self.say(sensors, reading);
    }

    fn say(&mut self, sensors: Vec<SensorId>, reading: &Reading) {
        let said = sensors.into_iter().map(|sensor| Record::Observation(Observation::live(sensor, reading.clone())));
        let records: Vec<Record> = said.collect();
        if !records.is_empty() {
            self.outputs.push_back(Output::Store { records, ticket: None, raw: Vec::new() });
        }
    }

    fn new_ticket(&mut self, node: usize, epoch: u64, counter: u64) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.on_their_way.insert(ticket, (node, epoch, counter));
        ticket
    }

    fn has_room(&self, now: Now) -> bool {
        self.on_their_way.len() < MOST_ON_THEIR_WAY && self.no_data_until.is_none_or(|until| until <= now.at)
    }

    fn count(&mut self, outcome: Outcome) {
        self.outputs.push_back(Output::Count(outcome));
    }
}

fn told_long_ago(told: &mut Option<Instant>, now: Now) -> bool {
    let long_ago = told.is_none_or(|at| now.at.saturating_duration_since(at) >= TELL_AGAIN);
    if long_ago {
        *told = Some(now.at);
    }
    long_ago
}
