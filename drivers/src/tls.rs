//! TLS for everything that connects out or listens: one stack, rustls with ring.
//!
//! Nothing here depends on a provider that somebody else installed: each configuration names ring itself.

use crate::secret::Secret;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
};
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
    /// The client configuration for rustls: TLS 1.2 and 1.3.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let roots = match &self.authority {
            Some(pem) => authority(pem)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let builder = ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError(e.to_string()))?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(chain, "the client certificate")?, private_key(key)?)
                .map_err(|e| TlsError(format!("the client certificate and its key cannot be used together: {e}")))?,
        };
        Ok(Arc::new(config))
    }
}

/// The configuration of a listener, from its certificate chain (PEM, its own certificate first) and its key (PEM): TLS 1.2
/// and 1.3, HTTP/1.1, clients are not asked for a certificate.
pub fn server_config(chain: &[u8], key: &Secret) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates(chain, "the certificate")?, private_key(key)?)
        .map_err(|e| TlsError(format!("the certificate and its key cannot be used together: {e}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn authority(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(pem, "the authority")?.into_iter().enumerate() {
        let refused = |e| TlsError(format!("certificate {} of the authority cannot be used: {e}", index + 1));
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

fn certificates(mut pem: &[u8], whose: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(TlsError(format!("{whose}: there is no PEM certificate in it"))),
        Ok(all) => Ok(all),
        Err(e) => Err(TlsError(format!("{whose}: not well-formed PEM: {e}"))),
    }
}

fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    match rustls_pemfile::private_key(&mut key.expose().as_bytes()) {
        Ok(Some(key)) => Ok(key),
        Ok(None) if key.expose().contains("ENCRYPTED PRIVATE KEY") => {
            Err(TlsError("the key is protected by a passphrase; store it without one (`openssl pkey -in KEY`)".into()))
        }
        Ok(None) => Err(TlsError("there is no PEM private key in the key".into())),
        // The parser's own words could repeat a line of the key.
        Err(_) => Err(TlsError("the key is not well-formed PEM".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (Vec<u8>, Secret) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem().into_bytes(), Secret::new(made.signing_key.serialize_pem()))
    }

    #[test]
    fn a_certificate_with_its_key_makes_both_sides() {
        let (chain, key) = pair("broker.lan");
        assert!(server_config(&chain, &key).is_ok());
        let tls = Tls { authority: Some(chain.clone()), client: Some((chain, key)) };
        assert!(tls.client_config().is_ok());
        assert!(Tls::default().client_config().is_ok(), "the public authorities");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_ever_printed() {
        let (chain, key) = pair("broker.lan");
        let (_, other_key) = pair("broker.lan");
        let says = |result: Result<(), TlsError>| result.unwrap_err().to_string();
        let server = |chain: &[u8], key: &Secret| says(server_config(chain, key).map(drop));
        assert!(server(b"nothing", &key).contains("no PEM certificate"));
        assert!(server(&chain, &other_key).contains("cannot be used together"));
        assert!(server(&chain, &Secret::new("hunter2")).contains("no PEM private key"));
        let broken = Secret::new("-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n");
        let said = server(&chain, &broken);
        assert!(said.contains("key") && !said.contains("hunter2"), "{said}");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(server(&chain, &Secret::new(encrypted)).contains("passphrase"));
        let authority = Tls {
            authority: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()),
            client: None,
        };
        assert!(says(authority.client_config().map(drop)).contains("certificate 1 of the authority"));
    }
}
