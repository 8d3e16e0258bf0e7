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
    over_at: GatewayTime,
    life: Life,
}

impl Rule for NodeTamper {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        let tamper_role = matches!(signal.spec.role, Role::CabinetTamper | Role::NodeTamper);
        let handled = match signal.reading {
            Reading::Contact(_) => tamper_role && signal.change == Change::Rose,
            Reading::Health(Health::Tampered) | Reading::NoData(NoData::Tampered) => true,
            _ => false,
        };
        if !handled {
            return;
        }
        let group = here.site.rules.node_tamper.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default().group;
        let over_at = here.now.after(group);
        let entry = self.handled.entry(signal.sensor.clone()).or_insert_with(|| Handled {
            since: signal.at,
            first: signal.position,
            last: signal.position,
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
        for sensor in over {
            let Some(mut handled) = self.handled.remove(&sensor) else { continue };
            let mut draft = draft(here, &sensor, &handled);
            draft.until = Some(here.wall(here.now));
            handled.life.end(here, Phase::Closed, draft);
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.handled.values().map(|handled| handled.over_at).min()
    }
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
    draft.said(here, sensor, &[handled.first, handled.last], Phrase::words("tamper switch or seal"), 5.0);
    draft.facts = vec![
        Phrase::words(format!("The tamper contact {sensor} at {} tripped", here.zone.name))
            .detail(FieldClass::Method, Phrase::words(" at ").at(handled.since))
            .then("."),
    ];
    draft.act(FieldClass::Public, Phrase::words("Go and look at the cabinet with two people; do not reset it before that."));
    draft.alternatives = vec![Alternative {
        text: Phrase::words("maintenance that was not announced"),
        probability: 1.0 - draft.probability(),
    }];
    draft
}
