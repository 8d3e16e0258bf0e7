//! What moves on the site, from every sensor that gives positions.
//!
//! One tracker for the whole site, not one per zone: who walks from the quay to the gate stays one track. Radars, cameras
//! and vessels' own words give places, presence sensors say whether something is in their view, and all of them speak
//! through what they do not say too. [`Tracker::take`] puts each word where its time belongs (`history.rs`), lets it change
//! what is taken to be there (`scene.rs`, `track.rs`), and gives back what that means for zones.
//!
//! | Question | File |
//! |---|---|
//! | How does a thing move? | `motion.rs` |
//! | Where is what was measured? | `measure.rs` |
//! | Which track was it? | `associate.rs` |
//! | Could the sensor have seen it? | `view.rs` |
//! | Is it in the zone, or near it? | `geometry.rs` |

mod associate;
pub(crate) mod geometry;
mod history;
mod measure;
mod motion;
mod names;
mod scene;
#[cfg(test)]
mod tests;
mod track;
mod view;

pub(crate) use measure::place;
pub(crate) use names::{Sighting, TrackChange, TrackEvent};

use alloc::vec::Vec;
use geometry::Polygon;
use history::{Entry, History, Taken, What};
use measure::Measurement;
use names::Names;
use quaywatch_schemas::{
    Reading, SensorId, Site, Stamp, WallTime, ZoneId,
    observation::{Cooperative, Frame, ObjectClass},
    site::Grid,
};
use serde::{Deserialize, Serialize};
use track::Track;
use view::{Watcher, WatcherKind};

/// A track as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackView {
    /// Its name: stays while the thing is followed, over short gaps too; never used again.
    pub id: u64,
    /// Metres in the site's grid.
    pub x: f64,
    /// Metres in the site's grid.
    pub y: f64,
    /// m/s along the grid's x axis.
    pub vx: f64,
    /// m/s along the grid's y axis.
    pub vy: f64,
    /// Of the place, in m²: [xx, xy, yy].
    pub covariance: [f64; 3],
    /// What it is, each with its probability; likeliest first.
    pub classes: [(ObjectClass, f64); 4],
    /// Probability that it is there.
    pub existence: f64,
    /// A vessel's own name, if it told one.
    pub mmsi: Option<u32>,
    /// When a sensor last saw it.
    pub seen: WallTime,
}

/// What became of the words taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackCounts {
    /// Came after a word that they precede, and were put in their place.
    pub late: u64,
    /// Came too late to be put in their place, and changed nothing.
    pub too_late: u64,
    /// Said before by the same sensor of the same time.
    pub repeated: u64,
    /// Detections without a place, or with one that cannot be.
    pub unplaced: u64,
    /// Tracks let go at the bound.
    pub let_go: u64,
}

/// The site's scanners that have a place well in their view, in name order.
pub(crate) fn scanners_that_see(site: &Site, place: (f64, f64)) -> Vec<SensorId> {
    let mut scanners = Watcher::all(site);
    // At the edge of a view nobody knows.
    scanners.retain(|watcher| watcher.kind == WatcherKind::Scanner && watcher.sees(place, EDGE) > 0.95);
    scanners.sort_by(|a, b| a.id.cmp(&b.id));
    scanners.into_iter().map(|watcher| watcher.id).collect()
}

/// How exactly the edge of a view is known, in metres.
const EDGE: f64 = 10.0;

/// The site's tracker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tracker {
    watchers: Vec<Watcher>,
    /// Watchers' places in name order: a sensor is found by its name in a few steps.
    by_name: Vec<u16>,
    zones: Vec<(ZoneId, Polygon)>,
    grid: Option<Grid>,
    history: History,
    names: Names,
    /// The latest word's own time in gateway time, in nanoseconds, and what wall time is ahead of that.
    latest: i64,
    wall_ahead: i64,
    counts: TrackCounts,
}

/// A track is shown while it is likelier there than not.
const SHOWN: f64 = 0.5;
/// A vessel farther away than this, in metres, is none of the site's business; the grid is no longer flat there either.
const COOPERATIVE_WITHIN: f64 = 20_000.0;

impl Tracker {
    /// A site takes effect. What is there stays; under other sensors or outlines it is only no longer corrected by late words.
    /// `hears` says in which zones anybody listens to what happens to tracks.
    pub(crate) fn apply(&mut self, site: &Site, hears: impl Fn(&ZoneId) -> bool) {
        let watchers = Watcher::all(site);
        let outlined = site
            .zones
            .iter()
            .filter(|(id, _)| hears(id))
            .filter_map(|(id, zone)| Some((id.clone(), Polygon::new(&zone.outline)?)));
        let zones: Vec<_> = outlined.collect();
        self.grid = site.grid;
        if watchers != self.watchers {
            self.history.watched_anew(watchers.len());
            self.by_name = (0..watchers.len().min(usize::from(u16::MAX)) as u16).collect();
            self.by_name.sort_by(|a, b| watchers[usize::from(*a)].id.cmp(&watchers[usize::from(*b)].id));
            self.watchers = watchers;
        }
        if zones != self.zones {
            self.names.placed_anew();
            self.zones = zones;
        }
    }

