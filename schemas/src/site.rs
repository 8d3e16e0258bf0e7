//! The site engineer's file, resolved: zones, sensors and rules as fusion needs them. Lines, addresses and credentials
//! are the daemon's business and not in here.

use crate::names::{DomainId, FeedId, LineId, PatternId, SensorId, SiteId, ZoneId};
use crate::time::WallTime;
use crate::units::Unit;
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;
use serde::{Deserialize, Serialize};

pub mod patterns;
pub mod rules;

pub use patterns::Pattern;
pub use rules::Rules;

/// One site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// UN/LOCODE, five characters.
    pub locode: String,
    /// Stays when the box is replaced.
    pub id: SiteId,
    /// IANA time zone, for sentences people read.
    pub timezone: String,
    /// Goes into every product.
    pub status: Status,
    /// Places.
    pub zones: BTreeMap<ZoneId, Zone>,
    /// What senses.
    pub sensors: BTreeMap<SensorId, Sensor>,
    /// What is looked for.
    pub rules: Rules,
    /// How old a feed's references may be before they count as unknown.
    pub feeds: BTreeMap<FeedId, Duration>,
    /// Local time's offsets from UTC, oldest first, from before the file was applied until ten years later: fusion knows
    /// closed hours without a time zone database.
    pub utc_offsets: Vec<UtcOffset>,
    /// Where the site's grid of metres lies on the Earth; without it no vessel's own position can be placed.
    #[serde(default)]
    pub grid: Option<Grid>,
    /// What is looked for beside the rules, in the site engineer's own words.
    #[serde(default)]
    pub patterns: BTreeMap<PatternId, Pattern>,
}

/// The site's grid: metres from an origin, x along `x_axis_deg`, y a quarter turn to the left of it. A port is small enough
/// to be flat: over 5 km the error of a tangent plane is below 1 m.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Degrees north of the origin, WGS 84.
    pub latitude: f64,
    /// Degrees east of the origin, WGS 84.
    pub longitude: f64,
    /// Compass bearing of the x axis in degrees: 90 if x points east.
    pub x_axis_deg: f64,
}

/// From a moment on, local time is this far ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UtcOffset {
    /// From when.
    pub from: WallTime,
    /// Seconds ahead of UTC.
    pub seconds: i32,
}

/// Whether what is said is meant, in CAP 1.2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is meant.
    #[default]
    Actual,
    /// Part of an exercise.
    Exercise,
    /// A technical test.
    Test,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// As people call it: "Gate 2, lane 3, inbound".
    pub name: String,
    /// What kind of place.
    pub kind: ZoneKind,
    /// For lanes: which way traffic goes.
    pub direction: Option<Direction>,
    /// For lanes: metres from the arm to the end of the last loop.
    pub length_m: Option<f64>,
    /// Where footage may be asked for, with `{camera}`, `{from}` and `{to}` (Unix seconds) to fill in.
    pub media: Option<String>,
    /// When nobody may be here; `None` means the zone has no closed hours.
    pub closed: Option<Closed>,
    /// Corners in the site's grid, in metres, in order around the zone; three at least, or none if nobody has measured it.
    #[serde(default)]
    pub outline: Vec<(f64, f64)>,
}

/// What kind of place a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ZoneKind {
    Lane,
    Gate,
    Quay,
    Berth,
    Waterside,
    Fence,
    Yard,
    Room,
    /// A lane for people: one at a time, on a credential.
    Turnstile,
    /// A ship's gangway: a lane for people whose one end moves.
    Gangway,
}

/// Which way a lane leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    In,
    Out,
    Both,
}

/// When nobody may be in a zone, in the site's local time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closed {
    /// At all hours.
    Always,
    /// From one minute of the day until another; over midnight if `from >= until`.
    Daily {
        /// Minute of the day, 0 to 1439.
        from: u16,
        /// Minute of the day, 0 to 1439.
        until: u16,
    },
}

/// One sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Where it is.
    pub zone: ZoneId,
    /// What it is there.
    pub role: Role,
    /// For lanes: metres from the arm, negative before it.
    pub at_m: Option<f64>,
    /// What it fails together with; its line if nothing else is said.
    pub domain: DomainId,
    /// The line it is read over.
    pub line: LineId,
    /// How long it may say nothing before that is a finding; `None` if it only speaks when something happens.
    pub silent_after: Option<Duration>,
    /// Unit of a measure.
    pub unit: Option<Unit>,
    /// Values outside are not evidence.
    pub range: Option<(f64, f64)>,
    /// How often it reports when there is something, and when there is nothing.
    pub rates: Rates,
    /// Where it stands and which way it looks, if its positions are its own or its reader is a place people walk between.
    #[serde(default)]
    pub mount: Option<Mount>,
    /// What it can see; its zone's outline if nothing else is said.
    #[serde(default)]
    pub view: Option<View>,
    /// What its clock is worth.
    #[serde(default)]
    pub clock: Clock,
    /// For a credential reader: which way it lets people, seen from its zone.
    #[serde(default)]
    pub leads: Option<Direction>,
}

/// A place in the site's grid and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Metres along the grid's x axis.
    pub x: f64,
    /// Metres along the grid's y axis.
    pub y: f64,
    /// Where its own axis points, in degrees counter-clockwise from the grid's x axis. Polar detections are given clockwise
    /// from it, as radars and cameras do.
    pub facing_deg: f64,
}

