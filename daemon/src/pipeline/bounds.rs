//! What the engine had to let go at its bounds, for the journal, for health and for metrics.

use crate::health::{Board, Condition};
use quaywatch_fusion::{Engine, PatternState, bounds::LetGo};
use quaywatch_schemas::GatewayTime;
use std::{collections::BTreeMap, time::Duration};

/// For so long health shows what was let go: a shift that comes on an hour later still finds it.
const SHOWN_FOR: Duration = Duration::from_secs(3600);

/// What was said of it so far.
#[derive(Debug)]
pub(super) struct Bounds {
    said: LetGo,
    /// What was let go lately, by its name, and until when that is shown.
    lately: BTreeMap<&'static str, u64>,
    until: GatewayTime,
}

impl Bounds {
    /// What was let go before the gateway started was said then.
    pub(super) fn of(engine: &Engine) -> Self {
        Self { said: engine.let_go(), lately: BTreeMap::new(), until: GatewayTime(0) }
    }

    pub(super) fn show(&mut self, engine: &Engine, now: GatewayTime, board: &Board) {
        for state in engine.patterns() {
            show_pattern(&state);
        }
        board.say("bounds", self.note(engine.let_go(), now));
    }

    /// What was let go since it was asked last. A site that takes effect may begin parts of the engine anew, and with them
    /// what they counted.
    fn note(&mut self, total: LetGo, now: GatewayTime) -> Condition {
        if self.until <= now {
            self.lately.clear();
        }
        let quiet = self.lately.is_empty();
        for ((what, times), (_, before)) in total.each().into_iter().zip(self.said.each()) {
            let more = times.saturating_sub(before);
            metrics::counter!("quaywatch_let_go_total", "what" => what).increment(more);
            if more > 0 {
                *self.lately.entry(what).or_default() += more;
                self.until = now.after(SHOWN_FOR);
            }
        }
        self.said = total;
        if self.lately.is_empty() {
            return Condition::Well;
        }
        let words: Vec<String> = self.lately.iter().map(|(what, times)| format!("{times} {what}")).collect();
        let what = words.join(", ");
        if quiet {
            tracing::warn!(what, "the engine is at a bound and lets the least valuable go");
        }
        Condition::Degraded(format!("let go at a bound: {what}"))
    }
}

/// What a pattern could not say since it is looked for as it is now.
fn show_pattern(state: &PatternState) {
    for (what, times) in [("unknown", state.unknown), ("unguarded", state.unguarded), ("late", state.late)] {
        let labels = [("pattern", state.pattern.to_string()), ("zone", state.zone.to_string()), ("what", what.into())];
        metrics::gauge!("quaywatch_pattern_unsaid", &labels).set(f64::from(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> GatewayTime {
        GatewayTime(second * 1_000_000_000)
    }

    #[test]
    fn what_is_let_go_is_shown_for_an_hour_and_a_count_that_begins_anew_is_not_a_loss() {
        let mut bounds = Bounds { said: LetGo::default(), lately: BTreeMap::new(), until: at(0) };
        let passages = |passages| LetGo { passages, ..LetGo::default() };
        let shown = |what: &str| Condition::Degraded(format!("let go at a bound: {what}"));
        assert_eq!(bounds.note(passages(0), at(1)), Condition::Well);
        assert_eq!(bounds.note(passages(2), at(2)), shown("2 passages"));
        let both = LetGo { tracks: 1, ..passages(3) };
        assert_eq!(bounds.note(both, at(3)), shown("3 passages, 1 tracks"));
        // A lane was changed in the site file: its count begins anew, and goes on from there.
        assert_eq!(bounds.note(passages(0), at(4)), shown("3 passages, 1 tracks"));
        assert_eq!(bounds.note(passages(1), at(5)), shown("4 passages, 1 tracks"));
        assert_eq!(bounds.note(passages(1), at(5 + 3599)), shown("4 passages, 1 tracks"));
        assert_eq!(bounds.note(passages(1), at(5 + 3600)), Condition::Well);
    }
}
