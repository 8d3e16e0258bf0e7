use super::{contact, door::Release, *};
use proptest::{collection::vec, prelude::*};
use quaywatch_schemas::frame::{
    message::{Card, Doubt, Missing},
    settings::{self, Alarm, Cut, Draft, Hysteresis, Layout},
};
use std::{format, vec::Vec};

const NO_LIMIT: settings::Measure =
    settings::Measure { deadband: 0.0, alarm: None, stale_ms: 1_000, lowest: -1e9, highest: 1e9 };
const NOISY: Value = Value::Missing(Missing::Doubted(Doubt::Noisy));
const NOT_READ: Value = Value::Missing(Missing::Doubted(Doubt::NotRead));

fn state(on: bool, at: Millis, alarm: bool) -> Option<News> {
    Some(News { value: Value::State(on), at, alarm })
}

fn senses_of(settings: &Settings, now: Millis) -> Senses {
    let mut senses = Senses::default();
    senses.tell(settings, false, now);
    senses
}

/// Three nodes that have every channel between them, sensed in the way that says most.
fn nodes() -> [Draft; 3] {
    use Channel::{
        AirTemperature, Badge1, Badge2, Contact1, Contact2, Contact3, Contact4, DoorForced, DoorHeld, Fence, FenceCut,
        Grant, Health, Humidity, Load1, Load2, Load3, Load4, Pir, Presence, Pressure, Rex, Supply, Tamper, Temperature,
    };
    let with = |channels: &[Channel]| channels.iter().copied().fold(Draft::default(), Draft::with);
    let door = Sensing::Door(settings::Door::default());
    let cut = settings::Vibration { cut: Some(Cut::default()), ..settings::Vibration::default() };
    [
        with(&[Badge1, Badge2, Grant, Rex, DoorForced, DoorHeld, Contact1, Contact2, Contact3, Contact4])
            .with_sensing(Channel::Door, door),
        with(&[Pir, Tamper, Fence, FenceCut, Channel::Range, Presence, Health])
            .with_sensing(Channel::Vibration, Sensing::Vibration(cut)),
        with(&[Load1, Load2, Load3, Load4, Temperature, Supply, AirTemperature, Humidity, Pressure]),
    ]
}

fn contact(debounce_ms: u32, alarm: Alarm) -> Contact {
    Contact::new(settings::Contact { debounce_ms, alarm })
}

#[test]
fn a_bouncing_contact_says_one_thing_and_dates_it_to_its_last_edge() {
    let mut door = contact(30, Alarm::OnTrue);
    assert_eq!(door.sense(false, 0), None);
    assert_eq!(door.tick(30), state(false, 0, false), "the first state is said, and is no alarm");
    let mut said: Vec<News> = (0..10).filter_map(|i| door.sense(i % 2 == 0, 100 + i)).collect();
    said.extend(door.sense(true, 110));
    said.extend(door.tick(139));
    assert_eq!(said, []);
    assert_eq!(door.tick(140), state(true, 110, true));
    assert_eq!(
        (door.sense(false, 200), door.sense(true, 210), door.tick(300)),
        (None, None, None),
        "a glitch is nothing"
    );
}

#[test]
fn a_contact_that_never_comes_to_rest_is_doubted_once_and_believed_again_when_it_does() {
    let mut wire = contact(30, Alarm::OnTrue);
    wire.sense(false, 0);
    wire.tick(30);
    let said: Vec<News> = (5..2_000).filter_map(|i| wire.sense(i % 2 == 0, i * 10)).collect();
    assert_eq!(said, [News { value: NOISY, at: 50 + 10 + contact::RESTLESS_MS, alarm: false }]);
    assert_eq!(wire.value(), Some(NOISY));
    assert_eq!(wire.tick(20_030), state(false, 19_990, false), "the state from before counts again, and is said");
}

#[test]
fn a_detector_that_warms_up_says_nothing_and_pulses_of_one_walker_are_one_word() {
    let told = settings::Motion { warm_up_ms: 1_000, hold_ms: 500, ..settings::Motion::default() };
    let mut pir = Motion::new(told, 0);
    assert_eq!(pir.sense(true, 10), None);
    assert_eq!(pir.value(), Value::Missing(Missing::BadValue));
    assert_eq!(pir.sense(false, 20), None);
    assert_eq!(pir.tick(1_000), state(false, 1_000, false));
    assert_eq!(pir.sense(true, 1_200), state(true, 1_200, true));
    assert_eq!((pir.sense(false, 1_300), pir.sense(true, 1_600), pir.sense(false, 1_700)), (None, None, None));
    assert_eq!((pir.tick(1_900), pir.tick(2_100)), (None, state(false, 2_100, false)));
}

