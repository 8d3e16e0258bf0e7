//! What scanning sensors see of each place, by the outlines and views in the site file.

use super::{Cautions, listed};
use crate::config::{SiteFile, site::geometry::area};
use quaywatch_schemas::{
    SensorId, Site, ZoneId,
    site::{Direction, Role, Sensor, View},
};

/// How much of a measured place is in view, and of whom.
pub(super) struct InView {
    pub(super) area_m2: f64,
    /// From 0 to 1; nought if nothing scans there.
    pub(super) share: f64,
    pub(super) sensors: Vec<SensorId>,
}

/// `None` if nobody has measured the zone.
pub(super) fn in_view(site: &Site, zone: &ZoneId) -> Option<InView> {
    let outline = site.zones.get(zone).map(|zone| zone.outline.as_slice()).filter(|outline| !outline.is_empty())?;
    let spots = spots(outline);
    let scanners = site.sensors.iter().filter(|(_, spec)| scans(spec.role));
    let seeing: Vec<_> = scanners.filter(|(_, spec)| spots.iter().any(|spot| sees(site, spec, *spot))).collect();
    let seen = spots.iter().filter(|spot| seeing.iter().any(|(_, spec)| sees(site, spec, **spot))).count();
    Some(InView {
        area_m2: area(outline),
        share: seen as f64 / spots.len().max(1) as f64,
        sensors: seeing.into_iter().map(|(id, _)| id.clone()).collect(),
    })
}

/// Scanners that do not see what they are there for, places that nobody has measured, readers that stand nowhere.
pub(super) fn cautions(file: &SiteFile, cautions: &mut Cautions) {
    let site = &file.site;
    for (id, zone) in &site.zones {
        let scanners: Vec<_> = site.sensors_of(id).filter(|(_, spec)| scans(spec.role)).collect();
        let Some(view) = in_view(site, id) else {
            if !scanners.is_empty() {
                let names: Vec<String> = scanners.iter().map(|(id, _)| id.to_string()).collect();
                let says = format!("has no outline: nothing {} sees is ever known to be in it", listed(&names, "and"));
                cautions.add(format!("zone {id}"), says, "measure its corners and write outline = [[x, y], …]");
            }
            continue;
        };
        for (sensor, _) in scanners.iter().filter(|(sensor, _)| !view.sensors.contains(sensor)) {
            let says = format!("sees nothing of {}, the zone it is in", zone.name);
            cautions.add(format!("sensor {sensor}"), says, "mend its mount, facing or view, or the zone's outline");
        }
        if !scanners.is_empty() && (0.0..MOST_OF_IT).contains(&view.share) && !view.sensors.is_empty() {
            let says = format!("{:.0} % of it is in no scanner's view", 100.0 * (1.0 - view.share));
            let help = "add a sensor that sees the rest, or draw the outline where it can be seen";
            cautions.add(format!("zone {id}"), says, help);
        }
    }
    for (id, spec) in site.sensors.iter().filter(|(_, spec)| spec.role == Role::Reader) {
        if site.rules.pass_back.is_some() && !matches!(spec.leads, Some(Direction::In | Direction::Out)) {
            let says = "does not say which way it lets people: pass-back learns nothing from it";
            cautions.add(format!("sensor {id}"), says, "write leads = \"in\" or leads = \"out\"");
        }
        if site.rules.impossible_travel.is_some() && spec.mount.is_none() {
            let says =
                "stands nowhere: how far it is to another reader is not known, and impossible-travel leaves it out";
            cautions.add(format!("sensor {id}"), says, "write mount = { x = 12, y = -3 }");
        }
    }
}

/// Less than this in view is worth a word: outlines are drawn by hand.
const MOST_OF_IT: f64 = 0.95;
/// Looks per side of a zone's box: a tenth of a percent of a square zone is a spot.
const SPOTS: usize = 40;

fn scans(role: Role) -> bool {
    matches!(role, Role::Radar | Role::PositionCamera)
}

/// Spots of a grid that are inside an outline.
fn spots(outline: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        let all = outline.iter().map(pick);
        (all.clone().fold(f64::INFINITY, f64::min), all.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (low, high)) = (bounds(|corner| corner.0), bounds(|corner| corner.1));
    let at = |from: f64, to: f64, index: usize| from + (to - from) * (index as f64 + 0.5) / SPOTS as f64;
    let all = (0..SPOTS).flat_map(|x| (0..SPOTS).map(move |y| (at(left, right, x), at(low, high, y))));
    all.filter(|spot| inside(outline, *spot)).collect()
}

fn sees(site: &Site, spec: &Sensor, spot: (f64, f64)) -> bool {
    match &spec.view {
        Some(View::Sector { range_m, half_angle_deg }) => spec.mount.is_some_and(|mount| {
            let (x, y) = (spot.0 - mount.x, spot.1 - mount.y);
            let off = (y.atan2(x).to_degrees() - mount.facing_deg).rem_euclid(360.0);
            x.hypot(y) <= *range_m && off.min(360.0 - off) <= *half_angle_deg
        }),
        Some(View::Polygon(corners)) => inside(corners, spot),
        None => site.zones.get(&spec.zone).is_some_and(|zone| inside(&zone.outline, spot)),
    }
}

/// By how many edges a ray to the right crosses.
fn inside(corners: &[(f64, f64)], (x, y): (f64, f64)) -> bool {
    let next = corners.iter().skip(1).chain(corners.first());
    let crossed = corners
        .iter()
        .zip(next)
        .filter(|(a, b)| (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0));
    crossed.count() % 2 == 1
}
