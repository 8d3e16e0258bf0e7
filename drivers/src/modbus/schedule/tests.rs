use super::*;

/// How a unit on a simulated line behaves.
#[derive(Clone, Copy)]
struct Behaves {
    every_ms: u64,
    requests: u32,
    answers_in_ms: Option<u64>,
}

const TIMEOUT: Duration = Duration::from_millis(600);

/// Plays a line; returns for each unit how many polls were completed and how many left out in the last `measured` of
/// `total`, and whether it was named as one that cannot keep its period (`true`: and holds others up).
fn polls(units: &[Behaves], total: Duration, measured: Duration) -> (Vec<u32>, Vec<u32>, Vec<Option<bool>>) {
    let start = Instant::now();
    let (end, from) = (start + total, start + (total - measured));
    let mut schedule = Schedule::new(units.iter().map(|unit| Duration::from_millis(unit.every_ms)), start);
    let mut asked = vec![0; units.len()];
    let (mut done, mut late, mut named) = (vec![0; units.len()], vec![0; units.len()], vec![None; units.len()]);
    let mut now = start;
    while now < end {
        match schedule.next(now) {
            Next::Nobody => panic!("nobody was taken out"),
            Next::Wait(until) => {
                assert!(until > now, "a wait that is none is a busy loop");
                now = until;
            }
            Next::Ask(unit) => match units[unit].answers_in_ms {
                None => {
                    now += TIMEOUT;
                    asked[unit] = 0;
                    schedule.silent(unit, now, TIMEOUT);
                }
                Some(ms) => {
                    let took = Duration::from_millis(ms);
                    now += took;
                    schedule.answered(unit, now, took);
                    asked[unit] += 1;
                    if asked[unit] == units[unit].requests {
                        asked[unit] = 0;
                        let kept = schedule.finished(unit, now);
                        named[unit] = kept.cannot_keep.map(|cannot| cannot.holds_others_up).or(named[unit]);
                        if now > from {
                            done[unit] += 1;
                            late[unit] += kept.late;
                        }
                    }
                }
            },
        }
    }
    (done, late, named)
}

const fn answers(every_ms: u64, requests: u32, ms: u64) -> Behaves {
    Behaves { every_ms, requests, answers_in_ms: Some(ms) }
}

const fn dead(every_ms: u64) -> Behaves {
    Behaves { every_ms, requests: 1, answers_in_ms: None }
}

const WARM_UP: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(300);

#[test]
fn alone_on_a_line_every_poll_keeps_its_time() {
    let (done, late, _) = polls(&[answers(50, 1, 4)], WARM_UP + MEASURED, MEASURED);
    assert_eq!((done[0], late[0]), (6000, 0));
}

#[test]
fn a_dead_unit_costs_the_others_at_most_one_poll_in_twenty_after_thirty_seconds() {
    for (every, dead_units) in [(1000, 1), (1000, 3), (200, 1), (100, 5)] {
        let mut line = vec![answers(every, 1, 5); 10 - dead_units];
        line.extend(vec![dead(every); dead_units]);
        let (done, ..) = polls(&line, WARM_UP + MEASURED, MEASURED);
        let should = MEASURED.as_millis() as u64 / every;
        for polls in &done[..10 - dead_units] {
            assert!(u64::from(*polls) * 20 >= should * 19, "{dead_units} dead, every {every} ms: {polls} of {should}");
        }
    }
}

#[test]
fn an_alarm_contact_beside_a_dead_unit_keeps_its_fifty_milliseconds() {
    let (done, ..) = polls(&[answers(50, 1, 4), dead(1000), dead(1000)], WARM_UP + MEASURED, MEASURED);
    assert!(done[0] >= 5700, "{} of 6000", done[0]);
}

#[test]
fn an_alarm_contact_comes_between_the_requests_of_a_long_poll() {
    let (done, late, _) = polls(&[answers(50, 1, 4), answers(1000, 20, 20)], WARM_UP + MEASURED, MEASURED);
    assert!(late[0] == 0 && done[0] >= 5990, "{} of 6000, {} late", done[0], late[0]);
    assert!(done[1] >= 299, "{} of 300", done[1]);
}

