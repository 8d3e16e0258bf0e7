//! Sensor stuck: a loop, a scale or a gauge no longer changes while others show that it should.
//!
//! A loop that says the same while vehicle after vehicle goes through has welded its relay, lost its wire or lies under
//! something. Each vehicle that passes without it changing adds to the log-odds, and so does occupation for minutes by
//! something that no camera reads; any change ends it. Scales and gauges that repeat themselves are in `frozen.rs`.

use super::{
    Here, Kind, Look, Rule, Seen, Signal, Stream,
    frozen::{Frozen, GAUGES},
};
use crate::{
    bounds::MOST_WEIGHT,
    evidence::{Draft, Life, logit},
    health::Change,
    lane::{LaneEvent, Patience},
    passages::Passage,
};
use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, Reading, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, Phase, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "sensor.stuck",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Lane | ZoneKind::Berth),
    mode: |site, zone| site.rules.sensor_stuck.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |role| WATCHED.contains(&role) || GAUGES.contains(&role),
    follows: &[Stream::Lane],
};

/// What is known of each loop of the lane: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SensorStuck {
    contacts: BTreeMap<SensorId, Contact>,
    /// Approach loops that are occupied by what no camera has read yet.
    occupied: BTreeMap<SensorId, Occupied>,
    frozen: Frozen,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Occupied {
    since: WallTime,
    position: Position,
    due: GatewayTime,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contact {
    /// The first vehicle that it did not see: when it passed, and the record.
    since: WallTime,
    position: Position,
    /// Vehicles in a row that it did not see.
    passed: u32,
    /// It is occupied for long by what these cameras could read and do not.
    unread_by: Vec<SensorId>,
    life: Life,
}

/// Loops that every vehicle changes, and cameras that say whether there is one.
const WATCHED: [Role; 3] = [Role::LoopApproach, Role::LoopExit, Role::PlateFront];
/// A contact sticks once in a few thousand hours: before any evidence.
const USUALLY: f64 = 0.001;
/// And of the loops of a port one in a hundred does, at any time.
const AT_ANY_TIME: f64 = 0.01;
/// What it adds that others saw the vehicles, at most.
const MOST_OF_OTHERS: f64 = 3.5;
/// What each vehicle adds that does not change it: a loop misses one in fifty.
const EACH: f64 = 3.9;
/// Nobody waits so long on the approach loop: one vehicle in a thousand does.
const OCCUPIED_LONG: Duration = Duration::from_secs(240);
const OCCUPIED: f64 = 6.9;
/// A camera reads nine of ten vehicles that stand there, within so long of their coming.
const UNREAD: f64 = 2.3;
const READ_WITHIN: Duration = Duration::from_secs(15);

impl Rule for SensorStuck {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        match seen {
            Seen::Reading(signal) if GAUGES.contains(&signal.spec.role) => self.frozen.hear(signal, least(here), here),
            Seen::Reading(signal) => self.change(signal, here),
            Seen::Lane(LaneEvent::Passed(passed)) if passed.0.last && passed.0.exit.is_some() => {
                let passage = &passed.0;
                self.frozen.weigh(passage, least(here), here);
                let loops: Vec<SensorId> = here.sensors_with(Role::LoopApproach).map(|(id, _)| id.clone()).collect();
                for sensor in loops {
                    match &passage.approach {
                        Some(approach) if approach.sensor == sensor && changed_for_it(passage, here) => {
                            self.changed(&sensor, approach.on, here);
                        }
                        _ => self.pass(&sensor, (passage.crossed, passage.first), here),
                    }
                }
            }
            Seen::Lane(_) | Seen::Trail(_) | Seen::Track(_) => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let due = |occupied: &&Occupied| occupied.due <= here.now;
        let long: Vec<SensorId> =
            self.occupied.iter().filter(|(_, it)| due(it)).map(|(id, _)| id.clone()).collect();
        for sensor in long {
            let Some(occupied) = self.occupied.remove(&sensor) else { continue };
            let cameras: Vec<SensorId> = here.sensors_with(Role::PlateFront).map(|(id, _)| id.clone()).collect();
            if !cameras.is_empty() && cameras.iter().all(|camera| here.health(camera).is_healthy()) {
                let contact = self.contact(&sensor, (occupied.since, occupied.position));
                contact.unread_by = cameras;
                self.judge(&sensor, here);
            }
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.occupied.values().map(|occupied| occupied.due).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (sensor, mut contact) in core::mem::take(&mut self.contacts) {
            let draft = draft(&sensor, &contact, here);
            contact.life.give_up(here, draft);
        }
        self.frozen.stop(here);
    }
}

impl SensorStuck {
    /// A vehicle that drives off the approach loop comes to the exit loop next, which has opened again since the last one.
    fn change(&mut self, signal: &Signal<'_>, here: &mut Here<'_>) {
        match (signal.spec.role, signal.change) {
            (Role::LoopApproach, Change::Fell) => {
                self.occupied.remove(signal.sensor);
                if self.contacts.get(signal.sensor).is_some_and(|contact| !contact.unread_by.is_empty()) {
                    self.changed(signal.sensor, signal.at, here);
                }
                let closed = |id: &SensorId| here.sensors.get(id).is_some_and(|memory| memory.contact == Some(true));
                let exits = here.sensors_with(Role::LoopExit).filter(|(id, _)| closed(id));
                let exits: Vec<SensorId> = exits.map(|(id, _)| id.clone()).collect();
                for exit in exits {
                    self.pass(&exit, (signal.at, signal.position), here);
                }
            }
            (Role::LoopExit, Change::Rose | Change::Fell) => self.changed(signal.sensor, signal.at, here),
            (Role::LoopApproach, Change::Rose) => {
                let due = here.now.after(OCCUPIED_LONG);
                let occupied = Occupied { since: signal.at, position: signal.position, due };
                self.occupied.insert(signal.sensor.clone(), occupied);
            }
            // Somebody is there.
            (Role::PlateFront, _) if matches!(signal.reading, Reading::Plate(_)) => {
                self.occupied.retain(|_, it| signal.at > it.since.after(READ_WITHIN) || signal.at < it.since.before(READ_WITHIN));
            }
            _ => {}
        }
    }

    fn changed(&mut self, sensor: &SensorId, at: WallTime, here: &mut Here<'_>) {
        let Some(mut contact) = self.contacts.remove(sensor).filter(|contact| contact.life.is_open()) else { return };
        let mut draft = draft(sensor, &contact, here);
        draft.until = Some(at);
        draft.facts.push(Phrase::words(format!("Sensor {sensor} changes again.")));
        draft.actions.clear();
        contact.life.end(here, Phase::Closed, draft);
    }

    /// A vehicle passed that this loop did not see.
    fn pass(&mut self, sensor: &SensorId, (at, position): (WallTime, Position), here: &mut Here<'_>) {
        if !here.health(sensor).is_healthy() {
            return;
        }
        self.contact(sensor, (at, position)).passed += 1;
        self.judge(sensor, here);
    }

    fn contact(&mut self, sensor: &SensorId, (since, position): (WallTime, Position)) -> &mut Contact {
        let new = || Contact { since, position, passed: 0, unread_by: Vec::new(), life: Life::default() };
        self.contacts.entry(sensor.clone()).or_insert_with(new)
    }

    fn judge(&mut self, sensor: &SensorId, here: &mut Here<'_>) {
        let Some(contact) = self.contacts.get_mut(sensor) else { return };
        let stuck = logit(USUALLY) + EACH * f64::from(contact.passed) + unread(contact);
        if !contact.life.is_open() && stuck >= logit(least(here)) {
            let draft = draft(sensor, contact, here);
            let first = contact.position;
            contact.life.say_of(here, &format!("{}/{sensor}", KIND.kind), first, draft);
        }
    }
}

/// Whether a pulse is a vehicle's own: one that began long before it crossed and has not ended is not.
fn changed_for_it(passage: &Passage, here: &Here<'_>) -> bool {
    let within = here.site.rules.passage.as_ref().map(|rule| rule.settings.within);
    let within = within.unwrap_or_else(|| Patience::usual().within);
    let approach = passage.approach.as_ref();
    approach.is_some_and(|approach| approach.off.is_some() || passage.crossed <= approach.on.after(within))
}

/// What it says that it is occupied for minutes by what no camera reads.
fn unread(contact: &Contact) -> f64 {
    if contact.unread_by.is_empty() { 0.0 } else { OCCUPIED + UNREAD * contact.unread_by.len() as f64 }
}

fn draft(sensor: &SensorId, contact: &Contact, here: &Here<'_>) -> Draft {
    let mut draft = Draft::new(
        Phrase::words("a loop does not change any more"),
        Phrase::words("It is stuck, cut, or something lies on it: what it says means nothing."),
        AT_ANY_TIME,
        contact.since,
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Expected;
    draft.answer_within = Some(Duration::from_secs(3600));
    let said = match contact.passed {
        0 => "occupied for minutes".into(),
        passed => format!("no change for {}", vehicles(passed)),
    };
    let said = Phrase::words(said);
    let all = EACH * f64::from(contact.passed) + unread(contact);
    draft.absent(here, sensor, said, all);
    for camera in &contact.unread_by {
        draft.absent(here, camera, Phrase::words("read nothing there"), UNREAD);
    }
    // That vehicles passed is others' word.
    for (other, _) in here.sensors_with(Role::LoopExit).filter(|(id, _)| *id != sensor).take(1) {
        let said = Phrase::words(vehicles(contact.passed));
        draft.said(here, other, &[], said, (all - MOST_WEIGHT).clamp(0.0, MOST_OF_OTHERS));
    }
    let why = match contact.passed {
        0 => "has said occupied for minutes while no camera read a vehicle".into(),
        passed => format!("has not changed while {} passed", vehicles(passed)),
    };
    draft.facts = vec![
        Phrase::words(format!("Sensor {sensor} {why}"))
            .detail(FieldClass::Method, Phrase::words(" since ").at(contact.since))
            .then("."),
    ];
    draft.act(
        FieldClass::Public,
        Phrase::words("Look at the loop."),
        Phrase::words("Look whether something lies on the loop; have its detector reset."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("vehicles drive around it"),
        probability: 1.0 - draft.probability(),
    }];
    draft
}

fn vehicles(count: u32) -> String {
    format!("{count} vehicle{}", if count == 1 { "" } else { "s" })
}

fn least(here: &Here<'_>) -> f64 {
    here.site.rules.sensor_stuck.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().least
}
