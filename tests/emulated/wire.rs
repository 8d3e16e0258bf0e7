//! The wire between the daemon's serial port and the board's: it listens, remembers, and can be cut or tapped.

use quaywatch_schemas::frame::{
    Deframer, Direction, Found, NodeKey, Sealed,
    console::ToNode,
    message::{Data, FromNode, TurnEnd},
    seal_payload,
};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    mem,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// A pseudo-terminal on the daemon's side, a socket on QEMU's.
pub struct Wire {
    /// What the site file names.
    pub path: PathBuf,
    daemon: File,
    /// Held open, so that the wire does not break when the daemon is killed.
    _held: File,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    number: u16,
    /// What it was enrolled with: whoever listens to the console hears it.
    key: Option<NodeKey>,
    node: Option<UnixStream>,
    /// A console that is plugged in instead of the daemon's line.
    console: Option<File>,
    cut: bool,
    deframer: Deframer,
    /// The bytes since the last delimiter.
    raw: Vec<u8>,
    heard: Heard,
}

/// What the node has said on the wire.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Its data frames by epoch and counter, and their bytes.
    pub data: BTreeMap<(u64, u64), (Data, Vec<u8>)>,
    /// How it ended its last turn.
    pub turn_end: Option<TurnEnd>,
    /// A whole frame that is not its own, which ends the test.
    pub wrong: Option<String>,
}

impl Wire {
    /// A wire to the node with this number.
    pub fn to(number: u16) -> Self {
        let (path, daemon, held) = terminal();
        let shared = Shared {
            number,
            key: None,
            node: None,
            console: None,
            cut: false,
            deframer: Deframer::default(),
            raw: Vec::new(),
            heard: Heard::default(),
        };
        let wire = Self { path, daemon, _held: held, shared: Arc::new(Mutex::new(shared)) };
        let (from_daemon, shared) = (wire.daemon.try_clone().expect("a file"), Arc::clone(&wire.shared));
        thread::spawn(move || to_node(from_daemon, &shared));
        wire
    }

    /// Takes the board off the line and puts a cable into it, until that is unplugged. The cable's other end.
    pub fn console(&self) -> Console<'_> {
        let (path, console, held) = terminal();
        let (mut from_console, shared) = (console.try_clone().expect("a file"), Arc::clone(&self.shared));
        lock(&self.shared).console = Some(console);
        thread::spawn(move || {
            let (mut bytes, mut deframer) = ([0; 1024], Deframer::default());
            // Ends when the cable is unplugged: nobody holds its other end then.
            while let Ok(length @ 1..) = from_console.read(&mut bytes) {
                let mut shared = lock(&shared);
                for byte in &bytes[..length] {
                    if let Some(Ok(Found::Clear(clear))) = deframer.find(*byte)
                        && let Ok(ToNode::Enrol(enrol)) = clear.message()
                    {
                        shared.key = Some(NodeKey::new(enrol.key.0));
                    }
                }
                if let Some(node) = &mut shared.node {
                    node.write_all(&bytes[..length]).expect("the wire takes it");
                }
            }
        });
        Console { path, wire: self, _held: held }
    }

    /// A socket that QEMU connects to when the board boots.
    pub fn listen(&self, socket: &Path) -> UnixListener {
        let _ = fs::remove_file(socket);
        UnixListener::bind(socket).expect("a socket")
    }

    /// Takes the board's end.
    pub fn accept(&self, listener: UnixListener) {
        let (daemon, shared) = (self.daemon.try_clone().expect("a file"), Arc::clone(&self.shared));
        thread::spawn(move || {
            let Ok((node, _)) = listener.accept() else { return };
            {
                let mut shared = lock(&shared);
                shared.node = node.try_clone().ok();
                (shared.deframer, shared.raw) = (Deframer::default(), Vec::new());
            }
            from_node(node, daemon, &shared);
        });
    }

    /// Cuts it, or joins it again.
    pub fn cut(&self, cut: bool) {
        lock(&self.shared).cut = cut;
    }

    /// Somebody else on the wire says this to the daemon. A delimiter first ends whatever is half said.
    pub fn inject(&self, frame: &[u8]) {
        let _alone = lock(&self.shared);
        (&self.daemon).write_all(&[&[0], frame].concat()).expect("the wire takes it");
    }

    /// What was heard of turns so far does not count any more.
    pub fn forget_turns(&self) {
        lock(&self.shared).heard.turn_end = None;
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        let heard = lock(&self.shared).heard.clone();
        assert_eq!(heard.wrong, None);
        heard
    }
}

