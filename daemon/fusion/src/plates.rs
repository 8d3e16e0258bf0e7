//! Which plate it was: one posterior over everything that was read and everything that is booked.
//!
//! A read is scored against a plate with a weighted edit model: letters that look alike are confused far more often than
//! others. A tenth of each read is explained by a dirty plate, so that three misreads of the same dirt are not three
//! independent proofs.

use crate::bounds::READS_PER_VEHICLE;
use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec, vec::Vec};
use quaywatch_schemas::{Position, SensorId, WallTime};
use serde::{Deserialize, Serialize};

/// One read of a plate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) others: Vec<String>,
    /// The reader's score; not a probability, but lower means more errors.
    pub(crate) confidence: f64,
    /// Whether it was read from behind.
    pub(crate) rear: bool,
    pub(crate) at: WallTime,
    pub(crate) sensor: SensorId,
    pub(crate) position: Position,
}

/// Which plate it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Posterior {
    pub(crate) best: String,
    pub(crate) probability: f64,
    /// Others worth naming, likeliest first.
    pub(crate) others: Vec<(String, f64)>,
}

/// Adds a read; at the bound the least confident goes.
pub(crate) fn add(reads: &mut Vec<Read>, read: Read) {
    if reads.len() == READS_PER_VEHICLE {
        let least = (0..reads.len()).min_by(|a, b| reads[*a].confidence.total_cmp(&reads[*b].confidence));
        if let Some(least) = least {
            reads.remove(least);
        }
    }
    reads.push(read);
}

/// The posterior over what was read and what is booked; `None` without a read.
pub(crate) fn posterior<'a>(reads: &[Read], booked: impl Iterator<Item = &'a str>) -> Option<Posterior> {
    if reads.is_empty() {
        return None;
    }
    let mut read: Vec<Vec<char>> = Vec::with_capacity(reads.len());
    // A camera that says the same again looked at the same picture of the same dirt: that is no second proof.
    let mut first_words: Vec<&Read> = Vec::with_capacity(reads.len());
    for said in reads {
        let text = letters(&said.text);
        let repeat = first_words
            .iter()
            .zip(&read)
            .any(|(before, before_text)| before.sensor == said.sensor && *before_text == text);
        if !repeat {
            first_words.push(said);
            read.push(text);
        }
    }
    let reads = first_words;
    // By letters alone: a booking is written with dashes, a camera reads without.
    let mut scores: BTreeMap<Vec<char>, (String, f64)> = BTreeMap::new();
    for text in reads.iter().flat_map(|read| core::iter::once(&read.text).chain(&read.others)) {
        scores.entry(letters(text)).or_insert_with(|| (text.clone(), UNBOOKED));
    }
    for plate in booked {
        // Only bookings that some read could be: two edits away at most.
        let booked = letters(plate);
        let near = |read: &Vec<char>| read.len().abs_diff(booked.len()) <= 2 && edits(read, &booked) <= 2;
        if read.iter().any(near) {
            scores.insert(booked, (plate.to_owned(), BOOKED));
        }
    }
    for (plate, (_, score)) in &mut scores {
        for (read, text) in reads.iter().zip(&read) {
            let error = (1.0 - read.confidence).clamp(0.02, 0.4);
            let clean = libm::exp(likelihood(text, plate, error));
            let dirty = libm::exp(likelihood(text, plate, DIRTY_ERROR));
            *score += libm::log(0.9 * clean + 0.1 * dirty + 1e-300);
        }
    }
    let scores: Vec<(String, f64)> = scores.into_values().collect();
    let top = scores.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
    // A plate nobody read and nobody booked: its prior times what any string would score.
    let unknown = libm::exp(UNKNOWN * reads.len() as f64 - top);
    let total: f64 = scores.iter().map(|(_, score)| libm::exp(score - top)).sum::<f64>() + unknown;
    let mut ranked: Vec<(String, f64)> =
        scores.into_iter().map(|(plate, score)| (plate, libm::exp(score - top) / total)).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut ranked = ranked.into_iter();
    let (best, probability) = ranked.next()?;
    let others = ranked.take_while(|(_, p)| *p >= 0.01).take(3).collect();
    Some(Posterior { best, probability, others })
}

/// Whether two texts are the same plate, however they are written.
pub(crate) fn same(a: &str, b: &str) -> bool {
    letters(a) == letters(b)
}

/// Whether two reads could be of the same plate.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    edits(&letters(a), &letters(b)) <= 1
}

