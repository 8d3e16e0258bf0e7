//! The gateway's end of the admin socket.

use crate::{
    acts,
    health::Board,
    ledger::State,
    nodes::{Console, Nodes, Refused, Say, images},
    pipeline::{Learned, Picture},
};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, connect_info::Connected},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use bytes::Bytes;
use quaywatch_drivers::{intake::Intake, tap::Taps};
use quaywatch_schemas::{Control, LineId, Record, SensorId, control::OperatorAct};
use quaywatch_sharing::{
    acts::{Act, Granted},
    signing::Signature,
};
use serde::{Deserialize, Serialize};
use std::{io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot, watch},
};
use tokio_util::sync::CancellationToken;

/// What commands can reach.
#[derive(Clone)]
pub struct Admin {
    /// For the trace every act leaves.
    pub intake: Intake,
    /// Live signals.
    pub taps: Taps,
    /// Stored situations.
    pub state: State,
    /// The site and the policy in force.
    pub picture: watch::Receiver<Picture>,
    /// Keys the references recipients see.
    pub reference_key: [u8; 32],
    /// How the parts are.
    pub board: Board,
    /// Asks the gateway to read its files again; it answers what came of it.
    pub reload: mpsc::Sender<oneshot::Sender<Result<String, String>>>,
    /// Which sensors there are.
    pub sensors: Arc<dyn Fn(&SensorId) -> bool + Send + Sync>,
    /// What was learned, and what is proposed.
    pub learned: watch::Receiver<Option<Arc<Learned>>>,
    /// Sensor nodes.
    pub nodes: Nodes,
    /// Which acts of two persons were carried out.
    pub used: Arc<acts::Used>,
    /// The last dead letters, newest last, as lines of text without their payloads.
    pub dead_letters: DeadLettersOf,
}

/// The last dead letters of one line or of all.
pub type DeadLettersOf = Arc<dyn Fn(Option<&LineId>) -> Vec<String> + Send + Sync>;

/// Serves until stopped. Replaces a socket file that a crashed gateway left behind; the ledger's lock has already made
/// sure that no other gateway is alive.
pub async fn serve(admin: Admin, path: PathBuf, stop: CancellationToken) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let app = router(admin).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await?;
    let _ = std::fs::remove_file(&path);
    Ok(())
}

/// Who is at the other end of the socket.
#[derive(Debug, Clone, Copy)]
struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let stream: &UnixStream = stream.io();
        Self { uid: stream.peer_cred().ok().map(|cred| cred.uid()) }
    }
}

impl Peer {
    fn name(self) -> String {
        self.uid.map_or_else(|| "unknown".into(), |uid| format!("uid {uid}"))
    }

    fn allowed(self) -> bool {
        self.uid.is_some_and(|uid| uid == 0 || uid == rustix::process::getuid().as_raw())
    }
}

fn router(admin: Admin) -> Router {
    let admin = Arc::new(admin);
    let with = |admin: &Arc<Admin>| admin.clone();
    let (a, b, c, d, e) = (with(&admin), with(&admin), with(&admin), with(&admin), with(&admin));
    let (f, g, h, nodes) = (with(&admin), with(&admin), with(&admin), admin.nodes.clone());
    let i = with(&admin);
    Router::new()
        .route("/health", get(move || health(a.clone())))
        .route("/reload", post(move |ConnectInfo(peer)| reload(b.clone(), peer)))
        .route("/tap/{sensor}", get(move |ConnectInfo(peer), Path(sensor)| tap(c.clone(), peer, sensor)))
        .route(
            "/explain/{reference}",
            get(move |ConnectInfo(peer), Path(reference), Query(to)| explain(d.clone(), peer, reference, to)),
        )
        .route("/dead-letters", get(move |ConnectInfo(peer), Query(of)| dead_letters(e.clone(), peer, of)))
        .route("/conclusions", get(move || conclusions(f.clone())))
        .route("/rates", get(move || rates(g.clone())))
        .route("/rates/adopt/{id}", post(move |ConnectInfo(peer), Path(id)| adopt(h.clone(), peer, id)))
        .route("/act", post(move |ConnectInfo(peer), body: Bytes| act(i.clone(), peer, body)))
        .merge(of_nodes(nodes))
        .layer(axum::middleware::from_fn(only_ours))
}