/// A cable in the board's console. Dropping it unplugs it and puts the board back on its line.
pub struct Console<'a> {
    /// What is named with `--port`.
    pub path: PathBuf,
    wire: &'a Wire,
    _held: File,
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        lock(&self.wire.shared).console = None;
    }
}

/// A pseudo-terminal: its name, our end, and the other end held open, so that it does not break while nobody has it.
fn terminal() -> (PathBuf, File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&ours).expect("ours");
    unlockpt(&ours).expect("ours");
    let path: PathBuf = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("ASCII").into();
    let held = OpenOptions::new().read(true).write(true).open(&path).expect("ours");
    let mut settings = tcgetattr(&held).expect("a terminal");
    settings.make_raw();
    tcsetattr(&held, OptionalActions::Now, &settings).expect("a terminal");
    (path, File::from(ours), held)
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_node(mut daemon: File, shared: &Mutex<Shared>) {
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = daemon.read(&mut bytes) {
        let mut shared = lock(shared);
        if !shared.cut
            && shared.console.is_none()
            && let Some(node) = &mut shared.node
        {
            // A board without power hears nothing.
            let _ = node.write_all(&bytes[..length]);
        }
    }
}

fn from_node(mut node: UnixStream, mut daemon: File, shared: &Mutex<Shared>) {
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = node.read(&mut bytes) {
        let mut shared = lock(shared);
        if let Some(console) = &mut shared.console {
            let _ = console.write_all(&bytes[..length]);
        } else if !shared.cut {
            shared.remember(&bytes[..length]);
            let _ = daemon.write_all(&bytes[..length]);
        }
    }
}

impl Shared {
    fn remember(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.raw.push(*byte);
            let found = self.deframer.push(*byte);
            if *byte != 0 {
                continue;
            }
            let raw = mem::take(&mut self.raw);
            if let Some(Ok(sealed)) = found
                && let Err(wrong) = self.take(sealed, &raw)
            {
                self.heard.wrong = Some(wrong);
            }
        }
    }

    /// Opens a frame, and seals it again here: the board's build and this one must agree on every byte.
    fn take(&mut self, sealed: Sealed, raw: &[u8]) -> Result<(), String> {
        let header = *sealed.header();
        let key = self.key.as_ref().ok_or("a frame of a node that has no key")?;
        let key = key.link(Direction::NodeToGateway, self.number, header.epoch);
        let opened = sealed.open(&key).map_err(|_| format!("{header:?} does not open"))?;
        let here = seal_payload(&header, &key, &opened.payload).map_err(|e| e.to_string())?;
        if here != raw {
            return Err(format!("{header:?} is sealed differently here"));
        }
        match opened.message::<FromNode>() {
            Ok(FromNode::Data(data)) => {
                let before = self.heard.data.insert((header.epoch, header.counter), (data, raw.to_vec()));
                if before.is_some_and(|(_, before)| before != raw) {
                    return Err(format!("{header:?} with two contents"));
                }
            }
            Ok(FromNode::TurnEnd(end)) => self.heard.turn_end = Some(end),
            Ok(_) => {}
            Err(_) => return Err(format!("{header:?} does not parse")),
        }
        Ok(())
    }
}
