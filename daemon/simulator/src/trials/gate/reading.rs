//! How cameras misread.

use super::rounded;
use crate::world::random::Random;

/// Of the errors in a character: how many take it for one that looks like it, for any other, or leave it out.
const LOOK_ALIKE: f64 = 0.74;
const ANY_OTHER: f64 = 0.12;
/// Error probability that a dirty plate multiplies.
const DIRT: f64 = 3.0;
/// For one error there are so many characters that are not there.
const INSERTED: f64 = 0.05;

/// What looks like what, most alike first; the letters of a look-alike are not always each other's.
const ALIKE: [(char, &[char]); 36] = [
    ('0', &['O', 'D', 'Q', '8']),
    ('1', &['I', 'L', '7']),
    ('2', &['Z', '7']),
    ('3', &['8']),
    ('4', &['A']),
    ('5', &['S', '6']),
    ('6', &['G', '5', '8']),
    ('7', &['1', 'T', 'Z']),
    ('8', &['B', '3', '0']),
    ('9', &['8']),
    ('A', &['4']),
    ('B', &['8', '3', 'R']),
    ('C', &['G', 'O']),
    ('D', &['0', 'O']),
    ('E', &['F']),
    ('F', &['E', 'P']),
    ('G', &['6', 'C']),
    ('H', &['N']),
    ('I', &['1', 'L', 'T']),
    ('J', &['U']),
    ('K', &['X']),
    ('L', &['1', 'I']),
    ('M', &['N', 'W']),
    ('N', &['M', 'H']),
    ('O', &['0', 'Q', 'D', 'C']),
    ('P', &['R', 'F']),
    ('Q', &['O', '0']),
    ('R', &['P', 'B']),
    ('S', &['5', '8']),
    ('T', &['7', 'I']),
    ('U', &['V', 'J']),
    ('V', &['Y', 'W']),
    ('W', &['V', 'M']),
    ('X', &['K']),
    ('Y', &['V']),
    ('Z', &['2', '7']),
];

/// A reading and how sure the reader says it is.
pub(super) fn read(text: &str, error: f64, dirty: bool, random: &mut Random) -> (String, f64) {
    let error = if dirty { error * DIRT } else { error };
    let mut read = String::with_capacity(text.len() + 1);
    for sign in text.chars() {
        if random.chance(error) {
            read.extend(misread(sign, random));
        } else {
            read.push(sign);
        }
        if random.chance(error * INSERTED) {
            read.push(any(random));
        }
    }
    let sure = if read == text { random.normal(0.90, 0.07) } else { random.normal(0.74, 0.12) };
    (read, rounded(sure.clamp(0.3, 0.99), 3))
}

fn misread(sign: char, random: &mut Random) -> Option<char> {
    let share = random.between(0.0, 1.0);
    if share < LOOK_ALIKE {
        let alike = ALIKE.iter().find(|(of, _)| *of == sign);
        alike.map(|(_, alike)| *random.pick(alike))
    } else if share < LOOK_ALIKE + ANY_OTHER {
        Some(any(random))
    } else {
        None
    }
}

fn any(random: &mut Random) -> char {
    if random.chance(0.7) { random.letter() } else { random.digit() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_plate_is_misread_about_as_often_as_its_characters_are_and_a_dirty_one_more() {
        let mut random = Random::of(3, "reading", 0);
        let mut wrong = |dirty| (0..4000).filter(|_| read("AB12CDE", 0.03, dirty, &mut random).0 != "AB12CDE").count();
        let (clean, dirty) = (wrong(false) as f64 / 4000.0, wrong(true) as f64 / 4000.0);
        assert!((clean - 0.196).abs() < 0.03, "{clean}");
        assert!((dirty - 0.49).abs() < 0.04, "{dirty}");
    }

    #[test]
    fn nothing_looks_like_itself() {
        for (sign, alike) in ALIKE {
            assert!(!alike.contains(&sign), "{sign}");
            assert!(alike.iter().all(|other| ALIKE.iter().any(|(of, _)| of == other)), "{sign}");
        }
    }
}
