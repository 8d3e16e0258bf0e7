//! What registers and bits mean: pure, one point at a time.
//!
//! A value that cannot be trusted is [`NoData::BadValue`] and never a number: a sentinel, NaN or an infinity, a result out of
//! its range, a decimal point nobody could mean, a value whose *valid* bit says otherwise.

use super::{Format, Gives, Measured, Order, Place, Point, RegisterBit, Scale, plan};
use quaywatch_schemas::{NoData, Reading, observation::Measure, units::Finite};
use std::fmt::Write;

/// What one request brought: values at consecutive addresses of one area.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Address of the first, from 0.
    pub start: u16,
    /// The values.
    pub values: Values<'a>,
}

/// Values of either kind of area.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Of coils or discrete inputs.
    Bits(&'a [bool]),
    /// Of holding or input registers.
    Registers(&'a [u16]),
}

/// What a counter showed last and what it has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    shown: Option<u64>,
    total: u64,
}

/// Decodes one point. `counter` is its memory if it counts and is not touched otherwise, nor by a value that cannot be.
pub fn decode(point: &Point, image: Image<'_>, counter: &mut Counter) -> Reading {
    reading(point, image, counter).unwrap_or(Reading::NoData(NoData::BadValue))
}

/// The bits or registers of `image` that `point` was made of, in hexadecimal, for those who watch it live.
pub fn raw(point: &Point, image: Image<'_>) -> String {
    let Ok((first, end)) = plan::span(point) else { return "nothing".into() };
    let mut text = format!("{} {first}:", point.place.area());
    for address in first..end {
        let Ok(address) = u16::try_from(address) else { break };
        let _ = match (image.bit(address), image.register(address)) {
            (Some(bit), _) => write!(text, " {}", u8::from(bit)),
            (None, Some(register)) => write!(text, " {register:04X}"),
            (None, None) => write!(text, " ?"),
        };
    }
    text
}

/// A reading of a Modbus point in words.
pub fn words(reading: &Reading) -> String {
    match reading {
        Reading::Contact(closed) => format!("contact {closed}"),
        Reading::Count(total) => format!("count {total}"),
        Reading::Measure(Measure { value, unit, stable }) => {
            let settled = match stable {
                Some(true) => ", stable",
                Some(false) => ", not stable",
                None => "",
            };
            format!("{} {}{settled}", value.get(), unit.as_str())
        }
        Reading::NoData(why) => match why {
            NoData::Timeout => "no data: not answered".into(),
            NoData::Disconnected => "no data: no connection".into(),
            NoData::Exception(code) => format!("no data: exception {code}"),
            NoData::BadValue => "no data: a value that cannot be".into(),
            other => format!("no data: {other:?}"),
        },
        other => format!("{other:?}"),
    }
}

impl Image<'_> {
    fn offset(&self, address: u16) -> Option<usize> {
        address.checked_sub(self.start).map(usize::from)
    }

    fn bit(&self, address: u16) -> Option<bool> {
        let Values::Bits(bits) = self.values else { return None };
        bits.get(self.offset(address)?).copied()
    }

    fn register(&self, address: u16) -> Option<u16> {
        let Values::Registers(registers) = self.values else { return None };
        registers.get(self.offset(address)?).copied()
    }

    fn registers(&self, address: u16, count: u16) -> Option<&[u16]> {
        let Values::Registers(registers) = self.values else { return None };
        let first = self.offset(address)?;
        registers.get(first..first + usize::from(count))
    }

    fn is_met(&self, condition: &RegisterBit) -> Option<bool> {
        let register = self.register(condition.register)?;
        Some((u32::from(register).checked_shr(condition.bit.into())? & 1 == 1) == condition.set)
    }
}

impl Format {
    /// How many registers it takes.
    pub fn registers(self) -> u16 {
        match self {
            Self::I16 | Self::U16 | Self::Bit(_) => 1,
            Self::I32 | Self::U32 | Self::F32 => 2,
            Self::I64 | Self::U64 | Self::F64 => 4,
        }
    }
}

impl Counter {
    /// Takes what the counter shows; returns the total. `width` is how many bits it has before it starts over, if it does.
    ///
    /// A step down is a wrap if the step across the end is less than a sixteenth of the counter's range (4096 of 65,536), and
    /// a restart otherwise: a device starts again from 0, so what it shows then was counted since. A restart within that
    /// distance of the end cannot be told from a wrap.
    fn advance(&mut self, shows: u64, width: Option<u32>) -> u64 {
        let counted = match self.shown.replace(shows) {
            None => shows,
            Some(shown) if shows >= shown => shows - shown,
            Some(shown) => {
                let range = width.map_or(0, |width| 1_u128 << width);
                let across = range.saturating_sub(shown.into()).saturating_add(shows.into());
                if range > 0 && across < range / NEAR_THE_END { across as u64 } else { shows }
            }
        };
        self.total = self.total.saturating_add(counted);
        self.total
    }
}

const NEAR_THE_END: u128 = 16;

