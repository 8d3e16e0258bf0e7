//! Watching a sensor live: what came and what was made of it, with identities masked in both.

use quaywatch_schemas::SensorId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast;

/// One signal as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    /// The signal as text, identity fields masked; for one that could not be decoded its length only.
    pub raw: String,
    /// What was made of it, identity fields masked, or why nothing was.
    pub decoded: String,
}

/// Who is watching which sensor. Costs one lock and a look-up per signal, and no formatting, while nobody watches.
#[derive(Debug, Clone, Default)]
pub struct Taps(Arc<Mutex<BTreeMap<SensorId, broadcast::Sender<Tapped>>>>);

impl Taps {
    /// Starts watching. A watcher that falls more than 64 signals behind misses the oldest.
    pub fn watch(&self, sensor: &SensorId) -> broadcast::Receiver<Tapped> {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taps.entry(sensor.clone()).or_insert_with(|| broadcast::channel(64).0).subscribe()
    }

    /// Shows a signal to whoever watches `sensor`; `show` runs only if somebody does.
    pub fn show(&self, sensor: &SensorId, show: impl FnOnce() -> Tapped) {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tap) = taps.get(sensor) else { return };
        if tap.receiver_count() == 0 {
            taps.remove(sensor);
        } else {
            let _ = tap.send(show());
        }
    }
}