const BOOKED: f64 = 0.0;
/// About one vehicle in twenty has no booking.
const UNBOOKED: f64 = -3.0;
/// A whole plate misread beyond recognition: ln 0.03 and some 20 for the space of strings.
const UNKNOWN: f64 = -23.5;
const DIRTY_ERROR: f64 = 0.35;

/// Pairs that optical readers confuse.
const CONFUSABLE: &[(char, char)] = &[
    ('0', 'O'),
    ('0', 'D'),
    ('O', 'D'),
    ('0', 'Q'),
    ('O', 'Q'),
    ('1', 'I'),
    ('1', 'L'),
    ('I', 'L'),
    ('8', 'B'),
    ('5', 'S'),
    ('2', 'Z'),
    ('6', 'G'),
    ('7', 'T'),
    ('V', 'Y'),
    ('M', 'N'),
    ('U', 'V'),
    ('K', 'X'),
    ('C', 'G'),
    ('E', 'F'),
    ('4', 'A'),
];

/// ln P(read | plate) by aligning both; costs as FUSION's confusion model: match ln(1-e), confusable ln(0.7 e / 2.2), other
/// ln(0.18 e / 30), a letter lost ln(0.12 e), one too many about e⁻³·³ more.
fn likelihood(read: &[char], plate: &[char], error: f64) -> f64 {
    let lost = libm::log(0.12 * error);
    let added = lost - 3.3;
    let mut above: Vec<f64> = (0..=read.len()).map(|count| count as f64 * added).collect();
    for (row, plate_letter) in plate.iter().enumerate() {
        let mut line = vec![(row + 1) as f64 * lost];
        for (column, read_letter) in read.iter().enumerate() {
            let kept = above[column] + substitution(*plate_letter, *read_letter, error);
            line.push(kept.max(above[column + 1] + lost).max(line[column] + added));
        }
        above = line;
    }
    above.last().copied().unwrap_or(0.0)
}

fn substitution(plate: char, read: char, error: f64) -> f64 {
    if plate == read {
        libm::log(1.0 - error)
    } else if CONFUSABLE.contains(&(plate, read)) || CONFUSABLE.contains(&(read, plate)) {
        libm::log(0.7 * error / 2.2)
    } else {
        libm::log(0.18 * error / 30.0)
    }
}

fn edits(a: &[char], b: &[char]) -> usize {
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, y) in b.iter().enumerate() {
            line.push((above[column] + usize::from(x != y)).min(above[column + 1] + 1).min(line[column] + 1));
        }
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

fn letters(plate: &str) -> Vec<char> {
    plate.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, confidence: f64) -> Read {
        Read {
            text: text.into(),
            others: vec![],
            confidence,
            rear: true,
            at: WallTime(0),
            sensor: SensorId::new("rear").unwrap(),
            position: Position(1),
        }
    }

    #[test]
    fn a_confusable_misread_of_a_booked_plate_is_the_booked_plate() {
        let found = posterior(&[read("7-KL8-09", 0.8)], ["7-KLB-09", "99-XYZ-1"].into_iter()).unwrap();
        assert_eq!(found.best, "7-KLB-09");
        assert!(found.probability > 0.5, "{found:?}");
    }

    #[test]
    fn two_cameras_that_agree_beat_one_booking_that_is_merely_near() {
        let reads = [read("7-KLM-09", 0.95), read("7-KLM-09", 0.95)];
        let found = posterior(&reads, ["7-KLB-09"].into_iter()).unwrap();
        assert_eq!(found.best, "7-KLM-09");
    }

    #[test]
    fn a_plate_is_the_booked_one_with_or_without_dashes() {
        let found = posterior(&[read("7KLB09", 0.9), read("7-KLB-09", 0.9)], ["7-KLB-09"].into_iter()).unwrap();
        assert_eq!((found.best.as_str(), found.others.len()), ("7-KLB-09", 0));
        assert!(found.probability > 0.99, "{found:?}");
        assert!(same("7KLB09", "7-klb 09") && !same("7-KLB-09", "7-KLB-90"));
    }

    #[test]
    fn works_without_bookings_and_sums_to_at_most_one() {
        let found = posterior(&[read("12-BRV-4", 0.9), read("12-8RV-4", 0.6)], [].into_iter()).unwrap();
        assert_eq!(found.best, "12-BRV-4");
        assert!(found.probability + found.others.iter().map(|other| other.1).sum::<f64>() <= 1.0 + 1e-9);
    }
}
