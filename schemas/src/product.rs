//! What leaves the gateway: products and the few other messages of a recipient's stream, as CloudEvents 1.0 JSON.
//!
//! A product is one recipient's full view of a situation, never a difference. It is built up from allowed fields, so a
//! field that is not here was not allowed. Numbers (`sequence`) exist only for products that were enqueued for this
//! recipient; a withheld product never had one, so a gap always means loss and nothing else.
//!
//! Evolution: the CloudEvents `type` carries the major version (`….v1`); within it fields may be added, consumers ignore
//! what they do not know, and a name is never reused with another meaning.

use crate::{
    marking::Tlp,
    sealed::FieldClass,
    site::Status,
    situation::{Certainty, Phase, Severity, Urgency},
    time::ClockQuality,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A CloudEvents 1.0 event in JSON format with our extensions (<https://github.com/cloudevents/spec>, v1.0.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct CloudEvent<Data> {
    /// Always `1.0`.
    #[cfg_attr(feature = "json-schema", schemars(extend("const" = "1.0")))]
    pub specversion: String,
    /// `org.quaywatch.situation.opened.v1` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// `/quaywatch/<locode>/<site>/<recipient>`.
    pub source: String,
    /// `<epoch>.<sequence>`; with `source` the key to drop repeats by.
    #[cfg_attr(feature = "json-schema", schemars(length(min = 1)))]
    pub id: String,
    /// 20 digits, zero-padded; absent on messages that are not numbered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9]{20}$")))]
    pub sequence: Option<String>,
    /// Changes when the numbering began anew; hexadecimal.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{1,16}$")))]
    pub epoch: String,
    /// When it was concluded, RFC 3339 UTC.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub time: String,
    /// The zone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// Always `application/json`.
    #[cfg_attr(feature = "json-schema", schemars(extend("const" = "application/json")))]
    pub datacontenttype: String,
    /// `<locode>/<site>/<zone>`: order is promised within it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partitionkey: Option<String>,
    /// The situation's reference, the same as `data.ref`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlationid: Option<String>,
    /// Traffic Light Protocol 2.0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tlp: Option<Tlp>,
    /// ISPS security level, 1 to 3.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = 3)))]
    pub seclevel: Option<u8>,
    /// What it says.
    pub data: Data,
}

impl<Data> CloudEvent<Data> {
    /// A message without a number, on no zone.
    pub fn unnumbered(kind: &str, source: String, id: String, epoch: &str, time: String, data: Data) -> Self {
        Self {
            specversion: "1.0".into(),
            kind: kind.into(),
            source,
            id,
            sequence: None,
            epoch: epoch.into(),
            time,
            subject: None,
            datacontenttype: "application/json".into(),
            partitionkey: None,
            correlationid: None,
            tlp: None,
            seclevel: None,
            data,
        }
    }
}

/// One recipient's view of a situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Product {
    /// Short reference, readable over a radio; the same for all members of a sharing group.
    #[serde(rename = "ref")]
    pub reference: String,
    /// This recipient's own count of products on this situation, from 1.
    pub revision: u32,
    /// Where in its life the situation is.
    pub phase: Phase,
    /// The revision this product replaces.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub supersedes: Option<u32>,
    /// Whether it is meant.
    pub status: Status,
    /// Whether it is sent after the fact (backlog of an outage or evidence from history).
    pub late: bool,
    /// What kind of thing, dotted.
    pub kind: String,
    /// How bad (CAP 1.2).
    pub severity: Severity,
    /// How soon (CAP 1.2).
    pub urgency: Urgency,
    /// How sure (CAP 1.2).
    pub certainty: Certainty,
    /// How probable; class `method`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 0, max = 1)))]
    pub probability: Option<f64>,
    /// Source reliability and information credibility, two axes; class `method`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grading: Option<Grading>,
    /// Where.
    pub zone: ZoneName,
    /// Since when, RFC 3339 UTC.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub from: String,
    /// Until when; null while it goes on.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub until: Option<String>,
    /// How far the times can be trusted.
    pub time_quality: ClockQuality,
    /// All that matters in a few sentences: where, what, when (local), how sure, what to do.
    pub text: String,
    /// What was seen; class `operational`, as are assessment, action and missing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub facts: Vec<String>,
    /// What is made of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assessment: Option<String>,
    /// What else it could be; class `method`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub alternatives: Vec<ProductAlternative>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// Who or what it is about; values by their own class.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subjects: Vec<ProductSubject>,
    /// Log-odds before evidence; class `method`. `prior`, the `weight` of all evidence that is in no group of `capped`, and
    /// `capped[].after` add up to the score; `probability` is what such scores have turned out to mean.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prior: Option<f64>,
    /// What spoke for and against; class `method`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<ProductEvidence>,
    /// Evidence that fails together and counts as one term; class `method`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub capped: Vec<ProductEvidenceGroup>,
    /// What should have spoken and did not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<ProductMissing>,
    /// Where footage may be asked for; class `media`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub media: Vec<ProductMedia>,
    /// How it may be handled.
    pub handling: Handling,
    /// Which other recipients were told, as far as this one may know; class `method`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub told: Vec<String>,
    /// Whom it concerns and who was not told, and why; class `operational`, and only for who owns all of the evidence.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_told: Vec<NotDisseminated>,
    /// Until when an answer is asked for, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub answer_by: Option<String>,
    /// Rule and version; class `method`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<String>,
    /// Frozen set of rates and calibration; class `method`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
}

