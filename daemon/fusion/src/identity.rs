//! Which vehicle it was: one posterior over everything that was read, heard and shown, and everything that is booked.
//!
//! Hypotheses are the bookings that anything heard points to, every text that was read, and a plate nobody read. For each the
//! likelihoods of plate reads, tags, the driver's credential and container codes are multiplied; what fails together (dirt on
//! a plate, a camera that repeats itself) is discounted there. What it is worth that a tag, a code or a plate does *not* fit
//! is computed from the same posterior, so that a foreign tag, a swapped container and a vehicle without a booking each get
//! the probability that the others leave them. It works with no reference data at all: then only texts compete.

use crate::{
    passages::{CodeRead, Passage, TagRead},
    plates::{self, Costs, DIRTY, Letters, Read, error_rate},
    references::{Booked, Statements},
};
use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec, vec::Vec};
use quaywatch_schemas::{Position, SensorId, Site, WallTime, ZoneId, reference::Booking, sealed::Handle};

/// Which plate it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Posterior {
    pub(crate) best: String,
    pub(crate) probability: f64,
    /// Others worth naming, likeliest first.
    pub(crate) others: Vec<(String, f64)>,
}

/// What is known of the vehicle of a passage.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Known {
    pub(crate) plate: Option<Posterior>,
    /// The likeliest booking and its probability.
    pub(crate) booking: Option<(Booking, f64)>,
    /// What bookings of that plate declare as its gross mass: a vehicle may be booked for two visits.
    pub(crate) declared_kg: Vec<f64>,
    /// Probability that it is booked at all; `None` if no fresh list of bookings says anything here.
    pub(crate) booked: Option<f64>,
    /// Which containers it carries, and how sure.
    pub(crate) containers: Option<Containers>,
    /// The foreign tag it carries, and how probable that is.
    pub(crate) foreign_tag: Option<ForeignTag>,
}

/// Which containers a vehicle carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Containers {
    pub(crate) codes: Vec<String>,
    pub(crate) probability: f64,
    /// Probability that they are not those of its booking; `None` without a booking.
    pub(crate) swapped: Option<f64>,
}

/// A tag that is not the one the booking names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForeignTag {
    pub(crate) sensor: SensorId,
    pub(crate) position: Position,
    pub(crate) probability: f64,
    /// Log-odds that it hangs on this vehicle, from how strongly and how often it was heard.
    pub(crate) heard: f64,
    /// Whether the list knows whose it is.
    pub(crate) of_another: bool,
}

/// About three vehicles in a hundred have no booking.
const UNBOOKED: f64 = 0.03;
/// ln P(a given plate) for one that no list names: a plate is one of some 2e8 strings.
const ANY_PLATE: f64 = -19.0;
/// ln P(a given code) for a container that no list names: a few dozen owners with a million serial numbers each.
const ANY_CODE: f64 = -16.0;
/// Once in so many reads a camera reads the vehicle in the next lane.
const STRAY_READ: f64 = 0.01;
/// ln P(a read | a vehicle in another lane that no list names).
const STRAY_OF_NONE: f64 = -22.0;
/// A camera that says the same again looked at much the same picture of the same dirt: that counts for so much.
const REPEAT: f64 = 0.3;
/// A driver shows another driver's credential once in thirty passages, by mistake mostly.
const OTHER_DRIVER: f64 = 0.03;
/// A vehicle carries a tag that is registered for another one, a container that is not the booked one.
const OTHER_TAG: f64 = 0.02;
const OTHER_CONTAINER: f64 = 0.02;
/// Tags of vehicles in other lanes that are heard, per passage.
const STRAY_TAG: f64 = 0.02;
/// A check digit of ISO 6346 is right by chance once in eleven.
const CHECK_BY_CHANCE: f64 = 1.0 / 11.0;
/// An own tag is heard from two or three metres, one in the next lane from twice as far: mean and deviation in dBm.
const OWN_TAG_DBM: (f64, f64) = (-52.0, 6.0);
const STRAY_TAG_DBM: (f64, f64) = (-66.0, 6.0);
/// ln of how seldom a vehicle that carries its own tag carries another one too.
const TWO_TAGS: f64 = 8.0;
/// The most one tag's strength says, in log-odds: metal reflects.
const MOST_STRENGTH: f64 = 5.0;