/// A value before it means anything: what its bits are and what its format makes of them.
#[derive(Debug, Clone, Copy)]
struct Raw {
    pattern: u64,
    width: u32,
    number: Number,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

fn reading(point: &Point, image: Image<'_>, counter: &mut Counter) -> Option<Reading> {
    let raw = match &point.place {
        Place::Bit { address, .. } => {
            let bit = u64::from(image.bit(*address)?);
            Raw { pattern: bit, width: 1, number: Number::Unsigned(bit) }
        }
        Place::Register { address, format, order, .. } => {
            of_registers(image.registers(*address, format.registers())?, *format, *order)?
        }
    };
    match &point.gives {
        Gives::Contact { inverted } => {
            let closed = match raw.number {
                Number::Float(value) if !value.is_finite() => return None,
                Number::Float(value) => value != 0.0,
                Number::Signed(_) | Number::Unsigned(_) => raw.pattern != 0,
            };
            Some(Reading::Contact(closed != *inverted))
        }
        Gives::Count => raw.counts().map(|(shows, width)| Reading::Count(counter.advance(shows, width))),
        Gives::Measure(measured) => measure(measured, raw, image).map(Reading::Measure),
    }
}

fn of_registers(registers: &[u16], format: Format, order: Order) -> Option<Raw> {
    let bytes_swapped = matches!(order, Order::Badc | Order::Dcba);
    let low_word_first = matches!(order, Order::Cdab | Order::Dcba);
    let append =
        |pattern: u64, word: &u16| pattern << 16 | u64::from(if bytes_swapped { word.swap_bytes() } else { *word });
    let pattern =
        if low_word_first { registers.iter().rev().fold(0, append) } else { registers.iter().fold(0, append) };
    let width = u32::from(format.registers()) * 16;
    let raw = |number| Raw { pattern, width, number };
    Some(match format {
        Format::I16 => raw(Number::Signed((pattern as u16 as i16).into())),
        Format::I32 => raw(Number::Signed((pattern as u32 as i32).into())),
        Format::I64 => raw(Number::Signed(pattern as i64)),
        Format::U16 | Format::U32 | Format::U64 => raw(Number::Unsigned(pattern)),
        Format::F32 => raw(Number::Float(f32::from_bits(pattern as u32).into())),
        Format::F64 => raw(Number::Float(f64::from_bits(pattern))),
        Format::Bit(bit) => {
            let bit = (u32::from(bit) < width).then(|| pattern >> bit & 1)?;
            Raw { pattern: bit, width: 1, number: Number::Unsigned(bit) }
        }
    })
}

impl Raw {
    /// As a counter: what it shows, and after how many bits it starts over if it does.
    fn counts(self) -> Option<(u64, Option<u32>)> {
        match self.number {
            // A device that counts in a float has stopped counting long before this.
            Number::Float(value) if (0.0..9e15).contains(&value) => Some((value as u64, None)),
            Number::Float(_) => None,
            // A negative number of a counter is its upper half. A single bit never starts over: it falls.
            Number::Signed(_) | Number::Unsigned(_) => Some((self.pattern, (self.width > 1).then_some(self.width))),
        }
    }

    fn is_sentinel(self, sentinel: i64) -> bool {
        match self.number {
            Number::Float(value) => value == sentinel as f64,
            // 0x8000 and -32768 are the same sixteen bits, and manuals print either.
            Number::Signed(_) | Number::Unsigned(_) if self.width < 64 => {
                let (lowest, end) = (-(1_i64 << (self.width - 1)), 1_i64 << self.width);
                (lowest..end).contains(&sentinel) && sentinel as u64 & (end - 1) as u64 == self.pattern
            }
            Number::Signed(_) | Number::Unsigned(_) => sentinel as u64 == self.pattern,
        }
    }
}

fn measure(measured: &Measured, raw: Raw, image: Image<'_>) -> Option<Measure> {
    if let Some(condition) = &measured.valid_when
        && !image.is_met(condition)?
    {
        return None;
    }
    if measured.sentinels.iter().any(|sentinel| raw.is_sentinel(*sentinel)) {
        return None;
    }
    let number = match raw.number {
        Number::Signed(value) => value as f64,
        Number::Unsigned(value) => value as f64,
        Number::Float(value) => value,
    };
    let scaled = match measured.scale {
        Scale::Fixed(factor) => number * factor,
        Scale::Register(address) => {
            let decimals = i32::from(image.register(address)? as i16);
            if !(-MOST_DECIMALS..=MOST_DECIMALS).contains(&decimals) {
                return None;
            }
            // Dividing by a power of ten is exact where multiplying by its inverse is not: 12345 becomes 123.45.
            if decimals < 0 { number * 10_f64.powi(-decimals) } else { number / 10_f64.powi(decimals) }
        }
    };
    let value = scaled + measured.offset;
    if measured.range.is_some_and(|(lowest, highest)| !(lowest..=highest).contains(&value)) {
        return None;
    }
    let stable = match &measured.stable_when {
        Some(condition) => Some(image.is_met(condition)?),
        None => None,
    };
    Some(Measure { value: Finite::new(value).ok()?, unit: measured.unit.clone(), stable })
}

/// Displays have up to seven digits; a "decimal point" beyond this is some other register.
const MOST_DECIMALS: i32 = 12;

#[cfg(test)]
mod tests;