/// Somebody who was told nothing of a situation in one of their zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct NotDisseminated {
    /// Who.
    pub recipient: String,
    /// Why.
    pub why: String,
}

/// Admiralty grading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Grading {
    /// Source reliability, `A` to `F`.
    pub source: String,
    /// Information credibility, `1` to `6`.
    pub information: String,
}

/// A zone by id and by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ZoneName {
    pub id: String,
    pub name: String,
}

/// What else it could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductAlternative {
    pub text: String,
    pub probability: f64,
}

/// Who or what a situation is about. A value that is masked has `•` in it; one that was dropped is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductSubject {
    /// `vehicle.granted`, `vehicle.following`, `person`, …
    pub role: String,
    /// Number plate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plate: Option<String>,
    /// Probability that it is this plate; class `method`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plate_confidence: Option<f64>,
    /// Other readings, treated as the plate is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plate_alternatives: Vec<String>,
    /// Container code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<String>,
    /// Radio tag.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// The recipient's organisation's own stand-in for a person.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pseudonym: Option<String>,
}

/// One thing that spoke for or against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductEvidence {
    /// `e1`, `e2`, … within this product.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The sensor.
    pub sensor: String,
    /// What it said.
    pub said: String,
    /// Its own log-odds, for or against.
    pub weight: f64,
    /// What it fails together with.
    pub domain: String,
}

/// Evidence of one failure domain that together would prove more than a domain may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductEvidenceGroup {
    /// What its members fail together with.
    pub domain: String,
    /// Its members' `ref`.
    pub members: Vec<String>,
    /// The sum of their weights.
    pub before: f64,
    /// What they count for.
    pub after: f64,
}

/// A sensor that should have spoken and could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductMissing {
    pub sensor: String,
    pub why: String,
}

/// Footage and how long it can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProductMedia {
    pub camera: String,
    pub from: String,
    pub to: String,
    pub href: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub available_until: Option<String>,
}

/// How a product may be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Handling {
    /// Who owns the information; several names with commas between them.
    pub owner: String,
    /// What it may be used for.
    pub purpose: String,
    /// Who else may have it, as far as this recipient may know: itself, and members of groups it is in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub releasable_to: Vec<String>,
    /// Day by which it must be deleted, `YYYY-MM-DD`.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date")))]
    pub delete_by: String,
}

/// The 30-second heartbeat of a recipient's stream: `org.quaywatch.stream.heartbeat.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// The last sequence number given; a consumer that has less has not got everything yet.
    pub last_sequence: u64,
    /// Products not yet confirmed.
    pub backlog: u64,
    /// When the oldest of them was concluded, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub oldest_unsent: Option<String>,
    /// The gateway's clock.
    pub time_quality: ClockQuality,
    /// Which of this recipient's zones no working sensor watches.
    pub blind_zones: Vec<String>,
    /// ISPS security level.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = 3)))]
    pub seclevel: u8,
    /// The gateway's version.
    pub version: String,
    /// First 16 hexadecimal digits of the digest of the sharing file in force.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{16}$")))]
    pub policy: String,
    /// Whether that file was taken without signatures.
    #[serde(skip_serializing_if = "core::ops::Not::not", default)]
    pub policy_unsigned: bool,
    /// Ranges of sequence numbers that will never come, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub never: Vec<NeverSent>,
}

