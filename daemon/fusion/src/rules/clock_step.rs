//! Clock step: the clock of a source was set.
//!
//! What the source says is corrected by then; what it said while the step was not known may have been put at the wrong time.
//! A clock that is set by hand is maintenance, or somebody who wants recordings not to fit.

use super::{Here, Kind, Look, Rule, Seen, Signal};
use crate::evidence::{Draft, Life};
use alloc::{format, string::String, vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime,
    situation::{Alternative, Phrase, Severity, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "clock.step",
    version: "1.0",
    fits: |_| true,
    mode: |site, zone| site.rules.clock_step.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| true,
    follows: &[],
};

/// Keeps nothing: the source's clock is kept with the sensor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ClockStep {}

impl Rule for ClockStep {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Reading(signal) = seen else { return };
        let Some(by) = signal.stepped_by else { return };
        let settings = here.site.rules.clock_step.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default();
        if Duration::from_nanos(by.unsigned_abs()) >= settings.at_least {
            let draft = draft(signal, by, here);
            Life::at_once(here, signal.position, draft);
        }
    }

    fn fire(&mut self, _: &mut Here<'_>) {}

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        None
    }
}

fn draft(signal: &Signal<'_>, by: i64, here: &Here<'_>) -> Draft {
    let step = in_words(Duration::from_nanos(by.unsigned_abs()));
    let way = if by > 0 { "forward" } else { "back" };
    let mut draft = Draft::new(
        Phrase::words("the clock of a source was set"),
        Phrase::words("What it says is put at the right time from now on; just before it may not have been."),
        0.1,
        here.wall(here.now),
    );
    draft.severity = Severity::Minor;
    draft.urgency = Urgency::Past;
    // Three words that agree with each other and not with all before: a line that keeps words back does not do that.
    draft.said(here, signal.sensor, &[signal.position], Phrase::words(format!("{step} {way}")), 5.5);
    draft.facts = vec![
        Phrase::words(format!("The clock of {} was set {way}", signal.sensor))
            .detail(FieldClass::Method, Phrase::words(format!(" by {step}")))
            .then("."),
    ];
    draft.act(
        FieldClass::Public,
        Phrase::words("Find out who set the clock."),
        Phrase::words("Find out who set the clock; have the source take its time from a time server."),
    );
    draft.alternatives = vec![Alternative {
        text: Phrase::words("its line kept words back and let them go evenly"),
        probability: 1.0 - draft.probability(),
    }];
    draft
}

fn in_words(step: Duration) -> String {
    match step.as_secs() {
        0..120 => format!("{:.1} s", step.as_secs_f64()),
        120..7200 => format!("{} min", step.as_secs() / 60),
        _ => format!("{} h", step.as_secs() / 3600),
    }
}
