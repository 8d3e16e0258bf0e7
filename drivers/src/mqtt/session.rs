//! One ingest session: connect, subscribe, hand over, acknowledge after the receipt, and all of it again after any error.
//!
//! Two tasks share a connection. One only polls and decodes and never waits for anything else, so that the keep-alive lives
//! whatever the ledger does. The other hands over to the ledger and acknowledges in the order of arrival. Between them is a
//! queue: one receive maximum would do for a broker that keeps to it, but mosquitto 2.0 sends a resumed session all it has kept,
//! so the queue has room for [`MOST_QUEUED`]. Both end with the connection: what was queued and not handed over is delivered
//! again, and what was handed over is known to the ledger as a repeat when it comes again.

use super::{
    Gives, Session, States, Subscription, decode,
    link::{self, Endpoint, Use},
    outage,
    subscribing::Subscribing,
    topics::{self, Wanted},
};
use crate::{
    intake::{Delivery, REPEAT_HORIZON},
    json,
    line::{Backoff, Line, LineState},
    overload::Overload,
    references,
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt},
};
use quaywatch_schemas::Record;
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, Event, EventLoop,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish},
        },
    },
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// How long a broker keeps our session while we are away.
const SESSION_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// Topic, properties and header beside the largest payload.
const AROUND_PAYLOAD: usize = 64 << 10;
/// A connection that lasted this long worked; one that ends sooner counts as one more failure, so that two gateways with
/// one client id do not throw each other out five times a second.
const WORKED_AFTER: Duration = Duration::from_secs(10);
/// After so many connections that ended with a packet that cannot be read, the broker is told to forget the session.
const MOST_UNREADABLE: u32 = 3;
/// How often a refused topic is asked for again: somebody may have corrected the broker's list.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How often what was let go is said if no message takes it along.
const SAY_OVERLOAD: Duration = Duration::from_secs(1);
/// Decoded messages that may wait for the ledger, some hundred bytes each. A broker that sends more before we acknowledge is
/// disconnected, and sends them again.
const MOST_QUEUED: usize = 100_000;
/// Messages of a session that may wait for their receipts.
const MOST_UNDER_WAY: usize = REPEAT_HORIZON;
/// How long a stop waits for receipts that are still out.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Runs one session until the line is asked to stop.
pub(super) async fn run(
    line: &Line,
    endpoint: &Endpoint,
    which: Session,
    subscriptions: &[Subscription],
    states: &States,
) {
    if let Some(wrong) = subscriptions.iter().flat_map(Subscription::filters).find(|filter| !topics::is_filter(filter))
    {
        states.say(which, LineState::Down(format!("{wrong:?} is not a topic filter")));
        return line.stop.cancelled().await;
    }
    let wanted = topics::wanted(subscriptions);
    let (open, watch) = watch::channel(vec![false; subscriptions.len()]);
    let ingest = Ingest {
        line,
        endpoint,
        which,
        subscriptions,
        states,
        wanted: &wanted,
        name: format!("{}/{}", line.id, which.as_str()),
        open,
        overload: Overload::default(),
    };
    tokio::select! {
        () = ingest.connections() => {}
        () = async {
            outage::tell(subscriptions, watch, &line.intake).await;
            std::future::pending().await
        } => {}
    }
}

struct Ingest<'a> {
    line: &'a Line,
    endpoint: &'a Endpoint,
    which: Session,
    subscriptions: &'a [Subscription],
    states: &'a States,
    wanted: &'a [Wanted],
    /// What the ledger knows the session by.
    name: String,
    /// Which subscriptions can be heard.
    open: watch::Sender<Vec<bool>>,
    overload: Overload,
}

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost { why: String, unreadable: bool },
}

/// A message on its way to the ledger. Its payload is decoded and gone.
struct Handed {
    publish: Publish,
    records: Vec<Record>,
    delivery: Option<Delivery>,
}

/// A message and, in time, whether it is on disk.
type Receipt = BoxFuture<'static, (Publish, bool)>;

