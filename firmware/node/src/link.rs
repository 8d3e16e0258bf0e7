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
    /// A key that the gateway has not used yet.
    next: Option<NodeKey>,
    epochs: Epochs,
    said: u64,
    session: Option<Session>,
    /// One that was only challenged in so far: a recording of a former session gets no further.
    candidate: Option<Session>,
}

/// What is sealed under what.
struct Epochs {
    /// Which store and which boot.
    of: (u64, u32),
    boot: u64,
    boot_key: LinkKey,
    store_key: LinkKey,
}

/// A start of the gateway, as far as it proved itself.
struct Session {
    id: u64,
    /// For challenges.
    key: LinkKey,
    /// For all that follows the last hello.
    after: Option<LinkKey>,
    /// The highest counter that was read.
    read: u64,
}

/// A message that may be acted upon.
pub(crate) struct Told {
    pub(crate) session: u64,
    pub(crate) counter: u64,
    /// Whether it is sealed with the key that was not used before: from here on only that one counts.
    pub(crate) by_next: bool,
    pub(crate) message: FromGateway,
}

impl Link {
    /// A link in this boot of this store.
    pub(crate) fn new(number: u16, key: NodeKey, next: Option<NodeKey>, store: u64, boot: u32) -> Self {
        let epochs = Epochs::of(&key, number, store, boot);
        Self { number, key, next, epochs, said: 0, session: None, candidate: None }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Verifies a frame. A challenge begins a session; anything else must follow its last hello, and all must be newer than
    /// what was read of the session before.
    #[inline(never)]
    pub(crate) fn read(&mut self, sealed: &Sealed) -> Option<Told> {
        let header = *sealed.header();
        if header.node != self.number {
            return None;
        }
        if let Some(session) = self.known(header.epoch) {
            if header.counter <= session.read {
                return None;
            }
            if let Some(key) = &session.after
                && let Ok(opened) = sealed.open(key)
            {
                let message = opened.message().ok()?;
                session.read = header.counter;
                if self.candidate.as_ref().is_some_and(|candidate| candidate.id == header.epoch) {
                    self.session = self.candidate.take();
                }
                return Some(Told { session: header.epoch, counter: header.counter, by_next: false, message });
            }
        }
        self.read_challenge(sealed)
    }

    #[inline(never)]
    fn read_challenge(&mut self, sealed: &Sealed) -> Option<Told> {
        let header = *sealed.header();
        let own = |key: &NodeKey| key.link(Direction::GatewayToNode, self.number, header.epoch);
        let usual = own(&self.key);
        let (opened, key, by_next) = match (sealed.open(&usual), &self.next) {
            (Ok(opened), _) => (opened, usual, false),
            (Err(_), Some(next)) => {
                let next = own(next);
                (sealed.open(&next).ok()?, next, true)
            }
            (Err(_), None) => return None,
        };
        let message = opened.message().ok().filter(|message| *message == FromGateway::Challenge)?;
        let (id, read) = (header.epoch, header.counter);
        match self.known(id) {
            // Until it is answered, what followed the hello before still counts.
            Some(session) => (session.key, session.read) = (key, read),
            None => self.candidate = Some(Session { id, key, after: None, read }),
        }
        Some(Told { session: id, counter: read, by_next, message })
    }

    /// Takes a key beside the one there is.
    pub(crate) fn also(&mut self, next: NodeKey) {
        self.next = Some(next);
    }

    /// From here on only the next key counts. What was sealed before under the former one is sealed anew: no counter has
    /// been used under this one.
    pub(crate) fn turn_to_next(&mut self) {
        if let Some(next) = self.next.take() {
            let (store, boot) = self.epochs.of;
            self.epochs = Epochs::of(&next, self.number, store, boot);
            self.key = next;
        }
    }

    /// The keys that count: the usual one and the next.
    pub(crate) fn keys(&self) -> (&NodeKey, Option<&NodeKey>) {
        (&self.key, self.next.as_ref())
    }

    /// A token for what follows a hello in this session: never the same twice.
    pub(crate) fn new_token(&mut self, session: u64) -> u64 {
        let token = self.epochs.boot.wrapping_add(self.said);
        if let Some(challenged) = self.known(session) {
            challenged.after = Some(challenged.key.after(token));
        }
        token
    }

    /// Seals what is said once.
    #[inline(never)]
    pub(crate) fn say(&mut self, message: &FromNode) -> Option<Wire> {
        let header = self.header(self.epochs.boot, self.said);
        self.said += 1;
        seal(&header, &self.epochs.boot_key, message).ok()
    }

    /// Seals a kept frame: the same bytes every time.
    pub(crate) fn repeat(&self, counter: u64, payload: &[u8]) -> Option<Wire> {
        seal_payload(&self.header(self.epochs.of.0, counter), &self.epochs.store_key, payload).ok()
    }

    fn known(&mut self, session: u64) -> Option<&mut Session> {
        [&mut self.session, &mut self.candidate].into_iter().flatten().find(|known| known.id == session)
    }

    fn header(&self, epoch: u64, counter: u64) -> Header {
        Header { suite: SuiteId::default(), node: self.number, epoch, counter }
    }
}

impl Epochs {
    fn of(key: &NodeKey, number: u16, store: u64, boot_number: u32) -> Self {
        let boot = key.boot_epoch(store, boot_number);
        let link = |epoch| key.link(Direction::NodeToGateway, number, epoch);
        Self { of: (store, boot_number), boot, boot_key: link(boot), store_key: link(store) }
    }
}
