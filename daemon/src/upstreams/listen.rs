//! Where recipients post answers and receipts and ask for snapshots, over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /answers/{recipient}` | 200 once it is on disk; 422 with the reason if it is refused |
//! | `POST /receipts/{recipient}` | 200; 422 with the reason if it is refused |
//! | `GET /snapshot/{recipient}` | 200 with the snapshot as a CloudEvent; 429 while one is being made for this recipient |
//!
//! Each recipient proves itself with its own token, `Authorization: Bearer TOKEN`. A wrong token and an unknown recipient get
//! the same 401. 413 beyond 16 KiB, 408 after ten seconds, 503 with `Retry-After` when nothing can be stored. Reasons come as
//! `application/problem+json` (RFC 9457) and never repeat what was posted.

use super::{
    CLOUD_EVENTS, Parts,
    answers::LARGEST,
    inbound::{self, NotTaken},
    snapshot::{self, NoSnapshot},
};
use crate::{config::Answers, health::Condition};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use quaywatch_drivers::{line::Backoff, listen, secret::Secret, tls};
use quaywatch_schemas::RecipientId;
use rustls::ServerConfig;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where answers are posted.
pub const ANSWERS_PATH: &str = "/answers/{recipient}";
/// Where receipts are posted.
pub const RECEIPTS_PATH: &str = "/receipts/{recipient}";
/// Where a snapshot is asked for.
pub const SNAPSHOT_PATH: &str = "/snapshot/{recipient}";

const PART: &str = "answers";
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// Takes answers, receipts and requests over HTTP until stopped.
pub async fn listen(answers: Answers, tokens: BTreeMap<RecipientId, Secret>, parts: Parts, stop: CancellationToken) {
    let board = parts.board.clone();
    let app = router(tokens, parts);
    let mut backoff = Backoff::default();
    loop {
        let why = match open(&answers).await {
            Ok((listener, tls)) => {
                board.say(PART, Condition::Well);
                listen::serve(listener, tls, app, &stop).await;
                break;
            }
            Err(why) => why,
        };
        tracing::error!(why, "answers cannot come in over HTTP");
        board.say(PART, Condition::Failed(why));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
    board.remove(PART);
}

async fn open(answers: &Answers) -> Result<(TcpListener, Option<Arc<ServerConfig>>), String> {
    let tls = match &answers.tls {
        Some((chain, key)) => Some(tls::server_config(chain, key).map_err(|why| why.to_string())?),
        None => None,
    };
    Ok((listen::bind(answers.listen).await?, tls))
}

struct Shared {
    tokens: BTreeMap<RecipientId, Secret>,
    parts: Parts,
    /// Recipients a snapshot is being made for.
    making: Mutex<Vec<RecipientId>>,
}

fn router(tokens: BTreeMap<RecipientId, Secret>, parts: Parts) -> Router {
    let shared = Arc::new(Shared { tokens, parts, making: Mutex::default() });
    Router::new()
        .route(ANSWERS_PATH, post(answer))
        .route(RECEIPTS_PATH, post(receipt))
        .route(SNAPSHOT_PATH, get(give_snapshot))
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(axum::middleware::from_fn(in_time))
        .with_state(shared)
}

async fn in_time(request: Request, next: Next) -> Response {
    // A snapshot may take this long by itself while the state catches up.
    let within = if request.method() == axum::http::Method::GET { REQUEST_WITHIN * 2 } else { REQUEST_WITHIN };
    match tokio::time::timeout(within, next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(recipient): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(recipient) = shared.proven(&recipient, &headers) else { return unknown() };
    outcome(&recipient, inbound::answer(&shared.parts, &recipient, &body).await)
}

async fn receipt(
    State(shared): State<Arc<Shared>>,
    Path(recipient): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(recipient) = shared.proven(&recipient, &headers) else { return unknown() };
    outcome(&recipient, inbound::receipt(&shared.parts, &recipient, &body))
}

async fn give_snapshot(
    State(shared): State<Arc<Shared>>,
    Path(recipient): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(recipient) = shared.proven(&recipient, &headers) else { return unknown() };
    let Some(_making) = Making::begin(&shared, &recipient) else {
        let mut busy = problem(StatusCode::TOO_MANY_REQUESTS, "a snapshot is being made for you already");
        busy.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
        return busy;
    };
    match snapshot::build(&shared.parts, &recipient).await {
        Ok(event) => ([(header::CONTENT_TYPE, CLOUD_EVENTS)], event).into_response(),
        Err(why @ (NoSnapshot::NotYet | NoSnapshot::Behind)) => later(&why.to_string()),
        Err(NoSnapshot::State(why)) => {
            tracing::error!(%recipient, %why, "a snapshot could not be made");
            later("the state cannot be read now")
        }
    }
}

/// A snapshot is being made for a recipient, for as long as this lives.
struct Making(Arc<Shared>, RecipientId);

impl Making {
    fn begin(shared: &Arc<Shared>, recipient: &RecipientId) -> Option<Self> {
        let mut making = shared.making.lock().unwrap_or_else(PoisonError::into_inner);
        if making.contains(recipient) {
            return None;
        }
        making.push(recipient.clone());
        Some(Self(shared.clone(), recipient.clone()))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.making.lock().unwrap_or_else(PoisonError::into_inner).retain(|recipient| *recipient != self.1);
    }
}

impl Shared {
    /// The recipient, if it is one and its token is right.
    fn proven(&self, recipient: &str, headers: &HeaderMap) -> Option<RecipientId> {
        let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = said.split_once(' ')?;
        let recipient = RecipientId::new(recipient).ok()?;
        let expected = self.tokens.get(&recipient)?;
        (scheme.eq_ignore_ascii_case("bearer") && expected.is(token.trim())).then_some(recipient)
    }
}

fn outcome(recipient: &RecipientId, taken: Result<(), NotTaken>) -> Response {
    match taken {
        Ok(()) => axum::Json(serde_json::json!({ "taken": true })).into_response(),
        Err(NotTaken::Refused(refusal)) => {
            tracing::debug!(%recipient, %refusal, "what a recipient posted is refused");
            problem(StatusCode::UNPROCESSABLE_ENTITY, &refusal.to_string())
        }
        Err(NotTaken::NotStored(why)) => later(&why.to_string()),
    }
}

fn unknown() -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "no recipient of this name with this token");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

fn later(why: &str) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    response
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
