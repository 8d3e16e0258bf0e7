//! Starts, reloads and stops everything.

use crate::commands::Files;
use std::{net::SocketAddr, path::PathBuf};
use tokio_util::sync::CancellationToken;

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The two files and the credentials.
    pub files: Files,
    /// The store.
    pub state: PathBuf,
    /// The admin socket.
    pub admin: PathBuf,
}

/// What a running gateway tells whoever started it.
#[derive(Debug, Clone)]
pub struct Running {
    /// Where `/metrics` and `/health` are.
    pub operations: Option<SocketAddr>,
}

/// Why a gateway did not start or could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(pub String);

/// Runs until stopped. `ready` is called once everything is up.
pub async fn run(options: Options, stop: CancellationToken, ready: impl FnOnce(&Running)) -> Result<(), GatewayError> {
    let _ = (options, stop, ready);
    todo!()
}
