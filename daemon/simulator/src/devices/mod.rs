//! The port's devices: thin edges that show the world's state on loopback sockets.

pub mod bookings;
pub mod broker;
pub mod cameras;
pub mod central;
mod http;
pub mod mqtt;
pub mod nodes;
pub mod plc;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Why a device could not start.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot start: {why}")]
pub struct DeviceError {
    what: &'static str,
    why: String,
}

impl DeviceError {
    pub(crate) fn new(what: &'static str, why: impl ToString) -> Self {
        Self { what, why: why.to_string() }
    }
}

/// World time on the real clocks: the world began at a moment and is never sped up.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    wall: SystemTime,
}

impl Clock {
    /// The world begins now.
    pub fn start() -> Self {
        Self { began: Instant::now(), wall: SystemTime::now() }
    }

    /// How old the world is.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A world time as seconds since the Unix epoch, as cameras write it.
    pub fn unix_seconds(&self, at: Duration) -> f64 {
        (self.wall + at).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    /// A world time as RFC 3339 in UTC, by a device's clock that is so much slow.
    pub fn rfc3339(&self, at: Duration, slow: Duration) -> String {
        let timestamp = jiff::Timestamp::try_from(self.wall + at - slow).unwrap_or_default();
        timestamp.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

/// A loopback port that nobody listens on, held until it is released to whoever will: then only a program that asks for
/// exactly this one in the same instant can be in the way.
#[derive(Debug)]
pub struct FreePort {
    listener: TcpListener,
    address: SocketAddr,
}

impl FreePort {
    /// Finds one.
    pub fn find() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// Lets go of it.
    pub fn release(self) -> SocketAddr {
        drop(self.listener);
        self.address
    }
}
