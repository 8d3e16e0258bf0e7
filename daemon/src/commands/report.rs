//! `quaywatch report`: what is processed, and who looked at it.

use super::{Done, Failure, Files, StateFolder, act::Paper};
use crate::{
    config,
    ledger::{self, wall_now},
};
use clap::{Args, Subcommand};
use quaywatch_schemas::{
    Control, Record, WallTime,
    control::{OperatorAct, SignedAct},
    policy::{Retention, Treatment},
    situation::IdentityKind,
};
use quaywatch_sharing::{
    acts::What,
    processing::{Stream, streams},
};
use serde::Serialize;
use std::{fmt, fmt::Write, process::ExitCode};

/// `quaywatch report`
#[derive(Debug, Args)]
pub struct Report {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    /// The record of processing, from the two files: streams about persons, purposes, recipients, how long they are kept
    Processing {
        #[command(flatten)]
        files: Files,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write down that all that is held on one plate is to be listed, for two persons to sign
    Subject {
        /// The plate, as cameras read it; it stands in the act
        #[arg(long)]
        plate: String,
        #[command(flatten)]
        paper: Paper,
    },
    /// Who looked at what: reveals, explanations, taps, dead letters, from the log
    Access {
        #[command(flatten)]
        state: StateFolder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Report {
    pub(super) fn run(self) -> Done {
        match self.of {
            Of::Processing { files, json } => {
                let site = config::load_site(&files.site).map_err(|problems| Failure(problems.to_string()))?;
                let sharing = config::load_sharing(&files.sharing, &site);
                let policy = sharing.map_err(|problems| Failure(problems.to_string()))?.policy;
                let processing = Processing {
                    site: site.site.id.to_string(),
                    retention: policy.retention,
                    log_days: site.log_retention.as_secs() / 86_400,
                    streams: streams(&policy, &site.site, wall_now()),
                };
                print(&processing, json)
            }
            Of::Subject { plate, paper } => paper.write(What::ReportSubject { plate }),
            Of::Access { state, json } => {
                let mut accesses = Vec::new();
                for record in ledger::read_log(&state.folder)? {
                    let record = record?;
                    if let Record::Control(Control::OperatorAct { by, act }) = record.record {
                        accesses.extend(Access::of(record.stamp.wall, by, act));
                    }
                }
                print(&Accesses(accesses), json)
            }
        }
    }
}

/// The record of processing of one gateway.
#[derive(Serialize)]
struct Processing {
    site: String,
    retention: Retention,
    log_days: u64,
    streams: Vec<Stream>,
}

/// What an act let somebody see.
#[derive(Serialize)]
struct Access {
    at: String,
    by: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Accesses(Vec<Access>);

impl Access {
    /// `None` for acts that show nothing.
    fn of(at: WallTime, by: String, act: OperatorAct) -> Option<Self> {
        let (by, what, reason) = match act {
            OperatorAct::Tapped { sensor } => (by, format!("watched {sensor}, identities masked"), None),
            OperatorAct::Explained { reference } => (by, format!("read the explanation of {reference}"), None),
            OperatorAct::ReadDeadLetters { line } => {
                let line = line.map_or_else(|| "all lines".to_owned(), |line| format!("line {line}"));
                (by, format!("read the dead letters of {line}"), None)
            }
            OperatorAct::Signed { signed_by, reason, act, .. } => {
                let signed: Vec<&str> = signed_by.iter().map(|person| person.as_str()).collect();
                let what = match act {
                    SignedAct::Revealed { reference, subject, kind } => {
                        format!("revealed the {} of {subject} in {reference}", word(kind))
                    }
                    SignedAct::Held { reference, subject, kind, case, authority, until } => format!(
                        "held the {} of {subject} in {reference} for case {case} of {authority} until {}",
                        word(kind),
                        moment(until)
                    ),
                    SignedAct::Released { case } => format!("released what was held for case {case}"),
                    SignedAct::SubjectReported => "listed all that is held on one plate".to_owned(),
                };
                (format!("{} (carried out by {by})", signed.join(" and ")), what, Some(reason))
            }
            OperatorAct::Reloaded { .. } => return None,
        };
        Some(Self { at: moment(at), by, what, reason })
    }
}

fn word(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Plate => "plate",
        IdentityKind::Container => "container code",
        IdentityKind::Tag => "tag",
        IdentityKind::Handle => "badge",
    }
}

fn moment(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| "?".into(), |at| format!("{at:.0}"))
}

impl fmt::Display for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Retention { quasi_identity, identity, source } = self.retention;
        writeln!(f, "Record of processing, site {}", self.site)?;
        writeln!(f, "\nKept on the gateway, sealed under a key a class and day (ChaCha20-Poly1305):")?;
        writeln!(f, "  plates, container codes, tags   {quasi_identity} days after the day they were stored on")?;
        writeln!(f, "  badges, names, unread bytes     {identity} days")?;
        writeln!(f, "  what somebody reported          {source} days")?;
        writeln!(
            f,
            "  then the day's key is destroyed, and every copy with it; the log itself goes after {} days",
            self.log_days
        )?;
        writeln!(f, "\nStreams about persons: {}", self.streams.len())?;
        for stream in &self.streams {
            writeln!(f, "\n  {} in {}: {}, kept {} days", stream.sensor, stream.zone, stream.what, stream.kept_days)?;
            match &stream.owner {
                Some((owner, purpose)) => writeln!(f, "    owner {owner}, purpose {purpose}")?,
                None => writeln!(f, "    no marking covers it: nobody is told, and no purpose is stated")?,
            }
            if stream.recipients.is_empty() {
                writeln!(f, "    no recipient may be told of it")?;
            }
            for (to, organisation, treatment) in &stream.recipients {
                let how = match treatment {
                    Treatment::Drop => "left out",
                    Treatment::Mask => "masked",
                    Treatment::Pseudonym => "as a stand-in of that organisation, purpose and month",
                    Treatment::Show => "as it is",
                };
                let delete = stream.recipients_delete_after_days.unwrap_or_default();
                writeln!(f, "    to {to} of {organisation}: {how}; they delete it after {delete} days")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Access { at, by, what, reason } in &self.0 {
            let mut line = format!("{at}  {by}: {what}");
            if let Some(reason) = reason {
                write!(line, "; {reason}")?;
            }
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{} accesses in the log", self.0.len())
    }
}

fn print(report: &(impl Serialize + fmt::Display), json: bool) -> Done {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    println!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}
