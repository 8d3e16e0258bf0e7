//! The journal's way to somebody outside: each entry and checkpoint a CloudEvent, in order, at least once, one under way at a
//! time. Nothing is ever passed over: what cannot be delivered now is tried again until it can. Over MQTT an acknowledgement
//! that names no subscriber counts for nothing, as with products.
//!
//! The file `sent` beside the journal says what is delivered; it is written when nothing waits and after 32 messages, so that
//! many may come again after a crash. A recipient drops repeats by `id`, and sees by the numbers that it lacks nothing.

use super::journal::{Cursor, Reader};
use crate::{
    health::{Board, Condition},
    ledger,
    upstreams::{
        Address, CLOUD_EVENTS, blocking,
        http::{Endpoint as HttpEndpoint, Verdict},
        mqtt::{Reconnect, events},
    },
};
use futures_util::StreamExt;
use quaywatch_drivers::{
    line::Backoff,
    mqtt::link::{self, Endpoint, Use},
    secret::Secret,
    tls::Tls,
};
use quaywatch_schemas::{
    CloudEvent,
    audit::{CHECKPOINT_TYPE, ENTRY_TYPE},
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event,
    mqttbytes::{
        QoS,
        v5::{Packet, PubAckReason, PublishProperties},
    },
};
use serde_json::Value;
use std::{
    collections::VecDeque,
    fs, io,
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Where the journal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The way.
    pub address: Address,
    /// CloudEvents `source` of its messages.
    pub source: String,
}

/// Last part of the MQTT topic.
pub const JOURNAL: &str = "journal";
/// How it is called where parts say how they are.
const PART: &str = "audit export";
/// What is entered when the export is switched off or the gateway stops has this long to go out; the rest waits.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Messages before it is written down how far they have come.
const WRITE_AFTER: u32 = 32;
const LARGEST_INCOMING: u32 = 64 << 10;

/// Carries the journal out until stopped.
pub async fn run(target: Target, journal: Reader, board: Board, stop: CancellationToken) {
    board.say(PART, Condition::Degraded("not connected yet".into()));
    let queue = Queue::new(journal, target.source);
    match &target.address {
        Address::Mqtt { endpoint, topic } => over_mqtt(endpoint, topic, queue, &board, stop).await,
        Address::Http { url, bearer, tls } => over_http(url, bearer.as_ref(), tls, queue, &board, stop).await,
    }
    board.remove(PART);
}

/// What waits.
struct Queue {
    journal: Reader,
    source: String,
    sent: PathBuf,
    cursor: Cursor,
    waiting: VecDeque<(Cursor, String)>,
    unwritten: u32,
    /// Nothing more will be entered.
    closed: bool,
}

/// A message and its id.
struct Message {
    id: String,
    body: Vec<u8>,
}

impl Queue {
    fn new(journal: Reader, source: String) -> Self {
        let sent = journal.folder().join("sent");
        // What cannot be read, or is ahead of a journal that was cut, says nothing: a recipient drops repeats.
        let cursor = fs::read_to_string(&sent).ok().and_then(|text| read_cursor(&text));
        let cursor = cursor.filter(|cursor| journal.has(*cursor)).unwrap_or_default();
        Self { journal, source, sent, cursor, waiting: VecDeque::new(), unwritten: 0, closed: false }
    }

    /// The next message; `None` if there is none now.
    fn front(&mut self) -> io::Result<Option<Message>> {
        if self.waiting.is_empty() && !self.journal.is_at_end(self.cursor) {
            self.waiting = blocking(|| self.journal.after(self.cursor))?.into();
        }
        Ok(self.waiting.front().map(|(at, line)| message(*at, line, &self.source, &self.journal.key().to_string())))
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.journal.is_at_end(self.cursor)
    }

    /// The front was delivered.
    fn taken(&mut self) {
        if let Some((at, _)) = self.waiting.pop_front() {
            self.cursor = at;
            self.unwritten += 1;
        }
        if self.unwritten >= WRITE_AFTER || self.is_empty() {
            self.write();
        }
    }

    fn write(&mut self) {
        if std::mem::take(&mut self.unwritten) > 0 {
            let text = format!("{} {}\n", self.cursor.frame, self.cursor.lines);
            if let Err(why) = blocking(|| ledger::replace(&self.sent, text.as_bytes())) {
                tracing::warn!(%why, "how far the audit journal was exported could not be written; some of it is sent again");
            }
        }
    }

