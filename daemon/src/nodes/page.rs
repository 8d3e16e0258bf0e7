//! How nodes are, for people: one line each in a list, a page for one, conditions for health, figures for metrics.

use super::{Entry, key_of, now, registry::Enrolment};
use crate::{config::NodePlace, health::Condition};
use quaywatch_drivers::node_link::{Answers, Standing};
use quaywatch_schemas::{
    LineId, WallTime,
    frame::message::{ResetCause, SettingsState},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write},
    time::Duration,
};

/// One node with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its number on the bus.
    pub node: u16,
    /// Its bus; `None` if the site file in force does not name it.
    pub line: Option<LineId>,
    /// Its channels and whose they are.
    pub channels: Vec<(String, String)>,
    /// How it is.
    pub state: State,
    /// Where its key comes from.
    pub key: KeyFrom,
    /// Whether a new key waits for being used by it.
    pub rotating: bool,
    /// When it was enrolled here, and what it said of itself then.
    pub enrolled: Option<Enrolment>,
    /// Why nothing in its name counts, and since when.
    pub quarantine: Option<(WallTime, String)>,
    /// When its key was destroyed.
    pub revoked: Option<WallTime>,
    /// The firmware that it is to run.
    pub update: Option<u32>,
    /// What its bus has heard of it since it was started.
    pub standing: Option<Standing>,
}

/// How a node is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It answers.
    Well,
    /// It has not answered since its bus was started.
    NotHeard,
    /// It does not answer any more.
    Silent,
    /// Its flash does not read.
    Locked,
    /// It has no key.
    NotEnrolled,
    /// Its key was destroyed.
    Revoked,
    /// Two devices speak with its key.
    Quarantined,
    /// The site file in force does not name it.
    NotInSite,
}

/// Where a node's key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFrom {
    /// It has none.
    Nowhere,
    /// It was made here.
    Enrolment,
    /// The site hands it out.
    SiteFile,
}

/// A supply below this is named: lithium primary cells and 3.3 V regulators are near their end there.
const LOW_SUPPLY_MV: u16 = 3000;
/// A node is said to be attacked for so long after the last frame of somebody else: as long as its line counts them
/// together.
const ATTACKED_FOR: Duration = Duration::from_secs(3600);

impl Listed {
    pub(super) fn new(node: u16, place: Option<&NodePlace>, entry: Entry, standing: Option<Standing>) -> Self {
        let key = match (place.is_some_and(|place| place.key.is_some()), &entry.key) {
            (true, _) => KeyFrom::SiteFile,
            (false, Some(_)) => KeyFrom::Enrolment,
            (false, None) => KeyFrom::Nowhere,
        };
        let state = match (place, &standing) {
            (None, _) => State::NotInSite,
            (Some(place), standing) => match (key_of(&entry, place), standing.as_ref().map(|said| said.answers)) {
                (Err(why), _) => why,
                (Ok(_), Some(Answers::Yes)) => State::Well,
                (Ok(_), Some(Answers::Locked)) => State::Locked,
                (Ok(_), Some(Answers::No)) => State::Silent,
                (Ok(_), Some(Answers::NotYet) | None) => State::NotHeard,
            },
        };
        let channels = place.map(|place| place.channels.iter()).into_iter().flatten();
        Self {
            node,
            line: place.map(|place| place.line.clone()),
            channels: channels.map(|channel| (channel.name.clone(), channel.sensor.to_string())).collect(),
            state,
            key,
            rotating: entry.next_key.is_some(),
            enrolled: entry.enrolled,
            quarantine: entry.quarantine.map(|quarantine| (quarantine.since, quarantine.why)),
            revoked: entry.revoked.map(|revoked| revoked.at),
            update: entry.update.map(|update| update.version),
            standing,
        }
    }

