//! Two sensor nodes that run the real firmware's decisions, and connect to the gateway as nodes with Ethernet do.
//!
//! Node 1 hangs on a post at quay 1: a passive infrared detector, an accelerometer on the fence, a seal. Node 2 hangs in the
//! roadside cabinet: its door's tamper switch and a thermometer. What is simulated is what a board does: reading pins,
//! keeping flash (in memory), carrying bytes.

use super::DeviceError;
use crate::world::{Happening, World};
use quaywatch_node::{
    Boot, Channel, Config, Node, NodeKey, ResetCause,
    emulation::EmulatedFlash,
    settings::{Draft, Motion, Sensing},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// An accelerometer is read 200 times a second.
const SAMPLE_QUAY: Duration = Duration::from_millis(5);
/// A switch is read often enough for its debounce time.
const SAMPLE_CABINET: Duration = Duration::from_millis(10);
/// A thermometer is read every so many samples.
const WARM_EVERY: u64 = 100;
/// How long to wait before the next attempt to connect.
const AGAIN: Duration = Duration::from_millis(300);
/// 64 KiB: some hours of what a node says while nobody listens.
const FLASH_PAGES: usize = 16;

/// Running nodes.
#[derive(Debug, Clone)]
pub struct Nodes {
    inputs: Arc<Mutex<Inputs>>,
}

/// What the nodes' pins see.
#[derive(Debug, Clone, Copy, Default)]
struct Inputs {
    pir: bool,
    fence_amplitude: f64,
    cabinet_open: bool,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Post {
    Quay,
    Cabinet,
}

impl Nodes {
    /// Boots both nodes; they connect to the gateway and go on trying until stopped.
    pub fn start(
        world: World,
        gateway: SocketAddr,
        keys: &[[u8; 32]; 2],
        stop: &CancellationToken,
    ) -> Result<Self, DeviceError> {
        let inputs = Arc::new(Mutex::new(Inputs::default()));
        for (post, (number, key)) in [Post::Quay, Post::Cabinet].into_iter().zip((1..).zip(keys)) {
            let mut entropy = [0; 8];
            getrandom::fill(&mut entropy).map_err(|why| DeviceError::new("a node", why))?;
            let boot = Boot { reset: ResetCause::PowerOn, entropy: u64::from_le_bytes(entropy), now: 0 };
            let node =
                Node::boot(config(post, number, NodeKey::new(*key)), EmulatedFlash::in_memory(FLASH_PAGES), boot);
            let board = Board {
                node,
                post,
                world,
                inputs: Arc::clone(&inputs),
                began: tokio::time::Instant::now(),
                samples: 0,
            };
            tokio::spawn(board.run(gateway, stop.clone()));
        }
        Ok(Self { inputs })
    }

    /// Shows what happens, as far as a pin of a node sees it.
    pub fn show(&self, happening: &Happening) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        match happening {
            Happening::Pir(moves) => inputs.pir = *moves,
            Happening::Fence { amplitude } => inputs.fence_amplitude = *amplitude,
            Happening::Cabinet { open } => inputs.cabinet_open = *open,
            _ => {}
        }
    }
}

fn config(post: Post, number: u16, key: NodeKey) -> Config {
    let draft = Draft::default().with(Channel::Tamper).with(Channel::Health);
    let draft = match post {
        Post::Quay => {
            // The detector has had power for days: it is warm.
            let warm = Motion { warm_up_ms: 0, ..Motion::default() };
            let draft = draft.with_sensing(Channel::Pir, Sensing::Motion(warm));
            draft.with(Channel::Vibration).with(Channel::Fence)
        }
        Post::Cabinet => draft.with(Channel::Temperature),
    };
    Config::new(number, key).by(&draft.check().expect("the simulator's settings are valid"))
}

/// One board: pins, clock, flash and carrier around the node's decisions.
struct Board {
    node: Node<EmulatedFlash>,
    post: Post,
    world: World,
    inputs: Arc<Mutex<Inputs>>,
    began: tokio::time::Instant,
    samples: u64,
}

impl Board {
    async fn run(mut self, gateway: SocketAddr, stop: CancellationToken) {
        let every = if self.post == Post::Quay { SAMPLE_QUAY } else { SAMPLE_CABINET };
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut carrier: Option<TcpStream> = None;
        let mut try_at = self.began;
        let mut bytes = [0; 1024];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    self.sample();
                    if carrier.is_none() && tokio::time::Instant::now() >= try_at {
                        // Loopback answers at once or not at all.
                        carrier = TcpStream::connect(gateway).await.ok();
                        if let Some(carrier) = &carrier {
                            let _ = carrier.set_nodelay(true);
                        }
                        try_at = tokio::time::Instant::now() + AGAIN;
                    }
                }
                read = read(&mut carrier, &mut bytes) => {
                    let turn = match read {
                        Ok(count) if count > 0 => {
                            let now = self.now();
                            self.node.receive(&bytes[..count], now)
                        }
                        _ => {
                            carrier = None;
                            None
                        }
                    };
                    if let (Some(turn), Some(open)) = (turn, &mut carrier)
                        && open.write_all(turn).await.is_err()
                    {
                        carrier = None;
                    }
                }
            }
        }
    }

    fn sample(&mut self) {
        let now = self.now();
        let inputs = *self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        // A channel that is not on this node refuses; all that are named here are.
        match self.post {
            Post::Quay => {
                let acceleration = self.world.fence(Duration::from_millis(now), inputs.fence_amplitude);
                let _ = self.node.sense(Channel::Pir, inputs.pir, now);
                let _ = self.node.sense(Channel::Vibration, acceleration as f32, now);
                let _ = self.node.sense(Channel::Tamper, false, now);
            }
            Post::Cabinet => {
                let _ = self.node.sense(Channel::Tamper, inputs.cabinet_open, now);
                if self.samples.is_multiple_of(WARM_EVERY) {
                    let _ = self.node.sense(Channel::Temperature, 24.5f32, now);
                }
            }
        }
        self.node.tick(now);
        self.samples += 1;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Waits for bytes; for ever if there is no carrier.
async fn read(carrier: &mut Option<TcpStream>, bytes: &mut [u8]) -> std::io::Result<usize> {
    match carrier {
        Some(carrier) => carrier.read(bytes).await,
        None => std::future::pending().await,
    }
}
