use super::*;
use crate::{
    by_exception::Reporting,
    modbus::{BitArea, Blocks, Gives, Place, Point},
};
use quaywatch_schemas::SensorId;
use std::collections::BTreeSet;

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(500);

fn device(addresses: &[u16], most_hole: u16) -> Polled {
    let point = |&address: &u16| Point {
        sensor: SensorId::new(&format!("contact-{address}")).unwrap(),
        place: Place::Bit { area: BitArea::DiscreteInputs, address },
        gives: Gives::Contact { inverted: false },
        reporting: Reporting { deadband: 0.0, heartbeat: Duration::from_secs(60) },
    };
    let blocks = Blocks { most_hole, most_registers: 125, most_bits: 2000, whole: false, fixed: Vec::new() };
    let points = addresses.iter().map(point).collect();
    Polled::new(Device { unit: 1, every: EVERY, timeout: TIMEOUT, blocks, points })
}

/// One poll of a device that has only these addresses; which points were read and which refused, in how many requests.
fn poll(polled: &mut Polled, has: &BTreeSet<u16>, now: Instant) -> (Vec<usize>, Vec<usize>, usize) {
    let (mut read, mut refused, mut requests) = (Vec::new(), Vec::new(), 0);
    while let Some(slot) = polled.next(now) {
        requests += 1;
        let asked = polled.read(slot).clone();
        if (asked.start..asked.start + asked.count).all(|address| has.contains(&address)) {
            polled.answered(slot);
            read.extend(asked.points);
        } else if let Refused::Points { .. } = polled.refused(slot, 2, now) {
            refused.extend(asked.points);
        }
    }
    read.sort_unstable();
    refused.sort_unstable();
    (read, refused, requests)
}

#[test]
fn a_hole_the_device_does_not_have_costs_nobody_a_value() {
    let mut polled = device(&[0, 1, 2, 4, 5, 6, 8, 16], 16);
    let has = BTreeSet::from([0, 1, 2, 4, 5, 6, 8, 16]);
    let now = Instant::now();
    let (read, refused, _) = poll(&mut polled, &has, now);
    assert_eq!((read.len(), refused.len()), (8, 0));
    let (read, refused, requests) = poll(&mut polled, &has, now + EVERY);
    assert_eq!((read.len(), refused.len(), requests), (8, 0, 4));
}

#[test]
fn a_wrong_address_is_told_apart_from_its_neighbours_and_asked_for_less_and_less() {
    let addresses: Vec<u16> = (0..20).collect();
    let mut polled = device(&addresses, 16);
    let has: BTreeSet<u16> = addresses.iter().copied().filter(|address| *address != 7).collect();
    let mut now = Instant::now();
    let (read, refused, _) = poll(&mut polled, &has, now);
    assert_eq!((read.len(), refused.as_slice()), (19, [7].as_slice()));
    let mut asked_again = 0;
    for _ in 0..120 {
        now += EVERY;
        let (read, refused, _) = poll(&mut polled, &has, now);
        assert_eq!(read.len(), 19);
        asked_again += refused.len();
    }
    assert!((4..=10).contains(&asked_again), "{asked_again}");
    let has: BTreeSet<u16> = addresses.iter().copied().collect();
    now += LONGEST_WAIT;
    assert_eq!(poll(&mut polled, &has, now).0.len(), 20);
}

#[test]
fn a_device_that_refused_everything_for_a_while_is_read_in_few_requests_again() {
    let addresses: Vec<u16> = (0..8).collect();
    let mut polled = device(&addresses, 16);
    let mut now = Instant::now();
    let (read, refused, _) = poll(&mut polled, &BTreeSet::new(), now);
    assert_eq!((read.len(), refused.len()), (0, 8));
    assert!(polled.rests_until(now).is_some_and(|until| until > now));
    now += LONGEST_WAIT;
    let has: BTreeSet<u16> = addresses.into_iter().collect();
    assert_eq!(poll(&mut polled, &has, now).2, 1);
}

#[test]
fn all_refused_is_told_apart_from_some_refused() {
    let mut polled = device(&[0, 100], 0);
    let now = Instant::now();
    assert_eq!(polled.refused(0, 1, now), Refused::Points { news: true, everything: false });
    assert_eq!(polled.refused(1, 1, now), Refused::Points { news: true, everything: true });
    assert_eq!(polled.refused(1, 1, now), Refused::Points { news: false, everything: true });
    polled.answered(1);
    assert_eq!(polled.refused(0, 1, now), Refused::Points { news: false, everything: false });
}

#[test]
fn a_busy_device_is_asked_again_at_the_next_poll() {
    let mut polled = device(&[0], 0);
    let now = Instant::now();
    let slot = polled.next(now).unwrap();
    assert_eq!(polled.refused(slot, 6, now), Refused::Points { news: true, everything: true });
    assert_eq!(polled.next(now), None);
    assert_eq!(polled.next(now), Some(0));
}

#[test]
fn a_device_with_one_read_is_silent_after_one_and_others_after_two() {
    let now = Instant::now();
    assert_eq!(device(&[0], 0).unanswered(0, now, TIMEOUT), Unanswered::Device);
    let mut polled = device(&[0, 100, 200], 0);
    assert_eq!(polled.unanswered(0, now, TIMEOUT), Unanswered::Read);
    assert_eq!(polled.next(now), Some(1));
    assert_eq!(polled.unanswered(1, now, TIMEOUT), Unanswered::Device);
    // While it is silent its reads take turns.
    assert_eq!(polled.next(now), Some(2));
    assert_eq!(polled.unanswered(2, now, TIMEOUT), Unanswered::Device);
    assert_eq!(polled.next(now), Some(0));
    polled.answered(0);
    assert!(!polled.is_silent());
}

#[test]
fn a_read_the_device_ignores_does_not_silence_the_others() {
    let mut polled = device(&[0, 100], 0);
    let mut now = Instant::now();
    let (mut answered, mut ignored) = (0, 0);
    for _ in 0..120 {
        while let Some(slot) = polled.next(now) {
            if slot == 0 {
                polled.answered(slot);
                answered += 1;
            } else {
                ignored += 1;
                assert_eq!(polled.unanswered(slot, now, TIMEOUT), Unanswered::Read);
            }
        }
        now += EVERY;
    }
    assert_eq!(answered, 120);
    assert!((4..=10).contains(&ignored), "{ignored}");
}
