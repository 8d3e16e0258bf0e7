//! Whatever somebody does to a journal is found: an entry that is gone, changed, moved, dated back or cut off; with the
//! gateway's key or without it.

use super::*;
use crate::published::fictional;
use quaywatch_schemas::{
    Control, GatewayTime, Policy, Position, Record, SensorId, Site, Stamp, Stamped, WallTime,
    audit::{Entered, SignedCheckpoint},
    control::OperatorAct,
    policy::PublicKey,
    site::rules::{Mode, Rule},
    time::ClockQuality,
};
use quaywatch_sharing::signing;
use serde_json::Value;
use std::path::Path;

const SECRET: [u8; 32] = [7; 32];
/// 2026-03-14T02:12:04Z
const BEGAN: i64 = 1_773_454_324_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn stamp(position: u64, seconds: i64) -> Stamp {
    let at = BEGAN + seconds * SECOND;
    Stamp {
        position: Position(position),
        gateway: GatewayTime(u64::try_from(at).unwrap()),
        wall: WallTime(at),
        quality: ClockQuality::default(),
    }
}

fn record(position: u64, seconds: i64, control: Control) -> Stamped {
    Stamped { stamp: stamp(position, seconds), record: Record::Control(control) }
}

fn tapped() -> Control {
    let sensor = SensorId::new("rear").unwrap();
    Control::OperatorAct { by: "uid 0".into(), act: OperatorAct::Tapped { sensor } }
}

fn started() -> Control {
    Control::Started { build: "quaywatch".into(), boot: [1; 16] }
}

fn site() -> Site {
    let mut site = fictional::site();
    site.rules.tailgating = Some(Rule::everywhere(Mode::Tell));
    site.rules.passage = Some(Rule::everywhere(Mode::Tell));
    site
}

fn applied(site: &Site) -> Control {
    Control::SiteApplied { site: Box::new(site.clone()), digest: [3; 32] }
}

/// A morning: a start, both files, a camera turned away, a rule off, people watching; 24 entries, a checkpoint after each fifth.
fn morning() -> Vec<Stamped> {
    let site = site();
    let mut turned = site.clone();
    turned.rules.tailgating = None;
    let mut records = vec![
        record(1, 0, started()),
        record(2, 0, applied(&site)),
        record(3, 0, Control::PolicyApplied { policy: Box::new(fictional::policy()), digest: [4; 32] }),
        record(9, 40, applied(&turned)),
        record(10, 40, Control::SecurityLevel { level: 2, by: "port-authority".into() }),
    ];
    records.extend((0..16).map(|n| record(20 + n, 60 + n as i64, tapped())));
    records.push(record(40, 100, Control::Stopped));
    records
}

/// Enters records as the pipeline does.
fn enter(journal: &mut Journal, records: &[Stamped]) {
    let (mut site, mut policy): (Option<Site>, Option<Policy>) = (None, None);
    for (index, record) in records.iter().enumerate() {
        journal.take(record, site.as_ref(), policy.as_ref(), 1);
        match &record.record {
            Record::Control(Control::SiteApplied { site: new, .. }) => site = Some((**new).clone()),
            Record::Control(Control::PolicyApplied { policy: new, .. }) => policy = Some((**new).clone()),
            _ => {}
        }
        if index % 5 == 4 {
            journal.checkpoint(&record.stamp);
        }
        journal.sync(&record.stamp).unwrap();
    }
}

fn written(folder: &Path, records: &[Stamped]) -> Whole {
    let mut journal = Journal::open(folder, SECRET).unwrap();
    enter(&mut journal, records);
    read_all(folder).unwrap()
}

fn key() -> PublicKey {
    signing::public_key(&SECRET)
}

fn log_of(records: &[Stamped]) -> LogWitness {
    let mut log = LogWitness::default();
    records.iter().for_each(|record| log.add(record));
    log
}

