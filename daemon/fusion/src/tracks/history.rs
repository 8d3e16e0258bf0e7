//! The last seconds of what sensors said, in the order it was so.
//!
//! A camera's frame comes after the radar's scan that it precedes, and a few in a hundred come seconds late. Nothing is
//! approximated for that: the words of the last [`HORIZON`] are kept sorted by when they were, with copies of the scene in
//! between; a late word is put in its place and what followed is gone through again. So the outcome is that of the words in
//! order, whatever order they came in. What is older than the horizon when it comes is counted and changes nothing.

use super::{
    measure::Measurement,
    scene::{Desk, Scene},
    view::Watcher,
};
use crate::bounds::{SCENES, WORDS};
use alloc::{collections::VecDeque, vec::Vec};
use serde::{Deserialize, Serialize};

/// How late a word may come, in nanoseconds: half a second more than what FUSION's data shows of cameras behind a busy
/// switch.
const HORIZON: i64 = 5_000_000_000;
/// Scenes of up to this many tracks are copied before every word, larger ones, or where words come faster than scenes can be
/// kept, this many nanoseconds apart at least. A copy costs a tenth of a word, but the room has its bound.
const SMALL: usize = 64;
const APART: i64 = 200_000_000;
const APART_PER_TRACK: i64 = 1_000_000;
/// The base is moved by this much at least, in nanoseconds.
const AT_ONCE: i64 = 1_000_000_000;

/// One word of one sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was, in nanoseconds of gateway time.
    pub(crate) at: i64,
    /// The sensor's place among the watchers.
    pub(crate) sensor: u16,
    /// The record it came in.
    pub(crate) record: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum What {
    /// A scan, its measurements sorted along x. `counts`: the sensor was well, so that what it did not show counts.
    Scan { counts: bool, measured: Vec<Measurement> },
    /// A presence sensor's contact.
    Contact(bool),
    /// A sensor that cannot speak.
    Mute,
    /// A vessel's own word: who, where, and its velocity in the grid.
    Cooperative { vessel: u32, measured: Measurement, velocity: Option<[f64; 2]> },
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    InOrder,
    /// Put in its place; what followed was gone through again.
    Late,
    /// Said already.
    Repeated,
    /// Older than the horizon.
    TooLate,
}

/// The scene now, and what is needed to correct it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    /// The scene before the first word that is kept.
    base: Scene,
    /// The last word that is in the base.
    begins_after: Option<Key>,
    words: VecDeque<Entry>,
    /// After the last word.
    pub(crate) now: Scene,
    /// Scenes after some of the words, oldest first. Made anew when needed: a snapshot does without.
    #[serde(skip)]
    scenes: VecDeque<(Key, Scene)>,
    #[serde(skip)]
    spare: Vec<Scene>,
    #[serde(skip)]
    room: Vec<Vec<Measurement>>,
    #[serde(skip)]
    desk: Desk,
}

/// The order of words: when, then which sensor, then which record.
type Key = (i64, u16, u64);

impl Entry {
    fn key(&self) -> Key {
        (self.at, self.sensor, self.record)
    }
}

impl History {
    /// The site has other sensors from now on. What is there stays.
    pub(crate) fn watched_anew(&mut self, watchers: usize) {
        self.now.watched_anew(watchers);
        self.base.copy_from(&self.now);
        self.words.clear();
        self.scenes.clear();
        self.begins_after = None;
    }

    /// Takes a word in, wherever its time puts it.
    pub(crate) fn take(&mut self, entry: Entry, watchers: &[Watcher]) -> Taken {
        let newest = self.words.back().map_or(i64::MIN, |last| last.at);
        if self.words.back().is_none_or(|last| last.key() < entry.key()) {
            if self.is_said(&entry, self.words.len()) {
                return Taken::Repeated;
            }
            self.keep_scene(self.words.back().map(Entry::key), entry.at);
            self.now.apply(&entry, watchers, &mut self.desk);
            self.words.push_back(entry);
            self.forget(watchers);
            return Taken::InOrder;
        }
        // Where words came fast the base may be younger than the horizon.
        if entry.at < newest - HORIZON || self.begins_after.is_some_and(|last| entry.key() <= last) {
            return Taken::TooLate;
        }
        let place = self.words.partition_point(|word| word.key() < entry.key());
        if self.is_said(&entry, place) {
            return Taken::Repeated;
        }
        let key = entry.key();
        self.words.insert(place, entry);
        self.again_from(key, watchers);
        self.forget(watchers);
        Taken::Late
    }

