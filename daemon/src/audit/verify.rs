//! Whether a journal is whole: its chain, its signatures, its order, its times; against the log it was made of, against what the
//! gateway's state knows of it, and against what an outside recipient got of it. Pure: lines in, findings in words out.

use super::{
    acts::{Act, Before},
    chain::{self, Head, STEP},
    journal::{Line, Whole},
};
use quaywatch_schemas::{
    Control, Record, Stamped, WallTime,
    audit::{CHECKPOINT_TYPE, Checkpoint, ENTRY_TYPE, Entry},
    policy::PublicKey,
};
use serde_json::Value;
use std::collections::{BTreeMap, btree_map};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Entries and checkpoints looked at.
    pub entries: u64,
    /// See `entries`.
    pub checkpoints: u64,
    /// What is wrong and where, in words. Empty if nothing is.
    pub problems: Vec<String>,
    /// What is not wrong and worth knowing.
    pub notes: Vec<String>,
    /// Numbers and hashes, for a comparison.
    hashes: BTreeMap<u64, String>,
    signed: Vec<(u64, String)>,
    /// Position of each record that has entries, with the stamp's times as its first entry has them.
    positions: BTreeMap<u64, (String, String)>,
    head: Head,
}

/// What a log of the gateway says that must be in the journal.
#[derive(Debug, Clone, Default)]
pub struct LogWitness {
    records: BTreeMap<u64, Witnessed>,
    first: Option<u64>,
    last: u64,
}

#[derive(Debug, Clone)]
struct Witnessed {
    time: String,
    gateway_time: String,
    /// What it says by itself; `None` for what no person did.
    act: Option<String>,
}

/// What an outside recipient got: one CloudEvent, entry or checkpoint a line.
#[derive(Debug, Clone, Default)]
pub struct Export {
    lines: Vec<Line>,
    unreadable: Vec<String>,
}

/// Verifies a journal. Without a key signatures are only taken for what they say of themselves, and that is noted.
pub fn verify(
    journal: &Whole,
    key: Option<&PublicKey>,
    known: Option<&Head>,
    log: Option<&LogWitness>,
    export: Option<&Export>,
) -> Report {
    let mut report = walked(&journal.lines, key, "the journal", false);
    report.problems.extend(journal.unreadable.iter().cloned());
    if let Some(known) = known {
        report.compare_with_head(known);
    }
    if let Some(log) = log {
        report.compare_with_log(log);
    }
    if let Some(export) = export {
        let theirs = verify_export(export, key);
        report.compare_with_export(theirs);
    }
    report
}

/// Verifies what an outside recipient got, by itself.
pub fn verify_export(export: &Export, key: Option<&PublicKey>) -> Report {
    let mut report = walked(&export.lines, key, "the export", true);
    report.problems.extend(export.unreadable.iter().cloned());
    report
}

impl Export {
    /// Reads NDJSON: CloudEvents as they were sent, or their data alone. A message that came twice counts once.
    pub fn read(text: &str) -> Self {
        let mut export = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("line {number} of the export");
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                export.unreadable.push(format!("{place} is not JSON"));
                continue;
            };
            let of_us = value["type"].as_str().is_none_or(|kind| [ENTRY_TYPE, CHECKPOINT_TYPE].contains(&kind));
            if !of_us {
                continue;
            }
            let data = if value["data"].is_object() { &value["data"] } else { &value };
            let text = chain::canonical(data);
            if seen.insert(text.clone()) {
                export.lines.push(Line { place, text });
            }
        }
        export
    }
}

