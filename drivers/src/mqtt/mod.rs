//! MQTT 5 brokers.

pub mod link;

use crate::{camera::frigate, json::Mapping, line::Line};
use quaywatch_schemas::{FeedId, SensorId};

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
    /// References.
    References(FeedId),
}

/// Reads the broker until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let _ = (line, config);
    todo!()
}