fn export_of(whole: &Whole) -> Export {
    let lines: Vec<&str> = whole.lines.iter().map(|line| line.text.as_str()).collect();
    Export::read(&lines.join("\n"))
}

fn entered(line: &Line) -> Option<Entered> {
    serde_json::from_str(&line.text).ok()
}

fn numbers(whole: &Whole) -> Vec<u64> {
    whole.lines.iter().filter_map(entered).map(|entered| entered.entry.number).collect()
}

fn head_of(whole: &Whole) -> Head {
    let last = whole.lines.iter().rev().find_map(entered).unwrap();
    Head { number: last.entry.number, hash: last.hash, position: Position(last.entry.position) }
}

#[track_caller]
fn finds(report: &Report, words: &str, what: &str) {
    assert!(report.problems.iter().any(|problem| problem.contains(words)), "{what}: {:#?}", report.problems);
}

/// Whoever has no key makes the chain fit again behind a place, and leaves the signatures.
fn chained_again(whole: &mut Whole, from: usize) {
    let mut previous = None;
    for (index, line) in whole.lines.iter_mut().enumerate() {
        let Some(mut known) = entered(line) else { continue };
        if index > from
            && let Some(previous) = previous.take()
        {
            known.entry.previous = previous;
        }
        if index >= from {
            known = chain::enter(known.entry);
            line.text = serde_json::to_string(&known).unwrap();
        }
        previous = Some(known.hash);
    }
}

/// Whoever has the key, which root on the box has, signs it all again too.
fn signed_again(whole: &mut Whole) {
    let mut last = Head::default();
    for line in &mut whole.lines {
        match (entered(line), serde_json::from_str::<SignedCheckpoint>(&line.text)) {
            (Some(known), _) => last = Head { number: known.entry.number, hash: known.hash, position: Position(0) },
            (None, Ok(mut signed)) => {
                (signed.checkpoint.number, signed.checkpoint.hash) = (last.number, last.hash.clone());
                line.text = serde_json::to_string(&chain::sign(signed.checkpoint, &SECRET)).unwrap();
            }
            (None, Err(_)) => panic!("{line:?}"),
        }
    }
}

#[test]
fn an_untouched_journal_is_whole_against_log_state_and_export() {
    let folder = tempfile::tempdir().unwrap();
    let records = morning();
    let whole = written(folder.path(), &records);
    let (log, export, head) = (log_of(&records), export_of(&whole), head_of(&whole));
    let report = verify(&whole, Some(&key()), Some(&head), Some(&log), Some(&export));
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.entries, numbers(&whole).len() as u64);
    assert!(report.checkpoints >= 4, "{report:?}");
    assert_eq!(verify_export(&export, Some(&key())).problems, Vec::<String>::new());
}

#[test]
fn each_entry_that_is_taken_out_is_found_missing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &morning());
    for (index, line) in whole.lines.iter().enumerate() {
        let Some(gone) = entered(line) else { continue };
        let mut cut = whole.clone();
        cut.lines.remove(index);
        let report = verify(&cut, Some(&key()), Some(&head_of(&whole)), None, None);
        assert!(!report.problems.is_empty(), "entry {}", gone.entry.number);
        // Also when all behind it moves up, as if it had never been.
        if index + 1 < cut.lines.len() {
            let mut closed = cut.clone();
            let mut number = gone.entry.number;
            for line in closed.lines.iter_mut().skip(index) {
                if let Some(mut moved) = entered(line) {
                    moved.entry.number = number;
                    number += 1;
                    line.text = serde_json::to_string(&moved).unwrap();
                }
            }
            chained_again(&mut closed, index);
            let report = verify(&closed, Some(&key()), Some(&head_of(&whole)), None, None);
            assert!(!report.problems.is_empty(), "entry {} and all behind it moved up", gone.entry.number);
        }
    }
}

