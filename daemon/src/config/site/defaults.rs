//! What a sensor is taken to be if the site file does not say: by its role.

use crate::config::values::site::ReadingKind::{self, *};
use quaywatch_drivers::mqtt::Session;
use quaywatch_schemas::{
    site::{Rates, Role},
    units::{Quantity, Unit},
};
use std::time::Duration;

/// What a sensor of a role usually is.
pub(super) struct Usual {
    /// The kinds of reading the rules understand from it, the usual one first.
    pub(super) kinds: &'static [ReadingKind],
    /// What a measure of it measures; anything if `None`.
    pub(super) quantity: Option<Quantity>,
    /// The usual unit of such a measure.
    pub(super) unit: &'static str,
    /// A smaller change of a measure is not news, in the base unit of its quantity.
    pub(super) deadband: f64,
    /// Whether an alarm can hang on it.
    pub(super) session: Session,
    /// What its word is worth.
    pub(super) rates: Rates,
}

/// Polled and streamed values are said this often even if they do not change. Origin: one record a minute and sensor is
/// 29 MB a day for a hundred of them, and a cut is known within minutes.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(60);

/// A sensor with a heartbeat is silent after two and a half of them: two can be lost to a restart of its device.
pub(super) fn silent_after(heartbeat: Duration) -> Duration {
    heartbeat * 5 / 2
}

/// Measures that are sent to us: battery sensors report every 15 minutes at the slowest; twice that and something is wrong.
pub(super) const SENT_MEASURE_SILENT_AFTER: Duration = Duration::from_secs(1800);

/// A scanner is silent after this. Origin: the slowest, marine radars, turn 24 times a minute; four turns lost are no
/// accident.
pub(super) const SCAN_SILENT_AFTER: Duration = Duration::from_secs(10);

/// An AIS receiver is silent after this. Origin: base stations report every 10 s and vessels at anchor every 3 minutes
/// (ITU-R M.1371-5, tables 1 and 2); in a port somebody is always within reach.
pub(super) const AIS_SILENT_AFTER: Duration = Duration::from_secs(600);

impl Usual {
    pub(super) fn of(role: Role) -> Self {
        let (kinds, quantity, unit, deadband): (&[ReadingKind], _, _, _) = match role {
            Role::LoopApproach
            | Role::LoopExit
            | Role::BarrierOpen
            | Role::Door
            | Role::CabinetTamper
            | Role::NodeTamper => (&[Contact], None, "1", 0.0),
            // A controller pulses a contact, steps a counter, or says which credential it was.
            Role::Grant => (&[Contact, Count, Credential], None, "1", 0.0),
            Role::PlateFront | Role::PlateRear => (&[Plate], None, "1", 0.0),
            Role::Container => (&[Container], None, "1", 0.0),
            Role::Tag => (&[Tag], None, "1", 0.0),
            // Road weighbridges of class III have divisions of 20 kg (OIML R 76 for 60 t).
            Role::WeightGross => (&[Measure], Some(Quantity::Mass), "kg", 20.0),
            Role::Pedestrian | Role::PresencePir => (&[Contact, People], None, "1", 0.0),
            Role::PresenceCamera => (&[People, Contact, Frame], None, "1", 0.0),
            Role::FenceVibration => (&[Contact, Measure], None, "m/s2", 0.0),
            // Load pins are good for about half a percent of a few hundred kN.
            Role::MooringLoad => (&[Measure], Some(Quantity::Force), "kN", 1000.0),
            // Cup anemometers are good for about half a metre a second.
            Role::WindSpeed => (&[Measure], Some(Quantity::Speed), "m/s", 0.5),
            // Disdrometers and tipping buckets resolve a few tenths of a millimetre; 0.5 mm/h in the base unit.
            Role::Rain => (&[Measure], Some(Quantity::Speed), "mm/h", 0.5 / 3_600_000.0),
            Role::WindDirection => (&[Measure], Some(Quantity::Angle), "deg", 5.0),
            // Waves move a gauge by more than this; tide moves by this in about a minute.
            Role::WaterLevel => (&[Measure], Some(Quantity::Length), "m", 0.02),
            Role::Light => (&[Measure], None, "1", 0.0),
            Role::Temperature => (&[Measure], Some(Quantity::Temperature), "Cel", 0.5),
            Role::Heartbeat => (&[Health, Contact, Count], None, "1", 0.0),
            Role::Reader => (&[Credential], None, "1", 0.0),
            Role::PeopleCount => (&[Count, People], None, "1", 0.0),
            Role::Radar | Role::PositionCamera => (&[Frame], None, "1", 0.0),
            Role::Ais => (&[Vessel], None, "1", 0.0),
        };
        Self { kinds, quantity, unit, deadband, session: session(role), rates: rates(role) }
    }

    /// The usual deadband in a unit.
    pub(super) fn deadband_in(&self, unit: &Unit) -> f64 {
        if self.quantity == Some(unit.quantity()) { self.deadband / unit.to_base(1.0) } else { 0.0 }
    }
}

fn session(role: Role) -> Session {
    match role {
        Role::WindSpeed
        | Role::WindDirection
        | Role::Rain
        | Role::WaterLevel
        | Role::Light
        | Role::Temperature
        | Role::Heartbeat => Session::Routine,
        _ => Session::Alarm,
    }
}

/// Starting points, to be replaced by what a site's own verdicts count. Those of presence are chosen so that, from a prior of
/// 0.001, any two kinds of sensor together reach the 0.9 that is told and no single one does; loops are known to see more than
/// 99 of 100 vehicles.
fn rates(role: Role) -> Rates {
    let (detection, false_alarm) = match role {
        Role::LoopApproach | Role::LoopExit | Role::BarrierOpen | Role::Grant => (0.99, 0.001),
        Role::PresencePir | Role::Pedestrian => (0.9, 0.005),
        Role::PresenceCamera => (0.85, 0.005),
        Role::FenceVibration => (0.8, 0.01),
        Role::PlateFront | Role::PlateRear | Role::Container => (0.95, 0.01),
        // Per scan: a small radar over a quay sees a few reflections, a camera tracker a shadow now and then.
        Role::Radar => (0.9, 2.0),
        Role::PositionCamera => (0.85, 0.2),
        // A person forgets to badge or is read badly about once in a hundred times.
        Role::Reader => (0.99, 0.001),
        Role::PeopleCount => (0.97, 0.01),
        // Of those that must carry it: reports are lost in crowded slots, and hardly ever invented.
        Role::Ais => (0.95, 0.001),
        _ => (0.95, 0.01),
    };
    Rates { detection, false_alarm }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the quay presence rule works with: log-odds of a prior and of one word.
    #[test]
    fn two_kinds_of_presence_sensor_reach_what_is_told_and_one_does_not() {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let weight = |role| {
            let rates = rates(role);
            (rates.detection / rates.false_alarm).ln()
        };
        let all = [Role::PresencePir, Role::PresenceCamera, Role::FenceVibration];
        for (index, one) in all.iter().enumerate() {
            assert!(logit(0.001) + weight(*one) < logit(0.9), "{one:?} alone");
            for other in &all[index + 1..] {
                assert!(logit(0.001) + weight(*one) + weight(*other) >= logit(0.9), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_deadband_is_the_same_amount_in_every_unit() {
        let usual = Usual::of(Role::WeightGross);
        assert!((usual.deadband_in(&Unit::new("t").unwrap()) - 0.02).abs() < 1e-12);
        assert!((usual.deadband_in(&Unit::new("kg").unwrap()) - 20.0).abs() < 1e-12);
    }
}
