//! What is said, cut down to what a pattern can ask of it.

use crate::{
    health::Change,
    plates::Letters,
    references::Statements,
    rules::Here,
    tracks::{TrackChange, TrackEvent},
    trails::handle_of,
};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    GatewayTime, NoData, Position, Private, Reading, SensorId, Site, Situation, WallTime, ZoneId,
    observation::{AccessDecision, Health, ObjectClass},
    sealed::Handle,
    site::{
        Role,
        patterns::{Compare, Key, Says},
    },
    situation::{Side, SituationId},
};
use serde::{Deserialize, Serialize};

/// One thing that was said and waits until what came before it should have been heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) at: WallTime,
    /// Which of the place's sensors; what the gateway says itself comes after all of them.
    pub(super) source: u16,
    pub(super) position: Position,
    pub(super) gateway: GatewayTime,
    pub(super) object: Option<String>,
    pub(super) what: What,
}

/// The source of what the gateway says itself, and of what it follows.
pub(super) const GATEWAY: u16 = u16::MAX;
pub(super) const FOLLOWED: u16 = u16::MAX - 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum What {
    Rose,
    Fell,
    Stepped(u64),
    Value(f64),
    /// A plate's letters, or a code or tag as it is.
    Read(String),
    Access(Access, Handle),
    /// Which classes are in view, one bit each.
    Frame(u8),
    People(u32),
    Bad(Trouble),
    /// Alive, and nothing that is an event.
    Fine,
    Said(Said),
    Track(Followed),
}

/// Something that is followed, as an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Followed {
    pub(super) number: u64,
    /// Whether it is in the zone; else it has left, or is no longer followed.
    pub(super) inside: bool,
    /// What it is taken for.
    pub(super) class: ObjectClass,
    /// Metres in the site's grid.
    pub(super) place: (f64, f64),
    pub(super) existence: f64,
    /// Who shows it, and the record.
    pub(super) witness: SensorId,
    pub(super) position: Position,
}

/// A situation, as an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) id: SituationId,
    pub(super) kind: String,
    pub(super) probability: f64,
    /// What it is worth: its log-odds beyond its prior.
    pub(super) weight: f64,
    /// Its strongest witness, and the records.
    pub(super) witness: SensorId,
    pub(super) positions: Vec<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Access {
    Granted,
    Denied,
    NotTaken,
    Duress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trouble {
    Blind,
    Faulty,
    Tampered,
    /// Announced, or of the line's buffer: nothing a pattern asks for.
    Other,
}

/// What an event is for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what the step waits for, so many times.
    On(u16),
    /// What the step waits for is over.
    Off,
    /// Nothing to it.
    Neither,
}

/// What is remembered of one sensor's values for one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    on: bool,
    /// The lowest (or highest) of each part of the time a trend is measured over, oldest first.
    values: VecDeque<(WallTime, f64)>,
}

/// Parts of the time that a trend is measured over.
const PARTS: u32 = 16;

impl What {
    /// What a reading says; `None` if it says something that cannot be used, such as a plate whose key is gone.
    pub(super) fn of(change: Change, reading: &Reading, key: &[u8; 32]) -> Option<Self> {
        Some(match (change, reading) {
            (Change::Rose, _) => Self::Rose,
            (Change::Fell, _) => Self::Fell,
            (Change::Stepped(times), _) => Self::Stepped(times),
            (Change::Measured(value), _) => Self::Value(value),
            (_, Reading::Plate(plate)) => Self::Read(letters(&plate.text)?),
            (_, Reading::Container(container)) => Self::Read(letters(&container.code)?),
            (_, Reading::Tag(tag)) => Self::Read(tag.id.as_clear()?.into()),
            (_, Reading::Credential(credential)) => {
                let access = match credential.decision {
                    AccessDecision::Granted => Access::Granted,
                    AccessDecision::Denied(_) => Access::Denied,
                    AccessDecision::NotTaken => Access::NotTaken,
                    AccessDecision::Duress => Access::Duress,
                };
                Self::Access(access, handle_of(&credential.holder, key)?)
            }
            (_, Reading::Frame(frame)) => {
                Self::Frame(frame.detections.iter().fold(0, |bits, detection| bits | bit(detection.class)))
            }
            (_, Reading::People(count)) => Self::People(*count),
            (_, Reading::Health(Health::Blind) | Reading::NoData(NoData::Blind)) => Self::Bad(Trouble::Blind),
            (_, Reading::Health(Health::Tampered) | Reading::NoData(NoData::Tampered)) => Self::Bad(Trouble::Tampered),
            (_, Reading::NoData(NoData::Maintenance | NoData::Overload(_))) => Self::Bad(Trouble::Other),
            (_, Reading::Health(Health::Faulty) | Reading::NoData(_)) => Self::Bad(Trouble::Faulty),
            _ => Self::Fine,
        })
    }

