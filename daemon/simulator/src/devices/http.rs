//! An HTTP client, as cameras and booking systems have one.

use super::DeviceError;
use std::time::Duration;

pub(crate) fn client() -> Result<reqwest::Client, DeviceError> {
    // The client wants to know its cryptography even where everything is plain HTTP. Fails only if it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|why| DeviceError::new("an HTTP client", why))
}
