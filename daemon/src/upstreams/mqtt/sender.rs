//! The connection that publishes.

use super::{LATE, LIVE, Reconnect, STREAM, events, window::Window};
use crate::{
    ledger::Lane,
    upstreams::{
        CLOUD_EVENTS, HEARTBEAT_EVERY, Parts,
        queue::{Room, Route},
        standing::{About, Standing},
        stream::{Parcel, Stream},
    },
};
use futures_util::{FutureExt, StreamExt};
use quaywatch_drivers::mqtt::link::{self, Endpoint, Use};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event, StateError,
        mqttbytes::{
            Error as PacketError, QoS,
            v5::{ConnAck, Packet, PubAckReason, PublishProperties},
        },
    },
};
use std::{
    collections::BTreeMap,
    future::ready,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The connection that publishes.
pub(super) struct Sender {
    endpoint: Endpoint,
    topic: String,
    stream: Stream,
    appended: watch::Receiver<u64>,
    receipts: watch::Receiver<u64>,
    snapshots: mpsc::Receiver<Vec<u8>>,
    snapshot: Option<Vec<u8>>,
    standing: Standing,
    /// Topics over which nothing went the last time, and why.
    nobody: BTreeMap<String, PubAckReason>,
    suspicion: Suspicion,
}

/// On loopback 64 messages a round trip are more than a broker takes; over 40 ms they are 1,600/s.
const IN_FLIGHT: u16 = 64;
/// What is under way in the late lane delays a live product that comes now by as many messages.
const LATE_IN_FLIGHT: usize = 16;
/// This connection subscribes to nothing; CONNACK and PUBACK are all that comes.
const LARGEST_INCOMING: u32 = 64 << 10;
/// What was published is waited for this long when the gateway stops; the rest is sent again at the next start.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// Events taken before the outbox is looked at again.
const EVENTS_AT_ONCE: usize = 256;

/// What is under way.
#[derive(Debug)]
enum What {
    Product(Route, u64),
    Started,
    Heartbeat,
    Snapshot,
}

/// An established connection.
struct Up {
    window: Window<What>,
    since: Instant,
    /// The largest packet the broker takes.
    largest: u32,
    /// Whether the broker acknowledged anything.
    acknowledged: u32,
    heartbeat_at: Instant,
}

enum Ended {
    Stopped,
    /// It cannot be connected until somebody changes the files.
    Unusable(String),
    Broken(Box<ConnectionError>, Option<Duration>),
}

impl Sender {
    pub(super) fn new(
        endpoint: Endpoint,
        topic: &str,
        stream: Stream,
        parts: &Parts,
        standing: Standing,
        snapshots: mpsc::Receiver<Vec<u8>>,
    ) -> Self {
        Self {
            endpoint,
            topic: topic.into(),
            stream,
            appended: parts.outbox.subscribe(),
            receipts: parts.outbox.receipts(),
            snapshots,
            snapshot: None,
            standing,
            nobody: BTreeMap::new(),
            suspicion: Suspicion::default(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut reconnect = Reconnect::new();
        loop {
            let wait = match self.connection(&stop).await {
                Ended::Stopped => return,
                Ended::Unusable(why) => {
                    self.standing.failed(About::Link, why);
                    return stop.cancelled().await;
                }
                Ended::Broken(error, lasted) => {
                    self.standing.degraded(About::Link, link::explain(&self.endpoint, &error));
                    reconnect.wait(lasted, &error)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn connection(&mut self, stop: &CancellationToken) -> Ended {
        let how = Use {
            suffix: "-out",
            session_expiry: None,
            manual_acks: false,
            in_flight: IN_FLIGHT,
            largest: LARGEST_INCOMING,
        };
        let (client, polled) = match link::client(&self.endpoint, &how) {
            Ok(made) => made,
            Err(why) => return Ended::Unusable(why.to_string()),
        };
        let mut events = pin!(events(polled));
        let mut up: Option<Up> = None;
        let mut stopping: Option<Instant> = None;
        loop {
            let due = self.due(up.as_ref(), stopping);
            let event = tokio::select! {
                biased;
                () = stop.cancelled(), if stopping.is_none() => {
                    stopping = Some(Instant::now() + STOP_WITHIN);
                    None
                }
                event = events.next() => event,
                _ = self.appended.changed(), if up.is_some() && stopping.is_none() => None,
                _ = self.receipts.changed(), if self.stream.awaits_receipts() => None,
                Some(snapshot) = self.snapshots.recv(), if up.is_some() && self.snapshot.is_none() => {
                    self.snapshot = Some(snapshot);
                    None
                }
                () = tokio::time::sleep_until(due.into()) => None,
            };
            let more = std::iter::from_fn(|| events.next().now_or_never().flatten());
            for event in event.into_iter().chain(more.take(EVENTS_AT_ONCE)) {
                match event {
                    Ok(event) => self.take(event, &mut up),
                    Err(error) => {
                        let lasted = up.as_ref().map(|up| up.since.elapsed());
                        self.broken(&error, up);
                        return Ended::Broken(Box::new(error), lasted);
                    }
                }
            }
            let now = Instant::now();
            self.stream.settle();
            self.stream.look_after_receipts(now);
            if let Some(until) = stopping {
                let idle = up.as_ref().is_none_or(|up| up.window.is_empty());
                if idle || now >= until {
                    if client.try_disconnect().is_ok() && up.is_some() {
                        let goodbye = events
                            .filter(|event| ready(matches!(event, Err(_) | Ok(Event::Outgoing(Outgoing::Disconnect)))));
                        let _ = tokio::time::timeout(STOP_WITHIN, pin!(goodbye).next()).await;
                    }
                    return Ended::Stopped;
                }
            } else if let Some(up) = &mut up {
                self.fill(&client, up, now);
                self.stream.show_backlog(now, up.window.is_empty());
            }
        }
    }

    /// When something is to be done although nothing happens.
    fn due(&self, up: Option<&Up>, stopping: Option<Instant>) -> Instant {
        let now = Instant::now();
        let connected = up.map(|up| up.heartbeat_at);
        let waiting = up.and_then(|_| self.stream.due(now));
        [connected, waiting, stopping].into_iter().flatten().min().unwrap_or(now + HEARTBEAT_EVERY)
    }

    fn take(&mut self, event: Event, up: &mut Option<Up>) {
        match (event, up) {
            (Event::Incoming(Packet::ConnAck(ack)), up) => {
                self.stream.start_over();
                self.standing.well(About::Link);
                *up = Some(Up::of(&ack));
            }
            (Event::Outgoing(Outgoing::Publish(id)), Some(up)) => {
                if let Some(What::Product(..)) = up.window.went_out(id, Instant::now()) {
                    self.stream.went_out();
                }
            }
            (Event::Incoming(Packet::PubAck(ack)), Some(up)) => {
                up.acknowledged = up.acknowledged.saturating_add(1);
                if let Some((what, sent)) = up.window.acknowledged(ack.pkid) {
                    self.acknowledged(what, ack.reason, sent);
                    self.suspicion.acknowledged(up.acknowledged);
                }
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, what: What, reason: PubAckReason, sent: Instant) {
        let now = Instant::now();
        let topic = self.topic_of(&what);
        match what {
            What::Product(route, sequence) => match reason {
                PubAckReason::Success => self.stream.taken(&route, sequence, sent, now),
                PubAckReason::PayloadFormatInvalid => {
                    return self.stream.refused(
                        &route,
                        sequence,
                        "the broker says that its payload's format is invalid",
                    );
                }
                PubAckReason::QuotaExceeded => self.stream.put_off_all(&route, sequence, now, None),
                _ => self.stream.put_off(&route, sequence, now),
            },
            What::Started if reason == PubAckReason::Success => self.stream.announced(),
            What::Started | What::Heartbeat | What::Snapshot => {}
        }
        self.note(topic, reason);
    }

    /// Keeps what the broker says of each topic, and says it on the board.
    fn note(&mut self, topic: String, reason: PubAckReason) {
        let before = match reason {
            PubAckReason::Success => self.nobody.remove(&topic),
            trouble => self.nobody.insert(topic, trouble),
        };
        if before == Some(reason) || (before.is_none() && reason == PubAckReason::Success) {
            return;
        }
        let words = |these: Vec<&String>, what: &str| match these.as_slice() {
            [] => None,
            [topic] => Some(format!("{what} {topic}")),
            [topic, others @ ..] => Some(format!("{what} {topic} and {} other topics", others.len())),
        };
        let nobody = self.nobody.iter().filter(|(_, why)| **why == PubAckReason::NoMatchingSubscribers);
        match words(nobody.map(|(topic, _)| topic).collect(), "nobody subscribes to") {
            Some(words) => self.standing.degraded(About::Nobody, words),
            None => self.standing.well(About::Nobody),
        }
        let refused = self.nobody.iter().find(|(_, why)| **why != PubAckReason::NoMatchingSubscribers);
        match refused {
            Some((topic, why)) => self.standing.degraded(About::Refused, format!("{} {topic}", in_words(*why))),
            None => self.standing.well(About::Refused),
        }
    }

    fn fill(&mut self, client: &AsyncClient, up: &mut Up, now: Instant) {
        if now >= up.heartbeat_at && up.window.room() > 0 {
            up.heartbeat_at = now + HEARTBEAT_EVERY;
            if let Some(started) = self.stream.started() {
                self.publish(client, up, What::Started, started);
            }
            if let Some(heartbeat) = self.stream.heartbeat() {
                self.publish(client, up, What::Heartbeat, heartbeat);
            }
        }
        if up.window.room() > 0
            && let Some(snapshot) = self.snapshot.take()
        {
            self.publish(client, up, What::Snapshot, snapshot);
        }
        let room = up.window.room();
        let (most, on_a_route) =
            if self.suspicion.one_by_one() { (usize::from(up.window.is_empty()), 1) } else { (room, IN_FLIGHT.into()) };
        let parcels = self.stream.take(now, most, Room { on_a_route, late: LATE_IN_FLIGHT });
        for Parcel { route, sequence, body } in parcels {
            let size = packet_size(&self.topic_of_route(&route), &body);
            if size > u64::from(up.largest) {
                let why = format!("it is larger than the broker takes: {size} of {} bytes", up.largest);
                self.stream.refused(&route, sequence, &why);
                continue;
            }
            if !self.publish(client, up, What::Product(route.clone(), sequence), body) {
                self.stream.put_back(&route, sequence);
            }
        }
    }

    /// Hands a message to the connection. `false` if it has no room, and for stream messages the broker would not take.
    fn publish(&self, client: &AsyncClient, up: &mut Up, what: What, body: Vec<u8>) -> bool {
        let topic = self.topic_of(&what);
        if packet_size(&topic, &body) > u64::from(up.largest) {
            tracing::error!(topic, bytes = body.len(), "a stream message is larger than the broker takes");
            return false;
        }
        let properties = PublishProperties {
            content_type: Some(CLOUD_EVENTS.into()),
            payload_format_indicator: Some(1),
            ..PublishProperties::default()
        };
        let handed = client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, body, properties).is_ok();
        if handed {
            up.window.hand(what);
        }
        handed
    }

    fn topic_of(&self, what: &What) -> String {
        match what {
            What::Product(route, _) => self.topic_of_route(route),
            What::Started | What::Heartbeat | What::Snapshot => format!("{}/{STREAM}", self.topic),
        }
    }

    fn topic_of_route(&self, route: &Route) -> String {
        let lane = match route.lane {
            Lane::Live => LIVE,
            Lane::Late => LATE,
        };
        format!("{}/{lane}/{}", self.topic, route.zone)
    }

    /// The connection broke: finds out whether a product is to blame, and forgets what was under way.
    fn broken(&mut self, error: &ConnectionError, up: Option<Up>) {
        if let Some(up) = up {
            let only = match up.window.only() {
                Some((What::Product(route, sequence), sent)) => Some((route, *sequence, sent.elapsed())),
                _ => None,
            };
            let verdict = self.suspicion.broken(
                up.since.elapsed(),
                up.acknowledged > 0,
                !up.window.is_empty(),
                only.as_ref().map(|(_, sequence, ago)| (*sequence, *ago)),
                is_unknown_reason(error),
            );
            if let (Some(why), Some((route, sequence, _))) = (verdict, only) {
                self.stream.refused(route, sequence, why);
            }
        }
        self.stream.start_over();
    }
}

impl Up {
    fn of(ack: &ConnAck) -> Self {
        let properties = ack.properties.as_ref();
        let receive_maximum = properties.and_then(|properties| properties.receive_max).unwrap_or(u16::MAX);
        let largest = properties.and_then(|properties| properties.max_packet_size).unwrap_or(u32::MAX);
        let now = Instant::now();
        Self {
            window: Window::new(IN_FLIGHT.min(receive_maximum).into()),
            since: now,
            largest,
            acknowledged: 0,
            heartbeat_at: now,
        }
    }
}

/// Finds the one product that makes a broker end the connection each time it is sent: it would come first again after every
/// reconnect, and nothing behind it would ever go out.
///
/// After two short connections in a row that ended with products under way, products go one by one. One that was alone
/// under way when the connection ended, three times in a row, on connections on which the broker had acknowledged other
/// messages and within two seconds of being sent, is to blame; a network that fails does not fail like that.
#[derive(Debug, Default)]
struct Suspicion {
    short: u32,
    strikes: Option<(u64, u32)>,
}

const SHORT: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_secs(2);
const STRIKES: u32 = 3;

impl Suspicion {
    fn one_by_one(&self) -> bool {
        self.short >= 2
    }

    /// That many messages were acknowledged on this connection: whatever was under way when the last one ended has passed.
    fn acknowledged(&mut self, count: u32) {
        if count > u32::from(IN_FLIGHT) {
            *self = Self::default();
        }
    }

    /// A connection ended. Says why a product is to be refused, if it is to blame.
    fn broken(
        &mut self,
        lasted: Duration,
        acknowledged: bool,
        under_way: bool,
        only: Option<(u64, Duration)>,
        unknown_reason: bool,
    ) -> Option<&'static str> {
        if !under_way {
            return None;
        }
        if lasted < SHORT || unknown_reason {
            self.short = if unknown_reason { 2 } else { self.short.saturating_add(1) };
        } else if !self.one_by_one() {
            self.short = 1;
        }
        let (sequence, ago) = only?;
        if unknown_reason {
            return Some("the broker refuses it for a reason that MQTT 5 does not have for a PUBACK");
        }
        if !acknowledged || ago > AT_ONCE {
            return None;
        }
        let count = match self.strikes {
            Some((before, count)) if before == sequence => count + 1,
            _ => 1,
        };
        self.strikes = Some((sequence, count));
        (count >= STRIKES).then_some("the broker ended the connection each of three times it was sent")
    }
}

/// rumqttc has no word for some reasons brokers give, such as mosquitto's *packet too large*, and ends the connection.
fn is_unknown_reason(error: &ConnectionError) -> bool {
    use PacketError::{InvalidConnectReturnCode, InvalidReason};
    matches!(
        error,
        ConnectionError::MqttState(StateError::Deserialization(InvalidConnectReturnCode(_) | InvalidReason(_)))
    )
}

fn in_words(reason: PubAckReason) -> &'static str {
    match reason {
        PubAckReason::NotAuthorized => "the broker does not let us publish to",
        PubAckReason::QuotaExceeded => "the broker's quota is used up at",
        PubAckReason::TopicNameInvalid => "the broker does not accept the topic",
        _ => "the broker cannot take messages at",
    }
}

/// Fixed header (1 + at most 4), topic and its length, packet id, properties (their length, content type, format), payload.
fn packet_size(topic: &str, body: &[u8]) -> u64 {
    (5 + 2 + topic.len() + 2 + 1 + 3 + CLOUD_EVENTS.len() + 2 + body.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGO: Duration = Duration::from_millis(5);

    #[test]
    fn a_product_that_ends_the_connection_each_time_is_found() {
        let mut suspicion = Suspicion::default();
        for _ in 0..2 {
            assert!(!suspicion.one_by_one());
            assert_eq!(suspicion.broken(AGO, true, true, None, false), None);
        }
        assert!(suspicion.one_by_one());
        assert_eq!(suspicion.broken(AGO, true, true, Some((7, AGO)), false), None);
        assert_eq!(suspicion.broken(AGO, true, true, Some((7, AGO)), false), None);
        assert!(suspicion.broken(AGO, true, true, Some((7, AGO)), false).is_some());
    }

    #[test]
    fn a_network_that_fails_blames_no_product() {
        let mut suspicion = Suspicion::default();
        for sequence in [1, 1, 2, 2, 3, 1] {
            assert_eq!(suspicion.broken(AGO, true, true, Some((sequence, AGO)), false), None, "another one each time");
        }
        let mut suspicion = Suspicion::default();
        for _ in 0..9 {
            assert_eq!(suspicion.broken(AGO, false, true, Some((1, AGO)), false), None, "nothing went through at all");
            let late = Duration::from_secs(20);
            assert_eq!(suspicion.broken(late, true, true, Some((1, late)), false), None, "it died of silence");
            assert_eq!(suspicion.broken(AGO, true, false, None, false), None, "nothing was under way");
        }
    }

    #[test]
    fn caution_ends_when_everything_that_was_under_way_has_passed() {
        let mut suspicion = Suspicion::default();
        for _ in 0..3 {
            assert_eq!(suspicion.broken(AGO, true, true, None, false), None);
        }
        suspicion.acknowledged(10);
        assert!(suspicion.one_by_one());
        suspicion.acknowledged(65);
        assert!(!suspicion.one_by_one());
    }

    #[test]
    fn a_refusal_rumqttc_cannot_read_counts_at_once_if_it_is_clear_whose_it_is() {
        let mut suspicion = Suspicion::default();
        assert_eq!(suspicion.broken(AGO, true, true, None, true), None);
        assert!(suspicion.one_by_one(), "the next time it will be clear");
        assert!(suspicion.broken(AGO, true, true, Some((4, AGO)), true).is_some());
    }
}
