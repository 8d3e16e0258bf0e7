//! TLS for everything that connects out: brokers here, upstreams in the daemon. One stack: rustls with ring.

use crate::secret::Secret;
use std::sync::Arc;

/// How a server is recognised and how we are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM certificates of the authorities that may vouch for the server; the public ones if `None`.
    pub authority: Option<Vec<u8>>,
    /// Our own certificate chain (PEM) and its key (PEM), where the server asks who we are.
    pub client: Option<(Vec<u8>, Secret)>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(pub String);

impl Tls {
    /// The client configuration for rustls.
    pub fn client_config(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        let _ = self;
        todo!()
    }
}
