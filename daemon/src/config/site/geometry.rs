//! Where things are: the site's grid, outlines of zones, where sensors stand and what they see.

use super::tables::{GridTable, List, MountTable, SectorTable};
use crate::config::{
    document::Table,
    findings::Findings,
    values::{Point, Seen},
    written::Written,
};
use quaywatch_schemas::site::{Grid, Mount, View};
use std::ops::Range;
use toml::Spanned;

/// More corners than any quay has; every look at a zone goes over them.
const MOST_CORNERS: usize = 256;
/// Smaller than this is no place but a slip of the pen, in m².
const SMALLEST: f64 = 0.01;
/// A plane does not lie flat on a pole.
const MOST_LATITUDE: f64 = 85.0;
/// Coastal radars see about 50 km; more is a unit gone wrong.
const FARTHEST_VIEW: f64 = 100_000.0;

pub(super) fn grid(written: Option<Written<GridTable>>, findings: &mut Findings) -> Option<Grid> {
    let said = findings.take(written)?;
    let at = said.span();
    let said = said.into_inner();
    let owner = (&at, "site.grid");
    let latitude =
        findings.need(said.latitude, owner, "latitude", "latitude = 51.95: degrees north of the grid's origin");
    let longitude =
        findings.need(said.longitude, owner, "longitude", "longitude = 4.05: degrees east of the grid's origin");
    let x_axis = findings.take(said.x_axis);
    if let Some(latitude) = latitude.as_ref().filter(|said| said.get_ref().0.abs() > MOST_LATITUDE) {
        let help = "write degrees north, -85 to 85; south is negative";
        findings.add(latitude.span(), "no port is at this latitude", help);
    }
    if let Some(longitude) = longitude.as_ref().filter(|said| said.get_ref().0.abs() > 180.0) {
        let help = "write degrees east, -180 to 180; west is negative";
        findings.add(longitude.span(), "no port is at this longitude", help);
    }
    if let Some(x_axis) = x_axis.as_ref().filter(|said| !(0.0..=360.0).contains(&said.get_ref().0)) {
        findings.add(x_axis.span(), "this is no compass bearing", "write \"0 deg\" (north) to \"360 deg\"");
    }
    Some(Grid {
        latitude: latitude?.into_inner().0,
        longitude: longitude?.into_inner().0,
        x_axis_deg: x_axis.map_or(90.0, |said| said.into_inner().0),
    })
}

pub(super) fn mount(written: Option<Written<MountTable>>, findings: &mut Findings) -> Option<Mount> {
    let said = findings.take(written)?;
    let at = said.span();
    let said = said.into_inner();
    let owner = (&at, "mount");
    let x = findings.need(said.x, owner, "x", "x = 12: metres along the grid's x axis");
    let y = findings.need(said.y, owner, "y", "y = -3: metres along the grid's y axis");
    let facing = findings.take(said.facing);
    if let Some(facing) = facing.as_ref().filter(|said| said.get_ref().0.abs() > 360.0) {
        let help = "write degrees counter-clockwise from the grid's x axis, -360 deg to 360 deg";
        findings.add(facing.span(), "this is no direction", help);
    }
    let facing_deg = facing.map_or(0.0, |facing| facing.into_inner().0);
    Some(Mount { x: x?.into_inner().0, y: y?.into_inner().0, facing_deg })
}

/// What a sensor sees. A sector begins at the sensor's mount.
pub(super) fn view<T>(
    written: Option<Written<Seen>>,
    table: &Table<T>,
    has_mount: bool,
    findings: &mut Findings,
) -> Option<View> {
    let said = findings.take(written)?;
    let at = said.span();
    match said.into_inner() {
        Seen::Sector(said) => {
            if !has_mount {
                let help = "add mount = { x = 12, y = -3, facing = \"90 deg\" }, or write the view as corners";
                findings.add(
                    table.key("view"),
                    "a sector begins where the sensor stands, and nothing says where",
                    help,
                );
            }
            sector(said, &at, findings)
        }
        Seen::Polygon(corners) => polygon(&at, corners, "view", findings).map(View::Polygon),
    }
}

