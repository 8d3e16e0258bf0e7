use super::*;
use crate::{
    by_exception::Reporting,
    modbus::{BitArea, RegisterArea},
};
use proptest::prelude::*;
use quaywatch_schemas::{SensorId, units::Unit};
use std::time::Duration;

fn point(place: Place, gives: Gives) -> Point {
    let reporting = Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) };
    Point { sensor: SensorId::new("scale").unwrap(), place, gives, reporting }
}

fn register(format: Format, order: Order, gives: Gives) -> Point {
    point(Place::Register { area: RegisterArea::Holding, address: 100, format, order }, gives)
}

fn plain() -> Measured {
    Measured {
        unit: Unit::new("kg").unwrap(),
        scale: Scale::Fixed(1.0),
        offset: 0.0,
        sentinels: Vec::new(),
        range: None,
        valid_when: None,
        stable_when: None,
    }
}

/// What the registers from address 100 on mean.
fn read(point: &Point, registers: &[u16]) -> Reading {
    decode(point, Image { start: 100, values: Values::Registers(registers) }, &mut Counter::default())
}

fn value(point: &Point, registers: &[u16]) -> Option<f64> {
    match read(point, registers) {
        Reading::Measure(measure) => Some(measure.value.get()),
        Reading::NoData(NoData::BadValue) => None,
        other => panic!("{other:?}"),
    }
}

fn number(format: Format, order: Order, registers: &[u16]) -> Option<f64> {
    value(&register(format, order, Gives::Measure(plain())), registers)
}

#[test]
fn every_format_is_read_in_every_order() {
    use Order::{Abcd, Badc, Cdab, Dcba};
    let f64_bytes = 123_456.789_f64.to_bits();
    let w = |n: u32| (f64_bytes >> (48 - 16 * n)) as u16;
    let table: &[(Format, Order, &[u16], f64)] = &[
        (Format::U16, Abcd, &[0x1234], 4660.0),
        (Format::U16, Cdab, &[0x1234], 4660.0),
        (Format::U16, Badc, &[0x1234], 13330.0),
        (Format::U16, Dcba, &[0x1234], 13330.0),
        (Format::I16, Abcd, &[0xFFFE], -2.0),
        (Format::I16, Dcba, &[0xFEFF], -2.0),
        (Format::U32, Abcd, &[0x0001, 0x86A0], 100_000.0),
        (Format::U32, Cdab, &[0x86A0, 0x0001], 100_000.0),
        (Format::U32, Badc, &[0x0100, 0xA086], 100_000.0),
        (Format::U32, Dcba, &[0xA086, 0x0100], 100_000.0),
        (Format::I32, Cdab, &[0xFFFE, 0xFFFF], -2.0),
        (Format::F32, Abcd, &[0x47F1, 0x2000], 123_456.0),
        (Format::F32, Cdab, &[0x2000, 0x47F1], 123_456.0),
        (Format::F32, Badc, &[0xF147, 0x0020], 123_456.0),
        (Format::F32, Dcba, &[0x0020, 0xF147], 123_456.0),
        (Format::U64, Abcd, &[0, 0, 0x0001, 0x86A0], 100_000.0),
        (Format::U64, Cdab, &[0x86A0, 0x0001, 0, 0], 100_000.0),
        (Format::I64, Dcba, &[0xFEFF, 0xFFFF, 0xFFFF, 0xFFFF], -2.0),
        (Format::F64, Abcd, &[w(0), w(1), w(2), w(3)], 123_456.789),
        (Format::F64, Cdab, &[w(3), w(2), w(1), w(0)], 123_456.789),
        (Format::F64, Badc, &[0, 1, 2, 3].map(|n| w(n).swap_bytes()), 123_456.789),
        (Format::F64, Dcba, &[3, 2, 1, 0].map(|n| w(n).swap_bytes()), 123_456.789),
        (Format::Bit(0), Abcd, &[0x0001], 1.0),
        (Format::Bit(15), Abcd, &[0x8000], 1.0),
        (Format::Bit(7), Badc, &[0x8000], 1.0),
    ];
    for (format, order, registers, means) in table {
        assert_eq!(number(*format, *order, registers), Some(*means), "{format:?} {order:?} {registers:04X?}");
    }
}

#[test]
fn nan_and_infinity_are_bad_values_also_where_scaling_makes_them() {
    for pattern in [0x7FC0_0000_u32, 0x7F80_0000, 0xFF80_0000, 0xFFFF_FFFF] {
        let registers = [(pattern >> 16) as u16, pattern as u16];
        assert_eq!(number(Format::F32, Order::Abcd, &registers), None, "{pattern:08X}");
    }
    let huge = Measured { scale: Scale::Fixed(1e300), ..plain() };
    let registers = [3, 2, 1, 0].map(|n| (f64::MAX.to_bits() >> (16 * n)) as u16);
    assert_eq!(value(&register(Format::F64, Order::Abcd, Gives::Measure(huge)), &registers), None);
    let contact = register(Format::F32, Order::Abcd, Gives::Contact { inverted: true });
    assert_eq!(read(&contact, &[0x7FC0, 0]), Reading::NoData(NoData::BadValue));
}

