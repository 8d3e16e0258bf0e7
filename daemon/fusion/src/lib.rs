//! Records in, situations and named deadlines out.
//!
//! [`Engine::observe`] is given one stamped record after another. It first fires every deadline that was due before the
//! record's stamp, then works out what the record changes: the sensor's health, the lane's passages, the zone's belief, and
//! through them the rules. [`Engine::advance`] says that time passed and nothing came. Both give back situations, with
//! everything their explanation needs.
//!
//! The same records give the same situations byte for byte, whatever the interleaving of `advance` and wherever a snapshot
//! was taken and restored: there is no clock, no randomness, no unordered map, and floating point goes through one `libm`
//! in one order. Every buffer has a bound ([`bounds`]).
//!
//! | I want to | Look at |
//! |---|---|
//! | look for something without a rule | `patterns/`: what the site file says, as automata |
//! | add a rule | one file in `rules/`, one line in `rules/mod.rs` |
//! | know why something was said | [`quaywatch_schemas::situation::Evidence`], made in `evidence.rs` |
//! | know when an absence counts | `health.rs` |
//! | know when something was | `source_time.rs` |
//! | know which vehicle it was | `passages.rs`, then `identity.rs` |
//! | know what verdicts change, and when | `learning.rs`, `calibration.rs` |
//! | know what weather does to a sensor's word | `rules/conditions.rs` |
//!
//! **Fusion knows no protocol, no recipient, no clock and no file: time is the stamp of the record it is given.**
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bounds;
pub mod calibration;
mod engine;
mod evidence;
mod guard;
mod health;
mod identity;
mod index;
mod kinds;
mod lane;
pub mod learning;
mod passages;
mod patterns;
mod plates;
mod references;
mod rules;
mod source_time;
mod sun;
mod tracks;
mod trails;

pub use engine::{Deadline, Engine, RestoreError};
pub use guard::{BadGuard, Facts, Guard, Guards, StepFacts};
pub use health::SensorHealth;
pub use kinds::{RoleUse, RuleKind, rule_kinds};
pub use learning::{Learner, model_id};
pub use patterns::{PATTERN_STOPPED, PatternState, sensors_of, zones_of};
pub use tracks::{TrackCounts, TrackView};
