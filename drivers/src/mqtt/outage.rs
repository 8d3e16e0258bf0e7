//! Saying that sensors cannot be heard while their session is down or their topic is refused.
//!
//! A word that comes again ends it by itself. Because a door contact may have nothing to say for days, a sensor read by JSON
//! pointer that was said to be disconnected is said to be alive when its topic is open again: its line can carry its words.
//! Frigate's cameras are not: Frigate states their availability itself.

use super::{Gives, Subscription};
use crate::intake::{Intake, NotStored};
use quaywatch_schemas::{NoData, Observation, Reading, Record, observation::Health};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// A broker that is restarted is back well before this, and nothing was missed.
const SAY_AFTER: Duration = Duration::from_secs(5);

/// Watches which subscriptions are open until their sender is gone or the ledger takes nothing any more.
pub(super) async fn tell(subscriptions: &[Subscription], open: watch::Receiver<Vec<bool>>, intake: &Intake) {
    // Nothing is left to be told then.
    let _: Result<(), NotStored> = tell_until(subscriptions, open, intake).await;
}

async fn tell_until(
    subscriptions: &[Subscription],
    mut open: watch::Receiver<Vec<bool>>,
    intake: &Intake,
) -> Result<(), NotStored> {
    let mut known = vec![Known::ClosedSince(Instant::now()); subscriptions.len()];
    loop {
        let now = Instant::now();
        let mut said = Vec::new();
        for ((subscription, known), open) in subscriptions.iter().zip(&mut known).zip(open.borrow_and_update().iter()) {
            let (next, reading) = step(*known, *open, now);
            *known = next;
            let own_word = matches!(subscription.gives, Gives::Frigate { .. });
            let reading = reading.filter(|reading| !(own_word && *reading == Reading::Health(Health::Alive)));
            if let (Some(sensor), Some(reading)) = (subscription.sensor(), reading) {
                let record = Record::Observation(Observation::live(sensor.clone(), reading));
                // A sensor with several topics is said once.
                if !said.contains(&record) {
                    said.push(record);
                }
            }
        }
        if !said.is_empty() {
            intake.store(said).await?;
        }
        let due = known.iter().filter_map(|known| match known {
            Known::ClosedSince(since) => Some(*since + SAY_AFTER),
            Known::Open | Known::Told => None,
        });
        let due = due.min();
        tokio::select! {
            changed = open.changed() => if changed.is_err() { return Ok(()) },
            () = async { tokio::time::sleep_until(due.unwrap_or(now)).await }, if due.is_some() => {}
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Open,
    ClosedSince(Instant),
    /// It was said that it is closed.
    Told,
}

fn step(known: Known, open: bool, now: Instant) -> (Known, Option<Reading>) {
    match (known, open) {
        (Known::Told, true) => (Known::Open, Some(Reading::Health(Health::Alive))),
        (_, true) => (Known::Open, None),
        (Known::Open, false) => (Known::ClosedSince(now), None),
        (Known::ClosedSince(since), false) if now.duration_since(since) >= SAY_AFTER => {
            (Known::Told, Some(Reading::NoData(NoData::Disconnected)))
        }
        (known, false) => (known, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_once_and_only_if_it_lasts_and_its_end_only_if_it_was_said() {
        let start = Instant::now();
        let mut known = Known::ClosedSince(start);
        let mut said = Vec::new();
        for (second, open) in [
            (1, true),
            (10, false),
            (14, true),
            (20, false),
            (24, false),
            (25, false),
            (60, false),
            (61, true),
            (70, true),
        ] {
            let (next, reading) = step(known, open, start + Duration::from_secs(second));
            known = next;
            said.extend(reading.map(|reading| (second, reading)));
        }
        assert_eq!(said, [(25, Reading::NoData(NoData::Disconnected)), (61, Reading::Health(Health::Alive))]);
    }

    #[test]
    fn a_line_that_never_came_up_is_an_outage_too() {
        let start = Instant::now();
        let (known, said) = step(Known::ClosedSince(start), false, start + SAY_AFTER);
        assert_eq!((known, said), (Known::Told, Some(Reading::NoData(NoData::Disconnected))));
    }
}
