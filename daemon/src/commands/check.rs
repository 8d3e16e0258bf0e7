//! `quaywatch check`: everything that can be said about two files without connecting to anything.

use super::{Done, Failure, Files};
use crate::config;
use clap::Args;
use std::process::ExitCode;

/// `quaywatch check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    files: Files,
    /// Check the site file alone
    #[arg(long)]
    site_only: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Done {
        let site = config::load_site(&self.files.site).map_err(|problems| Failure(problems.to_string()))?;
        let sharing = match self.site_only {
            true => None,
            false => {
                let sharing = config::load_sharing(&self.files.sharing, &site);
                Some(sharing.map_err(|problems| Failure(problems.to_string()))?)
            }
        };
        let report = config::check::report(&site, sharing.as_ref());
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
