//! One thing that one sensor said once, in our own terms.

use crate::{
    names::SensorId,
    sealed::{Identity, Private},
    time::WallTime,
    units::{Finite, Probability, Unit},
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// One thing that one sensor said once. When it was received is the ledger's word, in the record's stamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Who said it.
    pub sensor: SensorId,
    /// Identity given by the source (message id, counter, source time), hashed; without one the log position is the
    /// identity and nothing but an exact retransmission is a repeat.
    pub source_id: Option<SourceId>,
    /// When the source says it was, kept as it came.
    pub observed_at: Option<SourceTime>,
    /// Whether it is happening now or was kept back by the source.
    pub freshness: Freshness,
    /// For things that are updated: where in its life this word stands.
    pub phase: Phase,
    /// For things that are updated: the source's own name of the thing, unique within the sensor.
    pub object: Option<String>,
    /// How sure we are that the source said it.
    pub authenticity: Authenticity,
    /// Where a picture or video of it may be asked for; bytes are never stored.
    pub media: Option<Media>,
    /// What it said.
    pub reading: Reading,
}

impl Observation {
    /// A live observation with nothing optional: what most decoders start from.
    pub fn live(sensor: SensorId, reading: Reading) -> Self {
        Self {
            sensor,
            source_id: None,
            observed_at: None,
            freshness: Freshness::Live,
            phase: Phase::New,
            object: None,
            authenticity: Authenticity::None,
            media: None,
            reading,
        }
    }
}

/// 128 bits of hash over what identifies a message at its source. Its context is not secret: it tells messages apart, it hides
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub [u8; 16]);

impl SourceId {
    /// BLAKE3 over sensor and the source's own identity, length-prefixed so that no two pairs run together.
    pub fn of(sensor: &SensorId, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("quaywatch observation identity v1");
        for part in core::iter::once(&sensor.as_str().as_bytes()).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

/// A source's own time and how far either way it may be off for reasons we know (a polled contact is only as exact as
/// its poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTime {
    /// The claimed time.
    pub at: WallTime,
    /// Milliseconds either way.
    pub uncertainty_ms: u32,
}

/// Whether something is happening now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Freshness {
    /// As it happens.
    #[default]
    Live,
    /// A retained message, a camera's dump at reconnect, a node's flash backlog. Never a fresh alarm.
    History,
}

/// Where in the life of an updated thing an observation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// The first word about it, or a thing that is never updated.
    #[default]
    New,
    /// A later word.
    Update,
    /// The last word.
    End,
}

/// How sure we are that the sensor itself said it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Authenticity {
    /// Anybody on the wire could have said it (Modbus, serial, plain MQTT).
    #[default]
    None,
    /// The line proved a password or token.
    Password,
    /// The line proved a client certificate.
    Mtls,
    /// The node itself sealed the frame.
    NodeAead,
}

/// A link to footage held elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The camera's name where the footage is kept.
    pub camera: String,
    /// First moment worth seeing.
    pub from: WallTime,
    /// Last moment worth seeing.
    pub to: WallTime,
}

/// What a sensor said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reading {
    /// A contact, loop, barrier switch, beam or motion detector: `true` is closed, occupied, open-as-named, moving.
    Contact(bool),
    /// A counter's total, already unwrapped where its width is known.
    Count(u64),
    /// A physical quantity.
    Measure(Measure),
    /// A number plate.
    Plate(Plate),
    /// A container code.
    Container(Container),
    /// A radio tag.
    Tag(Tag),
    /// A credential at a reader.
    Credential(Credential),
    /// One scan of a sensor that sees a scene; no detections is a statement too.
    Frame(Frame),
    /// A vessel's own word on where it is.
    Cooperative(Cooperative),
    /// People counted in view or through a passage.
    People(u32),
    /// A person's report.
    Report(Report),
    /// The sensor's word on itself.
    Health(Health),
    /// Why there is nothing to say.
    NoData(NoData),
}

/// A physical quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The value, never NaN or infinite.
    pub value: Finite,
    /// UCUM unit.
    pub unit: Unit,
    /// Whether the instrument says it has settled; `None` if it does not say.
    pub stable: Option<bool>,
}

/// A number plate as a camera read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plate {
    /// Best reading, upper case, as it came otherwise.
    pub text: Private,
    /// The reader's own score; not a probability of being right.
    pub confidence: Option<Probability>,
    /// Other readings, best first, at most eight.
    pub candidates: Vec<Candidate>,
    /// Issuing country or region as the reader names it.
    pub region: Option<String>,
}

/// A container code (ISO 6346) as a camera read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Best reading, upper case, no separators.
    pub code: Private,
    /// The reader's own score.
    pub confidence: Option<Probability>,
    /// Other readings, best first, at most eight.
    pub candidates: Vec<Candidate>,
}

/// One of several readings of the same thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The reading.
    pub text: Private,
    /// The reader's own score.
    pub confidence: Option<Probability>,
}

