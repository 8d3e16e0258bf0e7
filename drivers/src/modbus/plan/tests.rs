use super::*;
use crate::{
    by_exception::Reporting,
    modbus::{BitArea, Measured, Order, RegisterArea, RegisterBit},
};
use proptest::prelude::*;
use quaywatch_schemas::{SensorId, units::Unit};
use std::{collections::BTreeSet, time::Duration};

const HOLDING: Area = Area::Registers(RegisterArea::Holding);

fn point(place: Place, gives: Gives) -> Point {
    let reporting = Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) };
    Point { sensor: SensorId::new("scale").unwrap(), place, gives, reporting }
}

fn contact(address: u16) -> Point {
    let place = Place::Bit { area: BitArea::DiscreteInputs, address };
    point(place, Gives::Contact { inverted: false })
}

fn holding(address: u16, format: Format, scale: Scale, valid: Option<u16>, stable: Option<u16>) -> Point {
    let bit = |register| RegisterBit { register, bit: 0, set: true };
    let measured = Measured {
        unit: Unit::new("kg").unwrap(),
        scale,
        offset: 0.0,
        sentinels: Vec::new(),
        range: None,
        valid_when: valid.map(bit),
        stable_when: stable.map(bit),
    };
    let place = Place::Register { area: RegisterArea::Holding, address, format, order: Order::Abcd };
    point(place, Gives::Measure(measured))
}

fn register(address: u16) -> Point {
    holding(address, Format::U16, Scale::Fixed(1.0), None, None)
}

fn blocks() -> Blocks {
    Blocks { most_hole: 4, most_registers: 125, most_bits: 2000, whole: false, fixed: Vec::new() }
}

/// First address, count and points of each read.
fn reads(plan: &Plan) -> Vec<(u16, u16, Vec<usize>)> {
    plan.reads.iter().map(|read| (read.start, read.count, read.points.clone())).collect()
}

#[test]
fn points_near_each_other_are_fetched_by_one_request_and_far_ones_by_another() {
    let points = [register(20), register(10), register(15), register(30), contact(3), contact(8)];
    let plan = plan(&points, &blocks());
    assert_eq!(reads(&plan), [(3, 6, vec![4, 5]), (10, 11, vec![1, 2, 0]), (30, 1, vec![3])]);
}

#[test]
fn a_value_comes_with_its_decimal_point_and_status_however_small_reads_should_be() {
    let scale = holding(10, Format::I32, Scale::Register(20), Some(7), Some(21));
    let small = Blocks { most_hole: 0, most_registers: 15, ..blocks() };
    assert_eq!(reads(&plan(std::slice::from_ref(&scale), &small)), [(7, 15, vec![0])]);
    let smaller = plan(&[scale, register(30)], &Blocks { most_registers: 14, ..small });
    assert_eq!(smaller.impossible, [(0, Impossible::TooFarApart { span: 15, most: 14 })]);
    assert_eq!(reads(&smaller), [(30, 1, vec![1])]);
}

#[test]
fn a_point_that_cannot_be_fetched_says_why_and_leaves_the_others_alone() {
    let mut status_of_a_bit = holding(0, Format::U16, Scale::Fixed(1.0), Some(1), None);
    status_of_a_bit.place = Place::Bit { area: BitArea::Coils, address: 0 };
    let points = [
        holding(65_535, Format::U32, Scale::Fixed(1.0), None, None),
        holding(1, Format::Bit(16), Scale::Fixed(1.0), None, None),
        status_of_a_bit,
        register(65_535),
    ];
    let plan = plan(&points, &blocks());
    let why = [(0, Impossible::BehindTheEnd), (1, Impossible::NoSuchBit), (2, Impossible::NoRegisters)];
    assert_eq!(plan.impossible, why);
    assert_eq!(reads(&plan), [(65_535, 1, vec![3])]);
}

