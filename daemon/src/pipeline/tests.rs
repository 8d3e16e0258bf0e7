//! Crashes between the outbox and the checkpoint, and stores that lost a part: no number twice, nothing told twice.
//!
//! The pipeline is driven by hand, so that a crash is at an exact place: what was done is on disk, the rest is dropped.

mod rebuilt;

use super::*;
use crate::ledger::{self, Options, Started};
use quaywatch_drivers::intake::Intake;
use quaywatch_schemas::{
    Calibration, CloudEvent, DomainId, GroupId, LineId, Model, Observation, OrganisationId, Product, Purpose, Reading,
    SensorId, SiteId,
    control::ReceivedAnswer,
    marking::{Marking, Releasable, Tlp},
    policy::{Agreement, Confirm, Group, Recipient, TearLine, Treatment},
    product::{Answer, AnswerWord, Verdict},
    sealed::FieldClass,
    site::{
        Rates, Role, Rules, Sensor, Status, Zone, ZoneKind,
        rules::{NodeTamper, Rule},
    },
};
use std::path::Path;

/// A store, its writer running, and a pipeline that does nothing by itself.
struct Gateway {
    pipeline: Pipeline,
    intake: Intake,
    outbox: Outbox,
    records: mpsc::Receiver<Next>,
    started: Started,
}

impl Gateway {
    fn start(folder: &Path) -> Self {
        let mut opened = ledger::open(folder, Options { segment_bytes: 8192, ..Options::default() }).unwrap();
        let records = opened.take_records();
        let (intake, outbox) = (opened.intake.clone(), opened.outbox.clone());
        let (pipeline, from) = Pipeline::resume(Parts {
            outbox: outbox.clone(),
            state: opened.state.clone(),
            journal: opened.journal.take().unwrap(),
            writer: opened.control.clone(),
            situation_key: opened.situation_key,
            reference_key: opened.reference_key,
            board: Board::default(),
        })
        .unwrap();
        Self { pipeline, intake, outbox, records, started: opened.start(from) }
    }

    /// Stores records; the pipeline takes everything up to them and puts its products out, but keeps no checkpoint.
    fn say(&mut self, records: Vec<Record>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let last = runtime.block_on(self.intake.store(records)).unwrap().last;
        self.take_until(last);
    }

    fn take_until(&mut self, last: Position) {
        while self.pipeline.stamp.position < last {
            let next = self.records.blocking_recv().unwrap();
            self.pipeline.take(next).unwrap();
        }
        self.pipeline.put_out().unwrap();
    }

    fn waiting(&self) -> Vec<(u64, CloudEvent<Product>)> {
        let entries = self.outbox.pending(&desk(), Lane::Live, 0, 99).unwrap();
        entries.iter().map(|entry| (entry.sequence, serde_json::from_slice(&entry.body).unwrap())).collect()
    }

    /// The process is gone; the disk is as it is.
    fn crash(self) {
        drop(self.pipeline);
        drop(self.records);
        self.started.stop();
    }
}

fn desk() -> RecipientId {
    RecipientId::new("gate-desk").unwrap()
}

fn site(sensors: &[&str]) -> Record {
    let sensor = |id: &&str| {
        let sensor = Sensor {
            zone: ZoneId::new("lane-3").unwrap(),
            role: Role::CabinetTamper,
            at_m: None,
            domain: DomainId::new("cabinet").unwrap(),
            line: LineId::new("cabinet").unwrap(),
            mount: None,
            view: None,
            clock: quaywatch_schemas::site::Clock::default(),
            leads: None,
            silent_after: None,
            unit: None,
            range: None,
            rates: Rates { detection: 0.95, false_alarm: 0.01 },
        };
        (SensorId::new(id).unwrap(), sensor)
    };
    let zone = Zone {
        name: "Gate 2, lane 3".into(),
        kind: ZoneKind::Lane,
        direction: None,
        length_m: None,
        media: None,
        closed: None,
        outline: Vec::new(),
    };
    let site = Site {
        locode: "NLRTM".into(),
        id: SiteId::new("gate-2").unwrap(),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Actual,
        zones: [(ZoneId::new("lane-3").unwrap(), zone)].into(),
        sensors: sensors.iter().map(sensor).collect(),
        rules: Rules { node_tamper: Some(Rule::<NodeTamper>::everywhere(Mode::Tell)), ..Rules::default() },
        feeds: BTreeMap::new(),
        utc_offsets: Vec::new(),
        grid: None,
        patterns: Default::default(),
    };
    Record::Control(Control::SiteApplied { site: Box::new(site), digest: [1; 32] })
}