#[test]
fn a_gust_of_warm_air_is_one_pulse_a_walker_three_and_old_pulses_do_not_count() {
    let told = settings::Motion { warm_up_ms: 0, hold_ms: 2_000, pulses: 3, within_ms: 4_000 };
    let mut pir = Motion::new(told, 0);
    let mut said = Vec::new();
    // A gust, another one after four seconds, a walker.
    for began in [10_000, 14_001, 20_000, 21_000, 22_500] {
        said.extend(pir.sense(true, began));
        said.extend(pir.sense(false, began + 300));
    }
    said.extend(pir.tick(24_600));
    // One more pulse after that movement is no movement.
    said.extend(pir.sense(true, 24_700));
    said.extend(pir.sense(false, 25_000));
    let expected = [state(false, 10_000, false), state(true, 22_500, true), state(false, 24_600, false)];
    assert_eq!(said, expected.map(Option::unwrap));
}

#[test]
fn a_measure_is_said_when_it_moved_when_it_crossed_its_limit_and_when_it_is_lost() {
    let alarm = Some(Hysteresis { on: 100.0, off: 90.0 });
    let mut load = Measure::new(settings::Measure { deadband: 5.0, alarm, highest: 200.0, ..NO_LIMIT }, 0);
    let mut said = Vec::new();
    for (value, at) in [(50.0, 1), (52.0, 2), (54.9, 3), (55.0, 4), (99.9, 5), (100.0, 6), (98.0, 7), (89.9, 8)] {
        said.extend(load.sense(value, at).map(|news| (news.value, news.alarm)));
    }
    let expected = [(50.0, false), (55.0, false), (99.9, false), (100.0, true), (89.9, false)];
    assert_eq!(said, expected.map(|(value, alarm)| (Value::Measure(value), alarm)));
    let lost = Some(News { value: Value::Missing(Missing::BadValue), at: 9, alarm: false });
    assert_eq!((load.sense(f32::NAN, 9), load.sense(f32::INFINITY, 10)), (lost, None));
    assert!(load.sense(60.0, 11).is_some(), "the first value after that is news");
    let beyond = load.sense(200.1, 12).map(|news| (news.value, news.alarm));
    assert_eq!(
        beyond,
        Some((Value::Missing(Missing::Doubted(Doubt::OutOfRange)), false)),
        "no sensor of that kind reads it"
    );
    load.sense(150.0, 13);
    assert_eq!(load.tick(1_013), None);
    assert_eq!(load.tick(1_014).map(|news| news.value), Some(NOT_READ));
    assert_eq!(
        load.sense(150.0, 1_015).map(|news| news.alarm),
        Some(true),
        "whether it went on meanwhile nobody knows"
    );
}

#[test]
fn a_lower_limit_alarms_below_and_ends_above() {
    let alarm = Some(Hysteresis { on: 10.5, off: 11.5 });
    let mut supply = Measure::new(settings::Measure { deadband: 100.0, alarm, ..NO_LIMIT }, 0);
    let said =
        [12.0, 10.6, 10.5, 11.0, 10.4, 11.5, 11.6, 10.0].map(|volts| supply.sense(volts, 1).map(|news| news.alarm));
    assert_eq!(said, [Some(false), None, Some(true), None, None, None, Some(false), Some(true)]);
}

fn shaken(told: settings::Vibration, seconds: u64, swing: impl Fn(f64) -> f64) -> Vec<(u64, Channel, Value)> {
    let mut fence = Vibration::new(told, 5, 0);
    let mut said = Vec::new();
    for n in 1..=seconds * 200 {
        // An accelerometer's own noise is some of its steps.
        let noise = (n * 7_919 % 13) as f64 * 0.002;
        let heard = fence.sense((9.81 + noise + swing(n as f64 / 200.0)) as f32, n * 5);
        let heard = [(Channel::Fence, heard.moves), (Channel::FenceCut, heard.cut)];
        said.extend(heard.into_iter().filter_map(|(channel, news)| Some((n / 200, channel, news?.value))));
    }
    said
}

