//! What each sensor can see, and how likely it sees it there.

use super::geometry::{Point, Polygon};
use alloc::vec::Vec;
use core::f64::consts::PI;
use quaywatch_schemas::{
    SensorId, Site,
    site::{Mount, Role, Sensor, View},
};
use serde::{Deserialize, Serialize};

/// A sensor that gives positions, hits or a vessel's own word, as the tracker needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watcher {
    pub(crate) id: SensorId,
    pub(crate) kind: WatcherKind,
    pub(crate) mount: Option<Mount>,
    /// Probability that it reports what is in its view: per scan, or per look.
    pub(crate) detection: f64,
    /// False detections per m² and scan; for a presence sensor the probability of a false hit per look.
    pub(crate) false_alarms: f64,
    /// How long it may say nothing, in nanoseconds, if it has a rhythm.
    silent_after: Option<i64>,
    order: u8,
    view: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum WatcherKind {
    Scanner,
    Presence,
    Cooperative,
}

/// The shape of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    /// Everything nobody has bounded.
    Unbounded,
    /// From a place as far as `range`, between two edges given by the unit vectors that point inwards from them.
    Sector {
        x: f64,
        y: f64,
        range: f64,
        left: Point,
        right: Point,
        wide: bool,
        all_around: bool,
    },
    Polygon(Polygon),
}

/// What a view of unknown shape is taken to cover, in m²: a hectare.
const UNKNOWN_AREA: f64 = 10_000.0;
/// Rates are never believed to be certain.
const RATES: (f64, f64) = (0.02, 0.98);
/// No sensor is so clean that it has fewer false detections a scan.
const LEAST_FALSE_ALARMS: f64 = 1e-3;

impl Watcher {
    /// The sensors of a site that the tracker listens to: those first that usually come first, so that of two words of the
    /// same time the later one is seldom put before the earlier.
    pub(crate) fn all(site: &Site) -> Vec<Self> {
        let mut all: Vec<Self> = site.sensors.iter().filter_map(|(id, sensor)| Self::of(id, sensor, site)).collect();
        all.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        all
    }

    fn of(id: &SensorId, sensor: &Sensor, site: &Site) -> Option<Self> {
        let kind = match sensor.role {
            Role::Radar | Role::PositionCamera => WatcherKind::Scanner,
            Role::PresencePir => WatcherKind::Presence,
            Role::Ais => WatcherKind::Cooperative,
            _ => return None,
        };
        let outline = || site.zones.get(&sensor.zone).and_then(|zone| Polygon::new(&zone.outline));
        let mut area = UNKNOWN_AREA;
        let view = match (&sensor.view, &sensor.mount) {
            (Some(View::Polygon(corners)), _) => Polygon::new(corners).map(Shape::Polygon),
            (Some(View::Sector { range_m, half_angle_deg }), Some(mount)) => {
                let (facing, half) = (mount.facing_deg.to_radians(), half_angle_deg.to_radians().clamp(0.0, PI));
                area = range_m * range_m * half;
                let (left, right) = (libm::sincos(facing + half), libm::sincos(facing - half));
                Some(Shape::Sector {
                    x: mount.x,
                    y: mount.y,
                    range: range_m.max(0.0),
                    left: (left.0, -left.1),
                    right: (-right.0, right.1),
                    wide: half > PI / 2.0,
                    all_around: half >= PI,
                })
            }
            _ => outline().map(Shape::Polygon),
        };
        // A presence sensor of which nobody knows where it looks says nothing about any track.
        if kind == WatcherKind::Presence && view.is_none() {
            return None;
        }
        let view = view.unwrap_or(Shape::Unbounded);
        if let Shape::Polygon(polygon) = &view {
            area = polygon.area();
        }
        let rate = sensor.rates.false_alarm;
        let false_alarms = match kind {
            WatcherKind::Scanner => rate.max(LEAST_FALSE_ALARMS) / area.max(1.0),
            _ => rate.clamp(1e-6, RATES.1),
        };
        let detection = sensor.rates.detection.clamp(RATES.0, RATES.1);
        let order = match sensor.role {
            Role::Radar => 0,
            Role::PositionCamera => 1,
            _ => 2,
        };
        let silent_after = sensor.silent_after.map(|after| after.as_nanos().min(i64::MAX as u128) as i64);
        Some(Self { id: id.clone(), kind, silent_after, order, mount: sensor.mount, detection, false_alarms, view })
    }

    /// Whether it has said nothing for longer than it may: then its silence says nothing either.
    pub(crate) fn is_mute(&self, heard: i64, now: i64) -> bool {
        self.silent_after.is_some_and(|after| now.saturating_sub(heard) > after)
    }

    /// How likely something is in view, if it is known to be at a place within so many metres (one standard deviation).
    pub(crate) fn sees(&self, at: Point, sd: f64) -> f64 {
        // Half a metre: nobody measures a view better.
        let sd = sd.max(0.5);
        match &self.view {
            Shape::Unbounded => 1.0,
            Shape::Sector { x, y, range, left, right, wide, all_around } => {
                let (dx, dy) = (at.0 - x, at.1 - y);
                let squared = dx * dx + dy * dy;
                let far = range + 4.0 * sd;
                if squared > far * far {
                    return 0.0;
                }
                // Metres inside each edge: a wide sector is what is inside either, a narrow one what is inside both.
                let (to_left, to_right) = (left.0 * dx + left.1 * dy, right.0 * dx + right.1 * dy);
                let to_edge = match (all_around, wide) {
                    (true, _) => f64::INFINITY,
                    (_, true) => to_left.max(to_right),
                    _ => to_left.min(to_right),
                };
                if to_edge < -4.0 * sd {
                    return 0.0;
                }
                let near = range - 4.0 * sd;
                let to_range =
                    if near > 0.0 && squared < near * near { f64::INFINITY } else { range - libm::sqrt(squared) };
                normal(to_edge.min(to_range) / sd)
            }
            Shape::Polygon(polygon) if polygon.is_beyond(at, 4.0 * sd) => 0.0,
            Shape::Polygon(polygon) => normal(polygon.depth(at) / sd),
        }
    }
}

/// The standard normal distribution function, as the cubic that is within 0.02 of it: views are known less well.
fn normal(x: f64) -> f64 {
    let along = (x * (1.0 / 4.4) + 0.5).clamp(0.0, 1.0);
    along * along * (3.0 - 2.0 * along)
}
