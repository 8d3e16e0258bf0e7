//! The one place that knows rumqttc: how a client is built so that none of its traps is stepped into.
//!
//! Read in the source of rumqttc 0.25.1, v5 module. What this module sees to:
//!
//! * `TCP_NODELAY` is on; without it a QoS 1 message takes 44 ms.
//! * The keep-alive is at least 5 s, also where the broker prescribes less ([`connected`]): below it `set_keep_alive`
//!   panics, and at 0 the event loop would ping without a pause.
//! * The largest packet is announced, so that the broker withholds larger ones. With the 10 KiB default a larger one is an
//!   error, a reconnection and the same packet again, for ever.
//! * No topic aliases: an aliased message reaches us with an empty topic.
//! * The window of unacknowledged messages is bounded in both directions; without it the state alone takes 10 MB.
//! * TLS is ours (rustls with ring), not the platform's.
//! * The request channel holds a whole window of acknowledgements and more, so that `try_ack` finds room.
//!
//! What its users must see to:
//!
//! * **Never `.await` on the client in the task that polls**: use the `try_…` functions there. A full request channel is
//!   emptied by polling only.
//! * **After any error of `poll`, drop client and event loop and build new ones**, after a wait ([`crate::line::Backoff`]):
//!   polling again reconnects at once, keeps a collision for ever (issues 1014 and 1056), and clears queued requests
//!   without a word where the session is gone. Because each connection has its own client, an acknowledgement of an old
//!   connection cannot meet a reused packet id: its channel leads nowhere.
//! * **Do not drop the future of `poll` half-way**, as a `select!` in a loop would: a request that was taken out of the
//!   channel and not written is lost.
//! * Subscribe at every ConnAck, never before.
//! * Publish and ingest on different connections: acknowledgements wait in one queue with publishes, and a full window of
//!   publishes stops them.
//! * Subscription identifiers are not used: its parser miscounts messages that carry several.

use crate::{
    secret::Secret,
    tls::{Tls, TlsError},
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, ConnectionError, EventLoop, MqttOptions, StateError, TlsError as MqttTlsError,
        mqttbytes::{
            Error as PacketError,
            v5::{ConnectReturnCode, DisconnectReasonCode},
        },
    },
};
use std::{io, net::IpAddr, time::Duration};

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
    /// The most unacknowledged messages in either direction; 0 counts as 1.
    pub in_flight: u16,
    /// The largest packet we take, bytes. The broker withholds larger ones without telling us.
    pub largest: u32,
}

/// Builds a client that has not connected yet. Its request channel holds twice [`Use::in_flight`] and some subscriptions.
pub fn client(endpoint: &Endpoint, how: &Use) -> Result<(AsyncClient, EventLoop), TlsError> {
    let in_flight = how.in_flight.max(1);
    let address = endpoint.host.parse::<IpAddr>();
    // rumqttc joins host and port with a colon, and takes the host itself for the certificate's name.
    let host = match &address {
        Ok(IpAddr::V6(_)) if endpoint.tls.is_some() => {
            return Err(TlsError("an IPv6 address cannot be used with TLS here; give the broker a name".into()));
        }
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => endpoint.host.clone(),
    };
    let mut options = MqttOptions::new(format!("{}{}", endpoint.client_id, how.suffix), host, endpoint.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_WITHIN.as_secs())
        .set_clean_start(how.session_expiry.is_none())
        .set_session_expiry_interval(how.session_expiry.map(|expiry| expiry.as_secs().min(u64::from(u32::MAX)) as u32))
        .set_receive_maximum(Some(in_flight))
        .set_outgoing_inflight_upper_limit(in_flight)
        .set_max_packet_size(Some(how.largest.max(1)))
        .set_manual_acks(how.manual_acks);
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some((user, password)) = &endpoint.login {
        options.set_credentials(user, password.expose());
    }
    if let Some(tls) = &endpoint.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.client_config()?)));
    }
    Ok(AsyncClient::new(options, 2 * usize::from(in_flight) + 64))
}

/// To be called at every ConnAck: a broker may have prescribed a keep-alive that rumqttc cannot keep.
pub fn connected(events: &mut EventLoop) {
    if events.options.keep_alive() < SHORTEST_KEEP_ALIVE {
        events.options.set_keep_alive(SHORTEST_KEEP_ALIVE);
    }
}

