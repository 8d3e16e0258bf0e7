//! The tables of the sharing file as they are written.

use crate::config::{
    values::{
        Credential, FilePath, HttpUrl, Listen, MqttUrl, Span, Text,
        sharing::{Day, OrganisationOrGroup, ZoneOrAll},
    },
    written::{Inner, Word, Written},
};
use quaywatch_schemas::{
    Department, OrganisationId, Purpose, SensorId, ZoneId,
    marking::Tlp,
    policy::{Confirm, KindPattern, PersonRole, PublicKey, Treatment},
    situation::Severity,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) type List<T> = Option<Written<Vec<Written<T>>>>;

/// How information may be handled.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct MarkingTable {
    /// Who owns it.
    #[schemars(required)]
    pub(super) owner: Option<Written<OrganisationId>>,
    /// How far it may travel.
    #[schemars(required)]
    pub(super) tlp: Option<Written<Word<Tlp>>>,
    /// Who may be given it: organisations, and groups as "group:NAME".
    #[schemars(required)]
    pub(super) releasable_to: List<OrganisationOrGroup>,
    /// Why it may be used.
    #[schemars(required)]
    pub(super) purpose: Option<Written<Purpose>>,
    /// When a recipient must delete it, in whole days. Default: 28 d.
    pub(super) delete_after: Option<Written<Span>>,
}

/// The marking of named sensors, or of all sensors of named zones; a sensor's own beats its zone's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ScopedMarkingTable {
    /// Sensors by name.
    pub(super) sensors: List<SensorId>,
    /// All sensors of these zones.
    pub(super) zones: List<ZoneId>,
    /// Who owns it.
    #[schemars(required)]
    pub(super) owner: Option<Written<OrganisationId>>,
    /// How far it may travel.
    #[schemars(required)]
    pub(super) tlp: Option<Written<Word<Tlp>>>,
    /// Who may be given it: organisations, and groups as "group:NAME".
    #[schemars(required)]
    pub(super) releasable_to: List<OrganisationOrGroup>,
    /// Why it may be used.
    #[schemars(required)]
    pub(super) purpose: Option<Written<Purpose>>,
    /// When a recipient must delete it, in whole days. Default: 28 d.
    pub(super) delete_after: Option<Written<Span>>,
}

/// A sentence approved beforehand: what whoever may have none of the evidence is told instead of nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct TearLineTable {
    /// For which kinds of situation, such as "gate.tailgating" or "gate.*". Default: all.
    pub(super) kinds: List<KindPattern>,
    /// Where; ["*"] is everywhere.
    #[schemars(required)]
    pub(super) zones: List<ZoneOrAll>,
    /// What they are told. It must say nothing that only the evidence says.
    #[schemars(required)]
    pub(super) text: Option<Written<Text>>,
    /// How bad they are told it is, whatever the evidence says. Default: Moderate.
    pub(super) severity: Option<Written<Word<Severity>>>,
    /// Who owns it.
    #[schemars(required)]
    pub(super) owner: Option<Written<OrganisationId>>,
    /// How far it may travel.
    #[schemars(required)]
    pub(super) tlp: Option<Written<Word<Tlp>>>,
    /// Who may be given it: organisations, and groups as "group:NAME".
    #[schemars(required)]
    pub(super) releasable_to: List<OrganisationOrGroup>,
    /// Why it may be used.
    #[schemars(required)]
    pub(super) purpose: Option<Written<Purpose>>,
    /// When a recipient must delete it, in whole days. Default: 28 d.
    pub(super) delete_after: Option<Written<Span>>,
}

/// A sharing group: its members see the same reference for the same situation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct GroupTable {
    /// Members.
    #[schemars(required)]
    pub(super) organisations: List<OrganisationId>,
    /// The agreement it rests on, as it is called where it is filed.
    pub(super) agreement: Option<Written<Text>>,
    /// Its first day, local; needs `agreement`.
    pub(super) from: Option<Written<Day>>,
    /// Its last day, local; needs `agreement`.
    pub(super) until: Option<Written<Day>>,
}

/// An organisation or role that may be told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RecipientTable {
    /// Who they are.
    #[schemars(required)]
    pub(super) organisation: Option<Written<OrganisationId>>,
    /// The most restricted information they may have.
    #[schemars(required)]
    pub(super) clearance: Option<Written<Word<Tlp>>>,
    /// What they may use it for.
    #[schemars(required)]
    pub(super) purposes: List<Purpose>,
    /// Where; ["*"] is everywhere.
    #[schemars(required)]
    pub(super) zones: List<ZoneOrAll>,
    /// Which kinds of situation, such as "gate.tailgating" or "gate.*". Default: all.
    pub(super) kinds: List<KindPattern>,
    /// How each class of field is treated; a class not named is dropped.
    pub(super) fields: Option<Written<FieldsTable>>,
    /// The way to reach them.
    #[schemars(required)]
    pub(super) upstream: Option<Written<UpstreamTable>>,
    /// Proves the recipient where it posts answers to us, as credential:NAME.
    pub(super) answer_token: Option<Written<Credential>>,
}