    /// For health.
    pub(super) fn condition(&self) -> Condition {
        let node = self.node;
        let degraded = |why: String| Condition::Degraded(why);
        let said = self.standing.as_ref();
        match self.state {
            State::Well => match said {
                Some(said) if said.attacked.is_some_and(is_recent) => degraded(format!(
                    "somebody else speaks in its name: {} forged frames and {} recorded ones, none believed; look at its \
                     line, and at who is there",
                    said.forged, said.replayed
                )),
                Some(said) if said.last_words => degraded("its supply is failing".into()),
                Some(said) if said.supply_mv.is_some_and(|supply| supply < LOW_SUPPLY_MV) => {
                    degraded(format!("its supply is low: {} mV", said.supply_mv.unwrap_or(0)))
                }
                _ => Condition::Well,
            },
            State::NotHeard => degraded("it has not answered yet".into()),
            State::Silent => degraded("it does not answer; check its supply, its wiring and its number".into()),
            State::Locked => degraded(format!("its flash does not read: quaywatch node enrol {node}")),
            State::NotEnrolled => degraded(format!("it has no key: quaywatch node enrol {node}")),
            State::Revoked => degraded("its key was revoked".into()),
            State::Quarantined => {
                let why = self.quarantine.as_ref().map_or("", |(_, why)| why);
                degraded(format!("in quarantine: {why}; look at it, then quaywatch node clear {node}"))
            }
            State::NotInSite => Condition::Well,
        }
    }

    /// For metrics. Series of a node that is taken out of the site file stay until a restart.
    pub(super) fn measure(&self) {
        let (Some(line), Some(said)) = (&self.line, &self.standing) else { return };
        let labels = [("line", line.to_string()), ("node", self.node.to_string())];
        metrics::gauge!("quaywatch_node_up", &labels).set(if self.state == State::Well { 1.0 } else { 0.0 });
        metrics::gauge!("quaywatch_node_frames_waiting", &labels).set(said.waiting.unwrap_or(0) as f64);
        metrics::counter!("quaywatch_node_words_lost_total", &labels).absolute(said.lost);
        metrics::counter!("quaywatch_node_forged_frames_total", &labels).absolute(said.forged);
        metrics::counter!("quaywatch_node_replayed_frames_total", &labels).absolute(said.replayed);
        if let Some(heard) = said.heard {
            metrics::gauge!("quaywatch_node_last_heard_seconds", &labels).set(heard.0 as f64 / 1e9);
        }
        if let Some(boot) = said.boot {
            metrics::gauge!("quaywatch_node_boots", &labels).set(f64::from(boot));
        }
        if let Some(supply) = said.supply_mv {
            metrics::gauge!("quaywatch_node_supply_volts", &labels).set(f64::from(supply) / 1000.0);
        }
    }
}

/// Nodes as a list.
pub struct List<'a>(pub &'a [Listed]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the site file names no node\n");
        }
        writeln!(f, "node   state         last heard            waits  supply   boots  started by   line")?;
        for node in self.0 {
            let said = node.standing.as_ref();
            let line = format!(
                "{:<6} {:<13} {:<20} {:>6} {:>7} {:>7}  {:<11}  {}",
                node.node,
                node.state.name(),
                said.and_then(|said| said.heard).map_or_else(|| "-".into(), utc),
                or_dash(said.and_then(|said| said.waiting)),
                said.and_then(|said| said.supply_mv).map_or_else(|| "-".into(), volts),
                or_dash(said.and_then(|said| said.boot)),
                said.and_then(|said| said.reset).map_or("-", reset),
                node.line.as_ref().map_or("-", |line| line.as_str()),
            );
            writeln!(
                f,
                "{}{}",
                line.trim_end(),
                if node.rotating { "  (a new key waits for being used)" } else { "" }
            )?;
        }
        Ok(())
    }
}

