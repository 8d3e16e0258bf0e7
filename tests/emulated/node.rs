//! A node on an emulated board.

use crate::{
    quay::{NUMBER, Quay},
    wire::Wire,
};
use quaywatch_tests::eventually;
use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Where QEMU and a loaded host are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// QEMU with a board's files. Dropping it kills it.
pub struct EmulatedNode {
    folder: TempDir,
    qemu: Option<Child>,
    options: &'static [&'static str],
}

/// The digits of the file `inputs`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Door = 1,
    Contact1 = 3,
    SupplyFails = 7,
    Presence = 8,
}

/// How much of its 8 KiB of stack a board may ever have used, in bytes: an eighth is left for interrupts that come when it is
/// deepest, and for what no test does.
pub const MOST_STACK: u64 = 7 * 1024;

/// What the image says it cost, since its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    pub us: u64,
    pub wake_ups: u64,
    pub awake_ns: u64,
    pub stack: u64,
}

impl EmulatedNode {
    /// A board that nobody has told anything. `options` are QEMU's.
    pub fn new(options: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("inputs"), "000000000").expect("writable");
        Self { folder, qemu: None, options }
    }

    /// Somebody takes it off the line, holds its button and lets the gateway tell it who it is: `quaywatch node enrol`.
    pub async fn is_enrolled(&mut self, quay: &Quay) {
        self.set(Input::Presence, true);
        let console = quay.wire.console();
        let (number, port) = (NUMBER.to_string(), console.path.display().to_string());
        let told = quay.gateway.ask(&["node", "enrol", &number, "--port", &port]);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, errors) = (said(&told.stdout), said(&told.stderr));
        assert!(told.status.success(), "{out}{errors}; the image said {:?}", self.said());
        assert!(out.contains("node 7 is enrolled: chip EMULATED 405"), "{out}");
        drop(console);
        self.set(Input::Presence, false);
    }

    /// Power comes: the board boots, with its serial port on this wire.
    pub fn power_on(&mut self, wire: &Wire) {
        let _ = fs::remove_file(self.path("meter"));
        let socket = wire.listen(&self.path("line"));
        let said = fs::File::create(self.path("said")).expect("writable");
        let qemu = Command::new("qemu-system-arm")
            .args(["-M", "netduinoplus2", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-chardev", "socket,id=line,path=line,server=off", "-serial", "chardev:line"])
            .args(self.options)
            .arg("-kernel")
            .arg(image())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap_or_else(|e| panic!("qemu-system-arm: {e}; `tests/run install` installs it"));
        self.qemu = Some(qemu);
        wire.accept(socket);
    }

    /// Power goes, in the middle of whatever the board does.
    pub fn cut_power(&mut self) {
        let Some(mut qemu) = self.qemu.take() else { return };
        let _ = qemu.kill();
        let _ = qemu.wait();
    }

    /// Changes an input.
    pub fn set(&self, input: Input, on: bool) {
        let mut file = OpenOptions::new().write(true).open(self.path("inputs")).expect("it is there");
        file.seek(SeekFrom::Start(input as u64)).expect("a file");
        file.write_all(if on { b"1" } else { b"0" }).expect("writable");
    }

    /// Waits until the board's own clock went on by this much from now: by then it has read and debounced its inputs.
    pub async fn goes_on_for(&mut self, time: Duration) {
        // What the meter says now may have been said before now.
        let stale = self.meter().await.us;
        let from = self.reaches(stale + 1).await;
        self.reaches(from + time.as_micros() as u64).await;
    }

    async fn reaches(&mut self, us: u64) -> u64 {
        eventually(PATIENCE, async || match self.meter().await.us {
            now if now >= us => Ok(now),
            now => Err(format!("the board's clock is at {now}, wanted {us}; it said {:?}", self.said())),
        })
        .await
    }

    /// What it cost until now: at most two seconds old.
    pub async fn meter(&mut self) -> Meter {
        eventually(PATIENCE, async || {
            if let Some(status) = self.qemu.as_mut().and_then(|qemu| qemu.try_wait().ok().flatten()) {
                panic!("QEMU ended with {status}; the image said {:?}", self.said());
            }
            let text = fs::read_to_string(self.path("meter")).map_err(|e| e.to_string())?;
            let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
            match numbers.as_deref() {
                Ok([us, wake_ups, awake_ns, stack]) => {
                    Ok(Meter { us: *us, wake_ups: *wake_ups, awake_ns: *awake_ns, stack: *stack })
                }
                _ => Err(format!("{text:?}; the image said {:?}", self.said())),
            }
        })
        .await
    }

    /// What its flash holds.
    pub fn flash(&self) -> Vec<u8> {
        fs::read(self.path("flash")).unwrap_or_default()
    }

    /// What the image said on the emulator's terminal.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for EmulatedNode {
    fn drop(&mut self) {
        self.cut_power();
    }
}

/// How often a node repeats itself.
pub const HEARTBEAT_MS: u32 = 10_000;

/// The image that `tests/firmware` built.
fn image() -> PathBuf {
    if let Some(path) = std::env::var_os("QUAYWATCH_EMULATED_IMAGE") {
        return path.into();
    }
    let built = Path::new("firmware/emulated/thumbv7em-none-eabihf/release/quaywatch-stm32f405");
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.ancestors().find(|path| path.join(built).is_file());
    target.unwrap_or_else(|| panic!("there is no {}: `tests/firmware` builds it", built.display())).join(built)
}
