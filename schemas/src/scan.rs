//! `quaywatch.frame.v1`: how a radar, lidar or camera tracker tells a gateway what it sees. Ours and published
//! (`schemas/published/frame.schema.json`); one message is one scan.
//!
//! What is not in this format is refused: a misspelt `range_sd_m` must not become a guess. A field may be added, and a
//! breaking change is another format.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// The most detections in one frame.
pub const MOST_DETECTIONS: usize = 256;

/// One scan. A scan in which nothing was seen is sent too, with an empty list: that is how a gateway knows that nothing is
/// there, and not that nobody looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema), schemars(title = "quaywatch.frame.v1"))]
#[serde(deny_unknown_fields, expecting = "a frame")]
pub struct Scan {
    /// Always `quaywatch.frame.v1`.
    pub format: Format,
    /// When it was taken, by the sensor's own clock: RFC 3339 with an offset.
    #[cfg_attr(feature = "json-schema", schemars(extend("format" = "date-time")))]
    pub time: String,
    /// Counts scans. With `time` it is the scan's identity: the same pair again is the same scan, sent again.
    pub frame: u64,
    /// What was seen, at most 256.
    #[cfg_attr(feature = "json-schema", schemars(length(max = 256)))]
    pub detections: Vec<Seen>,
}

/// The format's name and major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Format {
    /// The only one there is.
    #[serde(rename = "quaywatch.frame.v1")]
    V1,
}

/// One thing seen: where is said either by `polar` or by `cartesian`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "json-schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{ "required": ["polar"] }, { "required": ["cartesian"] }]))
)]
#[serde(deny_unknown_fields, expecting = "a detection")]
pub struct Seen {
    /// What it is taken for. Left out: not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<Class>,
    /// The detector's own score from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 0.0, max = 1.0)))]
    pub confidence: Option<f64>,
    /// Distance and bearing from the sensor. Its place and axis are in the gateway's site file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub polar: Option<Polar>,
    /// A place in the site's own grid of metres.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cartesian: Option<Cartesian>,
    /// Speed over ground in m/s.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 0.0, max = 200.0)))]
    pub speed_m_s: Option<f64>,
}

/// What a thing is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Person,
    Vehicle,
    Vessel,
    Animal,
    Other,
}

/// Distance and bearing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a distance and bearing")]
pub struct Polar {
    /// Metres over ground.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 0.0, max = 100_000.0)))]
    pub range_m: f64,
    /// Degrees clockwise from the sensor's axis, -180 to 360.
    #[cfg_attr(feature = "json-schema", schemars(range(min = -180.0, max = 360.0)))]
    pub bearing_deg: f64,
    /// Standard deviation of the range in metres, above 0.
    #[cfg_attr(feature = "json-schema", schemars(extend("exclusiveMinimum" = 0), range(max = 10_000.0)))]
    pub range_sd_m: f64,
    /// Standard deviation of the bearing in degrees, above 0.
    #[cfg_attr(feature = "json-schema", schemars(extend("exclusiveMinimum" = 0), range(max = 180.0)))]
    pub bearing_sd_deg: f64,
}

/// A place in the site's grid: how exact is said either by `sd_m` or by `covariance_m2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "json-schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{ "required": ["sd_m"] }, { "required": ["covariance_m2"] }]))
)]
#[serde(deny_unknown_fields, expecting = "a place in the grid")]
pub struct Cartesian {
    /// Metres along the grid's x axis.
    #[cfg_attr(feature = "json-schema", schemars(range(min = -100_000.0, max = 100_000.0)))]
    pub x_m: f64,
    /// Metres along the grid's y axis.
    #[cfg_attr(feature = "json-schema", schemars(range(min = -100_000.0, max = 100_000.0)))]
    pub y_m: f64,
    /// Standard deviation in every direction in metres, above 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "json-schema", schemars(extend("exclusiveMinimum" = 0), range(max = 10_000.0)))]
    pub sd_m: Option<f64>,
    /// Covariance in m²: xx, xy, yy; positive definite.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub covariance_m2: Option<[f64; 3]>,
}
