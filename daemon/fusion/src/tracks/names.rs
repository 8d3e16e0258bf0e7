//! What tracks are called, and what zones hear of them.
//!
//! A track's name hangs on the measurement it began with, so that it stays when the last seconds are gone through again. If
//! that changes where a track began, or if one is lost and found again a moment later, the new track takes over the name
//! of a lost one that could have come here by now: those who watch a person see one person.

use super::{
    geometry::{Point, Polygon},
    measure::CLASSES,
    scene::Scene,
    track::{Born, Track, Witness},
    view::Watcher,
};
use crate::bounds::NAMED_TRACKS;
use alloc::{collections::BTreeMap, vec::Vec};
use quaywatch_schemas::{Position, SensorId, WallTime, ZoneId, observation::ObjectClass};
use serde::{Deserialize, Serialize};

/// What happened to a track, for a zone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrackEvent {
    pub(crate) change: TrackChange,
    pub(crate) track: Sighting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackChange {
    /// It came into the zone, or was found there.
    Entered,
    /// It is there still.
    Still,
    /// It went out.
    Left,
    /// It was there last and is no longer followed.
    Lost,
}

/// A track when something happened to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sighting {
    /// Its name.
    pub(crate) number: u64,
    pub(crate) at: WallTime,
    /// Since when it is in the zone.
    pub(crate) since: WallTime,
    /// Metres in the site's grid.
    pub(crate) place: (f64, f64),
    /// m/s.
    pub(crate) speed: f64,
    /// Each with its probability, likeliest first.
    pub(crate) classes: [(ObjectClass, f64); CLASSES],
    pub(crate) existence: f64,
    pub(crate) vessel: Option<u32>,
    /// The newest record of each sensor that showed it.
    pub(crate) witnesses: Vec<(SensorId, Position)>,
}

/// All names in use.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    of: BTreeMap<Born, u64>,
    named: BTreeMap<u64, Named>,
    last: u64,
    looked: i64,
}

/// A track that has a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Named {
    number: u64,
    track: Track,
    /// Zones it is in, by their place in the list, and since when.
    inside: Vec<(u16, i64)>,
    /// When zones were told of it last.
    looked: i64,
    lost: bool,
}

/// What names are given in.
pub(crate) struct Around<'a> {
    pub(crate) watchers: &'a [Watcher],
    pub(crate) zones: &'a [(ZoneId, Polygon)],
    pub(crate) wall_ahead: i64,
}

/// How often zones are told, in nanoseconds.
const LOOK: i64 = 500_000_000;
/// How often where no zone listens: only to know where tracks were that are lost.
const LOOK_ALONE: i64 = 2_000_000_000;
/// A lost track's name is kept for so long, in nanoseconds: a person behind a container stack comes out again by then.
const FOUND_WITHIN: i64 = 10_000_000_000;
/// How far from where it would be it may be found: this many metres, and this many more per second of not being seen.
const FOUND_NEAR: (f64, f64) = (4.0, 1.0);
/// A track has left a zone only when it is so many metres outside: who walks along its edge does not leave it again and again.
const OUTSIDE: f64 = 1.0;

impl Names {
    /// A track's name, if it has one.
    pub(crate) fn of(&self, track: &Track) -> Option<u64> {
        if track.number > 0 { Some(track.number) } else { self.of.get(&track.born).copied() }
    }

    /// The zones lie elsewhere now: what was in them is found in them anew.
    pub(crate) fn placed_anew(&mut self) {
        self.named.values_mut().for_each(|named| named.inside.clear());
    }

    /// Names what was confirmed, and from time to time says what that means for zones.
    pub(crate) fn look(
        &mut self,
        scene: &mut Scene,
        now: i64,
        around: &Around<'_>,
        events: &mut Vec<(ZoneId, TrackEvent)>,
    ) {
        let tracks = &mut scene.tracks;
        let mut marked = false;
        let unnamed = core::mem::take(&mut scene.unnamed);
        for index in 0..if unnamed { tracks.len() } else { 0 } {
            let track = &tracks[index];
            if !track.confirmed || track.number > 0 {
                continue;
            }
            let number = match self.of.get(&track.born) {
                Some(number) => *number,
                None => {
                    if !marked {
                        self.mark_lost(tracks);
                        marked = true;
                    }
                    self.name(&tracks[index], now)
                }
            };
            tracks[index].number = number;
        }
        let every = if around.zones.is_empty() { LOOK_ALONE } else { LOOK };
        if now - self.looked >= every {
            self.looked = now;
            self.tell(tracks, now, around, events);
        }
    }

