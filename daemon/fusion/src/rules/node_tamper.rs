//! Node tamper: a node or a cabinet was opened, moved or handled.
//!
//! Said on arrival and never shelved: whoever opens the box can change everything it says afterwards.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    evidence::{Draft, Life},
    health::Change,
};
use alloc::{collections::BTreeMap, format, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, NoData, Position, Reading, SensorId, WallTime,
    observation::Health,
    site::Role,
    situation::{Alternative, Phase, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "node.tamper",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.node_tamper.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[],
};

/// What was handled in one zone. One entry per sensor: bounded by the site file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NodeTamper {
    handled: BTreeMap<SensorId, Handled>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handled {
    since: WallTime,
    first: Position,
    last: Position,
    sign: Sign,
    over_at: GatewayTime,
    life: Life,
}

/// How the tampering showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Sign {
    /// A tamper contact tripped.
    Contact,
    /// The node says it was opened, moved or handled.
    OwnWord,
    /// Somebody else speaks in its name: with a wrong seal, with a recording, or with a copy of its key.
    Forgery,
}

impl Rule for NodeTamper {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        let sign = match signal.reading {
            Reading::Contact(_) if is_tamper(signal.spec.role) && signal.change == Change::Rose => Sign::Contact,
            Reading::Health(Health::Tampered) => Sign::OwnWord,
            Reading::NoData(NoData::Tampered) => Sign::Forgery,
            _ => return,
        };
        let over_at = here.now.after(group(here));
        let entry = self.handled.entry(signal.sensor.clone()).or_insert_with(|| Handled {
            since: signal.at,
            first: signal.position,
            last: signal.position,
            sign,
            over_at,
            life: Life::default(),
        });
        entry.last = signal.position;
        entry.over_at = over_at;
        let draft = draft(here, signal.sensor, entry);
        let first = entry.first;
        entry.life.say(here, first, draft);
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let over: vec::Vec<SensorId> =
            self.handled.iter().filter(|(_, handled)| handled.over_at <= here.now).map(|(id, _)| id.clone()).collect();
        let group = group(here);
        for sensor in over {
            // A cabinet that stands open is not over.
            if is_still_open(&sensor, here)
                && let Some(handled) = self.handled.get_mut(&sensor)
            {
                handled.over_at = here.now.after(group);
                continue;
            }
            let Some(mut handled) = self.handled.remove(&sensor) else { continue };
            let mut draft = draft(here, &sensor, &handled);
            draft.until = Some(here.wall(here.now));
            handled.life.end(here, Phase::Closed, draft);
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.handled.values().map(|handled| handled.over_at).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (sensor, mut handled) in core::mem::take(&mut self.handled) {
            let draft = draft(here, &sensor, &handled);
            handled.life.give_up(here, draft);
        }
    }
}

fn group(here: &Here<'_>) -> Duration {
    here.site.rules.node_tamper.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().group
}

fn is_still_open(sensor: &SensorId, here: &Here<'_>) -> bool {
    let tamper_role = here.site.sensors.get(sensor).is_some_and(|spec| is_tamper(spec.role));
    here.sensors.get(sensor).is_some_and(|memory| {
        let says_so = memory.trouble.is_some_and(|trouble| trouble.why == NoData::Tampered);
        says_so || (tamper_role && memory.contact == Some(true) && here.health(sensor).is_healthy())
    })
}

fn is_tamper(role: Role) -> bool {
    matches!(role, Role::CabinetTamper | Role::NodeTamper)
}

fn draft(here: &Here<'_>, sensor: &SensorId, handled: &Handled) -> Draft {
    let mut draft = Draft::new(
        Phrase::words("a sensor node or cabinet was opened or handled"),
        Phrase::words("What it says from now on may not be true."),
        0.05,
        handled.since,
    );
    draft.severity = Severity::Severe;
    draft.answer_within = Some(Duration::from_secs(300));
    let positions = if handled.first == handled.last { vec![handled.first] } else { vec![handled.first, handled.last] };
    let (said, seen) = match handled.sign {
        Sign::Contact => ("the tamper contact tripped", format!("The tamper contact {sensor} tripped")),
        Sign::OwnWord => ("says that it was handled", format!("Sensor {sensor} says that it was opened, moved or handled")),
        Sign::Forgery => (
            "a message that is not its own",
            format!("Somebody else speaks in the name of sensor {sensor}: by a forged or recorded message, or with its key"),
        ),
    };
    draft.said(here, sensor, &positions, Phrase::words(said), 5.0);
    draft.facts = vec![Phrase::words(seen).detail(FieldClass::Method, Phrase::words(" at ").at(handled.since)).then(".")];
    draft.act(
        FieldClass::Public,
        Phrase::words("Two people go and look at it."),
        Phrase::words("Go and look at the cabinet with two people; do not reset it before that."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("maintenance that was not announced"),
        probability: 1.0 - draft.probability(),
    }];
    draft
}
