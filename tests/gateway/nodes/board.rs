//! A board around a real node: its clock, its pins, flash in memory, a bootloader, a console, a connection, and an ear on
//! the wire.

mod firmware;

pub use firmware::{Way, image};

use firmware::{Images, Received};
use quaywatch_node::{
    Boot, Channel, Config, Firmware, Node, Plate, ResetCause, emulation::EmulatedFlash, settings::Draft,
};
use quaywatch_schemas::frame::{Deframer, Sealed};
use quaywatch_update::PublicKey;
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// For which board its firmware is.
pub const KIND: quaywatch_update::Board = quaywatch_update::Board::Stm32f405;

/// A node that runs until it is dropped.
pub struct Board {
    shared: Arc<Mutex<Shared>>,
    chip: Chip,
    began: Instant,
    _stop: DropGuard,
}

/// What lasts while power is away.
#[derive(Clone)]
struct Chip {
    kept: EmulatedFlash,
    images: Images,
    trusts: Option<PublicKey>,
}

struct Shared {
    node: Node<EmulatedFlash, Received>,
    runs: u32,
    presence: bool,
    door: bool,
    plugged: bool,
    wire: Wire,
}

/// What went over the wire.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    /// Frames by what makes their nonce.
    pub from_gateway: BTreeMap<(u64, u64), Sealed>,
    /// The same of the node.
    pub from_node: BTreeMap<(u64, u64), Sealed>,
    /// All bytes of the node, as somebody records them.
    pub recording: Vec<u8>,
    /// Sessions of the gateway.
    pub sessions: BTreeSet<u64>,
    /// Frames whose nonce another message had before.
    pub repeated: usize,
}

impl Board {
    /// A board that nobody has told anything, with power and a connection to where nodes connect. Its firmware, version 3,
    /// trusts whoever signed with this key.
    pub fn new(port: u16, trusts: Option<PublicKey>) -> Self {
        Self::with(Chip { kept: EmulatedFlash::in_memory(16), images: Images::new(3), trusts }, port)
    }

    /// Another device with everything that is in this one's flash.
    pub fn copy(&self, port: u16) -> Self {
        let Chip { kept, images, trusts } = &self.chip;
        Self::with(Chip { kept: kept.copy(), images: images.copy(), trusts: *trusts }, port)
    }

    fn with(chip: Chip, port: u16) -> Self {
        let (runs, node) = chip.boot(ResetCause::PowerOn, 0);
        let shared = Shared { node, runs, presence: false, door: false, plugged: true, wire: Wire::default() };
        let shared = Arc::new(Mutex::new(shared));
        let (began, stop) = (Instant::now(), CancellationToken::new());
        tokio::spawn(run(Arc::clone(&shared), chip.clone(), began, port, stop.clone()));
        Self { shared, chip, began, _stop: stop.drop_guard() }
    }

    /// A cable into its console, with somebody who holds its button from now on. Its other end.
    pub fn console(&self) -> PathBuf {
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&board).expect("ours");
        unlockpt(&board).expect("ours");
        let path: PathBuf = ptsname(&board, Vec::new()).expect("a name").into_string().expect("ASCII").into();
        // Held open, so that it is there before and after the gateway opens it.
        let held = OpenOptions::new().read(true).write(true).open(&path).expect("ours");
        let mut settings = tcgetattr(&held).expect("a terminal");
        settings.make_raw();
        tcsetattr(&held, OptionalActions::Now, &settings).expect("a terminal");
        let (shared, began, mut board) = (Arc::clone(&self.shared), self.began, File::from(board));
        lock(&shared).presence = true;
        lock(&shared).node.set_presence(true);
        thread::spawn(move || {
            let _held = held;
            let mut bytes = [0; 256];
            while let Ok(length @ 1..) = board.read(&mut bytes) {
                let said = lock(&shared).node.receive(&bytes[..length], millis(began)).map(<[u8]>::to_vec);
                if said.is_some_and(|said| board.write_all(&said).is_err()) {
                    break;
                }
            }
        });
        path
    }

    /// Opens or shuts the door.
    pub fn set_door(&self, open: bool) {
        lock(&self.shared).door = open;
    }

    /// Pulls the plug of its line, or puts it in again.
    pub fn plug(&self, plugged: bool) {
        lock(&self.shared).plugged = plugged;
    }

    /// The version of what it runs.
    pub fn runs(&self) -> u32 {
        lock(&self.shared).runs
    }

    /// Blocks of images that it took, and how often it was told that an image comes.
    pub fn received(&self) -> (usize, usize) {
        self.chip.images.received()
    }

    /// Whether its lamp blinks.
    pub fn blinks(&self) -> bool {
        lock(&self.shared).node.blinks(millis(self.began))
    }

    /// Whether it has such a channel.
    pub fn has(&self, channel: Channel) -> bool {
        lock(&self.shared).node.sense(channel, false, millis(self.began)).is_ok()
    }

    /// What went over the wire until now.
    pub fn wire(&self) -> Wire {
        lock(&self.shared).wire.clone()
    }
}

