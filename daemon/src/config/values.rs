//! Values with their units inside, and what is wrong with those that are not.

mod addresses;
mod place;
mod plain;
pub(super) mod sharing;
pub(super) mod site;

pub(super) use addresses::{Credential, FilePath, HostPort, HttpUrl, Listen, MqttUrl, SerialSettings, TopicFilter};
pub(super) use place::{Coordinate, Point, Seen};
pub(super) use plain::{JsonPointer, Number, Pattern, Text};

use super::{
    document::did_you_mean,
    written::{Fault, Value, not},
};
use quaywatch_schemas::{
    site::Closed,
    units::{Quantity, Unit},
};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

/// A duration: `"50 ms"`, `"1.5 s"`, `"10 min"`, `"24 h"`, `"35 d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) Duration);

/// Metres: `"22 m"`, `"-4 m"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Metres(pub(super) f64);

/// Kilograms: `"1000 kg"`, `"1 t"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kilograms(pub(super) f64);

/// Newtons: `"800 kN"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Newtons(pub(super) f64);

/// Metres a second: `"14 m/s"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MetresPerSecond(pub(super) f64);

/// Degrees of angle: `"50 deg"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Angle(pub(super) f64);

/// How often something is said that is not there: a share, or for scanning sensors a number a scan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FalseAlarms(pub(super) f64);

/// A share: `0.05` or `"5 %"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub(super) f64);

/// Bytes: `"4 GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

/// A duration, or `"never"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanOrNever(pub(super) Option<Duration>);

/// An IANA time zone.
#[derive(Debug, Clone)]
pub(super) struct Zone(pub(super) jiff::tz::TimeZone, pub(super) String);

/// A UN/LOCODE.
#[derive(Debug, Clone)]
pub(super) struct Locode(pub(super) String);

/// A node's number on its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeNumber(pub(super) u16);

const DURATIONS: [(&str, f64); 6] =
    [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)];
/// Longer than any archive must keep anything; keeps arithmetic far from overflow.
const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;