    /// A situation; `None` if no sensor speaks for it, or it is not said for the first time or more surely.
    pub(super) fn said(situation: &Situation) -> Option<Self> {
        use quaywatch_schemas::situation::Phase;
        let new = match situation.phase {
            Phase::Opened | Phase::Revised => true,
            Phase::Closed => situation.revision == 1,
            Phase::Retracted => false,
        };
        let speaking = situation.evidence.iter().filter(|piece| piece.side == Side::For);
        let witness = speaking.max_by(|a, b| a.weight.total_cmp(&b.weight)).or(situation.evidence.first());
        let witness = witness.filter(|_| new)?;
        Some(Self::Said(Said {
            id: situation.id,
            kind: situation.kind.clone(),
            probability: situation.probability,
            weight: situation.log_odds - situation.prior,
            witness: witness.sensor.clone(),
            positions: witness.positions.clone(),
        }))
    }

    /// Something that is followed; `None` if no sensor shows it.
    pub(super) fn followed(event: &TrackEvent) -> Option<Self> {
        let track = &event.track;
        let (witness, position) = track.witnesses.first()?;
        Some(Self::Track(Followed {
            number: track.number,
            inside: matches!(event.change, TrackChange::Entered | TrackChange::Still),
            class: track.classes.first().map_or(ObjectClass::Other, |(class, _)| *class),
            place: track.place,
            existence: track.existence,
            witness: witness.clone(),
            position: *position,
        }))
    }

    /// Whether it can be anything at all to a step.
    pub(super) fn touches(&self, says: Says) -> bool {
        match says {
            Says::On | Says::Off => matches!(self, Self::Rose | Self::Fell),
            Says::Stepped => matches!(self, Self::Stepped(_)),
            Says::Read => matches!(self, Self::Read(_)),
            Says::Granted => matches!(self, Self::Rose | Self::Stepped(_) | Self::Access(..)),
            Says::Denied | Says::NotTaken | Says::Duress => matches!(self, Self::Access(..)),
            Says::Seen(_) | Says::Nobody => matches!(self, Self::Frame(_)),
            Says::People(_) => matches!(self, Self::People(_)),
            Says::Above { .. } | Says::Below { .. } | Says::Rises { .. } | Says::Falls { .. } => {
                matches!(self, Self::Value(_))
            }
            Says::Blind | Says::Faulty | Says::Tampered => {
                !matches!(self, Self::Bad(Trouble::Other) | Self::Said(_) | Self::Track(_))
            }
            Says::Inside | Says::Near(_) => matches!(self, Self::Track(_)),
            Says::Said { .. } => matches!(self, Self::Said(_)),
        }
    }

    /// Whether it is a contact that closed or opened.
    pub(super) fn is_edge(&self) -> bool {
        matches!(self, Self::Rose | Self::Fell)
    }

