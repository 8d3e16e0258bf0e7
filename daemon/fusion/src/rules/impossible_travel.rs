//! Impossible travel: one credential was at two readers sooner than anybody gets from one to the other.
//!
//! What it would have taken is a speed; how surely nobody is that fast depends on whether one could drive, on people who
//! run or speed a little, and on how well the two readers' clocks are known. Only what does not fit is found: a read that
//! agrees with where the credential was before it, or with an odd read since, moves the trail on. One read is one finding:
//! where a read is already said as out of zone, the way to it and from it is not said again.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
    out_of_zone,
    pass_back::spell,
};
use crate::{
    evidence::{Draft, logit},
    trails::{Read, TrailEvent, holder_as_subject},
};
use alloc::{format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.impossible-travel",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.impossible_travel.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// What was found at one zone's readers lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ImpossibleTravel {
    findings: Findings<Travel>,
}

/// A way between two readers, and how probable it is that somebody was as fast as it takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Travel {
    holder: Handle,
    from: At,
    to: At,
    metres: f64,
    seconds: f64,
    /// How probable it is that one person covers it so soon.
    possible: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct At {
    reader: SensorId,
    at: WallTime,
    position: Position,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// One way in fifty that is too fast has another reason than speed before anything else is known.
const PRIOR: f64 = 0.02;
/// Nobody drives from one door to the next: below this people are on foot, in metres.
const DRIVEN_FROM_M: f64 = 200.0;
/// The set speeds are kept by 95 of 100; the rest spread like a log-normal of this width: 1.4 times the speed is one in 300.
const SPREAD: f64 = 0.35;
const KEPT_BY_95: f64 = 1.645;
/// On foot three of a hundred run or cycle, at a bit more than twice the speed.
const RUN: f64 = 0.03;
const RUNNING: f64 = 2.2;
/// One read in two thousand has a time that is quite wrong: the reader's clock was just set.
const WRONG_TIME: f64 = 5e-4;

impl Rule for ImpossibleTravel {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Trail(event) = seen {
            let travel = odd(event, here);
            self.findings.judge(event.read().position, travel, LEAST, here);
        }
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

/// The way to the read that is looked at, if nobody covers it so soon from anywhere the credential may have been.
fn odd(event: &TrailEvent<'_>, here: &Here<'_>) -> Option<Travel> {
    // The last read that fits, and those since that do not.
    let mut standing: Vec<&Read> = Vec::new();
    for (index, read) in event.trail.reads.iter().enumerate().take(event.index + 1) {
        if place(read, here).is_none() || out_of_zone::is_said(event.holder, read, here) {
            continue;
        }
        let easiest = standing
            .iter()
            .filter_map(|before| travel(event.holder, before, read, here))
            .max_by(|one, other| one.possible.total_cmp(&other.possible));
        match easiest {
            Some(travel) if travel.log_odds() > 0.0 => {
                if index == event.index {
                    return Some(travel);
                }
                standing.push(read);
            }
            _ => standing = vec![read],
        }
    }
    None
}

fn place(read: &Read, here: &Here<'_>) -> Option<(f64, f64)> {
    // What was kept back has the time of the reader's own clock: it tells an order, not a speed.
    here.site.sensors.get(&read.reader).filter(|_| read.live)?.mount.map(|mount| (mount.x, mount.y))
}

fn travel(holder: Handle, from: &Read, to: &Read, here: &Here<'_>) -> Option<Travel> {
    let settings = here.site.rules.impossible_travel.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let ((x, y), (to_x, to_y)) = (place(from, here)?, place(to, here)?);
    let metres = libm::hypot(to_x - x, to_y - y);
    let seconds = to.at.0.saturating_sub(from.at.0).max(0) as f64 / 1e9;
    // The longest it may have taken: the first read was earlier than it seems, or even after the second.
    let longest = (seconds + from.slack.as_secs_f64()).max(to.slack.as_secs_f64() - seconds);
    let needed = metres / longest.max(0.1);
    let possible = match metres > DRIVEN_FROM_M {
        true => share_as_fast(needed, settings.driving),
        false => {
            (1.0 - RUN) * share_as_fast(needed, settings.walking)
                + RUN * share_as_fast(needed, settings.walking * RUNNING)
        }
    };
    let at = |read: &Read| At { reader: read.reader.clone(), at: read.at, position: read.position };
    let possible = possible.max(WRONG_TIME);
    Some(Travel { holder, from: at(from), to: at(to), metres, seconds, possible })
}

/// The share of people that are as fast as `needed` where 95 of 100 keep to `usual`, both in m/s.
fn share_as_fast(needed: f64, usual: f64) -> f64 {
    if needed <= 0.0 || usual <= 0.0 {
        return 1.0;
    }
    let deviations = libm::log(needed / usual) / SPREAD + KEPT_BY_95;
    0.5 * libm::erfc(deviations / core::f64::consts::SQRT_2)
}

impl Travel {
    fn weight(&self) -> f64 {
        -libm::log(self.possible)
    }

    fn log_odds(&self) -> f64 {
        logit(PRIOR) + self.weight()
    }
}

impl Finding for Travel {
    fn first(&self) -> Position {
        self.to.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("one credential was at two places sooner than anybody gets there"),
            Phrase::words("There are probably two copies of the credential in use."),
            PRIOR,
            self.to.at,
        );
        draft.until = Some(self.to.at);
        draft.severity = Severity::Severe;
        draft.urgency = Urgency::Immediate;
        draft.answer_within = Some(Duration::from_secs(300));
        let half = self.weight() / 2.0;
        let metres = libm::round(self.metres);
        draft.said(here, &self.from.reader, &[self.from.position], Phrase::words("the credential"), half);
        let said = format!("the same credential after {}, {metres} m away", spell(self.seconds));
        draft.said(here, &self.to.reader, &[self.to.position], Phrase::words(said), half);
        let name = here.site.sensors.get(&self.from.reader).and_then(|spec| here.site.zones.get(&spec.zone));
        let place = name.map_or("another place", |zone| zone.name.as_str());
        draft.facts = vec![
            Phrase::words(format!("The credential was read {} after it was read at {place}", spell(self.seconds)))
                .detail(FieldClass::Method, Phrase::words(" at ").at(self.from.at))
                .then(format!(", {metres} m away.")),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Find out at both places who holds it."),
            Phrase::words("Find out at both places who holds the credential; keep the footage of both readers."),
        );
        let read_by = vec![self.from.reader.clone(), self.to.reader.clone()];
        draft.subjects.push(holder_as_subject("person.holder", self.holder, read_by));
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("somebody was very fast, or a reader's clock was set"),
            probability: not,
        });
        draft
    }
}