impl Ingest<'_> {
    async fn connections(&self) {
        let mut backoff = Backoff::default();
        let mut unreadable = 0;
        loop {
            let (client, mut events) = match link::client(self.endpoint, &self.how()) {
                Ok(made) => made,
                Err(why) => {
                    // Nothing but another site file changes this.
                    self.states.say(self.which, LineState::Down(why.to_string()));
                    return self.line.stop.cancelled().await;
                }
            };
            if unreadable >= MOST_UNREADABLE {
                tracing::error!(
                    line = %self.line.id, session = self.which.as_str(),
                    "the broker sends a packet that cannot be read again and again; it is told to forget what it keeps for us"
                );
                metrics::counter!("quaywatch_sessions_discarded_total", "line" => self.line.id.to_string())
                    .increment(1);
                events.options.set_clean_start(true);
                unreadable = 0;
            }
            let began = Instant::now();
            let ended = self.connection(client, events).await;
            self.open.send_replace(vec![false; self.subscriptions.len()]);
            match ended {
                Ended::Stopped => return,
                Ended::Lost { why, unreadable: cannot_be_read } => {
                    unreadable = if cannot_be_read { unreadable + 1 } else { 0 };
                    self.states.say(self.which, LineState::Down(why));
                }
            }
            if began.elapsed() >= WORKED_AFTER {
                backoff.worked();
            }
            tokio::select! {
                () = self.line.stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    fn how(&self) -> Use {
        let references =
            self.subscriptions.iter().any(|subscription| matches!(subscription.gives, Gives::References(_)));
        let payload = if references { references::MOST_BYTES } else { json::MOST_BYTES };
        Use {
            suffix: self.which.suffix(),
            session_expiry: Some(SESSION_EXPIRY),
            manual_acks: true,
            in_flight: REPEAT_HORIZON as u16,
            largest: (payload + AROUND_PAYLOAD) as u32,
        }
    }

    /// One connection, from the first packet to its end.
    async fn connection(&self, client: AsyncClient, events: EventLoop) -> Ended {
        let (queue, handed) = mpsc::channel(MOST_QUEUED);
        let subscribing = Mutex::new(Subscribing::new(self.wanted));
        let connected = AtomicBool::new(false);
        let asked_to_stop = async {
            self.line.stop.cancelled().await;
            if connected.load(Ordering::Relaxed) {
                tokio::time::sleep(STOP_WITHIN).await;
            }
        };
        tokio::select! {
            ended = self.receive(&client, events, &subscribing, &connected, &queue) => ended,
            why = self.hand_over(&client, handed) => Ended::Lost { why, unreadable: false },
            () = self.housekeep(&client, &subscribing, &connected) => Ended::Stopped,
            () = asked_to_stop => Ended::Stopped,
        }
    }

    /// Polls and decodes. The only awaited thing is the poll itself, and it is never dropped half-way.
    async fn receive(
        &self,
        client: &AsyncClient,
        mut events: EventLoop,
        subscribing: &Mutex<Subscribing<'_>>,
        connected: &AtomicBool,
        queue: &mpsc::Sender<Handed>,
    ) -> Ended {
        let lost = |why: String| Ended::Lost { why, unreadable: false };
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    link::connected(&mut events);
                    connected.store(true, Ordering::Relaxed);
                    tracing::debug!(line = %self.line.id, session = self.which.as_str(), resumed = ack.session_present, "connected");
                    if let Err(why) = lock(subscribing).ask(client) {
                        return lost(why);
                    }
                }
                Ok(Event::Outgoing(Outgoing::Subscribe(packet))) => lock(subscribing).sent(packet),
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let mut subscribing = lock(subscribing);
                    subscribing.answered(ack.pkid, &ack.return_codes);
                    self.say_open(&subscribing);
                }
                Ok(Event::Incoming(Packet::Publish(publish))) if !self.line.stop.is_cancelled() => {
                    // A closed queue is a stop: what is not taken comes again.
                    if let Some(handed) = self.take(publish)
                        && let Err(mpsc::error::TrySendError::Full(_)) = queue.try_send(handed)
                    {
                        return lost("the broker sends more than it may before we acknowledge".into());
                    }
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ended::Stopped,
                // What comes after a stop stays unacknowledged, so that it comes again.
                Ok(_) => {}
                Err(error) => {
                    let why = link::explain(self.endpoint, &error);
                    return Ended::Lost { why, unreadable: link::is_unreadable(&error) };
                }
            }
        }
    }

    fn say_open(&self, subscribing: &Subscribing<'_>) {
        self.open.send_if_modified(|open| {
            let now = subscribing.open(self.subscriptions);
            let changed = *open != now;
            *open = now;
            changed
        });
        if let Some(refused) = subscribing.refused() {
            self.states.say(self.which, LineState::Down(refused));
        } else if subscribing.is_settled() {
            self.states.say(self.which, LineState::Up);
        }
    }

    /// Decodes a message. Gives back what has to be stored before it is acknowledged.
    fn take(&self, mut publish: Publish) -> Option<Handed> {
        let payload = std::mem::replace(&mut publish.payload, Bytes::new());
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let message = decode::Message { topic: &topic, payload: &payload, retained: publish.retain };
        let said = decode::decode(self.subscriptions, message);
        if said.is_empty() {
            // Left over in the session from an earlier site file.
            metrics::counter!("quaywatch_unread_total", "line" => self.line.id.to_string()).increment(1);
        }
        decode::show(&said, message, &self.line.taps);
        let records = decode::records(said, &self.line.id, &payload);
        let letters = records.iter().filter(|record| matches!(record, Record::DeadLetter(_))).count();
        if letters > 0 {
            metrics::counter!("quaywatch_undecodable_total", "line" => self.line.id.to_string())
                .increment(letters as u64);
        }
        if publish.qos == QoS::AtMostOnce {
            if !records.is_empty() {
                self.overload.offer(&self.line.intake, records);
            }
            return None;
        }
        let delivery = decode::delivery(&self.name, message, publish.dup, &records);
        Some(Handed { publish, records, delivery })
    }

    /// Hands over to the ledger and acknowledges in the order of arrival. Ends with why it cannot go on; after a stop it
    /// disconnects once everything it holds is acknowledged, and waits for the other half to see it through.
    async fn hand_over(&self, client: &AsyncClient, mut handed: mpsc::Receiver<Handed>) -> String {
        let mut waiting: FuturesOrdered<Receipt> = FuturesOrdered::new();
        let (mut open, mut closing) = (true, false);
        while open || !waiting.is_empty() {
            tokio::select! {
                biased;
                Some((publish, stored)) = waiting.next() => {
                    if !stored {
                        return NOT_STORED.into();
                    }
                    // Waits for room while the other half goes on polling, which makes it.
                    if client.ack(&publish).await.is_err() {
                        return "an acknowledgement could not be sent".into();
                    }
                }
                next = handed.recv(), if open && waiting.len() < MOST_UNDER_WAY => match next {
                    Some(next) => match self.submit(next).await {
                        Some(receipt) => waiting.push_back(receipt),
                        None => return NOT_STORED.into(),
                    },
                    None => open = false,
                },
                // What is in the queue already is still handed over.
                () = self.line.stop.cancelled(), if !closing => {
                    closing = true;
                    handed.close();
                }
            }
        }
        let _ = client.try_disconnect();
        std::future::pending().await
    }

    /// Hands one message to the ledger. Waits as long as the ledger is full; `None` if it takes nothing any more.
    async fn submit(&self, handed: Handed) -> Option<Receipt> {
        let Handed { publish, records, delivery } = handed;
        if records.is_empty() {
            return Some(std::future::ready((publish, true)).boxed());
        }
        let receipt = self.line.intake.submit(records, delivery).await.ok()?;
        Some(async move { (publish, receipt.await.is_ok()) }.boxed())
    }

    /// What is due from time to time.
    async fn housekeep(&self, client: &AsyncClient, subscribing: &Mutex<Subscribing<'_>>, connected: &AtomicBool) {
        let mut ask_again = Instant::now() + ASK_AGAIN;
        loop {
            tokio::time::sleep(SAY_OVERLOAD).await;
            self.overload.say(&self.line.intake);
            if connected.load(Ordering::Relaxed) && Instant::now() >= ask_again {
                ask_again = Instant::now() + ASK_AGAIN;
                let mut subscribing = lock(subscribing);
                if subscribing.is_settled() && subscribing.refused().is_some() {
                    // A client that takes nothing now will be asked the next time.
                    let _ = subscribing.ask(client);
                }
            }
        }
    }
}

const NOT_STORED: &str = "the ledger does not store what comes; it is not acknowledged";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
