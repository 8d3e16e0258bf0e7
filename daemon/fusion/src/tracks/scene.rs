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
    motion::{Innovation, Manner, Motion},
    view::{Watcher, WatcherKind},
};
use crate::bounds::{SEEDS, SENSORS_PER_TRACK, TRACKS};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A moving thing with uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The measurement it began with: its name, the same whenever the history is gone through again.
    pub(crate) born: Born,
    /// Nanoseconds of gateway time its motion is of.
    pub(crate) at: i64,
    pub(crate) motion: Motion,
    /// Mean of the motion and the larger standard deviations of place and speed.
    pub(crate) mean: [f64; 4],
    pub(crate) sd: f64,
    speed_sd: f64,
    /// Probability that it is there.
    pub(crate) existence: f64,
    /// Whether it was ever sure enough to be shown.
    pub(crate) confirmed: bool,
    pub(crate) classes: [f64; CLASSES],
    /// The scan that last showed it.
    pub(crate) seen: i64,
    pub(crate) hits: u32,
    /// Its name where it is shown. Follows from where it began, and is looked up again where it is zero.
    #[serde(skip)]
    pub(crate) number: u64,
    /// The newest record of each sensor that showed it, oldest first; none where there were fewer.
    pub(crate) witnesses: [Option<Witness>; SENSORS_PER_TRACK],
    /// The vessel's name and when it last spoke.
    pub(crate) vessel: Option<(u32, i64)>,
}

/// The measurement a track began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Born {
    pub(crate) at: i64,
    pub(crate) sensor: u16,
    pub(crate) index: u16,
}

/// A record that showed a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    /// The sensor's place among the watchers.
    pub(crate) sensor: u16,
    pub(crate) record: u64,
}

/// A measurement that no track explains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seed {
    born: Born,
    measured: Measurement,
    /// Odds that it is something real.
    odds: f64,
    record: u64,
}

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
    seeds: Vec<Seed>,
    contacts: Vec<Contact>,
    tended: i64,
    /// How many tracks were let go at the bound.
    pub(crate) let_go: u64,
}

/// Room to work in. Holds nothing between two scans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    association: Association,
    candidates: Vec<Candidate>,
    likelihoods: Vec<[(Innovation, f64); 2]>,
    matches: Vec<(f64, usize, usize)>,
    shadowed: Vec<bool>,
    used: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    track: usize,
    /// Probability that the scan would have shown it.
    detection: f64,
}

