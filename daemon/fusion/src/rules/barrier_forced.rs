//! Barrier forced: the arm left its closed position and nobody granted it.
//!
//! A controller may report the grant after the arm, so the rule waits a moment before it speaks. If the grant signal could
//! not have spoken all the while, an opening without it says nothing: it is *unknown*, and the silent sensor is its own
//! finding. An arm that is found open when the gateway or its line comes back has not been forced by that.

use super::{Here, Kind, Look, Rule, Seen, Stream};
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
    hears: |_| false,
    follows: &[Stream::Lane],
};

/// What is remembered of one arm.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct BarrierForced {
    granted: Option<GatewayTime>,
    closed: Option<GatewayTime>,
    opening: Option<Opening>,
    life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opening {
    at: WallTime,
    gateway: GatewayTime,
    position: Position,
    sensor: SensorId,
    closed: Option<WallTime>,
    /// When it is judged; `None` once it was, or was granted.
    judged_at: Option<GatewayTime>,
}

/// An arm that is open again this soon has not moved; its switch bounced.
const BOUNCE: Duration = Duration::from_secs(1);

impl Rule for BarrierForced {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Lane(event) = seen else { return };
        match event {
            LaneEvent::Granted { gateway, .. } => {
                self.granted = Some(*gateway);
                self.explain();
            }
            LaneEvent::Opened { at, position, sensor } => self.open(*at, *position, sensor, here),
            LaneEvent::Closed { at } => {
                self.closed = Some(here.now);
                // A grant from before this opening is used up; a fresh one is meant to open the arm again.
                let fresh = wait(here);
                self.granted = self.granted.filter(|granted| here.now.since(*granted) <= fresh);
                if let Some(opening) = &mut self.opening {
                    opening.closed = Some(*at);
                }
                if self.life.is_open()
                    && let Some(draft) = self.draft(here)
                {
                    self.life.end(here, Phase::Closed, draft);
                    self.opening = None;
                }
            }
            _ => {}
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let Some(opening) = &mut self.opening else { return };
        opening.judged_at = None;
        let (first, from, closed) = (opening.position, opening.gateway, opening.closed.is_some());
        if here.could_speak_since(Role::Grant, from).is_none() {
            self.opening = None;
            return;
        }
        let Some(draft) = self.draft(here) else { return };
        self.life.say(here, first, draft.clone());
        if closed {
            self.life.end(here, Phase::Closed, draft);
            self.opening = None;
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.opening.as_ref().and_then(|opening| opening.judged_at)
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        if let Some(draft) = self.draft(here) {
            self.life.give_up(here, draft);
        }
    }
}

impl BarrierForced {
    fn open(&mut self, at: WallTime, position: Position, sensor: &SensorId, here: &Here<'_>) {
        if self.closed.take().is_some_and(|closed| here.now.since(closed) < BOUNCE) {
            if let Some(opening) = &mut self.opening {
                opening.closed = None;
            }
            return;
        }
        if self.granted.is_some_and(|granted| here.now.since(granted) <= wait(here)) || self.life.is_open() {
            return;
        }
        self.opening = Some(Opening {
            at,
            gateway: here.now,
            position,
            sensor: sensor.clone(),
            closed: None,
            judged_at: Some(here.now.after(wait(here))),
        });
    }

    /// A grant that is read before the opening is judged explains it; later it is another vehicle's, or an excuse.
    fn explain(&mut self) {
        if self.opening.as_ref().is_some_and(|opening| opening.judged_at.is_some()) {
            self.opening = None;
        }
    }

    fn draft(&self, here: &Here<'_>) -> Option<Draft> {
        let opening = self.opening.as_ref()?;
        let mut draft = Draft::new(
            Phrase::words("the barrier opened without a grant"),
            Phrase::words("The arm was opened by hand, by force or by a fault."),
            0.01,
            opening.at,
        );
        draft.until = opening.closed;
        draft.severity = Severity::Severe;
        draft.answer_within = Some(Duration::from_secs(180));
        draft.said(here, &opening.sensor, &[opening.position], Phrase::words("left its closed position"), 3.0);
        for (sensor, _) in here.sensors_with(Role::Grant) {
            draft.absent(here, sensor, Phrase::words("no grant, although it could have said so"), 3.0);
        }
        draft.facts = vec![
            Phrase::words("The arm left its closed position")
                .detail(FieldClass::Method, Phrase::words(" at ").at(opening.at))
                .then("; no passage was granted."),
        ];
        if opening.closed.is_some() {
            draft.facts.push(Phrase::words("The arm is closed again."));
        }
        draft.act(
            FieldClass::Public,
            Phrase::words("Look at the lane."),
            Phrase::words("Look at the lane; keep it closed until the arm has been seen to."),
        );
        draft.alternatives = vec![Alternative {
            text: Phrase::words("the arm was opened for maintenance"),
            probability: 1.0 - draft.probability(),
        }];
        draft.note_missing(here, &[Role::LoopExit, Role::PlateFront, Role::PlateRear]);
        Some(draft)
    }
}

fn wait(here: &Here<'_>) -> Duration {
    let rule = here.site.rules.barrier_forced.as_ref();
    rule.map(|rule| rule.settings.clone()).unwrap_or_default().grant_within
}
