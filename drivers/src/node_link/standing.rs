//! How a node is, as far as the gateway has heard since the line was started.

use super::Distrust;
use quaywatch_schemas::{
    WallTime,
    frame::message::{Data, Firmware, Hello, Missing, ResetCause, SettingsState, StoreState, Value},
};
use serde::{Deserialize, Serialize};

/// How a node is. What is about the time before the line was started is in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its number on the bus.
    pub node: u16,
    /// Whether it answers.
    pub answers: Answers,
    /// When its last proven frame came.
    pub heard: Option<WallTime>,
    /// Boots since its flash was formatted.
    pub boot: Option<u32>,
    /// Why it started last.
    pub reset: Option<ResetCause>,
    /// Supply in millivolts, if it measures it.
    pub supply_mv: Option<u16>,
    /// Whether its supply was failing when it said its last words, and it has not started since.
    pub last_words: bool,
    /// The most frames that it can be keeping and that are not acknowledged.
    pub waiting: Option<u64>,
    /// Words that it said it could not keep: gaps in what is known.
    pub lost: u64,
    /// Whole frames in its name with a wrong tag.
    pub forged: u64,
    /// Frames of it that somebody recorded and played again.
    pub replayed: u64,
    /// When that was an alarm last.
    pub attacked: Option<WallTime>,
    /// Why nothing in its name counts, if it does not. A quarantine lasts until the line is started anew: who keeps this
    /// for longer takes it from here.
    pub distrust: Option<Distrust>,
    /// Whether it turned to the key that it was given: the former one is worth nothing.
    pub rotated: bool,
    /// Orders that wait for it or are under way.
    pub orders: usize,
    /// What it runs.
    pub runs: Option<Firmware>,
    /// By which settings it works.
    pub settings: Option<SettingsState>,
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// It has not answered a challenge yet.
    NotYet,
    /// It answers.
    Yes,
    /// It answers, and says that its flash does not read.
    Locked,
    /// It did not answer the last polls.
    No,
}

/// What was seen of a node, without its number.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    heard: Option<WallTime>,
    boot: Option<u32>,
    reset: Option<ResetCause>,
    supply_mv: Option<u16>,
    last_words: bool,
    locked: bool,
    lost: u64,
    pub(super) forged: u64,
    pub(super) replayed: u64,
    pub(super) attacked: Option<WallTime>,
    runs: Option<Firmware>,
    settings: Option<SettingsState>,
}

impl Seen {
    pub(super) fn heard(&mut self, at: WallTime) {
        self.heard = Some(at);
    }

    pub(super) fn hello(&mut self, hello: &Hello) {
        self.last_words &= self.boot == Some(hello.boot);
        (self.boot, self.reset) = (Some(hello.boot), Some(hello.reset));
        self.locked = hello.store == StoreState::Locked;
        (self.runs, self.settings) = (Some(hello.runs), Some(hello.settings));
    }

    /// What it runs, if it said so.
    pub(super) fn runs(&self) -> Option<Firmware> {
        self.runs
    }

    /// It confirmed that it works by these settings.
    pub(super) fn works_by(&mut self, settings: SettingsState) {
        self.settings = Some(settings);
    }

    /// New data; a frame that came before is not to be seen again.
    pub(super) fn data(&mut self, data: &Data) {
        self.last_words |= data.last_words;
        for sample in &data.samples {
            match sample.value {
                Value::Health { supply_mv: Some(supply_mv), .. } => self.supply_mv = Some(supply_mv),
                Value::Missing(Missing::Overload(lost)) => self.lost = self.lost.saturating_add(u64::from(lost)),
                _ => {}
            }
        }
    }

    pub(super) fn standing(&self, node: u16, silent: bool, waiting: Option<u64>) -> Standing {
        let answers = match (silent, self.boot, self.locked) {
            (true, ..) => Answers::No,
            (false, None, _) => Answers::NotYet,
            (false, _, true) => Answers::Locked,
            (false, _, false) => Answers::Yes,
        };
        Standing {
            node,
            answers,
            heard: self.heard,
            boot: self.boot,
            reset: self.reset,
            supply_mv: self.supply_mv,
            last_words: self.last_words,
            waiting: waiting.filter(|_| !self.locked),
            lost: self.lost,
            forged: self.forged,
            replayed: self.replayed,
            attacked: self.attacked,
            distrust: None,
            rotated: false,
            orders: 0,
            runs: self.runs,
            settings: self.settings,
        }
    }
}
