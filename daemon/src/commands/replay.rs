//! `quaywatch replay`: the same log gives the same situations, byte for byte; with another site file it says what would have
//! been different.
//!
//! It reads the log only, also while a gateway runs on it: nothing is written, nobody is told. Without `--site` what comes out
//! is compared with what the gateway has kept. With `--site OTHER.toml` two engines read the same log: one takes the site files
//! that are recorded in it, the other takes `OTHER.toml` in their places; everything else that is recorded (references, levels,
//! adopted rates) holds for both.

mod difference;
mod kept;

use super::{AdminSocket, Done, Failure, StateFolder};
use crate::{config, guards::CEL, ledger};
use clap::Args;
use difference::Run;
pub use kept::list as kept_conclusions;
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    Control, Position, Record, SensorId, Site, Situation, Stamp, Stamped, WallTime, record::PrivateField,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

/// `quaywatch replay`
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    state: StateFolder,
    /// Print what would be different with this site file; the live gateway is not touched
    #[arg(long)]
    site: Option<PathBuf>,
    /// Only what was first said from this moment on, such as 2026-03-14 or 2026-03-14T02:00:00Z
    #[arg(long, value_parser = moment)]
    from: Option<WallTime>,
    /// Read the log up to this moment only
    #[arg(long, value_parser = moment)]
    until: Option<WallTime>,
    /// Print only the digest of everything that was concluded, or only the counts
    #[arg(long)]
    quiet: bool,
}

impl Replay {
    pub(super) fn run(self) -> Done {
        match &self.site {
            None => self.the_same(),
            Some(path) => {
                let file = config::load_site(path).map_err(|problems| Failure(problems.to_string()))?;
                self.with_another(file.site, &path.display().to_string())
            }
        }
    }

