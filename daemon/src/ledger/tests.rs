//! The store's promises, as stories over whole stores in temporary folders.

mod destruction;

use super::*;
use quaywatch_drivers::intake::{Committed, Delivery};
use quaywatch_schemas::{
    LineId, Observation, Private, Reading, RecipientId, SensorId, Stamped, WallTime, ZoneId,
    observation::{AccessDecision, Candidate, Credential, Plate, SourceId},
    record::DeadLetter,
    reference::{Booking, Fact, Reference, References},
    sealed::Identity,
    situation::SituationId,
};
use std::collections::{BTreeMap, BTreeSet};

/// A store with its writer running and its end of the log in hand.
struct Store {
    opened: Intake,
    outbox: Outbox,
    state: State,
    records: mpsc::Receiver<Next>,
    recovered: Recovered,
    control: WriterControl,
    started: Option<Started>,
}

impl Store {
    fn open(folder: &Path) -> Self {
        Self::open_from(folder, Position(1))
    }

    fn open_from(folder: &Path, from: Position) -> Self {
        let mut opened = open(folder, Options { segment_bytes: 8192, ..Options::default() }).unwrap();
        let records = opened.take_records();
        Self {
            opened: opened.intake.clone(),
            outbox: opened.outbox.clone(),
            state: opened.state.clone(),
            recovered: opened.recovered.clone(),
            control: opened.control.clone(),
            records,
            started: Some(opened.start(from)),
        }
    }

    fn store(&self, records: Vec<Record>, delivery: Option<Delivery>) -> Committed {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { self.opened.submit(records, delivery).await.unwrap().await.unwrap() })
    }

    /// The next `count` records the pipeline would see.
    fn seen(&mut self, count: usize) -> Vec<Stamped> {
        let mut seen = Vec::new();
        while seen.len() < count {
            match self.records.blocking_recv().unwrap() {
                Next::Records(records) => seen.extend(records),
                Next::Tick(_) => {}
            }
        }
        assert_eq!(seen.len(), count);
        seen
    }

    fn stop(mut self) {
        self.started.take().unwrap().stop();
    }
}

fn contact(sensor: &str, on: bool) -> Record {
    Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), Reading::Contact(on)))
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart_with_the_same_stamps() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path());
    for i in 0..300 {
        store.store(vec![contact("loop-a", i % 2 == 0), contact("arm", i % 3 == 0)], None);
        // The pipeline's end is bounded: somebody has to take what is sent.
        let _ = store.records.try_recv();
    }
    store.stop();
    let mut store = Store::open(folder.path());
    let seen = store.seen(600);
    assert!(seen.iter().zip(1..).all(|(record, position)| record.stamp.position == Position(position)));
    assert!(seen.windows(2).all(|pair| pair[0].stamp.gateway <= pair[1].stamp.gateway));
    let last = seen.last().unwrap().stamp;
    let committed = store.store(vec![contact("loop-a", true)], None);
    assert_eq!(committed.last, Position(601));
    assert!(store.seen(1)[0].stamp.gateway > last.gateway);
    store.stop();
    let again: Vec<Stamped> = read_log(folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(again[..600], seen[..]);
}

#[test]
fn a_replay_begins_where_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    for _ in 0..50 {
        store.store(vec![contact("loop-a", true)], None);
    }
    store.stop();
    let mut store = Store::open_from(folder.path(), Position(48));
    let positions: Vec<u64> = store.seen(3).iter().map(|record| record.stamp.position.0).collect();
    assert_eq!(positions, [48, 49, 50]);
    store.stop();
}

#[test]
fn a_loop_that_says_1_0_1_has_said_three_things_and_a_redelivery_none_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let says = |on: bool, repeated: bool| {
        let digest = [u8::from(on); 16];
        (vec![contact("loop-a", on)], Some(Delivery { session: "broker/alarm".into(), digest, repeated }))
    };
    let store = Store::open(folder.path());
    for (on, repeated, position) in [(true, false, 1), (false, false, 2), (true, false, 3), (true, true, 3)] {
        let (records, delivery) = says(on, repeated);
        assert_eq!(store.store(records, delivery).last, Position(position), "{on} {repeated}");
    }
    store.stop();
    let store = Store::open(folder.path());
    let (records, delivery) = says(false, true);
    assert_eq!(store.store(records, delivery).last, Position(3), "a redelivery after the restart");
    let (records, delivery) = says(false, false);
    assert_eq!(store.store(records, delivery).last, Position(4), "said again");
    store.stop();
}

