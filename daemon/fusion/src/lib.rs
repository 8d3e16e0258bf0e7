//! Records in, situations and named deadlines out.
//!
//! **Fusion knows no protocol, no recipient, no clock and no file: time is the stamp of the record it is given.**
#![no_std]

extern crate alloc;
