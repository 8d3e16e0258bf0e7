//! A TCP listener that speaks TLS, for axum. Handshakes are made beside each other, so that a client that stalls in its own
//! holds up nobody.

use axum::serve::Listener;
use rumqttc::tokio_rustls::{TlsAcceptor, server::TlsStream};
use rustls::ServerConfig;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The listener.
pub(super) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

/// A client that needs longer is not one of ours.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Handshakes under way at once; further clients wait in the system's queue.
const MOST_HANDSHAKES: usize = 64;
/// After a failure to accept, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);

impl TlsListener {
    pub(super) fn new(tcp: TcpListener, config: Arc<ServerConfig>) -> Self {
        Self { tcp, acceptor: config.into(), handshakes: JoinSet::new() }
    }

    fn shake_hands(&mut self, stream: TcpStream, from: SocketAddr) {
        let acceptor = self.acceptor.clone();
        self.handshakes.spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
            match shaken {
                Ok(Ok(stream)) => Some((stream, from)),
                Ok(Err(why)) => {
                    tracing::debug!(%from, %why, "a TLS handshake failed");
                    None
                }
                Err(_) => None,
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    if let Ok(Some(connection)) = shaken {
                        return connection;
                    }
                }
                accepted = self.tcp.accept(), if self.handshakes.len() < MOST_HANDSHAKES => match accepted {
                    Ok((stream, from)) => self.shake_hands(stream, from),
                    Err(why) => {
                        tracing::debug!(%why, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