fn policy() -> Record {
    let owner = OrganisationId::new("acme-terminal").unwrap();
    let purpose = Purpose::new("port-facility-security").unwrap();
    let recipient = Recipient {
        organisation: owner.clone(),
        clearance: Tlp::Amber,
        purposes: vec![purpose.clone()],
        zones: None,
        kinds: Vec::new(),
        fields: [(FieldClass::Operational, Treatment::Show)].into(),
        confirm: Confirm::Transport,
    };
    let marking = Marking {
        owner: owner.clone(),
        tlp: Tlp::Amber,
        releasable_to: vec![Releasable::Organisation(owner)],
        purpose,
        delete_after_days: 28,
    };
    let policy =
        Policy { default_marking: Some(marking), recipients: [(desk(), recipient)].into(), ..Policy::default() };
    Record::Control(Control::PolicyApplied { policy: Box::new(policy), digest: [2; 32] })
}

fn trips(sensor: &str) -> Vec<Record> {
    let says = |on| Record::Observation(Observation::live(SensorId::new(sensor).unwrap(), Reading::Contact(on)));
    vec![says(false), says(true)]
}

#[test]
fn a_crash_between_outbox_and_checkpoint_gives_no_product_a_second_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door", "hatch"]), policy()]);
    gateway.pipeline.keep().unwrap();
    gateway.say(trips("door"));
    let told = gateway.waiting();
    assert_eq!(told.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1]);
    gateway.crash();
    // Nothing of the product's making was kept: the replay decides it again.
    let mut gateway = Gateway::start(folder.path());
    gateway.take_until(Position(4));
    assert_eq!(gateway.waiting(), told, "the same number and the same bytes");
    gateway.say(trips("hatch"));
    let again = gateway.waiting();
    assert_eq!(again.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(again[1].1.data.reference, told[0].1.data.reference);
    gateway.crash();
}

#[test]
fn a_lost_state_carries_what_waits_into_a_new_epoch_and_tells_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door", "hatch"]), policy()]);
    gateway.say(trips("door"));
    gateway.pipeline.keep().unwrap();
    let told = gateway.waiting();
    gateway.crash();
    std::fs::write(folder.path().join("state.redb"), vec![7; 9000]).unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.take_until(Position(4));
    let carried = gateway.waiting();
    assert_eq!(carried.len(), 1, "decided once");
    assert_eq!(carried[0].0, 1);
    assert_ne!(carried[0].1.epoch, told[0].1.epoch);
    assert_eq!(carried[0].1.id, format!("{}.{:020}", gateway.outbox.epoch_hex(), 1));
    assert_eq!(carried[0].1.data, told[0].1.data, "the product itself is frozen");
    gateway.say(trips("hatch"));
    assert_eq!(gateway.waiting().len(), 2, "what is new is told");
    gateway.crash();
}

#[test]
fn what_a_new_site_file_ends_is_told_to_whoever_was_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door", "hatch"]), policy()]);
    gateway.say(trips("door"));
    gateway.say(vec![site(&["hatch"])]);
    let told = gateway.waiting();
    let phases: Vec<Phase> = told.iter().map(|(_, event)| event.data.phase).collect();
    assert_eq!(phases, [Phase::Opened, Phase::Closed]);
    assert_eq!(told[0].1.data.reference, told[1].1.data.reference);
    gateway.crash();
}

/// The file with something about it changed.
fn policy_but(change: impl FnOnce(&mut Policy)) -> Record {
    match policy() {
        Record::Control(Control::PolicyApplied { mut policy, .. }) => {
            change(&mut policy);
            let digest = *blake3::hash(format!("{policy:?}").as_bytes()).as_bytes();
            Record::Control(Control::PolicyApplied { policy, digest })
        }
        _ => unreachable!("it is a policy"),
    }
}