    /// What it is to a step.
    pub(super) fn judge(&self, says: Says, role: Option<Role>, at: WallTime, level: &mut Level) -> Verdict {
        let state = |on| if on { Verdict::On(1) } else { Verdict::Off };
        match (says, self) {
            (Says::On, Self::Rose) | (Says::Off, Self::Fell) => Verdict::On(1),
            (Says::On, Self::Fell) | (Says::Off, Self::Rose) => Verdict::Off,
            (Says::Stepped, Self::Stepped(times)) => Verdict::On(few(*times)),
            (Says::Read, Self::Read(_)) => Verdict::On(1),
            (Says::Granted, Self::Rose) if role == Some(Role::Grant) => Verdict::On(1),
            (Says::Granted, Self::Stepped(times)) if role == Some(Role::Grant) => Verdict::On(few(*times)),
            (Says::Granted, Self::Access(Access::Granted | Access::Duress, _))
            | (Says::Denied, Self::Access(Access::Denied, _))
            | (Says::NotTaken, Self::Access(Access::NotTaken, _))
            | (Says::Duress, Self::Access(Access::Duress, _)) => Verdict::On(1),
            (Says::Seen(None), Self::Frame(classes)) => state(*classes != 0),
            (Says::Seen(Some(class)), Self::Frame(classes)) => state(classes & bit(class) != 0),
            (Says::Nobody, Self::Frame(classes)) => state(*classes == 0),
            (Says::People(least), Self::People(count)) => state(*count >= least),
            (Says::Above { limit, clear }, Self::Value(value)) => level.cross(*value > limit, *value <= clear),
            (Says::Below { limit, clear }, Self::Value(value)) => level.cross(*value < limit, *value >= clear),
            (Says::Rises { by, during }, Self::Value(value)) => level.trend(*value, at, by, during),
            (Says::Falls { by, during }, Self::Value(value)) => level.trend(-*value, at, by, during),
            (Says::Blind, Self::Bad(Trouble::Blind))
            | (Says::Faulty, Self::Bad(Trouble::Faulty))
            | (Says::Tampered, Self::Bad(Trouble::Tampered)) => level.cross(true, false),
            (Says::Blind | Says::Faulty | Says::Tampered, Self::Bad(_)) => Verdict::Neither,
            (Says::Blind | Says::Faulty | Says::Tampered, _) => level.cross(false, true),
            (Says::Said { least }, Self::Said(said)) if said.probability >= least => Verdict::On(1),
            _ => Verdict::Neither,
        }
    }

    pub(super) fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::People(count) => Some(f64::from(*count)),
            _ => None,
        }
    }

    /// What it belongs to, if the pattern is keyed by something that it tells.
    pub(super) fn key(&self, key: Key, source: u16, object: Option<&str>) -> Option<String> {
        match (key, self) {
            (Key::Zone, _) => Some(String::new()),
            (Key::Sensor, _) => Some(alloc::format!("{source}")),
            (Key::Plate, Self::Read(letters)) => Some(letters.clone()),
            (Key::Credential, Self::Access(_, holder)) => {
                Some(holder.0.iter().map(|byte| alloc::format!("{byte:02x}")).collect())
            }
            (Key::Object, Self::Track(followed)) => Some(alloc::format!("{}", followed.number)),
            (Key::Object, _) => object.map(Into::into),
            _ => None,
        }
    }

    /// Whether a system of record says what the step asks for. `None`: it says nothing, or what it says is stale.
    pub(super) fn compares(&self, compare: Compare, at: WallTime, here: &Here<'_>) -> Option<bool> {
        match (compare, self) {
            (Compare::Booked(wanted), Self::Read(letters)) => {
                booked(letters, at, here.statements, here.site, here.zone_id).map(|booked| booked == wanted)
            }
            (Compare::OnDuty(wanted), Self::Access(_, holder)) => {
                let duty = here.statements.duty(here.site, holder, at)?;
                let on_duty = duty.roles.iter().any(|role| {
                    let may_be_here = role.zones.contains(here.zone_id);
                    let now = |shift: &quaywatch_schemas::reference::Shift| shift.from <= at && at <= shift.until;
                    may_be_here && (role.shifts.is_empty() || role.shifts.iter().any(now))
                });
                Some(on_duty == wanted)
            }
            _ => None,
        }
    }
}

