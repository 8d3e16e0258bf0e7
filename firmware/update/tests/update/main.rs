//! Updates from the gateway's first word to the confirmed image, on flash whose power is cut in every operation.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod chip;
mod plain;
mod refusals;
mod story;
