//! The security officer's file, resolved: who may know what. Upstream addresses and credentials are the daemon's
//! business and not in here; the digest of the file that is in force is.

use crate::{
    marking::{Marking, Tlp},
    names::{Department, GroupId, OrganisationId, PersonId, Purpose, RecipientId, SensorId, ZoneId},
    sealed::FieldClass,
    situation::Severity,
    time::WallTime,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
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
    /// Who may sign. A file without any is taken unsigned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub persons: BTreeMap<PersonId, Person>,
    /// What may be told where nothing else may, in the order in which they are looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tear_lines: Vec<TearLine>,
    /// Counts the versions of a signed file, so that an old one cannot be put back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub issue: u32,
    /// How long values about persons are kept on the gateway.
    #[serde(default, skip_serializing_if = "Retention::is_default")]
    pub retention: Retention,
    /// Whose signatures it was taken with; empty if it was taken unsigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<PersonId>,
    /// Where the audit journal is exported to, without secrets; nowhere if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
}

/// A sentence that its owner approved beforehand: what whoever may have none of the evidence is told instead of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TearLine {
    /// For which kinds of situation; all if empty.
    pub kinds: Vec<KindPattern>,
    /// Where; everywhere if `None`.
    pub zones: Option<Vec<ZoneId>>,
    /// How bad recipients are told it is, whatever the evidence says.
    pub severity: Severity,
    /// What they are told.
    pub text: String,
    /// Who may be told it.
    pub marking: Marking,
}

impl TearLine {
    /// Whether it is for a kind of situation in a zone.
    pub fn fits(&self, kind: &str, zone: &ZoneId) -> bool {
        let of_kind = self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.matches(kind));
        of_kind && self.zones.as_ref().is_none_or(|zones| zones.contains(zone))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How many whole days values about persons are kept after the day they were stored on. Then the key of that day is
/// destroyed, and with it the values in every copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Plates, container codes and tags.
    pub quasi_identity: u16,
    /// Badges, names, and raw bytes that were not understood.
    pub identity: u16,
    /// What somebody reported.
    pub source: u16,
}

impl Default for Retention {
    /// Four weeks, as a recipient has by default; five for identities, the longest window in which patterns of an insider
    /// are looked for.
    fn default() -> Self {
        Self { quasi_identity: 28, identity: 35, source: 35 }
    }
}

impl Retention {
    /// The most that may be asked for: a year.
    pub const MOST_DAYS: u16 = 366;

    /// Days for a class; the shortest of all for a class that tells nothing about a person by itself.
    pub fn days(&self, class: FieldClass) -> u16 {
        match class {
            FieldClass::QuasiIdentity => self.quasi_identity,
            FieldClass::Identity => self.identity,
            FieldClass::Source => self.source,
            _ => self.quasi_identity.min(self.identity).min(self.source),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Policy {
    /// When the next agreement after a time begins or ends: what may be told changes then without a new file.
    pub fn next_change(&self, after: WallTime) -> Option<WallTime> {
        let agreements = self.groups.values().filter_map(|group| group.agreement.as_ref());
        agreements.flat_map(|agreement| [agreement.from, agreement.until]).flatten().filter(|at| *at > after).min()
    }
}

/// Somebody who may sign what one person alone may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Where they work: two departments do not watch over each other alone.
    pub department: Department,
    /// What they are there.
    pub roles: BTreeSet<PersonRole>,
    /// What their signatures are verified with.
    pub key: PublicKey,
}

/// What a person is at the port facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PersonRole {
    /// Port facility security officer (ISPS Code A/17) or a deputy: answers for the plan, and for who may know what.
    Pfso,
    /// Data protection officer: answers for what is held on people.
    DataProtectionOfficer,
    /// Leads a shift.
    ShiftSupervisor,
    /// Works on cases, among them insiders.
    Investigator,
    /// Watches and answers; signs nothing alone.
    Operator,
}

/// An Ed25519 public key (RFC 8032): 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

/// Text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPublicKey;

impl core::fmt::Display for NotAPublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a public key is 64 hexadecimal digits, as `quaywatch sign --new-key FILE` prints them")
    }
}

impl core::error::Error for NotAPublicKey {}

impl TryFrom<String> for PublicKey {
    type Error = NotAPublicKey;
    fn try_from(text: String) -> Result<Self, NotAPublicKey> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        alloc::format!("{key}")
    }
}

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl PublicKey {
    /// Reads 64 hexadecimal digits. Whether they are a point on the curve is found when a signature is verified.
    pub fn parse(text: &str) -> Result<Self, NotAPublicKey> {
        let mut key = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAPublicKey);
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Self(key))
    }
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
    /// What the group rests on; without one it holds for as long as the file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

impl Group {
    /// Whether what is releasable to the group may be given to its members at a time.
    pub fn holds(&self, at: WallTime) -> bool {
        self.agreement.as_ref().is_none_or(|agreement| agreement.holds(at))
    }
}

/// An agreement between organisations, such as a memorandum of understanding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// What it is called where it is filed.
    pub reference: String,
    /// From when it holds; always until then if `None`.
    pub from: Option<WallTime>,
    /// Until when; for ever if `None`.
    pub until: Option<WallTime>,
}

impl Agreement {
    /// Whether it is in force at a time: from its beginning, up to its end and not at it.
    pub fn holds(&self, at: WallTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
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
