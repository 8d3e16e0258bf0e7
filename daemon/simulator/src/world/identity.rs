//! Plates and container codes of vehicles that do not exist, and how cameras read them.

use super::random::Random;

/// A number plate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plate {
    /// As it is written on a booking, with its separators.
    pub written: String,
    /// ISO 3166 code of its country, in lower case as readers report it.
    pub region: &'static str,
    /// Whether every camera reads it right.
    pub clean: bool,
}

/// What a camera made of a plate.
#[derive(Debug, Clone, PartialEq)]
pub struct PlateRead {
    /// Letters and digits without separators.
    pub text: String,
    /// The reader's own score, 0 to 1.
    pub score: f64,
    /// What else it could be, with scores.
    pub others: Vec<(String, f64)>,
    /// As [`Plate::region`].
    pub region: &'static str,
}

/// The formats a port in the Rhine delta sees; `A` is a letter, `9` a digit, anything else stands as it is. What is made
/// from them is drawn at random and belongs to nobody we know of.
const FORMATS: [(&str, &str); 6] = [
    ("nl", "99-AAA-9"),
    ("nl", "9-AAA-99"),
    ("de", "DU AA 9999"),
    ("be", "1-AAA-999"),
    ("pl", "WX 99999"),
    ("fr", "AA-999-AA"),
];

impl Plate {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let (region, format) = *random.pick(&FORMATS);
        let written = format
            .chars()
            .enumerate()
            .map(|(index, sign)| match sign {
                // The fixed letters of a format come first.
                'A' if index > 0 || region != "de" => random.letter(),
                '9' => random.digit(),
                other => other,
            })
            .collect();
        Self { written, region, clean: false }
    }

    /// What stands on it.
    pub fn letters(&self) -> String {
        self.written.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    /// How a camera reads it: of a plate that is not clean about one read in twelve has one letter wrong, and then the reader
    /// is not sure.
    pub(crate) fn read(&self, random: &mut Random) -> PlateRead {
        let right = self.letters();
        let wrong = misread(&right, random);
        if let Some(wrong) = wrong.filter(|_| random.chance(0.08) && !self.clean) {
            let score = random.between(0.55, 0.75);
            return PlateRead { text: wrong, score, others: vec![(right, score - 0.05)], region: self.region };
        }
        PlateRead { text: right, score: random.between(0.85, 0.97), others: Vec::new(), region: self.region }
    }
}

/// A container code by ISO 6346: three letters of the owner, `U`, six digits, check digit.
pub(crate) fn container(random: &mut Random) -> String {
    // Not an owner the Bureau International des Containers lists, as far as we know.
    let stem: String = "QWY".chars().chain(['U']).chain((0..6).map(|_| random.digit())).collect();
    let digit = check_digit(&stem);
    format!("{stem}{digit}")
}

/// The check digit of the first ten characters: each has a value (letters count from 10 and leave out multiples of 11), is
/// weighted with 2 to the power of its place, and the sum is taken modulo 11, with 10 written as 0.
pub(crate) fn check_digit(stem: &str) -> u32 {
    let value = |sign: char| match sign {
        '0'..='9' => u32::from(sign) - u32::from('0'),
        letter => {
            let place = u32::from(letter) - u32::from('A') + 10;
            place + (place - 1) / 10
        }
    };
    let sum: u32 = stem.chars().take(10).zip(0..).map(|(sign, place)| value(sign) << place).sum();
    sum % 11 % 10
}

/// The pairs readers confuse most.
const LOOK_ALIKE: [(char, char); 8] =
    [('8', 'B'), ('5', 'S'), ('2', 'Z'), ('6', 'G'), ('1', 'L'), ('0', 'D'), ('M', 'N'), ('V', 'Y')];

/// The same text with one letter taken for its double; `None` if it has none that has one.
fn misread(text: &str, random: &mut Random) -> Option<String> {
    let double = |sign: char| {
        let found = LOOK_ALIKE.iter().find(|(a, b)| sign == *a || sign == *b);
        found.map(|(a, b)| if sign == *a { *b } else { *a })
    };
    let places: Vec<usize> =
        text.chars().enumerate().filter(|(_, sign)| double(*sign).is_some()).map(|(place, _)| place).collect();
    if places.is_empty() {
        return None;
    }
    let place = *random.pick(&places);
    Some(
        text.chars()
            .enumerate()
            .map(|(at, sign)| if at == place { double(sign).unwrap_or(sign) } else { sign })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_the_standard() {
        // The example of ISO 6346 itself.
        assert_eq!(check_digit("CSQU305438"), 3);
        let mut random = Random::of(3, "containers", 0);
        for _ in 0..100 {
            let code = container(&mut random);
            assert_eq!(code.len(), 11);
            assert_eq!(code[10..].parse::<u32>().unwrap(), check_digit(&code[..10]), "{code}");
        }
    }

    #[test]
    fn plates_have_the_formats_of_their_countries() {
        let mut random = Random::of(3, "plates", 0);
        let mut regions = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let plate = Plate::draw(&mut random);
            regions.insert(plate.region);
            let shape: String = plate
                .written
                .chars()
                .map(|sign| {
                    if sign.is_ascii_digit() {
                        '9'
                    } else if sign.is_ascii_alphabetic() {
                        'A'
                    } else {
                        sign
                    }
                })
                .collect();
            let known = FORMATS.iter().any(|(region, format)| {
                let format: String = format
                    .chars()
                    .map(|sign| {
                        if sign.is_ascii_digit() {
                            '9'
                        } else if sign.is_ascii_alphabetic() {
                            'A'
                        } else {
                            sign
                        }
                    })
                    .collect();
                *region == plate.region && format == shape
            });
            assert!(known, "{plate:?}");
        }
        assert_eq!(regions.len(), 5);
    }

    #[test]
    fn a_misread_differs_in_one_letter_and_names_the_right_one() {
        let mut random = Random::of(3, "reads", 0);
        let plate = Plate { written: "82-BSZ-6".into(), region: "nl", clean: false };
        let reads: Vec<PlateRead> = (0..500).map(|_| plate.read(&mut random)).collect();
        let wrong: Vec<&PlateRead> = reads.iter().filter(|read| read.text != plate.letters()).collect();
        assert!((15..80).contains(&wrong.len()), "{}", wrong.len());
        for read in wrong {
            let differ = read.text.chars().zip(plate.letters().chars()).filter(|(a, b)| a != b).count();
            assert_eq!((differ, read.others[0].0.as_str()), (1, "82BSZ6"));
            assert!(read.score < 0.8);
        }
        let clean = Plate { clean: true, ..plate };
        assert!((0..500).all(|_| clean.read(&mut random).text == clean.letters()));
    }
}
