//! HTTP listeners, with or without TLS, that a slow or malicious client cannot hold.
//!
//! At most 256 connections at once; more wait in the kernel's queue. A TLS handshake gets 10 s, a request's head 30 s (which
//! is also how long an idle connection is kept) and 64 KiB. Bodies are the application's to bound: [`body`].

use axum::{
    Router,
    body::{Body, Bytes},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Opens a port; if that cannot be done, says why in words a site engineer understands.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is in use by another program"),
        io::ErrorKind::PermissionDenied => format!("{address} needs a privilege we do not have; use a port from 1024"),
        io::ErrorKind::AddrNotAvailable => format!("no interface of this machine has the address {}", address.ip()),
        _ => format!("cannot listen at {address}: {error}"),
    })
}

/// Serves until stopped; requests that are under way then get 5 s.
pub async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, app: Router, stop: &CancellationToken) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (Ok(place), accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (tls, app, stop) = (tls.clone(), app.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, tls, app, &stop).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, most likely: others have to end first.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
    drop(listener);
    let _ = timeout(STOP_WITHIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than it may be.
    TooLong,
    /// It did not come within 30 s, or its sender went away.
    Incomplete,
}

/// Reads a whole body of at most `most` bytes within 30 s.
pub async fn body(body: Body, most: usize) -> Result<Bytes, BodyError> {
    use axum::body::HttpBody;
    if body.size_hint().lower() > most as u64 {
        return Err(BodyError::TooLong);
    }
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    let read = async {
        while let Some(part) = futures_util::StreamExt::next(&mut parts).await {
            let part = part.map_err(|_| BodyError::Incomplete)?;
            if whole.len() + part.len() > most {
                return Err(BodyError::TooLong);
            }
            whole.extend_from_slice(&part);
        }
        Ok(())
    };
    timeout(BODY_WITHIN, read).await.map_err(|_| BodyError::Incomplete)??;
    Ok(whole.into())
}

/// How long a whole body may take.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);

const MOST_CONNECTIONS: usize = 256;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
const HEAD_WITHIN: Duration = Duration::from_secs(30);
const LARGEST_HEAD: usize = 64 << 10;
const STOP_WITHIN: Duration = Duration::from_secs(5);

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, app: Router, stop: &CancellationToken) {
    // An answer is one small packet; waiting to fill it helps nobody.
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, app, stop).await,
        Some(tls) => match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, app, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router, stop: &CancellationToken) {
    let service = TowerToHyperService::new(app);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(LARGEST_HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A client that goes away is its own matter.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(STOP_WITHIN, connection).await;
}