#[test]
fn an_id_from_the_source_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let sensor = SensorId::new("front").unwrap();
    let observation = |n: u8| {
        let source_id = Some(SourceId::of(&sensor, &[&[n]]));
        Record::Observation(Observation { source_id, ..Observation::live(sensor.clone(), Reading::Contact(true)) })
    };
    let store = Store::open(folder.path());
    assert_eq!(store.store(vec![observation(1), observation(2), observation(1)], None).last, Position(2));
    store.stop();
    let store = Store::open(folder.path());
    assert_eq!(store.store(vec![observation(2)], None).last, Position(2));
    store.stop();
}

#[test]
fn a_second_gateway_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let refused = open(folder.path(), Options::default()).err().unwrap().to_string();
    assert!(refused.contains("another quaywatch already runs"), "{refused}");
    store.stop();
    Store::open(folder.path()).stop();
}

const SECRETS: [&str; 6] = ["12-BRV-4", "7-KLB-09", "BADGE-4711", "CSQU3054383", "TRUCK-REPORT", "PRODUCT-BODY"];

#[test]
fn no_clear_identity_is_in_any_byte_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let [plate, other, badge, container, raw, body] = SECRETS;
    let recipient = RecipientId::new("gate-desk").unwrap();
    let mut store = Store::open(folder.path());
    let reading = Reading::Plate(Plate {
        text: Private::clear(plate),
        confidence: None,
        candidates: vec![Candidate { text: Private::clear(other), confidence: None }],
        region: None,
    });
    let credential = Reading::Credential(Credential {
        holder: Identity { handle: None, value: Private::clear(badge) },
        decision: AccessDecision::Granted,
    });
    let booking = Fact::Booking(Booking {
        plate: Private::clear(other),
        containers: vec![Private::clear(container)],
        declared_gross_kg: None,
        zones: vec![],
        tag: None,
        driver: None,
    });
    let statement = Reference { key: "b1".into(), valid_from: None, valid_until: None, version: 1, fact: booking };
    let feed = quaywatch_schemas::FeedId::new("bookings").unwrap();
    let references = References { feed, as_of: WallTime(0), complete: true, statements: vec![statement] };
    store.store(
        vec![
            Record::Observation(Observation::live(SensorId::new("rear").unwrap(), reading)),
            Record::Observation(Observation::live(SensorId::new("reader").unwrap(), credential)),
            Record::DeadLetter(DeadLetter::new(LineId::new("hooks").unwrap(), None, "not JSON", raw.as_bytes())),
            Record::Control(Control::References(references)),
        ],
        None,
    );
    let seen = store.seen(4);
    let Record::Observation(Observation { reading: Reading::Credential(credential), .. }) = &seen[1].record else {
        panic!("the second record is the credential")
    };
    assert!(credential.holder.handle.is_some(), "a person has a handle from intake on");
    store
        .outbox
        .append(vec![NewEntry {
            recipient: recipient.clone(),
            sequence: 1,
            zone: ZoneId::new("lane-3").unwrap(),
            lane: Lane::Live,
            class: Class::Alarm,
            output: 1,
            situation: SituationId([1; 16]),
            concluded: GatewayTime(1),
            concluded_wall: WallTime(1),
            body: body.as_bytes().to_vec(),
        }])
        .unwrap();
    let checkpoint = Checkpoint { position: Position(4), engine: plate.as_bytes().to_vec(), outputs: 1 };
    let told = vec![((recipient, SituationId([1; 16])), other.as_bytes().to_vec())];
    store.state.apply(Changes { checkpoint: Some(checkpoint), told, ..Changes::default() }).unwrap();
    store.stop();
    let mut files = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            for secret in SECRETS {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} stands in {}", path.display());
            }
        }
    }
    assert!(files >= 5, "log, outbox, state, keys and lock");
    // And it can all be read again.
    let mut store = Store::open(folder.path());
    assert_eq!(store.seen(4)[0], seen[0]);
    assert_eq!(store.state.checkpoint().unwrap().unwrap().engine, plate.as_bytes());
    let recipient = RecipientId::new("gate-desk").unwrap();
    assert_eq!(store.outbox.pending(&recipient, Lane::Live, 0, 9).unwrap()[0].body, body.as_bytes());
    store.stop();
}

#[test]
fn a_damaged_log_is_stepped_over_said_and_begins_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let epoch = store.outbox.epoch();
    for _ in 0..10 {
        store.store(vec![contact("loop-a", true)], None);
    }
    store.stop();
    let (_, path) = segment::list(&folder.path().join("log")).unwrap().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[120] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(folder.path());
    assert!(store.recovered.damaged_bytes > 0);
    assert_ne!(store.outbox.epoch(), epoch);
    assert_eq!(store.seen(9).len(), 9);
    store.stop();
}