/// One node as a page.
pub struct Page<'a>(pub &'a Listed);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.0;
        writeln!(f, "node {}: {}", node.node, node.state.name())?;
        let mut say = |what: &str, said: String| writeln!(f, "  {what:<12} {said}");
        match &node.line {
            Some(line) => say("line", line.to_string())?,
            None => say("line", "none: the site file in force does not name this node".into())?,
        }
        let mut channels = String::new();
        for (channel, sensor) in &node.channels {
            let _ = write!(channels, "{}{channel} = {sensor}", if channels.is_empty() { "" } else { ", " });
        }
        say("channels", channels)?;
        say("key", key_in_words(node))?;
        if let Some(enrolled) = &node.enrolled {
            let (board, version) = enrolled.firmware;
            let at = utc(enrolled.at);
            say(
                "enrolled",
                format!("{at} by {}; chip {}, board {board}, firmware {version}", enrolled.by, enrolled.chip),
            )?;
        }
        if let Some((since, why)) = &node.quarantine {
            say("quarantine", format!("since {}: {why}", utc(*since)))?;
        }
        if let Some(version) = node.update {
            say("update", format!("to firmware {version} is under way"))?;
        }
        let Some(said) = &node.standing else { return Ok(()) };
        say("last heard", said.heard.map_or_else(|| "not since its line was started".into(), utc))?;
        if let Some(boot) = said.boot {
            say("boots", format!("{boot}; the last one by {}", said.reset.map_or("?", reset)))?;
        }
        if let Some(runs) = said.runs {
            say("runs", format!("firmware {} for board {}", runs.version, runs.board))?;
        }
        if let Some(settings) = said.settings {
            say("settings", settings_in_words(settings))?;
        }
        if said.orders > 0 {
            say("orders", format!("{} wait for it or are under way", said.orders))?;
        }
        let failing = if said.last_words { ", and failing" } else { "" };
        say("supply", format!("{}{failing}", said.supply_mv.map_or_else(|| "not measured".into(), volts)))?;
        say("waiting", format!("{} frames at most are kept by it and not acknowledged", or_dash(said.waiting)))?;
        say("gaps", format!("{} words it could not keep, since its line was started", said.lost))?;
        say("forged", format!("{} frames in its name with a wrong seal, since its line was started", said.forged))?;
        let last = said.attacked.map_or_else(String::new, |at| format!("; the last alarm was at {}", utc(at)));
        say("replayed", format!("{} recorded frames in its name{last}", said.replayed))
    }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::NotHeard => "not heard yet",
            Self::Silent => "SILENT",
            Self::Locked => "LOCKED",
            Self::NotEnrolled => "not enrolled",
            Self::Revoked => "revoked",
            Self::Quarantined => "QUARANTINED",
            Self::NotInSite => "not in site",
        }
    }
}

fn key_in_words(node: &Listed) -> String {
    let from = match node.key {
        KeyFrom::Nowhere => "none".into(),
        KeyFrom::Enrolment => "made at its enrolment".into(),
        KeyFrom::SiteFile => "handed out by the site file".to_owned(),
    };
    let revoked = node.revoked.map_or_else(String::new, |at| format!("; revoked {}", utc(at)));
    let rotating = if node.rotating { "; a new one waits for being used" } else { "" };
    format!("{from}{revoked}{rotating}")
}

fn settings_in_words(settings: SettingsState) -> String {
    match settings {
        SettingsState::Factory => "its firmware's own".into(),
        // The first bytes of the digest that the log has.
        SettingsState::Told(digest) => format!("configured, {:016x}", digest.swap_bytes()),
        SettingsState::OnTrial(digest) => format!("on trial, {:016x}", digest.swap_bytes()),
    }
}

fn reset(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::Unknown => "unknown",
        ResetCause::PowerOn => "power-on",
        ResetCause::BrownOut => "brown-out",
        ResetCause::Watchdog => "watchdog",
        ResetCause::Software => "software",
        ResetCause::Pin => "reset pin",
        ResetCause::Update => "update",
    }
}

fn is_recent(at: WallTime) -> bool {
    let ago = now().0.saturating_sub(at.0);
    u128::try_from(ago).is_ok_and(|ago| ago < ATTACKED_FOR.as_nanos())
}

fn volts(millivolts: u16) -> String {
    format!("{:.2} V", f64::from(millivolts) / 1000.0)
}

fn or_dash(number: Option<impl fmt::Display>) -> String {
    number.map_or_else(|| "-".into(), |number| number.to_string())
}

fn utc(at: WallTime) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok();
    at.map_or_else(|| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}
