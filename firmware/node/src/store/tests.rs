use super::*;
use crate::emulation::{EmulatedFlash, Noise};
use std::{collections::BTreeMap, vec::Vec as List};

const PAGES: usize = 4;

fn open(flash: EmulatedFlash) -> Store<EmulatedFlash> {
    try_open(flash, 0xe90c).unwrap()
}

fn try_open(flash: EmulatedFlash, entropy: u64) -> Result<Store<EmulatedFlash>, Locked> {
    let mut store = Store::new(flash, 0);
    store.open(entropy).map(|()| store)
}

fn counting(_: &[u8], counts: &mut [u32; CHANNELS]) {
    counts[0] += 1;
}

fn payload(counter: u64) -> List<u8> {
    let mut noise = Noise(counter);
    (0..20 + counter % 60).map(|_| noise.next() as u8).collect()
}

fn stored(store: &Store<EmulatedFlash>, counter: u64) -> Stored {
    Stored { epoch: store.epoch(), below: 0, from: counter, bits: 1 }
}

#[test]
fn frames_come_back_after_a_power_cut_and_acknowledged_ones_do_not_for_long() {
    let mut store = open(EmulatedFlash::in_memory(PAGES));
    assert_eq!((store.boot(), store.next()), (1, 0));
    for _ in 0..40 {
        let (counter, _) = store.take_counter().unwrap();
        store.keep(counter, true, &payload(counter), &mut counting).unwrap();
    }
    let ack = Stored { epoch: store.epoch(), below: 20, from: 20, bits: 0 };
    store.acknowledge(&ack).unwrap();
    let mut store = open(store.release());
    let kept: List<u64> = store.kept().iter().map(|kept| kept.counter).collect();
    assert_eq!(kept, (20..40).collect::<List<u64>>());
    for counter in kept {
        assert_eq!(store.payload(counter).unwrap().unwrap()[..], payload(counter)[..]);
    }
    let (counter, follows) = store.take_counter().unwrap();
    assert_eq!((store.boot(), counter, counter - u64::from(follows)), (2, RESERVE, 39));
}

#[test]
fn at_the_bound_old_routine_frames_go_before_alarms_and_are_counted() {
    let mut store = open(EmulatedFlash::in_memory(PAGES));
    let mut alarms = List::new();
    for i in 0..600u64 {
        let (counter, _) = store.take_counter().unwrap();
        let alarm = i % 20 == 0;
        if alarm {
            alarms.push(counter);
        }
        store.keep(counter, alarm, &payload(counter), &mut counting).unwrap();
    }
    let kept: List<(u64, bool)> = store.kept().iter().map(|kept| (kept.counter, kept.alarm)).collect();
    let (kept_alarms, routine): (List<_>, List<_>) = kept.iter().partition(|(_, alarm)| *alarm);
    assert_eq!(kept_alarms.iter().map(|(counter, _)| *counter).collect::<List<_>>(), alarms, "every alarm is there");
    assert_eq!(routine.last().unwrap().0, 599, "the newest routine frame is there");
    assert_eq!(store.shed_counts()[0] as usize + kept.len(), 600, "what went is counted");
    let mut again = open(store.release());
    let back: List<(u64, bool)> = again.kept().iter().map(|kept| (kept.counter, kept.alarm)).collect();
    assert_eq!(back, kept, "and stays gone");
}

#[test]
fn more_alarms_than_flash_holds_push_out_the_oldest_alarms() {
    let mut store = open(EmulatedFlash::in_memory(PAGES));
    for _ in 0..500 {
        let (counter, _) = store.take_counter().unwrap();
        store.keep(counter, true, &payload(counter), &mut counting).unwrap();
    }
    let alarms: List<u64> = store.kept().iter().map(|kept| kept.counter).collect();
    assert_eq!((alarms.last(), store.shed_counts()[0] as usize + alarms.len()), (Some(&499), 500));
    for _ in 0..100 {
        let (counter, _) = store.take_counter().unwrap();
        store.keep(counter, false, &payload(counter), &mut counting).unwrap();
    }
    let still: List<u64> = store.kept().iter().filter(|kept| kept.alarm).map(|kept| kept.counter).collect();
    assert_eq!(still, alarms, "routine frames push out no alarm");
    assert_eq!(store.shed_counts()[0] as usize + store.kept().len(), 600);
}

#[test]
fn flash_that_does_not_read_locks_the_node_and_is_never_formatted() {
    let mut store = open(EmulatedFlash::in_memory(PAGES));
    for _ in 0..400 {
        let (counter, _) = store.take_counter().unwrap();
        store.keep(counter, true, &payload(counter), &mut counting).unwrap();
    }
    let (active, flash) = (store.active, store.release());
    let opening = active as usize * 4096 + 10;
    let record = active as usize * 4096 + FIRST_RECORD as usize + 10;
    for at in [opening, record] {
        let rotten = flash.copy();
        rotten.damage(|bytes| bytes[at] ^= 0x10);
        assert_eq!(try_open(rotten, 1).err(), Some(Locked::Unreadable), "byte {at}");
    }
    let (garbage, mut noise) = (EmulatedFlash::in_memory(PAGES), Noise(1));
    garbage.damage(|bytes| bytes.fill_with(|| noise.next() as u8));
    assert_eq!(try_open(garbage, 1).err(), Some(Locked::Unreadable));
    assert_eq!(try_open(EmulatedFlash::in_memory(2), 1).err(), Some(Locked::TooSmall));
}

