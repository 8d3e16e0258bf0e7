//! A gateway whose engine is of another version than the one that made the snapshot.

use super::*;
use quaywatch_schemas::{
    PatternId,
    site::{
        Pattern,
        patterns::{Emit, Key, Parts as PatternParts, Says, Shape, Skip, Source, Step},
    },
    situation::Urgency,
};

/// What is open goes on under its name, and patterns remember what they saw, guards and all.
#[test]
fn an_engine_of_another_version_is_rebuilt_and_goes_on_with_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![with_pattern(site(&["door", "hatch"]), "seconds < 3600.0 && level == 1"), policy()]);
    gateway.say(trips("door"));
    gateway.pipeline.keep().unwrap();
    let told = gateway.waiting();
    assert_eq!(phases(&told), [Phase::Opened]);
    let snapshot = gateway.pipeline.engine.snapshot();
    gateway.made_by_another_version();
    gateway.crash();

    let mut gateway = Gateway::start(folder.path());
    assert!(gateway.pipeline.rebuild.is_some(), "the snapshot was refused");
    gateway.take_until(Position(4));
    assert_eq!(gateway.waiting(), told, "nothing is told twice");
    assert!(gateway.pipeline.engine.snapshot() == snapshot, "the same engine, byte for byte");
    gateway.say(trips("hatch"));
    gateway.say(vec![says("door", false)]);
    gateway.half_an_hour_passes();
    let now = gateway.waiting();
    let kinds: Vec<&str> = now.iter().map(|(_, event)| event.data.kind.as_str()).collect();
    assert_eq!(kinds, ["node.tamper", "node.tamper", "site.both-doors", "node.tamper"]);
    assert_eq!(now[3].1.data.phase, Phase::Closed);
    assert_eq!(now[3].1.data.reference, told[0].1.data.reference, "the one that was open before");
    // The next start has a snapshot that it can use.
    gateway.pipeline.keep().unwrap();
    gateway.crash();
    let gateway = Gateway::start(folder.path());
    assert!(gateway.pipeline.rebuild.is_none());
    gateway.crash();
}

/// It ran for months: the records that applied the files and opened the situation are gone.
#[test]
fn a_rebuilt_engine_knows_the_site_although_the_log_has_forgotten_it_and_lets_go_of_what_it_cannot_know() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door", "hatch", "lid"]), policy()]);
    gateway.say(vec![Record::Control(Control::SecurityLevel { level: 2, by: "pfso".into() })]);
    gateway.say(trips("door"));
    for _ in 0..8 {
        gateway.say(vec![says("lid", false); 200]);
    }
    gateway.say(trips("hatch"));
    gateway.pipeline.keep().unwrap();
    let told = gateway.waiting();
    assert_eq!(phases(&told), [Phase::Opened, Phase::Opened]);
    gateway.made_by_another_version();
    gateway.crash();
    let mut segments: Vec<_> =
        std::fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert!(segments.len() > 3, "{segments:?}");
    std::fs::remove_file(&segments[0]).unwrap();
    std::fs::remove_file(&segments[1]).unwrap();

    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![Record::Control(Control::Started { build: "next".into(), boot: [0; 16] })]);
    let now = gateway.waiting();
    assert_eq!(phases(&now[2..]), [Phase::Closed], "the hatch is known from its record, the door is not");
    assert_eq!(now[2].1.data.reference, told[0].1.data.reference);
    let words = serde_json::to_string(&now[2].1.data).unwrap();
    assert!(words.contains("follows it no longer"), "{words}");
    gateway.say(trips("lid"));
    gateway.say(vec![says("hatch", false)]);
    gateway.half_an_hour_passes();
    let now = gateway.waiting();
    assert_eq!(phases(&now[3..]), [Phase::Opened, Phase::Closed], "the site and the policy hold");
    assert_eq!(now[4].1.data.reference, told[1].1.data.reference);
    assert!(gateway.pipeline.changes.situations.iter().rev().take(2).all(|it| it.security_level == 2));
    gateway.crash();
}

impl Gateway {
    fn half_an_hour_passes(&mut self) {
        for _ in 0..60 {
            let now = self.pipeline.stamp;
            let later = Stamp { gateway: now.gateway.after(Duration::from_secs(30)), ..now };
            self.pipeline.take(Next::Tick(later)).unwrap();
        }
        self.pipeline.put_out().unwrap();
    }

    /// As if the next program could not read this one's snapshots.
    fn made_by_another_version(&self) {
        let state = &self.pipeline.parts.state;
        let checkpoint = state.checkpoint().unwrap().unwrap();
        let mut kept: Kept = postcard::from_bytes(&checkpoint.engine).unwrap();
        kept.engine[0] ^= 0xff;
        let checkpoint = Checkpoint { engine: postcard::to_stdvec(&kept).unwrap(), ..checkpoint };
        state.apply(Changes { checkpoint: Some(checkpoint), ..Changes::default() }).unwrap();
    }
}

fn phases(told: &[(u64, CloudEvent<Product>)]) -> Vec<Phase> {
    told.iter().map(|(_, event)| event.data.phase).collect()
}

fn says(sensor: &str, on: bool) -> Record {
    Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), Reading::Contact(on)))
}

/// The door, then the hatch.
fn with_pattern(site: Record, guard: &str) -> Record {
    let Record::Control(Control::SiteApplied { mut site, digest }) = site else { unreachable!("it is a site") };
    let step = |sensor| Step {
        name: None,
        on: Source::Sensor(SensorId::new(sensor).unwrap()),
        says: Says::On,
        compare: None,
        least: 1,
        most: None,
        within: None,
        lasts: None,
        absent: false,
        weight: Some(2.0),
        words: None,
    };
    let parts = PatternParts {
        zones: vec![ZoneId::new("lane-3").unwrap()],
        mode: Mode::Tell,
        key: Key::Zone,
        shape: Shape::Seq,
        steps: vec![step("door"), step("hatch")],
        expect: Vec::new(),
        within: Duration::from_secs(3600),
        skip: Skip::PastLast,
        max_partial: 4,
        guard: Some(guard.into()),
        emit: Emit {
            headline: "both doors of a cabinet were opened".into(),
            assessment: "Somebody looks for something.".into(),
            action: None,
            otherwise: None,
            prior: 0.5,
            min_p: 0.6,
            severity: Severity::Moderate,
            urgency: Urgency::Immediate,
            ends_after: Duration::from_secs(3600),
            answer_within: None,
        },
    };
    site.patterns.insert(PatternId::new("both-doors").unwrap(), Pattern::new(parts).unwrap());
    Record::Control(Control::SiteApplied { site, digest })
}
