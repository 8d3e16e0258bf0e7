//! Sentences, and messages of several of them.

use super::bits::Bits;
use crate::json::Undecodable;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// One `VDM` or `VDO` sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    total: u8,
    number: u8,
    /// Joins the sentences of one message.
    sequence: u8,
    channel: u8,
    armour: &'a [u8],
    fill: u8,
    /// When a station says it heard it, in Unix seconds.
    pub(super) station_time: Option<i64>,
}

/// Reads a line. `None` if it is in order and none of AIS: another sentence, a comment, a tag block alone.
pub(super) fn parse(line: &[u8]) -> Result<Option<Sentence<'_>>, Undecodable> {
    let line = line.trim_ascii();
    let (station_time, line) = tag_block(line)?;
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let Some((b'!' | b'$', rest)) = line.split_first() else {
        return Err(Undecodable("the line is no NMEA sentence".into()));
    };
    let body = checked(rest)?;
    let fields: Vec<&[u8]> = body.split(|byte| *byte == b',').collect();
    if !(fields[0].len() == 5 && (fields[0].ends_with(b"VDM") || fields[0].ends_with(b"VDO"))) {
        return Ok(None);
    }
    let &[_, total, number, sequence, channel, armour, fill] = fields.as_slice() else {
        return Err(Undecodable("the sentence has not seven fields".into()));
    };
    let digit = |field: &[u8]| match field {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    };
    let total = digit(total).filter(|total| *total > 0).ok_or_else(|| expected("how many sentences there are"))?;
    let number = digit(number).filter(|number| (1..=total).contains(number));
    let number = number.ok_or_else(|| expected("which of the sentences this is"))?;
    let sequence = match sequence {
        [] if total == 1 => 0,
        field => digit(field).ok_or_else(|| expected("the number that joins sentences"))?,
    };
    let channel = match channel {
        [] => 0,
        [channel] => *channel,
        _ => return Err(expected("the channel")),
    };
    let fill = digit(fill).filter(|fill| *fill < 6).ok_or_else(|| expected("the number of fill bits"))?;
    if armour.is_empty() || (fill > 0 && number < total) {
        return Err(expected("whole characters of a message"));
    }
    Ok(Some(Sentence { total, number, sequence, channel, armour, fill, station_time }))
}

fn expected(what: &str) -> Undecodable {
    Undecodable(format!("the sentence does not say {what}"))
}

/// A tag block in front of a sentence: `\c:1773454324,s:quay*hh\`. Of its fields the time is read.
fn tag_block(line: &[u8]) -> Result<(Option<i64>, &[u8]), Undecodable> {
    let Some(rest) = line.strip_prefix(b"\\") else { return Ok((None, line)) };
    let end = rest.iter().position(|byte| *byte == b'\\');
    let end = end.ok_or_else(|| Undecodable("the tag block has no end".into()))?;
    let body = checked(&rest[..end])?;
    let time = body.split(|byte| *byte == b',').find_map(|field| {
        let number: i64 = std::str::from_utf8(field.strip_prefix(b"c:")?).ok()?.parse().ok()?;
        // Some stations write milliseconds: seconds have ten digits until 2286.
        Some(if number >= 10_000_000_000 { number / 1000 } else { number })
    });
    Ok((time.filter(|time| *time > 0), rest[end + 1..].trim_ascii_start()))
}

/// What is before `*hh`, if that is the exclusive or of it.
fn checked(text: &[u8]) -> Result<&[u8], Undecodable> {
    let star = text.iter().rposition(|byte| *byte == b'*');
    let star = star.ok_or_else(|| Undecodable("there is no checksum".into()))?;
    let (body, sum) = (&text[..star], &text[star + 1..]);
    let said = std::str::from_utf8(sum).ok().filter(|sum| sum.len() == 2);
    let said = said.and_then(|sum| u8::from_str_radix(sum, 16).ok());
    let said = said.ok_or_else(|| Undecodable("the checksum is not two hexadecimal digits".into()))?;
    if body.iter().fold(0, |sum, byte| sum ^ byte) != said {
        return Err(Undecodable("the checksum is wrong".into()));
    }
    Ok(body)
}

/// Messages of which sentences are still to come.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    open: Vec<Open>,
    lost: usize,
}

#[derive(Debug)]
struct Open {
    key: Key,
    parts: Vec<Option<Vec<u8>>>,
    fill: u8,
    station_time: Option<i64>,
    began: Instant,
}

/// Two receivers may number alike: sender, sequence, channel and how many there are.
type Key = (Option<SocketAddr>, u8, u8, u8);

/// A message without its armour.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bits: Bits,
    /// In its armour, to tell repeats.
    pub(super) armour: Vec<u8>,
    pub(super) station_time: Option<i64>,
}

/// The sentences of a message follow one another at once; a busy station uses the same number again within seconds.
const WAIT: Duration = Duration::from_secs(2);
/// Ten numbers, two channels; beyond it the oldest goes.
const MOST_OPEN: usize = 16;

impl Assembly {
    /// Takes a sentence in; gives the message if that was the last of it. They may come in any order.
    pub(super) fn take(
        &mut self,
        sentence: &Sentence<'_>,
        from: Option<SocketAddr>,
        now: Instant,
    ) -> Result<Option<Whole>, Undecodable> {
        if sentence.total == 1 {
            return whole(sentence.armour.to_vec(), sentence.fill, sentence.station_time).map(Some);
        }
        self.expire(now);
        let key = (from, sentence.sequence, sentence.channel, sentence.total);
        let index = usize::from(sentence.number - 1);
        let place = self.open.iter().position(|open| open.key == key);
        // The same part again: the message before it will not be whole any more.
        let place = match place.filter(|place| self.open[*place].parts[index].is_none()) {
            Some(place) => place,
            None => {
                if let Some(stale) = place {
                    self.open.remove(stale);
                    self.lost += 1;
                } else if self.open.len() == MOST_OPEN {
                    self.open.remove(0);
                    self.lost += 1;
                }
                let parts = vec![None; usize::from(sentence.total)];
                self.open.push(Open { key, parts, fill: 0, station_time: None, began: now });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[place];
        open.parts[index] = Some(sentence.armour.to_vec());
        open.station_time = open.station_time.or(sentence.station_time);
        if sentence.number == sentence.total {
            open.fill = sentence.fill;
        }
        if open.parts.iter().any(Option::is_none) {
            return Ok(None);
        }
        let Open { parts, fill, station_time, .. } = self.open.remove(place);
        whole(parts.into_iter().flatten().flatten().collect(), fill, station_time).map(Some)
    }

    /// How many messages were given up since this was asked last.
    pub(super) fn lost(&mut self, now: Instant) -> usize {
        self.expire(now);
        std::mem::take(&mut self.lost)
    }

    fn expire(&mut self, now: Instant) {
        let before = self.open.len();
        self.open.retain(|open| now.saturating_duration_since(open.began) < WAIT);
        self.lost += before - self.open.len();
    }
}

fn whole(armour: Vec<u8>, fill: u8, station_time: Option<i64>) -> Result<Whole, Undecodable> {
    Ok(Whole { bits: Bits::of(&armour, fill)?, armour, station_time })
}
