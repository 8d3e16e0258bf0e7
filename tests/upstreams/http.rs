//! HTTP against a server whose behaviour each test writes down.

use crate::stand::{Consumer, SOON, Stand, police};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use quaywatch::{
    ledger::Lane,
    upstreams::{Address, Target},
};
use quaywatch_drivers::{secret::Secret, tls::Tls};
use quaywatch_schemas::policy::Confirm;
use quaywatch_tests::{eventually, free_port};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// What the server answers to a product's number and the so-manieth time it comes.
type Behaviour = dyn Fn(u64, u32) -> Response + Send + Sync;

#[derive(Clone)]
struct Server {
    port: u16,
    /// Numbers in the order they came, refused or not, with when.
    seen: Arc<Mutex<Vec<(u64, Instant)>>>,
    /// What was taken.
    consumer: Arc<Mutex<Consumer>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    slowness: Duration,
    behaviour: Arc<Behaviour>,
}

impl Server {
    fn new(behaviour: impl Fn(u64, u32) -> Response + Send + Sync + 'static) -> Self {
        Self {
            port: free_port(),
            seen: Arc::default(),
            consumer: Arc::default(),
            headers: Arc::default(),
            at_once: Arc::default(),
            most_at_once: Arc::default(),
            slowness: Duration::ZERO,
            behaviour: Arc::new(behaviour),
        }
    }

