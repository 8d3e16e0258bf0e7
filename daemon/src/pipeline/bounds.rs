//! What the engine had to let go at its bounds, for the journal, for health and for metrics.

use crate::health::{Board, Condition};
use quaywatch_fusion::{Engine, bounds::LetGo};
use quaywatch_schemas::GatewayTime;
use std::time::Duration;

/// For so long health shows what was let go: a shift that comes on an hour later still finds it.
const SHOWN_FOR: Duration = Duration::from_secs(3600);

/// What was said of it so far.
#[derive(Debug)]
pub(super) struct Bounds {
    said: LetGo,
    /// What was let go lately, and until when that is shown.
    lately: Option<(LetGo, GatewayTime)>,
}

impl Bounds {
    /// What was let go before the gateway started was said then.
    pub(super) fn of(engine: &Engine) -> Self {
        Self { said: engine.let_go(), lately: None }
    }

    pub(super) fn show(&mut self, engine: &Engine, now: GatewayTime, board: &Board) {
        let total = engine.let_go();
        for (what, times) in total.each() {
            metrics::counter!("quaywatch_let_go_total", "what" => what).absolute(times);
        }
        for state in engine.patterns() {
            for (what, times) in [("unknown", state.unknown), ("unguarded", state.unguarded), ("late", state.late)] {
                let labels =
                    [("pattern", state.pattern.to_string()), ("zone", state.zone.to_string()), ("what", what.into())];
                metrics::counter!("quaywatch_pattern_unsaid_total", &labels).absolute(times.into());
            }
        }
        if total != self.said {
            let before = self.lately.map_or(self.said, |(before, _)| before);
            if self.lately.is_none() {
                tracing::warn!(what = %difference(&before, &total), "the engine is at a bound and lets the least valuable go");
            }
            self.lately = Some((before, now.after(SHOWN_FOR)));
            self.said = total;
        }
        self.lately = self.lately.filter(|(_, until)| now < *until);
        board.say(
            "bounds",
            match &self.lately {
                None => Condition::Well,
                Some((before, _)) => Condition::Degraded(format!("let go at a bound: {}", difference(before, &total))),
            },
        );
    }
}

fn difference(before: &LetGo, total: &LetGo) -> String {
    let each = total.each().into_iter().zip(before.each());
    let grown = each.map(|((what, total), (_, before))| (what, total.saturating_sub(before)));
    let words: Vec<String> = grown.filter(|(_, more)| *more > 0).map(|(what, more)| format!("{more} {what}")).collect();
    words.join(", ")
}
