//! The admin socket: HTTP over a Unix socket, for every command that touches a live gateway.
//!
//! Who may connect is decided by the socket file's mode (0600) **and** by the peer's credentials: root and the user the
//! gateway runs as. Every act that reads about the port or changes something becomes a control record before it is
//! carried out, so that an operator cannot look without leaving a trace.

pub mod client;
mod server;

pub use server::{Admin, Signed, serve};
use std::path::PathBuf;

/// Where the admin socket is unless told otherwise: in systemd's `RuntimeDirectory=`.
pub fn default_socket() -> PathBuf {
    let folder = std::env::var_os("RUNTIME_DIRECTORY").map_or_else(|| PathBuf::from("/run/quaywatch"), PathBuf::from);
    folder.join("admin.sock")
}
