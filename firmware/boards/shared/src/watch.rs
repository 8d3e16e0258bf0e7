//! Which tasks a board watches, and who feeds its watchdog.

use core::cell::RefCell;
use critical_section::Mutex;
use embassy_time::{Duration, Instant, Timer};
use quaywatch_node::supervisor::Supervisor;

/// What an independent watchdog waits for at least, in microseconds. The F405's is clocked by an oscillator of 17 to
/// 47 kHz (data sheet, LSI), so that it may bite after 5.4 s already; that is longer than a node task's window and a feeding.
pub const WATCHDOG_US: u32 = 8_000_000;
/// A node task that formats flash is away for up to 4.7 s (F405 data sheet, slowest: sectors of 16, 64 and 128 KiB take 0.5,
/// 1.1 and 2 s, and one of them is erased twice); one that turns a page over for up to 3.1 s.
pub const NODE_WINDOW_MS: u32 = 5_000;
/// The lamp's longest pattern takes two seconds.
pub const LAMP_WINDOW_MS: u32 = 3_000;

const FEED_EVERY: Duration = Duration::from_millis(250);

/// The tasks of a board: its node with the line, and the lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Sampling, deciding, flash and line.
    Node,
    /// The lamp, and whatever a board measures beside it.
    Lamp,
}

/// The supervisor as tasks share it.
pub struct Watch(Mutex<RefCell<Option<Supervisor<2>>>>);

impl Watch {
    /// Nothing is watched yet, and nothing is fed.
    pub const fn new() -> Self {
        Self(Mutex::new(RefCell::new(None)))
    }

    /// From now on every task is expected to report.
    pub fn begin(&self) {
        let supervisor = Supervisor::new([NODE_WINDOW_MS, LAMP_WINDOW_MS], Instant::now().as_millis());
        critical_section::with(|cs| *self.0.borrow_ref_mut(cs) = Some(supervisor));
    }

    /// A task went round.
    pub fn report(&self, task: Task) {
        let now = Instant::now().as_millis();
        critical_section::with(|cs| {
            if let Some(supervisor) = &mut *self.0.borrow_ref_mut(cs) {
                supervisor.report(task as usize, now);
            }
        });
    }

    /// Feeds the watchdog for as long as every task reports in time.
    pub async fn feed(&self, mut feed: impl FnMut()) -> ! {
        loop {
            let now = Instant::now().as_millis();
            if critical_section::with(|cs| self.0.borrow_ref(cs).as_ref().is_some_and(|watched| watched.may_feed(now)))
            {
                feed();
            }
            Timer::after(FEED_EVERY).await;
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
