//! The one interface between every driver and the ledger: a [`Batch`] in, a [`Committed`] out.

use quaywatch_schemas::{Position, Record};
use tokio::sync::{mpsc, oneshot};

/// Records that belong together, and who waits to hear that they are on disk.
#[derive(Debug)]
pub struct Batch {
    /// The records, oldest first. Records of one batch get consecutive positions.
    pub records: Vec<Record>,
    /// Told after the sync; dropped without a word if the ledger could not store the batch.
    pub receipt: Option<oneshot::Sender<Committed>>,
}

/// A batch is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Position of the batch's last record, or of the last record before it if all of it were repeats.
    pub last: Position,
}

/// The ledger does not take records any more, or could not store these: the source must not be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger did not store the records")]
pub struct NotStored;

/// The ledger's bounded front door. Cloned for every line.
#[derive(Debug, Clone)]
pub struct Intake {
    batches: mpsc::Sender<Batch>,
}

impl Intake {
    /// A front door that holds at most `bound` batches; the other end is the ledger's writer.
    pub fn bounded(bound: usize) -> (Self, mpsc::Receiver<Batch>) {
        let (batches, writer) = mpsc::channel(bound);
        (Self { batches }, writer)
    }

    /// Stores records and waits until they are on disk. Waits as long as the ledger is full: use it where the source
    /// can wait too.
    pub async fn store(&self, records: Vec<Record>) -> Result<Committed, NotStored> {
        self.submit(records).await?.await.map_err(|_| NotStored)
    }

    /// Hands records over and returns the receipt to wait for, so that a line can have several batches under way.
    pub async fn submit(&self, records: Vec<Record>) -> Result<oneshot::Receiver<Committed>, NotStored> {
        let (receipt, committed) = oneshot::channel();
        self.batches.send(Batch { records, receipt: Some(receipt) }).await.map_err(|_| NotStored)?;
        Ok(committed)
    }

    /// Hands records over without waiting for anything. Gives them back if the ledger is full: use it where the source
    /// cannot wait (polls, QoS 0), count what came back, and say it later as `no-data(overload)`.
    pub fn offer(&self, records: Vec<Record>) -> Result<(), Vec<Record>> {
        self.batches.try_send(Batch { records, receipt: None }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch) => batch.records,
        })
    }
}
