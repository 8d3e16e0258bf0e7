//! Webhooks: cameras and systems of record that post to us.
//!
//! A sender posts to `/hooks/<sensor>` or `/references/<feed>` with its token. What it is answered:
//!
//! | Answer | When |
//! |---|---|
//! | 200 | What was understood is on disk. |
//! | 202 | A hook's message was not understood: it is on disk as a dead letter, and the answer says why. |
//! | 422 | References were not understood: they are on disk as a dead letter, and the answer says why. |
//! | 401 | No token, or not this sender's. |
//! | 404, 405 | Nobody is expected to post there, or not with this method (POST and PUT are). |
//! | 413 | More than 1 MiB, or 32 MiB of references. A form may have 32 MiB: its pictures are not kept. |
//! | 408 | The body did not come within 30 s. |
//! | 503 | The ledger could not store it within 20 s. `Retry-After` says when to come again. |
//!
//! **Why 202 and not 422 for hooks**: the programs that post plate reads keep what was not answered with 2xx and send it again,
//! the oldest first; a message that will never be understood would hold up every later one. A system of record has somebody
//! who reads the answer.
//!
//! A body is JSON whatever its content type says, or a form (multipart or URL-encoded) with the JSON in its field `json`.

mod payload;

use crate::{
    camera::{openalpr, platerecognizer},
    frame,
    intake::Intake,
    json::{self, Kind, Mapping, Undecodable},
    line::{Backoff, Line, LineState},
    listen, references,
    secret::Secret,
    tap::{self, Tapped},
    tls,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use payload::{Limits, Unusable};
use quaywatch_schemas::{DeadLetter, FeedId, Observation, Record, SensorId, observation::Authenticity};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// Where we listen and what may be posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Address and port.
    pub listen: SocketAddr,
    /// Certificate chain (PEM) and its key (PEM); plain HTTP if `None`.
    pub tls: Option<(Vec<u8>, Secret)>,
    /// What may be posted.
    pub hooks: Vec<Hook>,
}

/// One sender. It posts to `/hooks/<sensor>` or `/references/<feed>` with its token as `Authorization: Bearer TOKEN` or, for
/// cameras that cannot set headers, as `?token=TOKEN`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// What proves the sender.
    pub token: Secret,
    /// What its messages become.
    pub gives: Gives,
}

/// What a sender's messages become.
#[derive(Debug, Clone, PartialEq)]
pub enum Gives {
    /// Plate Recognizer's recognitions of one camera.
    PlateRecognizer { sensor: SensorId, camera: String },
    /// OpenALPR's or Rekor's groups and results of one camera.
    OpenAlpr { sensor: SensorId, camera: String },
    /// A sensor's reading, by JSON pointer.
    Json { sensor: SensorId, mapping: Mapping },
    /// Frames of a radar, lidar or camera tracker.
    Frames(frame::Source),
    /// References.
    References(FeedId),
}

impl Gives {
    /// Where its sender posts to.
    pub fn path(&self) -> String {
        match self {
            Self::PlateRecognizer { sensor, .. } | Self::OpenAlpr { sensor, .. } | Self::Json { sensor, .. } => {
                format!("/hooks/{sensor}")
            }
            Self::Frames(source) => format!("/hooks/{}", source.sensor),
            Self::References(feed) => format!("/references/{feed}"),
        }
    }

    fn sensor(&self) -> Option<&SensorId> {
        match self {
            Self::PlateRecognizer { sensor, .. } | Self::OpenAlpr { sensor, .. } | Self::Json { sensor, .. } => {
                Some(sensor)
            }
            Self::Frames(source) => Some(&source.sensor),
            Self::References(_) => None,
        }
    }
}

/// Decodes what a sender posted. Its token proved it.
pub fn decode(gives: &Gives, payload: &[u8]) -> Result<Vec<Record>, Undecodable> {
    let said: Vec<Observation> = match gives {
        Gives::PlateRecognizer { sensor, camera } => platerecognizer::decode(camera, sensor, payload)?,
        Gives::OpenAlpr { sensor, camera } => openalpr::decode(camera, sensor, payload)?,
        Gives::Json { sensor, mapping } => vec![json::decode(mapping, sensor, payload)?],
        Gives::Frames(source) => vec![frame::decode(source, payload)?],
        Gives::References(feed) => return Ok(vec![Record::Control(references::decode(feed, payload)?)]),
    };
    let proved = said.into_iter().map(|said| Observation { authenticity: Authenticity::Password, ..said });
    Ok(proved.map(Record::Observation).collect())
}

