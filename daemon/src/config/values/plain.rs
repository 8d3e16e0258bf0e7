//! Texts, numbers, names and words.

use super::texts;
use crate::config::{
    document::did_you_mean,
    written::{Fault, Value, Vocabulary, not},
};
use quaywatch_schemas::{
    Department, DomainId, FieldClass, GroupId, LineId, OrganisationId, PatternId, Purpose, SensorId, SiteId, ZoneId,
    marking::Tlp,
    policy::{Confirm, KindPattern, PersonRole, Treatment},
    site::{Clock, Direction, Role, Status, ZoneKind, patterns::FAMILY, rules::Mode},
};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Text(pub(in crate::config) String);

/// A number that is neither NaN nor infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Number(pub(in crate::config) f64);

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct JsonPointer(pub(in crate::config) String);

/// A pattern for a line of text, with the named groups `value`, `unit`, `stable` and `sign`.
#[derive(Debug, Clone)]
pub(in crate::config) struct Pattern(pub(in crate::config) regex::bytes::Regex);

impl Value for Text {
    const EXPECTED: &'static str = "a text in quotes";

    fn text(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
            return Err(Fault::new(
                "this text is empty, too long or has control characters",
                "write 1 to 1024 letters",
            ));
        }
        Ok(Self(text.into()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 1024 })
    }
}

impl Value for Number {
    const EXPECTED: &'static str = "a number such as 0.5";

    fn integer(number: i64) -> Result<Self, Fault> {
        Ok(Self(number as f64))
    }

    fn float(number: f64) -> Result<Self, Fault> {
        if number.is_finite() {
            return Ok(Self(number));
        }
        Err(Fault::new(format!("{number} is not a number to work with"), "write a finite number"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn text(text: &str) -> Result<Self, Fault> {
        let help = match text {
            "true" | "false" => format!("write {text} without quotes"),
            _ => "write true or false, without quotes".into(),
        };
        Err(not::<Self>(text, help))
    }

    fn boolean(truth: bool) -> Result<Self, Fault> {
        Ok(truth)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

macro_rules! whole {
    ($($type:ident, $expected:literal;)*) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn integer(number: i64) -> Result<Self, Fault> {
                Self::try_from(number).map_err(|_| {
                    Fault::new(format!("{number} is not {}", Self::EXPECTED), format!("write {}", Self::EXPECTED))
                })
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": Self::EXPECTED, "type": "integer" })
            }
        }
    )*};
}

whole! {
    u8, "a whole number from 0 to 255";
    u16, "a whole number from 0 to 65535";
    u32, "a whole number from 0 to 4294967295";
    i64, "a whole number";
}

impl Value for JsonPointer {
    const EXPECTED: &'static str = "a JSON pointer such as \"/data/0/speed\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.starts_with('/') {
            return match text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1'])) {
                true => Ok(Self(text.into())),
                false => {
                    Err(not::<Self>(text, "in a pointer `~` is written `~0` and `/` inside a name `~1` (RFC 6901)"))
                }
            };
        }
        let dotted = text.trim_start_matches('$').trim_start_matches('.').replace(['.', '['], "/").replace(']', "");
        Err(not::<Self>(text, format!("a pointer starts with a slash: \"/{dotted}\"; \"\" is the whole message")))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(/([^~]|~[01])*)?$")
    }
}

impl Value for Pattern {
    const EXPECTED: &'static str = "a regular expression with a group `value`";

    fn text(text: &str) -> Result<Self, Fault> {
        const MOST_BYTES: usize = 1 << 20;
        let pattern = regex::bytes::RegexBuilder::new(text).size_limit(MOST_BYTES).build();
        let pattern = pattern.map_err(|why| {
            let words = why.to_string();
            let last = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Fault::new(
                format!("this pattern is not a regular expression: {last}"),
                "in TOML, write patterns in 'single quotes': a backslash then stays as it is",
            )
        })?;
        let groups: Vec<&str> = pattern.capture_names().flatten().collect();
        if !groups.contains(&"value") {
            return Err(Fault::new(
                "this pattern does not say where the value is",
                "name the group: (?<value>[0-9.]+)",
            ));
        }
        if let Some(other) = groups.iter().find(|group| !["value", "unit", "stable", "sign"].contains(*group)) {
            let what = format!("this pattern has a group `{other}` that nobody reads");
            return Err(Fault::new(what, did_you_mean(other, ["value", "unit", "stable", "sign"])));
        }
        Ok(Self(pattern))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": "string", "format": "regex" })
    }
}

