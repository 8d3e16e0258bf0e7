//! Pass-back: one credential let somebody in twice, and nobody out in between (or out twice, and nobody in).
//!
//! Three stories end that way: the credential was handed back to somebody outside; the holder left and the way out did not
//! read it; the holder presented it again because the door did not move. How long it took tells them apart: who hands a
//! badge back does it within minutes, who leaves and comes back takes longer, who tries again does it within seconds. A way
//! out that could not read at the time makes the second story likely, so it says less then.

use super::{
    Here, Kind, Look, Rule, Seen, Stream,
    findings::{Finding, Findings},
};
use crate::{
    evidence::{Draft, logit},
    trails::{Area, Read, TrailEvent, area, holder_as_subject, leads},
};
use alloc::{format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    sealed::Handle,
    site::{Direction, Role},
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.pass-back",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.pass_back.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Trails],
};

/// What was found at one zone's readers lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct PassBack {
    findings: Findings<Twice>,
}

/// The same way twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Twice {
    holder: Handle,
    way: Way,
    first: At,
    second: At,
    within: Duration,
    lost_read: f64,
    /// Readers of the other way that could have read the holder in between, and those that could not.
    listened: Vec<SensorId>,
    deaf: Vec<SensorId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct At {
    reader: SensorId,
    at: WallTime,
    position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    In,
    Out,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Of a hundred times that somebody goes in, the credential is handed back about twice where it happens at all.
const HANDED_BACK: f64 = 0.02;
/// It is handed back over a fence or a turnstile within minutes; one in ten times at any time of the shift.
const HANDING_BACK: f64 = 180.0;
const AT_ANY_TIME: f64 = 0.1;
/// Of a hundred people three present their credential again, after some seconds, because nothing moved.
const PRESENTED_AGAIN: f64 = 0.03;
const PRESENTING_AGAIN: f64 = 2.5;
/// Three of ten thousand words are told again minutes later as if it were anew.
const TOLD_AGAIN: f64 = 0.0003;
const TELLING_AGAIN: f64 = 300.0;
/// People stay for hours and are away for half an hour.
const STAY: f64 = 4.0 * 3600.0;
const AWAY: f64 = 1800.0;
/// People come in unread more often than they leave unread: as passengers, or behind somebody.
const CAME_UNREAD: f64 = 0.05;
/// How probable it is that readers which could not read missed somebody.
const DEAF: f64 = 0.9;

impl Rule for PassBack {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        if let Seen::Trail(event) = seen {
            let twice = twice(event, here);
            self.findings.judge(event.read().position, twice, LEAST, here);
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

fn twice(event: &TrailEvent<'_>, here: &Here<'_>) -> Option<Twice> {
    let settings = here.site.rules.pass_back.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
    let read = event.read();
    // Drivers' credentials at lanes say who came and went; but a lane may let vehicles out on no credential at all.
    let on_foot = here.site.sensors.get(&read.reader).is_some_and(|spec| spec.role == Role::Reader);
    let way = way(read.leads).filter(|_| read.went_through() && on_foot)?;
    let around = read.area(here.site);
    let of_area = |before: &&Read| {
        before.went_through() && before.leads.is_some() && before.area(here.site) == around && here.leads_somewhere(before)
    };
    let before = event.before().iter().rfind(of_area)?;
    let apart = Duration::from_nanos(u64::try_from(read.at.0.saturating_sub(before.at.0)).unwrap_or(0));
    // A reader both ways explains either.
    if self::way(before.leads) != Some(way) || apart > settings.within {
        return None;
    }
    let other_way = other_way(way, &around, here);
    let could = |reader: &SensorId| {
        let (Some(spec), Some(memory)) = (here.site.sensors.get(reader), here.sensors.get(reader)) else { return false };
        memory.could_speak_since(spec, before.received, here.now)
    };
    let (listened, deaf): (Vec<SensorId>, Vec<SensorId>) = other_way.into_iter().partition(could);
    // Where nothing reads who leaves, coming in twice is what everybody does.
    if listened.is_empty() && deaf.is_empty() {
        return None;
    }
    let at = |read: &Read| At { reader: read.reader.clone(), at: read.at, position: read.position };
    Some(Twice {
        holder: event.holder,
        way,
        first: at(before),
        second: at(read),
        within: settings.within,
        lost_read: settings.lost_read,
        listened,
        deaf,
    })
}

impl Here<'_> {
    /// Whether a read's reader is still one of the site's.
    fn leads_somewhere(&self, read: &Read) -> bool {
        self.site.sensors.contains_key(&read.reader)
    }
}

fn way(leads: Option<Direction>) -> Option<Way> {
    match leads? {
        Direction::In => Some(Way::In),
        Direction::Out => Some(Way::Out),
        Direction::Both => None,
    }
}

/// Readers that let people through the other way, or both ways, around the same area.
fn other_way(way: Way, around: &Area<'_>, here: &Here<'_>) -> Vec<SensorId> {
    let readers = here.site.sensors.iter().filter(|(_, spec)| spec.role == Role::Reader);
    let other = readers.filter(|(_, spec)| {
        leads(spec, here.site).is_some_and(|leads| self::way(Some(leads)) != Some(way))
            && area(&spec.zone, here.site) == *around
    });
    other.map(|(id, _)| id.clone()).collect()
}

impl Twice {
    fn seconds(&self) -> f64 {
        self.second.at.0.saturating_sub(self.first.at.0).max(0) as f64 / 1e9
    }

    /// Probability that somebody went the other way unread, with the readers as they were.
    fn unread(&self) -> f64 {
        let usual = match self.way {
            Way::In => self.lost_read,
            Way::Out => CAME_UNREAD.max(self.lost_read),
        };
        let deaf = self.deaf.len() as f64 / (self.deaf.len() + self.listened.len()).max(1) as f64;
        (usual + deaf * DEAF).min(DEAF)
    }

    /// Odds, as a logarithm, that it was handed back, if somebody going the other way is missed with probability `unread`.
    fn score(&self, unread: f64) -> f64 {
        let t = self.seconds();
        let soon = libm::exp(-t / HANDING_BACK) / HANDING_BACK;
        let handed_back = (1.0 - AT_ANY_TIME) * soon + AT_ANY_TIME / self.within.as_secs_f64().max(1.0);
        // A stay and an absence, one after the other: two exponentials convolved.
        let (a, b) = (1.0 / STAY, 1.0 / AWAY);
        let returned = a * b / (b - a) * (libm::exp(-a * t) - libm::exp(-b * t));
        let again = libm::exp(-t / PRESENTING_AGAIN) / PRESENTING_AGAIN;
        let told_again = libm::exp(-t / TELLING_AGAIN) / TELLING_AGAIN;
        let innocent = unread * returned + PRESENTED_AGAIN * again + TOLD_AGAIN * told_again;
        libm::log(HANDED_BACK * handed_back) - libm::log(innocent.max(1e-30))
    }
}

impl Finding for Twice {
    fn first(&self) -> Position {
        self.second.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let prior = HANDED_BACK / (HANDED_BACK + PRESENTED_AGAIN + self.lost_read);
        let (came, other, headline) = match self.way {
            Way::In => ("came in", "out", "one credential came in twice without going out"),
            Way::Out => ("went out", "in", "one credential went out twice without coming in"),
        };
        let think = match self.way {
            Way::In => "The credential was probably handed back to somebody outside, who came in on it.",
            Way::Out => "Two people probably left on one credential, so one of them had come in without.",
        };
        let mut draft = Draft::new(Phrase::words(headline), Phrase::words(think), prior, self.second.at);
        draft.until = Some(self.second.at);
        draft.severity = Severity::Moderate;
        draft.urgency = Urgency::Expected;
        draft.answer_within = Some(Duration::from_secs(600));
        let timing = self.score(DEAF) - logit(prior);
        let listening = self.score(self.unread()) - self.score(DEAF);
        let said = format!("the same way again after {}", spell(self.seconds()));
        let reads = [self.first.position, self.second.position];
        draft.said(here, &self.second.reader, &reads, Phrase::words(said), timing);
        for reader in &self.listened {
            let share = listening / self.listened.len() as f64;
            draft.absent(here, reader, Phrase::words(format!("nobody went {other} on it")), share);
        }
        draft.facts = vec![
            Phrase::words(format!("A credential {came}"))
                .detail(FieldClass::Method, Phrase::words(" at ").at(self.first.at))
                .then(format!(" and again {} later.", spell(self.seconds()))),
            Phrase::words(format!("No reader read it on the way {other} in between.")),
        ];
        draft.act(
            FieldClass::Public,
            Phrase::words("Ask who holds the credential now."),
            Phrase::words("Ask who holds the credential now, and look at the footage of the entrance if there is any."),
        );
        let mut read_by = vec![self.first.reader.clone()];
        if self.second.reader != self.first.reader {
            read_by.push(self.second.reader.clone());
        }
        draft.subjects.push(holder_as_subject("person.holder", self.holder, read_by));
        draft.missing = here.why_deaf(&self.deaf);
        let not = 1.0 - draft.probability();
        let lost = match self.seconds() < 4.0 * PRESENTING_AGAIN {
            true => "the credential was presented again because the door did not open",
            false => "a read on the way between was lost",
        };
        draft.alternatives.push(Alternative { text: Phrase::words(lost), probability: not });
        draft
    }
}

/// A stretch of time as people say it.
pub(super) fn spell(seconds: f64) -> alloc::string::String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}