#[test]
fn a_sentinel_may_be_written_as_the_manual_prints_it() {
    let table: &[(Format, i64, &[u16], bool)] = &[
        (Format::I16, 0x8000, &[0x8000], true),
        (Format::I16, -32_768, &[0x8000], true),
        (Format::I16, 0x7FFF, &[0x7FFF], true),
        (Format::I16, 0x7FFF, &[0x7FFE], false),
        (Format::U16, 0xFFFF, &[0xFFFF], true),
        (Format::U16, -1, &[0xFFFF], true),
        (Format::U16, 0x1_FFFF, &[0xFFFF], false),
        (Format::I32, 0x8000_0000, &[0x8000, 0], true),
        (Format::I32, 0x8000, &[0, 0x8000], true),
        (Format::I32, -32_768, &[0, 0x8000], false),
        (Format::U64, -1, &[0xFFFF; 4], true),
        (Format::I64, i64::MIN, &[0x8000, 0, 0, 0], true),
        (Format::F32, -9999, &[0xC61C, 0x3C00], true),
        (Format::F32, 9999, &[0xC61C, 0x3C00], false),
    ];
    for (format, sentinel, registers, is_one) in table {
        let measured = Measured { sentinels: vec![42_424, *sentinel], ..plain() };
        let read = value(&register(*format, Order::Abcd, Gives::Measure(measured)), registers);
        assert_eq!(read.is_none(), *is_one, "{format:?} {sentinel:#x} {registers:04X?}");
    }
}

#[test]
fn a_decimal_point_in_a_register_of_its_own_is_applied_exactly() {
    let measured = Measured { scale: Scale::Register(102), ..plain() };
    let scale = register(Format::I32, Order::Cdab, Gives::Measure(measured));
    assert_eq!(value(&scale, &[12_345, 0, 2]), Some(123.45));
    assert_eq!(value(&scale, &[12_345, 0, 0]), Some(12_345.0));
    assert_eq!(value(&scale, &[12_345, 0, 0xFFFE]), Some(1_234_500.0));
    assert_eq!(value(&scale, &[12_345, 0, 4711]), None);
    assert_eq!(value(&scale, &[12_345, 0, 0x8000]), None);
}

#[test]
fn scale_and_offset_come_before_the_range() {
    let measured = Measured { scale: Scale::Fixed(0.5), offset: -10.0, range: Some((0.0, 80.0)), ..plain() };
    let scale = register(Format::U16, Order::Abcd, Gives::Measure(measured));
    assert_eq!(value(&scale, &[20]), Some(0.0));
    assert_eq!(value(&scale, &[19]), None);
    assert_eq!(value(&scale, &[180]), Some(80.0));
    assert_eq!(value(&scale, &[181]), None);
}

