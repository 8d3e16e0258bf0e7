//! From a data frame to observations.

use super::{Now, clock::NodeClock};
use quaywatch_schemas::{
    NoData, Observation, Reading, SensorId,
    frame::{
        Channel, Header,
        channel::Kind,
        message::{Card, Data, Doubt, Missing, Value},
    },
    observation::{AccessDecision, Authenticity, Credential, DenialReason, Freshness, Health, Measure, SourceId},
    sealed::{Identity, Private},
    units::{Finite, Unit},
};
use std::{collections::BTreeMap, time::Duration};

/// Whose a channel is, and in which unit it is wanted.
pub(super) type Channels = BTreeMap<Channel, (SensorId, Option<Unit>)>;

/// What was said at most this long ago is happening now: a frame that had to be repeated, a ledger that was slow, a
/// gateway that was restarted. What is older was kept back by the node and is history.
pub(super) const LIVE_WITHIN: Duration = Duration::from_secs(10);

/// The newest word of each channel that was passed on: boot and milliseconds.
pub(super) type Newest = BTreeMap<Channel, (u32, u64)>;

/// The observations of a frame. A word that is older than one already passed on is history however young it is: it would
/// turn back what is known.
pub(super) fn observations(
    header: &Header,
    data: &Data,
    channels: &Channels,
    clock: &NodeClock,
    newest: &mut Newest,
    now: Now,
) -> Vec<Observation> {
    let mut observations = Vec::new();
    for (index, sample) in data.samples.iter().enumerate() {
        let Some((sensor, unit)) = channels.get(&sample.channel) else { continue };
        let said_at = data.at_ms.saturating_sub(u64::from(sample.age_ms));
        let mapped = clock.map(data.boot, said_at, now);
        let is_newest = newest.get(&sample.channel).is_none_or(|before| *before <= (data.boot, said_at));
        if is_newest {
            newest.insert(sample.channel, (data.boot, said_at));
        }
        let age = mapped.and_then(|(age, _)| age);
        let is_young = age.is_some_and(|age| age <= LIVE_WITHIN.as_nanos() as i64);
        observations.push(Observation {
            source_id: Some(source_id(sensor, header, index)),
            observed_at: mapped.map(|(_, at)| at),
            freshness: if is_newest && is_young { Freshness::Live } else { Freshness::History },
            authenticity: Authenticity::NodeAead,
            ..Observation::live(sensor.clone(), reading(sample.channel, sample.value, unit.as_ref()))
        });
    }
    if data.last_words
        && let Some((sensor, _)) = channels.get(&Channel::Health)
        && let Some(last) = observations.last().cloned()
    {
        observations.push(Observation {
            sensor: sensor.clone(),
            source_id: Some(source_id(sensor, header, data.samples.len())),
            reading: Reading::Health(Health::Faulty),
            ..last
        });
    }
    observations
}

/// Where a node's alarms about itself go: its tamper channel, else its health channel, else all it has.
pub(super) fn alarm_sensors(channels: &Channels) -> Vec<&SensorId> {
    let own = channels.get(&Channel::Tamper).or_else(|| channels.get(&Channel::Health));
    own.map_or_else(|| channels.values().map(|(sensor, _)| sensor).collect(), |(sensor, _)| vec![sensor])
}

fn source_id(sensor: &SensorId, header: &Header, index: usize) -> SourceId {
    let (node, epoch, counter) = (header.node.to_le_bytes(), header.epoch.to_le_bytes(), header.counter.to_le_bytes());
    SourceId::of(sensor, &[&node, &epoch, &counter, &(index as u32).to_le_bytes()])
}

