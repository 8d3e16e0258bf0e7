//! `quaywatch check`: everything that can be said about two files without connecting to anything.

use super::{Done, Failure, Files};
use crate::config;
use clap::Args;
use std::{io::Write, process::ExitCode};

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
        let mut report = config::check::report(&site, sharing.as_ref());
        report.look_for_credentials(&self.files.credentials);
        if self.json {
            print(&serde_json::to_string_pretty(&report)?)?;
        } else {
            print(&report.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints to standard output; whoever reads only the beginning of it (`| head`) is no failure.
fn print(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
