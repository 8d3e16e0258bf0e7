//! What is taken to be there, and what one more word of a sensor changes about it.
//!
//! Each track is there with a probability (a Bernoulli component; Meyer and others, "Message Passing Algorithms for Scalable
//! Multitarget Tracking", Proc. IEEE 106(2), 2018): a scan that should have shown it and did not lowers it by
//! `(1 - Pd) / (1 - p Pd)`, a measurement in its gate raises it by `Pd N(z; ẑ, S) / λ`, both through the joint association.
//! `Pd` is the sensor's rate times the probability that the track is in its view, so what a sensor cannot see does not count
//! against anything. What no track explains becomes a *seed*; a second measurement that something moving from the seed could
//! have made turns it into a track.

use super::{
    associate::Association,
    geometry::Point,
    history::{Entry, What},
    measure::{CLASSES, Measurement},
    motion::Innovation,
    track::{Born, FORGOTTEN_TENTATIVE, GATE, SEED_GATE, SPEEDS, Seed, Track, seconds},
    view::{Watcher, WatcherKind},
};
use crate::bounds::{SEEDS, TRACKS};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A presence sensor's last word.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Contact {
    closed: bool,
    mute: bool,
    heard: i64,
    /// Up to when its word or its silence has been counted.
    counted: i64,
}

/// Everything that is taken to be there at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scene {
    pub(crate) tracks: Vec<Track>,
    /// Sorted along x.
    seeds: Vec<Seed>,
    contacts: Vec<Contact>,
    tended: i64,
    /// Whether a confirmed track may still lack its name.
    #[serde(skip, default = "yes")]
    pub(crate) unnamed: bool,
    /// How many tracks were let go at the bound.
    pub(crate) let_go: u64,
}

/// Room to work in. Holds nothing between two scans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    pub(super) association: Association,
    candidates: Vec<Candidate>,
    pub(super) likelihoods: Vec<[(Innovation, f64); 2]>,
    matches: Vec<(f64, usize, usize)>,
    pub(super) shadowed: Vec<bool>,
    used: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    track: usize,
    /// Probability that the scan would have shown it.
    detection: f64,
}

/// Where nothing looks, a track is believed for about this many seconds: who leaves the covered area seldom comes back.
const STAYS_UNSEEN: f64 = 3.0;
/// A vessel that told its name is believed until this long after its last word, in nanoseconds: twice the longest interval
/// of a class A transponder (ITU-R M.1371-5, table 1: three minutes at anchor).
const VESSEL_STAYS: i64 = 360_000_000_000;
/// Things nobody has seen yet, per m² in view: one in fifty hectares. Only its ratio to false alarms matters.
const UNDISCOVERED: f64 = 2e-6;
/// The same beside a confirmed track: a second echo of the same thing is likelier than a second thing.
const BESIDE_A_TRACK: f64 = 0.2;
/// Seeds are matched with what comes within this time, in nanoseconds.
const SEED_LIVES: i64 = 2_500_000_000;
/// How far apart along x a seed and its match can be, in metres: three standard deviations of the fastest for as long as a seed
/// lives.
const SEED_REACH: f64 = 80.0;
/// A seed of lower odds than this could not become a track with the best second measurement: a radar that sees nine of ten has
/// missed it twice.
const HOPELESS: f64 = 5e-4;
/// What is measured this near, in metres, may be of a track that is out of view.
const BESIDE: f64 = 10.0;
/// How often what no scan reaches is looked after, in nanoseconds.
const TEND: i64 = 1_000_000_000;
/// One look of a presence sensor, in nanoseconds: pyroelectric detectors hold their contact for one to three seconds.
const LOOK: i64 = 2_000_000_000;

impl Scene {
    /// The same tracks under a site with other sensors.
    pub(crate) fn watched_anew(&mut self, watchers: usize) {
        self.contacts = alloc::vec![Contact::default(); watchers];
        self.seeds.clear();
    }

