//! Polygons in the site's grid: inside, how near, and whether a step crossed a line.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A place in the site's grid, in metres.
pub(crate) type Point = (f64, f64);

/// A closed polygon of three corners or more, its sides not crossing each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Polygon {
    corners: Vec<Point>,
    low: Point,
    high: Point,
    /// Whether it is the box around itself: then little is to be worked out.
    is_box: bool,
}

impl Polygon {
    /// `None` for fewer than three corners or one that is not finite.
    pub(crate) fn new(corners: &[Point]) -> Option<Self> {
        let finite = corners.iter().all(|(x, y)| x.is_finite() && y.is_finite());
        if corners.len() < 3 || !finite {
            return None;
        }
        let bound = |pick: fn(f64, f64) -> f64, start: f64| {
            corners.iter().fold((start, start), |(x, y), corner| (pick(x, corner.0), pick(y, corner.1)))
        };
        let (low, high) = (bound(f64::min, f64::INFINITY), bound(f64::max, f64::NEG_INFINITY));
        let straight = corners.iter().zip(corners.iter().cycle().skip(1)).all(|(a, b)| (a.0 == b.0) != (a.1 == b.1));
        let is_box = corners.len() == 4 && straight && low.0 < high.0 && low.1 < high.1;
        Some(Self { corners: corners.to_vec(), low, high, is_box })
    }

    /// Whether a point is inside: a ray to the right crosses the sides an odd number of times.
    pub(crate) fn contains(&self, (x, y): Point) -> bool {
        if x < self.low.0 || x > self.high.0 || y < self.low.1 || y > self.high.1 {
            return false;
        }
        if self.is_box {
            return x < self.high.0 && y < self.high.1;
        }
        let crossed = self.sides().filter(|&((ax, ay), (bx, by))| {
            // Half open in y, so that a corner belongs to one side only.
            (ay > y) != (by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
        });
        crossed.count() % 2 == 1
    }

    /// Metres to the nearest side, negative outside.
    pub(crate) fn depth(&self, at: Point) -> f64 {
        if self.is_box {
            let (x, y) = ((at.0 - self.low.0).min(self.high.0 - at.0), (at.1 - self.low.1).min(self.high.1 - at.1));
            return if x < 0.0 && y < 0.0 { -libm::sqrt(x * x + y * y) } else { x.min(y) };
        }
        let squared = self.sides().map(|side| squared_distance(at, side)).fold(f64::INFINITY, f64::min);
        let distance = libm::sqrt(squared);
        if self.contains(at) { distance } else { -distance }
    }

    /// Metres to it, zero inside.
    pub(crate) fn distance(&self, at: Point) -> f64 {
        (-self.depth(at)).max(0.0)
    }

    /// Whether the straight step from one point to another crosses its outline.
    pub(crate) fn is_crossed_by(&self, from: Point, to: Point) -> bool {
        let beside = |a: f64, b: f64, low: f64, high: f64| a.max(b) < low || a.min(b) > high;
        let far = beside(from.0, to.0, self.low.0, self.high.0) || beside(from.1, to.1, self.low.1, self.high.1);
        !far && self.sides().any(|side| crosses((from, to), side))
    }

    /// Square metres, by the shoelace formula.
    pub(crate) fn area(&self) -> f64 {
        let twice: f64 = self.sides().map(|((ax, ay), (bx, by))| ax * by - bx * ay).sum();
        libm::fabs(twice) / 2.0
    }

    /// Whether it is certainly farther than `far` metres.
    pub(crate) fn is_beyond(&self, (x, y): Point, far: f64) -> bool {
        x < self.low.0 - far || x > self.high.0 + far || y < self.low.1 - far || y > self.high.1 + far
    }

    /// Each side from one corner to the next; the last ends at the first corner.
    fn sides(&self) -> impl Iterator<Item = (Point, Point)> + '_ {
        let next = self.corners.iter().cycle().skip(1);
        self.corners.iter().copied().zip(next.copied())
    }
}

