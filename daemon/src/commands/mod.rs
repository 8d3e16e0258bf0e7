//! The command line: one file per command.
//!
//! Commands that touch a live gateway go through its admin socket ([`crate::admin`]); with the gateway down, those that
//! only read open the store themselves.

pub mod act;
pub mod audit;
pub mod check;
#[cfg(feature = "demo")]
pub mod demo;
pub mod explain;
pub mod live;
pub mod node;
pub mod rates;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
mod secret_key;
pub mod sign;

use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Edge sensor fusion for ports: real signals in, situations fused, to each recipient what it may and needs to know.
#[derive(Debug, Parser)]
#[command(name = "quaywatch", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a simulated port: real drivers, real sockets, seven stories with their truth
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Run the gateway
    Run(run::Run),
    /// Check a site file and a sharing file, and say what covers what and who gets what
    Check(check::Check),
    /// Print a JSON Schema, or write all published documents into a folder
    Schema(schema::Schema),
    /// Show how every part of a live gateway is
    Status(live::Status),
    /// Ask a live gateway to read its files again (the same as SIGHUP)
    Reload(live::Reload),
    /// Watch one sensor of a live gateway: raw and decoded, identities masked; leaves a trace in the log
    Tap(live::Tap),
    /// List what arrived at a live gateway and could not be understood
    DeadLetters(live::DeadLetters),
    /// Say why: the stored evidence of a situation by its reference
    Explain(explain::Explain),
    /// Run a recorded log through the engine again: compare with what was concluded, or with what another site file makes
    Replay(replay::Replay),
    /// Show what sensors and scores have turned out to be worth and what is proposed, or adopt it
    Rates(rates::Rates),
    /// Sign a sharing file or an act, or make the key to sign with
    Sign(sign::Sign),
    /// Write down that one value is to be shown, for two persons to sign
    Reveal(act::Reveal),
    /// Write down that one value is to be kept for a case, for two persons to sign
    Hold(act::Hold),
    /// Write down that what is kept for a case is to be deleted, for two persons to sign
    Release(act::Release),
    /// Have a live gateway carry out what two persons signed, once
    Act(act::CarryOut),
    /// Say what is processed about persons, and who looked at it
    Report(report::Report),
    /// Who did what to this gateway: list it, verify that nothing was deleted, changed or back-dated
    Audit(audit::Audit),
    /// Sensor nodes: enrol, list, show, rotate and revoke keys, update, configure, identify
    Node(node::Node),
}

/// The two files and where secrets are.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// The site engineer's file: what is wired to this box
    #[arg(long, env = "QUAYWATCH_SITE", default_value = "/etc/quaywatch/site.toml")]
    pub site: PathBuf,
    /// The security officer's file: who may know what
    #[arg(long, env = "QUAYWATCH_SHARING", default_value = "/etc/quaywatch/sharing.toml")]
    pub sharing: PathBuf,
    /// Folder with one file per `credential:NAME`; systemd sets it from LoadCredential=
    #[arg(long, env = "CREDENTIALS_DIRECTORY", default_value = "/etc/quaywatch/credentials")]
    pub credentials: PathBuf,
}

/// Where the gateway keeps its state.
#[derive(Debug, Clone, Args)]
pub struct StateFolder {
    /// Folder of the log, the outbox and the state; systemd sets it from StateDirectory=
    #[arg(long = "state", env = "STATE_DIRECTORY", default_value = "/var/lib/quaywatch", global = true)]
    pub folder: PathBuf,
}

/// Where a live gateway listens for commands.
#[derive(Debug, Clone, Args)]
pub struct AdminSocket {
    /// The gateway's admin socket
    #[arg(long = "admin", default_value_os_t = crate::admin::default_socket(), global = true)]
    pub socket: PathBuf,
}

impl Cli {
    /// Does what was asked. Errors go to standard error in words; the exit code is 1 for "no" and 2 for wrong usage.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            #[cfg(feature = "demo")]
            Command::Demo(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Reload(command) => command.run(),
            Command::Tap(command) => command.run(),
            Command::DeadLetters(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Replay(command) => command.run(),
            Command::Rates(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Sign(command) => command.run(),
            Command::Reveal(command) => command.run(),
            Command::Hold(command) => command.run(),
            Command::Release(command) => command.run(),
            Command::Act(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Node(command) => command.run(),
        };
        match done {
            Ok(code) => code,
            Err(Failure(why)) => {
                eprintln!("{}", why.trim_end());
                ExitCode::FAILURE
            }
        }
    }
}

/// Why a command could not do what was asked, ready for a person to read.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            let deeper_words = deeper.to_string();
            if !words.contains(&deeper_words) {
                words = format!("{words}: {deeper_words}");
            }
            cause = deeper.source();
        }
        Self(words)
    }
}

/// What a command comes to.
pub type Done = Result<ExitCode, Failure>;

/// A runtime for commands that only talk to a socket.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
