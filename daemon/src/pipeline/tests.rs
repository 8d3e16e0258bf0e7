//! Crashes between the outbox and the checkpoint, and stores that lost a part: no number twice, nothing told twice.
//!
//! The pipeline is driven by hand, so that a crash is at an exact place: what was done is on disk, the rest is dropped.

use super::*;
use crate::ledger::{self, Options, Started};
use quaywatch_drivers::intake::Intake;
use quaywatch_schemas::{
    CloudEvent, DomainId, LineId, Observation, OrganisationId, Product, Purpose, Reading, SensorId, SiteId,
    marking::{Marking, Releasable, Tlp},
    policy::Confirm,
    policy::Treatment,
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
