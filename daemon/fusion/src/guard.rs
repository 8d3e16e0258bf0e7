//! Expressions that a site engineer writes where steps and times do not say enough.
//!
//! The engine knows no expression language: it is given a [`Guards`] that turns text into a [`Guard`], and shows the guard
//! the [`Facts`] of a match. A guard is pure: the same facts give the same answer, or the same log would not give the same
//! situations. Compiled guards are made anew from the site in force and are never part of a snapshot.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

/// Turns text into guards.
pub trait Guards: Sync {
    /// A guard, or what is wrong with the text and where.
    fn compile(&self, text: &str) -> Result<Box<dyn Guard>, BadGuard>;
}

/// One compiled expression.
pub trait Guard: Send + Sync {
    /// Whether it holds. `None` if it cannot be told, such as of a value that no step has; then nothing is said.
    fn holds(&self, facts: &Facts<'_>) -> Option<bool>;

    /// How many parts it has: what looking at it once costs.
    fn cost(&self) -> u32;
}

/// What a guard may look at. No identity is among it: a guard that singles out one plate or one person is a watch list, and
/// those have rules of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// The zone's name in the site file.
    pub zone: &'a str,
    /// Probability with all evidence.
    pub p: f64,
    /// Seconds from the first step to the last.
    pub seconds: f64,
    /// Minute of the site's local day at the first step, 0 to 1439.
    pub minute: u16,
    /// Whether the zone is closed then.
    pub closed: bool,
    /// ISPS level, 1 to 3.
    pub level: u8,
    /// What each named step came to.
    pub steps: Vec<StepFacts<'a>>,
}

/// What a named step came to.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFacts<'a> {
    /// Its name in the site file.
    pub name: &'a str,
    /// How often it was seen.
    pub count: u32,
    /// Seconds from the first step of the match to this one, the last time it was seen.
    pub seconds: f64,
    /// The last value, in base units, if it has one.
    pub value: Option<f64>,
}

/// A text that is no guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadGuard {
    /// Line in the text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for BadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl core::error::Error for BadGuard {}

/// An engine that was given no expression language: patterns with a guard do not run, and say so.
pub(crate) struct NoGuards;

impl Guards for NoGuards {
    fn compile(&self, _: &str) -> Result<Box<dyn Guard>, BadGuard> {
        let help = "give the engine one that does";
        Err(BadGuard { line: 1, column: 1, what: "this engine knows no expressions".into(), help: help.into() })
    }
}
