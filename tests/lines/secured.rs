//! TLS, client certificates and logins against mosquitto.

use crate::desk::{Desk, contact, endpoint, said};
use quaywatch_drivers::{
    mqtt::{Session, link::Endpoint},
    secret::Secret,
    tls::Tls,
};
use quaywatch_schemas::Reading;
use quaywatch_tests::{free_port, mosquitto::Mosquitto, subscriber::Subscriber};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use tempfile::TempDir;

/// An authority, and what it vouched for.
struct Authority {
    folder: TempDir,
    pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pem = certificate.pem().into_bytes();
        fs::write(folder.path().join("ca.pem"), &pem).expect("writable");
        Self { folder, pem, issuer: Issuer::new(params, key) }
    }

    fn vouch(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    fn broker(&self) -> (Mosquitto, u16) {
        let (certificate, key) = self.vouch("localhost");
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("server.pem"), certificate).expect("writable");
        fs::write(path("server.key"), key).expect("writable");
        let port = free_port();
        let lines = format!(
            "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            path("ca.pem").display(),
            path("server.pem").display(),
            path("server.key").display(),
        );
        (Mosquitto::with(&lines), port)
    }
}

fn secured(port: u16, tls: Tls) -> Endpoint {
    Endpoint { host: "localhost".into(), tls: Some(tls), ..endpoint(port) }
}

#[tokio::test]
async fn a_client_certificate_opens_the_line_and_without_one_it_says_what_is_missing() {
    let authority = Authority::new();
    let (broker, port) = authority.broker();
    let (chain, key) = authority.vouch("gate-2");
    let client = Some((chain.into_bytes(), Secret::new(key)));
    let subscriptions = || vec![contact("door", "door", Session::Alarm)];
    let tls = Tls { authority: Some(authority.pem.clone()), client: client.clone() };
    let mut desk = Desk::up(secured(port, tls), subscriptions()).await;
    let sender = Subscriber::connect(broker.port, "nothing").await;
    sender.publish("door", "true").await;
    assert_eq!(said(&desk.take().await), ("door", &Reading::Contact(true)));
    desk.close().await;

    let nobody = Tls { authority: Some(authority.pem.clone()), client: None };
    let why = Desk::open(secured(port, nobody), subscriptions(), 8).why_down().await;
    assert!(why.contains("client certificate"), "{why}");

    let stranger = Tls { authority: Some(Authority::new().pem), client };
    let why = Desk::open(secured(port, stranger), subscriptions(), 8).why_down().await;
    assert!(why.contains("certificate of localhost") && why.contains("not accepted"), "{why}");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_never_shown() {
    let broker = Mosquitto::with("allow_anonymous false\n");
    let login = Some(("gate".to_owned(), Secret::new("hunter2")));
    let wrong = Endpoint { login, ..endpoint(broker.port) };
    let why = Desk::open(wrong, vec![contact("door", "door", Session::Alarm)], 8).why_down().await;
    assert!(why.contains("does not accept our user name, password or certificate"), "{why}");
    assert!(!why.contains("hunter2"));
}