fn sine(hz: f64, at: f64) -> f64 {
    (core::f64::consts::TAU * hz * at).sin()
}

#[test]
fn swaying_is_outside_the_band_climbing_within_and_every_movement_ends() {
    let on = |said: &[(u64, Channel, Value)]| {
        said.iter()
            .filter(|(_, channel, _)| *channel == Channel::Fence)
            .map(|(at, _, value)| (*at, *value))
            .collect::<Vec<_>>()
    };
    let told = settings::Vibration::default();
    // A panel that leans to and fro in the wind by more than a climber shakes it, slowly.
    assert_eq!(on(&shaken(told, 60, |at| 4.0 * sine(0.3, at))), [(0, Value::State(false))]);
    let climber = |at: f64| if (20.0..32.0).contains(&at) { 3.0 * sine(6.0, at) } else { 0.0 };
    assert_eq!(
        on(&shaken(told, 60, climber)),
        [(0, false), (20, true), (32, false)].map(|(at, on)| (at, Value::State(on)))
    );
}

#[test]
fn a_storm_raises_the_floor_and_a_climber_still_stands_out_of_it() {
    // Wind that grows over ten minutes to a good deal more than the limit, and a climber in the middle of it.
    let wind = |at: f64| 3.0 * (at / 600.0).min(1.0) * sine(3.0, at);
    let climber = |at: f64| if (700.0..712.0).contains(&at) { 14.0 * sine(6.0, at) } else { 0.0 };
    let said = shaken(settings::Vibration::default(), 800, |at| wind(at) + climber(at));
    let moves: Vec<_> = said.iter().filter(|(.., value)| *value == Value::State(true)).map(|(at, ..)| *at).collect();
    assert_eq!(moves, [700]);
    let deaf = settings::Vibration { over_wind: 1.0, ..settings::Vibration::default() };
    let said = shaken(deaf, 800, wind);
    assert!(said.iter().any(|(.., value)| *value == Value::State(true)), "without the floor the storm is an alarm");
}

#[test]
fn cutting_is_blows_with_calm_between_and_climbing_is_one() {
    let told = settings::Vibration { cut: Some(Cut::default()), ..settings::Vibration::default() };
    let cuts = |said: Vec<(u64, Channel, Value)>| {
        said.into_iter()
            .filter(|(_, channel, _)| *channel == Channel::FenceCut)
            .map(|(at, _, value)| (at, value))
            .collect::<Vec<_>>()
    };
    // A wire that is cut rings for a twentieth of a second, every two seconds.
    let cutter = |at: f64| if (20.0..30.0).contains(&at) && at % 2.0 < 0.05 { 30.0 * sine(20.0, at) } else { 0.0 };
    let expected = [(0, false), (26, true), (43, false)].map(|(at, on)| (at, Value::State(on)));
    assert_eq!(cuts(shaken(told, 60, cutter)), expected);
    let climber = |at: f64| if (20.0..30.0).contains(&at) { 20.0 * sine(8.0, at) } else { 0.0 };
    assert_eq!(cuts(shaken(told, 60, climber)), [(0, Value::State(false))]);
}

#[test]
fn an_accelerometer_that_repeats_itself_or_falls_silent_says_nothing_of_the_fence() {
    let told = settings::Vibration { window_ms: 100, ..settings::Vibration::default() };
    let mut fence = Vibration::new(told, 5, 0);
    let mut said = Vec::new();
    for n in 1..200u64 {
        let stuck = n > 100;
        said.extend(fence.sense(if stuck || n % 2 == 0 { 9.81 } else { 9.82 }, n * 5).energy.map(|news| news.value));
    }
    let doubted = Value::Missing(Missing::Doubted(Doubt::Stuck));
    assert_eq!(said.last(), Some(&doubted));
    assert_eq!((fence.moves(), fence.energy()), (Some(doubted), Some(doubted)));
    fence.tick(1_100);
    assert_eq!(fence.tick(10_000).energy.map(|news| news.value), Some(NOT_READ));
    assert_eq!(fence.moves(), Some(NOT_READ));
}

