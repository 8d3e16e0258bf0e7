//! `quaywatch audit`: the journal of who did what, whether it is whole, and the key to verify it with elsewhere.

use super::{Done, Failure, StateFolder};
use crate::{
    audit::{self, Export, LogWitness, Report, Whole},
    ledger::{self, OpenError},
    pipeline,
};
use clap::{Args, Subcommand};
use quaywatch_schemas::{audit::Entered, policy::PublicKey};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// `quaywatch audit`
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    state: StateFolder,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Print the entries, oldest first
    List {
        /// Only from this time on (RFC 3339, such as 2026-03-14T02:00:00Z)
        #[arg(long, value_name = "TIME")]
        since: Option<jiff::Timestamp>,
        /// Print JSON, one entry or checkpoint a line
        #[arg(long)]
        json: bool,
    },
    /// Verify chain, signatures, order and times; against the log, and against what an outside recipient got
    Verify {
        /// What the outside recipient got: NDJSON, one message a line. Without a state folder it is verified by itself
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        /// The gateway's public key, as `quaywatch audit key` printed it when it was first set up
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
    },
    /// Print the public key that checkpoints are verified with: hand it to the outside recipient once
    Key,
}

impl Audit {
    pub(super) fn run(self) -> Done {
        let folder = &self.state.folder;
        match self.act {
            Act::List { since, json } => list(folder, since, json),
            Act::Verify { export, key } => verify(folder, export.as_deref(), key.as_deref()),
            Act::Key => {
                println!("{}", known_key(folder)?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn list(folder: &Path, since: Option<jiff::Timestamp>, json: bool) -> Done {
    let whole = audit::read_all(&folder.join("audit"))?;
    for line in whole.lines {
        let entered = serde_json::from_str::<Entered>(&line.text);
        let time = entered.as_ref().ok().and_then(|entered| entered.entry.time.parse::<jiff::Timestamp>().ok());
        if since.is_some_and(|since| time.is_some_and(|time| time < since)) {
            continue;
        }
        match (json, entered) {
            (true, _) => println!("{}", line.text),
            (false, Ok(Entered { entry, .. })) => {
                let details: Vec<String> =
                    entry.details.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let time = time.map_or(entry.time, |time| format!("{time:.3}"));
                println!("{} {} {} {}: {} {}", entry.number, time, entry.who, entry.act, entry.what, details.join(" "));
            }
            (false, Err(_)) => {}
        }
    }
    for what in &whole.unreadable {
        eprintln!("{what}");
    }
    Ok(if whole.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(folder: &Path, export: Option<&Path>, key: Option<&str>) -> Done {
    let key = key.map(PublicKey::parse).transpose().map_err(|why| Failure(format!("--key: {why}")))?;
    let export = export.map(read_export).transpose()?;
    let here = folder.join("audit").is_dir();
    let report = match (&export, here) {
        (None, false) => {
            return Err(Failure(format!("{} has no audit journal; name a state folder", folder.display())));
        }
        (Some(export), false) => audit::verify_export(export, key.as_ref()),
        (export, true) => {
            let key = key.map_or_else(|| known_key(folder), Ok)?;
            of_store(folder, &key, export.as_ref())?
        }
    };
    print(&report);
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A live gateway may have recorded an act that it is just entering: what only looks wrong for a moment is looked at again.
const LOOK_AGAIN_FOR: Duration = Duration::from_secs(3);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

fn of_store(folder: &Path, key: &PublicKey, export: Option<&Export>) -> Result<Report, Failure> {
    let until = Instant::now() + LOOK_AGAIN_FOR;
    loop {
        // The log first: what it has is in the journal by the time that is read, or soon.
        let log = witness(folder)?;
        let journal = audit::read_all(&folder.join("audit"))?;
        let (known, live) = match ledger::read_state(folder) {
            Ok(state) => (pipeline::audit_head(&state)?, false),
            Err(OpenError::InUse(_)) => (None, true),
            Err(why) => return Err(why.into()),
        };
        let report = audit::verify(&journal, Some(key), known.as_ref(), Some(&up_to(log, &journal, live)), export);
        if report.problems.is_empty() || !live || Instant::now() >= until {
            return Ok(report);
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// What a gateway that was cut off had not entered yet it enters at its next start; whether the end of the journal was cut, its
/// state knows.
fn up_to(log: LogWitness, journal: &Whole, live: bool) -> LogWitness {
    let last = journal.lines.iter().rev().find_map(|line| serde_json::from_str::<Entered>(&line.text).ok());
    match last {
        Some(last) if !live => log.up_to(last.entry.position),
        _ => log,
    }
}

fn witness(folder: &Path) -> Result<LogWitness, Failure> {
    let mut witness = LogWitness::default();
    for record in ledger::read_log(folder)? {
        witness.add(&record?);
    }
    Ok(witness)
}

fn read_export(path: &Path) -> Result<Export, Failure> {
    let text = fs::read_to_string(path).map_err(|why| Failure(format!("{}: {why}", path.display())))?;
    Ok(Export::read(&text))
}

fn known_key(folder: &Path) -> Result<PublicKey, Failure> {
    ledger::audit_key(folder)?.ok_or_else(|| {
        Failure(format!("{} has no audit key yet: a gateway makes it when it starts", folder.join("keys").display()))
    })
}

fn print(report: &Report) {
    for problem in &report.problems {
        println!("WRONG  {problem}");
    }
    for note in &report.notes {
        println!("note   {note}");
    }
    let (entries, checkpoints) = (report.entries, report.checkpoints);
    match report.problems.len() {
        0 => println!("{entries} entries and {checkpoints} checkpoints, and nothing is wrong"),
        count => println!("{entries} entries and {checkpoints} checkpoints, and {count} things are wrong"),
    }
}
