//! The values every part of Quaywatch shares.
//!
//! A **signal** arrives on a line and is decoded into an [`Observation`]; the ledger stamps it into a [`Stamped`]
//! [`Record`]; fusion turns records into [`Situation`]s; sharing turns a situation into one [`Product`] per recipient;
//! only products leave the gateway. Those values, and nothing that acts on them, live here. The crate is `no_std`: the
//! node frames ([`frame`]) build without a heap, everything else needs `alloc`.
//!
//! **This crate knows no clock, no socket, no file, no key and no vendor: keys and times are passed in.**
//!
//! # How these types may change
//!
//! The log and the node link hold these values as postcard: not self-describing, so the order of fields and variants
//! *is* the format. Version 1 is frozen by `tests/wire/`. A new variant goes to the end of its enum; a new field needs a
//! new record version ([`record::RECORD_VERSION`]). Published JSON carries its major version in the CloudEvents type;
//! there a field may be added, a name is never reused, and a consumer ignores what it does not know.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "json-schema")]
extern crate std;

pub mod frame;

#[cfg(feature = "alloc")]
pub mod audit;
#[cfg(feature = "alloc")]
pub mod control;
#[cfg(feature = "alloc")]
pub mod marking;
#[cfg(feature = "alloc")]
pub mod model;
#[cfg(feature = "alloc")]
pub mod names;
#[cfg(feature = "alloc")]
pub mod observation;
#[cfg(feature = "alloc")]
pub mod policy;
#[cfg(feature = "alloc")]
pub mod product;
#[cfg(feature = "alloc")]
pub mod record;
#[cfg(feature = "alloc")]
pub mod reference;
#[cfg(feature = "alloc")]
pub mod scan;
#[cfg(feature = "alloc")]
pub mod sealed;
#[cfg(feature = "alloc")]
pub mod site;
#[cfg(feature = "alloc")]
pub mod situation;
#[cfg(feature = "alloc")]
pub mod time;
#[cfg(feature = "alloc")]
pub mod units;

#[cfg(feature = "alloc")]
pub use {
    control::Control,
    model::{Calibration, Model},
    names::*,
    observation::{NoData, Observation, Reading},
    policy::Policy,
    product::{CloudEvent, Product},
    record::{DeadLetter, Position, Record, Stamp, Stamped},
    reference::Reference,
    sealed::{FieldClass, Private},
    site::Site,
    situation::Situation,
    time::{GatewayTime, WallTime},
};
