//! `quaywatch sign`: a person's own key, and their signature beside a file.

use super::{Done, Failure};
use crate::config;
use clap::Args;
use quaywatch_schemas::{PersonId, policy::PublicKey};
use quaywatch_sharing::{
    acts::Act,
    signing::{self, Signable, Signature},
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

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
            println!("{}", new_key(path)?);
            return Ok(ExitCode::SUCCESS);
        }
        let (Some(file), Some(name), Some(key)) = (self.file, self.name, self.key) else {
            return Err(Failure("say what to sign, --as whom and with which --key".into()));
        };
        let by = PersonId::new(&name).map_err(|why| Failure(format!("--as {name:?}: {why}")))?;
        let text = fs::read(&file).map_err(|why| Failure(format!("{}: {why}", file.display())))?;
        let signature = Signature::sign(kind_of(&file, &text)?, &text, by, &*read_key(&key)?);
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

/// Makes a secret key; a file that is there is never written over.
fn new_key(path: &Path) -> Result<PublicKey, Failure> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(|why| Failure(format!("no randomness from the system: {why}")))?;
    let digits: Zeroizing<String> = Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{}", *digits).and_then(|()| file.sync_all()));
    written.map_err(|why| Failure(format!("{} cannot be written: {why}", path.display())))?;
    Ok(signing::public_key(&secret))
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let cannot = |why: &dyn std::fmt::Display| Failure(format!("{}: {why}", path.display()));
    let mode = fs::metadata(path).map_err(|why| cannot(&why))?.mode();
    if mode & 0o077 != 0 {
        return Err(cannot(&"others may read this secret key; chmod 600 it, and make a new one if anybody may have"));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|why| cannot(&why))?);
    // A secret key has the form of a public one.
    PublicKey::parse(text.trim())
        .map(|key| Zeroizing::new(key.0))
        .map_err(|_| cannot(&"this is no secret key; make one with quaywatch sign --new-key FILE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_owners_alone_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.key");
        let public = new_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(signing::public_key(&read_key(&path).unwrap()), public);
        assert!(new_key(&path).is_err());
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(read_key(&path).unwrap_err().0.contains("chmod 600"));
    }
}
