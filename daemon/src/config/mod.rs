//! Two files and a folder of secrets, turned into types that cannot be wrong.
//!
//! ```text
//! text ─► document.rs: tables, every key somebody's ─► written.rs, values/: values with units ─► site/, sharing/: what they
//!         mean together ─► SiteFile, SharingFile ─► wiring.rs: + credentials and certificates ─► Wiring
//! ```
//!
//! What is wrong is collected (`findings.rs`) and said all at once, each with line, column and what to do. Loading needs no
//! secret: `quaywatch check` runs on any laptop. [`check`] says what files that are in order will and will not do.

pub mod check;
mod document;
mod findings;
mod plan;
mod schema;
mod sharing;
mod site;
#[cfg(test)]
mod tests;
mod values;
mod wiring;
mod written;

pub use schema::{sharing_schema, site_schema};
pub use wiring::{Answers, NodePlace, Wiring};

use findings::Source;
use plan::{SharingPlan, SitePlan};
use quaywatch_schemas::{PatternId, Policy, Site, site::Pattern};
use quaywatch_sharing::signing::Signature;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

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
    plan: SitePlan,
}

/// A sharing file that is in order.
#[derive(Debug, Clone)]
pub struct SharingFile {
    /// What sharing needs of it.
    pub policy: Policy,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// What stands beside it, not yet verified.
    pub signatures: Vec<Signature>,
    plan: SharingPlan,
}

/// Everything that is wrong with a file, each with line, column and what to do.
#[derive(Debug, Clone)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Reads a site file. Needs no credential and connects to nothing.
pub fn load_site(path: &Path) -> Result<SiteFile, Problems> {
    site::parse(Source::read(path)?, jiff::Timestamp::now())
}

/// Reads only the patterns of a site file, for a site that is known already: whoever tries patterns out needs no lines.
pub fn read_patterns(name: &str, text: &str, site: &Site) -> Result<BTreeMap<PatternId, Pattern>, Problems> {
    site::read_patterns(&Source::new(name, text.into()), site)
}

/// Reads a sharing file against a site, and the signatures beside it. Needs no credential and connects to nothing.
pub fn load_sharing(path: &Path, site: &SiteFile) -> Result<SharingFile, Problems> {
    let signatures = read_signatures(&signatures_of(path))?;
    sharing::parse(Source::read(path)?, site, signatures)
}

/// Where the signatures on a file stand: `sharing.toml.sig` beside `sharing.toml`.
pub fn signatures_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Reads a file of signatures; none if it is not there.
pub fn read_signatures(path: &Path) -> Result<Vec<Signature>, Problems> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let source = Source::read(path)?;
    Signature::read_all(source.text()).map_err(|why| Problems(vec![format!("{}: {why}\n", source.name())]))
}

impl SharingFile {
    /// Where it was read from.
    pub fn name(&self) -> &str {
        self.plan.source.name()
    }

    /// Whether it was read from there.
    pub fn is_at(&self, path: &Path) -> bool {
        Path::new(self.name()) == path
    }

    /// The file as it was read: what a signature covers.
    pub fn text(&self) -> &str {
        self.plan.source.text()
    }
}

/// Resolves addresses and secrets into what drivers and upstreams are started with: reads certificates and, from the folder
/// `credentials`, one file per `credential:NAME`, called `NAME` or `credentials_NAME` (as systemd calls the files of
/// `LoadCredential=credentials:FOLDER`).
pub fn wire(site: &SiteFile, sharing: &SharingFile, credentials: &Path) -> Result<Wiring, Problems> {
    wiring::wire(&site.plan, &sharing.plan, credentials)
}
