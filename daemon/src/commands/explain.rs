//! `quaywatch explain REF`: why, from the stored evidence. The sum of the terms is the score.

use super::{AdminSocket, Done, Failure, StateFolder, live::percent_encoded, small_runtime};
use crate::{
    admin::client::{self, AdminError},
    ledger::State,
};
use clap::Args;
use hyper::Method;
use quaywatch_schemas::{
    Private, Situation, WallTime,
    observation::NoData,
    situation::{Part, Phrase, Side},
};
use std::{fmt::Write, process::ExitCode};

/// `quaywatch explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The reference people were given, such as QW-G2-7K4M
    reference: String,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    state: StateFolder,
}

impl Explain {
    pub(super) fn run(self) -> Done {
        let path = format!("/explain/{}", percent_encoded(&self.reference));
        let asked = small_runtime()?
            .block_on(async { client::ask(&self.admin.socket, Method::GET, &path).await?.text().await });
        let text = match asked {
            Err(AdminError::NotRunning { .. }) => {
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
    let reference = reference.to_ascii_uppercase();
    let id = state.by_reference(&reference).map_err(|e| e.to_string())?;
    let situation = match id {
        Some(id) => state.situation(&id).map_err(|e| e.to_string())?,
        None => None,
    };
    situation
        .map(|situation| render(&reference, &situation))
        .ok_or_else(|| format!("no situation on this gateway has the reference {reference:?}"))
}

/// A situation's explanation as a reader sees it. Identities are masked: revealing one is another act.
pub fn render(reference: &str, situation: &Situation) -> String {
    let mut out = String::new();
    write(&mut out, reference, situation).expect("writing into a string does not fail");
    out
}

fn write(out: &mut String, reference: &str, situation: &Situation) -> std::fmt::Result {
    writeln!(
        out,
        "{reference}  {}  in {}  ({:?}, revision {})",
        situation.kind, situation.zone, situation.phase, situation.revision
    )?;
    writeln!(
        out,
        "{}. {:?}, {:.0} %. Since {}{}.",
        sentence(&words(&situation.headline)),
        situation.certainty(),
        100.0 * situation.probability,
        moment(situation.from),
        situation.until.map(|until| format!(" until {}", moment(until))).unwrap_or_default()
    )?;
    writeln!(out, "\nWhat was seen")?;
    for fact in &situation.facts {
        writeln!(out, "  {}", words(fact))?;
    }
    writeln!(out, "What is made of it\n  {}", words(&situation.assessment))?;
    writeln!(out, "\nWhy ({}, model {})", situation.rule, situation.model)?;
    writeln!(out, "  {:>7.2}  before any evidence", situation.prior)?;
    for evidence in &situation.evidence {
        let side = match evidence.side {
            Side::For => "for",
            Side::Against => "against",
            Side::Absent => "absent",
        };
        let records: Vec<String> = evidence.positions.iter().map(|position| position.0.to_string()).collect();
        let records = if records.is_empty() { String::new() } else { format!(", record {}", records.join(" ")) };
        writeln!(
            out,
            "  {:>+7.2}  {side:<7} {}: {} ({}{records})",
            evidence.weight,
            evidence.sensor,
            words(&evidence.said),
            evidence.domain
        )?;
    }
    writeln!(out, "  {:>7.2}  log-odds: {:.1} % likely", situation.log_odds, 100.0 * situation.probability)?;
    if !situation.missing.is_empty() {
        writeln!(out, "\nWhat should have spoken and did not")?;
        for missing in &situation.missing {
            let since = missing.since.map(|since| format!(" since {}", moment(since))).unwrap_or_default();
            writeln!(out, "  {}: {}{since}", missing.sensor, why(missing.why))?;
        }
    }
    if !situation.alternatives.is_empty() {
        writeln!(out, "\nWhat else it could be")?;
        for alternative in &situation.alternatives {
            writeln!(out, "  {:>5.1} %  {}", 100.0 * alternative.probability, words(&alternative.text))?;
        }
    }
    writeln!(
        out,
        "\nGateway clock {:?}, level {}, {:?}, id {}",
        situation.clock.gateway, situation.security_level, situation.status, situation.id
    )
}

fn words(phrase: &Phrase) -> String {
    fn add(out: &mut String, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Words(text) => out.push_str(text),
                Part::Time(at) => out.push_str(&moment(*at)),
                Part::Value { value, .. } => out.push_str(&masked(value)),
                Part::Detail { parts, .. } => add(out, parts),
            }
        }
    }
    let mut out = String::new();
    add(&mut out, &phrase.0);
    out
}

fn masked(value: &Private) -> String {
    match value {
        Private::Clear(text) => quaywatch_sharing::mask(text),
        Private::Sealed(_) => "[deleted]".into(),
    }
}

fn why(why: NoData) -> String {
    match why {
        NoData::Silent => "silent".into(),
        NoData::Disconnected => "its line is down".into(),
        NoData::Timeout => "did not answer in time".into(),
        NoData::Exception(code) => format!("answered with exception {code}"),
        NoData::BadValue => "said what cannot be".into(),
        NoData::Overload(lost) => format!("{lost} values were let go"),
        NoData::Tampered => "tampered with".into(),
        NoData::Maintenance => "out of service".into(),
        NoData::Blind => "its view is covered".into(),
        NoData::Faulty => "says that it is broken".into(),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn moment(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map_or_else(|_| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
