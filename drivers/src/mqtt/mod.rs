//! MQTT 5 brokers.
//!
//! Each broker has up to two ingest sessions, [`Session::Alarm`] and [`Session::Routine`], so that withheld routine
//! acknowledgements never hold an alarm back; only those with subscriptions are opened. A session has a stable client id and
//! outlives its connections: the broker keeps what comes while we are away (24 hours; mosquitto 1000 messages unless
//! `max_queued_messages` says more), and sends again what was not acknowledged.
//!
//! A message of QoS 1 is acknowledged in the order of arrival, after the ledger's receipt; one that cannot be decoded is a
//! dead letter and acknowledged like any other, so that it does not come for ever. At most
//! [`REPEAT_HORIZON`](crate::intake::REPEAT_HORIZON) are unacknowledged at a broker that keeps to the receive maximum: beyond it
//! the broker waits. One that does not is given room for 100,000 decoded messages, then disconnected. A message of QoS 0 is
//! offered to the ledger once; what does not fit is counted and said as `no-data(overload)`. **A publisher that uses QoS 0, as
//! Frigate does unless told otherwise (`mqtt.qos`), loses what it says while we are away, whatever we subscribe with.**
//!
//! What a broker kept for us (retained) is history, never a fresh alarm; only Frigate's availability is not, because the broker
//! itself keeps it up to date. A broker may send one copy for each of several filters that match: filters that cover others
//! are asked for alone, and of filters that only overlap each copy counts (identical words change no conclusion).
//!
//! A login proves us to the broker and not its publishers to us: what comes is as authentic as anybody who may publish there.
//!
//! While the line is down for 5 s, or a broker refuses a topic, the sensors concerned are said to be disconnected.

mod decode;
pub mod link;
mod outage;
mod session;
mod subscribing;
mod topics;

use crate::{
    camera::frigate,
    frame,
    json::Mapping,
    line::{Line, LineState},
};
use quaywatch_schemas::{FeedId, SensorId};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

pub use topics::{is_filter, matches};

/// A broker and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where it is and who we are there.
    pub broker: link::Endpoint,
    /// What is read.
    pub subscriptions: Vec<Subscription>,
}

/// One topic and what its messages become.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The topic filter; for Frigate the prefix, usually `frigate`.
    pub topic: String,
    /// Which session carries it: withheld routine acknowledgements never hold an alarm back.
    pub session: Session,
    /// 0 or 1. QoS 0 is not acknowledged by anybody: what does not fit is counted and said as `no-data(overload)`.
    pub at_least_once: bool,
    /// What its messages become.
    pub gives: Gives,
}

/// The two ingest sessions of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Session {
    /// What an alarm can hang on.
    Alarm,
    /// Everything else.
    Routine,
}

/// What the messages of a topic become.
#[derive(Debug, Clone, PartialEq)]
pub enum Gives {
    /// A sensor's reading, by JSON pointer.
    Json { sensor: SensorId, mapping: Mapping },
    /// What Frigate says of one camera.
    Frigate { sensor: SensorId, camera: frigate::Camera },
    /// Frames of a radar, lidar or camera tracker.
    Frames(frame::Source),
    /// References.
    References(FeedId),
}

impl Subscription {
    /// The topic filters it needs.
    pub fn filters(&self) -> Vec<String> {
        match &self.gives {
            Gives::Frigate { camera, .. } => {
                camera.topics().into_iter().map(|topic| format!("{}/{topic}", self.topic)).collect()
            }
            Gives::Json { .. } | Gives::Frames(_) | Gives::References(_) => vec![self.topic.clone()],
        }
    }

    /// Whose observations its messages become.
    pub fn sensor(&self) -> Option<&SensorId> {
        match &self.gives {
            Gives::Json { sensor, .. } | Gives::Frigate { sensor, .. } => Some(sensor),
            Gives::Frames(source) => Some(&source.sensor),
            Gives::References(_) => None,
        }
    }
}

/// Reads the broker until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let states = States { line: line.clone(), of: Mutex::default() };
    let session = |which: Session| {
        let wanted = config.subscriptions.iter().filter(|subscription| subscription.session == which);
        let subscriptions: Vec<Subscription> = wanted.cloned().collect();
        if !subscriptions.is_empty() {
            states.say(which, LineState::Starting);
        }
        let (line, broker, states) = (&line, &config.broker, &states);
        async move {
            if !subscriptions.is_empty() {
                session::run(line, broker, which, &subscriptions, states).await;
            }
        }
    };
    tokio::join!(session(Session::Alarm), session(Session::Routine));
}

impl Session {
    fn suffix(self) -> &'static str {
        match self {
            Self::Alarm => "-alarm",
            Self::Routine => "-routine",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Routine => "routine",
        }
    }
}

/// How the sessions are; the line is as its worst session is.
struct States {
    line: Line,
    of: Mutex<BTreeMap<Session, LineState>>,
}

impl States {
    fn say(&self, which: Session, state: LineState) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.insert(which, state);
        let down = of.values().find(|state| matches!(state, LineState::Down(_)));
        let starting = of.values().find(|state| **state == LineState::Starting);
        self.line.report(down.or(starting).cloned().unwrap_or(LineState::Up));
    }
}
