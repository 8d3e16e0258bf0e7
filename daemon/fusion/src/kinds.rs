//! What each rule is called, where it can run and what it looks at: for those who say what a site lacks.

use crate::rules::{Kind, Machine};
use alloc::{collections::BTreeSet, format, string::String};
use quaywatch_schemas::{
    Site, ZoneId,
    site::{
        Direction,
        Role::{self, *},
        Zone, ZoneKind,
        rules::Mode,
    },
};

/// A rule as the site file and a site engineer know it.
#[derive(Debug, Clone, Copy)]
pub struct RuleKind {
    /// The kind of situation it says.
    pub kind: &'static str,
    /// Its name in the site file.
    pub rule: &'static str,
    /// What it looks at.
    pub uses: &'static [RoleUse],
}

/// Sensors a rule looks at, and what it cannot do without them.
#[derive(Debug, Clone, Copy)]
pub struct RoleUse {
    /// Any of these.
    pub roles: &'static [Role],
    /// So many sensors of them.
    pub least: usize,
    /// Whether one anywhere at the site will do, or it must be in the zone.
    pub anywhere: bool,
    /// Without them the rule says nothing at all.
    pub essential: bool,
    /// What it misses without them, as a sentence about the rule.
    pub without: &'static str,
}

impl RuleKind {
    /// Whether it makes sense in a zone of this kind.
    pub fn fits(&self, zone: ZoneKind) -> bool {
        self.machine().is_some_and(|kind| (kind.fits)(zone))
    }

    /// What a zone is, if the rule makes no sense in it: `is a quay`, `leads both ways`.
    pub fn unfit(&self, zone: &Zone) -> Option<String> {
        if !self.fits(zone.kind) {
            return Some(format!("is a {:?}", zone.kind).to_lowercase());
        }
        let both_ways = self.rule == "wrong-way" && zone.direction == Some(Direction::Both);
        both_ways.then(|| "leads both ways".into())
    }

    /// The mode it runs in, in a zone, if it runs there.
    pub fn mode(&self, site: &Site, zone: &ZoneId) -> Option<Mode> {
        let fits = self.fits(site.zones.get(zone)?.kind);
        self.machine().filter(|_| fits).and_then(|kind| (kind.mode)(site, zone))
    }

    fn machine(&self) -> Option<&'static Kind> {
        Machine::KINDS.iter().find(|kind| kind.kind == self.kind).copied()
    }
}

/// Roles that the rule of a kind looks at in its zone; none for a kind that is not one of ours.
pub(crate) fn roles_of(kind: &str) -> BTreeSet<Role> {
    let uses = RULES.iter().filter(|rule| rule.kind == kind).flat_map(|rule| rule.uses);
    uses.flat_map(|used| used.roles).copied().collect()
}

/// All rules.
pub fn rule_kinds() -> &'static [RuleKind] {
    RULES
}

const fn needs(roles: &'static [Role], without: &'static str) -> RoleUse {
    RoleUse { roles, least: 1, anywhere: false, essential: true, without }
}

const fn likes(roles: &'static [Role], without: &'static str) -> RoleUse {
    RoleUse { roles, least: 1, anywhere: false, essential: false, without }
}

const fn anywhere(roles: &'static [Role], essential: bool, without: &'static str) -> RoleUse {
    RoleUse { roles, least: 1, anywhere: true, essential, without }
}

const WIND: &[Role] = &[WindSpeed];
const PRESENCE: &[Role] = &[PresencePir, PresenceCamera, FenceVibration, Pedestrian];
const READERS: &[Role] = &[Reader, Grant];
const POSITIONS: &[Role] = &[Radar, PositionCamera];
const PLATES: &[Role] = &[PlateFront, PlateRear];

