//! The most of everything. At a bound the oldest goes, and what is counted there says so.

pub use quaywatch_schemas::situation::MOST_WEIGHT;

/// Vehicles a lane holds at once: a 60 m lane and 4 m cars make fifteen; more than eight means a loop is stuck.
pub const VEHICLES_PER_LANE: usize = 8;
/// Plate reads kept of one vehicle: a camera at 10 reads/s over the two seconds a plate is well in view.
pub const READS_PER_VEHICLE: usize = 24;
/// Reads kept of all vehicles of one opening of an arm.
pub const READS_PER_OPENING: usize = 2 * READS_PER_VEHICLE;
/// Readings of the source's clock that the offset is estimated from.
pub const OFFSETS_PER_SENSOR: usize = 64;
/// Crossings, and grants nobody has used yet, remembered while an arm is open.
pub const CROSSINGS_PER_OPENING: usize = 16;
/// Statements of all feeds together.
pub const REFERENCES: usize = 20_000;
/// Mean loads a trend is fitted to, per mooring line.
pub const LOADS_PER_SENSOR: usize = 32;