    /// Whether the same sensor said the same of the same time already.
    fn is_said(&self, entry: &Entry, place: usize) -> bool {
        let same_time = self.words.iter().take(place).rev().take_while(|word| word.at == entry.at);
        let after = self.words.iter().skip(place).take_while(|word| word.at == entry.at);
        let mut same = same_time.chain(after).filter(|word| word.sensor == entry.sensor);
        same.any(|word| word.what == entry.what)
    }

    /// Keeps a copy of the scene as it is after the word `last` and before one of time `at`, if the last copy is old enough.
    fn keep_scene(&mut self, last: Option<Key>, at: i64) {
        let Some(last) = last else { return };
        let copied = self.scenes.back().map_or(i64::MIN / 2, |(key, _)| key.0);
        let often = self.now.tracks.len() <= SMALL && self.words.len() < SCENES;
        if !often && at - copied < APART.max(self.now.tracks.len() as i64 * APART_PER_TRACK) {
            return;
        }
        let mut scene = match self.scenes.len() {
            SCENES => self.scenes.pop_front().map(|(_, scene)| scene).unwrap_or_default(),
            _ => self.spare.pop().unwrap_or_default(),
        };
        scene.copy_from(&self.now);
        self.scenes.push_back((last, scene));
    }

    /// Goes through everything again that is not before a word.
    fn again_from(&mut self, key: Key, watchers: &[Watcher]) {
        while self.scenes.back().is_some_and(|(copied, _)| *copied >= key) {
            self.spare.extend(self.scenes.pop_back().map(|(_, scene)| scene));
        }
        let start = match self.scenes.back() {
            Some((copied, scene)) => {
                self.now.copy_from(scene);
                self.words.partition_point(|word| word.key() <= *copied)
            }
            None => {
                self.now.copy_from(&self.base);
                0
            }
        };
        let words = core::mem::take(&mut self.words);
        for (index, word) in words.iter().enumerate().skip(start) {
            let before = index.checked_sub(1).and_then(|before| words.get(before));
            if index > start {
                self.keep_scene(before.map(Entry::key), word.at);
            }
            self.now.apply(word, watchers, &mut self.desk);
        }
        self.words = words;
    }

    /// Moves the base up to the horizon, or to where the words kept are few enough: seldom, and far at once.
    fn forget(&mut self, watchers: &[Watcher]) {
        let newest = self.words.back().map_or(i64::MIN, |last| last.at);
        let is_due = self.words.front().is_some_and(|first| first.at < newest - HORIZON - AT_ONCE);
        if !is_due && self.words.len() <= WORDS {
            return;
        }
        let old = self.words.partition_point(|word| word.at < newest - HORIZON);
        let many = if self.words.len() > WORDS { WORDS / 4 } else { 0 };
        let going = old.max(many);
        let Some(last) = going.checked_sub(1).and_then(|last| self.words.get(last)).map(Entry::key) else { return };
        // Goes on from the newest scene that is not beyond; the outcome is the same without one.
        let known = self.scenes.iter().rposition(|(key, _)| *key <= last);
        let start = match known.and_then(|index| self.scenes.get(index)) {
            Some((key, scene)) => {
                self.base.copy_from(scene);
                self.words.partition_point(|word| word.key() <= *key)
            }
            None => 0,
        };
        for word in self.words.iter().take(going).skip(start) {
            self.base.apply(word, watchers, &mut self.desk);
        }
        self.spare.extend(self.scenes.drain(..known.map_or(0, |index| index + 1)).map(|(_, scene)| scene));
        for word in self.words.drain(..going) {
            if let What::Scan { measured, .. } = word.what {
                self.room.push(measured);
            }
        }
        self.begins_after = Some(last);
    }

    /// An empty list for measurements, with the room of one that is no longer needed.
    pub(crate) fn room(&mut self) -> Vec<Measurement> {
        let mut room = self.room.pop().unwrap_or_default();
        room.clear();
        room
    }
}