/// What is known of the vehicle of a passage, from what was heard of it and what is booked for the zone then.
pub(crate) fn judge(passage: &Passage, statements: &Statements, site: &Site, zone: &ZoneId) -> Known {
    if passage.exit.is_none() {
        return Known::default();
    }
    let list = statements.booked(site, zone, passage.entered());
    let tags = distinct_tags(passage, statements);
    let codes: Vec<Code> = passage.codes.iter().map(|(_, _, code)| Code::of(code)).collect();
    let driver = passage.granted.as_ref().and_then(|(_, _, driver)| *driver);
    let scored = score(&passage.reads, &tags, driver, &codes, &list);
    let booking = scored.best_booking();
    let foreign_tag = booking.as_ref().and_then(|(booked, p)| foreign_tag(&tags, booked.booking, *p, passage));
    let containers = containers(&codes, booking.as_ref().map(|(booked, p)| (booked.booking, *p)));
    Known {
        plate: scored.plate(),
        booked: (list.size() > 0).then(|| scored.booked()),
        declared_kg: booking.as_ref().map_or_else(Vec::new, |(booked, _)| scored.declared_kg(booked.booking)),
        booking: booking.map(|(booked, p)| (booked.booking.clone(), p)),
        containers,
        foreign_tag,
    }
}

/// Which plate reads alone are of; `None` without a read.
pub(crate) fn of_reads(
    reads: &[Read],
    at: WallTime,
    statements: &Statements,
    site: &Site,
    zone: &ZoneId,
) -> Option<Posterior> {
    if reads.is_empty() {
        return None;
    }
    score(reads, &[], None, &[], &statements.booked(site, zone, at)).plate()
}

/// Hypotheses with their probabilities, likeliest first.
struct Scored<'a> {
    hypotheses: Vec<(Hypothesis<'a>, f64)>,
}

enum Hypothesis<'a> {
    Booked(Booked<'a>),
    Text(String),
    /// A booking that nothing points to.
    OtherBooking,
    /// A plate that nobody read.
    Unknown,
}

/// One plate read as it is scored.
struct Look {
    letters: Letters,
    clean: Costs,
    weight: f64,
    /// ln P(this read | it is of a vehicle in the next lane).
    stray: f64,
}

/// A container code as it is scored.
struct Code {
    letters: Letters,
    costs: Costs,
}

/// One tag, however often it was heard.
struct Heard<'a> {
    sensor: &'a SensorId,
    position: Position,
    tag: &'a TagRead,
    /// Log-odds that it hangs on a vehicle in this lane rather than the next, from its strength.
    here: f64,
    /// Whom the list says it belongs to.
    owner: Option<&'a Booking>,
    /// It fits another vehicle that was in the lane.
    neighbours: bool,
}

impl Code {
    fn of(read: &CodeRead) -> Self {
        Self { letters: Letters::of(&read.text), costs: Costs::at(error_rate(read.confidence)) }
    }

    /// ln P(this read | that code), dirt and shadows taken into account.
    fn likelihood(&self, code: &Letters, dirty: &Costs) -> f64 {
        if !self.letters.resembles(code) {
            return f64::NEG_INFINITY;
        }
        mixed(self.costs.likelihood(&self.letters, code), dirty.likelihood(&self.letters, code))
    }
}

