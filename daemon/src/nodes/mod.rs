//! Sensor nodes and the people who answer for them.
//!
//! The bus itself is the driver's ([`quaywatch_drivers::node_link`]); here is what lasts longer than a bus: keys
//! ([`registry`]), what people order and what became of it ([`acts`]), and what all of it looks like ([`page`]).
//!
//! Every act is a record in the log before it has an effect, and what must survive a power cut is in the registry before
//! the node hears of it: a gateway that is killed in the middle of an act goes on with it, or has not begun.
//!
//! **A key is made here and goes to its node; nobody ever sees it.**

pub mod page;
pub mod registry;

pub use page::{Listed, State};
pub use registry::{Entry, Registry};

use crate::{config::NodePlace, health::Board};
use arc_swap::ArcSwap;
use quaywatch_drivers::{
    intake::Intake,
    node_link::{self, Standing, Trust, Wish},
    secret::Secret,
};
use quaywatch_schemas::{Control, LineId, Record, WallTime, control::NodeAct};
use registry::{Key, Revoked};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// All nodes, for everybody who has to do with them.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    registry: Registry,
    intake: Intake,
    board: Board,
    /// Nodes of the site file in force.
    places: ArcSwap<BTreeMap<u16, NodePlace>>,
    /// Buses that run.
    buses: Mutex<BTreeMap<LineId, mpsc::Sender<Wish>>>,
    /// Asks the gateway to start buses again whose keys are others now.
    rekey: mpsc::Sender<oneshot::Sender<()>>,
}

/// Why an act was not done, ready for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing of that name, or the files say otherwise.
    #[error("{0}")]
    NotSo(String),
    /// It could not be written down or carried out.
    #[error("{0}")]
    Cannot(String),
}