impl LogWitness {
    /// Takes what must be in the journal from a record of the log.
    pub fn add(&mut self, record: &Stamped) {
        let position = record.stamp.position.0;
        self.first.get_or_insert(position);
        self.last = self.last.max(position);
        let Record::Control(control) = &record.record else {
            return;
        };
        // Only what a record says by itself: what a file changed depends on the file before.
        let nothing = Before { site: None, policy: None, security_level: 0, stopped: false, wall: WallTime(0) };
        let act = match control {
            Control::References(_) => None,
            control => Act::of(control, &nothing).first().map(|act| act.act.clone()),
        };
        let stamp = &record.stamp;
        let (time, gateway_time) = (chain::wall_text(stamp.wall), chain::gateway_text(stamp.gateway));
        self.records.insert(position, Witnessed { time, gateway_time, act });
    }
}

impl LogWitness {
    /// Without what is behind a record.
    pub fn up_to(mut self, position: u64) -> Self {
        self.records.split_off(&(position + 1));
        self
    }
}

/// Where a walk over a journal stands.
struct Walk<'a> {
    report: Report,
    what: &'a str,
    key: Option<&'a PublicKey>,
    last: Option<Entry>,
    last_hash: String,
    /// The last checkpoint: of which entry and when.
    signed_at: Option<(u64, i128)>,
    set_since_signed: bool,
    unsigned: u64,
    trimmed: Option<(u64, String)>,
    first: Option<(u64, String)>,
}

fn walked(lines: &[Line], key: Option<&PublicKey>, what: &str, may_begin_anywhere: bool) -> Report {
    let mut walk = Walk {
        report: Report::default(),
        what,
        key,
        last: None,
        last_hash: Head::default().hash,
        signed_at: None,
        set_since_signed: false,
        unsigned: 0,
        trimmed: None,
        first: None,
    };
    for line in lines {
        walk.line(line);
    }
    walk.end(may_begin_anywhere)
}

