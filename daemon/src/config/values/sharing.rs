//! Values that only the sharing file has.

use super::texts;
use crate::config::written::{Fault, Value, not};
use quaywatch_schemas::{GroupId, OrganisationId, ZoneId, marking::Releasable, policy::PublicKey};
use schemars::{Schema, SchemaGenerator};

/// An organisation, or a group as `"group:NAME"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct OrganisationOrGroup(pub(in crate::config) Releasable);

/// A zone, or `"*"` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ZoneOrAll(pub(in crate::config) Option<ZoneId>);

/// A whole day where the site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Day(pub(in crate::config) jiff::civil::Date);

impl Value for OrganisationOrGroup {
    const EXPECTED: &'static str = "an organisation such as \"port-police\", or a group such as \"group:gate-2-watch\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let named = match text.strip_prefix("group:") {
            Some(group) => GroupId::new(group).map(Releasable::Group),
            None => OrganisationId::new(text).map(Releasable::Organisation),
        };
        named.map(Self).map_err(|why| not::<Self>(text, why.to_string()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(group:)?[a-z0-9][a-z0-9-]{0,62}$")
    }
}

impl Value for Day {
    const EXPECTED: &'static str = "a day such as \"2027-06-30\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
        day.map(Self).ok_or_else(|| not::<Self>(text, "write year, month and day: \"2027-06-30\""))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    }
}

impl Value for PublicKey {
    const EXPECTED: &'static str = "an Ed25519 public key: 64 hexadecimal digits";

    fn text(text: &str) -> Result<Self, Fault> {
        // Not repeated: who puts a secret key here by mistake must not find it in a log.
        Self::parse(text).map_err(|why| Fault::new("this is no public key", why.to_string()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^[0-9a-fA-F]{64}$")
    }
}

impl Value for ZoneOrAll {
    const EXPECTED: &'static str = "a zone such as \"lane-3\", or \"*\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text == "*" {
            return Ok(Self(None));
        }
        ZoneId::new(text).map(|zone| Self(Some(zone))).map_err(|why| not::<Self>(text, why.to_string()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^([a-z0-9][a-z0-9-]{0,62}|[*])$")
    }
}
