//! Dated statements by systems of record: bookings, roles, tares. A stale reference makes *unknown*, never an alarm.

use crate::{
    names::{FeedId, ZoneId},
    record::PrivateField,
    sealed::{Identity, Private},
    time::WallTime,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// What one feed states at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct References {
    /// The feed, as the site file names it.
    pub feed: FeedId,
    /// When the system of record says this was so; staleness is counted from here.
    pub as_of: WallTime,
    /// Whether these statements replace all earlier ones of the feed, or add to and overwrite them by key.
    pub complete: bool,
    /// The statements.
    pub statements: Vec<Reference>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The system's own key of the statement; a later statement with the same key replaces it.
    pub key: String,
    /// From when it holds; `None` since ever.
    pub valid_from: Option<WallTime>,
    /// Until when it holds; `None` until replaced.
    pub valid_until: Option<WallTime>,
    /// The system's version of it, for the audit trail.
    pub version: u64,
    /// What is stated.
    pub fact: Fact,
}

/// What is stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// A vehicle is expected.
    Booking(Booking),
    /// What a credential's holder may do.
    Role(Role),
    /// What a vehicle weighs empty.
    Tare { plate: Private, tare_kg: u32 },
    /// Work is allowed in a zone.
    WorkOrder { zone: ZoneId },
}

/// A vehicle is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    /// The vehicle's plate.
    pub plate: Private,
    /// Container codes it brings or fetches.
    pub containers: Vec<Private>,
    /// Declared gross mass of vehicle and load as it passes, if it was declared.
    pub declared_gross_kg: Option<u32>,
    /// Where it is expected; anywhere if empty.
    pub zones: Vec<ZoneId>,
    /// The tag on the vehicle, if it has one.
    #[serde(default)]
    pub tag: Option<Private>,
    /// Whose credential the driver will show.
    #[serde(default)]
    pub driver: Option<Identity>,
}

/// What a credential's holder may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Whose credential.
    pub holder: Identity,
    /// The role's name.
    pub role: String,
    /// Where the role may be.
    pub zones: Vec<ZoneId>,
    /// When the holder is on duty; at any time if empty.
    #[serde(default)]
    pub shifts: Vec<Shift>,
}

/// From when until when somebody is on duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    pub from: WallTime,
    pub until: WallTime,
}

impl References {
    pub(crate) fn visit_private(&mut self, visit: &mut dyn FnMut(PrivateField<'_>)) {
        for reference in &mut self.statements {
            match &mut reference.fact {
                Fact::Booking(booking) => {
                    visit(PrivateField::QuasiIdentity(&mut booking.plate));
                    booking.containers.iter_mut().for_each(|code| visit(PrivateField::QuasiIdentity(code)));
                    booking.tag.iter_mut().for_each(|tag| visit(PrivateField::QuasiIdentity(tag)));
                    booking.driver.iter_mut().for_each(|driver| visit(PrivateField::Identity(driver)));
                }
                Fact::Role(role) => visit(PrivateField::Identity(&mut role.holder)),
                Fact::Tare { plate, .. } => visit(PrivateField::QuasiIdentity(plate)),
                Fact::WorkOrder { .. } => {}
            }
        }
    }
}