#[test]
fn a_tear_line_that_was_taken_back_does_not_leave() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    let with = |text: Option<&'static str>| {
        policy_but(move |policy| {
            let approved = policy.default_marking.clone().unwrap();
            policy.default_marking.as_mut().unwrap().tlp = Tlp::Red;
            policy.tear_lines.extend(text.map(|text| TearLine {
                kinds: Vec::new(),
                zones: None,
                severity: Severity::Moderate,
                text: text.into(),
                marking: approved,
            }));
        })
    };
    gateway.say(vec![site(&["door"]), with(Some("Somebody is at the cabinet."))]);
    gateway.say(trips("door"));
    let texts = |gateway: &Gateway| gateway.waiting().into_iter().map(|(_, event)| event.data.text).collect::<Vec<_>>();
    assert!(texts(&gateway)[0].ends_with("Somebody is at the cabinet."), "{:?}", texts(&gateway));
    gateway.say(vec![with(Some("Keep clear."))]);
    assert!(texts(&gateway)[0].ends_with("Keep clear.") && texts(&gateway).len() == 1, "{:?}", texts(&gateway));
    gateway.say(vec![with(None)]);
    assert_eq!(texts(&gateway), Vec::<String>::new());
    gateway.crash();
}

#[test]
fn what_an_agreement_released_and_did_not_leave_yet_is_withdrawn_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door"])]);
    let begun = gateway.pipeline.stamp;
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    gateway.say(vec![policy_but(|policy| {
        let watch = GroupId::new("watch").unwrap();
        let until = Some(begun.wall.after(day));
        let agreement = Some(Agreement { reference: "MoU 2026-14".into(), from: None, until });
        let organisations = vec![OrganisationId::new("acme-terminal").unwrap()];
        policy.default_marking.as_mut().unwrap().releasable_to = vec![Releasable::Group(watch.clone())];
        policy.groups.insert(watch, Group { organisations, agreement });
    })]);
    gateway.say(trips("door"));
    assert_eq!(gateway.waiting().len(), 1);
    let mut at = |after: Duration| {
        let stamp = gateway.pipeline.stamp;
        let later = Stamp { gateway: begun.gateway.after(after), wall: begun.wall.after(after), ..stamp };
        gateway.pipeline.take(Next::Tick(later)).unwrap();
        gateway.pipeline.put_out().unwrap();
        gateway.waiting().len()
    };
    assert_eq!([at(day - hour), at(day), at(day + hour)], [1, 0, 0]);
    gateway.crash();
}

fn answer_to(event: &CloudEvent<Product>, verdict: Verdict) -> Record {
    let answer = Answer {
        product: event.id.clone(),
        revision: event.data.revision,
        word: AnswerWord::Closed,
        verdict: Some(verdict),
        reason: None,
        by: "duty-officer".into(),
        at: event.time.clone(),
    };
    Record::Control(Control::Answer(ReceivedAnswer { recipient: desk(), answer, received: WallTime(0) }))
}

/// A cabinet whose thirty doors are a nuisance, and an engineer who reads what the verdicts come to.
#[test]
fn thirty_verdicts_propose_a_calibration_that_holds_from_the_record_that_adopts_it() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..32).map(|number| format!("door-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (last, before) = names.split_last().unwrap();
    let (early, thirty) = before.split_first().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&names), policy()]);
    assert!(gateway.pipeline.engine.adopted() == &Model::default());
    gateway.say(trips(early));
    let raw = gateway.pipeline.changes.situations.last().unwrap().clone();
    assert!(raw.probability > 0.5 && raw.calibration == Calibration::Identity);
    thirty.iter().for_each(|door| gateway.say(trips(door)));
    gateway.pipeline.keep().unwrap();
    let told = gateway.waiting();
    assert_eq!(told.len(), 31);
    gateway.say(told.iter().skip(1).map(|(_, event)| answer_to(event, Verdict::False)).collect());
    // An answer to a product that nobody knows any more changes nothing.
    let mut stray = told[0].1.clone();
    stray.id = "3f.00000000000000000001".into();
    gateway.say(vec![answer_to(&stray, Verdict::True)]);
    let (learner, position) = (gateway.pipeline.learner.clone(), gateway.pipeline.stamp.position);
    gateway.crash();

    // The answers were not kept yet; the replay learns the same from them.
    let mut gateway = Gateway::start(folder.path());
    gateway.take_until(position);
    assert!(gateway.pipeline.learner == learner, "learned again, byte for byte");
    let learned = gateway.pipeline.learned();
    gateway.pipeline.show_learned();
    let shown = learned.borrow().clone().unwrap();
    let text = shown.to_string();
    for words in [
        "the rates of the site file; nothing has been adopted",
        "node.tamper: 30 verdicts, 0 of them so; Brier 0.",
        "in force: scores are taken at their word; proposed: Platt, slope ",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    let proposal = shown.proposal().unwrap();
    gateway.say(vec![Record::Control(Control::RatesAdopted { by: "uid 0".into(), model: Box::new(proposal.model) })]);
    gateway.say(trips(last));
    let calibrated = gateway.pipeline.changes.situations.last().unwrap().clone();
    assert!((calibrated.log_odds - raw.log_odds).abs() < 1e-9, "the score is what it was");
    assert!(calibrated.probability < 0.1, "and means what people found: {}", calibrated.probability);
    assert_eq!((calibrated.model.as_str(), raw.model == calibrated.model), (proposal.id.as_str(), false));
    gateway.pipeline.show_learned();
    let text = learned.borrow().clone().unwrap().to_string();
    assert!(text.contains(&format!("in force: {}, adopted by uid 0 at 20", proposal.id)), "{text}");
    assert!(text.contains("proposed: nothing that would change anything"), "{text}");

    // With the gateway down the store says the same.
    gateway.pipeline.keep().unwrap();
    let state = gateway.pipeline.parts.state.clone();
    assert_eq!(Learned::of(&state).unwrap().unwrap().to_string(), text);
    gateway.crash();
}

