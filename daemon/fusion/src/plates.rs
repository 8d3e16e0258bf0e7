//! What a plate reader says and what it may have meant.
//!
//! A read is scored against a plate with a weighted edit model: letters that look alike are confused far more often than
//! others, and a reader's own score tells how often it is wrong. A tenth of each read is explained by a dirty plate, so that
//! three misreads of the same dirt are not three independent proofs. Container codes are read the same way.

use crate::{bounds::READS_PER_VEHICLE, rules::Signal};
use alloc::{string::String, vec::Vec};
use quaywatch_schemas::{Position, SensorId, WallTime, observation::Plate, site::Role};
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

/// Other readings of one look that are worth keeping.
const OTHER_READINGS: usize = 8;

impl Read {
    /// What a camera read, if its text is clear: a plate whose key is gone says nothing.
    pub(crate) fn of(plate: &Plate, signal: &Signal<'_>) -> Option<Self> {
        let others = plate.candidates.iter().filter_map(|other| other.text.as_clear().map(Into::into));
        Some(Self {
            text: plate.text.as_clear()?.into(),
            others: others.take(OTHER_READINGS).collect(),
            confidence: plate.confidence.map_or(0.7, |confidence| confidence.get()),
            rear: signal.spec.role == Role::PlateRear,
            at: signal.at,
            sensor: signal.sensor.clone(),
            position: signal.position,
        })
    }
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

/// Whether two texts are the same plate, however they are written.
pub(crate) fn same(a: &str, b: &str) -> bool {
    Letters::of(a) == Letters::of(b)
}

/// Whether two reads could be of the same plate.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    Letters::of(a).edits(&Letters::of(b)) <= 1
}

/// The letters and digits of a plate or code, upper case, at most sixteen: a booking is written with dashes, a camera reads
/// without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Letters {
    bytes: [u8; LONGEST],
    length: u8,
}

const LONGEST: usize = 16;

impl Letters {
    pub(crate) fn of(text: &str) -> Self {
        let mut letters = Self { bytes: [0; LONGEST], length: 0 };
        for byte in text.bytes().filter(u8::is_ascii_alphanumeric).take(LONGEST) {
            letters.bytes[usize::from(letters.length)] = byte.to_ascii_uppercase();
            letters.length += 1;
        }
        letters
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether one could have been meant by the other: five letters at least stand in the same place, or all one place off.
    pub(crate) fn resembles(&self, other: &Self) -> bool {
        let (a, b) = (self.as_bytes(), other.as_bytes());
        let same = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a == b).count() >= 5;
        same(a, b) || same(a.get(1..).unwrap_or_default(), b) || same(a, b.get(1..).unwrap_or_default())
    }

    /// How many letters must be changed, lost or added to make one of the other.
    pub(crate) fn edits(&self, other: &Self) -> usize {
        let (one, other) = (self.as_bytes(), other.as_bytes());
        if one.is_empty() {
            return other.len();
        }
        // Myers (1999): a column of the distance table is two bit vectors, where it goes up by one and where down. Here the
        // rows are the letters of the one, by the low six bits of their ASCII code.
        let mut places = [0u16; 64];
        for (row, letter) in one.iter().enumerate() {
            places[usize::from(letter & 63)] |= 1 << row;
        }
        let last = 1u16 << (one.len() - 1);
        let (mut up, mut down, mut edits) = (u16::MAX, 0u16, one.len());
        for letter in other {
            let same = places[usize::from(letter & 63)];
            let diagonal = ((same & up).wrapping_add(up) ^ up) | same | down;
            let (right_up, right_down) = (down | !(diagonal | up), up & diagonal);
            edits = edits + usize::from(right_up & last != 0) - usize::from(right_down & last != 0);
            // The first row goes up by one with each letter of the other.
            let (right_up, right_down) = (right_up << 1 | 1, right_down << 1);
            (up, down) = (right_down | !(diagonal | right_up), right_up & diagonal);
        }
        edits
    }
}

/// What errors cost, in log-likelihood, at one rate of errors per letter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    same: f64,
    confusable: f64,
    other: f64,
    lost: f64,
    added: f64,
}

impl Costs {
    /// Of all errors 70 % are a letter that looks alike (a letter has 2.2 of those), 18 % another of the 30 left, 12 % a
    /// letter lost; one too many is about e^-3.3 rarer still. Origin: confusion counts of published plate readers.
    pub(crate) fn at(error: f64) -> Self {
        let lost = libm::log(0.12 * error);
        Self {
            same: libm::log(1.0 - error),
            confusable: libm::log(0.7 * error / 2.2),
            other: libm::log(0.18 * error / 30.0),
            lost,
            added: lost - 3.3,
        }
    }

