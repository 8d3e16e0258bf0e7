//! Which sharing file takes effect.
//!
//! A signed file judges the next one ([`quaywatch_sharing::signing::admit`]), so what is in force must outlive a file that
//! is swapped while the gateway is down. The state folder keeps a copy of the last file that was taken, and of its
//! signatures. A gateway that starts and finds a file it may not take starts with that copy, and says so: whoever can write
//! into `/etc` alone cannot change who is told.

use crate::{
    config::{self, SharingFile, SiteFile},
    health::{Board, Condition},
    ledger::{self, KeysError},
    pipeline::Picture,
};
use quaywatch_schemas::{PersonId, Policy};
use quaywatch_sharing::signing::{self, NotTaken, Signable};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// The part of the board that says whether the sharing file could be taken.
const PART: &str = "sharing file";

/// Decides on sharing files.
pub(super) struct Admission {
    /// The copy of what was taken last.
    taken: PathBuf,
    in_force: watch::Receiver<Picture>,
    board: Board,
}

impl Admission {
    pub(super) fn new(state: &Path, in_force: watch::Receiver<Picture>, board: Board) -> Self {
        Self { taken: state.join("sharing.taken"), in_force, board }
    }

    /// The file that may take effect, with whose signatures it has; or why it may not.
    pub(super) fn admit(&self, mut file: SharingFile, site: &SiteFile) -> Result<SharingFile, NotTaken> {
        let judge = self.judge(site);
        file.policy.signed_by = signing::admit(&judge, &file.policy, file.text().as_bytes(), &file.signatures)?;
        Ok(file)
    }

    /// The file to start with: this one, or the copy of the last one that was taken.
    pub(super) fn at_start(&self, file: SharingFile, site: &SiteFile) -> Result<SharingFile, String> {
        let name = file.name().to_owned();
        self.admit(file, site).or_else(|why| {
            let kept = self.kept(site).map_err(|kept| format!("{name}: {why}\nand the one in force cannot be read: {kept}"));
            tracing::error!(%why, file = name, "the sharing file is not taken; the gateway starts with the last one that was");
            self.board.say(PART, Condition::Degraded(format!("{name} is not taken: {why}; the last one that was is in force")));
            kept
        })
    }

    /// It is in force now: keeps a copy, says who signed it. A disk that is too full for a copy stops no gateway.
    pub(super) fn took(&self, file: &SharingFile) {
        self.board.signed(signed(&file.policy.signed_by));
        if file.is_at(&self.taken) {
            return;
        }
        self.board.say(
            PART,
            match self.keep(file) {
                Ok(()) => Condition::Well,
                Err(why) => {
                    let why = format!("it is in force, and no copy of it could be kept ({why}); make room and reload");
                    tracing::error!(why, "the sharing file has no copy to fall back on");
                    Condition::Degraded(why)
                }
            },
        );
    }

    fn keep(&self, file: &SharingFile) -> Result<(), KeysError> {
        // The signatures first: a copy without its own is judged by those it names all the same.
        let signatures: String = file.signatures.iter().map(|signature| format!("{signature}\n")).collect();
        ledger::replace(&config::signatures_of(&self.taken), signatures.as_bytes())?;
        ledger::replace(&self.taken, file.text().as_bytes())
    }

    /// The policy in force; if that was lost with the state, the copy's.
    fn judge(&self, site: &SiteFile) -> Policy {
        let in_force = self.in_force.borrow().policy.clone().unwrap_or_default();
        match in_force.persons.is_empty() {
            false => (*in_force).clone(),
            true => self.kept(site).map_or_else(|_| (*in_force).clone(), |file| file.policy),
        }
    }

    fn kept(&self, site: &SiteFile) -> Result<SharingFile, String> {
        let mut file = config::load_sharing(&self.taken, site).map_err(|problems| problems.to_string())?;
        let text = file.text().as_bytes();
        (file.policy.signed_by, _) =
            signing::signers(&file.policy.persons, Signable::SharingFile, text, &file.signatures);
        Ok(file)
    }
}

/// Who signed, in words.
fn signed(by: &[PersonId]) -> String {
    match by {
        [] => "unsigned".into(),
        by => format!("signed by {}", by.iter().map(PersonId::as_str).collect::<Vec<_>>().join(" and ")),
    }
}