/// Whether a plate is booked: a read that is one letter off is (readers err), one that is two letters off is unknown.
fn booked(letters: &str, at: WallTime, statements: &Statements, site: &Site, zone: &ZoneId) -> Option<bool> {
    let list = statements.booked(site, zone, at);
    if list.size() == 0 {
        return None;
    }
    let read = Letters::of(letters);
    let nearest = list.near(&read).into_iter().next();
    match nearest.and_then(|booked| booked.booking.plate.as_clear()).map(|plate| Letters::of(plate).edits(&read)) {
        None => Some(false),
        Some(0 | 1) => Some(true),
        Some(_) => None,
    }
}

impl Level {
    fn cross(&mut self, beyond: bool, back: bool) -> Verdict {
        match self.on {
            false if beyond => {
                self.on = true;
                Verdict::On(1)
            }
            true if back => {
                self.on = false;
                Verdict::Off
            }
            _ => Verdict::Neither,
        }
    }

    /// A rise since the lowest value of the time before; it ends when half of it is gone.
    fn trend(&mut self, value: f64, at: WallTime, by: f64, during: Duration) -> Verdict {
        while self.values.front().is_some_and(|(when, _)| when.after(during) < at) {
            self.values.pop_front();
        }
        match self.values.back_mut() {
            Some((began, lowest)) if at < began.after(during / PARTS) => *lowest = lowest.min(value),
            _ => self.values.push_back((at, value)),
        }
        let lowest = self.values.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        self.cross(value - lowest >= by, value - lowest < by / 2.0)
    }
}

/// More than any step counts is enough.
fn few(times: u64) -> u16 {
    times.min(u64::from(u16::MAX)) as u16
}

fn letters(text: &Private) -> Option<String> {
    let letters = Letters::of(text.as_clear()?);
    core::str::from_utf8(letters.as_bytes()).ok().map(Into::into)
}

fn bit(class: ObjectClass) -> u8 {
    match class {
        ObjectClass::Person => 1,
        ObjectClass::Vehicle => 2,
        ObjectClass::Vessel => 4,
        ObjectClass::Animal => 8,
        ObjectClass::Other => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> WallTime {
        WallTime(second * 1_000_000_000)
    }

    #[test]
    fn a_value_that_flickers_around_its_limit_is_one_crossing() {
        let mut level = Level::default();
        let says = Says::Above { limit: 14.0, clear: 12.0 };
        let mut judge = |value| What::Value(value).judge(says, None, at(0), &mut level);
        assert_eq!(judge(13.0), Verdict::Neither);
        assert_eq!(judge(14.5), Verdict::On(1));
        assert_eq!([judge(13.0), judge(15.0), judge(12.5)], [Verdict::Neither; 3]);
        assert_eq!(judge(11.0), Verdict::Off);
        assert_eq!(judge(14.1), Verdict::On(1));
    }

    #[test]
    fn a_rise_is_measured_from_the_lowest_of_the_time_before_and_not_from_further_back() {
        let mut level = Level::default();
        let says = Says::Rises { by: 50.0, during: Duration::from_secs(60) };
        let mut judge = |second, value| What::Value(value).judge(says, None, at(second), &mut level);
        for second in 0..600 {
            assert_eq!(judge(second, second as f64 * 0.5), Verdict::Neither, "half a kilonewton a second is slow");
        }
        let rose = (600..640).find(|second| judge(*second, 300.0 + (second - 600) as f64 * 2.0) == Verdict::On(1));
        assert_eq!(rose, Some(614), "29 kN of the slow minute before, and 2 a second");
        assert!(level.values.len() <= PARTS as usize + 2);
    }

    #[test]
    fn a_grant_is_an_edge_a_step_or_a_credential_and_an_edge_elsewhere_is_not() {
        let mut level = Level::default();
        let mut judge = |what: What, role| what.judge(Says::Granted, Some(role), at(0), &mut level);
        assert_eq!(judge(What::Rose, Role::Grant), Verdict::On(1));
        assert_eq!(judge(What::Stepped(2), Role::Grant), Verdict::On(2));
        assert_eq!(judge(What::Access(Access::Duress, Handle([0; 16])), Role::Reader), Verdict::On(1));
        assert_eq!(judge(What::Rose, Role::Reader), Verdict::Neither);
    }
}