const RULES: &[RuleKind] = &[
    RuleKind {
        kind: "gate.passage",
        rule: "passage",
        uses: &[
            needs(&[LoopExit], "nothing says that a vehicle has left the lane, so no passage is ever said"),
            likes(
                &[LoopApproach],
                "a vehicle is known only once it is over the exit loop, and one that turns back is not known",
            ),
            likes(PLATES, "it says that a vehicle passed, not which"),
            likes(&[WeightGross], "no passage has a weight"),
            likes(&[Grant], "it does not say on what grant a vehicle passed"),
        ],
    },
    RuleKind {
        kind: "gate.tailgating",
        rule: "tailgating",
        uses: &[
            needs(&[LoopExit], "it sees no vehicle cross, so no tailgater either"),
            needs(&[Grant], "it cannot tell who was let in, so it says nothing"),
            likes(&[BarrierOpen], "it cannot know that the arm stayed open between two vehicles"),
            likes(PLATES, "it cannot tell two vehicles from one long combination that the loop counts twice"),
        ],
    },
    RuleKind {
        kind: "gate.barrier-forced",
        rule: "barrier-forced",
        uses: &[
            needs(&[BarrierOpen], "it does not see the arm"),
            needs(&[Grant], "it cannot tell who was let in, so it says nothing"),
            likes(PLATES, "it cannot say which vehicle stood there"),
        ],
    },
    RuleKind {
        kind: "gate.weight-mismatch",
        rule: "weight-mismatch",
        uses: &[
            needs(&[LoopExit], "it compares when a vehicle has left the lane, which nothing says"),
            needs(&[WeightGross], "there is no weight to compare"),
            needs(PLATES, "it does not know whose booking to compare with"),
        ],
    },
    RuleKind {
        kind: "quay.presence",
        rule: "quay-presence",
        uses: &[
            needs(PRESENCE, "nobody looks whether somebody is there"),
            RoleUse {
                roles: PRESENCE,
                least: 2,
                anywhere: false,
                essential: true,
                without: "one sensor alone never makes it sure enough to be told",
            },
            likes(&[PresenceCamera], "nothing can say that nobody is there, and there is no picture"),
            RoleUse {
                roles: WIND,
                least: 1,
                anywhere: true,
                essential: false,
                without: "a fence that moves in the wind counts as much as one that is climbed",
            },
        ],
    },
    RuleKind {
        kind: "mooring.overload",
        rule: "mooring-overload",
        uses: &[
            needs(&[MooringLoad], "there is no load to watch"),
            RoleUse {
                roles: WIND,
                least: 1,
                anywhere: true,
                essential: false,
                without: "a load that wind explains and one that it does not count the same",
            },
        ],
    },
    RuleKind { kind: "sensor.silent", rule: "sensor-silent", uses: &[] },
    RuleKind {
        kind: "sensor.blinded-before-access",
        rule: "blinded-before-access",
        uses: &[
            needs(&[PresenceCamera, PlateFront, PlateRear], "there is no camera to be blinded"),
            needs(
                &[Pedestrian, PresencePir, PresenceCamera, Door, FenceVibration],
                "nothing says that somebody came in",
            ),
            RoleUse {
                roles: &[PresenceCamera, PlateFront, PlateRear, Pedestrian, PresencePir, Door, FenceVibration],
                least: 2,
                anywhere: false,
                essential: true,
                without: "the blinded sensor is the only one that could see who came",
            },
        ],
    },
    RuleKind {
        kind: "node.tamper",
        rule: "node-tamper",
        uses: &[likes(
            &[CabinetTamper, NodeTamper],
            "only a node's own report of being handled is said, no cabinet door",
        )],
    },
    RuleKind {
        kind: "gate.unbooked",
        rule: "unbooked",
        uses: &[
            needs(&[LoopExit], "it sees no vehicle cross"),
            needs(PLATES, "it does not know whose booking to look for"),
        ],
    },
    RuleKind {
        kind: "gate.tag-mismatch",
        rule: "tag-mismatch",
        uses: &[
            needs(&[LoopExit], "it sees no vehicle cross"),
            needs(&[Tag], "no tag is heard"),
            needs(PLATES, "it does not know whose tag it should be"),
        ],
    },
    RuleKind {
        kind: "gate.container-mismatch",
        rule: "container-mismatch",
        uses: &[
            needs(&[LoopExit], "it sees no vehicle cross"),
            needs(&[Container], "no container is read"),
            needs(PLATES, "it does not know which container it should be"),
        ],
    },
    RuleKind {
        kind: "sensor.blind",
        rule: "sensor-blind",
        uses: &[
            needs(&[LoopExit], "nothing says that a vehicle passed"),
            needs(&[PlateFront, PlateRear, Container, Tag], "there is no reader that could be blind"),
        ],
    },
    RuleKind {
        kind: "sensor.stuck",
        rule: "sensor-stuck",
        uses: &[needs(&[LoopExit, MooringLoad, WindSpeed], "nothing shows that a sensor here should change")],
    },
    RuleKind {
        kind: "sensor.drift",
        rule: "sensor-drift",
        uses: &[
            needs(&[LoopExit], "nothing says that a vehicle passed"),
            needs(&[WeightGross], "there is no scale"),
            needs(PLATES, "it does not know whose declared mass to compare with"),
        ],
    },
    RuleKind { kind: "clock.step", rule: "clock-step", uses: &[] },
    RuleKind {
        kind: "access.pass-back",
        rule: "pass-back",
        uses: &[
            needs(&[Reader], "nothing reads credentials here"),
            RoleUse {
                roles: &[Reader],
                least: 2,
                anywhere: true,
                essential: true,
                without: "it must know who went in and who went out, and one reader knows one of them",
            },
        ],
    },
    RuleKind {
        kind: "access.impossible-travel",
        rule: "impossible-travel",
        uses: &[
            needs(READERS, "nothing reads credentials here"),
            RoleUse {
                roles: READERS,
                least: 2,
                anywhere: true,
                essential: true,
                without: "with one reader nobody travels anywhere",
            },
        ],
    },
    RuleKind {
        kind: "access.out-of-zone",
        rule: "out-of-zone",
        uses: &[needs(READERS, "nothing reads credentials here")],
    },
    RuleKind {
        kind: "access.out-of-hours",
        rule: "out-of-hours",
        uses: &[needs(READERS, "nothing reads credentials here")],
    },
    RuleKind {
        kind: "access.first-time-zone",
        rule: "first-time-zone",
        uses: &[needs(READERS, "nothing reads credentials here")],
    },
    RuleKind {
        kind: "access.denied-then-granted",
        rule: "denied-then-granted",
        uses: &[needs(READERS, "nothing reads credentials here")],
    },
    RuleKind {
        kind: "access.not-taken",
        rule: "not-taken",
        uses: &[
            needs(READERS, "nothing reads credentials here"),
            likes(&[Door, PeopleCount], "it knows that nobody went only where the access system itself says so"),
        ],
    },
    RuleKind {
        kind: "access.door-held",
        rule: "door-held",
        uses: &[
            needs(&[Door], "nothing says that a door is open"),
            likes(&[Reader], "it cannot tell who was let in, so it only says that a door stands open"),
        ],
    },
    RuleKind {
        kind: "access.on-foot",
        rule: "on-foot",
        uses: &[
            needs(&[PeopleCount], "nobody counts who passes"),
            needs(&[Reader], "it cannot tell who was let in, so it says nothing"),
        ],
    },
    RuleKind { kind: "zone.dwell", rule: "dwell", uses: &[anywhere(POSITIONS, true, "nothing follows what is there")] },
    RuleKind {
        kind: "waterside.small-craft",
        rule: "small-craft",
        uses: &[
            anywhere(POSITIONS, true, "nothing sees vessels"),
            anywhere(&[Ais], true, "it cannot know who does not say who it is"),
        ],
    },
    RuleKind {
        kind: "gate.wrong-way",
        rule: "wrong-way",
        uses: &[
            needs(&[LoopExit], "it does not see who comes in at the lane's end"),
            needs(&[LoopApproach], "it does not see who leaves before the arm"),
            likes(PLATES, "without a plate read at both ends it is only likely, and said late"),
            likes(&[Grant], "it cannot know that nobody was let in then"),
            likes(&[BarrierOpen], "it cannot know that an arm which stayed down let nobody through"),
        ],
    },
    RuleKind {
        kind: "sensor.conflict",
        rule: "sensor-conflict",
        uses: &[
            needs(&[PlateFront, PlateRear, BarrierOpen, Ais], "nothing here can be held against another sensor"),
            anywhere(&[LoopExit, Radar, PositionCamera], true, "there is nothing to hold its sensors against"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_engine_is_listed_once_and_no_other() {
        let engine: alloc::vec::Vec<&str> = Machine::KINDS.iter().map(|kind| kind.kind).collect();
        let listed: alloc::vec::Vec<&str> = rule_kinds().iter().map(|rule| rule.kind).collect();
        assert_eq!(engine, listed);
    }
}