#[test]
fn a_corrupt_state_is_set_aside_and_derived_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.store(vec![contact("loop-a", true)], None);
    store.stop();
    fs::write(folder.path().join("state.redb"), vec![7; 9000]).unwrap();
    let mut store = Store::open(folder.path());
    assert!(store.recovered.state_set_aside);
    assert_eq!(store.state.checkpoint().unwrap(), None);
    assert_eq!(store.seen(1).len(), 1);
    store.stop();
    assert!(folder.path().join("state.redb.bad").exists());
}

#[test]
fn a_tick_comes_when_it_is_due_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(folder.path(), Options::default()).unwrap();
    let mut records = opened.take_records();
    let (control, _intake) = (opened.control.clone(), opened.intake.clone());
    let started = opened.start(Position(1));
    let due = control.now().0.after(Duration::from_millis(30));
    control.wake_at(Some(due));
    match records.blocking_recv().unwrap() {
        Next::Tick(stamp) => assert!(stamp.gateway >= due),
        Next::Records(records) => panic!("{records:?}"),
    }
    started.stop();
    assert!(records.blocking_recv().is_none(), "one request, one tick");
}

fn entry(recipient: &RecipientId, sequence: u64, class: Class, size: usize) -> NewEntry {
    NewEntry {
        recipient: recipient.clone(),
        sequence,
        zone: ZoneId::new("lane-3").unwrap(),
        lane: Lane::Live,
        class,
        output: sequence * 2,
        situation: SituationId([1; 16]),
        concluded: GatewayTime(sequence),
        concluded_wall: WallTime(sequence as i64),
        body: vec![sequence as u8; size],
    }
}

#[test]
fn numbers_survive_and_every_one_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let recipient = RecipientId::new("port-police").unwrap();
    let store = Store::open(folder.path());
    let epoch = store.outbox.epoch();
    // 1 KiB each into segments of 8 KiB: several segments.
    for sequence in 1..=40 {
        store.outbox.append(vec![entry(&recipient, sequence, Class::Alarm, 1000)]).unwrap();
    }
    store.outbox.confirm_up_to(&recipient, 30).unwrap();
    store.outbox.confirm(&recipient, &[33, 33, 99]).unwrap();
    store.outbox.withdraw(&recipient, 35, "policy changed").unwrap();
    store.stop();
    let store = Store::open(folder.path());
    assert_eq!(store.outbox.epoch(), epoch);
    assert_eq!(store.outbox.high_water(&recipient), HighWater { sequence: 40, output: 80 });
    let waiting: Vec<u64> =
        store.outbox.pending(&recipient, Lane::Live, 0, 99).unwrap().iter().map(|entry| entry.sequence).collect();
    assert_eq!(waiting, [31, 32, 34, 36, 37, 38, 39, 40]);
    let without_bodies = store.outbox.waiting(&recipient, 31, 3);
    assert_eq!(without_bodies.iter().map(|waiting| waiting.sequence).collect::<Vec<_>>(), [32, 34, 36]);
    assert!(without_bodies.iter().all(|waiting| waiting.zone.as_str() == "lane-3" && waiting.lane == Lane::Live));
    let bodies = store.outbox.entries(&recipient, &[40, 33, 31]).unwrap();
    assert_eq!(bodies.iter().map(|entry| entry.body[0]).collect::<Vec<_>>(), [40, 31], "33 does not wait any more");
    let accounts = store.outbox.accounts(&recipient);
    assert_eq!((accounts.last_sequence, accounts.backlog, accounts.never.len()), (40, 8, 1));
    // Once everything is confirmed, old segments go; the numbers stay.
    store.outbox.confirm_up_to(&recipient, 40).unwrap();
    (41..=60).for_each(|sequence| {
        store.outbox.append(vec![entry(&recipient, sequence, Class::Alarm, 1000)]).unwrap();
        store.outbox.confirm(&recipient, &[sequence]).unwrap();
    });
    assert!(segment::list(&folder.path().join("outbox")).unwrap().len() <= 2);
    store.stop();
    let store = Store::open(folder.path());
    assert_eq!(store.outbox.high_water(&recipient).sequence, 60);
    store.stop();
}

