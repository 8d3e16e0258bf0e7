//! `quaywatch demo`: a simulated port behind real sockets.

use super::Done;
use clap::Args;

/// `quaywatch demo`
#[derive(Debug, Args)]
pub struct Demo {}

impl Demo {
    pub(super) fn run(self) -> Done {
        todo!()
    }
}