fn load() -> settings::Load {
    settings::Load {
        zero: 84_000.0,
        span: 1.0 / 1_024.0,
        median: 5,
        smooth_ms: 0,
        settled_band: 0.5,
        settled_ms: 1_000,
        report: settings::Measure { deadband: 1.0, ..NO_LIMIT },
        ..settings::Load::default()
    }
}

#[test]
fn a_load_comes_through_glitches_settles_and_says_so() {
    let mut cell = Load::new(load(), 0);
    let mut said = Vec::new();
    for n in 0..60u64 {
        let pulled = if n < 20 { 84_000.0 } else { 186_400.0 };
        // Every seventh conversion is spoilt by something on the cable.
        let steps = if n % 7 == 3 { 8_388_607.0 } else { pulled + (n % 3) as f32 };
        said.extend(cell.sense(steps, n * 100));
    }
    let words: Vec<_> = said
        .iter()
        .map(|news| match news.value {
            Value::Load { value, settled } => (news.at, value.round(), settled),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(words[..2], [(400, 0.0, false), (1_400, 0.0, true)]);
    assert_eq!(words[2..].last(), Some(&(3_100, 100.0, true)), "{words:?}");
    assert!(words.iter().all(|(_, force, _)| *force <= 100.0), "no glitch came through: {words:?}");
}

#[test]
fn the_sun_on_a_cell_is_taken_away_and_without_its_temperature_a_load_is_doubted() {
    let told = settings::Load {
        zero_per_cel: 50.0,
        span_per_cel: 0.001,
        temperature: Some(Channel::AirTemperature),
        median: 1,
        ..load()
    };
    let draft = Draft::default()
        .with_sensing(Channel::Load1, Sensing::Load(told))
        .with_sensing(Channel::AirTemperature, Sensing::Measure(settings::Measure { stale_ms: 5_000, ..NO_LIMIT }));
    let mut senses = senses_of(&draft.check().unwrap(), 0);
    let mut read = |channel, value: f32, now| senses.sense(channel, value.into(), now).unwrap();
    let heard = read(Channel::Load1, 186_400.0, 100);
    assert_eq!(heard[0].1.value, Value::Missing(Missing::Doubted(Doubt::Uncompensated)));
    read(Channel::AirTemperature, 20.0, 200);
    let heard = read(Channel::Load1, 186_400.0, 300);
    assert_eq!(heard[0].1.value, Value::Load { value: 100.0, settled: false });
    // 30 degrees warmer the zero is 1 500 steps up and a step is worth 3 % less.
    read(Channel::AirTemperature, 50.0, 400);
    assert_eq!(read(Channel::Load1, 85_500.0 + 105_472.0, 500), [], "the same force");
    let place = senses.channels().position(|channel| channel == Channel::AirTemperature).unwrap();
    senses.tick(place, 6_000);
    let heard = senses.sense(Channel::Load1, 186_400.0f32.into(), 6_001).unwrap();
    assert_eq!(heard[0].1.value, Value::Missing(Missing::Doubted(Doubt::Uncompensated)));
}

#[test]
fn something_comes_near_goes_and_then_covers_the_sensor() {
    let told = settings::Range { median: 3, alarm: Alarm::OnTrue, ..settings::Range::default() };
    let mut range = Range::new(told, 0);
    let mut near = Vec::new();
    // Nothing, nothing, one stray echo, a person who comes and goes, a bag over the sensor.
    let metres = [f32::INFINITY, 9.0, f32::INFINITY, 1.0, 4.4, 1.9, 1.8, 2.2, f32::NAN, 2.2, 2.4, 4.4, 0.1, 0.1, 0.1];
    let mut distances = Vec::new();
    for (n, metres) in metres.into_iter().enumerate() {
        let said = range.sense(metres, n as u64);
        near.extend(said.near.map(|news| (n, news.value, news.alarm)));
        distances.extend(said.range.map(|news| news.value));
    }
    let covered = Value::Missing(Missing::Doubted(Doubt::Covered));
    let expected = [
        (2, Value::State(false), false),
        (5, Value::State(true), true),
        (11, Value::State(false), false),
        (13, covered, false),
    ];
    assert_eq!(near, expected);
    assert_eq!((distances[0], *distances.last().unwrap()), (Value::Measure(4.5), covered));
    assert_eq!((range.near(), range.range()), (Some(covered), Some(covered)));
    assert_eq!(range.tick(60_000).near.map(|news| news.value), Some(NOT_READ));
}

#[test]
fn a_door_is_forced_unless_it_was_released_and_held_if_it_stays_open() {
    let told = settings::Door { debounce_ms: 30, released_ms: 5_000, held_ms: 10_000, ..settings::Door::default() };
    let mut door = Door::new(told);
    let (mut forced, mut held) = (Vec::new(), Vec::new());
    for now in (0..120_000).step_by(10) {
        match now {
            // A grant, and the door 4 s later.
            10_000 | 10_500 => door.release(Release::Grant, now == 10_000, now),
            // A button that is held down for long.
            30_000 | 60_000 => door.release(Release::Rex, now == 30_000, now),
            _ => {}
        }
        let open = match now {
            14_000..16_000 | 50_000..51_000 => true,
            // Forced, and left open.
            80_000..95_000 => true,
            _ => false,
        };
        let said = door.sense(open, now);
        forced.extend(said.forced.map(|news| (news.at, news.value, news.alarm)));
        held.extend(said.held.map(|news| (news.at, news.value, news.alarm)));
    }
    let (off, on) = (Value::State(false), Value::State(true));
    assert_eq!(forced, [(0, off, false), (80_000, on, true), (95_000, off, false)]);
    assert_eq!(held, [(30, off, false), (90_000, on, true), (95_030, off, false)]);
}

#[test]
fn a_door_that_is_open_at_the_start_was_not_forced_and_is_held_all_the_same() {
    let mut door = Door::new(settings::Door { held_ms: 10_000, ..settings::Door::default() });
    door.sense(true, 0);
    let said = door.tick(30);
    assert_eq!((said.door, said.forced), (state(true, 0, false), state(false, 0, false)));
    assert_eq!(door.tick(10_000).held, state(true, 10_000, true));
}

#[test]
fn a_tamper_latch_holds_until_it_is_acknowledged_and_closed() {
    let mut seal = Tamper::new(false);
    assert_eq!(seal.value(), None);
    seal.sense(false, 0);
    assert_eq!(seal.tick(30), state(false, 0, false));
    seal.sense(true, 100);
    assert_eq!(seal.tick(130), state(true, 100, true));
    assert!(!seal.acknowledged(), "it is still open");
    seal.sense(false, 200);
    assert_eq!((seal.tick(230), seal.value()), (None, Some(Value::State(true))));
    assert!(seal.acknowledged());
    assert_eq!(seal.value(), Some(Value::State(false)));
    let restarted = Tamper::new(true);
    assert_eq!(restarted.value(), Some(Value::State(true)), "the latch outlives a power cut");
}

#[test]
fn cards_of_26_34_and_37_bits_are_read_and_a_flipped_bit_never_is() {
    let read = |bits: u64, length, layout: &Layout| Word::new(bits, length).card(layout);
    let card = |facility, number| Some(Card { facility, number });
    // 0 01100101 0011001100110011 1: six ones in the first half, six and the parity bit in the last.
    let h10301 = 0x65 << 17 | 0x3333 << 1 | 1;
    assert_eq!(read(h10301, 26, &Layout::H10301), card(Some(0x65), 0x3333));
    let sealed = |data: u64, bits: u32, covered: u32| {
        let first = (data >> (bits - 2 - covered)).count_ones() as u64 % 2;
        let last = 1 - (data & ((1 << covered) - 1)).count_ones() as u64 % 2;
        first << (bits - 1) | data << 1 | last
    };
    for (layout, bits, covered, facility_bits) in [
        (Layout::H10301, 26, 12, 8),
        (Layout::H10306, 34, 16, 16),
        (Layout::H10302, 37, 18, 0),
        (Layout::H10304, 37, 18, 16),
    ] {
        let number_bits = bits - 2 - facility_bits;
        let (facility, number) = (0xa5c3 & ((1 << facility_bits) - 1), 0x5_a5c3_1e0f & ((1 << number_bits) - 1));
        let word = sealed(facility << number_bits | number, bits, covered);
        assert_eq!(read(word, bits as u8, &layout), card((facility_bits > 0).then_some(facility as u32), number));
        for bit in 0..bits {
            assert_eq!(read(word ^ 1 << bit, bits as u8, &layout), None, "{bits} bits, bit {bit}");
        }
        assert_eq!(read(word, bits as u8 + 1, &layout), None);
        assert_eq!(read(word, 200, &layout), None);
    }
    assert_eq!(
        format!("{:?} {:?}", Word::new(h10301, 26), Sensed::from(Word::new(h10301, 26))),
        "Word(26 bits) Word(Word(26 bits))"
    );
}

/// A card without parity, to tell stories with.
const PLAIN: Layout = Layout {
    bits: 16,
    facility: settings::Span { from: 0, bits: 0 },
    number: settings::Span { from: 0, bits: 16 },
    even: None,
    odd: None,
};

#[test]
fn a_held_badge_is_one_read_a_second_reader_answers_its_own_and_a_silent_lock_is_a_refusal() {
    let badge = Sensing::Badge(settings::Badge { layout: PLAIN, ..settings::Badge::default() });
    let draft = Draft::default()
        .with_sensing(Channel::Badge1, badge)
        .with_sensing(Channel::Badge2, badge)
        .with_sensing(Channel::Grant, Sensing::Contact(settings::Contact { debounce_ms: 0, alarm: Alarm::Never }));
    let mut senses = senses_of(&draft.check().unwrap(), 0);
    let mut said = Vec::new();
    let mut at = |now, channel, sensed: Sensed| {
        said.extend(senses.sense(channel, sensed, now).unwrap());
        for place in 0..senses.len() {
            said.extend(senses.tick(place, now));
        }
    };
    let card = |number| Sensed::from(Word::new(number, 16));
    at(0, Channel::Grant, false.into());
    at(1_000, Channel::Badge1, card(1));
    at(1_500, Channel::Badge1, card(1));
    at(1_600, Channel::Badge2, card(2));
    at(1_700, Channel::Grant, true.into());
    at(3_000, Channel::Badge2, card(3));
    at(4_100, Channel::Grant, false.into());
    at(9_000, Channel::Badge2, card(4));
    at(9_100, Channel::Badge2, card(5));
    at(20_000, Channel::Grant, false.into());
    let said: Vec<_> = said
        .into_iter()
        .filter_map(|(channel, news)| match news.value {
            Value::Credential { card, granted } => Some((channel, news.at, card.number, granted)),
            _ => None,
        })
        .collect();
    let expected = [
        (Channel::Badge2, 1_600, 2, true),
        // Through the lock that was open already.
        (Channel::Badge2, 3_000, 3, true),
        (Channel::Badge1, 1_000, 1, false),
        // Somebody else before the answer, and no answer.
        (Channel::Badge2, 9_000, 4, false),
        (Channel::Badge2, 9_100, 5, false),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_reader_that_sends_nothing_but_damage_is_doubted_until_it_reads() {
    let mut badge = Badge::new(settings::Badge { layout: PLAIN, ..settings::Badge::default() });
    let damaged = Word::new(7, 15);
    let said: Vec<_> = (0..6).flat_map(|n| badge.sense(damaged, n)).flatten().map(|news| news.value).collect();
    assert_eq!((said, badge.value()), ([NOISY].into(), Some(NOISY)));
    badge.sense(Word::new(7, 16), 10);
    assert_eq!(badge.value(), None);
}

#[test]
fn inputs_are_read_in_their_rhythm_without_drift_and_a_stall_is_not_made_up_for_in_a_burst() {
    let draft = Draft::default().with(Channel::Vibration).with(Channel::Temperature).with(Channel::Health);
    let mut senses = senses_of(&draft.check().unwrap(), 1_000);
    assert_eq!(senses.next_due(), Some(1_000));
    let mut read = [0, 0];
    for now in 1_000..11_000 {
        let due = senses.due(now);
        read[0] += usize::from(due.contains(Channel::Vibration));
        read[1] += usize::from(due.contains(Channel::Temperature));
        assert!(!due.contains(Channel::Health));
    }
    assert_eq!((read, senses.next_due()), ([2_000, 10], Some(11_000)));
    // Flash was erased for two seconds.
    assert!(senses.due(13_002).contains(Channel::Vibration));
    assert!(senses.due(13_003).is_empty() && senses.due(13_006).is_empty() && !senses.due(13_007).is_empty());
}

#[test]
fn other_settings_leave_alone_what_they_do_not_change() {
    let warm = settings::Motion { warm_up_ms: 60_000, ..settings::Motion::default() };
    let draft =
        Draft::default().with(Channel::Tamper).with_sensing(Channel::Pir, Sensing::Motion(warm)).with(Channel::Supply);
    let mut senses = senses_of(&draft.clone().check().unwrap(), 0);
    for (channel, sensed) in
        [(Channel::Pir, false.into()), (Channel::Tamper, true.into()), (Channel::Supply, 12.0f32.into())]
    {
        senses.sense(channel, sensed, 60_000).unwrap();
    }
    let seal = senses.channels().position(|channel| channel == Channel::Tamper).unwrap();
    senses.tick(seal, 60_030);
    assert_eq!(senses.without_value(), 0);
    let supply = settings::Measure { deadband: 1.0, ..settings::Measure::default() };
    let other = draft.with_sensing(Channel::Supply, Sensing::Measure(supply)).with(Channel::Door);
    senses.tell(&other.check().unwrap(), senses.is_tampered(), 61_000);
    assert_eq!(senses.value(Channel::Pir), Some(Value::State(false)), "it stays warm");
    assert!(senses.is_tampered());
    assert_eq!((senses.value(Channel::Supply), senses.value(Channel::Door)), (None, None), "both are new");
    assert_eq!(senses.without_value(), 1 << Channel::Supply.index() | 1 << Channel::Door.index());
}

#[test]
fn whatever_is_read_no_input_says_more_than_there_is_room_for() {
    let (mut random, mut most) = (1u64, 0);
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    for draft in nodes() {
        let mut senses = senses_of(&draft.check().unwrap(), 0);
        let channels: Vec<_> = senses.channels().collect();
        for now in 0..20_000u64 {
            let channel = channels[next() as usize % channels.len()];
            let sensed = match next() % 3 {
                0 => Sensed::Digital(next() % 3 == 0),
                1 => Sensed::Analog([0.1, 3.0, 40.0, 1e8, f32::NAN, f32::INFINITY][next() as usize % 6]),
                _ => Word::new(next(), 26 + (next() % 2) as u8).into(),
            };
            let heard = senses.sense(channel, sensed, now * 7).map_or(0, |heard| heard.len());
            let ticked = senses.tick(next() as usize % channels.len(), now * 7).len();
            most = most.max(heard).max(ticked);
        }
    }
    assert!((2..4).contains(&most), "{most} of 4: one that is full may have lost something");
}

#[test]
fn every_channel_can_be_sensed_in_every_way_that_fits_it_and_all_of_them_take_little_room() {
    use Channel::{
        Contact1, Contact2, Contact3, Contact4, Fence, Grant, Load1, Load2, Load3, Load4, Pir, Presence, Rex,
    };
    let all = |channels: &[Channel], sensing| {
        channels.iter().fold(Draft::default(), |draft, channel| draft.with_sensing(*channel, sensing))
    };
    let contacts = [Pir, Fence, Presence, Channel::Door, Contact1, Contact2, Contact3, Contact4, Rex, Grant];
    let contacts = all(&contacts, Sensing::Contact(settings::Contact::default()));
    let loads = all(&[Load1, Load2, Load3, Load4], Sensing::Load(load()));
    let named: usize = nodes().iter().map(|draft| draft.inputs.len()).sum();
    assert_eq!(named, Channel::ALL.len());
    for draft in nodes().into_iter().chain([contacts, loads]) {
        let settings = draft.check().unwrap();
        let mut senses = senses_of(&settings, 0);
        for input in settings.inputs() {
            let sensed = match input.sensing {
                Sensing::Contact(_) | Sensing::Motion(_) | Sensing::Tamper | Sensing::Door(_) => false.into(),
                Sensing::Badge(_) => Word::new(0, 26).into(),
                Sensing::Health | Sensing::Derived => continue,
                _ => 1.0f32.into(),
            };
            assert!(senses.sense(input.channel, sensed, 1).is_ok(), "{input:?}");
        }
    }
    let bytes = size_of::<Senses>();
    assert!(bytes < 6 * 1024, "{bytes} bytes of the 24 KiB that a node may take");
}

proptest! {
    /// A state that is said has been read and nothing else for the debounce time, and one that was is said.
    #[test]
    fn a_contact_says_what_lasted_and_only_that(
        debounce in 1u32..200,
        reads in vec((any::<bool>(), 1u64..60), 1..200),
    ) {
        let mut sensed = contact(debounce, Alarm::Never);
        let (mut now, mut since, mut raw) = (0, 0, None);
        let mut state = None;
        for (read, passed) in reads {
            now += passed;
            // What has lasted until now, before what is read now.
            let lasted = raw.filter(|_| now - since >= u64::from(debounce));
            if raw != Some(read) {
                (raw, since) = (Some(read), now);
            }
            let news = sensed.sense(read, now);
            let expected = lasted.or(raw.filter(|_| now - since >= u64::from(debounce)));
            if expected.is_some() {
                state = expected;
            }
            prop_assert_eq!(sensed.state(), state);
            if let Some(News { value: Value::State(said), at, .. }) = news {
                prop_assert_eq!(Some(said), state);
                prop_assert!(now - at >= u64::from(debounce));
            }
        }
    }

    #[test]
    fn a_filtered_load_stays_between_the_least_and_the_most_that_was_read(
        readings in vec(-8_388_608.0f32..8_388_607.0, 5..200),
        gaps in vec(1u64..500, 200),
        median in 0u8..5,
        smooth_ms in 0u32..60_000,
    ) {
        let told = settings::Load {
            zero: 0.0, span: 1.0, median: 1 + 2 * median, smooth_ms, report: NO_LIMIT, ..settings::Load::default()
        };
        let (mut cell, mut now) = (Load::new(told, 0), 0);
        let least = readings.iter().copied().fold(f32::MAX, f32::min);
        let most = readings.iter().copied().fold(f32::MIN, f32::max);
        // What f32 rounds on the way.
        let slack = 1.0 + (most - least) * 1e-5;
        for (reading, gap) in readings.into_iter().zip(gaps) {
            now += gap;
            cell.sense(reading, now);
            if let Some(Value::Load { value, .. }) = cell.value() {
                prop_assert!((least - slack..=most + slack).contains(&value), "{} of {} to {}", value, least, most);
            }
        }
    }

    #[test]
    fn fewer_than_half_of_the_readings_never_move_a_median(
        half in 1usize..5,
        wrong in vec(prop_oneof![Just(f32::INFINITY), Just(-1e9f32), -1e6f32..1e6], 4),
        places in Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let of = 2 * half + 1;
        let mut readings = [5.0f32; 9];
        for (place, wrong) in places.into_iter().filter(|place| *place < of).zip(wrong.into_iter().take(half)) {
            readings[place] = wrong;
        }
        let mut median = median::Median::of(of as u8);
        let last = readings[..of].iter().fold(None, |_, reading| median.after(*reading));
        prop_assert_eq!(last, Some(5.0));
    }

    #[test]
    fn a_measure_never_strays_from_what_it_said_by_more_than_its_deadband(
        deadband in 0.1f32..50.0,
        values in vec(-1e3f32..1e3, 1..200),
    ) {
        let mut measure = Measure::new(settings::Measure { deadband, ..NO_LIMIT }, 0);
        let mut said = None;
        for (at, value) in (0..).zip(&values) {
            if let Some(news) = measure.sense(*value, at) {
                prop_assert_eq!(news.value, Value::Measure(*value));
                said = Some(*value);
            }
            prop_assert!((value - said.unwrap()).abs() < deadband);
        }
    }

    #[test]
    fn a_detector_that_counts_pulses_needs_that_many(
        pulses in 2u8..=16,
        gaps in vec(20u64..3_000, 1..100),
    ) {
        let told = settings::Motion { warm_up_ms: 0, hold_ms: 1_000, pulses, within_ms: 10_000 };
        let mut pir = Motion::new(told, 0);
        let mut began = Vec::new();
        let mut now = 0;
        for gap in gaps {
            now += gap;
            began.push(now);
            let news = pir.sense(true, now);
            if news.is_some_and(|news| news.value == Value::State(true)) {
                let recent = began.iter().filter(|at| now - **at <= 10_000).count();
                prop_assert!(recent >= usize::from(pulses), "{} of {}", recent, pulses);
            }
            pir.sense(false, now + 10);
        }
    }
}