fn reading(channel: Channel, value: Value, unit: Option<&Unit>) -> Reading {
    let measured = |value, settled| match measure(channel, value, settled, unit) {
        Some(measure) => Reading::Measure(measure),
        None => Reading::NoData(NoData::BadValue),
    };
    match (channel.kind(), value) {
        (Kind::State, Value::State(true)) if channel == Channel::Tamper => Reading::Health(Health::Tampered),
        (Kind::State, Value::State(on)) => Reading::Contact(on),
        (Kind::Measure(_), Value::Measure(value)) => measured(value, None),
        (Kind::Measure(_), Value::Load { value, settled }) => measured(value, Some(settled)),
        (Kind::Health, Value::Health { boots, reset, supply_mv }) => {
            Reading::Health(Health::Node { boots, reset_cause: reset.into(), supply_mv })
        }
        (Kind::Credential, Value::Credential { card, granted }) => Reading::Credential(Credential {
            holder: Identity { handle: None, value: Private::clear(holder(card)) },
            // A reader sees a lock that stays shut and no reason.
            decision: if granted { AccessDecision::Granted } else { AccessDecision::Denied(DenialReason::Other) },
        }),
        (_, Value::Missing(missing)) => Reading::NoData(match missing {
            Missing::BadValue => NoData::BadValue,
            Missing::Overload(lost) => NoData::Overload(u64::from(lost)),
            Missing::Doubted(Doubt::NotRead) => NoData::Timeout,
            Missing::Doubted(Doubt::Covered) => NoData::Blind,
            Missing::Doubted(Doubt::Stuck | Doubt::Noisy) => NoData::Faulty,
            Missing::Doubted(Doubt::OutOfRange | Doubt::Uncompensated) => NoData::BadValue,
        }),
        // A node that means something else by this channel than we do.
        (Kind::State | Kind::Measure(_) | Kind::Health | Kind::Credential, _) => Reading::NoData(NoData::BadValue),
    }
}

/// A credential as rosters and access systems write it: `facility-number`, or the number alone.
fn holder(card: Card) -> String {
    match card.facility {
        Some(facility) => format!("{facility}-{}", card.number),
        None => card.number.to_string(),
    }
}

