//! Products out, answers in: one file per kind of upstream.

use crate::{
    config::Answers,
    health::Board,
    ledger::{Outbox, State},
    pipeline::Picture,
};
use quaywatch_drivers::{intake::Intake, mqtt::link::Endpoint, secret::Secret, tls::Tls};
use quaywatch_schemas::{RecipientId, policy::Confirm};
use std::collections::BTreeMap;
use tokio::sync::watch;
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
        /// The broker.
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
}

/// Carries one recipient's products out until stopped.
pub async fn run(recipient: RecipientId, target: Target, parts: Parts, stop: CancellationToken) {
    let _ = (recipient, target, parts, stop);
    todo!()
}

/// Takes answers, receipts and requests over HTTP until stopped.
pub async fn listen(answers: Answers, tokens: BTreeMap<RecipientId, Secret>, parts: Parts, stop: CancellationToken) {
    let _ = (answers, tokens, parts, stop);
    todo!()
}