impl Walk<'_> {
    fn line(&mut self, line: &Line) {
        let value: Value = serde_json::from_str(&line.text).unwrap_or(Value::Null);
        let entry = serde_json::from_value::<Entry>(value["entry"].clone());
        let checkpoint = serde_json::from_value::<Checkpoint>(value["checkpoint"].clone());
        match (entry, checkpoint) {
            (Ok(entry), _) => self.entry(entry, &value, line),
            (_, Ok(checkpoint)) => self.checkpoint(&checkpoint, &value, line),
            _ => self.wrong(format!("{} ({}) is neither an entry nor a checkpoint", self.what, line.place)),
        }
    }

    fn entry(&mut self, entry: Entry, value: &Value, line: &Line) {
        let number = entry.number;
        let hash = chain::hash_of(&value["entry"]);
        let here = format!("entry {number} of {} ({})", self.what, line.place);
        if value["hash"] != hash.as_str() {
            self.wrong(format!("{here} was changed: its hash does not fit it"));
        }
        match &self.last {
            None => self.first = Some((number, entry.previous.clone())),
            Some(last) if number == last.number + 1 => {
                if entry.previous != self.last_hash {
                    let before = last.number;
                    self.wrong(format!(
                        "{here} does not follow from entry {before}: one of them was changed or replaced"
                    ));
                }
            }
            Some(last) if number > last.number + 1 => {
                let missing = match (last.number + 1, number - 1) {
                    (one, same) if one == same => format!("entry {one} is missing"),
                    (first, last) => format!("entries {first} to {last} are missing"),
                };
                self.wrong(format!("{missing} before {here}"));
            }
            Some(last) => {
                let before = last.number;
                self.wrong(format!("{here} stands behind entry {before}: the order was changed"));
            }
        }
        self.order_and_time(&entry, &here);
        if entry.act == "clock.set" {
            self.set_since_signed = true;
        }
        if let ("journal.trimmed", Some(through), Some(hash)) =
            (entry.act.as_str(), entry.details.get("through"), entry.details.get("hash"))
        {
            let through = through.parse().unwrap_or(0);
            if self.trimmed.as_ref().is_none_or(|(before, _)| *before < through) {
                self.trimmed = Some((through, hash.clone()));
            }
        }
        if let btree_map::Entry::Vacant(place) = self.report.positions.entry(entry.position) {
            // What is found between two records has no record of its own, only the place of the one before.
            if !entry.act.starts_with("journal.") && entry.act != "clock.set" {
                place.insert((entry.time.clone(), entry.gateway_time.clone()));
            }
        }
        self.report.hashes.insert(number, hash.clone());
        self.report.entries += 1;
        self.unsigned += 1;
        self.last_hash = hash;
        self.last = Some(entry);
    }

    fn order_and_time(&mut self, entry: &Entry, here: &str) {
        let times = |entry: &Entry| chain::nanoseconds(&entry.time).zip(chain::nanoseconds(&entry.gateway_time));
        let Some((wall, gateway)) = times(entry) else {
            return self.wrong(format!("{here} has no times that can be read"));
        };
        let signed = self.signed_at.filter(|(_, at)| wall < *at && !self.set_since_signed && entry.act != "clock.set");
        if let Some((number, _)) = signed {
            self.wrong(format!(
                "{here} is back-dated: it lies before the checkpoint of entry {number}, and no clock was set"
            ));
        }
        let Some(last) = &self.last else { return };
        if entry.position < last.position {
            let (before, at) = (last.number, last.position);
            return self.wrong(format!("{here} is of an earlier record than entry {before}, which is of record {at}"));
        }
        let Some((last_wall, last_gateway)) = times(last) else { return };
        let (before, explained) = (last.number, last.act == "clock.set" && last.position == entry.position);
        if gateway < last_gateway {
            return self
                .wrong(format!("{here} is back-dated: the gateway's own clock stood earlier than at entry {before}"));
        }
        let step = (wall - last_wall) - (gateway - last_gateway);
        let free = explained || entry.act == "clock.set" || starts(entry);
        if !free && step.unsigned_abs() > STEP.as_nanos() {
            let by = chain::said(step);
            self.wrong(format!(
                "{here} is dated {by} away from what the gateway's own clock says, and no clock was set"
            ));
        } else if starts(entry) && !explained && wall < last_wall {
            self.wrong(format!("{here} is back-dated: a start lies before entry {before}, and no clock was set"));
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, value: &Value, line: &Line) {
        self.report.checkpoints += 1;
        let number = checkpoint.number;
        let here = format!("the checkpoint of entry {number} of {} ({})", self.what, line.place);
        let said = value["key"].as_str().and_then(|key| PublicKey::parse(key).ok());
        let key = self.key.copied().or(said);
        let signature = value["signature"].as_str().unwrap_or_default();
        if !key.is_some_and(|key| chain::is_signed(&value["checkpoint"], signature, &key)) {
            return self.wrong(format!("{here} is not signed with the gateway's key"));
        }
        self.report.signed.push((number, checkpoint.hash.clone()));
        let last = self.last.as_ref().map_or(0, |last| last.number);
        if self.report.entries == 0 {
            // The part before it is not here.
        } else if number > last {
            self.wrong(format!("entries {} to {number} are missing before {here}: they were signed", last + 1));
        } else if number < last {
            self.wrong(format!("{here} stands behind entry {last}: the order was changed"));
        } else if checkpoint.hash != self.last_hash {
            self.wrong(format!("entry {number} of {} ({}) is not the one that was signed", self.what, line.place));
        }
        match chain::nanoseconds(&checkpoint.time) {
            Some(at) => {
                let before = self.signed_at.filter(|(_, before)| at < *before && !self.set_since_signed);
                if let Some((other, _)) = before {
                    self.wrong(format!("{here} is back-dated: it lies before the checkpoint of entry {other}"));
                }
                self.signed_at = Some((number, at));
                self.set_since_signed = false;
            }
            None => self.wrong(format!("{here} has no time that can be read")),
        }
        self.unsigned = 0;
    }

    fn end(mut self, may_begin_anywhere: bool) -> Report {
        if let Some((first, previous)) = self.first.clone() {
            let let_go = self
                .trimmed
                .as_ref()
                .is_some_and(|(through, hash)| through + 1 == first && *hash == previous || *through >= first);
            let at_the_beginning = first == 1 && previous == Head::default().hash;
            if first == 1 && !at_the_beginning {
                self.wrong("entry 1 names an entry before it".into());
            } else if !at_the_beginning && !let_go && !may_begin_anywhere {
                let before = first - 1;
                let what = format!("entries 1 to {before} are missing, and no entry says that they were let go of");
                self.wrong(what);
            } else if !at_the_beginning {
                self.report.notes.push(format!("{} begins with entry {first}", self.what));
            }
        }
        if self.unsigned > 0 {
            let count = self.unsigned;
            self.report.notes.push(format!("the last {count} entries of {} are not signed yet", self.what));
        }
        if self.key.is_none() && self.report.checkpoints > 0 {
            let note = "no key was given: signatures were verified with the key that stands beside them";
            self.report.notes.push(note.into());
        }
        let number = self.last.as_ref().map_or(0, |last| last.number);
        let position = quaywatch_schemas::Position(self.last.as_ref().map_or(0, |last| last.position));
        self.report.head = Head { number, hash: self.last_hash, position };
        self.report
    }

    fn wrong(&mut self, what: String) {
        self.report.problems.push(what);
    }
}

