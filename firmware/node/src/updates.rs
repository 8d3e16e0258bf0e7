//! Where new firmware goes. A board brings what it needs to keep, verify and start an image; a node without that refuses.
//!
//! With the feature `updates` that is [`quaywatch_update::Update`] over the board's flash.

use crate::Millis;
use quaywatch_schemas::frame::message::{Done, Refusal};

/// Keeps an image that comes in blocks. Each call may answer [`Done::Working`] and is then made again: none may take
/// longer than the gateway waits for an answer.
pub trait Updates {
    /// An image is to come; `manifest` is what its signer says of it. Answers with [`Done::Has`]: how much of it is here
    /// already. Nothing of it is taken before the signature was verified.
    fn begin(&mut self, manifest: &[u8]) -> Result<Done, Refusal>;

    /// A piece of the image. Answers with [`Done::Has`]: where the next one begins.
    fn block(&mut self, offset: u32, bytes: &[u8]) -> Result<Done, Refusal>;

    /// The image is whole: it is verified and runs after the next restart, on trial.
    fn finish(&mut self) -> Result<Done, Refusal>;

    /// The gateway proved itself in this boot: an image on trial can be reached and may stay. Called more than once.
    fn heard(&mut self);

    /// Whether what runs is on trial: a restart brings the former image back, unless the trial was passed before.
    fn is_on_trial(&self) -> bool;

    /// The node tested itself; asked for once, at the beginning of a trial.
    fn tested(&mut self, passed: bool);

    /// Time passed. Whether the node has to restart: what runs did not pass its trial.
    fn turn(&mut self, now: Millis) -> bool;
}

/// The firmware cannot be replaced over the link.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoUpdates;

impl Updates for NoUpdates {
    fn begin(&mut self, _: &[u8]) -> Result<Done, Refusal> {
        Err(Refusal::Unsupported)
    }

    fn block(&mut self, _: u32, _: &[u8]) -> Result<Done, Refusal> {
        Err(Refusal::Unsupported)
    }

    fn finish(&mut self) -> Result<Done, Refusal> {
        Err(Refusal::Unsupported)
    }

    fn heard(&mut self) {}

    fn is_on_trial(&self) -> bool {
        false
    }

    fn tested(&mut self, _: bool) {}

    fn turn(&mut self, _: Millis) -> bool {
        false
    }
}

/// What may not be there: without it the firmware cannot be replaced over the link.
impl<U: Updates> Updates for Option<U> {
    fn begin(&mut self, manifest: &[u8]) -> Result<Done, Refusal> {
        self.as_mut().ok_or(Refusal::Unsupported)?.begin(manifest)
    }

    fn block(&mut self, offset: u32, bytes: &[u8]) -> Result<Done, Refusal> {
        self.as_mut().ok_or(Refusal::Unsupported)?.block(offset, bytes)
    }

    fn finish(&mut self) -> Result<Done, Refusal> {
        self.as_mut().ok_or(Refusal::Unsupported)?.finish()
    }

    fn heard(&mut self) {
        if let Some(updates) = self {
            updates.heard();
        }
    }

    fn is_on_trial(&self) -> bool {
        self.as_ref().is_some_and(U::is_on_trial)
    }

    fn tested(&mut self, passed: bool) {
        if let Some(updates) = self {
            updates.tested(passed);
        }
    }

    fn turn(&mut self, now: Millis) -> bool {
        self.as_mut().is_some_and(|updates| updates.turn(now))
    }
}

#[cfg(feature = "updates")]
mod flash {
    use super::{Done, Millis, Refusal, Updates};
    use embedded_storage::nor_flash::NorFlash;
    use quaywatch_update::{Finish, Next, Refusal as Why, State, Update};

    impl<D: NorFlash, S: NorFlash> Updates for Update<D, S> {
        fn begin(&mut self, manifest: &[u8]) -> Result<Done, Refusal> {
            Update::begin(self, manifest).map(Done::Has).map_err(word)
        }

        fn block(&mut self, offset: u32, bytes: &[u8]) -> Result<Done, Refusal> {
            Update::block(self, offset, bytes).map(Done::Has).map_err(word)
        }

        fn finish(&mut self) -> Result<Done, Refusal> {
            Update::finish(self).map_err(word).map(|finish| match finish {
                Finish::Working => Done::Working,
                Finish::Marked => Done::Done,
            })
        }

        fn heard(&mut self) {
            Update::heard(self);
        }

        fn is_on_trial(&self) -> bool {
            matches!(self.state(), State::OnTrial(_))
        }

        fn tested(&mut self, passed: bool) {
            Update::tested(self, passed);
        }

        fn turn(&mut self, now: Millis) -> bool {
            Update::turn(self, now) == Next::Restart
        }
    }

    /// What the link says of a refusal.
    fn word(why: Why) -> Refusal {
        match why {
            Why::Malformed(_) | Why::Unsigned(_) => Refusal::BadSignature,
            Why::WrongBoard(_) => Refusal::WrongBoard,
            Why::TooOld(_) => Refusal::TooOld,
            Why::TooLong(_) => Refusal::TooLong,
            Why::OnTrial => Refusal::OnTrial,
            Why::NoTransfer => Refusal::NoTransfer,
            Why::BlockLength | Why::Incomplete => Refusal::Incomplete,
            Why::Digest => Refusal::BadDigest,
            Why::Flash(_) => Refusal::Flash,
        }
    }
}
