//! Sensor nodes and the people who answer for them.
//!
//! The bus itself is the driver's ([`quaywatch_drivers::node_link`]); here is what lasts longer than a bus: keys
//! ([`registry`]), how a node gets one ([`enrol`]), what people order and what became of it ([`acts`]), the firmware that
//! waits for nodes ([`images`]), and what all of it looks like ([`page`]).
//!
//! Every act is a record in the log before it has an effect, and what must survive a power cut is in the registry before
//! the node hears of it: a gateway that is killed in the middle of an act goes on with it, or has not begun.
//!
//! **A key is made here and goes to its node; nobody ever sees it.**

pub mod acts;
pub mod enrol;
pub mod images;
pub mod page;
pub mod registry;

pub use acts::{Say, Word};
pub use enrol::Console;
pub use page::{Listed, State};
pub use registry::{Entry, Registry};

use crate::{config::NodePlace, health::Board, ledger::wall_now as now};
use acts::GATEWAY;
use arc_swap::ArcSwap;
use quaywatch_drivers::{
    intake::Intake,
    node_link::{self, Distrust, Standing, Trust, Wish},
    secret::Secret,
};
use quaywatch_schemas::{Control, LineId, Record, control::NodeAct};
use registry::{Key, Quarantine, Revoked};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// All nodes, for everybody who has to do with them.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    registry: Registry,
    intake: Intake,
    board: Board,
    /// Nodes of the site file in force.
    places: ArcSwap<BTreeMap<u16, NodePlace>>,
    /// Serial ports that buses have.
    ports: ArcSwap<BTreeMap<PathBuf, LineId>>,
    /// Buses that run.
    buses: Mutex<BTreeMap<LineId, mpsc::Sender<Wish>>>,
    /// Asks the gateway to start buses again whose keys are others now.
    rekey: mpsc::Sender<oneshot::Sender<()>>,
    /// Acts that look at what is remembered and then change it do so one after the other.
    acts: tokio::sync::Mutex<()>,
    /// Nodes whose update runs now.
    updating: Mutex<BTreeSet<u16>>,
    stop: CancellationToken,
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
    pub fn new(
        registry: Registry,
        intake: Intake,
        board: Board,
        rekey: mpsc::Sender<oneshot::Sender<()>>,
        stop: CancellationToken,
    ) -> Self {
        let (places, ports, buses) = (ArcSwap::default(), ArcSwap::default(), Mutex::default());
        let (acts, updating) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { registry, intake, board, places, ports, buses, rekey, acts, updating, stop }))
    }

    /// The site file says where nodes are, and by which serial ports.
    pub fn placed(&self, places: &BTreeMap<u16, NodePlace>, lines: &BTreeMap<LineId, node_link::Config>) {
        let ports = lines.iter().filter_map(|(line, config)| match &config.carrier {
            node_link::Carrier::Serial(port) => Some((real(&port.path), line.clone())),
            _ => None,
        });
        self.0.ports.store(Arc::new(ports.collect()));
        let before = self.0.places.swap(Arc::new(places.clone()));
        for gone in before.keys().filter(|node| !places.contains_key(node)) {
            self.0.board.remove(&part(*gone));
        }
    }

    /// A node as its bus takes it; `None` for one that never had a key.
    pub fn keyed(&self, number: u16, place: &NodePlace) -> Option<node_link::Node> {
        let entry = self.0.registry.entry(number);
        let next = entry.next_key.as_ref().filter(|_| place.key.is_none()).map(Key::secret);
        let trust = match (key_of(&entry, place), next) {
            (Ok(key), Some(next)) => Trust::Rotating { key, next },
            (Ok(key), None) => Trust::Key(key),
            (Err(State::Revoked), _) => Trust::Not(Distrust::Revoked),
            (Err(State::Quarantined), _) => Trust::Not(Distrust::Quarantined),
            (Err(_), _) => return None,
        };
        Some(node_link::Node { number, trust, channels: place.channels.clone() })
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
        let _alone = self.0.acts.lock().await;
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
        let _alone = self.0.acts.lock().await;
        if self.0.registry.entry(node).quarantine.is_none() {
            return Err(Refused::NotSo(format!("node {node} is not in quarantine")));
        }
        self.record(&by, node, NodeAct::Cleared).await?;
        self.change(node, |entry| entry.quarantine = None).await?;
        self.rekey().await?;
        Ok(format!("node {node} counts again\n"))
    }

    /// Tells health and metrics how nodes are, and writes down what their buses found out, until stopped.
    pub async fn watch(self) {
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for node in self.list().await {
                node.measure();
                if node.line.is_some() {
                    self.0.board.say(part(node.node), node.condition());
                }
                if let Err(why) = self.find_out(&node).await {
                    // It is tried again in two seconds.
                    tracing::warn!(node = node.node, %why, "what a node's line found out could not be kept");
                }
            }
        }
    }

    /// Lets what a bus found out last for longer than the bus, and goes on with what waited for the node.
    async fn find_out(&self, listed: &Listed) -> Result<(), Refused> {
        let Some(standing) = &listed.standing else { return Ok(()) };
        if standing.distrust == Some(Distrust::Quarantined) && listed.quarantine.is_none() {
            self.quarantine(listed.node).await?;
        }
        if standing.rotated && listed.rotating {
            self.settle_rotation(listed.node).await?;
        }
        if listed.update.is_some() && listed.state == State::Well && !self.is_updating(listed.node) {
            let (nodes, node) = (self.clone(), listed.node);
            tokio::spawn(async move {
                let Ok(place) = nodes.place(node) else { return };
                match nodes.go_on_with_update(node, &place, &Say::to_nobody()).await {
                    Ok(done) => tracing::info!("{done}"),
                    Err(why) => tracing::warn!(node, %why, "the update did not come to its end"),
                }
            });
        }
        Ok(())
    }

    async fn quarantine(&self, node: u16) -> Result<(), Refused> {
        let _alone = self.0.acts.lock().await;
        let is_double = self.standing(node).await.is_some_and(|said| said.distrust == Some(Distrust::Quarantined));
        if is_double && self.0.registry.entry(node).quarantine.is_none() {
            let why = "two devices speak with its key".to_owned();
            self.record(GATEWAY, node, NodeAct::Quarantined { why: why.clone() }).await?;
            self.change(node, move |entry| entry.quarantine = Some(Quarantine { since: now(), why })).await?;
            self.rekey().await?;
        }
        Ok(())
    }

    fn is_updating(&self, node: u16) -> bool {
        self.0.updating.lock().unwrap_or_else(PoisonError::into_inner).contains(&node)
    }

    /// Where a node is, if the site file in force says so.
    fn place(&self, node: u16) -> Result<NodePlace, Refused> {
        let place = self.0.places.load().get(&node).cloned();
        place.ok_or_else(|| Refused::NotSo(format!("the site file in force names no node {node}")))
    }

    /// Which bus a serial port carries.
    fn line_on(&self, port: &Path) -> Option<LineId> {
        self.0.ports.load().get(&real(port)).cloned()
    }

    /// How a node is at this moment.
    async fn standing(&self, node: u16) -> Option<Standing> {
        let line = self.place(node).ok()?.line;
        let bus = self.0.buses.lock().unwrap_or_else(PoisonError::into_inner).get(&line).cloned()?;
        standings(&bus).await.into_iter().find(|standing| standing.node == node)
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
        let rekeyed = async {
            self.0.rekey.send(done).await.ok()?;
            answer.await.ok()
        };
        let done = tokio::select! {
            done = rekeyed => done,
            () = self.0.stop.cancelled() => None,
        };
        done.ok_or_else(|| Refused::Cannot("the gateway is stopping".into()))
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

/// The same port by whichever of its names.
fn real(port: &Path) -> PathBuf {
    port.canonicalize().unwrap_or_else(|_| port.to_owned())
}

fn part(node: u16) -> String {
    format!("node {node}")
}
