//! Names that people write in the site and sharing files, parsed once so that no part has to doubt them again.

use alloc::{string::String, sync::Arc};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name has 1 to 63 lower-case letters, digits and hyphens, and starts with a letter or digit")
    }
}

impl core::error::Error for BadName {}

/// Every piece of evidence carries a sensor's name: copying one must cost nothing.
type Shared = Arc<str>;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String")]
        pub struct $name(#[cfg_attr(feature = "json-schema", schemars(with = "String"))] Shared);

        impl $name {
            /// Parses a name: 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit.
            pub fn new(text: &str) -> Result<Self, BadName> {
                well_formed(text).then(|| Self(text.into())).ok_or(BadName)
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                (*name.0).into()
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// One thing that senses, in its one role in its one zone.
    SensorId
    /// A place with a kind: lane, gate, quay, berth, yard, …
    ZoneId
    /// A connection: a broker, a Modbus device, a webhook, a node bus.
    LineId
    /// An organisation or role that may be told.
    RecipientId
    /// Who owns information, or may be given it.
    OrganisationId
    /// A named set of organisations that share one reference.
    GroupId
    /// What fails together: one PLC, one switch, one pole.
    DomainId
    /// The site this gateway stands for; the box may be replaced, the site id stays.
    SiteId
    /// Why information is used.
    Purpose
    /// A feed of references: bookings, roster, tares.
    FeedId
    /// A pattern that a site engineer wrote.
    PatternId
    /// Somebody who may sign.
    PersonId
    /// A part of an organisation, whose people work together.
    Department
}

fn well_formed(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn refuses_what_would_break_a_topic_a_path_or_a_log_line() {
        for bad in ["", "-a", "Lane", "a b", "a/b", "a.b", "é", "a\n", &"a".repeat(64)] {
            assert_eq!(SensorId::new(bad), Err(BadName), "{bad:?}");
        }
        assert_eq!(SensorId::new("loop-a").map(String::from), Ok("loop-a".to_string()));
    }
}
