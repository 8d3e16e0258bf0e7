//! From a message to records: pure.

use super::{Gives, Subscription, topics};
use crate::{
    camera::frigate,
    frame,
    intake::Delivery,
    json::{self, Kind, Mapping, Undecodable},
    references,
    tap::{self, Tapped, Taps},
};
use quaywatch_schemas::{DeadLetter, LineId, Observation, Record, observation::Freshness};

/// A message as a broker delivered it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// The broker kept it: it was said at some time before we asked.
    pub(super) retained: bool,
}

/// What one subscription makes of a message.
pub(super) struct Said<'a> {
    subscription: &'a Subscription,
    result: Result<Vec<Record>, Undecodable>,
}

/// What all subscriptions that a message matches make of it.
pub(super) fn decode<'a>(subscriptions: &'a [Subscription], message: Message<'_>) -> Vec<Said<'a>> {
    // All cameras of one server share one parsed message.
    let mut parsed: Option<(&str, Result<frigate::Message<'_>, Undecodable>)> = None;
    let mut all = Vec::new();
    for subscription in subscriptions {
        let frigate = matches!(subscription.gives, Gives::Frigate { .. });
        if !frigate && !topics::matches(&subscription.topic, message.topic) {
            continue;
        }
        let one = |mut said: Observation| {
            if message.retained {
                said.freshness = Freshness::History;
            }
            vec![Record::Observation(said)]
        };
        let result = match &subscription.gives {
            Gives::Json { sensor, mapping } => json::decode(mapping, sensor, message.payload).map(one),
            Gives::Frames(source) => frame::decode(source, message.payload).map(one),
            Gives::References(feed) => {
                references::decode(feed, message.payload).map(|control| vec![Record::Control(control)])
            }
            Gives::Frigate { sensor, camera } => {
                let prefix = subscription.topic.as_str();
                let Some(topic) = message.topic.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) else {
                    continue;
                };
                let known = parsed.as_ref().is_some_and(|(of, _)| *of == prefix);
                if !known {
                    parsed = Some((prefix, frigate::read(topic, message.payload)));
                }
                match parsed.as_ref().map(|(_, parsed)| parsed) {
                    Some(Ok(parsed)) => parsed.about(camera, sensor).map(|said| {
                        let history = message.retained && !parsed.is_state();
                        let kept = said.into_iter().map(|mut said| {
                            if history {
                                said.freshness = Freshness::History;
                            }
                            Record::Observation(said)
                        });
                        kept.collect()
                    }),
                    Some(Err(why)) => Err(why.clone()),
                    None => continue,
                }
            }
        };
        all.push(Said { subscription, result });
    }
    all
}

/// The records of a message: what was understood, and one dead letter per reason. A message that nobody could understand
/// for the same reason is one dead letter without a sensor.
pub(super) fn records(said: Vec<Said<'_>>, line: &LineId, payload: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut letters: Vec<DeadLetter> = Vec::new();
    for Said { subscription, result } in said {
        match result {
            Ok(said) => records.extend(said),
            Err(Undecodable(reason)) => match letters.iter_mut().find(|letter| letter.reason == reason) {
                Some(letter) => letter.sensor = None,
                None => {
                    letters.push(DeadLetter::new(line.clone(), subscription.sensor().cloned(), reason, payload));
                }
            },
        }
    }
    records.extend(letters.into_iter().map(Record::DeadLetter));
    records
}