fn sector(said: SectorTable, at: &Range<usize>, findings: &mut Findings) -> Option<View> {
    let owner = (at, "view");
    let range = findings.need(said.range, owner, "range", "range = \"110 m\": how far it sees");
    let help = "half_angle = \"50 deg\": how far to each side of its axis; \"180 deg\" sees all around";
    let half_angle = findings.need(said.half_angle, owner, "half_angle", help);
    if let Some(range) = range.as_ref().filter(|said| !(0.1..=FARTHEST_VIEW).contains(&said.get_ref().0)) {
        findings.add(range.span(), "no sensor sees like that", "write \"1 m\" to \"100000 m\"");
    }
    let is_angle = |degrees: f64| 0.0 < degrees && degrees <= 180.0;
    if let Some(angle) = half_angle.as_ref().filter(|said| !is_angle(said.get_ref().0)) {
        let help = "write more than \"0 deg\" and at most \"180 deg\", which sees all around";
        findings.add(angle.span(), "this is no half angle", help);
    }
    Some(View::Sector { range_m: range?.into_inner().0, half_angle_deg: half_angle?.into_inner().0 })
}

/// A zone's corners; none if nobody has measured it.
pub(super) fn outline(written: List<Point>, findings: &mut Findings) -> Vec<(f64, f64)> {
    let Some(said) = findings.take(written) else { return Vec::new() };
    let at = said.span();
    polygon(&at, said.into_inner(), "outline", findings).unwrap_or_default()
}

/// A polygon that encloses something and does not cross itself.
fn polygon(
    at: &Range<usize>,
    corners: Vec<Written<Point>>,
    what: &str,
    findings: &mut Findings,
) -> Option<Vec<(f64, f64)>> {
    if !(3..=MOST_CORNERS).contains(&corners.len()) {
        let help = format!("write 3 to {MOST_CORNERS} corners in order around it: [[0, 0], [40, 0], [40, 25]]");
        findings.add(at.clone(), format!("{} corners make no {what}", corners.len()), help);
        return None;
    }
    let corners: Vec<_> = corners.into_iter().map(|corner| findings.take(Some(corner))).collect();
    let corners: Vec<Spanned<Point>> = corners.into_iter().collect::<Option<_>>()?;
    let points: Vec<(f64, f64)> = corners.iter().map(|corner| (corner.get_ref().0, corner.get_ref().1)).collect();
    if points.first() == points.last()
        && let Some(last) = corners.last()
    {
        let help = "leave the last corner out: it is joined to the first by itself";
        findings.add(last.span(), format!("this {what} names the same corner twice"), help);
        return None;
    }
    if let Some((first, second)) = crossing(&points) {
        let says =
            format!("this {what} crosses or touches itself here: at the edges from corners {first} and {second}");
        let help = "write the corners in order around it, each once; the last is joined to the first by itself";
        findings.add(corners[second - 1].span(), says, help);
        return None;
    }
    if area(&points) < SMALLEST {
        let help = "coordinates are in metres, in the site's grid";
        findings.add(at.clone(), format!("this {what} encloses nothing"), help);
        return None;
    }
    Some(points)
}

/// Two edges that have a point in common that they should not, by the numbers of the corners they start from, from 1.
fn crossing(points: &[(f64, f64)]) -> Option<(usize, usize)> {
    let count = points.len();
    let edge = |index: usize| (points[index], points[(index + 1) % count]);
    for first in 0..count {
        let (a, b) = edge(first);
        if a == b {
            return Some((first + 1, (first + 1) % count + 1));
        }
        for second in first + 1..count {
            let (c, d) = edge(second);
            let neighbours = second == first + 1 || (first == 0 && second == count - 1);
            let touch = match neighbours {
                // Neighbours share a corner; one that goes back over the other shares more.
                true => {
                    let (shared, before, after) = if second == first + 1 { (b, a, d) } else { (a, b, c) };
                    side(before, shared, after) == 0.0 && along(before, shared, after)
                }
                false => meet((a, b), (c, d)),
            };
            if touch {
                return Some((first + 1, second + 1));
            }
        }
    }
    None
}

type Place = (f64, f64);

