//! Whether the independent watchdog may be fed: only while every task has reported within its window.
//!
//! A watchdog that is fed from a timer proves that the timer runs. One that is fed after this question proves that
//! sampling, link and storage all do.

use crate::Millis;

/// Watches `N` tasks.
#[derive(Debug, Clone)]
pub struct Supervisor<const N: usize> {
    tasks: [Task; N],
}

#[derive(Debug, Clone, Copy)]
struct Task {
    window_ms: u32,
    reported: Millis,
}

impl<const N: usize> Supervisor<N> {
    /// Tasks by number, each with the longest time that may pass between two of its reports. All count as having
    /// reported now.
    pub fn new(windows_ms: [u32; N], now: Millis) -> Self {
        Self { tasks: windows_ms.map(|window_ms| Task { window_ms, reported: now }) }
    }

    /// A task went round. A number that nobody has is ignored: it feeds nothing.
    pub fn report(&mut self, task: usize, now: Millis) {
        if let Some(task) = self.tasks.get_mut(task) {
            task.reported = now;
        }
    }

    /// The first task that is overdue.
    pub fn overdue(&self, now: Millis) -> Option<usize> {
        self.tasks.iter().position(|task| now.saturating_sub(task.reported) > u64::from(task.window_ms))
    }

    /// Whether the watchdog may be fed.
    pub fn may_feed(&self, now: Millis) -> bool {
        self.overdue(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_that_hangs_starves_the_watchdog_however_busy_the_others_are() {
        let mut supervisor = Supervisor::new([100, 1000], 0);
        for now in (0..=1000).step_by(50) {
            supervisor.report(0, now);
            supervisor.report(9, now);
            assert!(supervisor.may_feed(now));
        }
        supervisor.report(0, 1001);
        assert_eq!((supervisor.may_feed(1001), supervisor.overdue(1001)), (false, Some(1)));
    }
}