/// A range of sequence numbers that will never come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct NeverSent {
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// `shed` (budget), `withdrawn` (policy), `refused` (by the recipient, for good) or `lost` (damage to the store).
    pub why: String,
}

/// A stream began anew: `org.quaywatch.stream.started.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct StreamStarted {
    /// Why numbering began anew.
    pub reason: String,
    /// The gateway's version.
    pub version: String,
}

/// All that is open for a recipient, on request: `org.quaywatch.stream.snapshot.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The last sequence number this snapshot accounts for.
    pub up_to: u64,
    /// The last product of each situation that is open for this recipient.
    pub open: Vec<Product>,
    /// How many open situations are not in it for want of room; the most severe and the newest are in it.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub left_out: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A consumer's cumulative receipt: everything up to this number is safely theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The epoch the number is of.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{1,16}$")))]
    pub epoch: String,
    /// The last number.
    pub up_to: u64,
}

/// What a recipient asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What.
    pub request: RequestWord,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RequestWord {
    /// A [`Snapshot`] on the stream.
    Snapshot,
}

/// What a recipient says back: `org.quaywatch.answer.v1`. Idempotent by product, word and `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The product's CloudEvents `id`.
    #[cfg_attr(feature = "json-schema", schemars(extend("pattern" = "^[0-9a-f]{1,16}\\.[0-9]{20}$")))]
    pub product: String,
    /// The product's revision the answer is about.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1)))]
    pub revision: u32,
    /// What was done.
    pub word: AnswerWord,
    /// What it turned out to be: asked for with `closed`, possible with `rejected`, refused with the others.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Why, in the answerer's words; at most 500 characters.
    #[serde(default)]
    #[cfg_attr(feature = "json-schema", schemars(length(max = 500)))]
    pub reason: Option<String>,
    /// The role that answers, never a person's name.
    #[cfg_attr(feature = "json-schema", schemars(length(min = 1, max = 64)))]
    pub by: String,
    /// When, RFC 3339.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub at: String,
}

/// The five words of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AnswerWord {
    /// Somebody looked at it.
    Seen,
    /// Somebody took it on.
    Acknowledged,
    /// Something was done.
    Actioned,
    /// It is not for us, or not so.
    Rejected,
    /// It is over for us.
    Closed,
}

/// What it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was so.
    True,
    /// It was not so.
    False,
    /// It was so and harmless.
    Harmless,
    /// Nobody can tell.
    Unknown,
}

/// The CloudEvents `type` of a [`Heartbeat`].
pub const HEARTBEAT_TYPE: &str = "org.quaywatch.stream.heartbeat.v1";
/// The CloudEvents `type` of a [`StreamStarted`].
pub const STARTED_TYPE: &str = "org.quaywatch.stream.started.v1";
/// The CloudEvents `type` of a [`Snapshot`].
pub const SNAPSHOT_TYPE: &str = "org.quaywatch.stream.snapshot.v1";
/// The CloudEvents `type` of an [`Answer`].
pub const ANSWER_TYPE: &str = "org.quaywatch.answer.v1";
/// The most characters an answer's `reason` and `by` may have.
pub const ANSWER_REASON_CHARS: usize = 500;
/// See [`ANSWER_REASON_CHARS`].
pub const ANSWER_BY_CHARS: usize = 64;

/// The CloudEvents `type` of a product in a phase.
pub fn product_type(phase: Phase) -> &'static str {
    match phase {
        Phase::Opened => "org.quaywatch.situation.opened.v1",
        Phase::Revised => "org.quaywatch.situation.revised.v1",
        Phase::Closed => "org.quaywatch.situation.closed.v1",
        Phase::Retracted => "org.quaywatch.situation.retracted.v1",
    }
}

/// The class a top-level field of [`Product`] belongs to; what is not listed is public.
pub const PRODUCT_FIELD_CLASSES: &[(&str, FieldClass)] = &[
    ("facts", FieldClass::Operational),
    ("assessment", FieldClass::Operational),
    ("action", FieldClass::Operational),
    ("missing", FieldClass::Operational),
    ("told", FieldClass::Method),
    ("probability", FieldClass::Method),
    ("grading", FieldClass::Method),
    ("alternatives", FieldClass::Method),
    ("prior", FieldClass::Method),
    ("evidence", FieldClass::Method),
    ("rule", FieldClass::Method),
    ("model", FieldClass::Method),
    ("media", FieldClass::Media),
];