/// Things leave, or are no longer told from what stands around, once in this many seconds: minutes are usual on a quay.
const STAYS: f64 = 200.0;
/// Where nothing looks, a track is believed for about this many seconds: who leaves the covered area seldom comes back.
const STAYS_UNSEEN: f64 = 3.0;
/// A vessel that told its name is believed until this long after its last word, in nanoseconds: twice the longest interval
/// of a class A transponder (ITU-R M.1371-5, table 1: three minutes at anchor).
const VESSEL_STAYS: i64 = 360_000_000_000;
/// Things nobody has seen yet, per m² in view: one in fifty hectares. Only its ratio to false alarms matters.
const UNDISCOVERED: f64 = 2e-6;
/// The same beside a confirmed track: a second echo of the same thing is likelier than a second thing.
const BESIDE_A_TRACK: f64 = 0.2;
/// Standard deviation of the speed of something just found, in m/s along each axis, and how often: mostly people, trucks and
/// harbour craft; now and then a car or a boat at 40 knots.
const SPEEDS: [(f64, f64); 2] = [(3.0, 0.9), (10.0, 0.1)];
/// How strongly something just found may turn, as the density of its acceleration in m²/s³.
const FOUND_TURNING: f64 = 0.5;
/// Gate, as squared Mahalanobis distance: 1 in 3,000 measurements of a thing falls outside.
const GATE: f64 = 16.0;
/// A track is confirmed from this probability on, after two measurements at least.
const CONFIRMED: f64 = 0.8;
/// Below this it is forgotten: four misses of a radar that sees nine of ten.
const FORGOTTEN: f64 = 0.002;
const FORGOTTEN_TENTATIVE: f64 = 0.05;
/// A place known no better than this, in metres, is no place.
const LOST_SD: f64 = 25.0;
/// Seeds are matched with what comes within this time, in nanoseconds.
const SEED_LIVES: i64 = 2_500_000_000;
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
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let seconds = seconds(entry.at - track.at);
            let place = (track.mean[0] + seconds * track.mean[2], track.mean[1] + seconds * track.mean[3]);
            let seen = watcher.sees(place, track.sd + seconds * track.speed_sd);
            // Nobody measures a view so well that it could not have seen something beside it.
            if seen < 1e-3 && !is_beside(measured, place) {
                continue;
            }
            track.predict(entry.at);
            let detection = if counts { watcher.detection * seen } else { 0.0 };
            desk.candidates.push(Candidate { track: index, detection });
            desk.association.track(1.0 - track.existence * detection);
            track.gate(measured, watcher.detection / noise, desk);
        }
        desk.association.solve();
        let mut pair = 0;
        for (candidate, Candidate { track, detection }) in desk.candidates.iter().enumerate() {
            let (missed, pairs) = desk.association.of(candidate);
            let likelihoods = &desk.likelihoods[pair..pair + pairs.len()];
            pair += pairs.len();
            let track = &mut self.tracks[*track];
            let before = 1.0 - track.existence * detection;
            let unseen = missed * track.existence * (1.0 - detection) / before;
            track.update(unseen, pairs, likelihoods, measured, entry);
        }
        self.discover(entry, measured, watcher, noise, desk);
        self.prune();
    }

    /// What no track explains: matched with seeds, or sown.
    fn discover(&mut self, entry: &Entry, measured: &[Measurement], watcher: &Watcher, noise: f64, desk: &mut Desk) {
        desk.matches.clear();
        for (index, measurement) in measured.iter().enumerate() {
            let free = 1.0 - desk.association.taken(index);
            if free < 0.1 {
                continue;
            }
            for (seed_index, seed) in self.seeds.iter().enumerate() {
                let seconds = seconds(entry.at - seed.born.at);
                let spread = SPEEDS[1].0 * SPEEDS[1].0 * seconds * seconds;
                let (dx, dy) = (measurement.at[0] - seed.measured.at[0], measurement.at[1] - seed.measured.at[1]);
                if dx * dx + dy * dy > GATE * (spread + 30.0) {
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
                self.seeds.remove(0);
            }
            let beside = if desk.shadowed[index] { BESIDE_A_TRACK } else { 1.0 };
            self.seeds.push(Seed {
                born: Born { at: entry.at, sensor: entry.sensor, index: index as u16 },
                measured: *measurement,
                odds: beside * free * watcher.detection * UNDISCOVERED * measurement.score / watcher.false_alarms,
                record: entry.record,
            });
        }
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
                        model.update(&innovation.s, &innovation.e, 1.0, &[0.0; 3]);
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
        self.tracks.retain(|track| {
            let least = if track.confirmed { FORGOTTEN } else { FORGOTTEN_TENTATIVE };
            track.existence >= least && track.sd <= LOST_SD
        });
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

impl Seed {
    /// How likely a thing that made the seed makes this measurement so many seconds later, per m², and the speed that explains
    /// it best, as a standard deviation. `None` if no speed does.
    fn leads_to(&self, measured: &Measurement, seconds: f64) -> Option<(f64, f64)> {
        let (mut all, mut best) = (0.0, (0.0, None));
        for (speed, share) in SPEEDS {
            let mut one = Motion::at(&self.measured, speed).models[0];
            one.predict(seconds, FOUND_TURNING);
            let innovation = one.innovation(measured);
            if innovation.squared <= GATE {
                let likelihood = share * innovation.likelihood();
                all += likelihood;
                if likelihood > best.0 {
                    best = (likelihood, Some(speed));
                }
            }
        }
        best.1.map(|speed| (all, speed))
    }
}

impl Track {
    /// A seed and a second measurement of the same thing.
    fn new(seed: &Seed, measured: &Measurement, entry: &Entry, existence: f64) -> Self {
        let seconds = seconds(entry.at - seed.born.at);
        let speed = seed.leads_to(measured, seconds).map_or(SPEEDS[0].0, |(_, speed)| speed);
        let mut motion = Motion::at(&seed.measured, speed);
        for model in &mut motion.models {
            model.predict(seconds, FOUND_TURNING);
            let innovation = model.innovation(measured);
            model.update(&innovation.s, &innovation.e, 1.0, &[0.0; 3]);
        }
        let mut track = Self {
            born: seed.born,
            at: entry.at,
            motion,
            mean: [0.0; 4],
            sd: 0.0,
            speed_sd: 0.0,
            existence,
            confirmed: false,
            classes: [1.0 / CLASSES as f64; CLASSES],
            seen: entry.at,
            hits: 1,
            number: 0,
            witnesses: [None; SENSORS_PER_TRACK],
            vessel: None,
        };
        track.witness(Witness { sensor: seed.born.sensor, record: seed.record });
        track.classify(&seed.measured.class_likelihood(), 1.0);
        track.classify(&measured.class_likelihood(), 1.0);
        track.note(entry);
        track.settle();
        track
    }

    /// Where it is at another time, going on as it does.
    pub(crate) fn place(&self, at: i64) -> Point {
        let seconds = seconds(at - self.at);
        (self.mean[0] + seconds * self.mean[2], self.mean[1] + seconds * self.mean[3])
    }

    fn predict(&mut self, at: i64) {
        let seconds = seconds(at - self.at);
        if seconds > 0.0 {
            self.motion.predict(seconds, &Manner::of(&self.classes));
            self.existence *= 1.0 / (1.0 + seconds / STAYS);
            self.at = at;
        }
    }

    /// Weighs the measurements in its gate; they are sorted along x.
    fn gate(&self, measured: &[Measurement], per_density: f64, desk: &mut Desk) {
        let turning = self.motion.turning;
        let (_, [xx, ..]) = self.motion.models[1].position();
        let (a, b) = (self.motion.models[0].mean[0], self.motion.models[1].mean[0]);
        // 16 m² more than a measurement of 4 m would add; beyond that the exact test decides.
        let reach = libm::sqrt(GATE * (xx + 30.0));
        let first = measured.partition_point(|one| one.at[0] < a.min(b) - reach);
        for (index, one) in measured.iter().enumerate().skip(first) {
            if one.at[0] > a.max(b) + reach {
                break;
            }
            let innovations = [self.motion.models[0].innovation(one), self.motion.models[1].innovation(one)];
            if innovations[0].squared > GATE && innovations[1].squared > GATE {
                continue;
            }
            let each = innovations.map(|innovation| (innovation, innovation.likelihood()));
            let likelihood = (1.0 - turning) * each[0].1 + turning * each[1].1;
            let class: f64 = match one.class {
                Some(_) => one.class_likelihood().iter().zip(&self.classes).map(|(a, b)| a * b).sum(),
                None => 1.0,
            };
            let weight = self.existence * per_density * likelihood * class * one.score;
            if weight > 1e-6 {
                desk.association.pair(index, weight);
                desk.likelihoods.push(each);
                desk.shadowed[index] |= self.confirmed;
            }
        }
    }

    /// Takes in what it was associated with. `unseen` is the probability that it is there and was not seen.
    fn update(
        &mut self,
        unseen: f64,
        pairs: &[super::associate::Pair],
        likelihoods: &[[(Innovation, f64); 2]],
        measured: &[Measurement],
        entry: &Entry,
    ) {
        let told: f64 = pairs.iter().map(|pair| pair.weight).sum();
        self.existence = (unseen + told).min(0.999_999);
        if told > 1e-4 {
            let turning = self.motion.turning;
            let mut shares = [0.0; 2];
            for (model, share) in shares.iter_mut().enumerate() {
                let mut seen = 0.0;
                let (mut mean, mut square) = ([0.0; 2], [0.0; 3]);
                let (mut best, mut s) = (0.0, [1.0, 0.0, 1.0]);
                for (pair, each) in pairs.iter().zip(likelihoods) {
                    let all = (1.0 - turning) * each[0].1 + turning * each[1].1;
                    let (innovation, likelihood) = &each[model];
                    let weight = pair.weight * likelihood / all;
                    let [x, y] = innovation.e;
                    seen += weight;
                    mean = [mean[0] + weight * x, mean[1] + weight * y];
                    square = [square[0] + weight * x * x, square[1] + weight * x * y, square[2] + weight * y * y];
                    if weight > best {
                        (best, s) = (weight, innovation.s);
                    }
                }
                let all = unseen + seen;
                *share = all;
                if seen > 1e-9 {
                    let e = [mean[0] / all, mean[1] / all];
                    let spread =
                        [square[0] / all - e[0] * e[0], square[1] / all - e[0] * e[1], square[2] / all - e[1] * e[1]];
                    self.motion.models[model].update(&s, &e, seen / all, &spread);
                }
            }
            let (steady, turned) = ((1.0 - turning) * shares[0], turning * shares[1]);
            self.motion.turning = (turned / (steady + turned)).clamp(0.001, 0.999);
            let whole = 1.0 / self.existence;
            if pairs.iter().any(|pair| measured[pair.measurement].class.is_some()) {
                let mut likelihood = [unseen * whole; CLASSES];
                for pair in pairs {
                    let each = measured[pair.measurement].class_likelihood();
                    let all: f64 = each.iter().zip(&self.classes).map(|(a, b)| a * b).sum();
                    likelihood.iter_mut().zip(&each).for_each(|(sum, one)| *sum += pair.weight * whole * one / all);
                }
                self.classify(&likelihood, 1.0);
            }
            if told > 0.5 {
                self.note(entry);
            }
        }
        if self.hits >= 2 && self.existence >= CONFIRMED {
            self.confirmed = true;
        }
        self.settle();
    }

    /// Bayes over classes. None is ever ruled out: a detector may be wrong about one thing again and again.
    fn classify(&mut self, likelihood: &[f64; CLASSES], strength: f64) {
        let mut all = 0.0;
        for (class, likelihood) in self.classes.iter_mut().zip(likelihood) {
            *class *= 1.0 + strength * (likelihood - 1.0);
            all += *class;
        }
        let mut kept = 0.0;
        for class in &mut self.classes {
            *class = (*class / all).max(0.002);
            kept += *class;
        }
        self.classes.iter_mut().for_each(|class| *class /= kept);
    }

    fn note(&mut self, entry: &Entry) {
        self.hits = self.hits.saturating_add(1);
        self.seen = entry.at;
        self.witness(Witness { sensor: entry.sensor, record: entry.record });
    }

    /// The newest record takes the place of the same sensor's last, or of the oldest.
    fn witness(&mut self, witness: Witness) {
        let same = |one: &Option<Witness>| one.is_none_or(|one| one.sensor == witness.sensor);
        let place = self.witnesses.iter().rposition(same).unwrap_or(0);
        self.witnesses[place..].rotate_left(1);
        self.witnesses[SENSORS_PER_TRACK - 1] = Some(witness);
    }

    /// Works out what others look at.
    fn settle(&mut self) {
        self.mean = self.motion.mean();
        let turning = self.motion.turning;
        let [a, b] = &self.motion.models;
        let larger = |i: usize, j: usize| {
            let of = |model: &super::motion::Gaussian| model.cov[i].max(model.cov[j]);
            libm::sqrt((1.0 - turning) * of(a) + turning * of(b))
        };
        self.sd = larger(0, 4);
        self.speed_sd = larger(7, 9);
    }
}

/// Whether something was measured beside a place; the measurements are sorted along x.
fn is_beside(measured: &[Measurement], (x, y): Point) -> bool {
    let first = measured.partition_point(|one| one.at[0] < x - BESIDE);
    let mut near = measured[first..].iter().take_while(|one| one.at[0] <= x + BESIDE);
    near.any(|one| libm::fabs(one.at[1] - y) <= BESIDE)
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 * 1e-9
}
