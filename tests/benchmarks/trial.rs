//! Writes a data set of the simulator into a directory: `write-trial gate real 11 OUT_DIR`, `write-trial quay dense 23 OUT_DIR`.

use quaywatch_simulator::trials::{File, gate, quay};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "write-trial gate easy|real|hard SEED OUT_DIR\n       write-trial quay quay|dense SEED OUT_DIR";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match write(&words) {
        Ok(directory) => {
            println!("{}", directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("write-trial: {error}\nusage: {USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn write(words: &[String]) -> Result<PathBuf, Box<dyn Error>> {
    let [kind, preset, seed, directory] = words else {
        return Err(format!("takes four words, not {}", words.len()).into());
    };
    let seed = seed.parse().map_err(|_| format!("{seed:?} is no seed: a whole number from 0 on is"))?;
    let directory = Path::new(directory);
    let files = files(kind, preset, seed)?;
    fs::create_dir_all(directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    for File { name, text } in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(directory.to_owned())
}

fn files(kind: &str, preset: &str, seed: u64) -> Result<Vec<File>, Box<dyn Error>> {
    let unknown = || format!("there is no {kind} trial {preset:?}");
    match kind {
        "gate" => Ok(gate::Trial::make(&gate::Preset::named(preset).ok_or_else(unknown)?, seed).files()?),
        "quay" => Ok(quay::Trial::make(&quay::Preset::named(preset).ok_or_else(unknown)?, seed).files()?),
        _ => Err(unknown().into()),
    }
}