/// Whether the step from `from` to `to` crosses the line between two points, touching its ends included.
fn crosses((from, to): (Point, Point), (a, b): (Point, Point)) -> bool {
    let turn = |p: Point, q: Point, r: Point| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    let apart = turn(a, b, from) * turn(a, b, to) <= 0.0 && turn(from, to, a) * turn(from, to, b) <= 0.0;
    // On one line with it, it crosses where the boxes around both meet.
    let meet = |low: f64, high: f64, other: f64, another: f64| {
        low.min(high) <= other.max(another) && other.min(another) <= low.max(high)
    };
    apart && meet(from.0, to.0, a.0, b.0) && meet(from.1, to.1, a.1, b.1)
}

fn squared_distance((x, y): Point, ((ax, ay), (bx, by)): (Point, Point)) -> f64 {
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((x - ax) * dx + (y - ay) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (ex, ey) = (x - ax - along * dx, y - ay - along * dy);
    ex * ex + ey * ey
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quay with a corner cut out of it.
    fn quay() -> Polygon {
        Polygon::new(&[(0.0, 0.0), (100.0, 0.0), (100.0, 20.0), (40.0, 20.0), (40.0, 60.0), (0.0, 60.0)]).unwrap()
    }

    #[test]
    fn a_point_in_the_cut_out_corner_is_outside_and_as_far_as_the_nearest_side() {
        assert!(quay().contains((20.0, 50.0)));
        assert!(quay().contains((90.0, 10.0)));
        assert!(!quay().contains((45.0, 50.0)));
        assert_eq!(quay().distance((45.0, 50.0)), 5.0);
        assert_eq!(quay().distance((90.0, 10.0)), 0.0);
        assert_eq!(quay().depth((90.0, 12.0)), 8.0);
        assert_eq!(quay().area(), 100.0 * 20.0 + 40.0 * 40.0);
    }

    #[test]
    fn a_box_is_what_the_same_polygon_with_a_corner_more_is() {
        let quick = Polygon::new(&[(0.0, 0.0), (10.0, 0.0), (10.0, 6.0), (0.0, 6.0)]).unwrap();
        let slow = Polygon::new(&[(0.0, 0.0), (5.0, 0.0), (10.0, 0.0), (10.0, 6.0), (0.0, 6.0)]).unwrap();
        assert!(quick.is_box && !slow.is_box);
        for at in [(1.0, 1.0), (9.5, 5.0), (0.0, 0.0), (10.0, 3.0), (-3.0, -4.0), (14.0, 9.0), (5.0, 8.0), (3.0, 6.0)] {
            assert_eq!(quick.contains(at), slow.contains(at), "{at:?}");
            assert_eq!(quick.depth(at), slow.depth(at), "{at:?}");
        }
    }

    #[test]
    fn every_point_belongs_to_one_of_two_polygons_that_share_a_side() {
        let left = Polygon::new(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]).unwrap();
        let right = Polygon::new(&[(10.0, 0.0), (20.0, 0.0), (20.0, 10.0), (10.0, 10.0)]).unwrap();
        for y in [0.0, 2.5, 5.0, 9.9] {
            assert!(left.contains((10.0, y)) != right.contains((10.0, y)), "at {y}");
        }
    }

    #[test]
    fn a_step_over_a_line_crosses_it_and_one_beside_it_does_not() {
        let line = ((0.0, 10.0), (50.0, 10.0));
        assert!(crosses(((20.0, 8.0), (21.0, 12.0)), line));
        assert!(crosses(((20.0, 8.0), (20.0, 10.0)), line), "it ends on the line");
        assert!(!crosses(((20.0, 8.0), (21.0, 9.0)), line));
        assert!(!crosses(((60.0, 8.0), (61.0, 12.0)), line), "it passes the line's end");
        assert!(!crosses(((60.0, 10.0), (61.0, 10.0)), line), "on the same straight line, but beyond its end");
    }

    #[test]
    fn what_is_no_polygon_is_refused() {
        assert_eq!(Polygon::new(&[(0.0, 0.0), (1.0, 0.0)]), None);
        assert_eq!(Polygon::new(&[(0.0, 0.0), (1.0, 0.0), (f64::NAN, 1.0)]), None);
    }
}
