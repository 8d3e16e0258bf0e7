//! What a source can say, as patterns ask for it.

use crate::{observation::ObjectClass, site::Role};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Something that is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Says {
    /// A contact closes, a loop becomes occupied, an arm leaves its closed position.
    On,
    /// It opens again.
    Off,
    /// A counter goes up.
    Stepped,
    /// A plate, container code or tag is read.
    Read,
    /// A credential is let in; for a grant signal also an edge or a step.
    Granted,
    /// A credential is refused.
    Denied,
    /// It was let in and nobody passed.
    NotTaken,
    /// It was let in under duress.
    Duress,
    /// Something is in view: of a class, or anything.
    Seen(Option<ObjectClass>),
    /// A sensor looked and saw nothing.
    Nobody,
    /// So many people at least.
    People(u32),
    /// A value rises above a limit, until it is at or below another. In base units of the sensor's quantity.
    Above {
        /// The limit.
        limit: f64,
        /// Until it is here.
        clear: f64,
    },
    /// A value falls below a limit, until it is at or above another.
    Below {
        /// The limit.
        limit: f64,
        /// Until it is here.
        clear: f64,
    },
    /// A value rises by so much in so much time.
    Rises {
        /// By how much.
        by: f64,
        /// In how much time.
        during: Duration,
    },
    /// A value falls by so much in so much time.
    Falls {
        /// By how much.
        by: f64,
        /// In how much time.
        during: Duration,
    },
    /// Its view is lost or covered.
    Blind,
    /// It is broken, or its line is down.
    Faulty,
    /// It was opened or handled.
    Tampered,
    /// It is in the zone.
    Inside,
    /// It is nearer than this many metres.
    Near(f64),
    /// The gateway says it with this probability at least.
    Said {
        /// The probability.
        least: f64,
    },
}

impl Says {
    /// Whether it is a state that begins and ends, rather than a moment.
    pub fn is_state(self) -> bool {
        matches!(
            self,
            Self::On
                | Self::Off
                | Self::Seen(_)
                | Self::Nobody
                | Self::People(_)
                | Self::Above { .. }
                | Self::Below { .. }
                | Self::Blind
                | Self::Faulty
                | Self::Tampered
                | Self::Inside
                | Self::Near(_)
        )
    }

    /// Whether a sensor of this role can ever say it.
    pub fn fits(self, role: Role) -> bool {
        use Role::*;
        let measures = matches!(
            role,
            WeightGross | MooringLoad | WindSpeed | WindDirection | WaterLevel | Light | Temperature | FenceVibration
        );
        let reads = matches!(role, PlateFront | PlateRear | Container | Tag);
        let looks = matches!(role, PresenceCamera | PositionCamera | Radar | Pedestrian | PeopleCount);
        let speaks_of_itself = matches!(role, Heartbeat | Ais);
        match self {
            Self::On | Self::Off => !reads && (!measures || role == FenceVibration) && !speaks_of_itself,
            Self::Stepped => !reads && !measures && !speaks_of_itself,
            Self::Read => reads,
            Self::Granted => matches!(role, Grant | Reader),
            Self::Denied | Self::NotTaken | Self::Duress => matches!(role, Grant | Reader),
            Self::Seen(_) | Self::Nobody | Self::People(_) => looks,
            Self::Above { .. } | Self::Below { .. } | Self::Rises { .. } | Self::Falls { .. } => measures,
            Self::Blind | Self::Faulty | Self::Tampered => true,
            Self::Said { .. } | Self::Inside | Self::Near(_) => false,
        }
    }

    /// Whether it tells whose credential it was.
    pub fn tells_credential(self) -> bool {
        matches!(self, Self::Granted | Self::Denied | Self::NotTaken | Self::Duress)
    }
}
