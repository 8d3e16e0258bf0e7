//! What `quaywatch check` says of files that are in order.

use super::{SharingFile, SiteFile};
use serde::Serialize;
use std::fmt;

/// The report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {}

impl fmt::Display for Report {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// Everything that can be said about two files without connecting to anything.
pub fn report(site: &SiteFile, sharing: Option<&SharingFile>) -> Report {
    let _ = (site, sharing);
    todo!()
}
