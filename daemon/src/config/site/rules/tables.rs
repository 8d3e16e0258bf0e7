//! The tables of the rules as they are written.

use crate::config::{
    site::tables::List,
    values::site::Seeable,
    values::{Kilograms, Metres, MetresPerSecond, Newtons, Number, Share, Span},
    written::{Word, Written},
};
use quaywatch_schemas::{ZoneId, site::rules::Mode};
use schemars::JsonSchema;
use serde::Deserialize;

/// What every rule's table has.
pub(super) trait Common {
    /// Where it runs and whom it tells.
    fn where_and_whom(&mut self) -> (List<ZoneId>, Option<Written<Word<Mode>>>);
}

macro_rules! rule_tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(in crate::config) struct $name {
            /// Where it runs. Default: in every zone it makes sense in.
            pub(super) zones: List<ZoneId>,
            /// "observe" keeps what it says on the gateway, "tell" tells the recipients. Default: observe.
            pub(super) mode: Option<Written<Word<Mode>>>,
            $($(#[$field_doc])* pub(super) $field: Option<Written<$type>>,)*
        }

        impl Common for $name {
            fn where_and_whom(&mut self) -> (List<ZoneId>, Option<Written<Word<Mode>>>) {
                (self.zones.take(), self.mode.take())
            }
        }
    )*};
}

rule_tables! {
    /// One vehicle through one lane.
    PassageTable {
        /// A vehicle must have left the lane within this time of entering it. Default: 90 s.
        within: Span,
        /// How long a late plate or weight still belongs to it. Default: 5 s.
        settle: Span,
    }
    /// A vehicle passed on somebody else's grant.
    TailgatingTable {
        /// One grant admits one crossing for this long. Default: 60 s.
        grant_lasts: Span,
        /// How long to wait for late evidence. Default: 5 s.
        settle: Span,
    }
    /// The arm left its closed position without a grant.
    BarrierForcedTable {
        /// A grant this long before or after the opening explains it. Default: 10 s.
        grant_within: Span,
    }
    /// Measured and declared mass disagree.
    WeightMismatchTable {
        /// A smaller difference is never a mismatch. Default: 1000 kg.
        tolerance: Kilograms,
        /// A smaller share of the declared mass is never a mismatch. Default: 0.05.
        tolerance_share: Share,
    }
    /// Somebody is where nobody may be.
    QuayPresenceTable {
        /// Probability before any evidence. Default: 0.001.
        prior: Share,
        /// Say so from this probability on. Default: 0.9.
        tell_at: Share,
        /// Evidence loses half its weight in this time. Default: 30 s.
        half_life: Span,
        /// Wind at which a fence's false alarms are ten times those in calm. Default: 14 m/s.
        windy: MetresPerSecond,
    }
    /// A mooring line nears its limit.
    MooringOverloadTable {
        /// Minimum breaking load of the lines; it is on the line's certificate.
        breaking_load: Newtons,
        /// Say so above this share of it. Default: 0.5.
        warn_share: Share,
        /// And when the trend would reach it within this time. Default: 10 min.
        ahead: Span,
    }
    /// A sensor stopped saying what it should. Runs in mode tell unless said otherwise.
    SensorSilentTable {
        /// After this many of its own silent periods. Default: 2.
        periods: u32,
    }
    /// A sensor went blind shortly before somebody entered.
    BlindedBeforeAccessTable {
        /// An entry this soon after is connected with it. Default: 10 min.
        within: Span,
    }
    /// A node or cabinet was opened or handled. Runs in mode tell unless said otherwise.
    NodeTamperTable {
        /// Tampers of the same node within this time are one situation. Default: 5 min.
        group: Span,
    }
    /// A vehicle passed that no booking names.
    UnbookedTable {
        /// Say so from this probability on. Default: 0.5.
        least: Share,
    }
    /// Tag and plate belong to different vehicles.
    TagMismatchTable {
        /// Say so from this probability on. Default: 0.5.
        least: Share,
    }
    /// A vehicle carries another container than its booking names.
    ContainerMismatchTable {
        /// Say so from this probability on. Default: 0.5.
        least: Share,
    }
    /// A vehicle passed a lane against its direction.
    WrongWayTable {
        /// Say so from this probability on. Default: 0.5.
        least: Share,
    }
    /// Somebody or something stays longer in a zone than it should.
    DwellTable {
        /// Longer than this is said. Default: 15 min.
        longest: Span,
        /// Of what is seen by position, only these: person, vehicle, vessel, animal, other. Default: everything.
        classes: Vec<Written<Word<Seeable>>>,
    }
    /// A vessel is seen that does not say who it is.
    SmallCraftTable {
        /// How long it may be seen without a word of its own. Default: 180 s.
        answer_within: Span,
        /// Only where it comes this near to a quay or berth. Default: 60 m.
        nearer_than: Metres,
    }
    /// A credential went in twice without coming out, or out twice.
    PassBackTable {
        /// An earlier passage counts for this long. Default: 12 h.
        within: Span,
        /// Probability that a passage between was not read. Default: 0.008.
        lost_read: Share,
    }
    /// A credential was at two readers sooner than anybody gets from one to the other.
    ImpossibleTravelTable {
        /// As fast as people walk. Default: 2 m/s.
        walking: MetresPerSecond,
        /// As fast as anybody drives inside. Default: 9 m/s.
        driving: MetresPerSecond,
    }
    /// A credential was used outside its holder's shift.
    OutOfHoursTable {
        /// So long before and after a shift is no finding. Default: 15 min.
        grace: Span,
    }
    /// A credential was used where its holder's role may not be.
    OutOfZoneTable {
        /// Say so from this probability on. Default: 0.5.
        least: Share,
    }
    /// A credential is in a zone it was never in before, at an hour unusual for it.
    FirstTimeZoneTable {
        /// How far back is looked. Default: 35 d, the longest that handles live.
        history: Span,
        /// Only of credentials seen this often. Default: 20.
        least_visits: u32,
    }
    /// A credential was refused and another opened the same door straight after.
    DeniedThenGrantedTable {
        /// How soon after. Default: 30 s.
        within: Span,
    }
    /// Passage was granted and nobody passed.
    NotTakenTable {
        /// How long a granted passage may take. Default: 15 s.
        within: Span,
    }
    /// A door stood open, or opened without leave.
    DoorHeldTable {
        /// A door may stand open this long. Default: 30 s.
        longest: Span,
        /// A grant this long before explains that it opened. Default: 10 s.
        grant_within: Span,
    }
    /// More people passed than credentials were read.
    OnFootTable {
        /// A read and a passage this close belong together. Default: 10 s.
        within: Span,
    }
    /// A sensor no longer reports what others prove was there.
    SensorBlindTable {
        /// Say so from this probability on. Default: 0.99.
        least: Share,
    }
    /// A sensor no longer changes while others show that it should.
    SensorStuckTable {
        /// Say so from this probability on. Default: 0.99.
        least: Share,
    }
    /// What a sensor measures moves away from what is declared or what others measure.
    SensorDriftTable {
        /// Sum of deviations, in standard deviations, at which it is decided. Default: 5.
        decided_at: Number,
    }
    /// A source's clock was set.
    ClockStepTable {
        /// A smaller step is no finding. Default: 2 s.
        at_least: Span,
    }
    /// A sensor contradicts the others too often to be believed.
    SensorConflictTable {
        /// Say so from this probability on. Default: 0.99.
        least: Share,
    }
}