impl Chip {
    /// The bootloader, and what it starts.
    fn boot(&self, reset: ResetCause, now: u64) -> (u32, Node<EmulatedFlash, Received>) {
        let (version, received) = self.images.start(self.trusts, now);
        let plate = Plate { chip: *b"quay node\0\0\0", runs: Firmware { board: KIND as u16, version } };
        let draft = Draft::default().with(Channel::Door).with(Channel::Tamper).with(Channel::Health);
        let settings = draft.with(Channel::Supply).check().expect("they can be");
        let boot = Boot { reset, entropy: 5, now };
        let config = Config::blank().on(plate).by(&settings);
        (version, Node::boot_with(config, self.kept.clone(), boot, received))
    }
}

/// The board's main loop: connects again and again, reads its pins every ten milliseconds.
async fn run(shared: Arc<Mutex<Shared>>, chip: Chip, began: Instant, port: u16, stop: CancellationToken) {
    let mut line: Option<(TcpStream, Deframer, Deframer)> = None;
    let mut bytes = [0; 1024];
    while !stop.is_cancelled() {
        {
            let (mut shared, now) = (lock(&shared), millis(began));
            let open = shared.door;
            let _ = shared.node.sense(Channel::Door, open, now);
            let _ = shared.node.sense(Channel::Tamper, false, now);
            let _ = shared.node.sense(Channel::Supply, 3.3f32, now);
            shared.node.tick(now);
            if shared.node.wants_restart(now) {
                (shared.runs, shared.node) = chip.boot(ResetCause::Software, now);
                let presence = shared.presence;
                shared.node.set_presence(presence);
            }
        }
        if !lock(&shared).plugged {
            line = None;
            tokio::time::sleep(ROUND).await;
            continue;
        }
        let Some((stream, from_gateway, from_node)) = &mut line else {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.ok();
            line = stream.map(|stream| (stream, Deframer::default(), Deframer::default()));
            if line.is_none() {
                tokio::time::sleep(ROUND).await;
            }
            continue;
        };
        match timeout(ROUND, stream.read(&mut bytes)).await {
            Err(_) => {}
            Ok(Ok(length @ 1..)) => {
                let turn = {
                    let mut shared = lock(&shared);
                    shared.wire.hear_gateway(from_gateway, &bytes[..length]);
                    let turn = shared.node.receive(&bytes[..length], millis(began)).map(<[u8]>::to_vec);
                    shared.wire.hear_node(from_node, turn.as_deref().unwrap_or_default());
                    turn
                };
                if let Some(turn) = turn
                    && stream.write_all(&turn).await.is_err()
                {
                    line = None;
                }
            }
            Ok(_) => line = None,
        }
    }
}

const ROUND: Duration = Duration::from_millis(10);

impl Wire {
    fn hear_gateway(&mut self, deframer: &mut Deframer, bytes: &[u8]) {
        for frame in frames(deframer, bytes) {
            self.sessions.insert(frame.header().epoch);
            self.repeated += hear(&mut self.from_gateway, frame);
        }
    }

    fn hear_node(&mut self, deframer: &mut Deframer, bytes: &[u8]) {
        self.recording.extend_from_slice(bytes);
        for frame in frames(deframer, bytes) {
            self.repeated += hear(&mut self.from_node, frame);
        }
    }
}

/// How many messages that are not this one had its nonce.
fn hear(heard: &mut BTreeMap<(u64, u64), Sealed>, frame: Sealed) -> usize {
    let nonce = (frame.header().epoch, frame.header().counter);
    let before = heard.insert(nonce, frame.clone());
    usize::from(before.is_some_and(|before| before != frame))
}

fn frames(deframer: &mut Deframer, bytes: &[u8]) -> Vec<Sealed> {
    bytes.iter().filter_map(|byte| deframer.push(*byte)).filter_map(Result::ok).collect()
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).expect("a test is shorter")
}