#[test]
fn a_value_counts_only_while_its_bit_says_so_and_an_unsettled_one_says_that_it_is() {
    let valid = RegisterBit { register: 101, bit: 0, set: true };
    let moving = RegisterBit { register: 101, bit: 15, set: false };
    let measured = Measured { valid_when: Some(valid), stable_when: Some(moving), ..plain() };
    let scale = register(Format::U16, Order::Abcd, Gives::Measure(measured));
    let stable = |status| match read(&scale, &[500, status]) {
        Reading::Measure(measure) => measure.stable,
        Reading::NoData(NoData::BadValue) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(stable(0x0001), Some(true));
    assert_eq!(stable(0x8001), Some(false));
    assert_eq!(stable(0x8000), None);
    assert_eq!(stable(0x0000), None);
}

#[test]
fn contacts_are_bits_registers_and_bits_of_registers() {
    let contact = |inverted| Gives::Contact { inverted };
    let coil = point(Place::Bit { area: BitArea::Coils, address: 101 }, contact(true));
    let bits = Image { start: 100, values: Values::Bits(&[true, false]) };
    assert_eq!(decode(&coil, bits, &mut Counter::default()), Reading::Contact(true));
    let any = register(Format::U16, Order::Abcd, contact(false));
    assert_eq!(read(&any, &[0x0100]), Reading::Contact(true));
    assert_eq!(read(&any, &[0]), Reading::Contact(false));
    let third = register(Format::Bit(3), Order::Abcd, contact(false));
    assert_eq!(read(&third, &[0b1000]), Reading::Contact(true));
    assert_eq!(read(&third, &[0b0111]), Reading::Contact(false));
    let minus = register(Format::I16, Order::Abcd, contact(false));
    assert_eq!(read(&minus, &[0xFFFF]), Reading::Contact(true));
}

fn totals(format: Format, order: Order, shows: &[&[u16]]) -> Vec<u64> {
    let counter = register(format, order, Gives::Count);
    let mut memory = Counter::default();
    let count = |registers: &&[u16]| {
        let image = Image { start: 100, values: Values::Registers(registers) };
        match decode(&counter, image, &mut memory) {
            Reading::Count(total) => total,
            other => panic!("{other:?}"),
        }
    };
    shows.iter().map(count).collect()
}

#[test]
fn a_counter_goes_on_over_its_end_and_over_a_restart_of_its_device() {
    let wraps = totals(Format::U16, Order::Abcd, &[&[65_530], &[65_535], &[3], &[10]]);
    assert_eq!(wraps, [65_530, 65_535, 65_539, 65_546]);
    let restarts = totals(Format::U16, Order::Abcd, &[&[30_000], &[30_010], &[4], &[5]]);
    assert_eq!(restarts, [30_000, 30_010, 30_014, 30_015]);
    let low_word_first = totals(Format::U32, Order::Cdab, &[&[0xFFFF, 0xFFFF], &[1, 0]]);
    assert_eq!(low_word_first, [0xFFFF_FFFF, 0x1_0000_0001]);
    let signed = totals(Format::I16, Order::Abcd, &[&[0x7FFF], &[0x8000], &[0xFFFF], &[0]]);
    assert_eq!(signed, [0x7FFF, 0x8000, 0xFFFF, 0x1_0000]);
    let long = totals(Format::U64, Order::Abcd, &[&[0xFFFF; 4], &[0, 0, 0, 5]]);
    assert_eq!(long, [u64::MAX, u64::MAX]);
    let float = totals(Format::F32, Order::Abcd, &[&[0x47F1, 0x2000], &[0, 0], &[0x3F80, 0]]);
    assert_eq!(float, [123_456, 123_456, 123_457]);
    let edges = totals(Format::Bit(0), Order::Abcd, &[&[1], &[0], &[1], &[1], &[0], &[1]]);
    assert_eq!(edges, [1, 1, 2, 2, 2, 3]);
}

#[test]
fn a_counter_that_shows_nonsense_keeps_its_memory() {
    let counter = register(Format::F32, Order::Abcd, Gives::Count);
    let mut memory = Counter::default();
    let mut count =
        |registers: &[u16]| decode(&counter, Image { start: 100, values: Values::Registers(registers) }, &mut memory);
    assert_eq!(count(&[0x3F80, 0]), Reading::Count(1));
    assert_eq!(count(&[0x7FC0, 0]), Reading::NoData(NoData::BadValue));
    assert_eq!(count(&[0xBF80, 0]), Reading::NoData(NoData::BadValue));
    assert_eq!(count(&[0x4000, 0]), Reading::Count(2));
}

#[test]
fn what_is_shown_live_is_everything_the_value_was_made_of() {
    let measured = Measured { scale: Scale::Register(103), ..plain() };
    let scale = register(Format::I32, Order::Cdab, Gives::Measure(measured));
    let image = Image { start: 98, values: Values::Registers(&[1, 2, 0x3039, 0, 9, 2]) };
    assert_eq!(raw(&scale, image), "holding 100: 3039 0000 0009 0002");
    assert_eq!(words(&decode(&scale, image, &mut Counter::default())), "123.45 kg");
}

proptest! {
    #[test]
    fn nothing_a_device_can_send_is_a_panic_or_a_number_that_is_not_one(
        registers in proptest::collection::vec(any::<u16>(), 0..6),
        format in prop::sample::select(vec![
            Format::I16, Format::U16, Format::I32, Format::U32, Format::I64, Format::U64, Format::F32, Format::F64,
            Format::Bit(0), Format::Bit(15), Format::Bit(200),
        ]),
        order in prop::sample::select(vec![Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba]),
        start in any::<u16>(),
        gives in 0..3,
    ) {
        let measured = Measured {
            scale: Scale::Register(104),
            valid_when: Some(RegisterBit { register: 105, bit: 200, set: false }),
            stable_when: Some(RegisterBit { register: 104, bit: 1, set: false }),
            ..plain()
        };
        let gives = match gives {
            0 => Gives::Contact { inverted: false },
            1 => Gives::Count,
            _ => Gives::Measure(measured),
        };
        let point = register(format, order, gives);
        let image = Image { start, values: Values::Registers(&registers) };
        let mut memory = Counter::default();
        for _ in 0..2 {
            if let Reading::Measure(measure) = decode(&point, image, &mut memory) {
                prop_assert!(measure.value.get().is_finite());
            }
        }
        prop_assert!(!raw(&point, image).is_empty());
    }

    #[test]
    fn a_32_bit_value_is_the_same_in_all_orders(bits in any::<u32>()) {
        let [a, b, c, d] = bits.to_be_bytes();
        let word = |high, low| u16::from_be_bytes([high, low]);
        let expected = Some(f64::from(bits));
        prop_assert_eq!(number(Format::U32, Order::Abcd, &[word(a, b), word(c, d)]), expected);
        prop_assert_eq!(number(Format::U32, Order::Cdab, &[word(c, d), word(a, b)]), expected);
        prop_assert_eq!(number(Format::U32, Order::Badc, &[word(b, a), word(d, c)]), expected);
        prop_assert_eq!(number(Format::U32, Order::Dcba, &[word(d, c), word(b, a)]), expected);
    }
}