    /// A name for a track that has none: that of a lost one, or a new one.
    fn name(&mut self, track: &Track, now: i64) -> u64 {
        let near = self.named.iter().filter(|(_, named)| named.lost).filter_map(|(number, named)| {
            let (x, y) = named.track.place(track.at);
            let (dx, dy) = (track.mean[0] - x, track.mean[1] - y);
            let gap = (track.at - named.track.seen).max(0) as f64 * 1e-9;
            let reach = FOUND_NEAR.0 + FOUND_NEAR.1 * gap;
            let distance = dx * dx + dy * dy;
            let alike: f64 = track.classes.iter().zip(&named.track.classes).map(|(a, b)| a * b).sum();
            let another = named.track.vessel.zip(track.vessel).is_some_and(|(a, b)| a.0 != b.0);
            (distance <= reach * reach && alike > 0.05 && !another).then_some((distance, *number))
        });
        let found = near.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, number)| number);
        let number = found.unwrap_or(self.last + 1);
        self.last = self.last.max(number);
        match self.named.get_mut(&number) {
            Some(named) => {
                self.of.remove(&named.track.born);
                named.track = *track;
                named.lost = false;
            }
            None => {
                self.named.insert(
                    number,
                    Named { number, track: *track, inside: Vec::new(), looked: i64::MIN / 2, lost: false },
                );
            }
        }
        self.of.insert(track.born, number);
        self.bound(now);
        number
    }

    /// Notes which named tracks are no longer there.
    fn mark_lost(&mut self, tracks: &[Track]) {
        let mut there: Vec<u64> = tracks.iter().filter_map(|track| self.of(track)).collect();
        there.sort_unstable();
        for (number, named) in &mut self.named {
            named.lost = there.binary_search(number).is_err();
        }
    }

    fn tell(&mut self, tracks: &[Track], now: i64, around: &Around<'_>, events: &mut Vec<(ZoneId, TrackEvent)>) {
        for named in self.named.values_mut() {
            named.lost = true;
        }
        for track in tracks.iter().filter(|track| track.number > 0) {
            let Some(named) = self.named.get_mut(&track.number) else { continue };
            named.lost = false;
            let before = (now - named.looked <= 2 * LOOK).then(|| named.track.place(named.looked));
            named.track = *track;
            named.looked = now;
            if track.existence >= super::SHOWN {
                named.tell(before, now, around, events);
            }
        }
        let Self { named, of, .. } = self;
        named.retain(|_, named| {
            let kept = !named.lost || now - named.track.seen <= FOUND_WITHIN;
            if !kept {
                of.remove(&named.track.born);
                for (zone, since) in &named.inside {
                    named.event(*zone, TrackChange::Lost, *since, named.track.seen, around, events);
                }
            }
            kept
        });
    }

    fn bound(&mut self, now: i64) {
        while self.named.len() > NAMED_TRACKS {
            let longest = |named: &Named| if named.lost { now - named.track.seen } else { -1 };
            let Some((number, _)) = self.named.iter().max_by_key(|(_, named)| longest(named)) else { break };
            let number = *number;
            if let Some(named) = self.named.remove(&number) {
                self.of.remove(&named.track.born);
            }
        }
    }
}

impl Named {
    /// Says which zones it came into, is in, and left. `before` is where it was at the last look.
    fn tell(&mut self, before: Option<Point>, now: i64, around: &Around<'_>, events: &mut Vec<(ZoneId, TrackEvent)>) {
        let place = self.track.place(now);
        for (index, (_, outline)) in around.zones.iter().enumerate() {
            let zone = index as u16;
            let was = self.inside.iter().position(|(inside, _)| *inside == zone);
            match was {
                None if outline.contains(place) => {
                    self.inside.push((zone, now));
                    self.event(zone, TrackChange::Entered, now, now, around, events);
                }
                // Fast through a narrow zone: it was in it between two looks.
                None if before
                    .is_some_and(|before| outline.is_crossed_by(before, place) && !outline.contains(before)) =>
                {
                    self.event(zone, TrackChange::Entered, now, now, around, events);
                    self.event(zone, TrackChange::Left, now, now, around, events);
                }
                None => {}
                Some(at) => {
                    let (_, since) = self.inside[at];
                    let left = outline.is_beyond(place, OUTSIDE) || outline.distance(place) > OUTSIDE;
                    if left {
                        self.inside.remove(at);
                    }
                    let change = if left { TrackChange::Left } else { TrackChange::Still };
                    self.event(zone, change, since, now, around, events);
                }
            }
        }
    }

    fn event(
        &self,
        zone: u16,
        change: TrackChange,
        since: i64,
        at: i64,
        around: &Around<'_>,
        events: &mut Vec<(ZoneId, TrackEvent)>,
    ) {
        let Some((zone, _)) = around.zones.get(usize::from(zone)) else { return };
        let track = &self.track;
        let witnesses = track.witnesses.iter().filter(|witness| **witness != Witness::NONE).filter_map(|witness| {
            let watcher = around.watchers.get(usize::from(witness.sensor))?;
            Some((watcher.id.clone(), Position(witness.record)))
        });
        let wall = |at: i64| WallTime(at.saturating_add(around.wall_ahead));
        let sighting = Sighting {
            number: self.number,
            at: wall(at),
            since: wall(since),
            place: track.place(at),
            speed: libm::hypot(track.mean[2], track.mean[3]),
            classes: classes(track),
            existence: track.existence,
            vessel: track.vessel.map(|(vessel, _)| vessel),
            witnesses: witnesses.collect(),
        };
        events.push((zone.clone(), TrackEvent { change, track: sighting }));
    }
}

/// What a track is, likeliest first; of equals in the order of the posterior.
pub(crate) fn classes(track: &Track) -> [(ObjectClass, f64); CLASSES] {
    const ALL: [ObjectClass; CLASSES] =
        [ObjectClass::Person, ObjectClass::Vehicle, ObjectClass::Vessel, ObjectClass::Other];
    let mut each = core::array::from_fn(|i| (ALL[i], track.classes[i]));
    for last in 1..CLASSES {
        for i in (0..last).rev() {
            if each[i + 1].1 > each[i].1 {
                each.swap(i, i + 1);
            }
        }
    }
    each
}
