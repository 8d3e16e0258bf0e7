//! What really happened, and what therefore has to be said to whom. It comes from the story that is played and from nothing
//! that the gateway has or does.

use std::time::Duration;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// In words, for the table.
    pub what: &'static str,
    /// Where.
    pub zone: &'static str,
    /// Nothing about it can be true before this.
    pub begins: Duration,
    /// When it had happened for whoever sees everything: lateness counts from here.
    pub complete: Duration,
    /// Said after this it is no use any more.
    pub by: Duration,
    /// From here on it is not true any more.
    pub over: Duration,
    /// What has to be said: each of these once at least.
    pub must: Vec<Statement>,
    /// What is true as well and need not be said.
    pub may: Vec<Statement>,
}

/// A kind of situation, told to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// To whom, as the sharing file names it.
    pub recipient: &'static str,
    /// What, as situations name it.
    pub kind: &'static str,
}

/// The recipient that has everything but ordinary passages.
pub const PORT_POLICE: &str = "port-police";
/// The recipient that has what happens in its lanes.
pub const GATE_DESK: &str = "gate-desk";

/// A statement to the port police.
pub(crate) const fn police(kind: &'static str) -> Statement {
    Statement { recipient: PORT_POLICE, kind }
}

/// A statement to the gate desk.
pub(crate) const fn desk(kind: &'static str) -> Statement {
    Statement { recipient: GATE_DESK, kind }
}