    async fn up(&self) {
        let app = Router::new().route("/quaywatch", post(take)).with_state(self.clone());
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is free");
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    fn target(&self, confirm: Confirm) -> Target {
        let url = format!("http://127.0.0.1:{}/quaywatch", self.port);
        let bearer = Some(Secret::new("open sesame"));
        Target { address: Address::Http { url, bearer, tls: Tls::default() }, confirm, answer_token: None }
    }

    async fn took(&self, count: usize) {
        eventually(SOON, async || {
            let have = self.consumer.lock().expect("no holder panics").bodies.len();
            if have >= count { Ok(()) } else { Err(format!("{have} of {count}")) }
        })
        .await;
    }
}

async fn take(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    let Some(sequence) = event["sequence"].as_str().and_then(|text| text.parse().ok()) else {
        return StatusCode::NO_CONTENT.into_response();
    };
    server.headers.lock().expect("no holder panics").push(headers);
    let now = server.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    server.most_at_once.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(server.slowness).await;
    let time = {
        let mut seen = server.seen.lock().expect("no holder panics");
        seen.push((sequence, Instant::now()));
        seen.iter().filter(|(number, _)| *number == sequence).count()
    };
    let response = (server.behaviour)(sequence, u32::try_from(time).expect("small"));
    if response.status().is_success() {
        server.consumer.lock().expect("no holder panics").take("live", body.to_vec());
    }
    server.at_once.fetch_sub(1, Ordering::SeqCst);
    response
}

fn ok() -> Response {
    StatusCode::ACCEPTED.into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_are_posted_in_order_per_zone_and_several_zones_at_once() {
    let (stand, mut server) = (Stand::new(), Server::new(|_, _| ok()));
    server.slowness = Duration::from_millis(2);
    server.up().await;
    stand.append(Lane::Live, &["lane-1", "lane-2", "lane-3", "lane-4"], 200, 100);
    let running = stand.run(server.target(Confirm::Transport));
    server.took(200).await;
    stand.backlog_is(0).await;
    stand.says(None).await;
    assert!((2..=4).contains(&server.most_at_once.load(Ordering::SeqCst)), "one per zone, four zones");
    let headers = server.headers.lock().unwrap().clone();
    assert_eq!(headers[0]["content-type"], "application/cloudevents+json");
    assert_eq!(headers[0]["authorization"], "Bearer open sesame");
    let keys: BTreeMap<_, usize> =
        headers.iter().map(|headers| (headers["idempotency-key"].to_str().unwrap(), 1)).collect();
    assert_eq!(keys.len(), 200, "each product has its own key");
    assert!(keys.contains_key(format!("{}.{:020}", stand.outbox.epoch_hex(), 7).as_str()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_busy_gets_it_again_and_not_before_it_said() {
    let server = Server::new(|sequence, time| match (sequence, time) {
        (3, 1) => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")]).into_response(),
        (4, 1) => StatusCode::TOO_MANY_REQUESTS.into_response(),
        _ => ok(),
    });
    server.up().await;
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 6, 100);
    let running = stand.run(server.target(Confirm::Transport));
    server.took(6).await;
    stand.backlog_is(0).await;
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2, 3, 3, 4, 4, 5, 6]);
    assert!(seen[3].1 - seen[2].1 >= Duration::from_secs(2), "it asked for two seconds");
    assert!(stand.outbox.accounts(&police()).never.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_is_refused_is_set_aside_and_its_zone_goes_on() {
    let server = Server::new(|sequence, _| match sequence {
        3 => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        _ => ok(),
    });
    server.up().await;
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 6, 100);
    let running = stand.run(server.target(Confirm::Transport));
    server.took(5).await;
    stand.backlog_is(0).await;
    let never = stand.outbox.accounts(&police()).never;
    assert_eq!((never.len(), never[0].first, never[0].last, never[0].why.as_str()), (1, 3, 3, "refused"));
    assert_eq!(server.seen.lock().unwrap().len(), 6, "it was asked once");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_refuses_everything_costs_two_products_and_not_all() {
    let open = Arc::new(AtomicUsize::new(0));
    let gate = open.clone();
    let server = Server::new(move |_, _| match gate.load(Ordering::SeqCst) {
        0 => StatusCode::BAD_REQUEST.into_response(),
        _ => ok(),
    });
    server.up().await;
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1"], 50, 100);
    let running = stand.run(server.target(Confirm::Transport));
    stand.says(Some("the recipient refuses every product")).await;
    assert_eq!(stand.backlog(), 48);
    open.store(1, Ordering::SeqCst);
    server.took(48).await;
    stand.says(None).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_or_address_costs_nothing_but_time() {
    let open = Arc::new(AtomicUsize::new(0));
    let gate = open.clone();
    let server = Server::new(move |_, _| match gate.load(Ordering::SeqCst) {
        0 => StatusCode::UNAUTHORIZED.into_response(),
        1 => (StatusCode::PERMANENT_REDIRECT, [("location", "/elsewhere")]).into_response(),
        _ => ok(),
    });
    server.up().await;
    let stand = Stand::new();
    stand.append(Lane::Live, &["lane-1", "lane-2"], 20, 100);
    let running = stand.run(server.target(Confirm::Transport));
    stand.says(Some("does not accept our token")).await;
    open.store(1, Ordering::SeqCst);
    stand.says(Some("has moved")).await;
    assert_eq!(stand.backlog(), 20);
    open.store(2, Ordering::SeqCst);
    server.took(20).await;
    stand.backlog_is(0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_down_gets_everything_in_order_when_it_is_up() {
    let (stand, server) = (Stand::new(), Server::new(|_, _| ok()));
    stand.append(Lane::Live, &["lane-1", "lane-2"], 100, 100);
    let running = stand.run(server.target(Confirm::Transport));
    stand.says(Some("cannot be reached")).await;
    server.up().await;
    server.took(100).await;
    stand.backlog_is(0).await;
    stand.says(None).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_comes_is_a_repeat_and_not_a_loss() {
    let (stand, server) = (Stand::new(), Server::new(|_, _| ok()));
    let listener = TcpListener::bind(("127.0.0.1", server.port)).await.unwrap();
    stand.append(Lane::Live, &["lane-1"], 3, 100);
    let running = stand.run(server.target(Confirm::Transport));
    // Takes the connections, reads, and hangs up without a word.
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        drop(stream);
    }
    drop(listener);
    server.up().await;
    server.took(3).await;
    stand.backlog_is(0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_receipts_a_two_hundred_is_not_enough() {
    let (stand, server) = (Stand::new(), Server::new(|_, _| ok()));
    server.up().await;
    stand.append(Lane::Live, &["lane-1"], 5, 100);
    let running = stand.run(server.target(Confirm::Receipt));
    server.took(5).await;
    assert_eq!(stand.backlog(), 5);
    stand.outbox.confirm_up_to(&police(), 5).unwrap();
    stand.append(Lane::Live, &["lane-1"], 1, 100);
    server.took(6).await;
    assert_eq!(stand.backlog(), 1);
    assert_eq!(server.consumer.lock().unwrap().repeats, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_address_is_a_failure_in_plain_words() {
    let (stand, server) = (Stand::new(), Server::new(|_, _| ok()));
    let mut target = server.target(Confirm::Transport);
    if let Address::Http { url, .. } = &mut target.address {
        *url = "not an address".into();
    }
    let running = stand.run(target);
    stand.says(Some("the address cannot be used")).await;
    running.stop().await;
}