/// Twice the signed area of a triangle: positive if the corners turn left.
fn side(a: Place, b: Place, c: Place) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// Of three places on a line: whether the outer two lie in the same direction from the middle one.
fn along(before: Place, shared: Place, after: Place) -> bool {
    (before.0 - shared.0) * (after.0 - shared.0) + (before.1 - shared.1) * (after.1 - shared.1) > 0.0
}

/// Whether two edges without a common corner have a point in common.
fn meet((a, b): (Place, Place), (c, d): (Place, Place)) -> bool {
    let (abc, abd, cda, cdb) = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b));
    let within = |from: Place, to: Place, place: Place| {
        (from.0.min(to.0)..=from.0.max(to.0)).contains(&place.0)
            && (from.1.min(to.1)..=from.1.max(to.1)).contains(&place.1)
    };
    (abc * abd < 0.0 && cda * cdb < 0.0)
        || (abc == 0.0 && within(a, b, c))
        || (abd == 0.0 && within(a, b, d))
        || (cda == 0.0 && within(c, d, a))
        || (cdb == 0.0 && within(c, d, b))
}

/// In m².
pub(in crate::config) fn area(points: &[(f64, f64)]) -> f64 {
    let next = points.iter().skip(1).chain(points.first());
    let twice: f64 = points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    twice.abs() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_polygon_may_turn_either_way_and_be_hollow_but_not_cross_itself() {
        for good in [
            &[(0.0, 0.0), (4.0, 0.0), (0.0, 3.0)][..],
            &[(0.0, 0.0), (0.0, 3.0), (4.0, 0.0)],
            // An L, and one with a corner on a straight side.
            &[(0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (1.0, 1.0), (1.0, 4.0), (0.0, 4.0)],
            &[(0.0, 0.0), (2.0, 0.0), (4.0, 0.0), (4.0, 3.0)],
        ] {
            assert_eq!(crossing(good), None, "{good:?}");
        }
        for (bad, at) in [
            // A bow tie, a corner twice, a spike, a side that touches another, a corner on another side.
            (&[(0.0, 0.0), (4.0, 3.0), (4.0, 0.0), (0.0, 3.0)][..], (1, 3)),
            (&[(0.0, 0.0), (0.0, 0.0), (4.0, 0.0), (4.0, 3.0)], (1, 2)),
            (&[(0.0, 0.0), (4.0, 0.0), (8.0, 0.0), (4.0, 0.0), (4.0, 3.0)], (1, 3)),
            (&[(0.0, 0.0), (4.0, 0.0), (2.0, 0.0), (2.0, 3.0)], (1, 2)),
            (&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 0.0), (0.0, 4.0)], (1, 3)),
            (&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0)], (1, 4)),
        ] {
            assert_eq!(crossing(bad), Some(at), "{bad:?}");
        }
    }

    #[test]
    fn an_area_does_not_depend_on_the_direction() {
        assert_eq!(area(&[(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]), 6.0);
        assert_eq!(area(&[(0.0, 0.0), (4.0, 3.0), (4.0, 0.0)]), 6.0);
    }

    proptest! {
        /// Corners sorted by angle around a point never cross, wherever the walk begins; swapping two neighbours of a
        /// hexagon always does.
        #[test]
        fn a_star_is_no_crossing_and_a_swap_is(
            radii in proptest::collection::vec(1.0..50.0f64, 5..12), begin in 0usize..12, swap in 0usize..6,
        ) {
            let turn = |count: usize, index: usize| std::f64::consts::TAU * index as f64 / count as f64;
            let mut star: Vec<Place> = radii.iter().enumerate()
                .map(|(index, radius)| (radius * turn(radii.len(), index).cos(), radius * turn(radii.len(), index).sin()))
                .collect();
            let count = star.len();
            star.rotate_left(begin % count);
            prop_assert_eq!(crossing(&star), None);
            let mut hexagon: Vec<Place> = (0..6).map(|index| (turn(6, index).cos(), turn(6, index).sin())).collect();
            hexagon.swap(swap, (swap + 1) % 6);
            prop_assert!(crossing(&hexagon).is_some());
        }
    }
}