/// How each class of field is treated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct FieldsTable {
    /// Always shown.
    pub(super) public: Option<Written<Word<Treatment>>>,
    /// What happened and what to do.
    pub(super) operational: Option<Written<Word<Treatment>>>,
    /// Plates and container codes.
    pub(super) quasi_identity: Option<Written<Word<Treatment>>>,
    /// Badges and names.
    pub(super) identity: Option<Written<Word<Treatment>>>,
    /// Who reported.
    pub(super) source: Option<Written<Word<Treatment>>>,
    /// How it is known.
    pub(super) method: Option<Written<Word<Treatment>>>,
    /// Links to pictures and video.
    pub(super) media: Option<Written<Word<Treatment>>>,
}

impl Inner for FieldsTable {
    const EXPECTED: &'static str = "a table such as { operational = \"show\", quasi-identity = \"mask\" }";
}

/// The way to a recipient: `mqtt` with a `topic`, or `http`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamTable {
    /// An MQTT 5 broker.
    pub(super) mqtt: Option<Written<MqttUrl>>,
    /// MQTT: products go below it, answers come back below it; {site}, {recipient} and {locode} are filled in.
    pub(super) topic: Option<Written<Text>>,
    /// An HTTP endpoint that takes CloudEvents.
    pub(super) http: Option<Written<HttpUrl>>,
    /// What counts as having been told. Default: receipt for mqtt, transport for http.
    pub(super) confirm: Option<Written<Word<Confirm>>>,
    /// MQTT: user name.
    pub(super) user: Option<Written<Text>>,
    /// MQTT: password, as credential:NAME.
    pub(super) password: Option<Written<Credential>>,
    /// HTTP: sent as Authorization: Bearer, as credential:NAME.
    pub(super) token: Option<Written<Credential>>,
    /// TLS: certificates (PEM) of who may vouch for the server. Default: the public authorities.
    pub(super) ca: Option<Written<FilePath>>,
    /// TLS: our own certificate chain (PEM).
    pub(super) certificate: Option<Written<FilePath>>,
    /// TLS: the certificate's key (PEM), as credential:NAME.
    pub(super) key: Option<Written<Credential>>,
}

impl Inner for UpstreamTable {
    const EXPECTED: &'static str =
        "a table such as { mqtt = \"mqtts://c2.example:8883\", topic = \"qw/{site}/{recipient}\" }";
}

/// Somebody who may sign what one person alone may not do, and change this file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PersonTable {
    /// Where they work.
    #[schemars(required)]
    pub(super) department: Option<Written<Department>>,
    /// What they are there.
    #[schemars(required)]
    pub(super) roles: List<Word<PersonRole>>,
    /// What their signatures are verified with, as `quaywatch sign --new-key FILE` prints it.
    #[schemars(required)]
    pub(super) key: Option<Written<PublicKey>>,
}

/// How long values about persons are kept on the gateway, in whole days after the day they were stored on; then their key
/// is destroyed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RetentionTable {
    /// Plates, container codes and tags, and whole products that wait for a recipient. Default: 28 d.
    pub(super) quasi_identity: Option<Written<Span>>,
    /// Badges, names, and what could not be understood. Default: 35 d.
    pub(super) identity: Option<Written<Span>>,
    /// What somebody reported. Default: 35 d.
    pub(super) source: Option<Written<Span>>,
}

/// This file itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct FileTable {
    /// Raised with every change of a signed file, so that an old one cannot be put back. Default: 0, which counts nothing.
    pub(super) issue: Option<Written<u32>>,
}

/// Who outside gets the audit journal: somebody whom nobody at this site can make forget.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AuditTable {
    /// The way to them. MQTT: entries go to `journal` below the topic; {recipient} is "audit".
    #[schemars(required)]
    pub(super) upstream: Option<Written<UpstreamTable>>,
}

/// Where recipients may post answers, receipts and requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AnswersTable {
    /// Address and port of this box.
    #[schemars(required)]
    pub(super) listen: Option<Written<Listen>>,
    /// Certificate chain (PEM); plain HTTP without it.
    pub(super) certificate: Option<Written<FilePath>>,
    /// The certificate's key (PEM), as credential:NAME.
    pub(super) key: Option<Written<Credential>>,
}
