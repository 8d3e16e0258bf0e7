//! Places in the site's grid: corners, where a sensor stands, what it sees.

use super::{Metres, amount, not};
use crate::config::{
    site::SectorTable,
    written::{Fault, Value, Written},
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{IgnoredAny, MapAccess, SeqAccess};

/// Metres along one axis of the site's grid, with or without the unit: `12.5`, `"12.5 m"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Coordinate(pub(in crate::config) f64);

/// A corner: `[x, y]` in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Point(pub(in crate::config) f64, pub(in crate::config) f64);

/// What a sensor sees: a sector around its axis, or a polygon.
#[derive(Debug)]
pub(in crate::config) enum Seen {
    /// From its mount, as far and as wide as the table says.
    Sector(SectorTable),
    /// Corners in the site's grid.
    Polygon(Vec<Written<Point>>),
}

/// Metres from the origin of a site's grid. Beyond it a tangent plane is no longer the Earth.
const FARTHEST: f64 = 100_000.0;

impl Value for Coordinate {
    const EXPECTED: &'static str = "a place on an axis in metres such as 12.5 or \"12.5 m\"";

    fn text(text: &str) -> Result<Self, Fault> {
        match amount(text) {
            Some((number, "")) => Err(not::<Self>(text, format!("write {number} without quotes, or \"{number} m\""))),
            _ => Metres::text(text).and_then(|metres| Self::float(metres.0)),
        }
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Self::float(number as f64)
    }

    fn float(number: f64) -> Result<Self, Fault> {
        if number.abs() <= FARTHEST {
            return Ok(Self(number));
        }
        Err(Fault::new(
            format!("{number} m is not in a site's grid"),
            "write metres from the grid's origin, at most 100000 to each side",
        ))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": ["number", "string"] })
    }
}

impl Value for Point {
    const EXPECTED: &'static str = "a corner such as [12.5, -3] in metres";

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Result<Self, Fault>, A::Error> {
        let (x, y) = (list.next_element::<Written<Coordinate>>()?, list.next_element::<Written<Coordinate>>()?);
        let mut more = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        Ok(match (x, y, more) {
            (Some(x), Some(y), 0) => x.into_value().and_then(|x| y.into_value().map(|y| Self(x.0, y.0))),
            _ => Err(Fault::new("a corner is two numbers", format!("write {}", Self::EXPECTED))),
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = Coordinate::schema(generator);
        json_schema!({ "description": Self::EXPECTED, "type": "array", "minItems": 2, "maxItems": 2, "items": items })
    }
}

impl Value for Seen {
    const EXPECTED: &'static str =
        "a view such as { range = \"110 m\", half_angle = \"50 deg\" }, or corners such as [[0, 0], [40, 0], [40, 20]]";

    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<Result<Self, Fault>, A::Error> {
        Ok(<Vec<Written<Point>> as Value>::list(list)?.map(Self::Polygon))
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Result<Self, Fault>, A::Error> {
        Ok(<SectorTable as Value>::table(table)?.map(Self::Sector))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let sector = generator.subschema_for::<SectorTable>();
        let corner = Point::schema(generator);
        json_schema!({ "anyOf": [sector, { "type": "array", "minItems": 3, "items": corner }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_an_axis_is_metres_and_near() {
        assert_eq!(Coordinate::text("350 cm"), Ok(Coordinate(3.5)));
        assert_eq!(Coordinate::integer(-12), Ok(Coordinate(-12.0)));
        assert!(Coordinate::text("12").unwrap_err().help.contains("12 without quotes"));
        for bad in [f64::NAN, f64::INFINITY, 1e6] {
            assert!(Coordinate::float(bad).is_err(), "{bad}");
        }
        assert!(Coordinate::text("12 kg").is_err());
    }
}