/// Listens until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let tls = config.tls.as_ref().map(|(chain, key)| tls::server_config(chain, key)).transpose();
    let tls = match tls {
        Ok(tls) => tls,
        Err(why) => {
            // Nothing but another certificate changes this.
            line.report(LineState::Down(why.to_string()));
            return line.stop.cancelled().await;
        }
    };
    let mut hooks: BTreeMap<String, Vec<Hook>> = BTreeMap::new();
    for hook in config.hooks {
        hooks.entry(hook.gives.path()).or_default().push(hook);
    }
    let stop = line.stop.clone();
    let app = Router::new().fallback(post).with_state(Arc::new(Desk { line: line.clone(), hooks }));
    let mut backoff = Backoff::default();
    loop {
        match listen::bind(config.listen).await {
            Ok(listener) => {
                line.report(LineState::Up);
                return listen::serve(listener, tls, app, &stop).await;
            }
            Err(why) => line.report(LineState::Down(why)),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

/// What every request is answered from.
struct Desk {
    line: Line,
    /// By path. Several senders may share one.
    hooks: BTreeMap<String, Vec<Hook>>,
}

/// The ledger usually answers in milliseconds; with a full disk it does not, and a camera gives up after about this.
const STORE_WITHIN: Duration = Duration::from_secs(20);
/// When to come again after a 503: a full disk is not emptied sooner.
const COME_AGAIN: &str = "10";
const HOOKS: Limits = Limits { json: json::MOST_BYTES, form: 32 << 20 };
const REFERENCES: Limits = Limits { json: references::MOST_BYTES, form: 2 * references::MOST_BYTES };

async fn post(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let hooks = match desk.admit(request.uri(), request.headers()) {
        Ok(hooks) => hooks,
        Err(refused) => return (refused, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
    };
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST, PUT")]).into_response();
    }
    let limits = if are_references(&hooks) { REFERENCES } else { HOOKS };
    let payload = match payload::read(request, limits).await {
        Ok(payload) => payload,
        Err(unusable) => return desk.turn_away(&hooks, unusable).await,
    };
    let (mut records, mut reasons) = (Vec::new(), Vec::new());
    for hook in &hooks {
        let result = decode(&hook.gives, &payload);
        desk.show(hook, &result, &payload);
        match result {
            Ok(said) => records.extend(said),
            Err(Undecodable(reason)) => {
                let letter = DeadLetter::new(desk.line.id.clone(), hook.gives.sensor().cloned(), &reason, &payload);
                records.push(Record::DeadLetter(letter));
                desk.count_undecodable();
                reasons.push(reason);
            }
        }
    }
    let understood = records.len() - reasons.len();
    if !records.is_empty()
        && let Err(unavailable) = store(&desk.line.intake, records).await
    {
        return unavailable;
    }
    match reasons.into_iter().next() {
        None => (StatusCode::OK, format!("stored {understood}\n")).into_response(),
        Some(_) if understood > 0 => (StatusCode::OK, format!("stored {understood}\n")).into_response(),
        Some(why) => {
            (not_understood(&hooks), format!("not understood, kept as a dead letter: {why}\n")).into_response()
        }
    }
}

fn are_references(hooks: &[&Hook]) -> bool {
    hooks.iter().any(|hook| matches!(hook.gives, Gives::References(_)))
}

/// See the module: a sender of hooks would repeat what is refused, for ever.
fn not_understood(hooks: &[&Hook]) -> StatusCode {
    if are_references(hooks) { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::ACCEPTED }
}

impl Desk {
    /// Whose token it is, of those who may post there. An unknown path is compared with something too, so that the time does
    /// not tell more than the answer.
    fn admit<'a>(&'a self, uri: &Uri, headers: &HeaderMap) -> Result<Vec<&'a Hook>, StatusCode> {
        let said = token(uri, headers).unwrap_or_default();
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let Some(hooks) = self.hooks.get(path) else {
            let _ = Secret::new("nobody").is(&said);
            return Err(StatusCode::NOT_FOUND);
        };
        // Every token is compared, whether one before it was right or not.
        let admitted: Vec<&Hook> = hooks.iter().filter(|hook| hook.token.is(&said)).collect();
        if admitted.is_empty() || said.is_empty() {
            metrics::counter!("quaywatch_refused_total", "line" => self.line.id.to_string()).increment(1);
            return Err(StatusCode::UNAUTHORIZED);
        }
        Ok(admitted)
    }

    /// A body that could not be read whole. One that is too long is kept as a dead letter without its bytes.
    async fn turn_away(&self, hooks: &[&Hook], unusable: Unusable) -> Response {
        let (status, reason) = match unusable {
            Unusable::Incomplete => return StatusCode::REQUEST_TIMEOUT.into_response(),
            Unusable::TooLong(most) => (StatusCode::PAYLOAD_TOO_LARGE, format!("more than {most} bytes")),
            Unusable::Form(why) => (not_understood(hooks), why),
        };
        self.count_undecodable();
        let sensor = hooks.iter().find_map(|hook| hook.gives.sensor()).cloned();
        let letter = DeadLetter::new(self.line.id.clone(), sensor, &reason, &[]);
        match store(&self.line.intake, vec![Record::DeadLetter(letter)]).await {
            Ok(()) => (status, format!("not understood, kept as a dead letter: {reason}\n")).into_response(),
            Err(unavailable) => unavailable,
        }
    }

    fn show(&self, hook: &Hook, result: &Result<Vec<Record>, Undecodable>, payload: &[u8]) {
        let Some(sensor) = hook.gives.sensor() else { return };
        self.line.taps.show(sensor, || match result {
            Err(Undecodable(why)) => Tapped::undecodable(payload.len(), why),
            Ok(records) => Tapped { raw: raw(&hook.gives, payload), decoded: tap::decoded_all(records) },
        });
    }

    fn count_undecodable(&self) {
        metrics::counter!("quaywatch_undecodable_total", "line" => self.line.id.to_string()).increment(1);
    }
}

fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.or_else(|| {
        let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
        pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
    })
}

async fn store(intake: &Intake, records: Vec<Record>) -> Result<(), Response> {
    match tokio::time::timeout(STORE_WITHIN, intake.store(records)).await {
        Ok(Ok(_)) => Ok(()),
        // It may still be stored: a sender that comes again says nothing new, if its messages have an identity.
        Ok(Err(_)) | Err(_) => {
            Err((StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, COME_AGAIN)], "not stored\n").into_response())
        }
    }
}

fn raw(gives: &Gives, payload: &[u8]) -> String {
    let (message, identifying) = match gives {
        Gives::Json { mapping, .. } => {
            let identifying = matches!(mapping.reading, Kind::Plate | Kind::Container | Kind::Tag | Kind::Credential);
            (json::message(mapping, payload), identifying)
        }
        _ => (json::parse(payload), true),
    };
    message.map_or_else(|_| format!("{} bytes", payload.len()), |message| tap::masked(&message, identifying))
}

#[cfg(test)]
mod tests;
