//! What recipients say, taken in: the same for MQTT and HTTP. Accepted means on disk here too.

use super::{
    Parts,
    answers::{self, Against, Refusal},
    blocking,
};
use crate::ledger::wall_now;
use quaywatch_drivers::intake::NotStored;
use quaywatch_schemas::{Control, LineId, RecipientId, Record, control::ReceivedAnswer, record::DeadLetter};
use std::time::{Duration, Instant};

/// Why something was not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// It is wrong, and will be wrong again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be stored; it may be said again.
    #[error(transparent)]
    NotStored(#[from] NotStored),
}

/// Takes an answer; when this returns it is on disk. The same answer twice is one answer.
pub(super) async fn answer(parts: &Parts, recipient: &RecipientId, bytes: &[u8]) -> Result<(), NotTaken> {
    let parsed = answers::answer(bytes, &against(parts, recipient));
    count("quaywatch_answers_total", recipient, parsed.is_ok());
    let answer = ReceivedAnswer { recipient: recipient.clone(), answer: parsed?, received: wall_now() };
    parts.intake.store(vec![Record::Control(Control::Answer(answer))]).await?;
    Ok(())
}

/// Takes a receipt. It is not synced: if it is lost in a crash, what it covers is sent again with the same id and bytes.
pub(super) fn receipt(parts: &Parts, recipient: &RecipientId, bytes: &[u8]) -> Result<(), NotTaken> {
    let parsed = answers::receipt(bytes, &against(parts, recipient));
    count("quaywatch_receipts_total", recipient, parsed.is_ok());
    let receipt = parsed?;
    let confirmed = blocking(|| parts.outbox.confirm_up_to(recipient, receipt.up_to)).map_err(|why| {
        tracing::error!(%why, "a receipt could not be noted");
        NotStored
    })?;
    metrics::counter!("quaywatch_upstream_confirmed_total", "recipient" => recipient.to_string())
        .increment(confirmed as u64);
    Ok(())
}

fn against(parts: &Parts, recipient: &RecipientId) -> Against {
    Against {
        epoch_hex: parts.outbox.epoch_hex(),
        last_sequence: parts.outbox.high_water(recipient).sequence,
        now: wall_now(),
        clock: parts.picture.borrow().clock,
    }
}

fn count(what: &'static str, recipient: &RecipientId, taken: bool) {
    let outcome = if taken { "taken" } else { "refused" };
    metrics::counter!(what, "recipient" => recipient.to_string(), "outcome" => outcome).increment(1);
}

/// Keeps what a recipient said and nobody understood, as many as [`LETTERS`] in [`LETTERS_IN`]; beyond that they are only
/// counted, so that a recipient gone wrong cannot fill the log.
#[derive(Debug)]
pub(super) struct Letters {
    line: LineId,
    since: Instant,
    kept: u32,
}

const LETTERS: u32 = 60;
const LETTERS_IN: Duration = Duration::from_secs(60);

impl Letters {
    pub(super) fn of(recipient: &RecipientId) -> Self {
        let mut name = format!("upstream-{recipient}");
        // A line's name has at most 63 characters; all of them are ASCII.
        name.truncate(63);
        let line = LineId::new(&name).expect("a recipient's name behind a word is a name");
        Self { line, since: Instant::now(), kept: 0 }
    }

    /// The dead letter for something, if there is room for it.
    pub(super) fn letter(&mut self, what: &str, refusal: &Refusal, raw: &[u8]) -> Option<Record> {
        if self.since.elapsed() >= LETTERS_IN {
            (self.since, self.kept) = (Instant::now(), 0);
        }
        if self.kept == LETTERS {
            return None;
        }
        self.kept += 1;
        let reason = format!("{what}: {refusal}");
        Some(Record::DeadLetter(DeadLetter::new(self.line.clone(), None, reason, raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_gone_wrong_cannot_fill_the_log() {
        let mut letters = Letters::of(&RecipientId::new(&"a".repeat(63)).unwrap());
        let refusal = Refusal("not JSON: line 1, column 1".into());
        let kept = (0..1000).filter(|_| letters.letter("answer", &refusal, b"x").is_some()).count();
        assert_eq!(kept, 60);
        letters.since = Instant::now().checked_sub(LETTERS_IN).unwrap();
        assert!(letters.letter("answer", &refusal, b"x").is_some());
    }
}
