//! A broker that does what brokers should not, packet by packet.

use crate::desk::{Desk, PATIENCE, contact, endpoint, said, store};
use bytes::{Bytes, BytesMut};
use quaywatch_drivers::{line::LineState, mqtt::Session};
use quaywatch_schemas::Reading;
use rumqttc::v5::mqttbytes::{
    Error, QoS,
    v5::{
        ConnAck, ConnAckProperties, Connect, ConnectReturnCode, Packet, PingResp, Publish, SubAck, SubscribeReasonCode,
    },
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

struct Broker {
    listener: TcpListener,
    port: u16,
}

/// One connection, after its CONNECT.
struct Peer {
    stream: TcpStream,
    bytes: BytesMut,
}

impl Broker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self { listener, port }
    }

    async fn accept(&self) -> (Peer, Connect) {
        let (stream, _) =
            tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("it connects").expect("accepted");
        let mut peer = Peer { stream, bytes: BytesMut::new() };
        match peer.next().await {
            Packet::Connect(connect, ..) => (peer, connect),
            other => panic!("not a CONNECT: {other:?}"),
        }
    }
}

impl Peer {
    async fn next(&mut self) -> Packet {
        loop {
            match Packet::read(&mut self.bytes, None) {
                Ok(packet) => return packet,
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
            assert_ne!(read.expect("it says something").expect("readable"), 0, "it closed the connection");
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).expect("a packet");
        // A client that has gone by then is what some tests are about.
        let _ = self.stream.write_all(&bytes).await;
    }

    /// Lets the client in and grants what it asks for.
    async fn welcome(&mut self, properties: Option<ConnAckProperties>, grant: impl Fn(&str) -> SubscribeReasonCode) {
        self.send(Packet::ConnAck(ConnAck { session_present: false, code: ConnectReturnCode::Success, properties }))
            .await;
        loop {
            match self.next().await {
                Packet::Subscribe(ask) => {
                    let return_codes = ask.filters.iter().map(|filter| grant(&filter.path)).collect();
                    self.send(Packet::SubAck(SubAck { pkid: ask.pkid, return_codes, properties: None })).await;
                    return;
                }
                Packet::PingReq(_) => self.send(Packet::PingResp(PingResp)).await,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn publish(&mut self, packet: u16, payload: &'static str) {
        let topic = Bytes::from_static(b"door");
        let publish =
            Publish { qos: QoS::AtLeastOnce, topic, pkid: packet, payload: payload.into(), ..Publish::default() };
        self.send(Packet::Publish(publish)).await;
    }

    /// The next acknowledgement's packet id.
    async fn acknowledged(&mut self) -> u16 {
        loop {
            match self.next().await {
                Packet::PubAck(ack) => return ack.pkid,
                Packet::PingReq(_) => self.send(Packet::PingResp(PingResp)).await,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn granted(_: &str) -> SubscribeReasonCode {
    SubscribeReasonCode::Success(QoS::AtLeastOnce)
}

fn desk(port: u16) -> Desk {
    Desk::open(endpoint(port), vec![contact("door", "door", Session::Alarm)], 64)
}

#[tokio::test]
async fn the_session_is_asked_for_as_promised() {
    let broker = Broker::start().await;
    let _desk = desk(broker.port);
    let (_peer, connect) = broker.accept().await;
    let properties = connect.properties.expect("properties");
    assert_eq!((connect.client_id.as_str(), connect.clean_start), ("gate-2-alarm", false));
    assert_eq!((properties.receive_maximum, properties.topic_alias_max), (Some(256), None));
    assert!(properties.session_expiry_interval >= Some(3600) && properties.max_packet_size > Some(1 << 20));
    assert!(connect.keep_alive >= 5);
}

#[tokio::test]
async fn a_refused_topic_is_named_and_the_others_are_read() {
    let broker = Broker::start().await;
    let subscriptions = vec![contact("door", "door", Session::Alarm), contact("vault", "vault", Session::Alarm)];
    let mut desk = Desk::open(endpoint(broker.port), subscriptions, 64);
    let (mut peer, _) = broker.accept().await;
    peer.welcome(None, |topic| match topic {
        "vault" => SubscribeReasonCode::NotAuthorized,
        other => granted(other),
    })
    .await;
    assert_eq!(desk.why_down().await, "the broker refuses the topic \"vault\" (we may not read it)");
    peer.publish(1, "true").await;
    assert_eq!(said(&desk.take().await), ("door", &Reading::Contact(true)));
    assert_eq!(peer.acknowledged().await, 1);
    // Only the sensor that cannot be heard is said not to be.
    assert_eq!(said(&desk.take().await).0, "vault");
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_arrival_whatever_the_order_of_the_receipts() {
    let broker = Broker::start().await;
    let mut desk = desk(broker.port);
    let (mut peer, _) = broker.accept().await;
    peer.welcome(None, granted).await;
    for packet in [7, 3, 9] {
        peer.publish(packet, "true").await;
    }
    let mut batches = [desk.next().await, desk.next().await, desk.next().await];
    batches.reverse();
    batches.into_iter().for_each(|batch| drop(store(batch)));
    assert_eq!([peer.acknowledged().await, peer.acknowledged().await, peer.acknowledged().await], [7, 3, 9]);
}

#[tokio::test]
async fn an_acknowledgement_of_an_old_connection_never_meets_a_new_message_with_its_number() {
    let broker = Broker::start().await;
    let mut desk = desk(broker.port);
    let (mut old, _) = broker.accept().await;
    old.welcome(None, granted).await;
    old.publish(1, "true").await;
    let late = desk.next().await;
    drop(old);
    let (mut new, _) = broker.accept().await;
    new.welcome(None, granted).await;
    new.publish(1, "false").await;
    let other = desk.next().await;
    store(late);
    new.publish(2, "true").await;
    let last = desk.next().await;
    store(last);
    // Nothing may be acknowledged before the first of this connection is stored.
    let early = tokio::time::timeout(Duration::from_millis(300), new.acknowledged()).await;
    assert!(early.is_err(), "{early:?}");
    store(other);
    assert_eq!([new.acknowledged().await, new.acknowledged().await], [1, 2]);
}

#[tokio::test]
async fn what_was_not_stored_is_not_acknowledged_and_the_line_starts_over() {
    let broker = Broker::start().await;
    let mut desk = desk(broker.port);
    let (mut peer, _) = broker.accept().await;
    peer.welcome(None, granted).await;
    peer.publish(1, "true").await;
    drop(desk.next().await.receipt);
    assert!(desk.why_down().await.contains("the ledger does not store"));
    let (mut peer, connect) = broker.accept().await;
    assert!(!connect.clean_start, "the broker still has it");
    peer.welcome(None, granted).await;
    desk.is(|state| *state == LineState::Up).await;
}

#[tokio::test]
async fn a_packet_that_cannot_be_read_does_not_come_for_ever() {
    let broker = Broker::start().await;
    let mut desk = desk(broker.port);
    let mut clean = Vec::new();
    for _ in 0..3 {
        let (mut peer, connect) = broker.accept().await;
        clean.push(connect.clean_start);
        peer.welcome(None, granted).await;
        // Larger than was announced, and sent all the same.
        let mut bytes = BytesMut::new();
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            topic: Bytes::from_static(b"door"),
            pkid: 1,
            payload: vec![b' '; 3 << 20].into(),
            ..Publish::default()
        };
        Packet::Publish(publish).write(&mut bytes, None).expect("a packet");
        let _ = peer.stream.write_all(&bytes).await;
        let why = desk.why_down().await;
        assert_eq!(why, "the broker sent a larger packet than we take");
    }
    assert_eq!(clean, [false; 3]);
    let (mut peer, connect) = broker.accept().await;
    assert!(connect.clean_start, "the broker is told to forget it");
    peer.welcome(None, granted).await;
    peer.publish(1, "true").await;
    assert_eq!(said(&desk.take().await), ("door", &Reading::Contact(true)));
    assert_eq!(peer.acknowledged().await, 1);
    drop(peer);
    assert!(!broker.accept().await.1.clean_start, "only once");
}

#[tokio::test]
async fn a_broker_that_prescribes_no_keep_alive_is_not_pinged_without_a_pause() {
    let broker = Broker::start().await;
    let desk = desk(broker.port);
    let (mut peer, _) = broker.accept().await;
    let properties = ConnAckProperties { server_keep_alive: Some(0), ..no_properties() };
    peer.welcome(Some(properties), granted).await;
    desk.is(|state| *state == LineState::Up).await;
    let mut pings = 0;
    let listen = async {
        loop {
            if let Packet::PingReq(_) = peer.next().await {
                pings += 1;
                peer.send(Packet::PingResp(PingResp)).await;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), listen).await;
    assert!(pings <= 1, "{pings} pings in a second");
    assert_eq!(desk.status.borrow().state, LineState::Up);
}

fn no_properties() -> ConnAckProperties {
    ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        max_packet_size: None,
        assigned_client_identifier: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: None,
        shared_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}
