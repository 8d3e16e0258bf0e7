//! Up to when a pattern has heard everything: the only place where patterns ask about sources' clocks.
//!
//! A pattern waits for the sensors it names and for no others. What the gateway says itself is heard as it is said.

use super::compile::Where;
use crate::{health::Memory, rules::Here};
use core::time::Duration;
use quaywatch_schemas::{GatewayTime, WallTime};

/// What happened before this has been heard, as far as one can know.
pub(super) fn settled(place: &Where, here: &Here<'_>) -> WallTime {
    let now = here.wall(here.now);
    let memories = place.sensors.iter().filter_map(|heard| here.sensors.memories.get(heard.number));
    memories.map(|memory| memory.clock.settled(now)).fold(now, WallTime::min)
}

/// When a moment will have been heard at the latest, even if nobody says anything more.
pub(super) fn settles(place: &Where, moment: WallTime, sensors: &[Memory], wall_offset: i64) -> GatewayTime {
    let memories = place.sensors.iter().filter_map(|heard| sensors.get(heard.number));
    let at = memories.map(|memory| memory.clock.settles(moment)).fold(moment, WallTime::max);
    let at = at.after(Duration::from_nanos(1));
    GatewayTime(u64::try_from(at.0.saturating_sub(wall_offset)).unwrap_or(0))
}