#[test]
fn a_block_the_device_insists_on_is_read_whole_and_nothing_else_with_it() {
    let fixed = vec![Fixed { area: HOLDING, start: 10, count: 6 }, Fixed { area: HOLDING, start: 16, count: 4 }];
    let blocks = Blocks { fixed, whole: true, ..blocks() };
    let points = [register(9), register(12), register(14), register(17), register(20)];
    let separate = plan(&points, &blocks);
    let expected = [(9, 1, vec![0]), (10, 6, vec![1, 2]), (16, 4, vec![3]), (20, 1, vec![4])];
    assert_eq!(reads(&separate), expected);
    assert!(separate.reads.iter().filter(|read| read.whole).all(|read| read.split(&points).is_none()));
    let across = holding(15, Format::U32, Scale::Fixed(1.0), None, None);
    assert_eq!(reads(&plan(&[register(12), across], &blocks)), [(10, 10, vec![0, 1])]);
}

#[test]
fn a_device_that_wants_whole_blocks_gets_one_request_an_area() {
    let points = [register(0), register(100), contact(900), contact(0)];
    let whole = plan(&points, &Blocks { whole: true, ..blocks() });
    assert_eq!(reads(&whole), [(0, 901, vec![3, 2]), (0, 101, vec![0, 1])]);
    assert!(whole.reads.iter().all(|read| read.split(&points).is_none()));
    let longer = plan(&[register(0), register(60), register(130)], &Blocks { whole: true, ..blocks() });
    assert_eq!(reads(&longer), [(0, 61, vec![0, 1]), (130, 1, vec![2])]);
}

#[test]
fn a_refused_read_is_split_at_its_longest_hole_and_then_in_the_middle() {
    let points = [contact(0), contact(1), contact(2), contact(4), contact(5), contact(8)];
    let whole = plan(&points, &blocks()).reads.remove(0);
    let (low, high) = whole.split(&points).unwrap();
    assert_eq!(((low.start, low.count), (high.start, high.count)), ((0, 6), (8, 1)));
    let (low, high) = low.split(&points).unwrap();
    assert_eq!(((low.start, low.count), (high.start, high.count)), ((0, 3), (4, 2)));
    let (low, high) = low.split(&points).unwrap();
    assert_eq!((low.points, high.points.len()), (vec![0], 2));
    assert_eq!(high.split(&points).map(|(low, _)| low.points), Some(vec![1]));
}

#[test]
fn points_at_the_same_address_stand_and_fall_together() {
    let points = [register(5), register(5)];
    assert_eq!(plan(&points, &blocks()).reads[0].split(&points), None);
}

fn any_point() -> impl Strategy<Value = Point> {
    let format = prop::sample::select(vec![Format::U16, Format::I32, Format::F64, Format::Bit(3)]);
    let near = |address: u16| (0..12_u16).prop_map(move |by| (address + by).saturating_sub(6));
    (0..400_u16, format).prop_flat_map(move |(address, format)| {
        let beside = || prop::option::weighted(0.3, near(address));
        (beside(), beside(), beside()).prop_map(move |(scale, valid, stable)| {
            let scale = scale.map_or(Scale::Fixed(1.0), Scale::Register);
            holding(address, format, scale, valid, stable)
        })
    })
}

fn any_points() -> impl Strategy<Value = Vec<Point>> {
    let bit = (0..3000_u16).prop_map(contact);
    proptest::collection::vec(prop_oneof![3 => any_point(), 1 => bit], 1..60)
}

fn any_blocks() -> impl Strategy<Value = Blocks> {
    let fixed = proptest::collection::vec((0..40_u16, 1..10_u16), 0..5).prop_map(|sizes| {
        let mut start = 0;
        let block = |(gap, count): (u16, u16)| {
            start += gap;
            let block = Fixed { area: HOLDING, start, count };
            start += count;
            block
        };
        sizes.into_iter().map(block).collect::<Vec<_>>()
    });
    (0..20_u16, 1..=200_u16, 1..=2500_u16, any::<bool>(), fixed).prop_map(
        |(most_hole, most_registers, most_bits, whole, fixed)| Blocks {
            most_hole,
            most_registers,
            most_bits,
            whole,
            fixed,
        },
    )
}

