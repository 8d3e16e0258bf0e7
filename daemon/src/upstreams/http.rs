//! HTTP: each product is posted to the recipient's endpoint as a CloudEvent in structured JSON mode.
//!
//! A 2xx answer is the transport's confirmation. One product per lane and zone is under way at a time, which keeps the order,
//! and several zones at once, which makes a drain fast. `Idempotency-Key` is the product's id: an endpoint may drop what it
//! has seen.
//!
//! What an answer means: the endpoint is not reachable, busy or wrongly set up (connection errors, 3xx, 5xx, 401,
//! 403, 404, 408, 429 and their like): everything is kept and tried again, not before `Retry-After`. It says that **this
//! product** is wrong (400, 413, 422 and other 4xx): the product is set aside with an alarm and its zone goes on. But an
//! endpoint that refuses [`IN_A_ROW`] products in a row without taking one refuses everything: from then on nothing is set
//! aside, everything is kept, and health says *failed* until it takes one again.

use super::{
    CLOUD_EVENTS, HEARTBEAT_EVERY, Parts, Target,
    queue::{Room, Route},
    standing::{About, Standing},
    stream::{Parcel, Stream},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quaywatch_drivers::{secret::Secret, tls::Tls};
use quaywatch_schemas::{RecipientId, WallTime};
use reqwest::{Client, StatusCode, header};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Products refused one after the other, after which the endpoint is to blame and not the products.
pub const IN_A_ROW: u32 = 3;

/// Zones that are posted at once.
const AT_ONCE: usize = 8;
const LATE_AT_ONCE: usize = 4;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An endpoint that stores before it answers needs a second or two; one that needs longer is as good as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// An endpoint may not put us off for longer with one answer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// What is under way is waited for this long when the gateway stops; the rest is sent again at the next start.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Read so that the connection can be used again; a longer answer costs a connection.
const LONGEST_ANSWER: usize = 64 << 10;

/// Carries one recipient's products to an endpoint until stopped.
pub(super) async fn run(
    recipient: RecipientId,
    target: &Target,
    (url, bearer, tls): (&str, Option<&Secret>, &Tls),
    parts: Parts,
    standing: Standing,
    stop: CancellationToken,
) {
    let endpoint = match Endpoint::new(url, bearer, tls, parts.outbox.epoch_hex()) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            standing.failed(About::Link, why);
            return stop.cancelled().await;
        }
    };
    let stream = Stream::new(recipient, target.confirm, parts.clone(), standing.clone());
    let sender = Sender { endpoint, stream, standing, heartbeat_at: Instant::now(), refused_in_a_row: 0 };
    sender.run(parts, stop).await;
}

/// What an answer means for what was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was taken.
    Taken,
    /// It may be taken later; not before that time, if the endpoint said so.
    Later { why: String, at_least: Option<Duration> },
    /// It will never be taken.
    Refused(String),
}

#[derive(Debug)]
enum What {
    Product(Route, u64),
    Started,
    Heartbeat,
}

type Posted = (What, Instant, Verdict);

struct Sender {
    endpoint: Endpoint,
    stream: Stream,
    standing: Standing,
    heartbeat_at: Instant,
    refused_in_a_row: u32,
}

