//! Where new firmware goes. A board brings what it needs to keep, verify and start an image; a node without that refuses.

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
}