fn addresses(read: &Read) -> (u32, u32) {
    (read.start.into(), u32::from(read.start) + u32::from(read.count))
}

proptest! {
    #[test]
    fn every_point_is_fetched_by_exactly_one_request_together_with_all_it_needs(
        points in any_points(), blocks in any_blocks(),
    ) {
        let plan = plan(&points, &blocks);
        let mut found: Vec<usize> = plan.reads.iter().flat_map(|read| read.points.clone()).collect();
        found.extend(plan.impossible.iter().map(|(point, _)| *point));
        found.sort_unstable();
        prop_assert_eq!(found, (0..points.len()).collect::<Vec<_>>());
        for read in &plan.reads {
            let (start, end) = addresses(read);
            for &index in &read.points {
                let (first, last) = span(&points[index]).unwrap();
                prop_assert!(points[index].place.area() == read.area && start <= first && last <= end);
            }
        }
    }

    #[test]
    fn no_request_is_larger_than_the_device_or_the_protocol_allows(points in any_points(), blocks in any_blocks()) {
        for read in plan(&points, &blocks).reads {
            let most = match read.area {
                Area::Bits(_) => blocks.most_bits.min(2000),
                Area::Registers(_) => blocks.most_registers.min(125),
            };
            prop_assert!((1..=most).contains(&read.count));
        }
    }

    #[test]
    fn no_request_spans_more_addresses_nobody_asked_for_than_it_may(
        points in any_points(), blocks in any_blocks(),
    ) {
        let blocks = Blocks { whole: false, ..blocks };
        for read in plan(&points, &blocks).reads.iter().filter(|read| !read.whole) {
            let mut reached = u32::from(read.start);
            let mut spans: Vec<_> = read.points.iter().map(|&index| span(&points[index]).unwrap()).collect();
            spans.sort_unstable();
            for (first, last) in spans {
                prop_assert!(first.saturating_sub(reached) <= u32::from(blocks.most_hole));
                reached = reached.max(last);
            }
            prop_assert_eq!(reached, addresses(read).1);
        }
    }

    #[test]
    fn no_request_begins_or_ends_inside_a_block_the_device_insists_on(
        points in any_points(), blocks in any_blocks(),
    ) {
        for read in plan(&points, &blocks).reads {
            let (start, end) = addresses(&read);
            for fixed in blocks.fixed.iter().filter(|fixed| fixed.area == read.area) {
                let (first, last) = ends(fixed);
                let apart = last <= start || end <= first;
                prop_assert!(apart || (start <= first && last <= end));
            }
        }
    }

    #[test]
    fn splitting_loses_no_point_and_comes_to_an_end(points in any_points(), blocks in any_blocks()) {
        let mut left = plan(&points, &Blocks { fixed: Vec::new(), whole: false, ..blocks }).reads;
        let all: BTreeSet<usize> = left.iter().flat_map(|read| read.points.clone()).collect();
        let mut last = Vec::new();
        while let Some(read) = left.pop() {
            match read.split(&points) {
                Some((low, high)) => {
                    prop_assert!(low.points.len() + high.points.len() == read.points.len());
                    left.extend([low, high]);
                }
                None => last.push(read),
            }
        }
        let found: BTreeSet<usize> = last.iter().flat_map(|read| read.points.clone()).collect();
        prop_assert_eq!(found, all);
        for read in last {
            let spans: BTreeSet<_> = read.points.iter().map(|&index| span(&points[index]).unwrap()).collect();
            prop_assert_eq!(spans.into_iter().collect::<Vec<_>>(), [addresses(&read)]);
        }
    }
}
