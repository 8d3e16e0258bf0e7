//! Values that could not be kept: counted per sensor, and said as soon as there is room.

use crate::intake::Intake;
use quaywatch_schemas::{NoData, Observation, Reading, Record, SensorId};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What was let go. One number per sensor.
#[derive(Debug, Default)]
pub(crate) struct Overload(Mutex<BTreeMap<SensorId, u64>>);

impl Overload {
    /// Hands records to the ledger if it has room, after what was let go before; counts them if not.
    pub(crate) fn offer(&self, intake: &Intake, records: Vec<Record>) {
        self.say(intake);
        let Err(refused) = intake.offer(records) else { return };
        let mut let_go = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in refused {
            metrics::counter!("quaywatch_overload_total").increment(1);
            match record {
                Record::Observation(observation) => *let_go.entry(observation.sensor).or_default() += 1,
                Record::DeadLetter(_) => {}
                Record::Control(_) => tracing::warn!("references sent with QoS 0 were let go; send them with QoS 1"),
            }
        }
    }

    /// Says what was let go, if there is room.
    pub(crate) fn say(&self, intake: &Intake) {
        let mut let_go = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let_go.is_empty() {
            return;
        }
        let said = let_go.iter().map(|(sensor, count)| {
            Record::Observation(Observation::live(sensor.clone(), Reading::NoData(NoData::Overload(*count))))
        });
        if intake.offer(said.collect()).is_ok() {
            let_go.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_fit_is_said_once_with_its_number_as_soon_as_there_is_room() {
        let (intake, mut ledger) = Intake::bounded(1);
        let sensor = SensorId::new("west").unwrap();
        let said = |on| Record::Observation(Observation::live(sensor.clone(), Reading::Contact(on)));
        let overload = Overload::default();
        for on in [true, false, true] {
            overload.offer(&intake, vec![said(on)]);
        }
        assert_eq!(ledger.try_recv().unwrap().records, [said(true)]);
        overload.say(&intake);
        let lost = Observation::live(sensor.clone(), Reading::NoData(NoData::Overload(2)));
        assert_eq!(ledger.try_recv().unwrap().records, [Record::Observation(lost)]);
        overload.offer(&intake, vec![said(false)]);
        assert_eq!(ledger.try_recv().unwrap().records, [said(false)]);
        assert!(ledger.try_recv().is_err());
    }
}