#[test]
fn why_numbering_began_anew_is_kept_until_the_recipient_knows() {
    let folder = tempfile::tempdir().unwrap();
    let (police, desk) = (RecipientId::new("port-police").unwrap(), RecipientId::new("gate-desk").unwrap());
    let store = Store::open(folder.path());
    store.outbox.announced(&desk).unwrap();
    store.stop();
    for _ in 0..2 {
        let store = Store::open(folder.path());
        assert_eq!(store.outbox.to_announce(&police).as_deref(), Some("a new store"));
        assert_eq!(store.outbox.to_announce(&desk), None);
        // Enough for new segments: the marks at their head carry it on.
        (1..=20).for_each(|_| {
            let next = store.outbox.high_water(&desk).sequence + 1;
            store.outbox.append(vec![entry(&desk, next, Class::Alarm, 1000)]).unwrap();
            store.outbox.confirm(&desk, &[next]).unwrap();
        });
        store.stop();
    }
    fs::remove_dir_all(folder.path().join("outbox")).unwrap();
    let store = Store::open(folder.path());
    assert_eq!(
        store.outbox.to_announce(&desk).as_deref(),
        Some("a new store"),
        "the log is empty, so the store is new"
    );
    store.stop();
}

#[test]
fn beyond_the_budget_routine_goes_before_alarms_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let recipient = RecipientId::new("port-police").unwrap();
    let options = Options { segment_bytes: 8192, budget_bytes: 40_000, ..Options::default() };
    let opened = open(folder.path(), options).unwrap();
    for sequence in 1..=12 {
        let class = if sequence % 2 == 0 { Class::Routine } else { Class::Alarm };
        opened.outbox.append(vec![entry(&recipient, sequence, class, 1200)]).unwrap();
    }
    let waiting: Vec<u64> =
        opened.outbox.pending(&recipient, Lane::Live, 0, 99).unwrap().iter().map(|entry| entry.sequence).collect();
    assert!([1, 3, 5, 7, 9, 11].iter().all(|alarm| waiting.contains(alarm)), "{waiting:?}");
    let never = opened.outbox.accounts(&recipient).never;
    let shed: u64 = never.iter().map(|range| range.last - range.first + 1).sum();
    assert_eq!(shed + waiting.len() as u64, 12, "every number is accounted for");
    assert!(never.iter().all(|range| range.why == "shed"));
}

#[test]
fn a_batch_without_a_receipt_is_stored_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path());
    store.opened.offer(vec![contact("loop-a", true)]).unwrap();
    assert_eq!(store.seen(1).len(), 1);
    store.stop();
}

fn waiting(outbox: &Outbox, recipient: &RecipientId) -> Vec<u64> {
    outbox.pending(recipient, Lane::Live, 0, 999).unwrap().iter().map(|entry| entry.sequence).collect()
}

#[test]
fn a_group_larger_than_a_segment_is_stored_and_the_next_one_begins_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let recipient = RecipientId::new("port-police").unwrap();
    let store = Store::open(folder.path());
    store.outbox.append((1..=20).map(|sequence| entry(&recipient, sequence, Class::Alarm, 1000)).collect()).unwrap();
    store.outbox.append(vec![entry(&recipient, 21, Class::Alarm, 1000)]).unwrap();
    store.stop();
    let store = Store::open(folder.path());
    assert_eq!(waiting(&store.outbox, &recipient), (1..=21).collect::<Vec<u64>>());
    store.stop();
}

#[test]
fn one_recipient_that_is_away_does_not_keep_everybody_elses_segments() {
    let folder = tempfile::tempdir().unwrap();
    let (away, here) = (RecipientId::new("customs").unwrap(), RecipientId::new("port-police").unwrap());
    let options = Options { segment_bytes: 8192, budget_bytes: 100_000, ..Options::default() };
    let opened = open(folder.path(), options.clone()).unwrap();
    for sequence in 1..=300 {
        if sequence % 30 == 1 {
            opened.outbox.append(vec![entry(&away, sequence / 30 + 1, Class::Alarm, 1000)]).unwrap();
        }
        opened.outbox.append(vec![entry(&here, sequence, Class::Alarm, 1000)]).unwrap();
        opened.outbox.confirm(&here, &[sequence]).unwrap();
    }
    let held = segment::list(&folder.path().join("outbox")).unwrap().len();
    assert!(held <= 100_000 / 2 / 8192 + 2, "{held} segments");
    drop(opened);
    let opened = open(folder.path(), options).unwrap();
    assert_eq!(waiting(&opened.outbox, &away), (1..=10).collect::<Vec<u64>>());
    assert_eq!(opened.outbox.high_water(&away).sequence, 10);
    assert_eq!(opened.outbox.high_water(&here).sequence, 300);
    assert!(opened.outbox.accounts(&away).never.is_empty(), "nothing was lost on the way");
}

