//! The bus's master: whose turn it is. Bytes, receipts and time in, bytes and records out; no clock, no socket.

use super::{
    Carrier, Config, Distrust,
    attack::{Alarm, Due, Hurt, TELL_AGAIN},
    decode::{Channels, alarm_sensors},
    orders::{NotTaken, OrderId, Report, Request},
    peer::{Came, Peer, Said},
    standing::Standing,
};
use quaywatch_schemas::{
    DeadLetter, LineId, NoData, Observation, Reading, Record, SensorId, WallTime,
    frame::{Channel, Deframer, Sealed, Unreadable},
    observation::Health,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
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
/// Nodes are challenged for the sake of new connections at most this often: whoever connects again and again takes one
/// poll in so long from the others.
const CHALLENGE_AGAIN: Duration = Duration::from_secs(10);
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
    /// How far an order is.
    Report {
        /// Whose.
        node: u16,
        /// Which.
        order: OrderId,
        /// How far.
        report: Report,
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
    /// A hello, the end of a turn, the answer to an order.
    Control,
    /// It has come before, and the node still keeps it: it may not know that.
    Repeat,
    /// Somebody's recording: the node itself cannot have said this now.
    Replayed,
    /// It was hurt on the way.
    Noise,
    /// Whole, with a wrong tag.
    Forged,
    /// Of a node that is not in the site file.
    UnknownNode,
    /// In the name of a node that is revoked or in quarantine.
    Distrusted,
    /// Proven, and not from the device that the node is: two have its key.
    Double,
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
            Self::Replayed => "replayed",
            Self::Noise => "noise",
            Self::Forged => "forged",
            Self::UnknownNode => "unknown-node",
            Self::Distrusted => "distrusted",
            Self::Double => "double",
            Self::Stale => "stale",
            Self::NotUnderstood => "not-understood",
            Self::Full => "full",
            Self::Echo => "echo",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Something to log; [`Notice::is_good`] ones are no warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A node answers.
    Back(u16),
    /// A node does not answer any more.
    Silent(u16),
    /// Whole frames of this node had a wrong tag.
    Forged {
        /// In whose name.
        node: u16,
        /// How many, since this was told last.
        frames: u64,
    },
    /// Recordings of this node were played.
    Replayed {
        /// Whose.
        node: u16,
        /// How many frames, since this was told last.
        frames: u64,
    },
    /// The node's flash does not read.
    Locked(u16),
    /// The node's flash was formatted, or another device has its key.
    NewStore(u16),
    /// The node's supply is failing.
    LastWords(u16),
    /// A node that is not in the site file sends whole frames.
    Stranger(u16),
    /// Two devices speak with this node's key.
    Double(u16),
    /// Whole frames came in the name of a node whose key was destroyed.
    Revoked {
        /// In whose name.
        node: u16,
        /// How many, since this was told last.
        frames: u64,
    },
    /// The node turned to the key that it was given.
    Rotated(u16),
}

impl Notice {
    /// Whether it is information, and no warning.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Back(_) | Self::Rotated(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(node) => write!(f, "node {node} answers"),
            Self::Silent(node) => write!(f, "node {node} does not answer; check its supply, its wiring and its number"),
            Self::Forged { node, frames } => write!(
                f,
                "{} in the name of node {node} with a wrong seal: forged, or its key is not the one that is known here",
                counted(*frames)
            ),
            Self::Replayed { node, frames } => {
                write!(f, "recorded and played again: {} of node {node}; somebody is on its line", counted(*frames))
            }
            Self::Locked(node) => {
                write!(f, "the flash of node {node} does not read; it says nothing until it is enrolled again")
            }
            Self::NewStore(node) => {
                write!(f, "the flash of node {node} was formatted, or another device has its key; what it kept is gone")
            }
            Self::LastWords(node) => write!(f, "the supply of node {node} is failing"),
            Self::Stranger(node) => write!(f, "node {node} sends frames and is not in the site file"),
            Self::Double(node) => {
                write!(
                    f,
                    "two devices speak with the key of node {node}; nothing in its name counts until somebody has looked"
                )
            }
            Self::Revoked { node, frames } => {
                write!(f, "{} in the name of node {node}, whose key was destroyed", counted(*frames))
            }
            Self::Rotated(node) => write!(f, "node {node} has turned to its new key"),
        }
    }
}