    /// ln P(read | meant), along the likeliest alignment of both.
    pub(crate) fn likelihood(&self, read: &Letters, meant: &Letters) -> f64 {
        if read == meant {
            return f64::from(read.length) * self.same;
        }
        let read = read.as_bytes();
        let mut above: [f64; LONGEST + 1] = core::array::from_fn(|count| count as f64 * self.added);
        for (row, meant) in meant.as_bytes().iter().enumerate() {
            let mut diagonal = above[0];
            above[0] = (row + 1) as f64 * self.lost;
            for (column, said) in read.iter().enumerate() {
                let kept = diagonal + self.substitution(*meant, *said);
                diagonal = above[column + 1];
                above[column + 1] = higher(higher(kept, diagonal + self.lost), above[column] + self.added);
            }
        }
        above[read.len()]
    }

    fn substitution(&self, meant: u8, said: u8) -> f64 {
        if meant == said {
            self.same
        } else if CONFUSABLE[usize::from(meant & 63)] & (1 << (said & 63)) != 0 {
            self.confusable
        } else {
            self.other
        }
    }
}

/// Of two numbers, neither of them NaN: one instruction, where `f64::max` takes six.
fn higher(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The rate of errors per letter at a reader's own score. Readers' scores are no probabilities, but alike: whole plates are
/// read right about half of the time at 0.76 and nearly always above 0.9, and a plate has seven letters. Origin: the reads of
/// a simulated gate; a site's own verdicts tell better.
pub(crate) fn error_rate(score: f64) -> f64 {
    let right = 0.975 / (1.0 + libm::exp(-(score - 0.76) / 0.037));
    (1.0 - libm::pow(right, 1.0 / 7.0)).clamp(0.003, 0.5)
}

/// The rate of errors per letter where dirt is read along.
pub(crate) const DIRTY: f64 = 0.35;

/// Letters that optical readers confuse, as bits by the low six bits of their ASCII code (digits 48 to 57, letters 1 to 26).
const CONFUSABLE: [u64; 64] = confusable();

const PAIRS: &[&[u8; 2]] = &[
    b"0O", b"0D", b"OD", b"0Q", b"OQ", b"1I", b"1L", b"IL", b"8B", b"5S", b"2Z", b"6G", b"7T", b"VY", b"MN", b"UV",
    b"KX", b"CG", b"EF", b"4A",
];

const fn confusable() -> [u64; 64] {
    let mut table = [0; 64];
    let mut index = 0;
    while index < PAIRS.len() {
        let [a, b] = *PAIRS[index];
        table[(a & 63) as usize] |= 1 << (b & 63);
        table[(b & 63) as usize] |= 1 << (a & 63);
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_looks_alike_costs_less_than_another_and_that_less_than_one_too_many() {
        let costs = Costs::at(0.05);
        let of = |read, meant| costs.likelihood(&Letters::of(read), &Letters::of(meant));
        let cost = [
            of("7KLB09", "7-KLB-09"),
            of("7KL809", "7-KLB-09"),
            of("7KLB9", "7-KLB-09"),
            of("7KLM09", "7-KLB-09"),
            of("7KLBB09", "7-KLB-09"),
        ];
        assert!(cost.is_sorted_by(|a, b| a > b), "{cost:?}");
    }

    #[test]
    fn plates_are_compared_by_their_letters() {
        assert!(same("7KLB09", "7-klb 09") && !same("7-KLB-09", "7-KLB-90"));
        assert!(alike("7KLB09", "7-KL8-09") && !alike("7KLB09", "7-KL8-90"));
        assert_eq!(Letters::of("AB12").edits(&Letters::of("A12C")), 2);
        assert_eq!(Letters::of("").edits(&Letters::of("AB12")), 4);
    }

    #[test]
    fn edits_are_those_of_the_table_of_levenshtein() {
        let table = |a: &[u8], b: &[u8]| {
            let mut above: Vec<usize> = (0..=b.len()).collect();
            for (row, x) in a.iter().enumerate() {
                let mut diagonal = core::mem::replace(&mut above[0], row + 1);
                for (column, y) in b.iter().enumerate() {
                    let kept = diagonal + usize::from(x != y);
                    diagonal = above[column + 1];
                    above[column + 1] = kept.min(diagonal + 1).min(above[column] + 1);
                }
            }
            above[b.len()]
        };
        // All texts of up to five of three letters, and some of the longest.
        let mut texts: Vec<String> = alloc::vec![String::new()];
        for length in 0..5 {
            let longer = texts.iter().filter(|text| text.len() == length);
            let longer: Vec<String> =
                longer.flat_map(|text| ["A", "0", "Z"].map(|letter| alloc::format!("{text}{letter}"))).collect();
            texts.extend(longer);
        }
        texts.extend(["ABCDEFGHIJKLMNOP", "PONMLKJIHGFEDCBA", "ABCDEFGHIJKLMNO", "BCDEFGHIJKLMNOPQ"].map(String::from));
        for a in &texts {
            for b in &texts {
                let edits = Letters::of(a).edits(&Letters::of(b));
                assert_eq!(edits, table(a.as_bytes(), b.as_bytes()), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_reader_that_is_unsure_is_wrong_more_often() {
        let rates = [0.0, 0.5, 0.7, 0.8, 0.9, 1.0].map(error_rate);
        assert!(rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
    }
}
