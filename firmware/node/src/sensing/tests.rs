use super::{
    contact::{Alarm, Contact},
    measure::Measure,
    motion::Motion,
    tamper::Tamper,
    vibration::Vibration,
    *,
};
use quaywatch_schemas::frame::message::Missing;
use std::vec::Vec;

fn state(on: bool, at: Millis, alarm: bool) -> Option<News> {
    Some(News { value: Value::State(on), at, alarm })
}

#[test]
fn a_bouncing_contact_says_one_thing_and_dates_it_to_its_last_edge() {
    let mut door = Contact::new(contact::Settings { debounce_ms: 30, alarm: Alarm::OnTrue });
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
fn a_detector_that_warms_up_says_nothing_and_pulses_of_one_walker_are_one_word() {
    let mut pir = Motion::new(motion::Settings { warm_up_ms: 1000, hold_ms: 500 }, 0);
    assert_eq!(pir.sense(true, 10), None);
    assert_eq!(pir.value(), Value::Missing(Missing::BadValue));
    assert_eq!(pir.sense(false, 20), None);
    assert_eq!(pir.tick(1000), state(false, 1000, false));
    assert_eq!(pir.sense(true, 1200), state(true, 1200, true));
    assert_eq!((pir.sense(false, 1300), pir.sense(true, 1600), pir.sense(false, 1700)), (None, None, None));
    assert_eq!((pir.tick(1900), pir.tick(2100)), (None, state(false, 2100, false)));
}

#[test]
fn a_measure_is_said_when_it_moved_when_it_crossed_its_limit_and_when_it_is_lost() {
    let alarm = Some(Hysteresis { on: 100.0, off: 90.0 });
    let mut load = Measure::new(measure::Settings { deadband: 5.0, alarm, stale_ms: 1000 }, 0);
    let mut said = Vec::new();
    for (value, at) in [(50.0, 1), (52.0, 2), (54.9, 3), (55.0, 4), (99.9, 5), (100.0, 6), (98.0, 7), (89.9, 8)] {
        said.extend(load.sense(value, at).map(|news| (news.value, news.alarm)));
    }
    let expected = [(50.0, false), (55.0, false), (99.9, false), (100.0, true), (89.9, false)];
    assert_eq!(said, expected.map(|(value, alarm)| (Value::Measure(value), alarm)));
    let lost = Some(News { value: Value::Missing(Missing::BadValue), at: 9, alarm: false });
    assert_eq!((load.sense(f32::NAN, 9), load.sense(f32::INFINITY, 10)), (lost, None));
    assert!(load.sense(60.0, 11).is_some(), "the first value after that is news");
    assert_eq!(load.tick(1011), None);
    assert_eq!(load.tick(1012).map(|news| news.value), Some(Value::Missing(Missing::BadValue)), "nobody read it");
}

#[test]
fn gravity_is_no_vibration_and_a_shaken_fence_moves_until_it_is_calm() {
    let settings = vibration::Settings { window_ms: 100, moves: Hysteresis { on: 1.0, off: 0.5 }, deadband: 0.1 };
    let mut fence = Vibration::new(settings, 0);
    let mut changes = Vec::new();
    for now in 1..1000u64 {
        // Calm, shaken with 2 m/s² either way, half calm, calm.
        let amplitude = [0.0, 0.0, 2.0, 2.0, 0.7, 0.7, 0.0, 0.0, 0.0, 0.0][(now / 100) as usize];
        let acceleration = 9.81 + if now % 2 == 0 { amplitude } else { -amplitude };
        changes.extend(fence.sense(acceleration, now).moves.map(|news| (now / 100, news.value, news.alarm)));
    }
    let on = (3, Value::State(true), true);
    assert_eq!(changes, [(1, Value::State(false), false), on, (7, Value::State(false), false)]);
    fence.tick(1100);
    assert_eq!(fence.tick(5000).energy.map(|news| news.value), Some(Value::Missing(Missing::BadValue)));
    assert_eq!(
        fence.moves(),
        Some(Value::Missing(Missing::BadValue)),
        "a dead accelerometer says nothing of the fence"
    );
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
