//! Feeding the engine, in every way the daemon might.

use crate::script::Scenario;
use quaywatch::guards::CEL;
use quaywatch_fusion::Engine;
use quaywatch_schemas::{
    GatewayTime, Situation, Stamp, Stamped,
    situation::{MOST_WEIGHT, score},
};

pub const KEY: [u8; 32] = [7; 32];

/// An engine as the daemon makes it.
pub fn new_engine() -> Engine {
    Engine::new(KEY).with_guards(&CEL)
}

/// Feeds records, then lets time pass until the end.
pub fn play(scenario: &Scenario) -> Vec<Situation> {
    let mut engine = new_engine();
    let mut out: Vec<Situation> = scenario.records.iter().flat_map(|record| engine.observe(record)).collect();
    out.extend(engine.advance(&scenario.end));
    assert_eq!(engine.outputs(), out.len() as u64);
    out.iter().for_each(check);
    out
}

/// What holds of everything that is ever said.
pub fn check(situation: &Situation) {
    let kind = &situation.kind;
    the_terms_are_the_score(situation);
    let probability = situation.calibration.probability(situation.log_odds);
    assert!((probability - situation.probability).abs() < 1e-9, "{kind}");
    assert!(situation.probability.is_finite() && (0.0..=1.0).contains(&situation.probability), "{kind}");
    let others: f64 = situation.alternatives.iter().map(|other| other.probability).sum();
    if kind != "gate.passage" {
        assert!(situation.probability + others <= 1.0 + 1e-9, "{kind}: {} and {others}", situation.probability);
    }
    assert!(situation.alternatives.iter().all(|other| (0.0..=1.0).contains(&other.probability)), "{kind}");
    assert!(
        !situation.facts.is_empty() && !situation.headline.0.is_empty() && !situation.evidence.is_empty(),
        "{kind}"
    );
    assert!(situation.until.is_none_or(|until| until >= situation.from), "{kind}: until {:?}", situation.until);
    assert!(!situation.assessment.0.is_empty(), "{kind}");
}

/// Prior and terms make the score, a capped group being one term; and with the association held as it is, every piece of
/// evidence outside a capped group is worth exactly what it is listed with: without it the score is lower by that much.
fn the_terms_are_the_score(situation: &Situation) {
    let kind = &situation.kind;
    let grouped: Vec<usize> =
        situation.groups.iter().flat_map(|group| &group.members).map(|index| *index as usize).collect();
    let alone = situation.evidence.iter().enumerate().filter(|(index, _)| !grouped.contains(index));
    let terms = alone.map(|(_, piece)| piece.weight).chain(situation.groups.iter().map(|group| group.after));
    let sum = terms.fold(situation.prior, |sum, term| sum + term);
    assert!((sum - situation.log_odds).abs() < 1e-9, "{kind}: the terms are the score");
    for group in &situation.groups {
        let members = || group.members.iter().map(|index| &situation.evidence[*index as usize]);
        let before: f64 = members().map(|piece| piece.weight).sum();
        assert!((before - group.before).abs() < 1e-9 && before.abs() > MOST_WEIGHT, "{kind}: {group:?}");
        assert!((group.after.abs() - MOST_WEIGHT).abs() < 1e-9 && group.after * before > 0.0, "{kind}: {group:?}");
        assert!(members().count() > 1 && members().all(|piece| piece.domain == group.domain), "{kind}: {group:?}");
    }
    for (index, piece) in situation.evidence.iter().enumerate() {
        assert!(piece.weight.abs() <= MOST_WEIGHT, "{kind}: one piece is capped too");
        if grouped.contains(&index) {
            continue;
        }
        let mut others = situation.evidence.clone();
        others.remove(index);
        let without = score(situation.prior, &others);
        assert!((situation.log_odds - without - piece.weight).abs() < 1e-9, "{kind}: {} is not its term", piece.sensor);
    }
}

/// The log alone decides: not when time was told, nor where a snapshot was taken.
pub fn same_bytes_however_it_is_fed(scenario: &Scenario, expected: &[Situation]) {
    let expected = bytes(expected);
    for (how, fed) in [
        ("again", bytes(&play(scenario))),
        ("woken at every deadline", bytes(&woken_at_deadlines(&scenario.records, &scenario.end))),
        ("told the time every 300 ms", bytes(&told_the_time(&scenario.records, &scenario.end, 300_000_000))),
        ("restored at every record", bytes(&restored(&scenario.records, &scenario.end, 1))),
        ("restored at every 7th record", bytes(&restored(&scenario.records, &scenario.end, 7))),
    ] {
        assert!(fed == expected, "{how}: not the same bytes");
    }
}

pub fn bytes(situations: &[Situation]) -> Vec<u8> {
    serde_json::to_vec(situations).unwrap()
}

/// As the daemon does it: it sleeps until the next deadline and wakes a little late.
pub fn woken_at_deadlines(records: &[Stamped], end: &Stamp) -> Vec<Situation> {
    let mut engine = new_engine();
    let mut out = Vec::new();
    let mut last = Stamp::default();
    for record in records {
        sleep(&mut engine, &last, record.stamp.gateway, &mut out);
        out.extend(engine.observe(record));
        last = record.stamp;
    }
    sleep(&mut engine, &last, end.gateway, &mut out);
    out.extend(engine.advance(end));
    out
}

fn sleep(engine: &mut Engine, last: &Stamp, until: GatewayTime, out: &mut Vec<Situation>) {
    while let Some(deadline) = engine.next_deadline().filter(|deadline| deadline.at < until) {
        assert!(!deadline.name.is_empty());
        let late = GatewayTime(deadline.at.0.saturating_add(1_700_000).min(until.0));
        let said = engine.advance(&Stamp { gateway: late, ..*last });
        assert!(
            said.iter().all(|situation| situation.concluded <= late),
            "concluded when it was due, not when it was told"
        );
        out.extend(said);
    }
}

fn told_the_time(records: &[Stamped], end: &Stamp, every: u64) -> Vec<Situation> {
    let mut engine = new_engine();
    let mut out = Vec::new();
    let mut last = Stamp::default();
    for record in records {
        let mut now = last.gateway.0;
        while now != 0 && now + every < record.stamp.gateway.0 {
            now += every;
            out.extend(engine.advance(&Stamp { gateway: GatewayTime(now), ..last }));
        }
        out.extend(engine.observe(record));
        last = record.stamp;
    }
    out.extend(engine.advance(end));
    out
}

pub fn restored(records: &[Stamped], end: &Stamp, every: usize) -> Vec<Situation> {
    let mut engine = new_engine();
    let mut out = Vec::new();
    for (record, count) in records.iter().zip(1..) {
        out.extend(engine.observe(record));
        if count % every == 0 {
            let snapshot = engine.snapshot();
            engine = Engine::restore(KEY, &snapshot).unwrap().with_guards(&CEL);
            assert!(engine.snapshot() == snapshot, "a restored engine is the same engine");
        }
    }
    out.extend(engine.advance(end));
    out
}
