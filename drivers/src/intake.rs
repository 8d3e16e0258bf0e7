//! The one interface between every driver and the ledger: a [`Batch`] in, a [`Committed`] out.

use quaywatch_schemas::{Position, Record};
use tokio::sync::{mpsc, oneshot};

/// Records that belong together, and who waits to hear that they are on disk.
#[derive(Debug)]
pub struct Batch {
    /// The records, oldest first. Records of one batch get consecutive positions.
    pub records: Vec<Record>,
    /// For messages that carry no identity of their own but may be sent again by an acknowledging transport.
    pub delivery: Option<Delivery>,
    /// Told after the sync; dropped without a word if the ledger could not store the batch.
    pub receipt: Option<oneshot::Sender<Committed>>,
}

/// One delivery of a message by a transport that repeats what was not acknowledged (MQTT QoS 1). The ledger drops a
/// batch as a repeat only if it is marked so by the sender **and** equals one of the last [`DELIVERIES_REMEMBERED`] accepted of
/// that session, also across a restart: a loop that says 1, 0, 1 has said three things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which session: a short stable name such as `broker/alarm`.
    pub session: String,
    /// Hash of topic and payload. Its key is not secret: it tells repeats apart, it hides nothing.
    pub digest: [u8; 16],
    /// Whether the sender says it may have sent it before (MQTT DUP).
    pub repeated: bool,
}

/// How many deliveries of a session can be outstanding at once, and so be repeated: the receive maximum our MQTT
/// sessions announce.
pub const REPEAT_HORIZON: usize = 256;

/// How many accepted deliveries of a session are remembered: those on disk whose acknowledgements may still be on their way to
/// the sender. At most a receive maximum waits for receipts and not three of them for the wire.
pub const DELIVERIES_REMEMBERED: usize = 4 * REPEAT_HORIZON;

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
        self.submit(records, None).await?.await.map_err(|_| NotStored)
    }

    /// Hands records over and returns the receipt to wait for, so that a line can have several batches under way.
    pub async fn submit(
        &self,
        records: Vec<Record>,
        delivery: Option<Delivery>,
    ) -> Result<oneshot::Receiver<Committed>, NotStored> {
        let (receipt, committed) = oneshot::channel();
        let batch = Batch { records, delivery, receipt: Some(receipt) };
        self.batches.send(batch).await.map_err(|_| NotStored)?;
        Ok(committed)
    }

    /// Hands records over without waiting for anything. Gives them back if the ledger is full: use it where the source
    /// cannot wait (polls, QoS 0), count what came back, and say it later as `no-data(overload)`.
    pub fn offer(&self, records: Vec<Record>) -> Result<(), Vec<Record>> {
        self.batches.try_send(Batch { records, delivery: None, receipt: None }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch) => batch.records,
        })
    }
}