    /// Takes over another scene without giving up the room it has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.tracks.clone_from(&other.tracks);
        self.seeds.clone_from(&other.seeds);
        self.contacts.clone_from(&other.contacts);
        self.tended = other.tended;
        self.unnamed = other.unnamed;
        self.let_go = other.let_go;
    }

    /// What one more word changes. Words come in the order of their times.
    pub(crate) fn apply(&mut self, entry: &Entry, watchers: &[Watcher], desk: &mut Desk) {
        if entry.at - self.tended >= TEND {
            self.tend(entry.at, watchers);
        }
        let Some(watcher) = watchers.get(usize::from(entry.sensor)) else { return };
        match &entry.what {
            What::Scan { counts, measured } => self.scan(entry, *counts, measured, watcher, desk),
            What::Contact(closed) => self.contact(entry, *closed, watcher),
            What::Mute => {
                if let Some(contact) = self.contacts.get_mut(usize::from(entry.sensor)) {
                    contact.mute = true;
                }
            }
            What::Cooperative { vessel, measured, velocity } => self.vessel(entry, *vessel, measured, *velocity),
        }
    }

    fn scan(&mut self, entry: &Entry, counts: bool, measured: &[Measurement], watcher: &Watcher, desk: &mut Desk) {
        desk.association.begin(measured.len());
        desk.candidates.clear();
        desk.likelihoods.clear();
        desk.shadowed.clear();
        desk.shadowed.resize(measured.len(), false);
        let noise = watcher.false_alarms + UNDISCOVERED;
        let around = around(measured);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let seconds = seconds(entry.at - track.at);
            let place = (track.mean[0] + seconds * track.mean[2], track.mean[1] + seconds * track.mean[3]);
            let seen = watcher.sees(place, track.sd + seconds * track.speed_sd);
            // Nobody measures a view so well that it could not have seen something beside it.
            if seen < 1e-3 && !is_beside(measured, around, place) {
                continue;
            }
            track.predict(entry.at);
            let detection = if counts { watcher.detection * seen } else { 0.0 };
            desk.candidates.push(Candidate { track: index, detection });
            desk.association.track(1.0 - track.existence * detection);
            track.gate(measured, watcher.detection / noise, desk);
        }
        desk.association.solve();
        let (mut pair, mut gone) = (0, false);
        for (candidate, Candidate { track, detection }) in desk.candidates.iter().enumerate() {
            let (missed, pairs) = desk.association.of(candidate);
            let likelihoods = &desk.likelihoods[pair..pair + pairs.len()];
            pair += pairs.len();
            let track = &mut self.tracks[*track];
            let before = 1.0 - track.existence * detection;
            let unseen = missed * track.existence * (1.0 - detection) / before;
            track.update(unseen, pairs, likelihoods, measured, entry);
            self.unnamed |= track.confirmed && track.number == 0;
            gone |= !track.is_believed();
        }
        self.discover(entry, measured, watcher, noise, desk);
        if gone || self.tracks.len() > TRACKS {
            self.prune();
        }
    }

    /// What no track explains: matched with seeds, or sown.
    fn discover(&mut self, entry: &Entry, measured: &[Measurement], watcher: &Watcher, noise: f64, desk: &mut Desk) {
        desk.matches.clear();
        for (index, measurement) in measured.iter().enumerate() {
            let free = 1.0 - desk.association.taken(index);
            if free < 0.1 {
                continue;
            }
            let first = self.seeds.partition_point(|seed| seed.measured.at[0] < measurement.at[0] - SEED_REACH);
            for (seed_index, seed) in self.seeds.iter().enumerate().skip(first) {
                if seed.measured.at[0] > measurement.at[0] + SEED_REACH {
                    break;
                }
                let seconds = seconds(entry.at - seed.born.at);
                let spread = SPEEDS[1].0 * SPEEDS[1].0 * seconds * seconds;
                let (dx, dy) = (measurement.at[0] - seed.measured.at[0], measurement.at[1] - seed.measured.at[1]);
                let (a, b) = (&seed.measured.cov, &measurement.cov);
                if dx * dx + dy * dy > SEED_GATE * (spread + a[0] + a[2] + b[0] + b[2]) {
                    continue;
                }
                let Some((likelihood, _)) = seed.leads_to(measurement, seconds) else { continue };
                let (first, now) = (seed.measured.class_likelihood(), measurement.class_likelihood());
                let same: f64 = first.iter().zip(&now).map(|(a, b)| a * b).sum::<f64>() / CLASSES as f64;
                let gain = watcher.detection * likelihood * same * measurement.score / noise;
                desk.matches.push((seed.odds * free * gain, seed_index, index));
            }
        }
        // The best first; equal ones by their order, so that the outcome is one.
        desk.matches.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        desk.used.clear();
        desk.used.resize(self.seeds.len() + measured.len(), false);
        let sown = self.seeds.len();
        for &(odds, seed, index) in &desk.matches {
            if desk.used[seed] || desk.used[sown + index] || odds < FORGOTTEN_TENTATIVE {
                continue;
            }
            desk.used[seed] = true;
            desk.used[sown + index] = true;
            let track = Track::new(&self.seeds[seed], &measured[index], entry, odds / (1.0 + odds));
            self.tracks.push(track);
        }
        let mut seed = 0;
        self.seeds.retain_mut(|kept| {
            let used = desk.used[seed];
            seed += 1;
            let at = (kept.measured.at[0], kept.measured.at[1]);
            kept.odds *= 1.0 - watcher.detection * watcher.sees(at, 0.0);
            !used && kept.odds > HOPELESS && entry.at - kept.born.at <= SEED_LIVES
        });
        for (index, measurement) in measured.iter().enumerate() {
            let free = 1.0 - desk.association.taken(index);
            if free < 0.1 || desk.used[sown + index] {
                continue;
            }
            if self.seeds.len() == SEEDS {
                break;
            }
            let beside = if desk.shadowed[index] { BESIDE_A_TRACK } else { 1.0 };
            self.seeds.push(Seed {
                born: Born { at: entry.at, sensor: entry.sensor, index: index as u16 },
                measured: *measurement,
                odds: beside * free * watcher.detection * UNDISCOVERED * measurement.score / watcher.false_alarms,
                record: entry.record,
            });
        }
        self.seeds.sort_by(|a, b| a.measured.at[0].total_cmp(&b.measured.at[0]).then(a.born.cmp(&b.born)));
    }

    /// A presence sensor's contact: a hit is likelier where something is, and silence where nothing is.
    fn contact(&mut self, entry: &Entry, closed: bool, watcher: &Watcher) {
        let Some(contact) = self.contacts.get_mut(usize::from(entry.sensor)) else { return };
        let rose = closed && !contact.closed;
        *contact = Contact { closed, mute: false, heard: entry.at, counted: entry.at };
        if rose {
            // P(hit) = 1 - (1 - Pfa) prod(1 - p Pd), and the same given that one of them is there for certain.
            let nothing = |track: &Track, existence: f64| {
                1.0 - existence * watcher.detection * watcher.sees(track.place(entry.at), track.sd)
            };
            let all =
                self.tracks.iter().fold(1.0 - watcher.false_alarms, |all, track| all * nothing(track, track.existence));
            let hit = 1.0 - all;
            for track in &mut self.tracks {
                let here = nothing(track, 1.0);
                if here < 1.0 {
                    let given = 1.0 - all / nothing(track, track.existence) * here;
                    track.existence = (track.existence * given / hit).clamp(0.0, 0.999_999);
                }
            }
        }
    }

    /// A vessel said where it is.
    fn vessel(&mut self, entry: &Entry, vessel: u32, measured: &Measurement, velocity: Option<[f64; 2]>) {
        let named = self.tracks.iter().position(|track| track.vessel.is_some_and(|(name, _)| name == vessel));
        let found = named.or_else(|| {
            let near = self.tracks.iter().enumerate().filter(|(_, track)| track.vessel.is_none()).filter_map(
                |(index, track)| {
                    let mut moved = *track;
                    moved.predict(entry.at);
                    let squared = moved.motion.whole().innovation(measured).squared;
                    // Of several, the one that is most likely a vessel.
                    (squared < GATE).then(|| (squared - 2.0 * libm::log(track.classes[2].max(1e-9)), index))
                },
            );
            near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
        });
        match found {
            Some(index) => {
                let track = &mut self.tracks[index];
                track.predict(entry.at);
                for model in &mut track.motion.models {
                    let innovation = model.innovation(measured);
                    // Its word and its echo far apart: the name stays, the place is the echo's.
                    if innovation.squared < GATE {
                        model.update(&innovation, &innovation.e, 1.0, &[0.0; 3]);
                    }
                }
                track.existence = 1.0 - (1.0 - track.existence) * 0.01;
                track.vessel = Some((vessel, entry.at));
                track.classify(&measured.class_likelihood(), 1.0);
                track.note(entry);
                track.settle();
            }
            None => {
                let born = Born { at: entry.at, sensor: entry.sensor, index: 0 };
                let seed = Seed { born, measured: *measured, odds: 1.0, record: entry.record };
                let mut track = Track::new(&seed, measured, entry, 0.99);
                track.vessel = Some((vessel, entry.at));
                track.confirmed = true;
                if let Some([x, y]) = velocity {
                    for model in &mut track.motion.models {
                        model.mean[2] = x;
                        model.mean[3] = y;
                    }
                }
                track.settle();
                self.tracks.push(track);
                self.unnamed = true;
                self.prune();
            }
        }
    }

    /// Looks after what no scan reaches: tracks outside every view, and the silence of presence sensors.
    fn tend(&mut self, at: i64, watchers: &[Watcher]) {
        let since = seconds((at - self.tended).min(10 * TEND));
        self.tended = at;
        for track in &mut self.tracks {
            // Scans reach most of them anyway, a moment later.
            if at - track.at < TEND + TEND / 2 {
                continue;
            }
            track.predict(at);
            track.settle();
            let place = track.place(at);
            let mut scanners = watchers.iter().filter(|watcher| watcher.kind == WatcherKind::Scanner);
            let covered = scanners.any(|watcher| watcher.sees(place, track.sd) > 0.1);
            let speaks = track.vessel.is_some_and(|(_, heard)| at - heard < VESSEL_STAYS);
            if !covered && !speaks {
                track.existence *= libm::exp(-since / STAYS_UNSEEN);
            }
        }
        for (contact, watcher) in self.contacts.iter_mut().zip(watchers) {
            if watcher.kind != WatcherKind::Presence || contact.closed || contact.mute || at - contact.counted < LOOK {
                continue;
            }
            contact.counted = at;
            if watcher.is_mute(contact.heard, at) {
                continue;
            }
            for track in &mut self.tracks {
                // It must have been in view for the whole look.
                let (now, then) = (track.place(at), track.place(at - LOOK));
                let seen = watcher.sees(now, track.sd).min(watcher.sees(then, track.sd));
                let unseen = track.existence * (1.0 - watcher.detection * seen);
                track.existence = unseen / (1.0 - track.existence + unseen);
            }
        }
        self.prune();
    }

    /// Lets go what is no longer believed, and at the bound what is least believed.
    fn prune(&mut self) {
        self.tracks.retain(Track::is_believed);
        while self.tracks.len() > TRACKS {
            let worth = |track: &Track| (track.confirmed, track.existence);
            let least = self.tracks.iter().enumerate().min_by(|(_, a), (_, b)| {
                let (a, b) = (worth(a), worth(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            let Some((index, _)) = least else { break };
            self.tracks.remove(index);
            self.let_go += 1;
        }
    }
}

fn yes() -> bool {
    true
}

/// The box around everything that was measured, and what may be of a track out of view; `None` if there is nothing.
fn around(measured: &[Measurement]) -> Option<(Point, Point)> {
    let (first, last) = (measured.first()?, measured.last()?);
    let all = measured.iter().map(|one| one.at[1]);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    Some(((first.at[0] - BESIDE, low - BESIDE), (last.at[0] + BESIDE, high + BESIDE)))
}

/// Whether something was measured beside a place; the measurements are sorted along x.
fn is_beside(measured: &[Measurement], around: Option<(Point, Point)>, (x, y): Point) -> bool {
    let Some((low, high)) = around else { return false };
    if x < low.0 || x > high.0 || y < low.1 || y > high.1 {
        return false;
    }
    let first = measured.partition_point(|one| one.at[0] < x - BESIDE);
    let mut near = measured[first..].iter().take_while(|one| one.at[0] <= x + BESIDE);
    near.any(|one| libm::fabs(one.at[1] - y) <= BESIDE)
}