    /// The log as it was decided, compared with what was kept of it.
    fn the_same(&self) -> Done {
        // What is kept is asked for first: the log then holds at least as much.
        let kept = kept::of(&self.admin.socket, &self.state.folder);
        let log = ledger::read_log(&self.state.folder)?;
        let mut engine = Engine::new(log.situation_key()).with_guards(&CEL);
        let mut read = Read::default();
        let mut digest = blake3::Hasher::new();
        let mut made = kept::Made::default();
        let mut situations = 0u64;
        let mut take = |said: Vec<Situation>| {
            for situation in said {
                situations += 1;
                digest.update(&bytes(&situation));
                made.note(&situation);
                if !self.quiet && self.shows(situation.concluded_wall) {
                    println!("{}", line(&situation));
                }
            }
        };
        for record in log {
            let record = record?;
            if !read.take(&record, self.until) {
                break;
            }
            take(engine.observe(&record));
        }
        if let (Ok(kept), None) = (&kept, self.until) {
            // The gateway may have said more in the quiet after its last record.
            let end = Stamp { gateway: kept.last.max(read.last.gateway), ..read.last };
            take(engine.advance(&end));
        }
        println!(
            "{} records, {} observations, {situations} conclusions, digest {}",
            read.records,
            read.observations,
            digest.finalize()
        );
        if let Some(gone) = &read.deleted {
            println!("not compared: values recorded from {gone} on are deleted, their keys were destroyed");
            return Ok(ExitCode::SUCCESS);
        }
        match kept {
            Ok(kept) if self.until.is_none() => Ok(read.compared(&made, &kept)),
            Ok(_) => Ok(ExitCode::SUCCESS),
            Err(why) => {
                println!("not compared with what the gateway has kept: {}", why.0);
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// The log as another site file would have decided it.
    fn with_another(&self, other: Site, name: &str) -> Done {
        let log = ledger::read_log(&self.state.folder)?;
        let engine = || Engine::new(log.situation_key()).with_guards(&CEL);
        let (mut engine, mut changed) = (engine(), engine());
        let (mut recorded, mut instead) = (Run::default(), Run::default());
        let mut read = Read::default();
        let mut heard: BTreeMap<SensorId, u64> = BTreeMap::new();
        for record in log {
            let mut record = record?;
            if !read.take(&record, self.until) {
                break;
            }
            if let Record::Observation(observation) = &record.record {
                *heard.entry(observation.sensor.clone()).or_default() += 1;
            }
            recorded.take(engine.observe(&record));
            if let Record::Control(Control::SiteApplied { site, .. }) = &mut record.record {
                **site = other.clone();
            }
            instead.take(changed.observe(&record));
        }
        if let Some(until) = self.until {
            let end = Stamp { gateway: read.last.gateway.after(between(read.last.wall, until)), ..read.last };
            recorded.take(engine.advance(&end));
            instead.take(changed.advance(&end));
        }
        println!("{}", read.describe(name));
        say_sensors(&other, &heard);
        let shown = |first: WallTime| self.shows(first);
        let difference = recorded.compared_with(&instead, &shown);
        if !self.quiet {
            print!("{}", difference.rows());
        }
        print!("{}", difference.counts());
        Ok(ExitCode::SUCCESS)
    }

    fn shows(&self, at: WallTime) -> bool {
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at <= until)
    }
}

/// What was read of a log.
#[derive(Default)]
struct Read {
    records: u64,
    observations: u64,
    first: Option<Stamp>,
    last: Stamp,
    site_at: Option<Position>,
    builds: BTreeSet<String>,
    /// The day of the first record with a value that cannot be opened any more.
    deleted: Option<String>,
}

impl Read {
    /// Takes a record in; `false` if it is beyond the end that was asked for.
    fn take(&mut self, record: &Stamped, until: Option<WallTime>) -> bool {
        if until.is_some_and(|until| record.stamp.wall > until) {
            return false;
        }
        self.records += 1;
        self.first.get_or_insert(record.stamp);
        self.last = record.stamp;
        match &record.record {
            Record::Observation(_) => self.observations += 1,
            Record::Control(Control::SiteApplied { .. }) if self.site_at.is_none() => {
                self.site_at = Some(record.stamp.position);
            }
            Record::Control(Control::Started { build, .. }) => {
                self.builds.insert(build.clone());
            }
            _ => {}
        }
        if self.deleted.is_none() && holds_deleted(&record.record) {
            self.deleted = Some(shown(record.stamp.wall, "%Y-%m-%d"));
        }
        true
    }

    fn describe(&self, name: &str) -> String {
        let Some(first) = self.first else { return "the log holds nothing in this time".into() };
        let day = "%Y-%m-%d %H:%M:%S UTC";
        let (from, until) = (shown(first.wall, day), shown(self.last.wall, day));
        let mut text = format!(
            "{} records from {from} to {until}: as they were decided (-) and as {name} would have decided them (+)",
            self.records
        );
        match self.site_at {
            None => text.push_str("\nthere is no site file in this part of the log, so nothing is decided in it"),
            Some(at) if at.0 > first.position.0 + 8 => {
                text.push_str(&format!(
                    "\nthe first site file in the log is record {}: before it nothing is decided",
                    at.0
                ));
            }
            Some(_) => {}
        }
        text
    }

    fn compared(&self, made: &kept::Made, kept: &kept::Conclusions) -> ExitCode {
        let compared = made.compare(kept);
        println!("{compared}");
        if compared.differ() == 0 {
            return ExitCode::SUCCESS;
        }
        if self.first.is_some_and(|first| first.position.0 > 1) {
            println!(
                "the log begins at record {}: what rested on older ones comes out otherwise",
                self.first.unwrap_or_default().position.0
            );
            return ExitCode::SUCCESS;
        }
        let own = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
        if self.builds.iter().any(|build| build != own) {
            let builds: Vec<&str> = self.builds.iter().map(String::as_str).collect();
            println!("decided by {}, replayed by {own}", builds.join(", "));
        }
        ExitCode::FAILURE
    }
}

/// Whether a record has a private value whose key is gone.
fn holds_deleted(record: &Record) -> bool {
    let private = match record {
        Record::Observation(_) | Record::Control(Control::References(_)) => true,
        // Nobody decides anything by a dead letter.
        Record::DeadLetter(_) | Record::Control(_) => false,
    };
    let mut deleted = false;
    if private {
        record.clone().visit_private(&mut |field| {
            deleted |= match field {
                // A person is known by the handle; the name behind it decides nothing.
                PrivateField::Identity(_) | PrivateField::Source(_) | PrivateField::Bytes(_) => false,
                PrivateField::QuasiIdentity(value) => value.as_clear().is_none(),
            };
        });
    }
    deleted
}

fn say_sensors(other: &Site, heard: &BTreeMap<SensorId, u64>) {
    let list = |ids: Vec<String>| ids.join(", ");
    let unheard = other.sensors.keys().filter(|sensor| !heard.contains_key(*sensor));
    let unheard: Vec<String> = unheard.map(ToString::to_string).collect();
    if !unheard.is_empty() {
        println!("sensors of the file that the log never heard: {}", list(unheard));
    }
    let unnamed = heard.iter().filter(|(sensor, _)| !other.sensors.contains_key(*sensor));
    let unnamed: Vec<String> = unnamed.map(|(sensor, count)| format!("{sensor} ({count} observations)")).collect();
    if !unnamed.is_empty() {
        println!("sensors of the log that the file does not name: {}", list(unnamed));
    }
}

fn between(from: WallTime, until: WallTime) -> std::time::Duration {
    std::time::Duration::from_nanos(u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0))
}

/// A moment as people write it: RFC 3339, or a day, or a day and an hour, both UTC.
fn moment(text: &str) -> Result<WallTime, String> {
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| civil().map(|zoned| zoned.timestamp()));
    let at =
        at.ok_or("a moment is written 2026-03-14, 2026-03-14T02:00 or 2026-03-14T02:00:00Z; without a zone it is UTC")?;
    i64::try_from(at.as_nanosecond()).map(WallTime).map_err(|_| "too far away".into())
}

fn bytes(situation: &Situation) -> Vec<u8> {
    postcard::to_stdvec(situation).expect("a situation always serialises")
}

fn shown(at: WallTime, format: &str) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| "?".into(), |at| at.strftime(format).to_string())
}

fn line(situation: &Situation) -> String {
    format!(
        "{}  {:<28} {:<16} {:<9} {:>6.2} %  {}",
        shown(situation.concluded_wall, "%Y-%m-%dT%H:%M:%S%.3fZ"),
        situation.kind,
        situation.zone,
        format!("{:?}", situation.phase),
        100.0 * situation.probability,
        blake3::hash(&bytes(situation)).to_hex().get(..16).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_a_local_looking_time_in_utc_or_rfc_3339() {
        let day = moment("2026-03-14").unwrap();
        assert_eq!(moment("2026-03-14T00:00").unwrap(), day);
        assert_eq!(moment("2026-03-14T01:00:00+01:00").unwrap(), day);
        assert!(moment("yesterday").is_err());
        assert_eq!(between(day, WallTime(day.0 + 5)), std::time::Duration::from_nanos(5));
        assert_eq!(between(WallTime(day.0 + 5), day), std::time::Duration::ZERO);
    }
}
