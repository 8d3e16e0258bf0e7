//! Barrier forced: the arm left its closed position and nobody granted it.
//!
//! A controller may report the grant after the arm, so the rule waits a moment before it speaks. If the grant signal could
//! not have spoken, an opening without it says nothing: the situation is *unknown*, and the silent sensor is its own finding.

use super::{Here, Kind, Look, Rule, Seen};
use crate::{
    evidence::{Draft, Life},
    lane::LaneEvent,
};
use alloc::vec;
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    site::{Role, ZoneKind},
    situation::{Alternative, Phase, Phrase, Severity},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "gate.barrier-forced",
    version: "1.0",
    fits: |kind| kind == ZoneKind::Lane,
    mode: |site, zone| site.rules.barrier_forced.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
};

/// What is remembered of one arm.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct BarrierForced {
    granted: Option<GatewayTime>,
    unexplained: Option<Opening>,
    life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opening {
    at: WallTime,
    position: Position,
    sensor: SensorId,
    judged_at: GatewayTime,
}

impl Rule for BarrierForced {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(event) = seen else { return };
        match event {
            LaneEvent::Granted { gateway, .. } => {
                self.granted = Some(*gateway);
                self.explain(here);
            }
            LaneEvent::Opened { at, position, sensor } => {
                let lasts = here.site.rules.tailgating.as_ref().map(|rule| rule.settings.grant_lasts);
                let lasts = lasts.unwrap_or(GRANT_LASTS);
                if self.granted.is_none_or(|granted| here.now.since(granted) > lasts) {
                    let judged_at = here.now.after(wait(here));
                    self.unexplained =
                        Some(Opening { at: *at, position: *position, sensor: sensor.clone(), judged_at });
                }
            }
            LaneEvent::Closed { at } => {
                self.granted = None;
                if let Some(mut draft) = self.draft(here).filter(|_| self.life.is_open()) {
                    draft.until = Some(*at);
                    self.life.end(here, Phase::Closed, draft);
                    self.unexplained = None;
                }
            }
            _ => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let Some(opening) = &mut self.unexplained else { return };
        let first = opening.position;
        // Judged once; what follows is a grant after all, or the arm closing.
        opening.judged_at = GatewayTime(u64::MAX);
        if here.all_healthy(Role::Grant).is_some()
            && let Some(draft) = self.draft(here)
        {
            self.life.say(here, first, draft);
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.unexplained.as_ref().map(|opening| opening.judged_at).filter(|at| at.0 < u64::MAX)
    }
}

/// The default of tailgating's `grant-lasts`, where that rule is not run.
const GRANT_LASTS: Duration = Duration::from_secs(60);

impl BarrierForced {
    fn explain(&mut self, here: &mut Here<'_>) {
        if self.life.is_open()
            && let Some(draft) = self.draft(here)
        {
            self.life.end(here, Phase::Retracted, draft);
        }
        self.unexplained = None;
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let opening = self.unexplained.as_ref()?;
        let mut draft = Draft::new(
            Phrase::words("the barrier opened without a grant"),
            Phrase::words("The arm was opened by hand, by force or by a fault."),
            0.01,
            opening.at,
        );
        draft.severity = Severity::Severe;
        draft.answer_within = Some(Duration::from_secs(180));
        draft.said(here, &opening.sensor, &[opening.position], Phrase::words("left its closed position"), 3.0);
        for sensor in here.all_healthy(Role::Grant).unwrap_or_default() {
            draft.absent(here, &sensor, Phrase::words("no grant, although it could have said so"), 4.0);
        }
        draft.facts = vec![
            Phrase::words("The arm left its closed position")
                .detail(FieldClass::Method, Phrase::words(" at ").at(opening.at))
                .then("; no passage was granted."),
        ];
        draft.act(FieldClass::Public, Phrase::words("Look at the lane; close it until the arm has been seen to."));
        draft.alternatives = vec![Alternative {
            text: Phrase::words("the arm was opened for maintenance"),
            probability: 1.0 - draft.probability(),
        }];
        draft.note_missing(here, &[Role::PlateFront, Role::PlateRear]);
        Some(draft)
    }
}

fn wait(here: &Here<'_>) -> Duration {
    let rule = here.site.rules.barrier_forced.as_ref();
    rule.map(|rule| rule.settings.clone()).unwrap_or_default().grant_within
}
