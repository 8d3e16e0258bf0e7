//! Commands that ask a live gateway over its admin socket.

use super::{AdminSocket, Done, small_runtime};
use crate::{
    admin::client::{self, Answer},
    health::{Condition, Health},
};
use clap::Args;
use hyper::Method;
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

/// `quaywatch status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    admin: AdminSocket,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Done {
        let text = small_runtime()?
            .block_on(async { client::ask(&self.admin.socket, Method::GET, "/health").await?.text().await })?;
        if self.json {
            println!("{text}");
            return Ok(ExitCode::SUCCESS);
        }
        let health: Health = serde_json::from_str(&text)?;
        println!("quaywatch {}: {}", health.version, health.status);
        if !health.sharing.is_empty() {
            println!("  sharing file {}", health.sharing);
        }
        for (part, condition) in &health.parts {
            match condition {
                Condition::Well => println!("  well      {part}"),
                Condition::Degraded(why) => println!("  degraded  {part}: {why}"),
                Condition::Failed(why) => println!("  FAILED    {part}: {why}"),
            }
        }
        Ok(if health.status == "failed" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// `quaywatch reload`
#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    admin: AdminSocket,
}

impl Reload {
    pub(super) fn run(self) -> Done {
        let said = small_runtime()?
            .block_on(async { client::ask(&self.admin.socket, Method::POST, "/reload").await?.text().await })?;
        println!("{said}");
        Ok(ExitCode::SUCCESS)
    }
}

/// `quaywatch tap SENSOR`
#[derive(Debug, Args)]
pub struct Tap {
    /// The sensor, as the site file names it
    sensor: String,
    #[command(flatten)]
    admin: AdminSocket,
}

impl Tap {
    pub(super) fn run(self) -> Done {
        if std::io::stderr().is_terminal() {
            eprintln!("watching {}; the log records that you do; Ctrl-C ends it", self.sensor);
        }
        small_runtime()?.block_on(async {
            let path = format!("/tap/{}", percent_encoded(&self.sensor));
            copy(client::ask(&self.admin.socket, Method::GET, &path).await?).await
        })
    }
}

/// `quaywatch dead-letters`
#[derive(Debug, Args)]
pub struct DeadLetters {
    /// Only those of one line
    #[arg(long)]
    line: Option<String>,
    #[command(flatten)]
    admin: AdminSocket,
}

impl DeadLetters {
    pub(super) fn run(self) -> Done {
        let path = match &self.line {
            Some(line) => format!("/dead-letters?line={}", percent_encoded(line)),
            None => "/dead-letters".into(),
        };
        small_runtime()?.block_on(async { copy(client::ask(&self.admin.socket, Method::GET, &path).await?).await })
    }
}

async fn copy(mut answer: Answer) -> Done {
    while let Some(piece) = answer.next().await? {
        let mut out = std::io::stdout().lock();
        // A reader that closed the pipe has seen enough.
        if out.write_all(&piece).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A path segment or query value as RFC 3986 wants it.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
