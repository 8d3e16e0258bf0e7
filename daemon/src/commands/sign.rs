//! `quaywatch sign`: a person's own key, and their signature beside a file.

use super::{Done, Failure, secret_key};
use crate::config;
use clap::Args;
use quaywatch_schemas::PersonId;
use quaywatch_sharing::{
    acts::Act,
    signing::{self, Signable, Signature},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `quaywatch sign`
#[derive(Debug, Args)]
pub struct Sign {
    /// What to sign: a sharing file (NAME.toml) or an act (NAME.json). The signature goes beside it, into FILE.sig
    #[arg(required_unless_present = "new_key")]
    file: Option<PathBuf>,
    /// Who signs, as [persons.NAME] calls them
    #[arg(long = "as", value_name = "NAME", required_unless_present = "new_key")]
    name: Option<String>,
    /// The signer's secret key; keep it off the gateway
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// Make a secret key in a new file, and print the public key for [persons.NAME]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "name", "key"])]
    new_key: Option<PathBuf>,
}

impl Sign {
    pub(super) fn run(self) -> Done {
        if let Some(path) = &self.new_key {
            println!("{}", signing::public_key(&*secret_key::make(path)?));
            return Ok(ExitCode::SUCCESS);
        }
        let (Some(file), Some(name), Some(key)) = (self.file, self.name, self.key) else {
            return Err(Failure("say what to sign, --as whom and with which --key".into()));
        };
        let by = PersonId::new(&name).map_err(|why| Failure(format!("--as {name:?}: {why}")))?;
        let text = fs::read(&file).map_err(|why| Failure(format!("{}: {why}", file.display())))?;
        let signature = Signature::sign(kind_of(&file, &text)?, &text, by, &*secret_key::read(&key)?);
        let beside = config::signatures_of(&file);
        let earlier = config::read_signatures(&beside).map_err(|problems| Failure(problems.to_string()))?;
        let signatures = with(earlier, signature);
        let lines: String = signatures.iter().map(|signature| format!("{signature}\n")).collect();
        crate::ledger::replace(&beside, lines.as_bytes())?;
        let names: Vec<&str> = signatures.iter().map(|signature| signature.by.as_str()).collect();
        println!("{} has the signatures of {}", beside.display(), names.join(", "));
        Ok(ExitCode::SUCCESS)
    }
}

/// What is signed, by the file's ending; an act is shown first, for nobody signs what they have not read.
fn kind_of(file: &Path, text: &[u8]) -> Result<Signable, Failure> {
    if file.extension().is_none_or(|ending| ending != "json") {
        return Ok(Signable::SharingFile);
    }
    let act: Act = serde_json::from_slice(text).map_err(|why| Failure(format!("{}: no act: {why}", file.display())))?;
    println!("{}", serde_json::to_string_pretty(&act)?);
    Ok(Signable::Act)
}

/// A person's new signature takes the place of their old one.
fn with(earlier: Vec<Signature>, new: Signature) -> Vec<Signature> {
    let mut all: Vec<Signature> = earlier.into_iter().filter(|signature| signature.by != new.by).collect();
    all.push(new);
    all
}
