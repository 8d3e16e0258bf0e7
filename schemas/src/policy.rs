//! The security officer's file, resolved: who may know what. Upstream addresses and credentials are the daemon's
//! business and not in here; the digest of the file that is in force is.

use crate::{
    marking::{Marking, Tlp},
    names::{GroupId, OrganisationId, Purpose, RecipientId, SensorId, ZoneId},
    sealed::FieldClass,
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Who may know what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The marking of every sensor that no other marking names. Without one, such sensors are releasable to nobody.
    pub default_marking: Option<Marking>,
    /// Markings of named sensors or of all sensors of named zones; a sensor's own beats its zone's.
    pub markings: Vec<ScopedMarking>,
    /// Sharing groups.
    pub groups: BTreeMap<GroupId, Group>,
    /// Recipients.
    pub recipients: BTreeMap<RecipientId, Recipient>,
}

/// A marking and what it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopedMarking {
    /// Sensors by name.
    pub sensors: Vec<SensorId>,
    /// All sensors of these zones.
    pub zones: Vec<ZoneId>,
    /// The marking.
    pub marking: Marking,
}

/// A sharing group: its members see the same reference for the same situation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Members.
    pub organisations: Vec<OrganisationId>,
}

/// An organisation or role that may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who they are.
    pub organisation: OrganisationId,
    /// The most restricted information they may have.
    pub clearance: Tlp,
    /// What they may use it for.
    pub purposes: Vec<Purpose>,
    /// Where; `None` is everywhere (a cross-zone role), written `["*"]`.
    pub zones: Option<Vec<ZoneId>>,
    /// Which kinds of situation; all if empty.
    pub kinds: Vec<KindPattern>,
    /// How each class of field is treated; a class not named is dropped, `public` is always shown.
    pub fields: BTreeMap<FieldClass, Treatment>,
    /// What counts as having been told.
    pub confirm: Confirm,
}

impl Recipient {
    /// How a class of field is treated for this recipient.
    pub fn treatment(&self, class: FieldClass) -> Treatment {
        match class {
            FieldClass::Public => Treatment::Show,
            _ => self.fields.get(&class).copied().unwrap_or(Treatment::Drop),
        }
    }

    /// Whether situations of `kind` are for this recipient.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.matches(kind))
    }

    /// Whether `zone` is this recipient's.
    pub fn covers(&self, zone: &ZoneId) -> bool {
        self.zones.as_ref().is_none_or(|zones| zones.contains(zone))
    }
}

/// A kind of situation, or all kinds of a family: `gate.tailgating`, `gate.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindPattern(pub String);

impl KindPattern {
    /// Whether `kind` is meant.
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(family) => kind.starts_with(family),
            None => self.0 == kind,
        }
    }
}

/// What happens to a class of field on the way to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// Left out as if it did not exist.
    Drop,
    /// Shortened so that it can be recognised but not looked up.
    Mask,
    /// Replaced by this organisation's own stand-in.
    Pseudonym,
    /// As it is.
    Show,
}

/// What counts as having been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// The transport took it: HTTP 2xx, or an MQTT PUBACK that names a matching subscriber.
    Transport,
    /// The consumer said so: a cumulative receipt.
    Receipt,
}
