//! Which day it is for the keys of the store.
//!
//! Keys are destroyed by the calendar, and a calendar that is wrong for an hour must not delete a month. So a day is
//! *settled*, and counts towards retention, only in one of two ways: it follows the settled day without the clock having
//! been stepped, or it follows a day that was only *claimed*, again without a step. A clock that jumps therefore has to
//! pass one midnight before anything is destroyed by it: until then whoever set it wrong can set it right, and nothing is
//! gone. A gateway that was off for a week deletes what is due at the next midnight, not at its start. A clock that goes
//! back settles nothing and destroys nothing.
//!
//! What this cannot see: a wrong clock that is never corrected, and a step of exactly one day while the gateway is off.

use quaywatch_schemas::{GatewayTime, WallTime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Days since 1970-01-01, UTC.
pub(super) type Day = i64;

/// The day of a moment.
pub(super) fn day_of(wall: WallTime) -> Day {
    const NANOSECONDS: i64 = 86_400 * 1_000_000_000;
    wall.0.div_euclid(NANOSECONDS)
}

/// What is believed of the calendar. Kept with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Calendar {
    /// Counts towards retention.
    pub(super) settled: Day,
    /// The clock says so since a jump.
    claimed: Option<Day>,
}

impl Calendar {
    pub(super) fn beginning(today: Day) -> Self {
        Self { settled: today, claimed: None }
    }

    /// The day that keys are made for.
    pub(super) fn today(&self) -> Day {
        self.claimed.map_or(self.settled, |claimed| claimed.max(self.settled))
    }

    /// After another look at the clock.
    pub(super) fn looked(self, today: Day, stepped: bool) -> Self {
        let follows = today == self.settled + 1 || self.claimed.is_some_and(|claimed| today == claimed + 1);
        match today {
            today if today <= self.settled => Self { claimed: None, ..self },
            today if follows && !stepped => Self::beginning(today),
            today => Self { claimed: Some(today), ..self },
        }
    }
}

/// Finds steps of the wall clock against the clock that only goes on.
#[derive(Debug, Default)]
pub(super) struct Steps(Option<(GatewayTime, WallTime)>);

/// NTP slews what is less than this, and a leap second is far below it.
const STEP: Duration = Duration::from_secs(600);

impl Steps {
    /// Whether the wall clock was set forward since the last look.
    pub(super) fn forward(&mut self, gateway: GatewayTime, wall: WallTime) -> bool {
        let before = self.0.replace((gateway, wall));
        before.is_some_and(|(gateway_before, wall_before)| {
            let lived = i128::from(gateway.0) - i128::from(gateway_before.0);
            let said = i128::from(wall.0) - i128::from(wall_before.0);
            said - lived > STEP.as_nanos().cast_signed()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[(Day, bool)]) -> Calendar {
        looks.iter().fold(Calendar::beginning(100), |calendar, (today, stepped)| calendar.looked(*today, *stepped))
    }

    #[test]
    fn days_that_follow_each_other_are_settled() {
        assert_eq!(after(&[(100, false), (101, false), (101, false), (102, false)]), Calendar::beginning(102));
    }

    #[test]
    fn a_jump_counts_after_a_midnight_and_not_at_all_if_it_is_taken_back() {
        let jumped = after(&[(140, false), (140, false)]);
        assert_eq!((jumped.settled, jumped.today()), (100, 140));
        assert_eq!(jumped.looked(141, false), Calendar::beginning(141), "a gateway that was off");
        assert_eq!(jumped.looked(100, false), Calendar::beginning(100), "set right again");
        assert_eq!(jumped.looked(141, true).settled, 100, "a second step is no midnight");
        assert_eq!(after(&[(101, true), (102, true), (103, true)]).settled, 100, "day by day, by hand");
    }

    #[test]
    fn a_clock_that_goes_back_settles_nothing() {
        assert_eq!(after(&[(20, false), (21, false)]), Calendar::beginning(100));
    }

    #[test]
    fn a_step_is_what_the_wall_clock_says_beyond_what_was_lived() {
        let minute = 60 * 1_000_000_000;
        let mut steps = Steps::default();
        let mut look = |gateway: i64, wall: i64| {
            steps.forward(GatewayTime(gateway.unsigned_abs() * 60 * 1_000_000_000), WallTime(wall * minute))
        };
        assert!(!look(0, 0), "nothing to compare with");
        assert!(!look(1440, 1440));
        assert!(!look(1441, 1450), "slewed");
        assert!(look(1442, 2900));
        assert!(!look(1443, 100), "back is no reason to destroy anything");
    }
}
