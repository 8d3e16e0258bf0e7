use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn trial(seed: u64) -> Trial {
    Trial::make(&Preset::REAL.lasting(3600.0), seed)
}

#[test]
fn a_trial_is_its_preset_and_its_seed() {
    let files = |seed| trial(seed).files().unwrap();
    assert_eq!(files(5), files(5));
    assert_ne!(files(5), files(6));
}

#[test]
fn events_are_in_order_of_arrival_and_labels_name_passages() {
    let trial = trial(5);
    assert!(trial.events.windows(2).all(|pair| pair[0].rx <= pair[1].rx));
    assert!(trial.events.iter().enumerate().all(|(place, event)| event.i == place));
    let passages: BTreeSet<&String> = trial
        .truth
        .iter()
        .filter_map(|truth| if let Truth::Passage { id, .. } = truth { Some(id) } else { None })
        .collect();
    assert!(passages.len() > 60, "{}", passages.len());
    assert!(trial.labels.iter().all(|(_, id)| passages.contains(id)));
}

#[test]
fn every_vehicle_leaves_over_its_exit_loop_once() {
    let trial = trial(9);
    let label: BTreeMap<usize, &String> = trial.labels.iter().map(|(i, id)| (*i, id)).collect();
    for truth in &trial.truth {
        let Truth::Passage { id, lane, t, .. } = truth else { continue };
        let mut edges: Vec<&Event> = trial
            .events
            .iter()
            .filter(|event| label.get(&event.i) == Some(&id) && event.src == format!("loop.{lane}.l2"))
            .filter(|event| matches!(event.what, What::Loop { on: true, .. }))
            .collect();
        edges.dedup_by(|one, other| one.mid == other.mid);
        assert_eq!(edges.iter().map(|edge| &edge.mid).collect::<BTreeSet<_>>().len(), 1, "{id}");
        assert!((edges[0].ts - t).abs() < 0.1, "{id}: the controller's clock is nearly right");
    }
}

#[test]
fn an_event_says_what_the_benchmarks_expect_of_it() {
    let trial = trial(5);
    let first = |kind: &str| {
        let events = trial.events.iter().map(|event| serde_json::to_value(event).unwrap());
        let mut events = events.filter(|event| event["kind"] == kind);
        let event = events.next().unwrap_or_else(|| panic!("no {kind}"));
        let keys = event
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| !["i", "rx", "ts", "src", "kind", "mid"].contains(&key.as_str()));
        keys.cloned().collect::<Vec<_>>().join(" ")
    };
    let said: Vec<String> =
        ["loop", "plate", "ocr", "rfid", "weight", "barrier", "badge", "hb"].into_iter().map(first).collect();
    let expected = ["on pos", "conf text", "conf side text", "rssi tag", "kg stable", "open", "badge reader", ""];
    assert_eq!(said, expected);
}

#[test]
fn a_full_day_has_every_kind_of_anomaly_and_mostly_none() {
    let trial = Trial::make(&Preset::REAL, 1);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut passages = 0;
    for truth in &trial.truth {
        match truth {
            Truth::Passage { .. } => passages += 1,
            Truth::Anomaly { kind, .. } => *kinds.entry(kind).or_default() += 1,
        }
    }
    assert_eq!(kinds.len(), 13, "{kinds:?}");
    assert!((400..600).contains(&passages), "{passages}");
    assert!(kinds.values().sum::<usize>() < passages / 4, "{kinds:?}");
}