    /// Waits until there is more.
    async fn more(&mut self) {
        match self.closed {
            true => std::future::pending().await,
            false => self.closed = !self.journal.changed().await,
        }
    }
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (frame, lines) = text.trim().split_once(' ')?;
    Some(Cursor { frame: frame.parse().ok()?, lines: lines.parse().ok()? })
}

fn message(at: Cursor, line: &str, source: &str, key: &str) -> Message {
    let event = event(at.frame, line, source, key);
    let body = serde_json::to_vec(&event).expect("an audit message has no map with keys other than text");
    Message { id: event.id, body }
}

/// A line of the journal as it is sent.
pub(crate) fn event(frame: u64, line: &str, source: &str, key: &str) -> CloudEvent<Value> {
    let data: Value = serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
    // Numbers begin anew with a new key only.
    let epoch = &key[..16];
    let (kind, id, said) = match data["entry"]["number"].as_u64() {
        Some(number) => (ENTRY_TYPE, format!("{epoch}.entry.{number}"), &data["entry"]),
        // The same number may be signed twice; the frame is its own.
        None => (CHECKPOINT_TYPE, format!("{epoch}.checkpoint.{frame}"), &data["checkpoint"]),
    };
    let time = said["time"].as_str().unwrap_or("1970-01-01T00:00:00Z").to_owned();
    let subject = said["act"].as_str().map(str::to_owned);
    CloudEvent { subject, ..CloudEvent::unnumbered(kind, source.into(), id, epoch, time, data) }
}

enum Ended {
    Stopped,
    /// It cannot be connected until somebody changes the files.
    Unusable(String),
    Broken(Box<ConnectionError>, Option<Duration>),
}

