//! `quaywatch rates`: what sensors and scores are taken to be worth, what verdicts and passages say, and putting it in force.

use super::{AdminSocket, Done, Failure, StateFolder, live::percent_encoded, small_runtime};
use crate::{
    admin::client::{self, AdminError},
    pipeline::Learned,
};
use clap::{Args, Subcommand};
use hyper::Method;
use std::process::ExitCode;

/// `quaywatch rates`
#[derive(Debug, Args)]
pub struct Rates {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    state: StateFolder,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Put what is proposed in force, from this moment in the log on
    Adopt {
        /// The proposal's name, as `quaywatch rates` prints it: what was read is what is adopted
        id: String,
    },
}

impl Rates {
    pub(super) fn run(self) -> Done {
        let (method, path) = match &self.act {
            None => (Method::GET, "/rates".to_owned()),
            Some(Act::Adopt { id }) => (Method::POST, format!("/rates/adopt/{}", percent_encoded(id))),
        };
        let asked =
            small_runtime()?.block_on(async { client::ask(&self.admin.socket, method, &path).await?.text().await });
        let text = match asked {
            Err(AdminError::NotRunning { .. }) if self.act.is_none() => {
                let state = crate::ledger::read_state(&self.state.folder)?;
                let learned = Learned::of(&state)?;
                learned.ok_or_else(|| Failure("nothing has been decided in this store yet".into()))?.to_string()
            }
            asked => asked?,
        };
        print!("{text}");
        Ok(ExitCode::SUCCESS)
    }
}