#[test]
fn a_last_record_that_rots_may_have_been_a_reservation_and_is_stepped_over() {
    let mut store = open(EmulatedFlash::in_memory(PAGES));
    let used: List<u64> = (0..5).map(|_| store.take_counter().unwrap().0).collect();
    let (boot, last, flash) = (store.boot(), store.end as usize - 4, store.release());
    flash.damage(|bytes| bytes[last] ^= 0x10);
    let mut store = open(flash);
    assert!(store.take_counter().unwrap().0 > used[4] && store.boot() > boot);
}

const STEPS: u32 = 1200;

/// What a node may never do: give a counter to two messages, or lose an alarm it kept.
#[derive(Default)]
struct Truth {
    used: BTreeMap<(u64, u64), List<u8>>,
    alarms: BTreeMap<u64, List<u8>>,
    latched: Option<bool>,
    boots: u32,
}

/// One boot with work until power goes. `Err` when it went.
fn work(
    store: &mut Store<EmulatedFlash>,
    truth: &mut Truth,
    noise: &mut Noise,
    steps: u32,
) -> Result<(), NorFlashErrorKind> {
    for _ in 0..steps {
        match noise.next() % 8 {
            0..=4 => {
                let (counter, _) = store.take_counter()?;
                let bytes: List<u8> = (0..10 + noise.next() % 100).map(|_| noise.next() as u8).collect();
                // From here on the counter may be on the wire.
                let before = truth.used.insert((store.epoch(), counter), bytes.clone());
                assert_eq!(before, None, "counter {counter} was used twice");
                let alarm = !noise.next().is_multiple_of(3);
                store.keep(counter, alarm, &bytes, &mut counting)?;
                if alarm {
                    truth.alarms.insert(counter, bytes);
                }
                // So many alarms that the store sheds some are another story.
                while truth.alarms.len() > 20 {
                    let (counter, _) = truth.alarms.pop_first().unwrap();
                    store.acknowledge(&stored(store, counter))?;
                }
            }
            5 | 6 => {
                let kept: List<u64> = store.kept().iter().map(|kept| kept.counter).collect();
                let Some(counter) = kept.get(noise.next() as usize % kept.len().max(1)) else { continue };
                truth.alarms.remove(counter);
                store.acknowledge(&stored(store, *counter))?;
            }
            _ => {
                let latched = noise.next().is_multiple_of(2);
                truth.latched = None;
                store.set_latch(latched)?;
                truth.latched = Some(latched);
            }
        }
    }
    Ok(())
}

fn check(store: &mut Store<EmulatedFlash>, truth: &mut Truth, story: &str) {
    for (counter, bytes) in &truth.alarms {
        assert_eq!(store.payload(*counter).unwrap().as_deref(), Some(&bytes[..]), "{story}: alarm {counter} is lost");
    }
    if let Some(latched) = truth.latched {
        assert_eq!(store.latched(), latched, "{story}");
    }
    assert!(store.boot() > truth.boots, "{story}: boot {} comes twice", store.boot());
    truth.boots = store.boot();
}

#[test]
fn a_power_cut_at_any_flash_operation_reuses_no_counter_and_loses_no_alarm() {
    let reference = {
        let mut store = open(EmulatedFlash::in_memory(PAGES));
        work(&mut store, &mut Truth::default(), &mut Noise(7), STEPS).unwrap();
        assert!(store.sequence > 2 * PAGES as u32, "the story goes round the ring twice");
        store.release().operations()
    };
    // Every third; `tests/run --heavy` takes every one.
    let step = if std::env::var("QUAYWATCH_HEAVY").is_ok_and(|heavy| heavy == "yes") { 1 } else { 3 };
    for cut in (0..reference).step_by(step) {
        let story = std::format!("cut at operation {cut}");
        let (mut truth, mut noise) = (Truth::default(), Noise(7));
        let flash = EmulatedFlash::in_memory(PAGES);
        flash.cut_power_after(cut, cut);
        if let Ok(mut store) = try_open(flash.clone(), 0xe90c) {
            truth.boots = store.boot();
            let _ = work(&mut store, &mut truth, &mut noise, STEPS);
        }
        // The boot after the cut is cut too, and the one after that finds everything.
        for last in [false, true] {
            flash.power_on();
            if !last {
                flash.cut_power_after(noise.next() % 6, !cut);
            }
            match try_open(flash.clone(), 0xe90d) {
                Ok(mut store) => {
                    check(&mut store, &mut truth, &story);
                    let _ = work(&mut store, &mut truth, &mut noise, 60);
                }
                Err(why) => assert!(!last && !flash.is_powered(), "{story}: {why:?}"),
            }
        }
    }
}
