//! Scores results against the truth of a data set: `score-trial gate DATA_DIR results.jsonl`, `score-trial quay DATA_DIR
//! tracks.jsonl`. Prints one JSON object.

use quaywatch_tests::score::{gate, quay};
use std::{error::Error, fs, path::Path, process::ExitCode};

const USAGE: &str = "score-trial gate|quay DATA_DIR RESULTS";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match score(&words) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("score-trial: {error}\nusage: {USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn score(words: &[String]) -> Result<String, Box<dyn Error>> {
    let [kind, data, results] = words else {
        return Err(format!("takes three words, not {}", words.len()).into());
    };
    let said = fs::read_to_string(results).map_err(|error| format!("cannot read {results}: {error}"))?;
    match kind.as_str() {
        "gate" => Ok(serde_json::to_string_pretty(&gate::score(Path::new(data), &said)?)?),
        "quay" => Ok(serde_json::to_string_pretty(&quay::score(Path::new(data), &said)?)?),
        _ => Err(format!("there is no {kind} trial").into()),
    }
}
