//! Who a node is and what hangs on it.

use quaywatch_schemas::frame::{NodeKey, settings::Settings};

/// What a node starts with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its number on the bus, 1 to 65534.
    pub number: u16,
    /// Its key.
    pub key: NodeKey,
    /// What it senses and how.
    pub settings: Settings,
}