#[test]
fn each_member_of_each_entry_that_is_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &morning());
    for (index, line) in whole.lines.iter().enumerate() {
        let value: Value = serde_json::from_str(&line.text).unwrap();
        let (part, members) = match value.get("entry") {
            Some(entry) => ("entry", entry.as_object().unwrap()),
            None => ("checkpoint", value["checkpoint"].as_object().unwrap()),
        };
        for (name, before) in members {
            let after = match before {
                Value::Number(number) => Value::from(number.as_u64().unwrap() + 1),
                Value::String(text) => Value::from(format!("{text} ")),
                _ => Value::from("nothing"),
            };
            let mut changed = value.clone();
            changed[part][name] = after;
            let mut other = whole.clone();
            other.lines[index].text = changed.to_string();
            let report = verify(&other, Some(&key()), None, None, None);
            assert!(!report.problems.is_empty(), "{name} of {}", line.text);
        }
    }
}

#[test]
fn any_two_neighbours_that_change_places_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &morning());
    for index in 1..whole.lines.len() {
        let mut swapped = whole.clone();
        swapped.lines.swap(index - 1, index);
        let report = verify(&swapped, Some(&key()), None, None, None);
        assert!(!report.problems.is_empty(), "lines {} and {index}", index - 1);
    }
}

/// Dates an entry back by an hour on both clocks, or on the one people read.
fn dated_back(whole: &Whole, index: usize, both: bool) -> Whole {
    let mut dated = whole.clone();
    let mut known = entered(&dated.lines[index]).unwrap();
    let earlier = |text: &str| {
        let at = chain::nanoseconds(text).unwrap() - 3_600_000_000_000;
        chain::wall_text(WallTime(i64::try_from(at).unwrap()))
    };
    known.entry.time = earlier(&known.entry.time);
    if both {
        known.entry.gateway_time = earlier(&known.entry.gateway_time);
    }
    dated.lines[index].text = serde_json::to_string(&known).unwrap();
    chained_again(&mut dated, index);
    dated
}

#[test]
fn each_entry_that_is_dated_back_is_found_even_if_root_signs_it_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let records = morning();
    let whole = written(folder.path(), &records);
    let (log, export) = (log_of(&records), export_of(&whole));
    for (index, line) in whole.lines.iter().enumerate() {
        let Some(known) = entered(line) else { continue };
        let number = known.entry.number;
        for both in [true, false] {
            let mut dated = dated_back(&whole, index, both);
            if number > 1 {
                let report = verify(&dated, Some(&key()), None, None, None);
                assert!(!report.problems.is_empty(), "entry {number}, both clocks: {both}");
            }
            signed_again(&mut dated);
            let report = verify(&dated, Some(&key()), None, Some(&log), None);
            // What is found between two records has no record to be compared with; what was exported has it.
            if number > 1 {
                assert!(!report.problems.is_empty(), "entry {number} against the log, both clocks: {both}");
            }
            let report = verify(&dated, Some(&key()), None, None, Some(&export));
            finds(&report, "is not the one that was exported", &format!("entry {number} against the export"));
        }
    }
}

#[test]
fn a_journal_that_is_cut_off_anywhere_is_found_by_what_state_log_and_export_know() {
    let folder = tempfile::tempdir().unwrap();
    let records = morning();
    let whole = written(folder.path(), &records);
    let (head, log, export) = (head_of(&whole), log_of(&records), export_of(&whole));
    for end in 1..whole.lines.len() {
        let mut cut = whole.clone();
        cut.lines.truncate(end);
        if head_of(&cut) == head {
            continue;
        }
        finds(&verify(&cut, Some(&key()), Some(&head), None, None), "its end was cut off", "state");
        finds(&verify(&cut, Some(&key()), None, None, Some(&export)), "was exported", "export");
        // A record's entries are one frame: a cut within one leaves the record with some.
        if head_of(&cut).position < head.position {
            finds(&verify(&cut, Some(&key()), None, Some(&log), None), "has no entry in the journal", "log");
        }
        // And from the beginning on.
        let mut headless = whole.clone();
        headless.lines.drain(..end);
        assert!(!verify(&headless, Some(&key()), None, None, None).problems.is_empty(), "from line {end} on");
    }
}

