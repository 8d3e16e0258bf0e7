//! The gateway's two clocks.

use quaywatch_schemas::{
    GatewayTime, WallTime,
    time::{ClockQuality, ClockState},
};
use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Gateway time follows the monotonic clock from what the wall clock said at the start, or from just after the latest
/// time the store has seen if that is later: it never decreases, also across restarts and whatever is done to the wall
/// clock.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    base: u64,
    quality: Mutex<(Instant, ClockQuality)>,
    /// Time that a test let pass, in nanoseconds.
    #[cfg(test)]
    pub(super) passed: std::sync::atomic::AtomicU64,
}

impl Clock {
    pub(super) fn starting_after(latest: GatewayTime) -> Self {
        let wall = u64::try_from(wall_now().0).unwrap_or(0);
        let start = Instant::now();
        Self {
            start,
            base: wall.max(latest.0.saturating_add(1)),
            quality: Mutex::new((start, quality(None))),
            #[cfg(test)]
            passed: Default::default(),
        }
    }

    pub(super) fn now(&self) -> GatewayTime {
        let elapsed = self.start.elapsed().as_nanos().min(u64::MAX as u128) as u64;
        #[cfg(test)]
        let elapsed = elapsed + self.passed.load(std::sync::atomic::Ordering::Relaxed);
        GatewayTime(self.base.saturating_add(elapsed))
    }

    pub(super) fn wall(&self) -> WallTime {
        #[cfg(test)]
        return WallTime(wall_now().0 + self.passed.load(std::sync::atomic::Ordering::Relaxed).cast_signed());
        #[cfg(not(test))]
        wall_now()
    }

    /// The instant at which gateway time will be `at`; now if it is past.
    pub(super) fn instant_of(&self, at: GatewayTime) -> Instant {
        self.start + Duration::from_nanos(at.0.saturating_sub(self.base))
    }

    pub(super) fn quality(&self) -> ClockQuality {
        let mut known = self.quality.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.0.elapsed() > LOOK_AGAIN {
            *known = (Instant::now(), quality(Some(known.1)));
        }
        known.1
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What the wall clock says.
pub(crate) fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(since.as_nanos().min(i64::MAX as u128) as i64)
}

/// systemd-timesyncd and chrony's `chrony-wait`/timesync integration leave this mark once the clock was set; 100 ms is
/// systemd-timesyncd's usual error on a LAN, taken generously.
fn quality(before: Option<ClockQuality>) -> ClockQuality {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 100 };
    }
    match before {
        Some(ClockQuality { gateway: ClockState::Synchronised | ClockState::Holdover, .. }) => {
            ClockQuality { gateway: ClockState::Holdover, uncertainty_ms: 1000 }
        }
        _ => ClockQuality { gateway: ClockState::Unsynchronised, uncertainty_ms: u32::MAX },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_time_goes_on_from_the_latest_seen_even_if_the_wall_clock_went_back() {
        let far = GatewayTime(u64::try_from(wall_now().0).unwrap() + 3_600_000_000_000);
        let clock = Clock::starting_after(far);
        let first = clock.now();
        assert!(first > far);
        assert!(clock.now() >= first);
    }
}
