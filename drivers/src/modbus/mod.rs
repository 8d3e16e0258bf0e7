//! Modbus TCP and RTU. Read-only: no write function exists in the daemon; `link` is the one file that talks to
//! tokio-modbus, and it can say four things, all of them reads.
//!
//! | Story | File | Pure |
//! |---|---|---|
//! | which reads fetch the points | [`plan`] | yes |
//! | what registers and bits mean | [`decode`] | yes |
//! | who is asked next, who has to wait | `schedule` | yes |
//! | what an answer, a refusal or silence does to a device's reads | `polled` | yes |
//! | what is news and what could not be handed over | `report` | yes |
//! | the connection, and what goes wrong on it | `link` | no |
//! | the loop | `run` | no |
//!
//! **Identity.** Each observation's id is a hash over its sensor, this run of the connection (random) and the number of the
//! request that brought it, so an observation handed over twice is one observation; nothing is repeated over a restart.
//!
//! **Time.** A device has no clock, so the poll's time is claimed: the middle of the request, give or take half of it. Of a
//! contact or counter that changed it is only known that it did so since the poll before, so what is claimed is the middle
//! between the two, give or take half the distance.

pub mod decode;
mod link;
pub mod plan;
mod polled;
mod report;
mod run;
mod schedule;

pub use run::run;

use crate::{by_exception::Reporting, serial};
use quaywatch_schemas::{SensorId, units::Unit as UcumUnit};
use std::{fmt, time::Duration};

/// What one connection leads to. Many PLCs take one client per port, so lines that share it share the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Modbus TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Usually 502.
        port: u16,
    },
    /// Modbus RTU.
    Rtu(serial::Port),
}

/// One device on a connection and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its unit identifier, 0 to 247 or 255.
    pub unit: u8,
    /// How often everything is read.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How reads are put together.
    pub blocks: Blocks,
    /// What is read.
    pub points: Vec<Point>,
}

/// How reads are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// Registers (or bits) nobody asked for that a read may span to save another read.
    pub most_hole: u16,
    /// Most registers in one read; 125 is the protocol's limit.
    pub most_registers: u16,
    /// Most bits in one read; 2000 is the protocol's limit.
    pub most_bits: u16,
    /// For devices that refuse a read of a part of a block: each area is read in one request, from the lowest to the highest
    /// address asked for, unless [`Blocks::fixed`] says what the blocks are.
    pub whole: bool,
    /// Blocks the device insists on: reads never start or end inside one.
    pub fixed: Vec<Fixed>,
}

/// A block that is read whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// In which area.
    pub area: Area,
    /// First address, from 0.
    pub start: u16,
    /// How many.
    pub count: u16,
}

impl Place {
    /// In which area it is.
    pub fn area(&self) -> Area {
        match self {
            Self::Bit { area, .. } => Area::Bits(*area),
            Self::Register { area, .. } => Area::Registers(*area),
        }
    }
}

impl fmt::Display for Area {
    /// As the site file names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits(BitArea::Coils) => "coil",
            Self::Bits(BitArea::DiscreteInputs) => "discrete",
            Self::Registers(RegisterArea::Holding) => "holding",
            Self::Registers(RegisterArea::Input) => "input",
        })
    }
}

/// Any of the four areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Of bits.
    Bits(BitArea),
    /// Of registers.
    Registers(RegisterArea),
}

/// One value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Whose it is.
    pub sensor: SensorId,
    /// Where it is; addresses count from 0 here, whatever the site file's base is.
    pub place: Place,
    /// What it becomes.
    pub gives: Gives,
    /// What is news.
    pub reporting: Reporting,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// One bit of an area of bits.
    Bit { area: BitArea, address: u16 },
    /// One to four registers.
    Register { area: RegisterArea, address: u16, format: Format, order: Order },
}

/// Areas of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BitArea {
    /// Function 1.
    Coils,
    /// Function 2.
    DiscreteInputs,
}

/// Areas of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegisterArea {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

/// What the bits of a value mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    /// One bit of a register, 0 is the least significant.
    Bit(u8),
}

/// The order of a value's bytes on the wire, named by where the bytes A (most significant) to D of a 32-bit value are. The
/// other widths go by the same rule: the second letter pair says whether words are swapped (64 bits: the lowest word comes
/// first), the order within a pair whether bytes are (16 bits: `BADC` and `DCBA` swap the two).
///
/// The 32-bit float 123456.0 is 0x47F12000 and on the wire: `ABCD` 47F1 2000, `CDAB` 2000 47F1, `BADC` F147 0020, `DCBA`
/// 0020 F147. Other software uses the same four names for other orders; these are our definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Big-endian, as the protocol has single registers.
    #[default]
    Abcd,
    /// Low word first.
    Cdab,
    /// Bytes swapped within words.
    Badc,
    /// Little-endian.
    Dcba,
}

/// What a value becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Gives {
    /// A bit, or a register that is not zero.
    Contact {
        /// For contacts that are closed when nothing is there.
        inverted: bool,
    },
    /// A counter; a step down is a wrap at the format's width if it is near it, else a restart of the device. What is said
    /// is a total that goes on over both. Of a bit, the rising edges that polls have seen.
    Count,
    /// A physical quantity.
    Measure(Measured),
}

/// How a number becomes a quantity: `(raw * scale + offset)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The unit of the result.
    pub unit: UcumUnit,
    /// Multiplier.
    pub scale: Scale,
    /// Added after scaling, in the unit of the result.
    pub offset: f64,
    /// Raw values that mean *no value*: 0x8000, 0x7FFF, ….
    pub sentinels: Vec<i64>,
    /// Results outside are `no-data(bad value)`.
    pub range: Option<(f64, f64)>,
    /// The value counts only while this register bit has this state; where unstable values are marked, see `stable_when`.
    pub valid_when: Option<RegisterBit>,
    /// Says whether the measure has settled.
    pub stable_when: Option<RegisterBit>,
}

/// Where the multiplier comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// It is this.
    Fixed(f64),
    /// Ten to the power of minus this register's value (a decimal point), same area as the value, read in the same request.
    Register(u16),
}

/// A bit of a register in the value's own area, and the state that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterBit {
    /// Address, from 0.
    pub register: u16,
    /// 0 is the least significant.
    pub bit: u8,
    /// Whether it counts when set or when clear.
    pub set: bool,
}
