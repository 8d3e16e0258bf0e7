//! What is common to all lines: state that health can show, back-off, stopping.

use crate::{intake::Intake, tap::Taps};
use quaywatch_schemas::LineId;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What every line is given.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the site file.
    pub id: LineId,
    /// The ledger's front door.
    pub intake: Intake,
    /// Who is watching live.
    pub taps: Taps,
    /// Where it says how it is.
    pub status: Arc<watch::Sender<LineStatus>>,
    /// Asks it to stop: it finishes what it holds and returns.
    pub stop: CancellationToken,
}

/// How a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineStatus {
    /// Whether signals can come.
    pub state: LineState,
    /// Since when.
    pub since: Instant,
}

/// Whether signals can come over a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineState {
    /// Not connected yet.
    Starting,
    /// Signals can come.
    Up,
    /// They cannot, and why in words a site engineer understands.
    Down(String),
}

impl Default for LineStatus {
    fn default() -> Self {
        Self { state: LineState::Starting, since: Instant::now() }
    }
}

impl Line {
    /// Says how the line is; logs a change once at the level of who must act (WARN when it goes down, INFO when it comes
    /// up).
    pub fn report(&self, state: LineState) {
        self.status.send_if_modified(|status| {
            if status.state == state {
                return false;
            }
            match &state {
                LineState::Up => tracing::info!(line = %self.id, "line is up"),
                LineState::Down(why) => tracing::warn!(line = %self.id, why, "line is down"),
                LineState::Starting => {}
            }
            *status = LineStatus { state, since: Instant::now() };
            true
        });
    }
}

/// Waits before the next attempt: doubling from 0.2 s to 30 s, with up to half of it taken off at random so that many
/// gateways do not come back in step. Starts over after [`Backoff::worked`].
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    longest: Option<Duration>,
}

impl Backoff {
    /// Waits no longer than this: for links that should be used again as soon as they are back.
    pub fn at_most(longest: Duration) -> Self {
        Self { failures: 0, longest: Some(longest) }
    }

    /// The attempt worked.
    pub fn worked(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let full = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(self.longest.unwrap_or(LONGEST_WAIT));
        self.failures = self.failures.saturating_add(1);
        let mut byte = [0u8; 1];
        // Without randomness the wait is merely less spread out.
        let _ = getrandom::fill(&mut byte);
        full - full.mul_f64(f64::from(byte[0]) / 512.0)
    }
}

/// A broker that restarts is usually back in well under a second, and TARGETS ask for the first message within one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