async fn over_mqtt(endpoint: &Endpoint, topic: &str, mut queue: Queue, board: &Board, stop: CancellationToken) {
    let mut reconnect = Reconnect::new();
    loop {
        let wait = match connection(endpoint, topic, &mut queue, board, &stop).await {
            Ended::Stopped => return,
            Ended::Unusable(why) => {
                board.say(PART, Condition::Failed(why));
                return stop.cancelled().await;
            }
            Ended::Broken(error, lasted) => {
                board.say(PART, Condition::Degraded(link::explain(endpoint, &error)));
                reconnect.wait(lasted, &error)
            }
        };
        queue.write();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn connection(
    endpoint: &Endpoint,
    topic: &str,
    queue: &mut Queue,
    board: &Board,
    stop: &CancellationToken,
) -> Ended {
    let how = Use { suffix: "-out", session_expiry: None, manual_acks: false, in_flight: 1, largest: LARGEST_INCOMING };
    let (client, polled) = match link::client(endpoint, &how) {
        Ok(made) => made,
        Err(why) => return Ended::Unusable(why.to_string()),
    };
    let mut events = pin!(events(polled));
    let topic = format!("{topic}/{JOURNAL}");
    let (mut up, mut under_way, mut backoff): (Option<Instant>, bool, _) = (None, false, Backoff::default());
    let (mut held, mut stopping): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let now = Instant::now();
        held = held.filter(|until| *until > now);
        if up.is_some() && !under_way && held.is_none() {
            match queue.front() {
                Ok(Some(message)) => under_way = publish(&client, &topic, message.body),
                Ok(None) => {}
                Err(why) => {
                    board.say(PART, Condition::Failed(format!("the journal cannot be read: {why}")));
                    held = Some(now + backoff.next_wait());
                }
            }
        }
        if let Some(until) = stopping
            && (up.is_none() || now >= until || !under_way && queue.is_empty())
        {
            queue.write();
            if client.try_disconnect().is_ok() && up.is_some() {
                let _ =
                    tokio::time::timeout(STOP_WITHIN, async { while let Some(Ok(_)) = events.next().await {} }).await;
            }
            return Ended::Stopped;
        }
        let due = [held, stopping].into_iter().flatten().min();
        tokio::select! {
            biased;
            () = stop.cancelled(), if stopping.is_none() => stopping = Some(now + STOP_WITHIN),
            event = events.next() => match event {
                Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                    (up, under_way) = (Some(now), false);
                    board.say(PART, Condition::Well);
                }
                Some(Ok(Event::Incoming(Packet::PubAck(ack)))) if under_way => {
                    under_way = false;
                    match ack.reason {
                        PubAckReason::Success => {
                            backoff.worked();
                            queue.taken();
                            board.say(PART, Condition::Well);
                        }
                        reason => {
                            held = Some(now + backoff.next_wait());
                            board.say(PART, Condition::Degraded(not_taken(&topic, reason)));
                        }
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ended::Broken(Box::new(error), up.map(|since| since.elapsed())),
                // The events end with an error, and that was said before.
                None => return Ended::Unusable("the connection ended without a word".into()),
            },
            () = queue.more(), if up.is_some() && !under_way => {}
            () = tokio::time::sleep_until(due.unwrap_or(now + Duration::from_secs(3600)).into()) => {}
        }
    }
}

fn publish(client: &AsyncClient, topic: &str, body: Vec<u8>) -> bool {
    let properties = PublishProperties {
        content_type: Some(CLOUD_EVENTS.into()),
        payload_format_indicator: Some(1),
        ..PublishProperties::default()
    };
    client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, body, properties).is_ok()
}

fn not_taken(topic: &str, reason: PubAckReason) -> String {
    match reason {
        PubAckReason::NoMatchingSubscribers => format!("nobody subscribes to {topic}; the journal waits"),
        PubAckReason::NotAuthorized => format!("the broker does not let us publish to {topic}; the journal waits"),
        other => format!("the broker does not take what goes to {topic} ({other:?}); the journal waits"),
    }
}

async fn over_http(
    url: &str,
    bearer: Option<&Secret>,
    tls: &Tls,
    mut queue: Queue,
    board: &Board,
    stop: CancellationToken,
) {
    let endpoint = match HttpEndpoint::new(url, bearer, tls, String::new()) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            board.say(PART, Condition::Failed(why));
            return stop.cancelled().await;
        }
    };
    let mut backoff = Backoff::default();
    // Nothing has been refused yet; what is wrong is said with the first message.
    board.say(PART, Condition::Well);
    let deliver = async {
        loop {
            let (why, at_least) = match queue.front() {
                Ok(None) if stop.is_cancelled() => return,
                Ok(None) => {
                    tokio::select! {
                        () = queue.more() => {}
                        () = stop.cancelled() => {}
                    }
                    continue;
                }
                Ok(Some(message)) => match endpoint.deliver(Some(message.id), message.body).await {
                    Verdict::Taken => {
                        backoff.worked();
                        queue.taken();
                        board.say(PART, Condition::Well);
                        continue;
                    }
                    Verdict::Later { why, at_least } => (why, at_least),
                    // An endpoint that wants no entries is a wrong endpoint: nothing is set aside.
                    Verdict::Refused(why) => (why, None),
                },
                Err(why) => (format!("the journal cannot be read: {why}"), None),
            };
            board.say(PART, Condition::Degraded(format!("{why}; the journal waits")));
            let wait = backoff.next_wait();
            tokio::time::sleep(at_least.map_or(wait, |at_least| at_least.max(wait))).await;
        }
    };
    tokio::select! {
        () = deliver => {}
        () = async { stop.cancelled().await; tokio::time::sleep(STOP_WITHIN).await } => {}
    }
    queue.write();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Journal;
    use quaywatch_schemas::{Control, Position, Record, Stamp, Stamped};

    /// A journal of a start, a stop and one checkpoint.
    fn journal(folder: &std::path::Path) -> Journal {
        let mut journal = Journal::open(folder, [7; 32]).unwrap();
        let stamp = |position| Stamp { position: Position(position), ..Stamp::default() };
        let started = Control::Started { build: "quaywatch".into(), boot: [1; 16] };
        for (position, control) in [(1, started), (2, Control::Stopped)] {
            let record = Stamped { stamp: stamp(position), record: Record::Control(control) };
            journal.take(&record, None, None, 1);
        }
        journal.checkpoint(&stamp(2));
        journal.sync(&stamp(2)).unwrap();
        journal
    }

    fn ids(queue: &mut Queue, most: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < most
            && let Some(message) = queue.front().unwrap()
        {
            ids.push(message.id);
            queue.taken();
        }
        ids
    }

    #[test]
    fn an_export_goes_on_where_it_was_and_starts_over_with_a_journal_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let whole = journal(folder.path());
        let queue = || Queue::new(whole.reader(), "/quaywatch/NLRTM/gate-2/audit".into());
        let all = ids(&mut queue(), 9);
        let epoch = &whole.public_key().to_string()[..16];
        assert_eq!(all, ["entry.1", "entry.2", "checkpoint.3"].map(|id| format!("{epoch}.{id}")));
        assert_eq!(ids(&mut queue(), 9), Vec::<String>::new(), "all of it is delivered");
        fs::write(folder.path().join("sent"), "1 0\n").unwrap();
        assert_eq!(ids(&mut queue(), 9), all[1..]);
        for ahead in ["4711 0\n", "nonsense", ""] {
            fs::write(folder.path().join("sent"), ahead).unwrap();
            assert_eq!(ids(&mut queue(), 9), all, "{ahead:?}");
        }
    }
}
