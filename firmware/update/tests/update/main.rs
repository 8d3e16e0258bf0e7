//! Updates from the gateway's first word to the confirmed image, on flash whose power is cut in every operation.

mod chip;
mod plain;
mod refusals;
mod story;
