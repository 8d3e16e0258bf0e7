//! How information may be handled.

use crate::names::{GroupId, OrganisationId, Purpose};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Traffic Light Protocol 2.0 (FIRST, 2022), least restricted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Tlp {
    /// No limit on disclosure.
    #[serde(rename = "CLEAR")]
    Clear,
    /// The community.
    #[serde(rename = "GREEN")]
    Green,
    /// The recipient's organisation and its clients, on a need-to-know basis.
    #[serde(rename = "AMBER")]
    Amber,
    /// The recipient's organisation only.
    #[serde(rename = "AMBER+STRICT")]
    AmberStrict,
    /// Named recipients only.
    #[serde(rename = "RED")]
    Red,
}

impl Tlp {
    /// As TLP 2.0 writes it, without the `TLP:` prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::AmberStrict => "AMBER+STRICT",
            Self::Red => "RED",
        }
    }
}

/// How one piece of information may be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marking {
    /// Who owns it.
    pub owner: OrganisationId,
    /// How far it may travel.
    pub tlp: Tlp,
    /// Who may be given it; nobody if empty.
    pub releasable_to: Vec<Releasable>,
    /// Why it may be used.
    pub purpose: Purpose,
    /// Days after which a recipient must delete it.
    pub delete_after_days: u16,
}

/// An organisation, or all members of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Releasable {
    /// One organisation.
    Organisation(OrganisationId),
    /// The members of a group.
    Group(GroupId),
}