fn score<'a>(
    reads: &[Read],
    tags: &[Heard<'_>],
    driver: Option<Handle>,
    codes: &[Code],
    list: &crate::references::List<'a>,
) -> Scored<'a> {
    let dirty = Costs::at(DIRTY);
    let mut looks = looks(reads);
    let size = list.size().max(1) as f64;
    let mut booked: BTreeMap<usize, Booked<'a>> = BTreeMap::new();
    let mut add = |found: &mut dyn Iterator<Item = Booked<'a>>| {
        for candidate in found {
            booked.entry(candidate.number).or_insert(candidate);
        }
    };
    for index in 0..looks.len() {
        let (before, rest) = looks.split_at_mut(index);
        let Some(look) = rest.first_mut() else { break };
        // What was read before points to the same.
        if let Some(same) = before.iter().find(|before| before.letters == look.letters) {
            look.stray = same.stray;
            continue;
        }
        let near = list.near(&look.letters);
        for booked in &near {
            look.stray = either(look.stray, look.clean.likelihood(&look.letters, booked.letters) - libm::log(size));
        }
        add(&mut near.into_iter());
    }
    for heard in tags {
        add(&mut list.with_tag(&heard.tag.id));
    }
    if let Some(driver) = driver {
        add(&mut list.with_driver(driver));
    }
    for code in codes {
        add(&mut list.with_container(&code.letters));
    }
    let mut scored: Vec<(Hypothesis<'a>, f64)> = Vec::with_capacity(booked.len() + looks.len() + 2);
    let prior = libm::log((1.0 - UNBOOKED) / size);
    let texts = texts(reads, &booked);
    for candidate in booked.into_values() {
        let mut score = prior + looks.iter().map(|look| look.likelihood(candidate.letters, &dirty)).sum::<f64>();
        score += tags.iter().map(|heard| heard.likelihood(candidate.booking, size)).sum::<f64>();
        score += driver.map_or(0.0, |driver| {
            let own = candidate.booking.driver.as_ref().and_then(|driver| driver.handle) == Some(driver);
            libm::log(if own { 1.0 - OTHER_DRIVER } else { OTHER_DRIVER / size })
        });
        score += fits(codes, candidate.booking, &dirty);
        scored.push((Hypothesis::Booked(candidate), score));
    }
    let any_codes = fits_none(codes);
    // A vehicle without a booking may show anybody's credential and carry anybody's tag.
    let listed = if list.size() > 0 { libm::log(UNBOOKED) } else { 0.0 };
    let anybodys = tags.iter().map(|heard| heard.likelihood_of_none(size)).sum::<f64>()
        + driver.map_or(0.0, |_| -libm::log(size))
        + any_codes;
    for text in texts {
        let letters = Letters::of(&text);
        let read = looks.iter().map(|look| look.likelihood(&letters, &dirty)).sum::<f64>();
        scored.push((Hypothesis::Text(text), listed + ANY_PLATE + read + anybodys));
    }
    // Every read so far off that it is no better than any string.
    let unread: f64 = looks.iter().map(|look| look.weight * UNREADABLE).sum();
    scored.push((Hypothesis::Unknown, listed + unread + anybodys));
    if list.size() > 0 {
        let elses = tags.iter().map(|heard| heard.likelihood_of_none(size)).sum::<f64>()
            + driver.map_or(0.0, |_| libm::log(OTHER_DRIVER / size))
            + any_codes;
        scored.push((Hypothesis::OtherBooking, libm::log(1.0 - UNBOOKED) + unread + elses));
    }
    Scored::normalised(scored)
}

/// ln P(any given read | a plate it tells nothing of).
const UNREADABLE: f64 = -23.0;

/// Reads with what each is worth: a camera's repeats count for less.
fn looks(reads: &[Read]) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::with_capacity(reads.len());
    for (index, read) in reads.iter().enumerate() {
        let letters = Letters::of(&read.text);
        let before = reads.iter().take(index);
        let repeat = before.zip(&looks).any(|(before, look)| before.sensor == read.sensor && look.letters == letters);
        looks.push(Look {
            letters,
            clean: Costs::at(error_rate(read.confidence)),
            weight: if repeat { REPEAT } else { 1.0 },
            stray: STRAY_OF_NONE,
        });
    }
    looks
}

impl Look {
    /// ln P(this read | that plate): clean, dirty, or of a vehicle in the next lane.
    fn likelihood(&self, plate: &Letters, dirty: &Costs) -> f64 {
        let own = mixed(self.clean.likelihood(&self.letters, plate), dirty.likelihood(&self.letters, plate));
        self.weight * either(own + LN_OWN_READ, self.stray + LN_STRAY_READ)
    }
}

/// Nine tenths clean, one tenth dirty.
fn mixed(clean: f64, dirty: f64) -> f64 {
    either(clean + LN_CLEAN, dirty + LN_DIRTY)
}

