//! How a sensor is read from a Modbus device.

use super::{
    RegisterBitTable, SensorTable, defaults,
    sensors::{Reading, Wired, kind_of, only_with, reporting, unit_of},
};
use crate::config::{
    document::Table,
    findings::Findings,
    plan::Read,
    values::site::{ReadingKind, StableWhen},
    written::Word,
};
use quaywatch_drivers::modbus::{
    BitArea, Device, Format, Gives, Measured, Place, Point, RegisterArea, RegisterBit, Scale,
};
use quaywatch_schemas::units::Unit;
use std::ops::Range;
use toml::Spanned;

/// Keys that only a number in registers has.
const REGISTERS: &[&str] = &[
    "type",
    "bit",
    "order",
    "scale",
    "scale_register",
    "offset",
    "sentinels",
    "valid_when",
    "stable_when",
    "unit",
    "deadband",
];
/// Keys that only a measure has.
const MEASURES: &[&str] =
    &["scale", "scale_register", "offset", "sentinels", "valid_when", "stable_when", "unit", "deadband"];

pub(super) fn point(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    base: u32,
    device: &Device,
    findings: &mut Findings,
) -> Option<Wired> {
    let (area, written) = address(table, findings)?;
    let address = wire_address(&written, base, findings);
    let inverted = findings.value(table.value.inverted.take());
    let (place, gives, unit) = match area {
        Area::Bits(area) => {
            only_with(table, REGISTERS, "is for registers, and this is a single bit", "take it out", findings);
            kind_of(table, reading, &[ReadingKind::Contact], "a single bit", findings)?;
            let place = Place::Bit { area, address: address? };
            (place, Gives::Contact { inverted: inverted.unwrap_or(false) }, None)
        }
        Area::Registers(area) => register(table, reading, area, (written.span(), address?), base, inverted, findings)?,
    };
    let usual = unit.as_ref().map_or(0.0, |unit| reading.usual.deadband_in(unit));
    let reporting = reporting(table, usual, device.every, findings);
    Some(Wired {
        read: Read::Modbus(Point { sensor: reading.id.clone(), place, gives, reporting }),
        unit,
        silent_after: Some(defaults::silent_after(reporting.heartbeat)),
    })
}

enum Area {
    Bits(BitArea),
    Registers(RegisterArea),
}

fn address(table: &mut Table<SensorTable>, findings: &mut Findings) -> Option<(Area, Spanned<u32>)> {
    let said = [
        (Area::Bits(BitArea::DiscreteInputs), "discrete", table.value.discrete.take()),
        (Area::Bits(BitArea::Coils), "coil", table.value.coil.take()),
        (Area::Registers(RegisterArea::Holding), "holding", table.value.holding.take()),
        (Area::Registers(RegisterArea::Input), "input", table.value.input.take()),
    ];
    let mut found = None;
    let mut first = None;
    for (area, key, written) in said {
        if !table.has(key) {
            continue;
        }
        if let Some(first) = first {
            let what = format!("`{}` has two addresses: {first} and {key}", table.path);
            findings.add(table.key(key), what, "a sensor is read from one place");
            continue;
        }
        first = Some(key);
        found = findings.take(written).map(|address| (area, address));
    }
    if first.is_none() {
        let what = format!("`{}` has no address", table.path);
        let help = "add where it is read: discrete = N, coil = N, holding = N or input = N";
        findings.add(table.at.clone(), what, help);
    }
    found
}

/// As the protocol counts: from 0.
fn wire_address(written: &Spanned<u32>, base: u32, findings: &mut Findings) -> Option<u16> {
    let address = written.get_ref().checked_sub(base).and_then(|address| u16::try_from(address).ok());
    if address.is_none() {
        let help = format!(
            "addresses are {base} to {} here; the line's `base` says whether they start at 0 or 1",
            65_535 + base
        );
        findings.add(written.span(), format!("there is no address {}", written.get_ref()), help);
    }
    address
}

