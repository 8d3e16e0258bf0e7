//! Webhooks: cameras and systems of record that post to us.

use crate::{json::Mapping, line::Line, secret::Secret};
use quaywatch_schemas::{FeedId, SensorId};
use std::net::SocketAddr;

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
    /// References.
    References(FeedId),
}

/// Listens until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let _ = (line, config);
    todo!()
}