/// How nodes are says nothing about the port and leaves no trace; every act does.
fn of_nodes(nodes: Nodes) -> Router {
    let (list, revoke, clear) = (nodes.clone(), nodes.clone(), nodes.clone());
    let (enrol, rotate, configure) = (nodes.clone(), nodes.clone(), nodes.clone());
    let (update, identify) = (nodes.clone(), nodes);
    Router::new()
        .route("/nodes", get(move || async move { axum::Json(list.list().await) }))
        .route(
            "/nodes/{node}/revoke",
            post(move |ConnectInfo(peer): ConnectInfo<Peer>, Path(node)| async move {
                said(revoke.revoke(node, peer.name()).await)
            }),
        )
        .route(
            "/nodes/{node}/clear",
            post(move |ConnectInfo(peer): ConnectInfo<Peer>, Path(node)| async move {
                said(clear.clear(node, peer.name()).await)
            }),
        )
        .route(
            "/nodes/{node}/enrol",
            post(|ConnectInfo(peer): ConnectInfo<Peer>, Path(node), console: Bytes| async move {
                match serde_json::from_slice::<Console>(&console) {
                    Ok(console) => told(move |say| async move { enrol.enrol(node, console, peer.name(), &say).await }),
                    Err(why) => (StatusCode::BAD_REQUEST, why.to_string()).into_response(),
                }
            }),
        )
        .route(
            "/nodes/{node}/rotate",
            post(|ConnectInfo(peer): ConnectInfo<Peer>, Path(node)| async move {
                told(move |say| async move { rotate.rotate(node, peer.name(), &say).await })
            }),
        )
        .route(
            "/nodes/{node}/configure",
            post(|ConnectInfo(peer): ConnectInfo<Peer>, Path(node), settings: Bytes| async move {
                told(move |say| async move { configure.configure(node, &settings, peer.name(), &say).await })
            }),
        )
        .route(
            "/nodes/{node}/update",
            post(|ConnectInfo(peer): ConnectInfo<Peer>, Path(node), image: Bytes| async move {
                told(move |say| async move { update.update(node, &image, peer.name(), &say).await })
            })
            .layer(DefaultBodyLimit::max(images::LARGEST)),
        )
        .route(
            "/nodes/{node}/identify",
            post(|ConnectInfo(peer): ConnectInfo<Peer>, Path(node), Query(Blink { seconds })| async move {
                told(move |say| async move { identify.identify(node, seconds, peer.name(), &say).await })
            }),
        )
}

#[derive(Deserialize)]
struct Blink {
    seconds: u16,
}

/// Lets an order go on whether or not who gave it stays, and tells them line by line.
fn told<F: Future<Output = Result<String, Refused>> + Send>(order: impl FnOnce(Say) -> F + Send + 'static) -> Response {
    let (say, heard) = Say::to_somebody();
    tokio::spawn(async move {
        let done = order(say.clone()).await;
        say.end(done).await;
    });
    let lines = futures_util::stream::unfold(heard, |mut heard| async move {
        let mut line = serde_json::to_string(&heard.recv().await?).ok()?;
        line.push('\n');
        Some((Ok::<_, std::convert::Infallible>(line), heard))
    });
    Body::from_stream(lines).into_response()
}

fn said(done: Result<String, Refused>) -> Response {
    match done {
        Ok(said) => said.into_response(),
        Err(why @ Refused::NotSo(_)) => (StatusCode::CONFLICT, why.to_string()).into_response(),
        Err(why @ Refused::Cannot(_)) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

async fn only_ours(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.allowed() {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "only root and the gateway's own user may use the admin socket").into_response()
    }
}

async fn health(admin: Arc<Admin>) -> Response {
    let health = admin.board.picture();
    let status = if health.status == "failed" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, axum::Json(health)).into_response()
}