impl Sender {
    async fn run(mut self, parts: Parts, stop: CancellationToken) {
        let (mut appended, mut receipts) = (parts.outbox.subscribe(), parts.outbox.receipts());
        let mut posts: FuturesUnordered<BoxFuture<'static, Posted>> = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            self.stream.settle();
            self.stream.look_after_receipts(now);
            self.stream.show_backlog(now, posts.is_empty());
            self.beat(&mut posts, now);
            let room = AT_ONCE.saturating_sub(self.stream.under_way());
            for Parcel { route, sequence, body } in
                self.stream.take(now, room, Room { on_a_route: 1, late: LATE_AT_ONCE })
            {
                self.stream.went_out();
                posts.push(self.endpoint.post(What::Product(route, sequence), body));
            }
            let due = self.stream.due(now).map_or(self.heartbeat_at, |due| due.min(self.heartbeat_at));
            tokio::select! {
                () = stop.cancelled() => break,
                Some((what, sent, verdict)) = posts.next(), if !posts.is_empty() => self.posted(what, sent, verdict),
                _ = appended.changed() => {}
                _ = receipts.changed(), if self.stream.awaits_receipts() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
        let rest = async {
            while let Some((what, sent, verdict)) = posts.next().await {
                self.posted(what, sent, verdict);
            }
        };
        let _ = tokio::time::timeout(STOP_WITHIN, rest).await;
        self.stream.settle();
    }

    fn beat(&mut self, posts: &mut FuturesUnordered<BoxFuture<'static, Posted>>, now: Instant) {
        if now < self.heartbeat_at {
            return;
        }
        self.heartbeat_at = now + HEARTBEAT_EVERY;
        if let Some(started) = self.stream.started() {
            posts.push(self.endpoint.post(What::Started, started));
        }
        if let Some(heartbeat) = self.stream.heartbeat() {
            posts.push(self.endpoint.post(What::Heartbeat, heartbeat));
        }
    }

    fn posted(&mut self, what: What, sent: Instant, verdict: Verdict) {
        let now = Instant::now();
        match (what, verdict) {
            (What::Product(route, sequence), Verdict::Taken) => {
                self.refused_in_a_row = 0;
                self.standing.well(About::Refused);
                self.standing.well(About::Link);
                self.stream.taken(&route, sequence, sent, now);
            }
            (What::Product(route, sequence), Verdict::Later { why, at_least }) => {
                self.standing.degraded(About::Link, why);
                self.stream.put_off_all(&route, sequence, now, at_least);
            }
            (What::Product(route, sequence), Verdict::Refused(why)) => {
                self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
                if self.refused_in_a_row < IN_A_ROW {
                    self.stream.refused(&route, sequence, &why);
                } else {
                    self.standing.failed(About::Refused, format!("the recipient refuses every product: {why}"));
                    self.stream.put_off(&route, sequence, now);
                }
            }
            (What::Started, Verdict::Taken) => {
                self.standing.well(About::Link);
                self.stream.announced();
            }
            (What::Heartbeat, Verdict::Taken) => self.standing.well(About::Link),
            (What::Started | What::Heartbeat, Verdict::Later { why, .. }) => self.standing.degraded(About::Link, why),
            // An endpoint that wants products only is in order.
            (What::Started | What::Heartbeat, Verdict::Refused(why)) => {
                tracing::debug!(recipient = %self.stream.recipient, why, "a stream message was refused");
                self.standing.well(About::Link);
            }
        }
    }
}

/// Where to post and how.
pub(crate) struct Endpoint {
    client: Client,
    url: reqwest::Url,
    bearer: Option<header::HeaderValue>,
    epoch_hex: String,
}

impl Endpoint {
    pub(crate) fn new(url: &str, bearer: Option<&Secret>, tls: &Tls, epoch_hex: String) -> Result<Self, String> {
        let url = reqwest::Url::parse(url).map_err(|why| format!("the address cannot be used: {why}"))?;
        let config = tls.client_config().map_err(|why| why.to_string())?;
        let client = Client::builder()
            .tls_backend_preconfigured((*config).clone())
            .http1_only()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A redirected POST becomes a GET, or goes to somebody the security officer has not named.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(AT_ONCE)
            .user_agent(concat!("quaywatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| format!("the address cannot be used: {}", in_words(&why)))?;
        let bearer = bearer
            .map(|token| {
                let mut value = header::HeaderValue::try_from(format!("Bearer {}", token.expose()))
                    .map_err(|_| "the token has characters that a header cannot carry".to_owned())?;
                value.set_sensitive(true);
                Ok::<_, String>(value)
            })
            .transpose()?;
        Ok(Self { client, url, bearer, epoch_hex })
    }

    fn post(&self, what: What, body: Vec<u8>) -> BoxFuture<'static, Posted> {
        let key = match &what {
            What::Product(_, sequence) => Some(format!("{}.{sequence:020}", self.epoch_hex)),
            What::Started | What::Heartbeat => None,
        };
        let delivered = self.deliver(key, body);
        Box::pin(async move {
            let sent = Instant::now();
            (what, sent, delivered.await)
        })
    }

    /// Posts a message, and says what the answer means for it.
    pub(crate) fn deliver(&self, key: Option<String>, body: Vec<u8>) -> BoxFuture<'static, Verdict> {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, CLOUD_EVENTS).body(body);
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer.clone());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Box::pin(async move {
            match request.send().await {
                Ok(response) => {
                    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                    let verdict = judge(response.status(), retry_after, crate::ledger::wall_now());
                    read_to_the_end(response).await;
                    verdict
                }
                Err(why) => Verdict::Later { why: in_words(&why), at_least: None },
            }
        })
    }
}

async fn read_to_the_end(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > LONGEST_ANSWER {
            return;
        }
    }
}

fn judge(status: StatusCode, retry_after: Option<&str>, now: WallTime) -> Verdict {
    let later = |what: &str| Verdict::Later {
        why: format!("{what} (HTTP {})", status.as_u16()),
        at_least: retry_after.and_then(|text| parse_retry_after(text, now)),
    };
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        300..=399 => later("the recipient's address has moved; name the new one in the sharing file"),
        401 | 403 | 407 => later("the recipient does not accept our token or certificate"),
        404 | 405 | 410 | 421 => later("the recipient has nothing at this address that takes products"),
        408 | 409 | 423 | 425 | 429 => later("the recipient is busy"),
        400..=499 => Verdict::Refused(format!("the recipient answers HTTP {}", status.as_u16())),
        _ => later("the recipient has a fault"),
    }
}

/// Seconds, or a date as RFC 9110 section 5.6.7 has it.
fn parse_retry_after(text: &str, now: WallTime) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
            Duration::from_nanos(u64::try_from(at.as_nanosecond() - i128::from(now.0)).ok()?)
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// reqwest's own words repeat the address and hide the cause.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the recipient does not answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("the recipient cannot be reached: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z
    const NOW: WallTime = WallTime(784_111_777_000_000_000);

    fn judged(status: u16, retry_after: Option<&str>) -> Verdict {
        judge(StatusCode::from_u16(status).unwrap(), retry_after, NOW)
    }

    #[test]
    fn only_what_is_wrong_with_the_product_is_held_against_the_product() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judged(status, None), Verdict::Taken);
        }
        for status in [301, 308, 401, 403, 404, 405, 408, 409, 410, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judged(status, None), Verdict::Later { .. }), "{status}");
        }
        for status in [400, 406, 411, 413, 415, 422, 431] {
            assert!(matches!(judged(status, None), Verdict::Refused(_)), "{status}");
        }
    }

    #[test]
    fn an_endpoint_says_how_long_it_wants_to_be_left_alone_in_seconds_or_as_a_date() {
        let wait = |text: &str| match judged(503, Some(text)) {
            Verdict::Later { at_least, .. } => at_least,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:40:37 GMT"), None, "it is past");
        assert_eq!(wait("99999999"), Some(LONGEST_RETRY_AFTER));
        for nonsense in ["", "soon", "-5", "1e9"] {
            assert_eq!(wait(nonsense), None, "{nonsense:?}");
        }
    }
}