/// Shows a message to whoever watches one of its sensors.
pub(super) fn show(said: &[Said<'_>], message: Message<'_>, taps: &Taps) {
    for Said { subscription, result } in said {
        let Some(sensor) = subscription.sensor() else { continue };
        taps.show(sensor, || match result {
            Err(Undecodable(why)) => Tapped::undecodable(message.payload.len(), why),
            Ok(records) => Tapped { raw: raw(subscription, message), decoded: tap::decoded_all(records) },
        });
    }
}

fn raw(subscription: &Subscription, message: Message<'_>) -> String {
    let (value, identifying) = match &subscription.gives {
        Gives::Json { mapping, .. } => (json::message(mapping, message.payload).ok(), identifies(mapping)),
        _ => (json::parse(message.payload).ok(), false),
    };
    let payload = match value {
        Some(value) => tap::masked(&value, identifying),
        None => tap::masked_text(&String::from_utf8_lossy(message.payload), identifying),
    };
    format!("{} {payload}", message.topic)
}

fn identifies(mapping: &Mapping) -> bool {
    matches!(mapping.reading, Kind::Plate | Kind::Container | Kind::Tag | Kind::Credential)
}

/// How the ledger can tell that these records were delivered before: needed if one of them carries no identity of its own.
pub(super) fn delivery(session: &str, message: Message<'_>, repeated: bool, records: &[Record]) -> Option<Delivery> {
    let has_identity = |record: &Record| matches!(record, Record::Observation(said) if said.source_id.is_some());
    if records.iter().all(has_identity) {
        return None;
    }
    let mut hasher = blake3::Hasher::new_derive_key("quaywatch mqtt delivery v1");
    hasher.update(&(message.topic.len() as u64).to_le_bytes());
    hasher.update(message.topic.as_bytes());
    hasher.update(message.payload);
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Some(Delivery { session: session.to_owned(), digest, repeated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Session;
    use quaywatch_schemas::{NoData, Reading, SensorId};

    fn id(name: &str) -> SensorId {
        SensorId::new(name).unwrap()
    }

    fn line() -> LineId {
        LineId::new("broker").unwrap()
    }

    fn camera(name: &str) -> Subscription {
        let camera = frigate::Camera { name: name.into(), gives: frigate::Gives::Frames };
        let gives = Gives::Frigate { sensor: id(name), camera };
        Subscription { topic: "frigate".into(), session: Session::Alarm, at_least_once: true, gives }
    }

    fn contact(topic: &str, sensor: &str) -> Subscription {
        let gives = Gives::Json { sensor: id(sensor), mapping: Mapping::of(Kind::Contact, "") };
        Subscription { topic: topic.into(), session: Session::Alarm, at_least_once: true, gives }
    }

    fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Message<'a> {
        Message { topic, payload, retained: false }
    }

    fn all(subscriptions: &[Subscription], message: Message<'_>) -> Vec<Record> {
        records(decode(subscriptions, message), &line(), message.payload)
    }

    #[test]
    fn one_message_becomes_a_record_for_each_sensor_it_concerns() {
        let cameras = [camera("west"), camera("east")];
        let said = all(&cameras, message("frigate/available", b"offline"));
        let sensors: Vec<&str> = said
            .iter()
            .map(|record| match record {
                Record::Observation(said) => {
                    assert_eq!(said.reading, Reading::NoData(NoData::Disconnected));
                    said.sensor.as_str()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sensors, ["west", "east"]);
        let overlapping = [contact("door/+", "any"), contact("door/3", "three")];
        assert_eq!(all(&overlapping, message("door/3", b"true")).len(), 2);
        assert_eq!(all(&overlapping, message("door/4", b"true")).len(), 1);
        assert!(all(&overlapping, message("window/4", b"true")).is_empty());
    }

    #[test]
    fn a_broken_message_of_a_server_with_many_cameras_is_one_dead_letter_and_its_neighbours_are_unharmed() {
        let cameras = [camera("west"), camera("east"), contact("frigate/#", "whole")];
        let said = all(&cameras, message("frigate/events", b"{\"type\":\"new\""));
        let reasons: Vec<_> =
            said.iter().map(|record| matches!(record, Record::DeadLetter(letter) if letter.sensor.is_none())).collect();
        assert_eq!(reasons, [true]);
        let one = all(&[contact("a", "one"), contact("a", "two")], message("a", b"SECRET"));
        let [Record::DeadLetter(letter)] = &one[..] else { panic!("{one:?}") };
        assert!(!letter.reason.contains("SECRET"));
    }

    #[test]
    fn what_the_broker_kept_is_history_except_for_a_state_that_it_keeps_up() {
        let retained = |subscription, topic: &str, payload: &[u8]| {
            let said = all(&[subscription], Message { topic, payload, retained: true });
            match &said[..] {
                [Record::Observation(said)] => said.freshness,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(retained(contact("door", "door"), "door", b"true"), Freshness::History);
        assert_eq!(retained(camera("west"), "frigate/available", b"online"), Freshness::Live);
        assert_eq!(retained(camera("west"), "frigate/west/all", b"0"), Freshness::History);
    }

    #[test]
    fn a_delivery_is_named_only_where_the_message_does_not_name_itself() {
        let event =
            br#"{"type":"new","before":null,"after":{"id":"1.5-a","camera":"west","label":"person","frame_time":1.5}}"#;
        let named = message("frigate/events", event);
        assert_eq!(delivery("broker/alarm", named, true, &all(&[camera("west")], named)), None);
        let plain = message("door", b"true");
        let records = all(&[contact("door", "door")], plain);
        let first = delivery("broker/alarm", plain, false, &records).unwrap();
        let again = delivery("broker/alarm", plain, true, &records).unwrap();
        assert_eq!((first.digest, first.repeated, again.repeated), (again.digest, false, true));
        let other = delivery("broker/alarm", message("doo", b"rtrue"), false, &records).unwrap();
        assert_ne!(first.digest, other.digest);
        let broken = message("door", b"perhaps");
        assert!(delivery("broker/alarm", broken, false, &all(&[contact("door", "door")], broken)).is_some());
    }

    #[test]
    fn a_watcher_sees_both_halves_masked_and_nothing_of_what_could_not_be_decoded() {
        let taps = Taps::default();
        let mapping = Mapping::of(Kind::Credential, "/badge");
        let gives = Gives::Json { sensor: id("reader"), mapping };
        let reader = [Subscription { topic: "r".into(), session: Session::Alarm, at_least_once: true, gives }];
        let mut watcher = taps.watch(&id("reader"));
        for payload in [&br#"{"badge":77001234,"state":"granted"}"#[..], b"SECRET"] {
            let message = message("r", payload);
            show(&decode(&reader, message), message, &taps);
        }
        let seen = watcher.try_recv().unwrap();
        assert_eq!(seen.raw, r#"r {"badge":"***","state":"granted"}"#);
        assert_eq!(seen.decoded, "credential ***, granted");
        assert_eq!(watcher.try_recv().unwrap().raw, "6 bytes");
    }
}
