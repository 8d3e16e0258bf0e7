//! The median of the last few readings: what lasts for fewer than half of them does not come through.

/// The most readings.
const MOST: usize = 9;

/// The last readings, in the order they came.
#[derive(Debug, Clone)]
pub(super) struct Median {
    of: usize,
    readings: [f32; MOST],
    count: usize,
    next: usize,
}

impl Median {
    /// Of so many readings, 1 to 9.
    pub(super) fn of(readings: u8) -> Self {
        Self { of: usize::from(readings).clamp(1, MOST), readings: [0.0; MOST], count: 0, next: 0 }
    }

    /// Takes a reading, a number or an infinity. `None` until there are enough: the first readings are as likely wrong as
    /// any.
    pub(super) fn after(&mut self, reading: f32) -> Option<f32> {
        self.readings[self.next] = reading;
        self.next = (self.next + 1) % self.of;
        self.count = (self.count + 1).min(self.of);
        if self.count < self.of {
            return None;
        }
        let mut sorted = self.readings;
        let sorted = &mut sorted[..self.of];
        sorted.sort_unstable_by(f32::total_cmp);
        Some(sorted[self.of / 2])
    }

    /// Forgets what was read before a pause.
    pub(super) fn clear(&mut self) {
        (self.count, self.next) = (0, 0);
    }
}
