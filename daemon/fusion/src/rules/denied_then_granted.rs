//! Denied then granted: a credential was refused, and straight after another one opened the same door.
//!
//! Somebody who is let in by a colleague looks like that, and so do two people at a busy door. How busy it is decides: at
//! a door that opens every few seconds it means nothing, at one that opens twice an hour it means a lot.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
};
use crate::{
    bounds::EVENTS_PER_DOOR,
    evidence::Draft,
    trails::{Access, TrailEvent, holder_as_subject},
};
use alloc::{collections::VecDeque, format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.denied-then-granted",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.denied_then_granted.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// What one zone's readers read lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DeniedThenGranted {
    /// In the order it was; at the bound the oldest goes.
    reads: VecDeque<Decided>,
    rhythm: Rhythm,
    findings: Findings<Helped>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Decided {
    holder: Handle,
    access: Access,
    reader: SensorId,
    at: WallTime,
    position: Position,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Helped {
    refused: Decided,
    granted: Decided,
    /// Mean time between two reads here, in seconds.
    usual: f64,
}

/// How often the readers read, as a mean of the last gaps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Rhythm {
    last: Option<WallTime>,
    gaps: u32,
    mean: f64,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Of five people who are refused one is helped by somebody.
const PRIOR: f64 = 0.2;
/// Who helps does it within seconds: mean of an exponential.
const HELPING: f64 = 10.0;
/// Before the rhythm is known: a door that is used every five minutes.
const UNKNOWN_RHYTHM: f64 = 300.0;
const RHYTHM_KNOWN: u32 = 5;
/// The mean is over about so many gaps, and an idle night counts as no more than this.
const GAPS: u32 = 20;
const LONGEST_GAP: f64 = 3600.0;

impl Rule for DeniedThenGranted {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Trail(event) = seen else { return };
        self.note(event);
        self.judge(here);
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        self.findings.fire(here);
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.findings.next_due()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.findings.stop(here);
    }
}

impl DeniedThenGranted {
    fn note(&mut self, event: &TrailEvent<'_>) {
        let read = event.read();
        if let Some(known) = self.reads.iter_mut().find(|known| known.position == read.position) {
            known.access = read.access;
            return;
        }
        if event.again {
            return;
        }
        self.rhythm.note(read.at);
        if self.reads.len() == EVENTS_PER_DOOR {
            self.reads.pop_front();
        }
        let decided = Decided {
            holder: event.holder,
            access: read.access,
            reader: read.reader.clone(),
            at: read.at,
            position: read.position,
        };
        let index = self.reads.partition_point(|known| known.at <= read.at);
        self.reads.insert(index, decided);
    }

    /// A refusal may come after the grant that followed it: all grants that are remembered are judged.
    fn judge(&mut self, here: &mut Here<'_>) {
        let rule = here.site.rules.denied_then_granted.as_ref();
        let within = rule.map(|rule| rule.settings.clone()).unwrap_or_default().within;
        let usual = self.rhythm.usual();
        for index in 0..self.reads.len() {
            let granted = &self.reads[index];
            let refused = self.reads.iter().take(index).rfind(|before| {
                before.access == Access::Denied && before.reader == granted.reader && before.at.after(within) >= granted.at
            });
            // The same holder had better luck at the second try, or was let in by now.
            let helped = refused.filter(|refused| {
                let between = self.reads.iter().skip_while(|read| read.position != refused.position).take_while(|read| read.at <= granted.at);
                granted.access == Access::Granted
                    && !between.into_iter().any(|read| read.access == Access::Granted && read.holder == refused.holder)
            });
            let first = granted.position;
            let helped = helped.map(|refused| Helped { refused: refused.clone(), granted: granted.clone(), usual });
            self.findings.judge(first, helped, LEAST, here);
        }
    }
}

impl Rhythm {
    fn note(&mut self, at: WallTime) {
        let last = self.last.replace(self.last.map_or(at, |last| last.max(at)));
        if let Some(last) = last.filter(|last| *last < at) {
            let gap = (at.0.saturating_sub(last.0) as f64 / 1e9).min(LONGEST_GAP);
            self.gaps = (self.gaps + 1).min(GAPS);
            self.mean += (gap - self.mean) / f64::from(self.gaps);
        }
    }

    fn usual(&self) -> f64 {
        if self.gaps < RHYTHM_KNOWN { UNKNOWN_RHYTHM } else { self.mean.max(1.0) }
    }
}

impl Finding for Helped {
    fn first(&self) -> Position {
        self.granted.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("a credential was refused and another opened the door straight after"),
            Phrase::words("Somebody who was refused was probably let in by somebody else."),
            PRIOR,
            self.refused.at,
        );
        draft.until = Some(self.granted.at);
        draft.severity = Severity::Moderate;
        draft.urgency = Urgency::Expected;
        draft.answer_within = Some(Duration::from_secs(600));
        let seconds = self.granted.at.0.saturating_sub(self.refused.at.0).max(0) as f64 / 1e9;
        let helped = libm::log(1.0 / HELPING) - seconds / HELPING;
        let by_chance = libm::log(1.0 / self.usual) - seconds / self.usual;
        let said = format!("another credential {seconds:.0} s after one was refused");
        let reads = [self.refused.position, self.granted.position];
        draft.said(here, &self.granted.reader, &reads, Phrase::words(said), helped - by_chance);
        let often = super::pass_back::spell(self.usual);
        draft.facts = vec![
            Phrase::words(format!("A credential was refused, and another opened the same door {seconds:.0} s later.")),
            Phrase::words(format!("Credentials are read here every {often} or so.")),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Look who went in."),
            Phrase::words("Look at the footage of the door who went in, and ask why the first one was refused."),
        );
        let read_by = vec![self.granted.reader.clone()];
        draft.subjects.push(holder_as_subject("person.refused", self.refused.holder, read_by.clone()));
        draft.subjects.push(holder_as_subject("person.admitted", self.granted.holder, read_by));
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("the next in line went in, and the refused one did not"),
            probability: not,
        });
        draft
    }
}