impl Value for Span {
    const EXPECTED: &'static str = "a duration such as \"50 ms\", \"5 s\", \"10 min\", \"24 h\" or \"35 d\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let (number, unit) = amount(text).ok_or_else(|| not::<Self>(text, format!("write {}", Self::EXPECTED)))?;
        let Some((_, seconds)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            let near = match unit.to_lowercase().as_str() {
                "m" | "mins" | "minute" | "minutes" => "`m` is metres; minutes are `min`".into(),
                "sec" | "secs" | "second" | "seconds" => "seconds are `s`".into(),
                "hour" | "hours" | "hr" => "hours are `h`".into(),
                "day" | "days" => "days are `d`".into(),
                "µs" => "write `us`".into(),
                "" => format!("a duration needs its unit: \"{number} ms\", \"{number} s\" or \"{number} min\""),
                _ => format!("units of time are {}", DURATIONS.map(|(name, _)| name).join(", ")),
            };
            return Err(not::<Self>(text, near));
        };
        let seconds = number * seconds;
        if !(0.0..=LONGEST).contains(&seconds) {
            return Err(not::<Self>(text, "a duration is not negative and at most a hundred years"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Err(unit_missing::<Self>(&number, "\"N ms\""))
    }

    fn float(number: f64) -> Result<Self, Fault> {
        Err(unit_missing::<Self>(&number, "\"N s\""))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^ *[0-9]+(\\.[0-9]+)? *(us|ms|s|min|h|d) *$")
    }
}

impl Value for SpanOrNever {
    const EXPECTED: &'static str = "a duration such as \"150 s\", or \"never\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text == "never" { Ok(Self(None)) } else { Span::text(text).map(|span| Self(Some(span.0))) }
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Span::integer(number).map(|span| Self(Some(span.0)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(never|[0-9]+(\\.[0-9]+)? *(us|ms|s|min|h|d))$")
    }
}

macro_rules! physical {
    ($($name:ident: $quantity:ident, $expected:literal, $units:literal;)*) => {$(
        impl Value for $name {
            const EXPECTED: &'static str = $expected;

            fn text(text: &str) -> Result<Self, Fault> {
                let help = || format!("write the number and its unit; units are {}", $units);
                let (number, unit) = amount(text).ok_or_else(|| not::<Self>(text, help()))?;
                match Unit::new(unit) {
                    Ok(unit) if unit.quantity() == Quantity::$quantity => Ok(Self(unit.to_base(number))),
                    _ => Err(not::<Self>(text, help())),
                }
            }

            fn integer(number: i64) -> Result<Self, Fault> {
                Err(unit_missing::<Self>(&number, Self::EXPECTED))
            }

            fn float(number: f64) -> Result<Self, Fault> {
                Err(unit_missing::<Self>(&number, Self::EXPECTED))
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                texts(Self::EXPECTED, "^ *-?[0-9]+(\\.[0-9]+)? *[^ ]+ *$")
            }
        }
    )*};
}

physical! {
    Metres: Length, "a length such as \"22 m\"", "m, cm, mm";
    Kilograms: Mass, "a mass such as \"1000 kg\"", "kg, t, g";
    Newtons: Force, "a force such as \"800 kN\"", "kN, N";
    MetresPerSecond: Speed, "a speed such as \"14 m/s\"", "m/s, km/h, [kn_i]";
    Angle: Angle, "an angle such as \"50 deg\"", "deg";
}

impl Value for Share {
    const EXPECTED: &'static str = "a share such as 0.05 or \"5 %\"";

    fn text(text: &str) -> Result<Self, Fault> {
        match amount(text) {
            Some((number, "%")) => Self::float(number / 100.0),
            _ => Err(not::<Self>(text, format!("write {}", Self::EXPECTED))),
        }
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Self::float(number as f64)
    }

    fn float(number: f64) -> Result<Self, Fault> {
        if (0.0..=1.0).contains(&number) {
            return Ok(Self(number));
        }
        Err(Fault::new(
            format!("{number} is not {}", Self::EXPECTED),
            "a share is from 0 to 1; percent are written \"5 %\"",
        ))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": ["number", "string"], "minimum": 0, "maximum": 1 })
    }
}

impl Value for FalseAlarms {
    const EXPECTED: &'static str =
        "a share such as 0.01 or \"1 %\", or a number of false detections a scan such as 2.5";

    fn text(text: &str) -> Result<Self, Fault> {
        Share::text(text).map(|share| Self(share.0))
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Self::float(number as f64)
    }

    fn float(number: f64) -> Result<Self, Fault> {
        if (0.0..=MOST_FALSE_A_SCAN).contains(&number) {
            return Ok(Self(number));
        }
        Err(Fault::new(format!("{number} is not {}", Self::EXPECTED), "write 0 to 1, for scanning sensors up to 256"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": ["number", "string"], "minimum": 0, "maximum": 256 })
    }
}

/// A frame holds at most 256 detections.
const MOST_FALSE_A_SCAN: f64 = 256.0;

const SIZES: [(&str, u64); 7] = [
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl Value for Bytes {
    const EXPECTED: &'static str = "a size such as \"4 GiB\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let help = || format!("write the number and its unit; units are {}", SIZES.map(|(name, _)| name).join(", "));
        let (number, unit) =
            amount(text).filter(|(number, _)| *number >= 0.0).ok_or_else(|| not::<Self>(text, help()))?;
        let size = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(|| not::<Self>(text, help()))?;
        Ok(Self((number * size.1 as f64) as u64))
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Err(unit_missing::<Self>(&number, "\"4 GiB\""))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^ *[0-9]+(\\.[0-9]+)? *(kB|MB|GB|KiB|MiB|GiB|TiB) *$")
    }
}

impl Value for Closed {
    const EXPECTED: &'static str = "closed hours such as \"21:00-05:30\", or \"always\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text == "always" {
            return Ok(Self::Always);
        }
        let minute = |clock: &str| {
            let (hour, minute) = clock.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60 && clock.trim().len() == 5).then_some(hour * 60 + minute)
        };
        let hours = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
        match hours {
            Some((from, until)) if from == until => {
                Err(not::<Self>(text, "these hours begin when they end; for all day write \"always\""))
            }
            Some((from, until)) => Ok(Self::Daily { from, until }),
            None => Err(not::<Self>(
                text,
                "write local times of day, from 00:00 to 23:59: \"21:00-05:30\" goes over midnight",
            )),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(always|[0-2][0-9]:[0-5][0-9] *- *[0-2][0-9]:[0-5][0-9])$")
    }
}

impl Value for Unit {
    const EXPECTED: &'static str = "a UCUM unit such as \"kg\", \"kN\" or \"m/s\"";

    fn text(text: &str) -> Result<Self, Fault> {
        Self::new(text).map_err(|unknown| {
            let usual = match text.to_lowercase().as_str() {
                "kn" | "knots" | "kts" => "knots are \"[kn_i]\", kilonewtons \"kN\"",
                "°c" | "c" | "degc" | "celsius" => "degrees Celsius are \"Cel\"",
                "°" | "degrees" => "degrees of angle are \"deg\"",
                "kph" | "kmh" | "km/hr" => "kilometres an hour are \"km/h\"",
                "mps" | "m/sec" => "metres a second are \"m/s\"",
                "to" | "ton" | "tons" | "tonne" | "tonnes" => "tonnes are \"t\"",
                "kgs" | "kilo" => "kilograms are \"kg\"",
                "mg" => "thousandths of g are \"m[g]\"",
                _ => return Fault::new(format!("there is no unit {text:?}"), unknown.to_string()),
            };
            Fault::new(format!("there is no unit {text:?}"), usual)
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": "string" })
    }
}

impl Value for Zone {
    const EXPECTED: &'static str = "an IANA time zone such as \"Europe/Amsterdam\"";

    fn text(text: &str) -> Result<Self, Fault> {
        jiff::tz::TimeZone::get(text).map(|zone| Self(zone, text.into())).map_err(|_| {
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let near = did_you_mean(text, known.iter().map(String::as_str));
            let help = if near.starts_with("did") { near } else { "names are as in /usr/share/zoneinfo".into() };
            Fault::new(format!("there is no time zone {text:?}"), help)
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": "string" })
    }
}

impl Value for Locode {
    const EXPECTED: &'static str = "a UN/LOCODE such as \"NLRTM\"";

    fn text(text: &str) -> Result<Self, Fault> {
        // Two letters of the country and three of the place, where digits 2 to 9 may stand too.
        let place = |byte: &u8| byte.is_ascii_uppercase() || (b'2'..=b'9').contains(byte);
        let bytes = text.as_bytes();
        let good = bytes.len() == 5 && bytes[..2].iter().all(u8::is_ascii_uppercase) && bytes[2..].iter().all(place);
        if good {
            return Ok(Self(text.into()));
        }
        Err(not::<Self>(text, "it is the country's two letters and the place's three, in capitals and without a blank"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[A-Z]{2}[A-Z2-9]{3}$")
    }
}

impl TryFrom<String> for NodeNumber {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = text.parse().ok().filter(|number| (1..=65_534).contains(number));
        number.map(Self).ok_or("a node is called by its number on the bus, 1 to 65534: [nodes.7]")
    }
}

/// A number and what stands behind it.
fn amount(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end =
        text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '+')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

fn unit_missing<T: Value>(number: &dyn std::fmt::Display, example: &str) -> Fault {
    Fault::new(
        format!("{number} has no unit"),
        format!("write {}, in quotes: {}", T::EXPECTED, example.replace('N', &number.to_string())),
    )
}

/// The schema of a text.
fn texts(description: &str, pattern: &str) -> Schema {
    json_schema!({ "description": description, "type": "string", "pattern": pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_they_say() {
        for (text, millis) in [("50 ms", 50), ("1.5 s", 1500), ("10min", 600_000), (" 24 h ", 86_400_000), ("0 s", 0)] {
            assert_eq!(Span::text(text), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for (text, says) in [
            ("50", "needs its unit"),
            ("5 m", "minutes are `min`"),
            ("50 furlongs", "units of time are"),
            ("-1 s", "not negative"),
            ("1e9 d", "units of time"),
            ("999999 d", "a hundred years"),
            ("ms", "write a duration"),
            ("nan s", "write a duration"),
        ] {
            let fault = Span::text(text).unwrap_err();
            assert!(fault.help.contains(says), "{text}: {fault:?}");
        }
        assert!(Span::integer(50).unwrap_err().help.contains("\"50 ms\""));
        assert_eq!(SpanOrNever::text("never"), Ok(SpanOrNever(None)));
    }

    #[test]
    fn physical_values_come_in_any_unit_of_their_kind_and_in_no_other() {
        assert_eq!(Metres::text("-4 m"), Ok(Metres(-4.0)));
        assert_eq!(Metres::text("350 cm"), Ok(Metres(3.5)));
        assert_eq!(Kilograms::text("1.5 t"), Ok(Kilograms(1500.0)));
        assert_eq!(Newtons::text("800 kN"), Ok(Newtons(800_000.0)));
        assert!(Metres::text("22 kg").is_err() && Metres::text("22").is_err() && Metres::integer(22).is_err());
    }

    #[test]
    fn closed_hours_may_go_over_midnight_and_are_never_empty() {
        assert_eq!(Closed::text("21:00-05:30"), Ok(Closed::Daily { from: 1260, until: 330 }));
        assert_eq!(Closed::text("always"), Ok(Closed::Always));
        for bad in ["21:00", "24:00-05:00", "9:00-10:00", "05:00-05:00", "21:00-05:60", "", "21-05"] {
            assert!(Closed::text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_and_sizes_say_what_they_are_of() {
        assert_eq!(Share::text("5 %"), Ok(Share(0.05)));
        assert!(Share::float(f64::NAN).is_err() && Share::integer(5).is_err() && Share::text("5").is_err());
        assert_eq!(Bytes::text("4 GiB"), Ok(Bytes(4 << 30)));
        assert!(Bytes::text("4 GB/s").is_err() && Bytes::text("-1 GB").is_err() && Bytes::integer(4).is_err());
    }

    #[test]
    fn names_of_places_and_units_that_do_not_exist_are_refused_with_what_was_meant() {
        assert!(Locode::text("NLRTM").is_ok() && Locode::text("NL RTM").is_err() && Locode::text("nlrtm").is_err());
        assert!(Zone::text("Europe/Amsterdm").unwrap_err().help.contains("Europe/Amsterdam"));
        assert!(Unit::text("°C").unwrap_err().help.contains("\"Cel\""));
        assert!(NodeNumber::try_from("0".to_owned()).is_err() && NodeNumber::try_from("7".to_owned()).is_ok());
    }
}
