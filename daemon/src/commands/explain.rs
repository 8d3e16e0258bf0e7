//! `quaywatch explain REF`: why, from the stored evidence. Prior and terms are the score.

mod page;

use super::{AdminSocket, Done, Failure, StateFolder, live::percent_encoded, small_runtime};
use crate::{
    admin::client::{self, AdminError},
    ledger::{Kept, State, StateError},
};
use clap::Args;
use hyper::Method;
pub use page::Page;
use std::process::ExitCode;

/// `quaywatch explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The reference people were given, such as QW-G2-7K4M
    reference: String,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    state: StateFolder,
}

impl Explain {
    pub(super) fn run(self) -> Done {
        let path = format!("/explain/{}", percent_encoded(&self.reference));
        let asked = small_runtime()?
            .block_on(async { client::ask(&self.admin.socket, Method::GET, &path).await?.text().await });
        let text = match asked {
            Err(AdminError::NotRunning { .. }) => {
                let state = crate::ledger::read_state(&self.state.folder)?;
                from_state(&state, &self.reference).map_err(Failure)?
            }
            asked => asked?,
        };
        print!("{text}");
        Ok(ExitCode::SUCCESS)
    }
}

/// The explanation of what a reference stands for, or why there is none.
pub fn from_state(state: &State, reference: &str) -> Result<String, String> {
    let reference = reference.trim().to_ascii_uppercase();
    explained(state, &reference).map_err(|e| e.to_string())?
}

fn explained(state: &State, reference: &str) -> Result<Result<String, String>, StateError> {
    let kept = match state.by_reference(reference)? {
        Some(id) => state.kept(&id)?,
        None => Kept::Unknown,
    };
    Ok(match kept {
        Kept::Unknown => Err(format!("no situation on this gateway has the reference {reference:?}")),
        Kept::Deleted(key) => {
            let since = state.destroyed(key)?.map(|at| format!(" on {}", page::date(at))).unwrap_or_default();
            Err(format!("what {reference} stood for was deleted{since}: the key it was sealed with was destroyed"))
        }
        Kept::Readable { latest, surest } => {
            let places = state.places()?;
            let deleted = |key| state.destroyed(key).ok().flatten();
            let page =
                Page { reference, latest: &latest, surest: surest.as_deref(), places: &places, deleted: &deleted };
            Ok(page.to_string())
        }
    })
}
