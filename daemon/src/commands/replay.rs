//! `quaywatch replay`: the same log gives the same situations, byte for byte.

use super::{Done, StateFolder};
use crate::{guards::CEL, ledger};
use clap::Args;
use quaywatch_fusion::Engine;
use quaywatch_schemas::{Record, Situation};
use std::process::ExitCode;

/// `quaywatch replay`
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    state: StateFolder,
    /// Print only the digest of everything that was concluded
    #[arg(long)]
    quiet: bool,
}

impl Replay {
    pub(super) fn run(self) -> Done {
        let log = ledger::read_log(&self.state.folder)?;
        let mut engine = Engine::new(log.situation_key()).with_guards(&CEL);
        let mut digest = blake3::Hasher::new();
        let (mut records, mut observations, mut situations) = (0u64, 0u64, 0u64);
        for record in log {
            let record = record?;
            records += 1;
            observations += u64::from(matches!(record.record, Record::Observation(_)));
            for situation in engine.observe(&record) {
                situations += 1;
                digest.update(&bytes(&situation));
                if !self.quiet {
                    println!("{}", line(&situation));
                }
            }
        }
        println!(
            "{records} records, {observations} observations, {situations} conclusions, digest {}",
            digest.finalize()
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn bytes(situation: &Situation) -> Vec<u8> {
    postcard::to_stdvec(situation).expect("a situation always serialises")
}

fn line(situation: &Situation) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(situation.concluded_wall.0))
        .map_or_else(|_| "?".into(), |at| format!("{at:.3}"));
    format!(
        "{at}  {:<28} {:<16} {:<9} {:>6.2} %  {}",
        situation.kind,
        situation.zone,
        format!("{:?}", situation.phase),
        100.0 * situation.probability,
        blake3::hash(&bytes(situation)).to_hex().get(..16).unwrap_or_default()
    )
}