#[test]
fn a_journal_that_another_key_signed_is_none_of_this_gateways() {
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &morning());
    let other = signing::public_key(&[8; 32]);
    finds(&verify(&whole, Some(&other), None, None, None), "is not signed with the gateway's key", "another key");
}

#[test]
fn whatever_a_crash_leaves_a_replay_completes_and_doubles_nothing() {
    let records = morning();
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &records);
    for crash in 0..records.len() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &records[..crash]);
        // The pipeline takes the log again from its own checkpoint, which is older than the journal.
        let again = written(folder.path(), &records);
        let entries = |whole: &Whole| whole.lines.iter().filter_map(entered).collect::<Vec<_>>();
        assert_eq!(entries(&again), entries(&whole), "cut off before record {crash}");
        assert_eq!(verify(&again, Some(&key()), None, Some(&log_of(&records)), None).problems, Vec::<String>::new());
    }
}

#[test]
fn a_frame_that_was_torn_in_a_crash_is_written_whole_again() {
    let records = morning();
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path(), &records[..4]);
    let path = crate::ledger::segment::path_of(folder.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Record 9 has several entries: the file and what it changes.
    let of_last = whole.lines.iter().filter_map(entered).filter(|entered| entered.entry.position == 9).count();
    assert!(of_last > 1, "{of_last}");
    let mut torn = bytes.clone();
    torn[used - 40..].fill(0);
    std::fs::write(&path, torn).unwrap();
    let again = written(folder.path(), &records);
    assert_eq!(numbers(&again), (1..=numbers(&again).len() as u64).collect::<Vec<_>>());
    assert_eq!(verify(&again, Some(&key()), None, Some(&log_of(&records)), None).problems, Vec::<String>::new());
}

#[test]
fn a_new_site_file_cannot_hide_what_it_switches_off() {
    let site = site();
    let mut other = site.clone();
    other.rules.tailgating = None;
    if let Some(passage) = &mut other.rules.passage {
        passage.mode = Mode::Observe;
    }
    let (gone, _) = other.sensors.pop_first().unwrap();
    let (turned, sensor) = other.sensors.iter_mut().next().unwrap();
    sensor.mount = Some(quaywatch_schemas::site::Mount { x: 1.0, y: 2.0, facing_deg: 180.0 });
    let turned = turned.to_string();
    let (opened, zone) = other.zones.iter_mut().next().unwrap();
    zone.closed = match zone.closed {
        None => Some(quaywatch_schemas::site::Closed::Always),
        Some(_) => None,
    };
    let opened = opened.to_string();
    let acts = changes::of_site(Some(&site), &other);
    let has = |act: &str, name: &str| {
        acts.iter().any(|known| known.act == act && known.details.values().any(|value| value == name))
    };
    assert!(has("rule.off", "tailgating"), "{acts:#?}");
    assert!(has("sensor.removed", gone.as_str()), "{acts:#?}");
    assert!(has("sensor.view", &turned), "{acts:#?}");
    assert!(has("zone.closed", &opened), "{acts:#?}");
    assert!(has("rule.mode", "passage"), "{acts:#?}");
    assert_eq!(changes::of_site(Some(&site), &site), Vec::new(), "the same file again changes nothing");
    let mut later = site.clone();
    later.utc_offsets.clear();
    assert_eq!(changes::of_site(Some(&site), &later), Vec::new(), "reading it another day changes nothing");
}