// Natural logarithms of what is mixed with what, which are asked for with every hypothesis.
const LN_CLEAN: f64 = -0.105_360_515_657_826_28;
const LN_DIRTY: f64 = -2.302_585_092_994_045_5;
const LN_OWN_READ: f64 = -0.010_050_335_853_501_45;
const LN_STRAY_READ: f64 = -4.605_170_185_988_092;

/// ln(e^a + e^b).
fn either(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    // Below this the smaller one is lost in the rounding of the larger.
    if low - high < -36.0 { high } else { high + libm::log1p(libm::exp(low - high)) }
}

/// Texts that compete with the bookings: what was read, and the letter-by-letter majority of what was read.
fn texts(reads: &[Read], booked: &BTreeMap<usize, Booked<'_>>) -> Vec<String> {
    let known = |letters: &Letters| booked.values().any(|booked| booked.letters == letters);
    let mut texts: Vec<String> = Vec::new();
    let mut seen: Vec<Letters> = Vec::new();
    let read = reads.iter().flat_map(|read| core::iter::once(&read.text).chain(&read.others));
    for text in read.map(String::as_str).chain(majority(reads).as_deref()) {
        let letters = Letters::of(text);
        if !letters.as_bytes().is_empty() && !seen.contains(&letters) && !known(&letters) {
            seen.push(letters);
            texts.push(text.to_owned());
        }
    }
    texts
}

/// Letter by letter what most reads of the commonest length say, each vote worth the reader's score.
fn majority(reads: &[Read]) -> Option<String> {
    let letters: Vec<(Letters, f64)> =
        reads.iter().map(|read| (Letters::of(&read.text), read.confidence.max(0.01))).collect();
    let mut lengths: BTreeMap<usize, f64> = BTreeMap::new();
    for (text, vote) in &letters {
        *lengths.entry(text.as_bytes().len()).or_default() += vote;
    }
    let length = lengths.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?.0;
    let agreeing: Vec<&(Letters, f64)> = letters.iter().filter(|(text, _)| text.as_bytes().len() == length).collect();
    if agreeing.len() < 3 {
        return None;
    }
    let mut text = String::with_capacity(length);
    for place in 0..length {
        let mut votes: BTreeMap<u8, f64> = BTreeMap::new();
        for (letters, vote) in &agreeing {
            *votes.entry(*letters.as_bytes().get(place)?).or_default() += vote;
        }
        text.push(char::from(votes.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?.0));
    }
    Some(text)
}

impl<'a> Scored<'a> {
    fn normalised(mut hypotheses: Vec<(Hypothesis<'a>, f64)>) -> Self {
        let top = hypotheses.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = hypotheses.iter().map(|(_, score)| libm::exp(score - top)).sum();
        for (_, score) in &mut hypotheses {
            *score = libm::exp(*score - top) / total;
        }
        hypotheses.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self { hypotheses }
    }

    fn plate(&self) -> Option<Posterior> {
        let text = |hypothesis: &Hypothesis<'_>| match hypothesis {
            Hypothesis::Booked(booked) => booked.booking.plate.as_clear().map(ToOwned::to_owned),
            Hypothesis::Text(text) => Some(text.clone()),
            Hypothesis::OtherBooking | Hypothesis::Unknown => None,
        };
        // A vehicle may be booked for two visits: that is one plate.
        let mut plates: Vec<(String, f64)> = Vec::new();
        for (hypothesis, p) in &self.hypotheses {
            let Some(plate) = text(hypothesis) else { continue };
            if let Some((_, known)) = plates.iter_mut().find(|(known, _)| plates::same(known, &plate)) {
                *known += p;
            } else if *p >= 1e-4 || plates.is_empty() {
                plates.push((plate, *p));
            }
        }
        plates.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut plates = plates.into_iter();
        let (best, probability) = plates.next()?;
        let others = plates.take_while(|(_, p)| *p >= 0.01).take(3).collect();
        Some(Posterior { best, probability: probability.min(1.0), others })
    }

    fn best_booking(&self) -> Option<(&Booked<'a>, f64)> {
        self.hypotheses.iter().find_map(|(hypothesis, p)| match hypothesis {
            Hypothesis::Booked(booked) => Some((booked, *p)),
            _ => None,
        })
    }