fn counted(frames: u64) -> String {
    format!("{frames} {}", if frames == 1 { "frame" } else { "frames" })
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
    orders: u64,
    /// How long the line has to be quiet before somebody else speaks, and since when it is.
    turnaround: Duration,
    quiet: Instant,
    no_data_until: Option<Instant>,
    hurt: Hurt,
    stranger_told: Option<Instant>,
    /// Whether somebody connected since the nodes were challenged, and when they were for the sake of that.
    newcomer: bool,
    challenged: Option<Instant>,
    outputs: VecDeque<Output>,
}

/// A node and when it is its turn.
struct Scheduled {
    peer: Peer,
    due: Instant,
    misses: u32,
    /// Why its sensors are said to be without data.
    lost: Option<NoData>,
    /// The connection that it was heard on last.
    on: Option<PortId>,
    forged: Alarm,
    replayed: Alarm,
    revoked: Alarm,
    /// Whether its last turn was for an order: then data has its turn.
    obeyed: bool,
}

/// Whose answer is awaited.
struct Turn {
    node: usize,
    counter: u64,
    asked: Asked,
    began: Instant,
    first_byte: Option<Instant>,
    deadline: Instant,
    /// Whether it brought anything new: a node is asked again at once only then.
    brought: bool,
}

/// What a node was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ToProveItself,
    ForData,
    ToObey,
}

struct Port {
    deframer: Deframer,
    opened: Instant,
    proven: Option<Instant>,
    /// Nodes that were heard on it.
    heard: BTreeSet<usize>,
}

impl Scheduled {
    fn new(peer: Peer, due: Instant) -> Self {
        let (forged, replayed, revoked) = Default::default();
        Self { peer, due, misses: 0, lost: None, on: None, forged, replayed, revoked, obeyed: false }
    }

    fn alarms_due_at(&self) -> impl Iterator<Item = Instant> {
        [&self.forged, &self.replayed, &self.revoked].into_iter().filter_map(Alarm::due_at)
    }
}

impl Master {
    /// A master in its own session; `session` is random and never used again. Refuses a node whose key is no key, by
    /// number.
    pub fn new(line: LineId, config: &Config, session: u64, now: Now) -> Result<Self, u16> {
        let peers = config.nodes.iter().map(|node| {
            let channels: Channels = node
                .channels
                .iter()
                .filter_map(|own| Some((Channel::parse(&own.name).ok()?, (own.sensor.clone(), own.unit.clone()))))
                .collect();
            let peer = Peer::new(node.number, &node.trust, channels, session).ok_or(node.number)?;
            Ok::<_, u16>(Scheduled::new(peer, now.at))
        });
        let mut master = Self {
            line,
            session,
            every: config.every,
            timeout: config.timeout,
            peers: peers.collect::<Result<_, _>>()?,
            turn: None,
            ports: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            tickets: 0,
            orders: 0,
            turnaround: turnaround(&config.carrier),
            quiet: now.at,
            no_data_until: None,
            hurt: Hurt::none(now.at),
            stranger_told: None,
            newcomer: false,
            challenged: None,
            outputs: VecDeque::new(),
        };
        for node in 0..master.peers.len() {
            if master.peers[node].peer.distrust().is_some() {
                master.lose(node, NoData::Tampered);
            }
        }
        Ok(master)
    }

    /// Takes an order for a node. How far it is comes as [`Output::Report`]; one of [`Report`]'s ends comes last, always.
    pub fn order(&mut self, node: u16, request: Request, now: Now) -> Result<OrderId, NotTaken> {
        let scheduled = self.peers.iter_mut().find(|scheduled| scheduled.peer.number == node);
        let scheduled = scheduled.ok_or(NotTaken::NoSuchNode)?;
        let id = OrderId(self.orders);
        scheduled.peer.order(id, request, now.at)?;
        self.orders += 1;
        if scheduled.misses == 0 {
            scheduled.due = now.at;
        }
        self.tick(now);
        Ok(id)
    }