fn measure(channel: Channel, value: f32, stable: Option<bool>, wanted: Option<&Unit>) -> Option<Measure> {
    // The shortest decimal that is this f32: 0.1, not 0.10000000149.
    let value: f64 = value.to_string().parse().ok()?;
    let own = match channel.kind() {
        Kind::Measure(unit) => Unit::new(unit).ok(),
        Kind::State | Kind::Health | Kind::Credential => None,
    };
    let (value, unit) = match (own, wanted) {
        (Some(own), Some(wanted)) if own != *wanted && own.quantity() == wanted.quantity() => {
            (own.to_base(value) / wanted.to_base(1.0), wanted.clone())
        }
        (_, Some(wanted)) => (value, wanted.clone()),
        (Some(own), None) => (value, own),
        (None, None) => return None,
    };
    Some(Measure { value: Finite::new(value).ok()?, unit, stable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_schemas::{
        WallTime,
        frame::{
            SuiteId,
            message::{ResetCause, Sample},
        },
    };
    use std::time::Instant;

    fn channels() -> Channels {
        let sensor = |channel: Channel| SensorId::new(channel.name()).unwrap();
        Channel::ALL.into_iter().map(|channel| (channel, (sensor(channel), None))).collect()
    }

    fn read(data: &Data, newest: &mut Newest) -> Vec<Observation> {
        let start = Instant::now();
        let mut clock = NodeClock::default();
        clock.observe(3, 100_000, start, start);
        let now = Now { at: start, wall: WallTime::from_millis(1_700_000_000_000) };
        let header = Header { suite: SuiteId::default(), node: 7, epoch: 1, counter: 5 };
        observations(&header, data, &channels(), &clock, newest, now)
    }

    fn data(at_ms: u64, samples: &[(Channel, u32, Value)]) -> Data {
        let samples =
            samples.iter().map(|(channel, age_ms, value)| Sample { channel: *channel, age_ms: *age_ms, value: *value });
        Data { boot: 3, follows: 0, at_ms, last_words: false, samples: samples.collect() }
    }

    #[test]
    fn every_kind_of_word_becomes_its_reading() {
        let words = [
            (Channel::Pir, 0, Value::State(true)),
            (Channel::Tamper, 0, Value::State(true)),
            (Channel::Door, 0, Value::State(false)),
            (Channel::Load1, 0, Value::Measure(412.1)),
            (Channel::Load2, 0, Value::Measure(f32::NAN)),
            (Channel::Supply, 0, Value::Missing(Missing::BadValue)),
            (Channel::Pir, 0, Value::Missing(Missing::Overload(9))),
            (Channel::Health, 0, Value::Health { boots: 3, reset: ResetCause::BrownOut, supply_mv: None }),
            (Channel::Load3, 0, Value::Load { value: 7.5, settled: true }),
            (Channel::Range, 0, Value::Missing(Missing::Doubted(Doubt::Covered))),
            (Channel::Pir, 0, Value::Measure(1.0)),
        ];
        let said = read(&data(100_000, &words), &mut Newest::new());
        let load = Measure { value: Finite::new(412.1).unwrap(), unit: Unit::new("kN").unwrap(), stable: None };
        let settled = Measure { value: Finite::new(7.5).unwrap(), stable: Some(true), ..load.clone() };
        let expected = [
            Reading::Contact(true),
            Reading::Health(Health::Tampered),
            Reading::Contact(false),
            Reading::Measure(load),
            Reading::NoData(NoData::BadValue),
            Reading::NoData(NoData::BadValue),
            Reading::NoData(NoData::Overload(9)),
            Reading::Health(Health::Node { boots: 3, reset_cause: 2, supply_mv: None }),
            Reading::Measure(settled),
            Reading::NoData(NoData::Blind),
            Reading::NoData(NoData::BadValue),
        ];
        assert_eq!(said.iter().map(|said| said.reading.clone()).collect::<Vec<_>>(), expected);
        assert!(said.iter().all(|said| said.authenticity == Authenticity::NodeAead));
        let ids: std::collections::BTreeSet<_> = said.iter().map(|said| said.source_id).collect();
        assert_eq!(ids.len(), said.len(), "each word has its own identity");
    }

    #[test]
    fn a_second_old_is_live_a_minute_old_is_history_and_so_is_what_would_turn_back_what_is_known() {
        let mut newest = Newest::new();
        let live = |said: Vec<Observation>| said[0].freshness == Freshness::Live;
        assert!(!live(read(&data(40_000, &[(Channel::Pir, 0, Value::State(true))]), &mut newest)));
        assert!(live(read(&data(99_500, &[(Channel::Pir, 500, Value::State(true))]), &mut newest)));
        assert!(live(read(&data(99_600, &[(Channel::Pir, 0, Value::State(false))]), &mut newest)));
        assert!(!live(read(&data(99_500, &[(Channel::Pir, 0, Value::State(true))]), &mut newest)));
        let former = Data { boot: 2, ..data(99_900, &[(Channel::Door, 0, Value::State(true))]) };
        let said = read(&former, &mut newest);
        assert_eq!((said[0].freshness, said[0].observed_at), (Freshness::History, None), "its boot was never heard");
    }

    #[test]
    fn a_unit_of_the_same_quantity_is_converted_to_and_last_words_are_a_fault() {
        let newton = Unit::new("N").unwrap();
        assert_eq!(measure(Channel::Load1, 412.5, None, Some(&newton)).unwrap().value.get(), 412_500.0);
        assert_eq!(measure(Channel::Load1, 4.5, None, Some(&Unit::new("m").unwrap())).unwrap().value.get(), 4.5);
        let last = Data { last_words: true, ..data(100_000, &[(Channel::Supply, 0, Value::Measure(8.1))]) };
        let said = read(&last, &mut Newest::new());
        assert_eq!((said[1].sensor.as_str(), &said[1].reading), ("health", &Reading::Health(Health::Faulty)));
    }
    #[test]
    fn every_quantity_of_the_firmware_is_one_of_ours() {
        for channel in Channel::ALL {
            if let Kind::Measure(unit) = channel.kind() {
                assert_eq!(measure(channel, 1.5, None, None).unwrap().unit, Unit::new(unit).unwrap());
            }
        }
    }

    #[test]
    fn a_credential_becomes_its_holder_and_what_the_lock_did_and_no_word_of_ours_shows_its_number() {
        let card = Card { facility: Some(17), number: 40_021 };
        let words = [
            (Channel::Badge1, 0, Value::Credential { card, granted: true }),
            (Channel::Badge2, 0, Value::Credential { card: Card { facility: None, ..card }, granted: false }),
        ];
        let data = data(100_000, &words);
        let said = read(&data, &mut Newest::new());
        let expected = [("17-40021", AccessDecision::Granted), ("40021", AccessDecision::Denied(DenialReason::Other))];
        for (said, (holder, decision)) in said.iter().zip(expected) {
            let Reading::Credential(credential) = &said.reading else { panic!("{said:?}") };
            assert_eq!((credential.holder.value.as_clear(), credential.decision), (Some(holder), decision));
            assert_eq!(credential.holder.handle, None, "the ledger makes it, with a key that no driver has");
        }
        let shown = format!("{data:?} {said:?}");
        assert!(!shown.contains("40021") && !shown.contains("17-"), "{shown}");
    }
}
