//! Which requests fetch the points: as few as the device allows.
//!
//! What belongs to one value (its registers, its decimal point, its *valid* and *stable* bits) is always fetched by one
//! request, so that nothing is ever put together from two moments. Requests are then made to span several points, and up to
//! [`Blocks::most_hole`] addresses in between that nobody asked for; a device that does not have those answers with an
//! exception, and [`Read::split`] says how to go on.

use super::{Area, Blocks, Fixed, Format, Gives, Place, Point, Scale};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Of which area.
    pub area: Area,
    /// First address, from 0.
    pub start: u16,
    /// How many registers or bits.
    pub count: u16,
    /// Which points it fetches: indices into the device's points, by address.
    pub points: Vec<usize>,
    /// It is what the device insists on: it is not split.
    pub whole: bool,
}

/// The requests of a device, and the points that no request can fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By area, then by address.
    pub reads: Vec<Read>,
    /// Indices into the device's points, and why.
    pub impossible: Vec<(usize, Impossible)>,
}

/// Why no request can fetch a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// Its registers are past 65,535.
    #[error("it ends behind the last address, 65535")]
    BehindTheEnd,
    /// What belongs to it does not fit in one request.
    #[error(
        "its value, scale and status registers (and the block they are in) are {span} apart, and one read takes {most}"
    )]
    TooFarApart {
        /// Addresses from the first to the last.
        span: u32,
        /// Most addresses in one read.
        most: u16,
    },
    /// Registers have bits 0 to 15.
    #[error("a register has bits 0 to 15")]
    NoSuchBit,
    /// Coils and discrete inputs have no registers beside them.
    #[error("a scale or status register must be in the same area, and an area of bits has no registers")]
    NoRegisters,
}

/// The protocol's own limits: 250 bytes of data in an answer (Modbus Application Protocol 1.1b3, 6.1 and 6.3).
const MOST_REGISTERS: u16 = 125;
const MOST_BITS: u16 = 2000;

/// Plans the requests for a device's points.
pub fn plan(points: &[Point], blocks: &Blocks) -> Plan {
    let mut plan = Plan::default();
    let mut areas: Vec<Area> = points.iter().map(|point| point.place.area()).collect();
    areas.sort_unstable();
    areas.dedup();
    for area in areas {
        let fixed: Vec<Fixed> = blocks.fixed.iter().filter(|fixed| fixed.area == area).copied().collect();
        let most = blocks.most(area);
        let mut needs = Vec::new();
        for (index, point) in points.iter().enumerate().filter(|(_, point)| point.place.area() == area) {
            match need(index, point, &fixed, most) {
                Ok(need) => needs.push(need),
                Err(why) => plan.impossible.push((index, why)),
            }
        }
        needs.sort_unstable_by_key(|need| (need.start, need.end, need.point));
        let spans = if blocks.whole && fixed.is_empty() {
            in_one_if_possible(&needs, most)
        } else {
            let (insisted, free): (Vec<Need>, Vec<Need>) = needs.into_iter().partition(|need| need.fixed);
            let mut spans = merge(&insisted, most, true, |span, need| need.start < span.end);
            spans.extend(merge(&free, most, false, |span, need| {
                let hole = need.start.saturating_sub(span.end);
                let joint = (span.start, span.end.max(need.end));
                hole <= u32::from(blocks.most_hole) && !fixed.iter().any(|fixed| overlap(joint, ends(fixed)))
            }));
            spans.sort_unstable_by_key(|span| span.start);
            spans
        };
        plan.reads.extend(spans.into_iter().map(|span| span.read(area)));
    }
    plan.impossible.sort_unstable_by_key(|(point, _)| *point);
    plan
}

/// Where what belongs to a point begins and ends (exclusive).
pub fn span(point: &Point) -> Result<(u32, u32), Impossible> {
    let (mut first, mut end) = match &point.place {
        Place::Bit { address, .. } => (u32::from(*address), u32::from(*address) + 1),
        Place::Register { format: Format::Bit(16..), .. } => return Err(Impossible::NoSuchBit),
        Place::Register { address, format, .. } => {
            (u32::from(*address), u32::from(*address) + u32::from(format.registers()))
        }
    };
    if let Gives::Measure(measured) = &point.gives {
        let scale = match measured.scale {
            Scale::Register(address) => Some(address),
            Scale::Fixed(_) => None,
        };
        let conditions = [&measured.valid_when, &measured.stable_when];
        for condition in conditions.into_iter().flatten() {
            if condition.bit > 15 {
                return Err(Impossible::NoSuchBit);
            }
        }
        let conditions = conditions.into_iter().flatten().map(|condition| condition.register);
        for beside in scale.into_iter().chain(conditions) {
            if matches!(point.place, Place::Bit { .. }) {
                return Err(Impossible::NoRegisters);
            }
            first = first.min(beside.into());
            end = end.max(u32::from(beside) + 1);
        }
    }
    if end > ADDRESSES { Err(Impossible::BehindTheEnd) } else { Ok((first, end)) }
}

