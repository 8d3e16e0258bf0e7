//! Six-bit armour and the numbers inside (IEC 61162-1, table of six-bit binary field conversion).

use crate::json::Undecodable;

/// A message's bits.
#[derive(Debug)]
pub(super) struct Bits {
    /// Six bits each, the most significant first.
    sixes: Vec<u8>,
    length: usize,
}

/// A message has five slots at most: 1064 bits with all its headers (M.1371-5, annex 2).
const LONGEST: usize = 1064;

impl Bits {
    /// Takes the armour off. `fill` bits at the end are none of the message's.
    pub(super) fn of(armour: &[u8], fill: u8) -> Result<Self, Undecodable> {
        if armour.len() * 6 > LONGEST + 6 {
            return Err(Undecodable("the message is longer than AIS has any".into()));
        }
        let sixes = armour.iter().map(|letter| match letter {
            48..=87 => Some(letter - 48),
            96..=119 => Some(letter - 56),
            _ => None,
        });
        let sixes: Option<Vec<u8>> = sixes.collect();
        let sixes = sixes.ok_or_else(|| Undecodable("a character that no armour has".into()))?;
        let length = (sixes.len() * 6).checked_sub(usize::from(fill));
        let length = length.ok_or_else(|| Undecodable("more fill bits than there are bits".into()))?;
        Ok(Self { sixes, length })
    }

    /// The number in so many bits, at most 32.
    pub(super) fn unsigned(&self, start: usize, bits: usize) -> Result<u32, Undecodable> {
        if start + bits > self.length {
            return Err(Undecodable("the message is too short for its type".into()));
        }
        let bit = |at: usize| u32::from(self.sixes[at / 6] >> (5 - at % 6) & 1);
        Ok((start..start + bits).fold(0, |number, at| number << 1 | bit(at)))
    }

    /// The same in two's complement.
    pub(super) fn signed(&self, start: usize, bits: usize) -> Result<i32, Undecodable> {
        let number = self.unsigned(start, bits)?;
        let unused = 32 - bits;
        Ok((number << unused).cast_signed() >> unused)
    }

    pub(super) fn flag(&self, at: usize) -> Result<bool, Undecodable> {
        Ok(self.unsigned(at, 1)? == 1)
    }

    /// Six-bit letters up to the first `@`, without blanks at the end; `None` if nothing is left.
    pub(super) fn text(&self, start: usize, letters: usize) -> Result<Option<String>, Undecodable> {
        let mut text = String::new();
        for letter in 0..letters {
            // 0 to 31 are `@`, A to Z and five signs, 32 to 63 as in ASCII.
            match self.unsigned(start + letter * 6, 6)? as u8 {
                0 => break,
                low @ 1..=31 => text.push(char::from(low + 64)),
                high => text.push(char::from(high)),
            }
        }
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}
