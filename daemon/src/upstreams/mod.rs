//! Products out, answers in: one file per kind of upstream.
//!
//! Every upstream keeps the same promises, so the parts that keep them are shared: what may be sent next (`queue`), when a
//! product is confirmed and when it is sent again (`stream`), the messages of a stream that are not products (`messages`,
//! `snapshot`), what recipients say back (`answers`, `inbound`), and how the upstream says how it is (`standing`). An
//! upstream itself is the edge: [`mqtt`] and [`http`] move bytes and read what the other side says to them.
//!
//! * Two lanes per zone, live and late; order is kept within each, and a zone that is stuck holds no other zone.
//! * Nothing leaves the outbox but by confirmation, withdrawal (the pipeline's), shedding (the outbox's own budget) or a
//!   recipient's refusal for good, and each of these is accounted for in the heartbeat.
//! * A product is sent as it was frozen; the same id never has other bytes.
//!
//! **An upstream decides nothing about content: what a recipient may know was decided before the product had a number.**

mod answers;
pub mod http;
mod inbound;
mod listen;
pub(crate) mod messages;
pub mod mqtt;
mod queue;
mod snapshot;
mod standing;
mod stream;

pub use listen::{ANSWERS_PATH, RECEIPTS_PATH, SNAPSHOT_PATH, listen};

use crate::{
    health::Board,
    ledger::{Outbox, State},
    pipeline::Picture,
};
use quaywatch_drivers::{intake::Intake, mqtt::link::Endpoint, secret::Secret, tls::Tls};
use quaywatch_schemas::{RecipientId, policy::Confirm};
use standing::{About, Standing};
use std::time::Duration;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// The way to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// What counts as having been told.
    pub confirm: Confirm,
    /// Proves the recipient where it posts answers to us; it cannot post any if `None`.
    pub answer_token: Option<Secret>,
}

/// Where products go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An MQTT 5 broker.
    Mqtt {
        /// The broker. Its client id must be this recipient's own: a broker has one connection per id.
        endpoint: Endpoint,
        /// The recipient's topic: products below it, answers back below it.
        topic: String,
    },
    /// An HTTP endpoint that takes CloudEvents.
    Http {
        /// Where to post.
        url: String,
        /// Sent as `Authorization: Bearer`.
        bearer: Option<Secret>,
        /// For `https` addresses.
        tls: Tls,
    },
}

/// What every upstream works with.
#[derive(Clone)]
pub struct Parts {
    /// Products on their way out.
    pub outbox: Outbox,
    /// Stored situations.
    pub state: State,
    /// For answers, which are records too.
    pub intake: Intake,
    /// What heartbeats tell.
    pub picture: watch::Receiver<Picture>,
    /// Where an upstream says how it is.
    pub board: Board,
    /// Keys the references recipients see, for snapshots.
    pub reference_key: [u8; 32],
}

/// Media type of everything that is sent: CloudEvents 1.0 in structured JSON mode.
pub const CLOUD_EVENTS: &str = "application/cloudevents+json";
/// The stream contract's heartbeat.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);

/// Carries one recipient's products out until stopped.
pub async fn run(recipient: RecipientId, target: Target, parts: Parts, stop: CancellationToken) {
    let standing = Standing::new(parts.board.clone(), recipient.clone());
    standing.starting(About::Link, "not connected yet");
    match &target.address {
        Address::Mqtt { endpoint, topic } => {
            mqtt::run(recipient, &target, (endpoint, topic), parts, standing.clone(), stop).await;
        }
        Address::Http { url, bearer, tls } => {
            http::run(recipient, &target, (url, bearer.as_ref(), tls), parts, standing.clone(), stop).await;
        }
    }
    standing.end();
}

/// Does something that may wait for the disk (the outbox syncs under its lock) without holding up other tasks.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod testing {
    //! A picture of a gateway with one recipient.

    use crate::{pipeline::Picture, published::fictional};
    use quaywatch_schemas::{RecipientId, ZoneId};
    use std::sync::Arc;

    pub(crate) fn recipient_id() -> RecipientId {
        RecipientId::new("port-police").unwrap()
    }

    /// The recipient has these zones.
    pub(crate) fn picture(zones: &[&str]) -> Picture {
        let mut policy = fictional::policy();
        let recipient = policy.recipients.get_mut(&recipient_id()).unwrap();
        recipient.zones = Some(zones.iter().map(|zone| ZoneId::new(zone).unwrap()).collect());
        Picture {
            site: Some(Arc::new(fictional::site())),
            policy: Some(Arc::new(policy)),
            security_level: 1,
            ..Picture::default()
        }
    }
}
