//! MQTT 5, over two connections.
//!
//! The **sender** only publishes. It starts anew each time it connects (the outbox is the only truth about what is still to
//! be sent), has a window of unacknowledged messages, and reads each PUBACK's reason itself.
//!
//! The **inbox** only receives: answers, receipts and requests. The broker keeps its session for a day, and each message is
//! acknowledged after it is on disk, so an answer that is given while the gateway is away is not lost. It is a connection
//! of its own because acknowledgements would otherwise wait behind a full window of products.
//!
//! | topic | what | quality of service |
//! |---|---|---|
//! | `<topic>/live/<zone>` | products as it happens, in order | 1, not retained |
//! | `<topic>/late/<zone>` | products after the fact, in order | 1, not retained |
//! | `<topic>/stream` | heartbeat, start of an epoch, snapshot | 1, not retained |
//! | `<topic>/answers` | the recipient's answers | 1 |
//! | `<topic>/receipts` | the recipient's receipts | 1 |
//! | `<topic>/requests` | the recipient's requests | 1 |

mod inbox;
mod sender;
mod window;

use super::{
    Parts, Target,
    standing::{About, Standing},
    stream::Stream,
};
use futures_util::{Stream as Events, stream};
use quaywatch_drivers::{line::Backoff, mqtt::link, mqtt::link::Endpoint};
use quaywatch_schemas::RecipientId;
use rumqttc::v5::{ConnectionError, Event, EventLoop, mqttbytes::v5::Packet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Last part of topics; see the table above.
pub const LIVE: &str = "live";
/// See [`LIVE`].
pub const LATE: &str = "late";
/// See [`LIVE`].
pub const STREAM: &str = "stream";
/// See [`LIVE`].
pub const ANSWERS: &str = "answers";
/// See [`LIVE`].
pub const RECEIPTS: &str = "receipts";
/// See [`LIVE`].
pub const REQUESTS: &str = "requests";

/// Carries one recipient's products to a broker until stopped.
pub(super) async fn run(
    recipient: RecipientId,
    target: &Target,
    (endpoint, topic): (&Endpoint, &str),
    parts: Parts,
    standing: Standing,
    stop: CancellationToken,
) {
    if topic.is_empty() || topic.contains(['+', '#', '\0']) {
        standing.failed(About::Link, format!("{topic:?} is not a topic one can publish to"));
        return stop.cancelled().await;
    }
    standing.starting(About::Answers, "answers cannot come in yet");
    // One snapshot may be ready while the way out is down; a second would say the same.
    let (snapshots_in, snapshots) = mpsc::channel(1);
    let stream = Stream::new(recipient.clone(), target.confirm, parts.clone(), standing.clone());
    let sender = sender::Sender::new(endpoint.clone(), topic, stream, &parts, standing.clone(), snapshots);
    let inbox = inbox::Inbox::new(endpoint.clone(), topic, recipient, parts, standing, snapshots_in);
    tokio::join!(sender.run(stop.clone()), inbox.run(stop));
}

/// What a connection yields, one at a time, without ever dropping a poll half-way. Ends with the first error: it must not
/// be polled after that.
pub(crate) fn events(events: EventLoop) -> impl Events<Item = Result<Event, ConnectionError>> + Send {
    stream::unfold(Some(events), |events| async {
        let mut events = events?;
        let event = events.poll().await;
        if let Ok(Event::Incoming(Packet::ConnAck(_))) = &event {
            link::connected(&mut events);
        }
        let events = event.is_ok().then_some(events);
        Some((event, events))
    })
}

/// How long to wait before connecting again. A link that is simply down is tried again within [`SOON`], because the first
/// product should be out within a second of its return; a broker that answers and then ends it is given up to 30 s.
#[derive(Debug)]
pub(crate) struct Reconnect {
    down: Backoff,
    turned_away: Backoff,
}

/// TARGETS: one second from link up to the first message.
const SOON: Duration = Duration::from_millis(800);
/// A connection that lasted this long was one.
const LASTED: Duration = Duration::from_secs(10);

impl Reconnect {
    pub(crate) fn new() -> Self {
        Self { down: Backoff::at_most(SOON), turned_away: Backoff::default() }
    }

    /// The wait after a connection that was up for `lasted`, or never came about.
    pub(crate) fn wait(&mut self, lasted: Option<Duration>, error: &ConnectionError) -> Duration {
        if lasted.is_some_and(|lasted| lasted >= LASTED) {
            self.down.worked();
            self.turned_away.worked();
        }
        let turned_away = lasted.is_some_and(|lasted| lasted < LASTED)
            || matches!(error, ConnectionError::ConnectionRefused(_) | ConnectionError::Tls(_));
        if turned_away { self.turned_away.next_wait() } else { self.down.next_wait() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
    use std::io;

    #[test]
    fn a_link_that_is_down_is_tried_every_second_and_a_broker_that_says_no_is_not() {
        let mut reconnect = Reconnect::new();
        let down = ConnectionError::Io(io::ErrorKind::ConnectionRefused.into());
        let waits: Vec<Duration> = (0..50).map(|_| reconnect.wait(None, &down)).collect();
        assert!(waits.iter().all(|wait| *wait <= SOON), "{waits:?}");
        let no = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        let longest = (0..12).map(|_| reconnect.wait(None, &no)).max().unwrap();
        assert!(longest > Duration::from_secs(10), "{longest:?}");
        let after_a_day = reconnect.wait(Some(Duration::from_secs(86_400)), &down);
        assert!(after_a_day <= Duration::from_millis(200), "{after_a_day:?}");
    }
}
