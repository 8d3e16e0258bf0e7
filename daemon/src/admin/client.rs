//! The commands' end of the admin socket.

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// Why a live gateway could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No gateway listens there.
    #[error("no gateway answers at {}: {source}; is it running, and is --admin the same for both?", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the gateway ended the conversation: {0}")]
    Broken(#[from] hyper::Error),
    /// It said no.
    #[error("the gateway refused: {0}")]
    Refused(String),
}

/// An answer that arrives bit by bit.
pub struct Answer {
    body: Incoming,
}

/// Asks a live gateway.
pub async fn ask(socket: &Path, method: Method, path: &str) -> Result<Answer, AdminError> {
    send(socket, method, path, Vec::new()).await
}

/// Hands a live gateway something, a file for example.
pub async fn send(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, AdminError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| AdminError::NotRunning { path: socket.to_owned(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "quaywatch")
        .body(Full::<bytes::Bytes>::new(body.into()))
        .map_err(|wrong| AdminError::Refused(wrong.to_string()))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let mut answer = Answer { body: response.into_body() };
    if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
        Ok(answer)
    } else {
        Err(AdminError::Refused(answer.text().await?.trim().to_owned()))
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>, AdminError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All of it as text.
    pub async fn text(&mut self) -> Result<String, AdminError> {
        let mut text = Vec::new();
        while let Some(piece) = self.next().await? {
            text.extend_from_slice(&piece);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
