//! What `quaywatch check` says of files that are in order: what covers each place, what each rule would miss, who gets what,
//! who gets nothing and why, and what is likely to disappoint. Everything here can be said without connecting to anything.

mod cautions;
mod coverage;
mod places;
mod print;
mod telling;
#[cfg(test)]
mod tests;

use super::{SharingFile, SiteFile, wiring::files_of};
use serde::Serialize;
use std::path::Path;

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// UN/LOCODE and site.
    pub site: String,
    /// IANA time zone.
    pub timezone: String,
    /// What the site's products are marked: actual, exercise or test.
    pub status: String,
    /// Connections.
    pub lines: Vec<LineReport>,
    /// Places, what covers them, and what is looked for there.
    pub zones: Vec<ZoneReport>,
    /// Whose signatures the sharing file has, in words; empty without one.
    pub signed: String,
    /// Who outside gets the audit journal, in words; empty without a sharing file.
    pub audited: String,
    /// Who is told what; empty without a sharing file.
    pub recipients: Vec<RecipientReport>,
    /// What is likely to disappoint.
    pub cautions: Vec<Caution>,
    /// Secrets the files name.
    pub credentials: Vec<CredentialReport>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineReport {
    /// Its name in the file.
    pub line: String,
    /// What it is and where.
    pub is: String,
    /// How many sensors are read over it.
    pub sensors: usize,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneReport {
    /// Its name in the file.
    pub zone: String,
    /// As people call it.
    pub name: String,
    /// What kind of place.
    pub kind: String,
    /// When nobody may be there.
    pub closed: Option<String>,
    /// How large it is and how much of it scanning sensors see; `None` if nobody has measured it.
    pub in_view: Option<ViewReport>,
    /// What covers it.
    pub sensors: Vec<SensorReport>,
    /// What is looked for there.
    pub rules: Vec<RuleReport>,
    /// What fails together, and which rules then say nothing there.
    pub domains: Vec<DomainReport>,
}

/// How much of a place radars, lidars and camera trackers see, by the outline and views in the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewReport {
    /// Square metres.
    pub area_m2: f64,
    /// What share of it is in view, from 0 to 1.
    pub share: f64,
    /// Of whom.
    pub sensors: Vec<String>,
}

/// A sensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SensorReport {
    /// Its name in the file.
    pub sensor: String,
    /// What it is there.
    pub role: String,
    /// Where it hangs.
    pub line: String,
    /// How it is read.
    pub read: String,
    /// What it fails together with.
    pub domain: String,
    /// How long it may be silent; `None` if it speaks only when something happens.
    pub silent_after: Option<String>,
    /// Whether its clock follows the time source of this box.
    pub synchronised: bool,
    /// For a reader: which way it lets people.
    pub leads: Option<String>,
    /// The rules that look at it.
    pub used_by: Vec<String>,
}

/// A rule in a place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// Its name in the file.
    pub rule: String,
    /// The kind of situation it says.
    pub kind: String,
    /// Whether recipients are told.
    pub told: bool,
    /// Whether the file names this zone for it, rather than letting it run wherever it makes sense.
    pub named: bool,
    /// Whether it can say anything at all.
    pub works: bool,
    /// What it lacks and what it therefore misses.
    pub lacks: Vec<String>,
}

/// What fails together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DomainReport {
    /// Its name.
    pub domain: String,
    /// The place's sensors in it.
    pub sensors: Vec<String>,
    /// Rules that say nothing in this place while it is down.
    pub stops: Vec<String>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecipientReport {
    /// Its name in the file.
    pub recipient: String,
    /// Who they are.
    pub organisation: String,
    /// The way to reach them.
    pub upstream: String,
    /// What counts as having been told.
    pub confirm: String,
    /// Each class of field and its treatment.
    pub fields: Vec<(String, String)>,
    /// Kinds of situation it is told of, and where.
    pub gets: Vec<Told>,
    /// Kinds of situation it is not told of, where, and why.
    pub not: Vec<NotTold>,
}

/// Kinds of situation that somebody is told of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The kinds.
    pub kinds: Vec<String>,
    /// Where.
    pub zones: Vec<String>,
}

/// Kinds of situation that somebody is not told of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotTold {
    /// The kinds.
    pub kinds: Vec<String>,
    /// Where.
    pub zones: Vec<String>,
    /// Why.
    pub why: String,
}

/// Something that is likely to disappoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caution {
    /// What it is about: a sensor, a zone, a recipient.
    pub about: String,
    /// What will disappoint.
    pub says: String,
    /// What to do.
    pub help: String,
}

/// A secret the files name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialReport {
    /// Its name.
    pub credential: String,
    /// What needs it.
    pub used_by: Vec<String>,
    /// Whether its file is there; `None` if nobody looked.
    pub found: Option<bool>,
}

/// Everything that can be said about two files without connecting to anything.
pub fn report(site: &SiteFile, sharing: Option<&SharingFile>) -> Report {
    let zones = coverage::zones(site);
    let recipients = sharing.map(|sharing| telling::recipients(site, sharing)).unwrap_or_default();
    let signed = sharing.map(telling::signed).unwrap_or_default();
    let audited = sharing.map(telling::audited).unwrap_or_default();
    let cautions = cautions::all(site, sharing, &zones, &recipients);
    Report {
        site: format!("{} {}", site.site.locode, site.site.id),
        timezone: site.site.timezone.clone(),
        status: word(&site.site.status),
        lines: coverage::lines(site),
        zones,
        signed,
        audited,
        recipients,
        cautions,
        credentials: telling::credentials(site, sharing),
    }
}

impl Report {
    /// Looks whether the credentials are there. A folder that is not there is not looked into: files are checked on laptops.
    pub fn look_for_credentials(&mut self, folder: &Path) {
        if folder.is_dir() {
            for credential in &mut self.credentials {
                let files = files_of(folder, &credential.credential);
                credential.found = Some(files.iter().any(|file| file.is_file()));
            }
        }
    }
}

/// What is found.
struct Cautions(Vec<Caution>);

impl Cautions {
    fn add(&mut self, about: impl Into<String>, says: impl Into<String>, help: impl Into<String>) {
        self.0.push(Caution { about: about.into(), says: says.into(), help: help.into() });
    }
}

/// A word of one of the files' vocabularies, as it is written there.
pub(super) fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A duration as it is written in the files.
pub(in crate::config) fn span(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (number, unit) = match seconds {
        _ if seconds < 1.0 => (seconds * 1000.0, "ms"),
        _ if seconds < 180.0 => (seconds, "s"),
        _ if seconds < 7200.0 => (seconds / 60.0, "min"),
        _ if seconds < 172_800.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    let rounded = (number * 10.0).round() / 10.0;
    format!("{rounded} {unit}")
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} {and} {last}", all.join(", ")),
    }
}