    fn declared_kg(&self, of: &Booking) -> Vec<f64> {
        let plate = of.plate.as_clear().unwrap_or_default();
        let same = self.hypotheses.iter().filter_map(|(hypothesis, _)| match hypothesis {
            Hypothesis::Booked(booked) if booked.booking.plate.as_clear().is_some_and(|it| plates::same(it, plate)) => {
                booked.booking.declared_gross_kg.map(f64::from)
            }
            _ => None,
        });
        same.collect()
    }

    fn booked(&self) -> f64 {
        let named =
            |hypothesis: &Hypothesis<'_>| matches!(hypothesis, Hypothesis::Booked(_) | Hypothesis::OtherBooking);
        let booked = self.hypotheses.iter().filter(|(hypothesis, _)| named(hypothesis));
        booked.map(|(_, p)| *p).sum::<f64>().min(1.0)
    }
}

/// Each tag once, with how strongly it was heard here.
fn distinct_tags<'a>(passage: &'a Passage, statements: &'a Statements) -> Vec<Heard<'a>> {
    let mut tags: Vec<Heard<'a>> = Vec::new();
    for (sensor, position, tag) in &passage.tags {
        let strength = tag.rssi_dbm.map_or(1.0, |dbm| {
            let off = |(mean, deviation): (f64, f64)| {
                let z = (f64::from(dbm) - mean) / deviation;
                -0.5 * z * z - libm::log(deviation)
            };
            off(OWN_TAG_DBM) - off(STRAY_TAG_DBM)
        });
        let strength = strength.clamp(-MOST_STRENGTH, MOST_STRENGTH);
        match tags.iter_mut().find(|known| known.tag.id == tag.id) {
            Some(known) => {
                known.here = (known.here + strength * 0.5).clamp(-MOST_STRENGTH, MOST_STRENGTH);
            }
            None => {
                let owner = statements.owner_of_tag(&tag.id);
                let plate = owner.and_then(|owner| owner.plate.as_clear());
                let fits = |plate: &str| {
                    let plate = Letters::of(plate);
                    passage.neighbours.iter().any(|read| Letters::of(read).edits(&plate) <= 2)
                };
                let neighbours = plate.is_some_and(fits);
                tags.push(Heard { sensor, position: *position, tag, here: strength, owner, neighbours });
            }
        }
    }
    tags
}

impl Heard<'_> {
    /// ln P(this tag was heard | the vehicle is of that booking).
    fn likelihood(&self, booking: &Booking, size: f64) -> f64 {
        if self.is_neighbours() {
            return 0.0;
        }
        let own = booking.tag.as_ref().and_then(|tag| tag.as_clear()) == Some(&self.tag.id);
        if own { libm::log(1.0 - self.stray()) } else { self.likelihood_of_none(size) }
    }

    /// ln P(this tag was heard | the vehicle is none that it belongs to).
    fn likelihood_of_none(&self, size: f64) -> f64 {
        if self.is_neighbours() { 0.0 } else { libm::log((OTHER_TAG + self.stray()).min(1.0) / size) }
    }

    /// It is the other's that was there when it was heard: of this vehicle it says nothing.
    fn is_neighbours(&self) -> bool {
        self.neighbours && self.tag.shared
    }

    /// Probability that it hangs on a vehicle in another lane.
    fn stray(&self) -> f64 {
        let odds = STRAY_TAG / (1.0 - STRAY_TAG) * libm::exp(-self.here);
        odds / (1.0 + odds)
    }
}

/// ln P(these codes were read | the containers of that booking), less a constant that all hypotheses share.
fn fits(codes: &[Code], booking: &Booking, dirty: &Costs) -> f64 {
    if codes.is_empty() {
        return 0.0;
    }
    let booked: Vec<Letters> = booking.containers.iter().filter_map(|code| code.as_clear().map(Letters::of)).collect();
    let any = ANY_CODE + libm::log(OTHER_CONTAINER);
    let fits = codes.iter().map(|code| {
        let best = booked.iter().map(|booked| code.likelihood(booked, dirty)).fold(f64::NEG_INFINITY, f64::max);
        either(best - libm::log(booked.len().max(1) as f64), any)
    });
    together(fits.collect())
}