/// How long a bus may take to say how its nodes are: it is never busy for longer than a frame takes to decode.
const BUS_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How often health and metrics are told how nodes are.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Nodes {
    /// Nodes of no site yet.
    pub fn new(registry: Registry, intake: Intake, board: Board, rekey: mpsc::Sender<oneshot::Sender<()>>) -> Self {
        let (places, buses) = (ArcSwap::default(), Mutex::default());
        Self(Arc::new(Inner { registry, intake, board, places, buses, rekey }))
    }

    /// The site file says where nodes are.
    pub fn placed(&self, places: &BTreeMap<u16, NodePlace>) {
        let before = self.0.places.swap(Arc::new(places.clone()));
        for gone in before.keys().filter(|node| !places.contains_key(node)) {
            self.0.board.remove(&part(*gone));
        }
    }

    /// A node as its bus takes it; `None` for one that has no key that counts.
    pub fn keyed(&self, number: u16, place: &NodePlace) -> Option<node_link::Node> {
        let entry = self.0.registry.entry(number);
        let key = key_of(&entry, place).ok()?;
        Some(node_link::Node { number, trust: Trust::Key(key), channels: place.channels.clone() })
    }

    /// A bus starts: what is asked of it comes from here.
    pub fn bus(&self, line: &LineId) -> mpsc::Receiver<Wish> {
        let (wishes, bus) = mpsc::channel(16);
        self.0.buses.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone(), wishes);
        bus
    }

    /// How every node is.
    pub async fn list(&self) -> Vec<Listed> {
        let mut heard = BTreeMap::new();
        let buses = self.0.buses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for bus in buses.into_values() {
            heard.extend(standings(&bus).await.into_iter().map(|standing| (standing.node, standing)));
        }
        let (places, mut entries) = (self.0.places.load_full(), self.0.registry.all());
        let mut listed: Vec<Listed> = places
            .iter()
            .map(|(number, place)| {
                let entry = entries.remove(number).unwrap_or_default();
                Listed::new(*number, Some(place), entry, heard.remove(number))
            })
            .collect();
        listed.extend(entries.into_iter().map(|(number, entry)| Listed::new(number, None, entry, None)));
        listed.sort_by_key(|node| node.node);
        listed
    }

    /// Destroys a node's key, for ever.
    pub async fn revoke(&self, node: u16, by: String) -> Result<String, Refused> {
        let entry = self.0.registry.entry(node);
        let place = self.0.places.load().get(&node).cloned();
        let given = place.as_ref().and_then(|place| place.key.as_ref());
        let mut keys: Vec<String> = [&entry.key, &entry.next_key]
            .into_iter()
            .filter_map(|key| Some(Key::hash_of(&key.as_ref()?.secret())))
            .chain(given.map(Key::hash_of))
            .collect();
        let known = entry.revoked.as_ref().map(|revoked| revoked.keys.clone()).unwrap_or_default();
        if keys.iter().all(|key| known.contains(key)) {
            return Err(Refused::NotSo(format!("node {node} has no key that could be revoked")));
        }
        keys.extend(known);
        keys.sort();
        keys.dedup();
        self.record(&by, node, NodeAct::Revoked).await?;
        let revoked = Revoked { at: now(), by, keys };
        self.change(node, move |entry| *entry = Entry { revoked: Some(revoked), ..Entry::default() }).await?;
        self.rekey().await?;
        Ok(format!("node {node} has no key any more: what comes in its name is refused and an alarm\n"))
    }

    /// A person has looked: what a node says counts again.
    pub async fn clear(&self, node: u16, by: String) -> Result<String, Refused> {
        if self.0.registry.entry(node).quarantine.is_none() {
            return Err(Refused::NotSo(format!("node {node} is not in quarantine")));
        }
        self.record(&by, node, NodeAct::Cleared).await?;
        self.change(node, |entry| entry.quarantine = None).await?;
        self.rekey().await?;
        Ok(format!("node {node} counts again\n"))
    }

    /// Tells health and metrics how nodes are, until stopped.
    pub async fn watch(self, stop: tokio_util::sync::CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for node in self.list().await {
                node.measure();
                if node.line.is_some() {
                    self.0.board.say(part(node.node), node.condition());
                }
            }
        }
    }

    /// Writes an act down.
    async fn record(&self, by: &str, node: u16, act: NodeAct) -> Result<(), Refused> {
        let act = Control::Node { by: by.to_owned(), node, act: Box::new(act) };
        let stored = self.0.intake.store(vec![Record::Control(act)]).await;
        stored
            .map(|_| ())
            .map_err(|_| Refused::Cannot("the act could not be recorded, so it was not carried out".into()))
    }

    async fn change(&self, node: u16, change: impl FnOnce(&mut Entry) + Send + 'static) -> Result<Entry, Refused> {
        let inner = self.0.clone();
        let changed = tokio::task::spawn_blocking(move || inner.registry.change(node, change)).await;
        changed
            .map_err(|why| why.to_string())
            .and_then(|done| done.map_err(|why| why.to_string()))
            .map_err(Refused::Cannot)
    }

    /// Lets buses take the keys that count now.
    async fn rekey(&self) -> Result<(), Refused> {
        let (done, answer) = oneshot::channel();
        let stopping = || Refused::Cannot("the gateway is stopping".into());
        self.0.rekey.send(done).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

/// The key that counts, or why there is none.
fn key_of(entry: &Entry, place: &NodePlace) -> Result<Secret, State> {
    let is_revoked = |key: &Secret| {
        entry.revoked.as_ref().is_some_and(|revoked| revoked.keys.iter().any(|known| *known == Key::hash_of(key)))
    };
    if entry.quarantine.is_some() {
        return Err(State::Quarantined);
    }
    match (&place.key, &entry.key) {
        (Some(given), _) if is_revoked(given) => Err(State::Revoked),
        (Some(given), _) => Ok(given.clone()),
        (None, Some(own)) => Ok(own.secret()),
        (None, None) if entry.revoked.is_some() => Err(State::Revoked),
        (None, None) => Err(State::NotEnrolled),
    }
}

async fn standings(bus: &mpsc::Sender<Wish>) -> Vec<Standing> {
    let (answer, said) = oneshot::channel();
    let asked = async {
        bus.send(Wish::Standings(answer)).await.ok()?;
        said.await.ok()
    };
    timeout(BUS_ANSWERS_WITHIN, asked).await.ok().flatten().unwrap_or_default()
}

fn part(node: u16) -> String {
    format!("node {node}")
}

fn now() -> WallTime {
    WallTime(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}