const ADDRESSES: u32 = 1 << 16;

impl Blocks {
    fn most(&self, area: Area) -> u16 {
        match area {
            Area::Bits(_) => self.most_bits.clamp(1, MOST_BITS),
            Area::Registers(_) => self.most_registers.clamp(1, MOST_REGISTERS),
        }
    }
}

impl Read {
    /// Two requests that fetch the same points, for a device that does not have an address this one spans: split at the
    /// longest run of addresses nobody asked for, else in the middle. `None` if it cannot be split: then it is one of its
    /// points that the device does not have, or the device insists on this block.
    pub fn split(&self, points: &[Point]) -> Option<(Self, Self)> {
        if self.whole {
            return None;
        }
        let needs: Vec<Need> = self
            .points
            .iter()
            .filter_map(|&index| {
                let (start, end) = span(points.get(index)?).ok()?;
                Some(Need { start, end, point: index, fixed: false })
            })
            .collect();
        let middle = needs.len() / 2;
        let mut reached = 0;
        let mut best: Option<(usize, u32)> = None;
        for (cut, pair) in needs.windows(2).enumerate().map(|(before, pair)| (before + 1, pair)) {
            reached = reached.max(pair[0].end);
            // Points at the very same addresses stand and fall together.
            if (pair[0].start, pair[0].end) == (pair[1].start, pair[1].end) {
                continue;
            }
            let hole = pair[1].start.saturating_sub(reached);
            let better = best.is_none_or(|(than, longest)| {
                hole > longest || (hole == longest && cut.abs_diff(middle) < than.abs_diff(middle))
            });
            if better {
                best = Some((cut, hole));
            }
        }
        let (cut, _) = best?;
        let (low, high) = needs.split_at(cut);
        Some((Span::over(low)?.read(self.area), Span::over(high)?.read(self.area)))
    }
}

/// What one point needs: addresses from `start` to `end` (exclusive) in one request.
#[derive(Debug, Clone, Copy)]
struct Need {
    start: u32,
    end: u32,
    point: usize,
    /// It is in a block the device insists on, and was widened to it.
    fixed: bool,
}

/// A request in the making.
#[derive(Debug)]
struct Span {
    start: u32,
    end: u32,
    points: Vec<usize>,
    whole: bool,
}

impl Span {
    fn over(needs: &[Need]) -> Option<Self> {
        let start = needs.iter().map(|need| need.start).min()?;
        let end = needs.iter().map(|need| need.end).max()?;
        Some(Self { start, end, points: needs.iter().map(|need| need.point).collect(), whole: false })
    }

    fn read(self, area: Area) -> Read {
        // Both fit: spans end at 65,536 at most and are no longer than the protocol's limits.
        let (start, count) = (self.start as u16, (self.end - self.start) as u16);
        Read { area, start, count, points: self.points, whole: self.whole }
    }
}

fn need(index: usize, point: &Point, fixed: &[Fixed], most: u16) -> Result<Need, Impossible> {
    let (mut start, mut end) = span(point)?;
    let mut is_fixed = false;
    // Widening to one block may reach into the next one.
    while let Some((first, last)) = fixed
        .iter()
        .map(ends)
        .find(|&(first, last)| overlap((start, end), (first, last)) && (first < start || last > end))
    {
        (start, end, is_fixed) = (start.min(first), end.max(last), true);
    }
    is_fixed |= fixed.iter().any(|fixed| overlap((start, end), ends(fixed)));
    if end > ADDRESSES {
        return Err(Impossible::BehindTheEnd);
    }
    if end - start > u32::from(most) {
        return Err(Impossible::TooFarApart { span: end - start, most });
    }
    Ok(Need { start, end, point: index, fixed: is_fixed })
}

fn ends(fixed: &Fixed) -> (u32, u32) {
    (fixed.start.into(), u32::from(fixed.start) + u32::from(fixed.count))
}

fn overlap(one: (u32, u32), other: (u32, u32)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// An area that is read in one request if the protocol allows it, else in as few as it allows.
fn in_one_if_possible(needs: &[Need], most: u16) -> Vec<Span> {
    merge(needs, most, true, |_, _| true)
}

/// Puts needs, which come by address, into as few spans as `joins` and the limit allow.
fn merge(needs: &[Need], most: u16, whole: bool, joins: impl Fn(&Span, &Need) -> bool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for need in needs {
        match spans.last_mut() {
            Some(span) if need.end.max(span.end) - span.start <= u32::from(most) && joins(span, need) => {
                span.end = span.end.max(need.end);
                span.points.push(need.point);
            }
            _ => spans.push(Span { start: need.start, end: need.end, points: vec![need.point], whole }),
        }
    }
    spans
}

#[cfg(test)]
mod tests;