async fn reload(admin: Arc<Admin>, peer: Peer) -> Response {
    let (answer, outcome) = oneshot::channel();
    if admin.reload.send(answer).await.is_err() {
        return stopping();
    }
    let Ok(outcome) = outcome.await else { return stopping() };
    let said = match &outcome {
        Ok(said) | Err(said) => said.clone(),
    };
    if let Err(refused) = record(&admin, peer, OperatorAct::Reloaded { outcome: said.clone() }).await {
        return refused;
    }
    match outcome {
        Ok(said) => said.into_response(),
        Err(said) => (StatusCode::UNPROCESSABLE_ENTITY, said).into_response(),
    }
}

async fn tap(admin: Arc<Admin>, peer: Peer, sensor: String) -> Response {
    let known = SensorId::new(&sensor).ok().filter(|sensor| (admin.sensors)(sensor));
    let Some(sensor) = known else {
        return (StatusCode::NOT_FOUND, format!("the site file has no sensor {sensor:?}")).into_response();
    };
    if let Err(refused) = record(&admin, peer, OperatorAct::Tapped { sensor: sensor.clone() }).await {
        return refused;
    }
    let signals = admin.taps.watch(&sensor);
    let lines = futures_util::stream::unfold(signals, |mut signals| async move {
        loop {
            match signals.recv().await {
                Ok(tapped) => {
                    let line = format!("{}\n    = {}\n", tapped.raw, tapped.decoded);
                    return Some((Ok::<_, std::convert::Infallible>(line), signals));
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Body::from_stream(lines).into_response()
}

#[derive(Deserialize)]
struct To {
    #[serde(rename = "for")]
    recipient: Option<String>,
}

async fn explain(admin: Arc<Admin>, peer: Peer, reference: String, to: To) -> Response {
    if let Err(refused) = record(&admin, peer, OperatorAct::Explained { reference: reference.clone() }).await {
        return refused;
    }
    let found = tokio::task::spawn_blocking(move || match to.recipient {
        None => crate::commands::explain::from_state(&admin.state, &reference),
        Some(recipient) => {
            let picture = admin.picture.borrow().clone();
            crate::commands::explain::to_recipient(&admin.state, &reference, &recipient, &picture, &admin.reference_key)
        }
    });
    let found = found.await;
    match found {
        Ok(Ok(text)) => text.into_response(),
        Ok(Err(why)) => (StatusCode::NOT_FOUND, why).into_response(),
        Err(_) => stopping(),
    }
}

/// An act and its signatures, as a command hands them over.
#[derive(Serialize, Deserialize)]
pub struct Signed {
    /// The file's text: what is signed is its bytes.
    pub text: String,
    /// The lines of the file of signatures.
    pub signatures: String,
}

/// Carries out what two persons signed: judged, used up, written down, and only then done.
async fn act(admin: Arc<Admin>, peer: Peer, body: Bytes) -> Response {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why).into_response();
    let signed: Signed = match serde_json::from_slice(&body) {
        Ok(signed) => signed,
        Err(why) => return bad(why.to_string()),
    };
    let signatures = match Signature::read_all(&signed.signatures) {
        Ok(signatures) => signatures,
        Err(why) => return bad(why.to_string()),
    };
    let (policy, site) = {
        let picture = admin.picture.borrow();
        (picture.policy.clone(), picture.site.as_ref().map(|site| site.id.clone()))
    };
    let (Some(policy), Some(site)) = (policy, site) else {
        return (StatusCode::CONFLICT, "no site file is in force yet").into_response();
    };
    let now = jiff::Timestamp::now();
    let granted = match Act::judge(signed.text.as_bytes(), &signatures, &policy, &site, now) {
        Ok(granted) => granted,
        Err(why) => {
            tracing::warn!(by = peer.name(), %why, "an act is refused");
            return (StatusCode::FORBIDDEN, why.to_string()).into_response();
        }
    };
    let (state, what) = (admin.state.clone(), granted.act.what.clone());
    // Looked up first, so that a slip in the reference does not use the signatures up; shown last.
    let prepared = match tokio::task::spawn_blocking(move || acts::prepare(what, &state)).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(why)) => return (StatusCode::NOT_FOUND, why.to_string()).into_response(),
        Err(_) => return stopping(),
    };
    let (used, to_use) = (admin.used.clone(), granted.act.clone());
    match tokio::task::spawn_blocking(move || used.up(&to_use, now)).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => return (StatusCode::CONFLICT, why.to_string()).into_response(),
        Err(_) => return stopping(),
    }
    let Granted { act, by } = granted;
    if admin.intake.store(prepared.records(act.id, by, act.reason, peer.name())).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, NOT_RECORDED).into_response();
    }
    let state = admin.state.clone();
    match tokio::task::spawn_blocking(move || prepared.finish(&state)).await {
        Ok(Ok(done)) => done.into_response(),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
        Err(_) => stopping(),
    }
}