#[test]
fn a_unit_that_blocks_the_line_for_longer_than_anothers_period_is_read_less_often_and_named() {
    let (done, late, named) = polls(&[answers(50, 1, 4), answers(1000, 1, 400)], WARM_UP + MEASURED, MEASURED);
    assert!(done[0] >= 5400, "{} of 6000", done[0]);
    assert!((70..=80).contains(&done[1]), "{}", done[1]);
    assert!(late[1] > 200, "{}", late[1]);
    // The contact misses polls as well, and says so; but it is the other one that is to blame.
    assert_eq!(named, [Some(false), Some(true)]);
}

#[test]
fn what_a_line_has_too_little_of_is_taken_from_whoever_takes_most() {
    let (done, _, named) =
        polls(&[answers(1000, 1, 20), answers(1000, 1, 20), answers(1000, 4, 350)], WARM_UP + MEASURED, MEASURED);
    assert!(done[0] >= 285 && done[1] >= 285, "{done:?}");
    assert!((100..=220).contains(&done[2]), "{done:?}");
    assert_eq!(named, [None, None, Some(false)]);
}

#[test]
fn a_unit_that_comes_back_is_polled_at_once_and_brings_the_others_of_a_dead_line_with_it() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut schedule = Schedule::new([second; 3], start);
    let mut now = start;
    for _ in 0..30 {
        match schedule.next(now) {
            Next::Ask(unit) => {
                now += TIMEOUT;
                schedule.silent(unit, now, TIMEOUT);
            }
            Next::Wait(until) => now = until,
            Next::Nobody => panic!("nobody was taken out"),
        }
    }
    while let Next::Wait(until) = schedule.next(now) {
        assert!(until.duration_since(now) <= LONGEST_WAIT);
        now = until;
    }
    let Next::Ask(back) = schedule.next(now) else { panic!("somebody is due") };
    now += Duration::from_millis(5);
    schedule.answered(back, now, Duration::from_millis(5));
    schedule.finished(back, now);
    let mut asked = Vec::new();
    while let Next::Ask(unit) = schedule.next(now) {
        asked.push(unit);
        schedule.answered(unit, now, Duration::ZERO);
        schedule.finished(unit, now);
    }
    asked.sort_unstable();
    let others: Vec<usize> = (0..3).filter(|unit| *unit != back).collect();
    assert_eq!(asked, others);
}

#[test]
fn an_outage_is_not_late_and_afterwards_everybody_is_asked_once() {
    let start = Instant::now();
    let mut schedule = Schedule::new([Duration::from_millis(50); 2], start);
    let back = start + Duration::from_secs(60);
    schedule.postpone_all(back);
    assert_eq!(schedule.next(start), Next::Wait(back));
    for unit in 0..2 {
        assert_eq!(schedule.next(back), Next::Ask(unit));
        schedule.answered(unit, back, Duration::ZERO);
        assert_eq!(schedule.finished(unit, back), Kept::default());
    }
    assert_eq!(schedule.next(back), Next::Wait(back + Duration::from_millis(50)));
    schedule.take_out(0);
    schedule.take_out(1);
    assert_eq!(schedule.next(back), Next::Nobody);
}

#[test]
fn a_unit_that_answers_now_and_then_stays_cheap_and_is_trusted_again_in_time() {
    let start = Instant::now();
    let mut schedule = Schedule::new([Duration::from_secs(1); 2], start);
    let mut waits = Vec::new();
    let mut now = start;
    for _ in 0..4 {
        schedule.silent(0, now, TIMEOUT);
        schedule.take_out(1);
        let Next::Wait(until) = schedule.next(now) else { panic!("it has to wait") };
        waits.push(until.duration_since(now).as_secs());
        now = until;
        schedule.answered(0, now, Duration::ZERO);
        schedule.finished(0, now);
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    for _ in 0..200 {
        if let Next::Wait(until) = schedule.next(now) {
            now = until;
        }
        schedule.answered(0, now, Duration::ZERO);
        schedule.finished(0, now);
    }
    schedule.silent(0, now, TIMEOUT);
    assert_eq!(schedule.next(now), Next::Wait(now + Duration::from_secs(1)));
}