/// The same for a vehicle that no booking is of.
fn fits_none(codes: &[Code]) -> f64 {
    together(codes.iter().map(|_| ANY_CODE + libm::log(OTHER_CONTAINER)).collect())
}

/// Codes of one vehicle are read off one or two containers: the best two of them count, the others repeat them.
fn together(mut fits: Vec<f64>) -> f64 {
    fits.sort_by(|a, b| b.total_cmp(a));
    let (best, rest) = fits.split_at(fits.len().min(2));
    best.iter().sum::<f64>() + REPEAT * rest.iter().sum::<f64>()
}

/// The tag that is not the booked one and most probably hangs on this vehicle.
fn foreign_tag(tags: &[Heard<'_>], booking: &Booking, sure: f64, passage: &Passage) -> Option<ForeignTag> {
    let own = booking.tag.as_ref().and_then(|tag| tag.as_clear())?;
    let own_heard = tags.iter().any(|heard| heard.tag.id == own);
    let foreign = tags.iter().filter(|heard| heard.tag.id != own && !heard.neighbours);
    foreign
        .map(|heard| {
            // Of this vehicle, or of one in another lane; a vehicle has one tag.
            let mut prior = libm::log(OTHER_TAG / STRAY_TAG);
            if own_heard {
                prior -= TWO_TAGS;
            }
            if heard.tag.shared {
                // Another vehicle that could not be identified was there too.
                prior -= if passage.neighbours.is_empty() { 2.0 } else { 0.7 };
            }
            let hangs_here = 1.0 / (1.0 + libm::exp(-(prior + heard.here)));
            ForeignTag {
                sensor: heard.sensor.clone(),
                position: heard.position,
                probability: hangs_here * sure,
                heard: prior + heard.here,
                of_another: heard.owner.is_some(),
            }
        })
        .max_by(|a, b| a.probability.total_cmp(&b.probability))
}

/// Which containers were on the vehicle: the booked ones, or the booked ones with one swapped for what was read.
fn containers(codes: &[Code], booking: Option<(&Booking, f64)>) -> Option<Containers> {
    let dirty = Costs::at(DIRTY);
    let read = readings(codes);
    let booked: Vec<Letters> = booking
        .iter()
        .flat_map(|(booking, _)| &booking.containers)
        .filter_map(|code| code.as_clear().map(Letters::of))
        .collect();
    // Each read against each code that may be there, once.
    let mut there: Vec<Letters> = booked.clone();
    there.extend(read.iter().filter(|code| !booked.contains(code)));
    let likelihoods: Vec<Vec<f64>> =
        codes.iter().map(|code| there.iter().map(|there| code.likelihood(there, &dirty)).collect()).collect();
    let stray = ANY_CODE + libm::log(STRAY_READ);
    let score = |set: &[Letters]| -> f64 {
        let share = libm::log(set.len().max(1) as f64);
        let one = |likelihoods: &Vec<f64>| {
            let in_set = there.iter().zip(likelihoods).filter(|(code, _)| set.contains(code));
            let best = in_set.map(|(_, likelihood)| *likelihood).fold(f64::NEG_INFINITY, f64::max);
            either(best - share, stray)
        };
        likelihoods.iter().map(one).sum()
    };
    let mut sets: Vec<(Vec<Letters>, f64, bool)> = Vec::new();
    if let Some((_, sure)) = booking {
        let sure = sure.clamp(1e-6, 1.0 - 1e-6);
        sets.push((booked.clone(), libm::log(sure * (1.0 - OTHER_CONTAINER)) + score(&booked), false));
        for code in &read {
            for place in 0..booked.len().max(1) {
                let mut swapped = booked.clone();
                match swapped.get_mut(place) {
                    Some(one) => *one = *code,
                    None => swapped.push(*code),
                }
                if swapped.iter().filter(|other| *other == code).count() == 1 {
                    let prior = libm::log(sure * OTHER_CONTAINER) + ANY_CODE + by_check(code);
                    sets.push((swapped.clone(), prior + score(&swapped), true));
                }
            }
        }
    }
    // Without a booking that fits: one or two of what was read.
    let unbooked = 1.0 - booking.map_or(0.0, |(_, sure)| sure.clamp(1e-6, 1.0 - 1e-6));
    for (index, first) in read.iter().enumerate() {
        let prior = libm::log(unbooked) + ANY_CODE + by_check(first);
        sets.push((vec![*first], prior + score(&[*first]), true));
        for second in read.iter().skip(index + 1) {
            let both = [*first, *second];
            let prior = prior + ANY_CODE + by_check(second) + libm::log(0.3);
            sets.push((both.to_vec(), prior + score(&both), true));
        }
    }
    if read.is_empty() {
        let (_, sure) = booking?;
        let codes = names(&booked);
        return Some(Containers { codes, probability: sure * (1.0 - OTHER_CONTAINER), swapped: Some(OTHER_CONTAINER) });
    }
    let top = sets.iter().map(|(_, score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = sets.iter().map(|(_, score, _)| libm::exp(score - top)).sum();
    let swapped: f64 =
        sets.iter().filter(|(_, _, swapped)| *swapped).map(|(_, score, _)| libm::exp(score - top)).sum::<f64>() / total;
    let (best, score, _) = sets.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Containers {
        codes: names(best),
        probability: (libm::exp(score - top) / total).min(1.0),
        swapped: booking.map(|_| swapped.min(1.0)),
    })
}

/// What codes may have been meant: each text that was read, and each with one confusable letter mended so that its check
/// digit is right. At most eight, those with a right check digit first.
fn readings(codes: &[Code]) -> Vec<Letters> {
    let mut readings: Vec<Letters> = Vec::new();
    for code in codes {
        if !readings.contains(&code.letters) {
            readings.push(code.letters);
        }
    }
    readings.sort_by_key(|code| !check_digit_fits(code.as_bytes()));
    readings.truncate(8);
    readings
}

/// ln P(its check digit is as it is): a container's own always fits.
fn by_check(code: &Letters) -> f64 {
    if check_digit_fits(code.as_bytes()) { -libm::log(CHECK_BY_CHANCE) } else { -8.0 }
}

fn names(codes: &[Letters]) -> Vec<String> {
    let mut names: Vec<String> =
        codes.iter().map(|code| code.as_bytes().iter().map(|byte| char::from(*byte)).collect()).collect();
    names.sort();
    names
}

/// ISO 6346: letters are worth 10 to 38 without the multiples of eleven, each place counts twice the one before it, and the
/// sum modulo 11 (10 becomes 0) is the last digit.
pub(crate) fn check_digit_fits(code: &[u8]) -> bool {
    let [owner @ .., _, _, _, _, _, _, check] = code else { return false };
    let in_form =
        owner.len() == 4 && owner.iter().all(u8::is_ascii_uppercase) && code.iter().skip(4).all(u8::is_ascii_digit);
    if !in_form {
        return false;
    }
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        letter => {
            let place = u32::from(letter - b'A') + 10;
            // 11, 22 and 33 are left out.
            place + (place > 10) as u32 + (place > 20) as u32 + (place > 30) as u32
        }
    };
    let sum: u32 = code.iter().take(10).enumerate().map(|(place, byte)| value(*byte) << place).sum();
    sum % 11 % 10 == u32::from(check - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_what_is_mixed() {
        let shares = [(LN_CLEAN, 0.9), (LN_DIRTY, 0.1), (LN_OWN_READ, 1.0 - STRAY_READ), (LN_STRAY_READ, STRAY_READ)];
        for (logarithm, share) in shares {
            assert_eq!(logarithm, libm::log(share), "{share}");
        }
    }

    #[test]
    fn check_digits_of_iso_6346() {
        // The standard's own example, and ones whose letters lie on both sides of the left-out multiples of eleven.
        for code in ["CSQU3054383", "TCLU2156351", "MSCU1234566", "HLXU0499801"] {
            assert!(check_digit_fits(code.as_bytes()), "{code}");
        }
        for code in ["CSQU3054384", "CSQU305438", "CSQ13054383", "csqu3054383", ""] {
            assert!(!check_digit_fits(code.as_bytes()), "{code}");
        }
    }
}