macro_rules! names {
    ($($name:ident)*) => {$(
        impl Value for $name {
            const EXPECTED: &'static str = "a name such as \"lane-3\"";

            fn text(text: &str) -> Result<Self, Fault> {
                Self::new(text).map_err(|why| not::<Self>(text, why.to_string()))
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                texts("A name", "^[a-z0-9][a-z0-9-]{0,62}$")
            }
        }
    )*};
}

names!(SensorId ZoneId LineId OrganisationId GroupId DomainId SiteId Purpose Department);

impl Value for KindPattern {
    const EXPECTED: &'static str = "a kind of situation such as \"gate.tailgating\" or \"gate.*\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let pattern = Self(text.into());
        let kinds =
            || quaywatch_fusion::rule_kinds().iter().map(|rule| rule.kind).chain([quaywatch_fusion::PATTERN_STOPPED]);
        let wild_inside = text.trim_end_matches('*').contains('*') || text.ends_with("**");
        // Which patterns a site has is known where the site is: see `recipients.rs`.
        let of_pattern = text.strip_prefix(FAMILY).is_some_and(|name| name == "*" || PatternId::new(name).is_ok());
        if !wild_inside && !text.is_empty() && (of_pattern || kinds().any(|kind| pattern.matches(kind))) {
            return Ok(pattern);
        }
        let near = did_you_mean(text, kinds());
        Err(Fault::new(
            format!("no situation is of kind {text:?}"),
            format!("{near}\na family is written \"gate.*\"; leave `kinds` out for all"),
        ))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[a-z0-9.-]+\\*?$")
    }
}

macro_rules! vocabularies {
    ($($type:ident, $noun:literal, $expected:literal;)*) => {$(
        impl Vocabulary for $type {
            const NOUN: &'static str = $noun;
            const EXPECTED: &'static str = $expected;
        }
    )*};
}

vocabularies! {
    Role, "role", "a role such as \"loop.exit\"";
    ZoneKind, "kind of zone", "a kind of zone such as \"lane\"";
    Direction, "direction", "a direction such as \"in\"";
    Clock, "clock", "a clock, \"free\" or \"synchronised\"";
    Status, "status", "a status such as \"actual\"";
    Mode, "mode", "a mode, \"observe\" or \"tell\"";
    Tlp, "TLP marking", "a TLP 2.0 marking such as \"AMBER\"";
    Treatment, "treatment", "a treatment such as \"show\"";
    FieldClass, "class of field", "a class of field such as \"operational\"";
    PersonRole, "role", "a role such as \"pfso\"";
    Confirm, "confirmation", "a confirmation, \"transport\" or \"receipt\"";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_another_notation_is_turned_into_the_pointer_that_was_meant() {
        assert!(JsonPointer::text("$.data[0].speed").unwrap_err().help.contains("\"/data/0/speed\""));
        assert!(
            JsonPointer::text("").is_ok() && JsonPointer::text("/a~1b").is_ok() && JsonPointer::text("/a~2").is_err()
        );
    }

    #[test]
    fn a_pattern_must_say_where_the_value_is_and_name_no_other_group() {
        assert!(Pattern::text("(?<stable>ST|US),(?<sign>[+-])?(?<value>[0-9.]+)(?<unit>kg|t)").is_ok());
        for bad in ["([0-9]+)", "(?<value>[0-9]+", "(?<value>x)(?<weight>y)", "(?<value>(x{1000}){1000})"] {
            assert!(Pattern::text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kind_that_no_rule_says_is_refused() {
        assert!(KindPattern::text("gate.*").is_ok() && KindPattern::text("gate.tailgating").is_ok());
        assert!(KindPattern::text("gate.tailgate").unwrap_err().help.contains("gate.tailgating"));
        assert!(KindPattern::text("*.tailgating").is_err() && KindPattern::text("").is_err());
        assert!(KindPattern::text("*").is_ok());
        assert!(KindPattern::text("site.follower").is_ok() && KindPattern::text("site.*").is_ok());
        assert!(KindPattern::text("site.Follower").is_err() && KindPattern::text("site.").is_err());
    }
}
