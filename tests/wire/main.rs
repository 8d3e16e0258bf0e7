//! What others rely on, byte by byte. Version 1 is frozen: consumers parse the published events, and logs written today are
//! read by tomorrow's gateway.
//!
//! A test here that fails has found a change that breaks somebody: **undo your change, not this test.** What must really change
//! becomes a new version beside the old one (a new CloudEvents type, a new `RECORD_VERSION`), with a file of its own here.

mod published_v1;
mod records_v2;
