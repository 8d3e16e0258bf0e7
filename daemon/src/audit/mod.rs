//! The audit journal: who did what to this gateway, in a chain that nobody can change unnoticed.
//!
//! ```text
//! log record ─► acts (what it says, and what a new file changed) ─► entry n: number, previous hash, …  ─► journal, synced
//!                                                                        │ every 64 entries, 30 s, stop      │
//!                                                                        └─► checkpoint, signed (Ed25519)    └─► outside recipient
//! ```
//!
//! * **Entries come from the log alone.** An act is in the log before it is carried out; the pipeline makes its entries when it
//!   takes the record. All entries of one record are one frame on disk, so a crash leaves all of them or none, and a replay
//!   makes those that are missing and no other: nothing is lost or doubled, and nobody can act without an entry.
//! * **A new file is an entry for each thing it changes** (`changes.rs`): a rule that is off or only observes, a sensor that is
//!   gone, another view of a camera. Nothing hides in "a file was applied". Local time's offsets, which change with every
//!   reading of the same file, and feeds of references, which systems of record state all day, are not entered.
//! * **The journal is the queue of its outside recipient** ([`export`]): a cursor says what it has. An export that is switched
//!   off leaves its entry there, for whoever is told next.
//! * **Bound:** 64 segments of 1 MiB (some 100,000 entries), and two years. Beyond it the oldest segment goes, sent or not, and
//!   an entry says which number and hash it ended with.
//!
//! **What this cannot do:** root on the box has the key and can write everything after the last exported checkpoint anew. What
//! an outside recipient already has cannot be changed, so the journal is worth what its recipient is.

mod acts;
mod chain;
mod changes;
pub mod export;
mod journal;
mod verify;

pub use acts::{Act, Before};
pub use chain::Head;
pub(crate) use chain::{enter, sign};
pub use journal::{Journal, JournalError, Line, Reader, Whole, read_all};
pub use verify::{Export, LogWitness, Report, verify, verify_export};

#[cfg(test)]
mod tests;