impl Report {
    fn compare_with_head(&mut self, known: &Head) {
        if known.number > self.head.number {
            self.problems.push(format!(
                "the journal ends with entry {}, and the gateway had entered {}: its end was cut off",
                self.head.number, known.number
            ));
        } else if self.hashes.get(&known.number).is_some_and(|hash| *hash != known.hash) {
            self.problems.push(format!("entry {} is not the one that the gateway had entered", known.number));
        }
    }

    /// The log keeps less than the journal: only what both can have is compared.
    fn compare_with_log(&mut self, log: &LogWitness) {
        let Some((&first, _)) = self.positions.first_key_value() else { return };
        let mut wrong = Vec::new();
        for (position, record) in log.records.range(first..) {
            match (self.positions.get(position), &record.act) {
                (None, Some(act)) => {
                    wrong.push(format!("record {position} of the log ({act}) has no entry in the journal"));
                }
                (Some((time, gateway)), _) if *time != record.time || *gateway != record.gateway_time => {
                    wrong.push(format!(
                        "the entry of record {position} is dated {time}, and the log has it at {}",
                        record.time
                    ));
                }
                _ => {}
            }
        }
        let from = log.first.unwrap_or(u64::MAX);
        let beyond = self.positions.range(from..).filter(|(position, _)| **position > log.last);
        wrong.extend(
            beyond.map(|(position, _)| format!("the journal has an entry of record {position}, which the log lacks")),
        );
        self.problems.extend(wrong);
    }

    fn compare_with_export(&mut self, theirs: Report) {
        let (ours, last) = (std::mem::take(&mut self.hashes), self.head.number);
        for (number, hash) in &theirs.hashes {
            match ours.get(number) {
                Some(own) if own != hash => {
                    self.problems.push(format!("entry {number} of the journal is not the one that was exported"));
                }
                None if *number > last => {
                    self.problems.push(format!("the journal ends with entry {last}, and entry {number} was exported"));
                }
                _ => {}
            }
        }
        for (number, hash) in &theirs.signed {
            if ours.get(number).is_some_and(|own| own != hash) {
                self.problems
                    .push(format!("entry {number} of the journal is not the one whose checkpoint was exported"));
            }
        }
        if let (Some((first, _)), Some((end, _))) = (theirs.hashes.first_key_value(), theirs.hashes.last_key_value()) {
            for number in ours.range(first..=end).map(|(number, _)| number) {
                if !theirs.hashes.contains_key(number) {
                    self.problems.push(format!("the export lacks entry {number} of the journal"));
                }
            }
        }
        self.hashes = ours;
        self.problems.extend(theirs.problems);
        self.notes.extend(theirs.notes);
    }
}

fn starts(entry: &Entry) -> bool {
    entry.act == "gateway.started"
}