/// Why a connection ended or did not come about, in words a site engineer understands.
pub fn explain(endpoint: &Endpoint, error: &ConnectionError) -> String {
    let Endpoint { host, port, .. } = endpoint;
    match error {
        ConnectionError::Timeout(_) => format!("{host}:{port} did not answer within {} s", CONNECT_WITHIN.as_secs()),
        ConnectionError::Io(e) => explain_io(endpoint, e),
        ConnectionError::Tls(MqttTlsError::Io(e)) => explain_io(endpoint, e),
        ConnectionError::Tls(MqttTlsError::DNSName(_)) => format!("{host} is not a name a certificate can have"),
        ConnectionError::Tls(e) => format!("TLS with {host}:{port} failed: {e}"),
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "the broker does not accept our user name, password or certificate".into()
            }
            ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
                "the broker does not speak MQTT 5".into()
            }
            ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
                format!("the broker does not accept client ids that begin with {:?}", endpoint.client_id)
            }
            other => format!("the broker refused the connection: {other:?}"),
        },
        ConnectionError::MqttState(state) => match state {
            StateError::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, .. } => format!(
                "another client connected with our client id ({}…); every gateway needs its own",
                endpoint.client_id
            ),
            StateError::ServerDisconnect { reason_code, .. } => format!("the broker disconnected us: {reason_code:?}"),
            StateError::ConnectionAborted => "the broker closed the connection".into(),
            StateError::AwaitPingResp => "the broker does not answer any more".into(),
            StateError::Io(e) => explain_io(endpoint, e),
            StateError::Deserialization(PacketError::PayloadSizeLimitExceeded { .. }) => {
                "the broker sent a larger packet than we take".into()
            }
            StateError::Deserialization(PacketError::Io(e)) => explain_io(endpoint, e),
            StateError::Deserialization(_) | StateError::WrongPacket => {
                format!("what {host}:{port} sends is not MQTT 5")
            }
            other => other.to_string(),
        },
        ConnectionError::NotConnAck(_) => format!("what {host}:{port} sends is not MQTT 5"),
        ConnectionError::RequestsDone => "the connection was closed".into(),
    }
}

/// Whether the broker sent something that cannot be read: after a reconnection it will send it again.
pub fn is_unreadable(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(why)) => !matches!(why, PacketError::Io(_)),
        ConnectionError::MqttState(StateError::IncomingPacketTooLarge { .. } | StateError::WrongPacket) => true,
        _ => false,
    }
}

/// A broker that is gone without a word is noticed within two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

fn explain_io(endpoint: &Endpoint, error: &io::Error) -> String {
    let Endpoint { host, port, .. } = endpoint;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => {
            format!("the certificate of {host}:{port} is not accepted: {why}")
        }
        (Some(rustls::Error::AlertReceived(alert)), _) => {
            format!("{host}:{port} ended TLS with {alert:?}; does it ask for a client certificate that we do not have?")
        }
        (Some(why), _) => format!("TLS with {host}:{port} failed: {why}"),
        (None, io::ErrorKind::ConnectionRefused) => format!("nobody listens at {host}:{port}"),
        (None, io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => {
            "the broker closed the connection".into()
        }
        (None, io::ErrorKind::TimedOut) => format!("{host}:{port} does not answer"),
        (None, _) => format!("{host}:{port} cannot be reached: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, tls: Option<Tls>) -> Endpoint {
        Endpoint { host: host.into(), port: 8883, tls, login: None, client_id: "gate-2".into() }
    }

    fn ingest() -> Use {
        Use {
            suffix: "-alarm",
            session_expiry: Some(Duration::from_secs(3600)),
            manual_acks: true,
            in_flight: 256,
            largest: 1 << 20,
        }
    }

    #[test]
    fn a_client_is_built_with_every_bound_set() {
        let (_, events) = client(&endpoint("broker.lan", None), &ingest()).unwrap();
        let options = &events.options;
        assert_eq!(options.client_id(), "gate-2-alarm");
        assert!(!options.clean_start() && options.session_expiry_interval() == Some(3600));
        assert_eq!((options.receive_maximum(), options.max_packet_size()), (Some(256), Some(1 << 20)));
        assert_eq!(options.topic_alias_max(), None);
        let anew = Use { session_expiry: None, ..ingest() };
        assert!(client(&endpoint("broker.lan", None), &anew).unwrap().1.options.clean_start());
    }

    #[test]
    fn an_ipv6_address_is_written_so_that_its_port_can_be_told_and_refused_where_it_cannot_work() {
        let (_, events) = client(&endpoint("::1", None), &ingest()).unwrap();
        assert_eq!(events.options.broker_address(), ("[::1]".into(), 8883));
        assert!(client(&endpoint("::1", Some(Tls::default())), &ingest()).is_err());
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_in_plain_words() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let nobody = Endpoint { port, ..endpoint("127.0.0.1", None) };
        let (_client, mut events) = client(&nobody, &ingest()).unwrap();
        let error = events.poll().await.unwrap_err();
        assert_eq!(explain(&nobody, &error), format!("nobody listens at 127.0.0.1:{port}"));
        assert!(!is_unreadable(&error));
    }
}