    /// What is to be done next. To be asked until there is nothing, after every other call.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Master::tick`] is to be called at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        let turn = match (&self.turn, self.ports.is_empty()) {
            (Some(turn), _) => Some(turn.deadline),
            (None, false) => self.trusted().map(|node| self.ready_at(node)).min(),
            (None, true) => None,
        };
        let held = self.peers.iter().filter_map(|node| node.peer.release_at());
        let given_up = self.peers.iter().filter_map(|node| node.peer.gives_up_at());
        let told = self.peers.iter().flat_map(Scheduled::alarms_due_at);
        let newcomer = self.newcomer.then(|| self.challenged.map(|at| at + CHALLENGE_AGAIN)).flatten();
        held.chain(given_up).chain(told).chain(newcomer).chain(turn).min()
    }

    /// Whether no node answers, although there is a connection.
    pub fn nobody_answers(&self) -> bool {
        let mut trusted = self.trusted().peekable();
        !self.ports.is_empty() && trusted.peek().is_some() && trusted.all(|node| node.misses >= SILENT_AFTER)
    }

    /// How each node is.
    pub fn standings(&self) -> Vec<Standing> {
        let connected = !self.ports.is_empty();
        self.peers.iter().map(|node| node.peer.standing(!connected || node.misses >= SILENT_AFTER)).collect()
    }

    /// A connection is there. Who is behind it is unknown: every node is challenged, and one that has a double there is
    /// answered for twice.
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
        let (deframer, heard) = (Deframer::default(), BTreeSet::new());
        self.ports.insert(port, Port { deframer, opened: now.at, proven: None, heard });
        self.newcomer = true;
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
            self.peers[turn.node].peer.missed(turn.asked == Asked::ToProveItself);
        }
        for node in 0..self.peers.len() {
            self.lose(node, NoData::Disconnected);
        }
        self.tick(now);
    }

    /// Bytes came over a connection.
    pub fn received(&mut self, port: PortId, bytes: &[u8], now: Now) {
        self.quiet = now.at;
        // A stranger who connects and never ends is not waited for.
        let is_known = |port: &Port| port.proven.is_some() || self.ports.len() == 1;
        if self.ports.get(&port).is_some_and(is_known)
            && let Some(turn) = &mut self.turn
        {
            turn.first_byte.get_or_insert(now.at);
            turn.deadline = (now.at + self.timeout).min(turn.began + self.timeout * LONGEST_TURN);
        }
        for byte in bytes {
            let Some(found) = self.ports.get_mut(&port).and_then(|port| port.deframer.push(*byte)) else { continue };
            match found {
                Ok(sealed) => self.take(port, sealed, now),
                Err(Unreadable::Noise) => {
                    self.hurt.one(now.at);
                    self.count(Outcome::Noise);
                }
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
        if self.newcomer && self.challenged.is_none_or(|at| now.at >= at + CHALLENGE_AGAIN) {
            (self.newcomer, self.challenged) = (false, Some(now.at));
            for node in &mut self.peers {
                node.peer.challenge_again();
            }
        }
        for node in 0..self.peers.len() {
            self.look_at_alarms(node, now);
            self.release(node, now);
            while let Some(given_up) = self.peers[node].peer.give_up(now.at) {
                self.report(node, given_up.map(|order| (order, Report::TimedOut)));
            }
        }
        if self.turn.is_none() && !self.ports.is_empty() {
            let is_ready = |node: &Scheduled| self.ready_at(node) <= now.at && node.peer.distrust().is_none();
            let due = (0..self.peers.len()).filter(|node| is_ready(&self.peers[*node]));
            if let Some(node) = due.min_by_key(|node| self.peers[*node].due) {
                self.begin(node, now);
            }
        }
    }

    fn begin(&mut self, node: usize, now: Now) {
        let room = self.has_room(now);
        let scheduled = &mut self.peers[node];
        let prove = scheduled.peer.needs_challenge() || scheduled.misses >= CHALLENGE_AFTER;
        let order = if prove || scheduled.obeyed { None } else { scheduled.peer.say_order(now.at) };
        let (asked, (counter, bytes)) = match order {
            _ if prove => (Asked::ToProveItself, scheduled.peer.challenge(now.at)),
            Some(order) => (Asked::ToObey, order),
            None => (Asked::ForData, scheduled.peer.poll(room)),
        };
        scheduled.obeyed = asked == Asked::ToObey;
        scheduled.due = now.at + self.every;
        let deadline = now.at + self.timeout;
        let brought = asked != Asked::ForData;
        self.turn = Some(Turn { node, counter, asked, began: now.at, first_byte: None, deadline, brought });
        self.outputs.push_back(Output::Send(bytes));
    }

    fn missed(&mut self, now: Now) {
        let Some(turn) = self.turn.take() else { return };
        let scheduled = &mut self.peers[turn.node];
        scheduled.peer.missed(turn.asked == Asked::ToProveItself);
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
        if let Some(why) = self.peers[node].peer.distrust() {
            self.distrusted(node, why, now);
            return self.count(Outcome::Distrusted);
        }
        let own_turn = self.turn.as_ref().filter(|turn| turn.node == node);
        let exchange = own_turn.and_then(|turn| Some((turn.began, turn.first_byte?)));
        let room = self.has_room(now);
        let came = self.peers[node].peer.take(sealed, exchange, now, room);
        if !matches!(came, Came::Nothing(_))
            && let Some(connection) = self.ports.get_mut(&port)
        {
            connection.proven = Some(now.at);
            connection.heard.insert(node);
            self.peers[node].on = Some(port);
        }
        match came {
            Came::Data => {
                self.count(Outcome::Accepted);
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.node == node) {
                    turn.brought = true;
                }
                self.release(node, now);
            }
            Came::Hello { notice, restarted, reports } => {
                self.count(Outcome::Control);
                if restarted {
                    // A gap, however short: what it repeats now does not say what was between.
                    self.lose(node, NoData::Timeout);
                }
                for report in reports {
                    self.report(node, Some(report));
                }
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
            Came::Answer { answers, reports } => {
                self.count(Outcome::Control);
                for report in reports {
                    self.report(node, Some(report));
                }
                self.answered(node, Some(answers), true, now);
            }
            Came::Double => {
                self.count(Outcome::Double);
                self.quarantine(node);
            }
            Came::NotUnderstood(payload, place) => self.keep_letter(node, &payload, place),
            Came::Nothing(outcome) => {
                match outcome {
                    Outcome::Forged => {
                        let enough = self.hurt.enough(now.at);
                        let due = self.peers[node].forged.came(enough, now.at);
                        self.alarm(node, due, now, |node, frames| Notice::Forged { node, frames });
                    }
                    // What a connection still brings that the node has left is late, and nobody's recording.
                    Outcome::Replayed if self.has_left(node, port) => return self.count(Outcome::Stale),
                    Outcome::Replayed => {
                        self.peers[node].peer.seen_replayed();
                        let due = self.peers[node].replayed.came(1, now.at);
                        self.alarm(node, due, now, |node, frames| Notice::Replayed { node, frames });
                    }
                    _ => {}
                }
                self.count(outcome);
            }
        }
    }

    /// A node ended its turn, or answered a challenge. With more to say it is next as soon as the others had their turn.
    fn answered(&mut self, node: usize, answers: Option<u64>, more: bool, now: Now) {
        let room = self.has_room(now);
        let scheduled = &mut self.peers[node];
        let ends = |turn: &Turn| {
            turn.node == node && answers.map_or(turn.asked == Asked::ToProveItself, |counter| counter == turn.counter)
        };
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

    /// Somebody else speaks in a node's name.
    fn alarm(&mut self, node: usize, due: Due, now: Now, notice: impl Fn(u16, u64) -> Notice) {
        if due == Due::Nothing {
            return;
        }
        let scheduled = &mut self.peers[node];
        scheduled.peer.seen_attacked(now.wall);
        if let Due::Tell(frames) = due {
            self.outputs.push_back(Output::Tell(notice(scheduled.peer.number, frames)));
        }
        let sensors = alarm_sensors(&scheduled.peer.channels).into_iter().cloned().collect();
        self.say(sensors, &Reading::NoData(NoData::Tampered));
    }

    /// What came since it was told last is told after an hour, also if nothing comes any more.
    fn look_at_alarms(&mut self, node: usize, now: Now) {
        let enough = self.hurt.enough(now.at);
        let scheduled = &mut self.peers[node];
        let number = scheduled.peer.number;
        let forged = scheduled.forged.look(enough, now.at).map(|frames| Notice::Forged { node: number, frames });
        let replayed = scheduled.replayed.look(1, now.at).map(|frames| Notice::Replayed { node: number, frames });
        let revoked = scheduled.revoked.look(1, now.at).map(|frames| Notice::Revoked { node: number, frames });
        self.outputs.extend([forged, replayed, revoked].into_iter().flatten().map(Output::Tell));
    }

    /// Whether a node was heard on a connection and then on another.
    fn has_left(&self, node: usize, port: PortId) -> bool {
        self.peers[node].on != Some(port) && self.ports.get(&port).is_some_and(|port| port.heard.contains(&node))
    }

    /// Two devices have its key: which of them is the node nobody can say.
    fn quarantine(&mut self, node: usize) {
        for order in self.peers[node].peer.quarantine() {
            self.report(node, Some((order, Report::Withdrawn)));
        }
        self.turn.take_if(|turn| turn.node == node);
        self.outputs.push_back(Output::Tell(Notice::Double(self.peers[node].peer.number)));
        self.peers[node].lost = None;
        self.lose(node, NoData::Tampered);
    }

    /// Somebody speaks in the name of a node that is not trusted. For one in quarantine that is no news.
    fn distrusted(&mut self, node: usize, why: Distrust, now: Now) {
        if why == Distrust::Revoked {
            let due = self.peers[node].revoked.came(1, now.at);
            self.alarm(node, due, now, |node, frames| Notice::Revoked { node, frames });
        }
    }

    fn report(&mut self, node: usize, report: Option<(OrderId, Report)>) {
        if let Some((order, report)) = report {
            self.outputs.push_back(Output::Report { node: self.peers[node].peer.number, order, report });
        }
    }

    /// When it can be a node's turn: when it is due and the line is quiet. Noise without an end does not hold the bus.
    fn ready_at(&self, node: &Scheduled) -> Instant {
        let quiet = node.due.max(self.quiet + self.turnaround);
        quiet.min(node.due + self.timeout * LONGEST_TURN)
    }

    fn trusted(&self) -> impl Iterator<Item = &Scheduled> {
        self.peers.iter().filter(|node| node.peer.distrust().is_none())
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

/// How long a line is to be quiet before the master speaks again. Who spoke on RS-485 lets the wires go up to a character
/// after its last bit, and a node that has just begun to answer late is not to be spoken over: 3.5 characters of 11 bits,
/// at high speeds 1.75 ms, as Modbus has it (serial line guide 1.02, 2.5.1.1). A stream has both ways to itself.
fn turnaround(carrier: &Carrier) -> Duration {
    match carrier {
        Carrier::Serial(port) if port.baud > 19_200 => Duration::from_micros(1_750),
        Carrier::Serial(port) => Duration::from_secs_f64(3.5 * 11.0 / f64::from(port.baud.max(1))),
        Carrier::Connect { .. } | Carrier::Listen(_) => Duration::ZERO,
    }
}

fn told_long_ago(told: &mut Option<Instant>, now: Now) -> bool {
    let long_ago = told.is_none_or(|at| now.at.saturating_duration_since(at) >= TELL_AGAIN);
    if long_ago {
        *told = Some(now.at);
    }
    long_ago
}