/// What a sensor can see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum View {
    /// A sector around its axis, from its mount.
    Sector {
        /// How far, in metres.
        range_m: f64,
        /// How far to each side of its axis, in degrees; 180 sees all around.
        half_angle_deg: f64,
    },
    /// A polygon in the site's grid, in metres.
    Polygon(Vec<(f64, f64)>),
}

/// What a source's clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Nobody vouches for it: its offset is estimated from what it says.
    #[default]
    Free,
    /// Disciplined by the same time source as the gateway: its word is taken unless it cannot be.
    Synchronised,
}

/// What a sensor's word is worth: per look, or per scan for one that gives positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Probability that it reports what is there and in its view.
    pub detection: f64,
    /// Probability that it reports what is not there; for one that gives positions the mean number of false detections a
    /// scan, anywhere in its view.
    pub false_alarm: f64,
}

/// What a sensor is in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Role {
    /// Vehicle before the arm.
    #[serde(rename = "loop.approach")]
    LoopApproach,
    /// Vehicle beyond the arm.
    #[serde(rename = "loop.exit")]
    LoopExit,
    /// Arm is up (or leaves its closed position).
    #[serde(rename = "barrier.open")]
    BarrierOpen,
    /// Passage was granted: a contact edge, a counter's step or a credential.
    #[serde(rename = "grant")]
    Grant,
    #[serde(rename = "plate.front")]
    PlateFront,
    #[serde(rename = "plate.rear")]
    PlateRear,
    #[serde(rename = "container")]
    Container,
    #[serde(rename = "tag")]
    Tag,
    #[serde(rename = "weight.gross")]
    WeightGross,
    /// Person where vehicles pass.
    #[serde(rename = "pedestrian")]
    Pedestrian,
    /// Person present, by movement and warmth.
    #[serde(rename = "presence.pir")]
    PresencePir,
    /// Person or vehicle present, by camera.
    #[serde(rename = "presence.camera")]
    PresenceCamera,
    /// Fence moves: vibration energy or an alarm contact.
    #[serde(rename = "fence.vibration")]
    FenceVibration,
    #[serde(rename = "door")]
    Door,
    #[serde(rename = "cabinet.tamper")]
    CabinetTamper,
    /// Node found itself opened, moved or handled.
    #[serde(rename = "node.tamper")]
    NodeTamper,
    #[serde(rename = "mooring.load")]
    MooringLoad,
    #[serde(rename = "wind.speed")]
    WindSpeed,
    #[serde(rename = "wind.direction")]
    WindDirection,
    #[serde(rename = "water.level")]
    WaterLevel,
    #[serde(rename = "light")]
    Light,
    #[serde(rename = "temperature")]
    Temperature,
    /// Says only that something is alive.
    #[serde(rename = "heartbeat")]
    Heartbeat,
    /// Reads the credentials of people on foot: the door, turnstile or gangway it stands at is its zone.
    #[serde(rename = "reader")]
    Reader,
    /// Gives positions of what moves, by radar or lidar.
    #[serde(rename = "radar")]
    Radar,
    /// Gives positions of what moves, by camera.
    #[serde(rename = "position.camera")]
    PositionCamera,
    /// Hears what vessels say of themselves.
    #[serde(rename = "ais")]
    Ais,
    /// Counts people that pass, at a turnstile, door or gangway.
    #[serde(rename = "people.count")]
    PeopleCount,
    /// How much it rains.
    #[serde(rename = "rain")]
    Rain,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 28] = [
        Self::LoopApproach,
        Self::LoopExit,
        Self::BarrierOpen,
        Self::Grant,
        Self::PlateFront,
        Self::PlateRear,
        Self::Container,
        Self::Tag,
        Self::WeightGross,
        Self::Pedestrian,
        Self::PresencePir,
        Self::PresenceCamera,
        Self::FenceVibration,
        Self::Door,
        Self::CabinetTamper,
        Self::NodeTamper,
        Self::MooringLoad,
        Self::WindSpeed,
        Self::WindDirection,
        Self::WaterLevel,
        Self::Light,
        Self::Temperature,
        Self::Heartbeat,
        Self::Reader,
        Self::Radar,
        Self::PositionCamera,
        Self::Ais,
        Self::PeopleCount,
    ];
}

impl Site {
    /// Sensors of a zone, in name order.
    pub fn sensors_of<'a>(&'a self, zone: &'a ZoneId) -> impl Iterator<Item = (&'a SensorId, &'a Sensor)> + 'a {
        self.sensors.iter().filter(move |(_, sensor)| sensor.zone == *zone)
    }

    /// Sensors of a zone that have a role, in name order.
    pub fn sensors_with<'a>(
        &'a self,
        zone: &'a ZoneId,
        role: Role,
    ) -> impl Iterator<Item = (&'a SensorId, &'a Sensor)> + 'a {
        self.sensors_of(zone).filter(move |(_, sensor)| sensor.role == role)
    }

    /// Zones of a kind, in name order.
    pub fn zones_of_kind(&self, kind: ZoneKind) -> Vec<&ZoneId> {
        self.zones.iter().filter(|(_, zone)| zone.kind == kind).map(|(id, _)| id).collect()
    }
}
