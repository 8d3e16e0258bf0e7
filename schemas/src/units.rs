//! Numbers that cannot be wrong in the ways numbers usually are.

use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

/// A number that is neither NaN nor infinite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

/// NaN or infinity where a number was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFinite;

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a finite number")
    }
}

impl core::error::Error for NotFinite {}

impl Finite {
    /// Accepts every `f64` but NaN and the infinities.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        if value.is_finite() { Ok(Self(value)) } else { Err(NotFinite) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Finite {
    type Error = NotFinite;
    fn try_from(value: f64) -> Result<Self, NotFinite> {
        Self::new(value)
    }
}

impl From<Finite> for f64 {
    fn from(value: Finite) -> f64 {
        value.0
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// Accepts 0 to 1, both included.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(NotFinite) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = NotFinite;
    fn try_from(value: f64) -> Result<Self, NotFinite> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(value: Probability) -> f64 {
        value.0
    }
}

/// A unit in UCUM's case-sensitive notation (<https://ucum.org>), such as `kg`, `t`, `kN`, `m/s`, `Cel`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Unit(String);

/// Not a unit we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownUnit;

impl fmt::Display for UnknownUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown unit; known are ")?;
        for (i, (unit, ..)) in UNITS.iter().enumerate() {
            write!(f, "{}{unit}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownUnit {}

impl Unit {
    /// Parses one of the units we know how to compare.
    pub fn new(text: &str) -> Result<Self, UnknownUnit> {
        UNITS.iter().any(|(unit, ..)| *unit == text).then(|| Self(text.to_string())).ok_or(UnknownUnit)
    }

    /// As UCUM writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it measures.
    pub fn quantity(&self) -> Quantity {
        self.row().1
    }

    /// `value` of this unit in the base unit of its quantity: kg, N, m, m/s, °C, V, 1, °, s, Pa, W, J, Hz, A.
    pub fn to_base(&self, value: f64) -> f64 {
        value * self.row().2
    }

    fn row(&self) -> &'static (&'static str, Quantity, f64) {
        UNITS.iter().find(|(unit, ..)| *unit == self.0).expect("parsed from this table")
    }
}

impl TryFrom<String> for Unit {
    type Error = UnknownUnit;
    fn try_from(text: String) -> Result<Self, UnknownUnit> {
        Self::new(&text)
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> String {
        unit.0
    }
}

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quantity {
    Mass,
    Force,
    Length,
    Speed,
    Temperature,
    Voltage,
    Ratio,
    Angle,
    Time,
    Pressure,
    Power,
    Energy,
    Frequency,
    Current,
    Acceleration,
    Illuminance,
}

/// Unit, what it measures, factor to the base unit. `[kn_i]` is the international knot, 1852 m/h.
const UNITS: &[(&str, Quantity, f64)] = &[
    ("kg", Quantity::Mass, 1.0),
    ("g", Quantity::Mass, 0.001),
    ("t", Quantity::Mass, 1000.0),
    ("N", Quantity::Force, 1.0),
    ("kN", Quantity::Force, 1000.0),
    ("m", Quantity::Length, 1.0),
    ("cm", Quantity::Length, 0.01),
    ("mm", Quantity::Length, 0.001),
    ("m/s", Quantity::Speed, 1.0),
    ("km/h", Quantity::Speed, 1.0 / 3.6),
    ("mm/h", Quantity::Speed, 1.0 / 3_600_000.0),
    ("[kn_i]", Quantity::Speed, 1852.0 / 3600.0),
    ("Cel", Quantity::Temperature, 1.0),
    ("V", Quantity::Voltage, 1.0),
    ("mV", Quantity::Voltage, 0.001),
    ("1", Quantity::Ratio, 1.0),
    ("%", Quantity::Ratio, 0.01),
    ("deg", Quantity::Angle, 1.0),
    ("s", Quantity::Time, 1.0),
    ("ms", Quantity::Time, 0.001),
    ("Pa", Quantity::Pressure, 1.0),
    ("kPa", Quantity::Pressure, 1000.0),
    ("bar", Quantity::Pressure, 100_000.0),
    ("W", Quantity::Power, 1.0),
    ("kW", Quantity::Power, 1000.0),
    ("kW.h", Quantity::Energy, 3_600_000.0),
    ("Hz", Quantity::Frequency, 1.0),
    ("A", Quantity::Current, 1.0),
    ("m/s2", Quantity::Acceleration, 1.0),
    ("[g]", Quantity::Acceleration, 9.80665),
    ("m[g]", Quantity::Acceleration, 0.009_806_65),
    ("lx", Quantity::Illuminance, 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_infinity_and_out_of_range_never_enter() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Finite::new(bad), Err(NotFinite));
            assert_eq!(Probability::new(bad), Err(NotFinite));
        }
        assert_eq!(Probability::new(1.01), Err(NotFinite));
        assert!(serde_json::from_str::<Finite>("1e400").is_err());
    }

    #[test]
    fn knots_become_metres_per_second() {
        let knots = Unit::new("[kn_i]").unwrap();
        assert!((knots.to_base(1.0) - 0.514_444).abs() < 1e-6);
    }
}
