//! The one place that knows rumqttc: how a client is built so that none of its traps is stepped into.

use crate::{
    secret::Secret,
    tls::{Tls, TlsError},
};
use rumqttc::v5::{AsyncClient, EventLoop};
use std::time::Duration;

/// A broker and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// Usually 1883, or 8883 with TLS.
    pub port: u16,
    /// `None` for plain TCP.
    pub tls: Option<Tls>,
    /// User name and password.
    pub login: Option<(String, Secret)>,
    /// Prefix of our client ids, stable over restarts; sessions add their own suffix.
    pub client_id: String,
}

/// How one connection to a broker is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Added to the endpoint's client id: `-alarm`, `-routine`, `-out`.
    pub suffix: &'static str,
    /// How long the broker keeps the session while we are away; `None` starts anew each time.
    pub session_expiry: Option<Duration>,
    /// Whether we acknowledge ourselves, after the sync.
    pub manual_acks: bool,
    /// The most unacknowledged messages in either direction.
    pub in_flight: u16,
    /// The largest message we take, bytes.
    pub largest: u32,
}

/// Builds a client that has not connected yet.
pub fn client(endpoint: &Endpoint, how: &Use) -> Result<(AsyncClient, EventLoop), TlsError> {
    let _ = (endpoint, how);
    todo!()
}
