//! What several rules ask about a doorway: did it open, did somebody pass, can people leave without a word.

use super::{Here, Signal};
use crate::health::Change;
use core::time::Duration;
use quaywatch_schemas::{
    GatewayTime, Reading, SensorId,
    site::{Direction, Role},
};

/// What happened at a doorway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doorway {
    Opened,
    Closed,
    /// So many people were counted.
    Passed(u32),
}

/// Of a thousand credentials that are held to a reader eight are not read.
pub(super) const LOST_READ: f64 = 0.008;
/// Two sensors' corrected times may disagree by this much about which came first.
pub(super) const DISAGREE: Duration = Duration::from_secs(2);
/// Of what happens at a doorway the last word comes this late: nothing is concluded from an absence before.
pub(super) const LAST_WORD: Duration = Duration::from_secs(30);

/// What a reading says about the doorway, if it says anything.
pub(super) fn doorway(signal: &Signal<'_>) -> Option<Doorway> {
    match (signal.spec.role, signal.change, signal.reading) {
        (Role::Door, Change::Rose, _) => Some(Doorway::Opened),
        (Role::Door, Change::Fell, _) => Some(Doorway::Closed),
        (Role::PeopleCount, Change::Stepped(people), _) => {
            Some(Doorway::Passed(u32::try_from(people).unwrap_or(u32::MAX)))
        }
        // A light barrier counts one at a time.
        (Role::PeopleCount, Change::Rose, _) => Some(Doorway::Passed(1)),
        (Role::PeopleCount, _, Reading::People(people)) if *people > 0 => Some(Doorway::Passed(*people)),
        _ => None,
    }
}

impl Here<'_> {
    /// Whether people can go through the zone's doorway without a credential, because its readers let only one way and
    /// nothing says that it is a one-way door.
    pub(super) fn one_may_leave_unread(&self) -> bool {
        if matches!(self.zone.direction, Some(Direction::In | Direction::Out)) {
            return false;
        }
        let leads = |way| {
            let mut readers = self.site.sensors_with(self.zone_id, Role::Reader);
            readers.any(|(_, spec)| spec.leads == Some(way) || spec.leads == Some(Direction::Both))
        };
        !(leads(Direction::In) && leads(Direction::Out))
    }

    /// The zone's readers, if there are some and all of them could have spoken in the time before and since a moment.
    pub(super) fn readers_could_speak(
        &self,
        moment: GatewayTime,
        before: Duration,
    ) -> Option<alloc::vec::Vec<SensorId>> {
        let before = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
        self.could_speak_since(Role::Reader, GatewayTime(moment.0.saturating_sub(before)))
    }
}