fn register(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    area: RegisterArea,
    (at, address): (Range<usize>, u16),
    base: u32,
    inverted: Option<bool>,
    findings: &mut Findings,
) -> Option<(Place, Gives, Option<Unit>)> {
    let number = findings.value(table.value.r#type.take()).map(|Word(number)| Format::from(number));
    let order = findings.value(table.value.order.take()).map(|Word(order)| order.into()).unwrap_or_default();
    let bit = findings.take(table.value.bit.take());
    let possible: &[ReadingKind] = match &bit {
        Some(_) => &[ReadingKind::Contact],
        None => &[ReadingKind::Measure, ReadingKind::Count, ReadingKind::Contact],
    };
    let source = if bit.is_some() { "one bit of a register" } else { "a register" };
    let kind = kind_of(table, reading, possible, source, findings)?;
    if let Some(bit) = &bit {
        only_with(
            table,
            &["type", "order"],
            "does not go with `bit`",
            "a bit is of one 16-bit register: take it out",
            findings,
        );
        bit_number(bit, findings);
    }
    if kind != ReadingKind::Measure {
        only_with(table, MEASURES, &format!("is for measures, and this is a {}", kind.word()), "take it out", findings);
    }
    if kind != ReadingKind::Contact {
        only_with(
            table,
            &["inverted"],
            &format!("is for contacts, and this is a {}", kind.word()),
            "take it out",
            findings,
        );
    }
    let format = match (bit, number) {
        (Some(bit), _) => Format::Bit(bit.into_inner()),
        (None, Some(number)) => number,
        (None, None) if table.has("type") => return None,
        // A flag or a counter is one register unless the file says otherwise; the width of a measure is never guessed.
        (None, None) if kind != ReadingKind::Measure => Format::U16,
        (None, None) => {
            let what = format!("`{}` does not say how its number is stored", table.path);
            let help = "add type = \"i16\", u16, i32, u32, i64, u64, f32 or f64, as the device's manual has it";
            findings.add(table.at.clone(), what, help);
            return None;
        }
    };
    if kind == ReadingKind::Count && !matches!(format, Format::U16 | Format::U32 | Format::U64) {
        findings.add(
            table.key("type"),
            "a counter counts in whole numbers from 0",
            "write u16, u32 or u64, or kind = \"measure\"",
        );
    }
    let width = width(format);
    if u32::from(address) + width > 65_536 {
        findings.add(
            at,
            format!("a number of {width} registers does not fit behind this address"),
            "the last register is 65535",
        );
    }
    let place = Place::Register { area, address, format, order };
    let (gives, unit) = match kind {
        ReadingKind::Contact => (Gives::Contact { inverted: inverted.unwrap_or(false) }, None),
        ReadingKind::Count => (Gives::Count, None),
        _ => {
            let unit = unit_of(table, reading, findings)?;
            (Gives::Measure(measured(table, reading, unit.clone(), format, base, findings)), Some(unit))
        }
    };
    Some((place, gives, unit))
}

fn measured(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    unit: Unit,
    format: Format,
    base: u32,
    findings: &mut Findings,
) -> Measured {
    let fixed = findings.take(table.value.scale.take());
    let register = findings.take(table.value.scale_register.take());
    if fixed.is_some() && register.is_some() {
        findings.add(
            table.key("scale_register"),
            "a scale is a number or a register, not both",
            "take one of them out",
        );
    }
    if let Some(zero) = fixed.as_ref().filter(|scale| scale.get_ref().0 == 0.0) {
        findings.add(zero.span(), "with this scale every value is 0", "write the multiplier, such as 0.1");
    }
    let scale = match register.and_then(|register| wire_address(&register, base, findings)) {
        Some(register) => Scale::Register(register),
        None => Scale::Fixed(fixed.map_or(1.0, |scale| scale.into_inner().0)),
    };
    let offset = findings.value(table.value.offset.take()).map_or(0.0, |offset| offset.0);
    let sentinels = findings.all(table.value.sentinels.take()).map(Spanned::into_inner).unwrap_or_default();
    if let Some(first) = sentinels.first().filter(|_| matches!(format, Format::F32 | Format::F64)) {
        let help = "NaN and infinity are refused by themselves; use `range` for other values that mean nothing";
        findings.add(first.span(), "sentinels are whole numbers, and this is a floating-point number", help);
    }
    let valid_when = findings
        .value(table.value.valid_when.take())
        .and_then(|bit| register_bit(bit, table.key("valid_when"), base, findings));
    let stable_when = match findings.value(table.value.stable_when.take()) {
        Some(StableWhen::Bit(bit)) => register_bit(bit, table.key("stable_when"), base, findings),
        Some(StableWhen::Texts(_)) => {
            let help = "write a register's bit: { register = 3, bit = 0 }";
            findings.add(table.key("stable_when"), "registers have no texts", help);
            None
        }
        None => None,
    };
    Measured {
        unit,
        scale,
        offset,
        sentinels: sentinels.into_iter().map(Spanned::into_inner).collect(),
        range: reading.range,
        valid_when,
        stable_when,
    }
}

fn register_bit(table: RegisterBitTable, at: Range<usize>, base: u32, findings: &mut Findings) -> Option<RegisterBit> {
    let owner = (&at, "a register's bit");
    let register = findings.need(table.register, owner, "register", "register = N, in the same area as the value");
    let bit = findings.need(table.bit, owner, "bit", "bit = 0 to 15; 0 is the least significant");
    let set = findings.value(table.set).unwrap_or(true);
    let register = register.and_then(|register| wire_address(&register, base, findings));
    let bit = bit.filter(|bit| bit_number(bit, findings));
    Some(RegisterBit { register: register?, bit: bit?.into_inner(), set })
}

fn bit_number(bit: &Spanned<u8>, findings: &mut Findings) -> bool {
    let good = *bit.get_ref() <= 15;
    if !good {
        findings.add(
            bit.span(),
            format!("a register has no bit {}", bit.get_ref()),
            "bits are 0 to 15; 0 is the least significant",
        );
    }
    good
}

fn width(format: Format) -> u32 {
    match format {
        Format::I16 | Format::U16 | Format::Bit(_) => 1,
        Format::I32 | Format::U32 | Format::F32 => 2,
        Format::I64 | Format::U64 | Format::F64 => 4,
    }
}
