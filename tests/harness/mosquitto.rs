//! A real broker: Debian's mosquitto.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A running broker. It keeps its persistent sessions from `down` to `up`.
pub struct Mosquitto {
    /// Where it listens on loopback.
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker that takes anybody.
    pub fn start() -> Self {
        Self::with("allow_anonymous true\n")
    }

    /// Starts a broker with more lines of configuration.
    pub fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = crate::free_port();
        let config = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nautosave_interval 1\n\
             max_queued_messages 100000\nuser root\n{lines}",
            folder.path().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), config).expect("the folder is writable");
        let mut broker = Self { port, folder, child: None };
        broker.up();
        broker
    }

    /// Starts it if it is down.
    pub fn up(&mut self) {
        let program = program();
        let child = Command::new(&program)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; `tests/run install` installs it", program.display()));
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it the way an administrator does: it saves its sessions.
    pub fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = child.wait();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian puts it where only administrators look.
fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/mosquitto");
    if debian.exists() { debian.to_owned() } else { PathBuf::from("mosquitto") }
}
