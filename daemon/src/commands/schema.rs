//! `quaywatch schema`: the published documents, generated from the types.

use super::{Done, Failure};
use crate::published;
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// `quaywatch schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// Which one: `site`, `sharing`, `product`, …; without a name, all names are listed
    name: Option<String>,
    /// Write all published documents into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    all: Option<PathBuf>,
}

impl Schema {
    pub(super) fn run(self) -> Done {
        match (self.all, self.name) {
            (Some(folder), _) => published::write_all(&folder)?,
            (None, Some(name)) => match published::document(&name) {
                Some(text) => println!("{}", text.trim_end()),
                None => return Err(Failure(format!("no schema is called {name:?}; there are {}", names()))),
            },
            (None, None) => println!("{}", names()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn names() -> String {
    published::names().join(", ")
}
