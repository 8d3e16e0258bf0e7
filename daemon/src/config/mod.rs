//! Two files and a folder of secrets, turned into types that cannot be wrong.

pub mod check;
mod wiring;

pub use wiring::{Answers, Wiring};

use quaywatch_schemas::{Policy, Site};
use std::{fmt, path::Path, time::Duration};

/// A site file that is in order.
#[derive(Debug, Clone)]
pub struct SiteFile {
    /// What fusion needs of it.
    pub site: Site,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// How long records are kept.
    pub log_retention: Duration,
    /// The most log and outbox may take.
    pub budget_bytes: u64,
}

/// A sharing file that is in order.
#[derive(Debug, Clone)]
pub struct SharingFile {
    /// What sharing needs of it.
    pub policy: Policy,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
}

/// Everything that is wrong with a file, each with line, column and what to do.
#[derive(Debug, Clone)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Reads a site file.
pub fn load_site(path: &Path) -> Result<SiteFile, Problems> {
    let _ = path;
    todo!()
}

/// Reads a sharing file against a site.
pub fn load_sharing(path: &Path, site: &SiteFile) -> Result<SharingFile, Problems> {
    let _ = (path, site);
    todo!()
}

/// Resolves addresses and secrets into what drivers and upstreams are started with.
pub fn wire(site: &SiteFile, sharing: &SharingFile, credentials: &Path) -> Result<Wiring, Problems> {
    let _ = (site, sharing, credentials);
    todo!()
}
