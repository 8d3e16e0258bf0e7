//! Door held: a door stands open longer than it should, or it opened and nobody had leave.
//!
//! Where people can leave without a credential, a door that opens unread is somebody who leaves: there only standing open
//! is said. Nobody saw when a door opened that is found open, nor who had leave.

use super::{
    Here, Kind, Look, Rule, Seen, Signal,
    doorway::{DISAGREE, Doorway, LOST_READ, doorway},
    findings::{Finding, Findings},
};
use crate::{
    bounds::EVENTS_PER_DOOR,
    evidence::{Draft, Life, weight},
    health::Change,
    trails::SETTLE,
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    format, vec,
    vec::Vec,
};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Reading, SensorId, WallTime,
    observation::AccessDecision,
    site::Role,
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "access.door-held",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.door_held.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[],
};

/// The doors of one zone: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DoorHeld {
    doors: BTreeMap<SensorId, Door>,
    /// When somebody had leave; at the bound the oldest goes.
    granted: VecDeque<WallTime>,
    unlet: Findings<Opened>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Door {
    last_word: Option<GatewayTime>,
    open: Option<Opened>,
    /// When the opening is judged, if somebody saw it.
    judged_at: Option<GatewayTime>,
    /// It is shut again, and the opening waits to be judged.
    shut: bool,
    held: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opened {
    sensor: SensorId,
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    /// Readers that could have read somebody and did not.
    unread: Vec<SensorId>,
}

/// Said from here on: likelier than not.
const LEAST: f64 = 0.5;
/// Of a hundred openings two are without leave where that happens at all: a key, a wedge, a crowbar.
const PRIOR_UNLET: f64 = 0.02;
/// A door that stands open is what its contact says, or the contact is stuck.
const PRIOR_HELD: f64 = 0.3;

impl Rule for DoorHeld {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        if gives_leave(signal) {
            self.grant(signal.at, here);
        }
        if signal.spec.role != Role::Door {
            return;
        }
        match doorway(signal) {
            Some(Doorway::Opened) => self.open(signal, here),
            Some(Doorway::Closed) => self.close(signal, here),
            _ => {}
        }
        if !matches!(signal.reading, Reading::NoData(_)) {
            self.doors.entry(signal.sensor.clone()).or_default().last_word = Some(here.now);
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let longest = settings(here).longest;
        for door in self.doors.values_mut() {
            let Some(opened) = &mut door.open else { continue };
            if door.judged_at.is_some_and(|at| at <= here.now) {
                door.judged_at = None;
                let readers = here.readers_could_speak(opened.gateway, settings(here).grant_within);
                opened.unread = readers.unwrap_or_default();
                let had_leave = self.granted.iter().any(|granted| explains(*granted, opened.at, settings(here).grant_within));
                let unlet = (!had_leave && !opened.unread.is_empty() && !here.one_may_leave_unread()).then(|| opened.clone());
                self.unlet.judge(opened.position, unlet, LEAST, here);
                if door.shut {
                    door.open = None;
                    continue;
                }
            }
            if !door.shut && opened.gateway.after(longest) <= here.now && !door.held.is_open() {
                let draft = held(opened, here);
                door.held.say_of(here, "held", opened.position, draft);
            }
        }
        self.unlet.fire(here);
    }

    fn next_due(&self, look: &Look<'_>) -> Option<GatewayTime> {
        let rule = look.site.rules.door_held.as_ref();
        let longest = rule.map(|rule| rule.settings.clone()).unwrap_or_default().longest;
        let of_door = |door: &Door| {
            let opened = door.open.as_ref().filter(|_| !door.held.is_open() && !door.shut);
            let held = opened.map(|opened| opened.gateway.after(longest));
            held.into_iter().chain(door.judged_at).min()
        };
        self.doors.values().filter_map(of_door).chain(self.unlet.next_due()).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        self.unlet.stop(here);
        for door in self.doors.values_mut() {
            if let Some(opened) = &door.open {
                let draft = held(opened, here);
                door.held.give_up(here, draft);
            }
        }
    }
}

impl DoorHeld {
    fn grant(&mut self, at: WallTime, here: &mut Here<'_>) {
        if self.granted.len() == EVENTS_PER_DOOR {
            self.granted.pop_front();
        }
        self.granted.push_back(at);
        // A read that came late explains an opening that was said already.
        let within = settings(here).grant_within;
        self.unlet.withdraw_if(here, |opened| explains(at, opened.at, within));
    }

    fn open(&mut self, signal: &Signal<'_>, here: &Here<'_>) {
        let door = self.doors.entry(signal.sensor.clone()).or_default();
        // Pulled open again before the first opening was judged: the same opening.
        if core::mem::take(&mut door.shut) {
            return;
        }
        let memory = here.sensors.get(signal.sensor);
        let was_seen = door.last_word.zip(memory).is_some_and(|(last, memory)| {
            memory.could_speak_since(signal.spec, last, here.now)
        });
        door.judged_at = was_seen.then(|| here.now.after(SETTLE));
        door.open = Some(Opened {
            sensor: signal.sensor.clone(),
            at: signal.at,
            gateway: here.now,
            position: signal.position,
            unread: Vec::new(),
        });
    }

    fn close(&mut self, signal: &Signal<'_>, here: &mut Here<'_>) {
        let Some(door) = self.doors.get_mut(signal.sensor) else { return };
        if let Some(opened) = door.open.as_ref().filter(|_| door.held.is_open()) {
            let mut draft = held(opened, here);
            draft.until = Some(signal.at);
            draft.facts.push(Phrase::words("It was shut again."));
            door.held.end(here, Phase::Closed, draft);
        }
        // An opening may be over before it is judged.
        door.shut = door.judged_at.is_some();
        if !door.shut {
            door.open = None;
        }
    }
}

fn settings(here: &Here<'_>) -> quaywatch_schemas::site::rules::DoorHeld {
    here.site.rules.door_held.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default()
}

fn explains(granted: WallTime, opened: WallTime, within: Duration) -> bool {
    (opened.before(within)..=opened.after(DISAGREE)).contains(&granted)
}

/// A credential that was let in, or a button or controller that gave leave.
fn gives_leave(signal: &Signal<'_>) -> bool {
    match signal.reading {
        Reading::Credential(credential) => {
            matches!(credential.decision, AccessDecision::Granted | AccessDecision::Duress)
        }
        _ => signal.spec.role == Role::Grant && matches!(signal.change, Change::Rose | Change::Stepped(_)),
    }
}

fn held(opened: &Opened, here: &Here<'_>) -> Draft {
    let mut draft = Draft::new(
        Phrase::words("a door stands open"),
        Phrase::words("It is held or wedged open, and anybody can go through."),
        PRIOR_HELD,
        opened.at,
    );
    draft.severity = Severity::Moderate;
    draft.answer_within = Some(Duration::from_secs(300));
    if let Some(spec) = here.site.sensors.get(&opened.sensor) {
        let weight = weight(spec.rates.detection, spec.rates.false_alarm);
        draft.said(here, &opened.sensor, &[opened.position], Phrase::words("open, and not shut since"), weight);
    }
    draft.facts = vec![Phrase::words(format!(
        "The door has been open for more than {:.0} s.",
        settings(here).longest.as_secs_f64()
    ))];
    draft.act(FieldClass::Public, Phrase::words("Shut the door."), Phrase::words("Shut the door, and look who uses it."));
    let not = 1.0 - draft.probability();
    draft.alternatives.push(Alternative { text: Phrase::words("the door's contact is stuck"), probability: not });
    draft
}

impl Finding for Opened {
    fn first(&self) -> Position {
        self.position
    }

    fn draft(&self, here: &Here<'_>) -> Draft {
        let mut draft = Draft::new(
            Phrase::words("a door opened and nobody had leave"),
            Phrase::words("Somebody opened the door without a credential: with a key, or by force."),
            PRIOR_UNLET,
            self.at,
        );
        draft.until = Some(self.at);
        draft.severity = Severity::Severe;
        draft.urgency = Urgency::Immediate;
        draft.answer_within = Some(Duration::from_secs(180));
        draft.said(here, &self.sensor, &[self.position], Phrase::words("opened"), 0.0);
        let share = -libm::log(LOST_READ) / self.unread.len().max(1) as f64;
        for reader in &self.unread {
            draft.absent(here, reader, Phrase::words("no credential"), share);
        }
        draft.facts = vec![Phrase::words(format!(
            "The door opened, and no credential was read in the {:.0} s before.",
            settings(here).grant_within.as_secs_f64()
        ))];
        draft.act(
            FieldClass::Public,
            Phrase::words("Go and look at the door."),
            Phrase::words("Go and look at the door and who is behind it."),
        );
        let not = 1.0 - draft.probability();
        draft.alternatives.push(Alternative {
            text: Phrase::words("the reader lost a credential, or somebody with a key"),
            probability: not,
        });
        draft
    }
}