/// A radio tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The tag's identity.
    pub id: Private,
    /// Received strength in dBm.
    pub rssi_dbm: Option<i16>,
}

/// A credential at a reader and what the access system decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Whose.
    pub holder: Identity,
    /// The access system's decision.
    pub decision: AccessDecision,
}

/// What an access system decided, in the words of the ONVIF access control service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessDecision {
    /// Let in.
    Granted,
    /// Not let in.
    Denied(DenialReason),
    /// Let in, but nobody passed.
    NotTaken,
    /// Let in under duress.
    Duress,
}

/// Why access was denied. An unknown reason is `Other`, as ONVIF has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DenialReason {
    CredentialNotEnabled,
    CredentialNotActive,
    CredentialExpired,
    InvalidPin,
    NotPermittedAtThisTime,
    Unauthorized,
    Other,
}

/// One scan of a sensor that sees a scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// What it saw; empty means it looked and saw nothing. At most 256.
    pub detections: Vec<Detection>,
}

/// One thing seen in one scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// What it is taken for.
    pub class: ObjectClass,
    /// The detector's own score.
    pub confidence: Option<Probability>,
    /// Where, if the sensor can say.
    pub position: Option<DetectedPosition>,
    /// Speed over ground in m/s, if the sensor can say.
    pub speed: Option<Finite>,
    /// The sensor's own zones it is in, as the sensor names them.
    pub zones: Vec<String>,
}

/// Where a detection is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DetectedPosition {
    /// Metres in the site's grid, with the covariance [xx, xy, yy] in m².
    Cartesian { x: Finite, y: Finite, covariance: [Finite; 3] },
    /// Metres and radians clockwise from the sensor's axis, with standard deviations.
    Polar { range: Finite, bearing: Finite, range_sd: Finite, bearing_sd: Finite },
}

/// What a detected thing is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectClass {
    Person,
    Vehicle,
    Vessel,
    Animal,
    Other,
}

/// A vessel's own word on where it is (AIS, ITU-R M.1371-5), with what it said of itself before. All of it is its word alone:
/// nothing in it is proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cooperative {
    /// Maritime Mobile Service Identity, nine digits.
    pub mmsi: u32,
    /// Degrees north, WGS 84.
    pub latitude: Finite,
    /// Degrees east, WGS 84.
    pub longitude: Finite,
    /// Speed over ground in m/s.
    pub speed: Option<Finite>,
    /// Course over ground in degrees from true north.
    pub course: Option<Finite>,
    /// Where its bow points, in degrees from true north.
    pub heading: Option<Finite>,
    /// How far off its position may be, in metres, as far as it says.
    pub accuracy_m: Option<Finite>,
    /// Its name, upper case, at most 20 characters.
    pub name: Option<String>,
    /// What kind of ship it says it is, as M.1371 numbers them: 30 fishes, 36 sails, 52 tows, 70 to 79 carry cargo.
    pub ship_type: Option<u8>,
    /// IMO number, if its check digit is right.
    pub imo: Option<u32>,
    /// Metres from bow to stern: the position is that of its antenna, which may be anywhere between.
    pub length_m: Option<Finite>,
}

impl Cooperative {
    /// A position and nothing else.
    pub fn at(mmsi: u32, latitude: Finite, longitude: Finite) -> Self {
        Self {
            mmsi,
            latitude,
            longitude,
            speed: None,
            course: None,
            heading: None,
            accuracy_m: None,
            name: None,
            ship_type: None,
            imo: None,
            length_m: None,
        }
    }
}

/// A person's report, graded on two axes that are never one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What kind of thing it tells of.
    pub category: String,
    /// In the reporter's words.
    pub text: Private,
    /// Source reliability, A to F.
    pub reliability: char,
    /// Information credibility, 1 to 6.
    pub credibility: u8,
}

/// A sensor's word on itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Alive; nothing else to say.
    Alive,
    /// Its view is lost or covered although it answers.
    Blind,
    /// It says it is broken.
    Faulty,
    /// A cover, seal or enclosure was opened, or the node found itself handled.
    Tampered,
    /// A node's report: boots since flashed, why it last started, its supply.
    Node { boots: u32, reset_cause: u8, supply_mv: Option<u16> },
}

/// Why data is missing. Absence is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoData {
    /// Its rhythm stopped.
    Silent,
    /// Its line is down.
    Disconnected,
    /// It did not answer in time.
    Timeout,
    /// It answered with an exception (Modbus exception code).
    Exception(u8),
    /// It answered with a value that cannot be (sentinel, out of range, not valid now).
    BadValue,
    /// More came than could be kept: this many were let go.
    Overload(u64),
    /// It said so itself, or its frames failed authentication.
    Tampered,
    /// Taken out of service by people.
    Maintenance,
    /// It answers, and says that its view is lost or covered.
    Blind,
    /// It answers, and says that it is broken.
    Faulty,
}
