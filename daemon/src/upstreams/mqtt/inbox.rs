//! The connection that receives answers, receipts and requests.

use super::{ANSWERS, RECEIPTS, REQUESTS, Reconnect, events};
use crate::upstreams::{
    Parts,
    answers::{self, Refusal},
    inbound::{self, Letters, NotTaken},
    snapshot,
    standing::{About, Standing},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use quaywatch_drivers::mqtt::link::{self, Endpoint, Use};
use quaywatch_schemas::RecipientId;
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event,
    mqttbytes::{
        QoS,
        v5::{Filter, Packet, Publish, SubscribeReasonCode},
    },
};
use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// The connection that receives.
pub(super) struct Inbox {
    endpoint: Endpoint,
    topic: String,
    recipient: RecipientId,
    parts: Parts,
    standing: Standing,
    letters: Arc<Mutex<Letters>>,
    snapshots: mpsc::Sender<Vec<u8>>,
    /// One snapshot is made at a time; who asks meanwhile gets that one.
    making: Arc<Semaphore>,
}

/// Answers are given by people: few at once, and none is larger than [`answers::LARGEST`].
const IN_FLIGHT: u16 = 16;
const LARGEST: u32 = 64 << 10;
/// An answer that is given while we are away is kept this long by the broker.
const KEPT: Duration = Duration::from_secs(24 * 3600);

enum Ended {
    Stopped,
    Unusable(String),
    Broken(Box<ConnectionError>, Option<Duration>),
    NotStored,
}

impl Inbox {
    pub(super) fn new(
        endpoint: Endpoint,
        topic: &str,
        recipient: RecipientId,
        parts: Parts,
        standing: Standing,
        snapshots: mpsc::Sender<Vec<u8>>,
    ) -> Self {
        let letters = Arc::new(Mutex::new(Letters::of(&recipient)));
        let making = Arc::new(Semaphore::new(1));
        Self { endpoint, topic: topic.into(), recipient, parts, standing, letters, snapshots, making }
    }

    pub(super) async fn run(self, stop: CancellationToken) {
        let mut reconnect = Reconnect::new();
        let mut storing = quaywatch_drivers::line::Backoff::default();
        loop {
            let wait = match self.connection(&stop).await {
                Ended::Stopped => return,
                Ended::Unusable(why) => {
                    self.standing.failed(About::Answers, why);
                    return stop.cancelled().await;
                }
                Ended::Broken(error, lasted) => {
                    let why = link::explain(&self.endpoint, &error);
                    self.standing.degraded(About::Answers, format!("answers cannot come in: {why}"));
                    reconnect.wait(lasted, &error)
                }
                Ended::NotStored => {
                    self.standing.degraded(About::Answers, "answers cannot be stored; the broker keeps them");
                    storing.next_wait()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn connection(&self, stop: &CancellationToken) -> Ended {
        let how = Use {
            suffix: "-in",
            session_expiry: Some(KEPT),
            manual_acks: true,
            in_flight: IN_FLIGHT,
            largest: LARGEST,
        };
        let (client, polled) = match link::client(&self.endpoint, &how) {
            Ok(made) => made,
            Err(why) => return Ended::Unusable(why.to_string()),
        };
        let mut events = pin!(events(polled));
        let mut up: Option<Instant> = None;
        // At most IN_FLIGHT: the broker sends no more than that unacknowledged.
        let mut storing: FuturesOrdered<BoxFuture<'static, (Publish, bool)>> = FuturesOrdered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopped,
                event = events.next() => match event {
                    Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                        up = Some(Instant::now());
                        self.subscribe(&client);
                    }
                    Some(Ok(Event::Incoming(Packet::SubAck(ack)))) => self.subscribed(&ack.return_codes),
                    Some(Ok(Event::Incoming(Packet::Publish(message)))) => storing.push_back(self.take(message)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Ended::Broken(Box::new(error), up.map(|up| up.elapsed())),
                    None => return Ended::Stopped,
                },
                Some((message, done)) = storing.next(), if !storing.is_empty() => {
                    // Unacknowledged, the broker sends it again after the reconnect.
                    if !done || client.try_ack(&message).is_err() {
                        return Ended::NotStored;
                    }
                }
            }
        }
    }

    fn subscribe(&self, client: &AsyncClient) {
        let filters =
            [ANSWERS, RECEIPTS, REQUESTS].map(|name| Filter::new(format!("{}/{name}", self.topic), QoS::AtLeastOnce));
        if client.try_subscribe_many(filters).is_err() {
            tracing::error!(recipient = %self.recipient, "a new connection has no room for its subscriptions");
        }
    }

    fn subscribed(&self, codes: &[SubscribeReasonCode]) {
        let names = [ANSWERS, RECEIPTS, REQUESTS];
        let refused = names.iter().zip(codes).find(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
        match refused {
            None => self.standing.well(About::Answers),
            Some((name, _)) => {
                let why = format!("the broker does not let us subscribe to {}/{name}", self.topic);
                self.standing.degraded(About::Answers, why);
            }
        }
    }

    /// What is to be done with a message; `true` once the broker may forget it.
    fn take(&self, message: Publish) -> BoxFuture<'static, (Publish, bool)> {
        let (parts, recipient, letters) = (self.parts.clone(), self.recipient.clone(), self.letters.clone());
        let what = message.topic.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let what = [ANSWERS, RECEIPTS, REQUESTS].into_iter().find(|name| name.as_bytes() == what);
        let (snapshots, making) = (self.snapshots.clone(), self.making.clone());
        Box::pin(async move {
            let taken = match what {
                Some(ANSWERS) => inbound::answer(&parts, &recipient, &message.payload).await,
                Some(RECEIPTS) => inbound::receipt(&parts, &recipient, &message.payload),
                Some(_) => answers::request(&message.payload).map_err(NotTaken::Refused).map(|_| {
                    make_snapshot(parts.clone(), recipient.clone(), snapshots, making);
                }),
                None => Ok(()),
            };
            let done = match taken {
                Ok(()) => true,
                Err(NotTaken::NotStored(_)) => false,
                Err(NotTaken::Refused(refusal)) => {
                    let what = what.unwrap_or_default().trim_end_matches('s');
                    set_aside(&parts, &recipient, &letters, what, &refusal, &message.payload).await
                }
            };
            (message, done)
        })
    }
}

/// Keeps what was refused as a dead letter. `false` if it could not be stored.
async fn set_aside(
    parts: &Parts,
    recipient: &RecipientId,
    letters: &Mutex<Letters>,
    what: &str,
    refusal: &Refusal,
    raw: &[u8],
) -> bool {
    let letter = letters.lock().unwrap_or_else(PoisonError::into_inner).letter(what, refusal, raw);
    match letter {
        Some(letter) => {
            tracing::warn!(%recipient, what, %refusal, "a recipient said something that is refused");
            parts.intake.store(vec![letter]).await.is_ok()
        }
        None => true,
    }
}

fn make_snapshot(parts: Parts, recipient: RecipientId, snapshots: mpsc::Sender<Vec<u8>>, making: Arc<Semaphore>) {
    let Ok(permit) = making.try_acquire_owned() else { return };
    tokio::spawn(async move {
        match snapshot::build(&parts, &recipient).await {
            // If one waits to be sent already, it says the same.
            Ok(event) => drop(snapshots.try_send(event)),
            Err(why) => tracing::warn!(%recipient, %why, "a snapshot was asked for and could not be made"),
        }
        drop(permit);
    });
}
