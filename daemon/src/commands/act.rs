//! `quaywatch reveal`, `hold` and `release` write an act down, two persons sign it, `quaywatch act` has it carried out.

use super::{AdminSocket, Done, Failure, small_runtime};
use crate::{
    admin::{Signed, client},
    config,
};
use clap::Args;
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use quaywatch_schemas::SiteId;
use quaywatch_sharing::acts::{Act, ActId, Kind, What};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, process::ExitCode};

/// What every act says beside what it asks for.
#[derive(Debug, Args)]
pub(super) struct Paper {
    /// The gateway's site, as its site file names it
    #[arg(long, value_name = "SITE")]
    at: String,
    /// The case, for the record; never a plate or a name
    #[arg(long)]
    reason: String,
    /// For how many hours it may be carried out, at most 8
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(i64).range(1..=8))]
    hours: i64,
    /// Where to write the act (NAME.json), for two persons to sign
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// One value of one situation.
#[derive(Debug, Args)]
struct One {
    /// The reference people were given, such as QW-G2-7K4MX2
    reference: String,
    /// Whose value: vehicle.following, or "vehicle, following" as the explanation prints it
    subject: String,
    /// Which: plate, container, tag or badge
    kind: Kind,
}

/// `quaywatch reveal`
#[derive(Debug, Args)]
pub struct Reveal {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    paper: Paper,
}

/// `quaywatch hold`
#[derive(Debug, Args)]
pub struct Hold {
    #[command(flatten)]
    one: One,
    /// The case it is kept for
    #[arg(long)]
    case: String,
    /// Who asked for it: the court or authority
    #[arg(long)]
    authority: String,
    /// Until the end of this day (YYYY-MM-DD, UTC), at most two years ahead
    #[arg(long, value_name = "DATE")]
    until: jiff::civil::Date,
    #[command(flatten)]
    paper: Paper,
}

/// `quaywatch release`
#[derive(Debug, Args)]
pub struct Release {
    /// The case whose held values are to be deleted
    case: String,
    #[command(flatten)]
    paper: Paper,
}

impl Reveal {
    pub(super) fn run(self) -> Done {
        let One { reference, subject, kind } = self.one;
        self.paper.write(What::Reveal { reference, subject, kind })
    }
}

impl Hold {
    pub(super) fn run(self) -> Done {
        let One { reference, subject, kind } = self.one;
        let Self { case, authority, until, paper, .. } = self;
        paper.write(What::Hold { reference, subject, kind, case, authority, until })
    }
}

impl Release {
    pub(super) fn run(self) -> Done {
        self.paper.write(What::Release { case: self.case })
    }
}

impl Paper {
    /// Writes an act down; a file that is there is never written over.
    pub(super) fn write(self, what: What) -> Done {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|why| Failure(format!("no randomness from the system: {why}")))?;
        if self.out.extension().is_none_or(|ending| ending != "json") {
            return Err(Failure(format!("--out {}: an act is a .json file", self.out.display())));
        }
        let made = Timestamp::now();
        let act = Act {
            site: SiteId::new(&self.at).map_err(|why| Failure(format!("--at {:?}: {why}", self.at)))?,
            id: ActId(id),
            made,
            valid_until: made + SignedDuration::from_hours(self.hours),
            reason: self.reason,
            what,
        };
        let text = serde_json::to_string_pretty(&act)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.out);
        let written = file.and_then(|mut file| writeln!(file, "{text}"));
        written.map_err(|why| Failure(format!("{} cannot be written: {why}", self.out.display())))?;
        let out = self.out.display();
        println!("{out}: good until {}", act.valid_until);
        println!("two persons of different departments sign it: quaywatch sign {out} --as NAME --key FILE");
        println!("then: quaywatch act {out}");
        Ok(ExitCode::SUCCESS)
    }
}

/// `quaywatch act`
#[derive(Debug, Args)]
pub struct CarryOut {
    /// The act, with the signatures beside it (FILE.sig)
    file: PathBuf,
    #[command(flatten)]
    admin: AdminSocket,
}

impl CarryOut {
    pub(super) fn run(self) -> Done {
        let text = fs::read_to_string(&self.file).map_err(|why| Failure(format!("{}: {why}", self.file.display())))?;
        let signatures = config::read_signatures(&config::signatures_of(&self.file));
        let signatures = signatures.map_err(|problems| Failure(problems.to_string()))?;
        let signatures = signatures.iter().map(|signature| format!("{signature}\n")).collect();
        let body = serde_json::to_vec(&Signed { text, signatures })?;
        let said = small_runtime()?
            .block_on(async { client::send(&self.admin.socket, Method::POST, "/act", body).await?.text().await })?;
        println!("{}", said.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}