#[test]
fn an_export_that_is_switched_off_or_sent_elsewhere_leaves_an_entry() {
    let to = |audit: Option<&str>| Policy { audit: audit.map(Into::into), ..fictional::policy() };
    let acts = |before: &Policy, after: &Policy| -> Vec<String> {
        changes::of_policy(Some(before), after, "ada").into_iter().map(|act| act.act).collect()
    };
    let (outside, own) = (to(Some("mqtts://authority:8883 qw/audit")), to(Some("mqtt://127.0.0.1:1883 mine")));
    assert_eq!(acts(&outside, &to(None)), ["audit.off"]);
    assert_eq!(acts(&outside, &own), ["audit.changed"]);
    assert_eq!(acts(&to(None), &outside), ["audit.on"]);
    assert_eq!(acts(&outside, &outside), Vec::<String>::new());
}

#[test]
fn a_clock_that_is_set_is_an_entry_and_explains_the_times_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let set = |position, gateway: i64, wall: i64| {
        let mut record = record(position, gateway, tapped());
        record.stamp.wall = WallTime(BEGAN + wall * SECOND);
        record
    };
    // Set back by an hour while it runs, then once more while it is off.
    let mut restart = record(5, 90, started());
    restart.stamp.wall = WallTime(BEGAN - 7200 * SECOND);
    let mut after = record(6, 91, tapped());
    after.stamp.wall = WallTime(BEGAN - 7199 * SECOND);
    let records = [record(1, 0, started()), set(2, 10, 10), set(3, 20, -3580), set(4, 30, -3570), restart, after];
    let mut journal = Journal::open(folder.path(), SECRET).unwrap();
    enter(&mut journal, &records);
    let whole = read_all(folder.path()).unwrap();
    let set: Vec<u64> = whole
        .lines
        .iter()
        .filter_map(entered)
        .filter(|entered| entered.entry.act == "clock.set")
        .map(|entered| entered.entry.position)
        .collect();
    assert_eq!(set, [3, 5]);
    assert_eq!(verify(&whole, Some(&key()), None, Some(&log_of(&records)), None).problems, Vec::<String>::new());
}

#[test]
fn a_journal_that_was_cut_goes_on_behind_the_numbers_it_had_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let records = morning();
    let head = head_of(&written(folder.path(), &records));
    std::fs::remove_dir_all(folder.path()).unwrap();
    let mut journal = Journal::open(folder.path(), SECRET).unwrap();
    journal.expect(&head);
    enter(&mut journal, &[record(41, 200, started())]);
    let whole = read_all(folder.path()).unwrap();
    let first = entered(&whole.lines[0]).unwrap().entry;
    assert_eq!((first.number, first.act.as_str(), &first.previous), (head.number + 1, "journal.cut", &head.hash));
    finds(&verify(&whole, Some(&key()), None, None, None), "are missing", "the cut stays visible");
}

#[test]
fn at_its_bound_the_oldest_goes_and_an_entry_says_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::with(folder.path(), SECRET, 64 << 10).unwrap();
    let mut position = 0;
    let long = "x".repeat(255);
    let mut say = |journal: &mut Journal| {
        for _ in 0..64 {
            position += 1;
            let act = OperatorAct::Reloaded { outcome: long.clone() };
            let control = Control::OperatorAct { by: "uid 0".into(), act };
            journal.take(&record(position, position as i64, control), None, None, 1);
        }
        journal.sync(&stamp(position, position as i64)).unwrap();
    };
    let segments = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    while read_first(folder.path()) == 1 {
        say(&mut journal);
    }
    assert!(segments(folder.path()) <= 65, "{}", segments(folder.path()));
    let whole = read_all(folder.path()).unwrap();
    let report = verify(&whole, Some(&key()), None, None, None);
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.notes.iter().any(|note| note.contains("begins with entry")), "{:?}", report.notes);
    let mut silent = whole;
    silent.lines.retain(|line| !line.text.contains("journal.trimmed"));
    assert!(!verify(&silent, Some(&key()), None, None, None).problems.is_empty());
}

fn read_first(folder: &Path) -> u64 {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.first().and_then(|name| name.to_str()?.strip_suffix(".seg")?.parse().ok()).unwrap_or(1)
}
