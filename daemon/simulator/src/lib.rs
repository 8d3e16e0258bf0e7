//! A port on a laptop: a seeded world with ground truth, behind the sockets that a real one would have.
//!
//! ```text
//! World (pure): what happens when, and what of it must be said ──► Truth ──────────────┐
//!   │ happenings, wind, loads                                                          ▼
//!   ▼                                                                               Scorer (pure)
//! devices: broker, PLC, cameras, nodes ─sockets─► the gateway ─sockets─► central system ──┘
//! ```
//!
//! [`world`] is a function of a seed and of time. [`devices`] are thin edges that show its state on loopback sockets, the way
//! the vendors' devices would, so that a gateway reaches them through its ordinary drivers; [`stage`] puts them up and plays
//! the world on them. [`score`] compares what the central systems were told with what was true. [`files`] are the site file
//! and the sharing file that go with it.
//!
//! [`trials`] are the same idea without sockets: hours of a gate and minutes of a quay as files, with ground truth, in the
//! formats the benchmarks read.
//!
//! **The simulator knows nothing of how a gateway comes to its conclusions, and a gateway cannot tell it from a port.**

pub mod devices;
pub mod files;
pub mod score;
pub mod stage;
pub mod trials;
pub mod world;
