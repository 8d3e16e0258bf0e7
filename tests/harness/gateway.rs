//! The gateway as its users run it: the binary, two files, a state folder; it can be killed at any moment.

use crate::eventually;
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

/// A gateway and its folders. Dropping it kills the process and removes the folders.
pub struct Gateway {
    /// Site file, sharing file, credentials, state, log.
    pub folder: TempDir,
    child: Option<Child>,
}

impl Gateway {
    /// Lays out the folders; does not start anything.
    pub fn new(site: &str, sharing: &str, credentials: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let gateway = Self { folder, child: None };
        fs::write(gateway.path("site.toml"), site).expect("writable");
        fs::write(gateway.path("sharing.toml"), sharing).expect("writable");
        fs::create_dir(gateway.path("credentials")).expect("writable");
        for (name, value) in credentials {
            let file = gateway.path("credentials").join(name);
            fs::write(&file, value).expect("writable");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        }
        gateway
    }

    /// A path in the gateway's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it and waits until it answers on its admin socket.
    pub async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("writable");
        let child = self
            .command("run")
            .args(["--log", "text"])
            .env("QUAYWATCH_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; `cargo build` first", binary().display()));
        self.child = Some(child);
    }

    /// Waits until it answers.
    pub async fn ready(&mut self) {
        eventually(Duration::from_secs(30), async || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            let output = self.ask(&["status", "--json"]);
            if output.stdout.starts_with(b"{") { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
        })
        .await;
    }

    /// The same as a power cut for the process: kill -9.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Asks it to stop and waits; its exit code must be 0.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let mut child = self.child.take().expect("it runs");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "the gateway ended with {status}:\n{}", self.log());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("it runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("it lives");
    }

    /// Process id while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Runs a command that touches the live gateway or its state.
    pub fn ask(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(words);
        match words.first().copied() {
            Some("audit") => command.arg("--state").arg(self.path("state")),
            Some("explain" | "replay" | "rates") => {
                command.arg("--admin").arg(self.path("admin.sock")).arg("--state").arg(self.path("state"))
            }
            Some("report") => command.arg("--state").arg(self.path("state")),
            _ => command.arg("--admin").arg(self.path("admin.sock")),
        };
        command.output().expect("the binary runs")
    }

    /// Starts a command that goes on until it is dropped.
    pub fn spawn_ask(&self, words: &[&str]) -> Talking {
        let mut command = Command::new(binary());
        command.args(words).arg("--admin").arg(self.path("admin.sock"));
        Talking::start(command)
    }

    /// Runs `quaywatch run` on the same folders once more and waits for it to end by itself.
    pub fn run_again(&self) -> Output {
        let mut command = self.command("run");
        command.stdin(Stdio::null()).output().expect("the binary runs")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .arg(name)
            .arg("--site")
            .arg(self.path("site.toml"))
            .arg("--sharing")
            .arg(self.path("sharing.toml"))
            .arg("--credentials")
            .arg(self.path("credentials"))
            .arg("--state")
            .arg(self.path("state"))
            .arg("--admin")
            .arg(self.path("admin.sock"));
        command
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log());
        }
    }
}

/// A command whose output is read while it runs.
pub struct Talking {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Talking {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut out = child.stdout.take().expect("asked for");
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut piece) {
                if sender.send(String::from_utf8_lossy(&piece[..length]).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { child, said }
    }

    /// What it said since the last time.
    pub fn read_available(&mut self) -> String {
        self.said.try_iter().collect()
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary beside the test's own.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUAYWATCH_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().find(|path| path.join("quaywatch").is_file());
    profile.unwrap_or(Path::new(".")).join("quaywatch")
}
