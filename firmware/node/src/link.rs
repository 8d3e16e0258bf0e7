//! Who may tell the node something, and how it seals what it says once.

use quaywatch_schemas::frame::{
    Direction, Header, LinkKey, NodeKey, Sealed, SuiteId, Wire,
    message::{FromGateway, FromNode},
    seal, seal_payload,
};

/// The node's end of the link.
pub(crate) struct Link {
    number: u16,
    key: NodeKey,
    epochs: Epochs,
    said: u64,
    session: Option<Session>,
    token: u64,
}

/// What is sealed under what.
struct Epochs {
    boot: u64,
    boot_key: LinkKey,
    store: u64,
    store_key: LinkKey,
}

/// The gateway that answers for the bus, as far as it proved it.
struct Session {
    id: u64,
    key: LinkKey,
    /// The highest counter that was read.
    read: u64,
}

/// A message that may be acted upon.
pub(crate) struct Told {
    pub(crate) session: u64,
    pub(crate) counter: u64,
    pub(crate) message: FromGateway,
}

impl Link {
    pub(crate) fn new(number: u16, key: NodeKey, store: u64, boot: u64) -> Self {
        let boot_key = key.link(Direction::NodeToGateway, number, boot);
        let store_key = key.link(Direction::NodeToGateway, number, store);
        Self { number, key, epochs: Epochs { boot, boot_key, store, store_key }, said: 0, session: None, token: 0 }
    }

    /// Verifies a frame. A challenge begins a session; anything else must be of the session and newer than what was read
    /// before.
    pub(crate) fn read(&mut self, sealed: Sealed) -> Option<Told> {
        let header = *sealed.header();
        if header.node != self.number {
            return None;
        }
        let known = self.session.as_ref().filter(|session| session.id == header.epoch);
        if known.is_some_and(|session| header.counter <= session.read) {
            return None;
        }
        let new = known.is_none().then(|| self.key.link(Direction::GatewayToNode, self.number, header.epoch));
        let opened = sealed.open(new.as_ref().or(known.map(|session| &session.key))?).ok()?;
        let message = opened.message().ok()?;
        match (new, &mut self.session) {
            (Some(key), session) => {
                if message != FromGateway::Challenge {
                    return None;
                }
                *session = Some(Session { id: header.epoch, key, read: header.counter });
            }
            (None, Some(session)) => session.read = header.counter,
            (None, None) => return None,
        }
        Some(Told { session: header.epoch, counter: header.counter, message })
    }

    /// A token for the commands of a session: never the same twice.
    pub(crate) fn new_token(&mut self) -> u64 {
        self.token = self.epochs.boot.wrapping_add(self.said);
        self.token
    }

    pub(crate) fn token(&self) -> u64 {
        self.token
    }

    /// Seals what is said once.
    pub(crate) fn say(&mut self, message: &FromNode) -> Option<Wire> {
        let header = self.header(self.epochs.boot, self.said);
        self.said += 1;
        seal(&header, &self.epochs.boot_key, message).ok()
    }

    /// Seals a kept frame: the same bytes every time.
    pub(crate) fn repeat(&self, counter: u64, payload: &[u8]) -> Option<Wire> {
        seal_payload(&self.header(self.epochs.store, counter), &self.epochs.store_key, payload).ok()
    }

    fn header(&self, epoch: u64, counter: u64) -> Header {
        Header { suite: SuiteId::default(), node: self.number, epoch, counter }
    }
}
