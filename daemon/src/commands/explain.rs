//! `quaywatch explain REF`: why, from the stored evidence. Prior and terms are the score.

mod page;

use super::{AdminSocket, Done, Failure, StateFolder, live::percent_encoded, small_runtime};
use crate::{
    admin::client::{self, AdminError},
    ledger::{Kept, State, StateError, wall_now},
    pipeline::Picture,
};
use clap::Args;
use hyper::Method;
pub use page::Page;
use quaywatch_schemas::RecipientId;
use quaywatch_sharing::Context;
use std::process::ExitCode;

/// `quaywatch explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The reference people were given, such as QW-G2-7K4M
    reference: String,
    /// Say why this recipient is or is not shown what it has in it, without revealing that; asks a live gateway
    #[arg(long = "for", value_name = "RECIPIENT")]
    recipient: Option<String>,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    state: StateFolder,
}

impl Explain {
    pub(super) fn run(self) -> Done {
        let mut path = format!("/explain/{}", percent_encoded(&self.reference));
        if let Some(recipient) = &self.recipient {
            path.push_str(&format!("?for={}", percent_encoded(recipient)));
        }
        let asked = small_runtime()?
            .block_on(async { client::ask(&self.admin.socket, Method::GET, &path).await?.text().await });
        let text = match asked {
            Err(AdminError::NotRunning { .. }) if self.recipient.is_none() => {
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

/// Why a recipient is or is not shown what a reference stands for, under the policy in force.
pub fn to_recipient(
    state: &State,
    reference: &str,
    recipient: &str,
    picture: &Picture,
    reference_key: &[u8; 32],
) -> Result<String, String> {
    let reference = reference.trim().to_ascii_uppercase();
    let recipient = RecipientId::new(recipient).map_err(|why| format!("--for {recipient:?}: {why}"))?;
    let (Some(policy), Some(site)) = (&picture.policy, &picture.site) else {
        return Err("no site file and no sharing file are in force yet".into());
    };
    let known = state.by_reference(&reference).map_err(|why| why.to_string())?;
    let kept = known.map(|id| state.kept(&id)).transpose().map_err(|why| why.to_string())?;
    let situation = match kept {
        None | Some(Kept::Unknown) => {
            return Err(format!("no situation on this gateway has the reference {reference:?}"));
        }
        Some(Kept::Deleted(_)) => return Err(format!("what {reference} stood for was deleted")),
        Some(Kept::Readable { latest, .. }) => latest,
    };
    let context = Context { policy, site, told: None, others_told: &[], reference_key, late: false, now: wall_now() };
    let why = quaywatch_sharing::why(&recipient, &situation, &context);
    // Who is told nothing does not learn here what it was, nor where.
    let what = why.told.map(|()| format!(" ({} in {})", situation.kind, situation.zone)).unwrap_or_default();
    Ok(format!("{reference}{what} for {recipient}\n{why}"))
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