/// A belief fades before it ends: what a verdict judges, and what an explanation shows, is the surest revision.
#[test]
fn the_surest_revision_is_kept_beside_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path());
    let state = gateway.pipeline.parts.state.clone();
    let revision = |revision, log_odds| Situation { revision, log_odds, ..crate::published::fictional::tailgating() };
    let id = revision(1, 0.0).id;
    let apply = |situations| state.apply(Changes { situations, ..Changes::default() }).unwrap();
    let kept = || match state.kept(&id).unwrap() {
        crate::ledger::Kept::Readable { latest, surest } => (latest.revision, surest.map(|surest| surest.revision)),
        other => panic!("{other:?}"),
    };
    apply(vec![revision(1, 1.0)]);
    assert_eq!(kept(), (1, None));
    apply(vec![revision(2, 2.0), revision(3, 1.5), revision(4, -1.0)]);
    assert_eq!(kept(), (4, Some(2)));
    // A replay after a crash writes the same again.
    apply(vec![revision(2, 2.0), revision(3, 1.5), revision(4, -1.0)]);
    assert_eq!(kept(), (4, Some(2)));
    apply(vec![revision(5, 3.0)]);
    assert_eq!(kept(), (5, None));
    assert_eq!(state.surest(&id).unwrap().unwrap().revision, 5);
    gateway.crash();
}

#[test]
fn a_destroyed_key_is_remembered_with_its_day() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    gateway.say(vec![site(&["door"]), policy(), Record::Control(Control::KeyDestroyed { key: 7 })]);
    gateway.pipeline.keep().unwrap();
    let state = gateway.pipeline.parts.state.clone();
    assert_eq!(state.destroyed(KeyId(7)).unwrap(), Some(gateway.pipeline.stamp.wall));
    assert_eq!(state.destroyed(KeyId(8)).unwrap(), None);
    assert_eq!(state.places().unwrap().timezone, "Europe/Amsterdam");
    gateway.crash();
}

/// The key is destroyed: what it sealed is gone from every copy, and who asks is told since when.
#[test]
fn what_was_sealed_with_a_destroyed_key_is_explained_as_deleted() {
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let gateway = Gateway::start(folder.path());
    let situation = crate::published::fictional::tailgating();
    let changes = Changes {
        references: vec![("QW-G2-QPE9YC".into(), situation.id)],
        keys_destroyed: vec![(KeyId(1), situation.from)],
        situations: vec![situation],
        ..Changes::default()
    };
    let state = gateway.pipeline.parts.state.clone();
    state.apply(changes).unwrap();
    let explained = crate::commands::explain::from_state(&state, "qw-g2-qpe9yc").unwrap();
    assert!(explained.starts_with("QW-G2-QPE9YC  "), "{explained}");
    drop(state);
    gateway.crash();
    // A store's keys are one file; these are another store's.
    Gateway::start(other.path()).crash();
    for file in ["keys", "wrapping-1.key"] {
        std::fs::copy(other.path().join(file), folder.path().join(file)).unwrap();
    }
    let state = ledger::read_state(folder.path()).unwrap();
    let gone = crate::commands::explain::from_state(&state, "QW-G2-QPE9YC").unwrap_err();
    assert!(gone.contains("QW-G2-QPE9YC stood for was deleted on 2026-03-14"), "{gone}");
    let unknown = crate::commands::explain::from_state(&state, "QW-G2-ZZZZZZ").unwrap_err();
    assert!(unknown.contains("no situation on this gateway"), "{unknown}");
}