    /// Takes in what a sensor said of a time. `counts` says whether it was well, so that what it does not show counts too.
    pub(crate) fn take(
        &mut self,
        sensor: &SensorId,
        reading: &Reading,
        at: WallTime,
        stamp: &Stamp,
        counts: bool,
        events: &mut Vec<(ZoneId, TrackEvent)>,
    ) {
        let found = self.by_name.binary_search_by(|place| self.watchers[usize::from(*place)].id.cmp(sensor));
        let Ok(found) = found else { return };
        let index = self.by_name[found];
        let what = match (self.watchers[usize::from(index)].kind, reading) {
            (WatcherKind::Scanner, Reading::Frame(frame)) => self.scan(index, frame, counts),
            (WatcherKind::Presence, Reading::Contact(closed)) => What::Contact(*closed),
            (WatcherKind::Presence, Reading::NoData(_)) => What::Mute,
            (WatcherKind::Cooperative, Reading::Cooperative(word)) => match self.cooperative(word) {
                Some(what) => what,
                None => return,
            },
            _ => return,
        };
        // Gateway time goes on where wall time is set.
        let gateway = stamp.gateway.0.min(i64::MAX as u64) as i64;
        self.wall_ahead = stamp.wall.0.saturating_sub(gateway);
        let age = stamp.wall.0.saturating_sub(at.0).max(0);
        let entry = Entry { at: gateway.saturating_sub(age), sensor: index, record: stamp.position.0, what };
        self.latest = self.latest.max(entry.at);
        match self.history.take(entry, &self.watchers) {
            Taken::InOrder => {}
            Taken::Late => self.counts.late += 1,
            Taken::TooLate => self.counts.too_late += 1,
            Taken::Repeated => self.counts.repeated += 1,
        }
        let around = names::Around { watchers: &self.watchers, zones: &self.zones, wall_ahead: self.wall_ahead };
        self.names.look(&mut self.history.now, self.latest, &around, events);
    }

    /// Tracks that are likely there, where they are at a time, in the order they were named.
    pub(crate) fn views(&self, at: WallTime) -> Vec<TrackView> {
        let at = at.0.saturating_sub(self.wall_ahead);
        let tracks = &self.history.now.tracks;
        let shown = tracks.iter().filter(|track| track.confirmed && track.existence >= SHOWN);
        let mut views: Vec<TrackView> = shown.filter_map(|track| self.view(track, at)).collect();
        views.sort_unstable_by_key(|view| view.id);
        views
    }

    /// What became of the words so far.
    pub(crate) fn counts(&self) -> TrackCounts {
        TrackCounts { let_go: self.history.now.let_go, ..self.counts }
    }

    fn view(&self, track: &Track, at: i64) -> Option<TrackView> {
        let id = self.names.of(track)?;
        let (x, y) = track.place(at);
        let mut whole = track.motion.whole();
        // Into the past nothing is less sure than now.
        let ahead = (at - track.at) as f64 * 1e-9;
        if ahead > 0.0 {
            whole.predict(ahead, 0.0);
        }
        let (_, covariance) = whole.position();
        Some(TrackView {
            id,
            x,
            y,
            vx: track.mean[2],
            vy: track.mean[3],
            covariance,
            classes: names::classes(track),
            existence: track.existence,
            mmsi: track.vessel.map(|(vessel, _)| vessel),
            seen: WallTime(track.seen.saturating_add(self.wall_ahead)),
        })
    }

    fn scan(&mut self, index: u16, frame: &Frame, counts: bool) -> What {
        let mount = self.watchers[usize::from(index)].mount;
        let mut measured = self.history.room();
        measured.extend(frame.detections.iter().filter_map(|one| Measurement::of(one, mount.as_ref())));
        self.counts.unplaced += (frame.detections.len() - measured.len()) as u64;
        measured.sort_unstable_by(|a, b| {
            a.at[0].total_cmp(&b.at[0]).then(a.at[1].total_cmp(&b.at[1])).then(a.score.total_cmp(&b.score))
        });
        What::Scan { counts, measured }
    }

    fn cooperative(&mut self, word: &Cooperative) -> Option<What> {
        let Some(grid) = &self.grid else {
            self.counts.unplaced += 1;
            return None;
        };
        let (x, y) = place(grid, word.latitude.get(), word.longitude.get());
        let near = libm::hypot(x, y) < COOPERATIVE_WITHIN;
        if !near {
            self.counts.unplaced += 1;
            return None;
        }
        let velocity = word.speed.zip(word.course).map(|(speed, course)| {
            let (sin, cos) = libm::sincos((course.get() - grid.x_axis_deg).to_radians());
            // Courses go clockwise, the grid's angles the other way.
            [speed.get() * cos, -speed.get() * sin]
        });
        Some(What::Cooperative { vessel: word.mmsi, measured: Measurement::of_cooperative(word, grid), velocity })
    }
}
