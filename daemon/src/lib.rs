//! The gateway service: the only place where the parts meet.
//!
//! ```text
//! lines (drivers) ─► ledger: log, synced ─► pipeline: fusion, then sharing ─► ledger: outbox, synced ─► upstreams
//!        ▲                 │ receipt                                                                      │
//!        └─ acknowledges ◄─┘                    answers: seen, acknowledged, … (records too) ◄────────────┘
//! ```
//!
//! [`gateway`] starts and stops all of it; [`pipeline`] is the one consumer of the log; [`ledger`] is the promise that
//! what was acknowledged is on disk; [`config`] turns two files into types that cannot be wrong; [`upstreams`] carry
//! products out; [`audit`] is the journal of who did what; [`nodes`] keeps the keys of sensor nodes; [`admin`] is how commands reach a live gateway.
//!
//! **The daemon decides nothing about the port: decoding, fusing and releasing are pure and live in other crates. It moves
//! bytes, keeps promises about them, and says when it cannot.**

mod acts;
pub mod admin;
pub mod audit;
pub mod commands;
pub mod config;
pub mod gateway;
pub mod guards;
pub mod health;
pub mod ledger;
pub mod nodes;
pub mod pipeline;
pub mod published;
pub mod references;
pub mod telemetry;
pub mod upstreams;