#[test]
fn a_product_lost_to_damage_is_a_number_that_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let recipient = RecipientId::new("port-police").unwrap();
    let store = Store::open(folder.path());
    for sequence in 1..=5 {
        store.outbox.append(vec![entry(&recipient, sequence, Class::Alarm, 500)]).unwrap();
    }
    store.stop();
    let (_, path) = segment::list(&folder.path().join("outbox")).unwrap().remove(0);
    let scan = segment::scan(&path).unwrap();
    // The first frame is the marks; the third product is the fourth frame.
    let mut bytes = fs::read(&path).unwrap();
    bytes[scan.frames[3].at as usize + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = Store::open(folder.path());
    assert_eq!(waiting(&store.outbox, &recipient), [1, 2, 4, 5]);
    let never = store.outbox.accounts(&recipient).never;
    assert_eq!(
        never.iter().map(|range| (range.first, range.last, range.why.as_str())).collect::<Vec<_>>(),
        [(3, 3, "lost")]
    );
    store.stop();
}

#[test]
fn a_log_that_ends_before_what_was_applied_gives_no_position_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    for _ in 0..10 {
        store.store(vec![contact("loop-a", true)], None);
    }
    let checkpoint = Checkpoint { position: Position(10), engine: Vec::new(), outputs: 0 };
    store.state.apply(Changes { checkpoint: Some(checkpoint), ..Changes::default() }).unwrap();
    let epoch = store.outbox.epoch();
    store.stop();
    let (_, path) = segment::list(&folder.path().join("log")).unwrap().remove(0);
    let scan = segment::scan(&path).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(scan.frames[7].at).unwrap();
    let mut opened = open(folder.path(), Options { segment_bytes: 8192, ..Options::default() }).unwrap();
    assert_eq!((opened.recovered.lost_records, opened.recovered.last), (3, Position(10)));
    assert_ne!(opened.outbox.epoch(), epoch);
    assert!(opened.findings().iter().any(|finding| matches!(finding, Record::Control(Control::LogDamage { .. }))));
    let (intake, _records) = (opened.intake.clone(), opened.take_records());
    let started = opened.start(Position(11));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let committed = runtime.block_on(async { intake.store(vec![contact("loop-a", false)]).await.unwrap() });
    assert_eq!(committed.last, Position(11));
    started.stop();
}

#[test]
fn log_segments_go_when_applied_and_old_and_nothing_they_led_to_waits() {
    let folder = tempfile::tempdir().unwrap();
    let recipient = RecipientId::new("port-police").unwrap();
    let options = Options { segment_bytes: 8192, log_retention: Duration::ZERO, ..Options::default() };
    let mut opened = open(folder.path(), options).unwrap();
    let (intake, outbox, control) = (opened.intake.clone(), opened.outbox.clone(), opened.control.clone());
    let mut records = opened.take_records();
    let started = opened.start(Position(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut last = Position(0);
    let mut store = |batches: usize| {
        for _ in 0..batches {
            let batch = (0..20).map(|i| contact("loop-a", i % 2 == 0)).collect();
            last = runtime.block_on(async { intake.store(batch).await.unwrap() }).last;
            while records.try_recv().is_ok() {}
        }
        last
    };
    let segments = || segment::list(&folder.path().join("log")).unwrap().len();
    let applied = store(60);
    let before = segments();
    assert!(before > 3, "several segments, none applied");
    // Concluded at the beginning of time: everything in the log is younger.
    outbox.append(vec![entry(&recipient, 1, Class::Alarm, 100)]).unwrap();
    control.applied(applied);
    store(1);
    assert!(segments() >= before, "a product still waits");
    outbox.confirm(&recipient, &[1]).unwrap();
    store(1);
    assert!(segments() < before);
    let oldest = segment::list(&folder.path().join("log")).unwrap()[0].0;
    assert!(oldest <= applied.0 + 1, "nothing goes that was not applied");
    started.stop();
}

#[test]
fn a_torn_tail_was_never_acknowledged_and_its_positions_are_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    for _ in 0..5 {
        store.store(vec![contact("loop-a", true)], None);
    }
    store.stop();
    let (_, path) = segment::list(&folder.path().join("log")).unwrap().remove(0);
    let scan = segment::scan(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // A sixth frame that got no further than its head.
    bytes[scan.end as usize..][..8].copy_from_slice(&[200, 0, 0, 0, 1, 2, 3, 4]);
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(folder.path());
    assert!(store.recovered.torn_bytes > 0);
    assert_eq!((store.recovered.damaged_bytes, store.recovered.last), (0, Position(5)));
    assert_eq!(store.seen(5).len(), 5);
    assert_eq!(store.store(vec![contact("loop-a", false)], None).last, Position(6));
    store.stop();
}