/// Counts and verdicts without persons, plates or times: reading them leaves no trace.
async fn rates(admin: Arc<Admin>) -> Response {
    let learned = admin.learned.borrow().clone();
    match learned {
        Some(learned) => learned.to_string().into_response(),
        None => (StatusCode::CONFLICT, "no site file is in force yet").into_response(),
    }
}

/// Puts a proposal in force, if it is still the one that was read.
async fn adopt(admin: Arc<Admin>, peer: Peer, id: String) -> Response {
    let learned = admin.learned.borrow().clone();
    let Some(proposal) = learned.and_then(|learned| learned.proposal()) else {
        return (StatusCode::CONFLICT, "nothing is proposed that would change anything").into_response();
    };
    if proposal.id != id {
        let why = format!("what is proposed now is {}, not {id:?}: read it again before adopting it", proposal.id);
        return (StatusCode::CONFLICT, why).into_response();
    }
    let adopted = Control::RatesAdopted { by: peer.name(), model: Box::new(proposal.model) };
    match admin.intake.store(vec![Record::Control(adopted)]).await {
        Ok(committed) => format!("{id} is in force from record {} on\n", committed.last.0).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "it could not be recorded, so it is not in force").into_response(),
    }
}

/// Hashes of what is kept: they say nothing about the port, so they leave no trace.
async fn conclusions(admin: Arc<Admin>) -> Response {
    match tokio::task::spawn_blocking(move || crate::commands::replay::kept_conclusions(&admin.state)).await {
        Ok(Ok(text)) => text.into_response(),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
        Err(_) => stopping(),
    }
}

#[derive(Deserialize)]
struct Of {
    line: Option<String>,
}

async fn dead_letters(admin: Arc<Admin>, peer: Peer, of: Of) -> Response {
    let line = match of.line.as_deref().map(LineId::new).transpose() {
        Ok(line) => line,
        Err(bad) => return (StatusCode::BAD_REQUEST, bad.to_string()).into_response(),
    };
    if let Err(refused) = record(&admin, peer, OperatorAct::ReadDeadLetters { line: line.clone() }).await {
        return refused;
    }
    let mut text = (admin.dead_letters)(line.as_ref()).join("\n");
    text.push('\n');
    text.into_response()
}

/// Writes the act down before it is carried out. What cannot be written down is not done.
async fn record(admin: &Admin, peer: Peer, act: OperatorAct) -> Result<(), Response> {
    let act = Record::Control(Control::OperatorAct { by: peer.name(), act });
    match admin.intake.store(vec![act]).await {
        Ok(_) => Ok(()),
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, NOT_RECORDED).into_response()),
    }
}

const NOT_RECORDED: &str = "the act could not be recorded, so it was not carried out";

fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping").into_response()
}
