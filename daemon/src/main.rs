//! The `quaywatch` command. All it does is parse the command line; see [`quaywatch`] for the rest.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    quaywatch::commands::Cli::parse().run()
}
